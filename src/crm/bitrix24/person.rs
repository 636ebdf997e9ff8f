//! A contact as a card of six fields that both sides may write, and back: pure.
//!
//! Never: a phone or address entered a second time in another spelling; an entry that is no phone touched; an entry named by an id that was not just read
//! (an unknown id adds).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::wire;
use crate::crm::bitrix24::record::Fields;
use crate::domain::{ContactField, Personal, Phone};
use crate::flow::contacts::{Card, Held};
use crate::lime::clients::ClientFields;

/// Names and the birth date, by the portal's own keys.
const TEXTS: [(ContactField, &str); 4] = [
    (ContactField::LastName, "lastName"),
    (ContactField::FirstName, "name"),
    (ContactField::MiddleName, "secondName"),
    (ContactField::BirthDate, "birthdate"),
];

/// The six fields of a contact as `crm.item.get` and `crm.item.update` show it.
#[must_use]
pub fn card(item: &Value) -> Card {
    let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut card: Card = TEXTS.iter().map(|(field, key)| (*field, Held::text(text(key)))).collect();
    card.insert(ContactField::BirthDate, item.get("birthdate").and_then(wire::day).map(Held::date).unwrap_or_default());
    let values = |kind: &str| -> Vec<String> { entries(item, kind).filter_map(|entry| entry.get("value").and_then(wire::text)).collect() };
    card.insert(ContactField::Phones, Held::phones(values("PHONE").iter().map(String::as_str)));
    card.insert(ContactField::Emails, Held::emails(values("EMAIL").iter().map(String::as_str)));
    card
}

/// When a contact was changed last, milliseconds since 1970 UTC; 0 where it does not say.
#[must_use]
pub fn changed_ms(item: &Value) -> i64 {
    let at = item.get("updatedTime").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    at.map_or(0, Timestamp::as_millisecond)
}

/// What has to be sent so that the contact, as just read, holds what is wanted.
pub fn fields(wanted: &Card, item: &Value, fields: &mut Fields) {
    for (field, key) in TEXTS {
        if let Some(held) = wanted.get(&field) {
            fields.insert(key.to_owned(), json!(held.reveal()));
        }
    }
    let mut multi = Map::new();
    if let Some(held) = wanted.get(&ContactField::Phones) {
        entered(("PHONE", "MOBILE"), held, item, |text| Held::phones([text]), &mut multi);
    }
    if let Some(held) = wanted.get(&ContactField::Emails) {
        entered(("EMAIL", "HOME"), held, item, |text| Held::emails([text]), &mut multi);
    }
    if !multi.is_empty() {
        fields.insert("fm".to_owned(), Value::Object(multi));
    }
}

/// The entries of one kind that have to be changed, deleted and added.
fn entered((kind, sort): (&str, &str), wanted: &Held, item: &Value, normal: impl Fn(&str) -> Held, out: &mut Map<String, Value>) {
    let mut missing: Vec<&Personal> = wanted.values().collect();
    let mut surplus: Vec<(u64, &Value)> = Vec::new();
    for entry in entries(item, kind) {
        let held = normal(&entry.get("value").and_then(wire::text).unwrap_or_default());
        let Some(value) = held.values().next() else { continue };
        if let Some(at) = missing.iter().position(|one| *one == value) {
            missing.remove(at);
        } else if let (Some(id), false) = (entry.get("id").and_then(wire::id), wanted.values().any(|one| one == value)) {
            surplus.push((id, entry));
        }
    }
    let mut missing = missing.into_iter();
    // A number that was changed keeps its place and its sort.
    for (id, entry) in surplus {
        let sort = entry.get("valueType").and_then(Value::as_str).unwrap_or(sort);
        let value = missing.next().map_or("", Personal::reveal);
        out.insert(id.to_string(), json!({ "typeId": kind, "valueType": sort, "value": value }));
    }
    for value in missing {
        out.insert(format!("n{}", out.len()), json!({ "typeId": kind, "valueType": sort, "value": value.reveal() }));
    }
}

fn entries<'a>(item: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = item.get("fm").map(wire::rows).unwrap_or_default();
    all.into_iter().filter(move |entry| entry.get("typeId").and_then(Value::as_str) == Some(kind))
}

