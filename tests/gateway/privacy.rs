//! Names, phones, cards and tokens travel through every path and show up at none but their destination.

use std::process::{Command, Stdio};
use std::time::Duration;

use sandbox::Host;
use serde_json::Value;

use crate::park::Park;

const LONG: Duration = Duration::from_secs(90);

#[test]
fn people_and_secrets_stay_in() {
    for crm in [Host::Amocrm, Host::Bitrix24] {
        let mut park = Park::new(crm);
        park.set_up_crm();
        let heard = park.venue.folder.path().join("heard");
        let port = park.broker.port.to_string();
        let mut listener = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port, "-v", "-t", "limegate/#"])
            .stdout(std::fs::File::create(&heard).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        park.open();
        let tapped = park.venue.folder.path().join("tapped");
        let mut tap = park.venue.command(&["tap"]).stdout(std::fs::File::create(&tapped).unwrap()).stderr(Stdio::null()).spawn().unwrap();
        let cards: Vec<String> = park.media("card_uid").into_iter().filter(|uid| uid.len() == 8).take(5).collect();
        let codes = park.media("qr");
        // Whoever listens has to hear before anything is shown that must not be heard.
        let told = |file: &std::path::Path, word: &str| std::fs::read_to_string(file).unwrap().contains(word);
        let mut before = 0;
        while !told(&tapped, "stored in") || !told(heard.as_ref(), "online") {
            before += 1;
            assert!(before < 200, "neither tap nor the broker's listener hears anything");
            park.publish(&format!("before-{before}"), "card_uid", &cards[0]);
            park.wait_drained(before, LONG);
        }
        for card in &cards {
            park.card(card);
        }
        assert!(park.code(&codes[0], LONG));
        park.publish("canary-1", "card_uid", &cards[0]);
        // A code that nobody knows, a line that is no frame, a message that is no pass.
        assert!(park.code("CANARY-CODE-4711", LONG));
        park.wait_drained(8 + before, LONG);

        let mut shown = park.venue.log();
        for verb in [
            &["status"][..],
            &["status", "--json"],
            &["journal", "list"],
            &["journal", "list", "--json"],
            &["journal", "export"],
            &["journal", "stat"],
            &["dead", "list"],
            &["verify", "--json"],
            &["config", "effective"],
        ] {
            let output = park.venue.command(verb).output().unwrap();
            shown += &String::from_utf8_lossy(&output.stdout);
            shown += &String::from_utf8_lossy(&output.stderr);
        }
        park.venue.stop();
        shown += &park.venue.log();
        let _ = (tap.kill(), tap.wait(), listener.kill(), listener.wait());
        shown += &std::fs::read_to_string(&heard).unwrap();
        shown += &std::fs::read_to_string(&tapped).unwrap();
        assert!(shown.contains("online") && shown.contains("stored in"), "nothing was heard: the test would prove nothing\n{shown}");

        let mut canaries: Vec<String> = cards;
        canaries.extend([codes[0].clone(), "CANARY-CODE-4711".to_owned()]);
        canaries.extend(secrets(&park));
        canaries.extend(people(&park.state(crm)));
        assert!(canaries.len() > 12, "{canaries:?}");
        for canary in &canaries {
            assert!(!shown.contains(canary.as_str()), "{crm:?}: {canary:?} is shown");
        }
    }
}

fn secrets(park: &Park) -> Vec<String> {
    let addresses = &park.sandbox().addresses;
    let all = [&addresses.lime_token, &addresses.amocrm_token, &addresses.bitrix24_webhook];
    all.into_iter().flatten().filter(|text| !text.is_empty()).cloned().collect()
}

/// Names and phones that reached the CRM: what the gateway must have held.
fn people(state: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let contacts = state["contacts"].as_array().cloned().unwrap_or_default();
    assert!(!contacts.is_empty(), "no contact was made: the test would prove nothing");
    for contact in &contacts {
        for key in ["name", "lastName"] {
            found.extend(contact[key].as_str().filter(|name| name.chars().count() > 3).map(str::to_owned));
        }
        let text = contact.to_string();
        found.extend(
            text.match_indices("+7")
                .filter_map(|(at, _)| text.get(at + 2..at + 12))
                .filter(|ten| ten.chars().all(|c| c.is_ascii_digit()))
                .map(str::to_owned),
        );
    }
    found
}
