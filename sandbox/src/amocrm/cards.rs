//! Reading and writing contacts, leads and elements of catalogs: lists, single ones, all-or-nothing writes.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::card::{Card, Kind, Lead};
use super::envelope::request_id;
use super::errors::{Invalid, Problem, Refused};
use super::links::Link;
use super::{Amo, Call, MANAGER, Moment, USER};
use crate::wire;

/// A card as a write wants it, with what lies outside of it.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) card: Card,
    /// Contacts of a new lead.
    pub(super) links: Vec<Link>,
    pub(super) request_id: String,
}

impl Amo {
    pub(super) fn collection(&mut self, call: &Call<'_>, kind: Kind) -> Result<Response<Bytes>, Refused> {
        match *call.method() {
            Method::GET => {
                let query = call.query();
                let with = query.get("with").and_then(Value::as_str).unwrap_or_default();
                let (page, limit) = super::envelope::page(&query);
                if kind == Kind::Leads && with.split(',').any(|part| part.trim() == "only_deleted") {
                    let gone = self.deleted.range((kind, 0)..=(kind, u64::MAX)).map(|(_, card)| self.shown(kind, card, with)).collect();
                    return Ok(self.listed(call, kind.name(), gone, false));
                }
                // Only the cards of the asked page are written out; the others need only be counted.
                let (from, to) = ((page - 1).saturating_mul(limit), page.saturating_mul(limit));
                let found = self.found(kind, &query, call.now_ms);
                let shown =
                    found.into_iter().enumerate().map(|(at, card)| if at >= from && at < to { self.shown(kind, card, with) } else { Value::Null });
                let shown = shown.collect();
                Ok(self.listed(call, kind.name(), shown, false))
            }
            Method::POST => {
                let items = call.items()?;
                let drafts = self.drafts(call.moment(), kind, &items)?;
                let answers = drafts.iter().map(|draft| self.reference(kind, draft)).collect();
                self.commit(call.moment(), kind, drafts);
                Ok(self.written(StatusCode::OK, &kind.path(), kind.name(), answers))
            }
            Method::PATCH => {
                let items = call.items()?;
                let answers = self.change(call.moment(), kind, &items)?;
                Ok(self.written(StatusCode::OK, &kind.path(), kind.name(), answers))
            }
            _ => Err(Problem::method_not_allowed()),
        }
    }

    pub(super) fn single(&mut self, call: &Call<'_>, kind: Kind, id: u64) -> Result<Response<Bytes>, Refused> {
        match *call.method() {
            Method::GET => {
                let query = call.query();
                let with = query.get("with").and_then(Value::as_str).unwrap_or_default();
                Ok(match self.cards.get(&(kind, id)) {
                    Some(card) => self.one(&self.shown(kind, card, with)),
                    None => wire::empty(StatusCode::NO_CONTENT),
                })
            }
            Method::PATCH => {
                let mut item = call.body()?;
                let Value::Object(map) = &mut item else { return Err(Problem::bad_request("The body must be an object")) };
                map.insert("id".to_owned(), json!(id));
                let answer = self.change(call.moment(), kind, &[item])?.into_iter().next().unwrap_or(Value::Null);
                Ok(self.one(&answer))
            }
            _ => Err(Problem::method_not_allowed()),
        }
    }

    /// Deletes a lead, as people do in the interface: the API has no call for it. False when there is none.
    pub fn remove_lead(&mut self, id: u64) -> bool {
        self.links.remove(&id);
        self.cards.remove(&(Kind::Leads, id)).is_some()
    }

