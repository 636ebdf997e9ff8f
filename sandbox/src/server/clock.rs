//! The one place where the sandbox reads a clock.

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Milliseconds on the runtime's monotonic clock, from a start that is never 0.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1_000)
    }

    /// Milliseconds since 1970.
    pub(super) fn wall_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }
}
