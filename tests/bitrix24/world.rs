//! A portal, a Lime and a ledger around one courier; holds conversations as the runner does.

use std::collections::BTreeMap;
use std::sync::Mutex;

use http::{HeaderMap, StatusCode};
use jiff::tz::TimeZone;
use limegate::config::{Bitrix24, BitrixAuth, Language, PassesAs, SecretSource, StageRef};
use limegate::crm::bitrix24::Bitrix24Courier;
use limegate::delivery::{Confirmed, Courier, Doubt, Effect, Host, Job, Ledger, NoAnswer, Step, Verdict, Work};
use limegate::domain::{Charge, ClientId, Direction, Moment, Money, OrderKey, Right, RightKind, Seq, WriteOff, WriteOffStatus};
use limegate::http::{Answer, Request};
use limegate::journal::{Learned, LedgerKey};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::portal::Portal;

/// 2026-11-22T14:32:00+05:00
pub const NOON: i64 = 1_795_339_920_000;

#[derive(Default)]
pub struct Memory(pub Mutex<BTreeMap<LedgerKey, String>>);

impl Ledger for Memory {
    fn get(&self, key: &LedgerKey) -> Option<String> {
        self.0.lock().unwrap().get(key).cloned()
    }
}

pub struct World {
    pub portal: Portal,
    pub clients: BTreeMap<String, Value>,
    pub lime_calls: Vec<String>,
    /// The adapter has the read of many.
    pub reads_many: bool,
    pub ledger: Memory,
    pub courier: Bitrix24Courier,
    /// Jobs for which `sending` was journalled.
    pub sent: Vec<Seq>,
    pub now_ms: i64,
    /// Everything that a log could show: labels, reasons, ledger keys.
    pub shown: Vec<String>,
}

pub fn funnel() -> (StageRef, StageRef) {
    (StageRef::Name("Проходы".to_owned()), StageRef::Default)
}

pub fn timeline() -> PassesAs {
    PassesAs::Timeline
}

pub fn deal() -> PassesAs {
    let (pipeline, stage) = funnel();
    PassesAs::Deal { pipeline, stage }
}

pub fn both() -> PassesAs {
    let (pipeline, stage) = funnel();
    PassesAs::Both { pipeline, stage }
}

pub fn pass(seq: Seq) -> Uuid {
    Uuid::from_u128(0x0197_2f3a_0000_7000_8000_0000_0000_0000 + u128::from(seq))
}

pub fn job(seq: Seq, client: Option<&str>) -> Job {
    let write_off = WriteOff {
        pass_id: pass(seq),
        pass_seq: seq,
        status: WriteOffStatus::Applied,
        code: "ok".to_owned(),
        transaction_id: Some(format!("t-{seq}")),
        client_id: client.map(ClientId::from),
        right: Some(Right { id: "r-1".to_owned(), kind: RightKind::Ticket, balance_after: Some(3) }),
        charge: Some(Charge {
            quantity: 1,
            money: Some(Money { minor: 50_050, currency: "RUB".to_owned() }),
            title: Some("Батуты 1 час & $result[c0001]".to_owned()),
        }),
        conflict_with: None,
        gate: "n1".into(),
        service_point: "sp-4".into(),
        service_point_title: Some("Вход Север".to_owned()),
        direction: Direction::In,
        medium_masked: "••A1A3".to_owned(),
        occurred: Moment::exact(NOON + i64::try_from(seq).unwrap() * 1_000),
        received_ms: Some(NOON),
        test: false,
    };
    let order = OrderKey(u32::try_from(seq).unwrap());
    Job { seq, key: pass(seq), order, work: Work::Pass(write_off), doubt: None, attempts: 0, oldest: false }
}

pub fn doubtful(mut job: Job) -> Job {
    job.doubt = Some(Doubt { since_boot_ms: 0, sent_wall_ms: NOON, missed: 0 });
    job
}

impl World {
    pub fn new(passes: PassesAs) -> Self {
        let config = Bitrix24 { auth: BitrixAuth::Webhook(SecretSource::Env("X".to_owned())), passes };
        let zone = TimeZone::get("Asia/Yekaterinburg").unwrap();
        Self {
            portal: Portal::ready(),
            clients: BTreeMap::new(),
            lime_calls: Vec::new(),
            reads_many: true,
            ledger: Memory::default(),
            courier: Bitrix24Courier::new(&config, Language::Ru, zone),
            sent: Vec::new(),
            now_ms: NOON + 60_000,
            shown: Vec::new(),
        }
    }

