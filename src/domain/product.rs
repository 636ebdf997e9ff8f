//! What Lime sells. Source of the names: the Lime gateway API v1, `docs/lime-gateway-api.yaml`.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::write_off::Money;

/// What kind of product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum ProductKind {
    /// A ticket.
    #[n(0)]
    Ticket,
    /// A service.
    #[n(1)]
    Service,
    /// Goods.
    #[n(2)]
    Goods,
    /// A top-up of a deposit.
    #[n(3)]
    Deposit,
    /// Several at once.
    #[n(4)]
    Package,
    /// An event with a timetable.
    #[n(5)]
    Event,
    /// A kind this version does not know.
    #[n(6)]
    #[serde(other)]
    Other,
}

/// A product, or a group of them: a group is what others name as their parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Product {
    /// Lime's id: `good_type_id` in lines.
    #[n(0)]
    pub id: String,
    /// The group it belongs to.
    #[n(1)]
    pub parent_id: Option<String>,
    /// As people see it.
    #[n(2)]
    pub name: String,
    /// What kind.
    #[n(3)]
    pub kind: ProductKind,
    /// Its price; none for what has none.
    #[n(4)]
    pub price: Option<Money>,
    /// It is sold.
    #[n(5)]
    pub active: bool,
    /// A picture.
    #[n(6)]
    pub image_url: Option<String>,
    /// Lime's version of the object, growing.
    #[n(7)]
    pub version: i64,
}
