//! The demo's guests: they come to the gates at a rate, and write down what they presented and what was acknowledged.
//!
//! Guests wait outside while a gate is dark, as people do. Never: a presentation that the books do not hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sandbox::turnstile::{Answer, Simulator, Validator};
use tokio::sync::watch;
use tokio::time::sleep;

use super::books::Presented;

/// What the simulators made and saw acknowledged.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    pub made: BTreeMap<Presented, u64>,
    pub acknowledged: BTreeMap<Presented, u64>,
    by_gate: HashMap<&'static str, (u64, u64)>,
}

impl Notebook {
    fn made(&mut self, gate: &'static str, presented: &Presented) {
        *self.made.entry(presented.clone()).or_default() += 1;
        self.by_gate.entry(gate).or_default().0 += 1;
    }

    pub fn acknowledged(&mut self, gate: &'static str, presented: &Presented) {
        *self.acknowledged.entry(presented.clone()).or_default() += 1;
        self.by_gate.entry(gate).or_default().1 += 1;
    }

    /// Made and acknowledged at a gate.
    pub fn of(&self, gate: &str) -> (u64, u64) {
        self.by_gate.get(gate).copied().unwrap_or_default()
    }
}

/// The notebook, shared by the gates.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Notebook>>);

impl Notes {
    pub fn open(&self) -> MutexGuard<'_, Notebook> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of guests: media in turn, at a rate, until told to stop.
pub(super) struct Stream {
    pub gate: &'static str,
    pub point: &'static str,
    pub media: Vec<(String, String)>,
    /// Between two guests, on average.
    pub pause: Duration,
    pub chance: fastrand::Rng,
    pub notes: Notes,
    /// The gate is open for passes.
    pub lit: watch::Receiver<bool>,
    pub stop: watch::Receiver<bool>,
    next: usize,
}

impl Stream {
    pub fn new(
        (gate, point): (&'static str, &'static str),
        mut media: Vec<(String, String)>,
        pause: Duration,
        mut chance: fastrand::Rng,
        notes: Notes,
        lit: watch::Receiver<bool>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        chance.shuffle(&mut media);
        Self { gate, point, media, pause, chance, notes, lit, stop, next: 0 }
    }

    /// The next guest at this gate: what they present. `None` when the demo takes no more.
    async fn next(&mut self) -> Option<(String, String)> {
        let pause = self.pause.mul_f64(0.5 + self.chance.f64());
        tokio::select! {
            () = sleep(pause) => {}
            _ = self.stop.wait_for(|stop| *stop) => return None,
        }
        tokio::select! {
            lit = self.lit.wait_for(|lit| *lit) => { lit.ok()?; }
            _ = self.stop.wait_for(|stop| *stop) => return None,
        }
        // In turn, so that nobody presents the same thing twice in a row: that would be one presentation to a reader.
        let medium = self.media.get(self.next % self.media.len().max(1)).cloned();
        self.next += 1;
        medium
    }

    fn presented(&self, value: &str) -> Presented {
        (value.to_owned(), self.point.to_owned())
    }

    /// Guests at the card reader. It waits for no answer: the tap sees what was acknowledged.
    pub async fn at_reader(mut self, mut reader: Simulator, dark: watch::Receiver<u64>) -> Simulator {
        let mut restarts = dark;
        while let Some((_, value)) = self.next().await {
            if restarts.has_changed().unwrap_or(false) {
                restarts.mark_unchanged();
                let _ = reader.forget_owner();
            }
            self.notes.open().made(self.gate, &self.presented(&value));
            // A broken line is a guest who could not pass: made, never acknowledged.
            let _ = reader.present(&value).await;
        }
        reader
    }

    /// Guests at the scanner, which waits for ACK. Without one they come again.
    pub async fn at_scanner(mut self, mut scanner: Simulator) -> Simulator {
        scanner.set_answer_takes(Duration::from_secs(2));
        while let Some((_, value)) = self.next().await {
            let presented = self.presented(&value);
            self.notes.open().made(self.gate, &presented);
            if let Ok(written) = scanner.present(&value).await
                && written.answer == Some(Answer::Ack)
            {
                self.notes.open().acknowledged(self.gate, &presented);
            }
        }
        scanner
    }

    /// Guests at the validator: acknowledged when the broker has the message.
    pub async fn at_validator(mut self, validator: Validator) -> Validator {
        let mut open = tokio::task::JoinSet::new();
        while let Some((kind, value)) = self.next().await {
            let presented = self.presented(&value);
            self.notes.open().made(self.gate, &presented);
            let published = validator.publish(&Validator::passed(&kind, &value));
            let (notes, gate) = (self.notes.clone(), self.gate);
            open.spawn(async move {
                if published.await.is_ok() {
                    notes.open().acknowledged(gate, &presented);
                }
            });
        }
        while open.join_next().await.is_some() {}
        validator
    }
}
