//! A job: one effect owed to one destination.

use uuid::Uuid;

use crate::domain::{Change, Moment, OrderKey, Pass, Seq, WriteOff};

/// What is owed.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Lime: write this pass off. The moment is the best known when the job was begun.
    WriteOff {
        /// The pass.
        pass: Pass,
        /// When it was.
        occurred: Moment,
    },
    /// The CRM: bring the contact up to date, and record this write-off.
    Pass(WriteOff),
    /// Lime and the CRM: bring the other side up to date with what a feed told.
    Change(Change),
}

/// What an earlier attempt left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Boot time in milliseconds at which the outcome became unknown; 0 when it was in an earlier run.
    pub since_boot_ms: u64,
    /// Wall time of the first doubtful send, milliseconds since 1970 UTC: where a search may begin. May lie.
    pub sent_wall_ms: i64,
    /// How often the destination was asked since and did not have it.
    pub missed: u8,
}

/// One effect owed to one destination, exactly once.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The record that made it: its name inside the box.
    pub seq: Seq,
    /// The business key: its name outside.
    pub key: Uuid,
    /// Jobs of one order key go first in, first out.
    pub order: OrderKey,
    /// What is owed.
    pub work: Work,
    /// Set when an earlier write's outcome is unknown: ask for the key before writing again.
    pub doubt: Option<Doubt>,
    /// Attempts so far.
    pub attempts: u32,
    /// Nothing older waits for the destination: what this job may be waiting for will not come from another queue any more.
    pub oldest: bool,
}
