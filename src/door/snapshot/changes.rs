//! The changes since the file: a log beside it, so that a delta costs what it says and not the whole file again.
//!
//! It names the file that it belongs to. Each frame is a delta with all that is known afterwards, or, without changes, that Lime has confirmed the snapshot.
//! Read back, it ends at the first frame that is torn or damaged: what is lost makes the snapshot older, never wrong, and Lime is asked from there.
//!
//! Never: a frame after one that may not be on disk.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::base::Meta;
use super::media::Hash;

const MAGIC: &[u8; 8] = b"LGCHNG1\n";
const HEAD: usize = 16;

/// One medium's change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Change {
    /// The medium.
    #[n(0)]
    pub hash: Hash,
    /// Its holder as CBOR; none: it is not known any more.
    #[n(1)]
    pub holder: Option<ByteVec>,
}

/// What one answer of Lime changed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Frame {
    /// What holds afterwards.
    #[n(0)]
    pub meta: Meta,
    /// The media.
    #[n(1)]
    pub changes: Vec<Change>,
}

/// The log, open for appending.
#[derive(Debug)]
pub struct Changes {
    file: File,
    bytes: u64,
}

impl Changes {
    /// Begins an empty log for the file of this id.
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin(path: &Path, base: [u8; 8]) -> io::Result<Self> {
        let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
        let head: Vec<u8> = MAGIC.iter().copied().chain(base).collect();
        file.write_all(&head)?;
        file.sync_all()?;
        Ok(Self { file, bytes: HEAD as u64 })
    }

    /// Opens the log of the file of this id and hands over its frames. What cannot be read is cut off; true: there was some. A log of another file is begun anew.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(path: &Path, base: [u8; 8], mut each: impl FnMut(Frame)) -> io::Result<(Self, bool)> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(LOG_LIMIT * 2).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let head: Vec<u8> = MAGIC.iter().copied().chain(base).collect();
        let Some(mut rest) = bytes.strip_prefix(head.as_slice()) else { return Ok((Self::begin(path, base)?, false)) };
        while let Some((frame, after)) = frame(rest) {
            each(frame);
            rest = after;
        }
        let whole = (bytes.len() - rest.len()) as u64;
        let file = std::fs::OpenOptions::new().append(true).open(path)?;
        if !rest.is_empty() {
            file.set_len(whole)?;
            file.sync_all()?;
        }
        Ok((Self { file, bytes: whole }, !rest.is_empty()))
    }

    /// Appends a frame, durably.
    ///
    /// # Errors
    /// What the disk says. The log must not be used after that.
    pub fn append(&mut self, frame: &Frame) -> io::Result<()> {
        let payload = minicbor::to_vec(frame).map_err(|_| io::Error::other("a frame cannot be written"))?;
        let length = u32::try_from(payload.len()).map_err(|_| io::Error::other("a frame is too long"))?;
        let mut bytes = Vec::with_capacity(payload.len() + 8);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// It has become so long that the file should be written anew.
    #[must_use]
    pub fn long(&self) -> bool {
        self.bytes > LOG_LIMIT
    }
}

/// A longer log is folded into the file.
pub const LOG_LIMIT: u64 = 4 * 1024 * 1024;

fn frame(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (payload, after) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    if crc32c::crc32c(payload) != u32::from_le_bytes(*crc) {
        return None;
    }
    Some((minicbor::decode(payload).ok()?, after))
}
