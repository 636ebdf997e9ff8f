//! Filters and order of lists. `crm.item.list` refuses a field that it does not know; the older lists ignore it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

use super::duplicate::normalised;
use super::errors::Fault;
use super::items::Item;
use super::schema::{self, Entity, Kind};
use super::shelf::Shelf;
use super::{Bitrix, Call};
use crate::wire;

/// A filter, read once for all rows.
#[derive(Debug)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Test { field: String, kind: Kind, test: Test, wanted: Vec<Value> },
    Multi { kind: String, wanted: Vec<String> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Contains,
    ContainsNot,
}

/// Longest first: `>=` before `>`.
const PREFIXES: [(&str, Test); 15] = [
    ("!=%", Test::ContainsNot),
    ("!%=", Test::ContainsNot),
    (">=", Test::GreaterOrEqual),
    ("<=", Test::LessOrEqual),
    ("!=", Test::NotEqual),
    ("!@", Test::NotEqual),
    ("!%", Test::ContainsNot),
    ("=%", Test::Contains),
    ("%=", Test::Contains),
    (">", Test::Greater),
    ("<", Test::Less),
    ("!", Test::NotEqual),
    ("@", Test::Equal),
    ("%", Test::Contains),
    ("=", Test::Equal),
];

/// Fields and whether each descends.
pub(super) type Order = Vec<(String, Kind, bool)>;

impl Bitrix {
    pub(super) fn filter(&self, entity: Entity, given: &Value, strict: bool) -> Result<Filter, Fault> {
        let pairs: Vec<(String, &Value)> = match given {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        let any = pairs
            .iter()
            .any(|(key, value)| key.eq_ignore_ascii_case("logic") && value.as_str().is_some_and(|logic| logic.eq_ignore_ascii_case("or")));
        let mut parts = Vec::new();
        for (key, value) in pairs {
            if key.eq_ignore_ascii_case("logic") {
                continue;
            }
            if key.bytes().all(|byte| byte.is_ascii_digit()) && (value.is_object() || value.is_array()) {
                parts.push(self.filter(entity, value, strict)?);
                continue;
            }
            let (prefix, test) = PREFIXES.into_iter().find(|(prefix, _)| key.starts_with(prefix)).unwrap_or(("", Test::Equal));
            let name = key.strip_prefix(prefix).unwrap_or(&key);
            match self.field_named(entity, name) {
                Some(field) => {
                    let with_offset = |text: &str| text.contains('T') && wire::parse_rfc3339(text).is_some();
                    if field.kind() == Kind::DateTime && !self.iso_filters && value.as_str().is_some_and(with_offset) {
                        // Such a portal finds nothing, and does not say why.
                        parts.push(Filter::Any(Vec::new()));
                        continue;
                    }
                    let wanted = match value {
                        Value::Array(_) | Value::Object(_) => wire::members(value).into_iter().cloned().collect(),
                        one => vec![one.clone()],
                    };
                    parts.push(Filter::Test { field: field.camel(), kind: field.kind(), test, wanted });
                }
                None if !strict && matches!(name, "PHONE" | "EMAIL") => {
                    parts.push(Filter::Multi { kind: name.to_owned(), wanted: wire::members(value).into_iter().filter_map(wire::text).collect() });
                }
                None if strict => return Err(Fault::bad("INVALID_ARG_VALUE", &format!("Invalid filter: field '{name}' is not allowed in filter"))),
                None => {}
            }
        }
        Ok(if any { Filter::Any(parts) } else { Filter::All(parts) })
    }

    pub(super) fn order(&self, entity: Entity, given: &Value, strict: bool) -> Result<Order, Fault> {
        let mut order = Vec::new();
        for (name, direction) in given.as_object().into_iter().flatten() {
            match self.field_named(entity, name) {
                Some(field) => order.push((field.camel(), field.kind(), direction.as_str().is_some_and(|text| text.eq_ignore_ascii_case("desc")))),
                None if strict => return Err(Fault::bad("INVALID_ARG_VALUE", &format!("Invalid order: field '{name}' is not allowed in order"))),
                None => {}
            }
        }
        Ok(order)
    }

    /// The items that pass, in order; younger ones than the index are not seen.
    pub(super) fn matching(&self, call: Call<'_>, entity: Entity, filter: &Filter, order: &Order) -> Vec<&Item> {
        let candidates = self.items.candidates(entity, filter.holders(entity, &self.items));
        let mut found: Vec<&Item> =
            candidates.filter(|item| item.born_ms.saturating_add(self.index_lag_ms) <= call.now_ms && filter.admits(item)).collect();
        if !order.is_empty() {
            found.sort_by(|a, b| {
                let by = |(name, kind, descending): &(String, Kind, bool)| {
                    let ordering = compare(*kind, a.values.get(name).unwrap_or(&Value::Null), b.values.get(name).unwrap_or(&Value::Null));
                    if *descending { ordering.reverse() } else { ordering }
                };
                order.iter().map(by).find(|ordering| *ordering != Ordering::Equal).unwrap_or_else(|| a.id.cmp(&b.id))
            });
        }
        found
    }
}

impl Filter {
    /// The ids that may pass, where the index can tell.
    fn holders(&self, entity: Entity, items: &Shelf) -> Option<BTreeSet<u64>> {
        match self {
            Self::All(parts) => parts.iter().filter_map(|part| part.holders(entity, items)).min_by_key(BTreeSet::len),
            Self::Any(parts) => parts.iter().try_fold(BTreeSet::new(), |mut all, part| {
                all.extend(part.holders(entity, items)?);
                Some(all)
            }),
            Self::Multi { kind, wanted } => {
                let wanted: Vec<String> = wanted.iter().map(|value| normalised(kind, value)).collect();
                items.with_comm(entity, kind, wanted.iter())
            }
            Self::Test { field, kind: Kind::Text, test: Test::Equal, wanted } => {
                let wanted: Vec<String> = wanted.iter().map(|value| wire::text(value).unwrap_or_default()).collect();
                items.with_text(entity, field, wanted.iter().map(String::as_str))
            }
            Self::Test { field, kind: Kind::Integer, test: Test::Equal, wanted } if field == "id" => {
                wanted.iter().map(|value| wire::integer(value).and_then(|id| u64::try_from(id).ok())).collect()
            }
            Self::Test { .. } => None,
        }
    }

