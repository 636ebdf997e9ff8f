//! From what contacts and counters say to passages: edges and differences. Pure.
//!
//! Never: a first value, or one that the broker kept from before, taken for a passage.

use std::collections::HashMap;

/// A counter that runs on by more than this between two messages has begun anew: nobody went through so often.
const MOST_AT_ONCE: u64 = 100;
/// Where the counters of modules turn over.
const WRAP: u64 = 1 << 16;

/// What is known of a device's contacts.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    inputs: HashMap<u16, bool>,
    counters: HashMap<u16, u64>,
}

impl Contacts {
    /// A contact is closed or open. Returns whether somebody just closed it. `baseline`: this only says how it stands; `changed`: the device tells changes
    /// only, so that the first thing it says is one.
    pub fn input(&mut self, input: u16, on: bool, changed: bool, baseline: bool) -> bool {
        let before = self.inputs.insert(input, on);
        let was_open = before == Some(false) || (before.is_none() && changed);
        was_open && on && !baseline
    }

    /// What the counters count now is not heard: their next values are baselines.
    pub fn deaf(&mut self) {
        self.counters.clear();
    }

    /// A counter's value. Returns by how many it went up.
    pub fn counter(&mut self, counter: u16, value: u64, baseline: bool) -> u32 {
        let Some(before) = self.counters.insert(counter, value).filter(|_| !baseline) else { return 0 };
        let grown = if value >= before {
            value - before
        } else if before < WRAP {
            value + WRAP - before
        } else {
            return 0;
        };
        if grown > MOST_AT_ONCE { 0 } else { u32::try_from(grown).unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_value_and_kept_ones_are_baselines() {
        let mut contacts = Contacts::default();
        assert_eq!(contacts.counter(0, 1_000, false), 0);
        assert_eq!(contacts.counter(0, 1_002, false), 2);
        assert_eq!(contacts.counter(0, 1_009, true), 0, "counted while the broker was away");
        assert_eq!(contacts.counter(0, 1_010, false), 1);
        assert!(!contacts.input(0, true, false, true));
        assert!(!contacts.input(0, false, false, false));
        assert!(contacts.input(0, true, false, false));
        assert!(!contacts.input(0, true, false, false), "still closed");
        assert!(!contacts.input(1, true, false, false), "never seen open");
        assert!(contacts.input(2, true, true, false), "a change is a change");
        assert!(!contacts.input(2, true, true, false), "doubled");
    }

    #[test]
    fn a_counter_turns_over_at_sixteen_bits_and_one_that_begins_anew_is_no_crowd() {
        let mut contacts = Contacts::default();
        contacts.counter(0, 65_534, false);
        assert_eq!(contacts.counter(0, 1, false), 3);
        assert_eq!(contacts.counter(0, 40, false), 39);
        assert_eq!(contacts.counter(0, 0, false), 0, "the module has restarted");
        assert_eq!(contacts.counter(0, 1, false), 1);
        contacts.counter(1, 70_000, false);
        assert_eq!(contacts.counter(1, 5, false), 0);
    }

    proptest! {
        #[test]
        fn whatever_a_counter_says_no_crowd_comes_of_it(values in proptest::collection::vec((any::<u64>(), any::<bool>()), 0..50)) {
            let mut contacts = Contacts::default();
            for (value, baseline) in values {
                prop_assert!(u64::from(contacts.counter(0, value, baseline)) <= MOST_AT_ONCE);
            }
        }
    }
}
