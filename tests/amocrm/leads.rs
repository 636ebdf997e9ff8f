//! Leads: created once, whatever is lost on the way.

use std::time::Duration;

use http::Method;
use limegate::crm::texts::PassField;
use limegate::delivery::{Effect, Verdict};
use serde_json::json;

use crate::hand::*;

/// amoCRM takes every lead; anything else is a mistake of the test.
fn takes_leads(asked: &Asked) -> Reply {
    match (asked.method, asked.path) {
        (&Method::POST, "/api/v4/leads") => created("leads", &asked.body, 8_001),
        (method, path) => panic!("{method} {path} was not expected"),
    }
}

#[test]
fn a_pass_of_nobody_known_is_a_lead_without_a_contact_dated_with_the_pass() {
    let outcome = run(&Notes::with_schema(), vec![job(1, None)], takes_leads);
    assert_eq!((outcome.lead(1), outcome.labels()), (Some(8_001), vec!["POST /leads"]));
    let lead = &outcome.sent("POST /leads")[0];
    assert_eq!(lead["name"], "Проход: Батуты, 22.11 14:32");
    assert_eq!((&lead["price"], &lead["pipeline_id"], &lead["status_id"]), (&json!(500), &json!(41), &json!(142)));
    assert_eq!((&lead["created_at"], &lead["closed_at"]), (&json!(AT / 1000 + 1), &json!(AT / 1000 + 1)));
    assert_eq!((&lead["request_id"], &lead["_embedded"]), (&json!(key(1)), &json!(null)));
    assert_eq!(lead["tags_to_add"], json!([{"name": "лайм"}]));
    assert_eq!(value(lead, pass_id(PassField::EventUid)), Some(json!(key(1))));
    assert_eq!(value(lead, pass_id(PassField::At)), Some(json!(AT / 1000 + 1)));
    assert_eq!(value(lead, pass_id(PassField::Point)), Some(json!("Батуты")));
    assert_eq!(value(lead, pass_id(PassField::Remark)), None);
}

#[test]
fn a_late_pass_says_so_in_its_remark_and_costs_no_further_request() {
    let outcome = run_at(&Notes::with_schema(), vec![job(1, None)], AT + 3_600_000, takes_leads);
    let remark = value(&outcome.sent("POST /leads")[0], pass_id(PassField::Remark)).unwrap();
    assert!(remark.as_str().unwrap().contains("с опозданием 22.11.2026 15:32"), "{remark}");
}

#[test]
fn texts_too_long_for_amocrm_are_cut_between_characters() {
    let mut job = job(1, None);
    if let limegate::delivery::Work::Pass(write_off) = &mut job.work {
        write_off.service_point_title = Some("🎉ё".repeat(300));
    }
    let outcome = run(&Notes::with_schema(), vec![job], takes_leads);
    let lead = &outcome.sent("POST /leads")[0];
    let point = value(lead, pass_id(PassField::Point)).unwrap();
    let units = point.as_str().unwrap().encode_utf16().count();
    assert!((250..=256).contains(&units), "{units}");
    assert!(lead["name"].as_str().unwrap().encode_utf16().count() <= 256);
}

#[test]
fn a_lost_answer_leaves_its_fifty_in_doubt_and_the_rest_as_they_were() {
    let mut posts = 0;
    let outcome = run(&Notes::with_schema(), (1..=120).map(|n| job(n, None)).collect(), |asked| {
        posts += 1;
        if posts == 2 { Reply::Lost } else { takes_leads(asked) }
    });
    assert_eq!(posts, 2);
    let count = |what: &str| (1..=120).filter(|n| outcome.reason(*n) == what).count();
    assert_eq!((count("confirmed"), count("doubtful"), count("unknown")), (50, 50, 20));
    let Effect::Creates(jobs) = &outcome.calls[1].effect else { panic!() };
    assert_eq!(jobs.len(), 50, "exactly those are journalled as being sent");
}

#[test]
fn what_was_certainly_not_sent_is_not_in_doubt() {
    let outcome = run(&Notes::with_schema(), vec![job(1, None)], |_| Reply::NotSent);
    assert_eq!(outcome.verdict(1), &Verdict::Retry { reason: "not_sent".into(), after: None });
}

#[test]
fn a_server_error_may_have_committed() {
    for status in [500, 502, 504] {
        let outcome = run(&Notes::with_schema(), vec![job(1, None)], |_| Reply::Raw(status, "<html>"));
        assert_eq!(outcome.verdict(1), &Verdict::Doubtful, "{status}");
    }
}

#[test]
fn half_an_answer_leaves_only_what_it_does_not_name_in_doubt() {
    let outcome = run(&Notes::with_schema(), vec![job(1, None), job(2, None)], |asked| created("leads", &asked.body[..1], 8_001));
    assert_eq!((outcome.lead(1), outcome.verdict(2)), (Some(8_001), &Verdict::Doubtful));
    let outcome = run(&Notes::with_schema(), vec![job(1, None)], |_| Reply::Raw(200, "{\"_embedded\":{\"lea"));
    assert_eq!(outcome.verdict(1), &Verdict::Doubtful);
}

