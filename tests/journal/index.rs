//! The index on a real disk: sled is lost, damaged or left half-written, and the journal goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use limegate::domain::WriteOffStatus;
use limegate::journal::{Destination, HostDisk, Journal, Learned, LedgerKey, Record, Settled, Store};

use crate::campaign::Campaign;
use crate::facts::{append, clock, device, options, pass, pass_of_device, stamp, write_off};

fn open(dir: &Path) -> Journal {
    Journal::open(Arc::new(HostDisk), options(dir, clock())).expect("the journal opens")
}

fn key(n: u64) -> LedgerKey {
    LedgerKey { kind: "amocrm.contact".to_owned(), key: format!("c-{n}") }
}

fn learned(n: u64) -> Record {
    let learned = vec![Learned { key: key(n), value: Some(format!("remote-{n}")) }];
    Record::Settled(Settled { to: Destination::Crm, items: Vec::new(), learned, stamp: stamp() })
}

/// A journal with all that the index keeps: 40 passes, half of them settled, ledger lines, devices' records.
fn filled(dir: &Path) {
    for lap in 0..2 {
        let journal = open(dir);
        for n in lap * 20 + 1..=lap * 20 + 20 {
            let seq = append(&journal, vec![pass_of_device(n, n, &n.to_string()), learned(n)]).unwrap().first;
            if n % 2 == 0 {
                append(&journal, vec![write_off(seq, n, WriteOffStatus::Refused)]).unwrap();
            }
        }
        journal.close();
    }
}

fn is_whole(dir: &Path) -> Result<(), String> {
    let journal = open(dir);
    if journal.pending_count(Destination::Lime) != 20 {
        return Err(format!("{} jobs wait", journal.pending_count(Destination::Lime)));
    }
    for n in 1..=40 {
        if journal.ledger(&key(n)) != Some(format!("remote-{n}")) {
            return Err(format!("the ledger does not know {n}: {:?}; index: {}", journal.ledger(&key(n)), journal.stat().index));
        }
        if !journal.seen(&device(&n.to_string())) {
            return Err(format!("the device's record {n} is not known; index: {}", journal.stat().index));
        }
    }
    append(&journal, vec![pass(1_000, 1)]).map(|_| ()).map_err(|error| error.to_string())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    found.sort();
    found
}

#[test]
fn a_lost_index_is_made_again_from_the_log() {
    let host = tempfile::tempdir().unwrap();
    filled(host.path());
    std::fs::remove_dir_all(host.path().join("index")).unwrap();
    assert_eq!(is_whole(host.path()), Ok(()));
}

#[test]
fn an_index_full_of_rubbish_is_made_again_from_the_log() {
    let host = tempfile::tempdir().unwrap();
    filled(host.path());
    for file in files(&host.path().join("index")) {
        std::fs::write(file, b"this is not what sled wrote").unwrap();
    }
    assert_eq!(is_whole(host.path()), Ok(()));
}

#[test]
fn an_index_that_cannot_be_opened_at_all_is_moved_aside() {
    let host = tempfile::tempdir().unwrap();
    filled(host.path());
    let db = host.path().join("index/db");
    std::fs::remove_file(&db).unwrap();
    std::fs::create_dir(&db).unwrap();
    assert_eq!(is_whole(host.path()), Ok(()));
    assert!(host.path().join("index.damaged/db").is_dir(), "what was there is kept for whoever wants to look");
    assert!(open(host.path()).stat().index.contains("ok"), "and the new one is fine");
}

#[test]
fn a_half_written_snapshot_of_sleds_is_swept() {
    let host = tempfile::tempdir().unwrap();
    filled(host.path());
    let left_over = host.path().join("index/snap.00000000000000FF.generating");
    std::fs::write(&left_over, [0; 40]).unwrap();
    assert_eq!(is_whole(host.path()), Ok(()));
    assert!(!left_over.exists());
}

#[test]
fn an_index_from_before_the_log_was_lost_is_not_believed() {
    let (host, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(host.path());
    let journal = open(other.path());
    append(&journal, vec![pass(1, 1)]).unwrap();
    drop(journal);
    let _ = std::fs::remove_dir_all(other.path().join("index"));
    copy(&host.path().join("index"), &other.path().join("index"));
    assert_eq!(open(other.path()).pending(Destination::Lime, 0, 10), [1]);
}

#[test]
fn a_journal_that_was_closed_opens_again_while_other_threads_start_programs() {
    // A program that is being started has, for a moment, every file that this process has open, and so its locks.
    let host = tempfile::tempdir().unwrap();
    let (ended, starting) = (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(starting) {
                    let _ = std::process::Command::new("true").status();
                }
            });
        }
        let opened = std::panic::catch_unwind(|| {
            for lap in 1..=60 {
                let journal = open(host.path());
                journal.wait_for_index();
                let word = journal.stat().index;
                assert!(word == "ok" || lap == 1, "lap {lap}: {word}");
                append(&journal, vec![pass(lap, lap), learned(lap)]).unwrap();
                journal.close();
            }
        });
        ended.store(true, starting);
        opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn an_index_whose_last_pages_were_never_written_is_made_again_from_the_log() {
    let host = tempfile::tempdir().unwrap();
    filled(host.path());
    let db = std::fs::read(host.path().join("index/db")).unwrap();
    let used = db.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // The box lost power with the end of the file still on its way: from each page on, and from within one, nothing but zeros is there.
    let pages = used.div_ceil(4096);
    let starts = (0..=pages).map(|page| page * 4096).chain([used - 1, used - 7, used / 2 + 100, 100]);
    for start in starts.filter(|start| *start < used) {
        let victim = tempfile::tempdir().unwrap();
        copy(host.path(), victim.path());
        let mut zeroed = db.clone();
        zeroed[start..].fill(0);
        std::fs::write(victim.path().join("index/db"), zeroed).unwrap();
        let outcome = std::panic::catch_unwind(|| is_whole(victim.path()));
        assert!(matches!(outcome, Ok(Ok(()))), "zeros from {start} of {used}: {outcome:?}");
        // What was put right stays right.
        let again = open(victim.path());
        again.wait_for_index();
        assert_eq!(again.pending_count(Destination::Lime), 21, "zeros from {start}");
    }
    println!("{pages} pages");
}

#[test]
fn index_damage() {
    let host = tempfile::tempdir().unwrap();
    filled(host.path());
    let mut campaign = Campaign::new("index-damage", 150);
    let mut dice = fastrand::Rng::with_seed(campaign.seed);
    while campaign.more() {
        let victim = tempfile::tempdir().unwrap();
        copy(host.path(), victim.path());
        let all = files(&victim.path().join("index"));
        let path = &all[dice.usize(..all.len())];
        let mut bytes = std::fs::read(path).unwrap();
        if bytes.is_empty() {
            campaign.trial(Ok(()));
            continue;
        }
        // sled reserves far more than it has written: damage is aimed at what it has.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |at| at + 1);
        let at = dice.usize(..used);
        let way = dice.u8(0..3);
        match way {
            0 => bytes[at] ^= 1 << dice.u8(0..8),
            1 => {
                let end = (at / 4096 * 4096 + 4096).min(bytes.len());
                bytes[at / 4096 * 4096..end].fill(0);
            }
            _ => bytes.truncate(at),
        }
        std::fs::write(path, &bytes).unwrap();
        let outcome = std::panic::catch_unwind(|| is_whole(victim.path())).unwrap_or_else(|_| Err("panic".to_owned()));
        campaign.trial(outcome.map_err(|what| format!("{what} ({} at {at}, way {way})", path.display())));
    }
    campaign.end();
}
