//! A decision at the door: who made it, and what it says. Travels with the pass to Lime. Source of the names: the Lime gateway API v1.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

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
