//! One frame: `[FF] 53 address lengthL lengthH control [security block] code data [MAC] check`. The length counts from 53 to the end of the check.
//!
//! Control: bits 0 and 1 are the sequence number, 0x04 a CRC (else a checksum), 0x08 a security block. Readers set 0x80 in the address of their answers.

use super::crc::{checksum, crc16};

pub(super) const START: u8 = 0x53;
const MARK: u8 = 0xFF;
pub(super) const HEADER: usize = 5;
/// Longer than any frame that the standard allows.
pub(super) const LONGEST: usize = 1440;
const ANSWER: u8 = 0x80;
const CONTROL_CRC: u8 = 0x04;
const CONTROL_SECURITY: u8 = 0x08;
pub(super) const MAC: usize = 4;

/// How frames of a line are checked. One line keeps to one: a flipped bit must not turn the better check into the worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// CRC-16.
    #[default]
    Crc,
    /// One byte: only for readers that know nothing better, for one damaged frame in 256 passes it.
    Checksum,
}

impl Check {
    pub(super) fn length(self) -> usize {
        match self {
            Self::Crc => 2,
            Self::Checksum => 1,
        }
    }
}

/// A frame to be sent, before its MAC and its check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) address: u8,
    /// An answer of a reader. The gateway sends none; the stand-in of the tests does.
    pub(super) answer: bool,
    pub(super) sequence: u8,
    pub(super) check: Check,
    /// Type and data of the security block.
    pub(super) security: Option<(u8, &'a [u8])>,
    pub(super) code: u8,
    pub(super) data: &'a [u8],
}

impl Outgoing<'_> {
    /// The bytes for the line, mark byte first. `mac` makes the MAC of the bytes before it.
    pub(super) fn encode(&self, mac: Option<&mut dyn FnMut(&[u8]) -> [u8; MAC]>) -> Vec<u8> {
        let block = self.security.map_or(0, |(_, data)| 2 + data.len());
        let length = HEADER + block + 1 + self.data.len() + if mac.is_some() { MAC } else { 0 } + self.check.length();
        let size = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
        let control =
            self.sequence & 3 | if self.check == Check::Crc { CONTROL_CRC } else { 0 } | if self.security.is_some() { CONTROL_SECURITY } else { 0 };
        let mut bytes = Vec::with_capacity(length + 1);
        bytes.push(MARK);
        bytes.extend([START, self.address | if self.answer { ANSWER } else { 0 }]);
        bytes.extend(size);
        bytes.push(control);
        if let Some((kind, data)) = self.security {
            bytes.extend([u8::try_from(block).unwrap_or(u8::MAX), kind]);
            bytes.extend(data);
        }
        bytes.push(self.code);
        bytes.extend(self.data);
        if let Some(mac) = mac {
            let made = mac(bytes.get(1..).unwrap_or_default());
            bytes.extend(made);
        }
        let covered = bytes.get(1..).unwrap_or_default();
        match self.check {
            Check::Crc => bytes.extend(crc16(covered).to_le_bytes()),
            Check::Checksum => bytes.push(checksum(covered)),
        }
        bytes
    }
}

/// A frame whose check fits.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
    check: Check,
}

/// Its address and length only: what it carries may be a card.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame(address {}, answer {}, {} bytes)", self.address(), self.is_answer(), self.bytes.len())
    }
}

/// What a security block says: its type and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Security<'a> {
    pub(super) kind: u8,
    pub(super) data: &'a [u8],
}

/// What the first bytes of a frame say of its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// More bytes are needed to tell.
    Short,
    /// No frame begins like this.
    No,
    /// A frame of so many bytes may begin here.
    Length(usize),
}

impl Frame {
    /// Looks at bytes that begin with 53.
    pub(super) fn head(bytes: &[u8], check: Check) -> Head {
        let Some(&[_, _, low, high, control]) = bytes.first_chunk::<HEADER>() else { return Head::Short };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let right_check = (control & CONTROL_CRC != 0) == (check == Check::Crc);
        let reserved = control & 0xF0;
        if right_check && reserved == 0 && (HEADER + 1 + check.length()..=LONGEST).contains(&length) { Head::Length(length) } else { Head::No }
    }

    /// The frame that these bytes are, when their check fits and the security block lies inside.
    pub(super) fn parse(bytes: &[u8], check: Check) -> Option<Self> {
        let (covered, sent) = bytes.split_at_checked(bytes.len().checked_sub(check.length())?)?;
        let fits = match (check, sent) {
            (Check::Crc, &[low, high]) => crc16(covered) == u16::from_le_bytes([low, high]),
            (Check::Checksum, &[sum]) => checksum(covered) == sum,
            _ => false,
        };
        let frame = Self { bytes: bytes.to_vec(), check };
        let whole = fits && bytes.first() == Some(&START) && Self::head(bytes, check) == Head::Length(bytes.len());
        (whole && (!frame.has_security() || frame.security().is_some()) && frame.body().is_some()).then_some(frame)
    }

    /// The reader's address.
    #[must_use]
    pub fn address(&self) -> u8 {
        self.at(1) & !ANSWER
    }

    /// It comes from a reader; else it is a command, perhaps our own echo.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.at(1) & ANSWER != 0
    }

    pub(super) fn sequence(&self) -> u8 {
        self.at(4) & 3
    }

    fn has_security(&self) -> bool {
        self.at(4) & CONTROL_SECURITY != 0
    }

    pub(super) fn security(&self) -> Option<Security<'_>> {
        if !self.has_security() {
            return None;
        }
        let length = usize::from(self.at(HEADER)).checked_sub(2)?;
        let data = self.before_check().get(HEADER + 2..HEADER + 2 + length)?;
        Some(Security { kind: self.at(HEADER + 1), data })
    }

    /// Code and data, without security block and check; a MAC is still at its end.
    pub(super) fn body(&self) -> Option<(u8, &[u8])> {
        let from = HEADER + if self.has_security() { usize::from(self.at(HEADER)) } else { 0 };
        let (code, data) = self.before_check().get(from..)?.split_first()?;
        Some((*code, data))
    }

    /// Everything before the check: what a MAC at its end covers, and the MAC.
    pub(super) fn before_check(&self) -> &[u8] {
        self.bytes.get(..self.bytes.len().saturating_sub(self.check.length())).unwrap_or_default()
    }

    fn at(&self, index: usize) -> u8 {
        self.bytes.get(index).copied().unwrap_or(0)
    }
}
