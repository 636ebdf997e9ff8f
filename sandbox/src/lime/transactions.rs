//! What was bought, topped up, written off, given back and accrued. One receipt is one transaction.

use serde_json::{Value, json};

use super::feeds::{Feed, Origin};
use super::{CURRENCY, Lime, time};

/// A transaction. Never changed afterwards: a refund is one of its own, with the receipt of the sale.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) id: String,
    /// `sale`, `topup`, `write_off`, `refund`, `bonus_accrual`.
    pub(super) kind: &'static str,
    pub(super) client_id: Option<String>,
    pub(super) receipt_id: Option<String>,
    pub(super) occurred_at: String,
    pub(super) received_ms: i64,
    pub(super) service_point_id: Option<String>,
    pub(super) write_off_id: Option<String>,
    pub(super) lines: Vec<Line>,
    /// Minor units, never negative.
    pub(super) total: i64,
    /// `cash`, `card`, `deposit` or `bonus`, and minor units.
    pub(super) payments: Vec<(String, i64)>,
}

/// One line of a receipt.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) good_type_id: Option<String>,
    pub(super) name: String,
    pub(super) quantity: i64,
    /// Minor units for all of them.
    pub(super) amount: i64,
    pub(super) right_id: Option<String>,
}

impl Line {
    fn shown(&self) -> Value {
        json!({"good_type_id": self.good_type_id, "name": self.name, "qty": self.quantity, "amount": self.amount, "right_id": self.right_id})
    }
}

impl Transaction {
    pub(super) fn shown(&self) -> Value {
        json!({
            "id": self.id, "type": self.kind, "client_id": self.client_id, "card_id": null, "receipt_id": self.receipt_id,
            "occurred_at": self.occurred_at, "received_at": time(self.received_ms),
            "service_point_id": self.service_point_id, "write_off_id": self.write_off_id,
            "lines": self.lines.iter().map(Line::shown).collect::<Vec<_>>(),
            "total": self.total, "currency": CURRENCY,
            "payments": self.payments.iter().map(|(kind, amount)| json!({"kind": kind, "amount": amount})).collect::<Vec<_>>(),
        })
    }
}

impl Lime {
    pub(super) fn next_transaction_id(&self) -> String {
        format!("tr-{}", self.transactions.len() + 1)
    }

    /// Enters a transaction in the books, tells the feed, and brings the client's version on.
    pub(super) fn book(&mut self, transaction: Transaction, origin: Origin) {
        let wall_ms = transaction.received_ms;
        let index = self.transactions.len();
        if let Some(client) = transaction.client_id.as_ref().and_then(|id| self.clients.get_mut(id)) {
            client.transactions.push(index);
        }
        let client_id = transaction.client_id.clone();
        let owner = transaction.lines.iter().filter_map(|line| line.right_id.as_ref()).find_map(|right| self.owner_of(right));
        self.feeds.push(Feed::Transactions, false, 1, wall_ms, origin, transaction.shown());
        self.transactions.push(transaction);
        // What the balances are now is Lime's own news, whoever began it.
        if let Some(id) = &client_id {
            self.client_changed(id, wall_ms, &Origin::lime());
        }
        if let Some(owner) = owner.filter(|owner| Some(owner) != client_id.as_ref()) {
            self.client_changed(&owner, wall_ms, &Origin::lime());
        }
    }

    pub(super) fn transactions_by_type(&self) -> std::collections::BTreeMap<&'static str, u64> {
        let mut counted = std::collections::BTreeMap::new();
        for transaction in &self.transactions {
            *counted.entry(transaction.kind).or_default() += 1;
        }
        counted
    }

    /// Newest first, by when it was.
    pub(super) fn transactions_of(&self, id: &str, limit: usize) -> Option<Vec<Value>> {
        let client = self.clients.get(id)?;
        let mut own: Vec<&Transaction> = client.transactions.iter().filter_map(|at| self.transactions.get(*at)).collect();
        own.sort_by_key(|transaction| std::cmp::Reverse(crate::wire::parse_rfc3339(&transaction.occurred_at).unwrap_or(transaction.received_ms)));
        Some(own.into_iter().take(limit.min(100)).map(Transaction::shown).collect())
    }
}
