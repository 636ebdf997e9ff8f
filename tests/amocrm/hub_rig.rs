//! The integration without a runner: feeds and conversations are stepped by hand against the sandbox, so that a test decides which answer is lost, and
//! when the box dies. What a verdict means for a job is what the runner makes of it.

use std::collections::BTreeMap;

use limegate::config::{CrmKind, Hub, Language};
use limegate::crm::amocrm::AmoCourier;
use limegate::crm::amocrm::feed_deals::FeedDeals;
use limegate::crm::amocrm::hub_setup;
use limegate::crm::setup::{Ask, Dialogue, Mode, Plan};
use limegate::crm::texts::Texts;
use limegate::delivery::{Call, Confirmed, Courier, Doubt, Effect, Host, Job, NoAnswer, Step, Verdict, Work};
use limegate::domain::{BootId, Change, Seq, Stamp, Sync};
use limegate::feed::{Feed, Heard, Turn};
use limegate::flow::contacts::Keyer;
use limegate::http::{Answer, Request};
use limegate::lime::feed::{Kind, LimeFeed};
use sandbox::{Site, What};
use serde_json::{Value, json};

use crate::hand::{Notes, config, texts};

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Heard,
    /// The request does not.
    NotSent,
    /// It is carried out, and nobody hears of it.
    Lost,
    /// It is carried out, and the box dies.
    Dies,
}

pub struct Rig {
    pub site: Site,
    pub notes: Notes,
    pub hub: Hub,
    pub queue: Vec<Job>,
    pub done: BTreeMap<Seq, String>,
    pub dead: Vec<String>,
    /// Labels of what was asked of amoCRM by conversations.
    pub asked: Vec<&'static str>,
    /// The same by the feed of deals.
    pub polled: Vec<&'static str>,
    feeds: Vec<Box<dyn Feed>>,
    now_ms: u64,
    wall_ms: i64,
    seq: Seq,
}

/// The fates of a test that loses nothing.
pub fn heard(_: &Call) -> Fate {
    Fate::Heard
}

impl Rig {
    /// An account that was set up, and a Lime whose history is behind us.
    pub fn new(change: impl FnOnce(&mut Hub)) -> Self {
        let mut site = Site::new(7);
        assert!(site.amocrm.switch("limit_per_second", &json!(null)));
        let mut hub = Hub::usual(&CrmKind::AmoCrm(config()), Language::Ru);
        change(&mut hub);
        let kinds = [Kind::Products, Kind::Transactions, Kind::Preorders];
        let mut feeds: Vec<Box<dyn Feed>> = kinds.into_iter().map(|kind| Box::new(LimeFeed::new(kind)) as Box<dyn Feed>).collect();
        feeds.push(Box::new(FeedDeals::new(hub.clone())));
        let mut rig = Self {
            site,
            notes: Notes::default(),
            hub,
            queue: Vec::new(),
            done: BTreeMap::new(),
            dead: Vec::new(),
            asked: Vec::new(),
            polled: Vec::new(),
            feeds,
            now_ms: 1_000,
            wall_ms: crate::hand::AT,
            seq: 1,
        };
        let plan = rig.set_up(Mode::Apply, true);
        assert!(plan.is_complete(), "{}", plan.table(Language::En));
        rig
    }

    pub fn set_up(&mut self, mode: Mode, funnels: bool) -> Plan {
        self.set_up_in(texts(), mode, funnels)
    }

    /// The same in a venue's own words.
    pub fn set_up_in(&mut self, texts: Texts, mode: Mode, funnels: bool) -> Plan {
        let mut errand = hub_setup::errand(config(), Some(self.hub.clone()), texts, hub_setup::Wish { mode, funnels, known: None });
        let mut step = errand.next(None);
        loop {
            match step {
                Ask::Done(plan) => return plan,
                Ask::Failed(error) => panic!("{error}"),
                Ask::Call(request) => {
                    let answer = self.send(Host::Crm, &request).expect("the account answers");
                    step = errand.next(Some(&answer));
                }
            }
        }
    }

    /// Time goes by.
    pub fn pass_time(&mut self, seconds: u64) {
        self.now_ms += seconds * 1_000;
        self.wall_ms += i64::try_from(seconds).unwrap() * 1_000;
        self.site.settle(self.now_ms, self.wall_ms);
    }

