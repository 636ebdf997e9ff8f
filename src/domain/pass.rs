//! A pass: a medium presented at a gate. The fact that limegate exists for.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::decision::AtDoor;
use super::ids::{GateId, ServicePointId};
use super::medium::Medium;
use super::moment::Stamp;

/// Which way the guest goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Direction {
    /// Into the zone.
    #[n(0)]
    In,
    /// Out of it.
    #[n(1)]
    Out,
}

/// What is known of the guest's way through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum PassageState {
    /// The device saw the passage.
    #[n(0)]
    Passed,
    /// The device saw that nobody went through.
    #[n(1)]
    NotPassed,
    /// Nobody can tell: the device does not report it.
    #[n(2)]
    Unknown,
}

/// A device's own name for a record: what makes a repeated report recognisable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct DeviceRecord {
    /// The device, as the config or its topic names it.
    #[n(0)]
    pub device: String,
    /// Its own record number or payload id.
    #[n(1)]
    pub record: String,
}

/// One medium presented at one gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Pass {
    /// UUIDv7, made when the medium is read; the `write_off_id` at Lime and the business key in the CRM.
    #[n(0)]
    #[cbor(with = "super::ids::uuid_bytes")]
    pub id: Uuid,
    /// This box's count of passes, without gaps, given by the journal as it writes. 0 until then.
    #[n(1)]
    pub number: u64,
    /// The gate.
    #[n(2)]
    pub gate: GateId,
    /// Lime's id of the gate's place.
    #[n(3)]
    pub service_point: ServicePointId,
    /// Which way.
    #[n(4)]
    pub direction: Direction,
    /// What was presented.
    #[n(5)]
    pub medium: Medium,
    /// The device's own record, where it has one.
    #[n(6)]
    pub device: Option<DeviceRecord>,
    /// What is known of the passage.
    #[n(7)]
    pub passage: PassageState,
    /// The clocks when the medium was read.
    #[n(8)]
    pub stamp: Stamp,
    /// The time the device itself claims, milliseconds since 1970 UTC. Kept, never trusted.
    #[n(9)]
    pub device_ms: Option<i64>,
    /// Made by `test-pass`, to be told from a guest's.
    #[n(10)]
    pub test: bool,
    /// What was decided, where this box decides; nothing: the device did.
    #[n(11)]
    pub door: Option<AtDoor>,
}
