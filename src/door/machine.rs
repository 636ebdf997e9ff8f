//! The door's state machine: IDLE, READ, DECIDE, OPEN, WAIT_PASS, then PASSED or NOT_PASSED and IDLE again; FREE and TAMPER beside. Pure: events in,
//! actions out; the runner in `run.rs` has the time, the disk, Lime and the devices.
//!
//! Never: an order to open before the decision is durable; two orders for one reading; a visit during which a passage was seen closed as not passed; a
//! passage at a closed gate without an alarm.

use uuid::Uuid;

use crate::config::ChargeAt;
use crate::domain::{Decision, DecisionMode, Direction, DoorEventKind, PassageState};

use super::codes;

/// What the machine has to know of the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// When the guest is charged.
    pub charge: ChargeAt,
    /// A passage is seen here.
    pub evidence: bool,
}

/// What became of an order to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Acknowledged.
    Done,
    /// It has certainly not opened.
    Not,
    /// It may have.
    Unknown,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A medium is read.
    Read {
        /// The visit's id.
        visit: Uuid,
        /// Which way.
        direction: Direction,
        /// The door's own rules refuse it: anti-passback or cooldown.
        barred: Option<&'static str>,
    },
    /// A person orders the gate open.
    Hand {
        /// The order's id.
        visit: Uuid,
        /// Which way.
        direction: Direction,
    },
    /// The visit, or the person's order, is on disk (`true`), or cannot be written.
    Stored(Uuid, bool),
    /// Lime has answered.
    Answered(Uuid, Decision),
    /// Lime has not, and its time is over.
    Unanswered(Uuid),
    /// What is decided without Lime.
    Alone(Uuid, Decision),
    /// The decision is on disk (`true`), or cannot be written.
    Durable(Uuid, bool),
    /// What became of the order to open.
    Opened(Uuid, Opening),
    /// Guests went through.
    Passed {
        /// Which way, where the device can tell.
        direction: Option<Direction>,
        /// How many.
        count: u32,
    },
    /// The device says that nobody did.
    NotPassed {
        /// Which way, where the device can tell.
        direction: Option<Direction>,
    },
    /// The time for the passage is over.
    WaitOver(Uuid),
    /// The gate is free (fire, or a key), or no longer.
    Free(bool),
    /// Somebody is at the housing, or no longer.
    Tamper(bool),
    /// A device of the door answers, or no longer does.
    Link(bool),
}

/// What is to be done. In this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write the visit, or the person's order; then [`Event::Stored`].
    Store(Uuid),
    /// Ask Lime; then [`Event::Answered`] or [`Event::Unanswered`].
    Ask(Uuid),
    /// Decide without Lime; then [`Event::Alone`].
    DecideAlone(Uuid),
    /// Write the decision; then [`Event::Durable`].
    StoreDecision(Uuid, Decision),
    /// Order the gate open; then [`Event::Opened`].
    Open(Uuid),
    /// Send [`Event::WaitOver`] when the time for the passage is over.
    StartWait(Uuid),
    /// Outputs off.
    CloseGate,
    /// The visit has ended: write the pass.
    Close {
        /// Which.
        visit: Uuid,
        /// What was decided.
        decision: Decision,
        /// What is known of the passage.
        passage: PassageState,
    },
    /// A person's order has ended.
    HandEnded(Uuid, Opening),
    /// The reading or the order cannot be taken now: a guest is in the way.
    Busy(Uuid),
    /// The reading is not taken: the gate is free.
    GateIsFree(Uuid),
    /// The reading, or the person's order, could not be written.
    NotTaken(Uuid),
    /// An answer of Lime that came after the box had decided without it.
    Late(Uuid, Decision),
    /// Tell the guest to wait.
    TellWait(Uuid),
    /// Tell the guest to go.
    TellGo(Uuid),
    /// Tell the guest no.
    TellNo(Uuid, String),
    /// Write down that this happened.
    Alarm(DoorEventKind, u32),
    /// The door is idle: the next, please.
    Ready,
}

/// Where the door is, for status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for a guest.
    Idle,
    /// A reading is being written.
    Read,
    /// It is being decided.
    Decide,
    /// The order to open is under way.
    Open,
    /// Open; the passage is waited for.
    WaitPass,
    /// Free.
    Free,
}

