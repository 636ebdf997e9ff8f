//! How long to wait after a failure: full jitter, so that many boxes that lost one server do not come back as one.
//!
//! Pure: time and randomness are handed in. Never: a reset by one lucky answer in a bad hour; a wait of zero, which would spin.

use std::time::Duration;

/// A success this long after the last failure is needed before the waits become short again.
const STABLE: Duration = Duration::from_secs(60);

/// Grows with each failure, shrinks after a stable period.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
    last_failure_ms: u64,
}

impl Backoff {
    /// Waits begin below `base` and end below `cap`.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0, last_failure_ms: 0 }
    }

    /// A failure: how long to wait.
    pub fn failure(&mut self, now_ms: u64, chance: &mut fastrand::Rng) -> Duration {
        let wait = full_jitter(self.base, self.cap, self.failures, chance);
        self.failures = self.failures.saturating_add(1);
        self.last_failure_ms = now_ms;
        wait
    }

    /// A success: forgets the failures when the last one is long enough ago.
    pub fn success(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.last_failure_ms) >= millis(STABLE) {
            self.failures = 0;
        }
    }
}

/// Uniform up to `base * 2^failures`, at most `cap`, at least a tenth of `base`.
pub fn full_jitter(base: Duration, cap: Duration, failures: u32, chance: &mut fastrand::Rng) -> Duration {
    let most = millis(base).saturating_mul(1_u64.checked_shl(failures.min(32)).unwrap_or(u64::MAX)).min(millis(cap)).max(1);
    Duration::from_millis(chance.u64(0..=most).max(millis(base) / 10).max(1))
}

/// A duration in whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(300);

    #[test]
    fn waits_grow_up_to_the_cap_and_are_spread_over_the_whole_range() {
        let mut chance = fastrand::Rng::with_seed(7);
        for failures in 0..40 {
            let most = if failures < 9 { Duration::from_secs(1 << failures).min(CAP) } else { CAP };
            let waits: Vec<Duration> = (0..400).map(|_| full_jitter(BASE, CAP, failures, &mut chance)).collect();
            assert!(waits.iter().all(|wait| *wait <= most && *wait >= BASE / 10), "failures {failures}");
            assert!(waits.iter().any(|wait| *wait < most / 4) && waits.iter().any(|wait| *wait > most * 3 / 4), "failures {failures}");
        }
    }

    #[test]
    fn one_lucky_answer_in_a_bad_hour_does_not_make_the_waits_short_again() {
        let mut chance = fastrand::Rng::with_seed(7);
        let mut backoff = Backoff::new(BASE, CAP);
        for at in 0..10 {
            backoff.failure(at * 1000, &mut chance);
        }
        backoff.success(20_000);
        assert_eq!(backoff.failures, 10);
        backoff.success(9_000 + 60_000);
        assert_eq!(backoff.failures, 0);
    }
}
