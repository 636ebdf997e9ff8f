//! What the integration needs at a portal besides what passes need: fields of deals, the funnels and stages that the rules name, the people who are
//! responsible, the catalog, and the rights that this takes.
//!
//! A funnel or stage that the config names and that is not there is created only when that was asked for ([`Needs::funnels`](super::setup::Needs)): a funnel
//! carries no code of ours, so that a renamed one looks like one that is missing, and a second one beside it would split the deals. What the ledger knows is
//! followed by its id. A stage that was created here and that people have renamed since is known by its code and said. Never: a deletion; a second funnel or stage beside one that could be meant; a rule whose words lead to two things taken to
//! mean either.

use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::{Command, Outcome};
use super::places::{self, Otherwise, Places, Stage};
use super::schema::{self, Choice, Unresolved};
use super::setup::{Setup, Wanted, result, right, shown};
use super::wire;
use crate::config::{Hub, StageRef};
use crate::crm::deal_fields::DealField;
use crate::crm::setup::{Item, Mode, Owner, SetupError, State, Subject};
use crate::words::crm as words;

/// A funnel, stage or person that the config names, and where it does.
struct Named<'a> {
    /// `[[hub.deal]] 2: stage`
    place: String,
    what: &'a StageRef,
}

/// A stage that the config names.
struct NamedStage<'a> {
    named: Named<'a>,
    pipeline: &'a StageRef,
    otherwise: Otherwise,
    /// As the ledger knows it.
    before: Option<&'a str>,
}

impl Setup {
    /// The fields of deals.
    pub(super) fn hub_fields(&self, hub: &Hub) -> Vec<Wanted> {
        let group = self.texts.group();
        let wanted = |field: DealField| {
            let kind = match field {
                DealField::BoughtAt | DealField::EventFrom | DealField::EventTo => "datetime",
                DealField::Refunded | DealField::Prepaid => "money",
                DealField::Receipt | DealField::Point | DealField::Preorder | DealField::Hall | DealField::Staff => "string",
            };
            Wanted { owner: Owner::Deal, code: field.code(), label: format!("{group}: {}", field.name(&self.texts)), kind, multiple: false, rows: 1 }
        };
        places::fields(hub).map(wanted).collect()
    }

    /// Everything but the fields. `probes` are the answers of the first request.
    pub(super) async fn plan_hub(&self, hub: &Hub, probes: &[Outcome], funnels: &[Choice]) -> Result<Vec<Item>, SetupError> {
        let mut items = self.hub_rights(hub, probes).await?;
        items.extend(self.people(hub).await?);
        items.extend(self.funnels(hub, funnels.to_vec()).await?);
        Ok(items)
    }