    pub fn now(&self) -> i64 {
        self.wall_ms
    }

    /// A cashier does something.
    pub fn cashier(&mut self, action: &str, body: Value) -> Value {
        self.site.act(sandbox::Host::Lime, action, self.now_ms, self.wall_ms, &body).unwrap_or_else(|error| panic!("{action}: {error}"))
    }

    /// A manager does something.
    pub fn manager(&mut self, action: &str, body: Value) -> Value {
        self.site.act(sandbox::Host::Amocrm, action, self.now_ms, self.wall_ms, &body).unwrap_or_else(|error| panic!("{action}: {error}"))
    }

    /// An administrator's own script, or what the interface does for people.
    pub fn api(&mut self, method: &str, path: &str, body: Value) {
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request { method, body: Some(body.to_string().into()), ..Request::get(format!("/api/v4{path}"), "a person") };
        let answer = self.send(Host::Crm, &request).unwrap();
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    }

    /// amoCRM's own books.
    pub fn books(&self) -> Value {
        self.site.state(sandbox::Host::Amocrm)
    }

    pub fn leads(&self) -> Vec<Value> {
        self.books()["leads"].as_array().cloned().unwrap_or_default()
    }

    fn send(&mut self, host: Host, request: &Request) -> Option<Answer> {
        let (service, prefix) = match host {
            Host::Lime => (sandbox::Host::Lime, "/gw/v1"),
            Host::Crm => (sandbox::Host::Amocrm, ""),
        };
        let token = match host {
            Host::Lime => self.site.lime.token().to_owned(),
            Host::Crm => self.site.amocrm.long_lived_token(),
        };
        let mut plain = http::Request::builder().method(request.method.clone()).uri(format!("{prefix}{}", request.path));
        plain = plain.header("authorization", format!("Bearer {token}"));
        for (name, value) in &request.headers {
            plain = plain.header(name, value);
        }
        let plain = plain.body(request.body.clone().unwrap_or_default()).unwrap();
        match self.site.call(service, self.now_ms, self.wall_ms, plain).what {
            What::Whole(response) => {
                let (head, body) = response.into_parts();
                Some(Answer { status: head.status, headers: head.headers, body })
            }
            _ => None,
        }
    }

    /// Lets all feeds tell what there is.
    pub fn listen(&mut self) {
        let mut feeds = std::mem::take(&mut self.feeds);
        for feed in &mut feeds {
            self.turn(feed.as_mut());
        }
        self.feeds = feeds;
    }

    fn turn(&mut self, feed: &mut dyn Feed) {
        let mut answer: Option<Answer> = None;
        let mut kept = false;
        for _ in 0..500 {
            let heard = match (&answer, kept) {
                (Some(answer), _) => Heard::Answer(answer),
                (None, true) => Heard::Kept,
                (None, false) => Heard::Begin,
            };
            let turn = feed.next(heard, &self.notes, self.wall_ms);
            (answer, kept) = (None, false);
            match turn {
                Turn::Ask(request) => {
                    if feed.host() == Host::Crm {
                        self.polled.push(request.label);
                    }
                    // A feed that waits for news has heard it all.
                    let Some(heard) = self.send(feed.host(), &request) else { return };
                    answer = Some(heard);
                }
                Turn::Keep(page) => {
                    self.notes.learn(page.learned);
                    let empty = page.news.is_empty();
                    for news in page.news {
                        let stamp = stamp(self.wall_ms);
                        let limegate::feed::News { told, version, changed_ms, origin, back_fill } = news;
                        self.owe(Change { told, version, changed_ms, origin, back_fill, stamp });
                    }
                    kept = true;
                    if empty && feed.host() == Host::Lime {
                        continue;
                    }
                }
                Turn::Rest(_) => return,
                Turn::Trouble(code, text, _) => panic!("{code}: {text}"),
            }
        }
        panic!("{} does not rest", feed.name());
    }

    /// Listens and delivers until neither side has anything to tell.
    pub fn settle(&mut self) {
        self.settle_with(heard);
    }

