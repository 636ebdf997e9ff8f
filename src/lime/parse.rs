//! Answers of the Lime gateway API, read into the domain.
//!
//! Never: text of an answer in an error (it may hold names); one odd entry of a list that costs the others.

use std::time::Duration;

use http::StatusCode;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::domain::{
    Balances, Card, Category, CategoryKind, Client, ClientId, Money, Personal, Phone, Relation, RelationRole, ServicePointId, Transaction,
    TransactionLine,
};
use crate::http::Answer;

use super::wire;

/// Roubles, where an adapter leaves the currency out.
pub(super) const DEFAULT_CURRENCY: &str = "RUB";

/// Most entries taken of one list.
const LIST_LIMIT: usize = 10_000;

/// Why an answer holds nothing to use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseProblem {
    /// Lime does not know it (404).
    #[error("Lime does not know it")]
    NotFound,
    /// Not now (409, 429, 5xx): try again, after this long if the answer said so.
    #[error("Lime says not now ({status})")]
    Later {
        /// The status.
        status: u16,
        /// `Retry-After`.
        after: Option<Duration>,
    },
    /// Refused for good, with Lime's code.
    #[error("Lime refused: {status} {code}")]
    Refused {
        /// The status.
        status: u16,
        /// Lime's code, or `-`.
        code: String,
    },
    /// Not what the contract says: a page, half an answer, another shape. Says where, not what.
    #[error("an answer that is not of the Lime gateway API: {0}")]
    Unreadable(String),
}

impl ParseProblem {
    /// A stable code for status and dead letters: `lime/503`, `lime/unreadable`.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::NotFound => "lime/not_found".to_owned(),
            Self::Later { status, .. } => format!("lime/{status}"),
            Self::Refused { code, .. } => format!("lime/{code}"),
            Self::Unreadable(_) => "lime/unreadable".to_owned(),
        }
    }
}

/// A place where passes are taken, as Lime lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePoint {
    /// Lime's id: what a gate's `service_point` must name.
    pub id: ServicePointId,
    /// Its name.
    pub name: String,
    /// `turnstile`, `validator`, `mobile`, `cashdesk` or what a newer Lime says.
    pub kind: String,
}

/// The answer to [`super::requests::client`].
///
/// # Errors
/// When there is no client in it.
pub fn client(answer: &Answer) -> Result<Client, ParseProblem> {
    document(answer).map(client_of)
}

pub(super) fn client_of(wire: wire::Client) -> Client {
    let balances = wire.balances.map_or_else(Balances::default, |found| Balances {
        deposit: found.deposit.map(|amount| money(amount, found.currency)),
        bonus: found.bonus.map(|amount| minor(&amount)),
    });
    Client {
        id: ClientId(wire.id.0),
        version: wire.version.unwrap_or(0),
        category: wire.category.map(|found| Category {
            id: found.id.0,
            name: found.name.unwrap_or_default(),
            kind: found.kind.unwrap_or(CategoryKind::Other),
        }),
        last_name: wire.last_name.unwrap_or_default(),
        first_name: wire.first_name.unwrap_or_default(),
        middle_name: wire.middle_name.unwrap_or_default(),
        birth_date: filled(wire.birth_date),
        phones: wire.phones.iter().filter_map(|text| Phone::parse(text.reveal())).collect(),
        emails: wire.emails.into_iter().filter(|text| !text.is_empty()).collect(),
        cards: wire
            .cards
            .into_iter()
            .map(|found| Card { id: found.id.0, uid: found.uid, active: matches!(found.state.as_deref(), None | Some("active" | "ok")) })
            .collect(),
        balances,
        relations: wire
            .relations
            .into_iter()
            .map(|found| Relation {
                client_id: ClientId(found.client_id.0),
                relation: found.relation_type.and_then(|kind| kind.name).unwrap_or_default(),
                role: found.role.unwrap_or(RelationRole::Other),
                first_name: found.first_name.unwrap_or_default(),
                birth_date: filled(found.birth_date),
            })
            .collect(),
    }
}

/// The answer to [`super::requests::transactions`], newest first. An entry that cannot be read is left out.
///
/// # Errors
/// When there is no list in it.
pub fn transactions(answer: &Answer) -> Result<Vec<Transaction>, ParseProblem> {
    Ok(newest_first(list(answer)?))
}

