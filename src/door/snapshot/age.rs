//! How old the snapshot is, across restarts as well as can be.
//!
//! Within a boot it is measured on boot time and the clock may say what it likes. After a reboot only a clock that is synchronised again can tell, and only
//! against a time that was good when it was written down: the box's own, if it was synchronised, else Lime's. Where neither holds, the age is unknown, and a
//! snapshot of unknown age counts as too old. Pure.

use minicbor::{Decode, Encode};

use crate::domain::{BootId, Stamp, Sync};

use super::decide::Wall;

/// Used as the greatest age where neither Lime nor the config names one: a day.
pub const DEFAULT_MAX_AGE_MS: u64 = 24 * 3_600_000;

/// When Lime last said that the snapshot is as things are: the moment at which it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Fresh {
    /// The clocks when it was asked.
    #[n(0)]
    pub asked: Stamp,
    /// When Lime made the snapshot, by Lime's clock, milliseconds since 1970 UTC.
    #[n(1)]
    pub generated_ms: Option<i64>,
}

impl Fresh {
    /// The age, milliseconds; none: it cannot be said.
    #[must_use]
    pub fn age_ms(&self, boot: BootId, boot_ms: u64, wall: Option<Wall>) -> Option<u64> {
        if self.asked.boot == boot {
            return Some(boot_ms.saturating_sub(self.asked.boot_ms));
        }
        let wall = wall?;
        let since = if self.asked.sync == Sync::Synced { Some(self.asked.wall_ms) } else { self.generated_ms };
        // A snapshot from the future: one of the two clocks is wrong, and nobody knows which.
        u64::try_from(wall.now_ms.saturating_add(wall.error_ms).saturating_sub(since?)).ok()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn fresh(boot: u128, sync: Sync, generated_ms: Option<i64>) -> Fresh {
        let asked = Stamp { boot: BootId(Uuid::from_u128(boot)), boot_ms: 5_000, wall_ms: 1_000_000, sync };
        Fresh { asked, generated_ms }
    }

    #[test]
    fn within_a_boot_the_age_is_that_of_boot_time_and_after_it_only_good_clocks_tell() {
        let this = BootId(Uuid::from_u128(1));
        let at = |now_ms| Some(Wall { now_ms, error_ms: 10 });
        for (kept, wall, age) in [
            (fresh(1, Sync::Unsynced, None), None, Some(2_000)),
            (fresh(1, Sync::Synced, None), at(-9), Some(2_000)),
            (fresh(2, Sync::Synced, None), at(1_000_090), Some(100)),
            (fresh(2, Sync::Synced, None), None, None),
            (fresh(2, Sync::Synced, None), at(999_000), None),
            (fresh(2, Sync::Unsynced, Some(900_000)), at(1_000_090), Some(100_100)),
            (fresh(2, Sync::Unsynced, None), at(1_000_090), None),
        ] {
            assert_eq!(kept.age_ms(this, 7_000, wall), age, "{kept:?} {wall:?}");
        }
    }
}
