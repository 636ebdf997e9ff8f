//! What the driver asks of a device's language. Pure: time comes in, nothing goes out but texts.

use uuid::Uuid;

use crate::domain::Direction;

/// A subscription that a language needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ear {
    /// The filter.
    pub filter: String,
    /// Each message counts, also those sent while we were away. Else only what is true now does.
    pub every: bool,
}

/// An order to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// On for so many milliseconds.
    On {
        /// For so long, milliseconds.
        pulse_ms: u32,
    },
    /// Off.
    Off,
}

/// An order, and the time that is left for it.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Names it.
    pub id: Uuid,
    /// The output.
    pub output: u16,
    /// Which way.
    pub direction: Direction,
    /// What.
    pub act: Act,
    /// For so long it is worth something, milliseconds.
    pub left_ms: u64,
    /// When that is over, by the box's wall clock, milliseconds since 1970 UTC.
    pub expires_wall_ms: i64,
}

/// A message to publish, and what the device says when it has done it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: String,
    /// By what the answer is known.
    pub answer: Answer,
}

/// By what the answer to an order is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The output says that it is so.
    Output {
        /// Which.
        output: u16,
        /// On or off.
        on: bool,
    },
    /// A message with this id.
    Id(String),
}

/// What a message of the device says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An output is on or off.
    Output {
        /// Which.
        output: u16,
        /// On.
        on: bool,
    },
    /// An output cannot be written.
    OutputFailed {
        /// Which.
        output: u16,
    },
    /// The answer to the order with this id; an error is a stable code.
    Answered {
        /// The order's.
        id: String,
        /// Done, or why not.
        result: Result<(), String>,
    },
    /// A contact is closed or open.
    Input {
        /// Which.
        input: u16,
        /// Closed.
        on: bool,
        /// The device tells changes only: this is one.
        changed: bool,
    },
    /// A contact was closed; the device tells the event and not the state.
    Edge {
        /// Which.
        input: u16,
    },
    /// A counter stands at this.
    Counter {
        /// Which.
        counter: u16,
        /// Its value.
        value: u64,
    },
    /// A message for the door of the gates that go this way, and its id.
    Signal {
        /// Which way; all gates of the device where it does not say.
        direction: Option<Direction>,
        /// What.
        signal: crate::device::Signal,
        /// The message's id.
        id: String,
    },
    /// The device is connected to the broker, or is not.
    Online(bool),
    /// A part of the device has trouble, or that has ended.
    Trouble {
        /// Which part, as the device names it.
        part: String,
        /// A stable code.
        code: Option<String>,
    },
    /// The message is not understood. Never with what it said.
    Bad(&'static str),
}

/// A device's language.
pub trait Speech: Send {
    /// What to subscribe to.
    fn ears(&self) -> Vec<Ear>;

    /// The message for an order; nothing where the device has no such output.
    fn say(&mut self, wish: &Wish) -> Option<Said>;

    /// What a message says. `kept`: the broker has it from before.
    fn hear(&mut self, topic: &str, payload: &[u8], kept: bool) -> Vec<Heard>;

    /// Whether the device ends a pulse by itself, so that the driver sends its own end only for safety, later.
    fn ends_pulses(&self) -> bool;
}
