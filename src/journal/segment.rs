//! A segment file as the journal knows it: what it covers, and a small map of where its records stand and whose they are.
//!
//! The map has a mark and a filter of order keys for every [`CHUNK`] records, about 1.4 bytes a record, so that one record or one guest's queue is
//! found without reading the whole file and without an entry for each job in memory. It is rebuilt from the file whenever it is missing.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::{Seq, Stamp};

use super::format::DATA_START;

/// Records under one mark.
const CHUNK: u64 = 128;
/// Bytes of a chunk's filter: ten bits a record, with five of them asked some 1 % of the answers are false alarms.
const FILTER: usize = 160;
const PROBES: u32 = 5;

/// A segment.
pub(super) struct Segment {
    pub path: PathBuf,
    pub ordinal: u64,
    pub salt: u32,
    pub first_seq: Seq,
    /// When it was made, as far as its header says.
    pub stamp: Option<Stamp>,
    inner: Mutex<Inner>,
}

/// How far a segment reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The last sequence that counts; `first_seq - 1` when there is none.
    pub last_seq: Seq,
    /// Bytes that may hold records, from the start of the file.
    pub end: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

struct Inner {
    extent: Extent,
    map: Option<Map>,
}

impl Segment {
    pub fn new(path: PathBuf, ordinal: u64, salt: u32, first_seq: Seq, stamp: Option<Stamp>, extent: Extent, map: Option<Map>) -> Self {
        Self { path, ordinal, salt, first_seq, stamp, inner: Mutex::new(Inner { extent, map }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn extent(&self) -> Extent {
        self.inner().extent
    }

    pub fn set_bytes(&self, bytes: u64) {
        self.inner().extent.bytes = bytes;
    }

    pub fn is_mapped(&self) -> bool {
        self.inner().map.is_some()
    }

    pub fn set_map(&self, map: Map, end: usize) {
        let mut inner = self.inner();
        inner.map = Some(map);
        inner.extent.end = end;
    }

    /// A commit is durable: these records are in the file now.
    pub fn grow(&self, records: &[Place], end: usize) {
        let mut inner = self.inner();
        if let Some(map) = &mut inner.map {
            for place in records {
                map.add(*place);
            }
        }
        if let Some(last) = records.last() {
            inner.extent.last_seq = last.seq;
        }
        inner.extent.end = end;
    }

    /// Where to begin reading for a record, and the sequence that stands there.
    pub fn mark_for(&self, seq: Seq) -> Option<Mark> {
        let inner = self.inner();
        let map = inner.map.as_ref()?;
        let behind = map.marks.partition_point(|mark| mark.seq <= seq);
        map.marks.get(behind.checked_sub(1)?).copied()
    }

    /// The chunk that begins at this place of the file.
    pub fn mark_at(&self, at: usize) -> Option<Mark> {
        let inner = self.inner();
        let map = inner.map.as_ref()?;
        map.marks.get(map.marks.partition_point(|mark| mark.at < at)).copied()
    }

    /// The stretches of the file that may hold jobs of this order key, from the one of `from` on: where each begins, and where it ends.
    pub fn stretches_of(&self, order: u32, from: Seq) -> Vec<(Mark, usize)> {
        let inner = self.inner();
        let Some(map) = &inner.map else { return Vec::new() };
        let mut found = Vec::new();
        for (index, mark) in map.marks.iter().enumerate() {
            let end = map.marks.get(index + 1);
            if end.is_none_or(|next| next.seq > from) && map.may_hold(index, order) {
                found.push((*mark, end.map_or(inner.extent.end, |next| next.at)));
            }
        }
        found
    }

    /// Where the stretch ends that begins at `mark`.
    pub fn end_of(&self, mark: Mark) -> usize {
        let inner = self.inner();
        let next = inner.map.as_ref().and_then(|map| map.marks.get(map.marks.partition_point(|other| other.at <= mark.at)));
        next.map_or(inner.extent.end, |next| next.at)
    }
}

/// Where a record stands, and the order key of the job it makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub seq: Seq,
    pub at: usize,
    pub order: Option<u32>,
}

/// Where a chunk begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub seq: Seq,
    pub at: usize,
}

/// Marks and filters of a segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Map {
    marks: Vec<Mark>,
    filters: Vec<u8>,
    in_last: u64,
}

impl Map {
    pub fn add(&mut self, place: Place) {
        if self.marks.is_empty() || self.in_last >= CHUNK {
            // The first mark stands at the first record's place, wherever that is: a damaged begin is found again by the walk.
            let at = if self.marks.is_empty() { place.at.max(DATA_START) } else { place.at };
            self.marks.push(Mark { seq: place.seq, at });
            self.filters.resize(self.filters.len() + FILTER, 0);
            self.in_last = 0;
        }
        self.in_last += 1;
        if let Some(order) = place.order {
            let base = self.filters.len() - FILTER;
            for bit in probes(order) {
                if let Some(byte) = self.filters.get_mut(base + bit / 8) {
                    *byte |= 1 << (bit % 8);
                }
            }
        }
    }

    fn may_hold(&self, index: usize, order: u32) -> bool {
        probes(order).all(|bit| self.filters.get(index * FILTER + bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0))
    }
}

fn probes(order: u32) -> impl Iterator<Item = usize> {
    let step = order.rotate_left(15).wrapping_mul(0x9E37_79B1) | 1;
    (0..PROBES).map(move |n| (order.wrapping_add(n.wrapping_mul(step)) as usize) % (FILTER * 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_added_is_always_found_and_others_rarely() {
        let mut map = Map::default();
        let key = |n: u64| crc32c::crc32c(&n.to_le_bytes());
        for n in 0..1_280 {
            map.add(Place { seq: n, at: 0, order: Some(key(n)) });
        }
        assert_eq!(map.marks.len(), 10);
        for n in 0..1_280 {
            assert!(map.may_hold(usize::try_from(n / CHUNK).unwrap(), key(n)));
        }
        let false_alarms = (10_000..20_000).filter(|n| map.may_hold(3, key(*n))).count();
        assert!(false_alarms < 300, "{false_alarms} of 10000");
    }
}
