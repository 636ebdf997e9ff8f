//! Gate boards of the 7E/7F family: one task for each line, which serves all boards on it.
//!
//! A board lets one guest through on an order and closes by itself; how long it stays open is set in the board, so the pulse of an order means nothing to
//! it. It is closed at a start, when it comes back, and at the end. Passages are differences of its counters; a fault is told to the doors as `board-` and
//! its number in hex, an alarm as a tampering: what the numbers mean is not published.
//!
//! **Experimental**, as [its codec](crate::codec::gate_board) says: the source is single, and nothing here was tried on hardware.
//!
//! Never: an order sent twice, or after it expired.

mod board;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use super::bus::{Bus, PortNews, Silence};
use super::outbox::Outbox;
use super::{Actuator, NotOpened, Open, Ordered, Parts, Signal, Started, Wiring};
use crate::clock::SharedClock;
use crate::codec::gate_board::{Listener, Side};
use crate::config::{BusLine, Module, ModuleKind};
use crate::domain::GateId;
use crate::status::{Hub, Link, ModuleState};
use board::{Board, Event};

/// Orders that wait for the driver's attention, all gates of a line together.
const ORDERS: usize = 32;
/// As the source of the protocol waits for a status.
const ANSWER: Duration = Duration::from_millis(300);
/// Bytes of a status.
const STATUS: usize = 18;
/// A stop leaves this much time to close the gates.
const LEAVE: Duration = Duration::from_secs(2);
/// With nothing due the line rests no longer than this.
const REST_MS: u64 = 1_000;

type Reply = oneshot::Sender<Result<(), NotOpened>>;

/// What is asked of the driver, of which of its boards.
enum Order {
    Open(Side, Open),
    Close,
}

struct Message {
    seat: usize,
    order: Order,
    reply: Reply,
}

/// A driver for one line: its boards, and for each what of it belongs to which gate. Modules of another kind, and boards that no gate is wired to, are left
/// out.
#[must_use]
pub fn start(line: &BusLine, modules: Vec<(Module, Vec<Wiring>)>, parts: Parts) -> Started {
    start_timed(line, modules, parts, ANSWER)
}

/// The same with boards that take longer to answer.
#[must_use]
pub fn start_timed(line: &BusLine, modules: Vec<(Module, Vec<Wiring>)>, parts: Parts, answer: Duration) -> Started {
    let (to_driver, orders) = mpsc::channel(ORDERS);
    let mut seats = Vec::new();
    let mut actuators: Vec<(GateId, Arc<dyn Actuator>)> = Vec::new();
    for (module, wirings) in modules {
        let ModuleKind::GateBoard { address, .. } = module.kind else { continue };
        if wirings.is_empty() {
            continue;
        }
        for wiring in &wirings {
            if let Some(side) = wiring.open.and_then(board::side) {
                actuators.push((wiring.gate.clone(), Arc::new(Gate { to_driver: to_driver.clone(), seat: seats.len(), side })));
            }
        }
        seats.push(Seat { board: Board::new(address, &wirings), module, wirings, damaged: false });
    }
    let driver = Driver {
        bus: Bus::new(line.clone(), answer),
        seats,
        orders,
        waiting: HashMap::new(),
        tickets: 0,
        outbox: Outbox::new(parts.signals),
        hub: parts.hub,
        clock: parts.clock,
        stop: parts.stop,
        port: line.port.display().to_string(),
        port_error: None,
        events: Vec::new(),
    };
    Started { actuators, voices: Vec::new(), task: Box::pin(driver.run()) }
}

/// One side of one board.
struct Gate {
    to_driver: mpsc::Sender<Message>,
    seat: usize,
    side: Side,
}

impl Gate {
    async fn send(&self, order: Order) -> Result<(), NotOpened> {
        let (reply, answer) = oneshot::channel();
        if self.to_driver.send(Message { seat: self.seat, order, reply }).await.is_err() {
            return Err(NotOpened::NotSent("the driver of the gate boards has ended".to_owned()));
        }
        answer.await.unwrap_or_else(|_| Err(NotOpened::Unknown("the driver of the gate boards has ended".to_owned())))
    }
}

impl Actuator for Gate {
    fn open(&self, open: Open) -> Ordered<'_> {
        Box::pin(self.send(Order::Open(self.side, open)))
    }

    fn close(&self) -> Ordered<'_> {
        Box::pin(self.send(Order::Close))
    }
}

