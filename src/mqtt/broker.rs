//! The demo's broker: rumqttd inside the process, on a loopback port that nobody uses.
//!
//! It keeps sessions in memory only and cannot be stopped: it ends with the process. Good for showing a validator, never for a venue.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use tokio::time::{Instant, sleep};

/// Where the broker's own log lines come from: what shows the demo's log filters this target out, for they name each packet.
pub const LOG_TARGET: &str = "rumqttd";

const STARTS_WITHIN: Duration = Duration::from_secs(5);

/// A broker that runs.
#[derive(Debug)]
pub struct BrokerHandle {
    /// Its port on 127.0.0.1.
    pub port: u16,
}

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// No port, or no thread.
    #[error("the demo's broker cannot start: {0}")]
    Io(#[from] std::io::Error),
    /// It does not accept connections.
    #[error("the demo's broker does not answer on port {0}")]
    Silent(u16),
}

/// Starts a broker and waits until it accepts connections.
///
/// # Errors
/// When there is no free port, no thread, or no answer within five seconds.
pub async fn start() -> Result<BrokerHandle, BrokerError> {
    // rumqttd does not tell which port it got, so one is looked up first. Another process could take it in between; then there is no answer and the
    // error says so.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let mut broker = Broker::new(config(port));
    std::thread::Builder::new().name("demo-broker".to_owned()).spawn(move || {
        if let Err(error) = broker.start() {
            tracing::error!("the demo's broker ended: {error}");
        }
    })?;
    let give_up = Instant::now() + STARTS_WITHIN;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if Instant::now() >= give_up {
            return Err(BrokerError::Silent(port));
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(BrokerHandle { port })
}

fn config(port: u16) -> Config {
    let server = ServerSettings {
        name: "demo".to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5_000,
            max_payload_size: 512 * 1024,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    let router = RouterConfig {
        max_connections: 64,
        max_outgoing_packet_count: 200,
        // A log of 40 MiB for each topic at most: a demo that runs for an hour does not reach it.
        max_segment_size: 4 * 1024 * 1024,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    Config { router, v4: Some([("demo".to_owned(), server)].into()), ..Config::default() }
}
