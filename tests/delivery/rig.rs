//! A box without a box: the real lanes, runners and Lime courier over a journal in memory, the sandbox's Lime and a CRM, all in virtual time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limegate::clock::{Clock, SharedClock};
use limegate::config::Delivery;
use limegate::delivery::{Courier, Limit, Parts, Remote, Remotes, Runner};
use limegate::domain::{Direction, GateId, Medium, MediumKind, Pass, PassageState, Personal, Secret, Seq, ServicePointId, Stamp};
use limegate::http::{Answer, Authorizer, Bearer, BoxFuture, Endpoint, Exchange, Failure, NoAuthorization, Request, Transport};
use limegate::journal::{Destination, Record, Store};
use limegate::lime::LimeCourier;
use limegate::status::Hub;
use sandbox::{Site, What};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

use crate::clock::VirtualClock;
use crate::crm::{FakeCourier, FakeCrm};
use crate::store::{MemoryStore, POLICY};

/// What it is made of, and what a test may turn.
pub struct Rig {
    pub clock: Arc<VirtualClock>,
    /// What the gateway sees of it.
    pub shown: SharedClock,
    pub store: Arc<MemoryStore>,
    pub site: Arc<Mutex<Site>>,
    pub crm: Arc<Mutex<FakeCrm>>,
    pub hub: Arc<Hub>,
    pub settings: Delivery,
    pub lime_limit: Limit,
    /// One way, at most, milliseconds.
    pub latency_ms: u64,
    pub media: Vec<Medium>,
    pub chance: fastrand::Rng,
    /// Passes in the order in which they became durable, with when.
    pub made: Vec<(Uuid, Seq, u64)>,
    pub world: World,
    next_id: u128,
}

/// Which CRM there is.
#[derive(Clone)]
pub enum World {
    /// The one of these tests, which is worse than the real ones.
    Fake,
    /// One of the sandbox's, with what its paths begin with, its courier and its authorisation.
    Sandbox(sandbox::Host, String, Arc<dyn Courier>, Arc<dyn Authorizer>),
}

/// A gateway that runs.
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// As SIGTERM.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    /// As SIGKILL: whatever was under way is cut off where it stands.
    pub async fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

