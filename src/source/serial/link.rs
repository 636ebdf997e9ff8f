//! The state of one port: closed, being opened, open and settling, up. Waits for whatever happens to it next.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::port::{self, Port};
use crate::codec::Line;

/// Bytes that were waiting in a port when it was opened belong to nobody who still stands there.
const STALE: Duration = Duration::from_millis(200);
/// A driver that takes longer to open its port is said to hang.
const OPEN_TAKES: Duration = Duration::from_secs(5);
/// How often the path is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An answer is a byte or two.
const WRITE_TAKES: Duration = Duration::from_secs(1);

pub(crate) enum Link {
    Closed { again_at: Instant },
    Opening { port: JoinHandle<Result<Port, String>>, slow_at: Option<Instant> },
    Settling { port: Port, until: Instant, stale: usize },
    Up { port: Port, look_at: Instant, last_byte: Instant },
}

/// What happened to a port.
pub(crate) enum Happened {
    /// It is open; stale bytes are being dropped.
    Opened,
    /// What comes now is read. So many bytes were dropped.
    Up { stale: usize },
    /// So many bytes were read into the buffer.
    Bytes(usize),
    /// The line was silent for as long as was asked.
    Idle,
    /// It is being opened for too long.
    Slow,
    /// It is closed, and why.
    Lost(String),
}

impl Link {
    /// To be opened at once.
    pub(crate) fn new() -> Self {
        Self::Closed { again_at: Instant::now() }
    }

    /// Waits for what happens next. Cancel safe: nothing read is lost when this is dropped.
    ///
    /// `read`: take bytes; else they stay in the kernel. `idle_after_ms`: the silence to report.
    pub(crate) async fn next(
        &mut self,
        path: &Path,
        line: Line,
        baud: Option<u32>,
        buffer: &mut [u8],
        read: bool,
        idle_after_ms: Option<u64>,
    ) -> Happened {
        loop {
            match self {
                Self::Closed { again_at } => {
                    sleep_until(*again_at).await;
                    let path = path.to_owned();
                    let port = tokio::task::spawn_blocking(move || port::open(&path, line, baud));
                    *self = Self::Opening { port, slow_at: Some(Instant::now() + OPEN_TAKES) };
                }
                Self::Opening { port, slow_at } => {
                    let opened = tokio::select! {
                        biased;
                        opened = port => opened,
                        () = at(*slow_at) => {
                            *slow_at = None;
                            return Happened::Slow;
                        }
                    };
                    match opened {
                        Ok(Ok(port)) => {
                            *self = Self::Settling { port, until: Instant::now() + STALE, stale: 0 };
                            return Happened::Opened;
                        }
                        Ok(Err(why)) => return Happened::Lost(why),
                        Err(_) => return Happened::Lost("opening it failed inside the gateway".to_owned()),
                    }
                }
                Self::Settling { port, until, stale } => {
                    let dropped = tokio::select! {
                        biased;
                        () = sleep_until(*until) => {
                            let stale = *stale;
                            self.settled();
                            return Happened::Up { stale };
                        }
                        dropped = port.stream.read(buffer) => dropped,
                    };
                    match outcome(dropped) {
                        Ok(count) => *stale += count,
                        Err(why) => return Happened::Lost(why),
                    }
                }
                Self::Up { port, look_at, last_byte } => {
                    let silence = idle_after_ms.filter(|_| read).map(|ms| *last_byte + Duration::from_millis(ms));
                    tokio::select! {
                        biased;
                        count = port.stream.read(buffer), if read => {
                            *last_byte = Instant::now();
                            return outcome(count).map_or_else(Happened::Lost, Happened::Bytes);
                        }
                        () = at(silence) => match port.stream.try_read(buffer) {
                            // Bytes that came while this task could not run are no silence.
                            Ok(count) if count > 0 => {
                                *last_byte = Instant::now();
                                return Happened::Bytes(count);
                            }
                            _ => return Happened::Idle,
                        },
                        () = sleep_until(*look_at) => {
                            *look_at = Instant::now() + LOOK_EVERY;
                            if let Err(why) = port.still_there(path) {
                                return Happened::Lost(why);
                            }
                        }
                    }
                }
            }
        }
    }

    fn settled(&mut self) {
        let now = Instant::now();
        let before = std::mem::replace(self, Self::Closed { again_at: now });
        if let Self::Settling { port, .. } = before {
            *self = Self::Up { port, look_at: now + LOOK_EVERY, last_byte: now };
        }
    }

    /// Closes the port, to be opened again after a while.
    pub(crate) fn close(&mut self, again_ms: u64) {
        let before = std::mem::replace(self, Self::Closed { again_at: Instant::now() + Duration::from_millis(again_ms) });
        match before {
            // Closing may wait for the driver.
            Self::Settling { port, .. } | Self::Up { port, .. } => drop(tokio::task::spawn_blocking(move || drop(port))),
            Self::Closed { .. } | Self::Opening { .. } => {}
        }
    }

    /// Drops what was received and not read: it belongs to no question that is asked from now on. Returns how many bytes those were.
    pub(crate) fn discard(&mut self) -> usize {
        let Self::Up { port, .. } = self else { return 0 };
        let (mut buffer, mut dropped) = ([0; 256], 0);
        // Bounded: a line that babbles would hold this up for ever.
        for _ in 0..64 {
            match port.stream.try_read(&mut buffer) {
                Ok(count) if count > 0 => dropped += count,
                _ => break,
            }
        }
        dropped
    }

    /// Lets the kernel turn an RS-485 line round for each frame.
    ///
    /// # Errors
    /// When the driver cannot.
    pub(crate) fn turn_round(&self) -> io::Result<()> {
        match self {
            Self::Settling { port, .. } | Self::Up { port, .. } => port.turn_round(),
            Self::Closed { .. } | Self::Opening { .. } => Ok(()),
        }
    }

    /// Sends an answer.
    ///
    /// # Errors
    /// Why it did not leave, in one line.
    pub(crate) async fn answer(&mut self, bytes: &[u8]) -> Result<(), String> {
        let Self::Up { port, .. } = self else {
            return Ok(());
        };
        match timeout(WRITE_TAKES, port.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("an answer could not be written: {error}")),
            Err(_) => Err("the port hangs: an answer was not taken for a second".to_owned()),
        }
    }
}

/// What a read gave: a port that ends is a port that went away.
fn outcome(read: io::Result<usize>) -> Result<usize, String> {
    match read {
        Ok(0) => Err("the device went away: unplugged?".to_owned()),
        Ok(count) => Ok(count),
        Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => Ok(0),
        Err(error) => Err(format!("the device went away: unplugged? ({error})")),
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
