//! The clock may lie: whatever it showed, each fact is said to be within a second of when it was, or between bounds that hold, and none changes places.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use limegate::clock::{Corrector, Watch};
use limegate::domain::{Anchor, BootId, Moment, Quality, Seq, Stamp, Sync};
use proptest::prelude::*;
use uuid::Uuid;

const DAY: i64 = 86_400_000;
const YEAR: i64 = 365 * DAY;

/// What the wall clock shows when the box wakes.
#[derive(Clone, Copy, Debug)]
enum Wakes {
    In1970,
    AYearBack,
    TenYearsAhead,
    Right,
}

/// What happens while it runs.
#[derive(Clone, Copy, Debug)]
enum Happens {
    /// Nothing, for so many milliseconds.
    Time(u64),
    /// A pass.
    Fact,
    /// NTP puts the clock right, to so many milliseconds.
    Synchronises(i64),
    /// NTP is gone for so long that the kernel no longer vouches for the clock.
    LosesSync,
    /// Somebody sets the clock; the kernel no longer vouches for it.
    SetByHand(i64),
    /// NTP corrects what it set before.
    Corrects(i64),
}

#[derive(Clone, Debug)]
struct Boot {
    off_ms: u64,
    wakes: Wakes,
    happens: Vec<Happens>,
}

fn wakes() -> impl Strategy<Value = Wakes> {
    prop_oneof![Just(Wakes::In1970), Just(Wakes::AYearBack), Just(Wakes::TenYearsAhead), Just(Wakes::Right)]
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (1u64..8 * 3_600_000).prop_map(Happens::Time),
        6 => Just(Happens::Fact),
        1 => (-400i64..400).prop_map(Happens::Synchronises),
        1 => Just(Happens::LosesSync),
        1 => (-YEAR..10 * YEAR).prop_map(Happens::SetByHand),
        1 => (-400i64..400).prop_map(Happens::Corrects),
    ]
}

fn boot() -> impl Strategy<Value = Boot> {
    (1_000u64..40 * 86_400_000, wakes(), proptest::collection::vec(happens(), 1..40)).prop_map(|(off_ms, wakes, happens)| Boot {
        off_ms,
        wakes,
        happens,
    })
}

struct Fact {
    seq: Seq,
    stamp: Stamp,
    truth: i64,
}

/// A box in a world where the truth is known.
struct World {
    truth: i64,
    boot: u128,
    boot_ms: u64,
    wall_ms: i64,
    synced: bool,
    watch: Watch,
    next: Seq,
    facts: Vec<Fact>,
    anchors: Vec<(Seq, Anchor)>,
}

impl World {
    fn stamp(&self) -> Stamp {
        let sync = if self.synced { Sync::Synced } else { Sync::Unsynced };
        Stamp { boot: BootId(Uuid::from_u128(self.boot)), boot_ms: self.boot_ms, wall_ms: self.wall_ms, sync }
    }

    fn look(&mut self) {
        if let Some(anchor) = self.watch.observe(&self.stamp(), 400) {
            self.next += 1;
            self.anchors.push((self.next, anchor));
        }
    }

    fn pass_time(&mut self, ms: u64) {
        let signed = i64::try_from(ms).unwrap();
        (self.truth, self.boot_ms, self.wall_ms) = (self.truth + signed, self.boot_ms + ms, self.wall_ms + signed);
    }

    /// `watched` is false when the power goes before the gateway looked at the clock.
    fn run(&mut self, boot: &Boot, watched: bool) {
        self.truth += i64::try_from(boot.off_ms).unwrap();
        self.boot += 1;
        self.boot_ms = 0;
        self.synced = false;
        self.wall_ms = match boot.wakes {
            Wakes::In1970 => 0,
            Wakes::AYearBack => self.truth - YEAR,
            Wakes::TenYearsAhead => self.truth + 10 * YEAR,
            Wakes::Right => self.truth,
        };
        self.pass_time(9_000);
        for happens in &boot.happens {
            match *happens {
                Happens::Time(ms) => self.pass_time(ms),
                Happens::Fact => {
                    self.next += 1;
                    self.facts.push(Fact { seq: self.next, stamp: self.stamp(), truth: self.truth });
                }
                Happens::Synchronises(off) => (self.synced, self.wall_ms) = (true, self.truth + off),
                Happens::LosesSync => self.synced = false,
                Happens::SetByHand(off) => (self.synced, self.wall_ms) = (false, self.truth + off),
                Happens::Corrects(off) if self.synced => self.wall_ms = self.truth + off,
                Happens::Corrects(_) => {}
            }
            if watched {
                self.look();
            }
            self.pass_time(20);
        }
    }
}

