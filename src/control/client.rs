//! The command line's side of the control socket.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::SOCKET;

/// Why the gateway did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no gateway runs with the state folder {0}")]
    NotRunning(PathBuf),
    /// The socket is another user's.
    #[error("{0} belongs to another user: run this as root or as the gateway's user")]
    NotAllowed(PathBuf),
    /// It listens and does not answer as expected.
    #[error("the gateway did not answer as expected: {0}")]
    Broken(String),
    /// It refused.
    #[error("the gateway refused: {0}")]
    Refused(String),
}

/// Speaks with the gateway whose state folder this is. One connection per question.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// For the gateway of this state folder.
    #[must_use]
    pub fn of(state_dir: &Path) -> Self {
        Self { socket: state_dir.join(SOCKET) }
    }

    /// Asks.
    ///
    /// # Errors
    /// When no gateway runs, or it does not answer with what was asked.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let body = self.exchange("GET", path, Bytes::new()).await?;
        whole(body).await
    }

    /// Tells.
    ///
    /// # Errors
    /// When no gateway runs, or it refuses.
    pub async fn post<B: Serialize + std::marker::Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Broken(error.to_string()))?;
        let body = self.exchange("POST", path, Bytes::from(body)).await?;
        whole(body).await
    }

    /// Listens: calls `each` with every line until the gateway stops or `each` says false.
    ///
    /// # Errors
    /// When no gateway runs, or what it sends is not lines of JSON.
    pub async fn lines<T: DeserializeOwned>(&self, path: &str, mut each: impl FnMut(T) -> bool) -> Result<(), ClientError> {
        let mut body = self.exchange("GET", path, Bytes::new()).await?;
        let mut kept = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ClientError::Broken(error.to_string()))?;
            let Some(data) = frame.data_ref() else { continue };
            kept.extend_from_slice(data);
            while let Some(end) = kept.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = kept.drain(..=end).collect();
                let event = serde_json::from_slice(&line).map_err(|error| ClientError::Broken(error.to_string()))?;
                if !each(event) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn exchange(&self, method: &str, path: &str, body: Bytes) -> Result<hyper::body::Incoming, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning(self.socket.parent().unwrap_or(&self.socket).to_owned())
            }
            std::io::ErrorKind::PermissionDenied => ClientError::NotAllowed(self.socket.clone()),
            _ => ClientError::Broken(error.to_string()),
        })?;
        let broken = |error: hyper::Error| ClientError::Broken(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(connection);
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "limegate")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| ClientError::Broken(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let text = response.into_body().collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
        Err(ClientError::Refused(text.unwrap_or_default()))
    }
}

async fn whole<T: DeserializeOwned>(body: hyper::body::Incoming) -> Result<T, ClientError> {
    let bytes = body.collect().await.map_err(|error| ClientError::Broken(error.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| ClientError::Broken(error.to_string()))
}
