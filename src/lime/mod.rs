//! Lime, through the Lime gateway API v1: a contract of our own, published as `docs/lime-gateway-api.yaml`.
//!
//! Everything here is pure: [`requests`] says what to ask, [`parse`] reads answers into the domain, [`LimeCourier`] delivers passes, [`clients`] and
//! [`preorders`] write for the two-way integration, [`feed`] hears what happens at Lime. Unknown fields
//! are ignored and unknown enum values become `other`, so that a newer Lime never stops an older box. Never: a write-off id made here. It is the pass's
//! own, made when the medium was read, and Lime keeps it without expiry: that is what makes sending again harmless.

pub mod authorize;
pub mod changes;
pub mod clients;
mod courier;
pub mod feed;
pub mod parse;
pub mod preorders;
pub mod products;
mod receipts;
pub mod requests;
mod wire;
mod written;

pub use courier::{BATCH_LIMIT, LimeCourier};
pub use parse::ParseProblem;
pub use written::{By, Written};

/// Requests a second that Lime is sent at most. The contract promises this figure and [`BURST`]; a drain needs far fewer, for passes and guests go many to a
/// request, and a small server beside the cash desks is not leant on.
pub const RATE: f64 = 20.0;

/// Requests that Lime is sent at once at most, when the box is rested.
pub const BURST: u32 = 40;
