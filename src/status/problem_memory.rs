//! What must be remembered between two snapshots: since when a problem is there, and how busy each gate was lately.

use std::collections::BTreeMap;

use super::problem::{self, Code, Subject};
use super::snapshot::Snapshot;

/// Bad frames are judged over this long, and so is how often passes come.
const WINDOW_MS: u64 = 10 * 60_000;
/// From fewer passes nothing is said of how often they come.
const USUAL: u64 = 5;

/// Memory of problems. Feed it every snapshot; it keeps nothing that is no longer there.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    first: BTreeMap<(Code, Subject), u64>,
    gates: BTreeMap<String, GateMemory>,
}

/// A gate's recent past.
#[derive(Clone, Debug, Default)]
pub(super) struct GateMemory {
    /// Its last byte or message, as last seen.
    last_byte: Option<u64>,
    /// Passes of all other gates when its last byte came.
    others_then: u64,
    /// Passes before it was remembered.
    passes_then: u64,
    /// How often passes came in the last ten to twenty minutes before its last byte in which some came, milliseconds from one to the next.
    usual_ms: Option<u64>,
    /// Counts where the window before this one began, and this one.
    before: Counts,
    window: Counts,
    newest: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    boot_ms: u64,
    passes: u64,
    bad: u64,
}

impl GateMemory {
    /// Passes that other gates took since this gate's last byte.
    pub(super) fn others_since(&self, others_now: u64) -> u64 {
        others_now.saturating_sub(self.others_then)
    }

    /// How often passes come here while it is busy, milliseconds from one to the next; from what this gate itself did, and frozen while it is silent.
    pub(super) fn usual_ms(&self) -> Option<u64> {
        self.usual_ms
    }

    /// The mean of the window up to the last byte, where enough passes came in it.
    fn interval(&self, passes_now: u64) -> Option<u64> {
        let passes = passes_now.saturating_sub(self.before.passes.max(self.passes_then));
        let span = self.last_byte?.checked_sub(self.before.boot_ms)?;
        let mean = span.checked_div(passes).filter(|_| passes >= USUAL)?;
        // In whole seconds, as it is said.
        Some(if mean < 1_000 { mean } else { mean.saturating_add(500) / 1_000 * 1_000 })
    }

    /// Passes and bad frames of the last ten to twenty minutes.
    pub(super) fn recent(&self) -> (u64, u64) {
        (self.newest.passes.saturating_sub(self.before.passes), self.newest.bad.saturating_sub(self.before.bad))
    }
}

impl Memory {
    /// Nothing is remembered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a snapshot.
    pub fn observe(&mut self, now: &Snapshot) {
        let total = now.gates.values().fold(0u64, |sum, gate| sum.saturating_add(gate.passes));
        self.gates.retain(|id, _| now.gates.contains_key(id));
        for (id, gate) in &now.gates {
            let counts = Counts { boot_ms: now.boot_ms, passes: gate.passes, bad: gate.bad_frames };
            let known = self.gates.entry(id.clone()).or_insert_with(|| {
                let start = Counts { boot_ms: now.boot_ms, ..Counts::default() };
                let others_then = total.saturating_sub(gate.passes);
                GateMemory { others_then, passes_then: gate.passes, before: start, window: start, ..GateMemory::default() }
            });
            if known.last_byte != gate.last_byte_boot_ms {
                known.last_byte = gate.last_byte_boot_ms;
                known.others_then = total.saturating_sub(gate.passes);
                known.usual_ms = known.interval(gate.passes).or(known.usual_ms);
            }
            if now.boot_ms.saturating_sub(known.window.boot_ms) >= WINDOW_MS {
                known.before = known.window;
                known.window = counts;
            }
            known.newest = counts;
        }
        let found = problem::findings(now, self);
        let present: Vec<_> = found.into_iter().map(|one| (one.code, one.subject)).collect();
        self.first.retain(|key, _| present.contains(key));
        for key in present {
            self.first.entry(key).or_insert(now.boot_ms);
        }
    }

    pub(super) fn first_seen(&self, code: Code, subject: &Subject) -> Option<u64> {
        self.first.get(&(code, subject.clone())).copied()
    }

    pub(super) fn gate(&self, id: &str) -> Option<&GateMemory> {
        self.gates.get(id)
    }
}
