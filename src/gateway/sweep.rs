//! The nightly sweep: a write that the CRM committed after it was asked twice and did not have it makes a second effect. Nothing can prevent that, so it is
//! looked for, and what is found becomes a problem that a person can mend.
//!
//! Once a day, in the venue's quiet hour, the CRM is asked for the passes that were written again lately, with the same questions as `verify --remote`, behind
//! the backlog and at half the pace. Each stretch of the log is looked at in two nights, and what was found is looked at again until it is mended; where it
//! stands is a line of the ledger. Never: a write to the CRM; a request beside the CRM's own pace; a pass called doubled because the CRM could not be asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::books::Resent;
use crate::clock::SharedClock;
use crate::crm::audit::{Finding, Findings, Search, Sought};
use crate::crm::setup::{Ask, Dialogue};
use crate::delivery::{Courier, Host, Lane, Remote, too_many_requests};
use crate::domain::{Seq, Stamp, Sync};
use crate::http::Answer;
use crate::journal::{Destination, Learned, LedgerKey, ReadError, Record, Settled, Store};
use crate::status::{Hub, SweepState};

/// Between two looks at whether it is time.
const LOOK: Duration = Duration::from_secs(60);
/// The quiet hours at the venue: from this one on, and before that one.
const QUIET: (i8, i8) = (3, 5);
/// Not sooner after the last one.
const SOONEST_MS: u64 = 20 * 3_600_000;
/// A box that is switched off at night makes up for it after this long, once it has run for a while and nothing waits.
const LATEST_MS: u64 = 26 * 3_600_000;
const SETTLED_IN_MS: u64 = 10 * 60_000;
/// After one that failed.
const AGAIN: Duration = Duration::from_secs(20 * 60);

/// Records that are read at once, and how far back the first sweep of a box looks.
const PAGE: usize = 1_000;
const FIRST: u64 = 200_000;
/// Passes that one sweep asks for, the newest first; and findings that are kept.
const MOST: usize = 2_000;
const MOST_FOUND: usize = 100;

/// Makes the CRM's questions for passes.
pub type Searches = Arc<dyn Fn(Vec<Sought>) -> Search + Send + std::marker::Sync>;

/// What the sweep is run with.
pub struct Parts {
    /// The journal.
    pub store: Arc<dyn Store>,
    /// The CRM, which delivery shares.
    pub remote: Arc<Remote>,
    /// The CRM's courier, which knows how the CRM says that a limit is reached.
    pub courier: Arc<dyn Courier>,
    /// The CRM's questions.
    pub searches: Searches,
    /// Where what was found is reported.
    pub hub: Arc<Hub>,
    /// Time.
    pub clock: SharedClock,
    /// The venue's zone.
    pub zone: TimeZone,
    /// What lies at least between two attempts at a write.
    pub settle_window: Duration,
    /// Between two questions.
    pub gap: Duration,
}

/// Where the sweep stands, in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    /// When it was done by a synchronised clock, milliseconds since 1970 UTC.
    at_ms: Option<i64>,
    /// How far the log reached then, and the time before.
    head: Seq,
    before: Seq,
    /// Passes that were found to be doubled or missing.
    found: Vec<Found>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Found {
    job: Seq,
    remote: Option<String>,
    finding: Finding,
}

fn key() -> LedgerKey {
    LedgerKey { kind: "sweep".to_owned(), key: Destination::Crm.name().to_owned() }
}

