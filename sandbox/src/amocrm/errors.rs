//! amoCRM's errors: `application/problem+json`, and the ones that are not JSON at all.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::wire;

const PROBLEM: &str = "application/problem+json";

/// A refusal as RFC 7807 has it, with amoCRM's additions.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: Map<String, Value>,
}

/// Boxed, for it travels in every `Result`.
pub(super) type Refused = Box<Problem>;

/// What is wrong with one item of a write.
#[derive(Clone, Debug)]
pub(super) struct Invalid {
    pub(super) code: &'static str,
    pub(super) path: String,
    pub(super) detail: String,
}

impl Invalid {
    pub(super) fn new(code: &'static str, path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code, path: path.into(), detail: detail.into() }
    }

    pub(super) fn choice(path: impl Into<String>) -> Self {
        Self::new("NotSupportedChoice", path, "The value you selected is not a valid choice.")
    }

    pub(super) fn wrong_type(path: impl Into<String>, wanted: &str) -> Self {
        Self::new("InvalidType", path, format!("This value should be of type {wanted}."))
    }

    pub(super) fn missing(path: impl Into<String>) -> Self {
        Self::new("FieldMissing", path, "This field is missing.")
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, title: &str, detail: &str) -> Refused {
        let body = json!({"title": title, "type": format!("https://httpstatus.es/{}", status.as_u16()), "status": status.as_u16(), "detail": detail});
        let Value::Object(body) = body else { return Box::new(Self { status, body: Map::new() }) };
        Box::new(Self { status, body })
    }

    pub(super) fn bad_request(detail: &str) -> Refused {
        Self::new(StatusCode::BAD_REQUEST, "Bad Request", detail)
    }

    pub(super) fn unauthorized() -> Refused {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Invalid user name or password")
    }

    pub(super) fn method_not_allowed() -> Refused {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", "Method Not Allowed")
    }

    /// Unknown ids in a batch of changes.
    pub(super) fn not_found(entity: &str, ids: &[u64]) -> Refused {
        let errors: Map<String, Value> = ids.iter().map(|id| (id.to_string(), json!(format!("{entity} not found")))).collect();
        Self::bad_request("Entity not found").with("errors", Value::Object(errors))
    }

    /// The refusal of a whole write for its bad items, each named by its request id.
    pub(super) fn invalid(items: Vec<(String, Vec<Invalid>)>) -> Refused {
        let errors: Vec<Value> = items
            .into_iter()
            .map(|(request_id, errors)| {
                let errors: Vec<Value> =
                    errors.into_iter().map(|error| json!({"code": error.code, "path": error.path, "detail": error.detail})).collect();
                json!({"request_id": request_id, "errors": errors})
            })
            .collect();
        Self::bad_request("Request validation failed").with("validation-errors", Value::Array(errors))
    }

    pub(super) fn with(mut self: Box<Self>, key: &str, value: Value) -> Refused {
        self.body.insert(key.to_owned(), value);
        self
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        wire::json_as(PROBLEM, self.status, &Value::Object(self.body.clone()))
    }
}

pub(crate) fn unauthorized() -> Response<Bytes> {
    Problem::unauthorized().response()
}

/// `retry_after` is what Kommo documents, in the body; without it the plain form.
pub(crate) fn too_many_requests(retry_after_s: Option<u64>) -> Response<Bytes> {
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", "Request limit exceeded");
    match retry_after_s {
        Some(seconds) => problem.with("retry_after", json!(seconds)).response(),
        None => problem.response(),
    }
}

/// What is answered to those who ignored 429: an HTML page.
pub(super) fn blocked() -> Response<Bytes> {
    wire::html(StatusCode::FORBIDDEN, "403 Forbidden")
}
