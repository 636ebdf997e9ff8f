//! Which job is next. Pure: told what waits, says what may go.
//!
//! - First in, first out per order key, free between keys: of one key only a run from its head goes, and nothing else of it until that is settled.
//! - Two lanes. What was there at the start or came while too much waited is backlog; what comes now is fresh. A fresh pass brings its own card's
//!   backlog along, for it must not overtake it.
//! - Bounded: a hot window of jobs is in memory, the rest is found through the journal's index.
//!
//! Never: two jobs of one key under way in different batches; a job forgotten because the window was full.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::domain::{OrderKey, Seq};

use super::job::Doubt;
use super::remote::Lane;

/// Most jobs in memory, besides those that a batch brings along.
pub const HOT: usize = 4_096;

/// Fresh jobs beyond this are backlog: then the destination is gone, and nothing is fresh any more.
const FRESH: usize = 1_024;

/// What is known of a job while it is in memory.
#[derive(Clone, Debug)]
struct Slot {
    order: OrderKey,
    lane: Lane,
    /// Not before this boot time.
    due_ms: u64,
    attempts: u32,
    /// Attempts that failed for a reason that may be its own.
    strikes: u32,
    doubt: Option<Doubt>,
    /// `due_ms` comes from a strike and not from an answer.
    penalty: bool,
    under_way: bool,
}

/// A job that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub seq: Seq,
    /// Its queue.
    pub order: OrderKey,
    /// What an earlier attempt left open.
    pub doubt: Option<Doubt>,
    /// Attempts so far.
    pub attempts: u32,
}

/// What a batch may hold.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Most jobs.
    pub jobs: usize,
    /// Most jobs of one key.
    pub per_key: usize,
}

/// Why a job goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// The remote, the limit or our own disk: nothing is said about the job.
    Blameless,
    /// It may be the job's own fault: it is tried in smaller company.
    Suspect,
}

/// The jobs of one destination.
#[derive(Debug, Default)]
pub struct Lanes {
    slots: BTreeMap<Seq, Slot>,
    keys: HashMap<OrderKey, BTreeSet<Seq>>,
    busy: HashSet<OrderKey>,
    fresh: usize,
    doubtful: usize,
    /// What an earlier run left open, for jobs that are not in memory yet: whichever way they come in, they come in doubt.
    doubts: HashMap<Seq, Doubt>,
    /// All waiting jobs up to here are in memory or done.
    low: Seq,
    /// Above this, jobs are fresh.
    boundary: Seq,
}

impl Lanes {
    /// Everything up to `head` is backlog; an earlier run left `doubts` open.
    #[must_use]
    pub fn new(head: Seq, doubts: HashMap<Seq, Doubt>) -> Self {
        Self { boundary: head, doubts, ..Self::default() }
    }

    /// From where to load the backlog, and how many jobs there is room for; `None` when it is loaded.
    #[must_use]
    pub fn wants(&self) -> Option<(Seq, usize)> {
        let room = HOT.saturating_sub(self.slots.len());
        (self.low < self.boundary && room > 0).then_some((self.low, room))
    }

    /// All waiting jobs up to `seq` have been loaded.
    pub fn loaded_to(&mut self, seq: Seq) {
        self.low = self.low.max(seq).min(self.boundary);
    }

    /// The end of the backlog that has yet to be loaded.
    #[must_use]
    pub fn boundary(&self) -> Seq {
        self.boundary
    }

    /// A job that waits. Known ones stay as they are.
    pub fn add(&mut self, seq: Seq, order: OrderKey, lane: Lane) {
        if self.slots.contains_key(&seq) {
            return;
        }
        let doubt = self.doubts.remove(&seq);
        self.fresh += usize::from(lane == Lane::Fresh);
        self.doubtful += usize::from(doubt.is_some());
        self.slots.insert(seq, Slot { order, lane, due_ms: 0, attempts: 0, strikes: 0, doubt, penalty: false, under_way: false });
        self.keys.entry(order).or_default().insert(seq);
    }

    /// A job at the end of the log. What is not `fresh`, or comes while too much waits to call anything fresh, is left to the index: it is backlog.
    pub fn add_newest(&mut self, seq: Seq, order: OrderKey, fresh: bool) {
        if self.low < self.boundary && seq <= self.boundary {
            return;
        }
        if !fresh {
            self.boundary = seq;
        } else if self.fresh >= FRESH {
            self.collapse(seq);
        } else {
            self.add(seq, order, Lane::Fresh);
        }
    }

