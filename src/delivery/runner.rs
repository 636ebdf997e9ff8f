//! Runs one destination: takes batches from the lanes, holds their conversations, journals what became of them, and reports.
//!
//! A few conversations go on at once, so that the remote's limit and not its latency sets the pace; no two hold jobs of one order key. Never: more than a
//! window of jobs in memory; a job forgotten; a stop that waits longer than its deadline.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use crate::clock::SharedClock;
use crate::config::Delivery;
use crate::domain::{Seq, Stamp, Sync};
use crate::flow::CrmPolicy;
use crate::journal::{AppendError, Destination, Record, Store};
use crate::status::{Hub, Link};

use super::backoff::millis;
use super::conversation::{Courier, Host};
use super::dialogue::Desk;
use super::lanes::{Back, Lanes, Room, Taken};
use super::outcome::{Change, Context, Outcome, settle};
use super::remote::{Lane, Remote};
use super::supply::Supply;

/// Conversations at once.
const PARALLEL: usize = 8;

/// Of these, kept free of backlog for what is fresh, which gets no more of them while a backlog drains.
const FRESH_RESERVE: usize = 2;

/// The runner looks around at least this often.
const TICK_MS: u64 = 1_000;

/// Status is brought up to date no more often than this.
const REPORT_MS: u64 = 200;

/// A remote that was gone for this long is not held against the jobs.
const OUTAGE_MS: u64 = 20_000;

/// The remotes that conversations may call. Lime is called by both destinations, so it is one and shared.
#[derive(Clone)]
pub struct Remotes {
    /// Lime.
    pub lime: Arc<Remote>,
    /// The CRM, where there is one.
    pub crm: Option<Arc<Remote>>,
}

impl Remotes {
    /// The remote of a host; `None` when it is not configured.
    #[must_use]
    pub fn get(&self, host: Host) -> Option<&Remote> {
        match host {
            Host::Lime => Some(&self.lime),
            Host::Crm => self.crm.as_deref(),
        }
    }
}

/// What a runner is made of.
pub struct Parts {
    /// The journal.
    pub store: Arc<dyn Store>,
    /// The destination's side.
    pub courier: Arc<dyn Courier>,
    /// Who may be called.
    pub remotes: Remotes,
    /// Time.
    pub clock: SharedClock,
    /// Where to report.
    pub hub: Arc<Hub>,
    /// `[delivery]`
    pub settings: Delivery,
    /// Which write-offs the CRM is told of; the same that the journal's index uses.
    pub policy: CrmPolicy,
    /// Randomness, for the spread of waits.
    pub chance: fastrand::Rng,
}

/// Runs one destination.
pub struct Runner {
    parts: Parts,
    host: Host,
    supply: Supply,
    lanes: Lanes,
    under_way: HashMap<Id, (Lane, Vec<Taken>)>,
    last_lane: Lane,
    trouble: Option<String>,
    down_since: Option<u64>,
    oldest: Option<(Seq, Stamp)>,
    report_due_ms: u64,
}

/// A batch's end: what it means, once it is on disk. `None` when it could not be written before the stop: then the jobs are as they were.
type Finished = Option<Outcome>;

