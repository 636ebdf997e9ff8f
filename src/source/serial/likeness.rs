//! What a port's bytes look like where they do not fit the gate's own profile: a wrong `reader` in the config is then named, with the right one.
//!
//! Never: bytes kept once the gate reads as it should; a guess more than a few times an hour of noise.

use crate::codec::guess::{Certainty, Recording, fits};
use crate::codec::{Line, Profile};

/// So many bad frames in a row without a medium ask for a first guess; each further one takes four times as many.
const FIRST: u64 = 5;
const LATER: u64 = 4;

/// What came since the last medium.
pub(super) struct Likeness {
    heard: Recording,
    last_ms: Option<u64>,
    bad: u64,
    due: u64,
}

impl Likeness {
    pub(super) fn new(line: Line) -> Self {
        Self { heard: Recording::new(line), last_ms: None, bad: 0, due: FIRST }
    }

    /// Bytes came.
    pub(super) fn bytes(&mut self, bytes: &[u8], now_ms: u64) {
        let after = self.last_ms.map_or(0, |last| now_ms.saturating_sub(last));
        self.last_ms = Some(now_ms);
        self.heard.push(after, bytes);
    }

    /// A medium came: the reader is the right one. True: something had been suspected.
    pub(super) fn understood(&mut self) -> bool {
        let suspected = self.due > FIRST;
        *self = Self { last_ms: self.last_ms, ..Self::new(self.heard.line) };
        suspected
    }

    /// Bytes were no frame. True: it is time for a guess.
    pub(super) fn bad(&mut self) -> bool {
        self.bad += 1;
        if self.bad < self.due {
            return false;
        }
        self.due = self.due.saturating_mul(LATER);
        true
    }

    /// What was heard, to be guessed at.
    pub(super) fn heard(&self) -> Recording {
        self.heard.clone()
    }
}

/// The built-in profile that these bytes are, where it is not just any text. Takes some milliseconds.
pub(super) fn guess(heard: &Recording, own: &str) -> Option<String> {
    let profiles: Vec<Profile> = Profile::builtin_names().into_iter().filter(|name| *name != own).filter_map(Profile::builtin).collect();
    let best = fits(std::slice::from_ref(heard), &profiles).into_iter().next()?;
    (best.certainty >= Certainty::Likely && best.line == heard.line).then_some(best.profile.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_with_the_wrong_reader_is_told_the_right_one_and_a_right_one_nothing() {
        let mut likeness = Likeness::new(Line::COMMON);
        let due: Vec<bool> = (0..20)
            .map(|n| {
                likeness.bytes(b"Em-Marine[1700] 009,22847\r\n", n * 1_000);
                likeness.bad()
            })
            .collect();
        assert_eq!(due.iter().filter(|due| **due).count(), 2, "at the fifth and the twentieth");
        assert_eq!(guess(&likeness.heard(), "rdm6300").as_deref(), Some("ironlogic-matrix3"));
        assert!(likeness.understood() && !likeness.understood());
        assert!(likeness.heard().is_empty());
        let mut noise = Likeness::new(Line::COMMON);
        noise.bytes(b"\xF8\x1E\x00\x80\xE0", 0);
        assert_eq!(guess(&noise.heard(), "rdm6300"), None);
    }
}
