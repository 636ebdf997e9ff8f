//! What a manager does in amoCRM's interface, for tests and the demonstration: `POST /_sandbox/amocrm/{action}`. It is done by another user than the API's.
//!
//! | action | body |
//! |---|---|
//! | `contact`, `lead` | `id` or none; what the API takes, and besides it `phones: []`, `emails: []`, `fields: {CODE: value \| [values] \| null}`; a lead's `contacts: [id]` |
//! | `products` | `lead_id`, `products: [{id \| external_id, quantity}]`: quantity 0 takes one away |
//! | `delete` | `kind: contacts\|leads`, `id` |
//! | `merge` | `kind`, `into`, `from`: what the one lacks it takes from the other, which goes |

use serde_json::{Map, Value, json};

use super::card::Kind;
use super::{Amo, MANAGER, Moment};
use crate::wire;

impl Amo {
    /// Does what a manager would do in the interface, and says what came of it.
    ///
    /// # Errors
    /// The action is not known, or its body does not fit: a sentence for people.
    pub fn act(&mut self, action: &str, now_ms: u64, wall_ms: i64, body: &Value) -> Result<Value, String> {
        let moment = Moment { now_ms, at: wall_ms.div_euclid(1_000), by: MANAGER };
        let given = body.as_object().ok_or("the body must be an object")?;
        let done = match action {
            "contact" => self.put_card(moment, Kind::Contacts, given),
            "lead" => self.put_card(moment, Kind::Leads, given),
            "products" => self.put_products(moment, given),
            "delete" => {
                let kind = kind_of(given)?;
                self.delete(moment, kind, id_of(given, "id")?)
            }
            "merge" => {
                let kind = kind_of(given)?;
                self.merge(moment, kind, id_of(given, "into")?, id_of(given, "from")?)
            }
            _ => Err(format!("a manager cannot {action}: contact, lead, products, delete, merge")),
        };
        self.send_hooks(now_ms);
        done
    }

    fn put_card(&mut self, moment: Moment, kind: Kind, given: &Map<String, Value>) -> Result<Value, String> {
        let mut item = given.clone();
        let mut values: Vec<Value> = item.get("custom_fields_values").and_then(Value::as_array).cloned().unwrap_or_default();
        for (key, code) in [("phones", "PHONE"), ("emails", "EMAIL")] {
            if let Some(list) = item.remove(key) {
                let list: Vec<Value> = wire::members(&list).into_iter().map(|value| json!({"value": value})).collect();
                values.push(json!({"field_code": code, "values": if list.is_empty() { Value::Null } else { json!(list) }}));
            }
        }
        for (code, value) in item.remove("fields").as_ref().and_then(Value::as_object).into_iter().flatten() {
            let list: Vec<Value> = wire::members(value).into_iter().map(|value| json!({"value": value})).collect();
            values.push(json!({"field_code": code, "values": if list.is_empty() { Value::Null } else { json!(list) }}));
        }
        item.insert("custom_fields_values".to_owned(), json!(values));
        let known = item.contains_key("id");
        let contacts = item.remove("contacts").map(|contacts| wire::members(&contacts).into_iter().cloned().collect::<Vec<Value>>());
        if let (Some(contacts), false) = (&contacts, known) {
            let contacts: Vec<Value> = contacts.iter().map(|id| json!({"id": id})).collect();
            item.insert("_embedded".to_owned(), json!({"contacts": contacts}));
        }
        let item = Value::Object(item);
        let refused = |refused: super::errors::Refused| String::from_utf8_lossy(refused.response().body()).into_owned();
        let id = if known {
            self.change(moment, kind, std::slice::from_ref(&item)).map_err(refused)?;
            let id = item.get("id").and_then(wire::integer).and_then(|id| u64::try_from(id).ok()).unwrap_or(0);
            for contact in contacts.iter().flatten().filter_map(Value::as_u64) {
                self.link_contact(moment, id, contact, false);
            }
            id
        } else {
            let drafts = self.drafts(moment, kind, std::slice::from_ref(&item)).map_err(refused)?;
            let id = drafts.first().map_or(0, |draft| draft.card.id);
            self.commit(moment, kind, drafts);
            id
        };
        Ok(self.cards.get(&(kind, id)).map_or(Value::Null, |card| self.shown(kind, card, "contacts,catalog_elements")))
    }

