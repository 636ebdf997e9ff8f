//! What an answer of Bitrix24 says, with the habits of its PHP taken into account.
//!
//! An error is known by its `error` key, not by the status; the key may hold a text, an empty text or a number. An empty map arrives as `[]`, an id as
//! a number or as a text, a date with a time of day that means nothing. Source: the official REST documents, the call forms and system errors.
//!
//! Never: an answer that cannot be read taken for a success; a text of the portal passed on with a phone or an address in it.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::http::Answer;

/// What a call cost and when the method's budget recovers, as the `time` block says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Seconds of run time that the method has used in the last ten minutes.
    pub operating: f64,
    /// From the answer until part of it is given back. By the portal's clock alone, so that ours may lie.
    pub reset_in: Option<Duration>,
}

impl Timing {
    /// Reads a `time` block; `None` where the portal does not account for run time.
    #[must_use]
    pub fn read(block: &Value) -> Option<Self> {
        let operating = block.get("operating").and_then(number)?;
        let finish = block.get("finish").and_then(number);
        let reset = block.get("operating_reset_at").and_then(number);
        let reset_in = match (reset, finish) {
            (Some(reset), Some(finish)) if reset > finish => Duration::try_from_secs_f64((reset - finish).min(3600.0)).ok(),
            _ => None,
        };
        Some(Self { operating, reset_in })
    }
}

/// An error as Bitrix24 tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `QUERY_LIMIT_EXCEEDED`, `0`, or nothing at all.
    pub code: String,
    /// The description, cut short, without anything that looks like a phone or an e-mail address.
    pub text: String,
}

impl Fault {
    /// Reads an object that has an `error` key; `None` when it has none.
    #[must_use]
    pub fn read(object: &Value) -> Option<Self> {
        let code = match object.get("error")? {
            Value::Null => return None,
            Value::String(code) => code.trim().to_owned(),
            Value::Number(code) => code.to_string(),
            other => scrub(&other.to_string()),
        };
        let text = object.get("error_description").and_then(Value::as_str).unwrap_or_default();
        Some(Self { code, text: scrub(text) })
    }

    /// For a person: `NOT_FOUND: Элемент не найден`.
    #[must_use]
    pub fn show(&self) -> String {
        match (self.code.as_str(), self.text.as_str()) {
            ("", text) => text.to_owned(),
            (code, "") => code.to_owned(),
            (code, text) => format!("{code}: {text}"),
        }
    }
}

/// What one whole answer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The call was carried out.
    Result {
        /// Its `result`.
        result: Value,
        /// Its `time` block, where the portal accounts for run time.
        timing: Option<Timing>,
    },
    /// It was refused.
    Fault(Fault),
    /// No JSON of Bitrix24: an HTML page, half an answer.
    Garbled,
}

impl Reply {
    /// Reads an answer of whatever status.
    #[must_use]
    pub fn read(answer: &Answer) -> Self {
        let Some(mut body) = answer.json() else { return Self::Garbled };
        if let Some(fault) = Fault::read(&body) {
            return Self::Fault(fault);
        }
        let timing = body.get("time").and_then(Timing::read);
        match body.get_mut("result") {
            Some(result) if answer.status.is_success() => Self::Result { result: result.take(), timing },
            _ => Self::Garbled,
        }
    }
}

/// An id: a number, or a text of digits.
#[must_use]
pub fn id(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A number that may have come as a text.
#[must_use]
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A text that may have come as a number.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A map; `None` for the `[]` that stands for an empty one.
#[must_use]
pub fn map(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

/// The rows of a list, whether it came as an array or as a map of numbered keys.
#[must_use]
pub fn rows(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(rows) => rows.iter().collect(),
        Value::Object(rows) => rows.values().collect(),
        _ => Vec::new(),
    }
}

/// The day of a date-only field. Its time of day is the server's offset of that year and means nothing, so it is cut off and never converted.
#[must_use]
pub fn day(value: &Value) -> Option<&str> {
    value.as_str()?.get(..10)
}

/// Cuts a text of the portal to what a log may hold: an echo of what we sent must not carry a phone or an address on.
#[must_use]
pub fn scrub(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut out = String::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        if word.contains('@') || digits >= 7 {
            out.push('…');
            out.extend(word.chars().rev().take_while(|c| c.is_whitespace()));
        } else {
            out.push_str(word);
        }
    }
    if out.chars().count() > LONGEST {
        out = out.chars().take(LONGEST).collect();
        out.push('…');
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn an_error_is_known_by_its_key_whatever_it_holds_and_whatever_the_status() {
        for (error, code) in [("\"NOT_FOUND\"", "NOT_FOUND"), ("\"\"", ""), ("0", "0"), ("\"100\"", "100"), ("1018", "1018")] {
            for status in [200, 400, 503] {
                let body = format!(r#"{{"error":{error},"error_description":"Not found","result":[]}}"#);
                let Reply::Fault(fault) = Reply::read(&answer(status, &body)) else { panic!("{body} at {status} is an error") };
                assert_eq!((fault.code.as_str(), fault.text.as_str()), (code, "Not found"));
            }
        }
    }

    #[test]
    fn what_is_no_answer_of_bitrix24_is_garbled() {
        for (status, body) in [(502, "<html>"), (200, "{\"result\":{\"ite"), (200, "[]"), (200, "{}"), (500, "{\"result\":1}")] {
            assert_eq!(Reply::read(&answer(status, body)), Reply::Garbled, "{status} {body}");
        }
        assert!(matches!(Reply::read(&answer(200, "{\"result\":null}")), Reply::Result { .. }));
    }

    #[test]
    fn ids_and_rows_are_read_in_each_of_their_typings() {
        assert_eq!((id(&json!(46)), id(&json!("46")), id(&json!([]))), (Some(46), Some(46), None));
        assert_eq!(rows(&json!([1, 2])).len() + rows(&json!({"0": 1, "1": 2})).len() + rows(&json!(null)).len(), 4);
        assert_eq!(map(&json!([])), None);
    }

    #[test]
    fn a_day_is_the_first_ten_characters() {
        assert_eq!(day(&json!("2001-11-11T02:00:00+02:00")), Some("2001-11-11"));
        assert_eq!(day(&json!("2001")), None);
    }

    #[test]
    fn the_budget_is_read_from_the_portals_own_clock() {
        let timing = Timing::read(&json!({"finish": 1000.5, "operating_reset_at": 1090, "operating": 361.25})).unwrap();
        assert_eq!(timing, Timing { operating: 361.25, reset_in: Some(Duration::from_millis(89_500)) });
        assert_eq!(Timing::read(&json!({"finish": 1000.5})), None);
        assert_eq!(Timing::read(&json!({"operating": 0})).unwrap().reset_in, None);
    }

    #[test]
    fn an_echo_loses_phones_and_addresses() {
        let fault =
            Fault::read(&json!({"error": "ERROR_CORE", "error_description": "E-mail anna@example.ru or +7(999)123-45-67 is wrong, field 12"}))
                .unwrap();
        assert_eq!(fault.show(), "ERROR_CORE: E-mail … or … is wrong, field 12");
    }
}
