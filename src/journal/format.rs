//! The log on disk: segment files of records. Pure: bytes in, records out.
//!
//! # A segment file
//! Its name is `<ordinal>-<first seq>-<salt>.seg`: the ordinal (8 digits) grows by one from file to file, the first sequence has 20 digits, the salt
//! 8 hex digits. All numbers are little endian.
//!
//! | offset | what |
//! |---|---|
//! | 0 | header, one block of 4 096 bytes |
//! | 4096 | the same header again, so that one bad block does not cost the segment |
//! | 8192 | records, one behind the other, each at a multiple of 8; zeros behind the last |
//!
//! # The header
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `LIMEGATE` |
//! | 8 | 2 | format version, 1 |
//! | 12 | 4 | CRC-32C of bytes 16..112 |
//! | 16 | 8 | ordinal |
//! | 24 | 8 | first sequence of this segment |
//! | 32 | 8 | last sequence of the log before this segment that counts; later ones in earlier segments were never acknowledged and are void, and those between it and the first sequence were never given to anyone |
//! | 40 | 8 | passes numbered before this segment |
//! | 48 | 8 | bytes reserved for the file |
//! | 56 | 4 | salt |
//! | 60 | 4 | 1 when the wall time was synchronised |
//! | 64 | 16 | boot id |
//! | 80 | 8 | boot time, milliseconds |
//! | 88 | 8 | wall time, milliseconds since 1970 UTC |
//!
//! # A record
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of the payload |
//! | 4 | 4 | CRC-32C over length, bytes 8..24 and payload, begun with the segment's salt, so that bytes inside a payload can never pass for a record |
//! | 8 | 8 | sequence |
//! | 16 | 1 | kind: the number of the `Record` variant; 64: carried forward from a segment that was dropped |
//! | 17 | 1 | flags, see the constants |
//! | 20 | 4 | order key of the job that the record makes |
//! | 24 | | payload, CBOR |
//!
//! # Operations
//! A commit is one write of whole blocks, from the block that holds the end of the log, and one `fdatasync`. It begins only when the one before it is
//! synced. So a bad place that is followed by the begin of a commit was once good: it is damage, and reading goes on behind it. A bad place that is
//! not may be a commit that the power cut: in the last segment the log ends there.

use std::ops::RangeInclusive;

use uuid::Uuid;

use crate::domain::{BootId, Seq, Stamp, Sync};

/// What the disk writes at once.
pub const BLOCK: usize = 4096;
/// Where records begin.
pub const DATA_START: usize = 2 * BLOCK;
/// Bytes of a record's head.
pub const HEAD: usize = 24;
/// Longest payload. Far above any record; keeps a damaged length from costing memory.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Flag: the first record of a commit.
pub const BEGINS_COMMIT: u8 = 1;
/// Flag: the last record of an append; appends are all or none.
pub const ENDS_APPEND: u8 = 2;
/// Flag: the record makes a job for Lime.
pub const JOB_LIME: u8 = 4;
/// Flag: the record makes a job for the CRM.
pub const JOB_CRM: u8 = 8;
/// Flag: the record names a device's own record, for deduplication.
pub const FROM_DEVICE: u8 = 16;
/// Flag: the pass closes a visit.
pub const FROM_DOOR: u8 = 32;

/// Kind of a record that was carried forward.
pub const CARRIED: u8 = 64;

const MAGIC: &[u8; 8] = b"LIMEGATE";
const VERSION: u16 = 1;
const SUMMED: std::ops::Range<usize> = 16..112;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Grows by one from file to file.
    pub ordinal: u64,
    /// The first sequence that may be in it.
    pub first_seq: Seq,
    /// The last sequence that counts of those before this segment.
    pub after_seq: Seq,
    /// Passes numbered before this segment.
    pub passes_before: u64,
    /// Bytes reserved for the file.
    pub reserved: u64,
    /// Begins every record's CRC.
    pub salt: u32,
    /// When it was made.
    pub stamp: Stamp,
}

