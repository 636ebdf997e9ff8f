//! The jobs of the two-way integration in a batch, and what the ledger knows for them.
//!
//! A conversation is begun with look-ups only, and goes on without them: whatever a job can need of the ledger is looked up at the beginning, by the module
//! that will deliver it.

use std::collections::BTreeMap;

use super::{preorders, products, receipts};
use crate::config::Hub;
use crate::delivery::Ledger;
use crate::domain::{Change, ClientId, Seq, Told};
use crate::journal::LedgerKey;

/// One job of the integration.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Its name in the box.
    pub seq: Seq,
    /// What was told.
    pub change: Change,
    /// An earlier write's outcome is unknown. Taken back by the module that finds out.
    pub doubtful: bool,
    /// Nothing older waits for the CRM.
    pub oldest: bool,
    /// Attempts so far.
    pub attempts: u32,
}

impl Errand {
    /// The client that it names.
    #[must_use]
    pub fn client(&self) -> Option<&ClientId> {
        match &self.change.told {
            Told::Client { id, .. } => Some(id),
            Told::Contact { client, .. } => client.as_ref(),
            Told::Receipt(receipt) => receipt.client_id.as_ref(),
            Told::Preorder(preorder) => preorder.client_id.as_ref(),
            Told::Product(_) | Told::ProductGone(_) | Told::Deal { .. } => None,
        }
    }

    /// It is about a person and nothing else: a client of Lime's, a contact of the CRM's.
    #[must_use]
    pub fn is_of_a_person(&self) -> bool {
        matches!(self.change.told, Told::Client { .. } | Told::Contact { .. })
    }

    /// It needs the client's contact at the portal, and makes it where it is missing.
    #[must_use]
    pub fn makes_contacts(&self, registration: bool) -> bool {
        match &self.change.told {
            Told::Receipt(_) | Told::Preorder(_) => true,
            Told::Client { deleted, .. } => registration && !deleted,
            Told::Contact { .. } | Told::Product(_) | Told::ProductGone(_) | Told::Deal { .. } => false,
        }
    }
}

/// Lines of the ledger, as they were when the batch began.
#[derive(Clone, Debug, Default)]
pub struct Kept(BTreeMap<LedgerKey, String>);

impl Kept {
    /// Takes note of what was learned since.
    pub fn put(&mut self, key: LedgerKey, value: Option<String>) {
        match value {
            Some(value) => self.0.insert(key, value),
            None => self.0.remove(&key),
        };
    }

    /// What is under a key that was looked up.
    #[must_use]
    pub fn get(&self, key: &LedgerKey) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// Looks lines up for a batch, and keeps them.
pub struct LookUp<'a> {
    ledger: &'a dyn Ledger,
    kept: Kept,
}

impl<'a> LookUp<'a> {
    /// Nothing looked up yet.
    #[must_use]
    pub fn new(ledger: &'a dyn Ledger) -> Self {
        Self { ledger, kept: Kept::default() }
    }

    /// What is under a key; kept for the conversation.
    pub fn get(&mut self, key: LedgerKey) -> Option<&str> {
        if !self.kept.0.contains_key(&key) {
            let value = self.ledger.get(&key)?;
            self.kept.0.insert(key.clone(), value);
        }
        self.kept.get(&key)
    }

    /// Looks up what a job can need.
    pub fn prepare(&mut self, errand: &Errand, hub: &Hub) {
        match &errand.change.told {
            Told::Receipt(receipt) => receipts::look_up(receipt, hub, self),
            Told::Product(_) | Told::ProductGone(_) => products::look_up(&errand.change, hub, self),
            Told::Preorder(_) | Told::Deal { .. } => preorders::look_up(&errand.change, hub, self),
            Told::Client { .. } | Told::Contact { .. } => {}
        }
    }

    /// All that was found.
    #[must_use]
    pub fn done(self) -> Kept {
        self.kept
    }
}
