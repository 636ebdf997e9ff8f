//! One reader of a line: its session, what it read and is not yet stored, and the orders under way at it.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::orders::Answer;
use super::profile::{self, Means};
use super::report::Report;
use super::Reader as Wired;
use crate::clock::Clock;
use crate::codec::osdp::{Capability, CardData, Command, Event, Keypad, Order, Outcome, Output, Session, Settings};
use crate::codec::{Presented, Repeats};
use crate::device::{Contact, NotOpened, Open, Signal, Told};
use crate::domain::Medium;
use crate::source::serial::backoff::Backoff;
use crate::source::serial::queue::Queue;
use crate::source::{Intake, Origin, Refused, Taken};

/// The same card again within this time is still the same presentation, milliseconds.
const REPEATS_MS: u64 = 1_000;
/// A light or a sound that could not be sent by then is left out, milliseconds.
const TOLD_MS: u64 = 1_000;
/// An order to close is given up after this time, milliseconds.
const CLOSE_MS: u64 = 3_000;
/// Orders whose ids are remembered.
const REMEMBERED: usize = 16;
/// Waits between attempts to store a reading.
const STORE_MS: (u64, u64) = (100, 5_000);

/// A reading on its way to disk.
pub(super) type Taking = Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send>>;

/// A door's order under way.
enum Pending {
    Open { id: Uuid, answers: Vec<Answer> },
    Off { answer: Answer },
    ReadBack { answer: Answer },
}

/// One reader.
pub(super) struct Reader {
    pub(super) wired: Wired,
    pub(super) session: Session,
    pub(super) queue: Queue,
    pub(super) report: Report,
    /// The head of the queue on its way to disk.
    pub(super) taking: Option<Taking>,
    /// The head was refused and is tried again then.
    pub(super) take_again: Option<Instant>,
    store: Backoff,
    keypad: Keypad,
    pending: BTreeMap<u64, Pending>,
    opened: VecDeque<Uuid>,
    next_tag: u64,
    inputs: Option<Vec<bool>>,
    outputs: Vec<bool>,
    local: (bool, bool),
    /// For the doors, to be sent on.
    pub(super) signals: VecDeque<Signal>,
    events: Vec<Event>,
}

