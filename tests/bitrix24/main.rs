//! Conversations with Bitrix24, answered by a small portal of our own: each branch by hand, and all of them together under random faults.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod portal;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use limegate::crm::bitrix24::setup;
use limegate::crm::setup::{Ask, Dialogue, Mode, Plan, State};
use limegate::crm::texts::Texts;
use limegate::delivery::{Job, Verdict};
use limegate::domain::Seq;
use portal::{Cut, Portal};
use serde_json::{Value, json};
use world::{World, both, confirmed, deal, doubtful, job, pass, remote, retry, timeline};

fn known(passes: limegate::config::PassesAs) -> World {
    let mut world = World::new(passes);
    world.client("c-1", "Анна", "+7 999 123-45-67");
    world
}

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
fn a_create_whose_answer_is_lost_is_asked_for_and_not_repeated() {
    let mut world = known(deal());
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.cuts.push_back(("crm.item.add", Cut::After));
    let jobs: Vec<Job> = (2..5).map(|seq| job(seq, Some("c-1"))).collect();
    let verdicts = world.deliver(jobs.clone());
    assert!(verdicts.values().all(|verdict| *verdict == Verdict::Doubtful), "{verdicts:?}");
    assert!((2..5).all(|seq| world.sent.contains(&seq)), "`sending` was asked for");
    let asked = world.requests();
    let verdicts = world.deliver(jobs.into_iter().map(doubtful).collect());
    assert!(verdicts.values().all(confirmed));
    assert_eq!((world.requests() - asked, world.portal.deals.len()), (1, 4));
}

#[test]
fn what_is_not_found_is_said_and_created_afresh_later() {
    let mut world = known(both());
    world.deliver(vec![job(1, Some("c-1"))]);
    let verdicts = world.deliver(vec![doubtful(job(2, Some("c-1"))), job(3, Some("c-1"))]);
    assert_eq!(verdicts[&2], Verdict::NotFound);
    assert_eq!(retry(&verdicts[&3]), "crm/order", "a pass waits for the one before it");
    assert!(world.deliver(vec![job(2, Some("c-1")), job(3, Some("c-1"))]).values().all(confirmed));
    assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (3, 3));
}

#[test]
fn a_line_in_doubt_is_found_by_its_token_behind_other_programs_lines() {
    let mut world = known(timeline());
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.cuts.push_back(("crm.timeline.logmessage.add", Cut::After));
    assert_eq!(world.deliver(vec![job(2, Some("c-1"))])[&2], Verdict::Doubtful);
    let contact = *world.portal.contacts.first_key_value().unwrap().0;
    for n in 0..37 {
        world.portal.lines.push((contact, 9_000 + n, "звонок".to_owned()));
    }
    let verdicts = world.deliver(vec![doubtful(job(2, Some("c-1")))]);
    assert!(remote(&verdicts[&2]).unwrap().starts_with("timeline:"));
    let verdicts = world.deliver(vec![doubtful(job(3, Some("c-1")))]);
    assert_eq!(verdicts[&3], Verdict::NotFound);
}

#[test]
fn a_deal_that_is_there_is_not_created_again_for_a_line_that_is_not() {
    for (cut, wanted) in [(Cut::Before, "not_sent"), (Cut::Refused(503, "QUERY_LIMIT_EXCEEDED"), "crm/rate")] {
        let mut world = known(both());
        world.deliver(vec![job(1, Some("c-1"))]);
        world.portal.cuts.push_back(("crm.timeline.logmessage.add", cut));
        assert_eq!(retry(&world.deliver(vec![job(2, Some("c-1"))])[&2]), wanted);
        assert!(world.ledger_kinds().contains(&"bitrix24.deal".to_owned()));
        let verdicts = world.deliver(vec![job(2, Some("c-1"))]);
        assert!(remote(&verdicts[&2]).unwrap().starts_with("deal:"));
        assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (2, 2));
        assert!(!world.ledger_kinds().contains(&"bitrix24.deal".to_owned()));
    }
}

