//! What the commands show of the journal and of what was refused, while the gateway runs and when it is stopped.

use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Down, Mode, Rule};
use serde_json::Value;

use crate::park::Park;

const LONG: Duration = Duration::from_secs(90);

fn asked(park: &Park, verb: &[&str]) -> Value {
    let json = [verb, &["--json"]].concat();
    serde_json::from_str(&park.venue.output(&json, 0)).expect("one document")
}

fn jobs(park: &Park, filter: &[&str]) -> Vec<Value> {
    let listed = asked(park, &[&["journal", "list"], filter].concat());
    listed["jobs"].as_array().expect("jobs").clone()
}

#[test]
fn the_journal_is_listed_by_gate_destination_state_and_time_whether_the_gateway_runs_or_not() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    park.open();
    let (cards, codes) = (park.media("card_uid"), park.media("qr"));
    let cards: Vec<&String> = cards.iter().filter(|uid| uid.len() == 8).collect();
    park.card(cards[0]);
    park.card(cards[1]);
    assert!(park.code(&codes[0], LONG));
    park.wait_drained(3, LONG);
    park.fault(Rule::new(Host::Amocrm, Mode::Down { how: Down::Refuse }));
    assert!(park.code(&codes[1], LONG));
    park.venue.wait_status("Lime has it and the CRM does not", LONG, |status| {
        status["destinations"]["lime"]["delivered"] == 4 && status["destinations"]["crm"]["waiting"] == 1
    });
    let mut seen = Vec::new();
    for running in [true, false] {
        if !running {
            assert_eq!(park.venue.stop().code(), Some(0));
        }
        let all = jobs(&park, &[]);
        assert_eq!((all.len(), jobs(&park, &["--to", "lime"]).len(), jobs(&park, &["--to", "crm"]).len()), (8, 4, 4));
        assert_eq!((jobs(&park, &["--gate", "n1"]).len(), jobs(&park, &["--gate", "n2", "--to", "lime"]).len()), (4, 2));
        assert_eq!(jobs(&park, &["--to", "crm", "--state", "delivered"]).len(), 3);
        let open = [jobs(&park, &["--state", "waiting"]), jobs(&park, &["--state", "sending"])].concat();
        assert_eq!((open.len(), &open[0]["to"]), (1, &Value::from("crm")));
        assert_eq!((jobs(&park, &["--since", "2h"]).len(), jobs(&park, &["--until", "2h"]).len()), (8, 0));
        let limited = asked(&park, &["journal", "list", "--limit", "3"]);
        assert_eq!((limited["jobs"].as_array().unwrap().as_slice(), &limited["all"]), (&all[5..], &Value::from(8)));
        park.venue.output(&["journal", "list", "--since", "the day before"], 2);

        let key = open[0]["key"].as_str().unwrap().to_owned();
        assert!(park.venue.output(&["journal", "list", "--lang", "ru"], 0).contains(&key));
        let shown = asked(&park, &["journal", "show", &key]);
        assert!(shown["records"].as_array().is_some_and(|records| records.iter().any(|record| record["kind"] == "pass")), "{shown}");
        assert!(!shown.to_string().contains(&codes[1]), "the medium is masked");
        assert!(park.venue.output(&["journal", "show", &key, "--show-cards"], 0).contains(&codes[1]), "unless it is asked for");
        park.venue.output(&["journal", "show", "99999"], 1);
        let exported = park.venue.output(&["journal", "export"], 0);
        assert!(exported.lines().count() >= 8 && exported.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        assert_eq!(asked(&park, &["journal", "verify"])["sound"], true);
        assert!(asked(&park, &["journal", "stat"])["stat"]["last_seq"].as_u64() >= Some(8));
        assert_eq!(asked(&park, &["dead", "list"])["dead"], Value::Array(Vec::new()));
        seen.push(all);
    }
    let (while_running, when_stopped) = (&seen[0], &seen[1]);
    let keys = |jobs: &[Value]| jobs.iter().map(|job| job["key"].clone()).collect::<Vec<_>>();
    assert_eq!(keys(while_running), keys(when_stopped));
}

#[test]
fn what_was_refused_is_shown_and_sent_again_or_given_up_with_a_reason_that_is_journalled() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    let config = std::fs::read_to_string(park.venue.config_file()).unwrap();
    std::fs::write(park.venue.config_file(), config.replace("\"sp-2\"", "\"sp-77\"")).unwrap();
    park.open();
    let codes = park.media("qr");
    for code in &codes[..3] {
        assert!(park.code(code, LONG));
    }
    let dead = |park: &Park| asked(park, &["dead", "list"])["dead"].as_array().expect("letters").clone();
    park.venue.wait_status("Lime refuses them", LONG, |_| dead(&park).len() == 3);
    let letters = dead(&park);
    let key = |letter: &Value| letter["key"].as_str().expect("a key").to_owned();
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("rejected/"), "{reason}");
    assert!(park.venue.output(&["dead", "list"], 0).contains(reason), "people read it, too");
    let shown = park.venue.output(&["dead", "show", &key(&letters[0])], 0);
    assert!(shown.contains("sp-77") && codes[..3].iter().all(|code| !shown.contains(code)), "{shown}");
    // What stands for money is given up by its whole key and with a reason only.
    park.venue.output(&["dead", "drop", &key(&letters[0])], 2);
    park.venue.output(&["dead", "drop", &key(&letters[0]), "--reason", " "], 2);
    park.venue.output(&["dead", "drop", &key(&letters[0])[..8], "--reason", "a test card"], 1);
    park.venue.output(&["dead", "drop", &key(&letters[0]), "--reason", "a test card"], 0);
    assert_eq!(dead(&park).len(), 2);
    // The same without the gateway.
    assert_eq!(park.venue.stop().code(), Some(0));
    park.venue.output(&["dead", "drop", &key(&letters[1]), "--reason", "another one"], 0);
    assert_eq!(dead(&park), letters[2..]);
    let exported = park.venue.output(&["journal", "export"], 0);
    let dropped: Vec<Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|record: &Value| record["kind"] == "dropped").collect();
    let told = dropped.iter().map(ToString::to_string).collect::<String>();
    assert!(dropped.len() == 2 && told.contains("a test card") && told.contains("another one"), "{told}");
    assert_eq!(jobs(&park, &["--state", "dropped"]).len(), 2);
    // Somebody enters the service point in Lime.
    park.sandbox().with_site(|site, _, _| site.lime.add_service_point("sp-77"));
    park.forget_owners();
    park.open();
    park.venue.output(&["dead", "retry", "all"], 0);
    park.venue.wait_status("it is delivered after all", LONG, |status| {
        status["destinations"]["lime"]["delivered"] == 1 && status["destinations"]["crm"]["delivered"] == 1
    });
    assert!(dead(&park).is_empty());
    assert_eq!(park.crm_entries().into_iter().collect::<Vec<_>>(), [(key(&letters[2]), 1)]);
}
