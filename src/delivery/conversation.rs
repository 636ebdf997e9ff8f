//! The seam between delivery and a destination: a pure dialogue.
//!
//! A conversation is told a batch of jobs, says what to send, is told how that ended, and so on until it has a verdict for each job. It has no I/O, no
//! clock and no randomness; the runner has. So every destination is tested by answering it.

use std::time::Duration;

use crate::domain::Seq;
use crate::http::{Answer, Request};
use crate::journal::{Destination, Learned, LedgerKey};

use super::job::Job;

/// A remote with its own address, authorisation, pace and breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// Lime.
    Lime,
    /// The CRM.
    Crm,
}

/// Whether a call changes anything over there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only asks, or it may be repeated without harm (a PATCH to fixed values, Lime's idempotent batch): an unknown outcome is a failed attempt.
    Repeatable,
    /// It creates something for these jobs: `sending` is journalled first, and an unknown outcome makes them doubtful.
    Creates(Vec<Seq>),
    /// It sets what is there to fixed values, and may be repeated like what only asks. These lines of the ledger are on disk before its first byte
    /// leaves: what it sets is then known as ours when a feed tells of it, whatever becomes of the answer and of this box.
    Sets(Vec<Learned>),
}

/// One request on behalf of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// To whom.
    pub host: Host,
    /// What.
    pub request: Request,
    /// What it does there.
    pub effect: Effect,
}

/// What the conversation wants next.
#[derive(Debug)]
pub enum Step {
    /// Send this, then call `next` with the answer. Transport failures, 401 with a renewable token, 429 and breaker are the runner's business: where
    /// it cannot get an answer, it ends the conversation (`give_up`).
    Call(Call),
    /// Finished: a verdict for each job of the batch, and what to remember.
    Done {
        /// One for each job.
        verdicts: Vec<(Seq, Verdict)>,
        /// Lines for the ledger; kept in the same append as the verdicts.
        learned: Vec<Learned>,
    },
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is there. For Lime: the write-off fact to journal. For the CRM: the remote id.
    Confirmed(Confirmed),
    /// Asked for, and not there. The runner asks once more after the settle window, then the job starts afresh.
    NotFound,
    /// Try again, after this long if the answer said so. `reason` is a stable code for status: `lime/retry`, `http/503`.
    Retry {
        /// Why.
        reason: String,
        /// Not before this.
        after: Option<Duration>,
    },
    /// A write left and what became of it is not known.
    Doubtful,
    /// Refused for good.
    Dead {
        /// A stable code.
        reason: String,
        /// The answer, for the person who will look at it. Without tokens.
        answer: String,
    },
}

/// What a confirmed job became.
#[derive(Clone, Debug, PartialEq)]
pub enum Confirmed {
    /// Lime's outcome: journalled as a fact of its own.
    WriteOff(Box<crate::domain::WriteOff>),
    /// The CRM's id: `lead:8001`.
    Remote(Option<String>),
}

/// Why the runner could not get an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// Certainly not sent.
    NotSent,
    /// Possibly sent; no complete answer.
    Unknown,
}

/// A dialogue about one batch.
pub trait Conversation: Send {
    /// The next step; `answer` is the answer to the last call, `None` at the beginning.
    fn next(&mut self, answer: Option<&Answer>) -> Step;

    /// The last call brought no answer. Verdicts for each job as far as the dialogue came: confirmed ones stay confirmed, those of an unknown
    /// [`Effect::Creates`] are doubtful, the others try again.
    fn give_up(&mut self, why: NoAnswer) -> (Vec<(Seq, Verdict)>, Vec<Learned>);
}

/// What the ledger knows: lookups only, so that a conversation can be begun without I/O of its own.
pub trait Ledger: Send + Sync {
    /// The value under a key.
    fn get(&self, key: &LedgerKey) -> Option<String>;
}

/// A destination's side of delivery: makes conversations.
pub trait Courier: Send + Sync {
    /// Whose jobs it takes.
    fn destination(&self) -> Destination;

    /// Most jobs in one batch.
    fn batch_limit(&self) -> usize;

    /// Most jobs of one order key in one batch. One, where the destination may take the later of two and send the earlier back, which would turn
    /// their order around; more, where jobs of one key share work (several passes of one guest cost one update of the contact).
    fn per_key_limit(&self) -> usize {
        self.batch_limit()
    }

    /// The answer says that a limit is reached and that nothing was done: how long to be silent before the same request goes again. Asked for answers of
    /// any status. 429 with or without `Retry-After` needs no help; an answer that says it in its body does. The conversation does not see these answers.
    fn limited(&self, host: Host, answer: &Answer) -> Option<Duration> {
        let _ = (host, answer);
        None
    }

    /// Begins a dialogue about a batch. Pure but for ledger look-ups. `now_wall_ms` is the best wall time, for texts such as "updated at".
    fn begin(&self, batch: Vec<Job>, ledger: &dyn Ledger, now_wall_ms: i64) -> Box<dyn Conversation>;
}
