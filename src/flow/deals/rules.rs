//! Which rule takes a receipt.
//!
//! Never: a receipt that misses a rule by product group because the tree of products was not read yet.

use std::time::Duration;

use crate::config::{DealRule, StageRef};
use crate::domain::{Change, Receipt, ReceiptLine};

use super::tree::{Groups, upwards};

/// Why a receipt waits that no rule can be told for yet.
pub const NOT_YET: &str = "hub/products_unread";

/// For how long, before it is looked at again.
pub const NOT_YET_PAUSE: Duration = Duration::from_secs(10);

/// A product that is sold as soon as it is there may be told of after its receipt, by so much.
const SAME_BREATH_MS: i64 = 60_000;

/// Which rule takes a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit<'a> {
    /// This one, with its number.
    Rule(usize, &'a DealRule),
    /// None: it becomes no deal.
    Nothing,
    /// A rule names a group, and whether some product of the receipt is of it is not known yet.
    NotYet,
}

/// A receipt that was told of a moment ago: a product in it that is not known may be on its way. `now_ms`: milliseconds since 1970 UTC.
#[must_use]
pub fn is_new(change: &Change, now_ms: i64) -> bool {
    !change.back_fill && now_ms.saturating_sub(change.stamp.wall_ms) < SAME_BREATH_MS
}

/// The first rule that fits a receipt. Refunds fit none: they go where their sale went ([`super::Sold`]). Where the tree of products has been read, a product
/// that is not in it is in no group, unless the receipt is new.
#[must_use]
pub fn rule_for<'a>(receipt: &Receipt, rules: &'a [DealRule], groups: &dyn Groups, new: bool) -> Fit<'a> {
    for (number, rule) in rules.iter().enumerate() {
        match fits(receipt, rule, groups) {
            Some(true) => return Fit::Rule(number, rule),
            None if new || !groups.is_read() => return Fit::NotYet,
            Some(false) | None => {}
        }
    }
    Fit::Nothing
}

/// `None`: that is not known.
fn fits(receipt: &Receipt, rule: &DealRule, groups: &dyn Groups) -> Option<bool> {
    let total = receipt.total.minor;
    let plain = rule.kinds.contains(&receipt.kind)
        && rule.service_point.as_ref().is_none_or(|point| receipt.service_point.as_ref() == Some(point))
        && rule.at_least.is_none_or(|least| total >= i64::from(least))
        && rule.at_most.is_none_or(|most| total <= i64::from(most));
    let Some(group) = rule.group.as_ref().filter(|_| plain) else { return Some(plain) };
    let lines: Vec<Option<bool>> = receipt.lines.iter().map(|line| within(line, group, groups)).collect();
    if lines.contains(&Some(true)) {
        return Some(true);
    }
    (!lines.contains(&None)).then_some(false)
}

/// A line is of a group when its product is the group, is in it, or is in a group in it. `None`: that is not known.
fn within(line: &ReceiptLine, wanted: &StageRef, groups: &dyn Groups) -> Option<bool> {
    let Some(product) = &line.good_type_id else { return Some(false) };
    let line = upwards(product, |key| groups.leaf(&key.key));
    let here = |(id, leaf): &(String, Option<super::Leaf>)| match wanted {
        StageRef::Id(wanted) => wanted == id,
        StageRef::Name(wanted) => leaf.as_ref().is_some_and(|leaf| alike(&leaf.name, wanted)),
        StageRef::Default => true,
    };
    if line.iter().any(here) {
        return Some(true);
    }
    line.last().is_some_and(|(_, leaf)| leaf.is_some()).then_some(false)
}

/// Whether two names are one to people.
#[must_use]
pub fn alike(one: &str, two: &str) -> bool {
    one.trim().to_lowercase() == two.trim().to_lowercase()
}
