//! A disk in memory that loses power, fills up, refuses and rots on demand. For tests and simulations.
//!
//! A write is seen at once and durable only after `sync_data`; a name only after `sync_dir`. At a power cut each unsynced 512-byte sector, length and
//! name may be there or not, by the seed: that covers writes that are dropped, reordered and torn. A failed sync loses what it was to make durable,
//! and a later one that succeeds does not bring it back, as on Linux. Clones share one disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Access, Disk, DiskFile, Hold, LockError};

/// The unit that a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No space left (ENOSPC).
    Full,
    /// Input/output error (EIO).
    Io,
    /// Half of a write is written; for other operations the same as `Io`.
    Short,
}

/// What is tried at the next operations.
#[derive(Clone, Copy, Debug)]
struct Planned {
    from: u64,
    until: u64,
    fault: Fault,
}

/// A change of the disk, as the trace keeps it.
#[derive(Clone, Debug)]
enum Op {
    Create(PathBuf),
    Write { inode: usize, offset: usize, bytes: Vec<u8> },
    Len { inode: usize, len: usize },
    SyncData(usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    CreateDir(PathBuf),
    SyncDir(PathBuf),
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Len(usize),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// A name that appeared, changed or went, and is not durable yet.
#[derive(Clone, Debug)]
struct NameChange {
    path: PathBuf,
    inode: Option<usize>,
}

#[derive(Default)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    trace: Option<Vec<Op>>,
    plan: Option<Planned>,
    ops: u64,
    written: u64,
    syncs: u64,
    capacity: Option<u64>,
}

/// A disk in memory.
#[derive(Clone, Default)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

struct SimFile {
    world: Arc<Mutex<World>>,
    inode: usize,
}

struct SimLock {
    world: Arc<Mutex<World>>,
    path: PathBuf,
}

impl SimDisk {
    /// An empty disk without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk that remembers every change, for [`SimDisk::at_cut`].
    #[must_use]
    pub fn traced() -> Self {
        let disk = Self::default();
        disk.world().trace = Some(Vec::new());
        disk
    }

    /// Changes so far: writes, lengths, names and syncs. An operation that failed counts.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.world().ops
    }

    /// Changes in the trace.
    #[must_use]
    pub fn trace_len(&self) -> usize {
        self.world().trace.as_ref().map_or(0, Vec::len)
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.world().written
    }

