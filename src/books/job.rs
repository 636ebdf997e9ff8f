//! Every job's state, folded from the log.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use crate::domain::{Change, ClientId, Pass, ReceiptKind, Seq, Told, WriteOff};
use crate::flow::{CrmPolicy, job_at};
use crate::journal::{Destination, Entry, Record};

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits.
    Waiting,
    /// A write for it left and no outcome is journalled.
    Sending,
    /// It arrived.
    Delivered,
    /// Refused for good; a person must look at it.
    Refused,
    /// A person gave it up.
    Dropped,
}

/// One job, for a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobLine {
    /// The record that made it.
    pub seq: Seq,
    /// Where it goes.
    pub to: Destination,
    /// What it is about: `pass`, or of a change `client`, `receipt`, `product`, `preorder`, `contact`, `deal`.
    pub what: &'static str,
    /// The id of what a change is about, at Lime or in the CRM.
    pub about: Option<String>,
    /// The business key: the pass's id, or the change's.
    pub key: Uuid,
    /// The gate of the pass; empty for a change.
    pub gate: String,
    /// The pass's number on this box; 0 when the pass itself has left the log, and for a change: sums count passes alone.
    pub number: u64,
    /// Wall time of the pass or change as it was read, milliseconds since 1970 UTC. May lie.
    pub wall_ms: i64,
    /// The medium, masked; empty for a change.
    pub medium: String,
    /// Its state.
    pub state: JobState,
    /// Its id at the destination, or the code of the refusal.
    pub note: Option<String>,
    /// Whose pass it was, of a job for the CRM. For asking there; lists do not show it.
    #[serde(skip)]
    pub client: Option<ClientId>,
}

/// All jobs that a stretch of the log makes, with their states.
#[derive(Debug)]
pub struct Jobs {
    crm: CrmPolicy,
    jobs: BTreeMap<Seq, JobLine>,
    passes: BTreeMap<Uuid, (u64, i64)>,
    numbers: BTreeSet<u64>,
    not_for_crm: BTreeSet<u64>,
    visits: BTreeSet<Uuid>,
    changes: Changes,
}

/// Which jobs of the two-way integration are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changes {
    All,
    /// Those that make a deal: receipts, and preorders that were made at Lime.
    Deals,
    None,
}

impl Changes {
    fn keep(self, told: &Told) -> bool {
        match (self, told) {
            (Self::All, _) => true,
            (Self::Deals, Told::Receipt(receipt)) => receipt.kind != ReceiptKind::Refund,
            (Self::Deals, Told::Preorder(preorder)) => preorder.deal().is_none(),
            (Self::Deals | Self::None, _) => false,
        }
    }
}

impl Jobs {
    /// Nothing yet. The policy decides which write-offs are jobs for the CRM.
    #[must_use]
    pub fn new(crm: CrmPolicy) -> Self {
        Self {
            crm,
            jobs: BTreeMap::new(),
            passes: BTreeMap::new(),
            numbers: BTreeSet::new(),
            not_for_crm: BTreeSet::new(),
            visits: BTreeSet::new(),
            changes: Changes::All,
        }
    }

    /// The same, without the jobs of the two-way integration: a first synchronisation makes far more of them than there are passes.
    #[must_use]
    pub fn of_passes(crm: CrmPolicy) -> Self {
        Self { changes: Changes::None, ..Self::new(crm) }
    }

    /// The same, with those that make a deal in the CRM.
    #[must_use]
    pub fn with_deals(crm: CrmPolicy) -> Self {
        Self { changes: Changes::Deals, ..Self::new(crm) }
    }

