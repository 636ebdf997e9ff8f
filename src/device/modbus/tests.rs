//! A module that loses questions and answers, restarts and is switched by others, against what the driver promises. Time is simulated.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::contacts::Seen;
use super::station::{Event, Station};
use crate::codec::ModuleMap;
use crate::codec::modbus::{Answer, Exception, Request};
use crate::device::{Contact, NotOpened, Open, Wiring};
use crate::domain::{Direction, GateId};

const PULSE_MS: u64 = 300;
/// A question and its answer on the line, or a wait for none.
const ANSWERED_MS: u64 = 15;
const SILENT_MS: u64 = 250;
/// A coil may be on beyond its pulse for so long while the module hears us: the write and read-back before, and a lost attempt or two.
const SLACK_MS: u64 = 3 * SILENT_MS + 10 * ANSWERED_MS;

/// What happens to the next exchanges.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Fine,
    /// The module does not hear the question.
    Deaf(u8),
    /// It does as asked, and the answer is lost.
    Mute(u8),
    Order,
    TakeBack,
    /// Guests go through.
    Guests(u16),
    /// It was without power.
    Restart,
    /// Somebody else switches the output on.
    Meddle,
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        6 => Just(Luck::Fine),
        2 => (1..4u8).prop_map(Luck::Deaf),
        2 => (1..4u8).prop_map(Luck::Mute),
        1 => (4..12u8).prop_map(Luck::Deaf),
        3 => Just(Luck::Order),
        1 => Just(Luck::TakeBack),
        2 => (1..3u16).prop_map(Luck::Guests),
        1 => Just(Luck::Restart),
        1 => Just(Luck::Meddle),
    ]
}

struct World {
    station: Station,
    now: u64,
    coil: bool,
    /// Since when it is on, by whose order.
    on_since: Option<u64>,
    /// Somebody else switched it on, and it was not written off since.
    meddled: bool,
    counter: u16,
    deaf: u8,
    mute: u8,
    /// The module heard a question of ours then.
    heard: u64,
    ons: u32,
    tickets: u64,
    /// Outcomes by ticket, and how often the coil had been switched on when the order was given.
    outcomes: BTreeMap<u64, Result<(), NotOpened>>,
    passed: u32,
    up: bool,
}

impl World {
    fn new() -> Self {
        let map = ModuleMap::builtin("wb-mr6c").unwrap();
        let wiring = Wiring { gate: GateId::from("n1"), direction: Direction::In, open: Some(0), passage: Some(Contact::Counter(1)), free: None };
        Self {
            station: Station::new(1, &map, &[wiring]),
            now: 1_000,
            coil: true,
            on_since: None,
            meddled: false,
            counter: 65_500,
            deaf: 0,
            mute: 0,
            heard: 1_000,
            ons: 0,
            tickets: 0,
            outcomes: BTreeMap::new(),
            passed: 0,
            up: false,
        }
    }

    fn module(&mut self, request: Request) -> Result<Answer, Exception> {
        self.heard = self.now;
        match request {
            Request::WriteCoil { coil: 0, on } => {
                if on && !self.coil {
                    self.ons += 1;
                    self.on_since = Some(self.now);
                }
                self.coil = on;
                if !on {
                    self.on_since = None;
                    self.meddled = false;
                }
                Ok(Answer::Written)
            }
            Request::ReadDiscrete { first: 96, .. } => Ok(Answer::Bits(vec![self.coil])),
            Request::ReadInput { .. } => Ok(Answer::Words(vec![self.counter])),
            Request::ReadHolding { .. } => Ok(Answer::Words(vec![0])),
            Request::WriteRegister { .. } => Ok(Answer::Written),
            _ => Err(Exception(2)),
        }
    }

