//! The reserve: a file that takes up space so that, on a full disk, there is some to give back for what settles facts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Access, Disk};

const NAME: &str = "reserve";

/// A file of zeros that can be freed.
pub(super) struct Reserve {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    bytes: u64,
    there: bool,
}

impl Reserve {
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, bytes: u64) -> Self {
        let path = dir.join(NAME);
        let there = disk.open(&path, Access::Read).and_then(|file| file.len()).is_ok_and(|len| len >= bytes);
        Self { disk, path, bytes, there }
    }

    /// Makes it, where it is not there.
    pub fn make(&mut self) -> io::Result<()> {
        if self.there {
            return Ok(());
        }
        let file = match self.disk.open(&self.path, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.disk.create(&self.path)?,
            other => other?,
        };
        if let Err(error) = file.preallocate(self.bytes) {
            drop(file);
            let _ = self.disk.remove(&self.path);
            return Err(error);
        }
        self.there = true;
        Ok(())
    }

    /// Gives the space back.
    pub fn free(&mut self) {
        if self.there {
            tracing::error!("no space left on the device: the journal's reserve is freed");
        }
        self.there = false;
        if let Err(error) = self.disk.remove(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, "the journal's reserve cannot be freed");
        }
    }
}
