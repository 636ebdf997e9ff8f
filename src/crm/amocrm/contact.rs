//! A contact: how one is read, recognised as a client's, and written.
//!
//! Never: a contact taken for a client's because a search returned it; one that bears another client's id, taken at all; a phone or e-mail that people
//! put there, dropped (values of a field are replaced as a whole, so old and new are sent together); a name that people gave, overwritten because Lime
//! spells it in another way.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::crm::card::{Card, CardField, CardValue, Person, Written};
use crate::crm::texts::Texts;
use crate::domain::{Client, ClientId, Personal, Phone};

use super::schema::Schema;
use super::{value, wire};

/// Units of a name.
const NAME: usize = 200;

/// A value of a multitext field (PHONE, EMAIL), as it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reach {
    value: Personal,
    enum_code: Option<String>,
}

/// A contact, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// amoCRM's id.
    pub id: u64,
    /// The client id that it bears.
    pub client: Option<ClientId>,
    /// The visits that it shows.
    pub visits: Option<i64>,
    named: bool,
    phones: Vec<Reach>,
    emails: Vec<Reach>,
}

/// How sure it is that a contact is a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// It bears an e-mail address of the client.
    Email,
    /// It bears a phone of the client.
    Phone,
    /// It bears the client's id.
    Id,
}

impl Contact {
    /// Reads one of a list's entries; `None` when it is deleted or cannot be read.
    #[must_use]
    pub fn read(entry: &Value, schema: &Schema) -> Option<Self> {
        if entry.get("is_deleted").and_then(Value::as_bool) == Some(true) {
            return None;
        }
        let filled = |key: &str| wire::text(entry.get(key)).is_some_and(|text| !text.trim().is_empty());
        let own = |field: CardField| wire::custom_value(entry, schema.card(field)?);
        Some(Self {
            id: wire::id(entry.get("id"))?,
            client: own(CardField::ClientId).filter(|id| !id.trim().is_empty()).map(|id| ClientId(id.trim().to_owned())),
            visits: own(CardField::Visits).and_then(|text| wire::number(Some(&Value::String(text)))),
            named: filled("first_name") || filled("last_name") || filled("name"),
            phones: reach(entry, "PHONE"),
            emails: reach(entry, "EMAIL"),
        })
    }

    /// Whether and how it is this client's.
    #[must_use]
    pub fn is_of(&self, client: &Client) -> Option<Match> {
        match &self.client {
            Some(id) if *id == client.id => return Some(Match::Id),
            // Families share phones: a contact that bears another client's id is that client's.
            Some(_) => return None,
            None => {}
        }
        let phones = || self.phones.iter().filter_map(|phone| Phone::parse(phone.value.reveal()));
        if phones().any(|phone| client.phones.contains(&phone)) {
            return Some(Match::Phone);
        }
        let same = |mine: &Reach| client.emails.iter().any(|email| same_email(mine.value.reveal(), email.reveal()));
        self.emails.iter().any(same).then_some(Match::Email)
    }

    /// What a PATCH has to say of who the client is: nothing, where the contact already says it. `named`: a name given by people stays, unless Lime's
    /// has changed since we wrote it.
    fn person_changes(&self, person: &Person, rename: bool, into: &mut Map<String, Value>) -> Vec<Value> {
        if rename || !self.named {
            name(person, into);
        }
        let known: BTreeSet<Phone> = self.phones.iter().filter_map(|phone| Phone::parse(phone.value.reveal())).collect();
        let new: Vec<Reach> = person.phones.iter().filter(|phone| !known.contains(phone)).map(mobile).collect();
        let mut fields = Vec::new();
        if !new.is_empty() {
            fields.push(multitext("PHONE", self.phones.iter().chain(&new)));
        }
        let has = |email: &Personal| self.emails.iter().any(|mine| same_email(mine.value.reveal(), email.reveal()));
        let new: Vec<Reach> = person.emails.iter().filter(|email| !has(email)).map(private).collect();
        if !new.is_empty() {
            fields.push(multitext("EMAIL", self.emails.iter().chain(&new)));
        }
        fields
    }
}

/// The name of a client's item in `POST /contacts`: never to be taken for an index.
#[must_use]
pub fn request_id(client: &ClientId) -> String {
    format!("lime:{client}")
}

