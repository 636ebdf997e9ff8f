//! Where the things of the integration are in one account: the stages of rules and bookings, who is responsible, the fields of receipts and bookings, the
//! list of products.
//!
//! As with the [`super::schema`]: found by code, name or id once, and by id from then on. A rule whose place is gone is told of and held; the others go on.
//! Never: a deal that waits because the person who was to be responsible has left; a choice of a list field made up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{DealRule, Hub, Preorders, StageRef};
use crate::crm::deal_fields::DealField;

use super::schema::{self, LOST, Problem, Raw, WON};
use super::wire;

/// Complete places are read again after this long; others sooner, for somebody may have run `crm setup`.
const FRESH_MS: u64 = 24 * 3_600 * 1_000;
const INCOMPLETE_MS: u64 = 15 * 60 * 1_000;

/// The lead's field that holds all lines of a receipt.
pub const LINES: &str = "LIME_LINES";
/// The element's field that says that Lime no longer sells it.
pub const ARCHIVED: &str = "LIME_ARCHIVED";
/// The element's field that holds Lime's id of the product.
pub const EXTERNAL_ID: &str = "EXTERNAL_ID";

/// A field, and how it is written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its id.
    pub id: u64,
    /// Its type, in amoCRM's word.
    pub kind: String,
    /// What may be chosen, where it is a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// Where the deals of a rule stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealPlace {
    /// The mark of the rule that it was found for.
    mark: u32,
    /// The pipeline.
    pub pipeline: u64,
    /// The stage.
    pub stage: u64,
    /// Where a deal goes of which all is given back.
    pub refunded: Option<u64>,
    /// Who is responsible; none: whom amoCRM chooses.
    pub responsible: Option<u64>,
}

/// Where bookings are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookings {
    mark: u32,
    /// The pipeline.
    pub pipeline: u64,
    /// The stage of a deal that comes from Lime.
    pub first: u64,
    /// All stages in their order.
    pub order: Vec<u64>,
    /// From this stage on a deal goes to Lime.
    pub send_at: Option<u64>,
    /// The stage of what was cancelled.
    pub cancelled: u64,
}

impl Bookings {
    /// A deal at this stage goes to Lime.
    #[must_use]
    pub fn sent_at(&self, stage: u64) -> bool {
        let at = |stage| self.order.iter().position(|known| *known == stage);
        stage != LOST && self.send_at.is_none_or(|from| at(stage) >= at(from))
    }
}

/// Where things are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    mark: u32,
    /// One for each rule, in their order; none where it was not found.
    pub rules: Vec<Option<DealPlace>>,
    /// Of bookings.
    pub bookings: Option<Bookings>,
    /// The pipelines that were found for the words of the config, also where a stage in them was not: they are followed when they are renamed.
    #[serde(default)]
    pipelines: BTreeMap<u32, u64>,
    /// Fields of the lead, by code.
    pub lead: BTreeMap<String, Field>,
    /// The list of products.
    pub catalog: Option<u64>,
    /// Fields of its elements, by code.
    pub product: BTreeMap<String, Field>,
    complete: bool,
    /// The account's currency: `RUB`.
    #[serde(default)]
    pub currency: String,
    /// When it was read, milliseconds since 1970 UTC.
    pub read_ms: i64,
}

impl Places {
    /// Good for this config and still fresh.
    #[must_use]
    pub fn serves(&self, hub: &Hub, now_ms: i64) -> bool {
        let most = if self.complete { FRESH_MS } else { INCOMPLETE_MS };
        self.mark == mark(hub) && now_ms.abs_diff(self.read_ms) < most
    }

    /// The pipeline that was found for these words of the config.
    #[must_use]
    pub fn pipeline_of(&self, wanted: &StageRef) -> Option<u64> {
        self.pipelines.get(&sum(wanted)).copied()
    }

    /// The stage that was found for these words, in the pipeline of those.
    #[must_use]
    pub fn stage_of(&self, hub: &Hub, pipeline: &StageRef, wanted: &StageRef) -> Option<u64> {
        let of_rules = hub.deals.iter().filter(|rule| rule.pipeline == *pipeline).find_map(|rule| {
            let place = self.rules.iter().flatten().find(|place| place.mark == rule_mark(rule))?;
            let refunded = place.refunded.filter(|_| rule.refunded.as_ref() == Some(wanted));
            Some(place.stage).filter(|_| rule.stage == *wanted).or(refunded)
        });
        let words = &hub.preorders;
        let bookings = self.bookings.as_ref().filter(|at| at.mark == bookings_mark(words) && words.pipeline == *pipeline);
        of_rules.or_else(|| match bookings? {
            at if words.stage == *wanted => Some(at.first),
            at if words.cancelled == *wanted => Some(at.cancelled),
            at if words.send_at.as_ref() == Some(wanted) => at.send_at,
            _ => None,
        })
    }

