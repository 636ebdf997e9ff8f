//! Two limits. Calls: a bucket of 50 that drains by two a second; a batch is one call. Running time: per method, 480 s within ten one-minute buckets.
//!
//! A method that takes less than 100 ms is not counted; `method_ms` says how long each takes here, 20 ms unless switched.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::errors::Fault;

const BURST_MILLI: u64 = 50_000;
const DRAIN_PER_MS: u64 = 2;
const BUCKET_MS: u64 = 60_000;
const BUCKETS: u64 = 10;
const COUNTED_FROM_MS: u64 = 100;

#[derive(Debug)]
pub(super) struct Limits {
    pub(super) counting: bool,
    pub(super) method_ms: u64,
    pub(super) budget_ms: u64,
    pub(super) charge_batch: bool,
    level_milli: u64,
    at_ms: u64,
    breaches: u64,
    time_breaches: u64,
    /// Method and minute, and the time spent in it.
    spent: BTreeMap<(String, u64), u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            counting: true,
            method_ms: 20,
            budget_ms: 480_000,
            charge_batch: false,
            level_milli: 0,
            at_ms: 0,
            breaches: 0,
            time_breaches: 0,
            spent: BTreeMap::new(),
        }
    }
}

impl Limits {
    pub(super) fn admit(&mut self, now_ms: u64) -> bool {
        let elapsed = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        self.level_milli = self.level_milli.saturating_sub(elapsed.saturating_mul(DRAIN_PER_MS));
        if self.counting && self.level_milli + 1_000 > BURST_MILLI {
            self.breaches += 1;
            return false;
        }
        self.level_milli = (self.level_milli + 1_000).min(BURST_MILLI);
        true
    }

    /// Charges one run of a method, or refuses it.
    pub(super) fn charge(&mut self, now_ms: u64, method: &str) -> Result<(), Fault> {
        if self.method_ms < COUNTED_FROM_MS {
            return Ok(());
        }
        let minute = now_ms / BUCKET_MS;
        self.spent.retain(|(_, at), _| at + BUCKETS > minute);
        if self.operating(now_ms, method).0.saturating_add(self.method_ms) > self.budget_ms {
            self.time_breaches += 1;
            return Err(Fault::operation_time_limit());
        }
        *self.spent.entry((method.to_owned(), minute)).or_default() += self.method_ms;
        Ok(())
    }

    /// The time spent by a method, and in how many milliseconds the oldest of it is forgotten.
    pub(super) fn operating(&self, now_ms: u64, method: &str) -> (u64, u64) {
        let minute = now_ms / BUCKET_MS;
        let own = || self.spent.iter().filter(|((name, at), _)| name == method && at + BUCKETS > minute);
        let oldest = own().map(|((_, at), _)| *at).min().unwrap_or(minute);
        let reset_ms = (oldest + BUCKETS).saturating_mul(BUCKET_MS).saturating_sub(now_ms);
        (own().map(|(_, ms)| *ms).sum(), reset_ms)
    }

    pub(super) fn state(&self) -> Value {
        json!({"breaches": self.breaches, "operating_breaches": self.time_breaches, "level": self.level_milli / 1_000})
    }
}
