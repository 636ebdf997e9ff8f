//! A contact of amoCRM's by its id, for `limegate sync diff`.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

use crate::config::StageRef;
use crate::crm::glance::{Glance, Look};
use crate::crm::setup::SetupError;
use crate::crm::texts::Texts;
use crate::flow::contacts::Card;

use super::contact::Contact;
use super::schema::{Raw, Schema, contact_fields};
use super::setup::{self, Read};
use super::wire;

/// Asks for a contact. Lime's card says how its name is split.
#[must_use]
pub fn look(contact: u64, lime: Card, texts: Texts) -> Look {
    Look::new(move |line| async move {
        let label = Read::Account.label();
        let account = setup::ask(&line, Read::Account.first()).await?.json().ok_or(SetupError::Unreadable { request: label, what: "the account" })?;
        let mut fields = Vec::new();
        let mut next = Some(Read::ContactFields.first());
        while let Some(request) = next.take() {
            let page = setup::list(&line, request, Read::ContactFields.key()).await?;
            fields.extend(page.items);
            next = page.next.map(|path| crate::http::Request::get(path, Read::ContactFields.label()));
        }
        let raw = Raw { account, contact_fields: fields, ..Raw::default() };
        let label = "GET /contacts/{id}";
        let answer = line.ask(wire::get(&format!("/contacts/{contact}"), label)).await;
        if matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_FOUND) {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(SetupError::Refused { request: label, status: answer.status.as_u16(), said: String::new() });
        }
        let entry: Value = answer.json().ok_or(SetupError::Unreadable { request: label, what: "a contact" })?;
        let schema = schema(&raw);
        let found = Contact::read(&entry, &schema);
        Ok(found.map(|contact| Glance { card: contact.held(&lime, &schema, &texts), changed_ms: contact.changed_ms() }))
    })
}

/// As much of it as a contact needs.
fn schema(raw: &Raw) -> Schema {
    Schema {
        wanted: (StageRef::Default, StageRef::Default),
        zone: raw.zone(),
        pipeline: 0,
        stage: 0,
        contact: contact_fields(raw),
        lead: BTreeMap::new(),
        filters: false,
        read_ms: 0,
    }
}
