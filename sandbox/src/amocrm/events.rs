//! What happened to cards: the events feed (`GET /events`), and what the webhooks are told.
//!
//! Events tell who did it, API writes included; of contacts only the whole name, the custom fields, tags and links are told, so a watermark on
//! `updated_at` sees more than they do. Newest first; an account keeps them all.

use bytes::Bytes;
use http::{Method, Response};
use serde_json::{Value, json};

use super::card::{Card, Kind};
use super::errors::{Problem, Refused};
use super::{ACCOUNT, Amo, Call, Moment};
use crate::wire;

const MAX_LIMIT: usize = 100;
const MAX_ENTITIES: usize = 10;

#[derive(Clone, Debug)]
struct Event {
    number: u64,
    kind: String,
    entity: (Kind, u64),
    at: i64,
    by: u64,
    after: Value,
    before: Value,
}

/// The feed.
#[derive(Debug, Default)]
pub(super) struct Events {
    all: Vec<Event>,
}

impl Amo {
    fn happened(&mut self, moment: Moment, kind: &str, entity: (Kind, u64), before: Value, after: Value) {
        let number = u64::try_from(self.events.all.len()).unwrap_or(0) + 1;
        self.events.all.push(Event { number, kind: kind.to_owned(), entity, at: moment.at, by: moment.by, after, before });
    }

    /// A card came into being.
    pub(super) fn added(&mut self, moment: Moment, kind: Kind, id: u64) {
        self.happened(moment, &format!("{}_added", kind.singular()), (kind, id), json!([]), json!([]));
        self.hook("add", kind, id, moment, &[]);
    }

    /// A card is no longer as it was.
    pub(super) fn changed(&mut self, moment: Moment, kind: Kind, before: &Card) {
        let Some(after) = self.cards.get(&(kind, before.id)).cloned() else { return };
        let entity = (kind, before.id);
        if after.name != before.name {
            let shown = |card: &Card| json!([{"name_field_value": {"name": card.name}}]);
            self.happened(moment, "name_field_changed", entity, shown(before), shown(&after));
        }
        if after.responsible != before.responsible {
            let shown = |card: &Card| json!([{"responsible_user": {"id": card.responsible}}]);
            self.happened(moment, "entity_responsible_changed", entity, shown(before), shown(&after));
        }
        if after.lead.price != before.lead.price {
            let shown = |card: &Card| json!([{"sale_field_value": {"sale": card.lead.price}}]);
            self.happened(moment, "sale_field_changed", entity, shown(before), shown(&after));
        }
        let moved = (after.lead.pipeline, after.lead.status) != (before.lead.pipeline, before.lead.status);
        if moved {
            let shown = |card: &Card| json!([{"lead_status": {"id": card.lead.status, "pipeline_id": card.lead.pipeline}}]);
            self.happened(moment, "lead_status_changed", entity, shown(before), shown(&after));
        }
        self.changed_values(moment, entity, before, &after);
        self.changed_tags(moment, entity, before, &after);
        if moved {
            let old = [("old_status_id", before.lead.status.to_string()), ("old_pipeline_id", before.lead.pipeline.to_string())];
            self.hook("status", kind, before.id, moment, &old);
        }
        self.hook("update", kind, before.id, moment, &[]);
    }

    fn changed_values(&mut self, moment: Moment, entity: (Kind, u64), before: &Card, after: &Card) {
        let fields: Vec<(u64, String)> = self.fields_of(entity.0).iter().map(|field| (field.id, field.kind.clone())).collect();
        for (id, field_type) in fields {
            let (old, new) = (before.values.get(&id), after.values.get(&id));
            if old == new {
                continue;
            }
            let shown = |values: Option<&Vec<Value>>| {
                let values = values.into_iter().flatten().map(|value| {
                    let text = value.get("value").and_then(wire::text);
                    json!({"custom_field_value": {"field_id": id, "field_type": field_type, "enum_id": value.get("enum_id"), "text": text}})
                });
                values.collect::<Value>()
            };
            self.happened(moment, &format!("custom_field_{id}_value_changed"), entity, shown(old), shown(new));
        }
    }

    fn changed_tags(&mut self, moment: Moment, entity: (Kind, u64), before: &Card, after: &Card) {
        let name = |amo: &Self, id: u64| {
            let tag = amo.tags.get(&entity.0).into_iter().flatten().find(|(known, _)| *known == id);
            json!([{"tag": {"name": tag.map(|(_, name)| name)}}])
        };
        for id in after.tags.iter().filter(|id| !before.tags.contains(id)) {
            self.happened(moment, "entity_tag_added", entity, json!([]), name(self, *id));
        }
        for id in before.tags.iter().filter(|id| !after.tags.contains(id)) {
            self.happened(moment, "entity_tag_deleted", entity, name(self, *id), json!([]));
        }
    }

    /// Two cards were linked, or no longer are.
    pub(super) fn linked(&mut self, moment: Moment, entity: (Kind, u64), other: (Kind, u64), now: bool) {
        let mut link = json!([{"link": {"entity": {"type": other.0.singular(), "id": other.1}}}]);
        if let (Kind::Elements(catalog), Some(entity)) = (other.0, link.pointer_mut("/0/link/entity")) {
            entity["catalog_id"] = json!(catalog);
        }
        let (before, after) = if now { (json!([]), link) } else { (link, json!([])) };
        self.happened(moment, if now { "entity_linked" } else { "entity_unlinked" }, entity, before, after);
    }