    /// Nothing is fresh any more: all up to `seq` is backlog. Above `low` only what has a history stays in memory; the rest is found again.
    fn collapse(&mut self, seq: Seq) {
        for slot in self.slots.values_mut() {
            slot.lane = Lane::Backlog;
        }
        self.fresh = 0;
        self.boundary = seq;
        let above = self.slots.range(self.low.saturating_add(1)..);
        let idle = above.filter(|(_, slot)| !slot.under_way && slot.attempts == 0 && slot.doubt.is_none());
        let gone: Vec<Seq> = idle.map(|(seq, _)| *seq).collect();
        for seq in gone {
            self.remove(seq);
        }
    }

    /// Takes a batch from a lane: the oldest job that may go, the rest of its key's run, then the next key. Empty when nothing may go now.
    ///
    /// `more` is asked for the waiting jobs of a key below a sequence and adds to what is known: from the index.
    pub fn take(&mut self, now_ms: u64, lane: Lane, room: Room, more: &mut dyn FnMut(OrderKey, Seq) -> Vec<Seq>) -> Vec<Taken> {
        let mut taken: Vec<Taken> = Vec::new();
        let mut size = room.jobs;
        let mut passed: HashSet<OrderKey> = HashSet::new();
        if lane == Lane::Fresh && self.fresh == 0 || self.slots.len() == self.fresh && lane == Lane::Backlog {
            return taken;
        }
        // More than fit, for some will turn out to travel in other company.
        let waiting =
            self.slots.iter().filter(|(_, slot)| slot.lane == lane && !self.busy.contains(&slot.order) && self.head_is_due(slot.order, now_ms));
        let candidates: Vec<(Seq, OrderKey)> = waiting.map(|(seq, slot)| (*seq, slot.order)).take(room.jobs.saturating_mul(8)).collect();
        for (seq, order) in candidates {
            if taken.len() >= size {
                break;
            }
            if !passed.insert(order) {
                continue;
            }
            // Up to `low` all that waits is known; above, the index is asked for what the key has below. Where several of a key may travel together, all
            // of it is gathered.
            if room.per_key > 1 {
                self.bring(order, lane, more(order, Seq::MAX));
            } else if seq > self.low {
                self.bring(order, lane, more(order, seq));
            }
            let Some(head) = self.head_of(order) else { continue };
            let company = self.company(head, room.jobs);
            // A suspect is tried among suspects, the others among their own.
            if !taken.is_empty() && company != size {
                continue;
            }
            let run = self.run_of(order, now_ms, room, company, size.min(company) - taken.len());
            if !run.is_empty() {
                size = company;
                taken.extend(run);
            }
        }
        for one in &taken {
            self.busy.insert(one.order);
            if let Some(slot) = self.slots.get_mut(&one.seq) {
                slot.under_way = true;
                slot.attempts = slot.attempts.saturating_add(1);
            }
        }
        taken
    }

    /// How many a job may travel with.
    fn company(&self, seq: Seq, jobs: usize) -> usize {
        let strikes = self.slots.get(&seq).map_or(0, |slot| slot.strikes);
        match strikes {
            0 | 1 => jobs,
            2 => (jobs / 4).max(1),
            3 => (jobs / 16).max(1),
            _ => 1,
        }
    }

    fn bring(&mut self, order: OrderKey, lane: Lane, found: Vec<Seq>) {
        for seq in found {
            self.add(seq, order, lane);
        }
    }

    fn head_of(&self, order: OrderKey) -> Option<Seq> {
        self.keys.get(&order).and_then(|queue| queue.first()).copied()
    }

    fn head_is_due(&self, order: OrderKey, now_ms: u64) -> bool {
        self.head_of(order).and_then(|seq| self.slots.get(&seq)).is_some_and(|head| !head.under_way && head.due_ms <= now_ms)
    }

    /// The jobs of a key from its head on that may go now and travel in the same company.
    fn run_of(&self, order: OrderKey, now_ms: u64, room: Room, company: usize, most: usize) -> Vec<Taken> {
        let mut run: Vec<Taken> = Vec::new();
        for seq in self.keys.get(&order).into_iter().flatten() {
            let Some(slot) = self.slots.get(seq) else { break };
            let fits = run.len() < most.min(room.per_key) && self.company(*seq, room.jobs) == company;
            // A job in doubt goes first or not at all, and what comes after it waits until that is known.
            let doubt = slot.doubt.is_some() && !run.is_empty() || run.last().is_some_and(|last| last.doubt.is_some());
            if !fits || doubt || slot.under_way || slot.due_ms > now_ms {
                break;
            }
            run.push(Taken { seq: *seq, order, doubt: slot.doubt, attempts: slot.attempts });
        }
        run
    }

