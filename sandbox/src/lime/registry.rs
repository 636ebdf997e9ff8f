//! Writing clients: `POST /clients`, `PATCH /clients/{id}`, and the fields that both and the cashier fill.
//!
//! Invariants: an `external_ref` makes one client, whenever it is sent again; a change is carried out only on the version it names (`If-Match`), and is
//! answered with the client as it is otherwise; what is Lime's own (children, balances, cards, category) is never taken from outside.

use bytes::Bytes;
use http::header::IF_MATCH;
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::clients::Client;
use super::feeds::Origin;
use super::{Lime, body, errors};
use crate::wire;

/// What only Lime says.
const OWN: [&str; 7] = ["id", "version", "category", "cards", "balances", "relations", "created_via"];

/// A value that cannot be taken, as the field's name.
pub(super) type Unfit = String;

/// Takes over what is given: a text or list sets, null or empty clears, what is absent stays.
pub(super) fn fill(client: &mut Client, given: &Map<String, Value>) -> Result<(), Unfit> {
    for (name, slot) in
        [("last_name", &mut client.person.last_name), ("first_name", &mut client.person.first_name), ("middle_name", &mut client.person.middle_name)]
    {
        match given.get(name) {
            None => {}
            Some(Value::Null) => slot.clear(),
            Some(Value::String(text)) => text.trim().clone_into(slot),
            Some(_) => return Err(name.to_owned()),
        }
    }
    match given.get("birth_date") {
        None => {}
        Some(Value::Null) => client.person.birth_date.clear(),
        Some(Value::String(day)) if day.len() == 10 && day.parse::<jiff::civil::Date>().is_ok() => day.clone_into(&mut client.person.birth_date),
        Some(_) => return Err("birth_date".to_owned()),
    }
    match given.get("gender").map(|gender| gender.as_str()) {
        None | Some(None) => {}
        Some(Some("male")) => client.person.female = false,
        Some(Some("female")) => client.person.female = true,
        Some(Some(_)) => return Err("gender".to_owned()),
    }
    if let Some(phones) = list(given, "phones")? {
        let e164 = |phone: &String| {
            phone.strip_prefix('+').is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if !phones.iter().all(e164) {
            return Err("phones".to_owned());
        }
        client.phones = phones;
    }
    if let Some(emails) = list(given, "emails")? {
        if !emails.iter().all(|email| email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())) {
            return Err("emails".to_owned());
        }
        client.emails = emails;
    }
    match given.get("consents").and_then(|consents| consents.get("mailing")) {
        None => {}
        Some(Value::Bool(mailing)) => client.mailing = *mailing,
        Some(_) => return Err("consents".to_owned()),
    }
    Ok(())
}

fn list(given: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, Unfit> {
    match given.get(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(Vec::new())),
        Some(Value::Array(list)) => {
            let texts: Option<Vec<String>> = list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            texts.map(Some).ok_or_else(|| name.to_owned())
        }
        Some(_) => Err(name.to_owned()),
    }
}

fn unfit(field: &str) -> Response<Bytes> {
    errors::error(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", &format!("{field} cannot be taken as it is"), false)
}

impl Lime {
    /// Registers a client that the gateway knows and Lime does not.
    pub(super) fn post_client(&mut self, wall_ms: i64, request: &Request<Bytes>) -> Result<(StatusCode, Value), errors::Refused> {
        let given = body(request).map_err(|message| errors::malformed(&message))?;
        let reference = given.get("external_ref").and_then(Value::as_str).filter(|reference| !reference.is_empty());
        let Some(reference) = reference.map(str::to_owned) else { return Err(errors::malformed("external_ref is missing or not a text").into()) };
        if let Some(id) = self.references.get(&reference) {
            let Some(known) = self.client(id) else {
                return Err(errors::error(StatusCode::GONE, "client_deleted", "the client of this external_ref was deleted", false).into());
            };
            return Ok((StatusCode::OK, known));
        }
        let id = self.new_client_id();
        let mut client = Client { created_via: "site".to_owned(), version: 0, ..super::seed::blank(&id) };
        fill(&mut client, &given).map_err(|field| unfit(&field))?;
        if client.person.first_name.is_empty() && client.phones.is_empty() && client.emails.is_empty() {
            return Err(unfit("first_name").into());
        }
        self.references.insert(reference.clone(), id.clone());
        self.admit(client, wall_ms, &Origin::given(&with_reference(&given, &reference)));
        Ok((StatusCode::CREATED, self.client(&id).unwrap_or_default()))
    }

    /// Changes a client whose version the caller knows.
    pub(super) fn patch_client(&mut self, wall_ms: i64, id: &str, request: &Request<Bytes>) -> Result<(StatusCode, Value), errors::Refused> {
        let given = body(request).map_err(|message| errors::malformed(&message))?;
        let Some(mut client) = self.clients.get(id).cloned() else { return Err(errors::not_found("client").into()) };
        let expected = request.headers().get(IF_MATCH).and_then(|value| value.to_str().ok()).map(|value| value.trim().trim_matches('"').to_owned());
        let Some(expected) = expected else {
            return Err(errors::error(StatusCode::PRECONDITION_REQUIRED, "version_required", "If-Match: <version> is missing", false).into());
        };
        if expected != client.version.to_string() {
            let body = json!({"error": {"code": "version_conflict", "message": "the client has changed meanwhile", "retryable": false,
                "details": {"current": self.client(id)}}});
            return Err(wire::json(StatusCode::PRECONDITION_FAILED, &body).into());
        }
        if let Some(own) = OWN.into_iter().find(|own| given.contains_key(*own)) {
            return Err(errors::error(StatusCode::UNPROCESSABLE_ENTITY, "read_only", &format!("{own} is Lime's own"), false).into());
        }
        fill(&mut client, &given).map_err(|field| unfit(&field))?;
        let before = self.client(id);
        let named = self.clients.insert(id.to_owned(), client);
        // What changes nothing is no new version.
        if self.client(id) != before {
            let origin = Origin::given(&given);
            self.client_changed(id, wall_ms, &origin);
            if named.is_some_and(|was| self.clients.get(id).is_some_and(|is| is.person != was.person)) {
                self.family_changed(id, wall_ms, &Origin::lime());
            }
        }
        Ok((StatusCode::OK, self.client(id).unwrap_or_default()))
    }

    pub(super) fn new_client_id(&mut self) -> String {
        loop {
            self.seeded += 1;
            let id = format!("c-{}", self.seeded);
            if !self.clients.contains_key(&id) {
                return id;
            }
        }
    }

    /// A client comes into being: with a deposit if an adult, and told in the feed as version 1.
    pub(super) fn admit(&mut self, mut client: Client, wall_ms: i64, origin: &Origin) {
        let id = client.id.clone();
        client.version = 0;
        if !client.child && client.deposit.is_none() {
            let right = format!("r-{}-d", id.trim_start_matches("c-"));
            self.rights.insert(right.clone(), super::write_offs::Right::deposit(0));
            client.deposit = Some(right);
        }
        self.clients.insert(id.clone(), client);
        self.client_changed(&id, wall_ms, origin);
    }
}

fn with_reference(given: &Map<String, Value>, reference: &str) -> Map<String, Value> {
    let mut given = given.clone();
    given.entry("origin_ref").or_insert_with(|| json!(reference));
    given
}
