//! The state of the box, as people and machines are told it.
//!
//! Every part reports into one [`Hub`]; everything that shows state (CLI, MQTT, page) reads one [`Snapshot`]. Never: a name, phone, card or token; a
//! state that is better than the truth.

mod hub;
pub mod mqtt;
mod problem;
mod problem_box;
mod problem_destinations;
mod problem_doors;
mod problem_feeds;
mod problem_gates;
mod problem_memory;
mod problem_modules;
mod snapshot;

pub use hub::Hub;
pub(crate) use problem::wall_text;
pub use problem::{Code, Problem, Severity, Texts, problems, worst};
pub use problem_memory::Memory;
pub use snapshot::{
    ClockState, DestinationState, DoorState, EntitlementsState, FeedState, GateState, Link, ModuleState, MqttState, ReaderFault, Report, Snapshot,
    SweepState,
};
