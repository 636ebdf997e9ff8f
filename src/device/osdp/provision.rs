//! Gives a reader its key: the one step in which the key that everybody knows is used, and for nothing else.
//!
//! First the new key is tried: a reader that has it already needs nothing. Else a session is begun with the key that everybody knows, the reader is given
//! the new one inside it, and a session with the new key shows that it took it.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::line::random;
use crate::clock::{Clock, SharedClock};
use crate::codec::osdp::{ANSWER_MS, Access, Check, Command, Deframer, Event, Key, Next, Order, Outcome, Session, Settings, Trouble};
use crate::source::serial::link::{Happened, Link};
use crate::source::serial::turn::TurnRound;

/// One session is found, or not, within this time.
const FIND: Duration = Duration::from_secs(6);
const ORDER_MS: u64 = 3_000;

/// Which reader is to get which key.
#[derive(Clone, Debug)]
pub struct Task {
    /// The serial port. Nobody else may hold it: the gateway is stopped.
    pub port: PathBuf,
    /// Bits a second.
    pub baud: u32,
    /// The kernel turns the line round.
    pub rs485: bool,
    /// How frames are checked.
    pub check: Check,
    /// The reader's address.
    pub address: u8,
    /// Its new key.
    pub key: Key,
}

/// How it ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// The reader has the key now.
    Now,
    /// It had it before.
    Before,
}

/// Why the reader does not have the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGiven {
    /// The port cannot be used.
    #[error("{0}")]
    Port(String),
    /// Nobody answers at this address.
    #[error("no reader answers at this address")]
    NoReader,
    /// The reader has another key than the one that everybody knows.
    #[error("the reader has a key of its own already; reset it as its manual says")]
    OtherKey,
    /// It knows no secured sessions, or only in a mode that it is not in.
    #[error("the reader accepts no install session; put it into its install mode as its manual says")]
    NoInstall,
    /// It did not take the key.
    #[error("the reader did not take the key")]
    NotTaken,
}

/// Gives the key.
///
/// # Errors
/// Why the reader does not have it.
pub async fn run(task: &Task, clock: &SharedClock) -> Result<Given, NotGiven> {
    let mut line = Line::open(task, clock).await?;
    match line.session(Access::Key(task.key.clone()), None).await? {
        Found::Ready => return Ok(Given::Before),
        Found::Trouble(_) => {}
        Found::Nobody => return Err(NotGiven::NoReader),
    }
    match line.session(Access::Install, Some(Command::SetKey(task.key.clone()))).await? {
        Found::Ready => {}
        Found::Trouble(Trouble::WrongKey) => return Err(NotGiven::OtherKey),
        Found::Trouble(_) => return Err(NotGiven::NoInstall),
        Found::Nobody => return Err(NotGiven::NoReader),
    }
    match line.session(Access::Key(task.key.clone()), None).await? {
        Found::Ready => Ok(Given::Now),
        Found::Trouble(_) | Found::Nobody => Err(NotGiven::NotTaken),
    }
}

/// What became of a session.
enum Found {
    Ready,
    Trouble(Trouble),
    Nobody,
}

/// An open line with nobody else on it.
struct Line<'a> {
    task: &'a Task,
    clock: &'a dyn Clock,
    link: Link,
    buffer: [u8; 512],
}

impl<'a> Line<'a> {
    async fn open(task: &'a Task, clock: &'a SharedClock) -> Result<Self, NotGiven> {
        let mut line = Self { task, clock: clock.as_ref(), link: Link::new(), buffer: [0; 512] };
        let mut turn = TurnRound::new(task.rs485);
        loop {
            match line.next().await {
                Happened::Up { .. } => return Ok(line),
                Happened::Lost(why) => return Err(NotGiven::Port(why)),
                Happened::Slow => return Err(NotGiven::Port("the port hangs: its driver does not answer".to_owned())),
                Happened::Opened => turn.opened(&line.link, &task.port),
                Happened::Bytes(_) | Happened::Idle => {}
            }
        }
    }

    async fn next(&mut self) -> Happened {
        let settings =
            super::Line { port: self.task.port.clone(), baud: self.task.baud, rs485: self.task.rs485, check: self.task.check, readers: Vec::new() }
                .settings();
        self.link.next(&self.task.port, settings, None, &mut self.buffer, true, None).await
    }

    /// A session until it is ready and its order is done, or cannot be.
    async fn session(&mut self, access: Access, order: Option<Command>) -> Result<Found, NotGiven> {
        let (address, check) = (self.task.address, self.task.check);
        let mut session = Session::new(Settings { address, check, access, inputs: false, outputs: Vec::new() });
        let (mut order, mut out) = (order, Vec::new());
        let until = Instant::now() + FIND;
        while Instant::now() < until {
            let now_ms = self.clock.boot_ms();
            match session.next(now_ms, &mut random, &mut out) {
                Next::Wait(at_ms) => tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(now_ms).clamp(1, 100))).await,
                Next::Send(bytes) => {
                    self.link.answer(&bytes).await.map_err(NotGiven::Port)?;
                    self.answer(bytes.len(), &mut session, &mut out).await?;
                }
            }
            for event in std::mem::take(&mut out) {
                match event {
                    Event::Online { .. } => match order.take() {
                        None => return Ok(Found::Ready),
                        Some(command) => session.order(Order { tag: 1, command, expires_ms: self.clock.boot_ms() + ORDER_MS }, &mut out),
                    },
                    Event::Trouble(trouble) => return Ok(Found::Trouble(trouble)),
                    // Whether a key whose answer was lost was taken, the next session shows.
                    Event::Ended { tag: 1, outcome: Outcome::Done | Outcome::Unknown } => return Ok(Found::Ready),
                    Event::Ended { tag: 1, .. } => return Err(NotGiven::NotTaken),
                    _ => {}
                }
            }
        }
        Ok(Found::Nobody)
    }

    async fn answer(&mut self, sent: usize, session: &mut Session, out: &mut Vec<Event>) -> Result<(), NotGiven> {
        let mut deframer = Deframer::new(self.task.check);
        let on_line = Duration::from_micros(sent as u64 * 10 * 1_000_000 / u64::from(self.task.baud.max(1)));
        // The answers of a handshake are long: 50 bytes are 60 ms at the slowest common speed.
        let until = Instant::now() + on_line + Duration::from_millis(2 * ANSWER_MS);
        let mut frames = Vec::new();
        loop {
            match timeout_at(until, self.next()).await {
                Ok(Happened::Bytes(count)) => deframer.push(self.buffer.get(..count).unwrap_or_default(), &mut frames),
                Ok(Happened::Lost(why)) => return Err(NotGiven::Port(why)),
                Ok(_) => continue,
                Err(_) => deframer.silence(&mut frames),
            }
            let now_ms = self.clock.boot_ms();
            if frames.drain(..).any(|frame| session.answer(&frame, now_ms, out)) {
                return Ok(());
            }
            if Instant::now() >= until {
                session.silence(now_ms, out);
                return Ok(());
            }
        }
    }
}
