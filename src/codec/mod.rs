//! Codecs: bytes <-> frames. Pure: no I/O, no clock. Any chunking of the same bytes gives the same frames.
//!
//! Never: a panic or unbounded growth on any bytes.

mod profile;

pub use profile::Profile;
