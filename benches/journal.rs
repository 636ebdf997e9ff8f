//! The journal against the disk it stands on: one table of ratios. `cargo bench --bench journal`.
//!
//! The yardstick is append + fdatasync of the same bytes, in the same folder and the same run. The folder is `LIMEGATE_BENCH_DIR`, else `target/`: it has to be a
//! real disk, for a folder in memory has no sync to measure. Bytes to the device are what the journal hands to the disk seam, in whole blocks;
//! `/proc/self/io` is shown beside it.

mod table;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use limegate::clock::{Clock, ManualClock, SystemClock};
use limegate::domain::{BootId, Direction, GateId, Medium, MediumKind, Pass, PassageState, Personal, ServicePointId, Stamp, Sync};
use limegate::journal::disk::{Access, DiskFile, Hold, LockError};
use limegate::journal::{AppendError, Destination, Disk, HostDisk, Journal, Options, Record, Store};
use table::{Promised, Table};

const TURNS: u64 = 4;
/// Appends in a turn by one writer.
const ALONE: u64 = 1_000;
const WRITERS: u64 = 64;
/// Appends in a turn by each of many writers.
const EACH: u64 = 750;

type Failure = Box<dyn std::error::Error>;

/// Counts what goes through the seam.
#[derive(Clone, Default)]
struct Counting {
    written: Arc<AtomicU64>,
}

struct CountingFile {
    file: Box<dyn DiskFile>,
    written: Arc<AtomicU64>,
}

impl DiskFile for CountingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

impl Disk for Counting {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile { file: HostDisk.create(path)?, written: Arc::clone(&self.written) }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile { file: HostDisk.open(path, access)?, written: Arc::clone(&self.written) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        HostDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        HostDisk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        HostDisk.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        HostDisk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        HostDisk.sync_dir(dir)
    }

    fn lock(&self, path: &Path, hold: Hold, holder: &str) -> Result<Box<dyn Send + std::marker::Sync>, LockError> {
        HostDisk.lock(path, hold, holder)
    }

    fn host_path(&self, path: &Path) -> Option<PathBuf> {
        HostDisk.host_path(path)
    }
}

/// Wall time of a stretch, from the kernel's clock that the gateway itself uses for nothing.
fn timed(what: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let now = || {
        let at = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
    };
    let begin = now();
    what()?;
    Ok(now().saturating_sub(begin))
}

fn pass(n: u64) -> Record {
    let stamp = Stamp {
        boot: BootId(uuid::Uuid::from_u128(1)),
        boot_ms: n * 10,
        wall_ms: 1_700_000_000_000 + i64::try_from(n).unwrap_or(0),
        sync: Sync::Synced,
    };
    Record::Pass(Pass {
        id: uuid::Uuid::now_v7(),
        number: 0,
        gate: GateId::from("north-1"),
        service_point: ServicePointId::from("sp-104"),
        direction: Direction::In,
        medium: Medium {
            kind: MediumKind::CardUid,
            value: Personal::new(format!("{:014X}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8)),
            raw: Some(Personal::new(format!("Mifare[{:012X}] 099,01234", n))),
            format: "ironlogic-text/mifare".to_owned(),
        },
        device: None,
        passage: PassageState::Passed,
        stamp,
        device_ms: None,
        test: false,
        door: None,
    })
}

fn options(dir: &Path) -> Options {
    Options { budget_bytes: 16 << 30, ..Options::new(dir, Arc::new(SystemClock::new())) }
}

/// Append + fdatasync of so many bytes, so many times.
fn yardstick(dir: &Path, bytes: usize, times: u64) -> Result<Duration, Failure> {
    let mut file = OpenOptions::new().append(true).create_new(true).open(dir.join("yardstick"))?;
    let record = vec![0x5A; bytes];
    let took = timed(|| {
        for _ in 0..times {
            file.write_all(&record)?;
            file.sync_data()?;
        }
        Ok(())
    })?;
    std::fs::remove_file(dir.join("yardstick"))?;
    Ok(took)
}

/// The same into space that is there already and was written before: the disk's own limit.
fn overwriting(dir: &Path, bytes: usize, times: u64) -> Result<Duration, Failure> {
    let path = dir.join("overwritten");
    std::fs::write(&path, vec![0; bytes * usize::try_from(times)?])?;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.sync_all()?;
    let record = vec![0x5A; bytes];
    let took = timed(|| {
        for n in 0..times {
            file.write_all_at(&record, n * bytes as u64)?;
            file.sync_data()?;
        }
        Ok(())
    })?;
    std::fs::remove_file(&path)?;
    Ok(took)
}

fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start_matches(':').trim().trim_end_matches(" kB").parse().ok())
}

fn written_by_process() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok()).unwrap_or(0)
}

