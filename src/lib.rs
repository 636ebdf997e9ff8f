//! limegate: the edge gateway between a venue's entrances and its business systems.
//!
//! Every feature is one movement: a **source** tells a fact, a pure **flow** says which jobs it makes, the **journal** makes it durable before
//! anyone is acknowledged, **delivery** takes the jobs to Lime and to the CRM, and the outcome comes back as a fact.
//!
//! | floor | modules | may use |
//! |---|---|---|
//! | 5 | [`cli`] | everything below |
//! | 4 | [`gateway`] (assembly of the running service) | everything below |
//! | 3 | [`source`], [`device`], [`listen`], [`door`], [`mqtt`], [`delivery`], [`feed`], [`status`] | everything below |
//! | 2 | [`flow`] | everything below |
//! | 1 | [`journal`], [`lime`], [`crm`], [`codec`], [`http`] | everything below |
//! | 0 | [`domain`], [`clock`], [`config`], [`board`], [`files`], [`ports`], [`words`] | each other |
//!
//! Imports go down only. Never: an acknowledgement ahead of the disk; I/O, a clock or randomness inside `flow`, `codec` or a conversation with a
//! destination; a global; a value from outside that can panic the process.

pub mod board;
pub mod books;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod config;
pub mod control;
pub mod crm;
pub mod delivery;
#[cfg(feature = "demo")]
pub mod demo;
pub mod device;
pub mod domain;
pub mod door;
pub mod feed;
pub mod files;
pub mod flow;
pub mod gateway;
pub mod http;
pub mod journal;
pub mod lime;
pub mod listen;
pub mod mqtt;
pub mod ports;
pub mod source;
pub mod status;
pub mod tap;
pub mod words;
