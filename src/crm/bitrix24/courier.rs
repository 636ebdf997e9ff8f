//! Bitrix24's side of delivery.

use std::sync::{Arc, Mutex};

use super::operating::Operating;
use super::talk::{Opening, Settings};
use crate::config::{Bitrix24, Language};
use crate::crm::script::Talk;
use crate::crm::texts::Texts;
use crate::delivery::{Conversation, Courier, Job, Ledger};
use crate::journal::Destination;

/// Most jobs in a batch: five requests' worth of creates.
const BATCH: usize = 250;

/// Takes write-offs to Bitrix24.
#[derive(Debug)]
pub struct Bitrix24Courier {
    settings: Arc<Settings>,
    budget: Arc<Mutex<Operating>>,
}

impl Bitrix24Courier {
    /// A courier for one portal. `zone` is the venue's.
    #[must_use]
    pub fn new(config: &Bitrix24, language: Language, zone: jiff::tz::TimeZone) -> Self {
        let settings = Settings { passes: config.passes.clone(), texts: Texts::new(language, zone) };
        Self { settings: Arc::new(settings), budget: Arc::default() }
    }
}

impl Courier for Bitrix24Courier {
    fn destination(&self) -> Destination {
        Destination::Crm
    }

    fn batch_limit(&self) -> usize {
        BATCH
    }

    fn begin(&self, batch: Vec<Job>, ledger: &dyn Ledger, now_wall_ms: i64) -> Box<dyn Conversation> {
        let opening = Opening::new(Arc::clone(&self.settings), Arc::clone(&self.budget), batch, ledger, now_wall_ms);
        Box::new(Talk::new(|line| opening.hold(line)))
    }
}
