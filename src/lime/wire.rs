//! The shapes on the wire, as `docs/lime-gateway-api.yaml` has them. Pure serde; lenient towards what a newer Lime may add: unknown fields are ignored,
//! unknown enum values are `other`, an id may come as a number.
//!
//! Never: a type of this file outside `lime`; a `Debug` of people's data (these types have none).

use serde::{Deserialize, Deserializer};

use crate::domain::{CategoryKind, Personal, RelationRole, RightKind};

/// An opaque id: text by contract, a number in some adapters.
pub(super) struct Id(pub String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Number(i64),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => Self(text),
            Form::Number(number) => Self(number.to_string()),
        })
    }
}

/// Money: minor units beside a `currency` field, or an object of both.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Amount {
    /// Minor units.
    Bare(i64),
    /// With its own currency.
    Whole {
        /// Minor units.
        amount: i64,
        /// ISO 4217.
        currency: Option<String>,
    },
}

/// `GET /clients/{id}`
#[derive(Deserialize)]
pub(super) struct Client {
    pub id: Id,
    #[serde(default)]
    pub version: Option<i64>,
    #[serde(default)]
    pub category: Option<Category>,
    #[serde(default)]
    pub last_name: Option<Personal>,
    #[serde(default)]
    pub first_name: Option<Personal>,
    #[serde(default)]
    pub middle_name: Option<Personal>,
    #[serde(default)]
    pub birth_date: Option<Personal>,
    #[serde(default)]
    pub phones: Option<Vec<Personal>>,
    #[serde(default)]
    pub emails: Option<Vec<Personal>>,
    #[serde(default)]
    pub cards: Option<Vec<Card>>,
    #[serde(default)]
    pub balances: Option<Balances>,
    #[serde(default)]
    pub relations: Option<Vec<Relation>>,
}

#[derive(Deserialize)]
pub(super) struct Category {
    pub id: Id,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub kind: Option<CategoryKind>,
}

#[derive(Deserialize)]
pub(super) struct Card {
    pub id: Id,
    pub uid: Personal,
    #[serde(default)]
    pub state: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Balances {
    #[serde(default)]
    pub deposit: Option<Amount>,
    #[serde(default)]
    pub bonus: Option<Amount>,
    #[serde(default)]
    pub currency: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Relation {
    pub client_id: Id,
    #[serde(default)]
    pub relation_type: Option<RelationType>,
    #[serde(default)]
    pub role: Option<RelationRole>,
    #[serde(default)]
    pub first_name: Option<Personal>,
    #[serde(default)]
    pub birth_date: Option<Personal>,
}

#[derive(Deserialize)]
pub(super) struct RelationType {
    #[serde(default)]
    pub name: Option<String>,
}

/// `GET /clients/{id}/transactions`
#[derive(Deserialize)]
pub(super) struct Transaction {
    pub id: Id,
    #[serde(rename = "type")]
    pub kind: String,
    pub occurred_at: String,
    #[serde(default)]
    pub service_point_id: Option<Id>,
    #[serde(default)]
    pub write_off_id: Option<String>,
    #[serde(default)]
    pub lines: Option<Vec<Line>>,
    #[serde(default)]
    pub total: Option<Amount>,
    #[serde(default)]
    pub currency: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Line {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub qty: Option<i64>,
    #[serde(default)]
    pub amount: Option<Amount>,
}

/// `GET /service-points`
#[derive(Deserialize)]
pub(super) struct ServicePoint {
    pub id: Id,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub kind: Option<String>,
}

/// `GET /time`
#[derive(Deserialize)]
pub(super) struct Time {
    pub server_time: String,
}

/// `{"error": {...}}`
#[derive(Deserialize)]
pub(super) struct Problem {
    pub error: ProblemBody,
}

#[derive(Deserialize)]
pub(super) struct ProblemBody {
    pub code: String,
    #[serde(default)]
    pub retryable: Option<bool>,
}

/// One entry of `results`.
#[derive(Deserialize)]
pub(super) struct WriteOffResult {
    pub write_off_id: String,
    pub status: String,
    #[serde(default)]
    pub original_status: Option<String>,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub transaction_id: Option<Id>,
    #[serde(default)]
    pub received_at: Option<String>,
    #[serde(default)]
    pub client_id: Option<Id>,
    #[serde(default)]
    pub right: Option<Right>,
    #[serde(default)]
    pub conflict_with: Option<String>,
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    #[serde(default)]
    pub charge: Option<Charge>,
    #[serde(default)]
    pub service_point_name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Right {
    pub id: Id,
    #[serde(default)]
    pub kind: Option<RightKind>,
    #[serde(default)]
    pub balance_after: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct Charge {
    #[serde(default)]
    pub quantity: Option<i64>,
    #[serde(default)]
    pub amount: Option<i64>,
    #[serde(default)]
    pub currency: Option<String>,
    #[serde(default)]
    pub title: Option<String>,
}
