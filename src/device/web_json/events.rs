//! What a controller's event codes mean here. Pure. Even codes are the way in, odd ones the way out.

use uuid::Uuid;

use super::Evidence;
use super::wire::{Event, NO_CARD};
use crate::device::Signal;
use crate::domain::{Direction, PassageState};

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The controller let a card in by itself, or was told to: nothing is known of the passage yet.
    Granted,
    /// Opened over the network: our order.
    OpenedByUs,
    /// Somebody went through.
    Passed,
    /// Nobody did in time.
    NotPassed,
    /// The controller knows the card and does not let it in, or does not know it.
    Refused,
    /// Trouble at the housing or a forced door, or fire.
    Alarm(Signal),
    /// Nothing of ours.
    Other,
}

pub(super) fn meaning(event: &Event) -> Meaning {
    match event.code {
        2 | 3 | 6 | 7 | 54 | 55 => Meaning::Refused,
        4 | 5 => Meaning::Granted,
        8 | 9 => Meaning::OpenedByUs,
        12 | 13 => Meaning::Alarm(Signal::Tamper(true)),
        16 | 17 => Meaning::Passed,
        // The flag's first bit is taken for on and off: to be tried on hardware.
        38 => Meaning::Alarm(Signal::Free(event.flag & 1 == 1)),
        40 | 41 => Meaning::NotPassed,
        _ => Meaning::Other,
    }
}

pub(super) fn direction(event: &Event) -> Direction {
    if event.code.is_multiple_of(2) { Direction::In } else { Direction::Out }
}

pub(super) fn has_card(event: &Event) -> bool {
    event.card != NO_CARD
}

/// What a pass of this event would say of the passage; nothing: this event makes none, for another of the same visit does.
pub(super) fn pass(meaning: &Meaning, evidence: Evidence) -> Option<PassageState> {
    match (meaning, evidence) {
        (Meaning::Passed, Evidence::Passage) => Some(PassageState::Passed),
        (Meaning::Granted, Evidence::None) => Some(PassageState::Unknown),
        (Meaning::NotPassed, Evidence::Passage) | (Meaning::Refused, _) => Some(PassageState::NotPassed),
        _ => None,
    }
}

/// Names an event for good. The controllers number nothing, so its name is made of all it says: a repeated report has the same one. Two visits of one card
/// in one second with one outcome would be one; no gate is that quick.
pub(super) fn record(serial: u64, event: &Event) -> String {
    let all = format!("{serial}|{}|{}|{}|{}", event.time, event.card, event.code, event.flag);
    Uuid::new_v5(&NAMES, all.as_bytes()).to_string()
}

/// The namespace of those names: drawn once.
const NAMES: Uuid = Uuid::from_u128(0x6d1f_3c52_8a0e_4b7e_9c41_52a7_e0d9_4f18);

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: u64) -> Event {
        Event { code, card: "00B5009EC1A8".to_owned(), time: "2026-11-22 10:15:00".to_owned(), flag: 0 }
    }

    #[test]
    fn one_visit_makes_one_pass_whichever_event_is_its_evidence() {
        let visit =
            |codes: &[u64], evidence| -> Vec<PassageState> { codes.iter().filter_map(|code| pass(&meaning(&event(*code)), evidence)).collect() };
        assert_eq!(visit(&[4, 16], Evidence::Passage), [PassageState::Passed]);
        assert_eq!(visit(&[4, 40], Evidence::Passage), [PassageState::NotPassed]);
        assert_eq!(visit(&[5, 17], Evidence::None), [PassageState::Unknown]);
        assert_eq!(visit(&[2], Evidence::None), [PassageState::NotPassed]);
        assert_eq!(visit(&[8, 12, 38, 99], Evidence::Passage), []);
        assert_eq!((direction(&event(16)), direction(&event(17))), (Direction::In, Direction::Out));
    }

    #[test]
    fn a_repeated_report_has_the_name_of_the_first_and_any_other_has_another() {
        let first = record(44_374, &event(16));
        assert_eq!(record(44_374, &event(16)), first);
        assert_ne!(record(44_375, &event(16)), first);
        assert_ne!(record(44_374, &event(17)), first);
        assert_ne!(record(44_374, &Event { flag: 1, ..event(16) }), first);
        assert_ne!(record(44_374, &Event { time: "2026-11-22 10:15:01".to_owned(), ..event(16) }), first);
        assert!(!first.contains("B5009EC1A8"));
    }
}
