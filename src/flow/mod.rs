//! Flows: fact + what is known -> jobs. Pure functions; never I/O, a clock or tokio.

pub mod contacts;
pub mod deals;
mod hub;
mod passes;
pub mod preorders;

pub use hub::HubPolicy;
pub use passes::{CrmPolicy, job_at};
