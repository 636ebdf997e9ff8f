//! OSDP v2 (SIA, IEC 60839-11-5) as the controller: frames, commands, replies, card data, the secure channel, and one reader's session.
//!
//! Pure: bytes, time and chance are passed in. [`Deframer`] turns bytes into [`Frame`]s; a [`Session`] says what to send to one reader next and what its
//! answers mean. Half duplex: nothing is sent while an answer is awaited. A command that stays unanswered is sent again as it was, with the number it had,
//! so that the reader knows it for the same; number 0 begins anew.
//!
//! Never: a frame taken whose check does not fit; a secured session left for clear text; a command carried out after it expired; a key in a message.

mod cards;
mod command;
mod crc;
mod deframer;
mod frame;
mod handshake;
mod keypad;
mod reply;
mod secure;
mod session;
#[cfg(test)]
mod tests;
mod wiegand;

pub use cards::{CardData, CardOptions, Layout, Refusal, Text};
pub use command::{Buzz, Color, Command, Led, Output};
pub use deframer::Deframer;
pub use frame::{Check, Frame};
pub use keypad::Keypad;
pub use reply::{Capability, Identity, Keys, Nak, Reply};
pub use secure::Key;
pub use session::{Access, Event, Next, Order, Outcome, Session, Settings, Trouble};

/// The highest address of a reader; 127 is everybody's.
pub const LAST_ADDRESS: u8 = 0x7E;
/// A reader answers within this time, milliseconds.
pub const ANSWER_MS: u64 = 200;
/// A reader that was not heard for this long is gone, milliseconds.
pub const OFFLINE_MS: u64 = 8_000;
