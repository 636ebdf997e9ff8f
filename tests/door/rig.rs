//! A door between stand-ins.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limegate::clock::{ManualClock, SharedClock};
use limegate::codec::Profile;
use limegate::config::{ChargeAt, DoorConfig, Gate, Language, OutputAt, PassageAt, PassageBy, Policy, ReaderConfig, SerialReader, WiredTo};
use limegate::device::{Actuator, NotOpened, Open, Ordered, Signal, Signalled, Told, Voice};
use limegate::domain::{
    BootId, Decision, DecisionMode, Direction, GateId, Medium, MediumKind, Pass, PassageState, Personal, ServicePointId, Stamp, Sync,
};
use limegate::door::{Answer, Authority, Commit, Door, Entitlements, Known, Parts, Question, Recent, Shared, Used, close_left};
use limegate::http::BoxFuture;
use limegate::journal::sim::SimDisk;
use limegate::journal::{Destination, Entry, Journal, OpenVisit, Options, Record, Store};
use limegate::source::{Reading, Taken};
use limegate::status::{DoorState, Hub};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub const GATE: &str = "n1";
const DIR: &str = "/j";

/// What Lime says to the next question.
pub enum Says {
    Grant,
    Refuse(&'static str),
    /// It cannot be reached.
    Away,
    /// It is reached, and says this when told to.
    Late(oneshot::Receiver<Answer>),
    /// The question never ends: the power goes.
    Hangs,
}

pub fn granted() -> Decision {
    let hold = Some("hold-1".to_owned());
    Decision { mode: DecisionMode::Online, admitted: true, code: "ok".into(), snapshot_version: None, hold_id: hold, right_id: None, amount: None }
}

pub fn refused(code: &str) -> Decision {
    Decision { admitted: false, code: code.to_owned(), hold_id: None, ..granted() }
}

/// What the snapshot says when it lets somebody in.
pub fn by_snapshot() -> Decision {
    let (snapshot_version, right_id) = (Some("s-9".to_owned()), Some("r-1".to_owned()));
    Decision { mode: DecisionMode::OfflineSnapshot, snapshot_version, right_id, hold_id: None, ..granted() }
}

#[derive(Default)]
pub struct Lime {
    script: Mutex<VecDeque<Says>>,
    pub asked: Mutex<Vec<(Uuid, Commit)>>,
}

impl Authority for Lime {
    fn ask<'a>(&'a self, pass: &'a Pass, commit: Commit, budget: Duration) -> BoxFuture<'a, Answer> {
        self.asked.lock().unwrap().push((pass.id, commit));
        let says = self.script.lock().unwrap().pop_front();
        Box::pin(async move {
            match says {
                Some(Says::Grant) => Answer::Granted { decision: granted(), lines: vec!["Осталось 3".to_owned()], open_ms: None },
                Some(Says::Refuse(code)) => Answer::Refused { decision: refused(code), lines: Vec::new() },
                Some(Says::Away) | None => Answer::NoAnswer { sent: false, late: None },
                Some(Says::Late(late)) => {
                    tokio::time::sleep(budget).await;
                    Answer::NoAnswer { sent: true, late: Some(late) }
                }
                Some(Says::Hangs) => std::future::pending().await,
            }
        })
    }
}

#[derive(Default)]
pub struct Paper {
    known: Mutex<HashMap<String, Decision>>,
    pub used: Mutex<Vec<Uuid>>,
    pub released: Mutex<Vec<Uuid>>,
}

impl Entitlements for Paper {
    fn ask(&self, question: Question<'_>) -> Known {
        let known = self.known.lock().unwrap();
        known.get(question.medium.value.reveal()).cloned().map_or(Known::Unable("unknown_medium"), Known::Decided)
    }

    fn used(&self, used: Used) {
        self.used.lock().unwrap().push(used.pass);
    }

    fn settled(&self, _: Uuid) {}

    fn released(&self, pass: Uuid) {
        self.released.lock().unwrap().push(pass);
    }
}

/// What the gate does with orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    Opens,
    Refuses,
    Silent,
    Hangs,
}

pub struct Turnstile {
    pub orders: Mutex<Vec<Open>>,
    pub closed: watch::Sender<u32>,
    mood: Mutex<Mood>,
    disk: SimDisk,
    /// How much had been written when the order came.
    pub at_order: Mutex<Vec<usize>>,
}