    /// The batch is over: its keys are free again. Call after each job's own end.
    pub fn release(&mut self, batch: &[Taken]) {
        for one in batch {
            self.busy.remove(&one.order);
            if let Some(slot) = self.slots.get_mut(&one.seq) {
                slot.under_way = false;
            }
        }
    }

    /// The job is done, dead or gone.
    pub fn remove(&mut self, seq: Seq) {
        let Some(slot) = self.slots.remove(&seq) else { return };
        self.fresh -= usize::from(slot.lane == Lane::Fresh);
        self.doubtful -= usize::from(slot.doubt.is_some());
        if let Some(queue) = self.keys.get_mut(&slot.order) {
            queue.remove(&seq);
            if queue.is_empty() {
                self.keys.remove(&slot.order);
            }
        }
    }

    /// The job waits on, until `due_ms`. `doubt` replaces what was known of it.
    pub fn back(&mut self, seq: Seq, due_ms: u64, blame: Back, doubt: Option<Doubt>) {
        let Some(slot) = self.slots.get_mut(&seq) else { return };
        slot.due_ms = due_ms;
        slot.penalty = blame == Back::Suspect;
        if blame == Back::Suspect {
            slot.strikes = slot.strikes.saturating_add(1);
        }
        self.doubtful -= usize::from(slot.doubt.is_some());
        self.doubtful += usize::from(doubt.is_some());
        slot.doubt = doubt;
    }

    /// The remote was gone for long and is back: what failed meanwhile says nothing about the jobs.
    pub fn pardon(&mut self) {
        for slot in self.slots.values_mut() {
            slot.strikes = 0;
            if slot.penalty && !slot.under_way {
                slot.due_ms = 0;
            }
        }
    }

    /// Strikes against a job, for its own wait.
    #[must_use]
    pub fn strikes(&self, seq: Seq) -> u32 {
        self.slots.get(&seq).map_or(0, |slot| slot.strikes)
    }

