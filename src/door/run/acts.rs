//! What the machine says, done: written, asked, decided, ordered, told.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::super::machine::Event;
use super::super::{Answer, Commit, Known, Question, Used, policy};
use super::{Done, HandError, Runner, Shared};
use crate::config::{ChargeAt, Policy};
use crate::device::{NotOpened, Open, Ordered, Told};
use crate::domain::{AtDoor, Decision, Direction, DoorEvent, DoorEventKind, Pass, PassageState, Stamp, Sync};
use crate::journal::{AppendError, Decided, Record, Store};
use crate::source::Taken;
use crate::tap::Event as Tap;

/// An order to open that has not left by then is void: the guest has stepped back.
const ORDER_MS: u64 = 2_000;
/// Lime's client keeps the budget itself; this is for one that does not.
const BUDGET_GUARD: Duration = Duration::from_millis(200);
/// Between two tries to write what must be written.
const AGAIN: Duration = Duration::from_secs(1);
/// A device that neither acknowledges nor refuses within this time after the order is void.
const ORDER_ANSWER: Duration = Duration::from_millis(ORDER_MS + 500);

impl Runner {
    pub(super) fn store(&mut self, visit: Uuid) {
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

    pub(super) fn ask(&mut self, visit: Uuid) {
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

    pub(super) fn decide_alone(&self, visit: Uuid) -> Option<Event> {
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

    pub(super) fn store_decision(&mut self, visit: Uuid, decision: Decision) {
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

    pub(super) fn open(&mut self, visit: Uuid) {
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

    pub(super) fn close_gate(&mut self) {
        let actuator = Arc::clone(&self.parts.actuator);
        self.work.spawn(async move { Done::GateClosed(timed(actuator.close()).await) });
    }

    /// Writes the pass that ends a visit, for as long as it takes.
    pub(super) fn close(&mut self, visit: Uuid, decision: Decision, passage: PassageState) {
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
    pub(super) fn busy(&mut self, visit: Uuid) {
        self.answer_hand(visit, Err(HandError::Busy));
        let Some(guest) = self.guests.remove(&visit) else { return };
        self.tell(&guest.pass.gate, &Told::Wait);
        if let Some(mut before) = self.next.replace(guest) {
            before.answer(Ok(Taken::Repeated));
        }
    }

    pub(super) fn ready(&mut self) -> Option<Event> {
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
    pub(super) fn late(&mut self, visit: Uuid, decision: Decision) {
        tracing::warn!(gate = %self.door(), pass = %visit, admitted = decision.admitted, code = decision.code, "Lime answered after the box had decided");
        self.status(|door| door.late += 1);
        if let Some(guest) = self.guests.get_mut(&visit) {
            guest.late = Some(decision);
        }
    }

    pub(super) fn alarm(&mut self, kind: DoorEventKind, count: u32) {
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

pub(super) async fn timed(order: Ordered<'_>) -> Result<(), NotOpened> {
    let late = || Err(NotOpened::Unknown("no answer in time".to_owned()));
    tokio::time::timeout(ORDER_ANSWER, order).await.unwrap_or_else(|_| late())
}

/// Counts a guest who is let in on a right that the snapshot still shows as whole. Going out uses nothing.
pub(super) fn count_used(shared: &Shared, pass: &Pass, decision: &Decision) {
    if pass.direction == Direction::In {
        let Stamp { boot_ms, .. } = pass.stamp;
        let used =
            Used { pass: pass.id, medium: pass.medium.clone(), decision: decision.clone(), service_point: pass.service_point.clone(), boot_ms };
        shared.entitlements.used(used);
    }
}
