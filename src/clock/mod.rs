//! Time as the box knows it: boot id, boot time, wall time and how far it can be trusted.
//!
//! The box has no clock of its own and may wake in 1970. A fact carries what the clocks showed ([`Stamp`]); when the clock becomes synchronised, [`Watch`]
//! says that an anchor is to be journalled; [`Corrector`] says from stamps and anchors when a fact was, or between what bounds.
//!
//! Never used: wall time for order, timers, backoff or expiry. Those run on boot time. `SystemTime::now` and `Instant::now` appear here and nowhere
//! else, so that tests set the clock instead of waiting for it.

mod corrector;
mod floor;
mod kernel;
mod manual;
mod system;
mod watch;

use std::sync::Arc;

use crate::domain::Stamp;

pub use corrector::Corrector;
pub use floor::{built_ms, tls_floor};
pub use manual::ManualClock;
pub use system::SystemClock;
pub use watch::Watch;

/// The seam through which time comes in.
pub trait Clock: Send + Sync {
    /// All clocks at once.
    fn stamp(&self) -> Stamp;

    /// CLOCK_BOOTTIME, milliseconds: grows while the box sleeps, never steps.
    fn boot_ms(&self) -> u64 {
        self.stamp().boot_ms
    }

    /// How far the wall time of a synchronised clock may be off, milliseconds, as the kernel estimates it.
    fn error_ms(&self) -> u32 {
        0
    }

    /// It is certainly not earlier than this, milliseconds since 1970 UTC: what TLS may start from.
    fn floor_ms(&self) -> i64 {
        built_ms()
    }
}

/// A clock to be handed around.
pub type SharedClock = Arc<dyn Clock>;
