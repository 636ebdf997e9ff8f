//! Answers of Lime, amoCRM and Bitrix24 to what delivery asks: whatever they are, a dialogue ends, and with one verdict for each job.
//!
//! Input: answers, each a status, a length (two bytes), and that many bytes of body. After the last the network is gone.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use jiff::tz::TimeZone;
use limegate::config::{AmoAuth, AmoCrm, Bitrix24, BitrixAuth, Language, PassesAs, SecretSource, StageRef};
use limegate::crm::amocrm::AmoCourier;
use limegate::crm::bitrix24::Bitrix24Courier;
use limegate::crm::texts::Texts;
use limegate::delivery::{Courier, Doubt, Job, Ledger, NoAnswer, Step, Work};
use limegate::domain::{
    BootId, Charge, ClientId, Direction, Medium, MediumKind, Moment, Money, OrderKey, Pass, PassageState, Personal, Preorder, Product, Receipt,
    Stamp, Sync, WriteOff, WriteOffStatus,
};
use limegate::http::Answer;
use limegate::journal::LedgerKey;
use limegate::lime::changes::{ClientNamed, page};
use limegate::lime::{LimeCourier, authorize, parse};
use uuid::Uuid;

const NOW_MS: i64 = 1_795_342_500_000;
/// A dialogue about two jobs that takes longer does not end.
const MOST_STEPS: usize = 200;

/// Lime: its answers to delivery, and those that are read by themselves.
pub fn answers_lime(input: &[u8]) {
    let answers = answers(input);
    for answer in &answers {
        let _ = (authorize::answer(answer), parse::client(answer), parse::clients(answer), parse::transactions(answer));
        let _ = (parse::service_points(answer), parse::time(answer), parse::lookup(answer));
        let _ = (page::<ClientNamed>(answer), page::<Receipt>(answer), page::<Product>(answer), page::<Preorder>(answer));
    }
    let courier = LimeCourier::new("box", BootId(Uuid::from_u128(7)), TimeZone::UTC);
    let work = |number| Work::WriteOff { pass: pass(number), occurred: Moment::exact(NOW_MS) };
    hold(&courier, vec![job(1, work(1)), job(2, work(2))], &answers);
}

/// amoCRM.
pub fn answers_amocrm(input: &[u8]) {
    let config = AmoCrm {
        url: "https://park.amocrm.ru".to_owned(),
        auth: AmoAuth::Token(SecretSource::Env("T".to_owned())),
        pipeline: StageRef::Name("Проходы".to_owned()),
        stage: StageRef::Name("Прошёл".to_owned()),
    };
    crm(&AmoCourier::new(config, None, Texts::new(Language::Ru, TimeZone::UTC)), input);
}

/// Bitrix24, a line in the timeline and a deal a pass.
pub fn answers_bitrix24(input: &[u8]) {
    let [passes, input @ ..] = input else { return };
    let stage = |name: &str| StageRef::Name(name.to_owned());
    let passes =
        if passes & 1 == 0 { PassesAs::Timeline } else { PassesAs::Deal { pipeline: stage("Проходы"), stage: stage("Прошёл") } };
    let config = Bitrix24 { auth: BitrixAuth::Webhook(SecretSource::Env("X".to_owned())), passes };
    crm(&Bitrix24Courier::new(&config, Language::Ru, TimeZone::UTC), input);
}

/// One pass that is new, and one whose first attempt's outcome is not known.
fn crm(courier: &dyn Courier, input: &[u8]) {
    let doubt = Some(Doubt { since_boot_ms: 1, sent_wall_ms: NOW_MS, missed: 0 });
    let jobs = vec![job(1, Work::Pass(write_off(1))), Job { doubt, ..job(2, Work::Pass(write_off(2))) }];
    hold(courier, jobs, &answers(input));
}

struct Nothing;

impl Ledger for Nothing {
    fn get(&self, _: &LedgerKey) -> Option<String> {
        None
    }
}

fn hold(courier: &dyn Courier, jobs: Vec<Job>, answers: &[Answer]) {
    let asked: BTreeSet<u64> = jobs.iter().map(|job| job.seq).collect();
    let mut conversation = courier.begin(jobs, &Nothing, NOW_MS);
    let mut answers = answers.iter();
    let mut step = conversation.next(None);
    for _ in 0..MOST_STEPS {
        let Step::Call(call) = step else { break };
        let Some(answer) = answers.next() else {
            let (verdicts, _) = conversation.give_up(NoAnswer::Unknown);
            judged(&asked, verdicts.iter().map(|(seq, _)| *seq));
            return;
        };
        let _ = courier.limited(call.host, answer);
        step = conversation.next(Some(answer));
    }
    match step {
        Step::Done { verdicts, .. } => judged(&asked, verdicts.iter().map(|(seq, _)| *seq)),
        Step::Call(_) => panic!("the dialogue does not end"),
    }
}

fn judged(asked: &BTreeSet<u64>, verdicts: impl Iterator<Item = u64>) {
    let verdicts: Vec<u64> = verdicts.collect();
    assert_eq!(verdicts.len(), asked.len(), "one verdict for each job");
    assert_eq!(verdicts.into_iter().collect::<BTreeSet<u64>>(), *asked);
}

fn answers(mut input: &[u8]) -> Vec<Answer> {
    const STATUSES: [u16; 12] = [200, 200, 200, 200, 204, 400, 402, 403, 404, 409, 500, 503];
    let mut answers = Vec::new();
    while let [status, high, low, more @ ..] = input {
        let (body, rest) = more.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(more.len()));
        let status = StatusCode::from_u16(STATUSES[usize::from(*status) % STATUSES.len()]).expect("a status");
        answers.push(Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body) });
        input = rest;
    }
    answers
}

fn job(number: u64, work: Work) -> Job {
    Job { seq: number, key: Uuid::from_u128(u128::from(number)), order: OrderKey(1), work, doubt: None, attempts: 0, oldest: true }
}

fn pass(number: u64) -> Pass {
    Pass {
        id: Uuid::from_u128(u128::from(number)),
        number,
        gate: "n1".into(),
        service_point: "sp-4".into(),
        direction: Direction::In,
        medium: Medium { kind: MediumKind::CardUid, value: Personal::new("7A000001"), raw: None, format: "test".to_owned() },
        device: None,
        passage: PassageState::Unknown,
        stamp: Stamp { wall_ms: NOW_MS, boot: BootId(Uuid::from_u128(7)), boot_ms: 1, sync: Sync::Synced },
        device_ms: None,
        test: false,
        door: None,
    }
}

fn write_off(number: u64) -> WriteOff {
    WriteOff {
        pass_id: Uuid::from_u128(u128::from(number)),
        pass_seq: number,
        status: WriteOffStatus::Applied,
        code: "ok".to_owned(),
        transaction_id: Some(format!("t-{number}")),
        client_id: Some(ClientId::from("c-1")),
        right: None,
        charge: Some(Charge { quantity: 1, money: Some(Money { minor: 49_950, currency: "RUB".to_owned() }), title: None }),
        conflict_with: None,
        gate: "n1".into(),
        service_point: "sp-4".into(),
        service_point_title: None,
        direction: Direction::In,
        medium_masked: "••A1A3".to_owned(),
        occurred: Moment::exact(NOW_MS),
        received_ms: None,
        test: false,
    }
}
