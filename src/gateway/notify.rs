//! What systemd is told: ready, reloading, stopping, and that passes can be taken.
//!
//! Never: a fed watchdog while the journal cannot take a pass because its writer hangs. A full or failing disk is no reason to be killed: a restart does
//! not mend it, and status says it.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager, where there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manager;

impl Manager {
    /// Readings are taken from now on.
    pub fn ready(self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The end has begun.
    pub fn stopping(self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// One line for `systemctl status`.
    pub fn says(self, text: &str) {
        self.tell(&[NotifyState::Status(text)]);
    }

    /// Feeds the watchdog.
    pub fn alive(self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// How often the watchdog wants to be fed: half its time. `None` when there is none.
    #[must_use]
    pub fn watchdog(self) -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|time| time / 2)
    }

    fn tell(self, states: &[NotifyState<'_>]) {
        // Without a manager there is nobody to tell, and with one a lost word is repeated by the next.
        let _ = sd_notify::notify(states);
    }
}
