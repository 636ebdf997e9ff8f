//! The gateway's own JSON, as validators publish it. Pure.
//!
//! ```json
//! {"v":1,"id":"0199f3c4-…","kind":"passed","medium":{"kind":"card_uid","value":"04A1B2C3"},"dir":"in","ts":"2026-11-22T10:15:00Z"}
//! ```
//! `id` names the message for good: a repeated one is the same pass. `docs/mqtt.md` describes the fields for those who write a validator.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{DeviceRecord, Direction, GateId, Medium, MediumKind, PassageState, Personal};
use crate::source::Reading;

/// The name of this format in passes and at Lime.
pub(crate) const FORMAT: &str = "mqtt-json/1";

/// Longest message, bytes.
const MAX_MESSAGE: usize = 16 * 1024;
/// Longest `id`: a UUID has 36 characters.
const MAX_ID: usize = 64;
/// Longest value: a QR code of a ticket has some hundred characters.
const MAX_VALUE: usize = 1_024;
/// Most hex digits of a UID: 10 bytes are the longest in use; some readers send 16.
const MAX_UID: usize = 32;

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Somebody presented a medium.
    Reading(Box<Reading>),
    /// The device saw a passage, or that nobody went through, and does not say with what medium: it is for the door.
    Passage(Passage),
    /// The device reports trouble of its own: forced open, tampered, set free. Not a pass.
    Alarm(Alarm),
}

/// A passage without its medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// The message's id.
    pub id: String,
    /// Somebody went through.
    pub passed: bool,
    /// Which way, where the device says.
    pub direction: Option<Direction>,
}

/// Trouble that a device reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// The message's id.
    pub id: String,
    /// What: `tamper`, `free`, or a word of the device's.
    pub code: String,
    /// It begins; else it has ended.
    pub on: bool,
}

/// Why a message is not understood. None of the texts holds what the message said: it may be somebody's card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Bad {
    #[error("longer than 16 KiB")]
    TooLong,
    #[error("not the JSON that docs/mqtt.md describes")]
    NotJson,
    #[error("v is not 1")]
    Version,
    #[error("id is empty or longer than 64 characters")]
    Id,
    #[error("kind is none of read, passed, not_passed, alarm")]
    Kind,
    #[error("medium is missing")]
    NoMedium,
    #[error("medium.kind is none of card_uid, qr, barcode, pin, ticket_no")]
    MediumKind,
    #[error("medium.value is empty, too long, or not the hex digits of a UID")]
    Value,
    #[error("dir is neither in nor out")]
    Dir,
}

#[derive(Deserialize)]
struct Wire {
    v: u64,
    id: Id,
    kind: String,
    medium: Option<WireMedium>,
    dir: Option<String>,
    ts: Option<Value>,
    alarm: Option<String>,
    on: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Counter(u64),
}

#[derive(Deserialize)]
struct WireMedium {
    kind: String,
    value: String,
}

/// Reads a message that came for a gate.
pub(crate) fn read(gate: &GateId, payload: &[u8], size: usize) -> Result<Message, Bad> {
    if size > MAX_MESSAGE {
        return Err(Bad::TooLong);
    }
    let wire: Wire = serde_json::from_slice(payload).map_err(|_| Bad::NotJson)?;
    if wire.v != 1 {
        return Err(Bad::Version);
    }
    let record = match wire.id {
        Id::Text(text) => text,
        Id::Counter(number) => number.to_string(),
    };
    if record.trim().is_empty() || record.len() > MAX_ID {
        return Err(Bad::Id);
    }
    let passage = match wire.kind.as_str() {
        "read" => PassageState::Unknown,
        "passed" => PassageState::Passed,
        "not_passed" => PassageState::NotPassed,
        "alarm" => return Ok(Message::Alarm(Alarm { id: record, code: word(wire.alarm.as_deref()), on: wire.on.unwrap_or(true) })),
        _ => return Err(Bad::Kind),
    };
    let direction = match wire.dir.as_deref() {
        None => None,
        Some("in") => Some(Direction::In),
        Some("out") => Some(Direction::Out),
        Some(_) => return Err(Bad::Dir),
    };
    if wire.medium.is_none() && passage != PassageState::Unknown {
        return Ok(Message::Passage(Passage { id: record, passed: passage == PassageState::Passed, direction }));
    }
    Ok(Message::Reading(Box::new(Reading {
        gate: gate.clone(),
        medium: medium(wire.medium.ok_or(Bad::NoMedium)?)?,
        direction,
        passage,
        device: Some(DeviceRecord { device: gate.as_str().to_owned(), record }),
        device_ms: wire.ts.as_ref().and_then(time),
        origin: None,
    })))
}

