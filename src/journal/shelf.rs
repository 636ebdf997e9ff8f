//! sled, contained: ledger lines, devices' records and snapshots on disk, for looking up. All of it can be made again from the log, as far as that
//! reaches.
//!
//! sled 0.34.7 does not sync by itself, can panic on a damaged file, and keeps an error until it is opened again. So: every call runs inside
//! `catch_unwind`; a flush is followed by our own `fdatasync` on its file; after any trouble the handle is dropped, and opening goes through a ladder
//! that ends with the folder moved aside and a new one. Its lock may outlive it for a moment (its own threads end after it, and a program that is being
//! started has all files of this process), which is waited for and is no damage: the journal's own lock says who may open it. Never: a panic or an error
//! of sled's that reaches the gateway; more than 256 operations at a time; values over 4 KB.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use sled::{Batch, Db, Tree};

use crate::domain::Seq;

use super::record::LedgerKey;
use super::state::Overlay;

/// Most operations in one batch.
const MOST_OPS: usize = 256;
/// Longest value, bytes.
const LONGEST: usize = 4000;
/// How long sled's lock may outlive what took it. Longer only after a panic, which leaves it behind for good.
const RELEASED: Duration = Duration::from_secs(5);
/// Where the newest snapshot is said.
const SNAPSHOT: &[u8] = b"snapshot";

/// How the shelf was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// As it was left.
    Whole,
    /// For the first time.
    New,
    /// With something of it lost, and why.
    Mended(String),
    /// Anew, for what was there could not be opened: why.
    Replaced(String),
}

/// An open sled.
pub(super) struct Shelf {
    dir: PathBuf,
    db: Db,
    ledger: Tree,
    seen: Tree,
    snapshots: Tree,
}

