//! Receipts as deals: rows, sums, stages, refunds, history; with lost answers and restarts.

use std::collections::BTreeSet;
use std::time::Duration;

use limegate::clock::Clock;
use limegate::config::{DealRule, StageRef};
use limegate::domain::{ClientId, Money, Product, ProductKind, Receipt, ReceiptKind, ReceiptLine, Told};
use limegate::journal::{Destination, Store};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::seed;
use super::shop::{Shop, one, rows, usual};

pub(super) fn line(product: &str, name: &str, quantity: i64, amount: i64) -> ReceiptLine {
    ReceiptLine { good_type_id: Some(product.to_owned()), name: name.to_owned(), quantity, amount }
}

impl Shop {
    fn guest(&self, n: usize) -> ClientId {
        let site = self.site.lock().unwrap();
        let known: BTreeSet<String> = site.lime.media().into_iter().filter_map(|medium| medium.client_id).collect();
        ClientId(known.into_iter().nth(n).unwrap())
    }

    pub(super) fn receipt(&self, id: &str, client: Option<ClientId>, lines: &[ReceiptLine]) -> Receipt {
        Receipt {
            id: id.to_owned(),
            kind: ReceiptKind::Sale,
            client_id: client,
            receipt_id: Some(format!("rc-{id}")),
            occurred_ms: self.clock.stamp().wall_ms,
            service_point: Some("sp-4".into()),
            write_off_id: None,
            lines: lines.to_vec(),
            total: Money { minor: lines.iter().map(|line| line.amount).sum(), currency: "RUB".to_owned() },
            payments: Vec::new(),
        }
    }

    fn refund(&self, id: &str, sale: &Receipt, amount: i64) -> Receipt {
        let total = Money { minor: amount, currency: "RUB".to_owned() };
        Receipt { id: id.to_owned(), kind: ReceiptKind::Refund, total, lines: Vec::new(), occurred_ms: self.clock.stamp().wall_ms, ..sale.clone() }
    }

    async fn pizza(&mut self) {
        let product = Product {
            id: "p-3".to_owned(),
            parent_id: None,
            name: "Пицца".to_owned(),
            kind: ProductKind::Goods,
            price: Some(Money { minor: 65_000, currency: "RUB".to_owned() }),
            active: true,
            image_url: None,
            version: 1,
        };
        self.tell(Told::Product(product)).await;
    }
}

fn deal<'a>(state: &'a Value, receipt: &str) -> &'a Value {
    one(state, "/deals", "originId", &json!(format!("receipt:{receipt}")))
}

fn rows_of<'a>(state: &'a Value, deal: &Value) -> Vec<&'a Value> {
    rows(state, &format!("/product_rows/{}", deal["id"]))
}

fn with_stages() -> limegate::config::Hub {
    let mut hub = usual();
    let sales = StageRef::Name("Продажи".to_owned());
    let food = DealRule {
        group: Some(StageRef::Id("p-3".to_owned())),
        stage: StageRef::Name("Кухня".to_owned()),
        responsible: Some(StageRef::Name("Олег Кассиров".to_owned())),
        ..hub.deals[0].clone()
    };
    let refunded = Some(StageRef::Name("Возврат".to_owned()));
    hub.deals = vec![DealRule { pipeline: sales.clone(), ..food }, DealRule { pipeline: sales, refunded, ..hub.deals.remove(0) }];
    hub
}

