//! A validator that publishes over MQTT: one JSON message a presentation, QoS 1, kept until its PUBACK.
//!
//! ```json
//! {"v":1,"id":"0199...","kind":"passed","medium":{"kind":"card_uid","value":"04A1B2C3"},"dir":"in","ts":"2026-11-22T10:15:00Z"}
//! ```
//! When the connection breaks, every message without its PUBACK is published again, with the id that it had. Nothing else is resent: what the broker has
//! acknowledged is no longer the device's.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Messages on their way to the broker at one time.
const WINDOW: usize = 32;
const RECONNECT: Duration = Duration::from_millis(200);

/// A device that publishes to one topic. Dropping it stops it.
#[derive(Debug)]
pub struct Validator {
    messages: mpsc::UnboundedSender<Message>,
    worker: JoinHandle<()>,
}

/// A message that the broker has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Acknowledged {
    /// The payload's id.
    pub id: String,
    /// How often it was published.
    pub sendings: u32,
    /// From handing it over to the PUBACK, milliseconds.
    pub took_ms: u64,
}

/// The device was stopped before the broker had the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the validator was stopped before the broker acknowledged")]
pub struct Lost;

#[derive(Debug)]
struct Message {
    id: String,
    payload: Vec<u8>,
    since: Instant,
    sendings: u32,
    done: oneshot::Sender<Acknowledged>,
}

impl Validator {
    /// Publishes to `topic` of the broker at `host:port` as `client`. Connects by itself, and again whenever it has to.
    #[must_use]
    pub fn start(host: &str, port: u16, client: &str, topic: &str) -> Self {
        let (messages, inbox) = mpsc::unbounded_channel();
        let mut options = MqttOptions::new(client, host, port);
        options.set_keep_alive(Duration::from_secs(10)).set_clean_session(true);
        let worker = Worker { options, topic: topic.to_owned(), inbox, waiting: VecDeque::new(), submitted: VecDeque::new(), flying: HashMap::new() };
        Self { messages, worker: tokio::spawn(worker.run()) }
    }

    /// A presentation, as the device reports it: `kind` is `card_uid`, `qr`, `barcode`, `pin` or `ticket_no`.
    #[must_use]
    pub fn passed(kind: &str, value: &str) -> Value {
        json!({
            "v": 1,
            "id": uuid::Uuid::now_v7().to_string(),
            "kind": "passed",
            "medium": { "kind": kind, "value": value },
            "dir": "in",
            "ts": jiff::Timestamp::now().to_string(),
        })
    }

    /// Publishes a message. The future ends when the broker has it; the message is under way also when the future is dropped.
    pub fn publish(&self, message: &Value) -> impl Future<Output = Result<Acknowledged, Lost>> + Send + use<> {
        let (done, acknowledged) = oneshot::channel();
        let id = message.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)).unwrap_or_default();
        let message = Message { id, payload: message.to_string().into_bytes(), since: Instant::now(), sendings: 0, done };
        // A worker that is gone drops the message, and with it the sender that the future waits for.
        drop(self.messages.send(message));
        async move { acknowledged.await.map_err(|_| Lost) }
    }
}

impl Drop for Validator {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

struct Worker {
    options: MqttOptions,
    topic: String,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// To be handed to the client.
    waiting: VecDeque<Message>,
    /// Handed to the client, in order; no packet id yet.
    submitted: VecDeque<Message>,
    /// Published, without their PUBACK, by packet id.
    flying: HashMap<u16, Message>,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let (client, events) = AsyncClient::new(self.options.clone(), WINDOW * 2);
            let (tell, mut told) = mpsc::unbounded_channel();
            // Polling has a task of its own: it must never wait for the one that publishes.
            let poller = tokio::spawn(poll(events, tell));
            let goes_on = self.connected(&client, &mut told).await;
            poller.abort();
            if !goes_on {
                return;
            }
            self.take_back();
            sleep(RECONNECT).await;
        }
    }

    /// Works until the connection breaks (`true`) or nobody will publish any more and all is acknowledged.
    async fn connected(&mut self, client: &AsyncClient, told: &mut mpsc::UnboundedReceiver<Event>) -> bool {
        let mut up = false;
        let mut open = true;
        loop {
            while up && self.submitted.len() + self.flying.len() < WINDOW {
                let Some(mut message) = self.waiting.pop_front() else { break };
                message.sendings += 1;
                if client.try_publish(self.topic.as_str(), QoS::AtLeastOnce, false, message.payload.clone()).is_err() {
                    self.waiting.push_front(message);
                    break;
                }
                self.submitted.push_back(message);
            }
            if !open && self.waiting.is_empty() && self.submitted.is_empty() && self.flying.is_empty() {
                return false;
            }
            tokio::select! {
                message = self.inbox.recv(), if open => match message {
                    Some(message) => self.waiting.push_back(message),
                    None => open = false,
                },
                event = told.recv() => match event {
                    None => return true,
                    Some(Event::Incoming(Packet::ConnAck(_))) => up = true,
                    Some(Event::Outgoing(Outgoing::Publish(id))) => {
                        if let Some(message) = self.submitted.pop_front() {
                            self.flying.insert(id, message);
                        }
                    }
                    Some(Event::Incoming(Packet::PubAck(ack))) => self.acknowledged(ack.pkid),
                    Some(_) => {}
                },
            }
        }
    }

    fn acknowledged(&mut self, packet: u16) {
        if let Some(message) = self.flying.remove(&packet) {
            let took_ms = u64::try_from(message.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            // Whoever published may not want to know.
            drop(message.done.send(Acknowledged { id: message.id, sendings: message.sendings, took_ms }));
        }
    }

    /// What the broker did not acknowledge is to be published again, oldest first.
    fn take_back(&mut self) {
        let mut open: Vec<Message> = self.flying.drain().map(|(_, message)| message).chain(self.submitted.drain(..)).collect();
        open.sort_by_key(|message| message.since);
        for message in open.into_iter().rev() {
            self.waiting.push_front(message);
        }
    }
}

async fn poll(mut events: EventLoop, tell: mpsc::UnboundedSender<Event>) {
    while let Ok(event) = events.poll().await {
        if tell.send(event).is_err() {
            return;
        }
    }
}
