//! `crm.item.import` and `crm.item.batchImport`: items from elsewhere, without robots, and with the times that an administrator gives them.

use serde_json::{Map, Value, json};

use super::items::{entity_of, fields_of};
use super::schema::{Entity, instant};
use super::{Answer, Bitrix, Call, Done, Fault, Parameters, needed, portal_time};

/// More than this in one call is refused.
const MAX_ITEMS: usize = 20;

impl Bitrix {
    pub(super) fn item_import(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        let id = self.imported(call, entity_of(parameters)?, fields_of(parameters)?)?;
        Ok(Done::of(json!({"item": {"id": id}})))
    }

    /// The answer has the keys of the request; what could not be taken has its error there.
    pub(super) fn item_batch_import(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        let entity = entity_of(parameters)?;
        let keyed: Vec<(String, Value)> = match needed(parameters, "data")? {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(index, value)| (index.to_string(), value.clone())).collect(),
            _ => return Err(Fault::argument("data")),
        };
        if keyed.len() > MAX_ITEMS {
            return Err(Fault::bad("MAX_IMPORT_BATCH_SIZE_EXCEEDED", &format!("Maximum number of items is {MAX_ITEMS}")));
        }
        let mut items = Map::new();
        for (key, value) in keyed {
            let done = value.as_object().ok_or_else(|| Fault::argument("data")).and_then(|fields| self.imported(call, entity, fields));
            items.insert(key, done.map_or_else(|fault| fault.value_in_batch(), |id| json!({"item": {"id": id}})));
        }
        Ok(Done::of(json!({"items": items})))
    }

    fn imported(&mut self, call: Call<'_>, entity: Entity, fields: &Map<String, Value>) -> Result<u64, Fault> {
        let id = self.create(Call { robots: false, ..call }, entity, fields)?;
        if self.admin {
            self.items.change((entity, id), |item| {
                for name in ["createdTime", "updatedTime", "movedTime"] {
                    if let Some(at) = fields.get(name).and_then(Value::as_str).and_then(instant) {
                        item.values.insert(name.to_owned(), json!(portal_time(at)));
                    }
                }
            });
        }
        Ok(id)
    }
}
