//! Writing clients: `PATCH /clients/{id}` on the version that was read, and `POST /clients`, once for each `external_ref`. Pure.
//!
//! Both may be sent again when their outcome is unknown. A change that was carried out and not heard of ends in a conflict whose client already is what
//! was to be set. Never: a field that is Lime's own (category, cards, balances, relations) in a write.

use http::header::IF_MATCH;
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::{Client, ClientId, Personal, Phone};
use crate::http::{Answer, Request};
use crate::journal::{Learned, LedgerKey};

use super::parse::{ParseProblem, client_of};
use super::requests::segment;
use super::wire;
use super::written::{By, Written, body, refused_with};

/// What is to be set. What is `None` stays as it is; what is empty is cleared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFields {
    /// Family name.
    pub last_name: Option<Personal>,
    /// First name.
    pub first_name: Option<Personal>,
    /// Patronymic.
    pub middle_name: Option<Personal>,
    /// `YYYY-MM-DD`.
    pub birth_date: Option<Personal>,
    /// All phones.
    pub phones: Option<Vec<Phone>>,
    /// All e-mail addresses.
    pub emails: Option<Vec<Personal>>,
}

impl ClientFields {
    /// Nothing is to be set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn body(&self, by: By<'_>) -> Map<String, Value> {
        let mut body = Map::new();
        let texts =
            [("last_name", &self.last_name), ("first_name", &self.first_name), ("middle_name", &self.middle_name), ("birth_date", &self.birth_date)];
        for (name, text) in texts {
            if let Some(text) = text {
                body.insert(name.to_owned(), if text.is_empty() { Value::Null } else { json!(text.reveal()) });
            }
        }
        if let Some(phones) = &self.phones {
            body.insert("phones".to_owned(), phones.iter().map(Phone::e164).collect());
        }
        if let Some(emails) = &self.emails {
            body.insert("emails".to_owned(), emails.iter().map(|email| json!(email.reveal())).collect());
        }
        body.insert("origin".to_owned(), json!(by.origin));
        body.insert("origin_ref".to_owned(), json!(by.reference));
        body
    }
}

/// Lime's client is another than the one that was read; as it is now, where the answer says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConflict {
    /// As it is now.
    pub current: Option<Box<Client>>,
}

/// Changes a client: `PATCH /clients/{id}`, carried out only on the version that was read.
#[must_use]
pub fn change(id: &ClientId, version: i64, fields: &ClientFields, by: By<'_>) -> Request {
    let body = Value::Object(fields.body(by));
    let mut request = Request::json(Method::PATCH, format!("/clients/{}", segment(id.as_str())), &body, "PATCH /clients/{id}");
    request.headers.push((IF_MATCH, HeaderValue::from(version)));
    request
}

/// The answer to [`change`]: the client as it is after it.
#[must_use]
pub fn changed(answer: &Answer) -> Written<Box<Client>, ClientConflict> {
    if answer.status == StatusCode::PRECONDITION_FAILED {
        return Written::Conflict(ClientConflict { current: current(answer) });
    }
    done(answer)
}

/// Adds a client: `POST /clients`. The same `external_ref` never makes a second one.
#[must_use]
pub fn add(external_ref: &str, fields: &ClientFields, by: By<'_>) -> Request {
    let mut body = fields.body(by);
    body.retain(|_, value| !value.is_null());
    body.insert("external_ref".to_owned(), json!(external_ref));
    Request::json(Method::POST, "/clients", &Value::Object(body), "POST /clients")
}

/// The client of this `external_ref` was deleted in Lime, and is not made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientDeleted;

/// The answer to [`add`]: the client, new or as it was made before.
#[must_use]
pub fn added(answer: &Answer) -> Written<Box<Client>, ClientDeleted> {
    if refused_with(answer, StatusCode::GONE).is_some() {
        return Written::Conflict(ClientDeleted);
    }
    done(answer)
}

