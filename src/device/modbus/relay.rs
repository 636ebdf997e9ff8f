//! One output: switched on for an order, read back, and off again by its deadline whatever became of whoever ordered. Pure: time is passed in.
//!
//! ```text
//! Unsure --off written--> WrittenOff --reads off--> Off --order--> WantOn --on written--> WrittenOn --reads on--> On
//!    ^                        | reads on                                                      |                    |
//!    +------------------------+---------------------------- its time is over, taken back, refused, module away <---+
//! ```
//! It begins `Unsure`, and nothing but a read-back leads to `Off`; only from there an order is begun. Writing a level twice is harmless, so what is not
//! acknowledged is resolved by reading: on, and the order is carried out; off, and it is written again while the order lives.
//!
//! Never: an order written after it expired; an order taken for carried out that was not acknowledged; an output left on without a deadline.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::codec::modbus::{Exception, Request};
use crate::device::{NotOpened, Open};

/// Who waits for the outcome of an order.
pub(super) type Ticket = u64;

/// An output that reads on after so many attempts to switch it off is stuck.
const TRIES: u32 = 3;
/// A stuck output is written off this often.
const RETRY_MS: u64 = 500;
/// An output that is at rest is looked at this often.
const WATCH_MS: u64 = 1_000;
/// Between two pulses the turnstile must see an edge.
const REST_MS: u64 = 100;
/// More orders than this do not wait for one output.
const MOST_WAITING: usize = 4;
/// An output that reads off is written on so often for one order.
const WRITES: u32 = 3;

/// What is asked next for an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Switch it off.
    Off,
    /// Switch it on.
    On,
    /// Read what it does.
    Read,
}

/// How soon something must be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Something is on that must go off.
    Urgent,
    /// A guest waits.
    Order,
    /// In its turn.
    Routine,
}

/// What became of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// An order, or a taking back.
    Settled(Ticket, Result<(), NotOpened>),
    /// It was on and nobody here had switched it on.
    FoundOn,
    /// It does not go off.
    Stuck,
    /// It is off after all.
    Unstuck,
    /// The module refuses to switch or to read it.
    Refused(Exception),
}

#[derive(Debug)]
enum State {
    /// It may be on.
    Unsure,
    /// Off was acknowledged, and must be read back.
    WrittenOff,
    /// It reads off.
    Off,
    /// An order is to be written.
    WantOn,
    /// On was written.
    WrittenOn {
        /// When the pulse ends.
        until: u64,
        /// The module acknowledged it.
        acknowledged: bool,
    },
    /// It reads on.
    On {
        /// When the pulse ends.
        until: u64,
    },
}

/// An order and all who wait for it.
#[derive(Debug)]
struct Order {
    open: Open,
    tickets: Vec<Ticket>,
    writes: u32,
}

/// An output that gates are wired to.
#[derive(Debug)]
pub(super) struct Relay {
    /// As the config calls it.
    pub(super) number: u16,
    /// As it is printed on the module.
    pub(super) label: String,
    coil: u16,
    /// Shows the real state; given up when the module does not know it.
    real: Option<u16>,
    state: State,
    /// When it is looked at next, in states that wait.
    due: u64,
    /// The next pulse does not begin before.
    rested: u64,
    /// Attempts to switch it off that failed, in a row.
    failed: u32,
    stuck: bool,
    current: Option<Order>,
    waiting: VecDeque<Order>,
    /// Who waits for it to be off.
    closing: Vec<Ticket>,
    /// The last order that was carried out.
    done: Option<Uuid>,
}

impl Relay {
    pub(super) fn new(number: u16, label: String, coil: u16, real: Option<u16>) -> Self {
        Self {
            number,
            label,
            coil,
            real,
            state: State::Unsure,
            due: 0,
            rested: 0,
            failed: 0,
            stuck: false,
            current: None,
            waiting: VecDeque::new(),
            closing: Vec::new(),
            done: None,
        }
    }

    /// The request for what is asked.
    pub(super) fn request(&self, ask: Ask) -> Request {
        match (ask, self.real) {
            (Ask::Off, _) => Request::WriteCoil { coil: self.coil, on: false },
            (Ask::On, _) => Request::WriteCoil { coil: self.coil, on: true },
            (Ask::Read, Some(real)) => Request::ReadDiscrete { first: real, count: 1 },
            (Ask::Read, None) => Request::ReadCoils { first: self.coil, count: 1 },
        }
    }

