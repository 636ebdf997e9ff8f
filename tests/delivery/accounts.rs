//! Venues whose CRM is one of the sandbox's, set up as `limegate crm setup` does it, and the drain after a long outage.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use limegate::config::{AmoAuth, AmoCrm, Bitrix24, BitrixAuth, Language, PassesAs, SecretSource, StageRef};
use limegate::crm::amocrm::AmoCourier;
use limegate::crm::bitrix24::Bitrix24Courier;
use limegate::crm::bitrix24::auth::Webhook;
use limegate::crm::setup::{Ask, Dialogue, Mode};
use limegate::crm::texts::Texts;
use limegate::crm::{amocrm, bitrix24};
use limegate::delivery::Limit;
use limegate::domain::{Medium, MediumKind, Personal, Secret};
use limegate::http::Bearer;
use limegate::journal::{Destination, Store};
use sandbox::Host;
use sandbox::faults::{Down, Mode as Fault, Rule};
use serde_json::Value;
use tokio::time::sleep;

use crate::rig::{Rig, World};

/// Who was away while the passes came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Away {
    /// Lime as well: it hears of each pass just before the CRM does.
    Both,
    /// Only the CRM: Lime has all passes before the drain begins.
    Crm,
}

/// What a drain took.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    pub to_crm: u64,
    pub to_lime: u64,
    /// Of virtual time.
    pub seconds: f64,
    /// When it began, on the rig's clock.
    #[allow(dead_code, reason = "the benches count the whole drain")]
    pub from_ms: u64,
}

/// One card of each of so many guests.
fn guests(rig: &Rig, count: usize) -> Vec<Medium> {
    let mut site = rig.site.lock().unwrap();
    site.lime.add_clients(count);
    let mut seen = BTreeSet::new();
    let cards = site.lime.media().into_iter().filter(|medium| medium.kind == "card_uid" && medium.client_id.is_some());
    let cards = cards.filter(|medium| seen.insert(medium.client_id.clone())).take(count);
    cards.map(|card| Medium { kind: MediumKind::CardUid, value: Personal::new(card.value), raw: None, format: "test".into() }).collect()
}

async fn set_up(rig: &mut Rig, mut errand: impl Dialogue) {
    let (endpoint, _) = rig.crm_endpoint();
    let mut step = errand.next(None);
    while let Ask::Call(request) = step {
        sleep(Duration::from_millis(500)).await;
        step = errand.next(Some(&endpoint.exchange(request).await.unwrap()));
    }
    assert!(matches!(step, Ask::Done(_)), "the setup failed");
}

/// With amoCRM, a lead a pass.
pub async fn with_amocrm(seed: u64) -> Rig {
    let mut rig = Rig::new(seed);
    let token = Secret::new(rig.site.lock().unwrap().amocrm.long_lived_token());
    let config = AmoCrm {
        url: "https://park.amocrm.ru".into(),
        auth: AmoAuth::Token(SecretSource::Env("T".into())),
        pipeline: StageRef::Name("Проходы".into()),
        stage: StageRef::Name("Прошёл".into()),
    };
    let texts = Texts::new(Language::Ru, TimeZone::get("Europe/Moscow").unwrap());
    let courier = AmoCourier::new(config.clone(), None, texts.clone());
    rig.world = World::Sandbox(Host::Amocrm, String::new(), Arc::new(courier), Arc::new(Bearer::new(token)));
    set_up(&mut rig, amocrm::setup::errand(config, texts, Mode::Apply)).await;
    rig
}

/// With Bitrix24, through a webhook.
pub async fn with_bitrix24(seed: u64, passes: PassesAs) -> Rig {
    let mut rig = Rig::new(seed);
    (rig.settings.crm_rate, rig.settings.crm_burst) = (2.0, 50);
    let webhook = rig.site.lock().unwrap().bitrix24.webhook();
    let base = webhook.trim_end_matches('/').strip_prefix("https://bitrix24.sandbox").unwrap().to_owned();
    let config = Bitrix24 { auth: BitrixAuth::Webhook(SecretSource::Env("X".to_owned())), passes: passes.clone() };
    let courier = Bitrix24Courier::new(&config, Language::Ru, TimeZone::UTC);
    rig.world = World::Sandbox(Host::Bitrix24, base, Arc::new(courier), Arc::new(Webhook));
    set_up(&mut rig, bitrix24::setup::errand(passes, Texts::new(Language::Ru, TimeZone::UTC), "sandbox".to_owned(), Mode::Apply)).await;
    rig
}

/// Which of the sandbox's CRMs it is.
pub fn host(rig: &Rig) -> Host {
    match rig.world {
        World::Sandbox(host, ..) => host,
        World::Fake => panic!("a CRM of the sandbox"),
    }
}

/// Passes that the CRM lacks, and what it has beyond the first of a pass: leads in amoCRM, lines of the timeline in Bitrix24.
pub fn books(rig: &Rig) -> (usize, usize) {
    let state = rig.site.lock().unwrap().state(host(rig));
    if host(rig) == Host::Bitrix24 {
        let lines = state["timeline"].as_array().unwrap();
        let keys: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()?.lines().last()).collect();
        let once: BTreeSet<&str> = keys.iter().copied().collect();
        return (rig.made.len().saturating_sub(once.len()), keys.len() - once.len());
    }
    let fields = state["leads_by_key"].as_object().unwrap();
    let first = rig.made[0].0.to_string();
    let Some(keys) = fields.values().filter_map(Value::as_object).find(|keys| keys.contains_key(&first)) else { return (rig.made.len(), 0) };
    let lost = rig.made.iter().filter(|(id, ..)| !keys.contains_key(&id.to_string())).count();
    (lost, keys.values().map(|ids| ids.as_array().unwrap().len() - 1).sum())
}

/// So many passes of so many guests who are known already, stored in an outage of some hours; then everything is there again.
pub async fn drain(rig: &mut Rig, passes: usize, of: usize, away: Away) -> Drained {
    let host = host(rig);
    rig.media = guests(rig, of);
    rig.lime_limit = Limit::of(limegate::lime::RATE, limegate::lime::BURST);
    // Once before: a drain of strangers costs a search each.
    let running = rig.start();
    for medium in rig.media.clone() {
        rig.pass_of(medium).await;
    }
    rig.drained(7_200).await;
    running.stop().await;
    for _ in 0..passes {
        rig.pass().await;
    }
    if away == Away::Crm {
        let now = rig.clock.now_ms();
        let down = rig.site.lock().unwrap().faults.set(now, Rule::new(host, Fault::Down { how: Down::Refuse }));
        let running = rig.start();
        while rig.store.pending_count(Destination::Lime) > 0 {
            sleep(Duration::from_secs(1)).await;
        }
        running.stop().await;
        rig.site.lock().unwrap().faults.remove(down);
    }
    sleep(Duration::from_secs(4 * 3_600)).await;
    let requests = |rig: &Rig, host| rig.site.lock().unwrap().log.requests(host);
    let (crm, lime, from) = (requests(rig, host), requests(rig, Host::Lime), rig.clock.now_ms());
    let running = rig.start();
    rig.drained(7_200).await;
    let seconds = (rig.clock.now_ms() - from) as f64 / 1e3;
    running.stop().await;
    Drained { to_crm: requests(rig, host) - crm, to_lime: requests(rig, Host::Lime) - lime, seconds, from_ms: from }
}
