//! What the broker sends us: to whom it goes, and how it is acknowledged.
//!
//! A message belongs to the connection it came on: its packet id means nothing on the next one. So an acknowledgement names its connection, and one
//! that comes too late is dropped: the broker sends the message again.
//!
//! Never: an acknowledgement that nobody gave; more waiting messages than the channels hold.

use bytes::Bytes;
use rumqttc::{Publish, QoS};
use tokio::sync::{mpsc, watch};

use crate::status::Link;

/// Messages that may wait in one subscription. A full one holds the connection back, so that the broker keeps the rest.
pub const QUEUE: usize = 256;
/// Longer payloads are not kept: the receiver sees their size and no content.
pub const KEEP_PAYLOAD: usize = 64 * 1024;
/// Messages kept for a subscription that is still to come.
const STRAYS: usize = 256;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is durable.
    Acknowledge { connection: u64, receipt: u64 },
    /// It stays with the broker for now.
    Left { connection: u64, receipt: u64 },
    /// The broker is to send it again.
    GivenBack { connection: u64 },
}

/// A message from the broker. Durable first, then [`Incoming::ack`]. Dropped without an [`Incoming::ack`] or [`Incoming::leave`], the message is asked for again: the connection is made anew,
/// for MQTT 3.1.1 knows no other way.
#[derive(Debug)]
pub struct Incoming {
    /// Its topic.
    pub topic: String,
    /// Its payload; empty when it was longer than 64 KiB.
    pub payload: Bytes,
    /// The payload's length as it came.
    pub size: usize,
    /// It was kept by the broker from before we subscribed: a state, never an event.
    pub retain: bool,
    /// The broker sent it before.
    pub dup: bool,
    connection: u64,
    receipt: u64,
    verdicts: Option<mpsc::UnboundedSender<Verdict>>,
}

impl Incoming {
    /// `receipt` is its number on the connection.
    pub(super) fn new(publish: Publish, connection: u64, receipt: u64, verdicts: &mpsc::UnboundedSender<Verdict>) -> Self {
        let size = publish.payload.len();
        // Copied: a slice would keep the whole read buffer alive.
        let payload = if size > KEEP_PAYLOAD { Bytes::new() } else { Bytes::copy_from_slice(&publish.payload) };
        // QoS 0 has no packet id and nobody waits for it.
        let verdicts = (publish.pkid != 0).then(|| verdicts.clone());
        Self { topic: publish.topic, payload, size, retain: publish.retain, dup: publish.dup, connection, receipt, verdicts }
    }

    /// The broker may forget it. Never waits.
    pub fn ack(mut self) {
        if let Some(verdicts) = self.verdicts.take() {
            // Fails when the client has ended: then the broker sends it again.
            let _ = verdicts.send(Verdict::Acknowledge { connection: self.connection, receipt: self.receipt });
        }
    }

    /// Leaves it unacknowledged without asking for it again at once: the broker keeps it until the next connection. For a stop.
    pub fn leave(mut self) {
        if let Some(verdicts) = self.verdicts.take() {
            let _ = verdicts.send(Verdict::Left { connection: self.connection, receipt: self.receipt });
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(verdicts) = self.verdicts.take() {
            let _ = verdicts.send(Verdict::GivenBack { connection: self.connection });
        }
    }
}

/// A subscription. It is renewed at each connection until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Incoming>,
    link: watch::Receiver<Link>,
}

impl Subscription {
    /// The next message; `None` when the client has ended. Cancel safe.
    pub async fn recv(&mut self) -> Option<Incoming> {
        self.messages.recv().await
    }

    /// Up while the broker has granted the subscription on the present connection; down when there is none, or when the broker refused it.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.messages.close();
        while let Ok(message) = self.messages.try_recv() {
            message.leave();
        }
    }
}

#[derive(Debug)]
struct Entry {
    filter: String,
    qos: QoS,
    messages: mpsc::Sender<Incoming>,
    link: watch::Sender<Link>,
    /// The connection on which it was asked for last.
    asked: u64,
}

/// Where a message goes.
#[derive(Debug)]
pub(super) enum Route {
    /// To this subscription; wait if it is full.
    To(mpsc::Sender<Incoming>, Incoming),
    /// It was kept for a subscription to come.
    Kept,
    /// Nobody wants it, and nobody will.
    Unwanted(Incoming),
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Vec<Entry>,
    strays: Vec<Incoming>,
    settled: bool,
}

impl Registry {
    /// Adds a subscription and gives it what came for it already.
    pub fn add(&mut self, filter: &str, qos: QoS) -> Subscription {
        let (messages, receiver) = mpsc::channel(QUEUE);
        let (link, link_receiver) = watch::channel(Link::Down);
        let (fits, rest) = std::mem::take(&mut self.strays).into_iter().partition(|stray: &Incoming| matches(&stray.topic, filter));
        self.strays = rest;
        let fits: Vec<Incoming> = fits;
        for stray in fits {
            // There is room: the channel is new and as long as the list of strays.
            let _ = messages.try_send(stray);
        }
        self.entries.push(Entry { filter: filter.to_owned(), qos, messages, link, asked: 0 });
        Subscription { messages: receiver, link: link_receiver }
    }

