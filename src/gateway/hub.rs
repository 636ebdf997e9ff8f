//! The integration of Lime and the CRM, where this box runs it: starts the feeds.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::SharedClock;
use crate::config::{Config, CrmKind};
use crate::crm::bitrix24;
use crate::delivery::{Courier, Host, Remotes};
use crate::feed::{self, Feed, Hint};
use crate::flow::contacts::Keyer;
use crate::journal::Store;

/// What the feeds are run with.
pub(super) struct Around<'a> {
    pub config: &'a Config,
    pub store: &'a Arc<dyn Store>,
    pub clock: &'a SharedClock,
    pub remotes: &'a Remotes,
    /// For marks of people's data.
    pub keyer: Option<&'a Keyer>,
    /// The CRM's.
    pub courier: &'a Arc<dyn Courier>,
    pub hint: &'a Hint,
    pub stop: &'a watch::Receiver<bool>,
}

/// Starts the feeds; none where this box is not the venue's hub.
pub(super) fn start(around: &Around<'_>, tasks: &mut JoinSet<()>) {
    for feed in feeds(around.config, around.keyer) {
        let Some(remote) = (match feed.host() {
            Host::Lime => Some(&around.remotes.lime),
            Host::Crm => around.remotes.crm.as_ref(),
        }) else {
            continue;
        };
        let parts = feed::Parts {
            store: Arc::clone(around.store),
            remote: Arc::clone(remote),
            courier: Arc::clone(around.courier),
            clock: Arc::clone(around.clock),
            hint: Arc::clone(around.hint),
            chance: fastrand::Rng::new(),
        };
        tasks.spawn(feed::run(feed, parts, around.stop.clone()));
    }
}

/// The feeds that the config asks for.
fn feeds(config: &Config, keyer: Option<&Keyer>) -> Vec<Box<dyn Feed>> {
    let Some(hub) = &config.hub else { return Vec::new() };
    match &config.crm.kind {
        CrmKind::AmoCrm(_) => Vec::new(),
        CrmKind::Bitrix24(portal) => bitrix24::feeds(portal, hub, keyer),
    }
}
