//! The door: where the box itself decides. A medium is read, Lime or the entitlement snapshot is asked, the gate is opened, and the passage is waited
//! for.
//!
//! Never: a gate opened before the decision is on disk; a guest charged twice, or let in without a record; an output on after a restart.

mod authority;
pub mod codes;
pub mod machine;
#[cfg(test)]
mod machine_tests;
mod online;
pub mod policy;
mod recent;
mod recover;
mod restore;
mod router;
mod run;
pub mod snapshot;

pub use authority::{Answer, Authority, Commit};
pub use online::Online;
pub use recent::{Bars, Recent};
pub use recover::{LetIn, RecoverError, close_left, let_in_lately};
pub use restore::used_before;
pub use router::{ByHand, NoDoor, Router, doors_of};
pub use run::{Door, HandError, Parts, Seat, Shared};

use crate::domain::{Decision, Direction, Medium, ServicePointId};

/// What is asked of the entitlement snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What was presented.
    pub medium: &'a Medium,
    /// Where.
    pub service_point: &'a ServicePointId,
    /// Which way.
    pub direction: Direction,
    /// Best known wall time, milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// How far `now_ms` may be off, milliseconds; nothing: it cannot be said.
    pub error_ms: Option<u64>,
    /// Boot time, milliseconds.
    pub boot_ms: u64,
}

/// What the snapshot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It knows the answer, yes or no.
    Decided(Decision),
    /// It has none: no snapshot, one too old, or a medium that it does not hold. The code says which: `snapshot_stale`, `unknown_medium`.
    Unable(&'static str),
}

/// The entitlement snapshot, less what this box and its neighbours have used since.
pub trait Entitlements: Send + Sync {
    /// Decides without Lime. Pure in effect: takes nothing.
    fn ask(&self, question: Question<'_>) -> Known;

    /// A guest is let in on this: until Lime has settled it, the snapshot counts it as used.
    fn used(&self, used: Used);

    /// Lime has settled the pass.
    fn settled(&self, pass: uuid::Uuid);

    /// Nobody went through, or the pass could not be made durable: nothing was used, and the guest may come again at once.
    fn released(&self, pass: uuid::Uuid) {
        self.settled(pass);
    }
}

/// An entitlement used here or at a neighbouring gate, and not yet in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The pass.
    pub pass: uuid::Uuid,
    /// What was presented.
    pub medium: Medium,
    /// The decision it was let in by.
    pub decision: Decision,
    /// Where.
    pub service_point: ServicePointId,
    /// When, boot time in milliseconds.
    pub boot_ms: u64,
}
