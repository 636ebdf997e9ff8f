//! The shapes on the wire, as `docs/lime-gateway-api.yaml` has them. Pure serde; lenient towards what a newer Lime may add: unknown fields are ignored,
//! unknown enum values are `other`, an id may come as a number.
//!
//! Never: a type of this file outside `lime`; a `Debug` of people's data (these types have none).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::domain::{CategoryKind, Personal, RelationRole, RightKind};

/// What is optional and odd is as good as absent: a field that the next Lime spells otherwise must not cost the rest.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// The entries that can be read.
pub(super) fn lenient_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(entries) => entries.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect(),
        _ => Vec::new(),
    })
}

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
    #[serde(default, deserialize_with = "lenient")]
    pub version: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub category: Option<Category>,
    #[serde(default, deserialize_with = "lenient")]
    pub last_name: Option<Personal>,
    #[serde(default, deserialize_with = "lenient")]
    pub first_name: Option<Personal>,
    #[serde(default, deserialize_with = "lenient")]
    pub middle_name: Option<Personal>,
    #[serde(default, deserialize_with = "lenient")]
    pub birth_date: Option<Personal>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub phones: Vec<Personal>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub emails: Vec<Personal>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub cards: Vec<Card>,
    #[serde(default, deserialize_with = "lenient")]
    pub balances: Option<Balances>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub relations: Vec<Relation>,
}

#[derive(Deserialize)]
pub(super) struct Category {
    pub id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub kind: Option<CategoryKind>,
}

#[derive(Deserialize)]
pub(super) struct Card {
    pub id: Id,
    pub uid: Personal,
    #[serde(default, deserialize_with = "lenient")]
    pub state: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Balances {
    #[serde(default, deserialize_with = "lenient")]
    pub deposit: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    pub bonus: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    pub currency: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Relation {
    pub client_id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub relation_type: Option<RelationType>,
    #[serde(default, deserialize_with = "lenient")]
    pub role: Option<RelationRole>,
    #[serde(default, deserialize_with = "lenient")]
    pub first_name: Option<Personal>,
    #[serde(default, deserialize_with = "lenient")]
    pub birth_date: Option<Personal>,
}

#[derive(Deserialize)]
pub(super) struct RelationType {
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
}

/// `GET /clients/{id}/transactions`
#[derive(Deserialize)]
pub(super) struct Transaction {
    pub id: Id,
    #[serde(rename = "type")]
    pub kind: String,
    pub occurred_at: String,
    #[serde(default, deserialize_with = "lenient")]
    pub service_point_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub write_off_id: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub lines: Vec<Line>,
    #[serde(default, deserialize_with = "lenient")]
    pub total: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    pub currency: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Line {
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub qty: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub amount: Option<Amount>,
}

/// `GET /service-points`
#[derive(Deserialize)]
pub(super) struct ServicePoint {
    pub id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
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
    #[serde(default, deserialize_with = "lenient")]
    pub retryable: Option<bool>,
}

/// `POST /write-offs:batch`: entries are read one by one, so that an odd one costs no other.
#[derive(Deserialize)]
pub(super) struct WriteOffReply {
    pub results: Vec<Value>,
}

/// `POST /write-offs:lookup`
#[derive(Deserialize)]
pub(super) struct Lookup {
    #[serde(default, deserialize_with = "lenient_list")]
    pub results: Vec<LookedUp>,
}

/// One entry of its `results`.
#[derive(Deserialize)]
pub(super) struct LookedUp {
    pub write_off_id: String,
    pub status: String,
    #[serde(default, deserialize_with = "lenient")]
    pub transaction_id: Option<Id>,
}

/// One entry of `results`.
#[derive(Deserialize)]
pub(super) struct WriteOffResult {
    pub write_off_id: String,
    pub status: String,
    #[serde(default, deserialize_with = "lenient")]
    pub original_status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub code: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub transaction_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub received_at: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub client_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub right: Option<Right>,
    #[serde(default, deserialize_with = "lenient")]
    pub conflict_with: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub retry_after_ms: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    pub charge: Option<Charge>,
    #[serde(default, deserialize_with = "lenient")]
    pub service_point_name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Right {
    pub id: Id,
    #[serde(default, deserialize_with = "lenient")]
    pub kind: Option<RightKind>,
    #[serde(default, deserialize_with = "lenient")]
    pub balance_after: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct Charge {
    #[serde(default, deserialize_with = "lenient")]
    pub quantity: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub amount: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    pub currency: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub title: Option<String>,
}

/// `POST /authorize`
#[derive(Deserialize)]
pub(super) struct Authorized {
    pub decision: String,
    #[serde(default, deserialize_with = "lenient")]
    pub code: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub hold_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    pub display: Option<Display>,
    #[serde(default, deserialize_with = "lenient")]
    pub right: Option<AuthorizedRight>,
    #[serde(default, deserialize_with = "lenient")]
    pub open_ms: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Display {
    #[serde(default, deserialize_with = "lenient")]
    pub line1: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub line2: Option<String>,
}

/// The entitlement that a grant takes.
#[derive(Deserialize)]
pub(super) struct AuthorizedRight {
    pub id: Id,
    /// Minor units taken or held, of a deposit.
    #[serde(default, deserialize_with = "lenient")]
    pub amount: Option<i64>,
}
