//! What the integration needs in an account besides what passes need: fields of deals, the list of products with its fields, and the pipelines, stages and
//! people that the config names.
//!
//! A pipeline or stage that is not there is created only when that was asked for ([`Wish::funnels`]): amoCRM keeps no code with them, so a renamed one looks
//! like one that is missing, and a second one beside it would split the deals. What the ledger knows is followed by its id. Never: a deletion; a name that could mean two things taken to mean either.

use http::Method;
use serde_json::{Value, json};

use crate::config::{AmoCrm, CrmKind, Hub, StageRef};
use crate::crm::script::{Errand, Line};
use crate::crm::setup::{Item, Mode, Owner, Plan, SetupError, State, Subject};
use crate::crm::texts::Texts;
use crate::http::{Answer, Request};
use crate::journal::LedgerKey;
use crate::words::crm as words;

use super::places::{self, PRODUCT_FIELDS, Places};
use super::schema::{self, Problem, Raw, same_name};
use super::setup::{self, Needed, Read, ask, create_fields, field_state};
use super::wire;

/// The colour of a stage that is created, of those that the API takes.
const COLOUR: &str = "#99ccff";

/// What a run is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Plan, or create what is missing.
    pub mode: Mode,
    /// Pipelines and stages that the config names are created, too.
    pub funnels: bool,
    /// What the ledger has under [`known_key`]: what people have renamed is known by its id.
    pub known: Option<String>,
}

/// Where the ledger keeps the ids of what the config names.
#[must_use]
pub fn known_key() -> LedgerKey {
    super::ledger::places()
}

/// The setup of one account, to be given to [`crate::crm::setup::drive`]. Without `hub` it is that of passes.
#[must_use]
pub fn errand(config: AmoCrm, hub: Option<Hub>, texts: Texts, wish: Wish) -> Errand {
    Errand::new(move |line| async move {
        let known = wish.known.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let usual = schema::shown(&Hub::usual(&CrmKind::AmoCrm(config.clone()), texts.language).preorders.pipeline);
        let mut run = Run { line, texts, wish, known, raw: Raw::default(), usual };
        let mut items = setup::passes(&run.line, &config, hub.as_ref(), &run.texts, run.wish.mode, &mut run.raw).await?;
        if let Some(hub) = &hub {
            items.extend(run.products(hub).await?);
            items.extend(run.funnels(hub).await?);
        }
        Ok(Plan { crm: "amocrm", account: run.raw.account_name(), items })
    })
}

struct Run {
    line: Line<Request, Answer>,
    texts: Texts,
    wish: Wish,
    known: Places,
    raw: Raw,
    /// The pipeline that is meant where the config names none, as messages have it.
    usual: String,
}

/// A pipeline that the config names, and the stages in it, each with where it is named.
struct Funnel<'a> {
    pipeline: &'a StageRef,
    place: String,
    stages: Vec<(String, &'a StageRef)>,
}

fn funnels(hub: &Hub) -> Vec<Funnel<'_>> {
    let mut all: Vec<Funnel<'_>> = Vec::new();
    for (number, rule) in hub.deals.iter().enumerate() {
        let place = |key: &str| format!("[[hub.deal]] {}: {key}", number + 1);
        let mut stages = vec![(place("stage"), &rule.stage)];
        stages.extend(rule.refunded.as_ref().map(|stage| (place("refunded"), stage)));
        put(&mut all, place("pipeline"), &rule.pipeline, stages);
    }
    let bookings = &hub.preorders;
    if bookings.to_lime || bookings.to_crm {
        let place = |key: &str| format!("[hub.preorders]: {key}");
        let mut stages = vec![(place("stage"), &bookings.stage), (place("cancelled"), &bookings.cancelled)];
        stages.extend(bookings.send_at.as_ref().map(|stage| (place("send_at"), stage)));
        put(&mut all, place("pipeline"), &bookings.pipeline, stages);
    }
    all
}

fn put<'a>(all: &mut Vec<Funnel<'a>>, place: String, pipeline: &'a StageRef, stages: Vec<(String, &'a StageRef)>) {
    // A default is there wherever the pipeline is.
    let stages = stages.into_iter().filter(|(_, stage)| **stage != StageRef::Default);
    match all.iter_mut().find(|funnel| funnel.pipeline == pipeline) {
        Some(funnel) => funnel.stages.extend(stages),
        None => all.push(Funnel { pipeline, place, stages: stages.collect() }),
    }
}

