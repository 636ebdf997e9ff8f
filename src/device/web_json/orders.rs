//! What a controller still has to be told, and what it still has to say: cards that wait for an answer, orders to open, passages that follow from them. Pure
//! but for the channels on which answers go back: time comes in.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::events::Meaning;
use crate::device::NotOpened;
use crate::domain::{Direction, GateId};

/// A controller tells of a passage, or of its absence, so long after it opened at the latest.
const PASSAGE_WITHIN: Duration = Duration::from_secs(120);
/// Passages that are waited for; a controller has two ways.
const MOST_EXPECTED: usize = 32;

/// Told when the gate was opened, or why not.
type Reply = oneshot::Sender<Result<(), NotOpened>>;

/// A card that waits at a gate.
struct Asked {
    gate: GateId,
    card: String,
    answer: oneshot::Sender<bool>,
}

/// An order to open.
struct Order {
    id: Uuid,
    /// What the controller calls it; for a card's answer, nothing.
    command: Option<u64>,
    direction: Direction,
    card: Option<String>,
    until: Instant,
    /// It was put into an answer.
    left: bool,
    reply: Reply,
}

/// A visit that we opened for.
struct Expected {
    direction: Direction,
    /// Nothing: opened without a card.
    card: Option<String>,
    /// Nothing: it was let in before a restart, and the controller has not come since.
    until: Option<Instant>,
    /// It was let in before a restart: its door knows nothing of it any more.
    before: bool,
}

/// Whose visit an event is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The controller's own: it makes a pass.
    Own,
    /// We opened for it.
    Ours,
    /// We opened for it before a restart: it is a pass already, and no door waits for it.
    OursBefore,
}

/// All of one controller.
#[derive(Default)]
pub(super) struct Orders {
    asked: Vec<Asked>,
    orders: Vec<Order>,
    expected: VecDeque<Expected>,
}

impl Orders {
    /// A card waits at a gate. One that waited there before is refused: it is gone.
    pub fn ask(&mut self, gate: GateId, card: String) -> oneshot::Receiver<bool> {
        let (answer, decided) = oneshot::channel();
        self.asked.retain(|asked| asked.gate != gate);
        self.asked.push(Asked { gate, card, answer });
        decided
    }

    /// The card at this gate is not let in.
    pub fn refuse(&mut self, gate: &GateId) {
        if let Some(asked) = self.take_asked(gate) {
            let _ = asked.answer.send(false);
        }
    }

    /// Nobody waits for this answer any more.
    pub fn forget(&mut self, gate: &GateId, card: &str) {
        self.asked.retain(|asked| asked.gate != *gate || asked.card != card);
    }

    fn take_asked(&mut self, gate: &GateId) -> Option<Asked> {
        let at = self.asked.iter().position(|asked| asked.gate == *gate)?;
        Some(self.asked.swap_remove(at))
    }

    /// The gate is to open: for the card that waits there, or by a command in the next answer, named `command`.
    pub fn open(&mut self, gate: &GateId, direction: Direction, id: Uuid, command: u64, until: Instant) -> oneshot::Receiver<Result<(), NotOpened>> {
        let (reply, done) = oneshot::channel();
        let asked = self.take_asked(gate).and_then(|asked| asked.answer.send(true).ok().map(|()| asked.card));
        let order = match asked {
            Some(card) => Order { id, command: None, direction, card: Some(card), until, left: true, reply },
            None => Order { id, command: Some(command), direction, card: None, until, left: false, reply },
        };
        if order.left {
            self.expect(direction, order.card.clone(), until);
        }
        self.orders.push(order);
        done
    }

    fn expect(&mut self, direction: Direction, card: Option<String>, now: Instant) {
        if self.expected.len() >= MOST_EXPECTED {
            self.expected.pop_front();
        }
        self.expected.push_back(Expected { direction, card, until: Some(now + PASSAGE_WITHIN), before: false });
    }

    /// We opened for this card before a restart, and what the controller makes of it may not have been told.
    pub fn opened_before(&mut self, direction: Direction, card: String) {
        if self.expected.len() < MOST_EXPECTED {
            self.expected.push_back(Expected { direction, card: Some(card), until: None, before: true });
        }
    }

