//! The offline event queue: `event.bind`, `event.offline.*`, and what fills it.
//!
//! Invariants: a queue holds one row per changed object and process; a row that was taken with `clear=0` stays, reserved, until it is cleared, and the same
//! `process_id` gives it again; with `clear=1` it is gone before the answer is written. A change is not queued for the connector that made it, and only
//! then: the same app must have made it with the same `auth_connector`.

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::errors::Fault;
use super::schema::Entity;
use super::{Answer, Bitrix, Call, Done, PAGE, Parameters, Who, needed, portal_time, start_of};
use crate::wire;

/// The events that this portal can tell of.
const EVENTS: [&str; 10] = [
    "ONCRMCONTACTADD",
    "ONCRMCONTACTUPDATE",
    "ONCRMCONTACTDELETE",
    "ONCRMDEALADD",
    "ONCRMDEALUPDATE",
    "ONCRMDEALDELETE",
    "ONCRMDEALMOVETOCATEGORY",
    "CATALOG.PRODUCT.ON.ADD",
    "CATALOG.PRODUCT.ON.UPDATE",
    "CATALOG.PRODUCT.ON.DELETE",
];

#[derive(Clone, Debug)]
struct Binding {
    event: String,
    offline: bool,
    connector: String,
    handler: String,
}

#[derive(Clone, Debug)]
struct Row {
    id: u64,
    at_ms: i64,
    event: String,
    object: u64,
    connector: String,
    /// Empty: nobody works on it.
    process: String,
    failed: bool,
}

impl Row {
    /// 32 characters that are the same for the same event and object.
    fn message_id(&self) -> String {
        let hash = digest(&SHA256, format!("{}:{}", self.event, self.object).as_bytes());
        hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn shown(&self) -> Value {
        json!({"ID": self.id.to_string(), "TIMESTAMP_X": portal_time(self.at_ms), "EVENT_NAME": self.event,
            "EVENT_DATA": {"FIELDS": {"ID": self.object}}, "EVENT_ADDITIONAL": false, "MESSAGE_ID": self.message_id()})
    }
}

/// What the app is bound to, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bindings: Vec<Binding>,
    rows: Vec<Row>,
    number: u64,
    processes: u64,
    /// Rows that were deleted before their answer was on its way.
    cleared_at_once: u64,
}

impl Bitrix {
    /// An object has changed: a row for each connector that is bound, unless it made the change itself.
    pub(super) fn happened(&mut self, call: Call<'_>, event: &str, object: u64) {
        let made_by = (call.who == Who::App).then(|| call.connector.unwrap_or_default());
        let queue = &mut self.queue;
        for binding in queue.bindings.iter().filter(|binding| binding.offline && binding.event == event) {
            // Without a connector nobody can be told from anybody.
            if made_by.is_some_and(|own| !own.is_empty() && own == binding.connector) {
                continue;
            }
            let waiting = queue.rows.iter_mut().find(|row| {
                row.process.is_empty() && !row.failed && (row.event.as_str(), row.object, &row.connector) == (event, object, &binding.connector)
            });
            match waiting {
                Some(row) => row.at_ms = call.wall_ms,
                None => {
                    queue.number += 1;
                    queue.rows.push(Row {
                        id: queue.number,
                        at_ms: call.wall_ms,
                        event: event.to_owned(),
                        object,
                        connector: binding.connector.clone(),
                        process: String::new(),
                        failed: false,
                    });
                }
            }
        }
    }

    /// An item was added, changed or deleted.
    pub(super) fn item_happened(&mut self, call: Call<'_>, entity: Entity, verb: &str, id: u64) {
        self.happened(call, &format!("ONCRM{}{verb}", entity.name().to_ascii_uppercase()), id);
    }

