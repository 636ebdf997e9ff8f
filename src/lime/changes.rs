//! `GET /{feed}/changes`: the question, and one page of the answer. Pure.
//!
//! Never: an item that cannot be read in the way of those that can; more than one item of a page in memory as JSON.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::domain::{ClientId, Preorder, Product, Receipt};
use crate::http::{Answer, DEFAULT_TIMEOUT, Request};

use super::parse::{ParseProblem, document, millis, stable};
use super::requests::segment;
use super::wire::{self, lenient};
use super::{preorders, products, receipts};

/// Most items of one page, by contract.
pub const PAGE_LIMIT: usize = 500;

/// From where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From<'a> {
    /// The oldest change that Lime keeps.
    Oldest,
    /// A walk over everything there is.
    Everything,
    /// After this cursor.
    Cursor(&'a str),
}

/// Asks for a page of a feed (`clients`, `transactions`, `products`, `preorders`), which may come so much later when there is nothing to tell.
#[must_use]
pub fn changes(feed: &str, from: From<'_>, limit: usize, wait: Duration) -> Request {
    let from = match from {
        From::Oldest => String::new(),
        From::Everything => "snapshot=true&".to_owned(),
        From::Cursor(cursor) => format!("cursor={}&", segment(cursor)),
    };
    let wait_s = wait.as_secs();
    let mut request = Request::get(format!("/{feed}/changes?{from}limit={limit}&wait_s={wait_s}"), "GET /{feed}/changes");
    request.timeout = wait + DEFAULT_TIMEOUT;
    request
}

/// What became of a thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Op<T> {
    /// It is this now.
    Is(T),
    /// It is gone.
    Gone,
}

/// One item of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<T> {
    /// The thing's id.
    pub id: String,
    /// What became of it.
    pub op: Op<T>,
    /// Its version; 0 where Lime does not say.
    pub version: i64,
    /// When it changed, milliseconds since 1970 UTC.
    pub changed_ms: Option<i64>,
    /// Who changed it.
    pub origin: Option<String>,
}

/// One page.
#[derive(Debug)]
pub struct Page<T> {
    /// What could be read.
    pub items: Vec<Item<T>>,
    /// The ids of those that could not; `-` where not even that could be read.
    pub odd: Vec<String>,
    /// Where the next page begins.
    pub next_cursor: String,
    /// There is more at once.
    pub has_more: bool,
    /// Lime's clock, milliseconds since 1970 UTC.
    pub server_ms: Option<i64>,
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPage {
    /// The cursor is too old: changes may be missing.
    Expired,
    /// This Lime does not offer the feed.
    NotOffered,
    /// Something else.
    Problem(ParseProblem),
}

/// Something that a feed tells of.
pub trait Object: Sized {
    /// From the item's `object`; `None` when it cannot be read.
    fn read(object: Value) -> Option<Self>;
}

/// A client: read by its id when it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientNamed(pub ClientId);

impl Object for ClientNamed {
    fn read(mut object: Value) -> Option<Self> {
        let id: wire::Id = serde_json::from_value(object.get_mut("id")?.take()).ok()?;
        Some(Self(ClientId(id.0)))
    }
}

impl Object for Receipt {
    fn read(object: Value) -> Option<Self> {
        receipts::receipt(object)
    }
}

impl Object for Product {
    fn read(object: Value) -> Option<Self> {
        products::product(object)
    }
}

impl Object for Preorder {
    fn read(object: Value) -> Option<Self> {
        preorders::preorder(object)
    }
}

/// The answer to [`changes`].
///
/// # Errors
/// When there is no page in it.
pub fn page<T: Object>(answer: &Answer) -> Result<Page<T>, NoPage> {
    match answer.status {
        StatusCode::GONE => return Err(NoPage::Expired),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => return Err(NoPage::NotOffered),
        _ => {}
    }
    let wire: Wire<T> = document(answer).map_err(NoPage::Problem)?;
    let mut page = Page {
        items: Vec::with_capacity(wire.items.len()),
        odd: Vec::new(),
        next_cursor: wire.next_cursor,
        has_more: wire.has_more,
        server_ms: wire.server_time.and_then(|text| millis(&text)),
    };
    for entry in wire.items {
        match entry {
            Entry::Read(item) => page.items.push(item),
            Entry::Odd(id) => page.odd.push(id),
        }
    }
    Ok(page)
}

#[derive(Deserialize)]
#[serde(bound = "T: Object")]
struct Wire<T> {
    #[serde(default = "Vec::new")]
    items: Vec<Entry<T>>,
    next_cursor: String,
    #[serde(default)]
    has_more: bool,
    #[serde(default, deserialize_with = "lenient")]
    server_time: Option<String>,
}

enum Entry<T> {
    Read(Item<T>),
    Odd(String),
}

impl<'de, T: Object> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let id = value.pointer("/object/id").and_then(|id| serde_json::from_value::<wire::Id>(id.clone()).ok());
        Ok(match id.as_ref().and_then(|id| item(&id.0, value)) {
            Some(item) => Self::Read(item),
            None => Self::Odd(id.map_or_else(|| "-".to_owned(), |id| stable(&id.0))),
        })
    }
}

fn item<T: Object>(id: &str, mut value: Value) -> Option<Item<T>> {
    let op = match value.get("op")?.as_str()? {
        "upsert" => Op::Is(T::read(value.get_mut("object")?.take())?),
        "delete" => Op::Gone,
        _ => return None,
    };
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    Some(Item {
        id: id.to_owned(),
        op,
        version: value.get("version").and_then(Value::as_i64).unwrap_or(0),
        changed_ms: text("changed_at").and_then(millis),
        origin: text("origin").map(stable_origin),
    })
}

/// `crm:amo` keeps its colon.
fn stable_origin(text: &str) -> String {
    text.split(':').map(stable).collect::<Vec<_>>().join(":")
}
