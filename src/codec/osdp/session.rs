//! One reader: what to send next, and what its answers mean. Time is boot time in milliseconds.
//!
//! Away -> identify -> capabilities -> (challenge -> prove ->) ready. A reader with a key is never spoken with in the clear beyond its identity and its
//! capabilities; one that does not accept its key stays away and is tried again after a while.
//!
//! An order is sent once. Unanswered, it is repeated as it was until it expires; then nobody knows whether it was carried out, and the session begins
//! anew, for a number that may have been used cannot be used again.

use std::collections::{BTreeSet, VecDeque};

use super::OFFLINE_MS;
use super::cards::CardData;
use super::command::{Command, Output};
use super::frame::{Check, Frame, Outgoing, Security};
use super::handshake::{self, Handshake};
use super::reply::{Capability, Identity, Keys, Nak, Reply};
use super::secure::{Channel, Key, Side};
use zeroize::Zeroize;

/// Between two polls of a quiet reader: how long a card waits at most before it is heard of.
const POLL_MS: u64 = 40;
/// Between two looks at the inputs, beside what the reader tells by itself.
const INPUTS_MS: u64 = 1_000;
/// Between two looks at tamper and power.
const LOCAL_MS: u64 = 10_000;
/// A busy reader is asked again after this time.
const BUSY_MS: u64 = 50;
/// Repeats beyond the first are spread out, so that a dead reader does not slow its neighbours.
const SPREAD_MS: u64 = 500;
/// A handshake whose command was not answered so often begins anew.
const HANDSHAKE_TRIES: u32 = 3;
/// Waits between attempts to find a reader.
const SEEK_MS: (u64, u64) = (500, 5_000);
/// A reader whose key is wrong is asked again after this time.
const TROUBLE_MS: u64 = 10_000;
const MOST_ORDERS: usize = 32;

/// How a reader is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// In the clear.
    Clear,
    /// Secured with the reader's own key.
    Key(Key),
    /// Secured with the key that everybody knows, to give the reader its own and for nothing else: it is not polled.
    Install,
}

/// What a session needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The reader's address, 0 to [`super::LAST_ADDRESS`].
    pub address: u8,
    /// How frames are checked.
    pub check: Check,
    /// How it is spoken with.
    pub access: Access,
    /// Its inputs matter.
    pub inputs: bool,
    /// Outputs that are switched off whenever the reader is found.
    pub outputs: Vec<u8>,
}

/// A command to be sent once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Comes back with its outcome.
    pub tag: u64,
    /// What.
    pub command: Command,
    /// From this time on it is not sent, and not sent again.
    pub expires_ms: u64,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reader did it.
    Done,
    /// The reader did not.
    Refused(Nak),
    /// It expired before it was sent.
    Expired,
    /// It was not sent.
    NotSent,
    /// It was sent, and the answer is not known.
    Unknown,
}

/// What was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The reader is there.
    Online {
        /// Who it is, where it said so.
        identity: Option<Identity>,
    },
    /// The reader is gone.
    Offline,
    /// The reader is there and cannot be used.
    Trouble(Trouble),
    /// A card.
    Card(CardData),
    /// Keys.
    Keys(Keys),
    /// Tamper and power.
    Local {
        /// Somebody is at its housing.
        tamper: bool,
        /// Its power fails.
        power: bool,
    },
    /// Levels of the inputs.
    Inputs(Vec<bool>),
    /// Levels of the outputs.
    Outputs(Vec<bool>),
    /// An order has ended.
    Ended {
        /// Which.
        tag: u64,
        /// How.
        outcome: Outcome,
    },
}

/// Why a reader cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It does not have the key that the config names, or does not believe that we have it.
    WrongKey,
    /// It knows no secured sessions, or not with a key of its own.
    NoSecurity,
    /// It wants a secured session, and the config names no key.
    NeedsKey,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this and wait for the answer.
    Send(Vec<u8>),
    /// Nothing before this time.
    Wait(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Away { again_ms: u64 },
    Identify,
    Capabilities,
    Challenge,
    Prove,
    Ready,
}

/// The command on its way.
struct Flight {
    bytes: Vec<u8>,
    command: u8,
    order: Option<Order>,
    /// How often it was sent.
    sent: u32,
    /// An answer is awaited; else it is sent again at this time.
    again_ms: Option<u64>,
}

