//! Barcode and QR scanners in line mode, and serial readers that print a UID as text.
//!
//! A frame is payload and terminator, as the scanner's setup sheet has it; options say which, and what stands around the payload. An AIM identifier
//! (`]Q1`, ISO/IEC 15424) tells a QR code from a barcode. GS (1D) and the other separators of GS1 and ISO/IEC 15434 belong to the payload; any other control
//! byte is noise: the frame begins after it, or, where a header shows the beginning, is damaged.
//!
//! Promise on a noisy line: with a header (STX), each undamaged frame is found. Without one, each is found that stands after a terminator or a control
//! byte; noise that looks like text and stands right before a payload cannot be told from it, unless a prefix is set. A check byte lets 1 in 256
//! damaged frames pass. Without it there is nothing to check: what ends in a terminator and is text of the right length is taken as read, and it is
//! Lime that refuses it.

use serde::Deserialize;

use super::{Bad, Decoded, Decoder, End, Framing, GIVE_UP_MS, Presented, UidText};
use crate::codec::lines::{Lines, Step};
use crate::domain::{Medium, MediumKind, Personal};

/// The payload's character set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charset {
    /// UTF-8, and with it ASCII.
    Utf8,
    /// Windows-1251: Russian letters, №, « » and dashes; other high bytes are refused.
    Cp1251,
    /// UTF-8 where it is valid, else Windows-1251.
    #[default]
    Auto,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text of a QR or other matrix code.
    #[default]
    Qr,
    /// Text of a one-dimensional barcode.
    Barcode,
    /// A card's UID, printed as the options say.
    Uid,
}

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannerOptions {
    /// Where frames begin and end.
    pub framing: Framing,
    /// Stands before the payload and is cut off.
    pub prefix: String,
    /// Stands after the payload and is cut off.
    pub suffix: String,
    /// An AIM identifier before the payload is cut off and says what was scanned.
    pub aim_id: bool,
    /// Fewest characters of a payload.
    pub min_len: usize,
    /// With [`End::Silence`]: how long the line is silent after a frame, milliseconds.
    pub idle_ms: u64,
    /// The payload's character set.
    pub charset: Charset,
    /// What a payload is where no AIM identifier says it.
    pub content: Content,
    /// How a UID is printed.
    pub uid: UidText,
}

/// The decoder.
#[derive(Debug)]
pub struct Scanner {
    options: ScannerOptions,
    lines: Lines,
}

impl Scanner {
    /// Ready for the first byte.
    #[must_use]
    pub fn new(options: ScannerOptions) -> Self {
        let lines = Lines::new(options.framing);
        Self { options, lines }
    }

    fn ends_in_silence(&self) -> bool {
        self.options.framing.end == End::Silence
    }

    /// What a frame says; nothing when it is empty. Of a frame over the maximum only the tail is left: a payload in it is whole only where a prefix or
    /// a control byte shows its beginning.
    fn read(&self, frame: &[u8], only_tail: bool) -> Result<Option<Decoded>, Bad> {
        let frame = if self.ends_in_silence() { trim_newlines(frame) } else { frame };
        let from = frame.iter().rposition(|byte| is_noise(*byte)).map_or(0, |at| at + 1);
        if from > 0 && self.options.framing.header.is_some() {
            return Err(Bad::Malformed);
        }
        let frame = frame.get(from..).unwrap_or_default();
        if only_tail && from == 0 && self.options.prefix.is_empty() {
            return Err(Bad::TooLong);
        }
        if frame.is_empty() {
            return Ok(None);
        }
        let text = decode(frame, self.options.charset).ok_or(Bad::Charset)?;
        let (prefix, suffix) = (self.options.prefix.as_str(), self.options.suffix.as_str());
        let after = text.find(prefix).and_then(|at| text.get(at + prefix.len()..)).ok_or(Bad::Malformed)?;
        let inside = after.strip_suffix(suffix).ok_or(Bad::Malformed)?;
        let (aim, payload) = if self.options.aim_id { split_aim(inside) } else { (None, inside) };
        if payload.chars().count() < self.options.min_len.max(1) {
            return Err(Bad::TooShort);
        }
        let medium = self.medium(&text, aim, payload)?;
        Ok(Some(Decoded::Medium(Presented { medium, reader: None })))
    }

