//! `limegate ports` and `limegate listen`, the real binary on real ptys.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use sandbox::Host;
use serde_json::Value;
use serialport::{SerialPort, TTYPort};

use crate::common::{Venue, wait_for};
use crate::park::Park;

const LONG: Duration = Duration::from_secs(60);

/// A reader's end of a pty, the path of the other end, and that one held open as a plain file.
struct Line {
    device: TTYPort,
    path: String,
    held: File,
}

impl Line {
    fn new() -> Self {
        let (device, other) = TTYPort::pair().expect("a pty");
        let path = other.name().expect("the pty's name");
        let held = File::options().read(true).write(true).open(&path).expect("the pty's other end");
        Self { device, path, held }
    }

    fn say(&mut self, text: &[u8]) {
        self.device.write_all(text).expect("the pty takes it");
    }

    /// The settings at which the line is listened to: speed, and whether parity is on.
    fn speed(&self) -> u32 {
        rustix::termios::tcgetattr(&self.held).expect("the pty's settings").input_speed()
    }
}

/// `limegate listen ... --json`, its events as they come.
struct Listener {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Listener {
    fn start(line: &Line, args: &[&str]) -> Self {
        let mut command = Venue::new().command(&["listen", "--json", "--for", "120s", "--port", &line.path]);
        let mut child = command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the limegate binary");
        let lines = BufReader::new(child.stdout.take().expect("a piped stdout")).lines();
        Self { child, lines }
    }

    /// Waits until the port is open and set. What was said before that is dropped, and a pty is born raw: only the listener asks for marks of damage. Its
    /// lock is not tried, for that could keep it out.
    fn wait_open(&mut self, line: &Line) {
        let set = || rustix::termios::tcgetattr(&line.held).expect("settings").input_modes.contains(rustix::termios::InputModes::PARMRK);
        assert!(wait_for(LONG, set), "the port was not opened: {}", self.stderr());
    }

    fn stderr(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }

    /// The next event of this name.
    fn event(&mut self, name: &str) -> Value {
        for line in self.lines.by_ref() {
            let event: Value = serde_json::from_str(&line.expect("a line")).expect("a line of JSON");
            assert_eq!(event["v"], 1);
            if event["event"] == name {
                return event;
            }
        }
        panic!("it ended without {name}: {}", self.stderr())
    }

    /// Ctrl-C; gives the summary and the exit code.
    fn interrupt(self) -> (Value, Option<i32>) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("SIGINT");
        self.end()
    }

    fn end(mut self) -> (Value, Option<i32>) {
        let summary = self.event("summary");
        (summary, self.child.wait().expect("its end").code())
    }
}

fn run(args: &[&str]) -> (String, String, Option<i32>) {
    let output = Venue::new().command(args).stdin(Stdio::null()).output().expect("the limegate binary");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn ports_tell_who_holds_them_and_what_the_gateway_hears() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    park.open();
    let card = park.media("card_uid").into_iter().find(|uid| uid.len() == 8).expect("a card");
    park.card(&card);
    park.venue.wait_status("the pass is taken", LONG, |status| status["gates"]["n1"]["passes"] == 1);
    let shown: Value = serde_json::from_str(&park.venue.output(&["ports", "--json"], 0)).expect("JSON");
    assert_eq!((&shown["v"], &shown["gateway"]), (&Value::from(1), &Value::from(true)));
    let heard = |port: &&Value| port["heard"].as_array().is_some_and(|heard| heard.iter().any(|one| one["gate"] == "n1"));
    let port = shown["ports"].as_array().and_then(|ports| ports.iter().find(heard)).unwrap_or_else(|| panic!("{shown:#}"));
    let holder =
        &port["holders"].as_array().expect("holders").iter().find(|one| one["pid"] == park.venue.pid()).expect("the gateway holds it")["name"];
    assert_eq!(holder, "limegate");
    let (gate, silent) = (&port["heard"][0], port["heard"][0]["silent_ms"].as_u64());
    assert_eq!((&gate["reader"], &gate["link"], &gate["passes"]), (&Value::from("ironlogic-z2"), &Value::from("up"), &Value::from(1)));
    assert!(silent.is_some() && !shown.to_string().contains(&card), "{port:#}");
    let text = park.venue.output(&["ports", "--lang", "en"], 0);
    assert!(
        text.contains("gate n1: ironlogic-z2, up, 1 pass, 0 damaged, last byte") && text.contains(&format!("limegate ({})", park.venue.pid())),
        "{text}"
    );

    // The same port cannot be listened to meanwhile, and the gateway loses nothing by the attempt.
    let path = port["device"].as_str().expect("a device").to_owned();
    let output = park.venue.command(&["listen", "--lang", "en", "--guess", "--port", &path]).output().expect("the limegate binary");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains(&format!("The gateway (process {}) reads {path} now", park.venue.pid())), "{said}");
    park.card(&card.chars().rev().collect::<String>());
    park.venue.wait_status("the next pass is taken", LONG, |status| status["gates"]["n1"]["passes"] == 2);
}

