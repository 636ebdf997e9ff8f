//! Debian's mosquitto, started, stopped, killed and frozen by the tests, and its two command-line clients.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::until;

pub struct Mosquitto {
    pub port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// With further lines for its config; `{folder}` stands for its folder.
    pub async fn with(lines: &str) -> Self {
        Self::within(tempfile::tempdir().expect("a folder"), lines).await
    }

    pub async fn within(folder: TempDir, lines: &str) -> Self {
        let lines = lines.replace("{folder}", folder.path().to_str().expect("a readable path"));
        let mut broker = Self { port: 0, folder, child: None };
        for _ in 0..20 {
            broker.port = free_port();
            let config = format!(
                "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location {}/\nmax_queued_messages 0\n{lines}\n",
                broker.port,
                broker.folder.path().display()
            );
            std::fs::write(broker.folder.path().join("mosquitto.conf"), config).expect("its config");
            if broker.try_go().await {
                return broker;
            }
        }
        panic!("mosquitto does not start")
    }

    /// Starts it again and waits until it accepts connections.
    pub async fn go(&mut self) {
        assert!(self.try_go().await, "mosquitto ended instead of listening on {}", self.port);
    }

    /// False when it ended instead: another program has the port.
    async fn try_go(&mut self) -> bool {
        let path = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let config: PathBuf = self.folder.path().join("mosquitto.conf");
        let child = Command::new(path).arg("-c").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = self.child.insert(child.expect("mosquitto: `make test` installs it"));
        let (port, mut ended) = (self.port, false);
        until("mosquitto accepts connections", || {
            ended = child.try_wait().expect("its state").is_some();
            ended || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        !ended
    }

    /// SIGTERM: it writes its sessions and messages to disk.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.ended().await;
    }

    /// SIGKILL, and what it had on disk is gone.
    pub async fn kill_and_forget(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
        let _ = std::fs::remove_file(self.folder.path().join("mosquitto.db"));
    }

    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a running mosquitto");
        kill_process(Pid::from_child(child), signal).expect("a signal");
    }

    async fn ended(&mut self) {
        let mut child = self.child.take().expect("a running mosquitto");
        until("mosquitto has ended", || child.try_wait().expect("its state").is_some()).await;
    }

    /// Publishes each line at QoS 1 and waits until the broker has them.
    pub async fn publish(&self, topic: &str, retain: bool, lines: Vec<String>) {
        let port = self.port.to_string();
        let topic = topic.to_owned();
        let published = tokio::task::spawn_blocking(move || {
            let mut command = Command::new("mosquitto_pub");
            command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", &topic, "-l"]);
            if retain {
                command.arg("-r");
            }
            let mut child = command.stdin(Stdio::piped()).spawn().expect("mosquitto_pub: `make test` installs it");
            let mut input = child.stdin.take().expect("its input");
            for line in lines {
                writeln!(input, "{line}").expect("a line");
            }
            drop(input);
            child.wait().expect("its end").success()
        });
        assert!(published.await.expect("the publisher"), "mosquitto_pub failed");
    }

    /// What `mosquitto_sub` prints, topic and payload a line, until `count` messages came; `None` when they do not come in time.
    pub async fn read(&self, filter: &str, count: usize) -> Option<Vec<String>> {
        let (port, count, filter) = (self.port.to_string(), count.to_string(), filter.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            Command::new("mosquitto_sub")
                .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", &filter, "-v", "-C", &count, "-W", "60"])
                .output()
                .expect("mosquitto_sub: `make test` installs it")
        });
        let output = read.await.expect("the subscriber");
        let text = String::from_utf8(output.stdout).expect("text");
        output.status.success().then(|| text.lines().map(str::to_owned).collect())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);