fn per_second(times: u64, took: Duration) -> f64 {
    times as f64 / took.as_secs_f64()
}

fn some_passes(from: u64, count: u64) -> Vec<Record> {
    (from..from + count).map(pass).collect()
}

/// One writer: the next append when the last is on disk.
async fn append_each(journal: Journal, passes: Vec<Record>) -> Result<(), AppendError> {
    for pass in passes {
        journal.append(vec![pass]).await?;
    }
    Ok(())
}

fn accepting(table: &mut Table, dir: &Path) -> Result<(), Failure> {
    let disk = Counting::default();
    let journal = Journal::open(Arc::new(disk.clone()), options(&dir.join("accepting")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    journal.wait_for_index();
    runtime.block_on(async { journal.append(vec![pass(0)]).await })?;
    let size = minicbor::to_vec(pass(1))?.len() + 24;
    let (mut one, mut many, mut grown, mut fixed) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut alone, mut process) = (0, 0);
    // In turns, so that a disk whose mood changes is fair to all. Passes are there before time is taken, as the yardstick's bytes are.
    for turn in 0..TURNS {
        grown += yardstick(dir, size, ALONE)?;
        fixed += overwriting(dir, size, ALONE)?;
        let before = disk.written.load(Ordering::Relaxed);
        let passes = some_passes(turn * ALONE, ALONE);
        one += timed(|| Ok(runtime.block_on(append_each(journal.clone(), passes))?))?;
        alone += disk.written.load(Ordering::Relaxed) - before;
        let before = written_by_process();
        let each: Vec<_> = (0..WRITERS).map(|writer| some_passes((turn * WRITERS + writer) * EACH, EACH)).collect();
        many += timed(|| {
            runtime.block_on(async {
                let tasks: Vec<_> = each.into_iter().map(|passes| tokio::spawn(append_each(journal.clone(), passes))).collect();
                for task in tasks {
                    task.await??;
                }
                Ok(())
            })
        })?;
        process += written_by_process() - before;
    }
    let before = disk.written.load(Ordering::Relaxed);
    let hundreds = 200_u64;
    runtime.block_on(async {
        for n in 0..hundreds {
            journal.append((0..100).map(|m| pass(n * 100 + m)).collect()).await?;
        }
        Ok::<(), limegate::journal::AppendError>(())
    })?;
    let hundred = disk.written.load(Ordering::Relaxed) - before;
    let (alone_count, many_count) = (TURNS * ALONE, TURNS * WRITERS * EACH);
    let (single, together) = (per_second(alone_count, one), per_second(many_count, many));
    let times = |took: Duration| took.as_secs_f64() / one.as_secs_f64();
    table.row("one writer / append + fdatasync of the same bytes", times(grown), 2, Promised::AtLeast(0.75));
    table.row("one writer / overwriting + fdatasync (a remark)", times(fixed), 2, Promised::Nothing);
    table.row("64 writers / one writer", together / single, 1, Promised::AtLeast(20.0));
    table.row("one writer, passes a second (a remark)", single, 0, Promised::Nothing);
    table.row("64 writers, passes a second (a remark)", together, 0, Promised::Nothing);
    table.row("bytes to the device a pass, alone", (alone / alone_count) as f64, 0, Promised::AtMost(8_192.0));
    table.row("bytes to the device a pass, 100 a commit", (hundred / (hundreds * 100)) as f64, 0, Promised::AtMost(600.0));
    table.row("64 writers, bytes a pass by /proc/self/io (a remark)", (process / many_count) as f64, 0, Promised::Nothing);
    journal.close();
    Ok(())
}

/// Fills a journal with waiting passes and ends; a process of its own, so that its memory is not counted.
fn fill(dir: &Path, count: u64) -> Result<(), Failure> {
    let journal = Journal::open(Arc::new(HostDisk), options(dir))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for n in 0..count / 200 {
            journal.append((0..200).map(|m| pass(n * 200 + m)).collect()).await?;
        }
        Ok::<(), limegate::journal::AppendError>(())
    })?;
    journal.close();
    Ok(())
}

fn payload(count: u64) -> Result<u64, Failure> {
    let numbered = |n: u64| match pass(n) {
        Record::Pass(pass) => Record::Pass(Pass { number: n, ..pass }),
        other => other,
    };
    Ok(minicbor::to_vec(numbered(count))?.len() as u64 * count)
}

fn disk_use(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes += disk_use(&entry.path()),
            Ok(meta) => bytes += meta.blocks() * 512,
            Err(_) => {}
        }
    }
    bytes
}

