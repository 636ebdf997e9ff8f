//! What the fuzz targets of line codecs share: any bytes, in one piece and cut anywhere, become the same frames, and no panic.

use limegate::codec::{Decoded, Profile};

/// What a profile makes of the bytes, given in these pieces.
pub fn decode<'a>(profile: &Profile, chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Decoded> {
    let mut decoder = profile.decoder();
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.push(chunk, &mut out);
    }
    decoder.idle(&mut out);
    out
}

/// A fuzz target for the built-in profiles of these names: the input's first byte says which, its second how the rest is cut.
macro_rules! decodes {
    ($names:expr) => {
        static PROFILES: std::sync::LazyLock<Vec<limegate::codec::Profile>> = std::sync::LazyLock::new(|| {
            $names.into_iter().map(|name| limegate::codec::Profile::builtin(name).expect("a built-in profile loads")).collect()
        });

        libfuzzer_sys::fuzz_target!(|input: (u8, u8, &[u8])| {
            let (which, cut, bytes) = input;
            let profile = &PROFILES[usize::from(which) % PROFILES.len()];
            let whole = crate::cut_anywhere::decode(profile, std::iter::once(bytes));
            let cut = crate::cut_anywhere::decode(profile, bytes.chunks(usize::from(cut % 32) + 1));
            assert_eq!(whole, cut, "{}", profile.name);
        });
    };
}
pub(crate) use decodes;
