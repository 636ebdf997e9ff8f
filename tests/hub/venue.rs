//! A venue whose box runs the integration: the real feeds, runners and couriers, a journal in memory, and the sandbox on the other end of each line.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use limegate::clock::{Clock, SharedClock};
use limegate::config::{Config, CrmKind, Delivery, Environment};
use limegate::crm::bitrix24::auth::Webhook;
use limegate::crm::setup::{Ask, Dialogue, Mode};
use limegate::crm::texts::Texts;
use limegate::crm::{amocrm, bitrix24};
use limegate::delivery::{Courier, Limit, Parts, Remote, Remotes, Runner};
use limegate::domain::Secret;
use limegate::feed;
use limegate::flow::contacts::Keyer;
use limegate::gateway;
use limegate::http::{Answer, Authorizer, Bearer, BoxFuture, Endpoint, Exchange, Failure, Request, Transport};
use limegate::journal::{Destination, Store};
use limegate::lime::LimeCourier;
use limegate::status::Hub;
use sandbox::{Host, Site, What};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::clock::VirtualClock;
use crate::store::{MemoryStore, POLICY};

pub struct Venue {
    pub site: Arc<Mutex<Site>>,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<VirtualClock>,
    pub config: Config,
    pub crm: Host,
    status: Arc<Hub>,
    running: Option<Running>,
}

struct Running {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// The config of a venue; `more` is the end of its `[hub]`.
fn config(crm: Host, more: &str) -> Config {
    let table = match crm {
        Host::Bitrix24 => "kind = \"bitrix24\"\nwebhook = { env = \"CRM\" }\npasses = \"timeline\"",
        _ => {
            "kind = \"amocrm\"\nurl = \"https://park.amocrm.ru\"\ntoken = { env = \"CRM\" }\n\
             passes = { pipeline = \"Проходы\", stage = \"Прошёл\" }"
        }
    };
    let text = format!(
        "[site]\nid = \"test-north\"\ntitle = \"Test\"\ntimezone = \"Europe/Moscow\"\n\
         [[gate]]\nid = \"n1\"\ntitle = \"Вход\"\nservice_point = \"sp-4\"\nreader = \"ironlogic-z2\"\nport = \"/dev/serial/by-id/usb-1\"\n\
         [lime]\nurl = \"https://lime.park.ru/gw/v1\"\ntoken = {{ env = \"LIME\" }}\n[crm]\n{table}\n\
         [hub]\nenabled = true\nclients = [\"registration\", \"change\", \"purchase\", \"pass\"]\n{more}\n"
    );
    let variables = ["CRM", "LIME"].map(|name| (name.to_owned(), Secret::new("https://park.bitrix24.ru/rest/1/x/"))).into();
    let environment = Environment { variables, ..Environment::of_process() };
    match limegate::config::from_bytes("test.toml".as_ref(), text.as_bytes(), &environment) {
        Ok((config, _)) => config,
        Err(mistakes) => panic!("{:#?}", mistakes.iter().map(|one| (one.code, &one.message)).collect::<Vec<_>>()),
    }
}

impl Venue {
    /// An account that `limegate crm setup` has made ready, on the venue's first day. The gateway is yet to be started.
    pub async fn ready(crm: Host, more: &str) -> Self {
        let mut site = Site::new(11);
        site.lime.first_day();
        let venue = Self {
            site: Arc::new(Mutex::new(site)),
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(VirtualClock::new()),
            config: config(crm, more),
            crm,
            status: Arc::new(Hub::default()),
            running: None,
        };
        venue.set_up().await;
        venue
    }

    async fn set_up(&self) {
        let endpoint = self.crm_endpoint();
        let texts = Texts::new(self.config.crm.language, self.config.site.timezone.clone());
        let hub = self.config.hub.clone();
        let mut errand: Box<dyn Dialogue> = match &self.config.crm.kind {
            CrmKind::AmoCrm(amo) => {
                let wish = amocrm::hub_setup::Wish { mode: Mode::Apply, funnels: true, known: None };
                Box::new(amocrm::hub_setup::errand(amo.clone(), hub, texts, wish))
            }
            CrmKind::Bitrix24(portal) => {
                let needs = bitrix24::setup::Needs { passes: portal.passes.clone(), hub, funnels: true, known: None };
                Box::new(bitrix24::setup::errand(needs, texts, "sandbox".to_owned(), Mode::Apply))
            }
        };
        let mut step = errand.next(None);
        loop {
            match step {
                Ask::Call(request) => {
                    sleep(Duration::from_millis(500)).await;
                    step = errand.next(Some(&endpoint.exchange(request).await.unwrap()));
                }
                Ask::Done(plan) => {
                    assert!(plan.is_complete(), "{}", plan.table(self.config.site.language));
                    return;
                }
                Ask::Failed(error) => panic!("{error}"),
            }
        }
    }

    fn line(&self, host: Host) -> Arc<dyn Transport> {
        let base = match host {
            Host::Lime => "/gw/v1".to_owned(),
            Host::Amocrm => String::new(),
            Host::Bitrix24 => {
                let webhook = self.site.lock().unwrap().bitrix24.webhook();
                webhook.trim_end_matches('/').strip_prefix("https://bitrix24.sandbox").unwrap().to_owned()
            }
        };
        Arc::new(Line { host, base, site: Arc::clone(&self.site), clock: Arc::clone(&self.clock) })
    }

