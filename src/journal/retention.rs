//! Space: which segments may go, and what of them is carried forward first.
//!
//! Only the oldest go, after a checkpoint that covers them. What some destination or a person still needs of them is appended again under its old
//! sequence, so that one old unsettled fact does not pin the log. Never: a fact dropped that is unsettled, or a dead letter nobody decided on.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::{Seq, Stamp, Sync};

use super::core::Core;
use super::format::{CARRIED, Frame};
use super::record::Record;
use super::segment::Segment;
use super::state::{Carried, State, device_key, job_of, kind};
use super::store::AppendError;

/// Records carried forward in one append.
const CARRIED_AT_ONCE: usize = 256;

/// A segment as retention sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weighed {
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes of what is still needed, estimated by count.
    pub needed: u64,
    /// Older than `retain`.
    pub aged: bool,
}

/// How many of the oldest segments go. `excess` is what must be freed for new facts to fit; those that are old go anyway. Carrying must pay: at most
/// half of what is freed is written again.
pub(super) fn how_many_go(weighed: &[Weighed], excess: u64) -> usize {
    let (mut freed, mut carried, mut go) = (0_u64, 0_u64, 0);
    let mut all_aged = true;
    for (index, segment) in weighed.iter().enumerate() {
        let enough = go > 0 && freed.saturating_sub(carried) >= excess;
        all_aged &= segment.aged;
        if !all_aged && (enough || excess == 0) {
            break;
        }
        freed += segment.bytes;
        carried += segment.needed;
        if carried * 2 <= freed {
            go = index + 1;
        }
    }
    go
}

impl Core {
    /// Drops what retention or the budget asks for.
    pub fn make_room(&self) {
        let (bytes, _) = self.log.size();
        // Two segments before facts are refused, so that room is made in time.
        let limit = self.budget_bytes.saturating_sub(4 * self.segment_bytes);
        let excess = (bytes + self.segment_bytes).saturating_sub(limit);
        let (segments, weighed) = self.weigh();
        let count = how_many_go(&weighed, excess);
        let go = segments.get(..count).unwrap_or_default();
        if go.is_empty() || !self.index.now().live {
            return;
        }
        if !self.checkpoint() {
            tracing::warn!("segments stay: the index could not be kept");
            return;
        }
        for segment in go {
            if let Err(error) = self.drop_segment(segment) {
                tracing::warn!(%error, segment = segment.ordinal, "a segment could not be dropped");
                return;
            }
        }
    }

    /// All segments but the one being written, oldest first.
    fn weigh(&self) -> (Vec<Arc<Segment>>, Vec<Weighed>) {
        let mut segments = self.log.segments();
        let current = self.current_ordinal();
        segments.retain(|segment| Some(segment.ordinal) != current);
        let now = self.clock.stamp();
        let inner = self.index.now();
        let weighed = segments.iter().enumerate().map(|(index, segment)| {
            let extent = segment.extent();
            let needed = needed_bytes(&inner.state, segment);
            // A segment's last record is older than the segment after it.
            let closed = segments.get(index + 1).and_then(|next| next.stamp);
            Weighed { bytes: extent.bytes, needed, aged: closed.is_some_and(|closed| self.is_aged(closed, now)) }
        });
        let weighed = weighed.collect();
        (segments, weighed)
    }

    /// Wall time counts only where both ends were synchronised; otherwise only the budget makes a segment go.
    fn is_aged(&self, closed: Stamp, now: Stamp) -> bool {
        let retain = i64::try_from(self.retain.as_millis()).unwrap_or(i64::MAX);
        closed.sync == Sync::Synced && now.sync == Sync::Synced && now.wall_ms.saturating_sub(closed.wall_ms) > retain
    }

    fn drop_segment(&self, segment: &Segment) -> Result<(), AppendError> {
        let (mut wanted, mut devices) = (Vec::new(), Vec::new());
        let scanned = self.log.scan(
            segment,
            |frame| {
                if may_be_needed(&self.index.now().state, frame) {
                    wanted.push(carried(frame));
                }
                if matches!(frame.kind, kind::PASS | kind::VISIT)
                    && let Ok(Record::Pass(pass) | Record::Visit(pass)) = minicbor::decode(frame.payload)
                    && let Some(device) = pass.device
                {
                    devices.push((device_key(&device), frame.seq));
                }
                ControlFlow::Continue(())
            },
            |_, _| {},
        );
        let _ = scanned.map_err(|error| AppendError::Disk(error.to_string()))?;
        self.settle_losses();
        for group in wanted.chunks(CARRIED_AT_ONCE) {
            self.carry(|state| group.iter().filter_map(|(at, carried)| still_needed(state, *at, carried)).collect())?;
        }
        self.index.forget_seen(&devices);
        self.log.forget(segment.ordinal);
        let removed = self.log.disk.remove(&segment.path).and_then(|()| self.log.disk.sync_dir(&self.log.dir));
        tracing::info!(segment = segment.ordinal, carried = wanted.len(), "a segment was dropped");
        removed.map_err(|error| AppendError::Disk(error.to_string()))
    }

