//! The portal's queue of changes ("offline events"): for an OAuth app whose plan has it.
//!
//! Rows are reserved for a process when they are asked for (`clear=0`) and stay until that process is cleared, so that a lost answer or a power cut loses
//! none: whatever is reserved at a start is taken up again. Our own changes are not queued for us, as long as they carry the connector that we are bound
//! with. Source: the official documents of `event.bind` and `event.offline.*`.
//!
//! Never: `clear=1`, which deletes rows before their answer has arrived; a process cleared before its page is on disk.

use serde_json::{Value, json};

use super::listener::{Ears, stopped};
use super::wire::{self, Fault};
use crate::feed::Turn;
use crate::journal::LedgerKey;

/// Rows of one answer.
const LIMIT: usize = 50;
/// Pages of reserved rows that a start looks through.
const PAGES: usize = 20;

/// Where the ledger keeps that the portal heeds our `auth_connector`.
#[must_use]
pub fn ledger_key(connector: &str) -> LedgerKey {
    LedgerKey { kind: "bitrix24.offline".to_owned(), key: connector.to_owned() }
}

/// One changed thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: u64,
    /// What happened: `ONCRMCONTACTUPDATE`.
    pub event: String,
}

/// A queue as one connector sees it.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// `auth_connector`: each feed has its own, so that none takes another's rows.
    pub connector: &'static str,
    /// What it is bound to.
    pub events: &'static [&'static str],
}

/// What the queue was asked for; `None` where portal, plan or authorisation do not offer it.
pub type Offered<T> = Result<Option<T>, Turn>;

impl Queue {
    /// Binds us to the events. Bound already is as good.
    ///
    /// # Errors
    /// How the feed goes on, when the portal does not answer.
    pub async fn bind<S>(&self, ears: &Ears<S>) -> Offered<()> {
        for event in self.events {
            let params = json!({ "event": event, "event_type": "offline", "auth_connector": self.connector });
            match ears.call("event.bind", &params).await? {
                Err(fault) if not_offered(&fault) => return Ok(None),
                Err(fault) if !is_bound(&fault) => return Err(stopped(&fault)),
                _ => {}
            }
        }
        Ok(Some(()))
    }

    /// Processes that rows are reserved for: ours, whose answers were lost or whose pages were not kept.
    ///
    /// # Errors
    /// How the feed goes on, when the portal does not answer.
    pub async fn reserved<S>(&self, ears: &Ears<S>) -> Offered<Vec<String>> {
        let mut processes = Vec::new();
        for page in 0..PAGES {
            let params = json!({ "auth_connector": self.connector, "order": { "ID": "ASC" }, "start": page * LIMIT });
            let result = match ears.call("event.offline.list", &params).await? {
                Ok(result) => result,
                Err(fault) if not_offered(&fault) => return Ok(None),
                Err(fault) => return Err(stopped(&fault)),
            };
            let rows = wire::rows(&result);
            for process in rows.iter().filter_map(|row| row.get("PROCESS_ID").and_then(wire::text)).filter(|id| !id.is_empty()) {
                if !processes.contains(&process) {
                    processes.push(process);
                }
            }
            if rows.len() < LIMIT {
                break;
            }
        }
        Ok(Some(processes))
    }

    /// Takes rows: those of a process that was reserved before, or the next free ones. The process, none where nothing waits, and its rows.
    ///
    /// # Errors
    /// How the feed goes on, when the portal does not answer.
    pub async fn take<S>(&self, ears: &Ears<S>, process: Option<&str>) -> Offered<(Option<String>, Vec<Row>)> {
        let mut params = json!({ "clear": 0, "limit": LIMIT, "auth_connector": self.connector });
        if let (Some(process), Value::Object(params)) = (process, &mut params) {
            params.insert("process_id".to_owned(), json!(process));
        }
        match ears.call("event.offline.get", &params).await? {
            Ok(result) => {
                let process = result.get("process_id").and_then(wire::text).filter(|id| !id.is_empty());
                let rows = result.get("events").map(wire::rows).unwrap_or_default();
                Ok(Some((process, rows.into_iter().filter_map(row).collect())))
            }
            Err(fault) if not_offered(&fault) => Ok(None),
            Err(fault) => Err(stopped(&fault)),
        }
    }

    /// Lets go of a process whose page is on disk.
    ///
    /// # Errors
    /// How the feed goes on, when the portal does not answer.
    pub async fn clear<S>(&self, ears: &Ears<S>, process: &str) -> Result<(), Turn> {
        let params = json!({ "process_id": process, "auth_connector": self.connector });
        ears.call("event.offline.clear", &params).await?.map(|_| ()).map_err(|fault| stopped(&fault))
    }
}

fn row(row: &Value) -> Option<Row> {
    let id = row.get("EVENT_DATA")?.get("FIELDS")?.get("ID").and_then(wire::id)?;
    Some(Row { id, event: row.get("EVENT_NAME").and_then(wire::text).unwrap_or_default().to_ascii_uppercase() })
}

/// The plan lacks it, the authorisation is a webhook's, or the user is no administrator.
fn not_offered(fault: &Fault) -> bool {
    matches!(
        fault.code.to_ascii_uppercase().as_str(),
        "WRONG_LICENSE" | "WRONG_AUTH_TYPE" | "ACCESS_DENIED" | "INSUFFICIENT_SCOPE" | "ERROR_METHOD_NOT_FOUND" | "ERROR_EVENT_NOT_FOUND"
    )
}

fn is_bound(fault: &Fault) -> bool {
    fault.code.eq_ignore_ascii_case("ERROR_EVENT_BINDING_EXISTS") || fault.text.to_ascii_lowercase().contains("already bind")
}
