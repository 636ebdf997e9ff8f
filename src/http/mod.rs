//! The one HTTP client, and the one [`listener`]. Of the client: what a request is, and what can be said of it afterwards.
//!
//! The distinction that exactly-once hangs on: a request was **certainly not sent**, its outcome is **unknown**, or it was **answered**. Never: a
//! redirect followed silently, an answer read without bound, a certificate not verified, a token in an error.

mod auth;
mod client;
mod endpoint;
pub mod listener;
pub mod tls;

pub use auth::{Authorizer, Bearer, NoAuthorization, RenewError, Standing};
pub use client::{ANSWER_LIMIT, Client, SetupError};
pub use endpoint::Endpoint;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::mpsc;

/// A request, without host and authorisation: those belong to the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// GET, POST, ...
    pub method: Method,
    /// Path and query below the endpoint's base, beginning with a slash, already percent-encoded. Never a secret or a phone in what is logged: see `label`.
    pub path: String,
    /// Headers besides those of the endpoint.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; JSON unless a header says otherwise.
    pub body: Option<Bytes>,
    /// The whole exchange must end within this time.
    pub timeout: Duration,
    /// What logs and metrics call this request: `POST /leads`. A constant, so that nothing personal can be in it.
    pub label: &'static str,
}

impl Request {
    /// A GET.
    pub fn get(path: impl Into<String>, label: &'static str) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: None, timeout: DEFAULT_TIMEOUT, label }
    }

    /// A request with a JSON body.
    pub fn json(method: Method, path: impl Into<String>, body: &serde_json::Value, label: &'static str) -> Self {
        let body = Some(Bytes::from(body.to_string()));
        Self { method, path: path.into(), headers: Vec::new(), body, timeout: DEFAULT_TIMEOUT, label }
    }
}

/// Long enough for a slow CRM, short enough to notice.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A complete answer, of whatever status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body, within the endpoint's size limit.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; `None` when it is something else (an HTML page, half an answer).
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl Answer {
    /// How long the answer asks to wait: its `Retry-After` header in seconds, which is all that our remotes send. Capped at a day.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds.min(86_400)))
    }
}

/// Why an exchange brought no answer. Text is free of secrets and personal data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing of the request can have reached the other side: DNS, refused, TLS, breaker open.
    #[error("not sent: {0}")]
    NotSent(String),
    /// At least one byte may have left and no complete answer came.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// How an exchange ended.
pub type Exchange = Result<Answer, Failure>;

/// A boxed future, for object-safe async methods.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The seam to the network: the real client, or a simulated world in tests.
pub trait Transport: Send + Sync {
    /// Sends one request and waits for its end.
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange>;

    /// The same, but the body of an answer with status 200 goes to `body` as it comes, without the limit on an answer's size; the answer itself is then
    /// empty. An answer of another status comes as usual. The receiver's going away ends the exchange.
    fn stream(&self, request: Request, body: mpsc::Sender<Bytes>) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            let mut answer = self.send(request).await?;
            if answer.status == StatusCode::OK {
                let whole = std::mem::take(&mut answer.body);
                // Whoever takes it knows why it went away.
                let _ = body.send(whole).await;
            }
            Ok(answer)
        })
    }
}