#[test]
fn frames_are_shown_as_they_decode_and_cards_are_masked_unless_asked_for() {
    for (args, bytes, medium) in [(&[][..], "······64", "••4264"), (&["--show-cards"], "BCD14264", "BCD14264")] {
        let mut line = Line::new();
        let mut listener = Listener::start(&line, &[&["--profile", "ironlogic-z2"], args].concat());
        listener.wait_open(&line);
        line.say(b"Mifare[BCD14264] 1K (0004,08) 066,53692\r\n");
        let seen = listener.event("bytes");
        assert!(seen["text"].as_str().expect("text").contains(bytes), "{seen}");
        let seen = listener.event("medium");
        assert_eq!((&seen["value"], &seen["kind"], &seen["repeated"]), (&Value::from(medium), &Value::from("card_uid"), &Value::from(false)));
        line.say(b"No card\r\nMifare[BCD1436\r\n");
        listener.event("removal");
        assert_eq!(listener.event("bad")["kind"], "malformed");
        let (summary, code) = listener.interrupt();
        assert_eq!((&summary["frames"], &summary["bad"], code), (&Value::from(2), &Value::from(1), Some(0)), "{summary:#}");
        assert_eq!(summary["uid_orders"]["reversed"][0], if args.is_empty() { "••D1BC" } else { "6442D1BC" });
        // Not a byte went to the reader.
        line.device.set_timeout(Duration::from_millis(10)).expect("a timeout");
        assert_eq!(line.device.bytes_to_read().ok(), Some(0));
    }
}

#[test]
fn a_guess_listens_at_one_speed_after_another_until_it_makes_sense() {
    let mut line = Line::new();
    let mut listener = Listener::start(&line, &["--guess", "--compare", "6442D1BC"]);
    listener.wait_open(&line);
    assert_eq!(line.speed(), 9_600);
    // What the line gives at the wrong speed, until the right one is set.
    let mut turns = 0;
    while line.speed() != 115_200 {
        assert!(turns < 20, "115200 never came");
        line.say(b"\xF8\x1E\x00\x80\xE0\x86");
        let turn = listener.event("turn");
        assert_eq!(turn["bytes"], 6, "{turn}");
        assert_eq!(turn["line"].as_str().and_then(|text| text.split(' ').next()).map(str::to_owned), Some(line.speed().to_string()));
        turns += 1;
    }
    assert!(turns > 0);
    line.say(b"Mifare[BCD14264] 1K (0004,08) 066,53692\r\n");
    listener.event("bytes");
    line.say(b"No card\r\n");
    let (summary, code) = listener.end();
    let best = &summary["fits"][0];
    assert_eq!(
        (&best["profile"], &best["line"], &best["certainty"], code),
        (&"ironlogic-matrix3".into(), &"115200 8N1".into(), &"sure".into(), Some(0)),
        "{summary:#}"
    );
    assert_eq!(summary["compared"], serde_json::json!({ "uid_order": "reversed", "how": "hex" }));
    assert!(summary["fits"].as_array().expect("fits").iter().any(|fit| fit["profile"] == "ironlogic-z2"), "{summary:#}");
}

#[test]
fn a_port_that_is_not_there_or_none_at_all_is_said_in_words() {
    let (_, said, code) = run(&["listen", "--lang", "en", "--port", "/dev/serial/by-id/usb-nothing"]);
    assert!(code == Some(75) && said.contains("there is no such port. limegate ports"), "{said}");
    let (_, said, code) = run(&["listen", "--lang", "en", "--port", "/dev/null"]);
    assert!(code == Some(75) && said.contains("no serial port"), "{said}");
    let (_, said, code) = run(&["listen", "--lang", "en", "--port", "/dev/null", "--profile", "toaster"]);
    assert!(code == Some(2) && said.contains("There is no profile toaster") && said.contains("rdm6300"), "{said}");
    let (_, said, code) = run(&["listen", "--lang", "ru", "--port", "/dev/null", "--line", "9X1"]);
    assert!(code == Some(2) && said.contains("нужно вида 8N1"), "{said}");
    assert_eq!(run(&["ports", "--json"]).2, Some(0), "ports needs no config");
}

#[test]
fn a_port_that_another_program_holds_is_named_with_its_holder() {
    let line = Line::new();
    let holder = Command::new("flock").args(["--no-fork", line.path.as_str(), "sleep", "60"]).stdin(Stdio::null()).spawn();
    let mut holder = holder.expect("flock of util-linux");
    let mut said = String::new();
    let refused = wait_for(LONG, || {
        let (_, text, code) = run(&["listen", "--lang", "en", "--for", "50ms", "--port", &line.path]);
        said = text;
        code == Some(75) && said.contains("held by") && said.contains("Close that program")
    });
    let _ = holder.kill();
    let _ = holder.wait();
    assert!(refused, "{said}");
}

#[test]
fn a_silent_line_ends_when_its_time_is_up() {
    let line = Line::new();
    let (_, said, code) = run(&["listen", "--lang", "en", "--guess", "--for", "300ms", "--port", &line.path]);
    assert!(code == Some(75) && said.contains("Nothing came"), "{said}");
    drop(line);
}