/// What is to be remembered of a client as Lime answered it after a write of ours: the feed then tells nobody of what is in it already. To be kept with
/// the verdict, and never before the answer: only the answer says which version is ours.
#[must_use]
pub fn wrote(client: &Client) -> Learned {
    Learned { key: wrote_key(&client.id), value: Some(client.version.to_string()) }
}

/// Where [`wrote`] stands in the ledger: `lime.wrote`, by Lime's id of the client.
#[must_use]
pub fn wrote_key(id: &ClientId) -> LedgerKey {
    LedgerKey { kind: "lime.wrote".to_owned(), key: id.0.clone() }
}

fn done<C>(answer: &Answer) -> Written<Box<Client>, C> {
    let read: Result<wire::Client, ParseProblem> = body(answer);
    match read {
        Ok(client) => Written::Done(Box::new(client_of(client))),
        Err(problem) => Written::of(&problem),
    }
}

/// In the error's details, or in its place.
fn current(answer: &Answer) -> Option<Box<Client>> {
    #[derive(Deserialize)]
    struct Refused {
        error: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        details: Details,
    }
    #[derive(Deserialize)]
    struct Details {
        current: wire::Client,
    }
    let inside = serde_json::from_slice(&answer.body).map(|refused: Refused| refused.error.details.current);
    let client = inside.or_else(|_| serde_json::from_slice(&answer.body)).ok()?;
    Some(Box::new(client_of(client)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    const BY: By<'_> = By { origin: "crm:amo", reference: "amo:contact:5" };

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn what_is_none_stays_and_what_is_empty_is_cleared() {
        let fields = ClientFields { middle_name: Some(Personal::default()), phones: Some(vec![]), ..ClientFields::default() };
        let request = change(&ClientId::from("c/1"), 17, &fields, BY);
        assert_eq!((request.path.as_str(), request.headers[0].1.to_str().unwrap()), ("/clients/c%2F1", "17"));
        let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        assert_eq!(body, json!({"middle_name": null, "phones": [], "origin": "crm:amo", "origin_ref": "amo:contact:5"}));
        let body: Value = serde_json::from_slice(&add("amo:contact:5", &fields, BY).body.unwrap()).unwrap();
        assert_eq!(body, json!({"external_ref": "amo:contact:5", "phones": [], "origin": "crm:amo", "origin_ref": "amo:contact:5"}));
    }

    #[test]
    fn a_conflict_brings_the_client_as_it_is_wherever_it_stands() {
        let client = r#"{"id":"c-1","version":18,"first_name":"Анна"}"#;
        for body in [client.to_owned(), format!(r#"{{"error":{{"code":"version_conflict","message":"x","details":{{"current":{client}}}}}}}"#)] {
            let Written::Conflict(ClientConflict { current: Some(current) }) = changed(&answer(412, &body)) else { panic!("{body}") };
            assert_eq!(current.version, 18);
        }
        assert_eq!(changed(&answer(412, "<html>")), Written::Conflict(ClientConflict { current: None }));
    }

    #[test]
    fn each_end_of_a_write_is_told_from_the_others() {
        let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"x","retryable":false}}}}"#);
        assert!(matches!(added(&answer(201, r#"{"id":"c-1","version":1}"#)), Written::Done(client) if client.version == 1));
        assert_eq!(added(&answer(410, &error("client_deleted"))), Written::Conflict(ClientDeleted));
        assert_eq!(changed(&answer(422, &error("read_only"))), Written::Refused("lime/read_only".to_owned()));
        assert_eq!(changed(&answer(404, &error("not_found"))), Written::Refused("lime/not_found".to_owned()));
        for (status, body, code) in [(503, "", "lime/503"), (200, "<html>", "lime/unreadable"), (404, "<html>", "lime/unreadable")] {
            assert!(matches!(changed(&answer(status, body)), Written::Later { code: found, .. } if found == code), "{status} {body}");
        }
    }
}
