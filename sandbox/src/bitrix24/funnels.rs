//! Funnels (`crm.category.*`) and their stages (`crm.status.*`).

use serde_json::{Value, json};

use super::errors::Fault;
use super::{Answer, Bitrix, Done, Parameters, needed, needed_id};
use crate::wire;

#[derive(Clone, Debug)]
pub(super) struct Funnel {
    pub(super) id: u64,
    name: String,
    sort: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Stage {
    id: u64,
    funnel: u64,
    /// With the funnel's prefix, if it has one.
    code: String,
    name: String,
    sort: i64,
    /// `P`, `S` or `F`.
    semantics: &'static str,
    system: bool,
}

impl Funnel {
    fn shown(&self) -> Value {
        json!({"id": self.id, "name": self.name, "sort": self.sort, "entityTypeId": 2, "isDefault": if self.id == 0 { "Y" } else { "N" },
            "originId": "", "originatorId": ""})
    }
}

/// The common funnel's codes have no prefix.
fn prefixed(funnel: u64, code: &str) -> String {
    if funnel == 0 { code.to_owned() } else { format!("C{funnel}:{code}") }
}

fn entity_code(funnel: u64) -> String {
    if funnel == 0 { "DEAL_STAGE".to_owned() } else { format!("DEAL_STAGE_{funnel}") }
}

impl Bitrix {
    pub(super) fn seed_funnels(&mut self) {
        self.add_funnel(0, "Общая", 300);
        self.add_funnel(9, "Проходы", 400);
        self.add_stage(9, "PASSED", "Прошёл", 30, "P", false);
    }

    fn add_funnel(&mut self, id: u64, name: &str, sort: i64) {
        self.funnels.push(Funnel { id, name: name.to_owned(), sort });
        for (code, name, sort, semantics) in [
            ("NEW", "Новая", 10, "P"),
            ("PREPARATION", "Подготовка", 20, "P"),
            ("WON", "Сделка успешна", 100, "S"),
            ("LOSE", "Сделка провалена", 110, "F"),
            ("APOLOGY", "Анализ причины провала", 120, "F"),
        ] {
            self.add_stage(id, code, name, sort, semantics, true);
        }
    }

    fn add_stage(&mut self, funnel: u64, code: &str, name: &str, sort: i64, semantics: &'static str, system: bool) -> u64 {
        let id = self.next_id();
        self.stages.push(Stage { id, funnel, code: prefixed(funnel, code), name: name.to_owned(), sort, semantics, system });
        id
    }

    pub(super) fn first_stage(&self, funnel: i64) -> String {
        prefixed(u64::try_from(funnel).unwrap_or(0), "NEW")
    }

    /// `P`, `S` or `F`; none where the stage does not belong to the funnel.
    pub(super) fn semantics(&self, funnel: i64, code: &str) -> Option<&'static str> {
        self.stages.iter().find(|stage| i64::try_from(stage.funnel) == Ok(funnel) && stage.code == code).map(|stage| stage.semantics)
    }

    pub(super) fn category_list(&self, parameters: &Parameters) -> Answer {
        let shown: Vec<Value> = if for_deals(parameters)? { self.funnels.iter().map(Funnel::shown).collect() } else { Vec::new() };
        let total = shown.len();
        Ok(Done { result: json!({"categories": shown}), total: Some(total), next: None })
    }

    pub(super) fn category_get(&self, parameters: &Parameters) -> Answer {
        for_deals(parameters)?;
        let id = needed_id(parameters, "id")?;
        let funnel = self.funnels.iter().find(|funnel| funnel.id == id).ok_or_else(Fault::not_found)?;
        Ok(Done::of(json!({"category": funnel.shown()})))
    }

