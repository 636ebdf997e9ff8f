//! Reader profiles: which codec a reader speaks, with what options, on what line, and sample telegrams with what they decode to.
//!
//! A profile is a TOML file in `config/readers/`. Those are built in; a path loads another. A profile whose own samples do not decode to what it says
//! is refused, built in or not.

mod builtin;
mod raw;
mod sample;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{
    ColonLrc, ColonLrcOptions, Content, Decoder, IronLogic, IronLogicOptions, Rdm6300, Rdm6300Options, Repeats, Scanner, ScannerOptions, UidOrder,
};

pub(super) use raw::RawLine;
pub use sample::{Expected, Sample};

/// How to talk to one kind of reader.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The name that the config uses: `ironlogic-z2`.
    pub name: String,
    /// For people.
    pub title: Title,
    /// Makes and models that it fits.
    pub models: Vec<String>,
    /// The line's settings. A USB CDC device ignores them.
    pub line: Line,
    /// The protocol and its options.
    pub codec: Codec,
    /// The same medium again within this time, milliseconds, is still the same presentation. 0: each telegram is one.
    pub repeats_within_ms: u64,
    /// What the reader wants to hear, where it waits for an answer.
    pub answers: Option<Answers>,
    /// What it can be told to do, where it can.
    pub voice: Option<Voicing>,
    /// At a busy gate a telegram comes at least this often, seconds: a hint for telling silence from quiet.
    pub normally_every_s: Option<u64>,
    /// What it says, byte by byte.
    pub samples: Vec<Sample>,
}

/// A title in both languages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    /// Русский.
    pub ru: String,
    /// English.
    pub en: String,
}

/// A serial line's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bits a second.
    pub baud: u32,
    /// 5 to 8.
    pub data_bits: u8,
    /// Parity.
    pub parity: Parity,
    /// Stop bits.
    pub stop_bits: StopBits,
    /// Flow control.
    pub flow: Flow,
}

impl Line {
    /// What most readers are delivered with.
    pub const COMMON: Self = Self { baud: 9600, data_bits: 8, parity: Parity::None, stop_bits: StopBits::One, flow: Flow::None };
}

/// As installers write it: `9600 8N1`.
impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        let stop = match self.stop_bits {
            StopBits::One => 1,
            StopBits::Two => 2,
        };
        write!(f, "{} {}{parity}{stop}", self.baud, self.data_bits)
    }
}

/// Parity of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parity {
    /// None.
    #[default]
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// Stop bits of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBits {
    /// One.
    One,
    /// Two.
    Two,
}

/// Flow control of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// None.
    #[default]
    None,
    /// XON and XOFF.
    Software,
    /// RTS and CTS.
    Hardware,
}

/// The protocol and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Codec {
    /// IronLogic text.
    IronLogic(IronLogicOptions),
    /// Line mode.
    Scanner(ScannerOptions),
    /// STX, hex, checksum, ETX.
    Rdm6300(Rdm6300Options),
    /// Colon, hex, LRC.
    ColonLrc(ColonLrcOptions),
}

/// What a reader that waits for an answer wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The pass is on disk.
    pub ack: Vec<u8>,
    /// It is not: send it again.
    pub nak: Vec<u8>,
}

/// What a reader is told in its own words when a door tells the guest something. Nothing: it cannot say that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voicing {
    /// Go: a good beep.
    pub go: Option<Vec<u8>>,
    /// No: a bad beep.
    pub no: Option<Vec<u8>>,
    /// Lime is being asked: stop reading.
    pub wait: Option<Vec<u8>>,
    /// The gate waits for the next guest: read.
    pub ready: Option<Vec<u8>>,
    /// How sure it is that the makes named in the profile understand this.
    pub certainty: Certainty,
}

/// How sure something is that a profile says of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It stands in the vendor's papers.
    Documented,
    /// From hearsay: try it on the device before relying on it.
    Unverified,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("cannot read the reader profile {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no profile.
    #[error("{file} is no reader profile: {message}")]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong, where, and what is allowed.
        message: String,
    },
    /// A sample does not decode to what the profile says.
    #[error("{file}: sample {number} should give {expected}, but gives {found}")]
    Sample {
        /// The file.
        file: String,
        /// Which sample, from 1.
        number: usize,
        /// What the profile says.
        expected: String,
        /// What came out.
        found: String,
    },
}

/// No profile is that long; whatever is, is something else.
const MAX_FILE: u64 = 256 * 1024;

impl Profile {
    /// The built-in profile of that name.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let (name, text) = builtin::ALL.iter().find(|(known, _)| *known == name)?;
        Self::parse(name, text).ok()
    }

    /// Names of the built-in profiles, sorted.
    #[must_use]
    pub fn builtin_names() -> Vec<&'static str> {
        builtin::ALL.iter().map(|(name, _)| *name).collect()
    }

    /// Loads a profile from a file.
    ///
    /// # Errors
    /// When the file cannot be read, is no profile, or its samples do not decode to what it says.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ProfileError> {
        let path = path.as_ref();
        let unreadable = |source| ProfileError::Unreadable { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_FILE {
            return Err(ProfileError::Invalid { file: path.display().to_string(), message: format!("{length} bytes long, at most {MAX_FILE}") });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads the text of a profile; `file` names it in errors.
    ///
    /// # Errors
    /// When it is no profile, or its samples do not decode to what it says.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        let invalid = |message: String| ProfileError::Invalid { file: file.to_owned(), message };
        let raw: raw::RawProfile = crate::files::toml(text).map_err(|error| invalid(error.trim_end().to_owned()))?;
        let profile = raw.check().map_err(invalid)?;
        sample::check_all(&profile, file)?;
        Ok(profile)
    }

    /// A decoder for one port.
    #[must_use]
    pub fn decoder(&self) -> Box<dyn Decoder> {
        match &self.codec {
            Codec::IronLogic(options) => Box::new(IronLogic::new(*options)),
            Codec::Scanner(options) => Box::new(Scanner::new(options.clone())),
            Codec::Rdm6300(options) => Box::new(Rdm6300::new(*options)),
            Codec::ColonLrc(options) => Box::new(ColonLrc::new(*options)),
        }
    }

    /// The same profile with UIDs in another order of bytes. `None`: it reads no UIDs.
    #[must_use]
    pub fn with_uid_order(&self, order: UidOrder) -> Option<Self> {
        let mut other = self.clone();
        match &mut other.codec {
            Codec::IronLogic(options) => options.uid_order = order,
            Codec::Rdm6300(options) => options.uid_order = order,
            Codec::Scanner(options) if options.content == Content::Uid => options.uid.order = order,
            Codec::ColonLrc(options) => options.uid_order = order,
            Codec::Scanner(_) => return None,
        }
        Some(other)
    }

    /// Whether all it gives of a card is 24 bits or fewer, as Wiegand 26 does: different cards of one venue are likely to share them.
    #[must_use]
    pub fn gives_short_uids(&self) -> bool {
        matches!(&self.codec, Codec::Scanner(options) if options.content == Content::Uid && options.uid.is_short())
    }

    /// What tells repeats on one port.
    #[must_use]
    pub fn repeats(&self) -> Repeats {
        Repeats::new(self.repeats_within_ms)
    }
}
