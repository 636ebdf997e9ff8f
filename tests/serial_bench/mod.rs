//! A serial source under test: a simulated reader on one side, an intake with moods on the other.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limegate::clock::{Clock, ManualClock, SystemClock};
use limegate::codec::Profile;
use limegate::config::{Gate, ReaderConfig, SerialReader};
use limegate::device::Voice;
use limegate::domain::{Direction, GateId, ServicePointId};
use limegate::source::{Intake, Reading, Refused, Taken, serial};
use limegate::status::{GateState, Hub, Link};
use sandbox::turnstile::{Family, Simulator};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A simulated reader on a pty of its own.
pub fn reader(profile: &str) -> Simulator {
    let mut reader = Simulator::pty(Family::of_profile(profile).unwrap()).unwrap();
    // Whoever waits for an answer here waits for what the test does next.
    reader.set_answer_takes(PATIENCE);
    reader
}

/// Waits for a condition.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "not in time: {what}");
}

/// What the journal does just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Stores.
    Stores,
    /// Does not come back.
    Stuck,
    /// Says that the disk is full.
    Refuses,
}

/// An intake that keeps what it took.
pub struct Desk {
    mood: watch::Sender<Mood>,
    attempts: Mutex<u64>,
    stored: Mutex<Vec<String>>,
}

impl Desk {
    /// One that stores.
    pub fn new() -> Self {
        Self { mood: watch::Sender::new(Mood::Stores), attempts: Mutex::new(0), stored: Mutex::new(Vec::new()) }
    }

    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How often a reading was handed over.
    pub fn attempts(&self) -> u64 {
        *self.attempts.lock().unwrap()
    }

    /// What is on disk, in order.
    pub fn stored(&self) -> Vec<String> {
        self.stored.lock().unwrap().clone()
    }
}

impl Intake for Desk {
    fn take(&self, reading: Reading) -> Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send + '_>> {
        Box::pin(async move {
            *self.attempts.lock().unwrap() += 1;
            let mut mood = self.mood.subscribe();
            let mood = *mood.wait_for(|mood| *mood != Mood::Stuck).await.unwrap();
            if mood == Mood::Refuses {
                return Err(Refused::NotStored("disk full".to_owned()));
            }
            let mut stored = self.stored.lock().unwrap();
            stored.push(reading.medium.value.reveal().to_owned());
            Ok(Taken::Stored { id: uuid::Uuid::now_v7(), seq: stored.len() as u64, durable_us: 0 })
        })
    }
}

/// One gate's source, running.
pub struct Bench {
    pub intake: Arc<Desk>,
    pub clock: Arc<ManualClock>,
    hub: Arc<Hub>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Bench {
    /// Starts the source and waits until it reads.
    pub async fn of(profile: &str, port: &Path) -> Self {
        let bench = Self::begin(profile, port);
        bench.up().await;
        bench
    }

    /// As [`Bench::of`], with the voice that a door has at this reader.
    pub async fn voiced(profile: &str, port: &Path) -> (Self, Arc<dyn Voice>) {
        let (voice, commands) = serial::voice(&Profile::builtin(profile).unwrap()).unwrap();
        let bench = Self::begin_with(profile, port, Some(commands));
        bench.up().await;
        (bench, voice)
    }

    /// Starts the source.
    pub fn begin(profile: &str, port: &Path) -> Self {
        Self::begin_with(profile, port, None)
    }

    fn begin_with(profile: &str, port: &Path, commands: Option<serial::Commands>) -> Self {
        let reader = SerialReader { profile: Profile::builtin(profile).unwrap(), port: port.to_owned(), baud: None, rs485: false };
        let gate = Gate {
            id: GateId::from("n1"),
            title: "Gate 1".to_owned(),
            service_point: ServicePointId::from("sp-1"),
            direction: Direction::In,
            reader: ReaderConfig::Serial(reader.clone()),
            door: None,
        };
        let intake = Arc::new(Desk::new());
        let (hub, clock) = (Arc::new(Hub::default()), Arc::new(ManualClock::synced(1_700_000_000_000)));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serial::run_with(gate, reader, intake.clone(), hub.clone(), clock.clone(), stopped, commands));
        Self { intake, clock, hub, stop, task }
    }

    pub fn state(&self) -> GateState {
        self.hub.snapshot().gates.get("n1").cloned().unwrap_or_default()
    }

    pub async fn up(&self) {
        eventually("the port is open", || self.state().link == Link::Up).await;
    }

    /// The kernel's boot time, for remarks.
    pub fn boot_ms(&self) -> u64 {
        SystemClock::new().boot_ms()
    }

    /// Waits until exactly these were stored, in this order.
    pub async fn stored(&self, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|&value| value.to_owned()).collect();
        self.stored_all(&expected).await;
    }

    /// Waits until exactly these were stored, in this order.
    pub async fn stored_all(&self, expected: &[String]) {
        eventually("everything presented is stored", || self.intake.stored().len() >= expected.len()).await;
        assert_eq!(self.intake.stored(), expected);
    }

    /// Stops the source and waits for it.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        let state = self.hub.snapshot().gates.get("n1").cloned().unwrap_or_default();
        assert_eq!(state.link, Link::Down);
    }
}

/// What was logged.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Captures every log line of this process, down to `trace`. Callsites are cached for the process, so a subscriber of one thread would miss some.
pub fn captured_log() -> Captured {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    captured
}
