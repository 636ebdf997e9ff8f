//! The box's `state` and `health` on the broker, for whoever looks after many boxes: retained, QoS 1, JSON with `"v": 1`.
//!
//! `state` says whether the box is there; the broker itself says `offline` in its stead (the will). Each message names the session (starts of the gateway)
//! and the connection in it; a message with older numbers than one seen before is out of date, and the box itself puts right an old will that comes late.
//! `health` is the numbers. `docs/mqtt.md` describes both.
//!
//! Never: a name, phone, card, token, or free text that could hold one.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::config::Site;
use crate::mqtt::{ClientHandle, Connection, Incoming, Presence, Will};

use super::{Link, Problem, Report, Severity, Snapshot, worst};

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
fn level(report: &Report) -> &'static str {
    match worst(&report.problems) {
        None => "ok",
        Some(Severity::Grey) => "grey",
        Some(Severity::Amber) => "amber",
        Some(Severity::Red) => "red",
    }
}

/// The message on `state`.
#[must_use]
pub fn state(presence: Presence, report: &Report, connection: u64) -> Value {
    let (state, level) = match presence {
        Presence::Online => ("online", Some(level(report))),
        Presence::Lost => ("offline", None),
        Presence::Stopped => ("stopped", None),
    };
    let now = &report.snapshot;
    json!({ "v": 1, "state": state, "session": now.session, "connection": connection, "version": now.version, "level": level })
}

/// The message on `health`. Ages are seconds before `at`; `at` is as good as `clock.synced` says. Of problems the codes, of which `docs` has the texts.
#[must_use]
pub fn health(report: &Report) -> Value {
    let now = &report.snapshot;
    let age = |then: Option<u64>| then.map(|then| now.boot_ms.saturating_sub(then) / 1000);
    let gates: Map<String, Value> = now
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
    let modules: Map<String, Value> = now
        .modules
        .iter()
        .map(|(id, module)| {
            let value = json!({
                "kind": module.kind, "link": module.link, "stuck": module.stuck, "last_answer_s": age(module.last_answer_boot_ms),
                "asked": module.asked, "unanswered": module.unanswered, "damaged": module.damaged,
            });
            (id.clone(), value)
        })
        .collect();
    let destinations: Map<String, Value> = now
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
    let problems: Vec<Value> = shown(report)
        .map(|one| json!({ "code": one.code, "severity": one.severity, "gate": one.gate, "destination": one.destination, "module": one.module, "since": one.since }))
        .collect();
    json!({
        "v": 1,
        "session": now.session,
        "version": now.version,
        "at": now.at,
        "up_s": age(Some(now.started_boot_ms)),
        "problems": problems,
        "passes": now.passes,
        "gates": gates,
        "modules": modules,
        "destinations": destinations,
        "journal": {
            "bytes": now.journal.bytes, "budget_bytes": now.journal.budget_bytes, "segments": now.journal.segments, "last_seq": now.journal.last_seq,
            "oldest_unsettled": now.journal.oldest_unsettled, "quarantined": now.journal.quarantined, "failing": now.journal.failing.is_some(),
        },
        "clock": { "synced": now.clock.synced, "anchored": now.clock.anchored },
        "mqtt": { "connects": now.mqtt.connects, "unacknowledged": now.mqtt.unacknowledged },
    })
}

fn shown(report: &Report) -> impl Iterator<Item = &Problem> {
    report.problems.iter().filter(|one| one.visible)
}

/// What of `health` is told within a second of its change.
#[derive(Clone, Debug, PartialEq)]
struct Essence {
    problems: Vec<String>,
    gates: Vec<(Link, bool)>,
    modules: Vec<Link>,
    destinations: Vec<(Link, Option<String>, u64, bool)>,
    failing: bool,
    synced: bool,
}

