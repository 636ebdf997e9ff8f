//! `sandbox turnstile`: what it writes, what it counts, and that a validator gives up no message before its PUBACK.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test, to stop is to fail")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sandbox::turnstile::Validator;
use serde_json::Value;

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
    let mut process =
        turnstile(&["--profile", "ironlogic-z2", "--port", "new", "--after", "500", "--linger", "1000"], "card 170009593F\nrepeat 2 card BCD14264\n");
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let port = lines.next().unwrap()["port"].as_str().unwrap().to_owned();
    let mut gateway = serialport::new(port, 9600).timeout(Duration::from_secs(20)).open().unwrap();
    let expected = "Em-Marine[1700] 009,22847\r\nNo card\r\nMifare[BCD14264] 1K (0004,08) 066,53692\r\nNo card\r\nMifare[BCD14264] 1K (0004,08) 066,53692\r\nNo card\r\n";
    let mut read = vec![0; expected.len()];
    gateway.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8_lossy(&read), expected);
    let books = lines.find_map(|line| line.get("books").cloned()).unwrap();
    assert_eq!((books["presented"].as_u64(), books["sent"].as_u64()), (Some(3), Some(3)));
    assert!(process.0.wait().unwrap().success());
}

#[test]
fn a_scanner_that_waits_counts_its_answers() {
    let mut process = turnstile(&["--profile", "scanner-mertech-ack", "--port", "new", "--after", "500", "--linger", "0"], "qr LG-1\nqr LG-2\n");
    let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let port = lines.next().unwrap()["port"].as_str().unwrap().to_owned();
    let mut gateway = serialport::new(port, 9600).timeout(Duration::from_secs(20)).open().unwrap();
    let mut code = [0; 5];
    for (expected, answer) in [(b"LG-1\r", 0x15), (b"LG-1\r", 0x06), (b"LG-2\r", 0x06)] {
        gateway.read_exact(&mut code).unwrap();
        assert_eq!(&code, expected);
        gateway.write_all(&[answer]).unwrap();
    }
    let books = lines.find_map(|line| line.get("books").cloned()).unwrap();
    let count = |key: &str| books[key].as_u64().unwrap();
    assert_eq!((count("presented"), count("sent"), count("acknowledged"), count("refused")), (2, 3, 2, 1));
}

#[test]
fn a_mistake_in_a_script_is_named_and_nothing_is_played() {
    let mut process = turnstile(&["--profile", "ironlogic-z2", "--port", "new"], "card 170009593F\ndance\n");
    assert!(!process.0.wait().unwrap().success());
    let mut error = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(error.contains("line 2") && error.contains("dance"), "{error}");
}

fn mosquitto(port: u16) -> Process {
    let child = Command::new("mosquitto").args(["-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut process = Process(child.expect("Debian's mosquitto is installed"));
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(process.0.try_wait().unwrap().is_none(), "mosquitto ended instead of listening");
        std::thread::yield_now();
    }
    process
}

#[tokio::test]
async fn a_validator_publishes_again_what_the_broker_did_not_acknowledge() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let validator = Validator::start("127.0.0.1", port, "validator-under-test", "validators/in-1/pass");
    // Nobody listens there yet: these wait.
    let mut open: Vec<_> = (0..50).map(|n| validator.publish(&Validator::passed("card_uid", &format!("{n:08X}")))).collect();
    let broker = mosquitto(port);
    let first = open.remove(0).await.unwrap();
    assert_eq!(first.sendings, 1);
    drop(broker);
    open.extend((50..100).map(|n| validator.publish(&Validator::passed("card_uid", &format!("{n:08X}")))));
    let _broker = mosquitto(port);
    let mut ids = std::collections::BTreeSet::from([first.id]);
    for message in open {
        let acknowledged = tokio::time::timeout(Duration::from_secs(30), message).await.expect("every message is acknowledged in the end").unwrap();
        ids.insert(acknowledged.id);
    }
    assert_eq!(ids.len(), 100);
}
