//! `POST /bonus-accruals:batch`: each id once, without expiry, each item on its own.

use serde_json::{Map, Value, json};

use super::feeds::Origin;
use super::transactions::{Line, Transaction};
use super::{Lime, time};

/// More items than this in one batch are refused.
pub(super) const MAX_ITEMS: usize = 200;
const REASONS: [&str; 5] = ["birthday", "child_birthday", "manual", "mass", "nps"];

impl Lime {
    pub(super) fn accruals(&mut self, wall_ms: i64, body: &Map<String, Value>) -> Option<Value> {
        let items = body.get("items").and_then(Value::as_array).filter(|items| !items.is_empty() && items.len() <= MAX_ITEMS)?;
        Some(json!({"results": items.iter().map(|item| self.accrual(wall_ms, item)).collect::<Vec<_>>()}))
    }

    fn accrual(&mut self, wall_ms: i64, item: &Value) -> Value {
        let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
        let (id, client_id) = (text("accrual_id"), text("client_id"));
        let rejected =
            |code: &str, message: &str| json!({"accrual_id": id, "status": "rejected", "code": code, "transaction_id": null, "message": message});
        let amount = item.get("amount").and_then(super::money).filter(|amount| *amount > 0);
        let (Ok(_), Some(amount)) = (uuid::Uuid::parse_str(id), amount) else { return rejected("malformed", "accrual_id or amount") };
        if !REASONS.contains(&text("reason")) {
            return rejected("malformed", "reason");
        }
        let content = json!([client_id, amount, text("reason"), item.get("campaign_id")]).to_string();
        if let Some((known, result)) = self.accruals.get(id) {
            if *known != content {
                return rejected("id_conflict", "this id was used for another accrual");
            }
            let mut result = result.clone();
            result["status"] = json!("duplicate");
            return result;
        }
        let Some(client) = self.clients.get_mut(client_id) else { return rejected("unknown_client", "there is no such client") };
        client.bonus = client.bonus.saturating_add(amount);
        let balance = client.bonus;
        let transaction_id = self.accrued(wall_ms, client_id, amount, text("reason"), Origin::gateway(id));
        let result = json!({"accrual_id": id, "status": "applied", "code": "ok", "transaction_id": transaction_id, "client_id": client_id,
            "balance_after": balance, "received_at": time(wall_ms), "message": null});
        self.accruals.insert(id.to_owned(), (content, result.clone()));
        result
    }

    /// Enters an accrual that the balance has already; answers the transaction's id.
    pub(super) fn accrued(&mut self, wall_ms: i64, client_id: &str, amount: i64, reason: &str, origin: Origin) -> String {
        let id = self.next_transaction_id();
        let line = Line { good_type_id: None, name: format!("Бонусы: {reason}"), quantity: 1, amount, right_id: None };
        let transaction = Transaction {
            id: id.clone(),
            kind: "bonus_accrual",
            client_id: Some(client_id.to_owned()),
            receipt_id: None,
            occurred_at: time(wall_ms),
            received_ms: wall_ms,
            service_point_id: None,
            write_off_id: None,
            lines: vec![line],
            total: amount,
            payments: Vec::new(),
        };
        self.book(transaction, origin);
        id
    }
}
