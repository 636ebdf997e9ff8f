//! Delivery: takes jobs to their destination, in order per key, at the pace the destination allows, exactly once in effect.
//!
//! Per job: NEW -> SENDING -> CONFIRMED | RETRY(at) | UNKNOWN | DEAD. What is sent and what an answer means is decided by pure [`Conversation`]s; one
//! [`Runner`] per destination does the I/O, journals `sending` before a write leaves, and keeps pace, backoff and breaker per [`Host`] in a [`Remote`].
//! Which job is next is decided by `lanes`, what to do about an unknown outcome by `doubt`; both are pure.
//!
//! Never: a write without its `sending` record on disk; a create repeated while its first outcome is unknown; a second retry loop.

mod backoff;
mod breaker;
mod conversation;
mod dialogue;
mod doubt;
mod job;
mod lanes;
mod letters;
mod outcome;
mod pace;
mod remote;
mod runner;
mod supply;

pub use backoff::Backoff;
pub use conversation::{Call, Confirmed, Conversation, Courier, Effect, Host, Ledger, NoAnswer, Step, Verdict};
pub use job::{Doubt, Job, Work};
pub use letters::{LetterError, drop_dead, revive};
pub use pace::Limit;
pub use remote::{Health, Lane, Limited, Remote, Reply, too_many_requests};
pub use runner::{Parts, Remotes, Runner};
