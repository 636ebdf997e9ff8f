//! limegate's requests and the sandbox's answers against `docs/lime-gateway-api.yaml`, and what each answer of Lime means for a pass.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod feeds;
mod integration;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jsonschema::Validator;
use limegate::delivery::{Confirmed, Conversation, Courier, Effect, Job, Ledger, NoAnswer, Step, Verdict, Work};
use limegate::domain::{
    BootId, ClientId, Direction, GateId, Medium, MediumKind, Moment, Pass, PassageState, Personal, Quality, ServicePointId, Stamp, Sync, WriteOff,
    WriteOffStatus,
};
use limegate::http::{Answer, Request};
use limegate::journal::LedgerKey;
use limegate::lime::{LimeCourier, parse, requests};
use sandbox::{Host, Site};
use serde_json::{Value, json};
use uuid::Uuid;

const WALL_MS: i64 = 1_777_618_800_400;

fn document() -> Value {
    serde_norway::from_str(include_str!("../../docs/lime-gateway-api.yaml")).unwrap()
}

/// The contract lets both sides add fields; a test must see a misspelt one. So here each object that lists its fields takes no other.
fn strict(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.contains_key("properties") && map.get("type").is_some() {
                map.insert("additionalProperties".into(), json!(false));
            }
            map.values_mut().for_each(strict);
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

fn validator(schema: &Value) -> Validator {
    let mut components = document()["components"].clone();
    strict(&mut components);
    let mut root = schema.clone();
    strict(&mut root);
    root["components"] = components;
    jsonschema::draft202012::options().should_validate_formats(true).build(&root).unwrap()
}

fn check(schema: &Value, instance: &Value, what: &str) {
    let problems: Vec<String> = validator(schema).iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{what}: {problems:#?}\n{instance:#}");
}

/// The path of the document that a request's path matches.
fn operation(document: &Value, request: &Request) -> (String, Value) {
    let path: Vec<&str> = request.path.split('?').next().unwrap().split('/').collect();
    let fits = |template: &str| {
        let parts: Vec<&str> = template.split('/').collect();
        parts.len() == path.len() && parts.iter().zip(&path).all(|(part, own)| part.starts_with('{') || part == own)
    };
    let method = request.method.as_str().to_lowercase();
    let paths = document["paths"].as_object().unwrap();
    // `/clients/changes` fits two: what ends in a word of its own is meant.
    let found = paths.iter().filter(|(template, _)| fits(template)).min_by_key(|(template, _)| template.ends_with('}'));
    let (template, item) = found.unwrap_or_else(|| panic!("{} is not in the document", request.path));
    (template.clone(), item[&method].clone())
}

fn answer_schema<'a>(document: &'a Value, operation: &'a Value, status: u16) -> &'a Value {
    let response = operation["responses"].get(status.to_string()).unwrap_or(&operation["responses"]["default"]);
    let response = match response["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => response,
    };
    &response["content"]["application/json"]["schema"]
}

struct NoLedger;

impl Ledger for NoLedger {
    fn get(&self, _: &LedgerKey) -> Option<String> {
        None
    }
}

fn courier() -> LimeCourier {
    LimeCourier::new("vysota-north", BootId(Uuid::from_u128(7)), jiff::tz::TimeZone::get("Asia/Yekaterinburg").unwrap())
}

fn job(number: u64, medium: Medium) -> Job {
    let stamp = Stamp { boot: BootId(Uuid::from_u128(7)), boot_ms: 5, wall_ms: WALL_MS, sync: Sync::Synced };
    let pass = Pass {
        id: Uuid::from_u128((7 << 76) | u128::from(number)),
        number,
        gate: GateId::from("n1"),
        service_point: ServicePointId::from("sp-4"),
        direction: Direction::In,
        medium,
        device: None,
        passage: PassageState::Unknown,
        stamp,
        device_ms: None,
        test: false,
        door: None,
    };
    let order = pass.medium.order_key();
    Job { seq: number, key: pass.id, order, work: Work::WriteOff { pass, occurred: Moment::exact(WALL_MS) }, doubt: None, attempts: 0, oldest: false }
}

fn card(value: &str) -> Medium {
    Medium { kind: MediumKind::CardUid, value: Personal::new(value), raw: None, format: "test".into() }
}

fn question(number: u64, commit: &str) -> Request {
    let Work::WriteOff { pass, .. } = job(number, card("AC11A1A3")).work else { panic!() };
    limegate::lime::authorize::request(&pass, commit, &jiff::tz::TimeZone::get("Asia/Yekaterinburg").unwrap())
}

/// Jobs of every kind that the domain can express.
fn assorted() -> Vec<Job> {
    let kinds = [MediumKind::CardUid, MediumKind::Qr, MediumKind::Barcode, MediumKind::Pin, MediumKind::TicketNo];
    let passages = [PassageState::Passed, PassageState::NotPassed, PassageState::Unknown];
    let qualities = [Quality::Exact, Quality::Corrected, Quality::Bounded];
    let mut jobs = Vec::new();
    for (at, kind) in kinds.into_iter().enumerate() {
        for (passage, quality) in passages.into_iter().zip(qualities) {
            let number = jobs.len() as u64 + 1;
            let raw = at.is_multiple_of(2).then(|| Personal::new("Mifare[AC11A1A3] \"1\"\\\u{1}"));
            let mut job = job(number, Medium { kind, value: Personal::new(format!("AC11A1A{at}")), raw, format: "x".into() });
            if let Work::WriteOff { pass, occurred } = &mut job.work {
                pass.passage = passage;
                pass.direction = if number.is_multiple_of(2) { Direction::Out } else { Direction::In };
                pass.test = number == 3;
                occurred.quality = quality;
                if quality == Quality::Bounded {
                    (occurred.not_before_ms, occurred.not_after_ms) = (Some(-86_400_000), Some(WALL_MS));
                }
            }
            jobs.push(job);
        }
    }
    jobs
}

fn begin(jobs: Vec<Job>) -> (Box<dyn Conversation>, Request) {
    let mut conversation = courier().begin(jobs, &NoLedger, WALL_MS);
    let Step::Call(call) = conversation.next(None) else { panic!("no call") };
    assert_eq!(call.effect, Effect::Repeatable);
    (conversation, call.request)
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(request.body.as_ref().unwrap()).unwrap()
}

fn send(site: &mut Site, request: &Request, token: Option<&str>) -> Answer {
    send_at(site, request, token, WALL_MS)
}

fn send_at(site: &mut Site, request: &Request, token: Option<&str>, wall_ms: i64) -> Answer {
    let mut plain = http::Request::builder().method(request.method.clone()).uri(format!("/gw/v1{}", request.path));
    if let Some(token) = token {
        plain = plain.header("authorization", format!("Bearer {token}"));
    }
    for (name, value) in &request.headers {
        plain = plain.header(name, value);
    }
    let outcome = site.call(Host::Lime, 0, wall_ms, plain.body(request.body.clone().unwrap_or_default()).unwrap());
    let (head, body) = outcome.response().unwrap().clone().into_parts();
    Answer { status: head.status, headers: head.headers, body }
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::from(body.to_string()) }
}

/// What one result means for one pass.
fn verdict(result: Value) -> Verdict {
    let job = job(1, card("AC11A1A3"));
    let mut result = result;
    result["write_off_id"] = json!(job.key);
    verdicts(vec![job], &answer(200, &json!({"results": [result]}))).remove(0)
}

fn verdicts(jobs: Vec<Job>, answer: &Answer) -> Vec<Verdict> {
    let (mut conversation, _) = begin(jobs);
    let Step::Done { verdicts, learned } = conversation.next(Some(answer)) else { panic!("not done") };
    assert!(learned.is_empty());
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

fn write_off(verdict: Verdict) -> WriteOff {
    match verdict {
        Verdict::Confirmed(Confirmed::WriteOff(write_off)) => *write_off,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere_and_every_operation_can_fail() {
    fn walk(value: &Value, root: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    assert!(root.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                map.values().for_each(|value| walk(value, root));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, root)),
            _ => {}
        }
    }
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    walk(&document, &document);
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters") {
            assert!(operation["responses"]["default"].is_object(), "{method} {path} says nothing of failure");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}: operationId twice");
        }
    }
    for schema in document["components"]["schemas"].as_object().unwrap().keys() {
        validator(&json!({"$ref": format!("#/components/schemas/{schema}")}));
    }
}

