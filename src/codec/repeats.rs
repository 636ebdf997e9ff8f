//! Telling a medium that is still there from one that came again.
//!
//! Readers that report a held card over and over (RDM6300), or print it once and say `No card` when it goes (IronLogic), make one pass of one holding:
//! the same medium is a repeat until it was removed, or was not seen for the profile's time. Pure: time is passed in.

use std::collections::VecDeque;

use super::Presented;

/// Several media may lie in one field, or several readers share a line.
const REMEMBERED: usize = 8;

/// What was seen lately on one port.
#[derive(Debug)]
pub struct Repeats {
    within_ms: u64,
    seen: VecDeque<(Presented, u64)>,
}

impl Repeats {
    /// `within_ms`: a medium seen again within this time after it was last seen is a repeat. 0: nothing is.
    #[must_use]
    pub fn new(within_ms: u64) -> Self {
        Self { within_ms, seen: VecDeque::new() }
    }

    /// Whether this is a medium that is still there. `now_ms` is boot time.
    pub fn is_repeat(&mut self, presented: &Presented, now_ms: u64) -> bool {
        if self.within_ms == 0 {
            return false;
        }
        let within_ms = self.within_ms;
        self.seen.retain(|(_, last_ms)| now_ms.saturating_sub(*last_ms) < within_ms);
        let same = |(earlier, _): &&mut (Presented, u64)| {
            earlier.reader == presented.reader && earlier.medium.kind == presented.medium.kind && earlier.medium.value == presented.medium.value
        };
        if let Some((_, last_ms)) = self.seen.iter_mut().find(same) {
            *last_ms = now_ms;
            return true;
        }
        if self.seen.len() >= REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((presented.clone(), now_ms));
        false
    }

    /// The field of this reader is empty.
    pub fn removed(&mut self, reader: Option<u32>) {
        self.seen.retain(|(presented, _)| presented.reader != reader);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Medium, MediumKind, Personal};

    fn card(value: &str) -> Presented {
        let medium = Medium { kind: MediumKind::CardUid, value: Personal::new(value), raw: None, format: "test".to_owned() };
        Presented { medium, reader: None }
    }

    #[test]
    fn a_held_card_is_one_pass_however_long_it_is_held() {
        let mut repeats = Repeats::new(1_000);
        assert!(!repeats.is_repeat(&card("A1"), 5_000));
        assert!((1..100).all(|n| repeats.is_repeat(&card("A1"), 5_000 + n * 900)));
        assert!(!repeats.is_repeat(&card("A1"), 5_000 + 99 * 900 + 1_000));
    }

    #[test]
    fn a_removed_card_that_comes_again_is_a_new_pass() {
        let mut repeats = Repeats::new(60_000);
        assert!(!repeats.is_repeat(&card("A1"), 0));
        repeats.removed(None);
        assert!(!repeats.is_repeat(&card("A1"), 1));
    }

    #[test]
    fn removal_at_one_reader_of_a_line_leaves_the_others() {
        let mut repeats = Repeats::new(60_000);
        let at = |reader| Presented { reader: Some(reader), ..card("A1") };
        assert!(!repeats.is_repeat(&at(1), 0));
        assert!(!repeats.is_repeat(&at(2), 0));
        repeats.removed(Some(1));
        assert!(!repeats.is_repeat(&at(1), 1));
        assert!(repeats.is_repeat(&at(2), 1));
    }

    #[test]
    fn two_cards_in_turn_are_told_apart_and_a_crowd_stays_bounded() {
        let mut repeats = Repeats::new(60_000);
        for n in 0..1_000 {
            assert!(!repeats.is_repeat(&card(&n.to_string()), n));
            assert!(repeats.is_repeat(&card(&n.to_string()), n));
        }
        assert!(repeats.seen.len() <= REMEMBERED);
    }

    #[test]
    fn without_a_time_nothing_is_a_repeat() {
        let mut repeats = Repeats::new(0);
        assert!(!repeats.is_repeat(&card("A1"), 0));
        assert!(!repeats.is_repeat(&card("A1"), 0));
    }
}
