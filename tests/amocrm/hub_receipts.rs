//! Receipts become leads.

use limegate::config::{DealRule, Hub, StageRef};
use serde_json::{Value, json};

use crate::hub_rig::{Fate, Rig, heard};

fn name(text: &str) -> StageRef {
    StageRef::Name(text.to_owned())
}

fn ready(change: impl FnOnce(&mut Hub)) -> Rig {
    let mut rig = Rig::new(change);
    rig.listen();
    rig.deliver(heard);
    rig.requests();
    rig
}

fn sold(rig: &Rig) -> Vec<Value> {
    rig.leads().into_iter().filter(|lead| lead["fields"]["LIME_LINES"].is_array()).collect()
}

#[test]
fn a_receipt_becomes_one_lead_with_all_its_lines_linked_to_its_guest() {
    let mut rig = ready(|_| {});
    let at = rig.now() / 1_000;
    rig.cashier("sell", json!({"client_id": "c-1", "pay": "card", "lines": [{"good_type_id": "p-1", "qty": 2}, {"good_type_id": "p-2", "qty": 1}]}));
    rig.listen();
    rig.deliver(heard);
    let leads = sold(&rig);
    let [lead] = leads.as_slice() else { panic!("{leads:#?}") };
    let books = rig.books();
    let bookings = books["pipelines"].as_array().unwrap().iter().find(|pipeline| pipeline["name"] == "Дни рождения").unwrap();
    assert_eq!((&lead["pipeline_id"], &lead["status_id"], &lead["price"]), (&bookings["id"], &json!(142), &json!(5_800)));
    assert_eq!(lead["created_at"], json!(at));
    let lines = lead["fields"]["LIME_LINES"][0].as_str().unwrap();
    assert!(lines.contains("Билет на 1 час × 2") && lines.contains("Абонемент") && lines.contains("Итого"), "{lines}");
    let mut quantities: Vec<f64> =
        lead["products"].as_array().unwrap().iter().map(|product| product["metadata"]["quantity"].as_f64().unwrap()).collect();
    quantities.sort_by(f64::total_cmp);
    assert_eq!(quantities, [1.0, 2.0]);
    assert_eq!(lead["contacts"].as_array().unwrap().len(), 1);
    assert!(lead["fields"]["LIME_RECEIPT"].is_array() && lead["fields"]["LIME_BOUGHT_AT"] == json!([at]));
    // It stands in the pipeline of bookings, and is none.
    rig.pass_time(60);
    rig.listen();
    assert_eq!(rig.queue.len(), 0, "{:#?}", rig.queue);
}

#[test]
fn fifty_receipts_cost_few_requests() {
    let mut rig = ready(|_| {});
    for _ in 0..50 {
        rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": "p-1", "qty": 1}]}));
    }
    rig.listen();
    rig.deliver(heard);
    let requests = rig.requests();
    println!("{} requests for 50 receipts: {requests:?}", requests.len());
    assert_eq!((sold(&rig).len(), requests.len()), (50, 2), "{requests:?}");
}

#[test]
fn a_lost_answer_at_any_point_makes_no_second_lead_and_loses_no_product() {
    for label in ["POST /leads", "POST /leads/link"] {
        for fate in [Fate::Lost, Fate::Dies, Fate::NotSent] {
            let mut rig = ready(|_| {});
            for qty in 1..=5 {
                rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": "p-1", "qty": qty}]}));
            }
            rig.listen();
            let mut left = 2;
            rig.deliver(|call| {
                if call.request.label == label && left > 0 {
                    left -= 1;
                    return fate;
                }
                Fate::Heard
            });
            let leads = sold(&rig);
            assert_eq!((leads.len(), rig.dead.len()), (5, 0), "{label} {fate:?}");
            assert!(leads.iter().all(|lead| lead["products"].as_array().unwrap().len() == 1), "{label} {fate:?}: {leads:#?}");
        }
    }
}