#[test]
fn every_request_is_as_the_document_has_it() {
    let document = document();
    let (_, batch) = begin(assorted());
    let id = ClientId::from("c-1");
    let ids = [Uuid::from_u128(7 << 76)];
    for request in [
        batch,
        requests::client(&id),
        requests::transactions(&id, 10),
        requests::clients(&[id.clone(), ClientId::from("c-2")], 10),
        requests::service_points(),
        requests::time(),
        requests::lookup(&ids),
        question(1, "on_passage"),
        requests::entitlements(&["sp-1".into(), "sp/2".into()], Some("s 1")),
    ]
    .into_iter()
    .chain(integration::asked())
    {
        let (template, operation) = operation(&document, &request);
        assert_eq!(format!("{} {template}", request.method), request.label);
        assert_eq!(operation["tags"], json!(["used"]), "{template}");
        if request.body.is_some() {
            check(&operation["requestBody"]["content"]["application/json"]["schema"], &body(&request), request.label);
        }
    }
}

#[test]
fn a_misspelt_field_would_be_seen() {
    let schema = json!({"$ref": "#/components/schemas/WriteOffBatch"});
    let (_, request) = begin(assorted());
    let mut body = body(&request);
    body["items"][0]["occured_at"] = json!("2026-05-01T12:00:00+05:00");
    assert!(!validator(&schema).is_valid(&body));
    body["items"][0].as_object_mut().unwrap().remove("occured_at");
    assert!(validator(&schema).is_valid(&body));
    body["items"][0]["occurred_at"] = json!("2026-05-01 12:00");
    assert!(!validator(&schema).is_valid(&body));
}

