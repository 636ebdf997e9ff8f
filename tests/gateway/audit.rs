//! `limegate verify --remote`: the destinations are asked, and what a person has deleted there is named.

use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Down, Mode, Rule};
use serde_json::{Value, json};

use crate::park::Park;

const LONG: Duration = Duration::from_secs(90);

fn what_is_gone_is_named(crm: Host) {
    let mut park = Park::new(crm);
    park.set_up_crm();
    park.open();
    let cards: Vec<String> = park.media("card_uid").into_iter().filter(|uid| uid.len() == 8).take(2).collect();
    for card in &cards {
        park.card(card);
    }
    let codes = park.media("qr");
    for code in &codes[..3] {
        assert!(park.code(code, LONG), "the scanner got no ACK");
    }
    park.wait_drained(5, LONG);

    let text = park.venue.output(&["verify", "--remote"], 0);
    assert_eq!(text.matches("asked 5, found 5, missing 0, doubled 0").count(), 2, "{text}");
    let (key, _) = park.crm_entries().into_iter().next().expect("an entry");
    park.remove_from_crm(&key);
    let text = park.venue.output(&["verify", "--remote"], 1);
    assert!(text.contains(&key) && text.contains("asked 5, found 4, missing 1, doubled 0"), "{text}");
    // Lime loses another one; the gateway need not run for the question.
    park.venue.stop();
    let (other, _) = park.crm_entries().into_iter().next_back().expect("an entry");
    assert!(park.sandbox().with_site(|site, _, _| site.lime.forget_write_off(&other)));
    let said: Value = serde_json::from_str(&park.venue.output(&["verify", "--remote", "--json"], 1)).expect("JSON");
    assert_eq!((&said["remote"]["complete"], &said["balances"]), (&json!(false), &json!(true)));
    assert_eq!((&said["remote"]["lime"]["missing"], &said["remote"]["crm"]["missing"]), (&json!([other]), &json!([key])));
    // The journal alone still balances.
    park.venue.output(&["verify"], 0);
}

#[test]
fn a_lead_that_was_deleted_in_amocrm_is_named() {
    what_is_gone_is_named(Host::Amocrm);
}

#[test]
fn a_deal_that_was_deleted_in_bitrix24_is_named() {
    what_is_gone_is_named(Host::Bitrix24);
}

#[test]
fn a_destination_that_is_away_is_asked_another_time_and_the_sums_are_shown() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    park.open();
    let code = park.media("qr").remove(0);
    assert!(park.code(&code, LONG), "the scanner got no ACK");
    park.wait_drained(1, LONG);
    park.fault(Rule::new(Host::Amocrm, Mode::Down { how: Down::Refuse }));
    let text = park.venue.output(&["verify", "--remote"], 75);
    assert!(text.contains("read 1 = stored 1") && text.contains("lime: asked 1, found 1") && text.contains("amocrm: no answer"), "{text}");
}

/// A receipt and a preorder become deals; a person deletes both.
fn deals_that_are_gone_are_named(crm: Host) {
    let mut park = Park::with(crm, "[hub]\nenabled = true\n[hub.preorders]\nto_crm = true\n");
    let made = park.venue.command(&["crm", "setup", "--pipelines"]).output().expect("the limegate binary");
    assert!(made.status.success(), "{}{}", String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
    park.venue.start();
    park.venue.wait_status("Lime is read", LONG, |status| !status["feeds"]["lime.transactions"]["last_read_boot_ms"].is_null());
    let act =
        |action: &str, body: &Value| park.sandbox().with_site(|site, now, wall| site.act(Host::Lime, action, now, wall, body).expect("a cashier"));
    let sale = act("sell", &json!({"client_id": "c-1", "lines": [{"good_type_id": "p-3", "qty": 1}]}));
    let preorder = act("preorder", &json!({"client_id": "c-1", "status": "confirmed", "lines": [{"good_type_id": "p-5", "qty": 1}]}));
    let deals = |park: &Park| {
        let state = park.state(crm);
        let all = state[if crm == Host::Bitrix24 { "deals" } else { "leads" }].as_array().cloned().unwrap_or_default();
        all.iter().filter_map(|deal| deal["id"].as_u64()).collect::<Vec<_>>()
    };
    park.venue.wait_status("nothing waits any more", LONG, |status| deals(&park).len() == 2 && status["destinations"]["crm"]["waiting"] == 0);
    let text = park.venue.output(&["verify", "--remote"], 0);
    assert!(text.contains("deals of receipts and preorders: asked 2, found 2, missing 0, doubled 0"), "{text}");
    for id in deals(&park) {
        let kind = if crm == Host::Bitrix24 { "deal" } else { "leads" };
        park.sandbox().with_site(|site, now, wall| site.act(crm, "delete", now, wall, &json!({"kind": kind, "id": id})).expect("a manager"));
    }
    let text = park.venue.output(&["verify", "--remote"], 1);
    for gone in [&sale["transaction_id"], &preorder["preorder_id"]] {
        assert!(
            text.contains(&format!(
                "missing: {} {}",
                if gone == &sale["transaction_id"] { "receipt" } else { "preorder" },
                gone.as_str().expect("an id")
            )),
            "{text}"
        );
    }
}

#[test]
fn deals_that_were_deleted_in_amocrm_are_named() {
    deals_that_are_gone_are_named(Host::Amocrm);
}

#[test]
fn deals_that_were_deleted_in_bitrix24_are_named() {
    deals_that_are_gone_are_named(Host::Bitrix24);
}
