//! Wiegand formats: how many bits, which of them are data, which are parity. Bits are numbered from 0, the first one sent.
//!
//! W26 and W34 are the common ones. W37 stands here as H10302 and H10304 lay it out (their 35 data bits are the same); other vendors have their own, which
//! only the `raw` layout takes. W58 carries a UID of seven bytes.

use std::ops::Range;

/// One parity bit.
struct Parity {
    /// Where it stands.
    bit: usize,
    /// What it covers besides itself.
    over: Range<usize>,
    /// The ones, with it, are odd in number; else even.
    odd: bool,
}

/// One format.
pub(super) struct Wiegand {
    /// So many bits.
    pub(super) bits: usize,
    /// Which of them are the card's.
    pub(super) data: Range<usize>,
    parity: [Parity; 2],
}

const FORMATS: [Wiegand; 4] = [
    Wiegand { bits: 26, data: 1..25, parity: [Parity { bit: 0, over: 1..13, odd: false }, Parity { bit: 25, over: 13..25, odd: true }] },
    Wiegand { bits: 34, data: 1..33, parity: [Parity { bit: 0, over: 1..17, odd: false }, Parity { bit: 33, over: 17..33, odd: true }] },
    Wiegand { bits: 37, data: 1..36, parity: [Parity { bit: 0, over: 1..19, odd: false }, Parity { bit: 36, over: 18..36, odd: true }] },
    Wiegand { bits: 58, data: 1..57, parity: [Parity { bit: 0, over: 1..29, odd: false }, Parity { bit: 57, over: 29..57, odd: true }] },
];

impl Wiegand {
    /// The format of so many bits.
    pub(super) fn of(bits: usize) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.bits == bits)
    }

    /// Whether both parities fit.
    pub(super) fn fits(&self, bytes: &[u8]) -> bool {
        self.parity.iter().all(|parity| {
            let ones = parity.over.clone().chain([parity.bit]).filter(|index| bit(bytes, *index)).count();
            (ones % 2 == 1) == parity.odd
        })
    }
}

/// One bit, the first one sent being number 0.
fn bit(bytes: &[u8], index: usize) -> bool {
    bytes.get(index / 8).is_some_and(|byte| byte & 0x80 >> (index % 8) != 0)
}

/// A run of bits as a number, its bytes with the highest first; zeros before it where it fills no whole byte.
pub(super) fn number(bytes: &[u8], range: Range<usize>) -> Vec<u8> {
    let mut number = vec![0; range.len().div_ceil(8)];
    for (place, index) in range.rev().enumerate() {
        let at = number.len() - 1 - place / 8;
        if let (true, Some(byte)) = (bit(bytes, index), number.get_mut(at)) {
            *byte |= 1 << (place % 8);
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn facility_66_number_53692_in_26_bits() {
        let bytes = [0xA1, 0x68, 0xDE, 0x40];
        let format = Wiegand::of(26).unwrap();
        assert!(format.fits(&bytes));
        assert_eq!(number(&bytes, format.data.clone()), [66, (53692 >> 8) as u8, (53692 & 0xFF) as u8]);
    }

    #[test]
    fn uid_6442d1bc_in_34_bits() {
        let text = "1011001000100001011010001101111000";
        let mut bytes = [0; 5];
        for (index, digit) in text.bytes().enumerate() {
            bytes[index / 8] |= (digit - b'0') << (7 - index % 8);
        }
        let format = Wiegand::of(34).unwrap();
        assert!(format.fits(&bytes));
        assert_eq!(number(&bytes, format.data.clone()), [0x64, 0x42, 0xD1, 0xBC]);
    }

    /// Lays a number out as the format wants it.
    fn laid_out(format: &Wiegand, value: u64) -> Vec<u8> {
        let mut bytes = vec![0; format.bits.div_ceil(8)];
        let mut set = |index: usize, on: bool| bytes[index / 8] |= u8::from(on) << (7 - index % 8);
        for (place, index) in format.data.clone().rev().enumerate() {
            set(index, value >> place & 1 == 1);
        }
        let ones = |range: &Range<usize>| range.clone().filter(|index| value >> (format.data.end - 1 - index) & 1 == 1).count();
        for parity in &format.parity {
            set(parity.bit, (ones(&parity.over) % 2 == 1) != parity.odd);
        }
        bytes
    }

    proptest! {
        #[test]
        fn each_format_gives_back_its_number_and_sees_every_single_flipped_bit(which in 0..4usize, value: u64, flipped in 0..58usize) {
            let format = &FORMATS[which];
            let value = value & ((1 << format.data.len()) - 1);
            let mut bytes = laid_out(format, value);
            prop_assert!(format.fits(&bytes));
            let expected = &value.to_be_bytes()[8 - format.data.len().div_ceil(8)..];
            prop_assert_eq!(number(&bytes, format.data.clone()), expected);
            let flipped = flipped % format.bits;
            bytes[flipped / 8] ^= 0x80 >> (flipped % 8);
            prop_assert!(!format.fits(&bytes));
        }
    }
}
