//! Requests of the Lime gateway API, below its base (`https://lime.example/gw/v1`).

use http::Method;
use serde_json::json;
use uuid::Uuid;

use crate::domain::ClientId;
use crate::http::Request;

/// Most clients of one [`clients`].
pub const CLIENTS_LIMIT: usize = 100;

/// A client with children, cards and balances: `GET /clients/{id}`.
#[must_use]
pub fn client(id: &ClientId) -> Request {
    Request::get(format!("/clients/{}", segment(id.as_str())), "GET /clients/{id}")
}

/// A client's newest transactions, newest first: `GET /clients/{id}/transactions?limit=n`.
#[must_use]
pub fn transactions(id: &ClientId, limit: usize) -> Request {
    Request::get(format!("/clients/{}/transactions?limit={limit}", segment(id.as_str())), "GET /clients/{id}/transactions")
}

/// Many clients, each with so many of their newest transactions: `POST /clients:batch`. At most [`CLIENTS_LIMIT`]; it changes nothing there.
#[must_use]
pub fn clients(ids: &[ClientId], transactions: usize) -> Request {
    let ids: Vec<&str> = ids.iter().map(ClientId::as_str).collect();
    Request::json(Method::POST, "/clients:batch", &json!({ "ids": ids, "transactions": transactions }), "POST /clients:batch")
}

/// The places where passes are taken: `GET /service-points`.
#[must_use]
pub fn service_points() -> Request {
    Request::get("/service-points", "GET /service-points")
}

/// Lime's clock: `GET /time`. Also the cheapest way to see whether address and token are right.
#[must_use]
pub fn time() -> Request {
    Request::get("/time", "GET /time")
}

/// What became of write-offs, without changing anything: `POST /write-offs:lookup`, at most [`super::BATCH_LIMIT`] ids.
#[must_use]
pub fn lookup(ids: &[Uuid]) -> Request {
    Request::json(Method::POST, "/write-offs:lookup", &json!({ "ids": ids }), "POST /write-offs:lookup")
}

/// The entitlement snapshot of these service points, or what has changed in it since a version: `GET /entitlements`.
#[must_use]
pub fn entitlements(service_points: &[String], since: Option<&str>) -> Request {
    let points: Vec<String> = service_points.iter().map(|point| segment(point)).collect();
    let since = since.map(|version| format!("&since={}", segment(version))).unwrap_or_default();
    Request::get(format!("/entitlements?service_point_ids={}{since}", points.join(",")), "GET /entitlements")
}

/// Percent-encodes one path segment: an id is opaque, so it may hold anything.
pub(super) fn segment(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        // Dots are encoded, too: `..` would climb out of the path.
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                out.push(char::from(HEX.get(usize::from(half)).copied().unwrap_or(b'0')));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_path_segment() {
        assert_eq!(client(&ClientId::from("c-77_x~1")).path, "/clients/c-77_x~1");
        assert_eq!(client(&ClientId::from("../a?b=c#d/é")).path, "/clients/%2E%2E%2Fa%3Fb%3Dc%23d%2F%C3%A9");
        assert_eq!(transactions(&ClientId::from("7"), 10).path, "/clients/7/transactions?limit=10");
    }
}
