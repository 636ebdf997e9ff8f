//! `reader.py` as a child: OSDP readers of others on a pty.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Readers on one line; they end with the value.
pub struct Peer {
    child: Child,
    input: ChildStdin,
    pub port: PathBuf,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Peer {
    /// `readers`: as `reader.py` describes them.
    pub fn start(readers: &Value) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let own = root.join("target/venv/bin/python");
        let python = if own.exists() { own } else { PathBuf::from("python3") };
        let script = root.join("tests/osdp_peer/reader.py");
        let child = Command::new(python).arg(script).arg(readers.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("python: `make test` installs what it needs");
        let input = child.stdin.take().expect("a piped stdin");
        let mut output = BufReader::new(child.stdout.take().expect("a piped stdout"));
        let mut path = String::new();
        output.read_line(&mut path).expect("the pty's path");
        assert!(path.starts_with('/'), "the readers did not start: is libosdp installed? `make test` does it");
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = Arc::clone(&told);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                telling.lock().unwrap().push(serde_json::from_str(&line).expect("a line of JSON"));
            }
        });
        Self { child, input, port: PathBuf::from(path.trim()), told }
    }

    /// Something happens at a reader.
    pub fn tell(&mut self, what: &Value) {
        writeln!(self.input, "{what}").expect("the readers listen");
    }

    /// The commands that readers were given so far.
    pub fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap().clone()
    }

    /// Outputs switched at a reader: number, code, tenths of a second.
    pub fn switched(&self, address: u8) -> Vec<(u64, u64, u64)> {
        let number = |one: &Value, key: &str| one[key].as_u64().unwrap_or_default();
        let of = |one: &&Value| one["address"] == address && one.get("output_no").is_some();
        self.told().iter().filter(of).map(|one| (number(one, "output_no"), number(one, "control_code"), number(one, "timer_count"))).collect()
    }

    /// Lights lit at a reader, by colour: 1 red, 2 green, 3 amber.
    pub fn lights(&self, address: u8) -> Vec<u64> {
        let of = |one: &&Value| one["address"] == address && one["temporary"] == true;
        self.told().iter().filter(of).filter_map(|one| one["on_color"].as_u64()).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
