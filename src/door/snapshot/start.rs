//! Puts the parts together: what decides without Lime, what asks Lime, and the tasks that keep both going.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::clock::SharedClock;
use crate::delivery::Remote;
use crate::domain::Secret;
use crate::http::BoxFuture;
use crate::mqtt::ClientHandle;

use super::super::Online;
use super::fetch::{Fetch, Rhythm};
use super::keeper::Keeper;
use super::media::{KeyError, MediaKey};
use super::neighbours::{self, Topics};
use super::{Restored, Rules, Snapshot};

/// The snapshot's folder below the state folder.
const FOLDER: &str = "entitlements";

/// What is needed.
pub struct Parts<'a> {
    /// The state folder.
    pub state_dir: &'a Path,
    /// The venue's key (`site.venue_key`), where the config has one.
    pub venue_key: Option<Secret>,
    /// The zone, and the service points of the gates that decide: Lime is asked for these.
    pub rules: Rules,
    /// The clock.
    pub clock: SharedClock,
    /// Lime.
    pub lime: Arc<Remote>,
    /// The broker and the topics on it, where there is one. Without a venue key neighbours are not told.
    pub broker: Option<(ClientHandle, Topics)>,
    /// True: end.
    pub stop: watch::Receiver<bool>,
}

/// What decides, and what keeps it going.
pub struct Started {
    /// Decides without Lime.
    pub entitlements: Arc<Snapshot>,
    /// Asks Lime.
    pub authority: Arc<Online>,
    /// To be spawned; each ends after `stop`.
    pub tasks: Vec<BoxFuture<'static, ()>>,
}

/// Why it cannot.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The folder.
    #[error("the folder of the entitlement snapshot {0} cannot be used: {1}")]
    Folder(PathBuf, io::Error),
}

/// Starts nothing yet: the tasks do when they are spawned. The snapshot on disk is loaded by one of them, so that a start does not wait for it; until then the
/// snapshot has no answer. `restored`: the guests let in before this start whom Lime has not settled, and those whom it has settled within the last day.
///
/// # Errors
/// When the key or the folder cannot be made.
pub fn start(parts: Parts<'_>, restored: impl IntoIterator<Item = Restored>) -> Result<Started, StartError> {
    let Parts { state_dir, venue_key, rules, clock, lime, broker, stop } = parts;
    let folder = state_dir.join(FOLDER);
    let key = match &venue_key {
        Some(secret) => MediaKey::of_venue(secret),
        None => MediaKey::of_box(&folder)?,
    };
    let broker = broker.filter(|_| key.shared());
    let (tell, told) = mpsc::channel(neighbours::QUEUE);
    let points = rules.points.keys().map(|point| point.0.clone()).collect();
    let authority = Arc::new(Online::new(Arc::clone(&lime), rules.zone.clone()));
    let tell = broker.is_some().then_some(tell);
    let entitlements = Arc::new(Snapshot::new(key.clone(), rules, Arc::clone(&clock), restored, tell));
    let keeper = Keeper::new(Arc::clone(&entitlements), &folder, points).map_err(|error| StartError::Folder(folder, error))?;
    let fetch = Fetch::new(keeper, key, lime, Arc::clone(&clock), Rhythm::default(), fastrand::Rng::new());
    let mut tasks: Vec<BoxFuture<'static, ()>> = vec![Box::pin(fetch.run(stop.clone()))];
    if let Some((client, topics)) = broker {
        tasks.push(Box::pin(neighbours::run(Arc::clone(&entitlements), topics, client, told, clock, stop)));
    }
    Ok(Started { entitlements, authority, tasks })
}
