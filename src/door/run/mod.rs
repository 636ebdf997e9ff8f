//! Runs one door: gives the pure machine its disk, time, Lime and devices. One task owns all of it.
//!
//! Never: an acknowledged reading that is not on disk; an order to open that outlives its guest; a closing pass given up on while the journal is open.

mod acts;
mod came;
mod seat;

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::config::Language;
use crate::device::{NotOpened, Signal, Signalled, Told};
use crate::domain::{Decision, GateId, Pass, PassageState};
use crate::journal::AppendError;
use crate::source::{Origin, Reading, Refused, Taken};
use crate::status::DoorState;
use crate::words::door as words;

use self::acts::timed;
use self::seat::Inbox;
use super::machine::{Action, Event, Machine, Opening, Rules};
use super::recent::{Bars, Recent};
use super::{Answer, codes};

pub use seat::{Door, HandError, Parts, Seat, Shared};

/// What a device has seen just before the time was over may still be on its way.
const IN_FLIGHT: Duration = Duration::from_millis(300);
/// At a stop a guest in the way is waited for so long.
const LAST_GUEST: Duration = Duration::from_secs(4);

/// Something that was begun has ended.
enum Done {
    Stored { visit: Uuid, result: Result<u64, AppendError>, durable_us: u64 },
    Asked { visit: Uuid, answer: Answer },
    Late { visit: Uuid, answer: Answer },
    Durable { visit: Uuid, done: bool },
    Opened { visit: Uuid, result: Result<(), NotOpened> },
    WaitOver(Uuid),
    GateClosed(Result<(), NotOpened>),
    CloseAgain,
    Closed(Box<Pass>),
    Nothing,
}

/// A guest, from the reading to the closing pass.
struct Underway {
    pass: Pass,
    reply: Option<oneshot::Sender<Result<Taken, Refused>>>,
    lines: Vec<String>,
    open_ms: Option<u32>,
    late: Option<Decision>,
}

/// A person's order.
struct Hand {
    who: String,
    reason: String,
    gate: GateId,
    tell: oneshot::Sender<Result<(), HandError>>,
}

struct Runner {
    shared: Shared,
    parts: Parts,
    machine: Machine,
    guests: HashMap<Uuid, Underway>,
    hands: HashMap<Uuid, Hand>,
    /// The guest who was told to wait.
    next: Option<Underway>,
    /// The gate at which a guest was told to go.
    told_to_go: Option<GateId>,
    /// Why the outputs are not known to be off.
    not_off: Option<String>,
    /// They are to be switched off again.
    closing_again: bool,
    work: JoinSet<Done>,
}

