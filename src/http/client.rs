//! The real transport, on reqwest: one client per remote.
//!
//! What can be said of an exchange afterwards is decided here, once: an error before the connection stood is *not sent*; any other error, a timeout, half
//! an answer, one that is too large or encoded in a way that was not asked for is *unknown*; everything complete is *answered*, whatever its status.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reqwest::Url;
use tokio::sync::mpsc;

use super::{Answer, BoxFuture, Exchange, Failure, Request, Transport};

/// Most bytes of an answer, unless a remote is known to send more.
pub const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Servers close idle connections silently; a request on one of those would have an unknown outcome for nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Why a client cannot be made. Without the address where that is a secret.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not an address.
    #[error("not an address: {0}. It must look like https://host/path")]
    Address(String),
    /// Neither https nor loopback.
    #[error("the address of {0} is not https. Plain http is taken to a loopback address only")]
    Plain(String),
    /// The library refuses.
    #[error("the HTTP client cannot be set up: {0}")]
    Library(String),
}

/// Sends requests to one base address.
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at the end. May hold a secret (a Bitrix24 webhook).
    base: String,
    answer_limit: usize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// A client for `base`: `https`, or `http` to a loopback address; a slash at its end is cut.
    ///
    /// # Errors
    /// When the address is neither, or the library refuses the TLS set-up.
    pub fn new(base: &str, tls: rustls::ClientConfig) -> Result<Self, SetupError> {
        Self::with_idle(base, tls, IDLE_TIMEOUT)
    }

    /// The same, but a connection is kept for so long between requests: for a remote where all that is sent may be sent again, and a guest waits.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_idle(base: &str, tls: rustls::ClientConfig, idle: Duration) -> Result<Self, SetupError> {
        let base = base.trim().trim_end_matches('/');
        let url = Url::parse(base).map_err(|error| SetupError::Address(error.to_string()))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => return Err(SetupError::Plain(host)),
            other => return Err(SetupError::Address(format!("the scheme {other} is unknown"))),
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(SetupError::Address("it must have no query, fragment or user".to_owned()));
        }
        #[allow(clippy::disallowed_methods)] // the one place
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(idle)
            .pool_max_idle_per_host(8)
            .tcp_keepalive(Duration::from_secs(20))
            .user_agent(concat!("limegate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SetupError::Library(chain(error)))?;
        Ok(Self { http, base: base.to_owned(), answer_limit: ANSWER_LIMIT })
    }

    /// Takes answers up to this size.
    #[must_use]
    pub fn with_answer_limit(mut self, bytes: usize) -> Self {
        self.answer_limit = bytes;
        self
    }

    async fn exchange(&self, request: Request) -> Exchange {
        let label = request.label;
        let response = self.begin(request).await?;
        self.read(label, response).await
    }

    async fn exchange_into(&self, request: Request, body: mpsc::Sender<Bytes>) -> Exchange {
        let label = request.label;
        let mut response = self.begin(request).await?;
        if response.status() != StatusCode::OK || encoded(response.headers()) {
            return self.read(label, response).await;
        }
        let (status, headers) = (response.status(), response.headers().clone());
        while let Some(chunk) = response.chunk().await.map_err(|error| half(label, error))? {
            if body.send(chunk).await.is_err() {
                return Err(Failure::Unknown(format!("{label}: the answer was of no use and not read to its end")));
            }
        }
        Ok(Answer { status, headers, body: Bytes::new() })
    }

    async fn begin(&self, request: Request) -> Result<reqwest::Response, Failure> {
        // A path that begins otherwise could end up in the host's name.
        if !request.path.starts_with('/') {
            return Err(Failure::NotSent(format!("{}: the path does not begin with a slash", request.label)));
        }
        let url = Url::parse(&format!("{}{}", self.base, request.path))
            .map_err(|error| Failure::NotSent(format!("{}: no address: {error}", request.label)))?;
        let mut building = self.http.request(request.method, url).timeout(request.timeout);
        let has_type = request.headers.iter().any(|(name, _)| name == header::CONTENT_TYPE);
        building = building.header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
            building = building.header(HeaderName::from_static("x-request-id"), id);
        }
        for (name, value) in request.headers {
            building = building.header(name, value);
        }
        if let Some(body) = request.body {
            if !has_type {
                building = building.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            building = building.body(body);
        }
        building.send().await.map_err(|error| classify(request.label, error))
    }

    async fn read(&self, label: &str, mut response: reqwest::Response) -> Exchange {
        let (status, headers) = (response.status(), response.headers().clone());
        if encoded(&headers) {
            return Err(Failure::Unknown(format!("{label}: status {status}, encoded in a way that was not asked for")));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| half(label, error))? {
            if body.len() + chunk.len() > self.answer_limit {
                return Err(Failure::Unknown(format!("{label}: status {status}, an answer of more than {} bytes", self.answer_limit)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body: Bytes::from(body) })
    }
}

impl Transport for Client {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        Box::pin(self.exchange(request))
    }

    fn stream(&self, request: Request, body: mpsc::Sender<Bytes>) -> BoxFuture<'_, Exchange> {
        Box::pin(self.exchange_into(request, body))
    }
}

/// Encoded although nothing was asked for.
fn encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity"))
}

fn half(label: &str, error: reqwest::Error) -> Failure {
    Failure::Unknown(format!("{label}: half an answer: {}", chain(error)))
}

/// A literal loopback address, or the name that the resolver must answer itself.
fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn classify(label: &str, error: reqwest::Error) -> Failure {
    // `is_connect` holds for resolving, connecting and the TLS handshake; nothing of the request is written before they end well.
    let not_sent = error.is_connect() || error.is_builder();
    let text = format!("{label}: {}", chain(error));
    if not_sent { Failure::NotSent(text) } else { Failure::Unknown(text) }
}

/// The error and its causes in one line, without the address.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "127.0.0.1.example", "10.0.0.1", "[fe80::1]", "lime.example", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
