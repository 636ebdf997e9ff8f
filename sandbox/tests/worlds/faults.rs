//! What a caller sees of each fault, and whether the world has carried the request out.

use bytes::Bytes;
use http::{Request, Response};
use sandbox::faults::{Down, Mode, Rule};
use sandbox::{CutAt, Ending, Host, Outcome, Site, What};
use serde_json::{Value, json};

use crate::support::WALL;

fn request(site: &Site, host: Host) -> Request<Bytes> {
    match host {
        Host::Lime => {
            let token = site.lime.token();
            Request::post("/gw/v1/heartbeats").header("authorization", format!("Bearer {token}")).body(Bytes::from_static(b"{}")).unwrap()
        }
        Host::Amocrm => {
            let token = site.amocrm.long_lived_token();
            Request::post("/api/v4/contacts")
                .header("authorization", format!("Bearer {token}"))
                .body(Bytes::from_static(b"[{\"name\":\"x\"}]"))
                .unwrap()
        }
        Host::Bitrix24 => {
            let path = site.bitrix24.webhook().replace("https://bitrix24.sandbox", "");
            Request::post(format!("{path}crm.item.add?entityTypeId=3&fields[name]=x")).body(Bytes::new()).unwrap()
        }
    }
}

/// Whether the world holds what the request was to make.
fn carried_out(site: &Site, host: Host) -> bool {
    let state = site.state(host);
    match host {
        Host::Lime => state["heartbeats"] == 1,
        _ => state["contacts"].as_array().unwrap().len() == 1,
    }
}

fn strike(host: Host, mode: Mode) -> (Outcome, bool) {
    let mut site = Site::new(1);
    site.faults.set(0, Rule::new(host, mode));
    let request = request(&site, host);
    let outcome = site.call(host, 1_000, WALL, request);
    let done = carried_out(&site, host);
    assert_eq!(outcome.committed, done, "what the outcome says of {host:?} is true");
    (outcome, done)
}

fn answer(host: Host, mode: Mode) -> (Response<Bytes>, bool) {
    let (outcome, done) = strike(host, mode);
    let What::Whole(response) = outcome.what else { panic!("no whole answer: {outcome:?}") };
    (response, done)
}

fn parsed(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or(Value::Null)
}

#[test]
fn each_service_says_in_its_own_way_that_it_is_too_much() {
    let limited = |host| answer(host, Mode::RateLimited { retry_after_s: Some(300) });
    let (lime, done) = limited(Host::Lime);
    assert_eq!((lime.status().as_u16(), lime.headers()["retry-after"].to_str().unwrap(), done), (429, "300", false));
    assert_eq!(parsed(&lime)["error"]["retryable"], true);
    let (amo, done) = limited(Host::Amocrm);
    assert_eq!((amo.status().as_u16(), parsed(&amo)["retry_after"].as_u64(), done), (429, Some(300), false));
    assert_eq!(amo.headers()["content-type"], "application/problem+json");
    let (b24, done) = limited(Host::Bitrix24);
    assert_eq!((b24.status().as_u16(), parsed(&b24)["error"].as_str(), done), (503, Some("QUERY_LIMIT_EXCEEDED"), false));
    let (b24, _) = answer(Host::Bitrix24, Mode::OperationTimeLimit);
    assert_eq!((b24.status().as_u16(), parsed(&b24)["error"].as_str()), (429, Some("OPERATION_TIME_LIMIT")));
    let (amo, _) = answer(Host::Amocrm, Mode::TooManyRequestsText);
    assert_eq!((amo.status().as_u16(), parsed(&amo)), (429, Value::Null));
    let (amo, _) = answer(Host::Amocrm, Mode::ForbiddenHtml);
    assert_eq!((amo.status().as_u16(), amo.headers()["content-type"].to_str().unwrap()), (403, "text/html"));
}

