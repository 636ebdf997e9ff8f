//! What is owed to the broker: a bounded queue whose items leave it only when their PUBACK came.
//!
//! rumqttc forgets what it accepted when the broker lost the session, so nothing counts as published because rumqttc took it: an item waits, is handed
//! over, is in flight under a packet id, and is done. When the connection ends, everything that is not done waits again, in its old order. Pure: no
//! I/O, no clock; `D` is whoever waits for the PUBACK.
//!
//! An order to a device is worth something only for a moment: such an item has an instant after which it is not handed over, nor handed over again.
//!
//! Never: an item that leaves without its PUBACK, its supersession by a newer retained one, or the end of its time; more than the bounds.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::time::Instant;

/// Most items that may be open.
pub const MAX_ITEMS: usize = 1_024;
/// Most bytes of payload that may be open.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most items between the hand-over and the PUBACK. Far below rumqttc's own limit: its packet ids then never collide.
pub const WINDOW: usize = 32;

/// A message for the broker. Always QoS 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// The broker keeps it for those who subscribe later; of two that wait, only the newer is sent.
    pub retain: bool,
}

#[derive(Debug)]
struct Item<D> {
    message: Message,
    waiters: Vec<D>,
    /// After this it is not handed over any more.
    until: Option<Instant>,
    /// It was handed over, on this connection or an earlier one: the broker may have it.
    left: bool,
}

/// An item whose time is over, and which was withdrawn.
#[derive(Debug, PartialEq, Eq)]
pub struct Expired<D> {
    /// Who waited for its PUBACK.
    pub waiters: Vec<D>,
    /// It was handed over before: the broker may have it.
    pub left: bool,
}

/// The queue.
#[derive(Debug)]
pub struct Outbox<D> {
    waiting: VecDeque<Item<D>>,
    handed: VecDeque<Item<D>>,
    in_flight: HashMap<u16, Item<D>>,
    /// Packet ids in the order of their sending.
    order: VecDeque<u16>,
    bytes: usize,
}

/// The outbox is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_ITEMS} messages or {MAX_BYTES} bytes wait for the broker: what is not retained must wait")]
pub struct Full;

impl<D> Default for Outbox<D> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), handed: VecDeque::new(), in_flight: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }
}

impl<D> Outbox<D> {
    /// Queues a message. A retained one takes the place of a waiting one with its topic, whose waiters it inherits: the topic will be at least as new
    /// as what they asked for.
    ///
    /// # Errors
    /// When the bounds are reached.
    pub fn push(&mut self, message: Message, waiter: Option<D>) -> Result<(), Full> {
        if message.retain
            && let Some(older) = self.waiting.iter_mut().find(|item| item.message.retain && item.message.topic == message.topic)
        {
            self.bytes = self.bytes - older.message.payload.len() + message.payload.len();
            older.message = message;
            older.waiters.extend(waiter);
            return Ok(());
        }
        if self.open() >= MAX_ITEMS || self.bytes + message.payload.len() > MAX_BYTES {
            return Err(Full);
        }
        self.bytes += message.payload.len();
        self.waiting.push_back(Item { message, waiters: waiter.into_iter().collect(), until: None, left: false });
        Ok(())
    }

    /// Queues a message that is withdrawn when it is still here at that instant. Never retained.
    ///
    /// # Errors
    /// When the bounds are reached.
    pub fn push_until(&mut self, message: Message, waiter: D, until: Instant) -> Result<(), Full> {
        self.push(Message { retain: false, ..message }, Some(waiter))?;
        if let Some(item) = self.waiting.back_mut() {
            item.until = Some(until);
        }
        Ok(())
    }

    /// Withdraws what waits and whose time is over. What is handed over on the present connection cannot be called back; it is withdrawn when that ends.
    pub fn expire(&mut self, now: Instant) -> Vec<Expired<D>> {
        let over = |item: &Item<D>| item.until.is_some_and(|until| until <= now);
        if !self.waiting.iter().any(over) {
            return Vec::new();
        }
        let (gone, kept): (Vec<Item<D>>, VecDeque<Item<D>>) = {
            let (gone, kept): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(over);
            (gone, kept.into())
        };
        self.waiting = kept;
        self.bytes -= gone.iter().map(|item| item.message.payload.len()).sum::<usize>();
        gone.into_iter().map(|item| Expired { waiters: item.waiters, left: item.left }).collect()
    }

