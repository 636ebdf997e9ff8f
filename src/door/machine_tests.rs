//! The machine against a small model of its own: any events in any order, also ones that come late, twice or for somebody else.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::machine::{Action, Event, Machine, Opening, Phase, Rules, refusal};
use crate::config::ChargeAt;
use crate::domain::{Decision, DecisionMode, Direction, DoorEventKind, PassageState};

const DIRECTION: Direction = Direction::In;

fn admitted() -> Decision {
    Decision { mode: DecisionMode::Online, admitted: true, ..refusal("ok") }
}

/// What an event is about: the visit in the way, or one that is over, or nobody.
#[derive(Clone, Copy, Debug)]
enum Whose {
    Current,
    Earlier,
    Nobody,
}

#[derive(Clone, Debug)]
enum Step {
    Read { barred: bool, hand: bool },
    Stored(Whose, bool),
    Answered(Whose, bool),
    Unanswered(Whose),
    Alone(Whose, bool),
    Durable(Whose, bool),
    Opened(Whose, Opening),
    Passed { direction: Option<Direction>, count: u32 },
    NotPassed { direction: Option<Direction> },
    WaitOver(Whose),
    Free(bool),
    Tamper(bool),
    Link(bool),
}

fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![8 => Just(Whose::Current), 1 => Just(Whose::Earlier), 1 => Just(Whose::Nobody)]
}

fn direction() -> impl Strategy<Value = Option<Direction>> {
    prop_oneof![3 => Just(None), 3 => Just(Some(Direction::In)), 1 => Just(Some(Direction::Out))]
}

fn step() -> impl Strategy<Value = Step> {
    let opening = prop_oneof![4 => Just(Opening::Done), 1 => Just(Opening::Not), 1 => Just(Opening::Unknown)];
    prop_oneof![
        6 => (any::<bool>(), proptest::bool::weighted(0.1)).prop_map(|(barred, hand)| Step::Read { barred: barred && !hand, hand }),
        6 => (whose(), proptest::bool::weighted(0.9)).prop_map(|(whose, done)| Step::Stored(whose, done)),
        4 => (whose(), proptest::bool::weighted(0.8)).prop_map(|(whose, yes)| Step::Answered(whose, yes)),
        3 => whose().prop_map(Step::Unanswered),
        3 => (whose(), proptest::bool::weighted(0.8)).prop_map(|(whose, yes)| Step::Alone(whose, yes)),
        6 => (whose(), proptest::bool::weighted(0.9)).prop_map(|(whose, done)| Step::Durable(whose, done)),
        6 => (whose(), opening).prop_map(|(whose, opening)| Step::Opened(whose, opening)),
        4 => (direction(), 0..4u32).prop_map(|(direction, count)| Step::Passed { direction, count }),
        1 => direction().prop_map(|direction| Step::NotPassed { direction }),
        3 => whose().prop_map(Step::WaitOver),
        1 => any::<bool>().prop_map(Step::Free),
        1 => any::<bool>().prop_map(Step::Tamper),
        1 => any::<bool>().prop_map(Step::Link),
    ]
}

/// What the model knows of one visit: only what was said and ordered, never how.
#[derive(Debug, Default)]
struct Known {
    hand: bool,
    stored: bool,
    /// The decision that was given to the disk, and whether it came to rest there.
    decision: Option<Decision>,
    durable: bool,
    ordered: u32,
    certainly_shut: bool,
    seen_passing: bool,
    said_not_passed: bool,
    blind: bool,
    closed: Option<PassageState>,
    ended: bool,
}

struct Model {
    rules: Rules,
    visits: BTreeMap<Uuid, Known>,
    current: Option<Uuid>,
    earlier: Option<Uuid>,
    free: bool,
    up: bool,
    /// Guests who went through and whom neither a visit nor the free gate explains.
    unexplained: u32,
    alarmed: u32,
    free_passages: u32,
    free_told: u32,
}

impl Model {
    fn id(&self, whose: Whose) -> Uuid {
        match whose {
            Whose::Current => self.current.unwrap_or(Uuid::nil()),
            Whose::Earlier => self.earlier.unwrap_or(Uuid::nil()),
            Whose::Nobody => Uuid::max(),
        }
    }

    fn current(&mut self) -> Option<&mut Known> {
        self.current.and_then(|id| self.visits.get_mut(&id))
    }

