//! Synchronisation, as the command line asks for it: who wants what told again, and how far it has come. Works on a journal, whoever has it open.
//!
//! Never: a walk that begins anew because somebody asked twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{Seq, Stamp};
use crate::feed::cursor_key;
use crate::journal::{AppendError, Destination, ReadError, Record, Settled, Store};
use crate::lime::feed::{Kind, Place, Walk, Walked, Wish};

/// Waiting jobs or records looked at in one go.
const PAGE: usize = 1024;

/// Everything of these kinds is to be told again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncOrder {
    /// What tells this order from another.
    pub id: String,
    /// Of what.
    pub kinds: Vec<Kind>,
    /// Only what happened since then, milliseconds since 1970 UTC.
    pub since_ms: Option<i64>,
}

/// What became of an order: which walk each kind is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// The order's id, or that of one that was under way already.
    pub walks: BTreeMap<Kind, String>,
}

/// Where one of Lime's feeds stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedPlace {
    /// It has been read before.
    pub begun: bool,
    /// The latest change that it told of, by Lime's clock, milliseconds since 1970 UTC.
    pub seen_ms: i64,
    /// When its cursor was kept, milliseconds since 1970 UTC.
    pub kept_ms: i64,
    /// An order that it has not taken up yet.
    pub wished: Option<String>,
    /// The walk under way.
    pub walk: Option<Walk>,
    /// The last walk that came to its end.
    pub walked: Option<Walked>,
}

/// How far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncState {
    /// Version of this shape.
    pub v: u32,
    /// The newest record.
    pub head: Seq,
    /// Jobs that wait for the CRM, passes among them.
    pub waiting: u64,
    /// Those of them up to the record that was asked about.
    pub waiting_upto: u64,
    /// Jobs that wait for a person.
    pub refused: u64,
    /// Lime's feeds.
    pub feeds: BTreeMap<Kind, FeedPlace>,
    /// Jobs that wait, by what they are about: `pass`, `client`, `receipt`, ... Where it was asked for.
    pub by_kind: Option<BTreeMap<String, u64>>,
    /// What holds it up, in a line each.
    pub trouble: Vec<String>,
}

/// Where a feed stands, from the ledger.
#[must_use]
pub fn place(store: &dyn Store, kind: Kind) -> FeedPlace {
    let wished = store.ledger(&Wish::key(kind.name())).and_then(|text| Wish::parse(&text)).map(|wish| wish.id);
    match store.ledger(&cursor_key(kind.name())).and_then(|text| Place::parse(&text)) {
        Some(place) => FeedPlace { begun: true, seen_ms: place.seen_ms, kept_ms: place.kept_ms, wished, walk: place.walk, walked: place.walked },
        None => FeedPlace { wished, ..FeedPlace::default() },
    }
}

/// Makes an order durable. Kinds that are in a walk somebody asked for go on with it.
///
/// # Errors
/// When the journal cannot write.
pub async fn order(store: &dyn Store, order: &SyncOrder, stamp: Stamp) -> Result<Ordered, AppendError> {
    let mut ordered = Ordered::default();
    let mut learned = Vec::new();
    for kind in &order.kinds {
        let place = place(store, *kind);
        let under_way = place.wished.or(place.walk.map(|walk| walk.id).filter(|id| !id.is_empty()));
        if under_way.is_none() {
            learned.push(Wish { id: order.id.clone(), since_ms: order.since_ms }.learned(kind.name()));
        }
        ordered.walks.insert(*kind, under_way.unwrap_or_else(|| order.id.clone()));
    }
    if !learned.is_empty() {
        let record = Settled { to: Destination::Crm, items: Vec::new(), learned, stamp };
        store.append(vec![Record::Settled(record)]).await?;
    }
    Ok(ordered)
}

/// How far it has come. `upto` is a record: what waits for the CRM up to it is counted.
#[must_use]
pub fn state(store: &dyn Store, kinds: &[Kind], upto: Option<Seq>) -> SyncState {
    let head = *store.head().borrow();
    let waiting = store.pending_count(Destination::Crm);
    let later = upto.map_or(0, |upto| store.pending(Destination::Crm, upto, usize::MAX).len() as u64);
    SyncState {
        v: 1,
        head,
        waiting,
        waiting_upto: waiting.saturating_sub(later),
        refused: store.totals(Destination::Crm).dead,
        feeds: kinds.iter().map(|kind| (*kind, place(store, *kind))).collect(),
        by_kind: None,
        trouble: Vec::new(),
    }
}

/// What waits for the CRM, by what it is about. Reads the log from the oldest waiting job on; blocks meanwhile.
///
/// # Errors
/// When the disk refuses.
pub fn by_kind(store: &dyn Store) -> Result<BTreeMap<String, u64>, ReadError> {
    let mut counted = BTreeMap::new();
    let mut after = 0;
    loop {
        let jobs = store.pending(Destination::Crm, after, PAGE);
        let (Some(first), Some(last)) = (jobs.first().copied(), jobs.last().copied()) else { return Ok(counted) };
        let mut from = first;
        while from <= last {
            let entries = store.read(from, PAGE)?;
            let Some(newest) = entries.last().map(|entry| entry.seq) else { break };
            for entry in entries.iter().filter(|entry| jobs.binary_search(&entry.seq).is_ok()) {
                let what = match &entry.record {
                    Record::Change(change) => change.told.word(),
                    _ => "pass",
                };
                *counted.entry(what.to_owned()).or_default() += 1;
            }
            // On to the next that waits: what lies between is of no interest.
            let next = jobs.partition_point(|job| *job <= newest);
            from = jobs.get(next).copied().unwrap_or(last + 1);
        }
        after = last;
    }
}
