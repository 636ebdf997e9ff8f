//! The portal's queue of changes.

use crate::journal::LedgerKey;

/// Where the ledger keeps that the portal heeds our `auth_connector`.
#[must_use]
pub fn ledger_key(connector: &str) -> LedgerKey {
    LedgerKey { kind: "bitrix24.offline".to_owned(), key: connector.to_owned() }
}
