//! Bookings' deals and Lime's preorders, both ways; with lost answers and restarts.

use std::time::Duration;

use limegate::domain::{Money, Product, ProductKind, Told};
use limegate::journal::{Destination, Store};
use limegate::lime::feed::Kind;
use sandbox::Host;
use sandbox::faults::{Mode, Rule};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::seed;
use super::shop::{Shop, one, rows, usual};

/// As they are in Lime.
fn goods() -> Vec<Product> {
    let product = |id: &str, name: &str, price: i64| Product {
        id: id.to_owned(),
        parent_id: None,
        name: name.to_owned(),
        kind: ProductKind::Goods,
        price: Some(Money { minor: price, currency: "RUB".to_owned() }),
        active: true,
        image_url: None,
        version: 1,
    };
    vec![product("p-3", "Пицца «Маргарита»", 65_000), product("p-4", "Морс, 1 л", 25_000), product("p-5", "День рождения «Стандарт»", 1_500_000)]
}

impl Shop {
    async fn until(&self, what: &str, fits: impl Fn(&Self) -> bool) {
        for round in 0..5_000 {
            if fits(self) {
                return;
            }
            // Some things take a day.
            sleep(Duration::from_millis(if round < 400 { 500 } else { 60_000 })).await;
        }
        panic!(
            "never: {what}; Lime has {:#}, {} left, dead {:?}",
            self.preorders(),
            self.store.pending_count(Destination::Crm),
            self.store.dead(Destination::Crm)
        );
    }

    /// All feeds have had their turn, and nothing is owed.
    async fn settled(&self) {
        sleep(Duration::from_secs(120)).await;
        self.drained().await;
        sleep(Duration::from_secs(60)).await;
        self.drained().await;
    }

    fn lime(&self) -> Value {
        self.site.lock().unwrap().state(Host::Lime)
    }

    fn preorders(&self) -> Value {
        self.lime()["preorders"].clone()
    }

    /// The preorder of a deal.
    fn preorder_of(&self, deal: u64) -> Value {
        let all = self.preorders();
        let reference = json!(format!("b24:deal:{deal}"));
        let found: Vec<&Value> = rows(&all, "").into_iter().filter(|one| one["ref"] == reference).collect();
        assert!(found.len() <= 1, "{found:?}");
        found.first().map_or(Value::Null, |one| (*one).clone())
    }

    fn lines_of(&self, deal: u64) -> Vec<(String, i64)> {
        let preorder = self.preorder_of(deal);
        let lines =
            rows(&preorder, "/lines").into_iter().map(|line| (line["good_type_id"].as_str().unwrap().to_owned(), line["qty"].as_i64().unwrap()));
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    }

    fn funnel(&self) -> u64 {
        one(&self.state(), "/funnels", "name", &json!("Дни рождения"))["id"].as_u64().unwrap()
    }

    fn books(&self, title: &str, contact: &Value) -> u64 {
        let deal = json!({"title": title, "categoryId": self.funnel(), "contactId": contact, "ufCrmLimeEventFrom": "2026-06-01T12:00:00+03:00",
            "ufCrmLimeEventTo": "2026-06-01T14:00:00+03:00", "ufCrmLimeHall": "Зал 1", "ufCrmLimeStaff": "Оля, Ваня"});
        self.act(Host::Bitrix24, "deal", &deal)["id"].as_u64().unwrap()
    }

    fn puts(&self, deal: u64, products: &[(&str, i64)]) {
        let products: Vec<Value> = products.iter().map(|(id, many)| json!({"xml_id": format!("lime:{id}"), "quantity": many})).collect();
        self.act(Host::Bitrix24, "products", &json!({"deal_id": deal, "products": products}));
    }

    fn deal(&self, id: u64) -> Value {
        one(&self.state(), "/deals", "id", &json!(id)).clone()
    }

    fn notes(&self, about: &str) -> Vec<String> {
        let state = self.state();
        rows(&state, "/timeline")
            .into_iter()
            .filter_map(|entry| entry["text"].as_str())
            .filter(|text| text.contains(about))
            .map(str::to_owned)
            .collect()
    }

