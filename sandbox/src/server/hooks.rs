//! Sends amoCRM's webhooks: takes what is due, posts it to an address on this machine within the deadline, and says how it ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Shared;
use super::service::POLL;
use crate::amocrm::HookCall;

const DEADLINE: Duration = Duration::from_secs(2);

pub(super) async fn run(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut tries = JoinSet::new();
    let mut poll = tokio::time::interval(POLL);
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = tries.join_next() => {}
            _ = poll.tick() => {
                for call in shared.with_site(|site, now_ms, _| site.amocrm.due_hooks(now_ms)) {
                    let shared = shared.clone();
                    tries.spawn(async move {
                        let status = tokio::time::timeout(DEADLINE, post(&call)).await.ok().flatten();
                        shared.with_site(|site, now_ms, _| site.amocrm.hook_ended(now_ms, call.id, status));
                    });
                }
            }
        }
    }
    tries.shutdown().await;
}

/// The status of the answer, if one comes.
async fn post(call: &HookCall) -> Option<u16> {
    let rest = call.url.strip_prefix("http://")?;
    let (at, path) = rest.split_once('/').unwrap_or((rest, ""));
    // The subscription was taken for this address only; nothing else is ever called.
    let at: std::net::SocketAddr = at.parse().ok()?;
    if !at.ip().is_loopback() {
        return None;
    }
    let mut stream = TcpStream::connect(at).await.ok()?;
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {at}\r\nuser-agent: amoCRM-Webhooks/3.0\r\nx-amocrm-requestid: {}\r\naccept-encoding: gzip\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        uuid::Uuid::new_v4(),
        call.body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(call.body.as_bytes()).await.ok()?;
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < 1_024 {
        if stream.read_buf(&mut line).await.ok()? == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&line).split(' ').nth(1)?.parse().ok()
}
