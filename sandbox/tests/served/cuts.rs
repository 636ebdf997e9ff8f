//! Faults as a caller on the other end of a TCP connection sees them.

use std::io::ErrorKind;
use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Down, Mode, Rule};
use sandbox::server::{Options, Running, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here takes; a test that needs it fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// How a connection ended, after these bytes.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    Nothing,
}

async fn sandbox() -> Running {
    serve(Options { hosts: vec![Host::Lime], clients: 5, ..Options::default() }).await.unwrap()
}

fn address(running: &Running) -> String {
    running.addresses.lime_url.as_ref().unwrap().strip_prefix("http://").unwrap().strip_suffix("/gw/v1").unwrap().to_owned()
}

fn request(running: &Running, path: &str) -> String {
    let token = running.addresses.lime_token.as_ref().unwrap();
    format!("GET /gw/v1/{path} HTTP/1.1\r\nhost: lime\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n")
}

/// Sends one request on a fresh connection and reads to its end, or for as long as `patience`.
async fn exchange(running: &Running, path: &str, patience: Duration) -> (Vec<u8>, End) {
    let mut stream = TcpStream::connect(address(running)).await.unwrap();
    stream.write_all(request(running, path).as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let end = loop {
        let mut chunk = [0; 4_096];
        match tokio::time::timeout(patience, stream.read(&mut chunk)).await {
            Err(_) => break End::Nothing,
            Ok(Ok(0)) => break End::Closed,
            Ok(Ok(read)) => got.extend_from_slice(&chunk[..read]),
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Ok(Err(error)) => panic!("{error}"),
        }
    };
    (got, end)
}

fn body(answer: &[u8]) -> &[u8] {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    &answer[at + 4..]
}

#[tokio::test]
async fn a_reset_comes_after_exactly_the_bytes_asked_for() {
    let running = sandbox().await;
    let (whole, end) = exchange(&running, "service-points", DEADLINE).await;
    assert_eq!(end, End::Closed);
    for byte in [0, 1, 16, 200, whole.len() - 1] {
        running.set_fault(Rule::new(Host::Lime, Mode::ResetAt { byte }).times(1)).await;
        let (got, end) = exchange(&running, "service-points", DEADLINE).await;
        assert_eq!((got.len(), end), (byte, End::Reset), "asked for {byte}");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn half_an_answer_has_its_head_and_half_its_body_and_ends_in_order() {
    let running = sandbox().await;
    let (whole, _) = exchange(&running, "service-points", DEADLINE).await;
    running.set_fault(Rule::new(Host::Lime, Mode::HalfAnswer).times(1)).await;
    let (half, end) = exchange(&running, "service-points", DEADLINE).await;
    assert_eq!(end, End::Closed);
    assert_eq!(body(&half).len(), body(&whole).len() / 2);
    assert!(serde_json::from_slice::<serde_json::Value>(body(&half)).is_err());
    running.shutdown().await;
}

#[tokio::test]
async fn a_drop_is_a_reset_without_a_byte_before_or_after_the_commit() {
    let running = sandbox().await;
    for (mode, committed) in [(Mode::DropBeforeCommit, false), (Mode::DropAfterCommit, true)] {
        running.set_fault(Rule::new(Host::Lime, mode).times(1)).await;
        let (got, end) = exchange(&running, "time", DEADLINE).await;
        assert_eq!((got.len(), end), (0, End::Reset));
        let last = running.with_site(|site, _, _| site.log.calls().last().cloned()).unwrap();
        assert_eq!(last.committed, committed);
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_service_that_is_down_refuses_resets_the_living_and_comes_back_at_its_port() {
    let running = sandbox().await;
    let mut living = TcpStream::connect(address(&running)).await.unwrap();
    running.set_fault(Rule::new(Host::Lime, Mode::Down { how: Down::Refuse })).await;
    assert_eq!(TcpStream::connect(address(&running)).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let end = tokio::time::timeout(DEADLINE, living.read(&mut [0; 16])).await.unwrap();
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    running.clear_faults().await;
    assert_eq!(exchange(&running, "time", DEADLINE).await.1, End::Closed);
    running.shutdown().await;
}

#[tokio::test]
async fn a_black_hole_connects_and_never_answers() {
    let running = sandbox().await;
    running.set_fault(Rule::new(Host::Lime, Mode::Down { how: Down::BlackHole })).await;
    let (got, end) = exchange(&running, "time", Duration::from_millis(300)).await;
    assert_eq!((got.len(), end), (0, End::Nothing));
    assert_eq!(running.with_site(|site, _, _| site.log.requests(Host::Lime)), 0);
    running.clear_faults().await;
    running.set_fault(Rule::new(Host::Lime, Mode::Hang { committed: true }).times(1)).await;
    assert_eq!(exchange(&running, "time", Duration::from_millis(300)).await.1, End::Nothing);
    assert_eq!(exchange(&running, "time", DEADLINE).await.1, End::Closed, "only the one request hung");
    running.shutdown().await;
}

#[tokio::test]
async fn a_late_commit_happens_without_another_request() {
    let running = sandbox().await;
    running.set_fault(Rule::new(Host::Lime, Mode::LateCommit { ms: 50 }).times(1)).await;
    let token = running.addresses.lime_token.clone().unwrap();
    let beat = json!({"version": "1"}).to_string();
    let mut stream = TcpStream::connect(address(&running)).await.unwrap();
    let head =
        format!("POST /gw/v1/heartbeats HTTP/1.1\r\nhost: lime\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{beat}", beat.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let waited = tokio::time::timeout(DEADLINE, async {
        while running.with_site(|site, _, _| site.state(Host::Lime)["heartbeats"] != 1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("the late commit happens by itself");
    running.shutdown().await;
}

#[tokio::test]
async fn control_sets_lists_and_takes_away_faults_and_refuses_what_it_does_not_know() {
    let running = sandbox().await;
    let control = running.addresses.control_url.clone();
    let set = call(
        &control,
        "POST",
        "faults",
        &json!([{"service": "lime", "path": "time", "mode": {"kind": "bad_gateway"}}, {"mode": {"kind": "delay", "ms": 1}}]),
    )
    .await;
    assert_eq!(set, (200, json!({"ids": [1, 2]})));
    let (got, _) = exchange(&running, "time", DEADLINE).await;
    assert!(got.starts_with(b"HTTP/1.1 502 Bad Gateway") && body(&got).starts_with(b"<html>"));
    let (status, listed) = call(&control, "GET", "faults", &json!(null)).await;
    assert_eq!((status, listed[0]["struck"].as_u64(), listed[0]["fault"]["mode"]["kind"].as_str()), (200, Some(1), Some("bad_gateway")));
    assert_eq!(call(&control, "DELETE", "faults/1", &json!(null)).await.0, 200);
    assert!(exchange(&running, "time", DEADLINE).await.0.starts_with(b"HTTP/1.1 200"));
    assert_eq!(call(&control, "POST", "faults", &json!({"mode": {"kind": "explode"}})).await.0, 400);
    assert_eq!(call(&control, "POST", "switches", &json!({"lime": {"no_such": 1}})).await.0, 400);
    let (_, state) = call(&control, "GET", "state/lime", &json!(null)).await;
    assert_eq!(state["calls"]["requests"], 2);
    let (_, log) = call(&control, "GET", "log?service=lime", &json!(null)).await;
    assert_eq!((log[0]["fault"].as_str(), log[0]["status"].as_u64(), log[1]["fault"].as_str()), (Some("bad_gateway"), Some(502), Some("delay")));
    running.shutdown().await;
}

#[tokio::test]
async fn control_adds_clients_codes_and_changes_switches() {
    let running = serve(Options { clients: 5, ..Options::default() }).await.unwrap();
    let control = running.addresses.control_url.clone();
    let before = call(&control, "GET", "media", &json!(null)).await.1.as_array().unwrap().len();
    let seeded = call(&control, "POST", "seed", &json!({"clients": 10, "service_points": ["main-1"]})).await.1;
    assert!(seeded["media"].as_u64().unwrap() >= u64::try_from(before).unwrap() + 20, "a card and a ticket for each family at least");
    assert_eq!(call(&control, "GET", "state", &json!(null)).await.1["lime"]["service_points"], 10);
    let (one, two) = (call(&control, "POST", "oauth-code", &json!({})).await, call(&control, "POST", "oauth-code", &json!({})).await);
    assert!(one.1["code"].is_string() && one.1 != two.1);
    assert_eq!(
        call(&control, "POST", "switches", &json!({"amocrm": {"filters": false}, "bitrix24": {"admin": false}, "lime": {"time_offset_ms": 5}}))
            .await
            .0,
        200
    );
    assert_eq!(call(&control, "GET", "no-such", &json!(null)).await.0, 400);
    running.shutdown().await;
}

async fn call(control: &str, method: &str, path: &str, given: &serde_json::Value) -> (u16, serde_json::Value) {
    let at = control.strip_prefix("http://").unwrap().strip_suffix("/_sandbox").unwrap();
    let given = if given.is_null() { String::new() } else { given.to_string() };
    let mut stream = TcpStream::connect(at).await.unwrap();
    let head = format!("{method} /_sandbox/{path} HTTP/1.1\r\nhost: control\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{given}", given.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut got)).await.unwrap().unwrap();
    let status = std::str::from_utf8(&got[9..12]).unwrap().parse().unwrap();
    (status, serde_json::from_slice(body(&got)).unwrap())
}
