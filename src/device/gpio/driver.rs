//! The driver of a board's pins: orders and answers in their time, contacts as signals.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::pins::{Pin, Pins};
use super::{GpioModule, Take};
use crate::device::outbox::Outbox;
use crate::device::waiting::Waiting;
use crate::device::{Actuator, Contact, NotOpened, Open, Ordered, Parts, Signal, Told, Voice, Wiring};
use crate::domain::GateId;
use crate::status::{Link, ModuleState};

/// Orders and answers that wait for the driver.
const ORDERS: usize = 16;
/// Between two pulses the turnstile must see an edge.
const REST: Duration = Duration::from_millis(100);
/// Lines that could not be taken are tried again after this.
const AGAIN: Duration = Duration::from_secs(2);
/// Signals that a door had no room for are tried again after this.
const SIGNAL_AGAIN: Duration = Duration::from_millis(50);
/// How long a light is lit.
const LIT: Duration = Duration::from_millis(1_500);
/// A short tone lets in, a long one does not.
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_millis(600);

type Reply = oneshot::Sender<Result<(), NotOpened>>;

enum Command {
    Open { output: u16, open: Open, reply: Reply },
    Close { output: u16, reply: Reply },
    Tell(Told),
}

/// The way to the driver.
#[derive(Clone)]
pub(super) struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    pub fn output(&self, output: u16) -> Output {
        Output { handle: self.clone(), output }
    }

    async fn order(&self, make: impl FnOnce(Reply) -> Command + Send) -> Result<(), NotOpened> {
        let (reply, done) = oneshot::channel();
        let ended = || NotOpened::NotSent("the driver has ended".to_owned());
        self.commands.send(make(reply)).await.map_err(|_| ended())?;
        done.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Voice for Handle {
    fn tell(&self, told: &Told) {
        // A driver that is so busy tells the next guest.
        let _ = self.commands.try_send(Command::Tell(told.clone()));
    }
}

/// One gate's relay.
pub(super) struct Output {
    handle: Handle,
    output: u16,
}

impl Actuator for Output {
    fn open(&self, open: Open) -> Ordered<'_> {
        Box::pin(self.handle.order(|reply| Command::Open { output: self.output, open, reply }))
    }

    fn close(&self) -> Ordered<'_> {
        Box::pin(self.handle.order(|reply| Command::Close { output: self.output, reply }))
    }
}

pub(super) struct Driver {
    module: GpioModule,
    wirings: Vec<Wiring>,
    parts: Parts,
    take: Take,
    commands: mpsc::Receiver<Command>,
    outbox: Outbox,
    /// What is on, and until when.
    on: BTreeMap<Pin, Instant>,
    /// Relays that have had their pulse, and rest.
    resting: BTreeMap<u16, Instant>,
    waiting: Waiting<(u16, Open, Reply)>,
    levels: BTreeMap<u16, bool>,
    /// The last order that was carried out at each relay.
    done: BTreeMap<u16, Uuid>,
}

/// Why the lines are given back.
enum End {
    Stop,
    Trouble(io::Error),
}

impl Driver {
    pub fn new(module: GpioModule, wirings: Vec<Wiring>, parts: Parts, take: Take) -> (Handle, Self) {
        let (sender, commands) = mpsc::channel(ORDERS);
        let outbox = Outbox::new(parts.signals.clone());
        parts.hub.module(&module.id, |state| {
            *state = ModuleState { title: module.title.clone(), kind: "gpio".to_owned(), port: "gpio".to_owned(), ..ModuleState::default() };
        });
        let driver = Self {
            module,
            wirings,
            parts,
            take,
            commands,
            outbox,
            on: BTreeMap::new(),
            resting: BTreeMap::new(),
            waiting: Waiting::default(),
            levels: BTreeMap::new(),
            done: BTreeMap::new(),
        };
        (Handle { commands: sender }, driver)
    }

    pub async fn run(mut self) {
        loop {
            let error = match (self.take)(&self.module.lines) {
                Ok(mut pins) => match self.serve(pins.as_mut()).await {
                    End::Stop => return,
                    End::Trouble(error) => {
                        self.end(pins.as_mut());
                        error
                    }
                },
                Err(error) => error,
            };
            self.lost(&error);
            if self.without_lines().await {
                return;
            }
        }
    }

