//! The feed of deals: which deals of the bookings' pipeline people have made, changed or deleted, and whose products they have changed. Pure.
//!
//! Leads are read by `updated_at`. Whether linking a product changes that is nowhere documented, so events about links are read, too ([`linked`] says what
//! is taken for one); a lead that is told of by both is told of once. A lead of a pass or a receipt, which may stand in the same pipeline, is no booking.
//! The first reading begins with what is newest.
//!
//! Never: a lead of another pipeline told because a filter leaks; a deal that was deleted left standing in Lime.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Hub;
use crate::crm::deal_fields::DealField;
use crate::crm::texts::PassField;
use crate::delivery::{Host, Ledger};
use crate::domain::Told;
use crate::feed::{Feed, Heard, News, Page, Turn, cursor_key};
use crate::flow::preorders::bound_key;
use crate::http::{Answer, Request};
use crate::journal::Learned;

use super::places::Places;
use super::schema::{self, Raw, Schema};
use super::setup::Read;
use super::updated::{List, OVERLAP, Reading, Took, Watermark, seen, updated};
use super::{ledger, wire};

/// The feed's name.
pub const NAME: &str = "amocrm.leads";

const LIST: List = List { name: "leads", with: "", label: "GET /leads?updated" };
/// Events of a page; the API gives no more.
const EVENTS: usize = 100;
/// Pages of events in one reading.
const EVENT_PAGES: usize = 20;
/// Events that are remembered; with more, some are told a second time.
const MOST_EVENTS: usize = 2_000;
/// An answer that cannot be used is asked for again after this long.
const TROUBLE: Duration = Duration::from_secs(60);
/// A pipeline that is not there is looked for again after this long.
const NO_PIPELINE: Duration = Duration::from_secs(600);

/// The feed's cursor, as JSON in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// Leads.
    cards: Watermark,
    /// The newest event that was seen, seconds since 1970 UTC.
    #[serde(default)]
    events_at: i64,
    /// The events that were seen in the overlap before it.
    #[serde(default)]
    events: BTreeMap<String, i64>,
}

#[derive(Debug)]
enum Phase {
    Resting,
    /// Looks for the pipeline of bookings.
    Pipelines,
    /// Asks for the newest lead of all.
    First,
    Reading(Reading),
    /// Reads events; so many pages are behind it.
    Events(usize),
}

/// The feed.
#[derive(Debug)]
pub struct FeedDeals {
    hub: Hub,
    phase: Phase,
    cursor: Cursor,
    pipeline: Option<u64>,
    ignores_filters: bool,
    news: VecDeque<News>,
    /// Leads that were told of since it began.
    told: BTreeSet<u64>,
    learned: Vec<Learned>,
    moved: bool,
    next: Option<Request>,
    events_from: i64,
}

/// What is known of leads.
struct Known<'a> {
    ledger: &'a dyn Ledger,
    pipeline: u64,
    key: Option<u64>,
    preorder: Option<u64>,
}

impl Known<'_> {
    /// A deal that has, or may get, a preorder.
    fn is_booking(&self, lead: u64) -> bool {
        self.ledger.get(&bound_key(&lead.to_string())).is_some() || self.ledger.get(&ledger::booking(lead)).is_some()
    }

    /// What is told of a lead that has changed.
    fn told(&self, card: &Value) -> Option<News> {
        let (id, at) = (wire::id(card.get("id"))?, updated(card)?);
        let here = wire::id(card.get("pipeline_id")) == Some(self.pipeline);
        let filled = |field: Option<u64>| field.and_then(|id| wire::custom_value(card, id)).is_some_and(|text| !text.trim().is_empty());
        // Passes and receipts bear a key of ours, too.
        let ours = filled(self.key) && !filled(self.preorder);
        if !(here && !ours || self.is_booking(id)) {
            return None;
        }
        let deleted = card.get("is_deleted").and_then(Value::as_bool) == Some(true);
        Some(news(id, deleted, at.to_string(), at))
    }
}

