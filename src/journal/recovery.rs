//! Finding the log's end when the journal is opened: which segments are there, what counts in each, and whether the last commit is whole.
//!
//! Headers only, but for the last segment: opening does not depend on how long the log is.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::domain::{Seq, Stamp};

use super::disk::{Access, Disk, read_up_to};
use super::format::{BEGINS_COMMIT, BLOCK, DATA_START, ENDS_APPEND, Frame, SegmentHeader, Step, Walk, parse_name};
use super::log::{Log, place};
use super::record::Record;
use super::segment::{Extent, Map, Segment};
use super::state::kind;
use super::tip::Tip;
use super::writer::Start;

/// What was found.
pub(super) struct Found {
    pub start: Start,
    /// Bytes behind the log's end that were cut off: a commit that a power cut interrupted, most likely.
    pub torn: u64,
}

struct Candidate {
    path: std::path::PathBuf,
    ordinal: u64,
    first_seq: Seq,
    salt: u32,
    header: Option<SegmentHeader>,
    bytes: u64,
}

/// Reads the folder and fills the log's list of segments.
pub(super) fn recover(log: &Log, read_only: bool) -> io::Result<Found> {
    let disk = log.disk.as_ref();
    let tip = Tip::read(disk, &log.dir);
    let mut candidates = candidates(disk, &log.dir)?;
    let next_ordinal = candidates.last().map_or(1, |last| last.ordinal + 1);
    drop_unused(disk, &mut candidates, read_only);
    for (candidate, next) in candidates.iter().zip(candidates.iter().skip(1)) {
        let after = next.header.map_or(next.first_seq.saturating_sub(1), |header| header.after_seq);
        let last_seq = after.max(candidate.first_seq.saturating_sub(1));
        let end = usize::try_from(candidate.bytes).unwrap_or(usize::MAX);
        push(log, candidate, Extent { last_seq, end, bytes: candidate.bytes }, None);
    }
    let empty = Start { ordinal: next_ordinal, next_seq: tip.last_seq + 1, last_seq: tip.last_seq, passes: tip.passes };
    let Some(last) = candidates.last() else {
        if tip.last_seq > 0 {
            log.report_missing(0, 0, 1, tip.last_seq, "all of its segments are gone");
        }
        return Ok(Found { start: empty, torn: 0 });
    };
    let end = end_of(log, last, tip)?;
    push(log, last, Extent { last_seq: end.last_seq, end: end.at, bytes: last.bytes }, Some(end.map));
    if end.torn > 0 {
        tracing::warn!(
            segment = last.ordinal,
            bytes = end.torn,
            last_seq = end.last_seq,
            "the journal's end was torn, as by a power cut; what was not acknowledged is cut off"
        );
    }
    if !read_only {
        trim(log, last, end.at);
    }
    let last_seq = log.last_seq().max(end.last_seq);
    let next_seq = end.next_seq.max(tip.last_seq + 1);
    let passes = end.passes.max(tip.passes);
    Ok(Found { start: Start { ordinal: next_ordinal, next_seq, last_seq: last_seq.max(tip.last_seq), passes }, torn: end.torn })
}

fn push(log: &Log, from: &Candidate, extent: Extent, map: Option<Map>) {
    let stamp: Option<Stamp> = from.header.map(|header| header.stamp);
    log.push(Arc::new(Segment::new(from.path.clone(), from.ordinal, from.salt, from.first_seq, stamp, extent, map)));
}

fn candidates(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for name in disk.list(dir)? {
        let Some((ordinal, first_seq, salt)) = parse_name(&name) else { continue };
        let path = dir.join(&name);
        let file = disk.open(&path, Access::Read)?;
        let head = read_up_to(file.as_ref(), 0, DATA_START)?;
        let (one, other) = (SegmentHeader::decode(&head), head.get(BLOCK..).and_then(SegmentHeader::decode));
        if one != other {
            tracing::warn!(path = %path.display(), "one copy of the segment's header is damaged; the other is used");
        } else if one.is_none() && head.iter().any(|byte| *byte != 0) {
            tracing::warn!(path = %path.display(), "the segment's header is damaged; its name is used");
        }
        let header = one.or(other);
        found.push(Candidate { path, ordinal, first_seq, salt, header, bytes: file.len()? });
    }
    found.sort_by_key(|candidate| candidate.ordinal);
    Ok(found)
}

