//! What the journal knows of its jobs, in memory: which wait, which are in doubt, which were refused. Pure: records in, answers out.
//!
//! It grows with what is unsettled and not with the log: a million waiting jobs are a few bitmaps. Applying a record twice, or one that was carried
//! forward, changes nothing.

use std::collections::{BTreeMap, HashMap};

use minicbor::{Decode, Encode};
use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::domain::{DeviceRecord, Seq, Stamp};

use super::format::{CARRIED, FROM_DEVICE, FROM_DOOR, Frame, Head, JOB_CRM, JOB_LIME};
use super::record::{Anchor, Destination, LedgerKey, Record};
use super::store::Totals;

/// Anchors kept: the oldest boots beyond it can no longer be corrected, only bounded.
const MOST_ANCHORS: usize = 1024;

/// Kinds of records, as in the format.
pub(super) mod kind {
    pub const PASS: u8 = 0;
    pub const WRITE_OFF: u8 = 1;
    pub const SENDING: u8 = 2;
    pub const SETTLED: u8 = 3;
    pub const DEAD: u8 = 4;
    pub const REVIVED: u8 = 5;
    pub const DROPPED: u8 = 6;
    pub const ANCHOR: u8 = 7;
    pub const VISIT: u8 = 8;
    pub const DECIDED: u8 = 9;
    pub const DOOR: u8 = 10;
    pub const CHANGE: u8 = 11;
}

/// The kind of a record.
pub(super) fn kind_of(record: &Record) -> u8 {
    match record {
        Record::Pass(_) => kind::PASS,
        Record::WriteOff(_) => kind::WRITE_OFF,
        Record::Sending(_) => kind::SENDING,
        Record::Settled(_) => kind::SETTLED,
        Record::Dead(_) => kind::DEAD,
        Record::Revived(_) => kind::REVIVED,
        Record::Dropped(_) => kind::DROPPED,
        Record::Anchor(_) => kind::ANCHOR,
        Record::Visit(_) => kind::VISIT,
        Record::Decided(_) => kind::DECIDED,
        Record::Door(_) => kind::DOOR,
        Record::Change(_) => kind::CHANGE,
    }
}

/// A record that is still needed, taken over from a segment that goes. It keeps the sequence it was known by.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Carried {
    #[n(0)]
    pub seq: Seq,
    #[n(1)]
    pub kind: u8,
    #[n(2)]
    pub flags: u8,
    #[n(3)]
    pub order: u32,
    /// The `sending` stamp of its job, where it is in doubt.
    #[n(4)]
    pub sent: Option<Stamp>,
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub payload: Vec<u8>,
}

/// One destination's jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lane {
    pub pending: RoaringTreemap,
    pub in_doubt: BTreeMap<Seq, Stamp>,
    /// Job -> the sequence under which its dead letter stands in the log.
    pub dead: BTreeMap<Seq, Seq>,
    pub totals: Totals,
    /// Some record was damaged behind which waiting jobs up to here can no longer tell whether they were sent.
    pub doubt_to: Option<(Seq, Stamp)>,
}

impl Lane {
    /// The stamp of the job's `sending`, where there may have been one.
    pub fn doubt(&self, job: Seq) -> Option<Stamp> {
        let known = self.in_doubt.get(&job).copied();
        known.or_else(|| self.doubt_to.filter(|(last, _)| job <= *last).map(|(_, stamp)| stamp))
    }

    fn make(&mut self, job: Seq) {
        if !self.dead.contains_key(&job) && self.pending.insert(job) {
            self.totals.made += 1;
        }
    }

    /// The job waits no longer; whether it did.
    fn take(&mut self, job: Seq) -> bool {
        self.in_doubt.remove(&job);
        let was_dead = self.dead.remove(&job).is_some();
        if was_dead {
            self.totals.dead = self.totals.dead.saturating_sub(1);
        }
        self.pending.remove(job) || was_dead
    }

    fn confirm(&mut self, job: Seq) {
        if self.take(job) {
            self.totals.confirmed += 1;
        }
    }

    /// Whether a person or a destination still has to do with it.
    pub fn needs(&self, job: Seq) -> bool {
        self.pending.contains(job) || self.dead.contains_key(&job)
    }
}

/// Where a visit under way stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visiting {
    /// The visit.
    pub visit: Seq,
    /// What was decided.
    pub decided: Option<Seq>,
}

/// What goes to the lookups: lines of the ledger and devices' records.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlay {
    pub ledger: HashMap<LedgerKey, Option<String>>,
    pub seen: HashMap<u128, Seq>,
}

