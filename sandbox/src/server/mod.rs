//! The [`Site`] behind real listeners on the loopback interface.
//!
//! Each service has a listener of its own, and there is one for control that no fault touches. Owned tasks; [`Running::shutdown`] (or dropping
//! [`Running`]) ends them all. The clocks are the runtime's monotonic clock and the system's wall clock, read in [`clock`] only.

mod clock;
mod connection;
mod control;
mod hooks;
mod line;
mod service;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::faults::{Down, Rule};
use crate::host::Host;
use crate::site::Site;

/// What to serve, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The services.
    pub hosts: Vec<Host>,
    /// Where the first service listens; the others, and control, take any free port of the same address. Port 0 picks one for the first, too.
    pub listen: SocketAddr,
    /// The CA certificate is written here, and the services speak TLS. Control stays plain.
    pub tls_ca: Option<PathBuf>,
    /// Seed of clients, cards and tickets.
    pub seed: u64,
    /// How many families Lime knows at least.
    pub clients: usize,
    /// Service points besides `sp-1` to `sp-9`.
    pub service_points: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: Host::ALL.to_vec(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls_ca: None,
            seed: 1,
            clients: 200,
            service_points: Vec::new(),
        }
    }
}

/// Where everything is, and what opens it. The binary prints this as one JSON line.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Addresses {
    /// Base of the Lime gateway API, ending in `/gw/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lime_url: Option<String>,
    /// Lime's device token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lime_token: Option<String>,
    /// The amoCRM account's address, without a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amocrm_url: Option<String>,
    /// A long-lived token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amocrm_token: Option<String>,
    /// Client id, secret, redirect URI and a one-time code of an OAuth integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amocrm_oauth: Option<serde_json::Value>,
    /// The inbound webhook's address, secret included, ending in a slash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrix24_webhook: Option<String>,
    /// The portal's address, without a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrix24_url: Option<String>,
    /// Client id, secret, access and refresh token and token address of a local OAuth app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrix24_oauth: Option<serde_json::Value>,
    /// `/_sandbox/` without the faults' reach.
    pub control_url: String,
    /// The CA certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Why serving could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The tokens of a sandbox are known to everyone, so it is for this machine only.
    #[error("{0} is not a loopback address: a sandbox is for this machine only; use 127.0.0.1")]
    NotLoopback(SocketAddr),
    /// The address is taken or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// No certificate could be made or written.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// A sandbox that is being served.
#[derive(Debug)]
pub struct Running {
    /// Where everything is.
    pub addresses: Addresses,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    site: Mutex<Site>,
    clock: clock::Clock,
    services: Vec<(Host, AtomicBool)>,
}

impl Shared {
    pub(crate) fn with_site<T>(&self, work: impl FnOnce(&mut Site, u64, i64) -> T) -> T {
        let mut site = self.site.lock().unwrap_or_else(PoisonError::into_inner);
        let (now_ms, wall_ms) = (self.clock.now_ms(), self.clock.wall_ms());
        site.settle(now_ms, wall_ms);
        work(&mut site, now_ms, wall_ms)
    }

    fn down(&self, host: Host) -> Option<Down> {
        self.with_site(|site, now_ms, _| site.faults.down(host, now_ms))
    }

    /// Waits until listeners are closed or open as the faults want it.
    pub(crate) async fn applied(&self) {
        for _ in 0..100 {
            let applied = self.services.iter().all(|(host, listening)| (self.down(*host) == Some(Down::Refuse)) != listening.load(Ordering::Acquire));
            if applied {
                return;
            }
            tokio::time::sleep(service::POLL).await;
        }
    }
}

/// Starts serving. Needs a tokio runtime with time and I/O.
///
/// # Errors
/// The address is not a loopback address or cannot be bound, or the certificate cannot be written.
pub async fn serve(options: Options) -> Result<Running, StartError> {
    if !options.listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(options.listen));
    }
    let mut site = Site::new(options.seed);
    site.lime.add_clients(options.clients.saturating_sub(crate::lime::INITIAL_CLIENTS));
    for id in &options.service_points {
        site.lime.add_service_point(id);
    }
    let tls = options.tls_ca.as_ref().map(|file| tls::Identity::create(file)).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut addresses = Addresses { ca_file: options.tls_ca.clone(), ..Addresses::default() };
    let mut listeners = Vec::new();
    for (index, host) in options.hosts.iter().enumerate() {
        let wanted = if index == 0 { options.listen } else { SocketAddr::new(options.listen.ip(), 0) };
        let (listener, at) = bind(wanted).await?;
        let base = format!("{scheme}://{at}");
        match host {
            Host::Lime => {
                addresses.lime_url = Some(format!("{base}/gw/v1"));
                addresses.lime_token = Some(site.lime.token().to_owned());
            }
            Host::Amocrm => {
                site.amocrm.set_base(&base);
                addresses.amocrm_token = Some(site.amocrm.long_lived_token());
                addresses.amocrm_oauth = Some(site.amocrm.integration());
                addresses.amocrm_url = Some(base);
            }
            Host::Bitrix24 => {
                site.bitrix24.set_base(&base);
                addresses.bitrix24_webhook = Some(site.bitrix24.webhook());
                addresses.bitrix24_oauth = Some(site.bitrix24.app());
                addresses.bitrix24_url = Some(base);
            }
        }
        listeners.push((*host, listener, at));
    }
    let (control, at) = bind(SocketAddr::new(options.listen.ip(), 0)).await?;
    addresses.control_url = format!("http://{at}/_sandbox");

    let services = options.hosts.iter().map(|host| (*host, AtomicBool::new(true))).collect();
    let shared = Arc::new(Shared { site: Mutex::new(site), clock: clock::Clock::start(), services });
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for (host, listener, at) in listeners {
        tasks.spawn(service::run(shared.clone(), Some(host), listener, at, tls.as_ref().map(tls::Identity::acceptor), stopped.clone()));
    }
    if options.hosts.contains(&Host::Amocrm) {
        tasks.spawn(hooks::run(shared.clone(), stopped.clone()));
    }
    tasks.spawn(service::run(shared.clone(), None, control, at, None, stopped));
    Ok(Running { addresses, shared, stop, tasks })
}

async fn bind(at: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = TcpListener::bind(at).await.map_err(|error| StartError::Listen(at, error))?;
    let at = listener.local_addr().map_err(|error| StartError::Listen(at, error))?;
    Ok((listener, at))
}

impl Running {
    /// Looks into the site or changes it, between two requests. The closure gets the site, its monotonic clock and the wall clock in milliseconds.
    pub fn with_site<T>(&self, work: impl FnOnce(&mut Site, u64, i64) -> T) -> T {
        self.shared.with_site(work)
    }

    /// Sets a fault and waits until it is in force; answers its id.
    pub async fn set_fault(&self, rule: Rule) -> u64 {
        let id = self.with_site(|site, now_ms, _| site.faults.set(now_ms, rule));
        self.shared.applied().await;
        id
    }

    /// Takes all faults away and waits until everything listens again.
    pub async fn clear_faults(&self) {
        self.with_site(|site, _, _| site.faults.clear());
        self.shared.applied().await;
    }

    /// Ends all connections and waits for the tasks, at most a second.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(Duration::from_secs(1), async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}
