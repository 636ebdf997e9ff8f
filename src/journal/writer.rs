//! The one place that writes the log: commits, new segments, and what to do when the disk refuses.
//!
//! A commit is one write and one sync. When either fails, the segment is sealed at its last good sync and the commit goes once more into a new segment,
//! whose header makes void what may have got into the old one; when that fails, too, the appends are told so, and the next commit tries a new segment
//! again. Never: a sync tried twice; a record acknowledged from a segment that failed.

use std::io;
use std::sync::Arc;

use crate::clock::SharedClock;
use crate::domain::Seq;
use crate::flow::{self, CrmPolicy};

use super::disk::{DiskFile, write_all};
use super::format::{
    BEGINS_COMMIT, BLOCK, DATA_START, ENDS_APPEND, FROM_DEVICE, FROM_DOOR, HEAD, Head, JOB_CRM, JOB_LIME, MAX_PAYLOAD, SegmentHeader, file_name,
    frame_len, push_frame,
};
use super::log::Log;
use super::record::Record;
use super::segment::{Extent, Map, Place, Segment};
use super::state::{Carried, job_flag, job_of, kind_of};
use super::store::AppendError;
use super::{format, reserve::Reserve};

/// Most bytes of one commit: what a slow card writes in a fraction of a second.
const MOST_COMMIT: usize = 1 << 20;

/// What is to be written in one append.
pub(super) enum Payload {
    /// New records.
    New(Vec<Record>),
    /// Records that are still needed, from a segment that goes.
    Carry(Vec<Carried>),
}

/// One record of a commit.
pub(super) struct Item {
    pub head: Head,
    /// Where its payload stands in the batch.
    from: usize,
    to: usize,
}

/// One append on its way.
pub(super) struct Append {
    pub payload: Payload,
    /// Heads of the records, once they are written.
    pub done: Option<Result<Vec<Head>, AppendError>>,
}

impl Append {
    pub fn new(payload: Payload) -> Self {
        Self { payload, done: None }
    }

    fn has_fact(&self) -> bool {
        matches!(&self.payload, Payload::New(records) if records.iter().any(is_new_fact))
    }
}

/// What a full journal refuses. Not the pass that closes a visit: that one was taken already.
fn is_new_fact(record: &Record) -> bool {
    match record {
        Record::Pass(pass) => pass.door.is_none(),
        Record::Visit(_) => true,
        _ => false,
    }
}

struct Current {
    file: Box<dyn DiskFile>,
    segment: Arc<Segment>,
    salt: u32,
    reserved: usize,
    /// End of the records.
    at: usize,
    /// What stands in the last block before `at`.
    tail: Vec<u8>,
}

/// Where the writer stands when the journal is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub ordinal: u64,
    pub next_seq: Seq,
    pub last_seq: Seq,
    pub passes: u64,
}

/// Trouble and its history, for status.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    pub failing: Option<String>,
    pub failures: u64,
    pub full: bool,
}

/// Writes the log.
pub(super) struct Writer {
    log: Arc<Log>,
    clock: SharedClock,
    crm: CrmPolicy,
    segment_bytes: u64,
    /// Facts may make the log this long.
    fact_limit: u64,
    reserve: Reserve,
    current: Option<Current>,
    start: Start,
    rolled: bool,
    pub trouble: Trouble,
}

struct Batch {
    bytes: Vec<u8>,
    items: Vec<Item>,
    passes: u64,
}

impl Writer {
    pub fn new(log: Arc<Log>, clock: SharedClock, crm: CrmPolicy, segment_bytes: u64, budget_bytes: u64, reserve: Reserve, start: Start) -> Self {
        let fact_limit = budget_bytes.saturating_sub(2 * segment_bytes);
        Self { log, clock, crm, segment_bytes, fact_limit, reserve, current: None, start, rolled: false, trouble: Trouble::default() }
    }

    pub fn last_seq(&self) -> Seq {
        self.start.last_seq
    }

    pub fn passes(&self) -> u64 {
        self.start.passes
    }

    /// A new segment was begun since this was last asked.
    pub fn take_rolled(&mut self) -> bool {
        std::mem::take(&mut self.rolled)
    }

