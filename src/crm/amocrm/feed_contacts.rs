//! The feed of contacts: which of our clients' contacts people have changed, deleted or merged. Pure.
//!
//! A contact that bears no client's id is nobody's in Lime and is left alone: it is found by phone or e-mail when Lime tells of its client. A contact
//! whose card shows nothing but what was last seen there, or what was written by us, is no news. The first reading begins with what is newest: the first
//! synchronisation is driven from Lime.
//!
//! Never: a change of our own told as news; a contact told as changed because an account ignores filters.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::crm::texts::Texts;
use crate::delivery::{Host, Ledger};
use crate::domain::{Fate, Side, Told};
use crate::feed::{Feed, Heard, News, Page, Turn, cursor_key};
use crate::flow::contacts::{Keyer, Link};
use crate::http::{Answer, Request};
use crate::journal::Learned;

use super::contact::{Contact, Held};
use super::schema::Schema;
use super::updated::{List, OVERLAP, Reading, Took, Watermark, updated};
use super::{ledger, wire};

/// The feed's name.
pub const NAME: &str = "amocrm.contacts";

const LIST: List = List { name: "contacts", with: "", label: "GET /contacts?updated" };
/// Events of a page; the API gives no more.
const EVENTS: usize = 100;
/// What is kept in one append.
const KEEP: usize = 500;
/// Events that are remembered; with more, some are told a second time.
const MOST_EVENTS: usize = 1_000;
/// An answer that cannot be used is asked for again after this long.
const TROUBLE: Duration = Duration::from_secs(60);

/// The feed's cursor, as JSON in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// Contacts.
    cards: Watermark,
    /// The newest event that was seen, seconds since 1970 UTC.
    events_at: i64,
    /// The events that were seen in the overlap before it.
    events: BTreeMap<String, i64>,
}

/// Where it stands.
#[derive(Debug)]
enum Phase {
    /// Nowhere.
    Resting,
    /// Asks for the newest contact of all.
    First,
    /// Reads the list.
    Reading(Reading),
    /// Reads events.
    Events,
    /// Asks whose the contact is that another was merged into.
    Merged(Merge),
}

/// One contact went into another.
#[derive(Clone, Debug)]
struct Merge {
    event: String,
    at: i64,
    from: u64,
    into: u64,
}

/// The feed.
#[derive(Debug)]
pub struct FeedContacts {
    poll: Duration,
    keyer: Keyer,
    texts: Texts,
    phase: Phase,
    cursor: Cursor,
    /// The account was seen to ignore filters.
    ignores_filters: bool,
    /// To be told.
    news: VecDeque<News>,
    /// Something is to be kept, news or not.
    moved: bool,
    /// To be asked once what was told is on disk.
    next: Option<Request>,
    merges: VecDeque<Merge>,
    /// Events are asked for from here on, seconds since 1970 UTC.
    events_from: i64,
    /// The best wall time when the watermark was last seen to move, milliseconds since 1970 UTC.
    moved_ms: Option<i64>,
}

impl FeedContacts {
    /// One that asks every so often. `keyer`: the box's key for marks.
    #[must_use]
    pub fn new(poll: Duration, keyer: Keyer, texts: Texts) -> Self {
        Self {
            poll,
            keyer,
            texts,
            phase: Phase::Resting,
            cursor: Cursor::default(),
            ignores_filters: false,
            news: VecDeque::new(),
            moved: false,
            next: None,
            merges: VecDeque::new(),
            events_from: 0,
            moved_ms: None,
        }
    }

    fn begin(&mut self, ledger: &dyn Ledger, now_wall_ms: i64) -> Turn {
        self.news.clear();
        self.merges.clear();
        (self.moved, self.next) = (false, None);
        // Whoever delivers the first job reads the schema; until then nobody could say whose a contact is.
        let Some(schema) = schema(ledger) else { return self.rest() };
        match ledger.get(&cursor_key(NAME)).and_then(|text| serde_json::from_str(&text).ok()) {
            Some(cursor) => {
                self.cursor = cursor;
                let filters = schema.filters && !self.ignores_filters;
                let quiet = now_wall_ms.saturating_sub(*self.moved_ms.get_or_insert(now_wall_ms)) > OVERLAP * 1000;
                let (reading, request) = Reading::after(LIST, self.cursor.cards.clone(), filters, quiet);
                self.phase = Phase::Reading(reading);
                Turn::Ask(request)
            }
            None => {
                self.phase = Phase::First;
                Turn::Ask(LIST.newest())
            }
        }
    }

