//! What a portal calls our fields, and which funnel and stage passes go to: found by name once, kept by id.
//!
//! The ledger keeps a [`Schema`] (below 4 KB) under a key made of what the config says, so that another choice is looked up afresh, and a funnel that is
//! renamed is followed by its id. An error that names a field or stage makes the conversation look again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::{Command, Outcome};
use super::book::Halt;
use super::fault::{self, Class};
use super::portal::Portal;
use super::wire;
use crate::config::{PassesAs, StageRef};
use crate::crm::card::CardField;
use crate::crm::texts::PassField;
use crate::journal::LedgerKey;

/// `entityTypeId` of a deal.
pub const DEAL: u64 = 2;
/// `entityTypeId` of a contact.
pub const CONTACT: u64 = 3;

/// Our fields of the contact. The birthday is not among them: Bitrix24 has one of its own.
pub fn contact_fields() -> impl Iterator<Item = CardField> {
    CardField::ALL.into_iter().filter(|field| *field != CardField::Birthday)
}

/// The name under which a field was created: `UF_CRM_LIME_VISITS`.
#[must_use]
pub fn field_name(code: &str) -> String {
    format!("UF_CRM_{code}")
}

/// Where passes go as deals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funnel {
    /// `categoryId`
    pub category: u64,
    /// `stageId`, with the funnel's prefix: `C9:WON`.
    pub stage: String,
}

/// A portal's names for what we write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Our code of a contact's field -> its key in `crm.item.*`.
    pub contact: BTreeMap<String, String>,
    /// The same for a deal.
    pub deal: BTreeMap<String, String>,
    /// Where passes go, when they become deals.
    pub funnel: Option<Funnel>,
}

/// Where the ledger keeps the schema for this config.
#[must_use]
pub fn ledger_key(passes: &PassesAs) -> LedgerKey {
    let choice = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{passes:?}").as_bytes());
    LedgerKey { kind: "bitrix24.schema".to_owned(), key: choice.simple().to_string() }
}

/// The funnel and stage that the config names; `None` when passes are timeline lines only.
#[must_use]
pub fn chosen(passes: &PassesAs) -> Option<(&StageRef, &StageRef)> {
    match passes {
        PassesAs::Timeline => None,
        PassesAs::Deal { pipeline, stage } | PassesAs::Both { pipeline, stage } => Some((pipeline, stage)),
    }
}

/// Something that may be chosen by name or by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its id, as text.
    pub id: String,
    /// As people see it.
    pub name: String,
    /// The one that is meant when the config names none: the portal's own funnel, the won stage.
    pub default: bool,
}

/// Why a choice does not lead to one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// There is none of that name or id.
    Missing,
    /// There are several; their ids.
    Several(Vec<String>),
}

/// Finds what the config means.
///
/// # Errors
/// When there is none, or more than one.
pub fn resolve<'a>(wanted: &StageRef, choices: &'a [Choice]) -> Result<&'a Choice, Unresolved> {
    let hits: Vec<&Choice> = choices
        .iter()
        .filter(|choice| match wanted {
            StageRef::Name(name) => folded(name) == folded(&choice.name),
            // A stage of a funnel may be given with the funnel's prefix or without.
            StageRef::Id(id) => choice.id == *id || choice.id.split_once(':').is_some_and(|(_, bare)| bare == id),
            StageRef::Default => choice.default,
        })
        .collect();
    match hits.as_slice() {
        [one] => Ok(one),
        [] => Err(Unresolved::Missing),
        several => Err(Unresolved::Several(several.iter().map(|choice| choice.id.clone()).collect())),
    }
}

/// Names are equal whatever their case, outer spaces, and е or ё.
fn folded(name: &str) -> String {
    name.trim().to_lowercase().replace('ё', "е")
}

/// Our codes among the fields of an entity, from `crm.item.fields`.
#[must_use]
pub fn fields(result: &Value, codes: &[&str]) -> BTreeMap<String, String> {
    let Some(fields) = result.get("fields").and_then(wire::map) else { return BTreeMap::new() };
    let upper = |field: &Value| field.get("upperName").and_then(Value::as_str).map(str::to_owned);
    codes
        .iter()
        .filter_map(|code| {
            let wanted = field_name(code);
            let (key, _) = fields.iter().find(|(_, field)| upper(field).as_deref() == Some(wanted.as_str()))?;
            Some(((*code).to_owned(), key.clone()))
        })
        .collect()
}