    /// A field of a receipt's or booking's deal.
    #[must_use]
    pub fn field(&self, field: DealField) -> Option<&Field> {
        self.lead.get(field.code())
    }
}

/// A field that is needed: code, the types that will do (the first is created), and whether only machines write it.
pub type Needed = (&'static str, &'static [&'static str], bool);

/// The fields of the lead that this much of the integration needs.
#[must_use]
pub fn lead_fields(hub: &Hub) -> Vec<Needed> {
    let mut needed = Vec::new();
    if !hub.deals.is_empty() {
        needed.extend(DealField::OF_RECEIPTS.map(lead_field));
        needed.push((LINES, &["textarea"], true));
    }
    if hub.preorders.to_lime || hub.preorders.to_crm {
        needed.extend(DealField::OF_BOOKINGS.map(lead_field));
    }
    // The point is a pass's field, too, and set up with those.
    needed.retain(|(code, ..)| *code != DealField::Point.code());
    needed
}

fn lead_field(field: DealField) -> Needed {
    let (kinds, machine): (&[&str], bool) = match field {
        DealField::BoughtAt => (&["date_time"], true),
        DealField::Receipt | DealField::Point | DealField::Preorder => (&["text"], true),
        DealField::Refunded => (&["numeric", "monetary"], true),
        DealField::EventFrom | DealField::EventTo => (&["date_time"], false),
        // People may have made lists of their halls and of those who serve.
        DealField::Hall => (&["text", "select", "radiobutton"], false),
        DealField::Staff => (&["text", "multiselect", "textarea"], false),
        DealField::Prepaid => (&["numeric", "monetary"], false),
    };
    (field.code(), kinds, machine)
}

/// The fields of an element that are ours to create. SKU, PRICE and GROUP come with the list; where one was taken away, its value is left out.
pub const PRODUCT_FIELDS: [Needed; 2] = [(EXTERNAL_ID, &["text"], true), (ARCHIVED, &["checkbox"], true)];
const PREDEFINED: [(&str, &[&str]); 3] =
    [("SKU", &["text"]), ("PRICE", &["price", "numeric", "monetary"]), ("GROUP", &["category", "select", "text"])];

/// Whether a field is of the code and of a type that will do.
#[must_use]
pub fn fits(field: &Value, code: &str, kinds: &[&str]) -> bool {
    wire::text(field.get("code")).as_deref() == Some(code) && wire::text(field.get("type")).is_some_and(|kind| kinds.contains(&kind.as_str()))
}

/// Finds everything that can be found, and says what cannot.
#[must_use]
pub fn resolve(raw: &Raw, hub: &Hub, before: Option<&Places>, now_ms: i64) -> (Places, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut pipelines = before.map(|before| before.pipelines.clone()).unwrap_or_default();
    for wanted in hub.deals.iter().map(|rule| &rule.pipeline).chain([&hub.preorders.pipeline]) {
        let known = pipelines.get(&sum(wanted)).copied();
        if let Some(id) = schema::pipeline(raw, wanted, known).ok().and_then(|pipeline| wire::id(pipeline.get("id"))) {
            pipelines.insert(sum(wanted), id);
        }
    }
    let rules = hub
        .deals
        .iter()
        .map(|rule| {
            let old = before.and_then(|before| before.rules.iter().flatten().find(|place| place.mark == rule_mark(rule)));
            deal_place(raw, rule, (old, pipelines.get(&sum(&rule.pipeline)).copied()), &mut problems)
        })
        .collect();
    let known = pipelines.get(&sum(&hub.preorders.pipeline)).copied();
    let bookings = match bookings(raw, &hub.preorders, before.and_then(|before| before.bookings.as_ref()), known) {
        Ok(found) => Some(found),
        Err(_) if !hub.preorders.to_lime && !hub.preorders.to_crm => None,
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    let lead_needed = lead_fields(hub);
    let point: Needed = (DealField::Point.code(), &["text"], true);
    let lead = fields(&raw.lead_fields, lead_needed.iter().chain([&point]).map(|(code, kinds, _)| (*code, *kinds)));
    let catalog = product_list(raw);
    let product = match catalog {
        Some(_) => fields(&raw.product_fields, PRODUCT_FIELDS.iter().map(|(code, kinds, _)| (*code, *kinds)).chain(PREDEFINED)),
        None => BTreeMap::new(),
    };
    let products = !hub.products || PRODUCT_FIELDS.iter().all(|(code, ..)| product.contains_key(*code));
    let complete = problems.is_empty() && products && lead_needed.iter().all(|(code, ..)| lead.contains_key(*code));
    let currency = wire::text(raw.account.get("currency")).unwrap_or_else(|| "RUB".to_owned());
    (Places { mark: mark(hub), rules, bookings, pipelines, lead, catalog, product, complete, currency, read_ms: now_ms }, problems)
}

/// The account's list of products.
#[must_use]
pub fn product_list(raw: &Raw) -> Option<u64> {
    raw.catalogs.iter().find(|catalog| wire::text(catalog.get("type")).as_deref() == Some("products")).and_then(|catalog| wire::id(catalog.get("id")))
}

fn fields<'a>(all: &[Value], needed: impl Iterator<Item = (&'a str, &'a [&'a str])>) -> BTreeMap<String, Field> {
    let found = needed.filter_map(|(code, kinds)| {
        let field = all.iter().find(|field| fits(field, code, kinds))?;
        let choices = field.get("enums").and_then(Value::as_array).into_iter().flatten();
        let choices = choices.filter_map(|choice| wire::text(choice.get("value"))).collect();
        Some((code.to_owned(), Field { id: wire::id(field.get("id"))?, kind: wire::text(field.get("type"))?, choices }))
    });
    found.collect()
}

