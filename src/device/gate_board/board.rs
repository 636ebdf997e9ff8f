//! One gate board: what is sent to it next, and what its status means. Pure: the driver has the line and the time.
//!
//! A board that was away is closed before anything else, and its counters begin with a baseline. Then it is asked for its status again and again; an order
//! goes before that. A board repeats in its status the last command it carried out: that is the acknowledgement. An order that is not acknowledged is not
//! sent twice, for each sending lets one more guest in; it is asked after, and stays unknown when the board does not say.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::codec::gate_board::{Command, Side, Status};
use crate::device::count::{Counted, Counter};
use crate::device::{Contact, NotOpened, Open, Wiring};

/// Who waits for the outcome of an order.
pub(super) type Ticket = u64;

/// The status is asked for this often.
const POLL_MS: u64 = 100;
/// Commands in a row without an answer, after which a board is away.
const SILENCES: u32 = 3;
/// A board that is away is tried again after this long, at first and at most.
const AGAIN_MS: (u64, u64) = (250, 2_000);
/// A status that does not name the command is asked for again so often.
const ASKED: u32 = 3;
/// More orders than this do not wait.
const MOST_WAITING: usize = 4;

/// What has become known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An order, or a taking back.
    Settled(Ticket, Result<(), NotOpened>),
    /// The board answers, and was closed.
    Up,
    /// It no longer answers.
    Down,
    /// So many guests at the gate of this wiring.
    Passed(usize, u32),
    /// The counter of this wiring's gate jumped by so many; nobody is counted.
    Jumped(usize, u32),
    /// It reports a fault, or none.
    Fault(Option<u8>),
    /// It reports an alarm, or none.
    Alarm(bool),
    /// It was not said to be closed.
    NotClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Away { again_at: u64, wait_ms: u64 },
    Present,
}

#[derive(Debug)]
enum Order {
    Open { side: Side, open: Open, ticket: Ticket },
    Close { ticket: Option<Ticket> },
}

impl Order {
    fn command(&self) -> Command {
        match self {
            Self::Open { side, .. } => Command::Open { side: *side, guests: 1 },
            Self::Close { .. } => Command::Close,
        }
    }
}

/// A command that was sent and is not acknowledged.
#[derive(Debug)]
struct Sent {
    order: Order,
    asked: u32,
}

/// A board.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) machine: u8,
    /// For each wiring that counts: its number, its side, its counter.
    counters: Vec<(usize, Side, Counter)>,
    phase: Phase,
    silences: u32,
    due: u64,
    waiting: VecDeque<Order>,
    sent: Option<Sent>,
    done: Option<Uuid>,
    /// Fault and alarm as last told.
    told: Option<(u8, u8)>,
    leaving: bool,
    closed: bool,
}

/// The side that an output or counter of this number is.
pub(super) fn side(number: u16) -> Option<Side> {
    match number {
        0 => Some(Side::Left),
        1 => Some(Side::Right),
        _ => None,
    }
}

impl Board {
    pub(super) fn new(machine: u8, wirings: &[Wiring]) -> Self {
        let counter = |(at, wiring): (usize, &Wiring)| match wiring.passage {
            Some(Contact::Counter(number)) => side(number).map(|side| (at, side, Counter::of_bits(24))),
            Some(Contact::Input(_)) | None => None,
        };
        Self {
            machine,
            counters: wirings.iter().enumerate().filter_map(counter).collect(),
            phase: Phase::Away { again_at: 0, wait_ms: AGAIN_MS.0 },
            silences: 0,
            due: 0,
            waiting: [Order::Close { ticket: None }].into(),
            sent: None,
            done: None,
            told: None,
            leaving: false,
            closed: false,
        }
    }

    /// It was closed, or does not answer: nothing is left to do before the end.
    pub(super) fn has_left(&self) -> bool {
        self.leaving && (self.closed || self.silences >= SILENCES)
    }