impl Overlay {
    pub fn len(&self) -> usize {
        self.ledger.len() + self.seen.len()
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// Records up to here are in it.
    pub covered: Seq,
    pub lanes: [Lane; 2],
    pub anchors: Vec<(Seq, Anchor)>,
    /// Sequence a carried record is known by -> where it stands now.
    pub moved: BTreeMap<Seq, Seq>,
    /// Visits that no pass has closed, by the id of their pass.
    pub visits: BTreeMap<Uuid, Visiting>,
    /// Passes numbered so far.
    pub passes: u64,
    /// Jobs whose record is damaged: they can no longer be delivered.
    pub lost: u64,
}

impl State {
    pub fn lane(&self, to: Destination) -> &Lane {
        let [lime, crm] = &self.lanes;
        match to {
            Destination::Lime => lime,
            Destination::Crm => crm,
        }
    }

    pub fn lane_mut(&mut self, to: Destination) -> &mut Lane {
        let [lime, crm] = &mut self.lanes;
        match to {
            Destination::Lime => lime,
            Destination::Crm => crm,
        }
    }

    /// Applies a record as it stands in the log. Most passes need no decoding: their head says all.
    ///
    /// # Errors
    /// When the payload is not what its kind says; nothing was applied but the sequence.
    pub fn apply_frame(&mut self, frame: &Frame<'_>, out: &mut Overlay) -> Result<(), minicbor::decode::Error> {
        let head = Head { seq: frame.seq, kind: frame.kind, flags: frame.flags, order: frame.order };
        self.covered = self.covered.max(frame.seq);
        match frame.kind {
            kind::PASS if frame.flags & (FROM_DEVICE | FROM_DOOR) == 0 => self.fact(head),
            CARRIED => self.apply_carried(frame.seq, &minicbor::decode(frame.payload)?, out)?,
            _ => self.apply(head, &minicbor::decode(frame.payload)?, out),
        }
        Ok(())
    }

    /// Applies a record.
    pub fn apply(&mut self, head: Head, record: &Record, out: &mut Overlay) {
        self.covered = self.covered.max(head.seq);
        match record {
            Record::Pass(pass) => {
                self.fact(head);
                if let Some(device) = &pass.device {
                    out.seen.insert(device_key(device), head.seq);
                }
                if pass.door.is_some() {
                    self.visits.remove(&pass.id);
                }
            }
            Record::Visit(pass) => {
                if let Some(device) = &pass.device {
                    out.seen.insert(device_key(device), head.seq);
                }
                let decided = self.visits.get(&pass.id).and_then(|known| known.decided);
                self.visits.insert(pass.id, Visiting { visit: head.seq, decided });
            }
            Record::Decided(decided) => {
                if let Some(known) = self.visits.get_mut(&decided.visit) {
                    known.decided = Some(head.seq);
                }
            }
            Record::Door(_) => {}
            Record::Change(_) => self.fact(head),
            Record::WriteOff(write_off) => {
                let doubt = self.lane(Destination::Lime).doubt_to.filter(|(last, _)| write_off.pass_seq <= *last);
                self.settle(Destination::Lime, write_off.pass_seq, Lane::confirm);
                self.fact(head);
                // An earlier outcome of this pass may be among what was damaged, and the CRM may have it.
                if let (Some((_, stamp)), Some(to)) = (doubt, job_of(head.flags)) {
                    self.lane_mut(to).in_doubt.entry(head.seq).or_insert(stamp);
                }
            }
            Record::Sending(sending) => {
                let lane = self.lane_mut(sending.to);
                for job in sending.jobs.iter().filter(|job| lane.pending.contains(**job)) {
                    lane.in_doubt.entry(*job).or_insert(sending.stamp);
                }
            }
            Record::Settled(settled) => {
                for item in &settled.items {
                    self.settle(settled.to, item.job, Lane::confirm);
                }
                for line in &settled.learned {
                    out.ledger.insert(line.key.clone(), line.value.clone());
                }
            }
            Record::Dead(letter) => {
                let lane = self.lane_mut(letter.to);
                lane.in_doubt.remove(&letter.job);
                lane.pending.remove(letter.job);
                if lane.dead.insert(letter.job, head.seq).is_none() {
                    lane.totals.dead += 1;
                }
            }
            Record::Revived(revived) => {
                let lane = self.lane_mut(revived.to);
                for job in &revived.jobs {
                    if lane.dead.remove(job).is_some() {
                        lane.totals.dead = lane.totals.dead.saturating_sub(1);
                        lane.pending.insert(*job);
                    }
                }
            }
            Record::Dropped(dropped) => {
                for job in &dropped.jobs {
                    self.settle(dropped.to, *job, |lane, job| {
                        if lane.take(job) {
                            lane.totals.dropped += 1;
                        }
                    });
                }
            }
            Record::Anchor(anchor) => self.anchor(head.seq, *anchor),
        }
    }

    fn fact(&mut self, head: Head) {
        if head.kind == kind::PASS {
            self.passes += 1;
        }
        self.job(head);
    }

    fn job(&mut self, head: Head) {
        if let Some(to) = job_of(head.flags) {
            self.lane_mut(to).make(head.seq);
        }
    }

