//! Sources: where facts come from. A source reads, decodes, and hands each reading to the [`Intake`]; it answers its device only after the intake says
//! that the pass is on disk.

mod intake;
pub mod mqtt;
pub mod serial;

pub use intake::JournalIntake;

use std::pin::Pin;

use uuid::Uuid;

use crate::domain::{DeviceRecord, Direction, GateId, Medium, PassageState, Seq};

/// What a source has read, before the intake stamps it and makes it a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The gate it came from.
    pub gate: GateId,
    /// What was presented.
    pub medium: Medium,
    /// Which way; the gate's default where the device does not say.
    pub direction: Option<Direction>,
    /// What the device says of the passage.
    pub passage: PassageState,
    /// The device's own record: a reading with one already taken is acknowledged and not taken again.
    pub device: Option<DeviceRecord>,
    /// The time the device claims, milliseconds since 1970 UTC.
    pub device_ms: Option<i64>,
}

/// What became of a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// On disk as this pass.
    Stored {
        /// Its id.
        id: Uuid,
        /// Its place in the journal.
        seq: Seq,
        /// From the reading to the end of the sync, microseconds.
        durable_us: u64,
    },
    /// The device's record was taken before: acknowledge, nothing new.
    Repeated,
}

/// Why a reading could not be taken. The device must not be acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The journal is full or its disk fails: try again later.
    #[error("not stored: {0}")]
    NotStored(String),
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
}

/// Takes readings: stamps, deduplicates and journals them. The result comes after the sync.
pub trait Intake: Send + Sync {
    /// Takes one reading.
    fn take(&self, reading: Reading) -> Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send + '_>>;
}
