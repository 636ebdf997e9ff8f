//! Where things are in one account: its zone, the ids of our fields, the pipeline and the stage of passes.
//!
//! Fields are found by our codes, whatever people call them; pipeline and stage by name or id, once, and by id from then on, so that a rename does no
//! harm. Statuses 142 (won) and 143 (lost) are in every pipeline: a stage is only unique together with its pipeline.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{AmoCrm, StageRef};
use crate::crm::card::CardField;
use crate::crm::texts::PassField;

use super::wire;

/// The stage of a deal that was won, in every pipeline.
pub const WON: u64 = 142;
/// And of one that was lost.
pub const LOST: u64 = 143;
/// A complete schema is read again after this long.
const FRESH_MS: i64 = 24 * 3600 * 1000;
/// One that lacks fields is read again sooner: somebody may have run `crm setup`.
const INCOMPLETE_MS: i64 = 15 * 60 * 1000;

/// Where things are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// What it was resolved for; another config resolves anew.
    pub wanted: (StageRef, StageRef),
    /// The account's time zone: days are stored as its midnights.
    pub zone: String,
    /// The pipeline of passes.
    pub pipeline: u64,
    /// The stage of passes.
    pub stage: u64,
    /// Fields of the contact, by code.
    pub contact: BTreeMap<String, u64>,
    /// Fields of the lead, by code.
    pub lead: BTreeMap<String, u64>,
    /// Lists can be filtered: not every account has that.
    #[serde(default)]
    pub filters: bool,
    /// When it was read, milliseconds since 1970 UTC.
    pub read_ms: i64,
}

impl Schema {
    /// The id of a field of the contact.
    #[must_use]
    pub fn card(&self, field: CardField) -> Option<u64> {
        self.contact.get(field.code()).copied()
    }

    /// The id of a field of the lead.
    #[must_use]
    pub fn pass(&self, field: PassField) -> Option<u64> {
        self.lead.get(field.code()).copied()
    }

    /// Good for this config and still fresh.
    #[must_use]
    pub fn serves(&self, config: &AmoCrm, now_ms: i64) -> bool {
        let complete = self.contact.len() == CardField::ALL.len() && self.lead.len() == PassField::ALL.len();
        let age = now_ms.abs_diff(self.read_ms);
        let most = if complete { FRESH_MS } else { INCOMPLETE_MS };
        self.wanted == (config.pipeline.clone(), config.stage.clone()) && age < most.unsigned_abs()
    }
}

/// Why passes cannot go anywhere yet. `code` is stable; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such pipeline.
    #[error("amoCRM: pipeline {wanted} not found in account {account}. Existing: {existing}")]
    Pipeline {
        /// As in the config.
        wanted: String,
        /// The account.
        account: String,
        /// All there are, in quotes.
        existing: String,
    },
    /// No such stage.
    #[error("amoCRM: stage {wanted} not found in pipeline \"{pipeline}\" of account {account}. Existing: {existing}")]
    Stage {
        /// As in the config.
        wanted: String,
        /// The pipeline by name.
        pipeline: String,
        /// The account.
        account: String,
        /// All there are, in quotes.
        existing: String,
    },
    /// Two of one name.
    #[error("amoCRM: account {account} has more than one {what} \"{wanted}\": {ids}. Write {{ id = ... }} in the config")]
    Ambiguous {
        /// `pipeline`, `stage` or `user`.
        what: &'static str,
        /// The name.
        wanted: String,
        /// The account.
        account: String,
        /// Their ids.
        ids: String,
    },
    /// No such user.
    #[error("amoCRM: user {wanted} not found in account {account}. Existing: {existing}")]
    User {
        /// As in the config.
        wanted: String,
        /// The account.
        account: String,
        /// All there are, in quotes.
        existing: String,
    },
    /// A field without which nothing can be found again.
    #[error("amoCRM: the field {code} is not in account {account}; run `limegate crm setup`")]
    Field {
        /// Its code.
        code: &'static str,
        /// The account.
        account: String,
    },
}

