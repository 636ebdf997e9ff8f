//! Card data of a reader -> the medium, or why it is none.

use super::super::UidOrder;
use super::super::uid::canonical_bytes;
use super::wiegand::{Wiegand, number};
use crate::domain::{Medium, MediumKind, Personal};

/// Fewer bits than this say too little of a card to charge anybody by.
const ENOUGH_BITS: usize = 32;
/// No card has more.
const MOST_BITS: usize = 512;

/// How a gate's cards are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CardOptions {
    /// Which bits are the card's.
    pub layout: Layout,
    /// The order in which its bytes are kept.
    pub uid_order: UidOrder,
    /// Cards of 24 data bits are taken, too: many different cards share one such number.
    pub wiegand26: bool,
    /// What a reader that sends characters reads.
    pub text: Text,
}

/// Which bits of a card's telegram are the card's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// By their number: 26, 34, 37 and 58 are Wiegand, with parity checked and taken off; whole bytes are a UID. Nothing else is taken.
    #[default]
    Standard,
    /// All of them, whatever they mean.
    Raw,
}

/// What characters from a reader are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// The hex digits of a UID.
    #[default]
    Card,
    /// A barcode.
    Barcode,
    /// A QR code.
    Qr,
}

/// What a reader read. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub enum CardData {
    /// Bits, the first one in the highest bit of the first byte.
    Bits {
        /// How many.
        bits: usize,
        /// Their bytes.
        bytes: Vec<u8>,
    },
    /// Characters.
    Text(Vec<u8>),
}

impl std::fmt::Debug for CardData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bits { bits, .. } => write!(f, "Bits({bits})"),
            Self::Text(text) => write!(f, "Text({})", text.len()),
        }
    }
}

/// Why card data is no medium. Carries none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A parity does not fit.
    #[error("the parity of {0} bits does not fit")]
    Parity(usize),
    /// No layout for so many bits.
    #[error("no layout is known for {0} bits: see `layout` in docs/osdp.md")]
    Layout(usize),
    /// Too few bits to tell one card from another.
    #[error("{0} bits cannot tell all cards apart: make the reader send the whole UID, or see `wiegand26` in docs/osdp.md")]
    TooFew(usize),
    /// Characters that the gate's option cannot be.
    #[error("the characters are not what `text` says: see docs/osdp.md")]
    Characters,
}

impl CardData {
    /// From the data of `osdp_RAW`: reader, format, number of bits, bits.
    pub(super) fn raw(data: &[u8]) -> Option<Self> {
        let (&[_, _, low, high], bytes) = data.split_first_chunk::<4>()?;
        let bits = usize::from(u16::from_le_bytes([low, high]));
        let whole = (1..=MOST_BITS).contains(&bits) && bytes.len() == bits.div_ceil(8);
        whole.then(|| Self::Bits { bits, bytes: bytes.to_vec() })
    }

    /// From the data of `osdp_FMT`: reader, direction of the swipe, number of characters, characters.
    pub(super) fn formatted(data: &[u8]) -> Option<Self> {
        let (&[_, direction, count], text) = data.split_first_chunk::<3>()?;
        if text.is_empty() || text.len() != usize::from(count) {
            return None;
        }
        let mut text = text.to_vec();
        if direction == 1 {
            text.reverse();
        }
        Some(Self::Text(text))
    }

    /// The medium.
    ///
    /// # Errors
    /// Why it is none.
    pub fn medium(&self, options: &CardOptions) -> Result<Medium, Refusal> {
        match self {
            Self::Bits { bits, bytes } => of_bits(*bits, bytes, options),
            Self::Text(text) => of_text(text, options),
        }
    }
}

fn of_bits(bits: usize, bytes: &[u8], options: &CardOptions) -> Result<Medium, Refusal> {
    if bits < ENOUGH_BITS && !options.wiegand26 {
        return Err(Refusal::TooFew(bits));
    }
    let (uid, format) = match (options.layout, Wiegand::of(bits)) {
        (Layout::Raw, _) => (number(bytes, 0..bits), format!("osdp/raw-{bits}")),
        (Layout::Standard, Some(format)) if format.fits(bytes) => (number(bytes, format.data.clone()), format!("osdp/wiegand-{bits}")),
        (Layout::Standard, Some(_)) => return Err(Refusal::Parity(bits)),
        (Layout::Standard, None) if bits % 8 == 0 => (bytes.to_vec(), format!("osdp/raw-{bits}")),
        (Layout::Standard, None) => return Err(Refusal::Layout(bits)),
    };
    Ok(card(uid, options.uid_order, format))
}

