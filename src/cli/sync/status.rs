//! `limegate sync status`: each feed's cursor, and what waits.

use serde_json::json;

use super::super::journal::Log;
use super::super::render::table;
use super::super::{Exit, Global, block_on, client_error, notice, out, out_json};
use super::word;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Language};
use crate::control::{self, Client, ClientError, FeedPlace, SyncState};
use crate::lime::feed::Kind;
use crate::words::{Value, cli, grouped, sync as words};

pub(super) fn run(global: &Global, config: &Config, kinds: &[Kind], language: Language) -> Exit {
    let client = Client::of(&config.state_dir);
    let state = match block_on(client.get::<SyncState>("/v1/sync?kinds=true")) {
        Ok(state) => state,
        Err(ClientError::NotRunning(_)) => match from_log(config, kinds) {
            Ok(state) => state,
            Err(error) => {
                notice(&error);
                return Exit::TryAgain;
            }
        },
        Err(error) => return client_error(&error, language),
    };
    if global.json {
        out_json(&json!(state));
        return Exit::Fine;
    }
    let now_ms = SystemClock::new().stamp().wall_ms;
    out(&shown(&state, now_ms, language));
    Exit::Fine
}

fn from_log(config: &Config, kinds: &[Kind]) -> Result<SyncState, String> {
    let log = Log::open(config).map_err(|error| error.to_string())?;
    let mut state = control::state(log.store(), kinds, None);
    state.by_kind = Some(control::by_kind(log.store()).map_err(|error| error.to_string())?);
    Ok(state)
}

fn shown(state: &SyncState, now_ms: i64, language: Language) -> String {
    let mut rows = vec![[words::KIND, words::CURSOR, words::WALK, words::WAITING].map(|word| word.text(language)).to_vec()];
    let waiting = |what: &str| state.by_kind.as_ref().and_then(|counted| counted.get(what)).copied().unwrap_or(0);
    rows.extend(state.feeds.iter().map(|(kind, place)| {
        let about = match kind {
            Kind::Clients => "client",
            Kind::Transactions => "receipt",
            Kind::Products => "product",
            Kind::Preorders => "preorder",
        };
        vec![word(*kind).text(language), age(place, now_ms, language), walk(place, language), grouped(waiting(about))]
    }));
    let mut lines = table(&rows, &[3]);
    let others = ["contact", "deal", "pass"].map(|what| format!("{what} {}", grouped(waiting(what)))).join(", ");
    lines.push(words::OTHERS_WAIT.with("what", others).text(language));
    lines.extend(state.trouble.iter().map(|why| words::HELD_UP.with("why", why.as_str()).text(language)));
    lines.join("\n")
}

fn age(place: &FeedPlace, now_ms: i64, language: Language) -> String {
    if !place.begun {
        return words::NEVER.text(language);
    }
    let age = u64::try_from(now_ms.saturating_sub(place.kept_ms)).unwrap_or(0);
    cli::AGO.with("t", Value::Span(age)).text(language)
}

fn walk(place: &FeedPlace, language: Language) -> String {
    match (&place.wished, &place.walk, &place.walked) {
        (Some(_), _, _) => words::WISHED.text(language),
        (None, Some(walk), _) => words::WALKING.with("told", grouped(walk.told)).text(language),
        (None, None, Some(walked)) => words::WALKED.with("told", grouped(walked.told)).text(language),
        (None, None, None) => "-".to_owned(),
    }
}
