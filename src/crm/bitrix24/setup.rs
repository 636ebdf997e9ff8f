//! `limegate crm setup` and `crm check` for Bitrix24: our user fields of contact and deal, the funnel and stage of passes, the rights that this takes.
//! What the integration needs besides is planned in `setup_hub`.
//!
//! Fields are created by name when they are not there; the funnel of passes and its stages are people's and only checked. A user field's type can never be changed,
//! so one of another type is reported. Bitrix24 has no groups of fields to be made from outside: the group's name stands before each label, so that
//! they are found together. Nothing is ever deleted.

use serde_json::{Value, json};

use super::batch::{self, Command, Outcome};
use super::fault::{self, Class};
use super::places::{self, Places};
use super::schema::{self, Choice, Unresolved, chosen, field_name, resolve};
use super::wire::{self, Fault, Reply};
use crate::config::{Hub, Language, PassesAs, StageRef};
use crate::crm::card::CardField;
use crate::crm::script::{Errand, Line};
use crate::crm::setup::{Item, Mode, Owner, Plan, SetupError, State, Subject};
use crate::crm::texts::{PassField, Texts};
use crate::http::{Answer, Request};
use crate::journal::LedgerKey;

/// A new field alters a table at the portal, so only a few go into one request.
const FIELDS_AT_ONCE: usize = 5;

/// What the portal is set up for.
#[derive(Clone, Debug)]
pub struct Needs {
    /// What passes become.
    pub passes: PassesAs,
    /// The integration, where this box runs it.
    pub hub: Option<Hub>,
    /// Pipelines and stages that the config names by their names are created, too.
    pub funnels: bool,
    /// What the ledger has under [`known_key`]: what people have renamed is known by its id.
    pub known: Option<String>,
}

/// Where the ledger keeps the ids of what the config names.
#[must_use]
pub fn known_key(hub: &Hub) -> LedgerKey {
    places::ledger_key(hub)
}

impl From<PassesAs> for Needs {
    fn from(passes: PassesAs) -> Self {
        Self { passes, hub: None, funnels: false, known: None }
    }
}

/// A field as it has to be.
pub(super) struct Wanted {
    pub(super) owner: Owner,
    pub(super) code: &'static str,
    pub(super) label: String,
    pub(super) kind: &'static str,
    pub(super) multiple: bool,
    pub(super) rows: u32,
}

/// The dialogue that plans, and with [`Mode::Apply`] creates, what passes and the integration need. `account` is how a person knows the portal; never the
/// webhook's address.
#[must_use]
pub fn errand(needs: impl Into<Needs>, texts: Texts, account: String, mode: Mode) -> Errand {
    let Needs { passes, hub, funnels, known } = needs.into();
    let known = known.as_deref().and_then(Places::from_text).unwrap_or_default();
    Errand::new(move |line| async move { Setup { line, passes, hub, funnels, known, texts, mode }.run(account).await })
}

pub(super) struct Setup {
    pub(super) line: Line<Request, Answer>,
    pub(super) passes: PassesAs,
    pub(super) hub: Option<Hub>,
    pub(super) funnels: bool,
    pub(super) known: Places,
    pub(super) texts: Texts,
    pub(super) mode: Mode,
}

