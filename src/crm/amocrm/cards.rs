//! Clients' cards: who of a batch needs theirs brought up to date, what Lime knows of them, where their contacts are, and one write for each whose card
//! has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use crate::crm::card::{self, Card, Known, Written};
use crate::crm::guests::{self, Told};
use crate::delivery::{Job, Verdict};
use crate::domain::{CategoryKind, Client, ClientId, RelationRole, Seq, Transaction, WriteOff};
use crate::flow::contacts::Link;
use crate::journal::Learned;
use crate::lime;

use super::contact::{self, Who};
use super::courier::Place;
use super::desk::{Desk, Stop};
use super::ledger::{self, ContactLine};
use super::meeting::{self, Met};
use super::memory::{Memory, client_of, write_off};
use super::moments::Need;
use super::schema::Schema;
use super::search;
use super::write::{Fate, Item, What, write, write_knowing};

/// A contact that goes again and again, or an item refused without a word: after so many attempts a person has to look.
const PATIENCE: u32 = 5;
/// Lime has refused to tell of a client, or says what nobody can read: asking again at once would not help.
const LIME_ODD: Duration = Duration::from_secs(300);

/// Brings the cards of these clients up to date. The jobs that go on from there: their client's contact is in `memory.contacts`, or Lime does not know
/// the client.
///
/// # Errors
/// When it cannot go on now; what has a verdict until then keeps it.
pub async fn bring_up_to_date(
    desk: &mut Desk,
    schema: &Schema,
    memory: &mut Memory,
    place: &Place,
    by_client: BTreeMap<ClientId, Vec<Job>>,
) -> Result<Vec<Job>, Stop> {
    let mut guests = Vec::new();
    let mut onward = Vec::new();
    let mut told = ask_lime(desk, memory, &by_client).await?;
    for (client, jobs) in by_client {
        let Some(told) = told.remove(&client) else { continue };
        match told {
            Ok((client, transactions)) => guests.push(Guest::new(client, transactions, jobs, place)),
            Err(lime::ParseProblem::NotFound) => onward.extend(jobs),
            Err(problem) => {
                let after = if let lime::ParseProblem::Later { after, .. } = &problem { *after } else { Some(LIME_ODD) };
                for job in jobs {
                    desk.judge(job.seq, Verdict::Retry { reason: problem.code(), after });
                }
            }
        }
    }
    find_contacts(desk, schema, memory, place, &mut guests).await?;
    if let Some(two_way) = &place.two_way {
        for guest in guests.iter_mut().filter(|guest| guest.contact.is_some()) {
            guest.met = meeting::meet(desk, schema, memory, place, two_way, guest).await?;
        }
    }
    write_cards(desk, schema, memory, place, &mut guests).await?;
    onward.extend(guests.into_iter().flat_map(|guest| guest.jobs));
    onward.sort_by_key(|job| job.seq);
    Ok(onward)
}

/// A client is gone at Lime: the contact stays, with a tag that says so, and is theirs no more.
///
/// # Errors
/// When it cannot be written now.
pub async fn part(desk: &mut Desk, memory: &mut Memory, place: &Place, jobs: Vec<Job>) -> Result<(), Stop> {
    let mut items = Vec::new();
    let mut of = BTreeMap::new();
    for job in jobs {
        let Some(client) = client_of(&job).cloned() else { continue };
        let Some(line) = memory.contacts.get(&client) else {
            desk.done(job.seq, None);
            continue;
        };
        let body = json!({ "id": line.id, "tags_to_add": [{ "name": place.texts.gone_tag() }] });
        items.push(Item { name: line.id.to_string(), body, jobs: vec![job.seq] });
        of.insert(line.id.to_string(), (job, client));
    }
    let mut fates = BTreeMap::new();
    let end = write(desk, What::ChangeContacts, items, &mut fates).await;
    for (name, fate) in fates {
        let Some((job, client)) = of.get(&name) else { continue };
        match fate {
            Fate::Written(_) | Fate::Gone => {
                for key in [ledger::card(client), Link::ledger_key(client)] {
                    memory.looked.put(key.clone(), None);
                    desk.learn(key, None);
                }
                memory.cards.remove(client);
                desk.done(job.seq, Some(format!("contact:{name}")));
            }
            other => judge(desk, memory, job, &other),
        }
    }
    end
}

