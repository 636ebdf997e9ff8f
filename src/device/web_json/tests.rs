//! A controller played over raw sockets and by curl, with a real journal behind the driver.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Controller, Evidence, Staff, WebJson, start};
use crate::clock::{Clock, ManualClock};
use crate::config::StaffCards;
use crate::device::{Actuator, NotOpened, Open, Parts, Signal, Signalled, Told, Voice, Wiring};
use crate::domain::{Direction, GateId, PassageState, Secret};
use crate::journal::{HostDisk, Journal, Options, Record, Store};
use crate::source::{Intake, Reading, Refused, Taken};
use crate::status::Hub;

const PATIENCE: Duration = Duration::from_secs(30);
const CARD: &str = "00B5009EC1A8";

/// Takes as the gateway's own does: a device's record once, and an answer only after the sync. It can be told to refuse, or never to come back.
struct Desk {
    journal: Journal,
    refuses: AtomicBool,
    hangs: AtomicBool,
    read: mpsc::UnboundedSender<Reading>,
}

impl Intake for Desk {
    fn take(&self, reading: Reading) -> Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send + '_>> {
        Box::pin(async move {
            if self.refuses.load(Ordering::SeqCst) {
                return Err(Refused::NotStored("disk full".to_owned()));
            }
            if reading.device.as_ref().is_some_and(|record| self.journal.seen(record)) {
                return Ok(Taken::Repeated);
            }
            let stamp = ManualClock::synced(1_795_342_500_000).stamp();
            let id = Uuid::now_v7();
            let pass = crate::domain::Pass {
                id,
                number: 0,
                gate: reading.gate.clone(),
                service_point: "sp-1".into(),
                direction: reading.direction.unwrap_or(Direction::In),
                medium: reading.medium.clone(),
                device: reading.device.clone(),
                passage: reading.passage,
                stamp,
                device_ms: reading.device_ms,
                test: false,
                door: None,
            };
            let appended = self.journal.append(vec![Record::Pass(pass)]).await.map_err(|error| Refused::NotStored(error.to_string()))?;
            let _ = self.read.send(reading);
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Ok(Taken::Stored { id, seq: appended.first, durable_us: 0 })
        })
    }
}

struct Rig {
    address: SocketAddr,
    desk: Arc<Desk>,
    read: mpsc::UnboundedReceiver<Reading>,
    signals: mpsc::Receiver<Signalled>,
    relay: Arc<dyn Actuator>,
    voice: Arc<dyn Voice>,
    clock: Arc<ManualClock>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn controller() -> Controller {
    let wiring = |gate: &str, direction, output| Wiring { gate: GateId::from(gate), direction, open: Some(output), passage: None, free: None };
    Controller {
        id: "z5r-1".to_owned(),
        serial: 44_374,
        evidence: Evidence::Passage,
        uid_bytes: Some(5),
        online: false,
        wirings: vec![wiring("in-1", Direction::In, 0), wiring("out-1", Direction::Out, 1)],
        opened_before: Vec::new(),
    }
}

impl Rig {
    fn of(folder: &Path, controller: Controller, password: Option<&str>) -> Self {
        Self::with(folder, controller, password, None)
    }

    fn with_staff(folder: &Path, controller: Controller, staff: Option<Staff>) -> Self {
        Self::with(folder, controller, None, staff)
    }

    fn with(folder: &Path, controller: Controller, password: Option<&str>, staff: Option<Staff>) -> Self {
        let clock = Arc::new(ManualClock::synced(1_795_342_500_000));
        let journal = Journal::open(Arc::new(HostDisk), Options::new(folder, clock.clone())).unwrap();
        let (sender, read) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk { journal, refuses: AtomicBool::new(false), hangs: AtomicBool::new(false), read: sender });
        let (signal, signals) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(false);
        let parts = Parts { intake: desk.clone(), signals: signal, hub: Arc::new(Hub::default()), clock: clock.clone(), stop: stopped };
        let bound = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = bound.local_addr().unwrap();
        let timezone = jiff::tz::TimeZone::get("Asia/Yekaterinburg").unwrap();
        let config = WebJson { listen: address, password: password.map(Secret::new), timezone, controllers: vec![controller], staff };
        let mut started = start(config, parts, Some(bound));
        let (relay, voice) = (started.actuators.swap_remove(0).1, started.voices.swap_remove(0).1);
        let task = tokio::spawn(started.task);
        Self { address, desk, read, signals, relay, voice, clock, stop, task }
    }

