//! The HTTP client against servers that misbehave, over real sockets: each exchange ends in the right class, within its timeout, and says nothing secret.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use limegate::clock::{SharedClock, SystemClock};
use limegate::http::{Answer, Client, Failure, Request, SetupError, Transport, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// What a server does once it has read a request.
#[derive(Clone)]
enum Act {
    /// Sends these bytes and closes in order.
    Send(Vec<u8>),
    /// Sends these bytes and resets.
    Reset(Vec<u8>),
    /// Sends these bytes, one every few milliseconds.
    Trickle(Vec<u8>),
    /// Sends a head, then this many bytes of a body as fast as it can.
    Flood(&'static str, usize),
    /// Nothing.
    Silence,
}

struct Server {
    at: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(act: Act) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(misbehave(stream, act.clone()));
        }
    });
    Server { at, connections, task }
}

async fn misbehave(mut stream: TcpStream, act: Act) {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => seen.extend_from_slice(&buffer[..count]),
        }
        if seen.first() == Some(&0x16) {
            // A TLS greeting: answer in plain text.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            return;
        }
    }
    match act {
        Act::Send(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::Reset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            stream.set_zero_linger().unwrap();
        }
        Act::Trickle(bytes) => {
            for byte in bytes {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(5)).await;
            }
        }
        Act::Flood(head, count) => {
            let _ = stream.write_all(head.as_bytes()).await;
            let block = vec![0x20; 64 * 1024];
            for _ in 0..count / block.len() {
                if stream.write_all(&block).await.is_err() {
                    return;
                }
            }
        }
        Act::Silence => sleep(Duration::from_secs(60)).await,
    }
}

fn clock() -> SharedClock {
    Arc::new(SystemClock::new())
}

fn client(base: &str) -> Client {
    Client::new(base, tls::config(None, clock()).unwrap()).unwrap()
}

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The path holds a secret, as Bitrix24's webhook does.
const SECRET: &str = "s3cr3t-canary";

fn get() -> Request {
    Request { timeout: PATIENCE / 2, ..Request::get("/x", "GET /x") }
}

async fn ask(server: &Server) -> Result<Answer, Failure> {
    ask_for(server, get()).await
}

async fn ask_for(server: &Server, request: Request) -> Result<Answer, Failure> {
    let client = client(&format!("http://{}/rest/{SECRET}", server.at));
    let exchange = client.send(request);
    let exchange = timeout(PATIENCE, exchange).await.expect("an exchange did not end by its timeout");
    if let Err(failure) = &exchange {
        let text = format!("{failure} {failure:?}");
        assert!(!text.contains(SECRET), "{text}");
        assert!(text.contains("GET /x"), "{text}");
    }
    exchange
}

fn is_unknown(exchange: &Result<Answer, Failure>) -> bool {
    matches!(exchange, Err(Failure::Unknown(_)))
}

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"id\":\"abc-12\"}";

#[tokio::test]
async fn a_complete_answer_is_an_answer_whatever_its_status() {
    let server = serve(Act::Send(WHOLE.to_vec())).await;
    assert_eq!(ask(&server).await.unwrap().json().unwrap()["id"], "abc-12");
    for status in [204, 302, 400, 401, 404, 429, 500, 502, 503] {
        let server = serve(Act::Send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes())).await;
        assert_eq!(ask(&server).await.unwrap().status.as_u16(), status);
    }
    let server = serve(Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>".to_vec())).await;
    assert_eq!(ask(&server).await.unwrap().json(), None);
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_leaves_the_outcome_unknown() {
    for cut in 0..WHOLE.len() {
        for act in [Act::Send(WHOLE[..cut].to_vec()), Act::Reset(WHOLE[..cut].to_vec())] {
            let exchange = ask(&serve(act).await).await;
            assert!(is_unknown(&exchange), "cut at {cut}: {exchange:?}");
        }
    }
}

#[tokio::test]
async fn answers_that_are_no_http_leave_the_outcome_unknown() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for text in [
        format!("{chunked}zz\r\n{{}}\r\n0\r\n\r\n"),
        format!("{chunked}5\r\n{{}}\r\n0\r\n\r\n"),
        format!("{chunked}2\r\n{{}}\r\n"),
        format!("{chunked}ffffffffffffffffff\r\n{{}}\r\n"),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}".to_owned(),
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        "HTTP/1.1 999999 OK\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", "X: y\r\n".repeat(1_000)),
    ] {
        let exchange = ask(&serve(Act::Send(text.clone().into_bytes())).await).await;
        assert!(is_unknown(&exchange), "{}: {exchange:?}", &text[..60.min(text.len())]);
    }
}

