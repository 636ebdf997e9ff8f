//! What was used here and at neighbouring gates, and is not in the snapshot yet.
//!
//! A use counts from the moment the guest is let in until a snapshot has been applied that was **asked for** after Lime had settled it: an earlier one may
//! have been made before. After that it counts for its day only, towards daily limits of which Lime does not say how often they were used. Pure: boot time is
//! handed in.
//!
//! Never: a use of our own that is forgotten before it is settled; more of the neighbours' than [`NEIGHBOURS_LIMIT`].

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::media::Hash;

/// Most uses of neighbours that are remembered; beyond it the oldest go.
pub const NEIGHBOURS_LIMIT: usize = 50_000;
/// What neighbours used is forgotten after so long, settled or not: their box may be gone for good.
pub const NEIGHBOURS_MS: u64 = 24 * 3_600_000;
/// A use that a snapshot covers is remembered so long for its day's limit: the longest day has 25 hours.
const DAY_MS: u64 = 26 * 3_600_000;

/// One use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The medium.
    pub medium: Hash,
    /// The entitlement; none: the gate was opened without knowing one.
    pub right: Option<Hash>,
    /// Minor units, where it was a deposit.
    pub amount: Option<i64>,
    /// Where.
    pub service_point: String,
    /// When, on this boot's time, milliseconds. Of an earlier boot: 0.
    pub boot_ms: u64,
    /// When, wall time, where only that is known: a use of an earlier boot.
    pub wall_ms: Option<i64>,
    /// Since when Lime has it, on this boot's time.
    pub settled_ms: Option<u64>,
    /// It was used at another gate of the venue.
    pub neighbour: bool,
}

#[derive(Clone, Debug)]
struct Kept {
    used: Use,
    /// The snapshot knows of it.
    covered: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Uses {
    all: BTreeMap<Uuid, Kept>,
    by_right: HashMap<Hash, Vec<Uuid>>,
    /// Those without an entitlement.
    by_medium: HashMap<Hash, Vec<Uuid>>,
    neighbours: usize,
}

impl Uses {
    /// Counts a use. A second one of the same pass takes the first one's place, but a neighbour's never ours. True when it is new.
    pub fn add(&mut self, pass: Uuid, used: Use) -> bool {
        let known = self.all.get(&pass).map(|kept| (kept.covered, kept.used.neighbour));
        if known.is_some_and(|(covered, neighbour)| covered || (used.neighbour && !neighbour)) {
            return false;
        }
        self.remove(pass);
        if used.neighbour {
            if self.neighbours >= NEIGHBOURS_LIMIT {
                let oldest = self.all.iter().filter(|(_, kept)| kept.used.neighbour).min_by_key(|(_, kept)| kept.used.boot_ms).map(|(pass, _)| *pass);
                oldest.map(|oldest| self.remove(oldest));
            }
            self.neighbours += 1;
        }
        self.index(&used).push(pass);
        self.all.insert(pass, Kept { used, covered: false });
        known.is_none()
    }

    /// Lime has settled it. True when it counts still.
    pub fn settled(&mut self, pass: Uuid, boot_ms: u64) -> bool {
        let Some(kept) = self.all.get_mut(&pass) else { return false };
        kept.used.settled_ms.get_or_insert(boot_ms);
        !kept.covered
    }

    /// Nobody went through: nothing was used. True when it counted.
    pub fn released(&mut self, pass: Uuid) -> bool {
        self.remove(pass).is_some_and(|kept| !kept.covered)
    }

    /// A snapshot was applied that had been asked for at this time.
    pub fn applied(&mut self, asked_boot_ms: u64, now_boot_ms: u64) {
        for kept in self.all.values_mut() {
            kept.covered |= kept.used.settled_ms.is_some_and(|settled| settled < asked_boot_ms);
        }
        let gone = |kept: &Kept| {
            let age = now_boot_ms.saturating_sub(kept.used.boot_ms);
            (kept.covered && age > DAY_MS) || (kept.used.neighbour && age > NEIGHBOURS_MS)
        };
        let gone: Vec<Uuid> = self.all.iter().filter(|(_, kept)| gone(kept)).map(|(pass, _)| *pass).collect();
        for pass in gone {
            self.remove(pass);
        }
    }

