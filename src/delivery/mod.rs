//! Delivery: takes jobs to their destination, in order per key, at the pace the destination allows, exactly once in effect.
//!
//! Per job: NEW -> SENDING -> CONFIRMED | RETRY(at) | UNKNOWN | DEAD. What is sent and what an answer means is decided by pure [`Conversation`]s; one
//! runner does the I/O, journals `sending` before a write leaves, and keeps pace, backoff and breaker per [`Host`].
//!
//! Never: a write without its `sending` record on disk; a create repeated while its first outcome is unknown; a second retry loop.

mod backoff;
mod breaker;
mod conversation;
mod doubt;
mod job;
mod pace;

pub use conversation::{Call, Confirmed, Conversation, Courier, Effect, Host, Ledger, NoAnswer, Step, Verdict};
pub use job::{Doubt, Job, Work};
