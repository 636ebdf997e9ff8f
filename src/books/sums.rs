//! The promise as sums: read = stored = Lime = CRM + waiting + refused.

use serde::{Deserialize, Serialize};

use super::job::{JobState, Jobs};
use crate::journal::Destination;

/// One destination's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationSum {
    /// Jobs made for it.
    pub owed: u64,
    /// Arrived.
    pub delivered: u64,
    /// Wait, or are on their way.
    pub waiting: u64,
    /// Refused for good.
    pub refused: u64,
    /// Given up by a person.
    pub dropped: u64,
}

impl DestinationSum {
    /// Every job is in exactly one state.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.owed == self.delivered + self.waiting + self.refused + self.dropped
    }
}

/// All sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Version of this shape.
    pub v: u32,
    /// Passes by their numbers: the last number less the one before the first.
    pub read: u64,
    /// Passes found in the log. Less than `read`: some are missing.
    pub stored: u64,
    /// Lime.
    pub lime: DestinationSum,
    /// The CRM. Owes what Lime has settled and the policy tells it.
    pub crm: DestinationSum,
    /// Write-offs that Lime settled and the CRM is not told of (refusals, unless the config says so).
    pub not_for_crm: u64,
    /// Guests at doors where this box decides, between reading and passage: each becomes a pass, at the latest at the next start.
    #[serde(default)]
    pub under_way: u64,
}

impl Sums {
    /// Sums up the passes from number `from` on, with the jobs they made. A number and not a time, for the box's clock may step.
    #[must_use]
    pub fn of(jobs: &Jobs, from: u64) -> Self {
        let from = from.max(1);
        let stored = jobs.numbers().range(from..).count() as u64;
        let mut sums =
            Self { v: 1, stored, under_way: jobs.visits(), not_for_crm: jobs.not_for_crm().range(from..).count() as u64, ..Self::default() };
        if let (Some(first), Some(last)) = (jobs.numbers().range(from..).next(), jobs.numbers().last()) {
            sums.read = last - first + 1;
        }
        for line in jobs.lines().filter(|line| line.number >= from) {
            let side = match line.to {
                Destination::Lime => &mut sums.lime,
                Destination::Crm => &mut sums.crm,
            };
            side.owed += 1;
            match line.state {
                JobState::Waiting | JobState::Sending => side.waiting += 1,
                JobState::Delivered => side.delivered += 1,
                JobState::Refused => side.refused += 1,
                JobState::Dropped => side.dropped += 1,
            }
        }
        sums
    }

    /// Nothing is missing: every pass number is in the log, every pass is a job for Lime, and each side balances.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.read == self.stored
            && self.stored == self.lime.owed
            && self.lime.balances()
            && self.crm.balances()
            && self.crm.owed + self.not_for_crm == self.lime.delivered
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        BootId, Change, Direction, Medium, MediumKind, Moment, Pass, PassageState, Personal, Stamp, Sync, Told, WriteOff, WriteOffStatus,
    };
    use crate::flow::{CrmPolicy, HubPolicy};
    use crate::journal::{Entry, Record, Settled, SettledItem};

    const POLICY: CrmPolicy = CrmPolicy { enabled: true, refusals: false, hub: HubPolicy::NOTHING };

    fn stamp() -> Stamp {
        Stamp { boot: BootId(Uuid::from_u128(1)), boot_ms: 1, wall_ms: 1, sync: Sync::Synced }
    }

    fn pass(seq: u64, number: u64) -> Entry {
        let medium = Medium { kind: MediumKind::CardUid, value: Personal::new("AC11A1A3"), raw: None, format: "t".into() };
        let record = Record::Pass(Pass {
            id: Uuid::from_u128(number.into()),
            number,
            gate: "n1".into(),
            service_point: "sp-1".into(),
            direction: Direction::In,
            medium,
            device: None,
            passage: PassageState::Unknown,
            stamp: stamp(),
            device_ms: None,
            test: false,
            door: None,
        });
        Entry { seq, record }
    }

    fn write_off(seq: u64, number: u64, status: WriteOffStatus) -> Entry {
        let record = Record::WriteOff(WriteOff {
            pass_id: Uuid::from_u128(number.into()),
            pass_seq: number,
            status,
            code: "ok".into(),
            transaction_id: None,
            client_id: None,
            right: None,
            charge: None,
            conflict_with: None,
            gate: "n1".into(),
            service_point: "sp-1".into(),
            service_point_title: None,
            direction: Direction::In,
            medium_masked: "••A1A3".into(),
            occurred: Moment::exact(1),
            received_ms: None,
            test: false,
        });
        Entry { seq, record }
    }

    fn fold(entries: &[Entry]) -> Sums {
        let mut jobs = Jobs::new(POLICY);
        for entry in entries {
            jobs.apply(entry);
        }
        Sums::of(&jobs, 0)
    }

    #[test]
    fn a_pass_that_reached_both_sides_balances() {
        let settled = Settled { to: Destination::Crm, items: vec![SettledItem { job: 2, remote: None }], learned: vec![], stamp: stamp() };
        let sums = fold(&[pass(1, 1), write_off(2, 1, WriteOffStatus::Applied), Entry { seq: 3, record: Record::Settled(settled) }]);
        assert!(sums.balances(), "{sums:?}");
        assert_eq!((sums.read, sums.lime.delivered, sums.crm.delivered), (1, 1, 1));
    }

    #[test]
    fn a_refused_write_off_is_not_owed_to_the_crm() {
        let sums = fold(&[pass(1, 1), write_off(2, 1, WriteOffStatus::Refused)]);
        assert!(sums.balances(), "{sums:?}");
        assert_eq!((sums.crm.owed, sums.not_for_crm), (0, 1));
    }

    #[test]
    fn what_the_integration_delivers_is_in_no_sum() {
        let told = Told::Client { id: "c-1".into(), deleted: false };
        let change = Change { told, version: "1".into(), changed_ms: 1, origin: None, back_fill: false, stamp: stamp() };
        let policy = CrmPolicy { hub: HubPolicy::EVERYTHING, ..POLICY };
        for mut jobs in [Jobs::new(policy), Jobs::of_passes(policy)] {
            for entry in [pass(1, 1), Entry { seq: 2, record: Record::Change(change.clone()) }, write_off(3, 1, WriteOffStatus::Applied)] {
                jobs.apply(&entry);
            }
            let sums = Sums::of(&jobs, 0);
            assert!(sums.balances() && sums.crm.owed == 1, "{sums:?}");
        }
    }

    #[test]
    fn a_pass_missing_from_the_log_does_not_balance() {
        let sums = fold(&[pass(1, 1), pass(2, 3)]);
        assert!(!sums.balances(), "{sums:?}");
        assert_eq!((sums.read, sums.stored), (3, 2));
    }
}
