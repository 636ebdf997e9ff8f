//! Making a portal ready, and saying what is missing.

use limegate::crm::bitrix24::setup;
use limegate::crm::setup::{Ask, Dialogue, Mode, Plan, State};
use limegate::crm::texts::Texts;
use serde_json::json;

use crate::portal::Portal;
use crate::world::{both, deal};

fn run_setup(portal: &mut Portal, passes: limegate::config::PassesAs, mode: Mode) -> Plan {
    let zone = jiff::tz::TimeZone::UTC;
    let mut errand = setup::errand(passes, Texts::new(limegate::config::Language::Ru, zone), "akva".to_owned(), mode);
    let mut step = errand.next(None);
    loop {
        match step {
            Ask::Call(request) => step = errand.next(Some(&portal.answer(&request).unwrap())),
            Ask::Done(plan) => return plan,
            Ask::Failed(error) => panic!("{error}"),
        }
    }
}

#[test]
fn setup_creates_what_is_missing_once_and_changes_nothing_on_a_plan() {
    let mut portal = Portal {
        funnels: vec![(0, "Общая"), (9, "Проходы")], stages: vec![(9, "C9:WON", "Готово", json!("S"))], ..Portal::default()
    };
    let plan = run_setup(&mut portal, both(), Mode::Plan);
    assert_eq!((plan.missing(), plan.wrong()), (18, 0), "{}", plan.table(limegate::config::Language::Ru));
    assert!(portal.contact_fields.is_empty());
    let plan = run_setup(&mut portal, both(), Mode::Apply);
    assert!(plan.is_complete() && plan.missing() == 0);
    let mut made = portal.contact_fields.clone();
    made.sort();
    let mut wanted = Portal::ready().contact_fields;
    wanted.sort();
    assert_eq!(made, wanted);
    assert_eq!(portal.deal_fields.len(), 8);
    let adds = portal.of("crm.contact.userfield.add").len();
    assert!(run_setup(&mut portal, both(), Mode::Apply).items.iter().all(|item| item.state == State::Present));
    assert_eq!(portal.of("crm.contact.userfield.add").len(), adds);
}

#[test]
fn check_says_what_a_person_has_to_do() {
    let mut portal = Portal::ready();
    portal.funnels = vec![(0, "Общая"), (9, "Проходы"), (11, "Проходы")];
    portal.contact_fields[0].1 = "string".to_owned();
    let plan = run_setup(&mut portal, both(), Mode::Plan);
    let table = plan.table(limegate::config::Language::Ru);
    assert_eq!(plan.wrong(), 2, "{table}");
    assert!(table.contains("id 9, 11") && table.contains("UF_CRM_LIME_DEPOSIT есть, но его тип string, а нужен money"), "{table}");
    portal.funnels = vec![(0, "Общая")];
    let table = run_setup(&mut portal, deal(), Mode::Plan).table(limegate::config::Language::Ru);
    assert!(table.contains("воронка \"Проходы\" не найдена. Есть: \"Общая\" (id 0)."), "{table}");
}
