//! Service points: where a pass is written off, and what it costs there.

use serde_json::{Value, json};

use super::Lime;

/// A turnstile, validator or handheld.
#[derive(Clone, Debug)]
pub(super) struct ServicePoint {
    pub(super) id: String,
    pub(super) name: String,
    kind: &'static str,
    zone: &'static str,
    /// What one pass costs from a deposit, minor units.
    pub(super) price: i64,
}

const ZONES: [(&str, i64); 3] = [("Батуты", 50_000), ("Верёвочный парк", 70_000), ("Картинг", 90_000)];

pub(super) fn initial() -> Vec<ServicePoint> {
    (1..=9).map(|number| numbered(number, &format!("sp-{number}"))).collect()
}

fn numbered(number: usize, id: &str) -> ServicePoint {
    let (zone, price) = ZONES.get(number % ZONES.len()).copied().unwrap_or(("Батуты", 50_000));
    let kind = if number.is_multiple_of(4) { "validator" } else { "turnstile" };
    ServicePoint { id: id.to_owned(), name: format!("{zone}, вход {number}"), kind, zone, price }
}

impl ServicePoint {
    pub(super) fn shown(&self) -> Value {
        json!({"id": self.id, "name": self.name, "kind": self.kind, "zone": self.zone, "tariff_id": format!("t-{}", self.price / 100),
            "directions": ["in", "out"], "device_binding": null})
    }
}

impl Lime {
    /// Adds a service point, unless there is one of this id.
    pub fn add_service_point(&mut self, id: &str) {
        if self.service_point(id).is_none() {
            self.service_points.push(numbered(self.service_points.len() + 1, id));
        }
    }

    pub(super) fn service_point(&self, id: &str) -> Option<&ServicePoint> {
        self.service_points.iter().find(|point| point.id == id)
    }
}
