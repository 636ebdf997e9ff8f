//! The driver of one device behind the broker: orders out, answers, contacts and trouble in.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::MqttModule;
use super::contacts::Contacts;
use super::relays::{Pending, Relays, Reply};
use super::speech::{Act, Answer, Heard, Speech, Wish};
use crate::device::waiting::Waiting;
use crate::device::{Actuator, Contact, NotOpened, Open, Ordered, Parts, Signal, Signalled, Started, Wiring};
use crate::domain::{Direction, GateId};
use crate::mqtt::{ClientHandle, Incoming, NotDelivered, Subscription};
use crate::source::mqtt::seen::Ids;
use crate::source::mqtt::throttle::Throttle;
use crate::status::Link;

/// Orders that wait for the driver: one a gate is the rule.
const ORDERS: usize = 16;
/// Signals that wait for a door; then nothing more is heard until there is room.
const SIGNALS: usize = 64;
/// A device has so long to say that its output is off.
const OFF_WITHIN: Duration = Duration::from_secs(5);
/// Ends of pulses have so long at a stop.
const LAST: Duration = Duration::from_secs(2);
/// An end that the full outbox did not take is tried again after this.
const AGAIN: Duration = Duration::from_millis(500);

/// A driver for one device; the wirings are those of the gates it serves.
#[must_use]
pub fn start(module: MqttModule, wirings: Vec<Wiring>, client: ClientHandle, parts: Parts) -> Started {
    let (orders, receiver) = mpsc::channel(ORDERS);
    let actuators = wirings
        .iter()
        .filter_map(|wiring| {
            let output = wiring.open?;
            let actuator = Output { orders: orders.clone(), output, direction: wiring.direction };
            Some((wiring.gate.clone(), Arc::new(actuator) as Arc<dyn Actuator>))
        })
        .collect();
    let speech = module.speaks.speech();
    let relays = Relays::new(wirings.iter().filter_map(|wiring| wiring.open), speech.ends_pulses());
    let driver = Driver {
        module: module.id,
        wirings,
        client,
        parts,
        speech,
        relays,
        waiting: Waiting::default(),
        contacts: Contacts::default(),
        free: HashMap::new(),
        troubles: BTreeMap::new(),
        fault: None,
        online: None,
        linked: None,
        ids: Ids::default(),
        bad: Throttle::default(),
        signals: VecDeque::new(),
        owed_off: Vec::new(),
        owed_at: None,
    };
    Started { actuators, voices: Vec::new(), task: Box::pin(driver.run(receiver)) }
}

struct Command {
    output: u16,
    direction: Direction,
    /// Nothing: off.
    open: Option<Open>,
    reply: Reply,
}

/// One gate's output.
struct Output {
    orders: mpsc::Sender<Command>,
    output: u16,
    direction: Direction,
}

impl Output {
    async fn order(&self, open: Option<Open>) -> Result<(), NotOpened> {
        let (reply, done) = oneshot::channel();
        let direction = open.as_ref().map_or(self.direction, |open| open.direction);
        let command = Command { output: self.output, direction, open, reply };
        self.orders.send(command).await.map_err(|_| NotOpened::NotSent("the device's driver has ended".to_owned()))?;
        done.await.unwrap_or_else(|_| Err(NotOpened::Unknown("the device's driver has ended".to_owned())))
    }
}

impl Actuator for Output {
    fn open(&self, order: Open) -> Ordered<'_> {
        Box::pin(self.order(Some(order)))
    }

    fn close(&self) -> Ordered<'_> {
        Box::pin(self.order(None))
    }
}

/// An order that was published, and what the broker said.
type Sent = (Uuid, Result<(), NotDelivered>);

struct Driver {
    module: String,
    wirings: Vec<Wiring>,
    client: ClientHandle,
    parts: Parts,
    speech: Box<dyn Speech>,
    relays: Relays,
    /// Orders that wait until the pulse before them is over.
    waiting: Waiting<Command>,
    contacts: Contacts,
    /// Inputs that say that a gate is free.
    free: HashMap<u16, bool>,
    troubles: BTreeMap<String, String>,
    fault: Option<String>,
    /// What the device's own will says.
    online: Option<bool>,
    linked: Option<bool>,
    ids: Ids,
    bad: Throttle,
    /// For the doors, in order; with the last of a message's signals goes the message, to be acknowledged then.
    signals: VecDeque<(Signalled, Option<Incoming>)>,
    /// Ends that the outbox did not take.
    owed_off: Vec<u16>,
    /// They are tried again then.
    owed_at: Option<Instant>,
}

