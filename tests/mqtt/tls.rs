//! `mqtts://` against mosquitto with a certificate made here.

use std::path::PathBuf;

use limegate::domain::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::gateway::{Gateway, config};
use crate::mosquitto::Mosquitto;
use crate::until;

/// A CA, and a certificate for `name` signed by it, as PEM files.
fn certificates(folder: &TempDir, name: &str) -> PathBuf {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    std::fs::write(folder.path().join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("server.key"), key.serialize_pem()).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    ca
}

const LINES: &str = "certfile {folder}/server.pem\nkeyfile {folder}/server.key";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_authority_it_connects_over_tls_and_large_messages_pass() {
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates(&folder, "localhost");
    let broker = Mosquitto::within(folder, LINES).await;
    let mut config = config(broker.port);
    (config.tls, config.host, config.ca) = (true, "localhost".to_owned(), Some(ca));
    let gateway = Gateway::client(&config, None, 1);
    gateway.connected().await;
    let mut subscription = gateway.client.subscribe("plain/#");
    subscription.link().wait_for(|link| *link == limegate::status::Link::Up).await.unwrap();
    gateway.client.publish_and_wait("plain/long", vec![b'x'; 200 * 1024], false).await.unwrap();
    gateway.client.publish_and_wait("plain/short", "y", false).await.unwrap();
    let long = subscription.recv().await.unwrap();
    assert_eq!((long.size, long.payload.len()), (200 * 1024, 0));
    long.ack();
    let short = subscription.recv().await.unwrap();
    assert_eq!(short.payload.as_ref(), b"y");
    short.ack();
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_authority_or_under_another_name_nothing_is_sent_and_status_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates(&folder, "broker.example");
    let broker = Mosquitto::within(folder, &format!("{LINES}\nallow_anonymous true")).await;
    for ca in [None, Some(ca)] {
        let mut config = config(broker.port);
        (config.tls, config.host, config.ca) = (true, "localhost".to_owned(), ca);
        config.user = Some("box".to_owned());
        let gateway = Gateway::client(&config, Some(Secret::new("CANARY")), 1);
        let error = || gateway.hub.snapshot().mqtt.error.unwrap_or_default();
        until("status says why", || error().contains("certificate")).await;
        assert!(error().starts_with("TLS: ") && !error().contains("CANARY"), "{}", error());
        assert_eq!(gateway.hub.snapshot().mqtt.connects, 0);
        gateway.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    let made = std::process::Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["box", "right"]).status();
    assert!(made.expect("mosquitto_passwd: it comes with mosquitto").success());
    let broker = Mosquitto::within(folder, "allow_anonymous false\npassword_file {folder}/passwords").await;
    let mut config = config(broker.port);
    config.user = Some("box".to_owned());
    let wrong = Gateway::client(&config, Some(Secret::new("wrong")), 1);
    until("status says why", || wrong.hub.snapshot().mqtt.error.as_deref() == Some("the broker refuses the user name or password")).await;
    wrong.stop().await;
    let right = Gateway::client(&config, Some(Secret::new("right")), 1);
    right.connected().await;
    right.stop().await;
}
