//! What the snapshot says: the terms that hold for all media (its header), and what each medium entitles to. In the form in which they are kept on disk.
//!
//! Of a client nothing is kept but the category: the box does not need to know who it is. Pure.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::domain::RightKind;

/// The header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Terms {
    /// The version that these terms and the lines after them make.
    #[n(0)]
    pub version: String,
    /// When Lime made it, milliseconds since 1970 UTC by Lime's clock.
    #[n(1)]
    pub generated_ms: Option<i64>,
    /// How old it may become, seconds.
    #[n(2)]
    pub max_age_s: Option<u64>,
    /// Rules for when Lime is away, by service point; `*` for all that are not named.
    #[n(3)]
    pub policies: BTreeMap<String, Policy>,
    /// Prices and hours, by service point.
    #[n(4)]
    pub tariffs: BTreeMap<String, Tariff>,
}

/// What may be done at a service point while Lime is away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Policy {
    /// Nothing may be decided without Lime.
    #[n(0)]
    pub deny: bool,
    /// How far a deposit may go below zero, minor units; none: Lime leaves it to the box.
    #[n(1)]
    pub max_offline_debt: Option<i64>,
    /// How old the snapshot may become for this service point, seconds.
    #[n(2)]
    pub max_age_s: Option<u64>,
}

/// A service point's price and hours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Tariff {
    /// What a pass costs from a deposit, minor units.
    #[n(0)]
    pub price: Option<i64>,
    /// The same for guests of a category.
    #[n(1)]
    pub prices: BTreeMap<String, i64>,
    /// Who may enter; empty: everybody.
    #[n(2)]
    pub categories: Vec<String>,
    /// When it is open, as [`super::hours::Hours`] reads it.
    #[n(3)]
    pub hours: Option<String>,
}

impl Terms {
    /// The rules of a service point.
    #[must_use]
    pub fn policy(&self, service_point: &str) -> Policy {
        self.policies.get(service_point).or_else(|| self.policies.get("*")).cloned().unwrap_or_default()
    }

    /// What a pass costs from a deposit.
    #[must_use]
    pub fn price(&self, service_point: &str, category: Option<&str>) -> Option<i64> {
        let tariff = self.tariffs.get(service_point)?;
        category.and_then(|category| tariff.prices.get(category).copied()).or(tariff.price)
    }
}

/// What is the matter with a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Standing {
    /// Nothing.
    #[n(0)]
    Good,
    /// The card is blocked, or is in a state that this version does not know.
    #[n(1)]
    BlockedCard,
    /// Its client is.
    #[n(2)]
    BlockedClient,
    /// Its client is suspended for a time.
    #[n(3)]
    Suspended,
}

/// A medium.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Holder {
    /// Whether it is good.
    #[n(0)]
    pub standing: Standing,
    /// `adult`, `child`, ...; none: it is nobody's.
    #[n(1)]
    pub category: Option<String>,
    /// In the order in which they are used up.
    #[n(2)]
    pub rights: Vec<Entitlement>,
}

/// One entitlement of a medium. Several media may share one: a family's deposit.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Entitlement {
    /// Lime's id.
    #[n(0)]
    pub id: String,
    /// What it is.
    #[n(1)]
    pub kind: RightKind,
    /// Visits or minor units that are free, holds taken off. None: not counted.
    #[n(2)]
    pub amount: Option<i64>,
    /// Valid from, milliseconds since 1970 UTC.
    #[n(3)]
    pub from_ms: Option<i64>,
    /// Valid until, this moment not included.
    #[n(4)]
    pub to_ms: Option<i64>,
    /// Where; empty: everywhere.
    #[n(5)]
    pub service_points: Vec<String>,
    /// When in the week, as [`super::hours::Hours`] reads it.
    #[n(6)]
    pub hours: Option<String>,
    /// Uses a day.
    #[n(7)]
    pub daily_limit: Option<u32>,
    /// How often it was used on the day of the snapshot, where Lime says so: the day as `2026-05-01`, and how often.
    #[n(8)]
    pub day: Option<(String, u32)>,
    /// Something in it cannot be read by this version: it is not used without Lime.
    #[n(9)]
    pub unclear: bool,
}