#[tokio::test(start_paused = true)]
async fn a_receipt_becomes_one_deal_with_all_its_lines_bound_to_the_guests_contact() {
    let mut shop = Shop::new(seed(), usual());
    shop.pizza().await;
    shop.deliver().await;
    let guest = shop.guest(0);
    let lines = [line("p-3", "Пицца", 2, 130_000), line("p-404", "Носки & $result[c0001]", 3, 10_000)];
    shop.tell(Told::Receipt(shop.receipt("t-1", Some(guest.clone()), &lines))).await;
    let cost = shop.deliver().await;
    println!("{cost} requests for the first receipt of a guest who has no contact yet");
    let state = shop.state();
    let deal = deal(&state, "t-1");
    assert_eq!((&deal["categoryId"], &deal["stageId"], &deal["opportunity"]), (&json!(0), &json!("WON"), &json!(1400.0)));
    assert_eq!((&deal["isManualOpportunity"], &deal["ufCrmLimeReceipt"], &deal["ufCrmLimePoint"]), (&json!("N"), &json!("rc-t-1"), &json!("sp-4")));
    assert!(deal["title"].as_str().unwrap().starts_with("Покупка: Пицца ×2, Носки & ＄result[c0001] ×3"), "{deal}");
    assert_eq!(&deal["ufCrmLimeBoughtAt"].as_str().unwrap()[..10], "2026-05-01");
    let contact = one(&state, "/contacts", "originId", &json!(format!("client:{guest}")));
    assert_eq!(deal["contactId"], contact["id"]);
    let made = rows_of(&state, deal);
    let product = one(&state, "/catalog/products", "xmlId", &json!("lime:p-3"));
    assert_eq!(
        (made[0]["productId"].clone(), made[0]["quantity"].clone(), made[0]["price"].clone()),
        (product["id"].clone(), json!(2.0), json!(650.0))
    );
    // 100,00 for three: two of 33,33 and one of 33,34.
    assert_eq!((made.len(), &made[1]["productId"], &made[2]["price"]), (3, &json!(0), &json!(33.34)));
    assert!(shop.ledger("bitrix24.receipt", "t-1").is_none(), "a complete receipt owes nothing");

    shop.tell(Told::Receipt(shop.receipt("t-2", None, &[line("p-3", "Пицца", 1, 65_000)]))).await;
    assert_eq!(shop.deliver().await, 1, "nobody's receipt of a known product is one request");
}

#[tokio::test(start_paused = true)]
async fn rules_choose_pipeline_stage_and_responsible_and_a_discount_keeps_the_sum() {
    let mut shop = Shop::new(seed(), with_stages());
    let pizza = shop.receipt("t-1", None, &[line("p-3", "Пицца", 1, 65_000)]);
    let mut ticket = shop.receipt("t-2", None, &[line("p-1", "Билет", 1, 50_000)]);
    ticket.total.minor = 45_000;
    let bonus = Receipt { kind: ReceiptKind::BonusAccrual, ..shop.receipt("t-3", None, &[]) };
    for receipt in [pizza, ticket, bonus] {
        shop.tell(Told::Receipt(receipt)).await;
    }
    shop.deliver().await;
    let state = shop.state();
    let sales = one(&state, "/funnels", "name", &json!("Продажи"));
    let kitchen = one(sales, "/stages", "name", &json!("Кухня"));
    let (pizza, ticket) = (deal(&state, "t-1"), deal(&state, "t-2"));
    assert_eq!((&pizza["categoryId"], &pizza["stageId"], &pizza["assignedById"]), (&sales["id"], &kitchen["code"], &json!(7)));
    assert_eq!((&ticket["categoryId"], ticket["stageId"].as_str().unwrap().ends_with(":WON")), (&sales["id"], true));
    assert_eq!((&ticket["opportunity"], &ticket["isManualOpportunity"]), (&json!(450.0), &json!("Y")));
    assert_eq!(rows(&state, "/deals").len(), 2, "no rule takes bonus points");
}

