//! The task of one line: who is asked next, what is sent, how long an answer is waited for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::Line;
use super::orders::Ask;
use super::reader::Reader;
use super::report::Report;
use crate::clock::SharedClock;
use crate::codec::osdp::{Deframer, Frame, Next, Settings};
use crate::device::{Contact, Parts, Signalled};
use crate::source::serial::backoff::Backoff;
use crate::source::serial::link::{Happened, Link};
use crate::source::serial::turn::TurnRound;
use crate::source::{Intake, Refused, Taken};

/// Waits between attempts to open the port.
const REOPEN_MS: (u64, u64) = (100, 1_500);
/// An answer that has begun may go on for this long at most.
const ANSWER_TAKES: Duration = Duration::from_millis(600);
/// A pause inside an answer.
const GAP: Duration = Duration::from_millis(30);
/// Between an answer and the next question the line is left alone.
const TURN: Duration = Duration::from_millis(3);
/// A stop leaves so much time to switch everything off.
const REST: Duration = Duration::from_millis(800);
/// And so much for what was read and is not yet stored.
const DRAIN: Duration = Duration::from_secs(3);
const READ_AT_ONCE: usize = 512;

/// Runs the line until `parts.stop` is true.
pub(super) async fn run(line: Line, parts: Parts, asks: mpsc::Receiver<Ask>) {
    let readers = line
        .readers
        .iter()
        .map(|wired| {
            let settings = Settings {
                address: wired.address,
                check: line.check,
                access: wired.access(),
                inputs: wired.wiring.free.is_some() || matches!(wired.wiring.passage, Some(Contact::Input(_))),
                outputs: wired.outputs(),
            };
            let report = Report::new(wired.wiring.gate.clone(), &wired.title, &line.port, wired.address, Arc::clone(&parts.hub));
            Reader::new(wired.clone(), settings, report)
        })
        .collect();
    let task = Task {
        settings: line.settings(),
        turn_round: TurnRound::new(line.rs485),
        path: line.port,
        readers,
        deframer: Deframer::new(line.check),
        link: Link::new(),
        up: false,
        awaiting: None,
        quiet_until: Instant::now(),
        turn: 0,
        reopen: Backoff::new(REOPEN_MS.0, REOPEN_MS.1),
        rng: fastrand::Rng::new(),
        intake: parts.intake,
        signals: parts.signals,
        clock: parts.clock,
        stop: parts.stop,
        asks,
        ordered: true,
    };
    task.run().await;
}

struct Task {
    path: PathBuf,
    settings: crate::codec::Line,
    turn_round: TurnRound,
    readers: Vec<Reader>,
    deframer: Deframer,
    link: Link,
    up: bool,
    awaiting: Option<Awaiting>,
    /// Nothing is sent before.
    quiet_until: Instant,
    /// Whose turn it is.
    turn: usize,
    reopen: Backoff,
    rng: fastrand::Rng,
    intake: Arc<dyn Intake>,
    signals: mpsc::Sender<Signalled>,
    clock: SharedClock,
    stop: watch::Receiver<bool>,
    asks: mpsc::Receiver<Ask>,
    /// Somebody may order something.
    ordered: bool,
}

/// An answer that is waited for.
struct Awaiting {
    reader: usize,
    until: Instant,
    /// However much comes, not longer than this.
    at_most: Instant,
    damaged: u64,
}

/// What woke the task.
enum Woken {
    Stop,
    Settled(usize, Result<Taken, Refused>),
    Ask(Option<Ask>),
    Port(Happened),
    Time,
}

impl Task {
    async fn run(mut self) {
        let mut buffer = [0; READ_AT_ONCE];
        while self.once(&mut buffer, false).await {}
        self.asks.close();
        self.rest(&mut buffer).await;
        self.drain().await;
        self.link.close(0);
        for reader in &mut self.readers {
            reader.report.stopped();
        }
    }

