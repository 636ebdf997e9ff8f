//! `GET /{clients|transactions|products|preorders}/changes`: what happened, in the order in which it happened, at least once, from an opaque cursor.
//!
//! Invariants: a change keeps the object as it was then; a cursor that is older than what is kept is answered 410 and never with a gap; a walk over
//! everything (`snapshot=true`) ends in the cursor of the moment it began, so nothing that happened meanwhile is missed. What the seed brought is old: it
//! stands in the walk and in no feed.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Lime, errors, time};
use crate::wire;

/// When everything that the seed brought was last changed: 2024-01-01.
pub(super) const SEEDED_MS: i64 = 1_704_067_200_000;
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;
const MAX_WAIT_S: u64 = 60;
/// Older changes of a feed are forgotten, unless `feed_keep` says otherwise.
const KEEP: usize = 10_000;

/// One of the four feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    Clients,
    Transactions,
    Products,
    Preorders,
}

impl Feed {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "clients" => Some(Self::Clients),
            "transactions" => Some(Self::Transactions),
            "products" => Some(Self::Products),
            "preorders" => Some(Self::Preorders),
            _ => None,
        }
    }
}

/// Who changed something, and what they call it.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    name: String,
    reference: Option<String>,
}

impl Origin {
    pub(super) fn lime() -> Self {
        Self { name: "lime".to_owned(), reference: None }
    }

    pub(super) fn gateway(reference: &str) -> Self {
        Self { name: "gw".to_owned(), reference: Some(reference.to_owned()) }
    }

    /// `amo:deal:5` comes from amoCRM, `b24:deal:5` from Bitrix24, anything else from the gateway itself.
    pub(super) fn of_reference(reference: &str) -> Self {
        let name = match reference.split(':').next() {
            Some("amo") => "crm:amo",
            Some("b24") => "crm:b24",
            _ => "gw",
        };
        Self { name: name.to_owned(), reference: Some(reference.to_owned()) }
    }

    /// As a write's body gives it: `origin` and `origin_ref`.
    pub(super) fn given(body: &serde_json::Map<String, Value>) -> Self {
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
        Self { name: text("origin").unwrap_or_else(|| "gw".to_owned()), reference: text("origin_ref") }
    }

    pub(super) fn is_lime(&self) -> bool {
        self.name == "lime"
    }
}

#[derive(Clone, Debug)]
struct Change {
    delete: bool,
    version: u64,
    at_ms: i64,
    origin: Origin,
    object: Value,
}

impl Change {
    fn shown(&self) -> Value {
        json!({"op": if self.delete { "delete" } else { "upsert" }, "version": self.version, "changed_at": time(self.at_ms),
            "origin": self.origin.name, "origin_ref": self.origin.reference, "object": self.object})
    }
}

#[derive(Debug, Default)]
struct Kept {
    changes: VecDeque<Change>,
    /// How many were forgotten: the number of the first that is kept.
    first: u64,
}

impl Kept {
    fn end(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.changes.len()).unwrap_or(u64::MAX))
    }
}

/// The four feeds.
#[derive(Debug)]
pub(super) struct Feeds {
    kept: [Kept; 4],
    /// Cursors of an earlier age have expired.
    age: u64,
    pub(super) keep: usize,
    /// Every page begins with the last change of the one before: "at least once" is not "once".
    pub(super) repeating: bool,
}

impl Default for Feeds {
    fn default() -> Self {
        Self { kept: Default::default(), age: 1, keep: KEEP, repeating: false }
    }
}

/// Where a reader stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cursor {
    /// Next change.
    At(u64),
    /// In a walk: the feed's end when it began, and the key it came to.
    Walking(u64, String),
}

impl Feeds {
    pub(super) fn push(&mut self, feed: Feed, delete: bool, version: u64, at_ms: i64, origin: Origin, object: Value) {
        let keep = self.keep;
        let kept = self.kept_mut(feed);
        kept.changes.push_back(Change { delete, version, at_ms, origin, object });
        while kept.changes.len() > keep {
            kept.changes.pop_front();
            kept.first += 1;
        }
    }

    /// All cursors that were handed out end now.
    pub(super) fn expire(&mut self) {
        self.age += 1;
    }

    fn kept(&self, feed: Feed) -> &Kept {
        let [clients, transactions, products, preorders] = &self.kept;
        match feed {
            Feed::Clients => clients,
            Feed::Transactions => transactions,
            Feed::Products => products,
            Feed::Preorders => preorders,
        }
    }

    fn kept_mut(&mut self, feed: Feed) -> &mut Kept {
        let [clients, transactions, products, preorders] = &mut self.kept;
        match feed {
            Feed::Clients => clients,
            Feed::Transactions => transactions,
            Feed::Products => products,
            Feed::Preorders => preorders,
        }
    }

    fn encoded(&self, cursor: &Cursor) -> String {
        URL_SAFE_NO_PAD.encode(match cursor {
            Cursor::At(next) => format!("{}|{next}", self.age),
            Cursor::Walking(end, key) => format!("{}|{end}|{key}", self.age),
        })
    }