fn newest_first(items: Vec<serde_json::Value>) -> Vec<Transaction> {
    let mut found: Vec<Transaction> = items.into_iter().filter_map(transaction).collect();
    found.sort_by_key(|one| std::cmp::Reverse(one.occurred_ms));
    found
}

/// One client of many, with their transactions, newest first; `None` where Lime does not know them.
pub type Entry = (ClientId, Option<(Client, Vec<Transaction>)>);

/// The answer to [`super::requests::clients`]. An entry that cannot be read, or is of another client than it says, is left out: it is not answered.
///
/// # Errors
/// When there is no list in it.
pub fn clients(answer: &Answer) -> Result<Vec<Entry>, ParseProblem> {
    Ok(list(answer)?.into_iter().filter_map(entry).collect())
}

fn entry(value: serde_json::Value) -> Option<Entry> {
    let serde_json::Value::Object(mut map) = value else { return None };
    let id = ClientId(serde_json::from_value::<wire::Id>(map.remove("id")?).ok()?.0);
    let found = match map.remove("client")? {
        serde_json::Value::Null => None,
        client => {
            let client = client_of(serde_json::from_value(client).ok()?);
            let serde_json::Value::Array(items) = map.remove("transactions")? else { return None };
            (client.id == id).then_some(())?;
            Some((client, newest_first(items)))
        }
    };
    Some((id, found))
}

/// The answer to [`super::requests::service_points`].
///
/// # Errors
/// When there is no list in it.
pub fn service_points(answer: &Answer) -> Result<Vec<ServicePoint>, ParseProblem> {
    let read = |value| serde_json::from_value::<wire::ServicePoint>(value).ok();
    Ok(list(answer)?
        .into_iter()
        .filter_map(read)
        .map(|found| ServicePoint {
            id: ServicePointId(found.id.0),
            name: found.name.unwrap_or_default(),
            kind: found.kind.unwrap_or_else(|| "other".to_owned()),
        })
        .collect())
}

/// The answer to [`super::requests::time`]: Lime's clock, milliseconds since 1970 UTC.
///
/// # Errors
/// When there is no time in it.
pub fn time(answer: &Answer) -> Result<i64, ParseProblem> {
    let wire: wire::Time = document(answer)?;
    millis(&wire.server_time).ok_or_else(|| ParseProblem::Unreadable("`server_time` is not RFC 3339 with an offset".to_owned()))
}

/// What Lime says of a write-off that was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedUp {
    /// The business key.
    pub id: Uuid,
    /// Lime has it, whatever it made of it.
    pub known: bool,
    /// The transaction, where there was one.
    pub transaction: Option<String>,
}

/// The answer to [`super::requests::lookup`]; `None` when this Lime does not offer that call.
///
/// # Errors
/// When there are no results in it.
pub fn lookup(answer: &Answer) -> Result<Option<Vec<LookedUp>>, ParseProblem> {
    // An adapter of before the call was added knows neither the path nor, at best, the method.
    if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
        return Ok(None);
    }
    let wire: wire::Lookup = document(answer)?;
    let read = |found: wire::LookedUp| {
        let id = Uuid::parse_str(&found.write_off_id).ok()?;
        Some(LookedUp { id, known: found.status != "unknown", transaction: found.transaction_id.map(|id| id.0) })
    };
    Ok(Some(wire.results.into_iter().filter_map(read).collect()))
}

/// Any answer's body as `T`, or what stands in the way.
pub(super) fn document<T: DeserializeOwned>(answer: &Answer) -> Result<T, ParseProblem> {
    let status = answer.status.as_u16();
    if answer.status != StatusCode::OK {
        let problem = serde_json::from_slice::<wire::Problem>(&answer.body).ok().map(|found| found.error);
        let later = matches!(status, 409 | 425 | 429) || status >= 500 || problem.as_ref().is_some_and(|found| found.retryable == Some(true));
        return Err(match (later, problem) {
            (true, _) => ParseProblem::Later { status, after: answer.retry_after() },
            // A 404 that is not Lime's own may be a wrong address or a proxy's page: no proof that the client is gone.
            (false, Some(_)) if status == 404 => ParseProblem::NotFound,
            (false, Some(found)) => ParseProblem::Refused { status, code: stable(&found.code) },
            (false, None) => ParseProblem::Unreadable(format!("status {status} without the contract's error object")),
        });
    }
    serde_json::from_slice(&answer.body).map_err(|problem| unreadable(&problem))
}

