//! A booking's deal as it is read, and as it is written from a preorder. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::catalog;
use super::places::{Bookings, Places, Sense};
use super::record::{Fields, ORIGINATOR, contact_origin, instant};
use super::sale::minor;
use super::wire;
use crate::crm::deal_fields::DealField;
use crate::crm::texts::Texts;
use crate::domain::{ClientId, Personal, Phone, PreorderContact, PreorderEvent, PreorderLine};
use crate::flow::preorders::{Booking, Keeps, Stage, Wanted};

/// What a deal is called in Lime: `b24:deal:7`.
#[must_use]
pub fn reference(deal: u64) -> String {
    format!("b24:deal:{deal}")
}

/// The deal that a reference of ours names.
#[must_use]
pub fn deal_of(reference: &str) -> Option<u64> {
    reference.strip_prefix("b24:deal:")?.parse().ok()
}

/// `originId` of a deal that was made of a preorder: the business key.
#[must_use]
pub fn origin(preorder: &str) -> String {
    format!("preorder:{preorder}")
}

/// What the portal keeps of a booking.
#[must_use]
pub fn keeps(places: &Places) -> Keeps {
    let event = [DealField::EventFrom, DealField::EventTo, DealField::Hall, DealField::Staff];
    Keeps { row_prices: true, event: event.into_iter().all(|field| places.field(field).is_some()) }
}

/// The products that rows name.
#[must_use]
pub fn products(rows: &[Value]) -> Vec<u64> {
    rows.iter().filter_map(|row| row.get("productId").and_then(wire::id)).filter(|id| *id != 0).collect()
}

/// The deal's contact.
#[must_use]
pub fn contact(deal: &Value) -> Option<u64> {
    deal.get("contactId").and_then(wire::id).filter(|id| *id != 0)
}

/// The client that a contact bears: by our origin, else by our field.
#[must_use]
pub fn client_of(contact: &Value, field: Option<&String>) -> Option<ClientId> {
    let text = |key: &str| contact.get(key).and_then(wire::text).filter(|text| !text.is_empty());
    let by_origin = text("originId").filter(|_| text("originatorId").as_deref() == Some(ORIGINATOR)).and_then(|origin| {
        let id = ClientId::from(origin.strip_prefix("client:")?);
        (contact_origin(&id) == origin).then_some(id)
    });
    by_origin.or_else(|| Some(ClientId::from(text(field?)?.as_str())))
}

/// The person behind a contact, for Lime to find or make a client by.
#[must_use]
pub fn person(contact: &Value) -> PreorderContact {
    let text = |key: &str| contact.get(key).and_then(wire::text).unwrap_or_default().trim().to_owned();
    let name = format!("{} {}", text("name"), text("lastName"));
    let phones = contact.get("fm").map(wire::rows).unwrap_or_default().into_iter();
    let phone = phones
        .filter(|entry| entry.get("typeId").and_then(Value::as_str) == Some("PHONE"))
        .find_map(|entry| Phone::parse(&entry.get("value").and_then(wire::text)?));
    PreorderContact { name: Personal::new(name.trim()), phone }
}

