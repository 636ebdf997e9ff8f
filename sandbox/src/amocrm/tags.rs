//! Tags: each kind of entity has its own. Posting a known name answers its id.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::card::Kind;
use super::envelope::request_id;
use super::errors::{Invalid, Problem, Refused};
use super::{Amo, Call};
use crate::wire;

impl Amo {
    pub(super) fn tags(&mut self, call: &Call<'_>, kind: Kind) -> Result<Response<Bytes>, Refused> {
        match *call.method() {
            Method::GET => {
                let query = call.query();
                let needle = query.get("query").and_then(Value::as_str).unwrap_or_default().to_lowercase();
                let tags = self.tags.get(&kind).into_iter().flatten().filter(|(_, name)| name.to_lowercase().contains(&needle));
                let shown = tags.map(|(id, name)| json!({"id": id, "name": name, "color": null})).collect();
                Ok(self.listed(call, "tags", shown, false))
            }
            Method::POST => {
                let mut answers = Vec::new();
                for (index, item) in call.items()?.iter().enumerate() {
                    let Some(name) = item.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
                        return Err(Problem::invalid(vec![(request_id(item, index), vec![Invalid::missing("name")])]));
                    };
                    let id = self.tag(kind, name);
                    answers.push(json!({"id": id, "name": name, "color": null, "request_id": request_id(item, index)}));
                }
                Ok(self.written(StatusCode::OK, &format!("{}/tags", kind.name()), "tags", answers))
            }
            _ => Err(Problem::method_not_allowed()),
        }
    }

    /// `_embedded.tags` replaces all (null removes all); `tags_to_add` and `tags_to_delete` do what they say.
    pub(super) fn fill_tags(&mut self, kind: Kind, tags: &mut Vec<u64>, given: &Map<String, Value>) {
        if let Some(all) = given.get("_embedded").and_then(|embedded| embedded.get("tags")) {
            *tags = wire::members(all).into_iter().filter_map(|item| self.tag_of(kind, item)).collect();
        }
        for item in given.get("tags_to_add").map(wire::members).unwrap_or_default() {
            if let Some(id) = self.tag_of(kind, item).filter(|id| !tags.contains(id)) {
                tags.push(id);
            }
        }
        for item in given.get("tags_to_delete").map(wire::members).unwrap_or_default() {
            let id = self.tag_of(kind, item);
            tags.retain(|tag| Some(*tag) != id);
        }
    }

    pub(super) fn shown_tags(&self, kind: Kind, ids: &[u64]) -> Value {
        let own = self.tags.get(&kind).into_iter().flatten();
        own.filter(|(id, _)| ids.contains(id)).map(|(id, name)| json!({"id": id, "name": name, "color": null})).collect()
    }

    fn tag_of(&mut self, kind: Kind, item: &Value) -> Option<u64> {
        if let Some(id) = item.get("id").and_then(Value::as_u64) {
            return self.tags.get(&kind)?.iter().any(|(known, _)| *known == id).then_some(id);
        }
        let name = item.get("name").and_then(Value::as_str)?;
        Some(self.tag(kind, name))
    }

    fn tag(&mut self, kind: Kind, name: &str) -> u64 {
        if let Some((id, _)) = self.tags.get(&kind).into_iter().flatten().find(|(_, known)| known == name) {
            return *id;
        }
        let id = self.next_id();
        self.tags.entry(kind).or_default().push((id, name.to_owned()));
        id
    }
}
