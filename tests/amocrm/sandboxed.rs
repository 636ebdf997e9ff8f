//! Against the sandbox's amoCRM, which is written from the contract and not from our wire types: nothing lost, nothing doubled, within the limit.

use std::time::Duration;

use limegate::crm::setup::{Mode, State};
use limegate::journal::Destination;
use sandbox::Host;
use sandbox::faults::{Mode as Fault, Rule};
use serde_json::json;
use tokio::time::sleep;

use crate::seed;
use crate::venue::Venue;

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
    assert!(leads.iter().all(|lead| lead["status_id"] == json!(142) && lead["fields"]["LIME_AT"].is_array()));
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
async fn five_thousand_passes_through_a_fifth_of_faults_and_restarts_are_neither_lost_nor_doubled() {
    let seed = seed();
    let mut venue = Venue::new(seed).await;
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
    for at in 0..5_000 {
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
    venue.drained(&BOTH, 14_400).await;
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_comes_late_is_found_and_not_repeated() {
    let mut venue = Venue::new(seed()).await;
    let writes = Rule::new(Host::Amocrm, Fault::LateCommit { ms: 60_000 }).chance(0.5, 3);
    venue.site.lock().unwrap().faults.set(0, Rule { method: Some("POST".into()), ..writes });
    venue.site.lock().unwrap().faults.set(0, Rule::new(Host::Amocrm, Fault::IndexLag { ms: 50_000 }));
    let running = venue.start();
    for _ in 0..500 {
        venue.pass().await;
        sleep(Duration::from_millis(200)).await;
    }
    venue.drained(&BOTH, 14_400).await;
    running.stop().await;
    venue.books().await.balance();
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
    let before = venue.site.lock().unwrap().log.requests(Host::Amocrm);
    venue.site.lock().unwrap().faults.remove(down);
    venue.drained(&BOTH, 3_600).await;
    running.stop().await;
    let books = venue.books().await;
    books.balance();
    let requests = venue.site.lock().unwrap().log.requests(Host::Amocrm) - before;
    let most = venue.site.lock().unwrap().log.max_in_a_second(Host::Amocrm);
    println!("{requests} requests for 10 000 passes, at most {most} in a second");
    assert!(requests <= 500 && most <= 7, "{requests} requests, {most} in a second");
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_somebody_deletes_holds_the_passes_and_says_so_until_it_is_back() {
    let mut venue = Venue::new(seed()).await;
    let running = venue.start();
    venue.pass().await;
    venue.drained(&BOTH, 60).await;
    // Every lead is refused for its stage, as when it was deleted.
    let refuse = Rule::new(Host::Amocrm, Fault::ForbiddenHtml).times(3);
    venue.site.lock().unwrap().faults.set(0, refuse);
    for _ in 0..5 {
        venue.pass().await;
    }
    sleep(Duration::from_secs(30)).await;
    let crm = venue.hub.snapshot().destinations["crm"].clone();
    assert_eq!((crm.error.as_deref(), crm.waiting), (Some("amocrm/blocked"), 5));
    venue.drained(&BOTH, 3_600).await;
    running.stop().await;
    venue.books().await.balance();
}
