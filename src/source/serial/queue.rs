//! What was read on one port and is not yet stored, in order; and which answers the reader is owed. Pure: time is passed in.
//!
//! Readings are handed to the intake one at a time. One that was not stored stays at the head and is tried again: nothing overtakes it, nothing behind it
//! is acknowledged. A reader that waits for an answer gets ACK when its own telegram is on disk, NAK when it could not be stored; the telegram that it
//! then sends again is the one already waiting here, and makes no second pass.

use std::collections::VecDeque;

use crate::codec::{Answers, Presented, Repeats};
use crate::domain::{GateId, PassageState};
use crate::source::{Origin, Reading, Refused, Taken};

/// So many readings wait at most; then the port is not read until the journal has caught up.
const MOST: usize = 64;

/// A reading that waits, or an answer that waits behind one.
#[derive(Debug)]
struct Waiting {
    /// Nothing: the medium was stored before, and only its answer is owed.
    reading: Option<Reading>,
    /// The reader waits for the answer to this one.
    owed: bool,
    refused: bool,
}

/// The readings of one port.
#[derive(Debug)]
pub(crate) struct Queue {
    gate: GateId,
    waiting: VecDeque<Waiting>,
    repeats: Repeats,
    answers: Option<Answers>,
}

impl Queue {
    pub(crate) fn new(gate: GateId, repeats: Repeats, answers: Option<Answers>) -> Self {
        Self { gate, waiting: VecDeque::new(), repeats, answers }
    }

    /// A medium was read. Returns whether it is a new presentation.
    pub(crate) fn presented(&mut self, presented: Presented, origin: Origin) -> bool {
        let repeat = self.repeats.is_repeat(&presented, origin.stamp.boot_ms);
        let answering = self.answers.is_some();
        let same = |one: &&mut Waiting| {
            one.reading.as_ref().is_some_and(|earlier| earlier.medium.kind == presented.medium.kind && earlier.medium.value == presented.medium.value)
        };
        let resent = self.waiting.iter_mut().find(|one| answering && (repeat || one.refused) && same(one));
        if let Some(one) = resent {
            one.owed = true;
            return false;
        }
        if repeat {
            if answering && !self.is_full() {
                self.waiting.push_back(Waiting { reading: None, owed: true, refused: false });
            }
            return false;
        }
        let reading = Reading {
            gate: self.gate.clone(),
            medium: presented.medium,
            direction: None,
            passage: PassageState::Unknown,
            device: None,
            device_ms: None,
            origin: Some(origin),
        };
        self.waiting.push_back(Waiting { reading: Some(reading), owed: answering, refused: false });
        true
    }

    /// The field of this reader is empty.
    pub(crate) fn removed(&mut self, reader: Option<u32>) {
        self.repeats.removed(reader);
    }

