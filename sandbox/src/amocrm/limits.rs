//! Seven requests a second, read strictly: not more than seven within any 800 ms, and not more than seventy-one within any ten seconds. Refused requests
//! count. Who ignores 429 is blocked with 403.
//!
//! How the real limiter counts, and when it blocks, is not published; whoever keeps to a strict reading keeps to any. The 200 ms are what the way here
//! may take from a sender who spaces his requests evenly; the long window keeps them from adding up. The thresholds of the block are ours.

use std::collections::VecDeque;

use serde_json::{Value, json};

const WINDOW_MS: u64 = 800;
const LONG_WINDOW_MS: u64 = 10_000;
const LONG_WINDOW_S: usize = 10;
const PATIENCE_MS: u64 = 60_000;
const BLOCK_MS: u64 = 60_000;

#[derive(Debug)]
pub(super) struct Limits {
    pub(super) per_second: Option<usize>,
    pub(super) block_after: Option<usize>,
    window: VecDeque<u64>,
    long_window: VecDeque<u64>,
    refusals: VecDeque<u64>,
    blocked_until_ms: u64,
    breaches: u64,
    blocks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    TooMany,
    Blocked,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_second: Some(7),
            block_after: Some(30),
            window: VecDeque::new(),
            long_window: VecDeque::new(),
            refusals: VecDeque::new(),
            blocked_until_ms: 0,
            breaches: 0,
            blocks: 0,
        }
    }
}

impl Limits {
    pub(super) fn admit(&mut self, now_ms: u64) -> Admission {
        if now_ms < self.blocked_until_ms {
            self.breaches += 1;
            return Admission::Blocked;
        }
        drop_older(&mut self.window, now_ms, WINDOW_MS);
        drop_older(&mut self.long_window, now_ms, LONG_WINDOW_MS);
        drop_older(&mut self.refusals, now_ms, PATIENCE_MS);
        self.window.push_back(now_ms);
        self.long_window.push_back(now_ms);
        if self
            .per_second
            .is_none_or(|limit| self.window.len() <= limit && self.long_window.len() <= limit.saturating_mul(LONG_WINDOW_S).saturating_add(1))
        {
            return Admission::Admitted;
        }
        self.breaches += 1;
        self.refusals.push_back(now_ms);
        if self.block_after.is_some_and(|limit| self.refusals.len() > limit) {
            self.blocked_until_ms = now_ms.saturating_add(BLOCK_MS);
            self.blocks += 1;
            self.refusals.clear();
            return Admission::Blocked;
        }
        Admission::TooMany
    }

    pub(super) fn state(&self) -> Value {
        json!({"breaches": self.breaches, "blocks": self.blocks})
    }
}

fn drop_older(times: &mut VecDeque<u64>, now_ms: u64, span_ms: u64) {
    while times.front().is_some_and(|first| first.saturating_add(span_ms) <= now_ms) {
        times.pop_front();
    }
}
