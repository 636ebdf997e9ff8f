//! Where the integration puts things at a portal: funnels, stages and people of the rules, the funnel of bookings, our fields of a deal, the catalog.
//! Found by name once, kept by id, as [`super::schema`] does for passes.
//!
//! One rule that names what is not there holds up its own receipts only; what was found incompletely is not kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::{Command, Outcome};
use super::book::Halt;
use super::portal::Portal;
use super::schema::{self, Choice, DEAL, Unresolved};
use super::talk::Talk;
use super::wire;
use crate::config::{Hub, StageRef};
use crate::crm::deal_fields::DealField;
use crate::journal::LedgerKey;

/// A value of the ledger is no longer than this.
const LONGEST: usize = 4096;

/// What a stage means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sense {
    /// On the way.
    #[serde(rename = "p")]
    Open,
    /// Won.
    #[serde(rename = "s")]
    Won,
    /// Lost.
    #[serde(rename = "f")]
    Lost,
}

/// A stage of a funnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// With the funnel's prefix: `C9:WON`.
    pub id: String,
    /// As people see it.
    pub name: String,
    /// What it means.
    pub sense: Sense,
    /// Where it stands.
    pub sort: i64,
}

/// Which stage is meant where the config names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The first.
    First,
    /// The won one.
    Won,
    /// The first lost one.
    Lost,
}

/// Where the receipts of one rule go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// `categoryId`
    #[serde(rename = "c")]
    pub category: u64,
    /// The stage where the deal is to stand.
    #[serde(rename = "s")]
    pub stage: String,
    /// That stage closes the deal: it comes there last, once everything is in it.
    #[serde(rename = "x", default)]
    pub closes: bool,
    /// The stage of a deal of which all is given back.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub refunded: Option<String>,
    /// `assignedById`
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<u64>,
}

/// The funnel of bookings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookings {
    /// `categoryId`
    pub category: u64,
    /// Where a deal from Lime begins.
    pub stage: String,
    /// Where a deal is given up.
    pub cancelled: String,
    /// The stages from which on a deal goes to Lime; none: all.
    pub ready: Option<Vec<String>>,
    /// What each stage means, in their order.
    pub stages: Vec<(String, Sense)>,
}

impl Bookings {
    /// The stage from which on a deal goes to Lime, where that is one of its own.
    #[must_use]
    pub fn from(&self) -> Option<&str> {
        self.ready.as_ref()?.first().map(String::as_str)
    }
}

/// The portal's catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelf {
    /// `iblockId` of the catalog of products.
    pub iblock: u64,
    /// `catalogGroupId` of the base price.
    pub price_type: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Our code of a deal's field -> its key in `crm.item.*`.
    pub fields: BTreeMap<String, String>,
    /// By the rules' order; none where something that a rule names is not there.
    pub rules: Vec<Option<Place>>,
    /// None where something that `[hub.preorders]` names is not there.
    pub bookings: Option<Bookings>,
    /// None where the catalog may not be read.
    pub shelf: Option<Shelf>,
}

impl Places {
    /// As the ledger has them.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The key of a field of ours, where the portal has it.
    #[must_use]
    pub fn field(&self, field: DealField) -> Option<&String> {
        self.fields.get(field.code())
    }

    /// The funnel that was found for these words of the config, which they are still.
    #[must_use]
    pub fn funnel_of(&self, hub: &Hub, wanted: &StageRef) -> Option<u64> {
        let of_rules = hub.deals.iter().zip(&self.rules).filter(|(rule, _)| rule.pipeline == *wanted).find_map(|(_, place)| place.as_ref());
        let of_bookings = self.bookings.as_ref().filter(|_| hub.preorders.pipeline == *wanted);
        of_rules.map(|place| place.category).or(of_bookings.map(|bookings| bookings.category))
    }

    /// Everything that the config names was found.
    #[must_use]
    pub fn is_complete(&self, hub: &Hub) -> bool {
        self.rules.iter().all(Option::is_some)
            && (self.bookings.is_some() || !(hub.preorders.to_lime || hub.preorders.to_crm))
            && (self.shelf.is_some() || !hub.products)
            && fields(hub).all(|field| self.field(field).is_some())
    }
}

