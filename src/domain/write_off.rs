//! A write-off: what Lime did with a pass. Source of the names: the Lime gateway API v1, `docs/lime-gateway-api.yaml`.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::{ClientId, GateId, Seq, ServicePointId};
use super::moment::Moment;
use super::pass::Direction;

/// Lime's final answer for one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum WriteOffStatus {
    /// Written off, now or by an earlier request with this id.
    #[n(0)]
    Applied,
    /// Written off; the balance went negative or a ticket was used twice, and Lime has flagged it.
    #[n(1)]
    AppliedWithDebt,
    /// Stored without a charge: a refusal or a passage that did not happen.
    #[n(2)]
    Recorded,
    /// Not applied.
    #[n(3)]
    Refused,
}

/// What kind of entitlement was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum RightKind {
    /// A count of visits.
    #[n(0)]
    Ticket,
    /// Money.
    #[n(1)]
    Deposit,
    /// Bonus points.
    #[n(2)]
    Bonus,
    /// A subscription.
    #[n(3)]
    Pass,
    /// A kind this version does not know.
    #[n(4)]
    #[serde(other)]
    Other,
}

/// An amount in minor units (kopecks) with its ISO 4217 currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Money {
    /// Minor units; may be negative.
    #[n(0)]
    pub minor: i64,
    /// Three letters.
    #[n(1)]
    pub currency: String,
}

/// The entitlement that was charged, after the charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Right {
    /// Lime's id of it.
    #[n(0)]
    pub id: String,
    /// What it is.
    #[n(1)]
    pub kind: RightKind,
    /// Visits or minor units left.
    #[n(2)]
    pub balance_after: Option<i64>,
}

/// What was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Charge {
    /// Visits.
    #[n(0)]
    pub quantity: i64,
    /// Money, where money was taken.
    #[n(1)]
    pub money: Option<Money>,
    /// The ticket or tariff by name, as Lime shows it.
    #[n(2)]
    pub title: Option<String>,
}

/// The fact that a pass reached Lime, with all that the CRM's jobs need to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct WriteOff {
    /// The pass's id: the business key.
    #[n(0)]
    #[cbor(with = "super::ids::uuid_bytes")]
    pub pass_id: Uuid,
    /// Where the pass stands in the journal; this record settles it.
    #[n(1)]
    pub pass_seq: Seq,
    /// Lime's answer.
    #[n(2)]
    pub status: WriteOffStatus,
    /// Lime's code: `ok`, `already_used`, ...
    #[n(3)]
    pub code: String,
    /// Lime's id of the transaction.
    #[n(4)]
    pub transaction_id: Option<String>,
    /// The client, where the medium belongs to one.
    #[n(5)]
    pub client_id: Option<ClientId>,
    /// What was charged.
    #[n(6)]
    pub right: Option<Right>,
    /// How much was taken.
    #[n(7)]
    pub charge: Option<Charge>,
    /// The pass that used the same ticket first.
    #[n(8)]
    #[cbor(with = "super::ids::optional_uuid_bytes")]
    pub conflict_with: Option<Uuid>,
    /// The gate of the pass.
    #[n(9)]
    pub gate: GateId,
    /// The service point of the pass.
    #[n(10)]
    pub service_point: ServicePointId,
    /// The service point by name, as Lime calls it.
    #[n(11)]
    pub service_point_title: Option<String>,
    /// Which way.
    #[n(12)]
    pub direction: Direction,
    /// The medium, masked for people: `••A1A3`.
    #[n(13)]
    pub medium_masked: String,
    /// When the pass was.
    #[n(14)]
    pub occurred: Moment,
    /// When Lime had it, milliseconds since 1970 UTC.
    #[n(15)]
    pub received_ms: Option<i64>,
    /// The pass was a test.
    #[n(16)]
    pub test: bool,
}
