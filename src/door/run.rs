//! Runs one door: gives the pure machine its disk, time, Lime and devices. One task owns all of it.
//!
//! Never: an acknowledged reading that is not on disk; an order to open that outlives its guest; a closing pass given up on while the journal is open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::config::{ChargeAt, DoorConfig, Gate, Language, Policy};
use crate::device::{Actuator, NotOpened, Open, Ordered, Signal, Signalled, Told, Voice};
use crate::domain::{AtDoor, Decision, Direction, DoorEvent, DoorEventKind, GateId, Pass, PassageState, Stamp, Sync};
use crate::journal::{AppendError, Decided, Record, Store};
use crate::source::{Origin, Reading, Refused, Taken};
use crate::status::{DoorState, Hub};
use crate::tap::{Event as Tap, PassEvent};
use crate::words::door as words;

use super::machine::{Action, Event, Machine, Opening, Rules};
use super::recent::{Bars, Recent};
use super::{Answer, Authority, Commit, Entitlements, Known, Question, Used, codes, policy};

/// Readings and signals that may wait for the door's task.
const INBOX: usize = 64;
/// An order to open that has not left by then is void: the guest has stepped back.
const ORDER_MS: u64 = 2_000;
/// A device that neither acknowledges nor refuses within this time after the order is void.
const ORDER_ANSWER: Duration = Duration::from_millis(ORDER_MS + 500);
/// What a device has seen just before the time was over may still be on its way.
const IN_FLIGHT: Duration = Duration::from_millis(300);
/// Lime's client keeps the budget itself; this is for one that does not.
const BUDGET_GUARD: Duration = Duration::from_millis(200);
/// Between two tries to write what must be written.
const AGAIN: Duration = Duration::from_secs(1);
/// Outputs that are not known to be off are switched off again after this.
const CLOSE_AGAIN: Duration = Duration::from_secs(2);
/// At a stop a guest in the way is waited for so long.
const LAST_GUEST: Duration = Duration::from_secs(4);

/// What the doors of a box share.
#[derive(Clone)]
pub struct Shared {
    /// The journal.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: SharedClock,
    /// Status.
    pub hub: Arc<Hub>,
    /// The tap.
    pub tap: broadcast::Sender<Tap>,
    /// Lime, while the guest waits.
    pub authority: Arc<dyn Authority>,
    /// The entitlement snapshot.
    pub entitlements: Arc<dyn Entitlements>,
    /// Held from the question to the snapshot until its answer counts as used: one ticket is not found twice.
    pub asking: Arc<Mutex<()>>,
    /// Language of what guests are told.
    pub language: Language,
    /// True: end.
    pub stop: watch::Receiver<bool>,
}

/// One door.
pub struct Parts {
    /// Its readers; the first names the door.
    pub gates: Vec<Gate>,
    /// What its gates say.
    pub config: DoorConfig,
    /// What opens it.
    pub actuator: Arc<dyn Actuator>,
    /// What tells the guests, by gate.
    pub voices: Vec<(GateId, Arc<dyn Voice>)>,
    /// Who went in lately; shared by the doors of a service point.
    pub recent: Arc<Mutex<Recent>>,
}

/// Why a person's order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandError {
    /// A guest is in the way.
    #[error("a guest is in the way; try again in a moment")]
    Busy,
    /// It is open for everybody already.
    #[error("the gate is free: it is open already")]
    Free,
    /// The order could not be written down, so it was not given.
    #[error("the journal does not take the order, so the gate stays shut; see limegate status")]
    NotStored,
    /// The device did not open, or nobody can tell.
    #[error("the gate does not open; see limegate status")]
    NotOpened,
    /// The device did not acknowledge.
    #[error("the order was given and not acknowledged: look whether the gate is open")]
    Unknown,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

enum Inbox {
    Read(Reading, oneshot::Sender<Result<Taken, Refused>>),
    Signal(Signalled),
    Hand { who: String, reason: String, tell: oneshot::Sender<Result<(), HandError>> },
}

/// The way to a door.
#[derive(Clone)]
pub struct Door {
    inbox: mpsc::Sender<Inbox>,
}

impl Door {
    /// The way to a door, and the place where it will be: readers need the one before there are devices for the other.
    #[must_use]
    pub fn seat() -> (Self, Seat) {
        let (inbox, waiting) = mpsc::channel(INBOX);
        (Self { inbox }, Seat { waiting })
    }

    /// A medium was read. Returns when it is on disk.
    ///
    /// # Errors
    /// When it is not.
    pub async fn read(&self, reading: Reading) -> Result<Taken, Refused> {
        let (tell, told) = oneshot::channel();
        self.inbox.send(Inbox::Read(reading, tell)).await.map_err(|_| Refused::Stopping)?;
        told.await.unwrap_or(Err(Refused::Stopping))
    }

