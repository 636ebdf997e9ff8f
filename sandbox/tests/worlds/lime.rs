//! The Lime gateway API v1 as the stand-in keeps it.

use crate::support::Bench;
use http::Method;
use sandbox::faults::{Mode, Rule};
use sandbox::{Host, What};
use serde_json::{Value, json};

fn lime() -> Bench {
    Bench::new(Host::Lime, |site| site.lime.token().to_owned())
}

fn uuid(number: u64) -> String {
    uuid::Uuid::from_u64_pair(0x0197_2f3a_0000_7000, 0x8000_0000_0000_0000 + number).to_string()
}

fn item(number: u64, kind: &str, value: &str) -> Value {
    json!({"write_off_id": uuid(number), "seq": number, "service_point_id": "sp-4", "direction": "in",
        "medium": {"kind": kind, "value": value, "raw": null},
        "occurred_at": "2026-05-01T11:58:30.400+05:00", "clock_quality": "holdover",
        "decision": {"mode": "device", "outcome": "admitted", "code": "ok", "snapshot_version": null, "hold_id": null},
        "passage": {"state": "unknown", "at": null},
        "claim": {"right_id": null, "kind": "auto", "quantity": 1, "amount": null, "tariff_id": null},
        "force": true})
}

fn batch(items: &[Value]) -> Value {
    json!({"device_id": "gw-1", "boot_id": "b", "sent_at": "2026-05-01T12:00:00+03:00", "clock": {"quality": "synced", "offset_ms": 0,
        "last_sync_at": null}, "items": items})
}

fn write_off(bench: &mut Bench, items: &[Value]) -> Vec<Value> {
    let reply = bench.post("/gw/v1/write-offs:batch", &batch(items));
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.json["server_time"].is_string());
    reply.json["results"].as_array().unwrap().clone()
}

fn ticket(bench: &Bench) -> String {
    bench.site.lime.media().into_iter().find(|medium| medium.kind == "qr").unwrap().value
}

fn card(bench: &Bench) -> (String, String) {
    let medium = bench.site.lime.media().into_iter().find(|medium| medium.kind == "card_uid" && medium.client_id.as_deref() == Some("c-5")).unwrap();
    (medium.value, "c-5".to_owned())
}

