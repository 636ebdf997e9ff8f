//! A gateway box for black-box tests: the real binary, a state folder of its own, a config file, and ways to look from outside.
#![allow(dead_code, reason = "each test binary uses a part")]

mod ports;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub use ports::free_port;

/// A folder with a config, secrets and state, and the gateway that runs on it: cargo's build, or what `LIMEGATE_BIN` names.
pub struct Venue {
    pub folder: tempfile::TempDir,
    gateway: Option<Child>,
}

impl Venue {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("secrets")).expect("secrets/");
        std::fs::create_dir(folder.path().join("state")).expect("state/");
        Self { folder, gateway: None }
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("limegate.toml")
    }

    pub fn secret(&self, name: &str, text: &str) {
        let file = self.folder.path().join("secrets").join(name);
        std::fs::write(&file, text).expect("a secret file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    }

    /// Writes the config; `state_dir` is added in front.
    pub fn config(&self, text: &str) {
        let text = format!("state_dir = {:?}\n{text}", self.state_dir());
        std::fs::write(self.config_file(), text).expect("the config file");
    }

    pub fn command(&self, verb: &[&str]) -> Command {
        let built = std::env::var_os("LIMEGATE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_limegate").into());
        let mut command = Command::new(built);
        command.args(verb).arg("--config").arg(self.config_file());
        command
    }

    /// Starts the gateway and waits until it answers on its control socket.
    pub fn start(&mut self) {
        self.launch();
        let up = wait_for(Duration::from_secs(60), || self.status().is_some() || self.has_ended());
        assert!(up && !self.has_ended(), "the gateway did not start; its log:\n{}", self.log());
    }

    /// Starts the gateway without waiting.
    pub fn launch(&mut self) {
        assert!(self.gateway.is_none(), "one gateway at a time");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).expect("a log file");
        let child = self.command(&["run"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the limegate binary");
        self.gateway = Some(child);
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.gateway.as_ref().expect("a running gateway").id()
    }

    fn has_ended(&mut self) -> bool {
        self.gateway.as_mut().is_none_or(|child| child.try_wait().expect("the child's state").is_some())
    }

    /// SIGKILL, as the power cut of a process.
    pub fn kill(&mut self) {
        let mut child = self.gateway.take().expect("a running gateway");
        child.kill().expect("SIGKILL");
        child.wait().expect("its end");
    }

    /// SIGTERM, and its exit status.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.gateway.take().expect("a running gateway");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("SIGTERM");
        let ended = wait_for(Duration::from_secs(60), || child.try_wait().expect("the child's state").is_some());
        assert!(ended, "the gateway did not stop; its log:\n{}", self.log());
        child.wait().expect("its end")
    }

    /// What `limegate status --json` shows, asked at the control socket itself: tests ask often. `None` while nothing answers.
    pub fn status(&self) -> Option<serde_json::Value> {
        let mut socket = UnixStream::connect(self.state_dir().join("control.sock")).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        socket.write_all(b"GET /v1/status HTTP/1.1\r\nhost: limegate\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).ok()?;
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        serde_json::from_slice(&answer[body..]).ok().filter(|value: &serde_json::Value| value.get("v").is_some())
    }

    /// Runs a command that must end with this exit code, and gives its standard output.
    pub fn output(&self, verb: &[&str], code: i32) -> String {
        let output = self.command(verb).output().expect("the limegate binary");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "limegate {verb:?}\n{stdout}\n{stderr}");
        stdout
    }

    /// Waits until the status fulfils the condition.
    pub fn wait_status(&self, what: &str, within: Duration, fulfilled: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let mut last = None;
        let done = wait_for(within, || {
            last = self.status();
            last.as_ref().is_some_and(&fulfilled)
        });
        assert!(done, "not in time: {what}\nstatus: {last:#?}\nlog:\n{}", self.log());
        last.unwrap_or_default()
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        if let Some(mut child) = self.gateway.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until the condition holds; false when the time is up.
pub fn wait_for(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = now() + within;
    loop {
        if holds() {
            return true;
        }
        if now() >= deadline {
            return false;
        }
        pause();
    }
}

#[allow(clippy::disallowed_methods, reason = "deadlines of black-box tests")]
pub fn now() -> Instant {
    Instant::now()
}

/// Between two looks at a condition.
#[allow(clippy::disallowed_methods, reason = "between two looks at a condition")]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Debian's mosquitto on a free port, gone with the value.
pub struct Mosquitto {
    child: Child,
    pub port: u16,
    pub folder: tempfile::TempDir,
}

impl Mosquitto {
    pub fn start() -> Self {
        std::iter::repeat_with(Self::try_start).take(20).flatten().next().expect("mosquitto did not start")
    }

    /// `None` when another program took the port first.
    fn try_start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let config = folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\nmax_queued_messages 0\nuser root\n",
            folder.path().display()
        );
        std::fs::write(&config, text).expect("mosquitto.conf");
        let path = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let child = Command::new(path).arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut broker = Self { child: child.expect("mosquitto: `make test` installs it"), port, folder };
        let mut ended = false;
        let up = wait_for(Duration::from_secs(60), || {
            ended = broker.child.try_wait().expect("its state").is_some();
            ended || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(up, "mosquitto did not start");
        (!ended).then_some(broker)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line that a child prints, and the child's further output discarded in the background.
pub fn first_line(child: &mut Child) -> String {
    let mut reader = BufReader::new(child.stdout.take().expect("a piped stdout"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("a line");
    std::thread::spawn(move || {
        let mut rest = String::new();
        while reader.read_line(&mut rest).is_ok_and(|read| read > 0) {
            rest.clear();
        }
    });
    line
}
