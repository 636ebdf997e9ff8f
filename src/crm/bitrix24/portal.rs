//! The portal as a conversation sees it: sends batches, keeps the budget, and says at once when the batch of jobs cannot go on.

use std::sync::{Arc, Mutex, PoisonError};

use super::batch::{self, Command, LIMIT, Outcome};
use super::book::Halt;
use super::fault::{self, Class};
use super::operating::Operating;
use super::wire::Reply;
use crate::crm::guests::AskLime;
use crate::crm::script::Line;
use crate::delivery::{Call, Effect, Host, NoAnswer};
use crate::domain::Seq;
use crate::http::{Answer, Request};
use crate::journal::Learned;

/// The whole call of a batch, under this name in the budget.
const BATCH: &str = "batch";

/// How a batch ended as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Certainly nothing of it was carried out.
    NotDone(Halt),
    /// Nobody can tell.
    Unclear(Halt),
}

impl From<Broken> for Halt {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NotDone(halt) | Broken::Unclear(halt) => halt,
        }
    }
}

/// The portal, and Lime beside it.
pub struct Portal {
    line: Line<Call, Result<Answer, NoAnswer>>,
    budget: Arc<Mutex<Operating>>,
    now_ms: i64,
    /// A command was told that the portal has had enough: nothing more is sent in this conversation.
    enough: Option<Halt>,
}

impl Portal {
    /// A portal at the end of a line.
    #[must_use]
    pub fn new(line: Line<Call, Result<Answer, NoAnswer>>, budget: Arc<Mutex<Operating>>, now_ms: i64) -> Self {
        Self { line, budget, now_ms, enough: None }
    }

    /// Carries out commands that may be repeated, fifty to a request.
    ///
    /// # Errors
    /// When a request as a whole brought nothing.
    pub async fn ask(&mut self, commands: &[Command]) -> Result<Vec<Outcome>, Halt> {
        let mut outcomes = Vec::with_capacity(commands.len());
        for chunk in commands.chunks(LIMIT) {
            outcomes.extend(self.send(chunk, Effect::Repeatable).await?);
        }
        Ok(outcomes)
    }

    /// Carries out at most fifty commands that set fixed values, once `learned` is in the ledger.
    ///
    /// # Errors
    /// When the request as a whole brought nothing.
    pub async fn set(&mut self, commands: &[Command], learned: Vec<Learned>) -> Result<Vec<Outcome>, Halt> {
        Ok(self.send(commands, sets(learned)).await?)
    }

    /// Sends Lime something that may be sent again, once `learned` is in the ledger.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn write_lime(&mut self, request: Request, learned: Vec<Learned>) -> Result<Answer, Halt> {
        self.line.ask(Call { host: Host::Lime, request, effect: sets(learned) }).await.map_err(no_answer)
    }

    /// Carries out at most fifty commands that create something for `jobs`.
    ///
    /// # Errors
    /// When the request as a whole brought nothing, with what can be said of the commands then.
    pub async fn create(&mut self, commands: &[Command], jobs: Vec<Seq>) -> Result<Vec<Outcome>, Broken> {
        self.send(commands, Effect::Creates(jobs)).await
    }

    async fn send(&mut self, commands: &[Command], effect: Effect) -> Result<Vec<Outcome>, Broken> {
        if let Some(halt) = self.enough.clone().or_else(|| self.over_budget(commands)) {
            return Err(Broken::NotDone(halt));
        }
        let call = Call { host: Host::Crm, request: batch::request(commands), effect };
        let answer = self.line.ask(call).await.map_err(|why| match why {
            NoAnswer::NotSent => Broken::NotDone(no_answer(why)),
            NoAnswer::Unknown => Broken::Unclear(no_answer(why)),
        })?;
        match Reply::read(&answer) {
            Reply::Result { result, timing } => {
                let outcomes = batch::read(&result, commands.len());
                self.take_note(commands, &outcomes, timing);
                Ok(outcomes)
            }
            Reply::Fault(fault) => Err(match fault::classify(&fault, None) {
                Class::Busy { reason, after } => {
                    if reason == "crm/operating_time" {
                        self.budget().pause(BATCH, after, self.now_ms);
                    }
                    Broken::NotDone(Halt::after(reason, after))
                }
                Class::Auth => Broken::NotDone(Halt::person("auth")),
                Class::Setup(reason) => Broken::NotDone(Halt::person(reason)),
                Class::Gone | Class::Stale | Class::Refused if answer.status.is_client_error() => Broken::NotDone(status(&answer)),
                Class::Unclear | Class::Gone | Class::Stale | Class::Refused => Broken::Unclear(status(&answer)),
            }),
            // 401 is decided before anything is carried out; a page of some proxy says nothing.
            Reply::Garbled if answer.status == http::StatusCode::UNAUTHORIZED => Err(Broken::NotDone(Halt::person("auth"))),
            // A redirect is answered by the front door, which carries nothing out.
            Reply::Garbled if answer.status.is_redirection() => Err(Broken::NotDone(Halt::person("setup/portal"))),
            Reply::Garbled if answer.status == http::StatusCode::TOO_MANY_REQUESTS => Err(Broken::NotDone(status(&answer))),
            Reply::Garbled => Err(Broken::Unclear(status(&answer))),
        }
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Operating> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn over_budget(&self, commands: &[Command]) -> Option<Halt> {
        let budget = self.budget();
        let methods = commands.iter().map(|command| command.method).chain([BATCH]);
        let rest = methods.filter_map(|method| budget.rest(method, self.now_ms)).max()?;
        Some(Halt::after("crm/operating_time", rest))
    }

    fn take_note(&mut self, commands: &[Command], outcomes: &[Outcome], whole: Option<super::wire::Timing>) {
        let mut enough = None;
        {
            let mut budget = self.budget();
            if let Some(timing) = whole {
                budget.note(BATCH, timing, self.now_ms);
            }
            for (command, outcome) in commands.iter().zip(outcomes) {
                match outcome {
                    Outcome::Done { timing: Some(timing), .. } => budget.note(command.method, *timing, self.now_ms),
                    Outcome::Fault { fault, timing } => {
                        if let Class::Busy { reason, after } = fault::classify(fault, *timing) {
                            enough = Some(Halt::after(reason, after));
                            if reason == "crm/operating_time" {
                                budget.pause(command.method, after, self.now_ms);
                            }
                        }
                    }
                    Outcome::Done { timing: None, .. } | Outcome::Unanswered => {}
                }
            }
        }
        if enough.is_some() {
            self.enough = enough;
        }
    }
}

impl AskLime for Portal {
    type Stop = Halt;

    async fn ask_lime(&mut self, request: Request) -> Result<Answer, Halt> {
        self.line.ask(Call { host: Host::Lime, request, effect: Effect::Repeatable }).await.map_err(no_answer)
    }
}

fn sets(learned: Vec<Learned>) -> Effect {
    if learned.is_empty() { Effect::Repeatable } else { Effect::Sets(learned) }
}

fn no_answer(why: NoAnswer) -> Halt {
    Halt::new(match why {
        NoAnswer::NotSent => "not_sent",
        NoAnswer::Unknown => "unknown",
    })
}

fn status(answer: &Answer) -> Halt {
    Halt::new(if answer.status.is_success() { "crm/unreadable".to_owned() } else { format!("http/{}", answer.status.as_u16()) })
}
