//! amoCRM as the stand-in keeps to its contract.

use http::Method;
use sandbox::Host;
use sandbox::faults::{Mode, Rule};
use serde_json::{Value, json};

use crate::support::{Bench, Reply};

fn amo() -> Bench {
    Bench::new(Host::Amocrm, |site| site.amocrm.long_lived_token())
}

fn embedded<'a>(reply: &'a Reply, name: &str) -> &'a Vec<Value> {
    reply.json["_embedded"][name].as_array().unwrap_or_else(|| panic!("no {name} in {}: {}", reply.status, reply.text))
}

fn add(bench: &mut Bench, path: &str, items: &Value) -> Vec<u64> {
    let reply = bench.post(path, items);
    assert!(reply.status < 300, "{}", reply.text);
    let name = path.split('?').next().unwrap().rsplit('/').next().unwrap();
    embedded(&reply, name).iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

fn field(bench: &mut Bench, entity: &str, field: &Value) -> u64 {
    let reply = bench.post(&format!("/api/v4/{entity}/custom_fields"), &json!([field]));
    assert_eq!(reply.status, 201, "{}", reply.text);
    embedded(&reply, "custom_fields")[0]["id"].as_u64().unwrap()
}

fn contact(bench: &mut Bench, id: u64) -> Value {
    bench.get(&format!("/api/v4/contacts/{id}")).json
}

#[test]
fn nothing_found_and_unknown_ids_are_204_without_a_body() {
    let mut bench = amo();
    for path in ["/api/v4/contacts", "/api/v4/contacts/5", "/api/v4/leads?query=x", "/api/v4/leads/notes"] {
        let reply = bench.get(path);
        assert_eq!((reply.status, reply.text.as_str()), (204, ""), "{path}");
    }
    assert_eq!(bench.get("/api/v4/notes").status, 404);
    let id = add(&mut bench, "/api/v4/contacts", &json!([{"name": "А"}]))[0];
    for path in [format!("/api/v4/contacts/{id}"), "/api/v4/leads".to_owned()] {
        assert_eq!(bench.send(Method::DELETE, &path, None).status, 405, "there is no API to delete cards");
    }
}

#[test]
fn a_write_answers_ids_and_request_ids_and_never_the_values() {
    let mut bench = amo();
    let reply = bench.post("/api/v4/contacts", &json!([{"first_name": "Анна", "last_name": "К.", "request_id": "lime:c:77"}, {"name": "Б"}]));
    let items = embedded(&reply, "contacts");
    assert_eq!((items[0]["request_id"].as_str(), items[1]["request_id"].as_str()), (Some("lime:c:77"), Some("1")));
    assert!(items[0].get("first_name").is_none() && items[0].get("name").is_none());
    assert!(items[0]["_links"]["self"]["href"].as_str().unwrap().starts_with("https://amocrm.sandbox/api/v4/contacts/"));
    let id = items[0]["id"].as_u64().unwrap();
    assert_eq!(contact(&mut bench, id)["name"], "Анна К.");
    assert_eq!(contact(&mut bench, id)["custom_fields_values"], Value::Null);
}

#[test]
fn one_bad_item_refuses_the_whole_write() {
    let mut bench = amo();
    let reply = bench.post(
        "/api/v4/contacts",
        &json!([{"name": "good"}, {"name": "bad", "custom_fields_values": [{"field_id": 1, "values": [{"value": "x"}]}], "request_id": "r2"}]),
    );
    assert_eq!(reply.status, 400);
    let error = &reply.json["validation-errors"][0];
    assert_eq!(error["request_id"], "r2");
    assert_eq!(error["errors"][0]["code"], "NotSupportedChoice");
    assert_eq!(error["errors"][0]["path"], "custom_fields_values.0.field_id");
    assert_eq!(bench.get("/api/v4/contacts").status, 204, "the good one was not kept either");
    let id = add(&mut bench, "/api/v4/contacts", &json!([{"name": "good"}]))[0];
    let reply = bench.patch("/api/v4/contacts", &json!([{"id": id, "name": "changed"}, {"id": 5, "name": "y"}]));
    assert_eq!((reply.status, reply.json["errors"]["5"].as_str()), (400, Some("Contact not found")));
    assert_eq!(contact(&mut bench, id)["name"], "good");
    assert_eq!(bench.post("/api/v4/contacts", &json!([])).json["detail"], "Request data can not be empty");
    let many: Vec<Value> = (0..251).map(|_| json!({"name": "n"})).collect();
    assert_eq!(bench.post("/api/v4/contacts", &json!(many)).status, 422);
}

#[test]
fn values_are_replaced_as_a_whole_null_clears_and_explicit_nulls_are_no_harm() {
    let mut bench = amo();
    let phone = |value: &str| json!({"value": value, "enum_code": "MOB", "enum_id": null});
    let id = add(
        &mut bench,
        "/api/v4/contacts",
        &json!([{"name": "А", "first_name": null, "custom_fields_values": [{"field_id": null, "field_code": "PHONE",
            "values": [phone("+79990001122"), phone("+79990001133")]}]}]),
    )[0];
    let read = contact(&mut bench, id);
    let value = &read["custom_fields_values"][0]["values"][1];
    assert_eq!((value["value"].as_str(), value["enum_code"].as_str()), (Some("+79990001133"), Some("MOB")));
    assert!(value["enum_id"].is_u64());
    bench.patch(&format!("/api/v4/contacts/{id}"), &json!({"custom_fields_values": [{"field_code": "PHONE", "values": [phone("+79990001144")]}]}));
    assert_eq!(contact(&mut bench, id)["custom_fields_values"][0]["values"].as_array().unwrap().len(), 1);
    bench.patch(&format!("/api/v4/contacts/{id}"), &json!({"custom_fields_values": [{"field_code": "PHONE", "values": null}]}));
    assert_eq!(contact(&mut bench, id)["custom_fields_values"], Value::Null);
    let refused = bench.patch(
        &format!("/api/v4/contacts/{id}"),
        &json!({"custom_fields_values": [{"field_code": "PHONE", "values": [{"value": "1", "enum_code": "MOBILE"}]}]}),
    );
    assert_eq!(refused.json["validation-errors"][0]["errors"][0]["code"], "NotSupportedChoice");
}

#[test]
fn a_text_longer_than_256_characters_is_refused_and_a_textarea_takes_it() {
    let mut bench = amo();
    let text = field(&mut bench, "contacts", &json!({"type": "text", "name": "Ключ", "code": "LIME_CLIENT_ID"}));
    let area = field(&mut bench, "contacts", &json!({"type": "textarea", "name": "Последние 10 операций", "code": "LIME_HISTORY"}));
    let card = |id: u64, length: usize| json!([{"name": "А", "custom_fields_values": [{"field_id": id, "values": [{"value": "ж".repeat(length)}]}]}]);
    assert_eq!(bench.post("/api/v4/contacts", &card(text, 256)).status, 200);
    assert_eq!(bench.post("/api/v4/contacts", &card(text, 257)).status, 400);
    assert_eq!(bench.post("/api/v4/contacts", &card(area, 4_000)).status, 200);
}

#[test]
fn a_date_is_cut_to_the_accounts_midnight_and_before_1970_only_text_will_do() {
    let mut bench = amo();
    let date = field(&mut bench, "contacts", &json!({"type": "date", "name": "День"}));
    let moment = field(&mut bench, "contacts", &json!({"type": "date_time", "name": "Миг"}));
    let birthday = field(&mut bench, "contacts", &json!({"type": "birthday", "name": "ДР"}));
    let mut set = |field: u64, value: Value| {
        let id = add(&mut bench, "/api/v4/contacts", &json!([{"name": "А"}]))[0];
        let reply =
            bench.patch(&format!("/api/v4/contacts/{id}"), &json!({"custom_fields_values": [{"field_id": field, "values": [{"value": value}]}]}));
        let read = contact(&mut bench, id)["custom_fields_values"][0]["values"][0]["value"].clone();
        (reply.status, read)
    };
    // 2021-10-19T00:00Z is the 19th in Moscow, whose midnight is 2021-10-18T21:00Z.
    assert_eq!(set(date, json!(1_634_601_600)), (200, json!(1_634_590_800)));
    assert_eq!(set(moment, json!(1_634_601_600)), (200, json!(1_634_601_600)));
    assert_eq!(set(birthday, json!("2015-06-01T00:00:00+03:00")), (200, json!(1_433_106_000)));
    assert_eq!(set(birthday, json!("1961-04-12T00:00:00+03:00")).0, 200);
    assert_eq!(set(birthday, json!(-275_000_000)).0, 400);
}

#[test]
fn selects_take_value_id_or_code_and_read_as_all_three() {
    let mut bench = amo();
    let id = field(
        &mut bench,
        "contacts",
        &json!({"type": "select", "name": "Категория", "code": "LIME_CATEGORY", "enums": [{"value": "взрослый", "sort": 1, "code": "adult"},
            {"value": "ребёнок", "sort": 2}]}),
    );
    let card = |value: Value| json!([{"name": "А", "custom_fields_values": [{"field_id": id, "values": [value]}]}]);
    let contact_id = add(&mut bench, "/api/v4/contacts", &card(json!({"enum_code": "adult"})))[0];
    let read = contact(&mut bench, contact_id)["custom_fields_values"][0]["values"][0].clone();
    assert_eq!((read["value"].as_str(), read["enum_code"].as_str()), (Some("взрослый"), Some("adult")));
    assert_eq!(bench.post("/api/v4/contacts", &card(json!({"value": "ребёнок"}))).status, 200);
    assert_eq!(bench.post("/api/v4/contacts", &card(json!({"value": "Ребенок"}))).status, 400);
    assert_eq!(bench.post("/api/v4/contacts/custom_fields", &json!([{"type": "select", "name": "x"}])).status, 400, "a select needs enums");
}

#[test]
fn tags_in_embedded_replace_and_the_others_add_and_delete() {
    let mut bench = amo();
    let id = add(&mut bench, "/api/v4/contacts", &json!([{"name": "А", "tags_to_add": [{"name": "лайм"}, {"name": "vip"}]}]))[0];
    let names = |bench: &mut Bench| {
        contact(bench, id)["_embedded"]["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut bench), ["лайм", "vip"]);
    bench.patch(&format!("/api/v4/contacts/{id}"), &json!({"tags_to_delete": [{"name": "vip"}]}));
    assert_eq!(names(&mut bench), ["лайм"]);
    bench.patch(&format!("/api/v4/contacts/{id}"), &json!({"_embedded": {"tags": [{"name": "новый"}]}}));
    assert_eq!(names(&mut bench), ["новый"]);
    bench.patch(&format!("/api/v4/contacts/{id}"), &json!({"_embedded": {"tags": null}}));
    assert!(names(&mut bench).is_empty());
    let posted = bench.post("/api/v4/contacts/tags", &json!([{"name": "лайм"}]));
    let again = bench.post("/api/v4/contacts/tags", &json!([{"name": "лайм"}]));
    assert_eq!(embedded(&posted, "tags")[0]["id"], embedded(&again, "tags")[0]["id"]);
}

#[test]
fn pages_follow_absolute_links_that_keep_the_query() {
    let mut bench = amo();
    let items: Vec<Value> = (0..120).map(|number| json!({"name": format!("Гость {number}")})).collect();
    add(&mut bench, "/api/v4/contacts", &json!(items));
    let mut path = "/api/v4/contacts?limit=50&query=%D0%93%D0%BE%D1%81%D1%82%D1%8C&order[id]=asc".to_owned();
    let mut seen = Vec::new();
    loop {
        let reply = bench.get(&path);
        seen.extend(embedded(&reply, "contacts").iter().map(|contact| contact["id"].as_u64().unwrap()));
        let Some(next) = reply.json["_links"]["next"]["href"].as_str() else { break };
        assert!(next.contains("limit=50") && next.contains("query=%D0"), "{next}");
        next.strip_prefix("https://amocrm.sandbox").unwrap().clone_into(&mut path);
    }
    assert_eq!(seen.len(), 120);
    assert!(seen.is_sorted());
    assert_eq!(embedded(&bench.get("/api/v4/contacts"), "contacts").len(), 50);
    assert_eq!(embedded(&bench.get("/api/v4/contacts?limit=500"), "contacts").len(), 120, "a limit beyond the maximum falls back to 250");
}

#[test]
fn a_phone_is_found_by_its_last_ten_digits_however_it_is_written() {
    let mut bench = amo();
    for phone in ["+79990001122", "8 (999) 000-11-22", "+79990001123"] {
        add(&mut bench, "/api/v4/contacts", &json!([{"name": "А", "custom_fields_values": [{"field_code": "PHONE", "values": [{"value": phone}]}]}]));
    }
    assert_eq!(embedded(&bench.get("/api/v4/contacts?query=9990001122"), "contacts").len(), 2);
    assert_eq!(embedded(&bench.get("/api/v4/contacts?query=%2B79990001122"), "contacts").len(), 1, "+7 and 8 are different strings");
}

#[test]
fn filters_are_heeded_only_by_accounts_that_have_them() {
    let mut bench = amo();
    let key = field(&mut bench, "contacts", &json!({"type": "text", "name": "Ключ", "code": "LIME_CLIENT_ID"}));
    let card = |value: &str| json!({"name": value, "custom_fields_values": [{"field_id": key, "values": [{"value": value}]}]});
    add(&mut bench, "/api/v4/contacts", &json!([card("c-1"), card("c-2"), card("c-3")]));
    let path = format!("/api/v4/contacts?filter[custom_fields_values][{key}][]=c-1&filter[custom_fields_values][{key}][]=c-3");
    assert_eq!(embedded(&bench.get(&path), "contacts").len(), 2);
    assert_eq!(bench.get("/api/v4/contacts?filter[updated_at]=1777636830").status, 204, "a lone number is no range");
    assert_eq!(embedded(&bench.get("/api/v4/contacts?filter[updated_at][from]=1"), "contacts").len(), 3);
    assert_eq!(bench.get("/api/v4/account?with=is_api_filter_enabled").json["is_api_filter_enabled"], true);
    assert!(bench.site.amocrm.switch("filters", &json!(false)));
    assert_eq!(embedded(&bench.get(&path), "contacts").len(), 3, "without filters all contacts come");
    assert_eq!(bench.get("/api/v4/account?with=is_api_filter_enabled").json["is_api_filter_enabled"], false);
}

#[test]
fn the_index_may_lag_while_the_card_itself_is_there() {
    let mut bench = amo();
    bench.site.faults.set(0, Rule::new(Host::Amocrm, Mode::IndexLag { ms: 5_000 }));
    let id = add(&mut bench, "/api/v4/contacts", &json!([{"name": "Анна"}]))[0];
    assert_eq!(bench.get("/api/v4/contacts?query=%D0%B0%D0%BD%D0%BD%D0%B0").status, 204);
    assert_eq!(contact(&mut bench, id)["name"], "Анна");
    bench.now_ms += 5_000;
    assert_eq!(bench.get("/api/v4/contacts?query=%D0%B0%D0%BD%D0%BD%D0%B0").status, 200);
}

#[test]
fn a_stage_is_only_unique_together_with_its_pipeline() {
    let mut bench = amo();
    let pipelines = embedded(&bench.get("/api/v4/leads/pipelines"), "pipelines").clone();
    let passes = pipelines.iter().find(|pipeline| pipeline["name"] == "Проходы").unwrap();
    let stage = passes["_embedded"]["statuses"].as_array().unwrap().iter().find(|stage| stage["name"] == "Прошёл").unwrap()["id"].as_u64().unwrap();
    let main = pipelines.iter().find(|pipeline| pipeline["is_main"] == true).unwrap();
    for pipeline in &pipelines {
        let ids: Vec<u64> = pipeline["_embedded"]["statuses"].as_array().unwrap().iter().map(|stage| stage["id"].as_u64().unwrap()).collect();
        assert!(ids.contains(&142) && ids.contains(&143));
    }
    let lead = add(&mut bench, "/api/v4/leads", &json!([{"name": "Проход", "price": 500, "pipeline_id": passes["id"], "status_id": stage}]))[0];
    let read = bench.get(&format!("/api/v4/leads/{lead}")).json;
    assert_eq!(
        (read["pipeline_id"].clone(), read["status_id"].as_u64(), read["closed_at"].clone()),
        (passes["id"].clone(), Some(stage), Value::Null)
    );
    let refused = bench.post("/api/v4/leads", &json!([{"name": "x", "pipeline_id": main["id"], "status_id": stage}]));
    assert_eq!(refused.json["validation-errors"][0]["errors"][0]["path"], "status_id");
    bench.patch(&format!("/api/v4/leads/{lead}"), &json!({"status_id": 142, "closed_at": 1_700_000_000}));
    assert_eq!(bench.get(&format!("/api/v4/leads/{lead}")).json["closed_at"], 1_700_000_000);
    let first = add(&mut bench, "/api/v4/leads", &json!([{"name": "без всего"}]))[0];
    assert_eq!(bench.get(&format!("/api/v4/leads/{first}")).json["pipeline_id"], main["id"]);
}

#[test]
fn contacts_of_a_lead_are_linked_read_and_unlinked_and_linking_twice_is_a_500() {
    let mut bench = amo();
    let ids = add(&mut bench, "/api/v4/contacts", &json!([{"name": "А"}, {"name": "Б"}]));
    let lead = add(&mut bench, "/api/v4/leads", &json!([{"name": "Проход", "_embedded": {"contacts": [{"id": ids[0], "is_main": true}]}}]))[0];
    assert_eq!(bench.get(&format!("/api/v4/leads/{lead}?with=contacts")).json["_embedded"]["contacts"][0]["id"], ids[0]);
    let item = |id: u64| json!([{"to_entity_id": id, "to_entity_type": "contacts", "metadata": {"is_main": false}}]);
    assert_eq!(bench.post(&format!("/api/v4/leads/{lead}/link"), &item(ids[1])).status, 200);
    assert_eq!(bench.post(&format!("/api/v4/leads/{lead}/link"), &item(ids[1])).status, 500);
    let links = bench.get(&format!("/api/v4/leads/{lead}/links")).json;
    assert_eq!(links["_total_items"], 2);
    assert_eq!(links["_embedded"]["links"][0]["metadata"]["main_contact"], true);
    assert_eq!(bench.post(&format!("/api/v4/leads/{lead}/unlink"), &item(ids[0])).status, 204);
    assert_eq!(bench.get(&format!("/api/v4/leads/{lead}/links")).json["_embedded"]["links"][0]["metadata"]["main_contact"], true);
    assert_eq!(bench.get(&format!("/api/v4/contacts/{}?with=leads", ids[1])).json["_embedded"]["leads"][0]["id"], lead);
    let refused = bench.post("/api/v4/leads", &json!([{"name": "x", "_embedded": {"contacts": [{"id": 1}]}}]));
    assert_eq!(refused.json["validation-errors"][0]["errors"][0]["path"], "_embedded.contacts.0.id");
}

#[test]
fn the_complex_answer_is_a_bare_array_with_listed_request_ids() {
    let mut bench = amo();
    let reply =
        bench.post("/api/v4/leads/complex", &json!([{"name": "Заявка", "request_id": "x", "_embedded": {"contacts": [{"first_name": "Анна"}]}}]));
    assert_eq!(reply.json[0]["request_id"], json!(["x"]));
    assert_eq!((reply.json[0]["merged"].as_bool(), reply.json[0]["company_id"].clone()), (Some(false), Value::Null));
    let (lead, contact_id) = (reply.json[0]["id"].as_u64().unwrap(), reply.json[0]["contact_id"].as_u64().unwrap());
    assert_eq!(contact(&mut bench, contact_id)["name"], "Анна");
    assert_eq!(bench.get(&format!("/api/v4/leads/{lead}?with=contacts")).json["_embedded"]["contacts"][0]["id"], contact_id);
}

#[test]
fn fields_are_created_in_groups_and_notes_on_cards() {
    let mut bench = amo();
    let group = bench.post("/api/v4/contacts/custom_fields/groups", &json!([{"name": "Лайм", "sort": 5}]));
    let group = embedded(&group, "custom_field_groups")[0]["id"].as_str().unwrap().to_owned();
    assert!(group.starts_with("contacts_"));
    let id =
        field(&mut bench, "contacts", &json!({"type": "numeric", "name": "Депозит", "code": "LIME_DEPOSIT", "group_id": group, "is_api_only": true}));
    let fields = bench.get("/api/v4/contacts/custom_fields?limit=250").json;
    assert_eq!(fields["_total_items"], 4);
    let contact_id = add(
        &mut bench,
        "/api/v4/contacts",
        &json!([{"name": "А", "custom_fields_values": [{"field_code": "LIME_DEPOSIT", "values": [{"value": 500}]}]}]),
    )[0];
    assert_eq!(contact(&mut bench, contact_id)["custom_fields_values"][0]["values"][0]["value"], "500", "numbers come back as strings");
    let note =
        json!([{"entity_id": contact_id, "note_type": "service_message", "params": {"service": "Лайм", "text": "Списание"}, "request_id": "n1"}]);
    let notes = bench.post("/api/v4/contacts/notes", &note);
    assert_eq!(embedded(&notes, "notes")[0]["request_id"], "n1");
    assert_eq!(embedded(&bench.get(&format!("/api/v4/contacts/{contact_id}/notes")), "notes")[0]["params"]["text"], "Списание");
    assert_eq!(bench.send(Method::DELETE, &format!("/api/v4/contacts/custom_fields/{id}"), None).status, 204);
    assert_eq!(contact(&mut bench, contact_id)["custom_fields_values"], Value::Null);
}

#[test]
fn the_eighth_request_within_a_second_is_429_and_whoever_goes_on_is_blocked_with_html() {
    let mut bench = amo();
    let burst = |bench: &mut Bench| {
        let outcome = bench.outcome(Method::GET, "/api/v4/account", None);
        let response = outcome.response().unwrap().clone();
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap().to_owned())
    };
    let statuses: Vec<u16> = (0..8).map(|_| burst(&mut bench).0).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 429]);
    bench.now_ms += 799;
    assert_eq!(burst(&mut bench).0, 429, "refused requests count, and the window slides");
    let last = (0..60).map(|_| burst(&mut bench)).last().unwrap();
    assert_eq!(last, (403, "text/html".to_owned()));
    assert!(bench.site.state(Host::Amocrm)["limits"]["breaches"].as_u64().unwrap() > 30);
    assert_eq!(bench.site.state(Host::Amocrm)["limits"]["blocks"], 1);
    bench.now_ms += 61_000;
    assert_eq!(burst(&mut bench).0, 200);
    let evenly: Vec<u16> = (0..70)
        .map(|_| {
            bench.now_ms += 143;
            burst(&mut bench).0
        })
        .collect();
    assert!(evenly.iter().all(|status| *status == 200), "seven a second, evenly, are within the limit");
    let mut jitter = fastrand::Rng::with_seed(11);
    bench.now_ms += 10_000;
    let start = bench.now_ms;
    for number in 0..140_u64 {
        bench.now_ms = start + number * 143 + jitter.u64(0..150);
        assert_eq!(burst(&mut bench).0, 200, "the way may take 150 ms from one and nothing from the next");
    }
    bench.now_ms += 10_000;
    let faster: Vec<u16> = (0..140)
        .map(|_| {
            bench.now_ms += 137;
            burst(&mut bench).0
        })
        .collect();
    assert!(faster.contains(&429), "7.3 a second are found out within ten seconds");
}