    /// One step: ask whoever is due, wait for what happens, take it in. False: the gateway stops.
    async fn once(&mut self, buffer: &mut [u8], stopping: bool) -> bool {
        let wake = self.ask_next().await;
        let woken = {
            let Self { readers, link, asks, stop, path, settings, ordered, .. } = self;
            for reader in readers.iter_mut() {
                reader.take_head(&self.intake);
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop), if !stopping => Woken::Stop,
                (number, result) = taken(readers) => Woken::Settled(number, result),
                happened = link.next(path, *settings, None, buffer, true, None) => Woken::Port(happened),
                ask = asks.recv(), if *ordered && !stopping => Woken::Ask(ask),
                () = sleep_until(wake) => Woken::Time,
            }
        };
        match woken {
            Woken::Stop => return false,
            Woken::Ask(None) => self.ordered = false,
            Woken::Settled(number, result) => {
                if let Some(reader) = self.readers.get_mut(number) {
                    reader.settled(&result, &mut self.rng, self.clock.as_ref());
                }
            }
            Woken::Ask(Some(ask)) => self.ask(ask),
            Woken::Port(happened) => self.happened(happened, buffer),
            Woken::Time => self.time(),
        }
        self.tell_doors(stopping).await
    }

    /// Sends the next question, if the line is free and somebody is due. Returns when to look again.
    async fn ask_next(&mut self) -> Instant {
        let now = Instant::now();
        let far = now + Duration::from_secs(1);
        let timers = self.readers.iter().filter_map(|reader| reader.take_again).chain([far]).min().unwrap_or(far);
        if !self.up {
            return timers;
        }
        if let Some(awaiting) = &self.awaiting {
            return awaiting.until.min(timers);
        }
        if now < self.quiet_until {
            return self.quiet_until.min(timers);
        }
        let now_ms = self.clock.boot_ms();
        let count = self.readers.len();
        let in_turn = (0..count).map(|offset| (self.turn + offset) % count);
        let (ordered, quiet): (Vec<usize>, Vec<usize>) =
            in_turn.partition(|number| self.readers.get(*number).is_some_and(|reader| reader.session.is_ready() && reader.session.has_orders()));
        let mut wake_ms = now_ms + 1_000;
        for number in ordered.into_iter().chain(quiet) {
            let Some(reader) = self.readers.get_mut(number) else { continue };
            if let Some(due_ms) = reader.keypad_due_ms() {
                wake_ms = wake_ms.min(due_ms);
            }
            let next = reader.with(self.clock.as_ref(), |session, out| session.next(now_ms, &mut random, out));
            match next {
                Next::Wait(until_ms) => wake_ms = wake_ms.min(until_ms),
                Next::Send(bytes) => {
                    self.turn = number + 1;
                    return self.send(number, &bytes).await.min(timers);
                }
            }
        }
        timers.min(now + Duration::from_millis(wake_ms.saturating_sub(now_ms)))
    }

    async fn send(&mut self, number: usize, bytes: &[u8]) -> Instant {
        self.deframer.reset();
        if let Err(why) = self.link.answer(bytes).await {
            self.lost(&why);
            return Instant::now();
        }
        let now = Instant::now();
        let on_line = Duration::from_micros(bytes.len() as u64 * 10 * 1_000_000 / u64::from(self.settings.baud.max(1)));
        let answer_ms = self.readers.get(number).map_or(0, |reader| reader.session.answer_ms());
        let until = now + on_line + Duration::from_millis(answer_ms);
        self.awaiting = Some(Awaiting { reader: number, until, at_most: until + ANSWER_TAKES, damaged: self.deframer.damaged() });
        until
    }

    fn happened(&mut self, happened: Happened, buffer: &[u8]) {
        match happened {
            Happened::Opened => self.turn_round.opened(&self.link, &self.path),
            Happened::Idle => {}
            Happened::Up { .. } => {
                self.reopen.reset();
                self.deframer.reset();
                self.up = true;
                for reader in &mut self.readers {
                    reader.report.port_up();
                }
            }
            Happened::Bytes(count) => {
                let mut frames = Vec::new();
                self.deframer.push(buffer.get(..count).unwrap_or_default(), &mut frames);
                if let Some(awaiting) = &mut self.awaiting {
                    awaiting.until = awaiting.until.max(Instant::now() + GAP).min(awaiting.at_most);
                }
                self.frames(&frames);
            }
            Happened::Slow => {
                for reader in &mut self.readers {
                    reader.report.port_down("the port hangs: its driver does not answer");
                }
            }
            Happened::Lost(why) => self.lost(&why),
        }
    }

    fn frames(&mut self, frames: &[Frame]) {
        let now_ms = self.clock.boot_ms();
        for frame in frames {
            let Some(awaiting) = &self.awaiting else { return };
            let Some(reader) = self.readers.get_mut(awaiting.reader) else { return };
            if reader.with(self.clock.as_ref(), |session, out| session.answer(frame, now_ms, out)) {
                reader.report.heard(now_ms);
                self.answered(now_ms);
            }
        }
    }

    fn answered(&mut self, now_ms: u64) {
        self.quiet_until = Instant::now() + TURN;
        let Some(awaiting) = self.awaiting.take() else { return };
        let damaged = self.deframer.damaged() - awaiting.damaged;
        if let Some(reader) = self.readers.get_mut(awaiting.reader).filter(|_| damaged > 0) {
            reader.report.damaged(damaged, now_ms);
        }
    }

    /// A time has come: an answer did not, a reading is tried again, a PIN is complete.
    fn time(&mut self) {
        let now = Instant::now();
        if self.awaiting.as_ref().is_some_and(|awaiting| awaiting.until <= now) {
            let mut frames = Vec::new();
            self.deframer.silence(&mut frames);
            self.frames(&frames);
        }
        if let Some(Awaiting { reader: number, .. }) = self.awaiting.as_ref().filter(|awaiting| awaiting.until <= now) {
            let (number, now_ms) = (*number, self.clock.boot_ms());
            self.answered(now_ms);
            if let Some(reader) = self.readers.get_mut(number) {
                reader.with(self.clock.as_ref(), |session, out| session.silence(now_ms, out));
                reader.report.silence(now_ms);
            }
        }
        for reader in &mut self.readers {
            reader.keypad_pause(self.clock.as_ref());
            if reader.take_again.is_some_and(|again| again <= now) {
                reader.take_again = None;
            }
        }
    }

    fn lost(&mut self, why: &str) {
        self.link.close(self.reopen.failed(&mut self.rng));
        (self.up, self.awaiting) = (false, None);
        let now_ms = self.clock.boot_ms();
        for reader in &mut self.readers {
            reader.with(self.clock.as_ref(), |session, out| session.port_closed(now_ms, out));
            reader.report.port_down(why);
        }
    }

    fn ask(&mut self, ask: Ask) {
        let clock = self.clock.as_ref();
        match ask {
            Ask::Open { reader, order, answer } => {
                if let Some(reader) = self.readers.get_mut(reader) {
                    reader.open(&order, answer, clock);
                }
            }
            Ask::Close { reader, answer } => {
                if let Some(reader) = self.readers.get_mut(reader) {
                    reader.close(answer, clock);
                }
            }
            Ask::Tell { reader, told } => {
                if let Some(reader) = self.readers.get_mut(reader) {
                    reader.tell(&told, clock);
                }
            }
        }
    }

    /// Hands on what the doors must know. Waits while they are behind: nothing that was counted is lost. False: the gateway stops.
    async fn tell_doors(&mut self, stopping: bool) -> bool {
        let at_boot_ms = self.clock.boot_ms();
        for reader in &mut self.readers {
            while let Some(signal) = reader.signals.pop_front() {
                let signalled = Signalled { gate: reader.wired.wiring.gate.clone(), signal, at_boot_ms, record: None };
                if stopping {
                    let _ = self.signals.try_send(signalled);
                    continue;
                }
                tokio::select! {
                    biased;
                    // Doors that have ended need no signals.
                    _ = self.signals.send(signalled) => {}
                    _ = self.stop.wait_for(|stop| *stop) => return false,
                }
            }
        }
        true
    }

    /// Outputs off and lights at rest, as far as the time goes. A reader ends its pulse by itself in any case.
    async fn rest(&mut self, buffer: &mut [u8]) {
        let until = Instant::now() + REST;
        let until_ms = self.clock.boot_ms() + u64::try_from(REST.as_millis()).unwrap_or(0);
        for reader in &mut self.readers {
            reader.rest(until_ms, self.clock.as_ref());
        }
        let _ = timeout_at(until, async {
            while self.up && self.readers.iter().any(|reader| reader.session.has_orders()) {
                self.once(buffer, true).await;
            }
        })
        .await;
    }

    /// Stores what was read, once each, as far as the time goes.
    async fn drain(&mut self) {
        let _ = timeout(DRAIN, async {
            for reader in &mut self.readers {
                reader.take_again = None;
                reader.take_head(&self.intake);
            }
            while self.readers.iter().any(|reader| reader.taking.is_some()) {
                let (number, result) = taken(&mut self.readers).await;
                let refused = result.is_err();
                if let Some(reader) = self.readers.get_mut(number) {
                    reader.settled(&result, &mut self.rng, self.clock.as_ref());
                    if !refused {
                        reader.take_head(&self.intake);
                    }
                }
            }
        })
        .await;
    }
}

/// The next reading that was stored or refused, and whose it was.
async fn taken(readers: &mut [Reader]) -> (usize, Result<Taken, Refused>) {
    std::future::poll_fn(|context| {
        for (number, reader) in readers.iter_mut().enumerate() {
            if let Some(taking) = &mut reader.taking
                && let std::task::Poll::Ready(result) = taking.as_mut().poll(context)
            {
                return std::task::Poll::Ready((number, result));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Eight bytes that nobody can foresee.
pub(super) fn random() -> [u8; 8] {
    // A version-4 UUID is 122 bits from the kernel; its fixed bits are in the bytes 6 and 8.
    let [a, b, c, d, e, f, _, g, _, h, ..] = *uuid::Uuid::new_v4().as_bytes();
    [a, b, c, d, e, f, g, h]
}
