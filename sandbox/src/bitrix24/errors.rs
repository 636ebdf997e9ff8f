//! Bitrix24's error envelope: `{"error": .., "error_description": ..}`, with statuses as the documents give them.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use crate::wire;

pub(crate) fn expired_token() -> Response<Bytes> {
    error(StatusCode::UNAUTHORIZED, "expired_token", "The access token provided has expired.")
}

pub(crate) fn query_limit_exceeded() -> Response<Bytes> {
    error(StatusCode::SERVICE_UNAVAILABLE, "QUERY_LIMIT_EXCEEDED", "Too many requests")
}

pub(crate) fn operation_time_limit() -> Response<Bytes> {
    error(StatusCode::TOO_MANY_REQUESTS, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
}

pub(super) fn error(status: StatusCode, code: &str, description: &str) -> Response<Bytes> {
    wire::json(status, &json!({"error": code, "error_description": description}))
}
