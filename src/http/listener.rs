//! The one HTTP listener: binds, takes so many connections, and ends each in its time. What is answered is its router's; who may come is too.
//!
//! Never: a connection without an end; a head larger than 16 KiB; a stop that waits for somebody outside.

use std::net::{SocketAddr, TcpListener as BoundListener};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::domain::Secret;

/// The address is tried again after this.
const BIND_AGAIN: Duration = Duration::from_secs(2);

/// How many may come, and how long they may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// A head has to arrive within this.
    pub read_within: Duration,
    /// A connection ends after this, whatever it does.
    pub connection: Duration,
}

/// Serves until told to stop, and lets what is under way end. `who` comes, for the log; `bound` takes the place of `address`.
pub async fn serve(
    who: &'static str,
    address: SocketAddr,
    bound: Option<BoundListener>,
    router: Router,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
) {
    let listener = tokio::select! {
        listener = listen(who, address, bound) => listener,
        () = stopped(&mut stop) => return,
    };
    let (mut connections, stopping) = (JoinSet::new(), stop.clone());
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < bounds.connections => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, router.clone(), bounds, stopping.clone()))),
                // Out of descriptors, most likely: give others time to end.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Waits until it is told to stop. A sender that is gone stops it, too: nobody could stop it any more.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn listen(who: &str, address: SocketAddr, bound: Option<BoundListener>) -> TcpListener {
    let mut said = false;
    if let Some(listener) = bound.and_then(|bound| bound.set_nonblocking(true).ok().and_then(|()| TcpListener::from_std(bound).ok())) {
        return listener;
    }
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::error!(%address, "{who} cannot be listened for, and it is tried again: {error}");
                }
                sleep(BIND_AGAIN).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, bounds: Bounds, mut stop: watch::Receiver<bool>) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.read_within)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = timeout(bounds.connection, async {
        tokio::select! {
            ended = served.as_mut() => return ended,
            () = stopped(&mut stop) => {}
        }
        served.as_mut().graceful_shutdown();
        served.await
    });
    // How somebody hangs up is their own affair.
    let _ = ended.await;
}

/// Compares in a time that tells nothing of where they differ.
#[must_use]
pub fn same(given: &[u8], secret: &Secret) -> bool {
    let secret = secret.reveal().as_bytes();
    let differ = given.iter().zip(secret).fold(0_u8, |differ, (one, other)| differ | (one ^ other));
    given.len() == secret.len() && differ == 0
}
