//! Bookings and preorders, both ways.

use limegate::config::StageRef;
use limegate::delivery::Call;
use serde_json::{Value, json};

use crate::hub_rig::{Fate, Rig, heard};

fn ready() -> Rig {
    ready_with(|_| {})
}

fn ready_with(change: impl FnOnce(&mut limegate::config::Hub)) -> Rig {
    let mut rig = Rig::new(|hub| {
        // Receipts have tests of their own.
        hub.deals.clear();
        change(hub);
    });
    rig.settle();
    rig.pass_time(60);
    rig.requests();
    rig
}

/// The preorders that Lime has.
fn preorders(rig: &Rig) -> Vec<Value> {
    let state = rig.site.state(sandbox::Host::Lime);
    match &state["preorders"] {
        Value::Array(all) => all.clone(),
        Value::Object(all) => all.values().cloned().collect(),
        other => panic!("{other}"),
    }
}

fn only(rig: &Rig) -> Value {
    let all = preorders(rig);
    assert_eq!(all.len(), 1, "{all:#?}");
    all[0].clone()
}

fn notes(rig: &Rig, lead: u64) -> Vec<String> {
    let books = rig.books();
    let all = books["notes"].as_array().unwrap().iter().filter(|note| note["entity_id"] == json!(lead));
    all.inspect(|note| assert_eq!(note["triggers"], json!(false))).map(|note| note["params"]["text"].as_str().unwrap().to_owned()).collect()
}

fn pipeline(rig: &Rig) -> Value {
    let books = rig.books();
    books["pipelines"].as_array().unwrap().iter().find(|pipeline| pipeline["name"] == "Дни рождения").unwrap().clone()
}

/// A manager makes a booking of two products for somebody whom Lime does not know.
fn booked(rig: &mut Rig) -> u64 {
    let contact = rig.manager("contact", json!({"name": "Ольга Заказчикова", "phones": ["8 (999) 765-43-21"]}))["id"].as_u64().unwrap();
    let from = rig.now() / 1_000 + 86_400;
    let fields = json!({"LIME_EVENT_FROM": from, "LIME_EVENT_TO": from + 7_200, "LIME_HALL": "Пиратский", "LIME_STAFF": "Ира, Олег"});
    let pipeline = pipeline(rig)["id"].clone();
    let lead =
        rig.manager("lead", json!({"name": "ДР Пети", "pipeline_id": pipeline, "contacts": [contact], "fields": fields}))["id"].as_u64().unwrap();
    rig.manager("products", json!({"lead_id": lead, "products": [{"external_id": "p-1", "quantity": 10}, {"external_id": "p-2", "quantity": 1}]}));
    lead
}

fn lead(rig: &Rig, id: u64) -> Value {
    rig.leads().into_iter().find(|lead| lead["id"] == json!(id)).unwrap()
}

#[test]
fn products_added_to_a_booking_become_a_preorder_and_the_lead_shows_what_it_costs() {
    let mut rig = ready();
    let id = booked(&mut rig);
    rig.settle();
    let preorder = only(&rig);
    assert_eq!((&preorder["ref"], &preorder["total"], &preorder["status"]), (&json!(format!("amo:deal:{id}")), &json!(980_000), &json!("confirmed")));
    assert_eq!((&preorder["contact"]["phone"], &preorder["event"]["room"]), (&json!("+79997654321"), &json!("Пиратский")));
    assert_eq!(preorder["event"]["staff"], json!(["Ира", "Олег"]));
    assert_eq!(lead(&rig, id)["fields"]["LIME_PREORDER"], json!([preorder["id"]]));
    let said = notes(&rig, id);
    assert!(said.len() == 1 && said[0].contains("9\u{a0}800,00\u{a0}₽"), "{said:?}");
    println!("{} requests to amoCRM for a new preorder: {:?}", rig.asked.len(), rig.asked);
    // Our own writes come back, and change nothing.
    let revision = preorder["revision"].clone();
    rig.pass_time(60);
    rig.settle();
    assert_eq!((&only(&rig)["revision"], notes(&rig, id).len(), rig.leads().len()), (&revision, 1, 1));
}

