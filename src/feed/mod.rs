//! Feeds: what Lime and the CRM tell of by themselves. A box behind a router cannot be called, so it asks.
//!
//! What is asked and what an answer means is decided by pure [`Feed`]s, one for each thing that is told of (`lime::feed`, `crm::amocrm::feed_contacts`,
//! `crm::bitrix24::feed_contacts`). One [`run()`] for each carries it out: it takes a turn at the remote like everyone else, and appends changes and the cursor that
//! covers them together.
//!
//! Never: a cursor ahead of the changes that it covers; a second place that counts tokens; a change told twice that the feed could know to be the same.

mod hints;
mod run;

use std::time::Duration;

use crate::delivery::{Host, Ledger};
use crate::domain::Told;
use crate::http::{Answer, Request};
use crate::journal::{Learned, LedgerKey};

pub use hints::{Hint, Hints};
pub use run::{Parts, run};

/// Something that was told of, before it is stamped.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// What.
    pub told: Told,
    /// What tells this change from another of the same thing.
    pub version: String,
    /// When it changed over there, milliseconds since 1970 UTC.
    pub changed_ms: i64,
    /// Who changed it, as the feed says.
    pub origin: Option<String>,
    /// It was read in a walk over everything.
    pub back_fill: bool,
}

/// What is to be made durable together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// What was told, in order.
    pub news: Vec<News>,
    /// The cursor that covers it, and what else was learned on the way. See [`cursor_key`].
    pub learned: Vec<Learned>,
}

/// What a feed was told.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// Nothing yet: begin from the cursor in the ledger. Also after any failure: whatever was not kept is asked for again.
    Begin,
    /// The answer to its last question. Of any status but 429, and but what delivery's authorisation deals with.
    Answer(&'a Answer),
    /// Its last page is on disk.
    Kept,
}

/// What a feed wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Ask this.
    Ask(Request),
    /// Make this durable.
    Keep(Page),
    /// Nothing more for now: begin again after this long, or when somebody hints that there is news.
    Rest(Duration),
    /// The remote does not do what is asked. A stable code and words for whoever sets it up, and begin again after this long.
    Trouble(&'static str, String, Duration),
}

impl From<Box<Turn>> for Turn {
    fn from(turn: Box<Turn>) -> Self {
        *turn
    }
}

/// One feed: a pure dialogue. No I/O, no clock: `now_wall_ms` is the best wall time, milliseconds since 1970 UTC.
pub trait Feed: Send {
    /// Its name in cursors, status and logs: `lime.clients`, `amocrm.contacts`.
    fn name(&self) -> &'static str;

    /// Who is asked.
    fn host(&self) -> Host;

    /// Goes on.
    fn next(&mut self, heard: Heard<'_>, ledger: &dyn Ledger, now_wall_ms: i64) -> Turn;

    /// The ids of what could not be read since this was asked last: they are counted, and said in the log. Never a name, a phone or a card.
    fn passed_over(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Where a feed's cursor stands in the ledger: `cursor`, by the feed's name.
#[must_use]
pub fn cursor_key(feed: &str) -> LedgerKey {
    LedgerKey { kind: "cursor".to_owned(), key: feed.to_owned() }
}
