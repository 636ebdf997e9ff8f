//! Notes for staff on a lead. A note cannot carry a key of ours, so one that may have been written is looked for by its text before it is written again.
//!
//! Never: a note that sets off robots.

use http::Method;
use serde_json::{Value, json};

use crate::delivery::{Host, Job};
use crate::http::Request;

use super::courier::Place;
use super::desk::{Desk, Stop, good};
use super::wire::{self, PAGE};

/// Writes a note, where it is not there already.
///
/// # Errors
/// When it cannot be done now.
pub async fn say(desk: &mut Desk, place: &Place, job: &Job, lead: u64, text: &str) -> Result<(), Stop> {
    let perhaps = job.doubt.is_some() || job.attempts > 0;
    if perhaps && is_there(desk, lead, text).await? {
        return Ok(());
    }
    let note = json!({
        "entity_id": lead,
        "note_type": "service_message",
        "params": { "service": place.texts.group(), "text": text },
        "is_need_to_trigger_digital_pipeline": false,
    });
    let answer = desk.create(wire::send(Method::POST, "/leads/notes", &[&note], "POST /leads/notes"), vec![job.seq]).await?;
    good(&answer)
}

async fn is_there(desk: &mut Desk, lead: u64, text: &str) -> Result<bool, Stop> {
    let mut next = Some(format!("/api/v4/leads/{lead}/notes?order%5Bid%5D=desc&limit={PAGE}"));
    while let Some(path) = next.take() {
        let answer = desk.ask(Host::Crm, Request::get(path, "GET /leads/{id}/notes")).await?;
        if answer.status.as_u16() == 404 {
            return Ok(false);
        }
        good(&answer)?;
        let Some(page) = wire::page(&answer, "notes") else { return Err(Stop::later("amocrm/unreadable", None)) };
        if page.items.iter().any(|note| note.pointer("/params/text").and_then(Value::as_str) == Some(text)) {
            return Ok(true);
        }
        next = page.next;
    }
    Ok(false)
}