#[test]
fn rules_choose_pipeline_stage_and_person_and_a_receipt_without_a_rule_makes_nothing() {
    let rule = |group: Option<&str>, pipeline: &str| DealRule {
        group: group.map(name),
        pipeline: name(pipeline),
        at_least: group.is_none().then_some(100_000),
        responsible: group.map(|_| name("менеджер")),
        title: "{what} за {sum}".to_owned(),
        ..usual_rule()
    };
    let mut rig = ready(|hub| hub.deals = vec![rule(Some("Кафе"), "Воронка"), rule(None, "Дни рождения")]);
    rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": "p-1", "qty": 1}]}));
    rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": "p-1", "qty": 3}]}));
    let cafe = rig.cashier("product", json!({"name": "Чай", "parent_id": "g-2", "price": 10_000}));
    let tea = cafe["id"].as_str().or(cafe["product_id"].as_str()).unwrap().to_owned();
    rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": tea, "qty": 1}]}));
    rig.listen();
    rig.deliver(heard);
    let mut titles: Vec<String> = sold(&rig).iter().map(|lead| lead["name"].as_str().unwrap().to_owned()).collect();
    titles.sort();
    assert_eq!(titles, ["Билет на 1 час ×3 за 1\u{a0}500,00\u{a0}₽", "Чай за 100,00\u{a0}₽"]);
}

fn usual_rule() -> DealRule {
    Hub::usual(&limegate::config::CrmKind::AmoCrm(crate::hand::config()), limegate::config::Language::Ru).deals.remove(0)
}

#[test]
fn a_refund_moves_or_marks_the_lead_of_its_sale_once() {
    for (refunded, status, price) in [(Some(StageRef::Default), 143, 1_000), (None, 142, 0)] {
        for fate in [Fate::Heard, Fate::Lost, Fate::Dies] {
            let mut rig = ready(|hub| hub.deals[0].refunded.clone_from(&refunded));
            let sale = rig.cashier("sell", json!({"client_id": "c-1", "pay": "card", "lines": [{"good_type_id": "p-1", "qty": 2}]}));
            rig.cashier("refund", json!({"transaction_id": sale["transaction_id"]}));
            rig.listen();
            let mut left = 1;
            rig.deliver(|call| {
                if call.request.label == "PATCH /leads" && left > 0 {
                    left -= 1;
                    return fate;
                }
                Fate::Heard
            });
            let leads = sold(&rig);
            let [lead] = leads.as_slice() else { panic!("{leads:#?}") };
            assert_eq!((&lead["status_id"], &lead["price"]), (&json!(status), &json!(price)), "{fate:?}");
            assert_eq!((&lead["fields"]["LIME_REFUNDED"], rig.dead.len()), (&json!(["1000"]), 0));
        }
    }
}

#[test]
fn a_refund_of_a_sale_that_this_box_did_not_see_finds_its_lead_by_the_receipt() {
    let mut rig = ready(|_| {});
    let sale = rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": "p-1", "qty": 1}]}));
    rig.listen();
    rig.deliver(heard);
    for (key, _) in rig.notes.all() {
        if key.kind == "hub.sold" || key.kind == "amocrm.receipt" {
            rig.notes.learn(vec![limegate::journal::Learned { key, value: None }]);
        }
    }
    rig.cashier("refund", json!({"transaction_id": sale["transaction_id"]}));
    rig.listen();
    rig.deliver(heard);
    assert_eq!(sold(&rig)[0]["fields"]["LIME_REFUNDED"], json!(["500"]));
}

#[test]
fn history_is_tagged_and_dated_and_a_rule_whose_stage_is_gone_holds_only_its_own() {
    let mut rig = ready(|hub| hub.deals.insert(0, DealRule { at_least: Some(100_000), stage: name("Крупные"), ..usual_rule() }));
    rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": "p-1", "qty": 1}]}));
    let at = rig.now() / 1_000;
    rig.pass_time(3 * 86_400);
    rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": "p-1", "qty": 5}]}));
    rig.listen();
    // Somebody deletes the stage that setup made.
    let books = rig.books();
    let pipeline = books["pipelines"].as_array().unwrap().iter().find(|pipeline| pipeline["name"] == "Дни рождения").unwrap();
    assert!(pipeline.to_string().contains("Крупные"), "{pipeline}");
    rig.deliver(heard);
    let leads = sold(&rig);
    let old = leads.iter().find(|lead| lead["price"] == json!(500)).unwrap();
    assert_eq!(old["created_at"], json!(at));
    assert_eq!(leads.len(), 2);
}
