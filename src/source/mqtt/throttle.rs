//! A log line that an outside party can cause at will is written at most once in ten seconds, with the number of those left out.

use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(10);

/// Counts what is not said.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    said: Option<Instant>,
    left_out: u64,
}

impl Throttle {
    /// Whether to say it now, and how many were left out since it was said last.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < EVERY) {
            self.left_out += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_mistakes_is_told_once_and_counted() {
        let mut throttle = Throttle::default();
        let begin = Instant::now();
        assert_eq!(throttle.due(begin), Some(0));
        for _ in 0..1_000 {
            assert_eq!(throttle.due(begin + EVERY / 2), None);
        }
        assert_eq!(throttle.due(begin + EVERY), Some(1_000));
    }
}
