//! Bitrix24 as the stand-in keeps to its contract.

use bytes::Bytes;
use http::Request;
use sandbox::faults::{Mode, Rule};
use sandbox::{Host, Site, What};
use serde_json::{Value, json};

use crate::support::WALL;

struct Portal {
    site: Site,
    now_ms: u64,
    base: String,
}

fn portal() -> Portal {
    let site = Site::new(7);
    let base = site.bitrix24.webhook().strip_prefix("https://bitrix24.sandbox").unwrap().to_owned();
    Portal { site, now_ms: 10_000, base }
}

impl Portal {
    fn raw(&mut self, request: Request<Bytes>) -> (u16, String) {
        let wall = WALL + i64::try_from(self.now_ms).unwrap();
        let outcome = self.site.call(Host::Bitrix24, self.now_ms, wall, request);
        let What::Whole(response) = outcome.what else { panic!("no whole answer: {outcome:?}") };
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    /// Calls, and lets a second pass so that no limit is met by accident.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.now_ms += 1_000;
        self.with_status(method, parameters).1
    }

    fn with_status(&mut self, method: &str, parameters: &Value) -> (u16, Value) {
        let request = Request::post(format!("{}{method}", self.base))
            .header("content-type", "application/json")
            .body(Bytes::from(parameters.to_string()))
            .unwrap();
        let (status, text) = self.raw(request);
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")))
    }

    fn form(&mut self, path: &str, form: &str) -> Value {
        self.now_ms += 1_000;
        let request = Request::post(format!("{}{path}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(form.to_owned()))
            .unwrap();
        serde_json::from_str(&self.raw(request).1).unwrap()
    }

    fn add(&mut self, entity: u64, fields: &Value) -> Value {
        let answer = self.call("crm.item.add", &json!({"entityTypeId": entity, "fields": fields}));
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"]["item"].clone()
    }

    fn get(&mut self, entity: u64, id: &Value) -> Value {
        self.call("crm.item.get", &json!({"entityTypeId": entity, "id": id}))["result"]["item"].clone()
    }

    fn list(&mut self, entity: u64, filter: &Value) -> Vec<Value> {
        self.call("crm.item.list", &json!({"entityTypeId": entity, "filter": filter}))["result"]["items"].as_array().unwrap().clone()
    }
}

#[test]
fn items_have_real_types_and_the_older_methods_only_texts() {
    let mut portal = portal();
    let contact = portal.add(
        3,
        &json!({"name": "Анна", "lastName": "К.", "birthdate": "1990-05-01", "originatorId": "LIME",
        "originId": "client:1", "fm": [{"typeId": "PHONE", "valueType": "MOBILE", "value": "+79991234567"}]}),
    );
    assert!(contact["id"].is_u64());
    assert_eq!(contact["birthdate"], "1990-05-01T03:00:00+03:00", "a date reads as midnight shifted by the portal's offset");
    assert_eq!((contact["hasPhone"].as_str(), contact["hasEmail"].as_str()), (Some("Y"), Some("N")));
    assert_eq!(contact["fm"][0]["valueType"], "MOBILE");
    assert_eq!(contact["secondName"], Value::Null);
    let deal = portal.add(2, &json!({"title": "Проход", "opportunity": "500", "contactId": contact["id"], "isManualOpportunity": true}));
    assert_eq!((deal["opportunity"].as_f64(), deal["isManualOpportunity"].as_str()), (Some(500.0), Some("Y")));
    assert_eq!(deal["contactIds"], json!([contact["id"]]));

    let classic = portal.call("crm.contact.get", &json!({"ID": contact["id"]}))["result"].clone();
    assert_eq!(classic["ID"], contact["id"].to_string());
    assert_eq!(classic["PHONE"][0]["VALUE"], "+79991234567");
    assert!(classic.get("EMAIL").is_none(), "a contact without addresses has no EMAIL");
    assert!(portal.call("crm.contact.add", &json!({"fields": {"NAME": "Б"}}))["result"].is_u64());
    assert_eq!(portal.call("crm.contact.update", &json!({"id": contact["id"], "fields": {"NAME": "Аня"}}))["result"], true);
    assert_eq!(portal.get(3, &contact["id"])["name"], "Аня");
}

#[test]
fn json_forms_and_queries_are_all_taken_and_a_broken_json_body_counts_as_none() {
    let mut portal = portal();
    let answer = portal.form(
        "crm.item.add.json",
        "entityTypeId=3&fields[name]=%D0%90%D0%BD%D0%BD%D0%B0&fields[fm][0][typeId]=PHONE&fields[fm][0][value]=%2B79990001122",
    );
    let id = answer["result"]["item"]["id"].clone();
    assert_eq!(answer["result"]["item"]["fm"][0]["value"], "+79990001122");
    portal.now_ms += 1_000;
    let base = portal.base.clone();
    let (status, text) = portal.raw(Request::get(format!("{base}crm.item.Get?entityTypeId=3&id={id}")).body(Bytes::new()).unwrap());
    assert_eq!(status, 200);
    assert!(text.contains("\\u0410"), "what is not ASCII is escaped, as PHP does it: {text}");
    assert!(!text.contains("/rest/") || text.contains("\\/"));
    let request = Request::post(format!("{base}crm.item.get"))
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"{\"entityTypeId\": 3, "))
        .unwrap();
    let (status, text) = portal.raw(request);
    assert_eq!(status, 400);
    assert!(text.contains("Could not find value for parameter {entityTypeId}"), "{text}");
}

