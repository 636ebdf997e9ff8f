//! The log's segments in order, and reading from them. Every record that is given out checked out; what does not is put aside, counted and reported.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::domain::Seq;

use super::disk::{Access, Disk, read_up_to, write_all};
use super::format::{DATA_START, Frame, Step, Walk};
use super::segment::{Map, Place, Segment};
use super::state::job_of;

/// Damaged stretches that are copied aside; beyond it they are only reported.
const MOST_COPIES: usize = 64;
/// Findings that are kept for `verify`.
const MOST_FINDINGS: usize = 1024;
/// Longest copy of a damaged stretch, bytes.
const LONGEST_COPY: usize = 1 << 20;
/// Folder of the copies.
pub(super) const QUARANTINE: &str = "quarantine";

/// Damage as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub first: Seq,
    pub count: u64,
}

#[derive(Default)]
struct Damage {
    known: BTreeSet<(u64, usize)>,
    quarantined: u64,
    ranges: BTreeMap<Seq, u64>,
    findings: Vec<(u64, Seq, u64, String)>,
    lost: Vec<Lost>,
    copies: usize,
}

impl Damage {
    fn is_known(&self, seq: Seq) -> bool {
        self.ranges.range(..=seq).next_back().is_some_and(|(first, count)| seq - first < *count)
    }
}

/// The segments.
pub(super) struct Log {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    read_only: bool,
    segments: RwLock<Vec<Arc<Segment>>>,
    damage: Mutex<Damage>,
}

