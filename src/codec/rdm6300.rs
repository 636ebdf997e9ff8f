//! RDM6300, Seeed 125 kHz and clones: `STX`, ten hex digits, two hex digits of checksum, `ETX`; 14 bytes, 9600 8N1, no CR or LF.
//!
//! The checksum is the XOR of the five bytes (Seeed 113020002 data sheet, page 3: id 62E3086CED, checksum 08). The ten digits are the whole 40-bit EM4100
//! id: version or customer byte first, so that it equals what other readers give for the same card. The reader repeats the frame while the card is held.
//!
//! Promise on a noisy line: each undamaged frame is found, for STX occurs in none; random bytes of the right shape pass the checksum once in 256.

use super::uid::{UidOrder, bytes, canonical};
use super::{Bad, Decoded, Decoder, End, Framing, GIVE_UP_MS, Presented};
use crate::codec::lines::{Lines, Step};
use crate::domain::{Medium, MediumKind, Personal};

const STX: u8 = 0x02;
const DIGITS: usize = 12;

/// What can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rdm6300Options {
    /// Order of the id's bytes.
    pub uid_order: UidOrder,
}

/// The decoder.
#[derive(Debug)]
pub struct Rdm6300 {
    options: Rdm6300Options,
    lines: Lines,
}

impl Rdm6300 {
    /// Ready for the first byte.
    #[must_use]
    pub fn new(options: Rdm6300Options) -> Self {
        Self { options, lines: Lines::new(Framing { header: Some(STX), end: End::Etx, check: false, max: DIGITS }) }
    }

    fn read(&self, content: &[u8]) -> Result<Decoded, Bad> {
        let (id, _) = content.split_at_checked(DIGITS - 2).filter(|_| content.len() == DIGITS).ok_or(Bad::Malformed)?;
        let all = bytes(content).ok_or(Bad::Malformed)?;
        if all.iter().fold(0, |sum, byte| sum ^ byte) != 0 {
            return Err(Bad::Checksum);
        }
        let value = canonical(id, self.options.uid_order).ok_or(Bad::Malformed)?;
        let medium = Medium { kind: MediumKind::CardUid, value: Personal::new(value), raw: None, format: "rdm6300".to_owned() };
        Ok(Decoded::Medium(Presented { medium, reader: None }))
    }
}

impl Decoder for Rdm6300 {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Decoded>) {
        for &byte in bytes {
            match self.lines.push(byte) {
                Step::More => {}
                Step::Bad(bad) => out.push(Decoded::Bad(bad)),
                Step::Frame => {
                    out.push(self.read(self.lines.content()).unwrap_or_else(Decoded::Bad));
                    self.lines.clear();
                }
            }
        }
    }

    fn idle_after_ms(&self) -> Option<u64> {
        self.lines.begun().then_some(GIVE_UP_MS)
    }

    fn idle(&mut self, out: &mut Vec<Decoded>) {
        if self.lines.begun() {
            out.push(Decoded::Bad(Bad::Cut));
            self.lines.clear();
        }
    }

    fn reset(&mut self) {
        self.lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Vec<Decoded> {
        let mut out = Vec::new();
        Rdm6300::new(Rdm6300Options::default()).push(bytes, &mut out);
        out
    }

    #[test]
    fn a_wrong_checksum_is_no_pass() {
        assert_eq!(decode(b"\x0262E3086CED09\x03"), [Decoded::Bad(Bad::Checksum)]);
        assert_eq!(decode(b"\x0262E3086CEDG8\x03"), [Decoded::Bad(Bad::Malformed)]);
        assert_eq!(decode(b"\x0262E3086CED\x03"), [Decoded::Bad(Bad::Malformed)]);
    }

    #[test]
    fn a_frame_that_begins_inside_another_is_found() {
        let out = decode(b"\x0262E3\x0262E3086CED08\x03");
        assert!(matches!(out.as_slice(), [Decoded::Bad(Bad::Cut), Decoded::Medium(_)]), "{out:?}");
    }

    #[test]
    fn a_frame_without_its_end_is_given_up() {
        let out = decode(b"\x0262E3086CED08xxxxxxxxxxxx\x03\x0262E3086CED08\x03");
        assert!(matches!(out.as_slice(), [Decoded::Bad(Bad::TooLong), Decoded::Medium(_)]), "{out:?}");
    }
}