    /// Uses of an entitlement that the snapshot does not know of.
    pub fn of_right(&self, right: Hash) -> impl Iterator<Item = &Use> {
        self.listed(self.by_right.get(&right)).filter(|kept| !kept.covered).map(|kept| &kept.used)
    }

    /// All uses of an entitlement that are remembered, for its day.
    pub fn of_right_with_covered(&self, right: Hash) -> impl Iterator<Item = &Use> {
        self.listed(self.by_right.get(&right)).map(|kept| &kept.used)
    }

    /// Uses of a medium without an entitlement that the snapshot does not know of.
    pub fn of_medium(&self, medium: Hash) -> impl Iterator<Item = &Use> {
        self.listed(self.by_medium.get(&medium)).filter(|kept| !kept.covered).map(|kept| &kept.used)
    }

    /// Our own that are not settled.
    pub fn open(&self) -> impl Iterator<Item = (Uuid, &Use)> {
        self.all.iter().filter(|(_, kept)| !kept.used.neighbour && kept.used.settled_ms.is_none()).map(|(pass, kept)| (*pass, &kept.used))
    }

    /// Whether this pass is a use of our own that is remembered.
    #[must_use]
    pub fn own(&self, pass: Uuid) -> Option<&Use> {
        self.all.get(&pass).map(|kept| &kept.used).filter(|used| !used.neighbour)
    }

    /// How many count.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.values().filter(|kept| !kept.covered).count()
    }

    fn listed(&self, passes: Option<&Vec<Uuid>>) -> impl Iterator<Item = &Kept> {
        passes.map(Vec::as_slice).unwrap_or_default().iter().filter_map(|pass| self.all.get(pass))
    }

    fn index(&mut self, used: &Use) -> &mut Vec<Uuid> {
        match used.right {
            Some(right) => self.by_right.entry(right).or_default(),
            None => self.by_medium.entry(used.medium).or_default(),
        }
    }

    fn remove(&mut self, pass: Uuid) -> Option<Kept> {
        let kept = self.all.remove(&pass)?;
        self.neighbours -= usize::from(kept.used.neighbour);
        let list = self.index(&kept.used);
        list.retain(|other| *other != pass);
        if list.is_empty() {
            match kept.used.right {
                Some(right) => drop(self.by_right.remove(&right)),
                None => drop(self.by_medium.remove(&kept.used.medium)),
            }
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(boot_ms: u64, neighbour: bool) -> Use {
        let (medium, right) = (Hash([1; 16]), Some(Hash([2; 16])));
        Use { medium, right, amount: None, service_point: "sp-1".into(), boot_ms, wall_ms: None, settled_ms: None, neighbour }
    }

    fn counted(uses: &Uses) -> usize {
        uses.of_right(Hash([2; 16])).count()
    }

    #[test]
    fn a_use_counts_until_a_snapshot_that_was_asked_for_after_its_settlement() {
        let (mut uses, pass) = (Uses::default(), Uuid::from_u128(1));
        uses.add(pass, used(10, false));
        uses.applied(100, 100);
        assert_eq!(counted(&uses), 1, "not settled");
        uses.settled(pass, 200);
        uses.applied(200, 250);
        assert_eq!(counted(&uses), 1, "asked for before, or at the same time");
        uses.applied(201, 300);
        assert_eq!(counted(&uses), 0);
        assert_eq!(uses.of_right_with_covered(Hash([2; 16])).count(), 1, "for its day");
        uses.applied(DAY_MS + 500, DAY_MS + 500);
        assert!(uses.all.is_empty() && uses.by_right.is_empty());
    }

    #[test]
    fn a_neighbours_word_never_replaces_our_own_and_ends_after_a_day() {
        let (mut uses, pass) = (Uses::default(), Uuid::from_u128(1));
        assert!(uses.add(pass, used(10, false)));
        assert!(!uses.add(pass, used(10, true)));
        assert!(uses.own(pass).is_some());
        assert!(uses.add(Uuid::from_u128(2), used(10, true)));
        assert!(!uses.add(Uuid::from_u128(2), used(10, true)), "heard twice");
        assert_eq!(counted(&uses), 2);
        uses.applied(0, NEIGHBOURS_MS + 100);
        assert_eq!((counted(&uses), uses.neighbours), (1, 0));
        uses.released(pass);
        assert_eq!(counted(&uses), 0);
    }
}
