//! The seam between the journal and the disk: the few operations it needs, so that a test can put a disk there that loses power.
//!
//! What an implementation owes: `sync_data` makes all earlier writes and lengths of that file durable, or fails; `sync_dir` does the same for the names
//! in a folder. Nothing else is durable. Never: a retry inside; the journal decides what an error means.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To look only.
    Read,
    /// To change it.
    Write,
}

/// Who may hold a folder at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The gateway: alone.
    Exclusive,
    /// Those who only read: together.
    Shared,
}

/// Why a folder could not be held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it; what it wrote about itself.
    #[error("held by {0}")]
    Held(String),
    /// The disk refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An open file. Offsets and lengths are bytes.
pub trait DiskFile: Send + Sync {
    /// Writes at a place; may write less than asked.
    ///
    /// # Errors
    /// What the disk reports.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads at a place; 0 at the end.
    ///
    /// # Errors
    /// What the disk reports.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Grows the file to `len` and reserves the space; what was not written reads as zeros.
    ///
    /// # Errors
    /// What the disk reports.
    fn preallocate(&self, len: u64) -> io::Result<()>;

    /// Cuts or grows the file.
    ///
    /// # Errors
    /// What the disk reports.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes data and length durable (`fdatasync`). After a failure nothing is known of what was written since the last success.
    ///
    /// # Errors
    /// What the disk reports.
    fn sync_data(&self) -> io::Result<()>;

    /// Its length.
    ///
    /// # Errors
    /// What the disk reports.
    fn len(&self) -> io::Result<u64>;

    /// Whether it is empty.
    ///
    /// # Errors
    /// What the disk reports.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A disk with files and folders.
pub trait Disk: Send + Sync {
    /// Makes a file that must not exist yet.
    ///
    /// # Errors
    /// What the disk reports.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that exists.
    ///
    /// # Errors
    /// What the disk reports.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// Renames.
    ///
    /// # Errors
    /// What the disk reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the disk reports.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in a folder, sorted.
    ///
    /// # Errors
    /// What the disk reports.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// What the disk reports.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes a folder's names durable (`fsync` on it).
    ///
    /// # Errors
    /// What the disk reports.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Holds a folder through a lock file, until the answer is dropped. `holder` is what another who asks is told.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody else holds it.
    fn lock(&self, path: &Path, hold: Hold, holder: &str) -> Result<Box<dyn Send + Sync>, LockError>;

    /// Where this path is on the host's own file system, for the index, which does its own I/O; `None` where there is no such place.
    fn host_path(&self, path: &Path) -> Option<PathBuf>;
}

/// The host's own disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostDisk;

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn preallocate(&self, len: u64) -> io::Result<()> {
        match fallocate(self, FallocateFlags::empty(), 0, len) {
            // A file system that cannot reserve: the space may run out later, which the journal handles anyway.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => File::set_len(self, len),
            other => other.map_err(io::Error::from),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// A lock file. The lock is given back by word: a program that another thread is just starting has, for a moment, every file of this process, and with it
/// a lock that is only closed.
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "the lock could not be given back; it goes with the file");
        }
    }
}

impl Disk for HostDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(access == Access::Write).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path, hold: Hold, holder: &str) -> Result<Box<dyn Send + Sync>, LockError> {
        let file = match hold {
            Hold::Exclusive => OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?,
            Hold::Shared => match File::open(path) {
                Ok(file) => file,
                // No lock file: nobody ever held it, and those who only read make nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Box::new(())),
                Err(error) => return Err(error.into()),
            },
        };
        let taken = match hold {
            Hold::Exclusive => file.try_lock(),
            Hold::Shared => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let who = std::fs::read_to_string(path).unwrap_or_default();
                let who = who.lines().next().unwrap_or_default().trim();
                return Err(LockError::Held(if who.is_empty() { "another process".to_owned() } else { who.to_owned() }));
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
        }
        if hold == Hold::Exclusive {
            // Told to others only; a full disk must not keep the gateway from starting.
            let line = format!("{holder}\n");
            if file.set_len(0).and_then(|()| FileExt::write_all_at(&file, line.as_bytes(), 0)).is_err() {
                tracing::debug!(path = %path.display(), "the lock's holder could not be written down");
            }
        }
        Ok(Box::new(Held(file)))
    }

    fn host_path(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }
}

/// Writes all of it, or says why not. A short write is an error here: what follows it would not be where the reader looks.
pub(super) fn write_all(file: &dyn DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let written = file.write_at(bytes, offset)?;
    if written == bytes.len() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::WriteZero, format!("short write: {written} of {} bytes", bytes.len())))
}

/// Reads up to `len` bytes; less at the end of the file.
pub(super) fn read_up_to(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let end = file.len()?.saturating_sub(offset);
    let mut bytes = vec![0; len.min(usize::try_from(end).unwrap_or(usize::MAX))];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