/// Opens a journal with a deep backlog: until appends are taken, until the index is there, memory.
fn reopen(dir: &Path) -> Result<(), Failure> {
    let mut journal = None;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let first = timed(|| {
        let opened = Journal::open(Arc::new(HostDisk), options(dir))?;
        runtime.block_on(opened.append(vec![pass(0)]))?;
        journal = Some(opened);
        Ok(())
    })?;
    let Some(journal) = journal else { return Ok(()) };
    let index = timed(|| {
        journal.wait_for_index();
        Ok(())
    })?;
    let jobs = journal.pending(Destination::Lime, 0, 100);
    let read = timed(|| {
        for job in &jobs {
            journal.get(*job)?;
        }
        Ok(())
    })?;
    let pending = journal.pending_count(Destination::Lime);
    let order = limegate::domain::OrderKey(7);
    let queue = timed(|| {
        journal.queue_of(Destination::Lime, order, u64::MAX, 10);
        Ok(())
    })?;
    println!(
        "{} {} {} {} {pending} {}",
        first.as_micros(),
        (first + index).as_micros(),
        read.as_micros(),
        queue.as_micros(),
        status("VmHWM").unwrap_or(0)
    );
    journal.close();
    Ok(())
}

fn again(mode: &str, dir: &Path, count: u64) -> Result<String, Failure> {
    let out = std::process::Command::new(std::env::current_exe()?).args([mode, &dir.display().to_string(), &count.to_string()]).output()?;
    if !out.status.success() {
        return Err(format!("{mode}: {}", String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn backlog(table: &mut Table, dir: &Path, count: u64) -> Result<(), Failure> {
    let dir = dir.join("backlog");
    again("fill", &dir, count)?;
    let size = disk_use(&dir);
    let mut worst = [0_u64; 6];
    let mut lost = [0_u64; 6];
    for (from_log, figures) in [(false, &mut worst), (true, &mut lost)] {
        if from_log {
            std::fs::remove_dir_all(dir.join("index"))?;
        }
        let line = again("reopen", &dir, count)?;
        for (figure, text) in figures.iter_mut().zip(line.split(' ')) {
            *figure = text.parse()?;
        }
    }
    let ratio = size as f64 / payload(count)? as f64;
    let ms = |micros: u64| micros as f64 / 1e3;
    table.row(&format!("{count} pending: disk / payload, index and reserve too"), ratio, 2, Promised::AtMost(1.5));
    table.row("  until a pass is taken again, ms", ms(worst[0]), 1, Promised::AtMost(2_000.0));
    table.row("  until the index is there, ms", ms(worst[1]), 1, Promised::AtMost(2_000.0));
    table.row("  until the index is there, sled deleted, ms (a remark)", ms(lost[1]), 1, Promised::Nothing);
    table.row("  the 100 oldest jobs read, ms (a remark)", ms(worst[2]), 1, Promised::Nothing);
    table.row("  a guest's queue found, ms (a remark)", ms(worst[3]), 1, Promised::Nothing);
    table.row("  RSS at its highest, MB", ms(worst[5]), 1, Promised::AtMost(64.0));
    table.row("  RSS at its highest, sled deleted, MB", ms(lost[5]), 1, Promised::AtMost(64.0));
    Ok(())
}

/// An hour in which nothing happens, on a clock that is set by hand.
fn idle(table: &mut Table, dir: &Path) -> Result<(), Failure> {
    let disk = Counting::default();
    let clock = Arc::new(ManualClock::at(SystemClock::new().stamp()));
    let journal = Journal::open(Arc::new(disk.clone()), Options { inline: true, clock: Arc::clone(&clock) as _, ..options(&dir.join("idle")) })?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(journal.append(vec![pass(1)]))?;
    let before = written_by_process();
    for _ in 0..720 {
        clock.advance_ms(5_000);
        journal.keep_house();
    }
    let written = (written_by_process() - before) as f64;
    table.row("bytes to the device in an idle hour, by /proc/self/io", written, 0, Promised::AtMost(1e6));
    journal.close();
    Ok(())
}

fn main() -> Result<ExitCode, Failure> {
    let args: Vec<String> = std::env::args().collect();
    if let [_, mode, dir, count] = args.as_slice() {
        match mode.as_str() {
            "fill" => return fill(Path::new(dir), count.parse()?).map(|()| ExitCode::SUCCESS),
            "reopen" => return reopen(Path::new(dir)).map(|()| ExitCode::SUCCESS),
            _ => {}
        }
    }
    let base = std::env::var_os("LIMEGATE_BENCH_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let dir = tempfile::Builder::new().prefix("journal-bench").tempdir_in(base)?;
    let count = std::env::var("PENDING").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let mut table = Table::new("benches/journal.rs");
    accepting(&mut table, dir.path())?;
    idle(&mut table, dir.path())?;
    backlog(&mut table, dir.path(), count)?;
    Ok(table.end())
}
