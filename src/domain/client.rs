//! A client of the venue and what Lime knows of them. Never journalled: read from Lime when a card in the CRM is brought up to date, then dropped.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ids::{ClientId, ServicePointId};
use super::people::{Personal, Phone};
use super::write_off::Money;

/// Whether a category is of adults or children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoryKind {
    /// Взрослый.
    Adult,
    /// Ребёнок.
    Child,
    /// A kind this version does not know.
    #[serde(other)]
    Other,
}

/// A client's category in Lime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// Lime's id.
    pub id: String,
    /// As shown in Lime.
    pub name: String,
    /// Adult or child.
    pub kind: CategoryKind,
}

/// A card or wristband of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Lime's id.
    pub id: String,
    /// Its UID.
    pub uid: Personal,
    /// Not blocked.
    pub active: bool,
}

/// What the client has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    /// Money on deposit.
    pub deposit: Option<Money>,
    /// Bonus points.
    pub bonus: Option<i64>,
}

/// Which side of a relation the other person is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationRole {
    /// The other is a child of this client.
    Child,
    /// The other is a parent of this client.
    Parent,
    /// A role this version does not know.
    #[serde(other)]
    Other,
}

/// A person the client is related to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The other client.
    pub client_id: ClientId,
    /// Lime's word for it: `сын`.
    pub relation: String,
    /// Child or parent.
    pub role: RelationRole,
    /// First name.
    pub first_name: Personal,
    /// Birth date, `YYYY-MM-DD`.
    pub birth_date: Option<Personal>,
}

/// A client, as Lime answers `GET /clients/{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Lime's id.
    pub id: ClientId,
    /// Lime's version of the object, growing.
    pub version: i64,
    /// Adult or child, as the venue names it.
    pub category: Option<Category>,
    /// Family name.
    pub last_name: Personal,
    /// First name.
    pub first_name: Personal,
    /// Patronymic.
    pub middle_name: Personal,
    /// Birth date, `YYYY-MM-DD`.
    pub birth_date: Option<Personal>,
    /// Phones.
    pub phones: Vec<Phone>,
    /// E-mail addresses.
    pub emails: Vec<Personal>,
    /// Cards.
    pub cards: Vec<Card>,
    /// Deposit and bonuses.
    pub balances: Balances,
    /// Children and parents.
    pub relations: Vec<Relation>,
}

/// One line of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionLine {
    /// What was sold or written off.
    pub name: String,
    /// How many.
    pub quantity: i64,
    /// Minor units.
    pub amount: i64,
}

/// A sale, top-up, write-off or the like, as Lime lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Lime's id.
    pub id: String,
    /// Lime's type: `sale`, `topup`, `write_off`, `refund`, `bonus_accrual`, `bonus_write_off`.
    pub kind: String,
    /// Milliseconds since 1970 UTC.
    pub occurred_ms: i64,
    /// Where.
    pub service_point: Option<ServicePointId>,
    /// The pass that made it.
    pub write_off_id: Option<Uuid>,
    /// Its lines.
    pub lines: Vec<TransactionLine>,
    /// Its sum.
    pub total: Option<Money>,
}
