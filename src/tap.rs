//! Passes as they come, for people: stored, in Lime, in the CRM.
//!
//! Never: a whole card number, unless the person asked for it on the box itself.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{DecisionMode, Direction, Pass, PassageState, Personal, Seq, WriteOffStatus};
use crate::journal::Destination;

/// Something happened to a pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It is on disk.
    Pass(PassEvent),
    /// It is decided at the door.
    Decided {
        /// The pass.
        id: Uuid,
        /// By whom.
        mode: DecisionMode,
        /// The guest may go.
        admitted: bool,
        /// `ok`, or why not.
        code: String,
    },
    /// The door has seen it through.
    Passage {
        /// The pass.
        id: Uuid,
        /// Whether the guest went through.
        state: PassageState,
    },
    /// Lime has it.
    WriteOff {
        /// The pass.
        id: Uuid,
        /// Lime's answer.
        status: WriteOffStatus,
        /// Lime's code.
        code: String,
    },
    /// The CRM has it.
    Crm {
        /// The pass.
        id: Uuid,
        /// Its id there.
        remote: Option<String>,
    },
    /// A destination refused it for good.
    Refused {
        /// The pass.
        id: Uuid,
        /// Who.
        by: Destination,
        /// The stable code.
        reason: String,
    },
}

/// A pass that is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassEvent {
    /// Its place in the journal.
    pub seq: Seq,
    /// Its id.
    pub id: Uuid,
    /// The gate.
    pub gate: String,
    /// Wall time when read, milliseconds since 1970 UTC. May lie.
    pub wall_ms: i64,
    /// Which way.
    pub direction: Direction,
    /// The medium, masked.
    pub medium: String,
    /// The medium itself; sent only to those who asked on the box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Personal>,
    /// Telegram or payload as it came; sent only to those who asked on the box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Personal>,
    /// The source format.
    pub format: String,
    /// From the reading to the end of the sync, microseconds.
    pub durable_us: u64,
}

impl PassEvent {
    /// The event for a stored pass.
    #[must_use]
    pub fn of(seq: Seq, pass: Pass, durable_us: u64) -> Self {
        Self {
            seq,
            id: pass.id,
            gate: pass.gate.0,
            wall_ms: pass.stamp.wall_ms,
            direction: pass.direction,
            medium: pass.medium.value.masked(4),
            card: Some(pass.medium.value),
            raw: pass.medium.raw,
            format: pass.medium.format,
            durable_us,
        }
    }
}

impl Event {
    /// The event for somebody who did not ask for cards.
    #[must_use]
    pub fn masked(mut self) -> Self {
        if let Self::Pass(pass) = &mut self {
            pass.card = None;
            pass.raw = None;
        }
        self
    }
}