    async fn serve(&mut self, pins: &mut dyn Pins) -> End {
        if let Err(error) = self.begin(pins) {
            return End::Trouble(error);
        }
        let mut stop = self.parts.stop.clone();
        loop {
            let due = self.due();
            let edge = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return self.end(pins),
                Some(command) = self.commands.recv() => self.command(command, pins),
                () = at(due) => Ok(()),
                edge = pins.edge() => edge.map(|(input, on)| self.edge(input, on)),
            };
            self.outbox.flush();
            if let Err(error) = edge.and_then(|()| self.pass_time(pins)) {
                return End::Trouble(error);
            }
        }
    }

    /// The lines are taken: outputs are off and contacts are as they are.
    fn begin(&mut self, pins: &mut dyn Pins) -> io::Result<()> {
        for (_, number) in self.module.lines.inputs.iter().zip(0..) {
            self.levels.insert(number, pins.is_on(Pin::Input(number))?);
        }
        tracing::info!(module = self.module.id, "the board's pins are taken");
        self.parts.hub.module(&self.module.id, |state| {
            (state.link, state.error) = (Link::Up, None);
            state.last_answer_boot_ms = Some(self.parts.clock.boot_ms());
        });
        self.tell(&Signal::Link(true), |_| true);
        for (input, on) in self.levels.clone() {
            self.tell(&Signal::Free(on), |wiring| wiring.free == Some(input));
        }
        Ok(())
    }

    fn lost(&mut self, error: &io::Error) {
        tracing::error!(module = self.module.id, %error, "the board's pins cannot be used; they are tried again");
        self.on.clear();
        self.resting.clear();
        self.parts.hub.module(&self.module.id, |state| {
            (state.link, state.error) = (Link::Down, Some(error.to_string()));
        });
        self.tell(&Signal::Link(false), |_| true);
    }

    /// Nothing can be ordered for a while. Returns whether it is over for good.
    async fn without_lines(&mut self) -> bool {
        let (mut stop, until) = (self.parts.stop.clone(), Instant::now() + AGAIN);
        loop {
            let away = || Err(NotOpened::NotSent("the board's pins cannot be used".to_owned()));
            let answer = |reply: Reply| drop(reply.send(away()));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return true,
                Some(command) = self.commands.recv() => match command {
                    Command::Open { reply, .. } | Command::Close { reply, .. } => answer(reply),
                    Command::Tell(_) => {}
                },
                () = sleep_until(until) => return false,
            }
        }
    }

    fn end(&mut self, pins: &mut dyn Pins) -> End {
        let outputs = self.module.lines.outputs.iter().zip(0..).map(|(_, number)| Pin::Output(number));
        let off: Vec<Pin> = outputs.chain(self.on.keys().copied()).collect();
        for pin in off {
            if let Err(error) = pins.set(pin, false) {
                tracing::error!(module = self.module.id, ?pin, %error, "an output is not known to be off at the end");
            }
        }
        End::Stop
    }

    fn command(&mut self, command: Command, pins: &mut dyn Pins) -> io::Result<()> {
        match command {
            Command::Open { output, open, reply } => self.order(output, open, reply, pins),
            Command::Close { output, reply } => self.close(output, reply, pins),
            Command::Tell(told) => self.light(&told, pins),
        }
    }

    fn order(&mut self, output: u16, open: Open, reply: Reply, pins: &mut dyn Pins) -> io::Result<()> {
        let say = |reply: Reply, result| drop(reply.send(result));
        let left_ms = open.expires_boot_ms.saturating_sub(self.parts.clock.boot_ms());
        if self.done.get(&output) == Some(&open.id) {
            say(reply, Ok(()));
        } else if left_ms == 0 {
            say(reply, Err(NotOpened::Expired));
        } else if self.resting.contains_key(&output) {
            let until = Instant::now() + Duration::from_millis(left_ms);
            if let Err((_, _, reply)) = self.waiting.add(output, until, (output, open, reply)) {
                say(reply, Err(NotOpened::NotSent("too many orders wait for this output".to_owned())));
            }
        } else {
            let pin = Pin::Output(output);
            let switched = pins.set(pin, true).and_then(|()| pins.is_on(pin));
            if let Ok(true) = switched {
                let until = Instant::now() + Duration::from_millis(open.pulse_ms.into());
                self.on.insert(pin, until);
                self.resting.insert(output, until + REST);
                self.done.insert(output, open.id);
                say(reply, Ok(()));
                return Ok(());
            }
            let off = pins.set(pin, false);
            return match switched {
                Ok(_) => {
                    say(reply, Err(NotOpened::Refused("the line does not go on".to_owned())));
                    off
                }
                Err(error) => {
                    say(reply, Err(NotOpened::Unknown(error.to_string())));
                    Err(error)
                }
            };
        }
        Ok(())
    }

    fn close(&mut self, output: u16, reply: Reply, pins: &mut dyn Pins) -> io::Result<()> {
        for (_, _, waiting) in self.waiting.take_all(output) {
            // Whoever ordered may have given up; so here and below.
            let _ = waiting.send(Err(NotOpened::NotSent("taken back".to_owned())));
        }
        let pin = Pin::Output(output);
        let is_on = pins.set(pin, false).and_then(|()| pins.is_on(pin));
        self.on.remove(&pin);
        let result = match &is_on {
            Ok(false) => Ok(()),
            Ok(true) => Err(NotOpened::Refused("the line does not go off".to_owned())),
            Err(error) => Err(NotOpened::Unknown(error.to_string())),
        };
        let _ = reply.send(result);
        is_on.map(drop)
    }

    fn light(&mut self, told: &Told, pins: &mut dyn Pins) -> io::Result<()> {
        let lit: &[(Pin, Duration)] = match told {
            Told::Go { .. } => &[(Pin::Green, LIT), (Pin::Buzzer, SHORT)],
            Told::No { .. } => &[(Pin::Red, LIT), (Pin::Buzzer, LONG)],
            Told::Wait | Told::Ready => &[],
        };
        for pin in [Pin::Green, Pin::Red, Pin::Buzzer] {
            if self.on.remove(&pin).is_some() {
                pins.set(pin, false)?;
            }
        }
        for (pin, time) in lit {
            if self.has(*pin) {
                pins.set(*pin, true)?;
                self.on.insert(*pin, Instant::now() + *time);
            }
        }
        Ok(())
    }

    fn has(&self, light: Pin) -> bool {
        let lines = &self.module.lines;
        match light {
            Pin::Green => lines.green.is_some(),
            Pin::Red => lines.red.is_some(),
            Pin::Buzzer => lines.buzzer.is_some(),
            Pin::Output(_) | Pin::Input(_) => false,
        }
    }

    /// Ends what is over, and serves whose turn has come.
    fn pass_time(&mut self, pins: &mut dyn Pins) -> io::Result<()> {
        let now = Instant::now();
        let over: Vec<Pin> = self.on.iter().filter(|(_, until)| **until <= now).map(|(pin, _)| *pin).collect();
        for pin in over {
            pins.set(pin, false)?;
            self.on.remove(&pin);
        }
        self.resting.retain(|_, until| *until > now);
        for (_, _, reply) in self.waiting.take_expired(now) {
            let _ = reply.send(Err(NotOpened::Expired));
        }
        while let Some((output, open, reply)) = self.waiting.take_ready(|output| !self.resting.contains_key(&output)) {
            self.order(output, open, reply, pins)?;
        }
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        let retry = (!self.outbox.is_empty()).then(|| Instant::now() + SIGNAL_AGAIN);
        self.on.values().chain(self.resting.values()).copied().chain(self.waiting.next()).chain(retry).min()
    }

    fn edge(&mut self, input: u16, on: bool) {
        if self.levels.insert(input, on) == Some(on) {
            return;
        }
        self.tell(&Signal::Free(on), |wiring| wiring.free == Some(input));
        if on {
            let at_boot_ms = self.parts.clock.boot_ms();
            for wiring in self.wirings.iter().filter(|wiring| wiring.passage == Some(Contact::Input(input))) {
                self.outbox.tell(&wiring.gate, Signal::Passed { direction: Some(wiring.direction), count: 1 }, at_boot_ms);
            }
        }
    }

    fn tell(&mut self, signal: &Signal, to: impl Fn(&Wiring) -> bool) {
        let gates: Vec<&GateId> = self.wirings.iter().filter(|wiring| to(wiring)).map(|wiring| &wiring.gate).collect();
        self.outbox.tell_each(&gates, signal, self.parts.clock.boot_ms());
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
