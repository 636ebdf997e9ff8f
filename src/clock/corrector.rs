//! When a fact was: from its stamp, the anchors of its boot, and the boots before and after it. Pure.
//!
//! - Stamped by a synchronised clock: **exact**.
//! - Its boot has an anchor: boot time and the nearest anchor say when; **corrected**.
//! - Its boot never synchronised: **bounded**. It was not before the last known time of an earlier boot plus the boot time that had gone by since, and not
//!   after the start of a later boot less the boot time that was still to come. Boots come in the order of their sequences; wall times are not asked.
//!
//! What is not known only widens the bounds: any part of the log may be passed in, in any order, and what is said is true. Never: a bound taken from an
//! unsynchronised wall clock.

use std::collections::HashMap;

use crate::domain::{Anchor, BootId, Moment, Quality, Seq, Stamp, Sync};

#[derive(Clone, Debug, Default)]
struct Boot {
    /// A sequence that was written in it; `None` while its place among the others is not known.
    seq: Option<Seq>,
    /// The latest boot time known of it.
    last_boot_ms: u64,
    /// By boot time.
    anchors: Vec<Anchor>,
    /// A synchronised stamp: as good as an anchor, where there is none (the power went before it was written).
    synced: Option<Anchor>,
}

/// How wrong a synchronised stamp may be of which nobody journalled an error: NTP daemons step a clock that is off by less than that.
const UNKNOWN_ERROR_MS: u32 = 1_000;

impl Boot {
    fn known(&self) -> impl Iterator<Item = &Anchor> {
        self.anchors.iter().chain(self.synced.iter().filter(|_| self.anchors.is_empty()))
    }

    /// The anchor nearest to a boot time: the one with the least drift.
    fn nearest(&self, boot_ms: u64) -> Option<&Anchor> {
        self.known().min_by_key(|anchor| anchor.stamp.boot_ms.abs_diff(boot_ms))
    }

    /// Wall time at a boot time, with the error of the anchor it was taken from.
    fn wall_at(&self, boot_ms: u64) -> Option<(i64, i64)> {
        let anchor = self.nearest(boot_ms)?;
        let wall = anchor.stamp.wall_ms.saturating_sub(signed(anchor.stamp.boot_ms)).saturating_add(signed(boot_ms));
        Some((wall, i64::from(anchor.error_ms)))
    }
}

/// Corrects stamps.
#[derive(Clone, Debug, Default)]
pub struct Corrector {
    boots: HashMap<BootId, Boot>,
}

impl Corrector {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a stamp that stands in the journal at `seq`: it places its boot among the others. Facts as they are written or read back, in any
    /// order, each as often as you like.
    pub fn see(&mut self, seq: Seq, stamp: &Stamp) {
        let boot = self.boots.entry(stamp.boot).or_default();
        boot.seq = Some(boot.seq.map_or(seq, |known| known.min(seq)));
        boot.last_boot_ms = boot.last_boot_ms.max(stamp.boot_ms);
        if stamp.sync == Sync::Synced {
            boot.synced.get_or_insert(Anchor { stamp: *stamp, error_ms: UNKNOWN_ERROR_MS });
        }
    }

    /// Takes note of an anchor. Where its sequence is not at hand it corrects its own boot and tells the neighbours nothing.
    pub fn anchor(&mut self, seq: Option<Seq>, anchor: &Anchor) {
        if let Some(seq) = seq {
            self.see(seq, &anchor.stamp);
        }
        let boot = self.boots.entry(anchor.stamp.boot).or_default();
        boot.last_boot_ms = boot.last_boot_ms.max(anchor.stamp.boot_ms);
        if !boot.anchors.contains(anchor) {
            boot.anchors.push(*anchor);
        }
    }

    /// The best that can be said now of when this was. A fact of a boot that is still to synchronise may be known better later.
    #[must_use]
    pub fn moment(&self, stamp: &Stamp) -> Moment {
        if stamp.sync == Sync::Synced {
            return Moment::exact(stamp.wall_ms);
        }
        let boot = self.boots.get(&stamp.boot);
        if let Some((at_ms, _)) = boot.and_then(|boot| boot.wall_at(stamp.boot_ms)) {
            return Moment { at_ms, quality: Quality::Corrected, not_before_ms: None, not_after_ms: None };
        }
        let place = boot.and_then(|boot| Some((boot.seq?, boot.last_boot_ms)));
        let not_before_ms = place.and_then(|(seq, _)| self.not_before(seq, stamp.boot_ms));
        let not_after_ms = place.and_then(|(seq, last)| self.not_after(seq, last.saturating_sub(stamp.boot_ms)));
        let at_ms = not_after_ms.or(not_before_ms).unwrap_or(stamp.wall_ms);
        Moment { at_ms, quality: Quality::Bounded, not_before_ms, not_after_ms }
    }

