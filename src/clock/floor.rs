//! The earliest that it can be: certificates are checked against no earlier time, so that a box that woke in 1970 can still reach its servers.
//!
//! Only ever forward: a clock that shows a later time than the floor is believed, for nothing better is known. `http::tls` judges certificates by it.

use crate::domain::{Stamp, Sync};

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

#[cfg(test)]
mod tests {
    use super::super::{Clock, ManualClock};
    use super::*;

    #[test]
    fn the_floor_is_the_later_of_the_build_and_what_was_known() {
        let synced = |wall_ms| Stamp { wall_ms, ..ManualClock::synced(0).stamp() };
        let built = built_ms();
        assert!(built > 1_700_000_000_000);
        assert_eq!(tls_floor([]), built);
        assert_eq!(tls_floor([synced(built + 7), synced(3)]), built + 7);
        assert_eq!(tls_floor([Stamp { sync: Sync::Unsynced, ..synced(built + 7) }]), built);
    }
}
