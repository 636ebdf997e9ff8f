//! `POST /write-offs:batch`: each item on its own, each id once. `POST /write-offs:lookup`: what became of an id, without changing anything.
//!
//! The canonical hash of an id covers what a resend never changes: device, sequence, service point, direction, medium and claim. Not the times and
//! their quality (an anchor corrects them later) and not the passage (it may be seen after the first report).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::feeds::Origin;
use super::transactions::{Line, Transaction};
use super::{CURRENCY, Lime, time};
use crate::wire;

/// What a card or code entitles to, in the order in which it is used up.
#[derive(Clone, Debug)]
pub(super) struct Medium {
    pub(super) client_id: Option<String>,
    pub(super) blocked: bool,
    pub(super) rights: Vec<String>,
}

/// An entitlement.
#[derive(Clone, Debug)]
pub(super) struct Right {
    pub(super) kind: &'static str,
    title: String,
    /// Visits, or minor units.
    pub(super) balance: i64,
    /// Of these, what grants hold until the passage is known.
    pub(super) held: i64,
    /// `from`, `to`, `sp`, `win`, `daily_limit`, as the entitlements have them.
    pub(super) limits: Map<String, Value>,
    last_used_by: Option<String>,
}

impl Right {
    pub(super) fn deposit(minor: i64) -> Self {
        Self { kind: "deposit", title: "Депозит".to_owned(), balance: minor, held: 0, limits: Map::new(), last_used_by: None }
    }

    pub(super) fn visits(count: i64, title: &str) -> Self {
        Self { kind: "ticket", title: title.to_owned(), balance: count, held: 0, limits: Map::new(), last_used_by: None }
    }

    /// What is not held.
    pub(super) fn free(&self) -> i64 {
        self.balance - self.held
    }

    /// Where it is valid; none: everywhere.
    pub(super) fn places(&self) -> Option<Vec<String>> {
        let places = self.limits.get("sp")?.as_array()?;
        Some(places.iter().filter_map(|place| place.as_str().map(str::to_owned)).collect())
    }

    /// Why it is not valid there and then.
    pub(super) fn barred(&self, point: &str, wall_ms: i64) -> Option<&'static str> {
        let limit = |name: &str| self.limits.get(name).and_then(Value::as_str).and_then(wire::parse_rfc3339);
        if self.places().is_some_and(|places| !places.iter().any(|place| place == point)) {
            return Some("wrong_service_point");
        }
        if limit("from").is_some_and(|from| wall_ms < from) {
            return Some("not_yet_valid");
        }
        limit("to").is_some_and(|to| wall_ms >= to).then_some("expired")
    }
}

/// What is kept of an id for ever.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    hash: String,
    medium: String,
    point: String,
    result: Value,
    pub(super) received: u64,
    conflicts: u64,
    transactions: u64,
}

impl Stored {
    pub(super) fn status(&self) -> &str {
        self.result.get("status").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn code(&self) -> Value {
        self.result.get("code").cloned().unwrap_or(Value::Null)
    }

    pub(super) fn state(&self) -> Value {
        json!({
            "medium": self.medium, "service_point_id": self.point,
            "status": self.status(), "code": self.result.get("code"), "client_id": self.result.get("client_id"),
            "transaction_id": self.result.get("transaction_id"),
            "received": self.received, "applied": self.transactions, "id_conflicts": self.conflicts,
        })
    }
}

/// How a fault wants some items of a batch treated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Treat {
    pub(super) missing: usize,
    pub(super) missing_committed: bool,
    pub(super) put_off: usize,
    pub(super) retry_after_ms: u64,
}

/// A well-formed item.
pub(super) struct Item<'a> {
    pub(super) id: &'a str,
    pub(super) point: &'a str,
    pub(super) direction: &'a str,
    pub(super) medium: (String, String),
    pub(super) occurred_at: &'a str,
    pub(super) admitted: bool,
    pub(super) decision_code: &'a str,
    pub(super) claim_kind: &'a str,
    pub(super) force: bool,
}

/// More items than this in one batch are refused.
pub(super) const MAX_ITEMS: usize = 200;

