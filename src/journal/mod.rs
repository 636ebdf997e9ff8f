//! The journal: what must not be lost. An append-only log is the truth, a sled index is what can be looked up and rebuilt.
//!
//! [`Journal`] is the handle and implements [`Store`], which everyone else codes against. Inside, from the disk upwards: [`disk`] (the seam; [`sim`] is a
//! disk for tests), [`format`](mod@format) (what stands in a file), `segment` and `log` (files and reading), `writer` (commits), `recovery` (where the log
//! ends), `state` (what waits, pure), `shelf` and `index` (sled, contained), `retention` (what may go), `core` (how they act together).
//!
//! Never: an append that returns before its `fdatasync`; an fsync that failed and is tried again; a record lost without a word.

mod core;
pub mod disk;
pub mod format;
mod handle;
mod index;
mod log;
mod queue;
mod record;
mod recovery;
mod reserve;
mod retention;
mod segment;
mod shelf;
pub mod sim;
mod snapshot;
mod state;
mod store;
mod tip;
mod verify;
mod writer;

pub use disk::{Disk, HostDisk};
pub use handle::{Journal, OpenError, Options};
pub use record::{Anchor, DeadLetter, Decided, Destination, Drop, Entry, Learned, LedgerKey, OpenVisit, Record, Sending, Settled, SettledItem};
pub use store::{AppendError, Appended, BoxFuture, JournalStat, ReadError, Store, Totals};
pub use verify::{Finding, Verified};
