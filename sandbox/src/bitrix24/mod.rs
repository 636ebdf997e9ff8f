//! Bitrix24's REST (`/rest/`): items of contacts and deals, their user fields and product rows, funnels and stages, catalog, timeline, offline events,
//! batch.
//!
//! Invariants: an answer is judged by its `error` key, not by its status; empty maps are `[]`, as PHP has them; the two limits (calls a second, running
//! time per method) are counted on the caller's monotonic clock. Nothing here keeps an origin unique: two writers can double.

mod auth;
mod batch;
mod catalog;
mod classic;
mod duplicate;
pub(crate) mod errors;
mod filter;
mod funnels;
mod history;
mod import;
mod items;
mod limits;
mod multifield;
mod person;
mod portal;
mod queue;
mod rows;
mod schema;
mod shelf;
mod state;
mod timeline;
mod userfields;
mod users;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::wire;
use errors::Fault;

/// The portal's zone is Moscow's.
const OFFSET_MINUTES: i32 = 180;
/// Rows of a page, always.
const PAGE: usize = 50;
/// The portal's user who made the webhook and installed the app.
const USER: u64 = 1;

/// A Bitrix24 portal.
#[derive(Debug)]
pub struct Bitrix {
    base: String,
    auth: auth::Auth,
    limits: limits::Limits,
    ids: u64,
    items: shelf::Shelf,
    user_fields: Vec<userfields::UserField>,
    funnels: Vec<funnels::Funnel>,
    stages: Vec<funnels::Stage>,
    history: Vec<history::Move>,
    messages: Vec<timeline::Message>,
    /// By deal.
    rows: BTreeMap<u64, Vec<rows::ProductRow>>,
    catalog: catalog::Catalog,
    queue: queue::Queue,
    plan: Plan,
    /// Whether filters understand ISO 8601 with an offset; some portals do not.
    iso_filters: bool,
    /// How often each deal set off robots.
    robots: BTreeMap<u64, u64>,
    moved_to: Option<String>,
    commercial: bool,
    admin: bool,
    index_lag_ms: u64,
}

/// The clocks of one request, and who asks.
#[derive(Clone, Copy, Debug)]
struct Call<'a> {
    now_ms: u64,
    wall_ms: i64,
    who: Who,
    /// `auth_connector`: which of an app's connections it is.
    connector: Option<&'a str>,
    /// Whether what is done sets off robots.
    robots: bool,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    App,
    Webhook,
    /// In the interface.
    Person,
}

/// What the portal's plan has.
#[derive(Clone, Copy, Debug)]
struct Plan {
    offline_extended: bool,
    auth_connector: bool,
    catalog: bool,
    /// So many funnels of deals, the common one included.
    funnels: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { offline_extended: true, auth_connector: true, catalog: true, funnels: 100 }
    }
}

/// What a method answers.
#[derive(Clone, Debug)]
struct Done {
    result: Value,
    total: Option<usize>,
    next: Option<usize>,
}

impl Done {
    fn of(result: Value) -> Self {
        Self { result, total: None, next: None }
    }

    /// One page of `rows` from `start`, which is rounded down to whole pages.
    fn page(rows: Vec<Value>, start: usize, size: usize) -> Self {
        let (total, from) = (rows.len(), start / size * size);
        let page: Vec<Value> = rows.into_iter().skip(from).take(size).collect();
        let next = from + page.len();
        Self { result: Value::Array(page), total: Some(total), next: (next < total).then_some(next) }
    }
}

type Answer = Result<Done, Fault>;
type Parameters = Map<String, Value>;

