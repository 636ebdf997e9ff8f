//! The cards of a batch's guests: bringing them up to date, and creating the contacts that are missing. Many jobs of one guest cost one update.
//!
//! A card has two halves. What Lime alone knows (children, balances, history) is written at the moments that the config names; who the person is goes both
//! ways where this box runs the integration ([`meetings`](super::meetings)), and is only added to where it does not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::batch::{Command, LIMIT, Outcome};
use super::book::Halt;
use super::contacts::{Guest, Lime, refused};
use super::errands::Errand;
use super::fault::{self, Class};
use super::meetings::as_ours;
use super::person;
use super::record::{self, ORIGINATOR, Parts};
use super::schema::{self, CONTACT};
use super::talk::{Talk, card_key, item_id};
use super::wire;
use crate::crm::card::{Card, CardField, Known, Written, card};
use crate::delivery::Verdict;
use crate::domain::{ClientId, Told, WriteOff};

impl Talk {
    /// Writes what changed into the cards that are due, and creates the contacts that are missing.
    pub(super) async fn bring_cards_up_to_date(&mut self) -> Result<(), Halt> {
        let due = self.guests_where(Self::card_is_due);
        for client in &due {
            if let Some(guest) = self.guests.get_mut(client) {
                guest.due = true;
            }
        }
        let both_ways = self.both_ways().is_some();
        let stale = self.guests_where(|talk, client, guest| guest.due || (both_ways && talk.is_told_of(client) && guest.contact.is_some()));
        self.ask_lime(&stale).await?;
        let known = |talk: &Self, client: &ClientId| matches!(talk.guests.get(client).map(|guest| &guest.lime), Some(Lime::Known(..)));
        let (there, missing): (Vec<_>, Vec<_>) =
            stale.into_iter().filter(|client| known(self, client)).partition(|client| self.contact(client).is_some());
        self.update_contacts(&there).await?;
        self.create_contacts(&missing).await
    }

    /// A feed tells of the person, who is still there.
    fn is_told_of(&self, client: &ClientId) -> bool {
        self.fresh_errands(client).any(|errand| match &errand.change.told {
            Told::Client { deleted, .. } => !deleted,
            Told::Contact { .. } => true,
            _ => false,
        })
    }

    /// Something fresh is told of the guest, and it is a moment at which the card is brought up to date, or the contact is missing for it.
    fn card_is_due(&self, client: &ClientId, guest: &Guest) -> bool {
        let moments = self.settings.moments();
        let passes = self.fresh_write_offs(client);
        let told = || self.fresh_errands(client);
        if guest.contact.is_none() {
            return !passes.is_empty() || told().any(|errand| errand.makes_contacts(moments.registration));
        }
        let covered = |write_off: &&WriteOff| guest.before.as_ref().is_some_and(|before| before.covers(write_off));
        // A contact that was just found has to show whose it is.
        guest.adopted
            || (moments.pass && !passes.iter().all(covered))
            || told().any(|errand| match &errand.change.told {
                Told::Receipt(_) => moments.purchase,
                Told::Client { deleted, .. } => moments.change && !deleted,
                _ => false,
            })
    }

