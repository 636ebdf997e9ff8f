//! The trade catalog: `catalog.catalog.list`, `catalog.product.*`, `catalog.product.service.*`, `catalog.section.*`, `catalog.price.*`,
//! `catalog.priceType.list`.
//!
//! Prices live apart from products, and `catalog.price.modify` deletes those whose id it is not told. Only an administrator writes. Nothing keeps an `xmlId`
//! unique. Errors are long numbers.

use serde_json::{Value, json};

use super::errors::Fault;
use super::rows::number;
use super::{Answer, Bitrix, Call, Done, PAGE, Parameters, needed, needed_id, portal_time, start_of};
use crate::wire;

/// The catalog of products, and that of their variations.
const PRODUCTS: i64 = 23;
const OFFERS: i64 = 24;
const BASE_PRICE: i64 = 1;

#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) xml_id: Option<String>,
    /// 1 goods, 7 service.
    pub(super) kind: i64,
    active: bool,
    section: Option<i64>,
    text: Option<String>,
    created_ms: i64,
    changed_ms: i64,
}

impl Product {
    fn shown(&self) -> Value {
        json!({"id": self.id, "iblockId": PRODUCTS, "name": self.name, "active": if self.active { "Y" } else { "N" }, "xmlId": self.xml_id,
            "iblockSectionId": self.section, "type": self.kind, "previewText": self.text, "dateCreate": portal_time(self.created_ms),
            "timestampX": portal_time(self.changed_ms), "measure": 5, "vatId": null, "vatIncluded": "N", "available": "Y", "quantity": null})
    }
}

#[derive(Clone, Debug)]
struct Section {
    id: u64,
    name: String,
    xml_id: Option<String>,
    parent: Option<i64>,
    active: bool,
}

impl Section {
    fn shown(&self) -> Value {
        json!({"id": self.id, "iblockId": PRODUCTS, "name": self.name, "xmlId": self.xml_id, "iblockSectionId": self.parent,
            "active": if self.active { "Y" } else { "N" }, "code": null, "sort": 500})
    }
}

#[derive(Clone, Debug)]
struct Price {
    id: u64,
    product: u64,
    group: i64,
    price: f64,
    currency: String,
}

impl Price {
    fn shown(&self) -> Value {
        json!({"id": self.id, "productId": self.product, "catalogGroupId": self.group, "price": self.price, "currency": self.currency,
            "extraId": null, "priceScale": self.price, "quantityFrom": null, "quantityTo": null})
    }
}

/// Products, sections and prices.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    products: Vec<Product>,
    sections: Vec<Section>,
    prices: Vec<Price>,
}

impl Catalog {
    pub(super) fn product(&self, id: u64) -> Option<&Product> {
        self.products.iter().find(|product| product.id == id)
    }

    pub(super) fn by_xml_id(&self, key: &str) -> Option<&Product> {
        self.products.iter().find(|product| product.xml_id.as_deref() == Some(key))
    }

    pub(super) fn base_price(&self, id: u64) -> Option<f64> {
        self.prices.iter().find(|price| price.product == id && price.group == BASE_PRICE).map(|price| price.price)
    }
}

impl Bitrix {
    pub(super) fn catalog_method(&mut self, call: Call<'_>, method: &str, parameters: &Parameters) -> Answer {
        if !self.plan.catalog {
            return Err(Fault::insufficient_scope());
        }
        match method.split('.').skip(1).collect::<Vec<_>>().as_slice() {
            ["catalog", "list"] => {
                let row = |id: i64, name: &str, of: Option<i64>| {
                    json!({"id": id, "iblockId": id, "iblockTypeId": "CRM_PRODUCT_CATALOG", "lid": "s1",
                    "name": name, "productIblockId": of, "skuPropertyId": of.map(|_| 97), "subscription": "N", "vatId": null, "yandexExport": "N"})
                };
                let rows = [row(PRODUCTS, "Товарный каталог CRM", None), row(OFFERS, "Товарный каталог CRM (предложения)", Some(PRODUCTS))];
                Ok(Done { result: json!({"catalogs": rows}), total: Some(2), next: None })
            }
            ["pricetype", "list"] => {
                let row = json!({"id": BASE_PRICE, "name": "BASE", "base": "Y", "sort": 100, "xmlId": "BASE"});
                Ok(Done { result: json!({"priceTypes": [row]}), total: Some(1), next: None })
            }
            ["product", "service", verb] => self.catalog_product(call, verb, "service", parameters),
            ["product", verb] => self.catalog_product(call, verb, "product", parameters),
            ["section", verb] => self.section(verb, parameters),
            ["price", verb] => self.price(call, verb, parameters),
            _ => Err(Fault::method_not_found()),
        }
    }

