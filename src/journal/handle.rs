//! The journal's handle: opening, closing, and the [`Store`] that everyone else writes to and reads from.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::domain::{DeviceRecord, OrderKey, Seq, Stamp};
use crate::flow::{CrmPolicy, HubPolicy};

use super::core::{self, Core, Parts};
use super::disk::{Disk, Hold, LockError};
use super::format::{CARRIED, Frame};
use super::index::Index;
use super::log::Log;
use super::record::{Anchor, DeadLetter, Destination, Entry, LedgerKey, OpenVisit, Record};
use super::recovery::recover;
use super::reserve::Reserve;
use super::retention::needed_bytes;
use super::state::{Carried, Visiting, device_key, kind};
use super::store::{AppendError, Appended, BoxFuture, JournalStat, ReadError, Store, Totals};
use super::tip::Tip;
use super::writer::{Append, Payload, Writer};

/// Name of the lock file in the journal's folder.
const LOCK: &str = "lock";
/// Name of the index's folder.
const INDEX: &str = "index";
/// A segment is at most this part of the budget, so that there is something to drop.
const SEGMENTS_IN_BUDGET: u64 = 16;
/// The least a segment may be, bytes.
const LEAST_SEGMENT: u64 = 64 * 1024;
/// The most, bytes: a segment is read whole.
const MOST_SEGMENT: u64 = 64 * 1024 * 1024;
/// Unsettled facts may take this many hundredths of the budget before status warns.
const WARN_AT: u64 = 80;

/// What a journal is opened with.
#[derive(Clone)]
pub struct Options {
    /// Its folder; made when it is not there.
    pub dir: PathBuf,
    /// Bytes of a segment; 8 MiB is a good size. At most a sixteenth of the budget is used.
    pub segment_bytes: u64,
    /// Most bytes the log may take.
    pub budget_bytes: u64,
    /// Settled segments are kept this long, budget permitting.
    pub retain: Duration,
    /// sled's cache, bytes.
    pub index_cache_bytes: u64,
    /// Which write-offs make a job for the CRM. Decided as a record is written; a change counts for what comes after it.
    pub crm: CrmPolicy,
    /// Time.
    pub clock: SharedClock,
    /// Without threads: an append is done when the call that polls it returns, and house is kept in between. For simulations.
    pub inline: bool,
}

impl Options {
    /// The defaults for a folder.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, clock: SharedClock) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 8 << 20,
            budget_bytes: 2 << 30,
            retain: Duration::from_secs(30 * 86_400),
            index_cache_bytes: 8 << 20,
            crm: CrmPolicy { enabled: true, refusals: false, hub: HubPolicy::NOTHING },
            clock,
            inline: false,
        }
    }
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the journal in {dir} is in use by {holder}; stop that one first, or ask it")]
    Held {
        /// The folder.
        dir: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// The folder cannot be made, listed or read.
    #[error("the journal in {dir} cannot be opened: {error}; check that the folder is there, mounted and owned by this user")]
    Disk {
        /// The folder.
        dir: PathBuf,
        /// What the disk says.
        error: io::Error,
    },
}

/// An open journal. Clones share it; the last one dropped ends it as a crash would, with nothing lost. [`Journal::close`] ends it cleanly.
#[derive(Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

