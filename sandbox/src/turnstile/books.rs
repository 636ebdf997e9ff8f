//! What a simulated device made, and what it was told of it.

use serde::Serialize;

/// Counts from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Presentations of a medium, each of which should become one pass.
    pub presented: u64,
    /// Telegrams or messages that carried one, repetitions included.
    pub sent: u64,
    /// Presentations that were acknowledged: ACK on the line, PUBACK at the broker.
    pub acknowledged: u64,
    /// NAKs.
    pub refused: u64,
    /// Presentations to which an answer was due and none came.
    pub unanswered: u64,
}