/// The funnels of `crm.category.list`.
#[must_use]
pub fn funnels(result: &Value) -> Vec<Choice> {
    let rows = result.get("categories").map(wire::rows).unwrap_or_default();
    rows.into_iter()
        .filter_map(|row| {
            Some(Choice {
                id: wire::id(row.get("id")?)?.to_string(),
                name: row.get("name").and_then(wire::text).unwrap_or_default(),
                default: row.get("isDefault").and_then(Value::as_str) == Some("Y"),
            })
        })
        .collect()
}

/// The stages of `crm.status.list`. Ids get the funnel's prefix where the portal leaves it out.
#[must_use]
pub fn stages(result: &Value, category: u64) -> Vec<Choice> {
    wire::rows(result)
        .into_iter()
        .filter_map(|row| {
            let id = wire::text(row.get("STATUS_ID")?)?;
            let id = if category == 0 || id.contains(':') { id } else { format!("C{category}:{id}") };
            let semantics = row.get("SEMANTICS").and_then(Value::as_str).unwrap_or_default();
            let extra = row.get("EXTRA").and_then(|extra| extra.get("SEMANTICS")).and_then(Value::as_str);
            Some(Choice {
                id,
                name: row.get("NAME").and_then(wire::text).unwrap_or_default(),
                default: semantics == "S" || (semantics.is_empty() && extra == Some("success")),
            })
        })
        .collect()
}

/// `crm.item.fields` of an entity.
#[must_use]
pub fn ask_fields(entity: u64) -> Command {
    Command::new("crm.item.fields", json!({ "entityTypeId": entity }))
}

/// All deal funnels.
#[must_use]
pub fn ask_funnels() -> Command {
    Command::new("crm.category.list", json!({ "entityTypeId": DEAL }))
}

/// All stages of a deal funnel.
#[must_use]
pub fn ask_stages(category: u64) -> Command {
    let entity = if category == 0 { "DEAL_STAGE".to_owned() } else { format!("DEAL_STAGE_{category}") };
    Command::new("crm.status.list", json!({ "order": { "SORT": "ASC" }, "filter": { "ENTITY_ID": entity } }))
}

/// Reads the portal's names: two requests, or one where passes are timeline lines only.
///
/// # Errors
/// `setup/field`, `setup/pipeline`, `setup/stage` when something has to be set up; else what kept us from reading.
pub async fn load(portal: &mut Portal, passes: &PassesAs) -> Result<Schema, Halt> {
    let chosen = chosen(passes);
    let mut commands = vec![ask_fields(CONTACT)];
    if chosen.is_some() {
        commands.extend([ask_fields(DEAL), ask_funnels()]);
    }
    let outcomes = portal.ask(&commands).await?;
    let codes: Vec<&str> = contact_fields().map(CardField::code).collect();
    let contact = all(fields(done(outcomes.first())?, &codes), codes.len())?;
    let Some((pipeline, stage)) = chosen else { return Ok(Schema { contact, ..Schema::default() }) };

    let codes: Vec<&str> = PassField::ALL.into_iter().map(PassField::code).collect();
    let deal = all(fields(done(outcomes.get(1))?, &codes), codes.len())?;
    let funnels = funnels(done(outcomes.get(2))?);
    let category = resolve(pipeline, &funnels).ok().and_then(|funnel| funnel.id.parse().ok()).ok_or_else(|| Halt::person("setup/pipeline"))?;
    let outcomes = portal.ask(&[ask_stages(category)]).await?;
    let stages = stages(done(outcomes.first())?, category);
    let stage = resolve(stage, &stages).map_err(|_| Halt::person("setup/stage"))?.id.clone();
    Ok(Schema { contact, deal, funnel: Some(Funnel { category, stage }) })
}

fn all(found: BTreeMap<String, String>, wanted: usize) -> Result<BTreeMap<String, String>, Halt> {
    if found.len() == wanted { Ok(found) } else { Err(Halt::person("setup/field")) }
}