impl Journal {
    /// Opens the journal and holds its folder. Appends are taken at once; the index catches up beside, and reads that need it wait for it.
    ///
    /// # Errors
    /// When another process has it, or the folder cannot be used. Damage in the log is no error: it is put aside, counted and reported.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        let dir = options.dir.clone();
        let refused = |error| OpenError::Disk { dir: dir.clone(), error };
        disk.create_dir(&dir).map_err(refused)?;
        let holder = format!("limegate, process {}", std::process::id());
        let lock = take_lock(disk.as_ref(), &dir, Hold::Exclusive, &holder)?;
        let segment_bytes = options.segment_bytes.min(options.budget_bytes / SEGMENTS_IN_BUDGET).clamp(LEAST_SEGMENT, MOST_SEGMENT);
        let log = Arc::new(Log::new(Arc::clone(&disk), &dir, false));
        let found = recover(&log, false).map_err(refused)?;
        let reserve = Reserve::new(Arc::clone(&disk), &dir, segment_bytes + segment_bytes / 4);
        let clock = Arc::clone(&options.clock);
        let writer = Writer::new(Arc::clone(&log), clock, options.crm, segment_bytes, options.budget_bytes, reserve, found.start);
        let index = Index::new(disk.host_path(&dir.join(INDEX)), options.index_cache_bytes);
        let core = Arc::new(Core::new(Parts {
            tip: Tip::read(disk.as_ref(), &dir),
            log,
            index,
            clock: options.clock,
            segment_bytes,
            budget_bytes: options.budget_bytes,
            retain: options.retain,
            inline: options.inline,
            writer: Some(writer),
            torn: found.torn,
        }));
        let threads = if options.inline {
            core.catch_up();
            Vec::new()
        } else {
            spawn(&core).map_err(refused)?
        };
        Ok(Self { handle: Arc::new(Handle { core, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)) }) })
    }

    /// Opens it to look only, whether a gateway has it or not: nothing on the disk is changed, and the index is made from the log in memory. The ledger
    /// and the totals reach as far back as the log. Of a log that is being written one sees what was there when it was opened.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open_read_only(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        let dir = options.dir.clone();
        let refused = |error| OpenError::Disk { dir: dir.clone(), error };
        // No lock: what is synced does not change any more, and looking must never keep a gateway from starting.
        let log = Arc::new(Log::new(Arc::clone(&disk), &dir, true));
        let found = recover(&log, true).map_err(refused)?;
        let core = Arc::new(Core::new(Parts {
            tip: Tip::default(),
            log,
            index: Index::new(None, 0),
            clock: options.clock,
            segment_bytes: options.segment_bytes,
            budget_bytes: options.budget_bytes,
            retain: options.retain,
            inline: true,
            writer: None,
            torn: found.torn,
        }));
        core.passes.store(found.start.passes, Ordering::Release);
        core.catch_up();
        Ok(Self { handle: Arc::new(Handle { core, threads: Mutex::default(), lock: Mutex::new(None) }) })
    }

    /// Ends it: what waits is written, the index is kept, the folder is free. Appends afterwards are refused; reads still answer. Blocks for as long as
    /// the disk takes.
    pub fn close(&self) {
        self.handle.end_threads();
        self.handle.core.close();
        self.handle.core.index.end();
        self.handle.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits until the index is up to the log. Blocks.
    pub fn wait_for_index(&self) {
        drop(self.core().index.ready());
    }

    /// Keeps the index now, as is done every so often. Whether it is durable.
    pub fn checkpoint(&self) -> bool {
        self.core().checkpoint()
    }

    /// Drops segments as retention and budget ask, as is done whenever a segment is full.
    pub fn keep_house(&self) {
        self.core().keep(true);
    }

    pub(super) fn core(&self) -> &Core {
        &self.handle.core
    }

    async fn append_records(&self, records: Vec<Record>) -> Result<Appended, AppendError> {
        let core = self.core();
        if core.read_only {
            return Err(AppendError::Closed);
        }
        if records.is_empty() {
            return Ok(Appended { first: *core.head.borrow() + 1, count: 0 });
        }
        if !core.inline {
            return core.queue.append(Payload::New(records)).await;
        }
        let mut appends = [Append::new(Payload::New(records))];
        let begun = core.commit(&mut appends);
        core.keep(begun);
        let [append] = appends;
        core::answer(append)
    }

    fn entry_at(&self, seq: Seq) -> Result<Option<Entry>, ReadError> {
        let moved = self.core().index.ready().state.moved.get(&seq).copied();
        let at = moved.unwrap_or(seq);
        let entry = self.core().log.get(at, decode).map_err(|error| ReadError::Disk(error.to_string()))?;
        self.core().settle_losses();
        Ok(entry.flatten().filter(|entry| entry.seq == seq))
    }
}

fn take_lock(disk: &dyn Disk, dir: &std::path::Path, hold: Hold, holder: &str) -> Result<Box<dyn Send + Sync>, OpenError> {
    disk.lock(&dir.join(LOCK), hold, holder).map_err(|error| match error {
        LockError::Held(holder) => OpenError::Held { dir: dir.to_owned(), holder },
        LockError::Io(error) => OpenError::Disk { dir: dir.to_owned(), error },
    })
}

