//! Codes of refusals that the door itself gives. The names are those of the Lime gateway API v1.

/// The same medium, the same way, without having gone the other way.
pub const ANTIPASSBACK: &str = "antipassback";
/// The same medium at the same door too soon.
pub const COOLDOWN: &str = "cooldown";
/// The gate was free: nobody is asked, and nobody is charged.
pub const GATE_FREE: &str = "gate_free";
/// The box cannot: its disk refuses, or the gate does not open.
pub const INTERNAL: &str = "internal";
/// The policy of the gate lets nobody in without Lime.
pub const OFFLINE_NOT_ALLOWED: &str = "offline_not_allowed";
/// Admitted.
pub const OK: &str = "ok";
/// The power or the gateway went before it was decided.
pub const INTERRUPTED: &str = "interrupted";
