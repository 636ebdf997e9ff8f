//! The guests of a batch: who they are at the portal, and bringing their cards up to date.
//!
//! Found by the id we keep, else by our origin, else by phone, else by e-mail, else created. A contact that carries the origin of another client is
//! never taken: members of a family share a phone. Many passes of one guest cost one update.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::batch::{Command, LIMIT, Outcome};
use super::book::Halt;
use super::errands::Errand;
use super::fault::{self, Class};
use super::portal::Broken;
use super::record::{self, ORIGINATOR, Parts};
use super::schema::{self, CONTACT};
use super::talk::{Talk, card_key, contact_key, item_id};
use super::wire;
use crate::crm::card::{Card, CardField, Known, Written, card};
use crate::crm::guests;
use crate::delivery::Verdict;
use crate::domain::{Client, ClientId, Seq, Told, Transaction, WriteOff};
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

    fn found(&mut self, client: &ClientId, id: u64, adopted: bool) {
        if let Some(guest) = self.guests.get_mut(client) {
            guest.contact = Some(id);
            guest.adopted = adopted;
            self.book.learn(contact_key(client), Some(id.to_string()));
        }
    }

    /// The client's contact, where it is known.
    pub(super) fn contact(&self, client: &ClientId) -> Option<u64> {
        self.guests.get(client)?.contact
    }

    /// Asks Lime for guests that it was not asked for yet.
    async fn ask_lime(&mut self, clients: &[ClientId]) -> Result<(), Halt> {
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

    /// Writes what changed into the cards that are due, and creates the contacts that are missing.
    pub(super) async fn bring_cards_up_to_date(&mut self) -> Result<(), Halt> {
        let stale = self.guests_where(Self::card_is_due);
        self.ask_lime(&stale).await?;
        let known = |talk: &Self, client: &ClientId| matches!(talk.guests.get(client).map(|guest| &guest.lime), Some(Lime::Known(..)));
        let (there, missing): (Vec<_>, Vec<_>) =
            stale.into_iter().filter(|client| known(self, client)).partition(|client| self.contact(client).is_some());
        self.update_contacts(&there).await?;
        self.create_contacts(&missing).await
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
        (moments.pass && !passes.iter().all(covered))
            || told().any(|errand| match &errand.change.told {
                Told::Receipt(_) => moments.purchase,
                Told::Client { deleted, .. } => moments.change && !deleted,
                _ => false,
            })
    }

    async fn update_contacts(&mut self, clients: &[ClientId]) -> Result<(), Halt> {
        let items = self.contacts_to_compare(clients).await?;
        let mut open: Vec<&ClientId> = clients.iter().collect();
        loop {
            let mut asked = Vec::new();
            let mut commands = Vec::new();
            for client in std::mem::take(&mut open) {
                let Some((written, fields)) = self.update_of(client, items.get(client)) else { continue };
                let Some(id) = self.contact(client) else { continue };
                let params = json!({ "entityTypeId": CONTACT, "id": id, "fields": fields });
                commands.push(Command::new("crm.item.update", params.clone()));
                asked.push((client, written, params));
            }
            let outcomes = self.portal.ask(&commands).await?;
            for ((client, written, params), outcome) in asked.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Done { result, .. } => {
                        if result.get("item").is_some_and(|item| !record::ignored(&params, item).is_empty()) {
                            open.push(client);
                        } else {
                            self.book.learn(card_key(client), Some(written.to_text()));
                        }
                    }
                    Outcome::Unanswered => self.decide_guest(client, &Halt::new("crm/unanswered")),
                    Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
                        Class::Stale => open.push(client),
                        // Deleted or merged away by people: the next attempt looks for them afresh.
                        Class::Gone => self.forget(client),
                        // A card that the portal does not like must not keep the passes from being recorded; it is tried again with the next one.
                        Class::Refused => {}
                        class => self.decide_guest(client, &schema::halt(&class)),
                    },
                }
            }
            if open.is_empty() || self.looked_again {
                // The names are as fresh as they can be, and a field still does not arrive: passes are recorded without it.
                return Ok(());
            }
            self.look_again().await?;
        }
    }

    /// Contacts as they are now, where phones and e-mails have to be compared.
    async fn contacts_to_compare(&mut self, clients: &[ClientId]) -> Result<BTreeMap<ClientId, Value>, Halt> {
        let changed: Vec<(ClientId, u64)> = clients
            .iter()
            .filter(|client| self.card_of(client).is_some_and(|(_, parts)| parts.person))
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

    fn update_of(&self, client: &ClientId, item: Option<&Value>) -> Option<(Written, record::Fields)> {
        let guest = self.guests.get(client)?;
        let Lime::Known(known, _) = &guest.lime else { return None };
        if self.open_jobs_of(client).is_empty() {
            return None;
        }
        let (card, parts) = self.card_of(client)?;
        let mut fields = record::card_fields(&card, known, parts, &self.schema, &self.settings.texts.zone, self.now_ms);
        if let Some(item) = item {
            record::person(known, item, guest.ours, &mut fields);
        }
        if guest.adopted {
            fields.insert("originatorId".to_owned(), json!(ORIGINATOR));
            fields.insert("originId".to_owned(), json!(record::contact_origin(client)));
        }
        (!fields.is_empty()).then_some((card.written, fields))
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
            let params = record::new_contact(known, own, self.settings.texts.nameless(), with_emails);
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
        self.book.learn(contact_key(client), None);
        self.book.learn(card_key(client), None);
        self.decide_guest(client, &Halt::after("crm/contact_gone", std::time::Duration::from_secs(1)));
    }

    fn decide_guest(&mut self, client: &ClientId, halt: &Halt) {
        self.verdict_for_guest(client, &halt.clone().into());
    }

    fn doubt_guest(&mut self, client: &ClientId) {
        self.verdict_for_guest(client, &Verdict::Doubtful);
    }

    fn verdict_for_guest(&mut self, client: &ClientId, verdict: &Verdict) {
        for seq in self.open_jobs_of(client) {
            self.book.decide(seq, verdict.clone());
        }
    }

    /// The guest's write-offs that are to be recorded now.
    fn fresh_write_offs(&self, client: &ClientId) -> Vec<&WriteOff> {
        let of = self.tasks.iter().filter(|task| task.write_off.client_id.as_ref() == Some(client));
        of.filter(|task| !task.doubtful && self.book.is_open(task.seq)).map(|task| &task.write_off).collect()
    }

    /// What is told of the guest, and is to be delivered now.
    fn fresh_errands<'a>(&'a self, client: &'a ClientId) -> impl Iterator<Item = &'a Errand> {
        self.errands.iter().filter(move |errand| !errand.doubtful && errand.client() == Some(client) && self.book.is_open(errand.seq))
    }

    fn guests_where(&self, wanted: impl Fn(&Self, &ClientId, &Guest) -> bool) -> Vec<ClientId> {
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
fn refused(outcome: Outcome) -> Result<Result<Value, Class>, Halt> {
    match outcome {
        Outcome::Done { result, .. } => Ok(Ok(result)),
        Outcome::Unanswered => Err(Halt::new("crm/unanswered")),
        Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
            class @ (Class::Gone | Class::Stale | Class::Refused) => Ok(Err(class)),
            class => Err(schema::halt(&class)),
        },
    }
}
