//! Devices that come over the network: any request of a Web-JSON controller, any messages of devices behind the broker.

use limegate::device::mqtt::speech::Heard;
use limegate::device::mqtt::{MqttSpeech, WirenBoard};
use limegate::device::web_json::wire::{self, Message};

/// Any body is a request or none; a card is twelve digits, and an answer stays short.
pub fn web_json(body: &[u8]) {
    let Some(request) = wire::read(body) else { return };
    for message in &request.messages {
        let cards: Vec<&str> = match message {
            Message::CheckAccess { card, .. } => vec![card],
            Message::Events { events, count, last_event, .. } => {
                assert!(events.len() <= *count);
                let _ = wire::events_success(*count, *last_event);
                events.iter().map(|event| event.card.as_str()).collect()
            }
            _ => Vec::new(),
        };
        for card in cards {
            assert!(card.len() == 12 && card.bytes().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit)));
        }
    }
}

/// Any messages: no panic, and whoever is told that one is bad is told why.
///
/// Input: the language; then messages, each with topic and kept flag in a byte, a length (two bytes), and that many bytes of payload.
pub fn mqtt_devices(input: &[u8]) {
    let [language, messages @ ..] = input else { return };
    let speaks = match language % 4 {
        0 => MqttSpeech::WirenBoard(WirenBoard::mr6c("wb-mr6c_1")),
        1 => MqttSpeech::Shelly { prefix: "shelly".to_owned() },
        2 => MqttSpeech::Json { topic: "gw/gate".to_owned(), events: true },
        _ => MqttSpeech::Json { topic: "gw/gate".to_owned(), events: false },
    };
    let mut speech = speaks.speech();
    let topics = topics(&speaks, speech.ears().into_iter().map(|ear| ear.filter));
    let mut rest = messages;
    while let [which, high, low, more @ ..] = rest {
        let (payload, after) = more.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(more.len()));
        let kept = which & 0x80 != 0;
        let Some(topic) = topics.get(usize::from(which & 0x7F) % topics.len()) else { return };
        for heard in speech.hear(topic, payload, kept) {
            if let Heard::Bad(why) = heard {
                assert!(!why.is_empty());
            }
        }
        rest = after;
    }
}

/// What messages come on: the filters with something in place of their wildcards.
fn topics(speaks: &MqttSpeech, filters: impl Iterator<Item = String>) -> Vec<String> {
    let controls: Vec<String> = match speaks {
        MqttSpeech::WirenBoard(names) => names.outputs.iter().chain(&names.inputs).chain(&names.counters).cloned().collect(),
        _ => Vec::new(),
    };
    let mut topics = vec!["elsewhere".to_owned()];
    for filter in filters {
        match filter.contains('+') {
            true => topics.extend(controls.iter().map(|control| filter.replacen('+', control, 1))),
            false => topics.push(filter),
        }
    }
    topics
}