impl Problem {
    /// The stable code in status.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Pipeline { .. } => "setup/pipeline",
            Self::Stage { .. } => "setup/stage",
            Self::Ambiguous { what, .. } if *what == "pipeline" => "setup/pipeline",
            Self::Ambiguous { what, .. } if *what == "user" => "setup/user",
            Self::Ambiguous { .. } => "setup/stage",
            Self::User { .. } => "setup/user",
            Self::Field { .. } => "setup/field",
        }
    }
}

/// What was read of the account.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// `GET /account`
    pub account: Value,
    /// `GET /leads/pipelines`
    pub pipelines: Vec<Value>,
    /// `GET /contacts/custom_fields`, all pages.
    pub contact_fields: Vec<Value>,
    /// `GET /leads/custom_fields`, all pages.
    pub lead_fields: Vec<Value>,
    /// `GET /users`, all pages; only where the integration runs.
    pub users: Vec<Value>,
    /// `GET /catalogs`, all pages; only where the integration runs.
    pub catalogs: Vec<Value>,
    /// `GET /catalogs/{id}/custom_fields` of the list of products; only where the integration runs.
    pub product_fields: Vec<Value>,
}

impl Raw {
    /// The account as people know it.
    #[must_use]
    pub fn account_name(&self) -> String {
        wire::text(self.account.get("subdomain")).unwrap_or_else(|| "?".to_owned())
    }

    /// IANA name of the account's zone; UTC where it does not say.
    #[must_use]
    pub fn zone(&self) -> String {
        wire::text(self.account.pointer("/_embedded/datetime_settings/timezone")).unwrap_or_else(|| "UTC".to_owned())
    }
}

/// The pipeline and stage of passes. `before` is followed where the names of the config have gone: somebody renamed them.
///
/// # Errors
/// When there is none, or more than one of the name.
pub fn stage(raw: &Raw, config: &AmoCrm, before: Option<&Schema>) -> Result<(u64, u64), Problem> {
    let before = before.filter(|before| before.wanted == (config.pipeline.clone(), config.stage.clone()));
    let pipeline = pipeline(raw, &config.pipeline, before.map(|before| before.pipeline))?;
    let stage = stage_in(raw, pipeline, &config.stage, before.map(|before| before.stage), |stages| wanted_id(stages, WON))?;
    Ok((wire::id(pipeline.get("id")).unwrap_or(0), stage))
}

/// A pipeline; by default the main one. `before` is followed where its name has gone.
///
/// # Errors
/// When there is none, or more than one of the name.
pub fn pipeline<'a>(raw: &'a Raw, wanted: &StageRef, before: Option<u64>) -> Result<&'a Value, Problem> {
    let account = raw.account_name();
    let open: Vec<&Value> = raw.pipelines.iter().filter(|pipeline| pipeline.get("is_archive").and_then(Value::as_bool) != Some(true)).collect();
    let main = |pipeline: &Value| pipeline.get("is_main").and_then(Value::as_bool) == Some(true);
    let found = pick(&open, wanted, "pipeline", &account, main)?.or_else(|| by_id(&open, before));
    found.ok_or_else(|| Problem::Pipeline { wanted: shown(wanted), account, existing: names(&open) })
}

/// The stages of a pipeline in their order, without that of unsorted requests.
#[must_use]
pub fn stages(pipeline: &Value) -> Vec<&Value> {
    let all = pipeline.pointer("/_embedded/statuses").and_then(Value::as_array).into_iter().flatten();
    let mut stages: Vec<&Value> = all.filter(|stage| wire::number(stage.get("type")) != Some(1)).collect();
    stages.sort_by_key(|stage| wire::number(stage.get("sort")).unwrap_or(0));
    stages
}

/// A stage of a pipeline. `before` is followed where its name has gone.
///
/// # Errors
/// When there is none, or more than one of the name.
pub fn stage_in(
    raw: &Raw,
    pipeline: &Value,
    wanted: &StageRef,
    before: Option<u64>,
    default: impl Fn(&[&Value]) -> Option<u64>,
) -> Result<u64, Problem> {
    let stages = stages(pipeline);
    let first = default(&stages);
    let found = pick(&stages, wanted, "stage", &raw.account_name(), |stage| first.is_some() && wire::id(stage.get("id")) == first)?;
    found.or_else(|| by_id(&stages, before)).and_then(|stage| wire::id(stage.get("id"))).ok_or_else(|| Problem::Stage {
        wanted: shown(wanted),
        pipeline: wire::text(pipeline.get("name")).unwrap_or_default(),
        account: raw.account_name(),
        existing: names(&stages),
    })
}

