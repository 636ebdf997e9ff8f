//! Where a feed of Lime's stands, as the ledger keeps it. Pure.

use serde::{Deserialize, Serialize};

use crate::feed::cursor_key;
use crate::journal::{Learned, LedgerKey};

/// Changes of the newest page that are remembered, so that a page which begins with the end of the one before tells nothing twice.
const REMEMBERED: usize = 16;

/// Where a feed stands. Its line in the ledger stands under [`cursor_key`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Lime's cursor; empty before the first page.
    pub cursor: String,
    /// The latest change that was told of, by Lime's clock, milliseconds since 1970 UTC.
    #[serde(default)]
    pub seen_ms: i64,
    /// When the newest page was kept, by this box's clock.
    #[serde(default)]
    pub kept_ms: i64,
    /// A walk is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walk: Option<Walk>,
    /// The last walk that came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walked: Option<Walked>,
    /// What the newest page told of last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<u32>,
}

/// A walk over everything, or over what a feed has kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// Who asked for it; empty: nobody, it had to be.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What changed since then is news, by Lime's clock, milliseconds since 1970 UTC; what is older was there before. None before the first page, which says
    /// what time it is at Lime.
    #[serde(default)]
    pub news_from_ms: Option<i64>,
    /// What is older than this is of no interest.
    #[serde(default)]
    pub keep_from: KeepFrom,
    /// Things told of so far.
    #[serde(default)]
    pub told: u64,
    /// Things passed over so far: too old, known as they are, or unreadable.
    #[serde(default)]
    pub passed: u64,
}

/// Which of a walk's things are told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepFrom {
    /// All.
    #[default]
    Everything,
    /// What is news.
    News,
    /// What happened since then, milliseconds since 1970 UTC.
    Since(i64),
}

/// A walk that came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walked {
    /// Who asked for it.
    pub id: String,
    /// Things told of.
    pub told: u64,
    /// Things passed over.
    pub passed: u64,
}

/// Somebody wants everything to be told again: `limegate sync run`. Stands in the ledger until the feed has taken it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Who asked.
    pub id: String,
    /// Only what happened since then, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
}

impl Place {
    /// From a line of the ledger.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As a line of the ledger.
    #[must_use]
    pub fn learned(&self, feed: &str) -> Learned {
        Learned { key: cursor_key(feed), value: serde_json::to_string(self).ok() }
    }

    /// This change was told of a moment ago. Remembers it, if not.
    pub(super) fn repeats(&mut self, change: &str) -> bool {
        let mark = crc32c::crc32c(change.as_bytes());
        if self.told.contains(&mark) {
            return true;
        }
        self.told.push(mark);
        let extra = self.told.len().saturating_sub(REMEMBERED);
        self.told.drain(..extra);
        false
    }
}

impl Wish {
    /// From a line of the ledger.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As a line of the ledger.
    #[must_use]
    pub fn learned(&self, feed: &str) -> Learned {
        Learned { key: Self::key(feed), value: serde_json::to_string(self).ok() }
    }

    /// Where it stands in the ledger: `walk`, by the feed's name.
    #[must_use]
    pub fn key(feed: &str) -> LedgerKey {
        LedgerKey { kind: "walk".to_owned(), key: feed.to_owned() }
    }
}
