//! amoCRM's side of the two-way integration: catalogs and products of leads, events, webhooks, tasks, and a manager in the interface.

use http::Method;
use sandbox::{Host, parse_php_form};
use serde_json::{Value, json};

use crate::support::{Bench, Reply, WALL};

fn amo() -> Bench {
    Bench::new(Host::Amocrm, |site| site.amocrm.long_lived_token())
}

fn embedded<'a>(reply: &'a Reply, name: &str) -> &'a Vec<Value> {
    reply.json["_embedded"][name].as_array().unwrap_or_else(|| panic!("no {name} in {}: {}", reply.status, reply.text))
}

fn add(bench: &mut Bench, path: &str, items: &Value) -> Vec<u64> {
    let reply = bench.post(path, items);
    assert!(reply.status < 300, "{}", reply.text);
    let name = path.rsplit('/').next().unwrap();
    embedded(&reply, name).iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

fn act(bench: &mut Bench, action: &str, body: &Value) -> Value {
    bench.now_ms += 1_000;
    let wall = WALL + i64::try_from(bench.now_ms).unwrap();
    bench.site.act(Host::Amocrm, action, bench.now_ms, wall, body).unwrap_or_else(|message| panic!("{action}: {message}"))
}

fn products(bench: &mut Bench) -> u64 {
    bench.patch("/api/v4/catalogs/products/settings", &json!({"is_enabled": true})).json["catalog_id"].as_u64().unwrap()
}

fn element(bench: &mut Bench, catalog: u64, key: &str, name: &str, price: u64) -> u64 {
    let values =
        json!([{"field_code": "EXTERNAL_ID", "values": [{"value": key}]}, {"field_code": "PRICE", "values": [{"value": price.to_string()}]}]);
    add(bench, &format!("/api/v4/catalogs/{catalog}/elements"), &json!([{"name": name, "custom_fields_values": values}]))[0]
}

fn events(bench: &mut Bench, query: &str) -> Vec<Value> {
    let reply = bench.get(&format!("/api/v4/events?{query}"));
    if reply.status == 204 { Vec::new() } else { embedded(&reply, "events").clone() }
}

#[test]
fn the_list_of_products_is_switched_on_and_a_write_to_it_answers_the_whole_element() {
    let mut bench = amo();
    assert_eq!(bench.get("/api/v4/catalogs").status, 204);
    assert_eq!(bench.get("/api/v4/catalogs/products/settings").json, json!({"is_enabled": false, "catalog_id": null}));
    let catalog = products(&mut bench);
    assert_eq!(products(&mut bench), catalog, "once on, it stays the same list");
    assert_eq!(bench.post("/api/v4/catalogs", &json!([{"name": "Ещё", "type": "products"}])).status, 400, "there is one list of products at most");
    let fields = bench.get(&format!("/api/v4/catalogs/{catalog}/custom_fields?limit=250"));
    let codes: Vec<&str> = embedded(&fields, "custom_fields").iter().map(|field| field["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["SKU", "DESCRIPTION", "PRICE", "GROUP", "EXTERNAL_ID", "UNIT"]);

    let path = format!("/api/v4/catalogs/{catalog}/elements");
    assert_eq!(bench.get(&path).status, 204);
    let made = bench.post(
        &path,
        &json!([{"name": "Билет 1 час", "custom_fields_values": [{"field_code": "PRICE", "values": [{"value": 500}]},
        {"field_code": "EXTERNAL_ID", "values": [{"value": "p-1"}]}], "request_id": "r"}]),
    );
    let made = &embedded(&made, "elements")[0];
    assert_eq!((made["name"].as_str(), made["catalog_id"].as_u64(), made["request_id"].as_str()), (Some("Билет 1 час"), Some(catalog), Some("r")));
    assert_eq!(made["custom_fields_values"][0]["values"][0]["value"], "500", "numbers come back as strings");
    let id = made["id"].as_u64().unwrap();
    assert_eq!(bench.post(&path, &json!([{"name": "gut"}, {"custom_fields_values": []}])).status, 400, "a name is needed, and all or none are kept");
    assert_eq!(embedded(&bench.get(&path), "elements").len(), 1);
    assert_eq!(embedded(&bench.get(&format!("{path}?query=p-1")), "elements")[0]["id"], id);
    assert_eq!(embedded(&bench.patch(&path, &json!([{"id": id, "name": "Билет"}])), "elements")[0]["name"], "Билет");
    assert_eq!(bench.get(&format!("{path}/5")).status, 204);
    assert_eq!(bench.send(Method::DELETE, &format!("{path}/{id}"), None).status, 405, "only people delete elements");
    assert!(bench.site.amocrm.switch("extended", &json!(false)));
    assert_eq!(bench.get("/api/v4/catalogs").status, 402, "a tariff without lists");
}

#[test]
fn a_group_of_products_must_be_among_the_categories_groups() {
    let mut bench = amo();
    let catalog = products(&mut bench);
    let path = format!("/api/v4/catalogs/{catalog}");
    let item = json!([{"name": "Пицца", "custom_fields_values": [{"field_code": "GROUP", "values": [{"value": "Кафе"}]}]}]);
    assert_eq!(bench.post(&format!("{path}/elements"), &item).status, 400);
    let fields = bench.get(&format!("{path}/custom_fields"));
    let group = embedded(&fields, "custom_fields").iter().find(|field| field["code"] == "GROUP").unwrap()["id"].clone();
    let changed = bench.patch(&format!("{path}/custom_fields/{group}"), &json!({"nested": [{"value": "Кафе", "sort": 1}]}));
    assert_eq!((changed.json["nested"][0]["value"].as_str(), &changed.json["enums"]), (Some("Кафе"), &Value::Null));
    assert_eq!(bench.post(&format!("{path}/elements"), &item).status, 200);
}

#[test]
fn products_of_a_lead_have_quantities_and_give_a_lead_without_a_budget_its_price() {
    let mut bench = amo();
    let catalog = products(&mut bench);
    let (ticket, pizza) = (element(&mut bench, catalog, "p-1", "Билет", 500), element(&mut bench, catalog, "p-3", "Пицца", 650));
    let lead = add(&mut bench, "/api/v4/leads", &json!([{"name": "День рождения"}]))[0];
    let item = |id: u64, quantity: Value| json!([{"to_entity_id": id, "to_entity_type": "catalog_elements", "metadata": {"catalog_id": catalog, "quantity": quantity}}]);
    let missing = bench.post(&format!("/api/v4/leads/{lead}/link"), &json!([{"to_entity_id": ticket, "to_entity_type": "catalog_elements"}]));
    assert_eq!(missing.json["validation-errors"][0]["errors"][0]["path"], "metadata.catalog_id");
    assert_eq!(bench.post(&format!("/api/v4/leads/{lead}/link"), &item(ticket, json!(10))).status, 200);
    assert_eq!(bench.post(&format!("/api/v4/leads/{lead}/link"), &item(pizza, json!(1.5))).status, 200);
    let relinked = bench.post(&format!("/api/v4/leads/{lead}/link"), &item(ticket, json!(12)));
    assert_eq!((relinked.status, relinked.json["_embedded"]["links"][0]["metadata"]["quantity"].as_f64()), (200, Some(12.0)), "again: the quantity");
    let read = bench.get(&format!("/api/v4/leads/{lead}?with=catalog_elements,contacts")).json;
    assert_eq!(read["_embedded"]["catalog_elements"][0], json!({"id": ticket, "metadata": {"quantity": 12.0, "catalog_id": catalog}}));
    assert_eq!(read["price"], 5_000, "the first product filled the empty budget, the others did not");
    let links = bench.get(&format!(
        "/api/v4/leads/{lead}/links?filter[to_entity_type]=catalog_elements&filter[to_catalog_id]={catalog}&filter[to_entity_id]={pizza}"
    ));
    assert_eq!((&links.json["_total_items"], links.json["_embedded"]["links"][0]["metadata"]["quantity"].as_f64()), (&json!(1), Some(1.5)));
    assert_eq!(bench.post(&format!("/api/v4/leads/{lead}/unlink"), &item(ticket, json!(12))).status, 204);
    assert_eq!(bench.get(&format!("/api/v4/leads/{lead}/links")).json["_total_items"], 1);
    let kinds: Vec<Value> =
        events(&mut bench, "filter[type][]=entity_linked&filter[type][]=entity_unlinked").iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["entity_unlinked", "entity_linked", "entity_linked", "entity_linked"], "newest first");
    assert!(bench.site.amocrm.switch("links_touch", &json!(false)));
    let before = bench.get(&format!("/api/v4/leads/{lead}")).json["updated_at"].clone();
    act(&mut bench, "products", &json!({"lead_id": lead, "products": [{"external_id": "p-1", "quantity": 3}, {"id": pizza, "quantity": 0}]}));
    let after = bench.get(&format!("/api/v4/leads/{lead}?with=catalog_elements")).json;
    assert_eq!((&after["updated_at"], after["_embedded"]["catalog_elements"][0]["metadata"]["quantity"].as_f64()), (&before, Some(3.0)));
}

#[test]
fn events_tell_who_did_what_to_which_value_and_api_writes_are_among_them() {
    let mut bench = amo();
    let id = add(
        &mut bench,
        "/api/v4/contacts",
        &json!([{"name": "Анна", "custom_fields_values": [{"field_code": "PHONE", "values": [{"value": "+79990001122"}]}]}]),
    )[0];
    act(&mut bench, "contact", &json!({"id": id, "name": "Анна К.", "phones": ["+79990003344"], "tags_to_add": [{"name": "vip"}]}));
    let all = events(&mut bench, &format!("filter[entity][]=contact&filter[entity_id][]={id}"));
    let seen: Vec<(&str, u64)> = all.iter().map(|event| (event["type"].as_str().unwrap(), event["created_by"].as_u64().unwrap())).collect();
    assert_eq!(seen.iter().map(|(_, by)| *by).collect::<Vec<_>>(), [9_002, 9_002, 9_002, 9_001], "the manager's, and the API's own");
    assert!(seen[1].0.starts_with("custom_field_") && seen[3].0 == "contact_added", "{seen:?}");
    let phone = &events(&mut bench, "filter[type][]=custom_field_value_changed")[0];
    assert_eq!(phone["value_before"][0]["custom_field_value"]["text"], "+79990001122");
    assert_eq!(phone["value_after"][0]["custom_field_value"]["text"], "+79990003344");
    assert_eq!((phone["entity_type"].as_str(), phone["_embedded"]["entity"]["id"].as_u64()), (Some("contact"), Some(id)));
    assert!(phone["id"].is_string());
    assert_eq!(bench.get(&format!("/api/v4/events?filter[entity_id][]={id}")).status, 400, "an id needs its one kind");
    assert_eq!(bench.get(&format!("/api/v4/events?filter[type][]=contact_added&filter[type][]={}", phone["type"].as_str().unwrap())).status, 400);
    assert_eq!(events(&mut bench, "filter[created_by][]=9001").len(), 1);
    let since = phone["created_at"].as_i64().unwrap();
    assert_eq!(events(&mut bench, &format!("filter[created_at][from]={since}")).len(), 3);
    assert!(events(&mut bench, &format!("filter[created_at][from]={}", since + 1)).is_empty());
    let pages: Vec<Value> = (0..120).map(|number| json!({"name": format!("Г{number}")})).collect();
    add(&mut bench, "/api/v4/contacts", &json!(pages));
    let first = bench.get("/api/v4/events?limit=250");
    assert_eq!(embedded(&first, "events").len(), 100, "a page of events is smaller");
    assert!(first.json["_links"]["next"]["href"].as_str().unwrap().contains("page=2"));
}

#[test]
fn a_deleted_or_merged_contact_is_only_to_be_seen_in_the_events() {
    let mut bench = amo();
    let ids = add(
        &mut bench,
        "/api/v4/contacts",
        &json!([{"name": "Анна", "custom_fields_values": [{"field_code": "PHONE", "values": [{"value": "+79990000001"}]}]},
        {"name": "Аня", "custom_fields_values": [{"field_code": "PHONE", "values": [{"value": "+79990000002"}]},
            {"field_code": "EMAIL", "values": [{"value": "a@example.com"}]}]}, {"name": "Лишний"}]),
    );
    let lead = add(&mut bench, "/api/v4/leads", &json!([{"name": "Л", "_embedded": {"contacts": [{"id": ids[1]}]}}]))[0];
    let merged = act(&mut bench, "merge", &json!({"into": ids[0], "from": ids[1]}));
    assert_eq!(
        merged["custom_fields_values"].as_array().unwrap().iter().map(|field| field["values"].as_array().unwrap().len()).collect::<Vec<_>>(),
        [2, 1]
    );
    assert_eq!(bench.get(&format!("/api/v4/contacts/{}", ids[1])).status, 204);
    assert_eq!(bench.get(&format!("/api/v4/leads/{lead}?with=contacts")).json["_embedded"]["contacts"][0]["id"], ids[0]);
    act(&mut bench, "delete", &json!({"kind": "contacts", "id": ids[2]}));
    assert_eq!(embedded(&bench.get("/api/v4/contacts"), "contacts").len(), 1);
    assert_eq!(bench.patch("/api/v4/contacts", &json!([{"id": ids[2], "name": "x"}])).json["errors"][ids[2].to_string()], "Contact not found");
    assert_eq!(events(&mut bench, "filter[type][]=contact_deleted")[0]["entity_id"], ids[2]);
    let merge = &events(&mut bench, "filter[type][]=entity_merged")[0];
    assert_eq!((merge["entity_id"].as_u64(), merge["value_after"][0]["link"]["entity"]["id"].as_u64()), (Some(ids[0]), Some(ids[1])));
    act(&mut bench, "delete", &json!({"kind": "leads", "id": lead}));
    let gone = bench.get("/api/v4/leads?with=only_deleted");
    assert_eq!((embedded(&gone, "leads")[0]["id"].as_u64(), embedded(&gone, "leads")[0]["is_deleted"].as_bool()), (Some(lead), Some(true)));
    assert_eq!(bench.get("/api/v4/leads").status, 204);
}

#[test]
fn a_watermark_finds_changes_with_the_filters_and_without_them() {
    let mut bench = amo();
    let ids = add(&mut bench, "/api/v4/contacts", &json!([{"name": "А"}, {"name": "Б"}, {"name": "В"}]));
    bench.now_ms += 60_000;
    act(&mut bench, "contact", &json!({"id": ids[0], "first_name": "Анна"}));
    let since = bench.get(&format!("/api/v4/contacts/{}", ids[0])).json["updated_at"].as_i64().unwrap();
    let path = format!("/api/v4/contacts?filter[updated_at][from]={since}&order[updated_at]=asc");
    let found: Vec<u64> = embedded(&bench.get(&path), "contacts").iter().map(|contact| contact["id"].as_u64().unwrap()).collect();
    assert_eq!(found, [ids[0]]);
    assert!(bench.site.amocrm.switch("filters", &json!(false)));
    assert_eq!(embedded(&bench.get(&path), "contacts").len(), 3, "ignored without a word");
    let newest = bench.get("/api/v4/contacts?order[updated_at]=desc&limit=1");
    assert_eq!(embedded(&newest, "contacts")[0]["id"], ids[0]);
    assert_eq!(embedded(&newest, "contacts")[0]["updated_by"], 9_002);
}

fn told(body: &str) -> Value {
    parse_php_form(body)
}

#[test]
fn a_hook_has_the_old_shape_in_which_every_value_is_a_text() {
    let mut bench = amo();
    let birthday = bench.post(
        "/api/v4/contacts/custom_fields",
        &json!([{"type": "birthday", "name": "ДР", "code": "BDAY"}, {"type": "date", "name": "Дата", "code": "DAY"},
        {"type": "radiobutton", "name": "Пол", "code": "SEX", "enums": [{"value": "ж", "sort": 1}]}]),
    );
    assert_eq!(birthday.status, 201);
    let hook =
        json!({"destination": "http://127.0.0.1:9/amo/secret", "settings": ["add_contact", "update_contact", "delete_contact", "status_lead"]});
    let made = bench.post("/api/v4/webhooks", &hook);
    assert_eq!((made.status, made.json["disabled"].as_bool(), made.json.get("_embedded")), (201, Some(false), None));
    assert_eq!(bench.post("/api/v4/webhooks", &hook).status, 201, "the same destination is the same subscription");
    assert_eq!(bench.get("/api/v4/webhooks").json["_total_items"], 1);
    assert_eq!(bench.post("/api/v4/webhooks", &json!({"destination": "https://example.com/", "settings": ["add_lead"]})).status, 400);
    let ids = add(
        &mut bench,
        "/api/v4/contacts",
        &json!([{"name": "Анна & Ко", "custom_fields_values": [
        {"field_code": "PHONE", "values": [{"value": "+79990001122", "enum_code": "MOB"}]}, {"field_code": "BDAY", "values": [{"value": "2015-06-01T00:00:00+03:00"}]},
        {"field_code": "DAY", "values": [{"value": 1_634_601_600}]}, {"field_code": "SEX", "values": [{"value": "ж"}]}], "tags_to_add": [{"name": "лайм"}]}, {"name": "Б"}]),
    );
    let now = bench.now_ms;
    let due = bench.site.amocrm.due_hooks(now);
    assert_eq!(due.len(), 1, "one body for all of one request");
    assert!(bench.site.amocrm.due_hooks(now).is_empty(), "a try is taken once");
    let body = told(&due[0].body);
    let contact = &body["contacts"]["add"][0];
    assert_eq!(
        (contact["id"].as_str(), contact["name"].as_str(), contact["type"].as_str()),
        (Some(ids[0].to_string().as_str()), Some("Анна & Ко"), Some("contact"))
    );
    let fields = contact["custom_fields"].as_array().unwrap();
    assert_eq!((fields[0]["code"].as_str(), fields[0]["values"][0]["value"].as_str()), (Some("PHONE"), Some("+79990001122")));
    assert!(fields[0]["values"][0]["enum"].is_string());
    assert_eq!(fields[1]["values"][0]["value"], "01.06.2015");
    assert_eq!(fields[2]["values"], json!(["1634590800"]), "a date is bare");
    assert_eq!(fields[3]["values"]["value"], "ж", "a radio button is no list");
    assert_eq!(body["contacts"]["add"][1]["name"], "Б");
    assert_eq!(body["account"]["subdomain"], "park");
    let pipeline = embedded(&bench.get("/api/v4/leads/pipelines"), "pipelines")[1].clone();
    let lead = add(&mut bench, "/api/v4/leads", &json!([{"name": "Л", "pipeline_id": pipeline["id"]}]))[0];
    act(&mut bench, "lead", &json!({"id": lead, "status_id": 142}));
    let now = bench.now_ms;
    let moved = told(&bench.site.amocrm.due_hooks(now)[0].body);
    assert_eq!(
        (moved["leads"]["status"][0]["id"].as_str(), moved["leads"]["status"][0]["status_id"].as_str()),
        (Some(lead.to_string().as_str()), Some("142"))
    );
    assert!(moved["leads"]["status"][0]["old_status_id"].is_string());
    act(&mut bench, "delete", &json!({"kind": "contacts", "id": ids[1]}));
    let now = bench.now_ms;
    assert_eq!(told(&bench.site.amocrm.due_hooks(now)[0].body)["contacts"]["delete"][0], json!({"id": ids[1].to_string(), "type": "contact"}));
    assert_eq!(bench.send(Method::DELETE, "/api/v4/webhooks", Some(&json!({"destination": "http://127.0.0.1:9/amo/secret"}))).status, 204);
    assert_eq!(bench.send(Method::DELETE, "/api/v4/webhooks", Some(&json!({"destination": "http://127.0.0.1:9/amo/secret"}))).status, 404);
}

#[test]
fn the_ladder_has_three_steps_and_two_more_only_after_a_server_error() {
    let mut bench = amo();
    bench.post("/api/v4/webhooks", &json!({"destination": "http://127.0.0.1:9/", "settings": ["add_contact"]}));
    let minute = 60_000;
    for (status, ladder) in [(None, &[5, 15][..]), (Some(404), &[5, 15][..]), (Some(503), &[5, 15, 15, 60][..])] {
        add(&mut bench, "/api/v4/contacts", &json!([{"name": "А"}]));
        let mut now = bench.now_ms;
        for wait in ladder.iter().chain([&0]) {
            let due = bench.site.amocrm.due_hooks(now);
            assert_eq!(due.len(), 1, "{status:?} at the step before {wait}");
            bench.site.amocrm.hook_ended(now, due[0].id, status);
            assert!(*wait == 0 || bench.site.amocrm.due_hooks(now + wait * minute - 1).is_empty(), "{status:?}: not before {wait} minutes");
            now += wait * minute;
        }
        assert!(bench.site.amocrm.due_hooks(now + 1_000 * minute).is_empty());
        bench.now_ms = now + 1_000 * minute;
    }
    assert_eq!(bench.site.state(Host::Amocrm)["hooks"]["given_up"], 3);
    for number in 0..102 {
        add(&mut bench, "/api/v4/contacts", &json!([{"name": format!("{number}")}]));
        let now = bench.now_ms;
        for due in bench.site.amocrm.due_hooks(now) {
            bench.site.amocrm.hook_ended(now, due.id, Some(404));
        }
    }
    assert_eq!(bench.get("/api/v4/webhooks").json["_embedded"]["webhooks"][0]["disabled"], true, "more than a hundred bad answers within two hours");
    add(&mut bench, "/api/v4/contacts", &json!([{"name": "unheard"}]));
    let now = bench.now_ms;
    assert!(bench.site.amocrm.due_hooks(now).is_empty());
}

#[test]
fn tasks_want_a_text_and_a_time_and_notes_may_leave_the_pipeline_alone() {
    let mut bench = amo();
    let lead = add(&mut bench, "/api/v4/leads", &json!([{"name": "Л"}]))[0];
    assert_eq!(bench.get("/api/v4/tasks").status, 204);
    let refused = bench.post("/api/v4/tasks", &json!([{"text": "Позвонить"}]));
    assert_eq!(refused.json["validation-errors"][0]["errors"][0]["path"], "complete_till");
    let task =
        add(&mut bench, "/api/v4/tasks", &json!([{"text": "Позвонить", "complete_till": 1_800_000_000, "entity_type": "leads", "entity_id": lead}]))
            [0];
    let read = bench.get(&format!("/api/v4/tasks?filter[entity_type]=leads&filter[entity_id][]={lead}"));
    assert_eq!((embedded(&read, "tasks")[0]["id"].as_u64(), &embedded(&read, "tasks")[0]["result"]), (Some(task), &json!([])));
    let done = bench.patch(&format!("/api/v4/tasks/{task}"), &json!({"is_completed": true, "result": {"text": "ок"}}));
    assert!(done.json.get("_embedded").is_none() && done.json["id"] == task);
    assert_eq!(bench.get(&format!("/api/v4/tasks/{task}")).json["result"]["text"], "ок");
    let notes = json!([{"entity_id": lead, "note_type": "common", "params": {"text": "а"}, "is_need_to_trigger_digital_pipeline": false},
        {"entity_id": lead, "note_type": "common", "params": {"text": "б"}}]);
    let note = add(&mut bench, "/api/v4/leads/notes", &notes)[0];
    bench.patch(&format!("/api/v4/leads/notes/{note}"), &json!({"params": {"text": "в"}}));
    let state = bench.site.state(Host::Amocrm)["notes"].clone();
    assert_eq!(
        (state[0]["triggers"].as_bool(), state[1]["triggers"].as_bool(), state[0]["params"]["text"].as_str()),
        (Some(false), Some(true), Some("в"))
    );
    assert_eq!(embedded(&bench.get(&format!("/api/v4/leads/notes?filter[id][]={note}")), "notes").len(), 1);
}
