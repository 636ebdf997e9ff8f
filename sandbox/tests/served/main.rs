//! The sandbox behind real sockets: cuts that are cuts, TLS that verifies, clients written by others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test, to stop is to fail")]

mod binary;
mod cuts;
mod peers;
mod polls;
mod tls;
