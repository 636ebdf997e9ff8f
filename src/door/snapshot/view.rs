//! The snapshot as it is looked up: the file, and over it the changes since.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::base::{Base, Meta};
use super::changes::Frame;
use super::media::Hash;
use super::terms::Holder;

/// More changes, or more bytes of them, are folded into the file.
const CHANGES_LIMIT: usize = 20_000;
const BYTES_LIMIT: usize = 4 * 1024 * 1024;

/// What is looked up in. Cheap to clone but for the changes, of which there are few.
#[derive(Clone, Debug, Default)]
pub struct View {
    base: Option<Arc<Base>>,
    changes: HashMap<Hash, Option<Box<[u8]>>>,
    bytes: usize,
    meta: Option<Meta>,
}

impl View {
    /// A file and nothing since.
    #[must_use]
    pub fn of(base: Base) -> Self {
        Self { meta: Some(base.meta.clone()), base: Some(Arc::new(base)), changes: HashMap::new(), bytes: 0 }
    }

    /// What is known of the snapshot as a whole; none: there is no snapshot.
    #[must_use]
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// A medium.
    ///
    /// # Errors
    /// When the disk refuses or the file is damaged: then it must be fetched anew.
    pub fn get(&self, hash: Hash) -> io::Result<Option<Holder>> {
        let bytes = match (self.changes.get(&hash), &self.base) {
            (Some(change), _) => return change.as_deref().map(holder).transpose(),
            (None, Some(base)) => base.get(hash)?,
            (None, None) => None,
        };
        bytes.as_deref().map(holder).transpose()
    }

    /// Takes a delta over.
    pub fn apply(&mut self, frame: Frame) {
        for change in frame.changes {
            let holder = change.holder.map(|holder| Vec::from(holder).into_boxed_slice());
            self.bytes += holder.as_ref().map_or(0, |holder| holder.len());
            if let Some(Some(older)) = self.changes.insert(change.hash, holder) {
                self.bytes -= older.len();
            }
        }
        self.meta = Some(frame.meta);
    }

    /// There are so many changes that the file should be written anew.
    #[must_use]
    pub fn heavy(&self) -> bool {
        self.changes.len() > CHANGES_LIMIT || self.bytes > BYTES_LIMIT
    }

    /// All of it.
    ///
    /// # Errors
    /// Of each: when the disk refuses or the file is damaged.
    pub fn all(&self) -> impl Iterator<Item = io::Result<(Hash, Vec<u8>)>> {
        let older = self.base.iter().flat_map(|base| base.all());
        let older = older.filter(|one| one.as_ref().map_or(true, |(hash, _)| !self.changes.contains_key(hash)));
        let newer = self.changes.iter().filter_map(|(hash, holder)| holder.as_ref().map(|holder| Ok((*hash, holder.to_vec()))));
        older.chain(newer)
    }

    /// How many media it holds, changes not taken off.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.len()).saturating_add(self.changes.values().flatten().count() as u64)
    }
}

fn holder(bytes: &[u8]) -> io::Result<Holder> {
    minicbor::decode(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a holder cannot be read"))
}
