//! Carries a feed out: asks, keeps, rests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::clock::SharedClock;
use crate::delivery::{Backoff, Courier, Lane, Ledger, Remote, too_many_requests};
use crate::domain::Change;
use crate::http::Answer;
use crate::journal::{Destination, LedgerKey, Record, Settled, Store};

use super::{Feed, Heard, Page, Turn};

/// The first and the longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Somebody says that there is news: feeds that rest begin at once.
pub type Hint = Arc<Notify>;

/// What a feed is run with.
#[derive(Clone)]
pub struct Parts {
    /// The journal.
    pub store: Arc<dyn Store>,
    /// Who is asked.
    pub remote: Arc<Remote>,
    /// The CRM's courier, which knows how the CRM says that a limit is reached.
    pub courier: Arc<dyn Courier>,
    /// Time.
    pub clock: SharedClock,
    /// Hints that there is news.
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
    while !*stop.borrow() {
        let turn = {
            let heard = match &told {
                Told::Begin => Heard::Begin,
                Told::Answer(answer) => Heard::Answer(answer),
                Told::Kept => Heard::Kept,
            };
            feed.next(heard, &StoreLedger(parts.store.as_ref()), parts.clock.stamp().wall_ms)
        };
        let pause = match turn {
            Turn::Ask(request) => {
                let answer = tokio::select! {
                    answer = parts.remote.ask_in(Lane::Backlog, request, &limited) => answer,
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
            Turn::Keep(page) => match parts.store.append(records(page, &parts.clock)).await {
                Ok(_) => {
                    told = Told::Kept;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(feed = feed.name(), %error, "what was told cannot be written yet; it is asked for again");
                    backoff.failure(parts.clock.boot_ms(), &mut parts.chance)
                }
            },
            Turn::Rest(pause) => {
                backoff.success(parts.clock.boot_ms());
                if trouble.take().is_some() {
                    tracing::info!(feed = feed.name(), "the feed works again");
                }
                pause
            }
            Turn::Trouble(code, text, pause) => {
                if trouble != Some(code) {
                    tracing::warn!(feed = feed.name(), code, "{text}");
                    trouble = Some(code);
                }
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
