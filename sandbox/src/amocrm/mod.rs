//! amoCRM's REST API v4.

pub(crate) mod errors;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

/// An amoCRM account.
#[derive(Debug)]
pub struct Amo {
    index_lag_ms: u64,
}

impl Amo {
    /// A fresh account.
    #[must_use]
    pub fn new(_seed: u64) -> Self {
        Self { index_lag_ms: 0 }
    }

    /// Answers one request.
    pub fn handle(&mut self, _now_ms: u64, _wall_ms: i64, request: &Request<Bytes>) -> Response<Bytes> {
        errors::no_route(&request.uri().to_string())
    }

    pub(crate) fn set_base(&mut self, _base: &str) {}
    pub(crate) fn long_lived_token(&self) -> String {
        String::new()
    }
    pub(crate) fn integration(&self) -> Value {
        json!({})
    }
    pub(crate) fn issue_code(&mut self, _now_ms: u64) -> String {
        String::new()
    }
    pub(crate) fn switch(&mut self, _name: &str, _value: &Value) -> bool {
        false
    }

    /// What the account holds, for the books.
    #[must_use]
    pub fn state(&self) -> Value {
        json!({"index_lag_ms": self.index_lag_ms})
    }

    pub(crate) fn set_index_lag(&mut self, ms: u64) {
        self.index_lag_ms = ms;
    }
}
