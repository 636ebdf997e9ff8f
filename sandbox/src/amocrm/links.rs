//! Links between leads and contacts, and from both to elements of catalogs with a quantity. Contacts are not linked with contacts.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::card::Kind;
use super::errors::{Invalid, Problem, Refused};
use super::{Amo, Call, Moment, USER};
use crate::wire;

/// A contact of a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) contact: u64,
    pub(super) main: bool,
}

/// An element of a catalog on a card.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Product {
    pub(super) catalog: u64,
    pub(super) element: u64,
    pub(super) quantity: f64,
    price_id: Option<u64>,
}

/// One link as a write wants it.
enum Wanted {
    Contact { lead: u64, contact: u64, main: bool },
    Product { owner: u64, product: Product },
}

impl Amo {
    pub(super) fn leads_of(&self, contact: u64) -> Vec<u64> {
        self.links.iter().filter(|(_, links)| links.iter().any(|link| link.contact == contact)).map(|(lead, _)| *lead).collect()
    }

    /// The products of a card, as `with=catalog_elements` shows them.
    pub(super) fn shown_products(&self, kind: Kind, id: u64) -> Value {
        let products = self.products.get(&(kind, id)).into_iter().flatten();
        products
            .map(|product| {
                let mut metadata = json!({"quantity": product.quantity, "catalog_id": product.catalog});
                if let Some(price) = product.price_id {
                    metadata["price_id"] = json!(price);
                }
                json!({"id": product.element, "metadata": metadata})
            })
            .collect()
    }

    /// The contacts that a new lead names.
    pub(super) fn wanted_links(&self, item: &Value, errors: &mut Vec<Invalid>) -> Vec<Link> {
        let mut links: Vec<Link> = Vec::new();
        for (index, contact) in item.pointer("/_embedded/contacts").map(wire::members).unwrap_or_default().into_iter().enumerate() {
            match contact
                .get("id")
                .and_then(wire::integer)
                .and_then(|id| u64::try_from(id).ok())
                .filter(|id| self.cards.contains_key(&(Kind::Contacts, *id)))
            {
                Some(id) => links.push(Link { contact: id, main: contact.get("is_main").and_then(Value::as_bool).unwrap_or(false) }),
                None => errors.push(Invalid::choice(format!("_embedded.contacts.{index}.id"))),
            }
        }
        settle_main(&mut links);
        links
    }

