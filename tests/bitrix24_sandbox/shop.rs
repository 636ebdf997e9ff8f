//! A venue whose box runs the integration: jobs are told to a journal in memory and delivered to the sandbox in virtual time.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use limegate::clock::{Clock, SharedClock};
use limegate::config::{Bitrix24, BitrixAuth, CrmKind, Delivery, Hub, Language, PassesAs, SecretSource};
use limegate::crm::bitrix24::auth::{App, Webhook};
use limegate::crm::bitrix24::{Bitrix24Courier, feeds, setup};
use limegate::crm::setup::{Ask, Dialogue, Mode as Setup, Plan};
use limegate::crm::texts::Texts;
use limegate::crm::tokens::{Pair, TokenStore};
use limegate::delivery::{Courier, Limit, Parts, Remote, Remotes, Runner};
use limegate::domain::{Change, Secret, Told};
use limegate::feed;
use limegate::flow::contacts::Keyer;
use limegate::http::{Answer, Bearer, Endpoint};
use limegate::journal::{Destination, LedgerKey, Record, Store};
use limegate::lime::feed::{Kind, LimeFeed};
use limegate::status;
use sandbox::faults::{Mode, Rule};
use sandbox::{Host, Site, What};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use super::clock::VirtualClock;
use super::held::Elsewhere;
use super::store::{MemoryStore, POLICY};
use super::{Cable, Running};

pub struct Shop {
    pub clock: Arc<VirtualClock>,
    pub store: Arc<MemoryStore>,
    pub site: Arc<Mutex<Site>>,
    pub hub: Hub,
    pub chance: fastrand::Rng,
    /// The portal is reached as a local app, which keeps its tokens here; else by a webhook.
    pub app: Option<tempfile::TempDir>,
    /// `crm setup` is asked for pipelines and stages, too.
    pub funnels: bool,
    /// Feeds of Lime's that run beside the portal's.
    pub lime_feeds: Vec<Kind>,
    told: u64,
}

pub fn portal() -> Bitrix24 {
    Bitrix24 { auth: BitrixAuth::Webhook(SecretSource::Env("X".to_owned())), passes: PassesAs::Timeline }
}

/// The box's key for marks.
pub fn keyer() -> Keyer {
    Keyer::new(&[7; 32])
}

/// What is usual for Bitrix24.
pub fn usual() -> Hub {
    Hub::usual(&CrmKind::Bitrix24(portal()), Language::Ru)
}

fn zone() -> TimeZone {
    TimeZone::get("Asia/Yekaterinburg").unwrap()
}

impl Shop {
    pub fn bare(seed: u64, hub: Hub) -> Self {
        let mut site = Site::new(seed);
        site.lime.add_clients(20);
        Self {
            clock: Arc::new(VirtualClock::new()),
            store: Arc::new(MemoryStore::new()),
            site: Arc::new(Mutex::new(site)),
            hub,
            chance: fastrand::Rng::with_seed(seed),
            app: None,
            funnels: true,
            lime_feeds: Vec::new(),
            told: 0,
        }
    }

    /// With a portal that `crm setup` has made ready.
    pub fn new(seed: u64, hub: Hub) -> Self {
        let one = Self::bare(seed, hub);
        let plan = one.setup(Setup::Apply);
        assert!(plan.is_complete(), "{}", plan.table(Language::Ru));
        one
    }

    pub fn cable(&self, host: Host) -> Cable {
        let site = self.site.lock().unwrap();
        let base = match host {
            Host::Lime => "/gw/v1".to_owned(),
            _ => site.bitrix24.webhook().trim_end_matches('/').strip_prefix("https://bitrix24.sandbox").unwrap().to_owned(),
        };
        Cable { site: Arc::clone(&self.site), clock: Arc::clone(&self.clock), host, base }
    }

    /// What the box's ledger knows of the portal's places.
    fn known(&self) -> Option<String> {
        self.store.ledger(&setup::known_key(&self.hub))
    }