impl FeedDeals {
    /// One for what this box runs of the integration.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self {
            hub,
            phase: Phase::Resting,
            cursor: Cursor::default(),
            pipeline: None,
            ignores_filters: false,
            news: VecDeque::new(),
            told: BTreeSet::new(),
            learned: Vec::new(),
            moved: false,
            next: None,
            events_from: 0,
        }
    }

    fn begin(&mut self, ledger: &dyn Ledger) -> Turn {
        self.news.clear();
        self.learned.clear();
        self.told.clear();
        (self.moved, self.next) = (false, None);
        if let Some(bookings) = places(ledger).and_then(|places| places.bookings) {
            self.pipeline = Some(bookings.pipeline);
        }
        if self.pipeline.is_none() {
            self.phase = Phase::Pipelines;
            return Turn::Ask(Read::Pipelines.first());
        }
        self.read(ledger)
    }

    fn read(&mut self, ledger: &dyn Ledger) -> Turn {
        match ledger.get(&cursor_key(NAME)).and_then(|text| serde_json::from_str(&text).ok()) {
            Some(cursor) => {
                self.cursor = cursor;
                let filters = !self.ignores_filters && schema(ledger).is_some_and(|schema| schema.filters);
                let (reading, request) = Reading::new(LIST, self.cursor.cards.clone(), filters);
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
        match std::mem::replace(&mut self.phase, Phase::Resting) {
            Phase::Resting => self.rest(),
            Phase::Pipelines => {
                let Some(page) = wire::page(answer, "pipelines") else { return trouble(answer) };
                let raw = Raw { pipelines: page.items, ..Raw::default() };
                match schema::pipeline(&raw, &self.hub.preorders.pipeline, None) {
                    Ok(pipeline) => {
                        self.pipeline = wire::id(pipeline.get("id"));
                        self.read(ledger)
                    }
                    Err(problem) => Turn::Trouble(problem.code(), problem.to_string(), NO_PIPELINE),
                }
            }
            Phase::First => {
                let Some(page) = wire::page(answer, LIST.name) else { return trouble(answer) };
                let newest = page.items.first();
                let at = newest.and_then(updated).unwrap_or(0);
                self.cursor =
                    Cursor { cards: Watermark { at, seen: newest.and_then(seen).into_iter().collect() }, events_at: at, events: BTreeMap::new() };
                self.moved = true;
                self.keep()
            }
            Phase::Reading(mut reading) => {
                let known = self.known(ledger);
                let request = match reading.take(answer, |card| known.told(card)) {
                    Took::Unreadable => return trouble(answer),
                    Took::Ask(request) => request,
                    Took::NoFilters(request) => {
                        self.ignores_filters = true;
                        request
                    }
                    Took::News(news, mark, next) => {
                        self.moved |= mark != self.cursor.cards;
                        self.cursor.cards = mark;
                        news.into_iter().for_each(|news| self.tell(news, ledger));
                        let more = next.is_some();
                        self.next = Some(next.unwrap_or_else(|| self.ask_events()));
                        self.phase = if more { Phase::Reading(reading) } else { Phase::Events(0) };
                        return self.keep();
                    }
                };
                self.phase = Phase::Reading(reading);
                Turn::Ask(request)
            }
            Phase::Events(pages) => {
                // Not every rate plan tells events: the list remains.
                let Some(page) = wire::page(answer, "events") else { return self.keep() };
                let known = self.hear_events(&page.items, ledger);
                if let Some(next) = page.next.filter(|_| !known && pages < EVENT_PAGES) {
                    self.phase = Phase::Events(pages + 1);
                    self.next = Some(Request::get(next, "GET /events"));
                }
                self.keep()
            }
        }
    }

    fn known<'a>(&self, ledger: &'a dyn Ledger) -> Known<'a> {
        let preorder = places(ledger).and_then(|places| places.field(DealField::Preorder).map(|field| field.id));
        Known { ledger, pipeline: self.pipeline.unwrap_or(0), key: schema(ledger).and_then(|schema| schema.pass(PassField::EventUid)), preorder }
    }

    fn tell(&mut self, news: News, ledger: &dyn Ledger) {
        let Told::Deal { id, .. } = &news.told else { return };
        if let Ok(lead) = id.parse() {
            self.told.insert(lead);
            let key = ledger::booking(lead);
            if ledger.get(&key).is_none() {
                self.learned.push(Learned { key, value: Some("seen".to_owned()) });
            }
        }
        self.news.push_back(news);
    }

    fn ask_events(&mut self) -> Request {
        self.events_from = (self.cursor.events_at - OVERLAP).max(0);
        let types: String = ["lead_deleted", "entity_linked", "entity_unlinked"].map(|name| format!("filter%5Btype%5D%5B%5D={name}&")).concat();
        wire::get(&format!("/events?{types}filter%5Bcreated_at%5D%5Bfrom%5D={}&limit={EVENTS}", self.events_from), "GET /events")
    }

    /// Takes events, newest first. True when older ones are known or do not matter.
    fn hear_events(&mut self, events: &[Value], ledger: &dyn Ledger) -> bool {
        let known = self.known(ledger);
        let mut new: Vec<(String, i64, u64, bool)> = Vec::new();
        let mut end = false;
        for event in events {
            let (Some(id), Some(at), Some(lead)) =
                (wire::text(event.get("id")), wire::number(event.get("created_at")), wire::id(event.get("entity_id")))
            else {
                continue;
            };
            if at < self.events_from {
                end = true;
                break;
            }
            self.moved |= at > self.cursor.events_at;
            self.cursor.events_at = self.cursor.events_at.max(at);
            let of_lead = wire::text(event.get("entity_type")).as_deref() == Some("lead");
            let deleted = event.get("type").and_then(Value::as_str) == Some("lead_deleted");
            if of_lead && (deleted || linked(event)) && !self.cursor.events.contains_key(&id) {
                new.push((id, at, lead, deleted));
            }
        }
        for (event, at, lead, deleted) in new {
            self.cursor.events.insert(event.clone(), at);
            self.moved = true;
            // Many links of one lead are one change, and so are a link and what it did to the lead.
            if known.is_booking(lead) && (deleted || self.told.insert(lead)) {
                self.news.push_back(news(lead, deleted, event, at));
            }
        }
        let from = self.cursor.events_at - OVERLAP;
        self.cursor.events.retain(|_, at| *at >= from);
        while self.cursor.events.len() > MOST_EVENTS {
            self.cursor.events.pop_first();
        }
        end
    }

    /// Keeps what there is to keep, else goes on.
    fn keep(&mut self) -> Turn {
        if self.news.is_empty() && !self.moved {
            return self.go_on();
        }
        self.moved = false;
        let mut learned = std::mem::take(&mut self.learned);
        learned.push(Learned { key: cursor_key(NAME), value: serde_json::to_string(&self.cursor).ok() });
        Turn::Keep(Page { news: self.news.drain(..).collect(), learned })
    }

    fn go_on(&mut self) -> Turn {
        match self.next.take() {
            Some(request) => Turn::Ask(request),
            None => self.rest(),
        }
    }

    fn rest(&mut self) -> Turn {
        self.phase = Phase::Resting;
        Turn::Rest(self.hub.poll)
    }
}

