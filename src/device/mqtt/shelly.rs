//! Shelly of the second generation and later, over MQTT: JSON-RPC requests to `<prefix>/rpc`, answers on `<src>/rpc`, notifications on
//! `<prefix>/events/rpc`, the device's will on `<prefix>/online`.
//!
//! Source: the vendor's gen2 API documentation (RPC protocol, notifications, MQTT, Switch, Input). An order is `Switch.Set` with `toggle_after`, so that the
//! device ends the pulse itself; its answer is the frame with the request's id. We ask for answers under `<prefix>/limegate`.
//!
//! Notifications: `NotifyStatus` with `input:N` and its `state` (or `counts.total`), `NotifyEvent` with `btn_down` of an input in button mode. Their times are
//! the device's and are not used.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::speech::{Act, Answer, Ear, Heard, Said, Speech, Wish};

/// Longer frames are full status dumps, not what is waited for here.
const MAX_FRAME: usize = 16 * 1024;

pub(super) struct Speaker {
    prefix: String,
}

impl Speaker {
    pub fn new(prefix: String) -> Self {
        Self { prefix }
    }

    fn source(&self) -> String {
        format!("{}/limegate", self.prefix)
    }
}

#[derive(Deserialize)]
struct Frame {
    id: Option<Value>,
    method: Option<String>,
    params: Option<Map<String, Value>>,
    result: Option<Value>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    code: i64,
}

impl Speech for Speaker {
    fn ears(&self) -> Vec<Ear> {
        ["limegate/rpc", "events/rpc", "online"].map(|end| Ear { filter: format!("{}/{end}", self.prefix), every: false }).into()
    }

    fn say(&mut self, wish: &Wish) -> Option<Said> {
        let id = wish.id.to_string();
        let params = match wish.act {
            Act::On { pulse_ms } => json!({ "id": wish.output, "on": true, "toggle_after": f64::from(pulse_ms) / 1000.0 }),
            Act::Off => json!({ "id": wish.output, "on": false }),
        };
        let payload = json!({ "id": id, "src": self.source(), "method": "Switch.Set", "params": params }).to_string();
        Some(Said { topic: format!("{}/rpc", self.prefix), payload, answer: Answer::Id(id) })
    }

    fn hear(&mut self, topic: &str, payload: &[u8], kept: bool) -> Vec<Heard> {
        let Some(end) = topic.strip_prefix(&self.prefix) else { return Vec::new() };
        if end == "/online" {
            return match payload {
                b"true" => vec![Heard::Online(true)],
                b"false" => vec![Heard::Online(false)],
                _ => vec![Heard::Bad("online is neither true nor false")],
            };
        }
        // Answers and notifications are events: one that the broker kept is nobody's.
        if kept {
            return Vec::new();
        }
        if payload.len() > MAX_FRAME {
            return vec![Heard::Bad("a frame of more than 16 KiB")];
        }
        let Ok(frame) = serde_json::from_slice::<Frame>(payload) else { return vec![Heard::Bad("not a frame of JSON-RPC")] };
        match (end, frame.method.as_deref()) {
            ("/limegate/rpc", None) => answered(&frame).into_iter().collect(),
            ("/events/rpc", Some("NotifyStatus")) => frame.params.iter().flatten().flat_map(|(name, status)| component(name, status)).collect(),
            ("/events/rpc", Some("NotifyEvent")) => frame.params.iter().flat_map(events).collect(),
            _ => Vec::new(),
        }
    }

    fn ends_pulses(&self) -> bool {
        true
    }
}

fn answered(frame: &Frame) -> Option<Heard> {
    let id = match frame.id.as_ref()? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let result = match (&frame.result, &frame.error) {
        (_, Some(failure)) => Err(format!("error {}", failure.code)),
        (Some(_), None) => Ok(()),
        (None, None) => return None,
    };
    Some(Heard::Answered { id, result })
}

/// `input:0` and its number.
fn numbered(name: &str, kind: &str) -> Option<u16> {
    name.strip_prefix(kind)?.strip_prefix(':')?.parse().ok()
}

fn component(name: &str, status: &Value) -> Vec<Heard> {
    let mut heard = Vec::new();
    if let Some(output) = numbered(name, "switch") {
        heard.extend(status.get("output").and_then(Value::as_bool).map(|on| Heard::Output { output, on }));
        if let Some(errors) = status.get("errors").and_then(Value::as_array) {
            heard.push(Heard::Trouble { part: name.to_owned(), code: (!errors.is_empty()).then(|| "switch".to_owned()) });
        }
    }
    if let Some(input) = numbered(name, "input") {
        heard.extend(status.get("state").and_then(Value::as_bool).map(|on| Heard::Input { input, on, changed: true }));
        let total = status.get("counts").and_then(|counts| counts.get("total")).and_then(Value::as_u64);
        heard.extend(total.map(|value| Heard::Counter { counter: input, value }));
    }
    heard
}

