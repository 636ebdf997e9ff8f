//! What has changed in a list since a watermark of its `updated_at`: pure. Where the account has filters they are asked to do it; where it has none, the list
//! is read newest first, down to what is known.
//!
//! An account without filters ignores them in silence and answers with everything, so each page is checked. Pages shift while cards change: with filters
//! the next page begins at the time where the last one ended; newest first, what moves is met twice. An overlap sees what was committed late, and what was
//! changed once more in the second in which it had just been read: a mark of what the card showed tells that apart. Never: a card told twice as it stands;
//! one left out because its page has shifted, or because `updated_at` counts whole seconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::feed::News;
use crate::http::{Answer, Request};

use super::wire::{self, PAGE};

/// So far back before the watermark a reading begins, seconds: what was committed late stands there. Once nothing has moved for as long, nothing can.
pub const OVERLAP: i64 = 60;
/// Cards of the first page where the list is read newest first: mostly there is nothing new.
const GLANCE: usize = 50;
/// Most cards whose update times are remembered; with more, some are told a second time.
const MOST_SEEN: usize = 2_000;

/// How far a list was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The newest update time that was seen, seconds since 1970 UTC.
    pub at: i64,
    /// The cards that were seen in the overlap before it.
    #[serde(default)]
    pub seen: BTreeMap<u64, Seen>,
}

/// How a card was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Seen {
    /// At this update time; what it showed is not known.
    At(i64),
    /// At this update time, with a mark of what it showed.
    Shown(i64, u32),
}

impl Seen {
    fn at(self) -> i64 {
        match self {
            Self::At(at) | Self::Shown(at, _) => at,
        }
    }
}

/// Whether a card is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum New {
    /// It was seen as it stands.
    No,
    /// It was not seen at this update time.
    Yes,
    /// It was changed once more within the second in which it was seen.
    Again,
}

impl Watermark {
    /// A card was seen at this time, showing this.
    fn sees(&mut self, id: u64, at: i64, shown: u32) -> New {
        let new = self.is_new(id, at, shown);
        self.at = self.at.max(at);
        self.seen.insert(id, Seen::Shown(at, shown));
        new
    }

    fn is_new(&self, id: u64, at: i64, shown: u32) -> New {
        match self.seen.get(&id) {
            Some(Seen::At(seen)) if *seen == at => New::No,
            Some(Seen::Shown(seen, before)) if *seen == at && *before == shown => New::No,
            Some(Seen::Shown(seen, _)) if *seen == at => New::Again,
            _ => New::Yes,
        }
    }

    fn forget(&mut self) {
        let from = self.at - OVERLAP;
        self.seen.retain(|_, seen| seen.at() >= from);
        while self.seen.len() > MOST_SEEN {
            self.seen.pop_first();
        }
    }
}

/// Which list.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// `contacts`: in the path and in the answer.
    pub name: &'static str,
    /// `&with=catalog_elements`, or nothing.
    pub with: &'static str,
    /// For logs: `GET /contacts?updated`.
    pub label: &'static str,
}

impl List {
    /// The newest card of all, for a first watermark.
    #[must_use]
    pub fn newest(&self) -> Request {
        wire::get(&format!("/{}?order%5Bupdated_at%5D=desc&limit=1", self.name), self.label)
    }
}

/// A reading in progress.
#[derive(Debug)]
pub struct Reading {
    list: List,
    mark: Watermark,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Filtered { from: i64, page: usize },
    NewestFirst { from: i64, limit: usize, page: usize, gathered: Vec<Gathered> },
}

/// A card of a page that is told of once all pages are there.
#[derive(Debug)]
struct Gathered {
    at: i64,
    id: u64,
    shown: u32,
    told: Option<News>,
}

/// What a page came to.
#[derive(Debug)]
pub enum Took {
    /// These are new, in order, and this is the watermark that covers them. Then the next page, where there is one.
    News(Vec<News>, Watermark, Option<Request>),
    /// Nothing yet.
    Ask(Request),
    /// The account ignores filters: it is read newest first, from now on.
    NoFilters(Request),
    /// It is no list.
    Unreadable,
}

