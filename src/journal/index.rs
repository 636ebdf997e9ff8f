//! The index: the state in memory, and the lookups on the shelf (sled), with what is not there yet held in memory.
//!
//! It may lag the log and be lost; then it is made again. While the shelf is out of order, what it alone knew answers "not known", which costs a
//! look-up at the destination, and what is new waits in memory.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use crate::domain::Seq;

use super::record::LedgerKey;
use super::shelf::{Opened, Shelf};
use super::snapshot;
use super::state::{Overlay, State};

/// Lines that wait in memory while the shelf is out of order; beyond it they are found again in the log.
const MOST_WAITING: usize = 100_000;

const OUT_OF_ORDER: &str = "out of order";

/// What is behind the lock.
#[derive(Default)]
pub(super) struct Inner {
    pub state: State,
    /// The state is up to the log.
    pub live: bool,
    /// Nobody needs to wait any longer: the journal is closed.
    pub ended: bool,
    /// Learned since the last checkpoint.
    pub fresh: Overlay,
    /// On its way to the shelf.
    leaving: Overlay,
    /// For status.
    pub word: String,
    /// Covered by the last checkpoint.
    pub kept: Seq,
    /// The shelf misses lines that only the log has.
    pub gaps: bool,
}

/// The index.
pub(super) struct Index {
    inner: Mutex<Inner>,
    turned: Condvar,
    shelf: RwLock<Option<Shelf>>,
    /// Where the shelf is; `None` on a disk that has no place for it: then everything stays in memory.
    dir: Option<PathBuf>,
    cache: u64,
}

impl Index {
    pub fn new(dir: Option<PathBuf>, cache: u64) -> Self {
        let inner = Inner { word: "starting".to_owned(), ..Inner::default() };
        Self { inner: Mutex::new(inner), turned: Condvar::new(), shelf: RwLock::new(None), dir, cache }
    }

    /// Whatever state it is in.
    pub fn now(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Once it is up to the log.
    pub fn ready(&self) -> MutexGuard<'_, Inner> {
        let waiting = |inner: &mut Inner| !inner.live && !inner.ended;
        self.turned.wait_while(self.now(), waiting).unwrap_or_else(PoisonError::into_inner)
    }

    pub fn go_live(&self, inner: &mut Inner) {
        inner.live = true;
        self.turned.notify_all();
    }

    pub fn end(&self) {
        self.now().ended = true;
        self.turned.notify_all();
    }

    /// Opens the shelf and gives the state of its last snapshot.
    pub fn open_shelf(&self) -> Option<State> {
        let Some(dir) = &self.dir else {
            self.now().word = "memory".to_owned();
            return None;
        };
        let (shelf, opened) = match Shelf::open(dir, self.cache) {
            Ok(opened) => opened,
            Err(error) => {
                self.trouble(&error);
                return None;
            }
        };
        let state = match shelf.load() {
            Ok(bytes) => bytes.as_deref().and_then(snapshot::decode),
            Err(error) => {
                shelf.close();
                self.trouble(&error);
                return None;
            }
        };
        let mut inner = self.now();
        inner.word = match &opened {
            Opened::Whole => "ok".to_owned(),
            Opened::New => "new".to_owned(),
            Opened::Mended(why) => format!("mended: {why}"),
            Opened::Replaced(why) => format!("made again from the log: {why}"),
        };
        // Without its snapshot the log tells what the shelf may lack.
        inner.gaps = state.is_none();
        drop(inner);
        *self.shelf.write().unwrap_or_else(PoisonError::into_inner) = Some(shelf);
        state
    }

    /// The shelf is out of order: it is closed, and opened again at a later checkpoint.
    fn trouble(&self, error: &str) {
        if !self.now().word.starts_with(OUT_OF_ORDER) {
            tracing::error!(error, "the index is out of order; the journal goes on without it");
        }
        if let Some(shelf) = self.shelf.write().unwrap_or_else(PoisonError::into_inner).take() {
            shelf.close();
        }
        self.now().word = format!("{OUT_OF_ORDER}: {error}");
    }

