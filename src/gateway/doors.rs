//! Doors: which gates this box decides at, the devices they are wired to, and the entitlement snapshot they decide by.
//!
//! A start closes first what the last run left open, then takes the outputs off, then takes readings. Never: a device driver without an owner.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;

use crate::clock::SharedClock;
use crate::config::{BusLine, Config, DoorConfig, Gate, Module, ModuleKind, PassageBy, SecretError, WiredTo};
use crate::delivery::Remote;
use crate::device::gpio::GpioModule;
use crate::device::mqtt::MqttModule;
use crate::device::{self, Actuator, Contact, NotOpened, Open, Ordered, Signalled, Started, Voice, Wiring, gate_board, gpio, modbus, mqtt};
use crate::domain::{GateId, Seq, ServicePointId};
use crate::door::snapshot::decide::Wall;
use crate::door::snapshot::{self, Overview, PointRules, Rules, Snapshot, neighbours};
use crate::door::{self, Door, Entitlements, LetIn, Recent, Router, Seat, Shared};
use crate::journal::{Record, Store};
use crate::mqtt::ClientHandle;
use crate::source::Intake;
use crate::status::{EntitlementsState, Hub};
use crate::tap::Event;

/// Signals that may wait for their doors; then drivers wait.
const SIGNALS: usize = 256;
/// Records looked at together.
const PAGE: usize = 512;
/// How often the status hears of the snapshot, when it stays as it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A line of modules, and what of each belongs to which gate.
type Line = (BusLine, Vec<(Module, Vec<Wiring>)>);

/// Why doors cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum DoorsError {
    /// The folder of the entitlement snapshot, or the key of its media.
    #[error(transparent)]
    Snapshot(#[from] snapshot::start::StartError),
    /// The venue's key.
    #[error(transparent)]
    Key(#[from] SecretError),
}

/// What the doors need of the gateway.
pub(super) struct Around<'a> {
    pub config: &'a Config,
    pub store: &'a Arc<dyn Store>,
    pub clock: &'a SharedClock,
    pub hub: &'a Arc<Hub>,
    pub tap: &'a broadcast::Sender<Event>,
    pub lime: &'a Arc<Remote>,
    /// Ends the doors and their devices.
    pub stop: &'a watch::Receiver<bool>,
    /// Ends what must outlive them.
    pub rest_stop: &'a watch::Receiver<bool>,
}

/// The doors, before their devices run.
pub(super) struct Doors {
    pub router: Arc<Router>,
    /// What devices see at gates that decide.
    pub signals: mpsc::Sender<Signalled>,
    /// Whom they let in shortly before this start.
    pub let_in: Vec<LetIn>,
    seats: Vec<(Vec<Gate>, DoorConfig, Seat)>,
    seen: mpsc::Receiver<Signalled>,
}

/// Closes what was left open, and makes the doors of the config.
pub(super) async fn prepare(around: &Around<'_>, observed: Arc<dyn Intake>) -> Doors {
    match door::close_left(around.store.as_ref(), around.clock.as_ref()).await {
        Ok(0) => {}
        Ok(count) => tracing::warn!(count, "visits that the last run left open are closed"),
        Err(error) => tracing::error!(%error, "visits that the last run left open stay so until the next start"),
    }
    let (mut handles, mut seats) = (HashMap::new(), Vec::new());
    for gates in door::doors_of(&around.config.gates) {
        let Some(config) = gates.first().and_then(|gate| gate.door.clone()) else { continue };
        let (door, seat) = Door::seat();
        handles.extend(gates.iter().map(|gate| (gate.id.clone(), door.clone())));
        seats.push((gates, config, seat));
    }
    let (signals, seen) = mpsc::channel(SIGNALS);
    let let_in = door::let_in_lately(around.store.as_ref());
    Doors { router: Arc::new(Router::new(Arc::clone(around.store), observed, handles)), signals, let_in, seats, seen }
}

/// What of a device belongs to a gate.
pub(super) fn wiring(gate: &Gate, door: &DoorConfig, of: &WiredTo) -> Wiring {
    let passage = door.passage.as_ref().filter(|passage| passage.of == *of).and_then(|passage| match passage.by {
        PassageBy::Input(input) => Some(Contact::Input(input)),
        PassageBy::Counter(counter) => Some(Contact::Counter(counter)),
        PassageBy::Message => None,
    });
    Wiring {
        gate: gate.id.clone(),
        direction: gate.direction,
        open: (door.open.of == *of).then_some(door.open.output),
        passage,
        free: door.free.as_ref().filter(|free| free.of == *of).map(|free| free.input),
    }
}

