//! The account's cards, with an index of their texts: a full-text search looks at the cards that can hold what it looks for, not at all of them.
//!
//! Invariant: the index names every card that may hold a text, and perhaps some that no longer do. Who asks it looks at each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;

use super::card::{Card, Kind};
use crate::wire;

/// Longer texts are searched as they stand only, shorter ones by their digits, too.
pub(super) const LONGEST_PHONE: usize = 40;

/// Bytes of a piece of text that is indexed.
const PIECE: usize = 4;

/// A piece that more cards have says too little to be kept.
const COMMON: usize = 256;

type Piece = [u8; PIECE];

/// All cards, by kind and id.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    cards: BTreeMap<(Kind, u64), Card>,
    pieces: HashMap<(Kind, Piece), Holders>,
}

#[derive(Debug)]
enum Holders {
    Few(BTreeSet<u64>),
    Many,
}

/// Reading is a map's; what changes a text goes through the shelf.
impl Deref for Shelf {
    type Target = BTreeMap<(Kind, u64), Card>;

    fn deref(&self) -> &Self::Target {
        &self.cards
    }
}

impl Shelf {
    /// Puts a card in its place; the one that stood there comes back.
    pub(super) fn insert(&mut self, place: (Kind, u64), card: Card) -> Option<Card> {
        let before: BTreeSet<String> = self.cards.get(&place).map(|card| texts(card).collect()).unwrap_or_default();
        for text in texts(&card).filter(|text| !before.contains(text)) {
            self.index(place, &text);
        }
        self.cards.insert(place, card)
    }

    pub(super) fn remove(&mut self, place: &(Kind, u64)) -> Option<Card> {
        self.cards.remove(place)
    }

    /// Takes a field's values from all cards of a kind.
    pub(super) fn strip(&mut self, kind: Kind, field: u64) {
        for (_, card) in self.cards.range_mut((kind, 0)..=(kind, u64::MAX)) {
            card.values.remove(&field);
        }
    }

    /// The cards of a kind that may hold a lower-case text, by id; all of them where the index cannot tell.
    pub(super) fn may_hold<'a>(&'a self, kind: Kind, needle: Option<&str>) -> Box<dyn Iterator<Item = &'a Card> + 'a> {
        match needle.and_then(|needle| self.holders(kind, needle)) {
            Some(ids) => self.of_ids(kind, ids),
            None => Box::new(self.cards.range((kind, 0)..=(kind, u64::MAX)).map(|(_, card)| card)),
        }
    }

    /// The cards of these ids that there are.
    pub(super) fn of_ids<'a>(&'a self, kind: Kind, ids: BTreeSet<u64>) -> Box<dyn Iterator<Item = &'a Card> + 'a> {
        Box::new(ids.into_iter().filter_map(move |id| self.cards.get(&(kind, id))))
    }

    /// Those that have the rarest piece of the text.
    fn holders(&self, kind: Kind, needle: &str) -> Option<BTreeSet<u64>> {
        let mut rarest: Option<&BTreeSet<u64>> = None;
        for piece in pieces(needle) {
            match self.pieces.get(&(kind, piece)) {
                None => return Some(BTreeSet::new()),
                Some(Holders::Few(ids)) if rarest.is_none_or(|known| ids.len() < known.len()) => rarest = Some(ids),
                Some(_) => {}
            }
        }
        rarest.cloned()
    }

    fn index(&mut self, (kind, id): (Kind, u64), text: &str) {
        let digits: String = if text.len() <= LONGEST_PHONE { text.chars().filter(char::is_ascii_digit).collect() } else { String::new() };
        let lower = text.to_lowercase();
        for piece in pieces(&lower).chain(pieces(&digits)) {
            let holders = self.pieces.entry((kind, piece)).or_insert_with(|| Holders::Few(BTreeSet::new()));
            if let Holders::Few(ids) = holders {
                ids.insert(id);
                if ids.len() > COMMON {
                    *holders = Holders::Many;
                }
            }
        }
    }
}

/// What a full-text search looks at.
fn texts(card: &Card) -> impl Iterator<Item = String> + '_ {
    let values = card.values.values().flatten().filter_map(|value| value.get("value").and_then(wire::text));
    std::iter::once(card.name.clone()).chain(values)
}

fn pieces(text: &str) -> impl Iterator<Item = Piece> + '_ {
    text.as_bytes().windows(PIECE).filter_map(|bytes| bytes.try_into().ok())
}
