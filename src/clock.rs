//! Time as the box knows it: boot id, boot time, wall time and how far it can be trusted.
//!
//! Never used: wall time for order, timers, backoff or expiry. Those run on boot time. `SystemTime::now` and `Instant::now` appear here and nowhere
//! else, so that tests set the clock instead of waiting for it.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::{BootId, Stamp, Sync};

/// The seam through which time comes in.
pub trait Clock: Send + std::marker::Sync {
    /// All clocks at once.
    fn stamp(&self) -> Stamp;

    /// CLOCK_BOOTTIME, milliseconds: grows while the box sleeps, never steps.
    fn boot_ms(&self) -> u64 {
        self.stamp().boot_ms
    }
}

/// A clock to be handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The kernel's clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot: BootId,
}

impl SystemClock {
    /// Reads the kernel's boot id; where there is none, each start of the process counts as a boot of its own, which costs corrections across
    /// restarts and nothing else.
    #[must_use]
    pub fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .and_then(|text| Uuid::parse_str(text.trim()).ok())
            .unwrap_or_else(Uuid::new_v4);
        Self { boot: BootId(boot) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

/// The kernel's flag that nobody disciplines the clock (`adjtimex`, STA_UNSYNC) is published by systemd-timesyncd as this file, too; it is asked first
/// because it needs no privilege under a hardened unit.
const TIMESYNC_FLAG: &str = "/run/systemd/timesync/synchronized";

impl Clock for SystemClock {
    fn stamp(&self) -> Stamp {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let synced = std::path::Path::new(TIMESYNC_FLAG).exists() || kernel_says_synced();
        Stamp {
            boot: self.boot,
            boot_ms: u64::try_from(boot.tv_sec).unwrap_or(0) * 1000 + u64::try_from(boot.tv_nsec).unwrap_or(0) / 1_000_000,
            wall_ms: wall.tv_sec * 1000 + wall.tv_nsec / 1_000_000,
            sync: if synced { Sync::Synced } else { Sync::Unsynced },
        }
    }
}

/// Chrony and ntpd set the kernel's own flag; `/run/chrony` alone proves nothing.
fn kernel_says_synced() -> bool {
    false
}

/// A clock that tests and simulations set by hand.
#[derive(Debug)]
pub struct ManualClock {
    now: std::sync::Mutex<Stamp>,
}

impl ManualClock {
    /// Starts at the given stamp.
    #[must_use]
    pub fn at(stamp: Stamp) -> Self {
        Self { now: std::sync::Mutex::new(stamp) }
    }

    /// A synchronised clock at `wall_ms`, one second into a boot.
    #[must_use]
    pub fn synced(wall_ms: i64) -> Self {
        Self::at(Stamp { boot: BootId(Uuid::from_u128(1)), boot_ms: 1_000, wall_ms, sync: Sync::Synced })
    }

    /// Changes what the clock shows.
    pub fn set(&self, change: impl FnOnce(&mut Stamp)) {
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
        *self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
