//! `crm.item.*` for contacts (3) and deals (2): real types, camelCase, silence about what it does not know.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::errors::Fault;
use super::history::Step;
use super::multifield::{self, Multi};
use super::schema::{self, Entity, Kind};
use super::{Answer, Bitrix, Call, Done, PAGE, Parameters, USER, needed, needed_id, portal_time, start_of};
use crate::wire;

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: u64,
    /// By camelCase name, as they read.
    pub(super) values: Map<String, Value>,
    pub(super) multi: Vec<Multi>,
    /// On the monotonic clock: the search index may lag behind it.
    pub(super) born_ms: u64,
}

impl Item {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.values.get(name).and_then(Value::as_i64)
    }
}

impl Bitrix {
    pub(super) fn item_add(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        let entity = entity_of(parameters)?;
        let fields = fields_of(parameters)?;
        let id = self.create(call, entity, fields)?;
        self.read(entity, id)
    }

    pub(super) fn item_get(&mut self, parameters: &Parameters) -> Answer {
        self.read(entity_of(parameters)?, needed_id(parameters, "id")?)
    }

    pub(super) fn item_update(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        let entity = entity_of(parameters)?;
        let id = needed_id(parameters, "id")?;
        let fields = fields_of(parameters)?;
        self.change(call, entity, id, fields, multifield::update)?;
        self.read(entity, id)
    }

    pub(super) fn item_delete(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        let entity = entity_of(parameters)?;
        let id = needed_id(parameters, "id")?;
        self.remove(call, entity, id)?;
        Ok(Done::of(json!([])))
    }

    /// Takes an item away, with its rows; deals stand without a contact that goes. Shared with the older methods and with people.
    pub(super) fn remove(&mut self, call: Call<'_>, entity: Entity, id: u64) -> Result<(), Fault> {
        self.items.remove(&(entity, id)).ok_or_else(Fault::not_found)?;
        match entity {
            Entity::Deal => {
                self.rows.remove(&id);
            }
            Entity::Contact => {
                self.items.relink(|ids| ids.retain(|known| *known != json!(id)));
            }
        }
        self.item_happened(call, entity, "DELETE", id);
        Ok(())
    }

    /// Stores a new item; shared with the older methods.
    pub(super) fn create(&mut self, call: Call<'_>, entity: Entity, fields: &Map<String, Value>) -> Result<u64, Fault> {
        let id = self.next_id();
        let now = json!(portal_time(call.wall_ms));
        let mut item = Item { id, values: Map::new(), multi: Vec::new(), born_ms: call.now_ms };
        for field in entity.fields() {
            item.values.insert(field.camel.to_owned(), if field.kind == Kind::Ids { json!([]) } else { Value::Null });
        }
        for field in self.user_fields_of(entity) {
            item.values.insert(field.camel(), if field.multiple { json!([]) } else { Value::Null });
        }
        let defaults: &[(&str, Value)] = match entity {
            Entity::Contact => &[("typeId", json!("CLIENT")), ("export", json!("Y"))],
            Entity::Deal => &[
                ("title", json!(format!("Сделка #{id}"))),
                ("opportunity", json!(0.0)),
                ("isManualOpportunity", json!("N")),
                ("currencyId", json!("RUB")),
                ("categoryId", json!(0)),
                ("movedTime", now.clone()),
                ("movedBy", json!(USER)),
            ],
        };
        let common = [
            ("id", json!(id)),
            ("opened", json!("Y")),
            ("assignedById", json!(USER)),
            ("createdBy", json!(USER)),
            ("updatedBy", json!(USER)),
            ("createdTime", now.clone()),
            ("updatedTime", now),
        ];
        for (name, value) in common.iter().chain(defaults) {
            item.values.insert((*name).to_owned(), value.clone());
        }
        self.fill(entity, &mut item, fields);
        if let Some(given) = fields.get("fm") {
            item.multi = multifield::added(given, || self.next_id());
        }
        self.settle(entity, &mut item, None, fields)?;
        if entity == Entity::Deal {
            self.note_stage(call, &item, Step::Created);
        }
        self.items.insert((entity, id), item);
        self.item_happened(call, entity, "ADD", id);
        self.set_off(call, entity, id);
        Ok(id)
    }

    /// Robots stand on stages: a deal that comes to one sets them off, unless it was imported.
    fn set_off(&mut self, call: Call<'_>, entity: Entity, id: u64) {
        if call.robots && entity == Entity::Deal {
            *self.robots.entry(id).or_default() += 1;
        }
    }

