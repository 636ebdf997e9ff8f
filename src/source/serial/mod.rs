//! Readers on serial ports: one task per port reads, decodes, hands on and answers.
//!
//! The port is opened for this process alone, raw; what was waiting in it for the first 200 ms is dropped, and only then status says `up`. A port that
//! vanishes, hangs or leads elsewhere is closed and opened again with jittered waits of at most 1.5 s, for as long as the gateway runs.
//!
//! Each decoded medium goes to the intake, one at a time and in order. While it is being stored the port is read on, up to a bounded number of readings;
//! then bytes stay in the kernel. A reading that could not be stored is kept and tried again, also while the port is closed.
//!
//! A door's word to the guest goes out here, too, where the reader takes commands: see [`voice()`].
//!
//! Never: an answer to a reader before its pass is on disk; a card in log or status; a reading dropped while the gateway runs.

pub(crate) mod backoff;
mod likeness;
pub(crate) mod link;
pub(crate) mod port;
pub(crate) mod queue;
mod report;
pub(crate) mod turn;
mod voice;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::SharedClock;
use crate::codec::{Decoded, Decoder, Line};
use crate::config::{Gate, SerialReader};
use crate::source::{Intake, Origin, Refused, Taken};
use crate::status::Hub;

pub use voice::{Commands, voice};

use backoff::Backoff;
use likeness::Likeness;
use link::{Happened, Link};
use queue::Queue;
use report::Report;
use turn::TurnRound;

/// Waits between attempts to open the port: reopened within 2 s of a replug, the 200 ms of stale bytes included.
const REOPEN_MS: (u64, u64) = (100, 1_500);
/// Waits between attempts to store a reading.
const STORE_MS: (u64, u64) = (100, 5_000);
/// A stop leaves so much time for what was read and is not yet stored.
const DRAIN: Duration = Duration::from_secs(4);
const READ_AT_ONCE: usize = 512;

type Taking = Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send>>;

/// Reads one gate's port until `stop` is true.
pub async fn run(gate: Gate, reader: SerialReader, intake: Arc<dyn Intake>, hub: Arc<Hub>, clock: SharedClock, stop: watch::Receiver<bool>) {
    run_with(gate, reader, intake, hub, clock, stop, None).await;
}

/// As [`run`], for a reader that a door speaks through: `commands` come from [`voice()`].
pub async fn run_with(
    gate: Gate,
    reader: SerialReader,
    intake: Arc<dyn Intake>,
    hub: Arc<Hub>,
    clock: SharedClock,
    stop: watch::Receiver<bool>,
    commands: Option<Commands>,
) {
    let report = Report::new(gate.id.clone(), &gate.title, &reader.profile.name, &reader.port, hub);
    let queue = Queue::new(gate.id, reader.profile.repeats(), reader.profile.answers.clone());
    let line = Line { baud: reader.baud.unwrap_or(reader.profile.line.baud), ..reader.profile.line };
    let task = Task {
        turn: TurnRound::new(reader.rs485),
        decoder: reader.profile.decoder(),
        reader,
        intake,
        clock,
        report,
        queue,
        link: Link::new(),
        taking: None,
        take_again: None,
        rng: fastrand::Rng::new(),
        reopen: Backoff::new(REOPEN_MS.0, REOPEN_MS.1),
        store: Backoff::new(STORE_MS.0, STORE_MS.1),
        decoded: Vec::new(),
        commands,
        likeness: Likeness::new(line),
    };
    task.run(stop).await;
}

struct Task {
    reader: SerialReader,
    intake: Arc<dyn Intake>,
    clock: SharedClock,
    report: Report,
    decoder: Box<dyn Decoder>,
    queue: Queue,
    link: Link,
    turn: TurnRound,
    /// The head of the queue on its way to disk.
    taking: Option<Taking>,
    /// The head was refused and is tried again then.
    take_again: Option<Instant>,
    rng: fastrand::Rng,
    reopen: Backoff,
    store: Backoff,
    decoded: Vec<Decoded>,
    commands: Option<Commands>,
    likeness: Likeness,
}

/// What woke the task.
enum Event {
    Stop,
    Settled(Result<Taken, Refused>),
    TakeAgain,
    Tell(Vec<u8>),
    Port(Happened),
}

