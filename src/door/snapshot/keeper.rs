//! Keeps the snapshot on disk: loads it, takes an answer of Lime in, puts it in use.
//!
//! An answer is taken in beside what is in use and put in its place when all of it has come and checks out; until then, and where anything is wrong with it,
//! nothing changes. All of this blocks on the disk: it runs off the runtime's threads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minicbor::bytes::ByteVec;

use crate::domain::Stamp;

use super::Snapshot;
use super::age::Fresh;
use super::base::{Base, Meta, Writer};
use super::changes::{Change, Changes, Frame};
use super::delta::{Bad, Header, Line, Sink};
use super::media::make_private;
use super::view::View;

const FILE: &str = "entitlements";
const LOG: &str = "entitlements.changes";
/// More bytes of changes are not taken as a delta.
const DELTA_LIMIT: usize = 4 * 1024 * 1024;

/// Holds the files.
#[derive(Debug)]
pub struct Keeper {
    snapshot: Arc<Snapshot>,
    folder: PathBuf,
    service_points: Vec<String>,
    /// None: what is in use is not on disk as it is, and the next answer is to be written whole.
    changes: Option<Changes>,
}

/// An answer, taken in and whole, but not in use yet.
#[derive(Debug)]
pub struct Received {
    header: Header,
    asked: Stamp,
    into: Into,
}

#[derive(Debug)]
enum Into {
    File(Box<Writer>),
    Changes(Vec<Change>),
}

/// Takes one answer in.
#[derive(Debug)]
pub struct Receiving {
    path: PathBuf,
    version: Option<String>,
    asked: Stamp,
    bytes: usize,
    received: Option<(Header, Into)>,
}

impl Keeper {
    /// Keeps the snapshot in this folder, for these service points.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(snapshot: Arc<Snapshot>, folder: &Path, mut service_points: Vec<String>) -> io::Result<Self> {
        make_private(folder)?;
        service_points.sort();
        service_points.dedup();
        Ok(Self { snapshot, folder: folder.to_owned(), service_points, changes: None })
    }

    /// Puts what is on disk in use. A damaged file is set aside under another name, and one that was made with another key or for other service points is
    /// not used: Lime is then asked for all of it.
    pub fn load(&mut self) {
        let path = self.folder.join(FILE);
        let base = match Base::open(&path) {
            Ok(base) => base,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::error!(%error, file = %path.display(), "the entitlement snapshot cannot be used and is fetched anew");
                if error.kind() == io::ErrorKind::InvalidData {
                    self.set_aside();
                }
                return;
            }
        };
        if base.meta.key != self.snapshot.key.fingerprint() || base.meta.service_points != self.service_points {
            tracing::info!("the entitlement snapshot was made with another key or for other service points; it is fetched anew");
            return;
        }
        let id = base.id;
        let mut view = View::of(base);
        self.changes = match Changes::open(&self.folder.join(LOG), id, |frame| view.apply(frame)) {
            Ok((changes, cut)) => {
                if cut {
                    tracing::warn!("the newest changes of the entitlement snapshot are lost; Lime is asked from where it is whole");
                }
                Some(changes)
            }
            Err(error) => {
                tracing::warn!(%error, "the changes of the entitlement snapshot cannot be read");
                None
            }
        };
        self.snapshot.inner().view = view;
        self.snapshot.renewed.notify_one();
    }

    /// Keeps a damaged file for whoever looks into it, out of the way.
    pub fn set_aside(&mut self) {
        let path = self.folder.join(FILE);
        if let Err(error) = std::fs::rename(&path, path.with_extension("damaged")) {
            tracing::warn!(%error, "the damaged entitlement snapshot cannot be set aside");
        }
        let mut inner = self.snapshot.inner();
        inner.damaged = false;
        inner.view = View::default();
        drop(inner);
        self.changes = None;
    }

    /// Whether a look-up found the file damaged.
    #[must_use]
    pub fn damaged(&self) -> bool {
        self.snapshot.inner().damaged
    }

    /// The service points that Lime is asked for.
    #[must_use]
    pub fn service_points(&self) -> &[String] {
        &self.service_points
    }

    /// The version in use, and the `ETag` it came by.
    #[must_use]
    pub fn version(&self) -> Option<(String, Option<String>)> {
        self.snapshot.inner().view.meta().map(|meta| (meta.terms.version.clone(), meta.etag.clone()))
    }

    /// To take in an answer that was asked for at this time.
    #[must_use]
    pub fn receiving(&self, asked: Stamp) -> Receiving {
        let version = self.version().map(|(version, _)| version);
        Receiving { path: self.folder.join(FILE), version, asked, bytes: 0, received: None }
    }

    /// Puts an answer in use.
    ///
    /// # Errors
    /// When the disk refuses a whole snapshot: what was in use still is. A delta is put in use all the same, and written with the next.
    pub fn apply(&mut self, received: Received, etag: Option<String>) -> io::Result<()> {
        let Received { header, asked, into } = received;
        let fresh = Fresh { asked, generated_ms: header.terms.generated_ms };
        let key = self.snapshot.key.fingerprint();
        let meta = Meta { terms: header.terms, fresh, etag, key, service_points: self.service_points.clone() };
        match into {
            Into::File(writer) => self.put_file(*writer, &meta)?,
            Into::Changes(changes) => self.put_changes(Frame { meta, changes })?,
        }
        self.covered(asked);
        Ok(())
    }

    /// Lime has confirmed the snapshot as it is.
    pub fn confirm(&mut self, asked: Stamp, keep: bool) {
        let mut inner = self.snapshot.inner();
        let Some(mut meta) = inner.view.meta().cloned() else { return };
        meta.fresh = Fresh { asked, ..meta.fresh };
        let frame = Frame { meta, changes: Vec::new() };
        inner.view.apply(frame.clone());
        drop(inner);
        if keep {
            self.append(&frame);
        }
        self.covered(asked);
    }

    fn put_file(&mut self, writer: Writer, meta: &Meta) -> io::Result<()> {
        let base = writer.finish(meta)?;
        // A power cut here leaves a log of another file, which is begun anew.
        self.changes = Changes::begin(&self.folder.join(LOG), base.id).inspect_err(|error| tracing::warn!(%error, "no log of changes")).ok();
        let mut inner = self.snapshot.inner();
        inner.view = View::of(base);
        inner.damaged = false;
        Ok(())
    }

    fn put_changes(&mut self, frame: Frame) -> io::Result<()> {
        self.append(&frame);
        let mut inner = self.snapshot.inner();
        inner.view.apply(frame);
        let heavy = inner.view.heavy();
        let view = (heavy || self.changes.as_ref().is_none_or(Changes::long)).then(|| inner.view.clone());
        drop(inner);
        match view {
            Some(view) => self.fold(&view),
            None => Ok(()),
        }
    }

    fn append(&mut self, frame: &Frame) {
        let appended = self.changes.as_mut().map(|changes| changes.append(frame));
        if let Some(Err(error)) = appended {
            tracing::warn!(%error, "a change of the entitlement snapshot is not on disk; a restart asks Lime for it again");
            // The next answer is written whole: no frame may follow one that is not there.
            self.changes = None;
        }
    }

    fn fold(&mut self, view: &View) -> io::Result<()> {
        let Some(meta) = view.meta() else { return Ok(()) };
        let mut writer = Writer::create(&self.folder.join(FILE))?;
        for one in view.all() {
            let (hash, holder) = one?;
            writer.put(hash, Some(&holder))?;
        }
        self.put_file(writer, meta)
    }

    fn covered(&self, asked: Stamp) {
        let now = self.snapshot.clock.boot_ms();
        self.snapshot.inner().uses.applied(asked.boot_ms, now);
        self.snapshot.renewed.notify_one();
    }
}

