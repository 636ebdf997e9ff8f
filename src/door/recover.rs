//! A start: visits that the last run left open are closed, before any door takes a reading.
//!
//! Never: a visit without a pass; a guest reported as not having passed who was let in.

use std::collections::HashMap;

use crate::clock::Clock;
use crate::domain::{AtDoor, BootId, Direction, GateId, Medium, PassageState, Seq};
use crate::journal::{AppendError, OpenVisit, Record, Store};

use super::codes;
use super::machine::refusal;

/// A device reports what became of a guest within this time.
const LATELY_MS: u64 = 120_000;
/// Records that are looked through for such guests.
const LATELY: Seq = 2_048;

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

/// A guest who was let in shortly before the last run ended, and of whom no device has told what became.
#[derive(Clone, Debug, PartialEq)]
pub struct LetIn {
    /// At this gate.
    pub gate: GateId,
    /// That way.
    pub direction: Direction,
    /// With this.
    pub medium: Medium,
}

/// Those, the oldest first: a device that reports passages late, or again, may still tell of them. To be asked after [`close_left`].
#[must_use]
pub fn let_in_lately(store: &dyn Store) -> Vec<LetIn> {
    let head = *store.head().borrow();
    let Ok(entries) = store.read(head.saturating_sub(LATELY).max(1), LATELY as usize) else { return Vec::new() };
    // How far each boot had come, by what was read at gates: closing what was left open is of this one.
    let (mut ends, mut passes): (HashMap<BootId, u64>, Vec<_>) = (HashMap::new(), Vec::new());
    for entry in entries {
        let stamp = match &entry.record {
            Record::Visit(pass) | Record::Pass(pass) => pass.stamp,
            Record::Decided(decided) => decided.stamp,
            _ => continue,
        };
        let end = ends.entry(stamp.boot).or_default();
        *end = stamp.boot_ms.max(*end);
        if let Record::Pass(pass) = entry.record {
            passes.push(pass);
        }
    }
    let young = |stamp: &crate::domain::Stamp| ends.get(&stamp.boot).is_some_and(|end| end.saturating_sub(stamp.boot_ms) <= LATELY_MS);
    let let_in = passes
        .into_iter()
        .filter(|pass| pass.device.is_none() && young(&pass.stamp) && pass.door.as_ref().is_some_and(|door| door.decision.admitted));
    let_in.map(|pass| LetIn { gate: pass.gate, direction: pass.direction, medium: pass.medium }).collect()
}