impl Task {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut buffer = [0; READ_AT_ONCE];
        loop {
            self.take_head();
            let event = {
                let (line, baud) = (self.reader.profile.line, self.reader.baud);
                let happened = self.link.next(&self.reader.port, line, baud, &mut buffer, !self.queue.is_full(), self.decoder.idle_after_ms());
                tokio::select! {
                    biased;
                    () = stopped(&mut stop) => Event::Stop,
                    result = taken(&mut self.taking) => Event::Settled(result),
                    () = again(self.take_again) => Event::TakeAgain,
                    // Not while something that was read is not yet on disk: no sound goes ahead of it.
                    bytes = command(&mut self.commands), if self.queue.len() == 0 => Event::Tell(bytes),
                    happened = happened => Event::Port(happened),
                }
            };
            match event {
                Event::Stop => break,
                Event::Settled(result) => self.settled(result).await,
                Event::TakeAgain => self.take_again = None,
                Event::Tell(bytes) => self.answer(&bytes).await,
                Event::Port(happened) => self.happened(happened, &buffer).await,
            }
        }
        self.drain().await;
        self.link.close(0);
        self.report.stopped();
    }

    /// Sends the head of the queue on its way, unless it is under way or waits for its next attempt.
    fn take_head(&mut self) {
        if self.taking.is_some() || self.take_again.is_some() {
            return;
        }
        if let Some(reading) = self.queue.head().cloned() {
            let intake = Arc::clone(&self.intake);
            self.taking = Some(Box::pin(async move { intake.take(reading).await }));
        }
    }

    async fn happened(&mut self, happened: Happened, buffer: &[u8]) {
        let now_ms = self.clock.boot_ms();
        match happened {
            Happened::Opened => {
                self.turn.opened(&self.link, &self.reader.port);
                self.report.opened();
            }
            Happened::Up { stale } => {
                self.reopen.reset();
                self.decoder.reset();
                self.report.up(stale);
            }
            Happened::Bytes(count) => {
                self.report.bytes(now_ms);
                let bytes = buffer.get(..count).unwrap_or_default();
                self.likeness.bytes(bytes, now_ms);
                self.decoder.push(bytes, &mut self.decoded);
                self.decoded(now_ms).await;
            }
            Happened::Idle => {
                self.decoder.idle(&mut self.decoded);
                self.decoded(now_ms).await;
            }
            Happened::Slow => self.report.down("the port hangs: its driver does not answer".to_owned(), now_ms),
            Happened::Lost(why) => self.lost(why),
        }
    }

    async fn decoded(&mut self, now_ms: u64) {
        let mut suspicious = false;
        for decoded in self.decoded.drain(..) {
            match decoded {
                Decoded::Medium(presented) => {
                    suspicious = false;
                    if self.likeness.understood() {
                        self.report.looks_like(None);
                    }
                    self.queue.presented(presented, Origin::now(self.clock.as_ref()));
                }
                Decoded::Removal { reader } => self.queue.removed(reader),
                Decoded::Bad(bad) => {
                    self.report.bad(bad, now_ms);
                    suspicious |= self.likeness.bad();
                }
            }
        }
        if suspicious {
            let (heard, own) = (self.likeness.heard(), self.reader.profile.name.clone());
            let guessed = tokio::task::spawn_blocking(move || likeness::guess(&heard, &own)).await;
            self.report.looks_like(guessed.unwrap_or_default());
        }
        let due = self.queue.due_answers();
        self.answer(&due).await;
    }

    async fn settled(&mut self, result: Result<Taken, Refused>) {
        self.taking = None;
        let now_ms = self.clock.boot_ms();
        let answer = self.queue.settle(&result);
        match result {
            Ok(_) => {
                self.store.reset();
                self.report.stored();
            }
            Err(refused) => {
                let wait = self.store.failed(&mut self.rng);
                self.take_again = Some(Instant::now() + Duration::from_millis(wait));
                self.report.not_stored(&refused.to_string(), self.queue.len(), now_ms);
            }
        }
        self.answer(&answer).await;
    }

    async fn answer(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Err(why) = self.link.answer(bytes).await {
            self.lost(why);
        }
    }

    fn lost(&mut self, why: String) {
        self.link.close(self.reopen.failed(&mut self.rng));
        self.decoder.reset();
        self.queue.port_closed();
        self.report.down(why, self.clock.boot_ms());
    }

    /// Stores what was read, once each, as far as the time goes. What does not get there was not acknowledged.
    async fn drain(&mut self) {
        let _ = timeout(DRAIN, async {
            self.take_again = None;
            self.take_head();
            while self.taking.is_some() {
                let result = taken(&mut self.taking).await;
                let refused = result.is_err();
                self.settled(result).await;
                if refused {
                    break;
                }
                self.take_head();
            }
        })
        .await;
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone stops the task, too: nobody could stop it any more.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn taken(taking: &mut Option<Taking>) -> Result<Taken, Refused> {
    match taking {
        Some(taking) => taking.await,
        None => std::future::pending().await,
    }
}

async fn command(commands: &mut Option<Commands>) -> Vec<u8> {
    match commands {
        Some(commands) => commands.next().await,
        None => std::future::pending().await,
    }
}

async fn again(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
