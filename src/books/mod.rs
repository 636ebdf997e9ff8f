//! The books: what the journal says became of every pass, as sums and as a list.
//!
//! One fold over the log serves `verify`, `journal list` and `dead list`, whether the gateway runs or not; another tells the nightly sweep where to look.
//! Never: a sum taken from a counter that is not the log; a job counted in two states.

mod job;
mod resent;
mod sums;

pub use job::{JobLine, JobState, Jobs};
pub use resent::Resent;
pub use sums::{DestinationSum, Sums};
