//! The gateway's side of the control socket.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio::sync::{Notify, broadcast, watch};

use crate::clock::SharedClock;
use crate::delivery::{self as letters, LetterError, revive};
use crate::domain::Seq;
use crate::door::{ByHand, HandError, NoDoor};
use crate::feed::Hints;
use crate::journal::{LedgerKey, Store};
use crate::lime::feed::Kind;
use crate::status::{Link, Report, Snapshot};
use crate::tap::Event;

use super::sync::{self, SyncOrder};
use super::{Decided, Decision, OpenOrder, OpenedByHand};

/// A new report comes within this time, else the last one is shown: it says when it was drawn up.
const FRESH: Duration = Duration::from_secs(2);

/// What the socket can reach.
#[derive(Clone)]
pub struct Control {
    /// The journal.
    pub store: Arc<dyn Store>,
    /// The newest report.
    pub report: watch::Receiver<Arc<Report>>,
    /// Asks for a new report.
    pub ask: Arc<Notify>,
    /// The tap.
    pub tap: broadcast::Sender<Event>,
    /// The clock.
    pub clock: SharedClock,
    /// The doors, where there are any.
    pub doors: Option<ByHand>,
    /// Lime's feeds that this gateway reads.
    pub feeds: Vec<Kind>,
    /// Wakes the feeds that rest.
    pub hints: Hints,
    /// The gateway is stopping.
    pub stop: watch::Receiver<bool>,
}

/// Listens until the gateway stops. A socket left by a killed gateway is replaced: the journal's lock says that nobody else runs.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve(path: &Path, control: Control) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let mut stop = control.stop.clone();
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/tap", get(tap))
        .route("/v1/dead/retry", post(retry))
        .route("/v1/dead/drop", post(drop_dead))
        .route("/v1/door/open", post(open_door))
        .route("/v1/ledger", post(ledger))
        .route("/v1/sync", get(sync_state).post(sync_run))
        .with_state(control);
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        result = axum::serve(listener, router) => result,
        () = stopped => Ok(()),
    }
}

async fn status(State(control): State<Control>) -> Json<Report> {
    // Who asks wants to know how it is now, and not how it was when the last report was drawn up.
    let mut report = control.report.clone();
    report.mark_unchanged();
    control.ask.notify_one();
    let _ = tokio::time::timeout(FRESH, report.changed()).await;
    let report = report.borrow().clone();
    Json((*report).clone())
}

#[derive(Deserialize)]
struct TapQuery {
    #[serde(default)]
    cards: bool,
}

async fn tap(State(control): State<Control>, Query(query): Query<TapQuery>) -> Response {
    let events = control.tap.subscribe();
    let stop = control.stop.clone();
    let lines = futures_util::stream::unfold((events, stop), move |(mut events, mut stop)| async move {
        let event = tokio::select! {
            event = next(&mut events) => event?,
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        let event = if query.cards { event } else { event.masked() };
        let mut line = serde_json::to_vec(&event).ok()?;
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), (events, stop)))
    });
    Response::builder()
        .header("content-type", "application/x-ndjson")
        .body(Body::from_stream(lines))
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// A slow listener misses events; it does not slow the gateway.
async fn next(events: &mut broadcast::Receiver<Event>) -> Option<Event> {
    loop {
        match events.recv().await {
            Ok(event) => return Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

async fn retry(State(control): State<Control>, Json(decision): Json<Decision>) -> Response {
    let Decision { to, jobs, reason } = decision;
    answer(revive(control.store.as_ref(), control.clock.as_ref(), to, jobs.clone(), reason).await, jobs)
}

async fn drop_dead(State(control): State<Control>, Json(decision): Json<Decision>) -> Response {
    if decision.reason.trim().is_empty() {
        return (StatusCode::BAD_REQUEST, "a reason is needed").into_response();
    }
    let Decision { to, jobs, reason } = decision;
    answer(letters::drop_dead(control.store.as_ref(), control.clock.as_ref(), to, jobs.clone(), reason).await, jobs)
}

/// The longest reason and account that are journalled, characters.
const LONGEST: usize = 500;

async fn open_door(State(control): State<Control>, Json(order): Json<OpenOrder>) -> Response {
    let short = |text: &str| text.trim().chars().take(LONGEST).collect::<String>();
    let (reason, who) = (short(&order.reason), short(&order.who));
    if reason.is_empty() {
        return (StatusCode::BAD_REQUEST, "a reason is needed").into_response();
    }
    let found = control.doors.as_ref().map_or_else(|| Err(NoDoor::Unknown(order.point.clone())), |doors| doors.find(&order.point));
    let door = match found {
        Ok(door) => door,
        Err(error) => return (StatusCode::NOT_FOUND, error.to_string()).into_response(),
    };
    match door.open_by_hand(who, reason).await {
        Ok(()) => Json(OpenedByHand { opened: true }).into_response(),
        Err(error @ (HandError::Busy | HandError::Free)) => (StatusCode::CONFLICT, error.to_string()).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

#[derive(Deserialize)]
struct LedgerQuestion {
    kind: String,
    key: String,
}

async fn ledger(State(control): State<Control>, Json(asked): Json<LedgerQuestion>) -> Response {
    let value = control.store.ledger(&LedgerKey { kind: asked.kind, key: asked.key });
    Json(serde_json::json!({ "value": value })).into_response()
}

#[derive(Deserialize)]
struct SyncQuery {
    upto: Option<Seq>,
    #[serde(default)]
    kinds: bool,
}

async fn sync_state(State(control): State<Control>, Query(query): Query<SyncQuery>) -> Response {
    let store = Arc::clone(&control.store);
    // Counting reads the log.
    let counted = tokio::task::spawn_blocking(move || {
        let mut state = sync::state(store.as_ref(), &control.feeds, query.upto);
        state.trouble = trouble(&control.report.borrow().snapshot);
        if query.kinds {
            state.by_kind = Some(sync::by_kind(store.as_ref())?);
        }
        Ok::<_, crate::journal::ReadError>(state)
    });
    match counted.await {
        Ok(Ok(state)) => Json(state).into_response(),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn trouble(now: &Snapshot) -> Vec<String> {
    let feeds = now.feeds.iter().filter_map(|(name, feed)| Some(format!("{name}: {}", feed.error_text.as_ref()?)));
    let down = now.destinations.iter().filter(|(_, state)| state.link == Link::Down);
    feeds.chain(down.filter_map(|(name, state)| Some(format!("{name}: {}", state.error_text.as_ref()?)))).collect()
}

async fn sync_run(State(control): State<Control>, Json(order): Json<SyncOrder>) -> Response {
    if let Some(other) = order.kinds.iter().find(|kind| !control.feeds.contains(kind)) {
        return (StatusCode::BAD_REQUEST, format!("[hub] does not ask for {}", other.word())).into_response();
    }
    match sync::order(control.store.as_ref(), &order, control.clock.stamp()).await {
        Ok(ordered) => {
            control.hints.all();
            Json(ordered).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

fn answer(result: Result<(), LetterError>, jobs: Vec<Seq>) -> Response {
    match result {
        Ok(()) => Json(Decided { jobs }).into_response(),
        Err(error @ LetterError::NotDead { .. }) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
        Err(error @ LetterError::Append(_)) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}