impl SegmentHeader {
    /// Both copies, [`DATA_START`] bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(DATA_START);
        block.extend_from_slice(MAGIC);
        block.extend_from_slice(&VERSION.to_le_bytes());
        block.extend_from_slice(&[0; 6]);
        for number in [self.ordinal, self.first_seq, self.after_seq, self.passes_before, self.reserved] {
            block.extend_from_slice(&number.to_le_bytes());
        }
        block.extend_from_slice(&self.salt.to_le_bytes());
        block.extend_from_slice(&u32::from(self.stamp.sync == Sync::Synced).to_le_bytes());
        block.extend_from_slice(self.stamp.boot.0.as_bytes());
        block.extend_from_slice(&self.stamp.boot_ms.to_le_bytes());
        block.extend_from_slice(&self.stamp.wall_ms.to_le_bytes());
        block.resize(BLOCK, 0);
        let sum = crc32c::crc32c(block.get(SUMMED).unwrap_or_default());
        if let Some(place) = block.get_mut(12..16) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        block.extend_from_within(..);
        block
    }

    /// Reads one copy.
    #[must_use]
    pub fn decode(block: &[u8]) -> Option<Self> {
        if block.get(..8)? != MAGIC || u16_at(block, 8)? != VERSION || u32_at(block, 12)? != crc32c::crc32c(block.get(SUMMED)?) {
            return None;
        }
        Some(Self {
            ordinal: u64_at(block, 16)?,
            first_seq: u64_at(block, 24)?,
            after_seq: u64_at(block, 32)?,
            passes_before: u64_at(block, 40)?,
            reserved: u64_at(block, 48)?,
            salt: u32_at(block, 56)?,
            stamp: Stamp {
                sync: if u32_at(block, 60)? == 1 { Sync::Synced } else { Sync::Unsynced },
                boot: BootId(Uuid::from_slice(block.get(64..80)?).ok()?),
                boot_ms: u64_at(block, 80)?,
                wall_ms: i64::from_le_bytes(block.get(88..96)?.try_into().ok()?),
            },
        })
    }
}

/// A segment file's name.
#[must_use]
pub fn file_name(ordinal: u64, first_seq: Seq, salt: u32) -> String {
    format!("{ordinal:08}-{first_seq:020}-{salt:08x}.seg")
}

/// Ordinal, first sequence and salt of a segment file's name.
#[must_use]
pub fn parse_name(name: &str) -> Option<(u64, Seq, u32)> {
    let mut parts = name.strip_suffix(".seg")?.split('-');
    let ordinal = parts.next()?.parse().ok()?;
    let first_seq = parts.next()?.parse().ok()?;
    let salt = u32::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().is_none().then_some((ordinal, first_seq, salt))
}

/// A record in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Where it begins, from the start of the bytes walked.
    pub at: usize,
    /// Where the next one may begin.
    pub end: usize,
    /// Its sequence.
    pub seq: Seq,
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Order key of the job it makes; 0 without one.
    pub order: u32,
    /// CBOR.
    pub payload: &'a [u8],
}

/// What is said of a record beside its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its sequence.
    pub seq: Seq,
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Order key of the job it makes.
    pub order: u32,
}

/// Adds a record behind `out`, which stands at a multiple of 8.
pub fn push_frame(out: &mut Vec<u8>, salt: u32, head: Head, payload: &[u8]) {
    let at = out.len();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&head.seq.to_le_bytes());
    out.extend_from_slice(&[head.kind, head.flags, 0, 0]);
    out.extend_from_slice(&head.order.to_le_bytes());
    out.extend_from_slice(payload);
    let sum = sum(salt, out.get(at..).unwrap_or_default());
    if let Some(place) = out.get_mut(at + 4..at + 8) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
    out.resize(out.len().next_multiple_of(8), 0);
}

/// Bytes that a record with so long a payload takes.
#[must_use]
pub fn frame_len(payload: usize) -> usize {
    (HEAD + payload).next_multiple_of(8)
}

/// The record that begins at `at`, if one does that checks out.
#[must_use]
pub fn frame_at<'a>(bytes: &'a [u8], at: usize, salt: u32, seqs: &RangeInclusive<Seq>) -> Option<Frame<'a>> {
    let head = bytes.get(at..at.checked_add(HEAD)?)?;
    let length = usize::try_from(u32_at(head, 0)?).ok()?;
    let seq = u64_at(head, 8)?;
    if length > MAX_PAYLOAD || !seqs.contains(&seq) {
        return None;
    }
    let whole = bytes.get(at..at.checked_add(HEAD + length)?)?;
    if sum(salt, whole) != u32_at(head, 4)? {
        return None;
    }
    let (kind, flags) = (*head.get(16)?, *head.get(17)?);
    Some(Frame { at, end: at + frame_len(length), seq, kind, flags, order: u32_at(head, 20)?, payload: whole.get(HEAD..)? })
}

fn sum(salt: u32, frame: &[u8]) -> u32 {
    let (head, rest) = (frame.get(..4).unwrap_or_default(), frame.get(8..).unwrap_or_default());
    crc32c::crc32c_append(crc32c::crc32c_append(salt, head), rest)
}

