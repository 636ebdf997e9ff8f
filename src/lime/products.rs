//! Products and their groups as the feed shows them, and the tree of them in the ledger. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{Product, ProductKind};
use crate::journal::{Learned, LedgerKey};

use super::parse::money;
use super::wire::{Amount, Id, lenient};

/// What the ledger keeps of a product or group, so that rules can ask for groups and lines can be named. JSON, under [`key`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The group that it belongs to.
    #[serde(default)]
    pub parent: Option<String>,
    /// As people see it.
    #[serde(default)]
    pub name: String,
    /// Lime's version of it.
    #[serde(default)]
    pub version: i64,
}

impl Leaf {
    /// From a line of the ledger.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Where a product stands in the ledger: `lime.product`, by Lime's id.
#[must_use]
pub fn key(id: &str) -> LedgerKey {
    LedgerKey { kind: "lime.product".to_owned(), key: id.to_owned() }
}

/// The product's line of the ledger.
pub(super) fn learned(product: &Product) -> Learned {
    let leaf = Leaf { parent: product.parent_id.clone(), name: product.name.clone(), version: product.version };
    Learned { key: key(&product.id), value: serde_json::to_string(&leaf).ok() }
}

/// A product; `None` when it cannot be read.
pub(super) fn product(value: Value) -> Option<Product> {
    let wire: Wire = serde_json::from_value(value).ok()?;
    Some(Product {
        id: wire.id.0,
        parent_id: wire.parent_id.map(|id| id.0),
        name: wire.name,
        kind: wire.kind.unwrap_or(ProductKind::Other),
        price: wire.price.map(|price| money(price, wire.currency)),
        active: wire.active.unwrap_or(true),
        image_url: wire.image_url.filter(|url| !url.is_empty()),
        version: wire.version.unwrap_or(0),
    })
}

#[derive(Deserialize)]
struct Wire {
    id: Id,
    name: String,
    #[serde(default, deserialize_with = "lenient")]
    parent_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    kind: Option<ProductKind>,
    #[serde(default, deserialize_with = "lenient")]
    price: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    currency: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    active: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    image_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    version: Option<i64>,
}