    /// The same, with answers lost.
    pub fn settle_with(&mut self, mut fate: impl FnMut(&Call) -> Fate) {
        for _ in 0..20 {
            self.listen();
            if self.queue.is_empty() {
                return;
            }
            self.deliver(&mut fate);
        }
        panic!("the two sides do not come to rest");
    }

    /// A job for a change.
    pub fn owe(&mut self, change: Change) {
        self.seq += 1;
        let (key, order) = (change.key(), change.order_key());
        self.queue.push(Job { seq: self.seq, key, order, work: Work::Change(change), doubt: None, attempts: 0, oldest: false });
    }

    /// Delivers until nothing waits, at most so many conversations.
    pub fn deliver(&mut self, mut fate: impl FnMut(&Call) -> Fate) {
        for _ in 0..60 {
            if self.queue.is_empty() {
                return;
            }
            self.converse(&mut fate);
            self.pass_time(150);
        }
        panic!("not delivered: {:#?}", self.queue);
    }

    /// One conversation about all that waits.
    pub fn converse(&mut self, fate: &mut dyn FnMut(&Call) -> Fate) {
        let mut jobs = self.queue.clone();
        let oldest = jobs.iter().map(|job| job.seq).min();
        jobs.iter_mut().for_each(|job| job.oldest = Some(job.seq) == oldest);
        let courier = AmoCourier::new(config(), Some(self.hub.clone()), texts()).with_marks(Some(Keyer::new(b"a key of a test")));
        let mut talk = courier.begin(jobs, &self.notes, self.wall_ms);
        let mut step = talk.next(None);
        let mut sending: Vec<Seq> = Vec::new();
        let (verdicts, learned) = loop {
            let call = match step {
                Step::Done { verdicts, learned } => break (verdicts, learned),
                Step::Call(call) => call,
            };
            if call.host == Host::Crm {
                self.asked.push(call.request.label);
            }
            let fate = fate(&call);
            if fate == Fate::NotSent {
                break talk.give_up(NoAnswer::NotSent);
            }
            match &call.effect {
                Effect::Sets(learned) => self.notes.learn(learned.clone()),
                Effect::Creates(jobs) => sending.extend(jobs),
                Effect::Repeatable => {}
            }
            let answer = self.send(call.host, &call.request);
            match (fate, answer) {
                (Fate::Heard, Some(answer)) => step = talk.next(Some(&answer)),
                (Fate::Dies, _) => {
                    // What was learned is gone; what was to be created is in doubt.
                    for job in self.queue.iter_mut().filter(|job| sending.contains(&job.seq)) {
                        job.doubt = Some(Doubt { since_boot_ms: 0, sent_wall_ms: self.wall_ms, missed: 0 });
                    }
                    return;
                }
                _ => break talk.give_up(NoAnswer::Unknown),
            }
        };
        self.notes.learn(learned);
        for (seq, verdict) in verdicts {
            let Some(at) = self.queue.iter().position(|job| job.seq == seq) else { continue };
            let job = &mut self.queue[at];
            match verdict {
                Verdict::Confirmed(Confirmed::Remote(remote)) => {
                    self.done.insert(seq, remote.unwrap_or_default());
                    self.queue.remove(at);
                }
                Verdict::Confirmed(Confirmed::WriteOff(_)) => panic!("no write-off"),
                Verdict::Dead { reason, answer } => {
                    self.dead.push(format!("{reason}: {answer}"));
                    self.queue.remove(at);
                }
                Verdict::Doubtful => job.doubt = Some(Doubt { since_boot_ms: self.now_ms, sent_wall_ms: self.wall_ms, missed: 0 }),
                Verdict::NotFound => {
                    job.doubt = job.doubt.filter(|doubt| doubt.missed == 0).map(|doubt| Doubt { missed: 1, ..doubt });
                }
                Verdict::Retry { .. } => job.attempts += 1,
            }
        }
    }

    /// Requests to amoCRM since the last time this was asked.
    pub fn requests(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.asked)
    }
}

fn stamp(wall_ms: i64) -> Stamp {
    Stamp { boot: BootId(uuid::Uuid::from_u128(1)), boot_ms: 1_000, wall_ms, sync: Sync::Synced }
}
