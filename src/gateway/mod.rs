//! The running gateway: joins the parts and ends them in order.
//!
//! Starting waits neither for the network nor for the backlog. Stopping takes no more readings first, then lets delivery finish what is under way within its
//! deadline, then closes the journal. Never: a task without an owner; a part that outlives the journal.

mod asked;
pub mod audit;
mod controllers;
pub mod diff;
mod doors;
mod follow;
mod hub;
mod keep;
mod notify;
mod remotes;
pub mod sweep;
pub mod sync;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast, oneshot, watch};
use tokio::task::JoinSet;

use crate::clock::{SharedClock, SystemClock, tls_floor};
use crate::config::{Config, ReaderConfig};
use crate::control::{self, Control};
use crate::delivery::{Courier, Parts, Runner};
use crate::device::{self, Started};
use crate::door::ByHand;
use crate::feed::{self, Feed};
use crate::flow::contacts::Keyer;
use crate::flow::{CrmPolicy, HubPolicy};
use crate::journal::{Destination, Disk, HostDisk, Journal, OpenError, Options, Store};
use crate::mqtt;
use crate::source::{Intake, JournalIntake, mqtt as validators, serial};
use crate::status::{Hub, Memory, Texts, mqtt as publisher};

pub use doors::DoorsError;
pub use hub::lime_feeds;
pub use notify::Manager;
pub use remotes::{SetupError, crm_endpoint, crm_transport};

/// Events that a slow listener of the tap may lag behind.
const TAP_QUEUE: usize = 1024;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal's folder is in use or cannot be used: another try may help.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The state folder cannot be used.
    #[error("the state folder {0} cannot be used: {1}")]
    State(PathBuf, std::io::Error),
    /// Something in the config cannot be set up: a secret, an authority.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Doors cannot be served.
    #[error(transparent)]
    Doors(#[from] DoorsError),
}

/// The real disk.
#[must_use]
pub fn real_disk() -> Arc<dyn Disk> {
    Arc::new(HostDisk)
}

/// How the journal of this config is opened.
#[must_use]
pub fn journal_options(config: &Config, clock: SharedClock) -> Options {
    Options {
        dir: config.state_dir.join("journal"),
        segment_bytes: config.journal.segment_bytes,
        budget_bytes: config.journal.budget_bytes,
        retain: config.journal.retain,
        index_cache_bytes: config.journal.index_cache_bytes,
        crm: crm_policy(config),
        clock,
        inline: false,
    }
}

/// Which facts the CRM is told of.
#[must_use]
pub fn crm_policy(config: &Config) -> CrmPolicy {
    let hub = config.hub.as_ref().map_or(HubPolicy::NOTHING, |hub| HubPolicy {
        clients: hub.clients.registration || hub.clients.change || hub.contacts.to_crm,
        receipts: !hub.deals.is_empty() || hub.clients.purchase,
        products: hub.products,
        preorders: hub.preorders.to_crm || hub.preorders.to_lime,
        contacts: hub.contacts.to_lime || hub.contacts.to_crm,
        deals: hub.preorders.to_lime,
    });
    CrmPolicy { enabled: true, refusals: config.crm.refusals, hub }
}

/// What runs the two-way integration, apart from the lines to Lime and the CRM.
pub struct Integration {
    /// The CRM's courier.
    pub courier: Arc<dyn Courier>,
    /// What Lime and the CRM are asked for; none where this box is not the venue's hub.
    pub feeds: Vec<Box<dyn Feed>>,
}

/// The integration as the config asks for it. `keyer`: the box's key for marks.
#[must_use]
pub fn integration(config: &Config, keyer: Option<&Keyer>) -> Integration {
    Integration { courier: remotes::crm_courier(config, keyer.cloned()), feeds: hub::feeds(config, keyer) }
}

/// What the gateway and whoever runs it say to each other.
#[derive(Debug)]
pub struct Outside {
    /// Why the config file on disk is not the one that runs.
    pub config_error: watch::Receiver<Option<Texts>>,
    /// Told once passes are taken.
    pub started: oneshot::Sender<()>,
    /// Turns true when the gateway is to end.
    pub stop: watch::Receiver<bool>,
}