impl Bitrix {
    /// A fresh portal in Moscow's time zone: the common funnel and one for passes (`Проходы`, stage `Прошёл`); no contacts, no deals.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut portal = Self {
            base: "https://bitrix24.sandbox".to_owned(),
            auth: auth::Auth::new(seed),
            limits: limits::Limits::default(),
            ids: 40,
            items: shelf::Shelf::default(),
            user_fields: Vec::new(),
            funnels: Vec::new(),
            stages: Vec::new(),
            history: Vec::new(),
            messages: Vec::new(),
            rows: BTreeMap::new(),
            catalog: catalog::Catalog::default(),
            queue: queue::Queue::default(),
            plan: Plan::default(),
            iso_filters: true,
            robots: BTreeMap::new(),
            moved_to: None,
            commercial: true,
            admin: true,
            index_lag_ms: 0,
        };
        portal.seed_funnels();
        portal
    }

    /// The portal's address, without a path.
    pub fn set_base(&mut self, base: &str) {
        base.clone_into(&mut self.base);
    }

    /// The inbound webhook's address, ending in a slash.
    #[must_use]
    pub fn webhook(&self) -> String {
        format!("{}/rest/{USER}/{}/", self.base, self.auth.secret())
    }

    /// Client id, secret, tokens and token address of a local app.
    #[must_use]
    pub fn app(&self) -> Value {
        self.auth.shown(&self.base)
    }

    /// Changes a behaviour by name. False when there is no such switch, or not for this value.
    ///
    /// `limit` (bool): calls a second are counted; `method_ms` (number): how long each method takes, for the running-time budget; `budget_ms` (number): that budget
    /// per method within ten minutes; `charge_batch` (bool): the budget is charged to `batch`; `moved_to` (text or null): the portal's new address, answered with
    /// 302; `commercial` (bool): the plan has REST; `admin` (bool): the user may create fields and funnels; `webhook` (bool): the webhook lives; `expire_tokens`
    /// (true): all access tokens end now. What the plan has: `offline_extended`, `auth_connector`, `catalog` (bool), `funnels` (number). `iso_filters` (bool):
    /// filters understand times with an offset.
    pub fn switch(&mut self, name: &str, value: &Value) -> bool {
        match (name, value) {
            ("limit", Value::Bool(on)) => self.limits.counting = *on,
            ("method_ms", Value::Number(ms)) => self.limits.method_ms = ms.as_u64().unwrap_or(0),
            ("budget_ms", Value::Number(ms)) => self.limits.budget_ms = ms.as_u64().unwrap_or(0),
            ("charge_batch", Value::Bool(on)) => self.limits.charge_batch = *on,
            ("moved_to", Value::String(to)) => self.moved_to = Some(to.clone()),
            ("moved_to", Value::Null) => self.moved_to = None,
            ("commercial", Value::Bool(on)) => self.commercial = *on,
            ("admin", Value::Bool(on)) => self.admin = *on,
            ("webhook", Value::Bool(on)) => self.auth.webhook_lives = *on,
            ("expire_tokens", Value::Bool(true)) => self.auth.expire(),
            ("offline_extended", Value::Bool(on)) => self.plan.offline_extended = *on,
            ("auth_connector", Value::Bool(on)) => self.plan.auth_connector = *on,
            ("catalog", Value::Bool(on)) => self.plan.catalog = *on,
            ("funnels", Value::Number(count)) => self.plan.funnels = count.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(1),
            ("iso_filters", Value::Bool(on)) => self.iso_filters = *on,
            _ => return false,
        }
        true
    }

    /// Answers one request.
    pub fn handle(&mut self, now_ms: u64, wall_ms: i64, request: &Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if path == "/oauth/token/" || path == "/oauth/token" {
            return self.token(now_ms, wall_ms, &wire::parameters(request));
        }
        if let Some(to) = &self.moved_to {
            let whole = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            let mut response = wire::html(StatusCode::FOUND, "302 Found");
            if let Ok(location) = HeaderValue::from_str(&format!("{to}{whole}")) {
                response.headers_mut().insert(LOCATION, location);
            }
            return response;
        }
        let Some(path) = path.strip_prefix("/rest/") else { return wire::html(StatusCode::NOT_FOUND, "404 Not Found") };
        let parameters = wire::parameters(request);
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (webhook, method) = match segments.as_slice() {
            [user, secret, method] => (Some((*user, *secret)), *method),
            [method] => (None, *method),
            _ => return Fault::method_not_found().response(),
        };
        if !self.limits.admit(now_ms) {
            return errors::query_limit_exceeded();
        }
        let allowed = match webhook {
            Some((user, secret)) => self.auth.webhook(user, secret),
            None => self.auth.token(parameters.get("auth").and_then(Value::as_str), now_ms),
        };
        let allowed = allowed.and_then(|()| if self.commercial { Ok(()) } else { Err(Fault::not_on_this_plan()) });
        if let Err(fault) = allowed {
            return fault.response();
        }
        let who = if webhook.is_some() { Who::Webhook } else { Who::App };
        let call = Call { now_ms, wall_ms, who, connector: None, robots: true };
        let method = method.strip_suffix(".json").unwrap_or(method).to_ascii_lowercase();
        self.answer(call, &method, &parameters)
    }

    pub(crate) fn set_index_lag(&mut self, ms: u64) {
        self.index_lag_ms = ms;
    }

    fn answer(&mut self, call: Call<'_>, method: &str, parameters: &Parameters) -> Response<Bytes> {
        let done = match method {
            "batch" => self.batch(call, parameters),
            _ => self.limits.charge(call.now_ms, method).and_then(|()| self.run(call, method, parameters)),
        };
        match done {
            Ok(done) => {
                let mut body = Map::from_iter([("result".to_owned(), php(done.result))]);
                body.extend(done.next.map(|next| ("next".to_owned(), json!(next))));
                body.extend(done.total.map(|total| ("total".to_owned(), json!(total))));
                body.insert("time".to_owned(), self.time(call, method));
                wire::whole(StatusCode::OK, "application/json; charset=utf-8", Bytes::from(escaped(&Value::Object(body))))
            }
            Err(fault) => fault.response(),
        }
    }

    /// One method, outside or inside a batch.
    fn run(&mut self, call: Call<'_>, method: &str, parameters: &Parameters) -> Answer {
        let call = Call { connector: parameters.get("auth_connector").and_then(Value::as_str), ..call };
        match method {
            "crm.item.add" => self.item_add(call, parameters),
            "crm.item.get" => self.item_get(parameters),
            "crm.item.list" => self.item_list(call, parameters),
            "crm.item.update" => self.item_update(call, parameters),
            "crm.item.delete" => self.item_delete(call, parameters),
            "crm.item.import" => self.item_import(call, parameters),
            "crm.item.batchimport" => self.item_batch_import(call, parameters),
            "crm.item.fields" => self.item_fields(parameters),
            "crm.duplicate.findbycomm" => self.find_by_comm(call, parameters),
            "crm.category.list" => self.category_list(parameters),
            "crm.category.get" => self.category_get(parameters),
            "crm.category.add" => self.category_add(parameters),
            "crm.category.update" => self.category_update(parameters),
            "crm.category.delete" => self.category_delete(parameters),
            "crm.status.list" => self.status_list(parameters),
            "crm.status.add" => self.status_add(parameters),
            "crm.status.update" => self.status_update(parameters),
            "crm.status.delete" => self.status_delete(parameters),
            "crm.stagehistory.list" => self.stage_history(parameters),
            "crm.timeline.logmessage.add" => self.log_message_add(call, parameters),
            "crm.timeline.logmessage.get" => self.log_message_get(parameters),
            "crm.timeline.logmessage.list" => self.log_message_list(parameters),
            "crm.timeline.logmessage.delete" => self.log_message_delete(parameters),
            "crm.timeline.comment.add" => self.comment_add(call, parameters),
            "crm.timeline.comment.get" => self.comment_get(parameters),
            "crm.timeline.comment.list" => self.comment_list(parameters),
            "profile" => Ok(self.profile()),
            "user.get" => Self::user_get(parameters),
            "scope" => Ok(Done::of(json!(["crm", "catalog", "user_basic"]))),
            "server.time" => Ok(Done::of(json!(portal_time(call.wall_ms)))),
            "method.get" => self.method_get(parameters),
            "methods" => Ok(Done::of(json!(portal::METHODS.as_slice()))),
            "app.info" if call.who == Who::App => Ok(self.auth.app_info()),
            "feature.get" if call.who == Who::App => self.feature_get(parameters),
            _ if method.starts_with("event.") && call.who == Who::Webhook => Err(Fault::wrong_auth_type()),
            _ if method.starts_with("event.") => self.event_method(method, parameters),
            _ if method.starts_with("catalog.") => self.catalog_method(call, method, parameters),
            _ => match method.split('.').collect::<Vec<_>>().as_slice() {
                ["crm", "item", "productrow", verb] => self.product_row(call, verb, parameters),
                ["crm", "deal", "productrows", verb] => self.classic_rows(call, verb, parameters),
                ["crm", entity @ ("contact" | "deal"), "userfield", verb] => self.user_field(schema::Entity::classic(entity), verb, parameters),
                ["crm", entity @ ("contact" | "deal"), verb] => self.classic(call, schema::Entity::classic(entity), verb, parameters),
                _ => Err(Fault::method_not_found()),
            },
        }
    }

    /// The `time` of an answer.
    fn time(&self, call: Call<'_>, method: &str) -> Value {
        let start = call.wall_ms as f64 / 1_000.0;
        let (operating, reset_ms) = self.limits.operating(call.now_ms, method);
        let reset = call.wall_ms.saturating_add(i64::try_from(reset_ms).unwrap_or(0)).div_euclid(1_000);
        json!({
            "start": start, "finish": start, "duration": 0.0, "processing": 0.0,
            "date_start": portal_time(call.wall_ms), "date_finish": portal_time(call.wall_ms),
            "operating_reset_at": reset, "operating": if operating == 0 { json!(0) } else { json!(operating as f64 / 1_000.0) },
        })
    }

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
}