    fn catalog_product(&mut self, call: Call<'_>, verb: &str, name: &str, parameters: &Parameters) -> Answer {
        let service = name == "service";
        let mine = |product: &Product| !service || product.kind == 7;
        // Of `catalog.product` the writes answer an `element`.
        let written = if service { "service" } else { "element" };
        match verb {
            "get" => {
                let id = needed_id(parameters, "id")?;
                let product = self.catalog.product(id).filter(|product| mine(product)).ok_or_else(no_product)?;
                Ok(Done::of(json!({name: product.shown()})))
            }
            "list" => {
                let names =
                    |key: &str| parameters.get(key).map(wire::members).unwrap_or_default().into_iter().filter_map(wire::text).collect::<Vec<_>>();
                let select = names("select");
                if !select.iter().any(|field| field == "iblockId" || field == "*") || !select.iter().any(|field| field == "id" || field == "*") {
                    return Err(Fault::bad("200040300050", "Required select fields: id, iblockId"));
                }
                let filter = parameters.get("filter").cloned().unwrap_or_default();
                if filter.get("iblockId").and_then(wire::integer) != Some(PRODUCTS) {
                    return Err(Fault::bad("200040300050", "Required filter fields: iblockId"));
                }
                let rows: Vec<Value> = self.catalog.products.iter().filter(|product| mine(product)).map(Product::shown).collect();
                let rows = chosen(rows, &filter, parameters)?;
                let picked = |row: Value| match row {
                    Value::Object(map) => map.into_iter().filter(|(key, _)| select.iter().any(|field| field == key || field == "*")).collect(),
                    other => other,
                };
                listed(rows.into_iter().map(picked).collect(), if service { "services" } else { "products" }, parameters)
            }
            _ if !self.admin => Err(Fault::bad("200040300040", "Access Denied")),
            "add" => {
                let fields = needed(parameters, "fields")?;
                let text = |key: &str| fields.get(key).and_then(wire::text).filter(|text| !text.is_empty());
                if fields.get("iblockId").and_then(wire::integer) != Some(PRODUCTS) {
                    return Err(Fault::bad("0", "Required fields: iblockId"));
                }
                let name = text("name").ok_or_else(|| Fault::bad("0", "Required fields: name"))?;
                let product = Product {
                    id: self.next_id(),
                    name,
                    xml_id: text("xmlId"),
                    kind: if service { 7 } else { 1 },
                    active: text("active").as_deref() != Some("N"),
                    section: fields.get("iblockSectionId").and_then(wire::integer),
                    text: text("previewText"),
                    created_ms: call.wall_ms,
                    changed_ms: call.wall_ms,
                };
                let (id, shown) = (product.id, product.shown());
                self.catalog.products.push(product);
                self.happened(call, "CATALOG.PRODUCT.ON.ADD", id);
                Ok(Done::of(json!({written: shown})))
            }
            "update" => {
                let id = needed_id(parameters, "id")?;
                let fields = needed(parameters, "fields")?;
                let product = self.catalog.products.iter_mut().find(|product| product.id == id).ok_or_else(no_product)?;
                let text = |key: &str| fields.get(key).and_then(wire::text);
                product.name = text("name").unwrap_or(std::mem::take(&mut product.name));
                product.xml_id = text("xmlId").or(product.xml_id.take());
                product.text = text("previewText").or(product.text.take());
                product.active = text("active").map_or(product.active, |active| active == "Y");
                product.section = fields.get("iblockSectionId").map_or(product.section, wire::integer);
                product.changed_ms = call.wall_ms;
                let shown = product.shown();
                self.happened(call, "CATALOG.PRODUCT.ON.UPDATE", id);
                Ok(Done::of(json!({written: shown})))
            }
            "delete" => {
                let id = needed_id(parameters, "id")?;
                self.catalog.product(id).ok_or_else(no_product)?;
                self.catalog.products.retain(|product| product.id != id);
                self.catalog.prices.retain(|price| price.product != id);
                self.happened(call, "CATALOG.PRODUCT.ON.DELETE", id);
                Ok(Done::of(json!(true)))
            }
            _ => Err(Fault::method_not_found()),
        }
    }

