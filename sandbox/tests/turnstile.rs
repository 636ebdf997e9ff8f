//! `sandbox turnstile`: what it writes, what it counts, and that a validator gives up no message before its PUBACK.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test, to stop is to fail")]

#[path = "../../tests/common/ports.rs"]
mod ports;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ports::free_port;
use sandbox::turnstile::Validator;
use serde_json::Value;
use serialport::{SerialPort, TTYPort};

/// A line between the device, which opens the path, and the gateway. The device's end is held open, so that nothing vanishes before or after it.
struct Line {
    gateway: TTYPort,
    path: String,
    _held: File,
}

impl Line {
    fn new() -> Self {
        let (mut gateway, device) = TTYPort::pair().unwrap();
        gateway.set_timeout(Duration::from_secs(60)).unwrap();
        let path = device.name().unwrap();
        // A plain handle: the library's own would hold the lock that the device asks for.
        let held = File::options().read(true).write(true).open(&path).unwrap();
        Self { gateway, path, _held: held }
    }
}

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn turnstile(args: &[&str], script: &str) -> Process {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .arg("turnstile")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    Process(child)
}

#[test]
fn a_script_is_written_to_a_pty_and_the_books_are_printed() {
    let mut line = Line::new();
    let args = ["--profile", "ironlogic-z2", "--port", &line.path, "--after", "0", "--linger", "0"];
    let mut process = turnstile(&args, "card 170009593F\nrepeat 2 card BCD14264\n");
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert_eq!(lines.next().unwrap()["port"], line.path);
    let expected = "Em-Marine[1700] 009,22847\r\nNo card\r\nMifare[BCD14264] 1K (0004,08) 066,53692\r\nNo card\r\nMifare[BCD14264] 1K (0004,08) 066,53692\r\nNo card\r\n";
    let mut read = vec![0; expected.len()];
    line.gateway.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8_lossy(&read), expected);
    let books = lines.find_map(|line| line.get("books").cloned()).unwrap();
    assert_eq!((books["presented"].as_u64(), books["sent"].as_u64()), (Some(3), Some(3)));
    assert!(process.0.wait().unwrap().success());
}

#[test]
fn a_scanner_that_waits_counts_its_answers() {
    let mut line = Line::new();
    let args = ["--profile", "scanner-mertech-ack", "--port", &line.path, "--after", "0", "--linger", "0"];
    let mut process = turnstile(&args, "qr LG-1\nqr LG-2\n");
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut code = [0; 5];
    for (expected, answer) in [(b"LG-1\r", 0x15), (b"LG-1\r", 0x06), (b"LG-2\r", 0x06)] {
        line.gateway.read_exact(&mut code).unwrap();
        assert_eq!(&code, expected);
        line.gateway.write_all(&[answer]).unwrap();
    }
    let books = lines.find_map(|line| line.get("books").cloned()).unwrap();
    let count = |key: &str| books[key].as_u64().unwrap();
    assert_eq!((count("presented"), count("sent"), count("acknowledged"), count("refused")), (2, 3, 2, 1));
}

#[test]
fn without_a_port_it_makes_one_and_names_it() {
    let mut process = turnstile(&["--profile", "ironlogic-z2", "--port", "new", "--after", "0", "--linger", "0"], "card 170009593F\n");
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert!(lines.next().unwrap()["port"].as_str().unwrap().starts_with("/dev/pts/"));
    assert_eq!(lines.find_map(|line| line.get("books").cloned()).unwrap()["sent"], 1);
}

#[test]
fn a_mistake_in_a_script_is_named_and_nothing_is_played() {
    let mut process = turnstile(&["--profile", "ironlogic-z2", "--port", "new"], "card 170009593F\ndance\n");
    assert!(!process.0.wait().unwrap().success());
    let mut error = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(error.contains("line 2") && error.contains("dance"), "{error}");
}

/// `None` when another program took the port.
fn mosquitto(port: u16) -> Option<Process> {
    let child = Command::new("mosquitto").args(["-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut process = Process(child.expect("Debian's mosquitto is installed"));
    loop {
        if process.0.try_wait().unwrap().is_some() {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(process);
        }
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_validator_publishes_again_what_the_broker_did_not_acknowledge() {
    // A port that the broker can have; it is not there yet.
    let port = std::iter::repeat_with(free_port).find(|port| mosquitto(*port).is_some()).unwrap();
    let validator = Validator::start("127.0.0.1", port, "validator-under-test", "validators/in-1/pass");
    // Nobody listens there yet: these wait.
    let mut open: Vec<_> = (0..50).map(|n| validator.publish(&Validator::passed("card_uid", &format!("{n:08X}")))).collect();
    let broker = mosquitto(port).expect("the port is free");
    let first = open.remove(0).await.unwrap();
    assert_eq!(first.sendings, 1);
    drop(broker);
    open.extend((50..100).map(|n| validator.publish(&Validator::passed("card_uid", &format!("{n:08X}")))));
    let _broker = mosquitto(port).expect("the port is free");
    let mut ids = std::collections::BTreeSet::from([first.id]);
    for message in open {
        let acknowledged = tokio::time::timeout(Duration::from_secs(60), message).await.expect("every message is acknowledged in the end").unwrap();
        ids.insert(acknowledged.id);
    }
    assert_eq!(ids.len(), 100);
}
