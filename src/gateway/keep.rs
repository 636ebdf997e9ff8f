//! What the gateway does on the side, once a second: looks at the clock, draws up the report, feeds the watchdog.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::{SharedClock, Watch};
use crate::config::{Config, CrmKind, ReaderConfig};
use crate::domain::Sync;
use crate::journal::{Destination, Learned, LedgerKey, Record, Settled, Store};
use crate::status::{ClockState, DestinationState, GateState, Hub, Memory, Report, Snapshot, Texts, problems};

use super::Manager;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// The journal's writer must answer within this time for the watchdog to be fed.
const WRITER: Duration = Duration::from_secs(20);

/// What is known before anything runs.
pub(super) fn first_snapshot(config: &Config, clock: &SharedClock, store: &dyn Store) -> Snapshot {
    let stamp = clock.stamp();
    let mut now = Snapshot {
        v: 1,
        site: config.site.id.clone(),
        title: config.site.title.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_boot_ms: stamp.boot_ms,
        passes: store.totals(Destination::Lime).passes,
        ..Snapshot::default()
    };
    for gate in &config.gates {
        let (reader, port) = match &gate.reader {
            ReaderConfig::Serial(reader) => (reader.profile.name.clone(), reader.port.display().to_string()),
            ReaderConfig::MqttJson { topic } => ("mqtt-json".to_owned(), topic.clone()),
            ReaderConfig::WebJson(reader) => ("web-json".to_owned(), reader.serial_number.to_string()),
        };
        now.gates.insert(gate.id.0.clone(), GateState { title: gate.title.clone(), reader, port, ..GateState::default() });
    }
    let crm = match config.crm.kind {
        CrmKind::AmoCrm(_) => "amocrm",
        CrmKind::Bitrix24(_) => "bitrix24",
    };
    for (to, kind) in [(Destination::Lime, "lime"), (Destination::Crm, crm)] {
        let kind = kind.to_owned();
        let totals = store.totals(to);
        // What waits is said from the first moment on: "nothing waits" before anyone has looked would be a lie.
        let state = DestinationState {
            kind,
            waiting: store.pending_count(to),
            delivered: totals.confirmed,
            refused: totals.dead,
            ..DestinationState::default()
        };
        now.destinations.insert(to.name().to_owned(), state);
    }
    now.mqtt.configured = config.mqtt.is_some();
    now
}

/// Counts this start. The number tells an old will from a living session, so it only has to grow.
pub(super) async fn begin_session(store: &dyn Store, clock: &SharedClock) -> u64 {
    let key = LedgerKey { kind: "gateway".to_owned(), key: "session".to_owned() };
    let last: u64 = store.ledger(&key).and_then(|text| text.parse().ok()).unwrap_or(0);
    let session = last + 1;
    let learned = vec![Learned { key, value: Some(session.to_string()) }];
    let record = Record::Settled(Settled { to: Destination::Lime, items: Vec::new(), learned, stamp: clock.stamp() });
    if let Err(error) = store.append(vec![record]).await {
        tracing::warn!(%error, "this start could not be counted");
    }
    session
}

/// The report of this moment.
pub(super) fn report(config: &Config, hub: &Hub, store: &dyn Store, clock: &SharedClock, memory: &mut Memory) -> Report {
    let stamp = clock.stamp();
    let mut now = hub.snapshot();
    now.boot_ms = stamp.boot_ms;
    // The log knows better than who reported last. Lime first: what it has settled by then is owed to the CRM already.
    for to in [Destination::Lime, Destination::Crm] {
        let (totals, waiting) = (store.totals(to), store.pending_count(to));
        if let Some(state) = now.destinations.get_mut(to.name()) {
            (state.delivered, state.refused, state.waiting) = (totals.confirmed, totals.dead, waiting);
        }
    }
    now.at = rfc3339(stamp.wall_ms, &config.site.timezone);
    now.journal = store.stat();
    now.clock = ClockState { synced: stamp.sync == Sync::Synced, ..now.clock };
    memory.observe(&now);
    let problems = problems(&now, memory);
    Report::new(now, problems)
}

/// Takes over what is said of the config file on disk.
pub(super) async fn config_errors(mut said: watch::Receiver<Option<Texts>>, hub: Arc<Hub>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            changed = said.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        hub.update(|now| now.config_error.clone_from(&said.borrow_and_update()));
    }
}

/// Draws up the report once a second, and when somebody asks for it, and feeds the watchdog while the journal's writer answers.
pub(super) async fn reports(
    config: Config,
    hub: Arc<Hub>,
    store: Arc<dyn Store>,
    clock: SharedClock,
    (report_to, ask): (watch::Sender<Arc<Report>>, Arc<Notify>),
    manager: Manager,
    mut stop: watch::Receiver<bool>,
) {
    let mut memory = Memory::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed_every = manager.watchdog();
    let mut fed_boot_ms = 0;
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = ask.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let report = report(&config, &hub, store.as_ref(), &clock, &mut memory);
        let (boot_ms, journal) = (report.snapshot.boot_ms, report.snapshot.journal.clone());
        hub.update(|now| now.journal = journal);
        report_to.send_replace(Arc::new(report));
        let due = feed_every.is_some_and(|every| u128::from(boot_ms.saturating_sub(fed_boot_ms)) >= every.as_millis() / 2);
        // An empty append goes through the writer like any other and writes nothing.
        if due && timeout(WRITER, store.append(Vec::new())).await.is_ok() {
            manager.alive();
            fed_boot_ms = boot_ms;
        }
    }
}

/// Watches the clock and journals anchors.
pub(super) async fn anchors(store: Arc<dyn Store>, clock: SharedClock, hub: Arc<Hub>, mut stop: watch::Receiver<bool>) {
    let mut watch = Watch::new(store.anchors().last().map(|(_, anchor)| anchor));
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let stamp = clock.stamp();
        let before = watch;
        if let Some(anchor) = watch.observe(&stamp, clock.error_ms()) {
            match store.append(vec![Record::Anchor(anchor)]).await {
                Ok(_) => tracing::info!(error_ms = anchor.error_ms, "the clock is synchronised"),
                // Not on disk: the next look finds it due again.
                Err(_) => watch = before,
            }
        }
        let anchored = watch.anchored(stamp.boot);
        hub.update(|now| now.clock = ClockState { synced: stamp.sync == Sync::Synced, anchored });
    }
}

fn rfc3339(wall_ms: i64, zone: &jiff::tz::TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(wall_ms) {
        Ok(time) => time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        Err(_) => String::new(),
    }
}
