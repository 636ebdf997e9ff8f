//! Gates of one venue tell each other whom they let in, so that one ticket does not enter twice while Lime is away and the local network is up.
//!
//! | topic | said by | retained |
//! |---|---|---|
//! | `limegate/1/<venue>/<gateway>/uses` | each gateway with the venue's key | never |
//!
//! A message says that a pass was used, was settled at Lime, or was released because nobody went through. Medium and entitlement are hashed with the venue's
//! key, which also seals the message: without it nothing is sent and nothing believed. QoS 1; a message says until when it counts. After a start a gateway
//! says again what it knows of its own that is not settled, so that what a crash swallowed is said after all; one pass counts once however often it is heard.
//!
//! When the local network is down, both gates let the guest in. Both passes are reported, Lime flags the second, and nothing is taken back.
//!
//! Never: a retained message; a word about a pass of another gateway than the one that made it; a neighbour's word over what this box knows of its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::config::Site;
use crate::domain::Sync;
use crate::mqtt::{ClientHandle, Incoming};

use super::Snapshot;
use super::media::{Hash, MediaKey};
use super::uses::{NEIGHBOURS_MS, Use};

/// Words that may wait for this task.
pub const QUEUE: usize = 1_024;

/// Version of the message.
const V: u8 = 1;

/// How far two boxes' clocks may differ before an expiry is taken at its word, milliseconds.
const SKEW_MS: i64 = 5 * 60_000;

/// What neighbours are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A guest was let in.
    Used {
        /// The pass.
        pass: Uuid,
        /// What it used.
        used: Use,
    },
    /// Lime has it.
    Settled(Uuid),
    /// Nobody went through.
    Released(Uuid),
}

impl Said {
    /// A use.
    #[must_use]
    pub fn used(pass: Uuid, used: &Use) -> Self {
        Self::Used { pass, used: used.clone() }
    }
}

/// Where it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Ours.
    pub own: String,
    /// All gateways' of the venue.
    pub all: String,
}

impl Topics {
    /// The topics of a box.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        Self { own: format!("limegate/1/{}/{}/uses", site.venue, site.id), all: format!("limegate/1/{}/+/uses", site.venue) }
    }
}

#[derive(Serialize, Deserialize)]
struct Message {
    v: u8,
    /// The pass: one counts once.
    id: Uuid,
    /// `used`, `settled`, `released`.
    what: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    medium: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    right: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_point: Option<String>,
    /// How long before the message it was, milliseconds.
    #[serde(default)]
    ago_ms: u64,
    /// Counts until then, milliseconds since 1970 UTC; none: the box that says it has no clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ms: Option<i64>,
    /// The seal over all of this and the topic.
    #[serde(default)]
    seal: String,
}

impl Message {
    fn sealed(mut self, topic: &str, key: &MediaKey) -> Self {
        self.seal = self.seal_of(topic, key);
        self
    }

    /// The topic is in it: nobody says it in another's name.
    fn seal_of(&self, topic: &str, key: &MediaKey) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let parts = [
            topic.to_owned(),
            self.v.to_string(),
            self.id.to_string(),
            self.what.clone(),
            text(&self.medium),
            text(&self.right),
            number(self.amount),
            text(&self.service_point),
            self.ago_ms.to_string(),
            number(self.expires_ms),
        ];
        key.seal(&parts.map(|part| format!("{}:{part}", part.len())).concat()).to_hex()
    }
}

/// Why a message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Not of this version's form.
    Form,
    /// Sealed with another key, or changed.
    Seal,
    /// Kept by the broker, or too old.
    Expired,
    /// We said it.
    Own,
}