    /// Says where a message goes. The first subscription that matches has it.
    pub fn route(&mut self, message: Incoming) -> Route {
        if let Some(entry) = self.entries.iter().find(|entry| matches(&message.topic, &entry.filter)) {
            return Route::To(entry.messages.clone(), message);
        }
        if self.settled || self.strays.len() >= STRAYS {
            return Route::Unwanted(message);
        }
        self.strays.push(message);
        Route::Kept
    }

    /// No subscription is to come any more for what the broker remembers of an earlier run. Returns what was kept in vain.
    pub fn settle(&mut self) -> Vec<Incoming> {
        self.settled = true;
        std::mem::take(&mut self.strays)
    }

    /// Filters not yet asked for on this connection; they count as asked now. Subscriptions whose owner is gone are forgotten, and returned as second.
    pub fn unasked(&mut self, connection: u64) -> (Vec<(String, QoS)>, Vec<String>) {
        let (live, gone): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.entries).into_iter().partition(|entry| !entry.messages.is_closed());
        self.entries = live;
        let mut ask = Vec::new();
        for entry in &mut self.entries {
            if entry.asked != connection {
                entry.asked = connection;
                ask.push((entry.filter.clone(), entry.qos));
            }
        }
        (ask, gone.into_iter().map(|entry| entry.filter).collect())
    }

    /// The broker answered for a filter.
    pub fn answered(&self, filter: &str, granted: bool) {
        for entry in self.entries.iter().filter(|entry| entry.filter == filter) {
            entry.link.send_replace(if granted { Link::Up } else { Link::Down });
        }
    }

    /// The client ends: subscriptions end with it.
    pub fn close(&mut self) {
        self.connection_lost();
        self.entries.clear();
    }

    /// The connection ended. Strays belong to it and go with it.
    pub fn connection_lost(&mut self) {
        self.strays.clear();
        for entry in &self.entries {
            entry.link.send_replace(Link::Down);
        }
    }
}

/// Whether a topic matches a filter (MQTT 3.1.1, section 4.7). Own, for rumqttc's cuts the topic's first byte off and panics where that splits a letter.
#[must_use]
pub(super) fn matches(topic: &str, filter: &str) -> bool {
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let mut topics = topic.split('/');
    for level in filter.split('/') {
        match (level, topics.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(found)) if level == found => {}
            _ => return false,
        }
    }
    topics.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(topic: &str, packet: u16) -> Publish {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, "x");
        publish.pkid = packet;
        publish
    }

    #[test]
    fn topics_match_filters_as_the_standard_says() {
        for (topic, filter, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a", false),
            ("a", "a/b", false),
            ("a/b/c", "a/+/c", true),
            ("a/b/c", "a/#", true),
            ("a", "a/#", true),
            ("a/b", "+", false),
            ("$SYS/x", "#", false),
            ("$SYS/x", "$SYS/#", true),
            ("вход/1", "вход/+", true),
            ("", "+", true),
        ] {
            assert_eq!(matches(topic, filter), expected, "{topic} {filter}");
        }
    }

    #[test]
    fn a_message_is_acknowledged_or_given_back_once() {
        let (verdicts, mut seen) = mpsc::unbounded_channel();
        Incoming::new(publish("t", 5), 2, 1, &verdicts).ack();
        Incoming::new(publish("t", 6), 2, 2, &verdicts).leave();
        drop(Incoming::new(publish("t", 7), 2, 3, &verdicts));
        drop(Incoming::new(publish("t", 0), 2, 4, &verdicts));
        assert_eq!(seen.try_recv(), Ok(Verdict::Acknowledge { connection: 2, receipt: 1 }));
        assert_eq!(seen.try_recv(), Ok(Verdict::Left { connection: 2, receipt: 2 }));
        assert_eq!(seen.try_recv(), Ok(Verdict::GivenBack { connection: 2 }));
        assert!(seen.try_recv().is_err());
    }

    #[test]
    fn what_the_broker_remembers_for_a_subscription_to_come_is_kept_and_the_rest_is_unwanted_once_settled() {
        let (verdicts, _seen) = mpsc::unbounded_channel();
        let mut registry = Registry::default();
        assert!(matches!(registry.route(Incoming::new(publish("gate/1", 1), 1, 1, &verdicts)), Route::Kept));
        assert!(matches!(registry.route(Incoming::new(publish("old/9", 2), 1, 2, &verdicts)), Route::Kept));
        let mut subscription = registry.add("gate/+", QoS::AtLeastOnce);
        assert_eq!(subscription.messages.try_recv().unwrap().topic, "gate/1");
        assert_eq!(registry.settle().into_iter().map(|stray| stray.topic.clone()).collect::<Vec<_>>(), ["old/9"]);
        assert!(matches!(registry.route(Incoming::new(publish("old/9", 3), 1, 3, &verdicts)), Route::Unwanted(_)));
    }

    #[test]
    fn an_overlong_payload_is_not_kept() {
        let (verdicts, _seen) = mpsc::unbounded_channel();
        let mut long = publish("t", 1);
        long.payload = Bytes::from(vec![b'x'; KEEP_PAYLOAD + 1]);
        let incoming = Incoming::new(long, 1, 1, &verdicts);
        assert_eq!((incoming.payload.len(), incoming.size), (0, KEEP_PAYLOAD + 1));
    }
}
