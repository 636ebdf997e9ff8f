//! The guests of a batch: who they are at the portal.
//!
//! Found by the id we keep, else by our origin, else by phone, else by e-mail, else created ([`cards`](super::cards)). A contact that carries the origin of
//! another client is never taken: members of a family share a phone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::batch::{Command, Outcome};
use super::book::Halt;
use super::fault::{self, Class};
use super::meetings::Meeting;
use super::portal::Broken;
use super::record::{self, ORIGINATOR};
use super::schema::{self, CONTACT};
use super::talk::{Talk, contact_key, holder_key};
use super::wire;
use crate::crm::card::{CardField, Written};
use crate::crm::guests;
use crate::delivery::Verdict;
use crate::domain::{Client, ClientId, Seq, Transaction};
use crate::flow::contacts::Link;
use crate::lime::ParseProblem;

/// Keys asked for in one command: well below a page, so that doubles at the portal cannot push one out.
const KEYS: usize = 25;
/// Rows of a page.
const PAGE: usize = 50;
/// Values that `crm.duplicate.findbycomm` takes.
const VALUES: usize = 20;

/// A guest of the batch.
#[derive(Debug, Default)]
pub struct Guest {
    /// The contact at the portal.
    pub contact: Option<u64>,
    /// What was written into their card before.
    pub before: Option<Written>,
    /// We wrote their names before.
    pub ours: bool,
    /// The contact was found, not made or kept by us, and carries no origin yet.
    pub adopted: bool,
    /// What Lime knows of them.
    pub lime: Lime,
    /// What Lime alone knows is to be written into their card now.
    pub due: bool,
    /// How the two cards stand to each other, as the ledger has it.
    pub link: Option<Link>,
    /// The two cards brought together in this conversation.
    pub meeting: Option<Meeting>,
}

/// What Lime said of a guest.
#[derive(Debug, Default)]
pub enum Lime {
    /// Not asked.
    #[default]
    NotAsked,
    /// Lime does not know them (any more): their passes are recorded, their card is left alone.
    Nobody,
    /// The client and their last transactions.
    Known(Box<Client>, Vec<Transaction>),
}

/// Whose a contact is: by its origin, which may be another program's, and by our field.
struct Holder {
    originator: String,
    origin: String,
    client: String,
}

impl Holder {
    fn is(&self, client: &ClientId) -> bool {
        self.client == client.as_str() || (self.originator == ORIGINATOR && self.origin == record::contact_origin(client))
    }

    /// No client of Lime's has it yet.
    fn is_nobody(&self) -> bool {
        self.client.is_empty() && (self.originator != ORIGINATOR || self.origin.is_empty())
    }
}

impl Talk {
    /// Finds the contact of each guest that we do not know.
    pub(super) async fn find_contacts(&mut self) -> Result<(), Halt> {
        let unknown = self.guests_where(|talk, id, guest| guest.contact.is_none() && talk.contact_is_needed(id));
        if unknown.is_empty() {
            return Ok(());
        }
        let origins: Vec<String> = unknown.iter().map(record::contact_origin).collect();
        let found = self.by_origin(CONTACT, &origins).await?;
        for (client, origin) in unknown.iter().zip(&origins) {
            if let Some(id) = found.get(origin) {
                self.found(client, *id, false);
            }
        }
        let unknown: Vec<ClientId> = unknown.into_iter().filter(|client| self.contact(client).is_none()).collect();
        self.ask_lime(&unknown).await?;
        for kind in ["PHONE", "EMAIL"] {
            self.find_by(kind, &unknown).await?;
        }
        Ok(())
    }

    fn contact_is_needed(&self, client: &ClientId) -> bool {
        let mut of = self.tasks.iter().filter(|task| task.write_off.client_id.as_ref() == Some(client) && self.book.is_open(task.seq));
        of.any(|task| self.settings.lines() || !task.doubtful) || self.errands.iter().any(|errand| errand.client() == Some(client))
    }

