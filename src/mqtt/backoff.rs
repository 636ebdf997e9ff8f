//! How long to wait before the next connection. Pure; the random number comes in.
//!
//! Short outages are the rule (a broker restarts, a switch reboots) and the box must be back within two seconds of the broker; long ones must not end
//! in a storm of boxes. So: from half a second to one and a half for the first minute or so, then up to half a minute; always with jitter.

use std::time::Duration;

const BASE: Duration = Duration::from_millis(500);
const QUICK_CAP: Duration = Duration::from_millis(1_500);
const SLOW_CAP: Duration = Duration::from_secs(30);
/// Attempts, a good minute of them, before the slow cap.
const QUICK_ATTEMPTS: u32 = 60;
/// A connection that lasted this long ends the series.
const STABLE: Duration = Duration::from_secs(10);

/// A series of attempts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The wait after an attempt that failed, or a connection that lasted `lasted`. `jitter` is from 0 up to 1: the wait is between half and all of the
    /// series' step.
    pub fn next(&mut self, lasted: Option<Duration>, jitter: f64) -> Duration {
        if lasted.is_some_and(|lasted| lasted >= STABLE) {
            self.attempts = 0;
        }
        let step = if self.attempts < QUICK_ATTEMPTS {
            BASE.saturating_mul(1 << self.attempts.min(8)).min(QUICK_CAP)
        } else {
            QUICK_CAP.saturating_mul(1 << (self.attempts - QUICK_ATTEMPTS).min(8)).min(SLOW_CAP)
        };
        self.attempts = self.attempts.saturating_add(1);
        step.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_minute_is_quick_and_then_it_is_slow() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..80).map(|_| backoff.next(None, 1.0)).collect();
        assert_eq!(waits[..4], [500, 1_000, 1_500, 1_500].map(Duration::from_millis));
        assert!(waits[..60].iter().sum::<Duration>() > Duration::from_secs(60));
        assert_eq!(waits[79], SLOW_CAP);
        assert_eq!(backoff.next(None, 0.0), SLOW_CAP / 2);
    }

    #[test]
    fn only_a_connection_that_lasted_ends_the_series() {
        let mut backoff = Backoff::default();
        for _ in 0..70 {
            backoff.next(Some(Duration::from_secs(1)), 1.0);
        }
        assert!(backoff.next(Some(Duration::from_secs(9)), 1.0) > QUICK_CAP);
        assert_eq!(backoff.next(Some(STABLE), 1.0), BASE);
    }
}