impl Rig {
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut chance = fastrand::Rng::with_seed(seed);
        let site = Site::new(chance.u64(..));
        let media = site.lime.media().into_iter().map(|medium| Medium {
            kind: serde_json::from_value(serde_json::json!(medium.kind)).unwrap(),
            value: Personal::new(medium.value),
            raw: None,
            format: "test".into(),
        });
        let media = media.filter(|medium| medium.kind == MediumKind::CardUid).collect();
        let clock = Arc::new(VirtualClock::new());
        Self {
            shown: clock.clone(),
            clock,
            store: Arc::new(MemoryStore::new()),
            crm: Arc::new(Mutex::new(FakeCrm::new(chance.u64(..)))),
            hub: Arc::new(Hub::default()),
            settings: Delivery {
                settle_window: Duration::from_secs(120),
                backoff_base: Duration::from_secs(1),
                backoff_cap: Duration::from_secs(300),
                crm_rate: 7.0,
                crm_burst: 7,
                drain: Duration::from_secs(5),
            },
            lime_limit: Limit::of(50.0, 50),
            latency_ms: 20,
            media,
            site: Arc::new(Mutex::new(site)),
            chance,
            made: Vec::new(),
            world: World::Fake,
            next_id: 1 << 100,
        }
    }

    /// Makes a pass durable, as the intake does.
    pub async fn pass(&mut self) -> Uuid {
        let medium = self.chance.choice(&self.media).unwrap().clone();
        self.take(medium, "sp-4").await
    }

    /// A pass at another service point.
    pub async fn pass_at(&mut self, point: &str) -> Uuid {
        let medium = self.chance.choice(&self.media).unwrap().clone();
        self.take(medium, point).await
    }

    pub async fn pass_of(&mut self, medium: Medium) -> Uuid {
        self.take(medium, "sp-4").await
    }

    /// A pass as some boot of this box stamped it.
    pub async fn pass_stamped(&mut self, stamp: Stamp) -> Uuid {
        let medium = self.chance.choice(&self.media).unwrap().clone();
        self.take_at(medium, "sp-4", stamp).await
    }

    async fn take(&mut self, medium: Medium, point: &str) -> Uuid {
        self.take_at(medium, point, self.shown.stamp()).await
    }

    async fn take_at(&mut self, medium: Medium, point: &str, stamp: Stamp) -> Uuid {
        self.next_id += 1;
        let id = Uuid::from_u128(self.next_id);
        let pass = Pass {
            id,
            number: 0,
            gate: GateId::from("n1"),
            service_point: ServicePointId::from(point),
            direction: Direction::In,
            medium,
            device: None,
            passage: PassageState::Unknown,
            stamp,
            device_ms: None,
            test: false,
            door: None,
        };
        let appended = self.store.append(vec![Record::Pass(pass)]).await.unwrap();
        self.made.push((id, appended.first, self.clock.now_ms()));
        id
    }

    /// Starts both runners on what the journal holds.
    pub fn start(&mut self) -> Running {
        let (stop, stopped) = watch::channel(false);
        let clock = self.shown.clone();
        let backoff = (self.settings.backoff_base, self.settings.backoff_cap);
        let lime = Arc::new(Remote::new(self.lime_endpoint(), self.lime_limit, backoff, clock.clone(), self.chance.fork()));
        let (endpoint, crm_courier) = self.crm_endpoint();
        let crm_limit = Limit::of(self.settings.crm_rate, self.settings.crm_burst);
        let crm = Arc::new(Remote::new(endpoint, crm_limit, backoff, clock.clone(), self.chance.fork()));
        let remotes = Remotes { lime, crm: Some(crm) };
        let lime_courier = LimeCourier::new("box", self.clock.stamp().boot, jiff::tz::TimeZone::UTC);
        let couriers: [Arc<dyn Courier>; 2] = [Arc::new(lime_courier), crm_courier];
        let tasks = couriers.map(|courier| {
            let parts = Parts {
                store: self.store.clone(),
                courier,
                remotes: remotes.clone(),
                clock: clock.clone(),
                hub: self.hub.clone(),
                settings: self.settings.clone(),
                policy: POLICY,
                chance: self.chance.fork(),
            };
            tokio::spawn(Runner::new(parts).run(stopped.clone()))
        });
        Running { stop, tasks: tasks.into() }
    }

    fn sandbox_line(&mut self, host: sandbox::Host, base: &str) -> Arc<SandboxLine> {
        let (site, clock, chance) = (self.site.clone(), self.clock.clone(), Mutex::new(self.chance.fork()));
        Arc::new(SandboxLine { host, base: base.to_owned(), site, clock, latency_ms: self.latency_ms, chance })
    }

    fn lime_endpoint(&mut self) -> Endpoint {
        let token = Secret::new(self.site.lock().unwrap().lime.token());
        Endpoint::new(self.sandbox_line(sandbox::Host::Lime, "/gw/v1"), Arc::new(Bearer::refused_by_forbidden(token)))
    }

    /// The CRM's endpoint and its courier.
    pub fn crm_endpoint(&mut self) -> (Endpoint, Arc<dyn Courier>) {
        match self.world.clone() {
            World::Fake => {
                let (crm, clock, chance) = (self.crm.clone(), self.clock.clone(), Mutex::new(self.chance.fork()));
                let line = FakeLine { crm, clock, latency_ms: self.latency_ms, chance };
                (Endpoint::new(Arc::new(line), Arc::new(NoAuthorization)), Arc::new(FakeCourier { batch: 50 }))
            }
            World::Sandbox(host, base, courier, authorizer) => (Endpoint::new(self.sandbox_line(host, &base), authorizer), courier),
        }
    }

    /// Waits, at most `seconds` of virtual time, until nothing waits anywhere.
    pub async fn drained(&self, seconds: u64) {
        for _ in 0..seconds * 4 {
            if Destination::ALL.iter().all(|to| self.store.pending_count(*to) == 0) {
                return;
            }
            sleep(Duration::from_millis(250)).await;
        }
        let left: Vec<String> = Destination::ALL.iter().map(|to| format!("{}: {}", to.name(), self.store.pending_count(*to))).collect();
        panic!("not drained after {seconds} s: {left:?}; {:#?}", self.hub.snapshot().destinations);
    }

    /// Lets late commits come about.
    pub async fn settled(&self) {
        sleep(Duration::from_secs(600)).await;
        let now = self.clock.now_ms();
        self.crm.lock().unwrap().settle(now);
        self.site.lock().unwrap().settle(now, self.clock.stamp().wall_ms);
    }

    /// Passes that Lime does not have, and those it has charged more than once.
    pub fn lime_books(&self) -> (usize, usize) {
        let state = self.site.lock().unwrap().lime.state();
        let held = state["write_offs"].as_object().unwrap();
        let lost = self.made.iter().filter(|(id, ..)| !held.contains_key(&id.to_string())).count();
        let doubled = held.values().filter(|one| one["applied"].as_u64().unwrap() > 1).count();
        (lost, doubled + held.len().saturating_sub(self.made.len()))
    }

    /// Passes without a deal, deals beyond the first of a pass.
    pub fn crm_books(&self) -> (usize, usize) {
        let crm = self.crm.lock().unwrap();
        let mut count: HashMap<&str, usize> = HashMap::new();
        for deal in &crm.deals {
            *count.entry(&deal.key).or_default() += 1;
        }
        let lost = self.made.iter().filter(|(id, ..)| !count.contains_key(id.to_string().as_str())).count();
        (lost, count.values().map(|count| count - 1).sum())
    }

    /// Pairs of one card that arrived in the wrong order: at Lime by its transactions, in the CRM by its deals.
    pub fn inversions(&self) -> (usize, usize) {
        let mut at_lime: BTreeMap<u64, Seq> = BTreeMap::new();
        let mut cards: HashMap<Seq, String> = HashMap::new();
        for entry in self.store.log() {
            match entry.record {
                Record::Pass(pass) => {
                    cards.insert(entry.seq, pass.medium.value.reveal().to_owned());
                }
                Record::WriteOff(write_off) => {
                    let id = write_off.transaction_id.as_deref().and_then(|id| id.strip_prefix("tr-")).and_then(|id| id.parse().ok());
                    at_lime.extend(id.map(|id| (id, write_off.pass_seq)));
                }
                _ => {}
            }
        }
        let lime = inversions(at_lime.values().map(|seq| (cards[seq].clone(), *seq)));
        let crm = self.crm.lock().unwrap();
        let mut seen = BTreeSet::new();
        let first = crm.deals.iter().filter(|deal| seen.insert(deal.key.clone()));
        (lime, inversions(first.map(|deal| (deal.order.to_string(), deal.seq))))
    }
}

