//! What is kept of two linked cards between merges: of each field and side, what was last seen there, what it is owed, and what was sent and whose fate
//! is unknown. All of it as marks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::held::{Card, Held};
use super::marks::{Keyer, Marks};
use crate::domain::{ClientId, ContactField, Side};
use crate::journal::LedgerKey;

/// Most writes of unknown fate that are remembered of one field on one side.
const MOST_SENT: usize = 8;

/// The tie between a client of Lime's and their contact in the CRM. Kept in the ledger as JSON, under [`Link::ledger_key`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The CRM's id of the contact.
    pub contact: String,
    #[serde(default)]
    pub(super) fields: BTreeMap<ContactField, Joint>,
}

impl Link {
    /// Two cards that have not met yet.
    #[must_use]
    pub fn new(contact: impl Into<String>) -> Self {
        Self { contact: contact.into(), fields: BTreeMap::new() }
    }

    /// Two cards that both hold this: the one was just made from the other.
    #[must_use]
    pub fn alike(contact: impl Into<String>, keyer: &Keyer, client: &ClientId, card: &Card) -> Self {
        let known = |field: ContactField| {
            let seen = card.get(&field).map(|held| keyer.marks(client, field, held)).unwrap_or_default();
            let side = Known { seen, ..Known::default() };
            (field, Joint { lime: side.clone(), crm: side })
        };
        Self { contact: contact.into(), fields: ContactField::ALL.map(known).into() }
    }

    /// Where the link of a client stands in the ledger.
    #[must_use]
    pub fn ledger_key(client: &ClientId) -> LedgerKey {
        LedgerKey { kind: "hub.link".to_owned(), key: client.as_str().to_owned() }
    }

    /// From the ledger. `None` when it is none of ours: the cards meet anew then.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// For the ledger. Holds no person's data.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and marks alone: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// That side's card shows nothing new: each field is as it was last seen there, or as it was sent there. Our own writes come back so.
    #[must_use]
    pub fn knows(&self, keyer: &Keyer, client: &ClientId, side: Side, shown: &Card) -> bool {
        let blank = Held::default();
        ContactField::ALL.into_iter().all(|field| {
            let now = keyer.marks(client, field, shown.get(&field).unwrap_or(&blank));
            let known = self.fields.get(&field).map(|joint| if side == Side::Lime { &joint.lime } else { &joint.crm });
            known.is_some_and(|known| known.seen == now || known.sent.contains(&now))
        })
    }

    /// What was sent has certainly arrived, and this is what the card holds of it now: as the answer shows it, or else as it was sent. A side that shows
    /// something else than it was given is left in peace until somebody changes it.
    pub fn arrived(&mut self, keyer: &Keyer, client: &ClientId, side: Side, shown: &Card) {
        for (field, held) in shown {
            let Some(known) = self.fields.get_mut(field).map(|joint| joint.side(side)) else { continue };
            *known = Known { seen: keyer.marks(client, *field, held), ..Known::default() };
        }
    }

    /// What was sent has certainly not arrived: refused for its version, or it never left. It is still owed.
    pub fn failed(&mut self, keyer: &Keyer, client: &ClientId, side: Side, sent: &Card) {
        for (field, held) in sent {
            let Some(known) = self.fields.get_mut(field).map(|joint| joint.side(side)) else { continue };
            let marks = keyer.marks(client, *field, held);
            known.sent.retain(|sent| *sent != marks);
        }
    }

    /// That side will not take it, now or ever. It keeps what it has until somebody changes something.
    pub fn refused(&mut self, side: Side, sent: &Card) {
        for field in sent.keys() {
            let Some(known) = self.fields.get_mut(field).map(|joint| joint.side(side)) else { continue };
            known.owed = None;
            known.sent.clear();
        }
    }
}

/// One field on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(super) struct Joint {
    pub lime: Known,
    pub crm: Known,
}

impl Joint {
    pub fn side(&mut self, side: Side) -> &mut Known {
        match side {
            Side::Lime => &mut self.lime,
            Side::Crm => &mut self.crm,
        }
    }
}

/// What is known of a field on one side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// What was last seen there.
    #[serde(rename = "s")]
    pub seen: Marks,
    /// What it is to hold, until it does.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<Marks>,
    /// Sent there, and not yet known to have arrived or not.
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<Marks>,
}

impl Known {
    /// What people changed since the last look, of a set element by element; writes of ours are no changes. What is seen now is remembered.
    pub fn look(&mut self, now: &Marks, elements: bool) -> Changes {
        let seen = std::mem::replace(&mut self.seen, now.clone());
        let owes = self.owed.is_some();
        if self.owed.as_ref() == Some(now) {
            self.owed = None;
        }
        if seen == *now {
            return Changes::default();
        }
        let ours = self.sent.iter().position(|sent| sent == now);
        let added = now.iter().filter(|mark| !seen.has(*mark) && !self.sent.iter().any(|sent| sent.has(*mark)));
        let removed = seen.iter().filter(|mark| !now.has(*mark) && self.sent.iter().all(|sent| sent.has(*mark)));
        let (added, removed) = (Marks::of(added), Marks::of(removed));
        if let Some(at) = ours {
            // What was sent before it is overtaken.
            self.sent.drain(..=at);
        }
        // A write of ours that comes late, over what somebody had entered there: that is to stand again.
        if !owes && (ours.is_some() || elements) {
            self.owed = Some(seen);
        }
        if ours.is_some() { Changes::default() } else { Changes { any: true, added, removed } }
    }

    pub fn send(&mut self, wanted: Marks) {
        self.sent.retain(|sent| *sent != wanted);
        if self.sent.len() == MOST_SENT {
            self.sent.remove(0);
        }
        self.sent.push(wanted.clone());
        self.owed = Some(wanted);
    }
}

/// What people changed on one side.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// It is another value than before.
    pub any: bool,
    pub added: Marks,
    pub removed: Marks,
}

/// A field in JSON: most are alike and settled, and then are one string.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Alike(Marks),
    Apart { l: Known, c: Known },
}

impl From<Joint> for Stored {
    fn from(Joint { lime, crm }: Joint) -> Self {
        if lime == crm && lime.owed.is_none() && lime.sent.is_empty() { Self::Alike(lime.seen) } else { Self::Apart { l: lime, c: crm } }
    }
}

impl From<Stored> for Joint {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Alike(seen) => {
                let side = Known { seen, ..Known::default() };
                Self { lime: side.clone(), crm: side }
            }
            Stored::Apart { l, c } => Self { lime: l, crm: c },
        }
    }
}
