//! Phones, e-mail addresses and the like of a contact, and the two ways in which they are changed.

use serde_json::{Value, json};

use crate::wire;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Multi {
    pub(super) id: u64,
    /// `PHONE`, `EMAIL`, ...
    pub(super) kind: String,
    /// `WORK`, `MOBILE`, ...
    pub(super) sort: String,
    pub(super) value: String,
}

/// How a family of methods changes them: what was there, what was given, and where new ids come from.
pub(super) type Change = fn(&[Multi], &Value, &mut dyn FnMut() -> u64) -> Vec<Multi>;

impl Multi {
    pub(super) fn shown(&self) -> Value {
        json!({"id": self.id, "valueType": self.sort, "value": self.value, "typeId": self.kind})
    }

    pub(super) fn shown_classic(&self) -> Value {
        json!({"ID": self.id.to_string(), "VALUE_TYPE": self.sort, "VALUE": self.value, "TYPE_ID": self.kind})
    }
}

/// The entries of a new item. One without `typeId` or `value` is ignored.
pub(super) fn added(given: &Value, mut next_id: impl FnMut() -> u64) -> Vec<Multi> {
    wire::members(given)
        .into_iter()
        .filter_map(entry)
        .filter(|(_, _, value)| !value.is_empty())
        .map(|(kind, sort, value)| Multi { id: next_id(), kind, sort, value })
        .collect()
}

/// `crm.item.update`: the key of a known entry changes it, or deletes it with an empty value; **any other key adds**, a stale id and the index of a list, too.
pub(super) fn update(before: &[Multi], given: &Value, next_id: &mut dyn FnMut() -> u64) -> Vec<Multi> {
    let keyed: Vec<(String, &Value)> = match given {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let mut after = before.to_vec();
    for (key, given) in keyed {
        let Some((kind, sort, value)) = entry(given) else { continue };
        match key.parse::<u64>().ok().and_then(|id| after.iter().position(|multi| multi.id == id)) {
            Some(at) if value.is_empty() => {
                after.remove(at);
            }
            Some(at) => {
                if let Some(multi) = after.get_mut(at) {
                    multi.value = value;
                    if given.get("valueType").is_some() {
                        multi.sort = sort;
                    }
                }
            }
            None if value.is_empty() => {}
            None => after.push(Multi { id: next_id(), kind, sort, value }),
        }
    }
    after
}

/// The older methods: an entry with `ID` changes or (with `DELETE`, an empty value, or nothing else) deletes; one without `ID` **adds**.
pub(super) fn update_classic(before: &[Multi], given: &Value, next_id: &mut dyn FnMut() -> u64) -> Vec<Multi> {
    let mut after = before.to_vec();
    for (kind, entries) in given.as_object().into_iter().flatten() {
        for entry in wire::members(entries) {
            let text = |key: &str| entry.get(key).and_then(wire::text);
            let value = text("VALUE").unwrap_or_default();
            let delete = text("DELETE").as_deref() == Some("Y") || value.is_empty();
            match text("ID").and_then(|id| id.parse::<u64>().ok()) {
                Some(id) if delete => after.retain(|multi| multi.id != id),
                Some(id) => after.iter_mut().filter(|multi| multi.id == id).for_each(|multi| multi.value.clone_from(&value)),
                None if delete => {}
                None => after.push(Multi { id: next_id(), kind: kind.clone(), sort: text("VALUE_TYPE").unwrap_or_else(|| "WORK".to_owned()), value }),
            }
        }
    }
    after
}

fn entry(given: &Value) -> Option<(String, String, String)> {
    let text = |key: &str| given.get(key).and_then(wire::text);
    Some((text("typeId")?, text("valueType").unwrap_or_else(|| "WORK".to_owned()), text("value")?))
}