impl Feed for FeedDeals {
    fn name(&self) -> &'static str {
        NAME
    }

    fn host(&self) -> Host {
        Host::Crm
    }

    fn next(&mut self, heard: Heard<'_>, ledger: &dyn Ledger, _now_wall_ms: i64) -> Turn {
        match heard {
            Heard::Begin => self.begin(ledger),
            Heard::Answer(answer) => self.hear(answer, ledger),
            Heard::Kept => self.keep(),
        }
    }
}

/// Whether an event says that a product was linked or is no longer. Which events a link makes is not documented: what names no other kind of entity counts.
fn linked(event: &Value) -> bool {
    let sides = ["value_after", "value_before"].into_iter().filter_map(|side| event.get(side)?.as_array()).flatten();
    let mut kinds = sides.filter_map(|one| one.pointer("/link/entity/type").and_then(Value::as_str)).peekable();
    kinds.peek().is_none() || kinds.any(|kind| kind.starts_with("catalog"))
}

fn news(lead: u64, deleted: bool, version: String, at: i64) -> News {
    let told = Told::Deal { id: lead.to_string(), deleted };
    News { told, version, changed_ms: at.saturating_mul(1000), origin: None, back_fill: false }
}

fn places(ledger: &dyn Ledger) -> Option<Places> {
    serde_json::from_str(&ledger.get(&ledger::places())?).ok()
}

fn schema(ledger: &dyn Ledger) -> Option<Schema> {
    serde_json::from_str(&ledger.get(&ledger::schema())?).ok()
}

fn trouble(answer: &Answer) -> Turn {
    let status = answer.status.as_u16();
    let code = match status {
        401 => "auth",
        402 => "amocrm/payment",
        403 => "amocrm/blocked",
        _ => "amocrm/unreadable",
    };
    Turn::Trouble(code, format!("amoCRM answered {status} to the question which deals have changed"), TROUBLE)
}
