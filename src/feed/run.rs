//! Carries a feed out: asks, keeps, rests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock::SharedClock;
use crate::delivery::{Backoff, Courier, Lane, Ledger, Remote, too_many_requests};
use crate::domain::Change;
use crate::http::{Answer, DEFAULT_TIMEOUT};
use crate::journal::{AppendError, Destination, JournalStat, LedgerKey, Record, Settled, Store};
use crate::status::{Hub, Link};

use super::{Feed, Heard, Hint, Page, Turn};

/// The first and the longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A walk waits while facts that somebody waits for take more than this share of the journal: passes need the rest.
const FULL_SHARE: u64 = 2;

/// A walk waits, too, while the CRM has so many changes to come: what waits is known in memory, and that is not to grow with the venue.
const MOST_WAITING: u64 = 20_000;

/// Between two looks at whether a walk may go on.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// What a feed is run with.
#[derive(Clone)]
pub struct Parts {
    /// The journal.
    pub store: Arc<dyn Store>,
    /// Who is asked.
    pub remote: Arc<Remote>,
    /// The CRM's courier, which knows how the CRM says that a limit is reached.
    pub courier: Arc<dyn Courier>,
    /// Where its state is reported.
    pub hub: Arc<Hub>,
    /// Time.
    pub clock: SharedClock,
    /// Hints that there is news for it.
    pub hint: Hint,
    /// Randomness, for the spread of waits.
    pub chance: fastrand::Rng,
}

struct StoreLedger<'a>(&'a dyn Store);

impl Ledger for StoreLedger<'_> {
    fn get(&self, key: &LedgerKey) -> Option<String> {
        self.0.ledger(key)
    }
}

enum Told {
    Begin,
    Answer(Answer),
    Kept,
}