impl Reading {
    /// Begins after a watermark.
    #[must_use]
    pub fn new(list: List, mark: Watermark, filters: bool) -> (Self, Request) {
        Self::after(list, mark, filters, false)
    }

    /// Begins after a watermark. `quiet`: it has not moved for [`OVERLAP`], so that nothing can come late.
    #[must_use]
    pub fn after(list: List, mark: Watermark, filters: bool, quiet: bool) -> (Self, Request) {
        let from = if quiet { mark.at } else { (mark.at - OVERLAP).max(0) };
        let way = if filters { Way::Filtered { from, page: 1 } } else { newest_first(from, GLANCE) };
        let reading = Self { list, mark, way };
        let request = reading.request();
        (reading, request)
    }

    fn request(&self) -> Request {
        let List { name, with, label } = self.list;
        let query = match &self.way {
            Way::Filtered { from, page } => {
                format!("filter%5Bupdated_at%5D%5Bfrom%5D={from}&order%5Bupdated_at%5D=asc&limit={PAGE}&page={page}{with}")
            }
            Way::NewestFirst { limit, page, .. } => format!("order%5Bupdated_at%5D=desc&limit={limit}&page={page}{with}"),
        };
        wire::get(&format!("/{name}?{query}"), label)
    }

    /// Takes a page. `told`: what is told of a card, if anything.
    pub fn take(&mut self, answer: &Answer, told: impl Fn(&Value) -> Option<News>) -> Took {
        let Some(page) = wire::page(answer, self.list.name) else { return Took::Unreadable };
        let cards: Vec<(i64, u64, &Value)> = page.items.iter().filter_map(|card| Some((updated(card)?, wire::id(card.get("id"))?, card))).collect();
        let full = page.next.is_some();
        match &mut self.way {
            Way::Filtered { from, page } => {
                if cards.iter().any(|(at, ..)| at < from) {
                    self.way = newest_first((self.mark.at - OVERLAP).max(0), GLANCE);
                    return Took::NoFilters(self.request());
                }
                let last = cards.iter().map(|(at, ..)| *at).max().unwrap_or(*from);
                // A whole page of one second: only paging goes on.
                (*from, *page) = if last > *from { (last, 1) } else { (*from, *page + 1) };
                let mut news = Vec::new();
                for (at, id, card) in cards {
                    let shown = mark_of(card);
                    match self.mark.sees(id, at, shown) {
                        New::No => {}
                        new => news.extend(told(card).map(|news| versioned(news, new, shown))),
                    }
                }
                self.mark.forget();
                Took::News(news, self.mark.clone(), full.then(|| self.request()))
            }
            Way::NewestFirst { from, limit, page, gathered } => {
                let from = *from;
                let known = cards.iter().any(|(at, ..)| *at < from);
                let mark = &self.mark;
                let cards = cards.into_iter().filter(|(at, ..)| *at >= from).map(|(at, id, card)| (at, id, mark_of(card), card));
                let new = cards.filter(|(at, id, shown, _)| mark.is_new(*id, *at, *shown) != New::No);
                gathered.extend(new.map(|(at, id, shown, card)| Gathered { at, id, shown, told: told(card) }));
                if full && !known {
                    if *limit == GLANCE {
                        self.way = newest_first(from, PAGE);
                    } else {
                        *page += 1;
                    }
                    return Took::Ask(self.request());
                }
                let mut gathered = std::mem::take(gathered);
                gathered.sort_by_key(|card| (card.at, card.id));
                let mut news = Vec::new();
                for Gathered { at, id, shown, told } in gathered {
                    // A card that moved while the pages were read is met twice.
                    match self.mark.sees(id, at, shown) {
                        New::No => {}
                        new => news.extend(told.map(|news| versioned(news, new, shown))),
                    }
                }
                self.mark.forget();
                Took::News(news, self.mark.clone(), None)
            }
        }
    }
}