/// How many schedules: `LIMEGATE_TRIALS` for the long form, with `PROPTEST_RNG_SEED` to repeat one.
fn cases() -> u32 {
    std::env::var("LIMEGATE_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_fact_is_within_a_second_or_truly_bounded_and_none_changes_places(
        boots in proptest::collection::vec((boot(), prop::bool::weighted(0.9)), 1..8),
        whole: bool,
    ) {
        let mut world = World {
            truth: 1_795_342_500_000, boot: 0, boot_ms: 0, wall_ms: 0, synced: false, watch: Watch::default(), next: 0, facts: Vec::new(), anchors: Vec::new(),
        };
        for (boot, watched) in &boots {
            world.run(boot, *watched);
        }
        let mut corrector = Corrector::new();
        // The log is read back whole, or only in part and newest first: knowing less must never make a bound untrue.
        for fact in world.facts.iter().rev().filter(|fact| whole || fact.seq % 3 != 0) {
            corrector.see(fact.seq, &fact.stamp);
        }
        for (place, (seq, anchor)) in world.anchors.iter().enumerate() {
            if whole || place % 3 != 0 {
                corrector.anchor(*seq, anchor);
            } else {
                // Carried forward since.
                corrector.anchor_by(seq + 40, anchor);
            }
        }
        let mut latest = 0;
        for fact in &world.facts {
            let Moment { at_ms, quality, not_before_ms, not_after_ms } = corrector.moment(&fact.stamp);
            match quality {
                Quality::Exact | Quality::Corrected => {
                    prop_assert!((at_ms - fact.truth).abs() <= 1_000, "{quality:?}: {} ms off", at_ms - fact.truth);
                    prop_assert_eq!((not_before_ms, not_after_ms), (None, None));
                }
                Quality::Bounded => {
                    prop_assert!(not_before_ms.is_none_or(|bound| bound <= fact.truth), "it was {} ms before its bound", not_before_ms.unwrap() - fact.truth);
                    prop_assert!(not_after_ms.is_none_or(|bound| bound >= fact.truth), "it was {} ms after its bound", fact.truth - not_after_ms.unwrap());
                }
            }
            if quality != Quality::Bounded || (whole && not_after_ms.is_some()) {
                // A second for each of the two.
                prop_assert!(at_ms >= latest - 2_000, "{} ms before an earlier one", latest - at_ms);
                latest = latest.max(at_ms);
            }
        }
    }
}

#[test]
fn with_a_whole_log_a_boot_that_never_synchronised_is_bounded_on_both_sides() {
    let mut world = World {
        truth: 1_795_342_500_000,
        boot: 0,
        boot_ms: 0,
        wall_ms: 0,
        synced: false,
        watch: Watch::default(),
        next: 0,
        facts: Vec::new(),
        anchors: Vec::new(),
    };
    let synced = vec![Happens::Fact, Happens::Synchronises(0), Happens::Fact];
    let dark = vec![Happens::Fact, Happens::Time(60_000), Happens::Fact];
    for happens in [&synced, &dark, &dark, &synced] {
        world.run(&Boot { off_ms: 3_600_000, wakes: Wakes::In1970, happens: happens.clone() }, true);
    }
    let mut corrector = Corrector::new();
    world.facts.iter().for_each(|fact| corrector.see(fact.seq, &fact.stamp));
    world.anchors.iter().for_each(|(seq, anchor)| corrector.anchor(*seq, anchor));
    let bounded: Vec<_> =
        world.facts.iter().map(|fact| (fact, corrector.moment(&fact.stamp))).filter(|(_, m)| m.quality == Quality::Bounded).collect();
    assert_eq!(bounded.len(), 4);
    for (fact, moment) in bounded {
        let (from, to) = (moment.not_before_ms.unwrap(), moment.not_after_ms.unwrap());
        assert!(from <= fact.truth && fact.truth <= to && to - from < 4 * 3_600_000, "{from} {} {to}", fact.truth);
    }
}