/// Removes the last segments as long as they hold nothing: they were begun and never used.
fn drop_unused(disk: &dyn Disk, candidates: &mut Vec<Candidate>, read_only: bool) {
    while let Some(last) = candidates.last() {
        let blank = disk
            .open(&last.path, Access::Read)
            .and_then(|file| read_up_to(file.as_ref(), DATA_START as u64, usize::try_from(last.bytes).unwrap_or(usize::MAX)))
            .is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0));
        // One with a header stays: it says what is void in the segment before it.
        if !blank || last.header.is_some() {
            return;
        }
        if !read_only && let Err(error) = disk.remove(&last.path) {
            tracing::warn!(%error, path = %last.path.display(), "an empty segment could not be removed");
        }
        candidates.pop();
    }
}

struct End {
    last_seq: Seq,
    next_seq: Seq,
    passes: u64,
    at: usize,
    torn: u64,
    map: Map,
}

/// Where the log ends in its last segment.
fn end_of(log: &Log, last: &Candidate, tip: Tip) -> io::Result<End> {
    let file = log.disk.open(&last.path, Access::Read)?;
    let bytes = read_up_to(file.as_ref(), 0, usize::try_from(last.bytes).unwrap_or(usize::MAX))?;
    let steps: Vec<Step<'_>> = Walk::new(&bytes, DATA_START, last.salt, last.first_seq, Seq::MAX).collect();
    let kept = whole(&steps, tip.last_seq);
    let mut end = End {
        last_seq: last.first_seq - 1,
        next_seq: last.first_seq,
        passes: last.header.map_or(tip.passes, |header| header.passes_before),
        at: DATA_START,
        torn: 0,
        map: Map::default(),
    };
    for step in steps.get(..kept).unwrap_or_default() {
        match step {
            Step::Record(frame) => end.take(frame),
            Step::Damage { at, end: to, first, missing } => {
                log.report_missing(last.ordinal, *at, *first, *missing, "records do not check out");
                log.put_aside(last.ordinal, *at, bytes.get(*at..*to).unwrap_or_default());
                // The lost ones may have been passes: their numbers are not given again.
                end.passes += missing;
            }
            Step::Tail { .. } => {}
        }
    }
    let highest = steps.iter().filter_map(|step| if let Step::Record(frame) = step { Some(frame.seq) } else { None }).max();
    end.next_seq = highest.map_or(end.next_seq, |seq| seq + 1).max(end.next_seq);
    let rest = bytes.get(end.at..).unwrap_or_default();
    let used = rest.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    if used > 0 {
        log.put_aside(last.ordinal, end.at, rest.get(..used).unwrap_or_default());
        end.next_seq = end.next_seq.max(end.last_seq + 2);
    }
    if tip.last_seq > end.last_seq {
        let missing = tip.last_seq - end.last_seq;
        log.report_missing(last.ordinal, end.at, end.last_seq + 1, missing, "its last records were durable and are missing");
        end.last_seq = tip.last_seq;
    } else {
        end.torn = used as u64;
    }
    Ok(end)
}

impl End {
    fn take(&mut self, frame: &Frame<'_>) {
        self.last_seq = frame.seq;
        self.next_seq = frame.seq + 1;
        self.at = frame.end;
        self.map.add(place(frame));
        if frame.kind == kind::PASS {
            self.passes = match minicbor::decode(frame.payload) {
                Ok(Record::Pass(pass)) => pass.number,
                _ => self.passes + 1,
            };
        }
    }
}

/// How many of the steps count. All, unless the last commit is not whole: then what it began is cut at the first bad place, back to the end of an
/// append. Up to `durable` everything was synced, so that a bad place there is damage and no torn commit.
fn whole(steps: &[Step<'_>], durable: Seq) -> usize {
    let is_begin = |step: &Step<'_>| matches!(step, Step::Record(frame) if frame.flags & BEGINS_COMMIT != 0 || frame.seq <= durable);
    let last_begin = steps.iter().rposition(is_begin).unwrap_or(0);
    let mut keep = steps.len();
    for (index, step) in steps.iter().enumerate().skip(last_begin) {
        let bad = match step {
            Step::Record(_) => false,
            Step::Damage { first, .. } => *first > durable,
            Step::Tail { .. } => true,
        };
        if bad {
            keep = index;
            break;
        }
    }
    while keep > 0 {
        match steps.get(keep - 1) {
            Some(Step::Record(frame)) if frame.flags & ENDS_APPEND == 0 && frame.seq > durable => keep -= 1,
            _ => break,
        }
    }
    keep
}

/// Gives back what the last segment does not need; the next append begins a new one.
fn trim(log: &Log, last: &Candidate, end: usize) {
    let used = end.next_multiple_of(BLOCK) as u64;
    if used < last.bytes
        && let Ok(file) = log.disk.open(&last.path, Access::Write)
        && file.set_len(used).is_ok()
        && let Some(segment) = log.segments().last()
    {
        segment.set_bytes(used);
    }
}
