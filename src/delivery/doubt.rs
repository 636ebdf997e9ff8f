//! What to do with a job whose last write may or may not have arrived.
//!
//! Found under its business key: it is there. Not found: the destination may still be committing it or its search may lag, so it is asked a second
//! time, at least the settle window later; only then does the job start afresh. Pure.

use std::time::Duration;

use super::backoff::millis;
use super::job::Doubt;

/// What follows from not having been found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Ask again, not before this boot time in milliseconds.
    AskAgain(Doubt, u64),
    /// It never arrived: write it anew.
    StartAfresh,
}

/// A write has just left and its outcome is unknown.
#[must_use]
pub fn begin(now_boot_ms: u64, wall_ms: i64) -> Doubt {
    Doubt { since_boot_ms: now_boot_ms, sent_wall_ms: wall_ms, missed: 0 }
}

/// The process ended between a write and its outcome.
#[must_use]
pub fn of_earlier_run(sent_wall_ms: i64) -> Doubt {
    Doubt { since_boot_ms: 0, sent_wall_ms, missed: 0 }
}

/// The destination was asked and does not have it.
#[must_use]
pub fn not_found(doubt: Doubt, now_boot_ms: u64, settle_window: Duration) -> Then {
    if doubt.missed == 0 {
        Then::AskAgain(Doubt { missed: 1, ..doubt }, now_boot_ms.saturating_add(millis(settle_window)))
    } else {
        Then::StartAfresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_starts_afresh_only_after_two_looks_a_settle_window_apart() {
        let window = Duration::from_secs(120);
        let Then::AskAgain(doubt, at) = not_found(begin(1_000, 5), 4_000, window) else { panic!("started afresh after one look") };
        assert_eq!((doubt.missed, doubt.sent_wall_ms, at), (1, 5, 124_000));
        assert_eq!(not_found(doubt, 124_000, window), Then::StartAfresh);
    }
}
