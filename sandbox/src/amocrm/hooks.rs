//! Webhooks: subscriptions, bodies in the old v2 shape, and the ladder of tries. Pure: who serves the sandbox takes what is due and says how it went.
//!
//! A try succeeds with 100..299 within two seconds. After any other end (no answer, 0..99, from 300) the second comes after 5 minutes and the third after
//! 15; only after 499 or 5xx a fourth after 15 and a fifth after an hour. With more than a hundred failures within two hours, the last try among them,
//! the subscription is switched off. Only addresses on 127.0.0.1 are taken: a sandbox calls nobody else.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::account::ZONE;
use super::card::Kind;
use super::errors::{Invalid, Problem, Refused};
use super::{ACCOUNT, Amo, Call, Moment, USER};
use crate::wire;

const MAX_SUBSCRIPTIONS: usize = 100;
const MINUTE_MS: u64 = 60_000;
const DISABLE_AFTER: usize = 100;
const DISABLE_WITHIN_MINUTES: u64 = 120;
/// What may stay as it is in a form.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// One try that is due: POST the form to the address, with a deadline of two seconds.
#[derive(Clone, Debug)]
pub struct HookCall {
    /// For [`Amo::hook_ended`].
    pub id: u64,
    /// An address on 127.0.0.1.
    pub url: String,
    /// `application/x-www-form-urlencoded`.
    pub body: String,
}

#[derive(Clone, Debug)]
struct Subscription {
    id: u64,
    destination: String,
    settings: Vec<String>,
    sort: i64,
    created_at: i64,
    disabled: bool,
    /// When tries failed.
    failures: VecDeque<u64>,
}

#[derive(Clone, Debug)]
struct Delivery {
    id: u64,
    subscription: u64,
    body: String,
    tries: u32,
    due_ms: u64,
    /// A try is under way.
    taken: bool,
}

/// One entity that a body is to tell.
#[derive(Clone, Debug)]
struct Told {
    setting: String,
    group: &'static str,
    action: &'static str,
    /// Keys behind `group[action][n]`.
    pairs: Vec<(String, String)>,
}

/// Subscriptions, and what is on its way to them.
#[derive(Debug)]
pub(super) struct Hooks {
    subscriptions: Vec<Subscription>,
    deliveries: Vec<Delivery>,
    pending: Vec<Told>,
    /// How long a minute of the ladder is.
    pub(super) minute_ms: u64,
    number: u64,
    delivered: u64,
    failed: u64,
    given_up: u64,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            subscriptions: Vec::new(),
            deliveries: Vec::new(),
            pending: Vec::new(),
            minute_ms: MINUTE_MS,
            number: 0,
            delivered: 0,
            failed: 0,
            given_up: 0,
        }
    }
}

impl Amo {
    /// The tries that are due; each is taken once until it is said how it ended.
    pub fn due_hooks(&mut self, now_ms: u64) -> Vec<HookCall> {
        let Hooks { subscriptions, deliveries, .. } = &mut self.hooks;
        let mut due = Vec::new();
        for delivery in deliveries.iter_mut().filter(|delivery| !delivery.taken && delivery.due_ms <= now_ms) {
            if let Some(subscription) = subscriptions.iter().find(|subscription| subscription.id == delivery.subscription) {
                delivery.taken = true;
                due.push(HookCall { id: delivery.id, url: subscription.destination.clone(), body: delivery.body.clone() });
            }
        }
        due
    }

