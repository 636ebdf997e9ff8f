//! Product rows of deals: `crm.item.productrow.*` and the older `crm.deal.productrows.*`. A set replaces them all.
//!
//! Where a deal's sum is not kept by hand, it follows the rows.

use serde_json::{Map, Value, json};

use super::errors::Fault;
use super::schema::Entity;
use super::{Answer, Bitrix, Call, Done, PAGE, Parameters, needed, needed_id, portal_time, start_of};
use crate::wire;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ProductRow {
    pub(super) id: u64,
    /// 0: a text without a product.
    pub(super) product: u64,
    pub(super) name: String,
    pub(super) price: f64,
    pub(super) quantity: f64,
    tax_rate: Option<f64>,
    tax_included: bool,
    discount_type: i64,
    discount_rate: f64,
    discount_sum: f64,
    measure: i64,
    sort: i64,
}

impl Bitrix {
    pub(super) fn product_row(&mut self, call: Call<'_>, verb: &str, parameters: &Parameters) -> Answer {
        match verb {
            "set" => {
                let owner = self.row_owner(parameters.get("ownerType"), parameters.get("ownerId"))?;
                let given = needed(parameters, "productRows")?;
                let rows = self.rows_of(owner, wire::members(given), &CAMEL)?;
                self.set_rows(call, owner, rows);
                Ok(Done::of(json!({"productRows": self.shown_rows(owner)})))
            }
            "add" => {
                let fields = needed(parameters, "fields")?;
                let owner = self.row_owner(fields.get("ownerType"), fields.get("ownerId"))?;
                let mut rows = self.rows.get(&owner).cloned().unwrap_or_default();
                rows.extend(self.rows_of(owner, vec![fields], &CAMEL)?);
                self.set_rows(call, owner, rows);
                Ok(Done::of(json!({"productRow": self.shown_rows(owner).as_array().and_then(|rows| rows.last().cloned())})))
            }
            "list" => {
                let filter = parameters.get("filter");
                let key = |name: &str| filter.and_then(|filter| filter.get(name));
                if key("=ownerType").is_none() || key("=ownerId").is_none() {
                    return Err(Fault::bad("100", "Could not find value for parameter {=ownerType} or {=ownerId}"));
                }
                let owner = self.row_owner(key("=ownerType"), key("=ownerId"))?;
                let rows = self.shown_rows(owner).as_array().cloned().unwrap_or_default();
                let Some(start) = start_of(parameters) else {
                    return Ok(Done::of(json!({"productRows": rows.into_iter().take(PAGE).collect::<Vec<_>>()})));
                };
                let page = Done::page(rows, start, PAGE);
                Ok(Done { result: json!({"productRows": page.result}), ..page })
            }
            "get" | "update" | "delete" => {
                let id = needed_id(parameters, "id")?;
                let owner =
                    self.rows.iter().find(|(_, rows)| rows.iter().any(|row| row.id == id)).map(|(owner, _)| *owner).ok_or_else(Fault::not_found)?;
                if verb != "get" {
                    let mut rows = self.rows.get(&owner).cloned().unwrap_or_default();
                    if verb == "delete" {
                        rows.retain(|row| row.id != id);
                    } else {
                        let fields = needed(parameters, "fields")?;
                        for row in rows.iter_mut().filter(|row| row.id == id) {
                            row.quantity = number(fields, "quantity").unwrap_or(row.quantity);
                            row.price = number(fields, "price").unwrap_or(row.price);
                        }
                    }
                    self.set_rows(call, owner, rows);
                }
                let shown = self.shown_rows(owner);
                let row = shown.as_array().into_iter().flatten().find(|row| row.get("id") == Some(&json!(id))).cloned();
                Ok(Done::of(row.map_or(Value::Null, |row| json!({"productRow": row}))))
            }
            _ => Err(Fault::method_not_found()),
        }
    }

