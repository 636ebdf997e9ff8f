//! `POST /authorize`: the question whether a guest may pass, and the reading of its answer. Pure.
//!
//! The write-off id is the pass's own, so that a question whose answer never came, the decision made without it, and the report of it are one row at Lime.

use bytes::Bytes;
use http::Method;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::domain::{Decision, DecisionMode, Direction, Pass};
use crate::http::{Answer, DEFAULT_TIMEOUT, Request};

use super::courier::rfc3339;
use super::parse::{ParseProblem, document, stable};
use super::wire;

/// Longest line for a display.
const LINE_KEPT: usize = 40;

/// Longest time that a gate is kept open on Lime's word, milliseconds.
const MOST_OPEN_MS: u64 = 60_000;

/// What Lime says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// The decision, to be reported with the pass: mode `online`.
    pub decision: Decision,
    /// At most two short lines for a display.
    pub lines: Vec<String>,
    /// How long the gate is to be open, milliseconds.
    pub open_ms: Option<u32>,
}

/// The question. `commit` is `immediate` or `on_passage`.
#[must_use]
pub fn request(pass: &Pass, commit: &str, zone: &TimeZone) -> Request {
    let body = json!({
        "write_off_id": pass.id.to_string(),
        "medium": {"kind": pass.medium.kind, "value": pass.medium.value},
        "service_point_id": pass.service_point,
        "direction": match pass.direction { Direction::In => "in", Direction::Out => "out" },
        "occurred_at": rfc3339(pass.stamp.wall_ms, zone),
        "commit": commit,
    });
    Request {
        method: Method::POST,
        path: "/authorize".to_owned(),
        headers: Vec::new(),
        body: Some(Bytes::from(body.to_string())),
        timeout: DEFAULT_TIMEOUT,
        label: "POST /authorize",
    }
}

/// The answer.
///
/// # Errors
/// When it says neither yes nor no.
pub fn answer(answer: &Answer) -> Result<Authorized, ParseProblem> {
    let wire: wire::Authorized = document(answer)?;
    let admitted = match wire.decision.as_str() {
        "grant" => true,
        "refuse" => false,
        _ => return Err(ParseProblem::Unreadable("`decision` is neither grant nor refuse".to_owned())),
    };
    let code = match (admitted, wire.code.as_deref().map(stable)) {
        (true, _) => "ok".to_owned(),
        // A refusal that calls itself ok would be reported as an admission by its code.
        (false, None) => "internal".to_owned(),
        (false, Some(code)) if code == "ok" => "internal".to_owned(),
        (false, Some(code)) => code,
    };
    let decision = Decision {
        mode: DecisionMode::Online,
        admitted,
        code,
        snapshot_version: None,
        hold_id: wire.hold_id.filter(|_| admitted).map(|id| id.0),
        right_id: wire.right.as_ref().filter(|_| admitted).map(|right| right.id.0.clone()),
        amount: wire.right.filter(|_| admitted).and_then(|right| right.amount),
    };
    let lines = wire.display.into_iter().flat_map(|display| [display.line1, display.line2]).flatten();
    let lines = lines.map(|line| line.chars().filter(|letter| !letter.is_control()).take(LINE_KEPT).collect::<String>());
    Ok(Authorized {
        decision,
        lines: lines.filter(|line| !line.trim().is_empty()).collect(),
        open_ms: wire.open_ms.filter(|ms| *ms > 0).and_then(|ms| u32::try_from(ms.min(MOST_OPEN_MS)).ok()),
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn read(status: u16, body: &str) -> Result<Authorized, ParseProblem> {
        answer(&Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) })
    }

    #[test]
    fn a_grant_carries_its_hold_and_what_the_guest_is_shown() {
        let granted = read(
            200,
            r#"{"decision":"grant","code":"ok","hold_id":7,"hold_expires_at":"2026-05-01T12:00:30.000+05:00","display":{"line1":"Проходите","line2":" "},
            "right":{"id":"r-1","kind":"deposit","amount":50000},"open_ms":9000000000,"news":1}"#,
        )
        .unwrap();
        assert_eq!(granted.lines, ["Проходите"]);
        assert_eq!(granted.open_ms, Some(60_000));
        let decision = granted.decision;
        assert_eq!((decision.mode, decision.admitted, decision.code.as_str()), (DecisionMode::Online, true, "ok"));
        assert_eq!((decision.hold_id.as_deref(), decision.right_id.as_deref(), decision.amount), (Some("7"), Some("r-1"), Some(50_000)));
    }

    #[test]
    fn a_refusal_never_looks_like_an_admission() {
        for (body, code) in [
            (r#"{"decision":"refuse","code":"no_ticket","hold_id":"h"}"#, "no_ticket"),
            (r#"{"decision":"refuse","code":"ok"}"#, "internal"),
            (r#"{"decision":"refuse"}"#, "internal"),
        ] {
            let refused = read(200, body).unwrap().decision;
            assert_eq!((refused.admitted, refused.code.as_str(), refused.hold_id), (false, code, None));
        }
    }

    #[test]
    fn what_is_neither_yes_nor_no_is_no_answer() {
        for (status, body) in [(200, r#"{"decision":"maybe","code":"ok"}"#), (200, "<html>"), (200, "{}"), (404, "<html>"), (204, "")] {
            assert_eq!(read(status, body).unwrap_err().code(), "lime/unreadable", "{status} {body}");
        }
        assert_eq!(read(503, "").unwrap_err(), ParseProblem::Later { status: 503, after: None });
    }
}
