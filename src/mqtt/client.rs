//! What others hold of the client: a handle to publish and subscribe with, cheap to clone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rumqttc::QoS;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::clock::SharedClock;
use crate::config::MqttConfig;
use crate::domain::Secret;
use crate::status::Hub;

use super::driver::Driver;
use super::incoming::{Registry, Subscription};
use super::outbox::{Full, Message, Outbox};

/// Longest payload we send, bytes.
pub const MAX_PAYLOAD: usize = 256 * 1024;
const MAX_TOPIC: usize = 1_024;

/// What the box says of itself on its `state` topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is connected: the birth, published first on each connection.
    Online,
    /// The broker says it in our stead: the will.
    Lost,
    /// It stopped as told.
    Stopped,
}

/// How the `state` topic is written: birth and will are one retained topic, and both name the connection they belong to, so that a will that comes late
/// is known as one of a connection that is no more.
#[derive(Clone)]
pub struct Will {
    /// The topic.
    pub topic: String,
    /// The message for the connection with this number. Numbers grow with each attempt to connect, from 1 at the process's start.
    pub message: Arc<dyn Fn(Presence, u64) -> Vec<u8> + Send + Sync>,
}

/// The present connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Its number; that of the last one while there is none.
    pub number: u64,
    /// The broker has accepted it and it has not ended.
    pub up: bool,
}

/// Why a message was not taken into the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker has been away for too long, or is too slow: drop the message or keep it elsewhere.
    #[error(transparent)]
    Full(#[from] Full),
    /// The message can never be sent: an empty or over-long topic, one with a wildcard, or more than 256 KiB.
    #[error("not a message that MQTT can carry: the topic is empty, longer than 1024 bytes or has a wildcard, or the payload is over 256 KiB")]
    Invalid,
    /// The client has ended.
    #[error("the MQTT client has ended")]
    Ended,
}

/// Why an order was not delivered in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDelivered {
    /// It was not taken: it has certainly not left.
    #[error(transparent)]
    NotTaken(#[from] PublishError),
    /// Its time was over before it could be handed over: it has certainly not left.
    #[error("there was no connection to the broker in time")]
    Withdrawn,
    /// It was handed over, and the broker has not acknowledged it in time: it may have arrived. It is not sent again.
    #[error("the broker has not acknowledged it in time")]
    Unknown,
}

/// What became of a message that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The broker has it.
    Acknowledged,
    /// Its time was over; `left`: the broker may have it.
    Withdrawn { left: bool },
}

pub(super) type Waiter = oneshot::Sender<Fate>;

/// Withdraws what has outlived its time, and tells who waited for it.
pub(super) fn expire(outbox: &mut Outbox<Waiter>, now: Instant) {
    for expired in outbox.expire(now) {
        for waiter in expired.waiters {
            // Whoever waited may have given up.
            let _ = waiter.send(Fate::Withdrawn { left: expired.left });
        }
    }
}

pub(super) struct Shared {
    pub outbox: Mutex<Outbox<Waiter>>,
    pub registry: Mutex<Registry>,
    pub wake: Notify,
    pub connection: watch::Sender<Connection>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Publishes and subscribes. Dropping it ends nothing: the client ends by its stop signal.
#[derive(Clone)]
pub struct ClientHandle {
    shared: Arc<Shared>,
    ended: watch::Receiver<bool>,
}

/// The client.
pub struct Client;

impl Client {
    /// Starts the connection loop. It ends after `stop` turns true: it publishes what is still open and that the box stopped, both for a second at most,
    /// and disconnects.
    #[must_use]
    pub fn start(
        config: &MqttConfig,
        password: Option<Secret>,
        will: Will,
        hub: Arc<Hub>,
        clock: SharedClock,
        stop: watch::Receiver<bool>,
    ) -> (ClientHandle, JoinHandle<()>) {
        let shared = Arc::new(Shared {
            outbox: Mutex::new(Outbox::default()),
            registry: Mutex::new(Registry::default()),
            wake: Notify::new(),
            connection: watch::Sender::new(Connection::default()),
        });
        let (verdicts, verdicts_receiver) = mpsc::unbounded_channel();
        let (ended_sender, ended) = watch::channel(false);
        let driver = Driver::new(config.clone(), password, will, hub, clock, Arc::clone(&shared), verdicts, verdicts_receiver);
        let task = tokio::spawn(async move {
            driver.run(stop).await;
            ended_sender.send_replace(true);
        });
        (ClientHandle { shared, ended }, task)
    }
}

impl ClientHandle {
    fn message(&self, topic: &str, payload: Bytes, retain: bool) -> Result<Message, PublishError> {
        if payload.len() > MAX_PAYLOAD || topic.is_empty() || topic.len() > MAX_TOPIC || topic.contains(['+', '#', '\0']) {
            return Err(PublishError::Invalid);
        }
        if *self.ended.borrow() {
            return Err(PublishError::Ended);
        }
        Ok(Message { topic: topic.to_owned(), payload, retain })
    }