impl Doors {
    /// The wirings of a module.
    fn of_module(&self, id: &str) -> Vec<Wiring> {
        let of = WiredTo::Module(id.to_owned());
        let wirings = self.seats.iter().filter_map(|(gates, config, _)| Some(wiring(gates.first()?, config, &of)));
        wirings.filter(|wiring| wiring.open.is_some() || wiring.passage.is_some() || wiring.free.is_some()).collect()
    }

    /// Starts the modules, the doors and the snapshot. `started` are the readers that doors speak through or open with.
    ///
    /// # Errors
    /// When the snapshot's folder or key cannot be had.
    pub(super) async fn start(
        self,
        around: &Around<'_>,
        broker: Option<&ClientHandle>,
        mut started: Vec<Started>,
        tasks: &mut JoinSet<()>,
        rest: &mut JoinSet<()>,
    ) -> Result<(), DoorsError> {
        if self.seats.is_empty() {
            return Ok(());
        }
        let parts = device::Parts {
            intake: Arc::clone(&self.router) as Arc<dyn Intake>,
            signals: self.signals.clone(),
            hub: Arc::clone(around.hub),
            clock: Arc::clone(around.clock),
            stop: around.rest_stop.clone(),
        };
        started.extend(self.modules(&around.config.modules, &parts));
        started.extend(self.behind_broker(around.config, broker, &parts));
        started.extend(self.pins(&around.config.modules, &parts));
        let (mut actuators, mut voices) = (Vec::new(), Vec::new());
        for one in started {
            actuators.extend(one.actuators);
            voices.extend(one.voices);
            // Devices end after the doors, which still take their outputs off.
            rest.spawn(one.task);
        }
        // What is settled from here on the snapshot is told of; what was before, it learns from the journal.
        let told = *around.store.head().borrow();
        let snapshot::start::Started { entitlements, authority, tasks: keeping } = entitlements(around, broker).await?;
        for task in keeping {
            rest.spawn(task);
        }
        rest.spawn(tell(Arc::clone(&entitlements), Arc::clone(around.clock), Arc::clone(around.hub), around.rest_stop.clone()));
        rest.spawn(settle(Arc::clone(around.store), Arc::clone(&entitlements), told, around.rest_stop.clone()));
        let shared = Shared {
            store: Arc::clone(around.store),
            clock: Arc::clone(around.clock),
            hub: Arc::clone(around.hub),
            tap: around.tap.clone(),
            authority,
            entitlements: entitlements as Arc<dyn Entitlements>,
            asking: Arc::default(),
            language: around.config.site.language,
            stop: around.stop.clone(),
        };
        let mut recent: BTreeMap<ServicePointId, Arc<Mutex<Recent>>> = BTreeMap::new();
        for (gates, config, seat) in self.seats {
            let Some(first) = gates.first() else { continue };
            let recent = Arc::clone(recent.entry(first.service_point.clone()).or_default());
            let actuator = actuators.iter().find(|(gate, _)| *gate == first.id).map(|(_, actuator)| Arc::clone(actuator));
            let voices = of_gates(&voices, &gates);
            let actuator = actuator.unwrap_or_else(|| Arc::new(NoDriver));
            tasks.spawn(seat.run(shared.clone(), door::Parts { gates, config, actuator, voices, recent }));
        }
        let (router, mut seen) = (self.router, self.seen);
        rest.spawn(async move {
            while let Some(signalled) = seen.recv().await {
                router.signal(signalled).await;
            }
        });
        Ok(())
    }

    /// One driver for each line of modules. A further kind of module is a further arm here.
    fn modules(&self, modules: &[Module], parts: &device::Parts) -> Vec<Started> {
        let mut lines: BTreeMap<std::path::PathBuf, Line> = BTreeMap::new();
        for module in modules {
            let wirings = self.of_module(module.id.as_str());
            if wirings.is_empty() {
                continue;
            }
            if let Some((line, _)) = module.kind.on_line() {
                lines.entry(line.port.clone()).or_insert_with(|| (line.clone(), Vec::new())).1.push((module.clone(), wirings));
            }
        }
        // The config lets modules of one protocol share a line.
        let start = |(line, modules): Line| match modules.first().map(|(module, _)| &module.kind) {
            Some(ModuleKind::GateBoard { .. }) => gate_board::start(&line, modules, parts.clone()),
            _ => modbus::start(&line, modules, parts.clone()),
        };
        lines.into_values().map(start).collect()
    }

