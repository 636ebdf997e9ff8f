//! Values of custom fields: what may be written, and how it reads afterwards.
//!
//! A field's values are replaced as a whole; `values: null` clears; a value that is null is ignored; a `text` of more than 256 characters is refused; a
//! `date` keeps the day that the instant has in the account's zone and reads as that day's midnight.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Amo;
use super::account::ZONE;
use super::card::{Card, Kind};
use super::errors::Invalid;
use super::fields::Field;
use crate::wire;

/// Longer `text` values are refused.
const MAX_TEXT: usize = 256;

impl Amo {
    pub(super) fn fill_values(&self, kind: Kind, values: &mut BTreeMap<u64, Vec<Value>>, given: &Value, errors: &mut Vec<Invalid>) {
        let given = match given {
            Value::Null => return,
            Value::Array(given) => given,
            _ => {
                errors.push(Invalid::wrong_type("custom_fields_values", "array"));
                return;
            }
        };
        for (index, item) in given.iter().enumerate() {
            let path = format!("custom_fields_values.{index}");
            // Clients send the other key along as an explicit null.
            let id = item.get("field_id").filter(|id| !id.is_null());
            let code = item.get("field_code").and_then(Value::as_str);
            let field = match id {
                Some(id) => wire::integer(id).and_then(|id| self.fields_of(kind).iter().find(|field| i64::try_from(field.id) == Ok(id))),
                None => self.fields_of(kind).iter().find(|field| code.is_some() && field.code.as_deref() == code),
            };
            let Some(field) = field else {
                errors.push(Invalid::choice(format!("{path}.{}", if id.is_some() { "field_id" } else { "field_code" })));
                continue;
            };
            match item.get("values") {
                None => errors.push(Invalid::missing(format!("{path}.values"))),
                Some(Value::Null) => {
                    values.remove(&field.id);
                }
                Some(Value::Array(list)) => {
                    let mut read = Vec::new();
                    for (at, value) in list.iter().enumerate() {
                        match stored(field, value) {
                            Ok(Some(value)) => read.push(value),
                            Ok(None) => {}
                            Err((code, detail)) => errors.push(Invalid::new(code, format!("{path}.values.{at}.value"), detail)),
                        }
                    }
                    if read.is_empty() {
                        values.remove(&field.id)
                    } else {
                        values.insert(field.id, read)
                    };
                }
                Some(_) => errors.push(Invalid::wrong_type(format!("{path}.values"), "array")),
            }
        }
    }

    /// `null` where a card has none: one of PHP's ways.
    pub(super) fn shown_values(&self, kind: Kind, card: &Card) -> Value {
        let shown = |field: &Field| {
            let values = card.values.get(&field.id)?;
            Some(json!({"field_id": field.id, "field_name": field.name, "field_code": field.code, "field_type": field.kind, "values": values,
                    "is_computed": false}))
        };
        let all: Vec<Value> = self.fields_of(kind).iter().filter_map(shown).collect();
        if all.is_empty() { Value::Null } else { Value::Array(all) }
    }
}

type Reason = (&'static str, String);

/// One value as it will read; `None` when it is to be ignored.
fn stored(field: &Field, given: &Value) -> Result<Option<Value>, Reason> {
    let value = given.get("value").filter(|value| !value.is_null());
    if matches!(field.kind.as_str(), "select" | "multiselect" | "radiobutton" | "category") {
        return choice(field, given, value);
    }
    let Some(value) = value else { return Ok(None) };
    match field.kind.as_str() {
        "multitext" => multitext(field, given, value),
        "checkbox" => match value {
            Value::Bool(_) => Ok(Some(json!({"value": value}))),
            other => match wire::text(other).as_deref() {
                Some("1" | "true") => Ok(Some(json!({"value": true}))),
                Some("0" | "false" | "") => Ok(Some(json!({"value": false}))),
                _ => Err(wrong("bool")),
            },
        },
        "date" | "birthday" => Ok(Some(json!({"value": midnight(instant(value)?)}))),
        "date_time" => Ok(Some(json!({"value": instant(value)?}))),
        "numeric" | "monetary" | "price" => {
            let text = wire::text(value).filter(|text| text.trim().parse::<f64>().is_ok_and(f64::is_finite)).ok_or_else(|| wrong("numeric"))?;
            Ok(Some(json!({"value": text.trim()})))
        }
        "smart_address" | "legal_entity" => Ok(Some(given.clone())),
        kind => {
            let text = wire::text(value).ok_or_else(|| wrong("string"))?;
            if kind == "text" && text.chars().count() > MAX_TEXT {
                return Err(("TooLong", format!("This value is too long. It should have {MAX_TEXT} characters or less.")));
            }
            Ok(Some(json!({"value": text})))
        }
    }
}

fn choice(field: &Field, given: &Value, value: Option<&Value>) -> Result<Option<Value>, Reason> {
    let id = given.get("enum_id").and_then(wire::integer);
    let code = given.get("enum_code").and_then(Value::as_str);
    let text = value.and_then(wire::text);
    let found = match (id, code, &text) {
        (Some(id), ..) => field.enums.iter().find(|choice| i64::try_from(choice.id) == Ok(id)),
        (None, Some(code), _) => field.enums.iter().find(|choice| choice.code.as_deref() == Some(code)),
        (None, None, Some(text)) => field.enums.iter().find(|choice| choice.value == *text),
        (None, None, None) => return Ok(None),
    };
    let found = found.ok_or_else(unknown_choice)?;
    Ok(Some(json!({"value": found.value, "enum_id": found.id, "enum_code": found.code})))
}

fn multitext(field: &Field, given: &Value, value: &Value) -> Result<Option<Value>, Reason> {
    let text = wire::text(value).ok_or_else(|| wrong("string"))?;
    let id = given.get("enum_id").and_then(wire::integer);
    let code = given.get("enum_code").and_then(Value::as_str);
    let sort = match (id, code) {
        (Some(id), _) => field.enums.iter().find(|choice| i64::try_from(choice.id) == Ok(id)),
        (None, Some(code)) => field.enums.iter().find(|choice| choice.code.as_deref() == Some(code)),
        (None, None) => field.enums.first(),
    };
    let sort = sort.ok_or_else(unknown_choice)?;
    Ok(Some(json!({"value": text, "enum_id": sort.id, "enum_code": sort.code})))
}

/// Unix seconds. Whole numbers before 1970 are refused; RFC 3339 texts may lie anywhere.
fn instant(value: &Value) -> Result<i64, Reason> {
    if let Some(seconds) = wire::integer(value) {
        return if seconds > 0 { Ok(seconds) } else { Err(("InvalidType", "This value should be greater than 0.".to_owned())) };
    }
    value.as_str().and_then(wire::parse_rfc3339).map(|ms| ms.div_euclid(1_000)).ok_or_else(|| wrong("int or RFC 3339 date"))
}

/// Midnight, in the account's zone, of the day that the instant has there.
fn midnight(seconds: i64) -> i64 {
    let zone = jiff::tz::TimeZone::get(ZONE).unwrap_or(jiff::tz::TimeZone::UTC);
    let Ok(at) = jiff::Timestamp::from_second(seconds) else { return seconds };
    at.to_zoned(zone).start_of_day().map_or(seconds, |start| start.timestamp().as_second())
}

fn wrong(wanted: &str) -> Reason {
    ("InvalidType", format!("This value should be of type {wanted}."))
}

fn unknown_choice() -> Reason {
    ("NotSupportedChoice", "The value you selected is not a valid choice.".to_owned())
}
