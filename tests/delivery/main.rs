//! Delivery as a whole, in virtual time: nothing lost, nothing doubled, in order, at the pace that is allowed. Each test prints its seed.
//!
//! `LIMEGATE_SEED` sets the seed and `LIMEGATE_TRIALS` how many passes the long forms take: `LIMEGATE_TRIALS=100000 cargo test --release --test delivery
//! campaign -- --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod accounts;
mod boots;
mod clock;
mod crm;
mod rig;
mod scenarios;
mod store;
mod worlds;

/// The seed of a random test.
pub fn seed() -> u64 {
    number("LIMEGATE_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000))
}

/// How many passes a long form takes.
pub fn trials(quick: usize) -> usize {
    number("LIMEGATE_TRIALS").map_or(quick, |number| usize::try_from(number).unwrap())
}

/// A campaign's closing line.
pub fn campaign(name: &str, trials: usize, violations: usize, seed: u64) {
    println!("campaign {name}: trials={trials} violations={violations} seed={seed}");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