impl Lime {
    pub(super) fn write_offs(&mut self, wall_ms: i64, body: &Map<String, Value>, treat: Treat) -> Value {
        let device = body.get("device_id").and_then(Value::as_str).unwrap_or_default();
        let none = Vec::new();
        let items = body.get("items").and_then(Value::as_array).unwrap_or(&none);
        let answered = items.len().saturating_sub(treat.missing);
        let mut results = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            if index >= answered && !treat.missing_committed {
                break;
            }
            let id = item.get("write_off_id").and_then(Value::as_str).unwrap_or_default();
            let result = if index < treat.put_off {
                json!({"write_off_id": id, "status": "retry", "code": "internal", "retry_after_ms": treat.retry_after_ms, "message": "try again"})
            } else {
                self.write_off(wall_ms, device, item)
            };
            if index < answered && seen.insert(id.to_owned()) {
                results.push(result);
            }
        }
        json!({"results": results})
    }

    /// `None` when the ids are not a list of 1 to 200 texts.
    pub(super) fn looked_up(&self, body: &Map<String, Value>) -> Option<Value> {
        let ids = body.get("ids").and_then(Value::as_array).filter(|ids| !ids.is_empty() && ids.len() <= MAX_ITEMS)?;
        let results = ids.iter().map(|id| {
            let id = id.as_str()?;
            let stored = self.write_offs.get(id).map(|stored| &stored.result);
            let part = |key: &str| stored.and_then(|result| result.get(key)).cloned();
            let (status, code) = (part("status").unwrap_or(json!("unknown")), part("code").unwrap_or(json!("ok")));
            Some(json!({"write_off_id": id, "status": status, "code": code, "transaction_id": part("transaction_id")}))
        });
        Some(json!({"results": results.collect::<Option<Vec<Value>>>()?}))
    }

    /// Loses a write-off, as a restored backup of Lime would. False when there is none of this id.
    pub fn forget_write_off(&mut self, id: &str) -> bool {
        self.write_offs.remove(id).is_some()
    }

    fn write_off(&mut self, wall_ms: i64, device: &str, item: &Value) -> Value {
        let id = item.get("write_off_id").and_then(Value::as_str).unwrap_or_default();
        let parsed = match parse(item) {
            Ok(parsed) => parsed,
            Err(message) => return rejected(id, "malformed", &message),
        };
        let hash = canonical(device, item);
        if let Some(stored) = self.write_offs.get_mut(id) {
            stored.received += 1;
            if stored.hash != hash {
                stored.conflicts += 1;
                return rejected(id, "id_conflict", "this id was used for another pass");
            }
            let mut result = stored.result.clone();
            if let Value::Object(map) = &mut result {
                let first = map.insert("status".to_owned(), json!("duplicate"));
                map.insert("original_status".to_owned(), first.unwrap_or(Value::Null));
            }
            return result;
        }
        if self.service_point(parsed.point).is_none() {
            return rejected(id, "unknown_service_point", "there is no such service point");
        }
        let before = self.transactions.len();
        let ahead = self.charged_ahead(id);
        let mut result = match self.reported(wall_ms, &parsed) {
            Some(result) => result,
            None => self.apply(wall_ms, &parsed),
        };
        if let Value::Object(map) = &mut result {
            map.insert("write_off_id".to_owned(), json!(id));
            map.insert("received_at".to_owned(), json!(time(wall_ms)));
            map.insert("service_point_name".to_owned(), json!(self.service_point(parsed.point).map(|point| &point.name)));
        }
        let booked = |kind: &str| self.transactions.iter().skip(before).map(|transaction| u64::from(transaction.kind == kind)).sum::<u64>();
        let transactions = (ahead + booked("write_off")).saturating_sub(booked("refund"));
        let (medium, point) = (parsed.medium.1.clone(), parsed.point.to_owned());
        self.write_offs.insert(id.to_owned(), Stored { hash, medium, point, result: result.clone(), received: 1, conflicts: 0, transactions });
        result
    }

    fn apply(&mut self, wall_ms: i64, item: &Item<'_>) -> Value {
        let medium = self.media.get(&item.medium).cloned();
        let client_id = medium.as_ref().and_then(|medium| medium.client_id.clone());
        let uncharged = |status: &str, code: &str, message: &str| {
            json!({"status": status, "code": code, "transaction_id": null,
            "client_id": client_id, "right": null, "conflict_with": null, "charge": null, "message": message})
        };
        if !item.admitted {
            return uncharged("recorded", item.decision_code, "nobody went through");
        }
        if item.direction == "out" {
            return uncharged("recorded", "ok", "an exit costs nothing");
        }
        let unpaid = if item.force { "recorded" } else { "refused" };
        let Some(medium) = medium else { return uncharged(unpaid, "unknown_medium", "this medium is not known") };
        if medium.blocked && !item.force {
            return uncharged("refused", "blocked_card", "this card is blocked");
        }
        let price = self.service_point(item.point).map_or(0, |point| point.price);
        let cost = |right: &Right| if right.kind == "deposit" { price } else { 1 };
        let fits = |right: &Right| item.claim_kind == "auto" || item.claim_kind == right.kind;
        let rights: Vec<(String, Right)> = medium
            .rights
            .iter()
            .filter_map(|id| self.rights.get(id).map(|right| (id.clone(), right.clone())))
            .filter(|(_, right)| fits(right))
            .collect();
        let Some((last_id, last)) = rights.last() else { return uncharged(unpaid, "no_ticket", "nothing that would be valid here") };
        if let Some((right_id, right)) = rights.iter().find(|(_, right)| right.free() >= cost(right)) {
            let (status, code) = if medium.blocked { ("applied_with_debt", "blocked_card") } else { ("applied", "ok") };
            return self.charge(wall_ms, item, client_id, right_id, cost(right), status, code, None);
        }
        let code = if last.kind == "deposit" { "insufficient_deposit" } else { "already_used" };
        let conflict = last.last_used_by.clone();
        if !item.force {
            let mut refusal = uncharged("refused", code, "not enough left");
            refusal["conflict_with"] = json!(conflict);
            return refusal;
        }
        let amount = cost(last);
        self.charge(wall_ms, item, client_id, last_id, amount, "applied_with_debt", code, if code == "already_used" { conflict } else { None })
    }

    #[expect(clippy::too_many_arguments, reason = "one row of the ledger has that many columns")]
    pub(super) fn charge(
        &mut self,
        wall_ms: i64,
        item: &Item<'_>,
        client_id: Option<String>,
        right_id: &str,
        amount: i64,
        status: &str,
        code: &str,
        conflict_with: Option<String>,
    ) -> Value {
        let Some(right) = self.rights.get_mut(right_id) else { return Value::Null };
        right.balance -= amount;
        right.last_used_by = Some(item.id.to_owned());
        let money = right.kind == "deposit";
        let (kind, title, balance) = (right.kind, right.title.clone(), right.balance);
        let (quantity, paid) = if money { (1, amount) } else { (amount, 0) };
        let transaction = Transaction {
            id: self.next_transaction_id(),
            kind: "write_off",
            client_id: client_id.clone(),
            receipt_id: None,
            occurred_at: item.occurred_at.to_owned(),
            received_ms: wall_ms,
            service_point_id: Some(item.point.to_owned()),
            write_off_id: Some(item.id.to_owned()),
            lines: vec![Line { good_type_id: None, name: title.clone(), quantity, amount: paid, right_id: Some(right_id.to_owned()) }],
            total: paid,
            payments: Vec::new(),
        };
        let result = json!({
            "status": status, "code": code, "transaction_id": transaction.id, "client_id": client_id,
            "right": {"id": right_id, "kind": kind, "balance_after": balance},
            "conflict_with": conflict_with,
            "charge": {"quantity": quantity, "amount": money.then_some(amount), "currency": money.then_some(CURRENCY), "title": title},
            "message": null,
        });
        self.book(transaction, Origin::gateway(item.id));
        result
    }
}

