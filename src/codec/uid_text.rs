//! A UID as readers with a text interface print it: hex digits, a decimal number, or the number pair of Wiegand 26. Pure.
//!
//! One card, three readers: `BCD14264` as it comes from the card, `6442D1BC` from a reader that turns the bytes round, `1682100668` from one that prints that
//! as a number. With the right `uid_order` all three are the medium `BCD14264`. The pair `066,53692` is not: it keeps 24 bits of the UID (42 D1 BC), which
//! many cards can share, and nobody can make the UID from it.

use serde::Deserialize;

use super::Bad;
use super::uid::{UidOrder, canonical, upper};

/// The longest UID, bytes: a MIFARE UID has 4, 7 or 10.
pub(super) const MOST_BYTES: usize = 10;
/// What Wiegand 26 keeps of a UID, bytes.
const W26_BYTES: usize = 3;

/// How a UID is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UidFormat {
    /// Hex digits, two for each byte.
    #[default]
    Hex,
    /// One decimal number.
    Dec,
    /// Series and number of Wiegand 26: `066,53692`.
    #[serde(rename = "w26pair")]
    W26Pair,
}

/// How to read a printed UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UidText {
    /// How it is printed.
    pub format: UidFormat,
    /// How many bytes it has; nothing: as many as are printed. A decimal number needs it, for leading zeros are not printed.
    pub bytes: Option<usize>,
    /// Stands between the bytes of a hex UID, or between the numbers of a pair.
    pub delimiter: Option<char>,
    /// In which order its bytes are kept.
    pub order: UidOrder,
    /// UIDs of four bytes that begin with 08 are kept: readers of 125 kHz cards print such ids. Else they are refused, see [`is_random`].
    pub keep_random: bool,
}

impl Default for UidText {
    fn default() -> Self {
        Self { format: UidFormat::Hex, bytes: None, delimiter: None, order: UidOrder::AsIs, keep_random: false }
    }
}

impl UidText {
    /// The UID that a payload spells, upper-case hex in the order to be kept.
    pub(super) fn read(&self, payload: &str) -> Result<String, Bad> {
        let printed = match self.format {
            UidFormat::Hex => self.hex(payload)?,
            UidFormat::Dec => decimal(payload, self.bytes.unwrap_or(MOST_BYTES))?,
            UidFormat::W26Pair => self.pair(payload)?,
        };
        let value = canonical(printed.as_bytes(), self.order).ok_or(Bad::Malformed)?;
        let long = value.len() / 2 > MOST_BYTES;
        if long || self.bytes.is_some_and(|bytes| value.len() != bytes * 2) {
            return Err(Bad::Malformed);
        }
        if !self.keep_random && is_random(&value) {
            return Err(Bad::RandomUid);
        }
        Ok(value)
    }

    /// Whether this keeps so little of a UID that different cards of one venue are likely to share it.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.format == UidFormat::W26Pair || self.bytes.is_some_and(|bytes| bytes <= W26_BYTES)
    }

    /// The source format's name behind the codec's.
    pub(super) fn word(&self) -> &'static str {
        match self.format {
            UidFormat::Hex => "hex",
            UidFormat::Dec => "dec",
            UidFormat::W26Pair => "w26pair",
        }
    }

    fn hex(&self, payload: &str) -> Result<String, Bad> {
        let Some(delimiter) = self.delimiter else { return Ok(payload.to_owned()) };
        let parts: Vec<&str> = payload.split(delimiter).collect();
        if parts.iter().all(|part| part.len() == 2) { Ok(parts.concat()) } else { Err(Bad::Malformed) }
    }

    fn pair(&self, payload: &str) -> Result<String, Bad> {
        let (series, number) = payload.split_once(self.delimiter.unwrap_or(',')).ok_or(Bad::Malformed)?;
        let series = digits(series, 3).and_then(|value| u8::try_from(value).ok()).ok_or(Bad::Malformed)?;
        let number = digits(number, 5).and_then(|value| u16::try_from(value).ok()).ok_or(Bad::Malformed)?;
        let [high, low] = number.to_be_bytes();
        Ok(upper(&[series, high, low]))
    }
}

/// A UID of four bytes that begins with 08 is drawn anew each time the card or phone is presented (ISO/IEC 14443-3): it identifies nobody.
pub(super) fn is_random(value: &str) -> bool {
    value.len() == 8 && value.starts_with("08")
}

fn decimal(payload: &str, bytes: usize) -> Result<String, Bad> {
    // 2^80 has 25 digits; some readers pad.
    let number = digits(payload, 28).ok_or(Bad::Malformed)?;
    let all = number.to_be_bytes();
    let (above, kept) = all.split_at_checked(all.len().saturating_sub(bytes)).ok_or(Bad::Malformed)?;
    if above.iter().any(|byte| *byte != 0) {
        return Err(Bad::Malformed);
    }
    Ok(upper(kept))
}

