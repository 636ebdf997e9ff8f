//! The messages of IronLogic Web-JSON controllers (Z-5R Web, Z-5R Wi-Fi, Matrix-II Wi-Fi), as bytes and as meaning. Pure.
//!
//! A controller posts `{"type":..,"sn":..,"messages":[{"id":..,"operation":..}]}`; the answer is `{"date":"YYYY-MM-DD HH:MM:SS","interval":8,"messages":[..]}`
//! of at most 1500 bytes. Source: two public servers for these controllers (EPC-MSU Z5R-Web-server and ironlogic-ha, the latter tried on firmware 2.55).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::Direction;

/// Longest answer that a controller takes, bytes.
pub const MOST_ANSWER: usize = 1_500;
/// Most messages and events of one request: a controller sends a handful.
const MOST_MESSAGES: usize = 64;
const MOST_EVENTS: usize = 256;

/// A request of a controller.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The controller's serial number.
    pub serial: u64,
    /// What it says, in order.
    pub messages: Vec<Message>,
}

/// One message of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// It has started, and wants to know how to work.
    PowerOn {
        /// The message's id; the answer carries it.
        id: u64,
    },
    /// It asks for commands.
    Ping,
    /// A card was presented and waits for the answer.
    CheckAccess {
        /// The message's id; the answer carries it.
        id: u64,
        /// Twelve hex digits.
        card: String,
        /// Which way: the controller's first reader is the way in.
        direction: Direction,
    },
    /// What happened; it is sent until it is acknowledged.
    Events {
        /// The message's id; the answer carries it.
        id: u64,
        /// The events that can be read, oldest first.
        events: Vec<Event>,
        /// How many there were.
        count: usize,
        /// What the number of the last one is, where the firmware says it.
        last_event: Option<u64>,
    },
    /// The answer to a command of ours.
    Done {
        /// The command's.
        id: u64,
        /// It was carried out.
        success: bool,
    },
    /// Something else, or broken.
    Other,
}

/// One event, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The code.
    pub code: u64,
    /// Twelve hex digits; all zero: no card.
    pub card: String,
    /// By the controller's clock, in no zone.
    pub time: String,
    /// Bits whose meaning differs by event.
    pub flag: i64,
}

#[derive(Deserialize)]
struct Raw {
    sn: Number,
    messages: Vec<Value>,
}

/// Firmware and servers write numbers as numbers and as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(i64),
    Text(String),
}

