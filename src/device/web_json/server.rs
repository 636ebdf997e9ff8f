//! The listener: who may come, how much, how long.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as BoundListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::desk::Desk;
use super::wire;
use crate::device::Parts;
use crate::domain::Secret;
use crate::http::listener::{self, Bounds, same, stopped};

/// A full batch of events has some tens of kilobytes.
const MOST_BODY: usize = 64 * 1024;
/// Connections at once: each controller has one.
const MOST_CONNECTIONS: usize = 64;
/// Head and body have to arrive within this.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// A connection that asks nothing ends after this; one request takes no longer, either.
const CONNECTION: Duration = Duration::from_secs(60);
/// How often absent controllers are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is under way at a stop has this long.
const DRAIN: Duration = Duration::from_secs(3);

/// Where and under which password controllers come in.
pub(super) struct Entrance {
    pub listen: SocketAddr,
    pub bound: Option<BoundListener>,
    pub password: Option<Secret>,
}

#[derive(Clone)]
struct Hall {
    desks: Arc<HashMap<u64, Arc<Desk>>>,
    password: Option<Arc<Secret>>,
}

/// Serves until told to stop.
pub(super) async fn serve(entrance: Entrance, desks: Vec<Arc<Desk>>, parts: Parts) {
    let (mut stop, accepting) = (parts.stop.clone(), parts.stop.clone());
    let hall =
        Hall { desks: Arc::new(desks.iter().map(|desk| (desk.serial(), Arc::clone(desk))).collect()), password: entrance.password.map(Arc::new) };
    let router = Router::new().route("/", post(open)).route("/connect", post(open)).route("/connect/{password}", post(named)).with_state(hall);
    let looking = look(&desks);
    let bounds = Bounds { connections: MOST_CONNECTIONS, read_within: READ_WITHIN, connection: CONNECTION };
    let listening = listener::serve("controllers", entrance.listen, entrance.bound, router, bounds, accepting);
    tokio::select! {
        () = looking => {}
        () = listening => {}
        () = async { stopped(&mut stop).await; sleep(DRAIN).await } => {}
    }
}

async fn look(desks: &[Arc<Desk>]) {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for desk in desks {
            desk.look().await;
        }
    }
}

async fn open(State(hall): State<Hall>, headers: HeaderMap, body: Body) -> Response {
    if hall.password.as_deref().is_some_and(|password| !basic(&headers).is_some_and(|given| same(given.as_bytes(), password))) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"limegate\"")]).into_response();
    }
    post_to(&hall, body).await
}

async fn named(State(hall): State<Hall>, Path(given): Path<String>, body: Body) -> Response {
    if hall.password.as_deref().is_none_or(|password| !same(given.as_bytes(), password)) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    post_to(&hall, body).await
}

async fn post_to(hall: &Hall, body: Body) -> Response {
    let body = match timeout(READ_WITHIN, to_bytes(body, MOST_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let Some(request) = wire::read(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let Some(desk) = hall.desks.get(&request.serial) else {
        tracing::warn!(serial = request.serial, "a controller that is not in the config was turned away");
        return StatusCode::FORBIDDEN.into_response();
    };
    let answer = desk.answer(request).await;
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

/// The password of HTTP Basic, whatever the user's name.
fn basic(headers: &HeaderMap) -> Option<String> {
    let encoded = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(base64(encoded.trim())?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// RFC 4648, with or without padding. No larger than a header.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut held, mut bits) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xFFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_basic_is_read_as_the_standard_says() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9vYmFy", "foobar"), ("Zm9vYg", "foob")] {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(base64("Zm9v!"), None);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Basic ejVyOnM6M2NyZXQ=".parse().unwrap());
        assert_eq!(basic(&headers).as_deref(), Some("s:3cret"));
        assert!(same(b"s:3cret", &Secret::new("s:3cret")) && !same(b"s:3cre", &Secret::new("s:3cret")) && !same(b"", &Secret::new("x")));
    }
}
