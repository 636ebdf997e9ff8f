//! Bytes for people, without whole card numbers.
//!
//! What a frame holds is not known before it is decoded, and often not even then. So what may be part of a number is masked wherever it stands: runs of
//! letters and digits with a digit in them, of hex letters, or very long ones, and runs of binary bytes keep their last two characters. The shape of a
//! telegram (words, brackets, commas, ends) stays to be seen.

/// A run of letters longer than this is no word of a protocol.
const LONG: usize = 16;

/// Which of these bytes may be shown.
#[must_use]
pub fn masked(bytes: &[u8]) -> Vec<Option<u8>> {
    let mut shown: Vec<Option<u8>> = bytes.iter().copied().map(Some).collect();
    let mut from = 0;
    while from < bytes.len() {
        let kind = kind(bytes.get(from).copied());
        let length = bytes.iter().skip(from).take_while(|byte| self::kind(Some(**byte)) == kind).count().max(1);
        let run = bytes.get(from..from + length).unwrap_or_default();
        if hides(kind, run) {
            shown.iter_mut().skip(from).take(length.saturating_sub(2)).for_each(|byte| *byte = None);
        }
        from += length;
    }
    shown
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Mark,
    Binary,
}

fn kind(byte: Option<u8>) -> Kind {
    match byte {
        Some(byte) if byte.is_ascii_alphanumeric() => Kind::Word,
        Some(b' '..=b'~' | b'\r' | b'\n' | b'\t' | 0x02 | 0x03) | None => Kind::Mark,
        Some(_) => Kind::Binary,
    }
}

fn hides(kind: Kind, run: &[u8]) -> bool {
    match kind {
        Kind::Mark => false,
        Kind::Binary => run.len() >= 4,
        Kind::Word => {
            let digit = run.len() >= 3 && run.iter().any(u8::is_ascii_digit);
            let hex = run.len() >= 6 && run.iter().all(u8::is_ascii_hexdigit);
            digit || hex || run.len() >= LONG
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        masked(bytes)
            .into_iter()
            .map(|byte| byte.map_or('·', |byte| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' }))
            .collect()
    }

    #[test]
    fn numbers_lose_all_but_their_end_and_the_shape_stays() {
        for (bytes, expected) in [
            (&b"Em-Marine[1700] 009,22847\r\n"[..], "Em-Marine[··00] ·09,···47.."),
            (b"Mifare[BCD14264] 1K (0004,08) 066,53692", "Mifare[······64] 1K (··04,08) ·66,···92"),
            (b"Mifare[BCDEFACD]", "Mifare[······CD]"),
            (b"No card\r\n", "No card.."),
            (b"\x0262E3086CED08\x03", ".··········08."),
            (b"LG-48213-0007\r", "LG-···13-··07."),
            (b"\xA1\x88\xDE\xC0\xFF", "···.."),
            (b"eyJhbGciOiJIUzI", "eyJhbGciOiJIUzI"),
            (b"eyJhbGciOiJIUzIeyJ", "················yJ"),
        ] {
            assert_eq!(text(bytes), expected, "{bytes:?}");
        }
        assert!(masked(b"").is_empty());
    }
}
