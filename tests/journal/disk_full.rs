//! The disk refuses at every change in turn, for one operation or for many: nothing acknowledged is lost, nothing refused comes back, and the journal
//! takes facts again by itself when the disk does.

use std::path::Path;

use limegate::journal::sim::{Fault, SimDisk};
use limegate::journal::{Journal, Store};

use crate::books::{Books, compare};
use crate::campaign::Campaign;
use crate::facts::{append, clock, id_of, open, options, pass};

const STEPS: usize = 40;

fn begin() -> (SimDisk, Journal, Books) {
    let disk = SimDisk::new();
    let journal = Journal::open(std::sync::Arc::new(disk.clone()), options(Path::new("/j"), clock())).expect("a new journal opens");
    (disk, journal, Books::new(5))
}

/// How many changes the work takes when nothing fails.
fn changes() -> u64 {
    let (disk, journal, mut books) = begin();
    let before = disk.ops();
    for _ in 0..STEPS {
        books.step(&journal);
    }
    disk.ops() - before
}

fn trial(nth: u64, times: u64, fault: Fault, dice: u64) -> Result<(), String> {
    let (disk, journal, mut books) = begin();
    disk.fail_at(nth, times, fault);
    for _ in 0..STEPS {
        books.step(&journal);
    }
    disk.heal();
    let after = append(&journal, vec![pass(1 << 40, 1)]).map_err(|error| format!("does not recover: {error}"))?;
    books.acknowledged.insert(after.first, Some(1 << 40));
    if let Some(failing) = journal.stat().failing {
        return Err(format!("says that it still fails: {failing}"));
    }
    let cut = disk.power_cut(dice);
    check(&journal, &books)?;
    drop(journal);
    check(&open(&cut, Path::new("/j")), &books).map_err(|what| format!("after a power cut: {what}"))?;
    check(&open(&disk, Path::new("/j")), &books).map_err(|what| format!("opened again: {what}"))
}

fn check(journal: &Journal, books: &Books) -> Result<(), String> {
    let holds = compare(journal, &books.acknowledged, &books.settled);
    if let Some(wrong) = holds.wrong {
        return Err(wrong);
    }
    if !holds.missing.is_empty() {
        return Err(format!("acknowledged records {:?} are lost", holds.missing));
    }
    let entries = journal.read(0, usize::MAX).map_err(|error| error.to_string())?;
    if let Some(id) = entries.iter().filter_map(|entry| id_of(&entry.record)).find(|id| books.refused.contains(id)) {
        return Err(format!("pass {id} was refused and is there"));
    }
    if journal.stat().quarantined > 0 { Err("a refused write was taken for damage".to_owned()) } else { Ok(()) }
}

#[test]
fn disk_full() {
    let all = changes();
    let ways = [Fault::Full, Fault::Io, Fault::Short];
    let lasting = [1, 2, 3, 5, 1_000_000];
    let mut campaign = Campaign::new("disk-full", all * (ways.len() * lasting.len()) as u64);
    'all: for nth in 0..all {
        for fault in ways {
            for times in lasting {
                if !campaign.more() {
                    break 'all;
                }
                let dice = campaign.seed ^ nth.wrapping_mul(31) ^ times;
                let outcome = trial(nth, times, fault, dice);
                campaign.trial(outcome.map_err(|what| format!("{what} ({fault:?} at change {nth}, {times} times, dice {dice})")));
            }
        }
    }
    campaign.end();
}

#[test]
fn a_disk_that_is_really_full_keeps_room_for_what_settles() {
    let disk = SimDisk::new();
    let journal = open(&disk, Path::new("/j"));
    disk.set_capacity(Some(300 * 1024));
    let mut taken = Vec::new();
    while let Ok(appended) = append(&journal, vec![pass(taken.len() as u64 + 1, 1)]) {
        taken.push(appended.first);
        assert!(taken.len() < 100_000);
    }
    assert!(journal.stat().failing.is_some(), "it says so");
    for (n, seq) in taken.iter().enumerate().take(200) {
        let outcome = crate::facts::write_off(*seq, n as u64 + 1, limegate::domain::WriteOffStatus::Refused);
        append(&journal, vec![outcome]).expect("the reserve is for this");
    }
    disk.set_capacity(None);
    append(&journal, vec![pass(1 << 40, 1)]).expect("there is room again");
    assert_eq!(journal.stat().failing, None);
}
