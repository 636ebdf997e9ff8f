//! Groups of products: Lime's groups as the choices of the list's GROUP field.
//!
//! Choices are sent as a whole, and one without its id would be deleted and made anew, with all products falling out of it: so they are read just before,
//! and sent back with their ids. Doing it again changes nothing. Never: a choice that people made taken away.

use http::Method;
use serde_json::{Value, json};

use crate::delivery::Host;

use super::desk::{Desk, Stop, good};
use super::places::Field;
use super::schema::same_name;
use super::wire;

/// The groups that the field has, by name and id.
#[derive(Debug)]
pub struct Groups {
    catalog: u64,
    field: Field,
    choices: Vec<Value>,
    read: bool,
}

impl Groups {
    /// Nothing is read before it is needed.
    #[must_use]
    pub fn new(catalog: u64, field: Field) -> Self {
        Self { catalog, field, choices: Vec::new(), read: false }
    }

    /// Sees to it that these groups are there. `renamed`: what a group was called before, so that it is renamed and not made again.
    ///
    /// # Errors
    /// When it cannot be done now.
    pub async fn ensure(&mut self, desk: &mut Desk, names: &[(String, Option<String>)]) -> Result<(), Stop> {
        if self.field.kind == "text" || names.is_empty() {
            return Ok(());
        }
        if !self.read {
            self.choices = self.ask(desk).await?;
            self.read = true;
        }
        let mut changed = false;
        for (name, before) in names {
            if self.choice(name).is_some() {
                continue;
            }
            changed = true;
            let old = before.as_ref().and_then(|before| self.choices.iter_mut().find(|choice| is_called(choice, before)));
            match old {
                Some(choice) => choice["value"] = json!(name),
                None => self.choices.push(json!({ "value": name, "sort": self.choices.len() })),
            }
        }
        if !changed {
            return Ok(());
        }
        let key = self.key();
        let kept: Vec<Value> = self
            .choices
            .iter()
            .map(|choice| match choice.get("id") {
                Some(id) => json!({ "id": id, "value": choice["value"], "sort": choice["sort"] }),
                None => choice.clone(),
            })
            .collect();
        let path = format!("/catalogs/{}/custom_fields/{}", self.catalog, self.field.id);
        let body = json!({ key: kept });
        let request = crate::http::Request::json(Method::PATCH, format!("/api/v4{path}"), &body, "PATCH /catalogs/{id}/custom_fields/{id}");
        good(&desk.ask(Host::Crm, request).await?)?;
        // Their ids are not taken from the answer: what it holds is not sure.
        self.choices = self.ask(desk).await?;
        Ok(())
    }

    /// The value that puts an element into a group.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value> {
        if self.field.kind == "text" {
            return Some(json!({ "field_id": self.field.id, "values": [{ "value": super::value::fit(name, super::value::TEXT) }] }));
        }
        Some(json!({ "field_id": self.field.id, "values": [{ "enum_id": self.choice(name)? }] }))
    }

    fn key(&self) -> &'static str {
        if self.field.kind == "category" { "nested" } else { "enums" }
    }

    fn choice(&self, name: &str) -> Option<u64> {
        self.choices.iter().find(|choice| is_called(choice, name)).and_then(|choice| wire::id(choice.get("id")))
    }

    async fn ask(&self, desk: &mut Desk) -> Result<Vec<Value>, Stop> {
        let path = format!("/catalogs/{}/custom_fields/{}", self.catalog, self.field.id);
        let answer = desk.ask(Host::Crm, wire::get(&path, "GET /catalogs/{id}/custom_fields/{id}")).await?;
        good(&answer)?;
        let mut field = answer.json().ok_or_else(|| Stop::later("amocrm/unreadable", None))?;
        Ok(match field.get_mut(self.key()).map(Value::take) {
            Some(Value::Array(choices)) => choices,
            _ => Vec::new(),
        })
    }
}

fn is_called(choice: &Value, name: &str) -> bool {
    wire::text(choice.get("value")).is_some_and(|value| same_name(&value, name))
}
