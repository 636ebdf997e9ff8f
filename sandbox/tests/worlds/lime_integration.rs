//! Lime's side of the two-way integration: feeds, writing clients, preorders, accruals, and the cashier.

use http::{Method, Request};
use sandbox::Host;
use serde_json::{Value, json};

use crate::support::{Bench, Reply, WALL};

fn lime() -> Bench {
    Bench::new(Host::Lime, |site| site.lime.token().to_owned())
}

fn act(bench: &mut Bench, action: &str, body: &Value) -> Value {
    bench.now_ms += 1_000;
    let wall = WALL + i64::try_from(bench.now_ms).unwrap();
    bench.site.act(Host::Lime, action, bench.now_ms, wall, body).unwrap_or_else(|message| panic!("{action}: {message}"))
}

fn page(bench: &mut Bench, feed: &str, query: &str) -> Value {
    let reply = bench.get(&format!("/gw/v1/{feed}/changes?{query}"));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json
}

/// Everything from a cursor to the end, and the cursor there.
fn drain(bench: &mut Bench, feed: &str, cursor: &str, limit: usize) -> (Vec<Value>, String) {
    let (mut items, mut cursor) = (Vec::new(), cursor.to_owned());
    loop {
        let page = page(bench, feed, &format!("cursor={cursor}&limit={limit}"));
        items.extend(page["items"].as_array().unwrap().clone());
        page["next_cursor"].as_str().unwrap().clone_into(&mut cursor);
        if page["has_more"] == false {
            return (items, cursor);
        }
    }
}

fn put(bench: &mut Bench, reference: &str, body: &Value) -> Reply {
    bench.send(Method::PUT, &format!("/gw/v1/preorders/by-ref/{reference}"), Some(body))
}

fn patch(bench: &mut Bench, id: &str, version: &Value, body: &Value) -> Reply {
    bench.now_ms += 1_000;
    let request = Request::patch(format!("/gw/v1/clients/{id}"))
        .header("authorization", format!("Bearer {}", bench.token))
        .header("if-match", version.to_string())
        .body(body.to_string().into())
        .unwrap();
    let outcome = bench.site.call(Host::Lime, bench.now_ms, WALL, request);
    let response = outcome.response().unwrap();
    let text = String::from_utf8(response.body().to_vec()).unwrap();
    Reply { status: response.status().as_u16(), json: serde_json::from_str(&text).unwrap(), text }
}