#[test]
fn every_answer_of_the_sandbox_is_as_the_document_has_it() {
    let document = document();
    let mut site = Site::new(3);
    let token = site.lime.token().to_owned();
    let known: Vec<Medium> = site
        .lime
        .media()
        .into_iter()
        .map(|medium| Medium {
            kind: serde_json::from_value(json!(medium.kind)).unwrap(),
            value: Personal::new(medium.value),
            raw: None,
            format: "x".into(),
        })
        .collect();
    // One card until it is in debt, some others, and every kind of medium, most of which nobody knows.
    let mut batch: Vec<Job> = (101..=220).map(|number| job(number, known[0].clone())).collect();
    batch.extend((221..=260).map(|number| job(number, known[number as usize - 220].clone())));
    batch.extend(assorted());
    let (_, first) = begin(batch);
    let mut odd = body(&first);
    odd["items"][0]["service_point_id"] = json!("nowhere");
    odd["items"][1]["medium"]["value"] = json!("other");
    let odd = Request { body: Some(Bytes::from(odd.to_string())), ..first.clone() };
    let empty = Request { body: Some(Bytes::from_static(b"{")), ..first.clone() };
    let client = site.lime.media().into_iter().find_map(|medium| medium.client_id).unwrap();
    let (client, nobody) = (ClientId(client), ClientId::from("nobody"));
    let asked = [
        first.clone(),
        first,
        odd,
        empty,
        requests::client(&client),
        requests::transactions(&client, 10),
        requests::client(&nobody),
        requests::transactions(&nobody, 10),
        requests::clients(&[client, nobody], 10),
        requests::clients(&[], 10),
        requests::service_points(),
        requests::time(),
        requests::lookup(&[job(101, card("AC11A1A3")).key, Uuid::from_u128(1)]),
        requests::lookup(&[]),
    ];
    let mut seen = BTreeSet::new();
    for request in &asked {
        for token in [Some(token.as_str()), None] {
            let answer = send(&mut site, request, token);
            let (template, operation) = operation(&document, request);
            let value = answer.json().unwrap();
            check(answer_schema(&document, &operation, answer.status.as_u16()), &value, &format!("{template} {}", answer.status));
            seen.extend(value["results"].as_array().into_iter().flatten().map(|result| result["status"].as_str().unwrap().to_owned()));
        }
    }
    for status in ["applied", "applied_with_debt", "recorded", "duplicate", "rejected", "unknown"] {
        assert!(seen.contains(status), "no {status} among {seen:?}");
    }
}

