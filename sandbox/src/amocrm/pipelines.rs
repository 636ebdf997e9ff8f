//! Pipelines and their stages. 142 (won) and 143 (lost) stand in each.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::card::Kind;
use super::envelope::request_id;
use super::errors::{Invalid, Problem, Refused};
use super::{ACCOUNT, Amo, Call};
use crate::wire;

pub(super) const WON: u64 = 142;
pub(super) const LOST: u64 = 143;

/// The colours that the documents list.
const COLORS: [&str; 24] = [
    "#fffeb2", "#fffd7f", "#fff000", "#ffeab2", "#ffdc7f", "#ffce5a", "#ffdbdb", "#ffc8c8", "#ff8f92", "#d6eaff", "#c1e0ff", "#98cbff", "#ebffb1",
    "#deff81", "#87f2c0", "#f9deff", "#f3beff", "#ccc8f9", "#eb93ff", "#f2f3f4", "#e6e8ea", "#99ccff", "#ffcc66", "#c1c1c1",
];

#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) id: u64,
    pub(super) is_main: bool,
    name: String,
    sort: i64,
    unsorted: bool,
    stages: Vec<Stage>,
}

#[derive(Clone, Debug)]
struct Stage {
    id: u64,
    name: String,
    sort: i64,
    color: String,
    /// 1 for unsorted.
    kind: u8,
}

impl Pipeline {
    pub(super) fn has(&self, stage: u64) -> bool {
        self.stages.iter().any(|known| known.id == stage)
    }

    /// Where a lead without a stage goes: the first that is not unsorted.
    pub(super) fn first_stage(&self) -> u64 {
        self.stages.iter().find(|stage| stage.kind == 0).map_or(WON, |stage| stage.id)
    }

    fn shown_stage(&self, amo: &Amo, stage: &Stage) -> Value {
        json!({
            "id": stage.id, "name": stage.name, "sort": stage.sort, "is_editable": !matches!(stage.id, WON | LOST) && stage.kind == 0,
            "pipeline_id": self.id,
            "color": stage.color, "type": stage.kind, "account_id": ACCOUNT,
            "_links": {"self": {"href": amo.href(&format!("leads/pipelines/{}/statuses/{}", self.id, stage.id))}},
        })
    }

    fn shown(&self, amo: &Amo) -> Value {
        json!({
            "id": self.id, "name": self.name, "sort": self.sort, "is_main": self.is_main, "is_unsorted_on": self.unsorted, "is_archive": false,
            "account_id": ACCOUNT,
            "_links": {"self": {"href": amo.href(&format!("leads/pipelines/{}", self.id))}},
            "_embedded": {"statuses": self.stages.iter().map(|stage| self.shown_stage(amo, stage)).collect::<Vec<_>>()},
        })
    }

    fn order(&mut self) {
        self.stages.sort_by_key(|stage| (stage.sort, stage.id));
    }
}

impl Amo {
    pub(super) fn seed_pipelines(&mut self) {
        for (name, stages) in [("Воронка", &["Первичный контакт", "Переговоры"][..]), ("Проходы", &["Прошёл"][..]), ("Дни рождения", &["Скоро"][..])]
        {
            let stages: Vec<(String, String)> = stages.iter().map(|name| ((*name).to_owned(), "#99ccff".to_owned())).collect();
            let main = self.pipelines.is_empty();
            let pipeline = self.new_pipeline(name, main, &stages);
            self.pipelines.push(pipeline);
        }
    }

    fn new_pipeline(&mut self, name: &str, is_main: bool, stages: &[(String, String)]) -> Pipeline {
        let id = self.next_id();
        let mut all =
            vec![Stage { id: self.next_id(), name: "Неразобранное".to_owned(), sort: 10, color: "#c1c1c1".to_owned(), kind: 1 }];
        for ((name, color), at) in stages.iter().zip(2..) {
            all.push(Stage { id: self.next_id(), name: name.clone(), sort: at * 10, color: color.clone(), kind: 0 });
        }
        all.push(Stage { id: WON, name: "Успешно реализовано".to_owned(), sort: 10_000, color: "#CCFF66".to_owned(), kind: 0 });
        all.push(Stage {
            id: LOST, name: "Закрыто и не реализовано".to_owned(), sort: 11_000, color: "#D5D8DB".to_owned(), kind: 0
        });
        let sort = i64::try_from(self.pipelines.len()).unwrap_or(0) + 1;
        Pipeline { id, is_main, name: name.to_owned(), sort, unsorted: true, stages: all }
    }

