//! A client's two cards brought together: read anew on both sides, merged field by field, written to Lime here, and to amoCRM with the rest of the card.
//!
//! Never: a write that leaves before the link that knows it as ours is on disk; a version of Lime's client written over that was not read.

use std::time::Duration;

use crate::delivery::{Host, Verdict};
use crate::domain::{Client, ClientId, ContactField, Personal, Phone, Side};
use crate::flow::contacts::{self, Card, Keyer, Link, Merged, Read, Rules, lime_card, merge, overruled_key};
use crate::journal::Learned;
use crate::lime::clients::{self, ClientConflict, ClientFields};
use crate::lime::parse;
use crate::lime::{By, Written};

use super::cards::Guest;
use super::courier::Place;
use super::desk::{Desk, Stop};
use super::memory::Memory;
use super::schema::Schema;

/// Cards that change at Lime while they are merged are merged again, so often.
const ROUNDS: usize = 4;

/// How contacts go both ways.
#[derive(Clone, Debug)]
pub struct TwoWay {
    /// The box's key for marks.
    pub keyer: Keyer,
    /// Who wins.
    pub rules: Rules,
}

/// What two cards came to.
#[derive(Clone, Debug)]
pub struct Met {
    /// What is known of both.
    link: Link,
    /// What is to be set on the contact.
    pub to_crm: Card,
    /// The contact's card as it stands.
    pub now: Card,
    /// To be on disk before the contact is written.
    pub learned: Vec<Learned>,
}

impl Met {
    /// The contact holds now what it was to hold.
    pub fn arrived(&mut self, two_way: &TwoWay, client: &ClientId) -> Learned {
        self.link.arrived(&two_way.keyer, client, Side::Crm, &self.to_crm);
        line(client, &self.link)
    }

    /// amoCRM will not take it.
    pub fn refused(&mut self, client: &ClientId) -> Learned {
        self.link.refused(Side::Crm, &self.to_crm);
        line(client, &self.link)
    }
}

fn line(client: &ClientId, link: &Link) -> Learned {
    Learned { key: Link::ledger_key(client), value: Some(link.to_json()) }
}

/// The link of a contact that was just made from Lime's card.
#[must_use]
pub fn made(two_way: &TwoWay, client: &Client, contact: u64) -> Learned {
    line(&client.id, &Link::alike(contact.to_string(), &two_way.keyer, &client.id, &lime_card(client)))
}

/// Merges a guest's cards, of which both were read, and writes Lime's. `None`: the guest's jobs have a verdict.
///
/// # Errors
/// When it cannot go on now.
pub async fn meet(
    desk: &mut Desk,
    schema: &Schema,
    memory: &mut Memory,
    place: &Place,
    two_way: &TwoWay,
    guest: &mut Guest,
) -> Result<Option<Met>, Stop> {
    let Some(contact) = guest.contact.clone() else { return Ok(None) };
    let id = guest.client.id.clone();
    let known = memory.looked.get(&Link::ledger_key(&id)).and_then(Link::from_json);
    let mut link = known.filter(|link| link.contact == contact.id.to_string()).unwrap_or_else(|| Link::new(contact.id.to_string()));
    for _ in 0..ROUNDS {
        let lime = Read { card: lime_card(&guest.client), changed_ms: guest.told.lime_ms.unwrap_or(place.now_wall_ms) };
        let now = contact.held(&lime.card, schema, &place.texts);
        let crm = Read { card: now.clone(), changed_ms: guest.told.crm_ms.unwrap_or_else(|| contact.changed_ms()) };
        let merged = merge(&mut link, &two_way.keyer, &id, &lime, &crm, &two_way.rules);
        let recorded = memory.looked.get(&overruled_key(&id)).map(str::to_owned);
        let learned = merged.learned(&id, &link, recorded.as_deref(), place.now_wall_ms);
        for line in &learned {
            memory.looked.put(line.key.clone(), line.value.clone());
        }
        let Merged { to_lime, to_crm, .. } = merged;
        if to_lime.is_empty() {
            return Ok(Some(Met { link, to_crm, now, learned }));
        }
        // Along with it, what the answers before said: Lime's feed does not wait for the end of this conversation.
        let learned = learned.into_iter().chain(std::mem::take(&mut memory.wrote)).collect();
        match write_lime(desk, guest, contact.id, &to_lime, learned).await? {
            Written::Done(client) => {
                let shown = lime_card(&client).into_iter().filter(|(field, _)| to_lime.contains_key(field)).collect();
                link.arrived(&two_way.keyer, &id, Side::Lime, &shown);
                let wrote = clients::wrote(&client);
                memory.wrote.push(wrote.clone());
                desk.learn(wrote.key, wrote.value);
                guest.is_now(*client);
                return Ok(Some(settled(desk, memory, &id, link, to_crm, now)));
            }
            Written::Conflict(ClientConflict { current }) => {
                link.failed(&two_way.keyer, &id, Side::Lime, &to_lime);
                let current = match current {
                    Some(current) => Ok(*current),
                    None => parse::client(&desk.ask(Host::Lime, crate::lime::requests::client(&id)).await?),
                };
                match current {
                    Ok(current) => guest.is_now(current),
                    Err(problem) => {
                        judge(desk, guest, &problem.code(), None);
                        return Ok(None);
                    }
                }
                // Whoever wrote it there did so a moment ago.
                guest.told.lime_ms = Some(place.now_wall_ms);
            }
            Written::Refused(_) => {
                link.refused(Side::Lime, &to_lime);
                return Ok(Some(settled(desk, memory, &id, link, to_crm, now)));
            }
            Written::Later { code, after } => {
                judge(desk, guest, &code, after);
                return Ok(None);
            }
        }
    }
    judge(desk, guest, "lime/version_conflict", None);
    Ok(None)
}

fn settled(desk: &mut Desk, memory: &mut Memory, client: &ClientId, link: Link, to_crm: Card, now: Card) -> Met {
    let learned = line(client, &link);
    memory.looked.put(learned.key.clone(), learned.value.clone());
    desk.learn(learned.key.clone(), learned.value.clone());
    Met { link, to_crm, now, learned: vec![learned] }
}

fn judge(desk: &mut Desk, guest: &Guest, reason: &str, after: Option<Duration>) {
    for job in &guest.jobs {
        desk.judge(job.seq, Verdict::Retry { reason: reason.to_owned(), after });
    }
}

async fn write_lime(
    desk: &mut Desk,
    guest: &Guest,
    contact: u64,
    set: &Card,
    learned: Vec<Learned>,
) -> Result<Written<Box<Client>, ClientConflict>, Stop> {
    let reference = format!("amo:contact:{contact}");
    let by = By { origin: "crm:amo", reference: &reference };
    let request = clients::change(&guest.client.id, guest.client.version, &fields(set), by);
    Ok(clients::changed(&desk.set(Host::Lime, request, learned).await?))
}

fn fields(set: &Card) -> ClientFields {
    let one = |field: ContactField| set.get(&field).map(|held| Personal::new(held.reveal()));
    let values = |held: &contacts::Held| held.values().cloned().collect();
    ClientFields {
        last_name: one(ContactField::LastName),
        first_name: one(ContactField::FirstName),
        middle_name: one(ContactField::MiddleName),
        birth_date: one(ContactField::BirthDate),
        phones: set.get(&ContactField::Phones).map(|held| held.values().filter_map(|phone| Phone::parse(phone.reveal())).collect()),
        emails: set.get(&ContactField::Emails).map(values),
    }
}
