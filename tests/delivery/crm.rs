//! A CRM with what makes real ones hard: no idempotency key, a search that lags, commits behind dropped connections; and a courier for it.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use limegate::delivery::{Call, Confirmed, Conversation, Courier, Effect, Host, Job, Ledger, NoAnswer, Step, Verdict, Work};
use limegate::domain::Seq;
use limegate::http::{Answer, Exchange, Failure, Request};
use limegate::journal::{Destination, Learned};
use serde_json::{Value, json};

/// One deal.
#[derive(Clone, Debug)]
pub struct Deal {
    pub key: String,
    pub order: u64,
    pub seq: u64,
    pub visible_ms: u64,
}

/// What goes wrong, as chances in a thousand of each request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    pub drop_before: u32,
    pub drop_after: u32,
    pub half_answer: u32,
    pub bad_gateway: u32,
    pub bad_gateway_after: u32,
    /// Dropped; carried out up to `late_ms` later.
    pub late: u32,
    pub late_ms: u64,
    /// The search sees nothing younger than a random age up to this.
    pub lag_ms: u64,
    /// Answers that are no JSON.
    pub junk: u32,
}

pub struct FakeCrm {
    pub deals: Vec<Deal>,
    pub requests: u64,
    pub trouble: Trouble,
    pub down: bool,
    /// Keys that are refused for good.
    pub refused: HashSet<String>,
    /// Keys whose presence makes the whole answer unreadable.
    pub poison: HashSet<String>,
    /// Requests by the time of arrival.
    pub arrivals: Vec<u64>,
    late: Vec<(u64, Value)>,
    chance: fastrand::Rng,
}

impl FakeCrm {
    pub fn new(seed: u64) -> Self {
        Self {
            deals: Vec::new(),
            requests: 0,
            trouble: Trouble::default(),
            down: false,
            refused: HashSet::new(),
            poison: HashSet::new(),
            arrivals: Vec::new(),
            late: Vec::new(),
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    /// Carries out what comes late.
    pub fn settle(&mut self, now_ms: u64) {
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now_ms);
        self.late = later;
        let due: Vec<(u64, Value)> = due;
        for (at, body) in due {
            self.create(at, &body);
        }
    }

    pub fn call(&mut self, now_ms: u64, request: &Request) -> Exchange {
        self.settle(now_ms);
        if self.down {
            return Err(Failure::NotSent("connection refused".into()));
        }
        self.requests += 1;
        self.arrivals.push(now_ms);
        let trouble = self.trouble;
        let dice = self.chance.u32(0..1000);
        let mut up_to = 0;
        let mut strikes = |share: u32| {
            up_to += share;
            dice < up_to
        };
        if strikes(trouble.drop_before) {
            return Err(Failure::Unknown("reset".into()));
        }
        if strikes(trouble.bad_gateway) {
            return answer(502, "<html>502</html>".into());
        }
        if strikes(trouble.late) {
            if request.method == Method::POST {
                let at = now_ms + self.chance.u64(0..=trouble.late_ms);
                self.late.push((at, body(request)));
            }
            return Err(Failure::Unknown("reset".into()));
        }
        if strikes(trouble.junk) {
            return answer(200, "x".repeat(1 << 20));
        }
        let (hidden, replaced) = (strikes(trouble.drop_after) || strikes(trouble.half_answer), strikes(trouble.bad_gateway_after));
        let real = self.handle(now_ms, request);
        if replaced {
            return answer(502, "<html>502</html>".into());
        }
        if hidden {
            return Err(Failure::Unknown("reset".into()));
        }
        real
    }

    fn handle(&mut self, now_ms: u64, request: &Request) -> Exchange {
        if request.method == Method::GET {
            let keys: HashSet<&str> = request.path.split_once('=').unwrap().1.split(',').collect();
            let found: BTreeMap<&str, String> = (self.deals.iter().enumerate())
                .filter(|(_, deal)| deal.visible_ms <= now_ms && keys.contains(deal.key.as_str()))
                .map(|(at, deal)| (deal.key.as_str(), format!("deal:{at}")))
                .collect();
            return answer(200, json!(found).to_string());
        }
        let body = body(request);
        let keys = || body.as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap());
        if keys().any(|key| self.poison.contains(key)) {
            return answer(200, "y".repeat(1 << 20));
        }
        let bad: Vec<&str> = keys().filter(|key| self.refused.contains(*key)).collect();
        if !bad.is_empty() {
            return answer(400, json!({"refused": bad}).to_string());
        }
        let ids = self.create(now_ms, &body);
        answer(200, json!(ids).to_string())
    }

    fn create(&mut self, now_ms: u64, body: &Value) -> BTreeMap<String, String> {
        let mut ids = BTreeMap::new();
        for item in body.as_array().unwrap() {
            let key = item["key"].as_str().unwrap().to_owned();
            let visible_ms = now_ms + self.chance.u64(0..=self.trouble.lag_ms);
            ids.insert(key.clone(), format!("deal:{}", self.deals.len()));
            self.deals.push(Deal { key, order: item["order"].as_u64().unwrap(), seq: item["seq"].as_u64().unwrap(), visible_ms });
        }
        ids
    }
}

