//! What a CRM needs before passes can go there, as a table: planned, then applied, any number of times with the same result.
//!
//! Each CRM brings a [`Dialogue`]: pure, it reads what is there and says what to create. [`drive`] does its I/O. Never: a deletion; a field that is
//! changed because it looks wrong (its type can never change: that is said, and a person decides); a plan that hides what it could not find out.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::config::Language;
use crate::http::{Answer, Endpoint, Failure, RenewError, Request, Standing};

/// Plan only, or also create what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `--dry-run`, `check`: nothing is written.
    Plan,
    /// Create what is missing.
    Apply,
}

/// What kind of thing is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A group or section of fields.
    Group,
    /// A field.
    Field,
    /// A pipeline.
    Pipeline,
    /// A stage.
    Stage,
    /// A right of the token.
    Right,
    /// Somebody who is responsible for deals.
    Person,
    /// The catalog of products.
    Catalog,
    /// A group of products, which a rule names.
    ProductGroup,
}

/// Whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The contact.
    Contact,
    /// The lead or deal.
    Deal,
    /// The account or portal.
    Account,
    /// An element of the list of products.
    Product,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// There, and as needed.
    Present,
    /// Not there; an apply creates it.
    Missing,
    /// Created by this apply.
    Created,
    /// Not as needed, and only a person can change that.
    Wrong {
        /// What was found.
        found: String,
        /// What to do, as an instruction.
        action: String,
    },
}

/// One thing that is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is.
    pub subject: Subject,
    /// Whose.
    pub owner: Owner,
    /// As people see it: `Последний визит`.
    pub name: String,
    /// Its code, where it has one: `LIME_LAST_VISIT`.
    pub code: Option<String>,
    /// Its type, in the CRM's word: `date_time`.
    pub kind: Option<String>,
    /// How it stands.
    #[serde(flatten)]
    pub state: State,
}

/// All that is needed, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// `amocrm`, `bitrix24`.
    pub crm: &'static str,
    /// The account or portal, as a person knows it. Never the address where that is a secret.
    pub account: String,
    /// In the order in which the CRM shows it.
    pub items: Vec<Item>,
}

impl Plan {
    /// Everything is as needed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.items.iter().all(|item| matches!(item.state, State::Present | State::Created))
    }

    /// Items in a given state.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.items.iter().filter(|item| item.state == State::Missing).count()
    }

    /// Items that only a person can mend.
    #[must_use]
    pub fn wrong(&self) -> usize {
        self.items.iter().filter(|item| matches!(item.state, State::Wrong { .. })).count()
    }

    /// `{"v":1,"crm":…,"account":…,"complete":…,"items":[…]}`
    #[must_use]
    pub fn json(&self) -> Value {
        json!({ "v": 1, "crm": self.crm, "account": self.account, "complete": self.is_complete(), "items": self.items })
    }

    /// The table that marketing approves, and below it what a person has to do.
    #[must_use]
    pub fn table(&self, language: Language) -> String {
        let word = |ru: &'static str, en: &'static str| if language == Language::Ru { ru } else { en };
        let mut rows = vec![[
            word("ГДЕ", "WHERE").to_owned(),
            word("ЧТО", "WHAT").to_owned(),
            word("НАЗВАНИЕ", "NAME").to_owned(),
            word("КОД", "CODE").to_owned(),
            word("ТИП", "TYPE").to_owned(),
            word("СОСТОЯНИЕ", "STATE").to_owned(),
        ]];
        for item in &self.items {
            let owner = match item.owner {
                Owner::Contact => word("контакт", "contact"),
                Owner::Deal => word("сделка", "deal"),
                Owner::Account => word("аккаунт", "account"),
                Owner::Product => word("товар", "product"),
            };
            let subject = match item.subject {
                Subject::Group => word("группа полей", "field group"),
                Subject::Field => word("поле", "field"),
                Subject::Pipeline => word("воронка", "pipeline"),
                Subject::Stage => word("этап", "stage"),
                Subject::Right => word("право", "right"),
                Subject::Person => word("сотрудник", "person"),
                Subject::Catalog => word("каталог", "catalog"),
                Subject::ProductGroup => word("группа товаров", "product group"),
            };
            let state = match item.state {
                State::Present => word("есть", "there"),
                State::Missing => word("будет создано", "to be created"),
                State::Created => word("создано", "created"),
                State::Wrong { .. } => word("НУЖЕН ЧЕЛОВЕК", "NEEDS A PERSON"),
            };
            rows.push([
                owner.to_owned(),
                subject.to_owned(),
                item.name.clone(),
                item.code.clone().unwrap_or_else(|| "-".to_owned()),
                item.kind.clone().unwrap_or_else(|| "-".to_owned()),
                state.to_owned(),
            ]);
        }
        let mut out = format!("{} {}\n", self.crm, self.account);
        out.push_str(&aligned(&rows));
        for item in &self.items {
            if let State::Wrong { found, action } = &item.state {
                out.push_str(&format!("\nerror[T-112]: {}\nhelp: {}\n", found, action));
            }
        }
        out
    }
}

