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
use crate::journal::Store;
use crate::status::Report;
use crate::tap::Event;

use super::{Decided, Decision};

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

fn answer(result: Result<(), LetterError>, jobs: Vec<Seq>) -> Response {
    match result {
        Ok(()) => Json(Decided { jobs }).into_response(),
        Err(error @ LetterError::NotDead { .. }) => (StatusCode::NOT_FOUND, error.to_string()).into_response(),
        Err(error @ LetterError::Append(_)) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}
