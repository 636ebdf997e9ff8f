//! A receipt as a lead: where its rule puts it, dated with the purchase, with our key and all its lines on it.

use serde_json::{Value, json};

use crate::crm::card::CardValue;
use crate::crm::deal_fields::DealField;
use crate::crm::texts::{PassField, Texts};
use crate::domain::{Money, Personal, Receipt};
use crate::flow::deals;

use super::places::{DealPlace, LINES, Places};
use super::schema::{LOST, Schema, WON};
use super::value;

/// What the lead is made of besides the receipt.
pub struct Around<'a> {
    /// Our key.
    pub key: String,
    /// The guest's contact.
    pub contact: Option<u64>,
    /// The service point's title, where it is known.
    pub point: Option<&'a str>,
    /// The rule's template of a title.
    pub title: &'a str,
    /// It is entered as history.
    pub history: bool,
    /// Where the rule puts it.
    pub at: &'a DealPlace,
    /// Where things are.
    pub places: &'a Places,
    /// Where the fields of passes are, whose key, kind and point are used here, too.
    pub schema: &'a Schema,
    /// The venue's words.
    pub texts: &'a Texts,
}

/// The item of `POST /leads`.
#[must_use]
pub fn lead(receipt: &Receipt, around: &Around<'_>) -> Value {
    let (texts, schema) = (around.texts, around.schema);
    let at = receipt.occurred_ms.div_euclid(1000);
    let text = |text: &str| CardValue::Text(Personal::new(text));
    let point = around.point.or(receipt.service_point.as_ref().map(|point| point.as_str()));
    let own = |field: DealField| around.places.field(field).map(|field| field.id);
    let values = [
        (schema.pass(PassField::EventUid), Some(text(&around.key))),
        (schema.pass(PassField::Kind), Some(text(texts.receipt_kind(receipt.kind)))),
        (schema.pass(PassField::Point), point.map(text)),
        (own(DealField::BoughtAt), (at > 0).then_some(CardValue::At(receipt.occurred_ms))),
        (own(DealField::Receipt), receipt.receipt_id.as_deref().map(text)),
        (around.places.lead.get(LINES).map(|field| field.id), Some(CardValue::Lines(Personal::new(lines(receipt, texts))))),
    ];
    let fields: Vec<Value> = values.iter().filter_map(|(id, said)| value::field((*id)?, said.as_ref()?, &schema.zone)).collect();
    let title = deals::title(around.title, receipt, around.point, texts);
    let mut tags = vec![json!({ "name": texts.tag() })];
    if around.history {
        tags.push(json!({ "name": texts.history_tag() }));
    }
    let mut lead = json!({
        "name": value::fit(&title, 250),
        "price": whole(receipt.total.minor),
        "pipeline_id": around.at.pipeline,
        "status_id": around.at.stage,
        "custom_fields_values": fields,
        "tags_to_add": tags,
        "request_id": around.key,
    });
    if at > 0 {
        lead["created_at"] = json!(at);
        if matches!(around.at.stage, WON | LOST) {
            lead["closed_at"] = json!(at);
        }
    }
    if let Some(user) = around.at.responsible {
        lead["responsible_user_id"] = json!(user);
    }
    if let Some(id) = around.contact {
        lead["_embedded"] = json!({ "contacts": [{ "id": id, "is_main": true }] });
    }
    lead
}

/// Minor units in whole ones, half up, never below zero: a lead's budget has no others.
#[must_use]
pub fn whole(minor: i64) -> i64 {
    minor.max(0).saturating_add(50) / 100
}

/// All lines, what they lack to the sum, and how it was paid.
fn lines(receipt: &Receipt, texts: &Texts) -> String {
    let currency = &receipt.total.currency;
    let mut said: Vec<String> = receipt.lines.iter().map(|line| texts.receipt_line(line, currency)).collect();
    if deals::difference(receipt) != 0 {
        let sum = receipt.lines.iter().map(|line| line.amount).fold(0, i64::saturating_add);
        said.push(texts.sum_differs(&Money { minor: sum, currency: currency.clone() }, &receipt.total));
    }
    said.push(texts.receipt_total(&receipt.total));
    said.join("\n")
}