#[test]
fn a_sale_a_top_up_and_a_registration_come_through_the_feeds_in_their_order_with_their_origin() {
    let mut bench = lime();
    let family = act(
        &mut bench,
        "register",
        &json!({"last_name": "Орлова", "first_name": "Анна", "gender": "female", "birth_date": "1990-05-01", "phones": ["+79991112233"],
        "cards": ["0A0B0C0D"], "children": [{"first_name": "Пётр", "birth_date": "2018-03-04", "gender": "male"}]}),
    );
    let id = family["client_id"].as_str().unwrap().to_owned();
    let sale =
        act(&mut bench, "sell", &json!({"client_id": id, "lines": [{"good_type_id": "p-3", "qty": 2}, {"good_type_id": "p-4"}], "pay": "card"}));
    act(&mut bench, "top-up", &json!({"client_id": id, "amount": 100_000}));
    let refund = act(&mut bench, "refund", &json!({"transaction_id": sale["transaction_id"]}));
    assert_eq!((&sale["total"], &refund["receipt_id"]), (&json!(155_000), &sale["receipt_id"]));

    let (transactions, _) = drain(&mut bench, "transactions", "", 2);
    let kinds: Vec<&str> = transactions.iter().map(|item| item["object"]["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["sale", "topup", "refund"]);
    let sold = &transactions[0];
    assert_eq!((sold["op"].as_str(), sold["origin"].as_str(), sold["origin_ref"].clone()), (Some("upsert"), Some("lime"), Value::Null));
    assert_eq!(
        sold["object"]["lines"][0],
        json!({"good_type_id": "p-3", "name": "Пицца «Маргарита»", "qty": 2, "amount": 130_000, "right_id": null})
    );
    assert_eq!(sold["object"]["payments"], json!([{"kind": "card", "amount": 155_000}]));

    let (clients, _) = drain(&mut bench, "clients", "", 3);
    let versions: Vec<u64> = clients.iter().filter(|item| item["object"]["id"] == *id).map(|item| item["version"].as_u64().unwrap()).collect();
    assert!(versions.is_sorted() && versions.len() == 5, "registered, with its child, sold, topped up, given back: {versions:?}");
    let last = clients.iter().rfind(|item| item["object"]["id"] == *id).unwrap();
    assert_eq!(last["object"]["balances"]["deposit"], 100_000);
    assert_eq!(last["object"]["relations"][0]["first_name"], "Пётр");
    assert_eq!(last["object"]["relations"][0]["relation_type"]["name"], "сын");
    assert_eq!(bench.get(&format!("/gw/v1/clients/{id}/transactions?limit=10")).json["items"].as_array().unwrap().len(), 3);
}

#[test]
fn an_expired_cursor_is_410_and_a_walk_over_everything_ends_where_it_began() {
    let mut bench = lime();
    let (_, cursor) = drain(&mut bench, "clients", "", 100);
    assert!(bench.site.lime.switch("expire_cursors", &json!(true)));
    let gone = bench.get(&format!("/gw/v1/clients/changes?cursor={cursor}"));
    assert_eq!((gone.status, gone.json["error"]["code"].as_str()), (410, Some("cursor_expired")));
    assert_eq!(bench.get("/gw/v1/clients/changes?cursor=nonsense").status, 410);

    let mut page = page(&mut bench, "clients", "cursor=&snapshot=true&limit=70");
    let mut seen: Vec<String> = Vec::new();
    act(&mut bench, "change", &json!({"client_id": "c-1", "first_name": "Новое"}));
    loop {
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["object"]["id"].as_str().unwrap().to_owned()));
        let next = page["next_cursor"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            break;
        }
        page = self::page(&mut bench, "clients", &format!("cursor={next}&limit=70"));
    }
    let everyone = bench.site.state(Host::Lime)["clients"].as_u64().unwrap();
    let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
    assert_eq!(u64::try_from(distinct.len()).unwrap(), everyone);
    assert_eq!(seen.iter().filter(|id| *id == "c-1").count(), 2, "what changed during the walk comes after it once more");
    assert!(bench.site.lime.switch("feed_keep", &json!(2)));
    let (_, old) = drain(&mut bench, "clients", "", 100);
    for number in 0..5 {
        act(&mut bench, "change", &json!({"client_id": "c-2", "first_name": format!("Имя {number}")}));
    }
    assert_eq!(bench.get(&format!("/gw/v1/clients/changes?cursor={old}")).status, 410, "a gap is never passed over");
}