impl Setup {
    async fn run(self, account: String) -> Result<Plan, SetupError> {
        let wanted = self.wanted();
        let mut commands = vec![
            Command::new("profile", json!({})),
            Command::new("scope", json!({})),
            Command::new("method.get", json!({ "name": "crm.item.add" })),
            Command::new("method.get", json!({ "name": "crm.timeline.logmessage.add" })),
            schema::ask_funnels(),
        ];
        let probes = commands.len();
        commands.extend(wanted.iter().map(|field| {
            let method = if field.owner == Owner::Contact { "crm.contact.userfield.list" } else { "crm.deal.userfield.list" };
            Command::new(method, json!({ "filter": { "FIELD_NAME": field_name(field.code) } }))
        }));
        let mut outcomes = self.batch(&commands).await?;
        let found = outcomes.split_off(probes.min(outcomes.len()));

        let mut items = self.rights(&outcomes);
        let fields_begin = items.len();
        for (field, outcome) in wanted.iter().zip(found) {
            let state = self.field_state(field, &result(outcome)?);
            items.push(Item {
                subject: Subject::Field,
                owner: field.owner,
                name: field.label.clone(),
                code: Some(field_name(field.code)),
                kind: Some(field.kind.to_owned()),
                state,
            });
        }
        let funnels = schema::funnels(&outcomes.pop().map(result).transpose()?.unwrap_or_default());
        if let Some((pipeline, stage)) = chosen(&self.passes) {
            self.funnel(pipeline, stage, &funnels, &mut items).await?;
        }
        if let Some(hub) = &self.hub {
            items.extend(self.plan_hub(hub, &outcomes, &funnels).await?);
        }
        if self.mode == Mode::Apply {
            self.create(&wanted, items.get_mut(fields_begin..).unwrap_or_default()).await?;
        }
        Ok(Plan { crm: "bitrix24", account, items })
    }

    pub(super) fn say(&self, ru: String, en: String) -> String {
        if self.texts.language == Language::Ru { ru } else { en }
    }

    fn wanted(&self) -> Vec<Wanted> {
        let group = self.texts.group();
        let contact = schema::contact_fields().map(|field| {
            let (kind, multiple, rows) = match field {
                CardField::Deposit => ("money", false, 1),
                CardField::Bonus | CardField::Visits => ("integer", false, 1),
                CardField::LastVisit | CardField::Updated => ("datetime", false, 1),
                CardField::Children => ("string", true, 1),
                CardField::History => ("string", false, 10),
                CardField::Birthday => ("date", false, 1),
                CardField::Category | CardField::Cards | CardField::ClientId => ("string", false, 1),
            };
            let label = format!("{group}: {}", self.texts.card_field(field));
            Wanted { owner: Owner::Contact, code: field.code(), label, kind, multiple, rows }
        });
        let deal = PassField::ALL.into_iter().filter(|_| chosen(&self.passes).is_some()).map(|field| {
            let kind = if field == PassField::At { "datetime" } else { "string" };
            let label = format!("{group}: {}", self.texts.pass_field(field));
            Wanted { owner: Owner::Deal, code: field.code(), label, kind, multiple: false, rows: 1 }
        });
        let mut wanted: Vec<Wanted> = contact.chain(deal).collect();
        for field in self.hub.iter().flat_map(|hub| self.hub_fields(hub)) {
            // A pass's deal and a receipt's may show the same.
            if !wanted.iter().any(|known| known.owner == field.owner && known.code == field.code) {
                wanted.push(field);
            }
        }
        wanted
    }

    /// What the webhook or app may do.
    fn rights(&self, probes: &[Outcome]) -> Vec<Item> {
        let done = |at: usize| match probes.get(at) {
            Some(Outcome::Done { result, .. }) => Some(result),
            _ => None,
        };
        let scopes: Vec<&str> = done(1).map(wire::rows).unwrap_or_default().into_iter().filter_map(Value::as_str).collect();
        let mut items = vec![right(
            self.say("право crm".to_owned(), "scope crm".to_owned()),
            scopes.contains(&"crm"),
            self.say("у вебхука или приложения нет права «CRM»".to_owned(), "the webhook or app has no scope \"crm\"".to_owned()),
            self.say(
                "отметьте право «CRM (crm)» в настройках вебхука или приложения и сохраните".to_owned(),
                "tick the scope \"CRM (crm)\" in the settings of the webhook or app and save".to_owned(),
            ),
        )];
        for (at, method) in [(2, "crm.item.add"), (3, "crm.timeline.logmessage.add")] {
            items.push(self.method(method, done(at)));
        }
        let admin = done(0).and_then(|result| result.get("ADMIN")).is_some_and(|value| value == &json!(true) || value == &json!("Y"));
        items.push(right(
            self.say("администратор CRM".to_owned(), "CRM administrator".to_owned()),
            admin,
            self.say(
                "вебхук создан не администратором: поля он создать не сможет".to_owned(),
                "the webhook's owner is no administrator: it cannot create fields".to_owned(),
            ),
            self.say("создайте вебхук от имени администратора портала".to_owned(), "create the webhook as an administrator of the portal".to_owned()),
        ));
        items
    }