    /// It was said to be closed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn is_away(&self) -> bool {
        matches!(self.phase, Phase::Away { .. })
    }

    /// Takes an order.
    pub(super) fn order(&mut self, side: Side, open: Open, ticket: Ticket, now: u64, events: &mut Vec<Event>) {
        let outcome = if self.done == Some(open.id) {
            Ok(())
        } else if now >= open.expires_boot_ms {
            Err(NotOpened::Expired)
        } else if self.is_away() || self.leaving {
            Err(NotOpened::NotSent("the board does not answer".to_owned()))
        } else if self.waiting.len() >= MOST_WAITING {
            Err(NotOpened::NotSent("too many orders wait for this board".to_owned()))
        } else {
            return self.waiting.push_back(Order::Open { side, open, ticket });
        };
        events.push(Event::Settled(ticket, outcome));
    }

    /// Takes all orders back, and closes.
    pub(super) fn close(&mut self, ticket: Ticket, events: &mut Vec<Event>) {
        if self.is_away() {
            return events.push(Event::Settled(ticket, Err(NotOpened::NotSent("the board does not answer".to_owned()))));
        }
        self.drop_orders("taken back", events);
        self.waiting.push_back(Order::Close { ticket: Some(ticket) });
    }

    /// The gateway stops: orders are taken back, the gate is closed.
    pub(super) fn leave(&mut self, events: &mut Vec<Event>) {
        self.drop_orders("the gateway is stopping", events);
        self.leaving = true;
        self.closed = false;
        self.silences = 0;
        self.due = 0;
        self.waiting.push_back(Order::Close { ticket: None });
        if let Phase::Away { again_at, .. } = &mut self.phase {
            *again_at = 0;
        }
    }

    fn drop_orders(&mut self, why: &str, events: &mut Vec<Event>) {
        if let Some(Sent { order, .. }) = self.sent.take() {
            settle(&order, Err(NotOpened::Unknown(why.to_owned())), events);
        }
        for order in self.waiting.drain(..) {
            settle(&order, Err(NotOpened::NotSent(why.to_owned())), events);
        }
    }

    /// When something is to be sent.
    pub(super) fn due(&self) -> u64 {
        match self.phase {
            Phase::Away { again_at, .. } => again_at,
            Phase::Present if self.sent.is_some() || !self.waiting.is_empty() => 0,
            Phase::Present => self.due,
        }
    }

    /// What is sent now. Lets expired orders go.
    pub(super) fn next(&mut self, now: u64, events: &mut Vec<Event>) -> Command {
        if self.sent.is_some() {
            return Command::Status;
        }
        while let Some(order) = self.waiting.pop_front() {
            match order {
                Order::Open { open, ticket, .. } if now >= open.expires_boot_ms => {
                    events.push(Event::Settled(ticket, Err(NotOpened::Expired)));
                }
                order => {
                    let command = order.command();
                    self.sent = Some(Sent { order, asked: 0 });
                    return command;
                }
            }
        }
        Command::Status
    }

    /// It told its status.
    pub(super) fn answered(&mut self, status: Status, now: u64, events: &mut Vec<Event>) {
        self.silences = 0;
        self.due = now + POLL_MS;
        if let Some(mut sent) = self.sent.take() {
            if status.executed == sent.order.command().code() {
                match &sent.order {
                    Order::Open { open, .. } => {
                        self.done = Some(open.id);
                        self.closed = false;
                    }
                    Order::Close { .. } => self.closed = true,
                }
                settle(&sent.order, Ok(()), events);
            } else if sent.asked < ASKED {
                sent.asked += 1;
                self.sent = Some(sent);
            } else {
                if matches!(sent.order, Order::Close { .. }) {
                    events.push(Event::NotClosed);
                }
                settle(&sent.order, Err(NotOpened::Unknown("the board did not say that it carried the order out".to_owned())), events);
            }
        }
        if self.is_away() {
            if self.sent.is_some() {
                return;
            }
            self.phase = Phase::Present;
            self.counters.iter_mut().for_each(|(_, _, counter)| counter.forget());
            self.told = None;
            events.push(Event::Up);
        }
        for (wiring, side, counter) in &mut self.counters {
            let value = if *side == Side::Left { status.left } else { status.right };
            match counter.read(value, now) {
                Counted::Passed(count) if count > 0 => events.push(Event::Passed(*wiring, count)),
                Counted::Jumped { by } => events.push(Event::Jumped(*wiring, by)),
                Counted::Passed(_) | Counted::Baseline => {}
            }
        }
        let (fault, alarm) = self.told.replace((status.fault, status.alarm)).map_or((None, None), |(fault, alarm)| (Some(fault), Some(alarm)));
        if fault != Some(status.fault) {
            events.push(Event::Fault((status.fault != 0).then_some(status.fault)));
        }
        if alarm.map(|alarm| alarm != 0) != Some(status.alarm != 0) {
            events.push(Event::Alarm(status.alarm != 0));
        }
    }

    /// Nothing came in answer.
    pub(super) fn silent(&mut self, now: u64, events: &mut Vec<Event>) {
        self.silences = self.silences.saturating_add(1);
        match self.phase {
            Phase::Away { wait_ms, .. } => {
                // It is tried by closing it.
                self.sent = None;
                self.waiting = [Order::Close { ticket: None }].into();
                self.phase = Phase::Away { again_at: now + wait_ms, wait_ms: (wait_ms * 2).min(AGAIN_MS.1) };
                if self.silences == SILENCES {
                    events.push(Event::Down);
                }
            }
            Phase::Present if self.silences >= SILENCES => self.go_away(now, "the board does not answer", events),
            // Its status may not be lost with the next question.
            Phase::Present => {}
        }
    }

    /// The port was closed.
    pub(super) fn port_closed(&mut self, now: u64, events: &mut Vec<Event>) {
        self.go_away(now, "the board's port is closed", events);
        self.phase = Phase::Away { again_at: now, wait_ms: AGAIN_MS.0 };
    }

    fn go_away(&mut self, now: u64, why: &str, events: &mut Vec<Event>) {
        self.drop_orders(why, events);
        self.closed = false;
        self.waiting.push_back(Order::Close { ticket: None });
        self.phase = Phase::Away { again_at: now + AGAIN_MS.0, wait_ms: AGAIN_MS.0 };
        events.push(Event::Down);
    }
}