#[test]
fn changes_of_the_booking_reach_lime_and_its_end_cancels_the_preorder() {
    let mut rig = ready();
    let id = booked(&mut rig);
    rig.settle();
    rig.requests();
    rig.pass_time(60);
    rig.manager("products", json!({"lead_id": id, "products": [{"external_id": "p-1", "quantity": 12}, {"external_id": "p-2", "quantity": 0}]}));
    rig.settle();
    println!("{} requests to amoCRM for a changed preorder: {:?}", rig.asked.len(), rig.asked);
    let preorder = only(&rig);
    assert_eq!((&preorder["total"], preorder["lines"].as_array().unwrap().len()), (&json!(600_000), 1));
    rig.pass_time(60);
    rig.manager("lead", json!({"id": id, "status_id": 143}));
    rig.settle();
    assert_eq!(only(&rig)["status"], json!("cancelled"));
    // Somebody thinks better of it.
    rig.pass_time(60);
    let first = pipeline(&rig)["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "Скоро").unwrap()["id"].clone();
    rig.manager("lead", json!({"id": id, "status_id": first}));
    rig.settle();
    assert_eq!(only(&rig)["status"], json!("confirmed"));
    rig.pass_time(60);
    rig.manager("delete", json!({"kind": "leads", "id": id}));
    rig.settle();
    assert_eq!((&only(&rig)["status"], rig.dead.len()), (&json!("cancelled"), 0));
}

#[test]
fn link_changes_that_do_not_touch_the_lead_are_heard_of_by_events() {
    for filters in [true, false] {
        let mut rig = ready();
        assert!(rig.site.amocrm.switch("links_touch", &json!(false)) && rig.site.amocrm.switch("filters", &json!(filters)));
        let id = booked(&mut rig);
        rig.settle();
        assert_eq!(only(&rig)["total"], json!(980_000));
        rig.pass_time(600);
        rig.manager("products", json!({"lead_id": id, "products": [{"external_id": "p-1", "quantity": 1}]}));
        rig.settle();
        assert_eq!(only(&rig)["total"], json!(530_000), "filters: {filters}");
    }
}

#[test]
fn a_booking_is_sent_only_from_its_stage_on_and_other_pipelines_never_are() {
    let mut rig = ready_with(|hub| hub.preorders.send_at = Some(StageRef::Name("Подтверждено".to_owned())));
    let id = booked(&mut rig);
    let other = rig.manager("lead", json!({"name": "Не праздник"}))["id"].as_u64().unwrap();
    rig.manager("products", json!({"lead_id": other, "products": [{"external_id": "p-1", "quantity": 1}]}));
    rig.settle();
    assert_eq!(preorders(&rig).len(), 0);
    rig.pass_time(60);
    let stages = pipeline(&rig)["stages"].clone();
    let confirmed = stages.as_array().unwrap().iter().find(|stage| stage["name"] == "Подтверждено").unwrap()["id"].clone();
    rig.manager("lead", json!({"id": id, "status_id": confirmed}));
    rig.settle();
    assert_eq!(only(&rig)["ref"], json!(format!("amo:deal:{id}")));
}

/// A cashier takes a preorder by phone.
fn ordered(rig: &mut Rig) -> String {
    let event = json!({"title": "Выпускной", "starts_at": "2026-12-01T12:00:00+05:00", "ends_at": "2026-12-01T14:00:00+05:00", "room": "Космос",
        "staff": ["Ира"]});
    let body = json!({"contact": {"name": "Павел Новиков", "phone": "+79991112233"}, "event": event, "status": "confirmed", "prepaid": 100_000,
        "lines": [{"good_type_id": "p-1", "qty": 5, "price": 50_000}]});
    rig.cashier("preorder", body)["preorder_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_preorder_made_in_lime_becomes_one_lead_with_contact_products_and_price_whatever_is_lost() {
    let calls = ["nothing", "POST /contacts", "POST /leads", "POST /leads/link", "PUT /preorders/by-ref/{ref}"];
    for (label, fate) in calls.into_iter().flat_map(|label| [Fate::Lost, Fate::Dies, Fate::NotSent].map(|fate| (label, fate))) {
        let mut rig = ready();
        let preorder = ordered(&mut rig);
        let mut left = 1;
        rig.settle_with(|call| {
            if call.request.label == label && left > 0 {
                left -= 1;
                return fate;
            }
            Fate::Heard
        });
        if label == "nothing" && fate == Fate::Lost {
            println!("{} requests to amoCRM for a preorder of Lime's: {:?}", rig.asked.len(), rig.asked);
        }
        let leads = rig.leads();
        let [lead] = leads.as_slice() else { panic!("{label} {fate:?}: {leads:#?}") };
        assert_eq!((&lead["name"], &lead["price"]), (&json!("Выпускной"), &json!(2_500)), "{label} {fate:?}");
        assert_eq!((&lead["fields"]["LIME_PREORDER"], &lead["fields"]["LIME_HALL"]), (&json!([preorder]), &json!(["Космос"])));
        assert_eq!((lead["products"].as_array().unwrap().len(), lead["contacts"].as_array().unwrap().len()), (1, 1), "{label} {fate:?}");
        let bound = only(&rig);
        assert_eq!((&bound["ref"], &bound["total"]), (&json!(format!("amo:deal:{}", lead["id"])), &json!(250_000)), "{label} {fate:?}");
        let contacts = rig.books()["contacts"].as_array().unwrap().iter().filter(|contact| contact["name"] == "Павел Новиков").count();
        assert_eq!((contacts, rig.dead.len()), (1, 0), "{label} {fate:?}");
        // The feed tells of our lead: it is not sent back.
        let revision = bound["revision"].clone();
        rig.pass_time(60);
        rig.settle();
        assert_eq!((&only(&rig)["revision"], rig.leads().len()), (&revision, 1), "{label} {fate:?}");
    }
}

#[test]
fn a_preorder_changed_in_lime_changes_its_lead() {
    let mut rig = ready();
    let preorder = ordered(&mut rig);
    rig.settle();
    rig.pass_time(60);
    rig.settle();
    rig.cashier("preorder", json!({"id": preorder, "lines": [{"good_type_id": "p-1", "qty": 7}, {"good_type_id": "p-2", "qty": 1}]}));
    rig.settle();
    let leads = rig.leads();
    assert_eq!((leads.len(), &leads[0]["price"], leads[0]["products"].as_array().unwrap().len()), (1, &json!(8_300), 2), "{leads:#?}");
    rig.pass_time(60);
    rig.cashier("preorder", json!({"id": preorder, "lines": [{"good_type_id": "p-2", "qty": 1}]}));
    rig.settle();
    assert_eq!(rig.leads()[0]["products"].as_array().unwrap().len(), 1);
    rig.pass_time(60);
    rig.cashier("preorder", json!({"id": preorder, "status": "cancelled"}));
    rig.settle();
    assert_eq!((&rig.leads()[0]["status_id"], &only(&rig)["status"]), (&json!(143), &json!("cancelled")));
}

#[test]
fn a_conflict_is_shown_to_staff_in_the_lead_and_the_lead_counts() {
    let mut rig = ready();
    let preorder = ordered(&mut rig);
    rig.settle();
    rig.pass_time(60);
    rig.settle();
    let id = rig.leads()[0]["id"].as_u64().unwrap();
    rig.cashier("preorder", json!({"id": preorder, "lines": [{"good_type_id": "p-1", "qty": 20}]}));
    rig.manager("products", json!({"lead_id": id, "products": [{"external_id": "p-1", "quantity": 6}]}));
    rig.settle();
    let said = notes(&rig, id).join("\n");
    assert!(said.contains("×20"), "{said}");
    assert_eq!((&only(&rig)["lines"][0]["qty"], rig.leads()[0]["products"][0]["metadata"]["quantity"].as_f64()), (&json!(6), Some(6.0)));
}

#[test]
fn lost_answers_on_the_way_to_lime_make_one_preorder_and_one_note() {
    for label in ["PUT /preorders/by-ref/{ref}", "PATCH /leads", "POST /leads/notes"] {
        for fate in [Fate::Lost, Fate::Dies, Fate::NotSent] {
            let mut rig = ready();
            let id = booked(&mut rig);
            let mut left = 1;
            rig.settle_with(|call: &Call| {
                if call.request.label == label && left > 0 {
                    left -= 1;
                    return fate;
                }
                Fate::Heard
            });
            assert_eq!((left, &only(&rig)["total"]), (0, &json!(980_000)), "{label} {fate:?}");
            assert_eq!((notes(&rig, id).len(), rig.dead.len()), (1, 0), "{label} {fate:?}");
            assert_eq!(lead(&rig, id)["fields"]["LIME_PREORDER"], json!([only(&rig)["id"]]), "{label} {fate:?}");
        }
    }
}

#[test]
fn a_booking_of_nobody_is_said_once_in_the_lead_whatever_is_lost() {
    for fate in [Fate::Heard, Fate::Lost, Fate::Dies, Fate::NotSent] {
        let mut rig = ready();
        let pipeline = pipeline(&rig)["id"].clone();
        let id = rig.manager("lead", json!({"name": "Без имени", "pipeline_id": pipeline}))["id"].as_u64().unwrap();
        rig.manager("products", json!({"lead_id": id, "products": [{"external_id": "p-1", "quantity": 1}]}));
        let mut left = 1;
        rig.settle_with(|call: &Call| {
            if call.request.label == "POST /leads/notes" && left > 0 {
                left -= 1;
                return fate;
            }
            Fate::Heard
        });
        assert_eq!((rig.dead.len(), preorders(&rig).len(), left), (1, 0, 0), "{fate:?} {:?}", rig.dead);
        assert!(notes(&rig, id).len() == 1 && notes(&rig, id)[0].contains("нет контакта"), "{fate:?}");
    }
}

#[test]
fn a_preorder_that_lime_refuses_is_said_in_the_lead() {
    let mut rig = ready();
    let id = booked(&mut rig);
    // A product that Lime has never had, with a key as if it had.
    let catalog = rig.books()["catalogs"].as_array().unwrap().iter().find(|catalog| catalog["type"] == "products").unwrap()["id"].clone();
    let key = json!([{"field_code": "EXTERNAL_ID", "values": [{"value": "p-404"}]}]);
    rig.api("POST", &format!("/catalogs/{catalog}/elements"), json!([{"name": "Торт", "custom_fields_values": key}]));
    rig.manager("products", json!({"lead_id": id, "products": [{"external_id": "p-404", "quantity": 1}]}));
    rig.settle_with(heard);
    assert_eq!((rig.dead.len(), preorders(&rig).len()), (1, 0), "{:?}", rig.dead);
    assert!(notes(&rig, id).join("").contains("Лайм не принял"));
}
