//! One listener: takes connections, really goes away when the service is down, and ends with the sandbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::connection;
use super::line::Accepted;
use crate::faults::Down;
use crate::host::Host;

/// How often a listener looks whether it should be there, and late commits are carried out.
pub(super) const POLL: Duration = Duration::from_millis(10);

pub(super) async fn run(
    shared: Arc<Shared>,
    host: Option<Host>,
    listener: TcpListener,
    at: SocketAddr,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut poll = tokio::time::interval(POLL);
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            _ = poll.tick() => {}
            Some(_) = connections.join_next() => {}
            accepted = accept(listener.as_ref()) => {
                if let Some(stream) = accepted {
                    connections.spawn(connection::serve(shared.clone(), host, Accepted::new(stream), tls.clone()));
                }
            }
        }
        let Some(host) = host else { continue };
        let refuse = shared.down(host) == Some(Down::Refuse);
        if refuse && listener.is_some() {
            listener = None;
            // Dropping a connection's task resets it: see `line`.
            connections.shutdown().await;
        }
        if !refuse && listener.is_none() {
            // The port is ours until somebody else takes it in the meantime; then the next round tries again.
            listener = TcpListener::bind(at).await.ok();
        }
        if let Some((_, listening)) = shared.services.iter().find(|(service, _)| *service == host) {
            listening.store(listener.is_some(), Ordering::Release);
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}
