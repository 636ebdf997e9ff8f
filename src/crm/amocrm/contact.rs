//! A contact: how one is read, recognised as a client's, and written.
//!
//! Never: a contact taken for a client's because a search returned it; one that bears another client's id, taken at all; a phone or e-mail that people
//! put there, dropped (values of a field are replaced as a whole, so old and new are sent together); a name that people gave, overwritten because Lime
//! spells it in another way.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::crm::card::{Card, CardField, CardValue, Person, Written};
use crate::crm::texts::Texts;
use crate::domain::{Client, ClientId, ContactField, Personal, Phone};
use crate::flow::contacts;

use super::schema::Schema;
use super::{value, wire};

/// Units of a name.
const NAME: usize = 200;
/// A card of ours says when it was written, and is written within this of the time that amoCRM notes for it.
const OURS_MS: i64 = 30_000;

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
    /// When it was changed last, milliseconds since 1970 UTC.
    pub updated_ms: i64,
    /// When a card of ours was written to it last.
    pub ours_ms: Option<i64>,
    first_name: Personal,
    last_name: Personal,
    /// `YYYY-MM-DD`, or empty.
    born: Personal,
    phones: Vec<Reach>,
    emails: Vec<Reach>,
}

/// What a PATCH is to say of who the client is.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// What Lime has and the contact lacks: no contact is ever asked what people wrote there.
    OneWay,
    /// These fields, as the two cards were merged. The contact's own are given, too, as they stand.
    Merged {
        /// What is to be set.
        set: &'a Held,
        /// What stands there.
        now: &'a Held,
    },
    /// Nothing: nobody changed anything.
    Nothing,
}

