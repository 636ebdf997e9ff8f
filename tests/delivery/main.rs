//! Delivery as a whole, in virtual time: nothing lost, nothing doubled, in order, at the pace that is allowed. Each test prints its seed; `LIMEGATE_SEED`
//! sets it.

mod clock;
mod crm;
mod rig;
mod scenarios;
mod store;

/// The seed of a random test.
pub fn seed() -> u64 {
    std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..1_000_000))
}