impl Driver {
    async fn run(mut self, mut orders: mpsc::Receiver<Command>) {
        let mut stop = self.parts.stop.clone();
        let mut sending: JoinSet<Sent> = JoinSet::new();
        let listen = |ear: &super::speech::Ear| if ear.every { self.client.subscribe(&ear.filter) } else { self.client.watch(&ear.filter) };
        let mut subscriptions: Vec<Subscription> = self.speech.ears().iter().map(listen).collect();
        let mut links: Vec<watch::Receiver<Link>> = subscriptions.iter().map(Subscription::link).collect();
        self.off_all();
        loop {
            // Each is looked at: one that is not would seem changed for ever.
            let down = links.iter_mut().filter_map(|link| (*link.borrow_and_update() != Link::Up).then_some(())).count();
            let up = down == 0;
            self.link(up);
            self.serve_waiting(&mut sending);
            let due = [self.relays.next(), self.waiting.next(), self.owed_at].into_iter().flatten().min();
            tokio::select! {
                biased;
                // A sender that is gone stops the driver, too: nobody could stop it any more.
                _ = stop.wait_for(|stop| *stop) => break,
                Some(command) = orders.recv() => self.order(command, &mut sending),
                Some(sent) = sending.join_next(), if !sending.is_empty() => {
                    if let Ok((id, result)) = sent {
                        self.sent(id, result);
                    }
                }
                () = at(due) => self.due(),
                () = signalled(&mut self.signals, &self.parts.signals) => {}
                () = changed(&mut links) => {}
                message = next(&mut subscriptions), if self.signals.len() < SIGNALS => match message {
                    Some(message) => self.hear(message),
                    None => break,
                },
            }
        }
        drop(subscriptions);
        self.end().await;
    }

    fn order(&mut self, command: Command, sending: &mut JoinSet<Sent>) {
        let Command { output, direction, open, reply } = command;
        let stamp = self.parts.clock.stamp();
        let (id, act, left_ms, pulse) = match &open {
            Some(open) => {
                let left = open.expires_boot_ms.saturating_sub(stamp.boot_ms);
                (open.id, Act::On { pulse_ms: open.pulse_ms }, left, Some(Duration::from_millis(u64::from(open.pulse_ms))))
            }
            None => (Uuid::new_v4(), Act::Off, millis(OFF_WITHIN), None),
        };
        let refuse = |reply: Reply, why: NotOpened| drop(reply.send(Err(why)));
        if left_ms == 0 {
            return refuse(reply, NotOpened::Expired);
        }
        let until = Instant::now() + Duration::from_millis(left_ms);
        if pulse.is_some() && self.relays.busy(output) {
            if let Err(command) = self.waiting.add(output, until, Command { output, direction, open, reply }) {
                refuse(command.reply, NotOpened::NotSent("too many orders wait for this output".to_owned()));
            }
            return;
        }
        if pulse.is_none() {
            for command in self.waiting.take_all(output) {
                refuse(command.reply, NotOpened::NotSent("taken back".to_owned()));
            }
        }
        let expires_wall_ms = stamp.wall_ms.saturating_add(i64::try_from(left_ms).unwrap_or(i64::MAX));
        let Some(said) = self.speech.say(&Wish { id, output, direction, act, left_ms, expires_wall_ms }) else {
            return refuse(reply, NotOpened::NotSent(format!("the device has no output {output}")));
        };
        self.relays.begin(output, Pending { id, answer: said.answer, until, sent: pulse.is_none(), pulse, reply });
        if pulse.is_some() {
            let client = self.client.clone();
            sending.spawn(async move { (id, client.publish_until(&said.topic, said.payload, until).await) });
        } else if let Err(error) = self.client.publish(&said.topic, said.payload, false) {
            self.relays.not_sent(id, NotOpened::NotSent(error.to_string()));
            self.owe(output);
        }
    }

