//! Setup of the integration: on an empty account, on one that people have worked in, and any number of times.

use jiff::tz::TimeZone;
use limegate::config::{CrmKind, DealRule, Hub, Language, StageRef};
use limegate::crm::setup::{Mode, State};
use limegate::crm::texts::Texts;
use serde_json::json;

use crate::hand::config;
use crate::hub_rig::Rig;

fn name(text: &str) -> StageRef {
    StageRef::Name(text.to_owned())
}

#[test]
fn an_empty_account_is_set_up_once_and_never_changed_again() {
    let mut rig = Rig::new(|_| {});
    let before = rig.books();
    for mode in [Mode::Plan, Mode::Apply, Mode::Apply, Mode::Plan] {
        let plan = rig.set_up(mode, true);
        assert!(plan.items.iter().all(|item| item.state == State::Present), "{}", plan.table(Language::En));
    }
    for part in ["lead_fields", "contact_fields", "pipelines", "catalogs"] {
        assert_eq!(rig.books()[part], before[part], "{part}");
    }
    let codes = before["lead_fields"].to_string();
    for code in ["LIME_RECEIPT", "LIME_LINES", "LIME_BOUGHT_AT", "LIME_REFUNDED", "LIME_PREORDER", "LIME_EVENT_FROM", "LIME_HALL", "LIME_STAFF"] {
        assert!(codes.contains(code), "{code} is not in {codes}");
    }
}

#[test]
fn pipelines_and_stages_are_created_only_when_that_is_asked_for() {
    let mut rig = Rig::new(|_| {});
    let rule = DealRule {
        pipeline: name("Продажи"), stage: name("Оплачено кассой"), responsible: Some(name("Кассир")), ..rig.hub.deals[0].clone()
    };
    rig.hub.deals.push(rule);
    rig.hub.preorders.send_at = Some(name("Подтверждено"));
    let plan = rig.set_up(Mode::Apply, false);
    assert_eq!((plan.is_complete(), plan.wrong()), (false, 3), "{}", plan.table(Language::En));
    let said = plan.table(Language::Ru);
    assert!(said.contains("[[hub.deal]] 2: pipeline: воронка \"Продажи\" не найдена. Есть: \"Воронка\""), "{said}");
    assert!(said.contains("[hub.preorders]: send_at: этап \"Подтверждено\" не найден"), "{said}");
    assert!(said.contains("сотрудник \"Кассир\" не найден. Есть: \"Администратор\", \"Менеджер\"") && said.contains("--pipelines"), "{said}");
    rig.hub.deals[1].responsible = Some(name("менеджер"));
    let plan = rig.set_up(Mode::Plan, true);
    assert_eq!((plan.missing(), plan.wrong()), (3, 0), "{}", plan.table(Language::En));
    let plan = rig.set_up(Mode::Apply, true);
    assert!(plan.is_complete(), "{}", plan.table(Language::En));
    let plan = rig.set_up(Mode::Apply, true);
    assert!(plan.items.iter().all(|item| item.state == State::Present), "{}", plan.table(Language::En));
}

#[test]
fn an_account_without_the_usual_pipeline_hears_how_to_name_or_create_it_and_is_complete_once_it_is_there() {
    let mut rig = Rig::new(|hub| hub.deals.clear());
    rig.hub = Hub::usual(&CrmKind::AmoCrm(config()), Language::En);
    let english = || Texts::new(Language::En, TimeZone::UTC);
    let plan = rig.set_up_in(english(), Mode::Apply, false);
    let said = plan.table(Language::En);
    assert_eq!((plan.wrong(), plan.missing()), (1, 0), "{said}");
    assert!(said.contains("pipeline \"Events\" not found. Existing: \"Воронка\"") && said.contains("[hub.preorders] pipeline = "), "{said}");
    let plan = rig.set_up_in(english(), Mode::Apply, true);
    assert!(plan.is_complete(), "{}", plan.table(Language::En));
    assert!(rig.set_up_in(english(), Mode::Plan, false).is_complete());
}

#[test]
fn a_tariff_without_lists_is_said_and_everything_else_is_set_up() {
    let mut rig = Rig::new(|_| {});
    assert!(rig.site.amocrm.switch("extended", &json!(false)));
    let plan = rig.set_up(Mode::Apply, false);
    assert_eq!((plan.wrong(), plan.missing()), (1, 0), "{}", plan.table(Language::En));
    assert!(plan.table(Language::Ru).contains("[hub] products = false"));
}