#[test]
fn a_resent_id_is_answered_duplicate_with_the_stored_result_and_charged_once() {
    let mut bench = lime();
    let (uid, client) = card(&bench);
    let first = write_off(&mut bench, &[item(1, "card_uid", &uid)]).remove(0);
    assert_eq!((first["status"].as_str(), first["code"].as_str(), first["client_id"].as_str()), (Some("applied"), Some("ok"), Some(client.as_str())));
    let mut again = item(1, "card_uid", &uid);
    again["occurred_at"] = json!("2026-05-01T11:58:31.000+05:00");
    again["clock_quality"] = json!("synced");
    let second = write_off(&mut bench, &[again]).remove(0);
    assert_eq!(second["status"], "duplicate");
    assert_eq!(second["original_status"], "applied");
    for key in ["transaction_id", "right", "charge", "client_id", "received_at", "service_point_name"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    let state = bench.site.state(Host::Lime);
    assert_eq!(state["write_offs"][uuid(1)]["received"], 2);
    assert_eq!(state["write_offs"][uuid(1)]["applied"], 1);
    assert_eq!(state["transactions"], 1);
}

#[test]
fn looking_up_tells_what_became_of_each_id_and_changes_nothing() {
    let mut bench = lime();
    let (uid, _) = card(&bench);
    let mut exit = item(2, "card_uid", &uid);
    exit["direction"] = json!("out");
    let first = write_off(&mut bench, &[item(1, "card_uid", &uid), exit]);
    let before = bench.site.state(Host::Lime)["write_offs"].clone();
    let reply = bench.post("/gw/v1/write-offs:lookup", &json!({"ids": [uuid(1), uuid(2), uuid(3)]}));
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.json["server_time"].is_string());
    let results = reply.json["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["applied", "recorded", "unknown"]);
    assert_eq!((&results[0]["transaction_id"], &results[0]["write_off_id"]), (&first[0]["transaction_id"], &json!(uuid(1))));
    assert_eq!(bench.site.state(Host::Lime)["write_offs"], before);
    assert!(bench.site.lime.forget_write_off(&uuid(1)) && !bench.site.lime.forget_write_off(&uuid(3)));
    assert_eq!(bench.post("/gw/v1/write-offs:lookup", &json!({"ids": [uuid(1)]})).json["results"][0]["status"], "unknown");
    let too_many: Vec<String> = (1..=201).map(uuid).collect();
    for ids in [json!([]), json!([7]), json!(too_many), Value::Null] {
        assert_eq!(bench.post("/gw/v1/write-offs:lookup", &json!({"ids": ids})).status, 400);
    }
}

#[test]
fn an_id_used_for_another_medium_is_rejected_and_changes_nothing() {
    let mut bench = lime();
    let (uid, _) = card(&bench);
    write_off(&mut bench, &[item(1, "card_uid", &uid)]);
    let result = write_off(&mut bench, &[item(1, "card_uid", "DEADBEEF")]).remove(0);
    assert_eq!((result["status"].as_str(), result["code"].as_str()), (Some("rejected"), Some("id_conflict")));
    assert_eq!(bench.site.state(Host::Lime)["transactions"], 1);
}

#[test]
fn a_ticket_used_twice_is_a_debt_that_names_the_first_pass() {
    let mut bench = lime();
    let qr = ticket(&bench);
    let results = write_off(&mut bench, &[item(1, "qr", &qr), item(2, "qr", &qr)]);
    assert_eq!(results[0]["status"], "applied");
    assert_eq!(results[0]["right"]["balance_after"], 0);
    assert_eq!((results[1]["status"].as_str(), results[1]["code"].as_str()), (Some("applied_with_debt"), Some("already_used")));
    assert_eq!(results[1]["conflict_with"], uuid(1));
    let mut asked = item(3, "qr", &qr);
    asked["force"] = json!(false);
    let refused = write_off(&mut bench, &[asked]).remove(0);
    assert_eq!((refused["status"].as_str(), refused["code"].as_str()), (Some("refused"), Some("already_used")));
}

#[test]
fn when_the_visits_are_used_up_the_deposit_pays_and_then_goes_into_debt() {
    let mut bench = lime();
    let (uid, _) = card(&bench);
    let results: Vec<Value> = (1..=60).flat_map(|number| write_off(&mut bench, &[item(number, "card_uid", &uid)])).collect();
    let paid = results.iter().find(|result| result["right"]["kind"] == "deposit").unwrap();
    assert!(paid["charge"]["amount"].as_i64().unwrap() > 0);
    assert_eq!(paid["charge"]["currency"], "RUB");
    let last = results.last().unwrap();
    assert_eq!((last["status"].as_str(), last["code"].as_str()), (Some("applied_with_debt"), Some("insufficient_deposit")));
    assert!(last["right"]["balance_after"].as_i64().unwrap() < 0);
}

#[test]
fn an_unknown_medium_is_recorded_when_forced_and_refused_when_not() {
    let mut bench = lime();
    let mut asked = item(2, "card_uid", "0BADCAFE");
    asked["force"] = json!(false);
    let results = write_off(&mut bench, &[item(1, "card_uid", "0BADCAFE"), asked]);
    assert_eq!((results[0]["status"].as_str(), results[0]["code"].as_str()), (Some("recorded"), Some("unknown_medium")));
    assert_eq!((results[1]["status"].as_str(), results[1]["code"].as_str()), (Some("refused"), Some("unknown_medium")));
}

#[test]
fn refusals_missing_passages_and_exits_are_recorded_and_cost_nothing() {
    let mut bench = lime();
    let (uid, _) = card(&bench);
    let mut refusal = item(1, "card_uid", &uid);
    refusal["decision"]["outcome"] = json!("refused");
    refusal["decision"]["code"] = json!("blocked_card");
    let mut turned_back = item(2, "card_uid", &uid);
    turned_back["passage"]["state"] = json!("not_passed");
    let mut exit = item(3, "card_uid", &uid);
    exit["direction"] = json!("out");
    let results = write_off(&mut bench, &[refusal, turned_back, exit]);
    assert!(results.iter().all(|result| result["status"] == "recorded"), "{results:?}");
    assert_eq!(results[0]["code"], "blocked_card");
    assert_eq!(bench.site.state(Host::Lime)["transactions"], 0);
}

#[test]
fn each_item_stands_alone_and_malformed_ones_are_rejected() {
    let mut bench = lime();
    let (uid, _) = card(&bench);
    let mut lost = item(2, "card_uid", &uid);
    lost["service_point_id"] = json!("sp-99");
    let mut torn = item(3, "card_uid", &uid);
    torn["occurred_at"] = json!("01.05.2026 11:58");
    let results = write_off(&mut bench, &[item(1, "card_uid", &uid), lost, torn, item(4, "card_uid", &uid)]);
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["applied", "rejected", "rejected", "applied"]);
    let too_many: Vec<Value> = (1..=201).map(|number| item(number, "card_uid", &uid)).collect();
    assert_eq!(bench.post("/gw/v1/write-offs:batch", &batch(&too_many)).status, 400);
}

