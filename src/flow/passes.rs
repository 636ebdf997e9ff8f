//! A pass becomes a write-off in Lime; what Lime made of it becomes a record in the CRM.

use crate::domain::{OrderKey, WriteOff, WriteOffStatus};
use crate::journal::{Destination, Record};

use super::hub::HubPolicy;

/// Which facts the CRM is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrmPolicy {
    /// There is a CRM at all.
    pub enabled: bool,
    /// Refusals and passages that did not happen are told, too.
    pub refusals: bool,
    /// What of the two-way integration this box runs: nothing, unless it is the venue's hub.
    pub hub: HubPolicy,
}

impl CrmPolicy {
    /// Everything there is.
    pub const EVERYTHING: Self = Self { enabled: true, refusals: true, hub: HubPolicy::EVERYTHING };

    fn wants(self, write_off: &WriteOff) -> bool {
        self.enabled
            && match write_off.status {
                WriteOffStatus::Applied | WriteOffStatus::AppliedWithDebt => true,
                WriteOffStatus::Recorded | WriteOffStatus::Refused => self.refusals,
            }
    }
}

/// The destination that a record owes a job to, and the queue it stands in there. At most one per record: that is what lets a job be named by its
/// record's sequence.
#[must_use]
pub fn job_at(record: &Record, crm: CrmPolicy) -> Option<(Destination, OrderKey)> {
    match record {
        Record::Pass(pass) => Some((Destination::Lime, pass.medium.order_key())),
        Record::WriteOff(write_off) if crm.wants(write_off) => Some((Destination::Crm, client_order(write_off))),
        Record::Change(change) if crm.enabled && crm.hub.wants(change) => Some((Destination::Crm, change.order_key())),
        _ => None,
    }
}

/// Write-offs of one contact stand in one queue; those of nobody known stand alone.
fn client_order(write_off: &WriteOff) -> OrderKey {
    match &write_off.client_id {
        Some(client) => OrderKey::of_client(client),
        None => OrderKey(crc32c::crc32c(write_off.pass_id.as_bytes())),
    }
}
