//! The connection loop: connects, serves, waits, and begins anew until told to stop.
//!
//! It is the only one that talks to rumqttc's client; the polling task tells it what happens. It may wait for room in rumqttc's channel, because the
//! polling task goes on beside it and, when it ends, takes the channel with it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{AsyncClient, ClientError, Publish, QoS};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::clock::SharedClock;
use crate::config::MqttConfig;
use crate::domain::Secret;
use crate::status::{Hub, Link};

use super::acks::Acks;
use super::backoff::Backoff;
use super::client::{Connection, Fate, Presence, Shared, Will, expire, locked};
use super::connection::{Event, Setting, Wire};
use super::incoming::{Incoming, Verdict};
use super::outbox::Message;
use super::tls::Tls;

/// How long messages that the broker kept from an earlier run wait for their subscription.
const GRACE: Duration = Duration::from_secs(5);
/// What is still open at a stop has this long.
const DRAIN: Duration = Duration::from_secs(2);
/// How often the connection is looked at when nothing happens.
const TICK: Duration = Duration::from_millis(250);
/// MQTT counts keep-alives in whole seconds, in 16 bits.
const KEEP_ALIVE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);

pub(super) struct Driver {
    config: MqttConfig,
    password: Option<Secret>,
    will: Will,
    hub: Arc<Hub>,
    clock: SharedClock,
    shared: Arc<Shared>,
    verdicts: mpsc::UnboundedSender<Verdict>,
    verdicts_receiver: mpsc::UnboundedReceiver<Verdict>,
    keep_alive: Duration,
    tls: Option<Tls>,
    number: u64,
    backoff: Backoff,
    random: fastrand::Rng,
    reported: Option<String>,
}

enum End {
    Stopped,
    Lost(String),
}

