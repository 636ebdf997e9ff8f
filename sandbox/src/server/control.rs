//! `/_sandbox/`: faults, state, log, seeds and switches, over HTTP for tests and people.
//!
//! | request | does |
//! |---|---|
//! | `GET`, `POST`, `DELETE /_sandbox/faults[/{id}]` | lists, sets (one rule or a list of them), takes away |
//! | `GET /_sandbox/state[/{service}]` | what it holds, counted for the books |
//! | `GET /_sandbox/log?service=&after=&limit=` | the last calls |
//! | `GET /_sandbox/media` | the cards and tickets that Lime knows |
//! | `POST /_sandbox/seed` | `{"clients": n, "service_points": ["x"], "media": [{"kind", "value", "blocked", "rights": [..]}]}`: more of them |
//! | `POST /_sandbox/oauth-code` | a fresh one-time code of the amoCRM integration |
//! | `POST /_sandbox/{lime\|amocrm\|bitrix24}/{action}` | what a cashier or a manager does by hand |
//! | `POST /_sandbox/switches` | `{"amocrm": {..}, "bitrix24": {..}, "lime": {..}}`: limits, filters, plans |

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::Shared;
use crate::faults::Rule;
use crate::host::Host;
use crate::wire;

pub(super) fn is_control(request: &Request<Bytes>) -> bool {
    request.uri().path().starts_with("/_sandbox/")
}

pub(super) async fn answer(shared: &Shared, request: &Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path().trim_start_matches("/_sandbox/").to_owned();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let answer = match (request.method(), segments.as_slice()) {
        (&Method::GET, ["faults"]) => Ok(shared.with_site(|site, _, _| site.faults.state())),
        (&Method::POST, ["faults"]) => set(shared, request),
        (&Method::DELETE, ["faults"]) => {
            shared.with_site(|site, _, _| site.faults.clear());
            Ok(json!([]))
        }
        (&Method::DELETE, ["faults", id]) => {
            let gone = id.parse().is_ok_and(|id| shared.with_site(|site, _, _| site.faults.remove(id)));
            if gone { Ok(json!({})) } else { Err("there is no fault of this id".to_owned()) }
        }
        (&Method::GET, ["state"]) => Ok(shared.with_site(|site, _, _| {
            let mut state: serde_json::Map<String, Value> = Host::ALL.iter().map(|host| (host.name().to_owned(), site.state(*host))).collect();
            state.insert("faults".to_owned(), site.faults.state());
            Value::Object(state)
        })),
        (&Method::GET, ["state", name]) => match Host::ALL.iter().find(|host| host.name() == *name) {
            Some(host) => Ok(shared.with_site(|site, _, _| site.state(*host))),
            None => Err(format!("there is no service {name}")),
        },
        (&Method::GET, ["log"]) => Ok(log(shared, &wire::query(request))),
        (&Method::GET, ["media"]) => Ok(shared.with_site(|site, _, _| {
            site.lime.media().into_iter().map(|medium| json!({"kind": medium.kind, "value": medium.value, "client_id": medium.client_id})).collect()
        })),
        (&Method::POST, ["seed"]) => body(request).map(|body| seed(shared, &body)),
        (&Method::POST, ["oauth-code"]) => Ok(shared.with_site(|site, now_ms, _| json!({"code": site.amocrm.issue_code(now_ms)}))),
        (&Method::POST, ["switches"]) => body(request).and_then(|body| switch(shared, &body)),
        (&Method::POST, [name, action]) => match Host::ALL.iter().find(|host| host.name() == *name) {
            Some(host) => body(request).and_then(|body| shared.with_site(|site, now_ms, wall_ms| site.act(*host, action, now_ms, wall_ms, &body))),
            None => Err(format!("there is no service {name}")),
        },
        _ => Err("unknown; see faults, state, log, media, seed, oauth-code, switches, {service}/{action}".to_owned()),
    };
    shared.applied().await;
    match answer {
        Ok(value) => wire::json(StatusCode::OK, &value),
        Err(message) => wire::json(StatusCode::BAD_REQUEST, &json!({"error": message})),
    }
}

fn body(request: &Request<Bytes>) -> Result<Value, String> {
    serde_json::from_slice(request.body()).map_err(|error| format!("the body is not JSON: {error}"))
}

fn set(shared: &Shared, request: &Request<Bytes>) -> Result<Value, String> {
    let body = body(request)?;
    let rules: Vec<Rule> = match body {
        list @ Value::Array(_) => serde_json::from_value(list),
        one => serde_json::from_value(one).map(|rule| vec![rule]),
    }
    .map_err(|error| format!("not a fault: {error}"))?;
    Ok(shared.with_site(|site, now_ms, _| {
        let ids: Vec<u64> = rules.into_iter().map(|rule| site.faults.set(now_ms, rule)).collect();
        json!({"ids": ids})
    }))
}

fn log(shared: &Shared, query: &Value) -> Value {
    let service = query.get("service").and_then(Value::as_str);
    let number = |key: &str| query.get(key).and_then(wire::integer).and_then(|number| u64::try_from(number).ok());
    let after = number("after").unwrap_or(0);
    let limit = number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    shared.with_site(|site, _, _| {
        let calls = site.log.calls().filter(|call| call.number > after && service.is_none_or(|name| call.service.name() == name));
        calls.take(limit).map(|call| json!(call)).collect()
    })
}

fn seed(shared: &Shared, body: &Value) -> Value {
    shared.with_site(|site, _, _| {
        let clients = body.get("clients").and_then(Value::as_u64).unwrap_or(0).min(100_000);
        site.lime.add_clients(usize::try_from(clients).unwrap_or(0));
        for id in body.get("service_points").map(wire::members).unwrap_or_default() {
            if let Some(id) = id.as_str() {
                site.lime.add_service_point(id);
            }
        }
        for medium in body.get("media").map(wire::members).unwrap_or_default() {
            let text = |key: &str| medium.get(key).and_then(Value::as_str).unwrap_or_default();
            let blocked = medium.get("blocked").and_then(Value::as_bool).unwrap_or(false);
            site.lime.put_medium(text("kind"), text("value"), blocked, medium.get("rights").unwrap_or(&Value::Null));
        }
        json!({"media": site.lime.media().len()})
    })
}

fn switch(shared: &Shared, body: &Value) -> Result<Value, String> {
    shared.with_site(|site, _, _| {
        for (service, switches) in body.as_object().into_iter().flatten() {
            for (name, value) in switches.as_object().into_iter().flatten() {
                let known = match service.as_str() {
                    "lime" => site.lime.switch(name, value),
                    "amocrm" => site.amocrm.switch(name, value),
                    "bitrix24" => site.bitrix24.switch(name, value),
                    _ => false,
                };
                if !known {
                    return Err(format!("{service} has no switch {name} that takes {value}"));
                }
            }
        }
        Ok(json!({}))
    })
}
