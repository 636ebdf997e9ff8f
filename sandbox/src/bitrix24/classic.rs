//! The older `crm.contact.*` and `crm.deal.*`: upper-case names, every value a text, bare ids and lists as results.

use serde_json::{Map, Value, json};

use super::errors::Fault;
use super::items::Item;
use super::multifield::{self, Multi};
use super::schema::Entity;
use super::{Answer, Bitrix, Call, Done, PAGE, Parameters, start_of};
use crate::wire;

impl Bitrix {
    pub(super) fn classic(&mut self, call: Call<'_>, entity: Entity, verb: &str, parameters: &Parameters) -> Answer {
        // Top-level keys are taken in either case.
        let given = |key: &str| parameters.get(key).or_else(|| parameters.get(key.to_ascii_uppercase().as_str()));
        let id = || given("id").and_then(wire::integer).and_then(|id| u64::try_from(id).ok());
        let fields = || given("fields").and_then(Value::as_object).ok_or_else(|| Fault::bad("", "Parameter 'fields' must be array."));
        match verb {
            "add" => {
                let id = self.create(call, entity, &translated(fields()?))?;
                let multi = multifield::update_classic(&[], &multi_of(fields()?), &mut || self.next_id());
                self.items.change((entity, id), |item| item.multi = multi);
                Ok(Done::of(json!(id)))
            }
            "get" => {
                let item = id().and_then(|id| self.items.get(&(entity, id))).ok_or_else(|| Fault::bad("", "Not found"))?;
                Ok(Done::of(self.classic_row(entity, item, None)))
            }
            "update" => {
                let mut fields = translated(fields()?);
                fields.insert("fm".to_owned(), multi_of(given("fields").and_then(Value::as_object).unwrap_or(&Map::new())));
                let id = id().ok_or_else(|| Fault::bad("", "ID is not defined or invalid."))?;
                self.change(call, entity, id, &fields, multifield::update_classic).map_err(|_| Fault::bad("", "Not found"))?;
                Ok(Done::of(json!(true)))
            }
            "list" => {
                let filter = self.filter(entity, given("filter").unwrap_or(&Value::Null), false)?;
                let order = self.order(entity, given("order").unwrap_or(&Value::Null), false)?;
                let select: Vec<String> = given("select").map(wire::members).unwrap_or_default().into_iter().filter_map(wire::text).collect();
                let select = if select.is_empty() { vec!["*".to_owned()] } else { select };
                let rows: Vec<Value> =
                    self.matching(call, entity, &filter, &order).into_iter().map(|item| self.classic_row(entity, item, Some(&select))).collect();
                // With the count off the classic lists say that there are none.
                match start_of(parameters) {
                    Some(start) => Ok(Done::page(rows, start, PAGE)),
                    None => Ok(Done { result: rows.into_iter().take(PAGE).collect(), total: Some(0), next: None }),
                }
            }
            "delete" => {
                let id = id().ok_or_else(|| Fault::bad("", "ID is not defined or invalid."))?;
                self.remove(call, entity, id).map(|()| Done::of(json!(true))).map_err(|_| Fault::bad("", "Not found"))
            }
            "fields" => Ok(Done::of(
                entity
                    .fields()
                    .iter()
                    .map(|field| (field.upper.to_owned(), json!({"isReadOnly": field.read_only, "title": field.upper})))
                    .collect::<Map<_, _>>()
                    .into(),
            )),
            _ => Err(Fault::method_not_found()),
        }
    }

    fn classic_row(&self, entity: Entity, item: &Item, select: Option<&[String]>) -> Value {
        let wanted =
            |name: &str, mask: &str| select.is_none_or(|select| select.iter().any(|wanted| wanted.eq_ignore_ascii_case(name) || wanted == mask));
        let mut row = Map::new();
        for field in entity.fields().iter().filter(|field| field.upper == "ID" || wanted(field.upper, "*")) {
            row.insert(field.upper.to_owned(), as_text(item.values.get(field.camel).unwrap_or(&Value::Null)));
        }
        for field in self.user_fields_of(entity).filter(|field| wanted(&field.name, "UF_*")) {
            row.insert(field.name.clone(), as_text(item.values.get(&field.camel()).unwrap_or(&Value::Null)));
        }
        // Multifields must be named, and are absent where there are none.
        for kind in ["PHONE", "EMAIL"] {
            let own: Vec<Value> = item.multi.iter().filter(|multi| multi.kind == kind).map(Multi::shown_classic).collect();
            if wanted(kind, "") && !own.is_empty() {
                row.insert(kind.to_owned(), Value::Array(own));
            }
        }
        Value::Object(row)
    }
}

fn as_text(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.to_string()),
        Value::Array(list) => list.iter().map(as_text).collect(),
        other => other.clone(),
    }
}

/// The fields without the multifields: those have a way of their own.
fn translated(fields: &Map<String, Value>) -> Map<String, Value> {
    fields.iter().filter(|(name, _)| !matches!(name.as_str(), "PHONE" | "EMAIL" | "fm")).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn multi_of(fields: &Map<String, Value>) -> Value {
    fields
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "PHONE" | "EMAIL"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}
