//! When something happened, on a box that may have no clock of its own.
//!
//! A [`Stamp`] is what the box knew at that instant; a [`Moment`] is the best that can be said of it now. Order is never taken from either: it is the
//! journal's sequence.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::ids::BootId;

/// Whether the wall clock was synchronised when the stamp was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Sync {
    /// The kernel said that the clock is disciplined.
    #[n(0)]
    Synced,
    /// It was not, or nobody could tell.
    #[n(1)]
    Unsynced,
}

/// The clocks as read at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Stamp {
    /// Which boot `boot_ms` belongs to.
    #[n(0)]
    pub boot: BootId,
    /// CLOCK_BOOTTIME, milliseconds.
    #[n(1)]
    pub boot_ms: u64,
    /// CLOCK_REALTIME, milliseconds since 1970-01-01T00:00:00Z. May lie.
    #[n(2)]
    pub wall_ms: i64,
    /// How far `wall_ms` could be trusted.
    #[n(3)]
    pub sync: Sync,
}

/// What wall time a boot time is: journalled when the clock is known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Anchor {
    /// Boot id, boot time and the synchronised wall time of one instant.
    #[n(0)]
    pub stamp: Stamp,
    /// How far the wall time may be off, milliseconds.
    #[n(1)]
    pub error_ms: u32,
}

/// How good a moment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Quality {
    /// Taken from a synchronised clock.
    #[n(0)]
    Exact,
    /// Taken from boot time and an anchor of the same boot.
    #[n(1)]
    Corrected,
    /// Only bounds are known; `at_ms` is the later bound where one exists.
    #[n(2)]
    Bounded,
}

/// The best that can be said of when something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Moment {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[n(0)]
    pub at_ms: i64,
    /// How good `at_ms` is.
    #[n(1)]
    pub quality: Quality,
    /// For `Bounded`: not before this, where known.
    #[n(2)]
    pub not_before_ms: Option<i64>,
    /// For `Bounded`: not after this, where known.
    #[n(3)]
    pub not_after_ms: Option<i64>,
}

impl Moment {
    /// A moment that a synchronised clock gave.
    #[must_use]
    pub fn exact(at_ms: i64) -> Self {
        Self { at_ms, quality: Quality::Exact, not_before_ms: None, not_after_ms: None }
    }
}