    pub fn setup(&self, mode: Setup) -> Plan {
        let cable = self.cable(Host::Bitrix24);
        let needs = setup::Needs { passes: PassesAs::Timeline, hub: Some(self.hub.clone()), funnels: self.funnels, known: self.known() };
        let mut errand = setup::errand(needs, Texts::new(Language::Ru, zone()), "sandbox".to_owned(), mode);
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

    /// A feed has told of this.
    pub async fn tell(&mut self, told: Told) {
        self.told += 1;
        let stamp = self.clock.stamp();
        let change = Change { told, version: self.told.to_string(), changed_ms: stamp.wall_ms, origin: None, back_fill: false, stamp };
        self.store.append(vec![Record::Change(change)]).await.unwrap();
    }

    fn remotes(&mut self) -> Remotes {
        let clock: SharedClock = self.clock.clone();
        let backoff = (Duration::from_secs(1), Duration::from_secs(300));
        let token = Secret::new(self.site.lock().unwrap().lime.token());
        let lime = Endpoint::new(Arc::new(self.cable(Host::Lime)), Arc::new(Bearer::refused_by_forbidden(token)));
        let crm = match &self.app {
            None => Endpoint::new(Arc::new(self.cable(Host::Bitrix24)), Arc::new(Webhook)),
            Some(home) => {
                Endpoint::new(Arc::new(Cable { base: "/rest".to_owned(), ..self.cable(Host::Bitrix24) }), Arc::new(self.authorizer(home.path())))
            }
        };
        Remotes {
            lime: Arc::new(Remote::new(lime, Limit::of(limegate::lime::RATE, limegate::lime::BURST), backoff, clock.clone(), self.chance.fork())),
            crm: Some(Arc::new(Remote::new(crm, Limit::of(2.0, 50), backoff, clock, self.chance.fork()))),
        }
    }

    fn authorizer(&self, home: &Path) -> App {
        let given = self.site.lock().unwrap().bitrix24.app();
        let text = |key: &str| given[key].as_str().unwrap().to_owned();
        let pair = Pair { access: text("access_token"), refresh: text("refresh_token"), expires: 0 };
        let server = Arc::new(Cable { base: String::new(), ..self.cable(Host::Bitrix24) });
        let store = TokenStore::new(home, "bitrix24");
        let pair = store.load().unwrap().unwrap_or(pair);
        App::new(store, pair, server, text("client_id"), Secret::new(text("client_secret")))
    }

    /// The portal as the config names it.
    fn named(&self) -> Bitrix24 {
        let secret = SecretSource::Env("X".to_owned());
        let auth = match &self.app {
            None => BitrixAuth::Webhook(secret),
            Some(_) => {
                let (portal, token_server) = ("https://bitrix24.sandbox".to_owned(), "https://bitrix24.sandbox".to_owned());
                BitrixAuth::OAuth { portal, token_server, client_id: "local".to_owned(), client_secret: secret }
            }
        };
        Bitrix24 { auth, ..portal() }
    }

    /// Starts delivery to the CRM, and the CRM's own feeds if they are wanted.
    pub fn start(&mut self, with_feeds: bool) -> Running {
        let (stop, stopped) = watch::channel(false);
        let clock: SharedClock = self.clock.clone();
        let remotes = self.remotes();
        let courier: Arc<dyn Courier> =
            Arc::new(Bitrix24Courier::new(&portal(), Language::Ru, zone()).with_hub(Some(self.hub.clone())).with_marks(Some(keyer())));
        let settings = Delivery {
            settle_window: Duration::from_secs(120),
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(300),
            crm_rate: 2.0,
            crm_burst: 50,
            drain: Duration::from_secs(5),
        };
        let parts = Parts {
            store: Arc::new(Elsewhere(Arc::clone(&self.store))),
            courier: Arc::clone(&courier),
            remotes: remotes.clone(),
            clock: clock.clone(),
            hub: Arc::new(status::Hub::default()),
            settings,
            policy: POLICY,
            chance: self.chance.fork(),
        };
        let mut tasks = vec![tokio::spawn(Runner::new(parts).run(stopped.clone()))];
        if with_feeds {
            let of_lime = self.lime_feeds.iter().map(|kind| Box::new(LimeFeed::new(*kind)) as Box<dyn feed::Feed>);
            for one in feeds(&self.named(), &self.hub, Some(&keyer())).into_iter().chain(of_lime) {
                let parts = feed::Parts {
                    store: Arc::new(Elsewhere(Arc::clone(&self.store))),
                    remote: Arc::clone(if one.host() == limegate::delivery::Host::Lime { &remotes.lime } else { remotes.crm.as_ref().unwrap() }),
                    courier: Arc::clone(&courier),
                    hub: Arc::new(status::Hub::default()),
                    clock: clock.clone(),
                    hint: feed::Hint::default(),
                    chance: self.chance.fork(),
                };
                tasks.push(tokio::spawn(feed::run(one, parts, stopped.clone())));
            }
        }
        Running(stop, tasks)
    }

    pub async fn drained(&self) {
        for _ in 0..200_000 {
            if self.store.pending_count(Destination::Crm) == 0 {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
        panic!("{} left", self.store.pending_count(Destination::Crm));
    }

    /// Delivers all that was told, and says how many requests to the portal that took.
    pub async fn deliver(&mut self) -> u64 {
        let before = self.requests();
        let running = self.start(false);
        self.drained().await;
        running.stop().await;
        assert!(self.store.dead(Destination::Crm).is_empty(), "{:?}", self.store.dead(Destination::Crm));
        self.requests() - before
    }

    pub fn requests(&self) -> u64 {
        self.site.lock().unwrap().log.requests(Host::Bitrix24)
    }

    pub fn state(&self) -> Value {
        self.site.lock().unwrap().state(Host::Bitrix24)
    }

    /// A manager does something in the interface.
    pub fn act(&self, host: Host, action: &str, body: &Value) -> Value {
        let (now, wall) = (self.clock.now_ms(), self.clock.stamp().wall_ms);
        self.site.lock().unwrap().act(host, action, now, wall, body).unwrap_or_else(|message| panic!("{action}: {message}"))
    }

    /// The portal is asked something, past the gateway.
    pub fn ask(&self, method: &str, parameters: &Value) -> Value {
        let cable = self.cable(Host::Bitrix24);
        let request = limegate::http::Request::json(http::Method::POST, format!("/{method}"), parameters, "test");
        let What::Whole(response) = cable.call(&request).what else { panic!("no answer") };
        serde_json::from_slice::<Value>(response.body()).unwrap()
    }

    pub fn ledger(&self, kind: &str, key: &str) -> Option<String> {
        self.store.ledger(&LedgerKey { kind: kind.to_owned(), key: key.to_owned() })
    }

    /// Six ways in which a line may misbehave, each for this share of requests.
    pub fn misbehave(&self, probability: f64) {
        for (at, mode) in [
            Mode::DropAfterCommit,
            Mode::DropBeforeCommit,
            Mode::HalfAnswer,
            Mode::BadGateway { committed: true },
            Mode::BadGateway { committed: false },
            Mode::RateLimited { retry_after_s: None },
        ]
        .into_iter()
        .enumerate()
        {
            let rule = Rule {
                service: Some(Host::Bitrix24),
                method: None,
                path: None,
                body: None,
                count: None,
                probability: Some(probability),
                seed: Some(at as u64 + self.told),
                after: 0,
                for_ms: None,
                mode,
            };
            let now = self.clock.now_ms();
            self.site.lock().unwrap().faults.set(now, rule);
        }
    }
}

/// The objects of a list in the sandbox's state.
pub fn rows<'a>(state: &'a Value, path: &str) -> Vec<&'a Value> {
    match state.pointer(path) {
        Some(Value::Array(rows)) => rows.iter().collect(),
        Some(Value::Object(rows)) => rows.values().collect(),
        _ => Vec::new(),
    }
}

/// The one object of a list whose field has this value.
pub fn one<'a>(state: &'a Value, path: &str, field: &str, value: &Value) -> &'a Value {
    let found: Vec<&Value> = rows(state, path).into_iter().filter(|row| row[field] == *value).collect();
    assert_eq!(found.len(), 1, "{path} with {field} = {value}: {found:?}");
    found[0]
}