fn spawn(core: &Arc<Core>) -> io::Result<Vec<JoinHandle<()>>> {
    let (writing, keeping) = (Arc::clone(core), Arc::clone(core));
    let writer = std::thread::Builder::new().name("journal-writer".to_owned()).spawn(move || core::write(&writing))?;
    match std::thread::Builder::new().name("journal-keeper".to_owned()).spawn(move || core::keep(&keeping)) {
        Ok(keeper) => Ok(vec![writer, keeper]),
        Err(error) => {
            core.queue.close();
            Err(error)
        }
    }
}

impl Handle {
    fn end_threads(&self) {
        self.core.queue.close();
        self.core.stop.store(true, Ordering::Relaxed);
        self.core.call_keeper();
        for thread in std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)) {
            if thread.join().is_err() {
                tracing::error!("a thread of the journal ended badly");
            }
        }
        // Nobody may wait for an index that will never be ready.
        self.core.index.end();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end_threads();
        self.core.index.close();
    }
}

/// A record of the log as others know it: one that was carried forward keeps its sequence.
fn decode(frame: &Frame<'_>) -> Option<Entry> {
    if frame.kind != CARRIED {
        return Some(Entry { seq: frame.seq, record: minicbor::decode(frame.payload).ok()? });
    }
    let carried: Carried = minicbor::decode(frame.payload).ok()?;
    Some(Entry { seq: carried.seq, record: minicbor::decode(&carried.payload).ok()? })
}

