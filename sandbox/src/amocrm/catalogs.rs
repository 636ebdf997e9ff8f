//! Catalogs ("lists") and the list of products: `/catalogs`, `/catalogs/{id}/elements`, `/catalogs/{id}/custom_fields`, the products' settings.
//!
//! Elements are cards as contacts and leads are; only a write to them answers them whole. There is no DELETE.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::card::Kind;
use super::envelope::request_id;
use super::errors::{Invalid, Problem, Refused};
use super::{ACCOUNT, Amo, Call};

/// An account has no more lists than this.
const MAX_CATALOGS: usize = 10;

#[derive(Clone, Debug)]
pub(super) struct Catalog {
    pub(super) id: u64,
    name: String,
    /// `regular`, `invoices`, `products`.
    kind: String,
    sort: i64,
    at: i64,
}

impl Amo {
    /// The list of products, where it is switched on.
    pub(super) fn product_catalog(&self) -> Option<u64> {
        self.catalogs.iter().find(|catalog| catalog.kind == "products").map(|catalog| catalog.id)
    }

    pub(super) fn catalogs(&mut self, call: &Call<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
        if !self.extended {
            return Err(Problem::new(StatusCode::PAYMENT_REQUIRED, "Payment Required", "The tariff has no lists"));
        }
        match (call.method(), rest) {
            (&Method::GET, []) => {
                let shown = self.catalogs.iter().map(|catalog| self.shown_catalog(catalog)).collect();
                Ok(self.listed(call, "catalogs", shown, false))
            }
            (&Method::POST, []) => self.add_catalogs(call),
            (&Method::GET, ["products", "settings"]) => Ok(self.one(&self.product_settings())),
            (&Method::PATCH, ["products", "settings"]) => {
                if call.body()?.get("is_enabled") == Some(&json!(true)) && self.product_catalog().is_none() {
                    self.add_catalog("Товары", "products", 10, call.at);
                }
                Ok(self.one(&self.product_settings()))
            }
            (method, [id, rest @ ..]) => {
                let at = self.catalogs.iter().position(|catalog| catalog.id.to_string() == *id).ok_or_else(|| self.no_route(call))?;
                let catalog = self.catalogs.get(at).cloned().ok_or_else(|| self.no_route(call))?;
                let kind = Kind::Elements(catalog.id);
                match (method, rest) {
                    (&Method::GET, []) => Ok(self.one(&self.shown_catalog(&catalog))),
                    (&Method::PATCH, []) => {
                        let item = call.body()?;
                        if let Some((catalog, name)) = self.catalogs.get_mut(at).zip(item.get("name").and_then(Value::as_str)) {
                            name.clone_into(&mut catalog.name);
                        }
                        Ok(self.catalogs.get(at).map_or_else(|| self.one(&Value::Null), |catalog| self.one(&self.shown_catalog(catalog))))
                    }
                    (_, ["elements"]) => self.collection(call, kind),
                    (_, ["elements", id]) => {
                        let id = id.parse().map_err(|_| self.no_route(call))?;
                        self.single(call, kind, id)
                    }
                    (_, ["custom_fields", "groups", rest @ ..]) => self.groups(call, kind, rest),
                    (_, ["custom_fields", rest @ ..]) => self.custom_fields(call, kind, rest),
                    (_, []) => Err(Problem::method_not_allowed()),
                    _ => Err(self.no_route(call)),
                }
            }
            (_, []) => Err(Problem::method_not_allowed()),
        }
    }

    fn add_catalogs(&mut self, call: &Call<'_>) -> Result<Response<Bytes>, Refused> {
        let items = call.items()?;
        let mut invalid = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let mut errors = Vec::new();
            if item.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
                errors.push(Invalid::missing("name"));
            }
            let kind = item.get("type").and_then(Value::as_str).unwrap_or("regular");
            // At most one list of invoices and one of products.
            let taken = kind != "regular" && self.catalogs.iter().any(|catalog| catalog.kind == kind);
            if taken || !matches!(kind, "regular" | "invoices" | "products") {
                errors.push(Invalid::choice("type"));
            }
            if !errors.is_empty() {
                invalid.push((request_id(item, index), errors));
            }
        }
        if !invalid.is_empty() {
            return Err(Problem::invalid(invalid));
        }
        if self.catalogs.len() + items.len() > MAX_CATALOGS {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity", "Limit 10 lists"));
        }
        let mut shown = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let text = |key: &str, default: &str| item.get(key).and_then(Value::as_str).unwrap_or(default).to_owned();
            let sort = item.get("sort").and_then(Value::as_i64).unwrap_or(500);
            self.add_catalog(&text("name", ""), &text("type", "regular"), sort, call.at);
            let mut value = self.catalogs.last().map_or(Value::Null, |catalog| self.shown_catalog(catalog));
            value["request_id"] = json!(request_id(item, index));
            shown.push(value);
        }
        Ok(self.written(StatusCode::OK, "catalogs", "catalogs", shown))
    }

    fn add_catalog(&mut self, name: &str, kind: &str, sort: i64, at: i64) {
        let id = self.next_id();
        self.catalogs.push(Catalog { id, name: name.to_owned(), kind: kind.to_owned(), sort, at });
        if kind == "products" {
            self.seed_product_fields(Kind::Elements(id));
        }
    }

    fn product_settings(&self) -> Value {
        let id = self.product_catalog();
        json!({"is_enabled": id.is_some(), "catalog_id": id})
    }

    fn shown_catalog(&self, catalog: &Catalog) -> Value {
        json!({
            "id": catalog.id, "name": catalog.name, "created_by": super::USER, "updated_by": super::USER, "created_at": catalog.at,
            "updated_at": catalog.at, "sort": catalog.sort, "type": catalog.kind, "can_add_elements": true, "can_show_in_cards": false,
            "can_link_multiple": true, "can_be_deleted": catalog.kind == "regular", "sdk_widget_code": null, "account_id": ACCOUNT,
            "_links": {"self": {"href": self.href(&format!("catalogs/{}", catalog.id))}},
        })
    }

    /// Each list with its elements, for the books.
    pub(super) fn catalogs_state(&self) -> Value {
        let elements = |id: u64| {
            let kind = Kind::Elements(id);
            self.cards.range((kind, 0)..=(kind, u64::MAX)).map(|(_, card)| self.brief(kind, card)).collect::<Vec<_>>()
        };
        self.catalogs
            .iter()
            .map(|catalog| json!({"id": catalog.id, "name": catalog.name, "type": catalog.kind, "elements": elements(catalog.id)}))
            .collect()
    }
}