fn portal_time(wall_ms: i64) -> String {
    wire::rfc3339(wall_ms, OFFSET_MINUTES, false)
}

/// PHP prints an empty map, and a map with keys 0..n-1, as a list.
fn php(value: Value) -> Value {
    match value {
        Value::Object(map) if map.keys().enumerate().all(|(index, key)| *key == index.to_string()) => {
            map.into_iter().map(|(_, value)| php(value)).collect()
        }
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, php(value))).collect()),
        Value::Array(list) => list.into_iter().map(php).collect(),
        scalar => scalar,
    }
}

/// JSON as PHP writes it: slashes and everything beyond ASCII escaped.
fn escaped(value: &Value) -> String {
    let mut out = String::new();
    for character in value.to_string().chars() {
        match character {
            '/' => out.push_str("\\/"),
            ' '..='~' => out.push(character),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

/// A parameter that must be there.
fn needed<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a Value, Fault> {
    parameters.get(name).filter(|value| !value.is_null()).ok_or_else(|| Fault::missing(name))
}

fn needed_id(parameters: &Parameters, name: &str) -> Result<u64, Fault> {
    let value = needed(parameters, name)?;
    wire::integer(value).and_then(|id| u64::try_from(id).ok()).ok_or_else(|| Fault::argument(name))
}

/// The offset of a list; `None` for -1, which switches the count off.
fn start_of(parameters: &Parameters) -> Option<usize> {
    match parameters.get("start").and_then(wire::integer) {
        Some(start) => usize::try_from(start).ok(),
        None => Some(0),
    }
}
