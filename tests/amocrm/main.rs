//! amoCRM, answered by hand: each way in which a batch of passes can go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

mod contacts;
mod drain;
mod hand;
mod leads;
mod oauth;
mod setup;
