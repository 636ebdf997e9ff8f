//! The question to Lime while a guest stands at the gate, and what may come of it.
//!
//! Never: an answer that came too late thrown away. Lime may hold an entitlement for a guest that the box has meanwhile refused, or have refused one that
//! it let in.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::{Decision, Pass};
use crate::http::BoxFuture;

/// When Lime is to take what it grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// At once: nobody will see whether the guest went through.
    Immediate,
    /// It holds it until the passage is reported, or the hold expires.
    OnPassage,
}

impl Commit {
    /// As the Lime gateway API v1 names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::OnPassage => "on_passage",
        }
    }
}

/// What came of a question.
#[derive(Debug)]
pub enum Answer {
    /// Lime lets the guest in.
    Granted {
        /// The decision to report: mode `online`, the hold, the entitlement.
        decision: Decision,
        /// At most two short lines for a display. May be empty.
        lines: Vec<String>,
        /// How long the gate is to be open, milliseconds, where Lime says so.
        open_ms: Option<u32>,
    },
    /// Lime does not.
    Refused {
        /// The decision to report: mode `online`, Lime's code.
        decision: Decision,
        /// At most two short lines for a display. May be empty.
        lines: Vec<String>,
    },
    /// No answer within the budget, or none that says yes or no.
    NoAnswer {
        /// The question may have reached Lime: it may have granted or refused by now. False: it certainly has not.
        sent: bool,
        /// Yields [`Answer::Granted`] or [`Answer::Refused`] when one comes after all; closes when none will. Nothing: none can come.
        late: Option<oneshot::Receiver<Answer>>,
    },
}

/// Decides while the guest waits: Lime, or a stand-in in tests.
pub trait Authority: Send + Sync {
    /// Asks whether this pass may go through. The pass's id is the write-off id, so that asking twice takes once. Returns within `budget`, connecting
    /// included; dropping the future loses the answer, so that the caller waits for it.
    fn ask<'a>(&'a self, pass: &'a Pass, commit: Commit, budget: Duration) -> BoxFuture<'a, Answer>;
}
