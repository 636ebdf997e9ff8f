//! Writing in batches that are refused as a whole: bad items are taken out by their name, or found by halving, and the rest goes on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::delivery::Host;
use crate::domain::Seq;
use crate::http::Answer;
use crate::journal::Learned;

use super::desk::{Desk, Stop};
use super::errors::{BadItem, Meaning, meaning};
use super::{elements, wire};

/// Items of one write: the API takes 250 and asks for no more than 50.
pub const BATCH: usize = 50;
/// So many refusals of single items in a row, and nothing taken: it is not about the items.
const ROW: u32 = 3;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `POST /contacts`
    CreateContacts,
    /// `PATCH /contacts`
    ChangeContacts,
    /// `POST /leads`
    CreateLeads,
    /// `POST /catalogs/{id}/elements`
    CreateElements(u64),
    /// `PATCH /catalogs/{id}/elements`
    ChangeElements(u64),
}

impl What {
    fn creates(self) -> bool {
        !matches!(self, Self::ChangeContacts | Self::ChangeElements(_))
    }

    fn entity(self) -> &'static str {
        match self {
            Self::CreateContacts | Self::ChangeContacts => "contacts",
            Self::CreateLeads => "leads",
            Self::CreateElements(_) | Self::ChangeElements(_) => "elements",
        }
    }

    fn request(self, items: &[Item]) -> crate::http::Request {
        let body: Vec<&Value> = items.iter().map(|item| &item.body).collect();
        let elements = |catalog: u64| format!("/catalogs/{catalog}/elements");
        match self {
            Self::CreateContacts => wire::send(Method::POST, "/contacts", &body, "POST /contacts"),
            Self::ChangeContacts => wire::send(Method::PATCH, "/contacts", &body, "PATCH /contacts"),
            Self::CreateLeads => wire::send(Method::POST, "/leads", &body, "POST /leads"),
            Self::CreateElements(catalog) => wire::send(Method::POST, &elements(catalog), &body, "POST /catalogs/{id}/elements"),
            Self::ChangeElements(catalog) => wire::send(Method::PATCH, &elements(catalog), &body, "PATCH /catalogs/{id}/elements"),
        }
    }

    /// What an entry of the answer is called by. An element is answered whole, and what its `request_id` reads as is not sure.
    fn name_of(self, entry: &Value) -> Option<String> {
        match self {
            Self::CreateElements(_) => elements::external_id(entry).or_else(|| wire::text(entry.get("request_id"))),
            what if what.creates() => wire::text(entry.get("request_id")),
            _ => wire::text(entry.get("id")),
        }
    }
}

/// One item of a write.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its `request_id`, or the id of what is changed.
    pub name: String,
    /// What is sent.
    pub body: Value,
    /// The jobs that it serves.
    pub jobs: Vec<Seq>,
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there, under this id.
    Written(u64),
    /// Refused for what is in it.
    Bad(String),
    /// Refused alone, without a word on what is wrong with it.
    Refused(String),
    /// The contact that it is about is not there.
    Gone,
}

/// Writes all items. `fates` holds, by name, those whose fate is known, also when it stops; jobs of items whose creation is in doubt have their verdict.
///
/// # Errors
/// When it cannot go on now.
pub async fn write(desk: &mut Desk, what: What, items: Vec<Item>, fates: &mut BTreeMap<String, Fate>) -> Result<(), Stop> {
    write_knowing(desk, what, items, &BTreeMap::new(), fates).await
}

