//! What a profile rests on in given bytes: it is asked again after a change, and what it no longer accepts it had rested on.

use serde::Serialize;

use super::{Recording, Understood, understand};
use crate::codec::Profile;

/// What a profile rests on, the strongest first: the order of fields is the order of rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rests {
    /// On what stands in the frame: with digits and letters exchanged for others of their kind nothing is left. A checksum, or words of its own.
    pub on_content: bool,
    /// On the kind of characters: hex digits, decimal digits.
    pub on_shape: bool,
    /// On so many kinds of marks around a frame: CR, LF, STX, ETX, `:`, silence.
    pub on_marks: u8,
    /// On the reader's number before each line.
    pub on_number: bool,
}

/// Asks a profile again after each change.
pub(super) fn rests(heard: &Recording, profile: &Profile, before: &Understood) -> Rests {
    let breaks = |changed: &Recording| understand(changed, profile).frames * 2 < before.frames.max(1);
    let without =
        |mark: u8| heard.chunks().iter().any(|chunk| chunk.bytes.contains(&mark)) && breaks(&heard.map(|byte| (byte != mark).then_some(byte)));
    let marks = [b'\r', b'\n', 0x02, 0x03, b':'].into_iter().filter(|mark| without(*mark)).count();
    let mut at = 0_u8;
    let exchanged = heard.map(|byte| {
        at = at.wrapping_add(1);
        Some(exchange(byte, at))
    });
    Rests {
        on_content: breaks(&exchanged),
        on_shape: breaks(&heard.map(|byte| Some(if byte.is_ascii_alphanumeric() { b'x' } else { byte }))),
        on_marks: u8::try_from(marks).unwrap_or(u8::MAX),
        on_number: before.numbered,
    }
}

/// Another character of the same kind; which, depends on the place, so that sums change too.
fn exchange(byte: u8, at: u8) -> u8 {
    let turn = |first: u8, many: u8| first + (byte - first + 1 + at % (many - 1)) % many;
    match byte {
        b'0'..=b'9' => turn(b'0', 10),
        b'A'..=b'F' => turn(b'A', 6),
        b'a'..=b'f' => turn(b'a', 6),
        b'G'..=b'Z' => turn(b'G', 20),
        b'g'..=b'z' => turn(b'g', 20),
        other => other,
    }
}