    fn section(&mut self, verb: &str, parameters: &Parameters) -> Answer {
        match verb {
            "list" => {
                let filter = parameters.get("filter").cloned().unwrap_or_default();
                let rows = self.catalog.sections.iter().map(Section::shown).collect();
                listed(chosen(rows, &filter, parameters)?, "sections", parameters)
            }
            "get" => {
                let id = needed_id(parameters, "id")?;
                let section = self.catalog.sections.iter().find(|section| section.id == id).ok_or_else(no_product)?;
                Ok(Done::of(json!({"section": section.shown()})))
            }
            _ if !self.admin => Err(Fault::bad("200040300040", "Access Denied")),
            "add" => {
                let fields = needed(parameters, "fields")?;
                let text = |key: &str| fields.get(key).and_then(wire::text).filter(|text| !text.is_empty());
                if fields.get("iblockId").and_then(wire::integer) != Some(PRODUCTS) {
                    return Err(Fault::bad("0", "Required fields: iblockId"));
                }
                let name = text("name").ok_or_else(|| Fault::bad("0", "Required fields: name"))?;
                let parent = fields.get("iblockSectionId").and_then(wire::integer);
                let section = Section { id: self.next_id(), name, xml_id: text("xmlId"), parent, active: true };
                let shown = section.shown();
                self.catalog.sections.push(section);
                Ok(Done::of(json!({"section": shown})))
            }
            "update" => {
                let id = needed_id(parameters, "id")?;
                let fields = needed(parameters, "fields")?;
                let section = self.catalog.sections.iter_mut().find(|section| section.id == id).ok_or_else(no_product)?;
                let text = |key: &str| fields.get(key).and_then(wire::text);
                section.name = text("name").unwrap_or(std::mem::take(&mut section.name));
                section.xml_id = text("xmlId").or(section.xml_id.take());
                section.parent = fields.get("iblockSectionId").map_or(section.parent, wire::integer);
                section.active = text("active").map_or(section.active, |active| active == "Y");
                Ok(Done::of(json!({"section": section.shown()})))
            }
            _ => Err(Fault::method_not_found()),
        }
    }

    fn price(&mut self, call: Call<'_>, verb: &str, parameters: &Parameters) -> Answer {
        match verb {
            "list" => {
                let filter = parameters.get("filter").cloned().unwrap_or_default();
                let rows = self.catalog.prices.iter().map(Price::shown).collect();
                listed(chosen(rows, &filter, parameters)?, "prices", parameters)
            }
            "get" => {
                let id = needed_id(parameters, "id")?;
                let price = self.catalog.prices.iter().find(|price| price.id == id).ok_or_else(no_product)?;
                Ok(Done::of(json!({"price": price.shown()})))
            }
            _ if !self.admin => Err(Fault::bad("200040300020", "Access Denied")),
            "modify" => {
                let given = needed(parameters, "fields")?.get("product").ok_or_else(|| Fault::missing("product"))?;
                let product = self.priced(given.get("id"))?;
                let mut kept = Vec::new();
                for item in given.get("prices").map(wire::members).unwrap_or_default() {
                    let known = item.get("id").and_then(wire::integer).and_then(|id| u64::try_from(id).ok());
                    let known = known.filter(|id| self.catalog.prices.iter().any(|price| price.id == *id && price.product == product));
                    let mut price = price_of(product, item)?;
                    price.id = known.unwrap_or_else(|| self.next_id());
                    kept.push(price);
                }
                // Those that were not named are gone.
                self.catalog.prices.retain(|price| price.product != product);
                self.catalog.prices.extend(kept);
                self.price_changed(call, product);
                let own: Vec<Value> = self.catalog.prices.iter().filter(|price| price.product == product).map(Price::shown).collect();
                Ok(Done::of(json!({"prices": own})))
            }
            "add" => {
                let fields = needed(parameters, "fields")?;
                let product = self.priced(fields.get("productId"))?;
                let mut price = price_of(product, fields)?;
                if self.catalog.prices.iter().any(|known| (known.product, known.group) == (product, price.group)) {
                    return Err(Fault::bad("0", "Price of this type exists already"));
                }
                price.id = self.next_id();
                let shown = price.shown();
                self.catalog.prices.push(price);
                self.price_changed(call, product);
                Ok(Done::of(json!({"price": shown})))
            }
            "update" => {
                let id = needed_id(parameters, "id")?;
                let fields = needed(parameters, "fields")?;
                let price = self.catalog.prices.iter_mut().find(|price| price.id == id).ok_or_else(no_product)?;
                price.price = number(fields, "price").unwrap_or(price.price);
                price.currency = fields.get("currency").and_then(wire::text).unwrap_or(std::mem::take(&mut price.currency));
                let (product, shown) = (price.product, price.shown());
                self.price_changed(call, product);
                Ok(Done::of(json!({"price": shown})))
            }
            "delete" => {
                let id = needed_id(parameters, "id")?;
                let before = self.catalog.prices.len();
                self.catalog.prices.retain(|price| price.id != id);
                if self.catalog.prices.len() == before { Err(no_product()) } else { Ok(Done::of(json!(true))) }
            }
            _ => Err(Fault::method_not_found()),
        }
    }

