//! The state of the box, as people and machines are told it.
//!
//! Every part reports into one [`Hub`]; everything that shows state (CLI, MQTT, page) reads one [`Snapshot`]. Never: a name, phone, card or token; a
//! state that is better than the truth.

mod hub;
mod snapshot;

pub use hub::Hub;
pub use snapshot::{ClockState, DestinationState, GateState, Link, MqttState, Report, Snapshot};