impl Runner {
    /// Takes stock of what waits. Jobs with a `sending` record begin in doubt.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let to = parts.courier.destination();
        let (supply, lanes) = Supply::new(Arc::clone(&parts.store), to, parts.policy, &parts.clock.stamp());
        let host = match to {
            Destination::Lime => Host::Lime,
            Destination::Crm => Host::Crm,
        };
        Self {
            parts,
            host,
            supply,
            lanes,
            under_way: HashMap::new(),
            last_lane: Lane::Backlog,
            trouble: None,
            down_since: None,
            oldest: None,
            report_due_ms: 0,
        }
    }

    /// Delivers until `stop` turns true, then finishes what is under way within the drain deadline. What is left is on disk.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let mut head = self.parts.store.head();
        let mut open = true;
        while !*stop.borrow() {
            head.mark_unchanged();
            let now = self.parts.clock.stamp();
            let more = self.supply.follow(&mut self.lanes, &now) | self.supply.fill(&mut self.lanes);
            self.pardon_after_outage();
            self.begin(&mut tasks, &stop);
            if now.boot_ms >= self.report_due_ms {
                self.report_due_ms = now.boot_ms + REPORT_MS;
                self.report();
            }
            let pause = if more { 0 } else { self.pause_ms() };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => self.end(ended),
                changed = head.changed(), if open => open = changed.is_ok(),
                () = sleep(Duration::from_millis(pause)) => {}
            }
        }
        let drained = timeout(self.parts.settings.drain, async {
            while let Some(ended) = tasks.join_next_with_id().await {
                self.end(ended);
            }
        });
        if drained.await.is_err() {
            tracing::info!(destination = self.name(), "stopped with requests under way; they are asked about after the start");
        }
        tasks.shutdown().await;
        self.report();
    }

    fn name(&self) -> &'static str {
        self.parts.courier.destination().name()
    }

    fn remote(&self) -> Option<&Remote> {
        self.parts.remotes.get(self.host)
    }

    /// Begins as many conversations as there is room for.
    fn begin(&mut self, tasks: &mut JoinSet<Finished>, stop: &watch::Receiver<bool>) {
        loop {
            let Some(remote) = self.parts.remotes.get(self.host) else { return };
            let most = if remote.failing() { 1 } else { PARALLEL };
            if tasks.len() >= most || remote.rests_until().is_some() {
                return;
            }
            let order = match self.last_lane {
                Lane::Fresh => [Lane::Backlog, Lane::Fresh],
                Lane::Backlog | Lane::Door => [Lane::Fresh, Lane::Backlog],
            };
            let Some((lane, taken)) = order.into_iter().find_map(|lane| self.take(lane)) else { return };
            self.last_lane = lane;
            let batch = self.supply.batch(&taken);
            for seq in &batch.unreadable {
                self.lanes.remove(*seq);
            }
            if batch.jobs.is_empty() {
                self.lanes.release(&taken);
                continue;
            }
            let strikes = taken.iter().map(|one| (one.seq, self.lanes.strikes(one.seq))).collect();
            let desk = Desk {
                store: Arc::clone(&self.parts.store),
                courier: Arc::clone(&self.parts.courier),
                remotes: self.parts.remotes.clone(),
                clock: Arc::clone(&self.parts.clock),
                stop: stop.clone(),
            };
            let settings = (self.parts.settings.settle_window, (self.parts.settings.backoff_base, self.parts.settings.backoff_cap));
            let chance = self.parts.chance.fork();
            let task = tasks.spawn(deliver(desk, batch.jobs, batch.facts, strikes, lane, settings, chance));
            self.under_way.insert(task.id(), (lane, taken));
        }
    }

    fn take(&mut self, lane: Lane) -> Option<(Lane, Vec<Taken>)> {
        let backlog = self.under_way.values().filter(|(lane, _)| *lane == Lane::Backlog).count();
        let fresh = self.under_way.len() - backlog;
        // While a backlog drains, fresh passes share a few conversations: what comes while these wait for their turns goes together in the next.
        if lane == Lane::Backlog && backlog + FRESH_RESERVE >= PARALLEL || lane == Lane::Fresh && backlog > 0 && fresh >= FRESH_RESERVE {
            return None;
        }
        let courier = &self.parts.courier;
        let room = Room { jobs: courier.batch_limit().max(1), per_key: courier.per_key_limit().max(1) };
        let (store, to) = (self.parts.store.as_ref(), courier.destination());
        let taken = self.lanes.take(self.parts.clock.boot_ms(), lane, room, &mut |order, before| Supply::queue_of(store, to, order, before));
        (!taken.is_empty()).then_some((lane, taken))
    }

    fn end(&mut self, ended: Result<(Id, Finished), JoinError>) {
        let (id, finished) = match ended {
            Ok((id, finished)) => (id, Ok(finished)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some((_, taken)) = self.under_way.remove(&id) else { return };
        match finished {
            Ok(Some(outcome)) => {
                if outcome.dead > 0 {
                    tracing::warn!(destination = self.name(), jobs = outcome.dead, "refused for good; `limegate dead list` shows them");
                }
                if outcome.confirmed > 0 || outcome.trouble.is_some() {
                    self.trouble = outcome.trouble;
                }
                for (seq, change) in outcome.changes {
                    match change {
                        Change::Done => self.lanes.remove(seq),
                        Change::Back { due_ms, blame, doubt } => self.lanes.back(seq, due_ms, blame, doubt),
                    }
                }
            }
            Ok(None) => {}
            Err(error) => {
                // A fault of the program: it must cost neither the jobs nor their neighbours. What may have left is asked about.
                tracing::error!(destination = self.name(), panic = error.is_panic(), "a dialogue broke off");
                let now = self.parts.clock.stamp();
                for one in &taken {
                    let doubt = one.doubt.unwrap_or_else(|| super::doubt::begin(now.boot_ms, now.wall_ms));
                    let pause = millis(self.parts.settings.backoff_base) << self.lanes.strikes(one.seq).min(8);
                    self.lanes.back(one.seq, now.boot_ms + pause, Back::Suspect, Some(doubt));
                }
            }
        }
        self.lanes.release(&taken);
    }

    fn pardon_after_outage(&mut self) {
        let Some(health) = self.remote().map(Remote::health) else { return };
        let now = self.parts.clock.boot_ms();
        match (health.link, self.down_since) {
            (Link::Down, None) => {
                self.down_since = health.down_since_boot_ms.or(Some(now));
                tracing::warn!(destination = self.name(), code = health.error, "no answer: {}", health.error_text.unwrap_or_default());
            }
            (Link::Up, Some(since)) => {
                self.down_since = None;
                tracing::info!(destination = self.name(), after_ms = now.saturating_sub(since), "answers again");
                if now.saturating_sub(since) >= OUTAGE_MS {
                    self.lanes.pardon();
                }
            }
            _ => {}
        }
    }

    /// Until something is worth doing that no task and no new record announces.
    fn pause_ms(&self) -> u64 {
        let now = self.parts.clock.boot_ms();
        let rest = self.remote().and_then(Remote::rests_until);
        let due = self.lanes.next_due().map(|due| due.max(rest.unwrap_or(0)));
        // What is due already waits for a place, which the end of a task announces.
        match due {
            Some(due) if due > now => (due - now).min(TICK_MS),
            _ => TICK_MS,
        }
    }

    fn report(&mut self) {
        let store = &self.parts.store;
        let to = self.parts.courier.destination();
        let now = self.parts.clock.stamp();
        let first = store.pending(to, 0, 1).first().copied();
        if first != self.oldest.map(|(seq, _)| seq) {
            self.oldest = first.and_then(|_| self.supply.oldest());
        }
        let oldest_ms = self.oldest.map(|(_, stamp)| age_ms(&stamp, &now));
        let (waiting, totals) = (store.pending_count(to), store.totals(to));
        let health = self.remote().map(Remote::health).unwrap_or_default();
        let (doubtful, trouble) = (self.lanes.doubtful(), self.trouble.clone());
        self.parts.hub.destination(to.name(), |state| {
            state.link = health.link;
            state.error = health.error.or(trouble);
            state.error_text = health.error_text;
            state.down_since_boot_ms = health.down_since_boot_ms;
            state.waiting = waiting;
            state.oldest_ms = oldest_ms;
            state.delivered = totals.confirmed;
            state.refused = totals.dead;
            state.doubtful = doubtful as u64;
            state.last_success_boot_ms = health.last_success_boot_ms;
            state.attempts = health.failures;
            state.tokens = health.tokens;
            state.requests = health.requests;
            state.next_attempt_boot_ms = health.next_attempt_boot_ms;
        });
    }
}

/// The age of a fact: by boot time within one boot, else by the wall clock where both can be trusted, else at least the time since the start.
fn age_ms(then: &Stamp, now: &Stamp) -> u64 {
    if then.boot == now.boot {
        now.boot_ms.saturating_sub(then.boot_ms)
    } else if then.sync == Sync::Synced && now.sync == Sync::Synced {
        u64::try_from(now.wall_ms.saturating_sub(then.wall_ms)).unwrap_or(0)
    } else {
        now.boot_ms
    }
}

/// One batch from its first call to its outcome on disk.
async fn deliver(
    desk: Desk,
    jobs: Vec<super::Job>,
    facts: HashMap<Seq, Record>,
    strikes: HashMap<Seq, u32>,
    lane: Lane,
    (settle_window, backoff): (Duration, (Duration, Duration)),
    mut chance: fastrand::Rng,
) -> Finished {
    let ended = desk.hold(jobs.clone(), lane).await;
    let context =
        Context { to: desk.courier.destination(), now: desk.clock.stamp(), settle_window, backoff, jobs: &jobs, facts: &facts, strikes: &strikes };
    let mut outcome = settle(ended, &context, &mut chance);
    let records = std::mem::take(&mut outcome.records);
    if records.is_empty() {
        return Some(outcome);
    }
    let mut pause = Duration::from_millis(100);
    let mut stop = desk.stop.clone();
    loop {
        match desk.store.append(records.clone()).await {
            Ok(_) => return Some(outcome),
            Err(AppendError::Closed) => return None,
            Err(error) => tracing::warn!(destination = context.to.name(), %error, "an outcome cannot be written yet"),
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return None,
        }
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}
