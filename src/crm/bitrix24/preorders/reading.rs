//! The deals that jobs are about, with rows, contacts and Lime's ids of their products: three requests for all of them.
//!
//! Never: a deal taken for one without rows because they could not be read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::batch::{Command, Outcome};
use super::super::book::Halt;
use super::super::fault::{self, Class};
use super::super::schema::{self, CONTACT, DEAL};
use super::super::{booking, catalog, wire};
use super::{Desk, deal_named};
use crate::crm::bitrix24::talk::Talk;
use crate::crm::card::CardField;
use crate::domain::{Change, Seq, Told};
use crate::flow::preorders::Booking;

/// Ids asked for in one command.
const KEYS: usize = 25;

/// A deal as it was read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) booking: Booking,
    /// Names of rows that Lime cannot have.
    pub(super) left_out: Vec<String>,
    /// It is in the funnel of bookings.
    pub(super) ours: bool,
    pub(super) currency: String,
}

impl Desk {
    /// Reads the deals that jobs are about.
    pub(super) async fn read(&mut self, talk: &mut Talk, jobs: &[(Seq, Change)]) -> Result<(), Halt> {
        let mut ids = BTreeSet::new();
        for (_, change) in jobs {
            ids.extend(match &change.told {
                Told::Deal { deleted: true, .. } => None,
                Told::Deal { id, .. } => id.parse().ok(),
                Told::Preorder(preorder) => deal_named(talk, preorder),
                _ => None,
            });
        }
        let ids: Vec<u64> = ids.into_iter().collect();
        let commands: Vec<Command> =
            ids.iter().flat_map(|id| [Command::new("crm.item.get", json!({ "entityTypeId": DEAL, "id": id })), ask_rows(*id, 0)]).collect();
        let mut outcomes = talk.portal.ask(&commands).await?.into_iter();
        let mut read: Vec<(u64, Value, Vec<Value>)> = Vec::new();
        for id in ids {
            let (Some(item), Some(rows)) = (outcomes.next(), outcomes.next()) else { return Err(Halt::new("crm/unanswered")) };
            let Some(mut item) = there(item)? else {
                self.deals.insert(id, None);
                continue;
            };
            let total = if let Outcome::Done { total, .. } = &rows { total.unwrap_or(0) } else { 0 };
            let mut rows = there(rows)?.map(|result| rows_of(&result)).unwrap_or_default();
            while u64::try_from(rows.len()).is_ok_and(|have| have < total) {
                let more = talk.portal.ask(&[ask_rows(id, rows.len())]).await?;
                let more = rows_of(schema::done(more.first())?);
                if more.is_empty() {
                    break;
                }
                rows.extend(more);
            }
            read.push((id, item.get_mut("item").map(Value::take).unwrap_or_default(), rows));
        }
        let contacts = contacts(talk, &read).await?;
        let keys = self.keys(talk, &read).await?;
        let client_field = talk.schema.contact.get(CardField::ClientId.code()).cloned();
        for (id, item, rows) in read {
            let contact = booking::contact(&item).and_then(|contact| contacts.get(&contact));
            let (booking, left_out) = booking::booking(&item, &rows, contact, &keys, (&self.places, &self.bookings), client_field.as_ref());
            let ours = item.get("categoryId").and_then(wire::id) == Some(self.bookings.category);
            let currency = item.get("currencyId").and_then(wire::text).unwrap_or_else(|| "RUB".to_owned());
            self.deals.insert(id, Some(Read { booking, left_out, ours, currency }));
        }
        Ok(())
    }

    /// Lime's ids of the products that rows name.
    async fn keys(&self, talk: &mut Talk, read: &[(u64, Value, Vec<Value>)]) -> Result<BTreeMap<u64, String>, Halt> {
        let wanted: BTreeSet<u64> = read.iter().flat_map(|(_, _, rows)| booking::products(rows)).collect();
        let mut keys = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(keys);
        }
        // A preorder without the lines that we cannot read would be another preorder.
        let Some(shelf) = self.places.shelf else { return Err(Halt::person("setup/catalog")) };
        let wanted: Vec<u64> = wanted.into_iter().collect();
        let commands: Vec<Command> = wanted.chunks(KEYS).flat_map(|ids| catalog::ask_keys(ids, shelf)).collect();
        for outcome in talk.portal.ask(&commands).await? {
            booking::keys_of(schema::done(Some(&outcome))?, &mut keys);
        }
        Ok(keys)
    }
}

/// A deal's rows, from the `start`-th. The list takes no other parameters.
fn ask_rows(deal: u64, start: usize) -> Command {
    Command::new("crm.item.productrow.list", json!({ "filter": { "=ownerType": "D", "=ownerId": deal }, "order": { "id": "ASC" }, "start": start }))
}

fn rows_of(result: &Value) -> Vec<Value> {
    result.get("productRows").map(wire::rows).unwrap_or_default().into_iter().cloned().collect()
}

/// None: the thing asked for is gone.
fn there(outcome: Outcome) -> Result<Option<Value>, Halt> {
    match outcome {
        Outcome::Done { result, .. } => Ok(Some(result)),
        Outcome::Unanswered => Err(Halt::new("crm/unanswered")),
        Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
            Class::Gone => Ok(None),
            class => Err(schema::halt(&class)),
        },
    }
}

/// The deals' contacts, by id.
async fn contacts(talk: &mut Talk, read: &[(u64, Value, Vec<Value>)]) -> Result<BTreeMap<u64, Value>, Halt> {
    let ids: BTreeSet<u64> = read.iter().filter_map(|(_, item, _)| booking::contact(item)).collect();
    let commands: Vec<Command> = ids.iter().map(|id| Command::new("crm.item.get", json!({ "entityTypeId": CONTACT, "id": id }))).collect();
    let mut contacts = BTreeMap::new();
    for (id, outcome) in ids.into_iter().zip(talk.portal.ask(&commands).await?) {
        if let Some(mut result) = there(outcome)? {
            contacts.insert(id, result.get_mut("item").map(Value::take).unwrap_or_default());
        }
    }
    Ok(contacts)
}
