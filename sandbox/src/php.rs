//! PHP's bracket forms (`fields[PHONE][0][VALUE]=..`) as JSON: queries and `application/x-www-form-urlencoded` bodies of amoCRM and Bitrix24.
//!
//! As in PHP: `a[]` takes the next index, a later scalar overwrites an earlier one, `.` and space in the outermost name become `_`, variables beyond
//! the limit are dropped without a word. Every value is a string. A map whose keys are exactly 0..n-1 in order comes out as an array: PHP knows no difference.
//! Bounded: at most [`MAX_VARIABLES`] variables, [`MAX_DEPTH`] brackets.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// More variables than this are dropped (PHP's `max_input_vars`, set generously).
pub const MAX_VARIABLES: usize = 5_000;
/// Deeper variables than this are dropped (PHP's `max_input_nesting_level` is 64).
pub const MAX_DEPTH: usize = 16;

/// Parses `a=1&b[c][]=2`.
#[must_use]
pub fn parse(text: &str) -> Value {
    let mut root = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()).take(MAX_VARIABLES) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(path) = path_of(&decode(name)) else { continue };
        insert(&mut root, &path, decode(value).into_owned());
    }
    listed(Value::Object(root))
}

/// Percent-decoding with `+` as a space.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

fn path_of(name: &str) -> Option<Vec<String>> {
    let (head, mut rest) = match name.find('[') {
        Some(at) if at > 0 => name.split_at(at),
        _ => (name, ""),
    };
    let mut path = vec![head.trim_start().replace(['.', ' '], "_")];
    while let Some(inner) = rest.strip_prefix('[') {
        let Some((key, tail)) = inner.split_once(']') else { break };
        path.push(key.to_owned());
        rest = tail;
    }
    (path.len() <= MAX_DEPTH && path.first().is_some_and(|head| !head.is_empty())).then_some(path)
}

fn insert(map: &mut Map<String, Value>, path: &[String], value: String) {
    let Some((key, rest)) = path.split_first() else { return };
    let key = if key.is_empty() { next_index(map) } else { key.clone() };
    if rest.is_empty() {
        map.insert(key, Value::String(value));
        return;
    }
    let slot = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    if let Value::Object(inner) = slot {
        insert(inner, rest, value);
    }
}

fn next_index(map: &Map<String, Value>) -> String {
    map.keys().filter_map(|key| key.parse::<u64>().ok()).max().map_or(0, |last| last.saturating_add(1)).to_string()
}

fn listed(value: Value) -> Value {
    let Value::Object(map) = value else { return value };
    let is_list = !map.is_empty() && map.keys().enumerate().all(|(index, key)| *key == index.to_string());
    if is_list {
        Value::Array(map.into_iter().map(|(_, value)| listed(value)).collect())
    } else {
        Value::Object(map.into_iter().map(|(key, value)| (key, listed(value))).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_become_maps_and_lists() {
        assert_eq!(
            parse("fields[PHONE][0][VALUE]=%2B79990001122&fields[PHONE][0][VALUE_TYPE]=WORK&fields[NAME]=%D0%90+%D0%91&id=5"),
            json!({"fields": {"PHONE": [{"VALUE": "+79990001122", "VALUE_TYPE": "WORK"}], "NAME": "А Б"}, "id": "5"})
        );
        assert_eq!(parse("id[]=3&id[]=4&x[7]=a&x[]=b"), json!({"id": ["3", "4"], "x": {"7": "a", "8": "b"}}));
    }

    #[test]
    fn what_php_does_with_odd_names_is_done() {
        assert_eq!(parse("a.b=1&c=1&c[d]=2&e[f=3&&=x"), json!({"a_b": "1", "c": {"d": "2"}, "e": "3"}));
        assert_eq!(parse(""), json!({}));
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let deep = format!("a{}=1&b=2", "[x]".repeat(1_000));
        assert_eq!(parse(&deep), json!({"b": "2"}));
        let many = "a[]=1&".repeat(MAX_VARIABLES + 5);
        assert_eq!(parse(&many)["a"].as_array().map(Vec::len), Some(MAX_VARIABLES));
    }
}