    /// Ids by origin, the oldest where there are several.
    pub(super) async fn by_origin(&mut self, entity: u64, origins: &[String]) -> Result<BTreeMap<String, u64>, Halt> {
        let mut found = BTreeMap::new();
        let mut open: Vec<(&[String], u64)> = origins.chunks(KEYS).map(|keys| (keys, 0)).collect();
        while !open.is_empty() {
            let commands: Vec<Command> = open
                .iter()
                .map(|(keys, after)| {
                    let filter = json!({ "originatorId": ORIGINATOR, "@originId": keys, ">id": after });
                    let params =
                        json!({ "entityTypeId": entity, "filter": filter, "select": ["id", "originId"], "order": { "id": "ASC" }, "start": -1 });
                    Command::new("crm.item.list", params)
                })
                .collect();
            let outcomes = self.portal.ask(&commands).await?;
            let mut further = Vec::new();
            for ((keys, after), outcome) in open.into_iter().zip(outcomes) {
                let rows = item_rows(done(outcome)?);
                let last = rows.iter().map(|row| row.0).max().unwrap_or(after);
                if rows.len() >= PAGE && last > after {
                    further.push((keys, last));
                }
                for (id, row) in rows {
                    if let Some(origin) = row.get("originId").and_then(wire::text) {
                        found.entry(origin).or_insert(id);
                    }
                }
            }
            open = further;
        }
        Ok(found)
    }

