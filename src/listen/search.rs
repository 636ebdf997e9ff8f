//! The search for a line's settings: listens at one after another and says when to go on and when it is found. Pure: bytes and silences in.
//!
//! Silence says nothing about a setting, so that only bytes end a turn: whoever searches has to present cards.

use crate::codec::guess::{Certainty, Fit, Recording, fits, settings};
use crate::codec::{Line, Profile};

/// After this silence what came is judged.
const SILENCE_MS: u64 = 400;
/// A line that never falls silent is judged after so many bytes.
const ENOUGH_BYTES: usize = 2_048;
/// A setting that fits somehow gets so many bursts to show more.
const BURSTS: u32 = 4;

/// The search.
#[derive(Debug)]
pub struct Search {
    profiles: Vec<Profile>,
    lines: Vec<Line>,
    at: usize,
    now: Recording,
    bursts: u32,
    judged: usize,
    heard: Vec<Recording>,
}

/// What to do after a look at what came.
#[derive(Debug)]
pub enum Next {
    /// Listen on.
    Listen,
    /// Nothing fits here: go on at this setting, the so-and-so-many-th of so many.
    Turn {
        /// Where nothing fitted.
        left: Line,
        /// Bytes that came there.
        bytes: usize,
        /// Where to listen now.
        line: Line,
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// It is found, or every setting was tried.
    Done,
}

impl Search {
    /// Over these profiles; `only` at one setting where it is known.
    #[must_use]
    pub fn new(profiles: Vec<Profile>, only: Option<Line>) -> Self {
        let lines = only.map_or_else(|| settings(&profiles), |line| vec![line]);
        let first = lines.first().copied().unwrap_or(Line::COMMON);
        Self { profiles, lines, at: 0, now: Recording::new(first), bursts: 0, judged: 0, heard: Vec::new() }
    }

    /// The setting to listen at now.
    #[must_use]
    pub fn line(&self) -> Line {
        self.now.line
    }

    /// Bytes came, so long after the last ones; some were damaged.
    pub fn heard(&mut self, after_ms: u64, bytes: &[u8], damaged: u64) {
        self.now.push(after_ms, bytes);
        self.now.damaged += damaged;
    }

    /// It has been silent for so long. To be asked after bytes and while it is silent.
    pub fn look(&mut self, silent_ms: u64) -> Next {
        self.now.silent_ms = silent_ms;
        let fresh = self.now.len() - self.judged.min(self.now.len());
        if fresh == 0 || silent_ms < SILENCE_MS && fresh < ENOUGH_BYTES {
            return Next::Listen;
        }
        self.judged = self.now.len();
        self.bursts += 1;
        let best = fits(std::slice::from_ref(&self.now), &self.profiles).into_iter().next();
        match best.map(|fit| (fit.certainty, fit.frames, fit.damaged)) {
            Some((Certainty::Sure, _, _)) => Next::Done,
            Some((_, 3.., 0)) => Next::Done,
            Some((Certainty::Likely, _, _) | (Certainty::Possible, _, 0)) if self.bursts < BURSTS => Next::Listen,
            _ => self.turn(),
        }
    }

    fn turn(&mut self) -> Next {
        let (left, bytes) = (self.now.line, self.now.len());
        self.at += 1;
        let Some(line) = self.lines.get(self.at).copied() else {
            self.at = self.lines.len();
            return Next::Done;
        };
        (self.bursts, self.judged) = (0, 0);
        self.heard.push(std::mem::replace(&mut self.now, Recording::new(line)));
        Next::Turn { left, bytes, line, number: self.at + 1, of: self.lines.len() }
    }

    /// What fits, best first, over all that was heard.
    #[must_use]
    pub fn fits(&self) -> Vec<Fit> {
        fits(&self.recordings(), &self.profiles)
    }

    /// All that was heard, a recording for each setting.
    #[must_use]
    pub fn recordings(&self) -> Vec<Recording> {
        self.heard.iter().chain(std::iter::once(&self.now)).filter(|one| !one.is_empty()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(only: Option<Line>) -> Search {
        Search::new(Profile::builtin_names().into_iter().filter_map(Profile::builtin).collect(), only)
    }

    #[test]
    fn silence_and_half_a_burst_end_no_turn() {
        let mut search = search(None);
        assert!(matches!(search.look(60_000), Next::Listen), "nothing came");
        search.heard(0, b"\xF8\x1E\x00", 2);
        assert!(matches!(search.look(100), Next::Listen), "more may follow");
        assert!(matches!(search.look(400), Next::Turn { bytes: 3, number: 2, .. }));
    }

    #[test]
    fn the_speed_is_found_by_turns() {
        let mut search = search(None);
        let mut turns = 0;
        while search.line().to_string() != "115200 8N1" {
            search.heard(500, b"\xF8\x1E\x00\x80\xE0", 3);
            assert!(matches!(search.look(500), Next::Turn { .. }));
            turns += 1;
        }
        assert!(turns > 0);
        search.heard(500, b"Em-Marine[1700] 009,22847\r\n", 0);
        assert!(matches!(search.look(500), Next::Listen), "once may be chance");
        search.heard(500, b"No card\r\n", 0);
        assert!(matches!(search.look(500), Next::Done));
        let fits = search.fits();
        assert_eq!((fits[0].line.baud, fits[0].frames, fits[0].certainty), (115_200, 2, Certainty::Sure));
    }

    #[test]
    fn a_scanners_codes_are_believed_after_three() {
        let mut search = search(None);
        for (n, done) in [(1, false), (2, false), (3, true)] {
            search.heard(800, format!("LG-48213-000{n}\r").as_bytes(), 0);
            assert_eq!(matches!(search.look(500), Next::Done), done, "{n}");
        }
        assert_eq!(search.fits()[0].profile.name, "scanner-cr");
    }

    #[test]
    fn a_line_that_fits_nowhere_ends_after_every_setting_and_one_that_never_pauses_is_judged() {
        let mut search = search(None);
        let mut turns = 1;
        loop {
            search.heard(1, &[0xF8; ENOUGH_BYTES], 100);
            match search.look(0) {
                Next::Turn { .. } => turns += 1,
                Next::Done => break,
                Next::Listen => panic!("a turn must end"),
            }
        }
        assert_eq!(turns, settings(&search.profiles).len());
        assert!(search.fits().is_empty());
    }

    #[test]
    fn at_a_known_setting_there_is_one_turn() {
        let mut search = search(Some(Line { baud: 57_600, ..Line::COMMON }));
        search.heard(1, b"\xF8\x1E\x00", 1);
        assert!(matches!(search.look(500), Next::Done));
        assert!(search.fits().is_empty());
    }
}