    async fn hub_rights(&self, hub: &Hub, probes: &[Outcome]) -> Result<Vec<Item>, SetupError> {
        let scopes: Vec<&str> = match probes.get(1) {
            Some(Outcome::Done { result, .. }) => wire::rows(result).into_iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut items = Vec::new();
        let mut scope = |names: &[&str]| {
            let name = names.first().copied().unwrap_or_default();
            items.push(right(
                self.say(format!("право {name}"), format!("scope {name}")),
                names.iter().any(|name| scopes.contains(name)),
                self.say(format!("у вебхука или приложения нет права «{name}»"), format!("the webhook or app has no scope \"{name}\"")),
                self.say(
                    format!("отметьте право «{name}» в настройках вебхука или приложения и сохраните"),
                    format!("tick the scope \"{name}\" in the settings of the webhook or app and save"),
                ),
            ));
        };
        if hub.products {
            scope(&["catalog"]);
        }
        if !places::responsible(hub).is_empty() {
            scope(&["user_basic", "user_brief", "user"]);
        }
        let mut methods = Vec::new();
        if !hub.deals.is_empty() {
            methods.extend(["crm.item.productrow.set", "crm.item.import"]);
        }
        if hub.preorders.to_lime || hub.preorders.to_crm {
            methods.push("crm.item.productrow.list");
        }
        let mut commands: Vec<Command> = methods.iter().map(|method| Command::new("method.get", json!({ "name": method }))).collect();
        if hub.products {
            commands.extend(places::ask_shelf());
        }
        let mut outcomes = if commands.is_empty() { Vec::new() } else { self.batch(&commands).await? }.into_iter();
        for method in methods {
            let probe = match outcomes.next() {
                Some(Outcome::Done { result, .. }) => Some(result),
                _ => None,
            };
            items.push(self.method(method, probe.as_ref()));
        }
        if hub.products {
            items.push(self.catalog(outcomes.collect()));
        }
        Ok(items)
    }

    fn catalog(&self, outcomes: Vec<Outcome>) -> Item {
        let results: Vec<Value> = outcomes.into_iter().filter_map(|outcome| result(outcome).ok()).collect();
        let shelf = results.first().zip(results.get(1)).and_then(|(catalogs, types)| places::shelf(catalogs, types));
        let state = match shelf {
            Some(_) => State::Present,
            None => State::Wrong {
                found: self.say("торговый каталог CRM недоступен".to_owned(), "the CRM's catalog is not available".to_owned()),
                action: self.say(
                    "включите товарный каталог в CRM и дайте вебхуку или приложению право catalog; его владелец должен быть администратором"
                        .to_owned(),
                    "switch the product catalog of the CRM on and give the webhook or app the scope catalog; its owner must be an administrator"
                        .to_owned(),
                ),
            },
        };
        let name = self.say("каталог товаров".to_owned(), "catalog of products".to_owned());
        let code = shelf.map(|shelf| shelf.iblock.to_string());
        Item { subject: Subject::Catalog, owner: Owner::Account, name, code, kind: None, state }
    }

    async fn people(&self, hub: &Hub) -> Result<Vec<Item>, SetupError> {
        let wanted = places::responsible(hub);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let commands: Vec<Command> = wanted.iter().map(|one| places::ask_person(one)).collect();
        let mut items = Vec::new();
        for (one, outcome) in wanted.into_iter().zip(self.batch(&commands).await?) {
            // Without the scope that is said already.
            let people = result(outcome).map(|result| places::people(&result)).unwrap_or_default();
            let rule = hub.deals.iter().position(|rule| rule.responsible.as_ref() == Some(one)).unwrap_or_default() + 1;
            let named = Named { place: format!("[[hub.deal]] {rule}: responsible"), what: one };
            let (code, state) = match places::person(one, &people) {
                Ok(id) => (Some(id.to_string()), State::Present),
                Err(why) => (None, self.not_one(Subject::Person, &named, &why, &people)),
            };
            let known = code.as_ref().and_then(|id| people.iter().find(|choice| choice.id == *id));
            let name = known.map_or_else(|| shown(one), |choice| choice.name.clone());
            items.push(Item { subject: Subject::Person, owner: Owner::Account, name, code, kind: None, state });
        }
        Ok(items)
    }

    async fn funnels(&self, hub: &Hub, mut funnels: Vec<Choice>) -> Result<Vec<Item>, SetupError> {
        let mut items = Vec::new();
        let mut seen: Vec<&StageRef> = Vec::new();
        for named in pipelines(hub) {
            if seen.contains(&named.what) {
                continue;
            }
            seen.push(named.what);
            let mut item = self.pipeline(hub, &named, &funnels);
            if item.state == State::Missing
                && self.mode == Mode::Apply
                && let Some(made) = self.make_pipeline(&mut item).await?
            {
                funnels.push(made);
            }
            let category = item.code.as_deref().and_then(|id| id.parse().ok());
            items.push(item);
            let wanted: Vec<NamedStage<'_>> = stages(hub, &self.known).into_iter().filter(|stage| stage.pipeline == named.what).collect();
            match category {
                // What is wrong with the funnel is said already.
                None if !self.funnels => {}
                Some(category) => items.extend(self.stages_of(category, &wanted).await?),
                // They come with the funnel; what has a name of its own does not.
                None => items.extend(wanted.iter().filter(|stage| matches!(stage.named.what, StageRef::Name(_))).map(|stage| Item {
                    subject: Subject::Stage,
                    owner: Owner::Deal,
                    name: shown(stage.named.what),
                    code: None,
                    kind: None,
                    state: State::Missing,
                })),
            }
        }
        Ok(items)
    }

    fn pipeline(&self, hub: &Hub, named: &Named<'_>, funnels: &[Choice]) -> Item {
        let (name, code, state) = match places::funnel_or(named.what, funnels, self.known.funnel_of(hub, named.what)) {
            Ok(choice) => (choice.name.clone(), Some(choice.id.clone()), State::Present),
            Err(Unresolved::Missing) if self.creates(named.what) => (shown(named.what), None, State::Missing),
            Err(why) => (shown(named.what), None, self.not_one(Subject::Pipeline, named, &why, funnels)),
        };
        Item { subject: Subject::Pipeline, owner: Owner::Deal, name, code, kind: None, state }
    }

    fn creates(&self, wanted: &StageRef) -> bool {
        self.funnels && matches!(wanted, StageRef::Name(_))
    }

    /// A funnel cannot carry a key of ours: whoever made one and did not hear of it finds it by its name.
    async fn make_pipeline(&self, item: &mut Item) -> Result<Option<Choice>, SetupError> {
        let add = Command::new("crm.category.add", json!({ "entityTypeId": schema::DEAL, "fields": { "name": item.name, "sort": 500 } }));
        let outcome = self.batch(&[add]).await?.pop();
        let id = match outcome.map(result) {
            Some(Ok(made)) => made.pointer("/category/id").and_then(wire::id),
            Some(Err(error)) => {
                item.state = State::Wrong {
                    found: self.say(format!("воронку «{}» создать не удалось: {error}", item.name), format!("the pipeline \"{}\" could not be created: {error}", item.name)),
                    action: self.say(
                        "создайте её в CRM вручную под администратором (число воронок зависит от тарифа) или укажите в конфигурации существующую".to_owned(),
                        "create it in the CRM by hand as an administrator (how many there may be depends on the plan), or name an existing one in the config".to_owned(),
                    ),
                };
                None
            }
            None => None,
        };
        let Some(id) = id else { return Ok(None) };
        (item.state, item.code) = (State::Created, Some(id.to_string()));
        Ok(Some(Choice { id: id.to_string(), name: item.name.clone(), default: false }))
    }

    async fn stages_of(&self, category: u64, wanted: &[NamedStage<'_>]) -> Result<Vec<Item>, SetupError> {
        let rows = self.batch(&[schema::ask_stages(category)]).await?.pop().map(result).transpose()?.unwrap_or_default();
        let mut there = places::stages(&rows, category);
        let mut items: Vec<Item> = Vec::new();
        let mut seen: Vec<&StageRef> = Vec::new();
        for stage in wanted {
            let (name, code, mut state) = match places::find_or(stage.named.what, &there, stage.otherwise, stage.before) {
                Ok(found) => (found.name.clone(), Some(found.id.clone()), State::Present),
                Err(Unresolved::Missing) => (shown(stage.named.what), None, self.missing_stage(stage, category, &there)),
                Err(why) => (shown(stage.named.what), None, self.not_one(Subject::Stage, &stage.named, &why, &choices(&there))),
            };
            if *stage.named.what != StageRef::Default && seen.contains(&stage.named.what)
                || code.is_some() && items.iter().any(|item| item.code == code)
            {
                continue;
            }
            seen.push(stage.named.what);
            let mut code = code;
            if state == State::Missing && self.mode == Mode::Apply {
                let made = self.make_stage(stage, category, &there).await?;
                (state, code) = (State::Created, Some(made.id.clone()));
                there.push(made);
            }
            items.push(Item { subject: Subject::Stage, owner: Owner::Deal, name, code, kind: None, state });
        }
        Ok(items)
    }

    /// A stage that is not there may be created, unless it was and people have renamed it.
    fn missing_stage(&self, stage: &NamedStage<'_>, category: u64, there: &[Stage]) -> State {
        let StageRef::Name(name) = stage.named.what else {
            return self.not_one(Subject::Stage, &stage.named, &Unresolved::Missing, &choices(there));
        };
        let renamed = there.iter().find(|one| bare(&one.id) == stage_code(category, name));
        let Some(renamed) = renamed else {
            return match self.funnels {
                true => State::Missing,
                false => self.not_one(Subject::Stage, &stage.named, &Unresolved::Missing, &choices(there)),
            };
        };
        let place = &stage.named.place;
        State::Wrong {
            found: self.say(
                format!("{place}: стадия «{name}» создавалась здесь, теперь она называется «{}» (id {})", renamed.name, renamed.id),
                format!("{place}: the stage \"{name}\" was created here and is now called \"{}\" (id {})", renamed.name, renamed.id),
            ),
            action: self.say(
                format!("укажите в конфигурации новое имя или {{ id = \"{}\" }}, либо верните стадии прежнее имя", renamed.id),
                format!("put the new name or {{ id = \"{}\" }} into the config, or give the stage its old name back", renamed.id),
            ),
        }
    }

    async fn make_stage(&self, stage: &NamedStage<'_>, category: u64, there: &[Stage]) -> Result<Stage, SetupError> {
        let (name, sense) = (shown(stage.named.what), if stage.otherwise == Otherwise::Lost { places::Sense::Lost } else { places::Sense::Open });
        // A stage on the way stands before those that close a deal.
        let before = there.iter().filter(|one| one.sense == places::Sense::Open || sense == places::Sense::Lost);
        let sort = before.map(|one| one.sort).max().unwrap_or(0) + 5;
        let entity = if category == 0 { "DEAL_STAGE".to_owned() } else { format!("DEAL_STAGE_{category}") };
        let code = stage_code(category, &name);
        let semantics = if sense == places::Sense::Lost { "F" } else { "" };
        let fields = json!({ "ENTITY_ID": entity, "STATUS_ID": code, "NAME": name, "SORT": sort, "SEMANTICS": semantics });
        if let Some(outcome) = self.batch(&[Command::new("crm.status.add", json!({ "fields": fields }))]).await?.pop() {
            result(outcome)?;
        }
        let id = if category == 0 { code } else { format!("C{category}:{code}") };
        Ok(Stage { id, name, sense, sort })
    }

    /// What is said of words that do not lead to one thing.
    fn not_one(&self, subject: Subject, named: &Named<'_>, why: &Unresolved, choices: &[Choice]) -> State {
        let (name, place) = (shown(named.what), &named.place);
        let (ru, en) = match subject {
            Subject::Pipeline => ("воронка", "pipeline"),
            Subject::Person => ("сотрудник", "person"),
            _ => ("стадия", "stage"),
        };
        let there: Vec<String> = choices.iter().map(|choice| format!("\"{}\" (id {})", choice.name, choice.id)).collect();
        let there = if there.is_empty() { "-".to_owned() } else { there.join(", ") };
        match why {
            Unresolved::Missing => State::Wrong {
                found: self.say(
                    format!("{place}: {ru} \"{name}\" — не найдено. Есть: {there}."),
                    format!("{place}: {en} \"{name}\" not found. Existing: {there}."),
                ),
                action: match subject {
                    Subject::Person => self.say("укажите имя или id из этого списка".to_owned(), "give a name or an id from this list".to_owned()),
                    _ => words::CREATE_OR_NAME.text(self.texts.language),
                },
            },
            Unresolved::Several(ids) => State::Wrong {
                found: self.say(
                    format!("{place}: {ru} \"{name}\" — найдено больше одного: id {}", ids.join(", ")),
                    format!("{place}: more than one {en} \"{name}\": ids {}", ids.join(", ")),
                ),
                action: self.say("укажите id: { id = \"…\" }".to_owned(), "give the id: { id = \"…\" }".to_owned()),
            },
        }
    }
}

/// The code of a stage that is created for a name: the same whenever it is made.
fn stage_code(category: u64, name: &str) -> String {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{category}:{}", name.trim().to_lowercase()).as_bytes()).simple().to_string();
    format!("LIME{}", hash.get(..8).unwrap_or_default().to_uppercase())
}

fn bare(id: &str) -> &str {
    id.split_once(':').map_or(id, |(_, bare)| bare)
}

fn choices(stages: &[Stage]) -> Vec<Choice> {
    stages.iter().map(|stage| Choice { id: stage.id.clone(), name: stage.name.clone(), default: false }).collect()
}

fn pipelines(hub: &Hub) -> Vec<Named<'_>> {
    let rules = hub.deals.iter().enumerate().map(|(n, rule)| Named { place: format!("[[hub.deal]] {}: pipeline", n + 1), what: &rule.pipeline });
    let bookings = Some(Named { place: "[hub.preorders]: pipeline".to_owned(), what: &hub.preorders.pipeline });
    rules.chain(bookings.filter(|_| hub.preorders.to_lime || hub.preorders.to_crm)).collect()
}

fn stages<'a>(hub: &'a Hub, known: &'a Places) -> Vec<NamedStage<'a>> {
    let mut named = Vec::new();
    for (n, rule) in hub.deals.iter().enumerate() {
        let place = |key: &str| format!("[[hub.deal]] {}: {key}", n + 1);
        let pipeline = &rule.pipeline;
        let known = known.rules.get(n).and_then(Option::as_ref);
        let before = known.map(|known| known.stage.as_str());
        named.push(NamedStage { named: Named { place: place("stage"), what: &rule.stage }, pipeline, otherwise: Otherwise::Won, before });
        if let Some(what) = &rule.refunded {
            let before = known.and_then(|known| known.refunded.as_deref());
            named.push(NamedStage { named: Named { place: place("refunded"), what }, pipeline, otherwise: Otherwise::Lost, before });
        }
    }
    let bookings = &hub.preorders;
    if bookings.to_lime || bookings.to_crm {
        let known = known.bookings.as_ref();
        let mut add = |key: &str, what, otherwise, before| {
            let named_here = Named { place: format!("[hub.preorders]: {key}"), what };
            named.push(NamedStage { named: named_here, pipeline: &bookings.pipeline, otherwise, before });
        };
        add("stage", &bookings.stage, Otherwise::First, known.map(|known| known.stage.as_str()));
        if let Some(what) = &bookings.send_at {
            add("send_at", what, Otherwise::First, known.and_then(|known| known.from()));
        }
        add("cancelled", &bookings.cancelled, Otherwise::Lost, known.map(|known| known.cancelled.as_str()));
    }
    named
}