    /// `crm.deal.productrows.*`: upper case, `true` as the answer. Rows that cannot be read leave the deal without any.
    pub(super) fn classic_rows(&mut self, call: Call<'_>, verb: &str, parameters: &Parameters) -> Answer {
        let id = parameters.get("id").or_else(|| parameters.get("ID")).and_then(wire::integer).and_then(|id| u64::try_from(id).ok());
        let id = id.filter(|id| self.items.contains_key(&(Entity::Deal, *id))).ok_or_else(|| Fault::bad("", "Not found"))?;
        match verb {
            "set" => {
                let given = parameters.get("rows").or_else(|| parameters.get("ROWS")).map(wire::members).unwrap_or_default();
                let rows = self.rows_of(id, given.into_iter().filter(|row| row.is_object()).collect(), &UPPER)?;
                self.set_rows(call, id, rows);
                Ok(Done::of(json!(true)))
            }
            "get" => {
                let rows = self.rows.get(&id).into_iter().flatten().map(|row| {
                    json!({"ID": row.id.to_string(), "OWNER_ID": id.to_string(), "OWNER_TYPE": "D", "PRODUCT_ID": row.product,
                        "PRODUCT_NAME": row.name, "PRICE": row.price, "QUANTITY": row.quantity, "SORT": row.sort})
                });
                Ok(Done::of(rows.collect()))
            }
            _ => Err(Fault::method_not_found()),
        }
    }

    fn row_owner(&self, kind: Option<&Value>, id: Option<&Value>) -> Result<u64, Fault> {
        let kind = kind.and_then(Value::as_str).ok_or_else(|| Fault::missing("ownerType"))?;
        if !matches!(kind, "D" | "L" | "Q" | "SI") {
            return Err(Fault::bad("ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported"));
        }
        let id = id.and_then(wire::integer).and_then(|id| u64::try_from(id).ok()).ok_or_else(|| Fault::missing("ownerId"))?;
        if kind == "D" && self.items.contains_key(&(Entity::Deal, id)) {
            Ok(id)
        } else {
            Err(Fault::bad("OWNER_NOT_FOUND", "Владелец не найден"))
        }
    }

    /// Rows as a set wants them; one that names its id keeps it.
    fn rows_of(&mut self, owner: u64, given: Vec<&Value>, names: &Names) -> Result<Vec<ProductRow>, Fault> {
        let known: Vec<u64> = self.rows.get(&owner).into_iter().flatten().map(|row| row.id).collect();
        let mut rows = Vec::new();
        for (index, given) in given.into_iter().enumerate() {
            let product = given.get(names.product).and_then(wire::integer).and_then(|id| u64::try_from(id).ok()).unwrap_or(0);
            let own = self.catalog.product(product).map(|product| product.name.clone());
            if product != 0 && own.is_none() {
                return Err(Fault::bad("0", &format!("Товар с идентификатором {product} не найден")));
            }
            let id = given.get(names.id).and_then(wire::integer).and_then(|id| u64::try_from(id).ok()).filter(|id| known.contains(id));
            let name = given.get(names.name).and_then(wire::text).filter(|name| !name.is_empty()).or(own).unwrap_or_default();
            let quantity = number(given, names.quantity).unwrap_or(1.0);
            let price = number(given, names.price).unwrap_or(0.0);
            if quantity <= 0.0 || price < 0.0 {
                return Err(Fault::bad("0", "Неверное количество или цена"));
            }
            rows.push(ProductRow {
                id: id.unwrap_or_else(|| self.next_id()),
                product,
                name,
                price,
                quantity,
                tax_rate: number(given, "taxRate"),
                tax_included: given.get("taxIncluded").and_then(Value::as_str) == Some("Y"),
                discount_type: given.get("discountTypeId").and_then(wire::integer).unwrap_or(2),
                discount_rate: number(given, "discountRate").unwrap_or(0.0),
                discount_sum: number(given, "discountSum").unwrap_or(0.0),
                measure: given.get("measureCode").and_then(wire::integer).unwrap_or(796),
                sort: given.get("sort").and_then(wire::integer).unwrap_or_else(|| i64::try_from(index + 1).unwrap_or(1) * 10),
            });
        }
        rows.sort_by_key(|row| (row.sort, row.id));
        Ok(rows)
    }

