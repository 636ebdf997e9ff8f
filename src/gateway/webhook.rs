//! The CRM's calls, where a public address exists: whoever knows the secret may have a feed begin at once.
//!
//! A call is answered before anything is done about it (amoCRM waits two seconds and counts bad answers), and says only which feed to begin: what that feed
//! reads, and its cursor, decide. However many calls come, a feed is begun once in [`GAP`] at most. Never: a fact taken from a call; a call answered with
//! anything about the box.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::CrmKind;
use crate::crm::{amocrm, bitrix24};
use crate::domain::Secret;
use crate::feed::{Hint, Hints};
use crate::http::listener::{self, Bounds, same, stopped};

/// amoCRM tells of up to a few hundred cards in one call, each with all its fields.
const MOST_BODY: usize = 1024 * 1024;

/// Few callers, each for a moment.
const BOUNDS: Bounds = Bounds { connections: 16, read_within: Duration::from_secs(5), connection: Duration::from_secs(15) };

/// A body has to arrive within this.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// Between two beginnings of one feed: our own writes are told of, too.
const GAP: Duration = Duration::from_secs(2);

/// Who does not know the secret waits this long for the answer, and holds one of the few connections meanwhile.
const STRANGER: Duration = Duration::from_secs(1);

/// One for each feed of the CRM's.
type Bells = Vec<(&'static str, Hint)>;

#[derive(Clone)]
struct Porch {
    secret: Arc<Secret>,
    bells: Arc<Bells>,
}

/// Serves until told to stop.
pub(super) async fn serve(address: SocketAddr, secret: Secret, crm: CrmKind, hints: Hints, mut stop: watch::Receiver<bool>) {
    let (feeds, of_amocrm) = match crm {
        CrmKind::AmoCrm(_) => (amocrm::FEEDS, true),
        CrmKind::Bitrix24(_) => (bitrix24::FEEDS, false),
    };
    let mut ringing = JoinSet::new();
    let mut bells = Bells::new();
    for feed in feeds {
        // A feed that the config does not ask for is not there.
        if let Some(hint) = hints.get(feed) {
            let bell = Hint::default();
            ringing.spawn(ring(feed, Arc::clone(&bell), Arc::clone(hint)));
            bells.push((feed, bell));
        }
    }
    let porch = Porch { secret: Arc::new(secret), bells: Arc::new(bells) };
    let router =
        if of_amocrm { Router::new().route("/amocrm/{secret}", post(from_amocrm)) } else { Router::new().route("/bitrix24", post(from_bitrix24)) };
    listener::serve("the CRM's webhooks", address, None, router.with_state(porch), BOUNDS, stop.clone()).await;
    stopped(&mut stop).await;
    ringing.shutdown().await;
}

/// Begins a feed when its bell was rung, and not more often than it may.
async fn ring(feed: &'static str, bell: Hint, hint: Hint) {
    let mut heard = false;
    loop {
        bell.notified().await;
        if !std::mem::replace(&mut heard, true) {
            tracing::info!(feed, "the CRM calls by webhook");
        }
        hint.notify_one();
        sleep(GAP).await;
    }
}

impl Porch {
    fn ring(&self, wanted: impl Fn(&str) -> bool) {
        self.bells.iter().filter(|(feed, _)| wanted(feed)).for_each(|(_, bell)| bell.notify_one());
    }
}

async fn body_of(body: Body) -> Result<Bytes, StatusCode> {
    match timeout(BODY_WITHIN, to_bytes(body, MOST_BODY)).await {
        Ok(body) => body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// Its address is its secret, so it is known before the body is read: one that is too large or does not come begins every feed.
async fn from_amocrm(State(porch): State<Porch>, Path(given): Path<String>, body: Body) -> StatusCode {
    if !same(given.as_bytes(), &porch.secret) {
        sleep(STRANGER).await;
        return StatusCode::NOT_FOUND;
    }
    match body_of(body).await {
        Ok(body) => {
            let feeds = amocrm::webhook::feeds(&body);
            porch.ring(|feed| feeds.contains(feed));
        }
        Err(_) => porch.ring(|_| true),
    }
    StatusCode::NO_CONTENT
}

async fn from_bitrix24(State(porch): State<Porch>, body: Body) -> StatusCode {
    let call = match body_of(body).await {
        Ok(body) => bitrix24::webhook::Call::read(&body),
        Err(status) => return status,
    };
    if !call.token.is_some_and(|token| same(token.reveal().as_bytes(), &porch.secret)) {
        sleep(STRANGER).await;
        return StatusCode::NOT_FOUND;
    }
    porch.ring(|feed| call.feed == Some(feed));
    StatusCode::OK
}