    /// How a try ended: the answer's status, or none when there was none within the deadline.
    pub fn hook_ended(&mut self, now_ms: u64, id: u64, status: Option<u16>) {
        let hooks = &mut self.hooks;
        let minute = hooks.minute_ms;
        let Some(at) = hooks.deliveries.iter().position(|delivery| delivery.id == id) else { return };
        let mut delivery = hooks.deliveries.remove(at);
        if status.is_some_and(|status| (100..300).contains(&status)) {
            hooks.delivered += 1;
            return;
        }
        hooks.failed += 1;
        delivery.tries += 1;
        let severe = status.is_some_and(|status| status == 499 || status >= 500);
        let wait = match delivery.tries {
            1 => Some(5),
            2 => Some(15),
            3 if severe => Some(15),
            4 if severe => Some(60),
            _ => None,
        };
        let Some(subscription) = hooks.subscriptions.iter_mut().find(|subscription| subscription.id == delivery.subscription) else { return };
        subscription.failures.push_back(now_ms);
        let span = DISABLE_WITHIN_MINUTES.saturating_mul(minute);
        while subscription.failures.front().is_some_and(|first| first.saturating_add(span) <= now_ms) {
            subscription.failures.pop_front();
        }
        subscription.disabled |= subscription.failures.len() > DISABLE_AFTER;
        match wait.filter(|_| !subscription.disabled) {
            Some(minutes) => {
                delivery.due_ms = now_ms.saturating_add(minute.saturating_mul(minutes));
                delivery.taken = false;
                hooks.deliveries.push(delivery);
            }
            None => hooks.given_up += 1,
        }
    }

    /// Something to tell; [`Amo::send_hooks`] puts all of one request into one body.
    pub(super) fn hook(&mut self, action: &'static str, kind: Kind, id: u64, moment: Moment, extra: &[(&str, String)]) {
        let (group, singular) = match kind {
            Kind::Contacts => ("contacts", "contact"),
            Kind::Leads => ("leads", "lead"),
            Kind::Elements(_) => ("catalogs", "catalog"),
        };
        let setting = format!("{action}_{singular}");
        if !self.hooks.subscriptions.iter().any(|subscription| !subscription.disabled && subscription.settings.contains(&setting)) {
            return;
        }
        let mut pairs = match (action, kind) {
            ("delete", Kind::Contacts) => vec![("[id]".to_owned(), id.to_string()), ("[type]".to_owned(), "contact".to_owned())],
            ("delete", _) => self.short(kind, id),
            ("status", _) => self.short(kind, id),
            ("note", _) => {
                let text = extra.first().map(|(_, text)| text.clone()).unwrap_or_default();
                let mut pairs = vec![("[note][element_id]".to_owned(), id.to_string()), ("[note][text]".to_owned(), text)];
                pairs.push(("[note][metadata]".to_owned(), json!({"event_source": {"type": 5}}).to_string()));
                pairs
            }
            _ => self.whole(kind, id),
        };
        if action == "status" {
            pairs.extend(extra.iter().map(|(name, value)| (format!("[{name}]"), value.clone())));
            pairs.push(("[modified_user_id]".to_owned(), moment.by.to_string()));
            pairs.push(("[last_modified]".to_owned(), moment.at.to_string()));
        }
        self.hooks.pending.push(Told { setting, group, action, pairs });
    }

    /// One body for each subscription that wants any of what one request did.
    pub(super) fn send_hooks(&mut self, now_ms: u64) {
        let pending = std::mem::take(&mut self.hooks.pending);
        if pending.is_empty() {
            return;
        }
        let account = [
            ("account[id]".to_owned(), ACCOUNT.to_string()),
            ("account[subdomain]".to_owned(), "park".to_owned()),
            ("account[_links][self]".to_owned(), self.base.clone()),
        ];
        let hooks = &mut self.hooks;
        for subscription in hooks.subscriptions.iter().filter(|subscription| !subscription.disabled) {
            let wanted: Vec<&Told> = pending.iter().filter(|told| subscription.settings.contains(&told.setting)).collect();
            if wanted.is_empty() {
                continue;
            }
            let mut numbers: std::collections::BTreeMap<(&str, &str), usize> = std::collections::BTreeMap::new();
            let mut pairs: Vec<(String, String)> = Vec::new();
            for told in wanted {
                let number = numbers.entry((told.group, told.action)).or_default();
                pairs.extend(told.pairs.iter().map(|(key, value)| (format!("{}[{}][{number}]{key}", told.group, told.action), value.clone())));
                *number += 1;
            }
            pairs.extend(account.clone());
            let encoded = |text: &str| utf8_percent_encode(text, FORM).to_string();
            let body: Vec<String> = pairs.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
            hooks.number += 1;
            hooks.deliveries.push(Delivery {
                id: hooks.number,
                subscription: subscription.id,
                body: body.join("&"),
                tries: 0,
                due_ms: now_ms,
                taken: false,
            });
        }
    }