fn parse(item: &Value) -> Result<Item<'_>, String> {
    let text =
        |path: &str| item.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or(format!("{path} is missing or not a text"));
    let one_of = |path: &str, allowed: &[&str]| {
        let value = text(path)?;
        if allowed.contains(&value) { Ok(value) } else { Err(format!("{path} must be one of {}", allowed.join(", "))) }
    };
    let id = text("/write_off_id")?;
    uuid::Uuid::parse_str(id).map_err(|_| "/write_off_id is not a UUID".to_owned())?;
    let occurred_at = text("/occurred_at")?;
    wire::parse_rfc3339(occurred_at).ok_or("/occurred_at is not RFC 3339 with an offset")?;
    item.get("seq").and_then(Value::as_u64).ok_or("/seq is missing or not a whole number")?;
    one_of("/clock_quality", &["synced", "holdover", "unsynced"])?;
    let passage = one_of("/passage/state", &["passed", "not_passed", "unknown"])?;
    let outcome = one_of("/decision/outcome", &["admitted", "refused"])?;
    one_of("/decision/mode", &["online", "offline_snapshot", "offline_open", "manual", "device"])?;
    Ok(Item {
        id,
        point: text("/service_point_id")?,
        direction: one_of("/direction", &["in", "out"])?,
        medium: (one_of("/medium/kind", &["card_uid", "qr", "barcode", "pin", "ticket_no"])?.to_owned(), text("/medium/value")?.to_owned()),
        occurred_at,
        admitted: outcome == "admitted" && passage != "not_passed",
        decision_code: item.pointer("/decision/code").and_then(Value::as_str).unwrap_or("ok"),
        claim_kind: item.pointer("/claim/kind").and_then(Value::as_str).unwrap_or("auto"),
        force: item.get("force").and_then(Value::as_bool).unwrap_or(false),
    })
}

fn canonical(device: &str, item: &Value) -> String {
    let part = |path: &str| item.pointer(path).cloned().unwrap_or(Value::Null);
    json!([device, part("/seq"), part("/service_point_id"), part("/direction"), part("/medium/kind"), part("/medium/value"), part("/claim")])
        .to_string()
}

fn rejected(id: &str, code: &str, message: &str) -> Value {
    json!({"write_off_id": id, "status": "rejected", "code": code, "transaction_id": null, "client_id": null, "right": null, "conflict_with": null,
        "charge": null, "message": message})
}
