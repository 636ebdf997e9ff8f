//! The kernel's clocks.

use std::sync::atomic::{AtomicI64, Ordering};

use rustix::time::{ClockId, Timespec, clock_gettime};
use uuid::Uuid;

use crate::domain::{BootId, Stamp, Sync};

use super::{Clock, built_ms, kernel};

/// The kernel's clocks.
#[derive(Debug)]
pub struct SystemClock {
    boot: BootId,
    floor_ms: AtomicI64,
}

impl SystemClock {
    /// Reads the kernel's boot id. The shipped unit hides that file (`ProcSubset=pid`) and hands the id over as `LIMEGATE_BOOT_ID` instead. Where there is
    /// neither, each start of the process counts as a boot of its own, which costs corrections across restarts and nothing else.
    #[must_use]
    pub fn new() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .or_else(|| std::env::var("LIMEGATE_BOOT_ID").ok())
            .and_then(|text| Uuid::parse_str(text.trim()).ok())
            .unwrap_or_else(Uuid::new_v4);
        Self { boot: BootId(boot), floor_ms: AtomicI64::new(built_ms()) }
    }

    /// It is not earlier than this, milliseconds since 1970 UTC: see [`super::tls_floor`]. Told once the journal is open; never lowers the floor.
    pub fn raise_floor(&self, known_ms: i64) {
        self.floor_ms.fetch_max(known_ms, Ordering::Relaxed);
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn stamp(&self) -> Stamp {
        let synced = kernel::synchronised_within().is_some();
        let boot_ms = u64::try_from(milliseconds(clock_gettime(ClockId::Boottime))).unwrap_or(0);
        let wall_ms = milliseconds(clock_gettime(ClockId::Realtime));
        Stamp { boot: self.boot, boot_ms, wall_ms, sync: if synced { Sync::Synced } else { Sync::Unsynced } }
    }

    fn boot_ms(&self) -> u64 {
        u64::try_from(milliseconds(clock_gettime(ClockId::Boottime))).unwrap_or(0)
    }

    fn error_ms(&self) -> u32 {
        kernel::synchronised_within().unwrap_or(0)
    }

    fn floor_ms(&self) -> i64 {
        self.floor_ms.load(Ordering::Relaxed)
    }
}

/// The fields are narrower on 32 bits.
#[allow(clippy::useless_conversion, reason = "on 64 bits it is one")]
fn milliseconds(time: Timespec) -> i64 {
    i64::from(time.tv_sec).saturating_mul(1000).saturating_add(i64::from(time.tv_nsec) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_does_not_run_backwards_and_the_boot_is_one() {
        let clock = SystemClock::new();
        let (first, second) = (clock.stamp(), clock.stamp());
        assert!(second.boot_ms >= first.boot_ms);
        assert_eq!(first.boot, SystemClock::new().stamp().boot);
    }

    #[test]
    fn the_floor_only_rises() {
        let clock = SystemClock::new();
        let built = clock.floor_ms();
        clock.raise_floor(0);
        assert_eq!(clock.floor_ms(), built);
        clock.raise_floor(built + 5);
        assert_eq!(clock.floor_ms(), built + 5);
    }
}
