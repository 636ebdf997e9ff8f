//! Contacts: the right one is found, nothing of what people put there is lost, and an unchanged card costs nothing.

use http::Method;
use limegate::crm::card::CardField;
use limegate::crm::texts::PassField;
use limegate::delivery::{Effect, Host, Verdict};
use serde_json::{Value, json};

use crate::hand::*;

const PHONE: &str = "+7 999 123-45-67";

/// Lime knows everybody; amoCRM takes what is written and finds with `search`.
fn world(asked: &Asked, search: impl Fn(&str) -> Reply) -> Reply {
    match (asked.host, asked.method, asked.path) {
        (Host::Lime, ..) => lime(asked, PHONE),
        (_, &Method::POST, "/api/v4/leads") => created("leads", &asked.body, 8_001),
        (_, &Method::POST, "/api/v4/contacts") => created("contacts", &asked.body, 7_001),
        (_, &Method::PATCH, "/api/v4/contacts") => changed(&asked.body),
        (_, &Method::GET, path) => search(path),
        (_, method, path) => panic!("{method} {path} was not expected"),
    }
}

fn values<'a>(item: &'a Value, code: &str) -> Vec<&'a Value> {
    let fields = item["custom_fields_values"].as_array().unwrap().iter();
    fields.filter(|field| field["field_code"] == json!(code)).flat_map(|field| field["values"].as_array().unwrap()).collect()
}

#[test]
fn a_guest_whom_amocrm_does_not_know_is_searched_in_every_way_and_then_created() {
    let notes = Notes::with_schema();
    let outcome = run(&notes, vec![job(1, Some("c-1"))], |asked| world(asked, |_| empty()));
    let searched: Vec<&str> =
        outcome.calls.iter().filter_map(|call| call.request.path.strip_prefix("/api/v4/contacts?query=")?.split('&').next()).collect();
    assert_eq!(searched, ["c-1", "9991234567", "anna%40canary.example"]);
    let contact = &outcome.sent("POST /contacts")[0];
    assert_eq!((&contact["first_name"], &contact["last_name"]), (&json!("Анна"), &json!("Канарейкина")));
    assert_eq!(values(contact, "PHONE"), [&json!({"value": "+79991234567", "enum_code": "MOB"})]);
    assert_eq!(value(contact, card_id(CardField::ClientId)), Some(json!("c-1")));
    assert_eq!(value(contact, card_id(CardField::Children)), Some(json!("Пётр — 09.07.2018 (сын)")));
    assert_eq!(value(contact, card_id(CardField::Cards)), Some(json!("••NARY")));
    assert_eq!(value(contact, card_id(CardField::Birthday)), Some(json!("1990-02-03T00:00:00+03:00")), "the account's midnight, not the venue's");
    assert_eq!(value(contact, card_id(CardField::Deposit)), Some(json!("1200")));
    assert_eq!(value(contact, card_id(CardField::LastVisit)), Some(json!(AT / 1000 + 1)));
    assert!(value(contact, card_id(CardField::History)).unwrap().as_str().unwrap().contains("Батуты 1 час"));
    let create = outcome.calls.iter().find(|call| call.request.label == "POST /contacts").unwrap();
    assert_eq!(create.effect, Effect::Creates(vec![seq(1)]), "the pass is in doubt while its contact is");
    assert_eq!(outcome.sent("POST /leads")[0]["_embedded"], json!({"contacts": [{"id": 7_001, "is_main": true}]}));
    assert_eq!((outcome.lead(1), notes.at("amocrm.contact", "c-1").as_deref()), (Some(8_001), Some("7001")));
}

#[test]
fn a_second_pass_costs_one_update_and_one_lead_and_a_covered_one_only_the_lead() {
    let notes = Notes::with_schema();
    run(&notes, vec![job(1, Some("c-1"))], |asked| world(asked, |_| empty()));
    let outcome = run(&notes, vec![job(2, Some("c-1"))], |asked| world(asked, |path| panic!("{path}: nothing is to be searched")));
    assert_eq!(outcome.labels(), ["GET /clients/{id}/transactions", "GET /clients/{id}", "PATCH /contacts", "POST /leads"]);
    let change = &outcome.sent("PATCH /contacts")[0];
    assert_eq!(value(change, card_id(CardField::Visits)), Some(json!("2")));
    assert_eq!((value(change, card_id(CardField::Category)), &change["first_name"]), (None, &json!(null)), "only what has changed");
    let covered = run(&notes, vec![job(2, Some("c-1"))], |asked| world(asked, |path| panic!("{path}")));
    assert_eq!(covered.labels(), ["POST /leads"]);
}