    /// The controller has come: what it has not told it tells now.
    pub fn came(&mut self, now: Instant) {
        for expected in &mut self.expected {
            expected.until.get_or_insert(now + PASSAGE_WITHIN);
        }
    }

    /// Ends the wait for an order. Returns what is to be said of it: one that has not left never will.
    pub fn give_up(&mut self, id: Uuid) -> NotOpened {
        match self.orders.iter().position(|order| order.id == id).map(|at| self.orders.swap_remove(at)) {
            Some(order) if !order.left => NotOpened::Expired,
            _ => NotOpened::Unknown("the controller has not reported it".to_owned()),
        }
    }

    /// Takes back what has not left. Returns whether something has.
    pub fn take_back(&mut self, direction: Direction) -> bool {
        let (kept, gone): (Vec<Order>, Vec<Order>) =
            std::mem::take(&mut self.orders).into_iter().partition(|order| order.left || order.direction != direction);
        self.orders = kept;
        for order in gone {
            let _ = order.reply.send(Err(NotOpened::Expired));
        }
        self.orders.iter().any(|order| order.direction == direction)
    }

    /// The commands that are to go into the next answer.
    pub fn commands(&self, now: Instant) -> Vec<Value> {
        let direction = |direction| u8::from(direction == Direction::Out);
        let waiting = self.orders.iter().filter(|order| !order.left && order.until > now);
        waiting.filter_map(|order| Some(json!({ "id": order.command?, "operation": "open_door", "direction": direction(order.direction) }))).collect()
    }

    /// So many of them went.
    pub fn left(&mut self, count: usize, now: Instant) {
        let mut went = Vec::new();
        for order in self.orders.iter_mut().filter(|order| !order.left && order.until > now).take(count) {
            order.left = true;
            went.push(order.direction);
        }
        for direction in went {
            self.expect(direction, None, now);
        }
    }

    /// The controller has carried out a command, or has not. Returns whether it was one of these.
    pub fn done(&mut self, command: u64, success: bool) -> bool {
        let Some(at) = self.orders.iter().position(|order| order.left && order.command == Some(command)) else { return false };
        let order = self.orders.swap_remove(at);
        let _ = order.reply.send(if success { Ok(()) } else { Err(NotOpened::Refused("the controller".to_owned())) });
        true
    }

    /// An event of the controller. Returns whose visit it is of: one that we opened for makes no pass of its own.
    pub fn event(&mut self, meaning: &Meaning, direction: Direction, card: Option<&str>, now: Instant) -> Whose {
        self.expected.retain(|expected| expected.until.is_none_or(|until| until > now));
        let ours =
            |expected: &Expected| expected.direction == direction && (expected.card.as_deref() == card || expected.card.is_none() || card.is_none());
        let Some((at, before)) = self.expected.iter().position(ours).and_then(|at| Some((at, self.expected.get(at)?.before))) else {
            return Whose::Own;
        };
        match meaning {
            Meaning::Granted | Meaning::OpenedByUs => self.opened(direction, card),
            Meaning::Passed | Meaning::NotPassed => {
                self.opened(direction, card);
                self.expected.remove(at);
            }
            Meaning::Refused | Meaning::Alarm(_) | Meaning::Other => return Whose::Own,
        }
        if before { Whose::OursBefore } else { Whose::Ours }
    }

