//! The real runners, Lime courier and Bitrix24 courier against the sandbox, in virtual time: nothing lost, nothing doubled, the portal's limits kept and
//! used. Each test prints its seed; `LIMEGATE_SEED` sets it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod bookings;
#[path = "../delivery/clock.rs"]
mod clock;
mod first_sync;
mod goods;
#[path = "../delivery/held.rs"]
mod held;
mod people;
mod sales;
mod shop;
#[path = "../delivery/store.rs"]
mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::VirtualClock;
use jiff::tz::TimeZone;
use limegate::clock::{Clock, SharedClock};
use limegate::config::{Bitrix24, BitrixAuth, Delivery, Language, PassesAs, SecretSource, StageRef};
use limegate::crm::bitrix24::auth::Webhook;
use limegate::crm::bitrix24::{Bitrix24Courier, setup};
use limegate::crm::setup::{Ask, Dialogue, Mode as Setup, Plan};
use limegate::crm::texts::Texts;
use limegate::delivery::{Courier, Limit, Parts, Remote, Remotes, Runner};
use limegate::domain::{Direction, Medium, MediumKind, Pass, PassageState, Personal, Secret};
use limegate::http::{Answer, Bearer, BoxFuture, Endpoint, Exchange, Failure, Request, Transport};
use limegate::journal::{Destination, Record, Store};
use limegate::lime::LimeCourier;
use limegate::status::Hub;
use sandbox::faults::{Mode, Rule};
use sandbox::{Host, Site, What};
use serde_json::{Value, json};
use store::{MemoryStore, POLICY};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

fn seed() -> u64 {
    let seed = std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}");
    seed
}

/// How many passes a long scenario takes; `LIMEGATE_PASSES` sets it.
fn passes(usual: usize) -> usize {
    std::env::var("LIMEGATE_PASSES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A line to one of the sandbox's services.
struct Cable {
    site: Arc<Mutex<Site>>,
    clock: Arc<VirtualClock>,
    host: Host,
    base: String,
}

impl Cable {
    fn call(&self, request: &Request) -> sandbox::Outcome {
        let mut plain = http::Request::builder().method(request.method.clone()).uri(format!("{}{}", self.base, request.path));
        for (name, value) in &request.headers {
            plain = plain.header(name, value);
        }
        let body = request.body.as_deref().map(bytes::Bytes::copy_from_slice).unwrap_or_default();
        let plain = plain.header("content-type", "application/json").body(body).unwrap();
        self.site.lock().unwrap().call(self.host, self.clock.now_ms(), self.clock.stamp().wall_ms, plain)
    }
}

impl Transport for Cable {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            let exchange = async {
                sleep(Duration::from_millis(40)).await;
                let outcome = held::apart(|| self.call(&request));
                sleep(Duration::from_millis(outcome.after_ms + 40)).await;
                match outcome.what {
                    What::Whole(response) => {
                        let body = bytes::Bytes::copy_from_slice(response.body());
                        let answer = Answer { status: response.status(), headers: response.headers().clone(), body };
                        held::apart(|| drop(response));
                        Ok(answer)
                    }
                    What::Refused => Err(Failure::NotSent("refused".into())),
                    What::Cut { .. } | What::Reset => Err(Failure::Unknown("reset".into())),
                    What::Hang => std::future::pending().await,
                }
            };
            tokio::time::timeout(request.timeout, exchange).await.unwrap_or_else(|_| Err(Failure::Unknown("timeout".into())))
        })
    }
}

struct Venue {
    clock: Arc<VirtualClock>,
    store: Arc<MemoryStore>,
    site: Arc<Mutex<Site>>,
    passes: PassesAs,
    media: Vec<Medium>,
    made: Vec<Uuid>,
    chance: fastrand::Rng,
    limit: Limit,
    hub: Arc<Hub>,
}

struct Running(watch::Sender<bool>, Vec<JoinHandle<()>>);

impl Running {
    async fn stop(self) {
        self.0.send_replace(true);
        for task in self.1 {
            task.await.unwrap();
        }
    }

