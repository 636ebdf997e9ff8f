//! A booking's lead: how it is read, and what is written on it.
//!
//! Never: a lead of a pass or a receipt taken for a booking; a product that people put there and Lime does not know, taken away.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::crm::card::CardValue;
use crate::crm::deal_fields::DealField;
use crate::crm::texts::{PassField, Texts};
use crate::delivery::Host;
use crate::domain::{ClientId, Personal, Phone, Preorder, PreorderContact, PreorderEvent, PreorderLine};
use crate::flow::preorders::{Booking, Keeps, Stage, Wanted};

use super::contact::Contact;
use super::desk::{Desk, Stop, good};
use super::ledger::ElementLine;
use super::links::Link;
use super::memory::Memory;
use super::places::{Bookings, Field, Places};
use super::receipt_lead::whole;
use super::schema::{LOST, Schema};
use super::{elements, ledger, value, wire};

/// The namespace of the keys of preorders' leads; any fixed value would do, it must only never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c1d_4e0a_77b2_4f5d_9a31_7072_656f_7264);

/// The key that the lead of a preorder bears.
#[must_use]
pub fn key(preorder: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, preorder.as_bytes())
}

/// A lead of the bookings' pipeline as it stands.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its id.
    pub id: u64,
    /// What it says.
    pub booking: Booking,
    /// Its rows that are Lime's products: element and quantity.
    pub rows: BTreeMap<u64, i64>,
    /// The names of rows that Lime does not know.
    pub left_out: Vec<String>,
    /// The names of Lime's products on it, by Lime's id.
    pub names: BTreeMap<String, String>,
}

/// What a look at a lead came to.
#[derive(Clone, Debug)]
pub enum Look {
    /// It is not there any longer.
    Gone,
    /// It is no booking, or in another pipeline.
    Elsewhere,
    /// Here it is.
    Here(Box<Found>),
}

/// Reads a lead with its contact and products. `bound`: it is known to have a preorder, wherever it has been moved to.
///
/// # Errors
/// When it cannot be read now.
pub async fn read(desk: &mut Desk, schema: &Schema, places: &Places, at: &Bookings, lead: u64, bound: bool) -> Result<Look, Stop> {
    let answer = desk.ask(Host::Crm, wire::get(&format!("/leads/{lead}?with=contacts,catalog_elements"), "GET /leads/{id}")).await?;
    if matches!(answer.status.as_u16(), 204 | 404) {
        return Ok(Look::Gone);
    }
    good(&answer)?;
    let card = answer.json().ok_or_else(|| Stop::later("amocrm/unreadable", None))?;
    if card.get("is_deleted").and_then(Value::as_bool) == Some(true) {
        return Ok(Look::Gone);
    }
    let text = |field: Option<u64>| field.and_then(|id| wire::custom_value(&card, id)).filter(|text| !text.trim().is_empty());
    let preorder = text(places.field(DealField::Preorder).map(|field| field.id));
    let here = wire::id(card.get("pipeline_id")) == Some(at.pipeline);
    if !bound && (!here || (text(schema.pass(PassField::EventUid)).is_some() && preorder.is_none())) {
        return Ok(Look::Elsewhere);
    }
    let stage = stage(at, here, wire::id(card.get("status_id")).unwrap_or(0));
    let (rows, lines, names, left_out) = match places.catalog {
        Some(catalog) => products(desk, catalog, &card).await?,
        None => Default::default(),
    };
    let (client_id, contact) = person(desk, schema, &card).await?;
    let booking = Booking {
        stage,
        preorder,
        client_id,
        contact,
        event: event(&card, places),
        lines,
        prepaid: text(places.field(DealField::Prepaid).map(|field| field.id)).and_then(|text| minor(&text)),
        keeps: keeps(places),
    };
    Ok(Look::Here(Box::new(Found { id: lead, booking, rows, left_out, names })))
}

/// What amoCRM keeps of a booking: its rows have no prices of their own.
#[must_use]
pub fn keeps(places: &Places) -> Keeps {
    let event = [DealField::EventFrom, DealField::EventTo].iter().all(|field| places.field(*field).is_some());
    Keeps { row_prices: false, event }
}