    /// Data syncs so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.world().syncs
    }

    /// The `nth` change from now (0 is the next) and the `times - 1` after it fail.
    pub fn fail_at(&self, nth: u64, times: u64, fault: Fault) {
        let mut world = self.world();
        let from = world.ops + nth;
        world.plan = Some(Planned { from, until: from.saturating_add(times), fault });
    }

    /// The disk works again.
    pub fn heal(&self) {
        self.world().plan = None;
    }

    /// The disk holds so many bytes in all; what would exceed it fails with ENOSPC. `None`: no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world().capacity = bytes;
    }

    /// The disk after a power cut now. The old one is left as it is.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> Self {
        let after = self.world().cut(seed);
        Self { world: Arc::new(Mutex::new(after)) }
    }

    /// The disk after a power cut behind the first `prefix` changes of the trace.
    #[must_use]
    pub fn at_cut(&self, prefix: usize, seed: u64) -> Self {
        let mut world = World::default();
        let source = self.world();
        for op in source.trace.iter().flatten().take(prefix) {
            world.apply(op.clone());
        }
        drop(source);
        Self { world: Arc::new(Mutex::new(world.cut(seed))) }
    }

    /// The files that are there.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.world().names.keys().cloned().collect()
    }

    /// A file's bytes.
    #[must_use]
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let world = self.world();
        world.names.get(path).and_then(|inode| world.inodes.get(*inode)).map(|inode| inode.now.clone())
    }

    /// Damages a file behind the journal's back, durably.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        let Some(inode) = world.names.get(path).copied() else { return };
        if let Some(inode) = world.inodes.get_mut(inode) {
            change(&mut inode.now);
            inode.durable = inode.now.clone();
            inode.pending.clear();
        }
    }

    /// A copy that shares nothing with this one, as if synced.
    #[must_use]
    pub fn copy(&self) -> Self {
        let world = self.world();
        let inodes = world.inodes.iter().map(|inode| Inode { now: inode.now.clone(), durable: inode.now.clone(), pending: Vec::new() }).collect();
        let copy = World { inodes, names: world.names.clone(), durable_names: world.names.clone(), dirs: world.dirs.clone(), ..World::default() };
        Self { world: Arc::new(Mutex::new(copy)) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// Counts the operation; an error when it is to fail.
    fn attempt(&mut self) -> Result<(), Fault> {
        let at = self.ops;
        self.ops += 1;
        match self.plan {
            Some(plan) if (plan.from..plan.until).contains(&at) => Err(plan.fault),
            _ => Ok(()),
        }
    }

    fn note(&mut self, op: Op) {
        if let Some(trace) = &mut self.trace {
            trace.push(op);
        }
    }

    fn run(&mut self, op: Op) -> io::Result<()> {
        self.attempt().map_err(Fault::error)?;
        self.note(op.clone());
        self.apply(op);
        Ok(())
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|inode| self.inodes.get(*inode)).map(|inode| inode.now.len() as u64).sum()
    }

    fn has_room(&self, inode: usize, len: usize) -> bool {
        let grows = self.inodes.get(inode).map_or(0, |inode| len.saturating_sub(inode.now.len()));
        self.capacity.is_none_or(|capacity| grows == 0 || self.used() + grows as u64 <= capacity)
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Create(path) => {
                self.inodes.push(Inode::default());
                let inode = self.inodes.len() - 1;
                self.names.insert(path.clone(), inode);
                self.pending_names.push(NameChange { path, inode: Some(inode) });
            }
            Op::Write { inode, offset, bytes } => {
                self.written += bytes.len() as u64;
                if let Some(inode) = self.inodes.get_mut(inode) {
                    let change = Change::Write { offset, bytes };
                    change.apply(&mut inode.now);
                    inode.pending.push(change);
                }
            }
            Op::Len { inode, len } => {
                if let Some(inode) = self.inodes.get_mut(inode) {
                    inode.now.resize(len, 0);
                    inode.pending.push(Change::Len(len));
                }
            }
            Op::SyncData(inode) => {
                self.syncs += 1;
                if let Some(inode) = self.inodes.get_mut(inode) {
                    for change in std::mem::take(&mut inode.pending) {
                        change.apply(&mut inode.durable);
                    }
                }
            }
            Op::Rename(from, to) => {
                if let Some(inode) = self.names.remove(&from) {
                    self.names.insert(to.clone(), inode);
                    self.pending_names.push(NameChange { path: to, inode: Some(inode) });
                    self.pending_names.push(NameChange { path: from, inode: None });
                }
            }
            Op::Remove(path) => {
                self.names.remove(&path);
                self.pending_names.push(NameChange { path, inode: None });
            }
            Op::CreateDir(path) => {
                self.dirs.insert(path);
            }
            Op::SyncDir(dir) => {
                for change in std::mem::take(&mut self.pending_names) {
                    if change.path.parent() == Some(dir.as_path()) {
                        change.apply(&mut self.durable_names);
                    } else {
                        self.pending_names.push(change);
                    }
                }
            }
        }
    }

    /// What is there after the power comes back.
    fn cut(&self, seed: u64) -> World {
        let mut dice = fastrand::Rng::with_seed(seed);
        let chance = Chance::of(&mut dice);
        let mut names = self.durable_names.clone();
        for change in &self.pending_names {
            if chance.keeps(&mut dice) {
                change.apply(&mut names);
            }
        }
        let mut inodes = Vec::with_capacity(self.inodes.len());
        for inode in &self.inodes {
            let mut bytes = inode.durable.clone();
            for change in &inode.pending {
                change.apply_torn(&mut bytes, chance, &mut dice);
            }
            inodes.push(Inode { now: bytes.clone(), durable: bytes, pending: Vec::new() });
        }
        World { inodes, durable_names: names.clone(), names, dirs: self.dirs.clone(), ..World::default() }
    }
}

/// How much of what was not synced survives.
#[derive(Clone, Copy)]
enum Chance {
    Nothing,
    Everything,
    Half,
    Most,
}

impl Chance {
    fn of(dice: &mut fastrand::Rng) -> Self {
        match dice.u8(0..6) {
            0 => Self::Nothing,
            1 => Self::Everything,
            2 => Self::Most,
            _ => Self::Half,
        }
    }

