//! What the portal holds, for the books: items by the values that can be a business key, with what stands there twice.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Bitrix;
use super::schema::{Entity, Kind};

impl Bitrix {
    /// `deals_by_key` and `contacts_by_key`: by field (`originId`, text user fields by their `UF_CRM_` name), by value, the ids that carry it. `..._doubled`:
    /// those that more than one carries. `timeline_doubled`: entries that one card has twice, word for word.
    #[must_use]
    pub fn state(&self) -> Value {
        let mut state = json!({
            "portal": self.base,
            "limits": self.limits.state(),
            "oauth": self.auth.state(),
            "funnels": self.funnels_state(),
            "timeline": self.timeline_state(),
            "catalog": self.catalog_state(),
            "events": self.queue_state(),
            "robots": self.robots,
            "product_rows": self.rows.keys().map(|deal| (deal.to_string(), self.shown_rows(*deal))).collect::<Map<_, _>>(),
            "timeline_doubled": self.timeline_doubled(),
        });
        for entity in Entity::ALL {
            let by_key = self.by_key(entity);
            let doubled: Map<String, Value> = by_key
                .iter()
                .map(|(field, values)| {
                    let twice: BTreeMap<&String, &Vec<u64>> = values.iter().filter(|(_, ids)| ids.len() > 1).collect();
                    (field.clone(), json!(twice))
                })
                .collect();
            let items = self.items.range((entity, 0)..=(entity, u64::MAX)).map(|(_, item)| {
                let mut values: Map<String, Value> =
                    item.values.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())).collect();
                values.insert("fm".to_owned(), item.multi.iter().map(super::multifield::Multi::shown).collect());
                Value::Object(values)
            });
            state[format!("{}s", entity.name())] = items.collect();
            state[format!("{}s_by_key", entity.name())] = json!(by_key);
            state[format!("{}s_doubled", entity.name())] = Value::Object(doubled);
            state[format!("{}_fields", entity.name())] = self.user_fields_state(entity);
        }
        state
    }

    fn by_key(&self, entity: Entity) -> BTreeMap<String, BTreeMap<String, Vec<u64>>> {
        let own = self
            .user_fields_of(entity)
            .filter(|field| field.kind() == Kind::Text && !field.multiple)
            .map(|field| (field.name.clone(), field.camel()));
        let fields: Vec<(String, String)> = std::iter::once(("originId".to_owned(), "originId".to_owned())).chain(own).collect();
        let mut by_key: BTreeMap<String, BTreeMap<String, Vec<u64>>> = BTreeMap::new();
        for (name, camel) in fields {
            let values = by_key.entry(name).or_default();
            for (_, item) in self.items.range((entity, 0)..=(entity, u64::MAX)) {
                if let Some(text) = item.text(&camel) {
                    values.entry(text.to_owned()).or_default().push(item.id);
                }
            }
        }
        by_key
    }
}
