//! A line with simulated devices on it, a driver, and whoever listens to the driver.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limegate::clock::{Clock, SystemClock};
use limegate::device::{Actuator, NotOpened, Open, Parts, Signal, Signalled, Started, Wiring};
use limegate::domain::{Direction, GateId};
use limegate::source::{Intake, Reading, Refused, Taken};
use limegate::status::{Hub, Link, ModuleState};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Waits for a condition.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within 60 s: {what}");
}

/// A Python script that plays devices on a pty: it says what happens to them in lines of JSON, and takes commands.
pub struct Devices {
    child: Child,
    stdin: ChildStdin,
    said: Arc<Mutex<Vec<Value>>>,
    port: PathBuf,
}

impl Devices {
    pub async fn start(script: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/venv/bin/python");
        assert!(python.exists(), "no {}: run tools/setup-tests", python.display());
        let mut child = Command::new(python)
            .arg(root.join("tests/devices").join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python");
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let said: Arc<Mutex<Vec<Value>>> = Arc::default();
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                heard.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        eventually("the devices are there", || !said.lock().unwrap().is_empty()).await;
        let port = said.lock().unwrap()[0]["port"].as_str().unwrap().into();
        Self { child, stdin, said, port }
    }

    pub fn port(&self) -> &Path {
        &self.port
    }

    /// Gives a command and waits until it is carried out.
    pub async fn tell(&mut self, command: &str) {
        let before = self.count(|one| one["done"] == command);
        writeln!(self.stdin, "{command}").unwrap();
        eventually(command, || self.count(|one| one["done"] == command) > before).await;
    }

    /// Everything said so far.
    pub fn said(&self) -> Vec<Value> {
        self.said.lock().unwrap().clone()
    }

    pub fn count(&self, which: impl Fn(&Value) -> bool) -> usize {
        self.said.lock().unwrap().iter().filter(|one| which(one)).count()
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Modules read no media.
struct NoMedia;

impl Intake for NoMedia {
    fn take(&self, _: Reading) -> Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send + '_>> {
        Box::pin(async { panic!("a module has read a medium") })
    }
}

/// A driver at work.
pub struct Bench {
    pub clock: Arc<SystemClock>,
    actuators: Vec<(GateId, Arc<dyn Actuator>)>,
    signals: Arc<Mutex<Vec<Signalled>>>,
    hub: Arc<Hub>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Bench {
    /// Runs a driver.
    pub fn run(start: impl FnOnce(Parts) -> Started) -> Self {
        let (hub, clock) = (Arc::new(Hub::default()), Arc::new(SystemClock::new()));
        let (to, mut from) = mpsc::channel(8);
        let signals: Arc<Mutex<Vec<Signalled>>> = Arc::default();
        let heard = Arc::clone(&signals);
        tokio::spawn(async move {
            while let Some(signal) = from.recv().await {
                heard.lock().unwrap().push(signal);
            }
        });
        let (stop, stopped) = watch::channel(false);
        let started = start(Parts { intake: Arc::new(NoMedia), signals: to, hub: hub.clone(), clock: clock.clone(), stop: stopped });
        Self { clock, actuators: started.actuators, signals, hub, stop, task: tokio::spawn(started.task) }
    }

    pub fn module(&self, id: &str) -> ModuleState {
        self.hub.snapshot().modules.get(id).cloned().unwrap_or_default()
    }

    /// Waits until a module is at work.
    pub async fn up(&self, id: &str) {
        eventually(&format!("{id} is up"), || self.module(id).link == Link::Up).await;
    }

    pub async fn down(&self, id: &str) {
        eventually(&format!("{id} is down"), || self.module(id).link == Link::Down).await;
    }

    pub fn actuator(&self, gate: &str) -> Arc<dyn Actuator> {
        self.actuators.iter().find(|(id, _)| id.as_str() == gate).map(|(_, actuator)| actuator.clone()).unwrap()
    }

    /// An order that lives for a minute.
    pub fn order(&self, pulse_ms: u32) -> Open {
        Open { id: uuid::Uuid::now_v7(), direction: Direction::In, pulse_ms, expires_boot_ms: self.clock.boot_ms() + 60_000 }
    }

    pub async fn open(&self, gate: &str, pulse_ms: u32) -> Result<(), NotOpened> {
        self.actuator(gate).open(self.order(pulse_ms)).await
    }

    /// What was told of a gate.
    pub fn signals(&self, gate: &str) -> Vec<Signal> {
        self.signals.lock().unwrap().iter().filter(|one| one.gate.as_str() == gate).map(|one| one.signal.clone()).collect()
    }

    /// Guests counted at a gate.
    pub fn passed(&self, gate: &str) -> u32 {
        let count = |signal: &Signal| if let Signal::Passed { count, .. } = signal { *count } else { 0 };
        self.signals(gate).iter().map(count).sum()
    }

    /// Stops the driver in order.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }

    /// Ends it as a power cut would.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// What a gate is wired to.
pub fn wiring(gate: &str, open: Option<u16>, passage: Option<limegate::device::Contact>, free: Option<u16>) -> Wiring {
    Wiring { gate: GateId::from(gate), direction: Direction::In, open, passage, free }
}
