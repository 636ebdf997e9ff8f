//! `POST /authorize` and what becomes of its grants: `:confirm`, `:cancel`, the report in a batch, or the end of their time.
//!
//! Invariants: one id has one grant, however often it is asked for; a grant and the report of its pass are one write-off; what is held is not given twice.

use serde_json::{Map, Value, json};

use super::feeds::Origin;
use super::transactions::Transaction;
use super::write_offs::Item;
use super::{Lime, time};
use crate::wire;

/// How long a hold lasts unless the switch `hold_ms` says otherwise.
pub(super) const HOLD_MS: u64 = 30_000;

/// What was answered for an id, and what it led to.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) state: HoldState,
    answer: Value,
    question: Value,
    /// Entitlement and how much of it.
    pub(super) right: Option<(String, i64)>,
    expires_ms: u64,
    /// Of a grant that was taken: the result that the report will get.
    pub(super) result: Option<Value>,
    asked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HoldState {
    Refused,
    Held,
    Taken,
    Cancelled,
    Expired,
    Reported,
}

impl HoldState {
    fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Taken => "taken",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Reported => "reported",
        }
    }
}

impl Hold {
    pub(super) fn state(&self) -> Value {
        json!({"state": self.state.name(), "right_id": self.right.as_ref().map(|(id, _)| id), "amount": self.right.as_ref().map(|(_, amount)| amount),
            "asked": self.asked, "decision": self.answer.get("decision"), "code": self.answer.get("code")})
    }
}

impl Lime {
    pub(super) fn authorize(&mut self, now_ms: u64, wall_ms: i64, body: &Map<String, Value>) -> Result<Value, String> {
        let body = Value::Object(body.clone());
        let question = question(&body)?;
        let immediate = match body.get("commit").and_then(Value::as_str) {
            Some("immediate") => true,
            Some("on_passage") => false,
            _ => return Err("/commit must be immediate or on_passage".to_owned()),
        };
        let asked = json!([body["medium"], body["service_point_id"], body["direction"]]);
        if let Some(hold) = self.holds.get_mut(question.id) {
            hold.asked += 1;
            if hold.question != asked {
                return Err("this id was used for another pass".to_owned());
            }
            return Ok(hold.answer.clone());
        }
        // The report came first: what it led to is the answer.
        if let Some(stored) = self.write_offs.get(question.id) {
            let granted = matches!(stored.status(), "applied" | "applied_with_debt");
            let (decision, code) = if granted { ("grant", json!("ok")) } else { ("refuse", stored.code()) };
            return Ok(json!({"decision": decision, "code": code, "hold_id": null}));
        }
        let judged = self.judge(wall_ms, &question);
        let mut hold = Hold {
            state: HoldState::Refused,
            answer: json!({"decision": "refuse", "code": judged.as_ref().err(), "hold_id": null, "display": {"line1": "Проход закрыт"}}),
            question: asked,
            right: None,
            expires_ms: now_ms.saturating_add(self.hold_ms),
            result: None,
            asked: 1,
        };
        if let Ok(right) = judged {
            let number = self.holds.len() + 1;
            let shown = right.as_ref().and_then(|(id, amount)| {
                let right = self.rights.get(id)?;
                let money = right.kind == "deposit";
                Some(json!({"id": id, "kind": right.kind, "amount": money.then_some(amount), "balance_after": right.free() - amount}))
            });
            hold.answer = json!({"decision": "grant", "code": "ok", "display": {"line1": "Проходите"}, "right": shown,
                "hold_id": (!immediate).then(|| format!("h-{number}"))});
            if !immediate {
                let expires = wall_ms.saturating_add(i64::try_from(self.hold_ms).unwrap_or(i64::MAX));
                hold.answer["hold_expires_at"] = json!(time(expires));
            }
            hold.state = if immediate { HoldState::Taken } else { HoldState::Held };
            match &right {
                Some((id, amount)) if immediate => hold.result = Some(self.take(wall_ms, &question, id, *amount)),
                Some((id, amount)) => self.hold(id, *amount),
                None => {}
            }
            hold.right = right;
        }
        let answer = hold.answer.clone();
        self.holds.insert(question.id.to_owned(), hold);
        Ok(answer)
    }

    /// `:confirm` and `:cancel`. False when there is no such grant.
    pub(super) fn resolve(&mut self, wall_ms: i64, id: &str, passed: bool) -> bool {
        let Some(mut hold) = self.holds.get(id).cloned() else { return self.write_offs.contains_key(id) };
        match (hold.state, passed) {
            (HoldState::Held, false) => {
                self.unhold(&hold);
                hold.state = HoldState::Cancelled;
            }
            (HoldState::Taken, false) => {
                self.give_back(wall_ms, &hold);
                (hold.state, hold.result) = (HoldState::Cancelled, None);
            }
            (HoldState::Held | HoldState::Expired, true) => {
                if hold.state == HoldState::Held {
                    self.unhold(&hold);
                }
                if let Some((right, amount)) = hold.right.clone() {
                    let question = json!({"write_off_id": id, "medium": hold.question[0], "service_point_id": hold.question[1],
                        "direction": hold.question[2], "occurred_at": time(wall_ms)});
                    if let Ok(item) = self::question(&question) {
                        hold.result = Some(self.take(wall_ms, &item, &right, amount));
                    }
                }
                hold.state = HoldState::Taken;
            }
            _ => {}
        }
        self.holds.insert(id.to_owned(), hold);
        true
    }

