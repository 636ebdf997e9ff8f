//! The power goes at every point of a trace of writes, and of what was not synced each sector may be there or not.

use std::collections::BTreeMap;
use std::path::Path;

use limegate::domain::Seq;
use limegate::journal::sim::SimDisk;

use crate::books::{Books, survives};
use crate::campaign::Campaign;
use crate::facts::open;

/// Cuts of one trace; then another trace is written.
const CUTS_A_TRACE: u64 = 400;

struct Acknowledged {
    at: usize,
    records: BTreeMap<Seq, Option<u64>>,
    settled: Vec<Seq>,
}

/// A box that works, is cut off, and works again, on a disk that remembers every change. What was acknowledged after how many changes.
fn trace(seed: u64) -> (SimDisk, Vec<Acknowledged>) {
    let disk = SimDisk::traced();
    let mut books = Books::new(seed);
    let mut times = vec![Acknowledged { at: 0, records: BTreeMap::new(), settled: Vec::new() }];
    for lap in 0..2 {
        let journal = open(&disk, Path::new("/j"));
        for _ in 0..30 {
            if books.step(&journal) {
                times.push(Acknowledged { at: disk.trace_len(), records: books.acknowledged.clone(), settled: books.settled.clone() });
            }
        }
        if lap == 0 && seed.is_multiple_of(2) {
            journal.close();
        }
    }
    (disk, times)
}

#[test]
fn power_cut() {
    let mut campaign = Campaign::new("power-cut", 2_000);
    let mut seed = campaign.seed;
    while campaign.more() {
        let (disk, times) = trace(seed);
        let length = disk.trace_len() as u64;
        for cut in 0..CUTS_A_TRACE.min(campaign.trials - campaign.done()) {
            // Every prefix in turn, and again with other dice.
            let prefix = usize::try_from((cut * 7 + 1) % (length + 1)).unwrap();
            let dice = seed.wrapping_mul(1_000_003).wrapping_add(cut);
            let known = times.iter().rev().find(|time| time.at <= prefix).expect("the beginning");
            let after = disk.at_cut(prefix, dice);
            let outcome = survives(&after, Path::new("/j"), &known.records, &known.settled);
            // And the power goes again, right after.
            let outcome = outcome.and_then(|()| survives(&after.power_cut(dice), Path::new("/j"), &known.records, &known.settled));
            campaign.trial(outcome.map_err(|what| format!("{what} (trace {seed}, cut behind change {prefix}, dice {dice})")));
        }
        seed += 1;
    }
    campaign.end();
}
