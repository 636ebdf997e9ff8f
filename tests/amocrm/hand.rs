//! A conversation answered by hand: routes say what amoCRM and Lime answer, and everything that was asked is kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use jiff::tz::TimeZone;
use limegate::config::{AmoAuth, AmoCrm, Language, SecretSource, StageRef};
use limegate::crm::amocrm::AmoCourier;
use limegate::crm::amocrm::schema::Schema;
use limegate::crm::card::CardField;
use limegate::crm::texts::{PassField, Texts};
use limegate::delivery::{Call, Courier, Doubt, Effect, Host, Job, Ledger, NoAnswer, Step, Verdict, Work};
use limegate::domain::{Charge, ClientId, Direction, Moment, Money, OrderKey, Seq, WriteOff, WriteOffStatus};
use limegate::http::Answer;
use limegate::journal::{Learned, LedgerKey};
use serde_json::{Value, json};
use uuid::Uuid;

/// 14:32 on 22.11.2026 in Yekaterinburg.
pub const AT: i64 = 1_795_339_920_000;

#[derive(Default)]
pub struct Notes(Mutex<BTreeMap<LedgerKey, String>>);

impl Ledger for Notes {
    fn get(&self, key: &LedgerKey) -> Option<String> {
        self.0.lock().unwrap().get(key).cloned()
    }
}

impl Notes {
    pub fn learn(&self, learned: Vec<Learned>) {
        let mut lines = self.0.lock().unwrap();
        for line in learned {
            match line.value {
                Some(value) => drop(lines.insert(line.key, value)),
                None => drop(lines.remove(&line.key)),
            }
        }
    }

    pub fn put(&self, kind: &str, key: &str, value: impl Into<String>) {
        self.0.lock().unwrap().insert(LedgerKey { kind: kind.into(), key: key.into() }, value.into());
    }

    pub fn at(&self, kind: &str, key: &str) -> Option<String> {
        self.get(&LedgerKey { kind: kind.into(), key: key.into() })
    }

    pub fn all(&self) -> Vec<(LedgerKey, String)> {
        self.0.lock().unwrap().clone().into_iter().collect()
    }

    /// A ledger that knows the account already.
    pub fn with_schema() -> Self {
        let notes = Self::default();
        notes.put("amocrm.schema", "account", serde_json::to_string(&schema()).unwrap());
        notes
    }
}

pub fn config() -> AmoCrm {
    AmoCrm {
        url: "https://park.amocrm.ru".into(),
        auth: AmoAuth::Token(SecretSource::Env("T".into())),
        pipeline: StageRef::Name("Проходы".into()),
        stage: StageRef::Name("Прошёл".into()),
    }
}

pub fn texts() -> Texts {
    Texts::new(Language::Ru, TimeZone::get("Asia/Yekaterinburg").unwrap())
}

/// Field ids of the contact from 501, of the lead from 601, in their order.
pub fn schema() -> Schema {
    Schema {
        wanted: (config().pipeline, config().stage),
        zone: "Europe/Moscow".into(),
        pipeline: 41,
        stage: 142,
        contact: (501..).zip(CardField::ALL).map(|(id, field)| (field.code().to_owned(), id)).collect(),
        lead: (601..).zip(PassField::ALL).map(|(id, field)| (field.code().to_owned(), id)).collect(),
        filters: false,
        read_ms: AT,
    }
}

pub fn write_off(number: u32, client: Option<&str>) -> WriteOff {
    WriteOff {
        pass_id: Uuid::from_u128(0x0197_2f3a_0000_7000_8000_0000_0000_0000 + u128::from(number)),
        pass_seq: number.into(),
        status: WriteOffStatus::Applied,
        code: "ok".into(),
        transaction_id: Some(format!("t-{number}")),
        client_id: client.map(ClientId::from),
        right: None,
        charge: Some(Charge {
            quantity: 1, money: Some(Money { minor: 49_950, currency: "RUB".into() }), title: Some("Батуты 1 час".into())
        }),
        conflict_with: None,
        gate: "n1".into(),
        service_point: "sp-4".into(),
        service_point_title: Some("Батуты".into()),
        direction: Direction::In,
        medium_masked: "••A1A3".into(),
        occurred: Moment::exact(AT + i64::from(number) * 1_000),
        received_ms: Some(AT + i64::from(number) * 1_000 + 500),
        test: false,
    }
}