    fn medium(&self, text: &str, aim: Option<&str>, payload: &str) -> Result<Medium, Bad> {
        let (kind, value) = match (self.options.content, aim.and_then(symbology)) {
            (Content::Uid, _) => (MediumKind::CardUid, self.options.uid.read(payload)?),
            (Content::Qr, None) => (MediumKind::Qr, payload.to_owned()),
            (Content::Barcode, None) => (MediumKind::Barcode, payload.to_owned()),
            (_, Some(kind)) => (kind, payload.to_owned()),
        };
        let raw = (value != text).then(|| Personal::new(text));
        let format = match (kind, aim) {
            (MediumKind::CardUid, _) => format!("scanner-line/{}", self.options.uid.word()),
            (_, Some(aim)) => format!("scanner-line/{aim}"),
            (_, None) => "scanner-line".to_owned(),
        };
        Ok(Medium { kind, value: Personal::new(value), raw, format })
    }

    fn finish(&mut self, out: &mut Vec<Decoded>) {
        let only_tail = self.lines.overflowed();
        match self.read(self.lines.content(), only_tail) {
            Ok(decoded) => out.extend(decoded),
            Err(_) if only_tail => out.push(Decoded::Bad(Bad::TooLong)),
            Err(bad) => out.push(Decoded::Bad(bad)),
        }
        self.lines.clear();
    }
}

impl Decoder for Scanner {
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
        self.lines.begun().then_some(if self.ends_in_silence() { self.options.idle_ms } else { GIVE_UP_MS })
    }

    fn idle(&mut self, out: &mut Vec<Decoded>) {
        if !self.lines.begun() {
            return;
        }
        if self.ends_in_silence() {
            self.finish(out);
        } else {
            out.push(Decoded::Bad(Bad::Cut));
            self.lines.clear();
        }
    }

    fn reset(&mut self) {
        self.lines.clear();
    }
}

fn trim_newlines(mut frame: &[u8]) -> &[u8] {
    while let [rest @ .., b'\r' | b'\n'] | [b'\r' | b'\n', rest @ ..] = frame {
        frame = rest;
    }
    frame
}

/// Control bytes that no payload has. EOT, FS, GS, RS and US are those of GS1 and ISO/IEC 15434; a QR code may hold tabs and lines.
fn is_noise(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, 0x04 | b'\t' | b'\n' | b'\r' | 0x1C..=0x1F)
}

/// `]Q1...`: the identifier without its bracket, and the payload.
fn split_aim(text: &str) -> (Option<&str>, &str) {
    match text.as_bytes() {
        [b']', code, modifier, ..] if code.is_ascii_alphabetic() && modifier.is_ascii_alphanumeric() => {
            text.get(1..3).zip(text.get(3..)).map_or((None, text), |(aim, rest)| (Some(aim), rest))
        }
        _ => (None, text),
    }
}

/// What an AIM code letter stands for: QR, Data Matrix, Aztec, PDF417, MaxiCode and Han Xin are matrix codes, the others bars.
fn symbology(aim: &str) -> Option<MediumKind> {
    aim.chars().next().map(|code| if matches!(code, 'Q' | 'd' | 'z' | 'L' | 'U' | 'h') { MediumKind::Qr } else { MediumKind::Barcode })
}

fn decode(bytes: &[u8], charset: Charset) -> Option<String> {
    match charset {
        Charset::Utf8 => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Charset::Cp1251 => cp1251(bytes),
        Charset::Auto => std::str::from_utf8(bytes).ok().map(str::to_owned).or_else(|| cp1251(bytes)),
    }
}

