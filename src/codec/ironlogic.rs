//! IronLogic text: what Z-2 USB and Matrix III readers print, a line per event.
//!
//! ```text
//! Em-Marine[1700] 009,22847                          customer prefix, series, number: the 40-bit id 170009593F
//! Mifare[BCD14264] 1K (0004,08) 066,53692            UID, chip, (ATQA,SAK), Wiegand-26 pair
//! Mifare[3AAC2280045646]  (0142,20) 004,22086        7 bytes; the chip may be empty
//! 19997 Mifare[62D22F80041B4B]  (0144,08) 004,06987  several readers on RS-485: five digits first
//! No card                                            removal; case differs by firmware
//! ```
//!
//! The lines are those of public client code. Facts computed from them: the pair of a 4-byte UID is its third, and second and first byte; that of a 7-byte
//! UID is its last three bytes in printed order. So the two kinds are printed in opposite orders: a UID stays opaque, and is never made from its pair.
//! The Em-Marine prefix is part of the identity: without it different cards collide. Padding of the number varies by firmware.
//!
//! Promise on a noisy line: each undamaged line is found, whatever noise stands before it. There is no checksum. A damaged Mifare line passes only where
//! its pair still agrees with three of its bytes (about 1 in 4 million for random digits), or where the damage hit a byte that the pair does not cover
//! and left a hex digit; a damaged Em-Marine line passes where a digit became another digit.

use super::uid::{UidOrder, bytes, canonical, upper};
use super::uid_text::is_random;
use super::{Bad, Decoded, Decoder, End, Framing, GIVE_UP_MS, Presented};
use crate::codec::lines::{Lines, Step};
use crate::domain::{Medium, MediumKind, Personal};

const MAX_LINE: usize = 128;
const MIFARE: &[u8] = b"Mifare[";
const EM_MARINE: &[u8] = b"Em-Marine[";
const NO_CARD: &[u8] = b"no card";

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IronLogicOptions {
    /// Each line begins with a reader number, five digits and a space.
    pub reader_number: bool,
    /// Order of a Mifare UID's bytes.
    pub uid_order: UidOrder,
    /// A Mifare line counts only when its pair agrees with its UID.
    pub check_pair: bool,
    /// Mifare UIDs of four bytes that begin with 08, drawn anew at each presentation, are taken. Else they are refused.
    pub keep_random: bool,
}

/// The decoder.
#[derive(Debug)]
pub struct IronLogic {
    options: IronLogicOptions,
    lines: Lines,
}

impl IronLogic {
    /// Ready for the first byte.
    #[must_use]
    pub fn new(options: IronLogicOptions) -> Self {
        Self { options, lines: Lines::new(Framing { header: None, end: End::AnyNewline, check: false, max: MAX_LINE }) }
    }

    /// What a line says; nothing when it is empty.
    fn read(&self, line: &[u8]) -> Result<Option<Decoded>, Bad> {
        let from = line.iter().rposition(u8::is_ascii_control).map_or(0, |at| at + 1);
        let line = line.get(from..).unwrap_or_default();
        let Some((at, event)) = last_event(line) else {
            return match line.trim_ascii() {
                b"" => Ok(None),
                text => Err(if names_a_medium(text) { Bad::UnknownMedium } else { Bad::Malformed }),
            };
        };
        let (before, text) = line.split_at_checked(at).ok_or(Bad::Malformed)?;
        let reader = if self.options.reader_number { Some(reader_number(before).ok_or(Bad::Malformed)?) } else { None };
        let medium = match event {
            Event::NoCard => {
                let rest = text.get(NO_CARD.len()..).unwrap_or_default();
                return if rest.trim_ascii().is_empty() { Ok(Some(Decoded::Removal { reader })) } else { Err(Bad::Malformed) };
            }
            Event::Mifare => self.mifare(text)?,
            Event::EmMarine => em_marine(text)?,
        };
        Ok(Some(Decoded::Medium(Presented { medium, reader })))
    }