    fn keeps(self, dice: &mut fastrand::Rng) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Half => dice.bool(),
            Self::Most => dice.u8(0..8) > 0,
        }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(to, *offset, bytes),
            Self::Len(len) => to.resize(*len, 0),
        }
    }

    fn apply_torn(&self, to: &mut Vec<u8>, chance: Chance, dice: &mut fastrand::Rng) {
        match self {
            Self::Write { offset, bytes } => {
                let mut at = 0;
                while at < bytes.len() {
                    let end = (at + SECTOR - (offset + at) % SECTOR).min(bytes.len());
                    if let Some(sector) = bytes.get(at..end)
                        && chance.keeps(dice)
                    {
                        put(to, offset + at, sector);
                    }
                    at = end;
                }
            }
            Self::Len(len) => {
                if chance.keeps(dice) {
                    to.resize(*len, 0);
                }
            }
        }
    }
}

fn put(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if to.len() < offset + bytes.len() {
        to.resize(offset + bytes.len(), 0);
    }
    if let Some(place) = to.get_mut(offset..offset + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self.inode {
            Some(inode) => names.insert(self.path.clone(), inode),
            None => names.remove(&self.path),
        };
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Full => io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()),
            Self::Io | Self::Short => io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
        }
    }
}

fn size(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

impl SimFile {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (offset, mut world) = (size(offset)?, self.world());
        let write = |bytes: &[u8]| Op::Write { inode: self.inode, offset, bytes: bytes.to_vec() };
        match world.attempt() {
            Ok(()) if !world.has_room(self.inode, offset + bytes.len()) => Err(Fault::Full.error()),
            Ok(()) => {
                world.note(write(bytes));
                world.apply(write(bytes));
                Ok(bytes.len())
            }
            Err(Fault::Short) => {
                let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
                world.note(write(half));
                world.apply(write(half));
                Ok(half.len())
            }
            Err(fault) => Err(fault.error()),
        }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let (offset, world) = (size(offset)?, self.world());
        let all = world.inodes.get(self.inode).map(|inode| inode.now.as_slice()).unwrap_or_default();
        let rest = all.get(offset..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        if let (Some(to), Some(from)) = (bytes.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        let (len, mut world) = (size(len)?, self.world());
        if !world.has_room(self.inode, len) {
            world.ops += 1;
            return Err(Fault::Full.error());
        }
        let longest = world.inodes.get(self.inode).map_or(len, |inode| inode.now.len().max(len));
        world.run(Op::Len { inode: self.inode, len: longest })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (len, mut world) = (size(len)?, self.world());
        world.run(Op::Len { inode: self.inode, len })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.world();
        let done = world.run(Op::SyncData(self.inode));
        if done.is_err()
            && let Some(inode) = world.inodes.get_mut(self.inode)
        {
            inode.pending.clear();
        }
        done
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.world().inodes.get(self.inode).map_or(0, |inode| inode.now.len() as u64))
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        if world.names.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        world.run(Op::Create(path.to_owned()))?;
        let inode = world.inodes.len() - 1;
        Ok(Box::new(SimFile { world: Arc::clone(&self.world), inode }))
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Box<dyn DiskFile>> {
        let inode = self.world().names.get(path).copied().ok_or_else(|| not_found(path))?;
        Ok(Box::new(SimFile { world: Arc::clone(&self.world), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        if !world.names.contains_key(from) {
            return Err(not_found(from));
        }
        world.run(Op::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        if !world.names.contains_key(path) {
            return Err(not_found(path));
        }
        world.run(Op::Remove(path.to_owned()))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        let inside = world.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        if world.dirs.contains(dir) {
            return Ok(());
        }
        world.run(Op::CreateDir(dir.to_owned()))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.world().run(Op::SyncDir(dir.to_owned()))
    }

    fn lock(&self, path: &Path, hold: Hold, _: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        if hold == Hold::Shared {
            return if self.world().locks.contains(path) { Err(LockError::Held("this process".to_owned())) } else { Ok(Box::new(())) };
        }
        if !self.world().locks.insert(path.to_owned()) {
            return Err(LockError::Held("this process".to_owned()));
        }
        Ok(Box::new(SimLock { world: Arc::clone(&self.world), path: path.to_owned() }))
    }

    fn host_path(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.world.lock().unwrap_or_else(PoisonError::into_inner).locks.remove(&self.path);
    }
}
