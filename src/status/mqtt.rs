//! The box's `state` and `health` on the broker, for whoever looks after many boxes: retained, QoS 1, JSON with `"v": 1`.
//!
//! `state` says whether the box is there; the broker itself says `offline` in its stead (the will). Each message names the session (starts of the gateway)
//! and the connection in it; a message with older numbers than one seen before is out of date, and the box itself puts right an old will that comes late.
//! `health` is the numbers. `docs/mqtt.md` describes both.
//!
//! Never: a name, phone, card, token, or free text that could hold one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::clock::SharedClock;
use crate::config::Site;
use crate::domain::{Stamp, Sync};
use crate::mqtt::{ClientHandle, Connection, Incoming, Presence, Will};

use super::{Hub, Link, Snapshot};

/// Changes are looked for this often, so that what flickers is told once.
const LOOK: Duration = Duration::from_secs(1);
/// A change of numbers alone is told this much later than the last message.
const NUMBERS: Duration = Duration::from_secs(5);
/// And without any change.
const ALWAYS: Duration = Duration::from_secs(30);

/// Where they are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// `limegate/1/<venue>/<gateway>/state`
    pub state: String,
    /// `limegate/1/<venue>/<gateway>/health`
    pub health: String,
}

impl Topics {
    /// The topics of a box.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        let base = format!("limegate/1/{}/{}", site.venue, site.id);
        Self { state: format!("{base}/state"), health: format!("{base}/health") }
    }
}

/// The worst of what is wrong, as `state` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Ok,
    /// Something that a person should look at some day.
    Note,
    /// Deliveries are late.
    Amber,
    /// A gate does not work, or data is at risk.
    Red,
}

impl Level {
    /// `ok`, `note`, `amber`, `red`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }

    /// By effect on guests: a gate, the journal, deliveries, the rest.
    #[must_use]
    pub fn of(now: &Snapshot) -> Self {
        if now.journal.failing.is_some() || now.gates.values().any(|gate| gate.link == Link::Down) {
            Self::Red
        } else if now.destinations.values().any(|destination| destination.link == Link::Down) {
            Self::Amber
        } else if now.destinations.values().any(|destination| destination.refused > 0) || now.journal.quarantined > 0 {
            Self::Note
        } else {
            Self::Ok
        }
    }
}

/// The message on `state`.
#[must_use]
pub fn state(presence: Presence, now: &Snapshot, connection: u64) -> Value {
    let (state, level) = match presence {
        Presence::Online => ("online", Some(Level::of(now).name())),
        Presence::Lost => ("offline", None),
        Presence::Stopped => ("stopped", None),
    };
    json!({ "v": 1, "state": state, "session": now.session, "connection": connection, "version": now.version, "level": level })
}

/// The message on `health`. Ages are seconds before `at`; `at` is as good as `clock.synced` says.
#[must_use]
pub fn health(now: &Snapshot, stamp: &Stamp) -> Value {
    let age = |then: Option<u64>| then.map(|then| stamp.boot_ms.saturating_sub(then) / 1000);
    let gates: serde_json::Map<String, Value> = now
        .gates
        .iter()
        .map(|(id, gate)| {
            let value = json!({
                "link": gate.link, "trouble": gate.error.is_some(), "passes": gate.passes, "bad_frames": gate.bad_frames,
                "last_byte_s": age(gate.last_byte_boot_ms), "last_pass_s": age(gate.last_pass_boot_ms),
            });
            (id.clone(), value)
        })
        .collect();
    let destinations: serde_json::Map<String, Value> = now
        .destinations
        .iter()
        .map(|(name, to)| {
            let value = json!({
                "kind": to.kind, "link": to.link, "error": to.error, "down_s": age(to.down_since_boot_ms), "waiting": to.waiting,
                "oldest_s": to.oldest_ms.map(|ms| ms / 1000), "delivered": to.delivered, "refused": to.refused, "doubtful": to.doubtful,
                "last_success_s": age(to.last_success_boot_ms), "attempts": to.attempts, "requests": to.requests,
            });
            (name.clone(), value)
        })
        .collect();
    json!({
        "v": 1,
        "session": now.session,
        "version": now.version,
        "at": jiff::Timestamp::from_millisecond(stamp.wall_ms).ok().map(|at| at.to_string()),
        "up_s": age(Some(now.started_boot_ms)),
        "passes": now.passes,
        "gates": gates,
        "destinations": destinations,
        "journal": {
            "bytes": now.journal.bytes, "budget_bytes": now.journal.budget_bytes, "segments": now.journal.segments, "last_seq": now.journal.last_seq,
            "oldest_unsettled": now.journal.oldest_unsettled, "quarantined": now.journal.quarantined, "failing": now.journal.failing.is_some(),
        },
        "clock": { "synced": stamp.sync == Sync::Synced, "anchored": now.clock.anchored },
        "mqtt": { "connects": now.mqtt.connects, "unacknowledged": now.mqtt.unacknowledged },
    })
}

