//! amoCRM's REST API v4: account, OAuth, contacts, leads, custom fields, pipelines, catalogs, links, notes, tasks, tags, events, webhooks.
//!
//! Invariants: a write is carried out for all its items or for none; an answer to a write holds ids, never the stored values; limits are counted on
//! the caller's monotonic clock, and refused requests count. There is no DELETE for leads and contacts.

mod account;
mod card;
mod cards;
mod catalogs;
mod envelope;
pub(crate) mod errors;
mod events;
mod fields;
mod filter;
mod hooks;
mod leads;
mod limits;
mod links;
mod notes;
mod oauth;
mod person;
mod pipelines;
mod shelf;
mod state;
mod tags;
mod tasks;
mod values;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::Value;

use crate::wire;
use card::{Card, Kind};
use errors::{Problem, Refused};
pub use hooks::HookCall;

/// The user whose token the API is called with.
const USER: u64 = 9_001;
/// The user who works in the interface.
const MANAGER: u64 = 9_002;
const ACCOUNT: u64 = 3_100_001;
/// More items than this in one write are refused.
const MAX_ITEMS: usize = 250;

/// An amoCRM account.
#[derive(Debug)]
pub struct Amo {
    base: String,
    oauth: oauth::Oauth,
    limits: limits::Limits,
    ids: u64,
    cards: shelf::Shelf,
    /// What was deleted or merged away.
    deleted: BTreeMap<(Kind, u64), Card>,
    catalogs: Vec<catalogs::Catalog>,
    products: BTreeMap<(Kind, u64), Vec<links::Product>>,
    tasks: Vec<tasks::Task>,
    events: events::Events,
    hooks: hooks::Hooks,
    fields: BTreeMap<Kind, Vec<fields::Field>>,
    groups: BTreeMap<Kind, Vec<fields::Group>>,
    pipelines: Vec<pipelines::Pipeline>,
    links: BTreeMap<u64, Vec<links::Link>>,
    notes: Vec<notes::Note>,
    tags: BTreeMap<Kind, Vec<(u64, String)>>,
    filters_enabled: bool,
    /// Whether the tariff has catalogs and webhooks.
    extended: bool,
    /// Whether linking a product changes the lead's `updated_at`. Not documented.
    links_touch: bool,
    relinking_fails: bool,
    index_lag_ms: u64,
}

/// One request, with what every handler needs of it.
struct Call<'a> {
    request: &'a Request<Bytes>,
    now_ms: u64,
    /// Unix seconds.
    at: i64,
}

/// When something is done, and by whom.
#[derive(Clone, Copy, Debug)]
struct Moment {
    now_ms: u64,
    /// Unix seconds.
    at: i64,
    by: u64,
}

impl Call<'_> {
    /// What the API is asked is done by its token's user.
    fn moment(&self) -> Moment {
        Moment { now_ms: self.now_ms, at: self.at, by: USER }
    }

    fn method(&self) -> &Method {
        self.request.method()
    }

    fn query(&self) -> Value {
        wire::query(self.request)
    }

    fn body(&self) -> Result<Value, Refused> {
        if self.request.body().is_empty() {
            return Err(Problem::bad_request("Request data can not be empty"));
        }
        serde_json::from_slice(self.request.body()).map_err(|error| Problem::bad_request(&format!("Invalid JSON: {error}")))
    }

    /// The items of a write to a collection.
    fn items(&self) -> Result<Vec<Value>, Refused> {
        match self.body()? {
            Value::Array(items) if items.is_empty() => Err(Problem::bad_request("Request data can not be empty")),
            Value::Array(items) if items.len() > MAX_ITEMS => {
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity", "Limit 250 per page"))
            }
            Value::Array(items) => Ok(items),
            _ => Err(Problem::bad_request("The body must be an array")),
        }
    }
}

