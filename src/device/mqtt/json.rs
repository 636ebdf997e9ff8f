//! The gateway's own JSON for a device that opens: orders on `<topic>/open` and `<topic>/close`, their answers on `<topic>/open/ack`, what it sees on
//! `<topic>/pass`. `docs/mqtt.md` describes it for those who build one.

use serde::Deserialize;
use serde_json::json;

use super::speech::{Act, Answer, Ear, Heard, Said, Speech, Wish};
use crate::domain::{Direction, GateId};
use crate::source::mqtt::{message, seen};

const MAX_ACK: usize = 4 * 1024;

pub(super) struct Speaker {
    topic: String,
    events: bool,
}

impl Speaker {
    pub fn new(topic: String, events: bool) -> Self {
        Self { topic, events }
    }

    fn event(payload: &[u8]) -> Heard {
        // The gate is the driver's business; the message names none.
        match message::read(&GateId(String::new()), payload, payload.len()) {
            Ok(message::Message::Passage(passage)) => Heard::Signal { direction: passage.direction, signal: seen::passage(&passage), id: passage.id },
            Ok(message::Message::Alarm(alarm)) => Heard::Signal { direction: None, signal: seen::alarm(&alarm), id: alarm.id },
            Ok(message::Message::Reading(_)) => Heard::Bad("a medium, and no gate's reader has this topic"),
            Err(_) => Heard::Bad("not the JSON that docs/mqtt.md describes"),
        }
    }
}

#[derive(Deserialize)]
struct Ack {
    v: u64,
    id: String,
    ok: bool,
    error: Option<String>,
}

impl Speech for Speaker {
    fn ears(&self) -> Vec<Ear> {
        let acks = Ear { filter: format!("{}/open/ack", self.topic), every: false };
        let events = Ear { filter: format!("{}/pass", self.topic), every: true };
        std::iter::once(acks).chain(self.events.then_some(events)).collect()
    }

    fn say(&mut self, wish: &Wish) -> Option<Said> {
        let id = wish.id.to_string();
        let dir = match wish.direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        let expires_at = jiff::Timestamp::from_millisecond(wish.expires_wall_ms).ok()?.to_string();
        let mut order = json!({ "v": 1, "id": id, "output": wish.output, "dir": dir, "expires_at": expires_at, "left_ms": wish.left_ms });
        let end = match wish.act {
            Act::On { pulse_ms } => {
                order.as_object_mut()?.insert("ms".to_owned(), pulse_ms.into());
                "open"
            }
            Act::Off => "close",
        };
        Some(Said { topic: format!("{}/{end}", self.topic), payload: order.to_string(), answer: Answer::Id(id) })
    }

    fn hear(&mut self, topic: &str, payload: &[u8], kept: bool) -> Vec<Heard> {
        let Some(end) = topic.strip_prefix(&self.topic).filter(|_| !kept) else { return Vec::new() };
        match end {
            "/open/ack" if payload.len() <= MAX_ACK => match serde_json::from_slice::<Ack>(payload) {
                Ok(ack) if ack.v == 1 => {
                    let result = if ack.ok { Ok(()) } else { Err(code(ack.error.as_deref())) };
                    vec![Heard::Answered { id: ack.id, result }]
                }
                _ => vec![Heard::Bad("an answer is not the JSON that docs/mqtt.md describes")],
            },
            "/open/ack" => vec![Heard::Bad("an answer of more than 4 KiB")],
            "/pass" => vec![Self::event(payload)],
            _ => Vec::new(),
        }
    }

    fn ends_pulses(&self) -> bool {
        true
    }
}

/// A device's reason, as far as it is a code.
fn code(error: Option<&str>) -> String {
    let good = |text: &&str| !text.is_empty() && text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    error.filter(good).unwrap_or("refused").to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::device::Signal;

    fn speaker() -> Speaker {
        Speaker::new("gw/vysota/in-1".to_owned(), true)
    }

    fn hear(end: &str, payload: &str) -> Vec<Heard> {
        speaker().hear(&format!("gw/vysota/in-1{end}"), payload.as_bytes(), false)
    }

    #[test]
    fn an_order_says_when_it_is_void_in_both_ways() {
        let wish = Wish {
            id: Uuid::nil(),
            output: 0,
            direction: Direction::Out,
            act: Act::On { pulse_ms: 500 },
            left_ms: 1_500,
            expires_wall_ms: 1_795_342_500_000,
        };
        let said = speaker().say(&wish).unwrap();
        assert_eq!(said.topic, "gw/vysota/in-1/open");
        let order: Value = serde_json::from_str(&said.payload).unwrap();
        assert_eq!(
            order,
            json!({ "v": 1, "id": Uuid::nil().to_string(), "output": 0, "dir": "out", "ms": 500, "expires_at": "2026-11-22T10:15:00Z", "left_ms": 1500 })
        );
        assert_eq!(speaker().say(&Wish { act: Act::Off, ..wish }).unwrap().topic, "gw/vysota/in-1/close");
    }

    #[test]
    fn answers_and_events_are_heard() {
        assert_eq!(hear("/open/ack", r#"{"v":1,"id":"a","ok":true}"#), [Heard::Answered { id: "a".to_owned(), result: Ok(()) }]);
        let refused = Err("blocked".to_owned());
        assert_eq!(hear("/open/ack", r#"{"v":1,"id":"a","ok":false,"error":"blocked"}"#), [Heard::Answered { id: "a".to_owned(), result: refused }]);
        let refused = Err("refused".to_owned());
        assert_eq!(
            hear("/open/ack", r#"{"v":1,"id":"a","ok":false,"error":"card 04:A1"}"#),
            [Heard::Answered { id: "a".to_owned(), result: refused }]
        );
        assert!(matches!(hear("/open/ack", r#"{"v":2,"id":"a","ok":true}"#).as_slice(), [Heard::Bad(_)]));
        let passed = Signal::Passed { direction: Some(Direction::In), count: 1 };
        assert_eq!(
            hear("/pass", r#"{"v":1,"id":7,"kind":"passed","dir":"in"}"#),
            [Heard::Signal { direction: Some(Direction::In), signal: passed, id: "7".to_owned() }]
        );
        assert!(matches!(
            hear("/pass", r#"{"v":1,"id":7,"kind":"alarm","alarm":"tamper"}"#).as_slice(),
            [Heard::Signal { signal: Signal::Tamper(true), .. }]
        ));
        assert!(matches!(hear("/pass", "x").as_slice(), [Heard::Bad(_)]));
        assert_eq!(hear("/open", "our own"), []);
        assert_eq!(speaker().hear("gw/vysota/in-1/pass", br#"{"v":1,"id":7,"kind":"passed"}"#, true), [], "kept by the broker");
    }

    proptest! {
        #[test]
        fn any_message_does_no_harm(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            for end in ["/pass", "/open/ack", "/close", ""] {
                speaker().hear(&format!("gw/vysota/in-1{end}"), &payload, false);
            }
        }
    }
}
