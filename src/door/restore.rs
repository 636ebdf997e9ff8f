//! A start: what the journal says was used and the entitlement snapshot on disk may not know yet.
//!
//! Those are the guests let in whom Lime has not settled, and those whom it has settled since the snapshot may have been asked for: the newest snapshot is at
//! most a day old where it is of use, so a day's settlements are looked through. Without them a ticket used a minute before a restart would be good again
//! while Lime is away.
//!
//! Never: a use that Lime does not have and that is not counted, also of a pass that Lime refused to take.

use std::collections::HashSet;

use uuid::Uuid;

use crate::domain::{Direction, Pass, PassageState, Seq, Stamp, Sync};
use crate::journal::{Destination, Entry, Record, Store};

use super::Used;
use super::snapshot::Restored;

/// Records looked at together.
const PAGE: usize = 512;
/// A settlement older than this is in any snapshot that is still of use, and of another day: the longest day has 25 hours.
const DAY_MS: i64 = 26 * 3_600_000;
/// Most settled uses that are restored: a busy day of a large venue. Memory for them is bounded by it.
const MOST_SETTLED: usize = 20_000;

/// What was used, by the journal, as of `now`. Reads a day of it: blocks on the disk.
#[must_use]
pub fn used_before(store: &dyn Store, now: Stamp) -> Vec<Restored> {
    let mut found = Found::default();
    waiting(store, &mut found);
    for letter in store.dead(Destination::Lime) {
        if let Ok(Record::Pass(pass)) = minicbor::decode::<Record>(&letter.fact) {
            found.add(pass, false);
        }
    }
    settled(store, now, &mut found);
    found.all
}

#[derive(Default)]
struct Found {
    all: Vec<Restored>,
    passes: HashSet<Uuid>,
}

impl Found {
    fn add(&mut self, pass: Pass, settled: bool) {
        let Some(door) = pass.door.filter(|door| door.decision.admitted) else { return };
        // Going out uses nothing.
        if pass.passage == PassageState::NotPassed || pass.direction == Direction::Out || !self.passes.insert(pass.id) {
            return;
        }
        let used =
            Used { pass: pass.id, medium: pass.medium, decision: door.decision, service_point: pass.service_point, boot_ms: pass.stamp.boot_ms };
        let at_ms = (pass.stamp.sync == Sync::Synced).then_some(pass.stamp.wall_ms);
        self.all.push(Restored { used, boot: pass.stamp.boot, at_ms, settled });
    }
}

/// Passes that have not reached Lime.
fn waiting(store: &dyn Store, found: &mut Found) {
    let mut after = 0;
    loop {
        let jobs = store.pending(Destination::Lime, after, PAGE);
        let Some(last) = jobs.last() else { return };
        after = *last;
        for job in jobs {
            if let Some(pass) = pass_at(store, job) {
                found.add(pass, false);
            }
        }
    }
}

/// Passes that Lime has settled, newest first, until a page of them is older than a day.
fn settled(store: &dyn Store, now: Stamp, found: &mut Found) {
    // Without a clock, the newest settlement is the best that is known of now: it makes the day longer, not shorter.
    let mut newest = (now.sync == Sync::Synced).then_some(now.wall_ms);
    let (mut end, first) = (*store.head().borrow(), store.stat().first_seq);
    let mut left = MOST_SETTLED;
    while end > 0 {
        let begin = end.saturating_sub(PAGE as Seq - 1).max(1);
        let Ok(entries) = store.read(begin, PAGE) else {
            tracing::warn!("the journal cannot be read back: tickets used lately may not be known as used until Lime has answered");
            return;
        };
        let entries = entries.into_iter().filter(|entry| entry.seq <= end).collect::<Vec<Entry>>();
        let mut old = false;
        for entry in entries.into_iter().rev() {
            let Record::WriteOff(write_off) = entry.record else { continue };
            if let Some(at_ms) = write_off.received_ms {
                old = at_ms.saturating_add(DAY_MS) < *newest.get_or_insert(at_ms);
            }
            if old {
                continue;
            }
            if left == 0 {
                tracing::warn!(most = MOST_SETTLED, "more passes were settled within a day than are remembered over a restart");
                return;
            }
            left -= 1;
            if let Some(pass) = pass_at(store, write_off.pass_seq) {
                found.add(pass, true);
            }
        }
        if old || begin <= first {
            return;
        }
        end = begin - 1;
    }
}

