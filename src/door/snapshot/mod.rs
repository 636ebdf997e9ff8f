//! The entitlement snapshot: what lets the box decide when Lime is late or away.
//!
//! Lime says of each medium what it entitles to; the box keeps that on disk ([`base`], [`changes`]), takes off what it and its neighbours have used since
//! ([`uses`]), and answers a door ([`decide`]) without a network. [`fetch`] keeps it fresh, [`neighbours`] tells the other gates of the venue.
//!
//! | Lime's word | here |
//! |---|---|
//! | `snapshot_stale` | there is no snapshot, it is too old, or its age cannot be said: after a reboot, until the clock is synchronised or Lime has answered |
//! | `unknown_medium` | the snapshot does not hold the medium |
//! | `clock_unsynced` | the medium is known, but its validity, hours or daily limit need a clock, and this one cannot be trusted |
//!
//! In these three the snapshot has no answer, and the gate's policy decides. All else it answers, yes or no.
//!
//! Never: a card number or a client on disk; an answer from a snapshot that was not verified whole; a use of our own forgotten before Lime has settled it and a
//! snapshot asked for later says so.

pub mod age;
pub mod base;
pub mod changes;
pub mod decide;
pub mod delta;
pub mod fetch;
pub mod hours;
pub mod keeper;
pub mod media;
pub mod neighbours;
#[cfg(test)]
mod sandboxed;
pub mod start;
pub mod terms;
#[cfg(test)]
mod tests;
pub mod uses;
pub mod view;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::domain::{BootId, Decision, DecisionMode, Direction, ServicePointId};

use super::{Entitlements, Known, Question, Used};
use age::{DEFAULT_MAX_AGE_MS, Fresh};
use decide::{Case, Verdict, Wall};
use media::MediaKey;
use neighbours::Said;
use uses::{Use, Uses};
use view::View;

/// How the snapshot judges.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The venue's zone: of hours and days.
    pub zone: TimeZone,
    /// By service point. Of one that is not named, only what Lime says holds.
    pub points: BTreeMap<ServicePointId, PointRules>,
}

/// What the config says of a service point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointRules {
    /// An older snapshot is not used; Lime may want a younger one.
    pub max_age: Duration,
    /// How far a deposit may go below zero, where Lime does not say: minor units.
    pub max_offline_debt: i64,
}

/// A use from before the start, out of the journal.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What was used. Its boot time counts only when it is of the present boot.
    pub used: Used,
    /// The boot that its boot time belongs to.
    pub boot: BootId,
    /// When it was, milliseconds since 1970 UTC, where that is known.
    pub at_ms: Option<i64>,
    /// Lime has settled it: it counts until the next snapshot.
    pub settled: bool,
}

/// The snapshot, less what was used since.
pub struct Snapshot {
    key: MediaKey,
    rules: Rules,
    clock: SharedClock,
    boot: BootId,
    inner: Mutex<Inner>,
    /// Another one was put in use.
    renewed: Notify,
    tell: Option<mpsc::Sender<Said>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshot")
    }
}

#[derive(Debug, Default)]
struct Inner {
    view: View,
    uses: Uses,
    /// The file turned out damaged under a look-up: it is to be fetched anew.
    damaged: bool,
}

/// The snapshot in numbers, for status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Its version; none: there is none.
    pub version: Option<String>,
    /// How many media it holds.
    pub media: u64,
    /// Its age, milliseconds; none: it cannot be said.
    pub age_ms: Option<u64>,
    /// It is not too old to decide by.
    pub fresh: bool,
    /// Uses that it does not know of yet.
    pub uses: usize,
}

impl Snapshot {
    /// An empty snapshot that knows of these uses. What there is on disk is loaded by [`keeper::Keeper::load`]. `tell` takes what neighbours are to know.
    pub fn new(
        key: MediaKey,
        rules: Rules,
        clock: SharedClock,
        restored: impl IntoIterator<Item = Restored>,
        tell: Option<mpsc::Sender<Said>>,
    ) -> Self {
        let now = clock.stamp();
        let mut uses = Uses::default();
        for one in restored {
            let Restored { used, boot, at_ms, settled } = one;
            let Some(mut counted) = counted(&key, &used) else { continue };
            if boot != now.boot {
                (counted.boot_ms, counted.wall_ms) = (0, at_ms);
            }
            // It may have been settled at any time before now.
            counted.settled_ms = (settled || counted.settled_ms.is_some()).then_some(now.boot_ms);
            uses.add(used.pass, counted);
        }
        let inner = Mutex::new(Inner { uses, ..Inner::default() });
        Self { key, rules, boot: now.boot, clock, inner, renewed: Notify::new(), tell }
    }

    /// How it stands.
    #[must_use]
    pub fn overview(&self, wall: Option<Wall>) -> Overview {
        let boot_ms = self.clock.boot_ms();
        let inner = self.inner();
        let Some(meta) = inner.view.meta() else { return Overview { uses: inner.uses.count(), ..Overview::default() } };
        let age_ms = meta.fresh.age_ms(self.boot, boot_ms, wall);
        Overview {
            version: Some(meta.terms.version.clone()),
            media: inner.view.count(),
            age_ms,
            fresh: age_ms.is_some_and(|age| self.rules.points.keys().all(|point| age <= self.max_age_ms(meta, point.as_str()))),
            uses: inner.uses.count(),
        }
    }

