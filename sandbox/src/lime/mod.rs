//! Lime, as far as the Lime gateway API v1 shows it: write-offs, clients, transactions, products, preorders, their feeds, service points, time.
//!
//! Invariants: a `write_off_id` is processed at most once, without expiry; each item of a batch stands alone; money and visits only move with a
//! transaction that says so.

mod accruals;
mod cashier;
mod clients;
mod entitlements;
pub(crate) mod errors;
mod feeds;
mod holds;
mod integration;
mod preorders;
mod products;
mod registry;
mod seed;
mod service_points;
mod transactions;
mod write_offs;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::wire;
pub use seed::SeededMedium;

/// Moscow: what this Lime shows its times in.
const OFFSET_MINUTES: i32 = 180;
/// How many families a fresh Lime knows.
pub(crate) const INITIAL_CLIENTS: usize = 200;
const CURRENCY: &str = "RUB";

/// A venue's Lime.
#[derive(Debug)]
pub struct Lime {
    token: String,
    random: fastrand::Rng,
    seeded: usize,
    clients: BTreeMap<String, clients::Client>,
    media: BTreeMap<(String, String), write_offs::Medium>,
    rights: BTreeMap<String, write_offs::Right>,
    write_offs: BTreeMap<String, write_offs::Stored>,
    transactions: Vec<transactions::Transaction>,
    products: BTreeMap<String, products::Product>,
    preorders: BTreeMap<String, preorders::Preorder>,
    /// By id: what it said, and what it was answered.
    accruals: BTreeMap<String, (String, Value)>,
    /// Clients by `external_ref`.
    references: BTreeMap<String, String>,
    feeds: feeds::Feeds,
    service_points: Vec<service_points::ServicePoint>,
    heartbeats: Vec<Value>,
    time_offset_ms: i64,
    clients_batch: bool,
    holds: BTreeMap<String, holds::Hold>,
    hold_ms: u64,
    told: entitlements::Told,
}

