//! Flows: fact + what is known -> jobs. Pure functions; never I/O, a clock or tokio.

pub mod contacts;
mod hub;
mod passes;

pub use hub::HubPolicy;
pub use passes::{CrmPolicy, job_at};
