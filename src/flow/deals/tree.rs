//! Lime's products as the tree that rules ask: what the feed of products has kept of it in the ledger.

use crate::feed::cursor_key;
use crate::journal::LedgerKey;
use crate::lime::feed::{Kind, Place};

pub use crate::lime::products::{Leaf, key as product_key};

/// Groups deeper than this are a circle.
const DEEPEST: usize = 16;

/// Where the ledger says whether the tree has been read once: the place of the feed of products.
#[must_use]
pub fn tree_key() -> LedgerKey {
    cursor_key(Kind::Products.name())
}

/// Looks products up. Any look-up in the ledger is one: `|key: &LedgerKey| ledger.get(key)`.
pub trait Groups {
    /// The product or group with this id.
    fn leaf(&self, id: &str) -> Option<Leaf>;

    /// The tree has been read once, so that what it lacks is not there, or came a moment ago.
    fn is_read(&self) -> bool;
}

impl<F: Fn(&LedgerKey) -> Option<String>> Groups for F {
    fn leaf(&self, id: &str) -> Option<Leaf> {
        Leaf::parse(&self(&product_key(id))?)
    }

    fn is_read(&self) -> bool {
        self(&tree_key()).and_then(|text| Place::parse(&text)).is_some_and(|place| place.walked.is_some())
    }
}

/// A product and the groups above it, from below, each with what is known of it. The last is unknown, or has no group, or the groups are a circle.
pub fn upwards(id: &str, mut look: impl FnMut(&LedgerKey) -> Option<Leaf>) -> Vec<(String, Option<Leaf>)> {
    let mut line: Vec<(String, Option<Leaf>)> = Vec::new();
    let mut next = Some(id.to_owned());
    while let Some(id) = next.filter(|id| line.len() < DEEPEST && !line.iter().any(|(known, _)| known == id)) {
        let leaf = look(&product_key(&id));
        next = leaf.as_ref().and_then(|leaf| leaf.parent.clone());
        line.push((id, leaf));
    }
    line
}