/// Runs until it is told to stop.
///
/// # Errors
/// When it cannot start. Once it runs, no trouble outside ends it.
pub async fn run(config: Config, outside: Outside) -> Result<(), StartError> {
    let system = Arc::new(SystemClock::new());
    let clock: SharedClock = Arc::clone(&system) as SharedClock;
    make_private(&config.state_dir).map_err(|error| StartError::State(config.state_dir.clone(), error))?;
    let options = journal_options(&config, Arc::clone(&clock));
    let journal = tokio::task::spawn_blocking(move || Journal::open(real_disk(), options)).await.map_err(broken)??;
    let store: Arc<dyn Store> = Arc::new(journal.clone());
    system.raise_floor(tls_floor(store.anchors().into_iter().map(|(_, anchor)| anchor.stamp)));
    let outcome = serve(&config, &clock, &store, outside).await;
    // Off the runtime's threads: the checkpoint may take a moment on a slow card.
    if tokio::task::spawn_blocking(move || journal.close()).await.is_err() {
        tracing::error!("the journal could not be closed in order; the next start catches up from the log");
    }
    outcome
}

async fn serve(config: &Config, clock: &SharedClock, store: &Arc<dyn Store>, outside: Outside) -> Result<(), StartError> {
    let Outside { config_error, started, mut stop } = outside;
    let remotes = remotes::connect(config, clock)?;
    let manager = Manager;
    let hub = Arc::new(Hub::new(keep::first_snapshot(config, clock, store.as_ref())));
    let session = keep::begin_session(store.as_ref(), clock).await;
    hub.update(|now| {
        now.session = session;
        now.config_error.clone_from(&config_error.borrow());
    });
    let (tap, _) = broadcast::channel(TAP_QUEUE);

    // Readers stop first, then delivery, so that what was read last may still be sent.
    let (end_delivery, delivery_stop) = watch::channel(false);
    let (end_rest, rest_stop) = watch::channel(false);
    let observed: Arc<dyn Intake> =
        Arc::new(JournalIntake::new(Arc::clone(store), Arc::clone(clock), Arc::clone(&hub), tap.clone(), rest_stop.clone(), &config.gates));
    let around =
        doors::Around { config, store, clock, hub: &hub, tap: &tap, lime: &remotes.remotes.lime, stop: &stop.clone(), rest_stop: &rest_stop };
    let doors = doors::prepare(&around, observed).await;
    let router = Arc::clone(&doors.router);
    let intake: Arc<dyn Intake> = Arc::clone(&router) as Arc<dyn Intake>;

    let (report, report_seen) = watch::channel(Arc::new(keep::report(config, &hub, store.as_ref(), clock, &mut Memory::new())));
    let mut rest = JoinSet::new();
    let broker = config.mqtt.as_ref().map(|mqtt| {
        let topics = publisher::Topics::of(&config.site);
        let will = publisher::will(&topics, report_seen.clone());
        let (client, task) = mqtt::Client::start(mqtt, remotes.mqtt_password.clone(), will, Arc::clone(&hub), Arc::clone(clock), rest_stop.clone());
        rest.spawn(async move {
            // Its own end is reported where it happens.
            let _ = task.await;
        });
        rest.spawn(publisher::run(topics, client.clone(), report_seen.clone(), rest_stop.clone()));
        client
    });

    let mut readers = JoinSet::new();
    // What of the readers doors open with and speak through.
    let mut devices = Vec::new();
    for gate in &config.gates {
        match &gate.reader {
            ReaderConfig::Serial(reader) => {
                let parts = (Arc::clone(&intake), Arc::clone(&hub), Arc::clone(clock));
                let voice = gate.door.as_ref().and_then(|_| serial::voice(&reader.profile));
                let (voice, commands) = voice.unzip();
                let voices = voice.map(|voice| (gate.id.clone(), voice)).into_iter().collect();
                devices.push(Started { actuators: Vec::new(), voices, task: Box::pin(std::future::ready(())) });
                readers.spawn(serial::run_with(gate.clone(), reader.clone(), parts.0, parts.1, parts.2, stop.clone(), commands));
            }
            // All of them have one listener, below.
            ReaderConfig::WebJson(_) => {}
            ReaderConfig::MqttJson { topic } => {
                // The config's check gives every such gate a broker.
                let Some(client) = &broker else { continue };
                let validator =
                    validators::Validator { gate: gate.id.clone(), topic: topic.clone(), door: gate.door.as_ref().map(|_| doors.signals.clone()) };
                let parts = (Arc::clone(&intake), Arc::clone(&hub), Arc::clone(clock));
                readers.spawn(validators::run(validator, parts.0, parts.1, parts.2, client.clone(), stop.clone()));
            }
            // Gates may share a line: lines are started below.
            ReaderConfig::Osdp(_) => {}
        }
    }

    let devices_parts = |stop: &watch::Receiver<bool>| device::Parts {
        intake: Arc::clone(&intake),
        signals: doors.signals.clone(),
        hub: Arc::clone(&hub),
        clock: Arc::clone(clock),
        stop: stop.clone(),
    };
    let (observing, deciding) = asked::start(config, &remotes.controllers, &doors.let_in, || devices_parts(&stop), || devices_parts(&rest_stop))?;
    for one in observing {
        readers.spawn(one.task);
    }
    devices.extend(deciding);
    doors.start(&around, broker.as_ref(), devices, &mut readers, &mut rest).await?;

    let mut hints = feed::Hints::default();
    if let Some(courier) = remotes.couriers.iter().find(|courier| courier.destination() == Destination::Crm) {
        let keyer = remotes.keyer.as_ref();
        let webhook_secret = remotes.webhook_secret.as_ref();
        let around = hub::Around { config, store, clock, state: &hub, remotes: &remotes.remotes, keyer, courier, webhook_secret, stop: &stop };
        hints = hub::start(&around, &mut readers);
        if let Some(remote) = &remotes.remotes.crm {
            let kind = config.crm.kind.clone();
            let parts = sweep::Parts {
                store: Arc::clone(store),
                remote: Arc::clone(remote),
                courier: Arc::clone(courier),
                searches: Arc::new(move |sought| audit::crm_search(&kind, sought)),
                hub: Arc::clone(&hub),
                clock: Arc::clone(clock),
                zone: config.site.timezone.clone(),
                settle_window: config.delivery.settle_window,
                gap: audit::gap(config.delivery.crm_rate),
            };
            rest.spawn(sweep::run(parts, rest_stop.clone()));
        }
    }

    let mut delivery = JoinSet::new();
    for courier in remotes.couriers {
        let parts = Parts {
            store: Arc::clone(store),
            courier,
            remotes: remotes.remotes.clone(),
            clock: Arc::clone(clock),
            hub: Arc::clone(&hub),
            settings: config.delivery.clone(),
            policy: crm_policy(config),
            chance: fastrand::Rng::new(),
        };
        // Taking stock reads the log: it must not hold up the readers.
        let delivery_stop = delivery_stop.clone();
        delivery.spawn(async move {
            if let Ok(runner) = tokio::task::spawn_blocking(move || Runner::new(parts)).await {
                runner.run(delivery_stop).await;
            }
        });
    }

    let ask = Arc::new(Notify::new());
    rest.spawn(keep::config_errors(config_error, Arc::clone(&hub), rest_stop.clone()));
    rest.spawn(keep::reports(
        config.clone(),
        Arc::clone(&hub),
        Arc::clone(store),
        Arc::clone(clock),
        (report, Arc::clone(&ask)),
        manager,
        rest_stop.clone(),
    ));
    rest.spawn(keep::anchors(Arc::clone(store), Arc::clone(clock), Arc::clone(&hub), rest_stop.clone()));
    rest.spawn(follow::follow(Arc::clone(store), tap.clone(), rest_stop.clone()));
    let socket = config.state_dir.join(control::SOCKET);
    let control = Control {
        store: Arc::clone(store),
        report: report_seen,
        ask,
        tap: tap.clone(),
        clock: Arc::clone(clock),
        doors: Some(ByHand::new(&config.gates, router)),
        feeds: config.hub.as_ref().map(lime_feeds).unwrap_or_default(),
        hints,
        stop: rest_stop.clone(),
    };
    rest.spawn(async move {
        if let Err(error) = control::serve(&socket, control).await {
            tracing::error!(socket = %socket.display(), %error, "the control socket cannot be served; the command line cannot see this gateway");
        }
    });

    manager.ready();
    // Nobody listens any more where that is of no interest.
    let _ = started.send(());
    tracing::info!(site = config.site.id, gates = config.gates.len(), session, "taking passes");
    // An error means that whoever could ask for a stop is gone: that is a stop.
    let _ = stop.wait_for(|stop| *stop).await;
    manager.stopping();
    tracing::info!("stopping");
    end(readers, Duration::from_secs(5)).await;
    end_delivery.send_replace(true);
    end(delivery, config.delivery.drain + Duration::from_secs(2)).await;
    end_rest.send_replace(true);
    end(rest, Duration::from_secs(3)).await;
    Ok(())
}

/// Waits for tasks to end, and ends those that do not.
async fn end(mut tasks: JoinSet<()>, within: Duration) {
    let ended = tokio::time::timeout(within, async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of the gateway ended badly");
            }
        }
    });
    if ended.await.is_err() {
        tracing::warn!(left = tasks.len(), "parts did not stop in time and are ended");
    }
    tasks.shutdown().await;
}

/// Makes a folder that only its owner can enter.
fn make_private(dir: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn broken(error: tokio::task::JoinError) -> StartError {
    StartError::State(PathBuf::new(), std::io::Error::other(error))
}
