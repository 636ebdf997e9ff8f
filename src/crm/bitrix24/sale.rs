//! A receipt's deal: its fields, its rows, its stage. Pure.
//!
//! The portal counts a deal's sum from its rows. It takes no row below zero, so where a discount on the whole is a row of its own, that row is left out and
//! the sum is set by hand: it is the receipt's in either case.

use serde_json::{Value, json};

use super::batch::Command;
use super::catalog;
use super::errands::Kept;
use super::places::{Place, Places};
use super::record::{Fields, ORIGINATOR, day, instant, major};
use super::schema::DEAL;
use super::wire;
use crate::config::DealRule;
use crate::crm::deal_fields::DealField;
use crate::crm::texts::Texts;
use crate::domain::{Money, Receipt};
use crate::flow::deals::{self, Row};
use crate::journal::LedgerKey;

/// `originId` of a receipt's deal: the business key.
#[must_use]
pub fn origin(transaction: &str) -> String {
    format!("receipt:{transaction}")
}

/// Where the ledger keeps the deal of a receipt that is not complete yet: its id.
#[must_use]
pub fn unfinished_key(receipt: &Receipt) -> LedgerKey {
    LedgerKey { kind: "bitrix24.receipt".to_owned(), key: receipt.id.clone() }
}

/// The rows that the portal takes, and whether they make up the receipt's sum.
#[must_use]
pub fn rows(receipt: &Receipt, texts: &Texts) -> (Vec<Row>, bool) {
    let all = deals::rows(receipt, texts);
    let count = all.len();
    let rows: Vec<Row> = all.into_iter().filter(|row| row.price >= 0).collect();
    let whole = rows.len() == count && rows.iter().map(Row::amount).fold(0, i64::saturating_add) == receipt.total.minor;
    (rows, whole)
}

/// The deal's fields. `point`: the service point's title, where it is known.
#[must_use]
pub fn fields(
    receipt: &Receipt,
    rule: &DealRule,
    places: &Places,
    place: &Place,
    contact: Option<u64>,
    point: Option<&str>,
    texts: &Texts,
) -> Fields {
    let mut fields = Fields::new();
    let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    set("title", json!(deals::title(&rule.title, receipt, point, texts)));
    set("categoryId", json!(place.category));
    set("originatorId", json!(ORIGINATOR));
    set("originId", json!(origin(&receipt.id)));
    set("currencyId", json!(receipt.total.currency));
    if rows(receipt, texts).1 {
        set("isManualOpportunity", json!("N"));
    } else {
        set("isManualOpportunity", json!("Y"));
        set("opportunity", json!(major(receipt.total.minor)));
    }
    if let Some(contact) = contact {
        set("contactId", json!(contact));
    }
    if let Some(responsible) = place.responsible {
        set("assignedById", json!(responsible));
    }
    if let Some(day) = day(receipt.occurred_ms, &texts.zone) {
        set("begindate", json!(day));
        set("closedate", json!(day));
    }
    let point = point.or(receipt.service_point.as_ref().map(|point| point.as_str()));
    for (field, value) in [
        (DealField::BoughtAt, Some(instant(receipt.occurred_ms, &texts.zone))),
        (DealField::Receipt, receipt.receipt_id.clone()),
        (DealField::Point, point.map(str::to_owned)),
    ] {
        if let (Some(key), Some(value)) = (places.field(field), value) {
            set(key, json!(value));
        }
    }
    fields
}

/// The deal's creation. One that is history is imported: at its last stage at once, with its own time, and nothing of it sets off robots.
#[must_use]
pub fn add(mut fields: Fields, receipt: &Receipt, place: &Place, history: bool, texts: &Texts) -> Command {
    if history {
        fields.insert("createdTime".to_owned(), json!(instant(receipt.occurred_ms, &texts.zone)));
    }
    // One that closes comes to its stage once everything is in it.
    if history || !place.closes {
        fields.insert("stageId".to_owned(), json!(place.stage));
    }
    let method = if history { "crm.item.import" } else { "crm.item.add" };
    Command::new(method, json!({ "entityTypeId": DEAL, "fields": fields }))
}

