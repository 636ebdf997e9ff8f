//! A reader on a serial line.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serialport::SerialPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_serial::{SerialPortBuilderExt, SerialStream};

use super::{Books, Family};

const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
/// A scanner gives up after so many NAKs.
const SENDINGS: u32 = 4;
/// A scanner without a terminator cannot read two codes faster than this.
const SILENCE: Duration = Duration::from_millis(300);

/// Plays a reader of one family.
#[derive(Debug)]
pub struct Simulator {
    family: Family,
    port: SerialStream,
    /// Where the gateway finds the reader.
    path: PathBuf,
    /// The other end, kept open: without it what is written would vanish while the gateway is away.
    held: Option<File>,
    answer_takes: Duration,
    books: Books,
}

/// What a reader that waits for an answer got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// 06: the pass is stored.
    Ack,
    /// 15, at the last sending, too.
    Nak,
    /// None in time.
    Silence,
}

/// What was written for one presentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The medium, as given.
    pub medium: String,
    /// The telegram.
    pub bytes: Vec<u8>,
    /// How often it was sent.
    pub sendings: u32,
    /// The answer, where the reader waits for one.
    pub answer: Option<Answer>,
    /// From the first byte to the answer, or to the end of writing, milliseconds.
    pub took_ms: u64,
}

impl Simulator {
    /// A reader on a pty of its own. [`Simulator::path`] is the port for the gateway.
    ///
    /// # Errors
    /// When the system gives no pty.
    pub fn pty(family: Family) -> io::Result<Self> {
        let (port, other) = SerialStream::pair()?;
        let path = PathBuf::from(other.name().ok_or_else(|| io::Error::other("the pty has no name"))?);
        // A plain handle holds no lock that the gateway would run into.
        let held = File::options().read(true).write(true).open(&path)?;
        drop(other);
        Ok(Self::new(family, port, path, Some(held)))
    }

    /// A reader on a port that is there already, such as one end of a null-modem cable.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub fn on_port(family: Family, path: &Path, baud: u32) -> io::Result<Self> {
        let port = tokio_serial::new(path.to_string_lossy(), baud).open_native_async()?;
        Ok(Self::new(family, port, path.to_owned(), None))
    }

    fn new(family: Family, port: SerialStream, path: PathBuf, held: Option<File>) -> Self {
        Self { family, port, path, held, answer_takes: Duration::from_secs(5), books: Books::default() }
    }

    /// Where the gateway finds the reader.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The family it plays.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// What it made so far.
    #[must_use]
    pub fn books(&self) -> Books {
        self.books
    }

    /// How long it waits for an answer.
    pub fn set_answer_takes(&mut self, takes: Duration) {
        self.answer_takes = takes;
    }

    /// A program that was killed may leave the pty marked as taken, which a real port forgets when the box restarts. This makes it forget.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn forget_owner(&self) -> io::Result<()> {
        match &self.held {
            Some(held) => Ok(rustix::termios::ioctl_tiocnxcl(held)?),
            None => Ok(()),
        }
    }

    /// Presents a medium and leaves it in the field. A reader that waits for an answer waits, and sends again when told so.
    ///
    /// # Errors
    /// When the reader cannot read such a medium, or the line is broken.
    pub async fn hold(&mut self, medium: &str) -> io::Result<Written> {
        let bytes = self.telegram(medium)?;
        self.send(medium, bytes, None).await
    }

    /// Presents a medium and takes it away.
    ///
    /// # Errors
    /// As [`Simulator::hold`].
    pub async fn present(&mut self, medium: &str) -> io::Result<Written> {
        let written = self.hold(medium).await?;
        self.remove().await?;
        Ok(written)
    }

    /// Presents a medium whose telegram comes in two halves, with a pause between them.
    ///
    /// # Errors
    /// As [`Simulator::hold`].
    pub async fn present_split(&mut self, medium: &str, pause: Duration) -> io::Result<Written> {
        let bytes = self.telegram(medium)?;
        let written = self.send(medium, bytes, Some(pause)).await?;
        self.remove().await?;
        Ok(written)
    }

    /// The medium leaves the field.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn remove(&mut self) -> io::Result<()> {
        match self.family.removal() {
            Some(bytes) => self.write(&bytes).await,
            None => Ok(()),
        }
    }

    /// The reader says a telegram once more by itself: no new presentation.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn say_again(&mut self, written: &Written) -> io::Result<()> {
        self.books.sent += 1;
        self.write(&written.bytes).await
    }

    /// Writes any bytes: noise.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.port.write_all(bytes).await
    }

    fn telegram(&self, medium: &str) -> io::Result<Vec<u8>> {
        self.family.telegram(medium).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    async fn send(&mut self, medium: &str, bytes: Vec<u8>, pause: Option<Duration>) -> io::Result<Written> {
        let begun = Instant::now();
        self.books.presented += 1;
        if self.family.waits() {
            self.drop_stray_answers();
        }
        let mut written = Written { medium: medium.to_owned(), bytes, sendings: 0, answer: None, took_ms: 0 };
        while written.sendings < SENDINGS {
            written.sendings += 1;
            self.books.sent += 1;
            let (head, tail) = written.bytes.split_at(written.bytes.len() / 2);
            self.port.write_all(head).await?;
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            self.port.write_all(tail).await?;
            if self.family.ends_in_silence() {
                tokio::time::sleep(SILENCE).await;
            }
            if !self.family.waits() {
                break;
            }
            let answer = self.answer().await?;
            written.answer = Some(answer);
            match answer {
                Answer::Ack => self.books.acknowledged += 1,
                Answer::Nak => self.books.refused += 1,
                Answer::Silence => self.books.unanswered += 1,
            }
            if answer != Answer::Nak {
                break;
            }
        }
        written.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(written)
    }

    /// An answer that came when nobody waited belongs to no telegram.
    fn drop_stray_answers(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.port.try_read(&mut bytes), Ok(count) if count > 0) {}
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        let waited = timeout(self.answer_takes, async {
            loop {
                match self.port.read_u8().await? {
                    ACK => return Ok(Answer::Ack),
                    NAK => return Ok(Answer::Nak),
                    _ => {}
                }
            }
        });
        waited.await.unwrap_or(Ok(Answer::Silence))
    }
}
