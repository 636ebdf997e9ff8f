//! Setup: planned, applied, and the same for ever after.

use std::cell::RefCell;

use http::Method;
use limegate::config::{AmoCrm, Language, StageRef};
use limegate::crm::amocrm::setup::errand;
use limegate::crm::setup::{Ask, Dialogue, Mode, Plan, SetupError, State};
use limegate::http::Answer;
use serde_json::{Value, json};

use crate::hand::{config, texts};

/// An account that keeps what is created.
#[derive(Default)]
struct Account {
    fields: RefCell<Vec<(String, Value)>>,
    groups: RefCell<Vec<(String, Value)>>,
    writes: RefCell<usize>,
    refuse: Option<(u16, &'static str)>,
}

impl Account {
    fn answer(&self, request: &limegate::http::Request) -> Answer {
        let body: Vec<Value> = request.body.as_deref().map(|body| serde_json::from_slice(body).unwrap()).unwrap_or_default();
        let path = request.path.split('?').next().unwrap();
        let side = if path.contains("contacts") { "contacts" } else { "leads" };
        let of = |all: &RefCell<Vec<(String, Value)>>| -> Vec<Value> {
            all.borrow().iter().filter(|(on, _)| on == side).map(|(_, value)| value.clone()).collect()
        };
        let (status, value) = match (&request.method, path) {
            (&Method::POST, path) => {
                *self.writes.borrow_mut() += 1;
                let (all, name) = if path.ends_with("groups") { (&self.groups, "custom_field_groups") } else { (&self.fields, "custom_fields") };
                let mut made = Vec::new();
                for mut item in body {
                    let id = all.borrow().len() + 1;
                    item["id"] = if path.ends_with("groups") { json!(format!("{side}_{id}")) } else { json!(500 + id) };
                    all.borrow_mut().push((side.to_owned(), item.clone()));
                    made.push(item);
                }
                match self.refuse {
                    Some((status, body)) => (status, serde_json::from_str(body).unwrap_or(Value::Null)),
                    None => (201, json!({"_embedded": {name: made}})),
                }
            }
            (_, "/api/v4/account") => (200, json!({"subdomain": "park"})),
            (_, "/api/v4/leads/pipelines") => {
                let statuses = json!({"statuses": [{"id": 51, "name": "Новый"}, {"id": 142, "name": "Прошёл"}]});
                let pipeline = |id: u64, name: &str| json!({"id": id, "name": name, "_embedded": statuses});
                (
                    200,
                    json!({"_embedded": {"pipelines": [pipeline(40, "Воронка"), pipeline(41, "Проходы"), pipeline(42, "Две"), pipeline(43, "Две")]}}),
                )
            }
            (_, path) if path.ends_with("groups") => (200, json!({"_embedded": {"custom_field_groups": of(&self.groups)}})),
            (_, path) if path.ends_with("custom_fields") => (200, json!({"_embedded": {"custom_fields": of(&self.fields)}})),
            (method, path) => panic!("{method} {path}"),
        };
        Answer { status: http::StatusCode::from_u16(status).unwrap(), headers: http::HeaderMap::new(), body: value.to_string().into() }
    }