fn settle(order: &Order, outcome: Result<(), NotOpened>, events: &mut Vec<Event>) {
    match order {
        Order::Open { ticket, .. } | Order::Close { ticket: Some(ticket) } => events.push(Event::Settled(*ticket, outcome)),
        Order::Close { ticket: None } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Direction, GateId};

    fn status(left: u32, executed: u8) -> Status {
        Status { fault: 0, gate: 0, alarm: 0, left, right: 0, infrared: 0, executed }
    }

    fn board() -> Board {
        let wiring = Wiring { gate: GateId::from("n1"), direction: Direction::In, open: Some(0), passage: Some(Contact::Counter(0)), free: None };
        Board::new(1, &[wiring])
    }

    fn open() -> Open {
        Open { id: Uuid::now_v7(), direction: Direction::In, pulse_ms: 500, expires_boot_ms: 10_000 }
    }

    #[test]
    fn it_is_closed_first_and_counts_from_a_baseline() {
        let (mut board, mut events) = (board(), Vec::new());
        assert_eq!(board.next(0, &mut events), Command::Close);
        board.answered(status(40, 0x84), 10, &mut events);
        assert_eq!(events, [Event::Up, Event::Fault(None), Event::Alarm(false)]);
        events.clear();
        assert_eq!(board.next(110, &mut events), Command::Status);
        board.answered(status(42, 0x84), 110, &mut events);
        assert_eq!(events, [Event::Passed(0, 2)]);
    }

    #[test]
    fn an_order_that_is_not_acknowledged_is_asked_after_and_not_sent_again() {
        let (mut board, mut events) = (board(), Vec::new());
        board.next(0, &mut events);
        board.answered(status(0, 0x84), 10, &mut events);
        events.clear();
        board.order(Side::Left, open(), 7, 20, &mut events);
        assert_eq!(board.next(20, &mut events), Command::Open { side: Side::Left, guests: 1 });
        board.silent(320, &mut events);
        for _ in 0..ASKED {
            assert_eq!(board.next(320, &mut events), Command::Status);
            board.answered(status(0, 0x84), 330, &mut events);
            assert_eq!(events, []);
        }
        board.next(340, &mut events);
        board.answered(status(0, 0x84), 350, &mut events);
        assert!(matches!(events.as_slice(), [Event::Settled(7, Err(NotOpened::Unknown(_)))]), "{events:?}");
        assert_eq!(board.next(360, &mut events), Command::Status);
    }

    #[test]
    fn three_silences_and_it_is_away_and_its_orders_are_not_kept() {
        let (mut board, mut events) = (board(), Vec::new());
        board.next(0, &mut events);
        board.answered(status(0, 0x84), 10, &mut events);
        events.clear();
        board.order(Side::Left, open(), 1, 20, &mut events);
        board.order(Side::Left, open(), 2, 20, &mut events);
        for at in [20, 320, 620] {
            board.next(at, &mut events);
            board.silent(at + 300, &mut events);
        }
        assert!(
            matches!(events.as_slice(), [Event::Settled(1, Err(NotOpened::Unknown(_))), Event::Settled(2, Err(NotOpened::NotSent(_))), Event::Down]),
            "{events:?}"
        );
        assert_eq!(board.next(2_000, &mut events), Command::Close, "it is closed when it comes back");
    }
}
