//! How a command ended, as a consequence for the jobs that it was for.

use serde_json::Value;

use super::batch::{Command, Outcome};
use super::book::Halt;
use super::fault::{self, Class};
use super::schema;
use crate::delivery::Verdict;

/// How a command ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// It was carried out.
    Done(Value),
    /// What it names is not there.
    Gone,
    /// It names a field, funnel or stage that the portal does not know.
    Stale,
    /// It was not, and this is what follows for its jobs.
    Verdict(Verdict),
}

impl Ended {
    /// Of a command that creates something. `refusal` is the code under which a refusal is put away.
    #[must_use]
    pub fn of_create(command: &Command, outcome: Outcome, refusal: &'static str) -> Self {
        match outcome {
            Outcome::Unanswered => Self::Verdict(Verdict::Doubtful),
            Outcome::Fault { ref fault, timing } if fault::classify(fault, timing) == Class::Unclear => Self::Verdict(Verdict::Doubtful),
            outcome => Self::of(command, outcome, refusal),
        }
    }

    /// Of a command that may be repeated.
    #[must_use]
    pub fn of(command: &Command, outcome: Outcome, refusal: &'static str) -> Self {
        match outcome {
            Outcome::Done { result, .. } => Self::Done(result),
            Outcome::Unanswered => Self::Verdict(Halt::new("crm/unanswered").into()),
            Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
                Class::Gone => Self::Gone,
                Class::Stale => Self::Stale,
                Class::Refused => Self::Verdict(Verdict::Dead { reason: refusal.to_owned(), answer: command.unsaid(&fault.show()) }),
                class => Self::Verdict(schema::halt(&class).into()),
            },
        }
    }
}
