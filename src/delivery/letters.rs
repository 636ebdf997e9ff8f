//! What a person decides about dead letters: on their way again, or given up. Each decision is a record in the journal, with its reason; a running
//! [`super::Runner`] sees it there.

use std::collections::BTreeSet;

use crate::clock::Clock;
use crate::domain::Seq;
use crate::journal::{AppendError, Destination, Drop, Record, Store};

/// Why a decision was not carried out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// There is no such dead letter.
    #[error("job {job} of {} is no dead letter. `limegate dead list` shows them", to.name())]
    NotDead {
        /// The destination.
        to: Destination,
        /// The job.
        job: Seq,
    },
    /// The journal does not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Sends dead letters on their way again, as if they were new.
///
/// # Errors
/// When one of the jobs is no dead letter, or the journal cannot write.
pub async fn revive(store: &dyn Store, clock: &dyn Clock, to: Destination, jobs: Vec<Seq>, reason: String) -> Result<(), LetterError> {
    decide(store, clock, to, jobs, reason, Record::Revived).await
}

/// Gives dead letters up for good.
///
/// # Errors
/// When one of the jobs is no dead letter, or the journal cannot write.
pub async fn drop_dead(store: &dyn Store, clock: &dyn Clock, to: Destination, jobs: Vec<Seq>, reason: String) -> Result<(), LetterError> {
    decide(store, clock, to, jobs, reason, Record::Dropped).await
}

async fn decide(
    store: &dyn Store,
    clock: &dyn Clock,
    to: Destination,
    jobs: Vec<Seq>,
    reason: String,
    record: impl FnOnce(Drop) -> Record + Send,
) -> Result<(), LetterError> {
    let dead: BTreeSet<Seq> = store.dead(to).iter().map(|letter| letter.job).collect();
    if let Some(job) = jobs.iter().find(|job| !dead.contains(job)) {
        return Err(LetterError::NotDead { to, job: *job });
    }
    if jobs.is_empty() {
        return Ok(());
    }
    let decision = record(Drop { to, jobs, reason, stamp: clock.stamp() });
    store.append(vec![decision]).await?;
    Ok(())
}