#[test]
fn what_is_not_known_or_not_understood_is_dropped_without_a_word() {
    let mut portal = portal();
    let contact = portal.add(3, &json!({"name": "А", "nmae": "Б", "birthdate": "1990-05-01"}));
    assert!(contact.get("nmae").is_none());
    let answer =
        portal.call("crm.item.update", &json!({"entityTypeId": 3, "id": contact["id"], "fields": {"birthdate": "в мае", "ufCrmNoSuch": "x"}}));
    assert!(answer.get("error").is_none());
    assert_eq!(answer["result"]["item"]["birthdate"], "1990-05-01T03:00:00+03:00", "the old value stays");
}

#[test]
fn in_an_update_a_known_key_changes_and_any_other_adds() {
    let mut portal = portal();
    let contact =
        portal.add(3, &json!({"name": "А", "fm": [{"typeId": "PHONE", "value": "+79990001122"}, {"typeId": "EMAIL", "value": "a@example.com"}]}));
    let id = contact["id"].clone();
    let (phone, mail) = (contact["fm"][0]["id"].to_string(), contact["fm"][1]["id"].to_string());
    let mut update = |fm: Value| {
        portal.call("crm.item.update", &json!({"entityTypeId": 3, "id": id, "fields": {"fm": fm}}))["result"]["item"]["fm"]
            .as_array()
            .unwrap()
            .clone()
    };
    let after =
        update(json!({phone.clone(): {"typeId": "PHONE", "value": "+79990001133"}, mail: {"typeId": "EMAIL", "value": ""}, "n0": {"typeId": "PHONE",
            "value": "+79990001144"}}));
    let values: Vec<&str> = after.iter().map(|entry| entry["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["+79990001133", "+79990001144"]);
    assert_eq!(update(json!([{"typeId": "PHONE", "value": "+79990001133"}])).len(), 3, "a list's keys are ids of nothing: the phone is doubled");
    assert_eq!(update(json!({"999999": {"typeId": "PHONE", "value": "+79990001155"}})).len(), 4, "a stale id adds");
    assert_eq!(update(json!({phone: {"value": "+79990009999"}})).len(), 4, "an entry without typeId is ignored");
}

#[test]
fn an_update_that_changes_nothing_saves_nothing() {
    let mut portal = portal();
    let contact = portal.add(3, &json!({"name": "А"}));
    let same = portal.call("crm.item.update", &json!({"entityTypeId": 3, "id": contact["id"], "fields": {"name": "А"}}));
    assert_eq!(same["result"]["item"]["updatedTime"], contact["updatedTime"]);
    let other = portal.call("crm.item.update", &json!({"entityTypeId": 3, "id": contact["id"], "fields": {"name": "Б"}}));
    assert_ne!(other["result"]["item"]["updatedTime"], contact["updatedTime"]);
}

#[test]
fn a_phone_is_found_however_it_is_spelt_and_nothing_found_is_an_empty_list() {
    let mut portal = portal();
    let contact = portal
        .add(3, &json!({"name": "А", "fm": [{"typeId": "PHONE", "value": "8 (999) 123-45-67"}, {"typeId": "EMAIL", "value": "A@Example.com"}]}));
    let mut find =
        |kind: &str, values: Value| portal.call("crm.duplicate.findbycomm", &json!({"type": kind, "values": values, "entity_type": "CONTACT"}));
    assert_eq!(find("PHONE", json!(["+79991234567"]))["result"]["CONTACT"], json!([contact["id"]]));
    assert_eq!(find("PHONE", json!(["+79991234567#404"]))["result"]["CONTACT"], json!([contact["id"]]));
    assert_eq!(find("EMAIL", json!(["a@example.com"]))["result"]["CONTACT"], json!([contact["id"]]));
    assert_eq!(find("PHONE", json!(["+79990000000"]))["result"], json!([]));
    assert_eq!(find("PHONE", json!([79_991_234_567_u64]))["error"], "", "numbers are skipped");
    assert_eq!(find("SKYPE", json!(["x"]))["error_description"], "Communication type is not defined.");
    let deal = portal.call("crm.duplicate.findbycomm", &json!({"type": "PHONE", "values": ["1"], "entity_type": "DEAL"}));
    assert_eq!(deal["error_description"], "Deal is not supported in current context.");
}

#[test]
fn lists_page_by_fifty_and_minus_one_switches_the_count_off() {
    let mut portal = portal();
    for number in 0..60 {
        portal.add(3, &json!({"name": format!("Г{number}")}));
    }
    let first = portal.call("crm.item.list", &json!({"entityTypeId": 3, "select": ["id"], "order": {"id": "ASC"}}));
    assert_eq!((first["total"].as_u64(), first["next"].as_u64(), first["result"]["items"].as_array().unwrap().len()), (Some(60), Some(50), 50));
    assert_eq!(first["result"]["items"][0].as_object().unwrap().len(), 1);
    let odd = portal.call("crm.item.list", &json!({"entityTypeId": 3, "start": 59}));
    assert_eq!(odd["result"]["items"].as_array().unwrap().len(), 10, "start is rounded down to whole pages");
    assert!(odd.get("next").is_none());
    let last = first["result"]["items"][49]["id"].clone();
    let walk = portal.call("crm.item.list", &json!({"entityTypeId": 3, "filter": {">id": last}, "start": -1}));
    assert!(walk.get("total").is_none() && walk.get("next").is_none());
    assert_eq!(walk["result"]["items"].as_array().unwrap().len(), 10);
    assert_eq!(portal.call("crm.contact.list", &json!({"start": -1}))["total"], 0, "the older lists say none");
}

#[test]
fn filters_know_prefixes_and_groups_and_refuse_unknown_fields_only_in_items() {
    let mut portal = portal();
    for (name, origin) in [("Анна", "client:1"), ("Борис", "client:2"), ("Вера", "client:3")] {
        portal.add(3, &json!({"name": name, "originatorId": "LIME", "originId": origin}));
    }
    let names = |rows: Vec<Value>| rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(portal.list(3, &json!({"originatorId": "LIME", "originId": "client:2"}))), ["Борис"]);
    assert_eq!(names(portal.list(3, &json!({"@originId": ["client:1", "client:3"]}))), ["Анна", "Вера"]);
    assert_eq!(names(portal.list(3, &json!({"!originId": "client:1", "%name": "ор"}))), ["Борис"]);
    assert_eq!(names(portal.list(3, &json!({"0": {"logic": "OR", "0": {"name": "анна"}, "1": {"name": "ВЕРА"}}}))), ["Анна", "Вера"]);
    let refused = portal.call("crm.item.list", &json!({"entityTypeId": 3, "filter": {"orignId": "x"}}));
    assert_eq!(
        (refused["error"].as_str(), refused["error_description"].as_str()),
        (Some("INVALID_ARG_VALUE"), Some("Invalid filter: field 'orignId' is not allowed in filter"))
    );
    assert_eq!(portal.call("crm.contact.list", &json!({"filter": {"ORIGNID": "x"}}))["total"], 3, "the older list ignores it and returns all");
    let all = portal.list(3, &json!({}));
    let after = all[0]["updatedTime"].as_str().unwrap().to_owned();
    assert_eq!(portal.list(3, &json!({">updatedTime": after})).len(), 2);
}

#[test]
fn a_stage_belongs_to_its_funnel_and_every_step_is_in_the_history() {
    let mut portal = portal();
    let funnels = portal.call("crm.category.list", &json!({"entityTypeId": 2}))["result"]["categories"].clone();
    let passes = funnels.as_array().unwrap().iter().find(|funnel| funnel["name"] == "Проходы").unwrap()["id"].clone();
    let stages = portal.call("crm.status.list", &json!({"filter": {"ENTITY_ID": format!("DEAL_STAGE_{passes}")}, "order": {"SORT": "ASC"}}));
    let passed = stages["result"].as_array().unwrap().iter().find(|stage| stage["NAME"] == "Прошёл").unwrap().clone();
    assert_eq!(passed["STATUS_ID"], format!("C{passes}:PASSED"));
    assert!(passed["ID"].is_string() && passed["SORT"].is_string() && passed["SEMANTICS"].is_null());
    let deal = portal.add(2, &json!({"categoryId": passes, "stageId": passed["STATUS_ID"]}));
    assert_eq!((deal["stageSemanticId"].as_str(), deal["closed"].as_str()), (Some("P"), Some("N")));
    let refused = portal.call("crm.item.add", &json!({"entityTypeId": 2, "fields": {"categoryId": 0, "stageId": passed["STATUS_ID"]}}));
    assert_eq!(refused["error"], "CRM_FIELD_ERROR_VALUE_NOT_VALID");
    let won = portal.call("crm.item.update", &json!({"entityTypeId": 2, "id": deal["id"], "fields": {"stageId": format!("C{passes}:WON")}}));
    assert_eq!((won["result"]["item"]["stageSemanticId"].as_str(), won["result"]["item"]["closed"].as_str()), (Some("S"), Some("Y")));
    let moves =
        portal.call("crm.stagehistory.list", &json!({"entityTypeId": 2, "filter": {">ID": 0}, "order": {"ID": "ASC"}}))["result"]["items"].clone();
    let kinds: Vec<u64> = moves.as_array().unwrap().iter().map(|at| at["TYPE_ID"].as_u64().unwrap()).collect();
    assert_eq!(kinds, [1, 3]);
    let added =
        portal.call("crm.status.add", &json!({"fields": {"ENTITY_ID": format!("DEAL_STAGE_{passes}"), "STATUS_ID": "BOOKED", "NAME": "Бронь"}}));
    assert!(added["result"].is_u64());
    assert_eq!(portal.add(2, &json!({"categoryId": passes, "stageId": format!("C{passes}:BOOKED")}))["stageId"], format!("C{passes}:BOOKED"));
}

#[test]
fn user_fields_have_two_names_and_are_refused_twice() {
    let mut portal = portal();
    let field =
        |name: &str, kind: &str, multiple: &str| json!({"fields": {"FIELD_NAME": name, "USER_TYPE_ID": kind, "MULTIPLE": multiple, "LABEL": "Дети"}});
    assert!(portal.call("crm.contact.userfield.add", &field("LIME_CHILDREN", "string", "Y"))["result"].is_u64());
    portal.call("crm.contact.userfield.add", &field("LIME_LAST_VISIT", "datetime", "N"));
    portal.call("crm.contact.userfield.add", &field("1720697698689", "string", "N"));
    let again = portal.call("crm.contact.userfield.add", &field("UF_CRM_LIME_CHILDREN", "string", "Y"));
    assert!(again["error_description"].as_str().unwrap().contains("уже существует"));
    let listed = portal.call("crm.contact.userfield.list", &json!({"filter": {"FIELD_NAME": "UF_CRM_LIME_CHILDREN"}}));
    assert_eq!((listed["total"].as_u64(), listed["result"][0]["MULTIPLE"].as_str()), (Some(1), Some("Y")));
    let fields = portal.call("crm.item.fields", &json!({"entityTypeId": 3}))["result"]["fields"].clone();
    assert_eq!(fields["ufCrmLimeChildren"]["upperName"], "UF_CRM_LIME_CHILDREN");
    assert_eq!(fields["ufCrm_1720697698689"]["upperName"], "UF_CRM_1720697698689");
    let contact = portal.add(3, &json!({"name": "А", "ufCrmLimeChildren": ["Пётр", "Яна"], "ufCrmLimeLastVisit": "2026-05-01T12:00:00+05:00"}));
    assert_eq!(contact["ufCrmLimeChildren"], json!(["Пётр", "Яна"]));
    assert_eq!(contact["ufCrmLimeLastVisit"], "2026-05-01T10:00:00+03:00");
    let stripped = portal.call("crm.item.list", &json!({"entityTypeId": 3, "select": ["id", "UF_CRM_LIME_CHILDREN"], "useOriginalUfNames": "Y"}));
    assert_eq!(
        stripped["result"]["items"][0].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["UF_CRM_LIME_CHILDREN"],
        "with original names an explicit selection loses all others"
    );
    assert!(portal.site.bitrix24.switch("admin", &json!(false)));
    assert_eq!(portal.call("crm.contact.userfield.add", &field("X", "string", "N"))["error"], "ACCESS_DENIED");
}

#[test]
fn log_entries_page_by_ten_and_comments_answer_a_bare_id() {
    let mut portal = portal();
    let contact = portal.add(3, &json!({"name": "А"}))["id"].clone();
    for number in 0..12 {
        let answer = portal.call(
            "crm.timeline.logmessage.add",
            &json!({"fields": {"entityTypeId": 3, "entityId": contact, "title": "Проход", "text": format!("[{number}] вход"), "iconCode": "info"}}),
        );
        assert!(answer["result"]["logMessage"]["id"].is_u64());
    }
    let first = portal.call("crm.timeline.logmessage.list", &json!({"entityTypeId": 3, "entityId": contact}));
    assert_eq!(
        (first["result"].as_array().unwrap().len(), first["next"].as_u64(), first["result"][0]["text"].as_str()),
        (10, Some(10), Some("[11] вход"))
    );
    let second = portal.call("crm.timeline.logmessage.list", &json!({"entityTypeId": 3, "entityId": contact, "start": 10}));
    assert_eq!(second["result"].as_array().unwrap().len(), 2);
    assert!(
        portal.call("crm.timeline.comment.add", &json!({"fields": {"ENTITY_ID": contact, "ENTITY_TYPE": "contact", "COMMENT": "x"}}))["result"]
            .is_u64()
    );
    assert_eq!(
        portal.call("crm.timeline.comment.add", &json!({"FIELDS": {"ENTITY_ID": contact}}))["error"],
        "100",
        "only the lower-case key is understood"
    );
    let missing = portal.call(
        "crm.timeline.logmessage.add",
        &json!({"fields": {"entityTypeId": 3, "entityId": 99_999, "title": "a", "text": "b", "iconCode": "info"}}),
    );
    assert_eq!(missing["error"], "OWNER_NOT_FOUND");
}

#[test]
fn a_batch_keeps_names_references_types_and_errors_apart() {
    let mut portal = portal();
    let answer = portal.call(
        "batch",
        &json!({"halt": 0, "cmd": {
            "c0001": "crm.item.add?entityTypeId=3&fields[name]=%D0%90%D0%BD%D0%BD%D0%B0&fields[fm][0][typeId]=PHONE&fields[fm][0][value]=%2B79990001122",
            "d0001": "crm.item.add?entityTypeId=2&fields[title]=%D0%9F%D1%80%D0%BE%D1%85%D0%BE%D0%B4&fields[contactId]=$result[c0001][item][id]",
            "bad": "crm.item.get?entityTypeId=2&id=99999",
            "text": "crm.item.add?entityTypeId=2&fields[title]=No+$result[c0001][item][id]+of+%23+many",
            "cut": "crm.item.add?entityTypeId=2&fields[title]=before#after&fields[comments]=x",
            "nested": "batch?cmd[a]=profile",
            "all": "crm.item.list?entityTypeId=2",
        }}),
    );
    let result = &answer["result"];
    let contact = result["result"]["c0001"]["item"]["id"].clone();
    assert_eq!(result["result"]["c0001"]["item"]["fm"][0]["value"], "+79990001122");
    assert_eq!(result["result"]["d0001"]["item"]["contactId"], contact);
    assert_eq!(result["result"]["text"]["item"]["title"], format!("No {contact} of # many"));
    assert_eq!(result["result"]["cut"]["item"]["title"], "before", "an unescaped # truncates the command");
    assert_eq!(result["result_error"]["bad"]["error"], "NOT_FOUND");
    assert_eq!(result["result_error"]["nested"]["error"], "ERROR_BATCH_METHOD_NOT_ALLOWED");
    assert_eq!(result["result_total"]["all"], 3);
    assert_eq!(portal.site.state(Host::Bitrix24)["calls"]["requests"], 1, "a batch is one request");
}

#[test]
fn empty_maps_in_a_batch_are_lists_and_numbered_commands_lose_their_names() {
    let mut portal = portal();
    let named = portal.call("batch", &json!({"cmd": {"a": "profile"}}));
    assert_eq!(named["result"]["result_error"], json!([]));
    assert_eq!(named["result"]["result_total"], json!([]));
    let numbered = portal.call("batch", &json!({"cmd": ["profile", "crm.item.get?entityTypeId=3&id=1"]}));
    assert!(numbered["result"]["result"].is_array());
    assert!(numbered["result"]["result_error"].is_object(), "the error of number 1 alone is a map, that of number 0 alone a list");
    let halted = portal.call("batch", &json!({"halt": 1, "cmd": {"a": "crm.item.get?entityTypeId=3&id=1", "b": "profile"}}));
    assert_eq!(halted["result"]["result"], json!([]), "after a halt the later commands are absent");
    let many: serde_json::Map<String, Value> = (0..51).map(|number| (format!("c{number:04}"), json!("profile"))).collect();
    let too_many = portal.call("batch", &json!({"cmd": many}));
    assert_eq!(too_many["result"]["result_error"]["c0050"]["error"], "ERROR_BATCH_LENGTH_EXCEEDED");
    assert_eq!(too_many["result"]["result"].as_object().unwrap().len(), 50);
}

#[test]
fn the_bucket_takes_fifty_at_once_and_two_a_second() {
    let mut portal = portal();
    let statuses: Vec<u16> = (0..51).map(|_| portal.with_status("profile", &json!({})).0).collect();
    assert!(statuses[..50].iter().all(|status| *status == 200));
    assert_eq!(statuses[50], 503);
    assert_eq!(portal.with_status("profile", &json!({})).1["error"], "QUERY_LIMIT_EXCEEDED");
    portal.now_ms += 499;
    assert_eq!(portal.with_status("profile", &json!({})).0, 503);
    portal.now_ms += 1;
    assert_eq!(portal.with_status("profile", &json!({})).0, 200);
    assert_eq!(portal.site.state(Host::Bitrix24)["limits"]["breaches"], 3);
    for _ in 0..200 {
        portal.now_ms += 500;
        assert_eq!(portal.with_status("profile", &json!({})).0, 200, "two a second for ever");
    }
}

#[test]
fn a_method_that_ran_too_long_is_refused_until_the_oldest_minute_is_forgotten() {
    let mut portal = portal();
    assert!(portal.site.bitrix24.switch("method_ms", &json!(200_000)));
    assert!(portal.call("profile", &json!({}))["time"]["operating"].as_f64().unwrap() > 199.0);
    portal.call("profile", &json!({}));
    let (status, refused) = portal.with_status("profile", &json!({}));
    assert_eq!((status, refused["error"].as_str()), (429, Some("OPERATION_TIME_LIMIT")));
    let batch = portal.call("batch", &json!({"cmd": {"p": "profile", "s": "scope"}}));
    assert_eq!(batch["result"]["result_error"]["p"]["error"], "OPERATION_TIME_LIMIT", "inside a batch, too");
    assert!(batch["result"]["result"]["s"].is_array(), "another method has its own budget");
    portal.now_ms += 600_000;
    assert_eq!(portal.with_status("profile", &json!({})).0, 200);
}

#[test]
fn tokens_expire_refresh_rotates_and_a_spent_refresh_token_is_refused() {
    let mut portal = portal();
    let app = portal.site.bitrix24.app();
    let form = |token: &Value| {
        format!(
            "grant_type=refresh_token&client_id={}&client_secret={}&refresh_token={}",
            app["client_id"].as_str().unwrap(),
            app["client_secret"].as_str().unwrap(),
            token.as_str().unwrap()
        )
    };
    let profile = |portal: &mut Portal, token: &Value| {
        let (status, text) = portal.raw(Request::get(format!("/rest/profile.json?auth={}", token.as_str().unwrap())).body(Bytes::new()).unwrap());
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    assert_eq!(profile(&mut portal, &app["access_token"]).0, 200);
    portal.now_ms += 3_600_000;
    let (status, expired) = profile(&mut portal, &app["access_token"]);
    assert_eq!((status, expired["error"].as_str()), (401, Some("expired_token")));
    let refresh = |portal: &mut Portal, token: &Value| {
        let (status, text) = portal.raw(Request::get(format!("/oauth/token/?{}", form(token))).body(Bytes::new()).unwrap());
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let (status, pair) = refresh(&mut portal, &app["refresh_token"]);
    assert_eq!((status, pair["expires_in"].as_u64()), (200, Some(3_600)));
    assert_eq!(profile(&mut portal, &pair["access_token"]).0, 200);
    let (status, refused) = refresh(&mut portal, &app["refresh_token"]);
    assert_eq!((status, refused["error"].as_str()), (400, Some("invalid_grant")));
}

#[test]
fn webhooks_are_denied_events_and_die_and_a_renamed_portal_redirects() {
    let mut portal = portal();
    assert_eq!(
        portal.with_status("event.offline.get", &json!({})),
        (403, json!({"error": "WRONG_AUTH_TYPE", "error_description": "Current authorization type is denied for this method"}))
    );
    assert_eq!(portal.with_status("crm.no.such", &json!({})).0, 404);
    portal.site.bitrix24.switch("commercial", &json!(false));
    assert_eq!(portal.call("profile", &json!({}))["error_description"], "REST API is available only on commercial plans");
    portal.site.bitrix24.switch("commercial", &json!(true));
    portal.site.bitrix24.switch("moved_to", &json!("https://new.example"));
    let request = Request::post(format!("{}profile", portal.base)).body(Bytes::new()).unwrap();
    let outcome = portal.site.call(Host::Bitrix24, 99_000, WALL, request);
    let response = outcome.response().unwrap();
    assert_eq!(response.status(), 302);
    assert!(response.headers()["location"].to_str().unwrap().starts_with("https://new.example/rest/1/"));
    portal.site.bitrix24.switch("moved_to", &Value::Null);
    portal.site.bitrix24.switch("webhook", &json!(false));
    let (status, dead) = portal.with_status("profile", &json!({}));
    assert_eq!((status, dead["error"].as_str()), (401, Some("INVALID_CREDENTIALS")));
}

#[test]
fn nothing_keeps_an_origin_unique_and_the_books_show_it() {
    let mut portal = portal();
    portal.site.faults.set(0, Rule::new(Host::Bitrix24, Mode::IndexLag { ms: 3_000 }));
    let deal = json!({"title": "Проход", "originatorId": "LIME", "originId": "wo:1"});
    let first = portal.add(2, &deal)["id"].clone();
    assert!(portal.list(2, &json!({"originId": "wo:1"})).is_empty(), "the index lags");
    let second = portal.add(2, &deal)["id"].clone();
    assert_eq!(portal.get(2, &first)["originId"], "wo:1");
    portal.now_ms += 3_000;
    assert_eq!(portal.list(2, &json!({"originId": "wo:1"})).len(), 2);
    assert_eq!(portal.site.state(Host::Bitrix24)["deals_doubled"]["originId"], json!({"wo:1": [first, second]}));
}