    /// No more is to be read until something is stored.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST
    }

    /// Readings that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.iter().filter(|one| one.reading.is_some()).count()
    }

    /// The reading to be stored next.
    pub(crate) fn head(&self) -> Option<&Reading> {
        self.waiting.front().and_then(|one| one.reading.as_ref())
    }

    /// The head was taken or refused: the bytes that the reader is owed now.
    pub(crate) fn settle(&mut self, result: &Result<Taken, Refused>) -> Vec<u8> {
        let mut bytes = Vec::new();
        match result {
            Ok(_) => {
                if let Some(stored) = self.waiting.pop_front() {
                    bytes = self.answer(stored.owed, |answers| &answers.ack);
                }
            }
            Err(_) => {
                if let Some(head) = self.waiting.front_mut() {
                    head.refused = true;
                    let owed = std::mem::take(&mut head.owed);
                    bytes = self.answer(owed, |answers| &answers.nak);
                }
            }
        }
        bytes.extend(self.due_answers());
        bytes
    }

    /// ACKs of repeats that nothing waits before.
    pub(crate) fn due_answers(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(one) = self.waiting.pop_front_if(|one| one.reading.is_none()) {
            bytes.extend(self.answer(one.owed, |answers| &answers.ack));
        }
        bytes
    }

    /// The port was closed: nobody waits for an answer any more. The readings stay.
    pub(crate) fn port_closed(&mut self) {
        self.waiting.retain_mut(|one| {
            one.owed = false;
            one.reading.is_some()
        });
    }

    fn answer(&self, owed: bool, which: impl Fn(&Answers) -> &Vec<u8>) -> Vec<u8> {
        self.answers.as_ref().filter(|_| owed).map(|answers| which(answers).clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::{Medium, MediumKind, Personal};

    fn scan(value: &str) -> Presented {
        Presented { medium: Medium { kind: MediumKind::Qr, value: Personal::new(value), raw: None, format: "test".to_owned() }, reader: None }
    }

    fn at(boot_ms: u64) -> Origin {
        let clock = ManualClock::synced(0);
        clock.set(|now| now.boot_ms = boot_ms);
        Origin::now(&clock)
    }

    fn mertech() -> Queue {
        Queue::new(GateId::from("n1"), Repeats::new(1_000), Some(Answers { ack: vec![6], nak: vec![0x15] }))
    }

    fn head(queue: &Queue) -> Option<&str> {
        queue.head().map(|reading| reading.medium.value.reveal())
    }

    const STORED: Result<Taken, Refused> = Ok(Taken::Repeated);

    fn full_disk() -> Result<Taken, Refused> {
        Err(Refused::NotStored("disk full".to_owned()))
    }

    #[test]
    fn each_telegram_is_acknowledged_once_and_in_order() {
        let mut queue = mertech();
        assert!(queue.presented(scan("a"), at(0)));
        assert!(queue.presented(scan("b"), at(1)));
        assert_eq!(head(&queue), Some("a"));
        assert_eq!(queue.settle(&STORED), [6]);
        assert_eq!(head(&queue), Some("b"));
        assert_eq!(queue.settle(&STORED), [6]);
        assert_eq!(queue.settle(&STORED), [0_u8; 0]);
    }

    #[test]
    fn a_refused_telegram_that_is_sent_again_makes_one_pass_and_is_acknowledged_when_stored() {
        let mut queue = mertech();
        assert!(queue.presented(scan("a"), at(0)));
        let first = queue.head().cloned();
        assert_eq!(queue.settle(&full_disk()), [0x15]);
        assert!(!queue.presented(scan("a"), at(30_000)), "long after the time of repeats");
        assert_eq!(queue.head(), first.as_ref(), "tried again under the id and the time that it had");
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.settle(&full_disk()), [0x15]);
        assert_eq!(queue.settle(&full_disk()), [0_u8; 0], "nobody asked again");
        assert!(!queue.presented(scan("a"), at(60_000)));
        assert_eq!(queue.settle(&STORED), [6]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_stored_telegram_that_is_sent_again_is_acknowledged_again_but_never_ahead_of_another() {
        let mut queue = mertech();
        assert!(queue.presented(scan("a"), at(0)));
        assert_eq!(queue.settle(&STORED), [6]);
        assert!(!queue.presented(scan("a"), at(10)), "the acknowledgement was lost");
        assert_eq!(queue.due_answers(), [6]);
        assert!(queue.presented(scan("b"), at(20)));
        assert!(!queue.presented(scan("a"), at(30)));
        assert_eq!(queue.due_answers(), [0_u8; 0]);
        assert_eq!(queue.settle(&STORED), [6, 6]);
    }

    #[test]
    fn a_closed_port_leaves_the_readings_and_takes_the_answers() {
        let mut queue = mertech();
        assert!(queue.presented(scan("a"), at(0)));
        queue.port_closed();
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.settle(&STORED), [0_u8; 0]);
    }

    #[test]
    fn a_reader_that_wants_no_answer_gets_none() {
        let mut queue = Queue::new(GateId::from("n1"), Repeats::new(0), None);
        assert!(queue.presented(scan("a"), at(0)));
        assert!(queue.presented(scan("a"), at(0)), "without a time of repeats each telegram is a pass");
        assert_eq!(queue.settle(&full_disk()), [0_u8; 0]);
        assert_eq!(queue.settle(&STORED), [0_u8; 0]);
        assert_eq!(queue.len(), 1);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Scan(u8),
        Store,
        Refuse,
        Unplug,
        Later(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..5_u8).prop_map(Step::Scan),
            3 => Just(Step::Store),
            2 => Just(Step::Refuse),
            1 => Just(Step::Unplug),
            2 => (0..2_000_u16).prop_map(Step::Later),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_each_new_scan_is_stored_once_in_order_and_no_ack_is_ahead(steps in proptest::collection::vec(step(), 0..200)) {
            let mut queue = mertech();
            let (mut now_ms, mut expected, mut stored, mut asked, mut acks) = (0, Vec::new(), Vec::new(), 0, 0);
            for step in steps {
                let bytes = match step {
                    Step::Scan(which) if !queue.is_full() => {
                        asked += 1;
                        let value = which.to_string();
                        if queue.presented(scan(&value), at(now_ms)) {
                            expected.push(value);
                        }
                        let due = queue.due_answers();
                        prop_assert!(due.is_empty() || queue.len() == 0, "acknowledged while something before it is not stored");
                        due
                    }
                    Step::Store if queue.head().is_some() => {
                        stored.extend(head(&queue).map(str::to_owned));
                        queue.settle(&STORED)
                    }
                    Step::Refuse if queue.head().is_some() => {
                        let bytes = queue.settle(&full_disk());
                        prop_assert!(!bytes.contains(&6), "acknowledged without a sync");
                        bytes
                    }
                    Step::Unplug => {
                        queue.port_closed();
                        Vec::new()
                    }
                    Step::Later(ms) => {
                        now_ms += u64::from(ms);
                        Vec::new()
                    }
                    _ => Vec::new(),
                };
                acks += bytes.iter().filter(|byte| **byte == 6).count();
                prop_assert!(acks <= asked, "more acknowledgements than telegrams");
            }
            while let Some(value) = head(&queue).map(str::to_owned) {
                stored.push(value);
                queue.settle(&STORED);
            }
            prop_assert_eq!(stored, expected);
        }
    }
}
