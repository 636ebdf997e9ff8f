//! The real binary between real ports, a real broker and the sandbox.

#[path = "../common/mod.rs"]
mod common;

mod journey;
mod kills;
mod park;
mod privacy;
mod trouble;
