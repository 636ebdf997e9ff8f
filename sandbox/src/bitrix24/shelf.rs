//! The portal's items, with an index of their short texts, phones and addresses: a list that names them looks at few items, not at all.
//!
//! Invariant: the index names every item that has a value, and perhaps some that no longer do. Who asks it looks at each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;

use serde_json::Value;

use super::duplicate::normalised;
use super::items::Item;
use super::schema::Entity;
use crate::wire;

/// Longer texts are nobody's key.
const LONGEST_KEY: usize = 64;

/// A value that more items have says too little to be kept.
const COMMON: usize = 256;

/// By entity, field (or kind of multifield), and the value in the form in which it is compared.
type Key = (Entity, String, String);

/// All items, by entity and id.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    items: BTreeMap<(Entity, u64), Item>,
    holders: HashMap<Key, Holders>,
}

#[derive(Debug)]
enum Holders {
    Few(BTreeSet<u64>),
    Many,
}

/// Reading is a map's; what changes a value goes through the shelf.
impl Deref for Shelf {
    type Target = BTreeMap<(Entity, u64), Item>;

    fn deref(&self) -> &Self::Target {
        &self.items
    }
}

impl Shelf {
    pub(super) fn insert(&mut self, place: (Entity, u64), item: Item) {
        let before = self.items.remove(&place);
        self.index(place.0, &item, before.as_ref());
        self.items.insert(place, item);
    }

    pub(super) fn remove(&mut self, place: &(Entity, u64)) -> Option<Item> {
        self.items.remove(place)
    }

    /// Changes an item that is there.
    pub(super) fn change(&mut self, place: (Entity, u64), change: impl FnOnce(&mut Item)) {
        if let Some(mut item) = self.items.get(&place).cloned() {
            change(&mut item);
            self.insert(place, item);
        }
    }

    /// Takes a field from all items of an entity.
    pub(super) fn strip(&mut self, entity: Entity, field: &str) {
        for (_, item) in self.items.range_mut((entity, 0)..=(entity, u64::MAX)) {
            item.values.remove(field);
        }
    }

    /// Changes the contacts that deals have.
    pub(super) fn relink(&mut self, change: impl Fn(&mut Vec<Value>)) {
        for (_, deal) in self.items.range_mut((Entity::Deal, 0)..=(Entity::Deal, u64::MAX)) {
            let Some(Value::Array(ids)) = deal.values.get_mut("contactIds") else { continue };
            change(ids);
            let first = ids.first().cloned().unwrap_or(Value::Null);
            deal.values.insert("contactId".to_owned(), first);
        }
    }

    /// The items of these ids that there are, or all of an entity; by id.
    pub(super) fn candidates<'a>(&'a self, entity: Entity, ids: Option<BTreeSet<u64>>) -> Box<dyn Iterator<Item = &'a Item> + 'a> {
        match ids {
            Some(ids) => Box::new(ids.into_iter().filter_map(move |id| self.items.get(&(entity, id)))),
            None => Box::new(self.items.range((entity, 0)..=(entity, u64::MAX)).map(|(_, item)| item)),
        }
    }

    /// The ids that may have one of these texts in a field; `None` where the index cannot tell.
    pub(super) fn with_text<'a>(&self, entity: Entity, field: &str, texts: impl Iterator<Item = &'a str>) -> Option<BTreeSet<u64>> {
        self.with(entity, field, texts.map(lower))
    }

    /// The ids that may have one of these phones (`PHONE`) or addresses (`EMAIL`), in the form in which they are compared.
    pub(super) fn with_comm<'a>(&self, entity: Entity, kind: &str, values: impl Iterator<Item = &'a String>) -> Option<BTreeSet<u64>> {
        self.with(entity, kind, values.cloned())
    }

    fn with(&self, entity: Entity, field: &str, values: impl Iterator<Item = String>) -> Option<BTreeSet<u64>> {
        let mut ids = BTreeSet::new();
        for value in values {
            // What stands for "empty" is not indexed.
            if value.trim().is_empty() || value.len() > LONGEST_KEY {
                return None;
            }
            match self.holders.get(&(entity, field.to_owned(), value)) {
                None => {}
                Some(Holders::Few(own)) => ids.extend(own),
                Some(Holders::Many) => return None,
            }
        }
        Some(ids)
    }

    fn index(&mut self, entity: Entity, item: &Item, before: Option<&Item>) {
        for (field, value) in item.values.iter().filter(|(field, value)| before.and_then(|before| before.values.get(*field)) != Some(value)) {
            for text in wire::members(value).into_iter().filter_map(Value::as_str) {
                self.hold((entity, field.clone(), lower(text)), item.id);
            }
        }
        for multi in &item.multi {
            self.hold((entity, multi.kind.clone(), normalised(&multi.kind, &multi.value)), item.id);
        }
    }

    fn hold(&mut self, key: Key, id: u64) {
        if key.2.len() > LONGEST_KEY {
            return;
        }
        let holders = self.holders.entry(key).or_insert_with(|| Holders::Few(BTreeSet::new()));
        if let Holders::Few(ids) = holders {
            ids.insert(id);
            if ids.len() > COMMON {
                *holders = Holders::Many;
            }
        }
    }
}

/// As texts are compared: without regard to case, character by character.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}
