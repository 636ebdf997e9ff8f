//! What people entered and what gave way: kept for whoever asks where it went.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::held::Held;
use crate::domain::{ClientId, ContactField, Side};
use crate::journal::LedgerKey;

/// Most that is kept of one client; the oldest go.
const MOST: usize = 20;

/// Something that a person entered and that gave way to something else, so that no edit is lost in silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overruled {
    /// Which field.
    pub field: ContactField,
    /// On whose card.
    pub side: Side,
    /// What stood there; with [`Self::taken_away`], what stands there again.
    pub value: Held,
    /// The person had taken the value away.
    pub taken_away: bool,
}

/// One line of the record.
#[derive(Serialize, Deserialize)]
struct Line {
    at_ms: i64,
    field: ContactField,
    side: Side,
    values: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    taken_away: bool,
}

/// Where the record of a client stands in the ledger. It holds people's data: forgetting a client forgets it.
#[must_use]
pub fn overruled_key(client: &ClientId) -> LedgerKey {
    LedgerKey { kind: "hub.overruled".to_owned(), key: client.as_str().to_owned() }
}

/// The record with these at its end, as JSON.
pub(super) fn record(recorded: Option<&str>, overruled: &[Overruled], now_ms: i64) -> String {
    let known: Vec<Value> = recorded.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let new = overruled.iter().map(|one| {
        let values = one.value.values().map(|value| value.reveal().to_owned()).collect();
        json!(Line { at_ms: now_ms, field: one.field, side: one.side, values, taken_away: one.taken_away })
    });
    let mut all: Vec<Value> = known.into_iter().chain(new).collect();
    let surplus = all.len().saturating_sub(MOST);
    all.drain(..surplus);
    Value::Array(all).to_string()
}
