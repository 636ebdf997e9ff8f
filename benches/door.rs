//! How long a guest waits for the box itself, and what codecs cost. `cargo bench --bench door`.
//!
//! A pass goes the gateway's own way: a card's bytes into the codec, the reading to the router, the visit and then the decision onto the disk, the order to the
//! actuator. Journal, disk, door and entitlement snapshot are the real ones; the port and the gate are not there, and Lime answers at once. The yardstick is
//! append + fdatasync of the same bytes, once, in the same folder and in turns with the passes. The folder is `LIMEGATE_BENCH_DIR`, else `target/`.

mod table;

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use limegate::clock::{SharedClock, SystemClock};
use limegate::codec::{Decoded, Decoder, Profile};
use limegate::config::{ChargeAt, DoorConfig, Gate, Language, OutputAt, PassageAt, PassageBy, Policy, ReaderConfig, SerialReader, WiredTo};
use limegate::device::{Actuator, Open, Ordered, Signal, Signalled};
use limegate::domain::{Decision, DecisionMode, Direction, GateId, Medium, Pass, PassageState, Secret, ServicePointId};
use limegate::door::snapshot::delta::Reader;
use limegate::door::snapshot::keeper::Keeper;
use limegate::door::snapshot::media::MediaKey;
use limegate::door::snapshot::{PointRules, Rules, Snapshot};
use limegate::door::{self, Answer, Authority, Commit, Door, Entitlements, Recent, Router, Shared};
use limegate::http::BoxFuture;
use limegate::journal::{HostDisk, Journal, Options, Record, Store};
use limegate::source::{Intake, JournalIntake, Reading};
use limegate::status::Hub;
use table::{Promised, Table};
use tokio::sync::{broadcast, mpsc, watch};

/// Passes of a round, and rounds; odd, for the one in the middle counts.
const PASSES: u64 = 400;
const ROUNDS: u64 = 7;
/// Passes before those that count.
const WARM: u64 = 100;
/// Media of a large venue.
const LARGE: u64 = 200_000;
/// Bytes that each codec reads.
const STREAM: usize = 2 << 20;
const GATE: &str = "n1";
const READER: &str = "ironlogic-z2";

type Failure = Box<dyn std::error::Error>;

/// The kernel's clock that the gateway itself uses for nothing.
fn now() -> Duration {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
}

/// What the process has used of its cores.
fn cpu() -> Duration {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
}

/// Lime as it is when the network is away, or answers at once.
struct Lime {
    reached: bool,
}

impl Authority for Lime {
    fn ask<'a>(&'a self, pass: &'a Pass, _: Commit, _: Duration) -> BoxFuture<'a, Answer> {
        let hold_id = Some(pass.id.to_string());
        let mode = DecisionMode::Online;
        let decision = Decision { mode, admitted: true, code: "ok".to_owned(), snapshot_version: None, hold_id, right_id: None, amount: None };
        let granted = Answer::Granted { decision, lines: Vec::new(), open_ms: None };
        let answer = if self.reached { granted } else { Answer::NoAnswer { sent: false, late: None } };
        Box::pin(std::future::ready(answer))
    }
}

/// A gate that opens at once and says when it was told to.
struct Turnstile {
    told: mpsc::UnboundedSender<Duration>,
}

impl Actuator for Turnstile {
    fn open(&self, _: Open) -> Ordered<'_> {
        let _ = self.told.send(now());
        Box::pin(std::future::ready(Ok(())))
    }

    fn close(&self) -> Ordered<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn config() -> DoorConfig {
    let io1 = || WiredTo::Module("io1".to_owned());
    DoorConfig {
        policy: Policy::SnapshotOnly,
        budget: Duration::from_millis(300),
        wait: Duration::from_secs(60),
        pulse: Duration::from_millis(500),
        charge: ChargeAt::Passage,
        antipassback: Duration::ZERO,
        cooldown: Duration::ZERO,
        max_offline_debt: 0,
        max_snapshot_age: Duration::from_secs(12 * 3_600),
        open: OutputAt { of: io1(), output: 0 },
        passage: Some(PassageAt { of: io1(), by: PassageBy::Counter(0) }),
        free: None,
    }
}

/// What the reader sends for one card.
fn bytes(card: u64) -> Vec<u8> {
    format!("Em-Marine[1700] {:03},{:05}\r\n", card >> 16, card & 0xFFFF).into_bytes()
}