    /// Whether a method is there, from what `method.get` said.
    pub(super) fn method(&self, method: &str, probe: Option<&Value>) -> Item {
        let has = |key: &str| probe.and_then(|result| result.get(key)).is_some_and(|value| value == &json!(true) || value == &json!("Y"));
        right(
            method.to_owned(),
            has("isExisting") && has("isAvailable"),
            self.say(format!("метод {method} недоступен"), format!("the method {method} is not available")),
            self.say(
                "обновите Битрикс24 или проверьте права вебхука и тариф".to_owned(),
                "update Bitrix24, or check the webhook's scopes and the plan".to_owned(),
            ),
        )
    }

    fn field_state(&self, field: &Wanted, rows: &Value) -> State {
        let name = field_name(field.code);
        let rows = wire::rows(rows);
        let Some(row) = rows.into_iter().find(|row| row.get("FIELD_NAME").and_then(Value::as_str) == Some(name.as_str())) else {
            return State::Missing;
        };
        let kind = row.get("USER_TYPE_ID").and_then(Value::as_str).unwrap_or("?");
        let multiple = row.get("MULTIPLE").and_then(Value::as_str) == Some("Y");
        if kind == field.kind && multiple == field.multiple {
            return State::Present;
        }
        let shown = |kind: &str, multiple: bool| if multiple { format!("{kind}[]") } else { kind.to_owned() };
        let (is, must) = (shown(kind, multiple), shown(field.kind, field.multiple));
        State::Wrong {
            found: self
                .say(format!("поле {name} есть, но его тип {is}, а нужен {must}"), format!("the field {name} is there as {is}, not as {must}")),
            action: self.say(
                "тип поля изменить нельзя: удалите это поле в CRM вручную, если оно не нужно, и запустите crm setup снова".to_owned(),
                "a field's type cannot be changed: delete it in the CRM by hand if nobody needs it, and run crm setup again".to_owned(),
            ),
        }
    }

    async fn funnel(&self, pipeline: &StageRef, stage: &StageRef, funnels: &[Choice], items: &mut Vec<Item>) -> Result<(), SetupError> {
        let mut item = |subject, wanted: &StageRef, choices: &[Choice]| {
            let (name, code, state) = match resolve(wanted, choices) {
                Ok(choice) => (choice.name.clone(), Some(choice.id.clone()), State::Present),
                Err(why) => (shown(wanted), None, self.unresolved(subject, wanted, &why, choices)),
            };
            items.push(Item { subject, owner: Owner::Deal, name, code: code.clone(), kind: None, state });
            code
        };
        let Some(category) = item(Subject::Pipeline, pipeline, funnels).and_then(|id| id.parse().ok()) else { return Ok(()) };
        let rows = self.batch(&[schema::ask_stages(category)]).await?.pop().map(result).transpose()?.unwrap_or_default();
        item(Subject::Stage, stage, &schema::stages(&rows, category));
        Ok(())
    }

    fn unresolved(&self, subject: Subject, wanted: &StageRef, why: &Unresolved, choices: &[Choice]) -> State {
        let name = shown(wanted);
        let what = if subject == Subject::Pipeline {
            self.say("воронка".to_owned(), "pipeline".to_owned())
        } else {
            self.say("стадия".to_owned(), "stage".to_owned())
        };
        let there: Vec<String> = choices.iter().map(|choice| format!("\"{}\" (id {})", choice.name, choice.id)).collect();
        let there = there.join(", ");
        match why {
            Unresolved::Missing => State::Wrong {
                found: self.say(format!("{what} \"{name}\" не найдена. Есть: {there}."), format!("{what} \"{name}\" not found. Existing: {there}.")),
                action: self.say(
                    "создайте её в CRM под этим именем или укажите в [crm] passes одну из существующих".to_owned(),
                    "create it in the CRM under this name, or name an existing one in [crm] passes".to_owned(),
                ),
            },
            Unresolved::Several(ids) => State::Wrong {
                found: self.say(
                    format!("{what} \"{name}\" есть не одна: id {}", ids.join(", ")),
                    format!("there is more than one {what} \"{name}\": ids {}", ids.join(", ")),
                ),
                action: self.say("укажите id: { id = \"…\" }".to_owned(), "give the id: { id = \"…\" }".to_owned()),
            },
        }
    }

