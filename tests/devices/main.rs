//! Drivers of devices on ptys, against the devices of others where there are any.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test, to stop is to fail")]

mod bench;
mod gate_board;
mod gpio;
mod modbus;
mod seeds;
