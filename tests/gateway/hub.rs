//! What happens at Lime reaches the journal of the venue's hub: once, in order, whatever becomes of the process.

use std::time::Duration;

use sandbox::Host;
use serde_json::{Value, json};

use crate::park::Park;

const LONG: Duration = Duration::from_secs(90);

const FEEDS: [&str; 4] = ["lime.clients", "lime.preorders", "lime.products", "lime.transactions"];

fn sell(park: &Park, count: usize) -> Vec<String> {
    let sold = |client: usize| {
        let body = json!({"client_id": format!("c-{}", client % 200 + 1), "lines": [{"good_type_id": "p-3", "qty": 1}]});
        let answer = park.sandbox().with_site(|site, _, wall_ms| site.lime.act("sell", wall_ms, &body)).expect("a sale");
        answer["transaction_id"].as_str().expect("its id").to_owned()
    };
    (0..count).map(sold).collect()
}

/// Changes in the journal, in order.
fn changes(park: &Park) -> Vec<Value> {
    let text = park.venue.output(&["journal", "export"], 0);
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    records.filter(|record| record["kind"] == "change").map(|record| record["change"].clone()).collect()
}

fn receipts(park: &Park) -> Vec<String> {
    changes(park).iter().filter_map(|change| Some(change["told"]["receipt"]["id"].as_str()?.to_owned())).collect()
}

/// Every feed was read to its end at least once since the start.
fn wait_read(park: &Park) {
    park.venue
        .wait_status("every feed of Lime's is read", LONG, |status| FEEDS.iter().all(|name| !status["feeds"][name]["last_read_boot_ms"].is_null()));
}

#[test]
fn what_a_cashier_sells_is_in_the_journal_once_over_kill_9() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut park = Park::with(Host::Amocrm, "[hub]\nenabled = true\n");
    sell(&park, 3);
    park.venue.start();
    wait_read(&park);
    assert_eq!(receipts(&park), [""; 0], "what was sold before the first reading is not brought up");
    let walked = changes(&park);
    assert!(walked.iter().any(|change| change["told"]["client"]["id"] == "c-1" && change["back_fill"] == true));
    assert!(walked.iter().any(|change| change["told"]["product"]["name"] == "Кафе"));

    let mut sold = sell(&park, 1);
    for _ in 0..6 {
        park.venue.kill();
        park.forget_owners();
        // Three pages, so that a kill may come between two.
        sold.extend(sell(&park, 1_100));
        park.venue.start();
        let enough = chance.u64(0..1_100);
        park.venue.wait_status("some are told", LONG, |status| status["feeds"]["lime.transactions"]["told"].as_u64() >= Some(enough));
    }
    park.venue.wait_status("all are told", LONG, |_| receipts(&park).len() >= sold.len());
    assert_eq!(receipts(&park), sold, "seed {seed}");

    // The list names each by its id, and shows nobody's name.
    let listed = park.venue.output(&["journal", "list", "--what", "receipt", "--limit", "5", "--lang", "en"], 0);
    assert!(listed.contains("receipt") && listed.contains(sold.last().expect("a sale")), "{listed}");

    // Passes and their books are as they were.
    let verified = park.venue.output(&["verify"], 0);
    assert!(verified.contains("OK"), "{verified}");
    // Questions that Lime keeps waiting do not hold up the end.
    wait_read(&park);
    assert_eq!(park.venue.stop().code(), Some(0));
    assert!(!park.venue.log().contains("did not stop in time"), "{}", park.venue.log());
}

#[test]
fn a_feed_in_trouble_is_named_and_delivery_goes_on_without_it() {
    let mut park = Park::with(Host::Amocrm, "[hub]\nenabled = true\n");
    park.set_up_crm();
    let rule = json!({"service": "lime", "method": "GET", "path": "/gw/v1/preorders/changes", "mode": {"kind": "junk", "bytes": 9}});
    park.fault(serde_json::from_value(rule).expect("a rule"));
    park.open();
    let status = park.venue.wait_status("the feed's trouble is seen", LONG, |status| status["feeds"]["lime.preorders"]["link"] == "down");
    assert_eq!(status["feeds"]["lime.preorders"]["error"], "lime/unreadable");
    let problem = status["problems"].as_array().expect("problems").iter().find(|one| one["code"] == "T-501").expect("a problem");
    assert_eq!((&problem["destination"], &problem["visible"]), (&json!("lime.preorders"), &json!(false)));
    let code = park.media("qr").remove(0);
    assert!(park.code(&code, LONG));
    park.venue.wait_status("the pass is delivered", LONG, |status| status["destinations"]["lime"]["delivered"] == 1);
    // The CRM's own record of it comes from this box, and not from the feed.
    let sold = sell(&park, 1);
    park.venue.wait_status("the feed of transactions goes on", LONG, |_| !receipts(&park).is_empty());
    assert_eq!(receipts(&park), sold);
}

#[test]
fn the_books_of_the_played_integration_balance() {
    let played = std::process::Command::new(env!("CARGO_BIN_EXE_limegate")).args(["demo", "--hub"]).output().expect("the demo runs");
    let (told, trouble) = (String::from_utf8_lossy(&played.stdout), String::from_utf8_lossy(&played.stderr));
    assert!(played.status.success() && told.contains("the books balance"), "{told}\n{trouble}");
}