    fn put_products(&mut self, moment: Moment, given: &Map<String, Value>) -> Result<Value, String> {
        let lead = id_of(given, "lead_id")?;
        let catalog = self.product_catalog().ok_or("the list of products is not switched on")?;
        let kind = Kind::Elements(catalog);
        if !self.cards.contains_key(&(Kind::Leads, lead)) {
            return Err(format!("there is no lead {lead}"));
        }
        for item in given.get("products").map(wire::members).unwrap_or_default() {
            let by_key = item.get("external_id").and_then(wire::text).and_then(|key| self.element_of(kind, &key));
            let id = by_key.or_else(|| item.get("id").and_then(Value::as_u64)).filter(|id| self.cards.contains_key(&(kind, *id)));
            let id = id.ok_or_else(|| format!("there is no such product: {item}"))?;
            let quantity = item.get("quantity").and_then(Value::as_f64).unwrap_or(1.0);
            if quantity > 0.0 {
                self.link_product(moment, Kind::Leads, lead, Self::new_product(catalog, id, quantity));
            } else {
                self.unlink_product(moment, Kind::Leads, lead, catalog, id);
            }
        }
        Ok(self.cards.get(&(Kind::Leads, lead)).map_or(Value::Null, |card| self.shown(Kind::Leads, card, "contacts,catalog_elements")))
    }

    fn element_of(&self, kind: Kind, key: &str) -> Option<u64> {
        let field = self.fields_of(kind).iter().find(|field| field.code.as_deref() == Some("EXTERNAL_ID"))?.id;
        let carries = |values: &Vec<Value>| values.iter().any(|value| value.get("value").and_then(wire::text).as_deref() == Some(key));
        self.cards.range((kind, 0)..=(kind, u64::MAX)).find(|(_, card)| card.values.get(&field).is_some_and(carries)).map(|((_, id), _)| *id)
    }

    fn delete(&mut self, moment: Moment, kind: Kind, id: u64) -> Result<Value, String> {
        if !self.cards.contains_key(&(kind, id)) {
            return Err(format!("there is no card {id}"));
        }
        self.gone(moment, kind, id);
        self.take_away(kind, id);
        Ok(json!({"id": id}))
    }

    fn merge(&mut self, moment: Moment, kind: Kind, into: u64, from: u64) -> Result<Value, String> {
        let (Some(before), Some(other)) = (self.cards.get(&(kind, into)).cloned(), self.cards.get(&(kind, from)).cloned()) else {
            return Err(format!("{into} and {from} must both be there"));
        };
        if into == from {
            return Err("a card cannot be merged with itself".to_owned());
        }
        let mut card = before.clone();
        for (field, values) in &other.values {
            let many = self.fields_of(kind).iter().any(|known| known.id == *field && known.kind == "multitext");
            let own = card.values.entry(*field).or_default();
            if own.is_empty() || many {
                own.extend(values.iter().filter(|value| !before.values.get(field).is_some_and(|own| own.contains(value))).cloned());
            }
        }
        card.tags.extend(other.tags.iter().filter(|tag| !before.tags.contains(tag)));
        card.updated_at = moment.at.max(card.updated_at);
        card.updated_by = moment.by;
        self.cards.insert((kind, into), card);
        if kind == Kind::Contacts {
            for lead in self.leads_of(from) {
                self.link_contact(moment, lead, into, false);
            }
        }
        for product in self.products.remove(&(kind, from)).unwrap_or_default() {
            self.link_product(moment, kind, into, product);
        }
        for note in self.notes.iter_mut().filter(|note| note.owner() == (kind, from)) {
            note.belongs_to(into);
        }
        self.take_away(kind, from);
        self.merged(moment, kind, into, from);
        self.changed(moment, kind, &before);
        Ok(self.cards.get(&(kind, into)).map_or(Value::Null, |card| self.shown(kind, card, "leads")))
    }

    /// A card goes, with its links.
    fn take_away(&mut self, kind: Kind, id: u64) {
        if let Some(card) = self.cards.remove(&(kind, id)) {
            self.deleted.insert((kind, id), card);
        }
        self.products.remove(&(kind, id));
        match kind {
            Kind::Leads => {
                self.links.remove(&id);
            }
            _ => self.forget_contact(id),
        }
    }
}

fn kind_of(given: &Map<String, Value>) -> Result<Kind, String> {
    let name = given.get("kind").and_then(Value::as_str).unwrap_or("contacts");
    Kind::named(name).ok_or_else(|| format!("there are no {name}: contacts or leads"))
}

fn id_of(given: &Map<String, Value>, key: &str) -> Result<u64, String> {
    given.get(key).and_then(Value::as_u64).ok_or_else(|| format!("{key} is missing or no id"))
}