fn decode(decoder: &mut dyn Decoder, bytes: &[u8]) -> Result<Medium, Failure> {
    let mut found = Vec::new();
    decoder.push(bytes, &mut found);
    let medium = found.into_iter().find_map(|one| match one {
        Decoded::Medium(presented) => Some(presented.medium),
        _ => None,
    });
    medium.ok_or_else(|| format!("{READER} reads no card in {}", String::from_utf8_lossy(bytes).trim_end()).into())
}

/// A snapshot as Lime sends it: a ticket for one visit on every card.
fn snapshot(folder: &Path, clock: &SharedClock, profile: &Profile) -> Result<Arc<Snapshot>, Failure> {
    let key = MediaKey::of_venue(&Secret::new("k".repeat(32)));
    let rules = PointRules { max_age: config().max_snapshot_age, max_offline_debt: 0 };
    let rules = Rules { zone: TimeZone::UTC, points: BTreeMap::from([(ServicePointId::from("sp-1"), rules)]) };
    let snapshot = Arc::new(Snapshot::new(key.clone(), rules, Arc::clone(clock), Vec::new(), None));
    let mut keeper = Keeper::new(Arc::clone(&snapshot), folder, vec!["sp-1".to_owned()])?;
    let generated_at = jiff::Timestamp::from_millisecond(clock.stamp().wall_ms)?.to_string();
    let header = serde_json::json!({"version": "s-1", "base": null, "generated_at": generated_at, "tariffs": {"sp-1": {"price": 500}}});
    let mut text = format!("{header}\n");
    let (mut decoder, count) = (profile.decoder(), WARM + ROUNDS * PASSES);
    for card in 0..count {
        let medium = decode(decoder.as_mut(), &bytes(card))?;
        let rights = serde_json::json!([{"id": format!("r-{card}"), "kind": "ticket", "amount": 1}]);
        let m = format!("card_uid:{}", medium.value.reveal());
        text += &format!("{}\n", serde_json::json!({"m": m, "c": format!("c-{card}"), "cat": "adult", "st": "ok", "rights": rights}));
    }
    let sha = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let sha: String = sha.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    text += &format!("{}\n", serde_json::json!({"end": true, "count": count, "sha256": sha}));
    let (mut receiving, mut reader) = (keeper.receiving(clock.stamp()), Reader::new(key));
    reader.take(text.as_bytes(), &mut receiving)?;
    reader.finish()?;
    keeper.apply(receiving.finish()?, None)?;
    Ok(snapshot)
}