    /// Looks for contacts by phone or e-mail, and takes the oldest that is nobody else's.
    async fn find_by(&mut self, kind: &'static str, clients: &[ClientId]) -> Result<(), Halt> {
        let mut asked = Vec::new();
        let mut commands = Vec::new();
        for client in clients.iter().filter(|client| self.contact(client).is_none()) {
            let Some(Lime::Known(known, _)) = self.guests.get(client).map(|guest| &guest.lime) else { continue };
            let values: Vec<String> = match kind {
                "PHONE" => known.phones.iter().map(|phone| phone.e164()).take(VALUES).collect(),
                _ => known.emails.iter().filter(|email| !email.is_empty()).map(|email| email.reveal().to_owned()).take(VALUES).collect(),
            };
            if !values.is_empty() {
                asked.push(client.clone());
                commands.push(Command::new("crm.duplicate.findbycomm", json!({ "type": kind, "values": values, "entity_type": "CONTACT" })));
            }
        }
        let mut hits: Vec<(ClientId, Vec<u64>)> = Vec::new();
        for (client, outcome) in asked.into_iter().zip(self.portal.ask(&commands).await?) {
            let result = match refused(outcome)? {
                Ok(result) => result,
                // An address that the portal cannot search for is as good as none.
                Err(_) => continue,
            };
            let ids: Vec<u64> = result.get("CONTACT").map(wire::rows).unwrap_or_default().into_iter().filter_map(wire::id).collect();
            if !ids.is_empty() {
                hits.push((client, ids));
            }
        }
        let mut ids: Vec<u64> = hits.iter().flat_map(|(_, ids)| ids.iter().copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let holders = self.holders_of(&ids).await?;
        for (client, mut ids) in hits {
            ids.sort_unstable();
            let taken = |id: &u64| self.guests.values().any(|guest| guest.contact == Some(*id));
            let ours = ids.iter().find(|id| holders.get(id).is_some_and(|holder| holder.is(&client)));
            // Another conversation may be about to make it its own client's.
            let free = |id: &&u64| !taken(id) && holders.get(id).is_some_and(Holder::is_nobody) && self.claims.claim(**id, &client);
            if let Some(id) = ours.or_else(|| ids.iter().find(free)).copied() {
                let without_origin = holders.get(&id).is_some_and(|holder| holder.origin.is_empty());
                self.found(&client, id, without_origin);
            }
        }
        Ok(())
    }

    /// Whose the contacts are that are there.
    async fn holders_of(&mut self, ids: &[u64]) -> Result<BTreeMap<u64, Holder>, Halt> {
        let key = self.schema.contact.get(CardField::ClientId.code()).cloned().unwrap_or_default();
        let commands: Vec<Command> = ids
            .chunks(PAGE)
            .map(|ids| {
                let select = ["id", "originatorId", "originId", key.as_str()];
                Command::new("crm.item.list", json!({ "entityTypeId": CONTACT, "filter": { "@id": ids }, "select": select, "start": -1 }))
            })
            .collect();
        let mut found = BTreeMap::new();
        for outcome in self.portal.ask(&commands).await? {
            for (id, row) in item_rows(done(outcome)?) {
                let text = |key: &str| row.get(key).and_then(wire::text).unwrap_or_default();
                found.insert(id, Holder { originator: text("originatorId"), origin: text("originId"), client: text(&key) });
            }
        }
        Ok(found)
    }

    pub(super) fn found(&mut self, client: &ClientId, id: u64, adopted: bool) {
        let integrated = self.settings.hub.is_some();
        if let Some(guest) = self.guests.get_mut(client) {
            guest.contact = Some(id);
            guest.adopted = adopted;
            self.book.learn(contact_key(client), Some(id.to_string()));
            if integrated {
                self.book.learn(holder_key(id), Some(client.as_str().to_owned()));
            }
        }
    }

    /// The client's contact, where it is known.
    pub(super) fn contact(&self, client: &ClientId) -> Option<u64> {
        self.guests.get(client)?.contact
    }

    /// Asks Lime for guests that it was not asked for yet.
    pub(super) async fn ask_lime(&mut self, clients: &[ClientId]) -> Result<(), Halt> {
        let not_asked = |client: &&ClientId| matches!(self.guests.get(*client).map(|guest| &guest.lime), Some(Lime::NotAsked));
        let clients: Vec<ClientId> = clients.iter().filter(not_asked).cloned().collect();
        let told = self.lime.read(&mut self.portal, &clients).await;
        if let Some(lesson) = self.lime.lesson() {
            self.book.learn(guests::ledger_key(), lesson);
        }
        for (client, told) in told? {
            let lime = match told {
                Ok((known, transactions)) => Lime::Known(Box::new(known), transactions),
                Err(ParseProblem::NotFound | ParseProblem::Refused { .. }) => Lime::Nobody,
                Err(problem) => {
                    let after = if let ParseProblem::Later { after, .. } = problem { after } else { None };
                    let halt = Halt { reason: problem.code(), after };
                    self.decide_guest(&client, &halt);
                    continue;
                }
            };
            if let Some(guest) = self.guests.get_mut(&client) {
                guest.lime = lime;
            }
        }
        Ok(())
    }

    /// A create that broke off: in doubt, unless certainly nothing was done.
    pub(super) fn broken(&mut self, broken: Broken, jobs: &[Seq]) -> Halt {
        if matches!(broken, Broken::Unclear(_)) {
            for job in jobs {
                self.book.decide(*job, Verdict::Doubtful);
            }
        }
        broken.into()
    }

    /// The contact is not there any more.
    pub(super) fn forget(&mut self, client: &ClientId) {
        self.unlearn_contact(client);
        self.decide_guest(client, &Halt::after("crm/contact_gone", std::time::Duration::from_secs(1)));
    }

    pub(super) fn decide_guest(&mut self, client: &ClientId, halt: &Halt) {
        self.verdict_for_guest(client, &halt.clone().into());
    }

    pub(super) fn doubt_guest(&mut self, client: &ClientId) {
        self.verdict_for_guest(client, &Verdict::Doubtful);
    }

    pub(super) fn verdict_for_guest(&mut self, client: &ClientId, verdict: &Verdict) {
        for seq in self.open_jobs_of(client) {
            self.book.decide(seq, verdict.clone());
        }
    }

    pub(super) fn guests_where(&self, wanted: impl Fn(&Self, &ClientId, &Guest) -> bool) -> Vec<ClientId> {
        self.guests.iter().filter(|(id, guest)| wanted(self, id, guest)).map(|(id, _)| id.clone()).collect()
    }
}

/// Rows of `crm.item.list`, with their ids.
fn item_rows(result: Value) -> Vec<(u64, Value)> {
    let rows = result.get("items").map(wire::rows).unwrap_or_default();
    rows.into_iter().filter_map(|row| Some((wire::id(row.get("id")?)?, row.clone()))).collect()
}

/// The result of a question without which the batch cannot go on.
fn done(outcome: Outcome) -> Result<Value, Halt> {
    refused(outcome)?.map_err(|class| schema::halt(&class))
}

/// The result, or the class of a refusal that concerns this command only.
///
/// # Errors
/// When the portal answers nothing, or refuses us as a whole.
pub(super) fn refused(outcome: Outcome) -> Result<Result<Value, Class>, Halt> {
    match outcome {
        Outcome::Done { result, .. } => Ok(Ok(result)),
        Outcome::Unanswered => Err(Halt::new("crm/unanswered")),
        Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
            class @ (Class::Gone | Class::Stale | Class::Refused) => Ok(Err(class)),
            class => Err(schema::halt(&class)),
        },
    }
}