    /// A client at Lime.
    pub fn client(&mut self, id: &str, first: &str, phone: &str) {
        let client = json!({
            "id": id, "version": 1, "category": {"id": "k", "name": "Взрослый", "kind": "adult"},
            "last_name": "Иванова", "first_name": first, "middle_name": "Петровна", "birth_date": "1990-02-03",
            "phones": [phone], "emails": [format!("{id}@example.ru")], "cards": [{"id": "1", "uid": "AC11A1A3", "state": "active"}],
            "balances": {"deposit": 125_050, "bonus": 7, "currency": "RUB"},
            "relations": [
                {"client_id": "k1", "relation_type": {"id": "1", "name": "сын"}, "role": "child", "first_name": "Пётр", "birth_date": "2018-05-06"},
                {"client_id": "k2", "relation_type": {"id": "2", "name": "дочь"}, "role": "child", "first_name": "Ольга", "birth_date": "2020-01-02"},
            ],
        });
        self.clients.insert(id.to_owned(), client);
    }

    fn lime(&mut self, request: &Request) -> Answer {
        self.lime_calls.push(request.path.clone());
        if request.path == "/clients:batch" {
            return self.lime_of_many(request);
        }
        let id = request.path.strip_prefix("/clients/").unwrap();
        let (status, body) = match id.split_once('/') {
            _ if !self.clients.contains_key(id.split('/').next().unwrap()) => {
                (404, json!({"error": {"code": "not_found", "message": "", "retryable": false}}))
            }
            Some(_) => (200, json!({"items": []})),
            None => (200, self.clients[id].clone()),
        };
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.to_string().into() }
    }

    fn lime_of_many(&self, request: &Request) -> Answer {
        let asked: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
        let ids = asked["ids"].as_array().unwrap();
        assert!((2..=100).contains(&ids.len()) && asked["transactions"] == json!(10), "{asked}");
        let item = |id: &Value| json!({"id": id, "client": self.clients.get(id.as_str().unwrap()), "transactions": []});
        let (status, body) = if self.reads_many { (200, json!({"items": ids.iter().map(item).collect::<Vec<_>>()})) } else { (405, json!({})) };
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.to_string().into() }
    }

    /// Holds a conversation to its end and keeps what it learned.
    pub fn deliver(&mut self, jobs: Vec<Job>) -> BTreeMap<Seq, Verdict> {
        let count = jobs.len();
        let mut talk = self.courier.begin(jobs, &self.ledger, self.now_ms);
        let mut step = talk.next(None);
        let (verdicts, learned) = loop {
            let call = match step {
                Step::Done { verdicts, learned } => break (verdicts, learned),
                Step::Call(call) => call,
            };
            self.shown.push(format!("{} {:?}", call.request.label, call.effect));
            if let Effect::Creates(jobs) = &call.effect {
                self.sent.extend(jobs);
            }
            let answer = match call.host {
                Host::Lime => Ok(self.lime(&call.request)),
                Host::Crm => self.portal.answer(&call.request),
            };
            step = match answer {
                Ok(answer) => talk.next(Some(&answer)),
                Err(sent) => break talk.give_up(if sent { NoAnswer::Unknown } else { NoAnswer::NotSent }),
            };
        };
        self.keep(learned);
        let verdicts: BTreeMap<Seq, Verdict> = verdicts.into_iter().collect();
        assert_eq!(verdicts.len(), count, "a verdict for each job");
        for verdict in verdicts.values() {
            if let Verdict::Retry { reason, .. } = verdict {
                self.shown.push(reason.clone());
            }
        }
        verdicts
    }

    fn keep(&mut self, learned: Vec<Learned>) {
        let mut ledger = self.ledger.0.lock().unwrap();
        for Learned { key, value } in learned {
            self.shown.push(format!("{} {}", key.kind, key.key));
            match value {
                Some(value) => {
                    assert!(value.len() <= 4096, "{} bytes under {}", value.len(), key.kind);
                    self.shown.push(value.clone());
                    ledger.insert(key, value);
                }
                None => {
                    ledger.remove(&key);
                }
            }
        }
    }

    pub fn forget_ledger(&mut self) {
        self.ledger.0.lock().unwrap().clear();
    }

    pub fn ledger_kinds(&self) -> Vec<String> {
        self.ledger.0.lock().unwrap().keys().map(|key| key.kind.clone()).collect()
    }

    pub fn requests(&self) -> usize {
        self.portal.requests.len()
    }
}

pub fn remote(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Confirmed(Confirmed::Remote(remote)) => remote.as_deref(),
        other => panic!("not confirmed: {other:?}"),
    }
}

pub fn confirmed(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Confirmed(_))
}

pub fn retry(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Retry { reason, .. } => reason,
        other => panic!("no retry: {other:?}"),
    }
}
