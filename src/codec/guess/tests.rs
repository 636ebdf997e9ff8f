//! Captured samples of every profile: clean, behind noise, glued, split, damaged, at another speed.

use super::*;
use crate::codec::{Flow, StopBits};

fn profiles() -> Vec<Profile> {
    Profile::builtin_names().into_iter().map(|name| Profile::builtin(name).unwrap()).collect()
}

fn line() -> Line {
    Line { baud: 9_600, data_bits: 8, parity: Parity::None, stop_bits: StopBits::One, flow: Flow::None }
}

/// A recording of chunks with 400 ms between them, and silence after the last.
fn heard(chunks: &[&[u8]]) -> Recording {
    let mut recording = Recording::new(line());
    for chunk in chunks {
        recording.push(400, chunk);
    }
    recording.silent_ms = 2_000;
    recording
}

/// The telegrams of a profile's samples that are good.
fn telegrams(profile: &Profile) -> Vec<Vec<u8>> {
    use crate::codec::Expected;
    let good = |sample: &&crate::codec::Sample| sample.gives.iter().all(|one| !matches!(one, Expected::Bad(_)));
    profile.samples.iter().filter(good).map(|sample| sample.bytes.clone()).collect()
}

/// The best fit, and those that read the same.
fn named(fits: &[Fit]) -> Vec<&str> {
    let Some(best) = fits.first() else { return Vec::new() };
    fits.iter().filter(|fit| fit.reads_like(best)).map(|fit| fit.profile.name.as_str()).collect()
}

#[test]
fn every_profile_is_found_by_its_own_samples() {
    for profile in profiles() {
        let telegrams = telegrams(&profile);
        let chunks: Vec<&[u8]> = telegrams.iter().map(Vec::as_slice).collect();
        let found = fits(&[heard(&chunks)], &profiles());
        assert!(named(&found).contains(&profile.name.as_str()), "{}: {:?}", profile.name, named(&found));
    }
}

#[test]
fn every_profile_is_found_in_split_and_doubled_telegrams_and_behind_noise() {
    let mut rng = fastrand::Rng::with_seed(20_261_122);
    for profile in profiles() {
        let telegrams = telegrams(&profile);
        let mut recording = Recording::new(line());
        // The tail of something, as it is when listening begins.
        recording.push(0, b"\x80\x13\r\n");
        for telegram in telegrams.iter().chain(&telegrams) {
            let (head, tail) = telegram.split_at(rng.usize(..telegram.len()));
            recording.push(400, head);
            recording.push(4, tail);
        }
        recording.silent_ms = 2_000;
        let found = fits(&[recording], &profiles());
        assert!(named(&found).contains(&profile.name.as_str()), "{}: {:?}", profile.name, named(&found));
    }
}

#[test]
fn glued_telegrams_are_counted_one_by_one() {
    let glued = b"Em-Marine[1700] 009,22847\r\nNo card\r\nMifare[BCD14264] 1K (0004,08) 066,53692\r\nNo card\r\n";
    let found = fits(&[heard(&[glued])], &profiles());
    let best = &found[0];
    assert_eq!((best.frames, best.bad, best.certainty), (4, 0, Certainty::Sure));
    assert_eq!(named(&found), ["ironlogic-matrix3", "ironlogic-z2"], "they read alike");
    assert_eq!(best.media.len(), 2);
}

#[test]
fn a_format_that_checks_itself_comes_before_one_that_takes_any_text() {
    let found = fits(&[heard(&[b"\x0262E3086CED08\x03", b"\x02170009593F78\x03"])], &profiles());
    let names: Vec<&str> = found.iter().map(|fit| fit.profile.name.as_str()).collect();
    assert_eq!(names.first(), Some(&"rdm6300"));
    assert!(names.contains(&"scanner-stx-etx"), "as text it is valid, too: {names:?}");
    assert_eq!((found[0].certainty, found[0].rests.on_content), (Certainty::Sure, true));
    assert!(found[1].certainty < Certainty::Sure);
}

#[test]
fn a_readers_number_before_each_line_is_not_taken_for_noise() {
    let found = fits(&[heard(&[b"19997 Em-Marine[1700] 009,22847\r\n", b"19997 No card\r\n"])], &profiles());
    assert_eq!(found[0].profile.name, "ironlogic-matrix3-net");
    assert_eq!(found[0].media[0].reader, Some(19_997));
}

#[test]
fn the_end_of_a_line_tells_scanners_apart() {
    for (end, name) in [("\r\n", "scanner-crlf"), ("\r", "scanner-cr"), ("\n", "scanner-lf"), ("", "scanner-idle")] {
        let codes: Vec<String> = (0..4).map(|n| format!("LG-48213-{n:04}{end}")).collect();
        let chunks: Vec<&[u8]> = codes.iter().map(|code| code.as_bytes()).collect();
        let found = fits(&[heard(&chunks)], &profiles());
        assert_eq!(found.first().map(|fit| (fit.profile.name.as_str(), fit.frames)), Some((name, 4)), "{end:?}");
    }
    let found = fits(&[heard(&[b"LG-48213-0007\r", b"LG-48213-0008\r"])], &profiles());
    assert_eq!((named(&found)[0], found[0].writes()), ("scanner-cr", false), "the one that sends nothing is suggested first");
    assert!(named(&found).contains(&"scanner-mertech-ack"));
    assert_eq!(found[0].certainty, Certainty::Possible, "any text would do");
}