/// A client whom jobs of this batch name.
pub struct Guest {
    /// As Lime has them.
    pub client: Client,
    transactions: Vec<Transaction>,
    /// The jobs that name them.
    pub jobs: Vec<Job>,
    /// What these need.
    pub told: Need,
    /// As it stands in amoCRM, where it was read.
    pub contact: Option<contact::Contact>,
    /// What the two cards came to, where both were read.
    met: Option<Met>,
    /// It was found just now: nothing that the box kept of an earlier contact holds.
    rewrite: bool,
}

impl Guest {
    fn new(client: Client, transactions: Vec<Transaction>, jobs: Vec<Job>, place: &Place) -> Self {
        let mut told = jobs.iter().map(|job| Need::of(job, place)).fold(Need::default(), Need::and);
        told.make |= told.register && !is_in_a_parents_card(&client);
        Self { client, transactions, jobs, told, contact: None, met: None, rewrite: false }
    }

    /// Lime's card as an answer to a write shows it. What is Lime's own stays as it was read.
    pub fn is_now(&mut self, client: Client) {
        let Client { category, cards, balances, relations, .. } = self.client.clone();
        self.client = Client { category, cards, balances, relations, ..client };
    }

    fn who<'a>(&'a self, place: &Place) -> Who<'a> {
        match (&self.met, &place.two_way) {
            (Some(met), _) => Who::Merged { set: &met.to_crm, now: &met.now },
            (None, Some(_)) => Who::Nothing,
            (None, None) => Who::OneWay,
        }
    }

    fn write_offs(&self) -> Vec<&WriteOff> {
        self.jobs.iter().filter_map(write_off).collect()
    }

    fn seqs(&self) -> Vec<Seq> {
        self.jobs.iter().map(|job| job.seq).collect()
    }

    /// What the card showed before, as far as known.
    fn before(&self, memory: &Memory) -> Option<Written> {
        if self.rewrite {
            let visits = self.contact.as_ref().and_then(|contact| contact.visits).unwrap_or(0);
            let kept = memory.cards.get(&self.client.id).cloned().unwrap_or_default();
            // Its hashes belong to what is no longer there; what was counted stays counted.
            return Some(Written { seen: kept.seen, visits: visits.max(kept.visits), ..Written::default() });
        }
        memory.cards.get(&self.client.id).cloned().or_else(|| memory.contacts.get(&self.client.id).map(|line| line.as_written()))
    }

    fn card(&self, before: Option<&Written>, place: &Place) -> Card {
        let known = Known { client: &self.client, transactions: &self.transactions, write_offs: &self.write_offs(), before };
        card::card(known, &place.texts)
    }
}

async fn ask_lime(desk: &mut Desk, memory: &mut Memory, by_client: &BTreeMap<ClientId, Vec<Job>>) -> Result<BTreeMap<ClientId, Told>, Stop> {
    let clients: Vec<ClientId> = by_client.keys().cloned().collect();
    let told = memory.guests.read(desk, &clients).await;
    if let Some(lesson) = memory.guests.lesson() {
        desk.learn(guests::ledger_key(), lesson);
    }
    told
}

