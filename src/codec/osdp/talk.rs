//! What goes into a [`super::Session`] and what comes out of it.

use super::cards::CardData;
use super::command::Command;
use super::frame::Check;
use super::reply::{Identity, Keys, Nak};
use super::secure::Key;

/// How a reader is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// In the clear.
    Clear,
    /// Secured with the reader's own key.
    Key(Key),
    /// Secured with the key that everybody knows, to give the reader its own and for nothing else: it is not polled.
    Install,
}

/// What a session needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The reader's address, 0 to [`super::LAST_ADDRESS`].
    pub address: u8,
    /// How frames are checked.
    pub check: Check,
    /// How it is spoken with.
    pub access: Access,
    /// Its inputs matter.
    pub inputs: bool,
    /// Outputs that are switched off whenever the reader is found.
    pub outputs: Vec<u8>,
}

/// A command to be sent once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Comes back with its outcome.
    pub tag: u64,
    /// What.
    pub command: Command,
    /// From this time on it is not sent, and not sent again.
    pub expires_ms: u64,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reader did it.
    Done,
    /// The reader did not.
    Refused(Nak),
    /// It expired before it was sent.
    Expired,
    /// It was not sent.
    NotSent,
    /// It was sent, and the answer is not known.
    Unknown,
}

/// What was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The reader is there.
    Online {
        /// Who it is, where it said so.
        identity: Option<Identity>,
    },
    /// The reader is gone.
    Offline,
    /// The reader is there and cannot be used.
    Trouble(Trouble),
    /// A card.
    Card(CardData),
    /// Keys.
    Keys(Keys),
    /// Tamper and power.
    Local {
        /// Somebody is at its housing.
        tamper: bool,
        /// Its power fails.
        power: bool,
    },
    /// Levels of the inputs.
    Inputs(Vec<bool>),
    /// Levels of the outputs.
    Outputs(Vec<bool>),
    /// An order has ended.
    Ended {
        /// Which.
        tag: u64,
        /// How.
        outcome: Outcome,
    },
}

/// Why a reader cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It does not have the key that the config names, or does not believe that we have it.
    WrongKey,
    /// It knows no secured sessions, or not with a key of its own.
    NoSecurity,
    /// It wants a secured session, and the config names no key.
    NeedsKey,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this and wait for the answer.
    Send(Vec<u8>),
    /// Nothing before this time.
    Wait(u64),
}
