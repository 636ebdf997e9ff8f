//! Validators that publish the gateway's own JSON to a topic.
//!
//! Many messages are on their way to the disk at once, so that they share its syncs; each is acknowledged when its own pass is durable, in the order in which they came. When the journal
//! refuses, nothing is acknowledged and nothing new is taken: what was refused is tried again in its order, one at a time until one gets through, and the
//! broker keeps the rest.
//!
//! Never: a PUBACK before the pass is on disk; a retained message taken for a pass; a message that cannot be understood in the way of the next.

mod lane;
pub(crate) mod message;
pub(crate) mod seen;
pub(crate) mod throttle;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::clock::SharedClock;
use crate::device::{Signal, Signalled};
use crate::domain::GateId;
use crate::mqtt::{ClientHandle, Incoming, Subscription};
use crate::status::{Hub, Link};

use super::{Intake, Refused};
use lane::{Done, Job, Lane};
use message::Message;
use seen::Ids;
use throttle::Throttle;

/// Passes on their way to the disk have this long at a stop.
const DRAIN: Duration = Duration::from_secs(2);
/// Signals that wait for the door; then no more messages are taken.
const SIGNALS: usize = 64;

/// A gate whose validator publishes.
pub struct Validator {
    /// The gate.
    pub gate: GateId,
    /// The topic, or a filter.
    pub topic: String,
    /// Where passages and alarms without a medium go, at a gate whose door the box decides at.
    pub door: Option<mpsc::Sender<Signalled>>,
}

/// Takes a validator's messages until told to stop. What is not on disk by then is not acknowledged.
pub async fn run(
    validator: Validator,
    intake: Arc<dyn Intake>,
    hub: Arc<Hub>,
    clock: SharedClock,
    client: ClientHandle,
    mut stop: watch::Receiver<bool>,
) {
    let mut subscription = client.subscribe(&validator.topic);
    let mut link = subscription.link();
    let mut gate = Gate {
        id: validator.gate,
        hub,
        clock,
        bad: Throttle::default(),
        refused: Throttle::default(),
        troubled: false,
        ids: Ids::default(),
        door: validator.door,
        signals: VecDeque::new(),
    };
    gate.linked(*link.borrow_and_update());
    let mut lane = Lane::new(intake);
    loop {
        lane.begin().await;
        let resumes = lane.paused();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            done = lane.done(), if lane.busy() => match done {
                None => {}
                Some(Done { job, outcome: Ok(_), .. }) => {
                    gate.stored();
                    job.message.ack();
                }
                Some(Done { place, job, outcome: Err(Refused::NotStored(why)) }) => {
                    gate.refused(&why);
                    lane.again(place, job, Instant::now());
                }
                Some(Done { job, outcome: Err(Refused::Stopping), .. }) => {
                    job.message.leave();
                    break;
                }
            },
            () = async { match resumes { Some(at) => sleep_until(at).await, None => pending().await } } => lane.resume(),
            changed = link.changed() => match changed {
                Ok(()) => gate.linked(*link.borrow_and_update()),
                Err(_) => break,
            },
            () = signalled(&mut gate.signals, gate.door.as_ref()) => {}
            message = subscription.recv(), if lane.has_room() && gate.signals.len() < SIGNALS => match message {
                Some(message) => if let Some(job) = gate.receive(message) { lane.push(job) },
                None => break,
            },
        }
    }
    for (_, message) in gate.signals.drain(..) {
        message.leave();
    }
    finish(lane, subscription).await;
    gate.linked(Link::Down);
}

/// Hands one signal to the door, once it has room, and acknowledges its message. Cancel safe.
async fn signalled(signals: &mut VecDeque<(Signalled, Incoming)>, door: Option<&mpsc::Sender<Signalled>>) {
    let (false, Some(door)) = (signals.is_empty(), door) else { return pending().await };
    let room = door.reserve().await;
    if let Some((signal, message)) = signals.pop_front() {
        if let Ok(room) = room {
            room.send(signal);
        }
        message.ack();
    }
}

/// Acknowledges what still gets to the disk, and leaves the rest to the broker.
async fn finish(mut lane: Lane, subscription: Subscription) {
    drop(subscription);
    lane.leave_waiting();
    let give_up = Instant::now() + DRAIN;
    while lane.busy() {
        tokio::select! {
            done = lane.done() => match done {
                Some(Done { job, outcome: Ok(_), .. }) => job.message.ack(),
                Some(Done { job, outcome: Err(_), .. }) => job.message.leave(),
                None => {}
            },
            () = sleep_until(give_up) => return,
        }
    }
}

/// What is told of the gate, in status and log.
struct Gate {
    id: GateId,
    hub: Arc<Hub>,
    clock: SharedClock,
    bad: Throttle,
    refused: Throttle,
    troubled: bool,
    ids: Ids,
    door: Option<mpsc::Sender<Signalled>>,
    /// For the door, and the messages to acknowledge when it has them.
    signals: VecDeque<(Signalled, Incoming)>,
}

impl Gate {
    fn linked(&self, link: Link) {
        self.hub.gate(self.id.as_str(), |state| state.link = link);
    }

    /// Reads a message. One that brings no pass is acknowledged here.
    fn receive(&mut self, message: Incoming) -> Option<Job> {
        if message.retain {
            message.ack();
            return None;
        }
        let now = self.clock.boot_ms();
        self.hub.gate(self.id.as_str(), |state| state.last_byte_boot_ms = Some(now));
        match message::read(&self.id, &message.payload, message.size) {
            Ok(Message::Reading(reading)) => return Some(Job { reading: *reading, message }),
            Ok(Message::Alarm(alarm)) => {
                tracing::warn!(gate = %self.id, alarm = alarm.code, on = alarm.on, "the validator reports an alarm");
                self.signal(seen::alarm(&alarm), &alarm.id, message);
                return None;
            }
            Ok(Message::Passage(passage)) if self.door.is_some() => {
                self.signal(seen::passage(&passage), &passage.id, message);
                return None;
            }
            other => {
                let bad = other.err().unwrap_or(message::Bad::NoMedium);
                if let Some(more) = self.bad.due(Instant::now()) {
                    tracing::warn!(gate = %self.id, more, "a validator's message is not understood and was dropped: {bad}");
                }
                self.troubled = true;
                self.hub.gate(self.id.as_str(), |state| {
                    state.bad_frames += 1;
                    state.error = Some(format!("a message was not understood: {bad}"));
                });
            }
        }
        message.ack();
        None
    }

    /// Keeps a signal for the door; without one, or when it was taken before, the message is done with.
    fn signal(&mut self, signal: Signal, id: &str, message: Incoming) {
        if self.door.is_none() || !self.ids.fresh(id) {
            return message.ack();
        }
        let signalled = Signalled { gate: self.id.clone(), signal, at_boot_ms: self.clock.boot_ms(), record: None };
        self.signals.push_back((signalled, message));
    }

    fn stored(&mut self) {
        if std::mem::take(&mut self.troubled) {
            self.hub.gate(self.id.as_str(), |state| state.error = None);
        }
    }

    fn refused(&mut self, why: &str) {
        if let Some(more) = self.refused.due(Instant::now()) {
            tracing::error!(gate = %self.id, more, "a pass is not stored, and is tried again: {why}");
        }
        self.troubled = true;
        self.hub.gate(self.id.as_str(), |state| state.error = Some(format!("passes wait at the broker: {why}")));
    }
}
