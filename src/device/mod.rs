//! Devices: equipment that is spoken with, not only listened to. Readers on a bus, I/O modules, gate boards, relays behind a broker.
//!
//! A driver owns one line (a serial port, a set of topics, an address to listen on) and serves every gate that is wired to it. It knows nothing of
//! tickets: media go to the [`Intake`], what else it sees goes to the doors as a [`Signal`], and it does what a door orders through an [`Actuator`]
//! and a [`Voice`]. A pure codec says what the bytes mean; the driver has the port, the time and the order of questions.
//!
//! Never: an output left on at a start, at an end, or after its pulse; an order carried out after it expired; a card in log or status.

mod bus;
mod count;
pub mod gate_board;
pub mod gpio;
pub mod modbus;
pub mod mqtt;
pub mod osdp;
mod outbox;
mod waiting;
pub mod web_json;

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::domain::{DeviceRecord, Direction, GateId};
use crate::source::Intake;
use crate::status::Hub;

/// What a device sees at a gate beside media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Guests went through: so many since the last signal. A counter's first reading is a baseline and never one of these.
    Passed {
        /// Which way, where the device can tell.
        direction: Option<Direction>,
        /// How many; at least one.
        count: u32,
    },
    /// The device itself gave up waiting: nobody went through.
    NotPassed {
        /// Which way.
        direction: Option<Direction>,
    },
    /// The fire alarm or a key has set the gate free (`true`), or that has ended.
    Free(bool),
    /// Somebody is at the device's housing or forces the gate (`true`), or that has ended.
    Tamper(bool),
    /// The device reports trouble of its own, as a stable code such as `motor`; nothing: it has ended.
    Fault(Option<String>),
    /// The device answers (`true`), or no longer does.
    Link(bool),
}

/// A signal, where and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signalled {
    /// The gate.
    pub gate: GateId,
    /// What.
    pub signal: Signal,
    /// Boot time at which it was seen, milliseconds.
    pub at_boot_ms: u64,
    /// The device's own name for its report, where it may make the same report again.
    pub record: Option<DeviceRecord>,
}

/// The order to let one guest through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The pass it is for; a device that acknowledges by id gets this one. Ordering twice with one id opens once, where the device can tell.
    pub id: Uuid,
    /// Which way.
    pub direction: Direction,
    /// How long the output is on, milliseconds.
    pub pulse_ms: u32,
    /// After this boot time the order is void: it is not sent, and not sent again.
    pub expires_boot_ms: u64,
}

/// Why a gate was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// The order did not leave: it has certainly not opened.
    #[error("not ordered: {0}")]
    NotSent(String),
    /// It expired before it could be sent.
    #[error("the order expired before it could be sent")]
    Expired,
    /// The device said no.
    #[error("the device refused: {0}")]
    Refused(String),
    /// The order left and was not acknowledged: it may have opened.
    #[error("ordered, and not acknowledged: {0}")]
    Unknown(String),
}

/// An order under way.
pub type Ordered<'a> = Pin<Box<dyn Future<Output = Result<(), NotOpened>> + Send + 'a>>;

/// Opens one gate.
pub trait Actuator: Send + Sync {
    /// Lets one guest through. Returns when the device has acknowledged that its output is on; the driver itself ends the pulse.
    fn open(&self, order: Open) -> Ordered<'_>;

    /// Takes the order back: outputs off now. Returns when read back, where the device can be read.
    fn close(&self) -> Ordered<'_>;
}

/// What the guest is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Wait: Lime is being asked.
    Wait,
    /// Go.
    Go {
        /// At most two short lines for a display, in the venue's language.
        lines: Vec<String>,
    },
    /// No.
    No {
        /// The refusal's code, as the Lime gateway API v1 names it.
        code: String,
        /// At most two short lines for a display, in the venue's language.
        lines: Vec<String>,
    },
    /// The gate waits for the next guest.
    Ready,
}

/// LED, buzzer, beep or display beside a gate.
pub trait Voice: Send + Sync {
    /// Tells the guest. Never waits: what cannot be told now is not told later.
    fn tell(&self, told: &Told);
}

/// A contact by which a passage is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// An input that goes on for each guest.
    Input(u16),
    /// A counter that goes up for each guest.
    Counter(u16),
}

/// What of a device belongs to a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// The gate.
    pub gate: GateId,
    /// Which way guests go there.
    pub direction: Direction,
    /// The output that opens it.
    pub open: Option<u16>,
    /// Where its passages are seen.
    pub passage: Option<Contact>,
    /// The input that says that the gate is free (fire).
    pub free: Option<u16>,
}

/// What every driver is given.
#[derive(Clone)]
pub struct Parts {
    /// Takes media.
    pub intake: Arc<dyn Intake>,
    /// Takes signals. Full: the driver waits; nothing that was counted is lost.
    pub signals: mpsc::Sender<Signalled>,
    /// Status.
    pub hub: Arc<Hub>,
    /// The clock.
    pub clock: SharedClock,
    /// True: end, outputs off.
    pub stop: watch::Receiver<bool>,
}

/// A driver that is ready to run.
pub struct Started {
    /// One for each gate that it can open.
    pub actuators: Vec<(GateId, Arc<dyn Actuator>)>,
    /// One for each gate at which it can tell something.
    pub voices: Vec<(GateId, Arc<dyn Voice>)>,
    /// The driver; ends after `stop`, outputs off.
    pub task: Pin<Box<dyn Future<Output = ()> + Send>>,
}
