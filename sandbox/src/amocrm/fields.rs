//! Definitions of custom fields, and their groups.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::card::Kind;
use super::envelope::request_id;
use super::errors::{Invalid, Problem, Refused};
use super::{ACCOUNT, Amo, Call};
use crate::wire;

/// The types that only catalogs have.
const CATALOG_TYPES: [&str; 4] = ["price", "category", "items", "linked_entity"];

/// The types that a contact or a lead may have. `multitext` is only what the account comes with.
const TYPES: [&str; 16] = [
    "text",
    "numeric",
    "checkbox",
    "select",
    "multiselect",
    "date",
    "url",
    "textarea",
    "radiobutton",
    "streetaddress",
    "smart_address",
    "birthday",
    "legal_entity",
    "date_time",
    "monetary",
    "tracking_data",
];

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) code: Option<String>,
    pub(super) kind: String,
    pub(super) enums: Vec<Choice>,
    sort: i64,
    api_only: bool,
    group: Option<String>,
    remind: Option<String>,
    predefined: bool,
}

/// One choice of a select, or one sort of a phone.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) id: u64,
    pub(super) value: String,
    pub(super) code: Option<String>,
    sort: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    id: String,
    name: String,
    sort: i64,
    predefined: bool,
}

impl Field {
    fn shown(&self, amo: &Amo, kind: Kind) -> Value {
        let enums = (!self.enums.is_empty()).then(|| {
            let shown = |choice: &Choice| json!({"id": choice.id, "value": choice.value, "sort": choice.sort, "code": choice.code});
            self.enums.iter().map(shown).collect::<Vec<_>>()
        });
        // The groups of a category are nested, not enumerated.
        let (enums, nested) = if self.kind == "category" { (None, enums) } else { (enums, None) };
        json!({
            "id": self.id, "name": self.name, "type": self.kind, "account_id": ACCOUNT, "code": self.code, "sort": self.sort,
            "is_api_only": self.api_only,
            "enums": enums, "nested": nested, "group_id": self.group, "required_statuses": [], "is_deletable": !self.predefined, "is_predefined": self.predefined,
            "entity_type": kind.entity_type(), "remind": self.remind, "tracking_callback": null, "chained_lists": null, "triggers": [], "currency": null,
            "hidden_statuses": [], "is_required": null, "search_in": null,
            "_links": {"self": {"href": amo.href(&format!("{}/custom_fields/{}", kind.home(), self.id))}},
        })
    }
}

impl Amo {
    pub(super) fn seed_fields(&mut self) {
        for kind in Kind::ALL {
            let group = |id: &str, name: &str, sort| Group { id: id.to_owned(), name: name.to_owned(), sort, predefined: true };
            self.groups.insert(kind, vec![group("default", "Основное", 0), group("statistic", "Статистика", 1)]);
        }
        let mut fields = Vec::new();
        for (name, code, kind, choices) in [
            ("Должность", "POSITION", "text", &[][..]),
            ("Телефон", "PHONE", "multitext", &["WORK", "WORKDD", "MOB", "FAX", "HOME", "OTHER"][..]),
            ("Email", "EMAIL", "multitext", &["WORK", "PRIV", "OTHER"][..]),
        ] {
            let id = self.next_id();
            let enums = choices
                .iter()
                .zip(1..)
                .map(|(code, sort)| Choice { id: self.next_id(), value: (*code).to_owned(), code: Some((*code).to_owned()), sort })
                .collect();
            let sort = i64::try_from(fields.len()).unwrap_or(0) + 1;
            fields.push(Field {
                id,
                name: name.to_owned(),
                code: Some(code.to_owned()),
                kind: kind.to_owned(),
                enums,
                sort,
                api_only: false,
                group: None,
                remind: None,
                predefined: true,
            });
        }
        self.fields.insert(Kind::Contacts, fields);
        self.fields.insert(Kind::Leads, Vec::new());
    }

    /// What the list of products comes with.
    pub(super) fn seed_product_fields(&mut self, kind: Kind) {
        let mut fields = Vec::new();
        for (name, code, field_type) in [
            ("Артикул", "SKU", "text"),
            ("Описание", "DESCRIPTION", "textarea"),
            ("Цена", "PRICE", "price"),
            ("Группа", "GROUP", "category"),
            ("Внешний ID", "EXTERNAL_ID", "text"),
            ("Единица измерения", "UNIT", "text"),
        ] {
            fields.push(Field {
                id: self.next_id(),
                name: name.to_owned(),
                code: Some(code.to_owned()),
                kind: field_type.to_owned(),
                enums: Vec::new(),
                sort: i64::try_from(fields.len()).unwrap_or(0) + 1,
                api_only: false,
                group: None,
                remind: None,
                predefined: true,
            });
        }
        self.fields.insert(kind, fields);
    }

    pub(super) fn fields_of(&self, kind: Kind) -> &[Field] {
        self.fields.get(&kind).map_or(&[], Vec::as_slice)
    }

