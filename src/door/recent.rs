//! Who went in lately: anti-passback and cooldown. Pure, on boot time, in memory: a restart of the box begins with nobody inside.
//!
//! Never: a guest barred by a visit in which nobody went through.

use std::collections::HashMap;

use uuid::Uuid;

use crate::domain::{Direction, GateId, Medium, MediumKind, Personal};

use super::codes;

/// Media remembered; beyond it those that went in longest ago are forgotten.
const MOST: usize = 100_000;

/// How long a door remembers, milliseconds; 0: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bars {
    /// The same way again.
    pub antipassback_ms: u64,
    /// The same door again.
    pub cooldown_ms: u64,
}

#[derive(Clone, Debug)]
struct Last {
    pass: Uuid,
    door: GateId,
    direction: Direction,
    boot_ms: u64,
}

/// The doors of one service point share one of these.
#[derive(Debug, Default)]
pub struct Recent {
    media: HashMap<(MediumKind, Personal), (Last, Option<Last>)>,
}

impl Recent {
    /// Why this medium may not go in here now.
    #[must_use]
    pub fn bars(&self, bars: Bars, medium: &Medium, door: &GateId, direction: Direction, boot_ms: u64) -> Option<&'static str> {
        let (last, _) = self.media.get(&(medium.kind, medium.value.clone()))?;
        let age = boot_ms.saturating_sub(last.boot_ms);
        if last.door == *door && age < bars.cooldown_ms {
            return Some(codes::COOLDOWN);
        }
        (last.direction == direction && age < bars.antipassback_ms).then_some(codes::ANTIPASSBACK)
    }

    /// It was let in.
    pub fn let_in(&mut self, pass: Uuid, medium: &Medium, door: &GateId, direction: Direction, boot_ms: u64) {
        if self.media.len() >= MOST {
            let mut times: Vec<u64> = self.media.values().map(|(last, _)| last.boot_ms).collect();
            let (_, middle, _) = times.select_nth_unstable(MOST / 2);
            let middle = *middle;
            self.media.retain(|_, (last, _)| last.boot_ms > middle);
        }
        let last = Last { pass, door: door.clone(), direction, boot_ms };
        let before = self.media.remove(&(medium.kind, medium.value.clone())).map(|(before, _)| before);
        self.media.insert((medium.kind, medium.value.clone()), (last, before));
    }

    /// Nobody went through after all: what was before holds again.
    pub fn not_passed(&mut self, pass: Uuid, medium: &Medium) {
        let key = (medium.kind, medium.value.clone());
        if let Some((last, before)) = self.media.remove(&key) {
            if last.pass != pass {
                self.media.insert(key, (last, before));
            } else if let Some(before) = before {
                self.media.insert(key, (before, None));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARS: Bars = Bars { antipassback_ms: 60_000, cooldown_ms: 5_000 };

    fn medium() -> Medium {
        Medium { kind: MediumKind::CardUid, value: Personal::new("AC11A1A3"), raw: None, format: "t".to_owned() }
    }

    #[test]
    fn the_same_way_twice_is_barred_until_the_other_way_or_until_time_is_over() {
        let (mut recent, card) = (Recent::default(), medium());
        let (north, south) = (GateId::from("n"), GateId::from("s"));
        assert_eq!(recent.bars(BARS, &card, &north, Direction::In, 0), None);
        recent.let_in(Uuid::from_u128(1), &card, &north, Direction::In, 1_000);
        assert_eq!(recent.bars(BARS, &card, &north, Direction::In, 5_999), Some("cooldown"));
        assert_eq!(recent.bars(BARS, &card, &north, Direction::In, 6_000), Some("antipassback"));
        assert_eq!(recent.bars(BARS, &card, &south, Direction::In, 2_000), Some("antipassback"));
        assert_eq!(recent.bars(BARS, &card, &south, Direction::Out, 2_000), None);
        assert_eq!(recent.bars(BARS, &card, &south, Direction::In, 61_000), None);
        recent.let_in(Uuid::from_u128(2), &card, &south, Direction::Out, 20_000);
        assert_eq!(recent.bars(BARS, &card, &north, Direction::In, 20_001), None);
        assert_eq!(recent.bars(Bars::default(), &card, &south, Direction::Out, 20_001), None);
    }

    #[test]
    fn a_visit_in_which_nobody_went_through_bars_nobody() {
        let (mut recent, card, door) = (Recent::default(), medium(), GateId::from("n"));
        recent.let_in(Uuid::from_u128(1), &card, &door, Direction::In, 1_000);
        recent.let_in(Uuid::from_u128(2), &card, &door, Direction::Out, 2_000);
        recent.not_passed(Uuid::from_u128(2), &card);
        assert_eq!(recent.bars(BARS, &card, &door, Direction::In, 10_000), Some("antipassback"));
        recent.not_passed(Uuid::from_u128(7), &card);
        assert_eq!(recent.bars(BARS, &card, &door, Direction::In, 10_000), Some("antipassback"));
        recent.not_passed(Uuid::from_u128(1), &card);
        assert_eq!(recent.bars(BARS, &card, &door, Direction::In, 10_000), None);
    }
}
