//! A board's pins that the test holds: what is switched when, and what contacts become. Time stands still unless something waits for it.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::pins::Edge;
use super::{GpioModule, Pin, Pins, start};
use crate::board::Board;
use crate::clock::{Clock, ManualClock};
use crate::config::GpioLines;
use crate::device::{Actuator, Contact, NotOpened, Open, Parts, Signal, Signalled, Told, Voice, Wiring};
use crate::domain::{Direction, GateId};
use crate::source::{Intake, Reading, Refused, Taken};
use crate::status::{Hub, Link};

/// The pins as the test sees them.
#[derive(Default)]
struct State {
    on: BTreeSet<Pin>,
    log: Vec<(Pin, bool)>,
    edges: VecDeque<(u16, bool)>,
    stuck: BTreeSet<Pin>,
    gone: bool,
    taken: u32,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "gone")
}

impl Pins for Fake {
    fn set(&mut self, pin: Pin, on: bool) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.gone {
            return Err(gone());
        }
        state.log.push((pin, on));
        if !state.stuck.contains(&pin) {
            if on {
                state.on.insert(pin)
            } else {
                state.on.remove(&pin)
            };
        }
        Ok(())
    }

    fn is_on(&mut self, pin: Pin) -> io::Result<bool> {
        let state = self.0.lock().unwrap();
        if state.gone { Err(gone()) } else { Ok(state.on.contains(&pin)) }
    }

    fn edge(&mut self) -> Edge<'_> {
        Box::pin(async {
            loop {
                let next = self.0.lock().unwrap().edges.pop_front();
                match next {
                    Some(edge) => return Ok(edge),
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        })
    }
}

struct NoIntake;

impl Intake for NoIntake {
    fn take(&self, _: Reading) -> std::pin::Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send + '_>> {
        Box::pin(async { Err(Refused::Stopping) })
    }
}

struct Rig {
    pins: Fake,
    relay: Arc<dyn Actuator>,
    voice: Arc<dyn Voice>,
    signals: mpsc::Receiver<Signalled>,
    clock: Arc<ManualClock>,
    hub: Arc<Hub>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Rig {
    fn new(pins: Fake) -> Self {
        let lines = GpioLines::of(&Board::built_in("raspberry-pi-4").unwrap());
        let (clock, hub) = (Arc::new(ManualClock::synced(1_795_342_500_000)), Arc::new(Hub::default()));
        let (sender, signals) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(false);
        let parts = Parts { intake: Arc::new(NoIntake), signals: sender, hub: hub.clone(), clock: clock.clone(), stop: stopped };
        let passage = Some(Contact::Input(0));
        let wiring = Wiring { gate: GateId::from("n1"), direction: Direction::In, open: Some(0), passage, free: Some(1) };
        let module = GpioModule { id: "io1".into(), title: "Pins".into(), lines };
        let given = pins.clone();
        let take = move |_: &GpioLines| -> io::Result<Box<dyn Pins>> {
            let mut state = given.0.lock().unwrap();
            state.taken += 1;
            if state.gone { Err(gone()) } else { Ok(Box::new(given.clone())) }
        };
        let mut started = start(module, vec![wiring], parts, Box::new(take));
        let (relay, voice) = (started.actuators.remove(0).1, started.voices.remove(0).1);
        let task = tokio::spawn(started.task);
        Self { pins, relay, voice, signals, clock, hub, stop, task }
    }

    fn order(&self) -> Open {
        Open { id: Uuid::now_v7(), direction: Direction::In, pulse_ms: 500, expires_boot_ms: self.clock.boot_ms() + 2_000 }
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.pins.0.lock().unwrap())
    }

    async fn signal(&mut self) -> Signal {
        self.signals.recv().await.unwrap().signal
    }

    async fn stop(self) -> Fake {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.pins
    }
}

async fn ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

const RELAY: Pin = Pin::Output(0);

