//! Frames in any pieces, behind noise, doubled, damaged.

use proptest::prelude::*;

use super::super::frame::Outgoing;
use super::super::*;

fn answer(address: u8, sequence: u8, check: Check, code: u8, data: &[u8]) -> Vec<u8> {
    Outgoing { address, answer: true, sequence, check, security: None, code, data }.encode(None)
}

fn frames(check: Check, chunks: &[&[u8]]) -> Vec<Frame> {
    let (mut deframer, mut out) = (Deframer::new(check), Vec::new());
    for chunk in chunks {
        deframer.push(chunk, &mut out);
    }
    deframer.silence(&mut out);
    out
}

fn some_answer() -> impl Strategy<Value = Vec<u8>> {
    (0..127u8, 0..4u8, 0x40..0x7au8, proptest::collection::vec(any::<u8>(), 0..60))
        .prop_map(|(address, sequence, code, data)| answer(address, sequence, Check::Crc, code, &data))
}

/// Noise that is rich in the bytes that begin a frame.
fn noise(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0x53), 1 => Just(0xFF), 1 => Just(0x00)], 0..most)
}

proptest! {
    #[test]
    fn any_cut_of_the_same_bytes_gives_the_same_frames(parts in proptest::collection::vec((noise(20), some_answer()), 1..6), cut in 1..40usize) {
        let bytes: Vec<u8> = parts.into_iter().flat_map(|(noise, frame)| [noise, frame]).flatten().collect();
        let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
        prop_assert_eq!(frames(Check::Crc, &[&bytes]), frames(Check::Crc, &pieces));
    }

    #[test]
    fn every_undamaged_frame_behind_noise_comes_out(parts in proptest::collection::vec((noise(40), some_answer()), 1..6)) {
        let mut bytes = Vec::new();
        for (noise, frame) in &parts {
            bytes.extend(noise);
            bytes.extend(frame);
        }
        let found: Vec<Frame> = frames(Check::Crc, &[&bytes]);
        let mut rest = found.iter();
        for (_, frame) in &parts {
            let expected = frames(Check::Crc, &[frame]);
            prop_assert!(rest.any(|one| Some(one) == expected.first()), "a frame behind noise was missed");
        }
    }

    #[test]
    fn a_doubled_frame_is_two_frames(frame in some_answer()) {
        let twice = [frame.clone(), frame].concat();
        let found = frames(Check::Crc, &[&twice]);
        prop_assert_eq!(found.len(), 2);
        prop_assert_eq!(&found[0], &found[1]);
    }

    #[test]
    fn up_to_three_flipped_bits_never_pass(frame in some_answer(), flips in proptest::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let bits: std::collections::BTreeSet<usize> = flips.iter().map(|flip| 8 + flip.index((frame.len() - 1) * 8)).collect();
        let mut damaged = frame.clone();
        for bit in &bits {
            damaged[bit / 8] ^= 0x80 >> (bit % 8);
        }
        let expected = frames(Check::Crc, &[&frame]);
        let whole: Vec<Frame> = frames(Check::Crc, &[&damaged]);
        prop_assert!(whole.iter().all(|one| one.before_check().len() < expected[0].before_check().len()), "a damaged frame passed");
    }

    #[test]
    fn a_flipped_bit_never_passes_a_checksum(flip in any::<prop::sample::Index>(), data in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut frame = answer(1, 1, Check::Checksum, 0x50, &data);
        let bit = 8 + flip.index((frame.len() - 1) * 8);
        let whole = frame.len() - 2;
        frame[bit / 8] ^= 0x80 >> (bit % 8);
        prop_assert!(frames(Check::Checksum, &[&frame]).iter().all(|one| one.before_check().len() < whole));
    }
}

/// A minute of a line at ten times its load: noise nine parts, one part frames. Seeded: the same on every machine.
#[test]
fn noise_at_ten_times_the_load_hides_no_frame_and_makes_none() {
    let mut rng = fastrand::Rng::with_seed(0x05D9);
    let (mut deframer, mut out, mut sent) = (Deframer::new(Check::Crc), Vec::new(), 0usize);
    let mut false_frames = 0;
    for number in 0..6_000u32 {
        let noise: Vec<u8> = (0..rng.usize(0..180)).map(|_| if rng.u8(0..8) == 0 { 0x53 } else { rng.u8(..) }).collect();
        let frame = answer(5, 1, Check::Crc, 0x50, &number.to_be_bytes());
        for piece in [noise, frame.clone()].concat().chunks(rng.usize(1..64)) {
            deframer.push(piece, &mut out);
        }
        // The time for an answer is over before the next command.
        deframer.silence(&mut out);
        let (right, wrong): (Vec<Frame>, Vec<Frame>) =
            out.drain(..).partition(|one| one.body().is_some_and(|(_, data)| data == number.to_be_bytes()));
        sent += right.len();
        false_frames += wrong.len();
    }
    assert_eq!(sent, 6_000);
    // About 67 000 starts of a frame in the noise, of which one in 65 536 has a CRC that fits by chance, and few a length that fits.
    assert!(false_frames <= 1, "{false_frames} frames out of noise");
}

#[test]
fn our_own_echo_is_no_answer() {
    let echo = Outgoing { address: 5, answer: false, sequence: 1, check: Check::Crc, security: None, code: 0x60, data: &[] }.encode(None);
    assert!(frames(Check::Crc, &[&echo]).iter().all(|frame| !frame.is_answer()));
}

#[test]
fn what_never_ends_is_bounded() {
    let (mut deframer, mut out) = (Deframer::new(Check::Crc), Vec::new());
    for _ in 0..10_000 {
        deframer.push(&[0x53, 0x81, 0xA0, 0x05, 0x04], &mut out);
    }
    assert!(deframer.damaged() > 0);
    assert!(out.is_empty());
}