/// A board of the line.
struct Seat {
    board: Board,
    module: Module,
    wirings: Vec<Wiring>,
    /// What came last instead of an answer was damaged.
    damaged: bool,
}

struct Driver {
    bus: Bus,
    seats: Vec<Seat>,
    orders: mpsc::Receiver<Message>,
    waiting: HashMap<u64, Reply>,
    tickets: u64,
    outbox: Outbox,
    hub: Arc<Hub>,
    clock: SharedClock,
    stop: watch::Receiver<bool>,
    port: String,
    port_error: Option<String>,
    events: Vec<Event>,
}

enum Woken {
    Stop,
    Order(Message),
    Port(PortNews),
    Due,
}

impl Driver {
    async fn run(mut self) {
        self.introduce();
        while !*self.stop.borrow() {
            while let Ok(message) = self.orders.try_recv() {
                self.take(message);
            }
            if self.bus.is_up()
                && let Some((at, due)) = self.choose()
                && due <= self.clock.boot_ms()
            {
                self.ask(at).await;
                continue;
            }
            match self.rest().await {
                Woken::Stop => break,
                Woken::Order(message) => self.take(message),
                Woken::Port(news) => self.port(news),
                Woken::Due => {}
            }
        }
        self.leave().await;
    }

    fn introduce(&self) {
        for seat in &self.seats {
            self.hub.module(&seat.module.id, |state| {
                *state = ModuleState {
                    title: seat.module.title.clone(),
                    kind: seat.module.kind_name().to_owned(),
                    port: self.port.clone(),
                    address: seat.board.machine,
                    ..ModuleState::default()
                };
            });
        }
    }