fn events(params: &Map<String, Value>) -> Vec<Heard> {
    let Some(events) = params.get("events").and_then(Value::as_array) else { return Vec::new() };
    let pressed = |event: &Value| {
        let down = event.get("event").and_then(Value::as_str) == Some("btn_down");
        let input = numbered(event.get("component").and_then(Value::as_str)?, "input")?;
        down.then_some(Heard::Edge { input })
    };
    events.iter().filter_map(pressed).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::Direction;

    const PREFIX: &str = "shellyplus1-a8032abe54dc";

    fn hear(end: &str, payload: &str) -> Vec<Heard> {
        Speaker::new(PREFIX.to_owned()).hear(&format!("{PREFIX}{end}"), payload.as_bytes(), false)
    }

    #[test]
    fn an_order_is_switch_set_with_its_own_end_and_is_answered_by_id() {
        let wish = Wish { id: Uuid::nil(), output: 1, direction: Direction::In, act: Act::On { pulse_ms: 500 }, left_ms: 1, expires_wall_ms: 0 };
        let said = Speaker::new(PREFIX.to_owned()).say(&wish).unwrap();
        assert_eq!(said.topic, "shellyplus1-a8032abe54dc/rpc");
        let request: Value = serde_json::from_str(&said.payload).unwrap();
        assert_eq!(request["method"], "Switch.Set");
        assert_eq!(request["params"], json!({ "id": 1, "on": true, "toggle_after": 0.5 }));
        assert_eq!(request["src"], "shellyplus1-a8032abe54dc/limegate");
        let id = request["id"].as_str().unwrap();
        let answer = hear("/limegate/rpc", &json!({ "id": id, "src": PREFIX, "dst": "x", "result": { "was_on": false } }).to_string());
        assert_eq!(answer, [Heard::Answered { id: id.to_owned(), result: Ok(()) }]);
        let refused = hear("/limegate/rpc", r#"{"id":"7","src":"s","error":{"code":-103,"message":"Invalid argument"}}"#);
        assert_eq!(refused, [Heard::Answered { id: "7".to_owned(), result: Err("error -103".to_owned()) }]);
    }

    #[test]
    fn notifications_say_what_changed() {
        let status = r#"{"src":"s","dst":"s/events","method":"NotifyStatus","params":{"ts":1631.2,"input:0":{"id":0,"state":true},"switch:0":{"id":0,"output":false}}}"#;
        assert_eq!(hear("/events/rpc", status), [Heard::Input { input: 0, on: true, changed: true }, Heard::Output { output: 0, on: false }]);
        let counts = r#"{"method":"NotifyStatus","params":{"input:100":{"id":100,"counts":{"total":56}}}}"#;
        assert_eq!(hear("/events/rpc", counts), [Heard::Counter { counter: 100, value: 56 }]);
        let event = r#"{"method":"NotifyEvent","params":{"ts":1.0,"events":[{"component":"input:1","id":1,"event":"btn_down"},{"component":"input:1","id":1,"event":"single_push"},{"component":"sys","event":"x"}]}}"#;
        assert_eq!(hear("/events/rpc", event), [Heard::Edge { input: 1 }]);
        assert_eq!((hear("/online", "true"), hear("/online", "false")), (vec![Heard::Online(true)], vec![Heard::Online(false)]));
    }

    #[test]
    fn what_the_broker_kept_is_no_event() {
        let event = r#"{"method":"NotifyEvent","params":{"events":[{"component":"input:1","event":"btn_down"}]}}"#;
        assert_eq!(Speaker::new(PREFIX.to_owned()).hear(&format!("{PREFIX}/events/rpc"), event.as_bytes(), true), []);
    }

    proptest! {
        #[test]
        fn any_frame_does_no_harm(payload in proptest::collection::vec(any::<u8>(), 0..200), json in "\\{\"(method|params|id|result)\":[^}]{0,30}\\}") {
            for end in ["/events/rpc", "/limegate/rpc", "/online", "", "/x"] {
                Speaker::new(PREFIX.to_owned()).hear(&format!("{PREFIX}{end}"), &payload, false);
                hear(end, &json);
            }
        }
    }
}