    /// Changes an item; where nothing changes nothing is saved. `multi` says how the family of methods changes phones and the like.
    pub(super) fn change(
        &mut self,
        call: Call<'_>,
        entity: Entity,
        id: u64,
        fields: &Map<String, Value>,
        multi: multifield::Change,
    ) -> Result<(), Fault> {
        let before = self.items.get(&(entity, id)).cloned().ok_or_else(Fault::not_found)?;
        let mut item = before.clone();
        self.fill(entity, &mut item, fields);
        if let Some(given) = fields.get("fm") {
            item.multi = multi(&before.multi, given, &mut || self.next_id());
        }
        self.settle(entity, &mut item, Some(&before), fields)?;
        if item.values == before.values && item.multi == before.multi {
            return Ok(());
        }
        let now = json!(portal_time(call.wall_ms));
        let moved_funnel = entity == Entity::Deal && item.number("categoryId") != before.number("categoryId");
        if entity == Entity::Deal && (item.text("stageId") != before.text("stageId") || item.number("categoryId") != before.number("categoryId")) {
            item.values.insert("movedTime".to_owned(), now.clone());
            let step = if item.number("categoryId") == before.number("categoryId") { Step::Moved } else { Step::Funnel };
            self.note_stage(call, &item, step);
            self.set_off(call, entity, id);
        }
        item.values.insert("updatedTime".to_owned(), now);
        self.items.insert((entity, id), item);
        self.item_happened(call, entity, "UPDATE", id);
        if moved_funnel {
            self.item_happened(call, entity, "MOVETOCATEGORY", id);
        }
        Ok(())
    }

    /// Takes over what is known and writable; the rest is dropped without a word.
    fn fill(&self, entity: Entity, item: &mut Item, fields: &Map<String, Value>) {
        for (name, given) in fields {
            let Some(field) = self.field_named(entity, name).filter(|field| !field.read_only()) else { continue };
            let value = match &field {
                schema::Known::User(own) if own.multiple => {
                    let values =
                        wire::members(given).into_iter().filter_map(|value| schema::taken(own.kind(), value)).filter(|value| !value.is_null());
                    Some(values.collect())
                }
                field => schema::taken(field.kind(), given),
            };
            if let Some(value) = value {
                item.values.insert(field.camel(), value);
            }
        }
    }

    /// What must fit together: a deal's funnel and stage, its contacts.
    fn settle(&self, entity: Entity, item: &mut Item, before: Option<&Item>, given: &Map<String, Value>) -> Result<(), Fault> {
        if entity == Entity::Contact {
            return Ok(());
        }
        let category = item.number("categoryId").unwrap_or(0);
        let moved = before.is_some_and(|before| before.number("categoryId") != Some(category));
        if !self.funnels.iter().any(|funnel| i64::try_from(funnel.id) == Ok(category)) {
            return Err(Fault::value("categoryId"));
        }
        let has_stage = given.contains_key("stageId") || given.contains_key("STAGE_ID");
        let stage = match item.text("stageId") {
            Some(stage) if !moved || has_stage => stage.to_owned(),
            _ => self.first_stage(category),
        };
        let Some(semantics) = self.semantics(category, &stage) else { return Err(Fault::value("stageId")) };
        let closed = if semantics == "P" { "N" } else { "Y" };
        for (name, value) in [("stageId", json!(stage)), ("stageSemanticId", json!(semantics)), ("closed", json!(closed))] {
            item.values.insert(name.to_owned(), value);
        }
        let mut contacts: Vec<i64> =
            item.values.get("contactIds").map(wire::members).unwrap_or_default().into_iter().filter_map(Value::as_i64).collect();
        let one = ["contactId", "CONTACT_ID"].iter().any(|name| given.contains_key(*name));
        let many = ["contactIds", "CONTACT_IDS"].iter().any(|name| given.contains_key(*name));
        if one && !many {
            contacts = item.number("contactId").into_iter().collect();
        }
        if contacts.iter().any(|id| u64::try_from(*id).ok().is_none_or(|id| !self.items.contains_key(&(Entity::Contact, id)))) {
            return Err(Fault::value("contactId"));
        }
        if self.rows.get(&item.id).is_some_and(|rows| !rows.is_empty()) && item.text("isManualOpportunity") != Some("Y") {
            item.values.insert("opportunity".to_owned(), json!(self.sum_of_rows(item.id)));
        }
        item.values.insert("contactId".to_owned(), contacts.first().map_or(Value::Null, |id| json!(id)));
        item.values.insert("contactIds".to_owned(), json!(contacts));
        Ok(())
    }

    pub(super) fn read(&self, entity: Entity, id: u64) -> Answer {
        let item = self.items.get(&(entity, id)).ok_or_else(Fault::not_found)?;
        Ok(Done::of(json!({"item": self.shown(entity, item)})))
    }

    fn shown(&self, entity: Entity, item: &Item) -> Value {
        let mut values = item.values.clone();
        // Fields that were made after the item are there, empty.
        for field in self.user_fields_of(entity) {
            values.entry(field.camel()).or_insert_with(|| if field.multiple { json!([]) } else { Value::Null });
        }
        if entity == Entity::Contact {
            let has = |kind: &str| if item.multi.iter().any(|multi| multi.kind == kind) { "Y" } else { "N" };
            values.insert("hasPhone".to_owned(), json!(has("PHONE")));
            values.insert("hasEmail".to_owned(), json!(has("EMAIL")));
            values.insert("hasImol".to_owned(), json!("N"));
            values.insert("fm".to_owned(), item.multi.iter().map(Multi::shown).collect());
        }
        values.insert("entityTypeId".to_owned(), json!(entity.type_id()));
        Value::Object(values)
    }

