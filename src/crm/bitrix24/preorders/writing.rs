//! The deal of a preorder that Lime tells of: made, finished where that broke off, and changed.
//!
//! Never: a second deal of one preorder; a deal known for done that may lack its rows.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::batch::{Command, Outcome};
use super::super::book::Halt;
use super::super::ended::Ended;
use super::super::feed_deals::as_ours;
use super::super::record::ORIGINATOR;
use super::super::schema::DEAL;
use super::super::talk::{Talk, item_id};
use super::super::{booking, catalog, places, products, sale, wire};
use super::Desk;
use crate::delivery::Verdict;
use crate::domain::{Preorder, Seq};
use crate::flow::preorders::{Bound, Wanted, bound_key, deal_key};
use crate::journal::Learned;

impl Desk {
    fn contact_for(&self, talk: &Talk, wanted: &Wanted) -> Option<u64> {
        wanted.client_id.as_ref().and_then(|client| talk.contact(client))
    }

    /// The contact that a person has already, where Lime knows no client.
    async fn contact_by_phone(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Option<u64>, Halt> {
        let Some(phone) = wanted.contact.as_ref().and_then(|contact| contact.phone.as_ref()) else { return Ok(None) };
        let params = json!({ "type": "PHONE", "values": [phone.e164()], "entity_type": "CONTACT" });
        let outcomes = talk.portal.ask(&[Command::new("crm.duplicate.findbycomm", params)]).await?;
        let ids = outcomes.first().and_then(|outcome| if let Outcome::Done { result, .. } = outcome { result.get("CONTACT") } else { None });
        Ok(ids.map(wire::rows).unwrap_or_default().into_iter().filter_map(wire::id).min())
    }

    /// Makes the deal of a preorder that was made in Lime.
    pub(super) async fn make(&mut self, talk: &mut Talk, seq: Seq, preorder: &Preorder, wanted: &Wanted) -> Result<(), Halt> {
        if let Some(shelf) = self.places.shelf {
            let unknown = wanted.rows.iter().filter_map(|row| row.product.clone()).filter(|id| talk.kept.get(&catalog::product_key(id)).is_none());
            let unknown: BTreeSet<String> = unknown.collect();
            products::find(talk, shelf, unknown).await?;
        }
        let contact = match self.contact_for(talk, wanted) {
            Some(contact) => Some(contact),
            None => self.contact_by_phone(talk, wanted).await?,
        };
        let mut fields = booking::fields(wanted, contact, &self.places, &talk.settings.texts);
        fields.insert("categoryId".to_owned(), json!(self.bookings.category));
        fields.insert("stageId".to_owned(), json!(self.bookings.stage));
        fields.insert("originatorId".to_owned(), json!(ORIGINATOR));
        fields.insert("originId".to_owned(), json!(booking::origin(&preorder.id)));
        fields.insert("currencyId".to_owned(), json!(preorder.total.currency));
        if let Some(person) = wanted.contact.as_ref().filter(|_| contact.is_none()) {
            let phone = person.phone.as_ref().map(crate::domain::Phone::e164).unwrap_or_default();
            fields.insert("comments".to_owned(), json!(format!("{} {phone}", person.name.reveal()).trim()));
        }
        let commands = [
            Command::new("crm.item.add", json!({ "entityTypeId": DEAL, "fields": fields })),
            sale::set_rows(None, &wanted.rows, &talk.kept, false).referring("ownerId", 0, &["item", "id"]),
        ]
        .map(|command| as_ours(command, &talk.kept));
        let outcomes = match talk.portal.create(&commands, vec![seq]).await {
            Ok(outcomes) => outcomes,
            Err(broken) => return Err(talk.broken(broken, &[seq])),
        };
        let mut outcomes = outcomes.into_iter();
        let Some((add, added)) = commands.first().zip(outcomes.next()) else { return Err(Halt::new("crm/unanswered")) };
        let deal = match Ended::of_create(add, added, "refused/deal") {
            Ended::Done(result) => match item_id(&result) {
                Some(deal) => deal,
                None => {
                    talk.book.decide(seq, Verdict::Doubtful);
                    return Ok(());
                }
            },
            Ended::Gone => {
                talk.book.decide(seq, Halt::new("crm/contact_gone"));
                return Ok(());
            }
            Ended::Stale => {
                if let Some(hub) = talk.settings.hub.clone() {
                    talk.learn(places::ledger_key(&hub), None);
                }
                talk.book.decide(seq, Halt::new("setup/stage"));
                return Ok(());
            }
            Ended::Verdict(verdict) => {
                talk.book.decide(seq, verdict);
                return Ok(());
            }
        };
        talk.learn(deal_key(&preorder.id), Some(deal.to_string()));
        self.deals.remove(&deal);
        if !matches!(outcomes.next(), Some(Outcome::Done { result, .. }) if sale::arrived(&result, &wanted.rows)) {
            return self.finish(talk, seq, deal, preorder).await;
        }
        self.made(talk, seq, deal, preorder).await
    }

    /// The deal is there with all that is in it: Lime is told whose preorder it is.
    async fn made(&mut self, talk: &mut Talk, seq: Seq, deal: u64, preorder: &Preorder) -> Result<(), Halt> {
        let mut bound = Bound::default();
        bound.made(preorder, booking::keeps(&self.places), &self.keyer);
        talk.learn(bound_key(&deal.to_string()), Some(bound.to_json()));
        let todo = bound.bind(&preorder.id);
        self.send(talk, seq, deal, bound, todo, None).await
    }

    /// Puts the rows into a deal that was made and may lack them.
    pub(super) async fn finish(&mut self, talk: &mut Talk, seq: Seq, deal: u64, preorder: &Preorder) -> Result<(), Halt> {
        let rows = Wanted::of(preorder, &talk.settings.texts).rows;
        let commands = [as_ours(sale::set_rows(Some(deal), &rows, &talk.kept, false), &talk.kept)];
        let outcomes = talk.portal.ask(&commands).await?;
        let Some((command, outcome)) = commands.first().zip(outcomes.into_iter().next()) else { return Err(Halt::new("crm/unanswered")) };
        match Ended::of(command, outcome, "refused/rows") {
            Ended::Done(result) if sale::arrived(&result, &rows) => return self.made(talk, seq, deal, preorder).await,
            Ended::Done(_) | Ended::Stale => talk.book.decide(seq, Halt::new("crm/rows")),
            // People have deleted it: they meant it.
            Ended::Gone => talk.book.confirm(seq, None),
            Ended::Verdict(verdict) => talk.book.decide(seq, verdict),
        }
        Ok(())
    }

    /// Writes into the deal what has changed in Lime.
    pub(super) async fn change(
        &mut self,
        talk: &mut Talk,
        seq: Seq,
        deal: u64,
        mut bound: Bound,
        preorder: &Preorder,
        wanted: &Wanted,
    ) -> Result<(), Halt> {
        if let Some(shelf) = self.places.shelf {
            let unknown = wanted.rows.iter().filter_map(|row| row.product.clone()).filter(|id| talk.kept.get(&catalog::product_key(id)).is_none());
            let unknown: BTreeSet<String> = unknown.collect();
            products::find(talk, shelf, unknown).await?;
        }
        let mut fields = booking::fields(wanted, self.contact_for(talk, wanted), &self.places, &talk.settings.texts);
        if wanted.cancelled {
            fields.insert("stageId".to_owned(), json!(self.bookings.cancelled));
        }
        let commands = [sale::set_rows(Some(deal), &wanted.rows, &talk.kept, false), sale::change(deal, Value::Object(fields))];
        let commands = commands.map(|command| as_ours(command, &talk.kept));
        let key = bound_key(&deal.to_string());
        talk.kept.put(key.clone(), Some(bound.to_json()));
        let outcomes = talk.portal.set(&commands, vec![Learned { key: key.clone(), value: Some(bound.to_json()) }]).await?;
        for (command, outcome) in commands.iter().zip(outcomes) {
            match Ended::of(command, outcome, "refused/deal") {
                Ended::Done(_) => {}
                // People have deleted it: they meant it, and Lime is told when the deal's feed tells.
                Ended::Gone => {
                    talk.book.confirm(seq, None);
                    return Ok(());
                }
                Ended::Stale => {
                    talk.book.decide(seq, Halt::person("setup/stage"));
                    return Ok(());
                }
                Ended::Verdict(verdict) => {
                    talk.book.decide(seq, verdict);
                    return Ok(());
                }
            }
        }
        bound.wrote();
        talk.learn(key, Some(bound.to_json()));
        if preorder.reference.is_none() {
            let todo = bound.bind(&preorder.id);
            return self.send(talk, seq, deal, bound, todo, None).await;
        }
        talk.book.confirm(seq, Some(format!("deal:{deal}")));
        Ok(())
    }
}
