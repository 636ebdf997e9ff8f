//! Long polls over a socket, and a cashier at the control address.

use std::net::SocketAddr;

use sandbox::Host;
use sandbox::server::{Options, Running, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn send(base: &str, method: &str, path: &str, token: &str, body: &str) -> Value {
    let (host, prefix) = base.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host.parse::<SocketAddr>().unwrap()).await.unwrap();
    let request = format!(
        "{method} /{prefix}{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|_| panic!("{answer}"))
}

async fn lime() -> (Running, String, String) {
    let running = serve(Options { hosts: vec![Host::Lime], ..Options::default() }).await.unwrap();
    let (base, token) = (running.addresses.lime_url.clone().unwrap(), running.addresses.lime_token.clone().unwrap());
    (running, base, token)
}

#[tokio::test]
async fn a_long_poll_is_answered_when_the_cashier_has_done_something() {
    let (running, base, token) = lime().await;
    let cursor = send(&base, "GET", "/transactions/changes", &token, "").await["next_cursor"].as_str().unwrap().to_owned();
    let (asked, with) = (base.clone(), token.clone());
    let poll = tokio::spawn(async move { send(&asked, "GET", &format!("/transactions/changes?cursor={cursor}&wait_s=60"), &with, "").await });
    let sale = json!({"client_id": "c-1", "lines": [{"good_type_id": "p-1", "qty": 2}]}).to_string();
    let sold = send(&running.addresses.control_url, "POST", "/lime/sell", "", &sale).await;
    let page = poll.await.unwrap();
    assert_eq!((&page["items"][0]["object"]["id"], &sold["total"]), (&sold["transaction_id"], &json!(100_000)));
    let unknown = send(&running.addresses.control_url, "POST", "/lime/dance", "", "{}").await;
    assert!(unknown["error"].as_str().unwrap().contains("register, change"), "{unknown}");
    running.shutdown().await;
}

#[tokio::test]
async fn a_long_poll_without_news_ends_empty_with_the_cursor_it_had() {
    let (running, base, token) = lime().await;
    let before = send(&base, "GET", "/clients/changes", &token, "").await;
    let path = format!("/clients/changes?cursor={}&wait_s=1", before["next_cursor"].as_str().unwrap());
    let page = send(&base, "GET", &path, &token, "").await;
    assert_eq!((&page["items"], &page["next_cursor"], &page["has_more"]), (&json!([]), &before["next_cursor"], &json!(false)));
    running.shutdown().await;
}