/// Runs what may panic inside sled.
fn contained<T>(what: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(format!("panicked: {}", panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

impl Shelf {
    /// Opens it, whatever it takes.
    ///
    /// # Errors
    /// When not even a new folder can be opened: the disk is full or broken. Trying again later may help.
    pub fn open(dir: &Path, cache: u64) -> Result<(Self, Opened), String> {
        if !dir.join("db").exists() {
            // A folder without its file was never used.
            return Self::at(dir, cache).map(|shelf| (shelf, Opened::New));
        }
        if !released(&dir.join("db")) {
            tracing::warn!("the index is still locked by an earlier use of it");
        }
        sweep(dir, ".generating", true);
        let first = match Self::at(dir, cache) {
            Ok(shelf) => return Ok((shelf, Opened::Whole)),
            Err(error) => error,
        };
        tracing::warn!(error = %first, "the index cannot be opened as it is; trying without its snapshot");
        sweep(dir, "snap.", false);
        if let Ok(shelf) = Self::at(dir, cache) {
            return Ok((shelf, Opened::Mended(first)));
        }
        let _ = std::fs::remove_file(dir.join("conf"));
        if let Ok(shelf) = Self::at(dir, cache) {
            return Ok((shelf, Opened::Mended(first)));
        }
        // Its lock may still be held after a panic: rename first, then open under the old name.
        let aside = dir.with_extension("damaged");
        let _ = std::fs::remove_dir_all(&aside);
        std::fs::rename(dir, &aside).map_err(|error| format!("{first}; and it cannot be moved aside: {error}"))?;
        tracing::error!(error = %first, aside = %aside.display(), "the index is damaged; it is moved aside and made again from the log");
        Self::at(dir, cache).map(|shelf| (shelf, Opened::Replaced(first)))
    }

    fn at(dir: &Path, cache: u64) -> Result<Self, String> {
        let new = !dir.join("db").exists();
        let (db, ledger, seen, snapshots) = contained(|| {
            let db = sled::Config::new().path(dir).cache_capacity(cache).flush_every_ms(None).open()?;
            let (ledger, seen, snapshots) = (db.open_tree("ledger")?, db.open_tree("seen")?, db.open_tree("snapshots")?);
            Ok((db, ledger, seen, snapshots))
        })?;
        let shelf = Self { dir: dir.to_owned(), db, ledger, seen, snapshots };
        if new {
            shelf.flush()?;
            for name in ["conf", "blobs", ""] {
                let _ = File::open(dir.join(name)).and_then(|file| file.sync_all());
            }
            if let Some(parent) = dir.parent() {
                let _ = File::open(parent).and_then(|file| file.sync_all());
            }
        }
        Ok(shelf)
    }

    /// The ledger's value under a key.
    pub fn ledger(&self, key: &LedgerKey) -> Result<Option<String>, String> {
        let name = ledger_name(key);
        contained(|| read_long(&self.ledger, &name)).map(|value| value.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// Whether a device's record was taken.
    pub fn seen(&self, key: u128) -> Result<bool, String> {
        contained(|| self.seen.contains_key(key.to_be_bytes()))
    }

    /// Writes what was learned. Not durable until [`Shelf::flush`].
    pub fn put(&self, overlay: &Overlay) -> Result<(), String> {
        contained(|| {
            let mut seen = Batches::new(&self.seen);
            for (key, seq) in &overlay.seen {
                seen.insert(&key.to_be_bytes(), &seq.to_le_bytes())?;
            }
            seen.finish()?;
            let mut ledger = Batches::new(&self.ledger);
            for (key, value) in &overlay.ledger {
                write_long(&mut ledger, &ledger_name(key), value.as_ref().map(String::as_bytes))?;
            }
            ledger.finish()
        })
    }

    /// Forgets devices' records of a segment that goes.
    pub fn forget_seen(&self, keys: &[(u128, Seq)]) -> Result<(), String> {
        contained(|| {
            let mut batches = Batches::new(&self.seen);
            for (key, seq) in keys {
                let key = key.to_be_bytes();
                // The same record may have come again later.
                if self.seen.get(key)?.is_some_and(|at| *at == seq.to_le_bytes()) {
                    batches.remove(&key)?;
                }
            }
            batches.finish()
        })
    }

    /// Keeps a snapshot beside the one before it, which goes when the new one is durable.
    pub fn save(&self, snapshot: &[u8]) -> Result<(), String> {
        let old = contained(|| self.snapshots.get(SNAPSHOT))?.as_deref().and_then(Stamp::decode);
        let generation = old.map_or(1, |old| old.generation + 1);
        let chunks = snapshot.chunks(LONGEST).count();
        contained(|| {
            let mut batches = Batches::new(&self.snapshots);
            for (index, chunk) in snapshot.chunks(LONGEST).enumerate() {
                batches.insert(&chunk_name(generation, index), chunk)?;
            }
            batches.finish()
        })?;
        self.flush()?;
        let stamp = Stamp { generation, chunks: chunks as u64, sum: crc32c::crc32c(snapshot) };
        contained(|| self.snapshots.insert(SNAPSHOT, stamp.encode()))?;
        self.flush()?;
        let Some(old) = old else { return Ok(()) };
        contained(|| {
            let mut batches = Batches::new(&self.snapshots);
            for index in 0..usize::try_from(old.chunks).unwrap_or(0) {
                batches.remove(&chunk_name(old.generation, index))?;
            }
            batches.finish()
        })
    }

    /// The newest snapshot, if it is whole.
    pub fn load(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(stamp) = contained(|| self.snapshots.get(SNAPSHOT))?.as_deref().and_then(Stamp::decode) else { return Ok(None) };
        let mut snapshot = Vec::new();
        for index in 0..usize::try_from(stamp.chunks).unwrap_or(0) {
            match contained(|| self.snapshots.get(chunk_name(stamp.generation, index)))? {
                Some(chunk) => snapshot.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
        Ok((crc32c::crc32c(&snapshot) == stamp.sum).then_some(snapshot))
    }

    /// Makes everything durable: sled's own flush writes, and only ours syncs.
    pub fn flush(&self) -> Result<(), String> {
        contained(|| self.db.flush())?;
        File::open(self.dir.join("db")).and_then(|file| file.sync_data()).map_err(|error| error.to_string())
    }

    /// Ends it; a panic while it closes stays here.
    pub fn close(self) {
        let closed = contained(move || {
            drop(self);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::warn!(%error, "the index did not close cleanly");
        }
    }
}

/// Waits until nobody holds sled's lock on its file; whether that came about.
fn released(file: &Path) -> bool {
    let free = |file: &File| file.try_lock().is_ok() && file.unlock().is_ok();
    // What cannot be opened or has no locks is sled's to report.
    let Ok(file) = File::open(file) else { return true };
    if free(&file) {
        return true;
    }
    let (tell, told) = mpsc::channel();
    let waiting = std::thread::Builder::new().name("index-lock".to_owned()).spawn(move || {
        let _ = file.lock().and_then(|()| file.unlock());
        let _ = tell.send(());
    });
    waiting.is_ok() && told.recv_timeout(RELEASED).is_ok()
}

/// Removes files of sled's by a part of their name.
fn sweep(dir: &Path, part: &str, at_end: bool) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if (if at_end { name.ends_with(part) } else { name.starts_with(part) })
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(%error, file = %name, "a file of the index could not be removed");
        }
    }
}

#[derive(Clone, Copy)]
struct Stamp {
    generation: u64,
    chunks: u64,
    sum: u32,
}

impl Stamp {
    fn encode(self) -> Vec<u8> {
        [&self.generation.to_le_bytes()[..], &self.chunks.to_le_bytes(), &self.sum.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            generation: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            chunks: u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?),
            sum: u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?),
        })
    }
}

fn chunk_name(generation: u64, index: usize) -> Vec<u8> {
    [&b"chunk"[..], &generation.to_be_bytes(), &(index as u64).to_be_bytes()].concat()
}

/// Kind, a zero byte, key: no two keys give one name, for a kind holds no zero byte. Long ones are hashed.
fn ledger_name(key: &LedgerKey) -> Vec<u8> {
    let name = [key.kind.as_bytes(), &[0], key.key.as_bytes()].concat();
    if name.len() <= 512 { name } else { uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &name).as_bytes().to_vec() }
}

/// A value that may be longer than sled should hold: the first piece says how many follow.
fn write_long(batches: &mut Batches<'_>, name: &[u8], value: Option<&[u8]>) -> Result<(), sled::Error> {
    let Some(value) = value else { return batches.remove(name) };
    let pieces = value.len() / LONGEST;
    let mut first = u32::try_from(pieces).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    first.extend_from_slice(value.get(..value.len().min(LONGEST)).unwrap_or_default());
    for (index, piece) in value.chunks(LONGEST).skip(1).enumerate() {
        batches.insert(&piece_name(name, index), piece)?;
    }
    batches.insert(name, &first)
}

fn read_long(tree: &Tree, name: &[u8]) -> Result<Option<Vec<u8>>, sled::Error> {
    let Some(first) = tree.get(name)? else { return Ok(None) };
    let (Some(pieces), Some(rest)) = (first.get(..4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes), first.get(4..)) else {
        return Ok(None);
    };
    let mut value = rest.to_vec();
    for index in 0..pieces as usize {
        match tree.get(piece_name(name, index))? {
            Some(piece) => value.extend_from_slice(&piece),
            None => break,
        }
    }
    Ok(Some(value))
}

fn piece_name(name: &[u8], index: usize) -> Vec<u8> {
    [&[0], name, &(index as u64).to_be_bytes()].concat()
}

/// Operations, applied a bounded number at a time.
struct Batches<'a> {
    tree: &'a Tree,
    batch: Batch,
    ops: usize,
}

impl<'a> Batches<'a> {
    fn new(tree: &'a Tree) -> Self {
        Self { tree, batch: Batch::default(), ops: 0 }
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<(), sled::Error> {
        self.batch.insert(key, value);
        self.step()
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), sled::Error> {
        self.batch.remove(key);
        self.step()
    }

    fn step(&mut self) -> Result<(), sled::Error> {
        self.ops += 1;
        if self.ops >= MOST_OPS { self.finish() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), sled::Error> {
        self.ops = 0;
        self.tree.apply_batch(std::mem::take(&mut self.batch))
    }
}