    fn crm_endpoint(&self) -> Endpoint {
        let authorizer: Arc<dyn Authorizer> = match self.crm {
            Host::Bitrix24 => Arc::new(Webhook),
            _ => Arc::new(Bearer::new(Secret::new(self.site.lock().unwrap().amocrm.long_lived_token()))),
        };
        Endpoint::new(self.line(self.crm), authorizer)
    }

    /// Starts feeds and delivery on what the journal holds.
    pub fn start(&mut self) {
        assert!(self.running.is_none());
        let (stop, stopped) = watch::channel(false);
        let clock: SharedClock = self.clock.clone();
        let backoff = (Duration::from_secs(1), Duration::from_secs(300));
        let limit = if self.crm == Host::Bitrix24 { Limit::of(2.0, 50) } else { Limit::of(7.0, 7) };
        let token = Secret::new(self.site.lock().unwrap().lime.token());
        let lime = Endpoint::new(self.line(Host::Lime), Arc::new(Bearer::refused_by_forbidden(token)));
        let chance = || fastrand::Rng::with_seed(3);
        let remotes = Remotes {
            lime: Arc::new(Remote::new(lime, Limit::of(limegate::lime::RATE, limegate::lime::BURST), backoff, clock.clone(), chance())),
            crm: Some(Arc::new(Remote::new(self.crm_endpoint(), limit, backoff, clock.clone(), chance()))),
        };
        let gateway::Integration { courier, feeds } = gateway::integration(&self.config, Some(&Keyer::new(&[7; 32])));
        let settings = Delivery {
            settle_window: Duration::from_secs(120),
            backoff_base: backoff.0,
            backoff_cap: backoff.1,
            crm_rate: limit_rate(self.crm),
            crm_burst: if self.crm == Host::Bitrix24 { 50 } else { 7 },
            drain: Duration::from_secs(5),
        };
        let mut tasks = Vec::new();
        for one in feeds {
            let remote = match one.host() {
                limegate::delivery::Host::Lime => Arc::clone(&remotes.lime),
                limegate::delivery::Host::Crm => Arc::clone(remotes.crm.as_ref().unwrap()),
            };
            let parts = feed::Parts {
                store: self.store.clone(),
                remote,
                courier: Arc::clone(&courier),
                hub: Arc::clone(&self.status),
                clock: clock.clone(),
                hint: feed::Hint::default(),
                chance: chance(),
            };
            tasks.push(tokio::spawn(feed::run(one, parts, stopped.clone())));
        }
        let lime_courier: Arc<dyn Courier> = Arc::new(LimeCourier::new("box", self.clock.stamp().boot, self.config.site.timezone.clone()));
        for courier in [lime_courier, courier] {
            let parts = Parts {
                store: self.store.clone(),
                courier,
                remotes: remotes.clone(),
                clock: clock.clone(),
                hub: Arc::clone(&self.status),
                settings: settings.clone(),
                policy: POLICY,
                chance: chance(),
            };
            tasks.push(tokio::spawn(Runner::new(parts).run(stopped.clone())));
        }
        self.running = Some(Running { stop, tasks });
    }

    /// As SIGTERM, or as SIGKILL.
    pub async fn end(&mut self, in_order: bool) {
        let running = self.running.take().expect("it runs");
        running.stop.send_replace(in_order);
        for task in running.tasks {
            if !in_order {
                task.abort();
            }
            let ended = task.await;
            assert!(!in_order || ended.is_ok(), "{ended:?}");
        }
    }

    /// What a person does in Lime or in the CRM.
    pub fn act(&self, host: Host, action: &str, body: &Value) -> Value {
        let (now, wall) = (self.clock.now_ms(), self.clock.stamp().wall_ms);
        let done = self.site.lock().unwrap().act(host, action, now, wall, body);
        done.unwrap_or_else(|error| panic!("{} {action} {body}: {error}", host.name()))
    }

    pub fn state(&self, host: Host) -> Value {
        self.site.lock().unwrap().state(host)
    }

    /// Jobs that are owed.
    pub fn waiting(&self) -> u64 {
        Destination::ALL.iter().map(|to| self.store.pending_count(*to)).sum()
    }
}

fn limit_rate(crm: Host) -> f64 {
    if crm == Host::Bitrix24 { 2.0 } else { 7.0 }
}

/// One service of the sandbox, in-process.
struct Line {
    host: Host,
    base: String,
    site: Arc<Mutex<Site>>,
    clock: Arc<VirtualClock>,
}

impl Transport for Line {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            let timeout = request.timeout;
            let exchange = async {
                sleep(Duration::from_millis(10)).await;
                let plain = self.plain(&request);
                // A long poll is answered when there is something, or when its time is up.
                let mut waited = 0;
                while let Some(held) = self.held_ms(&plain).filter(|held| waited < *held) {
                    sleep(Duration::from_millis(held.min(1_000))).await;
                    waited += 1_000;
                }
                let outcome = self.site.lock().unwrap().call(self.host, self.clock.now_ms(), self.clock.stamp().wall_ms, plain);
                sleep(Duration::from_millis(outcome.after_ms + 10)).await;
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

impl Line {
    fn plain(&self, request: &Request) -> http::Request<bytes::Bytes> {
        let mut plain = http::Request::builder().method(request.method.clone()).uri(format!("{}{}", self.base, request.path));
        for (name, value) in &request.headers {
            plain = plain.header(name, value);
        }
        plain = plain.header("content-type", "application/json");
        plain.body(request.body.clone().unwrap_or_default()).unwrap()
    }

    fn held_ms(&self, plain: &http::Request<bytes::Bytes>) -> Option<u64> {
        self.site.lock().unwrap().held_ms(self.host, plain)
    }
}