    fn admits(&self, item: &Item) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.admits(item)),
            Self::Any(parts) => parts.iter().any(|part| part.admits(item)),
            Self::Multi { kind, wanted } => item.multi.iter().any(|multi| multi.kind == *kind && wanted.contains(&multi.value)),
            Self::Test { field, kind, test, wanted } => {
                let value = item.values.get(field).unwrap_or(&Value::Null);
                let values: Vec<&Value> = if value.is_array() { wire::members(value) } else { vec![value] };
                let equal = || {
                    values.iter().any(|value| wanted.iter().any(|wanted| same(*kind, value, wanted)))
                        || (values.is_empty() && wanted.iter().any(is_empty))
                };
                let against = |accept: fn(Ordering) -> bool| {
                    values.iter().any(|value| !value.is_null() && wanted.first().is_some_and(|wanted| accept(compare(*kind, value, wanted))))
                };
                let contains = || {
                    let text = |value: &Value| wire::text(value).unwrap_or_default().to_lowercase();
                    values.iter().any(|value| wanted.iter().any(|wanted| text(value).contains(text(wanted).trim_matches('%'))))
                };
                match test {
                    Test::Equal => equal(),
                    Test::NotEqual => !equal(),
                    Test::Greater => against(Ordering::is_gt),
                    Test::GreaterOrEqual => against(Ordering::is_ge),
                    Test::Less => against(Ordering::is_lt),
                    Test::LessOrEqual => against(Ordering::is_le),
                    Test::Contains => contains(),
                    Test::ContainsNot => !contains(),
                }
            }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

fn same(kind: Kind, value: &Value, wanted: &Value) -> bool {
    if is_empty(value) || is_empty(wanted) {
        return is_empty(value) && is_empty(wanted);
    }
    match (kind, value.as_str(), wanted.as_str()) {
        (Kind::Text, Some(a), Some(b)) => a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase)),
        _ => compare(kind, value, wanted) == Ordering::Equal,
    }
}

/// MySQL compares texts without regard to case.
fn compare(kind: Kind, a: &Value, b: &Value) -> Ordering {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok())).unwrap_or(f64::NEG_INFINITY);
    let text = |value: &Value| wire::text(value).unwrap_or_default().to_lowercase();
    match kind {
        Kind::Integer | Kind::Double | Kind::Ids => number(a).total_cmp(&number(b)),
        Kind::DateTime => a.as_str().and_then(schema::instant).cmp(&b.as_str().and_then(schema::instant)),
        Kind::Date => a.as_str().and_then(schema::date).cmp(&b.as_str().and_then(schema::date)),
        // Flags read as Y and N, but filters may say 1 and 0.
        Kind::Flag => text(&schema::taken(Kind::Flag, a).unwrap_or_default()).cmp(&text(&schema::taken(Kind::Flag, b).unwrap_or_default())),
        Kind::Text => text(a).cmp(&text(b)),
    }
}
