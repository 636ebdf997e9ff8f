//! Preorders, both ways: `PUT /preorders/by-ref/{ref}` from a CRM's deal, the cashier's own, and the feed of both.
//!
//! Invariants: a reference is one preorder; a revision is carried out once, and a lower one never (409 `stale`); the same revision with other content is
//! refused, too.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::feeds::{Feed, Origin};
use super::{CURRENCY, Lime, body, errors};

const STATUSES: [&str; 4] = ["draft", "confirmed", "paid", "cancelled"];

#[derive(Clone, Debug)]
pub(super) struct Preorder {
    pub(super) id: String,
    pub(super) reference: Option<String>,
    pub(super) revision: u64,
    pub(super) version: u64,
    pub(super) changed_ms: i64,
    /// The last change was made in Lime.
    by_lime: bool,
    content: Content,
}

/// What both sides may say of a preorder.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    client_id: Option<String>,
    contact: Value,
    event: Value,
    lines: Vec<Value>,
    total: i64,
    prepaid: i64,
    status: String,
    comment: Option<String>,
}

impl Preorder {
    pub(super) fn shown(&self) -> Value {
        let content = &self.content;
        json!({"id": self.id, "ref": self.reference, "revision": self.revision, "version": self.version, "client_id": content.client_id,
            "contact": content.contact, "event": content.event, "lines": content.lines, "total": content.total, "prepaid": content.prepaid,
            "currency": CURRENCY, "status": content.status, "comment": content.comment})
    }
}

impl Lime {
    pub(super) fn put_preorder(&mut self, wall_ms: i64, reference: &str, request: &Request<Bytes>) -> Result<(StatusCode, Value), errors::Refused> {
        let given = body(request).map_err(|message| errors::malformed(&message))?;
        let Some(revision) = given.get("revision").and_then(Value::as_u64) else {
            return Err(errors::malformed("revision must be a whole number").into());
        };
        let bound = self.preorders.values().find(|preorder| preorder.reference.as_deref() == Some(reference)).map(|preorder| preorder.id.clone());
        // A preorder that was made in Lime gets its deal's reference this way.
        let named = given.get("preorder_id").and_then(Value::as_str).map(str::to_owned);
        let named = match (&bound, named) {
            (None, Some(id)) => match self.preorders.get(&id) {
                Some(preorder) if preorder.reference.is_none() => Some(id),
                Some(_) => return Err(conflict("bound", "this preorder has another reference").into()),
                None => return Err(errors::not_found("preorder").into()),
            },
            _ => None,
        };
        let known = bound.clone().or(named).and_then(|id| self.preorders.get(&id).cloned());
        let (content, mut warnings) = self.content(&given, known.as_ref().map(|preorder| &preorder.content))?;
        if let Some(known) = known.as_ref().filter(|_| bound.is_some()) {
            if revision < known.revision {
                return Err(conflict("stale", "a later revision was carried out already").into());
            }
            if revision == known.revision {
                if !known.by_lime && known.content != content {
                    return Err(conflict("revision_conflict", "this revision was carried out with other content").into());
                }
                return Ok((StatusCode::OK, answer(known, warnings)));
            }
            if known.by_lime && known.content != content {
                warnings.push(json!({"code": "changed_in_lime", "message": "Lime's own later change is overwritten"}));
            }
        }
        let id = known.as_ref().map_or_else(|| self.new_preorder_id(), |known| known.id.clone());
        let version = known.map_or(0, |known| known.version) + 1;
        let preorder = Preorder { id, reference: Some(reference.to_owned()), revision, version, changed_ms: wall_ms, by_lime: false, content };
        let answered = answer(&preorder, warnings);
        self.keep(preorder, Origin::of_reference(reference));
        Ok((StatusCode::OK, answered))
    }

    /// The cashier makes or changes a preorder.
    pub(super) fn cashier_preorder(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let known = match given.get("id").and_then(Value::as_str) {
            Some(id) => Some(self.preorders.get(id).cloned().ok_or_else(|| format!("there is no preorder {id}"))?),
            None => None,
        };
        let (content, _) = self
            .content(given, known.as_ref().map(|preorder| &preorder.content))
            .map_err(|refused| String::from_utf8_lossy(refused.body()).into_owned())?;
        let preorder = match known {
            Some(known) => Preorder { version: known.version + 1, changed_ms: wall_ms, by_lime: true, content, ..known },
            None => Preorder { id: self.new_preorder_id(), reference: None, revision: 0, version: 1, changed_ms: wall_ms, by_lime: true, content },
        };
        let answered = answer(&preorder, Vec::new());
        self.keep(preorder, Origin::lime());
        Ok(answered)
    }

