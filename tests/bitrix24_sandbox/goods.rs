//! Setup for the integration, and Lime's products in the catalog.

use limegate::config::{DealRule, Language, StageRef};
use limegate::crm::setup::{Mode as Setup, State, Subject};
use limegate::domain::{Money, Product, ProductKind, Told};
use serde_json::json;

use super::sales::line;
use super::seed;
use super::shop::{Shop, one, rows, usual};

fn product(id: &str, parent: Option<&str>, name: &str, kind: ProductKind, price: Option<i64>) -> Product {
    Product {
        id: id.to_owned(),
        parent_id: parent.map(str::to_owned),
        name: name.to_owned(),
        kind,
        price: price.map(|minor| Money { minor, currency: "RUB".to_owned() }),
        active: true,
        image_url: None,
        version: 1,
    }
}

fn some() -> Vec<Product> {
    vec![
        product("g-1", None, "Кафе", ProductKind::Goods, None),
        product("g-2", Some("g-1"), "Пицца & $result[c0001]", ProductKind::Goods, None),
        product("p-1", Some("g-2"), "Маргарита", ProductKind::Goods, Some(65_000)),
        product("p-2", Some("g-1"), "Аниматор, 1 час", ProductKind::Service, Some(400_000)),
    ]
}

fn named(name: &str) -> StageRef {
    StageRef::Name(name.to_owned())
}

fn rule(pipeline: &str) -> DealRule {
    DealRule { pipeline: named(pipeline), ..usual().deals.remove(0) }
}

#[test]
fn setup_makes_an_empty_portal_ready_for_the_integration_and_finds_all_of_it_afterwards() {
    let mut hub = usual();
    let first = DealRule {
        stage: named("Оплачено"), refunded: Some(named("Возврат")), responsible: Some(named("Кассиров Олег")), ..rule("Продажи")
    };
    hub.deals = vec![first, rule("Продажи"), DealRule { pipeline: StageRef::Id("0".into()), ..rule("-") }];
    hub.preorders.send_at = Some(named("Предоплата внесена"));
    let shop = Shop::bare(seed(), hub);
    let plan = shop.setup(Setup::Plan);
    assert_eq!(plan.wrong(), 0, "{}", plan.table(Language::Ru));
    let missing = |subject: Subject| plan.items.iter().filter(|item| item.subject == subject && item.state == State::Missing).count();
    assert_eq!((missing(Subject::Pipeline), missing(Subject::Stage)), (2, 3), "{}", plan.table(Language::Ru));
    assert_eq!(rows(&shop.state(), "/funnels").len(), 2, "a plan changes nothing");
    for _ in 0..3 {
        let plan = shop.setup(Setup::Apply);
        assert!(plan.is_complete(), "{}", plan.table(Language::Ru));
    }
    assert!(shop.setup(Setup::Plan).items.iter().all(|item| item.state == State::Present));
    let state = shop.state();
    assert_eq!(rows(&state, "/funnels").len(), 4);
    let sales = one(&state, "/funnels", "name", &json!("Продажи"));
    let names: Vec<&str> = rows(sales, "/stages").into_iter().filter_map(|stage| stage["name"].as_str()).collect();
    assert_eq!(names.iter().filter(|name| ["Оплачено", "Возврат"].contains(name)).count(), 2, "{names:?}");
    let codes: Vec<&str> = rows(&state, "/deal_fields").into_iter().filter_map(|field| field["name"].as_str()).collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
}

