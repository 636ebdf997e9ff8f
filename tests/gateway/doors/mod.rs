//! Gates that this box opens: a card reader, a device that opens, Lime and a CRM, with the real binary between them.

mod controllers;
mod decide;
mod demo;
mod kills;
mod openers;

use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Down, Mode, Rule};
use sandbox::turnstile::Gate;
use serde_json::{Value, json};

use crate::common::wait_for;
use crate::park::Park;

const LONG: Duration = Duration::from_secs(60);
/// A card with one visit.
const TICKET: &str = "5A1B2C3D";
/// A turnstile's relay and counter.
const BY_MODULE: &str = "open = { module = \"io1\", output = 0 }, passage = { module = \"io1\", counter = 1 }";

/// Lime knows these cards, each with one visit; the first gate decides as `door` says; `more` ends the config.
fn decides(park: &Park, cards: &[&str], door: &str, more: &str) {
    let text = std::fs::read_to_string(park.venue.config_file()).unwrap();
    let deciding = format!("reader = \"ironlogic-z2\"\nmode = \"decide\"\ndoor = {{ {door} }}");
    std::fs::write(park.venue.config_file(), text.replace("reader = \"ironlogic-z2\"", &deciding) + more).unwrap();
    tickets(park, cards);
    park.set_up_crm();
}

/// Lime knows these cards, each with one visit.
fn tickets(park: &Park, cards: &[&str]) {
    park.sandbox().with_site(|site, _, _| {
        for card in cards {
            let right = json!([{ "id": format!("r-{card}"), "kind": "ticket", "amount": 1 }]);
            assert!(site.lime.put_medium("card_uid", card, false, &right));
        }
    });
}

/// A park whose first gate decides, with a turnstile behind a module.
fn turnstile(cards: &[&str], walks: Duration, door: &str) -> (Park, Gate) {
    let park = Park::new(Host::Amocrm);
    let gate = park.turnstile(1.0, walks);
    let module = format!("[[module]]\nid = \"io1\"\nkind = \"wb-mr6c\"\nport = {:?}\naddress = 1\n", gate.path().display().to_string());
    decides(&park, cards, &format!("{BY_MODULE}, {door}"), &module);
    (park, gate)
}

/// Starts the gateway and waits until readers and modules answer and there is something to decide by.
fn open(park: &mut Park) {
    park.open();
    ready(park);
}

fn ready(park: &Park) {
    park.venue.wait_status("modules answer and the entitlements are there", LONG, |status| {
        let modules = status["modules"].as_object();
        modules.is_none_or(|modules| modules.values().all(|module| module["link"] == "up"))
            && status["gates"]["n1"]["door"]["does_not_close"].is_null()
            && status["entitlements"]["fresh"] == true
    });
}

fn lime_is_away(park: &Park) {
    park.fault(Rule::new(Host::Lime, Mode::Down { how: Down::Refuse }));
}

/// Waits until so many visits have ended since the start, and the door waits for the next; what the status says of the door.
fn ended(park: &Park, visits: u64) -> Value {
    let status = park.venue.wait_status("the visit is over", LONG, |status| {
        let gate = &status["gates"]["n1"];
        gate["passes"] == visits && gate["door"]["state"] == "idle"
    });
    status["gates"]["n1"]["door"].clone()
}

/// Waits until Lime has so many passes and nothing is on its way to the CRM.
fn delivered(park: &Park, passes: usize) {
    let all = wait_for(LONG, || {
        let status = park.venue.status().unwrap_or_default();
        let idle = ["lime", "crm"].iter().all(|name| status["destinations"][name]["waiting"] == 0);
        idle && write_offs(park).len() >= passes
    });
    assert!(all, "not delivered: {:#?}\n{:#?}\nlog:\n{}", write_offs(park), park.venue.status(), park.venue.log());
}

/// What Lime holds, by the pass's id.
fn write_offs(park: &Park) -> serde_json::Map<String, Value> {
    park.state(Host::Lime)["write_offs"].as_object().cloned().unwrap_or_default()
}

fn charged(park: &Park) -> u64 {
    write_offs(park).values().filter_map(|one| one["applied"].as_u64()).sum()
}

fn all_off(gate: &Gate) {
    assert!(wait_for(LONG, || gate.books().on == 0), "a relay stays on");
}
