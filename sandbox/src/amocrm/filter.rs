//! Which cards a list shows: full-text query, filters (where the account has them), order, and what the index does not know yet.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Amo;
use super::card::{Card, Kind};
use super::shelf::LONGEST_PHONE;
use crate::wire;

impl Amo {
    /// The cards that a list shows, in its order. Filters that are not known are ignored without a word, all of them where the account has none.
    pub(super) fn found(&self, kind: Kind, query: &Value, now_ms: u64) -> Vec<&Card> {
        let needle = query.get("query").and_then(Value::as_str).map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        let filter = query.get("filter").filter(|_| self.filters_enabled).map(Filter::of);
        let indexed = |card: &&Card| card.born_ms.saturating_add(self.index_lag_ms) <= now_ms;
        let candidates = match filter.as_ref().and_then(|filter| filter.ids.as_ref()) {
            Some(ids) => self.cards.of_ids(kind, ids.iter().filter_map(|id| id.parse().ok()).collect()),
            None => self.cards.may_hold(kind, needle.as_deref()),
        };
        let matching = candidates.filter(indexed).filter(|card| needle.as_ref().is_none_or(|needle| holds(card, needle)));
        let mut cards: Vec<&Card> = matching.filter(|card| filter.as_ref().is_none_or(|filter| filter.admits(card))).collect();
        if let Some((field, direction)) = query.get("order").and_then(Value::as_object).and_then(|order| order.iter().next()) {
            let key = |card: &Card| match field.as_str() {
                "updated_at" => card.updated_at,
                "created_at" => card.created_at,
                _ => i64::try_from(card.id).unwrap_or(i64::MAX),
            };
            cards.sort_by_key(|card| (key(card), card.id));
            if direction.as_str().is_some_and(|direction| direction.eq_ignore_ascii_case("desc")) {
                cards.reverse();
            }
        }
        cards
    }
}

/// Full text over every filled field; digits are found in a phone however it is written.
fn holds(card: &Card, needle: &str) -> bool {
    let digits_only = needle.bytes().all(|byte| byte.is_ascii_digit());
    let ascii = needle.is_ascii();
    let within = |text: &str| {
        if digits_only {
            let as_phone = || text.chars().filter(char::is_ascii_digit).collect::<String>().contains(needle);
            text.contains(needle) || (text.len() <= LONGEST_PHONE && as_phone())
        } else if ascii && text.is_ascii() {
            // Most texts and needles are: lower-casing them is cheap.
            text.len() >= needle.len() && text.to_ascii_lowercase().contains(needle)
        } else {
            text.to_lowercase().contains(needle)
        }
    };
    let texts = card.values.values().flatten().filter_map(|value| value.get("value"));
    within(&card.name) || texts.into_iter().any(|value| value.as_str().map_or_else(|| wire::text(value).is_some_and(|text| within(&text)), within))
}

/// A filter, read once for all cards.
struct Filter {
    ids: Option<BTreeSet<String>>,
    names: Option<BTreeSet<String>>,
    pipelines: Option<BTreeSet<String>>,
    statuses: Option<Vec<(String, String)>>,
    updated: Option<Range>,
    created: Option<Range>,
    fields: Vec<(u64, Wanted)>,
}

enum Wanted {
    OneOf(BTreeSet<String>),
    Between(Range),
}

/// From and to, both included. `filter[updated_at]=5` is no range: it finds nothing.
pub(super) struct Range {
    from: i64,
    to: i64,
}

impl Range {
    pub(super) fn of(value: &Value) -> Self {
        let Value::Object(map) = value else { return Self { from: i64::MAX, to: i64::MIN } };
        let bound = |key: &str| map.get(key).and_then(wire::integer);
        Self { from: bound("from").unwrap_or(i64::MIN), to: bound("to").unwrap_or(i64::MAX) }
    }

    pub(super) fn holds(&self, at: i64) -> bool {
        self.from <= at && at <= self.to
    }
}

fn set(value: &Value) -> BTreeSet<String> {
    wire::members(value).into_iter().filter_map(wire::text).collect()
}

impl Filter {
    fn of(filter: &Value) -> Self {
        let statuses = filter.get("statuses").map(|statuses| {
            let pair = |item: &&Value| Some((item.get("pipeline_id").and_then(wire::text)?, item.get("status_id").and_then(wire::text)?));
            wire::members(statuses).iter().filter_map(pair).collect()
        });
        let fields = filter.get("custom_fields_values").and_then(Value::as_object);
        let fields = fields.into_iter().flatten().filter_map(|(id, wanted)| {
            let wanted = if wanted.get("from").is_some() || wanted.get("to").is_some() {
                Wanted::Between(Range::of(wanted))
            } else {
                Wanted::OneOf(set(wanted))
            };
            Some((id.parse().ok()?, wanted))
        });
        Self {
            ids: filter.get("id").map(set),
            names: filter.get("name").map(set),
            pipelines: filter.get("pipeline_id").map(set),
            statuses,
            updated: filter.get("updated_at").map(Range::of),
            created: filter.get("created_at").map(Range::of),
            fields: fields.collect(),
        }
    }

    fn admits(&self, card: &Card) -> bool {
        let values = |id: &u64| card.values.get(id).into_iter().flatten();
        self.ids.as_ref().is_none_or(|ids| ids.contains(&card.id.to_string()))
            && self.names.as_ref().is_none_or(|names| names.contains(&card.name))
            && self.pipelines.as_ref().is_none_or(|pipelines| pipelines.contains(&card.lead.pipeline.to_string()))
            && self.statuses.as_ref().is_none_or(|pairs| pairs.contains(&(card.lead.pipeline.to_string(), card.lead.status.to_string())))
            && self.updated.as_ref().is_none_or(|range| range.holds(card.updated_at))
            && self.created.as_ref().is_none_or(|range| range.holds(card.created_at))
            && self.fields.iter().all(|(id, wanted)| match wanted {
                Wanted::OneOf(texts) => values(id).any(|value| {
                    let same = |value: &Value| match value {
                        Value::String(text) => texts.contains(text),
                        other => wire::text(other).is_some_and(|text| texts.contains(&text)),
                    };
                    value.get("value").is_some_and(same) || value.get("enum_id").is_some_and(same)
                }),
                Wanted::Between(range) => values(id).any(|value| value.get("value").and_then(wire::integer).is_some_and(|at| range.holds(at))),
            })
    }
}