/// A step of a walk through a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A record that checks out, the next in sequence.
    Record(Frame<'a>),
    /// Bytes that do not check out, up to the next record that does. `missing` are the sequences that stood there.
    Damage {
        /// Where it begins.
        at: usize,
        /// Where the next good record begins.
        end: usize,
        /// First sequence that is missing.
        first: Seq,
        /// How many.
        missing: u64,
    },
    /// Something that is neither a record nor zeros, and no record behind it.
    Tail {
        /// Where it begins.
        at: usize,
    },
}

/// A walk through a segment's records, in order.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    salt: u32,
    expected: Seq,
    last: Seq,
    done: bool,
}

impl<'a> Walk<'a> {
    /// Begins at `at`, where the record `expected` should be. Records after `last` are void and end the walk.
    #[must_use]
    pub fn new(bytes: &'a [u8], at: usize, salt: u32, expected: Seq, last: Seq) -> Self {
        Self { bytes, at, salt, expected, last, done: false }
    }

    /// Where the walk stands: behind the last record it gave.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// The sequence it expects next.
    #[must_use]
    pub fn expected(&self) -> Seq {
        self.expected
    }

    fn take(&mut self, frame: Frame<'a>) -> Step<'a> {
        self.at = frame.end;
        self.expected = frame.seq.saturating_add(1);
        Step::Record(frame)
    }

    /// The next record that checks out, behind a bad place. Records that may follow are bounded by the bytes that are left.
    fn resync(&self) -> Option<Frame<'a>> {
        let left = (self.bytes.len().saturating_sub(self.at) / HEAD) as u64;
        let seqs = self.expected..=self.expected.saturating_add(left).min(self.last);
        (self.at..self.bytes.len()).step_by(8).find_map(|at| frame_at(self.bytes, at, self.salt, &seqs))
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        if self.done || self.expected > self.last {
            return None;
        }
        if let Some(frame) = frame_at(self.bytes, self.at, self.salt, &(self.expected..=self.expected)) {
            return Some(self.take(frame));
        }
        if let Some(frame) = self.resync() {
            let (at, first) = (self.at, self.expected);
            self.at = frame.at;
            self.expected = frame.seq;
            return Some(Step::Damage { at, end: frame.at, first, missing: frame.seq - first });
        }
        self.done = true;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        rest.iter().any(|byte| *byte != 0).then_some(Step::Tail { at: self.at })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for seq in 1..=count {
            let head = Head { seq, kind: 0, flags: BEGINS_COMMIT | ENDS_APPEND, order: 7 };
            push_frame(&mut bytes, 9, head, &vec![u8::try_from(seq).unwrap(); 10 + usize::try_from(seq).unwrap()]);
        }
        bytes.resize(bytes.len() + 200, 0);
        bytes
    }

    fn seqs(bytes: &[u8]) -> Vec<Seq> {
        Walk::new(bytes, 0, 9, 1, Seq::MAX).filter_map(|step| if let Step::Record(frame) = step { Some(frame.seq) } else { None }).collect()
    }

    #[test]
    fn records_are_read_back_as_written() {
        assert_eq!(seqs(&log(5)), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_costs_one_record_at_most() {
        let whole = log(4);
        let used = whole.len() - 200;
        for bit in 0..used * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let steps: Vec<Step> = Walk::new(&bytes, 0, 9, 1, Seq::MAX).collect();
            let read = steps.iter().filter(|step| matches!(step, Step::Record(_))).count();
            let padding = read == 4;
            assert!(padding || (read == 3 && steps.len() == 4), "bit {bit}: {steps:?}");
        }
    }

    #[test]
    fn a_record_inside_a_payload_is_not_taken_for_one() {
        let mut inner = Vec::new();
        push_frame(&mut inner, 8, Head { seq: 2, kind: 0, flags: 0, order: 0 }, b"forged");
        let mut bytes = Vec::new();
        push_frame(&mut bytes, 9, Head { seq: 1, kind: 0, flags: 0, order: 0 }, &inner);
        bytes[8] ^= 1;
        assert_eq!(seqs(&bytes), Vec::<Seq>::new());
    }

    #[test]
    fn a_header_survives_the_loss_of_one_copy() {
        let header = SegmentHeader {
            ordinal: 3,
            first_seq: 10,
            after_seq: 8,
            passes_before: 4,
            reserved: 1 << 20,
            salt: 77,
            stamp: Stamp { boot: BootId(Uuid::from_u128(5)), boot_ms: 6, wall_ms: -7, sync: Sync::Unsynced },
        };
        let bytes = header.encode();
        assert_eq!(bytes.len(), DATA_START);
        assert_eq!(SegmentHeader::decode(&bytes), Some(header));
        assert_eq!(SegmentHeader::decode(&bytes[BLOCK..]), Some(header));
        assert_eq!(parse_name(&file_name(3, 10, 77)), Some((3, 10, 77)));
    }
}
