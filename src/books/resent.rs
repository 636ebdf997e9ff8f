//! The CRM's jobs of which a double may stand there: they were written, and written again. One fold over a stretch of the log.
//!
//! A job is written again only after the CRM was asked twice, a settle window apart, and did not have it; a first write that is committed later than that
//! makes a second effect, and nothing in the journal can tell. What one attempt writes of a job (its contact, then its lead) leaves closer together. Never: a
//! job left out that was written again within the stretch, or of which that cannot be said because it was made before the stretch began.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::domain::{Seq, Stamp};
use crate::journal::{Destination, Entry, Record};

/// Jobs that were written again and have arrived.
#[derive(Debug)]
pub struct Resent {
    from: Seq,
    settle_ms: u64,
    under_way: HashMap<Seq, Written>,
    arrived: BTreeMap<Seq, Option<String>>,
}

/// A job that was written and has not arrived yet.
#[derive(Debug)]
struct Written {
    first: Stamp,
    again: bool,
}

impl Resent {
    /// Nothing yet. `from`: where the stretch begins; what was made before it may have been written before it, too. `settle_window`: what lies at least
    /// between two attempts at a write.
    #[must_use]
    pub fn new(from: Seq, settle_window: Duration) -> Self {
        let settle_ms = u64::try_from(settle_window.as_millis()).unwrap_or(u64::MAX);
        Self { from, settle_ms, under_way: HashMap::new(), arrived: BTreeMap::new() }
    }

    /// Takes the next record, in order.
    pub fn apply(&mut self, entry: &Entry) {
        match &entry.record {
            Record::Sending(sending) if sending.to == Destination::Crm => {
                let now = sending.stamp;
                for job in &sending.jobs {
                    let written = self.under_way.entry(*job).or_insert(Written { first: now, again: *job < self.from });
                    written.again |= written.first.boot != now.boot || now.boot_ms.saturating_sub(written.first.boot_ms) >= self.settle_ms;
                }
            }
            Record::Settled(settled) if settled.to == Destination::Crm => {
                for item in &settled.items {
                    if self.under_way.remove(&item.job).is_some_and(|written| written.again) {
                        self.arrived.insert(item.job, item.remote.clone());
                    }
                }
            }
            _ => {}
        }
    }

    /// The jobs in the order in which they were made, with what they became there.
    #[must_use]
    pub fn jobs(self) -> BTreeMap<Seq, Option<String>> {
        self.arrived
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{BootId, Sync};
    use crate::journal::{Sending, Settled, SettledItem};

    fn stamp(boot: u128, boot_ms: u64) -> Stamp {
        Stamp { boot: BootId(Uuid::from_u128(boot)), boot_ms, wall_ms: 1, sync: Sync::Unsynced }
    }

    fn sending(to: Destination, jobs: &[Seq], (boot, at_s): (u128, u64)) -> Record {
        Record::Sending(Sending { to, jobs: jobs.to_vec(), stamp: stamp(boot, at_s * 1_000) })
    }

    fn settled(jobs: &[Seq]) -> Record {
        let items = jobs.iter().map(|job| SettledItem { job: *job, remote: Some(format!("lead:{job}")) }).collect();
        Record::Settled(Settled { to: Destination::Crm, items, learned: Vec::new(), stamp: stamp(1, 1) })
    }

    #[test]
    fn only_what_arrived_after_it_was_written_again_may_be_there_twice() {
        let mut resent = Resent::new(10, Duration::from_secs(120));
        let crm = Destination::Crm;
        let records = [
            sending(crm, &[12, 13, 14, 15], (1, 1_000)),
            // The contact, then the lead: one attempt.
            sending(crm, &[12, 13, 14], (1, 1_119)),
            settled(&[13]),
            // Again after the settle window; after a restart of the box at any time.
            sending(crm, &[12, 14], (1, 1_120)),
            sending(crm, &[15], (2, 5)),
            sending(Destination::Lime, &[16], (1, 1_000)),
            sending(Destination::Lime, &[16], (1, 9_000)),
            // Made before this stretch of the log: who knows.
            sending(crm, &[9], (2, 6)),
            // Nothing was ever written for 17: it was found, or needs nothing.
            settled(&[12, 15, 16, 17, 9, 8]),
        ];
        for (seq, record) in (20..).zip(records) {
            resent.apply(&Entry { seq, record });
        }
        let jobs = resent.jobs();
        assert_eq!(jobs.keys().copied().collect::<Vec<_>>(), [9, 12, 15], "14 has not arrived");
        assert_eq!(jobs.get(&12), Some(&Some("lead:12".to_owned())));
    }
}
