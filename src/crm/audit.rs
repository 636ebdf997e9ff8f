//! Whether what the journal says was delivered is there, asked of the CRM itself by the passes' business keys.
//!
//! Each CRM brings a [`Search`]: pure, answered by [`drive_in`](super::setup::drive_in) as a setup is. Never: a write; a key called missing because
//! an answer could not be read or a filter was not heeded.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::ClientId;
use crate::http::{Answer, Request};

use super::script::Script;
use super::setup::SetupError;

/// A delivered pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// The business key.
    pub key: Uuid,
    /// What the journal says it became there: `lead:8001`, `deal:17`, `timeline:40`.
    pub remote: Option<String>,
    /// Whose pass it was.
    pub client: Option<ClientId>,
}

impl Sought {
    /// The id of what it became, where it is of this kind.
    #[must_use]
    pub fn remote_id(&self, kind: &str) -> Option<u64> {
        self.remote.as_deref()?.strip_prefix(kind)?.strip_prefix(':')?.parse().ok()
    }
}

/// A deal that the two-way integration made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoughtDeal {
    /// The job's business key, to be told by.
    pub key: Uuid,
    /// What it was made of.
    pub of: DealOf,
    /// What the journal says it became there: `lead:8001`, `deal:17`.
    pub remote: Option<String>,
}

/// What a deal was made of, by Lime's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DealOf {
    /// A receipt.
    Receipt(String),
    /// A preorder that was made at Lime.
    Preorder(String),
}

/// What the CRM says of a pass or a deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It is there, once.
    Found,
    /// It is not there.
    Missing,
    /// It is there more than once.
    Doubled,
}

impl Finding {
    /// Of so many records with one key.
    #[must_use]
    pub fn of(records: usize) -> Self {
        match records {
            0 => Self::Missing,
            1 => Self::Found,
            _ => Self::Doubled,
        }
    }
}

/// By key. A pass of which nothing has to be in the CRM is not in it.
pub type Findings = BTreeMap<Uuid, Finding>;

/// Ids of the records that carry a key. A set, for lists that shift while they are read show a record twice.
pub(super) type Hits = BTreeMap<Uuid, BTreeSet<u64>>;

/// The dialogue with one CRM.
pub type Search = Script<Request, Answer, Result<Findings, SetupError>>;