impl Runner {
    fn new(shared: Shared, parts: Parts) -> Self {
        let rules = Rules { charge: parts.config.charge, evidence: parts.config.passage.is_some() };
        let machine = Machine::new(rules);
        Self {
            shared,
            parts,
            machine,
            guests: HashMap::new(),
            hands: HashMap::new(),
            next: None,
            told_to_go: None,
            not_off: None,
            closing_again: false,
            work: JoinSet::new(),
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Inbox>) {
        self.close_gate();
        self.report();
        let mut stop = self.shared.stop.clone();
        loop {
            tokio::select! {
                Some(done) = self.work.join_next() => self.done(done.unwrap_or(Done::Nothing)),
                one = inbox.recv() => match one {
                    Some(one) => self.take(one),
                    None => break,
                },
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        self.end(inbox).await;
    }

    /// A guest in the way may still go through; then the outputs are off. A visit that is left open is closed at the next start.
    async fn end(mut self, mut inbox: mpsc::Receiver<Inbox>) {
        let deadline = tokio::time::Instant::now() + LAST_GUEST;
        let mut listening = true;
        while self.machine.visit().is_some() || !self.guests.is_empty() {
            tokio::select! {
                done = self.work.join_next() => match done {
                    Some(done) => self.done(done.unwrap_or(Done::Nothing)),
                    None => break,
                },
                one = inbox.recv(), if listening => match one {
                    Some(Inbox::Signal(signalled)) => self.signal(&signalled),
                    // Dropped: whoever asked hears that the gateway is stopping.
                    Some(_) => {}
                    None => listening = false,
                },
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        self.work.shutdown().await;
        let closed = timed(self.parts.actuator.close()).await;
        self.gate_closed(closed);
    }

    fn take(&mut self, one: Inbox) {
        match one {
            Inbox::Read(reading, reply) => self.read(reading, reply),
            Inbox::Signal(signalled) => self.signal(&signalled),
            Inbox::Hand { who, reason, tell } => {
                let Some(gate) = self.parts.gates.first() else { return };
                let (visit, direction) = (Uuid::now_v7(), gate.direction);
                self.hands.insert(visit, Hand { who, reason, gate: gate.id.clone(), tell });
                self.on(Event::Hand { visit, direction });
            }
        }
    }

    fn read(&mut self, reading: Reading, reply: oneshot::Sender<Result<Taken, Refused>>) {
        let Some(gate) = self.parts.gates.iter().find(|gate| gate.id == reading.gate) else { return };
        let Origin { id, stamp } = reading.origin.unwrap_or_else(|| Origin::now(self.shared.clock.as_ref()));
        let pass = Pass {
            id,
            number: 0,
            gate: gate.id.clone(),
            service_point: gate.service_point.clone(),
            direction: reading.direction.unwrap_or(gate.direction),
            medium: reading.medium,
            device: reading.device,
            passage: PassageState::Unknown,
            stamp,
            device_ms: reading.device_ms,
            test: false,
            door: None,
        };
        let same = |one: &Underway| one.pass.id == pass.id || one.pass.medium.kind == pass.medium.kind && one.pass.medium.value == pass.medium.value;
        let in_the_way = self.machine.visit().and_then(|visit| self.guests.get(&visit));
        if in_the_way.is_some_and(same) {
            // The guest holds the card a little longer.
            let _ = reply.send(Ok(Taken::Repeated));
            return;
        }
        self.arrive(Underway { pass, reply: Some(reply), lines: Vec::new(), open_ms: None, late: None });
    }

    /// A guest stands at the door.
    fn arrive(&mut self, mut guest: Underway) {
        let now = self.shared.clock.stamp();
        let waited = now.boot_ms.saturating_sub(guest.pass.stamp.boot_ms);
        if guest.pass.stamp.boot == now.boot && u128::from(waited) > self.parts.config.wait.as_millis() {
            // Who read the card has stepped back: the gate must not open for nobody.
            guest.answer(Ok(Taken::Repeated));
            return;
        }
        let (visit, direction) = (guest.pass.id, guest.pass.direction);
        let barred = self.lock_recent().bars(self.bars(), &guest.pass.medium, &self.door(), direction, now.boot_ms);
        self.guests.insert(visit, guest);
        self.on(Event::Read { visit, direction, barred });
    }

    fn signal(&mut self, signalled: &Signalled) {
        self.name_report(signalled);
        let event = match &signalled.signal {
            Signal::Passed { direction, count } => Event::Passed { direction: *direction, count: *count },
            Signal::NotPassed { direction } => Event::NotPassed { direction: *direction },
            Signal::Free(free) => {
                self.status(|door| door.free = *free);
                Event::Free(*free)
            }
            Signal::Tamper(on) => {
                self.status(|door| door.tamper = *on);
                Event::Tamper(*on)
            }
            Signal::Link(up) => {
                self.status(|door| door.away = !*up);
                // Outputs that could not be switched off while it was away need not wait.
                if *up && self.not_off.is_some() && self.machine.visit().is_none() {
                    self.close_gate();
                }
                Event::Link(*up)
            }
            Signal::Fault(code) => {
                self.status(|door| door.fault.clone_from(code));
                return;
            }
        };
        self.on(event);
    }

    /// The device's name for its report goes with the pass: told again, also after a restart, it is known.
    fn name_report(&mut self, signalled: &Signalled) {
        let Some(record) = signalled.record.as_ref().filter(|_| matches!(signalled.signal, Signal::Passed { .. } | Signal::NotPassed { .. })) else {
            return;
        };
        if let Some(guest) = self.machine.visit().and_then(|visit| self.guests.get_mut(&visit)) {
            guest.pass.device.get_or_insert_with(|| record.clone());
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Stored { visit, result, durable_us } => self.stored(visit, result, durable_us),
            Done::Asked { visit, answer } => self.asked(visit, answer),
            Done::Late { visit, answer: Answer::Granted { decision, .. } | Answer::Refused { decision, .. } } => {
                self.on(Event::Answered(visit, decision));
            }
            Done::Late { answer: Answer::NoAnswer { .. }, .. } | Done::Nothing => {}
            Done::Durable { visit, done } => self.on(Event::Durable(visit, done)),
            Done::Opened { visit, result } => self.opened(visit, result),
            Done::WaitOver(visit) => self.on(Event::WaitOver(visit)),
            Done::GateClosed(result) => self.gate_closed(result),
            // A gate that is open for a guest is closed when its pulse or its visit ends.
            Done::CloseAgain => {
                self.closing_again = false;
                if self.machine.visit().is_none() {
                    self.close_gate();
                } else {
                    self.close_later();
                }
            }
            Done::Closed(pass) => self.closed(&pass),
        }
    }

    /// Gives the machine an event, does what it says, and gives it what comes of that at once.
    fn on(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.machine.on(event) {
                events.extend(self.act(action));
            }
        }
        self.report();
    }

    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Store(visit) => self.store(visit),
            Action::Ask(visit) => self.ask(visit),
            Action::DecideAlone(visit) => return self.decide_alone(visit),
            Action::StoreDecision(visit, decision) => self.store_decision(visit, decision),
            Action::Open(visit) => self.open(visit),
            Action::StartWait(visit) => {
                let wait = if self.parts.config.passage.is_some() { self.parts.config.wait + IN_FLIGHT } else { self.pulse(visit) };
                self.work.spawn(async move {
                    tokio::time::sleep(wait).await;
                    Done::WaitOver(visit)
                });
            }
            Action::CloseGate => self.close_gate(),
            Action::Close { visit, decision, passage } => self.close(visit, decision, passage),
            Action::HandEnded(visit, opening) => self.answer_hand(visit, hand_result(opening)),
            Action::Busy(visit) => self.busy(visit),
            Action::GateIsFree(visit) => {
                self.answer_hand(visit, Err(HandError::Free));
                if let Some(mut guest) = self.guests.remove(&visit) {
                    self.tell(&guest.pass.gate, &Told::Go { lines: words::lines("gate_free", true, self.shared.language) });
                    guest.answer(Ok(Taken::Repeated));
                }
            }
            Action::NotTaken(visit) => {
                self.answer_hand(visit, Err(HandError::NotStored));
                if let Some(guest) = self.guests.remove(&visit) {
                    self.tell(&guest.pass.gate, &no("internal", &[], self.shared.language));
                }
            }
            Action::Late(visit, decision) => self.late(visit, decision),
            Action::TellWait(visit) => self.tell_guest(visit, |_, _| Told::Wait),
            Action::TellGo(visit) => {
                self.told_to_go = self.guests.get(&visit).map(|guest| guest.pass.gate.clone());
                self.tell_guest(visit, |guest, language| {
                    let lines = if guest.lines.is_empty() { words::lines("ok", true, language) } else { guest.lines.clone() };
                    Told::Go { lines }
                });
            }
            Action::TellNo(visit, code) => self.tell_guest(visit, |guest, language| {
                // Lime's lines are about Lime's answer, not about a gate that does not open.
                let lines = if code == codes::INTERNAL { &[] } else { guest.lines.as_slice() };
                no(&code, lines, language)
            }),
            Action::Alarm(kind, count) => self.alarm(kind, count),
            Action::Ready => return self.ready(),
        }
        None
    }

    fn answer_hand(&mut self, visit: Uuid, result: Result<(), HandError>) {
        if let Some(hand) = self.hands.remove(&visit) {
            let _ = hand.tell.send(result);
        }
    }

    fn tell_guest(&self, visit: Uuid, told: impl FnOnce(&Underway, Language) -> Told) {
        if let Some(guest) = self.guests.get(&visit) {
            self.tell(&guest.pass.gate, &told(guest, self.shared.language));
        }
    }

    fn tell(&self, gate: &GateId, told: &Told) {
        self.parts.voices.iter().filter(|(at, _)| at == gate).for_each(|(_, voice)| voice.tell(told));
    }

    fn pulse(&self, visit: Uuid) -> Duration {
        let asked = self.guests.get(&visit).and_then(|guest| guest.open_ms).map(|ms| Duration::from_millis(ms.into()));
        // Lime may ask for a longer or shorter pulse, within what the config could.
        asked.map_or(self.parts.config.pulse, |asked| asked.clamp(Duration::from_millis(50), Duration::from_secs(10)))
    }

    fn bars(&self) -> Bars {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Bars { antipassback_ms: ms(self.parts.config.antipassback), cooldown_ms: ms(self.parts.config.cooldown) }
    }

    fn door(&self) -> GateId {
        self.parts.gates.first().map_or_else(|| GateId(String::new()), |gate| gate.id.clone())
    }

    fn lock_recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.parts.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self, change: impl FnOnce(&mut DoorState)) {
        self.shared.hub.gate(self.door().as_str(), |gate| change(gate.door.get_or_insert_default()));
    }

    fn report(&self) {
        let (word, visits) = (self.machine.phase().word(), self.guests.len() as u64);
        self.status(|door| {
            if door.state != word {
                word.clone_into(&mut door.state);
            }
            door.visits = visits;
        });
    }
}

impl Underway {
    fn answer(&mut self, result: Result<Taken, Refused>) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(result);
        }
    }
}

fn hand_result(opening: Opening) -> Result<(), HandError> {
    match opening {
        Opening::Done => Ok(()),
        Opening::Not => Err(HandError::NotOpened),
        Opening::Unknown => Err(HandError::Unknown),
    }
}

fn no(code: &str, lines: &[String], language: Language) -> Told {
    let lines = if lines.is_empty() { words::lines(code, false, language) } else { lines.to_vec() };
    Told::No { code: code.to_owned(), lines }
}
