//! One controller: its requests answered, its events taken, its gates' orders kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::time::{Instant, sleep_until};

use super::cards::{Cards, News};
use super::events::{self, Meaning};
use super::kept::Kept;
use super::orders::{Orders, Whose};
use super::wire::{self, Event, Message, Request};
use super::{Controller, Staff};
use crate::device::{Actuator, NotOpened, Open, Ordered, Parts, Signal, Signalled, Told, Voice, Wiring};
use crate::domain::{DeviceRecord, Direction, GateId, Medium, MediumKind, PassageState, Personal, Sync};
use crate::source::mqtt::seen::Ids;
use crate::source::{Reading, Refused, Taken};
use crate::status::Link;

/// A controller whose cards we decide on has so long to wait for the answer.
const DECIDE_WITHIN: Duration = Duration::from_secs(2);
/// A door takes a signal within this, or the controller is to tell it again.
const SIGNAL_WITHIN: Duration = Duration::from_secs(2);
/// How often a controller is to come by itself, seconds: an order without a card waits so long.
const INTERVAL_S: u64 = 8;
const INTERVAL_WITH_DOOR_S: u64 = 2;
/// The source format of its media.
const FORMAT: &str = "ironlogic-web-json";

/// What was not taken, and is to be told again.
struct NotTaken;

pub(super) struct Desk {
    controller: Controller,
    timezone: TimeZone,
    parts: Parts,
    state: Mutex<State>,
    /// What the controller holds of the staff's cards; held for as long as a command of theirs is made, so that what is kept is always the newest.
    kept: Option<tokio::sync::Mutex<Kept>>,
}

#[derive(Default)]
struct State {
    orders: Orders,
    /// The list that it is brought to hold, where there is one.
    cards: Option<Cards>,
    /// Signals that were passed on, by the events' names.
    told: Ids,
    last_seen: Option<Instant>,
    linked: bool,
    random: fastrand::Rng,
}

impl Desk {
    pub fn new(controller: Controller, timezone: TimeZone, staff: Option<&Staff>, parts: Parts) -> Self {
        let mut state = State::default();
        for (direction, card) in &controller.opened_before {
            // As the controller spells it.
            state.orders.opened_before(*direction, format!("{:0>12}", card.reveal()));
        }
        let kept = staff.map(|staff| {
            let (kept, held) = Kept::open(&staff.folder, controller.serial);
            state.cards = Some(Cards::new(staff.cards.cards().clone(), held));
            tokio::sync::Mutex::new(kept)
        });
        Self { controller, timezone, parts, state: Mutex::new(state), kept }
    }

    pub fn serial(&self) -> u64 {
        self.controller.serial
    }

