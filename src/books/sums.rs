//! The promise as sums: read = stored = Lime = CRM + waiting + refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::job::{JobState, Jobs};
use crate::journal::Destination;

/// One destination's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationSum {
    /// Jobs made for it.
    pub owed: u64,
    /// Arrived.
    pub delivered: u64,
    /// Wait, or are on their way.
    pub waiting: u64,
    /// Refused for good.
    pub refused: u64,
    /// Given up by a person.
    pub dropped: u64,
}

impl DestinationSum {
    /// Every job is in exactly one state.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.owed == self.delivered + self.waiting + self.refused + self.dropped
    }
}

/// All sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Version of this shape.
    pub v: u32,
    /// Passes by their numbers: the last number less the one before the first.
    pub read: u64,
    /// Passes found in the log. Less than `read`: some are missing.
    pub stored: u64,
    /// Lime.
    pub lime: DestinationSum,
    /// The CRM. Owes what Lime has settled and the policy tells it.
    pub crm: DestinationSum,
    /// Write-offs that Lime settled and the CRM is not told of (refusals, unless the config says so).
    pub not_for_crm: u64,
}

impl Sums {
    /// Sums up the jobs whose pass was read at or after `since_ms` (wall time, milliseconds since 1970 UTC); `numbers` are the pass numbers found there.
    #[must_use]
    pub fn of(jobs: &Jobs, since_ms: i64, numbers: &BTreeSet<u64>) -> Self {
        let mut sums = Self { v: 1, stored: numbers.len() as u64, ..Self::default() };
        if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
            sums.read = last - first + 1;
        }
        for line in jobs.lines().filter(|line| line.wall_ms >= since_ms) {
            let side = match line.to {
                Destination::Lime => &mut sums.lime,
                Destination::Crm => &mut sums.crm,
            };
            side.owed += 1;
            match line.state {
                JobState::Waiting | JobState::Sending => side.waiting += 1,
                JobState::Delivered => side.delivered += 1,
                JobState::Refused => side.refused += 1,
                JobState::Dropped => side.dropped += 1,
            }
        }
        sums.not_for_crm = sums.lime.delivered.saturating_sub(sums.crm.owed);
        sums
    }

    /// Nothing is missing: every pass number is in the log, every pass is a job for Lime, and each side balances.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.read == self.stored
            && self.stored == self.lime.owed
            && self.lime.balances()
            && self.crm.balances()
            && self.crm.owed + self.not_for_crm == self.lime.delivered
    }
}