/// The fields of a deal that this config takes.
pub fn fields(hub: &Hub) -> impl Iterator<Item = DealField> {
    let receipts = DealField::OF_RECEIPTS.into_iter().filter(|_| !hub.deals.is_empty());
    let bookings = DealField::OF_BOOKINGS.into_iter().filter(|_| hub.preorders.to_lime || hub.preorders.to_crm);
    receipts.chain(bookings)
}

/// Where the ledger keeps the places for this config.
#[must_use]
pub fn ledger_key(hub: &Hub) -> LedgerKey {
    let choice = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{:?} {:?} {}", hub.deals, hub.preorders, hub.products).as_bytes());
    LedgerKey { kind: "bitrix24.places".to_owned(), key: choice.simple().to_string() }
}

/// The stages of `crm.status.list`, in their order.
#[must_use]
pub fn stages(result: &Value, category: u64) -> Vec<Stage> {
    let choices = schema::stages(result, category);
    let rows = wire::rows(result).into_iter().filter(|row| row.get("STATUS_ID").and_then(wire::text).is_some());
    let mut stages: Vec<Stage> = choices.into_iter().zip(rows).map(|(choice, row)| stage(choice, row)).collect();
    stages.sort_by_key(|stage| stage.sort);
    stages
}

fn stage(choice: Choice, row: &Value) -> Stage {
    let semantics = row.get("SEMANTICS").and_then(Value::as_str).unwrap_or_default();
    let extra = row.pointer("/EXTRA/SEMANTICS").and_then(Value::as_str).unwrap_or_default();
    let sense = match (semantics, extra) {
        _ if choice.default => Sense::Won,
        ("F", _) | ("", "failure" | "apology") => Sense::Lost,
        _ => Sense::Open,
    };
    let sort = row.get("SORT").and_then(wire::number).map_or(0, |sort| sort as i64);
    Stage { id: choice.id, name: choice.name, sense, sort }
}

/// Finds the stage that the config means.
///
/// # Errors
/// When there is none, or more than one.
pub fn find<'a>(wanted: &StageRef, stages: &'a [Stage], otherwise: Otherwise) -> Result<&'a Stage, Unresolved> {
    let fits = |stage: &Stage| match otherwise {
        Otherwise::First => true,
        Otherwise::Won => stage.sense == Sense::Won,
        Otherwise::Lost => stage.sense == Sense::Lost,
    };
    let default = stages.iter().find(|stage| fits(stage)).map(|stage| stage.id.as_str());
    let choices: Vec<Choice> =
        stages.iter().map(|stage| Choice { id: stage.id.clone(), name: stage.name.clone(), default: Some(stage.id.as_str()) == default }).collect();
    let id = schema::resolve(wanted, &choices)?.id.clone();
    stages.iter().find(|stage| stage.id == id).ok_or(Unresolved::Missing)
}

/// People of `user.get`, by `Имя Фамилия`.
#[must_use]
pub fn people(result: &Value) -> Vec<Choice> {
    let text = |row: &Value, key: &str| row.get(key).and_then(wire::text).unwrap_or_default().trim().to_owned();
    let works = |row: &&Value| row.get("ACTIVE").is_none_or(|active| active == &json!(true) || active == &json!("Y") || active == &json!("1"));
    wire::rows(result)
        .into_iter()
        .filter(works)
        .filter_map(|row| {
            let id = wire::id(row.get("ID")?)?.to_string();
            Some(Choice { id, name: format!("{} {}", text(row, "NAME"), text(row, "LAST_NAME")).trim().to_owned(), default: false })
        })
        .collect()
}

/// Finds a person by id, or by first and family name in either order.
///
/// # Errors
/// When there is none, or more than one.
pub fn person(wanted: &StageRef, people: &[Choice]) -> Result<u64, Unresolved> {
    let turned = |choice: &Choice| {
        let (first, last) = choice.name.split_once(' ').unwrap_or((choice.name.as_str(), ""));
        Choice { name: format!("{last} {first}").trim().to_owned(), ..choice.clone() }
    };
    let found = match schema::resolve(wanted, people) {
        Err(Unresolved::Missing) => {
            let turned: Vec<Choice> = people.iter().map(turned).collect();
            schema::resolve(wanted, &turned)?.id.clone()
        }
        found => found?.id.clone(),
    };
    found.parse().map_err(|_| Unresolved::Missing)
}

