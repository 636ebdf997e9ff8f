//! A serial line on which the gateway asks and devices answer, one at a time.
//!
//! The port is opened, watched and reopened as a reader's is. Before a question the line has been silent for three and a half characters, and what came
//! unasked is dropped: it is the late answer to a question that nobody waits for any more.
//!
//! Never: a question on a line that is not up; an answer that belongs to the question before.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::codec::{Parity, StopBits};
use crate::config::BusLine;
use crate::source::serial::backoff::Backoff;
use crate::source::serial::link::{Happened, Link};
use crate::source::serial::turn::TurnRound;

/// Waits between attempts to open the port.
const REOPEN_MS: (u64, u64) = (100, 1_500);
/// A line is silent for so long between two frames where its speed does not ask for more, microseconds.
const LEAST_GAP_US: u64 = 1_750;

/// A line and its port.
pub(super) struct Bus {
    line: BusLine,
    link: Link,
    reopen: Backoff,
    rng: fastrand::Rng,
    up: bool,
    /// When the line was last busy.
    busy: Instant,
    /// One character.
    character_us: u64,
    patience: Duration,
    turn: TurnRound,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing came.
    Nothing,
    /// Bytes came that are no answer.
    Damaged,
    /// The port went away.
    Lost(String),
}

/// What happened to the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortNews {
    /// It is open, and the line may be used.
    Up,
    /// It is not, and why.
    Down(String),
}

impl Bus {
    /// A line whose devices may take `patience` from the end of a question to the end of the answer's own time on the line.
    pub(super) fn new(line: BusLine, patience: Duration) -> Self {
        let settings = line.settings;
        let parity = u64::from(settings.parity != Parity::None);
        let stop = if settings.stop_bits == StopBits::Two { 2 } else { 1 };
        let bits = 1 + u64::from(settings.data_bits) + parity + stop;
        Self {
            character_us: bits * 1_000_000 / u64::from(settings.baud.max(1)),
            turn: TurnRound::new(line.rs485),
            line,
            link: Link::new(),
            reopen: Backoff::new(REOPEN_MS.0, REOPEN_MS.1),
            rng: fastrand::Rng::new(),
            up: false,
            busy: Instant::now(),
            patience,
        }
    }

    /// Whether the line can be used.
    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// Waits for the next change of the port. Cancel safe.
    pub(super) async fn watch(&mut self) -> PortNews {
        let mut buffer = [0; 256];
        loop {
            match self.link.next(&self.line.port, self.line.settings, None, &mut buffer, true, None).await {
                Happened::Opened => self.turn.opened(&self.link, &self.line.port),
                Happened::Up { .. } => {
                    self.reopen.reset();
                    self.up = true;
                    return PortNews::Up;
                }
                Happened::Bytes(_) => self.busy = Instant::now(),
                Happened::Idle => {}
                Happened::Slow => return PortNews::Down("the port hangs: its driver does not answer".to_owned()),
                Happened::Lost(why) => {
                    self.lost();
                    return PortNews::Down(why);
                }
            }
        }
    }

    /// Sends a question and hands what comes to `take` until that has the answer, of about `answer_len` bytes. Not cancel safe: an answer would be left on
    /// the line, to be dropped before the next question.
    ///
    /// # Errors
    /// When no answer came in time.
    pub(super) async fn exchange<T>(&mut self, question: &[u8], answer_len: usize, mut take: impl FnMut(&[u8]) -> Option<T>) -> Result<T, Silence> {
        if !self.up {
            return Err(Silence::Lost("the port is closed".to_owned()));
        }
        sleep_until(self.busy + Duration::from_micros((self.character_us * 7 / 2).max(LEAST_GAP_US))).await;
        self.link.discard();
        if let Err(why) = self.link.answer(question).await {
            self.lost();
            return Err(Silence::Lost(why));
        }
        let characters = u64::try_from(question.len() + answer_len).unwrap_or(u64::MAX);
        let deadline = Instant::now() + Duration::from_micros(self.character_us.saturating_mul(characters)) + self.patience;
        let mut buffer = [0; 256];
        let mut silence = Silence::Nothing;
        loop {
            let next = self.link.next(&self.line.port, self.line.settings, None, &mut buffer, true, None);
            let happened = timeout_at(deadline, next).await;
            self.busy = Instant::now();
            match happened {
                Err(_) => return Err(silence),
                Ok(Happened::Bytes(count)) => {
                    if let Some(answer) = take(buffer.get(..count).unwrap_or_default()) {
                        return Ok(answer);
                    }
                    if count > 0 {
                        silence = Silence::Damaged;
                    }
                }
                Ok(Happened::Lost(why)) => {
                    self.lost();
                    return Err(Silence::Lost(why));
                }
                Ok(Happened::Opened | Happened::Up { .. } | Happened::Idle | Happened::Slow) => {}
            }
        }
    }

    /// Closes the port for good.
    pub(super) fn close(&mut self) {
        self.up = false;
        self.link.close(0);
    }

    fn lost(&mut self) {
        self.up = false;
        let again = self.reopen.failed(&mut self.rng);
        self.link.close(again);
    }
}