impl Log {
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, read_only: bool) -> Self {
        Self { disk, dir: dir.to_owned(), read_only, segments: RwLock::default(), damage: Mutex::default() }
    }

    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn push(&self, segment: Arc<Segment>) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// Takes a segment out of the list.
    pub fn forget(&self, ordinal: u64) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).retain(|segment| segment.ordinal != ordinal);
    }

    /// The newest durable sequence; 0 when empty.
    pub fn last_seq(&self) -> Seq {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).last().map_or(0, |segment| segment.extent().last_seq)
    }

    pub fn first_seq(&self) -> Option<Seq> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).first().map(|segment| segment.first_seq)
    }

    /// Bytes on disk and segments.
    pub fn size(&self) -> (u64, u64) {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        (segments.iter().map(|segment| segment.extent().bytes).sum(), segments.len() as u64)
    }

    fn damage(&self) -> MutexGuard<'_, Damage> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn quarantined(&self) -> u64 {
        self.damage().quarantined
    }

    /// All damage found so far: segment, first sequence, records, what.
    pub fn damaged(&self) -> Vec<(u64, Seq, u64, String)> {
        self.damage().findings.clone()
    }

    /// Damage found since it was last asked for.
    pub fn take_lost(&self) -> Vec<Lost> {
        std::mem::take(&mut self.damage().lost)
    }

    /// Sequences that are missing although they were in the log once. Said once for each place.
    pub fn report_missing(&self, ordinal: u64, at: usize, first: Seq, count: u64, what: &str) {
        let mut damage = self.damage();
        if !damage.known.insert((ordinal, at)) {
            return;
        }
        damage.quarantined += count.max(1);
        if damage.findings.len() < MOST_FINDINGS {
            damage.findings.push((ordinal, first, count, what.to_owned()));
        }
        if count > 0 {
            damage.ranges.insert(first, count);
            damage.lost.push(Lost { first, count });
        }
        tracing::error!(segment = ordinal, at, first_seq = first, records = count, "the journal is damaged: {what}");
    }

    /// Copies a damaged stretch aside, for a person; the log itself is left as it is.
    pub fn put_aside(&self, ordinal: u64, at: usize, bytes: &[u8]) {
        let mut damage = self.damage();
        if self.read_only || damage.copies >= MOST_COPIES {
            return;
        }
        damage.copies += 1;
        drop(damage);
        let dir = self.dir.join(QUARANTINE);
        let path = dir.join(format!("{ordinal:08}-{at:08}.bin"));
        let copy = bytes.get(..bytes.len().min(LONGEST_COPY)).unwrap_or_default();
        let done = self.disk.create_dir(&dir).and_then(|()| self.disk.create(&path)).and_then(|file| {
            write_all(file.as_ref(), copy, 0)?;
            file.sync_data()?;
            self.disk.sync_dir(&dir)
        });
        match done {
            Ok(()) => tracing::warn!(path = %path.display(), bytes = bytes.len(), "damaged bytes were copied aside"),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => tracing::warn!(path = %path.display(), %error, "damaged bytes could not be copied aside"),
        }
    }

    fn note_step(&self, segment: &Segment, base: usize, bytes: &[u8], step: &Step<'_>) {
        match *step {
            Step::Damage { at, end, first, missing } => {
                self.report_missing(segment.ordinal, base + at, first, missing, "records do not check out");
                self.put_aside(segment.ordinal, base + at, bytes.get(at..end).unwrap_or_default());
            }
            Step::Tail { at } => self.put_aside(segment.ordinal, base + at, bytes.get(at..).unwrap_or_default()),
            Step::Record(_) => {}
        }
    }

    /// Reads a whole segment, gives each record to `each`, and draws the segment's map if it has none. Damage is given to `lost`.
    pub fn scan(
        &self,
        segment: &Segment,
        mut each: impl FnMut(&Frame<'_>) -> ControlFlow<()>,
        mut lost: impl FnMut(Seq, u64),
    ) -> io::Result<ControlFlow<()>> {
        let (extent, draw) = (segment.extent(), !segment.is_mapped());
        let bytes = match self.disk.open(&segment.path, Access::Read) {
            Ok(file) => read_up_to(file.as_ref(), 0, extent.end)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut walk = Walk::new(&bytes, DATA_START, segment.salt, segment.first_seq, extent.last_seq);
        let mut map = Map::default();
        for step in walk.by_ref() {
            self.note_step(segment, 0, &bytes, &step);
            match step {
                Step::Record(frame) => {
                    if draw {
                        map.add(place(&frame));
                    }
                    if each(&frame).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Step::Damage { first, missing, .. } => lost(first, missing),
                Step::Tail { .. } => {}
            }
        }
        let (expected, at) = (walk.expected(), walk.at());
        if expected <= extent.last_seq {
            let missing = extent.last_seq - expected + 1;
            self.report_missing(segment.ordinal, at, expected, missing, "its last records are missing");
            lost(expected, missing);
        }
        // The one that is being written draws its own; one that grew meanwhile is drawn next time.
        if draw && segment.extent().last_seq == extent.last_seq {
            segment.set_map(map, at.max(DATA_START));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Draws a segment's map if it has none.
    pub fn map(&self, segment: &Segment) -> io::Result<()> {
        if segment.is_mapped() {
            return Ok(());
        }
        self.scan(segment, |_| ControlFlow::Continue(()), |_, _| {}).map(|_| ())
    }

    /// Gives the records from `from` on to `each`, until it has enough.
    pub fn read(&self, from: Seq, mut each: impl FnMut(&Frame<'_>) -> ControlFlow<()>) -> io::Result<()> {
        for segment in self.segments() {
            if segment.extent().last_seq < from {
                continue;
            }
            self.map(&segment)?;
            let start = from.max(segment.first_seq);
            let mut mark = segment.mark_for(start).or_else(|| segment.mark_at(0));
            while let Some(here) = mark {
                let end = segment.end_of(here);
                if self.stretch(&segment, here, end, |frame| if frame.seq < from { ControlFlow::Continue(()) } else { each(frame) })?.is_break() {
                    return Ok(());
                }
                mark = segment.mark_at(end);
            }
        }
        Ok(())
    }

    /// The record with this sequence.
    pub fn get<T>(&self, seq: Seq, take: impl FnOnce(&Frame<'_>) -> T) -> io::Result<Option<T>> {
        let Some(segment) = self.find(seq) else { return Ok(None) };
        self.map(&segment)?;
        let Some(mark) = segment.mark_for(seq) else { return Ok(None) };
        let (mut take, mut taken) = (Some(take), None);
        let _ = self.stretch(&segment, mark, segment.end_of(mark), |frame| {
            if frame.seq == seq {
                taken = take.take().map(|take| take(frame));
            }
            if frame.seq >= seq { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if taken.is_none() && !self.damage().is_known(seq) {
            self.report_missing(segment.ordinal, mark.at + usize::try_from(seq - mark.seq).unwrap_or(0), seq, 1, "a record no longer checks out");
        }
        Ok(taken)
    }

    /// Walks one stretch of a segment.
    pub fn stretch(
        &self,
        segment: &Segment,
        mark: super::segment::Mark,
        end: usize,
        mut each: impl FnMut(&Frame<'_>) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let bytes = match self.disk.open(&segment.path, Access::Read) {
            Ok(file) => read_up_to(file.as_ref(), mark.at as u64, end.saturating_sub(mark.at))?,
            // Retention took it between the look-up and the reading.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
            Err(error) => return Err(error),
        };
        for step in Walk::new(&bytes, 0, segment.salt, mark.seq, segment.extent().last_seq) {
            self.note_step(segment, mark.at, &bytes, &step);
            if let Step::Record(frame) = step
                && each(&frame).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    pub fn find(&self, seq: Seq) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let behind = segments.partition_point(|segment| segment.first_seq <= seq);
        segments.get(behind.checked_sub(1)?).filter(|segment| segment.extent().last_seq >= seq).cloned()
    }
}

/// What a map keeps of a record.
pub(super) fn place(frame: &Frame<'_>) -> Place {
    Place { seq: frame.seq, at: frame.at, order: job_of(frame.flags).map(|_| frame.order) }
}
