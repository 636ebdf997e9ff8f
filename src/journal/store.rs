//! The seam between the journal and those who write to it and read from it.

use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::domain::{DeviceRecord, OrderKey, Seq, Stamp};

use super::record::{Anchor, DeadLetter, Destination, Entry, LedgerKey, OpenVisit, Record};

/// A boxed future, for object-safe async methods.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where an append landed. It is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The sequence of the first record; the others follow without gaps.
    pub first: Seq,
    /// How many.
    pub count: usize,
}

/// Why an append is not on disk. Nothing of it will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk refused. The journal mends itself; try again later.
    #[error("the journal cannot write: {0}")]
    Disk(String),
    /// The byte budget is used up by unsettled facts.
    #[error("the journal's budget is full")]
    Full,
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
}

/// Why a record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The disk refused.
    #[error("the journal cannot read: {0}")]
    Disk(String),
}

/// Counts since the box's first day, kept by the index and rebuilt from the log as far as it reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Passes stored.
    pub passes: u64,
    /// Jobs made for the destination.
    pub made: u64,
    /// Jobs that arrived.
    pub confirmed: u64,
    /// Jobs refused for good and not yet dropped or revived.
    pub dead: u64,
    /// Jobs a person gave up.
    pub dropped: u64,
}

/// The journal in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStat {
    /// Bytes on disk.
    pub bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Most bytes it may take.
    pub budget_bytes: u64,
    /// The oldest sequence kept.
    pub first_seq: Seq,
    /// The newest durable sequence; 0 when empty.
    pub last_seq: Seq,
    /// The oldest fact some destination still waits for.
    pub oldest_unsettled: Option<Seq>,
    /// Records that were damaged and put aside, since the start.
    pub quarantined: u64,
    /// The disk refused a write and the journal has not recovered yet.
    pub failing: Option<String>,
    /// The index is being rebuilt, or was lost and rebuilt since the start.
    pub index: String,
    /// Bytes of facts and dead letters that somebody still waits for, estimated by count.
    #[serde(default)]
    pub unsettled_bytes: u64,
    /// Unsettled facts take 80 % of the budget or more: passes will be refused when it is full.
    #[serde(default)]
    pub nearly_full: bool,
    /// Writes and syncs that the disk refused since the start.
    #[serde(default)]
    pub write_failures: u64,
    /// Bytes that were cut off the log's end at the start: a commit that the power interrupted.
    #[serde(default)]
    pub torn_bytes: u64,
    /// Jobs that cannot be delivered any more, for their records are damaged.
    #[serde(default)]
    pub lost_jobs: u64,
}

/// The journal, to those who use it. The reads see durable records only.
pub trait Store: Send + Sync {
    /// Makes records durable, all or none, and applies them to the index. Appends that arrive while a sync runs share the next one. Passes get their
    /// `number` here.
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Appended, AppendError>>;

    /// Durable records from `from` on, in order, at most `limit`.
    ///
    /// # Errors
    /// When the disk refuses. Damaged records are skipped and counted, not an error.
    fn read(&self, from: Seq, limit: usize) -> Result<Vec<Entry>, ReadError>;

    /// One record; `None` when it is gone or damaged.
    ///
    /// # Errors
    /// When the disk refuses.
    fn get(&self, seq: Seq) -> Result<Option<Entry>, ReadError>;

    /// The newest durable sequence, to wait on.
    fn head(&self) -> tokio::sync::watch::Receiver<Seq>;

    /// Jobs that wait for a destination, from after `after`, ascending, at most `limit`.
    fn pending(&self, to: Destination, after: Seq, limit: usize) -> Vec<Seq>;

    /// How many wait.
    fn pending_count(&self, to: Destination) -> u64;

    /// The waiting jobs of one order key with a sequence below `before`, ascending, at most `limit`: a guest's own backlog.
    fn queue_of(&self, to: Destination, order: OrderKey, before: Seq, limit: usize) -> Vec<Seq>;

    /// Waiting jobs that have a `sending` record: after a restart their outcome is unknown.
    fn in_doubt(&self, to: Destination) -> Vec<(Seq, Stamp)>;

    /// A device's record was taken before.
    fn seen(&self, record: &DeviceRecord) -> bool;

    /// Visits that no pass has closed, in the order in which they began: after a start, those that the last run left.
    ///
    /// # Errors
    /// When the disk refuses.
    fn open_visits(&self) -> Result<Vec<OpenVisit>, ReadError> {
        Ok(Vec::new())
    }

    /// The ledger's value under a key.
    fn ledger(&self, key: &LedgerKey) -> Option<String>;

    /// All anchors that facts in the log may need, oldest first, each with a sequence that it was written at or before: one carried forward
    /// from a dropped segment has moved.
    fn anchors(&self) -> Vec<(Seq, Anchor)>;

    /// Dead letters of a destination, oldest first.
    fn dead(&self, to: Destination) -> Vec<DeadLetter>;

    /// Counts for a destination.
    fn totals(&self, to: Destination) -> Totals;

    /// The journal in numbers.
    fn stat(&self) -> JournalStat;
}
