//! What a journal does on a disk that works.

use std::path::Path;
use std::sync::Arc;

use limegate::domain::{Medium, MediumKind, OrderKey, Personal, Seq, WriteOffStatus};
use limegate::journal::sim::SimDisk;
use limegate::journal::{
    AppendError, DeadLetter, Destination, Drop, HostDisk, Journal, Learned, LedgerKey, Options, Record, Sending, Settled, Store,
};
use uuid::Uuid;

use crate::facts::{append, clock, device, id_of, open, options, pass, pass_of_device, settled, stamp, write_off};

const DIR: &str = "/var/lib/limegate/journal";

fn dir() -> &'static Path {
    Path::new(DIR)
}

fn order_of(card: u64) -> OrderKey {
    let value = Personal::new(format!("{card:014X}"));
    Medium { kind: MediumKind::CardUid, value, raw: None, format: String::new() }.order_key()
}

fn ids(journal: &Journal) -> Vec<u64> {
    journal.read(0, usize::MAX).unwrap().iter().filter_map(|entry| id_of(&entry.record)).collect()
}

fn numbers(journal: &Journal) -> Vec<u64> {
    let number = |record: &Record| if let Record::Pass(pass) = record { Some(pass.number) } else { None };
    journal.read(0, usize::MAX).unwrap().iter().filter_map(|entry| number(&entry.record)).collect()
}

#[test]
fn passes_are_numbered_without_gaps_across_restarts() {
    let disk = SimDisk::new();
    for round in 0..4_u64 {
        let journal = open(&disk, dir());
        for n in 1..=5 {
            let appended = append(&journal, vec![pass(round * 5 + n, n)]).unwrap();
            assert_eq!(journal.get(appended.first).unwrap().unwrap().seq, appended.first);
        }
        if round % 2 == 0 {
            journal.close();
        }
    }
    let journal = open(&disk, dir());
    assert_eq!(numbers(&journal), (1..=20).collect::<Vec<u64>>());
    assert_eq!(ids(&journal), (1..=20).collect::<Vec<u64>>());
    assert_eq!(journal.pending_count(Destination::Lime), 20);
    assert_eq!(journal.totals(Destination::Lime).passes, 20);
    assert_eq!(journal.verify().unwrap().findings, []);
}

#[test]
fn a_pass_goes_its_way_from_lime_to_the_crm_and_survives_a_restart_at_each_step() {
    let disk = SimDisk::new();
    let seq = append(&open(&disk, dir()), vec![pass(1, 7)]).unwrap().first;
    let journal = open(&disk, dir());
    assert_eq!(journal.pending(Destination::Lime, 0, 10), [seq]);
    append(&journal, vec![Record::Sending(Sending { to: Destination::Lime, jobs: vec![seq], stamp: stamp() })]).unwrap();
    std::mem::drop(journal);
    let journal = open(&disk, dir());
    assert_eq!(journal.in_doubt(Destination::Lime), [(seq, stamp())]);
    let outcome = append(&journal, vec![write_off(seq, 1, WriteOffStatus::Applied)]).unwrap().first;
    std::mem::drop(journal);
    let journal = open(&disk, dir());
    assert!(journal.in_doubt(Destination::Lime).is_empty());
    assert_eq!(journal.pending(Destination::Lime, 0, 10), Vec::<Seq>::new());
    assert_eq!(journal.pending(Destination::Crm, 0, 10), [outcome]);
    append(&journal, vec![settled(Destination::Crm, &[outcome])]).unwrap();
    std::mem::drop(journal);
    let journal = open(&disk, dir());
    assert_eq!(journal.pending_count(Destination::Crm), 0);
    let (lime, crm) = (journal.totals(Destination::Lime), journal.totals(Destination::Crm));
    assert_eq!((lime.made, lime.confirmed, crm.made, crm.confirmed), (1, 1, 1, 1));
    assert_eq!(journal.stat().oldest_unsettled, None);
}

#[test]
fn a_refused_write_off_makes_no_job_unless_the_policy_asks_for_it() {
    let journal = open(&SimDisk::new(), dir());
    let seq = append(&journal, vec![pass(1, 7)]).unwrap().first;
    append(&journal, vec![write_off(seq, 1, WriteOffStatus::Refused)]).unwrap();
    assert_eq!((journal.pending_count(Destination::Lime), journal.pending_count(Destination::Crm)), (0, 0));
}

