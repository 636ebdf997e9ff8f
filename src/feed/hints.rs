//! Hints that there is news: a feed that rests begins at once, and one that is under way begins again when it has come to its end. A hint is never a fact.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

/// Somebody says that there is news for a feed. Several hints before it begins are one.
pub type Hint = Arc<Notify>;

/// The hints of all feeds, by the feed's name.
#[derive(Clone, Debug, Default)]
pub struct Hints(BTreeMap<&'static str, Hint>);

impl Hints {
    /// The hint of a feed, which is among them from now on.
    pub fn add(&mut self, feed: &'static str) -> Hint {
        Arc::clone(self.0.entry(feed).or_default())
    }

    /// The hint of a feed that runs.
    #[must_use]
    pub fn get(&self, feed: &str) -> Option<&Hint> {
        self.0.get(feed)
    }

    /// Every feed begins.
    pub fn all(&self) {
        self.0.values().for_each(|hint| hint.notify_one());
    }
}