    /// Posts messages and returns those of the answer.
    async fn post(&self, messages: Value) -> Vec<Value> {
        let body = json!({ "type": "Z5RWEB", "sn": 44_374, "messages": messages }).to_string();
        let (status, answer) = send(self.address, "/connect", "", &body).await;
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["messages"].as_array().unwrap().clone()
    }

    fn order(&self, within_ms: u64) -> Open {
        Open { id: Uuid::now_v7(), direction: Direction::In, pulse_ms: 500, expires_boot_ms: self.clock.boot_ms() + within_ms }
    }

    /// The next signal that is not of the controller's presence.
    async fn signal(&mut self) -> (GateId, Signal) {
        loop {
            let signalled = tokio::time::timeout(PATIENCE, self.signals.recv()).await.expect("a signal").expect("the driver runs");
            if !matches!(signalled.signal, Signal::Link(_)) {
                return (signalled.gate, signalled.signal);
            }
        }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        let journal = self.desk.journal.clone();
        tokio::task::spawn_blocking(move || journal.close()).await.unwrap();
    }
}

/// One request on a connection of its own: the status and the body.
async fn send(address: SocketAddr, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: box\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    );
    // One that is refused before its body is read may have closed by now.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer");
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

fn event(code: u64, card: &str, second: u64) -> Value {
    json!({ "event": code, "card": card, "time": format!("2026-11-22 15:15:{second:02}"), "flag": 0 })
}