/// Windows-1251, as far as a ticket's text goes.
fn cp1251(bytes: &[u8]) -> Option<String> {
    let letter = |byte: u8| match byte {
        0x00..=0x7F => Some(char::from(byte)),
        0xC0..=0xFF => char::from_u32(u32::from(byte) - 0xC0 + u32::from('А')),
        0xA8 => Some('Ё'),
        0xB8 => Some('ё'),
        0xB9 => Some('№'),
        0xAB => Some('«'),
        0xBB => Some('»'),
        0x96 => Some('–'),
        0x97 => Some('—'),
        0xA0 => Some('\u{A0}'),
        _ => None,
    };
    bytes.iter().map(|byte| letter(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(end: End) -> ScannerOptions {
        ScannerOptions {
            framing: Framing { header: None, end, check: false, max: 20 },
            prefix: String::new(),
            suffix: String::new(),
            aim_id: true,
            min_len: 1,
            idle_ms: 100,
            charset: Charset::Auto,
            content: Content::Qr,
            uid: UidText::default(),
        }
    }

    /// What came out, and after a bar what a silence added.
    fn decode(options: ScannerOptions, bytes: &[u8]) -> String {
        let mut scanner = Scanner::new(options);
        let mut out = Vec::new();
        let show = |out: &mut Vec<Decoded>| {
            let shown: Vec<String> = out
                .drain(..)
                .map(|one| match one {
                    Decoded::Medium(Presented { medium, .. }) => format!("{:?}:{}", medium.kind, medium.value.reveal()),
                    Decoded::Removal { .. } => "removed".to_owned(),
                    Decoded::Bad(bad) => bad.code().to_owned(),
                })
                .collect();
            shown.join(" ")
        };
        scanner.push(bytes, &mut out);
        let pushed = show(&mut out);
        scanner.idle(&mut out);
        format!("{pushed}|{}", show(&mut out))
    }

    #[test]
    fn frames_end_where_the_setup_sheet_says() {
        for (end, bytes, expected) in [
            (End::Cr, "a\rb\r", "Qr:a Qr:b|"),
            (End::Cr, "a\r\nb\r\n", "Qr:a Qr:b|"),
            (End::Cr, "a\nb\r", "Qr:a\nb|"),
            (End::Cr, "a\rb", "Qr:a|cut"),
            (End::Lf, "a\nb\r\n", "Qr:a Qr:b|"),
            (End::CrLf, "a\rb\r\nc\nd\r\n", "Qr:a\rb Qr:c\nd|"),
            (End::Etx, "a\x03b\x03", "Qr:a Qr:b|"),
            (End::Silence, "a\r\nb\r\n", "|Qr:a\r\nb"),
            (End::Silence, "", "|"),
            (End::Cr, "\r\r", "|"),
        ] {
            assert_eq!(decode(options(end), bytes.as_bytes()), expected, "{end:?} {bytes:?}");
        }
    }

    #[test]
    fn what_stands_around_a_payload_is_cut_off_and_has_to_be_there() {
        let framed = ScannerOptions { prefix: "<".to_owned(), suffix: ">".to_owned(), ..options(End::Cr) };
        for (bytes, expected) in [
            ("<code>\r", "Qr:code|"),
            ("noise<code>\r", "Qr:code|"),
            ("<]E0460>\r", "Barcode:460|"),
            ("<a<b>\r", "Qr:a<b|"),
            ("code>\r", "malformed|"),
            ("<code\r", "malformed|"),
            ("<>\r", "too_short|"),
        ] {
            assert_eq!(decode(framed.clone(), bytes.as_bytes()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_check_byte_is_the_xor_of_all_after_the_header_with_the_terminator() {
        let mut checked = options(End::Etx);
        checked.framing = Framing { header: Some(2), check: true, ..checked.framing };
        let sum = b'a' ^ b'b' ^ 3;
        assert_eq!(decode(checked.clone(), &[2, b'a', b'b', 3, sum]), "Qr:ab|");
        assert_eq!(decode(checked.clone(), &[2, b'a', b'b', 3, sum ^ 1]), "checksum|");
        assert_eq!(decode(checked.clone(), &[2, b'a', b'b', 3]), "|cut");
        // The check byte is lost, and the next frame's header stands in its place.
        assert_eq!(decode(checked, &[2, b'a', b'b', 3, 2, b'a', b'b', 3, sum]), "checksum Qr:ab|");
    }

    #[test]
    fn a_header_begins_anew_and_a_control_byte_inside_is_damage() {
        let mut framed = options(End::Etx);
        framed.framing.header = Some(2);
        assert_eq!(decode(framed.clone(), b"x\x02ab\x02cd\x03y\x02\x01ef\x03"), "cut Qr:cd malformed|");
        assert_eq!(decode(framed.clone(), &[&[2][..], &[b'x'; 21], b"\x03\x02ok\x03"].concat()), "too_long Qr:ok|");
        assert_eq!(decode(framed, &[&[2][..], &[b'x'; 20], b"\x03"].concat()), format!("Qr:{}|", "x".repeat(20)));
    }

    #[test]
    fn a_payload_over_the_maximum_is_refused_and_the_next_is_read() {
        let long = [&[b'x'; 100][..], b"\rok\r"].concat();
        assert_eq!(decode(options(End::Cr), &long), "too_long Qr:ok|");
        let most = [&[b'x'; 20][..], b"\r"].concat();
        assert_eq!(decode(options(End::Cr), &most), format!("Qr:{}|", "x".repeat(20)));
        let behind_noise = [&[b'x'; 100][..], b"\0ok\r"].concat();
        assert_eq!(decode(options(End::Cr), &behind_noise), "Qr:ok|");
    }

    #[test]
    fn russian_text_is_read_in_either_character_set_and_garbage_is_not_text() {
        let with = |charset| ScannerOptions { charset, ..options(End::Cr) };
        let (utf8, cp1251) = ("Ёж №1\r".as_bytes(), b"\xA8\xE6 \xB91\r");
        assert_eq!(decode(with(Charset::Auto), utf8), "Qr:Ёж №1|");
        assert_eq!(decode(with(Charset::Auto), cp1251), "Qr:Ёж №1|");
        assert_eq!(decode(with(Charset::Cp1251), cp1251), "Qr:Ёж №1|");
        assert_eq!(decode(with(Charset::Utf8), cp1251), "charset|");
        assert_eq!(decode(with(Charset::Auto), b"ok\x98\r"), "charset|");
    }

    #[test]
    fn an_aim_identifier_tells_bars_from_matrices_unless_it_is_to_be_kept() {
        for (bytes, expected) in [("]Q1x\r", "Qr:x|"), ("]d2x\r", "Qr:x|"), ("]C1x\r", "Barcode:x|"), ("]\r", "Qr:]|"), ("]11\r", "Qr:]11|")] {
            assert_eq!(decode(ScannerOptions { ..options(End::Cr) }, bytes.as_bytes()), expected, "{bytes:?}");
        }
        assert_eq!(decode(ScannerOptions { aim_id: false, ..options(End::Cr) }, b"]E0460\r"), "Qr:]E0460|");
        assert_eq!(decode(ScannerOptions { content: Content::Barcode, ..options(End::Cr) }, b"460\r"), "Barcode:460|");
    }

    #[test]
    fn a_serial_reader_that_prints_hex_gives_a_card() {
        let uid = UidText { order: crate::codec::UidOrder::Reversed, ..UidText::default() };
        let uid = ScannerOptions { content: Content::Uid, uid, ..options(End::Cr) };
        assert_eq!(decode(uid.clone(), b"bcd14264\r"), "CardUid:6442D1BC|");
        assert_eq!(decode(uid, b"bcd1426\r"), "malformed|");
    }
}
