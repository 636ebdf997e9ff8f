//! Contacts both ways, against the sandbox in virtual time: what a cashier or a manager changes is on the other side a minute later, and does not come back.

use std::time::Duration;

use limegate::config::{CrmKind, Hub, Language};
use limegate::journal::{Destination, LedgerKey, Record, Store};
use sandbox::Host;
use sandbox::faults::{Mode as Fault, Rule};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::hand::config;
use crate::seed;
use crate::venue::{Running, Venue};

/// A card is brought up to date at every moment.
fn always() -> Hub {
    let mut hub = Hub::usual(&CrmKind::AmoCrm(config()), Language::Ru);
    (hub.clients.registration, hub.clients.change, hub.clients.purchase) = (true, true, true);
    hub
}

/// A venue whose box runs the integration, and whose clients were told already.
async fn venue(filters: bool, hub: Hub) -> (Venue, Running) {
    let mut venue = Venue::new(seed()).await;
    venue.site.lock().unwrap().amocrm.switch("filters", &json!(filters));
    venue.integration = Some(hub);
    let running = venue.start();
    settled(&venue).await;
    (venue, running)
}

/// What was done has been told and delivered.
async fn settled(venue: &Venue) {
    sleep(Duration::from_secs(60)).await;
    venue.drained(&[Destination::Crm], 3_600).await;
    sleep(Duration::from_secs(60)).await;
    venue.drained(&[Destination::Crm], 3_600).await;
}

async fn register(venue: &Venue, body: Value) -> String {
    let id = venue.act(Host::Lime, "register", &body)["client_id"].as_str().unwrap().to_owned();
    settled(venue).await;
    id
}

/// The contacts that bear a client's id.
fn contacts(venue: &Venue, client: &str) -> Vec<u64> {
    let state = venue.site.lock().unwrap().state(Host::Amocrm);
    state["contacts_by_key"]["LIME_CLIENT_ID"][client].as_array().into_iter().flatten().map(|id| id.as_u64().unwrap()).collect()
}

fn contact(venue: &Venue, client: &str) -> u64 {
    let all = contacts(venue, client);
    assert_eq!(all.len(), 1, "{client}: {all:?}");
    all[0]
}

/// A contact as amoCRM shows it in its books.
fn card(venue: &Venue, id: u64) -> Value {
    let state = venue.site.lock().unwrap().state(Host::Amocrm);
    state["contacts"].as_array().unwrap().iter().find(|contact| contact["id"] == id).cloned().unwrap_or_default()
}

/// A client as Lime answers.
fn at_lime(venue: &Venue, client: &str) -> Value {
    venue.ask_lime(&format!("/gw/v1/clients/{client}"))
}

/// How many calls there were, and how many writes among those after the first `so_many`.
fn calls(venue: &Venue, so_many: u64) -> (u64, usize) {
    let site = venue.site.lock().unwrap();
    let write = |call: &&sandbox::Call| call.number > so_many && matches!(call.method.as_str(), "PATCH" | "POST") && !call.path.contains(":batch");
    (site.log.calls().last().map_or(0, |call| call.number), site.log.calls().filter(write).count())
}

fn overruled(venue: &Venue, client: &str) -> String {
    venue.store.ledger(&LedgerKey { kind: "hub.overruled".into(), key: client.into() }).unwrap_or_default()
}

const ANNA: &str = "+79991230001";

fn anna() -> Value {
    json!({"last_name": "Котова", "first_name": "Анна", "middle_name": "Петровна", "birth_date": "1990-02-03", "phones": [ANNA]})
}