/// The result of a command without which the batch cannot go on.
pub(super) fn done(outcome: Option<&Outcome>) -> Result<&Value, Halt> {
    match outcome {
        Some(Outcome::Done { result, .. }) => Ok(result),
        Some(Outcome::Fault { fault, timing }) => Err(halt(&fault::classify(fault, *timing))),
        Some(Outcome::Unanswered) | None => Err(Halt::new("crm/unanswered")),
    }
}

/// What an error means for jobs whose command was not carried out, or may be repeated.
#[must_use]
pub fn halt(class: &Class) -> Halt {
    match class {
        Class::Busy { reason, after } => Halt::after(*reason, *after),
        Class::Auth => Halt::person("auth"),
        Class::Setup(reason) => Halt::person(*reason),
        Class::Unclear => Halt::new("crm/stumbled"),
        Class::Gone => Halt::new("crm/gone"),
        Class::Stale => Halt::person("setup/field"),
        Class::Refused => Halt::new("crm/refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(id: &str, name: &str, default: bool) -> Choice {
        Choice { id: id.to_owned(), name: name.to_owned(), default }
    }

    #[test]
    fn a_funnel_or_stage_is_found_by_name_by_id_or_as_the_default() {
        let stages = [choice("C9:NEW", "Прошёл", false), choice("C9:WON", "Готово", true)];
        for wanted in [StageRef::Name(" прошел".into()), StageRef::Id("C9:NEW".into()), StageRef::Id("NEW".into())] {
            assert_eq!(resolve(&wanted, &stages), Ok(&stages[0]), "{wanted:?}");
        }
        assert_eq!(resolve(&StageRef::Default, &stages), Ok(&stages[1]));
        assert_eq!(resolve(&StageRef::Name("Нет".into()), &stages), Err(Unresolved::Missing));
        let twins = [choice("3", "Проходы", false), choice("7", "проходы", false)];
        assert_eq!(resolve(&StageRef::Name("Проходы".into()), &twins), Err(Unresolved::Several(vec!["3".into(), "7".into()])));
    }

    #[test]
    fn fields_are_known_by_their_upper_name_and_never_guessed() {
        let result = json!({"fields": {"title": {"type": "string"}, "ufCrm_LIME_KIND": {"upperName": "UF_CRM_LIME_KIND"}, "ufCrmLimeAt": {"upperName": "UF_CRM_LIME_AT"}}});
        let found = fields(&result, &["LIME_KIND", "LIME_AT", "LIME_LEFT"]);
        assert_eq!(found.get("LIME_KIND").map(String::as_str), Some("ufCrm_LIME_KIND"));
        assert_eq!(found.get("LIME_AT").map(String::as_str), Some("ufCrmLimeAt"));
        assert_eq!(found.len(), 2);
        assert!(fields(&json!({"fields": []}), &["LIME_KIND"]).is_empty());
    }

    #[test]
    fn stages_get_their_funnels_prefix_and_the_won_one_is_the_default() {
        let rows = json!([{"STATUS_ID": "NEW", "NAME": "Новая", "SEMANTICS": null}, {"STATUS_ID": "C9:WON", "NAME": "Успех", "SEMANTICS": "S"}]);
        assert_eq!(stages(&rows, 9), [choice("C9:NEW", "Новая", false), choice("C9:WON", "Успех", true)]);
        assert_eq!(stages(&rows, 0).first().map(|c| c.id.clone()).as_deref(), Some("NEW"));
    }

    #[test]
    fn a_schema_fits_the_ledger_and_another_choice_has_another_key() {
        let names = |codes: Vec<&str>| codes.into_iter().map(|code| (code.to_owned(), format!("ufCrm_{code}"))).collect();
        let schema = Schema {
            contact: names(contact_fields().map(CardField::code).collect()),
            deal: names(PassField::ALL.into_iter().map(PassField::code).collect()),
            funnel: Some(Funnel { category: 9, stage: "C9:WON".to_owned() }),
        };
        let text = serde_json::to_string(&schema).unwrap();
        assert!(text.len() < 4096, "{}", text.len());
        assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), schema);
        let deal = PassesAs::Deal { pipeline: StageRef::Name("Проходы".into()), stage: StageRef::Default };
        assert_ne!(ledger_key(&deal), ledger_key(&PassesAs::Timeline));
    }
}
