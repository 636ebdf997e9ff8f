//! `limegate sync run`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::super::{Exit, Global, block_on, client_error, notice, out, out_json};
use super::bar::Bar;
use super::{RunArgs, chosen, listed};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Language};
use crate::control::{self, Client, ClientError, Ordered, SyncOrder, SyncState};
use crate::domain::Seq;
use crate::gateway::sync::{Walker, count};
use crate::lime::feed::Kind;
use crate::words::{Phrase, Value, sync as words};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn run(global: &Global, args: &RunArgs, config: &Config, offered: &[Kind], language: Language) -> Exit {
    let (kinds, since_ms) = match chosen(args, offered, config, language) {
        Ok(chosen) => chosen,
        Err(exit) => return exit,
    };
    if args.dry_run {
        return block_on(dry_run(global, config, &kinds, since_ms, language));
    }
    let order = SyncOrder { id: Uuid::new_v4().to_string(), kinds, since_ms };
    block_on(async {
        let client = Client::of(&config.state_dir);
        match client.post::<_, Ordered>("/v1/sync", &order).await {
            Ok(ordered) => by_gateway(global, &client, ordered, language).await,
            Err(ClientError::NotRunning(_)) => alone(global, config, &order, language).await,
            Err(error) => client_error(&error, language),
        }
    })
}

/// Counts, and writes nothing.
async fn dry_run(global: &Global, config: &Config, kinds: &[Kind], since_ms: Option<i64>, language: Language) -> Exit {
    let clock = SystemClock::new();
    let mut bar = Bar::new(global.json);
    let mut counted = Vec::new();
    for kind in kinds {
        let before = counted.clone();
        let each = |now: crate::gateway::sync::Count| {
            let so_far = before.iter().copied().chain([(*kind, now)]);
            let what = listed(so_far.map(|(kind, count): (Kind, crate::gateway::sync::Count)| (kind, count.jobs)), language);
            bar.show(clock.boot_ms(), None, &words::READING.with("what", what).text(language));
        };
        match count(config, *kind, since_ms, each).await {
            Ok(count) => counted.push((*kind, count)),
            Err(why) => {
                bar.end();
                notice(&words::LIME_SILENT.with("why", why).text(language));
                return Exit::TryAgain;
            }
        }
    }
    bar.end();
    if global.json {
        let shown: BTreeMap<&str, serde_json::Value> = counted
            .iter()
            .map(|(kind, count)| (kind.word(), json!({"jobs": count.jobs, "passed_over": count.passed, "unreadable": count.odd})))
            .collect();
        out_json(&json!({"v": 1, "dry_run": true, "kinds": shown}));
        return Exit::Fine;
    }
    out(&words::WOULD_SEND.with("what", listed(counted.iter().map(|(kind, count)| (*kind, count.jobs)), language)).text(language));
    for (kind, count) in counted.iter().filter(|(_, count)| count.passed + count.odd > 0) {
        let what = super::word(*kind).text(language);
        out(&words::PASSED_OVER.with("what", what).count("n", count.passed + count.odd).text(language));
    }
    Exit::Fine
}

/// How far an order has come, from one look to the next.
struct Progress {
    walks: BTreeMap<Kind, String>,
    /// The record up to which the CRM's jobs are of this order, how many waited then, and when that was.
    reached: Option<(Seq, u64, u64)>,
}

impl Progress {
    fn new(ordered: Ordered) -> Self {
        Self { walks: ordered.walks, reached: None }
    }

    /// Things told of so far, by kind.
    fn told(&self, state: &SyncState) -> Vec<(Kind, u64)> {
        let told = |kind: &Kind, id: &String| {
            let place = state.feeds.get(kind);
            let walked = place.and_then(|place| place.walked.as_ref()).filter(|walked| walked.id == *id).map(|walked| walked.told);
            let walk = place.and_then(|place| place.walk.as_ref()).filter(|walk| walk.id == *id).map(|walk| walk.told);
            walked.or(walk).unwrap_or(0)
        };
        self.walks.iter().map(|(kind, id)| (*kind, told(kind, id))).collect()
    }

    /// Every walk has come to its end.
    fn walked(&self, state: &SyncState) -> bool {
        let ended = |kind: &Kind, id: &String| state.feeds.get(kind).and_then(|place| place.walked.as_ref()).is_some_and(|walked| walked.id == *id);
        self.walks.iter().all(|(kind, id)| ended(kind, id))
    }

    fn upto(&self) -> String {
        self.reached.map_or_else(|| "/v1/sync".to_owned(), |(upto, _, _)| format!("/v1/sync?upto={upto}"))
    }

