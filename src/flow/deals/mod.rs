//! Receipts as deals: which rule takes a receipt, what the deal is called and what stands in it, and what a refund does to it.
//!
//! Invariants: one receipt is one deal; its rows add up to the receipt's total to the last minor unit; a refund is counted once, however often it is told.
//! All amounts are minor units.

mod rows;
mod sold;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use rows::{Row, difference, rows};
pub use sold::{GivenBack, Sold, next_look, sold_key};

use crate::config::{DealRule, StageRef};
use crate::crm::texts::{Texts, cut};
use crate::domain::{Change, Receipt, ReceiptLine, ServicePointId};
use crate::journal::LedgerKey;

/// Groups deeper than this are a circle.
const DEEPEST: usize = 16;

/// Most characters of `{what}`.
const WHAT: usize = 120;

/// A product of Lime's as rules need it: what is known of it in the ledger, under [`product_key`], as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The group it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// As people see it.
    #[serde(default)]
    pub name: String,
}

/// Where a product or group of Lime's stands in the ledger.
#[must_use]
pub fn product_key(id: &str) -> LedgerKey {
    LedgerKey { kind: "lime.product".to_owned(), key: id.to_owned() }
}

/// Where the title of a service point stands in the ledger: plain text.
#[must_use]
pub fn point_key(id: &ServicePointId) -> LedgerKey {
    LedgerKey { kind: "lime.point".to_owned(), key: id.as_str().to_owned() }
}

/// Looks products up. Any look-up in the ledger is one: `|key: &LedgerKey| ledger.get(key)`.
pub trait Groups {
    /// The product or group with this id.
    fn group(&self, id: &str) -> Option<Group>;
}

impl<F: Fn(&LedgerKey) -> Option<String>> Groups for F {
    fn group(&self, id: &str) -> Option<Group> {
        serde_json::from_str(&self(&product_key(id))?).ok()
    }
}

/// The first rule that fits a receipt, with its number. Refunds fit none: they go where their sale went ([`Sold`]).
#[must_use]
pub fn rule_for<'a>(receipt: &Receipt, rules: &'a [DealRule], groups: &dyn Groups) -> Option<(usize, &'a DealRule)> {
    rules.iter().enumerate().find(|(_, rule)| fits(receipt, rule, groups))
}

fn fits(receipt: &Receipt, rule: &DealRule, groups: &dyn Groups) -> bool {
    let total = receipt.total.minor;
    rule.kinds.contains(&receipt.kind)
        && rule.service_point.as_ref().is_none_or(|point| receipt.service_point.as_ref() == Some(point))
        && rule.at_least.is_none_or(|least| total >= i64::from(least))
        && rule.at_most.is_none_or(|most| total <= i64::from(most))
        && rule.group.as_ref().is_none_or(|group| receipt.lines.iter().any(|line| within(line, group, groups)))
}

/// A line is of a group when its product is the group, is in it, or is in a group in it.
fn within(line: &ReceiptLine, wanted: &StageRef, groups: &dyn Groups) -> bool {
    let mut next = line.good_type_id.clone();
    for _ in 0..DEEPEST {
        let Some(id) = next else { return false };
        let group = groups.group(&id);
        let here = match wanted {
            StageRef::Id(wanted) => *wanted == id,
            StageRef::Name(wanted) => group.as_ref().is_some_and(|group| alike(&group.name, wanted)),
            StageRef::Default => true,
        };
        if here {
            return true;
        }
        next = group.and_then(|group| group.parent);
    }
    false
}

fn alike(one: &str, two: &str) -> bool {
    one.trim().to_lowercase() == two.trim().to_lowercase()
}

/// Whether a receipt is entered as history: nothing that robots act on or people are told of. `old`: `[hub] back_fill`; `now_ms`: milliseconds since 1970
/// UTC. A clock that was never set makes nothing history.
#[must_use]
pub fn is_back_fill(change: &Change, receipt: &Receipt, old: Duration, now_ms: i64) -> bool {
    let old = i64::try_from(old.as_millis()).unwrap_or(i64::MAX);
    change.back_fill || now_ms.saturating_sub(receipt.occurred_ms) > old
}

/// The deal's title, from the rule's template: `{what}` the lines, `{sum}` the total, `{point}` the service point, `{receipt}` the receipt's number, `{date}`
/// when. `point`: the service point's title, where it is known. What stays empty leaves no dangling comma.
#[must_use]
pub fn title(template: &str, receipt: &Receipt, point: Option<&str>, texts: &Texts) -> String {
    let point = point.or(receipt.service_point.as_ref().map(ServicePointId::as_str)).unwrap_or_default();
    let mut title = String::new();
    let mut rest = template;
    // In one pass, so that braces in a product's name stay what they are.
    while let Some((before, after)) = rest.split_once('{') {
        title.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            title.push('{');
            rest = after;
            continue;
        };
        match name {
            "what" => title.push_str(&what(receipt)),
            "sum" => title.push_str(&texts.money(&receipt.total)),
            "point" => title.push_str(point),
            "receipt" => title.push_str(receipt.receipt_id.as_deref().unwrap_or(&receipt.id)),
            "date" => title.push_str(&texts.moment(receipt.occurred_ms)),
            other => title.push_str(other),
        }
        rest = after;
    }
    title.push_str(rest);
    title.trim().trim_matches([',', ':', '·', ' ']).replace(": ,", ":").replace(", ,", ",")
}

/// `Батуты 1 час ×2, Носки`.
fn what(receipt: &Receipt) -> String {
    let shown = |line: &ReceiptLine| if line.quantity > 1 { format!("{} ×{}", line.name, line.quantity) } else { line.name.clone() };
    let names: Vec<String> = receipt.lines.iter().filter(|line| !line.name.is_empty()).map(shown).collect();
    cut(&names.join(", "), WHAT)
}

#[cfg(test)]
mod tests;
