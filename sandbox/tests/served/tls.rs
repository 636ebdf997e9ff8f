//! TLS with the authority that the sandbox names, and with no other.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sandbox::Host;
use sandbox::faults::{Mode, Rule};
use sandbox::server::{Options, Running, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

async fn sandbox(folder: &tempfile::TempDir, name: &str) -> Running {
    serve(Options { hosts: vec![Host::Lime], tls_ca: Some(folder.path().join(name)), clients: 5, ..Options::default() }).await.unwrap()
}

fn connector(running: &Running) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(running.addresses.ca_file.as_ref().unwrap()).unwrap()).unwrap();
    let config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

async fn ask(running: &Running, connector: &TlsConnector, name: &str) -> std::io::Result<Vec<u8>> {
    let at = running.addresses.lime_url.as_ref().unwrap().strip_prefix("https://").unwrap().strip_suffix("/gw/v1").unwrap().to_owned();
    let stream = TcpStream::connect(at).await?;
    let mut stream = connector.connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await?;
    stream.write_all(b"GET /gw/v1/time HTTP/1.1\r\nhost: lime\r\nconnection: close\r\n\r\n").await?;
    let mut got = Vec::new();
    match stream.read_to_end(&mut got).await {
        Err(_) if !got.is_empty() => Ok(got),
        Err(error) => Err(error),
        Ok(_) => Ok(got),
    }
}

#[tokio::test]
async fn the_named_authority_verifies_the_loopback_by_address_and_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let running = sandbox(&folder, "ca.pem").await;
    let connector = connector(&running);
    for name in ["127.0.0.1", "localhost"] {
        assert!(ask(&running, &connector, name).await.unwrap().starts_with(b"HTTP/1.1 401"), "{name}");
    }
    assert!(ask(&running, &connector, "lime.example").await.is_err(), "not under another name");
    running.shutdown().await;
}

#[tokio::test]
async fn another_runs_authority_does_not_verify() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (sandbox(&folder, "one.pem").await, sandbox(&folder, "two.pem").await);
    assert!(ask(&one, &connector(&two), "localhost").await.is_err());
    one.shutdown().await;
    two.shutdown().await;
}

#[tokio::test]
async fn an_answer_is_cut_inside_tls_too() {
    let folder = tempfile::tempdir().unwrap();
    let running = sandbox(&folder, "ca.pem").await;
    running.set_fault(Rule::new(Host::Lime, Mode::ResetAt { byte: 9 }).times(1)).await;
    assert_eq!(ask(&running, &connector(&running), "localhost").await.unwrap(), b"HTTP/1.1 ");
    running.shutdown().await;
}
