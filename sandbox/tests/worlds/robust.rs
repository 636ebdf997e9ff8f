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
        (Host::Lime, Method::GET, "/gw/v1/clients/changes?cursor=&limit=3&snapshot=true&wait_s=9".to_owned(), Value::Null),
        (Host::Lime, Method::GET, "/gw/v1/transactions/changes?cursor=MXw1&limit=3".to_owned(), Value::Null),
        (
            Host::Lime,
            Method::POST,
            "/gw/v1/clients".to_owned(),
            json!({"external_ref": "amo:contact:5", "first_name": "А", "birth_date": "2015-06-01", "gender": "female", "phones": ["+79990001122"],
            "emails": ["a@b.c"], "consents": {"mailing": true}}),
        ),
        (
            Host::Lime,
            Method::PUT,
            "/gw/v1/preorders/by-ref/amo:deal:5".to_owned(),
            json!({"revision": 3, "contact": {"phone": "+79990000001"}, "event": {"starts_at": "2026-06-01T15:00:00+03:00", "ends_at": "2026-06-01T17:00:00+03:00"},
            "lines": [{"good_type_id": "p-1", "qty": 3, "price": 50_000}], "total": 150_000, "prepaid": 5, "status": "paid"}),
        ),
        (
            Host::Lime,
            Method::POST,
            "/gw/v1/bonus-accruals:batch".to_owned(),
            json!({"items": [{"accrual_id": "0197a1b2-0000-7000-8000-000000000001", "client_id": "c-1", "amount": 5, "reason": "nps"}]}),
        ),
        amo(Method::PATCH, "catalogs/products/settings", json!({"is_enabled": true})),
        amo(Method::POST, "catalogs", json!([{"name": "С", "type": "regular", "sort": 1}])),
        amo(
            Method::POST,
            "catalogs/7051/elements",
            json!([{"name": "Э", "custom_fields_values": [{"field_code": "PRICE", "values": [{"value": "5"}]}]}]),
        ),
        amo(
            Method::POST,
            "leads/7060/link",
            json!([{"to_entity_id": 7061, "to_entity_type": "catalog_elements", "metadata": {"catalog_id": 7051, "quantity": 1.5}}]),
        ),
        amo(Method::GET, "leads/7060/links?filter[to_entity_id]=5&filter[to_entity_type]=contacts&filter[to_catalog_id]=1", Value::Null),
        amo(
            Method::GET,
            "events?filter[type][]=contact_added&filter[entity][]=contact&filter[entity_id][]=5&filter[created_at][from]=1",
            Value::Null,
        ),
        amo(Method::POST, "tasks", json!([{"text": "т", "complete_till": 1_800_000_000, "entity_type": "leads", "entity_id": 7060}])),
        amo(Method::POST, "webhooks", json!({"destination": "http://127.0.0.1:9/", "settings": ["add_contact", "update_lead", "status_lead"]})),
        b24(
            "crm.item.productrow.set",
            json!({"ownerType": "D", "ownerId": 60, "productRows": [{"productName": "x", "price": 5.5, "quantity": 2, "taxRate": 20, "taxIncluded": "Y"}]}),
        ),
        b24("crm.item.productrow.list", json!({"filter": {"=ownerType": "D", "=ownerId": 60}, "start": 0})),
        b24("crm.item.batchImport", json!({"entityTypeId": 2, "data": [{"title": "x", "createdTime": "2020-01-02T10:00:00+03:00"}]})),
        b24("catalog.product.add", json!({"fields": {"iblockId": 23, "name": "П", "xmlId": "lime:p-1", "iblockSectionId": 5}})),
        b24(
            "catalog.product.list",
            json!({"select": ["id", "iblockId"], "filter": {"iblockId": 23, ">id": 1, "%name": "п"}, "order": {"id": "desc"}}),
        ),
        b24(
            "catalog.price.modify",
            json!({"fields": {"product": {"id": 60, "prices": [{"catalogGroupId": 1, "price": 5, "currency": "RUB", "id": 1}]}}}),
        ),
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

/// Where chance begins: `LIMEGATE_SEED`, or anywhere.
fn seed() -> u64 {
    let seed = std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    seed
}

#[test]
fn damaged_requests_are_answered_and_never_stop_a_world() {
    let seed = seed();
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

/// What people do by hand, to be damaged.
fn acts() -> Vec<(Host, &'static str, Value)> {
    let lines = json!([{"good_type_id": "p-1", "qty": 2, "amount": 100}]);
    vec![
        (Host::Lime, "register", json!({"first_name": "А", "cards": ["0A"], "children": [{"first_name": "Б", "birth_date": "2015-06-01"}]})),
        (Host::Lime, "change", json!({"client_id": "c-1", "category": "child", "child": {"first_name": "В"}, "without_child": "c-1-1"})),
        (Host::Lime, "card", json!({"client_id": "c-2", "uid": "0B"})),
        (Host::Lime, "delete", json!({"client_id": "c-3"})),
        (Host::Lime, "sell", json!({"client_id": "c-4", "lines": lines, "pay": "deposit"})),
        (Host::Lime, "top-up", json!({"client_id": "c-4", "amount": 5})),
        (Host::Lime, "refund", json!({"transaction_id": "tr-1"})),
        (Host::Lime, "bonus", json!({"client_id": "c-4", "amount": 5})),
        (Host::Lime, "product", json!({"name": "П", "kind": "goods", "price": 5, "parent_id": "g-1", "active": false})),
        (Host::Lime, "preorder", json!({"client_id": "c-4", "lines": lines})),
        (Host::Amocrm, "contact", json!({"name": "А", "phones": ["+7"], "fields": {"POSITION": "x"}})),
        (Host::Amocrm, "contact", json!({"id": 7047, "phones": [], "tags_to_add": [{"name": "т"}]})),
        (Host::Amocrm, "lead", json!({"name": "Л", "price": 5, "contacts": [7047]})),
        (Host::Amocrm, "merge", json!({"kind": "contacts", "into": 7047, "from": 7048})),
        (Host::Amocrm, "delete", json!({"kind": "contacts", "id": 7049})),
        (Host::Amocrm, "products", json!({"lead_id": 7050, "products": [{"id": 1, "quantity": 1}]})),
        (Host::Bitrix24, "contact", json!({"name": "А", "phones": ["+7"], "emails": ["a@b.c"]})),
        (Host::Bitrix24, "deal", json!({"title": "Д", "contactIds": [60]})),
        (Host::Bitrix24, "merge", json!({"into": 55, "from": 57})),
        (Host::Bitrix24, "delete", json!({"kind": "contact", "id": 59})),
        (Host::Bitrix24, "products", json!({"deal_id": 60, "products": [{"name": "x", "price": 5, "quantity": 1}]})),
    ]
}

#[test]
fn damaged_acts_are_refused_with_a_sentence_and_never_stop_a_world() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut site = Site::new(1);
    let acts = acts();
    let (mut done, mut refused) = (0, 0);
    for number in 0..REQUESTS {
        let (host, action, body) = &acts[random.usize(..acts.len())];
        let mut body = body.clone();
        for _ in 0..random.usize(..3) {
            damage(&mut body, &mut random);
        }
        match site.act(*host, action, u64::try_from(number).unwrap(), WALL, &body) {
            Ok(_) => done += 1,
            Err(message) => {
                assert!(!message.is_empty());
                refused += 1;
            }
        }
    }
    assert!(done > 500 && refused > 500, "{done} done, {refused} refused");
    for host in Host::ALL {
        assert!(site.state(host).is_object());
    }
}
