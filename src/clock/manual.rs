//! A clock that is set by hand.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::domain::{BootId, Stamp, Sync};

use super::Clock;

/// A clock that tests and simulations set by hand.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Stamp>,
}

impl ManualClock {
    /// Starts at the given stamp.
    #[must_use]
    pub fn at(stamp: Stamp) -> Self {
        Self { now: Mutex::new(stamp) }
    }

    /// A synchronised clock at `wall_ms`, one second into a boot.
    #[must_use]
    pub fn synced(wall_ms: i64) -> Self {
        Self::at(Stamp { boot: BootId(Uuid::from_u128(1)), boot_ms: 1_000, wall_ms, sync: Sync::Synced })
    }

    /// Changes what the clock shows.
    pub fn set(&self, change: impl FnOnce(&mut Stamp)) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut now);
    }

    /// Lets time pass on both clocks.
    pub fn advance_ms(&self, ms: u64) {
        self.set(|now| {
            now.boot_ms += ms;
            now.wall_ms += i64::try_from(ms).unwrap_or(i64::MAX);
        });
    }
}

impl Clock for ManualClock {
    fn stamp(&self) -> Stamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
