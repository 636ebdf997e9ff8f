//! What was sold, topped up, given back or accrued at Lime: one receipt is one transaction. Source of the names: the Lime gateway API v1,
//! `docs/lime-gateway-api.yaml`.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::{ClientId, ServicePointId};
use super::write_off::Money;

/// What kind of transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum ReceiptKind {
    /// Something was bought.
    #[n(0)]
    Sale,
    /// Money was put on a deposit.
    #[n(1)]
    #[serde(rename = "topup")]
    TopUp,
    /// A pass was written off.
    #[n(2)]
    WriteOff,
    /// Something was given back: carries the receipt of its sale.
    #[n(3)]
    Refund,
    /// Bonus points were given.
    #[n(4)]
    BonusAccrual,
    /// Bonus points were used up.
    #[n(5)]
    BonusWriteOff,
    /// A kind this version does not know.
    #[n(6)]
    #[serde(other)]
    Other,
}

impl ReceiptKind {
    /// Lime's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::TopUp => "topup",
            Self::WriteOff => "write_off",
            Self::Refund => "refund",
            Self::BonusAccrual => "bonus_accrual",
            Self::BonusWriteOff => "bonus_write_off",
            Self::Other => "other",
        }
    }
}

/// One line of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct ReceiptLine {
    /// Lime's id of the product; none for what is no product.
    #[n(0)]
    pub good_type_id: Option<String>,
    /// What.
    #[n(1)]
    pub name: String,
    /// How many.
    #[n(2)]
    pub quantity: i64,
    /// Minor units for all of them.
    #[n(3)]
    pub amount: i64,
}

/// One way of paying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Payment {
    /// `cash`, `card`, `deposit`, `bonus`, or what Lime calls it.
    #[n(0)]
    pub kind: String,
    /// Minor units.
    #[n(1)]
    pub amount: i64,
}

/// One receipt. Never changed afterwards: a refund is a receipt of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Receipt {
    /// Lime's id of the transaction: the business key.
    #[n(0)]
    pub id: String,
    /// What kind.
    #[n(1)]
    pub kind: ReceiptKind,
    /// Whose; none where nobody is known.
    #[n(2)]
    pub client_id: Option<ClientId>,
    /// The receipt's number. A refund has that of its sale.
    #[n(3)]
    pub receipt_id: Option<String>,
    /// Milliseconds since 1970 UTC.
    #[n(4)]
    pub occurred_ms: i64,
    /// Where.
    #[n(5)]
    pub service_point: Option<ServicePointId>,
    /// The pass that made it.
    #[n(6)]
    #[cbor(with = "super::ids::optional_uuid_bytes")]
    pub write_off_id: Option<Uuid>,
    /// Its lines.
    #[n(7)]
    pub lines: Vec<ReceiptLine>,
    /// Its sum.
    #[n(8)]
    pub total: Money,
    /// How it was paid.
    #[n(9)]
    pub payments: Vec<Payment>,
}