    fn push(&self, topic: &str, payload: impl Into<Bytes>, retain: bool, waiter: Option<Waiter>) -> Result<(), PublishError> {
        let message = self.message(topic, payload.into(), retain)?;
        locked(&self.shared.outbox).push(message, waiter)?;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Queues a message at QoS 1. Of retained ones that wait with one topic, the newest wins. It is kept until the broker has it, or the process ends.
    ///
    /// # Errors
    /// When it is not a message MQTT can carry, when the outbox is full, and when the client has ended.
    pub fn publish(&self, topic: &str, payload: impl Into<Bytes>, retain: bool) -> Result<(), PublishError> {
        self.push(topic, payload, retain, None)
    }

    /// Publishes and waits for the PUBACK, over as many connections as it takes.
    ///
    /// # Errors
    /// As [`ClientHandle::publish`]; `Ended` when the client ended before the PUBACK: the message may have arrived or not.
    pub async fn publish_and_wait(&self, topic: &str, payload: impl Into<Bytes>, retain: bool) -> Result<(), PublishError> {
        let (waiter, done) = oneshot::channel();
        self.push(topic, payload, retain, Some(waiter))?;
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            done = done => done.map(drop).map_err(|_| PublishError::Ended),
            _ = ended.wait_for(|ended| *ended) => Err(PublishError::Ended),
        }
    }

    /// Publishes an order, which is worth nothing after `until`: QoS 1, never retained, and withdrawn when it could not be handed over by then. One that was
    /// handed over on a connection that broke is sent again only while its time lasts.
    ///
    /// # Errors
    /// Why it was not delivered, and with it whether it may have been.
    pub async fn publish_until(&self, topic: &str, payload: impl Into<Bytes>, until: Instant) -> Result<(), NotDelivered> {
        let (waiter, mut fate) = oneshot::channel();
        let message = self.message(topic, payload.into(), false)?;
        locked(&self.shared.outbox).push_until(message, waiter, until).map_err(PublishError::from)?;
        self.shared.wake.notify_one();
        let mut ended = self.ended.clone();
        let known = tokio::select! {
            biased;
            fate = &mut fate => fate.ok(),
            _ = ended.wait_for(|ended| *ended) => None,
            () = sleep_until(until) => {
                expire(&mut locked(&self.shared.outbox), Instant::now());
                fate.try_recv().ok()
            }
        };
        match known {
            Some(Fate::Acknowledged) => Ok(()),
            Some(Fate::Withdrawn { left: false }) => Err(NotDelivered::Withdrawn),
            Some(Fate::Withdrawn { left: true }) | None => Err(NotDelivered::Unknown),
        }
    }

    /// Subscribes at QoS 0 to states, of which only the present one counts: the broker keeps none of them for us while we are away, and what was true then is
    /// not heard late.
    #[must_use]
    pub fn watch(&self, filter: &str) -> Subscription {
        let subscription = locked(&self.shared.registry).add(filter, QoS::AtMostOnce);
        self.shared.wake.notify_one();
        subscription
    }

    /// Subscribes at QoS 1. Where filters overlap, the first subscription that matches has the message.
    #[must_use]
    pub fn subscribe(&self, filter: &str) -> Subscription {
        let subscription = locked(&self.shared.registry).add(filter, QoS::AtLeastOnce);
        self.shared.wake.notify_one();
        subscription
    }

    /// The present connection, to watch.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.shared.connection.subscribe()
    }
}
