//! Elements of the list of products: how one is recognised as a product of Lime's, and found.
//!
//! Never: an element taken for a product's because a search returned it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::desk::{Desk, Stop};
use super::places::EXTERNAL_ID;
use super::wire::{self, PAGE};

/// Pages of a list that are walked before products are searched for one by one.
const PAGES: usize = 40;
/// From so many products on, walking the list is cheaper.
const WALK_FROM: usize = 3;
/// Ids of one filter.
const IDS: usize = 50;

/// The product of Lime's that an element says it is.
#[must_use]
pub fn external_id(element: &Value) -> Option<String> {
    if element.get("is_deleted").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    coded(element, EXTERNAL_ID).filter(|id| !id.trim().is_empty())
}

/// The first value of the field with a code.
#[must_use]
pub fn coded(element: &Value, code: &str) -> Option<String> {
    let fields = element.get("custom_fields_values")?.as_array()?;
    let field = fields.iter().find(|field| field.get("field_code").and_then(Value::as_str) == Some(code))?;
    wire::text(field.get("values")?.as_array()?.first()?.get("value"))
}

/// The elements of these products, by Lime's id. Who is not in the answer has none.
///
/// # Errors
/// When it cannot be asked now.
pub async fn of_products(desk: &mut Desk, catalog: u64, products: &[&str]) -> Result<BTreeMap<String, u64>, Stop> {
    let mut found = BTreeMap::new();
    let take = |items: &[Value], found: &mut BTreeMap<String, u64>| {
        for element in items {
            if let (Some(product), Some(id)) = (external_id(element).filter(|id| products.contains(&id.as_str())), wire::id(element.get("id"))) {
                // Of several that say so, the oldest.
                found.entry(product).and_modify(|known: &mut u64| *known = (*known).min(id)).or_insert(id);
            }
        }
    };
    if products.len() >= WALK_FROM {
        let mut next = Some(format!("/api/v4/catalogs/{catalog}/elements?limit={PAGE}"));
        for _ in 0..PAGES {
            let Some(path) = next.take() else { return Ok(found) };
            let page = desk.page(crate::http::Request::get(path, "GET /catalogs/{id}/elements"), "elements").await?;
            take(&page.items, &mut found);
            next = page.next;
        }
        if next.is_none() {
            return Ok(found);
        }
    }
    for product in products {
        if !found.contains_key(*product) {
            let path = format!("/catalogs/{catalog}/elements?query={}&limit={PAGE}", wire::encoded(product));
            let page = desk.page(wire::get(&path, "GET /catalogs/{id}/elements?query"), "elements").await?;
            take(&page.items, &mut found);
        }
    }
    Ok(found)
}

/// The elements with these ids. A filter may not be heeded, so what it did not bring is read one by one.
///
/// # Errors
/// When it cannot be asked now.
pub async fn with_ids(desk: &mut Desk, catalog: u64, ids: &[u64]) -> Result<BTreeMap<u64, Value>, Stop> {
    let mut found: BTreeMap<u64, Value> = BTreeMap::new();
    for part in ids.chunks(IDS) {
        let filter: String = part.iter().map(|id| format!("&filter%5Bid%5D%5B%5D={id}")).collect();
        let path = format!("/catalogs/{catalog}/elements?limit={PAGE}{filter}");
        let page = desk.page(wire::get(&path, "GET /catalogs/{id}/elements?filter"), "elements").await?;
        found.extend(page.items.into_iter().filter_map(|element| Some((wire::id(element.get("id")).filter(|id| part.contains(id))?, element))));
        for id in part {
            if !found.contains_key(id)
                && let Some(element) = one(desk, catalog, *id).await?
            {
                found.insert(*id, element);
            }
        }
    }
    Ok(found)
}

/// One element; `None` where it is not there.
///
/// # Errors
/// When it cannot be asked now.
pub async fn one(desk: &mut Desk, catalog: u64, id: u64) -> Result<Option<Value>, Stop> {
    let answer =
        desk.ask(crate::delivery::Host::Crm, wire::get(&format!("/catalogs/{catalog}/elements/{id}"), "GET /catalogs/{id}/elements/{id}")).await?;
    if matches!(answer.status.as_u16(), 204 | 404) {
        return Ok(None);
    }
    super::desk::good(&answer)?;
    answer.json().map(Some).ok_or_else(|| Stop::later("amocrm/unreadable", None))
}
