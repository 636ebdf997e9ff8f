//! The first synchronisation with an account that people have worked in for years: as many requests a client at its end as at its beginning, and the
//! account's limit used. `LIMEGATE_CLIENTS` sets how many families Lime knows.

use std::time::Duration;

use http::{Method, Request};
use limegate::config::{CrmKind, Hub, Language};
use limegate::journal::{Destination, JournalStat, Store};
use limegate::lime::feed::{Kind, Wish};
use sandbox::{Host, What};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::hand::config;
use crate::seed;
use crate::venue::Venue;

/// Contacts that were there before us, none of them known to Lime but every tenth.
const STRANGERS: usize = 1_000;

fn families() -> usize {
    std::env::var("LIMEGATE_CLIENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_300)
}

/// People have typed in contacts for years. Every tenth is a client of Lime's, the phone spelled in the old way.
fn years_of_work(venue: &Venue) {
    let phone_of = |n: usize| venue.ask_lime(&format!("/gw/v1/clients/c-{n}"))["phones"][0].as_str().expect("a phone").to_owned();
    let known: Vec<String> = (1..=STRANGERS / 10).map(|n| phone_of(n + 20)).collect();
    let mut site = venue.site.lock().unwrap();
    let token = site.amocrm.long_lived_token();
    assert!(site.amocrm.switch("limit_per_second", &json!(null)));
    let numbers: Vec<usize> = (1..=STRANGERS).collect();
    for some in numbers.chunks(250) {
        let contact = |number: &usize| {
            let phone = match number % 10 {
                0 => known[number / 10 - 1].replace("+7", "8 "),
                _ => format!("+7495{number:07}"),
            };
            json!({"name": format!("Гость {number}"), "custom_fields_values": [{"field_code": "PHONE", "values": [{"value": phone}]}]})
        };
        let body = Value::Array(some.iter().map(contact).collect()).to_string();
        let request = Request::builder().method(Method::POST).uri("/api/v4/contacts").header("authorization", format!("Bearer {token}"));
        let request = request.body(bytes::Bytes::from(body)).unwrap();
        let What::Whole(answer) = site.call(Host::Amocrm, venue.clock.now_ms(), venue.wall_ms(), request).what else { panic!("no answer") };
        assert!(answer.status().is_success(), "{}", answer.status());
    }
    assert!(site.amocrm.switch("limit_per_second", &json!(7)));
}

/// What a synchronisation of everybody cost.
#[derive(Debug)]
struct Cost {
    /// Requests a job, in the first and the last third of them.
    first: f64,
    last: f64,
    /// The share of the account's limit that was used from the first card on for as long as there was work for all conversations.
    share: f64,
}

/// Jobs in conversations at once, at most.
const UNDER_WAY: u64 = 6 * 250;

async fn synchronise(filters: bool, families: usize) -> Cost {
    let mut venue = Venue::new(seed()).await;
    venue.site.lock().unwrap().amocrm.switch("filters", &json!(filters));
    venue.site.lock().unwrap().lime.add_clients(families);
    years_of_work(&venue);
    let mut hub = Hub::usual(&CrmKind::AmoCrm(config()), Language::Ru);
    (hub.clients.registration, hub.clients.change) = (true, true);
    venue.integration = Some(hub);
    venue.learn(vec![Wish { id: "first".into(), since_ms: None }.learned(Kind::Clients.name())]).await;
    let running = venue.start();
    // When, requests so far, jobs done, jobs that wait.
    let mut course: Vec<(u64, u64, u64, u64)> = Vec::new();
    while venue.store.pending_count(Destination::Crm) > 0 || course.len() < 400 {
        sleep(Duration::from_millis(100)).await;
        assert!(course.len() < 72_000, "not done: {:#?}", venue.hub.snapshot().destinations);
        let requests = venue.site.lock().unwrap().log.requests(Host::Amocrm);
        let done = venue.store.totals(Destination::Crm).confirmed;
        course.push((venue.clock.now_ms(), requests, done, venue.store.pending_count(Destination::Crm)));
    }
    running.stop().await;
    let books = venue.books().await;
    books.balance();
    let bearing = books.state["contacts_by_key"]["LIME_CLIENT_ID"].as_object().unwrap().len();
    assert!(bearing >= families, "{bearing} of {families} families");
    let contacts = books.state["contacts"].as_array().unwrap().len();
    assert_eq!(STRANGERS + bearing - contacts, STRANGERS / 10, "of the contacts that were there are the clients' now");
    let jobs = course.last().unwrap().2;
    let at = |done: u64| course.iter().find(|(.., written, _)| *written >= done).unwrap();
    let cost = |from: u64, until: u64| (until - from) as f64 / (jobs / 3) as f64;
    let (from, until) = (at(1), course.iter().find(|(.., done, waiting)| *done > UNDER_WAY && *waiting <= UNDER_WAY).unwrap());
    let cost = Cost {
        first: cost(course[0].1, at(jobs / 3).1),
        last: cost(at(jobs / 3 * 2).1, at(jobs).1),
        share: (until.1 - from.1) as f64 * 1_000.0 / (7.0 * (until.0 - from.0) as f64),
    };
    println!("filters {filters}: {jobs} jobs, {bearing} contacts, {} requests from {} to {} ms: {cost:?}", until.1 - from.1, from.0, until.0);
    cost
}

#[tokio::test(start_paused = true)]
async fn a_first_synchronisation_costs_at_its_end_what_it_cost_at_its_beginning_and_uses_the_limit() {
    let cost = synchronise(false, families()).await;
    assert!(cost.last <= 0.03 && cost.last <= cost.first && cost.share >= 0.95, "{cost:?}");
}

#[tokio::test(start_paused = true)]
async fn an_account_with_filters_is_synchronised_as_cheaply() {
    let cost = synchronise(true, 400).await;
    assert!(cost.last <= 0.03 && cost.last <= cost.first, "{cost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_walk_over_everybody_waits_while_half_of_the_journal_is_taken_and_then_goes_on() {
    let mut venue = Venue::new(seed()).await;
    *venue.store.stat.lock().unwrap() = JournalStat { budget_bytes: 1_000, unsettled_bytes: 501, ..JournalStat::default() };
    venue.integration = Some(Hub::usual(&CrmKind::AmoCrm(config()), Language::Ru));
    let running = venue.start();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(venue.store.totals(Destination::Crm).made, 0, "passes need the other half");
    venue.store.stat.lock().unwrap().unsettled_bytes = 500;
    sleep(Duration::from_secs(60)).await;
    assert!(venue.store.totals(Destination::Crm).made > 0);
    venue.drained(&[Destination::Crm], 3_600).await;
    running.stop().await;
    venue.books().await.balance();
}
