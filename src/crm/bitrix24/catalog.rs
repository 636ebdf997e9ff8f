//! Lime's products as the portal's catalog has them: what is written, and what the ledger keeps of it. Pure.
//!
//! A product of Lime's without a price is a group of others, and becomes a section. Both carry Lime's id as `xmlId`. Prices live apart from products, and
//! only the base one is ours: those that people added beside it stay.

use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::Command;
use super::places::Shelf;
use super::record::{Fields, major};
use crate::domain::{Money, Product, ProductKind};
use crate::journal::LedgerKey;

/// `xmlId` of a product or section: the business key.
#[must_use]
pub fn xml_id(lime: &str) -> String {
    format!("lime:{lime}")
}

/// Lime's id in an `xmlId` of ours.
#[must_use]
pub fn lime_id(xml_id: &str) -> Option<&str> {
    xml_id.strip_prefix("lime:").filter(|id| !id.is_empty())
}

/// Where the ledger keeps a product, by Lime's id.
#[must_use]
pub fn product_key(lime: &str) -> LedgerKey {
    LedgerKey { kind: "bitrix24.product".to_owned(), key: lime.to_owned() }
}

/// Where the ledger keeps the section of a group, by Lime's id.
#[must_use]
pub fn section_key(lime: &str) -> LedgerKey {
    LedgerKey { kind: "bitrix24.section".to_owned(), key: lime.to_owned() }
}

/// A product at the portal, as the ledger keeps it: `812 s 91 50000RUB 3fa9c1d2e4b5a697`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelved {
    /// Its id there.
    pub id: u64,
    /// It is a service: it has methods of its own.
    pub service: bool,
    /// The id of its base price, and what we wrote into it; none where that is not known.
    pub price: Option<(u64, String)>,
    /// The mark of what was written; empty where that is not known.
    pub mark: String,
}

impl Shelved {
    /// As the ledger keeps it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (id, price) = self.price.as_ref().map_or_else(|| ("-".to_owned(), "-"), |(id, price)| (id.to_string(), price.as_str()));
        format!("{} {} {id} {price} {}", self.id, if self.service { 's' } else { 'g' }, self.mark)
    }

    /// Reads it back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(5, ' ');
        let id = words.next()?.parse().ok()?;
        let service = words.next()? == "s";
        let price = words.next()?.parse().ok().zip(words.next().map(str::to_owned));
        Some(Self { id, service, price, mark: words.next().unwrap_or_default().to_owned() })
    }
}

/// A section at the portal, as the ledger keeps it: `47 3fa9c1d2e4b5a697`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sectioned {
    /// Its id there.
    pub id: u64,
    /// The mark of what was written; empty where that is not known.
    pub mark: String,
}

impl Sectioned {
    /// As the ledger keeps it.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{} {}", self.id, self.mark)
    }

    /// Reads it back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, mark) = text.split_once(' ')?;
        Some(Self { id: id.parse().ok()?, mark: mark.to_owned() })
    }
}

/// The mark of what is written of a product or group: with the same mark there is nothing to write.
#[must_use]
pub fn mark(name: &str, active: bool, section: Option<u64>) -> String {
    let text = format!("{active}\n{}\n{name}", section.unwrap_or(0));
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple().to_string().chars().take(16).collect()
}

/// What is written into a price: `50000RUB`.
#[must_use]
pub fn price_mark(price: &Money) -> String {
    format!("{}{}", price.minor, price.currency)
}

/// What is no thing to carry away.
#[must_use]
pub fn is_service(kind: ProductKind) -> bool {
    !matches!(kind, ProductKind::Goods | ProductKind::Other)
}

/// A new product.
#[must_use]
pub fn add(product: &Product, section: Option<u64>, shelf: Shelf) -> Command {
    let mut fields = fields(&product.name, product.active, section);
    fields.insert("iblockId".to_owned(), json!(shelf.iblock));
    fields.insert("xmlId".to_owned(), json!(xml_id(&product.id)));
    let method = if is_service(product.kind) { "catalog.product.service.add" } else { "catalog.product.add" };
    Command::new(method, json!({ "fields": fields }))
}

/// A product brought up to date.
#[must_use]
pub fn update(shelved: &Shelved, product: &Product, section: Option<u64>) -> Command {
    let mut fields = fields(&product.name, product.active, section);
    fields.entry("iblockSectionId").or_insert(json!(0));
    Command::new(updating(shelved.service), json!({ "id": shelved.id, "fields": fields }))
}

/// A product that is sold no more. It stays, for old deals have it.
#[must_use]
pub fn archive(shelved: &Shelved) -> Command {
    Command::new(updating(shelved.service), json!({ "id": shelved.id, "fields": { "active": "N" } }))
}

fn updating(service: bool) -> &'static str {
    if service { "catalog.product.service.update" } else { "catalog.product.update" }
}