impl Run {
    /// The list of products, switched on where it is not, and its fields.
    async fn products(&mut self, hub: &Hub) -> Result<Vec<Item>, SetupError> {
        let bookings = hub.preorders.to_lime || hub.preorders.to_crm;
        if !hub.products && !bookings {
            return Ok(Vec::new());
        }
        let item = |state| {
            let name = words::PRODUCTS.text(self.texts.language);
            Item { subject: Subject::Catalog, owner: Owner::Account, name, code: None, kind: None, state }
        };
        match setup::take(&self.line, Read::Catalogs, &mut self.raw).await {
            Ok(()) => {}
            // The tariff has no lists.
            Err(SetupError::Forbidden { said, .. } | SetupError::Refused { said, .. }) => return Ok(vec![item(self.no_list(&said))]),
            Err(other) => return Err(other),
        }
        let mut state = State::Present;
        let mut catalog = places::product_list(&self.raw);
        if catalog.is_none() {
            state = State::Missing;
            if self.wish.mode == Mode::Apply {
                let body = json!({ "is_enabled": true });
                let request = Request::json(Method::PATCH, "/api/v4/catalogs/products/settings", &body, "PATCH /catalogs/products/settings");
                match ask(&self.line, request).await {
                    Ok(answer) => {
                        catalog = answer.json().and_then(|settings| wire::id(settings.get("catalog_id")));
                        state = if catalog.is_some() { State::Created } else { self.no_list("-") };
                    }
                    Err(SetupError::Forbidden { said, .. } | SetupError::Refused { said, .. }) => state = self.no_list(&said),
                    Err(other) => return Err(other),
                }
            }
        }
        let mut items = vec![item(state)];
        if let Some(catalog) = catalog {
            setup::take(&self.line, Read::ProductFields(catalog), &mut self.raw).await?;
        }
        let need = |(code, kinds, machine): &places::Needed| Needed { code, name: self.texts.hub_field(code), kinds, machine: *machine };
        let mut wanted: Vec<(Needed, State)> =
            PRODUCT_FIELDS.iter().map(need).map(|need| (need, field_state(&need, &self.raw.product_fields))).collect();
        if let (Some(catalog), Mode::Apply) = (catalog, self.wish.mode) {
            let path = format!("/catalogs/{catalog}/custom_fields");
            create_fields(&self.line, (&path, "POST /catalogs/{id}/custom_fields"), None, &mut wanted).await?;
        }
        items.extend(wanted.into_iter().map(|(need, state)| need.item(Owner::Product, state)));
        Ok(items)
    }

    fn no_list(&self, said: &str) -> State {
        let language = self.texts.language;
        State::Wrong { found: words::NO_PRODUCTS.with("said", said).text(language), action: words::SWITCH_PRODUCTS_ON.text(language) }
    }

    /// Pipelines, stages and people that the config names.
    async fn funnels(&mut self, hub: &Hub) -> Result<Vec<Item>, SetupError> {
        let mut items = Vec::new();
        for funnel in funnels(hub) {
            items.extend(self.funnel(hub, &funnel).await?);
        }
        let people: Vec<(usize, &StageRef)> =
            hub.deals.iter().enumerate().filter_map(|(number, rule)| Some((number + 1, rule.responsible.as_ref()?))).collect();
        if !people.is_empty() {
            setup::take(&self.line, Read::Users, &mut self.raw).await?;
        }
        for (number, wanted) in people {
            let state = match places::user(&self.raw, wanted, None) {
                Ok(_) => State::Present,
                Err(problem) => self.wrong(&format!("[[hub.deal]] {number}: responsible"), &problem),
            };
            let item = Item { subject: Subject::Person, owner: Owner::Account, name: bare(wanted), code: None, kind: None, state };
            if !items.contains(&item) {
                items.push(item);
            }
        }
        Ok(items)
    }

    async fn funnel(&mut self, hub: &Hub, funnel: &Funnel<'_>) -> Result<Vec<Item>, SetupError> {
        let item = |subject, wanted: &StageRef, state| Item { subject, owner: Owner::Account, name: bare(wanted), code: None, kind: None, state };
        let mut state = match schema::pipeline(&self.raw, funnel.pipeline, self.known.pipeline_of(funnel.pipeline)) {
            Ok(_) => State::Present,
            Err(Problem::Pipeline { .. }) if self.creates(funnel.pipeline) => State::Missing,
            Err(problem) => self.wrong(&funnel.place, &problem),
        };
        let own: Vec<&StageRef> = unlike(funnel.stages.iter().map(|(_, stage)| *stage));
        if state == State::Missing && self.wish.mode == Mode::Apply {
            self.make_pipeline(funnel.pipeline, &own).await?;
            state = State::Created;
        }
        let made = matches!(state, State::Created | State::Missing);
        let there = matches!(state, State::Present);
        let mut items = vec![item(Subject::Pipeline, funnel.pipeline, state.clone())];
        for stage in own {
            if made {
                items.push(item(Subject::Stage, stage, state.clone()));
            } else if there {
                let place = funnel.stages.iter().find(|(_, known)| *known == stage).map_or("", |(place, _)| place);
                let state = self.stage(hub, funnel.pipeline, stage, place).await?;
                items.push(item(Subject::Stage, stage, state));
            }
        }
        Ok(items)
    }

