//! Two gates of one venue with a snapshot each, over a real broker: whom one lets in, the other refuses; without the broker both let in, and Lime sorts it out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use limegate::clock::{Clock, ManualClock, SharedClock};
use limegate::config::MqttConfig;
use limegate::domain::{Decision, Direction, Medium, MediumKind, Personal, Secret, ServicePointId};
use limegate::door::snapshot::delta::Reader;
use limegate::door::snapshot::keeper::Keeper;
use limegate::door::snapshot::media::MediaKey;
use limegate::door::snapshot::neighbours::{self, QUEUE, Topics};
use limegate::door::snapshot::{PointRules, Rules, Snapshot};
use limegate::door::{Entitlements, Known, Question, Used};
use limegate::mqtt::{Client, Will};
use limegate::status::{Hub, Snapshot as Status};
use sandbox::{Host, Site};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::mosquitto::Mosquitto;
use crate::until;

const NOW: i64 = 1_777_618_800_000;

/// A gate: a snapshot on a folder of its own, and what tells its neighbours.
struct Gate {
    snapshot: Arc<Snapshot>,
    keeper: Keeper,
    clock: Arc<ManualClock>,
    key: MediaKey,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

fn media_key() -> MediaKey {
    MediaKey::of_venue(&Secret::new("0123456789abcdef0123456789abcdef"))
}

impl Gate {
    fn new(id: &str, port: Option<u16>, key: MediaKey) -> Self {
        let clock = Arc::new(ManualClock::synced(NOW));
        let shared = Arc::clone(&clock) as SharedClock;
        let rule = PointRules { max_age: Duration::from_secs(43_200), max_offline_debt: 0 };
        let rules = Rules { zone: jiff::tz::TimeZone::UTC, points: BTreeMap::from([(ServicePointId::from("sp-1"), rule)]) };
        let (tell, told) = mpsc::channel(QUEUE);
        let snapshot = Arc::new(Snapshot::new(key.clone(), rules, Arc::clone(&shared), Vec::new(), Some(tell)));
        let folder = tempfile::tempdir().expect("a folder");
        let keeper = Keeper::new(Arc::clone(&snapshot), folder.path(), vec!["sp-1".to_owned()]).expect("its folder");
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        if let Some(port) = port {
            let config = MqttConfig {
                host: "127.0.0.1".to_owned(),
                port,
                tls: false,
                user: None,
                password: None,
                ca: None,
                keep_alive: Duration::from_secs(5),
                client_id: format!("limegate-{id}"),
            };
            let will = Will { topic: format!("limegate/1/v/{id}/state"), message: Arc::new(|_, _| b"{}".to_vec()) };
            let hub = Arc::new(Hub::new(Status::default()));
            let (client, task) = Client::start(&config, None, will, hub, Arc::clone(&shared), stopped.clone());
            let topics = Topics { own: format!("limegate/1/v/{id}/uses"), all: "limegate/1/v/+/uses".to_owned() };
            tasks = vec![task, tokio::spawn(neighbours::run(Arc::clone(&snapshot), topics, client, told, shared, stopped))];
        }
        Self { snapshot, keeper, clock, key, stop, tasks, _folder: folder }
    }

    fn take_in(&mut self, site: &mut Site) {
        let request =
            http::Request::get("/gw/v1/entitlements?service_point_ids=sp-1").header("authorization", format!("Bearer {}", site.lime.token()));
        let answer = site.call(Host::Lime, 0, NOW, request.body(bytes::Bytes::new()).expect("a request"));
        let mut receiving = self.keeper.receiving(self.clock.stamp());
        let mut reader = Reader::new(self.key.clone());
        reader.take(answer.response().expect("an answer").body(), &mut receiving).expect("entitlements");
        reader.finish().expect("all of them");
        self.keeper.apply(receiving.finish().expect("a snapshot"), None).expect("a disk");
    }

    fn ask(&self, value: &str) -> Decision {
        let now = self.clock.stamp();
        let (medium, service_point) = (card(value), ServicePointId::from("sp-1"));
        let (direction, now_ms, boot_ms) = (Direction::In, now.wall_ms, now.boot_ms);
        match self.snapshot.ask(Question { medium: &medium, service_point: &service_point, direction, now_ms, error_ms: Some(5), boot_ms }) {
            Known::Decided(decision) => decision,
            Known::Unable(code) => panic!("{code}"),
        }
    }

