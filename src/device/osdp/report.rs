//! What status and log are told about one reader. Never a byte of what it read.

use std::path::Path;
use std::sync::Arc;

use crate::codec::osdp::{Identity, Refusal, Trouble};
use crate::domain::GateId;
use crate::status::{Hub, Link, ReaderFault};

/// Damaged frames and refused cards are logged at most once in this time, milliseconds.
const LOG_EVERY_MS: u64 = 15_000;

/// Reports on one gate.
pub(super) struct Report {
    gate: GateId,
    hub: Arc<Hub>,
    address: u8,
    port_error: Option<String>,
    store_error: Option<String>,
    fault: Option<ReaderFault>,
    port_up: bool,
    online: bool,
    logged_ms: Option<u64>,
}

impl Report {
    pub(super) fn new(gate: GateId, title: &str, port: &Path, address: u8, hub: Arc<Hub>) -> Self {
        hub.gate(gate.as_str(), |state| {
            title.clone_into(&mut state.title);
            "osdp".clone_into(&mut state.reader);
            state.port = port.display().to_string();
            state.link = Link::Starting;
        });
        Self { gate, hub, address, port_error: None, store_error: None, fault: None, port_up: false, online: false, logged_ms: None }
    }

    pub(super) fn port_up(&mut self) {
        self.port_error = None;
        self.port_up = true;
        self.show();
    }

    /// The port is closed, and why. Attempts that end in the same way are said once.
    pub(super) fn port_down(&mut self, why: &str) {
        if self.port_error.as_deref() != Some(why) {
            tracing::warn!(gate = %self.gate, "the reader's port is closed: {why}");
        }
        self.port_error = Some(why.to_owned());
        (self.port_up, self.online, self.fault) = (false, false, None);
        self.show();
    }

    pub(super) fn online(&mut self, identity: Option<Identity>, secure: bool) {
        let serial = identity.map(|identity| identity.serial);
        let firmware = identity.map(|Identity { firmware: [major, minor, build], .. }| format!("{major}.{minor}.{build}"));
        tracing::info!(gate = %self.gate, address = self.address, secure, serial, firmware, "the reader answers");
        (self.online, self.fault) = (true, None);
        self.hub.gate(self.gate.as_str(), |state| {
            if secure { "osdp (secure)" } else { "osdp (clear)" }.clone_into(&mut state.reader);
        });
        self.show();
    }

    /// The reader does not answer.
    pub(super) fn offline(&mut self) {
        if self.fault != Some(ReaderFault::Offline) {
            tracing::warn!(gate = %self.gate, address = self.address, "the reader does not answer");
        }
        (self.online, self.fault) = (false, Some(ReaderFault::Offline));
        self.show();
    }

    pub(super) fn trouble(&mut self, trouble: Trouble) {
        let (fault, text) = match trouble {
            Trouble::WrongKey => (ReaderFault::WrongKey, "the reader does not have the key that the config names"),
            Trouble::NoSecurity => (ReaderFault::NoSecurity, "the reader knows no secured sessions with a key of its own"),
            Trouble::NeedsKey => (ReaderFault::NeedsKey, "the reader wants a secured session, and the config names no key"),
        };
        if self.fault != Some(fault) {
            tracing::error!(gate = %self.gate, address = self.address, "{text}");
        }
        (self.online, self.fault) = (false, Some(fault));
        self.show();
    }

    pub(super) fn local(&self, tamper: bool, power: bool) {
        self.hub.gate(self.gate.as_str(), |state| {
            (state.tamper, state.power_failing) = (tamper, power);
        });
    }

    /// The reader was heard.
    pub(super) fn heard(&self, now_ms: u64) {
        self.hub.gate(self.gate.as_str(), |state| state.last_byte_boot_ms = Some(now_ms));
    }

    pub(super) fn damaged(&mut self, count: u64, now_ms: u64) {
        self.hub.gate(self.gate.as_str(), |state| state.bad_frames += count);
        if self.may_log(now_ms) {
            tracing::warn!(gate = %self.gate, "frames from the reader arrive damaged");
        }
    }

    pub(super) fn refused(&mut self, refusal: Refusal, now_ms: u64) {
        self.hub.gate(self.gate.as_str(), |state| state.bad_frames += 1);
        if self.may_log(now_ms) {
            tracing::warn!(gate = %self.gate, "a card was not taken: {refusal}");
        }
    }

    pub(super) fn stored(&mut self) {
        if self.store_error.take().is_some() {
            tracing::info!(gate = %self.gate, "passes are stored again");
            self.show();
        }
    }

    pub(super) fn not_stored(&mut self, why: &str, waiting: usize, now_ms: u64) {
        if self.may_log(now_ms) {
            tracing::error!(gate = %self.gate, waiting, "a pass is not stored: {why}");
        }
        self.store_error = Some(format!("{why}; {waiting} read and waiting in memory, tried again"));
        self.show();
    }

    /// The gateway stops, and with it the reading.
    pub(super) fn stopped(&mut self) {
        self.port_error = Some("the gateway is stopping".to_owned());
        (self.port_up, self.online, self.fault) = (false, false, None);
        self.show();
    }

    fn may_log(&mut self, now_ms: u64) -> bool {
        let may = self.logged_ms.is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= LOG_EVERY_MS);
        if may {
            self.logged_ms = Some(now_ms);
        }
        may
    }

    fn show(&self) {
        let link = match (self.port_error.is_some() || self.fault.is_some(), self.online) {
            (true, _) => Link::Down,
            (false, true) => Link::Up,
            (false, false) => Link::Starting,
        };
        let fault = self.fault.map(|fault| format!("address {}: {}", self.address, fault.text()));
        let errors: Vec<&str> = [&self.port_error, &fault, &self.store_error].into_iter().flatten().map(String::as_str).collect();
        self.hub.gate(self.gate.as_str(), |state| {
            state.link = link;
            state.fault = self.fault;
            state.error = (!errors.is_empty()).then(|| errors.join("; "));
        });
    }
}
