//! What the tests of the worlds share.

use bytes::Bytes;
use http::{Method, Request};
use sandbox::{Host, Site, What};
use serde_json::Value;

/// 2026-05-01T12:00:00Z.
pub const WALL: i64 = 1_777_636_800_000;

/// A site under a clock that the test sets.
pub struct Bench {
    pub site: Site,
    pub now_ms: u64,
    pub token: String,
    pub host: Host,
}

pub struct Reply {
    pub status: u16,
    pub json: Value,
    pub text: String,
}

impl Bench {
    pub fn new(host: Host, token: impl FnOnce(&mut Site) -> String) -> Self {
        let mut site = Site::new(7);
        let token = token(&mut site);
        Self { site, now_ms: 10_000, token, host }
    }

    pub fn outcome(&mut self, method: Method, path: &str, body: Option<&Value>) -> sandbox::Outcome {
        let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", self.token));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()))).unwrap();
        let wall = WALL + i64::try_from(self.now_ms).unwrap();
        self.site.call(self.host, self.now_ms, wall, request)
    }

    /// Sends and lets a second pass, so that no limit is met by accident.
    pub fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        self.now_ms += 1_000;
        let outcome = self.outcome(method, path, body);
        let What::Whole(response) = outcome.what else { panic!("no whole answer: {outcome:?}") };
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        Reply { status: response.status().as_u16(), json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.send(Method::GET, path, None)
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, Some(body))
    }

    pub fn patch(&mut self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, Some(body))
    }
}