    fn mifare(&self, text: &[u8]) -> Result<Medium, Bad> {
        let (uid, rest) = bracketed(text, MIFARE)?;
        let value = canonical(uid, self.options.uid_order).ok_or(Bad::Malformed)?;
        let printed = bytes(uid).filter(|uid| matches!(uid.len(), 4 | 7 | 10)).ok_or(Bad::Malformed)?;
        let (chip, pair) = rest.trim_ascii_end().rsplit_once_space().ok_or(Bad::Malformed)?;
        if !chip_is_plausible(chip) {
            return Err(Bad::Malformed);
        }
        let (series, number) = read_pair(pair).ok_or(Bad::Malformed)?;
        if self.options.check_pair && !pair_agrees(&printed, series, number) {
            return Err(Bad::Checksum);
        }
        if !self.options.keep_random && is_random(&value) {
            return Err(Bad::RandomUid);
        }
        Ok(medium(value, text, "ironlogic-text/mifare"))
    }

    fn finish(&mut self, out: &mut Vec<Decoded>) {
        match self.read(self.lines.content()) {
            Ok(decoded) => out.extend(decoded),
            Err(_) if self.lines.overflowed() => out.push(Decoded::Bad(Bad::TooLong)),
            Err(bad) => out.push(Decoded::Bad(bad)),
        }
        self.lines.clear();
    }
}