pub fn job(number: u32, client: Option<&str>) -> Job {
    let write_off = write_off(number, client);
    Job {
        seq: 10_000 + Seq::from(number),
        key: write_off.pass_id,
        order: OrderKey(number),
        work: Work::Pass(write_off),
        doubt: None,
        attempts: 0,
        oldest: false,
    }
}

pub fn doubtful(number: u32, client: Option<&str>) -> Job {
    Job { doubt: Some(Doubt { since_boot_ms: 1, sent_wall_ms: AT, missed: 0 }), ..job(number, client) }
}

pub fn key(number: u32) -> String {
    write_off(number, None).pass_id.to_string()
}

pub fn seq(number: u32) -> Seq {
    10_000 + Seq::from(number)
}

/// What comes back.
#[derive(Clone, Debug)]
pub enum Reply {
    Json(u16, Value),
    Raw(u16, &'static str),
    Lost,
    NotSent,
}

pub fn empty() -> Reply {
    Reply::Raw(204, "")
}

impl Reply {
    fn answer(self) -> Result<Answer, NoAnswer> {
        let whole = |status, body| Ok(Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body });
        match self {
            Self::Json(status, body) => whole(status, Bytes::from(body.to_string())),
            Self::Raw(status, text) => whole(status, Bytes::from_static(text.as_bytes())),
            Self::Lost => Err(NoAnswer::Unknown),
            Self::NotSent => Err(NoAnswer::NotSent),
        }
    }
}

/// A call as a route sees it.
pub struct Asked<'a> {
    pub host: Host,
    pub method: &'a Method,
    pub path: &'a str,
    pub body: Vec<Value>,
}

/// What became of a batch.
pub struct Outcome {
    pub verdicts: BTreeMap<Seq, Verdict>,
    pub calls: Vec<Call>,
    pub learned: Vec<Learned>,
}

impl Outcome {
    pub fn verdict(&self, number: u32) -> &Verdict {
        &self.verdicts[&seq(number)]
    }

    pub fn lead(&self, number: u32) -> Option<u64> {
        match self.verdict(number) {
            Verdict::Confirmed(limegate::delivery::Confirmed::Remote(Some(id))) => id.strip_prefix("lead:")?.parse().ok(),
            _ => None,
        }
    }

    pub fn reason(&self, number: u32) -> &str {
        match self.verdict(number) {
            Verdict::Retry { reason, .. } | Verdict::Dead { reason, .. } => reason,
            Verdict::Confirmed(_) => "confirmed",
            Verdict::NotFound => "not found",
            Verdict::Doubtful => "doubtful",
        }
    }

    /// Labels of what was asked, in order.
    pub fn labels(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.request.label).collect()
    }

    /// The items that were sent under a label, of all requests.
    pub fn sent(&self, label: &str) -> Vec<Value> {
        self.calls.iter().filter(|call| call.request.label == label).flat_map(items).collect()
    }
}

/// The items of a list, or the ids that are asked for.
fn items(call: &Call) -> Vec<Value> {
    let body: Value = serde_json::from_slice(call.request.body.as_deref().unwrap_or(b"[]")).unwrap();
    body.as_array().or(body["ids"].as_array()).cloned().unwrap_or_default()
}

/// Runs a batch against routes, and keeps what was learned.
pub fn run(notes: &Notes, jobs: Vec<Job>, route: impl FnMut(&Asked) -> Reply) -> Outcome {
    run_at(notes, jobs, AT + 60_000, route)
}

pub fn run_at(notes: &Notes, jobs: Vec<Job>, now_wall_ms: i64, route: impl FnMut(&Asked) -> Reply) -> Outcome {
    let route = RefCell::new(route);
    let expected: Vec<Seq> = jobs.iter().map(|job| job.seq).collect();
    let mut talk = AmoCourier::new(config(), None, texts()).begin(jobs, notes, now_wall_ms);
    let mut calls: Vec<Call> = Vec::new();
    let mut step = talk.next(None);
    let (verdicts, learned) = loop {
        let call = match step {
            Step::Done { verdicts, learned } => break (verdicts, learned),
            Step::Call(call) => call,
        };
        assert!(calls.len() < 5_000, "the conversation does not end");
        let method = call.request.method.clone();
        if call.host == Host::Crm && method != Method::GET && method != Method::PATCH {
            assert!(matches!(&call.effect, Effect::Creates(jobs) if !jobs.is_empty()), "{} must be journalled first", call.request.label);
        }
        let reply = route.borrow_mut()(&Asked { host: call.host, method: &method, path: &call.request.path, body: items(&call) });
        calls.push(call);
        step = match reply.answer() {
            Ok(answer) => talk.next(Some(&answer)),
            Err(why) => break talk.give_up(why),
        };
    };
    let mut judged: Vec<Seq> = verdicts.iter().map(|(seq, _)| *seq).collect();
    judged.sort_unstable();
    let mut wanted = expected;
    wanted.sort_unstable();
    assert_eq!(judged, wanted, "one verdict for each job");
    notes.learn(learned.clone());
    Outcome { verdicts: verdicts.into_iter().collect(), calls, learned }
}

