//! The gateway of the demo: a process that is started, asked, killed and stopped like any other.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::control::Client;
use crate::status::Report;

/// Longer than any start takes.
const START: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The gateway's process.
#[derive(Debug)]
pub struct Gateway {
    binary: PathBuf,
    config: PathBuf,
    log: PathBuf,
    client: Client,
    child: Option<Child>,
}

impl Gateway {
    /// For this config; nothing runs yet. Its log goes to `log`.
    #[must_use]
    pub fn new(binary: PathBuf, config: PathBuf, state_dir: &Path, log: PathBuf) -> Self {
        Self { binary, config, log, client: Client::of(state_dir), child: None }
    }

    /// How to ask it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it does not start; the text names its log.
    pub async fn start(&mut self) -> Result<(), String> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.map_err(|error| format!("cannot open {}: {error}", self.log.display()))?;
        let child = Command::new(&self.binary)
            .args(["run", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.binary.display()))?;
        let child = self.child.insert(child);
        let deadline = tokio::time::Instant::now() + START;
        while tokio::time::Instant::now() < deadline {
            if self.client.get::<Report>("/v1/status").await.is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("the gateway ended with {status}; its log: {}", self.log.display()));
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(format!("the gateway does not answer; its log: {}", self.log.display()))
    }

    /// Kills it as a power cut would: SIGKILL, no word of warning.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it has ended already.
            let _ = child.kill().await;
        }
    }

    /// Stops it as systemd would and waits for its end.
    ///
    /// # Errors
    /// When it does not end, or not with exit code 0.
    pub async fn stop(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(START, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("the gateway ended with {status}; its log: {}", self.log.display())),
            Ok(Err(error)) => Err(format!("the gateway's end could not be seen: {error}")),
            Err(_) => Err(format!("the gateway did not stop in {} s; its log: {}", START.as_secs(), self.log.display())),
        }
    }
}
