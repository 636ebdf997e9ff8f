//! Paths and envelopes of the API: pure, lenient towards PHP's ways (an empty list for an object, null for a list, numbers as text).
//!
//! Source: amoCRM API v4, "HAL" envelopes; an empty result is 204 without a body.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::http::{Answer, Request};

/// Entries of a page; the API gives no more.
pub const PAGE: usize = 250;

/// What a list answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The entries.
    pub items: Vec<Value>,
    /// Path and query of the next page, where there is one.
    pub next: Option<String>,
}

/// A GET below `/api/v4`.
#[must_use]
pub fn get(path: &str, label: &'static str) -> Request {
    Request::get(format!("/api/v4{path}"), label)
}

/// A write of items below `/api/v4`.
#[must_use]
pub fn send(method: Method, path: &str, items: &[&Value], label: &'static str) -> Request {
    let body = serde_json::to_vec(items).unwrap_or_default();
    Request { method, body: Some(body.into()), ..Request::get(format!("/api/v4{path}"), label) }
}

/// A list's entries under `key`; `None` when the answer is no list.
#[must_use]
pub fn page(answer: &Answer, key: &str) -> Option<Page> {
    if answer.status == StatusCode::NO_CONTENT {
        return Some(Page { items: Vec::new(), next: None });
    }
    if !answer.status.is_success() {
        return None;
    }
    let mut body = answer.json()?;
    let next = body.pointer("/_links/next/href").and_then(Value::as_str).and_then(own_path).map(str::to_owned);
    let items = match body.get_mut("_embedded")?.get_mut(key)?.take() {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        _ => return None,
    };
    Some(Page { items, next })
}

/// Path and query of a link; its host is never followed: a token goes to the configured account only.
fn own_path(href: &str) -> Option<&str> {
    href.find("/api/v4/").and_then(|at| href.get(at..))
}

/// Percent-encodes a query value.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A number, also as text.
#[must_use]
pub fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)),
        Value::String(text) => text.trim().parse().ok().or_else(|| text.trim().parse::<f64>().ok().map(|float| float as i64)),
        _ => None,
    }
}

/// An id: a positive number, also as text.
#[must_use]
pub fn id(value: Option<&Value>) -> Option<u64> {
    number(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0)
}

/// A text, also of a number.
#[must_use]
pub fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first value of an entity's custom field, as text.
#[must_use]
pub fn custom_value(entity: &Value, field_id: u64) -> Option<String> {
    text(Some(custom(entity, field_id)?))
}

/// The first value of an entity's custom field, as it reads.
#[must_use]
pub fn custom(entity: &Value, field_id: u64) -> Option<&Value> {
    let fields = entity.get("custom_fields_values")?.as_array()?;
    let field = fields.iter().find(|field| id(field.get("field_id")) == Some(field_id))?;
    field.get("values")?.as_array()?.first()?.get("value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn nothing_found_is_204_and_an_empty_page() {
        assert_eq!(page(&answer(204, ""), "contacts"), Some(Page { items: Vec::new(), next: None }));
        assert_eq!(page(&answer(200, "<html>"), "contacts"), None);
        assert_eq!(page(&answer(404, "{}"), "contacts"), None);
    }

    #[test]
    fn the_next_page_is_asked_of_our_own_host_only() {
        let body = r#"{"_links":{"next":{"href":"https://evil.example/api/v4/contacts?page=2&limit=250"}},"_embedded":{"contacts":[{"id":1}]}}"#;
        let found = page(&answer(200, body), "contacts").unwrap();
        assert_eq!(found.next.as_deref(), Some("/api/v4/contacts?page=2&limit=250"));
        assert_eq!(found.items.len(), 1);
    }

    #[test]
    fn php_numbers_are_read_as_what_they_are() {
        assert_eq!(id(Some(&serde_json::json!("42"))), Some(42));
        assert_eq!(id(Some(&serde_json::json!(0))), None);
        assert_eq!(number(Some(&serde_json::json!("12.00"))), Some(12));
        assert_eq!(encoded("a b+ж"), "a%20b%2B%D0%B6");
    }
}