/// `user.get` for somebody whom the config names.
#[must_use]
pub fn ask_person(wanted: &StageRef) -> Command {
    let filter = match wanted {
        StageRef::Id(id) => json!({ "ID": id }),
        StageRef::Name(name) => json!({ "NAME_SEARCH": name }),
        StageRef::Default => json!({}),
    };
    Command::new("user.get", json!({ "FILTER": filter }))
}

/// The catalog of products and its base price: two commands.
#[must_use]
pub fn ask_shelf() -> [Command; 2] {
    [Command::new("catalog.catalog.list", json!({})), Command::new("catalog.priceType.list", json!({}))]
}

/// Reads what [`ask_shelf`] asked for. The catalog of products is the one that is nobody's variations; the CRM's own where there are several.
#[must_use]
pub fn shelf(catalogs: &Value, price_types: &Value) -> Option<Shelf> {
    let rows = catalogs.get("catalogs").map(wire::rows).unwrap_or_default();
    let own = |row: &&&Value| row.get("productIblockId").is_none_or(|of| wire::id(of).is_none_or(|of| of == 0));
    let of_crm = |row: &&&Value| row.get("iblockTypeId").and_then(Value::as_str) == Some("CRM_PRODUCT_CATALOG");
    let row = rows.iter().filter(own).find(of_crm).or_else(|| rows.iter().find(own))?;
    let types = price_types.get("priceTypes").map(wire::rows).unwrap_or_default();
    let base = types.iter().find(|row| row.get("base").and_then(Value::as_str) == Some("Y")).or_else(|| types.first())?;
    Some(Shelf { iblock: wire::id(row.get("iblockId")?)?, price_type: wire::id(base.get("id")?)? })
}

/// The funnel that the config means; `before` is followed where its name has gone.
///
/// # Errors
/// When there is none, or more than one.
pub fn funnel_or<'a>(wanted: &StageRef, funnels: &'a [Choice], before: Option<u64>) -> Result<&'a Choice, Unresolved> {
    match schema::resolve(wanted, funnels) {
        Err(Unresolved::Missing) => {
            let id = before.map(|before| before.to_string());
            funnels.iter().find(|choice| id.as_ref() == Some(&choice.id)).ok_or(Unresolved::Missing)
        }
        found => found,
    }
}

/// The stage that the config means; `before` is followed where its name has gone.
///
/// # Errors
/// When there is none, or more than one.
pub fn find_or<'a>(wanted: &StageRef, stages: &'a [Stage], otherwise: Otherwise, before: Option<&str>) -> Result<&'a Stage, Unresolved> {
    match find(wanted, stages, otherwise) {
        Err(Unresolved::Missing) => stages.iter().find(|stage| before == Some(stage.id.as_str())).ok_or(Unresolved::Missing),
        found => found,
    }
}

/// Reads the portal's places: two requests. What was found `before` is followed by its id where people have renamed it.
///
/// # Errors
/// What kept us from reading.
pub async fn load(portal: &mut Portal, hub: &Hub, before: Option<&Places>) -> Result<Places, Halt> {
    let people: Vec<&StageRef> = responsible(hub);
    let mut commands = vec![schema::ask_fields(DEAL), schema::ask_funnels()];
    commands.extend(ask_shelf());
    commands.extend(people.iter().map(|one| ask_person(one)));
    let outcomes = portal.ask(&commands).await?;
    let codes: Vec<&str> = fields(hub).map(DealField::code).collect();
    let fields = schema::fields(schema::done(outcomes.first())?, &codes);
    let funnels = schema::funnels(schema::done(outcomes.get(1))?);
    let result = |at: usize| match outcomes.get(at) {
        Some(Outcome::Done { result, .. }) => result.clone(),
        _ => Value::Null,
    };
    let shelf = shelf(&result(2), &result(3));
    let found: Vec<(&StageRef, Option<u64>)> =
        people.iter().enumerate().map(|(at, wanted)| (*wanted, person(wanted, &self::people(&result(at + 4))).ok())).collect();

    let mut categories: Vec<u64> = pipelines(hub).into_iter().filter_map(|pipeline| funnel(hub, pipeline, &funnels, before)).collect();
    categories.sort_unstable();
    categories.dedup();
    let commands: Vec<Command> = categories.iter().map(|category| schema::ask_stages(*category)).collect();
    let mut of = BTreeMap::new();
    for (category, outcome) in categories.iter().zip(portal.ask(&commands).await?) {
        of.insert(*category, stages(schema::done(Some(&outcome))?, *category));
    }
    let user = |wanted: &StageRef| found.iter().find(|(one, _)| *one == wanted).and_then(|(_, id)| *id);
    let found = Found { hub, funnels: &funnels, stages: &of, before };
    Ok(Places { fields, rules: found.rules(user), bookings: found.bookings(), shelf })
}