/// Runs a feed until `stop` turns true. A failure costs a wait and no change: the feed begins again from its cursor.
pub async fn run(mut feed: Box<dyn Feed>, mut parts: Parts, mut stop: watch::Receiver<bool>) {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    let host = feed.host();
    let courier = Arc::clone(&parts.courier);
    let limited = move |answer: &Answer| courier.limited(host, answer).map_or_else(|| too_many_requests(answer), |pause| Some(Some(pause)));
    let mut told = Told::Begin;
    let mut trouble = None;
    parts.hub.feed(feed.name(), |_| {});
    while !*stop.borrow() {
        let turn = {
            let heard = match &told {
                Told::Begin => Heard::Begin,
                Told::Answer(answer) => Heard::Answer(answer),
                Told::Kept => Heard::Kept,
            };
            feed.next(heard, &StoreLedger(parts.store.as_ref()), parts.clock.stamp().wall_ms)
        };
        report_odd(feed.as_mut(), &parts.hub);
        let pause = match turn {
            Turn::Ask(request) => {
                // A question that is kept waiting may be broken off: it only asks.
                let waits = request.timeout > DEFAULT_TIMEOUT;
                let answer = tokio::select! {
                    answer = parts.remote.ask_in(Lane::Backlog, request, &limited) => answer,
                    () = parts.hint.notified(), if waits => {
                        told = Told::Begin;
                        continue;
                    }
                    _ = stop.wait_for(|stop| *stop) => return,
                };
                match answer {
                    Ok(answer) => {
                        told = Told::Answer(answer);
                        continue;
                    }
                    // The remote's own trouble is reported with the remote.
                    Err(_) => backoff.failure(parts.clock.boot_ms(), &mut parts.chance),
                }
            }
            Turn::Keep(page) => match keep(page, &parts, &mut stop).await {
                None => return,
                Some(Ok(count)) => {
                    parts.hub.feed(feed.name(), |state| state.told += count);
                    told = Told::Kept;
                    continue;
                }
                Some(Err(error)) => {
                    tracing::warn!(feed = feed.name(), %error, "what was told cannot be written yet; it is asked for again");
                    backoff.failure(parts.clock.boot_ms(), &mut parts.chance)
                }
            },
            Turn::Rest(pause) => {
                backoff.success(parts.clock.boot_ms());
                if trouble.take().is_some() {
                    tracing::info!(feed = feed.name(), "the feed works again");
                }
                let now = parts.clock.boot_ms();
                parts.hub.feed(feed.name(), |state| {
                    (state.link, state.last_read_boot_ms) = (Link::Up, Some(now));
                    (state.error, state.error_text, state.down_since_boot_ms) = (None, None, None);
                });
                pause
            }
            Turn::Trouble(code, text, pause) => {
                if trouble != Some(code) {
                    tracing::warn!(feed = feed.name(), code, "{text}");
                    trouble = Some(code);
                }
                let now = parts.clock.boot_ms();
                parts.hub.feed(feed.name(), |state| {
                    state.link = Link::Down;
                    (state.error, state.error_text) = (Some(code.to_owned()), Some(text));
                    state.down_since_boot_ms.get_or_insert(now);
                });
                pause
            }
        };
        told = Told::Begin;
        tokio::select! {
            () = sleep(pause) => {}
            () = parts.hint.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Counts what could not be read, and says which it was.
fn report_odd(feed: &mut dyn Feed, hub: &Hub) {
    let odd = feed.passed_over();
    if odd.is_empty() {
        return;
    }
    let ids = odd.join(" ");
    tracing::warn!(feed = feed.name(), count = odd.len(), ids, "items that cannot be read were passed over");
    hub.feed(feed.name(), |state| state.passed_over += odd.len() as u64);
}

/// Makes a page durable; how many changes that were. `None`: the gateway stops.
async fn keep(page: Page, parts: &Parts, stop: &mut watch::Receiver<bool>) -> Option<Result<u64, AppendError>> {
    let (count, walk) = (page.news.len() as u64, page.news.iter().any(|news| news.back_fill));
    // `limegate sync run` without a gateway walks all at once: nobody delivers meanwhile.
    let waiting = || match parts.hub.snapshot().destinations.contains_key(Destination::Crm.name()) {
        true => parts.store.pending_count(Destination::Crm),
        false => 0,
    };
    while walk && has_to_wait(&parts.store.stat(), waiting()) {
        tokio::select! {
            () = sleep(FULL_PAUSE) => {}
            _ = stop.wait_for(|stop| *stop) => return None,
        }
    }
    Some(parts.store.append(records(page, &parts.clock)).await.map(|_| count))
}

/// A walk would take too much of the journal, or of the memory.
fn has_to_wait(stat: &JournalStat, waiting: u64) -> bool {
    let full = stat.budget_bytes > 0 && stat.unsettled_bytes > stat.budget_bytes / FULL_SHARE;
    full || waiting >= MOST_WAITING
}

/// Changes first, then what covers them: all in one append.
fn records(page: Page, clock: &SharedClock) -> Vec<Record> {
    let stamp = clock.stamp();
    let change = |news: super::News| {
        let super::News { told, version, changed_ms, origin, back_fill } = news;
        Record::Change(Change { told, version, changed_ms, origin, back_fill, stamp })
    };
    let mut records: Vec<Record> = page.news.into_iter().map(change).collect();
    if !page.learned.is_empty() || records.is_empty() {
        records.push(Record::Settled(Settled { to: Destination::Crm, items: Vec::new(), learned: page.learned, stamp }));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_waits_at_half_of_the_journal_and_at_so_many_changes_that_the_crm_has_to_come() {
        let at = |unsettled_bytes, budget_bytes| JournalStat { unsettled_bytes, budget_bytes, ..JournalStat::default() };
        assert!(!has_to_wait(&at(50, 100), 0) && has_to_wait(&at(51, 100), 0));
        assert!(!has_to_wait(&at(51, 0), 0), "without a budget there is no half of it");
        assert!(!has_to_wait(&at(0, 100), MOST_WAITING - 1) && has_to_wait(&at(0, 100), MOST_WAITING));
    }
}
