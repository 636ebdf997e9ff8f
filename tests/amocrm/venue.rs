//! A venue in virtual time: the real runners and couriers, the sandbox's Lime and amoCRM, a journal in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use limegate::clock::{Clock, SharedClock};
use limegate::config::{self, Delivery};
use limegate::crm::amocrm::{AmoCourier, setup};
use limegate::crm::setup::{Mode, Plan, drive};
use limegate::delivery::{Courier, Limit, Parts, Remote, Remotes, Runner};
use limegate::domain::{Direction, GateId, Medium, MediumKind, Pass, PassageState, Personal, Secret, ServicePointId};
use limegate::feed::{self, Feed};
use limegate::flow::contacts::Keyer;
use limegate::gateway::sweep;
use limegate::http::{Answer, Bearer, BoxFuture, Endpoint, Exchange, Failure, Request, Transport};
use limegate::journal::{Destination, Learned, Record, Settled, Store};
use limegate::lime::LimeCourier;
use limegate::lime::feed::{Kind, LimeFeed};
use limegate::status::Hub;
use sandbox::{Host, Site, What};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

use crate::clock::VirtualClock;
use crate::hand::{self, texts};
use crate::store::{MemoryStore, POLICY};

/// The venue.
pub struct Venue {
    pub site: Arc<Mutex<Site>>,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<VirtualClock>,
    pub hub: Arc<Hub>,
    pub chance: fastrand::Rng,
    pub made: Vec<Uuid>,
    /// What of the integration the box runs.
    pub integration: Option<config::Hub>,
    media: Vec<Medium>,
}

/// The box's key for marks.
pub fn keyer() -> Keyer {
    Keyer::new(&[7; 32])
}

/// A gateway that runs.
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    /// As SIGKILL.
    pub async fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