    /// Draws the maps of segments with waiting jobs, so that the first look for a guest's queue need not.
    pub fn draw_maps(&self) {
        for segment in self.log.segments() {
            if self.stop.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            let needed = self.index.now().state.needed(segment.first_seq, segment.extent().last_seq);
            if needed > 0
                && let Err(error) = self.log.map(&segment)
            {
                tracing::warn!(%error, segment = segment.ordinal, "a segment cannot be read");
            }
        }
        self.settle_losses();
    }
}

/// Bytes of a segment that are still needed, by count.
pub(super) fn needed_bytes(state: &State, segment: &Segment) -> u64 {
    let extent = segment.extent();
    let records = (extent.last_seq + 1).saturating_sub(segment.first_seq);
    let needed = state.needed(segment.first_seq, extent.last_seq);
    if records == 0 { 0 } else { u64::try_from(extent.end as u128 * u128::from(needed) / u128::from(records)).unwrap_or(extent.bytes) }
}

/// A record as it will be carried, with where it stands now.
fn carried(frame: &Frame<'_>) -> (Seq, Carried) {
    let inner = if frame.kind == CARRIED { minicbor::decode(frame.payload).ok() } else { None };
    let carried = inner.unwrap_or_else(|| Carried {
        seq: frame.seq,
        kind: frame.kind,
        flags: frame.flags,
        order: frame.order,
        sent: None,
        payload: frame.payload.to_vec(),
    });
    (frame.seq, carried)
}

fn may_be_needed(state: &State, frame: &Frame<'_>) -> bool {
    let (at, carried) = match frame.kind {
        kind::PASS | kind::WRITE_OFF | kind::CHANGE => return job_of(frame.flags).is_some_and(|to| state.lane(to).needs(frame.seq)),
        kind::DEAD | kind::ANCHOR | kind::VISIT | kind::DECIDED | CARRIED => carried(frame),
        _ => return false,
    };
    still_needed(state, at, &carried).is_some()
}

/// The record as it has to be carried, when it still has to.
fn still_needed(state: &State, at: Seq, carried: &Carried) -> Option<Carried> {
    let mut carried = carried.clone();
    match carried.kind {
        kind::DEAD => {
            let Ok(Record::Dead(letter)) = minicbor::decode(&carried.payload) else { return None };
            (state.lane(letter.to).dead.get(&letter.job) == Some(&at)).then_some(carried)
        }
        kind::VISIT => state.visits.values().any(|known| known.visit == at).then_some(carried),
        kind::DECIDED => state.visits.values().any(|known| known.decided == Some(at)).then_some(carried),
        kind::ANCHOR => state.anchors.iter().any(|(seq, _)| *seq == at).then_some(carried),
        _ => {
            let lane = state.lane(job_of(carried.flags)?);
            let here = state.moved.get(&carried.seq).map_or(carried.seq == at, |moved| *moved == at);
            carried.sent = lane.doubt(carried.seq);
            (here && lane.needs(carried.seq)).then_some(carried)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(needed: u64, aged: bool) -> Weighed {
        Weighed { bytes: 100, needed, aged }
    }

    #[test]
    fn only_old_segments_go_while_there_is_room() {
        assert_eq!(how_many_go(&[segment(0, true), segment(0, true), segment(0, false)], 0), 2);
        assert_eq!(how_many_go(&[segment(0, false), segment(0, true)], 0), 0);
    }

    #[test]
    fn as_many_go_as_the_budget_needs() {
        assert_eq!(how_many_go(&[segment(0, false), segment(0, false), segment(0, false)], 150), 2);
    }

    #[test]
    fn one_old_unsettled_segment_is_carried_when_enough_is_freed_behind_it() {
        assert_eq!(how_many_go(&[segment(100, true), segment(0, true), segment(0, false)], 0), 2);
        assert_eq!(how_many_go(&[segment(100, false), segment(0, false), segment(0, false)], 50), 2);
    }

    #[test]
    fn what_is_all_needed_stays() {
        assert_eq!(how_many_go(&[segment(100, true), segment(90, true)], 500), 0);
    }
}