    /// The charges that a grant has led to before its report.
    pub(super) fn charged_ahead(&self, id: &str) -> u64 {
        self.holds.get(id).map_or(0, |hold| u64::from(hold.state == HoldState::Taken && hold.result.is_some()))
    }

    /// The report of a pass that had a grant: the result, where the grant decides it.
    pub(super) fn reported(&mut self, wall_ms: i64, item: &Item<'_>) -> Option<Value> {
        let mut hold = self.holds.get(item.id).cloned()?;
        let before = hold.state;
        hold.state = HoldState::Reported;
        self.holds.insert(item.id.to_owned(), hold.clone());
        match before {
            HoldState::Held => {
                self.unhold(&hold);
                let (right, amount) = hold.right.filter(|_| item.admitted)?;
                Some(self.take(wall_ms, item, &right, amount))
            }
            HoldState::Taken if item.admitted => hold.result,
            HoldState::Taken => {
                self.give_back(wall_ms, &hold);
                None
            }
            HoldState::Refused | HoldState::Cancelled | HoldState::Expired | HoldState::Reported => None,
        }
    }

    /// Ends holds whose time is over.
    pub(super) fn expire(&mut self, now_ms: u64) {
        let over: Vec<String> =
            self.holds.iter().filter(|(_, hold)| hold.state == HoldState::Held && hold.expires_ms <= now_ms).map(|(id, _)| id.clone()).collect();
        for id in over {
            let Some(mut hold) = self.holds.remove(&id) else { continue };
            self.unhold(&hold);
            hold.state = HoldState::Expired;
            self.holds.insert(id, hold);
        }
    }

    /// Yes, on what; or the refusal's code.
    fn judge(&self, wall_ms: i64, item: &Item<'_>) -> Result<Option<(String, i64)>, &'static str> {
        if item.direction == "out" {
            return Ok(None);
        }
        let point = self.service_point(item.point).ok_or("wrong_service_point")?;
        let medium = self.media.get(&item.medium).ok_or("unknown_medium")?;
        if medium.blocked {
            return Err("blocked_card");
        }
        let mut code = "no_ticket";
        for (id, right) in medium.rights.iter().filter_map(|id| self.rights.get(id).map(|right| (id, right))) {
            let cost = if right.kind == "deposit" { point.price } else { 1 };
            code = match right.barred(item.point, wall_ms) {
                Some(barred) => barred,
                None if right.free() >= cost => return Ok(Some((id.clone(), cost))),
                None if right.kind == "deposit" => "insufficient_deposit",
                None => "already_used",
            };
        }
        Err(code)
    }

    fn take(&mut self, wall_ms: i64, item: &Item<'_>, right: &str, amount: i64) -> Value {
        let client = self.media.get(&item.medium).and_then(|medium| medium.client_id.clone());
        let covered = self.rights.get(right).is_some_and(|right| right.free() >= amount);
        let (status, code) = if covered { ("applied", "ok") } else { ("applied_with_debt", "hold_expired") };
        self.charge(wall_ms, item, client, right, amount, status, code, None)
    }

    fn hold(&mut self, right: &str, amount: i64) {
        if let Some(right) = self.rights.get_mut(right) {
            right.held += amount;
        }
    }

    fn unhold(&mut self, hold: &Hold) {
        if let Some((right, amount)) = &hold.right {
            self.hold(right, -amount);
        }
    }

    /// What was taken on a grant that came to nothing goes back, by a transaction of its own.
    fn give_back(&mut self, wall_ms: i64, hold: &Hold) {
        if let Some((right, amount)) = &hold.right
            && let Some(right) = self.rights.get_mut(right)
        {
            right.balance += amount;
        }
        let id = hold.result.as_ref().and_then(|result| result.get("transaction_id")).and_then(Value::as_str);
        let taken = self.transactions.iter().rev().find(|transaction| Some(transaction.id.as_str()) == id).cloned();
        if let Some(taken) = taken {
            let origin = Origin::gateway(taken.write_off_id.as_deref().unwrap_or_default());
            let refund = Transaction { id: self.next_transaction_id(), kind: "refund", received_ms: wall_ms, ..taken };
            self.book(refund, origin);
        }
    }
}

fn question(body: &Value) -> Result<Item<'_>, String> {
    let text =
        |path: &str| body.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or(format!("{path} is missing or not a text"));
    let id = text("/write_off_id")?;
    uuid::Uuid::parse_str(id).map_err(|_| "/write_off_id is not a UUID".to_owned())?;
    let occurred_at = text("/occurred_at")?;
    wire::parse_rfc3339(occurred_at).ok_or("/occurred_at is not RFC 3339 with an offset")?;
    let direction = text("/direction")?;
    if !matches!(direction, "in" | "out") {
        return Err("/direction must be in or out".to_owned());
    }
    Ok(Item {
        id,
        point: text("/service_point_id")?,
        direction,
        medium: (text("/medium/kind")?.to_owned(), text("/medium/value")?.to_owned()),
        occurred_at,
        admitted: true,
        decision_code: "ok",
        claim_kind: "auto",
        force: true,
    })
}