fn of_text(text: &[u8], options: &CardOptions) -> Result<Medium, Refusal> {
    let text = std::str::from_utf8(text).map_err(|_| Refusal::Characters)?.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Refusal::Characters);
    }
    let kind = match options.text {
        Text::Card => {
            let uid = super::super::uid::bytes(text.as_bytes()).filter(|uid| uid.len() * 8 >= ENOUGH_BITS).ok_or(Refusal::Characters)?;
            return Ok(card(uid, options.uid_order, "osdp/text".to_owned()));
        }
        Text::Barcode => MediumKind::Barcode,
        Text::Qr => MediumKind::Qr,
    };
    Ok(Medium { kind, value: Personal::new(text), raw: None, format: "osdp/text".to_owned() })
}

fn card(uid: Vec<u8>, order: UidOrder, format: String) -> Medium {
    Medium { kind: MediumKind::CardUid, value: Personal::new(canonical_bytes(uid, order)), raw: None, format }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(data: &[u8], options: CardOptions) -> Result<(String, String), Refusal> {
        let medium = CardData::raw(data).expect("card data").medium(&options)?;
        Ok((medium.value.reveal().to_owned(), medium.format))
    }

    const W26: [u8; 8] = [0, 1, 26, 0, 0xA1, 0x68, 0xDE, 0x40];

    #[test]
    fn a_card_of_24_bits_is_refused_until_the_config_allows_it() {
        assert_eq!(raw(&W26, CardOptions::default()), Err(Refusal::TooFew(26)));
        let allowed = CardOptions { wiegand26: true, ..CardOptions::default() };
        assert_eq!(raw(&W26, allowed), Ok(("42D1BC".to_owned(), "osdp/wiegand-26".to_owned())));
    }

    #[test]
    fn one_card_is_one_medium_as_wiegand_34_reversed_and_as_a_raw_uid() {
        let w34 = [0, 1, 34, 0, 0xB2, 0x21, 0x68, 0xDE, 0x00];
        let uid = [0, 0, 32, 0, 0xBC, 0xD1, 0x42, 0x64];
        let reversed = CardOptions { uid_order: UidOrder::Reversed, ..CardOptions::default() };
        assert_eq!(raw(&w34, reversed).map(|(value, _)| value).as_deref(), Ok("BCD14264"));
        assert_eq!(raw(&uid, CardOptions::default()), Ok(("BCD14264".to_owned(), "osdp/raw-32".to_owned())));
    }

    #[test]
    fn bits_that_no_layout_knows_are_refused_and_taken_whole_as_raw() {
        let odd = [0, 0, 35, 0, 0xFF, 0x00, 0x00, 0x00, 0x20];
        assert_eq!(raw(&odd, CardOptions::default()), Err(Refusal::Layout(35)));
        let options = CardOptions { layout: Layout::Raw, ..CardOptions::default() };
        assert_eq!(raw(&odd, options), Ok(("07F8000001".to_owned(), "osdp/raw-35".to_owned())));
    }

    #[test]
    fn a_bit_count_that_is_not_the_data_s_is_no_card() {
        for data in [&W26[..7], &[0, 1, 0, 0], &[0, 1, 26], &[0, 1, 0xFF, 0xFF, 1, 2, 3]] {
            assert_eq!(CardData::raw(data), None);
        }
    }

    #[test]
    fn characters_are_what_the_option_says() {
        let of = |text: &[u8], kind| {
            let data = [&[0, 0, u8::try_from(text.len()).unwrap()], text].concat();
            CardData::formatted(&data).unwrap().medium(&CardOptions { text: kind, ..CardOptions::default() })
        };
        assert_eq!(of(b"bcd14264", Text::Card).unwrap().value.reveal(), "BCD14264");
        assert_eq!(of(b"4601234567893", Text::Card), Err(Refusal::Characters));
        assert_eq!(of(b"4601234567893", Text::Barcode).unwrap().kind, MediumKind::Barcode);
        let backwards = CardData::formatted(&[0, 1, 8, b'4', b'6', b'2', b'4', b'1', b'D', b'C', b'B']).unwrap();
        assert_eq!(backwards.medium(&CardOptions::default()).unwrap().value.reveal(), "BCD14264");
    }

    #[test]
    fn card_data_does_not_print() {
        assert_eq!(format!("{:?}", CardData::raw(&W26)), "Some(Bits(26))");
    }
}
