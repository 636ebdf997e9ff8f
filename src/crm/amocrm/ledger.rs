//! What the box keeps of amoCRM between batches: ids by Lime's client id, hashes of cards, the account's schema. Nothing personal.

use crate::crm::card::Written;
use crate::domain::ClientId;
use crate::journal::LedgerKey;

fn key(kind: &str, key: &str) -> LedgerKey {
    LedgerKey { kind: kind.to_owned(), key: key.to_owned() }
}

/// `amocrm.contact`, by client id: a [`ContactLine`].
#[must_use]
pub fn contact(client: &ClientId) -> LedgerKey {
    key("amocrm.contact", client.as_str())
}

/// `amocrm.card`, by client id: a [`Written`].
#[must_use]
pub fn card(client: &ClientId) -> LedgerKey {
    key("amocrm.card", client.as_str())
}

/// `amocrm.schema`: a `Schema`.
#[must_use]
pub fn schema() -> LedgerKey {
    key("amocrm.schema", "account")
}

/// `amocrm.walk`: how many pages the list of contacts has at least.
#[must_use]
pub fn walk() -> LedgerKey {
    key("amocrm.walk", "contacts")
}

/// `amocrm.places`: a `Places`.
#[must_use]
pub fn places() -> LedgerKey {
    key("amocrm.places", "account")
}

/// `amocrm.product`, by Lime's id of the product: an [`ElementLine`].
#[must_use]
pub fn product(id: &str) -> LedgerKey {
    key("amocrm.product", id)
}

/// `amocrm.group`, by Lime's id of a group of products: what it was called here last.
#[must_use]
pub fn group(id: &str) -> LedgerKey {
    key("amocrm.group", id)
}

/// `amocrm.booking`, by the id of a lead: it was seen in the pipeline of bookings.
#[must_use]
pub fn booking(lead: u64) -> LedgerKey {
    key("amocrm.booking", &lead.to_string())
}

/// A mark of one conversation, kept nowhere: the lead of this preorder may be under way, and whoever comes after has to wait.
#[must_use]
pub fn in_doubt(preorder: &str) -> LedgerKey {
    key("amocrm.in_doubt", preorder)
}

/// `amocrm.receipt`, by Lime's id of the transaction: the id of its lead.
#[must_use]
pub fn receipt(transaction: &str) -> LedgerKey {
    key("amocrm.receipt", transaction)
}

/// Where a product is, and what was last written there. `9001 5f…`; the mark is empty where this box has not written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementLine {
    /// The element's id.
    pub id: u64,
    /// The mark of what was written.
    pub mark: String,
}

impl ElementLine {
    /// Reads a ledger value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, mark) = text.split_once(' ').unwrap_or((text, ""));
        Some(Self { id: id.parse().ok().filter(|id| *id > 0)?, mark: mark.to_owned() })
    }

    /// The ledger value.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{} {}", self.id, self.mark).trim_end().to_owned()
    }
}

/// Where a client's contact is. `7001`, or `7001/12`: it was found with twelve visits on its card, and this box has not written it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactLine {
    /// The contact's id.
    pub id: u64,
    /// The visits that its card showed when it was found.
    pub visits: Option<i64>,
}

impl ContactLine {
    /// Reads a ledger value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, visits) = match text.split_once('/') {
            Some((id, visits)) => (id, visits.parse().ok()),
            None => (text, None),
        };
        Some(Self { id: id.parse().ok().filter(|id| *id > 0)?, visits })
    }

    /// The ledger value.
    #[must_use]
    pub fn to_text(self) -> String {
        match self.visits {
            Some(visits) => format!("{}/{visits}", self.id),
            None => self.id.to_string(),
        }
    }

    /// What is known of a card that this box has not written: it bears our client id, so a box of ours wrote it, and only its count goes on.
    #[must_use]
    pub fn as_written(self) -> Written {
        Written { visits: self.visits.unwrap_or(0), ..Written::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_line_survives_being_written_down() {
        for line in [ContactLine { id: 7001, visits: None }, ContactLine { id: 7001, visits: Some(12) }] {
            assert_eq!(ContactLine::parse(&line.to_text()), Some(line));
        }
        for text in ["", "0", "x/1", "-4"] {
            assert_eq!(ContactLine::parse(text), None, "{text}");
        }
    }
}
