//! Two cards of one person, Lime's and the CRM's, brought together field by field.
//!
//! How it is used: read both cards by id (a feed is a hint that something changed, not what it is now), take the [`Link`] from the ledger, [`merge`], put
//! the new link and the records of what gave way into the ledger ([`Merged::learned`], with `Effect::Sets` of the first write), and only then write
//! [`Merged::to_lime`] and [`Merged::to_crm`]. When an answer has come, tell the link ([`Link::arrived`], [`Link::failed`], [`Link::refused`]); when none
//! has, tell it nothing: the next merge asks for what is still owed.
//!
//! Names and dates are whole values. Phones and e-mail addresses are merged element by element.
//!
//! Invariants: changed on one side wins; changed on both, [`Rules::wins`] decides and what gives way is handed back as [`Overruled`]; a filled field is
//! never blanked by one that is merely empty, only by one that was seen filled on that side and is empty now, and only where fields may be cleared; our
//! own writes never count as changes, however late they arrive; a side that may not be written is never written, and what differs there is no conflict.
//! Never: children and balances, which are Lime's alone; a person's data in what is kept between merges.

mod held;
mod link;
mod marks;
mod names;
mod overruled;
mod sets;
mod singles;

use std::collections::{BTreeMap, BTreeSet};

pub use held::{Card, Held, lime_card};
pub use link::Link;
pub use marks::{KEY_FILE, Keyer};
pub use names::{Joined, joined, split};
pub use overruled::{Overruled, overruled_key};

use crate::config::Contacts;
use crate::domain::{ClientId, ContactField, Side, Wins};
use crate::journal::Learned;

/// One side's card, with when it was changed last (milliseconds since 1970 UTC; 0 where that is not known).
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// What it holds.
    pub card: Card,
    /// When it was changed.
    pub changed_ms: i64,
}

/// How cards are merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Who wins where both changed a field; a field that is missing: the newest.
    pub wins: BTreeMap<ContactField, Wins>,
    /// Whether taking a value away on one side takes it away on the other. Without it, the value is put back.
    pub clears: bool,
    /// Fields that are put back whatever [`Self::clears`] says.
    pub kept: BTreeSet<ContactField>,
    /// Lime may be written.
    pub to_lime: bool,
    /// The CRM may be written.
    pub to_crm: bool,
}

impl Rules {
    /// As the config says.
    #[must_use]
    pub fn new(contacts: &Contacts) -> Self {
        let Contacts { to_lime, to_crm, wins, clears } = contacts;
        Self { wins: wins.clone(), clears: *clears, kept: BTreeSet::new(), to_lime: *to_lime, to_crm: *to_crm }
    }

    /// For a CRM that has no field of its own for the patronymic, such as amoCRM: whoever shortens a name there does not mean the patronymic.
    #[must_use]
    pub fn with_joined_names(mut self) -> Self {
        self.kept.insert(ContactField::MiddleName);
        self
    }

    fn clears(&self, field: ContactField) -> bool {
        self.clears && !self.kept.contains(&field)
    }

    fn writes(&self, side: Side) -> bool {
        match side {
            Side::Lime => self.to_lime,
            Side::Crm => self.to_crm,
        }
    }
}

/// What a merge asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// What fields of Lime's card are to hold instead: the whole set, where it is one.
    pub to_lime: Card,
    /// What fields of the CRM's card are to hold instead: the whole set, where it is one.
    pub to_crm: Card,
    /// What gave way.
    pub overruled: Vec<Overruled>,
}

impl Merged {
    /// Nothing is to be written and nothing gave way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What must be in the ledger before anything is sent: the link as it is after the merge, and the record of what gave way after what the ledger has
    /// there already. `now_ms`: milliseconds since 1970 UTC.
    #[must_use]
    pub fn learned(&self, client: &ClientId, link: &Link, recorded: Option<&str>, now_ms: i64) -> Vec<Learned> {
        let mut learned = vec![Learned { key: Link::ledger_key(client), value: Some(link.to_json()) }];
        if !self.overruled.is_empty() {
            learned.push(Learned { key: overruled_key(client), value: Some(overruled::record(recorded, &self.overruled, now_ms)) });
        }
        learned
    }

    fn out(&mut self, side: Side) -> &mut Card {
        match side {
            Side::Lime => &mut self.to_lime,
            Side::Crm => &mut self.to_crm,
        }
    }
}

/// Brings two cards together. The link is new afterwards: make it durable before anything is sent.
pub fn merge(link: &mut Link, keyer: &Keyer, client: &ClientId, lime: &Read, crm: &Read, rules: &Rules) -> Merged {
    let mut merged = Merged::default();
    let blank = Held::default();
    for field in ContactField::ALL {
        let (at_lime, at_crm) = (lime.card.get(&field).unwrap_or(&blank), crm.card.get(&field).unwrap_or(&blank));
        let winner = match rules.wins.get(&field).copied().unwrap_or_default() {
            Wins::Lime => Side::Lime,
            Wins::Crm => Side::Crm,
            Wins::Newest if lime.changed_ms >= crm.changed_ms => Side::Lime,
            Wins::Newest => Side::Crm,
        };
        let joint = link.fields.entry(field).or_default();
        let question = Question { field, keyer, client, winner, rules };
        match field {
            ContactField::Phones | ContactField::Emails => sets::merge(joint, at_lime, at_crm, &question, &mut merged),
            _ => singles::merge(joint, at_lime, at_crm, &question, &mut merged),
        }
    }
    merged
}

/// One field, and all that decides about it but the values.
struct Question<'a> {
    field: ContactField,
    keyer: &'a Keyer,
    client: &'a ClientId,
    /// Who wins where both changed it.
    winner: Side,
    rules: &'a Rules,
}

/// The side across.
fn other(side: Side) -> Side {
    match side {
        Side::Lime => Side::Crm,
        Side::Crm => Side::Lime,
    }
}

#[cfg(test)]
mod tests;
