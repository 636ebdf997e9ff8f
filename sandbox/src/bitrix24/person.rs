//! What a manager does in Bitrix24's interface, for tests and the demonstration: `POST /_sandbox/bitrix24/{action}`. No app and no webhook made it.
//!
//! | action | body |
//! |---|---|
//! | `contact`, `deal` | `id` or none; fields as `crm.item.*` has them, and besides them `phones: []`, `emails: []` |
//! | `products` | `deal_id`, `products: [{id \| xml_id \| name, quantity, price}]`: quantity 0 takes one away |
//! | `delete` | `kind: contact\|deal`, `id` |
//! | `merge` | `into`, `from`: two contacts |

use serde_json::{Map, Value, json};

use super::multifield::{self, Multi};
use super::schema::Entity;
use super::{Bitrix, Call, USER, Who, portal_time};
use crate::wire;

impl Bitrix {
    /// Does what a manager would do in the interface, and says what came of it.
    ///
    /// # Errors
    /// The action is not known, or its body does not fit: a sentence for people.
    pub fn act(&mut self, action: &str, now_ms: u64, wall_ms: i64, body: &Value) -> Result<Value, String> {
        let call = Call { now_ms, wall_ms, who: Who::Person, connector: None, robots: true };
        let given = body.as_object().ok_or("the body must be an object")?;
        match action {
            "contact" => self.put_item(call, Entity::Contact, given),
            "deal" => self.put_item(call, Entity::Deal, given),
            "products" => {
                let deal = id_of(given, "deal_id")?;
                self.items.get(&(Entity::Deal, deal)).ok_or_else(|| format!("there is no deal {deal}"))?;
                let products: Vec<Value> = given.get("products").map(wire::members).unwrap_or_default().into_iter().cloned().collect();
                self.put_rows(call, deal, &products)?;
                Ok(self.shown_rows(deal))
            }
            "delete" => {
                let entity = match given.get("kind").and_then(Value::as_str) {
                    Some("contact") => Entity::Contact,
                    Some("deal") => Entity::Deal,
                    _ => return Err("kind must be contact or deal".to_owned()),
                };
                let id = id_of(given, "id")?;
                self.remove(call, entity, id).map_err(|fault| fault.value_in_batch().to_string())?;
                Ok(json!({"id": id}))
            }
            "merge" => self.merge(call, id_of(given, "into")?, id_of(given, "from")?),
            _ => Err(format!("a manager cannot {action}: contact, deal, products, delete, merge")),
        }
    }

    fn put_item(&mut self, call: Call<'_>, entity: Entity, given: &Map<String, Value>) -> Result<Value, String> {
        let mut fields = given.clone();
        let id = fields.remove("id").and_then(|id| id.as_u64());
        let own = id.and_then(|id| self.items.get(&(entity, id))).map(|item| item.multi.clone()).unwrap_or_default();
        let mut fm = Map::new();
        for (key, kind) in [("phones", "PHONE"), ("emails", "EMAIL")] {
            let Some(list) = fields.remove(key) else { continue };
            let wanted: Vec<String> = wire::members(&list).into_iter().filter_map(wire::text).collect();
            for gone in own.iter().filter(|multi| multi.kind == kind && !wanted.contains(&multi.value)) {
                fm.insert(gone.id.to_string(), json!({"typeId": kind, "value": ""}));
            }
            let known = |value: &String| own.iter().any(|multi: &Multi| multi.kind == kind && multi.value == *value);
            for value in wanted.iter().filter(|value| !known(value)) {
                fm.insert(format!("n{}", fm.len()), json!({"typeId": kind, "valueType": "MOBILE", "value": value}));
            }
        }
        if !fm.is_empty() {
            fields.insert("fm".to_owned(), Value::Object(fm));
        }
        let told = |fault: super::errors::Fault| fault.value_in_batch().to_string();
        let id = match id {
            Some(id) => {
                self.change(call, entity, id, &fields, multifield::update).map_err(told)?;
                id
            }
            None => self.create(call, entity, &fields).map_err(told)?,
        };
        self.read(entity, id).map(|done| done.result.get("item").cloned().unwrap_or_default()).map_err(told)
    }

    /// The one takes what it lacks, every phone and address and all deals of the other, which goes.
    fn merge(&mut self, call: Call<'_>, into: u64, from: u64) -> Result<Value, String> {
        let find = |id: u64| self.items.get(&(Entity::Contact, id)).cloned().ok_or_else(|| format!("there is no contact {id}"));
        let (mut item, other) = (find(into)?, find(from)?);
        if into == from {
            return Err("a contact cannot be merged with itself".to_owned());
        }
        let empty = |value: Option<&Value>| {
            value.is_none_or(|value| value.is_null() || value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty))
        };
        for (name, value) in &other.values {
            if empty(item.values.get(name)) {
                item.values.insert(name.clone(), value.clone());
            }
        }
        for multi in &other.multi {
            if !item.multi.iter().any(|own| (&own.kind, &own.value) == (&multi.kind, &multi.value)) {
                item.multi.push(multi.clone());
            }
        }
        item.values.insert("updatedTime".to_owned(), json!(portal_time(call.wall_ms)));
        item.values.insert("updatedBy".to_owned(), json!(USER));
        self.items.insert((Entity::Contact, into), item);
        self.items.relink(|ids| {
            let had = ids.contains(&json!(into));
            ids.retain(|id| !had || *id != json!(from));
            ids.iter_mut().filter(|id| **id == json!(from)).for_each(|id| *id = json!(into));
        });
        self.item_happened(call, Entity::Contact, "UPDATE", into);
        self.remove(call, Entity::Contact, from).map_err(|fault| fault.value_in_batch().to_string())?;
        self.read(Entity::Contact, into)
            .map(|done| done.result.get("item").cloned().unwrap_or_default())
            .map_err(|fault| fault.value_in_batch().to_string())
    }
}

fn id_of(given: &Map<String, Value>, key: &str) -> Result<u64, String> {
    given.get(key).and_then(Value::as_u64).ok_or_else(|| format!("{key} is missing or no id"))
}
