//! The door, from the reading to the closing pass: every case of a timeout, every point at which the power can go, and what guests and people are told.
//! Time stands still unless something waits for it; the disk is simulated; Lime, the snapshot and the gate are stand-ins that do as they are told.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test")]

mod orders;
mod power;
mod rig;
mod timeouts;