fn pass_at(store: &dyn Store, seq: Seq) -> Option<Pass> {
    match store.get(seq) {
        Ok(Some(Entry { record: Record::Pass(pass), .. })) => Some(pass),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::domain::{AtDoor, Decision, DecisionMode, GateId, Medium, MediumKind, Moment, Personal, ServicePointId, WriteOff, WriteOffStatus};
    use crate::journal::sim::SimDisk;
    use crate::journal::{DeadLetter, Journal, Options};

    const NOW: i64 = 1_777_618_800_000;

    fn pass(id: u128, clock: &ManualClock, admitted: bool, passage: PassageState, direction: Direction) -> Pass {
        let decision = Decision {
            mode: DecisionMode::OfflineSnapshot,
            admitted,
            code: "ok".into(),
            snapshot_version: None,
            hold_id: None,
            right_id: Some("r".into()),
            amount: None,
        };
        Pass {
            id: Uuid::from_u128(id),
            number: 0,
            gate: GateId::from("n1"),
            service_point: ServicePointId::from("sp-1"),
            direction,
            medium: Medium { kind: MediumKind::CardUid, value: Personal::new("5A1B2C3D"), raw: None, format: "t".into() },
            device: None,
            passage,
            stamp: clock.stamp(),
            device_ms: None,
            test: false,
            door: Some(AtDoor { decision, passage_at: None, late: None }),
        }
    }

    fn write_off(pass: &Pass, seq: Seq, received_ms: i64) -> Record {
        Record::WriteOff(WriteOff {
            pass_id: pass.id,
            pass_seq: seq,
            status: WriteOffStatus::Applied,
            code: "ok".into(),
            transaction_id: None,
            client_id: None,
            right: None,
            charge: None,
            conflict_with: None,
            gate: pass.gate.clone(),
            service_point: pass.service_point.clone(),
            service_point_title: None,
            direction: pass.direction,
            medium_masked: "••2C3D".into(),
            occurred: Moment::exact(pass.stamp.wall_ms),
            received_ms: Some(received_ms),
            test: false,
        })
    }

    async fn append(journal: &Journal, record: Record) -> Seq {
        journal.append(vec![record]).await.unwrap().first
    }

    async fn settle(journal: &Journal, pass: Pass, received_ms: i64) {
        let seq = append(journal, Record::Pass(pass.clone())).await;
        append(journal, write_off(&pass, seq, received_ms)).await;
    }

    fn found(journal: &Journal, now: Stamp) -> Vec<(u128, bool)> {
        let mut found: Vec<_> = used_before(journal, now).into_iter().map(|one| (one.used.pass.as_u128(), one.settled)).collect();
        found.sort_unstable();
        found
    }

    #[tokio::test]
    async fn what_waits_what_lime_would_not_take_and_what_it_has_settled_within_a_day_counts_as_used() {
        let clock = Arc::new(ManualClock::synced(NOW));
        let options = Options { segment_bytes: 64 * 1024, inline: true, ..Options::new("/j", clock.clone()) };
        let journal = Journal::open(Arc::new(SimDisk::new()), options).unwrap();
        let of = |id| pass(id, &clock, true, PassageState::Passed, Direction::In);
        settle(&journal, of(1), NOW - DAY_MS - 1).await;
        // More than a page lies between.
        for id in 1_000..1_700 {
            settle(&journal, pass(id, &clock, true, PassageState::Passed, Direction::Out), NOW - 3_600_000).await;
        }
        settle(&journal, of(2), NOW - DAY_MS + 1).await;
        settle(&journal, pass(3, &clock, false, PassageState::NotPassed, Direction::In), NOW).await;
        settle(&journal, pass(4, &clock, true, PassageState::NotPassed, Direction::In), NOW).await;
        settle(&journal, of(5), NOW).await;
        append(&journal, Record::Pass(of(6))).await;
        let refused = of(7);
        let job = append(&journal, Record::Pass(refused.clone())).await;
        let fact = minicbor::to_vec(Record::Pass(refused.clone())).unwrap();
        let (to, key, stamp) = (Destination::Lime, refused.id, clock.stamp());
        append(&journal, Record::Dead(DeadLetter { to, job, key, reason: "rejected/x".into(), answer: String::new(), fact, stamp })).await;
        let expected = [(2, true), (5, true), (6, false), (7, false)];
        assert_eq!(found(&journal, clock.stamp()), expected);
        // Without a clock the newest settlement says how late it is.
        assert_eq!(found(&journal, Stamp { wall_ms: 0, sync: Sync::Unsynced, ..clock.stamp() }), expected);
    }
}