impl Lime {
    /// A Lime with 200 clients, their cards, deposits and tickets, and the service points `sp-1` to `sp-9`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut lime = Self {
            token: "lime-sandbox-token".to_owned(),
            random: fastrand::Rng::with_seed(seed),
            seeded: 0,
            clients: BTreeMap::new(),
            media: BTreeMap::new(),
            rights: BTreeMap::new(),
            write_offs: BTreeMap::new(),
            transactions: Vec::new(),
            products: BTreeMap::new(),
            preorders: BTreeMap::new(),
            accruals: BTreeMap::new(),
            references: BTreeMap::new(),
            feeds: feeds::Feeds::default(),
            service_points: service_points::initial(),
            heartbeats: Vec::new(),
            time_offset_ms: 0,
            clients_batch: true,
            holds: BTreeMap::new(),
            hold_ms: holds::HOLD_MS,
            told: entitlements::Told::default(),
        };
        lime.seed_products();
        lime.add_clients(INITIAL_CLIENTS);
        lime
    }

    /// The device token that is accepted.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Accepts this token from now on, and no other.
    pub fn set_token(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    /// Lets Lime's clock differ from the caller's by so many milliseconds.
    pub fn set_time_offset(&mut self, ms: i64) {
        self.time_offset_ms = ms;
    }

    /// Offers the read of many clients at once, or answers it with 404 as an adapter does that lacks it.
    pub fn set_clients_batch(&mut self, offered: bool) {
        self.clients_batch = offered;
    }

    /// Changes a behaviour by name: `time_offset_ms`, `token`, `clients_batch`; `feed_keep` (how many changes a feed keeps), `feed_repeats` (pages begin with
    /// the last change of the one before), `expire_cursors` (true: all that were handed out end now); `hold_ms` (how long a grant waits for its passage);
    /// of the entitlements `max_age_s`, `offline_policy`, `media_key` (media are named by their hash), `without_end` (the last line is left out),
    /// `forget_versions` (true: every version is too old now). False when there is no such switch, or not for this value.
    pub fn switch(&mut self, name: &str, value: &Value) -> bool {
        match (name, value) {
            ("time_offset_ms", Value::Number(ms)) => self.set_time_offset(ms.as_i64().unwrap_or(0)),
            ("token", Value::String(token)) => self.set_token(token),
            ("clients_batch", Value::Bool(offered)) => self.set_clients_batch(*offered),
            ("feed_keep", Value::Number(count)) => self.feeds.keep = count.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
            ("feed_repeats", Value::Bool(on)) => self.feeds.repeating = *on,
            ("expire_cursors", Value::Bool(true)) => self.feeds.expire(),
            ("hold_ms", Value::Number(ms)) => self.hold_ms = ms.as_u64().unwrap_or(0),
            ("max_age_s", Value::Number(seconds)) => self.told.max_age_s = seconds.as_u64(),
            ("offline_policy", Value::Object(policy)) => policy.clone_into(&mut self.told.offline_policy),
            ("media_key", Value::String(key)) => self.told.media_key = Some(key.clone()),
            ("without_end", Value::Bool(without)) => self.told.without_end = *without,
            ("forget_versions", Value::Bool(true)) => self.told.forget(),
            _ => return false,
        }
        true
    }

    /// Answers one request.
    pub fn handle(&mut self, now_ms: u64, wall_ms: i64, request: &Request<Bytes>) -> Response<Bytes> {
        self.route(now_ms, wall_ms, request, write_offs::Treat::default())
    }

    pub(crate) fn handle_leaving_out(
        &mut self,
        now_ms: u64,
        wall_ms: i64,
        request: &Request<Bytes>,
        count: usize,
        committed: bool,
    ) -> Response<Bytes> {
        self.route(now_ms, wall_ms, request, write_offs::Treat { missing: count, missing_committed: committed, ..write_offs::Treat::default() })
    }

    pub(crate) fn handle_putting_off(
        &mut self,
        now_ms: u64,
        wall_ms: i64,
        request: &Request<Bytes>,
        count: usize,
        retry_after_ms: u64,
    ) -> Response<Bytes> {
        self.route(now_ms, wall_ms, request, write_offs::Treat { put_off: count, retry_after_ms, ..write_offs::Treat::default() })
    }

    fn route(&mut self, now_ms: u64, wall_ms: i64, request: &Request<Bytes>, treat: write_offs::Treat) -> Response<Bytes> {
        let wall_ms = wall_ms.saturating_add(self.time_offset_ms);
        let Some(path) = request.uri().path().strip_prefix("/gw/v1/").map(str::to_owned) else { return errors::no_such_path() };
        if wire::bearer(request) != Some(self.token.as_str()) {
            return errors::unauthorized();
        }
        self.expire(now_ms);
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if let Some(answer) = self.integration(wall_ms, request, &segments) {
            return answer;
        }
        let answer = match (request.method(), segments.as_slice()) {
            (&Method::POST, ["write-offs:batch"]) => match body(request) {
                Ok(body) if body.get("items").and_then(Value::as_array).is_none_or(|items| items.len() > write_offs::MAX_ITEMS) => {
                    return errors::malformed("items must be a list of at most 200");
                }
                Ok(body) => self.write_offs(wall_ms, &body, treat),
                Err(message) => return errors::malformed(&message),
            },
            (&Method::POST, ["authorize"]) => match body(request).and_then(|body| self.authorize(now_ms, wall_ms, &body)) {
                Ok(answer) => answer,
                Err(message) => return errors::malformed(&message),
            },
            (&Method::POST, ["write-offs", action]) => {
                let resolved = match action.split_once(':') {
                    Some((id, "confirm")) => self.resolve(wall_ms, id, true),
                    Some((id, "cancel")) => self.resolve(wall_ms, id, false),
                    _ => return errors::no_such_path(),
                };
                if !resolved {
                    return errors::not_found("write-off");
                }
                json!({})
            }
            (&Method::GET, ["entitlements"]) => return self.entitlements(wall_ms, request),
            (&Method::POST, ["write-offs:lookup"]) => match body(request).map(|body| self.looked_up(&body)) {
                Ok(Some(answer)) => answer,
                Ok(None) => return errors::malformed("ids must be a list of 1 to 200 texts"),
                Err(message) => return errors::malformed(&message),
            },
            (&Method::POST, ["clients:batch"]) if self.clients_batch => match body(request).and_then(|body| clients::asked(&body)) {
                Ok((ids, transactions)) => self.clients(&ids, transactions),
                Err(message) => return errors::malformed(&message),
            },
            (_, ["clients:batch"]) if !self.clients_batch => return errors::no_such_path(),
            (&Method::GET, ["clients", id]) => match self.client(id) {
                Some(client) => client,
                None => return errors::not_found("client"),
            },
            (&Method::GET, ["clients", id, "transactions"]) => {
                let limit = wire::query(request).get("limit").and_then(wire::integer).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10);
                match self.transactions_of(id, limit) {
                    Some(items) => json!({"items": items}),
                    None => return errors::not_found("client"),
                }
            }
            (&Method::GET, ["service-points"]) => {
                json!({"items": self.service_points.iter().map(service_points::ServicePoint::shown).collect::<Vec<_>>()})
            }
            (&Method::GET, ["time"]) => json!({"timezone": "Europe/Moscow"}),
            (&Method::POST, ["heartbeats"]) => match body(request) {
                Ok(body) => {
                    if self.heartbeats.len() >= 1_000 {
                        self.heartbeats.remove(0);
                    }
                    self.heartbeats.push(Value::Object(body));
                    json!({})
                }
                Err(message) => return errors::malformed(&message),
            },
            (
                _,
                [
                    "write-offs:batch" | "write-offs:lookup" | "clients:batch" | "heartbeats" | "service-points" | "time" | "authorize"
                    | "entitlements",
                ]
                | ["clients" | "write-offs", _]
                | ["clients", _, "transactions"],
            ) => {
                return errors::method_not_allowed();
            }
            _ => return errors::no_such_path(),
        };
        let mut answer = answer;
        if let Value::Object(map) = &mut answer {
            map.insert("server_time".to_owned(), json!(time(wall_ms)));
        }
        wire::json(StatusCode::OK, &answer)
    }

    /// What Lime holds, for the books.
    #[must_use]
    pub fn state(&self) -> Value {
        let mut by_status: BTreeMap<&str, u64> = BTreeMap::new();
        for stored in self.write_offs.values() {
            *by_status.entry(stored.status()).or_default() += 1;
        }
        json!({
            "clients": self.clients.len(),
            "media": self.media.len(),
            "service_points": self.service_points.len(),
            "transactions": self.transactions.len(),
            "transactions_by_type": self.transactions_by_type(),
            "preorders": self.preorders.values().map(|preorder| (preorder.id.clone(), preorder.shown())).collect::<Map<_, _>>(),
            "bonus_accruals": self.accruals.len(),
            "clients_by_external_ref": self.references,
            "write_offs": self.write_offs.iter().map(|(id, stored)| (id.clone(), stored.state())).collect::<Map<_, _>>(),
            "write_offs_by_status": by_status,
            "write_offs_received": self.write_offs.values().map(|stored| stored.received).sum::<u64>(),
            "holds": self.holds.iter().map(|(id, hold)| (id.clone(), hold.state())).collect::<Map<_, _>>(),
            "entitlements": self.told.state(),
            "rights": self.rights.iter().filter(|(_, right)| right.held != 0).map(|(id, right)| (id.clone(),
                json!({"balance": right.balance, "held": right.held}))).collect::<Map<_, _>>(),
            "heartbeats": self.heartbeats.len(),
            "last_heartbeat": self.heartbeats.last(),
        })
    }
}

fn body(request: &Request<Bytes>) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(request.body()) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("the body must be a JSON object".to_owned()),
        Err(error) => Err(format!("the body is not JSON: {error}")),
    }
}

/// An amount in minor units that any till could take.
fn money(value: &Value) -> Option<i64> {
    value.as_i64().filter(|amount| (0..=1_000_000_000_000).contains(amount))
}

/// How many of a thing one line may have.
fn quantity(value: &Value) -> Option<i64> {
    value.as_i64().filter(|quantity| (1..=100_000).contains(quantity))
}

fn time(wall_ms: i64) -> String {
    wire::rfc3339(wall_ms, OFFSET_MINUTES, true)
}