#[test]
fn a_dead_letter_waits_for_a_person_who_revives_or_drops_it() {
    let disk = SimDisk::new();
    let journal = open(&disk, dir());
    let first = append(&journal, vec![pass(1, 1), pass(2, 2)]).unwrap().first;
    let letter = |job: Seq| DeadLetter {
        to: Destination::Lime,
        job,
        key: Uuid::from_u128(1),
        reason: "http/404".to_owned(),
        answer: "no such place".to_owned(),
        fact: minicbor::to_vec(pass(1, 1)).unwrap(),
        stamp: stamp(),
    };
    append(&journal, vec![Record::Dead(letter(first)), Record::Dead(letter(first + 1))]).unwrap();
    std::mem::drop(journal);
    let journal = open(&disk, dir());
    assert_eq!(journal.dead(Destination::Lime).iter().map(|letter| letter.job).collect::<Vec<_>>(), [first, first + 1]);
    assert_eq!(journal.totals(Destination::Lime).dead, 2);
    let decision = |job: Seq| Drop { to: Destination::Lime, jobs: vec![job], reason: "asked the venue".to_owned(), stamp: stamp() };
    append(&journal, vec![Record::Revived(decision(first)), Record::Dropped(decision(first + 1))]).unwrap();
    assert_eq!(journal.pending(Destination::Lime, 0, 10), [first]);
    let totals = journal.totals(Destination::Lime);
    assert_eq!((totals.dead, totals.dropped), (0, 1));
}

#[test]
fn a_guests_own_backlog_is_found_in_order() {
    let disk = SimDisk::new();
    let journal = open(&disk, dir());
    let mut of_guest = Vec::new();
    for n in 1..=2_000 {
        let card = if n % 97 == 0 { 5 } else { 1_000 + n };
        let seq = append(&journal, vec![pass(n, card)]).unwrap().first;
        if card == 5 {
            of_guest.push(seq);
        }
    }
    assert!(journal.stat().segments > 2, "{:?}", journal.stat());
    assert_eq!(journal.queue_of(Destination::Lime, order_of(5), Seq::MAX, 100), of_guest);
    assert_eq!(journal.queue_of(Destination::Lime, order_of(5), of_guest[9], 3), of_guest[..3]);
    append(&journal, vec![write_off(of_guest[0], 97, WriteOffStatus::Refused)]).unwrap();
    std::mem::drop(journal);
    assert_eq!(open(&disk, dir()).queue_of(Destination::Lime, order_of(5), of_guest[9], 100), of_guest[1..9]);
}

#[test]
fn a_devices_record_is_known_again_and_ledger_lines_too() {
    let host = tempfile::tempdir().unwrap();
    let key = LedgerKey { kind: "amocrm.contact".to_owned(), key: "c-1".to_owned() };
    let long = "x".repeat(20_000);
    for round in 0..3 {
        let journal = Journal::open(Arc::new(HostDisk), options(host.path(), clock())).unwrap();
        if round == 0 {
            append(&journal, vec![pass_of_device(1, 1, "41")]).unwrap();
            let learned = Learned { key: key.clone(), value: Some(long.clone()) };
            append(&journal, vec![Record::Settled(Settled { to: Destination::Crm, items: vec![], learned: vec![learned], stamp: stamp() })]).unwrap();
        }
        assert!(journal.seen(&device("41")));
        assert!(!journal.seen(&device("42")));
        assert_eq!(journal.ledger(&key).as_deref(), Some(long.as_str()));
        if round == 0 {
            journal.close();
        }
    }
}

#[test]
fn settled_segments_go_when_they_are_old_and_one_unsettled_pass_does_not_hold_them() {
    let (disk, time) = (SimDisk::new(), clock());
    let journal = Journal::open(Arc::new(disk.clone()), options(dir(), time.clone())).unwrap();
    let kept = append(&journal, vec![pass(1, 1)]).unwrap().first;
    append(&journal, vec![Record::Sending(Sending { to: Destination::Lime, jobs: vec![kept], stamp: stamp() })]).unwrap();
    for n in 2..2_000 {
        let seq = append(&journal, vec![pass(n, n)]).unwrap().first;
        append(&journal, vec![write_off(seq, n, WriteOffStatus::Refused)]).unwrap();
    }
    let before = journal.stat();
    time.advance_ms(31 * 86_400_000);
    journal.keep_house();
    let after = journal.stat();
    assert!(after.segments < before.segments / 2, "{before:?} {after:?}");
    let check = |journal: &Journal| {
        assert_eq!(journal.pending(Destination::Lime, 0, 10), [kept]);
        assert_eq!(journal.in_doubt(Destination::Lime), [(kept, stamp())]);
        let entry = journal.get(kept).unwrap().unwrap();
        assert_eq!((entry.seq, id_of(&entry.record)), (kept, Some(1)));
        assert_eq!(journal.read(0, 1).unwrap()[0].seq, kept);
        assert_eq!(journal.queue_of(Destination::Lime, order_of(1), Seq::MAX, 9), [kept]);
    };
    check(&journal);
    let reopened = open(&disk.power_cut(3), dir());
    check(&reopened);
    append(&reopened, vec![write_off(kept, 1, WriteOffStatus::Refused)]).unwrap();
    assert_eq!(reopened.pending_count(Destination::Lime), 0);
    assert_eq!(reopened.totals(Destination::Lime).passes, 1_999);
}

