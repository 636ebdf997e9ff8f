//! The CRM as its people see it: read from the sandbox's own books.

use serde_json::{Value, json};

use super::stage::BOOKINGS;
use crate::demo::run::CrmChoice;

/// A contact.
pub(super) struct Contact {
    pub id: u64,
    pub children: String,
    pub history: String,
}

/// A deal.
pub(super) struct Deal {
    pub id: u64,
    pub title: String,
    pub sum: f64,
    pub bookings: bool,
    pub rows: f64,
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// A user field of Bitrix24 by limegate's code.
fn user_field(item: &Value, code: &str) -> String {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let wanted = plain(&format!("ufCrm{code}"));
    item.as_object().and_then(|map| map.iter().find(|(name, _)| plain(name) == wanted)).map(|(_, value)| text(value)).unwrap_or_default()
}

/// The contacts that bear this client's number.
pub(super) fn contacts(crm: CrmChoice, state: &Value, client: &str) -> Vec<Contact> {
    let (keys, fields): (&str, fn(&Value, &str) -> String) = match crm {
        CrmChoice::Amocrm => ("/contacts_by_key/LIME_CLIENT_ID/", |item, code| text(at(item, &format!("/fields/{code}")))),
        CrmChoice::Bitrix24 => ("/contacts_by_key/originId/client:", user_field),
    };
    let ids: Vec<u64> = list(at(state, &format!("{keys}{client}"))).filter_map(Value::as_u64).collect();
    let contact = |item: &Value| Contact {
        id: at(item, "/id").as_u64().unwrap_or(0),
        children: fields(item, "LIME_CHILDREN").replace('\n', ", "),
        history: fields(item, "LIME_HISTORY"),
    };
    list(at(state, "/contacts")).map(contact).filter(|contact| ids.contains(&contact.id)).collect()
}

/// All deals.
pub(super) fn deals(crm: CrmChoice, state: &Value) -> Vec<Deal> {
    let pipeline = |id: &Value, all: &str| list(at(state, all)).find(|one| at(one, "/id") == id).is_some_and(|one| at(one, "/name") == BOOKINGS);
    match crm {
        CrmChoice::Amocrm => list(at(state, "/leads"))
            .map(|item| Deal {
                id: at(item, "/id").as_u64().unwrap_or(0),
                title: text(at(item, "/name")),
                sum: at(item, "/price").as_f64().unwrap_or(0.0),
                bookings: pipeline(at(item, "/pipeline_id"), "/pipelines"),
                rows: list(at(item, "/products")).filter_map(|row| at(row, "/metadata/quantity").as_f64()).sum(),
            })
            .collect(),
        CrmChoice::Bitrix24 => list(at(state, "/deals"))
            .map(|item| {
                let id = at(item, "/id").as_u64().unwrap_or(0);
                Deal {
                    id,
                    title: text(at(item, "/title")),
                    sum: at(item, "/opportunity").as_f64().unwrap_or(0.0),
                    bookings: pipeline(at(item, "/categoryId"), "/funnels"),
                    rows: list(at(state, &format!("/product_rows/{id}"))).filter_map(|row| at(row, "/quantity").as_f64()).sum(),
                }
            })
            .collect(),
    }
}

/// Whether the CRM shows a product of Lime's.
pub(super) fn shows(crm: CrmChoice, state: &Value, product: &str) -> bool {
    match crm {
        CrmChoice::Amocrm => {
            let mut elements = list(at(state, "/catalogs")).flat_map(|catalog| list(at(catalog, "/elements")));
            elements.any(|element| text(at(element, "/fields/EXTERNAL_ID")) == product)
        }
        CrmChoice::Bitrix24 => list(at(state, "/catalog/products")).any(|one| text(at(one, "/xmlId")) == format!("lime:{product}")),
    }
}

/// What stands there twice, by a key that only one may carry.
pub(super) fn doubled(crm: CrmChoice, state: &Value) -> usize {
    let keys = match crm {
        CrmChoice::Amocrm => ["/contacts_doubled/LIME_CLIENT_ID", "/leads_doubled/LIME_EVENT_UID"],
        CrmChoice::Bitrix24 => ["/contacts_doubled/originId", "/deals_doubled/originId"],
    };
    keys.iter().filter_map(|key| at(state, key).as_object()).map(serde_json::Map::len).sum()
}

/// What a manager does to give a contact another phone: the action and its body.
pub(super) fn new_phone(contact: u64, phone: &str) -> (&'static str, Value) {
    ("contact", json!({"id": contact, "phones": [phone]}))
}

/// What a manager does to make a booking's deal.
pub(super) fn booking(crm: CrmChoice, state: &Value, contact: u64, title: &str) -> Option<(&'static str, Value)> {
    let all = if crm == CrmChoice::Amocrm { "/pipelines" } else { "/funnels" };
    let pipeline = list(at(state, all)).find(|one| at(one, "/name") == BOOKINGS)?;
    // amoCRM's own first stage takes nothing by hand.
    let stage = list(at(pipeline, "/stages")).find(|stage| at(stage, "/name") != "Неразобранное")?;
    Some(match crm {
        CrmChoice::Amocrm => {
            ("lead", json!({"name": title, "pipeline_id": at(pipeline, "/id"), "status_id": at(stage, "/id"), "contacts": [contact]}))
        }
        CrmChoice::Bitrix24 => {
            ("deal", json!({"title": title, "categoryId": at(pipeline, "/id"), "stageId": at(stage, "/code"), "contactId": contact}))
        }
    })
}

/// What a manager does to put products into a deal: Lime's ids, with quantities.
pub(super) fn products(deal: u64, products: &[(&str, u64)]) -> (&'static str, Value) {
    let rows: Vec<Value> =
        products.iter().map(|(id, quantity)| json!({"xml_id": format!("lime:{id}"), "external_id": id, "quantity": quantity})).collect();
    ("products", json!({"lead_id": deal, "deal_id": deal, "products": rows}))
}