impl Talk {
    /// The portal's places, from the ledger or afresh.
    ///
    /// # Errors
    /// What kept us from reading.
    pub(super) async fn places(&mut self) -> Result<Places, Halt> {
        if let Some(places) = &self.places {
            return Ok(places.clone());
        }
        let kept = self.settings.hub.as_ref().and_then(|hub| self.kept.get(&ledger_key(hub)));
        match kept.and_then(Places::from_text) {
            Some(places) => {
                self.places = Some(places.clone());
                Ok(places)
            }
            None => self.look_at_places_again().await,
        }
    }

    /// Reads them afresh: a name that the portal does not know may be out of date.
    ///
    /// # Errors
    /// What kept us from reading.
    pub(super) async fn look_at_places_again(&mut self) -> Result<Places, Halt> {
        let Some(hub) = self.settings.hub.clone() else { return Ok(Places::default()) };
        let before = self.places.take().or_else(|| Places::from_text(self.kept.get(&ledger_key(&hub))?));
        let places = load(&mut self.portal, &hub, before.as_ref()).await?;
        self.learn(ledger_key(&hub), kept(&places, &hub));
        self.places = Some(places.clone());
        Ok(places)
    }
}

/// As the ledger keeps them; none where they are incomplete, or too many.
#[must_use]
pub fn kept(places: &Places, hub: &Hub) -> Option<String> {
    let text = serde_json::to_string(places).ok().filter(|text| text.len() <= LONGEST);
    text.filter(|_| places.is_complete(hub))
}

/// The funnels that the config names.
#[must_use]
pub fn pipelines(hub: &Hub) -> Vec<&StageRef> {
    let bookings = Some(&hub.preorders.pipeline).filter(|_| hub.preorders.to_lime || hub.preorders.to_crm);
    hub.deals.iter().map(|rule| &rule.pipeline).chain(bookings).collect()
}

/// The people that the config names, each once.
#[must_use]
pub fn responsible(hub: &Hub) -> Vec<&StageRef> {
    let mut people: Vec<&StageRef> = Vec::new();
    for wanted in hub.deals.iter().filter_map(|rule| rule.responsible.as_ref()) {
        if !people.contains(&wanted) {
            people.push(wanted);
        }
    }
    people
}

fn funnel(hub: &Hub, wanted: &StageRef, funnels: &[Choice], before: Option<&Places>) -> Option<u64> {
    funnel_or(wanted, funnels, before.and_then(|before| before.funnel_of(hub, wanted))).ok()?.id.parse().ok()
}

/// What was read, and what was known before.
struct Found<'a> {
    hub: &'a Hub,
    funnels: &'a [Choice],
    stages: &'a BTreeMap<u64, Vec<Stage>>,
    before: Option<&'a Places>,
}

