//! The MQTT parts against Debian's mosquitto, and against the broker inside the demo.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod demo;
mod device;
mod devices;
mod gateway;
mod mosquitto;
mod neighbours;
mod outages;
#[path = "../common/ports.rs"]
mod ports;
mod presence;
mod tls;
mod validators;

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Waits until the condition holds; fails the test when that takes too long.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + mosquitto::PATIENCE;
    while !holds() {
        assert!(Instant::now() < give_up, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
