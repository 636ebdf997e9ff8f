//! A turnstile as a guest meets it: a reader, an arm, and one guest at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sandbox::turnstile::{Gate, Simulator};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::demo::books::Presented;

/// Longer than any visit takes, on a machine that has much else to do.
const VISIT: Duration = Duration::from_secs(60);
/// Between two looks at the arm.
const LOOK: Duration = Duration::from_millis(20);

/// A turnstile.
pub(super) struct Turnstile {
    pub gate: &'static str,
    pub point: &'static str,
    reader: Simulator,
    pub arm: Gate,
    /// Cards shown here.
    pub shown: BTreeMap<Presented, u64>,
    /// Visits that have ended, as the lights show it.
    ended: watch::Sender<u64>,
}

impl Turnstile {
    pub fn new(gate: &'static str, point: &'static str, reader: Simulator, arm: Gate) -> Self {
        Self { gate, point, reader, arm, shown: BTreeMap::new(), ended: watch::Sender::new(0) }
    }

    pub fn reader_path(&self) -> &Path {
        self.reader.path()
    }

    /// Where to say that a visit has ended.
    pub fn lights(&self) -> watch::Sender<u64> {
        self.ended.clone()
    }

    /// A guest shows a card and goes, turns back or is refused.
    pub async fn show(&mut self, card: &str) -> Result<(), String> {
        let mut ended = self.ended.subscribe();
        ended.mark_unchanged();
        *self.shown.entry((card.to_owned(), self.point.to_owned())).or_default() += 1;
        self.reader.present(card).await.map_err(|error| format!("the card reader of {}: {error}", self.gate))?;
        match timeout(VISIT, ended.changed()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("a visit at {} does not end", self.gate)),
        }
    }

    /// As [`Turnstile::show`], by a guest who does not turn back.
    pub async fn show_and_go(&mut self, card: &str, usual: f64) -> Result<(), String> {
        self.arm.set_goes(1.0);
        let shown = self.show(card).await;
        self.arm.set_goes(usual);
        shown
    }

    /// Waits until one more went through than before.
    pub async fn passed_beyond(&self, before: u64) -> Result<(), String> {
        let passed = async {
            while self.arm.books().passed <= before {
                sleep(LOOK).await;
            }
        };
        timeout(VISIT, passed).await.map_err(|_| format!("nobody goes through {}, which a person opened", self.gate))
    }
}