    pub(super) fn category_add(&mut self, parameters: &Parameters) -> Answer {
        if !self.admin {
            return Err(Fault::access_denied());
        }
        if !for_deals(parameters)? {
            return Err(Fault::bad("ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported"));
        }
        let fields = needed(parameters, "fields")?;
        let Some(name) = fields.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) else { return Err(Fault::value("name")) };
        if self.funnels.len() >= self.plan.funnels {
            return Err(Fault::bad("ACCESS_DENIED", "The plan has no more funnels"));
        }
        let id = self.funnels.iter().map(|funnel| funnel.id).max().unwrap_or(0) + 2;
        self.add_funnel(id, name, fields.get("sort").and_then(wire::integer).unwrap_or(500));
        Ok(Done::of(json!({"category": self.funnels.last().map(Funnel::shown)})))
    }

    pub(super) fn category_update(&mut self, parameters: &Parameters) -> Answer {
        if !self.admin {
            return Err(Fault::access_denied());
        }
        let id = needed_id(parameters, "id")?;
        let name = needed(parameters, "fields")?.get("name").and_then(Value::as_str).map(str::to_owned);
        let funnel = self.funnels.iter_mut().find(|funnel| funnel.id == id).ok_or_else(Fault::not_found)?;
        funnel.name = name.unwrap_or(std::mem::take(&mut funnel.name));
        Ok(Done::of(json!({"category": funnel.shown()})))
    }

    /// The common funnel stays, and so does one with deals in it.
    pub(super) fn category_delete(&mut self, parameters: &Parameters) -> Answer {
        if !self.admin {
            return Err(Fault::access_denied());
        }
        let id = needed_id(parameters, "id")?;
        if !self.funnels.iter().any(|funnel| funnel.id == id) {
            return Err(Fault::not_found());
        }
        if id == 0 || self.items.values().any(|item| item.number("categoryId") == i64::try_from(id).ok()) {
            return Err(Fault::bad("ACCESS_DENIED", "The funnel is in use"));
        }
        self.funnels.retain(|funnel| funnel.id != id);
        self.stages.retain(|stage| stage.funnel != id);
        Ok(Done::of(json!([])))
    }

    /// Rows of texts.
    pub(super) fn status_list(&self, parameters: &Parameters) -> Answer {
        let wanted = parameters.get("filter").or_else(|| parameters.get("FILTER")).and_then(|filter| filter.get("ENTITY_ID")).and_then(wire::text);
        let mut stages: Vec<&Stage> =
            self.stages.iter().filter(|stage| wanted.as_ref().is_none_or(|wanted| entity_code(stage.funnel) == *wanted)).collect();
        stages.sort_by_key(|stage| (stage.funnel, stage.sort, stage.id));
        let rows: Vec<Value> = stages.into_iter().map(row).collect();
        let total = rows.len();
        Ok(Done { result: Value::Array(rows), total: Some(total), next: None })
    }

    pub(super) fn status_add(&mut self, parameters: &Parameters) -> Answer {
        if !self.admin {
            return Err(Fault::access_denied());
        }
        let fields = needed(parameters, "fields")?;
        let text = |key: &str| fields.get(key).and_then(wire::text).filter(|text| !text.is_empty());
        let (Some(entity), Some(code), Some(name)) = (text("ENTITY_ID"), text("STATUS_ID"), text("NAME")) else {
            return Err(Fault::bad("", "The required fields are not filled: ENTITY_ID, STATUS_ID, NAME"));
        };
        let Some(funnel) = self.funnels.iter().map(|funnel| funnel.id).find(|id| entity_code(*id) == entity) else {
            return Err(Fault::bad("", "Invalid ENTITY_ID"));
        };
        let code = code.strip_prefix(&prefixed(funnel, "")).unwrap_or(&code).to_owned();
        if self.stages.iter().any(|stage| stage.funnel == funnel && stage.code == prefixed(funnel, &code)) {
            return Err(Fault::bad("", "Статус с таким кодом уже существует"));
        }
        let semantics = match text("SEMANTICS").as_deref() {
            Some("S") => "S",
            Some("F") => "F",
            _ => "P",
        };
        let sort = fields.get("SORT").and_then(wire::integer).unwrap_or(500);
        Ok(Done::of(json!(self.add_stage(funnel, &code, &name, sort, semantics, false))))
    }

    pub(super) fn status_update(&mut self, parameters: &Parameters) -> Answer {
        if !self.admin {
            return Err(Fault::access_denied());
        }
        let id = needed_id(parameters, "id")?;
        let name = needed(parameters, "fields")?.get("NAME").and_then(wire::text);
        let stage = self.stages.iter_mut().find(|stage| stage.id == id).ok_or_else(|| Fault::bad("", "Status is not found"))?;
        stage.name = name.unwrap_or(std::mem::take(&mut stage.name));
        Ok(Done::of(json!(true)))
    }

    pub(super) fn status_delete(&mut self, parameters: &Parameters) -> Answer {
        if !self.admin {
            return Err(Fault::access_denied());
        }
        let id = needed_id(parameters, "id")?;
        let stage = self.stages.iter().find(|stage| stage.id == id).ok_or_else(|| Fault::bad("", "Status is not found"))?;
        if stage.system {
            return Err(Fault::bad("ERROR_SYSTEM", "Системный элемент нельзя удалить"));
        }
        self.stages.retain(|stage| stage.id != id);
        Ok(Done::of(json!(true)))
    }

    pub(super) fn funnels_state(&self) -> Value {
        let stages = |funnel: &Funnel| {
            self.stages
                .iter()
                .filter(|stage| stage.funnel == funnel.id)
                .map(|stage| json!({"code": stage.code, "name": stage.name}))
                .collect::<Vec<_>>()
        };
        self.funnels.iter().map(|funnel| json!({"id": funnel.id, "name": funnel.name, "stages": stages(funnel)})).collect()
    }
}

fn for_deals(parameters: &Parameters) -> Result<bool, Fault> {
    Ok(wire::integer(needed(parameters, "entityTypeId")?) == Some(2))
}

fn row(stage: &Stage) -> Value {
    let semantics = Some(stage.semantics).filter(|semantics| *semantics != "P");
    let extra = match stage.semantics {
        "S" => "success",
        "F" if stage.code.ends_with("APOLOGY") => "apology",
        "F" => "failure",
        _ => "process",
    };
    json!({
        "ID": stage.id.to_string(), "ENTITY_ID": entity_code(stage.funnel), "STATUS_ID": stage.code, "NAME": stage.name, "NAME_INIT": "",
        "SORT": stage.sort.to_string(),
        "SYSTEM": if stage.system { "Y" } else { "N" }, "CATEGORY_ID": stage.funnel.to_string(), "COLOR": "#39A8EF", "SEMANTICS": semantics,
        "EXTRA": {"SEMANTICS": extra, "COLOR": "#39A8EF"},
    })
}