#[test]
fn passes_of_one_guest_in_a_batch_cost_one_look_at_lime_and_one_update() {
    let notes = Notes::with_schema();
    run(&notes, vec![job(1, Some("c-1"))], |asked| world(asked, |_| empty()));
    let outcome = run(&notes, (2..=40).map(|n| job(n, Some("c-1"))).collect(), |asked| world(asked, |_| empty()));
    assert_eq!(outcome.labels(), ["GET /clients/{id}/transactions", "GET /clients/{id}", "PATCH /contacts", "POST /leads"]);
    let history = value(&outcome.sent("PATCH /contacts")[0], card_id(CardField::History)).unwrap();
    assert_eq!(history.as_str().unwrap().lines().count(), 10);
}

#[test]
fn a_contact_found_by_a_phone_spelled_with_an_eight_keeps_what_people_put_there() {
    let theirs =
        json!({"id": 7_500, "first_name": "Анечка", "last_name": "", "custom_fields_values": [phone(&["8 (999) 123-45-67", "8 495 000-00-01"])]});
    let stranger = json!({"id": 7_400, "first_name": "Олег", "custom_fields_values": [phone(&["+7 999 123-45-68"])]});
    let outcome = run(&Notes::with_schema(), vec![job(1, Some("c-1"))], |asked| {
        world(asked, |path| if path.contains("9991234567") { list("contacts", vec![stranger.clone(), theirs.clone()], None) } else { empty() })
    });
    let change = &outcome.sent("PATCH /contacts")[0];
    assert_eq!((&change["id"], &change["first_name"]), (&json!(7_500), &json!(null)), "the name that people gave stays");
    assert_eq!(values(change, "PHONE").len(), 0, "the phone is there already, if spelled in another way");
    assert_eq!(values(change, "EMAIL"), [&json!({"value": "anna@canary.example", "enum_code": "PRIV"})]);
    assert_eq!(value(change, card_id(CardField::ClientId)), Some(json!("c-1")));
    assert!(outcome.sent("POST /contacts").is_empty());
}

#[test]
fn a_hit_that_bears_another_clients_id_is_a_stranger_whatever_its_phone() {
    let parent = json!({"id": 7_500, "first_name": "Мама", "custom_fields_values": [phone(&[PHONE]), custom(card_id(CardField::ClientId), "c-99")]});
    let outcome = run(&Notes::with_schema(), vec![job(1, Some("c-1"))], |asked| world(asked, |_| list("contacts", vec![parent.clone()], None)));
    assert_eq!((outcome.sent("POST /contacts").len(), outcome.sent("PATCH /contacts").len()), (1, 0));
}

#[test]
fn two_clients_with_one_phone_do_not_share_a_contact() {
    let theirs = json!({"id": 7_500, "first_name": "Анна", "custom_fields_values": [phone(&[PHONE])]});
    let outcome = run(&Notes::with_schema(), vec![job(1, Some("c-1")), job(2, Some("c-2"))], |asked| {
        world(asked, |path| if path.contains("9991234567") { list("contacts", vec![theirs.clone()], None) } else { empty() })
    });
    assert_eq!((outcome.sent("POST /contacts").len(), outcome.sent("PATCH /contacts").len()), (1, 1));
    let linked: Vec<Value> = outcome.sent("POST /leads").iter().map(|lead| lead["_embedded"]["contacts"][0]["id"].clone()).collect();
    assert_eq!(linked, [json!(7_500), json!(7_001)]);
}

#[test]
fn of_several_contacts_the_one_with_our_id_is_the_guests_and_else_the_oldest() {
    let by_phone = |id: u64| json!({"id": id, "first_name": "А", "custom_fields_values": [phone(&[PHONE])]});
    let ours = json!({"id": 7_900, "first_name": "А", "custom_fields_values": [custom(card_id(CardField::ClientId), "c-1"), custom(card_id(CardField::Visits), "12")]});
    for (hits, chosen) in [(vec![by_phone(7_300), ours.clone()], 7_900), (vec![by_phone(7_300), by_phone(7_200)], 7_200)] {
        let outcome = run(&Notes::with_schema(), vec![job(1, Some("c-1"))], |asked| world(asked, |_| list("contacts", hits.clone(), None)));
        let change = &outcome.sent("PATCH /contacts")[0];
        assert_eq!(change["id"], json!(chosen));
        let visits = if chosen == 7_900 { "13" } else { "1" };
        assert_eq!(value(change, card_id(CardField::Visits)), Some(json!(visits)), "the count goes on where the card left it");
    }
}

