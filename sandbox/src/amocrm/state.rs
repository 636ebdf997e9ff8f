//! What the account holds, for the books: everything by the values that can be a business key, with what stands there twice.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Amo;
use super::card::Kind;
use crate::wire;

impl Amo {
    /// `leads_by_key` and `contacts_by_key`: by code (or id) of each `text` field, by value, the ids that carry it. `..._doubled`: those values of
    /// a field that more than one carries.
    #[must_use]
    pub fn state(&self) -> Value {
        let mut state = json!({
            "account": self.base,
            "limits": self.limits.state(),
            "oauth": self.oauth.state(),
            "pipelines": self.pipelines_state(),
            "notes": self.notes_state(),
            "tasks": self.tasks_state(),
            "catalogs": self.catalogs_state(),
            "events": self.events_state(),
            "hooks": self.hooks_state(),
            "leads_with_contact": self.links.values().filter(|links| !links.is_empty()).count(),
            "contact_fields": self.fields_state(Kind::Contacts),
            "lead_fields": self.fields_state(Kind::Leads),
        });
        for (kind, singular) in [(Kind::Contacts, "contacts"), (Kind::Leads, "leads")] {
            let by_key = self.by_key(kind);
            let doubled: Map<String, Value> = by_key
                .iter()
                .map(|(code, values)| {
                    let twice: BTreeMap<&String, &Vec<u64>> = values.iter().filter(|(_, ids)| ids.len() > 1).collect();
                    (code.clone(), json!(twice))
                })
                .collect();
            state[singular] = self.cards.range((kind, 0)..=(kind, u64::MAX)).map(|(_, card)| self.brief(kind, card)).collect();
            state[format!("{singular}_by_key")] = json!(by_key);
            state[format!("{singular}_doubled")] = Value::Object(doubled);
        }
        state
    }

    fn by_key(&self, kind: Kind) -> BTreeMap<String, BTreeMap<String, Vec<u64>>> {
        let mut by_key: BTreeMap<String, BTreeMap<String, Vec<u64>>> = BTreeMap::new();
        for field in self.fields_of(kind).iter().filter(|field| field.kind == "text") {
            let name = field.code.clone().unwrap_or_else(|| field.id.to_string());
            let values = by_key.entry(name).or_default();
            for (_, card) in self.cards.range((kind, 0)..=(kind, u64::MAX)) {
                for value in card.values.get(&field.id).into_iter().flatten() {
                    if let Some(text) = value.get("value").and_then(wire::text) {
                        values.entry(text).or_default().push(card.id);
                    }
                }
            }
        }
        by_key
    }

    pub(super) fn brief(&self, kind: Kind, card: &super::card::Card) -> Value {
        let mut fields = Map::new();
        for field in self.fields_of(kind) {
            if let Some(values) = card.values.get(&field.id) {
                let values: Vec<&Value> = values.iter().filter_map(|value| value.get("value")).collect();
                fields.insert(field.code.clone().unwrap_or_else(|| field.id.to_string()), json!(values));
            }
        }
        let mut brief = json!({"id": card.id, "name": card.name, "created_at": card.created_at, "updated_at": card.updated_at, "fields": fields});
        if kind == Kind::Leads {
            brief["price"] = json!(card.lead.price);
            brief["pipeline_id"] = json!(card.lead.pipeline);
            brief["status_id"] = json!(card.lead.status);
            brief["products"] = self.shown_products(kind, card.id);
            brief["contacts"] = self.links.get(&card.id).into_iter().flatten().map(|link| json!(link.contact)).collect();
        }
        brief
    }
}
