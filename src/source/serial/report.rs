//! What status and log are told about one port. Never a byte of what was read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::codec::Bad;
use crate::domain::GateId;
use crate::status::{Hub, Link};

/// A word may be logged so often a minute; the rest is counted.
const LOGS_A_MINUTE: u32 = 5;
const MINUTE_MS: u64 = 60_000;

/// Reports on one gate.
pub(super) struct Report {
    gate: GateId,
    hub: Arc<Hub>,
    port_error: Option<String>,
    store_error: Option<String>,
    limits: BTreeMap<&'static str, Limit>,
}

/// How often a word was logged lately.
#[derive(Debug, Default)]
struct Limit {
    since_ms: u64,
    logged: u32,
    kept_back: u64,
}

impl Report {
    pub(super) fn new(gate: GateId, title: &str, profile: &str, path: &Path, hub: Arc<Hub>) -> Self {
        hub.gate(gate.as_str(), |state| {
            title.clone_into(&mut state.title);
            profile.clone_into(&mut state.reader);
            state.port = path.display().to_string();
            state.link = Link::Starting;
        });
        Self { gate, hub, port_error: None, store_error: None, limits: BTreeMap::new() }
    }

    /// The port is open; bytes that were waiting in it are being dropped.
    pub(super) fn opened(&mut self) {
        self.port_error = None;
        self.show(Some(Link::Starting));
    }

    /// What comes now is read.
    pub(super) fn up(&mut self, stale: usize) {
        tracing::info!(gate = %self.gate, stale_bytes = stale, "the reader's port is open");
        self.show(Some(Link::Up));
    }

    /// The port is closed, and why. Attempts that end in the same way are said once.
    pub(super) fn down(&mut self, why: String, now_ms: u64) {
        let known = self.port_error.as_deref() == Some(why.as_str());
        if !known && let Some(kept_back) = self.may_log("down", now_ms) {
            tracing::warn!(gate = %self.gate, kept_back, "the reader's port is closed: {why}");
        }
        self.port_error = Some(why);
        self.show(Some(Link::Down));
    }

    /// The gateway stops, and with it the reading.
    pub(super) fn stopped(&mut self) {
        self.port_error = Some("the gateway is stopping".to_owned());
        self.show(Some(Link::Down));
    }

    /// Bytes came.
    pub(super) fn bytes(&self, now_ms: u64) {
        self.hub.gate(self.gate.as_str(), |state| state.last_byte_boot_ms = Some(now_ms));
    }

    /// Bytes were no frame.
    pub(super) fn bad(&mut self, bad: Bad, now_ms: u64) {
        self.hub.gate(self.gate.as_str(), |state| state.bad_frames += 1);
        if let Some(kept_back) = self.may_log(bad.code(), now_ms) {
            tracing::warn!(gate = %self.gate, kind = bad.code(), kept_back, "bytes from the reader were no frame");
        }
    }

    /// What the bytes look like, where they are not this reader's.
    pub(super) fn looks_like(&self, profile: Option<String>) {
        self.hub.gate(self.gate.as_str(), |state| state.looks_like = profile);
    }

    /// A pass is on disk. The intake counts it.
    pub(super) fn stored(&mut self) {
        if self.store_error.take().is_some() {
            tracing::info!(gate = %self.gate, "passes are stored again");
            self.show(None);
        }
    }

    /// A pass could not be stored and is kept in memory.
    pub(super) fn not_stored(&mut self, why: &str, waiting: usize, now_ms: u64) {
        if let Some(kept_back) = self.may_log("not_stored", now_ms) {
            tracing::error!(gate = %self.gate, waiting, kept_back, "a pass is not stored: {why}");
        }
        self.store_error = Some(format!("{why}; {waiting} read and waiting in memory, tried again"));
        self.show(None);
    }

    /// How many of this word were kept back since the last one, when this one may be logged.
    fn may_log(&mut self, word: &'static str, now_ms: u64) -> Option<u64> {
        let limit = self.limits.entry(word).or_default();
        if now_ms.saturating_sub(limit.since_ms) >= MINUTE_MS {
            limit.since_ms = now_ms;
            limit.logged = 0;
        }
        if limit.logged >= LOGS_A_MINUTE {
            limit.kept_back += 1;
            return None;
        }
        limit.logged += 1;
        Some(std::mem::take(&mut limit.kept_back))
    }

    fn show(&self, link: Option<Link>) {
        let errors: Vec<&str> = [&self.port_error, &self.store_error].into_iter().flatten().map(String::as_str).collect();
        self.hub.gate(self.gate.as_str(), |state| {
            if let Some(link) = link {
                state.link = link;
            }
            state.error = (!errors.is_empty()).then(|| errors.join("; "));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_word_is_logged_five_times_a_minute_and_counted() {
        let mut report = Report::new(GateId::from("n1"), "", "", Path::new("/dev/null"), Arc::new(Hub::default()));
        let logged = (0..1_000).filter(|n| report.may_log("malformed", 60_000 + n).is_some()).count();
        assert_eq!(logged, 5);
        assert_eq!(report.may_log("cut", 60_500), Some(0), "another word has its own count");
        assert_eq!(report.may_log("malformed", 120_000), Some(995));
    }
}