/// What of `health` is told within a second of its change.
#[derive(Clone, Debug, PartialEq)]
struct Essence {
    gates: Vec<(Link, bool)>,
    destinations: Vec<(Link, Option<String>, u64, bool)>,
    failing: bool,
    quarantined: u64,
    synced: bool,
}

impl Essence {
    fn of(now: &Snapshot, stamp: &Stamp) -> Self {
        Self {
            gates: now.gates.values().map(|gate| (gate.link, gate.error.is_some())).collect(),
            destinations: now.destinations.values().map(|to| (to.link, to.error.clone(), to.refused, to.doubtful > 0)).collect(),
            failing: now.journal.failing.is_some(),
            quarantined: now.journal.quarantined,
            synced: stamp.sync == Sync::Synced,
        }
    }
}

/// What changes of the numbers without an age in it.
fn numbers(now: &Snapshot) -> impl PartialEq + use<> {
    let gates: Vec<_> = now.gates.values().map(|gate| (gate.passes, gate.bad_frames)).collect();
    let destinations: Vec<_> = now.destinations.values().map(|to| (to.waiting, to.delivered, to.doubtful)).collect();
    (gates, destinations, now.passes)
}

/// The will that goes with these topics: what the client says of the box when it comes, when it goes, and when it is gone.
#[must_use]
pub fn will(topics: &Topics, hub: Arc<Hub>) -> Will {
    let message = move |presence, connection| state(presence, &hub.snapshot(), connection).to_string().into_bytes();
    Will { topic: topics.state.clone(), message: Arc::new(message) }
}

/// Publishes until told to stop. The birth and the farewell are the client's.
pub async fn run(topics: Topics, client: ClientHandle, hub: Arc<Hub>, clock: SharedClock, mut stop: watch::Receiver<bool>) {
    let connection = client.connection();
    let mut own = client.subscribe(&topics.state);
    let mut publisher = Publisher { topics, client, hub, clock };
    let mut told_state = None;
    let mut told: Option<(Essence, _, Instant)> = None;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            message = own.recv() => {
                let Some(message) = message else { return };
                if contradicts(&message, *connection.borrow()) {
                    told_state = None;
                }
                message.ack();
            }
            _ = look.tick() => {
                let connection = *connection.borrow();
                if !connection.up {
                    continue;
                }
                let now = publisher.hub.snapshot();
                let stamp = publisher.clock.stamp();
                let level = Level::of(&now);
                if told_state != Some((level, connection)) && publisher.state(&now, connection) {
                    told_state = Some((level, connection));
                }
                let essence = Essence::of(&now, &stamp);
                let due = told.as_ref().is_none_or(|(told, figures, at)| {
                    *told != essence || at.elapsed() >= ALWAYS || (at.elapsed() >= NUMBERS && *figures != numbers(&now))
                });
                if due && publisher.health(&now, &stamp) {
                    told = Some((essence, numbers(&now), Instant::now()));
                }
            }
        }
    }
}