#[tokio::test]
async fn a_server_that_is_slow_or_silent_is_left_at_the_timeout() {
    let slow = Act::Trickle(WHOLE.to_vec());
    let slow_head = Act::Trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".iter().copied().chain([b' '; 100_000]).collect());
    assert!(ask(&serve(slow).await).await.is_ok(), "slow, but whole within the timeout");
    for act in [Act::Silence, slow_head] {
        let exchange = ask_for(&serve(act).await, Request { timeout: Duration::from_secs(1), ..get() }).await;
        assert!(is_unknown(&exchange), "{exchange:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_packed_is_not_read_to_its_end() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1073741824\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n",
    ] {
        let exchange = ask(&serve(Act::Flood(head, 1 << 30)).await).await;
        assert!(is_unknown(&exchange), "{head}: {exchange:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = serve(Act::Send(WHOLE.to_vec())).await;
    let server =
        serve(Act::Send(format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", elsewhere.at).into_bytes())).await;
    assert_eq!(ask(&server).await.unwrap().status.as_u16(), 302);
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_cannot_have_left_is_not_sent() {
    // Bound and not listening: nobody else can have it, and it refuses.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let at = closed.local_addr().unwrap();
    let plain = serve(Act::Send(WHOLE.to_vec())).await;
    for base in [format!("http://{at}/{SECRET}"), "https://nowhere.invalid/x".to_owned(), format!("https://{}/{SECRET}", plain.at)] {
        let exchange = timeout(PATIENCE, client(&base).send(get())).await.unwrap();
        let Err(Failure::NotSent(text)) = exchange else { panic!("{base}: {exchange:?}") };
        assert!(!text.contains(SECRET), "{text}");
    }
    let odd = Request { path: "@evil.example/".to_owned(), ..get() };
    assert!(matches!(client("https://lime.example").send(odd).await, Err(Failure::NotSent(_))));
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_stops_the_request_before_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let options = sandbox::server::Options { hosts: vec![sandbox::Host::Lime], tls_ca: Some(ca.clone()), ..Default::default() };
    let running = sandbox::server::serve(options).await.unwrap();
    let base = running.addresses.lime_url.clone().unwrap();
    let time = || Request { timeout: PATIENCE, ..limegate::lime::requests::time() };

    let exchange = client(&base).send(time()).await;
    assert!(matches!(&exchange, Err(Failure::NotSent(text)) if text.contains("certificate")), "{exchange:?}");
    assert_eq!(running.with_site(|site, _, _| site.log.requests(sandbox::Host::Lime)), 0);

    let trusting = Client::new(&base, tls::config(Some(&ca), clock()).unwrap()).unwrap();
    assert_eq!(trusting.send(time()).await.unwrap().status.as_u16(), 401, "trusted, but without a token");
    assert_eq!(running.with_site(|site, _, _| site.log.requests(sandbox::Host::Lime)), 1);
}

#[test]
fn addresses_that_would_leak_are_refused() {
    let new = |base: &str| Client::new(base, tls::config(None, clock()).unwrap()).unwrap_err();
    assert!(matches!(new("http://lime.example/gw/v1"), SetupError::Plain(host) if host == "lime.example"));
    for base in ["ftp://lime.example", "lime.example/gw/v1", "https://user:pass@lime.example", "https://lime.example/?key=1", ""] {
        assert!(matches!(new(base), SetupError::Address(_)), "{base}");
    }
    assert!(tls::config(Some(std::path::Path::new("/nonexistent")), clock()).is_err());
}
