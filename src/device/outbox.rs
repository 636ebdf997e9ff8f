//! Signals on their way to the doors. A door that is busy holds up no pulse's end: what cannot be handed over now waits here, summed up, and so is bounded
//! by gates and kinds.
//!
//! Never: a counted passage lost while the doors live; a state told in place of a later one.

use std::collections::VecDeque;
use std::mem::discriminant;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{Signal, Signalled};
use crate::domain::GateId;

/// Signals that wait for room.
pub(super) struct Outbox {
    to: mpsc::Sender<Signalled>,
    waiting: VecDeque<Signalled>,
}

impl Outbox {
    pub(super) fn new(to: mpsc::Sender<Signalled>) -> Self {
        Self { to, waiting: VecDeque::new() }
    }

    /// Hands a signal over, now or as soon as there is room.
    pub(super) fn tell(&mut self, gate: &GateId, signal: Signal, at_boot_ms: u64) {
        self.put(Signalled { gate: gate.clone(), signal, at_boot_ms, record: None });
        self.flush();
    }

    /// The same for several gates.
    pub(super) fn tell_each(&mut self, gates: &[&GateId], signal: &Signal, at_boot_ms: u64) {
        for gate in gates {
            self.tell(gate, signal.clone(), at_boot_ms);
        }
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands over what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        while let Some(first) = self.waiting.pop_front() {
            match self.to.try_send(first) {
                Ok(()) => {}
                Err(TrySendError::Full(first)) => return self.waiting.push_front(first),
                // Nobody is left to hear it: the gateway ends.
                Err(TrySendError::Closed(_)) => return self.waiting.clear(),
            }
        }
    }

    fn put(&mut self, new: Signalled) {
        let alike = |old: &Signalled| old.gate == new.gate && discriminant(&old.signal) == discriminant(&new.signal);
        match &new.signal {
            Signal::Passed { direction, count } => {
                let sum = self.waiting.iter_mut().find_map(|old| match &mut old.signal {
                    Signal::Passed { direction: same, count } if old.gate == new.gate && same == direction => Some(count),
                    _ => None,
                });
                match sum {
                    Some(sum) => *sum = sum.saturating_add(*count),
                    None => self.waiting.push_back(new),
                }
            }
            Signal::NotPassed { .. } | Signal::Free(_) | Signal::Tamper(_) | Signal::Fault(_) | Signal::Link(_) => {
                self.waiting.retain(|old| !alike(old));
                self.waiting.push_back(new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_door_gets_every_passage_and_the_latest_state() {
        let (to, mut from) = mpsc::channel(1);
        let mut outbox = Outbox::new(to);
        let gate = GateId::from("n1");
        outbox.tell(&gate, Signal::Link(true), 1);
        for at in 0..1_000 {
            outbox.tell(&gate, Signal::Passed { direction: None, count: 2 }, at);
            outbox.tell(&gate, Signal::Free(at % 2 == 0), at);
        }
        assert!(outbox.waiting.len() <= 2, "{:?}", outbox.waiting);
        let mut heard = Vec::new();
        while let Ok(one) = from.try_recv() {
            heard.push(one.signal);
            outbox.flush();
        }
        assert_eq!(heard, [Signal::Link(true), Signal::Passed { direction: None, count: 2_000 }, Signal::Free(false)]);
    }
}
