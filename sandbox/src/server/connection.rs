//! One connection: HTTP/1.1 by hyper, outcomes by the site.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio_rustls::TlsAcceptor;

use super::line::{Accepted, Cutter, Line, Stream};
use super::{Shared, control};
use crate::faults::{CutAt, Down, Ending, What};
use crate::host::Host;
use crate::wire;

/// Larger bodies are answered 413.
const MAX_BODY: usize = 32 * 1024 * 1024;

pub(super) async fn serve(shared: Arc<Shared>, host: Option<Host>, accepted: Accepted, tls: Option<TlsAcceptor>) {
    if let Some(host) = host
        && shared.down(host) == Some(Down::BlackHole)
    {
        // What came in meanwhile is never carried out: the connection is reset when the hole closes.
        while shared.down(host) == Some(Down::BlackHole) {
            tokio::time::sleep(super::service::POLL).await;
        }
        return;
    }
    let Some(tcp) = accepted.take() else { return };
    let _ = tcp.set_nodelay(true);
    let stream = match tls {
        None => Stream::Plain(tcp),
        Some(acceptor) => match acceptor.accept(tcp).await {
            Ok(stream) => Stream::Tls(Box::new(stream)),
            Err(_) => return,
        },
    };
    let cutter = Cutter::default();
    let line = Line::new(stream, cutter.clone());
    let service = service_fn(move |request| answer(shared.clone(), host, cutter.clone(), request));
    // A connection that ends in an error is the caller's business, or a fault's.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(line), service).await;
}

async fn answer(shared: Arc<Shared>, host: Option<Host>, cutter: Cutter, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let response = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => {
            let request = Request::from_parts(head, body.to_bytes());
            match host {
                _ if control::is_control(&request) => control::answer(&shared, &request).await,
                Some(host) => exchange(&shared, host, &cutter, request).await,
                None => wire::json(StatusCode::NOT_FOUND, &serde_json::json!({"error": "only /_sandbox/ here"})),
            }
        }
        Err(_) => wire::empty(StatusCode::PAYLOAD_TOO_LARGE),
    };
    Ok(response.map(Full::new))
}

async fn exchange(shared: &Shared, host: Host, cutter: &Cutter, request: Request<Bytes>) -> Response<Bytes> {
    // A long poll: answered when there is something, or when its time is up. Each look is short, so that nobody else waits.
    let since = tokio::time::Instant::now();
    while let Some(held_ms) = shared.with_site(|site, _, _| site.held_ms(host, &request)) {
        if since.elapsed() >= Duration::from_millis(held_ms) || shared.down(host).is_some() {
            break;
        }
        tokio::time::sleep(super::service::POLL).await;
    }
    let outcome = shared.with_site(|site, now_ms, wall_ms| site.call(host, now_ms, wall_ms, request));
    if outcome.after_ms > 0 {
        tokio::time::sleep(Duration::from_millis(outcome.after_ms)).await;
    }
    match outcome.what {
        What::Whole(response) => response,
        What::Cut { response, at, ending } => {
            cutter.set(at, response.body().len(), ending);
            response
        }
        What::Reset | What::Refused => {
            cutter.set(CutAt::Byte(0), 0, Ending::Reset);
            wire::empty(StatusCode::OK)
        }
        What::Hang => std::future::pending().await,
    }
}
