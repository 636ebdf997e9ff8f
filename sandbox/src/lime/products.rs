//! What Lime sells, in groups: a group is a product without a price that others name as their parent.

use serde_json::{Value, json};

use super::feeds::{Feed, Origin, SEEDED_MS};
use super::{CURRENCY, Lime};

/// The kinds that the contract names.
pub(super) const KINDS: [&str; 6] = ["ticket", "service", "goods", "deposit", "package", "event"];

#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) id: String,
    pub(super) parent_id: Option<String>,
    pub(super) name: String,
    pub(super) kind: String,
    /// Minor units; a group has none.
    pub(super) price: Option<i64>,
    pub(super) active: bool,
    pub(super) version: u64,
    pub(super) changed_ms: i64,
}

impl Product {
    pub(super) fn shown(&self) -> Value {
        json!({"id": self.id, "parent_id": self.parent_id, "name": self.name, "kind": self.kind, "price": self.price, "currency": CURRENCY,
            "active": self.active, "image_url": null, "version": self.version})
    }
}

/// Id, parent, name, kind, price.
type Row = (&'static str, Option<&'static str>, &'static str, &'static str, Option<i64>);

const INITIAL: [Row; 12] = [
    ("g-1", None, "Билеты", "ticket", None),
    ("g-2", None, "Кафе", "goods", None),
    ("g-3", None, "Праздники", "event", None),
    ("g-4", None, "Депозит", "deposit", None),
    ("p-1", Some("g-1"), "Билет на 1 час", "ticket", Some(50_000)),
    ("p-2", Some("g-1"), "Абонемент на 12 посещений", "ticket", Some(480_000)),
    ("p-3", Some("g-2"), "Пицца «Маргарита»", "goods", Some(65_000)),
    ("p-4", Some("g-2"), "Морс, 1 л", "goods", Some(25_000)),
    ("p-5", Some("g-3"), "День рождения «Стандарт»", "package", Some(1_500_000)),
    ("p-6", Some("g-3"), "Аниматор, 1 час", "service", Some(400_000)),
    ("p-7", Some("g-3"), "Комната для праздника, 2 часа", "event", Some(600_000)),
    ("p-8", Some("g-4"), "Пополнение депозита", "deposit", Some(0)),
];

impl Lime {
    pub(super) fn seed_products(&mut self) {
        for (id, parent, name, kind, price) in INITIAL {
            let product = Product {
                id: id.to_owned(),
                parent_id: parent.map(str::to_owned),
                name: name.to_owned(),
                kind: kind.to_owned(),
                price,
                active: true,
                version: 1,
                changed_ms: SEEDED_MS,
            };
            self.products.insert(product.id.clone(), product);
        }
    }

    /// A product as it is now; told in the feed.
    pub(super) fn put_product(&mut self, mut product: Product, wall_ms: i64) {
        product.version += 1;
        product.changed_ms = wall_ms;
        self.feeds.push(Feed::Products, false, product.version, wall_ms, Origin::lime(), product.shown());
        self.products.insert(product.id.clone(), product);
    }
}
