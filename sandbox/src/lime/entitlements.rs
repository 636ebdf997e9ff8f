//! `GET /entitlements`: all that a gateway needs to decide alone, as NDJSON; after that, what has changed since a version it names.
//!
//! A version is made when somebody asks and something has changed. The last few are remembered by the hash of each line; an older one is 410.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Request, Response, StatusCode};
use ring::{digest, hmac};
use serde_json::{Map, Value, json};

use super::{Lime, errors, time};
use crate::wire;

/// Versions that a delta can be made upon.
const KEPT: usize = 8;

/// What is told, and what was told before.
#[derive(Debug, Default)]
pub(super) struct Told {
    versions: Vec<Version>,
    made: u64,
    /// `max_age_s` in the header.
    pub(super) max_age_s: Option<u64>,
    /// `offline_policy` in the header.
    pub(super) offline_policy: Map<String, Value>,
    /// Media are named by their hash with this key.
    pub(super) media_key: Option<String>,
    /// The last line is left out.
    pub(super) without_end: bool,
    asked: u64,
    whole: u64,
    deltas: u64,
    unchanged: u64,
}

#[derive(Debug)]
struct Version {
    name: String,
    points: String,
    lines: BTreeMap<String, [u8; 8]>,
}

impl Told {
    /// Every version is too old from now on.
    pub(super) fn forget(&mut self) {
        self.versions.clear();
    }

    pub(super) fn state(&self) -> Value {
        json!({"version": self.versions.last().map(|version| &version.name), "asked": self.asked, "whole": self.whole, "deltas": self.deltas,
            "unchanged": self.unchanged})
    }
}

impl Lime {
    pub(super) fn entitlements(&mut self, wall_ms: i64, request: &Request<Bytes>) -> Response<Bytes> {
        let query = wire::query(request);
        let Some(points) = query.get("service_point_ids").and_then(Value::as_str).filter(|points| !points.is_empty()).map(str::to_owned) else {
            return errors::malformed("service_point_ids is missing");
        };
        let lines = self.lines(&points);
        let hashes: BTreeMap<String, [u8; 8]> = lines.iter().map(|(m, line)| (m.clone(), short(line))).collect();
        let told = &mut self.told;
        told.asked += 1;
        if !told.versions.last().is_some_and(|last| last.points == points && last.lines == hashes) {
            told.made += 1;
            told.versions.push(Version { name: format!("s-{}", told.made), points: points.clone(), lines: hashes });
            let surplus = told.versions.len().saturating_sub(KEPT);
            told.versions.drain(..surplus);
        }
        let Some(present) = told.versions.last() else { return errors::no_such_path() };
        let name = present.name.clone();
        let since = query.get("since").and_then(Value::as_str);
        let base = match since {
            None => None,
            Some(since) => match told.versions.iter().find(|version| version.name == since && version.points == points) {
                Some(base) => Some(base),
                None => return errors::error(StatusCode::GONE, "version_expired", "ask again without since", false),
            },
        };
        let etag = format!("\"{name}\"");
        let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        if known == Some(etag.as_str()) && since == Some(name.as_str()) {
            told.unchanged += 1;
            return with_etag(wire::empty(StatusCode::NOT_MODIFIED), &etag);
        }
        let mut body: Vec<String> = Vec::new();
        match base {
            None => body.extend(lines.values().cloned()),
            Some(base) => {
                body.extend(lines.iter().filter(|(m, line)| base.lines.get(*m) != Some(&short(line))).map(|(_, line)| line.clone()));
                body.extend(base.lines.keys().filter(|m| !lines.contains_key(*m)).map(|m| json!({"m": m, "del": true}).to_string()));
            }
        }
        let count = body.len();
        let header = json!({"version": name, "base": base.map(|base| &base.name), "generated_at": time(wall_ms), "max_age_s": told.max_age_s,
            "offline_policy": told.offline_policy, "tariffs": self.service_points.iter().map(|point| (point.id.clone(),
                json!({"id": format!("t-{}", point.price / 100), "price": point.price, "currency": super::CURRENCY}))).collect::<Map<_, _>>()});
        if base.is_some() {
            told.deltas += 1
        } else {
            told.whole += 1
        }
        let mut text = format!("{header}\n{}", body.iter().map(|line| format!("{line}\n")).collect::<String>());
        let sha = digest::digest(&digest::SHA256, text.as_bytes());
        if !told.without_end {
            text.push_str(&json!({"end": true, "count": count, "sha256": hex(sha.as_ref())}).to_string());
            text.push('\n');
        }
        with_etag(wire::whole(StatusCode::OK, "application/x-ndjson", Bytes::from(text)), &etag)
    }

    /// The line of each medium, by its name.
    fn lines(&self, points: &str) -> BTreeMap<String, String> {
        let wanted: Vec<&str> = points.split(',').collect();
        let key = self.told.media_key.as_ref().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()));
        let mut lines = BTreeMap::new();
        for ((kind, value), medium) in &self.media {
            let plain = format!("{kind}:{value}");
            let m = key.as_ref().map_or(plain.clone(), |key| format!("hmac:{}", hex(hmac::sign(key, plain.as_bytes()).as_ref())));
            let rights: Vec<Value> = medium
                .rights
                .iter()
                .filter_map(|id| self.rights.get(id).map(|right| (id, right)))
                .filter(|(_, right)| right.places().is_none_or(|places| places.iter().any(|place| wanted.contains(&place.as_str()))))
                .map(|(id, right)| {
                    let mut line = Value::Object(right.limits.clone());
                    line["id"] = json!(id);
                    line["kind"] = json!(right.kind);
                    line["amount"] = json!(right.free());
                    line
                })
                .collect();
            let child = medium.client_id.as_ref().and_then(|id| self.clients.get(id)).map(|client| if client.child { "child" } else { "adult" });
            let line = json!({"m": m, "c": medium.client_id, "cat": child, "st": if medium.blocked { "blocked" } else { "ok" }, "rights": rights});
            lines.insert(m, line.to_string());
        }
        lines
    }
}

fn short(line: &str) -> [u8; 8] {
    let digest = digest::digest(&digest::SHA256, line.as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with_etag(mut response: Response<Bytes>, etag: &str) -> Response<Bytes> {
    if let Ok(value) = HeaderValue::from_str(etag) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}
