//! The way in when doors decide: readings of their gates go to the doors, all others are journalled as passes that a device decided.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use crate::config::{Gate, WiredTo};
use crate::device::Signalled;
use crate::domain::{DeviceRecord, GateId, PassageState};
use crate::journal::Store;
use crate::source::{Arriving, Intake, Reading, Refused, Taken};

use super::run::Door;

/// Knows which gate is which door's.
pub struct Router {
    store: Arc<dyn Store>,
    observed: Arc<dyn Intake>,
    doors: HashMap<GateId, Door>,
    arriving: Mutex<HashSet<DeviceRecord>>,
}

impl Router {
    /// `observed` takes what devices have decided themselves.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, observed: Arc<dyn Intake>, doors: HashMap<GateId, Door>) -> Self {
        Self { store, observed, doors, arriving: Mutex::default() }
    }

    /// The door of a gate.
    #[must_use]
    pub fn door(&self, gate: &GateId) -> Option<&Door> {
        self.doors.get(gate)
    }

    /// Takes a signal to its door; those of gates that only observe have no meaning here.
    pub async fn signal(&self, signalled: Signalled) {
        if let Some(door) = self.doors.get(&signalled.gate) {
            door.signal(signalled).await;
        }
    }

    async fn take_one(&self, reading: Reading) -> Result<Taken, Refused> {
        let door = self.doors.get(&reading.gate);
        // What a device reports as passed, or not, has happened: nothing is left to decide.
        let Some(door) = door.filter(|_| reading.passage == PassageState::Unknown) else {
            return self.observed.take(reading).await;
        };
        let Some(record) = reading.device.clone() else { return door.read(reading).await };
        let Some(_arriving) = Arriving::claim(&self.arriving, record.clone()) else {
            return Err(Refused::NotStored("the same record is being stored now".to_owned()));
        };
        if self.store.seen(&record) {
            return Ok(Taken::Repeated);
        }
        door.read(reading).await
    }
}

impl Intake for Router {
    fn take(&self, reading: Reading) -> Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send + '_>> {
        Box::pin(self.take_one(reading))
    }
}

/// Gates on one output of a module are one door; the first names it.
#[must_use]
pub fn doors_of(gates: &[Gate]) -> Vec<Vec<Gate>> {
    let mut doors: Vec<Vec<Gate>> = Vec::new();
    for gate in gates {
        let Some(door) = &gate.door else { continue };
        let same = |known: &&mut Vec<Gate>| {
            door.open.of != WiredTo::Reader && known.first().and_then(|first| first.door.as_ref()).is_some_and(|first| first.open == door.open)
        };
        match doors.iter_mut().find(same) {
            Some(known) => known.push(gate.clone()),
            None => doors.push(vec![gate.clone()]),
        }
    }
    doors
}

/// The doors, for people's orders.
#[derive(Clone)]
pub struct ByHand {
    gates: Arc<Vec<Gate>>,
    router: Arc<Router>,
}

/// Why there is no such door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDoor {
    /// No gate of that id or service point is decided at by this box.
    #[error("no gate or service point {0} at which this box decides")]
    Unknown(String),
    /// The service point has several.
    #[error("{0} has several doors; name a gate: {1}")]
    Several(String, String),
}

impl ByHand {
    /// For these gates.
    #[must_use]
    pub fn new(gates: &[Gate], router: Arc<Router>) -> Self {
        Self { gates: Arc::new(gates.to_vec()), router }
    }

    /// The door of that gate, or of that service point where it has only one.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn find(&self, point: &str) -> Result<Door, NoDoor> {
        let named = |gate: &Gate| gate.id.as_str() == point || gate.service_point.as_str() == point;
        let mut doors = doors_of(&self.gates);
        doors.retain(|gates| gates.iter().any(named));
        let unknown = || NoDoor::Unknown(point.to_owned());
        match doors.as_slice() {
            [gates] => gates.first().and_then(|gate| self.router.door(&gate.id)).cloned().ok_or_else(unknown),
            [] => Err(unknown()),
            several => {
                let names: Vec<&str> = several.iter().filter_map(|gates| Some(gates.first()?.id.as_str())).collect();
                Err(NoDoor::Several(point.to_owned(), names.join(", ")))
            }
        }
    }
}
