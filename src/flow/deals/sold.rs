//! What is kept of a sale's deal, so that a refund finds it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{DealRule, StageRef};
use crate::domain::Receipt;
use crate::journal::LedgerKey;

/// A sale that has become a deal. Kept in the ledger as JSON, under [`sold_key`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sold {
    /// The CRM's id of the deal.
    pub deal: String,
    /// What was paid, minor units.
    pub total: i64,
    /// The pipeline that the deal is in.
    pub pipeline: StageRef,
    /// Where it goes when all of it is given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunded: Option<StageRef>,
    /// The refunds that were counted: Lime's ids of their transactions, with their sums.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<(String, i64)>,
}

/// Where the deal of a receipt stands in the ledger, by the receipt's number: a refund carries that of its sale. A receipt without a number has none.
#[must_use]
pub fn sold_key(receipt: &Receipt) -> Option<LedgerKey> {
    let number = receipt.receipt_id.as_ref()?;
    Some(LedgerKey { kind: "hub.sold".to_owned(), key: number.clone() })
}

/// A refund of somebody unknown may be told of before its sale: it waits so long for it, milliseconds.
const OVERTAKES_MS: i64 = 600_000;
/// A sale that is not known is looked for so often at first, and so often at last.
const LOOKS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(900));

/// When to look again for the sale of a refund; none when there is no sale to wait for: it made no deal, or was before the box. `oldest`: nothing older than
/// the refund waits for the CRM, and so no sale that was told of before it. `now_ms`: milliseconds since 1970 UTC.
#[must_use]
pub fn next_look(refund: &Receipt, oldest: bool, attempts: u32, now_ms: i64) -> Option<Duration> {
    refund.receipt_id.as_ref()?;
    // One of a known client stands in the same queue as its sale, and would hold it up.
    let overtakes = refund.client_id.is_none() && now_ms.saturating_sub(refund.occurred_ms) < OVERTAKES_MS;
    let (first, last) = LOOKS;
    (!oldest || overtakes).then(|| first.saturating_mul(1 << attempts.min(10)).min(last))
}

/// What a refund does to the deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenBack {
    /// All of it was given back now: the deal goes to the stage for it, or is marked where there is none.
    Whole,
    /// Some of it was: the deal stays and is marked. Minor units that are left.
    Part {
        /// What the guest has still paid for.
        left: i64,
    },
}

impl Sold {
    /// A sale whose deal was just made.
    #[must_use]
    pub fn new(deal: impl Into<String>, receipt: &Receipt, rule: &DealRule) -> Self {
        Self { deal: deal.into(), total: receipt.total.minor, pipeline: rule.pipeline.clone(), refunded: rule.refunded.clone(), returns: Vec::new() }
    }

    /// From the ledger. `None` when it is none of ours.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// For the ledger.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain data: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Counts a refund, and says how the deal stands with it. A refund that was counted already changes nothing and gets the same answer, so that whoever
    /// repeats a job sets the deal to the same.
    pub fn give_back(&mut self, refund: &Receipt) -> GivenBack {
        if !self.returns.iter().any(|(id, _)| *id == refund.id) {
            // Some systems write what is given back as a negative sum.
            self.returns.push((refund.id.clone(), refund.total.minor.saturating_abs()));
        }
        let returned = self.returns.iter().map(|(_, sum)| *sum).fold(0, i64::saturating_add);
        let left = self.total.saturating_sub(returned);
        if left <= 0 { GivenBack::Whole } else { GivenBack::Part { left } }
    }
}