impl Store for Journal {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append_records(records))
    }

    fn read(&self, from: Seq, limit: usize) -> Result<Vec<Entry>, ReadError> {
        let first = self.core().log.first_seq().unwrap_or(0);
        let carried: Vec<Seq> = self.core().index.ready().state.moved.range(from..).map(|(seq, _)| *seq).take_while(|seq| *seq < first).collect();
        let mut entries = Vec::new();
        for seq in carried.into_iter().take(limit) {
            entries.extend(self.entry_at(seq)?);
        }
        if entries.len() < limit {
            let read = self.core().log.read(from.max(first), |frame| {
                if frame.kind != CARRIED {
                    entries.extend(decode(frame));
                }
                if entries.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            read.map_err(|error| ReadError::Disk(error.to_string()))?;
        }
        self.core().settle_losses();
        Ok(entries)
    }

    fn get(&self, seq: Seq) -> Result<Option<Entry>, ReadError> {
        self.entry_at(seq)
    }

    fn head(&self) -> tokio::sync::watch::Receiver<Seq> {
        self.core().head.subscribe()
    }

    fn pending(&self, to: Destination, after: Seq, limit: usize) -> Vec<Seq> {
        let inner = self.core().index.ready();
        let mut jobs = inner.state.lane(to).pending.iter();
        jobs.advance_to(after.saturating_add(1));
        jobs.take(limit).collect()
    }

    fn pending_count(&self, to: Destination) -> u64 {
        self.core().index.ready().state.lane(to).pending.len()
    }

    fn queue_of(&self, to: Destination, order: OrderKey, before: Seq, limit: usize) -> Vec<Seq> {
        self.core().queue_of(to, order.0, before, limit)
    }

    fn in_doubt(&self, to: Destination) -> Vec<(Seq, Stamp)> {
        let inner = self.core().index.ready();
        let lane = inner.state.lane(to);
        let Some((last, _)) = lane.doubt_to else {
            return lane.in_doubt.iter().map(|(job, stamp)| (*job, *stamp)).collect();
        };
        let beyond = lane.in_doubt.range(last.saturating_add(1)..).map(|(job, stamp)| (*job, *stamp));
        let upto = lane.pending.iter().take_while(|job| *job <= last).filter_map(|job| Some((job, lane.doubt(job)?)));
        upto.chain(beyond).collect()
    }

    fn seen(&self, record: &DeviceRecord) -> bool {
        self.core().index.seen(device_key(record))
    }

    fn open_visits(&self) -> Result<Vec<OpenVisit>, ReadError> {
        let mut places: Vec<Visiting> = self.core().index.ready().state.visits.values().copied().collect();
        places.sort_unstable_by_key(|place| place.visit);
        let read = |at: Seq| self.core().log.get(at, decode).map(|entry| Some(entry??.record)).map_err(|error| ReadError::Disk(error.to_string()));
        let mut visits = Vec::new();
        for place in places {
            let Some(Record::Visit(pass)) = read(place.visit)? else { continue };
            let decision = match place.decided.map(read).transpose()?.flatten() {
                Some(Record::Decided(decided)) => Some(decided.decision),
                _ => None,
            };
            visits.push(OpenVisit { pass, decision });
        }
        self.core().settle_losses();
        Ok(visits)
    }

    fn ledger(&self, key: &LedgerKey) -> Option<String> {
        self.core().index.ledger(key)
    }

    fn anchors(&self) -> Vec<(Seq, Anchor)> {
        self.core().index.ready().state.anchors.iter().map(|(seq, anchor)| (*seq, *anchor)).collect()
    }

    fn dead(&self, to: Destination) -> Vec<DeadLetter> {
        let places: Vec<Seq> = self.core().index.ready().state.lane(to).dead.values().copied().collect();
        let letters = places.into_iter().filter_map(|at| match self.core().log.get(at, decode) {
            Ok(Some(Some(Entry { record: Record::Dead(letter), .. }))) => Some(letter),
            _ => None,
        });
        letters.collect()
    }

    fn totals(&self, to: Destination) -> Totals {
        let inner = self.core().index.ready();
        Totals { passes: self.core().passes.load(Ordering::Acquire), ..inner.state.lane(to).totals }
    }

    fn stat(&self) -> JournalStat {
        let core = self.core();
        let (bytes, segments) = core.log.size();
        let trouble = core.trouble();
        let inner = core.index.now();
        let unsettled_bytes = core.log.segments().iter().map(|segment| needed_bytes(&inner.state, segment)).sum();
        JournalStat {
            bytes,
            segments,
            budget_bytes: core.budget_bytes,
            first_seq: core.log.first_seq().unwrap_or(0),
            last_seq: *core.head.borrow(),
            oldest_unsettled: inner.state.oldest(),
            quarantined: core.log.quarantined(),
            failing: trouble.failing,
            index: if inner.live { inner.word.clone() } else { "catching up".to_owned() },
            unsettled_bytes,
            nearly_full: trouble.full || unsettled_bytes >= core.budget_bytes / 100 * WARN_AT,
            write_failures: trouble.failures,
            torn_bytes: core.torn,
            lost_jobs: inner.state.lost,
        }
    }
}

impl Core {
    fn queue_of(&self, to: Destination, order: u32, before: Seq, limit: usize) -> Vec<Seq> {
        let (oldest, some_moved) = {
            let inner = self.index.ready();
            (inner.state.lane(to).pending.min(), !inner.state.moved.is_empty())
        };
        let Some(oldest) = oldest else { return Vec::new() };
        let mut found = Vec::new();
        for segment in self.log.segments() {
            let last = segment.extent().last_seq;
            if !some_moved && (last < oldest || segment.first_seq >= before) {
                continue;
            }
            if found.len() >= limit && !some_moved || self.index.now().state.needed(segment.first_seq, last) == 0 {
                continue;
            }
            if let Err(error) = self.search(&segment, to, order, before, &mut found) {
                tracing::warn!(%error, segment = segment.ordinal, "a segment cannot be read");
            }
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        found
    }

    fn search(&self, segment: &super::segment::Segment, to: Destination, order: u32, before: Seq, found: &mut Vec<Seq>) -> io::Result<()> {
        self.log.map(segment)?;
        for (mark, end) in segment.stretches_of(order, 0) {
            let mut jobs = Vec::new();
            let _ = self.log.stretch(segment, mark, end, |frame| {
                if frame.order == order && super::state::job_of(frame.flags) == Some(to) {
                    jobs.extend(match frame.kind {
                        CARRIED => minicbor::decode::<Carried>(frame.payload).ok().map(|carried| carried.seq),
                        kind::PASS | kind::WRITE_OFF | kind::CHANGE => Some(frame.seq),
                        _ => None,
                    });
                }
                ControlFlow::Continue(())
            })?;
            let inner = self.index.now();
            found.extend(jobs.into_iter().filter(|job| *job < before && inner.state.lane(to).pending.contains(*job)));
        }
        Ok(())
    }
}
