//! Any bytes, cut anywhere: no panic, and the same frames as in one piece.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use limegate::codec::{Decoded, Profile};

static PROFILES: LazyLock<Vec<Profile>> =
    LazyLock::new(|| ["colon-lrc"].map(|name| Profile::builtin(name).expect("a built-in profile loads")).to_vec());

fn decode<'a>(profile: &Profile, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Decoded> {
    let mut decoder = profile.decoder();
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.push(chunk, &mut out);
    }
    decoder.idle(&mut out);
    out
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (which, cut, bytes) = input;
    let profile = &PROFILES[usize::from(which) % PROFILES.len()];
    let whole = decode(profile, std::iter::once(bytes));
    let cut = decode(profile, bytes.chunks(usize::from(cut % 32) + 1));
    assert_eq!(whole, cut, "{}", profile.name);
});