    pub(super) fn set_rows(&mut self, call: Call<'_>, owner: u64, rows: Vec<ProductRow>) {
        let same = self.rows.get(&owner).map_or(&[][..], Vec::as_slice) == rows.as_slice();
        self.rows.insert(owner, rows);
        if same {
            return;
        }
        let sum = self.sum_of_rows(owner);
        self.items.change((Entity::Deal, owner), |deal| {
            if deal.text("isManualOpportunity") != Some("Y") {
                deal.values.insert("opportunity".to_owned(), json!(sum));
            }
            deal.values.insert("updatedTime".to_owned(), json!(portal_time(call.wall_ms)));
        });
        self.item_happened(call, Entity::Deal, "UPDATE", owner);
    }

    pub(super) fn sum_of_rows(&self, owner: u64) -> f64 {
        self.rows.get(&owner).into_iter().flatten().map(|row| row.price * row.quantity).sum()
    }

    pub(super) fn shown_rows(&self, owner: u64) -> Value {
        let rows = self.rows.get(&owner).into_iter().flatten().map(|row| {
            let exclusive = match row.tax_rate {
                Some(rate) if row.tax_included => row.price / (1.0 + rate / 100.0),
                _ => row.price,
            };
            let product = self.catalog.product(row.product);
            json!({
                "id": row.id, "ownerId": owner, "ownerType": "D", "productId": row.product, "productName": row.name, "price": row.price,
                "priceExclusive": exclusive, "priceNetto": exclusive + row.discount_sum, "priceBrutto": row.price + row.discount_sum,
                "priceAccount": format!("{:.2}", row.price), "quantity": row.quantity, "discountTypeId": row.discount_type,
                "discountRate": row.discount_rate, "discountSum": row.discount_sum, "taxRate": row.tax_rate,
                "taxIncluded": if row.tax_included { "Y" } else { "N" }, "customized": "Y", "measureCode": row.measure, "measureName": "шт",
                "sort": row.sort, "xmlId": product.and_then(|product| product.xml_id.clone()), "type": product.map_or(1, |product| product.kind),
            })
        });
        rows.collect()
    }

    /// Rows as a manager sets them: by product, quantity 0 taking one away.
    pub(super) fn put_rows(&mut self, call: Call<'_>, owner: u64, given: &[Value]) -> Result<(), String> {
        let mut rows = self.rows.get(&owner).cloned().unwrap_or_default();
        for item in given {
            let by_key = item.get("xml_id").and_then(Value::as_str).and_then(|key| self.catalog.by_xml_id(key)).map(|product| product.id);
            let id = by_key.or_else(|| item.get("id").and_then(Value::as_u64)).unwrap_or(0);
            let quantity = number(item, "quantity").unwrap_or(1.0);
            if let Some(row) = rows.iter_mut().find(|row| row.product == id && id != 0) {
                row.quantity = quantity;
                row.price = number(item, "price").unwrap_or(row.price);
                continue;
            }
            let mut fields = Map::from_iter([("productId".to_owned(), json!(id)), ("quantity".to_owned(), json!(quantity))]);
            fields.insert("price".to_owned(), json!(number(item, "price").or_else(|| self.catalog.base_price(id)).unwrap_or(0.0)));
            fields.extend(item.get("name").map(|name| ("productName".to_owned(), name.clone())));
            let made = self.rows_of(owner, vec![&Value::Object(fields)], &CAMEL).map_err(|fault| fault.value_in_batch().to_string())?;
            rows.extend(made);
        }
        rows.retain(|row| row.quantity > 0.0);
        self.set_rows(call, owner, rows);
        Ok(())
    }
}

/// How a family of methods calls the parts of a row.
struct Names {
    id: &'static str,
    product: &'static str,
    name: &'static str,
    price: &'static str,
    quantity: &'static str,
}

const CAMEL: Names = Names { id: "id", product: "productId", name: "productName", price: "price", quantity: "quantity" };
const UPPER: Names = Names { id: "ID", product: "PRODUCT_ID", name: "PRODUCT_NAME", price: "PRICE", quantity: "QUANTITY" };

pub(super) fn number(given: &Value, key: &str) -> Option<f64> {
    let value = given.get(key)?;
    value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok())).filter(|number| number.is_finite())
}