fn inversions(arrivals: impl Iterator<Item = (String, Seq)>) -> usize {
    let mut newest: HashMap<String, Seq> = HashMap::new();
    let mut count = 0;
    for (key, seq) in arrivals {
        let newest = newest.entry(key).or_default();
        count += usize::from(seq < *newest);
        *newest = seq.max(*newest);
    }
    count
}

/// One way through the network.
async fn wander(chance: &Mutex<fastrand::Rng>, latency_ms: u64) {
    let ms = chance.lock().unwrap().u64(0..=latency_ms);
    sleep(Duration::from_millis(ms)).await;
}

/// One service of the sandbox, in-process.
struct SandboxLine {
    host: sandbox::Host,
    base: String,
    site: Arc<Mutex<Site>>,
    clock: Arc<VirtualClock>,
    latency_ms: u64,
    chance: Mutex<fastrand::Rng>,
}

impl Transport for SandboxLine {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            let timeout = request.timeout;
            let exchange = async {
                wander(&self.chance, self.latency_ms).await;
                let mut plain = http::Request::builder().method(request.method.clone()).uri(format!("{}{}", self.base, request.path));
                for (name, value) in &request.headers {
                    plain = plain.header(name, value);
                }
                plain = plain.header("content-type", "application/json");
                let plain = plain.body(request.body.clone().unwrap_or_default()).unwrap();
                let outcome = self.site.lock().unwrap().call(self.host, self.clock.now_ms(), self.clock.stamp().wall_ms, plain);
                sleep(Duration::from_millis(outcome.after_ms)).await;
                wander(&self.chance, self.latency_ms).await;
                match outcome.what {
                    What::Whole(response) => {
                        let (head, body) = response.into_parts();
                        Ok(Answer { status: head.status, headers: head.headers, body })
                    }
                    What::Refused => Err(Failure::NotSent("refused".into())),
                    What::Cut { .. } | What::Reset => Err(Failure::Unknown("reset".into())),
                    What::Hang => std::future::pending().await,
                }
            };
            tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| Err(Failure::Unknown("timeout".into())))
        })
    }
}

struct FakeLine {
    crm: Arc<Mutex<FakeCrm>>,
    clock: Arc<VirtualClock>,
    latency_ms: u64,
    chance: Mutex<fastrand::Rng>,
}

impl Transport for FakeLine {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            wander(&self.chance, self.latency_ms).await;
            let exchange = self.crm.lock().unwrap().call(self.clock.now_ms(), &request);
            wander(&self.chance, self.latency_ms).await;
            exchange
        })
    }
}