    /// Notes an event before the machine sees it.
    fn before(&mut self, event: &Event) {
        let current = self.current;
        let is_current = |id: &Uuid| Some(*id) == current;
        match event {
            Event::Stored(id, done) if is_current(id) => {
                if let Some(known) = self.current() {
                    known.stored |= done;
                }
            }
            Event::Durable(id, done) if is_current(id) => {
                if let Some(known) = self.current() {
                    known.durable |= *done && known.decision.is_some();
                }
            }
            Event::Opened(id, opening) if is_current(id) => {
                if let Some(known) = self.current() {
                    known.certainly_shut |= known.ordered > 0 && *opening == Opening::Not;
                }
            }
            Event::Passed { direction, count } => self.passed(*direction, *count),
            Event::NotPassed { direction } => {
                if let Some(known) = self.current().filter(|known| known.ordered > 0 && direction.is_none_or(|way| way == DIRECTION)) {
                    known.said_not_passed = true;
                }
            }
            Event::Free(free) => {
                self.free = *free;
                if *free && let Some(known) = self.current().filter(|known| known.ordered > 0) {
                    known.blind = true;
                }
            }
            Event::Link(up) => {
                self.up = *up;
                if !up && let Some(known) = self.current().filter(|known| known.ordered > 0) {
                    known.blind = true;
                }
            }
            _ => {}
        }
    }

    fn passed(&mut self, direction: Option<Direction>, count: u32) {
        let free = self.free;
        let mut rest = count;
        if count > 0
            && direction.is_none_or(|way| way == DIRECTION)
            && let Some(known) = self.current().filter(|known| known.ordered > 0 && !known.seen_passing)
        {
            known.seen_passing = true;
            rest -= 1;
        }
        if free { self.free_passages += rest } else { self.unexplained += rest }
    }

    fn after(&mut self, action: &Action) -> Result<(), TestCaseError> {
        match action {
            Action::Store(id) => {
                prop_assert!(self.current.is_none(), "a second visit was begun while one is in the way");
                self.current = Some(*id);
            }
            Action::Ask(id) | Action::DecideAlone(id) => {
                prop_assert!(self.known(*id)?.stored, "asked before the reading was on disk");
            }
            Action::StoreDecision(id, decision) => {
                let known = self.known(*id)?;
                prop_assert!(known.stored && known.decision.is_none(), "decided twice, or before the reading was on disk");
                self.visits.get_mut(id).unwrap().decision = Some(decision.clone());
            }
            Action::Open(id) => {
                let free = self.free;
                let up = self.up;
                let known = self.visits.get_mut(id).unwrap();
                known.ordered += 1;
                known.blind |= !up || free;
                prop_assert_eq!(known.ordered, 1, "two orders for one reading");
                let allowed = if known.hand { known.stored } else { known.durable && known.decision.as_ref().is_some_and(|one| one.admitted) };
                prop_assert!(allowed, "opened before the decision was on disk, or against it");
            }
            Action::Close { visit, decision, passage } => self.closed(*visit, decision, *passage)?,
            Action::HandEnded(id, _) | Action::NotTaken(id) => self.ended(*id)?,
            Action::Busy(_) => prop_assert!(self.current.is_some(), "busy with nobody in the way"),
            Action::GateIsFree(_) => prop_assert!(self.free),
            Action::Alarm(DoorEventKind::PassedWithoutPermission, count) => self.alarmed += count,
            Action::Alarm(DoorEventKind::FreeEnded, count) => self.free_told += count,
            _ => {}
        }
        Ok(())
    }

    fn known(&self, id: Uuid) -> Result<&Known, TestCaseError> {
        prop_assert_eq!(self.current, Some(id), "something was done for a visit that is not in the way");
        self.visits.get(&id).ok_or_else(|| TestCaseError::fail("an unknown visit"))
    }

    fn closed(&mut self, id: Uuid, decision: &Decision, passage: PassageState) -> Result<(), TestCaseError> {
        let charge = self.rules;
        let known = self.known(id)?;
        prop_assert!(known.stored, "a pass for a reading that is not on disk");
        prop_assert!(known.closed.is_none(), "closed twice");
        if known.seen_passing {
            prop_assert_eq!(passage, PassageState::Passed, "a visit that was seen passing");
        } else {
            prop_assert!(passage != PassageState::Passed, "nobody was seen passing");
        }
        if known.durable && known.decision.as_ref().is_some_and(|one| one.admitted) {
            prop_assert_eq!(Some(decision), known.decision.as_ref(), "a decision on disk was changed");
        } else {
            prop_assert!(!decision.admitted, "reported as admitted without a decision on disk");
        }
        if decision.admitted && passage == PassageState::NotPassed {
            let proof = known.certainly_shut || known.said_not_passed || charge.evidence && charge.charge == ChargeAt::Passage && !known.blind;
            prop_assert!(proof, "reported as not passed without proof: {:?}", known);
        }
        self.visits.get_mut(&id).unwrap().closed = Some(passage);
        self.ended(id)
    }

