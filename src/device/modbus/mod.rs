//! Modbus RTU I/O modules: one task for each line, which serves all modules on it and all gates that are wired to them.
//!
//! A relay of a module opens a gate, its contacts and pulse counters see the passages. [`ModuleMap`](crate::codec::ModuleMap) says where they are.
//!
//! - **Open**: the coil is switched on, its real state is read, and only then the order counts as carried out. It goes off when its pulse is over, by this
//!   driver, whether or not anybody still waits; that is read back, too. An order that is not acknowledged is resolved by reading, not by repeating blindly.
//! - **Off**: before anything else is asked of a module that was away, at a start, and before the end, the outputs that gates are wired to are written off
//!   and read back. An output found on is switched off; one that does not go off is a problem, is tried for ever, and takes no orders. Other outputs of
//!   the module are nobody's business here.
//! - **When this box dies** with a relay on, only the module can end the pulse: the map names the settings for that.
//! - **Passages**: counters by differences, a first reading and a jump as baselines; contacts by rising edges. Counters miss nothing between two looks, a
//!   contact's pulse has to be longer than the time between them.
//!
//! Never: two questions on a line at once; an order sent after it expired; an output on without a deadline.

mod contacts;
mod driver;
mod relay;
mod station;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Actuator, NotOpened, Open, Ordered, Parts, Started, Wiring};
use crate::config::{BusLine, Module, ModuleKind};
use crate::domain::GateId;
use driver::{Driver, Seat};
use station::Station;

/// Orders that wait for the driver's attention, all gates of a line together.
const ORDERS: usize = 32;

/// How long modules may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the end of a question to the answer, its own time on the line not counted. Default 250 ms: modules take a few milliseconds, a USB adapter
    /// up to 16, a busy box more.
    pub answer: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { answer: Duration::from_millis(250) }
    }
}

/// What is asked of the driver.
enum Order {
    Open { seat: usize, relay: usize, open: Open, reply: oneshot::Sender<Result<(), NotOpened>> },
    Close { seat: usize, relay: usize, reply: oneshot::Sender<Result<(), NotOpened>> },
}

/// A driver for one line: its modules, and for each what of it belongs to which gate. Modules of another kind, and modules that no gate is wired to, are
/// left out.
#[must_use]
pub fn start(line: &BusLine, modules: Vec<(Module, Vec<Wiring>)>, parts: Parts) -> Started {
    start_timed(line, modules, parts, Timing::default())
}

/// The same with modules that take longer.
#[must_use]
pub fn start_timed(line: &BusLine, modules: Vec<(Module, Vec<Wiring>)>, parts: Parts, timing: Timing) -> Started {
    let (to_driver, orders) = mpsc::channel(ORDERS);
    let mut seats = Vec::new();
    let mut actuators: Vec<(GateId, Arc<dyn Actuator>)> = Vec::new();
    for (module, wirings) in modules {
        let ModuleKind::Modbus { map, address, .. } = &module.kind else { continue };
        if wirings.is_empty() {
            continue;
        }
        let station = Station::new(*address, map, &wirings);
        for wiring in &wirings {
            if let Some(relay) = wiring.open.and_then(|number| station.relays.iter().position(|relay| relay.number == number)) {
                let actuator = Output { to_driver: to_driver.clone(), seat: seats.len(), relay };
                actuators.push((wiring.gate.clone(), Arc::new(actuator)));
            }
        }
        seats.push(Seat { module, wirings, station, last_silence: None });
    }
    let driver = Driver::new(line, seats, orders, parts, timing);
    Started { actuators, voices: Vec::new(), task: Box::pin(driver.run()) }
}

/// One output of one module.
struct Output {
    to_driver: mpsc::Sender<Order>,
    seat: usize,
    relay: usize,
}

impl Output {
    async fn send(&self, order: impl FnOnce(oneshot::Sender<Result<(), NotOpened>>) -> Order) -> Result<(), NotOpened> {
        let (reply, answer) = oneshot::channel();
        if self.to_driver.send(order(reply)).await.is_err() {
            return Err(NotOpened::NotSent("the driver of the modules has ended".to_owned()));
        }
        answer.await.unwrap_or_else(|_| Err(NotOpened::Unknown("the driver of the modules has ended".to_owned())))
    }
}

impl Actuator for Output {
    fn open(&self, open: Open) -> Ordered<'_> {
        let (seat, relay) = (self.seat, self.relay);
        Box::pin(self.send(move |reply| Order::Open { seat, relay, open, reply }))
    }

    fn close(&self) -> Ordered<'_> {
        let (seat, relay) = (self.seat, self.relay);
        Box::pin(self.send(move |reply| Order::Close { seat, relay, reply }))
    }
}