#[test]
fn a_blocked_or_unpaid_account_waits_and_loses_nothing() {
    for (status, body, reason, after) in [
        (403, "<html>403 Forbidden</html>", "amocrm/blocked", Some(300)),
        (402, "{\"title\":\"Payment Required\"}", "amocrm/payment", Some(1_800)),
        (429, "{\"retry_after\":17}", "http/429", Some(17)),
        (401, "{\"title\":\"Unauthorized\"}", "auth", None),
    ] {
        let outcome = run(&Notes::with_schema(), vec![job(1, None)], |_| Reply::Raw(status, body));
        assert_eq!(outcome.verdict(1), &Verdict::Retry { reason: reason.into(), after: after.map(Duration::from_secs) });
    }
}

fn lead_with(number: u32, id: u64) -> serde_json::Value {
    json!({"id": id, "custom_fields_values": [custom(pass_id(PassField::EventUid), &key(number))],
           "_embedded": {"contacts": [{"id": 7_009, "is_main": true}]}})
}

#[test]
fn a_pass_in_doubt_is_asked_for_and_never_created_in_the_same_breath() {
    let notes = Notes::with_schema();
    let jobs = vec![doubtful(1, Some("c-1")), doubtful(2, None), doubtful(3, None), job(4, None)];
    let outcome = run(&notes, jobs, |asked| match (asked.method, asked.path) {
        (&Method::GET, path) if path.contains("order") && !path.contains("page=") => {
            let others = (0..249).map(|n| json!({"id": 9_500 - n, "custom_fields_values": null}));
            list("leads", std::iter::once(lead_with(1, 9_501)).chain(others).collect(), Some("/api/v4/leads?order%5Bid%5D=desc&page=2"))
        }
        (&Method::GET, path) if path.contains("page=2") => list("leads", vec![json!({"id": 9_000})], Some("/api/v4/leads?page=3")),
        // A search may return anything: it is believed only where the key stands in its field.
        (&Method::GET, path) if path.contains(&format!("query={}", key(2))) => list("leads", vec![lead_with(7, 1), lead_with(2, 4_002)], None),
        (&Method::GET, path) if path.contains("query=") => empty(),
        _ => takes_leads(asked),
    });
    assert_eq!((outcome.lead(1), outcome.lead(2)), (Some(9_501), Some(4_002)));
    assert_eq!(outcome.verdict(3), &Verdict::NotFound);
    assert_eq!(outcome.lead(4), Some(8_001), "the others go on");
    assert_eq!(outcome.sent("POST /leads").len(), 1);
    assert_eq!(notes.at("amocrm.contact", "c-1").as_deref(), Some("7009"), "the next pass of that guest needs no search");
}

#[test]
fn a_short_list_of_leads_proves_that_a_key_is_not_there() {
    let outcome = run(&Notes::with_schema(), (1..=50).map(|n| doubtful(n, None)).collect(), |_| list("leads", vec![lead_with(9, 1)], None));
    assert_eq!(outcome.labels(), ["GET /leads?order"], "one question for fifty keys");
    assert_eq!((outcome.lead(9), outcome.verdict(1)), (Some(1), &Verdict::NotFound));
}

#[test]
fn a_question_without_an_answer_leaves_the_doubt() {
    for reply in [Reply::Lost, Reply::NotSent, Reply::Raw(503, ""), Reply::Raw(200, "<html>")] {
        let outcome = run(&Notes::with_schema(), vec![doubtful(1, None)], |_| reply.clone());
        // Delivery keeps a job's doubt when it has to try again.
        assert!(matches!(outcome.verdict(1), Verdict::Retry { .. }), "{reply:?}");
        assert!(outcome.sent("POST /leads").is_empty());
    }
}

#[test]
fn a_bad_lead_is_taken_out_of_the_batch_and_waits_for_a_person() {
    let mut posts = 0;
    let outcome = run(&Notes::with_schema(), (1..=5).map(|n| job(n, None)).collect(), |asked| {
        posts += 1;
        let bad = |name: String| json!({"request_id": name, "errors": [{"code": "InvalidType", "path": "price", "detail": "This value should be of type int."}]});
        match posts {
            // By our name for it, and by its index: both forms are in use.
            1 => Reply::Json(400, json!({"validation-errors": [bad(key(2))], "status": 400})),
            2 => Reply::Json(400, json!({"validation-errors": [bad("0".into())], "status": 400})),
            _ => takes_leads(asked),
        }
    });
    let Verdict::Dead { reason, answer } = outcome.verdict(2) else { panic!("{:?}", outcome.verdict(2)) };
    assert_eq!((reason.as_str(), answer.as_str()), ("amocrm/invalid", "InvalidType at price: This value should be of type int."));
    assert_eq!((outcome.reason(1), posts), ("amocrm/invalid", 3));
    assert_eq!((3..=5).filter(|n| outcome.lead(*n).is_some()).count(), 3);
}