fn events(id: u64, events: &[Value]) -> Value {
    json!([{ "id": id, "operation": "events", "events": events }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_plays_the_documented_dialogue() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::of(folder.path(), controller(), Some("s3cret"));
    let body = json!({ "type": "Z5RWEB", "sn": 44_374, "messages": [
        { "id": 358_532_290, "operation": "power_on", "fw": "3.42", "conn_fw": "1.0.157", "active": 0, "mode": 0, "controller_ip": "172.16.130.233", "reader_protocol": "wiegand" },
        { "id": 3, "operation": "events", "events": [event(4, CARD, 0), event(16, CARD, 1)] },
    ] });
    let url = format!("http://{}/connect", rig.address);
    let mut curl = std::process::Command::new("curl");
    curl.args(["-s", "-u", "z5rweb:s3cret", "-H", "Content-Type: application/json", "-d", &body.to_string(), &url]).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || curl.output().expect("curl: `make test` installs it")).await.unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["date"], "2026-11-22 15:15:00", "the venue's time");
    assert_eq!(answer["messages"][0], json!({ "id": 358_532_290, "operation": "set_active", "active": 1, "online": 0 }));
    assert_eq!(answer["messages"][1], json!({ "id": 3, "operation": "events", "events_success": 2 }));
    let reading = rig.read.recv().await.unwrap();
    assert_eq!((reading.medium.value.reveal(), reading.passage), ("B5009EC1A8", PassageState::Passed));
    assert_eq!((reading.gate.as_str(), reading.device_ms), ("in-1", Some(1_795_342_501_000)));
    assert!(rig.read.try_recv().is_err(), "one visit, one pass");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_taken_once_however_often_they_are_told_also_after_a_kill_ahead_of_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::of(folder.path(), controller(), None);
    let batch = [event(16, CARD, 1), event(17, CARD, 9), event(16, CARD, 1), event(2, "0000000000AA", 3), event(12, "000000000000", 4)];
    // The answer is lost twice, and the same is told again.
    for id in 1..=3 {
        let answer = rig.post(events(id, &batch)).await;
        assert_eq!(answer, [json!({ "id": id, "operation": "events", "events_success": 5 })]);
    }
    let mut read = Vec::new();
    while let Ok(reading) = rig.read.try_recv() {
        read.push((reading.gate.as_str().to_owned(), reading.passage));
    }
    let expected = [("in-1", PassageState::Passed), ("out-1", PassageState::Passed), ("in-1", PassageState::NotPassed)];
    assert_eq!(read, expected.map(|(gate, passage)| (gate.to_owned(), passage)));
    assert_eq!(rig.signal().await, (GateId::from("in-1"), Signal::Tamper(true)));

    // The next one is on disk, and the box dies before it can say so.
    rig.desk.hangs.store(true, Ordering::SeqCst);
    let (address, late) = (rig.address, events(4, &[event(16, "00000000BEEF", 5)]));
    let body = json!({ "sn": 44_374, "messages": late }).to_string();
    let asking = tokio::spawn(async move { send(address, "/connect", "", &body).await });
    rig.read.recv().await.unwrap();
    rig.task.abort();
    assert!(rig.task.await.unwrap_err().is_cancelled());
    assert_eq!(asking.await.unwrap().0, 0, "no answer");
    let journal = rig.desk.journal.clone();
    drop(rig.desk);
    tokio::task::spawn_blocking(move || journal.close()).await.unwrap();

    let mut again = Rig::of(folder.path(), controller(), None);
    assert_eq!(again.post(events(5, &[event(16, "00000000BEEF", 5), event(16, CARD, 1)])).await[0]["events_success"], 2);
    assert!(again.read.try_recv().is_err(), "both were known from the disk");
    assert!(again.signals.try_recv().is_ok_and(|signalled| signalled.signal == Signal::Link(true)));
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_on_disk_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::of(folder.path(), controller(), None);
    rig.desk.refuses.store(true, Ordering::SeqCst);
    assert!(rig.post(events(1, &[event(16, CARD, 1)])).await.is_empty());
    rig.desk.refuses.store(false, Ordering::SeqCst);
    assert_eq!(rig.post(events(2, &[event(16, CARD, 1)])).await.len(), 1);
    assert!(rig.read.try_recv().is_ok() && rig.read.try_recv().is_err());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_box_decides_the_doors_order_is_the_answer_and_its_visit_makes_no_second_pass() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::of(folder.path(), Controller { online: true, ..controller() }, None);
    let power_on = rig.post(json!([{ "id": 1, "operation": "power_on" }])).await;
    assert_eq!(power_on[0]["online"], 1);
    let ask = |id: u64| json!([{ "id": id, "operation": "check_access", "card": CARD, "reader": 1 }]);
    let granted = |id: u64, granted: u8| vec![json!({ "id": id, "operation": "check_access", "granted": granted })];

    // The door grants; it has its answer when the controller reports.
    let door = async {
        let reading = rig.read.recv().await.unwrap();
        assert_eq!((reading.gate.as_str(), reading.passage, reading.device), ("in-1", PassageState::Unknown, None));
        rig.relay.open(Open { id: Uuid::now_v7(), direction: Direction::In, pulse_ms: 500, expires_boot_ms: rig.clock.boot_ms() + 30_000 }).await
    };
    let controller = async {
        let body = json!({ "sn": 44_374, "messages": ask(2) }).to_string();
        let (status, answer) = send(rig.address, "/connect", "", &body).await;
        assert_eq!(status, 200);
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["messages"], json!(granted(2, 1)));
        let report = json!({ "sn": 44_374, "messages": events(3, &[event(4, CARD, 1), event(16, CARD, 2)]) }).to_string();
        send(rig.address, "/connect", "", &report).await
    };
    let (opened, reported) = tokio::join!(door, controller);
    assert_eq!((opened, reported.0), (Ok(()), 200));
    assert_eq!(rig.signal().await, (GateId::from("in-1"), Signal::Passed { direction: Some(Direction::In), count: 1 }));
    assert!(rig.read.try_recv().is_err(), "the visit is the pass that was asked for");
    // Told again, as after a lost answer: not a second passage, and not a second pass.
    assert_eq!(rig.post(events(4, &[event(4, CARD, 1), event(16, CARD, 2)])).await.len(), 1);
    assert!(rig.read.try_recv().is_err() && rig.signals.try_recv().is_err());

    // The door refuses.
    let (address, body) = (rig.address, json!({ "sn": 44_374, "messages": ask(5) }).to_string());
    let asking = tokio::spawn(async move { send(address, "/connect", "", &body).await });
    rig.read.recv().await.unwrap();
    rig.voice.tell(&Told::Wait);
    rig.voice.tell(&Told::No { code: "no_ticket".to_owned(), lines: Vec::new() });
    let (_, answer) = asking.await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["messages"], json!(granted(5, 0)));
    // It says nothing at all: no, after a while. The journal refuses: no, at once.
    assert_eq!(rig.post(ask(6)).await, granted(6, 0));
    rig.desk.refuses.store(true, Ordering::SeqCst);
    assert_eq!(rig.post(ask(7)).await, granted(7, 0));
    rig.desk.refuses.store(false, Ordering::SeqCst);
    // What it lets in by itself, while we are away, is a pass.
    rig.read.try_recv().unwrap();
    rig.post(events(8, &[event(4, "00000000BEEF", 7), event(16, "00000000BEEF", 8)])).await;
    assert_eq!(rig.read.try_recv().unwrap().passage, PassageState::Passed);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_without_a_card_goes_with_the_next_request_or_never() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::of(folder.path(), controller(), None);
    let ping = json!([{ "id": 1, "operation": "ping", "active": 1, "mode": 0 }]);
    assert_eq!(rig.relay.open(rig.order(0)).await, Err(NotOpened::Expired));
    assert_eq!(rig.relay.open(rig.order(50)).await, Err(NotOpened::Expired), "the controller did not come in time");
    assert!(rig.post(ping.clone()).await.is_empty(), "and is not told later");

    let relay = Arc::clone(&rig.relay);
    let order = rig.order(30_000);
    let opening = tokio::spawn(async move { relay.open(order).await });
    let command = loop {
        if let Some(command) = rig.post(ping.clone()).await.pop() {
            break command;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&command["operation"], &command["direction"]), (&json!("open_door"), &json!(0)));
    assert!(rig.post(ping).await.is_empty(), "told once");
    rig.post(json!([{ "id": command["id"], "success": 1 }])).await;
    assert_eq!(opening.await.unwrap(), Ok(()));
    rig.post(events(9, &[event(8, "000000000000", 1), event(40, "000000000000", 6)])).await;
    assert_eq!(rig.signal().await, (GateId::from("in-1"), Signal::NotPassed { direction: Some(Direction::In) }));
    assert!(rig.read.try_recv().is_err());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_wrong_passwords_floods_and_slow_talkers_are_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::of(folder.path(), controller(), Some("s3cret"));
    let body = |serial: u64| json!({ "sn": serial, "messages": [] }).to_string();
    let basic = "Authorization: Basic eDpzM2NyZXQ=\r\n";
    // Says half a word and waits: nobody else has to.
    let mut slow = TcpStream::connect(rig.address).await.unwrap();
    slow.write_all(b"POST /connect HT").await.unwrap();
    for (path, headers, body, status) in [
        ("/connect", "", body(44_374), 401),
        ("/connect", "Authorization: Basic eDp3cm9uZw==\r\n", body(44_374), 401),
        ("/connect", "Authorization: Bearer s3cret\r\n", body(44_374), 401),
        ("/connect/wrong", "", body(44_374), 401),
        ("/connect/s3cret", "", body(44_374), 200),
        ("/", basic, body(44_374), 200),
        ("/connect", basic, body(7), 403),
        ("/connect", basic, "x".to_owned(), 400),
        ("/elsewhere", basic, body(44_374), 404),
    ] {
        assert_eq!(send(rig.address, path, headers, &body).await.0, status, "{path} {headers}");
    }
    let (status, _) = send(rig.address, "/connect", basic, &"x".repeat(70_000)).await;
    assert!(matches!(status, 413 | 0), "{status}");
    drop(slow);
    rig.stop().await;
}

