//! The way in when doors decide: readings of their gates go to the doors, all others are journalled as passes that a device decided.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

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