    /// Takes the next record, in order.
    pub fn apply(&mut self, entry: &Entry) {
        let owed = job_at(&entry.record, self.crm);
        match &entry.record {
            Record::Pass(pass) => {
                self.passes.insert(pass.id, (pass.number, pass.stamp.wall_ms));
                self.numbers.insert(pass.number);
                self.visits.remove(&pass.id);
                self.jobs.entry(entry.seq).or_insert_with(|| line_of_pass(entry.seq, pass));
            }
            Record::WriteOff(write_off) => {
                self.set(write_off.pass_seq, JobState::Delivered, write_off.transaction_id.clone());
                let (number, wall_ms) = self.passes.remove(&write_off.pass_id).unwrap_or((0, write_off.occurred.at_ms));
                match owed {
                    Some((to, _)) => {
                        self.jobs.entry(entry.seq).or_insert_with(|| line_of_write_off(entry.seq, to, write_off, (number, wall_ms)));
                    }
                    None => {
                        self.not_for_crm.insert(number);
                    }
                }
            }
            Record::Sending(sending) => {
                for job in &sending.jobs {
                    if self.state(*job) == Some(JobState::Waiting) {
                        self.set(*job, JobState::Sending, None);
                    }
                }
            }
            Record::Settled(settled) => {
                for item in &settled.items {
                    self.set(item.job, JobState::Delivered, item.remote.clone());
                }
            }
            Record::Dead(letter) => self.set(letter.job, JobState::Refused, Some(letter.reason.clone())),
            Record::Revived(decision) => {
                for job in &decision.jobs {
                    self.set(*job, JobState::Waiting, None);
                }
            }
            Record::Dropped(decision) => {
                for job in &decision.jobs {
                    self.set(*job, JobState::Dropped, Some(decision.reason.clone()));
                }
            }
            Record::Change(change) if self.changes.keep(&change.told) => {
                if let Some((to, _)) = owed {
                    self.jobs.entry(entry.seq).or_insert_with(|| line_of_change(entry.seq, to, change));
                }
            }
            Record::Visit(pass) => {
                self.visits.insert(pass.id);
            }
            _ => {}
        }
    }

    /// Visits under way: read, and not yet a pass.
    #[must_use]
    pub fn visits(&self) -> u64 {
        self.visits.len() as u64
    }

    /// The jobs in the order in which they were made.
    pub fn lines(&self) -> impl Iterator<Item = &JobLine> {
        self.jobs.values()
    }

    /// The numbers of the passes found.
    #[must_use]
    pub fn numbers(&self) -> &BTreeSet<u64> {
        &self.numbers
    }

    /// The numbers of the passes that Lime settled and the policy keeps from the CRM.
    #[must_use]
    pub fn not_for_crm(&self) -> &BTreeSet<u64> {
        &self.not_for_crm
    }

    fn state(&self, job: Seq) -> Option<JobState> {
        self.jobs.get(&job).map(|line| line.state)
    }

    fn set(&mut self, job: Seq, state: JobState, note: Option<String>) {
        if let Some(line) = self.jobs.get_mut(&job) {
            line.state = state;
            line.note = note;
        }
    }
}

fn line_of_pass(seq: Seq, pass: &Pass) -> JobLine {
    JobLine {
        seq,
        to: Destination::Lime,
        what: "pass",
        about: None,
        key: pass.id,
        gate: pass.gate.0.clone(),
        number: pass.number,
        wall_ms: pass.stamp.wall_ms,
        medium: pass.medium.value.masked(4),
        state: JobState::Waiting,
        note: None,
        client: None,
    }
}

fn line_of_change(seq: Seq, to: Destination, change: &Change) -> JobLine {
    JobLine {
        seq,
        to,
        what: change.told.word(),
        about: Some(change.told.id().to_owned()),
        key: change.key(),
        gate: String::new(),
        number: 0,
        wall_ms: change.stamp.wall_ms,
        medium: String::new(),
        state: JobState::Waiting,
        note: None,
        client: None,
    }
}

fn line_of_write_off(seq: Seq, to: Destination, write_off: &WriteOff, (number, wall_ms): (u64, i64)) -> JobLine {
    JobLine {
        seq,
        to,
        what: "pass",
        about: None,
        key: write_off.pass_id,
        gate: write_off.gate.0.clone(),
        number,
        wall_ms,
        medium: write_off.medium_masked.clone(),
        state: JobState::Waiting,
        note: None,
        client: write_off.client_id.clone(),
    }
}