    pub fn wirings(&self) -> &[Wiring] {
        &self.controller.wirings
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names for commands: any that are not in use.
    fn command_id(&self) -> u64 {
        u64::from(self.state().random.u32(1..1 << 31))
    }

    fn interval_s(&self) -> u64 {
        if self.wirings().iter().any(|wiring| wiring.open.is_some()) { INTERVAL_WITH_DOOR_S } else { INTERVAL_S }
    }

    /// Answers a request. What it tells is on disk by then, or is not acknowledged.
    pub async fn answer(&self, request: Request) -> String {
        self.here().await;
        let mut answers = Vec::new();
        for message in request.messages {
            match message {
                Message::PowerOn { id } => {
                    self.state().cards.iter_mut().for_each(Cards::started);
                    answers.push(json!({ "id": id, "operation": "set_active", "active": 1, "online": u8::from(self.controller.online) }));
                }
                Message::CheckAccess { id, card, direction } => {
                    let granted = self.decide(card, direction).await;
                    answers.push(json!({ "id": id, "operation": "check_access", "granted": u8::from(granted) }));
                }
                Message::Events { id, events, count, last_event } => {
                    if self.take_all(events).await.is_ok() {
                        answers.push(json!({ "id": id, "operation": "events", "events_success": wire::events_success(count, last_event) }));
                    }
                }
                Message::Done { id, success } => self.done(id, success),
                Message::Ping => {}
                Message::Other => tracing::warn!(module = self.controller.id, "the controller sends something that is not understood"),
            }
        }
        let staff = self.staff().await;
        self.put_together(&answers, staff)
    }

    /// What became of a command.
    fn done(&self, id: u64, success: bool) {
        let (news, done) = {
            let mut state = self.state();
            if state.orders.done(id, success) {
                return;
            }
            match &mut state.cards {
                Some(cards) => (cards.done(id, success), cards.is_done()),
                None => (None, false),
            }
        };
        let module = &self.controller.id;
        match news {
            None => tracing::debug!(module, "the controller answers a command that nobody waits for"),
            Some(News::Refused(refused)) => {
                tracing::warn!(
                    module,
                    refused,
                    "the controller does not take a card of the staff's: is its list full? The others are told, it is tried again when it starts"
                );
            }
            Some(News::NotCleared) => tracing::warn!(module, "the controller does not clear its list of cards; it is tried again"),
            Some(News::None) => {}
        }
        if news.is_some() && done {
            tracing::info!(module, "the controller's list is the staff's cards");
        }
    }

    /// The next command for its own list. What it may do is on disk by then.
    async fn staff(&self) -> Option<Value> {
        let mut kept = self.kept.as_ref()?.lock().await;
        let id = self.command_id();
        let (command, held) = {
            let mut state = self.state();
            let cards = state.cards.as_mut()?;
            (cards.next(id), cards.held().cloned())
        };
        if let Err(error) = kept.keep(held).await {
            tracing::error!(module = self.controller.id, %error, "what the controller holds cannot be kept, so its list of cards is left as it is for now");
            self.state().cards.iter_mut().for_each(Cards::end);
            return None;
        }
        command
    }

    fn put_together(&self, answers: &[Value], staff: Option<Value>) -> String {
        let now = Instant::now();
        let mut state = self.state();
        let mut commands = state.orders.commands(now);
        let orders = commands.len();
        commands.extend(staff);
        let (text, held) = wire::answer(self.local_time().as_deref(), self.interval_s(), answers, &commands);
        state.orders.left(held.min(orders), now);
        text
    }

    /// The venue's time for the controller's clock; nothing while the box does not know it.
    fn local_time(&self) -> Option<String> {
        let stamp = self.parts.clock.stamp();
        let now = jiff::Timestamp::from_millisecond(stamp.wall_ms).ok().filter(|_| stamp.sync == Sync::Synced)?;
        Some(now.to_zoned(self.timezone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// A card is presented. The door decides, and says so by ordering to open; silence is a no.
    async fn decide(&self, card: String, direction: Direction) -> bool {
        let Some(gate) = self.gate(direction) else { return false };
        let deadline = Instant::now() + DECIDE_WITHIN;
        let mut decided = self.state().orders.ask(gate.clone(), card.clone());
        let _waiting = Waiting { desk: self, gate: &gate, card: &card };
        let reading = Reading {
            gate: gate.clone(),
            medium: self.medium(&card),
            direction: Some(direction),
            passage: PassageState::Unknown,
            device: None,
            device_ms: None,
            origin: None,
        };
        let mut taking = Some(self.parts.intake.take(reading));
        loop {
            tokio::select! {
                biased;
                granted = &mut decided => return granted.unwrap_or(false),
                () = sleep_until(deadline) => return false,
                taken = taken(&mut taking) => match taken {
                    Ok(_) => taking = None,
                    Err(refused) => {
                        tracing::error!(module = self.controller.id, "a pass is not stored, and its card is refused: {refused}");
                        return false;
                    }
                },
            }
        }
    }

    /// Takes a batch in its order.
    async fn take_all(&self, events: Vec<Event>) -> Result<(), NotTaken> {
        for event in events {
            self.take(event).await?;
        }
        Ok(())
    }

    async fn take(&self, event: Event) -> Result<(), NotTaken> {
        let (meaning, direction) = (events::meaning(&event), events::direction(&event));
        let card = events::has_card(&event).then(|| event.card.clone());
        let record = events::record(self.controller.serial, &event);
        let known = self.state().told.contains(&record);
        if known {
            return Ok(());
        }
        let whose = self.state().orders.event(&meaning, direction, card.as_deref(), Instant::now());
        if whose == Whose::OursBefore {
            return self.told(record);
        }
        let pass = events::pass(&meaning, self.controller.evidence).filter(|_| whose == Whose::Own);
        if let (Some(passage), Some(card)) = (pass, &card) {
            return self.store(&event, card, direction, passage, record).await;
        }
        let direction_known = Some(direction);
        let signal = match meaning {
            Meaning::Passed => Signal::Passed { direction: direction_known, count: 1 },
            Meaning::NotPassed => Signal::NotPassed { direction: direction_known },
            Meaning::Alarm(signal) => signal,
            Meaning::Granted | Meaning::OpenedByUs | Meaning::Refused | Meaning::Other => return self.told(record),
        };
        self.signal(signal, direction_known, Some(&record)).await?;
        self.told(record)
    }

    fn told(&self, record: String) -> Result<(), NotTaken> {
        self.state().told.fresh(&record);
        Ok(())
    }

    async fn store(&self, event: &Event, card: &str, direction: Direction, passage: PassageState, record: String) -> Result<(), NotTaken> {
        // The config's check gives every controller a gate.
        let Some(gate) = self.gate(direction) else { return Err(NotTaken) };
        let medium = self.medium(card);
        let device = DeviceRecord { device: self.controller.id.clone(), record };
        let device_ms = self.device_ms(&event.time);
        let reading = Reading { gate, medium, direction: Some(direction), passage, device: Some(device), device_ms, origin: None };
        match self.parts.intake.take(reading).await {
            Ok(_) => Ok(()),
            Err(refused @ (Refused::NotStored(_) | Refused::Stopping)) => {
                tracing::error!(module = self.controller.id, "a pass is not stored, and the controller is to tell it again: {refused}");
                Err(NotTaken)
            }
        }
    }

    /// What the controller's clock says, milliseconds since 1970 UTC. Kept, never trusted.
    fn device_ms(&self, time: &str) -> Option<i64> {
        let local: DateTime = time.replacen(' ', "T", 1).parse().ok()?;
        Some(self.timezone.to_ambiguous_zoned(local).compatible().ok()?.timestamp().as_millisecond())
    }

    /// The gate of that way; where none goes that way, the first. Nothing: the controller serves no gate.
    fn gate(&self, direction: Direction) -> Option<GateId> {
        let own = self.wirings().iter().find(|wiring| wiring.direction == direction);
        own.or_else(|| self.wirings().first()).map(|wiring| wiring.gate.clone())
    }

    /// A card. One that is longer than the config says keeps all its digits: a pass is not dropped for a setting.
    fn medium(&self, card: &str) -> Medium {
        let short = self.controller.uid_bytes.and_then(|bytes| {
            let (rest, uid) = card.split_at_checked(card.len().checked_sub(bytes * 2)?)?;
            rest.bytes().all(|digit| digit == b'0').then_some(uid)
        });
        Medium { kind: MediumKind::CardUid, value: Personal::new(short.unwrap_or(card)), raw: None, format: FORMAT.to_owned() }
    }

    async fn signal(&self, signal: Signal, direction: Option<Direction>, record: Option<&str>) -> Result<(), NotTaken> {
        let at_boot_ms = self.parts.clock.boot_ms();
        let record = record.map(|record| DeviceRecord { device: self.controller.id.clone(), record: record.to_owned() });
        let only_one = self.wirings().len() == 1;
        for wiring in self.wirings().iter().filter(|wiring| only_one || direction.is_none_or(|direction| wiring.direction == direction)) {
            let signalled = Signalled { gate: wiring.gate.clone(), signal: signal.clone(), at_boot_ms, record: record.clone() };
            match self.parts.signals.send_timeout(signalled, SIGNAL_WITHIN).await {
                // Nobody listens: the gate has no door, or the gateway stops.
                Ok(()) | Err(SendTimeoutError::Closed(_)) => {}
                Err(SendTimeoutError::Timeout(_)) => return Err(NotTaken),
            }
        }
        Ok(())
    }

    /// The controller has come.
    async fn here(&self) {
        let now_ms = self.parts.clock.boot_ms();
        for wiring in self.wirings() {
            self.parts.hub.gate(wiring.gate.as_str(), |gate| {
                gate.link = Link::Up;
                gate.error = None;
                gate.last_byte_boot_ms = Some(now_ms);
            });
        }
        let news = {
            let mut state = self.state();
            let now = Instant::now();
            if state.last_seen.replace(now).is_none() {
                state.orders.came(now);
            }
            !std::mem::replace(&mut state.linked, true)
        };
        if news {
            // A door that does not take it now learns by the next signal.
            let _ = self.signal(Signal::Link(true), None, None).await;
        }
    }

    /// Says that the controller is away when it has not come for three times its interval and a little.
    pub async fn look(&self) {
        let patience = Duration::from_secs(self.interval_s() * 3 + 5);
        let gone = {
            let mut state = self.state();
            let silent = state.last_seen.is_none_or(|seen| seen.elapsed() > patience);
            silent && std::mem::replace(&mut state.linked, false)
        };
        if gone {
            for wiring in self.wirings() {
                self.parts.hub.gate(wiring.gate.as_str(), |gate| {
                    gate.link = Link::Down;
                    gate.error = Some("the controller has not come for a while".to_owned());
                });
            }
            let _ = self.signal(Signal::Link(false), None, None).await;
        }
    }
}

/// A card whose answer is waited for; forgotten when that ends, also when the controller hangs up.
struct Waiting<'a> {
    desk: &'a Desk,
    gate: &'a GateId,
    card: &'a str,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.desk.state().orders.forget(self.gate, self.card);
    }
}

type Taking<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Taken, Refused>> + Send + 'a>>;

async fn taken(taking: &mut Option<Taking<'_>>) -> Result<Taken, Refused> {
    match taking {
        Some(taking) => taking.await,
        None => std::future::pending().await,
    }
}

/// One way of a controller, as its gate's door sees it.
pub(super) struct Leaf {
    desk: Arc<Desk>,
    gate: GateId,
    direction: Direction,
}

impl Leaf {
    pub fn new(desk: Arc<Desk>, wiring: &Wiring) -> Self {
        Self { desk, gate: wiring.gate.clone(), direction: wiring.direction }
    }

    async fn order(&self, order: Open) -> Result<(), NotOpened> {
        let left_ms = order.expires_boot_ms.saturating_sub(self.desk.parts.clock.boot_ms());
        if left_ms == 0 {
            return Err(NotOpened::Expired);
        }
        let until = Instant::now() + Duration::from_millis(left_ms);
        let command = self.desk.command_id();
        let done = self.desk.state().orders.open(&self.gate, order.direction, order.id, command, until);
        tokio::select! {
            biased;
            done = done => done.unwrap_or_else(|_| Err(NotOpened::Unknown("the driver has ended".to_owned()))),
            () = sleep_until(until) => Err(self.desk.state().orders.give_up(order.id)),
        }
    }
}

impl Actuator for Leaf {
    fn open(&self, order: Open) -> Ordered<'_> {
        Box::pin(self.order(order))
    }

    /// Takes back what the controller has not been told yet. An opening that it was told of it ends by itself.
    fn close(&self) -> Ordered<'_> {
        Box::pin(async {
            let left = self.desk.state().orders.take_back(self.direction);
            if left { Err(NotOpened::Refused("the controller ends its own opening".to_owned())) } else { Ok(()) }
        })
    }
}

impl Voice for Leaf {
    /// A refusal is the answer that the controller waits for; it has no other voice.
    fn tell(&self, told: &Told) {
        if matches!(told, Told::No { .. }) {
            self.desk.state().orders.refuse(&self.gate);
        }
    }
}
