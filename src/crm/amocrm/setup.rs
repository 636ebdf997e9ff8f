//! What amoCRM needs before passes can go there: the fields in their group, and the pipeline and stage of passes. Planned, then applied, any number of
//! times with the same result.
//!
//! Fields are found by code, so people may rename and move them. Never: a deletion; a change of what is there (a field's type can never be changed
//! afterwards: a wrong one is said, and a person decides); a pipeline or stage created, for funnels belong to people.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::config::{AmoCrm, Hub, StageRef};
use crate::crm::card::CardField;
use crate::crm::script::{Errand, Line};
use crate::crm::setup::{Item, Mode, Owner, Plan, SetupError, State, Subject};
use crate::crm::texts::{PassField, Texts};
use crate::http::{Answer, Request};

use super::errors::{Meaning, meaning};
use super::places;
use super::schema::{self, Raw};
use super::wire::{self, PAGE};

/// Fields of one request.
const BATCH: usize = 50;

/// What is read of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The account itself.
    Account,
    /// Its pipelines.
    Pipelines,
    /// The contact's fields.
    ContactFields,
    /// The lead's fields.
    LeadFields,
    /// The account's users.
    Users,
    /// Its lists.
    Catalogs,
    /// The fields of a list.
    ProductFields(u64),
}

/// All that passes need.
pub const READS: [Read; 4] = [Read::Account, Read::Pipelines, Read::ContactFields, Read::LeadFields];

impl Read {
    /// The first request.
    #[must_use]
    pub fn first(self) -> Request {
        match self {
            Self::Account => wire::get("/account?with=datetime_settings,is_api_filter_enabled", self.label()),
            Self::Pipelines => wire::get("/leads/pipelines", self.label()),
            Self::ContactFields => wire::get(&format!("/contacts/custom_fields?limit={PAGE}"), self.label()),
            Self::LeadFields => wire::get(&format!("/leads/custom_fields?limit={PAGE}"), self.label()),
            Self::Users => wire::get(&format!("/users?limit={PAGE}"), self.label()),
            Self::Catalogs => wire::get(&format!("/catalogs?limit={PAGE}"), self.label()),
            Self::ProductFields(catalog) => wire::get(&format!("/catalogs/{catalog}/custom_fields?limit={PAGE}"), self.label()),
        }
    }

    /// What logs call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Account => "GET /account",
            Self::Pipelines => "GET /leads/pipelines",
            Self::ContactFields => "GET /contacts/custom_fields",
            Self::LeadFields => "GET /leads/custom_fields",
            Self::Users => "GET /users",
            Self::Catalogs => "GET /catalogs",
            Self::ProductFields(_) => "GET /catalogs/{id}/custom_fields",
        }
    }

    /// Where the entries are.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Pipelines => "pipelines",
            Self::Users => "users",
            Self::Catalogs => "catalogs",
            Self::Account | Self::ContactFields | Self::LeadFields | Self::ProductFields(_) => "custom_fields",
        }
    }

    /// Takes the first answer; `Some(next)` is the path of the next page. `None` when the answer cannot be read.
    #[must_use]
    pub fn take(self, answer: &Answer, raw: &mut Raw) -> Option<Option<String>> {
        if self == Self::Account {
            raw.account = answer.json().filter(Value::is_object)?;
            return Some(None);
        }
        let page = wire::page(answer, self.key())?;
        self.put(page.items, raw);
        Some(page.next)
    }

    /// Takes entries of a further page.
    pub fn put(self, items: Vec<Value>, raw: &mut Raw) {
        match self {
            Self::Account => {}
            Self::Pipelines => raw.pipelines.extend(items),
            Self::ContactFields => raw.contact_fields.extend(items),
            Self::LeadFields => raw.lead_fields.extend(items),
            Self::Users => raw.users.extend(items),
            Self::Catalogs => raw.catalogs.extend(items),
            Self::ProductFields(_) => raw.product_fields.extend(items),
        }
    }
}

/// The type that a field of ours has in amoCRM.
#[must_use]
pub fn kind_of(code: &str) -> Option<&'static str> {
    kinds_of(code).first().copied()
}