    /// Nothing is on that could be switched off, and nobody waits.
    pub(super) fn at_rest(&self) -> bool {
        self.is_settled() && self.current.is_none() && self.waiting.is_empty() && self.closing.is_empty()
    }

    /// It was written off and read back, or that was tried and does not work: the module's other business may go on.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.state, State::Off) || self.failed >= TRIES
    }

    /// It reads off.
    pub(super) fn is_off(&self) -> bool {
        matches!(self.state, State::Off)
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Takes an order.
    pub(super) fn order(&mut self, open: Open, ticket: Ticket, now: u64, news: &mut Vec<News>) {
        if self.done == Some(open.id) {
            return news.push(News::Settled(ticket, Ok(())));
        }
        if let Some(same) = self.current.iter_mut().chain(&mut self.waiting).find(|order| order.open.id == open.id) {
            return same.tickets.push(ticket);
        }
        let refusal = if now >= open.expires_boot_ms {
            NotOpened::Expired
        } else if self.failed >= TRIES {
            NotOpened::Refused(format!("output {} cannot be switched off, so it is not switched on", self.label))
        } else if self.waiting.len() >= MOST_WAITING {
            NotOpened::NotSent("too many orders wait for this output".to_owned())
        } else {
            return self.waiting.push_back(Order { open, tickets: vec![ticket], writes: 0 });
        };
        news.push(News::Settled(ticket, Err(refusal)));
    }

    /// Takes all orders back, and switches off.
    pub(super) fn close(&mut self, ticket: Ticket, news: &mut Vec<News>) {
        self.drop_orders("taken back", news);
        self.state = State::Unsure;
        self.due = 0;
        self.closing.push(ticket);
    }

    /// The module is away: nothing can be ordered, and what was on the way is unknown. When it comes back it may have anything on.
    pub(super) fn away(&mut self, why: &str, news: &mut Vec<News>) {
        self.drop_orders(why, news);
        for ticket in self.closing.drain(..) {
            news.push(News::Settled(ticket, Err(NotOpened::NotSent(why.to_owned()))));
        }
        self.state = State::Unsure;
        self.due = 0;
        self.failed = 0;
    }

    fn drop_orders(&mut self, why: &str, news: &mut Vec<News>) {
        if let Some(order) = self.current.take() {
            let written = order.writes > 0;
            settle(order, &Err(if written { NotOpened::Unknown(why.to_owned()) } else { NotOpened::NotSent(why.to_owned()) }), news);
        }
        for order in self.waiting.drain(..) {
            settle(order, &Err(NotOpened::NotSent(why.to_owned())), news);
        }
    }

    /// What is to be asked, how soon, and when at the earliest. Lets expired orders go.
    pub(super) fn next(&mut self, now: u64, news: &mut Vec<News>) -> (Rank, Ask, u64) {
        while self.waiting.front().is_some_and(|order| now >= order.open.expires_boot_ms)
            && let Some(order) = self.waiting.pop_front()
        {
            settle(order, &Err(NotOpened::Expired), news);
        }
        if matches!(self.state, State::WantOn) && self.current.as_ref().is_none_or(|order| now >= order.open.expires_boot_ms) {
            if let Some(order) = self.current.take() {
                settle(order, &Err(NotOpened::Expired), news);
            }
            // Where it was written before, it reads off.
            self.rest(now);
        }
        if let State::WrittenOn { until, acknowledged } = self.state
            && now >= until
        {
            if let Some(order) = self.current.take() {
                let outcome = if acknowledged { Ok(()) } else { Err(NotOpened::Unknown("the module did not say whether it switched on".to_owned())) };
                self.finish(order, &outcome, news);
            }
            self.state = State::Unsure;
            self.due = 0;
        }
        if matches!(self.state, State::On { until } if now >= until) {
            self.state = State::Unsure;
            self.due = 0;
        }
        if matches!(self.state, State::Off) && self.current.is_none() && !self.waiting.is_empty() && now >= self.rested {
            self.current = self.waiting.pop_front();
            self.state = State::WantOn;
        }
        match self.state {
            State::Unsure => (Rank::Urgent, Ask::Off, self.due),
            State::WrittenOff => (Rank::Urgent, Ask::Read, 0),
            // An order waits for the rest between two pulses to end; the line is not asked before, but the caller comes back in time.
            State::Off if !self.waiting.is_empty() => (Rank::Routine, Ask::Read, self.due.min(self.rested)),
            State::Off => (Rank::Routine, Ask::Read, self.due),
            State::WantOn => (Rank::Order, Ask::On, 0),
            State::WrittenOn { .. } => (Rank::Order, Ask::Read, 0),
            State::On { until } => (Rank::Urgent, Ask::Off, until),
        }
    }

    /// It reads off, and is looked at again in a while.
    fn rest(&mut self, now: u64) {
        self.state = State::Off;
        self.due = now + WATCH_MS;
    }

    /// A write was acknowledged.
    pub(super) fn written(&mut self, ask: Ask, now: u64) {
        match ask {
            Ask::Off => self.state = State::WrittenOff,
            Ask::On => self.sent_on(now, true),
            Ask::Read => {}
        }
    }

    /// It was read.
    pub(super) fn read(&mut self, on: bool, now: u64, news: &mut Vec<News>) {
        match (&self.state, on) {
            (State::Unsure | State::WrittenOff, false) => {
                self.failed = 0;
                if std::mem::take(&mut self.stuck) {
                    news.push(News::Unstuck);
                }
                self.rest(now);
                self.rested = now + REST_MS;
                for ticket in self.closing.drain(..) {
                    news.push(News::Settled(ticket, Ok(())));
                }
            }
            (State::Unsure | State::WrittenOff, true) => self.not_off(now, "it reads on", news),
            (State::Off | State::WantOn, true) => {
                news.push(News::FoundOn);
                self.drop_orders("the output was on already", news);
                self.state = State::Unsure;
                self.due = 0;
            }
            (State::Off, false) => self.rest(now),
            (State::WantOn, false) => {}
            (State::WrittenOn { until, .. }, true) => {
                self.state = State::On { until: *until };
                if let Some(order) = self.current.take() {
                    self.finish(order, &Ok(()), news);
                }
            }
            (State::WrittenOn { .. }, false) => {
                let again = self.current.as_ref().is_some_and(|order| order.writes < WRITES && now < order.open.expires_boot_ms);
                self.state = if again { State::WantOn } else { State::Unsure };
                self.due = 0;
                if !again && let Some(order) = self.current.take() {
                    settle(order, &Err(NotOpened::Refused(format!("output {} does not go on", self.label))), news);
                }
            }
            (State::On { .. }, _) => {}
        }
    }

    /// The module refuses.
    pub(super) fn refused(&mut self, ask: Ask, exception: Exception, now: u64, news: &mut Vec<News>) {
        // Older firmware does not know the real state: its coil is asked from now on.
        if ask == Ask::Read && self.real.take().is_some() {
            return;
        }
        news.push(News::Refused(exception));
        match ask {
            Ask::On => {
                if let Some(order) = self.current.take() {
                    settle(order, &Err(NotOpened::Refused(exception.to_string())), news);
                }
                self.state = State::Unsure;
                self.due = 0;
            }
            Ask::Off | Ask::Read => {
                if let State::WrittenOn { .. } | State::On { .. } = self.state
                    && let Some(order) = self.current.take()
                {
                    settle(order, &Err(NotOpened::Unknown(exception.to_string())), news);
                }
                self.not_off(now, &exception.to_string(), news);
            }
        }
    }

    /// Nothing came in answer. A write may have been carried out all the same.
    pub(super) fn silent(&mut self, ask: Ask, now: u64) {
        if ask == Ask::On {
            self.sent_on(now, false);
        }
    }

    fn sent_on(&mut self, now: u64, acknowledged: bool) {
        let Some(order) = &mut self.current else {
            self.state = State::Unsure;
            return;
        };
        order.writes += 1;
        self.state = State::WrittenOn { until: now + u64::from(order.open.pulse_ms), acknowledged };
    }

    fn finish(&mut self, order: Order, outcome: &Result<(), NotOpened>, news: &mut Vec<News>) {
        if outcome.is_ok() {
            self.done = Some(order.open.id);
        }
        settle(order, outcome, news);
    }

    fn not_off(&mut self, now: u64, why: &str, news: &mut Vec<News>) {
        self.failed = self.failed.saturating_add(1);
        self.state = State::Unsure;
        self.due = if self.failed < TRIES { now } else { now + RETRY_MS };
        if self.failed != TRIES {
            return;
        }
        self.stuck = true;
        news.push(News::Stuck);
        self.drop_orders("the output does not go off", news);
        for ticket in self.closing.drain(..) {
            news.push(News::Settled(ticket, Err(NotOpened::Refused(format!("output {} does not go off: {why}", self.label)))));
        }
    }
}

fn settle(order: Order, outcome: &Result<(), NotOpened>, news: &mut Vec<News>) {
    news.extend(order.tickets.into_iter().map(|ticket| News::Settled(ticket, outcome.clone())));
}
