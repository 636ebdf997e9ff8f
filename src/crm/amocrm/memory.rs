//! What the ledger knows that a batch can need: looked up when its conversation begins, for later there is no ledger to ask.

use std::collections::BTreeMap;

use crate::crm::card::Written;
use crate::crm::guests::Guests;
use crate::delivery::{Job, Ledger, Work};
use crate::domain::{ClientId, Told, WriteOff};
use crate::flow::contacts::{Link, overruled_key};
use crate::journal::{Learned, LedgerKey};

use super::desk::Desk;
use super::ledger::{self, ContactLine};
use super::schema::Schema;
use super::{preorders, products, receipts};

/// What the ledger knows of a batch.
#[derive(Debug)]
pub struct Memory {
    /// The account's schema.
    pub schema: Option<Schema>,
    /// Where the clients' contacts are.
    pub contacts: BTreeMap<ClientId, ContactLine>,
    /// What was last written on their cards.
    pub cards: BTreeMap<ClientId, Written>,
    /// The list of contacts has at least so many pages.
    pub walk: usize,
    /// How Lime is asked for guests.
    pub guests: Guests,
    /// What else was looked up.
    pub looked: Looked,
    /// Which versions of clients are ours, not on disk yet.
    pub wrote: Vec<Learned>,
}

impl Memory {
    /// Looks up what this batch can need.
    #[must_use]
    pub fn of(batch: &[Job], ledger: &dyn Ledger, now_wall_ms: i64) -> Self {
        let mut memory = Self {
            schema: ledger.get(&ledger::schema()).and_then(|text| serde_json::from_str(&text).ok()),
            contacts: BTreeMap::new(),
            cards: BTreeMap::new(),
            walk: ledger.get(&ledger::walk()).and_then(|text| text.parse().ok()).unwrap_or(0),
            guests: Guests::new(ledger, now_wall_ms),
            looked: Looked::default(),
            wrote: Vec::new(),
        };
        for client in batch.iter().filter_map(client_of) {
            if memory.contacts.contains_key(client) {
                continue;
            }
            if let Some(line) = ledger.get(&ledger::contact(client)).as_deref().and_then(ContactLine::parse) {
                memory.contacts.insert(client.clone(), line);
                if let Some(written) = ledger.get(&ledger::card(client)).as_deref().and_then(Written::parse) {
                    memory.cards.insert(client.clone(), written);
                }
            }
        }
        let mut looker = Looker { ledger, looked: &mut memory.looked };
        for job in batch {
            if let Some(client) = client_of(job) {
                looker.look(Link::ledger_key(client));
                looker.look(overruled_key(client));
            }
            receipts::look(job, &mut looker);
            products::look(job, &mut looker);
            preorders::look(job, &mut looker);
        }
        memory
    }

    /// A client's contact was found.
    pub fn learn_contact(&mut self, desk: &mut Desk, client: &ClientId, id: u64) {
        let line = ContactLine { id, visits: None };
        desk.learn(ledger::contact(client), Some(line.to_text()));
        self.contacts.insert(client.clone(), line);
    }
}

/// Lines of the ledger, as they were when the conversation began, and as it has changed them since.
#[derive(Debug, Default)]
pub struct Looked(BTreeMap<LedgerKey, String>);

impl Looked {
    /// The value under a key, where it was looked for and is there.
    #[must_use]
    pub fn get(&self, key: &LedgerKey) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// From here on this is the value: to be called along with the desk's `learn`, so that later jobs of the batch know.
    pub fn put(&mut self, key: LedgerKey, value: Option<String>) {
        match value {
            Some(value) => drop(self.0.insert(key, value)),
            None => drop(self.0.remove(&key)),
        }
    }
}

/// Looks lines up for a conversation that begins.
pub struct Looker<'a> {
    ledger: &'a dyn Ledger,
    looked: &'a mut Looked,
}

impl Looker<'_> {
    /// Looks a line up. What is in it may say where to look next.
    pub fn look(&mut self, key: LedgerKey) -> Option<&str> {
        if self.looked.get(&key).is_none() {
            let value = self.ledger.get(&key)?;
            self.looked.0.insert(key.clone(), value);
        }
        self.looked.get(&key)
    }
}

/// The write-off that a job is about.
#[must_use]
pub fn write_off(job: &Job) -> Option<&WriteOff> {
    match &job.work {
        Work::Pass(write_off) => Some(write_off),
        Work::WriteOff { .. } | Work::Change(_) => None,
    }
}

/// What a job of the integration tells.
#[must_use]
pub fn told(job: &Job) -> Option<&Told> {
    match &job.work {
        Work::Change(change) => Some(&change.told),
        Work::Pass(_) | Work::WriteOff { .. } => None,
    }
}

/// The client that a job names.
#[must_use]
pub fn client_of(job: &Job) -> Option<&ClientId> {
    match &job.work {
        Work::Pass(write_off) => write_off.client_id.as_ref(),
        Work::WriteOff { .. } => None,
        Work::Change(change) => match &change.told {
            Told::Client { id, .. } => Some(id),
            Told::Contact { client, .. } => client.as_ref(),
            Told::Receipt(receipt) => receipt.client_id.as_ref(),
            Told::Preorder(preorder) => preorder.client_id.as_ref(),
            Told::Product(_) | Told::ProductGone(_) | Told::Deal { .. } => None,
        },
    }
}