fn kinds_of(code: &str) -> &'static [&'static str] {
    let card = CardField::ALL.into_iter().find(|field| field.code() == code).map(|field| -> &[&str] {
        match field {
            CardField::ClientId | CardField::Category | CardField::Cards => &["text"],
            CardField::Birthday => &["birthday"],
            CardField::Children | CardField::History => &["textarea"],
            CardField::LastVisit | CardField::Updated => &["date_time"],
            CardField::Visits | CardField::Deposit | CardField::Bonus => &["numeric"],
        }
    });
    let pass = PassField::ALL.into_iter().find(|field| field.code() == code).map(|field| -> &[&str] {
        match field {
            PassField::EventUid | PassField::Kind | PassField::Point | PassField::Ticket | PassField::Left | PassField::Medium => &["text"],
            PassField::At => &["date_time"],
            PassField::Remark => &["textarea"],
        }
    });
    card.or(pass).unwrap_or_default()
}

/// The setup of one account, to be given to [`crate::crm::setup::drive`].
#[must_use]
pub fn errand(config: AmoCrm, texts: Texts, mode: Mode) -> Errand {
    Errand::new(move |line| set_up(line, config, texts, mode))
}

/// One side of the account: contacts or leads.
#[derive(Clone, Copy)]
struct Side {
    owner: Owner,
    path: &'static str,
    get_groups: &'static str,
    post_groups: &'static str,
    post_fields: &'static str,
}

const SIDES: [Side; 2] = [
    Side {
        owner: Owner::Contact,
        path: "/contacts/custom_fields",
        get_groups: "GET /contacts/custom_fields/groups",
        post_groups: "POST /contacts/custom_fields/groups",
        post_fields: "POST /contacts/custom_fields",
    },
    Side {
        owner: Owner::Deal,
        path: "/leads/custom_fields",
        get_groups: "GET /leads/custom_fields/groups",
        post_groups: "POST /leads/custom_fields/groups",
        post_fields: "POST /leads/custom_fields",
    },
];

/// A field that is needed.
#[derive(Clone, Copy)]
pub(super) struct Needed {
    /// The code by which it is found.
    pub code: &'static str,
    /// What it is called when it is created.
    pub name: &'static str,
    /// The types that will do; the first is created.
    pub kinds: &'static [&'static str],
    /// Only machines write it.
    pub machine: bool,
}

impl Needed {
    fn kind(&self) -> &'static str {
        self.kinds.first().copied().unwrap_or("text")
    }

    /// For the plan.
    pub(super) fn item(&self, owner: Owner, state: State) -> Item {
        let (name, code, kind) = (self.name.to_owned(), Some(self.code.to_owned()), Some(self.kind().to_owned()));
        Item { subject: Subject::Field, owner, name, code, kind, state }
    }
}

fn needed(side: Side, texts: &Texts, hub: Option<&Hub>) -> Vec<Needed> {
    let field = |code, name, machine| Needed { code, name, kinds: kinds_of(code), machine };
    match side.owner {
        // A birthday may be put right by people; the rest is Lime's.
        Owner::Contact => CardField::ALL.into_iter().map(|card| field(card.code(), texts.card_field(card), card != CardField::Birthday)).collect(),
        Owner::Deal | Owner::Account | Owner::Product => {
            let passes = PassField::ALL.into_iter().map(|pass| field(pass.code(), texts.pass_field(pass), true));
            let deals = hub.map(places::lead_fields).unwrap_or_default();
            passes.chain(deals.into_iter().map(|(code, kinds, machine)| Needed { code, name: texts.hub_field(code), kinds, machine })).collect()
        }
    }
}

async fn set_up(line: Line<Request, Answer>, config: AmoCrm, texts: Texts, mode: Mode) -> Result<Plan, SetupError> {
    let mut raw = Raw::default();
    let items = passes(&line, &config, None, &texts, mode, &mut raw).await?;
    Ok(Plan { crm: "amocrm", account: raw.account_name(), items })
}

