//! Receipts as deals: which rule takes a receipt, what the deal is called and what stands in it, and what a refund does to it.
//!
//! Invariants: one receipt is one deal; its rows add up to the receipt's total to the last minor unit; a refund is counted once, however often it is told.
//! All amounts are minor units.

mod rows;
mod rules;
mod sold;
mod tree;

use std::time::Duration;

pub use crate::lime::feed::point_key;
pub use rows::{Row, difference, rows};
pub use rules::{Fit, NOT_YET, NOT_YET_PAUSE, alike, is_new, rule_for};
pub use sold::{GivenBack, Sold, next_look, sold_key};
pub use tree::{Groups, Leaf, product_key, tree_key, upwards};

use crate::crm::texts::{Texts, cut};
use crate::domain::{Change, Receipt, ReceiptLine, ServicePointId};

/// Most characters of `{what}`.
const WHAT: usize = 120;

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