/// A controller that carries out what it is told of its list, or refuses it.
#[derive(Default)]
struct Board {
    list: BTreeSet<String>,
    told: Vec<String>,
}

impl Board {
    /// Asks for commands until there are none. `refuses`: a card that it does not take.
    async fn asks(&mut self, rig: &Rig, first: Value, refuses: Option<&str>) {
        let mut said = first;
        loop {
            let Some(command) = rig.post(said).await.into_iter().find(|message| message["operation"] != "set_active") else { return };
            let good = refuses.is_none_or(|card| !command.to_string().contains(card));
            if good {
                self.obeys(&command);
            }
            self.told.push(command["operation"].as_str().unwrap().to_owned());
            said = json!([{ "id": command["id"], "success": u8::from(good) }]);
        }
    }

    fn obeys(&mut self, command: &Value) {
        let cards = command["cards"].as_array().into_iter().flatten().map(|card| card["card"].as_str().unwrap().to_owned());
        match command["operation"].as_str().unwrap() {
            "clear_cards" => self.list.clear(),
            "add_cards" => self.list.extend(cards),
            "del_cards" => cards.for_each(|card| {
                self.list.remove(&card);
            }),
            other => panic!("{other}"),
        }
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controllers_list_is_the_staffs_cards_and_only_what_changed_is_told_over_restarts_and_refusals() {
    let folder = tempfile::tempdir().unwrap();
    let cards = |numbers: std::ops::Range<u64>| numbers.map(|n| format!("{n:012X}")).collect::<BTreeSet<String>>();
    let rig = |cards: &BTreeSet<String>| {
        let text = cards.iter().map(|card| format!("{card} # of the staff\n")).collect::<String>();
        let staff = Staff { cards: StaffCards::parse(&text).unwrap(), folder: folder.path().join("controllers") };
        Rig::with_staff(folder.path(), controller(), Some(staff))
    };
    let ping = || json!([{ "id": 1, "operation": "ping", "active": 1, "mode": 0 }]);
    let mut board = Board { list: ["0000000000FF".to_owned()].into(), told: Vec::new() };

    // The first time: what is in it is not known.
    let first = rig(&cards(1..41));
    board.asks(&first, json!([{ "id": 1, "operation": "power_on" }]), None).await;
    assert_eq!(board.list, cards(1..41));
    assert_eq!(board.told(), ["clear_cards", "add_cards", "add_cards", "add_cards"]);
    first.stop().await;

    // The gateway starts again: nothing is told twice. The controller starts again, perhaps empty: all is, and nothing is cleared.
    let again = rig(&cards(1..41));
    board.asks(&again, ping(), None).await;
    assert!(board.told().is_empty());
    board.list.clear();
    board.asks(&again, json!([{ "id": 1, "operation": "power_on" }]), None).await;
    assert_eq!((board.list.clone(), board.told()), (cards(1..41), vec!["add_cards".to_owned(); 3]));
    again.stop().await;

    // Another list: only the difference, of which the controller does not take one card. The box dies before it hears of a removal, and goes on with it.
    let other = rig(&cards(4..46));
    let removal = other.post(ping()).await.remove(0);
    assert_eq!((&removal["operation"], removal["cards"].as_array().unwrap().len()), (&json!("del_cards"), 3));
    board.obeys(&removal);
    other.stop().await;
    let other = rig(&cards(4..46));
    board.asks(&other, ping(), Some("00000000002A")).await;
    let mut taken = cards(4..46);
    taken.remove("00000000002A");
    assert_eq!(board.list, taken);
    let told = board.told();
    assert_eq!(told.iter().filter(|operation| *operation == "del_cards").count(), 1, "{told:?}");
    assert!(!told.contains(&"clear_cards".to_owned()), "{told:?}");
    // Not for ever; and when the controller starts, once more.
    board.asks(&other, ping(), None).await;
    assert!(board.told().is_empty());
    board.asks(&other, json!([{ "id": 1, "operation": "power_on" }]), None).await;
    assert_eq!((board.list.clone(), board.told()), (cards(4..46), vec!["add_cards".to_owned(); 3]));
    other.stop().await;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(folder.path().join("controllers/44374.json")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "numbers of cards are nobody's business");

    // No list in the config: the controller's is left alone.
    let none = Rig::of(folder.path(), controller(), None);
    board.asks(&none, json!([{ "id": 1, "operation": "power_on" }]), None).await;
    assert_eq!((board.told(), board.list), (Vec::new(), cards(4..46)));
    none.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let (blocked, text) = (folder.path().join("controllers"), "BEEF\n");
    // A file where the folder should be.
    std::fs::write(&blocked, "").unwrap();
    let staff = Staff { cards: StaffCards::parse(text).unwrap(), folder: blocked.clone() };
    let rig = Rig::with_staff(folder.path(), controller(), Some(staff));
    let mut board = Board::default();
    board.asks(&rig, json!([{ "id": 1, "operation": "power_on" }]), None).await;
    assert!(board.told().is_empty());
    std::fs::remove_file(&blocked).unwrap();
    board.asks(&rig, json!([{ "id": 2, "operation": "ping", "active": 1, "mode": 0 }]), None).await;
    assert_eq!(board.told(), ["clear_cards", "add_cards"]);
    rig.stop().await;
}
