//! The books of one batch: what each job still owes, what was decided of it, and what was learned.
//!
//! Never: a decision taken back; a job without a verdict at the end; a write whose outcome is unknown counted as anything but doubtful.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::crm::script::Ending;
use crate::delivery::{Confirmed, Verdict};
use crate::domain::Seq;
use crate::journal::{Learned, LedgerKey};

/// Why a batch cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// A stable code for status.
    pub reason: String,
    /// Not before this, where the answer says so.
    pub after: Option<Duration>,
}

impl Halt {
    /// A halt without a named time: the job may be at fault, and backs off.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), after: None }
    }

    /// A halt until a person has done something at the portal: no job is at fault.
    #[must_use]
    pub fn person(reason: impl Into<String>) -> Self {
        Self::after(reason, Duration::from_secs(30))
    }

    /// A halt until a named time.
    #[must_use]
    pub fn after(reason: impl Into<String>, after: Duration) -> Self {
        Self { reason: reason.into(), after: Some(after) }
    }
}

impl From<Halt> for Verdict {
    fn from(halt: Halt) -> Self {
        Self::Retry { reason: halt.reason, after: halt.after }
    }
}

/// Verdicts and lessons so far.
#[derive(Debug, Default)]
pub struct Book {
    verdicts: BTreeMap<Seq, Option<Verdict>>,
    learned: BTreeMap<LedgerKey, Option<String>>,
}

impl Book {
    /// An open line for each job.
    pub fn of(jobs: impl IntoIterator<Item = Seq>) -> Self {
        Self { verdicts: jobs.into_iter().map(|seq| (seq, None)).collect(), learned: BTreeMap::new() }
    }

    /// The job has no verdict yet.
    #[must_use]
    pub fn is_open(&self, job: Seq) -> bool {
        matches!(self.verdicts.get(&job), Some(None))
    }

    /// The job was decided on and has to try again.
    #[must_use]
    pub fn waits(&self, job: Seq) -> bool {
        let verdict = self.verdicts.get(&job).and_then(Option::as_ref);
        matches!(verdict, Some(Verdict::Retry { .. } | Verdict::Doubtful | Verdict::NotFound))
    }

    /// Decides on a job. The first decision stays.
    pub fn decide(&mut self, job: Seq, verdict: impl Into<Verdict>) {
        if let Some(line) = self.verdicts.get_mut(&job)
            && line.is_none()
        {
            *line = Some(verdict.into());
        }
    }

    /// The job has arrived.
    pub fn confirm(&mut self, job: Seq, remote: Option<String>) {
        self.decide(job, Verdict::Confirmed(Confirmed::Remote(remote)));
    }

    /// Keeps a line for the ledger; `None` forgets the key. The last word counts.
    pub fn learn(&mut self, key: LedgerKey, value: Option<String>) {
        self.learned.insert(key, value);
    }

    /// Keeps nothing under a key after all.
    pub fn unlearn(&mut self, key: &LedgerKey) {
        self.learned.remove(key);
    }

    /// Closes the books: what is still open shares the fate of the batch.
    #[must_use]
    pub fn close(self, halt: &Halt) -> Ending {
        let verdicts = self.verdicts.into_iter().map(|(seq, verdict)| (seq, verdict.unwrap_or_else(|| halt.clone().into()))).collect();
        let learned = self.learned.into_iter().map(|(key, value)| Learned { key, value }).collect();
        (verdicts, learned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_decision_stays_and_what_is_open_shares_the_fate_of_the_batch() {
        let mut book = Book::of([1, 2]);
        book.decide(1, Verdict::Doubtful);
        book.confirm(1, None);
        book.confirm(9, None);
        assert!(!book.is_open(1) && book.is_open(2) && !book.is_open(9));
        let (verdicts, learned) = book.close(&Halt::new("http/503"));
        assert_eq!(verdicts, [(1, Verdict::Doubtful), (2, Verdict::Retry { reason: "http/503".to_owned(), after: None })]);
        assert!(learned.is_empty());
    }
}
