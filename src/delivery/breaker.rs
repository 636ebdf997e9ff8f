//! Spares a remote that fails: after some failures in a row nothing is sent for a while, then one request goes ahead as a probe.
//!
//! Pure: time and randomness are handed in. Never: a remote given up for good; two probes at once.

use std::time::Duration;

use super::backoff::{Backoff, millis};

/// Failures in a row that open it.
const THRESHOLD: u32 = 3;

/// May a request go?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Yes.
    Open,
    /// Yes, and all others wait for how it ends.
    Probe,
    /// No; ask again at this boot time, milliseconds.
    Closed(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Passing,
    Resting { until_ms: u64 },
    Probing { since_ms: u64 },
}

/// A probe that never came back is forgotten after this long.
const PROBE_LIMIT_MS: u64 = 120_000;

/// The state for one remote.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    failures: u32,
    backoff: Backoff,
}

impl Breaker {
    /// Lets everything pass at first.
    #[must_use]
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { state: State::Passing, failures: 0, backoff: Backoff::new(base, cap) }
    }

    /// May a request go now? A `Probe` must be answered with `success`, `failure` or `abandon`.
    pub fn passage(&mut self, now_ms: u64) -> Passage {
        match self.state {
            State::Passing => Passage::Open,
            State::Resting { until_ms } if now_ms < until_ms => Passage::Closed(until_ms),
            State::Probing { since_ms } if now_ms < since_ms + PROBE_LIMIT_MS => Passage::Closed(now_ms + 250),
            State::Resting { .. } | State::Probing { .. } => {
                self.state = State::Probing { since_ms: now_ms };
                Passage::Probe
            }
        }
    }

    /// When the next request may go, without asking for it: `None` is now.
    #[must_use]
    pub fn rests_until(&self, now_ms: u64) -> Option<u64> {
        match self.state {
            State::Resting { until_ms } if now_ms < until_ms => Some(until_ms),
            State::Probing { since_ms } if now_ms < since_ms + PROBE_LIMIT_MS => Some(now_ms + 250),
            _ => None,
        }
    }

    /// An answer came.
    pub fn success(&mut self, now_ms: u64) {
        self.state = State::Passing;
        self.failures = 0;
        self.backoff.success(now_ms);
    }

    /// No answer came, or one that says that the remote is broken. Returns when it may be tried again.
    pub fn failure(&mut self, now_ms: u64, chance: &mut fastrand::Rng) -> u64 {
        self.failures = self.failures.saturating_add(1);
        // Requests that were under way when it closed say nothing new.
        if let State::Resting { until_ms } = self.state
            && now_ms < until_ms
        {
            return until_ms;
        }
        let until_ms = now_ms.saturating_add(millis(self.backoff.failure(now_ms, chance)));
        if self.failures >= THRESHOLD || matches!(self.state, State::Probing { .. }) {
            self.state = State::Resting { until_ms };
        }
        until_ms
    }

    /// The remote refuses us whatever we send: rest this long, then probe.
    pub fn rest(&mut self, now_ms: u64, pause: Duration) -> u64 {
        let until_ms = now_ms.saturating_add(millis(pause));
        self.failures = self.failures.saturating_add(1);
        self.state = State::Resting { until_ms };
        until_ms
    }

    /// The probe was not sent after all.
    pub fn abandon(&mut self, now_ms: u64) {
        if let State::Probing { .. } = self.state {
            self.state = State::Resting { until_ms: now_ms };
        }
    }

    /// It has closed and no answer has come since.
    #[must_use]
    pub fn failing(&self) -> bool {
        self.state != State::Passing
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> (Breaker, fastrand::Rng) {
        (Breaker::new(Duration::from_secs(1), Duration::from_secs(300)), fastrand::Rng::with_seed(5))
    }

    #[test]
    fn three_failures_in_a_row_close_it_and_one_probe_opens_it() {
        let (mut breaker, mut chance) = breaker();
        let mut until = 0;
        for at in 0..3 {
            assert_eq!(breaker.passage(at), Passage::Open);
            until = breaker.failure(at, &mut chance);
        }
        assert_eq!(breaker.passage(until - 1), Passage::Closed(until));
        assert_eq!(breaker.passage(until), Passage::Probe);
        assert!(matches!(breaker.passage(until), Passage::Closed(_)), "a second probe beside the first");
        breaker.success(until + 5);
        assert_eq!(breaker.passage(until + 5), Passage::Open);
    }

    #[test]
    fn it_tries_again_however_long_the_remote_is_gone() {
        let (mut breaker, mut chance) = breaker();
        let (mut now, mut probes) = (0, 0);
        while now < 24 * 3_600_000 {
            match breaker.passage(now) {
                Passage::Closed(until) => now = until,
                Passage::Open | Passage::Probe => {
                    probes += 1;
                    breaker.failure(now, &mut chance);
                }
            }
        }
        assert!((288..2_000).contains(&probes), "{probes} probes in a day");
    }

    #[test]
    fn a_probe_that_was_not_sent_leaves_the_way_free_for_the_next() {
        let (mut breaker, mut chance) = breaker();
        let until = (0..3).map(|at| breaker.failure(at, &mut chance)).last().unwrap();
        assert_eq!(breaker.passage(until), Passage::Probe);
        breaker.abandon(until + 1);
        assert_eq!(breaker.passage(until + 1), Passage::Probe);
    }
}
