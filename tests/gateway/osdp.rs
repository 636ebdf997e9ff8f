//! An OSDP reader from the box to the first pass: the key is given once, then only secured sessions.

use std::time::Duration;

use serde_json::json;

use crate::common::{Venue, wait_for};
use crate::osdp_peer::Peer;

const LONG: Duration = Duration::from_secs(60);
const KEY: &str = "00112233445566778899aabbccddeeff";

fn venue(peer: &Peer) -> Venue {
    let venue = Venue::new();
    for (name, text) in [("lime-token", "t"), ("crm", "t"), ("osdp-n1", KEY), ("osdp-n2", "ffeeddccbbaa99887766554433221100")] {
        venue.secret(name, text);
    }
    let port = &peer.port;
    venue.config(&format!(
        "[site]\nid = \"test-north\"\ntitle = \"Test\"\ntimezone = \"Europe/Moscow\"\nlanguage = \"en\"\n\
         [[gate]]\nid = \"n1\"\ntitle = \"Reader 1\"\nservice_point = \"sp-1\"\nreader = \"osdp\"\nport = {port:?}\n\
         osdp = {{ address = 5, baud = 115200, key = {{ file = \"osdp-n1\" }} }}\n\
         [[gate]]\nid = \"n2\"\ntitle = \"Reader 2\"\nservice_point = \"sp-2\"\nreader = \"osdp\"\nport = {port:?}\n\
         osdp = {{ address = 6, baud = 115200, key = {{ file = \"osdp-n2\" }} }}\n\
         [lime]\nurl = \"http://127.0.0.1:9/gw/v1\"\ntoken = {{ file = \"lime-token\" }}\n\
         [crm]\nkind = \"amocrm\"\nurl = \"http://127.0.0.1:9\"\ntoken = {{ file = \"crm\" }}\n"
    ));
    venue
}

#[test]
fn a_new_reader_is_given_its_key_once_and_then_reads_secured() {
    // The first reader is new; the second has a key that the config does not name.
    let mut peer = Peer::start(&json!([{ "address": 5, "key": null }, { "address": 6, "key": "0f0e0d0c0b0a09080706050403020100" }]));
    let mut venue = venue(&peer);
    let said = venue.output(&["osdp", "provision", "--gate", "n1"], 0);
    assert!(said.contains("n1") && said.contains("has its key now"), "{said}");
    let said = venue.output(&["osdp", "provision", "--gate", "n1"], 0);
    assert!(said.contains("has this key already"), "{said}");
    let refused = venue.command(&["osdp", "provision", "--gate", "n2", "--json"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&refused.stdout).unwrap()["result"], "not_given");
    venue.output(&["osdp", "provision", "--gate", "n3"], 2);

    venue.start();
    venue.wait_status("the reader is up", LONG, |status| status["gates"]["n1"]["link"] == "up");
    let status = venue.wait_status("the wrong key is named", LONG, |status| {
        status["problems"].as_array().is_some_and(|all| all.iter().any(|one| one["code"] == "G-112" && one["gate"] == "n2"))
    });
    assert_eq!(status["gates"]["n1"]["reader"], "osdp (secure)");
    let held = venue.command(&["osdp", "provision", "--gate", "n1"]).output().unwrap();
    assert_eq!(held.status.code(), Some(75), "one line has one master");
    peer.tell(&json!({ "address": 5, "card": "BCD14264" }));
    venue.wait_status("the pass is stored", LONG, |status| status["gates"]["n1"]["passes"] == 1);
    assert!(wait_for(LONG, || peer.lights(5) == [2]), "green once it is on disk");
    let table = String::from_utf8_lossy(&venue.command(&["status"]).output().unwrap().stdout).into_owned();
    assert!(table.contains("osdp (secure)"), "{table}");
    // A reader that comes back from a power cut is taken up again, with its own key.
    peer.tell(&json!({ "address": 5, "mute": true }));
    peer.tell(&json!({ "address": 5, "mute": false }));
    peer.tell(&json!({ "address": 5, "card": "BCD14265" }));
    venue.wait_status("the next pass is stored", LONG, |status| status["gates"]["n1"]["passes"] == 2);
    assert!(venue.stop().success());
    let log = venue.log().to_lowercase();
    assert!(!log.contains(KEY) && !log.contains("bcd1426"), "{log}");
}