    /// Takes a look; true when all is done.
    fn look(&mut self, state: &SyncState, now_ms: u64, bar: &mut Bar, language: Language) -> bool {
        let held_up = |text: String| match state.trouble.first() {
            Some(why) => format!("{text}; {}", words::HELD_UP.with("why", why.as_str()).text(language)),
            None => text,
        };
        let Some((_, all, since_ms)) = self.reached else {
            let what = listed(self.told(state), language);
            bar.show(now_ms, None, &held_up(words::READING.with("what", what).text(language)));
            if self.walked(state) {
                self.reached = Some((state.head, state.waiting, now_ms));
            }
            return false;
        };
        let done = all.saturating_sub(state.waiting_upto);
        let text = delivering(done, all, now_ms.saturating_sub(since_ms));
        bar.show(now_ms, Some((done, all)), &held_up(text.text(language)));
        state.waiting_upto == 0
    }
}

/// With rate and remaining time, once there is something to reckon with.
fn delivering(done: u64, all: u64, passed_ms: u64) -> Phrase {
    let first = || words::DELIVERING_FIRST.with("done", Value::Count(done)).with("all", Value::Count(all));
    if done == 0 || passed_ms == 0 {
        return first();
    }
    let rate = done.saturating_mul(60_000) / passed_ms;
    let left_ms = all.saturating_sub(done).saturating_mul(passed_ms) / done;
    words::DELIVERING.with("done", Value::Count(done)).with("all", Value::Count(all)).with("rate", Value::Count(rate)).span("t", left_ms)
}

/// The gateway does it; this only looks on.
async fn by_gateway(global: &Global, client: &Client, ordered: Ordered, language: Language) -> Exit {
    if !global.json {
        notice(&words::MAY_LEAVE.text(language));
    }
    let clock = SystemClock::new();
    let (mut bar, mut progress) = (Bar::new(global.json), Progress::new(ordered));
    let mut refused = None;
    loop {
        let state: SyncState = match client.get(&progress.upto()).await {
            Ok(state) => state,
            Err(error) => {
                bar.end();
                return client_error(&error, language);
            }
        };
        let before = *refused.get_or_insert(state.refused);
        if progress.look(&state, clock.boot_ms(), &mut bar, language) {
            bar.end();
            return done(global, &progress, &state, state.refused.saturating_sub(before), language);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn done(global: &Global, progress: &Progress, state: &SyncState, refused: u64, language: Language) -> Exit {
    let told = progress.told(state);
    if global.json {
        let kinds: BTreeMap<&str, u64> = told.iter().map(|(kind, count)| (kind.word(), *count)).collect();
        out_json(&json!({"v": 1, "kinds": kinds, "refused": refused, "waiting": state.waiting}));
    } else {
        let what = listed(told, language);
        let text = if refused > 0 { words::DONE_WITH_REFUSED.with("what", what).count("n", refused) } else { words::DONE.with("what", what) };
        out(&text.text(language));
    }
    if refused > 0 { Exit::Problems } else { Exit::Fine }
}

/// No gateway runs: reads Lime into the journal, and leaves the delivery to the gateway.
async fn alone(global: &Global, config: &Config, order: &SyncOrder, language: Language) -> Exit {
    let mut walker = match Walker::open(config) {
        Ok(walker) => walker,
        Err(error) => {
            notice(&error.to_string());
            return Exit::TryAgain;
        }
    };
    if !global.json {
        notice(&words::MAY_LEAVE_ALONE.text(language));
    }
    let ordered = match control::order(walker.store().as_ref(), order, walker.clock().stamp()).await {
        Ok(ordered) => ordered,
        Err(error) => {
            notice(&error.to_string());
            walker.end().await;
            return Exit::TryAgain;
        }
    };
    if let Err(error) = walker.read(config, &order.kinds) {
        notice(&error.to_string());
        walker.end().await;
        return Exit::BadConfig;
    }
    let (mut bar, mut progress) = (Bar::new(global.json), Progress::new(ordered));
    let state = loop {
        let mut state = control::state(walker.store().as_ref(), &order.kinds, None);
        state.trouble = walker.trouble();
        progress.look(&state, walker.clock().boot_ms(), &mut bar, language);
        if progress.walked(&state) {
            break state;
        }
        tokio::time::sleep(LOOK).await;
    };
    bar.end();
    walker.end().await;
    if global.json {
        return done(global, &progress, &state, 0, language);
    }
    let what = listed(progress.told(&state), language);
    out(&words::READ_ONLY_DONE.with("what", what).count("n", state.waiting).text(language));
    Exit::Fine
}