/// What a gateway says, as bytes. `wall_ms` only where the clock is synchronised.
#[must_use]
pub fn write(said: &Said, topic: &str, key: &MediaKey, boot_ms: u64, wall_ms: Option<i64>) -> Vec<u8> {
    let (id, what) = match said {
        Said::Used { pass, .. } => (*pass, "used"),
        Said::Settled(pass) => (*pass, "settled"),
        Said::Released(pass) => (*pass, "released"),
    };
    let used = if let Said::Used { used, .. } = said { Some(used) } else { None };
    let ago_ms = used.map_or(0, |used| boot_ms.saturating_sub(used.boot_ms));
    let left = i64::try_from(NEIGHBOURS_MS.saturating_sub(ago_ms)).unwrap_or(0);
    let message = Message {
        v: V,
        id,
        what: what.to_owned(),
        medium: used.map(|used| used.medium.to_hex()),
        right: used.and_then(|used| used.right).map(Hash::to_hex),
        amount: used.and_then(|used| used.amount),
        service_point: used.map(|used| used.service_point.clone()),
        ago_ms,
        expires_ms: wall_ms.map(|now| now.saturating_add(left)),
        seal: String::new(),
    };
    serde_json::to_vec(&message.sealed(topic, key)).unwrap_or_default()
}

/// Reads what a neighbour says. `wall_ms` only where the clock is synchronised.
///
/// # Errors
/// Why it is not believed.
pub fn read(payload: &[u8], topic: &str, own: &str, key: &MediaKey, boot_ms: u64, wall_ms: Option<i64>) -> Result<Said, Doubt> {
    if topic == own {
        return Err(Doubt::Own);
    }
    let message: Message = serde_json::from_slice(payload).map_err(|_| Doubt::Form)?;
    if message.v != V {
        return Err(Doubt::Form);
    }
    if message.seal_of(topic, key) != message.seal {
        return Err(Doubt::Seal);
    }
    if let (Some(now), Some(expires)) = (wall_ms, message.expires_ms)
        && now > expires.saturating_add(SKEW_MS)
    {
        return Err(Doubt::Expired);
    }
    match message.what.as_str() {
        "settled" => Ok(Said::Settled(message.id)),
        "released" => Ok(Said::Released(message.id)),
        "used" => {
            let medium = message.medium.as_deref().and_then(Hash::from_hex).ok_or(Doubt::Form)?;
            let right = message.right.as_deref().map(|hex| Hash::from_hex(hex).ok_or(Doubt::Form)).transpose()?;
            let service_point = message.service_point.ok_or(Doubt::Form)?;
            let used = Use {
                medium,
                right,
                amount: message.amount,
                service_point,
                boot_ms: boot_ms.saturating_sub(message.ago_ms),
                wall_ms: None,
                settled_ms: None,
                neighbour: true,
            };
            Ok(Said::Used { pass: message.id, used })
        }
        _ => Err(Doubt::Form),
    }
}

impl Snapshot {
    /// Takes a neighbour's word.
    pub fn heard(&self, said: Said) {
        let now = self.clock.boot_ms();
        let mut inner = self.inner();
        match said {
            Said::Used { pass, used } => drop(inner.uses.add(pass, used)),
            // Of our own passes only we know.
            Said::Settled(pass) | Said::Released(pass) if inner.uses.own(pass).is_some() => {}
            Said::Settled(pass) => drop(inner.uses.settled(pass, now)),
            Said::Released(pass) => drop(inner.uses.released(pass)),
        }
    }

    fn unsettled(&self) -> Vec<Said> {
        self.inner().uses.open().map(|(pass, used)| Said::used(pass, used)).collect()
    }
}

/// Says and hears until `stop` turns true.
pub async fn run(
    snapshot: Arc<Snapshot>,
    topics: Topics,
    client: ClientHandle,
    mut said: mpsc::Receiver<Said>,
    clock: SharedClock,
    mut stop: watch::Receiver<bool>,
) {
    let key = snapshot.key.clone();
    let mut heard = client.subscribe(&topics.all);
    for own in snapshot.unsettled() {
        publish(&client, &topics.own, &own, &key, &clock);
    }
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            own = said.recv() => {
                let Some(own) = own else { return };
                publish(&client, &topics.own, &own, &key, &clock);
            }
            message = heard.recv() => {
                let Some(message) = message else { return };
                take(&snapshot, &topics, &key, &clock, message);
            }
        }
    }
}