    fn settle(&mut self, to: Destination, job: Seq, how: impl FnOnce(&mut Lane, Seq)) {
        how(self.lane_mut(to), job);
        self.moved.remove(&job);
    }

    fn anchor(&mut self, seq: Seq, anchor: Anchor) {
        if let Some(known) = self.anchors.iter_mut().find(|(_, known)| *known == anchor) {
            known.0 = seq;
            return;
        }
        if self.anchors.len() >= MOST_ANCHORS {
            self.anchors.remove(0);
        }
        self.anchors.push((seq, anchor));
    }

    /// Applies a record that was carried forward to `at`.
    ///
    /// # Errors
    /// When what it carries cannot be decoded.
    pub fn apply_carried(&mut self, at: Seq, carried: &Carried, out: &mut Overlay) -> Result<(), minicbor::decode::Error> {
        self.covered = self.covered.max(at);
        match carried.kind {
            kind::DEAD | kind::ANCHOR | kind::VISIT | kind::DECIDED => {
                let head = Head { seq: at, kind: carried.kind, flags: carried.flags, order: carried.order };
                self.apply(head, &minicbor::decode(&carried.payload)?, out);
            }
            _ => {
                let head = Head { seq: carried.seq, kind: carried.kind, flags: carried.flags, order: carried.order };
                self.job(head);
                self.moved.insert(carried.seq, at);
                if let (Some(to), Some(stamp)) = (job_of(carried.flags), carried.sent) {
                    self.lane_mut(to).in_doubt.insert(carried.seq, stamp);
                }
            }
        }
        Ok(())
    }

    /// Records in this range are damaged for good: their jobs cannot be delivered. How many jobs that were.
    pub fn lose(&mut self, first: Seq, count: u64) -> u64 {
        let range = first..first.saturating_add(count);
        let mut jobs = 0;
        let gone: Vec<Seq> = self.moved.iter().filter(|(_, at)| range.contains(at)).map(|(job, _)| *job).collect();
        for job in gone {
            self.moved.remove(&job);
            for lane in &mut self.lanes {
                jobs += u64::from(lane.pending.remove(job));
                lane.in_doubt.remove(&job);
            }
        }
        for lane in &mut self.lanes {
            jobs += lane.pending.remove_range(range.clone());
            lane.in_doubt.retain(|job, _| !range.contains(job));
        }
        let visits = self.visits.len();
        self.visits.retain(|_, known| !range.contains(&known.visit));
        jobs += (visits - self.visits.len()) as u64;
        for known in self.visits.values_mut() {
            known.decided = known.decided.filter(|at| !range.contains(at));
        }
        self.lost += jobs;
        jobs
    }

    /// Records went missing while the state was made from the log: whichever they were, what waits now may have been sent. So it is asked for first.
    pub fn doubt_all(&mut self, stamp: Stamp) {
        for lane in &mut self.lanes {
            if let Some(last) = lane.pending.max() {
                lane.doubt_to = Some((last, stamp));
            }
        }
    }

    /// How many facts in the range some destination or person still needs.
    pub fn needed(&self, first: Seq, last: Seq) -> u64 {
        if last < first {
            return 0;
        }
        let lane = |lane: &Lane| {
            lane.pending.range_cardinality(first..=last)
                + lane.dead.iter().filter(|(job, at)| (first..=last).contains(*job) || (first..=last).contains(*at)).count() as u64
        };
        self.lanes.iter().map(lane).sum::<u64>()
            + self.moved.values().filter(|at| (first..=last).contains(at)).count() as u64
            + self.visits.values().flat_map(|known| [Some(known.visit), known.decided]).flatten().filter(|at| (first..=last).contains(at)).count()
                as u64
    }

    /// The oldest job that waits.
    pub fn oldest(&self) -> Option<Seq> {
        self.lanes.iter().filter_map(|lane| lane.pending.min()).min()
    }
}

/// Where the job of a record with these flags goes.
pub(super) fn job_of(flags: u8) -> Option<Destination> {
    if flags & JOB_LIME != 0 {
        Some(Destination::Lime)
    } else if flags & JOB_CRM != 0 {
        Some(Destination::Crm)
    } else {
        None
    }
}

/// The flag of a job for a destination.
pub(super) fn job_flag(to: Destination) -> u8 {
    match to {
        Destination::Lime => JOB_LIME,
        Destination::Crm => JOB_CRM,
    }
}

/// A device's record as a key: 128 bits of a hash.
pub(super) fn device_key(record: &DeviceRecord) -> u128 {
    let mut name = Vec::with_capacity(record.device.len() + record.record.len() + 8);
    name.extend_from_slice(&(record.device.len() as u64).to_le_bytes());
    name.extend_from_slice(record.device.as_bytes());
    name.extend_from_slice(record.record.as_bytes());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &name).as_u128()
}