    /// Puts a retained message before all others, in place of any that waits for its topic. Not bounded: there is one such topic.
    pub fn push_first(&mut self, message: Message) {
        let mut waiters = Vec::new();
        if let Some(at) = self.waiting.iter().position(|item| item.message.retain && item.message.topic == message.topic)
            && let Some(older) = self.waiting.remove(at)
        {
            self.bytes -= older.message.payload.len();
            waiters = older.waiters;
        }
        self.bytes += message.payload.len();
        self.waiting.push_front(Item { message, waiters, until: None, left: false });
    }

    /// The next message to hand over, if the window has room. It counts as handed over.
    pub fn hand_over(&mut self) -> Option<Message> {
        if self.handed.len() + self.in_flight.len() >= WINDOW {
            return None;
        }
        let mut item = self.waiting.pop_front()?;
        item.left = true;
        let message = item.message.clone();
        self.handed.push_back(item);
        Some(message)
    }

    /// The oldest item handed over was given this packet id.
    pub fn assigned(&mut self, packet: u16) {
        if let Some(item) = self.handed.pop_front() {
            self.in_flight.insert(packet, item);
            self.order.push_back(packet);
        }
    }

    /// The broker has it. Returns who waited for that.
    pub fn acknowledged(&mut self, packet: u16) -> Vec<D> {
        self.order.retain(|other| *other != packet);
        let Some(item) = self.in_flight.remove(&packet) else { return Vec::new() };
        self.bytes -= item.message.payload.len();
        item.waiters
    }

    /// The connection ended: all that is open waits again, in order. Of retained messages with one topic only the newest stays.
    pub fn connection_lost(&mut self) {
        let mut open: VecDeque<Item<D>> = self.order.drain(..).filter_map(|packet| self.in_flight.remove(&packet)).collect();
        open.extend(self.handed.drain(..));
        open.extend(self.waiting.drain(..));
        let mut kept: VecDeque<Item<D>> = VecDeque::with_capacity(open.len());
        while let Some(mut item) = open.pop_back() {
            let newer = kept.iter_mut().find(|newer| item.message.retain && newer.message.retain && newer.message.topic == item.message.topic);
            if let Some(newer) = newer {
                self.bytes -= item.message.payload.len();
                newer.waiters.append(&mut item.waiters);
            } else {
                kept.push_front(item);
            }
        }
        self.waiting = kept;
    }

    /// How many are not done.
    #[must_use]
    pub fn open(&self) -> usize {
        self.waiting.len() + self.handed.len() + self.in_flight.len()
    }

