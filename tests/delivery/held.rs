//! What our side of a test holds in memory: everything that this thread allocates, but for what is done [`apart`], as the sandbox's part of an exchange is.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use limegate::domain::{DeviceRecord, OrderKey, Seq, Stamp};
use limegate::journal::{
    Anchor, AppendError, Appended, BoxFuture, DeadLetter, Destination, Entry, JournalStat, LedgerKey, ReadError, Record, Store, Totals,
};
use tokio::sync::watch;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static MOST: Cell<i64> = const { Cell::new(0) };
    static APART: Cell<u32> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    if APART.try_with(Cell::get) == Ok(0) {
        let _ = HELD.try_with(|held| {
            held.set(held.get() + bytes);
            MOST.try_with(|most| most.set(most.get().max(held.get())))
        });
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: all is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(signed(size) - signed(layout.size()));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Does something for the other side. What it returns is the other side's, too: copy it, and let it go apart.
pub fn apart<T>(work: impl FnOnce() -> T) -> T {
    APART.with(|apart| apart.set(apart.get() + 1));
    let done = work();
    APART.with(|apart| apart.set(apart.get() - 1));
    done
}

/// The same, and a copy of our own of what it returns.
fn copied<T: Clone>(work: impl FnOnce() -> T) -> T {
    let theirs = apart(work);
    let ours = theirs.clone();
    apart(move || drop(theirs));
    ours
}

/// Bytes that our side holds now; what was the most is counted anew from here.
pub fn from_now() -> i64 {
    let held = HELD.with(Cell::get);
    MOST.with(|most| most.set(held));
    held
}

/// The most bytes that our side held since [`from_now`].
pub fn most() -> i64 {
    MOST.with(Cell::get)
}

/// A journal in memory that stands in for one on a disk: what it holds is not ours.
pub struct Elsewhere<S>(pub Arc<S>);

impl<S: Store> Store for Elsewhere<S> {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(async move {
            let theirs = apart(|| records.clone());
            drop(records);
            let mut append = apart(|| self.0.append(theirs));
            let appended = std::future::poll_fn(|context| apart(|| append.as_mut().poll(context))).await;
            apart(move || drop(append));
            appended
        })
    }

    fn read(&self, from: Seq, limit: usize) -> Result<Vec<Entry>, ReadError> {
        copied(|| self.0.read(from, limit))
    }

    fn get(&self, seq: Seq) -> Result<Option<Entry>, ReadError> {
        copied(|| self.0.get(seq))
    }

    fn head(&self) -> watch::Receiver<Seq> {
        self.0.head()
    }

    fn pending(&self, to: Destination, after: Seq, limit: usize) -> Vec<Seq> {
        copied(|| self.0.pending(to, after, limit))
    }

    fn pending_count(&self, to: Destination) -> u64 {
        apart(|| self.0.pending_count(to))
    }

    fn queue_of(&self, to: Destination, order: OrderKey, before: Seq, limit: usize) -> Vec<Seq> {
        copied(|| self.0.queue_of(to, order, before, limit))
    }

    fn in_doubt(&self, to: Destination) -> Vec<(Seq, Stamp)> {
        copied(|| self.0.in_doubt(to))
    }

    fn seen(&self, record: &DeviceRecord) -> bool {
        apart(|| self.0.seen(record))
    }

    fn ledger(&self, key: &LedgerKey) -> Option<String> {
        copied(|| self.0.ledger(key))
    }

    fn anchors(&self) -> Vec<(Seq, Anchor)> {
        copied(|| self.0.anchors())
    }

    fn dead(&self, to: Destination) -> Vec<DeadLetter> {
        copied(|| self.0.dead(to))
    }

    fn totals(&self, to: Destination) -> Totals {
        apart(|| self.0.totals(to))
    }

    fn stat(&self) -> JournalStat {
        copied(|| self.0.stat())
    }
}