impl Phase {
    /// The word in status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Read => "read",
            Self::Decide => "decide",
            Self::Open => "open",
            Self::WaitPass => "wait_pass",
            Self::Free => "free",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Visit {
    id: Uuid,
    direction: Direction,
    hand: bool,
    barred: Option<&'static str>,
}

/// A visit for which an order to open was given. Without a decision: a person's.
#[derive(Clone, Debug, PartialEq)]
struct Let {
    visit: Visit,
    decision: Option<Decision>,
    /// Went through already.
    passed: bool,
    /// A device of the door was away, or the gate free: what was not seen may have happened.
    blind: bool,
    /// What became of the order.
    opening: Opening,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Idle,
    Storing(Visit),
    Asking(Visit),
    Alone(Visit),
    Deciding(Visit, Decision),
    Opening(Let),
    Waiting(Let),
}

/// One door.
#[derive(Clone, Debug)]
pub struct Machine {
    rules: Rules,
    state: State,
    free: bool,
    /// Guests who went through while the gate was free.
    free_count: u32,
    link: bool,
}

impl Machine {
    /// A door at rest.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, state: State::Idle, free: false, free_count: 0, link: true }
    }

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Idle if self.free => Phase::Free,
            State::Idle => Phase::Idle,
            State::Storing(_) => Phase::Read,
            State::Asking(_) | State::Alone(_) | State::Deciding(..) => Phase::Decide,
            State::Opening(_) => Phase::Open,
            State::Waiting(_) => Phase::WaitPass,
        }
    }

    /// The visit in the way.
    #[must_use]
    pub fn visit(&self) -> Option<Uuid> {
        match &self.state {
            State::Idle => None,
            State::Storing(visit) | State::Asking(visit) | State::Alone(visit) | State::Deciding(visit, _) => Some(visit.id),
            State::Opening(one) | State::Waiting(one) => Some(one.visit.id),
        }
    }

    /// Takes an event. One that no longer concerns the visit in the way changes nothing.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        match event {
            Event::Read { visit, direction, barred } => self.read(Visit { id: visit, direction, hand: false, barred }, &mut out),
            Event::Hand { visit, direction } => self.read(Visit { id: visit, direction, hand: true, barred: None }, &mut out),
            Event::Stored(id, done) => self.stored(id, done, &mut out),
            Event::Answered(id, decision) => self.answered(id, decision, &mut out),
            Event::Unanswered(id) => {
                if let State::Asking(visit) = self.state
                    && visit.id == id
                {
                    self.state = State::Alone(visit);
                    out.push(Action::DecideAlone(id));
                }
            }
            Event::Alone(id, decision) => {
                if let State::Alone(visit) = self.state
                    && visit.id == id
                {
                    self.decide(visit, decision, &mut out);
                }
            }
            Event::Durable(id, done) => self.durable(id, done, &mut out),
            Event::Opened(id, opening) => self.opened(id, opening, &mut out),
            Event::Passed { direction, count } => self.passed(direction, count, &mut out),
            Event::NotPassed { direction } => self.not_passed(direction, &mut out),
            Event::WaitOver(id) => self.wait_over(id, &mut out),
            Event::Free(free) => self.set_free(free, &mut out),
            Event::Tamper(on) => out.push(Action::Alarm(if on { DoorEventKind::Tamper } else { DoorEventKind::TamperEnded }, 0)),
            Event::Link(up) => {
                self.link = up;
                if !up && let State::Opening(one) | State::Waiting(one) = &mut self.state {
                    one.blind = true;
                }
            }
        }
        out
    }

    fn read(&mut self, visit: Visit, out: &mut Vec<Action>) {
        if self.state != State::Idle {
            out.push(Action::Busy(visit.id));
        } else if self.free {
            out.push(Action::GateIsFree(visit.id));
        } else {
            self.state = State::Storing(visit);
            out.push(Action::Store(visit.id));
        }
    }

    fn stored(&mut self, id: Uuid, done: bool, out: &mut Vec<Action>) {
        let State::Storing(visit) = self.state else { return };
        if visit.id != id {
            return;
        }
        if !done {
            out.push(Action::NotTaken(id));
            self.idle(out);
        } else if visit.hand {
            self.open(visit, None, out);
        } else if self.free {
            self.close(visit, refusal(codes::GATE_FREE), PassageState::Unknown, out);
        } else if let Some(code) = visit.barred {
            self.decide(visit, Decision { mode: DecisionMode::Device, ..refusal(code) }, out);
        } else {
            self.state = State::Asking(visit);
            out.extend([Action::TellWait(id), Action::Ask(id)]);
        }
    }

    fn answered(&mut self, id: Uuid, decision: Decision, out: &mut Vec<Action>) {
        match self.state {
            State::Asking(visit) if visit.id == id => self.decide(visit, decision, out),
            _ => out.push(Action::Late(id, decision)),
        }
    }

    fn decide(&mut self, visit: Visit, decision: Decision, out: &mut Vec<Action>) {
        self.state = State::Deciding(visit, decision.clone());
        out.push(Action::StoreDecision(visit.id, decision));
    }

    fn durable(&mut self, id: Uuid, done: bool, out: &mut Vec<Action>) {
        let State::Deciding(visit, decision) = &self.state else { return };
        if visit.id != id {
            return;
        }
        let (visit, decision) = (*visit, decision.clone());
        if !done {
            out.push(Action::TellNo(id, codes::INTERNAL.to_owned()));
            self.close(visit, refusal(codes::INTERNAL), PassageState::NotPassed, out);
        } else if !decision.admitted {
            out.push(Action::TellNo(id, decision.code.clone()));
            self.close(visit, decision, PassageState::NotPassed, out);
        } else if self.free {
            // Granted, and the gate is open for everybody: it needs no order, and nobody can tell who went.
            self.close(visit, decision, PassageState::Unknown, out);
        } else {
            self.open(visit, Some(decision), out);
        }
    }

    fn open(&mut self, visit: Visit, decision: Option<Decision>, out: &mut Vec<Action>) {
        self.state = State::Opening(Let { visit, decision, passed: false, blind: !self.link, opening: Opening::Unknown });
        out.push(Action::Open(visit.id));
    }

    fn opened(&mut self, id: Uuid, opening: Opening, out: &mut Vec<Action>) {
        let State::Opening(one) = &mut self.state else { return };
        if one.visit.id != id {
            return;
        }
        one.opening = opening;
        let one = one.clone();
        if one.passed {
            self.end(&one, PassageState::Passed, out);
        } else if opening == Opening::Not {
            out.push(Action::TellNo(id, codes::INTERNAL.to_owned()));
            self.end(&one, PassageState::NotPassed, out);
        } else {
            out.extend([Action::TellGo(id), Action::StartWait(id)]);
            self.state = State::Waiting(one);
        }
    }

    fn passed(&mut self, direction: Option<Direction>, count: u32, out: &mut Vec<Action>) {
        if count == 0 {
            return;
        }
        let fits = |one: &Let| !one.passed && direction.is_none_or(|direction| direction == one.visit.direction);
        let beyond = match &mut self.state {
            State::Opening(one) if fits(one) => {
                one.passed = true;
                count - 1
            }
            State::Waiting(one) if fits(one) => {
                let one = one.clone();
                self.end(&one, PassageState::Passed, out);
                count - 1
            }
            _ => count,
        };
        if beyond == 0 {
        } else if self.free {
            self.free_count = self.free_count.saturating_add(beyond);
        } else {
            out.push(Action::Alarm(DoorEventKind::PassedWithoutPermission, beyond));
        }
    }

    fn not_passed(&mut self, direction: Option<Direction>, out: &mut Vec<Action>) {
        if let State::Waiting(one) = &self.state
            && direction.is_none_or(|direction| direction == one.visit.direction)
        {
            let one = one.clone();
            self.end(&one, PassageState::NotPassed, out);
        }
    }

    fn wait_over(&mut self, id: Uuid, out: &mut Vec<Action>) {
        let State::Waiting(one) = &self.state else { return };
        if one.visit.id != id {
            return;
        }
        let one = one.clone();
        // That nobody was seen is proof only where passages are seen, and counts only where the guest pays for the passage.
        let seen_nobody = self.rules.evidence && self.rules.charge == ChargeAt::Passage && !one.blind;
        self.end(&one, if seen_nobody { PassageState::NotPassed } else { PassageState::Unknown }, out);
    }

    fn set_free(&mut self, free: bool, out: &mut Vec<Action>) {
        if self.free == free {
            return;
        }
        self.free = free;
        if !free {
            out.extend([Action::Alarm(DoorEventKind::FreeEnded, std::mem::take(&mut self.free_count)), Action::CloseGate]);
            if self.state == State::Idle {
                out.push(Action::Ready);
            }
            return;
        }
        out.push(Action::Alarm(DoorEventKind::Free, 0));
        match &mut self.state {
            State::Asking(visit) | State::Alone(visit) => {
                let visit = *visit;
                self.close(visit, refusal(codes::GATE_FREE), PassageState::Unknown, out);
            }
            State::Opening(one) | State::Waiting(one) => one.blind = true,
            State::Idle | State::Storing(_) | State::Deciding(..) => {}
        }
    }

    fn end(&mut self, one: &Let, passage: PassageState, out: &mut Vec<Action>) {
        if passage != PassageState::Passed {
            out.push(Action::CloseGate);
        }
        match &one.decision {
            Some(decision) => self.close(one.visit, decision.clone(), passage, out),
            None => {
                out.push(Action::HandEnded(one.visit.id, one.opening));
                self.idle(out);
            }
        }
    }

    fn close(&mut self, visit: Visit, decision: Decision, passage: PassageState, out: &mut Vec<Action>) {
        out.push(Action::Close { visit: visit.id, decision, passage });
        self.idle(out);
    }

    fn idle(&mut self, out: &mut Vec<Action>) {
        self.state = State::Idle;
        out.push(Action::Ready);
    }
}

/// A refusal of the box.
pub(super) fn refusal(code: &str) -> Decision {
    Decision {
        mode: DecisionMode::OfflineSnapshot,
        admitted: false,
        code: code.to_owned(),
        snapshot_version: None,
        hold_id: None,
        right_id: None,
        amount: None,
    }
}