fn stage(at: &Bookings, here: bool, status: u64) -> Stage {
    if status == LOST || (here && status == at.cancelled) {
        Stage::Cancelled
    } else if !here || at.sent_at(status) {
        Stage::Reached
    } else {
        Stage::Early
    }
}

type Products = (BTreeMap<u64, i64>, Vec<PreorderLine>, BTreeMap<String, String>, Vec<String>);

async fn products(desk: &mut Desk, catalog: u64, card: &Value) -> Result<Products, Stop> {
    let linked = card.pointer("/_embedded/catalog_elements").and_then(Value::as_array).into_iter().flatten();
    let of_list = linked.filter(|element| wire::id(element.pointer("/metadata/catalog_id")) == Some(catalog));
    let linked: Vec<(u64, i64)> = of_list.filter_map(|element| Some((wire::id(element.get("id"))?, quantity(element)))).collect();
    let (mut rows, mut lines, mut names, mut left_out) = (BTreeMap::new(), Vec::new(), BTreeMap::new(), Vec::new());
    if linked.is_empty() {
        return Ok((rows, lines, names, left_out));
    }
    let ids: Vec<u64> = linked.iter().map(|(id, _)| *id).collect();
    let shown = elements::with_ids(desk, catalog, &ids).await?;
    for (id, quantity) in linked {
        let element = shown.get(&id);
        let name = element.and_then(|element| wire::text(element.get("name"))).unwrap_or_else(|| id.to_string());
        let Some(product) = element.and_then(elements::external_id) else {
            left_out.push(name);
            continue;
        };
        let price = element.and_then(|element| elements::coded(element, "PRICE")).and_then(|text| minor(&text)).unwrap_or(0);
        rows.insert(id, quantity);
        names.insert(product.clone(), name.clone());
        lines.push(PreorderLine { good_type_id: product, name, quantity, price });
    }
    Ok((rows, lines, names, left_out))
}

/// A quantity is read as `2.0`; a part of one is one.
fn quantity(element: &Value) -> i64 {
    let number = element.pointer("/metadata/quantity").and_then(|value| value.as_f64().or_else(|| wire::text(Some(value))?.trim().parse().ok()));
    number.map_or(1, |number| number.ceil().clamp(1.0, 1e9) as i64)
}

/// A decimal as minor units.
fn minor(text: &str) -> Option<i64> {
    let number: f64 = text.trim().replace(',', ".").parse().ok()?;
    number.is_finite().then(|| (number * 100.0).round().clamp(-9e15, 9e15) as i64)
}

/// The main contact: the client where it bears one, else name and phone.
async fn person(desk: &mut Desk, schema: &Schema, card: &Value) -> Result<(Option<ClientId>, Option<PreorderContact>), Stop> {
    let contacts = card.pointer("/_embedded/contacts").and_then(Value::as_array);
    let main =
        contacts.and_then(|contacts| contacts.iter().find(|one| one.get("is_main").and_then(Value::as_bool) == Some(true)).or(contacts.first()));
    let Some(id) = main.and_then(|one| wire::id(one.get("id"))) else { return Ok((None, None)) };
    let answer = desk.ask(Host::Crm, wire::get(&format!("/contacts/{id}"), "GET /contacts/{id}")).await?;
    if matches!(answer.status.as_u16(), 204 | 404) {
        return Ok((None, None));
    }
    good(&answer)?;
    let entry = answer.json().ok_or_else(|| Stop::later("amocrm/unreadable", None))?;
    let client = Contact::read(&entry, schema).and_then(|contact| contact.client);
    let name = Personal::new(wire::text(entry.get("name")).unwrap_or_default());
    Ok((client, Some(PreorderContact { name, phone: phones(&entry).into_iter().next() })))
}