impl Decoder for IronLogic {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Decoded>) {
        for &byte in bytes {
            match self.lines.push(byte) {
                Step::More => {}
                Step::Bad(bad) => out.push(Decoded::Bad(bad)),
                Step::Frame => self.finish(out),
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

#[derive(Clone, Copy)]
enum Event {
    Mifare,
    EmMarine,
    NoCard,
}

/// The last event of a line and where it begins: what stands before it may be noise, or the rest of a line that lost its end.
fn last_event(line: &[u8]) -> Option<(usize, Event)> {
    (0..line.len()).rev().find_map(|at| {
        let here = line.get(at..)?;
        if here.starts_with(MIFARE) {
            Some((at, Event::Mifare))
        } else if here.starts_with(EM_MARINE) {
            Some((at, Event::EmMarine))
        } else if here.get(..NO_CARD.len()).is_some_and(|word| word.eq_ignore_ascii_case(NO_CARD)) {
            Some((at, Event::NoCard))
        } else {
            None
        }
    })
}

/// `HID[...`: the shape of a line about a medium, so that the log can say that the reader is fine and the medium is not known.
fn names_a_medium(text: &[u8]) -> bool {
    let word = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    word >= 3 && text.get(word) == Some(&b'[') && text.contains(&b']')
}

/// The five digits and the space right before the event.
fn reader_number(before: &[u8]) -> Option<u32> {
    let (digits, _) = before.last_chunk::<6>()?.split_last_chunk::<1>().filter(|(_, space)| **space == *b" ")?;
    number(digits)
}

/// `[1700] ...` after its word: what is in the brackets, and the rest.
fn bracketed<'a>(text: &'a [u8], word: &[u8]) -> Result<(&'a [u8], &'a [u8]), Bad> {
    let text = text.strip_prefix(word).ok_or(Bad::Malformed)?;
    let end = text.iter().position(|byte| *byte == b']').ok_or(Bad::Malformed)?;
    let (inside, rest) = text.split_at_checked(end).ok_or(Bad::Malformed)?;
    Ok((inside, rest.strip_prefix(b"]").ok_or(Bad::Malformed)?))
}

fn em_marine(text: &[u8]) -> Result<Medium, Bad> {
    let (prefix, rest) = bracketed(text, EM_MARINE)?;
    let prefix = bytes(prefix).filter(|prefix| prefix.len() == 2).ok_or(Bad::Malformed)?;
    let pair = rest.strip_prefix(b" ").ok_or(Bad::Malformed)?.trim_ascii();
    let (series, number) = read_pair(pair).ok_or(Bad::Malformed)?;
    let mut id = prefix;
    id.push(series);
    id.extend(number.to_be_bytes());
    Ok(medium(upper(&id), text, "ironlogic-text/em-marine"))
}

fn medium(value: String, text: &[u8], format: &str) -> Medium {
    let raw = String::from_utf8_lossy(text.trim_ascii_end()).into_owned();
    Medium { kind: MediumKind::CardUid, value: Personal::new(value), raw: Some(Personal::new(raw)), format: format.to_owned() }
}

/// ` 1K (0004,08)`, ` UL (0144,00)`, `  (0142,20)` or nothing.
fn chip_is_plausible(chip: &[u8]) -> bool {
    let chip = chip.trim_ascii();
    if chip.is_empty() {
        return true;
    }
    let Some((name, codes)) = chip.iter().position(|byte| *byte == b'(').and_then(|at| chip.split_at_checked(at)) else {
        return false;
    };
    let printable = name.len() <= 24 && name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    let codes = codes.strip_prefix(b"(").and_then(|codes| codes.strip_suffix(b")"));
    printable
        && codes.is_some_and(|codes| {
            codes.len() == 7 && codes.iter().enumerate().all(|(at, byte)| if at == 4 { *byte == b',' } else { byte.is_ascii_hexdigit() })
        })
}

/// `066,53692`: three digits and one to five.
fn read_pair(pair: &[u8]) -> Option<(u8, u16)> {
    let (series, rest) = pair.split_at_checked(3)?;
    let digits = rest.strip_prefix(b",").filter(|digits| matches!(digits.len(), 1..=5))?;
    Some((u8::try_from(number(series)?).ok()?, u16::try_from(number(digits)?).ok()?))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().all(u8::is_ascii_digit).then_some(())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether the pair is made of three bytes at an end of the UID, in either direction: which, differs by length and firmware.
fn pair_agrees(uid: &[u8], series: u8, number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    let (there, back) = ([series, high, low], [low, high, series]);
    [uid.first_chunk::<3>(), uid.last_chunk::<3>()].into_iter().flatten().any(|end| *end == there || *end == back)
}

trait SplitAtLastSpace {
    fn rsplit_once_space(&self) -> Option<(&[u8], &[u8])>;
}

impl SplitAtLastSpace for [u8] {
    fn rsplit_once_space(&self) -> Option<(&[u8], &[u8])> {
        let at = self.iter().rposition(|byte| *byte == b' ')?;
        let (before, from) = self.split_at_checked(at)?;
        Some((before, from.strip_prefix(b" ")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: IronLogicOptions = IronLogicOptions { reader_number: false, uid_order: UidOrder::AsIs, check_pair: true, keep_random: false };

    fn decode(options: IronLogicOptions, bytes: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        IronLogic::new(options).push(bytes, &mut out);
        out.into_iter()
            .map(|one| match one {
                Decoded::Medium(Presented { medium, reader }) => {
                    format!("{}{}", reader.map(|reader| format!("{reader}:")).unwrap_or_default(), medium.value.reveal())
                }
                Decoded::Removal { reader } => format!("removed {reader:?}"),
                Decoded::Bad(bad) => bad.code().to_owned(),
            })
            .collect()
    }

    #[test]
    fn lines_say_what_they_say() {
        for (line, expected) in [
            ("Em-Marine[1700] 009,22847\r\n", "170009593F"),
            ("Em-Marine[FFFF] 255,65535\r\n", "FFFFFFFFFF"),
            ("Em-Marine[1700] 007,00042\r\n", "170007002A"),
            ("Em-Marine[1700] 007,42\r\n", "170007002A"),
            ("Em-Marine[1700] 256,00001\r\n", "malformed"),
            ("Em-Marine[1700] 009,65536\r\n", "malformed"),
            ("Em-Marine[170] 009,22847\r\n", "malformed"),
            ("Em-Marine[1700]009,22847\r\n", "malformed"),
            ("Em-Marine[1700] 009,22847x\r\n", "malformed"),
            ("Em-Marine[1700] 009,\r\n", "malformed"),
            ("Mifare[BCD14264] 1K (0004,08) 066,53692\r\n", "BCD14264"),
            ("Mifare[bcd14264] 1K (0004,08) 066,53692\n", "BCD14264"),
            ("Mifare[BCD14264] 066,53692\r", "BCD14264"),
            ("Mifare[BCD14264] 1K (0004;08) 066,53692\r\n", "malformed"),
            ("Mifare[BCD14264] 1K (0004,08 066,53692\r\n", "malformed"),
            ("Mifare[BCD1426] 1K (0004,08) 066,53692\r\n", "malformed"),
            ("Mifare[BCD142] 1K (0004,08) 066,53692\r\n", "malformed"),
            ("Mifare[BCD14264] 1K (0004,08) 066,53693\r\n", "checksum"),
            ("Mifare[3AAC2280045646]  (0142,20) 004,22086\r\n", "3AAC2280045646"),
            ("Mifare[3AAC2280045647]  (0142,20) 004,22086\r\n", "checksum"),
            ("No card\r\n", "removed None"),
            ("NO CARD\r\n", "removed None"),
            ("No cards\r\n", "malformed"),
            ("HID[0004] 012,34567\r\n", "unknown_medium"),
            ("Z-2 USB v1.2\r\n", "malformed"),
            // The next line's word shows where the damaged one ends.
            ("Em-Marine[1700] 009,2Mifare[BCD14264] 1K (0004,08) 066,53692\r\n", "BCD14264"),
        ] {
            assert_eq!(decode(PLAIN, line.as_bytes()), [expected], "{line:?}");
        }
        assert!(decode(PLAIN, b"\r\n\r\n  \r\n").is_empty(), "empty lines say nothing");
    }

    #[test]
    fn options_change_what_they_name() {
        let line = b"Mifare[BCD14264] 1K (0004,08) 066,00001\r\n";
        assert_eq!(decode(IronLogicOptions { check_pair: false, ..PLAIN }, line), ["BCD14264"]);
        let line = b"Mifare[BCD14264] 1K (0004,08) 066,53692\r\nMifare[FA592F830412E6] UL (0144,00) 004,04838\r\n";
        assert_eq!(decode(IronLogicOptions { uid_order: UidOrder::Reversed, ..PLAIN }, line), ["6442D1BC", "E61204832F59FA"]);
        assert_eq!(decode(IronLogicOptions { uid_order: UidOrder::Mixed7, ..PLAIN }, line), ["BCD14264", "E61204832F59FA"]);
    }

    #[test]
    fn a_random_uid_of_a_phone_identifies_nobody_unless_it_is_to_be_kept() {
        let line = b"Mifare[08D14264] 1K (0004,08) 066,53512\r\n";
        assert_eq!(decode(PLAIN, line), ["random_uid"]);
        assert_eq!(decode(IronLogicOptions { keep_random: true, ..PLAIN }, line), ["08D14264"]);
    }

    #[test]
    fn a_reader_number_stands_right_before_its_event() {
        let numbered = IronLogicOptions { reader_number: true, ..PLAIN };
        for (line, expected) in [
            ("19997 Em-Marine[1700] 009,22847\r\n", "19997:170009593F"),
            ("7719997 Em-Marine[1700] 009,22847\r\n", "19997:170009593F"),
            ("00042 No card\r\n", "removed Some(42)"),
            ("19997Em-Marine[1700] 009,22847\r\n", "malformed"),
            ("1997 Em-Marine[1700] 009,22847\r\n", "malformed"),
            ("Em-Marine[1700] 009,22847\r\n", "malformed"),
        ] {
            assert_eq!(decode(numbered, line.as_bytes()), [expected], "{line:?}");
        }
        assert_eq!(decode(PLAIN, b"19997 Em-Marine[1700] 009,22847\r\n"), ["170009593F"], "without the option the number is noise");
    }

    #[test]
    fn a_line_behind_endless_text_is_found_and_the_text_alone_is_too_long() {
        let mut bytes = vec![b'x'; 5_000];
        assert_eq!(decode(PLAIN, &[&bytes[..], b"\r\n"].concat()), ["too_long"]);
        bytes.extend_from_slice(b"Mifare[BCD14264] 1K (0004,08) 066,53692\r\n");
        assert_eq!(decode(PLAIN, &bytes), ["BCD14264"]);
    }

    #[test]
    fn one_damaged_digit_of_a_mifare_uid_is_noticed_where_the_pair_covers_it() {
        let line = b"Mifare[BCD14264] 1K (0004,08) 066,53692\r\n";
        for at in 7..13 {
            let mut damaged = *line;
            damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(decode(PLAIN, &damaged), ["checksum"], "digit {at}");
        }
    }
}
