//! What only leads have: price, pipeline and stage, and adding them together with a contact.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::card::{Card, Kind};
use super::envelope::HAL;
use super::errors::{Invalid, Problem, Refused};
use super::links::Link;
use super::pipelines::{LOST, WON};
use super::{Amo, Call};
use crate::wire;

/// More than this in one complex request is refused.
const MAX_COMPLEX: usize = 50;

/// What a write says of the lead's own fields.
pub(super) struct Asked {
    pub(super) price: Option<i64>,
    pub(super) pipeline: Option<i64>,
    pub(super) status: Option<i64>,
    pub(super) closed_at: Option<i64>,
    pub(super) loss_reason: Option<i64>,
}

impl Amo {
    pub(super) fn fill_lead(&self, at: i64, card: &mut Card, asked: &Asked, new: bool, errors: &mut Vec<Invalid>) {
        if let Some(price) = asked.price {
            card.lead.price = price;
        }
        if new {
            let main = self.pipelines.iter().find(|pipeline| pipeline.is_main).or(self.pipelines.first());
            card.lead.pipeline = main.map_or(0, |pipeline| pipeline.id);
        }
        let pipeline = match asked.pipeline {
            Some(id) => self.pipelines.iter().find(|pipeline| i64::try_from(pipeline.id) == Ok(id)),
            // A stage alone names its pipeline, except for the two that every pipeline has.
            None => {
                let current = self.pipelines.iter().find(|pipeline| pipeline.id == card.lead.pipeline);
                let stage = asked.status.and_then(|status| u64::try_from(status).ok());
                let holds = |stage: u64| self.pipelines.iter().find(|pipeline| pipeline.has(stage));
                current.filter(|pipeline| stage.is_none_or(|stage| pipeline.has(stage))).or(stage.and_then(holds))
            }
        };
        let Some(pipeline) = pipeline else {
            errors.push(Invalid::choice(if asked.pipeline.is_some() { "pipeline_id" } else { "status_id" }));
            return;
        };
        let stage = match asked.status {
            Some(status) => u64::try_from(status).unwrap_or(0),
            None if new => pipeline.first_stage(),
            None => card.lead.status,
        };
        if !pipeline.has(stage) {
            errors.push(Invalid::choice("status_id"));
            return;
        }
        let was_closed = matches!(card.lead.status, WON | LOST);
        let closed = matches!(stage, WON | LOST);
        card.lead.pipeline = pipeline.id;
        card.lead.status = stage;
        card.lead.loss_reason = asked.loss_reason.or(card.lead.loss_reason).filter(|_| stage == LOST);
        card.lead.closed_at = match (closed, asked.closed_at) {
            (false, _) => None,
            (true, Some(given)) => Some(given),
            (true, None) if was_closed => card.lead.closed_at,
            (true, None) => Some(at),
        };
    }

    /// `POST /leads/complex`: a bare array comes back, with `request_id` as a list.
    pub(super) fn complex(&mut self, call: &Call<'_>) -> Result<Response<Bytes>, Refused> {
        if *call.method() != Method::POST {
            return Err(Problem::method_not_allowed());
        }
        let items = call.items()?;
        if items.len() > MAX_COMPLEX {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Unprocessable Entity", "Limit 50 per page"));
        }
        let mut contacts = Vec::new();
        let mut leads = Vec::new();
        for item in &items {
            let contact = item.pointer("/_embedded/contacts/0").filter(|contact| contact.get("id").is_none()).cloned();
            contacts.push(contact.map(|contact| self.drafts(call.moment(), Kind::Contacts, &[contact])).transpose()?.unwrap_or_default());
            let mut lead = item.clone();
            if let (Some(_), Some(Value::Object(embedded))) = (contacts.last().filter(|drafts| !drafts.is_empty()), lead.get_mut("_embedded")) {
                embedded.remove("contacts");
            }
            leads.push(lead);
        }
        let mut drafts = self.drafts(call.moment(), Kind::Leads, &leads)?;
        let mut answer = Vec::new();
        for ((draft, contact), item) in drafts.iter_mut().zip(&contacts).zip(&items) {
            if let Some(contact) = contact.first() {
                draft.links.push(Link { contact: contact.card.id, main: true });
            }
            let request_id: Vec<String> = item.get("request_id").and_then(wire::text).into_iter().collect();
            let contact_id = draft.links.first().map(|link| link.contact);
            answer.push(json!({"id": draft.card.id, "contact_id": contact_id, "company_id": null, "request_id": request_id, "merged": false}));
        }
        self.commit(call.moment(), Kind::Contacts, contacts.into_iter().flatten().collect());
        self.commit(call.moment(), Kind::Leads, drafts);
        Ok(wire::json_as(HAL, StatusCode::OK, &Value::Array(answer)))
    }
}
