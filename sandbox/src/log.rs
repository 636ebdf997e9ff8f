//! What was called: the last calls in full, and sums that forget nothing.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use http::Request;
use serde::Serialize;
use serde_json::{Value, json};

use crate::host::Host;

/// How many calls are kept in full.
const KEPT: usize = 2_000;
/// How much of a body is kept.
const BODY_KEPT: usize = 4 * 1024;

/// One call.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Counts from 1.
    pub number: u64,
    /// The sandbox's own monotonic clock.
    pub at_ms: u64,
    /// Which service.
    pub service: Host,
    /// GET, POST, ...
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// The first 4 KiB of the body, as text.
    pub body: String,
    /// The status that was answered or would have been; none where the world never saw the request.
    pub status: Option<u16>,
    /// The fault that struck.
    pub fault: Option<String>,
    /// The world has carried the request out, or will (a late commit).
    pub committed: bool,
}

/// The log of one sandbox.
#[derive(Debug, Default)]
pub struct Log {
    calls: VecDeque<Call>,
    number: u64,
    sums: [Sums; 3],
}

#[derive(Debug, Default)]
struct Sums {
    requests: u64,
    by_label: BTreeMap<String, u64>,
    by_status: BTreeMap<u16, u64>,
    by_fault: BTreeMap<String, u64>,
    second: VecDeque<u64>,
    max_in_a_second: usize,
}

impl Log {
    /// The calls that are still kept, oldest first.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }

    /// Requests that a service has received.
    #[must_use]
    pub fn requests(&self, host: Host) -> u64 {
        self.sums(host).requests
    }

    /// The most requests that a service received within any 1 000 ms.
    #[must_use]
    pub fn max_in_a_second(&self, host: Host) -> usize {
        self.sums(host).max_in_a_second
    }

    /// Requests by `METHOD /path` with ids as `{id}` and Bitrix24's secret taken out.
    #[must_use]
    pub fn by_label(&self, host: Host) -> &BTreeMap<String, u64> {
        &self.sums(host).by_label
    }

    pub(crate) fn begin(&mut self, host: Host, now_ms: u64, request: &Request<Bytes>) -> Call {
        self.number += 1;
        let path = request.uri().path_and_query().map_or_else(|| request.uri().path().to_owned(), ToString::to_string);
        let sums = &mut self.sums[host.index()];
        sums.requests += 1;
        *sums.by_label.entry(label(host, request)).or_default() += 1;
        sums.second.push_back(now_ms);
        while sums.second.front().is_some_and(|first| first.saturating_add(1_000) <= now_ms) {
            sums.second.pop_front();
        }
        sums.max_in_a_second = sums.max_in_a_second.max(sums.second.len());
        let body = request.body().get(..BODY_KEPT).unwrap_or(request.body());
        Call {
            number: self.number,
            at_ms: now_ms,
            service: host,
            method: request.method().to_string(),
            path,
            body: String::from_utf8_lossy(body).into_owned(),
            status: None,
            fault: None,
            committed: false,
        }
    }

    pub(crate) fn end(&mut self, call: Call) {
        let sums = &mut self.sums[call.service.index()];
        if let Some(status) = call.status {
            *sums.by_status.entry(status).or_default() += 1;
        }
        if let Some(fault) = &call.fault {
            *sums.by_fault.entry(fault.clone()).or_default() += 1;
        }
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(crate) fn state(&self, host: Host) -> Value {
        let sums = self.sums(host);
        json!({
            "requests": sums.requests,
            "by_label": sums.by_label,
            "by_status": sums.by_status,
            "by_fault": sums.by_fault,
            "max_in_a_second": sums.max_in_a_second,
        })
    }

    fn sums(&self, host: Host) -> &Sums {
        &self.sums[host.index()]
    }
}

fn label(host: Host, request: &Request<Bytes>) -> String {
    let path = request.uri().path();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let shown: Vec<&str> = match (host, segments.as_slice()) {
        // `/rest/{user}/{secret}/{method}`: only the method says something, and the secret must not be shown.
        (Host::Bitrix24, ["rest", .., method]) => vec![method],
        (_, all) => all.iter().map(|segment| if looks_like_an_id(segment) { "{id}" } else { segment }).collect(),
    };
    format!("{} /{}", request.method(), shown.join("/"))
}

fn looks_like_an_id(segment: &str) -> bool {
    segment.bytes().any(|byte| byte.is_ascii_digit()) && !matches!(segment, "v1" | "v4" | "v2" | "oauth2")
}