    /// `None`: expired, or not one of ours.
    fn decoded(&self, text: &str) -> Option<Cursor> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (age, rest) = text.split_once('|')?;
        if age.parse() != Ok(self.age) {
            return None;
        }
        match rest.split_once('|') {
            Some((end, key)) => Some(Cursor::Walking(end.parse().ok()?, key.to_owned())),
            None => Some(Cursor::At(rest.parse().ok()?)),
        }
    }
}

impl Lime {
    /// One page of a feed.
    pub(super) fn changes(&self, feed: Feed, request: &Request<Bytes>) -> Result<Value, errors::Refused> {
        let query = wire::query(request);
        let text = |key: &str| query.get(key).and_then(Value::as_str).unwrap_or_default();
        let limit = query.get("limit").and_then(wire::integer).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(DEFAULT_LIMIT);
        let limit = limit.clamp(1, MAX_LIMIT);
        let kept = self.feeds.kept(feed);
        let cursor = match text("cursor") {
            "" if text("snapshot") == "true" => Cursor::Walking(kept.end(), String::new()),
            "" => Cursor::At(kept.first),
            given => self.feeds.decoded(given).ok_or_else(expired)?,
        };
        let next = match cursor {
            Cursor::Walking(end, key) => {
                let mut rows = self.walk(feed, &key, limit.saturating_add(1));
                let more = rows.len() > limit;
                rows.truncate(limit);
                let next = match rows.last() {
                    Some((last, _)) if more => Cursor::Walking(end, last.clone()),
                    _ => Cursor::At(end),
                };
                let items: Vec<Value> = rows.into_iter().map(|(_, change)| change.shown()).collect();
                // The walk is over when the cursor is one of the feed.
                return Ok(json!({"items": items, "next_cursor": self.feeds.encoded(&next), "has_more": more || end < kept.end()}));
            }
            Cursor::At(next) if next < kept.first || next > kept.end() => return Err(expired().into()),
            Cursor::At(next) => next,
        };
        let repeated = u64::from(self.feeds.repeating && limit > 1 && next > kept.first && next < kept.end());
        let from = usize::try_from(next - repeated - kept.first).unwrap_or(usize::MAX);
        let items: Vec<Value> = kept.changes.iter().skip(from).take(limit).map(Change::shown).collect();
        let after = (next - repeated).saturating_add(u64::try_from(items.len()).unwrap_or(0));
        Ok(json!({"items": items, "next_cursor": self.feeds.encoded(&Cursor::At(after)), "has_more": after < kept.end()}))
    }

    /// For how long the service would keep this request waiting while nothing happens: a long poll at the end of its feed.
    #[must_use]
    pub fn held_ms(&self, request: &Request<Bytes>) -> Option<u64> {
        let name = request.uri().path().strip_prefix("/gw/v1/")?.strip_suffix("/changes")?;
        let feed = Feed::named(name).filter(|_| request.method() == Method::GET && wire::bearer(request) == Some(self.token()))?;
        let query = wire::query(request);
        let wait_s = query.get("wait_s").and_then(wire::integer).and_then(|wait| u64::try_from(wait).ok()).filter(|wait| *wait > 0)?;
        let page = self.changes(feed, request).ok()?;
        let empty = page.get("items").and_then(Value::as_array).is_some_and(Vec::is_empty);
        (empty && page.get("has_more") == Some(&json!(false))).then(|| wait_s.min(MAX_WAIT_S).saturating_mul(1_000))
    }

    /// Everything of a kind, by key, behind the key given.
    fn walk(&self, feed: Feed, after: &str, limit: usize) -> Vec<(String, Change)> {
        let change = |version, at_ms, object| Change { delete: false, version, at_ms, origin: Origin::lime(), object };
        let behind = (std::ops::Bound::Excluded(after.to_owned()), std::ops::Bound::Unbounded);
        match feed {
            Feed::Clients => {
                let clients = self.clients.range(behind).take(limit);
                clients.filter_map(|(id, client)| Some((id.clone(), change(client.version, client.changed_ms, self.client(id)?)))).collect()
            }
            Feed::Products => {
                let products = self.products.range(behind).take(limit);
                products.map(|(id, product)| (id.clone(), change(product.version, product.changed_ms, product.shown()))).collect()
            }
            Feed::Preorders => {
                let preorders = self.preorders.range(behind).take(limit);
                preorders.map(|(id, preorder)| (id.clone(), change(preorder.version, preorder.changed_ms, preorder.shown()))).collect()
            }
            Feed::Transactions => {
                let from = after.parse::<usize>().unwrap_or(0);
                let rows = self.transactions.iter().enumerate().skip(from).take(limit);
                rows.map(|(at, row)| ((at + 1).to_string(), change(1, row.received_ms, row.shown()))).collect()
            }
        }
    }
}

fn expired() -> Response<Bytes> {
    errors::error(StatusCode::GONE, "cursor_expired", "begin anew with an empty cursor and snapshot=true", false)
}
