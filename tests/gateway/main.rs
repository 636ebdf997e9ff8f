//! The real binary between real ports, a real broker and the sandbox.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test that cannot go on must say so and end")]

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod commands;
mod crm_commands;
mod doors;
mod first_sync;
mod hub;
mod installer;
mod journey;
mod kills;
mod manager;
#[path = "../mqtt/device.rs"]
mod mqtt_device;
mod osdp;
#[path = "../osdp_peer/peer.rs"]
mod osdp_peer;
mod park;
mod privacy;
mod sync;
mod trouble;
mod webhook;
