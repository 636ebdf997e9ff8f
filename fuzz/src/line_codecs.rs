//! Readers on a line: any bytes, in one piece and cut anywhere, become the same frames, and no panic.
//!
//! Input: which profile, size of the pieces, and then what comes over the line.

use std::sync::LazyLock;

use limegate::codec::{Decoded, Profile};

static ALL: LazyLock<Vec<Profile>> = LazyLock::new(|| Profile::builtin_names().into_iter().filter_map(Profile::builtin).collect());

const IRONLOGIC: &[&str] = &["ironlogic-z2", "ironlogic-matrix3", "ironlogic-matrix3-net"];
const RDM6300: &[&str] = &["rdm6300"];
const COLON_LRC: &[&str] = &["colon-lrc"];
const UID_TEXT: &[&str] = &["uid-hex", "uid-dec", "uid-w26pair", "scanner-newland"];

/// IronLogic's text.
pub fn codec_ironlogic(input: &[u8]) {
    run(&of(IRONLOGIC), input);
}

/// STX, hex, checksum, ETX.
pub fn codec_rdm6300(input: &[u8]) {
    run(&of(RDM6300), input);
}

/// Colon, hex, LRC.
pub fn codec_colon_lrc(input: &[u8]) {
    run(&of(COLON_LRC), input);
}

/// UIDs as text.
pub fn codec_uid_text(input: &[u8]) {
    run(&of(UID_TEXT), input);
}

/// Every built-in profile that has no target of its own.
pub fn codec_scanner(input: &[u8]) {
    run(&scanners(), input);
}

fn of(names: &[&str]) -> Vec<&'static Profile> {
    names.iter().filter_map(|name| ALL.iter().find(|profile| profile.name == *name)).collect()
}

fn scanners() -> Vec<&'static Profile> {
    ALL.iter().filter(|profile| !IRONLOGIC.contains(&profile.name.as_str()) && !RDM6300.contains(&profile.name.as_str())).collect()
}

fn run(profiles: &[&Profile], input: &[u8]) {
    let [which, cut, bytes @ ..] = input else { return };
    let profile = profiles[usize::from(*which) % profiles.len()];
    let whole = decode(profile, std::iter::once(bytes));
    let cut = decode(profile, bytes.chunks(usize::from(cut % 32) + 1));
    assert_eq!(whole, cut, "{}", profile.name);
}

fn decode<'a>(profile: &Profile, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Decoded> {
    let mut decoder = profile.decoder();
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.push(chunk, &mut out);
    }
    decoder.idle(&mut out);
    out
}

/// The sample telegrams of all profiles, each as an input of the target that is to begin with it, under the name of its file.
pub fn samples() -> Vec<(&'static str, String, Vec<u8>)> {
    let targets = [
        ("codec_ironlogic", of(IRONLOGIC)),
        ("codec_rdm6300", of(RDM6300)),
        ("codec_colon_lrc", of(COLON_LRC)),
        ("codec_uid_text", of(UID_TEXT)),
        ("codec_scanner", scanners()),
    ];
    let mut samples = Vec::new();
    for (target, profiles) in targets {
        for (profile, which) in profiles.into_iter().zip(0_u8..) {
            for (sample, number) in profile.samples.iter().zip(1..) {
                // In pieces of seven bytes.
                let input = [&[which, 6], sample.bytes.as_slice()].concat();
                samples.push((target, format!("sample-{}-{number}", profile.name), input));
            }
        }
    }
    samples
}
