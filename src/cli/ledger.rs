//! A line of the ledger, for commands: from the running gateway, or else from the log as far as it reaches.

use serde_json::{Value, json};

use super::journal::Log;
use crate::config::Config;
use crate::control::{Client, ClientError};
use crate::journal::LedgerKey;

/// Why a line cannot be had.
pub(super) enum Unknown {
    /// The running gateway did not tell.
    Gateway(ClientError),
    /// The log cannot be read.
    Log(String),
}

/// What the ledger has under a key.
pub(super) async fn line(config: &Config, key: &LedgerKey) -> Result<Option<String>, Unknown> {
    match Client::of(&config.state_dir).post::<_, Value>("/v1/ledger", &json!({"kind": key.kind, "key": key.key})).await {
        Ok(line) => Ok(line.get("value").and_then(Value::as_str).map(str::to_owned)),
        Err(ClientError::NotRunning(_)) => {
            let log = Log::open(config).map_err(|error| Unknown::Log(error.to_string()))?;
            Ok(log.store().ledger(key))
        }
        Err(error) => Err(Unknown::Gateway(error)),
    }
}