/// The gateway's parts between a port and a gate.
struct Rig {
    decoder: Box<dyn Decoder>,
    journal: Journal,
    router: Arc<Router>,
    hub: Arc<Hub>,
    told: mpsc::UnboundedReceiver<Duration>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn new(folder: &Path, reached: bool) -> Result<Self, Failure> {
        let clock: SharedClock = Arc::new(SystemClock::new());
        let profile = Profile::builtin(READER).ok_or("no such reader")?;
        let journal = Journal::open(Arc::new(HostDisk), Options::new(folder.join("journal"), Arc::clone(&clock)))?;
        journal.wait_for_index();
        let entitlements = snapshot(&folder.join("entitlements"), &clock, &profile)?;
        let (told, telling) = mpsc::unbounded_channel();
        let (stop, stopping) = watch::channel(false);
        let (tap, hub, store) = (broadcast::channel(64).0, Arc::new(Hub::default()), Arc::new(journal.clone()) as Arc<dyn Store>);
        let decoder = profile.decoder();
        let gate = Gate {
            id: GateId::from(GATE),
            title: "Gate 1".to_owned(),
            service_point: ServicePointId::from("sp-1"),
            direction: Direction::In,
            reader: ReaderConfig::Serial(SerialReader { profile, port: PathBuf::from("/dev/null"), baud: None, rs485: false }),
            door: Some(config()),
        };
        let (door, seat) = Door::seat();
        let gates = vec![gate];
        let observed = JournalIntake::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&hub), tap.clone(), stopping.clone(), &gates);
        let observed = Arc::new(observed) as Arc<dyn Intake>;
        let router = Arc::new(Router::new(Arc::clone(&store), observed, HashMap::from([(GateId::from(GATE), door)])));
        let shared = Shared {
            store,
            clock,
            hub: Arc::clone(&hub),
            tap,
            authority: Arc::new(Lime { reached }),
            entitlements: entitlements as Arc<dyn Entitlements>,
            asking: Arc::default(),
            language: Language::Ru,
            stop: stopping,
        };
        let recent = Arc::new(Mutex::new(Recent::default()));
        let parts = door::Parts { gates, config: config(), actuator: Arc::new(Turnstile { told }), voices: Vec::new(), recent };
        let task = tokio::spawn(seat.run(shared, parts));
        Ok(Self { decoder, journal, router, hub, told: telling, stop, task })
    }

    /// From the bytes to the order to open; then the guest goes through.
    async fn pass(&mut self, card: u64) -> Result<Duration, Failure> {
        let bytes = bytes(card);
        let begin = now();
        let medium = decode(self.decoder.as_mut(), &bytes)?;
        let reading = Reading {
            gate: GateId::from(GATE),
            medium,
            direction: None,
            passage: PassageState::Unknown,
            device: None,
            device_ms: None,
            origin: None,
        };
        self.router.take(reading).await?;
        let opened = tokio::time::timeout(Duration::from_secs(10), self.told.recv()).await.map_err(|_| self.why())?.ok_or("the door has ended")?;
        let gate = GateId::from(GATE);
        self.router.signal(Signalled { gate, signal: Signal::Passed { direction: None, count: 1 }, at_boot_ms: 0, record: None }).await;
        while self.hub.snapshot().passes <= card {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(opened.saturating_sub(begin))
    }

    fn why(&self) -> Failure {
        format!("the gate is not opened: {:?}", self.hub.snapshot().gates).into()
    }

    /// How many bytes of a pass are on disk when the gate opens.
    fn size(&self) -> Result<usize, Failure> {
        let mut size = 0;
        for entry in self.journal.read(1, 2)? {
            if matches!(entry.record, Record::Visit(_) | Record::Decided(_)) {
                size += minicbor::to_vec(&entry.record)?.len() + 24;
            }
        }
        Ok(size)
    }

    async fn end(self) -> Result<(), Failure> {
        self.stop.send_replace(true);
        self.task.await?;
        self.journal.close();
        Ok(())
    }
}

fn yardstick(file: &mut File, record: &[u8]) -> Result<Duration, Failure> {
    let begin = now();
    file.write_all(record)?;
    file.sync_data()?;
    Ok(now().saturating_sub(begin))
}

/// The time within which so many of a hundred are.
fn percentile(times: &mut [Duration], of: usize) -> f64 {
    times.sort_unstable();
    times.get(times.len().saturating_mul(of) / 100).or(times.last()).map_or(0.0, Duration::as_secs_f64)
}

async fn door(table: &mut Table, dir: &Path, name: &str, reached: bool) -> Result<(), Failure> {
    let folder = dir.join(name);
    std::fs::create_dir_all(&folder)?;
    let mut rig = Rig::new(&folder, reached)?;
    let mut file = OpenOptions::new().append(true).create_new(true).open(folder.join("yardstick"))?;
    let mut record = Vec::new();
    for card in 0..WARM {
        rig.pass(card).await?;
        record = vec![0x5A; rig.size()?];
    }
    // What disturbs the disk for a while spoils a round or two, and not the one in the middle.
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let (mut opened, mut synced) = (Vec::new(), Vec::new());
        for card in 0..PASSES {
            opened.push(rig.pass(WARM + round * PASSES + card).await?);
            synced.push(yardstick(&mut file, &record)?);
        }
        let (door, disk) = (percentile(&mut opened, 99), percentile(&mut synced, 99));
        rounds.push((door / disk, percentile(&mut opened, 50), door, disk));
    }
    rig.end().await?;
    rounds.sort_by(|one, two| one.0.total_cmp(&two.0));
    let Some((ratio, half, door, disk)) = rounds.get(rounds.len() / 2) else { return Err("no round".into()) };
    table.row(&format!("{name}: card bytes in to order out, p99 / yardstick's p99"), *ratio, 2, Promised::AtMost(3.0));
    table.row("  half of the passes within, ms (a remark)", half * 1e3, 2, Promised::Nothing);
    table.row("  p99, ms (a remark)", door * 1e3, 2, Promised::Nothing);
    table.row("  append + fdatasync of the same bytes, p99, ms (a remark)", disk * 1e3, 2, Promised::Nothing);
    Ok(())
}

