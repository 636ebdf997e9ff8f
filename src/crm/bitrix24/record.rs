//! What is written: a contact's fields from its card, a deal and a timeline line from a write-off. Pure.
//!
//! Never: a phone or e-mail sent again that the contact has; a value of the portal's own blanked because Lime has none; a name that people changed in
//! a card we did not make, overwritten.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::schema::{CONTACT, Funnel, Schema};
use super::wire;
use crate::crm::card::{Card, CardField, CardValue};
use crate::crm::texts::{PassField, Texts};
use crate::domain::{Client, ClientId, Money, Phone, WriteOff};

/// `originatorId` of everything that limegate creates.
pub const ORIGINATOR: &str = "LIME";

/// `originId` of a client's contact.
#[must_use]
pub fn contact_origin(client: &ClientId) -> String {
    format!("client:{client}")
}

/// The client of a contact's `originId`.
#[must_use]
pub fn client_of_origin(origin: &str) -> Option<ClientId> {
    origin.strip_prefix("client:").filter(|id| !id.is_empty()).map(ClientId::from)
}

/// `originId` of a pass's deal, and the token in its timeline line: the business key.
#[must_use]
pub fn pass_origin(pass: &Uuid) -> String {
    format!("pass:{pass}")
}

/// An object under construction.
pub type Fields = Map<String, Value>;

/// Which parts of a card are to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Names, phones, e-mails.
    pub person: bool,
    /// What Lime knows of the client.
    pub about: bool,
    /// What every pass changes.
    pub running: bool,
}

impl Parts {
    /// All of them.
    pub const ALL: Self = Self { person: true, about: true, running: true };

    /// Whether there is anything to write.
    #[must_use]
    pub fn any(self) -> bool {
        self.person || self.about || self.running
    }
}

/// Our own fields of a card, by the portal's keys.
#[must_use]
pub fn card_fields(card: &Card, client: &Client, parts: Parts, schema: &Schema, zone: &TimeZone, now_ms: i64) -> Fields {
    let mut out = Fields::new();
    let about = card.about.iter().filter(|_| parts.about);
    let running = card.running.iter().filter(|_| parts.running);
    for (field, value) in about.chain(running) {
        if let (CardField::Birthday, CardValue::Day(day)) = (field, value) {
            out.insert("birthdate".to_owned(), json!(day.reveal()));
        } else if let Some(key) = schema.contact.get(field.code()) {
            out.insert(key.clone(), spell(*field, value, client, zone));
        }
    }
    if parts.any()
        && let Some(key) = schema.contact.get(CardField::Updated.code())
    {
        out.insert(key.clone(), json!(instant(now_ms, zone)));
    }
    out
}

fn spell(field: CardField, value: &CardValue, client: &Client, zone: &TimeZone) -> Value {
    match value {
        CardValue::Lines(text) if field == CardField::Children => text.reveal().lines().collect(),
        CardValue::Text(text) | CardValue::Lines(text) | CardValue::Day(text) => json!(text.reveal()),
        CardValue::Number(number) => json!(number),
        CardValue::Minor(minor) => {
            let currency = client.balances.deposit.as_ref().map_or("RUB", |money| money.currency.as_str());
            json!(format!("{}|{currency}", major(*minor)))
        }
        CardValue::At(at) => json!(instant(*at, zone)),
    }
}

/// A new contact.
#[must_use]
pub fn new_contact(client: &Client, own: Fields, nameless: &str, with_emails: bool) -> Value {
    let mut fields = own;
    names(client, None, &mut fields);
    if !fields.contains_key("name") && !fields.contains_key("lastName") {
        fields.insert("name".to_owned(), json!(nameless));
    }
    let phones = client.phones.iter().map(|phone| entry("PHONE", "MOBILE", &phone.e164()));
    let emails = client.emails.iter().filter(|email| with_emails && !email.is_empty()).map(|email| entry("EMAIL", "HOME", email.reveal()));
    let fm: Vec<Value> = phones.chain(emails).collect();
    if !fm.is_empty() {
        fields.insert("fm".to_owned(), Value::Array(fm));
    }
    fields.insert("typeId".to_owned(), json!("CLIENT"));
    fields.insert("opened".to_owned(), json!("Y"));
    fields.insert("originatorId".to_owned(), json!(ORIGINATOR));
    fields.insert("originId".to_owned(), json!(contact_origin(&client.id)));
    json!({ "entityTypeId": CONTACT, "fields": fields })
}

/// Names of the client. With `blanks`, only those that the contact lacks.
fn names(client: &Client, blanks: Option<&Value>, fields: &mut Fields) {
    for (key, name) in [("name", &client.first_name), ("secondName", &client.middle_name), ("lastName", &client.last_name)] {
        let there = blanks.and_then(|item| item.get(key)).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
        if !name.reveal().trim().is_empty() && !there {
            fields.insert(key.to_owned(), json!(name.reveal().trim()));
        }
    }
}

