//! A write-off as a lead: dated with the pass, with our key on it.

use serde_json::{Value, json};

use crate::crm::card::CardValue;
use crate::crm::texts::{PassField, Texts};
use crate::domain::{Personal, WriteOff};

use super::schema::{LOST, Schema, WON};
use super::value;

/// The item of `POST /leads`.
#[must_use]
pub fn lead(write_off: &WriteOff, contact: Option<u64>, schema: &Schema, texts: &Texts, now_wall_ms: i64) -> Value {
    let at = write_off.occurred.at_ms.div_euclid(1000);
    let text = |text: String| CardValue::Text(Personal::new(text));
    let charge = write_off.charge.as_ref();
    let values = [
        (PassField::EventUid, Some(text(write_off.pass_id.to_string()))),
        (PassField::Kind, Some(text(texts.outcome(write_off.status).to_owned()))),
        (PassField::At, Some(CardValue::At(write_off.occurred.at_ms))),
        (PassField::Point, Some(text(write_off.service_point_title.clone().unwrap_or_else(|| write_off.service_point.to_string())))),
        (PassField::Ticket, charge.and_then(|charge| charge.title.clone()).map(text)),
        (PassField::Left, write_off.right.as_ref().and_then(|right| texts.left(right)).map(text)),
        (PassField::Medium, (!write_off.medium_masked.is_empty()).then(|| text(write_off.medium_masked.clone()))),
        (PassField::Remark, texts.remark(write_off, now_wall_ms).map(|remark| CardValue::Lines(Personal::new(remark)))),
    ];
    let fields: Vec<Value> = values.iter().filter_map(|(field, said)| value::field(schema.pass(*field)?, said.as_ref()?, &schema.zone)).collect();
    let mut lead = json!({
        "name": value::fit(&texts.deal_title(write_off), 250),
        "price": price(write_off),
        "pipeline_id": schema.pipeline,
        "status_id": schema.stage,
        "created_at": at,
        "custom_fields_values": fields,
        "tags_to_add": [{ "name": texts.tag() }],
        "request_id": write_off.pass_id.to_string(),
    });
    if matches!(schema.stage, WON | LOST) {
        lead["closed_at"] = json!(at);
    }
    if let Some(id) = contact {
        lead["_embedded"] = json!({ "contacts": [{ "id": id, "is_main": true }] });
    }
    lead
}

/// The sum written off in whole units, half up; a visit from a ticket costs nothing here.
fn price(write_off: &WriteOff) -> i64 {
    let minor = write_off.charge.as_ref().and_then(|charge| charge.money.as_ref()).map_or(0, |money| money.minor);
    minor.max(0).saturating_add(50) / 100
}
