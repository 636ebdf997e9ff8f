//! What the journal holds. Every record is CBOR with integer keys (minicbor): fields may be added, never renumbered.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Change, Decision, DoorEvent, Pass, Seq, Stamp, WriteOff};

pub use crate::domain::Anchor;

/// Where a job goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Destination {
    /// Lime.
    #[n(0)]
    Lime,
    /// The configured CRM.
    #[n(1)]
    Crm,
}

impl Destination {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Lime, Self::Crm];

    /// The name in config, status and topics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lime => "lime",
            Self::Crm => "crm",
        }
    }
}

/// One record.
///
/// A pass is a job for Lime; a write-off is the outcome of that job and itself a job for the CRM, as `flow` says. A job is named by the sequence of the
/// record that made it.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Record {
    /// A medium was presented at a gate.
    #[n(0)]
    Pass(#[n(0)] Pass),
    /// Lime has answered for a pass; settles the pass's job.
    #[n(1)]
    WriteOff(#[n(0)] WriteOff),
    /// A write to a destination is about to leave. Synced before its first byte.
    #[n(2)]
    Sending(#[n(0)] Sending),
    /// Jobs have reached their destination and make no further job.
    #[n(3)]
    Settled(#[n(0)] Settled),
    /// A job was refused for good and waits for a person.
    #[n(4)]
    Dead(#[n(0)] DeadLetter),
    /// A person sent dead letters on their way again.
    #[n(5)]
    Revived(#[n(0)] Drop),
    /// A person gave jobs up, with a reason.
    #[n(6)]
    Dropped(#[n(0)] Drop),
    /// The clock became synchronised: what boot time is what wall time.
    #[n(7)]
    Anchor(#[n(0)] Anchor),
    /// A medium was presented at a gate where this box decides. Synced before Lime is asked. Makes no job: the pass that closes it does, and has its id.
    #[n(8)]
    Visit(#[n(0)] Pass),
    /// What was decided for a visit. Synced before the gate opens.
    #[n(9)]
    Decided(#[n(0)] Decided),
    /// Something happened at a door that is no pass. What a person orders is synced before the gate opens.
    #[n(10)]
    Door(#[n(0)] DoorEvent),
    /// A feed of Lime's or the CRM's told of something. Synced together with the cursor that covers it, which is a line of the ledger.
    #[n(11)]
    Change(#[n(0)] Change),
}

/// What was decided for a visit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Decided {
    /// The visit, by the id of its pass.
    #[n(0)]
    #[cbor(with = "crate::domain::uuid_bytes")]
    pub visit: Uuid,
    /// What.
    #[n(1)]
    pub decision: Decision,
    /// When.
    #[n(2)]
    pub stamp: Stamp,
}

/// A visit that no pass has closed.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenVisit {
    /// What is known of the pass.
    pub pass: Pass,
    /// What was decided, if that got so far.
    pub decision: Option<Decision>,
}

/// A write is about to leave.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Sending {
    /// Where to.
    #[n(0)]
    pub to: Destination,
    /// The jobs it covers.
    #[n(1)]
    pub jobs: Vec<Seq>,
    /// When.
    #[n(2)]
    pub stamp: Stamp,
}

/// Jobs have arrived.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Settled {
    /// Where.
    #[n(0)]
    pub to: Destination,
    /// Which, and what they became there.
    #[n(1)]
    pub items: Vec<SettledItem>,
    /// What was learned on the way and is worth keeping: ids at the destination, hashes of what was written.
    #[n(2)]
    pub learned: Vec<Learned>,
    /// When.
    #[n(3)]
    pub stamp: Stamp,
}

/// A job that has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SettledItem {
    /// The job.
    #[n(0)]
    pub job: Seq,
    /// Its id there, where it has one: `lead:8001`.
    #[n(1)]
    pub remote: Option<String>,
}

/// A key of the ledger: what kind of thing, and its business key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct LedgerKey {
    /// A short name such as `amocrm.contact`.
    #[n(0)]
    pub kind: String,
    /// The business key, such as Lime's client id. Never a name, phone or card.
    #[n(1)]
    pub key: String,
}

/// A line of the ledger. `None` forgets the key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Learned {
    /// What.
    #[n(0)]
    pub key: LedgerKey,
    /// Its value: a remote id, a hash, a small JSON document.
    #[n(1)]
    pub value: Option<String>,
}

/// A job that was refused for good. Holds all that a person needs, so that it outlives its fact.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct DeadLetter {
    /// The destination that refused.
    #[n(0)]
    pub to: Destination,
    /// The job.
    #[n(1)]
    pub job: Seq,
    /// The business key.
    #[n(2)]
    #[cbor(with = "crate::domain::uuid_bytes")]
    pub key: Uuid,
    /// A stable code: `rejected/id_conflict`, `http/404`.
    #[n(3)]
    pub reason: String,
    /// The answer, cut to 2 KiB.
    #[n(4)]
    pub answer: String,
    /// The record that made the job, encoded as in the log: what `export` shows and `retry` sends again.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub fact: Vec<u8>,
    /// When.
    #[n(6)]
    pub stamp: Stamp,
}

/// A person's decision about jobs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Drop {
    /// The destination.
    #[n(0)]
    pub to: Destination,
    /// The jobs.
    #[n(1)]
    pub jobs: Vec<Seq>,
    /// Why, in the person's words.
    #[n(2)]
    pub reason: String,
    /// When.
    #[n(3)]
    pub stamp: Stamp,
}

/// A record in its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its position.
    pub seq: Seq,
    /// What it says.
    pub record: Record,
}
