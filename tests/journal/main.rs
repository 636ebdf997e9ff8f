//! The journal, on a disk in memory that fails on purpose and on the real one.
//!
//! `power_cut`, `damage`, `disk_full` and `ext4` are campaigns: `TRIALS` and `SEED` in the environment make them longer, and each prints one line
//! `campaign: trials, violations, seed, commit`.

mod behaviour;
mod books;
mod campaign;
mod damage;
mod disk_full;
mod ext4;
mod facts;
mod index;
mod power_cut;