/// What to add to a contact that is there, so that it shows the person: `item` is the contact as just read. A card that we did not write before keeps
/// the names that people gave it.
pub fn person(client: &Client, item: &Value, ours: bool, fields: &mut Fields) {
    names(client, (!ours).then_some(item), fields);
    let there = item.get("fm").map(wire::rows).unwrap_or_default();
    let values = |kind: &str| -> Vec<String> {
        there
            .iter()
            .filter(|entry| entry.get("typeId").and_then(Value::as_str) == Some(kind))
            .filter_map(|entry| entry.get("value").and_then(wire::text))
            .collect()
    };
    let phones: Vec<Phone> = values("PHONE").iter().filter_map(|text| Phone::parse(text)).collect();
    let emails: Vec<String> = values("EMAIL").iter().map(|text| text.trim().to_lowercase()).collect();
    let new_phones = client.phones.iter().filter(|phone| !phones.contains(phone)).map(|phone| entry("PHONE", "MOBILE", &phone.e164()));
    let new_emails = client
        .emails
        .iter()
        .filter(|email| !email.is_empty() && !emails.contains(&email.reveal().trim().to_lowercase()))
        .map(|email| entry("EMAIL", "HOME", email.reveal()));
    // Keys n0, n1, ... add; a number would be taken for the id of an entry, and a list has numbers for keys.
    let added: Fields = new_phones.chain(new_emails).enumerate().map(|(n, entry)| (format!("n{n}"), entry)).collect();
    if !added.is_empty() {
        fields.insert("fm".to_owned(), Value::Object(added));
    }
}

/// Without `typeId` and `value` the server ignores an entry and answers success.
fn entry(kind: &str, value_type: &str, value: &str) -> Value {
    json!({ "typeId": kind, "valueType": value_type, "value": value })
}

/// A pass's deal.
#[must_use]
pub fn deal(write_off: &WriteOff, contact: Option<u64>, schema: &Schema, funnel: &Funnel, texts: &Texts, now_ms: i64) -> Value {
    let mut fields = Fields::new();
    let charge = write_off.charge.as_ref();
    fields.insert("title".to_owned(), json!(texts.deal_title(write_off)));
    fields.insert("categoryId".to_owned(), json!(funnel.category));
    fields.insert("stageId".to_owned(), json!(funnel.stage));
    fields.insert("originatorId".to_owned(), json!(ORIGINATOR));
    fields.insert("originId".to_owned(), json!(pass_origin(&write_off.pass_id)));
    if let Some(contact) = contact {
        fields.insert("contactId".to_owned(), json!(contact));
    }
    if let Some(Money { minor, currency }) = charge.and_then(|charge| charge.money.as_ref()) {
        fields.insert("opportunity".to_owned(), json!(major(*minor)));
        fields.insert("isManualOpportunity".to_owned(), json!("Y"));
        fields.insert("currencyId".to_owned(), json!(currency));
    }
    if let Some(day) = day(write_off.occurred.at_ms, &texts.zone) {
        fields.insert("begindate".to_owned(), json!(day));
        fields.insert("closedate".to_owned(), json!(day));
    }
    for field in PassField::ALL {
        if let (Some(key), Some(value)) = (schema.deal.get(field.code()), pass_value(field, write_off, texts, now_ms)) {
            fields.insert(key.clone(), json!(value));
        }
    }
    json!({ "entityTypeId": super::schema::DEAL, "fields": fields })
}

fn pass_value(field: PassField, write_off: &WriteOff, texts: &Texts, now_ms: i64) -> Option<String> {
    let charge = write_off.charge.as_ref();
    match field {
        PassField::EventUid => Some(write_off.pass_id.to_string()),
        PassField::Kind => Some(texts.outcome(write_off.status).to_owned()),
        PassField::At => Some(instant(write_off.occurred.at_ms, &texts.zone)),
        PassField::Point => Some(point(write_off).to_owned()),
        PassField::Ticket => charge.and_then(|charge| charge.title.clone()),
        PassField::Left => write_off.right.as_ref().and_then(|right| texts.left(right)),
        PassField::Medium => Some(write_off.medium_masked.clone()),
        PassField::Remark => texts.remark(write_off, now_ms),
    }
}

fn point(write_off: &WriteOff) -> &str {
    write_off.service_point_title.as_deref().filter(|title| !title.is_empty()).unwrap_or(write_off.service_point.as_str())
}

/// A pass's line in the contact's timeline. It has no field for a key of ours, so the key ends its text.
#[must_use]
pub fn line(write_off: &WriteOff, contact: u64, texts: &Texts, now_ms: i64) -> Value {
    let mut said = vec![format!("{} · {}", texts.moment(write_off.occurred.at_ms), texts.outcome(write_off.status))];
    for field in [PassField::Point, PassField::Ticket, PassField::Left, PassField::Medium, PassField::Remark] {
        if let Some(value) = pass_value(field, write_off, texts, now_ms) {
            said.push(format!("{}: {value}", texts.pass_field(field)));
        }
    }
    if let Some(money) = write_off.charge.as_ref().and_then(|charge| charge.money.as_ref()) {
        said.insert(1, texts.money(money));
    }
    said.push(pass_origin(&write_off.pass_id));
    let text = said.join("\n");
    json!({ "fields": { "entityTypeId": CONTACT, "entityId": contact, "title": texts.deal_title(write_off), "text": text, "iconCode": "info" } })
}

/// Our keys among what was sent that the returned item does not have: the portal ignores what it does not know, and says nothing.
#[must_use]
pub fn ignored(sent: &Value, item: &Value) -> Vec<String> {
    let Some(sent) = sent.get("fields").and_then(wire::map) else { return Vec::new() };
    sent.keys().filter(|key| key.starts_with("uf") && item.get(key.as_str()).is_none()).cloned().collect()
}

/// Minor units as the portal counts: `1250.50`.
pub(super) fn major(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", minor.unsigned_abs() / 100, minor.unsigned_abs() % 100)
}

/// RFC 3339 with the venue's offset.
pub(super) fn instant(at_ms: i64, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(at_ms) {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        Err(_) => String::new(),
    }
}

pub(super) fn day(at_ms: i64, zone: &TimeZone) -> Option<String> {
    Some(Timestamp::from_millisecond(at_ms).ok()?.to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string())
}