/// What Lime's client is to hold.
#[must_use]
pub fn to_lime(wanted: &Card) -> ClientFields {
    let text = |field: ContactField| wanted.get(&field).map(|held| Personal::new(held.reveal()));
    ClientFields {
        last_name: text(ContactField::LastName),
        first_name: text(ContactField::FirstName),
        middle_name: text(ContactField::MiddleName),
        birth_date: text(ContactField::BirthDate),
        phones: wanted.get(&ContactField::Phones).map(|held| held.values().filter_map(|phone| Phone::parse(phone.reveal())).collect()),
        emails: wanted.get(&ContactField::Emails).map(|held| held.values().cloned().collect()),
    }
}

/// Of what a card shows now, the fields that were sent: the others may have been changed by people meanwhile, and that is for the next merge to see.
#[must_use]
pub fn of_those_sent(shown: Card, sent: &Card) -> Card {
    shown.into_iter().filter(|(field, _)| sent.contains_key(field)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Value {
        json!({
            "name": "Анна", "secondName": null, "lastName": "Иванова", "birthdate": "1990-02-03T03:00:00+03:00", "updatedTime": "2026-11-22T14:32:00+03:00",
            "fm": [
                {"id": 7, "typeId": "PHONE", "valueType": "WORK", "value": "8 (999) 123-45-67"},
                {"id": 8, "typeId": "PHONE", "valueType": "MOBILE", "value": "+79990000000"},
                {"id": 9, "typeId": "PHONE", "valueType": "WORK", "value": "доб. 12"},
                {"id": 10, "typeId": "EMAIL", "valueType": "HOME", "value": "Anna@Example.ru"},
            ],
        })
    }

    fn sent(wanted: &[(ContactField, Held)]) -> Value {
        let mut out = Fields::new();
        fields(&wanted.iter().cloned().collect(), &item(), &mut out);
        Value::Object(out)
    }

    #[test]
    fn a_contact_is_read_in_one_spelling() {
        let card = card(&item());
        let of = |field: ContactField| card[&field].values().map(|one| one.reveal().to_owned()).collect::<Vec<_>>();
        assert_eq!(of(ContactField::Phones), ["+79990000000", "+79991234567"]);
        assert_eq!((of(ContactField::Emails), of(ContactField::BirthDate)), (vec!["anna@example.ru".to_owned()], vec!["1990-02-03".to_owned()]));
        assert!(card[&ContactField::MiddleName].is_blank());
        assert_eq!(changed_ms(&item()), 1_795_347_120_000);
        assert_eq!(super::card(&json!({"fm": []})).values().filter(|held| !held.is_blank()).count(), 0);
    }

    #[test]
    fn only_what_differs_is_sent_and_each_entry_by_its_id() {
        let same = sent(&[(ContactField::Phones, Held::phones(["89991234567", "+79990000000"]))]);
        assert_eq!(same, json!({}), "another spelling is no difference, and what is no phone is left alone");
        let changed = sent(&[(ContactField::Phones, Held::phones(["+79991234567", "+79995555555"]))]);
        assert_eq!(changed, json!({"fm": {"8": {"typeId": "PHONE", "valueType": "MOBILE", "value": "+79995555555"}}}));
        let fewer =
            sent(&[(ContactField::Phones, Held::phones(["+79990000000"])), (ContactField::Emails, Held::emails(["a@b.ru", "anna@example.ru"]))]);
        let fm =
            json!({"7": {"typeId": "PHONE", "valueType": "WORK", "value": ""}, "n1": {"typeId": "EMAIL", "valueType": "HOME", "value": "a@b.ru"}});
        assert_eq!(fewer, json!({"fm": fm}));
    }

    #[test]
    fn what_is_cleared_is_sent_empty() {
        assert_eq!(sent(&[(ContactField::MiddleName, Held::default())]), json!({"secondName": ""}));
        let lime = to_lime(&Card::from([(ContactField::BirthDate, Held::default()), (ContactField::Phones, Held::default())]));
        assert_eq!((lime.birth_date, lime.phones, lime.first_name), (Some(Personal::default()), Some(vec![]), None));
    }
}
