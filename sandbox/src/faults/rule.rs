//! One fault, as it is written in `POST /_sandbox/faults`.

use bytes::Bytes;
use http::Request;
use serde::{Deserialize, Serialize};

use crate::host::Host;

/// Whom a fault strikes, how often, and what it does.
///
/// ```json
/// {"service": "amocrm", "method": "POST", "path": "/api/v4/leads", "count": 3, "mode": {"kind": "drop_after_commit"}}
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Host>,
    /// Only this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only where path and query contain this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only where the body contains this: a method inside a Bitrix24 batch, a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// At most this many times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Each time with this probability, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Seed of the probability; without it the rule's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Lets this many go first.
    #[serde(default)]
    pub after: u64,
    /// Goes away after so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// What happens.
    pub mode: Mode,
}

/// What a fault does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mode {
    /// Reset; the request was not carried out.
    DropBeforeCommit,
    /// Carried out; reset before a byte of the answer.
    DropAfterCommit,
    /// Everything as usual, later.
    Delay {
        /// By how much.
        ms: u64,
    },
    /// Carried out; reset after so many bytes of the answer, head included.
    ResetAt {
        /// How many bytes come.
        byte: usize,
    },
    /// Carried out; the head and half of the body come, then the connection is closed in order.
    HalfAnswer,
    /// The connection stays open and nothing comes.
    Hang {
        /// Whether the request is carried out.
        #[serde(default)]
        committed: bool,
    },
    /// Reset at once; carried out `ms` later, whatever the caller does in between.
    LateCommit {
        /// How much later.
        ms: u64,
    },
    /// Lists and searches do not see what is younger than this.
    IndexLag {
        /// The age that is needed.
        ms: u64,
    },
    /// The whole service is away.
    Down {
        /// In which way.
        how: Down,
    },
    /// The service's own "too many requests": amoCRM 429 with `retry_after` in the body, Bitrix24 503 `QUERY_LIMIT_EXCEEDED`, Lime 429 with `Retry-After`.
    RateLimited {
        /// Seconds, where the service says any.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// 429 with a body that is not JSON (amoCRM does this).
    TooManyRequestsText,
    /// Bitrix24's 429 `OPERATION_TIME_LIMIT`; elsewhere as `rate_limited`.
    OperationTimeLimit,
    /// 403 as an HTML page: amoCRM's answer to those who ignored 429.
    ForbiddenHtml,
    /// 502 as an HTML page.
    BadGateway {
        /// Whether the request is carried out behind it.
        #[serde(default)]
        committed: bool,
    },
    /// 503 with `Retry-After`.
    Unavailable {
        /// Seconds.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// 504 as an HTML page.
    GatewayTimeout {
        /// Whether the request is carried out behind it.
        #[serde(default)]
        committed: bool,
    },
    /// The service's own 401, whatever token is sent.
    Unauthorized,
    /// 200 and this many bytes that are no JSON; not carried out.
    Junk {
        /// How many.
        bytes: usize,
    },
    /// 302 to the same path at another address (a renamed Bitrix24 portal); not carried out.
    Moved {
        /// Scheme, host and port, without a slash at the end.
        to: String,
    },
    /// Lime: the last `count` results of a batch are missing.
    MissingItems {
        /// How many.
        count: usize,
        /// Whether Lime has processed them all the same.
        #[serde(default)]
        committed: bool,
    },
    /// Lime: the first `count` items of a batch are answered `retry` and not processed.
    RetryItems {
        /// How many.
        count: usize,
        /// What each says.
        #[serde(default)]
        retry_after_ms: u64,
    },
}

/// How a service is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Down {
    /// Nobody listens: connections are refused, living ones reset.
    Refuse,
    /// Connections come about and nothing is ever answered.
    BlackHole,
}

impl Rule {
    /// A fault for every request to a service.
    #[must_use]
    pub const fn new(service: Host, mode: Mode) -> Self {
        Self {
            service: Some(service),
            method: None,
            path: None,
            body: None,
            count: None,
            probability: None,
            seed: None,
            after: 0,
            for_ms: None,
            mode,
        }
    }

    /// Only requests with this method whose path and query contain `path`.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Self {
        self.method = Some(method.to_owned());
        self.path = Some(path.to_owned());
        self
    }

    /// At most this many times.
    #[must_use]
    pub const fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// With this probability, drawn from this seed.
    #[must_use]
    pub const fn chance(mut self, probability: f64, seed: u64) -> Self {
        self.probability = Some(probability);
        self.seed = Some(seed);
        self
    }

    pub(crate) fn fits(&self, request: &Request<Bytes>) -> bool {
        let method = self.method.as_ref().is_none_or(|method| request.method().as_str().eq_ignore_ascii_case(method));
        let path = self.path.as_ref().is_none_or(|part| request.uri().path_and_query().is_some_and(|path| path.as_str().contains(part.as_str())));
        let body =
            self.body.as_ref().is_none_or(|part| !part.is_empty() && request.body().windows(part.len()).any(|window| window == part.as_bytes()));
        method && path && body
    }
}

impl Mode {
    /// The name in the log.
    pub(crate) fn name(&self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.get("kind").and_then(|kind| kind.as_str().map(str::to_owned))).unwrap_or_default()
    }
}
