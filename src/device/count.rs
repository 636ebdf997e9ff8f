//! From what a counter reads to guests: differences modulo its width, the first reading a baseline.
//!
//! A counter that jumps by more than guests can have walked through was reset (its module restarted) or misread: what it reads is a new baseline and nobody
//! has passed. So a restarted module costs at most the passages of its own restart, and never makes 65 000 of them.

/// Guests that a reading may always add, however soon it comes.
const AT_ONCE: u64 = 8;
/// And one more for each so many milliseconds since the last one: nobody walks through a gate four times a second.
const EACH_MS: u64 = 250;
/// Time beyond this adds no more.
const LONGEST_MS: u64 = 60_000;

/// A counter of 16 or 24 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counter {
    mask: u32,
    last: Option<(u32, u64)>,
}

/// What a reading says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// The first since the device answers.
    Baseline,
    /// So many guests since the last one; often none.
    Passed(u32),
    /// It jumped; a baseline.
    Jumped {
        /// By how much.
        by: u32,
    },
}

impl Counter {
    /// A counter of so many bits, at most 32.
    pub(super) fn of_bits(bits: u32) -> Self {
        Self { mask: u32::MAX.checked_shr(32 - bits.min(32)).unwrap_or(0), last: None }
    }

    /// It reads `value` at `now_ms`.
    pub(super) fn read(&mut self, value: u32, now_ms: u64) -> Counted {
        let value = value & self.mask;
        let Some((last, then_ms)) = self.last.replace((value, now_ms)) else {
            return Counted::Baseline;
        };
        let by = value.wrapping_sub(last) & self.mask;
        let bound = AT_ONCE + now_ms.saturating_sub(then_ms).min(LONGEST_MS) / EACH_MS;
        if u64::from(by) > bound { Counted::Jumped { by } } else { Counted::Passed(by) }
    }

    /// The device was away: the next reading is a baseline.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_reading_is_a_baseline_and_a_wrap_is_counted() {
        let mut counter = Counter::of_bits(16);
        assert_eq!(counter.read(65_534, 0), Counted::Baseline);
        assert_eq!(counter.read(65_534, 100), Counted::Passed(0));
        assert_eq!(counter.read(1, 200), Counted::Passed(3));
        counter.forget();
        assert_eq!(counter.read(9, 300), Counted::Baseline);
        assert_eq!(counter.read(10, 400), Counted::Passed(1));
    }

    #[test]
    fn a_restarted_module_makes_no_passages() {
        let mut counter = Counter::of_bits(16);
        counter.read(40, 0);
        assert_eq!(counter.read(0, 100), Counted::Jumped { by: 65_496 });
        assert_eq!(counter.read(1, 200), Counted::Passed(1));
    }

    #[test]
    fn after_a_long_silence_of_the_poll_a_crowd_is_believed() {
        let mut counter = Counter::of_bits(24);
        counter.read(0xFF_FFFF, 0);
        assert_eq!(counter.read(99, 60_000), Counted::Passed(100));
        assert_eq!(counter.read(199, 60_100), Counted::Jumped { by: 100 });
    }

    proptest! {
        #[test]
        fn guests_are_neither_lost_nor_made_up_however_often_it_is_read(start in any::<u16>(), guests in prop::collection::vec(0..=4u16, 1..100)) {
            let (mut counter, mut value, mut now, mut passed) = (Counter::of_bits(16), start, 0, 0);
            counter.read(u32::from(value), now);
            for more in &guests {
                value = value.wrapping_add(*more);
                now += 100;
                match counter.read(u32::from(value), now) {
                    Counted::Passed(count) => passed += count,
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert_eq!(passed, guests.iter().map(|more| u32::from(*more)).sum::<u32>());
        }
    }
}
