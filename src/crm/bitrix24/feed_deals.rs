//! Deals of the bookings' funnel that are new, changed or gone.

use std::time::Duration;

use crate::config::{Bitrix24, Hub};
use crate::delivery::{Host, Ledger};
use crate::feed::{Feed, Heard, Turn};

/// The feed of deals of a portal.
#[must_use]
pub fn feed(_portal: &Bitrix24, hub: &Hub) -> Box<dyn Feed> {
    Box::new(Deals { poll: hub.poll })
}

struct Deals {
    poll: Duration,
}

impl Feed for Deals {
    fn name(&self) -> &'static str {
        "bitrix24.deals"
    }

    fn host(&self) -> Host {
        Host::Crm
    }

    fn next(&mut self, _heard: Heard<'_>, _ledger: &dyn Ledger, _now_wall_ms: i64) -> Turn {
        Turn::Rest(self.poll)
    }
}