impl Reader {
    pub(super) fn new(wired: Wired, settings: Settings, report: Report) -> Self {
        let queue = Queue::new(wired.wiring.gate.clone(), Repeats::new(REPEATS_MS), None);
        Self {
            wired,
            session: Session::new(settings),
            queue,
            report,
            taking: None,
            take_again: None,
            store: Backoff::new(STORE_MS.0, STORE_MS.1),
            keypad: Keypad::default(),
            pending: BTreeMap::new(),
            opened: VecDeque::new(),
            next_tag: 1,
            inputs: None,
            outputs: Vec::new(),
            local: (false, false),
            signals: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// Runs something on the session and takes in what it gives.
    pub(super) fn with<T>(&mut self, clock: &dyn Clock, what: impl FnOnce(&mut Session, &mut Vec<Event>) -> T) -> T {
        let mut events = std::mem::take(&mut self.events);
        let given = what(&mut self.session, &mut events);
        for event in events.drain(..) {
            self.event(event, clock);
        }
        self.events = events;
        // Orders that an event has made may have ended at once.
        while !self.events.is_empty() {
            for event in std::mem::take(&mut self.events) {
                self.event(event, clock);
            }
        }
        given
    }

    fn event(&mut self, event: Event, clock: &dyn Clock) {
        let now_ms = clock.boot_ms();
        match event {
            Event::Online { identity } => {
                self.inputs = None;
                self.report.online(identity, self.session.is_secure());
                self.signals.push_back(Signal::Link(true));
            }
            Event::Offline => {
                self.keypad.reset();
                self.report.offline();
                self.signals.push_back(Signal::Link(false));
            }
            Event::Trouble(trouble) => self.report.trouble(trouble),
            Event::Card(card) => self.card(&card, clock),
            Event::Keys(keys) => {
                for medium in self.keypad.pressed(&keys, now_ms) {
                    self.presented(medium, clock);
                }
            }
            Event::Local { tamper, power } => self.local(tamper, power),
            Event::Inputs(levels) => self.inputs(levels),
            Event::Outputs(levels) => self.outputs = levels,
            Event::Ended { tag, outcome } => self.ended(tag, outcome, now_ms),
        }
    }

    fn card(&mut self, card: &CardData, clock: &dyn Clock) {
        match card.medium(&self.wired.cards) {
            Ok(medium) => self.presented(medium, clock),
            Err(refusal) => self.report.refused(refusal, clock.boot_ms()),
        }
    }

    fn presented(&mut self, medium: Medium, clock: &dyn Clock) {
        self.queue.presented(Presented { medium, reader: None }, Origin::now(clock));
        self.session.hold(self.queue.is_full());
    }

    /// When the pause after the last key is over.
    pub(super) fn keypad_due_ms(&self) -> Option<u64> {
        self.keypad.due_ms()
    }

    pub(super) fn keypad_pause(&mut self, clock: &dyn Clock) {
        if let Some(medium) = self.keypad.paused(clock.boot_ms()) {
            self.presented(medium, clock);
        }
    }

    fn local(&mut self, tamper: bool, power: bool) {
        let (tamper_before, power_before) = std::mem::replace(&mut self.local, (tamper, power));
        if tamper != tamper_before {
            self.signals.push_back(Signal::Tamper(tamper));
        }
        if power != power_before {
            self.signals.push_back(Signal::Fault(power.then(|| "power".to_owned())));
        }
        self.report.local(tamper, power);
    }

    /// The first levels after a reader was found are a baseline: what happened meanwhile nobody can tell.
    fn inputs(&mut self, levels: Vec<bool>) {
        let wiring = &self.wired.wiring;
        let level = |levels: &[bool], number: u16| levels.get(usize::from(number)).copied().unwrap_or(false);
        if let (Some(Contact::Input(number)), Some(before)) = (wiring.passage, &self.inputs)
            && level(&levels, number)
            && !level(before, number)
        {
            self.signals.push_back(Signal::Passed { direction: Some(wiring.direction), count: 1 });
        }
        if let Some(number) = wiring.free {
            let before = self.inputs.as_ref().is_some_and(|before| level(before, number));
            let now = level(&levels, number);
            // A first look that finds the gate not free ends whatever was said before the reader was lost.
            if now != before || self.inputs.is_none() {
                self.signals.push_back(Signal::Free(now));
            }
        }
        self.inputs = Some(levels);
    }

    /// Sends the head of the queue on its way, unless it is under way or waits for its next attempt.
    pub(super) fn take_head(&mut self, intake: &Arc<dyn Intake>) {
        if self.taking.is_some() || self.take_again.is_some() {
            return;
        }
        if let Some(reading) = self.queue.head().cloned() {
            let intake = Arc::clone(intake);
            self.taking = Some(Box::pin(async move { intake.take(reading).await }));
        }
    }

    /// The head was stored or not.
    pub(super) fn settled(&mut self, result: &Result<Taken, Refused>, rng: &mut fastrand::Rng, clock: &dyn Clock) {
        self.taking = None;
        self.queue.settle(result);
        match result {
            Ok(_) => {
                self.store.reset();
                self.report.stored();
                if self.wired.grants {
                    self.tell(&Told::Go { lines: Vec::new() }, clock);
                }
            }
            Err(refused) => {
                let wait = self.store.failed(rng);
                self.take_again = Some(Instant::now() + Duration::from_millis(wait));
                self.report.not_stored(&refused.to_string(), self.queue.len(), clock.boot_ms());
            }
        }
        self.session.hold(self.queue.is_full());
    }

    /// Tells the guest.
    pub(super) fn tell(&mut self, told: &Told, clock: &dyn Clock) {
        let means = Means {
            led: self.session.can(Capability::LED),
            buzzer: self.session.can(Capability::BUZZER),
            text: self.session.can(Capability::TEXT),
        };
        for command in profile::commands(told, means) {
            let expires_ms = clock.boot_ms().saturating_add(TOLD_MS);
            self.with(clock, |session, out| session.order(Order { tag: 0, command, expires_ms }, out));
        }
    }

    /// Opens for one guest.
    pub(super) fn open(&mut self, order: &Open, answer: Answer, clock: &dyn Clock) {
        let Some(number) = self.output() else {
            let _ = answer.send(Err(NotOpened::NotSent("no output of this reader opens the gate".to_owned())));
            return;
        };
        if self.opened.contains(&order.id) {
            // The door may have stopped waiting.
            let _ = answer.send(Ok(()));
            return;
        }
        let same = self.pending.values_mut().find_map(|pending| match pending {
            Pending::Open { id, answers } if *id == order.id => Some(answers),
            _ => None,
        });
        if let Some(answers) = same {
            answers.push(answer);
            return;
        }
        let tenths = u16::try_from(order.pulse_ms.div_ceil(100)).unwrap_or(u16::MAX).max(1);
        let command = Command::Output { number, to: Output::OnFor { tenths } };
        self.give(command, order.expires_boot_ms, Pending::Open { id: order.id, answers: vec![answer] }, clock);
    }

    /// Takes the order back.
    pub(super) fn close(&mut self, answer: Answer, clock: &dyn Clock) {
        let Some(number) = self.output() else {
            let _ = answer.send(Err(NotOpened::NotSent("no output of this reader opens the gate".to_owned())));
            return;
        };
        let expires_ms = clock.boot_ms().saturating_add(CLOSE_MS);
        self.give(Command::Output { number, to: Output::Off }, expires_ms, Pending::Off { answer }, clock);
    }

    /// Outputs off, lights as at rest: the gateway stops.
    pub(super) fn rest(&mut self, expires_ms: u64, clock: &dyn Clock) {
        self.session.hold(true);
        for number in self.wired.outputs() {
            let command = Command::Output { number, to: Output::Off };
            self.with(clock, |session, out| session.order(Order { tag: 0, command, expires_ms }, out));
        }
        self.tell(&Told::Ready, clock);
    }

    fn output(&self) -> Option<u8> {
        self.wired.outputs().first().copied()
    }

    fn give(&mut self, command: Command, expires_ms: u64, pending: Pending, clock: &dyn Clock) {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.pending.insert(tag, pending);
        self.with(clock, |session, out| session.order(Order { tag, command, expires_ms }, out));
    }

    fn ended(&mut self, tag: u64, outcome: Outcome, now_ms: u64) {
        let result = match outcome {
            Outcome::Done => Ok(()),
            Outcome::Refused(nak) => Err(NotOpened::Refused(nak.text().to_owned())),
            Outcome::Expired => Err(NotOpened::Expired),
            Outcome::NotSent => Err(NotOpened::NotSent("the reader does not answer".to_owned())),
            Outcome::Unknown => Err(NotOpened::Unknown("the reader did not answer".to_owned())),
        };
        match self.pending.remove(&tag) {
            None => {}
            Some(Pending::Open { id, answers }) => {
                if result.is_ok() {
                    self.opened.push_back(id);
                    while self.opened.len() > REMEMBERED {
                        self.opened.pop_front();
                    }
                }
                for answer in answers {
                    let _ = answer.send(result.clone());
                }
            }
            Some(Pending::Off { answer }) if result.is_ok() => {
                let tag = self.next_tag;
                self.next_tag += 1;
                self.outputs.clear();
                self.pending.insert(tag, Pending::ReadBack { answer });
                let order = Order { tag, command: Command::OutputStatus, expires_ms: now_ms.saturating_add(CLOSE_MS) };
                self.session.order(order, &mut self.events);
            }
            Some(Pending::Off { answer }) => drop(answer.send(result)),
            Some(Pending::ReadBack { answer }) => {
                let on = self.output().and_then(|number| self.outputs.get(usize::from(number))).copied();
                let read = match on {
                    Some(true) => Err(NotOpened::Refused("the output is still on".to_owned())),
                    // A reader that cannot be read has acknowledged that it is off.
                    Some(false) | None => Ok(()),
                };
                let _ = answer.send(read);
            }
        }
    }
}