impl Amo {
    /// A fresh account in Moscow's time zone: a main pipeline, one for passes (`Проходы`, stage `Прошёл`), one for birthdays; no contacts, no leads.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut amo = Self {
            base: "https://amocrm.sandbox".to_owned(),
            oauth: oauth::Oauth::new(seed),
            limits: limits::Limits::default(),
            ids: 7_000,
            cards: shelf::Shelf::default(),
            deleted: BTreeMap::new(),
            catalogs: Vec::new(),
            products: BTreeMap::new(),
            tasks: Vec::new(),
            events: events::Events::default(),
            hooks: hooks::Hooks::default(),
            fields: BTreeMap::new(),
            groups: BTreeMap::new(),
            pipelines: Vec::new(),
            links: BTreeMap::new(),
            notes: Vec::new(),
            tags: BTreeMap::new(),
            filters_enabled: true,
            extended: true,
            links_touch: true,
            relinking_fails: true,
            index_lag_ms: 0,
        };
        amo.seed_fields();
        amo.seed_pipelines();
        amo
    }

    /// The account's address, without a path: it stands in links and in tokens.
    pub fn set_base(&mut self, base: &str) {
        base.clone_into(&mut self.base);
    }

    /// A token as an administrator makes it in the integration's tab "Ключи и доступы": no refresh, five years.
    #[must_use]
    pub fn long_lived_token(&self) -> String {
        self.oauth.long_lived(&self.base)
    }

    /// Client id, secret, redirect URI and a first one-time code.
    #[must_use]
    pub fn integration(&self) -> Value {
        self.oauth.shown()
    }

    /// A fresh one-time code, as after a click on "Разрешить"; it lives for 20 minutes.
    pub fn issue_code(&mut self, now_ms: u64) -> String {
        self.oauth.issue_code(now_ms)
    }

    /// Changes a behaviour by name. False when there is no such switch, or not for this value.
    ///
    /// `filters` (bool): whether `filter[..]` is heeded; `limit_per_second` (number or null); `block_after` (429s within a minute, or null: never blocked);
    /// `relinking_fails` (bool): linking a contact that is linked answers 500; `links_touch` (bool): linking a product changes the lead's `updated_at`;
    /// `extended` (bool): the tariff has catalogs and webhooks; `hook_minute_ms` (number): how long a minute of the webhooks' retry ladder is;
    /// `revoke_tokens` (true): all access tokens end now.
    pub fn switch(&mut self, name: &str, value: &Value) -> bool {
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        match (name, value) {
            ("filters", Value::Bool(on)) => self.filters_enabled = *on,
            ("relinking_fails", Value::Bool(on)) => self.relinking_fails = *on,
            ("links_touch", Value::Bool(on)) => self.links_touch = *on,
            ("extended", Value::Bool(on)) => self.extended = *on,
            ("hook_minute_ms", Value::Number(ms)) => self.hooks.minute_ms = ms.as_u64().unwrap_or(1),
            ("limit_per_second", Value::Number(_) | Value::Null) => self.limits.per_second = number,
            ("block_after", Value::Number(_) | Value::Null) => self.limits.block_after = number,
            ("revoke_tokens", Value::Bool(true)) => self.oauth.revoke(),
            _ => return false,
        }
        true
    }

    /// Answers one request.
    pub fn handle(&mut self, now_ms: u64, wall_ms: i64, request: &Request<Bytes>) -> Response<Bytes> {
        let call = Call { request, now_ms, at: wall_ms.div_euclid(1_000) };
        if let Some(path) = request.uri().path().strip_prefix("/oauth2/") {
            // Tokens are not part of the API that the limit is about.
            return self.oauth(&call, path).unwrap_or_else(|refused| refused.response());
        }
        match self.limits.admit(now_ms) {
            limits::Admission::Admitted => {}
            limits::Admission::TooMany => return errors::too_many_requests(None),
            limits::Admission::Blocked => return errors::blocked(),
        }
        let answer = self.route(&call).unwrap_or_else(|refused| refused.response());
        self.send_hooks(now_ms);
        answer
    }

    pub(crate) fn set_index_lag(&mut self, ms: u64) {
        self.index_lag_ms = ms;
    }

    fn route(&mut self, call: &Call<'_>) -> Result<Response<Bytes>, Refused> {
        let path = call.request.uri().path().to_owned();
        let Some(path) = path.strip_prefix("/api/v4/") else { return Err(self.no_route(call)) };
        if !wire::bearer(call.request).is_some_and(|token| self.oauth.accepts(token, &self.base, call.now_ms)) {
            return Err(Problem::unauthorized());
        }
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let Some((first, rest)) = segments.split_first() else { return Err(self.no_route(call)) };
        if *first == "account" && rest.is_empty() {
            return match call.method() {
                &Method::GET => Ok(self.account(&call.query())),
                _ => Err(Problem::method_not_allowed()),
            };
        }
        match (*first, rest) {
            ("users", []) if *call.method() == Method::GET => return Ok(self.users(call)),
            ("users", []) => return Err(Problem::method_not_allowed()),
            ("catalogs", rest) => return self.catalogs(call, rest),
            ("tasks", rest) => return self.tasks(call, rest),
            ("events", rest) => return self.events(call, rest),
            ("webhooks", []) => return self.webhooks(call),
            _ => {}
        }
        let Some(kind) = Kind::named(first) else { return Err(self.no_route(call)) };
        match rest {
            ["pipelines", rest @ ..] if kind == Kind::Leads => self.pipelines(call, rest),
            ["complex"] if kind == Kind::Leads => self.complex(call),
            ["custom_fields", "groups", rest @ ..] => self.groups(call, kind, rest),
            ["custom_fields", rest @ ..] => self.custom_fields(call, kind, rest),
            ["notes", rest @ ..] => self.notes(call, kind, None, rest),
            ["tags"] => self.tags(call, kind),
            ["links"] => self.links(call, kind, None),
            ["link"] => self.link(call, kind, None),
            ["unlink"] => self.unlink(call, kind, None),
            [] => self.collection(call, kind),
            [id, rest @ ..] => {
                let Ok(id) = id.parse::<u64>() else { return Err(self.no_route(call)) };
                match rest {
                    [] => self.single(call, kind, id),
                    ["notes", rest @ ..] => self.notes(call, kind, Some(id), rest),
                    ["links"] => self.links(call, kind, Some(id)),
                    ["link"] => self.link(call, kind, Some(id)),
                    ["unlink"] => self.unlink(call, kind, Some(id)),
                    _ => Err(self.no_route(call)),
                }
            }
        }
    }

    fn no_route(&self, call: &Call<'_>) -> Refused {
        Problem::new(StatusCode::NOT_FOUND, "Not Found", &format!("Cannot {} {}{}!", call.method(), self.base, call.request.uri()))
    }

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
}
