//! Preorders of Lime's and deals of bookings.

use crate::delivery::{Job, Verdict};

use super::courier::Place;
use super::desk::{Desk, Stop};
use super::memory::{Looker, Memory};
use super::schema::Schema;

/// Looks up what a job of these can need.
pub fn look(_job: &Job, _looker: &mut Looker<'_>) {}

/// Takes jobs as far as they go. The contacts of those that name a client are in `memory.contacts`, where there are any. A job in doubt is asked for and
/// judged, and never written.
///
/// # Errors
/// When it cannot go on now; what has a verdict until then keeps it.
#[allow(clippy::unused_async, reason = "its kin ask")]
pub async fn deliver(desk: &mut Desk, _schema: &Schema, _memory: &mut Memory, _place: &Place, jobs: Vec<Job>) -> Result<(), Stop> {
    for job in jobs {
        desk.judge(job.seq, Verdict::Retry { reason: "hub/not_yet".to_owned(), after: None });
    }
    Ok(())
}