/// As [`write()`]. `sets` holds, by name, the lines of the ledger by which a change that is written is known as ours: on disk before it leaves.
///
/// # Errors
/// When it cannot go on now.
pub async fn write_knowing(
    desk: &mut Desk,
    what: What,
    items: Vec<Item>,
    sets: &BTreeMap<String, Vec<Learned>>,
    fates: &mut BTreeMap<String, Fate>,
) -> Result<(), Stop> {
    let mut queue = VecDeque::new();
    let mut items = items.into_iter();
    loop {
        let batch: Vec<Item> = items.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        queue.push_back(batch);
    }
    let mut refusals = 0;
    while let Some(mut items) = queue.pop_front() {
        let jobs: Vec<Seq> = items.iter().flat_map(|item| item.jobs.iter().copied()).collect();
        let request = what.request(&items);
        let known: Vec<Learned> = items.iter().filter_map(|item| sets.get(&item.name)).flatten().cloned().collect();
        let answer = if what.creates() {
            desk.create(request, jobs.clone()).await?
        } else if known.is_empty() {
            desk.ask(Host::Crm, request).await?
        } else {
            desk.set(Host::Crm, request, known).await?
        };
        match meaning(&answer) {
            Meaning::Good => {
                refusals = 0;
                desk.accepted = true;
                settle(desk, what, &items, &answer, fates);
            }
            Meaning::Later { reason, after } => return Err(Stop::Later { reason, after }),
            Meaning::Broken { reason } => {
                if what.creates() {
                    desk.doubt(&jobs);
                }
                return Err(Stop::later(reason, None));
            }
            // Once per conversation; where it is all there after a second look, the fault is the item's own.
            Meaning::BadItems(bad) if !desk.reloaded && bad.iter().any(|bad| bad.schema) => return Err(Stop::Schema),
            Meaning::Refused { .. } if !desk.reloaded && answer.status.as_u16() == 422 => return Err(Stop::Schema),
            Meaning::BadItems(bad) => {
                let before = items.len();
                take_out(&mut items, &bad, fates);
                if items.len() == before {
                    halve(items, "an item was refused that was not in the batch".to_owned(), &mut queue, fates);
                } else if !items.is_empty() {
                    queue.push_front(items);
                }
            }
            Meaning::Refused { said } => {
                if items.len() == 1 {
                    refusals += 1;
                }
                halve(items, said, &mut queue, fates);
                if refusals >= ROW && !desk.accepted {
                    return Err(Stop::later("amocrm/refused", Some(Duration::from_secs(60))));
                }
            }
        }
    }
    Ok(())
}

/// The batch was taken: each item's id by its name. An item that the answer does not name may or may not be there.
fn settle(desk: &mut Desk, what: What, items: &[Item], answer: &Answer, fates: &mut BTreeMap<String, Fate>) {
    let taken = wire::page(answer, what.entity()).map(|page| page.items).unwrap_or_default();
    let ids: BTreeMap<String, u64> = taken.iter().filter_map(|entry| Some((what.name_of(entry)?, wire::id(entry.get("id"))?))).collect();
    for item in items {
        match (ids.get(&item.name), item.name.parse()) {
            (Some(id), _) => drop(fates.insert(item.name.clone(), Fate::Written(*id))),
            // What is changed keeps its id, whether or not the answer repeats it.
            (None, Ok(id)) if !what.creates() => drop(fates.insert(item.name.clone(), Fate::Written(id))),
            (None, _) => desk.doubt(&item.jobs),
        }
    }
}

/// Removes the items that were named, by our name for them or by their index.
fn take_out(items: &mut Vec<Item>, bad: &[BadItem], fates: &mut BTreeMap<String, Fate>) {
    let mut out = Vec::new();
    for bad in bad {
        let named = items.iter().position(|item| item.name == bad.name);
        let Some(at) = named.or_else(|| bad.name.parse().ok().filter(|at| *at < items.len())) else { continue };
        let fate = if bad.gone { Fate::Gone } else { Fate::Bad(bad.said.clone()) };
        if let Some(item) = items.get(at) {
            fates.insert(item.name.clone(), fate);
            out.push(at);
        }
    }
    let mut at = 0;
    items.retain(|_| {
        at += 1;
        !out.contains(&(at - 1))
    });
}

/// Halves a batch to find the item that spoils it; one that stands alone is it.
fn halve(mut items: Vec<Item>, said: String, queue: &mut VecDeque<Vec<Item>>, fates: &mut BTreeMap<String, Fate>) {
    if items.len() > 1 {
        let rest = items.split_off(items.len() / 2);
        queue.push_front(rest);
        queue.push_front(items);
    } else if let Some(item) = items.pop() {
        fates.insert(item.name, Fate::Refused(said));
    }
}