/// Columns of equal width in characters; the last one is not padded.
fn aligned(rows: &[[String; 6]]) -> String {
    let mut widths = [0usize; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(cell.chars().count()) + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// What a dialogue wants next; `T` is what it brings in the end.
#[derive(Debug)]
pub enum Ask<T = Plan> {
    /// Send this, then call `next` with the answer.
    Call(Request),
    /// Finished.
    Done(T),
    /// It cannot go on.
    Failed(SetupError),
}

/// A dialogue of a command with the CRM: pure. A setup brings a plan.
pub trait Dialogue<T = Plan>: Send {
    /// The next step; `answer` is the answer to the last call, `None` at the beginning.
    fn next(&mut self, answer: Option<&Answer>) -> Ask<T>;
}

/// Why a setup could not be planned or applied. What was created until then stays; the next run finds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Nothing could be asked.
    #[error("the CRM cannot be reached: {0}")]
    NotReached(String),
    /// The token is not accepted.
    #[error("the CRM does not accept the token ({request}: HTTP {status}); issue a new one, or run `limegate crm login`")]
    Auth {
        /// The request's label.
        request: &'static str,
        /// The status.
        status: u16,
    },
    /// The token may not do this.
    #[error("the token may not do this ({request}: HTTP {status}): {said}; use the token of an administrator")]
    Forbidden {
        /// The request's label.
        request: &'static str,
        /// The status.
        status: u16,
        /// The CRM's words.
        said: String,
    },
    /// The CRM refused.
    #[error("the CRM refused {request} (HTTP {status}): {said}")]
    Refused {
        /// The request's label.
        request: &'static str,
        /// The status.
        status: u16,
        /// The CRM's words.
        said: String,
    },
    /// The answer is not what the contract says.
    #[error("{request} was answered with something that cannot be read: {what}; is the address that of the CRM itself?")]
    Unreadable {
        /// The request's label.
        request: &'static str,
        /// What was expected.
        what: &'static str,
    },
}

/// Between two requests of a setup: below every CRM's pace (Bitrix24: two a second).
const GAP: Duration = Duration::from_millis(500);
/// A remote that asks for patience is given this much at most, this often for one request.
const PATIENCE: (Duration, u32) = (Duration::from_secs(60), 5);
/// How often a read goes again whose answer was lost.
const LOST: u32 = 2;

/// How the requests of a dialogue are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Between two requests.
    pub gap: Duration,
    /// No request changes anything: one whose answer was lost, or that the remote stumbled over, goes again.
    pub reads_only: bool,
}

/// Does a dialogue's I/O. A request is repeated when the CRM asked for patience, and once after the authorisation was renewed; whatever else fails ends
/// it, for a further run goes on from there.
///
/// # Errors
/// As the dialogue says, or when the CRM cannot be reached.
pub async fn drive<T>(endpoint: &Endpoint, dialogue: &mut dyn Dialogue<T>) -> Result<T, SetupError> {
    drive_in(endpoint, dialogue, Manner { gap: GAP, reads_only: false }).await
}

/// As [`drive`], in a manner of one's own.
///
/// # Errors
/// As the dialogue says, or when the remote cannot be reached.
pub async fn drive_in<T>(endpoint: &Endpoint, dialogue: &mut dyn Dialogue<T>, manner: Manner) -> Result<T, SetupError> {
    let mut step = dialogue.next(None);
    // Of the request that is under way.
    let (mut slowed, mut lost, mut renewed) = (0, 0, false);
    loop {
        let request = match step {
            Ask::Done(done) => return Ok(done),
            Ask::Failed(error) => return Err(error),
            Ask::Call(request) => request,
        };
        let answer = match endpoint.exchange(request.clone()).await {
            Ok(answer) => answer,
            Err(_) if manner.reads_only && lost < LOST => {
                lost += 1;
                tokio::time::sleep(GAP * 4).await;
                step = Ask::Call(request);
                continue;
            }
            Err(Failure::NotSent(why) | Failure::Unknown(why)) => return Err(SetupError::NotReached(why)),
        };
        if endpoint.standing(&answer) == Standing::Expired && !renewed {
            renewed = true;
            match endpoint.renew().await {
                Ok(()) => step = Ask::Call(request),
                Err(RenewError::Later(why)) => return Err(SetupError::NotReached(why)),
                Err(RenewError::Person(_)) => return Err(SetupError::Auth { request: request.label, status: answer.status.as_u16() }),
            }
            continue;
        }
        let not_now = matches!(answer.status.as_u16(), 429 | 503) || (manner.reads_only && answer.status.is_server_error());
        if not_now && slowed < PATIENCE.1 {
            slowed += 1;
            tokio::time::sleep(answer.retry_after().unwrap_or(GAP * 4).min(PATIENCE.0)).await;
            step = Ask::Call(request);
            continue;
        }
        (slowed, lost, renewed) = (0, 0, false);
        tokio::time::sleep(manner.gap).await;
        step = dialogue.next(Some(&answer));
    }
}