    /// A device has seen something.
    pub async fn signal(&self, signalled: Signalled) {
        // A door that has ended needs no signals.
        let _ = self.inbox.send(Inbox::Signal(signalled)).await;
    }

    /// A person on the box orders it open. Returns when the device has acknowledged; the order is in the journal by then, and before it left.
    ///
    /// # Errors
    /// When it was not opened, or nobody can tell.
    pub async fn open_by_hand(&self, who: String, reason: String) -> Result<(), HandError> {
        let (tell, told) = oneshot::channel();
        self.inbox.send(Inbox::Hand { who, reason, tell }).await.map_err(|_| HandError::Stopping)?;
        told.await.unwrap_or(Err(HandError::Stopping))
    }
}

/// Where a door will be.
pub struct Seat {
    waiting: mpsc::Receiver<Inbox>,
}

impl Seat {
    /// The door's task. It first takes the outputs off.
    pub fn run(self, shared: Shared, parts: Parts) -> impl Future<Output = ()> + Send + 'static {
        Runner::new(shared, parts).run(self.waiting)
    }
}

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

    fn stored(&mut self, visit: Uuid, result: Result<u64, AppendError>, durable_us: u64) {
        let stored = result.is_ok();
        if let Some(guest) = self.guests.get_mut(&visit) {
            match result {
                Ok(seq) => {
                    let _ = self.shared.tap.send(Tap::Pass(PassEvent::of(seq, guest.pass.clone(), durable_us)));
                    guest.answer(Ok(Taken::Stored { id: visit, seq, durable_us }));
                }
                Err(AppendError::Closed) => guest.answer(Err(Refused::Stopping)),
                Err(error) => guest.answer(Err(Refused::NotStored(error.to_string()))),
            }
        }
        self.on(Event::Stored(visit, stored));
    }

    fn asked(&mut self, visit: Uuid, answer: Answer) {
        let now = self.shared.clock.boot_ms();
        match answer {
            Answer::Granted { decision, lines, open_ms } => {
                self.status(|door| door.alone_since_boot_ms = None);
                if let Some(guest) = self.guests.get_mut(&visit) {
                    guest.lines = lines;
                    guest.open_ms = open_ms;
                    // The snapshot does not know of it yet.
                    count_used(&self.shared, &guest.pass, &decision);
                }
                self.on(Event::Answered(visit, decision));
            }
            Answer::Refused { decision, lines } => {
                self.status(|door| door.alone_since_boot_ms = None);
                if let Some(guest) = self.guests.get_mut(&visit) {
                    guest.lines = lines;
                }
                self.on(Event::Answered(visit, decision));
            }
            Answer::NoAnswer { late, .. } => {
                self.status(|door| _ = door.alone_since_boot_ms.get_or_insert(now));
                if let Some(late) = late {
                    self.work.spawn(async move {
                        match late.await {
                            Ok(answer) => Done::Late { visit, answer },
                            Err(_) => Done::Nothing,
                        }
                    });
                }
                self.on(Event::Unanswered(visit));
            }
        }
    }

    fn opened(&mut self, visit: Uuid, result: Result<(), NotOpened>) {
        let opening = match &result {
            Ok(()) => Opening::Done,
            Err(NotOpened::Unknown(_)) => Opening::Unknown,
            Err(_) => Opening::Not,
        };
        if let Err(error) = &result {
            tracing::error!(gate = %self.door(), pass = %visit, %error, "the gate was ordered open and is not known to have opened");
        }
        self.status(|door| door.does_not_open = result.err().map(|error| error.to_string()));
        // A person need not wait for the passage.
        self.answer_hand(visit, hand_result(opening));
        self.on(Event::Opened(visit, opening));
    }

    /// A device that did not answer is told again until it does: at a start its line may be slower than its door.
    fn gate_closed(&mut self, result: Result<(), NotOpened>) {
        let trouble = result.err().map(|error| error.to_string());
        if trouble != self.not_off {
            match &trouble {
                Some(error) => tracing::warn!(gate = %self.door(), %error, "the outputs of the gate are not known to be off"),
                None => tracing::info!(gate = %self.door(), "the outputs of the gate are off"),
            }
        }
        self.not_off.clone_from(&trouble);
        if trouble.is_some() {
            self.close_later();
        }
        self.status(|door| door.does_not_close = trouble);
    }

    fn close_later(&mut self) {
        if std::mem::replace(&mut self.closing_again, true) {
            return;
        }
        self.work.spawn(async {
            tokio::time::sleep(CLOSE_AGAIN).await;
            Done::CloseAgain
        });
    }

    fn closed(&mut self, pass: &Pass) {
        self.guests.remove(&pass.id);
        self.shared.hub.update(|now| now.passes += 1);
        self.shared.hub.gate(pass.gate.as_str(), |gate| {
            gate.passes += 1;
            gate.last_pass_boot_ms = Some(pass.stamp.boot_ms);
        });
        self.report();
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

    fn store(&mut self, visit: Uuid) {
        let record = match (self.guests.get(&visit), self.hands.get(&visit)) {
            (Some(guest), _) => Record::Visit(guest.pass.clone()),
            (None, Some(hand)) => Record::Door(DoorEvent {
                gate: hand.gate.clone(),
                kind: DoorEventKind::OpenedByHand,
                count: 1,
                who: Some(hand.who.clone()),
                reason: Some(hand.reason.clone()),
                stamp: self.shared.clock.stamp(),
            }),
            (None, None) => return,
        };
        let store = Arc::clone(&self.shared.store);
        self.work.spawn(async move {
            let begun = tokio::time::Instant::now();
            let result = store.append(vec![record]).await.map(|appended| appended.first);
            Done::Stored { visit, result, durable_us: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX) }
        });
    }

    fn ask(&mut self, visit: Uuid) {
        let Some(guest) = self.guests.get(&visit) else { return };
        let (authority, pass, budget) = (Arc::clone(&self.shared.authority), guest.pass.clone(), self.parts.config.budget);
        let commit = match self.parts.config.charge {
            ChargeAt::Open => Commit::Immediate,
            ChargeAt::Passage => Commit::OnPassage,
        };
        self.work.spawn(async move {
            let answer = tokio::time::timeout(budget + BUDGET_GUARD, authority.ask(&pass, commit, budget)).await;
            Done::Asked { visit, answer: answer.unwrap_or(Answer::NoAnswer { sent: true, late: None }) }
        });
    }

    fn decide_alone(&self, visit: Uuid) -> Option<Event> {
        let pass = &self.guests.get(&visit)?.pass;
        let _asking = self.shared.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let known = if self.parts.config.policy == Policy::Deny {
            Known::Unable("offline_not_allowed")
        } else {
            let (stamp, clock) = (self.shared.clock.stamp(), &self.shared.clock);
            let question = Question {
                medium: &pass.medium,
                service_point: &pass.service_point,
                direction: pass.direction,
                now_ms: stamp.wall_ms,
                error_ms: (stamp.sync == Sync::Synced).then(|| clock.error_ms().into()),
                boot_ms: stamp.boot_ms,
            };
            self.shared.entitlements.ask(question)
        };
        let decision = policy::alone(self.parts.config.policy, known);
        if decision.admitted {
            count_used(&self.shared, pass, &decision);
        }
        Some(Event::Alone(visit, decision))
    }

    fn store_decision(&mut self, visit: Uuid, decision: Decision) {
        self.status(|door| {
            door.decided += 1;
            door.last_code = Some(decision.code.clone());
            door.last_mode = Some(decision.mode);
            door.last_admitted = decision.admitted;
        });
        let event = Tap::Decided { id: visit, mode: decision.mode, admitted: decision.admitted, code: decision.code.clone() };
        let record = Record::Decided(Decided { visit, decision, stamp: self.shared.clock.stamp() });
        let (store, tap) = (Arc::clone(&self.shared.store), self.shared.tap.clone());
        self.work.spawn(async move {
            let done = store.append(vec![record]).await.is_ok();
            let _ = tap.send(event);
            Done::Durable { visit, done }
        });
    }

    fn open(&mut self, visit: Uuid) {
        let now = self.shared.clock.boot_ms();
        let direction = match self.guests.get(&visit) {
            Some(guest) => {
                self.lock_recent().let_in(visit, &guest.pass.medium, &self.door(), guest.pass.direction, now);
                guest.pass.direction
            }
            None => self.parts.gates.first().map_or(Direction::In, |gate| gate.direction),
        };
        let pulse_ms = u32::try_from(self.pulse(visit).as_millis()).unwrap_or(u32::MAX);
        let order = Open { id: visit, direction, pulse_ms, expires_boot_ms: now + ORDER_MS };
        let actuator = Arc::clone(&self.parts.actuator);
        self.work.spawn(async move { Done::Opened { visit, result: timed(actuator.open(order)).await } });
    }

    fn close_gate(&mut self) {
        let actuator = Arc::clone(&self.parts.actuator);
        self.work.spawn(async move { Done::GateClosed(timed(actuator.close()).await) });
    }

    /// Writes the pass that ends a visit, for as long as it takes.
    fn close(&mut self, visit: Uuid, decision: Decision, passage: PassageState) {
        let Some(guest) = self.guests.get_mut(&visit) else { return };
        let mut pass = guest.pass.clone();
        if !decision.admitted || passage == PassageState::NotPassed {
            self.shared.entitlements.released(visit);
            self.lock_recent().not_passed(visit, &pass.medium);
        }
        let Some(guest) = self.guests.get_mut(&visit) else { return };
        pass.passage = passage;
        pass.door = Some(AtDoor { decision, passage_at: Some(self.shared.clock.stamp()), late: guest.late.take() });
        let _ = self.shared.tap.send(Tap::Passage { id: visit, state: passage });
        let (store, record) = (Arc::clone(&self.shared.store), Record::Pass(pass.clone()));
        self.work.spawn(async move { if written(store.as_ref(), record).await { Done::Closed(Box::new(pass)) } else { Done::Nothing } });
    }

    /// A guest who cannot be served now is told to wait; of several, the last one stands at the reader.
    fn busy(&mut self, visit: Uuid) {
        self.answer_hand(visit, Err(HandError::Busy));
        let Some(guest) = self.guests.remove(&visit) else { return };
        self.tell(&guest.pass.gate, &Told::Wait);
        if let Some(mut before) = self.next.replace(guest) {
            before.answer(Ok(Taken::Repeated));
        }
    }

    fn ready(&mut self) -> Option<Event> {
        if let Some(gate) = self.told_to_go.take() {
            self.tell(&gate, &Told::Ready);
        }
        let mut guest = self.next.take()?;
        let now = self.shared.clock.boot_ms();
        if u128::from(now.saturating_sub(guest.pass.stamp.boot_ms)) > self.parts.config.wait.as_millis() {
            guest.answer(Ok(Taken::Repeated));
            return None;
        }
        let (visit, direction) = (guest.pass.id, guest.pass.direction);
        let barred = self.lock_recent().bars(self.bars(), &guest.pass.medium, &self.door(), direction, now);
        self.guests.insert(visit, guest);
        Some(Event::Read { visit, direction, barred })
    }

    /// What Lime says after the fact is kept and shown; the guest is where the guest is.
    fn late(&mut self, visit: Uuid, decision: Decision) {
        tracing::warn!(gate = %self.door(), pass = %visit, admitted = decision.admitted, code = decision.code, "Lime answered after the box had decided");
        self.status(|door| door.late += 1);
        if let Some(guest) = self.guests.get_mut(&visit) {
            guest.late = Some(decision);
        }
    }

    fn alarm(&mut self, kind: DoorEventKind, count: u32) {
        let stamp = self.shared.clock.stamp();
        tracing::warn!(gate = %self.door(), ?kind, count, "something happened at the door");
        if kind == DoorEventKind::PassedWithoutPermission {
            self.status(|door| {
                door.unpermitted += u64::from(count);
                door.last_unpermitted_boot_ms = Some(stamp.boot_ms);
            });
        }
        let record = Record::Door(DoorEvent { gate: self.door(), kind, count, who: None, reason: None, stamp });
        let store = Arc::clone(&self.shared.store);
        self.work.spawn(async move {
            written(store.as_ref(), record).await;
            Done::Nothing
        });
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

/// Writes a record until it is on disk; false: the journal is closed.
async fn written(store: &dyn Store, record: Record) -> bool {
    loop {
        match store.append(vec![record.clone()]).await {
            Ok(_) => return true,
            Err(AppendError::Closed) => return false,
            Err(error) => {
                tracing::error!(%error, "what happened at a door could not be written; it is tried again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn timed(order: Ordered<'_>) -> Result<(), NotOpened> {
    let late = || Err(NotOpened::Unknown("no answer in time".to_owned()));
    tokio::time::timeout(ORDER_ANSWER, order).await.unwrap_or_else(|_| late())
}

fn hand_result(opening: Opening) -> Result<(), HandError> {
    match opening {
        Opening::Done => Ok(()),
        Opening::Not => Err(HandError::NotOpened),
        Opening::Unknown => Err(HandError::Unknown),
    }
}

/// Counts a guest who is let in on a right that the snapshot still shows as whole. Going out uses nothing.
fn count_used(shared: &Shared, pass: &Pass, decision: &Decision) {
    if pass.direction == Direction::In {
        let Stamp { boot_ms, .. } = pass.stamp;
        let used =
            Used { pass: pass.id, medium: pass.medium.clone(), decision: decision.clone(), service_point: pass.service_point.clone(), boot_ms };
        shared.entitlements.used(used);
    }
}

fn no(code: &str, lines: &[String], language: Language) -> Told {
    let lines = if lines.is_empty() { words::lines(code, false, language) } else { lines.to_vec() };
    Told::No { code: code.to_owned(), lines }
}