#[test]
fn an_item_without_a_result_was_not_processed() {
    let mut bench = lime();
    let (uid, _) = card(&bench);
    bench.site.faults.set(0, Rule::new(Host::Lime, Mode::MissingItems { count: 2, committed: false }).times(1));
    let items: Vec<Value> = (1..=5).map(|number| item(number, "card_uid", &uid)).collect();
    assert_eq!(write_off(&mut bench, &items).len(), 3);
    assert_eq!(bench.site.state(Host::Lime)["transactions"], 3);
    let again = write_off(&mut bench, &items);
    assert_eq!(again.iter().filter(|result| result["status"] == "applied").count(), 2);
    bench.site.faults.set(0, Rule::new(Host::Lime, Mode::RetryItems { count: 1, retry_after_ms: 700 }).times(1));
    let put_off = write_off(&mut bench, &[item(9, "card_uid", &uid)]).remove(0);
    assert_eq!((put_off["status"].as_str(), put_off["retry_after_ms"].as_u64()), (Some("retry"), Some(700)));
}

#[test]
fn a_client_comes_with_children_cards_category_and_balances() {
    let mut bench = lime();
    let parent = (1..=50).map(|number| format!("c-{number}")).find(|id| {
        let client = bench.get(&format!("/gw/v1/clients/{id}")).json;
        client["relations"].as_array().unwrap().len() > 1
    });
    let client = bench.get(&format!("/gw/v1/clients/{}", parent.unwrap())).json;
    assert_eq!(client["category"]["kind"], "adult");
    assert!(client["phones"][0].as_str().unwrap().starts_with("+7999"));
    assert!(client["balances"]["deposit"].is_i64());
    let child = &client["relations"][0];
    assert_eq!(child["role"], "child");
    assert!(["сын", "дочь"].contains(&child["relation_type"]["name"].as_str().unwrap()));
    let child = bench.get(&format!("/gw/v1/clients/{}", child["client_id"].as_str().unwrap())).json;
    assert_eq!(child["category"]["name"], "Ребёнок");
    assert_eq!(child["relations"][0]["role"], "parent");
    assert_eq!(bench.get("/gw/v1/clients/c-0").json["error"]["code"], "not_found");
}