    /// As SIGKILL.
    async fn kill(self) {
        for task in self.1 {
            task.abort();
            let _ = task.await;
        }
    }
}

fn both() -> PassesAs {
    PassesAs::Both { pipeline: StageRef::Name("Проходы".to_owned()), stage: StageRef::Default }
}

impl Venue {
    /// A box at a venue with so many families, and a portal that `crm setup` has made ready.
    fn new(seed: u64, passes: PassesAs, families: usize) -> Self {
        let mut site = Site::new(seed);
        site.lime.add_clients(families);
        let medium = |kind: &str, value: String| Medium {
            kind: serde_json::from_value(json!(kind)).unwrap(),
            value: Personal::new(value),
            raw: None,
            format: "test".into(),
        };
        let known = site.lime.media().into_iter().filter(|one| one.client_id.is_some());
        let media = known.map(|one| medium(&one.kind, one.value)).filter(|medium| medium.kind == MediumKind::CardUid).collect();
        let one = Self {
            clock: Arc::new(VirtualClock::new()),
            store: Arc::new(MemoryStore::new()),
            site: Arc::new(Mutex::new(site)),
            passes,
            media,
            made: Vec::new(),
            chance: fastrand::Rng::with_seed(seed),
            limit: Limit::of(2.0, 50),
            hub: Arc::new(Hub::default()),
        };
        let plan = one.setup(Setup::Apply);
        assert!(plan.is_complete(), "{}", plan.table(Language::En));
        one
    }

    fn cable(&self, host: Host) -> Cable {
        let site = self.site.lock().unwrap();
        let base = match host {
            Host::Lime => "/gw/v1".to_owned(),
            _ => site.bitrix24.webhook().trim_end_matches('/').strip_prefix("https://bitrix24.sandbox").unwrap().to_owned(),
        };
        Cable { site: Arc::clone(&self.site), clock: Arc::clone(&self.clock), host, base }
    }

    fn setup(&self, mode: Setup) -> Plan {
        let cable = self.cable(Host::Bitrix24);
        let mut errand = setup::errand(self.passes.clone(), Texts::new(Language::Ru, TimeZone::UTC), "sandbox".to_owned(), mode);
        let mut step = errand.next(None);
        loop {
            match step {
                Ask::Done(plan) => return plan,
                Ask::Failed(error) => panic!("{error}"),
                Ask::Call(request) => {
                    let What::Whole(response) = cable.call(&request).what else { panic!("no answer") };
                    let (head, body) = response.into_parts();
                    step = errand.next(Some(&Answer { status: head.status, headers: head.headers, body }));
                }
            }
        }
    }

    async fn pass(&mut self) {
        let medium = self.chance.choice(&self.media).unwrap().clone();
        let id = Uuid::from_u128((1 << 100) + self.made.len() as u128);
        let pass = Pass {
            id,
            number: 0,
            gate: "n1".into(),
            service_point: "sp-4".into(),
            direction: Direction::In,
            medium,
            device: None,
            passage: PassageState::Unknown,
            stamp: self.clock.stamp(),
            device_ms: None,
            test: false,
            door: None,
        };
        self.store.append(vec![Record::Pass(pass)]).await.unwrap();
        self.made.push(id);
    }