#[test]
fn a_repeating_feed_gives_at_least_once_and_always_comes_to_its_end() {
    let mut bench = lime();
    assert!(bench.site.lime.switch("feed_repeats", &json!(true)));
    for number in 0..7 {
        act(&mut bench, "product", &json!({"name": format!("Товар {number}"), "kind": "goods", "price": 100}));
    }
    let names = |items: &[Value]| items.iter().map(|item| item["object"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let (one_by_one, _) = drain(&mut bench, "products", "", 1);
    assert_eq!(names(&one_by_one).len(), 7);
    let (pages, _) = drain(&mut bench, "products", "", 3);
    let pages = names(&pages);
    assert!(pages.len() > 7, "{pages:?}");
    assert_eq!(pages.iter().collect::<std::collections::BTreeSet<_>>().len(), 7);
}

#[test]
fn a_client_is_made_once_for_an_external_ref_and_changed_only_on_the_version_that_is_known() {
    let mut bench = lime();
    let new = json!({"external_ref": "amo:contact:5", "origin": "crm:amo", "origin_ref": "amo:contact:5", "first_name": "Борис", "phones": ["+79992223344"],
        "category": {"kind": "child"}});
    let first = bench.post("/gw/v1/clients", &new);
    let second = bench.post("/gw/v1/clients", &new);
    assert_eq!((first.status, second.status, &first.json["id"]), (201, 200, &second.json["id"]));
    let id = first.json["id"].as_str().unwrap().to_owned();
    assert_eq!((&first.json["version"], &first.json["balances"]["deposit"]), (&json!(1), &json!(0)));
    let (items, cursor) = drain(&mut bench, "clients", "", 100);
    assert_eq!((items.len(), items[0]["origin"].as_str(), items[0]["origin_ref"].as_str()), (1, Some("crm:amo"), Some("amo:contact:5")));

    let changed = patch(&mut bench, &id, &json!(1), &json!({"phones": ["+79992223344", "+79995556677"], "middle_name": null, "origin": "crm:amo"}));
    assert_eq!((changed.status, &changed.json["version"]), (200, &json!(2)), "{}", changed.text);
    let stale = patch(&mut bench, &id, &json!(1), &json!({"first_name": "Боря"}));
    assert_eq!((stale.status, stale.json["error"]["code"].as_str()), (412, Some("version_conflict")));
    assert_eq!(stale.json["error"]["details"]["current"]["version"], 2);
    let same = patch(&mut bench, &id, &json!(2), &json!({"first_name": "Борис"}));
    assert_eq!(same.json["version"], 2, "what changes nothing is no new version");
    assert_eq!(bench.patch(&format!("/gw/v1/clients/{id}"), &json!({"first_name": "Боря"})).status, 428, "a version must be named");
    for (field, value) in [("balances", json!({"deposit": 5})), ("relations", json!([])), ("cards", json!([]))] {
        let refused = patch(&mut bench, &id, &json!(2), &json!({field: value}));
        assert_eq!((refused.status, refused.json["error"]["code"].as_str()), (422, Some("read_only")), "{field}");
    }
    assert_eq!(patch(&mut bench, &id, &json!(2), &json!({"phones": ["8 999"]})).status, 422);
    let (items, _) = drain(&mut bench, "clients", &cursor, 100);
    assert_eq!(items.len(), 1);
}

#[test]
fn a_child_grows_up_a_card_is_changed_and_a_client_is_deleted() {
    let mut bench = lime();
    let family =
        act(&mut bench, "register", &json!({"first_name": "Ольга", "cards": ["11223344"], "children": [{"first_name": "Яна", "gender": "female"}]}));
    let (parent, child) = (family["client_id"].as_str().unwrap().to_owned(), family["children"][0].as_str().unwrap().to_owned());
    let grown = act(&mut bench, "change", &json!({"client_id": child, "category": "adult", "phones": ["+79990001100"]}));
    assert_eq!((grown["category"]["kind"].as_str(), &grown["balances"]["deposit"]), (Some("adult"), &json!(0)));
    let (_, cursor) = drain(&mut bench, "clients", "", 100);
    let carded = act(&mut bench, "card", &json!({"client_id": parent, "uid": "55667788"}));
    let states: Vec<&str> = carded["cards"].as_array().unwrap().iter().map(|card| card["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["blocked", "active"]);
    act(&mut bench, "delete", &json!({"client_id": child}));
    let (items, _) = drain(&mut bench, "clients", &cursor, 100);
    let seen: Vec<(&str, &str)> = items.iter().map(|item| (item["op"].as_str().unwrap(), item["object"]["id"].as_str().unwrap())).collect();
    assert_eq!(seen, [("upsert", parent.as_str()), ("upsert", parent.as_str()), ("delete", child.as_str())]);
    assert_eq!(items[1]["object"]["relations"], json!([]));
    assert_eq!(bench.get(&format!("/gw/v1/clients/{child}")).status, 404);
}

#[test]
fn a_preorder_is_one_per_reference_and_a_lower_revision_is_stale() {
    let mut bench = lime();
    let order = |revision: u64, quantity: u64| {
        json!({"revision": revision, "contact": {"name": "Анна", "phone": "+79990000005"},
        "event": {"title": "День рождения", "starts_at": "2026-06-01T15:00:00+03:00", "ends_at": "2026-06-01T17:00:00+03:00", "room": "Зал 1", "staff": []},
        "lines": [{"good_type_id": "p-5", "qty": 1, "price": 1_500_000}, {"good_type_id": "p-3", "qty": quantity, "price": 60_000}],
        "total": 1_500_000, "prepaid": 0, "status": "confirmed", "comment": null})
    };
    let first = put(&mut bench, "amo:deal:123", &order(2, 1));
    assert_eq!((first.status, &first.json["total"]), (200, &json!(1_560_000)), "{}", first.text);
    let codes: Vec<&str> = first.json["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["price_differs", "total_differs"]);
    let again = put(&mut bench, "amo%3Adeal%3A123", &order(2, 1));
    assert_eq!(
        (&again.json["preorder_id"], &again.json["version"]),
        (&first.json["preorder_id"], &first.json["version"]),
        "sent again after a lost answer"
    );
    assert_eq!(put(&mut bench, "amo:deal:123", &order(2, 9)).json["error"]["code"], "revision_conflict");
    assert_eq!(put(&mut bench, "amo:deal:123", &order(1, 3)).json["error"]["code"], "stale");
    let third = put(&mut bench, "amo:deal:123", &order(3, 3));
    assert_eq!((third.status, &third.json["version"]), (200, &json!(2)));
    act(&mut bench, "preorder", &json!({"id": third.json["preorder_id"], "lines": [{"good_type_id": "p-5", "qty": 1}]}));
    let over = put(&mut bench, "amo:deal:123", &order(4, 3));
    assert!(over.text.contains("changed_in_lime"), "{}", over.text);
    let (items, _) = drain(&mut bench, "preorders", "", 100);
    let origins: Vec<&str> = items.iter().map(|item| item["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["crm:amo", "crm:amo", "lime", "crm:amo"]);
    assert_eq!(items[0]["object"]["client_id"], "c-5", "the contact's phone is a client's");
    let unknown = put(&mut bench, "amo:deal:124", &json!({"revision": 1, "client_id": "c-1", "lines": [{"good_type_id": "p-99", "qty": 1}]}));
    assert_eq!(unknown.status, 422);
}

#[test]
fn a_preorder_made_in_lime_gets_its_deals_reference_once() {
    let mut bench = lime();
    let made = act(&mut bench, "preorder", &json!({"client_id": "c-7", "lines": [{"good_type_id": "p-6", "qty": 2}], "status": "confirmed"}));
    let id = made["preorder_id"].clone();
    let bound = put(&mut bench, "b24:deal:9", &json!({"revision": 1, "preorder_id": id, "status": "paid"}));
    assert_eq!((bound.status, &bound.json["preorder_id"]), (200, &id), "{}", bound.text);
    let (items, _) = drain(&mut bench, "preorders", "", 100);
    assert_eq!(items.len(), 2);
    assert_eq!(
        (items[1]["object"]["ref"].as_str(), items[1]["object"]["total"].as_u64()),
        (Some("b24:deal:9"), Some(800_000)),
        "what was not said stays"
    );
    assert_eq!(put(&mut bench, "b24:deal:10", &json!({"revision": 1, "preorder_id": id})).json["error"]["code"], "bound");
}

#[test]
fn an_accrual_is_booked_once_and_dictionaries_name_what_clients_carry() {
    let mut bench = lime();
    let item = |id: &str, amount: i64| json!({"accrual_id": id, "client_id": "c-3", "amount": amount, "reason": "birthday", "expires_at": null});
    let id = "0197a1b2-0000-7000-8000-000000000001";
    let before = bench.get("/gw/v1/clients/c-3").json["balances"]["bonus"].as_i64().unwrap();
    let mut send = |items: Value| bench.post("/gw/v1/bonus-accruals:batch", &json!({"items": items})).json["results"].clone();
    let results = send(
        json!([item(id, 500), item("x", 5), {"accrual_id": "0197a1b2-0000-7000-8000-000000000002", "client_id": "c-0", "amount": 1, "reason": "nps"}]),
    );
    let statuses: Vec<&str> = results.as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["applied", "rejected", "rejected"]);
    assert_eq!(results[2]["code"], "unknown_client");
    assert_eq!(send(json!([item(id, 500)]))[0]["status"], "duplicate");
    assert_eq!(send(json!([item(id, 700)]))[0]["code"], "id_conflict");
    assert_eq!(bench.get("/gw/v1/clients/c-3").json["balances"]["bonus"].as_i64().unwrap(), before + 500);
    let (items, _) = drain(&mut bench, "transactions", "", 100);
    assert_eq!((items[0]["object"]["type"].as_str(), items[0]["origin_ref"].as_str()), (Some("bonus_accrual"), Some(id)));
    let kinds = bench.get("/gw/v1/categories").json["items"].clone();
    assert_eq!(kinds, json!([{"id": "cat-adult", "name": "Взрослый", "kind": "adult"}, {"id": "cat-child", "name": "Ребёнок", "kind": "child"}]));
    assert_eq!(bench.get("/gw/v1/relation-types").json["items"].as_array().unwrap().len(), 4);
}

#[test]
fn only_an_empty_page_is_kept_waiting() {
    let mut bench = lime();
    let request = |bench: &Bench, path: &str| {
        Request::get(format!("/gw/v1/{path}")).header("authorization", format!("Bearer {}", bench.token)).body(bytes::Bytes::new()).unwrap()
    };
    let held = |bench: &Bench, path: &str| bench.site.held_ms(Host::Lime, &request(bench, path));
    assert_eq!(held(&bench, "products/changes?wait_s=20"), Some(20_000));
    assert_eq!(held(&bench, "products/changes"), None);
    assert_eq!(held(&bench, "products/changes?cursor=x&wait_s=20"), None, "an expired cursor is told at once");
    assert_eq!(held(&bench, "products/changes?snapshot=true&wait_s=20"), None);
    act(&mut bench, "product", &json!({"id": "p-1", "active": false}));
    assert_eq!(held(&bench, "products/changes?wait_s=20"), None);
    let shown = page(&mut bench, "products", "")["items"][0].clone();
    assert_eq!((shown["version"].as_u64(), shown["object"]["active"].as_bool()), (Some(2), Some(false)));
}
