//! Against the sandbox's amoCRM, which is written from the contract and not from our wire types: nothing lost, nothing doubled, within the limit.

use std::time::Duration;

use limegate::crm::setup::{Mode, State};
use limegate::journal::Destination;
use limegate::status::{Memory, problems};
use sandbox::Host;
use sandbox::faults::{Mode as Fault, Rule};
use serde_json::json;
use tokio::time::sleep;

use crate::seed;
use crate::venue::Venue;

/// How many passes the long scenario takes; `LIMEGATE_PASSES` sets it.
fn passes() -> u32 {
    std::env::var("LIMEGATE_PASSES").ok().and_then(|text| text.parse().ok()).unwrap_or(400)
}

const BOTH: [Destination; 2] = Destination::ALL;

#[tokio::test(start_paused = true)]
async fn setup_is_the_same_for_ever_after() {
    let venue = Venue::new(seed()).await;
    for mode in [Mode::Plan, Mode::Apply, Mode::Plan] {
        let plan = venue.set_up(mode).await;
        assert!(plan.items.iter().all(|item| item.state == State::Present), "{}", plan.table(limegate::config::Language::En));
    }
    let state = venue.site.lock().unwrap().state(Host::Amocrm);
    assert_eq!(state["limits"]["breaches"], json!(0));
}

#[tokio::test(start_paused = true)]
async fn passes_become_leads_of_contacts_with_a_card_that_is_up_to_date() {
    let mut venue = Venue::new(seed()).await;
    let running = venue.start();
    for _ in 0..60 {
        venue.pass().await;
        sleep(Duration::from_millis(300)).await;
    }
    venue.drained(&BOTH, 60).await;
    running.stop().await;
    let books = venue.books().await;
    books.balance();
    let leads = books.state["leads"].as_array().unwrap();
    let contacts = books.state["contacts"].as_array().unwrap();
    assert!(leads.iter().all(|lead| lead["fields"]["LIME_AT"].is_array() && lead["fields"]["LIME_POINT"].is_array()));
    let linked = leads.iter().filter(|lead| lead["contacts"].as_array().is_some_and(|contacts| contacts.len() == 1)).count();
    assert!(linked > 0 && !contacts.is_empty());
    // Each contact's count and history are those of its leads.
    for contact in contacts {
        let passes = leads.iter().filter(|lead| lead["contacts"][0] == contact["id"]).count();
        let visits: usize = contact["fields"]["LIME_VISITS"][0].as_str().unwrap().parse().unwrap();
        let lines = contact["fields"]["LIME_HISTORY"][0].as_str().unwrap().lines().count();
        assert!(visits >= passes && lines >= passes.min(10), "{contact}");
    }
}