impl Receiving {
    /// All of it has come.
    ///
    /// # Errors
    /// When there was nothing.
    pub fn finish(self) -> Result<Received, Bad> {
        let (header, into) = self.received.ok_or(Bad::Torn)?;
        Ok(Received { header, asked: self.asked, into })
    }
}

impl Sink for Receiving {
    fn header(&mut self, header: Header) -> Result<(), Bad> {
        let into = match &header.base {
            None => Into::File(Box::new(Writer::create(&self.path).map_err(not_taken)?)),
            Some(base) if Some(base) == self.version.as_ref() => Into::Changes(Vec::new()),
            Some(_) => return Err(Bad::NotTaken("the delta is made upon another version than ours".to_owned())),
        };
        self.received = Some((header, into));
        Ok(())
    }

    fn line(&mut self, line: Line) -> Result<(), Bad> {
        let (hash, holder) = match line {
            Line::Upsert(hash, holder) => (hash, Some(minicbor::to_vec(&holder).map_err(|_| Bad::NotTaken("a holder cannot be kept".to_owned()))?)),
            Line::Tombstone(hash) => (hash, None),
        };
        match &mut self.received {
            Some((_, Into::File(writer))) => writer.put(hash, holder.as_deref()).map_err(not_taken),
            Some((_, Into::Changes(changes))) => {
                self.bytes += 32 + holder.as_ref().map_or(0, Vec::len);
                changes.push(Change { hash, holder: holder.map(ByteVec::from) });
                if self.bytes > DELTA_LIMIT { Err(Bad::NotTaken("the delta is so large that all of it may as well come".to_owned())) } else { Ok(()) }
            }
            None => Err(Bad::Torn),
        }
    }
}

fn not_taken(error: io::Error) -> Bad {
    Bad::NotTaken(format!("the entitlement snapshot cannot be written: {error}"))
}
