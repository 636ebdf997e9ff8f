//! What a job needs of its client's card before it goes on: pure.

use crate::config::ClientMoments;
use crate::delivery::{Job, Work};
use crate::domain::{Change, Fate, ReceiptKind, Told};

use super::courier::Place;

/// What the jobs of one client need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// It is a moment for the card to be brought up to date.
    pub card: bool,
    /// Where the client has no contact, one is looked for and else made.
    pub make: bool,
    /// The client was told of by themselves: whether they get a contact is seen once they are read, for children are in their parents' cards.
    pub register: bool,
    /// Both cards are read anew and merged.
    pub merge: bool,
    /// The contact that was told of.
    pub contact: Option<u64>,
    /// When Lime's card changed, where that was told.
    pub lime_ms: Option<i64>,
    /// When the contact changed, where that was told.
    pub crm_ms: Option<i64>,
}

impl Need {
    /// What one job needs.
    #[must_use]
    pub fn of(job: &Job, place: &Place) -> Self {
        // A box that is no hub brings a card up to date with each pass.
        let passes = ClientMoments { registration: false, change: false, purchase: false, pass: true };
        let moments = place.hub.as_ref().map_or(passes, |hub| hub.clients);
        match &job.work {
            Work::Pass(_) => Self { card: moments.pass, make: true, ..Self::default() },
            Work::WriteOff { .. } => Self::default(),
            Work::Change(change) => Self::of_change(change, moments, place),
        }
    }

    fn of_change(change: &Change, moments: ClientMoments, place: &Place) -> Self {
        let two_way = place.two_way.as_ref();
        match &change.told {
            Told::Client { deleted: true, .. } => Self::default(),
            Told::Client { .. } => Self {
                card: moments.change,
                register: moments.registration || moments.change,
                merge: two_way.is_some_and(|two_way| two_way.rules.to_crm),
                lime_ms: Some(change.changed_ms),
                ..Self::default()
            },
            Told::Contact { id, client: Some(_), fate: Fate::There } => {
                Self { merge: two_way.is_some(), contact: id.parse().ok(), crm_ms: Some(change.changed_ms), ..Self::default() }
            }
            Told::Contact { client: Some(_), fate: Fate::MergedInto(into), .. } => {
                Self { merge: two_way.is_some(), contact: into.parse().ok(), crm_ms: Some(change.changed_ms), ..Self::default() }
            }
            // The pass itself sees to it.
            Told::Receipt(receipt) if receipt.kind == ReceiptKind::WriteOff => Self::default(),
            Told::Receipt(receipt) => {
                let sold = matches!(receipt.kind, ReceiptKind::Sale | ReceiptKind::TopUp | ReceiptKind::Refund);
                let deals = sold && place.hub.as_ref().is_some_and(|hub| !hub.deals.is_empty());
                Self { card: moments.purchase, make: deals || moments.purchase, ..Self::default() }
            }
            Told::Preorder(_) => Self { make: place.hub.as_ref().is_some_and(|hub| hub.preorders.to_crm), ..Self::default() },
            Told::Contact { .. } | Told::Product(_) | Told::ProductGone(_) | Told::Deal { .. } => Self::default(),
        }
    }

    /// What several jobs of one client need together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            card: self.card || other.card,
            make: self.make || other.make,
            register: self.register || other.register,
            merge: self.merge || other.merge,
            contact: other.contact.or(self.contact),
            lime_ms: self.lime_ms.max(other.lime_ms),
            crm_ms: self.crm_ms.max(other.crm_ms),
        }
    }

    /// The client's card has to be seen to. `known`: they have a contact; `shown`: a card that shows this job already.
    #[must_use]
    pub fn is_due(self, known: bool, shown: bool) -> bool {
        if known { self.merge || self.card && !shown } else { self.make || self.register || self.merge && self.contact.is_some() }
    }
}
