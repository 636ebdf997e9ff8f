//! Problems of the hub's feeds: one cannot be read, or tells of what cannot be read.

use super::problem::{Code, Finding, Severity, Subject};
use super::snapshot::{FeedState, Link, Snapshot};
use crate::words::problems as words;

/// A restart or an update of the other side is over within this time.
const LASTING_MS: u64 = 5 * 60_000;

pub(super) fn find(now: &Snapshot) -> Vec<Finding> {
    now.feeds.iter().flat_map(|(name, feed)| [down(name, feed), passed_over(name, feed)]).flatten().collect()
}

fn down(name: &str, feed: &FeedState) -> Option<Finding> {
    let why = feed.error_text.clone().unwrap_or_default();
    let text = words::FEED_DOWN.with("feed", name).with("code", feed.error.clone().unwrap_or_default()).with("why", why);
    let subject = Subject::Destination(name.to_owned());
    let found = Finding::new(Code::FEED_DOWN, Severity::Amber, subject, text, words::CHECK_FEED).since(feed.down_since_boot_ms).after(LASTING_MS);
    (feed.link == Link::Down).then_some(found)
}

fn passed_over(name: &str, feed: &FeedState) -> Option<Finding> {
    let text = words::FEED_ODD.with("feed", name).count("n", feed.passed_over);
    let found = Finding::new(Code::FEED_ODD, Severity::Grey, Subject::Destination(name.to_owned()), text, words::CHECK_ODD);
    (feed.passed_over > 0).then_some(found)
}