/// The item of `POST /contacts`.
#[must_use]
pub fn create(client: &ClientId, card: &Card, schema: &Schema, texts: &Texts, now_wall_ms: i64) -> Value {
    let mut item = Map::new();
    name(&card.person, &mut item);
    if item.is_empty() {
        item.insert("name".to_owned(), json!(texts.nameless()));
    }
    let mut fields = Vec::new();
    let phones: Vec<Reach> = card.person.phones.iter().map(mobile).collect();
    if !phones.is_empty() {
        fields.push(multitext("PHONE", phones.iter()));
    }
    let emails: Vec<Reach> = card.person.emails.iter().map(private).collect();
    if !emails.is_empty() {
        fields.push(multitext("EMAIL", emails.iter()));
    }
    fields.extend(own_fields(card.about.iter().chain(&card.running), schema));
    fields.extend(own_fields([&(CardField::Updated, CardValue::At(now_wall_ms))], schema));
    item.insert("custom_fields_values".to_owned(), Value::Array(fields));
    item.insert("tags_to_add".to_owned(), json!([{ "name": texts.tag() }]));
    item.insert("request_id".to_owned(), json!(request_id(client)));
    Value::Object(item)
}

/// The item of `PATCH /contacts`: what has changed since `before`, and nothing else. `None` when nothing has. `found` is the contact as it stands, where
/// it was read.
#[must_use]
pub fn change(id: u64, found: Option<&Contact>, card: &Card, before: Option<&Written>, schema: &Schema, now_wall_ms: i64) -> Option<Value> {
    let differs = |mark: fn(&Written) -> &str| before.is_none_or(|before| mark(before) != mark(&card.written));
    let mut item = Map::new();
    let mut fields = Vec::new();
    if let Some(found) = found.filter(|_| differs(|written| &written.person)) {
        // Without a hash of ours nothing says that Lime's name is newer than the one that people gave.
        let rename = before.is_some_and(|before| !before.person.is_empty());
        fields.extend(found.person_changes(&card.person, rename, &mut item));
    }
    if differs(|written| &written.about) {
        fields.extend(own_fields(&card.about, schema));
    }
    if differs(|written| &written.running) {
        fields.extend(own_fields(&card.running, schema));
    }
    if item.is_empty() && fields.is_empty() {
        return None;
    }
    fields.extend(own_fields([&(CardField::Updated, CardValue::At(now_wall_ms))], schema));
    item.insert("id".to_owned(), json!(id));
    item.insert("custom_fields_values".to_owned(), Value::Array(fields));
    Some(Value::Object(item))
}

fn own_fields<'a>(values: impl IntoIterator<Item = &'a (CardField, CardValue)>, schema: &Schema) -> Vec<Value> {
    values.into_iter().filter_map(|(field, said)| value::field(schema.card(*field)?, said, &schema.zone)).collect()
}

fn name(person: &Person, into: &mut Map<String, Value>) {
    for (key, part) in [("first_name", &person.first_name), ("last_name", &person.last_name)] {
        if !part.reveal().trim().is_empty() {
            into.insert(key.to_owned(), json!(value::fit(part.reveal(), NAME)));
        }
    }
}

fn reach(entry: &Value, code: &str) -> Vec<Reach> {
    let fields = entry.get("custom_fields_values").and_then(Value::as_array).into_iter().flatten();
    let field = fields.filter(|field| field.get("field_code").and_then(Value::as_str) == Some(code));
    let values = field.flat_map(|field| field.get("values").and_then(Value::as_array).into_iter().flatten());
    let read = |value: &Value| Some(Reach { value: Personal::new(wire::text(value.get("value"))?), enum_code: wire::text(value.get("enum_code")) });
    values.filter_map(read).collect()
}

fn mobile(phone: &Phone) -> Reach {
    Reach { value: Personal::new(phone.e164()), enum_code: Some("MOB".to_owned()) }
}

fn private(email: &Personal) -> Reach {
    Reach { value: email.clone(), enum_code: Some("PRIV".to_owned()) }
}

fn multitext<'a>(code: &str, values: impl Iterator<Item = &'a Reach>) -> Value {
    let values: Vec<Value> = values
        .map(|reach| match &reach.enum_code {
            Some(enum_code) => json!({ "value": reach.value.reveal(), "enum_code": enum_code }),
            None => json!({ "value": reach.value.reveal() }),
        })
        .collect();
    json!({ "field_code": code, "values": values })
}

fn same_email(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}