fn take(snapshot: &Snapshot, topics: &Topics, key: &MediaKey, clock: &SharedClock, message: Incoming) {
    let now = clock.stamp();
    let wall = (now.sync == Sync::Synced).then_some(now.wall_ms);
    // A retained message is none of ours.
    let read = if message.retain { Err(Doubt::Expired) } else { read(&message.payload, &message.topic, &topics.own, key, now.boot_ms, wall) };
    match read {
        Ok(said) => snapshot.heard(said),
        Err(Doubt::Own) => {}
        Err(doubt) => tracing::warn!(?doubt, topic = message.topic, "a neighbour's word about a pass is not believed"),
    }
    // Kept in memory only: what is lost in a crash here is said again by its own gateway when that starts, and settled by Lime.
    message.ack();
}

fn publish(client: &ClientHandle, topic: &str, said: &Said, key: &MediaKey, clock: &SharedClock) {
    let now = clock.stamp();
    let wall = (now.sync == Sync::Synced).then_some(now.wall_ms);
    if let Err(error) = client.publish(topic, write(said, topic, key, now.boot_ms, wall), false) {
        tracing::warn!(%error, "the neighbouring gates cannot be told of a pass");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    const TOPIC: &str = "limegate/1/v/a/uses";

    fn key() -> MediaKey {
        MediaKey::of_venue(&Secret::new("k".repeat(32)))
    }

    fn said() -> Said {
        let (medium, right) = (Hash([1; 16]), Some(Hash([2; 16])));
        let used =
            Use { medium, right, amount: Some(5), service_point: "sp-1".into(), boot_ms: 900, wall_ms: None, settled_ms: None, neighbour: true };
        Said::Used { pass: Uuid::from_u128(7), used }
    }

    #[test]
    fn what_is_said_is_heard_with_its_age_on_the_hearers_boot_time() {
        let bytes = write(&said(), TOPIC, &key(), 1_000, Some(50_000));
        let heard = read(&bytes, TOPIC, "limegate/1/v/b/uses", &key(), 40_100, Some(50_001)).unwrap();
        let Said::Used { pass, used } = heard else { panic!("{heard:?}") };
        assert_eq!((pass, used.boot_ms, used.amount, used.neighbour), (Uuid::from_u128(7), 40_000, Some(5), true));
        for other in [Said::Settled(Uuid::from_u128(7)), Said::Released(Uuid::from_u128(7))] {
            assert_eq!(read(&write(&other, TOPIC, &key(), 1, None), TOPIC, "b", &key(), 1, None), Ok(other));
        }
    }

    #[test]
    fn what_was_changed_said_in_anothers_name_or_too_late_is_not_believed() {
        let bytes = write(&said(), TOPIC, &key(), 1_000, Some(50_000));
        let hear = |bytes: &[u8], topic: &str, key: &MediaKey, wall| read(bytes, topic, "own", key, 1_000, wall);
        assert_eq!(hear(&bytes, "limegate/1/v/c/uses", &key(), None), Err(Doubt::Seal));
        assert_eq!(hear(&bytes, TOPIC, &MediaKey::of_venue(&Secret::new("x".repeat(32))), None), Err(Doubt::Seal));
        let changed = String::from_utf8(bytes.clone()).unwrap().replace("sp-1", "sp-2");
        assert_eq!(hear(changed.as_bytes(), TOPIC, &key(), None), Err(Doubt::Seal));
        assert_eq!(hear(b"{}", TOPIC, &key(), None), Err(Doubt::Form));
        assert_eq!(hear(&bytes, "own", &key(), None), Err(Doubt::Own));
        let day = i64::try_from(NEIGHBOURS_MS).unwrap();
        assert!(hear(&bytes, TOPIC, &key(), Some(50_000 + day)).is_ok());
        assert_eq!(hear(&bytes, TOPIC, &key(), Some(50_000 + day + SKEW_MS)), Err(Doubt::Expired));
        assert!(hear(&bytes, TOPIC, &key(), None).is_ok(), "a box without a clock believes it");
    }

    #[test]
    fn a_message_names_nobody() {
        let text = String::from_utf8(write(&said(), TOPIC, &key(), 1_000, None)).unwrap();
        assert!(!text.contains("AC11") && text.contains(&"01".repeat(16)), "{text}");
    }
}
