//! What was acknowledged, and the check that a journal still has it.

use std::collections::BTreeMap;
use std::path::Path;

use limegate::domain::{Seq, WriteOffStatus};
use limegate::journal::{Destination, Disk, Journal, Record, Sending, Store};

use crate::facts::{append, id_of, open, pass, settled, stamp, write_off};

/// A box at work: it appends what a gateway appends, and remembers what was acknowledged.
pub struct Books {
    dice: fastrand::Rng,
    next_id: u64,
    /// Acknowledged: sequence -> id of the pass; `None` for other records.
    pub acknowledged: BTreeMap<Seq, Option<u64>>,
    /// Passes that Lime has, acknowledged.
    pub settled: Vec<Seq>,
    waiting: Vec<(Seq, u64)>,
    /// Ids whose append was refused.
    pub refused: Vec<u64>,
}

impl Books {
    pub fn new(seed: u64) -> Self {
        let dice = fastrand::Rng::with_seed(seed);
        Self { dice, next_id: 1, acknowledged: BTreeMap::new(), settled: Vec::new(), waiting: Vec::new(), refused: Vec::new() }
    }

    /// One append; whether it was acknowledged.
    pub fn step(&mut self, journal: &Journal) -> bool {
        match self.dice.u8(0..10) {
            0..6 => self.passes(journal),
            6 if !self.waiting.is_empty() => {
                let jobs = self.waiting.iter().take(3).map(|(seq, _)| *seq).collect();
                self.others(journal, vec![Record::Sending(Sending { to: Destination::Lime, jobs, stamp: stamp() })])
            }
            7.. if !self.waiting.is_empty() => {
                let (seq, id) = self.waiting.swap_remove(self.dice.usize(..self.waiting.len()));
                let done = self.others(journal, vec![write_off(seq, id, WriteOffStatus::Applied), settled(Destination::Crm, &[])]);
                if done {
                    self.settled.push(seq);
                } else {
                    self.waiting.push((seq, id));
                }
                done
            }
            _ => self.passes(journal),
        }
    }

    fn passes(&mut self, journal: &Journal) -> bool {
        let count = if self.dice.u8(0..4) == 0 { self.dice.u64(2..30) } else { 1 };
        let ids: Vec<u64> = (self.next_id..self.next_id + count).collect();
        self.next_id += count;
        let records = ids.iter().map(|id| pass(*id, id % 13)).collect();
        match append(journal, records) {
            Ok(appended) => {
                for (seq, id) in (appended.first..).zip(ids) {
                    self.acknowledged.insert(seq, Some(id));
                    self.waiting.push((seq, id));
                }
                true
            }
            Err(_) => {
                self.refused.extend(ids);
                false
            }
        }
    }

    fn others(&mut self, journal: &Journal, records: Vec<Record>) -> bool {
        let count = records.len();
        let Ok(appended) = append(journal, records) else { return false };
        self.acknowledged.extend((appended.first..).take(count).map(|seq| (seq, None)));
        true
    }
}

/// What a journal holds, against what was acknowledged.
pub struct Holds {
    /// Acknowledged records that are not there.
    pub missing: Vec<Seq>,
    /// Whatever else is wrong.
    pub wrong: Option<String>,
}

/// Reads everything and compares. `settled` and `acknowledged` are what was acknowledged before the accident.
pub fn compare(journal: &Journal, acknowledged: &BTreeMap<Seq, Option<u64>>, settled: &[Seq]) -> Holds {
    let entries = match journal.read(0, usize::MAX) {
        Ok(entries) => entries,
        Err(error) => return Holds { missing: Vec::new(), wrong: Some(error.to_string()) },
    };
    let held: BTreeMap<Seq, Option<u64>> = entries.iter().map(|entry| (entry.seq, id_of(&entry.record))).collect();
    let missing: Vec<Seq> = acknowledged.keys().filter(|seq| !held.contains_key(seq)).copied().collect();
    let mut wrong = None;
    if held.len() != entries.len() || !entries.is_sorted_by_key(|entry| entry.seq) {
        wrong = Some("records are doubled or out of order".to_owned());
    }
    if let Some((seq, _)) = acknowledged.iter().find(|(seq, id)| held.get(seq).is_some_and(|held| held != *id)) {
        wrong = Some(format!("record {seq} is not what was acknowledged"));
    }
    let mut numbers: Vec<u64> =
        entries.iter().filter_map(|entry| if let Record::Pass(pass) = &entry.record { Some(pass.number) } else { None }).collect();
    let count = numbers.len();
    numbers.dedup();
    if numbers.len() != count || missing.is_empty() && numbers.last().is_some_and(|last| *last != count as u64) {
        wrong = Some(format!("{count} passes are numbered up to {:?}", numbers.last()));
    }
    for seq in acknowledged.iter().filter(|(_, id)| id.is_some()).map(|(seq, _)| seq).step_by(11) {
        let gone = missing.contains(seq) || settled.contains(seq);
        if !gone && !matches!(journal.get(*seq), Ok(Some(entry)) if entry.seq == *seq) {
            wrong = Some(format!("record {seq} is read in order and not alone"));
        }
    }
    Holds { missing, wrong }
}

/// The waiting jobs are the passes that nobody settled, as far as the records say.
pub fn pending_is_right(journal: &Journal) -> Result<(), String> {
    let entries = journal.read(0, usize::MAX).map_err(|error| error.to_string())?;
    let done: Vec<Seq> =
        entries.iter().filter_map(|entry| if let Record::WriteOff(done) = &entry.record { Some(done.pass_seq) } else { None }).collect();
    let expected: Vec<Seq> =
        entries.iter().filter(|entry| matches!(entry.record, Record::Pass(_)) && !done.contains(&entry.seq)).map(|entry| entry.seq).collect();
    let pending = journal.pending(Destination::Lime, 0, usize::MAX);
    if pending == expected { Ok(()) } else { Err(format!("{} jobs wait instead of {}", pending.len(), expected.len())) }
}

/// Opens what an accident left, compares, and goes on working with it: whatever is acknowledged then must be there, too.
pub fn survives(disk: &(impl Disk + Clone + 'static), dir: &Path, acknowledged: &BTreeMap<Seq, Option<u64>>, settled: &[Seq]) -> Result<(), String> {
    let journal = open(disk, dir);
    let holds = compare(&journal, acknowledged, settled);
    if let Some(wrong) = holds.wrong {
        return Err(wrong);
    }
    if !holds.missing.is_empty() {
        return Err(format!("acknowledged records {:?} are lost", holds.missing));
    }
    pending_is_right(&journal)?;
    if journal.stat().quarantined > 0 {
        return Err("a power cut was taken for damage".to_owned());
    }
    let highest = acknowledged.keys().next_back().copied().unwrap_or(0);
    let next = append(&journal, vec![pass(1 << 40, 1)]).map_err(|error| error.to_string())?;
    if next.first <= highest {
        return Err(format!("sequence {} was given twice", next.first));
    }
    Ok(())
}
