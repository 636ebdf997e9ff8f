//! Setup of the integration: on an empty account, on one that people have worked in, and any number of times.

use limegate::config::{DealRule, Language, StageRef};
use limegate::crm::setup::{Mode, State};
use serde_json::json;

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
fn a_tariff_without_lists_is_said_and_everything_else_is_set_up() {
    let mut rig = Rig::new(|_| {});
    assert!(rig.site.amocrm.switch("extended", &json!(false)));
    let plan = rig.set_up(Mode::Apply, false);
    assert_eq!((plan.wrong(), plan.missing()), (1, 0), "{}", plan.table(Language::En));
    assert!(plan.table(Language::Ru).contains("[hub] products = false"));
}
