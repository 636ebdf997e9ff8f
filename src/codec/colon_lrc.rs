//! The `:` format of 125 kHz readers: a colon, ten hex digits of the EM4100 id, two of LRC. `:170009593F48` is the card that an IronLogic reader prints as
//! `Em-Marine[1700] 009,22847`.
//!
//! The LRC is the two's complement of the five bytes' sum: all six add up to 0 modulo 256 (public client code; the sum was computed). Nothing is needed
//! after the twelfth digit; a CR or LF there does no harm.
//!
//! Promise on a noisy line: a colon occurs in no frame, so each undamaged one is found. Random digits behind a colon pass the LRC once in 256. A colon with
//! no hex digit behind it is noise, not a damaged frame.

use super::uid::{UidOrder, bytes, canonical};
use super::{Bad, Decoded, Decoder, GIVE_UP_MS, Presented};
use crate::domain::{Medium, MediumKind, Personal};

const BEGIN: u8 = b':';
/// Five bytes of id and one of LRC.
const DIGITS: usize = 12;

/// What can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColonLrcOptions {
    /// Order of the id's bytes.
    pub uid_order: UidOrder,
}

/// The decoder.
#[derive(Debug)]
pub struct ColonLrc {
    options: ColonLrcOptions,
    /// Digits behind the colon; nothing: no frame is begun.
    digits: Option<Vec<u8>>,
}

impl ColonLrc {
    /// Ready for the first byte.
    #[must_use]
    pub fn new(options: ColonLrcOptions) -> Self {
        Self { options, digits: None }
    }

    fn read(&self, digits: &[u8]) -> Result<Decoded, Bad> {
        let all = bytes(digits).ok_or(Bad::Malformed)?;
        if all.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) != 0 {
            return Err(Bad::Checksum);
        }
        let (id, _) = digits.split_at_checked(DIGITS - 2).ok_or(Bad::Malformed)?;
        let value = canonical(id, self.options.uid_order).ok_or(Bad::Malformed)?;
        let medium = Medium { kind: MediumKind::CardUid, value: Personal::new(value), raw: None, format: "colon-lrc".to_owned() };
        Ok(Decoded::Medium(Presented { medium, reader: None }))
    }

    fn take(&mut self, byte: u8, out: &mut Vec<Decoded>) {
        if byte == BEGIN {
            if self.digits.replace(Vec::with_capacity(DIGITS)).is_some_and(|digits| !digits.is_empty()) {
                out.push(Decoded::Bad(Bad::Cut));
            }
            return;
        }
        let Some(digits) = &mut self.digits else { return };
        if byte.is_ascii_hexdigit() {
            digits.push(byte);
            if digits.len() == DIGITS {
                let digits = self.digits.take().unwrap_or_default();
                out.push(self.read(&digits).unwrap_or_else(Decoded::Bad));
            }
        } else if self.digits.take().is_some_and(|digits| !digits.is_empty()) {
            out.push(Decoded::Bad(Bad::Malformed));
        }
    }
}

impl Decoder for ColonLrc {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Decoded>) {
        for &byte in bytes {
            self.take(byte, out);
        }
    }

    fn idle_after_ms(&self) -> Option<u64> {
        self.digits.is_some().then_some(GIVE_UP_MS)
    }

    fn idle(&mut self, out: &mut Vec<Decoded>) {
        if self.digits.take().is_some_and(|digits| !digits.is_empty()) {
            out.push(Decoded::Bad(Bad::Cut));
        }
    }

    fn reset(&mut self) {
        self.digits = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Expected;

    fn decode(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        ColonLrc::new(ColonLrcOptions::default()).push(text.as_bytes(), &mut out);
        out.iter()
            .map(|one| match Expected::of(one) {
                Expected::Medium { value, .. } => value,
                Expected::Removal { .. } => "removed".to_owned(),
                Expected::Bad(bad) => bad.code().to_owned(),
            })
            .collect()
    }

    #[test]
    fn the_published_frame_is_read_with_and_without_a_line_end() {
        for text in [":170009593F48", ":170009593f48\r\n", "1F::170009593F48\n"] {
            assert_eq!(decode(text), ["170009593F"], "{text:?}");
        }
        assert_eq!(decode(":170009593F48:170009593F48"), ["170009593F"; 2]);
    }

    #[test]
    fn damage_is_named_and_the_next_frame_is_read() {
        assert_eq!(decode(":170009593F49:170009593F48"), ["checksum", "170009593F"]);
        assert_eq!(decode(":17000959:170009593F48"), ["cut", "170009593F"]);
        assert_eq!(decode(":1700095-3F48\r\n:170009593F48"), ["malformed", "170009593F"]);
        assert_eq!(decode(": : :x:"), [""; 0]);
    }
}
