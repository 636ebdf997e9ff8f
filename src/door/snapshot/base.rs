//! The snapshot on disk: one file, written once, verified whole when it is opened, looked up in place.
//!
//! ```text
//! magic | holders (CBOR), as they came | index: (hash, place, length, CRC-32C), sorted | meta (CBOR) | index's place, rows, meta's length | SHA-256 | magic
//! ```
//! In memory is the hash of every 64th row. A look-up reads one stretch of the index and one holder: two reads, both from the page cache at a busy gate. So
//! 200 000 media cost some tens of KiB here; building a file costs 32 bytes for each medium, for the time it takes. What the 64 rows do not hold is not known.
//!
//! Never: a file in use that is half written: it is written beside, synced, renamed, and its folder synced; a holder that does not match its checksum.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};
use ring::digest;

use super::age::Fresh;
use super::media::Hash;
use super::terms::Terms;

const MAGIC: &[u8; 8] = b"LGENTL1\n";
const ROW: usize = 32;
/// Rows between two hashes in memory.
const STRETCH: usize = 64;
const FOOTER: usize = 8 + 8 + 4;
const TAIL: usize = FOOTER + 32 + 8;
/// Longest meta that is read back.
const META_LIMIT: u32 = 4 * 1024 * 1024;

/// What is known of the snapshot as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Meta {
    /// Its header.
    #[n(0)]
    pub terms: Terms,
    /// How old it is.
    #[n(1)]
    pub fresh: Fresh,
    /// Lime's `ETag` of the answer that it came by.
    #[n(2)]
    pub etag: Option<String>,
    /// The fingerprint of the key that its media are hashed with.
    #[n(3)]
    pub key: Hash,
    /// The service points it was asked for.
    #[n(4)]
    pub service_points: Vec<String>,
}

/// A file that is open, and whole.
#[derive(Debug)]
pub struct Base {
    file: File,
    stretches: Vec<Hash>,
    rows: u64,
    index_at: u64,
    /// Tells it from another one.
    pub id: [u8; 8],
    /// What it says as a whole.
    pub meta: Meta,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    hash: Hash,
    at: u64,
    /// 0: taken back.
    length: u32,
    crc: u32,
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Row {
    fn bytes(self) -> [u8; ROW] {
        let mut bytes = [0; ROW];
        let parts = self.hash.0.into_iter().chain(self.at.to_le_bytes()).chain(self.length.to_le_bytes()).chain(self.crc.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let hash = Hash(bytes.get(..16)?.try_into().ok()?);
        let at = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
        let length = u32::from_le_bytes(bytes.get(24..28)?.try_into().ok()?);
        let crc = u32::from_le_bytes(bytes.get(28..32)?.try_into().ok()?);
        Some(Self { hash, at, length, crc })
    }
}

impl Base {
    /// Opens a file and verifies all of it.
    ///
    /// # Errors
    /// `InvalidData` when it is damaged, `NotFound` when there is none; else what the disk says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let body = length.checked_sub(TAIL as u64).ok_or_else(|| damaged("it is too short"))?;
        let mut tail = [0; TAIL];
        file.read_exact_at(&mut tail, body)?;
        let (footer, rest) = tail.split_at(FOOTER);
        let (sha, magic) = rest.split_at(32);
        let found = hash_of(&mut file, body + FOOTER as u64)?;
        if magic != MAGIC || found.as_ref() != sha {
            return Err(damaged("its hash is another"));
        }
        let number = |at: usize| footer.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let (Some(index_at), Some(rows)) = (number(0), number(8)) else { return Err(damaged("its footer is odd")) };
        let meta_length = footer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map_or(u32::MAX, u32::from_le_bytes);
        if meta_length > META_LIMIT
            || rows.checked_mul(ROW as u64).and_then(|index| index_at.checked_add(index)) != body.checked_sub(meta_length.into())
        {
            return Err(damaged("its parts do not fit"));
        }
        let mut meta = vec![0; usize::try_from(meta_length).unwrap_or(0)];
        file.read_exact_at(&mut meta, body - u64::from(meta_length))?;
        let meta = minicbor::decode(&meta).map_err(|_| damaged("its meta cannot be read"))?;
        let mut stretches = Vec::new();
        let mut hash = [0; 16];
        for row in (0..rows).step_by(STRETCH) {
            file.read_exact_at(&mut hash, index_at + row * ROW as u64)?;
            stretches.push(Hash(hash));
        }
        let mut id = [0; 8];
        id.iter_mut().zip(sha).for_each(|(to, from)| *to = *from);
        Ok(Self { file, stretches, rows, index_at, id, meta })
    }

    /// How many media it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// A medium's holder, as CBOR.
    ///
    /// # Errors
    /// What the disk says; `InvalidData` when the holder is damaged.
    pub fn get(&self, hash: Hash) -> io::Result<Option<Vec<u8>>> {
        let Some(stretch) = self.stretches.partition_point(|first| *first <= hash).checked_sub(1) else { return Ok(None) };
        let first = stretch as u64 * STRETCH as u64;
        let rows = usize::try_from((self.rows - first).min(STRETCH as u64)).unwrap_or(STRETCH);
        let mut bytes = vec![0; rows * ROW];
        self.file.read_exact_at(&mut bytes, self.index_at + first * ROW as u64)?;
        let row = bytes.chunks_exact(ROW).filter_map(Row::read).find(|row| row.hash == hash);
        row.map(|row| self.holder(row)).transpose()
    }

    /// All of it, in the order of the hashes.
    ///
    /// # Errors
    /// Of each: what the disk says; `InvalidData` when the holder is damaged.
    pub fn all(&self) -> impl Iterator<Item = io::Result<(Hash, Vec<u8>)>> {
        (0..self.rows).map(|row| {
            let mut bytes = [0; ROW];
            self.file.read_exact_at(&mut bytes, self.index_at + row * ROW as u64)?;
            let row = Row::read(&bytes).ok_or_else(|| damaged("a row cannot be read"))?;
            Ok((row.hash, self.holder(row)?))
        })
    }

    fn holder(&self, row: Row) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(row.length).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, row.at)?;
        if crc32c::crc32c(&bytes) == row.crc { Ok(bytes) } else { Err(damaged("a holder's checksum is another")) }
    }
}