/// What is under way on one connection.
struct Serving {
    /// Subscriptions handed over and not yet numbered.
    asking: VecDeque<String>,
    asked: HashMap<u16, String>,
    acks: Acks,
    /// When the broker last acknowledged something, or last had nothing to acknowledge.
    progress: Instant,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "called once, by `Client::start`")]
    pub fn new(
        config: MqttConfig,
        password: Option<Secret>,
        will: Will,
        hub: Arc<Hub>,
        clock: SharedClock,
        shared: Arc<Shared>,
        verdicts: mpsc::UnboundedSender<Verdict>,
        verdicts_receiver: mpsc::UnboundedReceiver<Verdict>,
    ) -> Self {
        let keep_alive = config.keep_alive.clamp(*KEEP_ALIVE.start(), *KEEP_ALIVE.end());
        Self {
            config,
            password,
            will,
            hub,
            clock,
            shared,
            verdicts,
            verdicts_receiver,
            keep_alive,
            tls: None,
            number: 0,
            backoff: Backoff::default(),
            random: fastrand::Rng::new(),
            reported: None,
        }
    }

    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.hub.mqtt(|state| state.configured = true);
        let settled = Instant::now() + GRACE;
        loop {
            self.number += 1;
            let opened = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                opened = self.open() => opened,
            };
            let (why, lasted) = match opened {
                Err(why) => (why, None),
                Ok(wire) => {
                    let since = Instant::now();
                    match self.serve(wire, &mut stop, settled).await {
                        End::Stopped => break,
                        End::Lost(why) => (why, Some(since.elapsed())),
                    }
                }
            };
            self.went_down(&why);
            let wait = self.backoff.next(lasted, self.random.f64());
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                () = sleep(wait) => {}
            }
        }
        self.shared.connection.send_replace(Connection { number: self.number, up: false });
        locked(&self.shared.registry).close();
        self.hub.mqtt(|state| state.link = Link::Down);
    }

    async fn open(&mut self) -> Result<Wire, String> {
        if self.config.tls && self.tls.is_none() {
            self.tls = Some(Tls::new(self.config.ca.as_deref(), Arc::clone(&self.clock))?);
        }
        let setting = Setting {
            config: &self.config,
            password: self.password.as_ref(),
            tls: self.tls.as_ref(),
            number: self.number,
            will_topic: &self.will.topic,
            will: (self.will.message)(Presence::Lost, self.number),
            keep_alive: self.keep_alive,
            shared: &self.shared,
            verdicts: &self.verdicts,
        };
        let (wire, session_present) = Wire::open(setting).await?;
        tracing::info!(connection = self.number, session_present, "connected to the broker");
        Ok(wire)
    }

    fn went_down(&mut self, why: &str) {
        // Not in the message's own words each time: a broker that is away for a day is told once.
        if self.reported.as_deref() != Some(why) {
            tracing::warn!(connection = self.number, "no connection to the broker: {why}");
            self.reported = Some(why.to_owned());
        }
        self.shared.connection.send_replace(Connection { number: self.number, up: false });
        locked(&self.shared.registry).connection_lost();
        let open = {
            let mut outbox = locked(&self.shared.outbox);
            outbox.connection_lost();
            outbox.open()
        };
        self.hub.mqtt(|state| {
            state.link = Link::Down;
            state.error = Some(why.to_owned());
            state.unacknowledged = open as u64;
        });
    }

    /// Serves one connection until it ends.
    async fn serve(&mut self, mut wire: Wire, stop: &mut watch::Receiver<bool>, settled: Instant) -> End {
        self.came_up();
        let mut serving = Serving { asking: VecDeque::new(), asked: HashMap::new(), acks: Acks::default(), progress: Instant::now() };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining: Option<Instant> = None;
        loop {
            if self.pump(&wire.client, &mut serving).await.is_err() {
                return End::Lost(why_ended(&mut wire).await);
            }
            if let Some(deadline) = draining
                && (locked(&self.shared.outbox).open() == 0 || Instant::now() >= deadline)
            {
                say_goodbye(wire).await;
                return End::Stopped;
            }
            tokio::select! {
                biased;
                () = stopped(stop), if draining.is_none() => {
                    self.farewell();
                    draining = Some(Instant::now() + DRAIN);
                }
                event = wire.events.recv() => match event {
                    None => return End::Lost("the connection's task failed".to_owned()),
                    Some(Event::Ended(why)) => return End::Lost(why),
                    Some(event) => self.happened(event, &wire.client, &mut serving).await,
                },
                Some(verdict) = self.verdicts_receiver.recv() => match verdict {
                    Verdict::Acknowledge { connection, receipt } if connection == self.number => {
                        acknowledge(&wire.client, serving.acks.acknowledged(receipt)).await;
                    }
                    Verdict::Left { connection, receipt } if connection == self.number => {
                        acknowledge(&wire.client, serving.acks.left(receipt)).await;
                    }
                    Verdict::GivenBack { connection } if connection == self.number && draining.is_none() => {
                        return End::Lost("a message was given back and is asked for again".to_owned());
                    }
                    _ => {}
                },
                () = self.shared.wake.notified() => {}
                _ = tick.tick() => {
                    if !locked(&self.shared.outbox).unanswered() {
                        serving.progress = Instant::now();
                    } else if serving.progress.elapsed() > self.keep_alive.mul_f64(1.5) {
                        return End::Lost("the broker acknowledges nothing for 1.5 keep-alives".to_owned());
                    }
                    if Instant::now() >= settled {
                        let strays = locked(&self.shared.registry).settle();
                        for stray in strays {
                            refuse(stray, &wire.client).await;
                        }
                    }
                }
            }
        }
    }

    fn came_up(&mut self) {
        self.reported = None;
        self.shared.connection.send_replace(Connection { number: self.number, up: true });
        let payload = Bytes::from((self.will.message)(Presence::Online, self.number));
        locked(&self.shared.outbox).push_first(Message { topic: self.will.topic.clone(), payload, retain: true });
        self.hub.mqtt(|state| {
            state.link = Link::Up;
            state.error = None;
            state.connects += 1;
        });
    }

    fn farewell(&self) {
        let payload = Bytes::from((self.will.message)(Presence::Stopped, self.number));
        // Refused only when the outbox is full: then the broker says it, by the will's delay.
        let _ = locked(&self.shared.outbox).push(Message { topic: self.will.topic.clone(), payload, retain: true }, None);
    }

    /// Hands over what the window has room for, and asks for new subscriptions.
    async fn pump(&self, client: &AsyncClient, serving: &mut Serving) -> Result<(), ClientError> {
        let (ask, gone) = locked(&self.shared.registry).unasked(self.number);
        for filter in gone {
            client.unsubscribe(filter).await?;
        }
        for (filter, qos) in ask {
            if rumqttc::valid_filter(&filter) {
                client.subscribe(filter.clone(), qos).await?;
                serving.asking.push_back(filter);
            } else {
                self.refused(&filter);
            }
        }
        loop {
            let next = {
                let mut outbox = locked(&self.shared.outbox);
                expire(&mut outbox, Instant::now());
                outbox.hand_over()
            };
            let Some(message) = next else { break };
            client.publish_bytes(message.topic, QoS::AtLeastOnce, message.retain, message.payload).await?;
        }
        let open = locked(&self.shared.outbox).open() as u64;
        self.hub.mqtt(|state| state.unacknowledged = open);
        Ok(())
    }

    async fn happened(&self, event: Event, client: &AsyncClient, serving: &mut Serving) {
        match event {
            Event::Assigned(packet) => locked(&self.shared.outbox).assigned(packet),
            Event::Acknowledged(packet) => {
                serving.progress = Instant::now();
                let waiters = locked(&self.shared.outbox).acknowledged(packet);
                for waiter in waiters {
                    // Whoever waited may have given up.
                    let _ = waiter.send(Fate::Acknowledged);
                }
            }
            Event::Asked(packet) => {
                if let Some(filter) = serving.asking.pop_front() {
                    serving.asked.insert(packet, filter);
                }
            }
            Event::Answered(packet, granted) => {
                if let Some(filter) = serving.asked.remove(&packet) {
                    if granted {
                        locked(&self.shared.registry).answered(&filter, true);
                    } else {
                        self.refused(&filter);
                    }
                }
            }
            Event::Received(receipt, packet) => acknowledge(client, serving.acks.received(receipt, packet)).await,
            Event::Unwanted(message) => refuse(message, client).await,
            Event::Accepted { .. } | Event::Ended(_) => {}
        }
    }

    fn refused(&self, filter: &str) {
        tracing::warn!("the broker refuses the subscription to {filter}");
        locked(&self.shared.registry).answered(filter, false);
        self.hub.mqtt(|state| state.error = Some(format!("the broker refuses the subscription to {filter}")));
    }
}