/// How often over a core could decode a line ten times as fast as the profile says: good frames one behind the other, noise between them. The inverse is the
/// codec's share of a core.
fn codec(table: &mut Table, name: &str) -> Result<(), Failure> {
    let profile = Profile::builtin(name).ok_or("no such reader")?;
    let (mut random, mut stream) = (fastrand::Rng::with_seed(7), Vec::with_capacity(STREAM + 4_096));
    while stream.len() < STREAM {
        for sample in &profile.samples {
            stream.extend_from_slice(&sample.bytes);
            let noise = random.usize(..16);
            stream.extend(std::iter::repeat_with(|| random.u8(..)).take(noise));
        }
    }
    let (mut decoder, mut found, mut frames) = (profile.decoder(), Vec::new(), 0);
    let begin = cpu();
    // What a port gives at a time.
    for piece in stream.chunks(64) {
        decoder.push(piece, &mut found);
        frames += found.len();
        found.clear();
    }
    let took = cpu().saturating_sub(begin).as_secs_f64();
    let line = stream.len() as f64 * 10.0 / (f64::from(profile.line.baud) * 10.0);
    std::hint::black_box(frames);
    table.row(&format!("{name}: ten times {} baud / one core", profile.line.baud), line / took, 0, Promised::AtLeast(100.0));
    Ok(())
}

/// What the process has in memory, MB.
fn resident() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1_024.0)
}

/// The entitlement snapshot of a large venue: taken in as Lime sends it, in pieces, and in use.
fn large(table: &mut Table, dir: &Path) -> Result<(), Failure> {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let key = MediaKey::of_venue(&Secret::new("k".repeat(32)));
    let rules = Rules { zone: TimeZone::UTC, points: BTreeMap::new() };
    let snapshot = Arc::new(Snapshot::new(key.clone(), rules, Arc::clone(&clock), Vec::new(), None));
    let mut keeper = Keeper::new(Arc::clone(&snapshot), &dir.join("large"), vec!["sp-1".to_owned()])?;
    let before = resident()?;
    let (mut receiving, mut reader) = (keeper.receiving(clock.stamp()), Reader::new(key));
    let mut sum = ring::digest::Context::new(&ring::digest::SHA256);
    let header = serde_json::json!({"version": "s-1", "base": null, "generated_at": "2026-11-22T10:15:00Z"});
    for card in 0..=LARGE {
        let line = if card == 0 {
            header.clone()
        } else {
            let rights =
                serde_json::json!([{"id": format!("r-{card}"), "kind": "ticket", "amount": 1, "to": "2027-11-22T10:15:00Z", "sp": ["sp-1"]}]);
            serde_json::json!({"m": format!("card_uid:{card:08X}"), "c": format!("c-{card}"), "cat": "adult", "st": "ok", "rights": rights})
        };
        let line = format!("{line}\n");
        sum.update(line.as_bytes());
        reader.take(line.as_bytes(), &mut receiving)?;
    }
    let sha: String = sum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    reader.take(format!("{}\n", serde_json::json!({"end": true, "count": LARGE, "sha256": sha})).as_bytes(), &mut receiving)?;
    reader.finish()?;
    keeper.apply(receiving.finish()?, None)?;
    table.row("entitlement snapshot of 200 000 media: RSS that it adds, MB", resident()? - before, 1, Promised::AtMost(20.0));
    let size = std::fs::metadata(dir.join("large/entitlements"))?.len();
    table.row("  on disk, MB", size as f64 / 1e6, 1, Promised::Nothing);
    Ok(())
}

fn main() -> Result<ExitCode, Failure> {
    let base = std::env::var_os("LIMEGATE_BENCH_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let dir = tempfile::Builder::new().prefix("door-bench").tempdir_in(base)?;
    let mut table = Table::new("benches/door.rs");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // First: what others have used stays with the process.
    large(&mut table, dir.path())?;
    runtime.block_on(door(&mut table, dir.path(), "offline", false))?;
    runtime.block_on(door(&mut table, dir.path(), "online", true))?;
    for name in Profile::builtin_names() {
        codec(&mut table, name)?;
    }
    Ok(table.end())
}
