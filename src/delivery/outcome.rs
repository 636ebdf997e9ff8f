//! From a dialogue's verdicts to records for the journal and changes for the lanes. Pure.
//!
//! Never: a job without an end or a way on; an answer longer than a dead letter takes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::domain::{Seq, Stamp};
use crate::journal::{DeadLetter, Destination, Learned, Record, Settled, SettledItem};

use super::backoff::{full_jitter, millis};
use super::conversation::{Confirmed, Verdict};
use super::doubt::{self, Then};
use super::job::{Doubt, Job};
use super::lanes::Back;

/// A dead letter keeps this much of an answer.
const ANSWER_KEPT: usize = 2 * 1024;

/// What brought a dialogue to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It came to its own end.
    Finished,
    /// Nothing was sent, or nothing was done there: the remote, its limit, our disk or our stop. Not before this boot time.
    Blameless(u64),
    /// A call's outcome is unknown. Not before this boot time.
    Unknown(u64),
}

/// How a dialogue ended.
pub(super) struct Ended {
    pub verdicts: Vec<(Seq, Verdict)>,
    pub learned: Vec<Learned>,
    pub cause: Cause,
    /// Jobs for which a create has left.
    pub written: BTreeSet<Seq>,
}

/// What happens to a job in the lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is over.
    Done,
    /// It waits on.
    Back { due_ms: u64, blame: Back, doubt: Option<Doubt> },
}

/// All that follows.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub records: Vec<Record>,
    pub changes: Vec<(Seq, Change)>,
    pub confirmed: usize,
    pub dead: usize,
    /// The code of the last job that has to try again for a reason of its own.
    pub trouble: Option<String>,
}

/// What the outcome depends on besides the verdicts.
pub(super) struct Context<'a> {
    pub to: Destination,
    pub now: Stamp,
    pub settle_window: Duration,
    pub backoff: (Duration, Duration),
    pub jobs: &'a [Job],
    pub facts: &'a HashMap<Seq, Record>,
    pub strikes: &'a HashMap<Seq, u32>,
}

/// Works out what follows.
pub(super) fn settle(ended: Ended, context: &Context<'_>, chance: &mut fastrand::Rng) -> Outcome {
    let mut verdicts: BTreeMap<Seq, Verdict> = ended.verdicts.into_iter().collect();
    let mut outcome = Outcome::default();
    let mut settled = Vec::new();
    for job in context.jobs {
        let verdict = verdicts.remove(&job.seq).unwrap_or_else(|| {
            if ended.written.contains(&job.seq) {
                Verdict::Doubtful
            } else {
                Verdict::Retry { reason: "delivery/no_verdict".to_owned(), after: None }
            }
        });
        let change = match verdict {
            Verdict::Confirmed(Confirmed::WriteOff(write_off)) => {
                outcome.confirmed += 1;
                outcome.records.push(Record::WriteOff(*write_off));
                Change::Done
            }
            Verdict::Confirmed(Confirmed::Remote(remote)) => {
                outcome.confirmed += 1;
                settled.push(SettledItem { job: job.seq, remote });
                Change::Done
            }
            Verdict::Dead { reason, answer } => {
                outcome.dead += 1;
                outcome.records.push(Record::Dead(letter(context, job, reason, answer)));
                Change::Done
            }
            Verdict::NotFound => match job.doubt.map(|doubt| doubt::not_found(doubt, context.now.boot_ms, context.settle_window)) {
                Some(Then::AskAgain(doubt, due_ms)) => Change::Back { due_ms, blame: Back::Blameless, doubt: Some(doubt) },
                Some(Then::StartAfresh) | None => Change::Back { due_ms: context.now.boot_ms, blame: Back::Blameless, doubt: None },
            },
            Verdict::Doubtful => {
                let sent_wall_ms = job.doubt.map_or(context.now.wall_ms, |doubt| doubt.sent_wall_ms);
                let doubt = doubt::begin(context.now.boot_ms, sent_wall_ms);
                let due_ms = context.due(ended.cause, job.seq, chance);
                Change::Back { due_ms, blame: Back::Suspect, doubt: Some(doubt) }
            }
            Verdict::Retry { reason, after } => {
                if ended.cause == Cause::Finished {
                    outcome.trouble = Some(reason);
                }
                let (due_ms, blame) = match (after, ended.cause) {
                    (Some(after), _) => (context.now.boot_ms.saturating_add(millis(after)), Back::Blameless),
                    (None, Cause::Blameless(until)) => (until, Back::Blameless),
                    (None, cause) => (context.due(cause, job.seq, chance), Back::Suspect),
                };
                // A doubt that was not resolved stays.
                Change::Back { due_ms, blame, doubt: job.doubt }
            }
        };
        outcome.changes.push((job.seq, change));
    }
    if !settled.is_empty() || !ended.learned.is_empty() {
        let record = Settled { to: context.to, items: settled, learned: ended.learned, stamp: context.now };
        outcome.records.push(Record::Settled(record));
    }
    outcome
}

impl Context<'_> {
    /// When a job that may be at fault goes again: its own backoff, and not before the remote is worth trying.
    fn due(&self, cause: Cause, seq: Seq, chance: &mut fastrand::Rng) -> u64 {
        let strikes = self.strikes.get(&seq).copied().unwrap_or(0);
        let own = self.now.boot_ms.saturating_add(millis(full_jitter(self.backoff.0, self.backoff.1, strikes, chance)));
        match cause {
            Cause::Finished => own,
            Cause::Blameless(until) => until,
            Cause::Unknown(until) => own.max(until),
        }
    }
}

fn letter(context: &Context<'_>, job: &Job, reason: String, mut answer: String) -> DeadLetter {
    let mut end = answer.len().min(ANSWER_KEPT);
    while !answer.is_char_boundary(end) {
        end -= 1;
    }
    answer.truncate(end);
    let fact = context.facts.get(&job.seq).and_then(|record| minicbor::to_vec(record).ok()).unwrap_or_default();
    DeadLetter { to: context.to, job: job.seq, key: job.key, reason, answer, fact, stamp: context.now }
}