#[test]
fn with_both_each_half_in_doubt_is_asked_for_by_itself() {
    // The deal arrived, the line did not, and the power went before either was known.
    let mut world = known(both());
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.cuts.push_back(("crm.item.add", Cut::After));
    world.deliver(vec![job(2, Some("c-1"))]);
    assert_eq!(world.deliver(vec![doubtful(job(2, Some("c-1")))])[&2], Verdict::NotFound);
    assert!(confirmed(&world.deliver(vec![job(2, Some("c-1"))])[&2]));
    assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (2, 2));
    // Both arrived.
    world.portal.cuts.push_back(("crm.timeline.logmessage.add", Cut::After));
    assert_eq!(world.deliver(vec![job(3, Some("c-1"))])[&3], Verdict::Doubtful);
    assert!(confirmed(&world.deliver(vec![doubtful(job(3, Some("c-1")))])[&3]));
    assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (3, 3));
}

#[test]
fn a_contact_whose_creation_is_in_doubt_is_not_created_twice() {
    let mut world = known(timeline());
    world.portal.cuts.push_back(("crm.item.add", Cut::After));
    assert_eq!(world.deliver(vec![job(1, Some("c-1"))])[&1], Verdict::Doubtful);
    assert_eq!(world.deliver(vec![doubtful(job(1, Some("c-1")))])[&1], Verdict::NotFound);
    assert!(confirmed(&world.deliver(vec![job(1, Some("c-1"))])[&1]));
    assert_eq!((world.portal.contacts.len(), world.portal.lines.len()), (1, 1));
}

#[test]
fn what_is_missing_at_the_portal_holds_passes_up_and_loses_none() {
    let missing_stage = |portal: &mut Portal| portal.stages.retain(|stage| stage.1 != "C9:WON");
    let missing_funnel = |portal: &mut Portal| portal.funnels.retain(|funnel| funnel.0 != 9);
    let twin_funnel = |portal: &mut Portal| portal.funnels.push((12, "проходы"));
    let missing_field = |portal: &mut Portal| portal.deal_fields.retain(|field| field.0 != "UF_CRM_LIME_LEFT");
    type Spoil = fn(&mut Portal);
    let cases: [(Spoil, &str); 4] =
        [(missing_stage, "setup/stage"), (missing_funnel, "setup/pipeline"), (twin_funnel, "setup/pipeline"), (missing_field, "setup/field")];
    for (spoil, wanted) in cases {
        let mut world = known(both());
        spoil(&mut world.portal);
        for _ in 0..5 {
            assert_eq!(retry(&world.deliver(vec![job(1, Some("c-1"))])[&1]), wanted);
        }
        let ready = Portal::ready();
        (world.portal.stages, world.portal.funnels, world.portal.deal_fields) = (ready.stages, ready.funnels, ready.deal_fields);
        assert!(confirmed(&world.deliver(vec![job(1, Some("c-1"))])[&1]), "{wanted}");
    }
}