/// The state of one reader.
pub struct Session {
    settings: Settings,
    phase: Phase,
    sequence: u8,
    flight: Option<Flight>,
    handshake: Option<Handshake>,
    channel: Option<Channel>,
    orders: VecDeque<Order>,
    /// Commands that it does not know.
    unknown: BTreeSet<u8>,
    identity: Option<Identity>,
    capabilities: Vec<Capability>,
    /// Boot time of the last answer in this session.
    heard_ms: u64,
    online: bool,
    seeks: u32,
    hold: bool,
    poll_ms: u64,
    inputs_ms: u64,
    local_ms: u64,
}

impl Session {
    /// A reader that has not been looked for yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            phase: Phase::Away { again_ms: 0 },
            sequence: 0,
            flight: None,
            handshake: None,
            channel: None,
            orders: VecDeque::new(),
            unknown: BTreeSet::new(),
            identity: None,
            capabilities: Vec::new(),
            heard_ms: 0,
            online: false,
            seeks: 0,
            hold: false,
            poll_ms: 0,
            inputs_ms: 0,
            local_ms: 0,
        }
    }

    /// The reader's address.
    #[must_use]
    pub fn address(&self) -> u8 {
        self.settings.address
    }

    /// Orders are carried out now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// The session is secured.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.channel.is_some()
    }

    /// An order waits or is under way.
    #[must_use]
    pub fn has_orders(&self) -> bool {
        !self.orders.is_empty() || self.flight.as_ref().is_some_and(|flight| flight.order.is_some())
    }

    /// The reader says that it can do this.
    #[must_use]
    pub fn can(&self, function: u8) -> bool {
        self.capabilities.iter().any(|one| one.function == function && one.level > 0)
    }

    /// True: take no more cards. The reader is kept alive with a question that no card answers, and keeps its cards.
    pub fn hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// Takes an order. One for a reader that is not there ends at once. Outputs come before lights and sounds.
    pub fn order(&mut self, order: Order, out: &mut Vec<Event>) {
        let is_output = |order: &Order| matches!(order.command, Command::Output { .. });
        if self.online && self.orders.len() < MOST_ORDERS {
            let behind = |other: &Order| is_output(&order) && !is_output(other);
            let place = self.orders.iter().position(behind).unwrap_or(self.orders.len());
            self.orders.insert(place, order);
        } else {
            out.push(Event::Ended { tag: order.tag, outcome: Outcome::NotSent });
        }
    }

    /// What to do now. After a `Send`, either [`Session::answer`] takes the answer or [`Session::silence`] is called. `chance` gives 8 random bytes.
    pub fn next(&mut self, now_ms: u64, chance: &mut dyn FnMut() -> [u8; 8], out: &mut Vec<Event>) -> Next {
        self.drop_expired(now_ms, out);
        if let Some(flight) = &mut self.flight {
            let Some(again_ms) = flight.again_ms else { return Next::Wait(now_ms.saturating_add(POLL_MS)) };
            if again_ms > now_ms {
                return Next::Wait(again_ms);
            }
            flight.sent += 1;
            flight.again_ms = None;
            return Next::Send(flight.bytes.clone());
        }
        match self.phase {
            Phase::Away { again_ms } if again_ms > now_ms => Next::Wait(again_ms),
            Phase::Away { .. } | Phase::Identify => {
                self.phase = Phase::Identify;
                self.channel = None;
                self.handshake = None;
                self.send_as(Command::Identity, None, Some(0))
            }
            Phase::Capabilities => self.send(Command::Capabilities, None),
            Phase::Challenge => match Handshake::begin(&self.settings.access, chance()) {
                Some(begun) => {
                    let random = begun.random();
                    self.handshake = Some(begun);
                    self.send(Command::Challenge(random), None)
                }
                None => self.seek(now_ms),
            },
            Phase::Prove => match &self.handshake {
                Some(begun) => {
                    let proof = begun.proof();
                    self.send(Command::Cryptogram(proof), None)
                }
                None => self.seek(now_ms),
            },
            Phase::Ready => self.next_ready(now_ms),
        }
    }

    fn next_ready(&mut self, now_ms: u64) -> Next {
        if let Some(order) = self.orders.pop_front() {
            return self.send(order.command.clone(), Some(order));
        }
        if self.settings.access == Access::Install {
            return Next::Wait(now_ms.saturating_add(POLL_MS));
        }
        let asks_inputs = self.settings.inputs && !self.unknown.contains(&Command::InputStatus.code());
        let asks_local = !self.unknown.contains(&Command::LocalStatus.code());
        if asks_inputs && self.inputs_ms <= now_ms {
            self.inputs_ms = now_ms.saturating_add(INPUTS_MS);
            return self.send(Command::InputStatus, None);
        }
        if asks_local && self.local_ms <= now_ms {
            self.local_ms = now_ms.saturating_add(LOCAL_MS);
            return self.send(Command::LocalStatus, None);
        }
        if self.poll_ms <= now_ms {
            self.poll_ms = now_ms.saturating_add(POLL_MS);
            return self.send(if self.hold { Command::LocalStatus } else { Command::Poll }, None);
        }
        Next::Wait(self.poll_ms)
    }

    fn send(&mut self, command: Command, order: Option<Order>) -> Next {
        self.send_as(command, order, None)
    }

    fn send_as(&mut self, command: Command, order: Option<Order>, sequence: Option<u8>) -> Next {
        self.sequence = sequence.unwrap_or(self.sequence % 3 + 1);
        let mut data = command.data();
        let (address, sequence, check, code) = (self.settings.address, self.sequence, self.settings.check, command.code());
        let frame = |security, data: &[u8], mac: Option<&mut dyn FnMut(&[u8]) -> [u8; 4]>| {
            Outgoing { address, answer: false, sequence, check, security, code, data }.encode(mac)
        };
        let bytes = match (&mut self.channel, &self.handshake) {
            (Some(channel), _) => {
                let (kind, sent) = match data.is_empty() {
                    true => (handshake::COMMAND, Vec::new()),
                    false => (handshake::COMMAND_DATA, channel.encrypt(Side::Controller, &data)),
                };
                frame(Some((kind, &[])), &sent, Some(&mut |message| channel.seal(Side::Controller, message)))
            }
            (None, Some(begun)) => {
                let kind = if self.phase == Phase::Challenge { handshake::CHALLENGE } else { handshake::PROOF };
                frame(Some((kind, begun.block())), &data, None)
            }
            (None, None) => frame(None, &data, None),
        };
        data.zeroize();
        self.flight = Some(Flight { bytes: bytes.clone(), command: code, order, sent: 1, again_ms: None });
        Next::Send(bytes)
    }

    /// Takes a frame. False: it is no answer to what is under way; go on waiting.
    pub fn answer(&mut self, frame: &Frame, now_ms: u64, out: &mut Vec<Event>) -> bool {
        let awaited = self.flight.as_ref().is_some_and(|flight| flight.again_ms.is_none());
        if !awaited || !frame.is_answer() || frame.address() != self.settings.address {
            return false;
        }
        let Some((code, data)) = frame.body() else { return false };
        let clear = frame.security().is_none();
        if clear && code == 0x79 && (frame.sequence() == 0 || frame.sequence() == self.sequence) {
            self.send_again_at(now_ms.saturating_add(BUSY_MS));
            return true;
        }
        let nak = (clear && code == 0x41).then(|| Nak(data.first().copied().unwrap_or(0)));
        // A reader that lost count answers with the number that it expected.
        if frame.sequence() != self.sequence && nak != Some(Nak::SEQUENCE) {
            return false;
        }
        if nak == Some(Nak(1)) {
            self.silence(now_ms, out);
            return true;
        }
        let reply = match self.plain(frame, code, data) {
            Some(reply) => reply,
            // In a secured session only a refusal comes in the clear: the reader has lost the session.
            None if self.channel.is_some() && nak.is_some() => {
                self.begin_anew(now_ms, true, out);
                return true;
            }
            None => return false,
        };
        self.take(reply, frame.security(), now_ms, out);
        true
    }

    /// The answer, decrypted where the session is secured. `None`: it is not to be believed.
    fn plain(&mut self, frame: &Frame, code: u8, data: &[u8]) -> Option<Reply> {
        let parse = |data: &[u8]| Reply::parse(code, data).unwrap_or(Reply::Other(code));
        let kind = frame.security().map(|security| security.kind);
        let Some(channel) = &mut self.channel else {
            let handshake = matches!(kind, Some(handshake::CHALLENGED | handshake::CONFIRMED));
            return (kind.is_none() || handshake && self.handshake.is_some()).then(|| parse(data));
        };
        let (sent, _) = data.split_last_chunk::<4>()?;
        let reply = match kind? {
            handshake::ANSWER => parse(sent),
            // Some readers send an encrypted answer without data.
            handshake::ANSWER_DATA if sent.is_empty() => parse(sent),
            handshake::ANSWER_DATA => parse(&channel.decrypt(Side::Reader, sent)?),
            _ => return None,
        };
        channel.open(Side::Reader, frame.before_check()).then_some(reply)
    }

    fn take(&mut self, reply: Reply, security: Option<Security<'_>>, now_ms: u64, out: &mut Vec<Event>) {
        if reply == Reply::Nak(Nak::SEQUENCE) {
            return self.begin_anew(now_ms, true, out);
        }
        match self.phase {
            Phase::Away { .. } => {}
            Phase::Identify => {
                self.flight = None;
                self.identity = if let Reply::Identity(identity) = reply { Some(identity) } else { None };
                self.phase = Phase::Capabilities;
            }
            Phase::Capabilities => {
                self.flight = None;
                self.capabilities = if let Reply::Capabilities(capabilities) = reply { capabilities } else { Vec::new() };
                if self.settings.access == Access::Clear {
                    self.ready(now_ms, out);
                } else {
                    self.phase = Phase::Challenge;
                }
            }
            Phase::Challenge => {
                self.flight = None;
                let Reply::Challenged { random, cryptogram } = reply else {
                    return self.trouble(Trouble::NoSecurity, now_ms, out);
                };
                if self.handshake.as_mut().is_some_and(|begun| begun.challenged(security, &random, &cryptogram)) {
                    self.phase = Phase::Prove;
                } else {
                    self.trouble(Trouble::WrongKey, now_ms, out);
                }
            }
            Phase::Prove => {
                self.flight = None;
                let mac = if let Reply::FirstMac(mac) = reply { mac } else { [0; 16] };
                match self.handshake.take().and_then(|begun| begun.confirmed(security, &mac)) {
                    Some(channel) => {
                        self.channel = Some(channel);
                        self.ready(now_ms, out);
                    }
                    None => self.trouble(Trouble::WrongKey, now_ms, out),
                }
            }
            Phase::Ready => self.take_ready(reply, now_ms, out),
        }
    }

    fn take_ready(&mut self, reply: Reply, now_ms: u64, out: &mut Vec<Event>) {
        self.heard_ms = now_ms;
        if self.channel.is_none() && matches!(reply, Reply::Nak(Nak::NEEDS_SECURITY | Nak::NO_SECURITY)) {
            return self.trouble(Trouble::NeedsKey, now_ms, out);
        }
        let Some(flight) = self.flight.take() else { return };
        if matches!(reply, Reply::Nak(_)) {
            self.unknown.insert(flight.command);
        } else {
            self.seeks = 0;
        }
        let outcome = match &reply {
            Reply::Nak(nak) => Outcome::Refused(*nak),
            Reply::Other(_) => Outcome::Refused(Nak(0)),
            _ => Outcome::Done,
        };
        match reply {
            Reply::Card(card) => out.push(Event::Card(card)),
            Reply::Keys(keys) => out.push(Event::Keys(keys)),
            Reply::Local { tamper, power } => out.push(Event::Local { tamper, power }),
            Reply::Inputs(levels) => out.push(Event::Inputs(levels)),
            Reply::Outputs(levels) => out.push(Event::Outputs(levels)),
            _ => {}
        }
        if matches!(out.last(), Some(Event::Card(_) | Event::Keys(_) | Event::Inputs(_))) {
            // There may be more where that came from.
            self.poll_ms = now_ms;
        }
        if let Some(order) = flight.order {
            out.push(Event::Ended { tag: order.tag, outcome });
        }
    }

    /// No answer came in time.
    pub fn silence(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        let sent = match &self.flight {
            Some(flight) if flight.again_ms.is_none() => flight.sent,
            _ => return,
        };
        match self.phase {
            Phase::Ready if now_ms.saturating_sub(self.heard_ms) >= OFFLINE_MS => self.gone(now_ms, out),
            Phase::Ready => self.send_again_at(if sent < 2 { now_ms } else { now_ms.saturating_add(SPREAD_MS) }),
            Phase::Capabilities | Phase::Challenge | Phase::Prove if sent < HANDSHAKE_TRIES => self.send_again_at(now_ms),
            _ => self.gone_while_seeking(now_ms, out),
        }
    }

    /// The port was closed: whatever was under way got no answer, and the reader is found anew.
    pub fn port_closed(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        self.gone(now_ms, out);
        self.phase = Phase::Away { again_ms: now_ms };
        self.seeks = 0;
    }

    fn send_again_at(&mut self, again_ms: u64) {
        if let Some(flight) = &mut self.flight {
            flight.again_ms = Some(again_ms);
        }
    }

    fn gone_while_seeking(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        if self.online && now_ms.saturating_sub(self.heard_ms) < OFFLINE_MS {
            self.flight = None;
            self.phase = Phase::Away { again_ms: now_ms.saturating_add(SEEK_MS.0) };
        } else {
            self.gone(now_ms, out);
        }
    }

    fn gone(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        self.drop_session(out);
        if std::mem::take(&mut self.online) {
            out.push(Event::Offline);
            self.seeks = 0;
        }
        for order in self.orders.drain(..) {
            out.push(Event::Ended { tag: order.tag, outcome: Outcome::NotSent });
        }
        let _ = self.seek(now_ms);
    }

    /// Looks for the reader again after a while that grows.
    fn seek(&mut self, now_ms: u64) -> Next {
        let wait = SEEK_MS.0.saturating_mul(1 << self.seeks.min(10)).min(SEEK_MS.1);
        self.seeks = self.seeks.saturating_add(1);
        let again_ms = now_ms.saturating_add(wait);
        self.flight = None;
        self.phase = Phase::Away { again_ms };
        Next::Wait(again_ms)
    }

    /// The session is lost, the reader is there: find it again at once. `not_done`: the reader has just refused the command under way.
    fn begin_anew(&mut self, now_ms: u64, not_done: bool, out: &mut Vec<Event>) {
        if let Some(order) = self.flight.take_if(|flight| not_done && flight.sent == 1).and_then(|flight| flight.order) {
            self.orders.push_front(order);
        }
        self.drop_session(out);
        // A reader that loses every session is not asked without end.
        self.seeks = self.seeks.saturating_add(1);
        self.phase = Phase::Away { again_ms: if self.seeks > 2 { now_ms.saturating_add(SEEK_MS.0) } else { now_ms } };
    }

    fn trouble(&mut self, trouble: Trouble, now_ms: u64, out: &mut Vec<Event>) {
        self.gone(now_ms, out);
        self.phase = Phase::Away { again_ms: now_ms.saturating_add(TROUBLE_MS) };
        out.push(Event::Trouble(trouble));
    }

    /// Ends what is under way without an answer.
    fn drop_session(&mut self, out: &mut Vec<Event>) {
        if let Some(order) = self.flight.take().and_then(|flight| flight.order) {
            out.push(Event::Ended { tag: order.tag, outcome: Outcome::Unknown });
        }
        self.channel = None;
        self.handshake = None;
    }

    fn ready(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        self.phase = Phase::Ready;
        self.heard_ms = now_ms;
        self.unknown.clear();
        (self.poll_ms, self.inputs_ms, self.local_ms) = (now_ms, now_ms, now_ms);
        if !self.online {
            self.online = true;
            self.seeks = 0;
            for number in self.settings.outputs.iter().rev() {
                let command = Command::Output { number: *number, to: Output::Off };
                self.orders.push_front(Order { tag: 0, command, expires_ms: u64::MAX });
            }
            out.push(Event::Online { identity: self.identity });
        }
    }

    fn drop_expired(&mut self, now_ms: u64, out: &mut Vec<Event>) {
        self.orders.retain(|order| {
            let sendable = order.expires_ms > now_ms;
            if !sendable {
                out.push(Event::Ended { tag: order.tag, outcome: Outcome::Expired });
            }
            sendable
        });
        let stale = |flight: &Flight| flight.again_ms.is_some() && flight.order.as_ref().is_some_and(|order| order.expires_ms <= now_ms);
        if self.flight.as_ref().is_some_and(stale) {
            self.begin_anew(now_ms, false, out);
        }
    }
}