    pub(super) fn item_list(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        let entity = entity_of(parameters)?;
        let filter = self.filter(entity, parameters.get("filter").unwrap_or(&Value::Null), true)?;
        let order = self.order(entity, parameters.get("order").unwrap_or(&Value::Null), true)?;
        let found = self.matching(call, entity, &filter, &order);
        let select: Option<Vec<String>> = parameters.get("select").map(|select| wire::members(select).into_iter().filter_map(wire::text).collect());
        let original = parameters.get("useOriginalUfNames").and_then(wire::text).as_deref() == Some("Y");
        let row = |item: &Item| self.row(entity, item, select.as_deref(), original);
        let Some(start) = start_of(parameters) else {
            return Ok(Done::of(json!({"items": found.into_iter().take(PAGE).map(row).collect::<Vec<_>>()})));
        };
        let (total, from) = (found.len(), start / PAGE * PAGE);
        let rows: Vec<Value> = found.into_iter().skip(from).take(PAGE).map(row).collect();
        let next = from + rows.len();
        Ok(Done { result: json!({"items": rows}), total: Some(total), next: (next < total).then_some(next) })
    }

    /// A row of a list. `fm` cannot be selected, but `*` brings it. With the original names of user fields an explicit selection loses all others:
    /// the server compares upper case with camelCase.
    fn row(&self, entity: Entity, item: &Item, select: Option<&[String]>, original: bool) -> Value {
        let Value::Object(shown) = self.shown(entity, item) else { return Value::Null };
        let all = select.is_none_or(|select| select.iter().any(|name| name == "*"));
        let mut row = Map::new();
        for (name, value) in shown {
            let own = self.user_fields_of(entity).find(|field| field.camel() == name);
            let wanted = match (&own, all) {
                (_, true) => true,
                (Some(field), false) => select.is_some_and(|select| {
                    select.iter().any(|wanted| *wanted == name || *wanted == field.name || wanted == "uf_*" || wanted == "UF_*")
                }),
                (None, false) => !original && name != "fm" && select.is_some_and(|select| select.contains(&name)),
            };
            if wanted {
                row.insert(own.filter(|_| original).map_or(name, |field| field.name.clone()), value);
            }
        }
        if entity == Entity::Contact {
            let flat = |kind: &str, sort: &str| {
                item.multi.iter().find(|multi| multi.kind == kind && (sort.is_empty() || multi.sort == sort)).map(|multi| multi.value.clone())
            };
            for (name, kind, sort) in [
                ("phone", "PHONE", ""),
                ("phoneMobile", "PHONE", "MOBILE"),
                ("phoneWork", "PHONE", "WORK"),
                ("email", "EMAIL", ""),
                ("emailHome", "EMAIL", "HOME"),
                ("emailWork", "EMAIL", "WORK"),
            ] {
                if select.is_some_and(|select| select.iter().any(|wanted| wanted == name)) {
                    row.insert(name.to_owned(), json!(flat(kind, sort)));
                }
            }
        }
        Value::Object(row)
    }

    pub(super) fn item_fields(&self, parameters: &Parameters) -> Answer {
        let entity = entity_of(parameters)?;
        let mut fields = Map::new();
        for field in entity.fields() {
            let kind = match field.kind {
                Kind::Integer | Kind::Ids => "integer",
                Kind::Double => "double",
                Kind::Text => "string",
                Kind::Flag => "boolean",
                Kind::Date => "date",
                Kind::DateTime => "datetime",
            };
            let shown = json!({"type": kind, "isRequired": false, "isReadOnly": field.read_only, "isImmutable": false,
                "isMultiple": field.kind == Kind::Ids, "isDynamic": false, "title": field.camel, "upperName": field.upper});
            fields.insert(field.camel.to_owned(), shown);
        }
        for field in self.user_fields_of(entity) {
            fields.insert(field.camel(), field.described());
        }
        if entity == Entity::Contact {
            fields.insert(
                "fm".to_owned(),
                json!({"type": "crm_multifield", "isRequired": false, "isReadOnly": false, "isImmutable": false,
                "isMultiple": true, "isDynamic": false, "title": "fm", "upperName": "FM"}),
            );
        }
        Ok(Done::of(json!({"fields": fields})))
    }
}

pub(super) fn entity_of(parameters: &Parameters) -> Result<Entity, Fault> {
    let value = needed(parameters, "entityTypeId")?;
    wire::integer(value).and_then(Entity::of_type).ok_or_else(|| Fault::new(StatusCode::BAD_REQUEST, "NOT_FOUND", "Смарт-процесс не найден"))
}

pub(super) fn fields_of(parameters: &Parameters) -> Result<&Map<String, Value>, Fault> {
    needed(parameters, "fields")?.as_object().ok_or_else(|| Fault::argument("fields"))
}
