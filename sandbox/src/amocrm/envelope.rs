//! HAL envelopes and pages: absolute links that keep the query, `next` only where there is one, 204 for nothing.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Amo, Call};
use crate::wire;

pub(super) const HAL: &str = "application/hal+json";
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 250;

/// Page (from 1) and limit of a list. Beyond the maximum the limit falls back without a word.
pub(super) fn page(query: &Value) -> (usize, usize) {
    let number = |key: &str| query.get(key).and_then(wire::integer).and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0);
    (number("page").unwrap_or(1), number("limit").unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT))
}

impl Amo {
    /// One page of a list; 204 where it is empty. `total` adds what short dictionaries carry.
    pub(super) fn listed(&self, call: &Call<'_>, name: &str, all: Vec<Value>, total: bool) -> Response<Bytes> {
        self.listed_within(call, name, all, total, MAX_LIMIT)
    }

    /// The same for a list whose pages are smaller.
    pub(super) fn listed_by(&self, call: &Call<'_>, name: &str, all: Vec<Value>, limit: usize) -> Response<Bytes> {
        self.listed_within(call, name, all, false, limit)
    }

    fn listed_within(&self, call: &Call<'_>, name: &str, all: Vec<Value>, total: bool, most: usize) -> Response<Bytes> {
        let (page, limit) = page(&call.query());
        let limit = limit.min(most);
        let count = all.len();
        let items: Vec<Value> = all.into_iter().skip((page - 1).saturating_mul(limit)).take(limit).collect();
        if items.is_empty() {
            return wire::empty(StatusCode::NO_CONTENT);
        }
        let mut links = json!({"self": {"href": self.with_page(call, page)}});
        if page.saturating_mul(limit) < count {
            links["next"] = json!({"href": self.with_page(call, page + 1)});
        }
        // Put in and not copied in: a page is large.
        let mut body = json!({"_page": page, "_links": links, "_embedded": {}});
        body["_embedded"][name] = Value::Array(items);
        if total {
            body["_total_items"] = json!(count);
            body["_page_count"] = json!(count.div_ceil(limit));
        }
        wire::json_as(HAL, StatusCode::OK, &body)
    }

    /// The answer to a write.
    pub(super) fn written(&self, status: StatusCode, path: &str, name: &str, items: Vec<Value>) -> Response<Bytes> {
        wire::json_as(HAL, status, &json!({"_links": {"self": {"href": self.href(path)}}, "_embedded": {name: items}}))
    }

    pub(super) fn one(&self, value: &Value) -> Response<Bytes> {
        wire::json_as(HAL, StatusCode::OK, value)
    }

    pub(super) fn href(&self, path: &str) -> String {
        format!("{}/api/v4/{path}", self.base)
    }

    fn with_page(&self, call: &Call<'_>, page: usize) -> String {
        let query = call.request.uri().query().unwrap_or_default();
        let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
        let pairs: Vec<String> = kept.map(str::to_owned).chain([format!("page={page}")]).collect();
        format!("{}{}?{}", self.base, call.request.uri().path(), pairs.join("&"))
    }
}

/// An item's own request id as text, else its place in the request.
pub(super) fn request_id(item: &Value, index: usize) -> String {
    item.get("request_id").and_then(wire::text).unwrap_or_else(|| index.to_string())
}