#[test]
fn on_a_portal_that_people_have_worked_in_setup_says_what_it_cannot_decide_and_doubles_nothing() {
    let mut hub = usual();
    hub.deals = vec![DealRule { stage: named("Оплачено"), ..rule("Продажи") }];
    let shop = Shop::new(seed(), hub);
    let state = shop.state();
    let sales = one(&state, "/funnels", "name", &json!("Продажи"))["id"].as_u64().unwrap();
    let stages = shop.ask("crm.status.list", &json!({"filter": {"ENTITY_ID": format!("DEAL_STAGE_{sales}")}}));
    let paid = one(&stages, "/result", "NAME", &json!("Оплачено"))["ID"].clone();
    // A field's label is people's own; so is a stage's name, but then the config must be told.
    shop.ask("crm.status.update", &json!({"id": paid, "fields": {"NAME": "Деньги у нас"}}));
    let fields = shop.ask("crm.deal.userfield.list", &json!({"filter": {"FIELD_NAME": "UF_CRM_LIME_RECEIPT"}}));
    shop.ask("crm.deal.userfield.update", &json!({"id": fields["result"][0]["ID"], "fields": {"LABEL": "Чек"}}));
    let plan = shop.setup(Setup::Apply);
    let table = plan.table(Language::Ru);
    assert_eq!((plan.missing(), plan.wrong()), (0, 1), "{table}");
    assert!(table.contains("стадия «Оплачено» создавалась здесь, теперь она называется «Деньги у нас»"), "{table}");
    shop.ask("crm.status.update", &json!({"id": paid, "fields": {"NAME": "Оплачено"}}));

    shop.ask("crm.status.delete", &json!({"id": paid}));
    shop.ask("crm.category.add", &json!({"entityTypeId": 2, "fields": {"name": "дни рождения"}}));
    let plan = shop.setup(Setup::Plan);
    let table = plan.table(Language::En);
    assert_eq!((plan.missing(), plan.wrong()), (1, 1), "{table}");
    assert!(table.contains("[hub.preorders]: pipeline") && table.contains("id "), "{table}");
    let plan = shop.setup(Setup::Apply);
    assert_eq!((plan.missing(), plan.wrong()), (0, 1), "the stage came back, the double pipeline is people's to sort out");
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_people_renamed_gets_no_second_one_beside_it_and_is_known_by_its_id() {
    let mut hub = usual();
    hub.deals = vec![DealRule { stage: named("Оплачено"), ..rule("Продажи") }];
    let mut shop = Shop::new(seed(), hub);
    shop.funnels = false;
    let state = shop.state();
    let sales = one(&state, "/funnels", "name", &json!("Продажи"))["id"].as_u64().unwrap();
    let renamed = |shop: &Shop, name: &str| {
        shop.ask("crm.category.update", &json!({"entityTypeId": 2, "id": sales, "fields": {"name": name}}));
    };
    // Nothing was sold yet, so that the box knows names alone.
    renamed(&shop, "Касса");
    let plan = shop.setup(Setup::Apply);
    let table = plan.table(Language::Ru);
    assert_eq!((plan.missing(), plan.wrong()), (0, 1), "{table}");
    assert!(table.contains("\"Касса\" (id ") && table.contains("--pipelines"), "{table}");
    renamed(&shop, "Продажи");
    shop.tell(Told::Receipt(shop.receipt("t-1", None, &[line("p-1", "Билет", 1, 50_000)]))).await;
    shop.deliver().await;
    renamed(&shop, "Касса");
    let stages = shop.ask("crm.status.list", &json!({"filter": {"ENTITY_ID": format!("DEAL_STAGE_{sales}")}}));
    shop.ask("crm.status.update", &json!({"id": one(&stages, "/result", "NAME", &json!("Оплачено"))["ID"], "fields": {"NAME": "Деньги у нас"}}));
    for funnels in [false, true] {
        shop.funnels = funnels;
        let plan = shop.setup(Setup::Apply);
        assert!(plan.is_complete() && plan.items.iter().any(|item| item.name == "Касса"), "{}", plan.table(Language::Ru));
    }
    assert_eq!(rows(&shop.state(), "/funnels").len(), rows(&state, "/funnels").len(), "no second one");
    shop.tell(Told::Receipt(shop.receipt("t-2", None, &[line("p-1", "Билет", 1, 50_000)]))).await;
    shop.deliver().await;
    assert_eq!(rows(&shop.state(), "/deals").into_iter().filter(|deal| deal["categoryId"] == json!(sales)).count(), 2);
}

#[test]
fn check_refuses_a_rule_that_names_what_is_not_there_and_says_what_is() {
    let mut hub = usual();
    hub.deals = vec![DealRule { pipeline: StageRef::Id("77".into()), responsible: Some(named("Уволенный Пётр")), ..rule("-") }];
    let shop = Shop::bare(seed(), hub);
    shop.site.lock().unwrap().bitrix24.switch("catalog", &json!(false));
    let table = shop.setup(Setup::Plan).table(Language::Ru);
    assert!(table.contains("[[hub.deal]] 1: pipeline: воронка \"77\"") && table.contains("\"Проходы\" (id 9)"), "{table}");
    assert!(table.contains("[[hub.deal]] 1: responsible: сотрудник \"Уволенный Пётр\""), "{table}");
    assert!(table.contains("торговый каталог CRM недоступен"), "{table}");
}

#[tokio::test(start_paused = true)]
async fn products_come_with_their_groups_prices_and_changes_and_an_unchanged_one_costs_nothing() {
    let mut shop = Shop::new(seed(), usual());
    for product in some() {
        shop.tell(Told::Product(product)).await;
    }
    let cost = shop.deliver().await;
    let state = shop.state();
    let (cafe, pizzas) =
        (one(&state, "/catalog/sections", "xmlId", &json!("lime:g-1")), one(&state, "/catalog/sections", "xmlId", &json!("lime:g-2")));
    assert_eq!((&cafe["name"], &pizzas["name"]), (&json!("Кафе"), &json!("Пицца & ＄result[c0001]")));
    assert_eq!(pizzas["iblockSectionId"], cafe["id"]);
    let margherita = one(&state, "/catalog/products", "xmlId", &json!("lime:p-1"));
    assert_eq!((&margherita["iblockSectionId"], &margherita["type"]), (&pizzas["id"], &json!(1)));
    assert_eq!((margherita["prices"].as_array().unwrap().len(), &margherita["prices"][0]["price"]), (1, &json!(650.0)));
    assert_eq!(one(&state, "/catalog/products", "xmlId", &json!("lime:p-2"))["type"], 7);
    println!("{cost} requests for the first 4 products: places, look-ups, two levels of groups, one for all products");
    assert!(cost <= 8, "{cost}");

    for product in some() {
        shop.tell(Told::Product(product)).await;
    }
    assert_eq!(shop.deliver().await, 0);

    // People add a wholesale price; Lime changes its own.
    let mut changed = some();
    changed[2].price = Some(Money { minor: 70_000, currency: "RUB".to_owned() });
    changed[3].name = "Аниматор".to_owned();
    changed[3].active = false;
    let kept = margherita["prices"][0]["id"].clone();
    for product in changed.clone() {
        shop.tell(Told::Product(product)).await;
    }
    assert_eq!(shop.deliver().await, 2, "one for what changed, one for prices");
    let state = shop.state();
    let margherita = one(&state, "/catalog/products", "xmlId", &json!("lime:p-1"));
    assert_eq!((&margherita["prices"][0]["id"], &margherita["prices"][0]["price"]), (&kept, &json!(700.0)));
    let show = one(&state, "/catalog/products", "xmlId", &json!("lime:p-2"));
    assert_eq!((&show["name"], &show["active"]), (&json!("Аниматор"), &json!("N")));

    shop.tell(Told::ProductGone("p-1".to_owned())).await;
    shop.tell(Told::ProductGone("p-404".to_owned())).await;
    shop.deliver().await;
    assert_eq!(one(&shop.state(), "/catalog/products", "xmlId", &json!("lime:p-1"))["active"], "N");
    assert_eq!(rows(&shop.state(), "/catalog/products").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_price_that_people_added_stays_and_a_product_that_they_deleted_comes_back() {
    let mut shop = Shop::new(seed(), usual());
    shop.tell(Told::Product(some().remove(3))).await;
    shop.deliver().await;
    let gone = one(&shop.state(), "/catalog/products", "xmlId", &json!("lime:p-2"))["id"].clone();
    shop.ask("catalog.product.delete", &json!({"id": gone}));
    let mut changed = some().remove(3);
    changed.name = "Аниматор".to_owned();
    shop.tell(Told::Product(changed)).await;
    shop.deliver().await;
    let state = shop.state();
    let back = one(&state, "/catalog/products", "xmlId", &json!("lime:p-2"));
    assert_eq!((&back["name"], &back["prices"][0]["price"]), (&json!("Аниматор"), &json!(4000.0)));
    // The group was never told of by itself: its section bears its id until it is.
    assert_eq!(one(&state, "/catalog/sections", "xmlId", &json!("lime:g-1"))["name"], "g-1");
    shop.tell(Told::Product(some().remove(0))).await;
    shop.deliver().await;
    assert_eq!(one(&shop.state(), "/catalog/sections", "xmlId", &json!("lime:g-1"))["name"], "Кафе");
}

#[tokio::test(start_paused = true)]
async fn lost_answers_and_restarts_double_no_product() {
    let mut shop = Shop::new(seed(), usual());
    for n in 0..60 {
        let group = format!("g-{}", n % 7);
        if n < 7 {
            shop.tell(Told::Product(product(&group, None, &format!("Группа {n}"), ProductKind::Goods, None))).await;
        }
        shop.tell(Told::Product(product(&format!("p-{n}"), Some(&group), &format!("Товар {n}"), ProductKind::Goods, Some(n * 100)))).await;
    }
    shop.misbehave(0.04);
    let mut running = shop.start(false);
    for _ in 0..5 {
        let pause = shop.chance.u64(1..60_000);
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        running.kill().await;
        running = shop.start(false);
    }
    shop.drained().await;
    running.stop().await;
    println!("{} s, {} requests", shop.clock.now_ms() / 1000, shop.requests());
    let state = shop.state();
    let products = rows(&state, "/catalog/products");
    assert_eq!((products.len(), rows(&state, "/catalog/sections").len()), (60, 7));
    for product in products {
        assert_eq!(product["prices"].as_array().unwrap().len(), 1, "{product}");
        assert!(!product["iblockSectionId"].is_null(), "{product}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_synchronisation_of_products_takes_few_requests() {
    let mut shop = Shop::new(seed(), usual());
    for n in 0..500 {
        shop.tell(Told::Product(product(&format!("p-{n}"), None, &format!("Товар {n}"), ProductKind::Goods, Some(n * 100)))).await;
    }
    let cost = shop.deliver().await;
    println!("{cost} requests for 500 products");
    assert!(cost <= 30, "{cost}");
}
