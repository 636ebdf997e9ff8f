//! Brings jobs from the journal into the lanes, and makes them whole when they are taken.
//!
//! The backlog comes through the index, a window at a time; what happens now is read off the end of the log, and with it what people decided about dead
//! letters. Never: more than a window in memory; a job whose record was damaged passed over without a word.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::Corrector;
use crate::domain::{OrderKey, Seq, Stamp};
use crate::flow::{CrmPolicy, job_at};
use crate::journal::{Destination, Record, Store};

use super::doubt;
use super::job::{Job, Work};
use super::lanes::{Lanes, Taken};
use super::remote::Lane;

/// Jobs loaded, or records read, before the runner looks around again.
const CHUNK: usize = 512;

/// A pass is fresh for this long. What Lime makes of an older one is backlog for the CRM, though its record is new.
const FRESH_MS: i64 = 60_000;

/// Most earlier passes of a card that a pass brings along at a time.
pub(super) const ALONG: usize = 256;

/// The way from the journal to one destination's lanes.
pub(super) struct Supply {
    store: Arc<dyn Store>,
    to: Destination,
    policy: CrmPolicy,
    tail: Seq,
    corrector: Corrector,
}

/// A batch made whole.
#[derive(Default)]
pub(super) struct Batch {
    /// The jobs, in the order in which they were taken.
    pub jobs: Vec<Job>,
    /// The records that made them, for dead letters.
    pub facts: HashMap<Seq, Record>,
    /// Jobs whose records cannot be read: gone, or damaged.
    pub unreadable: Vec<Seq>,
}

impl Supply {
    /// Everything durable now is backlog. Jobs that have a `sending` record are in doubt.
    pub fn new(store: Arc<dyn Store>, to: Destination, policy: CrmPolicy, now: &Stamp) -> (Self, Lanes) {
        let tail = *store.head().borrow();
        let doubts = store.in_doubt(to).into_iter().map(|(seq, stamp)| (seq, doubt::of_earlier_run(stamp.wall_ms))).collect();
        let mut corrector = Corrector::new();
        for (seq, anchor) in store.anchors() {
            corrector.anchor_by(seq, &anchor);
        }
        // Whatever is in the journal was before now: that bounds the facts of a boot that never synchronised.
        corrector.see(tail + 1, now);
        (Self { store, to, policy, tail, corrector }, Lanes::new(tail, doubts))
    }

    /// Loads a piece of the backlog. True when there is more to load at once.
    pub fn fill(&mut self, lanes: &mut Lanes) -> bool {
        let Some((after, room)) = lanes.wants() else { return false };
        let boundary = lanes.boundary();
        let found: Vec<Seq> = self.store.pending(self.to, after, room.min(CHUNK)).into_iter().filter(|seq| *seq <= boundary).collect();
        for seq in &found {
            match self.order_of(*seq) {
                Ok(Some(order)) => lanes.add(*seq, order, Lane::Backlog),
                Ok(None) => self.missing(*seq),
                // The disk refuses for now: try again from here.
                Err(()) => return false,
            }
            lanes.loaded_to(*seq);
        }
        if found.is_empty() {
            lanes.loaded_to(boundary);
        }
        !found.is_empty()
    }

    /// Reads what was written since the last time. True when there is more to read at once.
    pub fn follow(&mut self, lanes: &mut Lanes, now: &Stamp) -> bool {
        let head = *self.store.head().borrow();
        if self.tail >= head {
            return false;
        }
        let Ok(entries) = self.store.read(self.tail + 1, CHUNK) else { return false };
        let Some(last) = entries.last().map(|entry| entry.seq) else {
            // Nothing readable up to the head: damaged records are the journal's to report.
            self.tail = head;
            return false;
        };
        for entry in entries {
            match &entry.record {
                Record::Pass(pass) => self.corrector.see(entry.seq, &pass.stamp),
                Record::Anchor(anchor) => self.corrector.anchor(entry.seq, anchor),
                Record::Revived(decision) if decision.to == self.to => {
                    for job in &decision.jobs {
                        match self.order_of(*job) {
                            Ok(Some(order)) => lanes.add(*job, order, Lane::Backlog),
                            _ => self.missing(*job),
                        }
                    }
                }
                Record::Dropped(decision) if decision.to == self.to => decision.jobs.iter().for_each(|job| lanes.remove(*job)),
                _ => {}
            }
            if let Some((to, order)) = job_at(&entry.record, self.policy)
                && to == self.to
            {
                lanes.add_newest(entry.seq, order, is_fresh(&entry.record, now));
            }
        }
        self.tail = last;
        self.tail < head
    }