    /// One driver for the board's own pins.
    fn pins(&self, modules: &[Module], parts: &device::Parts) -> Vec<Started> {
        let wired = modules.iter().filter_map(|module| {
            let ModuleKind::Gpio(lines) = &module.kind else { return None };
            let wirings = self.of_module(&module.id);
            let module = GpioModule { id: module.id.clone(), title: module.title.clone(), lines: lines.clone() };
            (!wirings.is_empty()).then(|| gpio::start(module, wirings, parts.clone(), Box::new(gpio::open)))
        });
        wired.collect()
    }

    /// One driver for each module behind the broker.
    fn behind_broker(&self, config: &Config, broker: Option<&ClientHandle>, parts: &device::Parts) -> Vec<Started> {
        let mut started = Vec::new();
        for module in &config.modules {
            let wirings = self.of_module(module.id.as_str());
            // The config's check gives every such module a broker.
            if let (Some(client), Some(module), false) = (broker, MqttModule::of(module, config), wirings.is_empty()) {
                started.push(mqtt::start(module, wirings, client.clone(), parts.clone()));
            }
        }
        started
    }
}

fn of_gates(voices: &[(GateId, Arc<dyn Voice>)], gates: &[Gate]) -> Vec<(GateId, Arc<dyn Voice>)> {
    voices.iter().filter(|(at, _)| gates.iter().any(|gate| gate.id == *at)).map(|(at, voice)| (at.clone(), Arc::clone(voice))).collect()
}

/// The snapshot, loaded and kept fresh; it knows of what was used and has not reached Lime.
async fn entitlements(around: &Around<'_>, broker: Option<&ClientHandle>) -> Result<snapshot::start::Started, DoorsError> {
    let config = around.config;
    let doors = config.gates.iter().filter_map(|gate| Some((gate, gate.door.as_ref()?)));
    let points = doors.map(|(gate, door)| {
        let rules = PointRules { max_age: door.max_snapshot_age, max_offline_debt: door.max_offline_debt };
        (gate.service_point.clone(), rules)
    });
    let parts = snapshot::start::Parts {
        state_dir: &config.state_dir,
        venue_key: config.site.venue_key.as_ref().map(|key| key.load(&config.file)).transpose()?,
        rules: Rules { zone: config.site.timezone.clone(), points: points.collect() },
        clock: Arc::clone(around.clock),
        lime: Arc::clone(around.lime),
        broker: broker.map(|client| (client.clone(), neighbours::Topics::of(&config.site))),
        stop: around.rest_stop.clone(),
    };
    let (store, now) = (Arc::clone(around.store), around.clock.stamp());
    let used = tokio::task::spawn_blocking(move || door::used_before(store.as_ref(), now)).await;
    let used = used.unwrap_or_else(|error| {
        tracing::error!(%error, "tickets used before this start may not be known as used until Lime has answered");
        Vec::new()
    });
    Ok(snapshot::start::start(parts, used)?)
}

/// Tells the status how the snapshot stands.
async fn tell(snapshot: Arc<Snapshot>, clock: SharedClock, hub: Arc<Hub>, mut stop: watch::Receiver<bool>) {
    loop {
        let Overview { version, media, age_ms, fresh, .. } = snapshot.overview(Wall::at(&clock.stamp(), clock.error_ms()));
        hub.update(|now| now.entitlements = Some(EntitlementsState { version, media, age_ms, fresh }));
        tokio::select! {
            () = tokio::time::sleep(TELL_EVERY) => {}
            () = snapshot.renewed() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Tells the snapshot what Lime has settled, by records after `told`.
async fn settle(store: Arc<dyn Store>, snapshot: Arc<Snapshot>, mut told: Seq, mut stop: watch::Receiver<bool>) {
    let mut head = store.head();
    head.mark_changed();
    loop {
        tokio::select! {
            changed = head.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let newest = *head.borrow_and_update();
        while told < newest {
            let Ok(entries) = store.read(told + 1, PAGE) else { break };
            let Some(last) = entries.last() else { break };
            told = last.seq;
            for entry in &entries {
                if let Record::WriteOff(write_off) = &entry.record {
                    snapshot.settled(write_off.pass_id);
                }
            }
        }
    }
}

/// In place of a device whose driver this build does not have: the door says why it does not open.
struct NoDriver;

impl Actuator for NoDriver {
    fn open(&self, _: Open) -> Ordered<'_> {
        Box::pin(async { Err(NotOpened::NotSent("no driver serves this output".to_owned())) })
    }

    fn close(&self) -> Ordered<'_> {
        Box::pin(async { Ok(()) })
    }
}
