//! User fields: `crm.contact.userfield.*` and `crm.deal.userfield.*`, and their two names.

use serde_json::{Value, json};

use super::errors::Fault;
use super::schema::{Entity, Kind};
use super::{Answer, Bitrix, Done, PAGE, Parameters, start_of};
use crate::wire;

const MAX_NAME: usize = 50;
const TYPES: [&str; 12] =
    ["string", "integer", "double", "boolean", "datetime", "date", "money", "url", "address", "enumeration", "employee", "crm_status"];

#[derive(Clone, Debug)]
pub(super) struct UserField {
    id: u64,
    entity: Entity,
    /// `UF_CRM_...`
    pub(super) name: String,
    pub(super) multiple: bool,
    kind: String,
    label: String,
    xml_id: Option<String>,
    sort: i64,
    show_filter: String,
    choices: Vec<(u64, String, i64)>,
}

impl UserField {
    /// The name that `crm.item.*` uses: `UF_CRM_LIME_LAST_VISIT` is `ufCrmLimeLastVisit`, a number at the end keeps an underscore.
    pub(super) fn camel(&self) -> String {
        let segments: Vec<&str> = self.name.split('_').filter(|segment| !segment.is_empty()).collect();
        let mut out = String::new();
        for (index, segment) in segments.iter().enumerate() {
            let lower = segment.to_ascii_lowercase();
            let number = lower.bytes().all(|byte| byte.is_ascii_digit());
            match (index, number) {
                (0, _) => out.push_str(&lower),
                (_, true) if index + 1 == segments.len() => {
                    out.push('_');
                    out.push_str(&lower);
                }
                _ => {
                    let (first, rest) = lower.split_at(1);
                    out.push_str(&first.to_ascii_uppercase());
                    out.push_str(rest);
                }
            }
        }
        out
    }

    pub(super) fn kind(&self) -> Kind {
        match self.kind.as_str() {
            "integer" | "enumeration" | "employee" => Kind::Integer,
            "double" => Kind::Double,
            "boolean" => Kind::Flag,
            "datetime" => Kind::DateTime,
            "date" => Kind::Date,
            _ => Kind::Text,
        }
    }

    pub(super) fn described(&self) -> Value {
        let mut shown = json!({
            "type": self.kind, "isRequired": false, "isReadOnly": false, "isImmutable": false, "isMultiple": self.multiple, "isDynamic": true,
            "title": self.label, "upperName": self.name,
        });
        if self.kind == "enumeration" {
            shown["items"] = self.choices.iter().map(|(id, value, _)| json!({"ID": id.to_string(), "VALUE": value})).collect();
        }
        shown
    }

    /// All texts.
    fn row(&self) -> Value {
        let mut row = json!({
            "ID": self.id.to_string(), "ENTITY_ID": self.entity.code(), "FIELD_NAME": self.name, "USER_TYPE_ID": self.kind, "XML_ID": self.xml_id,
            "SORT": self.sort.to_string(),
            "MULTIPLE": if self.multiple { "Y" } else { "N" }, "MANDATORY": "N", "SHOW_FILTER": self.show_filter, "SHOW_IN_LIST": "Y",
            "EDIT_IN_LIST": "Y", "IS_SEARCHABLE": "N",
            "SETTINGS": {}, "EDIT_FORM_LABEL": {"ru": self.label}, "LIST_COLUMN_LABEL": {"ru": self.label}, "LIST_FILTER_LABEL": {"ru": self.label},
        });
        if self.kind == "enumeration" {
            row["LIST"] = self
                .choices
                .iter()
                .map(|(id, value, sort)| json!({"ID": id.to_string(), "SORT": sort.to_string(), "VALUE": value, "DEF": "N"}))
                .collect();
        }
        row
    }
}

impl Bitrix {
    pub(super) fn user_fields_of(&self, entity: Entity) -> impl Iterator<Item = &UserField> {
        self.user_fields.iter().filter(move |field| field.entity == entity)
    }