/// All that passes need, and of the integration the fields of leads.
pub(super) async fn passes(
    line: &Line<Request, Answer>,
    config: &AmoCrm,
    hub: Option<&Hub>,
    texts: &Texts,
    mode: Mode,
    raw: &mut Raw,
) -> Result<Vec<Item>, SetupError> {
    for read in READS {
        take(line, read, raw).await?;
    }
    let mut items = Vec::new();
    for side in SIDES {
        items.extend(side_items(line, &needed(side, texts, hub), texts.group(), mode, side, raw).await?);
    }
    items.extend(stage_items(raw, config));
    Ok(items)
}

/// Reads all pages of something.
pub(super) async fn take(line: &Line<Request, Answer>, read: Read, raw: &mut Raw) -> Result<(), SetupError> {
    let answer = ask(line, read.first()).await?;
    let mut next = read.take(&answer, raw).ok_or(SetupError::Unreadable { request: read.label(), what: "amoCRM's JSON" })?;
    while let Some(path) = next.take() {
        let page = list(line, Request::get(path, read.label()), read.key()).await?;
        read.put(page.items, raw);
        next = page.next;
    }
    Ok(())
}

/// The group and fields of one side, created where they lack.
async fn side_items(
    line: &Line<Request, Answer>,
    needed: &[Needed],
    group_name: &str,
    mode: Mode,
    side: Side,
    raw: &Raw,
) -> Result<Vec<Item>, SetupError> {
    let fields = if side.owner == Owner::Contact { &raw.contact_fields } else { &raw.lead_fields };
    let groups = list(line, wire::get(&format!("{}/groups", side.path), side.get_groups), "custom_field_groups").await?.items;
    let mut group =
        groups.iter().find(|group| wire::text(group.get("name")).as_deref() == Some(group_name)).and_then(|group| wire::text(group.get("id")));
    let mut wanted: Vec<(Needed, State)> = needed.iter().map(|need| (*need, field_state(need, fields))).collect();
    let lacks = wanted.iter().any(|(_, state)| *state == State::Missing);
    // Where all fields are there, people may have put them elsewhere: then the group is theirs to keep or to drop.
    let mut state = if group.is_some() || !lacks { State::Present } else { State::Missing };
    if mode == Mode::Apply && state == State::Missing {
        let body = json!({ "name": group_name, "sort": 5 });
        let answer = ask(line, wire::send(Method::POST, &format!("{}/groups", side.path), &[&body], side.post_groups)).await?;
        let made = wire::page(&answer, "custom_field_groups").map(|page| page.items).unwrap_or_default();
        group = made.first().and_then(|group| wire::text(group.get("id")));
        state = State::Created;
    }
    if mode == Mode::Apply {
        create_fields(line, (side.path, side.post_fields), group.as_deref(), &mut wanted).await?;
    }
    let mut items = vec![Item { subject: Subject::Group, owner: side.owner, name: group_name.to_owned(), code: None, kind: None, state }];
    items.extend(wanted.into_iter().map(|(need, state)| need.item(side.owner, state)));
    Ok(items)
}

