//! Notes of contacts and leads.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::card::Kind;
use super::envelope::request_id;
use super::errors::{Invalid, Problem, Refused};
use super::{ACCOUNT, Amo, Call, USER};
use crate::wire;

#[derive(Clone, Debug)]
pub(super) struct Note {
    id: u64,
    kind: Kind,
    entity: u64,
    note_type: String,
    params: Value,
    at: i64,
    updated_at: i64,
    /// Whether it sets off the digital pipeline.
    triggers: bool,
}

/// What each type's `params` must hold.
const TYPES: [(&str, &[&str]); 9] = [
    ("common", &["text"]),
    ("service_message", &["service", "text"]),
    ("extended_service_message", &["service", "text"]),
    ("call_in", &["uniq", "duration", "source", "phone"]),
    ("call_out", &["uniq", "duration", "source", "phone"]),
    ("sms_in", &["text", "phone"]),
    ("sms_out", &["text", "phone"]),
    ("geolocation", &["text"]),
    ("message_cashier", &["status", "text"]),
];

impl Note {
    pub(super) fn owner(&self) -> (Kind, u64) {
        (self.kind, self.entity)
    }

    /// The card was merged into another.
    pub(super) fn belongs_to(&mut self, entity: u64) {
        self.entity = entity;
    }
}

impl Amo {
    pub(super) fn notes(&mut self, call: &Call<'_>, kind: Kind, entity: Option<u64>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
        match (call.method(), rest) {
            (&Method::GET, []) => {
                let query = call.query();
                let wanted: Option<Vec<String>> =
                    query.pointer("/filter/note_type").map(|types| wire::members(types).into_iter().filter_map(wire::text).collect());
                let ids: Option<Vec<String>> = query.pointer("/filter/id").map(|ids| wire::members(ids).into_iter().filter_map(wire::text).collect());
                let owners: Option<Vec<String>> =
                    query.pointer("/filter/entity_id").map(|ids| wire::members(ids).into_iter().filter_map(wire::text).collect());
                let updated = query.pointer("/filter/updated_at").map(super::filter::Range::of);
                let own = self.notes.iter().filter(|note| note.kind == kind && entity.is_none_or(|entity| note.entity == entity));
                let shown = own
                    .filter(|note| wanted.as_ref().is_none_or(|types| types.contains(&note.note_type)))
                    .filter(|note| ids.as_ref().is_none_or(|ids| ids.contains(&note.id.to_string())))
                    .filter(|note| owners.as_ref().is_none_or(|owners| owners.contains(&note.entity.to_string())))
                    .filter(|note| updated.as_ref().is_none_or(|range| range.holds(note.updated_at)))
                    .map(|note| self.shown_note(note))
                    .collect();
                Ok(self.listed(call, "notes", shown, false))
            }
            (&Method::GET, [id]) => Ok(match self.notes.iter().find(|note| note.kind == kind && note.id.to_string() == *id) {
                Some(note) => self.one(&self.shown_note(note)),
                None => wire::empty(StatusCode::NO_CONTENT),
            }),
            (&Method::POST, []) => {
                let items = call.items()?;
                let notes = self.new_notes(call, kind, entity, &items)?;
                let path = call.request.uri().path().trim_start_matches("/api/v4/").to_owned();
                let answers = notes
                    .iter()
                    .zip(&items)
                    .enumerate()
                    .map(|(index, (note, item))| {
                        let href = self.href(&format!("{}/{}/notes/{}", kind.name(), note.entity, note.id));
                        json!({"id": note.id, "entity_id": note.entity, "request_id": request_id(item, index), "_links": {"self": {"href": href}}})
                    })
                    .collect();
                for note in notes {
                    self.noted(call.moment(), (kind, note.entity), note.id, &note.note_type, &note.params);
                    self.notes.push(note);
                }
                Ok(self.written(StatusCode::OK, &path, "notes", answers))
            }
            (&Method::PATCH, []) => {
                let items = call.items()?;
                let answers = items.iter().map(|item| self.change_note(call, kind, item.get("id"), item)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.written(StatusCode::OK, &format!("{}/notes", kind.name()), "notes", answers))
            }
            (&Method::PATCH, [id]) => {
                let answer = self.change_note(call, kind, Some(&json!(id)), &call.body()?)?;
                Ok(self.one(&answer))
            }
            (_, [] | [_]) => Err(Problem::method_not_allowed()),
            _ => Err(self.no_route(call)),
        }
    }

    fn new_notes(&mut self, call: &Call<'_>, kind: Kind, entity: Option<u64>, items: &[Value]) -> Result<Vec<Note>, Refused> {
        let (mut notes, mut invalid) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            let mut errors = Vec::new();
            let owner = entity.or_else(|| item.get("entity_id").and_then(wire::integer).and_then(|id| u64::try_from(id).ok()));
            if !owner.is_some_and(|id| self.cards.contains_key(&(kind, id))) {
                errors.push(Invalid::choice("entity_id"));
            }
            let note_type = item.get("note_type").and_then(Value::as_str).unwrap_or_default();
            match TYPES.iter().find(|(name, _)| *name == note_type) {
                None => errors.push(Invalid::choice("note_type")),
                Some((_, needed)) => {
                    let missing = needed.iter().filter(|key| item.pointer(&format!("/params/{key}")).is_none_or(Value::is_null));
                    errors.extend(missing.map(|key| Invalid::missing(format!("params.{key}"))));
                }
            }
            if errors.is_empty() {
                let params = item.get("params").cloned().unwrap_or(Value::Null);
                notes.push(Note {
                    id: self.next_id(),
                    kind,
                    entity: owner.unwrap_or(0),
                    note_type: note_type.to_owned(),
                    params,
                    at: call.at,
                    updated_at: call.at,
                    triggers: item.get("is_need_to_trigger_digital_pipeline").and_then(Value::as_bool).unwrap_or(true),
                });
            } else {
                invalid.push((request_id(item, index), errors));
            }
        }
        if invalid.is_empty() { Ok(notes) } else { Err(Problem::invalid(invalid)) }
    }

    fn change_note(&mut self, call: &Call<'_>, kind: Kind, id: Option<&Value>, item: &Value) -> Result<Value, Refused> {
        let id = id.and_then(wire::integer).and_then(|id| u64::try_from(id).ok()).unwrap_or(0);
        let Some(note) = self.notes.iter_mut().find(|note| note.kind == kind && note.id == id) else { return Err(Problem::not_found("Note", &[id])) };
        if let Some(params) = item.get("params").filter(|params| params.is_object()) {
            note.params = params.clone();
        }
        note.updated_at = call.at.max(note.updated_at);
        Ok(json!({"id": note.id, "entity_id": note.entity, "updated_at": note.updated_at}))
    }

    fn shown_note(&self, note: &Note) -> Value {
        json!({
            "id": note.id, "entity_id": note.entity, "created_by": USER, "updated_by": USER, "created_at": note.at, "updated_at": note.updated_at,
            "responsible_user_id": USER, "group_id": 0, "note_type": note.note_type, "params": note.params, "account_id": ACCOUNT,
            "_links": {"self": {"href": self.href(&format!("{}/{}/notes/{}", note.kind.name(), note.entity, note.id))}},
        })
    }

    pub(super) fn notes_state(&self) -> Value {
        self.notes
            .iter()
            .map(|note| {
                json!({"id": note.id, "entity_type": note.kind.name(), "entity_id": note.entity, "note_type": note.note_type,
                "params": note.params, "triggers": note.triggers})
            })
            .collect()
    }
}