/// The phones of a contact.
fn phones(entry: &Value) -> Vec<Phone> {
    let fields = entry.get("custom_fields_values").and_then(Value::as_array).into_iter().flatten();
    let values = fields
        .filter(|field| field.get("field_code").and_then(Value::as_str) == Some("PHONE"))
        .flat_map(|field| field.get("values").and_then(Value::as_array).into_iter().flatten());
    values.filter_map(|value| Phone::parse(&wire::text(value.get("value"))?)).collect()
}

/// The contact with a phone, the oldest of several.
///
/// # Errors
/// When it cannot be asked now.
pub async fn contact_with(desk: &mut Desk, phone: &Phone) -> Result<Option<u64>, Stop> {
    let request = wire::get(&format!("/contacts?query={}&limit={}", phone.last_ten(), wire::PAGE), "GET /contacts?query");
    let page = desk.page(request, "contacts").await?;
    let bears = |entry: &&Value| entry.get("is_deleted").and_then(Value::as_bool) != Some(true) && phones(entry).contains(phone);
    Ok(page.items.iter().filter(bears).filter_map(|entry| wire::id(entry.get("id"))).min())
}

/// The item of `POST /contacts` for somebody whom Lime knows only by name and phone.
#[must_use]
pub fn new_contact(contact: &PreorderContact, name: &str, texts: &Texts) -> Value {
    let called = contact.name.reveal().trim();
    let mut item = json!({
        "name": value::fit(if called.is_empty() { texts.nameless() } else { called }, 200),
        "tags_to_add": [{ "name": texts.tag() }],
        "request_id": name,
    });
    if let Some(phone) = &contact.phone {
        item["custom_fields_values"] = json!([{ "field_code": "PHONE", "values": [{ "value": phone.e164(), "enum_code": "MOB" }] }]);
    }
    item
}

fn event(card: &Value, places: &Places) -> Option<PreorderEvent> {
    let own = |field: DealField| places.field(field).map(|field| field.id);
    let at = |field: DealField| own(field).and_then(|id| wire::custom_value(card, id)).and_then(|text| moment(&text));
    let starts_ms = at(DealField::EventFrom)?;
    let text = |field: DealField| own(field).and_then(|id| wire::custom_value(card, id)).filter(|text| !text.trim().is_empty());
    let staff = match places.field(DealField::Staff) {
        Some(field) if field.kind == "multiselect" => all_values(card, field.id),
        _ => text(DealField::Staff)
            .map(|text| text.split([',', '\n']).map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect())
            .unwrap_or_default(),
    };
    Some(PreorderEvent {
        title: Personal::new(wire::text(card.get("name")).unwrap_or_default()),
        starts_ms,
        ends_ms: at(DealField::EventTo).unwrap_or(starts_ms).max(starts_ms),
        room: text(DealField::Hall),
        staff,
    })
}

/// Unix seconds, or RFC 3339.
fn moment(text: &str) -> Option<i64> {
    let seconds = text.trim().parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1000));
    seconds.or_else(|| text.trim().parse::<Timestamp>().ok().map(Timestamp::as_millisecond))
}

fn all_values(card: &Value, field: u64) -> Vec<String> {
    let fields = card.get("custom_fields_values").and_then(Value::as_array).into_iter().flatten();
    let own = fields.filter(|entry| wire::id(entry.get("field_id")) == Some(field));
    own.flat_map(|entry| entry.get("values").and_then(Value::as_array).into_iter().flatten())
        .filter_map(|value| wire::text(value.get("value")))
        .collect()
}

/// What a lead shows of a preorder: fields for `custom_fields_values`.
fn fields(wanted: &Wanted, prepaid: i64, places: &Places, schema: &Schema) -> Vec<Value> {
    let own = |field: DealField| places.field(field);
    let mut said: Vec<Value> = Vec::new();
    let mut put = |field: Option<&Field>, value: CardValue| said.extend(field.and_then(|field| value::field(field.id, &value, &schema.zone)));
    put(own(DealField::Preorder), CardValue::Text(Personal::new(wanted.preorder.as_str())));
    if prepaid != 0 {
        put(own(DealField::Prepaid), CardValue::Minor(prepaid));
    }
    if let Some(event) = &wanted.event {
        for (field, at) in [(DealField::EventFrom, event.starts_ms), (DealField::EventTo, event.ends_ms)] {
            if at >= 1000 {
                put(own(field), CardValue::At(at));
            }
        }
        said.extend(own(DealField::Hall).zip(event.room.as_ref()).and_then(|(field, room)| chosen(field, std::slice::from_ref(room))));
        said.extend(own(DealField::Staff).filter(|_| !event.staff.is_empty()).and_then(|field| chosen(field, &event.staff)));
    }
    said
}