/// All rows of a deal, in place of those that it has. Without `owner`, of one that the same request makes. `plain`: as text, without the products.
#[must_use]
pub fn set_rows(owner: Option<u64>, rows: &[Row], kept: &Kept, plain: bool) -> Command {
    let shown: Vec<Value> = rows
        .iter()
        .enumerate()
        .map(|(n, row)| {
            let mut shown = json!({ "productName": row.name, "price": major(row.price), "quantity": row.quantity, "sort": (n + 1) * 10 });
            if let Some(product) = row.product.as_deref().and_then(|id| shelved(kept, id)).filter(|_| !plain) {
                shown["productId"] = json!(product);
            }
            shown
        })
        .collect();
    let mut params = json!({ "ownerType": "D", "productRows": shown });
    if let Some(owner) = owner {
        params["ownerId"] = json!(owner);
    }
    Command::new("crm.item.productrow.set", params)
}

fn shelved(kept: &Kept, id: &str) -> Option<u64> {
    catalog::Shelved::parse(kept.get(&catalog::product_key(id))?).map(|product| product.id)
}

/// Changes fields of a deal.
#[must_use]
pub fn change(deal: u64, fields: Value) -> Command {
    Command::new("crm.item.update", json!({ "entityTypeId": DEAL, "id": deal, "fields": fields }))
}

/// The rows of the portal's answer are those that were sent: as many, and of the same sum.
#[must_use]
pub fn arrived(result: &Value, rows: &[Row]) -> bool {
    let there = result.get("productRows").map(wire::rows).unwrap_or_default();
    let number = |row: &Value, key: &str| row.get(key).and_then(wire::number).unwrap_or(0.0);
    let sum: f64 = there.iter().map(|row| number(row, "price") * number(row, "quantity")).sum();
    let wanted: i64 = rows.iter().map(Row::amount).fold(0, i64::saturating_add);
    there.len() == rows.len() && (sum * 100.0 - wanted as f64).abs() < 0.5
}

/// What a deal says of refunds: `150.00|RUB`.
#[must_use]
pub fn refunded(minor: i64, currency: &str) -> String {
    format!("{}|{currency}", major(minor))
}

/// What a sum of the portal's is in minor units.
#[must_use]
pub fn minor(value: &Value) -> Option<i64> {
    let number = wire::number(value)?;
    (number.abs() < 1e13).then(|| (number * 100.0).round() as i64)
}

/// The deals of receipts with this number, oldest first.
#[must_use]
pub fn ask_by_number(number: &str, key: &str) -> Command {
    let filter = json!({ "originatorId": ORIGINATOR, format!("={key}"): number });
    let select = ["id", "originId", "opportunity", "currencyId", "categoryId"];
    Command::new("crm.item.list", json!({ "entityTypeId": DEAL, "filter": filter, "select": select, "order": { "id": "ASC" }, "start": -1 }))
}

/// What was given back, from what the deal should say of it.
#[must_use]
pub fn given_back(total: i64, left: i64, currency: &str) -> Money {
    Money { minor: total.saturating_sub(left), currency: currency.to_owned() }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::config::Language;
    use crate::domain::{ReceiptKind, ReceiptLine};

    fn receipt(total: i64) -> Receipt {
        Receipt {
            id: "t-1".into(),
            kind: ReceiptKind::Sale,
            client_id: None,
            receipt_id: Some("rc-7".into()),
            occurred_ms: 1_795_339_920_000,
            service_point: Some("sp-4".into()),
            write_off_id: None,
            lines: vec![ReceiptLine { good_type_id: Some("p-1".into()), name: "Батуты".into(), quantity: 3, amount: 1_000 }],
            total: Money { minor: total, currency: "RUB".into() },
            payments: Vec::new(),
        }
    }

    #[test]
    fn rows_make_up_the_sum_or_the_sum_is_set_by_hand() {
        let texts = Texts::new(Language::Ru, TimeZone::UTC);
        let (there, whole) = rows(&receipt(1_000), &texts);
        assert!(whole && there.len() == 2, "{there:?}");
        let (there, whole) = rows(&receipt(900), &texts);
        assert!(!whole && there.len() == 2, "a discount is no row: {there:?}");
        assert!(arrived(&json!({"productRows": [{"price": 3.33, "quantity": 2}, {"price": "3.34", "quantity": 1}]}), &there));
        assert!(!arrived(&json!({"productRows": [{"price": 3.33, "quantity": 3}]}), &there) && !arrived(&json!({"productRows": []}), &there));
    }
}
