//! Bitrix24's REST.

pub(crate) mod errors;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

/// A Bitrix24 portal.
#[derive(Debug)]
pub struct Bitrix {
    index_lag_ms: u64,
}

impl Bitrix {
    /// A fresh portal.
    #[must_use]
    pub fn new(_seed: u64) -> Self {
        Self { index_lag_ms: 0 }
    }

    /// Answers one request.
    pub fn handle(&mut self, _now_ms: u64, _wall_ms: i64, _request: &Request<Bytes>) -> Response<Bytes> {
        errors::error(StatusCode::NOT_FOUND, "ERROR_METHOD_NOT_FOUND", "Method not found!")
    }

    pub(crate) fn set_base(&mut self, _base: &str) {}
    pub(crate) fn webhook(&self) -> String {
        String::new()
    }
    pub(crate) fn app(&self) -> Value {
        json!({})
    }
    pub(crate) fn switch(&mut self, _name: &str, _value: &Value) -> bool {
        false
    }

    /// What the portal holds, for the books.
    #[must_use]
    pub fn state(&self) -> Value {
        json!({"index_lag_ms": self.index_lag_ms})
    }

    pub(crate) fn set_index_lag(&mut self, ms: u64) {
        self.index_lag_ms = ms;
    }
}