/// Sweeps until `stop` turns true.
pub async fn run(parts: Parts, mut stop: watch::Receiver<bool>) {
    let mut standing: Standing = parts.store.ledger(&key()).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    report(&parts.hub, &standing);
    let started = parts.clock.boot_ms();
    let mut last: Option<u64> = None;
    let mut pause = LOOK;
    while !*stop.borrow() {
        tokio::select! {
            () = sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        pause = LOOK;
        let now = parts.clock.stamp();
        let idle = parts.store.pending_count(Destination::Crm) == 0 && now.boot_ms.saturating_sub(started) >= SETTLED_IN_MS;
        if !due(&now, &parts.zone, since(&now, last, standing.at_ms), idle) {
            continue;
        }
        let swept = tokio::select! {
            swept = sweep(&parts, &standing) => swept,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match swept {
            Ok(next) => {
                last = Some(now.boot_ms);
                standing = next;
                report(&parts.hub, &standing);
            }
            Err(why) => {
                tracing::info!(why, "the nightly sweep could not be done; it is tried again");
                pause = AGAIN;
            }
        }
    }
}

/// Milliseconds since the last sweep, as far as they are known: of this run by boot time, of an earlier one by synchronised clocks.
fn since(now: &Stamp, last_boot_ms: Option<u64>, last_wall_ms: Option<i64>) -> Option<u64> {
    match last_boot_ms {
        Some(last) => Some(now.boot_ms.saturating_sub(last)),
        None => last_wall_ms.filter(|_| now.sync == Sync::Synced).and_then(|last| u64::try_from(now.wall_ms.checked_sub(last)?).ok()),
    }
}

/// Whether it is time. A clock that is not synchronised knows no hour.
fn due(now: &Stamp, zone: &TimeZone, since: Option<u64>, idle: bool) -> bool {
    let hour = Timestamp::from_millisecond(now.wall_ms).ok().filter(|_| now.sync == Sync::Synced).map(|at| at.to_zoned(zone.clone()).hour());
    let quiet = hour.is_some_and(|hour| QUIET.0 <= hour && hour < QUIET.1);
    let long_ago = |ms| since.is_none_or(|since| since >= ms);
    (quiet && long_ago(SOONEST_MS)) || (idle && long_ago(LATEST_MS))
}

/// One sweep; where it stands then is on disk.
async fn sweep(parts: &Parts, standing: &Standing) -> Result<Standing, String> {
    let head = *parts.store.head().borrow();
    let from = if standing.head == 0 { head.saturating_sub(FIRST) } else { standing.before };
    let (store, known, settle_window) = (Arc::clone(&parts.store), standing.found.clone(), parts.settle_window);
    // Reading the log must not hold up those who wait for a runtime's thread.
    let wanted = tokio::task::spawn_blocking(move || wanted(store.as_ref(), from, head, known, settle_window)).await;
    let wanted = wanted.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let asked = wanted.len();
    let findings = if wanted.is_empty() { Findings::new() } else { ask(parts, wanted.values().cloned().collect()).await? };
    let wrong = wanted.into_iter().filter_map(|(job, sought)| {
        let finding = *findings.get(&sought.key).filter(|finding| **finding != Finding::Found)?;
        tracing::warn!(key = %sought.key, ?finding, "the nightly sweep found a pass that is not in the CRM exactly once");
        Some(Found { job, remote: sought.remote, finding })
    });
    let now = parts.clock.stamp();
    let at_ms = (now.sync == Sync::Synced).then_some(now.wall_ms);
    let next = Standing { at_ms, head, before: standing.head.max(from), found: wrong.take(MOST_FOUND).collect() };
    let value = Some(serde_json::to_string(&next).map_err(|error| error.to_string())?);
    let learned = vec![Learned { key: key(), value }];
    let record = Record::Settled(Settled { to: Destination::Crm, items: Vec::new(), learned, stamp: now });
    parts.store.append(vec![record]).await.map_err(|error| error.to_string())?;
    tracing::info!(asked, wrong = next.found.len(), "the nightly sweep is done");
    Ok(next)
}

/// The passes to ask for: those that were written again, and those that were not as they should be the last time. By job.
fn wanted(store: &dyn Store, from: Seq, head: Seq, known: Vec<Found>, settle_window: Duration) -> Result<BTreeMap<Seq, Sought>, ReadError> {
    let (mut resent, mut at) = (Resent::new(from, settle_window), from.max(1));
    while at <= head {
        let entries = store.read(at, PAGE)?;
        let Some(last) = entries.last() else { break };
        at = last.seq.saturating_add(1);
        entries.iter().for_each(|entry| resent.apply(entry));
    }
    let mut jobs: BTreeMap<Seq, Option<String>> = resent.jobs().into_iter().rev().take(MOST).collect();
    jobs.extend(known.into_iter().map(|found| (found.job, found.remote)));
    let mut wanted = BTreeMap::new();
    for (job, remote) in jobs {
        // What the integration writes is found again by its own feeds; and a settled pass may have left the log.
        if let Some(Record::WriteOff(write_off)) = store.get(job)?.map(|entry| entry.record) {
            wanted.insert(job, Sought { key: write_off.pass_id, remote, client: write_off.client_id });
        }
    }
    Ok(wanted)
}

/// Asks the CRM, in turn with all others.
async fn ask(parts: &Parts, sought: Vec<Sought>) -> Result<Findings, String> {
    let limited = |answer: &Answer| parts.courier.limited(Host::Crm, answer).map_or_else(|| too_many_requests(answer), |pause| Some(Some(pause)));
    let mut search = (parts.searches)(sought);
    let mut step = search.next(None);
    loop {
        match step {
            Ask::Done(findings) => return Ok(findings),
            Ask::Failed(error) => return Err(error.to_string()),
            Ask::Call(request) => {
                let answer = parts.remote.ask_in(Lane::Backlog, request, &limited).await.map_err(|failure| failure.to_string())?;
                sleep(parts.gap).await;
                step = search.next(Some(&answer));
            }
        }
    }
}

fn report(hub: &Hub, standing: &Standing) {
    let count = |wanted| standing.found.iter().filter(|found| found.finding == wanted).count() as u64;
    let swept = SweepState { at_ms: standing.at_ms, doubled: count(Finding::Doubled), missing: count(Finding::Missing) };
    hub.destination(Destination::Crm.name(), |state| state.swept = (standing.head > 0).then_some(swept));
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::BootId;

    const HOUR: u64 = 3_600_000;

    fn at(text: &str, sync: Sync, boot_ms: u64) -> Stamp {
        let wall_ms = text.parse::<Timestamp>().unwrap().as_millisecond();
        Stamp { boot: BootId(Uuid::from_u128(1)), boot_ms, wall_ms, sync }
    }

    #[test]
    fn it_is_time_in_the_venues_quiet_hours_once_a_night() {
        let zone = TimeZone::get("Asia/Yekaterinburg").unwrap();
        for (utc, since, expected) in [
            ("2026-11-22T21:59:00Z", None, false),
            ("2026-11-22T22:00:00Z", None, true),
            ("2026-11-22T23:59:00Z", Some(24 * HOUR), true),
            ("2026-11-22T22:30:00Z", Some(HOUR), false),
            ("2026-11-23T00:00:00Z", Some(24 * HOUR), false),
        ] {
            assert_eq!(due(&at(utc, Sync::Synced, 1), &zone, since, false), expected, "{utc} {since:?}");
            assert!(!due(&at(utc, Sync::Unsynced, 1), &zone, since, false), "{utc}: a clock that knows no hour");
        }
    }

    #[test]
    fn a_box_that_sleeps_at_night_makes_up_for_it_when_nothing_waits() {
        let now = at("2026-11-22T12:00:00Z", Sync::Unsynced, 1);
        for (since, idle, expected) in [(None, true, true), (None, false, false), (Some(25 * HOUR), true, false), (Some(26 * HOUR), true, true)] {
            assert_eq!(due(&now, &TimeZone::UTC, since, idle), expected, "{since:?} {idle}");
        }
    }

    #[test]
    fn how_long_ago_the_last_one_was_is_not_taken_from_a_clock_that_may_lie() {
        let (synced, lying) = (at("2026-11-22T12:00:00Z", Sync::Synced, 5 * HOUR), at("2026-11-22T12:00:00Z", Sync::Unsynced, 5 * HOUR));
        let an_hour_ago = Some(synced.wall_ms - 3_600_000);
        assert_eq!(since(&lying, Some(2 * HOUR), an_hour_ago), Some(3 * HOUR), "boot time goes before wall time");
        assert_eq!((since(&synced, None, an_hour_ago), since(&lying, None, an_hour_ago)), (Some(HOUR), None));
        assert_eq!((since(&synced, None, Some(i64::MAX)), since(&synced, None, Some(i64::MIN)), since(&synced, None, None)), (None, None, None));
    }
}
