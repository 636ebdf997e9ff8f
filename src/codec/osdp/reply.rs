//! What a reader answers.

use super::cards::CardData;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done, or nothing new.
    Ack,
    /// Not done; the code says why.
    Nak(Nak),
    /// Who it is.
    Identity(Identity),
    /// What it can do.
    Capabilities(Vec<Capability>),
    /// Tamper and power of the reader itself.
    Local {
        /// Somebody is at its housing.
        tamper: bool,
        /// Its power fails.
        power: bool,
    },
    /// Inputs, in order: on or off.
    Inputs(Vec<bool>),
    /// Outputs, in order: on or off.
    Outputs(Vec<bool>),
    /// A card.
    Card(CardData),
    /// Keys pressed.
    Keys(Keys),
    /// Busy: ask again.
    Busy,
    /// The reader's half of a secured session.
    Challenged {
        /// Its random number.
        random: [u8; 8],
        /// Its proof.
        cryptogram: [u8; 16],
    },
    /// The first MAC of a secured session.
    FirstMac([u8; 16]),
    /// Something that means nothing to us.
    Other(u8),
}

/// Keys pressed: ASCII digits, 0x0D for `#`, 0x7F for `*`. Does not print: they may be a PIN.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(pub Vec<u8>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

/// Why a reader did not do a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nak(pub u8);

impl Nak {
    /// The sequence number did not follow.
    pub(super) const SEQUENCE: Self = Self(4);
    /// It does not know this security block: it has no secured sessions, or not this one.
    pub(super) const NO_SECURITY: Self = Self(5);
    /// It wants a secured session.
    pub(super) const NEEDS_SECURITY: Self = Self(6);

    /// In words, for a log.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self.0 {
            1 => "the frame arrived damaged",
            2 => "wrong length for this command",
            3 => "it does not know this command",
            4 => "unexpected sequence number",
            5 => "it does not know this security block",
            6 => "it wants a secured session",
            7 | 8 => "no such biometric data",
            9 => "it cannot carry this out",
            _ => "it gave no reason that we know",
        }
    }
}

/// Who a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The vendor's IEEE number.
    pub vendor: [u8; 3],
    /// The vendor's model.
    pub model: u8,
    /// Version of the model.
    pub version: u8,
    /// Serial number.
    pub serial: u32,
    /// Firmware: major, minor, build.
    pub firmware: [u8; 3],
}

/// One thing that a reader can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// What, as the standard numbers it.
    pub function: u8,
    /// How well; 0: not at all.
    pub level: u8,
    /// How many.
    pub items: u8,
}

impl Capability {
    /// Outputs.
    pub const OUTPUT: u8 = 2;
    /// LEDs.
    pub const LED: u8 = 4;
    /// A buzzer.
    pub const BUZZER: u8 = 5;
    /// A display.
    pub const TEXT: u8 = 6;
}

impl Reply {
    /// Reads code and data. `None`: the data is not as long as the code wants.
    pub(super) fn parse(code: u8, data: &[u8]) -> Option<Self> {
        Some(match code {
            0x40 => Self::Ack,
            0x41 => Self::Nak(Nak(data.first().copied().unwrap_or(0))),
            0x45 => Self::Identity(identity(data)?),
            0x46 => {
                let (each, rest) = data.as_chunks::<3>();
                if !rest.is_empty() {
                    return None;
                }
                Self::Capabilities(each.iter().map(|&[function, level, items]| Capability { function, level, items }).collect())
            }
            0x48 => match data {
                [tamper, power, ..] => Self::Local { tamper: *tamper != 0, power: *power != 0 },
                _ => return None,
            },
            0x49 => Self::Inputs(data.iter().map(|level| *level != 0).collect()),
            0x4A => Self::Outputs(data.iter().map(|level| *level != 0).collect()),
            0x50 => Self::Card(CardData::raw(data)?),
            0x51 => Self::Card(CardData::formatted(data)?),
            0x53 => match data {
                [_, count, keys @ ..] if keys.len() == usize::from(*count) => Self::Keys(Keys(keys.to_vec())),
                _ => return None,
            },
            0x76 => {
                let (_, rest) = data.split_first_chunk::<8>()?;
                let (random, rest) = rest.split_first_chunk::<8>()?;
                Self::Challenged { random: *random, cryptogram: rest.try_into().ok()? }
            }
            0x78 => Self::FirstMac(data.try_into().ok()?),
            0x79 => Self::Busy,
            other => Self::Other(other),
        })
    }
}

fn identity(data: &[u8]) -> Option<Identity> {
    let &[v0, v1, v2, model, version, s0, s1, s2, s3, f0, f1, f2] = data.first_chunk::<12>()?;
    Some(Identity { vendor: [v0, v1, v2], model, version, serial: u32::from_le_bytes([s0, s1, s2, s3]), firmware: [f0, f1, f2] })
}
