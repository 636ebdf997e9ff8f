//! `crm.duplicate.findbycomm`: contacts by phone or e-mail, however a phone is spelt.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::errors::Fault;
use super::schema::Entity;
use super::{Answer, Bitrix, Call, Done, Parameters};
use crate::wire;

const MAX_VALUES: usize = 20;
const MAX_FOUND: usize = 20;

impl Bitrix {
    pub(super) fn find_by_comm(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        let kind = parameters.get("type").and_then(Value::as_str).unwrap_or_default();
        if !matches!(kind, "PHONE" | "EMAIL") {
            return Err(Fault::bad("", "Communication type is not defined."));
        }
        match parameters.get("entity_type").and_then(Value::as_str).unwrap_or("CONTACT") {
            "CONTACT" => {}
            "LEAD" | "COMPANY" => return Ok(Done::of(json!([]))),
            "DEAL" => return Err(Fault::bad("", "Deal is not supported in current context.")),
            _ => return Err(Fault::bad("", "Entity type is not defined or invalid.")),
        }
        // Numbers among the values are skipped.
        let wanted: BTreeSet<String> = parameters
            .get("values")
            .map(wire::members)
            .unwrap_or_default()
            .into_iter()
            .filter_map(Value::as_str)
            .map(|value| normalised(kind, value))
            .collect();
        if wanted.is_empty() {
            return Err(Fault::bad("", "Communication values is not defined."));
        }
        if wanted.len() > MAX_VALUES {
            return Err(Fault::bad("", "The number of communication values exceeds 20."));
        }
        let indexed = |born_ms: u64| born_ms.saturating_add(self.index_lag_ms) <= call.now_ms;
        let holders = self.items.with_comm(Entity::Contact, kind, wanted.iter());
        let contacts = self.items.candidates(Entity::Contact, holders).filter(|item| indexed(item.born_ms));
        let mut hits: BTreeMap<&String, Vec<u64>> = BTreeMap::new();
        for item in contacts {
            for multi in item.multi.iter().filter(|multi| multi.kind == kind) {
                let value = normalised(kind, &multi.value);
                let ids = wanted.get(&value).map(|value| hits.entry(value).or_default());
                if let Some(ids) = ids.filter(|ids| ids.len() < MAX_FOUND && !ids.contains(&item.id)) {
                    ids.push(item.id);
                }
            }
        }
        let found: BTreeSet<u64> = hits.into_values().flatten().collect();
        Ok(Done::of(if found.is_empty() { json!([]) } else { json!({"CONTACT": found}) }))
    }
}

/// A phone's digits without extension and trunk prefix; an address in lower case.
pub(super) fn normalised(kind: &str, value: &str) -> String {
    if kind == "EMAIL" {
        return value.trim().to_lowercase();
    }
    let digits: String = value.split(['#', ';', ',']).next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    if let Some(rest) = digits.strip_prefix("00").or_else(|| digits.strip_prefix("011")) {
        return rest.to_owned();
    }
    match digits.strip_prefix('8') {
        Some(rest) if digits.len() > 10 && !rest.starts_with(['0', '1', '2']) => format!("7{rest}"),
        _ => digits,
    }
}
