//! Marks: what is kept of a person's data between merges in place of the data.
//!
//! A mark tells whether a value is still the same and says nothing else: HMAC-SHA256 under a key that never leaves the box, over whose card it is, the
//! field and the value, cut to 64 bits. Never: a value that can be looked up, or one that shows that two people have it in common.

use std::fmt;

use ring::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::held::Held;
use crate::domain::{ClientId, ContactField};

/// The file of the box's key for marks, in its state folder: `Keyer::new(&files::own_key(&state_dir.join(KEY_FILE))?)`. A lost key costs no edit: all cards
/// meet anew.
pub const KEY_FILE: &str = "links.key";

/// The box's key for marks.
#[derive(Clone)]
pub struct Keyer(hmac::Key);

impl Keyer {
    /// From the bytes of the box's key.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn mark(&self, client: &ClientId, field: ContactField, value: &str) -> u64 {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [client.as_str().as_bytes(), b"\0", &[field as u8], value.as_bytes()] {
            context.update(part);
        }
        first_eight(&context.sign())
    }

    /// A mark of any content, part by part.
    pub(in crate::flow) fn content<'a>(&self, parts: impl Iterator<Item = &'a str>) -> u64 {
        let mut context = hmac::Context::with_key(&self.0);
        parts.for_each(|part| {
            context.update(part.as_bytes());
            context.update(b"\x1e");
        });
        first_eight(&context.sign())
    }

    pub(super) fn marks(&self, client: &ClientId, field: ContactField, held: &Held) -> Marks {
        let mut marks: Vec<u64> = held.values().map(|value| self.mark(client, field, value.reveal())).collect();
        marks.sort_unstable();
        Marks(marks)
    }
}

fn first_eight(tag: &hmac::Tag) -> u64 {
    tag.as_ref().iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
}

impl fmt::Debug for Keyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyer")
    }
}

/// The marks of what a field holds, sorted. In JSON: sixteen hex digits each, in one string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(Vec<u64>);

impl Marks {
    pub fn is_blank(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, mark: u64) -> bool {
        self.0.binary_search(&mark).is_ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    pub fn of(marks: impl Iterator<Item = u64>) -> Self {
        let mut marks: Vec<u64> = marks.collect();
        marks.sort_unstable();
        marks.dedup();
        Self(marks)
    }
}

impl Serialize for Marks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0))
    }
}

struct Hex<'a>(&'a [u64]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|mark| write!(f, "{mark:016x}"))
    }
}

impl<'de> Deserialize<'de> for Marks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let marks = text.as_bytes().chunks(16).map(|digits| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 16)?;
            u64::from_str_radix(digits, 16).ok()
        });
        let marks: Option<Vec<u64>> = marks.collect();
        marks.map(|marks| Self::of(marks.into_iter())).ok_or_else(|| serde::de::Error::custom("marks are sixteen hex digits each"))
    }
}