/// Creates those that are missing.
pub(super) async fn create_fields(
    line: &Line<Request, Answer>,
    (path, label): (&str, &'static str),
    group: Option<&str>,
    wanted: &mut [(Needed, State)],
) -> Result<(), SetupError> {
    for part in wanted.iter_mut().filter(|(_, state)| *state == State::Missing).collect::<Vec<_>>().chunks_mut(BATCH) {
        let body: Vec<Value> = part.iter().enumerate().map(|(at, (need, _))| definition(need, group, at)).collect();
        ask(line, wire::send(Method::POST, path, &body.iter().collect::<Vec<_>>(), label)).await?;
        for (_, state) in part {
            *state = State::Created;
        }
    }
    Ok(())
}

/// How a field stands among those that are there.
pub(super) fn field_state(need: &Needed, fields: &[Value]) -> State {
    let (code, kind) = (need.code, need.kind());
    let found: Vec<&Value> = fields.iter().filter(|field| wire::text(field.get("code")).as_deref() == Some(code)).collect();
    let Some(first) = found.first() else { return State::Missing };
    if found.len() > 1 {
        let ids = found.iter().filter_map(|field| wire::text(field.get("id"))).collect::<Vec<_>>().join(", ");
        return State::Wrong {
            found: format!("amoCRM: there is more than one field with the code {code}: {ids}"),
            action: "only the first that fits is used: delete the others, or give them another code".to_owned(),
        };
    }
    let has = wire::text(first.get("type")).unwrap_or_default();
    if need.kinds.contains(&has.as_str()) {
        return State::Present;
    }
    let name = wire::text(first.get("name")).unwrap_or_default();
    State::Wrong {
        found: format!("amoCRM: the field {code} (\"{name}\") is of type {has}, needed is {kind}"),
        action: "amoCRM cannot change a field's type: delete that field or give it another code, then run limegate crm setup".to_owned(),
    }
}

fn definition(need: &Needed, group: Option<&str>, at: usize) -> Value {
    let mut field = json!({ "name": need.name, "code": need.code, "type": need.kind(), "sort": 500 + at, "is_api_only": need.machine });
    if let Some(group) = group {
        field["group_id"] = json!(group);
    }
    if need.kind() == "birthday" {
        field["remind"] = json!("never");
    }
    field
}

/// Pipeline and stage: found, or what a person has to do.
fn stage_items(raw: &Raw, config: &AmoCrm) -> Vec<Item> {
    let shown = |wanted: &StageRef, default: &str| match wanted {
        StageRef::Name(name) => name.clone(),
        StageRef::Id(id) => format!("id {id}"),
        StageRef::Default => default.to_owned(),
    };
    let item = |subject, name, state| Item { subject, owner: Owner::Account, name, code: None, kind: None, state };
    let pipeline = |state| item(Subject::Pipeline, shown(&config.pipeline, "(main)"), state);
    let stage = |state| item(Subject::Stage, shown(&config.stage, "(142)"), state);
    match schema::stage(raw, config, None) {
        Ok(_) => vec![pipeline(State::Present), stage(State::Present)],
        Err(problem) => {
            let action = match &problem {
                schema::Problem::Ambiguous { .. } => "write the id in the config: { id = 123 }; it stands in the address of the pipeline's page",
                _ => {
                    "create it in amoCRM (only a person should shape a funnel), or write one of the existing names in the config: [crm] passes = { pipeline = \"...\", stage = \"...\" }"
                }
            };
            let wrong = State::Wrong { found: problem.to_string(), action: action.to_owned() };
            if problem.code() == "setup/pipeline" { vec![pipeline(wrong)] } else { vec![pipeline(State::Present), stage(wrong)] }
        }
    }
}

pub(super) async fn list(line: &Line<Request, Answer>, request: Request, key: &str) -> Result<wire::Page, SetupError> {
    let label = request.label;
    let answer = ask(line, request).await?;
    wire::page(&answer, key).ok_or(SetupError::Unreadable { request: label, what: "a list" })
}

pub(super) async fn ask(line: &Line<Request, Answer>, request: Request) -> Result<Answer, SetupError> {
    let label = request.label;
    let answer = line.ask(request).await;
    let status = answer.status.as_u16();
    match meaning(&answer) {
        Meaning::Good => Ok(answer),
        _ if answer.status == StatusCode::UNAUTHORIZED => Err(SetupError::Auth { request: label, status }),
        Meaning::Later { reason, .. } if matches!(status, 402 | 403) => Err(SetupError::Forbidden { request: label, status, said: reason }),
        Meaning::Later { reason, .. } | Meaning::Broken { reason } => Err(SetupError::Refused { request: label, status, said: reason }),
        Meaning::BadItems(bad) => {
            let said = bad.into_iter().map(|bad| bad.said).collect::<Vec<_>>().join("; ");
            Err(SetupError::Refused { request: label, status, said })
        }
        Meaning::Refused { said } => Err(SetupError::Refused { request: label, status, said }),
    }
}
