//! Lime's error envelope: `{"error": {"code", "message", "retryable", "details"}}`.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use crate::wire;

/// Boxed, for it travels in every `Result`.
pub(super) type Refused = Box<Response<Bytes>>;

pub(crate) fn error(status: StatusCode, code: &str, message: &str, retryable: bool) -> Response<Bytes> {
    wire::json(status, &json!({"error": {"code": code, "message": message, "retryable": retryable, "details": {}}}))
}

pub(crate) fn unauthorized() -> Response<Bytes> {
    error(StatusCode::UNAUTHORIZED, "device_unauthorized", "unknown or revoked device token", false)
}

pub(crate) fn too_many_requests() -> Response<Bytes> {
    error(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "slow down", true)
}

pub(super) fn malformed(message: &str) -> Response<Bytes> {
    error(StatusCode::BAD_REQUEST, "malformed", message, false)
}

pub(super) fn not_found(what: &str) -> Response<Bytes> {
    error(StatusCode::NOT_FOUND, "not_found", &format!("there is no such {what}"), false)
}

pub(super) fn no_such_path() -> Response<Bytes> {
    error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path", false)
}

pub(super) fn method_not_allowed() -> Response<Bytes> {
    error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method", false)
}
