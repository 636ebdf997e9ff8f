//! Preorders of Lime's and the deals of bookings.

use super::book::Halt;
use super::errands::LookUp;
use super::talk::Talk;
use crate::config::Hub;
use crate::domain::{Change, Told};

/// Looks up in the ledger what delivering can need.
pub(super) fn look_up(_change: &Change, _hub: &Hub, _look_up: &mut LookUp<'_>) {}

/// Finds out what became of creates in doubt. A job that is not found is decided `NotFound`; one whose doubt is over is taken back from the doubtful
/// and goes on, or is confirmed.
///
/// # Errors
/// When the batch cannot go on.
#[allow(clippy::unused_async, reason = "asks the portal")]
pub(super) async fn resolve(_talk: &mut Talk) -> Result<(), Halt> {
    Ok(())
}

/// Delivers the open jobs of its kind. The contacts of the clients that they name are there, where they can be.
///
/// # Errors
/// When the batch cannot go on.
#[allow(clippy::unused_async, reason = "asks the portal")]
pub(super) async fn deliver(talk: &mut Talk) -> Result<(), Halt> {
    for seq in talk.open_errands(|told| matches!(told, Told::Preorder(_) | Told::Deal { .. })) {
        talk.book.decide(seq, Halt::new("hub/not_yet"));
    }
    Ok(())
}