#[test]
fn the_last_transactions_come_newest_first() {
    let mut bench = lime();
    let (uid, client) = card(&bench);
    for number in 1..=12 {
        let mut pass = item(number, "card_uid", &uid);
        pass["occurred_at"] = json!(format!("2026-05-01T11:{number:02}:00+05:00"));
        write_off(&mut bench, &[pass]);
    }
    let items = bench.get(&format!("/gw/v1/clients/{client}/transactions?limit=10")).json["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 10);
    assert_eq!(items[0]["write_off_id"], uuid(12));
    assert_eq!(items[9]["write_off_id"], uuid(3));
}

#[test]
fn many_clients_at_once_are_what_each_is_alone_and_an_adapter_may_lack_the_call() {
    let mut bench = lime();
    let (uid, client) = card(&bench);
    write_off(&mut bench, &[item(1, "card_uid", &uid), item(2, "card_uid", &uid)]);
    let asked = json!({"ids": [client, "nobody", "c-1"], "transactions": 1});
    let items = bench.post("/gw/v1/clients:batch", &asked).json["items"].as_array().unwrap().clone();
    assert_eq!(items.iter().map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>(), [client.as_str(), "nobody", "c-1"]);
    assert_eq!((&items[1]["client"], &items[1]["transactions"]), (&Value::Null, &json!([])));
    for item in [&items[0], &items[2]] {
        let id = item["id"].as_str().unwrap();
        let mut alone = bench.get(&format!("/gw/v1/clients/{id}")).json;
        alone.as_object_mut().unwrap().remove("server_time");
        assert_eq!(item["client"], alone);
        assert_eq!(item["transactions"], bench.get(&format!("/gw/v1/clients/{id}/transactions?limit=1")).json["items"]);
    }
    assert_eq!(items[0]["transactions"].as_array().unwrap().len(), 1, "as many as were asked for");
    let ids = |count: usize| json!({"ids": (1..=count).map(|number| format!("c-{number}")).collect::<Vec<_>>()});
    let statuses: Vec<u16> = [0, 100, 101].into_iter().map(|count| bench.post("/gw/v1/clients:batch", &ids(count)).status).collect();
    assert_eq!(statuses, [400, 200, 400]);
    assert_eq!(bench.get("/gw/v1/clients:batch").status, 405);
    assert!(bench.site.lime.switch("clients_batch", &json!(false)));
    let lacking = bench.post("/gw/v1/clients:batch", &asked);
    assert_eq!((lacking.status, lacking.json["error"]["code"].as_str()), (404, Some("not_found")));
}

#[test]
fn seeds_repeat_and_cover_every_kind_of_medium() {
    let media = sandbox::Site::new(3).lime.media();
    assert_eq!(media, sandbox::Site::new(3).lime.media());
    assert_ne!(media, sandbox::Site::new(4).lime.media());
    for length in [8, 10, 14] {
        assert!(media.iter().any(|medium| medium.kind == "card_uid" && medium.value.len() == length), "no card of {length} digits");
    }
    assert!(media.iter().any(|medium| medium.kind == "qr" && medium.client_id.is_none()));
}

#[test]
fn without_the_device_token_nothing_is_told() {
    let mut bench = lime();
    bench.token = "wrong".to_owned();
    let reply = bench.get("/gw/v1/service-points");
    assert_eq!((reply.status, reply.json["error"]["code"].as_str()), (401, Some("device_unauthorized")));
    assert_eq!(reply.json["error"]["retryable"], false);
}

#[test]
fn a_late_commit_takes_effect_after_the_caller_was_cut_off() {
    let mut bench = lime();
    let (uid, _) = card(&bench);
    bench.site.faults.set(0, Rule::new(Host::Lime, Mode::LateCommit { ms: 5_000 }).on("POST", "write-offs").times(1));
    let outcome = bench.outcome(Method::POST, "/gw/v1/write-offs:batch", Some(&batch(&[item(1, "card_uid", &uid)])));
    assert!(matches!(outcome.what, What::Reset) && outcome.committed);
    assert_eq!(bench.site.state(Host::Lime)["transactions"], 0);
    assert_eq!(bench.site.next_late_ms(), Some(15_000));
    bench.site.settle(14_999, crate::support::WALL);
    assert_eq!(bench.site.state(Host::Lime)["transactions"], 0);
    bench.site.settle(15_000, crate::support::WALL);
    assert_eq!(bench.site.state(Host::Lime)["transactions"], 1);
    bench.now_ms = 15_000;
    assert_eq!(write_off(&mut bench, &[item(1, "card_uid", &uid)]).remove(0)["status"], "duplicate");
}

fn question(number: u64, commit: &str) -> Value {
    json!({"write_off_id": uuid(number), "medium": {"kind": "qr", "value": "ONE"}, "service_point_id": "sp-4", "direction": "in",
        "occurred_at": "2026-05-01T11:58:30.400+05:00", "commit": commit})
}

fn with_one_ticket() -> Bench {
    let mut bench = lime();
    assert!(bench.site.lime.put_medium("qr", "ONE", false, &json!([{"id": "r-one", "kind": "ticket", "amount": 1}])));
    bench
}

#[test]
fn a_grant_and_the_report_of_its_pass_are_one_row_however_the_guest_went() {
    for (commit, passage, mode, transactions, status) in [
        ("on_passage", "passed", "online", 1, "applied"),
        ("on_passage", "unknown", "offline_snapshot", 1, "applied"),
        ("on_passage", "not_passed", "online", 0, "recorded"),
        ("immediate", "passed", "online", 1, "applied"),
        // Taken and given back: the ledger shows both.
        ("immediate", "not_passed", "online", 2, "recorded"),
    ] {
        let mut bench = with_one_ticket();
        let granted = bench.post("/gw/v1/authorize", &question(1, commit));
        assert_eq!(granted.json["decision"], "grant", "{}", granted.text);
        assert_eq!(bench.post("/gw/v1/authorize", &question(2, commit)).json["code"], "already_used", "it is not given twice");
        let mut report = item(1, "qr", "ONE");
        report["passage"]["state"] = json!(passage);
        report["decision"]["mode"] = json!(mode);
        for resent in [false, true] {
            let result = write_off(&mut bench, &[report.clone()]).remove(0);
            assert_eq!(result["status"], if resent { "duplicate" } else { status }, "{commit} {passage}");
        }
        let state = bench.site.state(Host::Lime);
        assert_eq!(state["transactions"], transactions, "{commit} {passage}");
        assert_eq!(state["write_offs"][uuid(1)]["applied"], u64::from(status == "applied"));
        assert_eq!(state["holds"][uuid(1)]["state"], "reported");
        assert_eq!(state["rights"], json!({}), "nothing is held any more");
        let next = bench.post("/gw/v1/authorize", &question(3, commit));
        assert_eq!(next.json["decision"], if status == "applied" { "refuse" } else { "grant" });
    }
}

#[test]
fn a_hold_ends_by_confirm_by_cancel_and_by_its_time() {
    for (action, refused) in [(Some("confirm"), true), (Some("cancel"), false), (None, false)] {
        let mut bench = with_one_ticket();
        bench.post("/gw/v1/authorize", &question(1, "on_passage"));
        match action {
            Some(action) => assert_eq!(bench.post(&format!("/gw/v1/write-offs/{}:{action}", uuid(1)), &json!({})).status, 200),
            None => bench.now_ms += 30_000,
        }
        let next = bench.post("/gw/v1/authorize", &question(2, "on_passage"));
        assert_eq!(next.json["decision"] == "refuse", refused, "{action:?} {}", next.text);
    }
    assert_eq!(lime().post(&format!("/gw/v1/write-offs/{}:cancel", uuid(1)), &json!({})).status, 404);
}

#[test]
fn a_question_that_comes_after_the_report_changes_nothing() {
    let mut bench = with_one_ticket();
    let first = write_off(&mut bench, &[item(1, "qr", "ONE")]).remove(0);
    assert_eq!(first["status"], "applied");
    assert_eq!(bench.post("/gw/v1/authorize", &question(1, "immediate")).json["decision"], "grant");
    let state = bench.site.state(Host::Lime);
    assert_eq!((state["transactions"].as_u64(), state["holds"].as_object().map(serde_json::Map::len)), (Some(1), Some(0)));
    assert_eq!(
        bench
            .post("/gw/v1/authorize", &{
                let mut other = question(2, "immediate");
                other["commit"] = json!("never");
                other
            })
            .status,
        400
    );
}

#[test]
fn faults_strike_the_calls_of_the_door_too() {
    let mut bench = with_one_ticket();
    bench.site.faults.set(bench.now_ms, Rule::new(Host::Lime, Mode::Delay { ms: 400 }).on("POST", "authorize").times(1));
    bench.site.faults.set(bench.now_ms, Rule::new(Host::Lime, Mode::HalfAnswer).on("GET", "entitlements").times(1));
    assert_eq!(bench.outcome(Method::POST, "/gw/v1/authorize", Some(&question(1, "immediate"))).after_ms, 400);
    let cut = bench.outcome(Method::GET, "/gw/v1/entitlements?service_point_ids=sp-4", None).what;
    assert!(matches!(cut, What::Cut { .. }), "{cut:?}");
}
