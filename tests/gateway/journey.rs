//! A pass from the gate to the CRM, through outages and restarts.

use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Down, Mode, Rule};

use crate::park::Park;

const LONG: Duration = Duration::from_secs(90);

fn passes_travel(crm: Host) {
    let mut park = Park::new(crm);
    park.venue.output(&["crm", "setup"], 0);
    park.open();
    let cards: Vec<String> = park.media("card_uid").into_iter().filter(|uid| uid.len() == 8).take(4).collect();
    let codes = park.media("qr");
    for card in &cards {
        park.card(card);
    }
    assert!(park.code(&codes[0], LONG), "the scanner got no ACK");
    park.publish("m-1", "card_uid", &cards[0]);
    park.wait_drained(6, LONG);

    let entries = park.crm_entries();
    assert_eq!(entries.len(), 6, "{entries:?}");
    assert!(entries.values().all(|count| *count == 1), "{entries:?}");
    let verified = park.venue.output(&["verify"], 0);
    assert!(verified.contains("OK"), "{verified}");
    let stopped = park.venue.stop();
    assert_eq!(stopped.code(), Some(0));
    // The same books when the gateway is stopped.
    assert_eq!(park.venue.output(&["verify"], 0), verified);
    park.venue.output(&["status"], 75);
}

#[test]
fn passes_from_three_gates_reach_lime_and_amocrm() {
    passes_travel(Host::Amocrm);
}

#[test]
fn passes_from_three_gates_reach_lime_and_bitrix24() {
    passes_travel(Host::Bitrix24);
}

#[test]
fn passes_taken_while_everything_is_away_arrive_afterwards_and_once() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    for host in [Host::Lime, Host::Amocrm] {
        park.fault(Rule::new(host, Mode::Down { how: Down::Refuse }));
    }
    park.open();
    let codes = park.media("qr");
    for code in &codes[..20] {
        assert!(park.code(code, LONG), "no ACK while the destinations are away");
    }
    park.venue.wait_status("lime is seen to be away", LONG, |status| {
        status["destinations"]["lime"]["link"] == "down" && status["destinations"]["lime"]["waiting"] == 20
    });
    // A restart in the middle of the outage changes nothing.
    park.venue.stop();
    park.forget_owners();
    park.open();
    park.clear_faults();
    park.wait_drained(20, LONG);
    let entries = park.crm_entries();
    assert_eq!(entries.len(), 20);
    assert!(entries.values().all(|count| *count == 1), "{entries:?}");
}

#[test]
fn a_lost_answer_of_the_crm_makes_no_second_deal() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    park.fault(Rule::new(Host::Amocrm, Mode::DropAfterCommit).on("POST", "/api/v4/leads").times(1));
    park.open();
    let codes = park.media("qr");
    for code in &codes[..5] {
        assert!(park.code(code, LONG));
    }
    park.wait_drained(5, LONG);
    let entries = park.crm_entries();
    assert_eq!(entries.len(), 5);
    assert!(entries.values().all(|count| *count == 1), "{entries:?}");
}

#[test]
fn a_message_that_the_broker_sends_twice_is_one_pass() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    park.open();
    let code = park.media("qr").remove(0);
    for _ in 0..3 {
        park.publish("same-id", "qr", &code);
    }
    park.publish("another-id", "qr", &code);
    park.wait_drained(2, LONG);
    assert_eq!(park.journal().len(), 2);
}

/// The README's first command, with the gateway killed in the middle.
#[test]
fn the_books_of_the_demo_balance_over_an_outage_and_a_power_cut() {
    let seed = std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u32(..));
    let played = std::process::Command::new(env!("CARGO_BIN_EXE_limegate"))
        .args(["demo", "--for", "14s", "--power-cut", "--crm", "bitrix24", "--lang", "en", "--seed", &seed.to_string()])
        .output()
        .expect("the demo runs");
    let (told, trouble) = (String::from_utf8_lossy(&played.stdout), String::from_utf8_lossy(&played.stderr));
    assert!(played.status.success() && told.contains("the books balance"), "seed {seed}\n{told}\n{trouble}");
}
