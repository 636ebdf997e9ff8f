//! What the demo shows: pure state, fed by the gateway's tap and status and by the simulators' own counts.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::status::{Link, Snapshot};
use crate::tap::Event;

/// Passes shown at most.
const PASSES: usize = 200;

/// A gate as the demo shows it.
#[derive(Clone, Debug, Default)]
pub struct GateRow {
    /// `n1`
    pub id: String,
    /// What plays it.
    pub title: String,
    /// Whether the gateway has it open.
    pub link: Link,
    /// Presented by the simulator.
    pub made: u64,
    /// Acknowledged, as the simulator or the tap saw it.
    pub acknowledged: u64,
}

/// A pass as the demo shows it.
#[derive(Clone, Debug)]
pub struct PassRow {
    /// Its id.
    pub id: Uuid,
    /// Wall time, milliseconds since 1970.
    pub wall_ms: i64,
    /// The gate.
    pub gate: String,
    /// Masked.
    pub medium: String,
    /// On disk after this, microseconds.
    pub durable_us: u64,
    /// Lime's code once it has answered.
    pub lime: Option<String>,
    /// True once the CRM has it.
    pub crm: bool,
}

/// A destination as the demo shows it.
#[derive(Clone, Debug, Default)]
pub struct DestinationRow {
    /// `lime`, `crm`
    pub name: String,
    /// Whether it answers.
    pub link: Link,
    /// Arrived since the demo began.
    pub delivered: u64,
    /// Wait now.
    pub waiting: u64,
    /// The most that waited since nothing did: the whole of the bar.
    pub backlog: u64,
    /// Arrivals a second, smoothed.
    pub rate: f64,
}

impl DestinationRow {
    /// How much of the backlog has drained, 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a bar")]
    pub fn drained(&self) -> f64 {
        if self.backlog == 0 { 1.0 } else { 1.0 - self.waiting.min(self.backlog) as f64 / self.backlog as f64 }
    }

    /// Seconds until nothing waits at the present rate; `None` while nothing moves.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    pub fn remaining_s(&self) -> Option<f64> {
        (self.waiting > 0 && self.rate > 0.05).then(|| self.waiting as f64 / self.rate)
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Milliseconds since the demo began.
    pub elapsed_ms: u64,
    /// Milliseconds it takes guests for.
    pub length_ms: u64,
    /// What happens now, in words; the newest last.
    pub notices: VecDeque<(u64, String)>,
    /// Gates in order.
    pub gates: Vec<GateRow>,
    /// Passes, the newest first.
    pub passes: VecDeque<PassRow>,
    /// Destinations in order.
    pub destinations: Vec<DestinationRow>,
    /// Whether the gateway process runs.
    pub gateway_up: bool,
    /// When the status was last taken.
    pub last_status_ms: u64,
}

impl Model {
    /// Something to say.
    pub fn say(&mut self, text: impl Into<String>) {
        self.notices.push_back((self.elapsed_ms, text.into()));
        if self.notices.len() > 50 {
            self.notices.pop_front();
        }
    }

    /// The tap said something.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Pass(pass) => {
                self.passes.push_front(PassRow {
                    id: pass.id,
                    wall_ms: pass.wall_ms,
                    gate: pass.gate.clone(),
                    medium: pass.medium.clone(),
                    durable_us: pass.durable_us,
                    lime: None,
                    crm: false,
                });
                self.passes.truncate(PASSES);
            }
            // The row shows what Lime and the CRM have; what the door said is seen at the door.
            Event::Decided { .. } | Event::Passage { .. } => {}
            Event::WriteOff { id, code, .. } => self.pass(*id, |row| row.lime = Some(code.clone())),
            Event::Crm { id, .. } => self.pass(*id, |row| row.crm = true),
            Event::Refused { id, reason, .. } => self.pass(*id, |row| row.lime = Some(reason.clone())),
        }
    }

    fn pass(&mut self, id: Uuid, change: impl FnOnce(&mut PassRow)) {
        if let Some(row) = self.passes.iter_mut().find(|row| row.id == id) {
            change(row);
        }
    }

    /// The gateway's status, taken now.
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn status(&mut self, snapshot: &Snapshot) {
        self.gateway_up = true;
        for gate in &mut self.gates {
            if let Some(state) = snapshot.gates.get(&gate.id) {
                gate.link = state.link;
            }
        }
        let passed_s = self.elapsed_ms.saturating_sub(self.last_status_ms) as f64 / 1000.0;
        self.last_status_ms = self.elapsed_ms;
        for row in &mut self.destinations {
            let Some(state) = snapshot.destinations.get(&row.name) else { continue };
            row.link = state.link;
            if passed_s > 0.0 {
                let now = state.delivered.saturating_sub(row.delivered) as f64 / passed_s;
                row.rate += (now - row.rate) * 0.3;
            }
            row.delivered = state.delivered;
            row.waiting = state.waiting;
            row.backlog = if state.waiting == 0 { 0 } else { row.backlog.max(state.waiting) };
        }
    }

    /// The gateway does not answer.
    pub fn gateway_gone(&mut self) {
        self.gateway_up = false;
        for gate in &mut self.gates {
            gate.link = Link::Down;
        }
    }
}
