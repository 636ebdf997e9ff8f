//! One contact as it stands in the CRM, for a person who wants to know what a synchronisation would change. Only asks.

use crate::flow::contacts::Card;
use crate::http::{Answer, Request};

use super::script::Script;
use super::setup::SetupError;

/// A contact as it stands.
#[derive(Clone, Debug)]
pub struct Glance {
    /// Its six fields.
    pub card: Card,
    /// When people changed it last, milliseconds since 1970 UTC; 0 where that is not known.
    pub changed_ms: i64,
}

/// The dialogue with one CRM, to be given to [`drive_in`](super::setup::drive_in). `None`: there is no such contact any more.
pub type Look = Script<Request, Answer, Result<Option<Glance>, SetupError>>;
