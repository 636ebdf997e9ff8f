//! TLS for the broker without rumqttc's own: it would bring an old webpki with open advisories.
//!
//! rumqttc takes no ready stream, but it connects to Unix sockets. So the TLS connection is made here, first, with errors that say what is wrong; then
//! rumqttc is given an abstract Unix socket whose other end is that connection. The socket takes one peer, and only this process.
//!
//! Never: a certificate that is not verified; plain text beyond this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::config::MqttConfig;
use crate::http::tls;

/// The gateway's one TLS set-up, ready to connect.
pub(super) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// Reads the authorities.
    ///
    /// # Errors
    /// When the `ca` file cannot be read or holds no certificate.
    pub fn new(ca: Option<&Path>, clock: SharedClock) -> Result<Self, String> {
        let config = tls::config(ca, clock).map_err(|error| error.to_string())?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Connects to the broker and returns the address of a Unix socket that leads there. The tasks end with `tasks`.
    ///
    /// # Errors
    /// What kept it from connecting: the name, the port, the certificate.
    pub async fn bridge(&self, config: &MqttConfig, within: Duration, tasks: &mut JoinSet<()>) -> Result<String, String> {
        let remote = timeout(within, self.connect(config)).await.map_err(|_| format!("no TLS connection within {} s", within.as_secs()))??;
        let address = format!("\0limegate-mqtt-{}", Uuid::new_v4().simple());
        let listener = UnixListener::bind(&address).map_err(|error| format!("no Unix socket: {error}"))?;
        tasks.spawn(async move {
            if let Ok(Ok(local)) = timeout(within, accept_own(&listener)).await {
                drop(listener);
                carry(local, remote).await;
            }
        });
        Ok(address)
    }

    async fn connect(&self, config: &MqttConfig) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(config.host.clone()).map_err(|_| format!("{} is not a host name", config.host))?;
        let tcp = TcpStream::connect((config.host.as_str(), config.port)).await.map_err(|error| format!("cannot connect: {error}"))?;
        // Small packets that people wait for. A socket that cannot do it works all the same.
        let _ = tcp.set_nodelay(true);
        self.connector.connect(name, tcp).await.map_err(|error| format!("TLS: {error}"))
    }
}

/// Waits for this very process to connect; turns away all others.
async fn accept_own(listener: &UnixListener) -> std::io::Result<UnixStream> {
    let own = i32::try_from(std::process::id()).ok();
    loop {
        let (stream, _) = listener.accept().await?;
        if stream.peer_cred().is_ok_and(|peer| peer.pid() == own) {
            return Ok(stream);
        }
    }
}

/// Copies both ways until either side ends.
async fn carry(mut local: UnixStream, remote: TlsStream<TcpStream>) {
    let (mut local_read, mut local_write) = local.split();
    let (mut remote_read, mut remote_write) = tokio::io::split(remote);
    tokio::select! {
        // The end of either copy is the end of the connection; rumqttc sees it as a closed socket.
        _ = tokio::io::copy(&mut local_read, &mut remote_write) => {}
        _ = tokio::io::copy(&mut remote_read, &mut local_write) => {}
    }
    // Says goodbye properly, if the other side still listens.
    let _ = timeout(Duration::from_secs(1), remote_write.shutdown()).await;
}