#[tokio::test(start_paused = true)]
async fn a_refund_marks_the_deal_of_its_sale_and_moves_it_when_all_is_given_back() {
    let mut shop = Shop::new(seed(), with_stages());
    let sale = shop.receipt("t-1", Some(shop.guest(0)), &[line("p-1", "Билет", 2, 100_000)]);
    let (part, again) = (shop.refund("t-2", &sale, 30_000), shop.refund("t-2", &sale, 30_000));
    for receipt in [sale.clone(), part, again] {
        shop.tell(Told::Receipt(receipt)).await;
    }
    shop.deliver().await;
    let state = shop.state();
    let sold = deal(&state, "t-1");
    assert_eq!((&sold["ufCrmLimeRefunded"], sold["stageId"].as_str().unwrap().ends_with(":WON")), (&json!("300.00|RUB"), true));
    shop.tell(Told::Receipt(shop.refund("t-3", &sale, -70_000))).await;
    shop.tell(Told::Receipt(shop.refund("t-4", &Receipt { receipt_id: Some("rc-unknown".into()), ..sale.clone() }, 100))).await;
    shop.deliver().await;
    let state = shop.state();
    let sold = deal(&state, "t-1");
    let back = one(one(&state, "/funnels", "name", &json!("Продажи")), "/stages", "name", &json!("Возврат"));
    assert_eq!((&sold["ufCrmLimeRefunded"], &sold["stageId"]), (&json!("1000.00|RUB"), &back["code"]));
    assert_eq!(rows(&state, "/deals").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refund_of_somebody_unknown_waits_for_its_sale_and_a_new_box_finds_the_deal_by_its_number() {
    let mut shop = Shop::new(seed(), usual());
    let sale = shop.receipt("t-1", None, &[line("p-1", "Билет", 1, 50_000)]);
    shop.tell(Told::Receipt(shop.refund("t-2", &sale, 20_000))).await;
    let running = shop.start(false);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(shop.store.pending_count(Destination::Crm), 1);
    shop.tell(Told::Receipt(sale.clone())).await;
    shop.drained().await;
    running.stop().await;
    assert_eq!(deal(&shop.state(), "t-1")["ufCrmLimeRefunded"], "200.00|RUB");
    // Another box, without a ledger.
    let site = std::sync::Arc::clone(&shop.site);
    let mut other = Shop::bare(1, usual());
    other.site = site;
    other.clock = std::sync::Arc::clone(&shop.clock);
    other.tell(Told::Receipt(other.refund("t-3", &sale, 50_000))).await;
    other.deliver().await;
    assert_eq!(deal(&shop.state(), "t-1")["ufCrmLimeRefunded"], "500.00|RUB");
}

#[tokio::test(start_paused = true)]
async fn history_sets_off_no_robots() {
    let mut shop = Shop::new(seed(), usual());
    let old =
        Receipt { occurred_ms: shop.clock.stamp().wall_ms - 40 * 86_400_000, ..shop.receipt("t-1", None, &[line("p-1", "Билет", 1, 50_000)]) };
    shop.tell(Told::Receipt(old)).await;
    shop.tell(Told::Receipt(shop.receipt("t-2", None, &[line("p-1", "Билет", 1, 50_000)]))).await;
    shop.deliver().await;
    let state = shop.state();
    let (old, fresh) = (deal(&state, "t-1"), deal(&state, "t-2"));
    assert_eq!((&old["stageId"], &old["opportunity"], &old["createdTime"].as_str().unwrap()[..7]), (&json!("WON"), &json!(500.0), "2026-03"));
    assert_eq!(state["robots"][old["id"].to_string()], Value::Null);
    assert!(state["robots"][fresh["id"].to_string()].as_u64().unwrap() > 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_at_the_portal_holds_receipts_up_and_loses_none() {
    let mut shop = Shop::bare(seed(), with_stages());
    shop.tell(Told::Receipt(shop.receipt("t-1", None, &[line("p-1", "Билет", 1, 50_000)]))).await;
    let running = shop.start(false);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(shop.store.pending_count(Destination::Crm), 1);
    shop.setup(limegate::crm::setup::Mode::Apply);
    shop.drained().await;
    // A stage that people delete while the box remembers it.
    let state = shop.state();
    let sales = one(&state, "/funnels", "name", &json!("Продажи"))["id"].as_u64().unwrap();
    let stages = shop.ask("crm.status.list", &json!({"filter": {"ENTITY_ID": format!("DEAL_STAGE_{sales}")}}));
    shop.ask("crm.status.delete", &json!({"id": one(&stages, "/result", "NAME", &json!("Кухня"))["ID"]}));
    let pizza = shop.receipt("t-2", None, &[line("p-3", "Пицца", 1, 65_000)]);
    shop.tell(Told::Receipt(pizza.clone())).await;
    shop.tell(Told::Receipt(shop.receipt("t-3", None, &[line("p-1", "Билет", 1, 50_000)]))).await;
    shop.tell(Told::Receipt(shop.refund("t-4", &pizza, 65_000))).await;
    sleep(Duration::from_secs(3_000)).await;
    assert_eq!(shop.store.pending_count(Destination::Crm), 2, "only the receipts of that rule wait, and what was given back of them");
    shop.setup(limegate::crm::setup::Mode::Apply);
    shop.drained().await;
    running.stop().await;
    assert_eq!(rows(&shop.state(), "/deals").len(), 3);
    assert_eq!(deal(&shop.state(), "t-2")["ufCrmLimeRefunded"], "650.00|RUB", "however long its sale waited");
}

#[tokio::test(start_paused = true)]
async fn a_product_that_people_deleted_leaves_the_receipt_its_line() {
    let mut shop = Shop::new(seed(), usual());
    shop.pizza().await;
    shop.deliver().await;
    let gone = one(&shop.state(), "/catalog/products", "xmlId", &json!("lime:p-3"))["id"].clone();
    shop.ask("catalog.product.delete", &json!({"id": gone}));
    shop.tell(Told::Receipt(shop.receipt("t-1", None, &[line("p-3", "Пицца", 1, 65_000)]))).await;
    shop.deliver().await;
    let state = shop.state();
    let deal = deal(&state, "t-1");
    let made = rows_of(&state, deal);
    assert_eq!((&deal["opportunity"], &made[0]["productName"], &made[0]["productId"]), (&json!(650.0), &json!("Пицца"), &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn lost_answers_and_restarts_lose_and_double_no_receipt() {
    let mut shop = Shop::new(seed(), with_stages());
    let mut sales = Vec::new();
    for n in 0..120 {
        let client = (n % 3 != 0).then(|| shop.guest(n % 8));
        let sale = shop.receipt(&format!("t-{n}"), client, &[line("p-1", "Билет", 3, 100_000), line("p-3", "Пицца", 1, 65_000)]);
        shop.tell(Told::Receipt(sale.clone())).await;
        sales.push(sale);
    }
    for n in (0..120).step_by(5) {
        shop.tell(Told::Receipt(shop.refund(&format!("r-{n}"), &sales[n], 65_000))).await;
    }
    shop.misbehave(0.04);
    let mut running = shop.start(false);
    for _ in 0..5 {
        let pause = shop.chance.u64(1..60_000);
        sleep(Duration::from_millis(pause)).await;
        running.kill().await;
        running = shop.start(false);
    }
    shop.drained().await;
    running.stop().await;
    println!("{} s, {} requests", shop.clock.now_ms() / 1000, shop.requests());
    assert!(shop.store.dead(Destination::Crm).is_empty(), "{:?}", shop.store.dead(Destination::Crm));
    let state = shop.state();
    assert_eq!((rows(&state, "/deals").len(), &state["deals_doubled"]["originId"]), (120, &json!({})));
    for n in 0..120 {
        let deal = deal(&state, &format!("t-{n}"));
        assert_eq!((rows_of(&state, deal).len(), &deal["opportunity"]), (3, &json!(1650.0)), "{deal}");
        assert!(deal["stageId"].as_str().unwrap().contains(":LIME"), "{deal}");
        let refunded = if n % 5 == 0 { json!("650.00|RUB") } else { Value::Null };
        assert_eq!(deal["ufCrmLimeRefunded"], refunded, "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_receipts_takes_few_requests() {
    let mut shop = Shop::new(seed(), usual());
    for n in 0..8 {
        shop.tell(Told::Receipt(shop.receipt(&format!("a-{n}"), Some(shop.guest(n)), &[line("p-1", "Билет", 1, 50_000)]))).await;
    }
    shop.deliver().await;
    for n in 0..800 {
        shop.tell(Told::Receipt(shop.receipt(&format!("t-{n}"), Some(shop.guest(n % 8)), &[line("p-1", "Билет", 1, 50_000)]))).await;
    }
    let cost = shop.deliver().await;
    println!("{cost} requests for 800 receipts of 8 known guests: {:.3} a receipt", cost as f64 / 800.0);
    assert!(cost <= 80, "{cost}");
}
