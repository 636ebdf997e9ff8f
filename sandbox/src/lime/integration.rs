//! The paths that the two-way integration uses: feeds, writing clients, preorders, bonus accruals, dictionaries.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::feeds::Feed;
use super::{Lime, body, clients, errors, time};
use crate::wire;

impl Lime {
    /// The answer, where the path is one of these.
    pub(super) fn integration(&mut self, wall_ms: i64, request: &Request<Bytes>, segments: &[&str]) -> Option<Response<Bytes>> {
        let answered = match (request.method(), segments) {
            (&Method::GET, [name, "changes"]) => match Feed::named(name) {
                Some(feed) => self.changes(feed, request).map(|page| (StatusCode::OK, page)),
                None => return None,
            },
            (&Method::POST, ["clients"]) => self.post_client(wall_ms, request),
            (&Method::PATCH, ["clients", id]) => self.patch_client(wall_ms, id, request),
            (&Method::PUT, ["preorders", "by-ref", reference]) => {
                let reference = percent_decode_str(reference).decode_utf8_lossy().into_owned();
                self.put_preorder(wall_ms, &reference, request)
            }
            (&Method::POST, ["bonus-accruals:batch"]) => {
                let given = body(request).map_err(|message| errors::Refused::from(errors::malformed(&message)));
                given.and_then(|given| {
                    let answer = self.accruals(wall_ms, &given).ok_or_else(|| errors::malformed("items must be a list of 1 to 200"))?;
                    Ok((StatusCode::OK, answer))
                })
            }
            (&Method::GET, ["categories"]) => {
                let shown = [false, true].map(clients::category).map(|(id, name, kind)| json!({"id": id, "name": name, "kind": kind}));
                Ok((StatusCode::OK, json!({"items": shown})))
            }
            (&Method::GET, ["relation-types"]) => {
                let shown = clients::RELATIONS.map(|(role, id, name)| json!({"id": id, "name": name, "role": role}));
                Ok((StatusCode::OK, json!({"items": shown})))
            }
            (
                _,
                ["clients" | "bonus-accruals:batch" | "categories" | "relation-types"]
                | ["preorders", "by-ref", _]
                | ["clients" | "transactions" | "products" | "preorders", "changes"],
            ) => Err(errors::method_not_allowed().into()),
            _ => return None,
        };
        Some(match answered {
            Ok((status, mut answer)) => {
                if let Value::Object(map) = &mut answer {
                    map.insert("server_time".to_owned(), json!(time(wall_ms)));
                }
                wire::json(status, &answer)
            }
            Err(refused) => *refused,
        })
    }
}
