//! The guess: any bytes with any gaps, at any setting: no panic, no fit without a frame, and the same answer twice.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use limegate::codec::guess::{Recording, fits};
use limegate::codec::{Line, Profile};

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| Profile::builtin_names().into_iter().filter_map(Profile::builtin).collect());

fuzz_target!(|input: Vec<(u16, Vec<u8>)>| {
    let mut heard = Recording::new(Line::COMMON);
    for (after_ms, bytes) in input.iter().take(64) {
        heard.push(u64::from(*after_ms), bytes);
    }
    heard.silent_ms = 2_000;
    let found = fits(std::slice::from_ref(&heard), &PROFILES);
    for fit in &found {
        assert!(fit.frames > 0 && fit.bad <= fit.frames);
        let _ = fit.orders(&heard);
    }
    let again = fits(&[heard], &PROFILES);
    assert!(found.iter().map(|fit| &fit.profile.name).eq(again.iter().map(|fit| &fit.profile.name)));
});
