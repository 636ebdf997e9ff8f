//! The OSDP driver against libosdp's reader on a pty: in the clear and secured, alone and with another one on the line.

mod peer;

use std::sync::Arc;
use std::time::Duration;

use limegate::clock::{SharedClock, SystemClock};
use limegate::codec::osdp::{CardOptions, Check, Key};
use limegate::device::osdp::{Line, Reader, start};
use limegate::device::{Actuator, Contact, NotOpened, Open, Parts, Signal, Signalled, Told, Voice, Wiring};
use limegate::domain::{Direction, GateId};
use limegate::status::{GateState, Hub, Link, ReaderFault};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::serial_bench::{Desk, Mood, eventually};
use peer::Peer;

const KEY: &str = "00112233445566778899aabbccddeeff";
const OTHER_KEY: &str = "ffeeddccbbaa99887766554433221100";
/// UID 6442D1BC as Wiegand 34.
const W34: &str = "B22168DE00";

/// A gate whose reader has this address.
fn reader(gate: &str, address: u8, key: Option<&str>) -> Reader {
    let wiring = Wiring { gate: GateId::from(gate), direction: Direction::In, open: Some(1), passage: Some(Contact::Input(0)), free: Some(1) };
    let key = key.map(|key| Key::parse(key).expect("a key"));
    Reader { wiring, title: gate.to_owned(), address, key, cards: CardOptions::default(), grants: true }
}

