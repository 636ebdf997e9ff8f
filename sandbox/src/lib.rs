//! Stand-ins for Lime, amoCRM and Bitrix24 that keep to their contracts, and faults on demand.
//!
//! Two ways in, one behaviour:
//! - in-process and under any clock: [`Site::call`] takes a request and says what the caller would see ([`Outcome`]), without I/O;
//! - over TCP: [`server::serve`] puts the same [`Site`] behind real listeners, where a cut connection is really cut.
//!
//! The worlds ([`lime::Lime`], [`amocrm::Amo`], [`bitrix24::Bitrix`]) are pure: state, a request, two clock readings, an answer. Limits are counted on
//! the `now_ms` that the caller hands in, so virtual time works.
//!
//! Never: limegate's own wire types. The sandbox is written from the contracts, so that a mistake on either side shows.

pub mod amocrm;
pub mod bitrix24;
pub mod faults;
mod host;
pub mod lime;
mod log;
mod people;
mod php;
pub mod server;
mod site;
pub mod turnstile;
mod wire;

pub use faults::{CutAt, Ending, Outcome, What};
pub use host::Host;
pub use log::{Call, Log};
pub use php::parse as parse_php_form;
pub use site::Site;
