//! Problems of doors: what does not open or does not shut, who went through without being let in, and deciding without Lime.

use super::problem::{Code, Finding, Severity, Subject};
use super::snapshot::{DoorState, EntitlementsState, Snapshot};
use crate::words::{Phrase, problems as words};

/// A passage without permission is shown for so long.
const SHOWN_MS: u64 = 30 * 60_000;
/// Deciding without Lime, and having nothing to decide by, is shown once it has lasted so long.
const ALONE_MS: u64 = 60_000;
/// A device that is back within this time was only restarted.
const AWAY_MS: u64 = 5_000;

pub(super) fn find(now: &Snapshot) -> Vec<Finding> {
    let doors = now.gates.iter().filter_map(|(id, gate)| Some((id, gate.door.as_ref()?)));
    doors.flat_map(|(id, door)| of_door(id, door, now)).chain(now.entitlements.as_ref().and_then(of_entitlements)).collect()
}

fn of_entitlements(state: &EntitlementsState) -> Option<Finding> {
    let text = match (&state.version, state.age_ms) {
        _ if state.fresh => return None,
        (None, _) => Phrase::from(words::ENTITLEMENTS_NONE),
        (Some(_), Some(age)) => Phrase::from(words::ENTITLEMENTS_OLD).span("t", age),
        (Some(_), None) => Phrase::from(words::ENTITLEMENTS_UNSURE),
    };
    let one = Finding::new(Code::NO_ENTITLEMENTS, Severity::Amber, Subject::Box, text, words::CHECK_ENTITLEMENTS);
    Some(one.after(ALONE_MS).caused_by(Code::NO_NETWORK, Subject::Box))
}

fn of_door(id: &str, door: &DoorState, now: &Snapshot) -> Vec<Finding> {
    let subject = || Subject::Gate(id.to_owned());
    let mut found = Vec::new();
    let mut red = |code, text, action| found.push(Finding::new(code, Severity::Red, subject(), text, action));
    if let Some(why) = &door.does_not_open {
        red(Code::DOOR_SHUT, words::DOOR_SHUT.with("gate", id).with("why", why.as_str()), words::CHECK_DOOR);
    }
    if let Some(why) = &door.does_not_close {
        red(Code::DOOR_STUCK, words::DOOR_STUCK.with("gate", id).with("why", why.as_str()), words::CHECK_OUTPUT);
    }
    if let Some(code) = &door.fault {
        red(Code::DOOR_FAULT, words::DOOR_FAULT.with("gate", id).with("code", code.as_str()), words::CHECK_DOOR);
    }
    if door.free {
        red(Code::DOOR_FREE, words::DOOR_FREE.with("gate", id), words::CHECK_FREE);
    }
    if door.tamper {
        red(Code::DOOR_TAMPER, words::DOOR_TAMPER.with("gate", id), words::LOOK_AT_GATE);
    }
    if door.away {
        let one = Finding::new(Code::DOOR_AWAY, Severity::Red, subject(), words::DOOR_AWAY.with("gate", id), words::CHECK_DOOR);
        found.push(one.after(AWAY_MS));
    }
    if let Some(at) = door.last_unpermitted_boot_ms.filter(|at| now.boot_ms.saturating_sub(*at) < SHOWN_MS) {
        let text = words::UNPERMITTED.with("gate", id).count("n", door.unpermitted);
        found.push(Finding::new(Code::UNPERMITTED, Severity::Amber, subject(), text, words::LOOK_AT_GATE).since(Some(at)));
    }
    if let Some(since) = door.alone_since_boot_ms {
        let text = words::DECIDES_ALONE.with("gate", id).span("t", now.boot_ms.saturating_sub(since));
        let one = Finding::new(Code::DECIDES_ALONE, Severity::Amber, subject(), text, words::CHECK_NETWORK).since(Some(since)).after(ALONE_MS);
        found.push(one.caused_by(Code::NO_NETWORK, Subject::Box));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{GateState, Memory, problems};

    fn codes(door: DoorState, boot_ms: u64) -> Vec<(String, bool)> {
        let mut now = Snapshot { boot_ms, at: "2026-05-01T12:00:00+05:00".to_owned(), ..Snapshot::default() };
        now.gates.insert("n1".to_owned(), GateState { door: Some(door), ..GateState::default() });
        let mut memory = Memory::new();
        memory.observe(&now);
        let found = problems(&now, &memory);
        found.into_iter().filter(|one| one.code.starts_with("D-")).map(|one| (one.code, one.visible)).collect()
    }

    #[test]
    fn a_door_in_order_has_no_problem_and_each_trouble_has_its_own() {
        assert_eq!(codes(DoorState::default(), 0), []);
        let why = || Some("no answer".to_owned());
        let all =
            DoorState { does_not_open: why(), does_not_close: why(), fault: why(), free: true, tamper: true, away: true, ..DoorState::default() };
        let shown: Vec<String> = codes(all, 0).into_iter().map(|(code, _)| code).collect();
        assert_eq!(shown, ["D-101", "D-102", "D-103", "D-104", "D-105", "D-106"]);
    }

    #[test]
    fn deciding_without_lime_shows_once_it_lasts_and_a_passage_without_permission_for_half_an_hour() {
        let alone = DoorState { alone_since_boot_ms: Some(1_000), ..DoorState::default() };
        assert_eq!(codes(alone.clone(), 60_999), [("D-202".to_owned(), false)]);
        assert_eq!(codes(alone, 61_000), [("D-202".to_owned(), true)]);
        let passed = DoorState { unpermitted: 2, last_unpermitted_boot_ms: Some(1_000), ..DoorState::default() };
        assert_eq!(codes(passed.clone(), 2_000), [("D-201".to_owned(), true)]);
        assert_eq!(codes(passed, 1_000 + SHOWN_MS), []);
    }
}
