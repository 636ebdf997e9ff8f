//! Clients' cards: who of a batch needs theirs brought up to date, what Lime knows of them, where their contacts are, and one write for each whose card
//! has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::crm::card::{self, Card, Known, Written};
use crate::crm::guests::{self, Told};
use crate::delivery::{Job, Verdict};
use crate::domain::{Client, ClientId, Seq, Transaction, WriteOff};
use crate::lime;

use super::courier::Place;
use super::desk::{Desk, Stop};
use super::ledger::{self, ContactLine};
use super::memory::{Memory, client_of, write_off};
use super::schema::Schema;
use super::write::{Fate, Item, What, write};
use super::{contact, search};

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
            Ok((client, transactions)) => guests.push(Guest { client, transactions, jobs, contact: None, rewrite: false }),
            Err(lime::ParseProblem::NotFound) => onward.extend(jobs),
            Err(problem) => {
                let after = if let lime::ParseProblem::Later { after, .. } = &problem { *after } else { Some(LIME_ODD) };
                for job in jobs {
                    desk.judge(job.seq, Verdict::Retry { reason: problem.code(), after });
                }
            }
        }
    }
    find_contacts(desk, schema, memory, &mut guests).await?;
    write_cards(desk, schema, memory, place, &guests).await?;
    onward.extend(guests.into_iter().flat_map(|guest| guest.jobs));
    onward.sort_by_key(|job| job.seq);
    Ok(onward)
}

/// A client whom jobs of this batch name.
struct Guest {
    client: Client,
    transactions: Vec<Transaction>,
    jobs: Vec<Job>,
    /// As it stands in amoCRM, where it was read.
    contact: Option<contact::Contact>,
    /// It was found just now: nothing that the box kept of an earlier contact holds.
    rewrite: bool,
}

impl Guest {
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
async fn find_contacts(desk: &mut Desk, schema: &Schema, memory: &mut Memory, guests: &mut [Guest]) -> Result<(), Stop> {
    for guest in guests.iter_mut() {
        let id = guest.client.id.clone();
        let (Some(line), Some(written)) = (memory.contacts.get(&id).copied(), memory.cards.get(&id)) else { continue };
        // Phones are replaced as a whole: before one is added, those that people put there must be known.
        if written.person == card::person_hash(&guest.client) {
            continue;
        }
        guest.contact = search::contact(desk, schema, line.id, &guest.client).await?;
        if guest.contact.is_none() {
            memory.contacts.remove(&id);
        }
    }
    let unknown: Vec<Client> =
        guests.iter().filter(|guest| !memory.contacts.contains_key(&guest.client.id)).map(|guest| guest.client.clone()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let asked: Vec<&Client> = unknown.iter().collect();
    let mut found = search::contacts(desk, schema, &asked, memory.walk).await?;
    // A family shares a phone: of two clients who match one contact, the first takes it, and the other gets one of their own.
    let mut taken = BTreeSet::new();
    for guest in guests.iter_mut().filter(|guest| !memory.contacts.contains_key(&guest.client.id)) {
        guest.rewrite = true;
        guest.contact = found.remove(&guest.client.id).filter(|contact| taken.insert(contact.id));
    }
    Ok(())
}

/// One write for each guest whose card has changed.
async fn write_cards(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place, guests: &[Guest]) -> Result<(), Stop> {
    let (mut creates, mut changes) = (Vec::new(), Vec::new());
    let mut sent: BTreeMap<String, (&Guest, Card)> = BTreeMap::new();
    for guest in guests {
        let id = guest.client.id.clone();
        let before = guest.before(memory);
        let card = guest.card(before.as_ref(), place);
        let contact = guest.contact.as_ref().map(|contact| contact.id).or_else(|| memory.contacts.get(&id).map(|line| line.id));
        let Some(contact) = contact else {
            let name = contact::request_id(&id);
            creates.push(Item { name: name.clone(), body: contact::create(&id, &card, schema, &place.texts, place.now_wall_ms), jobs: guest.seqs() });
            sent.insert(name, (guest, card));
            continue;
        };
        match contact::change(contact, guest.contact.as_ref(), &card, before.as_ref(), schema, place.now_wall_ms) {
            Some(body) => {
                changes.push(Item { name: contact.to_string(), body, jobs: guest.seqs() });
                sent.insert(contact.to_string(), (guest, card));
            }
            None => keep(desk, memory, &id, contact, &card),
        }
    }
    let mut fates = BTreeMap::new();
    let mut end = write(desk, What::CreateContacts, creates, &mut fates).await;
    if end.is_ok() {
        end = write(desk, What::ChangeContacts, changes, &mut fates).await;
    }
    for (name, fate) in fates {
        let Some((guest, card)) = sent.get(&name) else { continue };
        match fate {
            Fate::Written(id) => keep(desk, memory, &guest.client.id, id, card),
            other => {
                for job in &guest.jobs {
                    judge(desk, memory, job, &other);
                }
            }
        }
    }
    end
}

/// The card stands as it should: remember where and how.
fn keep(desk: &mut Desk, memory: &mut Memory, client: &ClientId, contact: u64, card: &Card) {
    let line = ContactLine { id: contact, visits: None };
    desk.learn(ledger::contact(client), Some(line.to_text()));
    desk.learn(ledger::card(client), Some(card.written.to_text()));
    memory.contacts.insert(client.clone(), line);
    memory.cards.insert(client.clone(), card.written.clone());
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
