//! A medium: what the guest presents at a gate.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::ids::ClientId;
use super::people::Personal;

/// What kind of thing the value identifies. The names are those of the Lime gateway API v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum MediumKind {
    /// UID of a card or wristband, upper-case hex.
    #[n(0)]
    CardUid,
    /// Text of a QR code.
    #[n(1)]
    Qr,
    /// Text of a one-dimensional barcode.
    #[n(2)]
    Barcode,
    /// A PIN typed at a keypad.
    #[n(3)]
    Pin,
    /// A ticket number.
    #[n(4)]
    TicketNo,
}

/// A card, wristband, code or number, as read. UIDs are opaque: their byte order is the reader's, unless its options say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Medium {
    /// What the value is.
    #[n(0)]
    pub kind: MediumKind,
    /// The canonical value: for a UID, upper-case hex without separators; else the text as scanned.
    #[n(1)]
    pub value: Personal,
    /// The telegram it came in, as text, where it says more than the value.
    #[n(2)]
    pub raw: Option<Personal>,
    /// The source format, a profile or codec name such as `ironlogic-text/mifare`.
    #[n(3)]
    pub format: String,
}

/// Passes with one order key are delivered first in, first out. Derived from the medium; stable over restarts; tells nobody the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderKey(pub u32);

impl OrderKey {
    /// The queue of all that is about one client.
    #[must_use]
    pub fn of_client(client: &ClientId) -> Self {
        Self(crc32c::crc32c(client.as_str().as_bytes()))
    }

    /// The queue of all that is about one deal, by the CRM's id.
    #[must_use]
    pub fn of_deal(id: &str) -> Self {
        Self(crc32c::crc32c_append(crc32c::crc32c(b"deal:"), id.as_bytes()))
    }
}

impl Medium {
    /// The key of the queue in which this medium's passes stand. Two media may share one: that costs parallelism, never order.
    #[must_use]
    pub fn order_key(&self) -> OrderKey {
        let kind = [self.kind as u8];
        OrderKey(crc32c::crc32c_append(crc32c::crc32c(&kind), self.value.reveal().as_bytes()))
    }
}