    fn run(&self, config: AmoCrm, mode: Mode) -> Result<Plan, SetupError> {
        let mut errand = errand(config, texts(), mode);
        let mut step = errand.next(None);
        loop {
            match step {
                Ask::Done(plan) => return Ok(plan),
                Ask::Failed(error) => return Err(error),
                Ask::Call(request) => step = errand.next(Some(&self.answer(&request))),
            }
        }
    }
}

#[test]
fn a_plan_writes_nothing_an_apply_creates_what_lacks_and_a_second_apply_nothing() {
    let account = Account::default();
    let plan = account.run(config(), Mode::Plan).unwrap();
    assert_eq!((plan.is_complete(), plan.missing(), *account.writes.borrow()), (false, 21, 0));
    let applied = account.run(config(), Mode::Apply).unwrap();
    assert!(applied.is_complete() && applied.items.iter().filter(|item| item.state == State::Created).count() == 21);
    assert_eq!(*account.writes.borrow(), 4, "a group and its fields, on either side");
    for mode in [Mode::Apply, Mode::Plan, Mode::Apply] {
        let again = account.run(config(), mode).unwrap();
        assert!(again.items.iter().all(|item| item.state == State::Present), "{}", again.table(Language::Ru));
    }
    assert_eq!(*account.writes.borrow(), 4);
    let fields = account.fields.borrow();
    let field = |code: &str| fields.iter().map(|(_, field)| field).find(|field| field["code"] == json!(code)).unwrap().clone();
    assert_eq!((&field("LIME_HISTORY")["type"], &field("LIME_HISTORY")["is_api_only"]), (&json!("textarea"), &json!(true)));
    assert_eq!((&field("LIME_BIRTHDAY")["type"], &field("LIME_BIRTHDAY")["is_api_only"]), (&json!("birthday"), &json!(false)));
    assert_eq!(field("LIME_LAST_VISIT")["group_id"], json!("contacts_1"));
}

#[test]
fn people_may_rename_and_move_our_fields() {
    let account = Account::default();
    account.run(config(), Mode::Apply).unwrap();
    account.fields.borrow_mut().iter_mut().for_each(|(_, field)| field["name"] = json!("Переименовано"));
    account.groups.borrow_mut().clear();
    let again = account.run(config(), Mode::Apply).unwrap();
    assert!(again.is_complete() && *account.writes.borrow() == 4);
}

#[test]
fn a_field_of_a_wrong_type_is_said_and_left_alone() {
    let account = Account::default();
    account.fields.borrow_mut().push(("contacts".into(), json!({"id": 9, "code": "LIME_HISTORY", "type": "text", "name": "История"})));
    let plan = account.run(config(), Mode::Apply).unwrap();
    assert_eq!((plan.is_complete(), plan.wrong()), (false, 1));
    let table = plan.table(Language::Ru);
    assert!(table.contains("LIME_HISTORY (\"История\") is of type text, needed is textarea"), "{table}");
    assert_eq!(account.fields.borrow().iter().filter(|(_, field)| field["code"] == json!("LIME_HISTORY")).count(), 1);
}

#[test]
fn a_pipeline_that_is_not_there_is_named_with_those_that_are() {
    let account = Account::default();
    let with = |name: &str| AmoCrm { pipeline: StageRef::Name(name.into()), ..config() };
    let table = account.run(with("Посещения"), Mode::Plan).unwrap().table(Language::Ru);
    assert!(table.contains("error[T-112]: amoCRM: pipeline \"Посещения\" not found in account park. Existing: \"Воронка\", \"Проходы\""), "{table}");
    let table = account.run(with("Две"), Mode::Plan).unwrap().table(Language::En);
    assert!(table.contains("more than one pipeline \"Две\": 42, 43") && table.contains("{ id = 123 }"), "{table}");
}

#[test]
fn a_token_that_may_not_create_fields_is_said_in_words() {
    let account = Account { refuse: Some((403, "null")), ..Account::default() };
    let error = account.run(config(), Mode::Apply).unwrap_err();
    assert!(error.to_string().contains("use the token of an administrator"), "{error}");
    let account = Account { refuse: Some((401, "{}")), ..Account::default() };
    assert!(account.run(config(), Mode::Apply).unwrap_err().to_string().contains("crm login"));
}

#[test]
fn the_table_can_be_read_by_marketing_and_the_json_by_machines() {
    let plan = Account::default().run(config(), Mode::Plan).unwrap();
    let table = plan.table(Language::Ru);
    assert!(table.contains("Последние 10 операций") && table.contains("будет создано") && table.contains("Баланс депозита"), "{table}");
    assert!(table.lines().all(|line| line == line.trim_end()));
    let json = plan.json();
    assert_eq!((&json["v"], &json["crm"], &json["complete"]), (&json!(1), &json!("amocrm"), &json!(false)));
    assert_eq!(json["items"][0]["state"], json!("missing"));
}
