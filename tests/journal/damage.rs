//! One bit flipped, a block zeroed or a tail cut in any file of a journal at rest: never a panic, and what is lost is said.

use std::path::{Path, PathBuf};

use limegate::journal::sim::SimDisk;
use limegate::journal::{Journal, Store};

use crate::books::{Books, compare};
use crate::campaign::Campaign;
use crate::facts::{append, open, pass};

const BLOCK: usize = 4096;

fn at_rest(seed: u64) -> (SimDisk, Books) {
    let disk = SimDisk::new();
    let mut books = Books::new(seed);
    for _ in 0..3 {
        let journal = open(&disk, Path::new("/j"));
        for _ in 0..60 {
            books.step(&journal);
        }
        journal.close();
    }
    (disk, books)
}

/// Where a file holds something: damage elsewhere is not seen by anyone.
fn harm(disk: &SimDisk, path: &Path, dice: &mut fastrand::Rng) -> String {
    let length = disk.bytes(path).map_or(0, |bytes| bytes.len());
    if length == 0 {
        return "nothing".to_owned();
    }
    let at = dice.usize(..length);
    match dice.u8(0..3) {
        0 => {
            let bit = dice.u8(0..8);
            disk.damage(path, |bytes| bytes[at] ^= 1 << bit);
            format!("bit {bit} of byte {at} flipped")
        }
        1 => {
            let block = at / BLOCK * BLOCK;
            disk.damage(path, |bytes| {
                let end = (block + BLOCK).min(bytes.len());
                bytes[block..end].fill(0);
            });
            format!("block at {block} zeroed")
        }
        _ => {
            disk.damage(path, |bytes| bytes.truncate(at));
            format!("cut at {at}")
        }
    }
}

fn said(journal: &Journal) -> bool {
    let stat = journal.stat();
    stat.quarantined > 0 || stat.torn_bytes > 0
}

fn trial(whole: &SimDisk, books: &Books, files: &[PathBuf], dice: &mut fastrand::Rng) -> Result<(), String> {
    let disk = whole.copy();
    let path = &files[dice.usize(..files.len())];
    let what = format!("{}: {}", path.display(), harm(&disk, path, dice));
    let outcome = std::panic::catch_unwind(|| {
        let journal = open(&disk, Path::new("/j"));
        let holds = compare(&journal, &books.acknowledged, &books.settled);
        if let Some(wrong) = holds.wrong {
            return Err(wrong);
        }
        if !holds.missing.is_empty() && !said(&journal) {
            return Err(format!("{} records are lost in silence", holds.missing.len()));
        }
        if holds.missing.len() > 400 {
            return Err(format!("{} records are lost to one damage", holds.missing.len()));
        }
        let highest = books.acknowledged.keys().next_back().copied().unwrap_or(0);
        let next = append(&journal, vec![pass(1 << 40, 1)]).map_err(|error| error.to_string())?;
        if next.first <= highest { Err(format!("sequence {} was given twice", next.first)) } else { Ok(()) }
    });
    let outcome = outcome.unwrap_or_else(|_| Err("panic".to_owned()));
    outcome.map_err(|violated| format!("{violated} ({what})"))
}

#[test]
fn damage() {
    let mut campaign = Campaign::new("damage", 1_000);
    let mut seed = campaign.seed;
    while campaign.more() {
        let (disk, books) = at_rest(seed);
        let files: Vec<PathBuf> = disk.files();
        let mut dice = fastrand::Rng::with_seed(seed);
        for _ in 0..200.min(campaign.trials - campaign.done()) {
            let outcome = trial(&disk, &books, &files, &mut dice);
            campaign.trial(outcome.map_err(|what| format!("{what}, box {seed}")));
        }
        seed += 1;
    }
    campaign.end();
}