impl Venue {
    /// An account that was set up.
    pub async fn new(seed: u64) -> Self {
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
        let venue = Self {
            site: Arc::new(Mutex::new(site)),
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(VirtualClock::new()),
            hub: Arc::new(Hub::default()),
            chance,
            made: Vec::new(),
            integration: None,
            media,
        };
        assert!(venue.set_up(Mode::Apply).await.is_complete());
        // The gateway begins with a full bucket, and setup has just used the account.
        sleep(Duration::from_secs(2)).await;
        // What comes late comes when it is due, and not when somebody next calls.
        let (site, clock) = (Arc::clone(&venue.site), Arc::clone(&venue.clock));
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(500)).await;
                site.lock().unwrap().settle(clock.now_ms(), clock.stamp().wall_ms);
            }
        });
        venue
    }

    /// `limegate crm setup`.
    pub async fn set_up(&self, mode: Mode) -> Plan {
        drive(&self.amocrm(), &mut setup::errand(hand::config(), texts(), mode)).await.unwrap()
    }

    fn amocrm(&self) -> Endpoint {
        let token = Secret::new(self.site.lock().unwrap().amocrm.long_lived_token());
        Endpoint::new(self.line(Host::Amocrm, ""), Arc::new(Bearer::new(token)))
    }

    fn line(&self, host: Host, prefix: &'static str) -> Arc<dyn Transport> {
        Arc::new(Line { host, prefix, site: self.site.clone(), clock: self.clock.clone(), chance: Mutex::new(fastrand::Rng::with_seed(7)) })
    }

    /// Makes a pass durable.
    pub async fn pass(&mut self) {
        let medium = self.chance.choice(&self.media).unwrap().clone();
        let id = Uuid::from_u128((1 << 100) + self.made.len() as u128);
        let pass = Pass {
            id,
            number: 0,
            gate: GateId::from("n1"),
            service_point: ServicePointId::from("sp-4"),
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

    /// Lines of the ledger, as `limegate sync run` and the feeds write them.
    pub async fn learn(&self, learned: Vec<Learned>) {
        self.store
            .append(vec![Record::Settled(Settled { to: Destination::Crm, items: Vec::new(), learned, stamp: self.clock.stamp() })])
            .await
            .unwrap();
    }

    /// The wall time, milliseconds since 1970 UTC.
    pub fn wall_ms(&self) -> i64 {
        self.clock.stamp().wall_ms
    }

    pub fn start(&mut self) -> Running {
        let (stop, stopped) = watch::channel(false);
        let clock: SharedClock = self.clock.clone();
        let backoff = (Duration::from_secs(1), Duration::from_secs(300));
        let token = Secret::new(self.site.lock().unwrap().lime.token());
        let lime = Endpoint::new(self.line(Host::Lime, "/gw/v1"), Arc::new(Bearer::refused_by_forbidden(token)));
        let remotes = Remotes {
            lime: Arc::new(Remote::new(lime, Limit::of(limegate::lime::RATE, limegate::lime::BURST), backoff, clock.clone(), self.chance.fork())),
            crm: Some(Arc::new(Remote::new(self.amocrm(), Limit::of(7.0, 7), backoff, clock.clone(), self.chance.fork()))),
        };
        let settings = Delivery {
            settle_window: Duration::from_secs(120),
            backoff_base: backoff.0,
            backoff_cap: backoff.1,
            crm_rate: 7.0,
            crm_burst: 7,
            drain: Duration::from_secs(5),
        };
        let lime = LimeCourier::new("box", self.clock.stamp().boot, jiff::tz::TimeZone::UTC);
        let amocrm = AmoCourier::new(hand::config(), self.integration.clone(), texts()).with_marks(Some(keyer()));
        let couriers: [Arc<dyn Courier>; 2] = [Arc::new(lime), Arc::new(amocrm)];
        let mut tasks = Vec::new();
        for feed in self.feeds() {
            let remote = if feed.host() == limegate::delivery::Host::Lime { Some(&remotes.lime) } else { remotes.crm.as_ref() };
            let parts = feed::Parts {
                store: self.store.clone(),
                remote: Arc::clone(remote.unwrap()),
                courier: Arc::clone(&couriers[1]),
                hub: self.hub.clone(),
                clock: clock.clone(),
                hint: feed::Hint::default(),
                chance: self.chance.fork(),
            };
            tasks.push(tokio::spawn(feed::run(feed, parts, stopped.clone())));
        }
        tasks.extend(couriers.map(|courier| {
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
        }));
        Running { stop, tasks }
    }

    /// The nightly sweep, on what the journal holds.
    pub fn sweep(&mut self) -> Running {
        let (stop, stopped) = watch::channel(false);
        let clock: SharedClock = self.clock.clone();
        let backoff = (Duration::from_secs(1), Duration::from_secs(300));
        let parts = sweep::Parts {
            store: self.store.clone(),
            remote: Arc::new(Remote::new(self.amocrm(), Limit::of(7.0, 7), backoff, clock.clone(), self.chance.fork())),
            courier: Arc::new(AmoCourier::new(hand::config(), None, texts())),
            searches: Arc::new(limegate::crm::amocrm::audit::search),
            hub: self.hub.clone(),
            clock,
            zone: jiff::tz::TimeZone::UTC,
            settle_window: Duration::from_secs(120),
            gap: Duration::from_millis(286),
        };
        Running { stop, tasks: vec![tokio::spawn(sweep::run(parts, stopped))] }
    }

    fn feeds(&self) -> Vec<Box<dyn Feed>> {
        let Some(hub) = &self.integration else { return Vec::new() };
        let mut feeds = limegate::crm::amocrm::feeds(hub, Some(&keyer()), &texts());
        feeds.push(Box::new(LimeFeed::new(Kind::Clients)));
        feeds
    }

    /// Lime is asked something, past the gateway.
    pub fn ask_lime(&self, path: &str) -> Value {
        let mut site = self.site.lock().unwrap();
        let request = http::Request::get(path).header("authorization", format!("Bearer {}", site.lime.token())).body(bytes::Bytes::new()).unwrap();
        let What::Whole(response) = site.call(Host::Lime, self.clock.now_ms(), self.clock.stamp().wall_ms, request).what else { panic!("no answer") };
        serde_json::from_slice(response.body()).unwrap()
    }

    /// A cashier or a manager does something.
    pub fn act(&self, host: Host, action: &str, body: &Value) -> Value {
        let (now, wall) = (self.clock.now_ms(), self.clock.stamp().wall_ms);
        self.site.lock().unwrap().act(host, action, now, wall, body).unwrap_or_else(|message| panic!("{action}: {message}"))
    }

    /// Waits, at most `seconds` of virtual time, until nothing waits for a destination.
    pub async fn drained(&self, to: &[Destination], seconds: u64) {
        for _ in 0..seconds * 4 {
            if to.iter().all(|to| self.store.pending_count(*to) == 0) {
                return;
            }
            sleep(Duration::from_millis(250)).await;
        }
        panic!("not drained after {seconds} s: {:#?}", self.hub.snapshot().destinations);
    }

    /// amoCRM's own books, after everything that comes late has come.
    pub async fn books(&self) -> Books {
        sleep(Duration::from_secs(600)).await;
        let mut site = self.site.lock().unwrap();
        site.settle(self.clock.now_ms(), self.clock.stamp().wall_ms);
        let state = site.state(Host::Amocrm);
        let leads = &state["leads_by_key"]["LIME_EVENT_UID"];
        let doubled = |of: &str, code: &str| state[of][code].as_object().map_or(0, |doubled| doubled.len());
        Books {
            lost: self.made.iter().filter(|id| leads[id.to_string()].is_null()).count(),
            leads_doubled: doubled("leads_doubled", "LIME_EVENT_UID"),
            contacts_doubled: doubled("contacts_doubled", "LIME_CLIENT_ID"),
            dead: self.store.dead(Destination::Crm).len(),
            breaches: state["limits"]["breaches"].as_u64().unwrap(),
            state,
        }
    }
}

/// What amoCRM holds, against what was made.
pub struct Books {
    pub lost: usize,
    pub leads_doubled: usize,
    pub contacts_doubled: usize,
    pub dead: usize,
    pub breaches: u64,
    pub state: Value,
}

impl Books {
    pub fn balance(&self) {
        let found = (self.lost, self.leads_doubled, self.contacts_doubled, self.dead, self.breaches);
        if self.contacts_doubled > 0 {
            println!("{:#}", self.state["contacts_doubled"]["LIME_CLIENT_ID"]);
        }
        assert_eq!(found, (0, 0, 0, 0, 0), "lost, leads doubled, contacts doubled, dead letters, breaches of the limit");
    }
}

struct Line {
    host: Host,
    prefix: &'static str,
    site: Arc<Mutex<Site>>,
    clock: Arc<VirtualClock>,
    chance: Mutex<fastrand::Rng>,
}

impl Line {
    async fn wander(&self) {
        let ms = self.chance.lock().unwrap().u64(0..=20);
        sleep(Duration::from_millis(ms)).await;
    }
}

impl Transport for Line {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            let timeout = request.timeout;
            let exchange = async {
                self.wander().await;
                let mut plain = http::Request::builder().method(request.method.clone()).uri(format!("{}{}", self.prefix, request.path));
                for (name, value) in &request.headers {
                    plain = plain.header(name, value);
                }
                let plain = plain.body(request.body.clone().unwrap_or_default()).unwrap();
                let since = self.clock.now_ms();
                let held = || self.site.lock().unwrap().held_ms(self.host, &plain).is_some_and(|held| self.clock.now_ms() < since + held);
                while held() {
                    sleep(Duration::from_millis(500)).await;
                }
                let outcome = self.site.lock().unwrap().call(self.host, self.clock.now_ms(), self.clock.stamp().wall_ms, plain);
                sleep(Duration::from_millis(outcome.after_ms)).await;
                self.wander().await;
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