    /// `event.*`, for an app: a webhook was refused before.
    pub(super) fn event_method(&mut self, method: &str, parameters: &Parameters) -> Answer {
        let text = |key: &str| parameters.get(key).and_then(wire::text).unwrap_or_default();
        let connector = text("auth_connector");
        if !connector.is_empty() && !self.plan.auth_connector {
            return Err(Fault::wrong_license("auth_connector"));
        }
        match method {
            "event.get" => Ok(Done::of(
                self.queue
                    .bindings
                    .iter()
                    .map(|binding| {
                        json!({"event": binding.event, "handler": binding.handler, "auth_type": "0", "offline": u8::from(binding.offline),
                        "connector_id": binding.connector})
                    })
                    .collect(),
            )),
            "event.bind" | "event.unbind" if !self.admin => Err(Fault::access_denied()),
            "event.bind" => self.bind(&text("event"), &text("event_type"), &connector, &text("handler")),
            "event.unbind" => {
                let (event, offline) = (text("event").to_ascii_uppercase(), text("event_type") == "offline");
                let before = self.queue.bindings.len();
                self.queue.bindings.retain(|known| known.event != event || known.offline != offline || known.connector != connector);
                Ok(Done::of(json!({"count": before - self.queue.bindings.len()})))
            }
            "event.offline.get" => self.offline_get(parameters, &connector),
            "event.offline.list" => {
                let own = self.queue.rows.iter().filter(|row| row.connector == connector);
                let rows = own.map(|row| {
                    let mut shown = row.shown();
                    shown["PROCESS_ID"] = json!(row.process);
                    shown["ERROR"] = json!(u8::from(row.failed).to_string());
                    shown
                });
                Ok(Done::page(rows.collect(), start_of(parameters).unwrap_or(0), PAGE))
            }
            "event.offline.clear" => {
                let (process, ids, messages) = named(parameters)?;
                self.queue.rows.retain(|row| {
                    let chosen = match (&ids, &messages) {
                        (Some(ids), _) => ids.contains(&row.id.to_string()),
                        (None, Some(messages)) => messages.contains(&row.message_id()),
                        (None, None) => true,
                    };
                    row.process != process || !chosen
                });
                Ok(Done::of(json!(true)))
            }
            "event.offline.error" => {
                let (process, _, messages) = named(parameters)?;
                let chosen = |row: &&mut Row| row.process == process && messages.as_ref().is_none_or(|messages| messages.contains(&row.message_id()));
                for row in self.queue.rows.iter_mut().filter(chosen) {
                    row.failed = true;
                    row.process.clear();
                }
                Ok(Done::of(json!(true)))
            }
            _ => Err(Fault::method_not_found()),
        }
    }

    fn bind(&mut self, event: &str, event_type: &str, connector: &str, handler: &str) -> Answer {
        let event = event.to_ascii_uppercase();
        if !EVENTS.contains(&event.as_str()) && event != "ONOFFLINEEVENT" {
            return Err(Fault::bad("ERROR_EVENT_NOT_FOUND", "Event not found!"));
        }
        let offline = event_type == "offline";
        if !offline && !handler.starts_with("https://") {
            return Err(Fault::bad("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported event handler protocol"));
        }
        let binding = Binding { event, offline, connector: connector.to_owned(), handler: handler.to_owned() };
        if self.queue.bindings.iter().any(|known| (&known.event, known.offline, &known.connector) == (&binding.event, offline, &binding.connector)) {
            return Err(Fault::bad("ERROR_EVENT_BINDING_EXISTS", "Handler already binded"));
        }
        self.queue.bindings.push(binding);
        Ok(Done::of(json!(true)))
    }

    fn offline_get(&mut self, parameters: &Parameters, connector: &str) -> Answer {
        let number = |key: &str| parameters.get(key).and_then(wire::integer);
        let keep = number("clear") == Some(0);
        if keep && !self.plan.offline_extended {
            return Err(Fault::wrong_license("extended offline events handling"));
        }
        let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE).clamp(1, PAGE);
        let failed = number("error") == Some(1);
        let given = parameters.get("process_id").and_then(wire::text).filter(|id| !id.is_empty());
        let queue = &mut self.queue;
        if let Some(process) = &given {
            // What of this batch was not cleared: as after a crash.
            let rows: Vec<Value> =
                queue.rows.iter().filter(|row| row.process == *process && row.connector == connector).take(limit).map(Row::shown).collect();
            return Ok(Done::of(json!({"process_id": process, "events": rows})));
        }
        queue.processes += 1;
        let process = digest(&SHA256, format!("process {}", queue.processes).as_bytes())
            .as_ref()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        let mut taken = Vec::new();
        for row in queue.rows.iter_mut().filter(|row| row.connector == connector && row.process.is_empty() && row.failed == failed).take(limit) {
            taken.push(row.shown());
            row.process.clone_from(&process);
        }
        if !keep {
            let before = queue.rows.len();
            queue.rows.retain(|row| row.process != process);
            queue.cleared_at_once += u64::try_from(before - queue.rows.len()).unwrap_or(0);
        }
        let shown = if keep && !taken.is_empty() { json!(process) } else { Value::Null };
        Ok(Done::of(json!({"process_id": shown, "events": taken})))
    }

    pub(super) fn queue_state(&self) -> Value {
        let waiting = |reserved: bool| self.queue.rows.iter().filter(|row| row.process.is_empty() != reserved).count();
        json!({"bindings": self.queue.bindings.iter().map(|binding| json!([binding.event, binding.connector])).collect::<Vec<_>>(),
            "waiting": waiting(false), "reserved": waiting(true), "cleared_at_once": self.queue.cleared_at_once})
    }
}

type Named = (String, Option<Vec<String>>, Option<Vec<String>>);

/// The process, and the rows of it that are meant: all where none are named.
fn named(parameters: &Parameters) -> Result<Named, Fault> {
    let process = wire::text(needed(parameters, "process_id")?).filter(|id| !id.is_empty()).ok_or_else(|| Fault::missing("process_id"))?;
    let list = |key: &str| parameters.get(key).map(|list| wire::members(list).into_iter().filter_map(wire::text).collect::<Vec<_>>());
    Ok((process, list("id"), list("message_id")))
}
