//! Simulated readers and validators: they write what the real ones write, over a serial line or MQTT, and keep books of what they made and what was
//! acknowledged.
//!
//! In-process, a [`Simulator`] plays a reader on a pty of its own or on a given port, a [`Validator`] a device that publishes over MQTT, a [`Gate`] a
//! turnstile behind a Modbus module that is opened and counts, a [`Barrier`] one behind a broker. On the command line, `sandbox turnstile` plays a script,
//! or one of the two that are opened.

mod args;
mod barrier;
mod books;
mod family;
mod gate;
mod play;
mod rtu;
mod script;
mod serial;
mod validator;

pub use args::{TurnstileArgs, TurnstileError, run};
pub use barrier::{Barrier, BarrierBooks};
pub use books::Books;
pub use family::{Family, FamilyError};
pub use gate::{Gate, GateBooks};
pub use script::{Action, Line, Presented, ScriptError, parse as parse_script};
pub use serial::{Answer, Simulator, Written};
pub use validator::{Acknowledged, Lost, Validator};
