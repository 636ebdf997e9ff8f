//! Bitrix24's side of delivery.

use std::sync::Arc;
use std::time::Duration;

use super::fault::{self, Class};
use super::talk::{Opening, Settings, Shared};
use super::wire::Fault;
use crate::config::{Bitrix24, Hub, Language};
use crate::crm::script::Talk;
use crate::crm::texts::Texts;
use crate::delivery::{Conversation, Courier, Host, Job, Ledger};
use crate::flow::contacts::Keyer;
use crate::http::Answer;
use crate::journal::Destination;

/// Most jobs in a batch: five requests' worth of creates.
const BATCH: usize = 250;

/// An answer that says nothing but an error is shorter than this.
const SHORT: usize = 512;

/// Takes write-offs, and what the two-way integration tells, to Bitrix24.
#[derive(Debug)]
pub struct Bitrix24Courier {
    settings: Arc<Settings>,
    shared: Arc<Shared>,
}

impl Bitrix24Courier {
    /// A courier for one portal. `zone` is the venue's.
    #[must_use]
    pub fn new(config: &Bitrix24, language: Language, zone: jiff::tz::TimeZone) -> Self {
        let settings = Settings { passes: config.passes.clone(), texts: Texts::new(language, zone), hub: None, keyer: None };
        Self { settings: Arc::new(settings), shared: Arc::default() }
    }

    /// The same courier, where this box runs the two-way integration.
    #[must_use]
    pub fn with_hub(mut self, hub: Option<Hub>) -> Self {
        self.settings = Arc::new(Settings { hub, ..(*self.settings).clone() });
        self
    }

    /// The same courier with the box's key for marks of people's data: without it no contact goes both ways.
    #[must_use]
    pub fn with_marks(mut self, keyer: Option<Keyer>) -> Self {
        self.settings = Arc::new(Settings { keyer, ..(*self.settings).clone() });
        self
    }
}

impl Courier for Bitrix24Courier {
    fn destination(&self) -> Destination {
        Destination::Crm
    }

    fn batch_limit(&self) -> usize {
        BATCH
    }

    fn limited(&self, host: Host, answer: &Answer) -> Option<Duration> {
        // Refusals by rate come as 503, and a proxy may change the status: the code decides, and is looked for where an error may be.
        if host != Host::Crm || (answer.status.is_success() && answer.body.len() > SHORT) {
            return None;
        }
        match fault::classify(&Fault::read(&answer.json()?)?, None) {
            Class::Busy { after, .. } => Some(after),
            _ => None,
        }
    }

    fn begin(&self, batch: Vec<Job>, ledger: &dyn Ledger, now_wall_ms: i64) -> Box<dyn Conversation> {
        let opening = Opening::new(Arc::clone(&self.settings), Arc::clone(&self.shared), batch, ledger, now_wall_ms);
        Box::new(Talk::new(|line| opening.hold(line)))
    }
}
