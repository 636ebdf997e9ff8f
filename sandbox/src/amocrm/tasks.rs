//! Tasks for staff.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::card::Kind;
use super::envelope::request_id;
use super::errors::{Invalid, Problem, Refused};
use super::{ACCOUNT, Amo, Call, MANAGER, USER};
use crate::wire;

#[derive(Clone, Debug)]
pub(super) struct Task {
    id: u64,
    entity: Option<(Kind, u64)>,
    text: String,
    complete_till: i64,
    task_type: i64,
    responsible: u64,
    completed: bool,
    result: Option<String>,
    at: i64,
    updated_at: i64,
}

impl Amo {
    pub(super) fn tasks(&mut self, call: &Call<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
        match (call.method(), rest) {
            (&Method::GET, []) => {
                let query = call.query();
                let wanted = |key: &str| {
                    query
                        .pointer(&format!("/filter/{key}"))
                        .map(|wanted| wire::members(wanted).into_iter().filter_map(wire::text).collect::<Vec<_>>())
                };
                let fits = |key: &str, own: String| wanted(key).is_none_or(|wanted| wanted.contains(&own));
                let updated = query.pointer("/filter/updated_at").map(super::filter::Range::of);
                let shown = self.tasks.iter().filter(|task| {
                    fits("id", task.id.to_string())
                        && fits("is_completed", u8::from(task.completed).to_string())
                        && fits("responsible_user_id", task.responsible.to_string())
                        && fits("entity_type", task.entity.map_or("", |(kind, _)| kind.name()).to_owned())
                        && fits("entity_id", task.entity.map_or(0, |(_, id)| id).to_string())
                        && fits("task_type", task.task_type.to_string())
                        && updated.as_ref().is_none_or(|range| range.holds(task.updated_at))
                });
                let shown = shown.map(|task| self.shown_task(task)).collect();
                Ok(self.listed(call, "tasks", shown, false))
            }
            (&Method::GET, [id]) => Ok(match self.tasks.iter().find(|task| task.id.to_string() == *id) {
                Some(task) => self.one(&self.shown_task(task)),
                None => wire::empty(StatusCode::NO_CONTENT),
            }),
            (&Method::POST, []) => {
                let items = call.items()?;
                let tasks = self.new_tasks(call, &items)?;
                let answers = tasks.iter().zip(&items).enumerate().map(|(index, (task, item))| {
                    json!({"id": task.id, "request_id": request_id(item, index), "_links": {"self": {"href": self.href(&format!("tasks/{}", task.id))}}})
                });
                let answers = answers.collect();
                self.tasks.extend(tasks);
                Ok(self.written(StatusCode::OK, "tasks", "tasks", answers))
            }
            (&Method::PATCH, []) => {
                let items = call.items()?;
                let answers = items.iter().map(|item| self.change_task(call, item.get("id"), item)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.written(StatusCode::OK, "tasks", "tasks", answers))
            }
            // The bare object, not an envelope.
            (&Method::PATCH, [id]) => {
                let answer = self.change_task(call, Some(&json!(id)), &call.body()?)?;
                Ok(self.one(&answer))
            }
            (_, [] | [_]) => Err(Problem::method_not_allowed()),
            _ => Err(self.no_route(call)),
        }
    }

    fn new_tasks(&mut self, call: &Call<'_>, items: &[Value]) -> Result<Vec<Task>, Refused> {
        let (mut tasks, mut invalid) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            let mut errors = Vec::new();
            let text = item.get("text").and_then(Value::as_str).filter(|text| !text.is_empty());
            let till = item.get("complete_till").and_then(Value::as_i64);
            if text.is_none() {
                errors.push(Invalid::missing("text"));
            }
            if till.is_none() {
                errors.push(Invalid::missing("complete_till"));
            }
            let number = |key: &str| item.get(key).and_then(wire::integer).and_then(|id| u64::try_from(id).ok());
            let entity = match (item.get("entity_type").and_then(Value::as_str), number("entity_id")) {
                (Some(name), Some(id)) => match Kind::named(name).filter(|kind| self.cards.contains_key(&(*kind, id))) {
                    Some(kind) => Some((kind, id)),
                    None => {
                        errors.push(Invalid::choice("entity_id"));
                        None
                    }
                },
                _ => None,
            };
            let responsible = number("responsible_user_id").unwrap_or(USER);
            if !matches!(responsible, USER | MANAGER) {
                errors.push(Invalid::choice("responsible_user_id"));
            }
            if let (true, Some(text), Some(complete_till)) = (errors.is_empty(), text, till) {
                tasks.push(Task {
                    id: self.next_id(),
                    entity,
                    text: text.to_owned(),
                    complete_till,
                    task_type: item.get("task_type_id").and_then(Value::as_i64).unwrap_or(1),
                    responsible,
                    completed: false,
                    result: None,
                    at: call.at,
                    updated_at: call.at,
                });
            } else {
                invalid.push((request_id(item, index), errors));
            }
        }
        if invalid.is_empty() { Ok(tasks) } else { Err(Problem::invalid(invalid)) }
    }

    fn change_task(&mut self, call: &Call<'_>, id: Option<&Value>, item: &Value) -> Result<Value, Refused> {
        let id = id.and_then(wire::integer).and_then(|id| u64::try_from(id).ok()).unwrap_or(0);
        let Some(task) = self.tasks.iter_mut().find(|task| task.id == id) else { return Err(Problem::not_found("Task", &[id])) };
        if let Some(text) = item.get("text").and_then(Value::as_str) {
            text.clone_into(&mut task.text);
        }
        if let Some(done) = item.get("is_completed").and_then(Value::as_bool) {
            task.completed = done;
        }
        if let Some(text) = item.pointer("/result/text").and_then(Value::as_str) {
            task.result = Some(text.to_owned());
        }
        if let Some(till) = item.get("complete_till").and_then(Value::as_i64) {
            task.complete_till = till;
        }
        task.updated_at = call.at.max(task.updated_at);
        Ok(json!({"id": task.id, "updated_at": task.updated_at}))
    }

    fn shown_task(&self, task: &Task) -> Value {
        json!({
            "id": task.id, "created_by": USER, "updated_by": USER, "created_at": task.at, "updated_at": task.updated_at,
            "responsible_user_id": task.responsible, "group_id": 0, "entity_id": task.entity.map(|(_, id)| id),
            "entity_type": task.entity.map(|(kind, _)| kind.name()), "duration": 0, "is_completed": task.completed, "task_type_id": task.task_type,
            "text": task.text, "complete_till": task.complete_till, "account_id": ACCOUNT,
            // PHP: an empty object is a list.
            "result": task.result.as_ref().map_or(json!([]), |text| json!({"text": text})),
            "_links": {"self": {"href": self.href(&format!("tasks/{}", task.id))}},
        })
    }

    pub(super) fn tasks_state(&self) -> Value {
        self.tasks
            .iter()
            .map(|task| {
                json!({"id": task.id, "entity_type": task.entity.map(|(kind, _)| kind.name()), "entity_id": task.entity.map(|(_, id)| id),
                "text": task.text, "is_completed": task.completed})
            })
            .collect()
    }
}