/// Texts as a field takes them. A list takes only what can be chosen: for the rest a person has to add the choice.
fn chosen(field: &Field, texts: &[String]) -> Option<Value> {
    let values: Vec<Value> = match field.kind.as_str() {
        "select" | "radiobutton" | "multiselect" => {
            texts.iter().filter(|text| field.choices.contains(text)).map(|text| json!({ "value": text })).collect()
        }
        _ => vec![json!({ "value": value::fit(&texts.join(", "), value::TEXT) })],
    };
    (!values.is_empty()).then(|| json!({ "field_id": field.id, "values": values }))
}

/// The item of `POST /leads` for a preorder.
#[must_use]
pub fn create(
    preorder: &Preorder,
    wanted: &Wanted,
    contact: Option<u64>,
    (places, at): (&Places, &Bookings),
    schema: &Schema,
    texts: &Texts,
) -> Value {
    let key = key(&preorder.id).to_string();
    let mut values = fields(wanted, preorder.prepaid, places, schema);
    let text = CardValue::Text(Personal::new(key.as_str()));
    values.extend(schema.pass(PassField::EventUid).and_then(|id| value::field(id, &text, &schema.zone)));
    let mut lead = json!({
        "name": value::fit(&wanted.title, 250),
        "price": whole(wanted.price),
        "pipeline_id": at.pipeline,
        "status_id": at.first,
        "custom_fields_values": values,
        "tags_to_add": [{ "name": texts.tag() }],
        "request_id": key,
    });
    if let Some(id) = contact {
        lead["_embedded"] = json!({ "contacts": [{ "id": id, "is_main": true }] });
    }
    lead
}

/// The item of `PATCH /leads` for a preorder that was changed in Lime.
#[must_use]
pub fn change(found: &Found, preorder: &Preorder, wanted: &Wanted, (places, at): (&Places, &Bookings), schema: &Schema) -> Value {
    let mut body = Map::new();
    body.insert("id".to_owned(), json!(found.id));
    body.insert("custom_fields_values".to_owned(), Value::Array(fields(wanted, preorder.prepaid, places, schema)));
    let to = match (wanted.cancelled, found.booking.stage == Stage::Cancelled) {
        (true, false) => Some(at.cancelled),
        (false, true) => Some(at.first),
        _ => None,
    };
    match to {
        Some(stage) => {
            body.insert("pipeline_id".to_owned(), json!(at.pipeline));
            body.insert("status_id".to_owned(), json!(stage));
        }
        None => drop(body.insert("price".to_owned(), json!(whole(wanted.price)))),
    }
    Value::Object(body)
}

/// What to link and what to take off, so that a lead has these rows.
#[must_use]
pub fn difference(lead: u64, before: &BTreeMap<u64, i64>, wanted: &Wanted, memory: &Memory) -> (Vec<Link>, Vec<Link>) {
    let mut rows: BTreeMap<u64, i64> = BTreeMap::new();
    for row in &wanted.rows {
        let element = row.product.as_ref().and_then(|id| memory.looked.get(&ledger::product(id))).and_then(ElementLine::parse);
        if let Some(element) = element.filter(|_| row.quantity > 0) {
            let quantity = rows.entry(element.id).or_default();
            *quantity = quantity.saturating_add(row.quantity);
        }
    }
    let link = |(element, quantity): (&u64, &i64)| Link { lead, element: *element, quantity: *quantity };
    let put = rows.iter().filter(|(element, quantity)| before.get(element) != Some(quantity)).map(link).collect();
    let off = before.iter().filter(|(element, _)| !rows.contains_key(element)).map(link).collect();
    (put, off)
}