    pub(super) fn custom_fields(&mut self, call: &Call<'_>, kind: Kind, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
        let path = format!("{}/custom_fields", kind.home());
        match (call.method(), rest) {
            (&Method::GET, []) => {
                let query = call.query();
                let wanted: Vec<String> =
                    query.pointer("/filter/type").map(wire::members).unwrap_or_default().into_iter().filter_map(wire::text).collect();
                let fields = self.fields_of(kind).iter().filter(|field| wanted.is_empty() || wanted.contains(&field.kind));
                let shown = fields.map(|field| field.shown(self, kind)).collect();
                Ok(self.listed(call, "custom_fields", shown, true))
            }
            (&Method::POST, []) => {
                let items = call.items()?;
                let fields = self.new_fields(kind, &items)?;
                let shown = fields
                    .iter()
                    .zip(&items)
                    .enumerate()
                    .map(|(index, (field, item))| {
                        let mut value = field.shown(self, kind);
                        value["request_id"] = json!(request_id(item, index));
                        value
                    })
                    .collect();
                self.fields.entry(kind).or_default().extend(fields);
                Ok(self.written(StatusCode::CREATED, &path, "custom_fields", shown))
            }
            (&Method::PATCH, []) => {
                let items = call.items()?;
                let mut shown = Vec::new();
                let before = self.fields.get(&kind).cloned();
                for item in &items {
                    match item
                        .get("id")
                        .and_then(wire::integer)
                        .ok_or_else(|| Problem::bad_request("id is missing"))
                        .and_then(|id| self.change_field(kind, id, item))
                    {
                        Ok(value) => shown.push(value),
                        Err(refused) => {
                            self.fields.insert(kind, before.unwrap_or_default());
                            return Err(refused);
                        }
                    }
                }
                Ok(self.written(StatusCode::CREATED, &path, "custom_fields", shown))
            }
            (method, [id]) => {
                let id: i64 = id.parse().map_err(|_| self.no_route(call))?;
                match *method {
                    Method::GET => {
                        let field = self.fields_of(kind).iter().find(|field| i64::try_from(field.id) == Ok(id)).ok_or_else(|| self.no_route(call))?;
                        Ok(self.one(&field.shown(self, kind)))
                    }
                    Method::PATCH => {
                        let item = call.body()?;
                        let value = self.change_field(kind, id, &item)?;
                        Ok(self.one(&value))
                    }
                    Method::DELETE => self.delete_field(call, kind, id),
                    _ => Err(Problem::method_not_allowed()),
                }
            }
            (_, []) => Err(Problem::method_not_allowed()),
            _ => Err(self.no_route(call)),
        }
    }