#[test]
fn a_batch_refused_without_a_word_is_halved_until_the_bad_one_stands_alone() {
    let outcome = run(&Notes::with_schema(), (1..=50).map(|n| job(n, None)).collect(), |asked| {
        if asked.body.iter().any(|item| item["request_id"] == json!(key(33))) {
            return Reply::Json(400, json!({"title": "Bad Request", "detail": "Request data is odd"}));
        }
        takes_leads(asked)
    });
    assert_eq!((1..=50).filter(|n| outcome.lead(*n).is_some()).count(), 49);
    assert!(matches!(outcome.verdict(33), Verdict::Dead { reason, answer } if reason == "amocrm/refused" && answer.contains("odd")));
    assert!(outcome.calls.len() < 15, "{} requests", outcome.calls.len());
}

#[test]
fn an_account_that_refuses_everything_is_no_fault_of_the_passes() {
    let refuse = |_: &Asked| Reply::Json(400, json!({"title": "Bad Request", "detail": "Код ошибки 244"}));
    let outcome = run(&Notes::with_schema(), (1..=50).map(|n| job(n, None)).collect(), refuse);
    assert!((1..=50).all(|n| outcome.reason(n) == "amocrm/refused" && !matches!(outcome.verdict(n), Verdict::Dead { .. })));
    assert!(outcome.calls.len() < 20, "{} requests", outcome.calls.len());
}

/// The account, with this pipeline for passes.
fn account(asked: &Asked, pipeline: serde_json::Value) -> Option<Reply> {
    let schema = schema();
    let fields = |of: &std::collections::BTreeMap<String, u64>| {
        let field = |(code, id): (&String, &u64)| json!({"id": id, "code": code, "type": limegate::crm::amocrm::setup::kind_of(code)});
        list("custom_fields", of.iter().map(field).collect(), None)
    };
    Some(match asked.path {
        path if path.starts_with("/api/v4/account") => {
            Reply::Json(200, json!({"subdomain": "park", "_embedded": {"datetime_settings": {"timezone": "Europe/Moscow"}}}))
        }
        "/api/v4/leads/pipelines" => list("pipelines", vec![pipeline], None),
        path if path.starts_with("/api/v4/contacts/custom_fields") => fields(&schema.contact),
        path if path.starts_with("/api/v4/leads/custom_fields") => fields(&schema.lead),
        _ => return None,
    })
}

fn stage_refused(body: &[serde_json::Value]) -> Reply {
    let errors: Vec<_> = (0..body.len())
        .map(|at| json!({"request_id": at.to_string(), "errors": [{"code": "NotSupportedChoice", "path": "status_id", "detail": "no such choice"}]}))
        .collect();
    Reply::Json(400, json!({"validation-errors": errors, "status": 400}))
}

#[test]
fn a_stage_that_is_gone_holds_the_passes_until_somebody_puts_it_right() {
    let notes = Notes::with_schema();
    let gone = json!({"id": 41, "name": "Проходы", "_embedded": {"statuses": [{"id": 51, "name": "Новый"}]}});
    let outcome = run(&notes, vec![job(1, None)], |asked| account(asked, gone.clone()).unwrap_or_else(|| stage_refused(&asked.body)));
    assert!(matches!(outcome.verdict(1), Verdict::Retry { reason, after: Some(_) } if reason == "setup/stage"), "{:?}", outcome.verdict(1));
    // It is put right under another id: the very next attempt goes there.
    let right = json!({"id": 41, "name": "Проходы", "_embedded": {"statuses": [{"id": 77, "name": "Прошёл"}]}});
    let outcome = run(&notes, vec![job(1, None)], |asked| {
        account(asked, right.clone())
            .unwrap_or_else(|| if asked.body[0]["status_id"] == json!(77) { takes_leads(asked) } else { stage_refused(&asked.body) })
    });
    assert_eq!(outcome.lead(1), Some(8_001));
    assert_eq!(outcome.labels().len(), 6, "one refusal, four reads, one lead");
    // And from then on nothing is read again.
    let outcome = run(&notes, vec![job(2, None)], takes_leads);
    assert_eq!((outcome.lead(2), outcome.labels().len()), (Some(8_001), 1));
}

#[test]
fn a_first_start_reads_the_account_once_and_before_setup_says_what_lacks() {
    let notes = Notes::default();
    let pipeline = json!({"id": 41, "name": "Проходы", "_embedded": {"statuses": [{"id": 142, "name": "Прошёл"}]}});
    let bare = run(&notes, vec![job(1, None)], |asked| {
        if asked.path.starts_with("/api/v4/leads/custom_fields") { empty() } else { account(asked, pipeline.clone()).unwrap() }
    });
    assert_eq!(bare.reason(1), "setup/field");
    let outcome = run(&notes, vec![job(1, None)], |asked| account(asked, pipeline.clone()).unwrap_or_else(|| takes_leads(asked)));
    assert_eq!(outcome.lead(1), Some(8_001));
    assert!(notes.at("amocrm.schema", "account").unwrap().len() < 4_096);
}