    fn hear(&mut self, answer: &Answer, ledger: &dyn Ledger) -> Turn {
        let Some(schema) = schema(ledger) else { return self.rest() };
        match std::mem::replace(&mut self.phase, Phase::Resting) {
            Phase::Resting => self.rest(),
            Phase::First => {
                let Some(page) = wire::page(answer, LIST.name) else { return trouble(answer) };
                let newest = page.items.first();
                let at = newest.and_then(updated).unwrap_or(0);
                // Nothing counts as seen: what people change between our first write of a card and this reading is news, and what is not is known by its
                // marks.
                self.cursor = Cursor { cards: Watermark { at, ..Watermark::default() }, events_at: at, events: BTreeMap::new() };
                self.moved = true;
                let (reading, request) = Reading::new(LIST, self.cursor.cards.clone(), schema.filters && !self.ignores_filters);
                (self.phase, self.next) = (Phase::Reading(reading), Some(request));
                self.keep()
            }
            Phase::Reading(mut reading) => {
                let took = reading.take(answer, |card| self.told(card, &schema, ledger));
                let request = match took {
                    Took::Unreadable => return trouble(answer),
                    Took::Ask(request) => request,
                    Took::NoFilters(request) => {
                        self.ignores_filters = true;
                        request
                    }
                    Took::News(news, mark, next) => {
                        if mark.at != self.cursor.cards.at {
                            self.moved_ms = None;
                        }
                        self.moved |= mark != self.cursor.cards;
                        self.cursor.cards = mark;
                        self.news.extend(news);
                        self.phase = if next.is_some() { Phase::Reading(reading) } else { Phase::Events };
                        self.next = Some(match next {
                            Some(next) => next,
                            None => self.ask_events(),
                        });
                        return self.keep();
                    }
                };
                self.phase = Phase::Reading(reading);
                Turn::Ask(request)
            }
            Phase::Events => {
                // Not every rate plan tells events: what is deleted or merged is then found out when it is next written.
                let Some(page) = wire::page(answer, "events") else { return self.keep() };
                let known = self.hear_events(&page.items);
                if let Some(next) = page.next.filter(|_| !known) {
                    self.phase = Phase::Events;
                    self.next = Some(Request::get(next, "GET /events"));
                } else {
                    self.next_merge();
                }
                self.keep()
            }
            Phase::Merged(merge) => {
                let entry = answer.json();
                if entry.is_none() && !matches!(answer.status.as_u16(), 204 | 404) {
                    return trouble(answer);
                }
                let client = entry.and_then(|entry| Contact::read(&entry, &schema)).and_then(|contact| contact.client);
                self.news.push_back(News {
                    told: Told::Contact { id: merge.from.to_string(), client, fate: Fate::MergedInto(merge.into.to_string()) },
                    version: merge.event.clone(),
                    changed_ms: merge.at * 1000,
                    origin: None,
                    back_fill: false,
                });
                self.saw(merge.event, merge.at);
                self.next_merge();
                self.keep()
            }
        }
    }

    /// What is told of a contact that has changed.
    fn told(&self, card: &Value, schema: &Schema, ledger: &dyn Ledger) -> Option<News> {
        let contact = Contact::read(card, schema)?;
        let client = contact.client.clone()?;
        let link = ledger.get(&Link::ledger_key(&client)).as_deref().and_then(Link::from_json);
        let shown = contact.held(&Held::new(), schema, &self.texts);
        let knows = |link: &Link| link.contact == contact.id.to_string() && link.knows(&self.keyer, &client, Side::Crm, &shown);
        if link.as_ref().is_some_and(knows) {
            return None;
        }
        let told = Told::Contact { id: contact.id.to_string(), client: Some(client), fate: Fate::There };
        let at = updated(card)?;
        Some(News { told, version: at.to_string(), changed_ms: at * 1000, origin: None, back_fill: false })
    }

    fn ask_events(&mut self) -> Request {
        self.events_from = (self.cursor.events_at - OVERLAP).max(0);
        let from = self.events_from;
        let types = "filter%5Btype%5D%5B%5D=contact_deleted&filter%5Btype%5D%5B%5D=entity_merged";
        wire::get(&format!("/events?{types}&filter%5Bcreated_at%5D%5Bfrom%5D={from}&limit={EVENTS}"), "GET /events")
    }