#[test]
fn damaged_frames_are_counted_and_do_not_hide_the_reader() {
    let good: &[u8] = b"Mifare[BCD14264] 1K (0004,08) 066,53692\r\n";
    let bad: &[u8] = b"Mifare[BCD14364] 1K (0004,08) 066,53692\r\n";
    let found = fits(&[heard(&[good, good, bad, good, good, good])], &profiles());
    assert_eq!((found[0].frames, found[0].bad, found[0].all_frames()), (5, 1, 6));
    assert!(found[0].profile.name.starts_with("ironlogic"));
}

#[test]
fn bytes_at_the_wrong_speed_fit_nothing_that_would_be_believed() {
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..200 {
        let mut recording = Recording::new(line());
        for _ in 0..6 {
            // What a faster or slower sender leaves: bytes with long runs of equal bits, and no terminators on purpose.
            let burst: Vec<u8> =
                (0..rng.usize(8..40)).map(|_| rng.choice([0x00, 0x80, 0xE0, 0xF8, 0xFE, 0x98, 0x86, 0x1E, 0x78, 0xC0]).unwrap_or(0)).collect();
            recording.push(300, &burst);
        }
        recording.silent_ms = 2_000;
        recording.damaged = 20;
        let found = fits(&[recording], &profiles());
        assert!(found.iter().all(|fit| fit.certainty == Certainty::Possible), "seed 7, round {round}: {:?}", named(&found));
    }
}

#[test]
fn the_right_speed_wins_over_the_wrong_one() {
    let mut wrong = Recording::new(line());
    wrong.push(10, b"\xF8\x1E\x00\x80\xE0\r\x78\xC0");
    wrong.damaged = 3;
    let mut right = Recording::new(Line { baud: 115_200, ..line() });
    for _ in 0..12 {
        right.push(500, b"Em-Marine[1700] 009,22847\r\n");
    }
    let found = fits(&[wrong, right], &profiles());
    assert_eq!((found[0].line.baud, found[0].frames, found[0].certainty), (115_200, 12, Certainty::Sure));
}

#[test]
fn seven_bits_with_parity_are_seen_in_eight() {
    for (parity, wanted) in [(Parity::Even, 0), (Parity::Odd, 1)] {
        let send = |text: &[u8]| -> Vec<u8> { text.iter().map(|byte| if byte.count_ones() % 2 == wanted { *byte } else { byte | 0x80 }).collect() };
        let (one, two) = (send(b"LG-48213-0007\r\n"), send(b"LG-99213-1207\r\n"));
        let found = fits(&[heard(&[&one, &two])], &profiles());
        let best = &found[0];
        assert_eq!((best.profile.name.as_str(), best.line.data_bits, best.line.parity), ("scanner-crlf", 7, parity));
        assert_eq!(best.media[0].medium.value.reveal(), "LG-48213-0007");
    }
}

#[test]
fn orders_of_bytes_are_shown_where_they_make_a_difference() {
    let recording = heard(&[b"Mifare[BCD14264] 1K (0004,08) 066,53692\r\n", b"Mifare[FA592F830412E6] UL (0144,00) 004,04838\r\n"]);
    let found = fits(std::slice::from_ref(&recording), &profiles());
    let orders: Vec<_> = found[0].orders(&recording).into_iter().map(|one| (one.order, one.media[0].medium.value.reveal().to_owned())).collect();
    let expected = [(UidOrder::AsIs, "BCD14264"), (UidOrder::Reversed, "6442D1BC"), (UidOrder::Mixed7, "BCD14264")];
    assert_eq!(orders, expected.map(|(order, value)| (order, value.to_owned())));
    let scanner = heard(&[b"LG-48213-0007\r", b"LG-48213-0008\r"]);
    assert!(fits(std::slice::from_ref(&scanner), &profiles())[0].orders(&scanner).is_empty());
}

#[test]
fn nothing_heard_fits_nothing_and_a_debug_text_holds_no_card() {
    assert!(fits(&[Recording::new(line())], &profiles()).is_empty());
    assert!(fits(&[], &profiles()).is_empty());
    let recording = heard(&[b"Mifare[CA9A21E5] 1K (0004,08) 001,00001\r\n"]);
    assert!(!format!("{recording:?} {:?}", fits(std::slice::from_ref(&recording), &profiles())).contains("CA9A21E5"));
}

#[test]
fn a_recording_keeps_its_newest_bytes() {
    let mut recording = Recording::new(line());
    for n in 0..1_000_u32 {
        recording.push(1, &[u8::try_from(n % 251).unwrap(); 1_000]);
    }
    assert!(recording.len() <= 64 * 1024);
    assert_eq!(recording.chunks().last().map(|chunk| chunk.bytes[0]), Some(u8::try_from(999 % 251).unwrap()));
}

#[test]
fn the_profiles_own_lines_are_tried_first_and_each_setting_once() {
    let all = settings(&profiles());
    assert_eq!(all[0].to_string(), "9600 8N1");
    assert!(all.iter().any(|line| line.to_string() == "19200 8E1") && all.iter().any(|line| line.baud == 115_200));
    assert!((1..all.len()).all(|at| !all[..at].contains(&all[at])));
}
