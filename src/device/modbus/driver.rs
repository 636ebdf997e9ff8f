//! The task of one line: takes orders, asks the modules in their turn, tells the doors what is seen and status how it stands.
//!
//! Between any two questions orders are taken and the most pressing question is chosen: first what must go off, then a guest's order, then whatever has
//! waited longest. A module that is away is tried only while nothing on the line is on or ordered, so that its silence lengthens no pulse.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use super::contacts::Seen;
use super::station::{About, Event, Question, Station};
use super::{Order, Timing};
use crate::clock::SharedClock;
use crate::codec::modbus::Exchange;
use crate::config::{BusLine, Module};
use crate::device::bus::{Bus, PortNews, Silence};
use crate::device::outbox::Outbox;
use crate::device::{NotOpened, Parts, Signal, Wiring};
use crate::status::{Hub, Link, ModuleState};

/// A stop leaves this much time to switch outputs off and read that back.
const LEAVE: Duration = Duration::from_secs(2);
/// With nothing due the line rests no longer than this.
const REST_MS: u64 = 1_000;

/// A module of the line.
pub(super) struct Seat {
    pub(super) module: Module,
    pub(super) wirings: Vec<Wiring>,
    pub(super) station: Station,
    /// What it last did not do, for status.
    pub(super) last_silence: Option<&'static str>,
}

/// The driver of one line.
pub(super) struct Driver {
    bus: Bus,
    seats: Vec<Seat>,
    orders: mpsc::Receiver<Order>,
    waiting: HashMap<u64, oneshot::Sender<Result<(), NotOpened>>>,
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
    Order(Order),
    Port(PortNews),
    Due,
}

