//! The earliest that it can be: certificates are checked against no earlier time, so that a box that woke in 1970 can still reach its servers.
//!
//! Only ever forward: a clock that shows a later time than the floor is believed, for nothing better is known.

use std::fmt;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::domain::{Stamp, Sync};

use super::SharedClock;

/// When this program was built, milliseconds since 1970 UTC.
#[must_use]
pub fn built_ms() -> i64 {
    env!("LIMEGATE_BUILT").parse::<i64>().unwrap_or(0).saturating_mul(1000)
}

/// The later of the build and the last time that was known for certain: the latest synchronised stamp among the given, such as the journal's anchors and
/// its newest facts. Milliseconds since 1970 UTC.
#[must_use]
pub fn tls_floor(known: impl IntoIterator<Item = Stamp>) -> i64 {
    known.into_iter().filter(|stamp| stamp.sync == Sync::Synced).map(|stamp| stamp.wall_ms).fold(built_ms(), i64::max)
}

/// The time at which TLS checks certificates: for `rustls::ClientConfig::builder_with_details`.
#[derive(Clone)]
pub struct TlsTime {
    clock: SharedClock,
}

impl TlsTime {
    /// The clock's wall time, but not before its floor.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { clock }
    }
}

impl fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTime")
    }
}

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let now = self.clock.stamp().wall_ms.max(self.clock.floor_ms());
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_millis(u64::try_from(now).ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::ManualClock;
    use super::*;

    #[test]
    fn the_floor_is_the_later_of_the_build_and_what_was_known() {
        let synced = |wall_ms| Stamp { wall_ms, ..crate::clock::Clock::stamp(&ManualClock::synced(0)) };
        let built = built_ms();
        assert!(built > 1_700_000_000_000);
        assert_eq!(tls_floor([]), built);
        assert_eq!(tls_floor([synced(built + 7), synced(3)]), built + 7);
        assert_eq!(tls_floor([Stamp { sync: Sync::Unsynced, ..synced(built + 7) }]), built);
    }

    #[test]
    fn a_clock_in_1970_does_not_reach_tls() {
        let clock = Arc::new(ManualClock::synced(0));
        let time = TlsTime::new(clock.clone());
        assert_eq!(time.current_time().unwrap().as_secs(), u64::try_from(built_ms()).unwrap() / 1000);
        clock.set(|now| now.wall_ms = built_ms() + 60_000);
        assert_eq!(time.current_time().unwrap().as_secs(), u64::try_from(built_ms()).unwrap() / 1000 + 60);
    }
}
