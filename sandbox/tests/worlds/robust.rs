//! No request, however broken, stops a world: a test against it must fail for its own reasons.

use bytes::Bytes;
use http::{Method, Request};
use sandbox::{Host, Site};
use serde_json::{Value, json};

use crate::support::WALL;

const REQUESTS: usize = 6_000;

/// Whole requests, to be damaged.
fn samples(webhook: &str) -> Vec<(Host, Method, String, Value)> {
    let amo = |method, path: &str, body| (Host::Amocrm, method, format!("/api/v4/{path}"), body);
    let b24 = |method: &str, body| (Host::Bitrix24, Method::POST, format!("{webhook}{method}"), body);
    let values = json!([{"field_code": "PHONE", "values": [{"value": "+79990001122", "enum_code": "MOB"}]}, {"field_id": 7001, "values": null}]);
    vec![
        (
            Host::Lime,
            Method::POST,
            "/gw/v1/write-offs:batch".to_owned(),
            json!({"device_id": "g", "items": [{"write_off_id": "01972f3a-0000-7000-8000-000000000001",
            "seq": 1, "service_point_id": "sp-1", "direction": "in", "medium": {"kind": "qr", "value": "x"}, "occurred_at": "2026-05-01T11:58:30+05:00",
            "clock_quality": "synced", "decision": {"mode": "device", "outcome": "admitted"}, "passage": {"state": "passed"}, "claim": {"kind": "auto"}, "force": true}]}),
        ),
        (Host::Lime, Method::GET, "/gw/v1/clients/c-1/transactions?limit=10".to_owned(), Value::Null),
        amo(Method::POST, "contacts", json!([{"first_name": "А", "custom_fields_values": values, "tags_to_add": [{"name": "т"}]}])),
        amo(Method::PATCH, "contacts", json!([{"id": 7050, "name": "Б", "_embedded": {"tags": null}}])),
        amo(
            Method::POST,
            "leads",
            json!([{"name": "Л", "price": 5, "pipeline_id": 7020, "status_id": 142, "_embedded": {"contacts": [{"id": 7050}]}}]),
        ),
        amo(Method::POST, "leads/complex", json!([{"name": "Л", "_embedded": {"contacts": [{"first_name": "В"}]}}])),
        amo(Method::POST, "contacts/custom_fields", json!([{"type": "select", "name": "К", "enums": [{"value": "а", "sort": 1}]}])),
        amo(
            Method::POST,
            "leads/pipelines",
            json!([{"name": "П", "sort": 1, "is_main": false, "is_unsorted_on": true, "_embedded": {"statuses": [{"name": "С", "color": "#99ccff"}]}}]),
        ),
        amo(Method::POST, "contacts/notes", json!([{"entity_id": 7050, "note_type": "common", "params": {"text": "т"}}])),
        amo(
            Method::GET,
            "contacts?page=2&limit=5&query=999&order[updated_at]=desc&filter[updated_at][from]=5&filter[id][]=7&filter[statuses][0][status_id]=1",
            Value::Null,
        ),
        b24(
            "crm.item.add",
            json!({"entityTypeId": 3, "fields": {"name": "А", "birthdate": "1990-05-01", "fm": [{"typeId": "PHONE", "value": "+7999"}]}}),
        ),
        b24("crm.item.update", json!({"entityTypeId": 3, "id": 60, "fields": {"fm": {"n0": {"typeId": "PHONE", "value": "1"}}}})),
        b24(
            "crm.item.list",
            json!({"entityTypeId": 2, "filter": {"0": {"logic": "OR", "0": {">id": 1}, "1": {"@title": ["x"]}}}, "order": {"id": "DESC"}, "select": ["id"], "start": 50}),
        ),
        b24(
            "crm.contact.userfield.add",
            json!({"fields": {"FIELD_NAME": "A_1", "USER_TYPE_ID": "enumeration", "LIST": [{"VALUE": "x"}], "MULTIPLE": "Y"}}),
        ),
        b24("crm.timeline.logmessage.list", json!({"entityTypeId": 3, "entityId": 60, "start": 10, "order": {"id": "asc"}})),
        b24(
            "batch",
            json!({"halt": 0, "cmd": {"a": "crm.item.add?entityTypeId=2&fields[title]=$result[a][b]$next[a] $", "b": "crm.item.get?entityTypeId=2&id=$result[a][item][id]"}}),
        ),
        b24("crm.stagehistory.list", json!({"entityTypeId": 2, "filter": {">ID": 0}, "start": -1})),
        b24("crm.duplicate.findbycomm", json!({"type": "PHONE", "values": ["+79990001122"], "entity_type": "CONTACT"})),
    ]
}

/// Some value of the wrong kind.
fn odd(random: &mut fastrand::Rng) -> Value {
    let all = [
        json!(null),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(""),
        json!("\u{0}я😀"),
        json!([]),
        json!({}),
        json!([[[]]]),
        json!({"": {"0": 1}}),
        json!(true),
        json!("9999-99-99T99:99:99Z"),
        json!("-009999-01-01T00:00:00Z"),
        json!("x".repeat(300)),
    ];
    all[random.usize(..all.len())].clone()
}

fn damage(value: &mut Value, random: &mut fastrand::Rng) {
    if random.u8(..8) == 0 {
        *value = odd(random);
        return;
    }
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(random.usize(..map.len())).cloned().unwrap();
            if random.u8(..6) == 0 {
                map.remove(&key);
            } else {
                damage(&mut map[&key], random);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = random.usize(..list.len());
            damage(&mut list[at], random);
        }
        other => *other = odd(random),
    }
}

#[test]
fn damaged_requests_are_answered_and_never_stop_a_world() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut site = Site::new(1);
    let webhook = site.bitrix24.webhook().strip_prefix("https://bitrix24.sandbox").unwrap().to_owned();
    let (lime, amo) = (site.lime.token().to_owned(), site.amocrm.long_lived_token());
    let samples = samples(&webhook);
    let mut statuses = std::collections::BTreeMap::new();
    for number in 0..REQUESTS {
        let (host, method, path, body) = &samples[random.usize(..samples.len())];
        let mut body = body.clone();
        for _ in 0..random.usize(..4) {
            damage(&mut body, &mut random);
        }
        let mut bytes = body.to_string().into_bytes();
        let mut path = path.clone();
        match random.u8(..12) {
            0 => bytes.truncate(random.usize(..=bytes.len())),
            1 => path.push_str(["/x", "?page=-1", "?limit=99999999999999999999", "/18446744073709551616", "?a[[[]]=1&%ff=%zz"][random.usize(..5)]),
            2 => path = path.replace(|c: char| c.is_ascii_digit(), "0"),
            _ => {}
        }
        let method = if random.u8(..20) == 0 { Method::DELETE } else { method.clone() };
        let token = if *host == Host::Lime { &lime } else { &amo };
        let request = Request::builder()
            .method(method)
            .uri(path.as_str())
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        let now_ms = 1_000 + u64::try_from(number).unwrap() * 1_000;
        let outcome = site.call(*host, now_ms, WALL, request.body(Bytes::from(bytes)).unwrap());
        *statuses.entry(outcome.response().unwrap().status().as_u16()).or_insert(0_u32) += 1;
    }
    for host in Host::ALL {
        assert!(site.state(host).is_object());
    }
    let good = statuses.get(&200).copied().unwrap_or(0);
    assert!(good > 1_000, "most of it should have been close enough to count: {statuses:?}");
}
