//! The journal: what must not be lost. An append-only log is the truth, a sled index is what can be looked up and rebuilt.
//!
//! Never: an append that returns before its `fdatasync`; an fsync that failed and is tried again; a record lost without a word.

mod record;
mod store;

pub use record::{Anchor, DeadLetter, Destination, Drop, Entry, Learned, LedgerKey, Record, Sending, Settled, SettledItem};
pub use store::{AppendError, Appended, BoxFuture, JournalStat, ReadError, Store, Totals};
