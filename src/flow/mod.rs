//! Flows: fact + what is known -> jobs. Pure functions; never I/O, a clock or tokio.

mod passes;

pub use passes::{CrmPolicy, job_at};