/// A deal with its rows and its contact, as it was read. `keys`: Lime's ids by product. Beside the booking, the names of rows that Lime cannot have.
#[must_use]
pub fn booking(
    deal: &Value,
    rows: &[Value],
    contact: Option<&Value>,
    keys: &BTreeMap<u64, String>,
    (places, bookings): (&Places, &Bookings),
    client_field: Option<&String>,
) -> (Booking, Vec<String>) {
    let text = |field: DealField| places.field(field).and_then(|key| deal.get(key)).and_then(wire::text).filter(|text| !text.trim().is_empty());
    let at = |field: DealField| text(field)?.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    let title = Personal::new(deal.get("title").and_then(wire::text).unwrap_or_default());
    let event = at(DealField::EventFrom).map(|starts_ms| PreorderEvent {
        title,
        starts_ms,
        ends_ms: at(DealField::EventTo).filter(|ends| *ends >= starts_ms).unwrap_or(starts_ms),
        room: text(DealField::Hall),
        staff: text(DealField::Staff)
            .map(|names| names.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
            .unwrap_or_default(),
    });
    let (mut lines, mut left_out) = (Vec::new(), Vec::new());
    for row in rows {
        let name = row.get("productName").and_then(wire::text).unwrap_or_default();
        let product = row.get("productId").and_then(wire::id).and_then(|id| keys.get(&id));
        let quantity =
            row.get("quantity").and_then(wire::number).filter(|many| *many >= 1.0 && many.fract() == 0.0 && *many < 1e9).map(|many| many as i64);
        match (product, quantity, row.get("price").and_then(minor)) {
            (Some(product), Some(quantity), Some(price)) => lines.push(PreorderLine { good_type_id: product.clone(), name, quantity, price }),
            _ => left_out.push(name),
        }
    }
    let stage = deal.get("stageId").and_then(wire::text).unwrap_or_default();
    // Wherever people have moved it, a deal that is lost is given up.
    let here = deal.get("categoryId").and_then(wire::id) == Some(bookings.category);
    let lost = bookings.stages.iter().any(|(id, sense)| *id == stage && *sense == Sense::Lost)
        || !here && deal.get("stageSemanticId").and_then(Value::as_str) == Some("F");
    let stage = if lost || stage == bookings.cancelled {
        Stage::Cancelled
    } else if !here || bookings.ready.as_ref().is_none_or(|ready| ready.contains(&stage)) {
        Stage::Reached
    } else {
        Stage::Early
    };
    let client_id = contact.and_then(|contact| client_of(contact, client_field));
    let booking = Booking {
        stage,
        preorder: text(DealField::Preorder),
        contact: contact.map(person).filter(|person| client_id.is_none() && (!person.name.is_empty() || person.phone.is_some())),
        client_id,
        event,
        lines,
        prepaid: text(DealField::Prepaid).and_then(|money| minor(&json!(money.split('|').next()?))),
        keeps: keeps(places),
    };
    (booking, left_out)
}

/// The deal's fields as a preorder wants them.
#[must_use]
pub fn fields(wanted: &Wanted, contact: Option<u64>, places: &Places, texts: &Texts) -> Fields {
    let mut fields = Fields::new();
    fields.insert("title".to_owned(), json!(wanted.title));
    fields.insert("isManualOpportunity".to_owned(), json!("N"));
    if let Some(contact) = contact {
        fields.insert("contactId".to_owned(), json!(contact));
    }
    let event = wanted.event.as_ref();
    for (field, value) in [
        (DealField::Preorder, Some(wanted.preorder.clone())),
        (DealField::EventFrom, event.map(|event| instant(event.starts_ms, &texts.zone))),
        (DealField::EventTo, event.map(|event| instant(event.ends_ms, &texts.zone))),
        (DealField::Hall, event.map(|event| event.room.clone().unwrap_or_default())),
        (DealField::Staff, event.map(|event| event.staff.join(", "))),
    ] {
        if let (Some(key), Some(value)) = (places.field(field), value) {
            fields.insert(key.clone(), json!(value));
        }
    }
    fields
}

/// What [`catalog::ask_keys`] brought: Lime's ids by product.
pub fn keys_of(result: &Value, keys: &mut BTreeMap<u64, String>) {
    for row in catalog::rows(result) {
        let lime = row.get("xmlId").and_then(wire::text);
        if let (Some(id), Some(lime)) = (row.get("id").and_then(wire::id), lime.as_deref().and_then(catalog::lime_id)) {
            keys.insert(id, lime.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (Places, Bookings) {
        let fields = DealField::OF_BOOKINGS.into_iter().map(|field| (field.code().to_owned(), format!("uf{}", field.code()))).collect();
        let stages = vec![("C9:NEW".to_owned(), Sense::Open), ("C9:PAID".to_owned(), Sense::Open), ("C9:LOSE".to_owned(), Sense::Lost)];
        let ready = Some(vec!["C9:PAID".to_owned()]);
        let bookings = Bookings { category: 9, stage: "C9:NEW".into(), cancelled: "C9:LOSE".into(), ready, stages };
        (Places { fields, bookings: Some(bookings.clone()), ..Places::default() }, bookings)
    }

    #[test]
    fn a_deal_is_read_with_what_lime_can_have_and_the_names_of_what_it_cannot() {
        let (places, bookings) = places();
        let deal = json!({"categoryId": 9,
            "id": 7, "title": "ДР Пети", "stageId": "C9:PAID", "ufLIME_EVENT_FROM": "2026-05-02T15:00:00+03:00", "ufLIME_EVENT_TO": "2026-05-02T17:00:00+03:00",
            "ufLIME_HALL": "Зал 1", "ufLIME_STAFF": "Оля, Ваня", "ufLIME_PREPAID": "1500.50|RUB", "ufLIME_PREORDER": "",
        });
        let rows = [
            json!({"productId": 5, "productName": "Пицца", "quantity": 2, "price": 650.5}),
            json!({"productId": 6, "productName": "Шары", "quantity": 1, "price": 10}),
            json!({"productId": 5, "productName": "Пол-пиццы", "quantity": 0.5, "price": 650}),
        ];
        let contact =
            json!({"name": "Анна", "lastName": "", "fm": [{"typeId": "EMAIL", "value": "a@b"}, {"typeId": "PHONE", "value": "8 (999) 123-45-67"}]});
        let keys = BTreeMap::from([(5, "p-3".to_owned())]);
        let (booking, left_out) = booking(&deal, &rows, Some(&contact), &keys, (&places, &bookings), None);
        assert_eq!(left_out, ["Шары", "Пол-пиццы"]);
        assert_eq!((booking.stage, booking.preorder, booking.prepaid), (Stage::Reached, None, Some(150_050)));
        assert_eq!(booking.lines, [PreorderLine { good_type_id: "p-3".into(), name: "Пицца".into(), quantity: 2, price: 65_050 }]);
        let event = booking.event.unwrap();
        assert_eq!((event.ends_ms - event.starts_ms, event.room.as_deref(), event.staff.len()), (7_200_000, Some("Зал 1"), 2));
        let who = booking.contact.unwrap();
        assert_eq!((who.name.reveal(), who.phone.map(|phone| phone.e164())), ("Анна", Some("+79991234567".to_owned())));
    }

    #[test]
    fn a_contact_bears_its_client_by_origin_or_by_our_field_and_another_programs_origin_is_none() {
        let field = "ufClient".to_owned();
        let client = |contact: Value| client_of(&contact, Some(&field)).map(|id| id.0);
        assert_eq!(client(json!({"originatorId": "LIME", "originId": "client:c-1"})), Some("c-1".into()));
        assert_eq!(client(json!({"originatorId": "1C", "originId": "client:c-1"})), None);
        assert_eq!(client(json!({"originatorId": "1C", "originId": "x", "ufClient": "c-2"})), Some("c-2".into()));
    }

    #[test]
    fn a_reference_names_our_deal_and_no_other_crms() {
        assert_eq!((deal_of(&reference(7)), deal_of("amo:deal:7"), deal_of("b24:deal:x")), (Some(7), None, None));
    }
}