fn hash_of(file: &mut File, length: u64) -> io::Result<digest::Digest> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    file.seek(SeekFrom::Start(0))?;
    let mut rest = file.take(length);
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(context.finish()),
            read => context.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// Writes a file, beside the one in use.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    beside: PathBuf,
    path: PathBuf,
    digest: Digest,
    at: u64,
    rows: Vec<Row>,
}

struct Digest(digest::Context);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}

impl Writer {
    /// Begins.
    ///
    /// # Errors
    /// What the disk says.
    pub fn create(path: &Path) -> io::Result<Self> {
        let beside = path.with_extension("new");
        let file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
        let digest = Digest(digest::Context::new(&digest::SHA256));
        let mut writer = Self { file: BufWriter::with_capacity(64 * 1024, file), beside, path: path.to_owned(), digest, at: 0, rows: Vec::new() };
        writer.write(MAGIC)?;
        Ok(writer)
    }

    /// Adds a medium; of one that comes twice the later stays. None: it is not known any more.
    ///
    /// # Errors
    /// What the disk says.
    pub fn put(&mut self, hash: Hash, holder: Option<&[u8]>) -> io::Result<()> {
        let holder = holder.unwrap_or_default();
        let length = u32::try_from(holder.len()).map_err(|_| damaged("a holder is too long"))?;
        self.rows.push(Row { hash, at: self.at, length, crc: crc32c::crc32c(holder) });
        self.write(holder)
    }

    /// Makes it the file in use, durably, and opens it.
    ///
    /// # Errors
    /// What the disk says; the old file is in use still.
    pub fn finish(mut self, meta: &Meta) -> io::Result<Base> {
        let mut rows = std::mem::take(&mut self.rows);
        // Stable: of rows with one hash, the last is the newest.
        rows.sort_by_key(|row| row.hash);
        let index_at = self.at;
        let mut count = 0_u64;
        for (at, row) in rows.iter().enumerate() {
            let newest = rows.get(at + 1).is_none_or(|next| next.hash != row.hash);
            if newest && row.length > 0 {
                self.write(&row.bytes())?;
                count += 1;
            }
        }
        drop(rows);
        let bytes = minicbor::to_vec(meta).map_err(|_| damaged("the meta cannot be written"))?;
        let meta_length = u32::try_from(bytes.len()).map_err(|_| damaged("the meta is too long"))?;
        self.write(&bytes)?;
        self.write(&index_at.to_le_bytes())?;
        self.write(&count.to_le_bytes())?;
        self.write(&meta_length.to_le_bytes())?;
        let sha = self.digest.0.clone().finish();
        self.file.write_all(sha.as_ref())?;
        self.file.write_all(MAGIC)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.beside, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        // Read back and verified: what the card did not keep is not relied on.
        Base::open(&self.path)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.0.update(bytes);
        self.at += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}