#[test]
fn the_sandbox_and_the_reading_side_agree_on_clients_points_and_time() {
    let mut site = Site::new(3);
    let token = site.lime.token().to_owned();
    let id = ClientId(site.lime.media().into_iter().find_map(|medium| medium.client_id).unwrap());
    let client = parse::client(&send(&mut site, &requests::client(&id), Some(&token))).unwrap();
    assert_eq!(client.id, id);
    assert!(!client.first_name.is_empty() && client.category.is_some() && !client.cards.is_empty());
    assert_eq!(parse::service_points(&send(&mut site, &requests::service_points(), Some(&token))).unwrap().len(), 9);
    assert_eq!(parse::time(&send(&mut site, &requests::time(), Some(&token))).unwrap(), WALL_MS);
    assert!(parse::transactions(&send(&mut site, &requests::transactions(&id, 10), Some(&token))).unwrap().is_empty());
}

#[test]
fn many_clients_at_once_are_told_as_each_alone() {
    let mut site = Site::new(3);
    let token = site.lime.token().to_owned();
    let mut ids: Vec<ClientId> = site.lime.media().into_iter().filter_map(|medium| medium.client_id).map(ClientId).collect();
    ids.dedup();
    ids.truncate(99);
    let (_, passes) = begin((1..=3).map(|number| job(number, card(&site.lime.media()[0].value))).collect());
    send(&mut site, &passes, Some(&token));
    ids.push(ClientId::from("nobody"));
    let together = parse::clients(&send(&mut site, &requests::clients(&ids, 10), Some(&token))).unwrap();
    assert_eq!(together.iter().map(|(id, _)| id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert!(together.iter().any(|(_, one)| one.as_ref().is_some_and(|(_, transactions)| transactions.len() == 3)));
    for (id, one) in together {
        let alone = parse::client(&send(&mut site, &requests::client(&id), Some(&token))).ok();
        let transactions = parse::transactions(&send(&mut site, &requests::transactions(&id, 10), Some(&token))).ok();
        assert_eq!(one, alone.zip(transactions));
    }
}

#[test]
fn a_pass_goes_out_with_its_own_time_in_the_venues_zone() {
    let (_, request) = begin(assorted());
    let body = body(&request);
    assert_eq!(body["items"][0]["occurred_at"], "2026-05-01T12:00:00.400+05:00");
    assert_eq!(body["items"][2]["occurred_not_before"], "1969-12-31T05:00:00.000+05:00");
    let qualities: Vec<&str> = body["items"].as_array().unwrap()[..3].iter().map(|item| item["clock_quality"].as_str().unwrap()).collect();
    assert_eq!(qualities, ["synced", "holdover", "unsynced"]);
}

#[test]
fn each_status_means_what_the_contract_says() {
    for (status, expected) in [
        ("applied", WriteOffStatus::Applied),
        ("applied_with_debt", WriteOffStatus::AppliedWithDebt),
        ("recorded", WriteOffStatus::Recorded),
        ("refused", WriteOffStatus::Refused),
        ("duplicate", WriteOffStatus::Applied),
    ] {
        assert_eq!(write_off(verdict(json!({"status": status}))).status, expected, "{status}");
    }
    assert_eq!(write_off(verdict(json!({"status": "duplicate", "original_status": "recorded"}))).status, WriteOffStatus::Recorded);
    let Verdict::Dead { reason, answer } = verdict(json!({"status": "rejected", "code": "id_conflict"})) else { panic!() };
    assert_eq!(reason, "rejected/id_conflict");
    assert!(answer.contains("id_conflict"));
    let after = |verdict| match verdict {
        Verdict::Retry { after, .. } => after,
        other => panic!("{other:?}"),
    };
    assert_eq!(after(verdict(json!({"status": "retry", "retry_after_ms": 1_500}))), Some(Duration::from_millis(1_500)));
    assert!(after(verdict(json!({"status": "retry"}))).is_some());
    assert!(after(verdict(json!({"status": "under_review"}))).is_some(), "a status of a newer Lime");
}

#[test]
fn what_was_charged_comes_along_and_odd_parts_of_it_cost_nothing_else() {
    let full = write_off(verdict(json!({
        "status": "applied", "code": "ok", "transaction_id": "tr-1", "received_at": "2026-05-01T12:00:01.000+05:00", "client_id": "c-1",
        "right": {"id": "r-1", "kind": "deposit", "balance_after": -500}, "charge": {"quantity": 1, "amount": 50_000, "currency": "RUB", "title": "Разовый"},
        "service_point_name": "Батуты, вход 4", "conflict_with": null, "message": null, "news": {}
    })));
    assert_eq!(full.charge.as_ref().unwrap().money.as_ref().unwrap().minor, 50_000);
    assert_eq!(
        (full.service_point_title.as_deref(), full.medium_masked.as_str(), full.received_ms),
        (Some("Батуты, вход 4"), "••A1A3", Some(1_777_618_801_000))
    );
    let odd = write_off(verdict(json!({
        "status": "applied", "code": 7, "transaction_id": {}, "received_at": 5, "client_id": [], "right": {"id": "r-1", "kind": "voucher"},
        "charge": {"quantity": 1.5}, "conflict_with": "not a uuid", "service_point_name": 4
    })));
    assert_eq!((odd.transaction_id, odd.received_ms, odd.client_id, odd.conflict_with), (None, None, None, None));
}

#[test]
fn a_pass_that_the_answer_does_not_name_stays_queued() {
    let jobs = vec![job(1, card("A1")), job(2, card("A2")), job(3, card("A3"))];
    let results =
        json!({"results": [{"write_off_id": jobs[1].key, "status": "applied"}, {"write_off_id": Uuid::nil(), "status": "applied"}, 7, null]});
    let found = verdicts(jobs, &answer(200, &results));
    let done: Vec<bool> = found.iter().map(|verdict| matches!(verdict, Verdict::Confirmed(_))).collect();
    assert_eq!(done, [false, true, false]);
}

#[test]
fn only_a_contracts_own_refusal_of_a_single_pass_is_final() {
    let error = |code: &str| json!({"error": {"code": code, "message": "x", "retryable": false}});
    let one = || vec![job(1, card("A1"))];
    let is_dead =
        |jobs: Vec<Job>, status, body: &Value| verdicts(jobs, &answer(status, body)).iter().any(|verdict| matches!(verdict, Verdict::Dead { .. }));
    assert!(is_dead(one(), 422, &error("malformed")));
    assert!(is_dead(one(), 400, &error("malformed")));
    assert!(!is_dead(vec![job(1, card("A1")), job(2, card("A2"))], 422, &error("malformed")), "a batch is split first");
    for (status, body) in [
        (404, error("not_found")),
        (400, json!("<html>")),
        (403, json!({})),
        (409, error("in_progress")),
        (429, json!({})),
        (500, json!({})),
        (200, json!([])),
    ] {
        assert!(!is_dead(one(), status, &body), "{status} {body}");
    }
}

#[test]
fn an_unknown_outcome_is_sent_again_with_the_same_ids() {
    let (mut conversation, first) = begin(vec![job(1, card("A1"))]);
    let (verdicts, _) = conversation.give_up(NoAnswer::Unknown);
    assert!(matches!(&verdicts[..], [(1, Verdict::Retry { after: None, .. })]));
    let (_, second) = begin(vec![job(1, card("A1"))]);
    assert_eq!(body(&first)["items"], body(&second)["items"]);
}

#[test]
fn every_answer_at_the_door_is_as_the_document_has_it() {
    let document = document();
    let mut site = Site::new(3);
    let token = site.lime.token().to_owned();
    assert!(site.lime.put_medium("card_uid", "AC11A1A3", false, &json!([{"id": "d", "kind": "deposit", "amount": 220_000}])));
    let resolve = |number: u64, action: &str| {
        let path = format!("/write-offs/{}:{action}", job(number, card("x")).key);
        Request { body: None, ..Request::json(Method::POST, path, &json!({}), "POST") }
    };
    let odd = Request { body: Some(Bytes::from_static(b"{}")), ..question(9, "immediate") };
    // A hold, the same again, one that is taken, a refusal, and what comes of them; then something that nobody has asked.
    let asked = [
        question(1, "on_passage"),
        question(1, "on_passage"),
        question(2, "immediate"),
        question(3, "on_passage"),
        question(4, "immediate"),
        resolve(1, "confirm"),
        resolve(2, "cancel"),
        resolve(3, "cancel"),
        resolve(77, "cancel"),
        odd,
    ];
    let mut decisions = Vec::new();
    for request in &asked {
        let answer = send(&mut site, request, Some(&token));
        let (template, operation) = operation(&document, request);
        let value = answer.json().unwrap();
        check(answer_schema(&document, &operation, answer.status.as_u16()), &value, &format!("{template} {}", answer.status));
        decisions.extend(value["decision"].as_str().map(str::to_owned));
    }
    assert_eq!(decisions, ["grant", "grant", "grant", "grant", "refuse"]);
}

#[test]
fn every_line_of_the_entitlements_is_as_the_document_has_it() {
    let mut site = Site::new(3);
    let token = site.lime.token().to_owned();
    let limited = json!([{"id": "t", "kind": "ticket", "amount": 1, "from": "2026-05-01T00:00:00Z", "to": "2026-06-01T00:00:00+03:00", "sp": ["sp-1"],
        "win": "mo-fr 10:00-22:00", "daily_limit": 1, "today": {"day": "2026-05-01", "used": 0}}]);
    assert!(site.lime.put_medium("qr", "Q1", true, &limited));
    assert!(site.lime.switch("offline_policy", &json!({"*": {"policy": "deny", "max_offline_debt": 5, "max_snapshot_age_s": 60}})));
    let points = ["sp-1".to_owned()];
    let whole = send(&mut site, &requests::entitlements(&points, None), Some(&token));
    site.lime.remove_medium("qr", "Q1");
    assert!(site.lime.switch("media_key", &json!("k")));
    let delta = send(&mut site, &requests::entitlements(&points, Some("s-1")), Some(&token));
    for answer in [whole, delta] {
        assert_eq!(answer.status, StatusCode::OK);
        let lines: Vec<Value> = String::from_utf8(answer.body.to_vec()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = lines.len() - 1;
        for (at, line) in lines.iter().enumerate() {
            let schema = match at {
                0 => "EntitlementsHeader",
                at if at == last => "EntitlementsEnd",
                _ => "EntitlementLine",
            };
            // Validators are made for a few lines only: each takes a while.
            if at < 4 || at + 4 > last || line["m"] == "qr:Q1" {
                check(&json!({"$ref": format!("#/components/schemas/{schema}")}), line, schema);
            }
        }
    }
    assert_eq!(send(&mut site, &requests::entitlements(&points, Some("old")), Some(&token)).status, StatusCode::GONE);
}