impl Number {
    fn value(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

fn number(value: Option<&Value>) -> Option<i64> {
    serde_json::from_value::<Number>(value?.clone()).ok()?.value()
}

fn unsigned(value: Option<&Value>) -> Option<u64> {
    number(value).and_then(|number| u64::try_from(number).ok())
}

/// Reads a request. `None`: not one.
#[must_use]
pub fn read(body: &[u8]) -> Option<Request> {
    let raw: Raw = serde_json::from_slice(body).ok()?;
    let serial = u64::try_from(raw.sn.value()?).ok()?;
    (raw.messages.len() <= MOST_MESSAGES).then(|| Request { serial, messages: raw.messages.iter().map(message).collect() })
}

fn message(raw: &Value) -> Message {
    let Some(id) = unsigned(raw.get("id")) else { return Message::Other };
    match raw.get("operation").and_then(Value::as_str) {
        None => number(raw.get("success")).map_or(Message::Other, |success| Message::Done { id, success: success == 1 }),
        Some("power_on") => Message::PowerOn { id },
        Some("ping") => Message::Ping,
        Some("check_access") => {
            let direction = if number(raw.get("reader")) == Some(2) { Direction::Out } else { Direction::In };
            raw.get("card").and_then(card).map_or(Message::Other, |card| Message::CheckAccess { id, card, direction })
        }
        Some("events") => match raw.get("events").and_then(Value::as_array) {
            Some(events) if events.len() <= MOST_EVENTS => {
                // One that cannot be read is left out, or it would stand in the way of all others for ever.
                Message::Events {
                    id,
                    count: events.len(),
                    events: events.iter().filter_map(event).collect(),
                    last_event: unsigned(raw.get("last_event")),
                }
            }
            _ => Message::Other,
        },
        Some(_) => Message::Other,
    }
}

fn event(raw: &Value) -> Option<Event> {
    let time = raw.get("time").and_then(Value::as_str).unwrap_or_default();
    Some(Event {
        code: unsigned(raw.get("event"))?,
        card: raw.get("card").map_or_else(|| Some(NO_CARD.to_owned()), card)?,
        time: time.chars().take(32).collect(),
        flag: number(raw.get("flag")).unwrap_or(0),
    })
}

/// Where an event has no card.
pub const NO_CARD: &str = "000000000000";

/// Twelve hex digits, upper case.
fn card(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let good = !text.is_empty() && text.len() <= NO_CARD.len() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| format!("{text:0>12}").to_ascii_uppercase())
}

/// Puts an answer together: what must be said first, then commands as far as they fit. Returns it, and how many of the commands it holds.
#[must_use]
pub fn answer(date: Option<&str>, interval_s: u64, answers: &[Value], commands: &[Value]) -> (String, usize) {
    let whole = |messages: &[&Value]| {
        let mut body = json!({ "interval": interval_s, "messages": messages });
        if let (Some(date), Some(body)) = (date, body.as_object_mut()) {
            body.insert("date".to_owned(), date.into());
        }
        body.to_string()
    };
    let mut messages: Vec<&Value> = answers.iter().collect();
    let mut text = whole(&messages);
    let mut held = 0;
    for command in commands {
        messages.push(command);
        let longer = whole(&messages);
        if longer.len() > MOST_ANSWER {
            break;
        }
        text = longer;
        held += 1;
    }
    (text, held)
}

/// The number by which a batch of events is acknowledged. The two sources disagree: one answers how many there were, one the number of the last where the
/// firmware says it. To be tried on hardware; only this function knows.
#[must_use]
pub fn events_success(count: usize, last_event: Option<u64>) -> u64 {
    last_event.filter(|last| *last > 0).unwrap_or(count as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_messages_are_read() {
        let body = br#"{"type":"Z5RWEB","sn":44374,"messages":[
            {"id":358532290,"operation":"power_on","fw":"3.42","conn_fw":"1.0.157","active":0,"mode":0,"controller_ip":"172.16.130.233","reader_protocol":"wiegand"},
            {"id":1126273268,"operation":"ping","active":1,"mode":0},
            {"id":3,"operation":"check_access","card":"00B5009EC1A8","reader":2},
            {"id":4,"operation":"events","events":[{"event":4,"card":"00b5009ec1a8","time":"2026-11-22 10:15:00","flag":0},{"card":"x"}]},
            {"id":5,"success":1},{"id":6,"operation":"dance"},{"operation":"ping"}]}"#;
        let event = Event { code: 4, card: "00B5009EC1A8".to_owned(), time: "2026-11-22 10:15:00".to_owned(), flag: 0 };
        let messages = vec![
            Message::PowerOn { id: 358_532_290 },
            Message::Ping,
            Message::CheckAccess { id: 3, card: "00B5009EC1A8".to_owned(), direction: Direction::Out },
            Message::Events { id: 4, events: vec![event], count: 2, last_event: None },
            Message::Done { id: 5, success: true },
            Message::Other,
            Message::Other,
        ];
        assert_eq!(read(body), Some(Request { serial: 44_374, messages }));
        assert_eq!(read(br#"{"sn":"44374","messages":[]}"#).map(|request| request.serial), Some(44_374));
        for bad in [&b""[..], b"[]", b"{}", br#"{"sn":-1,"messages":[]}"#, br#"{"sn":1}"#] {
            assert_eq!(read(bad), None);
        }
    }

    #[test]
    fn an_answer_stays_short_and_what_must_be_said_comes_first() {
        let answers = [json!({ "id": 3, "operation": "check_access", "granted": 1 })];
        let commands: Vec<Value> = (0..100).map(|id| json!({ "id": id, "operation": "open_door", "direction": 0 })).collect();
        let (text, held) = answer(Some("2026-11-22 10:15:00"), 8, &answers, &commands);
        assert!(text.len() <= MOST_ANSWER && held > 10 && held < 100, "{held}");
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&body["date"], &body["interval"], &body["messages"][0]), (&json!("2026-11-22 10:15:00"), &json!(8), &answers[0]));
        assert_eq!(answer(None, 8, &[], &[]).0, r#"{"interval":8,"messages":[]}"#);
    }

    #[test]
    fn a_batch_is_acknowledged_by_its_count_or_by_its_last_number() {
        assert_eq!((events_success(5, None), events_success(5, Some(0)), events_success(5, Some(812))), (5, 5, 812));
    }

    proptest! {
        #[test]
        fn whatever_is_posted_is_a_request_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }

        #[test]
        fn odd_values_in_the_right_places_do_no_harm(id in "(1|-1|\"7\"|null|1e99|18446744073709551616)", card in "[0-9A-Fa-fx]{0,14}", event in "(4|\"16\"|-4|null)") {
            let body = format!(r#"{{"sn":1,"messages":[{{"id":{id},"operation":"events","events":[{{"event":{event},"card":"{card}"}}]}}]}}"#);
            if let Some(Request { messages, .. }) = read(body.as_bytes()) {
                for message in messages {
                    if let Message::Events { events, .. } = message {
                        prop_assert!(events.iter().all(|event| event.card.len() == 12));
                    }
                }
            }
        }
    }
}
