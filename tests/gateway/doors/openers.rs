//! Whatever opens a gate that decides, from the card to the write-off with the real binary: an OSDP reader's own output, and devices behind a real broker,
//! played by scripts that know their conventions and nothing of the gateway.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandbox::Host;
use serde_json::{Value, json};

use super::{LONG, TICKET, charged, decides, delivered, ended, lime_is_away, open, tickets, write_offs};
use crate::common::wait_for;
use crate::mqtt_device::Message;
use crate::osdp_peer::Peer;
use crate::park::Park;

const PATIENT: &str = "budget = \"5s\", wait = \"20s\", pulse = \"50ms\"";
const KEY: &str = "00112233445566778899aabbccddeeff";

/// A card is let in by Lime; Lime goes away, and another is let in by the snapshot; the first is tried again. Each goes through who is let in.
fn plays(park: &mut Park, mut shows: impl FnMut(&mut Park, &str), mut goes: impl FnMut(&Park, u64)) {
    let (online, offline) = (TICKET, "6B2C3D4E");
    shows(park, online);
    goes(park, 1);
    let door = ended(park, 1);
    assert_eq!((&door["last_mode"], &door["last_admitted"]), (&json!("online"), &json!(true)), "{door:#}");
    lime_is_away(park);
    shows(park, offline);
    goes(park, 2);
    let door = ended(park, 2);
    assert_eq!((&door["last_mode"], &door["last_admitted"]), (&json!("offline_snapshot"), &json!(true)), "{door:#}");
    shows(park, online);
    let door = ended(park, 3);
    assert_eq!(
        (&door["last_mode"], &door["last_code"]),
        (&json!("offline_snapshot"), &json!("already_used")),
        "{door:#}\n{:#?}\n{:#?}\n{}",
        write_offs(park),
        park.journal(),
        park.venue.log()
    );
    park.clear_faults();
    delivered(park, 3);
    assert_eq!((write_offs(park).len(), charged(park)), (3, 2), "{:#?}\n{:#?}", write_offs(park), park.journal());
    let passages: Vec<String> = park.journal().iter().map(|pass| pass["passage"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(passages, ["passed", "passed", "not_passed"]);
    park.venue.output(&["verify"], 0);
}

#[test]
fn an_osdp_reader_opens_by_its_own_output_sees_the_passage_by_its_input_and_shows_the_answer() {
    let peer = Peer::start(&json!([{ "address": 5, "key": KEY }]));
    let mut park = Park::new(Host::Amocrm);
    park.venue.secret("osdp", KEY);
    let text = std::fs::read_to_string(park.venue.config_file()).unwrap();
    let (before, after) = text.split_once("reader = \"ironlogic-z2\"\n").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let osdp = format!(
        "reader = \"osdp\"\nport = {:?}\nosdp = {{ address = 5, baud = 115200, key = {{ file = \"osdp\" }} }}\nmode = \"decide\"\n",
        peer.port
    );
    let door = format!("door = {{ open = {{ reader = true, output = 1 }}, passage = {{ reader = true, input = 0 }}, {PATIENT} }}\n");
    std::fs::write(park.venue.config_file(), format!("{before}{osdp}{door}{after}")).unwrap();
    tickets(&park, &[TICKET, "6B2C3D4E"]);
    park.set_up_crm();
    open(&mut park);
    let peer = Mutex::new(peer);
    let opened = |times: usize| peer.lock().unwrap().switched(5).iter().filter(|(output, code, _)| (*output, *code) == (1, 5)).count() == times;
    let said = |what: Value| peer.lock().unwrap().tell(&what);
    plays(
        &mut park,
        |park, card| {
            // A card that was shown a moment ago is still the same presentation: it is held again until it counts.
            let decided = || park.venue.status().and_then(|status| status["gates"]["n1"]["door"]["decided"].as_u64()).unwrap_or(0);
            let before = decided();
            let shown = wait_for(LONG, || {
                said(json!({ "address": 5, "card": card }));
                wait_for(Duration::from_millis(1_500), || decided() > before)
            });
            assert!(shown, "the card is not decided about:\n{}", park.venue.log());
        },
        |park, guest| {
            assert!(wait_for(LONG, || opened(guest as usize)), "not opened: {:?}\n{}", peer.lock().unwrap().told(), park.venue.log());
            said(json!({ "address": 5, "inputs": [1, 0] }));
            said(json!({ "address": 5, "inputs": [0, 0] }));
        },
    );
    let lit = |colour: u64| peer.lock().unwrap().lights(5).iter().filter(|light| **light == colour).count();
    assert!(wait_for(LONG, || lit(2) == 2 && lit(1) == 1), "two guests saw green and one saw red: {:?}", peer.lock().unwrap().lights(5));
    assert!(park.venue.stop().success());
    let off = || peer.lock().unwrap().switched(5).last() == Some(&(1, 1, 0));
    assert!(wait_for(LONG, off), "the output is off at the end: {:?}", peer.lock().unwrap().switched(5));
    let log = park.venue.log().to_lowercase();
    assert!(!log.contains(KEY) && !log.contains(&TICKET.to_lowercase()), "{log}");
}

/// A park whose first gate opens with this module behind the broker.
fn behind_broker(module: &str, passage: &str) -> Park {
    let park = Park::new(Host::Amocrm);
    let door = format!("open = {{ module = \"m1\", output = 0 }}, passage = {{ module = \"m1\", {passage} }}, {PATIENT}");
    decides(&park, &[TICKET, "6B2C3D4E"], &door, &format!("[[module]]\nid = \"m1\"\n{module}\n"));
    park
}

#[test]
fn a_wiren_board_relay_opens_and_its_counter_sees_the_passage() {
    const CONTROLS: &str = "/devices/wb-mr6c_34/controls";
    let mut park = behind_broker("kind = \"wirenboard-mqtt\"\ndevice = \"wb-mr6c_34\"", "counter = 1");
    let counted = AtomicU64::new(65_535);
    let device = park.plays_device(&format!("{CONTROLS}/K1/on"), move |topic, payload| {
        let value = |control: &str, value: &str| -> Message { (format!("{CONTROLS}/{control}"), value.to_owned(), true) };
        assert!(topic.ends_with("/K1/on"));
        let mut said = vec![value("K1", payload)];
        if payload == "1" {
            // Somebody goes, and the counter turns over.
            let count = counted.fetch_add(1, Ordering::SeqCst) + 1;
            said.push(value("Input 1 counter", &(count % 65_536).to_string()));
        }
        said
    });
    park.says(&device, &format!("{CONTROLS}/Input 1 counter"), "65535", true);
    open(&mut park);
    plays(&mut park, Park::card, |_, _| {});
    assert_eq!(device.heard("/on").iter().filter(|payload| *payload == "1").count(), 2);
    assert!(park.venue.stop().success());
    assert!(wait_for(LONG, || device.heard("/on").last().is_some_and(|last| last == "0")), "off at the end");
}

#[test]
fn a_shelly_opens_for_a_pulse_that_it_ends_itself_and_its_input_sees_the_passage() {
    const SHELLY: &str = "shellyplus1-a8032abe54dc";
    let mut park = behind_broker(&format!("kind = \"shelly\"\ndevice = {SHELLY:?}"), "input = 0");
    let device = park.plays_device(&format!("{SHELLY}/rpc"), |_, text| {
        let request: Value = serde_json::from_str(text).unwrap();
        let answer = json!({ "id": request["id"], "src": SHELLY, "dst": request["src"], "result": { "was_on": false } });
        let mut said = vec![(format!("{}/rpc", request["src"].as_str().unwrap()), answer.to_string(), false)];
        if request["params"]["on"] == true {
            for state in [true, false] {
                let status = json!({ "method": "NotifyStatus", "params": { "ts": 2.0, "input:0": { "id": 0, "state": state } } });
                said.push((format!("{SHELLY}/events/rpc"), status.to_string(), false));
            }
        }
        said
    });
    park.says(&device, &format!("{SHELLY}/online"), "true", true);
    open(&mut park);
    plays(&mut park, Park::card, |_, _| {});
    let orders: Vec<Value> = device.heard("/rpc").iter().map(|text| serde_json::from_str::<Value>(text).unwrap()["params"].clone()).collect();
    let pulses: Vec<&Value> = orders.iter().filter(|one| one["on"] == true).collect();
    assert!(pulses.len() == 2 && pulses.iter().all(|one| one["toggle_after"] == 0.05), "{orders:?}");
    assert!(park.venue.stop().success());
}

#[test]
fn a_barrier_of_our_own_json_acknowledges_each_order_and_reports_the_passage_itself() {
    let mut park = behind_broker("kind = \"mqtt-json\"\ntopic = \"gw/test/in-1\"", "input = 0");
    let barrier = Arc::new(park.barrier("gw/test/in-1"));
    assert!(wait_for(LONG, || barrier.is_ready()), "the barrier is not at the broker");
    open(&mut park);
    plays(&mut park, Park::card, |_, _| {});
    let books = barrier.books();
    assert_eq!((books.opened, books.passed, books.refused), (2, 2, 0));
    assert!(park.venue.stop().success());
}