impl Essence {
    fn of(report: &Report) -> Self {
        let now = &report.snapshot;
        Self {
            problems: shown(report).map(Problem::key).collect(),
            gates: now.gates.values().map(|gate| (gate.link, gate.error.is_some())).collect(),
            modules: now.modules.values().map(|module| module.link).collect(),
            destinations: now.destinations.values().map(|to| (to.link, to.error.clone(), to.refused, to.doubtful > 0)).collect(),
            failing: now.journal.failing.is_some(),
            synced: now.clock.synced,
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
pub fn will(topics: &Topics, reports: watch::Receiver<Arc<Report>>) -> Will {
    let message = move |presence, connection| state(presence, &reports.borrow(), connection).to_string().into_bytes();
    Will { topic: topics.state.clone(), message: Arc::new(message) }
}

/// Publishes until told to stop. The birth and the farewell are the client's.
pub async fn run(topics: Topics, client: ClientHandle, reports: watch::Receiver<Arc<Report>>, mut stop: watch::Receiver<bool>) {
    let connection = client.connection();
    let mut own = client.subscribe(&topics.state);
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
                let report = Arc::clone(&reports.borrow());
                let new_state = Some((level(&report), connection));
                if told_state != new_state {
                    let payload = state(Presence::Online, &report, connection.number).to_string();
                    // Refused only when the outbox is full: the next look tries again.
                    if client.publish(&topics.state, payload, true).is_ok() {
                        told_state = new_state;
                    }
                }
                let essence = Essence::of(&report);
                let due = told.as_ref().is_none_or(|(told, figures, at)| {
                    *told != essence || at.elapsed() >= ALWAYS || (at.elapsed() >= NUMBERS && *figures != numbers(&report.snapshot))
                });
                if due && client.publish(&topics.health, health(&report).to_string(), true).is_ok() {
                    told = Some((essence, numbers(&report.snapshot), Instant::now()));
                }
            }
        }
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
    use crate::status::{DestinationState, GateState, Texts};

    fn report() -> Report {
        let mut now = Snapshot { session: 7, version: "0.1.0".to_owned(), started_boot_ms: 500, boot_ms: 5_000, ..Snapshot::default() };
        now.gates.insert("n1".to_owned(), GateState { link: Link::Up, passes: 3, last_pass_boot_ms: Some(1_000), ..GateState::default() });
        let lime = DestinationState { kind: "lime".to_owned(), link: Link::Up, waiting: 2, ..DestinationState::default() };
        now.destinations.insert("lime".to_owned(), lime);
        Report::new(now, Vec::new())
    }

    fn problem(severity: Severity, visible: bool) -> Problem {
        Problem {
            code: "G-101".to_owned(),
            severity,
            gate: Some("n1".to_owned()),
            destination: None,
            module: None,
            since: None,
            visible_after: None,
            depends_on: Vec::new(),
            visible,
            text: Texts { ru: "CANARY-8".to_owned(), en: "CANARY-9".to_owned() },
            action: Texts::default(),
            doc: String::new(),
        }
    }

    #[test]
    fn birth_and_will_carry_the_same_numbers() {
        let report = report();
        let (birth, will) = (state(Presence::Online, &report, 4), state(Presence::Lost, &report, 4));
        assert_eq!(birth, json!({ "v": 1, "state": "online", "session": 7, "connection": 4, "version": "0.1.0", "level": "ok" }));
        assert_eq!((&will["state"], &will["session"], &will["connection"]), (&json!("offline"), &json!(7), &json!(4)));
    }

    #[test]
    fn the_level_is_that_of_the_worst_problem_shown() {
        let mut report = report();
        report.problems = vec![problem(Severity::Red, false), problem(Severity::Amber, true), problem(Severity::Grey, true)];
        assert_eq!(state(Presence::Online, &report, 1)["level"], "amber");
        assert_eq!(health(&report)["problems"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn health_has_numbers_and_ages_and_no_free_text() {
        let mut report = report();
        report.problems = vec![problem(Severity::Red, true)];
        let now = &mut report.snapshot;
        now.title = "CANARY-1".to_owned();
        now.journal.failing = Some("CANARY-2".to_owned());
        now.mqtt.error = Some("CANARY-3".to_owned());
        let gate = now.gates.get_mut("n1").unwrap();
        (gate.title, gate.error, gate.port) = ("CANARY-4".to_owned(), Some("CANARY-5".to_owned()), "CANARY-6".to_owned());
        now.destinations.get_mut("lime").unwrap().error_text = Some("CANARY-7".to_owned());
        let health = health(&report);
        assert_eq!(health["gates"]["n1"]["last_pass_s"], 4);
        assert_eq!(health["gates"]["n1"]["trouble"], true);
        assert_eq!(health["journal"]["failing"], true);
        assert_eq!(health["up_s"], 4);
        assert_eq!(health["problems"][0]["code"], "G-101");
        assert!(!health.to_string().contains("CANARY"));
        assert!(!state(Presence::Online, &report, 1).to_string().contains("CANARY"));
    }
}
