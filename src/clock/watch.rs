//! When to journal an anchor. Pure: stamps in, anchors out.
//!
//! An anchor is due when the clock becomes synchronised, when a synchronised clock stepped, and once a day, so that an old one is not stretched over weeks
//! of drift.

use crate::domain::{Anchor, BootId, Stamp, Sync};

/// A synchronised clock that moves by more than this against boot time has stepped: NTP slews less than that between two looks.
const STEP_MS: i64 = 500;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Clone, Copy, Debug)]
struct Last {
    boot: BootId,
    boot_ms: u64,
    offset_ms: i64,
}

impl Last {
    fn of(stamp: &Stamp) -> Self {
        Self { boot: stamp.boot, boot_ms: stamp.boot_ms, offset_ms: offset_ms(stamp) }
    }
}

/// Watches the clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    last: Option<Last>,
    was_synced: bool,
}

impl Watch {
    /// Begins with the newest anchor in the journal: one of this boot that still holds need not be written again.
    #[must_use]
    pub fn new(newest: Option<&Anchor>) -> Self {
        Self { last: newest.map(|anchor| Last::of(&anchor.stamp)), was_synced: newest.is_some() }
    }

    /// Takes a look at the clock; about once a second is often enough. `error_ms` is how far the wall time may be off ([`super::Clock::error_ms`]). Returns
    /// an anchor that is to be journalled now.
    pub fn observe(&mut self, stamp: &Stamp, error_ms: u32) -> Option<Anchor> {
        if stamp.sync == Sync::Unsynced {
            self.was_synced = false;
            return None;
        }
        let became_synced = !std::mem::replace(&mut self.was_synced, true);
        let holds = self.last.is_some_and(|last| {
            last.boot == stamp.boot
                && offset_ms(stamp).abs_diff(last.offset_ms) <= STEP_MS.unsigned_abs()
                && stamp.boot_ms.saturating_sub(last.boot_ms) < DAY_MS
        });
        if holds && !became_synced {
            return None;
        }
        self.last = Some(Last::of(stamp));
        Some(Anchor { stamp: *stamp, error_ms })
    }

    /// This boot has an anchor.
    #[must_use]
    pub fn anchored(&self, boot: BootId) -> bool {
        self.last.is_some_and(|last| last.boot == boot)
    }
}

/// Wall time less boot time: constant while nobody steps the clock.
fn offset_ms(stamp: &Stamp) -> i64 {
    stamp.wall_ms.saturating_sub(i64::try_from(stamp.boot_ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn stamp(boot: u128, boot_ms: u64, wall_ms: i64, synced: bool) -> Stamp {
        Stamp { boot: BootId(Uuid::from_u128(boot)), boot_ms, wall_ms, sync: if synced { Sync::Synced } else { Sync::Unsynced } }
    }

    #[test]
    fn an_anchor_is_due_at_synchronisation_after_a_step_and_daily() {
        let mut watch = Watch::default();
        let mut due = |boot, boot_ms, wall_ms, synced| watch.observe(&stamp(boot, boot_ms, wall_ms, synced), 3).is_some();
        assert!(!due(1, 1_000, 1_000, false), "1970");
        assert!(due(1, 2_000, 900_002_000, true), "became synchronised");
        assert!(!due(1, 3_000, 900_003_000, true));
        assert!(!due(1, 4_000, 900_004_400, true), "slewed");
        assert!(due(1, 5_000, 900_006_000, true), "stepped");
        assert!(!due(1, 6_000, 900_007_000, false), "lost");
        assert!(due(1, 7_000, 900_008_000, true), "came back");
        assert!(!due(1, 7_000 + DAY_MS - 1, 900_008_000 + 86_399_999, true));
        assert!(due(1, 7_000 + DAY_MS, 900_008_000 + 86_400_000, true), "daily");
        assert!(due(2, 500, 990_000_000, true), "a new boot");
    }

    #[test]
    fn a_restart_in_the_same_boot_writes_no_second_anchor() {
        let anchor = Anchor { stamp: stamp(1, 1_000, 900_000_000, true), error_ms: 1 };
        let mut watch = Watch::new(Some(&anchor));
        assert!(watch.anchored(anchor.stamp.boot));
        assert_eq!(watch.observe(&stamp(1, 9_000, 900_008_000, true), 1), None);
        assert!(Watch::new(Some(&anchor)).observe(&stamp(2, 9_000, 900_900_000, true), 1).is_some());
    }
}