impl Actuator for Turnstile {
    fn open(&self, order: Open) -> Ordered<'_> {
        self.at_order.lock().unwrap().push(self.disk.trace_len());
        self.orders.lock().unwrap().push(order);
        let mood = *self.mood.lock().unwrap();
        Box::pin(async move {
            match mood {
                Mood::Opens => Ok(()),
                Mood::Refuses => Err(NotOpened::Refused("motor".to_owned())),
                Mood::Silent => Err(NotOpened::Unknown("no answer".to_owned())),
                Mood::Hangs => std::future::pending().await,
            }
        })
    }

    fn close(&self) -> Ordered<'_> {
        self.closed.send_modify(|times| *times += 1);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[derive(Default)]
pub struct Display(pub Mutex<Vec<Told>>);

impl Voice for Display {
    fn tell(&self, told: &Told) {
        self.0.lock().unwrap().push(told.clone());
    }
}

pub struct Rig {
    pub disk: SimDisk,
    pub journal: Journal,
    pub clock: Arc<ManualClock>,
    pub hub: Arc<Hub>,
    pub lime: Arc<Lime>,
    pub paper: Arc<Paper>,
    pub turnstile: Arc<Turnstile>,
    pub display: Arc<Display>,
    pub door: Door,
    pub task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

pub fn config() -> DoorConfig {
    let io1 = || WiredTo::Module("io1".to_owned());
    DoorConfig {
        policy: Policy::SnapshotOnly,
        budget: Duration::from_millis(300),
        wait: Duration::from_secs(5),
        pulse: Duration::from_millis(500),
        charge: ChargeAt::Passage,
        antipassback: Duration::ZERO,
        cooldown: Duration::ZERO,
        max_offline_debt: 0,
        max_snapshot_age: Duration::from_secs(3600),
        open: OutputAt { of: io1(), output: 0 },
        passage: Some(PassageAt { of: io1(), by: PassageBy::Counter(0) }),
        free: None,
    }
}

pub fn journal(disk: &SimDisk) -> Journal {
    let options = Options { segment_bytes: 64 * 1024, budget_bytes: 64 << 20, inline: true, ..Options::new(DIR, clock()) };
    Journal::open(Arc::new(disk.clone()), options).expect("the journal opens")
}

fn clock() -> SharedClock {
    manual()
}

fn manual() -> Arc<ManualClock> {
    let stamp = Stamp { boot: BootId(Uuid::from_u128(1)), boot_ms: 60_000, wall_ms: 1_700_000_000_000, sync: Sync::Synced };
    Arc::new(ManualClock::at(stamp))
}

impl Rig {
    pub fn new(config: DoorConfig) -> Self {
        Self::on(SimDisk::traced(), config)
    }

    pub fn on(disk: SimDisk, config: DoorConfig) -> Self {
        let journal = journal(&disk);
        let (clock, hub) = (manual(), Arc::new(Hub::default()));
        let (lime, paper, display) = (Arc::new(Lime::default()), Arc::new(Paper::default()), Arc::new(Display::default()));
        let turnstile = Arc::new(Turnstile {
            orders: Mutex::default(),
            closed: watch::Sender::new(0),
            mood: Mutex::new(Mood::Opens),
            disk: disk.clone(),
            at_order: Mutex::default(),
        });
        let (stop, stopping) = watch::channel(false);
        let shared = Shared {
            store: Arc::new(journal.clone()),
            clock: Arc::clone(&clock) as SharedClock,
            hub: Arc::clone(&hub),
            tap: broadcast::channel(64).0,
            authority: Arc::clone(&lime) as Arc<dyn Authority>,
            entitlements: Arc::clone(&paper) as Arc<dyn Entitlements>,
            asking: Arc::default(),
            language: Language::Ru,
            stop: stopping,
        };
        let gate = Gate {
            id: GateId::from(GATE),
            title: "Турникет 1".to_owned(),
            service_point: ServicePointId::from("sp-4"),
            direction: Direction::In,
            reader: ReaderConfig::Serial(SerialReader {
                profile: Profile::builtin("ironlogic-z2").unwrap(),
                port: PathBuf::from("/dev/null"),
                baud: None,
                rs485: false,
            }),
            door: Some(config.clone()),
        };
        let parts = Parts {
            gates: vec![gate],
            config,
            actuator: Arc::clone(&turnstile) as Arc<dyn Actuator>,
            voices: vec![(GateId::from(GATE), Arc::clone(&display) as Arc<dyn Voice>)],
            recent: Arc::new(Mutex::new(Recent::default())),
        };
        let (door, seat) = Door::seat();
        let task = tokio::spawn(seat.run(shared, parts));
        Self { disk, journal, clock, hub, lime, paper, turnstile, display, door, task, stop }
    }