    /// Creates the fields that are missing.
    async fn create(&self, wanted: &[Wanted], items: &mut [Item]) -> Result<(), SetupError> {
        let mut missing: Vec<(&Wanted, &mut Item)> = wanted.iter().zip(items.iter_mut()).filter(|(_, item)| item.state == State::Missing).collect();
        for chunk in missing.chunks_mut(FIELDS_AT_ONCE) {
            let commands: Vec<Command> = chunk.iter().map(|(field, _)| add_field(field)).collect();
            for ((_, item), outcome) in chunk.iter_mut().zip(self.batch(&commands).await?) {
                result(outcome)?;
                item.state = State::Created;
            }
        }
        Ok(())
    }

    pub(super) async fn batch(&self, commands: &[Command]) -> Result<Vec<Outcome>, SetupError> {
        batch(&self.line, commands).await
    }
}

/// Carries out at most fifty commands.
pub(super) async fn batch(line: &Line<Request, Answer>, commands: &[Command]) -> Result<Vec<Outcome>, SetupError> {
    let answer = line.ask(batch::request(commands)).await;
    match Reply::read(&answer) {
        Reply::Result { result, .. } => Ok(batch::read(&result, commands.len())),
        Reply::Fault(fault) => Err(failed(&fault, answer.status.as_u16())),
        Reply::Garbled if answer.status == http::StatusCode::UNAUTHORIZED => Err(SetupError::Auth { request: "POST batch", status: 401 }),
        Reply::Garbled => Err(SetupError::Unreadable { request: "POST batch", what: "an answer of Bitrix24" }),
    }
}

fn add_field(field: &Wanted) -> Command {
    let method = if field.owner == Owner::Contact { "crm.contact.userfield.add" } else { "crm.deal.userfield.add" };
    let settings = if field.rows > 1 { json!({ "ROWS": field.rows }) } else { json!({}) };
    let fields = json!({
        "FIELD_NAME": field.code, "USER_TYPE_ID": field.kind, "MULTIPLE": if field.multiple { "Y" } else { "N" },
        "LABEL": field.label, "XML_ID": field.code, "EDIT_IN_LIST": "Y", "SHOW_FILTER": "Y", "SETTINGS": settings,
    });
    Command::new(method, json!({ "fields": fields }))
}

/// A right as a line of the plan.
pub(super) fn right(name: String, fine: bool, found: String, action: String) -> Item {
    let state = if fine { State::Present } else { State::Wrong { found, action } };
    Item { subject: Subject::Right, owner: Owner::Account, name, code: None, kind: None, state }
}

pub(super) fn shown(wanted: &StageRef) -> String {
    match wanted {
        StageRef::Name(text) | StageRef::Id(text) => text.clone(),
        StageRef::Default => "-".to_owned(),
    }
}

pub(super) fn result(outcome: Outcome) -> Result<Value, SetupError> {
    match outcome {
        Outcome::Done { result, .. } => Ok(result),
        Outcome::Unanswered => Err(SetupError::Unreadable { request: "POST batch", what: "a result for each command" }),
        Outcome::Fault { fault, .. } => Err(failed(&fault, 200)),
    }
}

fn failed(fault: &Fault, status: u16) -> SetupError {
    let (request, said) = ("POST batch", fault.show());
    match fault::classify(fault, None) {
        Class::Auth => SetupError::Auth { request, status },
        Class::Setup(_) => SetupError::Forbidden { request, status, said },
        _ => SetupError::Refused { request, status, said },
    }
}