    /// Orders whose turn has come, and those whose time is over.
    fn serve_waiting(&mut self, sending: &mut JoinSet<Sent>) {
        for command in self.waiting.take_expired(Instant::now()) {
            // Whoever ordered may have given up.
            let _ = command.reply.send(Err(NotOpened::Expired));
        }
        while let Some(command) = self.waiting.take_ready(|output| !self.relays.busy(output)) {
            self.order(command, sending);
        }
    }

    /// What the broker said of an order. Its word is not the device's: only a failure ends the wait.
    fn sent(&mut self, id: Uuid, result: Result<(), NotDelivered>) {
        match result {
            Ok(()) => self.relays.sent(id),
            Err(NotDelivered::Withdrawn) => self.relays.not_sent(id, NotOpened::Expired),
            Err(NotDelivered::NotTaken(error)) => self.relays.not_sent(id, NotOpened::NotSent(error.to_string())),
            Err(NotDelivered::Unknown) => {
                if let Some(output) = self.relays.doubtful(id, "the broker has not acknowledged it in time") {
                    self.off(output);
                }
            }
        }
    }

    fn due(&mut self) {
        for output in self.relays.due(Instant::now()) {
            self.off(output);
        }
        if self.owed_at.take_if(|at| *at <= Instant::now()).is_some() {
            for output in std::mem::take(&mut self.owed_off) {
                self.off(output);
            }
        }
    }

    /// Puts an output off, whenever the broker is there: an end never comes too late.
    fn off(&mut self, output: u16) {
        let Some((topic, payload)) = self.end_of(output) else { return };
        if self.client.publish(&topic, payload, false).is_err() {
            self.owe(output);
        }
    }

    fn owe(&mut self, output: u16) {
        self.owed_off.push(output);
        self.owed_at.get_or_insert_with(|| Instant::now() + AGAIN);
    }

    fn end_of(&mut self, output: u16) -> Option<(String, String)> {
        let direction = self.wirings.iter().find(|wiring| wiring.open == Some(output)).map_or(Direction::In, |wiring| wiring.direction);
        let stamp = self.parts.clock.stamp();
        let left_ms = millis(OFF_WITHIN);
        let expires_wall_ms = stamp.wall_ms.saturating_add(i64::try_from(left_ms).unwrap_or(i64::MAX));
        let said = self.speech.say(&Wish { id: Uuid::new_v4(), output, direction, act: Act::Off, left_ms, expires_wall_ms })?;
        Some((said.topic, said.payload))
    }

    fn off_all(&mut self) {
        for output in self.relays.outputs() {
            self.off(output);
        }
    }

    /// The last ends, acknowledged by the broker where it is there.
    async fn end(mut self) {
        let mut ends = JoinSet::new();
        for output in self.relays.outputs() {
            if let Some((topic, payload)) = self.end_of(output) {
                let client = self.client.clone();
                ends.spawn(async move { client.publish_and_wait(&topic, payload, false).await });
            }
        }
        let sent = timeout(LAST, async { while ends.join_next().await.is_some() {} }).await;
        if sent.is_err() {
            tracing::warn!(module = self.module, "the broker has not taken the ends of the outputs before the stop");
        }
    }

    fn hear(&mut self, message: Incoming) {
        let kept = message.retain;
        let heard = self.speech.hear(&message.topic, &message.payload, kept);
        let before = self.signals.len();
        for one in heard {
            self.take(one, kept);
        }
        let brought = self.signals.len() > before;
        match self.signals.back_mut() {
            Some((_, last)) if brought => *last = Some(message),
            _ => message.ack(),
        }
    }

