//! Devices behind a broker: relays, inputs and counters of Wiren Board and Shelly, and whatever speaks the gateway's own JSON.
//!
//! What each says and wants to hear is a pure [`Speech`]; one driver per device has the subscription, the orders under way and the time. An order to open
//! leaves at QoS 1, is never retained, and is withdrawn when the broker does not take it in its time. It counts as done when the device itself has said
//! so: the broker's PUBACK says only that the broker has it.
//!
//! Never: a value that the broker kept from before taken for a passage; an order delivered after its time because the broker was away; an output left on
//! at a start, at an end, or after its pulse.

mod contacts;
mod driver;
mod json;
mod relays;
mod shelly;
pub mod speech;
mod wirenboard;

pub use driver::start;

pub use crate::config::WirenBoard;
use crate::config::{Config, Module, ModuleKind, ReaderConfig};
use speech::Speech;

/// A device behind the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttModule {
    /// Its id in the config.
    pub id: String,
    /// How it speaks.
    pub speaks: MqttSpeech,
}

/// How a device behind the broker speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MqttSpeech {
    /// Wiren Board's conventions: a topic for each control.
    WirenBoard(WirenBoard),
    /// Shelly of the second generation and later: JSON-RPC.
    Shelly {
        /// The device's topic prefix: its id, unless its settings say otherwise.
        prefix: String,
    },
    /// The gateway's own JSON, `docs/mqtt.md`.
    Json {
        /// What its topics begin with; `/open`, `/open/ack`, `/close` and `/pass` follow.
        topic: String,
        /// Whether passages and alarms on `/pass` come here. Else a gate's reader has that topic, and passes them on.
        events: bool,
    },
}

impl MqttModule {
    /// The module as the driver needs it; nothing when it is not behind the broker.
    #[must_use]
    pub fn of(module: &Module, config: &Config) -> Option<Self> {
        let speaks = match &module.kind {
            ModuleKind::WirenBoard(names) => MqttSpeech::WirenBoard(names.clone()),
            ModuleKind::Shelly { prefix } => MqttSpeech::Shelly { prefix: prefix.clone() },
            ModuleKind::MqttJson { topic } => {
                let passes = format!("{topic}/pass");
                let read = config.gates.iter().any(|gate| matches!(&gate.reader, ReaderConfig::MqttJson { topic } if *topic == passes));
                MqttSpeech::Json { topic: topic.clone(), events: !read }
            }
            ModuleKind::Modbus { .. } | ModuleKind::GateBoard { .. } | ModuleKind::Gpio(_) => return None,
        };
        Some(Self { id: module.id.clone(), speaks })
    }
}

impl MqttSpeech {
    /// Its language.
    #[must_use]
    pub fn speech(&self) -> Box<dyn Speech> {
        match self {
            Self::WirenBoard(names) => Box::new(wirenboard::Speaker::new(names.clone())),
            Self::Shelly { prefix } => Box::new(shelly::Speaker::new(prefix.clone())),
            Self::Json { topic, events } => Box::new(json::Speaker::new(topic.clone(), *events)),
        }
    }
}
