//! A preorder: products and a time that a guest has asked for ahead. Source of the names: the Lime gateway API v1, `docs/lime-gateway-api.yaml`.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::ids::ClientId;
use super::people::{Personal, Phone};
use super::write_off::Money;

/// How far a preorder has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum PreorderStatus {
    /// Being put together.
    #[n(0)]
    Draft,
    /// Agreed upon.
    #[n(1)]
    Confirmed,
    /// Paid.
    #[n(2)]
    Paid,
    /// Given up.
    #[n(3)]
    Cancelled,
    /// A status this version does not know.
    #[n(4)]
    #[serde(other)]
    Other,
}

/// Who asked, where Lime knows no client yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct PreorderContact {
    /// Their name.
    #[n(0)]
    pub name: Personal,
    /// Their phone.
    #[n(1)]
    pub phone: Option<Phone>,
}

/// When and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct PreorderEvent {
    /// What it is called.
    #[n(0)]
    pub title: Personal,
    /// Milliseconds since 1970 UTC.
    #[n(1)]
    pub starts_ms: i64,
    /// Milliseconds since 1970 UTC.
    #[n(2)]
    pub ends_ms: i64,
    /// The hall.
    #[n(3)]
    pub room: Option<String>,
    /// Who serves.
    #[n(4)]
    pub staff: Vec<String>,
}

/// One line of a preorder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct PreorderLine {
    /// Lime's id of the product.
    #[n(0)]
    pub good_type_id: String,
    /// As people see it; empty where only the id is known.
    #[n(1)]
    pub name: String,
    /// How many.
    #[n(2)]
    pub quantity: i64,
    /// Minor units for one.
    #[n(3)]
    pub price: i64,
}

/// A preorder, as Lime shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Preorder {
    /// Lime's id.
    #[n(0)]
    pub id: String,
    /// What it is called outside: `amo:deal:123`. None: it was made in Lime and no deal is bound to it.
    #[n(1)]
    pub reference: Option<String>,
    /// The revision of the deal that it was last written from.
    #[n(2)]
    pub revision: u64,
    /// Lime's version of the object, growing.
    #[n(3)]
    pub version: i64,
    /// For whom.
    #[n(4)]
    pub client_id: Option<ClientId>,
    /// For whom, where Lime knows no client.
    #[n(5)]
    pub contact: Option<PreorderContact>,
    /// When and where.
    #[n(6)]
    pub event: Option<PreorderEvent>,
    /// What.
    #[n(7)]
    pub lines: Vec<PreorderLine>,
    /// Its cost.
    #[n(8)]
    pub total: Money,
    /// Paid ahead, minor units.
    #[n(9)]
    pub prepaid: i64,
    /// How far it has come.
    #[n(10)]
    pub status: PreorderStatus,
    /// What people wrote about it.
    #[n(11)]
    pub comment: Option<Personal>,
}

impl Preorder {
    /// The CRM's id of the deal that it is bound to.
    #[must_use]
    pub fn deal(&self) -> Option<&str> {
        let (_, id) = self.reference.as_deref()?.split_once(":deal:")?;
        (!id.is_empty()).then_some(id)
    }
}