    fn priced(&self, id: Option<&Value>) -> Result<u64, Fault> {
        let id = id.and_then(wire::integer).and_then(|id| u64::try_from(id).ok());
        id.filter(|id| self.catalog.product(*id).is_some()).ok_or_else(no_product)
    }

    fn price_changed(&mut self, call: Call<'_>, product: u64) {
        if let Some(product) = self.catalog.products.iter_mut().find(|known| known.id == product) {
            product.changed_ms = call.wall_ms;
        }
        self.happened(call, "CATALOG.PRODUCT.ON.UPDATE", product);
    }

    pub(super) fn catalog_state(&self) -> Value {
        let prices = |id: u64| self.catalog.prices.iter().filter(|price| price.product == id).map(Price::shown).collect::<Vec<_>>();
        let products = self.catalog.products.iter().map(|product| {
            let mut shown = product.shown();
            shown["prices"] = json!(prices(product.id));
            shown
        });
        json!({"products": products.collect::<Vec<_>>(), "sections": self.catalog.sections.iter().map(Section::shown).collect::<Vec<_>>()})
    }
}

fn price_of(product: u64, given: &Value) -> Result<Price, Fault> {
    let price = number(given, "price").filter(|price| *price >= 0.0).ok_or_else(|| Fault::bad("0", "Required fields: price"))?;
    let group = given.get("catalogGroupId").and_then(wire::integer).filter(|group| *group == BASE_PRICE);
    let group = group.ok_or_else(|| Fault::bad("0", "Validate price error. Catalog price group is wrong"))?;
    let currency = given.get("currency").and_then(wire::text).unwrap_or_else(|| "RUB".to_owned());
    Ok(Price { id: 0, product, group, price, currency })
}

fn no_product() -> Fault {
    Fault::bad("200040300000", "product is not exists")
}

/// Rows that pass a filter, in order. A plain key takes one value or a list; `@` is not known here.
fn chosen(mut rows: Vec<Value>, filter: &Value, parameters: &Parameters) -> Result<Vec<Value>, Fault> {
    for (key, wanted) in filter.as_object().into_iter().flatten() {
        if key.starts_with('@') {
            return Err(Fault::bad("0", &format!("Unknown filter field {key}")));
        }
        let (prefix, name) = match key.as_str() {
            key if key.starts_with(">=") || key.starts_with("<=") => key.split_at(2),
            key if key.starts_with(['>', '<', '=', '!', '%']) => key.split_at(1),
            key => ("", key),
        };
        let wanted: Vec<String> = wire::members(wanted).into_iter().map(|value| wire::text(value).unwrap_or_default()).collect();
        let fits = |row: &Value| {
            let value = row.get(name).and_then(wire::text).unwrap_or_default();
            let first = wanted.first().cloned().unwrap_or_default();
            let order = match (value.parse::<f64>(), first.parse::<f64>()) {
                (Ok(a), Ok(b)) => a.total_cmp(&b),
                _ => value.cmp(&first),
            };
            match prefix {
                ">" => order.is_gt(),
                ">=" => order.is_ge(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                "!" => !wanted.contains(&value),
                "%" => value.to_lowercase().contains(&first.to_lowercase()),
                _ => wanted.contains(&value),
            }
        };
        rows.retain(fits);
    }
    let order = parameters.get("order").and_then(Value::as_object).and_then(|order| order.iter().next());
    if order.is_some_and(|(name, way)| name == "id" && way.as_str().is_some_and(|way| way.eq_ignore_ascii_case("desc"))) {
        rows.reverse();
    }
    Ok(rows)
}

fn listed(rows: Vec<Value>, name: &str, parameters: &Parameters) -> Answer {
    match start_of(parameters) {
        Some(start) => {
            let page = Done::page(rows, start, PAGE);
            Ok(Done { result: json!({name: page.result}), ..page })
        }
        None => Ok(Done::of(json!({name: rows.into_iter().take(PAGE).collect::<Vec<_>>()}))),
    }
}
