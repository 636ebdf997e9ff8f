//! `limegate sync`: everything that Lime has is told of once, with and without a running gateway, however often the command is killed.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use sandbox::Host;
use serde_json::{Value, json};

use crate::common::wait_for;
use crate::park::Park;

const LONG: Duration = Duration::from_secs(90);

fn json_of(park: &Park, verb: &[&str], code: i32) -> Value {
    serde_json::from_str(&park.venue.output(verb, code)).expect("JSON")
}

fn clients_of(park: &Park) -> u64 {
    park.state(Host::Lime)["clients"].as_u64().expect("a number")
}

/// How often the journal tells of each client.
fn told(park: &Park) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    let text = park.venue.output(&["journal", "export"], 0);
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).expect("a line of JSON");
        if let Some(id) = record["change"]["told"]["client"]["id"].as_str() {
            *counted.entry(id.to_owned()).or_default() += 1;
        }
    }
    counted
}

#[test]
fn a_synchronisation_that_is_killed_goes_on_where_it_was_and_tells_of_nobody_twice() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let park = Park::with(Host::Amocrm, "[hub]\nenabled = true\nclients = [\"registration\", \"change\"]\n");
    park.sandbox().with_site(|site, _, _| site.lime.add_clients(2_000));
    let clients = clients_of(&park);

    let counted = json_of(&park, &["sync", "run", "--only", "clients,products", "--dry-run", "--json"], 0);
    assert_eq!((&counted["kinds"]["clients"]["jobs"], &counted["kinds"]["products"]["jobs"]), (&json!(clients), &json!(12)));
    assert!(!park.venue.state_dir().join("journal").exists(), "a dry run writes nothing");

    let run = ["sync", "run", "--only", "clients,products", "--json"];
    for _ in 0..6 {
        let mut child = park.venue.command(&run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the limegate binary");
        let patience = Duration::from_millis(chance.u64(0..600));
        wait_for(patience, || child.try_wait().expect("its state").is_some());
        child.kill().expect("SIGKILL, or it has ended");
        child.wait().expect("its end");
        // Killed before it made a journal, there is no status.
        let status = park.venue.command(&["sync", "status", "--json"]).output().expect("the limegate binary");
        let place: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        if place["feeds"]["clients"]["walked"].is_object() {
            break;
        }
    }
    let done = json_of(&park, &run, 0);
    assert_eq!(done["kinds"]["products"], 12, "seed {seed}");
    let counted = told(&park);
    assert_eq!(counted.len() as u64, clients, "seed {seed}");
    let walks = counted.values().max().copied().unwrap_or(0);
    // A walk that was done before the command was killed is another one.
    assert!(walks <= 2 && counted.values().all(|times| *times == walks), "seed {seed}: {walks}");
    let status = json_of(&park, &["sync", "status", "--json"], 0);
    assert_eq!(status["by_kind"]["client"], json!(walks as u64 * clients));
    let shown = park.venue.output(&["sync", "status", "--lang", "en"], 0);
    assert!(shown.contains("clients") && shown.contains("done: "), "{shown}");
}

#[test]
fn the_running_gateway_is_asked_and_a_box_without_a_hub_says_so() {
    let mut park = Park::with(Host::Amocrm, "[hub]\nenabled = true\ndeal = []\n");
    park.set_up_crm();
    park.venue.start();
    park.venue.wait_status("clients are read", LONG, |status| !status["feeds"]["lime.clients"]["last_read_boot_ms"].is_null());
    // What nobody asked for is refused before anything is done.
    park.venue.output(&["sync", "run", "--only", "transactions"], 2);
    let before = told(&park)["c-1"];
    let mut child = park.venue.command(&["sync", "run", "--only", "clients"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("limegate");
    let again = wait_for(LONG, || told(&park)["c-1"] > before);
    child.kill().expect("SIGKILL, or it has ended");
    child.wait().expect("its end");
    assert!(again, "nobody is told of again; the log:\n{}", park.venue.log());
    let status = json_of(&park, &["sync", "status", "--json"], 0);
    assert!(status["feeds"]["clients"]["walk"].is_object() || status["feeds"]["clients"]["walked"].is_object());
    park.venue.stop();
    park.configure("");
    park.venue.output(&["sync", "run"], 78);
}

fn a_clients_two_cards_are_compared(crm: Host) {
    let mut park = Park::with(crm, "[hub]\nenabled = true\nclients = [\"registration\", \"change\"]\ndeal = []\n");
    // Whatever else a person would have to do for bookings: contacts do not need it.
    park.venue.command(&["crm", "setup"]).output().expect("the limegate binary");
    park.venue.start();
    let ask = |park: &Park, more: &[&str]| {
        let output = park.venue.command(&[&["sync", "diff", "--client", "c-1"], more].concat()).output().expect("the limegate binary");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let mut last = (None, String::new());
    let alike = wait_for(LONG, || {
        last = ask(&park, &["--json"]);
        let found: Value = serde_json::from_str(&last.1).unwrap_or_default();
        let fields = found["fields"].as_array().cloned().unwrap_or_default();
        fields.len() == 6 && fields.iter().all(|field| field["change"] == "none")
    });
    assert!(alike, "{last:?}\n{}", park.venue.log());
    assert_eq!(last.0, Some(0));
    park.venue.stop();
    park.sandbox().with_site(|site, _, wall_ms| {
        site.lime.act("change", wall_ms, &json!({"client_id": "c-1", "first_name": "Аполлинария", "phones": ["+79995550011"]})).expect("a change");
    });
    let (code, text) = ask(&park, &["--lang", "en"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("write the CRM") && text.contains("changed since they were last alike"), "{text}");
    assert!(!text.contains("Аполлинария") && !text.contains("5550011"), "{text}");
    // Changed on both sides, and Lime's card does not say when: it is not said to win.
    let known: Value = serde_json::from_str(&ask(&park, &["--json"]).1).expect("JSON");
    let contact: u64 = known["contact"].as_str().and_then(|id| id.parse().ok()).expect("a contact");
    park.sandbox().with_site(|site, now_ms, wall_ms| {
        site.lime.act("change", wall_ms, &json!({"client_id": "c-1", "last_name": "Орлова"})).expect("a change");
        let name = if crm == Host::Bitrix24 { "lastName" } else { "last_name" };
        site.act(crm, "contact", now_ms, wall_ms, &json!({"id": contact, name: "Белова"})).expect("an edit");
    });
    let (_, text) = ask(&park, &["--lang", "en"]);
    assert!(text.contains("what was changed later stands"), "{text}");
    let (_, text) = ask(&park, &["--show-values"]);
    assert!(text.contains("Аполлинария") && text.contains("+79995550011"), "{text}");
}

#[test]
fn a_clients_two_cards_are_compared_at_amocrm() {
    a_clients_two_cards_are_compared(Host::Amocrm);
}

#[test]
fn a_clients_two_cards_are_compared_at_bitrix24() {
    a_clients_two_cards_are_compared(Host::Bitrix24);
}