#[test]
fn passes_are_refused_when_unsettled_facts_fill_the_budget_and_settling_makes_room() {
    let disk = SimDisk::new();
    let small = Options { budget_bytes: 2 << 20, ..options(dir(), clock()) };
    let journal = Journal::open(Arc::new(disk.clone()), small).unwrap();
    let (mut taken, mut warned) = (Vec::new(), false);
    let refused = loop {
        let n = taken.len() as u64 + 1;
        match append(&journal, vec![pass(n, n)]) {
            Ok(appended) => taken.push(appended.first),
            Err(error) => break error,
        }
        warned |= journal.stat().nearly_full;
        assert!(taken.len() < 50_000);
    };
    assert_eq!(refused, AppendError::Full);
    assert!(warned, "80 % is said before passes are refused");
    assert!(journal.stat().bytes <= 2 << 20);
    for (n, seq) in taken.iter().enumerate() {
        append(&journal, vec![write_off(*seq, n as u64 + 1, WriteOffStatus::Refused)]).unwrap();
    }
    append(&journal, vec![pass(1_000_000, 1)]).unwrap();
    assert_eq!(journal.pending_count(Destination::Lime), 1);
}

#[test]
fn two_cannot_hold_one_journal_and_the_second_is_told_who_has_it() {
    let host = tempfile::tempdir().unwrap();
    let journal = Journal::open(Arc::new(HostDisk), options(host.path(), clock())).unwrap();
    let text = |opened: Result<Journal, limegate::journal::OpenError>| opened.err().map(|error| error.to_string()).unwrap_or_default();
    let held = text(Journal::open(Arc::new(HostDisk), options(host.path(), clock())));
    assert!(held.contains(&format!("process {}", std::process::id())), "{held}");
    append(&journal, vec![pass(1, 1)]).unwrap();
    // Looking is allowed, and holds nobody up.
    let looker = Journal::open_read_only(Arc::new(HostDisk), options(host.path(), clock())).unwrap();
    assert_eq!(ids(&looker), [1]);
    journal.close();
    assert_eq!(append(&journal, vec![pass(2, 2)]), Err(AppendError::Closed));
    let reader = Journal::open_read_only(Arc::new(HostDisk), options(host.path(), clock())).unwrap();
    assert_eq!(ids(&reader), [1]);
    assert_eq!(append(&reader, vec![pass(2, 2)]), Err(AppendError::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_arrive_together_share_a_sync() {
    let disk = SimDisk::new();
    let threaded = Options { inline: false, ..options(dir(), clock()) };
    let journal = Journal::open(Arc::new(disk.clone()), threaded).unwrap();
    let tasks: Vec<_> = (0..64_u64)
        .map(|task| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    let appended = journal.append(vec![pass(task * 20 + n + 1, task), settled(Destination::Crm, &[])]).await.unwrap();
                    assert!(*journal.head().borrow() > appended.first, "what is acknowledged is durable");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(disk.syncs() < 64 * 20 / 2, "{} syncs for 1280 appends", disk.syncs());
    journal.close();
    let journal = open(&disk, dir());
    assert_eq!(numbers(&journal), (1..=1_280).collect::<Vec<u64>>());
    let mut all = ids(&journal);
    all.sort_unstable();
    assert_eq!(all, (1..=1_280).collect::<Vec<u64>>());
}

#[test]
fn a_change_of_policy_makes_no_jobs_of_the_past() {
    let disk = SimDisk::new();
    let journal = open(&disk, dir());
    let seq = append(&journal, vec![pass(1, 7)]).unwrap().first;
    append(&journal, vec![write_off(seq, 1, WriteOffStatus::Refused)]).unwrap();
    std::mem::drop(journal);
    let mut all = options(dir(), clock());
    all.crm.refusals = true;
    let journal = Journal::open(Arc::new(disk), all).unwrap();
    assert_eq!(journal.pending_count(Destination::Crm), 0);
    let seq = append(&journal, vec![pass(2, 7)]).unwrap().first;
    append(&journal, vec![write_off(seq, 2, WriteOffStatus::Refused)]).unwrap();
    assert_eq!(journal.pending_count(Destination::Crm), 1);
}