    fn walk_in(&self, name: &str, phone: &str) -> Value {
        self.act(Host::Bitrix24, "contact", &json!({"name": name, "phones": [phone]}))["id"].clone()
    }
}

async fn ready(hub: limegate::config::Hub) -> Shop {
    let mut shop = Shop::new(seed(), hub);
    for product in goods() {
        shop.tell(Told::Product(product)).await;
    }
    shop.deliver().await;
    shop.lime_feeds = vec![Kind::Preorders];
    shop
}

fn held(lines: &[(&str, i64)]) -> Vec<(String, i64)> {
    lines.iter().map(|(id, many)| ((*id).to_owned(), *many)).collect()
}

#[tokio::test(start_paused = true)]
async fn products_in_a_bookings_deal_become_a_preorder_and_its_changes_follow_until_it_is_given_up() {
    for app in [false, true] {
        let mut shop = ready(usual()).await;
        shop.app = app.then(|| tempfile::tempdir().unwrap());
        let contact = shop.walk_in("Анна", "+79995550101");
        let before = shop.books("Была до нас", &contact);
        shop.puts(before, &[("p-4", 1)]);
        let running = shop.start(true);
        shop.until("the booking that was there", |shop| shop.lines_of(before) == held(&[("p-4", 1)])).await;
        let deal = shop.books("День рождения Пети", &contact);
        shop.puts(deal, &[("p-3", 2), ("p-5", 1)]);
        shop.until("a preorder", |shop| shop.lines_of(deal) == held(&[("p-3", 2), ("p-5", 1)])).await;
        shop.settled().await;
        let preorder = shop.preorder_of(deal);
        assert_eq!((&preorder["total"], &preorder["revision"]), (&json!(1_630_000), &json!(1)), "{preorder}");
        assert_eq!((&preorder["contact"]["phone"], &preorder["event"]["room"]), (&json!("+79995550101"), &json!("Зал 1")));
        assert_eq!(shop.deal(deal)["ufCrmLimePreorder"], preorder["id"]);
        let about = preorder["id"].as_str().unwrap().to_owned();
        assert_eq!(shop.notes(&format!("{about}, стоимость 16\u{a0}300,00")).len(), 1, "{:?}", shop.notes("Лайм"));

        shop.puts(deal, &[("p-3", 3)]);
        shop.until("three pizzas", |shop| shop.lines_of(deal) == held(&[("p-3", 3), ("p-5", 1)])).await;
        shop.act(Host::Bitrix24, "deal", &json!({"id": deal, "title": "ДР Пети", "comments": "торт свой"}));
        shop.settled().await;
        assert_eq!(shop.preorder_of(deal)["revision"], 2, "a name and a remark are no content");
        shop.act(Host::Bitrix24, "deal", &json!({"id": deal, "stageId": format!("C{}:LOSE", shop.funnel())}));
        shop.until("it is cancelled", |shop| shop.preorder_of(deal)["status"] == "cancelled").await;
        running.stop().await;
        // By webhook it is missed within a day.
        shop.lime_feeds.clear();
        shop.hub.poll = Duration::from_secs(1_800);
        let running = shop.start(true);
        shop.settled().await;
        shop.act(Host::Bitrix24, "delete", &json!({"kind": "deal", "id": before}));
        shop.until("the deleted one is cancelled, too", |shop| shop.preorder_of(before)["status"] == "cancelled").await;
        running.stop().await;
        assert_eq!((rows(&shop.preorders(), "").len(), shop.store.dead(Destination::Crm).len()), (2, 0));
        assert_eq!(shop.state()["timeline_doubled"], json!([]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_booking_that_is_moved_to_another_pipeline_and_given_up_there_cancels_its_preorder() {
    for app in [false, true] {
        let mut shop = ready(usual()).await;
        shop.app = app.then(|| tempfile::tempdir().unwrap());
        let contact = shop.walk_in("Анна", "+79995550101");
        let running = shop.start(true);
        let deal = shop.books("День рождения Пети", &contact);
        let other = shop.books("Чужая", &contact);
        shop.puts(deal, &[("p-3", 2)]);
        shop.until("a preorder", |shop| shop.lines_of(deal) == held(&[("p-3", 2)])).await;
        shop.settled().await;
        for moved in [deal, other] {
            shop.act(Host::Bitrix24, "deal", &json!({"id": moved, "categoryId": 0, "stageId": "NEW"}));
        }
        shop.settled().await;
        assert_eq!(shop.preorder_of(deal)["status"], "confirmed", "moved is not given up");
        // A deal without a preorder is none of ours once it is elsewhere.
        shop.puts(other, &[("p-3", 1)]);
        shop.act(Host::Bitrix24, "deal", &json!({"id": deal, "stageId": "LOSE"}));
        shop.until("it is cancelled", |shop| shop.preorder_of(deal)["status"] == "cancelled").await;
        shop.settled().await;
        running.stop().await;
        assert_eq!((rows(&shop.preorders(), "").len(), shop.store.dead(Destination::Crm).len()), (1, 0), "by queue: {app}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_preorder_made_in_lime_becomes_a_deal_that_goes_back_only_when_a_person_changes_it() {
    let mut hub = usual();
    hub.preorders.to_crm = true;
    let mut shop = ready(hub).await;
    let contact = shop.walk_in("Анна", "8 (999) 555-01-01");
    let running = shop.start(true);
    let made = shop.act(
        Host::Lime,
        "preorder",
        &json!({"contact": {"name": "Анна", "phone": "+79995550101"}, "status": "confirmed", "lines": [{"good_type_id": "p-5", "qty": 1}],
            "event": {"title": "День рождения Оли", "starts_at": "2026-06-01T12:00:00+03:00", "ends_at": "2026-06-01T14:00:00+03:00", "room": "Зал 2", "staff": ["Оля"]}}),
    );
    let id = made["preorder_id"].as_str().unwrap().to_owned();
    shop.until("the preorder names its deal", |shop| shop.preorders()[&id]["ref"].is_string()).await;
    let state = shop.state();
    let deal = one(&state, "/deals", "originId", &json!(format!("preorder:{id}"))).clone();
    let number = deal["id"].as_u64().unwrap();
    assert_eq!((&deal["opportunity"], &deal["contactId"], &deal["title"]), (&json!(15_000.0), &contact, &json!("День рождения Оли")));
    assert_eq!(
        (&deal["ufCrmLimeHall"], &deal["ufCrmLimePreorder"], &deal["stageId"]),
        (&json!("Зал 2"), &json!(id), &json!(format!("C{}:NEW", shop.funnel())))
    );
    shop.settled().await;
    assert_eq!(shop.preorders()[&id]["revision"], 1, "our own deal is not sent back: {}", shop.preorders());

    shop.act(Host::Lime, "preorder", &json!({"id": id, "lines": [{"good_type_id": "p-5", "qty": 1}, {"good_type_id": "p-3", "qty": 2}]}));
    shop.until("Lime's change is in the deal", |shop| shop.deal(number)["opportunity"] == 16_300.0).await;
    shop.settled().await;
    assert_eq!(shop.preorders()[&id]["revision"], 1);
    shop.puts(number, &[("p-4", 4)]);
    shop.until("a manager's change is in Lime", |shop| shop.lines_of(number) == held(&[("p-3", 2), ("p-4", 4), ("p-5", 1)])).await;
    shop.act(Host::Lime, "preorder", &json!({"id": id, "status": "cancelled"}));
    shop.until("the deal is given up", |shop| shop.deal(number)["stageId"] == format!("C{}:LOSE", shop.funnel())).await;
    running.stop().await;
    assert_eq!((rows(&shop.state(), "/deals").len(), shop.store.dead(Destination::Crm).len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_cashier_changes_before_the_preorder_has_its_reference_reaches_the_deal() {
    let mut hub = usual();
    hub.preorders.to_crm = true;
    let mut shop = ready(hub).await;
    let body = json!({"contact": {"name": "Анна", "phone": "+79995550101"}, "status": "confirmed", "lines": [{"good_type_id": "p-5", "qty": 1}]});
    // The deal is made; its reference does not come through to Lime.
    let rule = Rule { path: Some("by-ref".to_owned()), ..Rule::new(Host::Lime, Mode::DropBeforeCommit) };
    let now = shop.clock.now_ms();
    shop.site.lock().unwrap().faults.set(now, rule);
    let running = shop.start(true);
    let id = shop.act(Host::Lime, "preorder", &body)["preorder_id"].as_str().unwrap().to_owned();
    shop.until("a deal", |shop| !rows(&shop.state(), "/deals").is_empty()).await;
    shop.act(Host::Lime, "preorder", &json!({"id": id, "lines": [{"good_type_id": "p-5", "qty": 1}, {"good_type_id": "p-3", "qty": 2}]}));
    shop.site.lock().unwrap().faults.clear();
    shop.until("the preorder names its deal", |shop| shop.preorders()[&id]["ref"].is_string()).await;
    shop.settled().await;
    running.stop().await;
    let deal = one(&shop.state(), "/deals", "originId", &json!(format!("preorder:{id}"))).clone();
    assert_eq!(deal["opportunity"], json!(16_300.0), "the cashier's pizzas are in the deal");
    assert_eq!((&shop.preorders()[&id]["total"], shop.store.dead(Destination::Crm).len()), (&json!(1_630_000), 0));
}

#[tokio::test(start_paused = true)]
async fn a_booking_of_nobody_is_said_once_in_its_deal_whatever_is_lost() {
    for mode in [None, Some(Mode::DropAfterCommit), Some(Mode::DropBeforeCommit), Some(Mode::HalfAnswer)] {
        let mut shop = ready(usual()).await;
        let rule = mode.clone().map(|mode| Rule { body: Some("logmessage.add".to_owned()), count: Some(1), ..Rule::new(Host::Bitrix24, mode) });
        let now = shop.clock.now_ms();
        if let Some(rule) = rule {
            shop.site.lock().unwrap().faults.set(now, rule);
        }
        let running = shop.start(true);
        let deal = shop.books("Праздник", &Value::Null);
        shop.puts(deal, &[("p-3", 2)]);
        shop.until("a letter", |shop| !shop.store.dead(Destination::Crm).is_empty()).await;
        shop.settled().await;
        shop.puts(deal, &[("p-3", 3)]);
        shop.settled().await;
        let letters: Vec<String> = shop.store.dead(Destination::Crm).into_iter().map(|letter| letter.reason).collect();
        assert_eq!((letters, shop.notes("нет контакта").len()), (vec!["lime/nobody".to_owned()], 1), "{mode:?}");
        // With somebody it goes.
        let contact = shop.walk_in("Анна", "+79995550101");
        shop.act(Host::Bitrix24, "deal", &json!({"id": deal, "contactId": contact}));
        shop.until("a preorder", |shop| shop.lines_of(deal) == held(&[("p-3", 3)])).await;
        shop.settled().await;
        running.stop().await;
        assert_eq!((shop.store.dead(Destination::Crm).len(), shop.notes("Лайм").len()), (1, 2), "{mode:?}: {:?}", shop.notes("Лайм"));
    }
}

#[tokio::test(start_paused = true)]
async fn where_both_changed_the_deal_counts_and_staff_read_what_stood_in_lime() {
    let mut hub = usual();
    hub.preorders.to_crm = true;
    let mut shop = ready(hub).await;
    let contact = shop.walk_in("Анна", "+79995550101");
    let running = shop.start(true);
    let deal = shop.books("День рождения Пети", &contact);
    shop.puts(deal, &[("p-5", 1)]);
    shop.until("a preorder", |shop| shop.lines_of(deal) == held(&[("p-5", 1)])).await;
    shop.settled().await;
    running.stop().await;
    // Both change while the box is away.
    let id = shop.preorder_of(deal)["id"].clone();
    shop.act(Host::Lime, "preorder", &json!({"id": id, "lines": [{"good_type_id": "p-4", "qty": 9}]}));
    shop.puts(deal, &[("p-3", 2)]);
    let running = shop.start(true);
    shop.until("the deal counts", |shop| shop.lines_of(deal) == held(&[("p-3", 2), ("p-5", 1)])).await;
    shop.settled().await;
    running.stop().await;
    assert_eq!(shop.lines_of(deal), held(&[("p-3", 2), ("p-5", 1)]));
    let notes = shop.notes("Морс, 1 л ×9");
    assert!(notes.len() == 1 || !shop.notes("изменили в Лайме").is_empty(), "staff were told: {:?}", shop.notes("Лайм"));
}

#[tokio::test(start_paused = true)]
async fn lost_answers_and_restarts_leave_each_booking_and_its_preorder_alike_and_write_no_note_twice() {
    let mut hub = usual();
    hub.preorders.to_crm = true;
    let mut shop = ready(hub).await;
    let contact = shop.walk_in("Анна", "+79995550101");
    shop.misbehave(0.03);
    let mut running = shop.start(true);
    let mut deals = Vec::new();
    for n in 0..8_i64 {
        let deal = shop.books(&format!("Праздник {n}"), &contact);
        shop.puts(deal, &[("p-3", n + 1), ("p-5", 1)]);
        deals.push(deal);
        let body =
            json!({"contact": {"name": "Борис", "phone": "+79995550202"}, "status": "confirmed", "lines": [{"good_type_id": "p-4", "qty": n + 1}]});
        shop.act(Host::Lime, "preorder", &body);
        let pause = shop.chance.u64(1..90_000);
        sleep(Duration::from_millis(pause)).await;
        running.kill().await;
        running = shop.start(true);
        let some = deals[shop.chance.usize(0..deals.len())];
        shop.puts(some, &[("p-4", n + 1)]);
    }
    shop.until("all of Lime's have a deal", |shop| {
        rows(&shop.preorders(), "").len() == 16 && rows(&shop.preorders(), "").iter().all(|one| one["ref"].is_string())
    })
    .await;
    for _ in 0..5 {
        shop.settled().await;
    }
    running.stop().await;
    assert!(shop.store.dead(Destination::Crm).is_empty(), "{:?}", shop.store.dead(Destination::Crm));
    let state = shop.state();
    assert_eq!((rows(&state, "/deals").len(), &state["deals_doubled"]["originId"], &state["timeline_doubled"]), (16, &json!({}), &json!([])));
    for deal in rows(&state, "/deals") {
        let number = deal["id"].as_u64().unwrap();
        let mut there: Vec<(String, i64)> = rows(&state, &format!("/product_rows/{number}"))
            .into_iter()
            .map(|row| (row["xmlId"].as_str().unwrap().trim_start_matches("lime:").to_owned(), row["quantity"].as_f64().unwrap() as i64))
            .collect();
        there.sort();
        assert_eq!(shop.lines_of(number), there, "deal {number}");
        assert_eq!(shop.preorder_of(number)["id"], deal["ufCrmLimePreorder"]);
    }
    println!("{} s, {} requests", shop.clock.now_ms() / 1000, shop.requests());
}

#[tokio::test(start_paused = true)]
async fn a_booking_costs_few_requests() {
    let mut shop = ready(usual()).await;
    let contact = shop.walk_in("Анна", "+79995550101");
    let deals: Vec<u64> = (0..20).map(|n| shop.books(&format!("Праздник {n}"), &contact)).collect();
    for deal in &deals {
        shop.puts(*deal, &[("p-3", 2), ("p-5", 1)]);
    }
    shop.tell(Told::Deal { id: deals[0].to_string(), deleted: false }).await;
    println!("{} requests for the first", shop.deliver().await);
    shop.tell(Told::Deal { id: deals[0].to_string(), deleted: false }).await;
    println!("{} for one that has not changed", shop.deliver().await);
    for deal in &deals[1..] {
        shop.tell(Told::Deal { id: deal.to_string(), deleted: false }).await;
    }
    let cost = shop.deliver().await;
    println!("{cost} for 19 at once: {:.2} a preorder, beside one to Lime", cost as f64 / 19.0);
    assert!(cost <= 8, "{cost}");
    assert_eq!(rows(&shop.preorders(), "").len(), 20);
}