    /// A lead as a status or a deletion tells it.
    fn short(&self, kind: Kind, id: u64) -> Vec<(String, String)> {
        let card = self.cards.get(&(kind, id)).or_else(|| self.deleted.get(&(kind, id)));
        let mut pairs = vec![("[id]".to_owned(), id.to_string())];
        if let Some(card) = card.filter(|_| kind == Kind::Leads) {
            pairs.push(("[status_id]".to_owned(), card.lead.status.to_string()));
            pairs.push(("[pipeline_id]".to_owned(), card.lead.pipeline.to_string()));
        }
        pairs
    }

    /// A card as an addition or a change tells it: every value a text, what is empty left out.
    fn whole(&self, kind: Kind, id: u64) -> Vec<(String, String)> {
        let Some(card) = self.cards.get(&(kind, id)) else { return Vec::new() };
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut put = |key: &str, value: String| pairs.push((key.to_owned(), value));
        put("[id]", id.to_string());
        put("[name]", card.name.clone());
        if let Kind::Elements(catalog) = kind {
            put("[catalog_id]", catalog.to_string());
        }
        put("[responsible_user_id]", card.responsible.to_string());
        put("[date_create]", card.created_at.to_string());
        put("[last_modified]", card.updated_at.to_string());
        put("[created_user_id]", card.created_by.to_string());
        put("[modified_user_id]", card.updated_by.to_string());
        put("[account_id]", ACCOUNT.to_string());
        put("[created_at]", card.created_at.to_string());
        put("[updated_at]", card.updated_at.to_string());
        match kind {
            Kind::Contacts => {
                put("[type]", "contact".to_owned());
                for lead in self.leads_of(id) {
                    put(&format!("[linked_leads_id][{lead}][ID]"), lead.to_string());
                }
            }
            Kind::Leads => {
                put("[status_id]", card.lead.status.to_string());
                put("[pipeline_id]", card.lead.pipeline.to_string());
                put("[price]", card.lead.price.to_string());
            }
            Kind::Elements(_) => {}
        }
        let filled = self.fields_of(kind).iter().filter_map(|field| card.values.get(&field.id).map(|values| (field, values)));
        for (index, (field, values)) in filled.enumerate() {
            let at = format!("[custom_fields][{index}]");
            put(&format!("{at}[id]"), field.id.to_string());
            put(&format!("{at}[name]"), field.name.clone());
            if let Some(code) = &field.code {
                put(&format!("{at}[code]"), code.clone());
            }
            for (number, value) in values.iter().enumerate() {
                let text = value.get("value").and_then(wire::text).unwrap_or_default();
                let of_choice = value.get("enum_id").and_then(wire::text);
                match field.kind.as_str() {
                    // Bare seconds.
                    "date" | "date_time" => put(&format!("{at}[values][{number}]"), text),
                    "birthday" => put(&format!("{at}[values][{number}][value]"), written_day(&text)),
                    // Not a list.
                    "radiobutton" => {
                        put(&format!("{at}[values][value]"), text);
                        put(&format!("{at}[values][enum]"), of_choice.unwrap_or_default());
                    }
                    _ => {
                        put(&format!("{at}[values][{number}][value]"), text);
                        if let Some(choice) = of_choice {
                            put(&format!("{at}[values][{number}][enum]"), choice);
                        }
                    }
                }
            }
        }
        let tags = self.tags.get(&kind).into_iter().flatten().filter(|(tag, _)| card.tags.contains(tag));
        for (number, (tag, name)) in tags.enumerate() {
            put(&format!("[tags][{number}][id]"), tag.to_string());
            put(&format!("[tags][{number}][name]"), name.clone());
        }
        pairs
    }