#[test]
fn a_new_phone_in_lime_is_added_to_those_that_stand_there() {
    let notes = Notes::with_schema();
    run(&notes, vec![job(1, Some("c-1"))], |asked| world(asked, |_| empty()));
    let there = json!({"id": 7_001, "first_name": "Анна", "last_name": "Канарейкина",
        "custom_fields_values": [phone(&["+79991234567", "8 495 000-00-01"]), custom(card_id(CardField::ClientId), "c-1")]});
    let outcome = run(&notes, vec![job(2, Some("c-1"))], |asked| match asked.host {
        Host::Lime => lime(asked, "+7 912 000-00-02"),
        Host::Crm if asked.path == "/api/v4/contacts/7001" => Reply::Json(200, there.clone()),
        Host::Crm => world(asked, |path| panic!("{path}")),
    });
    let change = &outcome.sent("PATCH /contacts")[0];
    let sent: Vec<&Value> = values(change, "PHONE").into_iter().map(|value| &value["value"]).collect();
    assert_eq!(sent, ["+79991234567", "8 495 000-00-01", "+79120000002"]);
    assert_eq!(values(change, "PHONE")[1]["enum_code"], json!("WORK"));
}

#[test]
fn a_contact_that_was_deleted_is_searched_again_and_one_merged_away_is_forgotten() {
    let notes = Notes::with_schema();
    run(&notes, vec![job(1, Some("c-1"))], |asked| world(asked, |_| empty()));
    // Deleted: it is read because Lime has a new phone, and is not there (204).
    let outcome = run(&notes, vec![job(2, Some("c-1"))], |asked| match asked.host {
        Host::Lime => lime(asked, "+7 912 000-00-02"),
        Host::Crm => world(asked, |_| empty()),
    });
    assert_eq!((outcome.sent("POST /contacts").len(), outcome.lead(2)), (1, Some(8_001)));
    assert_eq!(value(&outcome.sent("POST /contacts")[0], card_id(CardField::Visits)), Some(json!("2")), "what was counted stays counted");
    // Merged away: only the PATCH finds out.
    let gone = run(&notes, vec![job(3, Some("c-1"))], |asked| match (asked.host, asked.method) {
        (Host::Lime, _) => lime(asked, "+7 912 000-00-02"),
        (_, &Method::PATCH) => Reply::Json(400, json!({"errors": {"7001": "Contact not found"}, "status": 400})),
        _ => world(asked, |path| panic!("{path}")),
    });
    assert_eq!((gone.reason(3), notes.at("amocrm.contact", "c-1")), ("amocrm/contact_gone", None));
    let found = json!({"id": 7_777, "first_name": "А", "custom_fields_values": [custom(card_id(CardField::ClientId), "c-1")]});
    let outcome = run(&notes, vec![job(3, Some("c-1"))], |asked| world(asked, |_| list("contacts", vec![found.clone()], None)));
    assert_eq!((outcome.sent("PATCH /contacts")[0]["id"].clone(), outcome.lead(3)), (json!(7_777), Some(8_001)));
}

#[test]
fn a_lost_answer_to_a_contacts_creation_leaves_its_passes_in_doubt_and_no_lead_is_made() {
    let outcome = run(&Notes::with_schema(), vec![job(1, Some("c-1")), job(2, Some("c-1")), job(3, None)], |asked| {
        if asked.path == "/api/v4/contacts" && asked.method == Method::POST { Reply::Lost } else { world(asked, |_| empty()) }
    });
    assert_eq!((outcome.verdict(1), outcome.verdict(2)), (&Verdict::Doubtful, &Verdict::Doubtful));
    assert_eq!(outcome.lead(3), Some(8_001), "a pass of nobody known does not wait for anybody's card");
}

#[test]
fn lime_not_knowing_or_not_telling_costs_nobody_else_anything() {
    let outcome = run(&Notes::with_schema(), vec![job(1, Some("c-1")), job(2, Some("c-2")), job(3, Some("c-3"))], |asked| match asked.path {
        path if path.starts_with("/clients/c-1") => Reply::Json(404, json!({"error": {"code": "not_found", "message": "?"}})),
        path if path.starts_with("/clients/c-2") => Reply::Raw(503, ""),
        _ => world(asked, |_| empty()),
    });
    assert_eq!((outcome.lead(1).is_some(), outcome.reason(2), outcome.lead(3).is_some()), (true, "lime/503", true));
    let leads = outcome.sent("POST /leads");
    assert_eq!(leads.iter().filter(|lead| lead["_embedded"] == json!(null)).count(), 1, "a lead without a card beats no lead");
}