    fn admit(&self, number: u128, value: &str) -> Uuid {
        let decision = self.ask(value);
        assert!(decision.admitted, "{decision:?}");
        let pass = Uuid::from_u128((7 << 76) | number);
        let boot_ms = self.clock.boot_ms();
        self.snapshot.used(Used { pass, medium: card(value), decision, service_point: ServicePointId::from("sp-1"), boot_ms });
        pass
    }

    async fn end(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.expect("an orderly end");
        }
    }
}

fn card(value: &str) -> Medium {
    Medium { kind: MediumKind::CardUid, value: Personal::new(value), raw: None, format: "x".to_owned() }
}

fn site() -> Site {
    let mut site = Site::new(3);
    for value in ["CANARY01", "CANARY02"] {
        assert!(site.lime.put_medium("card_uid", value, false, &json!([{"id": format!("t-{value}"), "kind": "ticket", "amount": 1}])));
    }
    site
}

#[tokio::test]
async fn what_one_gate_let_in_its_neighbour_refuses_and_a_stranger_changes_nothing() {
    let broker = Mosquitto::start().await;
    let mut site = site();
    let stranger = MediaKey::of_venue(&Secret::new("another-venue-another-venue-another"));
    let mut gates =
        [Gate::new("a", Some(broker.port), media_key()), Gate::new("b", Some(broker.port), media_key()), Gate::new("c", Some(broker.port), stranger)];
    gates.iter_mut().for_each(|gate| gate.take_in(&mut site));
    let [a, b, c] = &gates;
    // Said before the neighbour may have subscribed: what was missed is said again, here by a further pass.
    let pass = a.admit(1, "CANARY01");
    until("the neighbour knows", || {
        if b.ask("CANARY01").admitted {
            a.snapshot.used(Used {
                pass,
                medium: card("CANARY01"),
                decision: Decision { right_id: Some("t-CANARY01".to_owned()), ..b.ask("CANARY01") },
                service_point: ServicePointId::from("sp-1"),
                boot_ms: a.clock.boot_ms(),
            });
        }
        b.ask("CANARY01").code == "already_used"
    })
    .await;
    assert!(!a.ask("CANARY01").admitted, "its own echo counts once and is not needed");
    assert!(c.ask("CANARY01").admitted, "another key");
    let second = b.admit(2, "CANARY02");
    until("the other way", || !a.ask("CANARY02").admitted).await;
    b.snapshot.released(second);
    until("nobody went through", || a.ask("CANARY02").admitted).await;
    for gate in gates {
        gate.end().await;
    }
}

#[tokio::test]
async fn when_the_network_is_down_both_let_in_and_lime_keeps_and_flags_the_second() {
    let mut site = site();
    let mut gates = [Gate::new("a", None, media_key()), Gate::new("b", None, media_key())];
    gates.iter_mut().for_each(|gate| gate.take_in(&mut site));
    let passes = [gates[0].admit(1, "CANARY01"), gates[1].admit(2, "CANARY01")];
    let item = |at: usize| {
        json!({"write_off_id": passes[at], "seq": at + 1, "service_point_id": "sp-1", "direction": "in",
            "medium": {"kind": "card_uid", "value": "CANARY01"}, "occurred_at": "2026-05-01T12:00:00.000+05:00", "clock_quality": "synced",
            "decision": {"mode": "offline_snapshot", "outcome": "admitted", "code": "ok"}, "passage": {"state": "passed"},
            "claim": {"kind": "auto", "quantity": 1}, "force": true})
    };
    let mut report = |at: usize| -> Value {
        let body = json!({"device_id": format!("gw-{at}"), "boot_id": "b", "items": [item(at)]});
        let request = http::Request::post("/gw/v1/write-offs:batch").header("authorization", format!("Bearer {}", site.lime.token()));
        let answer = site.call(Host::Lime, 0, NOW, request.body(bytes::Bytes::from(body.to_string())).expect("a request"));
        serde_json::from_slice::<Value>(answer.response().expect("an answer").body()).expect("JSON")["results"][0].take()
    };
    assert_eq!(report(0)["status"], "applied");
    let second = report(1);
    assert_eq!((second["status"].as_str(), second["code"].as_str()), (Some("applied_with_debt"), Some("already_used")));
    assert_eq!(second["conflict_with"], json!(passes[0]));
    for gate in gates {
        gate.end().await;
    }
}