#[test]
fn each_service_says_in_its_own_way_who_may_not_ask() {
    let refused = |host| parsed(&answer(host, Mode::Unauthorized).0);
    assert_eq!(refused(Host::Lime)["error"]["code"], "device_unauthorized");
    assert_eq!(refused(Host::Amocrm)["status"], 401);
    assert_eq!(refused(Host::Bitrix24)["error"], "expired_token");
}

#[test]
fn a_proxys_error_hides_whether_the_request_was_carried_out() {
    for host in Host::ALL {
        for committed in [false, true] {
            let (response, done) = answer(host, Mode::BadGateway { committed });
            assert_eq!((response.status().as_u16(), done), (502, committed));
            let (response, done) = answer(host, Mode::GatewayTimeout { committed });
            assert_eq!((response.status().as_u16(), done), (504, committed));
        }
        let (response, done) = answer(host, Mode::Unavailable { retry_after_s: Some(7) });
        assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap(), done), (503, "7", false));
        let (response, done) = answer(host, Mode::Junk { bytes: 1_048_576 });
        assert_eq!((response.status().as_u16(), response.body().len(), parsed(&response), done), (200, 1_048_576, Value::Null, false));
        let (response, done) = answer(host, Mode::Moved { to: "http://127.0.0.1:1".to_owned() });
        assert_eq!((response.status().as_u16(), done), (302, false));
        assert!(response.headers()["location"].to_str().unwrap().starts_with("http://127.0.0.1:1/"));
    }
}

#[test]
fn cut_connections_say_the_truth_about_the_commit() {
    for host in Host::ALL {
        assert!(matches!(strike(host, Mode::DropBeforeCommit), (Outcome { what: What::Reset, .. }, false)));
        assert!(matches!(strike(host, Mode::DropAfterCommit), (Outcome { what: What::Reset, .. }, true)));
        assert!(matches!(strike(host, Mode::Hang { committed: true }), (Outcome { what: What::Hang, .. }, true)));
        assert!(matches!(strike(host, Mode::Hang { committed: false }), (Outcome { what: What::Hang, .. }, false)));
        let (outcome, _) = strike(host, Mode::ResetAt { byte: 5 });
        assert!(matches!(outcome.what, What::Cut { at: CutAt::Byte(5), ending: Ending::Reset, .. }));
        let (outcome, _) = strike(host, Mode::HalfAnswer);
        assert!(matches!(outcome.what, What::Cut { at: CutAt::HalfTheBody, ending: Ending::Closed, .. }));
        assert!(matches!(strike(host, Mode::Down { how: Down::Refuse }), (Outcome { what: What::Refused, .. }, false)));
        assert!(matches!(strike(host, Mode::Down { how: Down::BlackHole }), (Outcome { what: What::Hang, .. }, false)));
        let (outcome, _) = strike(host, Mode::Delay { ms: 900 });
        assert!(outcome.after_ms == 900 && outcome.response().is_some_and(|response| response.status() == 200));
    }
}

#[test]
fn delays_add_to_another_fault_and_the_log_names_what_struck() {
    let mut site = Site::new(1);
    let set = |site: &mut Site, rule: Value| site.faults.set(0, serde_json::from_value(rule).unwrap());
    set(&mut site, json!({"service": "lime", "mode": {"kind": "delay", "ms": 100}}));
    set(&mut site, json!({"service": "lime", "body": "gw-17", "mode": {"kind": "bad_gateway"}}));
    let mut beat = |body: &'static [u8]| {
        let request = request(&site, Host::Lime).map(|_| Bytes::from_static(body));
        let outcome = site.call(Host::Lime, 1_000, WALL, request);
        (outcome.after_ms, outcome.response().unwrap().status().as_u16(), site.log.calls().last().unwrap().fault.clone().unwrap())
    };
    assert_eq!(beat(b"{\"device\":\"gw-17\"}"), (100, 502, "bad_gateway".to_owned()));
    assert_eq!(beat(b"{\"device\":\"gw-18\"}"), (100, 200, "delay".to_owned()));
}
