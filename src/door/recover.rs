//! A start: visits that the last run left open are closed, before any door takes a reading.
//!
//! Never: a visit without a pass; a guest reported as not having passed who was let in.

use crate::clock::Clock;
use crate::domain::{AtDoor, PassageState};
use crate::journal::{AppendError, OpenVisit, Record, Store};

use super::codes;
use super::machine::refusal;

/// Why visits could not be closed. They stay open, and the next start finds them again.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The journal cannot be read.
    #[error(transparent)]
    Read(#[from] crate::journal::ReadError),
    /// The journal cannot be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Closes them; how many. One that was granted may have gone through: its passage is unknown. One that was not is a refusal, which cancels what Lime
/// may hold for it.
///
/// # Errors
/// When the journal refuses.
pub async fn close_left(store: &dyn Store, clock: &dyn Clock) -> Result<usize, RecoverError> {
    let left = store.open_visits()?;
    let count = left.len();
    for visit in left {
        store.append(vec![closing(visit, clock)]).await?;
    }
    Ok(count)
}

fn closing(visit: OpenVisit, clock: &dyn Clock) -> Record {
    let OpenVisit { mut pass, decision } = visit;
    let decision = decision.unwrap_or_else(|| refusal(codes::INTERRUPTED));
    pass.passage = if decision.admitted { PassageState::Unknown } else { PassageState::NotPassed };
    pass.door = Some(AtDoor { decision, passage_at: Some(clock.stamp()), late: None });
    Record::Pass(pass)
}
