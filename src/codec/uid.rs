//! UIDs: opaque bytes in the order that the reader prints, unless its options say otherwise.

use serde::Deserialize;

/// In which order a reader's UID bytes are kept. One card read by two makes of reader is one card only if both keep to the same order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UidOrder {
    /// As printed.
    #[default]
    AsIs,
    /// Last byte first.
    Reversed,
    /// UIDs of four bytes as printed, longer ones last byte first: for readers that print the two kinds in opposite orders.
    Mixed7,
}

impl UidOrder {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AsIs, Self::Reversed, Self::Mixed7];

    /// As a profile writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsIs => "as_is",
            Self::Reversed => "reversed",
            Self::Mixed7 => "mixed7",
        }
    }
}

/// Upper-case hex of the UID that `hex` spells, in the given order. `None` when it is no even number of hex digits.
pub(super) fn canonical(hex: &[u8], order: UidOrder) -> Option<String> {
    bytes(hex).map(|bytes| canonical_bytes(bytes, order))
}

/// Upper-case hex of a UID in the given order.
pub(super) fn canonical_bytes(mut bytes: Vec<u8>, order: UidOrder) -> String {
    match order {
        UidOrder::AsIs => {}
        UidOrder::Mixed7 if bytes.len() <= 4 => {}
        UidOrder::Reversed | UidOrder::Mixed7 => bytes.reverse(),
    }
    upper(&bytes)
}

/// The bytes that `hex` spells.
pub(super) fn bytes(hex: &[u8]) -> Option<Vec<u8>> {
    if hex.is_empty() {
        return None;
    }
    let (pairs, rest) = hex.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some(nibble(high)? << 4 | nibble(low)?)).collect()
}

/// Upper-case hex.
pub(super) fn upper(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_keeps_its_printed_order_unless_the_option_turns_it() {
        assert_eq!(canonical(b"bcd14264", UidOrder::AsIs).as_deref(), Some("BCD14264"));
        assert_eq!(canonical(b"BCD14264", UidOrder::Reversed).as_deref(), Some("6442D1BC"));
        assert_eq!(canonical(b"BCD14264", UidOrder::Mixed7).as_deref(), Some("BCD14264"));
        assert_eq!(canonical(b"FA592F830412E6", UidOrder::Mixed7).as_deref(), Some("E61204832F59FA"));
        assert_eq!(canonical(b"BCD1426", UidOrder::AsIs), None);
        assert_eq!(canonical(b"BCD1426G", UidOrder::AsIs), None);
        assert_eq!(canonical(b"", UidOrder::AsIs), None);
    }
}
