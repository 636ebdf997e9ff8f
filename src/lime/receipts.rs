//! Receipts as the feed of transactions shows them. Pure.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{ClientId, Money, Payment, Receipt, ReceiptKind, ReceiptLine, ServicePointId};

use super::parse::{DEFAULT_CURRENCY, millis, minor, money, stable};
use super::wire::{Amount, Id, lenient, lenient_list};

/// A receipt; `None` when it cannot be read. What is odd about a line costs neither the line nor the receipt: the total stands.
pub(super) fn receipt(value: Value) -> Option<Receipt> {
    let wire: Wire = serde_json::from_value(value).ok()?;
    let lines: Vec<ReceiptLine> = wire.lines.into_iter().map(WireLine::read).collect();
    let sum = lines.iter().map(|line| line.amount).fold(0, i64::saturating_add);
    let currency = wire.currency.unwrap_or_else(|| DEFAULT_CURRENCY.to_owned());
    Some(Receipt {
        id: wire.id.0,
        kind: wire.kind,
        client_id: wire.client_id.map(|id| ClientId(id.0)),
        receipt_id: wire.receipt_id.map(|id| id.0),
        occurred_ms: millis(&wire.occurred_at)?,
        service_point: wire.service_point_id.map(|id| ServicePointId(id.0)),
        write_off_id: wire.write_off_id.and_then(|text| Uuid::parse_str(&text).ok()),
        lines,
        total: wire.total.map_or_else(|| Money { minor: sum, currency: currency.clone() }, |total| money(total, Some(currency.clone()))),
        payments: wire.payments.into_iter().map(|payment| Payment { kind: stable(&payment.kind), amount: minor(&payment.amount) }).collect(),
    })
}

#[derive(Deserialize)]
struct Wire {
    id: Id,
    #[serde(rename = "type")]
    kind: ReceiptKind,
    occurred_at: String,
    #[serde(default, deserialize_with = "lenient")]
    client_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    receipt_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    service_point_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    write_off_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    lines: Vec<WireLine>,
    #[serde(default, deserialize_with = "lenient")]
    total: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    currency: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    payments: Vec<WirePayment>,
}

#[derive(Deserialize)]
struct WireLine {
    #[serde(default, deserialize_with = "lenient")]
    good_type_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    qty: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    amount: Option<Amount>,
}

impl WireLine {
    fn read(self) -> ReceiptLine {
        ReceiptLine {
            good_type_id: self.good_type_id.map(|id| id.0),
            name: self.name.unwrap_or_default(),
            quantity: self.qty.unwrap_or(1),
            amount: self.amount.as_ref().map_or(0, minor),
        }
    }
}

#[derive(Deserialize)]
struct WirePayment {
    kind: String,
    amount: Amount,
}