    /// When the next job may go; `None` when none waits in memory that is not behind one under way. A boot time in the past means now.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        let heads = self.keys.iter().filter(|(order, _)| !self.busy.contains(order)).filter_map(|(_, queue)| queue.first());
        heads.filter_map(|seq| self.slots.get(seq)).map(|slot| slot.due_ms).min()
    }

    /// Jobs whose outcome is unknown, as far as they are in memory.
    #[must_use]
    pub fn doubtful(&self) -> usize {
        self.doubtful
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Room = Room { jobs: 100, per_key: 100 };
    const ONE_A_KEY: Room = Room { jobs: 100, per_key: 1 };

    fn none(_: OrderKey, _: Seq) -> Vec<Seq> {
        Vec::new()
    }

    fn seqs(taken: &[Taken]) -> Vec<Seq> {
        taken.iter().map(|one| one.seq).collect()
    }

    /// Jobs 1.. with the given keys, all backlog and loaded.
    fn backlog(keys: &[u32]) -> Lanes {
        let head = keys.len() as Seq;
        let mut lanes = Lanes::new(head, HashMap::new());
        for (seq, key) in (1..).zip(keys) {
            lanes.add(seq, OrderKey(*key), Lane::Backlog);
        }
        lanes.loaded_to(head);
        lanes
    }

    #[test]
    fn one_key_goes_first_in_first_out_and_others_pass_it() {
        let mut lanes = backlog(&[7, 7, 8, 7, 9]);
        let first = lanes.take(0, Lane::Backlog, ONE_A_KEY, &mut none);
        assert_eq!(seqs(&first), [1, 3, 5]);
        assert!(lanes.take(0, Lane::Backlog, ONE_A_KEY, &mut none).is_empty(), "a key under way goes nowhere else");
        lanes.remove(1);
        lanes.remove(3);
        lanes.back(5, 500, Back::Blameless, None);
        lanes.release(&first);
        assert_eq!(seqs(&lanes.take(0, Lane::Backlog, ONE_A_KEY, &mut none)), [2]);
        assert_eq!(lanes.next_due(), Some(500), "the job behind the one under way is not due");
    }

    #[test]
    fn a_job_that_waits_holds_up_its_own_key_only() {
        let mut lanes = backlog(&[7, 7, 8]);
        let first = lanes.take(0, Lane::Backlog, ALL, &mut none);
        assert_eq!(seqs(&first), [1, 2, 3]);
        lanes.back(1, 1_000, Back::Blameless, None);
        lanes.back(2, 0, Back::Blameless, None);
        lanes.back(3, 0, Back::Blameless, None);
        lanes.release(&first);
        let second = lanes.take(10, Lane::Backlog, ALL, &mut none);
        assert_eq!(seqs(&second), [3]);
        lanes.release(&second);
        assert_eq!(seqs(&lanes.take(1_000, Lane::Backlog, ALL, &mut none)), [1, 2, 3]);
    }

    #[test]
    fn a_job_in_doubt_goes_before_all_else_of_its_key() {
        let mut lanes = Lanes::new(3, HashMap::from([(1, super::super::doubt::of_earlier_run(1))]));
        lanes.add(1, OrderKey(7), Lane::Backlog);
        lanes.add(2, OrderKey(7), Lane::Backlog);
        lanes.loaded_to(3);
        assert_eq!(seqs(&lanes.take(0, Lane::Backlog, ALL, &mut none)), [1]);
        assert_eq!(lanes.doubtful(), 1);
    }

    #[test]
    fn a_job_that_another_of_its_key_brings_along_keeps_its_doubt() {
        let mut lanes = Lanes::new(100, HashMap::from([(40, super::super::doubt::of_earlier_run(1))]));
        lanes.add(30, OrderKey(7), Lane::Backlog);
        lanes.loaded_to(30);
        let first = lanes.take(0, Lane::Backlog, ALL, &mut |_, _| vec![30, 40]);
        assert_eq!(seqs(&first), [30], "what is in doubt is asked about first");
        lanes.remove(30);
        lanes.release(&first);
        let second = lanes.take(0, Lane::Backlog, ALL, &mut |_, _| vec![40]);
        assert!(second.is_empty() || second[0].doubt.is_some());
        lanes.add(41, OrderKey(7), Lane::Backlog);
        assert!(lanes.take(0, Lane::Backlog, ALL, &mut none).iter().chain(&second).any(|one| one.seq == 40 && one.doubt.is_some()));
    }

    #[test]
    fn a_fresh_pass_brings_its_own_cards_backlog_along() {
        let mut lanes = Lanes::new(100, HashMap::new());
        lanes.loaded_to(10);
        lanes.add_newest(101, OrderKey(7), true);
        let mut index =
            |order: OrderKey, before: Seq| if order == OrderKey(7) { [40, 60].into_iter().filter(|seq| *seq < before).collect() } else { vec![] };
        let first = lanes.take(0, Lane::Fresh, ONE_A_KEY, &mut index);
        assert_eq!(seqs(&first), [40]);
        lanes.remove(40);
        lanes.release(&first);
        assert_eq!(seqs(&lanes.take(0, Lane::Fresh, ALL, &mut |_, _| vec![60, 101])), [60, 101]);
    }

    #[test]
    fn suspects_travel_in_ever_smaller_company() {
        let mut lanes = backlog(&(0..100).collect::<Vec<_>>());
        let mut sizes = Vec::new();
        for _ in 0..5 {
            let batch = lanes.take(0, Lane::Backlog, ALL, &mut none);
            sizes.push(batch.len());
            for one in &batch {
                lanes.back(one.seq, 0, Back::Suspect, None);
            }
            lanes.release(&batch);
            // The others are not under suspicion and leave.
            for seq in 1..=100 {
                if !batch.iter().any(|one| one.seq == seq) {
                    lanes.remove(seq);
                }
            }
        }
        assert_eq!(sizes, [100, 100, 25, 6, 1]);
    }

    #[test]
    fn too_much_that_is_fresh_becomes_backlog_and_none_of_it_is_forgotten() {
        let mut lanes = Lanes::new(0, HashMap::new());
        let mut most = 0;
        for seq in 1..=20_000 {
            // Every seventh is the late echo of something old.
            lanes.add_newest(seq, OrderKey(u32::try_from(seq).unwrap()), seq % 7 != 0);
            most = most.max(lanes.slots.len());
        }
        assert!(most <= HOT + FRESH, "{most} in memory");
        // The index still has them all; draining through it finds each once.
        let mut left: BTreeSet<Seq> = (1..=20_000).collect();
        for _ in 0..100_000 {
            if let Some((after, room)) = lanes.wants() {
                let found: Vec<Seq> = left.range(after + 1..=lanes.boundary()).take(room.min(512)).copied().collect();
                for seq in &found {
                    lanes.add(*seq, OrderKey(u32::try_from(*seq).unwrap()), Lane::Backlog);
                }
                lanes.loaded_to(found.last().copied().unwrap_or(lanes.boundary()));
            }
            for lane in [Lane::Fresh, Lane::Backlog] {
                let batch = lanes.take(0, lane, ALL, &mut none);
                for one in &batch {
                    assert!(left.remove(&one.seq), "{} twice", one.seq);
                    lanes.remove(one.seq);
                }
                lanes.release(&batch);
            }
            if left.is_empty() {
                return;
            }
        }
        panic!("{} jobs forgotten, the first {:?}", left.len(), left.first());
    }
}
