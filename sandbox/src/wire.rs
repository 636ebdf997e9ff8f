//! Small helpers around requests and answers, shared by the worlds.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Value};

use crate::php;

/// An answer with a JSON body of the given content type.
pub(crate) fn json_as(content_type: &'static str, status: StatusCode, body: &Value) -> Response<Bytes> {
    whole(status, content_type, Bytes::from(body.to_string()))
}

/// An answer with an `application/json` body.
pub(crate) fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    json_as("application/json; charset=utf-8", status, body)
}

/// An HTML page, as a proxy in front of the service would send it.
pub(crate) fn html(status: StatusCode, title: &str) -> Response<Bytes> {
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    whole(status, "text/html", Bytes::from(page))
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

/// An answer with any body.
pub(crate) fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The bearer token, if one is sent.
pub(crate) fn bearer(request: &Request<Bytes>) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the body calls itself JSON.
pub(crate) fn is_json(request: &Request<Bytes>) -> bool {
    request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| value.to_ascii_lowercase().contains("json"))
}

/// The query as parameters.
pub(crate) fn query(request: &Request<Bytes>) -> Value {
    php::parse(request.uri().query().unwrap_or_default())
}

/// Query and body as one set of parameters; the body wins. A JSON body that does not parse counts as none, as PHP does it.
pub(crate) fn parameters(request: &Request<Bytes>) -> Map<String, Value> {
    let mut all = match query(request) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let body = if is_json(request) {
        serde_json::from_slice(request.body()).unwrap_or(Value::Null)
    } else {
        std::str::from_utf8(request.body()).map_or(Value::Null, php::parse)
    };
    if let Value::Object(map) = body {
        all.extend(map);
    }
    all
}

/// A value as a whole number, given as such or as text.
pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A scalar as text: PHP's idea of a string.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(if *flag { "1" } else { "" }.to_owned()),
        _ => None,
    }
}

/// The members of an array, of a map with numeric keys (PHP's array), or a lone value.
pub(crate) fn members(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        Value::Null => Vec::new(),
        lone => vec![lone],
    }
}

/// Milliseconds since 1970 as RFC 3339 with the given whole-minute offset.
pub(crate) fn rfc3339(wall_ms: i64, offset_minutes: i32, with_ms: bool) -> String {
    let at = jiff::Timestamp::from_millisecond(wall_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let offset = jiff::tz::Offset::from_seconds(offset_minutes.saturating_mul(60)).unwrap_or(jiff::tz::Offset::UTC);
    let civil = offset.to_datetime(at);
    let sign = if offset_minutes < 0 { '-' } else { '+' };
    let minutes = offset_minutes.unsigned_abs();
    let fraction = if with_ms { format!(".{:03}", civil.millisecond()) } else { String::new() };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}{sign}{:02}:{:02}",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second(),
        minutes / 60,
        minutes % 60
    )
}

/// The time of an RFC 3339 text, milliseconds since 1970.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