    pub(super) fn pipelines(&mut self, call: &Call<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
        match (call.method(), rest) {
            (&Method::GET, []) => {
                let shown = self.pipelines.iter().map(|pipeline| pipeline.shown(self)).collect();
                Ok(self.dictionary("leads/pipelines", "pipelines", shown))
            }
            (&Method::POST, []) => self.add_pipelines(call),
            (_, []) => Err(Problem::method_not_allowed()),
            (_, [id, rest @ ..]) => {
                let at = self.pipelines.iter().position(|pipeline| pipeline.id.to_string() == *id).ok_or_else(|| self.no_route(call))?;
                match (call.method(), rest) {
                    (&Method::GET, []) => {
                        Ok(self.pipelines.get(at).map_or_else(|| wire::empty(StatusCode::NO_CONTENT), |pipeline| self.one(&pipeline.shown(self))))
                    }
                    (&Method::PATCH, []) => self.change_pipeline(call, at),
                    (&Method::DELETE, []) => self.delete_pipeline(at),
                    (_, ["statuses", rest @ ..]) => self.stages(call, at, rest),
                    (_, []) => Err(Problem::method_not_allowed()),
                    _ => Err(self.no_route(call)),
                }
            }
        }
    }

    /// A short dictionary: `_total_items` and no pages.
    fn dictionary(&self, path: &str, name: &str, items: Vec<Value>) -> Response<Bytes> {
        self.one(&json!({"_total_items": items.len(), "_links": {"self": {"href": self.href(path)}}, "_embedded": {name: items}}))
    }