    /// Waits until another one is put in use. For one who waits.
    pub async fn renewed(&self) {
        self.renewed.notified().await;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn max_age_ms(&self, meta: &base::Meta, service_point: &str) -> u64 {
        let by_lime = [meta.terms.max_age_s, meta.terms.policy(service_point).max_age_s].into_iter().flatten();
        let by_config = self.point(service_point).map(|point| u64::try_from(point.max_age.as_millis()).unwrap_or(u64::MAX));
        by_lime.map(|seconds| seconds.saturating_mul(1_000)).chain(by_config).min().unwrap_or(DEFAULT_MAX_AGE_MS)
    }

    fn point(&self, service_point: &str) -> Option<&PointRules> {
        self.rules.points.iter().find(|(id, _)| id.as_str() == service_point).map(|(_, point)| point)
    }

    fn stale(&self, fresh: &Fresh, limit_ms: u64, boot_ms: u64, wall: Option<Wall>) -> bool {
        fresh.age_ms(self.boot, boot_ms, wall).is_none_or(|age| age > limit_ms)
    }

    fn say(&self, said: Said) {
        if let Some(tell) = &self.tell
            && tell.try_send(said).is_err()
        {
            tracing::warn!("the neighbouring gates cannot be told of a pass: too many wait, or the task has ended");
        }
    }
}

impl Entitlements for Snapshot {
    fn ask(&self, question: Question<'_>) -> Known {
        let wall = Wall::within(question.now_ms, question.error_ms);
        let service_point = question.service_point.as_str();
        let medium = self.key.medium(question.medium);
        let mut inner = self.inner();
        let Some(meta) = inner.view.meta() else { return Known::Unable("snapshot_stale") };
        let decision = |admitted, code: &str, right_id, amount| {
            let (mode, code, version) = (DecisionMode::OfflineSnapshot, code.to_owned(), Some(meta.terms.version.clone()));
            Known::Decided(Decision { mode, admitted, code, snapshot_version: version, hold_id: None, right_id, amount })
        };
        // Lime's word that nothing is to be decided without it does not grow old.
        if question.direction == Direction::In && meta.terms.policy(service_point).deny {
            return decision(false, "offline_not_allowed", None, None);
        }
        if self.stale(&meta.fresh, self.max_age_ms(meta, service_point), question.boot_ms, wall) {
            return Known::Unable("snapshot_stale");
        }
        let holder = match inner.view.get(medium) {
            Ok(Some(holder)) => holder,
            Ok(None) => return Known::Unable("unknown_medium"),
            Err(error) => {
                tracing::error!(%error, "the entitlement snapshot cannot be read; it is fetched anew");
                inner.damaged = true;
                return Known::Unable("snapshot_stale");
            }
        };
        let case = Case {
            terms: &meta.terms,
            holder: &holder,
            medium,
            service_point,
            direction: question.direction,
            wall,
            boot_ms: question.boot_ms,
            zone: &self.rules.zone,
            max_offline_debt: self.point(service_point).map_or(0, |point| point.max_offline_debt),
        };
        match decide::decide(case, &inner.uses, &|id| self.key.right(id)) {
            Verdict::Admitted { right, amount } => decision(true, "ok", right, amount),
            Verdict::Refused(code) => decision(false, code, None, None),
            Verdict::NeedsClock => Known::Unable("clock_unsynced"),
        }
    }

    fn used(&self, used: Used) {
        let Some(counted) = counted(&self.key, &used) else { return };
        self.say(Said::used(used.pass, &counted));
        self.inner().uses.add(used.pass, counted);
    }

    fn settled(&self, pass: Uuid) {
        let now = self.clock.boot_ms();
        if self.inner().uses.settled(pass, now) {
            self.say(Said::Settled(pass));
        }
    }

    fn released(&self, pass: Uuid) {
        if self.inner().uses.released(pass) {
            self.say(Said::Released(pass));
        }
    }
}

/// What counts of a decision: a guest who goes in. An exit on the snapshot's word takes nothing.
fn counted(key: &MediaKey, used: &Used) -> Option<Use> {
    let decision = &used.decision;
    let free = decision.mode == DecisionMode::OfflineSnapshot && decision.right_id.is_none();
    (decision.admitted && !free).then(|| Use {
        medium: key.medium(&used.medium),
        right: decision.right_id.as_deref().map(|id| key.right(id)),
        amount: decision.amount,
        service_point: used.service_point.0.clone(),
        boot_ms: used.boot_ms,
        wall_ms: None,
        // What Lime has granted itself it has taken off, or holds: amounts of the snapshot are less holds.
        settled_ms: (decision.mode == DecisionMode::Online).then_some(used.boot_ms),
        neighbour: false,
    })
}
