//! Devices that are spoken with over the broker, played by scripts that know the conventions and nothing of the gateway.

use std::collections::VecDeque;
use std::sync::Arc;

use limegate::device::mqtt::{MqttModule, MqttSpeech, WirenBoard, start};
use limegate::device::{Actuator, Contact, NotOpened, Open, Parts, Signal, Signalled, Wiring};
use limegate::domain::{Direction, GateId};
use limegate::source::Intake;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::device::{Device, Message};
use crate::gateway::{Gateway, TestIntake, config};
use crate::mosquitto::Mosquitto;
use crate::until;

impl Device {
    async fn hears(&self, end: &str, expected: &[&str]) {
        until("the device hears what it is to hear", || self.heard(end).len() >= expected.len()).await;
        assert_eq!(self.heard(end), expected);
    }
}

/// A driver of one device, with its gates.
struct Rig {
    gateway: Gateway,
    relay: Arc<dyn Actuator>,
    signals: mpsc::Receiver<Signalled>,
    /// What came ahead of the news that the device is there.
    early: VecDeque<Signal>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Rig {
    async fn of(broker: &Mosquitto, speaks: MqttSpeech, passage: Option<Contact>) -> Self {
        let gateway = Gateway::client(&config(broker.port), None, 1);
        let (sender, signals) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(false);
        let intake: Arc<dyn Intake> = Arc::new(TestIntake::default());
        let parts = Parts { intake, signals: sender, hub: Arc::clone(&gateway.hub), clock: Arc::clone(&gateway.clock), stop: stopped };
        let wiring = Wiring { gate: GateId::from("in-1"), direction: Direction::In, open: Some(0), passage, free: Some(6) };
        let started = start(MqttModule { id: "m1".to_owned(), speaks }, vec![wiring], gateway.client.clone(), parts);
        let relay = Arc::clone(&started.actuators[0].1);
        let task = tokio::spawn(started.task);
        let mut rig = Self { gateway, relay, signals, early: VecDeque::new(), stop, task };
        rig.there().await;
        rig
    }

    /// Waits until the device is there. States that the broker keeps may be heard before its grant is known.
    async fn there(&mut self) {
        let mut early = VecDeque::new();
        loop {
            match self.signal().await {
                Signal::Link(true) => break,
                Signal::Link(false) => {}
                other => early.push_back(other),
            }
        }
        self.early = early;
    }

    async fn signal(&mut self) -> Signal {
        if let Some(early) = self.early.pop_front() {
            return early;
        }
        tokio::time::timeout(crate::mosquitto::PATIENCE, self.signals.recv()).await.expect("a signal").expect("the driver runs").signal
    }

    fn order(&self, within_ms: u64) -> Open {
        let expires_boot_ms = self.gateway.clock.boot_ms() + within_ms;
        Open { id: Uuid::now_v7(), direction: Direction::In, pulse_ms: 50, expires_boot_ms }
    }

    /// Orders with all the time there is.
    async fn open(&self) -> Result<(), NotOpened> {
        self.relay.open(self.order(30_000)).await
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.gateway.stop().await;
    }
}

/// What the broker keeps, all topics.
async fn kept(broker: &Mosquitto) -> Vec<String> {
    let marker = "marker/topic".to_owned();
    let observer = Device::playing(broker.port, "#", |_, _| Vec::new()).await;
    observer.says(&marker, "x", false).await;
    until("the marker", || !observer.heard(&marker).is_empty()).await;
    let heard = observer.heard.lock().unwrap();
    heard.iter().filter(|(.., retained)| *retained).map(|(topic, ..)| topic.clone()).collect()
}

const WB: &str = "/devices/wb-mr6c_34/controls/";

/// A relay's driver: what is set becomes the value, which the broker keeps.
fn relay(topic: &str, payload: &str) -> Vec<Message> {
    topic.strip_suffix("/on").map(|control| vec![(control.to_owned(), payload.to_owned(), true)]).unwrap_or_default()
}

fn wb() -> MqttSpeech {
    MqttSpeech::WirenBoard(WirenBoard::mr6c("wb-mr6c_34"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiren_board_relay_is_pulsed_and_no_order_is_ever_kept() {
    let broker = Mosquitto::start().await;
    let device = Device::playing(broker.port, &format!("{WB}K1/on"), relay).await;
    let rig = Rig::of(&broker, wb(), None).await;
    device.hears("/on", &["0"]).await;
    assert_eq!(rig.open().await, Ok(()));
    device.hears("/on", &["0", "1", "0"]).await;
    assert_eq!(rig.open().await, Ok(()));
    device.hears("/on", &["0", "1", "0", "1", "0"]).await;
    assert_eq!(rig.relay.close().await, Ok(()));
    rig.stop().await;
    device.hears("/on", &["0", "1", "0", "1", "0", "0", "0"]).await;
    let kept = kept(&broker).await;
    assert!(kept.contains(&format!("{WB}K1")) && !kept.iter().any(|topic| topic.ends_with("/on")), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_kept_of_contacts_is_a_baseline_and_what_comes_after_is_a_passage() {
    let broker = Mosquitto::start().await;
    let (device, mut connected) = Device::watched(broker.port, &format!("{WB}K1/on"), relay).await;
    broker.publish(&format!("{WB}Input 1 counter"), true, vec!["65533".to_owned()]).await;
    broker.publish(&format!("{WB}Input 6"), true, vec!["1".to_owned()]).await;
    let mut rig = Rig::of(&broker, wb(), Some(Contact::Counter(1))).await;
    assert_eq!(rig.signal().await, Signal::Free(true), "a fire is a state, not an event");
    device.says(&format!("{WB}Input 6"), "0", true).await;
    assert_eq!(rig.signal().await, Signal::Free(false));
    device.says(&format!("{WB}Input 1 counter"), "65534", true).await;
    assert_eq!(rig.signal().await, Signal::Passed { direction: Some(Direction::In), count: 1 });
    // Doubled, then over the end of 16 bits.
    device.says(&format!("{WB}Input 1 counter"), "65534", true).await;
    device.says(&format!("{WB}Input 1 counter"), "1", true).await;
    assert_eq!(rig.signal().await, Signal::Passed { direction: Some(Direction::In), count: 3 });
    device.says(&format!("{WB}K1/meta/error"), "w", true).await;
    assert_eq!(rig.signal().await, Signal::Fault(Some("write".to_owned())));
    device.says(&format!("{WB}K1/meta/error"), "", true).await;
    assert_eq!(rig.signal().await, Signal::Fault(None));
    // The broker restarts, and keeps what it kept; the box has not seen what was counted meanwhile.
    let times = *connected.borrow();
    let mut broker = broker;
    broker.stop().await;
    broker.go().await;
    connected.wait_for(|now| *now > times).await.unwrap();
    assert_eq!(rig.signal().await, Signal::Link(false));
    rig.there().await;
    device.says(&format!("{WB}Input 1 counter"), "2", true).await;
    assert_eq!(rig.signal().await, Signal::Passed { direction: Some(Direction::In), count: 1 });
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_could_not_be_delivered_in_its_time_is_never_delivered() {
    let mut broker = Mosquitto::start().await;
    let (device, mut connected) = Device::watched(broker.port, &format!("{WB}K1/on"), relay).await;
    let mut rig = Rig::of(&broker, wb(), None).await;
    device.hears("/on", &["0"]).await;
    assert_eq!(rig.relay.open(rig.order(0)).await, Err(NotOpened::Expired), "it came too late");

    // The broker is gone: the order does not leave, and says so.
    let times = *connected.borrow();
    broker.stop().await;
    assert_eq!(rig.signal().await, Signal::Link(false));
    assert_eq!(rig.relay.open(rig.order(100)).await, Err(NotOpened::Expired));
    broker.go().await;
    connected.wait_for(|now| *now > times).await.unwrap();
    rig.there().await;
    assert_eq!(device.heard("/on"), ["0"]);

    // The broker hangs with the order in its hands: nobody knows, and it is not sent again.
    let times = *connected.borrow();
    broker.freeze();
    let doubtful = rig.relay.open(rig.order(200)).await;
    assert!(matches!(doubtful, Err(NotOpened::Unknown(_))), "{doubtful:?}");
    broker.kill_and_forget().await;
    broker.go().await;
    connected.wait_for(|now| *now > times).await.unwrap();
    rig.there().await;
    assert_eq!(rig.open().await, Ok(()));
    // One order, and its end; before it, the end of the doubtful one, once or, as it was open when the connection broke, twice.
    until("the pulse has ended", || {
        device.heard("/on").iter().filter(|payload| *payload == "1").count() == 1 && device.heard("/on").ends_with(&["1".to_owned(), "0".to_owned()])
    })
    .await;
    rig.stop().await;
    assert_eq!(device.heard("/on").iter().filter(|payload| *payload == "1").count(), 1);
}

const SHELLY: &str = "shellyplus1-a8032abe54dc";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shelly_answers_by_id_ends_its_pulse_itself_and_tells_of_its_inputs() {
    let broker = Mosquitto::start().await;
    // Anybody's request on the same topic is answered where it came from; the first `on` is refused.
    let mut refused = false;
    let device = Device::playing(broker.port, &format!("{SHELLY}/rpc"), move |_, text| {
        let request: Value = serde_json::from_str(text).unwrap();
        let mut answer = json!({ "id": request["id"], "src": SHELLY, "dst": request["src"] });
        if request["params"]["on"] == true && !std::mem::replace(&mut refused, true) {
            answer["error"] = json!({ "code": -109, "message": "overtemp" });
        } else {
            answer["result"] = json!({ "was_on": false });
        }
        vec![(format!("{}/rpc", request["src"].as_str().unwrap()), answer.to_string(), false)]
    })
    .await;
    broker.publish(&format!("{SHELLY}/online"), true, vec!["true".to_owned()]).await;
    let event = |event: &str| json!({ "src": SHELLY, "method": "NotifyEvent", "params": { "ts": 1.0, "events": [{ "component": "input:0", "id": 0, "event": event }] } });
    broker.publish(&format!("{SHELLY}/events/rpc"), true, vec![event("btn_down").to_string()]).await;
    let mut rig = Rig::of(&broker, MqttSpeech::Shelly { prefix: SHELLY.to_owned() }, Some(Contact::Input(0))).await;
    assert_eq!(rig.open().await, Err(NotOpened::Refused("error -109".to_owned())));
    assert_eq!(rig.open().await, Ok(()));
    let requests: Vec<Value> = device.heard("/rpc").iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let acts: Vec<(bool, Option<f64>)> = requests.iter().map(|one| (one["params"]["on"] == true, one["params"]["toggle_after"].as_f64())).collect();
    assert_eq!(acts, [(false, None), (true, Some(0.05)), (true, Some(0.05))], "off at the start, then two orders that end themselves");
    for name in ["btn_down", "btn_up", "single_push"] {
        device.says(&format!("{SHELLY}/events/rpc"), &event(name).to_string(), false).await;
    }
    let passed = Signal::Passed { direction: Some(Direction::In), count: 1 };
    assert_eq!(rig.signal().await, passed, "the event that the broker kept is not one");
    for on in [true, false, true] {
        let status = json!({ "method": "NotifyStatus", "params": { "ts": 2.0, "input:0": { "id": 0, "state": on } } });
        device.says(&format!("{SHELLY}/events/rpc"), &status.to_string(), false).await;
    }
    assert_eq!((rig.signal().await, rig.signal().await), (passed.clone(), passed));
    device.says(&format!("{SHELLY}/online"), "false", true).await;
    assert_eq!(rig.signal().await, Signal::Link(false));
    rig.stop().await;
}

const OWN: &str = "gw/vysota/in-1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_of_our_own_json_acknowledges_refuses_stays_silent_and_tells_passages_once() {
    let broker = Mosquitto::start().await;
    let mut orders = 0;
    let device = Device::playing(broker.port, &format!("{OWN}/+"), move |topic, text| {
        if topic.ends_with("/pass") {
            return Vec::new();
        }
        let order: Value = serde_json::from_str(text).unwrap();
        orders += i32::from(topic.ends_with("/open"));
        let ack = |ok: bool| (format!("{OWN}/open/ack"), json!({ "v": 1, "id": order["id"], "ok": ok, "error": "blocked" }).to_string(), false);
        match (topic.ends_with("/open"), orders) {
            (true, 1) => vec![ack(true), ack(true)],
            (true, 2) => vec![ack(false)],
            _ => Vec::new(),
        }
    })
    .await;
    let passed = |id: &str| json!({ "v": 1, "id": id, "kind": "passed", "dir": "in" }).to_string();
    broker.publish(&format!("{OWN}/pass"), true, vec![passed("kept")]).await;
    let mut rig = Rig::of(&broker, MqttSpeech::Json { topic: OWN.to_owned(), events: true }, None).await;
    let order = rig.order(30_000);
    assert_eq!(rig.relay.open(order.clone()).await, Ok(()));
    let heard: Value = serde_json::from_str(&device.heard("/open")[0]).unwrap();
    assert_eq!((&heard["id"], &heard["dir"], &heard["ms"]), (&json!(order.id), &json!("in"), &json!(50)));
    assert_eq!(heard["expires_at"], "2026-11-22T10:15:30Z", "half a minute after the clock's quarter past ten");
    assert_eq!(rig.open().await, Err(NotOpened::Refused("blocked".to_owned())));
    let silent = rig.relay.open(rig.order(300)).await;
    assert!(matches!(silent, Err(NotOpened::Unknown(_))), "{silent:?}");
    until("the silent order is taken back", || device.heard("/close").len() >= 2).await;
    // Twice at QoS 1, as a device does that has not seen the PUBACK.
    for id in ["p-1", "p-1", "p-2"] {
        device.says(&format!("{OWN}/pass"), &passed(id), false).await;
    }
    device.says(&format!("{OWN}/pass"), r#"{"v":1,"id":"n-1","kind":"not_passed"}"#, false).await;
    device.says(&format!("{OWN}/pass"), "not json", false).await;
    device.says(&format!("{OWN}/pass"), r#"{"v":1,"id":"a-1","kind":"alarm","alarm":"tamper"}"#, false).await;
    let once = Signal::Passed { direction: Some(Direction::In), count: 1 };
    assert_eq!((rig.signal().await, rig.signal().await), (once.clone(), once));
    assert_eq!(rig.signal().await, Signal::NotPassed { direction: None });
    assert_eq!(rig.signal().await, Signal::Tamper(true));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_with_a_door_tells_it_of_passages_without_a_medium_and_keeps_media_for_the_intake() {
    let broker = Mosquitto::start().await;
    let intake = Arc::new(TestIntake::default());
    let (door, mut signals) = mpsc::channel(1);
    let gateway = Gateway::reading_for(&config(broker.port), &intake, Some(door));
    gateway.listening().await;
    let passed = |id: &str| json!({ "v": 1, "id": id, "kind": "passed" }).to_string();
    broker.publish(crate::gateway::TOPIC, false, vec![passed("a"), passed("a"), crate::gateway::reading("r"), passed("b"), passed("c")]).await;
    until("the medium is stored", || intake.stored() == ["r"]).await;
    for _ in 0..3 {
        let signalled = signals.recv().await.unwrap();
        assert_eq!((signalled.gate, signalled.signal), (GateId::from("in-1"), Signal::Passed { direction: None, count: 1 }));
    }
    assert_eq!(gateway.hub.snapshot().gates["in-1"].bad_frames, 0);
    gateway.stop().await;
    assert!(signals.recv().await.is_none(), "each was told once");
}