impl Driver {
    pub(super) fn new(line: &BusLine, seats: Vec<Seat>, orders: mpsc::Receiver<Order>, parts: Parts, timing: Timing) -> Self {
        let driver = Self {
            bus: Bus::new(line.clone(), timing.answer),
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
        for seat in &driver.seats {
            driver.hub.module(&seat.module.id, |state| {
                *state = ModuleState {
                    title: seat.module.title.clone(),
                    kind: seat.module.kind_name().to_owned(),
                    port: driver.port.clone(),
                    address: seat.station.address,
                    ..ModuleState::default()
                };
            });
        }
        driver
    }

    /// Runs until `stop` is true, and then until the outputs are off.
    pub(super) async fn run(mut self) {
        while !*self.stop.borrow() {
            while let Ok(order) = self.orders.try_recv() {
                self.take(order);
            }
            if self.bus.is_up()
                && let Some((at, question)) = self.choose()
                && question.due <= self.clock.boot_ms()
            {
                self.ask(at, question.about).await;
                continue;
            }
            match self.rest().await {
                Woken::Stop => break,
                Woken::Order(order) => self.take(order),
                Woken::Port(news) => self.port(news),
                Woken::Due => {}
            }
        }
        self.leave().await;
    }

    /// Waits until something is due.
    async fn rest(&mut self) -> Woken {
        let now = self.clock.boot_ms();
        let due = if self.bus.is_up() { self.choose().map(|(_, question)| question.due) } else { None };
        let wait = due.map_or(REST_MS, |due| due.saturating_sub(now).clamp(1, REST_MS));
        tokio::select! {
            biased;
            // A sender that is gone stops the task, too.
            _ = self.stop.wait_for(|stop| *stop) => Woken::Stop,
            // All actuators may be gone; the outputs are watched all the same.
            Some(order) = self.orders.recv() => Woken::Order(order),
            news = self.bus.watch() => Woken::Port(news),
            () = sleep(Duration::from_millis(wait)) => Woken::Due,
        }
    }

    fn take(&mut self, order: Order) {
        self.tickets += 1;
        let ticket = self.tickets;
        let now = self.clock.boot_ms();
        let (Order::Open { seat: at, relay, .. } | Order::Close { seat: at, relay, .. }) = order;
        let station = self.seats.get_mut(at).map(|seat| &mut seat.station);
        let reply = match (order, station) {
            (Order::Open { open, reply, .. }, Some(station)) => {
                station.order(relay, open, ticket, now, &mut self.events);
                reply
            }
            (Order::Close { reply, .. }, Some(station)) => {
                station.close(relay, ticket, &mut self.events);
                reply
            }
            (_, None) => return,
        };
        self.waiting.insert(ticket, reply);
        self.tell(at);
    }

    /// The most pressing question of all modules.
    fn choose(&mut self) -> Option<(usize, Question)> {
        let now = self.clock.boot_ms();
        let busy = self.seats.iter().any(|seat| !seat.station.at_rest());
        let mut best: Option<(usize, Question)> = None;
        for at in 0..self.seats.len() {
            let Some(seat) = self.seats.get_mut(at) else { continue };
            let question = seat.station.next(now, &mut self.events);
            self.tell(at);
            let Some(question) = question.filter(|question| !(busy && question.probe)) else { continue };
            let key = |one: &Question| (one.due > now, if one.due > now { one.due } else { 0 }, one.rank, one.due);
            if best.as_ref().is_none_or(|(_, best)| key(&question) < key(best)) {
                best = Some((at, question));
            }
        }
        best
    }

    async fn ask(&mut self, at: usize, about: About) {
        let Some(seat) = self.seats.get_mut(at) else { return };
        let Some(request) = seat.station.request(about) else { return };
        let mut exchange = Exchange::new(seat.station.address, request);
        let frame = request.frame(seat.station.address);
        let answer = self.bus.exchange(&frame, request.answer_len(), |bytes| exchange.push(bytes)).await;
        let now = self.clock.boot_ms();
        match answer {
            Ok(answer) => {
                seat.station.answered(about, &answer, now, &mut self.events);
                self.hub.module(&seat.module.id, |state| {
                    state.asked += 1;
                    state.last_answer_boot_ms = Some(now);
                });
            }
            Err(Silence::Lost(why)) => self.port(PortNews::Down(why)),
            Err(silence) => {
                let damaged = silence == Silence::Damaged;
                seat.last_silence =
                    Some(if damaged { "only damaged bytes come: check line settings, wiring and termination" } else { "it does not answer" });
                seat.station.silent(about, now, &mut self.events);
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
        let now = self.clock.boot_ms();
        match news {
            PortNews::Up => {
                self.port_error = None;
                tracing::info!(port = self.port, "the line of the I/O modules is open");
            }
            PortNews::Down(why) => {
                if self.port_error.as_ref() != Some(&why) {
                    tracing::warn!(port = self.port, "the line of the I/O modules is closed: {why}");
                }
                self.port_error = Some(why);
                for at in 0..self.seats.len() {
                    if let Some(seat) = self.seats.get_mut(at) {
                        seat.station.port_closed(now, &mut self.events);
                    }
                    self.tell(at);
                }
            }
        }
    }

    /// Passes on what has become known of a module.
    fn tell(&mut self, at: usize) {
        let now = self.clock.boot_ms();
        self.outbox.flush();
        let Some(seat) = self.seats.get_mut(at) else { return };
        let id = &seat.module.id;
        for event in self.events.drain(..) {
            match event {
                Event::Settled(ticket, outcome) => {
                    if let Some(reply) = self.waiting.remove(&ticket) {
                        // Whoever ordered may have gone; the pulse ends all the same.
                        let _ = reply.send(outcome);
                    }
                }
                Event::Up => {
                    tracing::info!(module = id, "the module answers");
                    self.hub.module(id, |state| {
                        state.link = Link::Up;
                        state.error = None;
                    });
                    seat.wirings.iter().for_each(|wiring| self.outbox.tell(&wiring.gate, Signal::Link(true), now));
                }
                Event::Down => {
                    let why = self.port_error.clone().unwrap_or_else(|| seat.last_silence.unwrap_or("it does not answer").to_owned());
                    let mut was = Link::Down;
                    self.hub.module(id, |state| {
                        was = std::mem::replace(&mut state.link, Link::Down);
                        state.error = Some(why.clone());
                    });
                    if was != Link::Down {
                        tracing::warn!(module = id, "the module is away: {why}");
                        seat.wirings.iter().for_each(|wiring| self.outbox.tell(&wiring.gate, Signal::Link(false), now));
                    }
                }
                Event::Seen(seen) => {
                    let (Seen::Passed(wiring, _) | Seen::Free(wiring, _) | Seen::Jumped(wiring, _)) = seen;
                    let Some(wiring) = seat.wirings.get(wiring) else { continue };
                    match seen {
                        Seen::Passed(_, count) => {
                            self.outbox.tell(&wiring.gate, Signal::Passed { direction: Some(wiring.direction), count }, now);
                        }
                        Seen::Free(_, free) => self.outbox.tell(&wiring.gate, Signal::Free(free), now),
                        Seen::Jumped(_, by) => {
                            tracing::warn!(module = id, gate = %wiring.gate, by, "a counter jumped: the module was restarted? Nobody is counted");
                        }
                    }
                }
                Event::FoundOn(output) => tracing::warn!(module = id, output, "an output was on that no door had ordered; it is switched off"),
                Event::Stuck => {
                    let stuck = seat.station.stuck();
                    tracing::error!(module = id, ?stuck, "outputs that do not go off have changed");
                    self.hub.module(id, |state| state.stuck = stuck);
                }
                Event::Refused(request, exception) => {
                    let text = format!("{request:?}: {exception}");
                    self.hub.module(id, |state| {
                        if state.refused.as_ref() != Some(&text) {
                            tracing::warn!(module = id, "the module refuses {text}");
                        }
                        state.refused = Some(text);
                    });
                }
                Event::SettingRefused(setting) => {
                    self.hub.module(id, |state| {
                        if !state.settings_refused.contains(&setting.register) {
                            tracing::warn!(module = id, register = setting.register, "the module does not take a setting of its map");
                            state.settings_refused.push(setting.register);
                        }
                    });
                }
            }
        }
    }

    /// Outputs off, read back, within a bounded time.
    async fn leave(mut self) {
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            self.take(order);
        }
        for at in 0..self.seats.len() {
            if let Some(seat) = self.seats.get_mut(at) {
                seat.station.leave(&mut self.events);
            }
            self.tell(at);
        }
        let until = Instant::now() + LEAVE;
        while Instant::now() < until && !self.seats.iter().all(|seat| seat.station.is_off() || seat.station.has_given_up()) {
            if !self.bus.is_up() {
                let news = tokio::time::timeout_at(until, self.bus.watch()).await;
                if let Ok(news) = news {
                    self.port(news);
                }
                continue;
            }
            let now = self.clock.boot_ms();
            match self.choose() {
                Some((at, question)) if question.due <= now => self.ask(at, question.about).await,
                Some((_, question)) => sleep(Duration::from_millis((question.due - now).clamp(1, 100))).await,
                None => break,
            }
        }
        for seat in &self.seats {
            let outputs: Vec<&str> = seat.station.relays.iter().filter(|relay| !relay.is_off()).map(|relay| relay.label.as_str()).collect();
            if !outputs.is_empty() {
                tracing::error!(module = seat.module.id, ?outputs, "outputs may be on: they could not be read back as off before the stop");
            }
            self.hub.module(&seat.module.id, |state| {
                state.link = Link::Down;
                state.error = Some("the gateway is stopping".to_owned());
            });
        }
        self.bus.close();
    }
}
