//! What is kept of a sale's deal, so that a refund finds it.

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
