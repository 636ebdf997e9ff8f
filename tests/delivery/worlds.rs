//! The real couriers against the sandbox's CRMs: a drain in few requests, at the pace that is allowed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use limegate::config::{AmoAuth, AmoCrm, Language, SecretSource, StageRef};
use limegate::crm::amocrm::AmoCourier;
use limegate::crm::amocrm::setup::errand;
use limegate::crm::setup::{Ask, Dialogue, Mode};
use limegate::crm::texts::Texts;
use limegate::domain::{Medium, MediumKind, Personal, Secret};
use limegate::http::Bearer;
use sandbox::Host;
use serde_json::Value;
use tokio::time::sleep;

use crate::rig::{Rig, World};
use crate::seed;

/// One card of each of so many guests.
fn guests(rig: &Rig, count: usize) -> Vec<Medium> {
    let mut site = rig.site.lock().unwrap();
    site.lime.add_clients(count);
    let mut seen = BTreeSet::new();
    let cards = site.lime.media().into_iter().filter(|medium| medium.kind == "card_uid" && medium.client_id.is_some());
    let cards = cards.filter(|medium| seen.insert(medium.client_id.clone())).take(count);
    cards.map(|card| Medium { kind: MediumKind::CardUid, value: Personal::new(card.value), raw: None, format: "test".into() }).collect()
}

fn amo() -> (AmoCrm, Texts) {
    let config = AmoCrm {
        url: "https://park.amocrm.ru".into(),
        auth: AmoAuth::Token(SecretSource::Env("T".into())),
        pipeline: StageRef::Name("Проходы".into()),
        stage: StageRef::Name("Прошёл".into()),
    };
    (config, Texts::new(Language::Ru, jiff::tz::TimeZone::get("Europe/Moscow").unwrap()))
}

/// A rig with the sandbox's amoCRM, set up as `limegate crm setup` does.
async fn amo_rig(seed: u64) -> Rig {
    let mut rig = Rig::new(seed);
    let token = Secret::new(rig.site.lock().unwrap().amocrm.long_lived_token());
    let (config, texts) = amo();
    rig.world = World::Sandbox(Host::Amocrm, Arc::new(AmoCourier::new(config.clone(), texts.clone())), Arc::new(Bearer::new(token)));
    let (endpoint, _) = rig.crm_endpoint();
    let mut setup = errand(config, texts, Mode::Apply);
    let mut step = setup.next(None);
    while let Ask::Call(request) = step {
        sleep(Duration::from_millis(500)).await;
        step = setup.next(Some(&endpoint.exchange(request).await.unwrap()));
    }
    assert!(matches!(step, Ask::Done(_)), "the setup failed");
    rig
}

/// Passes without a lead, and leads beyond the first of a pass.
fn amo_books(rig: &Rig) -> (usize, usize) {
    let state = rig.site.lock().unwrap().amocrm.state();
    let fields = state["leads_by_key"].as_object().unwrap();
    let first = rig.made[0].0.to_string();
    let Some(keys) = fields.values().filter_map(Value::as_object).find(|keys| keys.contains_key(&first)) else { return (rig.made.len(), 0) };
    let lost = rig.made.iter().filter(|(id, ..)| !keys.contains_key(&id.to_string())).count();
    (lost, keys.values().map(|ids| ids.as_array().unwrap().len() - 1).sum())
}

/// How much of seven a second was used, from the first request to amoCRM since `from_ms` to the last.
fn share(rig: &Rig, from_ms: u64) -> f64 {
    let site = rig.site.lock().unwrap();
    let at: Vec<u64> = site.log.calls().filter(|call| call.service == Host::Amocrm && call.at_ms >= from_ms).map(|call| call.at_ms).collect();
    (at.len() - 1) as f64 * 1_000.0 / (7.0 * (at[at.len() - 1] - at[0]) as f64)
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_passes_of_two_thousand_guests_drain_into_amocrm_in_few_requests_at_the_pace_that_is_allowed() {
    let mut rig = amo_rig(seed()).await;
    rig.media = guests(&rig, 2_000);
    rig.lime_limit = limegate::delivery::Limit::of(limegate::lime::RATE, limegate::lime::BURST);
    // Once before, so that the guests are known: a drain of strangers costs a search each.
    let running = rig.start();
    for medium in rig.media.clone() {
        rig.pass_of(medium).await;
    }
    rig.drained(7_200).await;
    running.stop().await;
    // Then a long outage.
    for _ in 0..10_000 {
        rig.pass().await;
    }
    sleep(Duration::from_secs(4 * 3_600)).await;
    let requests = |rig: &Rig, host| rig.site.lock().unwrap().log.requests(host);
    let (before, lime_before, from) = (requests(&rig, Host::Amocrm), requests(&rig, Host::Lime), rig.clock.now_ms());
    let running = rig.start();
    rig.drained(7_200).await;
    let seconds = (rig.clock.now_ms() - from) / 1_000;
    running.stop().await;
    let (amo, lime) = (requests(&rig, Host::Amocrm) - before, requests(&rig, Host::Lime) - lime_before);
    let share = share(&rig, from);
    let (a_pass, lime) = (amo as f64 / 1e4, lime as f64 / 1e4);
    println!("drain of 10000 passes of 2000 guests: {a_pass} requests a pass to amoCRM, {lime} to Lime, {seconds} s, {share:.4} of the allowance");
    assert_eq!(amo_books(&rig), (0, 0));
    let most = rig.site.lock().unwrap().log.max_in_a_second(Host::Amocrm);
    assert!(most <= 7, "{most} in a second");
    assert!(amo <= 500, "{amo} requests");
    assert!(share >= 0.95, "{share} of the allowance");
}
