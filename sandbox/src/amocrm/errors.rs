//! amoCRM's errors: `application/problem+json`, and the ones that are not JSON at all.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::wire;

const PROBLEM: &str = "application/problem+json";

pub(crate) fn unauthorized() -> Response<Bytes> {
    problem(StatusCode::UNAUTHORIZED, "Unauthorized", "Invalid user name or password")
}

/// `retry_after` is what Kommo documents, in the body; without it the plain form.
pub(crate) fn too_many_requests(retry_after_s: Option<u64>) -> Response<Bytes> {
    let mut body = body(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests", "Request limit exceeded");
    if let (Value::Object(map), Some(seconds)) = (&mut body, retry_after_s) {
        map.insert("retry_after".to_owned(), json!(seconds));
    }
    wire::json_as(PROBLEM, StatusCode::TOO_MANY_REQUESTS, &body)
}

/// What is answered to those who ignored 429: an HTML page.
pub(super) fn blocked() -> Response<Bytes> {
    wire::html(StatusCode::FORBIDDEN, "403 Forbidden")
}

pub(super) fn problem(status: StatusCode, title: &str, detail: &str) -> Response<Bytes> {
    wire::json_as(PROBLEM, status, &body(status, title, detail))
}

pub(super) fn no_route(url: &str) -> Response<Bytes> {
    problem(StatusCode::NOT_FOUND, "Not Found", &format!("Cannot GET {url}!"))
}

pub(super) fn body(status: StatusCode, title: &str, detail: &str) -> Value {
    json!({"title": title, "type": format!("https://httpstatus.es/{}", status.as_u16()), "status": status.as_u16(), "detail": detail})
}
