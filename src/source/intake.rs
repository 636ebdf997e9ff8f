//! The way in: stamps a reading, drops what a device repeats, and returns when the pass is on disk.
//!
//! Never: a `Taken` before the sync; two passes for one device record, also when both copies arrive at the same moment.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{broadcast, watch};

use crate::clock::SharedClock;
use crate::config::Gate;
use crate::domain::{DeviceRecord, Direction, GateId, Pass, ServicePointId};
use crate::journal::{AppendError, Record, Store};
use crate::status::Hub;
use crate::tap::{Event, PassEvent};

use super::{Intake, Origin, Reading, Refused, Taken};

/// The gateway's intake.
pub struct JournalIntake {
    store: Arc<dyn Store>,
    clock: SharedClock,
    hub: Arc<Hub>,
    tap: broadcast::Sender<Event>,
    stop: watch::Receiver<bool>,
    gates: HashMap<GateId, (ServicePointId, Direction)>,
    arriving: Mutex<HashSet<DeviceRecord>>,
}

impl JournalIntake {
    /// An intake for the gates of the config.
    pub fn new(
        store: Arc<dyn Store>,
        clock: SharedClock,
        hub: Arc<Hub>,
        tap: broadcast::Sender<Event>,
        stop: watch::Receiver<bool>,
        gates: &[Gate],
    ) -> Self {
        let gates = gates.iter().map(|gate| (gate.id.clone(), (gate.service_point.clone(), gate.direction))).collect();
        Self { store, clock, hub, tap, stop, gates, arriving: Mutex::new(HashSet::new()) }
    }

    async fn take_one(&self, reading: Reading) -> Result<Taken, Refused> {
        if *self.stop.borrow() {
            return Err(Refused::Stopping);
        }
        let Some(record) = reading.device.clone() else {
            return self.store_pass(reading).await;
        };
        // A copy that arrives while the first is being written is refused, not acknowledged: the first may still fail.
        let Some(_arriving) = Arriving::claim(&self.arriving, record.clone()) else {
            return Err(Refused::NotStored("the same record is being stored now".to_owned()));
        };
        if self.store.seen(&record) {
            return Ok(Taken::Repeated);
        }
        self.store_pass(reading).await
    }

    async fn store_pass(&self, reading: Reading) -> Result<Taken, Refused> {
        let Some((service_point, direction)) = self.gates.get(&reading.gate).cloned() else {
            return Err(Refused::NotStored(format!("gate {} is not in the config", reading.gate)));
        };
        let Origin { id, stamp } = reading.origin.unwrap_or_else(|| Origin::now(self.clock.as_ref()));
        let pass = Pass {
            id,
            number: 0,
            gate: reading.gate.clone(),
            service_point,
            direction: reading.direction.unwrap_or(direction),
            medium: reading.medium,
            device: reading.device,
            passage: reading.passage,
            stamp,
            device_ms: reading.device_ms,
            test: false,
            door: None,
        };
        let event_pass = pass.clone();
        let begun = tokio::time::Instant::now();
        let appended = self.store.append(vec![Record::Pass(pass)]).await.map_err(|error| match error {
            AppendError::Closed => Refused::Stopping,
            AppendError::Disk(_) | AppendError::Full => Refused::NotStored(error.to_string()),
        })?;
        let durable_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.hub.update(|now| now.passes += 1);
        self.hub.gate(reading.gate.as_str(), |gate| {
            gate.passes += 1;
            gate.last_pass_boot_ms = Some(stamp.boot_ms);
        });
        // Nobody listening is the usual case.
        let _ = self.tap.send(Event::Pass(PassEvent::of(appended.first, event_pass, durable_us)));
        Ok(Taken::Stored { id, seq: appended.first, durable_us })
    }
}

impl Intake for JournalIntake {
    fn take(&self, reading: Reading) -> Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send + '_>> {
        Box::pin(self.take_one(reading))
    }
}

/// A device record that is on its way in; given free when dropped.
pub(crate) struct Arriving<'a> {
    set: &'a Mutex<HashSet<DeviceRecord>>,
    record: DeviceRecord,
}

impl<'a> Arriving<'a> {
    pub(crate) fn claim(set: &'a Mutex<HashSet<DeviceRecord>>, record: DeviceRecord) -> Option<Self> {
        let fresh = set.lock().unwrap_or_else(PoisonError::into_inner).insert(record.clone());
        fresh.then_some(Self { set, record })
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.record);
    }
}