    /// Some are handed over and their PUBACK has not come.
    #[must_use]
    pub fn unanswered(&self) -> bool {
        !self.handed.is_empty() || !self.in_flight.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(topic: &str, payload: &str, retain: bool) -> Message {
        Message { topic: topic.to_owned(), payload: Bytes::from(payload.to_owned()), retain }
    }

    fn texts(outbox: &mut Outbox<u32>) -> Vec<String> {
        std::iter::from_fn(|| outbox.hand_over()).map(|message| String::from_utf8(message.payload.to_vec()).unwrap()).collect()
    }

    #[test]
    fn of_two_waiting_states_only_the_newer_is_sent_and_both_waiters_learn_of_it() {
        let mut outbox = Outbox::default();
        outbox.push(message("state", "1", true), Some(1)).unwrap();
        outbox.push(message("event", "2", false), Some(2)).unwrap();
        outbox.push(message("state", "3", true), Some(3)).unwrap();
        assert_eq!(texts(&mut outbox), ["3", "2"]);
        outbox.assigned(7);
        assert_eq!(outbox.acknowledged(7), [1, 3]);
    }

    #[test]
    fn a_state_in_flight_is_not_overtaken_but_gives_way_when_the_connection_ends() {
        let mut outbox = Outbox::default();
        outbox.push(message("state", "1", true), Some(1)).unwrap();
        assert_eq!(texts(&mut outbox), ["1"]);
        outbox.assigned(1);
        outbox.push(message("state", "2", true), Some(2)).unwrap();
        outbox.connection_lost();
        assert_eq!(texts(&mut outbox), ["2"]);
        outbox.assigned(1);
        let mut done = outbox.acknowledged(1);
        done.sort_unstable();
        assert_eq!(done, [1, 2]);
        assert_eq!((outbox.open(), outbox.bytes), (0, 0));
    }

    #[test]
    fn a_puback_for_nothing_changes_nothing() {
        let mut outbox: Outbox<u32> = Outbox::default();
        outbox.assigned(3);
        assert!(outbox.acknowledged(3).is_empty());
    }

    #[test]
    fn the_bound_refuses_what_is_new_but_lets_a_state_be_renewed() {
        let mut outbox: Outbox<u32> = Outbox::default();
        outbox.push(message("state", "old", true), None).unwrap();
        while outbox.push(message("event", "x", false), None).is_ok() {}
        assert_eq!(outbox.open(), MAX_ITEMS);
        outbox.push(message("state", "new", true), None).unwrap();
        assert_eq!(outbox.push(message("event", "x", false), None), Err(Full));
    }

    #[test]
    fn an_order_whose_time_is_over_is_withdrawn_and_says_whether_it_may_have_left() {
        let (begin, later) = (Instant::now(), Instant::now() + std::time::Duration::from_secs(1));
        let mut outbox = Outbox::default();
        outbox.push_until(message("left", "1", true), 1, later).unwrap();
        assert_eq!(texts(&mut outbox), ["1"]);
        outbox.assigned(1);
        outbox.push_until(message("kept", "22", false), 2, later).unwrap();
        outbox.push(message("state", "333", true), Some(3)).unwrap();
        assert_eq!(outbox.expire(begin), []);
        assert_eq!(outbox.expire(later), [Expired { waiters: vec![2], left: false }], "what is in flight cannot be called back");
        outbox.connection_lost();
        assert_eq!(outbox.expire(later), [Expired { waiters: vec![1], left: true }], "but it is not sent again");
        assert_eq!(texts(&mut outbox), ["333"]);
        outbox.assigned(2);
        assert_eq!(outbox.acknowledged(2), [3]);
        assert_eq!((outbox.open(), outbox.bytes), (0, 0));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push { topic: u8, retain: bool },
        HandOver,
        Assign,
        Ack(usize),
        Lost,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u8..3, any::<bool>()).prop_map(|(topic, retain)| Step::Push { topic, retain }),
            4 => Just(Step::HandOver),
            4 => Just(Step::Assign),
            4 => (0usize..8).prop_map(Step::Ack),
            1 => Just(Step::Lost),
        ]
    }

    proptest! {
        /// Whatever order things happen in, each waiter is told exactly once, and only after a message of its topic at least as new was acknowledged.
        #[test]
        fn every_waiter_is_answered_once_and_nothing_is_forgotten(steps in proptest::collection::vec(step(), 0..200)) {
            let mut outbox: Outbox<u32> = Outbox::default();
            let mut pushed = 0u32;
            let mut answered = std::collections::BTreeSet::new();
            let mut handed: VecDeque<u32> = VecDeque::new();
            let mut flying: Vec<(u16, u32)> = Vec::new();
            let mut packet = 0u16;
            let mut drain = |outbox: &mut Outbox<u32>, flying: &mut Vec<(u16, u32)>, at: usize| {
                if flying.is_empty() { return Ok(()); }
                let (packet, newest) = flying.remove(at % flying.len());
                for waiter in outbox.acknowledged(packet) {
                    prop_assert!(waiter <= newest);
                    prop_assert!(answered.insert(waiter), "{waiter} answered twice");
                }
                Ok(())
            };
            for step in steps.into_iter().chain([Step::Lost]) {
                match step {
                    Step::Push { topic, retain } => {
                        let text = pushed.to_string();
                        outbox.push(message(&format!("{topic}{retain}"), &text, retain), Some(pushed)).unwrap();
                        pushed += 1;
                    }
                    Step::HandOver => handed.extend(outbox.hand_over().map(|m| std::str::from_utf8(&m.payload).unwrap().parse::<u32>().unwrap())),
                    Step::Assign => if let Some(newest) = handed.pop_front() {
                        packet += 1;
                        outbox.assigned(packet);
                        flying.push((packet, newest));
                    },
                    Step::Ack(at) => drain(&mut outbox, &mut flying, at)?,
                    Step::Lost => {
                        outbox.connection_lost();
                        handed.clear();
                        flying.clear();
                    }
                }
            }
            while let Some(next) = outbox.hand_over() {
                packet += 1;
                outbox.assigned(packet);
                flying.push((packet, std::str::from_utf8(&next.payload).unwrap().parse().unwrap()));
                drain(&mut outbox, &mut flying, 0)?;
            }
            prop_assert_eq!(answered.len(), pushed as usize);
            prop_assert_eq!((outbox.open(), outbox.bytes), (0, 0));
        }
    }
}