    async fn update_contacts(&mut self, clients: &[ClientId]) -> Result<(), Halt> {
        let mut items = self.contacts_to_compare(clients).await?;
        self.meet(&items).await?;
        let mut open: Vec<ClientId> = clients.to_vec();
        while !open.is_empty() {
            let (mut stale, mut again) = (Vec::new(), Vec::new());
            let asked: Vec<(ClientId, Written, Value)> = std::mem::take(&mut open)
                .into_iter()
                .filter_map(|client| {
                    let (written, fields) = self.update_of(&client, items.get(&client))?;
                    let mut params = json!({ "entityTypeId": CONTACT, "id": self.contact(&client)?, "fields": fields });
                    as_ours(&mut params, self.heeded);
                    Some((client, written, params))
                })
                .collect();
            for some in asked.chunks(LIMIT) {
                let lines = self.unsaved(some.iter().map(|(client, ..)| client));
                let commands: Vec<Command> = some.iter().map(|(_, _, params)| Command::new("crm.item.update", params.clone())).collect();
                for ((client, written, params), outcome) in some.iter().zip(self.portal.set(&commands, lines).await?) {
                    match outcome {
                        Outcome::Done { mut result, .. } => {
                            let item = result.get_mut("item").map(Value::take).unwrap_or_default();
                            self.arrived_at_portal(client, &item);
                            if record::ignored(params, &item).is_empty() {
                                self.card_is_written(client, written.clone());
                            } else {
                                stale.push(client.clone());
                            }
                            // What was added has ids now, and must not be added again.
                            items.insert(client.clone(), item);
                        }
                        Outcome::Unanswered => self.decide_guest(client, &Halt::new("crm/unanswered")),
                        Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
                            Class::Stale => stale.push(client.clone()),
                            // Deleted or merged away by people: the next attempt looks for them afresh.
                            Class::Gone => self.forget(client),
                            // A card that the portal does not like must not keep the passes from being recorded; it is tried again with the next one.
                            Class::Refused => {
                                if self.refused_by_portal(client) {
                                    again.push(client.clone());
                                }
                            }
                            class => self.decide_guest(client, &schema::halt(&class)),
                        },
                    }
                }
            }
            // Once the names are as fresh as they can be, a field that still does not arrive is none to wait for: passes are recorded without it.
            if !stale.is_empty() && !self.looked_again {
                self.look_again().await?;
                again.extend(stale);
            }
            open = again;
        }
        self.part(clients);
        Ok(())
    }

    /// The ledger learns what the card shows: all of it, or only who the person is.
    fn card_is_written(&mut self, client: &ClientId, written: Written) {
        let Some(guest) = self.guests.get(client) else { return };
        let written = match (&guest.before, guest.due) {
            (_, true) => written,
            (Some(before), false) => Written { person: written.person, ..before.clone() },
            (None, false) => return,
        };
        self.book.learn(card_key(client), Some(written.to_text()));
    }

    /// Contacts as they are now, where phones and e-mails have to be compared.
    async fn contacts_to_compare(&mut self, clients: &[ClientId]) -> Result<BTreeMap<ClientId, Value>, Halt> {
        let both_ways = self.both_ways().is_some();
        let changed: Vec<(ClientId, u64)> = clients
            .iter()
            .filter(|client| match (self.guests.get(*client), both_ways) {
                (Some(guest), true) => self.has_to_meet(client, guest),
                _ => self.card_of(client).is_some_and(|(_, parts)| parts.person),
            })
            .filter_map(|client| Some((client.clone(), self.contact(client)?)))
            .collect();
        let commands: Vec<Command> =
            changed.iter().map(|(_, id)| Command::new("crm.item.get", json!({ "entityTypeId": CONTACT, "id": id }))).collect();
        let mut items = BTreeMap::new();
        for ((client, _), outcome) in changed.into_iter().zip(self.portal.ask(&commands).await?) {
            match refused(outcome) {
                Ok(Ok(mut result)) => {
                    let item = result.get_mut("item").map(Value::take).unwrap_or_default();
                    self.count_on_from(&client, &item);
                    items.insert(client, item);
                }
                Ok(Err(Class::Gone)) => self.forget(&client),
                Ok(Err(class)) => self.decide_guest(&client, &schema::halt(&class)),
                Err(halt) => self.decide_guest(&client, &halt),
            }
        }
        Ok(items)
    }

    /// Where the ledger was lost, the visits are counted on from what the card shows: all that Lime lists is in that count, but for what is new now.
    fn count_on_from(&mut self, client: &ClientId, item: &Value) {
        let key = self.schema.contact.get(CardField::Visits.code());
        let shown = key.and_then(|key| item.get(key)).and_then(wire::id).and_then(|visits| i64::try_from(visits).ok());
        let fresh: Vec<_> = self.fresh_write_offs(client).iter().map(|write_off| write_off.pass_id).collect();
        let (Some(visits), Some(guest)) = (shown.filter(|visits| *visits > 0), self.guests.get_mut(client)) else { return };
        if let (None, Lime::Known(_, transactions)) = (&guest.before, &guest.lime) {
            let seen = transactions.iter().filter_map(|one| one.write_off_id).filter(|id| !fresh.contains(id)).collect();
            guest.before = Some(Written { seen, visits, ..Written::default() });
        }
    }

    /// The guest's card and which parts of it differ from what was written before.
    fn card_of(&self, client: &ClientId) -> Option<(Card, Parts)> {
        let guest = self.guests.get(client)?;
        let Lime::Known(known, transactions) = &guest.lime else { return None };
        let write_offs = self.fresh_write_offs(client);
        let before = guest.before.as_ref();
        let card = card(Known { client: known, transactions, write_offs: &write_offs, before }, &self.settings.texts);
        let differs = |part: fn(&Written) -> &String| before.is_none_or(|before| part(before) != part(&card.written));
        let parts = Parts { person: differs(|w| &w.person), about: differs(|w| &w.about), running: differs(|w| &w.running) };
        Some((card, parts))
    }

    fn update_of(&mut self, client: &ClientId, item: Option<&Value>) -> Option<(Written, record::Fields)> {
        if self.open_jobs_of(client).is_empty() {
            return None;
        }
        let (card, parts) = self.card_of(client)?;
        let both_ways = self.both_ways().is_some();
        let guest = self.guests.get(client)?;
        let Lime::Known(known, _) = &guest.lime else { return None };
        let parts = Parts { person: parts.person && !both_ways, about: parts.about && guest.due, running: parts.running && guest.due };
        let mut fields = record::card_fields(&card, known, parts, &self.schema, &self.settings.texts.zone, self.now_ms);
        // Children are Lime's alone: those who left, as grown-ups do, leave the card, too.
        let childless = !card.about.iter().any(|(field, _)| *field == CardField::Children);
        if let (true, true, Some(key)) = (parts.about && guest.ours, childless, self.schema.contact.get(CardField::Children.code())) {
            fields.insert(key.clone(), json!([]));
        }
        if both_ways {
            // The birth date is no more Lime's than the name is.
            let born = fields.remove("birthdate");
            match (&guest.meeting, item) {
                (Some(meeting), Some(item)) if meeting.adopting => {
                    record::person(known, item, false, &mut fields);
                    if let (Some(born), true) = (born, item.get("birthdate").and_then(wire::day).is_none_or(str::is_empty)) {
                        fields.insert("birthdate".to_owned(), born);
                    }
                }
                (Some(meeting), Some(item)) => person::fields(&meeting.merged.to_crm, item, &mut fields),
                _ => {}
            }
        } else if let Some(item) = item {
            record::person(known, item, guest.ours, &mut fields);
        }
        if guest.adopted {
            fields.insert("originatorId".to_owned(), json!(ORIGINATOR));
            fields.insert("originId".to_owned(), json!(record::contact_origin(client)));
        }
        if fields.is_empty() {
            // Nothing to write is as good as written.
            if guest.meeting.is_some() {
                self.card_is_written(client, card.written);
            }
            return None;
        }
        Some((card.written, fields))
    }

    async fn create_contacts(&mut self, clients: &[ClientId]) -> Result<(), Halt> {
        // A refusal is most often about an e-mail, so the second attempt leaves them out.
        let mut open: Vec<ClientId> = clients.to_vec();
        for with_emails in [true, false] {
            let mut again = Vec::new();
            for chunk in open.chunks(LIMIT) {
                again.extend(self.create_chunk(chunk, with_emails).await?);
            }
            open = again;
        }
        Ok(())
    }

    /// Creates contacts; those to be tried once more.
    async fn create_chunk(&mut self, clients: &[ClientId], with_emails: bool) -> Result<Vec<ClientId>, Halt> {
        let (mut asked, mut commands, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
        for client in clients {
            let tasks = self.open_jobs_of(client);
            let (Some(Lime::Known(known, _)), Some((card, _)), false) =
                (self.guests.get(client).map(|guest| &guest.lime), self.card_of(client), tasks.is_empty())
            else {
                continue;
            };
            let own = record::card_fields(&card, known, Parts::ALL, &self.schema, &self.settings.texts.zone, self.now_ms);
            let mut params = record::new_contact(known, own, self.settings.texts.nameless(), with_emails);
            as_ours(&mut params, self.heeded);
            commands.push(Command::new("crm.item.add", params));
            asked.push((client, card.written));
            jobs.extend(tasks);
        }
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = match self.portal.create(&commands, jobs.clone()).await {
            Ok(outcomes) => outcomes,
            Err(broken) => return Err(self.broken(broken, &jobs)),
        };
        let mut again = Vec::new();
        for (((client, written), command), outcome) in asked.into_iter().zip(&commands).zip(outcomes) {
            match outcome {
                Outcome::Done { result, .. } => match item_id(&result) {
                    Some(id) => {
                        self.found(client, id, false);
                        self.are_alike(client, id, result.get("item"));
                        if result.get("item").is_some_and(|item| record::ignored(&command.params, item).is_empty()) {
                            self.book.learn(card_key(client), Some(written.to_text()));
                        } else {
                            self.book.learn(schema::ledger_key(&self.settings.passes), None);
                        }
                    }
                    None => self.doubt_guest(client),
                },
                Outcome::Unanswered => self.doubt_guest(client),
                Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
                    Class::Unclear => self.doubt_guest(client),
                    Class::Refused | Class::Gone | Class::Stale if with_emails => again.push(client.clone()),
                    Class::Stale => {
                        self.book.learn(schema::ledger_key(&self.settings.passes), None);
                        self.decide_guest(client, &Halt::person("setup/field"));
                    }
                    Class::Refused | Class::Gone => {
                        let verdict = Verdict::Dead { reason: "refused/contact".to_owned(), answer: command.unsaid(&fault.show()) };
                        self.verdict_for_guest(client, &verdict);
                    }
                    class => self.decide_guest(client, &schema::halt(&class)),
                },
            }
        }
        Ok(again)
    }

    /// The guest's write-offs that are to be recorded now.
    fn fresh_write_offs(&self, client: &ClientId) -> Vec<&WriteOff> {
        let of = self.tasks.iter().filter(|task| task.write_off.client_id.as_ref() == Some(client));
        of.filter(|task| !task.doubtful && self.book.is_open(task.seq)).map(|task| &task.write_off).collect()
    }

    /// What is told of the guest, and is to be delivered now.
    pub(super) fn fresh_errands<'a>(&'a self, client: &'a ClientId) -> impl Iterator<Item = &'a Errand> {
        self.errands.iter().filter(move |errand| !errand.doubtful && errand.client() == Some(client) && self.book.is_open(errand.seq))
    }
}