    pub(super) fn user_field(&mut self, entity: Entity, verb: &str, parameters: &Parameters) -> Answer {
        // Top-level keys of these methods are taken in either case.
        let given = |key: &str| parameters.get(key).or_else(|| parameters.get(key.to_ascii_uppercase().as_str()));
        let by_id = |fields: &[UserField]| {
            given("id")
                .and_then(wire::integer)
                .and_then(|id| fields.iter().position(|field| field.entity == entity && i64::try_from(field.id) == Ok(id)))
        };
        match verb {
            "list" => {
                let filter = given("filter").and_then(Value::as_object).cloned().unwrap_or_default();
                let fits = |row: &Value| {
                    filter.iter().all(|(key, wanted)| {
                        row.get(key).is_none_or(|value| wire::members(wanted).into_iter().any(|wanted| wire::text(wanted) == wire::text(value)))
                    })
                };
                let rows = self.user_fields_of(entity).map(UserField::row).filter(fits).collect();
                Ok(Done::page(rows, start_of(parameters).unwrap_or(0), PAGE))
            }
            "get" => {
                let at = by_id(&self.user_fields).ok_or_else(|| Fault::bad("", "The entity with ID is not found."))?;
                Ok(Done::of(self.user_fields.get(at).map_or(Value::Null, UserField::row)))
            }
            _ if !self.admin => Err(Fault::access_denied()),
            "add" => {
                let fields = given("fields").cloned().ok_or_else(|| Fault::bad("", "Parameter 'fields' must be array."))?;
                self.add_user_field(entity, &fields)
            }
            "update" => {
                let at = by_id(&self.user_fields).ok_or_else(|| Fault::bad("", "The entity with ID is not found."))?;
                let label = given("fields").and_then(label);
                if let (Some(field), Some(label)) = (self.user_fields.get_mut(at), label) {
                    field.label = label;
                }
                Ok(Done::of(json!(true)))
            }
            "delete" => {
                let at = by_id(&self.user_fields).ok_or_else(|| Fault::bad("", "The entity with ID is not found."))?;
                let gone = self.user_fields.remove(at).camel();
                self.items.strip(entity, &gone);
                Ok(Done::of(json!(true)))
            }
            _ => Err(Fault::method_not_found()),
        }
    }

    fn add_user_field(&mut self, entity: Entity, fields: &Value) -> Answer {
        let text = |key: &str| fields.get(key).and_then(wire::text).filter(|text| !text.is_empty());
        let Some(kind) = text("USER_TYPE_ID").filter(|kind| TYPES.contains(&kind.as_str())) else {
            return Err(Fault::bad("", "The 'USER_TYPE_ID' field is not found or invalid."));
        };
        let given = text("FIELD_NAME").unwrap_or_else(|| self.ids.to_string()).to_ascii_uppercase();
        let name = format!("UF_CRM_{}", given.strip_prefix("UF_CRM_").unwrap_or(&given));
        if name.len() > MAX_NAME || !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_') {
            return Err(Fault::bad(
                "ERROR_CORE",
                "Код поля может содержать только латинские буквы, цифры и подчёркивание и не может быть длиннее 50 символов.<br>",
            ));
        }
        if self.user_fields_of(entity).any(|field| field.name == name) {
            return Err(Fault::bad("ERROR_CORE", &format!("Поле {name} для объекта {} уже существует.<br>", entity.code())));
        }
        let mut choices = Vec::new();
        for choice in fields.get("LIST").map(wire::members).unwrap_or_default() {
            if let Some(value) = choice.get("VALUE").and_then(wire::text) {
                choices.push((self.next_id(), value, choice.get("SORT").and_then(wire::integer).unwrap_or(500)));
            }
        }
        let id = self.next_id();
        let field = UserField {
            id,
            entity,
            label: label(fields).unwrap_or_else(|| name.clone()),
            name,
            multiple: text("MULTIPLE").as_deref() == Some("Y"),
            kind,
            xml_id: text("XML_ID"),
            sort: fields.get("SORT").and_then(wire::integer).unwrap_or(100),
            show_filter: text("SHOW_FILTER").unwrap_or_else(|| "N".to_owned()),
            choices,
        };
        self.user_fields.push(field);
        Ok(Done::of(json!(id)))
    }

    pub(super) fn user_fields_state(&self, entity: Entity) -> Value {
        self.user_fields_of(entity)
            .map(|field| json!({"id": field.id, "name": field.name, "type": field.kind, "multiple": field.multiple, "label": field.label}))
            .collect()
    }
}

/// `LABEL`, or one of the labels by language.
fn label(fields: &Value) -> Option<String> {
    let labelled = |key: &str| match fields.get(key) {
        Some(Value::Object(by_language)) => by_language.get("ru").or_else(|| by_language.values().next()).and_then(wire::text),
        Some(value) => wire::text(value),
        None => None,
    };
    ["LABEL", "EDIT_FORM_LABEL", "LIST_COLUMN_LABEL"].into_iter().find_map(labelled).filter(|label| !label.is_empty())
}