#[tokio::test(start_paused = true)]
async fn what_a_manager_changes_is_at_lime_and_does_not_come_back_with_and_without_filters() {
    for filters in [true, false] {
        let (venue, running) = venue(filters, always()).await;
        let anna = register(&venue, anna()).await;
        let id = contact(&venue, &anna);
        assert_eq!(card(&venue, id)["name"], "Анна Петровна Котова");
        // The whole card as a manager sends it: one phone more, another name, an address.
        let change = json!({"id": id, "first_name": "Аня Петровна", "phones": ["8 (999) 123-00-01", "+79991230002"], "emails": ["anya@example.org"]});
        venue.act(Host::Amocrm, "contact", &change);
        settled(&venue).await;
        let shown = at_lime(&venue, &anna);
        assert_eq!((&shown["first_name"], &shown["middle_name"]), (&json!("Аня"), &json!("Петровна")), "{shown}");
        assert_eq!((&shown["phones"], &shown["emails"]), (&json!([ANNA, "+79991230002"]), &json!(["anya@example.org"])));
        let (so_many, _) = calls(&venue, 0);
        settled(&venue).await;
        assert_eq!(calls(&venue, so_many).1, 0, "our own writes are no news");
        assert_eq!(card(&venue, id)["fields"]["PHONE"][0], "8 (999) 123-00-01", "a phone stays as people spelled it");
        running.stop().await;
        assert!(venue.books().await.dead == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_cashier_changes_is_in_the_contact_and_what_is_cleared_is_cleared() {
    let (venue, running) = venue(true, always()).await;
    let anna = register(&venue, anna()).await;
    let id = contact(&venue, &anna);
    venue.act(Host::Lime, "change", &json!({"client_id": anna, "last_name": "Белова", "phones": [ANNA, "+79991230003"], "birth_date": "1991-02-03"}));
    settled(&venue).await;
    let shown = card(&venue, id);
    assert_eq!(shown["name"], "Анна Петровна Белова");
    assert_eq!(shown["fields"]["PHONE"], json!([ANNA, "+79991230003"]));
    // A manager takes a phone away: it goes at Lime, too.
    venue.act(Host::Amocrm, "contact", &json!({"id": id, "phones": ["+79991230003"]}));
    settled(&venue).await;
    assert_eq!(at_lime(&venue, &anna)["phones"], json!(["+79991230003"]));
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn where_both_changed_a_field_the_newer_stands_and_the_other_is_recorded() {
    let (venue, running) = venue(true, always()).await;
    let anna = register(&venue, anna()).await;
    let id = contact(&venue, &anna);
    running.stop().await;
    venue.act(Host::Amocrm, "contact", &json!({"id": id, "last_name": "Чернова"}));
    sleep(Duration::from_secs(90)).await;
    venue.act(Host::Lime, "change", &json!({"client_id": anna, "last_name": "Белова"}));
    let mut venue = venue;
    let running = venue.start();
    settled(&venue).await;
    running.stop().await;
    assert_eq!((card(&venue, id)["name"].clone(), at_lime(&venue, &anna)["last_name"].clone()), (json!("Анна Петровна Белова"), json!("Белова")));
    assert!(overruled(&venue, &anna).contains("Чернова"), "what gave way is kept");
}

#[tokio::test(start_paused = true)]
async fn a_contact_that_was_merged_into_another_is_followed() {
    let (venue, running) = venue(true, always()).await;
    let anna = register(&venue, anna()).await;
    let first = contact(&venue, &anna);
    let mine = venue.act(Host::Amocrm, "contact", &json!({"first_name": "Анечка", "phones": ["+79991230007"]}))["id"].as_u64().unwrap();
    venue.act(Host::Amocrm, "merge", &json!({"kind": "contacts", "into": mine, "from": first}));
    settled(&venue).await;
    venue.act(Host::Lime, "change", &json!({"client_id": anna, "birth_date": "1992-02-03"}));
    settled(&venue).await;
    assert_eq!(contact(&venue, &anna), mine);
    let phones = at_lime(&venue, &anna)["phones"].clone();
    assert!(phones.as_array().unwrap().contains(&json!("+79991230007")), "the phones of both are the client's: {phones}");
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn a_contact_that_was_deleted_is_made_anew_when_lime_tells_of_its_client_and_not_before() {
    let (venue, running) = venue(true, always()).await;
    let anna = register(&venue, anna()).await;
    let first = contact(&venue, &anna);
    venue.act(Host::Amocrm, "delete", &json!({"kind": "contacts", "id": first}));
    settled(&venue).await;
    assert!(contacts(&venue, &anna).is_empty(), "whoever deleted it knew why");
    venue.act(Host::Lime, "change", &json!({"client_id": anna, "first_name": "Аня"}));
    settled(&venue).await;
    assert_ne!(contact(&venue, &anna), first);
    assert_eq!(at_lime(&venue, &anna)["phones"], json!([ANNA]), "nothing of the client's was taken for cleared");
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn a_client_who_is_deleted_at_lime_leaves_a_contact_with_a_tag() {
    let (venue, running) = venue(true, always()).await;
    let anna = register(&venue, anna()).await;
    let id = contact(&venue, &anna);
    venue.act(Host::Lime, "delete", &json!({ "client_id": anna }));
    settled(&venue).await;
    let tagged = venue.act(Host::Amocrm, "contact", &json!({ "id": id }));
    let tags: Vec<&str> = tagged["_embedded"]["tags"].as_array().unwrap().iter().filter_map(|tag| tag["name"].as_str()).collect();
    assert_eq!(tags, ["лайм", "удалён в Лайме"]);
    settled(&venue).await;
    assert_eq!(card(&venue, id)["fields"]["PHONE"], json!([ANNA]), "and nothing else changes");
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn two_clients_with_one_phone_are_two_contacts_and_an_edit_of_one_is_that_ones() {
    let (venue, running) = venue(true, always()).await;
    let anna = register(&venue, anna()).await;
    let ivan = register(&venue, json!({"last_name": "Котов", "first_name": "Иван", "phones": [ANNA]})).await;
    let (hers, his) = (contact(&venue, &anna), contact(&venue, &ivan));
    assert_ne!(hers, his);
    venue.act(Host::Amocrm, "contact", &json!({"id": his, "first_name": "Ваня"}));
    settled(&venue).await;
    assert_eq!((at_lime(&venue, &ivan)["first_name"].clone(), at_lime(&venue, &anna)["first_name"].clone()), (json!("Ваня"), json!("Анна")));
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn a_child_is_in_the_parents_card_and_gets_a_contact_when_they_grow_up() {
    let (venue, running) = venue(true, always()).await;
    let body =
        json!({"last_name": "Котова", "first_name": "Анна", "phones": [ANNA], "children": [{"first_name": "Лев", "birth_date": "2010-05-06"}]});
    let made = venue.act(Host::Lime, "register", &body);
    let (anna, lev) = (made["client_id"].as_str().unwrap(), made["children"][0].as_str().unwrap());
    settled(&venue).await;
    assert!(card(&venue, contact(&venue, anna))["fields"]["LIME_CHILDREN"][0].as_str().unwrap().starts_with("Лев — 06.05.2010"));
    assert!(contacts(&venue, lev).is_empty(), "a child is no contact of their own");
    venue.act(Host::Lime, "change", &json!({"client_id": lev, "category": "adult", "phones": ["+79991230009"]}));
    settled(&venue).await;
    let own = card(&venue, contact(&venue, lev));
    assert_eq!((&own["fields"]["PHONE"], &own["fields"]["LIME_CATEGORY"]), (&json!(["+79991230009"]), &json!(["Взрослый"])), "{own}");
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn a_changed_card_is_on_the_contact_and_the_old_one_is_not() {
    let (venue, running) = venue(true, always()).await;
    let mut body = anna();
    body["cards"] = json!(["AA00BB11"]);
    let anna = register(&venue, body).await;
    let id = contact(&venue, &anna);
    assert_eq!(card(&venue, id)["fields"]["LIME_CARD"], json!(["••BB11"]));
    venue.act(Host::Lime, "card", &json!({"client_id": anna, "uid": "CC22DD33"}));
    settled(&venue).await;
    assert_eq!(card(&venue, id)["fields"]["LIME_CARD"], json!(["••DD33"]));
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn a_contact_that_nobody_has_at_lime_is_left_alone_until_its_client_comes() {
    let (venue, running) = venue(true, always()).await;
    let mine = venue.act(Host::Amocrm, "contact", &json!({"first_name": "Анечка", "phones": ["8 999 123-00-01"]}))["id"].as_u64().unwrap();
    settled(&venue).await;
    let told = |venue: &Venue| {
        venue
            .store
            .log()
            .iter()
            .filter(|entry| matches!(&entry.record, Record::Change(change) if matches!(&change.told, limegate::domain::Told::Contact { .. })))
            .count()
    };
    assert_eq!(told(&venue), 0);
    let anna = register(&venue, anna()).await;
    assert_eq!(contact(&venue, &anna), mine, "found by phone");
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn with_passes_alone_a_card_is_not_made_for_a_registration_but_a_known_contact_goes_both_ways() {
    let hub = Hub::usual(&CrmKind::AmoCrm(config()), Language::Ru);
    let (mut venue, running) = venue(true, hub).await;
    let anna = register(&venue, anna()).await;
    assert!(contacts(&venue, &anna).is_empty());
    venue.pass().await;
    settled(&venue).await;
    let state = venue.site.lock().unwrap().state(Host::Amocrm);
    let guest = state["contacts"][0]["fields"]["LIME_CLIENT_ID"][0].as_str().unwrap().to_owned();
    let id = contact(&venue, &guest);
    venue.act(Host::Lime, "change", &json!({"client_id": guest, "first_name": "Другая"}));
    settled(&venue).await;
    assert!(card(&venue, id)["name"].as_str().unwrap().starts_with("Другая"));
    venue.act(Host::Amocrm, "contact", &json!({"id": id, "first_name": "Третья"}));
    settled(&venue).await;
    assert_eq!(at_lime(&venue, &guest)["first_name"], "Третья");
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn many_changes_cost_few_requests_on_either_side() {
    let many: usize = std::env::var("LIMEGATE_CHANGES").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let (venue, running) = venue(true, always()).await;
    let known: Vec<String> = (0..many)
        .map(|at| {
            let body = json!({"last_name": "Гость", "first_name": format!("Имя{at}"), "phones": [format!("+7998{at:07}")]});
            venue.act(Host::Lime, "register", &body)["client_id"].as_str().unwrap().to_owned()
        })
        .collect();
    settled(&venue).await;
    let requests = |venue: &Venue| {
        let site = venue.site.lock().unwrap();
        (site.log.requests(Host::Amocrm), site.log.requests(Host::Lime))
    };
    let since = |venue: &Venue, before: (u64, u64)| {
        let now = requests(venue);
        (now.0 - before.0, now.1 - before.1)
    };
    let before = requests(&venue);
    settled(&venue).await;
    let idle = since(&venue, before);
    let before = requests(&venue);
    for client in &known {
        venue.act(Host::Lime, "change", &json!({"client_id": client, "last_name": "Новый"}));
    }
    settled(&venue).await;
    let to_crm = since(&venue, before);
    let before = requests(&venue);
    let state = venue.site.lock().unwrap().state(Host::Amocrm);
    let by_client = &state["contacts_by_key"]["LIME_CLIENT_ID"];
    for client in &known {
        let id = by_client[client][0].as_u64().unwrap();
        venue.act(Host::Amocrm, "contact", &json!({"id": id, "last_name": "Старый"}));
    }
    settled(&venue).await;
    let to_lime = since(&venue, before);
    println!("requests to amoCRM and to Lime: idle {idle:?}, {many} clients changed {to_crm:?}, {many} contacts changed {to_lime:?}");
    assert!(known.iter().all(|client| at_lime(&venue, client)["last_name"] == "Старый"));
    let most = 40 + many as u64 / 10;
    assert!(to_crm.0 <= most && to_lime.0 <= most, "amoCRM takes seven a second");
    running.stop().await;
    venue.books().await.balance();
}

#[tokio::test(start_paused = true)]
async fn edits_on_both_sides_converge_through_faults_and_restarts() {
    let seed = seed();
    let (mut venue, mut running) = venue(seed.is_multiple_of(2), always()).await;
    assert!(venue.site.lock().unwrap().amocrm.switch("limit_per_second", &json!(null)));
    let mut guests = Vec::new();
    for at in 0..6 {
        guests.push(register(&venue, json!({"last_name": format!("Гость{at}"), "first_name": "А", "phones": [format!("+7997000000{at}")]})).await);
    }
    let ids: Vec<u64> = guests.iter().map(|client| contact(&venue, client)).collect();
    let faults = [Fault::DropAfterCommit, Fault::DropBeforeCommit, Fault::HalfAnswer, Fault::BadGateway { committed: true }];
    for (at, mode) in faults.into_iter().enumerate() {
        for host in [Host::Amocrm, Host::Lime] {
            venue.site.lock().unwrap().faults.set(0, Rule::new(host, mode.clone()).chance(0.05, seed + at as u64));
        }
    }
    for step in 0..60 {
        let which = venue.chance.usize(..guests.len());
        let word = format!("Слово{step}");
        let field = ["first_name", "last_name"][venue.chance.usize(..2)];
        let phones: Vec<String> = (0..venue.chance.u32(1..4)).map(|_| format!("+7997{:07}", venue.chance.u32(..50))).collect();
        let phones_too = venue.chance.u32(..3) == 0;
        let mut body = json!({ field: word });
        if phones_too {
            body["phones"] = json!(phones);
        }
        if venue.chance.bool() {
            body["client_id"] = json!(guests[which]);
            venue.act(Host::Lime, "change", &body);
        } else {
            body["id"] = json!(ids[which]);
            venue.act(Host::Amocrm, "contact", &body);
        }
        sleep(Duration::from_secs(venue.chance.u64(0..30))).await;
        if venue.chance.u32(..15) == 0 {
            running.kill().await;
            running = venue.start();
        }
    }
    venue.site.lock().unwrap().faults.clear();
    for _ in 0..4 {
        settled(&venue).await;
    }
    for (client, id) in guests.iter().zip(ids) {
        let (at_lime, at_crm) = (at_lime(&venue, client), card(&venue, id));
        let name = format!("{} {}", at_lime["first_name"].as_str().unwrap_or_default(), at_lime["last_name"].as_str().unwrap_or_default());
        assert_eq!(at_crm["name"], name, "{client}");
        let set = |value: &Value| {
            let mut all: Vec<String> = value.as_array().into_iter().flatten().map(|phone| phone.as_str().unwrap().to_owned()).collect();
            all.sort();
            // A phone that somebody typed in twice is one phone.
            all.dedup();
            all
        };
        assert_eq!(set(&at_lime["phones"]), set(&at_crm["fields"]["PHONE"]), "{client}");
    }
    running.stop().await;
    let books = venue.books().await;
    assert_eq!((books.dead, books.contacts_doubled), (0, 0));
}
