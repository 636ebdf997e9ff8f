//! The part of the gateway under test: client, a validator's source, status publisher; and an intake that the test holds in its hands.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limegate::clock::{ManualClock, SharedClock};
use limegate::config::MqttConfig;
use limegate::device::Signalled;
use limegate::domain::{DeviceRecord, GateId, Secret};
use limegate::mqtt::{Client, ClientHandle};
use limegate::source::mqtt::{Validator, run};
use limegate::source::{Intake, Reading, Refused, Taken};
use limegate::status::mqtt::{Topics, will};
use limegate::status::{Hub, Link, Problem, Report, Snapshot};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::until;

/// Stores readings in memory, as slowly or as unwillingly as the test wants. As with the journal, a reading's place is that of its first poll.
#[derive(Default)]
pub struct TestIntake {
    places: AtomicUsize,
    stored: Mutex<BTreeMap<usize, String>>,
    seen: Mutex<HashSet<DeviceRecord>>,
    pub refuses: AtomicBool,
    pub refusals: AtomicUsize,
    pub holds: AtomicBool,
    pub released: Notify,
    pub repeated: AtomicUsize,
    under_way: AtomicUsize,
    pub most_under_way: AtomicUsize,
}

impl TestIntake {
    pub fn stored(&self) -> Vec<String> {
        self.stored.lock().unwrap().values().cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.stored.lock().unwrap().len()
    }

    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    async fn take_one(&self, reading: Reading) -> Result<Taken, Refused> {
        let place = self.places.fetch_add(1, Ordering::SeqCst);
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(now, Ordering::SeqCst);
        while self.holds.load(Ordering::SeqCst) {
            let released = self.released.notified();
            if self.holds.load(Ordering::SeqCst) {
                released.await;
            }
        }
        tokio::task::yield_now().await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if self.refuses.load(Ordering::SeqCst) {
            self.refusals.fetch_add(1, Ordering::SeqCst);
            return Err(Refused::NotStored("the journal's budget is full".to_owned()));
        }
        let record = reading.device.expect("a record");
        if !self.seen.lock().unwrap().insert(record.clone()) {
            self.repeated.fetch_add(1, Ordering::SeqCst);
            return Ok(Taken::Repeated);
        }
        let mut stored = self.stored.lock().unwrap();
        stored.insert(place, record.record);
        Ok(Taken::Stored { id: Uuid::new_v4(), seq: stored.len() as u64, durable_us: 1 })
    }
}

impl Intake for TestIntake {
    fn take(&self, reading: Reading) -> Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send + '_>> {
        Box::pin(self.take_one(reading))
    }
}

pub const TOPIC: &str = "validators/in-1/pass";

pub fn topics() -> Topics {
    Topics { state: "limegate/1/vysota/vysota-north/state".to_owned(), health: "limegate/1/vysota/vysota-north/health".to_owned() }
}

pub fn config(port: u16) -> MqttConfig {
    MqttConfig {
        host: "127.0.0.1".to_owned(),
        port,
        tls: false,
        user: None,
        password: None,
        ca: None,
        // Longer than a busy machine makes anybody wait: the connections are counted.
        keep_alive: Duration::from_secs(60),
        client_id: "limegate-vysota-north".to_owned(),
    }
}

pub fn reading(id: &str) -> String {
    format!(r#"{{"v":1,"id":"{id}","kind":"passed","medium":{{"kind":"card_uid","value":"04A1B2C3"}},"dir":"in"}}"#)
}

pub struct Gateway {
    pub client: ClientHandle,
    pub hub: Arc<Hub>,
    pub clock: SharedClock,
    pub reports: watch::Sender<Arc<Report>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// Starts the client alone. `session` counts the starts of the gateway.
    pub fn client(config: &MqttConfig, password: Option<Secret>, session: u64) -> Self {
        let now = Snapshot { session, version: "0.1.0".to_owned(), ..Snapshot::default() };
        let hub = Arc::new(Hub::new(now.clone()));
        let reports = watch::Sender::new(Arc::new(Report::new(now, Vec::new())));
        let clock: SharedClock = Arc::new(ManualClock::synced(1_795_342_500_000));
        let (stop, stopped) = watch::channel(false);
        let (client, task) = Client::start(config, password, will(&topics(), reports.subscribe()), Arc::clone(&hub), Arc::clone(&clock), stopped);
        Self { client, hub, clock, reports, stop, tasks: vec![task] }
    }

    /// With a validator.
    pub fn reading(config: &MqttConfig, intake: &Arc<TestIntake>) -> Self {
        Self::reading_for(config, intake, None)
    }

    /// With a validator at a gate whose door the box decides at.
    pub fn reading_for(config: &MqttConfig, intake: &Arc<TestIntake>, door: Option<mpsc::Sender<Signalled>>) -> Self {
        let mut gateway = Self::client(config, None, 1);
        let validator = Validator { gate: GateId::from("in-1"), topic: TOPIC.to_owned(), door };
        let intake: Arc<dyn Intake> = Arc::clone(intake) as Arc<dyn Intake>;
        let run = run(validator, intake, Arc::clone(&gateway.hub), Arc::clone(&gateway.clock), gateway.client.clone(), gateway.stop.subscribe());
        gateway.tasks.push(tokio::spawn(run));
        gateway
    }

    /// With the status publisher.
    pub fn with_status(mut self) -> Self {
        let run = limegate::status::mqtt::run(topics(), self.client.clone(), self.reports.subscribe(), self.stop.subscribe());
        self.tasks.push(tokio::spawn(run));
        self
    }

    /// Draws up the report, as the gateway does each second.
    pub fn report(&self, problems: Vec<Problem>) {
        self.reports.send_replace(Arc::new(Report::new(self.hub.snapshot(), problems)));
    }

    pub fn up(&self) -> bool {
        self.client.connection().borrow().up
    }

    pub async fn connected(&self) {
        until("the gateway is connected", || self.up()).await;
    }

    /// The broker has granted the validator's subscription.
    pub async fn listening(&self) {
        until("the gate is up", || self.hub.snapshot().gates.get("in-1").is_some_and(|gate| gate.link == Link::Up)).await;
    }

    /// As a stop does it.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            task.await.expect("no task panics");
        }
    }

    /// As a power cut does it: no farewell, no acknowledgement.
    pub fn kill(self) {}
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