    fn start(&mut self, to: &[Destination]) -> Running {
        let (stop, stopped) = watch::channel(false);
        let clock: SharedClock = self.clock.clone();
        let settings = Delivery {
            settle_window: Duration::from_secs(120),
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(300),
            crm_rate: 2.0,
            crm_burst: 50,
            drain: Duration::from_secs(5),
        };
        let backoff = (settings.backoff_base, settings.backoff_cap);
        let token = Secret::new(self.site.lock().unwrap().lime.token());
        let lime = Endpoint::new(Arc::new(self.cable(Host::Lime)), Arc::new(Bearer::refused_by_forbidden(token)));
        let crm = Endpoint::new(Arc::new(self.cable(Host::Bitrix24)), Arc::new(Webhook));
        let remotes = Remotes {
            lime: Arc::new(Remote::new(lime, Limit::of(limegate::lime::RATE, limegate::lime::BURST), backoff, clock.clone(), self.chance.fork())),
            crm: Some(Arc::new(Remote::new(crm, self.limit, backoff, clock.clone(), self.chance.fork()))),
        };
        let config = Bitrix24 { auth: BitrixAuth::Webhook(SecretSource::Env("X".to_owned())), passes: self.passes.clone() };
        let tasks = to.iter().map(|to| {
            let courier: Arc<dyn Courier> = match to {
                Destination::Lime => Arc::new(LimeCourier::new("box", self.clock.stamp().boot, TimeZone::UTC)),
                Destination::Crm => Arc::new(Bitrix24Courier::new(&config, Language::Ru, TimeZone::UTC)),
            };
            let parts = Parts {
                store: self.store.clone(),
                courier,
                remotes: remotes.clone(),
                clock: clock.clone(),
                hub: self.hub.clone(),
                settings: settings.clone(),
                policy: POLICY,
                chance: self.chance.fork(),
            };
            tokio::spawn(Runner::new(parts).run(stopped.clone()))
        });
        let tasks = tasks.collect();
        Running(stop, tasks)
    }

    async fn drained(&self, to: Destination, seconds: u64) {
        for _ in 0..seconds * 2 {
            if self.store.pending_count(to) == 0 {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
        panic!("{} left after {seconds} s: {:#?}", self.store.pending_count(to), self.hub.snapshot().destinations);
    }

    fn state(&self) -> Value {
        self.site.lock().unwrap().state(Host::Bitrix24)
    }

    /// All passes written off at Lime, before the portal is asked for anything.
    async fn written_off(&mut self, passes: usize) {
        for _ in 0..passes {
            self.pass().await;
        }
        let running = self.start(&[Destination::Lime]);
        self.drained(Destination::Lime, 3_600).await;
        running.stop().await;
    }

    fn fault(&self, probability: f64, body: Option<&str>, mode: Mode) {
        let seed = Some(self.made.len() as u64 + 7);
        let rule = Rule {
            service: Some(Host::Bitrix24),
            method: None,
            path: None,
            body: body.map(str::to_owned),
            count: None,
            probability: Some(probability),
            seed,
            after: 0,
            for_ms: None,
            mode,
        };
        let now = self.clock.now_ms();
        self.site.lock().unwrap().faults.set(now, rule);
    }

    /// Nothing lost and nothing doubled, by the portal's own books.
    fn check_books(&self) {
        assert!(self.store.dead(Destination::Crm).is_empty(), "{:?}", self.store.dead(Destination::Crm));
        let state = self.state();
        let deals = state["deals_by_key"]["originId"].as_object().unwrap();
        let missing = self.made.iter().filter(|id| !deals.contains_key(&format!("pass:{id}"))).count();
        assert_eq!((missing, deals.len()), (0, self.made.len()), "deals");
        assert_eq!(state["deals_doubled"]["originId"], json!({}), "deals");
        assert_eq!(state["contacts_doubled"]["originId"], json!({}), "contacts");
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let entries = state["timeline"].as_array().cloned().unwrap_or_else(|| state["timeline"].as_object().unwrap().values().cloned().collect());
        for text in entries.iter().filter_map(|entry| entry["text"].as_str()) {
            *lines.entry(text.lines().last().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(lines.values().filter(|count| **count > 1).count(), 0, "lines");
        assert_eq!(lines.len(), self.made.len(), "lines");
    }
}

#[test]
fn setup_makes_a_fresh_portal_ready_and_a_second_run_finds_all_of_it() {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
        let one = Venue::new(seed(), both(), 1);
        let again = one.setup(Setup::Plan);
        assert!(again.is_complete() && again.missing() == 0, "{}", again.table(Language::En));
    });
}

#[tokio::test(start_paused = true)]
async fn faults_and_restarts_lose_and_double_nothing() {
    let passes = passes(2_000);
    let mut one = Venue::new(seed(), both(), (passes / 15).max(1));
    one.written_off(passes).await;
    for mode in [
        Mode::DropAfterCommit,
        Mode::DropBeforeCommit,
        Mode::HalfAnswer,
        Mode::BadGateway { committed: true },
        Mode::BadGateway { committed: false },
        Mode::RateLimited { retry_after_s: None },
    ] {
        one.fault(0.04, None, mode);
    }
    let mut running = one.start(&[Destination::Crm]);
    for _ in 0..6 {
        let pause = one.chance.u64(1..60_000);
        sleep(Duration::from_millis(pause)).await;
        running.kill().await;
        running = one.start(&[Destination::Crm]);
    }
    one.drained(Destination::Crm, 40_000).await;
    running.stop().await;
    let requests = one.site.lock().unwrap().log.requests(Host::Bitrix24);
    println!("{:.2} calls a pass, faults and all", requests as f64 / passes as f64);
    one.check_books();
}

#[tokio::test(start_paused = true)]
async fn late_commits_and_lagging_searches_double_nothing_within_the_window() {
    let passes = passes(300);
    let mut one = Venue::new(seed(), both(), (passes / 15).max(1));
    one.written_off(passes).await;
    one.fault(0.15, Some("crm.item.add"), Mode::LateCommit { ms: 55_000 });
    one.fault(0.15, Some("crm.timeline.logmessage.add"), Mode::LateCommit { ms: 30_000 });
    one.fault(1.0, Some("crm.item.list"), Mode::IndexLag { ms: 50_000 });
    // What comes late comes when it is due, and not when somebody next calls.
    let (site, clock) = (Arc::clone(&one.site), Arc::clone(&one.clock));
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(500)).await;
            site.lock().unwrap().settle(clock.now_ms(), clock.stamp().wall_ms);
        }
    });
    let running = one.start(&[Destination::Crm]);
    one.drained(Destination::Crm, 40_000).await;
    running.stop().await;
    sleep(Duration::from_secs(600)).await;
    let (now, wall) = (one.clock.now_ms(), one.clock.stamp().wall_ms);
    one.site.lock().unwrap().settle(now, wall);
    one.check_books();
}

