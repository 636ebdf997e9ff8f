//! Codecs: bytes <-> frames. Pure: no I/O, no clock. Any chunking of the same bytes gives the same frames.
//!
//! A read-only protocol is one [`Decoder`] in one file here; which reader speaks which, and with what options, is data: a [`Profile`] in
//! `config/readers/`. A decoder never writes: protocols that the gateway has to ask ([`osdp`]) stand beside this trait, and have a driver in `device`.
//!
//! Never: a panic or unbounded growth on any bytes; a value that was not wholly in one undamaged frame.

mod colon_lrc;
pub mod gate_board;
pub mod guess;
mod ironlogic;
mod lines;
pub mod modbus;
mod module_map;
#[cfg(test)]
mod noise_tests;
pub mod osdp;
mod profile;
mod rdm6300;
mod repeats;
mod scanner;
#[cfg(test)]
mod tests;
mod uid;
mod uid_text;

pub use colon_lrc::{ColonLrc, ColonLrcOptions};
pub use ironlogic::{IronLogic, IronLogicOptions};
pub use lines::{End, Framing};
pub use module_map::{Counter, Input, MapError, ModuleMap, Output, Setting};
pub use profile::{Answers, Certainty, Codec, Expected, Flow, Line, Parity, Profile, ProfileError, Sample, StopBits, Title, Voicing};
pub use rdm6300::{Rdm6300, Rdm6300Options};
pub use repeats::Repeats;
pub use scanner::{Charset, Content, Scanner, ScannerOptions};
pub use uid::UidOrder;
pub use uid_text::{UidFormat, UidText};

use crate::domain::Medium;

/// Turns the bytes of one port into what they say.
pub trait Decoder: Send {
    /// Takes the next bytes and appends what they complete. However the same bytes are cut into calls, the same comes out.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Decoded>);

    /// How long the line must be silent, milliseconds, before [`Decoder::idle`] is called. `None` while no frame is begun.
    fn idle_after_ms(&self) -> Option<u64>;

    /// The line was silent for that long: a begun frame ends here, or is given up.
    fn idle(&mut self, out: &mut Vec<Decoded>);

    /// Forgets a begun frame: the port was reopened.
    fn reset(&mut self);
}

/// What a frame said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A medium was presented.
    Medium(Presented),
    /// The medium left the field.
    Removal {
        /// Which reader of a shared line says so.
        reader: Option<u32>,
    },
    /// Bytes that were no frame.
    Bad(Bad),
}

/// A medium, and where on a shared line it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// What was presented.
    pub medium: Medium,
    /// The reader's own number, where several share a line.
    pub reader: Option<u32>,
}

/// Why bytes were no frame. Carries none of them: they may hold a card number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bad {
    /// Longer than the format allows.
    TooLong,
    /// Shorter than the profile allows.
    TooShort,
    /// Not the format's shape.
    Malformed,
    /// The checksum, or the part that repeats another, does not agree.
    Checksum,
    /// The format's shape, but a kind of medium that this codec does not know.
    UnknownMedium,
    /// Bytes that are no text in the profile's character set.
    Charset,
    /// A UID that the card or phone draws anew each time: it identifies nobody.
    RandomUid,
    /// Broken off: another frame began, or the line went silent.
    Cut,
}

impl Bad {
    /// A stable word for logs and status.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::TooShort => "too_short",
            Self::Malformed => "malformed",
            Self::Checksum => "checksum",
            Self::UnknownMedium => "unknown_medium",
            Self::Charset => "charset",
            Self::RandomUid => "random_uid",
            Self::Cut => "cut",
        }
    }
}

/// After this silence a begun frame is given up: devices send a frame in one go, and a line that was cut must not be glued to the next.
const GIVE_UP_MS: u64 = 1_000;
