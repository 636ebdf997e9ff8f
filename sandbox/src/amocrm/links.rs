//! Links between leads and contacts. Contacts are not linked with contacts.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::card::Kind;
use super::errors::{Invalid, Problem, Refused};
use super::{Amo, Call};
use crate::wire;

/// A contact of a lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) contact: u64,
    pub(super) main: bool,
}

impl Amo {
    pub(super) fn leads_of(&self, contact: u64) -> Vec<u64> {
        self.links.iter().filter(|(_, links)| links.iter().any(|link| link.contact == contact)).map(|(lead, _)| *lead).collect()
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
                    self.links.get(&id).into_iter().flatten().map(|link| shown_link(kind, id, Kind::Contacts, link.contact, Some(link.main))),
                ),
                Kind::Contacts => shown.extend(self.leads_of(id).into_iter().map(|lead| shown_link(kind, id, Kind::Leads, lead, None))),
            }
        }
        let path = call.request.uri().path().trim_start_matches("/api/v4/").to_owned();
        let body = json!({"_total_items": shown.len(), "_links": {"self": {"href": self.href(&path)}}, "_embedded": {"links": shown}});
        Ok(self.one(&body))
    }

    pub(super) fn link(&mut self, call: &Call<'_>, kind: Kind, id: Option<u64>) -> Result<Response<Bytes>, Refused> {
        let wanted = self.pairs(call, kind, id)?;
        for (lead, contact, _) in &wanted {
            let linked = self.links.get(lead).is_some_and(|links| links.iter().any(|link| link.contact == *contact));
            if linked && self.relinking_fails {
                return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "ErrInternalServer", "Internal server error")
                    .with("trace_id", json!("00000000000000000000000000000000")));
            }
        }
        let mut shown = Vec::new();
        for (lead, contact, main) in wanted {
            let links = self.links.entry(lead).or_default();
            if main {
                links.iter_mut().for_each(|link| link.main = false);
            }
            match links.iter_mut().find(|link| link.contact == contact) {
                Some(link) => link.main |= main,
                None => links.push(Link { contact, main }),
            }
            settle_main(links);
            let main = links.iter().find(|link| link.contact == contact).map(|link| link.main);
            shown.push(match kind {
                Kind::Leads => shown_link(kind, lead, Kind::Contacts, contact, main),
                Kind::Contacts => shown_link(kind, contact, Kind::Leads, lead, None),
            });
        }
        let path = call.request.uri().path().trim_start_matches("/api/v4/").to_owned();
        let body = json!({"_total_items": shown.len(), "_links": {"self": {"href": self.href(&path)}}, "_embedded": {"links": shown}});
        Ok(self.one(&body))
    }

    pub(super) fn unlink(&mut self, call: &Call<'_>, kind: Kind, id: Option<u64>) -> Result<Response<Bytes>, Refused> {
        for (lead, contact, _) in self.pairs(call, kind, id)? {
            if let Some(links) = self.links.get_mut(&lead) {
                links.retain(|link| link.contact != contact);
                settle_main(links);
            }
        }
        Ok(wire::empty(StatusCode::NO_CONTENT))
    }

    /// Lead, contact, and whether it is to be the main one.
    fn pairs(&self, call: &Call<'_>, kind: Kind, id: Option<u64>) -> Result<Vec<(u64, u64, bool)>, Refused> {
        if *call.method() != Method::POST {
            return Err(Problem::method_not_allowed());
        }
        let mut pairs = Vec::new();
        for (index, item) in call.items()?.iter().enumerate() {
            let number = |key: &str| item.get(key).and_then(wire::integer).and_then(|id| u64::try_from(id).ok());
            let refuse = |error| Err(Problem::invalid(vec![(index.to_string(), vec![error])]));
            let (Some(own), Some(other)) = (id.or(number("entity_id")), number("to_entity_id")) else {
                return refuse(Invalid::missing("to_entity_id"));
            };
            let wanted = if kind == Kind::Leads { Kind::Contacts } else { Kind::Leads };
            if item.get("to_entity_type").and_then(Value::as_str) != Some(wanted.name()) {
                return refuse(Invalid::choice("to_entity_type"));
            }
            if !self.cards.contains_key(&(kind, own)) {
                return Err(Problem::not_found(kind.title(), &[own]));
            }
            if !self.cards.contains_key(&(wanted, other)) {
                return refuse(Invalid::choice("to_entity_id"));
            }
            let main = item.pointer("/metadata/is_main").and_then(Value::as_bool).unwrap_or(false);
            let (lead, contact) = if kind == Kind::Leads { (own, other) } else { (other, own) };
            pairs.push((lead, contact, main));
        }
        Ok(pairs)
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
fn shown_link(kind: Kind, id: u64, to: Kind, to_id: u64, main: Option<bool>) -> Value {
    let metadata = main.map_or(Value::Null, |main| json!({"main_contact": main}));
    json!({"entity_id": id, "entity_type": kind.name(), "to_entity_id": to_id, "to_entity_type": to.name(), "metadata": metadata})
}
