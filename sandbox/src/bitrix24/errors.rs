//! Bitrix24's error envelope: `{"error": .., "error_description": ..}`, with statuses as the documents give them.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::wire;

/// A refusal, outside or inside a batch.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    status: StatusCode,
    /// A text, an empty text or a number, as the method's family has it.
    code: Value,
    description: String,
}

impl Fault {
    pub(super) fn new(status: StatusCode, code: &str, description: &str) -> Self {
        Self { status, code: json!(code), description: description.to_owned() }
    }

    pub(super) fn bad(code: &str, description: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, description)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::bad("100", &format!("Could not find value for parameter {{{parameter}}}"))
    }

    pub(super) fn argument(parameter: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: json!(0), description: format!("Invalid value {{{parameter}}} to match with parameter") }
    }

    pub(super) fn not_found() -> Self {
        Self::bad("NOT_FOUND", "Элемент не найден")
    }

    pub(super) fn value(field: &str) -> Self {
        Self::bad("CRM_FIELD_ERROR_VALUE_NOT_VALID", &format!("Недопустимое значение поля \"{field}\""))
    }

    pub(super) fn method_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ERROR_METHOD_NOT_FOUND", "Method not found!")
    }

    pub(super) fn wrong_auth_type() -> Self {
        Self::new(StatusCode::FORBIDDEN, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method")
    }

    pub(super) fn wrong_license(feature: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "WRONG_LICENSE", &format!("Current license does not allow {feature}"))
    }

    pub(super) fn insufficient_scope() -> Self {
        Self::new(StatusCode::FORBIDDEN, "insufficient_scope", "The request requires higher privileges than provided by the access token")
    }

    pub(super) fn not_on_this_plan() -> Self {
        Self::new(StatusCode::FORBIDDEN, "ACCESS_DENIED", "REST API is available only on commercial plans")
    }

    pub(super) fn access_denied() -> Self {
        Self::new(StatusCode::FORBIDDEN, "ACCESS_DENIED", "Access denied.")
    }

    pub(super) fn operation_time_limit() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
    }

    /// As it stands in `result_error`.
    pub(super) fn value_in_batch(&self) -> Value {
        json!({"error": self.code, "error_description": self.description})
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        wire::json(self.status, &self.value_in_batch())
    }
}

pub(crate) fn expired_token() -> Response<Bytes> {
    Fault::new(StatusCode::UNAUTHORIZED, "expired_token", "The access token provided has expired.").response()
}

pub(crate) fn query_limit_exceeded() -> Response<Bytes> {
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, "QUERY_LIMIT_EXCEEDED", "Too many requests").response()
}

pub(crate) fn operation_time_limit() -> Response<Bytes> {
    Fault::operation_time_limit().response()
}
