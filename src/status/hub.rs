//! Where every part reports its state.

use std::sync::{Mutex, PoisonError};

use super::snapshot::{DestinationState, FeedState, GateState, ModuleState, MqttState, Snapshot};

/// Holds the current state. Cheap to report to; hand out as `Arc<Hub>`.
#[derive(Debug, Default)]
pub struct Hub {
    now: Mutex<Snapshot>,
}

impl Hub {
    /// Starts from what is known before anything runs.
    #[must_use]
    pub fn new(first: Snapshot) -> Self {
        Self { now: Mutex::new(first) }
    }

    /// Changes anything.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes one gate.
    pub fn gate(&self, id: &str, change: impl FnOnce(&mut GateState)) {
        self.update(|now| change(now.gates.entry(id.to_owned()).or_default()));
    }

    /// Changes one module.
    pub fn module(&self, id: &str, change: impl FnOnce(&mut ModuleState)) {
        self.update(|now| change(now.modules.entry(id.to_owned()).or_default()));
    }

    /// Changes one destination, by its name in topics: `lime`, `crm`.
    pub fn destination(&self, name: &str, change: impl FnOnce(&mut DestinationState)) {
        self.update(|now| change(now.destinations.entry(name.to_owned()).or_default()));
    }

    /// Changes one feed.
    pub fn feed(&self, name: &str, change: impl FnOnce(&mut FeedState)) {
        self.update(|now| change(now.feeds.entry(name.to_owned()).or_default()));
    }

    /// Changes the broker's state.
    pub fn mqtt(&self, change: impl FnOnce(&mut MqttState)) {
        self.update(|now| change(&mut now.mqtt));
    }

    /// What it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
