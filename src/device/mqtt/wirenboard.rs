//! Wiren Board's conventions: `/devices/<id>/controls/<control>` holds a control's value, retained; to set one, publish to the same topic with `/on` behind
//! it; `.../meta/error` holds `r`, `w` and `p` while it cannot be read, written or kept up with.
//!
//! Source: wirenboard/conventions. A relay is set by `1` and, after the pulse, `0`; that it went on is known by its value, which the device's driver
//! publishes when it has written it.

use super::WirenBoard;
use super::speech::{Act, Answer, Ear, Heard, Said, Speech, Wish};

pub(super) struct Speaker {
    names: WirenBoard,
    base: String,
}

impl Speaker {
    pub fn new(names: WirenBoard) -> Self {
        Self { base: format!("/devices/{}/controls/", names.device), names }
    }

    fn value(&self, control: &str, text: &str) -> Vec<Heard> {
        let number = |names: &[String]| names.iter().position(|name| name == control).and_then(|at| u16::try_from(at).ok());
        let mut heard = Vec::new();
        if let Some(output) = number(&self.names.outputs) {
            heard.push(switch(text).map_or(Heard::Bad("a relay's value is neither 0 nor 1"), |on| Heard::Output { output, on }));
        }
        if let Some(input) = number(&self.names.inputs) {
            heard.push(switch(text).map_or(Heard::Bad("an input's value is neither 0 nor 1"), |on| Heard::Input { input, on, changed: false }));
        }
        if let Some(counter) = number(&self.names.counters) {
            heard.push(text.parse().map_or(Heard::Bad("a counter's value is no whole number"), |value| Heard::Counter { counter, value }));
        }
        heard
    }

    fn error(&self, control: &str, text: &str) -> Vec<Heard> {
        let code = match text {
            text if text.contains('w') => Some("write"),
            text if text.contains('r') => Some("read"),
            _ => None,
        };
        let mut heard = vec![Heard::Trouble { part: control.to_owned(), code: code.map(str::to_owned) }];
        let output = self.names.outputs.iter().position(|name| name == control).and_then(|at| u16::try_from(at).ok());
        heard.extend(output.filter(|_| code == Some("write")).map(|output| Heard::OutputFailed { output }));
        heard
    }
}

impl Speech for Speaker {
    fn ears(&self) -> Vec<Ear> {
        let values = Ear { filter: format!("{}+", self.base), every: false };
        let errors = Ear { filter: format!("{}+/meta/error", self.base), every: false };
        vec![values, errors]
    }

    fn say(&mut self, wish: &Wish) -> Option<Said> {
        let control = self.names.outputs.get(usize::from(wish.output))?;
        let on = matches!(wish.act, Act::On { .. });
        let payload = if on { "1" } else { "0" }.to_owned();
        Some(Said { topic: format!("{}{control}/on", self.base), payload, answer: Answer::Output { output: wish.output, on } })
    }

    fn hear(&mut self, topic: &str, payload: &[u8], _kept: bool) -> Vec<Heard> {
        let Some(rest) = topic.strip_prefix(&self.base) else { return Vec::new() };
        let Ok(text) = std::str::from_utf8(payload) else { return vec![Heard::Bad("a value is no text")] };
        match rest.split_once('/') {
            None => self.value(rest, text.trim()),
            Some((control, "meta/error")) => self.error(control, text),
            Some(_) => Vec::new(),
        }
    }

    fn ends_pulses(&self) -> bool {
        false
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::Direction;

    fn speaker() -> Speaker {
        Speaker::new(WirenBoard::mr6c("wb-mr6c_34"))
    }

    #[test]
    fn a_relay_is_set_by_its_own_topic_and_known_by_its_value() {
        let wish = |output, act| Wish { id: Uuid::nil(), output, direction: Direction::In, act, left_ms: 1, expires_wall_ms: 0 };
        let said = speaker().say(&wish(0, Act::On { pulse_ms: 100 })).unwrap();
        assert_eq!((said.topic.as_str(), said.payload.as_str()), ("/devices/wb-mr6c_34/controls/K1/on", "1"));
        assert_eq!(speaker().say(&wish(5, Act::Off)).unwrap().payload, "0");
        assert_eq!(speaker().say(&wish(6, Act::Off)), None);
    }

    #[test]
    fn values_and_errors_are_heard_by_control() {
        let hear = |topic: &str, payload: &str| speaker().hear(&format!("/devices/wb-mr6c_34/controls/{topic}"), payload.as_bytes(), false);
        assert_eq!(hear("K2", "1"), [Heard::Output { output: 1, on: true }]);
        assert_eq!(hear("Input 0", "0"), [Heard::Input { input: 0, on: false, changed: false }]);
        assert_eq!(hear("Input 6 counter", "65535"), [Heard::Counter { counter: 6, value: 65_535 }]);
        assert!(matches!(hear("K1", "on").as_slice(), [Heard::Bad(_)]));
        assert!(matches!(hear("Input 1 counter", "-1").as_slice(), [Heard::Bad(_)]));
        assert_eq!(hear("Serial", "123"), []);
        assert_eq!(hear("K1/on", "1"), [], "our own order");
        let failed = [Heard::Trouble { part: "K1".to_owned(), code: Some("write".to_owned()) }, Heard::OutputFailed { output: 0 }];
        assert_eq!(hear("K1/meta/error", "rw"), failed);
        assert_eq!(hear("K1/meta/error", ""), [Heard::Trouble { part: "K1".to_owned(), code: None }]);
    }

    proptest! {
        #[test]
        fn any_topic_and_payload_do_no_harm(topic in ".{0,60}", payload in proptest::collection::vec(any::<u8>(), 0..40)) {
            speaker().hear(&topic, &payload, false);
            speaker().hear(&format!("/devices/wb-mr6c_34/controls/{topic}"), &payload, false);
        }
    }
}
