//! Lines with noise at ten times their own rate: every undamaged frame is found, and nothing passes that the format can tell from noise.
//!
//! `LIMEGATE_NOISE_ROUNDS` sets how many frames each profile gets (default 300); the seed is printed, and `LIMEGATE_SEED` sets it.

use super::{Decoded, Expected, Profile};

/// Bytes of noise for one byte of telegrams.
const TIMES: usize = 10;

fn rounds() -> usize {
    std::env::var("LIMEGATE_NOISE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

/// Where the noise begins: `LIMEGATE_SEED`, or anywhere.
fn seed() -> u64 {
    std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..))
}

struct Heard {
    sent: usize,
    found: usize,
    wrong: usize,
    noise_bytes: usize,
}

/// Frames of `make`, each behind ten times its length of noise and `guard`; pieces of arbitrary length go to the decoder.
fn listen(
    profile: &Profile,
    seed: u64,
    noise: impl Fn(&mut fastrand::Rng) -> u8,
    guard: &[u8],
    make: impl Fn(&mut fastrand::Rng) -> (Vec<u8>, String),
) -> Heard {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut stream, mut sent, mut noise_bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds() {
        let (bytes, value) = make(&mut rng);
        let around = rng.usize(0..bytes.len() * TIMES * 2);
        stream.extend((0..around).map(|_| noise(&mut rng)));
        noise_bytes += around;
        stream.extend_from_slice(guard);
        stream.extend(bytes);
        sent.push(value);
    }
    let mut decoder = profile.decoder();
    let mut out = Vec::new();
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rng.usize(1..=64).min(rest.len()));
        decoder.push(chunk, &mut out);
        rest = after;
    }
    let heard: Vec<String> = out
        .iter()
        .filter(|one| matches!(one, Decoded::Medium(_)))
        .map(Expected::of)
        .filter_map(|one| match one {
            Expected::Medium { value, .. } => Some(value),
            _ => None,
        })
        .collect();
    // In order: each frame is looked for behind the one before it.
    let mut from = 0;
    let found = sent
        .iter()
        .filter(|value| match heard[from..].iter().position(|other| other == *value) {
            Some(at) => {
                from += at + 1;
                true
            }
            None => false,
        })
        .count();
    println!("{}: seed {seed}, {} frames, {} found, {} more, {noise_bytes} bytes of noise", profile.name, sent.len(), found, heard.len() - found);
    Heard { sent: sent.len(), found, wrong: heard.len() - found, noise_bytes }
}

fn any_byte(rng: &mut fastrand::Rng) -> u8 {
    rng.u8(..)
}

fn printable(rng: &mut fastrand::Rng) -> u8 {
    rng.u8(b' '..=b'~')
}

/// Never a random UID of a phone: those are refused.
fn card(rng: &mut fastrand::Rng) -> [u8; 4] {
    std::iter::repeat_with(|| rng.u32(..).to_be_bytes()).find(|[first, ..]| *first != 8).unwrap_or_default()
}

fn mifare(rng: &mut fastrand::Rng) -> (Vec<u8>, String) {
    let [a, b, c, d] = card(rng);
    let value = format!("{a:02X}{b:02X}{c:02X}{d:02X}");
    (format!("Mifare[{value}] 1K (0004,08) {c:03},{:05}\r\n", u16::from_be_bytes([b, a])).into_bytes(), value)
}

fn rdm6300(rng: &mut fastrand::Rng) -> (Vec<u8>, String) {
    let [a, b, c, d] = card(rng);
    (format!("\x0217{a:02X}{b:02X}{c:02X}{d:02X}{:02X}\x03", 0x17 ^ a ^ b ^ c ^ d).into_bytes(), format!("17{a:02X}{b:02X}{c:02X}{d:02X}"))
}

fn colon_lrc(rng: &mut fastrand::Rng) -> (Vec<u8>, String) {
    let [a, b, c, d] = card(rng);
    let sum = [0x17, a, b, c, d].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    (format!(":17{a:02X}{b:02X}{c:02X}{d:02X}{:02X}", sum.wrapping_neg()).into_bytes(), format!("17{a:02X}{b:02X}{c:02X}{d:02X}"))
}

fn ticket(before: &'static str, after: &'static str) -> impl Fn(&mut fastrand::Rng) -> (Vec<u8>, String) {
    move |rng| {
        let value = format!("LG-{:05}-{:08}", rng.u32(..100_000), rng.u32(..100_000_000));
        (format!("{before}{value}{after}").into_bytes(), value)
    }
}