    fn add_pipelines(&mut self, call: &Call<'_>) -> Result<Response<Bytes>, Refused> {
        let items = call.items()?;
        let mut invalid = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let needed = ["name", "sort", "is_main", "is_unsorted_on", "_embedded"];
            let mut errors: Vec<Invalid> =
                needed.iter().filter(|key| item.get(**key).is_none_or(Value::is_null)).map(|key| Invalid::missing(*key)).collect();
            for (at, stage) in item.pointer("/_embedded/statuses").map(wire::members).unwrap_or_default().into_iter().enumerate() {
                check_stage(stage, &format!("_embedded.statuses.{at}."), &mut errors);
            }
            if !errors.is_empty() {
                invalid.push((request_id(item, index), errors));
            }
        }
        if !invalid.is_empty() {
            return Err(Problem::invalid(invalid));
        }
        let mut shown = Vec::new();
        for item in &items {
            let stages = item.pointer("/_embedded/statuses").map(wire::members).unwrap_or_default();
            let system = |stage: &&Value| matches!(stage.get("id").and_then(Value::as_u64), Some(WON | LOST));
            let own: Vec<(String, String)> =
                stages.iter().filter(|stage| !system(stage)).map(|stage| (text(stage, "name"), text(stage, "color"))).collect();
            let main = item.get("is_main").and_then(Value::as_bool).unwrap_or(false);
            let mut pipeline = self.new_pipeline(&text(item, "name"), main, &own);
            pipeline.sort = item.get("sort").and_then(Value::as_i64).unwrap_or(pipeline.sort);
            pipeline.unsorted = item.get("is_unsorted_on").and_then(Value::as_bool).unwrap_or(true);
            for renamed in stages.iter().filter(|stage| system(stage)) {
                let id = renamed.get("id").and_then(Value::as_u64);
                pipeline.stages.iter_mut().filter(|stage| Some(stage.id) == id).for_each(|stage| stage.name = text(renamed, "name"));
            }
            if main {
                self.pipelines.iter_mut().for_each(|other| other.is_main = false);
            }
            shown.push(pipeline.shown(self));
            self.pipelines.push(pipeline);
        }
        Ok(self.written(StatusCode::OK, "leads/pipelines", "pipelines", shown))
    }

    fn change_pipeline(&mut self, call: &Call<'_>, at: usize) -> Result<Response<Bytes>, Refused> {
        let item = call.body()?;
        let Some(mut pipeline) = self.pipelines.get(at).cloned() else { return Err(self.no_route(call)) };
        if let Some(name) = item.get("name").and_then(Value::as_str) {
            name.clone_into(&mut pipeline.name);
        }
        if let Some(sort) = item.get("sort").and_then(Value::as_i64) {
            pipeline.sort = sort;
        }
        let shown = pipeline.shown(self);
        if let Some(slot) = self.pipelines.get_mut(at) {
            *slot = pipeline;
        }
        Ok(self.one(&shown))
    }

    fn delete_pipeline(&mut self, at: usize) -> Result<Response<Bytes>, Refused> {
        let id = self.pipelines.get(at).map_or(0, |pipeline| pipeline.id);
        let in_use = self.cards.iter().any(|((kind, _), card)| *kind == Kind::Leads && card.lead.pipeline == id);
        if self.pipelines.len() < 2 || in_use {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity", "The pipeline cannot be deleted"));
        }
        self.pipelines.remove(at);
        Ok(wire::empty(StatusCode::NO_CONTENT))
    }

    fn stages(&mut self, call: &Call<'_>, at: usize, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
        let Some(mut pipeline) = self.pipelines.get(at).cloned() else { return Err(self.no_route(call)) };
        let path = format!("leads/pipelines/{}/statuses", pipeline.id);
        let answer = match (call.method(), rest) {
            (&Method::GET, []) => {
                let shown = pipeline.stages.iter().map(|stage| pipeline.shown_stage(self, stage)).collect();
                return Ok(self.dictionary(&path, "statuses", shown));
            }
            (&Method::POST, []) => {
                let items = call.items()?;
                let mut shown = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let mut errors = Vec::new();
                    check_stage(item, "", &mut errors);
                    if !errors.is_empty() {
                        return Err(Problem::invalid(vec![(request_id(item, index), errors)]));
                    }
                    let color = item.get("color").and_then(Value::as_str).unwrap_or("#99ccff").to_owned();
                    let stage = Stage {
                        id: self.next_id(),
                        name: text(item, "name"),
                        sort: item.get("sort").and_then(Value::as_i64).unwrap_or(500),
                        color,
                        kind: 0,
                    };
                    shown.push(pipeline.shown_stage(self, &stage));
                    pipeline.stages.push(stage);
                }
                pipeline.order();
                self.written(StatusCode::OK, &path, "statuses", shown)
            }
            (method, [id]) => {
                let Some(index) = pipeline.stages.iter().position(|stage| stage.id.to_string() == *id) else { return Err(self.no_route(call)) };
                let Some(mut stage) = pipeline.stages.get(index).cloned() else { return Err(self.no_route(call)) };
                match *method {
                    Method::GET => return Ok(self.one(&pipeline.shown_stage(self, &stage))),
                    Method::PATCH => {
                        let item = call.body()?;
                        if let Some(name) = item.get("name").and_then(Value::as_str) {
                            name.clone_into(&mut stage.name);
                        }
                        let answer = self.one(&pipeline.shown_stage(self, &stage));
                        if let Some(slot) = pipeline.stages.get_mut(index) {
                            *slot = stage;
                        }
                        answer
                    }
                    Method::DELETE if !matches!(stage.id, WON | LOST) && stage.kind == 0 => {
                        pipeline.stages.remove(index);
                        wire::empty(StatusCode::NO_CONTENT)
                    }
                    _ => return Err(Problem::method_not_allowed()),
                }
            }
            (_, []) => return Err(Problem::method_not_allowed()),
            _ => return Err(self.no_route(call)),
        };
        if let Some(slot) = self.pipelines.get_mut(at) {
            *slot = pipeline;
        }
        Ok(answer)
    }

    pub(super) fn pipelines_state(&self) -> Value {
        let stages = |pipeline: &Pipeline| pipeline.stages.iter().map(|stage| json!({"id": stage.id, "name": stage.name})).collect::<Vec<_>>();
        self.pipelines.iter().map(|pipeline| json!({"id": pipeline.id, "name": pipeline.name, "stages": stages(pipeline)})).collect()
    }
}

fn check_stage(stage: &Value, path: &str, errors: &mut Vec<Invalid>) {
    let system = matches!(stage.get("id").and_then(Value::as_u64), Some(WON | LOST));
    if stage.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
        errors.push(Invalid::missing(format!("{path}name")));
    }
    let color = stage.get("color").and_then(Value::as_str);
    if !system && color.is_some_and(|color| !COLORS.iter().any(|known| known.eq_ignore_ascii_case(color))) {
        errors.push(Invalid::choice(format!("{path}color")));
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}