    fn hear(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Settled(ticket, outcome) => {
                    assert!(self.outcomes.insert(ticket, outcome).is_none(), "an order has two outcomes");
                }
                Event::Seen(Seen::Passed(_, count)) => self.passed += count,
                Event::Up => {
                    self.up = true;
                    assert!(!self.coil || self.meddled, "at work with the output on");
                }
                Event::Down => self.up = false,
                _ => {}
            }
        }
    }

    /// One turn of the driver's loop.
    fn turn(&mut self) {
        let mut events = Vec::new();
        let question = self.station.next(self.now, &mut events).unwrap();
        self.hear(std::mem::take(&mut events));
        if question.due > self.now {
            self.now = question.due.min(self.now + 20);
        } else {
            let request = self.station.request(question.about).unwrap();
            if let Request::WriteCoil { on: true, .. } = request {
                assert!(self.up, "switched on before the module was at work");
            }
            let answer = if self.deaf > 0 { None } else { Some(self.module(request)) };
            self.deaf = self.deaf.saturating_sub(1);
            let lost = self.mute > 0;
            self.mute = self.mute.saturating_sub(1);
            match answer.filter(|_| !lost) {
                Some(answer) => {
                    self.now += ANSWERED_MS;
                    self.station.answered(question.about, &answer, self.now, &mut events);
                }
                None => {
                    self.now += SILENT_MS;
                    self.station.silent(question.about, self.now, &mut events);
                }
            }
            self.hear(events);
        }
        if let Some(since) = self.on_since {
            let silent = self.now.saturating_sub(self.heard);
            let on = self.now.saturating_sub(since);
            assert!(on <= PULSE_MS + SLACK_MS + silent + 2_000 * u64::from(!self.up), "on for {on} ms, unheard for {silent} ms");
        }
    }

    fn order(&mut self) {
        self.tickets += 1;
        let open = Open { id: Uuid::from_u128(u128::from(self.tickets)), direction: Direction::In, pulse_ms: 300, expires_boot_ms: self.now + 2_000 };
        let mut events = Vec::new();
        self.station.order(0, open, self.tickets, self.now, &mut events);
        self.hear(events);
    }
}

proptest! {
    #[test]
    fn whatever_is_lost_an_output_is_never_left_on_and_every_order_has_one_true_outcome(script in prop::collection::vec(luck(), 1..80)) {
        let mut world = World::new();
        for step in script {
            match step {
                Luck::Fine => (0..5).for_each(|_| world.turn()),
                Luck::Deaf(times) => world.deaf = times,
                Luck::Mute(times) => world.mute = times,
                Luck::Order => world.order(),
                Luck::TakeBack => {
                    world.tickets += 1;
                    let mut events = Vec::new();
                    world.station.close(0, world.tickets, &mut events);
                    world.hear(events);
                }
                Luck::Guests(count) => world.counter = world.counter.wrapping_add(count),
                Luck::Restart => (world.coil, world.on_since, world.counter) = (false, None, 0),
                Luck::Meddle => (world.coil, world.meddled) = (true, true),
            }
            world.turn();
        }
        // All is well from here on: every order finds its outcome, the output goes off, the module is at work.
        (world.deaf, world.mute) = (0, 0);
        for _ in 0..400 {
            world.turn();
        }
        prop_assert!(world.up && !world.coil);
        prop_assert_eq!(world.outcomes.len() as u64, world.tickets);
        let opened = world.outcomes.values().filter(|outcome| matches!(outcome, Ok(()))).count();
        prop_assert!(opened <= world.tickets as usize);
        // And what was lost costs no passage from now on.
        let before = world.passed;
        world.counter = world.counter.wrapping_add(5);
        (0..60).for_each(|_| world.turn());
        prop_assert_eq!(world.passed, before + 5);
    }

    #[test]
    fn an_order_that_certainly_did_not_open_never_switched_the_output_on(lost in prop::collection::vec(luck(), 0..12)) {
        let mut world = World::new();
        (0..120).for_each(|_| world.turn());
        prop_assert!(world.up);
        for step in lost {
            match step {
                Luck::Deaf(times) => world.deaf = times,
                Luck::Mute(times) => world.mute = times,
                _ => {}
            }
            let before = world.ons;
            world.order();
            (0..200).for_each(|_| world.turn());
            let outcome = world.outcomes.get(&world.tickets).cloned();
            match outcome {
                Some(Ok(())) => prop_assert!(world.ons > before, "said to be on, and was not"),
                Some(Err(NotOpened::NotSent(_) | NotOpened::Expired)) => prop_assert_eq!(world.ons, before, "said not to have been sent"),
                Some(Err(NotOpened::Refused(_) | NotOpened::Unknown(_))) => {}
                None => prop_assert!(false, "an order without an outcome"),
            }
            prop_assert!(!world.coil);
        }
    }
}