    fn new_fields(&mut self, kind: Kind, items: &[Value]) -> Result<Vec<Field>, Refused> {
        let mut fields: Vec<Field> = Vec::new();
        let mut invalid = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let mut errors = Vec::new();
            let text = |key: &str| item.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
            let (name, field_type, code, group) = (text("name"), text("type"), text("code"), text("group_id"));
            if name.is_none() {
                errors.push(Invalid::missing("name"));
            }
            let known = |field_type: &str| TYPES.contains(&field_type) || (matches!(kind, Kind::Elements(_)) && CATALOG_TYPES.contains(&field_type));
            match &field_type {
                None => errors.push(Invalid::missing("type")),
                Some(field_type) if !known(field_type) => errors.push(Invalid::choice("type")),
                Some(_) => {}
            }
            // What the real one does with a code that is taken is not documented; here it shows.
            if code.is_some() && self.fields_of(kind).iter().chain(&fields).any(|field| field.code == code) {
                errors.push(Invalid::choice("code"));
            }
            if group.as_ref().is_some_and(|group| !self.groups.get(&kind).is_some_and(|groups| groups.iter().any(|known| known.id == *group))) {
                errors.push(Invalid::choice("group_id"));
            }
            let needs_enums = matches!(field_type.as_deref(), Some("select" | "multiselect" | "radiobutton"));
            let enums = self.choices(item.get("enums").or(item.get("nested")), &mut errors);
            if needs_enums && enums.is_empty() {
                errors.push(Invalid::missing("enums"));
            }
            if errors.is_empty() {
                fields.push(Field {
                    id: self.next_id(),
                    name: name.unwrap_or_default(),
                    code,
                    kind: field_type.unwrap_or_default(),
                    enums,
                    sort: item.get("sort").and_then(Value::as_i64).unwrap_or(500),
                    api_only: item.get("is_api_only").and_then(Value::as_bool).unwrap_or(false),
                    group,
                    remind: text("remind"),
                    predefined: false,
                });
            } else {
                invalid.push((request_id(item, index), errors));
            }
        }
        if invalid.is_empty() { Ok(fields) } else { Err(Problem::invalid(invalid)) }
    }

    /// Choices without an id are new ones, on a change, too: their ids change.
    fn choices(&mut self, given: Option<&Value>, errors: &mut Vec<Invalid>) -> Vec<Choice> {
        let mut choices = Vec::new();
        for (index, item) in given.map(wire::members).unwrap_or_default().into_iter().enumerate() {
            let Some(value) = item.get("value").and_then(Value::as_str) else {
                errors.push(Invalid::missing(format!("enums.{index}.value")));
                continue;
            };
            let id = item.get("id").and_then(Value::as_u64).unwrap_or_else(|| self.next_id());
            let sort = item.get("sort").and_then(Value::as_i64).unwrap_or_else(|| i64::try_from(index).unwrap_or(0));
            choices.push(Choice { id, value: value.to_owned(), code: item.get("code").and_then(Value::as_str).map(str::to_owned), sort });
        }
        choices
    }

    fn change_field(&mut self, kind: Kind, id: i64, item: &Value) -> Result<Value, Refused> {
        let mut errors = Vec::new();
        let enums = item.get("enums").or(item.get("nested")).filter(|enums| !enums.is_null()).map(|enums| self.choices(Some(enums), &mut errors));
        let Some(field) = self.fields.get_mut(&kind).and_then(|fields| fields.iter_mut().find(|field| i64::try_from(field.id) == Ok(id))) else {
            return Err(Problem::not_found("Custom field", &[u64::try_from(id).unwrap_or(0)]));
        };
        if item.get("type").and_then(Value::as_str).is_some_and(|wanted| wanted != field.kind) {
            errors.push(Invalid::choice("type"));
        }
        if !errors.is_empty() {
            return Err(Problem::invalid(vec![("0".to_owned(), errors)]));
        }
        if let Some(name) = item.get("name").and_then(Value::as_str) {
            name.clone_into(&mut field.name);
        }
        if let Some(group) = item.get("group_id").and_then(Value::as_str) {
            field.group = Some(group.to_owned());
        }
        if let Some(sort) = item.get("sort").and_then(Value::as_i64) {
            field.sort = sort;
        }
        if let Some(api_only) = item.get("is_api_only").and_then(Value::as_bool) {
            field.api_only = api_only;
        }
        if let Some(enums) = enums {
            field.enums = enums;
        }
        let field = field.clone();
        Ok(field.shown(self, kind))
    }

    fn delete_field(&mut self, call: &Call<'_>, kind: Kind, id: i64) -> Result<Response<Bytes>, Refused> {
        let at = self.fields_of(kind).iter().position(|field| i64::try_from(field.id) == Ok(id) && !field.predefined);
        let Some(at) = at else { return Err(self.no_route(call)) };
        let gone = self.fields.get_mut(&kind).map(|fields| fields.remove(at));
        if let Some(gone) = gone {
            self.cards.strip(kind, gone.id);
        }
        Ok(wire::empty(StatusCode::NO_CONTENT))
    }

    pub(super) fn groups(&mut self, call: &Call<'_>, kind: Kind, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
        let path = format!("{}/custom_fields/groups", kind.home());
        match (call.method(), rest) {
            (&Method::GET, []) => {
                let shown = self.groups.get(&kind).into_iter().flatten().map(|group| self.shown_group(kind, group)).collect();
                Ok(self.listed(call, "custom_field_groups", shown, true))
            }
            (&Method::GET, [id]) => {
                let group = self.groups.get(&kind).into_iter().flatten().find(|group| group.id == *id).ok_or_else(|| self.no_route(call))?;
                Ok(self.one(&self.shown_group(kind, group)))
            }
            (&Method::POST, []) => {
                let items = call.items()?;
                let mut groups = Vec::new();
                for item in &items {
                    let Some(name) = item.get("name").and_then(Value::as_str) else {
                        return Err(Problem::invalid(vec![(request_id(item, groups.len()), vec![Invalid::missing("name")])]));
                    };
                    let id = format!("{}_{}", kind.name(), self.next_id());
                    groups.push(Group {
                        id,
                        name: name.to_owned(),
                        sort: item.get("sort").and_then(Value::as_i64).unwrap_or(500),
                        predefined: false,
                    });
                }
                let shown = groups
                    .iter()
                    .zip(&items)
                    .enumerate()
                    .map(|(index, (group, item))| {
                        let mut value = self.shown_group(kind, group);
                        value["request_id"] = json!(request_id(item, index));
                        value
                    })
                    .collect();
                self.groups.entry(kind).or_default().extend(groups);
                Ok(self.written(StatusCode::OK, &path, "custom_field_groups", shown))
            }
            (_, [] | [_]) => Err(Problem::method_not_allowed()),
            _ => Err(self.no_route(call)),
        }
    }

    fn shown_group(&self, kind: Kind, group: &Group) -> Value {
        let fields = self.fields_of(kind).iter().filter(|field| field.group.as_deref() == Some(group.id.as_str()));
        json!({
            "id": group.id, "name": group.name, "is_predefined": group.predefined, "type": "text", "entity_type": kind.entity_type(), "sort": group.sort,
            "fields": fields.map(|field| field.id).collect::<Vec<_>>(),
            "_links": {"self": {"href": self.href(&format!("{}/custom_fields/groups/{}", kind.home(), group.id))}},
        })
    }

    pub(super) fn fields_state(&self, kind: Kind) -> Value {
        self.fields_of(kind)
            .iter()
            .filter(|field| !field.predefined)
            .map(|field| json!({"id": field.id, "code": field.code, "name": field.name, "type": field.kind}))
            .collect()
    }
}
