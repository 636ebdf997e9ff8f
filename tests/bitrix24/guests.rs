//! Who the guests are, and their cards.

use serde_json::json;

use crate::known;
use crate::portal::Portal;
use crate::world::{World, both, confirmed, deal, job, pass, remote, retry, timeline};

#[test]
fn a_new_guests_first_pass_makes_the_contact_the_deal_and_the_line() {
    let mut world = known(both());
    let verdicts = world.deliver(vec![job(1, Some("c-1"))]);
    let (contact, item) = world.portal.contacts.first_key_value().unwrap();
    assert_eq!(item["name"], "Анна");
    assert_eq!((&item["secondName"], &item["lastName"], &item["birthdate"]), (&json!("Петровна"), &json!("Иванова"), &json!("1990-02-03")));
    assert_eq!((&item["originatorId"], &item["originId"]), (&json!("LIME"), &json!("client:c-1")));
    assert_eq!(item["ufCrm_LIME_CHILDREN"], json!({"0": "Пётр — 06.05.2018 (сын)", "1": "Ольга — 02.01.2020 (дочь)"}));
    assert_eq!((&item["ufCrm_LIME_DEPOSIT"], &item["ufCrm_LIME_BONUS"]), (&json!("1250.50|RUB"), &json!("7")));
    assert_eq!((&item["ufCrm_LIME_CARD"], &item["ufCrm_LIME_VISITS"]), (&json!("••A1A3"), &json!("1")));
    assert_eq!(item["ufCrm_LIME_LAST_VISIT"], "2026-11-22T14:32:01+05:00");
    let fm = item["fm"].as_array().unwrap();
    assert_eq!(fm.iter().map(|entry| entry["value"].as_str().unwrap()).collect::<Vec<_>>(), ["+79991234567", "c-1@example.ru"]);

    let (id, deal) = world.portal.deals.first_key_value().unwrap();
    assert_eq!(deal["contactId"], contact.to_string());
    assert_eq!((&deal["categoryId"], &deal["stageId"]), (&json!("9"), &json!("C9:WON")));
    assert_eq!((&deal["opportunity"], &deal["currencyId"], &deal["begindate"]), (&json!("500.50"), &json!("RUB"), &json!("2026-11-22")));
    assert_eq!(deal["originId"], format!("pass:{}", pass(1)));
    assert_eq!(deal["ufCrm_LIME_TICKET"], "Батуты 1 час & ＄result[c0001]", "a reference is taken the power from");
    assert_eq!(deal["ufCrm_LIME_AT"], "2026-11-22T14:32:01+05:00");

    let (of, _, text) = &world.portal.lines[0];
    assert_eq!(of, contact);
    assert!(text.ends_with(&format!("pass:{}", pass(1))) && text.contains("Вход Север"), "{text}");
    assert_eq!(remote(&verdicts[&1]), Some(format!("deal:{id}").as_str()));
    assert!(!world.ledger_kinds().contains(&"bitrix24.deal".to_owned()), "a finished pass leaves nothing in the ledger");
    assert_eq!(world.portal.of("crm.item.add").len(), 2);
}

#[test]
fn many_passes_of_a_known_guest_cost_one_update_and_an_unchanged_person_is_not_read() {
    let mut world = known(timeline());
    world.deliver(vec![job(1, Some("c-1"))]);
    let (before, lime) = (world.requests(), world.lime_calls.len());
    let verdicts = world.deliver((2..10).map(|seq| job(seq, Some("c-1"))).collect());
    assert!(verdicts.values().all(confirmed));
    assert_eq!(world.requests() - before, 2, "an update and the lines");
    assert_eq!(world.lime_calls.len() - lime, 2);
    assert_eq!(world.portal.of("crm.item.update").len(), 1);
    assert_eq!(world.portal.of("crm.item.get").len(), 0);
    assert_eq!(world.portal.of("crm.item.fields").len(), 1, "the schema is kept");
    assert_eq!(world.portal.lines.len(), 9);
    let item = world.portal.contacts.first_key_value().unwrap().1;
    assert_eq!(item["ufCrm_LIME_VISITS"], "9");
}

