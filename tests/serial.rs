//! Readers on real ptys: what the serial source hands on, answers and reports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test, to stop is to fail")]

mod osdp_peer;
mod serial_bench;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use limegate::device::Told;
use limegate::status::Link;
use sandbox::turnstile::{Answer, Family, Simulator};
use serial_bench::{Bench, Mood, eventually, reader};
use serialport::{SerialPort, TTYPort};

/// Replugs in a row: `LIMEGATE_REPLUGS=1000` for the long form.
fn replugs() -> usize {
    std::env::var("LIMEGATE_REPLUGS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[tokio::test]
async fn passes_arrive_in_order_whole_split_and_glued() {
    let mut reader = reader("ironlogic-z2");
    let bench = Bench::of("ironlogic-z2", reader.path()).await;
    reader.present("170009593F").await.unwrap();
    reader.present_split("BCD14264", Duration::from_millis(40)).await.unwrap();
    let mut glued = reader.family().telegram("FA592F830412E6").unwrap();
    glued.extend(reader.family().removal().unwrap());
    glued.extend(reader.family().telegram("0000000001").unwrap());
    reader.write(&glued).await.unwrap();
    bench.stored(&["170009593F", "BCD14264", "FA592F830412E6", "0000000001"]).await;
    let state = bench.state();
    assert_eq!((state.bad_frames, state.error), (0, None));
    assert!(state.last_byte_boot_ms.is_some());
    bench.stop().await;
}

#[tokio::test]
async fn every_shipped_profile_reads_what_its_reader_writes() {
    for profile in Family::PROFILES {
        let mut reader = reader(profile);
        let bench = Bench::of(profile, reader.path()).await;
        let mut rng = fastrand::Rng::with_seed(7);
        let mut media = Vec::new();
        for _ in 0..3 {
            let medium = reader.family().random_medium(&mut rng);
            reader.present(&medium).await.unwrap();
            // Where only silence ends a code, the next one has to wait for it.
            media.push(medium);
            bench.stored_all(&media).await;
        }
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_pulled_cable_is_said_and_a_replugged_one_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let by_id = folder.path().join("usb-reader");
    let mut reader = reader("ironlogic-z2");
    std::os::unix::fs::symlink(reader.path(), &by_id).unwrap();
    let bench = Bench::of("ironlogic-z2", &by_id).await;
    let mut expected = Vec::new();
    for cycle in 0..replugs() {
        let before = format!("{cycle:08X}");
        reader.present(&before).await.unwrap();
        expected.push(before);
        bench.stored_all(&expected).await;

        std::fs::remove_file(&by_id).unwrap();
        drop(reader);
        eventually("status says that the port is closed", || bench.state().link == Link::Down && bench.state().error.is_some()).await;

        reader = Simulator::pty(Family::of_profile("ironlogic-z2").unwrap()).unwrap();
        let replugged = bench.boot_ms();
        std::os::unix::fs::symlink(reader.path(), &by_id).unwrap();
        bench.up().await;
        println!("cycle {cycle}: up again {} ms after the replug", bench.boot_ms() - replugged);
        assert_eq!(bench.state().error, None);
    }
    reader.present("FFFFFFFF").await.unwrap();
    expected.push("FFFFFFFF".to_owned());
    bench.stored_all(&expected).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_path_that_leads_to_another_device_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let by_id = folder.path().join("usb-reader");
    let (old, mut new) = (reader("ironlogic-z2"), reader("ironlogic-z2"));
    std::os::unix::fs::symlink(old.path(), &by_id).unwrap();
    let bench = Bench::of("ironlogic-z2", &by_id).await;
    // The old device hangs: it is still there, and says nothing.
    std::fs::remove_file(&by_id).unwrap();
    std::os::unix::fs::symlink(new.path(), &by_id).unwrap();
    eventually("the old device is closed", || bench.state().link != Link::Up).await;
    bench.up().await;
    new.present("BCD14264").await.unwrap();
    bench.stored(&["BCD14264"]).await;
    drop(old);
    bench.stop().await;
}

#[tokio::test]
async fn a_scanner_is_acknowledged_only_when_the_pass_is_on_disk() {
    let mut scanner = reader("scanner-mertech-ack");
    let bench = Bench::of("scanner-mertech-ack", scanner.path()).await;
    bench.intake.set(Mood::Stuck);
    let scan = tokio::spawn(async move {
        let written = scanner.present("LG-48213-0007").await.unwrap();
        (scanner, written)
    });
    eventually("the pass is on its way to disk", || bench.intake.attempts() == 1).await;
    assert!(!scan.is_finished(), "acknowledged ahead of the disk");
    bench.intake.set(Mood::Stores);
    let (mut scanner, written) = scan.await.unwrap();
    assert_eq!(bench.intake.stored(), ["LG-48213-0007"], "the answer came before the pass was stored");
    assert_eq!((written.answer, written.sendings), (Some(Answer::Ack), 1));

    // The acknowledgement is lost, the scanner sends again: acknowledged, and no second pass.
    scanner.say_again(&written).await.unwrap();
    assert_eq!(scanner.present("LG-48213-0008").await.unwrap().answer, Some(Answer::Ack));
    bench.stored(&["LG-48213-0007", "LG-48213-0008"]).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_refused_pass_is_negatively_acknowledged_kept_and_stored_once() {
    let mut scanner = reader("scanner-mertech-ack");
    let bench = Bench::of("scanner-mertech-ack", scanner.path()).await;
    bench.intake.set(Mood::Refuses);
    let written = scanner.present("LG-48213-0007").await.unwrap();
    assert_eq!(written.answer, Some(Answer::Nak));
    assert!(written.sendings > 1, "the scanner sends again on NAK");
    let error = bench.state().error.unwrap_or_default();
    assert!(error.contains("not stored") && error.contains("disk full"), "{error}");
    assert_eq!(bench.state().link, Link::Up);

    bench.intake.set(Mood::Stores);
    bench.stored(&["LG-48213-0007"]).await;
    assert_eq!(scanner.present("LG-48213-0008").await.unwrap().answer, Some(Answer::Ack));
    bench.stored(&["LG-48213-0007", "LG-48213-0008"]).await;
    eventually("status is fine again", || bench.state().error.is_none()).await;
    bench.stop().await;
}

#[tokio::test]
async fn what_was_read_before_the_cable_was_pulled_is_stored_when_the_journal_recovers() {
    let mut reader = reader("ironlogic-z2");
    let bench = Bench::of("ironlogic-z2", reader.path()).await;
    bench.intake.set(Mood::Refuses);
    for card in ["00000001", "00000002", "00000003"] {
        reader.present(card).await.unwrap();
    }
    eventually("all three were read", || bench.state().error.is_some_and(|error| error.contains("3 read"))).await;
    drop(reader);
    eventually("the port is closed", || bench.state().link == Link::Down).await;
    bench.intake.set(Mood::Stores);
    bench.stored(&["00000001", "00000002", "00000003"]).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_slow_journal_holds_the_line_back_and_loses_nothing() {
    let mut reader = reader("ironlogic-z2");
    let bench = Bench::of("ironlogic-z2", reader.path()).await;
    bench.intake.set(Mood::Stuck);
    let cards: Vec<String> = (0..1_000).map(|n| format!("{n:08X}")).collect();
    let written = Arc::new(AtomicUsize::new(0));
    let writing = tokio::spawn({
        let (cards, written) = (cards.clone(), Arc::clone(&written));
        async move {
            for card in &cards {
                reader.present(card).await.unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
            reader
        }
    });
    let full = || written.load(Ordering::Relaxed) > 100 && bench.intake.attempts() > 0;
    eventually("more is written than the source takes into memory", full).await;
    assert_eq!(bench.intake.attempts(), 1, "one at a time");
    assert!(!writing.is_finished());
    bench.intake.set(Mood::Stores);
    bench.stored_all(&cards).await;
    drop(writing.await.unwrap());
    bench.stop().await;
}

#[tokio::test]
async fn noise_and_over_long_lines_are_counted_and_cost_no_pass() {
    let mut reader = reader("ironlogic-z2");
    let bench = Bench::of("ironlogic-z2", reader.path()).await;
    reader.write(&[b'x'; 10_000]).await.unwrap();
    reader.write(b"\r\nMifare[BCD1\r\nHID[0004] 012,34567\r\nMifare[BCD14364] 1K (0004,08) 066,53692\r\n\xFF\x00\xFE~~~").await.unwrap();
    reader.present("BCD14264").await.unwrap();
    bench.stored(&["BCD14264"]).await;
    assert_eq!(bench.state().bad_frames, 4);
    bench.stop().await;
}

#[tokio::test]
async fn a_card_that_is_held_makes_one_pass_and_one_that_comes_again_another() {
    let mut reader = reader("rdm6300");
    let bench = Bench::of("rdm6300", reader.path()).await;
    let held = reader.hold("62E3086CED").await.unwrap();
    for _ in 0..50 {
        reader.say_again(&held).await.unwrap();
    }
    reader.hold("170009593F").await.unwrap();
    bench.stored(&["62E3086CED", "170009593F"]).await;
    bench.clock.advance_ms(60_000);
    reader.hold("62E3086CED").await.unwrap();
    bench.stored(&["62E3086CED", "170009593F", "62E3086CED"]).await;
    bench.stop().await;
}

#[tokio::test]
async fn two_gates_at_once_do_not_wait_for_each_other() {
    let (mut slow, mut quick) = (reader("ironlogic-z2"), reader("scanner-crlf"));
    let (stuck, fine) = (Bench::of("ironlogic-z2", slow.path()).await, Bench::of("scanner-crlf", quick.path()).await);
    stuck.intake.set(Mood::Stuck);
    slow.present("BCD14264").await.unwrap();
    let codes: Vec<String> = (0..100).map(|n| format!("LG-{n:04}")).collect();
    for code in &codes {
        quick.present(code).await.unwrap();
    }
    fine.stored_all(&codes).await;
    assert!(stuck.intake.stored().is_empty());
    stuck.intake.set(Mood::Stores);
    stuck.stored(&["BCD14264"]).await;
    stuck.stop().await;
    fine.stop().await;
}

#[tokio::test]
async fn a_port_that_another_program_holds_is_said_and_taken_when_it_is_free() {
    let mut reader = reader("scanner-cr");
    let other = serialport::new(reader.path().to_string_lossy(), 9600).open().unwrap();
    let bench = Bench::begin("scanner-cr", reader.path());
    eventually("status says who has it", || bench.state().error.is_some_and(|error| error.contains("another program"))).await;
    assert_eq!(bench.state().link, Link::Down);
    drop(other);
    bench.up().await;
    reader.present("LG-1234").await.unwrap();
    bench.stored(&["LG-1234"]).await;
    bench.stop().await;
}

#[tokio::test]
async fn what_waited_in_the_port_before_it_was_opened_is_nobodys_pass() {
    let mut reader = reader("scanner-cr");
    reader.present("STALE-CODE").await.unwrap();
    let bench = Bench::of("scanner-cr", reader.path()).await;
    reader.present("FRESH-CODE").await.unwrap();
    bench.stored(&["FRESH-CODE"]).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_stop_takes_along_what_is_on_its_way() {
    let mut reader = reader("scanner-cr");
    let bench = Bench::of("scanner-cr", reader.path()).await;
    bench.intake.set(Mood::Stuck);
    reader.write(b"LG-0001\rLG-0002\r").await.unwrap();
    eventually("both are read", || bench.intake.attempts() == 1).await;
    let intake = Arc::clone(&bench.intake);
    let stopping = tokio::spawn(bench.stop());
    tokio::task::yield_now().await;
    intake.set(Mood::Stores);
    stopping.await.unwrap();
    assert_eq!(intake.stored(), ["LG-0001", "LG-0002"]);
}

#[tokio::test]
async fn no_card_number_reaches_status_or_log() {
    let log = serial_bench::captured_log();
    let mut reader = reader("ironlogic-z2");
    let bench = Bench::of("ironlogic-z2", reader.path()).await;
    bench.intake.set(Mood::Refuses);
    reader.present("CA9A21E5").await.unwrap();
    reader.write(b"Mifare[CA9A21E5] 1K (0004,08) 001,00001\r\nMifare[CA9A21E5\r\n").await.unwrap();
    eventually("it was read and refused", || bench.state().error.is_some() && bench.state().bad_frames == 2).await;
    bench.intake.set(Mood::Stores);
    bench.stored(&["CA9A21E5"]).await;
    drop(reader);
    eventually("the port is closed", || bench.state().link == Link::Down).await;
    let state = format!("{:?}", bench.state());
    bench.stop().await;
    let log = log.text();
    assert!(log.contains("not stored") && log.contains("no frame") && log.contains("is closed"), "the log was captured: {log}");
    assert!(!log.contains("CA9A21E5") && !state.contains("CA9A21E5"), "{log}\n{state}");
}

/// Tells the refusal until the scanner hears its command: a command that could not go out at once is dropped, and the machine may be busy.
fn heard(scanner: &mut TTYPort, tell: impl Fn()) -> Vec<u8> {
    scanner.set_timeout(Duration::from_millis(300)).unwrap();
    let mut bytes = [0; 16];
    for _ in 0..100 {
        tell();
        if let Ok(count) = scanner.read(&mut bytes) {
            return bytes[..count].to_vec();
        }
    }
    panic!("the scanner heard nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_beeps_at_the_scanner_and_never_before_the_pass_is_on_disk() {
    let (mut scanner, slave) = TTYPort::pair().unwrap();
    let path = slave.name().unwrap();
    let (bench, voice) = Bench::voiced("scanner-datalogic", std::path::Path::new(&path)).await;
    bench.intake.set(Mood::Stuck);
    scanner.write_all(b"LG-48213-0007\r").unwrap();
    eventually("the pass is on its way to disk", || bench.intake.attempts() == 1).await;
    let no = Told::No { code: "already_used".to_owned(), lines: Vec::new() };
    for _ in 0..10 {
        voice.tell(&no);
        tokio::task::yield_now().await;
    }
    assert_eq!(scanner.bytes_to_read().unwrap(), 0, "a beep ahead of the disk");
    bench.intake.set(Mood::Stores);
    bench.stored(&["LG-48213-0007"]).await;
    let beeps = tokio::task::spawn_blocking(move || heard(&mut scanner, || voice.tell(&no))).await.unwrap();
    assert!(beeps.iter().all(|byte| *byte == b'F'), "{beeps:?}");
    drop(slave);
    bench.stop().await;
}