fn digits(text: &str, most: usize) -> Option<u128> {
    let good = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(format: UidFormat, bytes: Option<usize>, order: UidOrder) -> UidText {
        UidText { format, bytes, order, ..UidText::default() }
    }

    #[test]
    fn one_card_at_three_kinds_of_reader_is_one_medium() {
        let same = Ok("BCD14264".to_owned());
        assert_eq!(text(UidFormat::Hex, None, UidOrder::AsIs).read("bcd14264"), same);
        assert_eq!(text(UidFormat::Hex, None, UidOrder::Reversed).read("6442D1BC"), same);
        assert_eq!(text(UidFormat::Dec, Some(4), UidOrder::Reversed).read("1682100668"), same);
        assert_eq!(text(UidFormat::Dec, Some(4), UidOrder::AsIs).read("3167830628"), same);
    }

    #[test]
    fn a_pair_is_three_bytes_and_says_that_it_is_short() {
        let pair = text(UidFormat::W26Pair, None, UidOrder::AsIs);
        assert_eq!(pair.read("066,53692"), Ok("42D1BC".to_owned()));
        assert_eq!(pair.read("009,22847"), Ok("09593F".to_owned()));
        assert_eq!(pair.read("9,42"), Ok("09002A".to_owned()), "padding varies");
        assert!(pair.is_short() && text(UidFormat::Dec, Some(3), UidOrder::AsIs).is_short());
        assert!(!text(UidFormat::Dec, Some(4), UidOrder::AsIs).is_short());
        for bad in ["", "066", "256,1", "1,65536", "0066,53692", "-1,2", "1,2,3", "1, 2"] {
            assert_eq!(pair.read(bad), Err(Bad::Malformed), "{bad:?}");
        }
        assert_eq!(UidText { delimiter: Some(' '), ..pair }.read("066 53692"), Ok("42D1BC".to_owned()));
    }

    #[test]
    fn delimiters_and_lengths_have_to_be_as_the_profile_says() {
        let hex = UidText { delimiter: Some(':'), ..text(UidFormat::Hex, Some(7), UidOrder::AsIs) };
        assert_eq!(hex.read("04:A1:B2:C3:D4:E5:F6"), Ok("04A1B2C3D4E5F6".to_owned()));
        for bad in ["04A1B2C3D4E5F6", "04:A1:B2:C3", "4:A1:B2:C3:D4:E5:F6", "04:A1:B2:C3:D4:E5:F6:"] {
            assert_eq!(hex.read(bad), Err(Bad::Malformed), "{bad}");
        }
        let dec = text(UidFormat::Dec, Some(4), UidOrder::AsIs);
        assert_eq!(dec.read("0000000042"), Ok("0000002A".to_owned()));
        for bad in ["4294967296", "", "12a", "99999999999999999999999999999"] {
            assert_eq!(dec.read(bad), Err(Bad::Malformed), "{bad}");
        }
        assert_eq!(text(UidFormat::Hex, None, UidOrder::AsIs).read(&"AB".repeat(11)), Err(Bad::Malformed));
    }

    #[test]
    fn a_random_uid_identifies_nobody() {
        let hex = text(UidFormat::Hex, None, UidOrder::AsIs);
        assert_eq!(hex.read("08A1B2C3"), Err(Bad::RandomUid));
        assert_eq!(hex.read("C3B2A108"), Ok("C3B2A108".to_owned()));
        assert_eq!(text(UidFormat::Hex, None, UidOrder::Reversed).read("C3B2A108"), Err(Bad::RandomUid));
        assert_eq!(hex.read("08A1B2C3D4E5F6"), Ok("08A1B2C3D4E5F6".to_owned()), "seven bytes are the card's own");
        assert_eq!(UidText { keep_random: true, ..hex }.read("08A1B2C3"), Ok("08A1B2C3".to_owned()));
    }

    proptest! {
        #[test]
        fn whatever_way_a_reader_prints_a_uid_it_is_the_same_one(uid in proptest::collection::vec(any::<u8>(), 4..=10)) {
            prop_assume!(!(uid.len() == 4 && uid.first() == Some(&8)));
            let value = upper(&uid);
            let turned: Vec<u8> = uid.iter().rev().copied().collect();
            let number = |bytes: &[u8]| bytes.iter().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte)).to_string();
            let length = Some(uid.len());
            prop_assert_eq!(text(UidFormat::Hex, None, UidOrder::AsIs).read(&value), Ok(value.clone()));
            prop_assert_eq!(text(UidFormat::Hex, None, UidOrder::Reversed).read(&upper(&turned)), Ok(value.clone()));
            prop_assert_eq!(text(UidFormat::Dec, length, UidOrder::AsIs).read(&number(&uid)), Ok(value.clone()));
            prop_assert_eq!(text(UidFormat::Dec, length, UidOrder::Reversed).read(&number(&turned)), Ok(value));
        }

        #[test]
        fn any_text_is_a_uid_or_a_mistake(payload in "\\PC{0,40}", format in 0..3_u8) {
            let format = [UidFormat::Hex, UidFormat::Dec, UidFormat::W26Pair][usize::from(format)];
            if let Ok(value) = text(format, None, UidOrder::AsIs).read(&payload) {
                prop_assert!(value.len() <= MOST_BYTES * 2);
            }
        }
    }
}
