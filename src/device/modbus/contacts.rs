//! What is read of a module again and again: contacts and counters that gates are wired to, in as few questions as their addresses allow. Pure.

use crate::codec::ModuleMap;
use crate::codec::modbus::{Answer, Request};
use crate::device::count::{Counted, Counter};
use crate::device::{Contact, Wiring};

/// A contact is asked for this often: a turnstile's passage output is on for 100 ms and more.
const CONTACT_MS: u64 = 40;
/// A counter is asked for this often: it forgets nothing in between.
const COUNTER_MS: u64 = 100;
/// A contact that went off and is on again sooner has bounced.
const BOUNCE_MS: u64 = 60;

/// What a point is there for, by the number of its wiring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Passage(usize),
    Free(usize),
}

/// Seen at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// So many guests at the gate of this wiring.
    Passed(usize, u32),
    /// The gate of this wiring is free, or no longer.
    Free(usize, bool),
    /// The counter of this wiring's gate jumped; nobody is counted.
    Jumped(usize, u32),
}

/// A contact's past.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    /// `None` until it was read.
    on: Option<bool>,
    off_since: u64,
}

impl Edge {
    /// A guest has come: it went on, after it was off for longer than it bounces. The first reading is a baseline.
    fn rises(&mut self, on: bool, now: u64) -> bool {
        let before = self.on.replace(on);
        if before == Some(true) && !on {
            self.off_since = now;
        }
        before == Some(false) && on && now.saturating_sub(self.off_since) >= BOUNCE_MS
    }
}

#[derive(Debug)]
struct Point {
    address: u16,
    purpose: Purpose,
    edge: Edge,
    counter: Counter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    Discrete,
    Input,
    Holding,
}

/// Points of one table whose addresses follow each other: one question.
#[derive(Debug)]
pub(super) struct Run {
    table: Table,
    first: u16,
    count: u16,
    points: Vec<Point>,
    /// When it is asked next.
    pub(super) due: u64,
}

/// The runs of a module's wirings.
pub(super) fn runs(map: &ModuleMap, wirings: &[Wiring]) -> Vec<Run> {
    let mut points: Vec<(Table, Point)> = Vec::new();
    let mut add = |table, address, purpose| {
        points.push((table, Point { address, purpose, edge: Edge::default(), counter: Counter::of_bits(16) }));
    };
    for (at, wiring) in wirings.iter().enumerate() {
        match wiring.passage {
            Some(Contact::Input(number)) => {
                if let Some(input) = map.input(number) {
                    add(Table::Discrete, input.discrete, Purpose::Passage(at));
                }
            }
            Some(Contact::Counter(number)) => {
                if let Some(counter) = map.counter(number) {
                    add(if counter.holding { Table::Holding } else { Table::Input }, counter.register, Purpose::Passage(at));
                }
            }
            None => {}
        }
        if let Some(input) = wiring.free.and_then(|number| map.input(number)) {
            add(Table::Discrete, input.discrete, Purpose::Free(at));
        }
    }
    points.sort_by_key(|(table, point)| (*table, point.address));
    let mut runs: Vec<Run> = Vec::new();
    for (table, point) in points {
        match runs.last_mut() {
            // Only addresses without a gap: a module need not have what lies between.
            Some(run) if run.table == table && point.address <= run.first.saturating_add(run.count) && run.count < 16 => {
                run.count = run.count.max(point.address.saturating_sub(run.first) + 1);
                run.points.push(point);
            }
            _ => runs.push(Run { table, first: point.address, count: 1, points: vec![point], due: 0 }),
        }
    }
    runs
}

impl Run {
    /// The question.
    pub(super) fn request(&self) -> Request {
        match self.table {
            Table::Discrete => Request::ReadDiscrete { first: self.first, count: self.count },
            Table::Input => Request::ReadInput { first: self.first, count: self.count },
            Table::Holding => Request::ReadHolding { first: self.first, count: self.count },
        }
    }