    /// The waiting jobs of a key below a sequence, as far as they are brought along at a time.
    pub fn queue_of(store: &dyn Store, to: Destination, order: OrderKey, before: Seq) -> Vec<Seq> {
        store.queue_of(to, order, before, ALONG)
    }

    /// Reads the facts of a batch.
    pub fn batch(&mut self, taken: &[Taken]) -> Batch {
        let mut batch = Batch::default();
        let oldest = self.store.pending(self.to, 0, 1).first().copied();
        for one in taken {
            let record = match self.store.get(one.seq) {
                Ok(Some(entry)) => entry.record,
                Ok(None) => {
                    self.missing(one.seq);
                    batch.unreadable.push(one.seq);
                    continue;
                }
                Err(_) => {
                    batch.unreadable.push(one.seq);
                    continue;
                }
            };
            let (key, work) = match &record {
                Record::Pass(pass) => {
                    self.corrector.see(one.seq, &pass.stamp);
                    (pass.id, Work::WriteOff { pass: pass.clone(), occurred: self.corrector.moment(&pass.stamp) })
                }
                Record::WriteOff(write_off) => (write_off.pass_id, Work::Pass(write_off.clone())),
                Record::Change(change) => (change.key(), Work::Change(change.clone())),
                _ => {
                    batch.unreadable.push(one.seq);
                    continue;
                }
            };
            let oldest = oldest.is_none_or(|oldest| one.seq <= oldest);
            batch.jobs.push(Job { seq: one.seq, key, order: one.order, work, doubt: one.doubt, attempts: one.attempts, oldest });
            batch.facts.insert(one.seq, record);
        }
        batch
    }

    /// When the oldest waiting job was made, with its sequence.
    pub fn oldest(&self) -> Option<(Seq, Stamp)> {
        let seq = self.store.pending(self.to, 0, 1).first().copied()?;
        self.stamp_of(seq).map(|stamp| (seq, stamp))
    }

    fn stamp_of(&self, seq: Seq) -> Option<Stamp> {
        match self.store.get(seq).ok()??.record {
            Record::Pass(pass) => Some(pass.stamp),
            Record::Change(change) => Some(change.stamp),
            Record::WriteOff(write_off) => match self.store.get(write_off.pass_seq).ok()??.record {
                Record::Pass(pass) => Some(pass.stamp),
                _ => None,
            },
            _ => None,
        }
    }

    /// The queue of a job, whatever the policy says now: it was made under the policy of its day.
    fn order_of(&self, seq: Seq) -> Result<Option<OrderKey>, ()> {
        let every = CrmPolicy::EVERYTHING;
        let entry = self.store.get(seq).map_err(|_| ())?;
        Ok(entry.and_then(|entry| job_at(&entry.record, every)).filter(|(to, _)| *to == self.to).map(|(_, order)| order))
    }

    fn missing(&self, seq: Seq) {
        tracing::error!(destination = self.to.name(), seq, "a waiting job's record cannot be read; it stays in the journal's count of damage");
    }
}

/// Says nothing but which goes first, so the wall clock is good enough for a write-off.
fn is_fresh(record: &Record, now: &Stamp) -> bool {
    match record {
        Record::WriteOff(write_off) => now.wall_ms.saturating_sub(write_off.occurred.at_ms) < FRESH_MS,
        Record::Change(change) => !change.back_fill && now.wall_ms.saturating_sub(change.changed_ms) < FRESH_MS,
        _ => true,
    }
}
