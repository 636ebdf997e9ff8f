//! What an answer that is not a success means, and what can be done about it.
//!
//! Shapes: `application/problem+json`, at times HTML (403 after repeated 429, 504 from the balancer). A batch is refused as a whole; its bad items are
//! named by `validation-errors[].request_id` (our own id, or the item's index) or by `errors{"<id>": "Contact not found"}`.
//! Never: text of an answer that may hold a person's data. Only codes, paths and the API's own words are kept, and values are not among them.

use std::time::Duration;

use serde_json::Value;

use crate::crm::texts::cut;
use crate::http::Answer;

use super::wire;

/// One item of a batch that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadItem {
    /// Our `request_id`, the item's index, or the entity's id.
    pub name: String,
    /// `NotSupportedChoice at status_id: ...`, for the person who will look at it.
    pub said: String,
    /// The fault lies in a field, stage or pipeline that is not (any longer) there.
    pub schema: bool,
    /// The fault is that a contact is not (any longer) there.
    pub gone: bool,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It is a success.
    Good,
    /// Nothing was done; try again. The reason is a stable code.
    Later {
        /// `http/429`, `amocrm/blocked`, `amocrm/payment`.
        reason: String,
        /// How long to wait, where the answer or its kind says so.
        after: Option<Duration>,
    },
    /// A server error: a write may have been carried out all the same.
    Broken {
        /// `http/502`.
        reason: String,
    },
    /// Items were named; nothing of the batch was done.
    BadItems(Vec<BadItem>),
    /// The batch was refused, and it was not said for which item.
    Refused {
        /// For the person who will look at it.
        said: String,
    },
}

/// A whole account refuses to be written to, or all requests are blocked: asking often makes it worse.
const BLOCKED: Duration = Duration::from_secs(300);
/// The subscription has ended: somebody has to pay.
const PAYMENT: Duration = Duration::from_secs(1800);
/// Characters of an explanation that are kept.
const SAID: usize = 400;

/// Reads it.
#[must_use]
pub fn meaning(answer: &Answer) -> Meaning {
    let status = answer.status.as_u16();
    let http = || format!("http/{status}");
    match status {
        200..=299 => Meaning::Good,
        401 => Meaning::Later { reason: "auth".to_owned(), after: None },
        402 => Meaning::Later { reason: "amocrm/payment".to_owned(), after: Some(PAYMENT) },
        403 => Meaning::Later { reason: "amocrm/blocked".to_owned(), after: Some(answer.retry_after().unwrap_or(BLOCKED)) },
        408 | 425 | 429 => Meaning::Later { reason: http(), after: answer.retry_after().or_else(|| told_in_body(answer)) },
        500..=599 => Meaning::Broken { reason: http() },
        _ => refused(answer),
    }
}

/// `retry_after` of the body, in seconds.
fn told_in_body(answer: &Answer) -> Option<Duration> {
    let seconds = wire::number(answer.json()?.get("retry_after"))?;
    u64::try_from(seconds).ok().map(|seconds| Duration::from_secs(seconds.min(86_400)))
}

fn refused(answer: &Answer) -> Meaning {
    let Some(body) = answer.json() else {
        return Meaning::Refused { said: format!("HTTP {} without an explanation", answer.status.as_u16()) };
    };
    let mut bad: Vec<BadItem> = body.get("validation-errors").and_then(Value::as_array).into_iter().flatten().filter_map(invalid).collect();
    if let Some(errors) = body.get("errors").and_then(Value::as_object) {
        bad.extend(errors.iter().map(|(name, said)| {
            let said = wire::text(Some(said)).unwrap_or_default();
            BadItem { name: name.clone(), gone: said.to_lowercase().contains("not found"), said: cut(&said, SAID), schema: false }
        }));
    }
    if !bad.is_empty() {
        return Meaning::BadItems(bad);
    }
    let detail = ["title", "detail"].iter().filter_map(|key| wire::text(body.get(*key))).collect::<Vec<_>>().join(": ");
    Meaning::Refused { said: cut(&format!("HTTP {} {detail}", answer.status.as_u16()), SAID) }
}

fn invalid(entry: &Value) -> Option<BadItem> {
    let name = wire::text(entry.get("request_id"))?;
    let errors = entry.get("errors").and_then(Value::as_array)?;
    let (mut said, mut schema, mut gone) = (Vec::new(), false, false);
    for error in errors {
        let part = |key: &str| wire::text(error.get(key)).unwrap_or_default();
        let (code, path) = (part("code"), part("path"));
        schema |= path.ends_with("status_id") || path.ends_with("pipeline_id") || path.ends_with("field_id") || path.ends_with("field_code");
        gone |= path.starts_with("_embedded.contacts") || path == "id";
        said.push(format!("{code} at {path}: {}", part("detail")));
    }
    Some(BadItem { name, said: cut(&said.join("; "), SAID), schema, gone })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn read(status: u16, body: &str) -> Meaning {
        meaning(&Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) })
    }

    #[test]
    fn a_refused_batch_names_its_bad_items() {
        let body = r#"{"validation-errors":[{"request_id":"2","errors":[{"code":"NotSupportedChoice","path":"status_id","detail":"no such choice"}]}],"title":"Bad Request","status":400}"#;
        let Meaning::BadItems(bad) = read(400, body) else { panic!("{:?}", read(400, body)) };
        assert_eq!((bad[0].name.as_str(), bad[0].schema, bad[0].gone), ("2", true, false));
        let Meaning::BadItems(bad) = read(400, r#"{"errors":{"7001":"Contact not found"}}"#) else { panic!() };
        assert_eq!((bad[0].name.as_str(), bad[0].gone), ("7001", true));
    }

    #[test]
    fn html_and_odd_answers_have_a_meaning_too() {
        assert_eq!(read(403, "<html>403 Forbidden nginx</html>"), Meaning::Later { reason: "amocrm/blocked".into(), after: Some(BLOCKED) });
        assert_eq!(read(429, r#"{"retry_after":300}"#), Meaning::Later { reason: "http/429".into(), after: Some(Duration::from_secs(300)) });
        assert_eq!(read(429, "slow down"), Meaning::Later { reason: "http/429".into(), after: None });
        assert_eq!(read(504, "<html>"), Meaning::Broken { reason: "http/504".into() });
        assert!(matches!(read(400, r#"{"title":"Bad Request","detail":"Код ошибки 244"}"#), Meaning::Refused { said } if said.contains("244")));
        assert!(matches!(read(400, "<html>"), Meaning::Refused { .. }));
    }
}