    /// Ordinal of the segment that is being written.
    pub fn current_ordinal(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.segment.ordinal)
    }

    /// Writes appends, as many as fit in each commit; each is told its end in `done`.
    pub fn commit(&mut self, appends: &mut [Append]) {
        let mut rest = appends;
        while !rest.is_empty() {
            let (count, batch) = self.gather(rest);
            let (group, others) = rest.split_at_mut(count.max(1));
            match (count, group) {
                (0, [first, ..]) => self.commit_in_new_segment(first),
                (_, group) => self.finish(group, batch),
            }
            rest = others;
        }
    }

    /// Encodes the appends that fit behind the current end.
    fn gather(&self, appends: &mut [Append]) -> (usize, Batch) {
        let mut batch = Batch { bytes: Vec::new(), items: Vec::new(), passes: self.start.passes };
        let room = self.current.as_ref().map_or(0, |current| current.reserved - current.at);
        let (mut used, mut count) = (0, 0);
        for append in appends {
            let (items, bytes, passes) = (batch.items.len(), batch.bytes.len(), batch.passes);
            self.encode(append, &mut batch);
            let size: usize = batch.items.get(items..).unwrap_or_default().iter().map(|item| frame_len(item.to - item.from)).sum();
            let too_much = count > 0 && used + size > MOST_COMMIT;
            if used + size > room || too_much {
                batch.items.truncate(items);
                batch.bytes.truncate(bytes);
                batch.passes = passes;
                break;
            }
            used += size;
            count += 1;
        }
        (count, batch)
    }

    /// The append that did not fit: a new segment for it, if it may have one.
    fn commit_in_new_segment(&mut self, append: &mut Append) {
        let mut batch = Batch { bytes: Vec::new(), items: Vec::new(), passes: self.start.passes };
        self.encode(append, &mut batch);
        if batch.items.iter().any(|item| item.to - item.from > MAX_PAYLOAD) {
            append.done = Some(Err(AppendError::Disk(format!("a record may take {MAX_PAYLOAD} bytes"))));
            return;
        }
        let size: usize = batch.items.iter().map(|item| frame_len(item.to - item.from)).sum();
        let fact = append.has_fact();
        if fact && self.log.size().0 + self.segment_bytes > self.fact_limit {
            self.trouble.full = true;
            self.rolled = true;
            append.done = Some(Err(AppendError::Full));
            return;
        }
        self.trouble.full = false;
        match self.roll(size, fact) {
            Ok(()) => self.finish(std::slice::from_mut(append), batch),
            Err(error) => append.done = Some(Err(self.refused(&error))),
        }
    }

    fn encode(&self, append: &mut Append, batch: &mut Batch) {
        let first = batch.items.len();
        match &mut append.payload {
            Payload::New(records) => {
                for record in records {
                    self.encode_record(record, batch);
                }
            }
            Payload::Carry(carried) => {
                for record in carried {
                    // With the job's flag and key, so that a guest's queue finds it.
                    batch.push(format::CARRIED, record.flags & (JOB_LIME | JOB_CRM), record.order, record);
                }
            }
        }
        let base = self.start.next_seq;
        for (offset, item) in batch.items.iter_mut().enumerate().skip(first) {
            item.head.seq = base + offset as u64;
        }
        if let Some(last) = batch.items.get_mut(first..).and_then(<[Item]>::last_mut) {
            last.head.flags |= ENDS_APPEND;
        }
    }

    fn encode_record(&self, record: &mut Record, batch: &mut Batch) {
        let (mut flags, mut order) = (0, 0);
        if let Some((to, key)) = flow::job_at(record, self.crm) {
            (flags, order) = (job_flag(to), key.0);
        }
        if let Record::Pass(pass) = record {
            if pass.device.is_some() {
                flags |= FROM_DEVICE;
            }
            if pass.door.is_some() {
                flags |= FROM_DOOR;
            }
            batch.passes += 1;
            pass.number = batch.passes;
        }
        batch.push(kind_of(record), flags, order, record);
    }

    /// Writes a batch; on trouble once more in a new segment.
    fn finish(&mut self, group: &mut [Append], batch: Batch) {
        let mut written = self.write(&batch);
        if let Err(error) = &written {
            self.seal_failed(error);
            let size: usize = batch.items.iter().map(|item| frame_len(item.to - item.from)).sum();
            let fact = group.iter().any(Append::has_fact);
            written = self.roll(size, fact).and_then(|()| self.write(&batch));
        }
        match written {
            Ok(()) => self.accepted(group, batch),
            Err(error) => {
                let refused = self.refused(&error);
                self.abandon();
                // These sequences may stand in a file somewhere: they are never given to anyone again.
                self.start.next_seq += batch.items.len() as u64;
                for append in group {
                    append.done = Some(Err(refused.clone()));
                }
            }
        }
    }

    fn accepted(&mut self, group: &mut [Append], batch: Batch) {
        self.start.passes = batch.passes;
        self.start.next_seq += batch.items.len() as u64;
        self.start.last_seq = self.start.next_seq - 1;
        if self.trouble.failing.take().is_some() {
            tracing::info!("the journal writes again");
        }
        let mut heads = batch.items.into_iter().map(|item| item.head);
        for append in group {
            let count = match &append.payload {
                Payload::New(records) => records.len(),
                Payload::Carry(records) => records.len(),
            };
            append.done = Some(Ok(heads.by_ref().take(count).collect()));
        }
    }

    /// One write of whole blocks and one sync.
    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Err(io::Error::other("no segment is open")) };
        let begin = current.at - current.tail.len();
        let mut bytes = current.tail.clone();
        let mut places = Vec::with_capacity(batch.items.len());
        for (index, item) in batch.items.iter().enumerate() {
            let mut head = item.head;
            if index == 0 {
                head.flags |= BEGINS_COMMIT;
            }
            places.push(Place { seq: head.seq, at: begin + bytes.len(), order: job_of(head.flags).map(|_| head.order) });
            push_frame(&mut bytes, current.salt, head, batch.bytes.get(item.from..item.to).unwrap_or_default());
        }
        let end = begin + bytes.len();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        write_all(current.file.as_ref(), &bytes, begin as u64)?;
        current.file.sync_data()?;
        current.tail = bytes.get(end / BLOCK * BLOCK - begin..end - begin).unwrap_or_default().to_vec();
        current.at = end;
        current.segment.grow(&places, end);
        Ok(())
    }

    fn seal_failed(&mut self, error: &io::Error) {
        self.trouble.failures += 1;
        // Said once for each trouble, not for each append that meets it.
        if self.trouble.failing.is_none() {
            self.say_sealed(error);
        }
        self.trouble.failing = Some(error.to_string());
        self.abandon();
    }

    fn say_sealed(&self, error: &io::Error) {
        tracing::error!(%error, segment = self.current_ordinal(), "the journal cannot write; the segment is sealed at its last good sync");
    }

    /// The current segment is written no more. One that holds nothing goes at once, so that a disk that keeps failing does not fill up with them.
    fn abandon(&mut self) {
        let Some(old) = self.current.take() else { return };
        if old.segment.extent().last_seq < old.segment.first_seq {
            self.log.forget(old.segment.ordinal);
            if let Err(error) = self.log.disk.remove(&old.segment.path) {
                tracing::warn!(%error, path = %old.segment.path.display(), "a segment that was never used could not be removed");
            }
            return;
        }
        // The next segment's header makes the rest void. Wiping it too, as far as the disk lets us, keeps it from coming back if the power goes first.
        let zeros = vec![0; old.at.next_multiple_of(BLOCK) - old.at];
        let wiped = write_all(old.file.as_ref(), &zeros, old.at as u64)
            .and_then(|()| old.file.set_len(old.at.next_multiple_of(BLOCK) as u64))
            .and_then(|()| old.file.sync_data());
        match wiped {
            Ok(()) => old.segment.set_bytes(old.at.next_multiple_of(BLOCK) as u64),
            Err(error) => tracing::debug!(%error, "what was not acknowledged could not be wiped"),
        }
    }

    fn refused(&mut self, error: &io::Error) -> AppendError {
        if self.trouble.failing.is_none() {
            tracing::error!(%error, "the journal cannot write");
        }
        self.trouble.failing = Some(error.to_string());
        AppendError::Disk(error.to_string())
    }

    /// Begins a new segment with room for `size` bytes of records. Facts do not get the reserve: it is for what settles them.
    fn roll(&mut self, size: usize, fact: bool) -> io::Result<()> {
        self.rolled = true;
        let least = (DATA_START + size + HEAD).next_multiple_of(BLOCK) as u64;
        let wanted = self.segment_bytes.max(least);
        if fact {
            self.reserve.make()?;
        }
        let opened = match self.begin_segment(wanted) {
            Err(error) if !fact && error.kind() == io::ErrorKind::StorageFull => {
                self.reserve.free();
                self.begin_segment(wanted).or_else(|_| self.begin_segment(least))
            }
            Err(error) => {
                self.trouble.failures += 1;
                if self.trouble.failing.is_none() {
                    tracing::warn!(%error, "a segment could not be begun; trying once more");
                }
                self.begin_segment(wanted)
            }
            opened => opened,
        };
        // Where there is no new one, the old one may still have room for a shorter append.
        if let Some(old) = self.current.replace(opened?) {
            Self::trim(&old);
        }
        // Made again as soon as there is room.
        let _ = self.reserve.make();
        Ok(())
    }

    /// Gives back the space that a full segment did not need. What it holds is synced, so a failure only costs the space.
    fn trim(old: &Current) {
        let used = old.at.next_multiple_of(BLOCK) as u64;
        if used < old.reserved as u64 && old.file.set_len(used).is_ok() {
            old.segment.set_bytes(used);
        }
    }

    fn begin_segment(&mut self, reserved: u64) -> io::Result<Current> {
        let stamp = self.clock.stamp();
        let ordinal = self.start.ordinal;
        self.start.ordinal += 1;
        let mut salted = ordinal.to_le_bytes().to_vec();
        salted.extend_from_slice(stamp.boot.0.as_bytes());
        salted.extend_from_slice(&stamp.boot_ms.to_le_bytes());
        salted.extend_from_slice(&stamp.wall_ms.to_le_bytes());
        let salt = crc32c::crc32c(&salted);
        let header = SegmentHeader {
            ordinal,
            first_seq: self.start.next_seq,
            after_seq: self.start.last_seq,
            passes_before: self.start.passes,
            reserved,
            salt,
            stamp,
        };
        let path = self.log.dir.join(file_name(ordinal, header.first_seq, salt));
        let file = self.log.disk.create(&path)?;
        let made = file
            .preallocate(reserved)
            .and_then(|()| write_all(file.as_ref(), &header.encode(), 0))
            .and_then(|()| file.sync_data())
            .and_then(|()| self.log.disk.sync_dir(&self.log.dir));
        if let Err(error) = made {
            if self.log.disk.remove(&path).is_err() {
                tracing::warn!(path = %path.display(), "a segment that was never used could not be removed");
            }
            return Err(error);
        }
        let extent = Extent { last_seq: header.first_seq - 1, end: DATA_START, bytes: reserved };
        let segment = Arc::new(Segment::new(path, ordinal, salt, header.first_seq, Some(stamp), extent, Some(Map::default())));
        self.log.push(Arc::clone(&segment));
        let reserved = usize::try_from(reserved).unwrap_or(usize::MAX);
        Ok(Current { file, segment, salt, reserved, at: DATA_START, tail: Vec::new() })
    }

    /// At a clean stop: the last segment gives back what it did not need.
    pub fn close(&mut self) {
        if let Some(current) = self.current.take() {
            Self::trim(&current);
        }
    }
}

impl Batch {
    fn push(&mut self, kind: u8, flags: u8, order: u32, record: &impl minicbor::Encode<()>) {
        let from = self.bytes.len();
        // Writing to a Vec cannot fail.
        let _ = minicbor::encode(record, &mut self.bytes);
        self.items.push(Item { head: Head { seq: 0, kind, flags, order }, from, to: self.bytes.len() });
    }
}