#[test]
fn a_stage_that_went_away_is_looked_up_once_and_then_a_person_decides() {
    let stale = json!({"error": "CRM_FIELD_ERROR_VALUE_NOT_VALID", "error_description": "Стадия не найдена"});
    let mut world = known(deal());
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.stages = vec![(9, "C9:DONE", "Готово", json!("S"))];
    world.portal.fail("crm.item.add", stale.clone());
    assert!(confirmed(&world.deliver(vec![job(2, Some("c-1"))])[&2]));
    assert_eq!(world.portal.deals.last_key_value().unwrap().1["stageId"], "C9:DONE");
    // The stage is gone for good: the pass waits.
    world.portal.stages.clear();
    world.portal.fail("crm.item.add", stale.clone());
    assert_eq!(retry(&world.deliver(vec![job(3, Some("c-1"))])[&3]), "setup/stage");
    // The stage is there, and the portal says the same again: not the names are at fault.
    world.portal.stages = vec![(9, "C9:DONE", "Готово", json!("S"))];
    world.portal.fail("crm.item.add", stale.clone());
    assert!(matches!(&world.deliver(vec![job(3, Some("c-1"))])[&3], Verdict::Dead { reason, .. } if reason == "refused/deal"));
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
fn a_limit_inside_a_batch_stops_the_batch_and_says_when() {
    for (code, after) in [("QUERY_LIMIT_EXCEEDED", 2), ("OPERATION_TIME_LIMIT", 60), ("OVERLOAD_LIMIT", 300)] {
        let mut world = known(deal());
        world.deliver(vec![job(1, Some("c-1"))]);
        world.portal.fail("crm.item.add", Value::Null);
        world.portal.fail("crm.item.add", json!({"error": code, "error_description": ""}));
        let before = world.requests();
        let verdicts = world.deliver((2..80).map(|seq| job(seq, None)).collect());
        assert!(confirmed(&verdicts[&2]));
        for seq in [3, 60, 79] {
            assert!(
                matches!(&verdicts[&seq], Verdict::Retry { after: Some(pause), .. } if *pause == Duration::from_secs(after)),
                "{seq} {:?}",
                verdicts[&seq]
            );
        }
        assert_eq!(world.requests() - before, 1, "nothing more is sent");
    }
}

#[test]
fn a_method_near_its_operating_budget_rests_until_the_portal_gives_some_back() {
    let mut world = known(deal());
    world.portal.operating.insert("crm.item.add".to_owned(), 361.0);
    world.deliver(vec![job(1, None)]);
    let before = world.requests();
    let verdicts = world.deliver(vec![job(2, None)]);
    assert!(
        matches!(&verdicts[&2], Verdict::Retry { reason, after: Some(pause) } if reason == "crm/operating_time" && *pause == Duration::from_secs(45))
    );
    assert_eq!(world.requests(), before);
    world.now_ms += 45_000;
    assert!(confirmed(&world.deliver(vec![job(2, None)])[&2]));
}

#[test]
fn a_request_refused_as_a_whole_did_nothing_and_one_that_broke_off_is_in_doubt() {
    let cases = [
        (Cut::Refused(503, "QUERY_LIMIT_EXCEEDED"), Some("crm/rate")),
        (Cut::Refused(429, "OPERATION_TIME_LIMIT"), Some("crm/operating_time")),
        (Cut::Refused(401, "expired_token"), Some("auth")),
        (Cut::Refused(403, "ACCESS_DENIED"), Some("setup/access")),
        (Cut::Refused(404, "ERROR_METHOD_NOT_FOUND"), Some("setup/method")),
        (Cut::Refused(500, "INTERNAL_SERVER_ERROR"), None),
        (Cut::HalfThen502(1), None),
        (Cut::Before, Some("not_sent")),
        (Cut::After, None),
    ];
    for (cut, wanted) in cases {
        let mut world = known(deal());
        world.deliver(vec![job(1, None)]);
        world.portal.cuts.push_back(("crm.item.add", cut));
        for verdict in world.deliver(vec![job(2, None), job(3, None)]).values() {
            match wanted {
                Some(reason) => assert_eq!(retry(verdict), reason, "{cut:?}"),
                None => assert_eq!(*verdict, Verdict::Doubtful, "{cut:?}"),
            }
        }
    }
}

#[test]
fn a_command_that_stumbled_or_was_not_mentioned_is_in_doubt() {
    for passes in [deal(), both()] {
        for method in ["crm.item.add", "crm.timeline.logmessage.add"] {
            for fault in [json!({"error": "INTERNAL_SERVER_ERROR", "done": true}), json!({"done": true})] {
                let mut world = known(passes.clone());
                world.deliver(vec![job(1, Some("c-1"))]);
                world.portal.fail(method, fault);
                let first = world.deliver(vec![job(2, Some("c-1")), job(3, None)]);
                let second = if first[&2] == Verdict::Doubtful { world.deliver(vec![doubtful(job(2, Some("c-1")))]) } else { first };
                if second[&2] == Verdict::NotFound {
                    // The deal is there, and its line was never written.
                    world.deliver(vec![job(2, Some("c-1"))]);
                }
                let lines = if world.portal.lines.is_empty() { 0 } else { 2 };
                assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (3, lines), "{method}");
            }
        }
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
fn a_record_refused_for_good_is_dead_without_the_guests_words_and_holds_up_nobody() {
    let mut world = known(deal());
    world.deliver(vec![job(1, None)]);
    world.portal.fail("crm.item.add", json!({"error": 0, "error_description": "«Вход Север» и +79991234567 не годятся"}));
    let verdicts = world.deliver(vec![job(2, None), job(3, None)]);
    let Verdict::Dead { reason, answer } = &verdicts[&2] else { panic!("{verdicts:?}") };
    assert_eq!(reason, "refused/deal");
    assert!(answer.starts_with("0: ") && !answer.contains("Север") && !answer.contains("9991234567"), "{answer}");
    assert!(confirmed(&verdicts[&3]));
}

#[test]
fn a_pass_of_nobody_is_a_deal_or_nothing_to_write() {
    let mut world = known(timeline());
    assert_eq!(remote(&world.deliver(vec![job(1, None)])[&1]), None);
    assert_eq!(world.requests(), 0);
    let mut world = known(both());
    assert!(remote(&world.deliver(vec![job(1, None)])[&1]).unwrap().starts_with("deal:"));
    assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (1, 0));
    // A client whom Lime does not know any more has no card, either.
    assert!(remote(&world.deliver(vec![job(2, Some("gone"))])[&2]).unwrap().starts_with("deal:"));
    assert_eq!((world.portal.deals.len(), world.portal.contacts.len()), (2, 0));
    let mut world = known(timeline());
    assert_eq!(remote(&world.deliver(vec![job(1, Some("gone"))])[&1]), None);
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

#[test]
fn ten_thousand_passes_of_two_thousand_known_guests_cost_few_requests() {
    // The other way of recording costs the same per pass, and is shown at a fifth of the size.
    for (passes, guests) in [(timeline(), 2_000), (both(), 400)] {
        let mut world = World::new(passes.clone());
        for guest in 0..guests {
            world.client(&format!("g-{guest}"), "Имя", &format!("+7999{guest:07}"));
            world.portal.contact(json!({"name": "Имя", "originatorId": "LIME", "originId": format!("client:g-{guest}")}));
        }
        // The runner gathers what waits for one guest, and takes guests in the order of their oldest pass.
        let passes_of = |guest: u64| (0..5).map(move |n| job(1 + guest * 5 + n, Some(&format!("g-{guest}"))));
        let all: Vec<Job> = (0..guests).flat_map(passes_of).collect();
        for batch in all.chunks(250) {
            assert!(world.deliver(batch.to_vec()).values().all(confirmed));
        }
        let cold = world.requests();
        for batch in all.chunks(250) {
            let later = batch.iter().map(|one| job(one.seq + 10_000, Some(&format!("g-{}", (one.seq - 1) / 5))));
            assert!(world.deliver(later.collect()).values().all(confirmed));
        }
        let warm = world.requests() - cold;
        println!(
            "{passes:?}: {} requests a pass when the ledger knows the guests, {} when it does not",
            a_pass(warm, all.len()),
            a_pass(cold, all.len())
        );
        assert!(warm * 20 <= all.len(), "{warm}");
        // One look by origin and one at the phones for fifty guests, once in their life at this box, and the schema.
        assert!(cold - warm <= 2 * all.len() / 250 + 2, "{cold}");
        assert_eq!(u64::try_from(world.portal.contacts.len()).unwrap(), guests);
    }
}

fn a_pass(requests: usize, passes: usize) -> f64 {
    f64::from(u32::try_from(requests).unwrap()) / f64::from(u32::try_from(passes).unwrap())
}

/// Holds conversations until nothing waits, as the runner does: doubt stays until resolved, and "not found" twice starts afresh.
fn settle(world: &mut World, jobs: Vec<Job>, chance: &mut fastrand::Rng) {
    let mut open: BTreeMap<Seq, (Job, u8)> = jobs.into_iter().map(|job| (job.seq, (job, 0))).collect();
    for _ in 0..400 {
        if open.is_empty() {
            return;
        }
        let mut batch: Vec<Job> = open.values().map(|(job, _)| job.clone()).collect();
        batch.truncate(chance.usize(1..=batch.len()));
        for (seq, verdict) in world.deliver(batch) {
            match verdict {
                Verdict::Confirmed(_) => {
                    open.remove(&seq);
                }
                Verdict::NotFound => {
                    let (job, missed) = open.get_mut(&seq).unwrap();
                    *missed += 1;
                    if *missed >= 2 {
                        (job.doubt, *missed) = (None, 0);
                    }
                }
                Verdict::Doubtful => {
                    let (job, missed) = open.get_mut(&seq).unwrap();
                    (*job, *missed) = (doubtful(job.clone()), 0);
                }
                Verdict::Retry { .. } => {}
                Verdict::Dead { reason, answer } => panic!("{seq} died: {reason} {answer}"),
            }
        }
        world.now_ms += 120_000;
    }
    panic!("{} passes never arrived", open.len());
}

#[test]
fn every_pass_arrives_once_whatever_breaks_off() {
    for round in 0..60 {
        let seed = 0x5eed_0000 + round;
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut world = World::new([timeline(), deal(), both()][chance.usize(0..3)].clone());
        for guest in 0..6 {
            // Some share a phone, some are there already.
            world.client(&format!("g-{guest}"), "Имя", &format!("+7999000000{}", guest / 2));
            if chance.bool() {
                world.portal.contact(json!({"fm": [{"id": 1, "typeId": "PHONE", "value": format!("8999000000{}", guest / 2)}]}));
            }
        }
        let there = world.portal.contacts.len();
        let methods =
            ["crm.item.add", "crm.timeline.logmessage.add", "crm.item.update", "crm.item.list", "crm.timeline.logmessage.list", "crm.item.fields"];
        for _ in 0..12 {
            let method = methods[chance.usize(0..methods.len())];
            let cut =
                [Cut::Before, Cut::After, Cut::HalfThen502(chance.usize(0..4)), Cut::Refused(503, "QUERY_LIMIT_EXCEEDED"), Cut::Refused(502, "x")]
                    [chance.usize(0..5)];
            world.portal.cuts.push_back((method, cut));
            let fault = [
                Value::Null,
                Value::Null,
                json!({"error": "QUERY_LIMIT_EXCEEDED"}),
                json!({"error": "INTERNAL_SERVER_ERROR"}),
                json!({"error": "INTERNAL_SERVER_ERROR", "done": true}),
                json!({"done": true}),
            ][chance.usize(0..6)]
            .clone();
            world.portal.fail(method, fault);
        }
        let jobs: Vec<Job> = (1..=40).map(|seq| job(seq, (seq % 7 != 0).then(|| format!("g-{}", chance.u32(0..6))).as_deref())).collect();
        println!("seed {seed:#x}, {there} contacts are there");
        settle(&mut world, jobs, &mut chance);

        let origins: Vec<&Value> = world.portal.deals.values().map(|deal| &deal["originId"]).collect();
        let distinct: BTreeSet<String> = origins.iter().map(|origin| origin.to_string()).collect();
        assert_eq!(origins.len(), distinct.len(), "a deal was doubled, seed {seed:#x}");
        let lines: Vec<&str> = world.portal.lines.iter().filter_map(|line| line.2.lines().last()).collect();
        assert_eq!(lines.len(), lines.iter().collect::<BTreeSet<_>>().len(), "a line was doubled, seed {seed:#x}");
        if !origins.is_empty() {
            assert_eq!(origins.len(), 40, "a deal was lost, seed {seed:#x}");
        }
        if !lines.is_empty() {
            assert_eq!(lines.len(), 40 - 40 / 7, "a line was lost, seed {seed:#x}");
        }
        let clients: Vec<&Value> = world.portal.contacts.values().filter_map(|item| item.get("originId")).collect();
        assert_eq!(
            clients.len(),
            clients.iter().map(|origin| origin.to_string()).collect::<BTreeSet<_>>().len(),
            "a contact was doubled, seed {seed:#x}"
        );
    }
}

#[test]
fn nothing_personal_is_in_labels_reasons_or_the_ledger() {
    let canaries = ["Зинаида", "Иванова", "Пётр", "Ольга", "9995550101", "example.ru", "1990", "AC11A1A3", "Батуты"];
    let mut world = World::new(both());
    world.client("c-1", "Зинаида", "+7 999 555-01-01");
    world.portal.fail("crm.item.add", json!({"error": "ERROR_CORE", "error_description": "Зинаида c-1@example.ru"}));
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.cuts.push_back(("crm.item.add", Cut::After));
    world.deliver(vec![job(2, Some("c-1"))]);
    world.deliver(vec![doubtful(job(2, Some("c-1")))]);
    assert!(world.shown.len() > 20);
    for shown in &world.shown {
        assert!(canaries.iter().all(|canary| !shown.contains(canary)), "{shown}");
    }
}

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
