//! `limegate verify --remote` at amoCRM: leads by the ids of passes, and by the keys of receipts and preorders.
//!
//! Leads are listed newest first, 250 to a page, as far as the oldest pass in question or until searching is cheaper; what the list did not show is
//! searched for by its key. Never: a lead called missing that was not searched for, unless the whole list was seen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use crate::crm::audit::{DealOf, Finding, Findings, Hits, Search, Sought, SoughtDeal};
use crate::crm::script::Line;
use crate::crm::setup::SetupError;
use crate::crm::texts::PassField;
use crate::domain::Change;
use crate::http::{Answer, Request};

use super::bookings;
use super::setup::{self, Read};
use super::wire::{self, PAGE};

/// Hits of one search: a key is no part of anything else, so there are hardly two.
const HITS: usize = 50;

/// Asks for delivered passes, to be given to [`crate::crm::setup::drive_in`].
#[must_use]
pub fn search(sought: Vec<Sought>) -> Search {
    Search::new(move |line| async move { findings(&line, &sought).await })
}

/// The same for deals that the integration made: they bear their key in the same field.
#[must_use]
pub fn deals(sought: Vec<SoughtDeal>) -> Search {
    let own = |one: &SoughtDeal| match &one.of {
        DealOf::Receipt(transaction) => Change::receipt_key(transaction),
        DealOf::Preorder(preorder) => bookings::key(preorder),
    };
    let keys: BTreeMap<Uuid, Uuid> = sought.iter().map(|one| (own(one), one.key)).collect();
    let leads: Vec<Sought> = sought.into_iter().map(|one| Sought { key: own(&one), remote: one.remote, client: None }).collect();
    Search::new(move |line| async move {
        let found = findings(&line, &leads).await?;
        Ok(found.into_iter().filter_map(|(key, finding)| Some((*keys.get(&key)?, finding))).collect())
    })
}

async fn findings(line: &Line<Request, Answer>, sought: &[Sought]) -> Result<Findings, SetupError> {
    if sought.is_empty() {
        return Ok(Findings::new());
    }
    let field = key_field(line).await?;
    let mut hits: Hits = sought.iter().map(|one| (one.key, BTreeSet::new())).collect();
    for key in walk(line, field, sought, &mut hits).await? {
        let request = wire::get(&format!("/leads?query={key}&limit={HITS}"), "GET /leads?query");
        take(&setup::list(line, request, "leads").await?.items, field, &mut hits);
    }
    Ok(hits.into_iter().map(|(key, leads)| (key, Finding::of(leads.len()))).collect())
}

/// The id of the lead's field that holds the key.
async fn key_field(line: &Line<Request, Answer>) -> Result<u64, SetupError> {
    let code = PassField::EventUid.code();
    let mut request = Read::LeadFields.first();
    loop {
        let page = setup::list(line, request, Read::LeadFields.key()).await?;
        if let Some(field) = page.items.iter().find(|field| wire::text(field.get("code")).as_deref() == Some(code)) {
            return wire::id(field.get("id")).ok_or(SetupError::Unreadable { request: Read::LeadFields.label(), what: "a field's id" });
        }
        let Some(next) = page.next else {
            let said = format!("the field {code} is not in the account; run `limegate crm setup`");
            return Err(SetupError::Refused { request: Read::LeadFields.label(), status: 200, said });
        };
        request = Request::get(next, Read::LeadFields.label());
    }
}

/// Walks the newest leads. The keys of which it cannot speak are left to be searched for.
async fn walk(line: &Line<Request, Answer>, field: u64, sought: &[Sought], hits: &mut Hits) -> Result<Vec<Uuid>, SetupError> {
    // One page costs what one search costs.
    let most = sought.len().max(2);
    let oldest = sought.iter().map(|one| one.remote_id("lead")).min().flatten();
    let mut next = Some(format!("/api/v4/leads?order%5Bid%5D=desc&limit={PAGE}"));
    let (mut lowest, mut margin) = (u64::MAX, false);
    for _ in 0..most {
        // The whole list was seen: what was not in it is not there.
        let Some(path) = next.take() else { return Ok(Vec::new()) };
        let page = setup::list(line, Request::get(path, "GET /leads?order"), "leads").await?;
        lowest = page.items.iter().filter_map(|lead| wire::id(lead.get("id"))).min().unwrap_or(lowest);
        take(&page.items, field, hits);
        next = page.next;
        if margin {
            break;
        }
        // A double may be older than what the journal knows: one page further shows it.
        margin = oldest.is_some_and(|oldest| lowest < oldest);
    }
    if next.is_none() {
        return Ok(Vec::new());
    }
    Ok(hits.iter().filter(|(_, leads)| leads.is_empty()).map(|(key, _)| *key).collect())
}

fn take(leads: &[Value], field: u64, hits: &mut Hits) {
    for lead in leads {
        let key = wire::custom_value(lead, field).and_then(|text| Uuid::parse_str(text.trim()).ok());
        let deleted = lead.get("is_deleted").and_then(Value::as_bool) == Some(true);
        if let (Some(leads), Some(id), false) = (key.and_then(|key| hits.get_mut(&key)), wire::id(lead.get("id")), deleted) {
            leads.insert(id);
        }
    }
}