    pub(super) fn links(&mut self, call: &Call<'_>, kind: Kind, id: Option<u64>) -> Result<Response<Bytes>, Refused> {
        if *call.method() != Method::GET {
            return Err(Problem::method_not_allowed());
        }
        let query = call.query();
        let text = |pointer: &str| query.pointer(pointer).and_then(wire::text);
        let ids: Vec<u64> = match id {
            Some(id) => vec![id],
            None => query
                .pointer("/filter/entity_id")
                .map(wire::members)
                .unwrap_or_default()
                .into_iter()
                .filter_map(wire::integer)
                .filter_map(|id| u64::try_from(id).ok())
                .collect(),
        };
        let mut shown = Vec::new();
        for id in ids {
            match kind {
                Kind::Leads => shown.extend(
                    self.links.get(&id).into_iter().flatten().map(|link| shown_link(kind, id, Kind::Contacts, link.contact, main_contact(link.main))),
                ),
                _ => shown.extend(self.leads_of(id).into_iter().map(|lead| shown_link(kind, id, Kind::Leads, lead, Value::Null))),
            }
            let products = self.products.get(&(kind, id)).into_iter().flatten();
            shown.extend(products.map(|product| shown_product(kind, id, product)));
        }
        let (to_type, to_id, catalog) = (text("/filter/to_entity_type"), text("/filter/to_entity_id"), text("/filter/to_catalog_id"));
        let fits = |link: &Value, key: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| link.pointer(key).and_then(wire::text).as_ref() == Some(wanted))
        };
        shown.retain(|link| {
            fits(link, "/to_entity_type", &to_type) && fits(link, "/to_entity_id", &to_id) && fits(link, "/metadata/catalog_id", &catalog)
        });
        Ok(self.answered(call, shown))
    }

    pub(super) fn link(&mut self, call: &Call<'_>, kind: Kind, id: Option<u64>) -> Result<Response<Bytes>, Refused> {
        let wanted = self.wanted(call, kind, id)?;
        for link in &wanted {
            let Wanted::Contact { lead, contact, .. } = link else { continue };
            let linked = self.links.get(lead).is_some_and(|links| links.iter().any(|link| link.contact == *contact));
            if linked && self.relinking_fails {
                return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "ErrInternalServer", "Internal server error")
                    .with("trace_id", json!("00000000000000000000000000000000")));
            }
        }
        let mut shown = Vec::new();
        for link in wanted {
            shown.push(match link {
                Wanted::Contact { lead, contact, main } => {
                    let main = self.link_contact(call.moment(), lead, contact, main);
                    match kind {
                        Kind::Leads => shown_link(kind, lead, Kind::Contacts, contact, main_contact(main)),
                        _ => shown_link(kind, contact, Kind::Leads, lead, Value::Null),
                    }
                }
                Wanted::Product { owner, product } => {
                    let answer = shown_product(kind, owner, &product);
                    self.link_product(call.moment(), kind, owner, product);
                    answer
                }
            });
        }
        Ok(self.answered(call, shown))
    }

    pub(super) fn unlink(&mut self, call: &Call<'_>, kind: Kind, id: Option<u64>) -> Result<Response<Bytes>, Refused> {
        for link in self.wanted(call, kind, id)? {
            match link {
                Wanted::Contact { lead, contact, .. } => {
                    if let Some(links) = self.links.get_mut(&lead) {
                        links.retain(|link| link.contact != contact);
                        settle_main(links);
                    }
                    self.linked(call.moment(), (Kind::Leads, lead), (Kind::Contacts, contact), false);
                }
                Wanted::Product { owner, product } => self.unlink_product(call.moment(), kind, owner, product.catalog, product.element),
            }
        }
        Ok(wire::empty(StatusCode::NO_CONTENT))
    }

    /// Answers whether the contact is the main one now.
    pub(super) fn link_contact(&mut self, moment: Moment, lead: u64, contact: u64, main: bool) -> bool {
        let links = self.links.entry(lead).or_default();
        if main {
            links.iter_mut().for_each(|link| link.main = false);
        }
        match links.iter_mut().find(|link| link.contact == contact) {
            Some(link) => link.main |= main,
            None => links.push(Link { contact, main }),
        }
        settle_main(links);
        let main = links.iter().any(|link| link.contact == contact && link.main);
        self.linked(moment, (Kind::Leads, lead), (Kind::Contacts, contact), true);
        main
    }

    /// Links an element, or changes the quantity of one that is linked. A lead without a budget takes the products' prices.
    pub(super) fn link_product(&mut self, moment: Moment, kind: Kind, owner: u64, product: Product) {
        let element = (Kind::Elements(product.catalog), product.element);
        let own = self.products.entry((kind, owner)).or_default();
        match own.iter_mut().find(|known| (known.catalog, known.element) == (product.catalog, product.element)) {
            Some(known) => *known = product,
            None => own.push(product),
        }
        let sum: f64 = own.clone().iter().map(|product| self.price_of(product) * product.quantity).sum();
        self.touch_for_link(moment, kind, owner, Some(sum));
        self.linked(moment, (kind, owner), element, true);
    }

    pub(super) fn unlink_product(&mut self, moment: Moment, kind: Kind, owner: u64, catalog: u64, element: u64) {
        let own = self.products.entry((kind, owner)).or_default();
        let before = own.len();
        own.retain(|known| (known.catalog, known.element) != (catalog, element));
        if own.len() != before {
            self.touch_for_link(moment, kind, owner, None);
            self.linked(moment, (kind, owner), (Kind::Elements(catalog), element), false);
        }
    }

    /// A contact goes: its leads stand without it.
    pub(super) fn forget_contact(&mut self, contact: u64) {
        for links in self.links.values_mut() {
            links.retain(|link| link.contact != contact);
            settle_main(links);
        }
    }

    fn touch_for_link(&mut self, moment: Moment, kind: Kind, owner: u64, sum: Option<f64>) {
        let Some(before) = self.cards.get(&(kind, owner)).cloned() else { return };
        let mut after = before.clone();
        if let Some(sum) = sum.filter(|_| kind == Kind::Leads && before.lead.price == 0) {
            // Whole roubles, as everything that has no minor units.
            after.lead.price = sum.round().clamp(0.0, 9e15) as i64;
        }
        if self.links_touch || after.lead.price != before.lead.price {
            after.updated_at = moment.at.max(before.updated_at);
            after.updated_by = moment.by;
            self.cards.insert((kind, owner), after);
            self.changed(moment, kind, &before);
        }
    }

    fn price_of(&self, product: &Product) -> f64 {
        let kind = Kind::Elements(product.catalog);
        let field = self.fields_of(kind).iter().find(|field| field.code.as_deref() == Some("PRICE"));
        let values = self.cards.get(&(kind, product.element)).zip(field).and_then(|(card, field)| card.values.get(&field.id));
        values.and_then(|values| values.first()?.get("value")?.as_str()?.parse().ok()).unwrap_or(0.0)
    }

    pub(super) fn new_product(catalog: u64, element: u64, quantity: f64) -> Product {
        Product { catalog, element, quantity, price_id: None }
    }

    fn answered(&self, call: &Call<'_>, shown: Vec<Value>) -> Response<Bytes> {
        let path = call.request.uri().path().trim_start_matches("/api/v4/").to_owned();
        self.one(&json!({"_total_items": shown.len(), "_links": {"self": {"href": self.href(&path)}}, "_embedded": {"links": shown}}))
    }

    fn wanted(&self, call: &Call<'_>, kind: Kind, id: Option<u64>) -> Result<Vec<Wanted>, Refused> {
        if *call.method() != Method::POST {
            return Err(Problem::method_not_allowed());
        }
        let mut wanted = Vec::new();
        for (index, item) in call.items()?.iter().enumerate() {
            let number = |pointer: &str| item.pointer(pointer).and_then(wire::integer).and_then(|id| u64::try_from(id).ok());
            let refuse = |error| Err(Problem::invalid(vec![(index.to_string(), vec![error])]));
            let (Some(own), Some(other)) = (id.or(number("/entity_id")), number("/to_entity_id")) else {
                return refuse(Invalid::missing("to_entity_id"));
            };
            if !self.cards.contains_key(&(kind, own)) {
                return Err(Problem::not_found(kind.title(), &[own]));
            }
            let other_kind = if kind == Kind::Leads { Kind::Contacts } else { Kind::Leads };
            match item.get("to_entity_type").and_then(Value::as_str) {
                Some("catalog_elements") => {
                    let Some(catalog) = number("/metadata/catalog_id") else { return refuse(Invalid::missing("metadata.catalog_id")) };
                    if !self.cards.contains_key(&(Kind::Elements(catalog), other)) {
                        return refuse(Invalid::choice("to_entity_id"));
                    }
                    if number("/metadata/updated_by").is_some_and(|by| by != USER) {
                        return refuse(Invalid::choice("metadata.updated_by"));
                    }
                    let quantity = match item.pointer("/metadata/quantity").filter(|quantity| !quantity.is_null()) {
                        None => 1.0,
                        Some(quantity) => match quantity.as_f64().filter(|quantity| quantity.is_finite() && *quantity > 0.0) {
                            Some(quantity) => quantity,
                            None => return refuse(Invalid::wrong_type("metadata.quantity", "float")),
                        },
                    };
                    let product = Product { catalog, element: other, quantity, price_id: number("/metadata/price_id") };
                    wanted.push(Wanted::Product { owner: own, product });
                }
                Some(name) if name == other_kind.name() => {
                    if !self.cards.contains_key(&(other_kind, other)) {
                        return refuse(Invalid::choice("to_entity_id"));
                    }
                    let main = item.pointer("/metadata/is_main").and_then(Value::as_bool).unwrap_or(false);
                    let (lead, contact) = if kind == Kind::Leads { (own, other) } else { (other, own) };
                    wanted.push(Wanted::Contact { lead, contact, main });
                }
                _ => return refuse(Invalid::choice("to_entity_type")),
            }
        }
        Ok(wanted)
    }
}

/// A lead with contacts has exactly one main contact.
fn settle_main(links: &mut [Link]) {
    let main = links.iter().position(|link| link.main).unwrap_or(0);
    for (index, link) in links.iter_mut().enumerate() {
        link.main = index == main;
    }
}

/// Written as `is_main`, read as `main_contact`.
fn main_contact(main: bool) -> Value {
    json!({"main_contact": main})
}

fn shown_link(kind: Kind, id: u64, to: Kind, to_id: u64, metadata: Value) -> Value {
    json!({"entity_id": id, "entity_type": kind.name(), "to_entity_id": to_id, "to_entity_type": to.name(), "metadata": metadata})
}

fn shown_product(kind: Kind, id: u64, product: &Product) -> Value {
    json!({"entity_id": id, "entity_type": kind.name(), "to_entity_id": product.element, "to_entity_type": "catalog_elements",
        "metadata": {"quantity": product.quantity, "catalog_id": product.catalog, "price_id": product.price_id}})
}
