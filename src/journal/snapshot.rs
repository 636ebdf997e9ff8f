//! The state as bytes: what a checkpoint keeps, so that a start need not read the whole log. CBOR, bitmaps in roaring's portable form.

use minicbor::{Decode, Encode};
use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::domain::{Seq, Stamp};

use super::record::Anchor;
use super::state::{Lane, State, Visiting};
use super::store::Totals;

#[derive(Encode, Decode)]
#[cbor(map)]
struct Kept {
    #[n(0)]
    covered: Seq,
    #[n(1)]
    lanes: Vec<KeptLane>,
    #[n(2)]
    anchors: Vec<(Seq, Anchor)>,
    #[n(3)]
    moved: Vec<(Seq, Seq)>,
    #[n(4)]
    passes: u64,
    #[n(5)]
    lost: u64,
    #[n(6)]
    visits: Option<Vec<KeptVisit>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct KeptVisit {
    #[n(0)]
    #[cbor(with = "crate::domain::uuid_bytes")]
    id: Uuid,
    #[n(1)]
    visit: Seq,
    #[n(2)]
    decided: Option<Seq>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct KeptLane {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pending: Vec<u8>,
    #[n(1)]
    in_doubt: Vec<(Seq, Stamp)>,
    #[n(2)]
    dead: Vec<(Seq, Seq)>,
    #[n(3)]
    totals: (u64, u64, u64, u64),
    #[n(4)]
    doubt_to: Option<(Seq, Stamp)>,
}

/// The state as bytes.
pub(super) fn encode(state: &mut State) -> Vec<u8> {
    let lanes = state.lanes.iter_mut().map(|lane| {
        lane.pending.optimize();
        let mut pending = Vec::with_capacity(lane.pending.serialized_size());
        // Writing to a Vec cannot fail.
        let _ = lane.pending.serialize_into(&mut pending);
        KeptLane {
            pending,
            in_doubt: lane.in_doubt.iter().map(|(job, stamp)| (*job, *stamp)).collect(),
            dead: lane.dead.iter().map(|(job, at)| (*job, *at)).collect(),
            totals: (lane.totals.made, lane.totals.confirmed, lane.totals.dead, lane.totals.dropped),
            doubt_to: lane.doubt_to,
        }
    });
    let kept = Kept {
        lanes: lanes.collect(),
        covered: state.covered,
        anchors: state.anchors.clone(),
        moved: state.moved.iter().map(|(job, at)| (*job, *at)).collect(),
        passes: state.passes,
        lost: state.lost,
        visits: Some(state.visits.iter().map(|(id, known)| KeptVisit { id: *id, visit: known.visit, decided: known.decided }).collect()),
    };
    minicbor::to_vec(kept).unwrap_or_default()
}

/// The state of a snapshot; `None` when it is not one.
pub(super) fn decode(bytes: &[u8]) -> Option<State> {
    let kept: Kept = minicbor::decode(bytes).ok()?;
    let mut state = State { covered: kept.covered, passes: kept.passes, lost: kept.lost, anchors: kept.anchors, ..State::default() };
    state.moved = kept.moved.into_iter().collect();
    state.visits = kept.visits.unwrap_or_default().into_iter().map(|one| (one.id, Visiting { visit: one.visit, decided: one.decided })).collect();
    if kept.lanes.len() != state.lanes.len() {
        return None;
    }
    for (lane, kept) in state.lanes.iter_mut().zip(kept.lanes) {
        let (made, confirmed, dead, dropped) = kept.totals;
        *lane = Lane {
            pending: RoaringTreemap::deserialize_from(kept.pending.as_slice()).ok()?,
            in_doubt: kept.in_doubt.into_iter().collect(),
            dead: kept.dead.into_iter().collect(),
            totals: Totals { passes: 0, made, confirmed, dead, dropped },
            doubt_to: kept.doubt_to,
        };
    }
    Some(state)
}
