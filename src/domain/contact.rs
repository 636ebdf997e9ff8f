//! The fields of a person's card that both Lime and the CRM may write, and who wins where both did.

use serde::{Deserialize, Serialize};

/// A field that both sides may write. Children, relations, cards and balances are Lime's alone and are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactField {
    /// Family name.
    LastName,
    /// First name.
    FirstName,
    /// Patronymic.
    MiddleName,
    /// `YYYY-MM-DD`.
    BirthDate,
    /// All phones, as a set.
    Phones,
    /// All e-mail addresses, as a set.
    Emails,
}

impl ContactField {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::LastName, Self::FirstName, Self::MiddleName, Self::BirthDate, Self::Phones, Self::Emails];
}

/// Whose card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Lime's.
    Lime,
    /// The CRM's.
    Crm,
}

/// Who wins where both sides changed a field since they were last alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Wins {
    /// Lime.
    Lime,
    /// The CRM.
    Crm,
    /// The card that was changed later; at the same time, Lime's.
    #[default]
    Newest,
}