    /// Whether the shelf ought to be there and is not.
    pub fn is_out_of_order(&self) -> bool {
        self.dir.is_some() && self.shelf.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Opens the shelf again after trouble. Whether it lacks what only the log has.
    pub fn reopen(&self) -> bool {
        let lacking = self.now().gaps;
        let kept = self.open_shelf();
        let mut inner = self.now();
        inner.gaps = lacking || kept.is_none_or(|kept| kept.covered < inner.kept);
        inner.gaps
    }

    fn ask<T>(&self, what: impl FnOnce(&Shelf) -> Result<T, String>) -> Option<T> {
        let answer = self.shelf.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(what)?;
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.trouble(&error);
                None
            }
        }
    }

    pub fn ledger(&self, key: &LedgerKey) -> Option<String> {
        let inner = self.ready();
        if let Some(value) = inner.fresh.ledger.get(key).or_else(|| inner.leaving.ledger.get(key)) {
            return value.clone();
        }
        drop(inner);
        self.ask(|shelf| shelf.ledger(key)).flatten()
    }

    pub fn seen(&self, key: u128) -> bool {
        let inner = self.ready();
        if inner.fresh.seen.contains_key(&key) || inner.leaving.seen.contains_key(&key) {
            return true;
        }
        drop(inner);
        self.ask(|shelf| shelf.seen(key)).unwrap_or(false)
    }

    /// Forgets devices' records that are too old to come again.
    pub fn forget_seen(&self, keys: &[(u128, Seq)]) {
        if self.dir.is_none() {
            self.now().fresh.seen.retain(|key, seq| !keys.contains(&(*key, *seq)));
        }
        let _ = self.ask(|shelf| shelf.forget_seen(keys));
    }

    /// Puts lines on the shelf that were found in the log.
    pub fn put(&self, overlay: &mut Overlay) {
        if self.dir.is_some() && self.ask(|shelf| shelf.put(overlay)).is_some() {
            *overlay = Overlay::default();
            return;
        }
        let mut inner = self.now();
        inner.fresh.merge(std::mem::take(overlay));
        inner.bound(self.dir.is_some());
    }

    /// Makes state and lookups durable on the shelf. Whether they are.
    pub fn checkpoint(&self) -> bool {
        let (snapshot, covered) = {
            let mut inner = self.now();
            if !inner.live {
                return false;
            }
            if self.dir.is_none() {
                inner.kept = inner.state.covered;
                return true;
            }
            let fresh = std::mem::take(&mut inner.fresh);
            inner.leaving.merge(fresh);
            (snapshot::encode(&mut inner.state), inner.state.covered)
        };
        // Only a checkpoint changes `leaving`, and there is one at a time.
        let leaving = self.now().leaving.clone();
        let kept = self.ask(|shelf| {
            shelf.put(&leaving)?;
            shelf.save(&snapshot)
        });
        let mut inner = self.now();
        if kept.is_none() {
            inner.bound(true);
            return false;
        }
        inner.leaving = Overlay::default();
        inner.kept = covered;
        true
    }

    pub fn close(&self) {
        if let Some(shelf) = self.shelf.write().unwrap_or_else(PoisonError::into_inner).take() {
            shelf.close();
        }
    }
}

impl Inner {
    /// While the shelf is out of order the lines that wait for it do not grow without bound.
    fn bound(&mut self, shelf: bool) {
        if shelf && self.fresh.len() + self.leaving.len() > MOST_WAITING {
            tracing::warn!("too much is learned while the index is out of order; it will be read from the log again");
            (self.fresh, self.leaving) = (Overlay::default(), Overlay::default());
            self.gaps = true;
        }
    }
}

impl Overlay {
    fn merge(&mut self, newer: Self) {
        self.ledger.extend(newer.ledger);
        self.seen.extend(newer.seen);
    }
}
