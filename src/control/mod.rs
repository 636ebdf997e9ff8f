//! The control socket: how the command line speaks with the running gateway. HTTP with JSON over a Unix socket in the state folder, mode 0600: whoever
//! can open it is the box's administrator.
//!
//! Never: a port; a decision about money that is not journalled before it is answered.

mod client;
mod server;
mod sync;

use serde::{Deserialize, Serialize};

use crate::domain::Seq;
use crate::journal::Destination;

pub use client::{Client, ClientError};
pub use server::{Control, serve};
pub use sync::{FeedPlace, Ordered, SyncOrder, SyncState, by_kind, order, place, state};

/// The socket's name in the state folder.
pub const SOCKET: &str = "control.sock";

/// What to do with dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whose.
    pub to: Destination,
    /// Which jobs.
    pub jobs: Vec<Seq>,
    /// Why; must not be empty for a drop.
    pub reason: String,
}

/// A person's order to open a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// The gate, or its service point.
    pub point: String,
    /// Why; must not be empty.
    pub reason: String,
    /// Who: the account on the box.
    pub who: String,
}

/// What became of a person's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedByHand {
    /// The device has acknowledged.
    pub opened: bool,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The jobs that were dead letters and are decided now.
    pub jobs: Vec<Seq>,
}
