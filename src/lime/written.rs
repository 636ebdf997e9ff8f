//! How a write to Lime ended: the same four ends for clients and preorders. Pure.

use std::time::Duration;

use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::http::Answer;

use super::parse::{ParseProblem, document, unreadable};

/// Who writes, as Lime's feeds will tell it back: `crm:amo` or `crm:b24`, and what the thing is called there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By<'a> {
    /// `crm:amo`, `crm:b24` or `gw`.
    pub origin: &'a str,
    /// `amo:contact:5`, `b24:deal:7`. Never a name or a phone.
    pub reference: &'a str,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written<T, C> {
    /// It is there, as this says.
    Done(T),
    /// Lime has something else there: read it, merge, and write anew.
    Conflict(C),
    /// Refused for good. A stable code: `lime/invalid_field`.
    Refused(String),
    /// Not now, or an answer that cannot be read; the same write may be sent again.
    Later {
        /// A stable code: `lime/503`.
        code: String,
        /// `Retry-After`.
        after: Option<Duration>,
    },
}

impl<T, C> Written<T, C> {
    /// What stands in the way, as an end.
    pub(super) fn of(problem: &ParseProblem) -> Self {
        match problem {
            ParseProblem::NotFound | ParseProblem::Refused { .. } => Self::Refused(problem.code()),
            ParseProblem::Later { after, .. } => Self::Later { code: problem.code(), after: *after },
            ParseProblem::Unreadable(_) => Self::Later { code: problem.code(), after: None },
        }
    }
}

/// The body of 200 or 201, or what stands in the way.
pub(super) fn body<T: DeserializeOwned>(answer: &Answer) -> Result<T, ParseProblem> {
    if answer.status == StatusCode::CREATED {
        return serde_json::from_slice(&answer.body).map_err(|problem| unreadable(&problem));
    }
    document(answer)
}

/// The contract's code of a refusal with this status, where the answer is one.
pub(super) fn refused_with(answer: &Answer, status: StatusCode) -> Option<String> {
    if answer.status != status {
        return None;
    }
    let problem: super::wire::Problem = serde_json::from_slice(&answer.body).ok()?;
    Some(super::parse::stable(&problem.error.code))
}
