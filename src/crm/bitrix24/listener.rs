//! A feed of the portal as one straight script: it asks the portal, looks lines up in the ledger, and has pages kept.
//!
//! Its state is its cursor. Never: a state taken for the cursor that is ahead of a page that was not kept.

use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::batch::{self, Command, LIMIT, Outcome};
use super::fault::{self, Class};
use super::wire::{Fault, Reply as Said};
use crate::crm::script::{Line, Script};
use crate::delivery::{Host, Ledger};
use crate::feed::{Feed, Heard, Page, Turn, cursor_key};
use crate::http::{Answer, Request};
use crate::journal::{Learned, LedgerKey};

/// After an answer that means nothing.
const AFTER_NONSENSE: Duration = Duration::from_secs(30);
/// A person has to do something first.
const UNTIL_SOMEBODY: Duration = Duration::from_secs(300);

/// What a script asks for.
#[derive(Debug)]
pub enum Question<S> {
    /// The portal's answer.
    Send(Request),
    /// A page on disk, and this state with it.
    Keep(Page, S),
    /// Lines of the ledger.
    Look(Vec<LedgerKey>),
}

/// What it is told.
#[derive(Debug)]
pub enum Reply {
    /// The portal's answer.
    Answer(Answer),
    /// The page is on disk.
    Kept,
    /// The lines, in the order of their keys.
    Lines(Vec<Option<String>>),
}

/// How a script begins.
#[derive(Debug)]
pub struct Start<S> {
    /// Where the last one ended.
    pub state: S,
    /// The best wall time, milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// The last one did not come to its end, or there was none in this process.
    pub fresh: bool,
}

/// How it ends: what comes next, and the state; an early end leaves the state as it was kept last.
pub type End<S> = Result<(Turn, S), Turn>;

/// The script's side.
pub struct Ears<S> {
    line: Line<Question<S>, Reply>,
}

impl<S> Ears<S> {
    /// Carries out commands that only ask, fifty to a request.
    ///
    /// # Errors
    /// How the feed goes on, where the portal as a whole does not answer.
    pub async fn batch(&self, commands: &[Command]) -> Result<Vec<Outcome>, Turn> {
        let mut outcomes = Vec::with_capacity(commands.len());
        for chunk in commands.chunks(LIMIT) {
            let answer = self.send(batch::request(chunk)).await?;
            match Said::read(&answer) {
                Said::Result { result, .. } => outcomes.extend(batch::read(&result, chunk.len())),
                Said::Fault(fault) => return Err(stopped(&fault)),
                Said::Garbled => return Err(nonsense(&answer)),
            }
        }
        Ok(outcomes)
    }

    /// Calls one method by itself. The outer error is how the feed goes on; the inner one a refusal that the caller can judge.
    ///
    /// # Errors
    /// When the portal does not answer, or has had enough.
    pub async fn call(&self, method: &'static str, params: &Value) -> Result<Result<Value, Fault>, Turn> {
        let request = Request { timeout: batch::TIMEOUT, ..Request::json(Method::POST, format!("/{method}"), params, method) };
        let answer = self.send(request).await?;
        match Said::read(&answer) {
            Said::Result { result, .. } => Ok(Ok(result)),
            Said::Fault(fault) if matches!(fault::classify(&fault, None), Class::Busy { .. } | Class::Auth) => Err(stopped(&fault)),
            Said::Fault(fault) => Ok(Err(fault)),
            Said::Garbled => Err(nonsense(&answer)),
        }
    }

    /// Has a page and the state that covers it made durable.
    pub async fn keep(&self, page: Page, state: S) {
        self.line.ask(Question::Keep(page, state)).await;
    }

    /// Looks lines up in the ledger.
    pub async fn look(&self, keys: Vec<LedgerKey>) -> Vec<Option<String>> {
        match self.line.ask(Question::Look(keys)).await {
            Reply::Lines(lines) => lines,
            Reply::Answer(_) | Reply::Kept => Vec::new(),
        }
    }

    /// Looks one line up.
    pub async fn look_one(&self, key: LedgerKey) -> Option<String> {
        self.look(vec![key]).await.pop().flatten()
    }