struct Publisher {
    topics: Topics,
    client: ClientHandle,
    hub: Arc<Hub>,
    clock: SharedClock,
}

impl Publisher {
    fn state(&mut self, now: &Snapshot, connection: Connection) -> bool {
        let payload = state(Presence::Online, now, connection.number).to_string();
        self.client.publish(&self.topics.state, payload, true).is_ok()
    }

    fn health(&mut self, now: &Snapshot, stamp: &Stamp) -> bool {
        self.client.publish(&self.topics.health, health(now, stamp).to_string(), true).is_ok()
    }
}

/// Somebody says on our topic that we are not there, and we are: an old will, come late or put back by a broker.
fn contradicts(message: &Incoming, connection: Connection) -> bool {
    let online = serde_json::from_slice::<Value>(&message.payload).is_ok_and(|value| value["state"] == "online");
    connection.up && !online
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::status::{DestinationState, GateState};

    fn snapshot() -> Snapshot {
        let mut now = Snapshot { session: 7, version: "0.1.0".to_owned(), started_boot_ms: 500, ..Snapshot::default() };
        now.gates.insert("n1".to_owned(), GateState { link: Link::Up, passes: 3, last_pass_boot_ms: Some(1_000), ..GateState::default() });
        now.destinations
            .insert("lime".to_owned(), DestinationState { kind: "lime".to_owned(), link: Link::Up, waiting: 2, ..DestinationState::default() });
        now
    }

    #[test]
    fn birth_and_will_carry_the_same_numbers() {
        let now = snapshot();
        let (birth, will) = (state(Presence::Online, &now, 4), state(Presence::Lost, &now, 4));
        assert_eq!(birth, json!({ "v": 1, "state": "online", "session": 7, "connection": 4, "version": "0.1.0", "level": "ok" }));
        assert_eq!((&will["state"], &will["session"], &will["connection"]), (&json!("offline"), &json!(7), &json!(4)));
    }

    #[test]
    fn the_level_is_that_of_the_worst_effect() {
        let mut now = snapshot();
        assert_eq!(Level::of(&now), Level::Ok);
        now.destinations.get_mut("lime").unwrap().refused = 1;
        assert_eq!(Level::of(&now), Level::Note);
        now.destinations.get_mut("lime").unwrap().link = Link::Down;
        assert_eq!(Level::of(&now), Level::Amber);
        now.gates.get_mut("n1").unwrap().link = Link::Down;
        assert_eq!(Level::of(&now), Level::Red);
    }

    #[test]
    fn health_has_numbers_and_ages_and_no_free_text() {
        let mut now = snapshot();
        now.title = "CANARY-1".to_owned();
        now.journal.failing = Some("CANARY-2".to_owned());
        now.mqtt.error = Some("CANARY-3".to_owned());
        let gate = now.gates.get_mut("n1").unwrap();
        (gate.title, gate.error, gate.port) = ("CANARY-4".to_owned(), Some("CANARY-5".to_owned()), "CANARY-6".to_owned());
        now.destinations.get_mut("lime").unwrap().error_text = Some("CANARY-7".to_owned());
        let clock = ManualClock::synced(1_795_342_500_000);
        clock.advance_ms(4_000);
        let health = health(&now, &clock.stamp());
        assert_eq!(health["gates"]["n1"]["last_pass_s"], 4);
        assert_eq!(health["gates"]["n1"]["trouble"], true);
        assert_eq!(health["journal"]["failing"], true);
        assert_eq!(health["at"], "2026-11-22T10:15:04Z");
        assert_eq!(health["up_s"], 4);
        assert!(!health.to_string().contains("CANARY"));
        assert!(!state(Presence::Online, &now, 1).to_string().contains("CANARY"));
    }
}
