//! Sources: where facts come from. A source reads, decodes, and hands each reading to the [`Intake`]; it answers its device only after the intake says
//! that the pass is on disk.

mod intake;
pub mod mqtt;
pub mod serial;

pub(crate) use intake::Arriving;
pub use intake::JournalIntake;

use std::pin::Pin;

use uuid::{NoContext, Timestamp, Uuid};

use crate::clock::Clock;
use crate::domain::{DeviceRecord, Direction, GateId, Medium, PassageState, Seq, Stamp};

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
    /// When it was read, and the id it got then: a reading that is tried again stays the same pass. Nothing: the intake makes both as it takes it.
    pub origin: Option<Origin>,
}

/// What a pass has from the instant at which its medium was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// UUIDv7 of that instant.
    pub id: Uuid,
    /// The clocks.
    pub stamp: Stamp,
}

impl Origin {
    /// A medium was read just now.
    #[must_use]
    pub fn now(clock: &dyn Clock) -> Self {
        let stamp = clock.stamp();
        let seconds = u64::try_from(stamp.wall_ms.max(0) / 1000).unwrap_or(0);
        let nanos = u32::try_from(stamp.wall_ms.max(0) % 1000).unwrap_or(0) * 1_000_000;
        Self { id: Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos)), stamp }
    }
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