/// This stage, where it is among them.
#[must_use]
pub fn wanted_id(stages: &[&Value], id: u64) -> Option<u64> {
    stages.iter().any(|stage| wire::id(stage.get("id")) == Some(id)).then_some(id)
}

/// Resolves everything.
///
/// # Errors
/// When passes cannot go anywhere: pipeline, stage or one of the two key fields is not there. Other fields may lack; their values are left out.
pub fn resolve(raw: &Raw, config: &AmoCrm, before: Option<&Schema>, now_ms: i64) -> Result<Schema, Problem> {
    let (pipeline, stage) = stage(raw, config, before)?;
    let contact = contact_fields(raw);
    let lead = coded(&raw.lead_fields, &PassField::ALL.map(PassField::code));
    for (found, code) in [(&contact, CardField::ClientId.code()), (&lead, PassField::EventUid.code())] {
        if !found.contains_key(code) {
            return Err(Problem::Field { code, account: raw.account_name() });
        }
    }
    let filters = raw.account.get("is_api_filter_enabled").and_then(Value::as_bool) == Some(true);
    Ok(Schema { wanted: (config.pipeline.clone(), config.stage.clone()), zone: raw.zone(), pipeline, stage, contact, lead, filters, read_ms: now_ms })
}

/// The ids of our fields of the contact, by code.
pub(super) fn contact_fields(raw: &Raw) -> BTreeMap<String, u64> {
    coded(&raw.contact_fields, &CardField::ALL.map(CardField::code))
}

/// The ids of our fields. A field whose type is not what we need is left out here; `crm check` says so.
fn coded(fields: &[Value], codes: &[&'static str]) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for field in fields {
        let code = wire::text(field.get("code")).unwrap_or_default();
        let kind = wire::text(field.get("type")).unwrap_or_default();
        if let (true, Some(id)) = (codes.contains(&code.as_str()) && super::setup::kind_of(&code) == Some(kind.as_str()), wire::id(field.get("id"))) {
            found.entry(code).or_insert(id);
        }
    }
    found
}

/// The one that is wanted. `Ok(None)`: there is none.
///
/// # Errors
/// When there are several of the name.
pub(super) fn pick<'a>(
    all: &[&'a Value],
    wanted: &StageRef,
    what: &'static str,
    account: &str,
    default: impl Fn(&Value) -> bool,
) -> Result<Option<&'a Value>, Problem> {
    let name = match wanted {
        StageRef::Default => return Ok(all.iter().find(|one| default(one)).copied()),
        StageRef::Id(id) => return Ok(by_id(all, id.trim().parse().ok())),
        StageRef::Name(name) => name,
    };
    let found: Vec<&'a Value> = all.iter().filter(|one| wire::text(one.get("name")).is_some_and(|has| same_name(&has, name))).copied().collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => Err(Problem::Ambiguous {
            what,
            wanted: name.clone(),
            account: account.to_owned(),
            ids: several.iter().filter_map(|one| wire::text(one.get("id"))).collect::<Vec<_>>().join(", "),
        }),
    }
}

pub(super) fn by_id<'a>(all: &[&'a Value], id: Option<u64>) -> Option<&'a Value> {
    all.iter().find(|one| id.is_some() && wire::id(one.get("id")) == id).copied()
}

/// Whether two names are one, as people compare names: blanks around, case, and е for ё do not count.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.trim().to_lowercase().replace('ё', "е");
    plain(a) == plain(b)
}

