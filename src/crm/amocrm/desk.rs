//! The batch on the desk: who is asked, which jobs have a verdict, what was learned.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::crm::guests::AskLime;
use crate::crm::script::{Ending, Line};
use crate::delivery::{Call, Confirmed, Effect, Host, Job, NoAnswer, Verdict};
use crate::domain::Seq;
use crate::http::{Answer, Request};
use crate::journal::{Learned, LedgerKey};

use super::errors::{Meaning, meaning};
use super::wire::{self, Page};

/// Why a conversation goes no further. Jobs without a verdict try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// No answer came.
    Silence(NoAnswer),
    /// The answer was: not now.
    Later {
        /// A stable code.
        reason: String,
        /// How long to wait.
        after: Option<Duration>,
    },
    /// A field, pipeline or stage has gone: the schema must be read again.
    Schema,
}

impl Stop {
    /// Not now, for this reason.
    pub fn later(reason: impl Into<String>, after: Option<Duration>) -> Self {
        Self::Later { reason: reason.into(), after }
    }
}

/// The batch on the desk.
#[derive(Debug)]
pub struct Desk {
    line: Line<Call, Result<Answer, NoAnswer>>,
    jobs: Vec<Job>,
    verdicts: BTreeMap<Seq, Verdict>,
    learned: BTreeMap<LedgerKey, Option<String>>,
    /// amoCRM has taken a write of this conversation: a refusal is about the item, not about us.
    pub accepted: bool,
    /// The schema was read in this conversation.
    pub reloaded: bool,
}

impl Desk {
    /// Puts a batch on the desk.
    #[must_use]
    pub fn new(line: Line<Call, Result<Answer, NoAnswer>>, jobs: Vec<Job>) -> Self {
        Self { line, jobs, verdicts: BTreeMap::new(), learned: BTreeMap::new(), accepted: false, reloaded: false }
    }

    /// Jobs without a verdict.
    #[must_use]
    pub fn open(&self) -> Vec<Job> {
        self.jobs.iter().filter(|job| !self.verdicts.contains_key(&job.seq)).cloned().collect()
    }

    /// This job has no verdict yet.
    #[must_use]
    pub fn is_open(&self, job: Seq) -> bool {
        !self.verdicts.contains_key(&job)
    }

    /// Gives a verdict; the first one stays.
    pub fn judge(&mut self, job: Seq, verdict: Verdict) {
        self.verdicts.entry(job).or_insert(verdict);
    }

    /// Jobs that a write may have been carried out for.
    pub fn doubt(&mut self, jobs: &[Seq]) {
        for job in jobs {
            self.judge(*job, Verdict::Doubtful);
        }
    }

    /// It is there, as a lead.
    pub fn confirm(&mut self, job: Seq, lead: u64) {
        self.done(job, Some(format!("lead:{lead}")));
    }

    /// It is done, and this is where: `contact:7001`.
    pub fn done(&mut self, job: Seq, remote: Option<String>) {
        self.judge(job, Verdict::Confirmed(Confirmed::Remote(remote)));
    }

    /// Keeps a line in the ledger; `None` forgets it.
    pub fn learn(&mut self, key: LedgerKey, value: Option<String>) {
        self.learned.insert(key, value);
    }

    /// Asks without harm.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn ask(&mut self, host: Host, request: Request) -> Result<Answer, Stop> {
        self.line.ask(Call { host, request, effect: Effect::Repeatable }).await.map_err(Stop::Silence)
    }

    /// Sets fixed values. These lines of the ledger are on disk before it leaves, so that no feed takes what we wrote for news.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn set(&mut self, host: Host, request: Request, learned: Vec<Learned>) -> Result<Answer, Stop> {
        self.line.ask(Call { host, request, effect: Effect::Sets(learned) }).await.map_err(Stop::Silence)
    }

    /// Creates for these jobs. Where the outcome is unknown they are doubtful from here on.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn create(&mut self, request: Request, jobs: Vec<Seq>) -> Result<Answer, Stop> {
        let answer = self.line.ask(Call { host: Host::Crm, request, effect: Effect::Creates(jobs.clone()) }).await;
        if answer == Err(NoAnswer::Unknown) {
            self.doubt(&jobs);
        }
        answer.map_err(Stop::Silence)
    }

    /// Asks for a list.
    ///
    /// # Errors
    /// When there is no list in the answer, or no answer.
    pub async fn page(&mut self, request: Request, key: &str) -> Result<Page, Stop> {
        let answer = self.ask(Host::Crm, request).await?;
        good(&answer)?;
        wire::page(&answer, key).ok_or_else(|| Stop::later("amocrm/unreadable", None))
    }

    /// A verdict for each job. Jobs without one try again; delivery keeps the doubt of those that are in doubt.
    #[must_use]
    pub fn ending(mut self, stop: Option<Stop>) -> Ending {
        let (reason, after) = match stop {
            Some(Stop::Later { reason, after }) => (reason, after),
            Some(Stop::Silence(NoAnswer::NotSent)) => ("not_sent".to_owned(), None),
            Some(Stop::Silence(NoAnswer::Unknown)) => ("unknown".to_owned(), None),
            Some(Stop::Schema) => ("setup/schema".to_owned(), Some(Duration::from_secs(60))),
            None => ("amocrm/unfinished".to_owned(), None),
        };
        let verdicts = self
            .jobs
            .iter()
            .map(|job| {
                let again = || Verdict::Retry { reason: reason.clone(), after };
                (job.seq, self.verdicts.remove(&job.seq).unwrap_or_else(again))
            })
            .collect();
        let learned = self.learned.into_iter().map(|(key, value)| Learned { key, value }).collect();
        (verdicts, learned)
    }
}

impl AskLime for Desk {
    type Stop = Stop;

    fn ask_lime(&mut self, request: Request) -> impl Future<Output = Result<Answer, Stop>> + Send {
        self.ask(Host::Lime, request)
    }
}

/// A read that was not answered well is tried again later.
///
/// # Errors
/// When it was not.
pub fn good(answer: &Answer) -> Result<(), Stop> {
    match meaning(answer) {
        Meaning::Good => Ok(()),
        Meaning::Later { reason, after } => Err(Stop::Later { reason, after }),
        Meaning::Broken { reason } => Err(Stop::later(reason, None)),
        Meaning::BadItems(_) | Meaning::Refused { .. } => Err(Stop::later(format!("http/{}", answer.status.as_u16()), Some(Duration::from_secs(60)))),
    }
}
