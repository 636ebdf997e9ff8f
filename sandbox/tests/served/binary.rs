//! The binary: one JSON line, services that answer, an end on SIGTERM.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn it_prints_one_line_serves_what_it_names_and_ends_on_sigterm() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["all", "--listen", "127.0.0.1:0", "--seed", "3", "--service-point", "main-1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let at: Value = serde_json::from_str(&line).unwrap();
    for key in ["lime_url", "lime_token", "amocrm_url", "amocrm_token", "amocrm_oauth", "bitrix24_webhook", "bitrix24_oauth", "control_url"] {
        assert!(at.get(key).is_some_and(|value| !value.is_null()), "{key} is missing in {line}");
    }
    let lime = get(at["lime_url"].as_str().unwrap(), "/service-points", at["lime_token"].as_str().unwrap());
    assert!(lime.contains("\"main-1\""), "{lime}");
    let amo = get(at["amocrm_url"].as_str().unwrap(), "/api/v4/account", at["amocrm_token"].as_str().unwrap());
    assert!(amo.starts_with("HTTP/1.1 200") && amo.contains(at["amocrm_url"].as_str().unwrap()), "links are absolute and on the loopback: {amo}");
    let profile = get(at["bitrix24_webhook"].as_str().unwrap().trim_end_matches('/'), "/profile", "");
    assert!(profile.starts_with("HTTP/1.1 200"), "{profile}");
    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert!(child.wait().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one line and no more");
}

fn get(base: &str, path: &str, token: &str) -> String {
    let (host, prefix) = base
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .map_or((base.strip_prefix("http://").unwrap(), String::new()), |(host, rest)| (host, format!("/{rest}")));
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {prefix}{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_listens_to_this_machine_only() {
    let out = Command::new(env!("CARGO_BIN_EXE_sandbox")).args(["lime", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("use 127.0.0.1"));
}