/// `POST /leads` or `POST /contacts` taken as it is: ids from `first`.
pub fn created(entity: &str, body: &[Value], first: u64) -> Reply {
    let made: Vec<Value> = (first..).zip(body).map(|(id, item)| json!({"id": id, "request_id": item["request_id"]})).collect();
    Reply::Json(200, json!({"_links": {}, "_embedded": {entity: made}}))
}

/// `PATCH /contacts` taken as it is.
pub fn changed(body: &[Value]) -> Reply {
    let made: Vec<Value> = body.iter().map(|item| json!({"id": item["id"], "updated_at": 1})).collect();
    Reply::Json(200, json!({"_embedded": {"contacts": made}}))
}

/// A page of a list.
pub fn list(entity: &str, items: Vec<Value>, next: Option<&str>) -> Reply {
    let links = next.map_or(json!({}), |next| json!({"next": {"href": format!("https://park.amocrm.ru{next}")}}));
    Reply::Json(200, json!({"_page": 1, "_links": links, "_embedded": {entity: items}}))
}

pub fn custom(id: u64, value: &str) -> Value {
    json!({"field_id": id, "values": [{"value": value}]})
}

pub fn phone(values: &[&str]) -> Value {
    let values: Vec<Value> = values.iter().map(|value| json!({"value": value, "enum_id": 7, "enum_code": "WORK"})).collect();
    json!({"field_id": 1, "field_code": "PHONE", "values": values})
}

pub fn card_id(field: CardField) -> u64 {
    schema().contact[field.code()]
}

pub fn pass_id(field: PassField) -> u64 {
    schema().lead[field.code()]
}

/// The value that an item gives a field.
pub fn value(item: &Value, field_id: u64) -> Option<Value> {
    let fields = item["custom_fields_values"].as_array()?;
    Some(fields.iter().find(|field| field["field_id"] == json!(field_id))?["values"][0]["value"].clone())
}

/// Lime: the client and no transactions, behind an adapter that lacks the read of many.
pub fn lime(asked: &Asked, phone: &str) -> Reply {
    if asked.path == "/clients:batch" {
        return lacking();
    }
    let id = asked.path.trim_start_matches("/clients/").split(['/', '?']).next().unwrap();
    if asked.path.contains("/transactions") {
        return Reply::Json(200, json!({"items": []}));
    }
    Reply::Json(200, client(id, phone))
}

/// What an adapter says of a path that it does not know.
pub fn lacking() -> Reply {
    Reply::Json(404, json!({"error": {"code": "not_found", "message": "there is nothing at this path"}}))
}

/// The same Lime behind an adapter that has the read of many.
pub fn lime_of_many(asked: &Asked, phone: &str) -> Reply {
    if asked.path != "/clients:batch" {
        return lime(asked, phone);
    }
    let item = |id: &Value| json!({"id": id, "client": client(id.as_str().unwrap(), phone), "transactions": []});
    Reply::Json(200, json!({"items": asked.body.iter().map(item).collect::<Vec<_>>()}))
}

fn client(id: &str, phone: &str) -> Value {
    json!({"id": id, "version": 1, "first_name": "Анна", "last_name": "Канарейкина", "phones": [phone], "emails": ["anna@canary.example"],
               "birth_date": "1990-02-03", "cards": [{"id": "1", "uid": "AC11CANARY", "state": "active"}], "balances": {"deposit": 120_000, "bonus": 5},
               "relations": [{"client_id": "k", "role": "child", "first_name": "Пётр", "birth_date": "2018-07-09", "relation_type": {"name": "сын"}}]})
}