    /// The controller has opened that way.
    fn opened(&mut self, direction: Direction, card: Option<&str>) {
        let ours = |order: &Order| {
            order.left && order.direction == direction && (card.is_none() || order.card.as_deref().is_none_or(|own| Some(own) == card))
        };
        if let Some(at) = self.orders.iter().position(ours) {
            let _ = self.orders.swap_remove(at).reply.send(Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = "00B5009EC1A8";
    const LATER: Duration = Duration::from_secs(3);

    fn gate() -> GateId {
        GateId::from("in-1")
    }

    #[test]
    fn an_order_for_a_card_that_waits_is_its_answer_and_is_done_when_the_controller_reports() {
        let (mut orders, now) = (Orders::default(), Instant::now());
        let mut decided = orders.ask(gate(), CARD.to_owned());
        let mut done = orders.open(&gate(), Direction::In, Uuid::nil(), 7, now + LATER);
        assert_eq!(decided.try_recv(), Ok(true));
        assert!(orders.commands(now).is_empty(), "no second opening");
        assert_eq!(orders.event(&Meaning::Granted, Direction::Out, Some(CARD), now), Whose::Own, "the other way");
        assert_eq!(orders.event(&Meaning::Granted, Direction::In, Some("000000000001"), now), Whose::Own, "another card");
        assert_eq!(orders.event(&Meaning::Granted, Direction::In, Some(CARD), now), Whose::Ours);
        assert_eq!(done.try_recv(), Ok(Ok(())));
        assert_eq!(orders.event(&Meaning::Passed, Direction::In, Some(CARD), now), Whose::Ours);
        assert_eq!(orders.event(&Meaning::Passed, Direction::In, Some(CARD), now), Whose::Own, "a second visit is its own");
    }

    #[test]
    fn a_visit_from_before_a_restart_is_waited_for_until_the_controller_has_come_and_told() {
        let (mut orders, now) = (Orders::default(), Instant::now());
        orders.opened_before(Direction::In, CARD.to_owned());
        let much_later = now + PASSAGE_WITHIN * 100;
        assert_eq!(orders.event(&Meaning::Passed, Direction::Out, Some(CARD), much_later), Whose::Own);
        assert_eq!(orders.event(&Meaning::Granted, Direction::In, Some(CARD), much_later), Whose::OursBefore);
        assert_eq!(orders.event(&Meaning::Passed, Direction::In, Some(CARD), much_later), Whose::OursBefore);
        assert_eq!(orders.event(&Meaning::Passed, Direction::In, Some(CARD), much_later), Whose::Own);
        orders.opened_before(Direction::In, CARD.to_owned());
        orders.came(now);
        assert_eq!(orders.event(&Meaning::Passed, Direction::In, Some(CARD), now + PASSAGE_WITHIN), Whose::Own, "it has had its time");
    }

    #[test]
    fn an_order_without_a_card_goes_with_the_next_answer_or_never() {
        let (mut orders, now) = (Orders::default(), Instant::now());
        let mut done = orders.open(&gate(), Direction::Out, Uuid::from_u128(1), 7, now + LATER);
        assert_eq!(orders.commands(now), [json!({ "id": 7, "operation": "open_door", "direction": 1 })]);
        orders.left(1, now);
        assert!(orders.commands(now).is_empty());
        assert!(!orders.done(8, true) && orders.done(7, true));
        assert_eq!(done.try_recv(), Ok(Ok(())));
        let _late = orders.open(&gate(), Direction::Out, Uuid::from_u128(2), 8, now + LATER);
        assert!(orders.commands(now + LATER).is_empty(), "its time is over");
        assert_eq!(orders.give_up(Uuid::from_u128(2)), NotOpened::Expired);
        let _left = orders.open(&gate(), Direction::Out, Uuid::from_u128(3), 9, now + LATER);
        orders.left(1, now);
        assert!(matches!(orders.give_up(Uuid::from_u128(3)), NotOpened::Unknown(_)));
    }

    #[test]
    fn a_card_that_is_refused_or_gone_is_not_opened_for() {
        let (mut orders, now) = (Orders::default(), Instant::now());
        let mut decided = orders.ask(gate(), CARD.to_owned());
        orders.refuse(&gate());
        assert_eq!(decided.try_recv(), Ok(false));
        drop(orders.ask(gate(), CARD.to_owned()));
        let mut done = orders.open(&gate(), Direction::In, Uuid::nil(), 7, now + LATER);
        assert_eq!(orders.commands(now).len(), 1, "the controller has given up waiting: it is told to open");
        assert!(!orders.take_back(Direction::In));
        assert_eq!(done.try_recv(), Ok(Err(NotOpened::Expired)));
    }
}