    fn keep(&mut self, mut preorder: Preorder, origin: Origin) {
        preorder.by_lime = origin.is_lime();
        self.feeds.push(Feed::Preorders, false, preorder.version, preorder.changed_ms, origin, preorder.shown());
        self.preorders.insert(preorder.id.clone(), preorder);
    }

    fn new_preorder_id(&self) -> String {
        format!("po-{}", self.preorders.len() + 1)
    }

    /// What is absent stays as it was.
    fn content(&self, given: &Map<String, Value>, before: Option<&Content>) -> Result<(Content, Vec<Value>), errors::Refused> {
        let unfit = |field: &str, why: &str| errors::error(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", &format!("{field}: {why}"), false);
        let mut content = before.cloned().unwrap_or_else(|| Content { status: "draft".to_owned(), ..Content::default() });
        let mut warnings = Vec::new();
        if let Some(contact) = given.get("contact").filter(|contact| contact.is_object()) {
            content.contact = contact.clone();
            let phone = contact.get("phone").and_then(Value::as_str);
            let holders: Vec<&String> = self
                .clients
                .values()
                .filter(|client| phone.is_some_and(|phone| client.phones.iter().any(|own| own == phone)))
                .map(|client| &client.id)
                .collect();
            // With two clients of one phone somebody has to choose.
            match holders.as_slice() {
                [one] => content.client_id = Some((*one).clone()),
                [] => {}
                _ => warnings.push(json!({"code": "ambiguous_contact", "message": "more than one client has this phone"})),
            }
        }
        if let Some(id) = given.get("client_id").and_then(Value::as_str) {
            if !self.clients.contains_key(id) {
                return Err(unfit("client_id", "there is no such client").into());
            }
            content.client_id = Some(id.to_owned());
        }
        if content.client_id.is_none() && content.contact.is_null() {
            return Err(unfit("client_id", "a client or a contact is needed").into());
        }
        if let Some(event) = given.get("event") {
            for end in ["starts_at", "ends_at"] {
                if event.get(end).and_then(Value::as_str).and_then(crate::wire::parse_rfc3339).is_none() {
                    return Err(unfit("event", "starts_at and ends_at must be RFC 3339 with an offset").into());
                }
            }
            content.event = event.clone();
        }
        if let Some(lines) = given.get("lines") {
            let lines = lines.as_array().ok_or_else(|| unfit("lines", "must be a list"))?;
            content.lines.clear();
            for line in lines {
                let product = line.get("good_type_id").and_then(Value::as_str).and_then(|id| self.products.get(id));
                let Some(product) = product else { return Err(unfit("lines", "a line names no product of Lime's").into()) };
                let quantity = line.get("qty").and_then(super::quantity);
                let Some(quantity) = quantity else { return Err(unfit("lines", "qty must be a whole number above 0").into()) };
                let price = line.get("price").and_then(super::money).or(product.price).unwrap_or(0);
                if !product.active {
                    warnings.push(json!({"code": "inactive_product", "message": "this product is no longer sold", "good_type_id": product.id}));
                }
                if product.price.is_some_and(|own| own != price) {
                    warnings.push(json!({"code": "price_differs", "message": "Lime has another price", "good_type_id": product.id,
                        "price": product.price}));
                }
                content.lines.push(json!({"good_type_id": product.id, "name": product.name, "qty": quantity, "price": price}));
            }
        }
        let of_line = |line: &Value| {
            line.get("qty").and_then(Value::as_i64).unwrap_or(0).saturating_mul(line.get("price").and_then(Value::as_i64).unwrap_or(0))
        };
        content.total = content.lines.iter().map(of_line).fold(0, i64::saturating_add);
        if given.get("total").and_then(Value::as_i64).is_some_and(|total| total != content.total) {
            warnings.push(json!({"code": "total_differs", "message": "the lines give another total", "total": content.total}));
        }
        if let Some(prepaid) = given.get("prepaid").and_then(super::money) {
            content.prepaid = prepaid;
        }
        if let Some(status) = given.get("status") {
            let status = status.as_str().filter(|status| STATUSES.contains(status)).ok_or_else(|| unfit("status", "unknown"))?;
            status.clone_into(&mut content.status);
        }
        if let Some(comment) = given.get("comment") {
            content.comment = comment.as_str().map(str::to_owned);
        }
        Ok((content, warnings))
    }
}

fn answer(preorder: &Preorder, warnings: Vec<Value>) -> Value {
    json!({"preorder_id": preorder.id, "version": preorder.version, "total": preorder.content.total, "warnings": warnings})
}

fn conflict(code: &str, message: &str) -> Response<Bytes> {
    errors::error(StatusCode::CONFLICT, code, message, false)
}
