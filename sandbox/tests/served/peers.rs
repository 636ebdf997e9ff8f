//! Clients written by others, from PyPI, unchanged.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use sandbox::Host;
use sandbox::server::{Options, Running, serve};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin/python");
    assert!(python.exists(), "{} is missing: `make test` sets it up (a venv with tests/requirements.txt)", python.display());
    python
}

async fn run(running: &Running, script: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let mut child =
        Command::new(python()).arg(&script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(serde_json::to_string(&running.addresses).unwrap().as_bytes()).await.unwrap();
    drop(stdin);
    let out = child.wait_with_output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success() && text(&out.stdout).ends_with("ok\n"), "{}: {}\n{}", script.display(), text(&out.stdout), text(&out.stderr));
}

#[tokio::test]
async fn aioamocrm_works_unchanged_and_keeps_the_limit() {
    let running = serve(Options { hosts: vec![Host::Amocrm], ..Options::default() }).await.unwrap();
    run(&running, "amocrm_client.py").await;
    let state = running.with_site(|site, _, _| site.state(Host::Amocrm));
    assert_eq!(state["limits"]["breaches"], 0, "it spaces its requests by a seventh of a second");
    assert_eq!(state["oauth"]["refreshes"], 1);
    running.shutdown().await;
}

#[tokio::test]
async fn fast_bitrix24_works_unchanged_and_what_the_limit_refuses_is_not_doubled() {
    let running = serve(Options { hosts: vec![Host::Bitrix24], ..Options::default() }).await.unwrap();
    run(&running, "bitrix24_client.py").await;
    let state = running.with_site(|site, _, _| site.state(Host::Bitrix24));
    assert_eq!(state["contacts"].as_array().unwrap().len(), 120);
    running.shutdown().await;
}

#[tokio::test]
async fn amocrm_api_wrapper_works_unchanged_on_catalogs_links_events_and_tasks() {
    let running = serve(Options { hosts: vec![Host::Amocrm], ..Options::default() }).await.unwrap();
    running.with_site(|site, _, _| assert!(site.amocrm.switch("limit_per_second", &serde_json::Value::Null)));
    run(&running, "amocrm_wrapper.py").await;
    let state = running.with_site(|site, _, _| site.state(Host::Amocrm));
    assert_eq!((state["leads"][0]["price"].as_u64(), state["leads"][0]["products"][0]["metadata"]["quantity"].as_f64()), (Some(1_500), Some(3.0)));
    running.shutdown().await;
}

#[tokio::test]
async fn bitrix24_rest_works_unchanged_and_its_wrong_keys_empty_the_rows() {
    let running = serve(Options { hosts: vec![Host::Bitrix24], ..Options::default() }).await.unwrap();
    run(&running, "bitrix24_rest.py").await;
    let state = running.with_site(|site, _, _| site.state(Host::Bitrix24));
    assert_eq!(state["deals"][0]["opportunity"], 1_300.0);
    running.shutdown().await;
}