    pub(super) fn webhooks(&mut self, call: &Call<'_>) -> Result<Response<Bytes>, Refused> {
        if !self.extended {
            return Err(Problem::new(StatusCode::PAYMENT_REQUIRED, "Payment Required", "The tariff has no webhooks"));
        }
        match *call.method() {
            Method::GET => {
                let wanted = call.query().pointer("/filter/destination").and_then(wire::text);
                let own = self.hooks.subscriptions.iter().filter(|own| wanted.as_ref().is_none_or(|wanted| own.destination == *wanted));
                let shown: Vec<Value> = own.map(Subscription::shown).collect();
                let body =
                    json!({"_total_items": shown.len(), "_links": {"self": {"href": self.href("webhooks")}}, "_embedded": {"webhooks": shown}});
                Ok(if shown.is_empty() { wire::empty(StatusCode::NO_CONTENT) } else { self.one(&body) })
            }
            Method::POST => {
                let item = call.body()?;
                let destination = item.get("destination").and_then(Value::as_str).unwrap_or_default().to_owned();
                let settings: Vec<String> = item.get("settings").map(wire::members).unwrap_or_default().into_iter().filter_map(wire::text).collect();
                if !destination.starts_with("http://127.0.0.1:") {
                    let error = Invalid::new("NotSupportedChoice", "destination", "A sandbox calls http://127.0.0.1:<port>/ only");
                    return Err(Problem::invalid(vec![("0".to_owned(), vec![error])]));
                }
                if settings.is_empty() {
                    return Err(Problem::invalid(vec![("0".to_owned(), vec![Invalid::missing("settings")])]));
                }
                // The same destination again is the same subscription.
                self.hooks.subscriptions.retain(|known| known.destination != destination);
                if self.hooks.subscriptions.len() >= MAX_SUBSCRIPTIONS {
                    return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity", "Limit 100 webhooks"));
                }
                let subscription = Subscription {
                    id: self.next_id(),
                    destination,
                    settings,
                    sort: item.get("sort").and_then(Value::as_i64).unwrap_or(10),
                    created_at: call.at,
                    disabled: false,
                    failures: VecDeque::new(),
                };
                let shown = subscription.shown();
                self.hooks.subscriptions.push(subscription);
                Ok(wire::json_as(super::envelope::HAL, StatusCode::CREATED, &shown))
            }
            Method::DELETE => {
                let item = call.body()?;
                let destination = item.get("destination").and_then(Value::as_str).unwrap_or_default();
                let at = self.hooks.subscriptions.iter().position(|known| known.destination == destination).ok_or_else(|| self.no_route(call))?;
                let gone = self.hooks.subscriptions.remove(at);
                self.hooks.deliveries.retain(|delivery| delivery.subscription != gone.id);
                Ok(wire::empty(StatusCode::NO_CONTENT))
            }
            _ => Err(Problem::method_not_allowed()),
        }
    }

    pub(super) fn hooks_state(&self) -> Value {
        let hooks = &self.hooks;
        json!({"subscriptions": hooks.subscriptions.iter().map(Subscription::shown).collect::<Vec<_>>(), "delivered": hooks.delivered,
            "failed_tries": hooks.failed, "given_up": hooks.given_up, "waiting": hooks.deliveries.len(),
            "next_due_ms": hooks.deliveries.iter().map(|delivery| delivery.due_ms).min()})
    }
}

impl Subscription {
    fn shown(&self) -> Value {
        json!({"id": self.id, "destination": self.destination, "created_at": self.created_at, "updated_at": self.created_at, "account_id": ACCOUNT,
            "created_by": USER, "sort": self.sort, "disabled": self.disabled, "settings": self.settings})
    }
}

/// `DD.MM.YYYY` of the day that an instant has in the account's zone.
fn written_day(seconds: &str) -> String {
    let zone = jiff::tz::TimeZone::get(ZONE).unwrap_or(jiff::tz::TimeZone::UTC);
    let at = seconds.parse().ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    at.map_or_else(String::new, |at| {
        let day = at.to_zoned(zone).date();
        format!("{:02}.{:02}.{:04}", day.day(), day.month(), day.year())
    })
}