pub(super) fn unreadable(problem: &serde_json::Error) -> ParseProblem {
    ParseProblem::Unreadable(format!("{:?} at line {} column {}", problem.classify(), problem.line(), problem.column()))
}

/// A code from outside, kept short and plain.
pub(super) fn stable(code: &str) -> String {
    let plain: String = code.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).take(64).collect();
    if plain.is_empty() { "-".to_owned() } else { plain }
}

/// RFC 3339 with an offset, as milliseconds since 1970 UTC.
pub(super) fn millis(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// `{"items": [...]}`, or the bare list.
fn list(answer: &Answer) -> Result<Vec<serde_json::Value>, ParseProblem> {
    let mut items = match document::<serde_json::Value>(answer)? {
        serde_json::Value::Array(items) => items,
        serde_json::Value::Object(mut object) => match object.remove("items") {
            Some(serde_json::Value::Array(items)) => items,
            _ => return Err(ParseProblem::Unreadable("no `items`".to_owned())),
        },
        _ => return Err(ParseProblem::Unreadable("neither an object nor a list".to_owned())),
    };
    items.truncate(LIST_LIMIT);
    Ok(items)
}

fn transaction(value: serde_json::Value) -> Option<Transaction> {
    let wire: wire::Transaction = serde_json::from_value(value).ok()?;
    Some(Transaction {
        id: wire.id.0,
        kind: wire.kind,
        occurred_ms: millis(&wire.occurred_at)?,
        service_point: wire.service_point_id.map(|id| ServicePointId(id.0)),
        write_off_id: wire.write_off_id.and_then(|text| Uuid::parse_str(&text).ok()),
        lines: wire
            .lines
            .into_iter()
            .map(|line| TransactionLine {
                name: line.name.unwrap_or_default(),
                quantity: line.qty.unwrap_or(1),
                amount: line.amount.as_ref().map_or(0, minor),
            })
            .collect(),
        total: wire.total.map(|amount| money(amount, wire.currency)),
    })
}

fn filled(text: Option<Personal>) -> Option<Personal> {
    text.filter(|text| !text.is_empty())
}

pub(super) fn minor(amount: &wire::Amount) -> i64 {
    match amount {
        wire::Amount::Bare(minor) | wire::Amount::Whole { amount: minor, .. } => *minor,
    }
}

pub(super) fn money(amount: wire::Amount, beside: Option<String>) -> Money {
    let (minor, own) = match amount {
        wire::Amount::Bare(minor) => (minor, None),
        wire::Amount::Whole { amount, currency } => (amount, currency),
    };
    Money { minor, currency: own.or(beside).unwrap_or_else(|| DEFAULT_CURRENCY.to_owned()) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn a_client_with_children_cards_and_balances_is_read() {
        let found = client(&answer(
            200,
            r#"{"server_time":"2026-05-01T12:00:00.000+05:00","id":"c-1","version":17,"category":{"id":"k","name":"Взрослый","kind":"adult"},
            "last_name":"Иванова","first_name":"Анна","middle_name":null,"birth_date":"1990-02-03","gender":"f","phones":["+7 999 123-45-67","?"],
            "emails":["a@example.com",7],"cards":[{"id":"1","uid":"AC11A1A3","state":"active"},{"id":2,"uid":"00","state":"blocked"}],
            "balances":{"deposit":120050,"bonus":30,"currency":"RUB"},"consents":{"mailing":true},"created_via":"app",
            "relations":[{"client_id":"c-2","relation_type":{"id":"r","name":"сын"},"role":"child","first_name":"Пётр","birth_date":"2018-07-09"},
                         {"client_id":"c-3","role":"godparent"}],"news":[1]}"#,
        ))
        .unwrap();
        assert_eq!(found.id, ClientId::from("c-1"));
        assert_eq!(found.category.unwrap().kind, CategoryKind::Adult);
        assert_eq!(found.phones.iter().map(Phone::e164).collect::<Vec<_>>(), ["+79991234567"]);
        assert_eq!(found.cards.iter().map(|card| (card.id.as_str(), card.active)).collect::<Vec<_>>(), [("1", true), ("2", false)]);
        assert_eq!(found.balances, Balances { deposit: Some(Money { minor: 120_050, currency: "RUB".into() }), bonus: Some(30) });
        assert_eq!(found.relations.iter().map(|one| one.role).collect::<Vec<_>>(), [RelationRole::Child, RelationRole::Other]);
        assert_eq!(found.relations[0].relation, "сын");
        assert!(found.middle_name.is_empty());
    }

    #[test]
    fn transactions_come_newest_first_and_an_odd_one_is_left_out() {
        let found = transactions(&answer(
            200,
            r#"{"items":[
            {"id":"t1","type":"sale","occurred_at":"2026-05-01T12:00:00.000+05:00","lines":[{"name":"Билет","qty":2,"amount":100000}],"total":100000,"currency":"RUB"},
            {"id":"t9","type":"sale","occurred_at":"yesterday"},
            {"id":7,"type":"write_off","occurred_at":"2026-05-01T08:00:00.500+00:00","service_point_id":"sp-4","write_off_id":"01972f3a-0000-7000-8000-000000000001"}]}"#,
        ))
        .unwrap();
        assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["7", "t1"]);
        assert_eq!(found[1].total, Some(Money { minor: 100_000, currency: "RUB".into() }));
        assert_eq!(found[0].occurred_ms - found[1].occurred_ms, 3_600_500);
    }

    #[test]
    fn of_many_clients_those_that_can_be_read_are_and_nobody_is_not_the_same_as_not_answered() {
        let found = clients(&answer(
            200,
            r#"{"items":[{"id":"c-1","client":{"id":"c-1","first_name":"Анна"},"transactions":[
                {"id":"t1","type":"sale","occurred_at":"2026-05-01T12:00:00.000+05:00"},{"id":"t2","type":"sale","occurred_at":"2026-05-01T13:00:00.000+05:00"},7]},
            {"id":"c-2","client":null,"transactions":[]},{"id":"c-3"},{"id":"c-4","client":{"id":"c-5"},"transactions":[]},
            {"id":"c-6","client":{"id":"c-6"}},{"id":"c-7","client":{"id":[]},"transactions":[]},{"client":null},null,
            {"id":8,"client":{"id":8},"transactions":[],"news":1}]}"#,
        ))
        .unwrap();
        let read: Vec<_> = found
            .iter()
            .map(|(id, one)| (id.as_str(), one.as_ref().map(|(_, list)| list.iter().map(|one| one.id.as_str()).collect::<Vec<_>>())))
            .collect();
        assert_eq!(read, [("c-1", Some(vec!["t2", "t1"])), ("c-2", None), ("8", Some(vec![]))]);
        for (status, body) in [(200, "{}"), (200, "<html>"), (200, r#"{"items":{}}"#), (404, "<html>")] {
            assert_eq!(clients(&answer(status, body)).unwrap_err().code(), "lime/unreadable", "{status} {body}");
        }
    }

    #[test]
    fn each_kind_of_bad_answer_says_what_can_be_done() {
        let problem = |status, body| client(&answer(status, body)).unwrap_err();
        assert_eq!(problem(404, r#"{"error":{"code":"not_found"}}"#), ParseProblem::NotFound);
        assert_eq!(problem(503, "<html>"), ParseProblem::Later { status: 503, after: None });
        assert_eq!(problem(422, r#"{"error":{"code":"bad\u0000 id"}}"#), ParseProblem::Refused { status: 422, code: "badid".into() });
        assert_eq!(problem(400, r#"{"error":{"code":"busy","retryable":true}}"#), ParseProblem::Later { status: 400, after: None });
        for (status, body) in [(404, "<html>404</html>"), (200, "<html>"), (200, r#"{"id":"c-1","first_name":"Ан"#), (302, "")] {
            assert_eq!(problem(status, body).code(), "lime/unreadable", "{status} {body}");
        }
    }

    #[test]
    fn an_unreadable_answer_does_not_quote_what_it_held() {
        let text = client(&answer(200, r#"{"id":["Анна Канарейкина"]}"#)).unwrap_err().to_string();
        assert!(!text.contains("Канарейкина"), "{text}");
    }
}