#[test]
fn codes_and_refresh_tokens_work_once_and_the_jwt_names_the_loopback() {
    let mut bench = amo();
    bench.site.amocrm.set_base("http://127.0.0.1:4711");
    let mut given = bench.site.amocrm.integration();
    given["grant_type"] = json!("authorization_code");
    let pair = bench.post("/oauth2/access_token", &given).json;
    assert_eq!((pair["token_type"].as_str(), pair["expires_in"].as_u64()), (Some("Bearer"), Some(86_400)));
    assert_eq!(bench.post("/oauth2/access_token", &given).status, 401, "a code works once");
    let claims = pair["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap()).unwrap();
    assert_eq!(claims["api_domain"], "127.0.0.1:4711");

    given["grant_type"] = json!("refresh_token");
    given["refresh_token"] = pair["refresh_token"].clone();
    // As the official library sends it: a form.
    let form: Vec<String> = given
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap().replace(':', "%3A").replace('/', "%2F")))
        .collect();
    let request = |bench: &mut Bench| {
        let request = http::Request::post("/oauth2/access_token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(bytes::Bytes::from(form.join("&")))
            .unwrap();
        bench.now_ms += 1_000;
        let outcome = bench.site.call(Host::Amocrm, bench.now_ms, crate::support::WALL, request);
        let response = outcome.response().unwrap().clone();
        (response.status().as_u16(), serde_json::from_slice::<Value>(response.body()).unwrap())
    };
    let (status, renewed) = request(&mut bench);
    assert_eq!(status, 200);
    let (status, refused) = request(&mut bench);
    assert_eq!((status, refused["hint"].as_str()), (401, Some("Token has been revoked")));
    bench.token = renewed["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.get("/api/v4/account").status, 200);
    bench.now_ms += 86_400_000;
    assert_eq!(bench.get("/api/v4/account").status, 401, "access ends after a day");
    assert_eq!(bench.site.state(Host::Amocrm)["oauth"]["refresh_tokens_reused"], 1);
}

#[test]
fn the_books_show_what_stands_there_twice() {
    let mut bench = amo();
    let key = field(&mut bench, "leads", &json!({"type": "text", "name": "Ключ", "code": "LIME_EVENT_UID"}));
    let lead = |uid: &str| json!({"name": "Проход", "custom_fields_values": [{"field_id": key, "values": [{"value": uid}]}]});
    let ids = add(&mut bench, "/api/v4/leads", &json!([lead("a"), lead("b"), lead("a")]));
    let state = bench.site.state(Host::Amocrm);
    assert_eq!(state["leads_by_key"]["LIME_EVENT_UID"]["b"], json!([ids[1]]));
    assert_eq!(state["leads_doubled"]["LIME_EVENT_UID"], json!({"a": [ids[0], ids[2]]}));
    assert_eq!(state["calls"]["by_label"]["POST /api/v4/leads"], 1);
}