/// A card as it was seen, with its id.
#[must_use]
pub fn seen(card: &Value) -> Option<(u64, Seen)> {
    Some((wire::id(card.get("id"))?, Seen::Shown(updated(card)?, mark_of(card))))
}

/// A mark of what a card shows.
fn mark_of(card: &Value) -> u32 {
    crc32c::crc32c(card.to_string().as_bytes())
}

/// What was told at this second already has another version now.
fn versioned(news: News, new: New, shown: u32) -> News {
    match new {
        New::Again => News { version: format!("{}.{shown:08x}", news.version), ..news },
        New::Yes | New::No => news,
    }
}

fn newest_first(from: i64, limit: usize) -> Way {
    Way::NewestFirst { from, limit, page: 1, gathered: Vec::new() }
}

/// When a card was changed last, seconds since 1970 UTC.
#[must_use]
pub fn updated(card: &Value) -> Option<i64> {
    wire::number(card.get("updated_at"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Told;
    use serde_json::json;

    const LIST: List = List { name: "leads", with: "", label: "GET /leads?updated" };
    const AT: i64 = 1_795_339_920;

    fn answer(cards: &[(u64, i64, &str)]) -> Answer {
        let cards: Vec<Value> = cards.iter().map(|(id, at, name)| json!({"id": id, "updated_at": at, "name": name})).collect();
        let body = json!({"_links": {}, "_embedded": {"leads": cards}}).to_string();
        Answer { status: http::StatusCode::OK, headers: http::HeaderMap::new(), body: body.into() }
    }

    fn told(card: &Value) -> Option<News> {
        let at = updated(card)?;
        let told = Told::Deal { id: wire::id(card.get("id"))?.to_string(), deleted: false };
        Some(News { told, version: at.to_string(), changed_ms: at * 1000, origin: None, back_fill: false })
    }

    /// Reads what is there once: the versions that are told, and how far it was read.
    fn read(mark: Watermark, filters: bool, quiet: bool, cards: &[(u64, i64, &str)]) -> (Vec<String>, Watermark) {
        let (mut reading, _) = Reading::after(LIST, mark, filters, quiet);
        match reading.take(&answer(cards), told) {
            Took::News(news, mark, None) => (news.into_iter().map(|news| news.version).collect(), mark),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_second_edit_within_the_second_that_was_just_read_is_told_once_more_and_then_no_more() {
        for (filters, quiet) in [(true, false), (true, true), (false, false), (false, true)] {
            let begin = Watermark { at: AT - 5, ..Watermark::default() };
            let (first, mark) = read(begin, filters, quiet, &[(1, AT, "Анна"), (2, AT, "Пётр")]);
            assert_eq!(first, [AT.to_string(), AT.to_string()]);
            // Across a restart of the box, too.
            let mark: Watermark = serde_json::from_str(&serde_json::to_string(&mark).unwrap()).unwrap();
            let (again, mark) = read(mark, filters, quiet, &[(1, AT, "Аня"), (2, AT, "Пётр")]);
            assert!(again.len() == 1 && again[0].starts_with(&format!("{AT}.")), "{filters} {quiet}: {again:?}");
            let (nothing, mark) = read(mark, filters, quiet, &[(1, AT, "Аня"), (2, AT, "Пётр")]);
            assert!(nothing.is_empty());
            let (third, _) = read(mark, filters, quiet, &[(1, AT, "Анюта"), (2, AT + 1, "Пётр")]);
            assert_eq!((third.len(), third.contains(&(AT + 1).to_string())), (2, true));
            assert!(!third.contains(&again[0]), "each edit has a version of its own");
        }
    }

    #[test]
    fn a_cursor_of_an_earlier_version_is_read_and_tells_nothing_twice() {
        let mark: Watermark = serde_json::from_str(&format!(r#"{{"at":{AT},"seen":{{"1":{AT}}}}}"#)).unwrap();
        let (told, mark) = read(mark, true, false, &[(1, AT, "Анна")]);
        assert!(told.is_empty());
        assert_eq!(read(mark, true, false, &[(1, AT, "Аня")]).0.len(), 1);
    }
}