/// A code of a device's: short, lower case, and no place for a card.
fn word(code: Option<&str>) -> String {
    let code = code.unwrap_or_default();
    let good = !code.is_empty() && code.len() <= 24 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if good { code.to_owned() } else { "alarm".to_owned() }
}

fn medium(wire: WireMedium) -> Result<Medium, Bad> {
    // The names are those of `MediumKind`; read by hand, so that a new one is told from a broken message.
    let kind = match wire.kind.as_str() {
        "card_uid" => MediumKind::CardUid,
        "qr" => MediumKind::Qr,
        "barcode" => MediumKind::Barcode,
        "pin" => MediumKind::Pin,
        "ticket_no" => MediumKind::TicketNo,
        _ => return Err(Bad::MediumKind),
    };
    let value = if kind == MediumKind::CardUid { uid(&wire.value)? } else { wire.value };
    if value.trim().is_empty() || value.len() > MAX_VALUE {
        return Err(Bad::Value);
    }
    Ok(Medium { kind, value: Personal::new(value), raw: None, format: FORMAT.to_owned() })
}

/// Upper-case hex without separators. The order of the bytes is the device's.
fn uid(text: &str) -> Result<String, Bad> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
    let good = !digits.is_empty() && digits.len() <= MAX_UID && digits.len().is_multiple_of(2) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then_some(digits).ok_or(Bad::Value)
}

