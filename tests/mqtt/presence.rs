//! What a plain `mosquitto_sub` sees of the box, and that it is true.

use std::time::Duration;

use limegate::status::{GateState, Link, Problem};
use rumqttc::{AsyncClient, LastWill, MqttOptions, QoS};
use serde_json::{Value, json};

use crate::gateway::{Gateway, config, topics};
use crate::mosquitto::Mosquitto;

async fn retained(broker: &Mosquitto, wanted: &str) -> Value {
    let lines = broker.read(wanted, 1).await.expect("a retained message");
    let (topic, payload) = lines[0].split_once(' ').expect("topic and payload");
    assert_eq!(topic, wanted);
    serde_json::from_str(payload).expect("JSON")
}

async fn state(broker: &Mosquitto) -> Value {
    retained(broker, &topics().state).await
}

fn red() -> Problem {
    let texts = json!({ "ru": "", "en": "" });
    let problem = json!({
        "code": "G-101", "severity": "red", "gate": "n1", "destination": null, "since": null, "visible_after": null, "depends_on": [], "visible": true,
        "text": texts, "action": texts, "doc": "",
    });
    serde_json::from_value(problem).expect("a problem")
}

/// Asks until the retained message is as wanted.
async fn becomes(broker: &Mosquitto, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let give_up = tokio::time::Instant::now() + crate::mosquitto::PATIENCE;
    loop {
        let seen = retained(broker, topic).await;
        if wanted(&seen) {
            return seen;
        }
        assert!(tokio::time::Instant::now() < give_up, "{topic} stays {seen}");
    }
}

async fn state_becomes(broker: &Mosquitto, wanted: impl Fn(&Value) -> bool) -> Value {
    becomes(broker, &topics().state, wanted).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mosquitto_sub_shows_state_and_health() {
    let broker = Mosquitto::start().await;
    let gateway = Gateway::client(&config(broker.port), None, 7).with_status();
    gateway.hub.gate("n1", |gate| *gate = GateState { link: Link::Up, passes: 12, ..GateState::default() });
    gateway.report(Vec::new());
    let seen = state(&broker).await;
    assert_eq!((&seen["v"], &seen["state"], &seen["session"], &seen["version"]), (&json!(1), &json!("online"), &json!(7), &json!("0.1.0")));
    becomes(&broker, &topics().health, |health| health["v"] == 1 && health["gates"]["n1"]["passes"] == 12).await;

    gateway.report(vec![red()]);
    becomes(&broker, &topics().health, |health| health["problems"][0]["code"] == "G-101").await;
    state_becomes(&broker, |state| state["level"] == "red").await;
    gateway.stop().await;
    let seen = state(&broker).await;
    assert_eq!((&seen["state"], &seen["session"]), (&json!("stopped"), &json!(7)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_that_dies_is_offline_and_one_that_comes_back_is_online() {
    let broker = Mosquitto::start().await;
    let gateway = Gateway::client(&config(broker.port), None, 7).with_status();
    let born = state_becomes(&broker, |state| state["state"] == "online").await;
    gateway.kill();
    let will = state_becomes(&broker, |state| state["state"] == "offline").await;
    assert_eq!((&will["session"], &will["connection"]), (&born["session"], &born["connection"]));
    let gateway = Gateway::client(&config(broker.port), None, 8).with_status();
    let born = state_becomes(&broker, |state| state["state"] == "online").await;
    assert_eq!(born["session"], 8);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_will_does_not_mark_a_living_session_dead() {
    let broker = Mosquitto::start().await;
    // A connection of the box's last session, that the broker believes alive: it is not polled any more.
    let mut options = MqttOptions::new(config(broker.port).client_id, "127.0.0.1", broker.port);
    let will = json!({ "v": 1, "state": "offline", "session": 7, "connection": 1 }).to_string();
    options.set_clean_session(false).set_keep_alive(Duration::from_secs(60));
    options.set_last_will(LastWill::new(topics().state, will.clone(), QoS::AtLeastOnce, true));
    let (_client, mut frozen) = AsyncClient::new(options, 10);
    frozen.poll().await.expect("its CONNACK");

    let gateway = Gateway::client(&config(broker.port), None, 8).with_status();
    gateway.connected().await;
    state_becomes(&broker, |state| state["state"] == "online" && state["session"] == 8).await;
    // And once more, late: as a bridge or a second broker would bring it.
    broker.publish(&topics().state, true, vec![will]).await;
    state_becomes(&broker, |state| state["state"] == "online" && state["session"] == 8).await;
    assert!(gateway.up());
    gateway.stop().await;
}

/// Row 18 of what is promised, for one box: whatever ends and begins in whatever order, the retained state comes to be true and stays so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_random_orders_of_ends_and_beginnings_the_state_is_true() {
    let seed = std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("LIMEGATE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut broker = Mosquitto::start().await;
    let mut session = 1;
    let mut gateway = Some(Gateway::client(&config(broker.port), None, session).with_status());
    // A box that dies before it ever came to the broker leaves nothing there: neither a state nor a will.
    state_becomes(&broker, |state| state["state"] == "online").await;
    for step in 0..20 {
        let choice = random.u8(..5);
        println!("step {step}: {choice}");
        gateway = match (choice, gateway) {
            (0, Some(gateway)) => {
                gateway.kill();
                None
            }
            (1, Some(gateway)) => {
                gateway.stop().await;
                None
            }
            (2, Some(gateway)) => {
                broker.kill_and_forget().await;
                broker.go().await;
                Some(gateway)
            }
            (3, Some(gateway)) => {
                broker.stop().await;
                broker.go().await;
                Some(gateway)
            }
            (_, Some(gateway)) => {
                let old = json!({ "v": 1, "state": "offline", "session": random.u64(..=session), "connection": 1 }).to_string();
                broker.publish(&topics().state, true, vec![old]).await;
                Some(gateway)
            }
            (_, None) => {
                session += 1;
                Some(Gateway::client(&config(broker.port), None, session).with_status())
            }
        };
        match &gateway {
            Some(_) => {
                state_becomes(&broker, |state| state["state"] == "online" && state["session"] == session).await;
            }
            None => {
                state_becomes(&broker, |state| state["state"] != "online" && state["session"] == session).await;
            }
        }
    }
    if let Some(gateway) = gateway {
        gateway.stop().await;
    }
}