    /// New cards, all valid, or the refusal of all.
    pub(super) fn drafts(&mut self, moment: Moment, kind: Kind, items: &[Value]) -> Result<Vec<Draft>, Refused> {
        let mut drafts = Vec::new();
        let mut invalid = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let request_id = request_id(item, index);
            let mut errors = Vec::new();
            let id = self.next_id();
            let mut card = Card {
                id,
                name: String::new(),
                first_name: String::new(),
                last_name: String::new(),
                responsible: USER,
                created_by: moment.by,
                updated_by: moment.by,
                created_at: moment.at,
                updated_at: moment.at,
                born_ms: moment.now_ms,
                values: std::collections::BTreeMap::new(),
                tags: Vec::new(),
                lead: Lead::default(),
            };
            self.fill(moment, kind, &mut card, item, true, &mut errors);
            let links = if kind == Kind::Leads { self.wanted_links(item, &mut errors) } else { Vec::new() };
            if errors.is_empty() {
                drafts.push(Draft { card, links, request_id });
            } else {
                invalid.push((request_id, errors));
            }
        }
        if invalid.is_empty() { Ok(drafts) } else { Err(Problem::invalid(invalid)) }
    }

    pub(super) fn commit(&mut self, moment: Moment, kind: Kind, drafts: Vec<Draft>) {
        for draft in drafts {
            let (id, links) = (draft.card.id, draft.links);
            self.cards.insert((kind, id), draft.card);
            if !links.is_empty() {
                self.links.insert(id, links.clone());
            }
            self.added(moment, kind, id);
            for link in links {
                self.linked(moment, (kind, id), (Kind::Contacts, link.contact), true);
            }
        }
    }

    /// An element is answered whole, a contact or a lead by its ids.
    fn reference(&self, kind: Kind, draft: &Draft) -> Value {
        if matches!(kind, Kind::Elements(_)) {
            let mut value = self.shown(kind, &draft.card, "");
            value["request_id"] = json!(draft.request_id);
            return value;
        }
        json!({"id": draft.card.id, "request_id": draft.request_id,
            "_links": {"self": {"href": self.href(&format!("{}/{}", kind.name(), draft.card.id))}}})
    }

    pub(super) fn change(&mut self, moment: Moment, kind: Kind, items: &[Value]) -> Result<Vec<Value>, Refused> {
        let (mut changed, mut invalid, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            let request_id = request_id(item, index);
            let Some(id) = item.get("id").and_then(wire::integer).and_then(|id| u64::try_from(id).ok()) else {
                invalid.push((request_id, vec![Invalid::missing("id")]));
                continue;
            };
            let Some(mut card) = self.cards.get(&(kind, id)).cloned() else {
                unknown.push(id);
                continue;
            };
            let mut errors = Vec::new();
            self.fill(moment, kind, &mut card, item, false, &mut errors);
            card.updated_at = moment.at.max(card.updated_at);
            card.updated_by = moment.by;
            if errors.is_empty() { changed.push((request_id, card)) } else { invalid.push((request_id, errors)) }
        }
        if !unknown.is_empty() {
            return Err(Problem::not_found(kind.title(), &unknown));
        }
        if !invalid.is_empty() {
            return Err(Problem::invalid(invalid));
        }
        let mut answers = Vec::new();
        for (request_id, card) in changed {
            let href = self.href(&format!("{}/{}", kind.path(), card.id));
            let mut answer = json!({"id": card.id, "name": card.name, "updated_at": card.updated_at, "_links": {"self": {"href": href}}});
            if matches!(kind, Kind::Elements(_)) {
                answer = self.shown(kind, &card, "");
            }
            answer["request_id"] = json!(request_id);
            answers.push(answer);
            let id = card.id;
            if let Some(before) = self.cards.insert((kind, id), card) {
                self.changed(moment, kind, &before);
            }
        }
        Ok(answers)
    }

    /// Takes over what an item says; what it does not say, or says as null, stays.
    fn fill(&mut self, moment: Moment, kind: Kind, card: &mut Card, item: &Value, new: bool, errors: &mut Vec<Invalid>) {
        let Value::Object(given) = item else {
            errors.push(Invalid::wrong_type("", "object"));
            return;
        };
        let text = |key: &str, errors: &mut Vec<Invalid>| match given.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                errors.push(Invalid::wrong_type(key, "string"));
                None
            }
        };
        let number = |key: &str, errors: &mut Vec<Invalid>| match given.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.as_i64(),
            Some(_) => {
                errors.push(Invalid::wrong_type(key, "int"));
                None
            }
        };
        let name = text("name", errors);
        if kind == Kind::Contacts {
            let (first, last) = (text("first_name", errors), text("last_name", errors));
            let renamed = first.is_some() || last.is_some();
            card.first_name = first.unwrap_or(std::mem::take(&mut card.first_name));
            card.last_name = last.unwrap_or(std::mem::take(&mut card.last_name));
            if renamed && name.is_none() {
                card.name = format!("{} {}", card.first_name, card.last_name).trim().to_owned();
            }
        }
        if let Some(name) = name {
            card.name = name;
        }
        if let Some(user) = number("responsible_user_id", errors) {
            match u64::try_from(user) {
                Ok(user @ (USER | MANAGER)) => card.responsible = user,
                _ => errors.push(Invalid::choice("responsible_user_id")),
            }
        }
        if let Some(by) = number("created_by", errors).filter(|_| new) {
            match u64::try_from(by) {
                Ok(by @ (0 | USER | MANAGER)) => card.created_by = by,
                _ => errors.push(Invalid::choice("created_by")),
            }
        }
        if let Some(at) = number("created_at", errors).filter(|_| new) {
            card.created_at = at;
        }
        if kind == Kind::Leads {
            let asked = super::leads::Asked {
                price: number("price", errors),
                pipeline: number("pipeline_id", errors),
                status: number("status_id", errors),
                closed_at: number("closed_at", errors),
                loss_reason: number("loss_reason_id", errors),
            };
            self.fill_lead(moment.at, card, &asked, new, errors);
        }
        if let Some(values) = given.get("custom_fields_values") {
            self.fill_values(kind, &mut card.values, values, errors);
        }
        if matches!(kind, Kind::Elements(_)) && card.name.is_empty() {
            errors.push(Invalid::missing("name"));
        }
        if errors.is_empty() {
            self.fill_tags(kind, &mut card.tags, given);
        }
    }
}