    async fn send(&self, request: Request) -> Result<Answer, Turn> {
        match self.line.ask(Question::Send(request)).await {
            Reply::Answer(answer) => Ok(answer),
            Reply::Kept | Reply::Lines(_) => Err(Turn::Rest(AFTER_NONSENSE)),
        }
    }
}

/// How a feed goes on after an error that concerns it as a whole.
#[must_use]
pub fn stopped(fault: &Fault) -> Turn {
    match fault::classify(fault, None) {
        Class::Busy { after, .. } => Turn::Rest(after),
        Class::Auth => Turn::Trouble("auth", fault.show(), UNTIL_SOMEBODY),
        Class::Setup(code) => Turn::Trouble(code, fault.show(), UNTIL_SOMEBODY),
        Class::Unclear | Class::Gone | Class::Stale | Class::Refused => Turn::Trouble("crm/refused", fault.show(), AFTER_NONSENSE),
    }
}

fn nonsense(answer: &Answer) -> Turn {
    Turn::Trouble("crm/unreadable", format!("the portal answers {} with something that is none of its own", answer.status.as_u16()), AFTER_NONSENSE)
}

/// What makes scripts.
pub type Make<S> = Box<dyn Fn(Start<S>) -> Script<Question<S>, Reply, End<S>> + Send>;

/// A script for each turn of a feed. `talk` is a plain `async` function.
pub fn scripts<S, F, Fut>(talk: F) -> Make<S>
where
    S: Send + 'static,
    F: Fn(Ears<S>, Start<S>) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = End<S>> + Send + 'static,
{
    Box::new(move |start| {
        let talk = talk.clone();
        Script::new(move |line| talk(Ears { line }, start))
    })
}

/// A feed that runs scripts.
pub struct Listener<S> {
    name: &'static str,
    make: Make<S>,
    script: Option<Script<Question<S>, Reply, End<S>>>,
    /// The cursor: on disk, or ahead of it by turns that brought no news.
    state: Option<S>,
    /// The state of the page that is being kept.
    pending: Option<S>,
    ended_well: bool,
}

impl<S> Listener<S> {
    /// A feed of this name.
    pub fn new(name: &'static str, make: Make<S>) -> Self {
        Self { name, make, script: None, state: None, pending: None, ended_well: false }
    }
}

impl<S: Clone + Default + Serialize + DeserializeOwned + Send + 'static> Feed for Listener<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn host(&self) -> Host {
        Host::Crm
    }

    fn next(&mut self, heard: Heard<'_>, ledger: &dyn Ledger, now_wall_ms: i64) -> Turn {
        let mut reply = match heard {
            Heard::Begin => {
                let kept = || ledger.get(&cursor_key(self.name)).and_then(|text| serde_json::from_str(&text).ok());
                let state: S = self.state.clone().or_else(kept).unwrap_or_default();
                let fresh = !std::mem::take(&mut self.ended_well);
                self.pending = None;
                self.script = Some((self.make)(Start { state, now_ms: now_wall_ms, fresh }));
                None
            }
            Heard::Answer(answer) => Some(Reply::Answer(answer.clone())),
            Heard::Kept => {
                self.state = self.pending.take().or_else(|| self.state.take());
                Some(Reply::Kept)
            }
        };
        loop {
            let Some(script) = &mut self.script else { return Turn::Rest(AFTER_NONSENSE) };
            match script.step(reply.take()) {
                Ok(Ok((turn, state))) => {
                    self.script = None;
                    self.state = Some(state);
                    self.ended_well = true;
                    return turn;
                }
                Ok(Err(turn)) => {
                    self.script = None;
                    return turn;
                }
                Err(Some(Question::Send(request))) => return Turn::Ask(request),
                Err(Some(Question::Keep(mut page, state))) => {
                    page.learned.push(Learned { key: cursor_key(self.name), value: serde_json::to_string(&state).ok() });
                    self.pending = Some(state);
                    return Turn::Keep(page);
                }
                Err(Some(Question::Look(keys))) => reply = Some(Reply::Lines(keys.iter().map(|key| ledger.get(key)).collect())),
                Err(None) => {
                    self.script = None;
                    return Turn::Rest(AFTER_NONSENSE);
                }
            }
        }
    }
}
