//! What a synchronisation of one client would change, and why: both cards read as they are, merged as delivery would merge them, and nothing written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, CrmKind};
use crate::crm::glance::Look;
use crate::crm::setup::{Manner, SetupError as CrmError, drive_in};
use crate::crm::texts::Texts;
use crate::crm::{amocrm, bitrix24};
use crate::domain::{ClientId, ContactField};
use crate::flow::contacts::{Card, Held, Link, Merged, Read, Rules, lime_card, merge};
use crate::lime::{ParseProblem, parse, requests};

use super::remotes::lime_endpoint;
use super::{SetupError, crm_endpoint, remotes};

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// Something in the config cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Lime gives no client.
    #[error("Lime: {0}")]
    Lime(String),
    /// The CRM gives no contact.
    #[error(transparent)]
    Crm(#[from] CrmError),
}

/// What is to happen to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Both sides are alike, or each keeps what it has.
    None,
    /// Lime would be written.
    ToLime,
    /// The CRM would be written.
    ToCrm,
    /// Both would be written: each has values that the other lacks.
    Both,
    /// Both sides have changed and the later one stands. When the client was changed is told by Lime's feed and not by the client.
    ByTime,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Both sides hold the same.
    Alike,
    /// They differ, and neither has changed since they were last seen so; or what differs may not be written.
    LeftSo,
    /// The two cards have never met.
    FirstTime,
    /// One side has changed since they were last alike.
    Changed,
    /// Both sides have changed, and the config says who wins.
    Overruled,
}

/// One field of two cards.
#[derive(Clone, Debug)]
pub struct FieldDiff {
    /// Which.
    pub field: ContactField,
    /// What Lime holds.
    pub lime: Held,
    /// What the CRM holds.
    pub crm: Held,
    /// What would happen.
    pub change: Change,
    /// Why.
    pub why: Why,
}

/// A client's two cards.
#[derive(Clone, Debug)]
pub struct Diff {
    /// Lime's version of the client.
    pub version: i64,
    /// The CRM's id of the contact; none: there is none yet.
    pub contact: Option<String>,
    /// The contact that the ledger names is not there any more.
    pub gone: bool,
    /// Field by field; empty where there is no contact.
    pub fields: Vec<FieldDiff>,
}

/// What the ledger knows of a client.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The link's line.
    pub link: Option<String>,
    /// The contact's id, where there is no link.
    pub contact: Option<String>,
}

/// Compares. `known` comes from the ledger, whoever has it.
///
/// # Errors
/// When a side cannot be read.
pub async fn diff(config: &Config, client: &ClientId, known: &Known) -> Result<Diff, DiffError> {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let answer = lime_endpoint(config, &clock)?.exchange(requests::client(client)).await;
    let answer = answer.map_err(|error| DiffError::Lime(error.to_string()))?;
    let read = parse::client(&answer).map_err(|problem: ParseProblem| DiffError::Lime(problem.to_string()))?;
    let link = known.link.as_deref().and_then(Link::from_json);
    let contact = link.as_ref().map(|link| link.contact.clone()).or_else(|| known.contact.clone());
    let mut found = Diff { version: read.version, contact: contact.clone(), gone: false, fields: Vec::new() };
    let Some(id) = contact.as_deref().and_then(|id| id.parse::<u64>().ok()) else { return Ok(found) };
    let lime = lime_card(&read);
    let mut look = look(config, id, &lime);
    let gap = Duration::try_from_secs_f64(1.0 / config.delivery.crm_rate).unwrap_or(Duration::from_secs(1));
    let Some(glance) = drive_in(&crm_endpoint(config, &clock)?, &mut look, Manner { gap, reads_only: true }).await? else {
        found.gone = true;
        return Ok(found);
    };
    let (Some(keyer), Some(hub)) = (remotes::keyer(config)?, &config.hub) else { return Ok(found) };
    let rules = match config.crm.kind {
        CrmKind::AmoCrm(_) => Rules::new(&hub.contacts).with_joined_names(),
        CrmKind::Bitrix24(_) => Rules::new(&hub.contacts),
    };
    let first = link.is_none();
    let link = link.unwrap_or_else(|| Link::new(id.to_string()));
    let crm = Read { card: glance.card, changed_ms: glance.changed_ms };
    // Lime's card does not say when it was changed, so both are tried: it was changed before the CRM's, and after it.
    let if_changed = |changed_ms: i64| merge(&mut link.clone(), &keyer, client, &Read { card: lime.clone(), changed_ms }, &crm, &rules);
    found.fields = fields(&lime, &crm.card, &if_changed(i64::MIN), &if_changed(i64::MAX), first);
    Ok(found)
}

fn look(config: &Config, contact: u64, lime: &Card) -> Look {
    match &config.crm.kind {
        CrmKind::AmoCrm(_) => amocrm::glance::look(contact, lime.clone(), Texts::new(config.crm.language, config.site.timezone.clone())),
        CrmKind::Bitrix24(_) => bitrix24::glance::look(contact),
    }
}

/// `before`, `after`: what a merge asks for where Lime's card was changed before or after the CRM's.
fn fields(lime: &Card, crm: &Card, before: &Merged, after: &Merged, first: bool) -> Vec<FieldDiff> {
    let held = |card: &Card, field| card.get(&field).cloned().unwrap_or_default();
    let overruled: BTreeSet<ContactField> = before.overruled.iter().chain(&after.overruled).map(|one| one.field).collect();
    let written = |merged: &Merged, field: &ContactField| match (merged.to_lime.contains_key(field), merged.to_crm.contains_key(field)) {
        (false, false) => Change::None,
        (true, false) => Change::ToLime,
        (false, true) => Change::ToCrm,
        (true, true) => Change::Both,
    };
    let diff = |field: ContactField| {
        let (lime, crm) = (held(lime, field), held(crm, field));
        let change = match (written(before, &field), written(after, &field)) {
            (one, other) if one == other => one,
            _ => Change::ByTime,
        };
        let why = match change {
            _ if lime == crm => Why::Alike,
            _ if overruled.contains(&field) => Why::Overruled,
            Change::None => Why::LeftSo,
            _ if first => Why::FirstTime,
            _ => Why::Changed,
        };
        FieldDiff { field, lime, crm, change, why }
    };
    ContactField::ALL.map(diff).into()
}