/// A person's card as it is merged.
pub type Held = crate::flow::contacts::Card;

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
        let part = |key: &str| Personal::new(wire::text(entry.get(key)).unwrap_or_default().trim());
        let seconds = |value: Option<&Value>| wire::number(value).map(|at| at.saturating_mul(1000));
        let (mut first_name, last_name) = (part("first_name"), part("last_name"));
        if first_name.is_empty() && last_name.is_empty() {
            first_name = part("name");
        }
        let born = schema.card(CardField::Birthday).and_then(|field| value::day(wire::custom(entry, field)?, &schema.zone));
        let own = |field: CardField| wire::custom_value(entry, schema.card(field)?);
        Some(Self {
            id: wire::id(entry.get("id"))?,
            client: own(CardField::ClientId).filter(|id| !id.trim().is_empty()).map(|id| ClientId(id.trim().to_owned())),
            visits: own(CardField::Visits).and_then(|text| wire::number(Some(&Value::String(text)))),
            updated_ms: seconds(entry.get("updated_at")).unwrap_or(0),
            ours_ms: schema.card(CardField::Updated).and_then(|field| seconds(wire::custom(entry, field))),
            first_name,
            last_name,
            born: Personal::new(born.unwrap_or_default()),
            phones: reach(entry, "PHONE"),
            emails: reach(entry, "EMAIL"),
        })
    }

    /// The phones that can be read.
    pub fn phones(&self) -> impl Iterator<Item = Phone> {
        self.phones.iter().filter_map(|phone| Phone::parse(phone.value.reveal()))
    }

    /// The addresses, as they stand.
    pub fn emails(&self) -> impl Iterator<Item = &str> {
        self.emails.iter().map(|email| email.value.reveal()).filter(|email| !email.trim().is_empty())
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
        if self.phones().any(|phone| client.phones.contains(&phone)) {
            return Some(Match::Phone);
        }
        let same = |mine: &Reach| client.emails.iter().any(|email| same_email(mine.value.reveal(), email.reveal()));
        self.emails.iter().any(same).then_some(Match::Email)
    }

    /// The card, to be merged with Lime's. A name that says only that there is none is none; where the account has no field for the birth date, it is
    /// as Lime's.
    #[must_use]
    pub fn held(&self, lime: &Held, schema: &Schema, texts: &Texts) -> Held {
        let mut card = Held::new();
        let first = if self.last_name.is_empty() && self.first_name.reveal() == texts.nameless() { "" } else { self.first_name.reveal() };
        contacts::split(first, self.last_name.reveal(), lime, &mut card);
        let born = match schema.card(CardField::Birthday) {
            Some(_) => contacts::Held::date(self.born.reveal()),
            None => lime.get(&ContactField::BirthDate).cloned().unwrap_or_default(),
        };
        card.insert(ContactField::BirthDate, born);
        card.insert(ContactField::Phones, contacts::Held::phones(self.phones.iter().map(|phone| phone.value.reveal())));
        card.insert(ContactField::Emails, contacts::Held::emails(self.emails.iter().map(|email| email.value.reveal())));
        card
    }

    /// When people changed it last, as far as that can be known: 0 where the last write was a card of ours.
    #[must_use]
    pub fn changed_ms(&self) -> i64 {
        let ours = self.ours_ms.is_some_and(|at| self.updated_ms.saturating_sub(at) <= OURS_MS);
        if ours { 0 } else { self.updated_ms }
    }

    /// What a PATCH has to say where these fields are to be set: phones and addresses as a whole, each as it stands there already where it does.
    fn set(&self, set: &Held, now: &Held, schema: &Schema, into: &mut Map<String, Value>) -> Vec<Value> {
        let mut wanted = now.clone();
        wanted.extend(set.iter().map(|(field, held)| (*field, held.clone())));
        let (before, after) = (contacts::joined(now), contacts::joined(&wanted));
        for (key, before, after) in [("first_name", &before.first, &after.first), ("last_name", &before.last, &after.last)] {
            if before != after {
                into.insert(key.to_owned(), json!(value::fit(after.reveal(), NAME)));
            }
        }
        let mut fields = Vec::new();
        if let (Some(born), Some(field)) = (set.get(&ContactField::BirthDate), schema.card(CardField::Birthday)) {
            let day = CardValue::Day(Personal::new(born.reveal()));
            fields.extend(if born.is_blank() { Some(value::cleared(field)) } else { value::field(field, &day, &schema.zone) });
        }
        if let Some(phones) = set.get(&ContactField::Phones) {
            let key = |text: &str| Phone::parse(text).map(|phone| phone.e164());
            fields.push(all_of("PHONE", &self.phones, phones, key, "MOB"));
        }
        if let Some(emails) = set.get(&ContactField::Emails) {
            let key = |text: &str| Some(text.trim().to_lowercase()).filter(|text| !text.is_empty());
            fields.push(all_of("EMAIL", &self.emails, emails, key, "PRIV"));
        }
        fields
    }

    /// What a PATCH has to say of who the client is: nothing, where the contact already says it. `named`: a name given by people stays, unless Lime's
    /// has changed since we wrote it.
    fn person_changes(&self, person: &Person, rename: bool, into: &mut Map<String, Value>) -> Vec<Value> {
        if rename || (self.first_name.is_empty() && self.last_name.is_empty()) {
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

/// A contact's card as it is to be, and as it was.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The contact as it stands, where it was read.
    pub found: Option<&'a Contact>,
    /// As it is to be.
    pub card: &'a Card,
    /// What it showed before.
    pub before: Option<&'a Written>,
    /// Who the client is.
    pub who: Who<'a>,
    /// It is a moment for the rest of the card, too.
    pub whole: bool,
}

/// The item of `PATCH /contacts`: what has changed since before, and nothing else. `None` when nothing has.
#[must_use]
pub fn change(id: u64, change: Change<'_>, schema: &Schema, now_wall_ms: i64) -> Option<Value> {
    let Change { found, card, before, who, whole } = change;
    let differs = |mark: fn(&Written) -> &str| before.is_none_or(|before| mark(before) != mark(&card.written));
    let mut item = Map::new();
    let mut fields = Vec::new();
    match (who, found) {
        (Who::OneWay, Some(found)) if differs(|written| &written.person) => {
            // Without a hash of ours nothing says that Lime's name is newer than the one that people gave.
            let rename = before.is_some_and(|before| !before.person.is_empty());
            fields.extend(found.person_changes(&card.person, rename, &mut item));
        }
        (Who::Merged { set, now }, Some(found)) => fields.extend(found.set(set, now, schema, &mut item)),
        _ => {}
    }
    if whole && differs(|written| &written.about) {
        // A birth date that goes both ways is merged, and written where it changed.
        let mine = card.about.iter().filter(|(field, _)| matches!(who, Who::OneWay) || *field != CardField::Birthday);
        fields.extend(own_fields(mine, schema));
    }
    if whole && differs(|written| &written.running) {
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

/// All values of a field, as they are to be. What is there in another spelling stays in it, and what is no phone or address at all stays, too.
fn all_of(code: &str, there: &[Reach], wanted: &contacts::Held, key: impl Fn(&str) -> Option<String>, kind: &str) -> Value {
    let mut missing: Vec<&Personal> = wanted.values().collect();
    let mut all: Vec<Reach> = Vec::new();
    for reach in there {
        match key(reach.value.reveal()) {
            None => all.push(reach.clone()),
            Some(key) => {
                if let Some(at) = missing.iter().position(|wanted| wanted.reveal() == key) {
                    missing.remove(at);
                    all.push(reach.clone());
                }
            }
        }
    }
    all.extend(missing.into_iter().map(|value| Reach { value: value.clone(), enum_code: Some(kind.to_owned()) }));
    if all.is_empty() { json!({ "field_code": code, "values": null }) } else { multitext(code, all.iter()) }
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