    fn take(&mut self, heard: Heard, kept: bool) {
        let now = Instant::now();
        match heard {
            Heard::Output { output, on } if !kept => self.relays.answered(&Answer::Output { output, on }, Ok(()), now),
            Heard::Output { .. } => {}
            Heard::OutputFailed { output } if !kept => self.relays.failed(output),
            Heard::OutputFailed { .. } => {}
            Heard::Answered { id, result } => self.relays.answered(&Answer::Id(id), result, now),
            Heard::Input { input, on, changed } => {
                let edge = self.contacts.input(input, on, changed, kept);
                self.passed(Contact::Input(input), u32::from(edge));
                self.freed(input, on);
            }
            Heard::Edge { input } => self.passed(Contact::Input(input), u32::from(!kept)),
            Heard::Counter { counter, value } => {
                let count = self.contacts.counter(counter, value, kept);
                self.passed(Contact::Counter(counter), count);
            }
            Heard::Signal { direction, signal, id } => {
                if self.ids.fresh(&id) {
                    self.signal(signal, |wiring| direction.is_none_or(|direction| wiring.direction == direction));
                }
            }
            Heard::Online(online) => {
                self.online = Some(online);
            }
            Heard::Trouble { part, code } => self.trouble(part, code),
            Heard::Bad(why) => {
                if let Some(more) = self.bad.due(now) {
                    tracing::warn!(module = self.module, more, "a message of the device is not understood: {why}");
                }
            }
        }
    }

    fn passed(&mut self, contact: Contact, count: u32) {
        if count == 0 {
            return;
        }
        let at_boot_ms = self.parts.clock.boot_ms();
        let gates: Vec<(GateId, Direction)> =
            self.wirings.iter().filter(|wiring| wiring.passage == Some(contact)).map(|wiring| (wiring.gate.clone(), wiring.direction)).collect();
        for (gate, direction) in gates {
            let signal = Signal::Passed { direction: Some(direction), count };
            self.signals.push_back((Signalled { gate, signal, at_boot_ms, record: None }, None));
        }
    }

    /// A contact that says that gates are free is a state: what the broker kept of it counts.
    fn freed(&mut self, input: u16, on: bool) {
        if !self.wirings.iter().any(|wiring| wiring.free == Some(input)) {
            return;
        }
        let before = self.free.insert(input, on);
        if before.unwrap_or(false) != on {
            self.signal(Signal::Free(on), |wiring| wiring.free == Some(input));
        }
    }

    fn trouble(&mut self, part: String, code: Option<String>) {
        match code {
            Some(code) => drop(self.troubles.insert(part, code)),
            None => drop(self.troubles.remove(&part)),
        }
        let fault = self.troubles.values().next().cloned();
        if fault != self.fault {
            self.fault.clone_from(&fault);
            self.signal(Signal::Fault(fault), |_| true);
        }
    }

    /// The broker's subscriptions are granted, and the device does not say that it is away.
    fn link(&mut self, subscribed: bool) {
        let up = subscribed && self.online != Some(false);
        if self.linked != Some(up) {
            self.linked = Some(up);
            if !subscribed {
                self.contacts.deaf();
            }
            self.signal(Signal::Link(up), |_| true);
        }
    }

    fn signal(&mut self, signal: Signal, to: impl Fn(&Wiring) -> bool) {
        let at_boot_ms = self.parts.clock.boot_ms();
        for wiring in self.wirings.iter().filter(|wiring| to(wiring)) {
            self.signals.push_back((Signalled { gate: wiring.gate.clone(), signal: signal.clone(), at_boot_ms, record: None }, None));
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// Hands the next signal to the doors once they have room, and acknowledges its message. Cancel safe.
async fn signalled(signals: &mut VecDeque<(Signalled, Option<Incoming>)>, doors: &mpsc::Sender<Signalled>) {
    if signals.is_empty() {
        return pending().await;
    }
    let room = doors.reserve().await;
    if let Some((signal, message)) = signals.pop_front() {
        if let Ok(room) = room {
            room.send(signal);
        }
        if let Some(message) = message {
            message.ack();
        }
    }
}

/// Waits for a change of any link. Links of an ended client change no more.
async fn changed(links: &mut [watch::Receiver<Link>]) {
    let mut waits: Vec<_> = links
        .iter_mut()
        .map(|link| {
            Box::pin(async move {
                if link.changed().await.is_err() {
                    pending::<()>().await;
                }
            })
        })
        .collect();
    poll_fn(|context| if waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready()) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// The next message of any subscription; `None` when the client has ended. Cancel safe.
async fn next(subscriptions: &mut [Subscription]) -> Option<Incoming> {
    poll_fn(|context| {
        for subscription in subscriptions.iter_mut() {
            if let Poll::Ready(message) = pin!(subscription.recv()).poll(context) {
                return Poll::Ready(message);
            }
        }
        Poll::Pending
    })
    .await
}