#[tokio::test(start_paused = true)]
async fn a_relay_is_on_for_its_pulse_and_the_next_guests_waits_for_an_edge() {
    let rig = Rig::new(Fake::default());
    let first = rig.order();
    assert_eq!(rig.relay.open(first.clone()).await, Ok(()));
    assert!(rig.state(|state| state.on.contains(&RELAY)));
    assert_eq!(rig.relay.open(first).await, Ok(()), "the same order opens once");
    let begun = tokio::time::Instant::now();
    assert_eq!(rig.relay.open(rig.order()).await, Ok(()));
    assert!(begun.elapsed() >= Duration::from_millis(600), "pulse and rest");
    assert_eq!(rig.state(|state| state.log.clone()), [(RELAY, true), (RELAY, false), (RELAY, true)]);
    assert_eq!(rig.relay.open(Open { expires_boot_ms: 0, ..rig.order() }).await, Err(NotOpened::Expired));
    assert_eq!(rig.relay.close().await, Ok(()));
    assert!(rig.state(|state| state.on.is_empty()), "taken back at once");
    ms(700).await;
    assert_eq!(rig.relay.open(rig.order()).await, Ok(()));
    let pins = rig.stop().await;
    assert!(pins.0.lock().unwrap().on.is_empty(), "off at the end");
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_does_not_read_on_has_not_opened_and_one_that_does_not_read_off_is_told() {
    let rig = Rig::new(Fake::default());
    rig.state(|state| state.stuck.insert(RELAY));
    assert!(matches!(rig.relay.open(rig.order()).await, Err(NotOpened::Refused(_))));
    assert_eq!(rig.state(|state| state.log.last().copied()), Some((RELAY, false)));
    rig.state(|state| state.on.insert(RELAY));
    assert!(matches!(rig.relay.close().await, Err(NotOpened::Refused(_))));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn contacts_are_states_first_and_then_passages_and_edges_of_them() {
    let pins = Fake::default();
    pins.0.lock().unwrap().on.extend([Pin::Input(0), Pin::Input(1)]);
    let mut rig = Rig::new(pins);
    assert_eq!((rig.signal().await, rig.signal().await), (Signal::Link(true), Signal::Free(true)));
    rig.state(|state| state.edges.extend([(0, true), (0, false), (1, false), (0, true), (0, true), (0, false), (0, true)]));
    let passed = Signal::Passed { direction: Some(Direction::In), count: 1 };
    assert_eq!(rig.signal().await, Signal::Free(false));
    assert_eq!((rig.signal().await, rig.signal().await), (passed.clone(), passed), "doubled edges are one");
    assert_eq!(rig.hub.snapshot().modules["io1"].link, Link::Up);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_guest_sees_green_or_red_and_hears_a_short_or_a_long_tone() {
    let rig = Rig::new(Fake::default());
    let lit = |rig: &Rig| rig.state(|state| state.on.iter().copied().collect::<Vec<_>>());
    rig.voice.tell(&Told::Go { lines: Vec::new() });
    ms(50).await;
    assert_eq!(lit(&rig), [Pin::Green, Pin::Buzzer]);
    ms(100).await;
    assert_eq!(lit(&rig), [Pin::Green]);
    rig.voice.tell(&Told::No { code: "no_ticket".into(), lines: Vec::new() });
    ms(300).await;
    assert_eq!(lit(&rig), [Pin::Red, Pin::Buzzer]);
    ms(2_000).await;
    assert!(lit(&rig).is_empty());
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pins_that_are_gone_are_said_to_be_and_taken_again_and_nothing_is_ordered_meanwhile() {
    let mut rig = Rig::new(Fake::default());
    assert_eq!((rig.signal().await, rig.signal().await), (Signal::Link(true), Signal::Free(false)));
    rig.state(|state| state.gone = true);
    assert!(matches!(rig.relay.open(rig.order()).await, Err(NotOpened::Unknown(_))));
    assert_eq!(rig.signal().await, Signal::Link(false));
    assert_eq!(rig.hub.snapshot().modules["io1"].link, Link::Down);
    assert!(matches!(rig.relay.open(rig.order()).await, Err(NotOpened::NotSent(_))));
    rig.state(|state| state.gone = false);
    assert_eq!(rig.signal().await, Signal::Link(true));
    assert_eq!(rig.relay.open(rig.order()).await, Ok(()));
    assert!(rig.state(|state| state.taken) >= 2);
    rig.stop().await;
}