/// RFC 3339, or milliseconds since 1970 UTC. What is neither is no time: a device's clock is never trusted, so it is not worth a pass.
fn time(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
        other => other.as_i64(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(json: &str) -> Result<Message, Bad> {
        read(&GateId::from("in-1"), json.as_bytes(), json.len())
    }

    #[test]
    fn a_message_becomes_a_reading() {
        let json = r#"{"v":1,"id":"a-1","kind":"passed","medium":{"kind":"card_uid","value":"04:a1:b2:c3"},"dir":"out","ts":"2026-11-22T10:15:00Z","battery":3}"#;
        let Ok(Message::Reading(reading)) = check(json) else { panic!("not a reading") };
        assert_eq!(reading.medium.value.reveal(), "04A1B2C3");
        assert_eq!(reading.medium.kind, MediumKind::CardUid);
        assert_eq!((reading.direction, reading.passage), (Some(Direction::Out), PassageState::Passed));
        assert_eq!(reading.device, Some(DeviceRecord { device: "in-1".to_owned(), record: "a-1".to_owned() }));
        assert_eq!(reading.device_ms, Some(1_795_342_500_000));
    }

    #[test]
    fn counters_and_other_kinds_and_missing_directions_are_fine() {
        for (json, passage) in [
            (r#"{"v":1,"id":42,"kind":"read","medium":{"kind":"qr","value":"T-1\u001d2"}}"#, PassageState::Unknown),
            (r#"{"v":1,"id":42,"kind":"not_passed","medium":{"kind":"pin","value":"0042"},"ts":1795342500000}"#, PassageState::NotPassed),
            (r#"{"v":1,"id":42,"kind":"read","medium":{"kind":"ticket_no","value":"7"},"ts":"yesterday"}"#, PassageState::Unknown),
        ] {
            let Ok(Message::Reading(reading)) = check(json) else { panic!("{json}") };
            assert_eq!((reading.passage, reading.direction), (passage, None));
            assert_eq!(reading.device.unwrap().record, "42");
        }
        let alarm = |code: &str, on| Ok(Message::Alarm(Alarm { id: "1".to_owned(), code: code.to_owned(), on }));
        assert_eq!(check(r#"{"v":1,"id":1,"kind":"alarm"}"#), alarm("alarm", true));
        assert_eq!(check(r#"{"v":1,"id":1,"kind":"alarm","alarm":"tamper","on":false}"#), alarm("tamper", false));
        assert_eq!(check(r#"{"v":1,"id":1,"kind":"alarm","alarm":"Card 04A1B2C3"}"#), alarm("alarm", true));
        let passage = Passage { id: "p".to_owned(), passed: true, direction: Some(Direction::In) };
        assert_eq!(check(r#"{"v":1,"id":"p","kind":"passed","dir":"in"}"#), Ok(Message::Passage(passage)));
    }

    #[test]
    fn each_mistake_has_its_word() {
        let long = |n| "A".repeat(n);
        let card = r#""medium":{"kind":"card_uid","value":"04A1"}"#;
        for (json, bad) in [
            (String::new(), Bad::NotJson),
            ("on".to_owned(), Bad::NotJson),
            ("[1]".to_owned(), Bad::NotJson),
            (format!(r#"{{"v":1,"kind":"read",{card}}}"#), Bad::NotJson),
            (format!(r#"{{"v":2,"id":1,"kind":"read",{card}}}"#), Bad::Version),
            (format!(r#"{{"v":1,"id":" ","kind":"read",{card}}}"#), Bad::Id),
            (format!(r#"{{"v":1,"id":"{}","kind":"read",{card}}}"#, long(65)), Bad::Id),
            (format!(r#"{{"v":1,"id":1,"kind":"open",{card}}}"#), Bad::Kind),
            (format!(r#"{{"v":1,"id":1,"kind":"read","dir":"up",{card}}}"#), Bad::Dir),
            (r#"{"v":1,"id":1,"kind":"read"}"#.to_owned(), Bad::NoMedium),
            (r#"{"v":1,"id":1,"kind":"read","medium":{"kind":"face","value":"x"}}"#.to_owned(), Bad::MediumKind),
            (r#"{"v":1,"id":1,"kind":"read","medium":{"kind":"card_uid","value":"04A"}}"#.to_owned(), Bad::Value),
            (r#"{"v":1,"id":1,"kind":"read","medium":{"kind":"card_uid","value":"карта"}}"#.to_owned(), Bad::Value),
            (format!(r#"{{"v":1,"id":1,"kind":"read","medium":{{"kind":"qr","value":"{}"}}}}"#, long(1_025)), Bad::Value),
            (format!(r#"{{"v":1,"id":1,"kind":"read","medium":{{"kind":"qr","value":"{}"}}}}"#, long(17_000)), Bad::TooLong),
        ] {
            assert_eq!(check(&json), Err(bad), "{}", json.get(..80).unwrap_or(&json));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_message_or_a_mistake(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&GateId::from("g"), &bytes, bytes.len());
        }

        #[test]
        fn what_is_read_is_bounded(id in ".{0,100}", kind in "(read|passed|alarm|x)", medium in "(card_uid|qr|pin|face)", value in ".{0,60}") {
            let json = serde_json::json!({"v": 1, "id": id, "kind": kind, "medium": {"kind": medium, "value": value}}).to_string();
            if let Ok(Message::Reading(reading)) = read(&GateId::from("g"), json.as_bytes(), json.len()) {
                prop_assert!(reading.medium.value.reveal().len() <= MAX_VALUE);
                prop_assert!(reading.device.unwrap().record.len() <= MAX_ID);
            }
        }
    }
}