#[tokio::test(start_paused = true)]
async fn passes_through_a_fifth_of_faults_and_restarts_are_neither_lost_nor_doubled() {
    let seed = seed();
    let mut venue = Venue::new(seed).await;
    assert!(venue.site.lock().unwrap().amocrm.switch("limit_per_second", &json!(null)));
    let faults = [
        Fault::DropAfterCommit,
        Fault::DropBeforeCommit,
        Fault::HalfAnswer,
        Fault::BadGateway { committed: true },
        Fault::BadGateway { committed: false },
        Fault::GatewayTimeout { committed: true },
        Fault::LateCommit { ms: 45_000 },
        Fault::Unavailable { retry_after_s: Some(3) },
        Fault::Hang { committed: true },
        Fault::Junk { bytes: 1 << 16 },
    ];
    for (at, mode) in faults.into_iter().enumerate() {
        venue.site.lock().unwrap().faults.set(0, Rule::new(Host::Amocrm, mode).chance(0.02, seed + at as u64));
    }
    venue.site.lock().unwrap().faults.set(0, Rule::new(Host::Amocrm, Fault::IndexLag { ms: 30_000 }));
    let mut running = venue.start();
    for at in 0..passes() {
        venue.pass().await;
        if at % 10 == 0 {
            let pause = venue.chance.u64(0..1_500);
            sleep(Duration::from_millis(pause)).await;
        }
        if venue.chance.u32(0..250) == 0 {
            running.kill().await;
            running = venue.start();
        }
    }
    // Each doubt holds its card for two settle windows, and the cards are the same however many passes there are.
    venue.drained(&BOTH, 14_400 * u64::from(passes().div_ceil(2_500))).await;
    running.stop().await;
    let requests = venue.site.lock().unwrap().log.requests(Host::Amocrm);
    println!("{:.2} requests a pass, faults and all", requests as f64 / f64::from(passes()));
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_comes_late_is_found_and_not_repeated() {
    let mut venue = Venue::new(seed()).await;
    let writes = Rule::new(Host::Amocrm, Fault::LateCommit { ms: 60_000 }).chance(0.5, 3);
    // What comes late would be counted against the second in which it comes.
    assert!(venue.site.lock().unwrap().amocrm.switch("limit_per_second", &json!(null)));
    venue.site.lock().unwrap().faults.set(0, Rule { method: Some("POST".into()), ..writes });
    venue.site.lock().unwrap().faults.set(0, Rule::new(Host::Amocrm, Fault::IndexLag { ms: 50_000 }));
    let running = venue.start();
    for _ in 0..200 {
        venue.pass().await;
        sleep(Duration::from_millis(200)).await;
    }
    venue.drained(&BOTH, 14_400).await;
    running.stop().await;
    venue.books().await.balance();
}

/// What status says of the last sweep: whether it is a problem, and the passes that are doubled and missing.
fn swept(venue: &Venue) -> (bool, Option<(u64, u64)>) {
    let now = venue.hub.snapshot();
    let problem = problems(&now, &Memory::new()).iter().any(|problem| problem.code == "T-204");
    (problem, now.destinations["crm"].swept.map(|swept| (swept.doubled, swept.missing)))
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_comes_too_late_is_found_in_the_night_and_looked_at_until_it_is_mended() {
    let mut venue = Venue::new(seed()).await;
    let late = Rule::new(Host::Amocrm, Fault::LateCommit { ms: 600_000 }).on("POST", "/api/v4/leads").chance(0.3, 3);
    assert!(venue.site.lock().unwrap().amocrm.switch("limit_per_second", &json!(null)));
    let late = venue.site.lock().unwrap().faults.set(0, late);
    let running = venue.start();
    for _ in 0..60 {
        venue.pass().await;
        sleep(Duration::from_secs(2)).await;
    }
    venue.drained(&BOTH, 14_400).await;
    venue.site.lock().unwrap().faults.remove(late);
    running.stop().await;
    let books = venue.books().await;
    assert!(books.lost == 0 && books.leads_doubled > 0, "{} lost, {} doubled", books.lost, books.leads_doubled);
    let doubled = books.leads_doubled as u64;
    let before = venue.site.lock().unwrap().log.requests(Host::Amocrm);

    // It is seven in the morning, and a little later. By day nothing is asked; nobody knows of it yet.
    let sweep = venue.sweep();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(swept(&venue), (false, None));
    assert_eq!(venue.site.lock().unwrap().log.requests(Host::Amocrm), before);
    sleep(Duration::from_secs(22 * 3_600)).await;
    assert_eq!(swept(&venue), (true, Some((doubled, 0))));
    let asked = venue.site.lock().unwrap().log.requests(Host::Amocrm) - before;
    assert!(asked < 60, "{asked} requests");
    sweep.stop().await;

    // A restart knows of it at once. A person deletes the second ones, and the next night finds nothing.
    venue.hub.destination("crm", |state| state.swept = None);
    let sweep = venue.sweep();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(swept(&venue), (true, Some((doubled, 0))));
    for ids in books.state["leads_doubled"]["LIME_EVENT_UID"].as_object().unwrap().values() {
        for id in ids.as_array().unwrap().iter().skip(1) {
            assert!(venue.site.lock().unwrap().amocrm.remove_lead(id.as_u64().unwrap()));
        }
    }
    sleep(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(swept(&venue), (false, Some((0, 0))));
    sweep.stop().await;
    assert_eq!(venue.books().await.leads_doubled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_the_crm_does_not_answer_says_nothing_and_is_tried_again() {
    let mut venue = Venue::new(seed()).await;
    let late = Rule::new(Host::Amocrm, Fault::LateCommit { ms: 600_000 }).on("POST", "/api/v4/leads");
    venue.site.lock().unwrap().faults.set(0, Rule { count: Some(1), ..late });
    let running = venue.start();
    venue.pass().await;
    venue.drained(&BOTH, 3_600).await;
    running.stop().await;
    let down = venue.site.lock().unwrap().faults.set(0, Rule::new(Host::Amocrm, Fault::BadGateway { committed: false }));
    let sweep = venue.sweep();
    sleep(Duration::from_secs(20 * 3_600 + 1_800)).await;
    assert_eq!(swept(&venue), (false, None), "what was not asked is not found");
    venue.site.lock().unwrap().faults.remove(down);
    sleep(Duration::from_secs(1_800)).await;
    assert_eq!(swept(&venue), (true, Some((1, 0))));
    sweep.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_keeps_to_seven_a_second_uses_them_and_costs_few_requests() {
    let mut venue = Venue::new(seed()).await;
    // amoCRM is away while Lime works on.
    let down = venue.site.lock().unwrap().faults.set(0, Rule::new(Host::Amocrm, Fault::Down { how: sandbox::faults::Down::Refuse }));
    let running = venue.start();
    for _ in 0..10_000 {
        venue.pass().await;
    }
    venue.drained(&[Destination::Lime], 3_600).await;
    let (before, from) = (venue.site.lock().unwrap().log.requests(Host::Amocrm), venue.clock.now_ms());
    venue.site.lock().unwrap().faults.remove(down);
    venue.drained(&BOTH, 3_600).await;
    running.stop().await;
    let books = venue.books().await;
    books.balance();
    let requests = venue.site.lock().unwrap().log.requests(Host::Amocrm) - before;
    let most = venue.site.lock().unwrap().log.max_in_a_second(Host::Amocrm);
    let at: Vec<u64> = {
        let site = venue.site.lock().unwrap();
        site.log.calls().filter(|call| call.service == Host::Amocrm && call.at_ms >= from).map(|call| call.at_ms).collect()
    };
    let share = (at.len() - 1) as f64 * 1_000.0 / (7.0 * (at[at.len() - 1] - at[0]) as f64);
    println!("{requests} requests for 10 000 passes, at most {most} in a second, {share:.4} of the allowance");
    assert!(requests <= 500 && most <= 7 && share >= 0.95, "{requests} requests, {most} in a second, {share} of the allowance");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_blocks_us_is_asked_slowly_and_status_says_so() {
    let mut venue = Venue::new(seed()).await;
    let running = venue.start();
    venue.pass().await;
    venue.drained(&BOTH, 60).await;
    let before = venue.site.lock().unwrap().log.requests(Host::Amocrm);
    let blocked = venue.site.lock().unwrap().faults.set(0, Rule::new(Host::Amocrm, Fault::ForbiddenHtml));
    for _ in 0..5 {
        venue.pass().await;
    }
    sleep(Duration::from_secs(3_600)).await;
    let crm = venue.hub.snapshot().destinations["crm"].clone();
    assert_eq!((crm.error.as_deref(), crm.waiting), (Some("amocrm/blocked"), 5));
    let asked = venue.site.lock().unwrap().log.requests(Host::Amocrm) - before;
    assert!(asked <= 80, "{asked} requests in an hour");
    venue.site.lock().unwrap().faults.remove(blocked);
    venue.drained(&BOTH, 3_600).await;
    running.stop().await;
    venue.books().await.balance();
    let keys = venue.store.log().into_iter().filter_map(|entry| match entry.record {
        limegate::journal::Record::Settled(settled) => Some(settled.learned),
        _ => None,
    });
    assert!(keys.flatten().all(|line| line.key.kind.starts_with("amocrm.")));
}
