//! Listening to a serial port for whoever installs it: what comes, as bytes and as frames, and at which settings it makes sense.
//!
//! The port is opened for reading only. Never: a byte written to it; a port taken that the gateway reads; a whole card number shown unasked.

mod compare;
mod mask;
mod port;
mod search;

pub use compare::{Match, matches};
pub use mask::masked;
pub use port::{Heard, OpenError, Port};
pub use search::{Next, Search};
