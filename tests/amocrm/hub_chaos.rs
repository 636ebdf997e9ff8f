//! Cashiers and managers at work, with answers lost and the box dying at random: afterwards the books balance.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::hub_rig::{Fate, Rig};
use crate::seed;

const STEPS: usize = 60;

#[test]
fn a_fifth_of_the_answers_lost_and_nothing_is_lost_or_doubled() {
    let seed = seed();
    println!("seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut rig = Rig::new(|_| {});
    rig.settle();
    rig.pass_time(60);
    let pipeline = rig.books()["pipelines"].as_array().unwrap().iter().find(|pipeline| pipeline["name"] == "Дни рождения").unwrap()["id"].clone();
    let (mut sales, mut refunded, mut bookings, mut orders) = (Vec::new(), BTreeSet::new(), Vec::new(), Vec::new());
    for _ in 0..STEPS {
        rig.pass_time(chance.u64(1..90));
        match chance.u32(0..8) {
            0..=2 => {
                let lines = json!([{"good_type_id": "p-1", "qty": chance.u32(1..4)}]);
                let id = rig.cashier("sell", json!({"pay": "cash", "lines": lines}))["transaction_id"].as_str().unwrap().to_owned();
                sales.push(id);
            }
            3 => {
                if let Some(id) = chance.choice(&sales).cloned().filter(|id| refunded.insert(id.clone())) {
                    rig.cashier("refund", json!({"transaction_id": id}));
                }
            }
            4 => {
                let contact =
                    rig.manager("contact", json!({"name": "Гость", "phones": [format!("+7999{:07}", chance.u32(..10_000_000))]}))["id"].clone();
                let lead = rig.manager("lead", json!({"name": "ДР", "pipeline_id": pipeline, "contacts": [contact]}))["id"].as_u64().unwrap();
                rig.manager("products", json!({"lead_id": lead, "products": [{"external_id": "p-1", "quantity": chance.u32(1..9)}]}));
                bookings.push(lead);
            }
            5 => {
                if let Some(lead) = chance.choice(&bookings) {
                    rig.manager("products", json!({"lead_id": lead, "products": [{"external_id": "p-1", "quantity": chance.u32(1..9)}]}));
                }
            }
            6 => {
                let contact = json!({"name": "Гость", "phone": format!("+7998{:07}", chance.u32(..10_000_000))});
                let lines = json!([{"good_type_id": "p-1", "qty": chance.u32(1..9), "price": 50_000}]);
                let id = rig.cashier("preorder", json!({"contact": contact, "status": "confirmed", "lines": lines}))["preorder_id"].clone();
                orders.push(id.as_str().unwrap().to_owned());
            }
            _ => {
                if let Some(id) = chance.choice(&orders) {
                    rig.cashier("preorder", json!({"id": id, "lines": [{"good_type_id": "p-1", "qty": chance.u32(1..9), "price": 50_000}]}));
                }
            }
        }
        if chance.u32(0..3) == 0 {
            rig.listen();
            rig.converse(&mut |_| match chance.u32(0..20) {
                0 => Fate::NotSent,
                1 | 2 => Fate::Lost,
                3 => Fate::Dies,
                _ => Fate::Heard,
            });
        }
    }
    rig.pass_time(300);
    rig.settle();
    rig.pass_time(300);
    rig.settle();

    let leads = rig.leads();
    let with = |code: &str| leads.iter().filter(|lead| lead["fields"][code].is_array()).collect::<Vec<_>>();
    let books = rig.books();
    assert_eq!((&books["leads_doubled"]["LIME_EVENT_UID"], &books["leads_doubled"]["LIME_RECEIPT"]), (&json!({}), &json!({})), "seed {seed}");
    assert_eq!((with("LIME_RECEIPT").len(), with("LIME_REFUNDED").len()), (sales.len(), refunded.len()), "seed {seed}");
    assert!(with("LIME_RECEIPT").iter().all(|lead| lead["products"].as_array().unwrap().len() == 1), "seed {seed}");
    assert_eq!(rig.dead, Vec::<String>::new(), "seed {seed}");

    let state = rig.site.state(sandbox::Host::Lime);
    let preorders: Vec<&Value> = state["preorders"].as_object().unwrap().values().collect();
    assert_eq!((preorders.len(), with("LIME_PREORDER").len()), (bookings.len() + orders.len(), preorders.len()), "seed {seed}");
    for preorder in preorders {
        let deal =
            preorder["ref"].as_str().and_then(|reference| reference.strip_prefix("amo:deal:")).unwrap_or_else(|| panic!("seed {seed}: {preorder}"));
        let lead = leads.iter().find(|lead| lead["id"].as_u64() == deal.parse().ok()).unwrap();
        let shown = lead["products"][0]["metadata"]["quantity"].as_f64();
        assert_eq!(
            (preorder["lines"][0]["qty"].as_f64(), &lead["fields"]["LIME_PREORDER"]),
            (shown, &json!([preorder["id"]])),
            "seed {seed}: {preorder} {lead}"
        );
    }
}