    /// Takes events, newest first. True when older ones are known or do not matter.
    fn hear_events(&mut self, events: &[Value]) -> bool {
        for event in events {
            let (Some(id), Some(at), Some(entity)) =
                (wire::text(event.get("id")), wire::number(event.get("created_at")), wire::id(event.get("entity_id")))
            else {
                continue;
            };
            if at < self.events_from {
                return true;
            }
            if wire::text(event.get("entity_type")).as_deref() != Some("contact") || self.cursor.events.contains_key(&id) {
                continue;
            }
            match event.get("type").and_then(Value::as_str) {
                Some("contact_deleted") => {
                    self.news.push_back(News {
                        told: Told::Contact { id: entity.to_string(), client: None, fate: Fate::Deleted },
                        version: id.clone(),
                        changed_ms: at * 1000,
                        origin: None,
                        back_fill: false,
                    });
                    self.saw(id, at);
                }
                Some("entity_merged") => {
                    let merges = merged_from(event).into_iter().map(|from| Merge { event: id.clone(), at, from, into: entity });
                    self.merges.extend(merges);
                }
                _ => {}
            }
        }
        false
    }

    fn saw(&mut self, event: String, at: i64) {
        self.cursor.events_at = self.cursor.events_at.max(at);
        self.cursor.events.insert(event, at);
        let from = self.cursor.events_at - OVERLAP;
        self.cursor.events.retain(|_, at| *at >= from);
        while self.cursor.events.len() > MOST_EVENTS {
            self.cursor.events.pop_first();
        }
        self.moved = true;
    }

    fn next_merge(&mut self) {
        if let Some(merge) = self.merges.pop_front() {
            self.next = Some(wire::get(&format!("/contacts/{}", merge.into), "GET /contacts/{id}"));
            self.phase = Phase::Merged(merge);
        }
    }

    /// Keeps what there is to keep, else goes on.
    fn keep(&mut self) -> Turn {
        if self.news.is_empty() && !self.moved {
            return self.go_on();
        }
        let some = self.news.len().min(KEEP);
        let news: Vec<News> = self.news.drain(..some).collect();
        // The cursor covers all of it, so it goes with the last.
        let learned = if self.news.is_empty() {
            self.moved = false;
            vec![Learned { key: cursor_key(NAME), value: serde_json::to_string(&self.cursor).ok() }]
        } else {
            Vec::new()
        };
        Turn::Keep(Page { news, learned })
    }

    fn go_on(&mut self) -> Turn {
        match self.next.take() {
            Some(request) => Turn::Ask(request),
            None => self.rest(),
        }
    }

    fn rest(&mut self) -> Turn {
        self.phase = Phase::Resting;
        Turn::Rest(self.poll)
    }
}

impl Feed for FeedContacts {
    fn name(&self) -> &'static str {
        NAME
    }

    fn host(&self) -> Host {
        Host::Crm
    }

    fn next(&mut self, heard: Heard<'_>, ledger: &dyn Ledger, now_wall_ms: i64) -> Turn {
        match heard {
            Heard::Begin => self.begin(ledger, now_wall_ms),
            Heard::Answer(answer) => self.hear(answer, ledger),
            Heard::Kept => self.keep(),
        }
    }
}

fn schema(ledger: &dyn Ledger) -> Option<Schema> {
    serde_json::from_str(&ledger.get(&ledger::schema())?).ok()
}

/// The contacts that went into an event's contact. The shape is nowhere documented: links to them, before or after.
fn merged_from(event: &Value) -> Vec<u64> {
    let sides = ["value_before", "value_after"].into_iter().filter_map(|side| event.get(side)?.as_array());
    let other = |one: &Value| wire::id(one.pointer("/link/entity/id")).filter(|id| Some(*id) != wire::id(event.get("entity_id")));
    sides.flatten().filter_map(other).collect()
}

fn trouble(answer: &Answer) -> Turn {
    let status = answer.status.as_u16();
    let code = match status {
        401 => "auth",
        402 => "amocrm/payment",
        403 => "amocrm/blocked",
        _ => "amocrm/unreadable",
    };
    Turn::Trouble(code, format!("amoCRM answered {status} to the question which contacts have changed"), TROUBLE)
}
