//! What of the two-way integration a box runs: which changes make jobs.
//!
//! All jobs of the integration stand in the CRM's lane, those that write to Lime included: each needs both sides, and whatever is about one client goes
//! in one queue there. Everything that is written to Lime for it may be repeated without harm (a version, a reference or a revision says which).

use crate::domain::{Change, Told};

/// Which changes make jobs. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubPolicy {
    /// Clients of Lime's, on registration or change.
    pub clients: bool,
    /// Receipts of Lime's.
    pub receipts: bool,
    /// Products of Lime's.
    pub products: bool,
    /// Preorders of Lime's.
    pub preorders: bool,
    /// Contacts of the CRM's.
    pub contacts: bool,
    /// Deals of the CRM's.
    pub deals: bool,
}

impl HubPolicy {
    /// Nothing: passes alone.
    pub const NOTHING: Self = Self { clients: false, receipts: false, products: false, preorders: false, contacts: false, deals: false };

    /// Everything there is.
    pub const EVERYTHING: Self = Self { clients: true, receipts: true, products: true, preorders: true, contacts: true, deals: true };

    /// Whether a change makes a job.
    #[must_use]
    pub fn wants(self, change: &Change) -> bool {
        self.wants_told(&change.told)
    }

    /// The same, of what is told.
    #[must_use]
    pub fn wants_told(self, told: &Told) -> bool {
        match told {
            Told::Client { .. } => self.clients,
            Told::Receipt(_) => self.receipts,
            Told::Product(_) | Told::ProductGone(_) => self.products,
            Told::Preorder(_) => self.preorders,
            Told::Contact { .. } => self.contacts,
            Told::Deal { .. } => self.deals,
        }
    }
}