/// Where each guest's contact is: as the ledger says, as amoCRM is asked, or nowhere.
async fn find_contacts(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place, guests: &mut [Guest]) -> Result<(), Stop> {
    let mut wanted: Vec<(usize, u64)> = Vec::new();
    for (at, guest) in guests.iter().enumerate() {
        let id = &guest.client.id;
        let changed = || memory.cards.get(id).map_or(place.two_way.is_some(), |written| written.person != card::person_hash(&guest.client));
        // Phones are replaced as a whole: before one is added, those that people put there must be known.
        if let Some(line) = memory.contacts.get(id)
            && (guest.told.merge || changed())
        {
            wanted.push((at, line.id));
        }
    }
    take_in(desk, schema, memory, guests, wanted).await?;
    // One that bears our id and is not in the ledger: a box before this one wrote it, or people have merged it with the one that was.
    let nowhere = guests.iter().enumerate().filter(|(_, guest)| !memory.contacts.contains_key(&guest.client.id));
    let told = nowhere.filter_map(|(at, guest)| Some((at, guest.told.contact?))).collect();
    take_in(desk, schema, memory, guests, told).await?;
    let unknown: Vec<Client> =
        guests.iter().filter(|guest| !memory.contacts.contains_key(&guest.client.id) && guest.told.make).map(|guest| guest.client.clone()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let asked: Vec<&Client> = unknown.iter().collect();
    let mut found = search::contacts(desk, schema, &asked, memory.walk, (&place.directory, place.now_wall_ms)).await?;
    // A family shares a phone: of two clients who match one contact, the first takes it, and the other gets one of their own.
    let mut taken = BTreeSet::new();
    for guest in guests.iter_mut().filter(|guest| !memory.contacts.contains_key(&guest.client.id)) {
        guest.rewrite = true;
        guest.contact = found.remove(&guest.client.id).filter(|contact| taken.insert(contact.id));
    }
    Ok(())
}

/// Reads these contacts: of those that the ledger knows, whoever is gone is forgotten; of the others, only such as bear their client's id are taken.
async fn take_in(desk: &mut Desk, schema: &Schema, memory: &mut Memory, guests: &mut [Guest], wanted: Vec<(usize, u64)>) -> Result<(), Stop> {
    let ids: Vec<u64> = wanted.iter().map(|(_, id)| *id).collect();
    let mut read = search::by_ids(desk, schema, &ids).await?;
    for (at, contact) in wanted {
        let Some(guest) = guests.get_mut(at) else { continue };
        let id = guest.client.id.clone();
        let there = read.remove(&contact).filter(|contact| contact.client.as_ref().is_none_or(|bears| *bears == id));
        let known = memory.contacts.contains_key(&id);
        match there {
            Some(contact) if known || contact.client.is_some() => {
                guest.rewrite = !known;
                memory.contacts.entry(id).or_insert(ContactLine { id: contact.id, visits: None });
                guest.contact = Some(contact);
            }
            _ if known => {
                memory.contacts.remove(&id);
                desk.learn(ledger::contact(&id), None);
            }
            _ => {}
        }
    }
    Ok(())
}

/// One write for each guest whose card has changed.
async fn write_cards(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place, guests: &mut [Guest]) -> Result<(), Stop> {
    let (mut creates, mut changes) = (Vec::new(), Vec::new());
    let mut sets: BTreeMap<String, Vec<Learned>> = BTreeMap::new();
    let mut sent: BTreeMap<String, (usize, Card)> = BTreeMap::new();
    for (at, guest) in guests.iter().enumerate() {
        if !guest.jobs.iter().any(|job| desk.is_open(job.seq)) {
            continue;
        }
        let id = guest.client.id.clone();
        let before = guest.before(memory);
        let card = guest.card(before.as_ref(), place);
        let contact = guest.contact.as_ref().map(|contact| contact.id).or_else(|| memory.contacts.get(&id).map(|line| line.id));
        let Some(contact) = contact else {
            if guest.told.make {
                let name = contact::request_id(&id);
                let body = contact::create(&id, &card, schema, &place.texts, place.now_wall_ms);
                creates.push(Item { name: name.clone(), body, jobs: guest.seqs() });
                sent.insert(name, (at, card));
            }
            continue;
        };
        let whole = guest.told.card || guest.rewrite;
        let change = contact::Change { found: guest.contact.as_ref(), card: &card, before: before.as_ref(), who: guest.who(place), whole };
        match contact::change(contact, change, schema, place.now_wall_ms) {
            Some(body) => {
                let name = contact.to_string();
                changes.push(Item { name: name.clone(), body, jobs: guest.seqs() });
                sets.insert(name.clone(), guest.met.as_ref().map(|met| met.learned.clone()).unwrap_or_default());
                sent.insert(name, (at, card));
            }
            None => {
                for line in guest.met.iter().flat_map(|met| met.learned.clone()) {
                    desk.learn(line.key, line.value);
                }
                keep(desk, memory, &id, contact, written(&card, before, whole));
            }
        }
    }
    let mut fates = BTreeMap::new();
    let mut end = write(desk, What::CreateContacts, creates, &mut fates).await;
    if end.is_ok() {
        end = write_knowing(desk, What::ChangeContacts, changes, &sets, &mut fates).await;
    }
    for (name, fate) in fates {
        let Some((guest, card)) = sent.get(&name).and_then(|(at, card)| Some((guests.get_mut(*at)?, card))) else { continue };
        let client = guest.client.id.clone();
        match fate {
            Fate::Written(id) => {
                place.directory.wrote(id);
                let made = guest.contact.is_none() && !memory.contacts.contains_key(&client);
                let line = match (&place.two_way, &mut guest.met) {
                    (Some(two_way), Some(met)) => Some(met.arrived(two_way, &client)),
                    (Some(two_way), None) if made => Some(meeting::made(two_way, &guest.client, id)),
                    _ => None,
                };
                if let Some(line) = line {
                    memory.looked.put(line.key.clone(), line.value.clone());
                    desk.learn(line.key, line.value);
                }
                let whole = made || guest.told.card || guest.rewrite;
                let before = guest.before(memory);
                keep(desk, memory, &client, id, written(card, before, whole));
            }
            other => {
                if let (Fate::Bad(_), Some(met)) = (&other, &mut guest.met) {
                    let line = met.refused(&client);
                    desk.learn(line.key, line.value);
                }
                for job in &guest.jobs {
                    judge(desk, memory, job, &other);
                }
            }
        }
    }
    end
}

/// A child whom nobody could reach: their parents' cards show them, and no contact is made until they have a phone or address, grow up, or pass.
fn is_in_a_parents_card(client: &Client) -> bool {
    let child = client.category.as_ref().is_some_and(|category| category.kind == CategoryKind::Child);
    child && client.phones.is_empty() && client.emails.is_empty() && client.relations.iter().any(|relation| relation.role == RelationRole::Parent)
}

/// What the card shows from here on: where only the person was seen to, the rest is as it was.
fn written(card: &Card, before: Option<Written>, whole: bool) -> Written {
    if whole { card.written.clone() } else { Written { person: card.written.person.clone(), ..before.unwrap_or_default() } }
}

/// The card stands as it should: remember where and how.
fn keep(desk: &mut Desk, memory: &mut Memory, client: &ClientId, contact: u64, written: Written) {
    memory.learn_contact(desk, client, contact);
    desk.learn(ledger::card(client), Some(written.to_text()));
    memory.cards.insert(client.clone(), written);
}

/// What a refusal of an item means for a job.
pub fn judge(desk: &mut Desk, memory: &mut Memory, job: &Job, fate: &Fate) {
    let patient = job.attempts < PATIENCE;
    let verdict = match fate {
        Fate::Written(_) => return,
        Fate::Gone if patient => {
            // Merged or deleted over there: forget it, and search again.
            if let Some(client) = client_of(job) {
                desk.learn(ledger::contact(client), None);
                memory.contacts.remove(client);
            }
            Verdict::Retry { reason: "amocrm/contact_gone".to_owned(), after: None }
        }
        Fate::Refused(_) if patient && !desk.accepted => Verdict::Retry { reason: "amocrm/refused".to_owned(), after: None },
        Fate::Gone => Verdict::Dead { reason: "amocrm/contact_gone".to_owned(), answer: String::new() },
        Fate::Refused(said) => Verdict::Dead { reason: "amocrm/refused".to_owned(), answer: said.clone() },
        Fate::Bad(said) => Verdict::Dead { reason: "amocrm/invalid".to_owned(), answer: said.clone() },
    };
    desk.judge(job.seq, verdict);
}