    pub fn lime_says(&self, says: Says) {
        self.lime.script.lock().unwrap().push_back(says);
    }

    pub fn snapshot_says(&self, card: &str, decision: Decision) {
        self.paper.known.lock().unwrap().insert(card.to_owned(), decision);
    }

    pub fn mood(&self, mood: Mood) {
        *self.turnstile.mood.lock().unwrap() = mood;
    }

    /// A card is held to the reader.
    pub async fn read(&self, card: &str) -> Taken {
        self.door.read(reading(card)).await.expect("the reading is taken")
    }

    pub async fn signal(&self, signal: Signal) {
        self.door.signal(Signalled { gate: GateId::from(GATE), signal, at_boot_ms: 0, record: None }).await;
    }

    pub async fn passed(&self) {
        self.signal(Signal::Passed { direction: None, count: 1 }).await;
    }

    pub async fn opened(&self, times: usize) {
        self.until("the gate is ordered open", || self.turnstile.orders.lock().unwrap().len() >= times).await;
    }

    pub async fn phase(&self, word: &str) {
        self.until(word, || self.state().state == word).await;
    }

    /// Waits for something; time goes on by itself while nothing else happens.
    pub async fn until(&self, what: &str, done: impl Fn() -> bool) {
        for _ in 0..20_000 {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{what} never happens: {:?}, {:?}", self.state(), records(&self.journal));
    }

    /// The passes that were closed, once there are so many.
    pub async fn passes(&self, count: usize) -> Vec<Pass> {
        self.until("the visit is closed", || passes(&self.journal).len() >= count && self.state().visits == 0).await;
        passes(&self.journal)
    }

    pub async fn pass(&self) -> Pass {
        let mut passes = self.passes(1).await;
        assert_eq!(passes.len(), 1);
        passes.remove(0)
    }

    pub fn state(&self) -> DoorState {
        self.hub.snapshot().gates.get(GATE).and_then(|gate| gate.door.clone()).unwrap_or_default()
    }

    pub fn told(&self) -> Vec<Told> {
        self.display.0.lock().unwrap().clone()
    }

    pub fn orders(&self) -> usize {
        self.turnstile.orders.lock().unwrap().len()
    }

    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

pub fn reading(card: &str) -> Reading {
    Reading {
        gate: GateId::from(GATE),
        medium: Medium { kind: MediumKind::CardUid, value: Personal::new(card), raw: None, format: "t".to_owned() },
        direction: None,
        passage: PassageState::Unknown,
        device: None,
        device_ms: None,
        origin: None,
    }
}

pub fn records(journal: &Journal) -> Vec<Entry> {
    journal.read(0, 10_000).unwrap()
}

pub fn passes(journal: &Journal) -> Vec<Pass> {
    records(journal).into_iter().filter_map(|entry| if let Record::Pass(pass) = entry.record { Some(pass) } else { None }).collect()
}

/// What the next start makes of a disk: what it found open, and all passes then.
pub async fn next_start(disk: &SimDisk) -> (Vec<OpenVisit>, Vec<Pass>) {
    let journal = journal(disk);
    let left = journal.open_visits().unwrap();
    let closed = close_left(&journal, clock().as_ref()).await.unwrap();
    assert_eq!(closed, left.len());
    assert_eq!(journal.open_visits().unwrap(), []);
    let passes = passes(&journal);
    assert_eq!(journal.pending_count(Destination::Lime), passes.len() as u64, "each pass is one job for Lime");
    journal.close();
    // And once more: nothing is closed twice, also when the index is made again from the log.
    let again = self::journal(disk);
    assert_eq!(close_left(&again, clock().as_ref()).await.unwrap(), 0);
    assert_eq!(self::passes(&again).len(), passes.len());
    assert!(Path::new(DIR).is_absolute());
    (left, passes)
}
