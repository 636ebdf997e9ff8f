//! The integration of Lime and the CRM, where this box runs it: starts the feeds.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::SharedClock;
use crate::config::{self, Config, CrmKind};
use crate::crm::texts::Texts;
use crate::crm::{amocrm, bitrix24};
use crate::delivery::{Courier, Host, Remotes};
use crate::domain::Secret;
use crate::feed::{self, Feed, Hints};
use crate::flow::contacts::Keyer;
use crate::journal::Store;
use crate::lime::feed::{Kind, LimeFeed, Points};
use crate::status::Hub;

use super::webhook;

/// What the feeds are run with.
pub(super) struct Around<'a> {
    pub config: &'a Config,
    pub store: &'a Arc<dyn Store>,
    pub clock: &'a SharedClock,
    /// Where the feeds' state is reported.
    pub state: &'a Arc<Hub>,
    pub remotes: &'a Remotes,
    /// For marks of people's data.
    pub keyer: Option<&'a Keyer>,
    /// The CRM's.
    pub courier: &'a Arc<dyn Courier>,
    /// What a webhook has to know, where the CRM calls.
    pub webhook_secret: Option<&'a Secret>,
    pub stop: &'a watch::Receiver<bool>,
}

/// Starts the feeds, and listens for the CRM's calls where it can make any; nothing where this box is not the venue's hub. How feeds are hinted at.
pub(super) fn start(around: &Around<'_>, tasks: &mut JoinSet<()>) -> Hints {
    let mut hints = Hints::default();
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
            hub: Arc::clone(around.state),
            clock: Arc::clone(around.clock),
            hint: hints.add(feed.name()),
            chance: fastrand::Rng::new(),
        };
        tasks.spawn(feed::run(feed, parts, around.stop.clone()));
    }
    let listening = around.config.hub.as_ref().and_then(|hub| hub.webhook.as_ref());
    if let (Some(webhook), Some(secret)) = (listening, around.webhook_secret) {
        tasks.spawn(webhook::serve(webhook.listen, secret.clone(), around.config.crm.kind.clone(), hints.clone(), around.stop.clone()));
    }
    hints
}

/// The feeds that the config asks for.
pub(super) fn feeds(config: &Config, keyer: Option<&Keyer>) -> Vec<Box<dyn Feed>> {
    let Some(hub) = &config.hub else { return Vec::new() };
    let mut feeds: Vec<Box<dyn Feed>> = Vec::new();
    for kind in lime_feeds(hub) {
        feeds.push(Box::new(LimeFeed::new(kind)));
    }
    if !hub.deals.is_empty() {
        feeds.push(Box::new(Points));
    }
    feeds.extend(match &config.crm.kind {
        CrmKind::AmoCrm(_) => amocrm::feeds(hub, keyer, &Texts::new(config.crm.language, config.site.timezone.clone())),
        CrmKind::Bitrix24(portal) => bitrix24::feeds(portal, hub, keyer),
    });
    feeds
}

/// The feeds of Lime's that the config asks for.
#[must_use]
pub fn lime_feeds(hub: &config::Hub) -> Vec<Kind> {
    let groups = hub.deals.iter().any(|rule| rule.group.is_some());
    let wanted = |kind: &Kind| match kind {
        Kind::Clients => hub.clients.registration || hub.clients.change || hub.contacts.to_crm,
        Kind::Transactions => !hub.deals.is_empty() || hub.clients.purchase,
        // Rules that name a group need the tree, whether it is shown in the CRM or not.
        Kind::Products => hub.products || groups,
        Kind::Preorders => hub.preorders.to_crm || hub.preorders.to_lime,
    };
    Kind::ALL.into_iter().filter(wanted).collect()
}