    async fn stage(&mut self, hub: &Hub, pipeline: &StageRef, wanted: &StageRef, place: &str) -> Result<State, SetupError> {
        let Ok(found) = schema::pipeline(&self.raw, pipeline, self.known.pipeline_of(pipeline)) else { return Ok(State::Missing) };
        match schema::stage_in(&self.raw, found, wanted, self.known.stage_of(hub, pipeline, wanted), |_| None) {
            Ok(_) => Ok(State::Present),
            Err(Problem::Stage { .. }) if self.creates(wanted) => {
                if self.wish.mode == Mode::Plan {
                    return Ok(State::Missing);
                }
                let id = wire::id(found.get("id")).unwrap_or(0);
                let last = schema::stages(found).iter().filter_map(|stage| wire::number(stage.get("sort"))).filter(|sort| *sort < 10_000).max();
                let body = json!({ "name": bare(wanted), "sort": last.unwrap_or(0) + 10, "color": COLOUR });
                let request = wire::send(Method::POST, &format!("/leads/pipelines/{id}/statuses"), &[&body], "POST /leads/pipelines/{id}/statuses");
                ask(&self.line, request).await?;
                self.read_funnels().await?;
                Ok(State::Created)
            }
            Err(problem) => Ok(self.wrong(place, &problem)),
        }
    }

    fn creates(&self, wanted: &StageRef) -> bool {
        self.wish.funnels && matches!(wanted, StageRef::Name(_))
    }

    async fn make_pipeline(&mut self, pipeline: &StageRef, stages: &[&StageRef]) -> Result<(), SetupError> {
        let mut own: Vec<Value> = stages
            .iter()
            .filter(|stage| matches!(stage, StageRef::Name(_)))
            .enumerate()
            .map(|(at, stage)| json!({ "name": bare(stage), "sort": (at + 2) * 10, "color": COLOUR }))
            .collect();
        if own.is_empty() {
            own.push(json!({ "name": words::FIRST_STAGE.text(self.texts.language), "sort": 20, "color": COLOUR }));
        }
        let body = json!({ "name": bare(pipeline), "sort": 500, "is_main": false, "is_unsorted_on": false, "_embedded": { "statuses": own } });
        ask(&self.line, wire::send(Method::POST, "/leads/pipelines", &[&body], "POST /leads/pipelines")).await?;
        self.read_funnels().await
    }

    async fn read_funnels(&mut self) -> Result<(), SetupError> {
        self.raw.pipelines.clear();
        setup::take(&self.line, Read::Pipelines, &mut self.raw).await
    }

    /// What does not lead to one thing, and what a person has to do.
    fn wrong(&self, place: &str, problem: &Problem) -> State {
        let language = self.texts.language;
        let (word, wanted, existing) = match problem {
            Problem::Pipeline { wanted, existing, .. } => (words::NO_PIPELINE, wanted, existing),
            Problem::Stage { wanted, existing, .. } => (words::NO_STAGE, wanted, existing),
            Problem::User { wanted, existing, .. } => (words::NO_PERSON, wanted, existing),
            Problem::Ambiguous { wanted, ids, .. } => (words::SEVERAL, wanted, ids),
            Problem::Field { .. } => return State::Wrong { found: problem.to_string(), action: words::NOTHING_WRITTEN.text(language) },
        };
        let action = match problem {
            Problem::Pipeline { .. } if self.usual == *wanted => words::USUAL_PIPELINE,
            Problem::Ambiguous { .. } => words::GIVE_ID,
            Problem::User { .. } => words::GIVE_NAME,
            _ => words::CREATE_OR_NAME,
        };
        let found = word.with("place", place).with("wanted", wanted.as_str()).with("existing", existing.as_str()).text(language);
        State::Wrong { found, action: action.text(language) }
    }
}

/// Each once, as people compare names.
fn unlike<'a>(stages: impl Iterator<Item = &'a StageRef>) -> Vec<&'a StageRef> {
    let mut own: Vec<&StageRef> = Vec::new();
    for stage in stages {
        let same = |known: &&StageRef| match (*known, stage) {
            (StageRef::Name(one), StageRef::Name(two)) => same_name(one, two),
            (one, two) => one == two,
        };
        if !own.iter().any(same) {
            own.push(stage);
        }
    }
    own
}

fn bare(wanted: &StageRef) -> String {
    match wanted {
        StageRef::Name(name) => name.clone(),
        StageRef::Id(id) => format!("id {id}"),
        StageRef::Default => "-".to_owned(),
    }
}