/// Acknowledges messages. When that fails the connection is over, which its task tells.
async fn acknowledge(client: &AsyncClient, packets: Vec<u16>) {
    for packet in packets {
        let mut publish = Publish::new("", QoS::AtLeastOnce, Bytes::new());
        publish.pkid = packet;
        let _ = client.ack(&publish).await;
    }
}

/// A message of a subscription that an earlier run had and this one has not: the broker is told to stop, and may forget it.
async fn refuse(message: Incoming, client: &AsyncClient) {
    tracing::warn!("a message on {}, which no gate reads: dropped, and unsubscribed", message.topic);
    let _ = client.unsubscribe(message.topic.clone()).await;
    message.ack();
}

/// The reason that the connection's task gives for its end.
async fn why_ended(wire: &mut Wire) -> String {
    let reason = async {
        while let Some(event) = wire.events.recv().await {
            if let Event::Ended(why) = event {
                return why;
            }
        }
        "the connection's task failed".to_owned()
    };
    timeout(DRAIN, reason).await.unwrap_or_else(|_| "the connection ended".to_owned())
}

/// Disconnects, so that the broker does not publish the will.
async fn say_goodbye(mut wire: Wire) {
    if wire.client.disconnect().await.is_ok() {
        why_ended(&mut wire).await;
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone will never say stop, but its owner is gone, too.
    let _ = stop.wait_for(|stop| *stop).await;
}