    fn ended(&mut self, id: Uuid) -> Result<(), TestCaseError> {
        prop_assert!(!self.known(id)?.ended);
        self.visits.get_mut(&id).unwrap().ended = true;
        self.earlier = self.current.take();
        Ok(())
    }
}

fn event(step: &Step, model: &mut Model, next: u128) -> Event {
    let decision = |yes: bool| if yes { admitted() } else { refusal("no_ticket") };
    match step {
        Step::Read { barred, hand } => {
            let visit = Uuid::from_u128(next);
            model.visits.insert(visit, Known { hand: *hand, ..Known::default() });
            if *hand {
                Event::Hand { visit, direction: DIRECTION }
            } else {
                Event::Read { visit, direction: DIRECTION, barred: barred.then_some("cooldown") }
            }
        }
        Step::Stored(whose, done) => Event::Stored(model.id(*whose), *done),
        Step::Answered(whose, yes) => Event::Answered(model.id(*whose), decision(*yes)),
        Step::Unanswered(whose) => Event::Unanswered(model.id(*whose)),
        Step::Alone(whose, yes) => Event::Alone(model.id(*whose), decision(*yes)),
        Step::Durable(whose, done) => Event::Durable(model.id(*whose), *done),
        Step::Opened(whose, opening) => Event::Opened(model.id(*whose), *opening),
        Step::Passed { direction, count } => Event::Passed { direction: *direction, count: *count },
        Step::NotPassed { direction } => Event::NotPassed { direction: *direction },
        Step::WaitOver(whose) => Event::WaitOver(model.id(*whose)),
        Step::Free(free) => Event::Free(*free),
        Step::Tamper(on) => Event::Tamper(*on),
        Step::Link(up) => Event::Link(*up),
    }
}