#[tokio::test(start_paused = true)]
async fn a_drain_keeps_the_portals_limit_and_uses_it() {
    // `LIMEGATE_PASSES=10000` is the long form. About two guests in a family have cards, so this is five passes a guest.
    let passes = passes(2_000);
    let mut one = Venue::new(seed(), PassesAs::Timeline, passes / 12);
    println!("{} cards", one.media.len());
    one.written_off(passes).await;
    // The portal is away, as before a drain. Meanwhile its bucket has drained of what setup cost, and the box has saved up its burst.
    let down = one.site.lock().unwrap().faults.set(one.clock.now_ms(), Rule::new(Host::Bitrix24, Mode::Down { how: sandbox::faults::Down::Refuse }));
    let running = one.start(&[Destination::Crm]);
    sleep(Duration::from_secs(600)).await;
    let (before, from) = (one.site.lock().unwrap().log.requests(Host::Bitrix24), one.clock.now_ms());
    one.site.lock().unwrap().faults.remove(down);
    one.drained(Destination::Crm, 4_000).await;
    running.stop().await;
    let sent = one.site.lock().unwrap().log.requests(Host::Bitrix24) - before;
    let at: Vec<u64> = {
        let site = one.site.lock().unwrap();
        site.log.calls().filter(|call| call.service == Host::Bitrix24 && call.at_ms >= from).map(|call| call.at_ms).collect()
    };
    let seconds = (at[at.len() - 1] - at[0]) as f64 / 1_000.0;
    let (a_pass, used) = (sent as f64 / passes as f64, at.len() as f64 / (50.0 + 2.0 * seconds));
    println!("{sent} requests in {seconds} s of virtual time: {a_pass} a pass, {used} of the allowance; {}", one.state()["limits"]);
    assert_eq!(one.state()["limits"]["breaches"], 0);
    let lines = one.state()["timeline"].as_array().unwrap().len();
    assert_eq!(lines, passes, "a line for each pass");
    assert!(a_pass <= 0.05 && used >= 0.95, "{a_pass} requests a pass, {used} of the allowance");
}