    /// Waits until something is due.
    async fn rest(&mut self) -> Woken {
        let due = if self.bus.is_up() { self.choose().map(|(_, due)| due) } else { None };
        let wait = due.map_or(REST_MS, |due| due.saturating_sub(self.clock.boot_ms()).clamp(1, REST_MS));
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => Woken::Stop,
            Some(message) = self.orders.recv() => Woken::Order(message),
            news = self.bus.watch() => Woken::Port(news),
            () = sleep(Duration::from_millis(wait)) => Woken::Due,
        }
    }

    fn take(&mut self, message: Message) {
        self.tickets += 1;
        let Some(seat) = self.seats.get_mut(message.seat) else { return };
        match message.order {
            Order::Open(side, open) => seat.board.order(side, open, self.tickets, self.clock.boot_ms(), &mut self.events),
            Order::Close => seat.board.close(self.tickets, &mut self.events),
        }
        self.waiting.insert(self.tickets, message.reply);
        self.tell(message.seat);
    }

    /// The board that has waited longest.
    fn choose(&self) -> Option<(usize, u64)> {
        self.seats.iter().enumerate().map(|(at, seat)| (at, seat.board.due())).min_by_key(|(_, due)| *due)
    }

    async fn ask(&mut self, at: usize) {
        let now = self.clock.boot_ms();
        let Some(seat) = self.seats.get_mut(at) else { return };
        let machine = seat.board.machine;
        let command = seat.board.next(now, &mut self.events);
        let mut listener = Listener::new(machine);
        let answer = self.bus.exchange(&command.frame(machine), STATUS, |bytes| listener.push(bytes)).await;
        let now = self.clock.boot_ms();
        match answer {
            Ok(status) => {
                seat.board.answered(status, now, &mut self.events);
                self.hub.module(&seat.module.id, |state| {
                    state.asked += 1;
                    state.last_answer_boot_ms = Some(now);
                });
            }
            Err(Silence::Lost(why)) => self.port(PortNews::Down(why)),
            Err(silence) => {
                seat.damaged = silence == Silence::Damaged;
                seat.board.silent(now, &mut self.events);
                let damaged = seat.damaged;
                self.hub.module(&seat.module.id, |state| {
                    state.asked += 1;
                    state.unanswered += u64::from(!damaged);
                    state.damaged += u64::from(damaged);
                });
            }
        }
        self.tell(at);
    }

    fn port(&mut self, news: PortNews) {
        match news {
            PortNews::Up => {
                self.port_error = None;
                tracing::info!(port = self.port, "the line of the gate boards is open");
            }
            PortNews::Down(why) => {
                if self.port_error.as_ref() != Some(&why) {
                    tracing::warn!(port = self.port, "the line of the gate boards is closed: {why}");
                }
                self.port_error = Some(why);
                let now = self.clock.boot_ms();
                for at in 0..self.seats.len() {
                    if let Some(seat) = self.seats.get_mut(at) {
                        seat.board.port_closed(now, &mut self.events);
                    }
                    self.tell(at);
                }
            }
        }
    }

    /// Passes on what has become known of a board.
    fn tell(&mut self, at: usize) {
        let now = self.clock.boot_ms();
        self.outbox.flush();
        let Some(seat) = self.seats.get_mut(at) else { return };
        let id = &seat.module.id;
        let all: Vec<&GateId> = seat.wirings.iter().map(|wiring| &wiring.gate).collect();
        for event in self.events.drain(..) {
            match event {
                Event::Settled(ticket, outcome) => {
                    if let Some(reply) = self.waiting.remove(&ticket) {
                        // Whoever ordered may have gone.
                        let _ = reply.send(outcome);
                    }
                }
                Event::Up => {
                    tracing::info!(module = id, "the gate board answers");
                    self.hub.module(id, |state| {
                        state.link = Link::Up;
                        state.error = None;
                    });
                    self.outbox.tell_each(&all, &Signal::Link(true), now);
                }
                Event::Down => {
                    let damaged = "only damaged bytes come: check line settings, wiring and termination";
                    let why = self.port_error.clone().unwrap_or_else(|| if seat.damaged { damaged } else { "it does not answer" }.to_owned());
                    let mut was = Link::Down;
                    self.hub.module(id, |state| {
                        was = std::mem::replace(&mut state.link, Link::Down);
                        state.error = Some(why.clone());
                    });
                    if was != Link::Down {
                        tracing::warn!(module = id, "the gate board is away: {why}");
                        self.outbox.tell_each(&all, &Signal::Link(false), now);
                    }
                }
                Event::Passed(wiring, count) => {
                    if let Some(wiring) = seat.wirings.get(wiring) {
                        self.outbox.tell(&wiring.gate, Signal::Passed { direction: Some(wiring.direction), count }, now);
                    }
                }
                Event::Jumped(wiring, by) => {
                    let gate = seat.wirings.get(wiring).map(|wiring| wiring.gate.as_str());
                    tracing::warn!(module = id, gate, by, "a counter jumped: the board was restarted or reset? Nobody is counted");
                }
                Event::Fault(fault) => self.outbox.tell_each(&all, &Signal::Fault(fault.map(|fault| format!("board-{fault:02x}"))), now),
                Event::Alarm(alarm) => self.outbox.tell_each(&all, &Signal::Tamper(alarm), now),
                Event::NotClosed => tracing::warn!(module = id, "the gate board did not say that it closed"),
            }
        }
    }

    /// Gates closed, within a bounded time.
    async fn leave(mut self) {
        self.orders.close();
        while let Ok(message) = self.orders.try_recv() {
            self.take(message);
        }
        for at in 0..self.seats.len() {
            if let Some(seat) = self.seats.get_mut(at) {
                seat.board.leave(&mut self.events);
            }
            self.tell(at);
        }
        let until = Instant::now() + LEAVE;
        while Instant::now() < until && !self.seats.iter().all(|seat| seat.board.has_left()) {
            if !self.bus.is_up() {
                if let Ok(news) = tokio::time::timeout_at(until, self.bus.watch()).await {
                    self.port(news);
                }
                continue;
            }
            let left = self.seats.iter().enumerate().filter(|(_, seat)| !seat.board.has_left());
            let Some((at, due)) = left.map(|(at, seat)| (at, seat.board.due())).min_by_key(|(_, due)| *due) else { break };
            let wait = due.saturating_sub(self.clock.boot_ms());
            if wait == 0 {
                self.ask(at).await;
            } else {
                sleep(Duration::from_millis(wait.min(100))).await;
            }
        }
        for seat in &self.seats {
            if !seat.board.is_closed() {
                tracing::error!(module = seat.module.id, "the gate may be open: the board did not say that it closed before the stop");
            }
            self.hub.module(&seat.module.id, |state| {
                state.link = Link::Down;
                state.error = Some("the gateway is stopping".to_owned());
            });
        }
        self.bus.close();
    }
}
