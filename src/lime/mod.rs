//! Lime, through the Lime gateway API v1: a contract of our own, published as `docs/lime-gateway-api.yaml`.
//!
//! Everything here is pure: [`requests`] says what to ask, [`parse`] reads answers into the domain, [`LimeCourier`] delivers passes. Unknown fields
//! are ignored and unknown enum values become `other`, so that a newer Lime never stops an older box. Never: a write-off id made here. It is the pass's
//! own, made when the medium was read, and Lime keeps it without expiry: that is what makes sending again harmless.

mod courier;
pub mod parse;
pub mod requests;
mod wire;

pub use courier::{BATCH_LIMIT, LimeCourier};
pub use parse::ParseProblem;