fn answer(status: u16, body: String) -> Exchange {
    Ok(Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::from(body) })
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(request.body.as_ref().unwrap()).unwrap()
}

/// The courier: jobs in doubt are asked for, the others go in one create, which is refused whole when one of them is bad.
pub struct FakeCourier {
    pub batch: usize,
}

impl Courier for FakeCourier {
    fn destination(&self) -> Destination {
        Destination::Crm
    }

    fn batch_limit(&self) -> usize {
        self.batch
    }

    fn begin(&self, batch: Vec<Job>, _: &dyn Ledger, _: i64) -> Box<dyn Conversation> {
        let (asked, fresh) = batch.into_iter().partition(|job| job.doubt.is_some());
        Box::new(Talk { asked, fresh, verdicts: HashMap::new(), state: State::Start })
    }
}

enum State {
    Start,
    Asking,
    Creating,
}

struct Talk {
    asked: Vec<Job>,
    fresh: Vec<Job>,
    verdicts: HashMap<Seq, Verdict>,
    state: State,
}

impl Talk {
    fn ask(&mut self) -> Step {
        self.state = State::Asking;
        let keys: Vec<String> = self.asked.iter().map(|job| job.key.to_string()).collect();
        let request = Request::get(format!("/deals?keys={}", keys.join(",")), "GET /deals");
        Step::Call(Call { host: Host::Crm, request, effect: Effect::Repeatable })
    }

    fn create(&mut self) -> Step {
        if self.fresh.is_empty() {
            return self.done();
        }
        self.state = State::Creating;
        let items: Vec<Value> = (self.fresh.iter())
            .map(|job| {
                let Work::Pass(write_off) = &job.work else { panic!("not a CRM job") };
                json!({"key": job.key.to_string(), "order": job.order.0, "seq": write_off.pass_seq})
            })
            .collect();
        let request = Request::json(Method::POST, "/deals", &Value::Array(items), "POST /deals");
        let effect = Effect::Creates(self.fresh.iter().map(|job| job.seq).collect());
        Step::Call(Call { host: Host::Crm, request, effect })
    }

    fn done(&mut self) -> Step {
        Step::Done { verdicts: self.verdicts.drain().collect(), learned: Vec::new() }
    }

    fn rest(&mut self, jobs: impl Fn(&Self) -> &Vec<Job>, verdict: &Verdict) {
        let seqs: Vec<Seq> = jobs(self).iter().map(|job| job.seq).collect();
        for seq in seqs {
            self.verdicts.entry(seq).or_insert_with(|| verdict.clone());
        }
    }
}

fn retry(reason: &str) -> Verdict {
    Verdict::Retry { reason: reason.into(), after: None }
}

impl Conversation for Talk {
    fn next(&mut self, answer: Option<&Answer>) -> Step {
        let Some(answer) = answer else {
            return if self.asked.is_empty() { self.create() } else { self.ask() };
        };
        let ids = (answer.status == StatusCode::OK).then(|| serde_json::from_slice::<HashMap<String, String>>(&answer.body).ok()).flatten();
        match (&self.state, ids) {
            (State::Asking, Some(ids)) => {
                for job in &self.asked {
                    let verdict = match ids.get(&job.key.to_string()) {
                        Some(id) => Verdict::Confirmed(Confirmed::Remote(Some(id.clone()))),
                        None => Verdict::NotFound,
                    };
                    self.verdicts.insert(job.seq, verdict);
                }
                self.create()
            }
            (State::Creating, Some(ids)) => {
                for job in &self.fresh {
                    let id = ids.get(&job.key.to_string()).cloned();
                    self.verdicts.insert(job.seq, Verdict::Confirmed(Confirmed::Remote(id)));
                }
                self.done()
            }
            (State::Creating, None) if answer.status == StatusCode::BAD_REQUEST => {
                let refused: Value = answer.json().unwrap();
                for job in &self.fresh {
                    let bad = refused["refused"].as_array().unwrap().iter().any(|key| *key == json!(job.key.to_string()));
                    let verdict = if bad {
                        Verdict::Dead { reason: "http/400".into(), answer: "bad".into() }
                    } else {
                        Verdict::Retry { reason: "batch_refused".into(), after: Some(std::time::Duration::ZERO) }
                    };
                    self.verdicts.insert(job.seq, verdict);
                }
                self.done()
            }
            (State::Creating, None) => {
                self.rest(|talk| &talk.fresh, &Verdict::Doubtful);
                self.done()
            }
            _ => {
                self.rest(|talk| &talk.asked, &retry("crm/unreadable"));
                self.rest(|talk| &talk.fresh, &retry("crm/unreadable"));
                self.done()
            }
        }
    }

    fn give_up(&mut self, why: NoAnswer) -> (Vec<(Seq, Verdict)>, Vec<Learned>) {
        let create = if matches!(self.state, State::Creating) && why == NoAnswer::Unknown { Verdict::Doubtful } else { retry("no_answer") };
        self.rest(|talk| &talk.asked, &retry("no_answer"));
        self.rest(|talk| &talk.fresh, &create);
        (self.verdicts.drain().collect(), Vec::new())
    }
}
