//! What controllers hold of the staff's cards, remembered over restarts: a small file each, readable by the gateway alone.

use std::io;
use std::path::{Path, PathBuf};

use super::cards::Held;
use crate::files;

/// The file of one controller.
pub(super) struct Kept {
    path: PathBuf,
    /// What is in it; nothing: not known, as after a write that failed.
    saved: Option<Option<Held>>,
}

impl Kept {
    /// The file in this folder, and what was remembered in it. One that cannot be read is as none: the controller's list is made anew then.
    pub fn open(folder: &Path, serial: u64) -> (Self, Option<Held>) {
        let path = folder.join(format!("{serial}.json"));
        let held = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Option<Held>>(&bytes).unwrap_or_else(|_| {
                tracing::warn!(path = %path.display(), "what a controller holds was not kept whole, and its list is made anew");
                None
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "what a controller holds cannot be read, and its list is made anew");
                }
                None
            }
        };
        (Self { path, saved: None }, held)
    }

    /// Remembers it. Durable when this returns.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn keep(&mut self, held: Option<Held>) -> io::Result<()> {
        if self.saved.as_ref() == Some(&held) {
            return Ok(());
        }
        let (path, bytes) = (self.path.clone(), serde_json::to_vec(&held)?);
        self.saved = None;
        tokio::task::spawn_blocking(move || files::replace(&path, &bytes)).await.map_err(io::Error::other)??;
        self.saved = Some(held);
        Ok(())
    }
}
