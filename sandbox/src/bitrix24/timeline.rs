//! Timeline: log entries (real types, pages of ten) and comments (texts, pages of fifty). Neither has an external key.

use serde_json::{Map, Value, json};

use super::errors::Fault;
use super::schema::Entity;
use super::{Answer, Bitrix, Call, Done, PAGE, Parameters, USER, needed, needed_id, portal_time, start_of};
use crate::wire;

const LOG_PAGE: usize = 10;

#[derive(Clone, Debug)]
pub(super) struct Message {
    id: u64,
    entity: Entity,
    owner: u64,
    at_ms: i64,
    /// Of a log entry; a comment has none.
    title: Option<String>,
    text: String,
    icon: String,
}

impl Message {
    fn shown(&self) -> Value {
        json!({"id": self.id, "created": portal_time(self.at_ms), "authorId": USER, "title": self.title, "text": self.text, "iconCode": self.icon})
    }

    fn comment(&self) -> Value {
        json!({
            "ID": self.id.to_string(), "ENTITY_ID": self.owner.to_string(), "ENTITY_TYPE": self.entity.name(), "CREATED": portal_time(self.at_ms),
            "COMMENT": self.text, "AUTHOR_ID": USER.to_string(), "FILES": [],
        })
    }
}

impl Bitrix {
    pub(super) fn log_message_add(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        let fields = needed(parameters, "fields")?.as_object().ok_or_else(|| Fault::argument("fields"))?;
        let (entity, owner) = self.owner(fields)?;
        let text = |key: &str| fields.get(key).and_then(wire::text).filter(|text| !text.is_empty()).ok_or_else(|| Fault::missing(key));
        let (title, text, icon) = (text("title")?, text("text")?, text("iconCode")?);
        let message = Message { id: self.next_id(), entity, owner, at_ms: call.wall_ms, title: Some(title), text, icon };
        let shown = message.shown();
        self.messages.push(message);
        Ok(Done::of(json!({"logMessage": shown})))
    }

    pub(super) fn log_message_get(&self, parameters: &Parameters) -> Answer {
        let id = needed_id(parameters, "id")?;
        let message = self.messages.iter().find(|message| message.id == id && message.title.is_some()).ok_or_else(Fault::not_found)?;
        Ok(Done::of(json!({"logMessage": message.shown()})))
    }

    /// A bare list, newest first unless asked otherwise.
    pub(super) fn log_message_list(&self, parameters: &Parameters) -> Answer {
        let (entity, owner) = self.owner(parameters)?;
        let mut rows: Vec<Value> = self
            .messages
            .iter()
            .filter(|message| message.title.is_some() && message.entity == entity && message.owner == owner)
            .map(Message::shown)
            .collect();
        let ascending = parameters
            .get("order")
            .and_then(Value::as_object)
            .and_then(|order| order.values().next())
            .and_then(Value::as_str)
            .is_some_and(|direction| direction.eq_ignore_ascii_case("asc"));
        if !ascending {
            rows.reverse();
        }
        Ok(Done::page(rows, start_of(parameters).unwrap_or(0), LOG_PAGE))
    }

    pub(super) fn log_message_delete(&mut self, parameters: &Parameters) -> Answer {
        let id = needed_id(parameters, "id")?;
        let before = self.messages.len();
        self.messages.retain(|message| message.id != id || message.title.is_none());
        if self.messages.len() == before { Err(Fault::not_found()) } else { Ok(Done::of(json!([]))) }
    }

    /// Only the lower-case `fields` is understood.
    pub(super) fn comment_add(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        let fields = needed(parameters, "fields")?.as_object().ok_or_else(|| Fault::argument("fields"))?;
        let entity = match fields.get("ENTITY_TYPE").and_then(wire::text).unwrap_or_default().to_lowercase().as_str() {
            "deal" => Entity::Deal,
            "contact" => Entity::Contact,
            _ => return Err(Fault::bad("", "ENTITY_TYPE is not defined or invalid.")),
        };
        let owner = fields
            .get("ENTITY_ID")
            .and_then(wire::integer)
            .and_then(|id| u64::try_from(id).ok())
            .filter(|id| self.items.contains_key(&(entity, *id)));
        let Some(owner) = owner else { return Err(Fault::bad("", "Not found")) };
        let Some(text) = fields.get("COMMENT").and_then(wire::text).filter(|text| !text.is_empty()) else {
            return Err(Fault::bad("", "Empty comment message"));
        };
        let message = Message { id: self.next_id(), entity, owner, at_ms: call.wall_ms, title: None, text, icon: String::new() };
        let id = message.id;
        self.messages.push(message);
        Ok(Done::of(json!(id)))
    }

    pub(super) fn comment_get(&self, parameters: &Parameters) -> Answer {
        let id = needed_id(parameters, "id")?;
        let message = self.messages.iter().find(|message| message.id == id && message.title.is_none()).ok_or_else(|| Fault::bad("", "Not found"))?;
        Ok(Done::of(message.comment()))
    }

    pub(super) fn comment_list(&self, parameters: &Parameters) -> Answer {
        let filter = parameters.get("filter");
        let text = |key: &str| filter.and_then(|filter| filter.get(key)).and_then(wire::text);
        let (owner, entity) = (text("ENTITY_ID"), text("ENTITY_TYPE").map(|name| name.to_lowercase()));
        let fits = |message: &&Message| {
            message.title.is_none()
                && owner.as_ref().is_none_or(|owner| message.owner.to_string() == *owner)
                && entity.as_ref().is_none_or(|entity| message.entity.name() == *entity)
        };
        let rows = self.messages.iter().filter(fits).map(Message::comment).collect();
        Ok(Done::page(rows, start_of(parameters).unwrap_or(0), PAGE))
    }

    fn owner(&self, given: &Map<String, Value>) -> Result<(Entity, u64), Fault> {
        let entity = wire::integer(needed(given, "entityTypeId")?)
            .and_then(Entity::of_type)
            .ok_or_else(|| Fault::bad("OWNER_NOT_FOUND", "Владелец не найден"))?;
        let owner = needed_id(given, "entityId")?;
        if self.items.contains_key(&(entity, owner)) {
            Ok((entity, owner))
        } else {
            Err(Fault::bad("OWNER_NOT_FOUND", "Владелец не найден"))
        }
    }

    pub(super) fn timeline_state(&self) -> Value {
        self.messages
            .iter()
            .map(|message| {
                json!({"id": message.id, "entity": message.entity.name(), "owner": message.owner, "comment": message.title.is_none(),
                "title": message.title, "text": message.text})
            })
            .collect()
    }

    /// Log entries and comments that stand on one card more than once, word for word.
    pub(super) fn timeline_doubled(&self) -> Value {
        let mut seen: std::collections::BTreeMap<(Entity, u64, &Option<String>, &str), u64> = std::collections::BTreeMap::new();
        for message in &self.messages {
            *seen.entry((message.entity, message.owner, &message.title, &message.text)).or_default() += 1;
        }
        seen.into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|((entity, owner, title, text), count)| {
                json!({"entity": entity.name(),
            "owner": owner, "title": title, "text": text, "times": count})
            })
            .collect()
    }
}