    /// It was answered: what is seen, and when to ask again.
    pub(super) fn answered(&mut self, answer: &Answer, now: u64, seen: &mut Vec<Seen>) {
        self.due = now + if self.table == Table::Discrete { CONTACT_MS } else { COUNTER_MS };
        for point in &mut self.points {
            let at = usize::from(point.address.saturating_sub(self.first));
            match (answer, point.purpose) {
                (Answer::Bits(bits), Purpose::Passage(wiring)) => {
                    let risen = bits.get(at).is_some_and(|on| point.edge.rises(*on, now));
                    seen.extend(risen.then_some(Seen::Passed(wiring, 1)));
                }
                (Answer::Bits(bits), Purpose::Free(wiring)) => {
                    if let Some(on) = bits.get(at)
                        && point.edge.on.replace(*on) != Some(*on)
                    {
                        seen.push(Seen::Free(wiring, *on));
                    }
                }
                (Answer::Words(words), Purpose::Passage(wiring)) => match words.get(at).map(|word| point.counter.read(u32::from(*word), now)) {
                    Some(Counted::Passed(count)) if count > 0 => seen.push(Seen::Passed(wiring, count)),
                    Some(Counted::Jumped { by }) => seen.push(Seen::Jumped(wiring, by)),
                    _ => {}
                },
                _ => {}
            }
        }
    }

    /// The module was away: what is read next is a baseline, and whether a gate is free is told anew.
    pub(super) fn forget(&mut self) {
        self.due = 0;
        for point in &mut self.points {
            point.edge = Edge::default();
            point.counter.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Direction, GateId};

    fn wiring(passage: Option<Contact>, free: Option<u16>) -> Wiring {
        Wiring { gate: GateId::from("n1"), direction: Direction::In, open: None, passage, free }
    }

    #[test]
    fn neighbours_are_asked_for_at_once_and_gaps_are_not_asked_for() {
        let map = ModuleMap::builtin("wb-mr6c").unwrap();
        let wirings = [
            wiring(Some(Contact::Counter(1)), Some(0)),
            wiring(Some(Contact::Counter(2)), Some(0)),
            wiring(Some(Contact::Counter(0)), None),
            wiring(Some(Contact::Input(1)), None),
        ];
        let requests: Vec<Request> = runs(&map, &wirings).iter().map(Run::request).collect();
        let expected = [
            Request::ReadDiscrete { first: 0, count: 1 },
            Request::ReadDiscrete { first: 7, count: 1 },
            Request::ReadInput { first: 32, count: 2 },
            Request::ReadInput { first: 39, count: 1 },
        ];
        assert_eq!(requests, expected);
    }

    #[test]
    fn a_contact_counts_its_rising_edges_and_no_bounce() {
        let map = ModuleMap::builtin("modbus-generic").unwrap();
        let mut run = runs(&map, &[wiring(Some(Contact::Input(0)), None)]).remove(0);
        let mut seen = Vec::new();
        let readings = [(0, true), (40, true), (80, false), (120, false), (160, true), (200, false), (240, true), (280, false), (400, true)];
        for (at, on) in readings {
            run.answered(&Answer::Bits(vec![on]), at, &mut seen);
        }
        // On at first is a baseline; on at 160 is a guest; on at 240 has bounced; on at 400 is a guest.
        assert_eq!(seen, [Seen::Passed(0, 1), Seen::Passed(0, 1)]);
    }

    #[test]
    fn a_free_gate_is_told_at_first_and_when_it_changes() {
        let map = ModuleMap::builtin("modbus-generic").unwrap();
        let mut run = runs(&map, &[wiring(None, Some(3))]).remove(0);
        let mut seen = Vec::new();
        for (at, on) in [(0, false), (40, false), (80, true), (120, true), (160, false)] {
            run.answered(&Answer::Bits(vec![on]), at, &mut seen);
        }
        assert_eq!(seen, [Seen::Free(0, false), Seen::Free(0, true), Seen::Free(0, false)]);
        run.forget();
        run.answered(&Answer::Bits(vec![false]), 200, &mut seen);
        assert_eq!(seen.last(), Some(&Seen::Free(0, false)));
    }
}
