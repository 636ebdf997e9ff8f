//! amoCRM: each way in which a batch of passes can go, answered by hand; then all of them together against the sandbox, in virtual time. Tests with
//! chance in them print their seed; `LIMEGATE_SEED` sets it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

mod both_ways;
#[path = "../delivery/clock.rs"]
mod clock;
mod contacts;
mod drain;
mod first_sync;
mod guests;
mod hand;
mod hub_chaos;
mod hub_preorders;
mod hub_products;
mod hub_receipts;
mod hub_rig;
mod hub_setup;
mod leads;
mod oauth;
mod sandboxed;
mod setup;
#[path = "../delivery/store.rs"]
mod store;
mod venue;

/// The seed of a random test.
pub fn seed() -> u64 {
    let seed = std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}");
    seed
}
