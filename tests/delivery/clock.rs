//! The gateway's clocks on tokio's virtual time.

use limegate::clock::Clock;
use limegate::domain::{BootId, Stamp, Sync};
use tokio::time::Instant;
use uuid::Uuid;

/// 2026-05-01T07:00:00Z.
pub const WALL_0: i64 = 1_777_618_800_000;

/// Shows virtual time as boot time and as a synchronised wall clock.
pub struct VirtualClock {
    start: Instant,
}

impl VirtualClock {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }
}

impl Clock for VirtualClock {
    fn stamp(&self) -> Stamp {
        let now = self.now_ms();
        Stamp { boot: BootId(Uuid::from_u128(1)), boot_ms: 1_000 + now, wall_ms: WALL_0 + i64::try_from(now).unwrap(), sync: Sync::Synced }
    }
}
