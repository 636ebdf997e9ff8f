//! A change: something that a feed of Lime's or of the CRM's told. The fact of the two-way integration.
//!
//! A change of something that can be read again by its id (a client, a contact, a deal) says only that it changed: whoever delivers it reads what it is
//! then. Receipts, products and preorders cannot be read one by one, so they are kept whole.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::ClientId;
use super::medium::OrderKey;
use super::moment::Stamp;
use super::preorder::Preorder;
use super::product::Product;
use super::receipt::Receipt;

/// The namespace of the keys of changes; any fixed value would do, it must only never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x2f6b_8c11_94d3_4a0e_8f52_6c69_6d65_6368);

/// What became of a contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is there, new or changed.
    #[n(0)]
    There,
    /// It was deleted.
    #[n(1)]
    Deleted,
    /// It was merged into another.
    #[n(2)]
    MergedInto(#[n(0)] String),
}

/// What a feed told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// A client of Lime's is new or changed, or gone.
    #[n(0)]
    Client {
        /// Who.
        #[n(0)]
        id: ClientId,
        /// They are gone.
        #[n(1)]
        deleted: bool,
    },
    /// Something was sold, topped up, given back, accrued at Lime.
    #[n(1)]
    Receipt(#[n(0)] Receipt),
    /// A product of Lime's is new or changed.
    #[n(2)]
    Product(#[n(0)] Product),
    /// A product of Lime's is gone.
    #[n(3)]
    ProductGone(#[n(0)] String),
    /// A preorder of Lime's is new or changed.
    #[n(4)]
    Preorder(#[n(0)] Preorder),
    /// A contact of the CRM's is new, changed or gone.
    #[n(5)]
    Contact {
        /// The CRM's id.
        #[n(0)]
        id: String,
        /// The client that it bears, where it bears one.
        #[n(1)]
        client: Option<ClientId>,
        /// What became of it.
        #[n(2)]
        fate: Fate,
    },
    /// A deal of the CRM's is new, changed or gone.
    #[n(6)]
    Deal {
        /// The CRM's id.
        #[n(0)]
        id: String,
        /// It was deleted.
        #[n(1)]
        deleted: bool,
    },
}

impl Told {
    /// What it is about, in a word: `client`, `receipt`, `product`, `preorder`, `contact`, `deal`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Client { .. } => "client",
            Self::Receipt(_) => "receipt",
            Self::Product(_) | Self::ProductGone(_) => "product",
            Self::Preorder(_) => "preorder",
            Self::Contact { .. } => "contact",
            Self::Deal { .. } => "deal",
        }
    }

    /// Its id, at Lime or in the CRM.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Client { id, .. } => id.as_str(),
            Self::Receipt(receipt) => &receipt.id,
            Self::Product(product) => &product.id,
            Self::Preorder(preorder) => &preorder.id,
            Self::ProductGone(id) | Self::Contact { id, .. } | Self::Deal { id, .. } => id,
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Change {
    /// What.
    #[n(0)]
    pub told: Told,
    /// What tells this change from another of the same thing: a version, an update time. Part of the key.
    #[n(1)]
    pub version: String,
    /// When it changed over there, milliseconds since 1970 UTC.
    #[n(2)]
    pub changed_ms: i64,
    /// Who changed it, as the feed says: `lime`, `gw`, `crm:amo`, `crm:b24`; none where the feed does not say.
    #[n(3)]
    pub origin: Option<String>,
    /// It was read in a walk over everything, and is no news: nothing that people or robots are told of.
    #[n(4)]
    pub back_fill: bool,
    /// When the feed was read.
    #[n(5)]
    pub stamp: Stamp,
}

impl Change {
    /// The business key. A receipt's is the same however often a feed tells of it; of all else each version has its own.
    #[must_use]
    pub fn key(&self) -> Uuid {
        let name = match &self.told {
            Told::Receipt(receipt) => return Self::receipt_key(&receipt.id),
            Told::Client { id, .. } => format!("client:{id}:{}", self.version),
            Told::Product(product) => format!("product:{}:{}", product.id, self.version),
            Told::ProductGone(id) => format!("product:{id}:{}", self.version),
            Told::Preorder(preorder) => format!("preorder:{}:{}", preorder.id, self.version),
            Told::Contact { id, .. } => format!("contact:{id}:{}", self.version),
            Told::Deal { id, .. } => format!("deal:{id}:{}", self.version),
        };
        Uuid::new_v5(&NAMESPACE, name.as_bytes())
    }

    /// The business key of a receipt, by Lime's id of the transaction.
    #[must_use]
    pub fn receipt_key(transaction: &str) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("receipt:{transaction}").as_bytes())
    }

    /// The queue that it stands in: what is about one client goes first in, first out, and so does what is about one deal. Products are one queue, so
    /// that a group is there before what is in it.
    #[must_use]
    pub fn order_key(&self) -> OrderKey {
        let name = match &self.told {
            Told::Client { id, .. } | Told::Contact { client: Some(id), .. } => return OrderKey::of_client(id),
            Told::Receipt(receipt) => match &receipt.client_id {
                Some(client) => return OrderKey::of_client(client),
                None => format!("receipt:{}", receipt.id),
            },
            Told::Product(_) | Told::ProductGone(_) => "products".to_owned(),
            Told::Preorder(preorder) => match preorder.deal() {
                Some(deal) => return OrderKey::of_deal(deal),
                None => format!("preorder:{}", preorder.id),
            },
            Told::Contact { id, client: None, .. } => format!("contact:{id}"),
            Told::Deal { id, .. } => return OrderKey::of_deal(id),
        };
        OrderKey(crc32c::crc32c(name.as_bytes()))
    }
}