#[test]
fn a_card_that_amocrm_refuses_waits_for_a_person_and_the_others_go_on() {
    let outcome = run(&Notes::with_schema(), vec![job(1, Some("c-1")), job(2, Some("c-2"))], |asked| {
        let bad = asked.body.iter().position(|item| item["request_id"] == json!("lime:c-1"));
        match bad {
            Some(at) if asked.path == "/api/v4/contacts" => Reply::Json(
                400,
                json!({"validation-errors": [{"request_id": at.to_string(), "errors": [{"code": "InvalidType", "path": "first_name", "detail": "?"}]}]}),
            ),
            _ => world(asked, |_| empty()),
        }
    });
    assert_eq!((outcome.reason(1), outcome.lead(2).is_some()), ("amocrm/invalid", true));
}

#[test]
fn many_unknown_guests_are_found_by_walking_the_list_and_all_it_holds_is_learned() {
    let notes = Notes::with_schema();
    let entry =
        |n: u64| json!({"id": 7_000 + n, "first_name": "Имя", "custom_fields_values": [custom(card_id(CardField::ClientId), &format!("c-{n}"))]});
    let outcome = run(&notes, (1..=20).map(|n| job(n, Some(&format!("c-{n}")))).collect(), |asked| {
        world(asked, |path| {
            if path.contains("page=2") {
                list("contacts", (250..400).map(entry).collect(), None)
            } else if path.contains("order") {
                list("contacts", (1..250).map(entry).collect(), Some("/api/v4/contacts?order%5Bid%5D=asc&limit=250&page=2"))
            } else {
                panic!("{path}: a search where the walk is cheaper")
            }
        })
    });
    assert_eq!(outcome.labels().iter().filter(|label| label.starts_with("GET /contacts")).count(), 2);
    assert_eq!((outcome.sent("PATCH /contacts").len(), outcome.sent("POST /contacts").len()), (20, 0));
    assert!(notes.at("amocrm.contact", "c-399").is_some(), "the next batch need not search");
}

#[test]
fn a_list_that_is_too_long_is_left_and_not_tried_again() {
    let notes = Notes::with_schema();
    let endless = |path: &str| {
        if path.contains("order") {
            list("contacts", vec![json!({"id": 1, "first_name": "?"})], Some("/api/v4/contacts?order%5Bid%5D=asc&page=9"))
        } else {
            empty()
        }
    };
    let count = |outcome: &Outcome, label: &str| outcome.labels().iter().filter(|has| **has == label).count();
    let first = run(&notes, (1..=10).map(|n| job(n, Some(&format!("c-{n}")))).collect(), |asked| world(asked, endless));
    assert_eq!((count(&first, "GET /contacts?order"), first.sent("POST /contacts").len()), (5, 10));
    let second = run(&notes, (11..=20).map(|n| job(n, Some(&format!("c-{n}")))).collect(), |asked| world(asked, endless));
    assert_eq!((count(&second, "GET /contacts?order"), second.lead(11).is_some()), (0, true));
}

#[test]
fn no_persons_data_is_in_labels_reasons_answers_or_the_ledger() {
    let notes = Notes::with_schema();
    let canaries = ["Анна", "Канарейкина", "9991234567", "123-45-67", "anna@", "canary", "AC11CANARY", "Пётр", "1990-02-03"];
    let echo = json!({"validation-errors": [{"request_id": "0", "errors": [{"code": "InvalidType", "path": "first_name", "detail": "must be text"}],
        "value": "Анна Канарейкина +79991234567"}], "detail": "anna@canary.example"});
    let replies = [
        Reply::Lost,
        Reply::NotSent,
        Reply::Raw(500, "Анна Канарейкина"),
        Reply::Raw(400, "Анна Канарейкина"),
        Reply::Json(400, echo),
        Reply::Raw(200, "Анна"),
        empty(),
    ];
    for (n, reply) in (1..).zip(replies) {
        for step in 0..7 {
            let mut asked_so_far = 0;
            let outcome = run(&notes, vec![job(n, Some("c-1")), job(100 + n, None)], |asked| {
                asked_so_far += 1;
                if asked_so_far == step { reply.clone() } else { world(asked, |_| empty()) }
            });
            let told = format!("{:?} {:?} {:?}", outcome.verdicts, outcome.labels(), outcome.learned);
            for canary in canaries {
                assert!(!told.contains(canary), "{canary} in {told}");
            }
        }
    }
    for (key, value) in notes.all() {
        assert!(canaries.iter().all(|canary| !key.key.contains(canary) && !value.contains(canary)), "{key:?}");
    }
    assert_eq!(value(&json!({"custom_fields_values": []}), pass_id(PassField::At)), None);
}