#[test]
fn a_contact_found_by_phone_keeps_its_names_gets_what_it_lacks_and_our_origin() {
    let mut world = known(timeline());
    let people = |name: &str| json!({"name": name, "fm": [{"id": 1, "typeId": "PHONE", "value": "8 (999) 123-45-67"}]});
    let old = world.portal.contact(people("Анюта"));
    world.portal.contact(people("Анна два"));
    let verdicts = world.deliver(vec![job(1, Some("c-1"))]);
    assert!(confirmed(&verdicts[&1]));
    let item = &world.portal.contacts[&old];
    assert_eq!((&item["name"], &item["lastName"]), (&json!("Анюта"), &json!("Иванова")));
    assert_eq!(item["originId"], "client:c-1");
    let values: Vec<_> = item["fm"].as_array().unwrap().iter().map(|entry| entry["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["8 (999) 123-45-67", "c-1@example.ru"], "the phone is there in another spelling");
    assert_eq!(world.portal.contacts.len(), 2);
    // The fm of an update is never a list: its keys would be ids.
    let update = &world.portal.of("crm.item.update")[0].params["fields"]["fm"];
    assert_eq!(update.as_object().unwrap().keys().collect::<Vec<_>>(), ["n0"]);
}

#[test]
fn members_of_a_family_who_share_a_phone_do_not_share_a_contact() {
    let mut world = known(timeline());
    world.client("c-2", "Пётр", "+79991234567");
    world.portal.contact(json!({"name": "Анна", "fm": [{"id": 1, "typeId": "PHONE", "value": "+79991234567"}]}));
    assert!(world.deliver(vec![job(1, Some("c-1")), job(2, Some("c-2"))]).values().all(confirmed));
    assert_eq!(world.portal.contacts.len(), 2);
    // And not later, when the ledger is lost.
    world.forget_ledger();
    assert!(world.deliver(vec![job(3, Some("c-2")), job(4, Some("c-1"))]).values().all(confirmed));
    assert_eq!(world.portal.contacts.len(), 2);
    let of = |client: &str| *world.portal.contacts.iter().find(|(_, item)| item["originId"] == format!("client:{client}")).unwrap().0;
    let contacts: Vec<u64> = world.portal.lines.iter().map(|line| line.0).collect();
    assert_eq!(contacts, [of("c-1"), of("c-2"), of("c-2"), of("c-1")]);
}

#[test]
fn a_lost_ledger_costs_look_ups_and_no_visit() {
    let mut world = known(timeline());
    world.deliver((1..4).map(|seq| job(seq, Some("c-1"))).collect());
    world.forget_ledger();
    world.deliver(vec![job(4, Some("c-1"))]);
    assert_eq!(world.portal.contacts.len(), 1);
    assert_eq!(world.portal.contacts.first_key_value().unwrap().1["ufCrm_LIME_VISITS"], "4");
    assert_eq!(world.portal.of("crm.duplicate.findbycomm").len(), 2, "phone and e-mail the first time; then the origin was enough");
}

#[test]
fn a_contact_that_people_deleted_is_looked_for_afresh() {
    for passes in [timeline(), deal()] {
        let mut world = known(passes);
        world.deliver(vec![job(1, Some("c-1"))]);
        world.portal.contacts.clear();
        assert_eq!(retry(&world.deliver(vec![job(2, Some("c-1"))])[&2]), "crm/contact_gone");
        assert!(confirmed(&world.deliver(vec![job(2, Some("c-1"))])[&2]));
        assert_eq!(world.portal.contacts.len(), 1);
    }
}

#[test]
fn a_card_that_the_portal_refuses_does_not_keep_passes_from_being_recorded() {
    let bad = json!({"error": "ERROR_CORE", "error_description": "Поле E-mail c-1@example.ru заполнено неверно"});
    let mut world = known(timeline());
    world.portal.fail("crm.item.add", bad.clone());
    assert!(confirmed(&world.deliver(vec![job(1, Some("c-1"))])[&1]), "created without its e-mail");
    let fm = &world.portal.contacts.first_key_value().unwrap().1["fm"];
    assert_eq!(fm.as_array().unwrap().len(), 1);
    world.portal.fail("crm.item.update", bad.clone());
    assert!(confirmed(&world.deliver(vec![job(2, Some("c-1"))])[&2]));
    assert_eq!(world.portal.lines.len(), 2);
}

#[test]
fn guests_are_read_many_at_once_and_one_by_one_where_the_adapter_lacks_that() {
    for reads_many in [true, false] {
        let mut world = World::new(timeline());
        world.reads_many = reads_many;
        for guest in 0..150 {
            world.client(&format!("g-{guest}"), "Имя", &format!("+7999{guest:07}"));
        }
        let jobs = |from: u64| (0..150).map(move |guest| job(from + guest, Some(&format!("g-{guest}")))).chain([job(from + 150, Some("nobody"))]);
        for (from, many) in [(1, if reads_many { 2 } else { 1 }), (1_001, if reads_many { 2 } else { 0 })] {
            world.lime_calls.clear();
            assert!(world.deliver(jobs(from).collect()).values().all(confirmed));
            assert_eq!(world.lime_calls.iter().filter(|path| *path == "/clients:batch").count(), many, "{reads_many} {from}");
            // Of a client whom Lime does not know, the first of the two reads says it; they have no contact, and are looked for before the others.
            let alone = if reads_many { usize::from(from > 1) } else { 301 };
            assert_eq!(world.lime_calls.len() - many, alone, "{reads_many} {from}");
        }
        assert_eq!(world.portal.contacts.len(), 150);
        assert_eq!(world.ledger_kinds().contains(&"lime.clients_batch".to_owned()), !reads_many);
    }
}

#[test]
fn a_field_that_the_portal_ignores_is_noticed_and_looked_for() {
    let mut world = known(timeline());
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.contact_fields.retain(|field| field.0 != "UF_CRM_LIME_VISITS");
    world.portal.contacts.values_mut().for_each(|item| drop(item.remove("ufCrm_LIME_VISITS")));
    assert_eq!(retry(&world.deliver(vec![job(2, Some("c-1"))])[&2]), "setup/field");
    world.portal.contact_fields = Portal::ready().contact_fields;
    assert!(confirmed(&world.deliver(vec![job(2, Some("c-1"))])[&2]));
}
