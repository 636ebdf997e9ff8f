//! Bitrix24's side of the two-way integration: product rows, catalog, offline events, import, plans, and a manager in the interface.

use bytes::Bytes;
use http::Request;
use sandbox::{Host, Site, What};
use serde_json::{Value, json};

use crate::support::WALL;

struct Portal {
    site: Site,
    now_ms: u64,
    webhook: String,
    token: String,
}

fn portal() -> Portal {
    let site = Site::new(7);
    let webhook = site.bitrix24.webhook().strip_prefix("https://bitrix24.sandbox").unwrap().to_owned();
    let token = site.bitrix24.app()["access_token"].as_str().unwrap().to_owned();
    Portal { site, now_ms: 10_000, webhook, token }
}

impl Portal {
    fn send(&mut self, path: &str, parameters: &Value) -> (u16, Value) {
        self.now_ms += 1_000;
        let wall = WALL + i64::try_from(self.now_ms).unwrap();
        let request = Request::post(path).header("content-type", "application/json").body(Bytes::from(parameters.to_string())).unwrap();
        let outcome = self.site.call(Host::Bitrix24, self.now_ms, wall, request);
        let What::Whole(response) = outcome.what else { panic!("no whole answer: {outcome:?}") };
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
    }

    /// By webhook.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.send(&format!("{}{method}", self.webhook), parameters).1
    }

    /// By the app.
    fn app(&mut self, method: &str, parameters: &Value) -> (u16, Value) {
        let mut parameters = parameters.clone();
        parameters["auth"] = json!(self.token);
        self.send(&format!("/rest/{method}"), &parameters)
    }

    fn add(&mut self, entity: u64, fields: &Value) -> u64 {
        let answer = self.call("crm.item.add", &json!({"entityTypeId": entity, "fields": fields}));
        answer["result"]["item"]["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    }

    fn get(&mut self, entity: u64, id: u64) -> Value {
        self.call("crm.item.get", &json!({"entityTypeId": entity, "id": id}))["result"]["item"].clone()
    }

    fn act(&mut self, action: &str, body: &Value) -> Value {
        self.now_ms += 1_000;
        let wall = WALL + i64::try_from(self.now_ms).unwrap();
        self.site.act(Host::Bitrix24, action, self.now_ms, wall, body).unwrap_or_else(|message| panic!("{action}: {message}"))
    }

    fn product(&mut self, key: &str, name: &str, price: f64) -> u64 {
        let made = self.call("catalog.product.add", &json!({"fields": {"iblockId": 23, "name": name, "xmlId": key}}));
        let id = made["result"]["element"]["id"].as_u64().unwrap_or_else(|| panic!("{made}"));
        let priced = self.call(
            "catalog.price.modify",
            &json!({"fields": {"product": {"id": id, "prices": [{"catalogGroupId": 1, "price": price, "currency": "RUB"}]}}}),
        );
        assert!(priced.get("error").is_none(), "{priced}");
        id
    }

    fn bind(&mut self, event: &str, connector: &str) {
        let (status, answer) = self.app("event.bind", &json!({"event": event, "event_type": "offline", "auth_connector": connector}));
        assert_eq!((status, &answer["result"]), (200, &json!(true)), "{answer}");
    }

    fn queue(&mut self, parameters: &Value) -> (Value, Vec<(String, u64)>) {
        let (status, answer) = self.app("event.offline.get", parameters);
        assert_eq!(status, 200, "{answer}");
        let events = answer["result"]["events"].as_array().unwrap();
        let seen =
            events.iter().map(|event| (event["EVENT_NAME"].as_str().unwrap().to_owned(), event["EVENT_DATA"]["FIELDS"]["ID"].as_u64().unwrap()));
        (answer["result"].clone(), seen.collect())
    }
}

#[test]
fn a_set_of_rows_replaces_them_all_and_the_sum_follows_unless_it_is_kept_by_hand() {
    let mut portal = portal();
    let pizza = portal.product("lime:p-3", "Пицца", 650.0);
    let deal = portal.add(2, &json!({"title": "Чек", "opportunity": 5}));
    let set = |rows: Value| json!({"ownerType": "D", "ownerId": deal, "productRows": rows});
    let answer = portal.call(
        "crm.item.productrow.set",
        &set(json!([{"productId": pizza, "price": 650, "quantity": 2}, {"productName": "Скидка-сюрприз", "price": 100.5, "quantity": 1}])),
    );
    let rows = answer["result"]["productRows"].as_array().unwrap();
    assert_eq!(
        (rows.len(), rows[0]["productName"].as_str(), rows[0]["xmlId"].as_str(), rows[1]["productId"].as_u64()),
        (2, Some("Пицца"), Some("lime:p-3"), Some(0))
    );
    assert_eq!(portal.get(2, deal)["opportunity"], 1_400.5);
    portal.call("crm.item.update", &json!({"entityTypeId": 2, "id": deal, "fields": {"opportunity": 7, "title": "Чек 1"}}));
    assert_eq!(portal.get(2, deal)["opportunity"], 1_400.5, "with rows, a sum that is not kept by hand is theirs");
    let before = portal.get(2, deal)["updatedTime"].clone();
    let kept = json!({"id": rows[0]["id"], "productId": pizza, "price": 650, "quantity": 3});
    let again = portal.call("crm.item.productrow.set", &set(json!([kept])));
    assert_eq!((&again["result"]["productRows"][0]["id"], again["result"]["productRows"].as_array().unwrap().len()), (&rows[0]["id"], 1));
    assert_ne!(portal.get(2, deal)["updatedTime"], before);
    let listed = portal.call("crm.item.productrow.list", &json!({"filter": {"=ownerType": "D", "=ownerId": deal}}));
    assert_eq!((listed["total"].as_u64(), listed["result"]["productRows"][0]["quantity"].as_f64()), (Some(1), Some(3.0)));
    assert_eq!(portal.call("crm.item.productrow.list", &json!({"filter": {"ownerId": deal}}))["error"], "100");
    assert_eq!(portal.call("crm.item.productrow.set", &json!({"ownerType": "D", "ownerId": 1, "productRows": []}))["error"], "OWNER_NOT_FOUND");
    assert_eq!(
        portal.call("crm.item.productrow.set", &json!({"ownerType": "C", "ownerId": 1, "productRows": []}))["error"],
        "ENTITY_TYPE_NOT_SUPPORTED"
    );
    let manual = portal.add(2, &json!({"opportunity": 99, "isManualOpportunity": "Y"}));
    portal.call(
        "crm.item.productrow.set",
        &json!({"ownerType": "D", "ownerId": manual, "productRows": [{"productName": "x", "price": 5, "quantity": 1}]}),
    );
    assert_eq!(portal.get(2, manual)["opportunity"], 99.0);
    assert_eq!(
        portal.call("crm.deal.productrows.set", &json!({"id": deal, "rows": [{"PRODUCT_NAME": "y", "PRICE": "10", "QUANTITY": "2"}]}))["result"],
        true
    );
    assert_eq!(portal.call("crm.deal.productrows.get", &json!({"id": deal}))["result"][0]["PRODUCT_NAME"], "y");
    assert_eq!(portal.call("crm.deal.productrows.set", &json!({"id": deal, "rows[0]": "wrong"}))["result"], true);
    assert_eq!(portal.call("crm.deal.productrows.get", &json!({"id": deal}))["result"], json!([]), "keys built wrong silently empty the rows");
}

#[test]
fn a_batch_makes_a_deal_and_its_rows_by_reference() {
    let mut portal = portal();
    let answer = portal.call("batch", &json!({"halt": 1, "cmd": {
        "d0001": "crm.item.add?entityTypeId=2&fields[title]=%D0%A7%D0%B5%D0%BA&fields[originatorId]=LIME&fields[originId]=receipt:rc-1",
        "r0001": "crm.item.productrow.set?ownerType=D&ownerId=$result[d0001][item][id]&productRows[0][productName]=a&productRows[0][price]=10&productRows[0][quantity]=3",
        "m0001": "crm.item.update?entityTypeId=2&id=$result[d0001][item][id]&fields[stageId]=WON",
    }}));
    assert_eq!(answer["result"]["result_error"], json!([]), "{answer}");
    assert_eq!(answer["result"]["result"]["m0001"]["item"]["opportunity"], 30.0);
    assert_eq!(answer["result"]["result"]["m0001"]["item"]["closed"], "Y");
}

#[test]
fn prices_that_are_not_named_are_deleted_and_lists_want_their_iblock() {
    let mut portal = portal();
    let catalogs = portal.call("catalog.catalog.list", &json!({}))["result"]["catalogs"].clone();
    let own: Vec<&Value> = catalogs.as_array().unwrap().iter().filter(|catalog| catalog["productIblockId"].is_null()).collect();
    assert_eq!((own.len(), own[0]["iblockId"].as_u64()), (1, Some(23)), "the other holds the variations");
    assert_eq!(portal.call("catalog.priceType.list", &json!({}))["result"]["priceTypes"][0]["base"], "Y");
    let section = portal.call("catalog.section.add", &json!({"fields": {"iblockId": 23, "name": "Кафе", "xmlId": "lime:g-2"}}))["result"]["section"]
        ["id"]
        .clone();
    let pizza = portal.product("lime:p-3", "Пицца", 650.0);
    let show = portal.call("catalog.product.service.add", &json!({"fields": {"iblockId": 23, "name": "Аниматор", "xmlId": "lime:p-6"}}));
    assert_eq!(show["result"]["service"]["type"], 7);
    let updated = portal.call("catalog.product.update", &json!({"id": pizza, "fields": {"iblockSectionId": section, "active": "N"}}));
    assert_eq!((&updated["result"]["element"]["iblockSectionId"], updated["result"]["element"]["active"].as_str()), (&section, Some("N")));
    assert_eq!(portal.call("catalog.product.get", &json!({"id": pizza}))["result"]["product"]["xmlId"], "lime:p-3");
    let list = |filter: Value| json!({"select": ["id", "iblockId", "name", "xmlId"], "filter": filter});
    let found = portal.call("catalog.product.list", &list(json!({"iblockId": 23, "xmlId": ["lime:p-3", "lime:p-6"]})));
    assert_eq!((found["total"].as_u64(), found["result"]["products"][0].as_object().unwrap().len()), (Some(2), 4));
    assert_eq!(portal.call("catalog.product.service.list", &list(json!({"iblockId": 23})))["total"], 1);
    assert_eq!(portal.call("catalog.product.list", &list(json!({"iblockId": 99, "xmlId": "nobody"})))["error"], "200040300050");
    let none = portal.call("catalog.product.list", &list(json!({"iblockId": 23, "xmlId": "nobody"})));
    assert_eq!((&none["result"]["products"], none["total"].as_u64()), (&json!([]), Some(0)));
    assert!(portal.call("catalog.product.list", &list(json!({"iblockId": 23, "@id": [pizza]}))).get("error").is_some(), "catalogs do not know @id");
    let price = portal.call("catalog.price.list", &json!({"filter": {"productId": pizza}}))["result"]["prices"][0].clone();
    let modify = |prices: Value| json!({"fields": {"product": {"id": pizza, "prices": prices}}});
    let same = portal.call("catalog.price.modify", &modify(json!([{"id": price["id"], "catalogGroupId": 1, "price": 700, "currency": "RUB"}])));
    assert_eq!((&same["result"]["prices"][0]["id"], same["result"]["prices"][0]["price"].as_f64()), (&price["id"], Some(700.0)));
    assert_eq!(portal.call("catalog.price.modify", &modify(json!([])))["result"]["prices"], json!([]));
    portal.site.bitrix24.switch("admin", &json!(false));
    assert_eq!(
        portal.call("catalog.product.add", &json!({"fields": {"iblockId": 23, "name": "x"}}))["error"],
        "200040300040",
        "errors are long numbers"
    );
    portal.site.bitrix24.switch("catalog", &json!(false));
    assert_eq!(portal.call("catalog.catalog.list", &json!({}))["error"], "insufficient_scope");
}

#[test]
fn the_offline_queue_keeps_one_row_an_object_and_gives_a_reserved_batch_again_after_a_crash() {
    let mut portal = portal();
    portal.bind("ONCRMCONTACTUPDATE", "lime_gw");
    portal.bind("ONCRMCONTACTDELETE", "lime_gw");
    assert_eq!(
        portal.app("event.bind", &json!({"event": "onCrmContactUpdate", "event_type": "offline", "auth_connector": "lime_gw"})).0,
        400,
        "bound already"
    );
    let contact = portal.add(3, &json!({"name": "Анна"}));
    let other = portal.add(3, &json!({"name": "Борис"}));
    for name in ["А", "Б", "В"] {
        portal.act("contact", &json!({"id": contact, "name": name}));
    }
    portal.act("contact", &json!({"id": other, "name": "Боря"}));
    let get = json!({"clear": 0, "limit": 50, "auth_connector": "lime_gw"});
    let (first, seen) = portal.queue(&get);
    assert_eq!(
        seen,
        [("ONCRMCONTACTUPDATE".to_owned(), contact), ("ONCRMCONTACTUPDATE".to_owned(), other)],
        "three changes of one object are one row"
    );
    let process = first["process_id"].as_str().unwrap().to_owned();
    assert_eq!((process.len(), first["events"][0]["MESSAGE_ID"].as_str().unwrap().len()), (32, 32));
    assert!(portal.queue(&get).0["process_id"].is_null(), "what is reserved is not given to another");
    portal.act("contact", &json!({"id": contact, "name": "Г"}));
    let (_, again) = portal.queue(&json!({"process_id": process, "clear": 0, "auth_connector": "lime_gw"}));
    assert_eq!(again, seen, "with the saved process_id the batch comes again");
    let message = first["events"][0]["MESSAGE_ID"].clone();
    assert_eq!(portal.app("event.offline.clear", &json!({"process_id": process, "message_id": [message]})).1["result"], true);
    let failed = first["events"][1]["MESSAGE_ID"].clone();
    assert_eq!(portal.app("event.offline.error", &json!({"process_id": process, "message_id": [failed]})).1["result"], true);
    assert!(portal.queue(&json!({"process_id": process, "clear": 0, "auth_connector": "lime_gw"})).1.is_empty());
    let (later, seen) = portal.queue(&get);
    assert_eq!(seen, [("ONCRMCONTACTUPDATE".to_owned(), contact)], "a change during the work is a row of its own; what failed waits apart");
    assert_eq!(portal.queue(&json!({"clear": 0, "error": 1, "auth_connector": "lime_gw"})).1, [("ONCRMCONTACTUPDATE".to_owned(), other)]);
    portal.app("event.offline.clear", &json!({"process_id": later["process_id"]}));
    portal.act("delete", &json!({"kind": "contact", "id": other}));
    let (at_once, seen) = portal.queue(&json!({"auth_connector": "lime_gw"}));
    assert_eq!((seen, &at_once["process_id"]), (vec![("ONCRMCONTACTDELETE".to_owned(), other)], &Value::Null));
    assert!(portal.queue(&json!({"auth_connector": "lime_gw"})).1.is_empty(), "with clear=1 it is gone");
    assert_eq!(portal.site.state(Host::Bitrix24)["events"]["cleared_at_once"], 1);
}

#[test]
fn only_the_same_app_with_the_same_connector_does_not_hear_itself() {
    let mut portal = portal();
    portal.bind("ONCRMCONTACTUPDATE", "lime_gw");
    let contact = portal.add(3, &json!({"name": "Анна"}));
    let get = json!({"clear": 1, "auth_connector": "lime_gw"});
    let update = |name: &str| json!({"entityTypeId": 3, "id": contact, "fields": {"name": name}});
    let mut own = update("А");
    own["auth_connector"] = json!("lime_gw");
    portal.app("crm.item.update", &own);
    assert!(portal.queue(&get).1.is_empty());
    portal.app("crm.item.update", &update("Б"));
    assert_eq!(portal.queue(&get).1.len(), 1, "without the connector it is anybody");
    let mut by_webhook = update("В");
    by_webhook["auth_connector"] = json!("lime_gw");
    portal.call("crm.item.update", &by_webhook);
    assert_eq!(portal.queue(&get).1.len(), 1, "a webhook is not the app");
    portal.app("crm.item.update", &update("В"));
    assert!(portal.queue(&get).1.is_empty(), "what changes nothing tells nothing");
    portal.act("contact", &json!({"id": contact, "name": "Г"}));
    assert!(portal.queue(&json!({"clear": 1})).1.is_empty(), "without a connector only the queue without one is seen");
    assert_eq!(portal.queue(&get).1.len(), 1);
}

#[test]
fn a_plan_may_lack_what_it_sells() {
    let mut portal = portal();
    assert_eq!(portal.app("feature.get", &json!({"CODE": "rest_offline_extended"})).1["result"]["value"], "Y");
    for switch in ["offline_extended", "auth_connector"] {
        assert!(portal.site.bitrix24.switch(switch, &json!(false)));
    }
    assert_eq!(portal.app("feature.get", &json!({"CODE": "rest_offline_extended"})).1["result"]["value"], "N");
    let (status, refused) = portal.app("event.offline.get", &json!({"clear": 0}));
    assert_eq!((status, refused["error"].as_str()), (403, Some("WRONG_LICENSE")));
    assert_eq!(portal.app("event.offline.get", &json!({"clear": 1})).0, 200);
    assert_eq!(
        portal.app("event.bind", &json!({"event": "ONCRMDEALADD", "event_type": "offline", "auth_connector": "x"})).1["error"],
        "WRONG_LICENSE"
    );
    assert!(portal.site.bitrix24.switch("funnels", &json!(3)));
    let funnel = json!({"entityTypeId": 2, "fields": {"name": "Покупки"}});
    let made = portal.call("crm.category.add", &funnel)["result"]["category"]["id"].clone();
    assert!(portal.call("crm.category.add", &funnel).get("error").is_some());
    assert_eq!(
        portal.call("crm.category.update", &json!({"entityTypeId": 2, "id": made, "fields": {"name": "Чеки"}}))["result"]["category"]["name"],
        "Чеки"
    );
    let stage = portal
        .call("crm.status.add", &json!({"fields": {"ENTITY_ID": format!("DEAL_STAGE_{made}"), "STATUS_ID": "PAID", "NAME": "Оплачено"}}))["result"]
        .clone();
    assert_eq!(portal.call("crm.status.delete", &json!({"id": stage}))["result"], true);
    assert_eq!(portal.call("crm.category.delete", &json!({"entityTypeId": 2, "id": made}))["result"], json!([]));
    assert!(portal.call("crm.category.delete", &json!({"entityTypeId": 2, "id": 0})).get("error").is_some());
}

#[test]
fn what_is_imported_sets_off_no_robots_and_has_the_times_it_is_given() {
    let mut portal = portal();
    let deal = portal.add(2, &json!({"title": "новая"}));
    let one = portal.call(
        "crm.item.import",
        &json!({"entityTypeId": 2, "fields": {"title": "старая", "stageId": "WON", "createdTime": "2020-01-02T10:00:00+03:00"}}),
    );
    let old = one["result"]["item"]["id"].as_u64().unwrap();
    assert_eq!(one["result"]["item"].as_object().unwrap().len(), 1, "only the id comes back");
    assert_eq!(portal.get(2, old)["createdTime"], "2020-01-02T10:00:00+03:00");
    let many =
        portal.call("crm.item.batchImport", &json!({"entityTypeId": 2, "data": {"a": {"title": "x"}, "b": {"title": "y", "stageId": "NOSUCH"}}}));
    assert!(many["result"]["items"]["a"]["item"]["id"].is_u64());
    assert_eq!(many["result"]["items"]["b"]["error"], "CRM_FIELD_ERROR_VALUE_NOT_VALID");
    let too_many: Vec<Value> = (0..21).map(|number| json!({"title": number.to_string()})).collect();
    assert!(portal.call("crm.item.batchImport", &json!({"entityTypeId": 2, "data": too_many})).get("error").is_some());
    portal.call("crm.item.update", &json!({"entityTypeId": 2, "id": deal, "fields": {"stageId": "WON"}}));
    assert_eq!(portal.site.state(Host::Bitrix24)["robots"], json!({deal.to_string(): 2}), "made and moved; the imported ones never");
}

#[test]
fn two_contacts_become_one_and_deals_stand_without_a_contact_that_is_deleted() {
    let mut portal = portal();
    let anna = portal.act("contact", &json!({"name": "Анна", "phones": ["+79990000001"]}))["id"].as_u64().unwrap();
    let twin = portal.act("contact", &json!({"name": "Аня", "lastName": "К.", "phones": ["+79990000001", "+79990000002"]}))["id"].as_u64().unwrap();
    let deal = portal.act("deal", &json!({"title": "Д", "contactIds": [twin]}))["id"].as_u64().unwrap();
    let merged = portal.act("merge", &json!({"into": anna, "from": twin}));
    let phones: Vec<&str> = merged["fm"].as_array().unwrap().iter().map(|multi| multi["value"].as_str().unwrap()).collect();
    assert_eq!((phones, merged["name"].as_str(), merged["lastName"].as_str()), (vec!["+79990000001", "+79990000002"], Some("Анна"), Some("К.")));
    assert_eq!(portal.get(2, deal)["contactIds"], json!([anna]));
    assert_eq!(portal.call("crm.item.get", &json!({"entityTypeId": 3, "id": twin}))["error"], "NOT_FOUND");
    let changed = portal.act("contact", &json!({"id": anna, "phones": ["+79990000002", "+79990000003"]}));
    assert_eq!(changed["fm"].as_array().unwrap().len(), 2);
    assert_eq!(changed["fm"][0]["id"], merged["fm"][1]["id"], "a phone that stays keeps its id");
    portal.act("delete", &json!({"kind": "contact", "id": anna}));
    let left = portal.get(2, deal);
    assert_eq!((&left["contactIds"], &left["contactId"]), (&json!([]), &Value::Null));
}

#[test]
fn a_manager_adds_products_to_a_deal_and_changes_are_found_by_their_time_in_both_spellings() {
    let mut portal = portal();
    let pizza = portal.product("lime:p-3", "Пицца", 650.0);
    let (quiet, deal) = (portal.add(2, &json!({"title": "тихая"})), portal.add(2, &json!({"title": "праздник"})));
    let since = portal.get(2, deal)["updatedTime"].as_str().unwrap().to_owned();
    let rows = portal.act(
        "products",
        &json!({"deal_id": deal, "products": [{"xml_id": "lime:p-3", "quantity": 2}, {"name": "Шарик", "price": 50, "quantity": 10}]}),
    );
    assert_eq!((rows[0]["price"].as_f64(), rows[1]["quantity"].as_f64()), (Some(650.0), Some(10.0)));
    let rows = portal.act("products", &json!({"deal_id": deal, "products": [{"id": pizza, "quantity": 0}]}));
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let mut changed = |since: &str| {
        let answer = portal.call(
            "crm.item.list",
            &json!({"entityTypeId": 2, "filter": {">updatedTime": since}, "order": {"updatedTime": "ASC", "id": "ASC"}, "start": -1}),
        );
        answer["result"]["items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let portal_spelling = since.get(..19).unwrap().replace('T', " ");
    assert_eq!((changed(&since), changed(&portal_spelling)), (vec![deal], vec![deal]));
    assert!(portal.site.bitrix24.switch("iso_filters", &json!(false)));
    let items = |portal: &mut Portal, since: &str| {
        portal.call("crm.item.list", &json!({"entityTypeId": 2, "filter": {">=updatedTime": since}}))["total"].as_u64()
    };
    assert_eq!((items(&mut portal, &since), items(&mut portal, &portal_spelling)), (Some(0), Some(1)));
    assert!(quiet < deal);
}