    /// A note was written.
    pub(super) fn noted(&mut self, moment: Moment, entity: (Kind, u64), id: u64, note_type: &str, params: &Value) {
        let kind = match note_type {
            "common" => "common_note_added",
            "service_message" | "extended_service_message" => "service_note_added",
            other => &format!("{other}_note_added"),
        };
        self.happened(moment, kind, entity, json!([]), json!([{"note": {"id": id}}]));
        let text = params.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.hook("note", entity.0, entity.1, moment, &[("note", text)]);
    }

    /// A card was deleted. It is told before it goes, for afterwards there is nothing to tell of.
    pub(super) fn gone(&mut self, moment: Moment, kind: Kind, id: u64) {
        self.happened(moment, &format!("{}_deleted", kind.singular()), (kind, id), json!([]), json!([]));
        self.hook("delete", kind, id, moment, &[]);
    }

    /// Another card went into this one.
    pub(super) fn merged(&mut self, moment: Moment, kind: Kind, into: u64, from: u64) {
        let other = json!([{"link": {"entity": {"type": kind.singular(), "id": from}}}]);
        self.happened(moment, "entity_merged", (kind, into), json!([]), other);
    }

    pub(super) fn events(&mut self, call: &Call<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
        if *call.method() != Method::GET {
            return Err(Problem::method_not_allowed());
        }
        match rest {
            [] => {}
            [id] => {
                let event = self.events.all.iter().find(|event| event_id(event.number) == *id);
                return event.map(|event| self.one(&self.shown_event(event))).ok_or_else(|| self.no_route(call));
            }
            _ => return Err(self.no_route(call)),
        }
        let query = call.query();
        let texts = |pointer: &str| -> Option<Vec<String>> {
            let wanted = query.pointer(pointer)?;
            Some(
                wire::members(wanted)
                    .into_iter()
                    .filter_map(wire::text)
                    .flat_map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>())
                    .collect(),
            )
        };
        let (types, entities, ids, by) = (texts("/filter/type"), texts("/filter/entity"), texts("/filter/entity_id"), texts("/filter/created_by"));
        if ids.is_some() && entities.as_ref().is_none_or(|entities| entities.len() != 1) {
            return Err(Problem::bad_request("filter[entity_id] needs exactly one filter[entity]"));
        }
        if ids.as_ref().is_some_and(|ids| ids.len() > MAX_ENTITIES) {
            return Err(Problem::bad_request("Too many ids in filter[entity_id]"));
        }
        let one_field = |text: &String| text.starts_with("custom_field_") && *text != "custom_field_value_changed";
        if types.as_ref().is_some_and(|types| types.len() > 1 && types.iter().any(one_field)) {
            return Err(Problem::bad_request("custom_field_{ID}_value_changed must be the only type"));
        }
        let (from, to) = match query.pointer("/filter/created_at") {
            Some(Value::Object(range)) => (range.get("from").and_then(wire::integer), range.get("to").and_then(wire::integer)),
            Some(since) => (wire::integer(since), None),
            None => (None, None),
        };
        let is = |event: &Event, wanted: &String| {
            event.kind == *wanted || (wanted == "custom_field_value_changed" && event.kind.starts_with("custom_field_"))
        };
        let fits = |event: &&Event| {
            types.as_ref().is_none_or(|types| types.iter().any(|wanted| is(event, wanted)))
                && entities.as_ref().is_none_or(|entities| entities.iter().any(|wanted| wanted == event.entity.0.singular()))
                && ids.as_ref().is_none_or(|ids| ids.contains(&event.entity.1.to_string()))
                && by.as_ref().is_none_or(|by| by.contains(&event.by.to_string()))
                && from.is_none_or(|from| event.at >= from)
                && to.is_none_or(|to| event.at <= to)
        };
        let found: Vec<&Event> = self.events.all.iter().rev().filter(fits).collect();
        let (page, limit) = super::envelope::page(&query);
        let limit = limit.min(MAX_LIMIT);
        let first = (page - 1).saturating_mul(limit);
        let shown =
            found.into_iter().enumerate().map(|(at, event)| if (first..first + limit).contains(&at) { self.shown_event(event) } else { Value::Null });
        let shown = shown.collect();
        Ok(self.listed_by(call, "events", shown, limit))
    }

    fn shown_event(&self, event: &Event) -> Value {
        let (kind, id) = event.entity;
        let id_text = event_id(event.number);
        json!({
            "id": id_text, "type": event.kind, "entity_id": id, "entity_type": kind.singular(), "created_by": event.by, "created_at": event.at,
            "value_after": event.after, "value_before": event.before, "account_id": ACCOUNT,
            "_links": {"self": {"href": self.href(&format!("events/{id_text}"))}},
            "_embedded": {"entity": {"id": id, "_links": {"self": {"href": self.href(&format!("{}/{id}", kind.path()))}}}},
        })
    }

    pub(super) fn events_state(&self) -> Value {
        let mut counted: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
        for event in &self.events.all {
            let kind = if event.kind.starts_with("custom_field_") { "custom_field_value_changed" } else { &event.kind };
            *counted.entry(kind).or_default() += 1;
        }
        json!(counted)
    }
}

/// Texts that sort as the events happened, as ULIDs do.
fn event_id(number: u64) -> String {
    format!("01sandbox{number:017}")
}