/// A new section.
#[must_use]
pub fn add_section(lime: &str, name: &str, parent: Option<u64>, shelf: Shelf) -> Command {
    let mut fields = fields(name, true, parent);
    fields.insert("iblockId".to_owned(), json!(shelf.iblock));
    fields.insert("xmlId".to_owned(), json!(xml_id(lime)));
    Command::new("catalog.section.add", json!({ "fields": fields }))
}

/// A section brought up to date.
#[must_use]
pub fn update_section(id: u64, name: &str, active: bool, parent: Option<u64>) -> Command {
    let mut fields = fields(name, active, parent);
    fields.entry("iblockSectionId").or_insert(json!(0));
    Command::new("catalog.section.update", json!({ "id": id, "fields": fields }))
}

/// A section that is gone in Lime.
#[must_use]
pub fn archive_section(id: u64) -> Command {
    Command::new("catalog.section.update", json!({ "id": id, "fields": { "active": "N" } }))
}

fn fields(name: &str, active: bool, section: Option<u64>) -> Fields {
    let mut fields = Fields::new();
    fields.insert("name".to_owned(), json!(name));
    fields.insert("active".to_owned(), json!(if active { "Y" } else { "N" }));
    fields.extend(section.map(|section| ("iblockSectionId".to_owned(), json!(section))));
    fields
}

/// The base price of a product that has none; without `product`, of one that the same request makes.
#[must_use]
pub fn add_price(product: Option<u64>, price: &Money, shelf: Shelf) -> Command {
    let mut fields = json!({ "catalogGroupId": shelf.price_type, "price": major(price.minor), "currency": price.currency });
    if let Some(product) = product {
        fields["productId"] = json!(product);
    }
    Command::new("catalog.price.add", json!({ "fields": fields }))
}

/// The base price of a product, changed.
#[must_use]
pub fn update_price(id: u64, price: &Money) -> Command {
    Command::new("catalog.price.update", json!({ "id": id, "fields": { "price": major(price.minor), "currency": price.currency } }))
}

/// Products by `xmlId`: goods, then services. Lists of catalogs take many values under the plain key.
#[must_use]
pub fn ask_products(lime: &[String], shelf: Shelf) -> [Command; 2] {
    let keys: Vec<String> = lime.iter().map(|id| xml_id(id)).collect();
    let params =
        json!({ "select": ["id", "iblockId", "xmlId", "type"], "filter": { "iblockId": shelf.iblock, "xmlId": keys }, "order": { "id": "ASC" } });
    [Command::new("catalog.product.list", params.clone()), Command::new("catalog.product.service.list", params)]
}

/// Sections by `xmlId`.
#[must_use]
pub fn ask_sections(lime: &[String], shelf: Shelf) -> Command {
    let keys: Vec<String> = lime.iter().map(|id| xml_id(id)).collect();
    let params = json!({ "select": ["id", "iblockId", "xmlId"], "filter": { "iblockId": shelf.iblock, "xmlId": keys }, "order": { "id": "ASC" } });
    Command::new("catalog.section.list", params)
}

/// The base prices of products.
#[must_use]
pub fn ask_prices(products: &[u64], shelf: Shelf) -> Command {
    let params = json!({
        "select": ["id", "productId", "catalogGroupId"], "filter": { "productId": products, "catalogGroupId": shelf.price_type }, "order": { "id": "ASC" },
    });
    Command::new("catalog.price.list", params)
}

/// The `xmlId`s of products.
#[must_use]
pub fn ask_keys(products: &[u64], shelf: Shelf) -> [Command; 2] {
    let params = json!({ "select": ["id", "iblockId", "xmlId"], "filter": { "iblockId": shelf.iblock, "id": products }, "order": { "id": "ASC" } });
    [Command::new("catalog.product.list", params.clone()), Command::new("catalog.product.service.list", params)]
}

/// The rows of a catalog's list under whichever of these names it came.
#[must_use]
pub fn rows(result: &Value) -> Vec<&Value> {
    ["products", "services", "sections", "prices"].into_iter().find_map(|name| result.get(name)).map(super::wire::rows).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_line_of_a_product_is_read_back_whatever_is_known_of_it() {
        for price in [None, Some((91, "50000RUB".to_owned()))] {
            let shelved = Shelved { id: 812, service: true, price, mark: mark("Билет", true, Some(47)) };
            assert_eq!(Shelved::parse(&shelved.to_text()), Some(shelved));
        }
        let bare = Shelved { id: 1, service: false, price: None, mark: String::new() };
        assert_eq!(Shelved::parse(&bare.to_text()), Some(bare));
        assert_eq!((Shelved::parse(""), Shelved::parse("x s - -")), (None, None));
        let section = Sectioned { id: 47, mark: String::new() };
        assert_eq!(Sectioned::parse(&section.to_text()), Some(section));
    }

    #[test]
    fn each_part_of_what_is_written_changes_the_mark() {
        let marks = [mark("а", true, None), mark("б", true, None), mark("а", false, None), mark("а", true, Some(1))];
        for (n, one) in marks.iter().enumerate() {
            assert!(marks.iter().skip(n + 1).all(|other| other != one));
        }
    }
}
