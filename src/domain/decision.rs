//! A decision at the door: who made it, and what it says. Travels with the pass to Lime. Source of the names: the Lime gateway API v1.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::ids::GateId;
use super::moment::Stamp;

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum DecisionMode {
    /// The device did, and has reported it.
    #[n(0)]
    Device,
    /// Lime, while the guest stood there.
    #[n(1)]
    Online,
    /// The box, from the entitlement snapshot.
    #[n(2)]
    OfflineSnapshot,
    /// The box, because the gate's policy says to open when nobody can be asked.
    #[n(3)]
    OfflineOpen,
    /// A person.
    #[n(4)]
    Manual,
}

/// What was decided for one pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Decision {
    /// Who decided.
    #[n(0)]
    pub mode: DecisionMode,
    /// The guest may go through.
    #[n(1)]
    pub admitted: bool,
    /// `ok`, or the refusal: `no_ticket`, `already_used`, ... as the Lime gateway API v1 names them.
    #[n(2)]
    pub code: String,
    /// The version of the snapshot it was made from.
    #[n(3)]
    pub snapshot_version: Option<String>,
    /// What Lime holds for this pass until the passage is known.
    #[n(4)]
    pub hold_id: Option<String>,
    /// The entitlement that the guest goes in on.
    #[n(5)]
    pub right_id: Option<String>,
    /// Money taken, minor units, where the entitlement is a deposit.
    #[n(6)]
    pub amount: Option<i64>,
}

/// What a box that decides itself knows of a pass beside the reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct AtDoor {
    /// The decision that counted.
    #[n(0)]
    pub decision: Decision,
    /// When the passage was seen, or the waiting for it ended.
    #[n(1)]
    pub passage_at: Option<Stamp>,
    /// What Lime answered after the box had decided without it.
    #[n(2)]
    pub late: Option<Decision>,
}

impl AtDoor {
    /// The box let the guest in and Lime would not have, or the other way round.
    #[must_use]
    pub fn contradicted(&self) -> bool {
        self.late.as_ref().is_some_and(|late| late.admitted != self.decision.admitted)
    }

    /// What Lime holds for the pass, from whichever answer of its named it.
    #[must_use]
    pub fn hold_id(&self) -> Option<&str> {
        self.decision.hold_id.as_deref().or_else(|| self.late.as_ref()?.hold_id.as_deref())
    }
}

/// What happened at a door beside passes. A fact for people and for the records; it makes no job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct DoorEvent {
    /// The gate.
    #[n(0)]
    pub gate: GateId,
    /// What.
    #[n(1)]
    pub kind: DoorEventKind,
    /// How many guests it concerns: those who went through without permission, or while the gate was free.
    #[n(2)]
    pub count: u32,
    /// Who, of what a person did: the account on the box.
    #[n(3)]
    pub who: Option<String>,
    /// Why, in that person's words.
    #[n(4)]
    pub reason: Option<String>,
    /// When.
    #[n(5)]
    pub stamp: Stamp,
}

/// What happens at a door beside passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum DoorEventKind {
    /// A person opens the gate from the box.
    #[n(0)]
    OpenedByHand,
    /// Somebody went through without being let in.
    #[n(1)]
    PassedWithoutPermission,
    /// Somebody is at the housing or forces the gate.
    #[n(2)]
    Tamper,
    /// That has ended.
    #[n(3)]
    TamperEnded,
    /// The fire alarm or a key has set the gate free.
    #[n(4)]
    Free,
    /// That has ended; `count` guests went through meanwhile.
    #[n(5)]
    FreeEnded,
}
