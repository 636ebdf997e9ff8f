//! Answers that a fault gives in the world's place, each in the service's own form.

use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};

use super::rule::Mode;
use crate::host::Host;
use crate::{amocrm, bitrix24, lime, wire};

/// The answer of a mode that is one, and whether the request is carried out behind it.
pub(crate) fn prepared(host: Host, mode: &Mode, request: &Request<Bytes>) -> Option<(Response<Bytes>, bool)> {
    let answer = match mode {
        Mode::RateLimited { retry_after_s } => rate_limited(host, *retry_after_s),
        Mode::OperationTimeLimit if host == Host::Bitrix24 => bitrix24::errors::operation_time_limit(),
        Mode::OperationTimeLimit => rate_limited(host, None),
        Mode::TooManyRequestsText => wire::whole(StatusCode::TOO_MANY_REQUESTS, "text/plain", Bytes::from_static(b"Too many requests")),
        Mode::ForbiddenHtml => wire::html(StatusCode::FORBIDDEN, "403 Forbidden"),
        Mode::BadGateway { committed } => return Some((wire::html(StatusCode::BAD_GATEWAY, "502 Bad Gateway"), *committed)),
        Mode::GatewayTimeout { committed } => return Some((wire::html(StatusCode::GATEWAY_TIMEOUT, "504 Gateway Time-out"), *committed)),
        Mode::Unavailable { retry_after_s } => {
            with_retry_after(wire::html(StatusCode::SERVICE_UNAVAILABLE, "503 Service Temporarily Unavailable"), *retry_after_s)
        }
        Mode::Unauthorized => match host {
            Host::Lime => lime::errors::unauthorized(),
            Host::Amocrm => amocrm::errors::unauthorized(),
            Host::Bitrix24 => bitrix24::errors::expired_token(),
        },
        Mode::Junk { bytes } => wire::whole(StatusCode::OK, "application/json", Bytes::from(vec![b'x'; *bytes])),
        Mode::Moved { to } => {
            let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            let mut response = wire::html(StatusCode::FOUND, "302 Found");
            if let Ok(location) = HeaderValue::from_str(&format!("{to}{path}")) {
                response.headers_mut().insert(LOCATION, location);
            }
            response
        }
        _ => return None,
    };
    Some((answer, false))
}

fn rate_limited(host: Host, retry_after_s: Option<u64>) -> Response<Bytes> {
    match host {
        Host::Lime => with_retry_after(lime::errors::too_many_requests(), retry_after_s.or(Some(1))),
        Host::Amocrm => amocrm::errors::too_many_requests(retry_after_s),
        Host::Bitrix24 => bitrix24::errors::query_limit_exceeded(),
    }
}

fn with_retry_after(mut response: Response<Bytes>, seconds: Option<u64>) -> Response<Bytes> {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
