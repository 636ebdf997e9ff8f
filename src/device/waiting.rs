//! Orders that wait until the pulse before them is over: the next guest of a queue. Pure: time comes in.
//!
//! Never: an order handed out after its time; more than [`MOST`] kept for one output.

use std::collections::VecDeque;

use tokio::time::Instant;

/// More orders than this do not wait for one output.
pub(super) const MOST: usize = 4;

struct One<T> {
    output: u16,
    until: Instant,
    order: T,
}

/// All that wait at one device, the oldest first.
pub(super) struct Waiting<T>(VecDeque<One<T>>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Waiting<T> {
    /// Takes an order; gives it back when too many wait for its output.
    pub fn add(&mut self, output: u16, until: Instant, order: T) -> Result<(), T> {
        if self.0.iter().filter(|one| one.output == output).count() >= MOST {
            return Err(order);
        }
        self.0.push_back(One { output, until, order });
        Ok(())
    }

    /// The oldest order whose output is free.
    pub fn take_ready(&mut self, free: impl Fn(u16) -> bool) -> Option<T> {
        let at = self.0.iter().position(|one| free(one.output))?;
        self.0.remove(at).map(|one| one.order)
    }

    /// Orders whose time is over.
    pub fn take_expired(&mut self, now: Instant) -> Vec<T> {
        self.take(|one| one.until <= now)
    }

    /// All orders for an output: they are taken back.
    pub fn take_all(&mut self, output: u16) -> Vec<T> {
        self.take(|one| one.output == output)
    }

    /// When the first one's time is over.
    pub fn next(&self) -> Option<Instant> {
        self.0.iter().map(|one| one.until).min()
    }

    fn take(&mut self, which: impl Fn(&One<T>) -> bool) -> Vec<T> {
        let (taken, left): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.0).into_iter().partition(which);
        self.0 = left;
        taken.into_iter().map(|one| one.order).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn orders_wait_in_their_turn_for_their_output_and_not_beyond_their_time() {
        let now = Instant::now();
        let later = |ms| now + Duration::from_millis(ms);
        let mut waiting = Waiting::default();
        assert_eq!((waiting.add(0, later(20), "a"), waiting.add(1, later(10), "b"), waiting.add(0, later(30), "c")), (Ok(()), Ok(()), Ok(())));
        assert_eq!((waiting.take_ready(|output| output == 1), waiting.take_ready(|_| false)), (Some("b"), None));
        assert_eq!(waiting.next(), Some(later(20)));
        assert_eq!(waiting.take_expired(later(20)), ["a"]);
        assert_eq!((waiting.take_ready(|_| true), waiting.next()), (Some("c"), None));
        for order in ["1", "2", "3", "4"] {
            assert_eq!(waiting.add(0, later(10), order), Ok(()));
        }
        assert_eq!(waiting.add(0, later(10), "5"), Err("5"));
        assert_eq!(waiting.add(1, later(10), "6"), Ok(()), "another output's");
        assert_eq!(waiting.take_all(0), ["1", "2", "3", "4"]);
        assert_eq!(waiting.take_ready(|_| true), Some("6"));
    }
}