/// A driver under test.
struct Bench {
    intake: Arc<Desk>,
    hub: Arc<Hub>,
    clock: SharedClock,
    actuators: Vec<(GateId, Arc<dyn Actuator>)>,
    voices: Vec<(GateId, Arc<dyn Voice>)>,
    signals: mpsc::Receiver<Signalled>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Bench {
    fn start(peer: &Peer, readers: Vec<Reader>) -> Self {
        let (intake, hub) = (Arc::new(Desk::new()), Arc::new(Hub::default()));
        let clock: SharedClock = Arc::new(SystemClock::new());
        let (stop, stopped) = watch::channel(false);
        let (signal, signals) = mpsc::channel(64);
        let parts = Parts { intake: intake.clone(), signals: signal, hub: hub.clone(), clock: clock.clone(), stop: stopped };
        let line = Line { port: peer.port.clone(), baud: 115_200, rs485: true, check: Check::Crc, readers };
        let started = start(line, parts);
        let task = tokio::spawn(started.task);
        Self { intake, hub, clock, actuators: started.actuators, voices: started.voices, signals, stop, task }
    }

    fn state(&self, gate: &str) -> GateState {
        self.hub.snapshot().gates.get(gate).cloned().unwrap_or_default()
    }

    async fn up(&self, gate: &str) {
        eventually("the reader is up", || self.state(gate).link == Link::Up).await;
    }

    async fn signal(&mut self, wanted: &Signal) {
        let found = tokio::time::timeout(Duration::from_secs(30), async {
            while let Some(signalled) = self.signals.recv().await {
                if signalled.signal == *wanted {
                    return;
                }
            }
        });
        assert!(found.await.is_ok(), "not signalled within 30 s: {wanted:?}");
    }

    fn actuator(&self) -> Arc<dyn Actuator> {
        Arc::clone(&self.actuators[0].1)
    }

    fn order(&self, pulse_ms: u32) -> Open {
        Open { id: Uuid::now_v7(), direction: Direction::In, pulse_ms, expires_boot_ms: self.clock.boot_ms() + 10_000 }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(Duration::from_secs(30), self.task).await;
        ended.expect("the driver ends in time").expect("the driver ends well");
    }
}

#[tokio::test]
async fn cards_keys_inputs_and_tamper_arrive_in_the_clear() {
    let mut peer = Peer::start(&json!([{ "address": 5, "key": null }]));
    let mut bench = Bench::start(&peer, vec![reader("n1", 5, None)]);
    bench.up("n1").await;
    assert_eq!(bench.state("n1").reader, "osdp (clear)");
    peer.tell(&json!({ "address": 5, "card": W34, "bits": 34 }));
    eventually("the card is stored", || bench.intake.stored() == ["6442D1BC"]).await;
    eventually("the guest is told", || peer.lights(5) == [2]).await;
    // 26 bits do not tell all cards apart, and one whose parity is wrong is none.
    peer.tell(&json!({ "address": 5, "card": "A168DE40", "bits": 26 }));
    peer.tell(&json!({ "address": 5, "card": "A22168DE00", "bits": 34 }));
    eventually("both are counted", || bench.state("n1").bad_frames == 2).await;
    peer.tell(&json!({ "address": 5, "keys": "12" }));
    peer.tell(&json!({ "address": 5, "keys": "34\r" }));
    eventually("the PIN is stored", || bench.intake.stored() == ["6442D1BC", "1234"]).await;
    peer.tell(&json!({ "address": 5, "inputs": [1, 0] }));
    bench.signal(&Signal::Passed { direction: Some(Direction::In), count: 1 }).await;
    peer.tell(&json!({ "address": 5, "inputs": [0, 1] }));
    bench.signal(&Signal::Free(true)).await;
    peer.tell(&json!({ "address": 5, "inputs": [0, 0] }));
    bench.signal(&Signal::Free(false)).await;
    peer.tell(&json!({ "address": 5, "local": [1, 0] }));
    bench.signal(&Signal::Tamper(true)).await;
    assert!(bench.state("n1").tamper);
    bench.stop().await;
}

#[tokio::test]
async fn a_secured_reader_reads_opens_and_is_off_at_the_start_and_at_the_end() {
    let mut peer = Peer::start(&json!([{ "address": 5, "key": KEY }]));
    let bench = Bench::start(&peer, vec![reader("n1", 5, Some(KEY))]);
    bench.up("n1").await;
    assert_eq!(bench.state("n1").reader, "osdp (secure)");
    eventually("off at the start", || peer.switched(5) == [(1, 1, 0)]).await;
    peer.tell(&json!({ "address": 5, "card": "BCD14264A1B2C3" }));
    eventually("the card is stored", || bench.intake.stored() == ["BCD14264A1B2C3"]).await;
    let (actuator, order) = (bench.actuator(), bench.order(450));
    assert_eq!(actuator.open(order.clone()).await, Ok(()));
    eventually("open for half a second", || peer.switched(5) == [(1, 1, 0), (1, 5, 5)]).await;
    assert_eq!(actuator.open(order).await, Ok(()), "the same order again");
    assert_eq!(actuator.open(Open { expires_boot_ms: 0, ..bench.order(450) }).await, Err(NotOpened::Expired));
    assert_eq!(actuator.close().await, Ok(()));
    eventually("off, and nothing else was switched", || peer.switched(5) == [(1, 1, 0), (1, 5, 5), (1, 1, 0)]).await;
    bench.voices[0].1.tell(&Told::No { code: "no_ticket".to_owned(), lines: vec!["No ticket".to_owned()] });
    eventually("red", || peer.lights(5).last() == Some(&1)).await;
    eventually("the display", || peer.told().iter().any(|one| one["data"] == "No ticket")).await;
    bench.stop().await;
    eventually("off at the end", || peer.switched(5).len() == 4 && peer.switched(5)[3] == (1, 1, 0)).await;
}

#[tokio::test]
async fn a_card_that_is_not_stored_gets_no_green_light_until_it_is() {
    let mut peer = Peer::start(&json!([{ "address": 5, "key": KEY }]));
    let bench = Bench::start(&peer, vec![reader("n1", 5, Some(KEY))]);
    bench.up("n1").await;
    bench.intake.set(Mood::Refuses);
    peer.tell(&json!({ "address": 5, "card": W34, "bits": 34 }));
    eventually("it is tried and tried again", || bench.intake.attempts() >= 3).await;
    assert!(bench.state("n1").error.is_some_and(|error| error.contains("disk full")));
    assert_eq!(peer.lights(5), [0_u64; 0]);
    bench.intake.set(Mood::Stores);
    eventually("it is stored once", || bench.intake.stored() == ["6442D1BC"]).await;
    eventually("the guest is told", || peer.lights(5) == [2]).await;
    bench.stop().await;
}

#[tokio::test]
async fn two_readers_share_a_line_and_a_dead_one_leaves_the_other_alone() {
    let mut peer = Peer::start(&json!([{ "address": 5, "key": KEY }, { "address": 6, "key": null }]));
    let bench = Bench::start(&peer, vec![reader("n1", 5, Some(KEY)), reader("n2", 6, None)]);
    bench.up("n1").await;
    bench.up("n2").await;
    peer.tell(&json!({ "address": 5, "card": "01000005" }));
    eventually("the first reader's card", || bench.intake.stored() == ["01000005"]).await;
    eventually("its guest is told, and nobody else", || peer.lights(5) == [2] && peer.lights(6).is_empty()).await;
    peer.tell(&json!({ "address": 6, "card": "01000006" }));
    eventually("the second reader's card", || bench.intake.stored().last().is_some_and(|last| last == "01000006")).await;
    peer.tell(&json!({ "address": 5, "mute": true }));
    eventually("the first is gone", || bench.state("n1").fault == Some(ReaderFault::Offline)).await;
    assert_eq!(bench.state("n1").link, Link::Down);
    let refused = bench.actuator().open(bench.order(500)).await;
    assert!(matches!(refused, Err(NotOpened::NotSent(_))), "{refused:?}");
    peer.tell(&json!({ "address": 6, "card": "01000007" }));
    eventually("the second goes on", || bench.intake.stored().last().is_some_and(|last| last == "01000007")).await;
    assert_eq!(bench.state("n2").link, Link::Up);
    peer.tell(&json!({ "address": 5, "mute": false }));
    bench.up("n1").await;
    assert_eq!(bench.state("n1").reader, "osdp (secure)");
    peer.tell(&json!({ "address": 5, "card": "01000008" }));
    eventually("the first is back", || bench.intake.stored().last().is_some_and(|last| last == "01000008")).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_reader_with_another_key_is_not_spoken_with() {
    for (has, config, fault) in
        [(Some(OTHER_KEY), Some(KEY), ReaderFault::WrongKey), (None, Some(KEY), ReaderFault::WrongKey), (Some(KEY), None, ReaderFault::NeedsKey)]
    {
        let mut peer = Peer::start(&json!([{ "address": 5, "key": has }]));
        let bench = Bench::start(&peer, vec![reader("n1", 5, config)]);
        peer.tell(&json!({ "address": 5, "card": W34, "bits": 34 }));
        eventually("the key is refused", || bench.state("n1").fault.is_some()).await;
        assert_eq!((bench.state("n1").fault, bench.state("n1").link), (Some(fault), Link::Down));
        let refused = bench.actuator().open(bench.order(500)).await;
        assert!(matches!(refused, Err(NotOpened::NotSent(_))), "{refused:?}");
        bench.stop().await;
        assert!(peer.told().iter().all(|one| config.is_none() || one.get("output_no").is_none()), "{:?}", peer.told());
    }
}

#[tokio::test]
async fn a_line_that_is_pulled_and_plugged_in_again_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let by_id = folder.path().join("usb-rs485");
    let mut peer = Peer::start(&json!([{ "address": 5, "key": KEY }]));
    std::os::unix::fs::symlink(&peer.port, &by_id).unwrap();
    peer.port.clone_from(&by_id);
    let bench = Bench::start(&peer, vec![reader("n1", 5, Some(KEY))]);
    bench.up("n1").await;
    drop(peer);
    eventually("the port is lost", || bench.state("n1").link == Link::Down).await;
    assert_eq!(bench.state("n1").fault, None, "a port that is gone is no reader that is silent");
    let mut peer = Peer::start(&json!([{ "address": 5, "key": KEY }]));
    let link = folder.path().join("new");
    std::os::unix::fs::symlink(&peer.port, &link).unwrap();
    std::fs::rename(&link, &by_id).unwrap();
    bench.up("n1").await;
    peer.tell(&json!({ "address": 5, "card": W34, "bits": 34 }));
    eventually("a card", || bench.intake.stored() == ["6442D1BC"]).await;
    bench.stop().await;
}