fn run(rules: Rules, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut machine = Machine::new(rules);
    let mut model = Model {
        rules,
        visits: BTreeMap::new(),
        current: None,
        earlier: None,
        free: false,
        up: true,
        unexplained: 0,
        alarmed: 0,
        free_passages: 0,
        free_told: 0,
    };
    let feed = |machine: &mut Machine, model: &mut Model, event: Event| -> Result<(), TestCaseError> {
        model.before(&event);
        for action in machine.on(event) {
            model.after(&action)?;
        }
        prop_assert_eq!(machine.visit(), model.current);
        prop_assert_eq!(machine.phase() == Phase::Idle || machine.phase() == Phase::Free, model.current.is_none());
        Ok(())
    };
    for (index, step) in steps.iter().enumerate() {
        let event = event(step, &mut model, index as u128 + 1);
        feed(&mut machine, &mut model, event)?;
    }
    // Whatever it was in the middle of ends when each thing that was begun has an end.
    for _ in 0..8 {
        let Some(id) = model.current else { break };
        for event in [
            Event::Stored(id, true),
            Event::Unanswered(id),
            Event::Alone(id, refusal("no_ticket")),
            Event::Durable(id, true),
            Event::Opened(id, Opening::Done),
            Event::WaitOver(id),
        ] {
            feed(&mut machine, &mut model, event)?;
        }
    }
    feed(&mut machine, &mut model, Event::Free(false))?;
    prop_assert_eq!(model.current, None, "a visit that never ends");
    prop_assert_eq!(model.alarmed, model.unexplained, "passages without permission");
    prop_assert_eq!(model.free_told, model.free_passages, "passages through the free gate");
    for known in model.visits.values().filter(|known| known.stored && !known.hand) {
        prop_assert!(known.closed.is_some(), "a reading on disk without a pass");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_door_keeps_its_promises(
        at_passage in any::<bool>(),
        evidence in any::<bool>(),
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let charge = if at_passage && evidence { ChargeAt::Passage } else { ChargeAt::Open };
        run(Rules { charge, evidence }, &steps)?;
    }
}

fn machine() -> Machine {
    Machine::new(Rules { charge: ChargeAt::Passage, evidence: true })
}

/// Brings a guest as far as the open gate.
fn let_in(machine: &mut Machine, id: Uuid) {
    for event in [
        Event::Read { visit: id, direction: DIRECTION, barred: None },
        Event::Stored(id, true),
        Event::Answered(id, admitted()),
        Event::Durable(id, true),
        Event::Opened(id, Opening::Done),
    ] {
        machine.on(event);
    }
}

#[test]
fn a_guest_who_is_granted_and_goes_through_takes_the_straight_way() {
    let (mut machine, id) = (machine(), Uuid::from_u128(1));
    let read = Event::Read { visit: id, direction: DIRECTION, barred: None };
    assert_eq!(machine.on(read), [Action::Store(id)]);
    assert_eq!(machine.on(Event::Stored(id, true)), [Action::TellWait(id), Action::Ask(id)]);
    assert_eq!(machine.on(Event::Answered(id, admitted())), [Action::StoreDecision(id, admitted())]);
    assert_eq!(machine.on(Event::Durable(id, true)), [Action::Open(id)]);
    assert_eq!(machine.on(Event::Opened(id, Opening::Done)), [Action::TellGo(id), Action::StartWait(id)]);
    assert_eq!(machine.phase(), Phase::WaitPass);
    let end = machine.on(Event::Passed { direction: Some(DIRECTION), count: 1 });
    assert_eq!(end, [Action::Close { visit: id, decision: admitted(), passage: PassageState::Passed }, Action::Ready]);
}

#[test]
fn a_second_guest_is_told_to_wait_and_changes_nothing_for_the_first() {
    let (mut machine, first, second) = (machine(), Uuid::from_u128(1), Uuid::from_u128(2));
    let_in(&mut machine, first);
    let read = Event::Read { visit: second, direction: DIRECTION, barred: None };
    assert_eq!(machine.on(read), [Action::Busy(second)]);
    assert_eq!(machine.visit(), Some(first));
}

#[test]
fn an_answer_after_the_budget_is_noted_and_opens_nothing() {
    let (mut machine, id) = (machine(), Uuid::from_u128(1));
    machine.on(Event::Read { visit: id, direction: DIRECTION, barred: None });
    machine.on(Event::Stored(id, true));
    assert_eq!(machine.on(Event::Unanswered(id)), [Action::DecideAlone(id)]);
    assert_eq!(machine.on(Event::Answered(id, admitted())), [Action::Late(id, admitted())]);
    machine.on(Event::Alone(id, refusal("unknown_medium")));
    assert_eq!(machine.on(Event::Answered(id, admitted())), [Action::Late(id, admitted())]);
    let end = machine.on(Event::Durable(id, true));
    let close = Action::Close { visit: id, decision: refusal("unknown_medium"), passage: PassageState::NotPassed };
    assert_eq!(end, [Action::TellNo(id, "unknown_medium".to_owned()), close, Action::Ready]);
}

#[test]
fn two_guests_behind_one_ticket_are_one_pass_and_one_alarm() {
    let (mut machine, id) = (machine(), Uuid::from_u128(1));
    let_in(&mut machine, id);
    let end = machine.on(Event::Passed { direction: None, count: 2 });
    assert!(end.contains(&Action::Alarm(DoorEventKind::PassedWithoutPermission, 1)), "{end:?}");
    assert!(end.contains(&Action::Close { visit: id, decision: admitted(), passage: PassageState::Passed }), "{end:?}");
}

#[test]
fn what_nobody_could_see_is_unknown_and_not_not_passed() {
    let (mut machine, id) = (machine(), Uuid::from_u128(1));
    let_in(&mut machine, id);
    machine.on(Event::Link(false));
    let end = machine.on(Event::WaitOver(id));
    assert!(end.contains(&Action::Close { visit: id, decision: admitted(), passage: PassageState::Unknown }), "{end:?}");
    machine.on(Event::Link(true));
    let_in(&mut machine, Uuid::from_u128(2));
    let end = machine.on(Event::WaitOver(Uuid::from_u128(2)));
    assert!(end.contains(&Action::Close { visit: Uuid::from_u128(2), decision: admitted(), passage: PassageState::NotPassed }), "{end:?}");
}

#[test]
fn while_the_gate_is_free_nobody_is_asked_and_nobody_pays() {
    let (mut machine, first, second) = (machine(), Uuid::from_u128(1), Uuid::from_u128(2));
    machine.on(Event::Read { visit: first, direction: DIRECTION, barred: None });
    machine.on(Event::Stored(first, true));
    let actions = machine.on(Event::Free(true));
    let close = Action::Close { visit: first, decision: refusal("gate_free"), passage: PassageState::Unknown };
    assert_eq!(actions, [Action::Alarm(DoorEventKind::Free, 0), close, Action::Ready]);
    assert_eq!(machine.on(Event::Read { visit: second, direction: DIRECTION, barred: None }), [Action::GateIsFree(second)]);
    assert_eq!(machine.on(Event::Passed { direction: None, count: 3 }), []);
    let ended = machine.on(Event::Free(false));
    assert_eq!(ended, [Action::Alarm(DoorEventKind::FreeEnded, 3), Action::CloseGate, Action::Ready]);
}