/// All names, in quotes.
#[must_use]
pub fn names(all: &[&Value]) -> String {
    let names: Vec<String> = all.iter().filter_map(|one| wire::text(one.get("name"))).map(|name| format!("\"{name}\"")).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

/// As the config has it.
pub(super) fn shown(wanted: &StageRef) -> String {
    match wanted {
        StageRef::Name(name) => format!("\"{name}\""),
        StageRef::Id(id) => format!("id {id}"),
        StageRef::Default => "(default)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::AmoAuth;
    use crate::config::SecretSource;

    fn config(pipeline: StageRef, stage: StageRef) -> AmoCrm {
        AmoCrm { url: "https://park.amocrm.ru".into(), auth: AmoAuth::Token(SecretSource::Env("T".into())), pipeline, stage }
    }

    fn raw() -> Raw {
        let statuses = json!({"statuses":[{"id":51,"name":"Новый"},{"id":142,"name":"Прошёл"},{"id":143,"name":"Закрыто"}]});
        Raw {
            account: json!({"subdomain":"park","_embedded":{"datetime_settings":{"timezone":"Asia/Yekaterinburg"}}}),
            pipelines: vec![
                json!({"id":40,"name":"Воронка","is_main":true,"_embedded":statuses}),
                json!({"id":41,"name":"Проходы","_embedded":statuses}),
                json!({"id":42,"name":"Двойная","_embedded":statuses}),
                json!({"id":43,"name":"Двойная","_embedded":statuses}),
                json!({"id":44,"name":"Старая","is_archive":true,"_embedded":statuses}),
            ],
            contact_fields: vec![json!({"id":501,"code":"LIME_CLIENT_ID","type":"text"}), json!({"id":502,"code":"LIME_HISTORY","type":"text"})],
            lead_fields: vec![json!({"id":601,"code":"LIME_EVENT_UID","type":"text"})],
            ..Raw::default()
        }
    }

    fn name(text: &str) -> StageRef {
        StageRef::Name(text.into())
    }

    #[test]
    fn a_pipeline_and_a_stage_are_found_as_people_see_them() {
        for (pipeline, stage_ref, found) in [
            (name(" проходы"), name("Прошел"), (41, 142)),
            (StageRef::Id("41".into()), StageRef::Id("51".into()), (41, 51)),
            (StageRef::Default, StageRef::Default, (40, 142)),
        ] {
            assert_eq!(stage(&raw(), &config(pipeline, stage_ref), None), Ok(found));
        }
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let problem = stage(&raw(), &config(name("Продажи"), StageRef::Default), None).unwrap_err();
        assert_eq!((problem.code(), problem.to_string().contains("Existing: \"Воронка\", \"Проходы\"")), ("setup/pipeline", true), "{problem}");
        let problem = stage(&raw(), &config(name("Старая"), StageRef::Default), None).unwrap_err();
        assert!(!problem.to_string().contains("\"Старая\", "), "an archived pipeline is no choice: {problem}");
        let problem = stage(&raw(), &config(name("Двойная"), StageRef::Default), None).unwrap_err();
        assert!(problem.to_string().contains("42, 43"), "{problem}");
        let problem = stage(&raw(), &config(name("Проходы"), name("Ушёл")), None).unwrap_err();
        assert_eq!(problem.code(), "setup/stage");
    }

    #[test]
    fn a_renamed_pipeline_is_followed_by_its_id() {
        let config = config(name("Проходы"), name("Прошёл"));
        let before = resolve(&raw(), &config, None, 0).unwrap();
        let mut renamed = raw();
        renamed.pipelines[1]["name"] = json!("Посещения");
        assert_eq!(stage(&renamed, &config, Some(&before)), Ok((41, 142)));
        assert!(stage(&renamed, &config, None).is_err());
    }

    #[test]
    fn a_field_of_a_wrong_type_is_not_written_to_and_a_key_field_is_needed() {
        let config = config(name("Проходы"), StageRef::Default);
        let found = resolve(&raw(), &config, None, 0).unwrap();
        assert_eq!((found.card(CardField::ClientId), found.card(CardField::History)), (Some(501), None));
        let mut bare = raw();
        bare.lead_fields.clear();
        assert_eq!(resolve(&bare, &config, None, 0).unwrap_err().code(), "setup/field");
    }

    #[test]
    fn an_incomplete_schema_is_read_again_sooner() {
        let config = config(name("Проходы"), StageRef::Default);
        let found = resolve(&raw(), &config, None, 1_000).unwrap();
        assert!(found.serves(&config, 2_000));
        assert!(!found.serves(&config, 1_000 + INCOMPLETE_MS));
        assert!(serde_json::to_string(&found).unwrap().len() < 4_096);
    }
}
