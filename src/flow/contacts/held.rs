//! What a card holds, in the one spelling in which it is compared.

use std::collections::BTreeMap;

use crate::domain::{Client, ContactField, Personal, Phone};

/// What a field holds: one text, or the elements of a set. Nothing in it: blank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(Vec<Personal>);

/// A card as it was read: what is absent is blank.
pub type Card = BTreeMap<ContactField, Held>;

impl Held {
    /// A name. Spaces around it and doubled ones do not count.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self(if text.is_empty() { Vec::new() } else { vec![Personal::new(text)] })
    }

    /// A birth date, `YYYY-MM-DD`. amoCRM writes 1970-01-01 where a person left the date unset: that is blank.
    #[must_use]
    pub fn date(text: &str) -> Self {
        if text.trim() == "1970-01-01" { Self::default() } else { Self::text(text) }
    }

    /// Phones in E.164, sorted, each once: +7 and 8 are one. What is no phone is left out.
    #[must_use]
    pub fn phones<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(texts.into_iter().filter_map(Phone::parse).map(|phone| phone.e164()))
    }

    /// Addresses in lower case, sorted, each once.
    #[must_use]
    pub fn emails<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(texts.into_iter().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty()))
    }

    /// Nothing is held.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.is_empty()
    }

    /// The single values, sorted.
    pub fn values(&self) -> impl Iterator<Item = &Personal> {
        self.0.iter()
    }

    /// The value of a field that has at most one; empty when blank.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.first().map_or("", Personal::reveal)
    }

    pub(super) fn of(texts: impl Iterator<Item = String>) -> Self {
        let mut all: Vec<Personal> = texts.map(Personal::new).collect();
        all.sort();
        all.dedup();
        Self(all)
    }
}

/// The card of a client of Lime's.
#[must_use]
pub fn lime_card(client: &Client) -> Card {
    let phones: Vec<String> = client.phones.iter().map(Phone::e164).collect();
    Card::from([
        (ContactField::LastName, Held::text(client.last_name.reveal())),
        (ContactField::FirstName, Held::text(client.first_name.reveal())),
        (ContactField::MiddleName, Held::text(client.middle_name.reveal())),
        (ContactField::BirthDate, client.birth_date.as_ref().map(|date| Held::date(date.reveal())).unwrap_or_default()),
        (ContactField::Phones, Held::phones(phones.iter().map(String::as_str))),
        (ContactField::Emails, Held::emails(client.emails.iter().map(Personal::reveal))),
    ])
}