impl Found<'_> {
    fn rules(&self, user: impl Fn(&StageRef) -> Option<u64>) -> Vec<Option<Place>> {
        let place = |(number, rule): (usize, &crate::config::DealRule)| {
            let category = funnel(self.hub, &rule.pipeline, self.funnels, self.before)?;
            let stages = self.stages.get(&category)?;
            let before = self.before.and_then(|before| before.rules.get(number)?.as_ref());
            let stage = find_or(&rule.stage, stages, Otherwise::Won, before.map(|before| before.stage.as_str())).ok()?;
            let refunded = match &rule.refunded {
                Some(wanted) => Some(find_or(wanted, stages, Otherwise::Lost, before.and_then(|before| before.refunded.as_deref())).ok()?.id.clone()),
                None => None,
            };
            let responsible = match &rule.responsible {
                Some(wanted) => Some(user(wanted)?),
                None => None,
            };
            Some(Place { category, stage: stage.id.clone(), closes: stage.sense != Sense::Open, refunded, responsible })
        };
        self.hub.deals.iter().enumerate().map(place).collect()
    }

    fn bookings(&self) -> Option<Bookings> {
        let wanted = &self.hub.preorders;
        let category = funnel(self.hub, &wanted.pipeline, self.funnels, self.before)?;
        let stages = self.stages.get(&category)?;
        let before = self.before.and_then(|before| before.bookings.as_ref());
        let stage = find_or(&wanted.stage, stages, Otherwise::First, before.map(|before| before.stage.as_str())).ok()?.id.clone();
        let cancelled = find_or(&wanted.cancelled, stages, Otherwise::Lost, before.map(|before| before.cancelled.as_str())).ok()?.id.clone();
        let ready = match &wanted.send_at {
            Some(wanted) => {
                let from = find_or(wanted, stages, Otherwise::First, before.and_then(Bookings::from)).ok()?;
                Some(stages.iter().skip_while(|stage| stage.id != from.id).map(|stage| stage.id.clone()).collect())
            }
            None => None,
        };
        let stages = stages.iter().map(|stage| (stage.id.clone(), stage.sense)).collect();
        Some(Bookings { category, stage, cancelled, ready, stages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Value {
        json!([
            {"STATUS_ID": "C9:LOSE", "NAME": "Отказ", "SEMANTICS": "F", "SORT": "110"},
            {"STATUS_ID": "C9:NEW", "NAME": "Новая", "SEMANTICS": null, "SORT": "10", "EXTRA": {"SEMANTICS": "process"}},
            {"STATUS_ID": "C9:PAID", "NAME": "Оплачено", "SEMANTICS": null, "SORT": "20"},
            {"STATUS_ID": "C9:WON", "NAME": "Прошло", "SEMANTICS": "S", "SORT": "100"},
            {"STATUS_ID": "C9:APOLOGY", "NAME": "Разбор", "SEMANTICS": null, "SORT": "120", "EXTRA": {"SEMANTICS": "apology"}},
        ])
    }

    #[test]
    fn stages_stand_in_their_order_and_each_default_is_one_of_them() {
        let stages = stages(&rows(), 9);
        let ids: Vec<&str> = stages.iter().map(|stage| stage.id.as_str()).collect();
        assert_eq!(ids, ["C9:NEW", "C9:PAID", "C9:WON", "C9:LOSE", "C9:APOLOGY"]);
        let of = |otherwise| find(&StageRef::Default, &stages, otherwise).unwrap().id.as_str();
        assert_eq!([of(Otherwise::First), of(Otherwise::Won), of(Otherwise::Lost)], ["C9:NEW", "C9:WON", "C9:LOSE"]);
        assert_eq!(find(&StageRef::Name("оплачено".into()), &stages, Otherwise::Won).unwrap().sense, Sense::Open);
        assert_eq!(find(&StageRef::Id("PAID".into()), &stages, Otherwise::Won).unwrap().id, "C9:PAID");
    }

    #[test]
    fn a_person_is_found_by_name_in_either_order_and_never_when_dismissed() {
        let all = people(&json!([
            {"ID": "1", "NAME": "Мария", "LAST_NAME": "Петрова", "ACTIVE": true},
            {"ID": "7", "NAME": "Мария", "LAST_NAME": "Иванова", "ACTIVE": false},
            {"ID": 9, "NAME": "Олег", "LAST_NAME": ""},
        ]));
        let by = |name: &str| person(&StageRef::Name(name.into()), &all);
        assert_eq!((by("мария петрова"), by("Петрова Мария"), by("Олег")), (Ok(1), Ok(1), Ok(9)));
        assert_eq!(by("Мария Иванова"), Err(Unresolved::Missing));
        assert_eq!(person(&StageRef::Id("9".into()), &all), Ok(9));
    }

    #[test]
    fn the_catalog_is_the_one_of_products_and_the_price_is_the_base_one() {
        let catalogs = json!({"catalogs": [
            {"iblockId": 24, "productIblockId": 23, "iblockTypeId": "CRM_PRODUCT_CATALOG"},
            {"iblockId": 5, "productIblockId": null, "iblockTypeId": "shop"},
            {"iblockId": 23, "productIblockId": null, "iblockTypeId": "CRM_PRODUCT_CATALOG"},
        ]});
        let types = json!({"priceTypes": [{"id": 2, "base": "N"}, {"id": 1, "base": "Y"}]});
        assert_eq!(shelf(&catalogs, &types), Some(Shelf { iblock: 23, price_type: 1 }));
        assert_eq!(shelf(&json!(null), &types), None);
    }
}
