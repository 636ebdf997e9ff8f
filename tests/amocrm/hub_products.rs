//! Lime's products in the list of products.

use limegate::delivery::Work;
use limegate::domain::Told;
use serde_json::{Value, json};

use crate::hub_rig::{Fate, Rig, heard};

fn elements(rig: &Rig) -> Vec<Value> {
    let books = rig.books();
    let list = books["catalogs"].as_array().unwrap().iter().find(|catalog| catalog["type"] == "products").unwrap();
    list["elements"].as_array().unwrap().clone()
}

fn element(rig: &Rig, product: &str) -> Value {
    let all = elements(rig);
    let mut found = all.iter().filter(|element| element["fields"]["EXTERNAL_ID"] == json!([product]));
    let first = found.next().unwrap_or_else(|| panic!("{product} is not in the list: {all:#?}")).clone();
    assert!(found.next().is_none(), "{product} is there twice");
    first
}

#[test]
fn products_of_lime_are_shown_with_price_and_group_in_few_requests() {
    let mut rig = Rig::new(|_| {});
    rig.listen();
    rig.deliver(heard);
    let (shown, requests) = (elements(&rig), rig.requests());
    let ticket = element(&rig, "p-1");
    assert_eq!(
        (&ticket["name"], &ticket["fields"]["PRICE"], &ticket["fields"]["GROUP"]),
        (&json!("Билет на 1 час"), &json!(["500"]), &json!(["Билеты"]))
    );
    assert_eq!(ticket["fields"]["SKU"], json!(["LIME-p-1"]));
    assert!(shown.iter().all(|element| element["fields"]["GROUP"].is_array()), "{shown:#?}");
    println!("{} requests for {} products: {requests:?}", requests.len(), shown.len());
    // Of these the first conversation reads where things are, once a day.
    let own = requests.iter().filter(|label| label.contains("/elements") || label.contains("custom_fields/{id}")).count();
    assert!(own <= 5, "{requests:?}");
}

#[test]
fn a_product_is_renamed_priced_moved_and_archived_and_an_unchanged_one_costs_nothing() {
    let mut rig = Rig::new(|_| {});
    rig.listen();
    rig.deliver(heard);
    rig.requests();
    rig.cashier("product", json!({"id": "p-1", "name": "Билет на час", "price": 55_050, "parent_id": "g-3"}));
    rig.listen();
    rig.deliver(heard);
    let ticket = element(&rig, "p-1");
    assert_eq!(
        (&ticket["name"], &ticket["fields"]["PRICE"], &ticket["fields"]["GROUP"]),
        (&json!("Билет на час"), &json!(["550.50"]), &json!(["Праздники"]))
    );
    rig.requests();
    // The same once more, as after a lost cursor: a version that says nothing new.
    rig.cashier("product", json!({"id": "p-1", "name": "Билет на час"}));
    rig.listen();
    rig.deliver(heard);
    assert_eq!(rig.requests(), Vec::<&str>::new());
    rig.cashier("product", json!({"id": "p-1", "active": false}));
    rig.listen();
    rig.deliver(heard);
    let ticket = element(&rig, "p-1");
    assert_eq!((&ticket["name"], &ticket["fields"]["LIME_ARCHIVED"]), (&json!("[архив] Билет на час"), &json!([true])));
    rig.cashier("product", json!({"id": "p-1", "active": true}));
    rig.listen();
    rig.deliver(heard);
    assert_eq!(element(&rig, "p-1")["name"], json!("Билет на час"));
}

#[test]
fn a_group_that_is_renamed_keeps_its_products() {
    let mut rig = Rig::new(|_| {});
    rig.listen();
    rig.deliver(heard);
    rig.cashier("product", json!({"id": "g-1", "name": "Входные билеты"}));
    rig.listen();
    rig.requests();
    rig.deliver(heard);
    let requests = rig.requests();
    assert!(requests.iter().all(|label| !label.contains("elements")), "{requests:?}");
    // The choice's name is what products show from now on.
    rig.cashier("product", json!({"id": "p-1", "name": "Час"}));
    rig.listen();
    rig.deliver(heard);
    assert_eq!(element(&rig, "p-1")["fields"]["GROUP"], json!(["Входные билеты"]));
}

#[test]
fn a_lost_answer_makes_no_second_element() {
    for fate in [Fate::Lost, Fate::Dies, Fate::NotSent] {
        let mut rig = Rig::new(|_| {});
        rig.listen();
        let mut left = 1;
        rig.deliver(|call| {
            if call.request.label == "POST /catalogs/{id}/elements" && left > 0 {
                left -= 1;
                return fate;
            }
            Fate::Heard
        });
        assert_eq!(left, 0);
        let mut ids: Vec<String> = elements(&rig).iter().map(|element| element["fields"]["EXTERNAL_ID"].to_string()).collect();
        ids.sort();
        let all = ids.len();
        ids.dedup();
        assert_eq!((ids.len(), rig.dead.len()), (all, 0), "{fate:?}");
        assert!(all >= 8, "{all} elements after {fate:?}");
    }
}

#[test]
fn an_element_that_an_earlier_box_made_is_taken_over_and_one_that_people_deleted_is_made_anew() {
    let mut rig = Rig::new(|_| {});
    rig.listen();
    rig.deliver(heard);
    let before = elements(&rig).len();
    // Another box: it knows nothing.
    let known = std::mem::take(&mut rig.notes);
    for (key, value) in known.all() {
        if key.kind != "amocrm.product" {
            rig.notes.put(&key.kind, &key.key, value);
        }
    }
    rig.cashier("product", json!({"id": "p-1", "price": 60_000}));
    rig.listen();
    rig.deliver(heard);
    assert_eq!((elements(&rig).len(), &element(&rig, "p-1")["fields"]["PRICE"]), (before, &json!(["600"])));
    rig.notes.put("amocrm.product", "p-1", "999999 x");
    rig.cashier("product", json!({"id": "p-1", "price": 61_000}));
    rig.listen();
    rig.deliver(heard);
    assert_eq!((elements(&rig).len(), &element(&rig, "p-1")["fields"]["PRICE"]), (before, &json!(["610"])));
}

#[test]
fn an_account_without_lists_holds_products_and_nothing_else() {
    let mut rig = Rig::new(|_| {});
    assert!(rig.site.amocrm.switch("extended", &json!(false)));
    rig.listen();
    let products =
        |rig: &Rig| rig.queue.iter().filter(|job| matches!(&job.work, Work::Change(change) if matches!(change.told, Told::Product(_)))).count();
    let waiting = products(&rig);
    for _ in 0..3 {
        rig.converse(&mut |_| Fate::Heard);
    }
    assert_eq!((products(&rig), rig.dead.len(), rig.queue.len()), (waiting, 0, waiting));
    assert!(rig.site.amocrm.switch("extended", &json!(true)));
    rig.pass_time(16 * 60);
    rig.deliver(heard);
    assert!(!elements(&rig).is_empty());
}