    /// `gone_ms` of boot time had gone by in the boot at `seq`; each earlier boot without an anchor adds what is known of its length.
    fn not_before(&self, seq: Seq, gone_ms: u64) -> Option<i64> {
        let mut gone = signed(gone_ms);
        let mut earlier = self.placed(|other| other < seq);
        earlier.sort_unstable_by_key(|(other, _)| std::cmp::Reverse(*other));
        for (_, boot) in earlier {
            if let Some((wall, error)) = boot.wall_at(boot.last_boot_ms) {
                return Some(wall.saturating_sub(error).saturating_add(gone));
            }
            gone = gone.saturating_add(signed(boot.last_boot_ms));
        }
        None
    }

    /// `left_ms` of boot time was still to come in the boot at `seq`.
    fn not_after(&self, seq: Seq, left_ms: u64) -> Option<i64> {
        let mut left = signed(left_ms);
        let mut later = self.placed(|other| other > seq);
        later.sort_unstable_by_key(|(other, _)| *other);
        for (_, boot) in later {
            if let Some((start, error)) = boot.wall_at(0) {
                return Some(start.saturating_add(error).saturating_sub(left));
            }
            left = left.saturating_add(signed(boot.last_boot_ms));
        }
        None
    }

    fn placed(&self, wanted: impl Fn(Seq) -> bool) -> Vec<(Seq, &Boot)> {
        self.boots.values().filter_map(|boot| Some((boot.seq.filter(|seq| wanted(*seq))?, boot))).collect()
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn stamp(boot: u128, boot_ms: u64, wall_ms: i64, sync: Sync) -> Stamp {
        Stamp { boot: BootId(Uuid::from_u128(boot)), boot_ms, wall_ms, sync }
    }

    #[test]
    fn a_fact_before_the_synchronisation_is_corrected_by_its_boots_anchor() {
        let mut corrector = Corrector::new();
        corrector.anchor(None, &Anchor { stamp: stamp(1, 60_000, 1_800_000_060_000, Sync::Synced), error_ms: 5 });
        let moment = corrector.moment(&stamp(1, 10_000, 12, Sync::Unsynced));
        assert_eq!(moment, Moment { at_ms: 1_800_000_010_000, quality: Quality::Corrected, not_before_ms: None, not_after_ms: None });
    }

    #[test]
    fn a_boot_that_never_synchronised_is_bounded_by_its_neighbours() {
        let mut corrector = Corrector::new();
        corrector.anchor(Some(5), &Anchor { stamp: stamp(1, 1_000, 1_000_001_000, Sync::Synced), error_ms: 100 });
        corrector.see(9, &stamp(1, 4_000, 0, Sync::Unsynced));
        corrector.see(20, &stamp(3, 7_000, 0, Sync::Unsynced));
        corrector.see(21, &stamp(3, 9_000, 0, Sync::Unsynced));
        corrector.anchor(Some(30), &Anchor { stamp: stamp(4, 2_000, 1_000_502_000, Sync::Synced), error_ms: 10 });
        let moment = corrector.moment(&stamp(3, 7_000, 0, Sync::Unsynced));
        assert_eq!(moment.quality, Quality::Bounded);
        assert_eq!(moment.not_before_ms, Some(1_000_004_000 - 100 + 7_000));
        assert_eq!(moment.not_after_ms, Some(1_000_500_000 + 10 - 2_000));
        assert_eq!(Some(moment.at_ms), moment.not_after_ms);
    }

    #[test]
    fn a_boot_whose_place_is_not_known_bounds_nothing() {
        let mut corrector = Corrector::new();
        corrector.anchor(None, &Anchor { stamp: stamp(1, 1_000, 1_000_001_000, Sync::Synced), error_ms: 0 });
        corrector.see(20, &stamp(3, 7_000, 44, Sync::Unsynced));
        let moment = corrector.moment(&stamp(3, 7_000, 44, Sync::Unsynced));
        assert_eq!(moment, Moment { at_ms: 44, quality: Quality::Bounded, not_before_ms: None, not_after_ms: None });
    }
}
