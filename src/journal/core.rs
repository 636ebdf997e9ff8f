//! What the journal's threads share: log, index and writer, and how they act together.
//!
//! Order of locks: writer, then index, then segments. A commit is applied to the index before anyone is told of it.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::SharedClock;
use crate::domain::Seq;

use super::index::Index;
use super::log::Log;
use super::queue::Queue;
use super::state::{Overlay, State};
use super::store::{AppendError, Appended};
use super::tip::Tip;
use super::writer::{Append, Payload, Trouble, Writer};

/// A checkpoint is due after so many records. Reading them again takes a fraction of a second.
const RECORDS_A_CHECKPOINT: u64 = 32_768;
/// Or so many lines for the shelf.
const LINES_A_CHECKPOINT: usize = 4_096;
/// Or, when anything changed, so many milliseconds. The log is the truth: a checkpoint spares time at the next start, and each costs the card some
/// blocks.
const MS_A_CHECKPOINT: u64 = 300_000;
/// A shelf that is out of order is tried again after so many milliseconds.
const MS_A_REOPENING: u64 = 10_000;
/// How often the keeper looks around when nothing wakes it.
const ROUND: Duration = Duration::from_secs(5);

/// Shared by the handle and the threads.
pub(super) struct Core {
    pub log: Arc<Log>,
    pub index: Index,
    pub clock: SharedClock,
    pub segment_bytes: u64,
    pub budget_bytes: u64,
    pub retain: Duration,
    pub inline: bool,
    pub read_only: bool,
    pub torn: u64,
    pub queue: Queue,
    pub head: watch::Sender<Seq>,
    pub passes: AtomicU64,
    writer: Mutex<Option<Writer>>,
    trouble: Mutex<Trouble>,
    keeper: Mutex<Woken>,
    wake: Condvar,
    pub stop: AtomicBool,
    tip: Mutex<Tip>,
    checkpoint_ms: AtomicU64,
    reopening_ms: AtomicU64,
}

#[derive(Default)]
struct Woken {
    called: bool,
}

/// What a core begins with.
pub(super) struct Parts {
    pub log: Arc<Log>,
    pub index: Index,
    pub clock: SharedClock,
    pub segment_bytes: u64,
    pub budget_bytes: u64,
    pub retain: Duration,
    pub inline: bool,
    pub writer: Option<Writer>,
    pub torn: u64,
    pub tip: Tip,
}

fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub fn new(parts: Parts) -> Self {
        let last = parts.writer.as_ref().map_or_else(|| parts.log.last_seq(), Writer::last_seq);
        let passes = parts.writer.as_ref().map_or(0, Writer::passes);
        let now = parts.clock.boot_ms();
        Self {
            log: parts.log,
            index: parts.index,
            clock: parts.clock,
            segment_bytes: parts.segment_bytes,
            budget_bytes: parts.budget_bytes,
            retain: parts.retain,
            inline: parts.inline,
            read_only: parts.writer.is_none(),
            torn: parts.torn,
            queue: Queue::new(),
            head: watch::Sender::new(last),
            passes: AtomicU64::new(passes),
            writer: Mutex::new(parts.writer),
            trouble: Mutex::default(),
            keeper: Mutex::default(),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
            tip: Mutex::new(parts.tip),
            checkpoint_ms: AtomicU64::new(now),
            reopening_ms: AtomicU64::new(now),
        }
    }

    pub fn trouble(&self) -> Trouble {
        hold(&self.trouble).clone()
    }

    /// Commits and applies; whether a new segment was begun or is wanted.
    pub fn commit(&self, appends: &mut [Append]) -> bool {
        let mut guard = hold(&self.writer);
        let Some(writer) = guard.as_mut() else {
            for append in appends {
                append.done = Some(Err(AppendError::Closed));
            }
            return false;
        };
        writer.commit(appends);
        self.apply(appends);
        self.passes.store(writer.passes(), Ordering::Release);
        *hold(&self.trouble) = writer.trouble.clone();
        self.head.send_if_modified(|head| std::mem::replace(head, writer.last_seq()) != writer.last_seq());
        writer.take_rolled()
    }

    /// Carries records forward that are still needed when nothing else can be written.
    pub fn carry(&self, choose: impl FnOnce(&State) -> Vec<super::state::Carried>) -> Result<(), AppendError> {
        let mut guard = hold(&self.writer);
        let Some(writer) = guard.as_mut() else { return Err(AppendError::Closed) };
        let carried = choose(&self.index.now().state);
        if carried.is_empty() {
            return Ok(());
        }
        let mut appends = [Append::new(Payload::Carry(carried))];
        writer.commit(&mut appends);
        self.apply(&appends);
        *hold(&self.trouble) = writer.trouble.clone();
        self.head.send_if_modified(|head| std::mem::replace(head, writer.last_seq()) != writer.last_seq());
        let [append] = appends;
        append.done.unwrap_or(Err(AppendError::Closed)).map(|_| ())
    }

    fn apply(&self, appends: &[Append]) {
        let mut inner = self.index.now();
        if !inner.live {
            return;
        }
        let inner = &mut *inner;
        // The keeper may have read them from the log already.
        let covered = inner.state.covered;
        for append in appends {
            let Some(Ok(heads)) = &append.done else { continue };
            match &append.payload {
                Payload::New(records) => {
                    for (head, record) in heads.iter().zip(records).filter(|(head, _)| head.seq > covered) {
                        inner.state.apply(*head, record, &mut inner.fresh);
                    }
                }
                Payload::Carry(records) => {
                    for (head, record) in heads.iter().zip(records).filter(|(head, _)| head.seq > covered) {
                        // It was decoded to be carried.
                        let _ = inner.state.apply_carried(head.seq, record, &mut inner.fresh);
                    }
                }
            }
        }
    }

    /// Ordinal of the segment that is being written.
    pub fn current_ordinal(&self) -> Option<u64> {
        hold(&self.writer).as_ref().and_then(Writer::current_ordinal)
    }

    /// Brings the index up to the log: from its snapshot where there is one.
    pub fn catch_up(&self) {
        let mut state = if self.read_only { State::default() } else { self.index.open_shelf().unwrap_or_default() };
        if state.covered > *self.head.borrow() {
            tracing::error!(covered = state.covered, log = *self.head.borrow(), "the index knows more than the log; it is made again from the log");
            state = State::default();
        }
        let (kept, mut overlay) = (state.covered, Overlay::default());
        loop {
            let before = state.covered;
            if !self.replay(&mut state, &mut overlay) {
                return;
            }
            if state.covered.saturating_sub(before) < RECORDS_A_CHECKPOINT {
                break;
            }
        }
        // The rest with the writer at rest, so that nothing comes in between.
        let writer = hold(&self.writer);
        if !self.replay(&mut state, &mut overlay) {
            return;
        }
        self.index.put(&mut overlay);
        let mut inner = self.index.now();
        state.passes = state.passes.max(self.passes.load(Ordering::Acquire));
        inner.state = state;
        inner.kept = kept;
        // Without a snapshot everything was read, so that the shelf lacks nothing; unless there is no shelf.
        inner.gaps &= self.index.is_out_of_order();
        self.index.go_live(&mut inner);
        drop(inner);
        drop(writer);
        self.settle_losses();
    }

    /// Applies what the log has beyond the state; false when the journal stops meanwhile.
    fn replay(&self, state: &mut State, overlay: &mut Overlay) -> bool {
        for segment in self.log.segments() {
            if segment.extent().last_seq <= state.covered {
                continue;
            }
            let (from, upto) = (state.covered, segment.extent().last_seq);
            let (mut damaged, mut missing) = (false, false);
            let read = self.log.scan(
                &segment,
                |frame| {
                    if frame.seq > from && state.apply_frame(frame, overlay).is_err() {
                        self.log.report_missing(segment.ordinal, frame.at, frame.seq, 1, "a record cannot be decoded");
                        damaged = true;
                    }
                    if overlay.len() >= LINES_A_CHECKPOINT {
                        self.index.put(overlay);
                    }
                    if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
                |first, count| missing |= first.saturating_add(count) > from,
            );
            match read {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return false,
                Err(error) => {
                    tracing::error!(%error, segment = segment.ordinal, "a segment cannot be read; its records count as damaged");
                    let first = segment.first_seq.max(from + 1);
                    self.log.report_missing(segment.ordinal, 0, first, (upto + 1).saturating_sub(first), "it cannot be read");
                    damaged = true;
                }
            }
            state.covered = state.covered.max(upto);
            if damaged || missing {
                state.doubt_all(segment.stamp.unwrap_or_else(|| self.clock.stamp()));
            }
        }
        true
    }

    /// Jobs whose records turned out damaged wait no longer: nothing is left to deliver.
    pub fn settle_losses(&self) {
        let lost = self.log.take_lost();
        if lost.is_empty() {
            return;
        }
        let mut inner = self.index.now();
        for loss in lost {
            let jobs = inner.state.lose(loss.first, loss.count);
            if jobs > 0 {
                tracing::error!(first_seq = loss.first, records = loss.count, jobs, "jobs are lost with their damaged records");
            }
        }
    }

    /// Wakes the keeper.
    pub fn call_keeper(&self) {
        hold(&self.keeper).called = true;
        self.wake.notify_all();
    }

    /// Sleeps until called or the round is over; whether it was called.
    pub fn wait_for_call(&self) -> bool {
        let keeper = hold(&self.keeper);
        let quiet = |woken: &mut Woken| !woken.called && !self.stop.load(Ordering::Relaxed);
        let (mut woken, _) = self.wake.wait_timeout_while(keeper, ROUND, quiet).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut woken.called)
    }

    /// Checkpoint and retention, where they are due.
    pub fn keep(&self, begun: bool) {
        self.settle_losses();
        self.mend_shelf();
        let due = {
            let inner = self.index.now();
            let behind = inner.state.covered - inner.kept.min(inner.state.covered);
            let late = self.clock.boot_ms().saturating_sub(self.checkpoint_ms.load(Ordering::Relaxed)) >= MS_A_CHECKPOINT;
            inner.live && (behind >= RECORDS_A_CHECKPOINT || inner.fresh.len() >= LINES_A_CHECKPOINT || behind > 0 && late)
        };
        if due && !self.index.is_out_of_order() {
            self.checkpoint();
        }
        if begun {
            self.make_room();
        }
    }

    fn mend_shelf(&self) {
        let now = self.clock.boot_ms();
        if !self.index.is_out_of_order() || now.saturating_sub(self.reopening_ms.load(Ordering::Relaxed)) < MS_A_REOPENING {
            return;
        }
        self.reopening_ms.store(now, Ordering::Relaxed);
        if self.index.reopen() && !self.index.is_out_of_order() {
            self.read_lookups_again();
        }
    }

    /// The shelf is new: its lines are read from the log again, as far as that reaches.
    fn read_lookups_again(&self) {
        let (mut aside, mut overlay) = (State::default(), Overlay::default());
        if self.replay(&mut aside, &mut overlay) {
            self.index.put(&mut overlay);
            let done = !self.index.is_out_of_order();
            self.index.now().gaps &= !done;
        }
    }

    /// Says how far the log reaches, and keeps state and lookups.
    pub fn checkpoint(&self) -> bool {
        self.checkpoint_ms.store(self.clock.boot_ms(), Ordering::Relaxed);
        let mut tip = hold(&self.tip);
        let next = Tip { count: tip.count + 1, last_seq: *self.head.borrow(), passes: self.passes.load(Ordering::Acquire) };
        if next.last_seq != tip.last_seq {
            match next.write(self.log.disk.as_ref(), &self.log.dir) {
                Ok(()) => *tip = next,
                Err(error) => tracing::warn!(%error, "how far the log reaches could not be written down"),
            }
        }
        // One checkpoint at a time: the tip is held until it is done.
        let kept = self.index.checkpoint();
        drop(tip);
        kept
    }

    /// A clean end.
    pub fn close(&self) {
        if self.read_only {
            return;
        }
        let unsaved = {
            let inner = self.index.now();
            inner.live && (inner.kept < inner.state.covered)
        };
        if unsaved {
            self.checkpoint();
        }
        if let Some(mut writer) = hold(&self.writer).take() {
            writer.close();
        }
        self.index.close();
    }
}

/// The writer's thread: takes what waits, commits it together, tells everyone.
pub(super) fn write(core: &Core) {
    let mut answered = 0;
    while let Some(waiting) = core.queue.take(answered) {
        answered = waiting.len();
        let (mut appends, tells): (Vec<Append>, Vec<_>) = waiting.into_iter().map(|waiting| (waiting.append, waiting.tell)).unzip();
        let begun = core.commit(&mut appends);
        for (append, tell) in appends.into_iter().zip(tells) {
            // Who stopped waiting has it in the log all the same.
            let _ = tell.send(answer(append));
        }
        if begun {
            core.call_keeper();
        }
    }
}

/// What the one who appended is told.
pub(super) fn answer(append: Append) -> Result<Appended, AppendError> {
    let heads = append.done.unwrap_or(Err(AppendError::Closed))?;
    Ok(Appended { first: heads.first().map_or(0, |head| head.seq), count: heads.len() })
}

/// The keeper's thread: brings the index up to the log, then keeps house.
pub(super) fn keep(core: &Core) {
    core.catch_up();
    core.draw_maps();
    let mut called = true;
    while !core.stop.load(Ordering::Relaxed) {
        core.keep(called);
        called = core.wait_for_call();
    }
}
