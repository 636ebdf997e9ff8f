//! The guess: any bytes with any gaps, at any setting: no panic, no fit without a frame, and the same answer twice.
//!
//! Input: pieces, each a gap in milliseconds (two bytes), a length, and that many bytes.

use std::sync::LazyLock;

use limegate::codec::guess::{Recording, fits};
use limegate::codec::{Line, Profile};

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| Profile::builtin_names().into_iter().filter_map(Profile::builtin).collect());

/// See above.
pub fn guess(input: &[u8]) {
    let mut heard = Recording::new(Line::COMMON);
    let mut rest = input;
    for _ in 0..64 {
        let [high, low, length, more @ ..] = rest else { break };
        let (bytes, after) = more.split_at(usize::from(*length).min(more.len()));
        heard.push(u64::from(u16::from_be_bytes([*high, *low])), bytes);
        rest = after;
    }
    heard.silent_ms = 2_000;
    let found = fits(std::slice::from_ref(&heard), &PROFILES);
    for fit in &found {
        assert!(fit.frames > 0 && fit.bad <= fit.frames);
        let _ = fit.orders(&heard);
    }
    let again = fits(&[heard], &PROFILES);
    assert!(found.iter().map(|fit| &fit.profile.name).eq(again.iter().map(|fit| &fit.profile.name)));
}