#[test]
fn an_account_that_people_have_worked_in_keeps_what_they_made_and_hears_what_is_wrong() {
    let mut rig = Rig::new(|_| {});
    let books = rig.books();
    // People rename our fields and the list, make a second pipeline of one name, and rename a stage that the config names.
    for field in books["lead_fields"].as_array().unwrap() {
        rig.api("PATCH", &format!("/leads/custom_fields/{}", field["id"]), json!({"name": "Переименовано"}));
    }
    let list = books["catalogs"].as_array().unwrap().iter().find(|catalog| catalog["type"] == "products").unwrap()["id"].clone();
    rig.api("PATCH", &format!("/catalogs/{list}"), json!({"name": "Прайс"}));
    let plan = rig.set_up(Mode::Apply, true);
    assert!(plan.items.iter().all(|item| item.state == State::Present), "{}", plan.table(Language::En));
    assert!(rig.books()["lead_fields"].as_array().unwrap().iter().all(|field| field["name"] == "Переименовано"));

    let twin = json!([{"name": "Дни рождения", "sort": 9, "is_main": false, "is_unsorted_on": false,
        "_embedded": {"statuses": [{"name": "Новый", "sort": 20, "color": "#99ccff"}]}}]);
    rig.api("POST", "/leads/pipelines", twin);
    let ids: Vec<String> =
        rig.books()["pipelines"].as_array().unwrap().iter().filter(|one| one["name"] == "Дни рождения").map(|one| one["id"].to_string()).collect();
    let plan = rig.set_up(Mode::Apply, true);
    let said = plan.table(Language::Ru);
    assert!(
        plan.wrong() == 1 && said.contains(&format!("встречается не один раз: id {}", ids.join(", "))) && said.contains("{ id = 123 }"),
        "{said}"
    );
    assert_eq!(rig.books()["pipelines"].as_array().unwrap().iter().filter(|one| one["name"] == "Дни рождения").count(), 2);
}

#[test]
fn a_renamed_pipeline_is_followed_by_its_id_and_a_stage_that_is_gone_holds_only_its_rule() {
    let mut rig = Rig::new(|hub| hub.deals.insert(0, DealRule { at_least: Some(100_000), stage: name("Крупные"), ..hub.deals[0].clone() }));
    rig.settle();
    let bookings = rig.books()["pipelines"].as_array().unwrap().iter().find(|one| one["name"] == "Дни рождения").unwrap().clone();
    rig.api("PATCH", &format!("/leads/pipelines/{}", bookings["id"]), json!({"name": "Праздники"}));
    let stage = bookings["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "Крупные").unwrap()["id"].clone();
    rig.api("DELETE", &format!("/leads/pipelines/{}/statuses/{stage}", bookings["id"]), json!(null));
    rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": "p-1", "qty": 5}]}));
    rig.cashier("sell", json!({"pay": "cash", "lines": [{"good_type_id": "p-1", "qty": 1}]}));
    rig.listen();
    for _ in 0..4 {
        rig.converse(&mut |_| crate::hub_rig::Fate::Heard);
        rig.pass_time(100);
    }
    let sold = |rig: &Rig| {
        rig.leads().into_iter().filter(|lead| lead["fields"]["LIME_LINES"].is_array()).map(|lead| lead["price"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((sold(&rig), rig.queue.len(), rig.dead.len()), (vec![json!(500)], 1, 0));
    let lead = rig.leads().into_iter().find(|lead| lead["price"] == json!(500)).unwrap();
    assert_eq!(lead["pipeline_id"], bookings["id"]);
    // Said by check, made anew by a person, and the receipt goes by itself.
    let said = rig.set_up(Mode::Plan, false).table(Language::Ru);
    assert!(said.contains("воронка \"Дни рождения\" не найдена") && said.contains("\"Праздники\""), "{said}");
    rig.api("POST", &format!("/leads/pipelines/{}/statuses", bookings["id"]), json!([{"name": "Крупные", "sort": 40, "color": "#99ccff"}]));
    rig.pass_time(16 * 60);
    rig.settle();
    assert_eq!(sold(&rig).len(), 2);
}
