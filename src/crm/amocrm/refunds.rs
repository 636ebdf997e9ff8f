//! Refunds: the lead of the sale is marked with what was given back, and moved where its rule says so when all of it was.
//!
//! What is set is the same however often it is set: a refund is counted by its id, and the count is on disk before the write leaves.

use http::Method;
use serde_json::{Value, json};

use crate::config::StageRef;
use crate::crm::deal_fields::DealField;
use crate::delivery::{Host, Job, Verdict};
use crate::domain::Receipt;
use crate::flow::deals::{self, GivenBack, Sold, sold_key};
use crate::journal::Learned;

use super::courier::Place;
use super::desk::{Desk, Stop};
use super::errors::{Meaning, meaning};
use super::memory::Memory;
use super::places::Places;
use super::receipt_lead::whole;
use super::value::decimal;
use super::wire::{self, PAGE};

/// A refusal that names nothing is tried so often.
const PATIENCE: u32 = 5;

/// Takes refunds as far as they go.
///
/// # Errors
/// When it cannot go on now.
pub async fn deliver(desk: &mut Desk, memory: &mut Memory, place: &Place, places: &Places, jobs: &[(&Job, &Receipt)]) -> Result<(), Stop> {
    for (job, refund) in jobs.iter().filter(|(job, _)| job.doubt.is_none()) {
        let Some(key) = sold_key(refund) else {
            desk.done(job.seq, None);
            continue;
        };
        let kept = memory.looked.get(&key).and_then(Sold::from_json);
        let sold = match kept {
            Some(sold) => Some(sold),
            None => search(desk, places, refund).await?,
        };
        let Some(mut sold) = sold else {
            match deals::next_look(refund, job.oldest, job.attempts, place.now_wall_ms) {
                None => desk.done(job.seq, None),
                after => desk.judge(job.seq, Verdict::Retry { reason: "hub/sale_unknown".to_owned(), after }),
            }
            continue;
        };
        let given = sold.give_back(refund);
        let line = Learned { key: key.clone(), value: Some(sold.to_json()) };
        memory.looked.put(key, line.value.clone());
        let body = change(&sold, given, places, place);
        let answer = desk.set(Host::Crm, wire::send(Method::PATCH, "/leads", &[&body], "PATCH /leads"), vec![line.clone()]).await?;
        match meaning(&answer) {
            Meaning::Good => desk.done(job.seq, Some(format!("lead:{}", sold.deal))),
            Meaning::Later { reason, after } => return Err(Stop::Later { reason, after }),
            Meaning::Broken { reason } => return Err(Stop::later(reason, None)),
            // Somebody has deleted the deal: there is nothing left to mark.
            Meaning::BadItems(bad) if bad.iter().any(|bad| bad.gone) => desk.done(job.seq, None),
            Meaning::BadItems(bad) if !desk.reloaded && bad.iter().any(|bad| bad.schema) => return Err(Stop::Schema),
            Meaning::BadItems(bad) => {
                let answer = bad.into_iter().map(|bad| bad.said).collect::<Vec<_>>().join("; ");
                desk.judge(job.seq, Verdict::Dead { reason: "amocrm/invalid".to_owned(), answer });
            }
            Meaning::Refused { said } if job.attempts >= PATIENCE => {
                desk.judge(job.seq, Verdict::Dead { reason: "amocrm/refused".to_owned(), answer: said });
            }
            Meaning::Refused { .. } => desk.judge(job.seq, Verdict::Retry { reason: "amocrm/refused".to_owned(), after: None }),
        }
        desk.learn(line.key, line.value);
    }
    // Nothing is created for a refund but its client's contact, and that has been asked for.
    for (job, _) in jobs.iter().filter(|(job, _)| job.doubt.is_some()) {
        desk.judge(job.seq, Verdict::NotFound);
    }
    Ok(())
}

/// The item of `PATCH /leads`.
fn change(sold: &Sold, given: GivenBack, places: &Places, place: &Place) -> Value {
    let returned = sold.returns.iter().map(|(_, sum)| *sum).fold(0, i64::saturating_add);
    let mut body = json!({ "id": sold.deal.parse::<u64>().unwrap_or(0), "tags_to_add": [{ "name": place.texts.refund_tag() }] });
    if let Some(field) = places.field(DealField::Refunded) {
        body["custom_fields_values"] = json!([{ "field_id": field.id, "values": [{ "value": decimal(returned) }] }]);
    }
    let id = |stage: &StageRef| if let StageRef::Id(id) = stage { id.parse::<u64>().ok() } else { None };
    match (given, sold.refunded.as_ref().and_then(id)) {
        (GivenBack::Part { left }, _) => body["price"] = json!(whole(left)),
        (GivenBack::Whole, Some(stage)) => {
            body["status_id"] = json!(stage);
            if let Some(pipeline) = id(&sold.pipeline) {
                body["pipeline_id"] = json!(pipeline);
            }
        }
        // It stays among the deals that were won, and must not count there.
        (GivenBack::Whole, None) => body["price"] = json!(0),
    }
    body
}

/// The lead of a sale that the ledger does not know: made before this box, or by another.
async fn search(desk: &mut Desk, places: &Places, refund: &Receipt) -> Result<Option<Sold>, Stop> {
    let (Some(number), Some(field)) = (&refund.receipt_id, places.field(DealField::Receipt)) else { return Ok(None) };
    let path = format!("/leads?query={}&limit={PAGE}", wire::encoded(number));
    let page = desk.page(wire::get(&path, "GET /leads?query"), "leads").await?;
    let bears = |lead: &&Value| wire::custom_value(lead, field.id).as_deref() == Some(number.as_str());
    let Some(lead) = page.items.iter().find(bears) else { return Ok(None) };
    let id = |key: &str| wire::id(lead.get(key));
    let (Some(deal), Some(pipeline)) = (id("id"), id("pipeline_id")) else { return Ok(None) };
    let place = places.rules.iter().flatten().find(|rule| rule.pipeline == pipeline);
    let id = |id: u64| StageRef::Id(id.to_string());
    Ok(Some(Sold {
        deal: deal.to_string(),
        total: wire::number(lead.get("price")).unwrap_or(0).saturating_mul(100),
        pipeline: id(pipeline),
        refunded: place.and_then(|place| place.refunded).map(id),
        returns: Vec::new(),
    }))
}