/// Where a rule's deals stand. Only the stage is needed; what else cannot be found is told of and left out.
fn deal_place(raw: &Raw, rule: &DealRule, (before, known): (Option<&DealPlace>, Option<u64>), problems: &mut Vec<Problem>) -> Option<DealPlace> {
    let keep = |found: Result<u64, Problem>, problems: &mut Vec<Problem>| found.map_err(|problem| problems.push(problem)).ok();
    let pipeline = match schema::pipeline(raw, &rule.pipeline, known) {
        Ok(pipeline) => pipeline,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    let won = |stages: &[&Value]| schema::wanted_id(stages, WON);
    let stage = keep(schema::stage_in(raw, pipeline, &rule.stage, before.map(|before| before.stage), won), problems);
    let refunded = rule.refunded.as_ref().and_then(|refunded| {
        let lost = |stages: &[&Value]| schema::wanted_id(stages, LOST);
        keep(schema::stage_in(raw, pipeline, refunded, before.and_then(|before| before.refunded), lost), problems)
    });
    let responsible = rule.responsible.as_ref().and_then(|wanted| keep(user(raw, wanted, before.and_then(|before| before.responsible)), problems));
    Some(DealPlace { mark: rule_mark(rule), pipeline: wire::id(pipeline.get("id"))?, stage: stage?, refunded, responsible })
}

/// An active user.
///
/// # Errors
/// When there is none, or more than one of the name.
pub fn user(raw: &Raw, wanted: &StageRef, before: Option<u64>) -> Result<u64, Problem> {
    // Whoever has left may still be listed.
    let active = |user: &&Value| user.pointer("/rights/is_active").and_then(Value::as_bool) != Some(false);
    let users: Vec<&Value> = raw.users.iter().filter(active).collect();
    let found = schema::pick(&users, wanted, "user", &raw.account_name(), |_| false)?.or_else(|| schema::by_id(&users, before));
    found.and_then(|user| wire::id(user.get("id"))).ok_or_else(|| Problem::User {
        wanted: schema::shown(wanted),
        account: raw.account_name(),
        existing: schema::names(&users),
    })
}

fn bookings(raw: &Raw, wanted: &Preorders, before: Option<&Bookings>, known: Option<u64>) -> Result<Bookings, Problem> {
    let before = before.filter(|before| before.mark == bookings_mark(wanted));
    let pipeline = schema::pipeline(raw, &wanted.pipeline, known)?;
    let order: Vec<u64> = schema::stages(pipeline).iter().filter_map(|stage| wire::id(stage.get("id"))).collect();
    let none = |_: &[&Value]| None;
    let first = |stages: &[&Value]| stages.first().and_then(|stage| wire::id(stage.get("id")));
    let lost = |stages: &[&Value]| schema::wanted_id(stages, LOST);
    Ok(Bookings {
        mark: bookings_mark(wanted),
        pipeline: wire::id(pipeline.get("id")).unwrap_or(0),
        first: schema::stage_in(raw, pipeline, &wanted.stage, before.map(|before| before.first), first)?,
        order,
        send_at: match &wanted.send_at {
            Some(stage) => Some(schema::stage_in(raw, pipeline, stage, before.and_then(|before| before.send_at), none)?),
            None => None,
        },
        cancelled: schema::stage_in(raw, pipeline, &wanted.cancelled, before.map(|before| before.cancelled), lost)?,
    })
}

/// What tells one config from another, as far as places are concerned.
fn mark(hub: &Hub) -> u32 {
    let rules: Vec<u32> = hub.deals.iter().map(rule_mark).collect();
    sum(&(rules, bookings_mark(&hub.preorders), hub.preorders.to_lime, hub.preorders.to_crm, hub.products))
}

fn rule_mark(rule: &DealRule) -> u32 {
    sum(&(&rule.pipeline, &rule.stage, &rule.responsible, &rule.refunded))
}

fn bookings_mark(wanted: &Preorders) -> u32 {
    sum(&(&wanted.pipeline, &wanted.stage, &wanted.send_at, &wanted.cancelled))
}

fn sum(parts: &impl Serialize) -> u32 {
    crc32c::crc32c(&serde_json::to_vec(parts).unwrap_or_default())
}