#[test]
fn ironlogic_lines_are_found_in_any_noise_and_noise_is_no_card() {
    for name in ["ironlogic-z2", "ironlogic-matrix3"] {
        let profile = Profile::builtin(name).unwrap();
        for noise in [any_byte, printable] {
            let heard = listen(&profile, seed(), noise, b"", mifare);
            assert_eq!((heard.found, heard.wrong), (heard.sent, 0), "{name}");
        }
    }
}

#[test]
fn rdm6300_frames_are_found_in_any_noise_and_pass_a_wrong_checksum_never() {
    let profile = Profile::builtin("rdm6300").unwrap();
    // Noise of the format's own bytes is the worst there is: shapes come up, and one in 256 has the right sum.
    let own = |rng: &mut fastrand::Rng| *rng.choice(b"0123456789ABCDEF\x02\x03").unwrap_or(&0);
    let heard = listen(&profile, seed(), own, b"", rdm6300);
    assert_eq!(heard.found, heard.sent);
    let shapes = heard.noise_bytes as f64 / 18.0 * (16.0_f64 / 18.0).powi(12) / 18.0;
    let allowed = shapes / 256.0 * 4.0 + 5.0;
    assert!((heard.wrong as f64) < allowed, "{} false passes, {allowed} allowed", heard.wrong);
    let heard = listen(&profile, seed(), any_byte, b"", rdm6300);
    assert_eq!((heard.found, heard.wrong), (heard.sent, 0));
}

#[test]
fn colon_frames_are_found_in_any_noise_and_pass_a_wrong_checksum_never() {
    let profile = Profile::builtin("colon-lrc").unwrap();
    let own = |rng: &mut fastrand::Rng| *rng.choice(b"0123456789ABCDEF:").unwrap_or(&0);
    let heard = listen(&profile, seed(), own, b"", colon_lrc);
    assert_eq!(heard.found, heard.sent);
    // A colon, then twelve digits: one such shape in 256 has the right sum.
    let shapes = heard.noise_bytes as f64 / 17.0 * (16.0_f64 / 17.0).powi(12);
    let allowed = shapes / 256.0 * 4.0 + 6.0;
    assert!((heard.wrong as f64) < allowed, "{} false passes, {allowed} allowed", heard.wrong);
    let heard = listen(&profile, seed(), any_byte, b"", colon_lrc);
    assert_eq!((heard.found, heard.wrong), (heard.sent, 0));
}

#[test]
fn framed_codes_are_found_in_any_noise() {
    let profile = Profile::builtin("scanner-stx-etx").unwrap();
    let heard = listen(&profile, seed(), any_byte, b"", ticket("\x02", "\x03"));
    assert_eq!(heard.found, heard.sent);
    // There is no checksum: noise that happens to be STX, four or more characters of text, and ETX is read. Seven bytes in ten can stand in a text.
    let expected = heard.noise_bytes as f64 / 256.0 * 0.7_f64.powi(4) / 0.3 / 256.0;
    let allowed = expected * 4.0 + 6.0;
    assert!((heard.wrong as f64) < allowed, "{} false passes, {allowed} allowed", heard.wrong);
    let heard = listen(&profile, seed(), printable, b"", ticket("\x02", "\x03"));
    assert_eq!((heard.found, heard.wrong), (heard.sent, 0), "text outside a frame is noise");
}

#[test]
fn unframed_codes_are_found_behind_a_terminator_or_a_control_byte() {
    // What stands between two terminators is a code to this format, so false ones are not counted: no scanner in line mode can promise more.
    for (name, end) in [("scanner-cr", "\r"), ("scanner-lf", "\n"), ("scanner-crlf", "\r\n")] {
        let profile = Profile::builtin(name).unwrap();
        for guard in [end.as_bytes(), b"\0"] {
            let heard = listen(&profile, seed(), any_byte, guard, ticket("", end));
            assert_eq!(heard.found, heard.sent, "{name}");
        }
    }
}

#[test]
fn a_prefix_makes_unframed_codes_found_in_text_noise_too() {
    let text = "name = \"p\"\ntitle = { ru = \"p\", en = \"p\" }\n[codec.scanner-line]\nterminator = \"cr\"\nprefix = \"<<\"\n[[sample]]\ntext = \"<<LG-1\\r\"\ngives = [{ medium = \"qr\", value = \"LG-1\", format = \"scanner-line\" }]\n";
    let profile = Profile::parse("p", text).unwrap();
    let noise = |rng: &mut fastrand::Rng| rng.u8(b'A'..=b'Z');
    let heard = listen(&profile, seed(), noise, b"", ticket("<<", "\r"));
    assert_eq!((heard.found, heard.wrong), (heard.sent, 0));
}
