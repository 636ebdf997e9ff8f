//! `limegate verify --remote` at Bitrix24: deals by their `originId`, timeline lines by the key that ends their text.
//!
//! Fifty commands go in one request. Deals are asked for by key, many to a command. Lines cannot be: those of each guest's contact are read, newest
//! first. With both records the deal stands for the pass where the contact has gone, for its lines went with it or to another.
//! Never: a pass called missing because its contact was merged while the line that the journal names is still there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::PassesAs;
use crate::crm::audit::{DealOf, Finding, Findings, Hits, Search, Sought, SoughtDeal};
use crate::crm::script::Line;
use crate::crm::setup::SetupError;
use crate::domain::ClientId;
use crate::http::{Answer, Request};

use super::batch::{Command, LIMIT, Outcome};
use super::fault::{self, Class};
use super::record::{ORIGINATOR, contact_origin, pass_origin};
use super::schema::{CONTACT, DEAL};
use super::{booking, sale, setup, wire};

/// Keys of one list command.
const KEYS: usize = 25;
/// Rows of a page of `crm.item.list`.
const PAGE: usize = 50;
/// Lines of a page of `crm.timeline.logmessage.list`.
const LINES: u64 = 10;
/// Pages of one contact that are asked for at once, at most.
const AHEAD: u64 = 32;

/// Asks for delivered passes, to be given to [`crate::crm::setup::drive_in`].
#[must_use]
pub fn search(passes: PassesAs, sought: Vec<Sought>) -> Search {
    Search::new(move |line| async move { Asking { line, sought }.findings(&passes).await })
}

/// The same for deals that the integration made, by their origin.
#[must_use]
pub fn deals(sought: Vec<SoughtDeal>) -> Search {
    let origin = |one: &SoughtDeal| match &one.of {
        DealOf::Receipt(transaction) => sale::origin(transaction),
        DealOf::Preorder(preorder) => booking::origin(preorder),
    };
    let origins: Vec<(String, Uuid)> = sought.iter().map(|one| (origin(one), one.key)).collect();
    Search::new(move |line| async move {
        let found = Asking { line, sought: Vec::new() }.by_origin(DEAL, origins.iter().map(|(origin, _)| origin.clone()).collect()).await?;
        Ok(origins.into_iter().map(|(origin, key)| (key, Finding::of(found.get(&origin).map_or(0, BTreeSet::len)))).collect())
    })
}

struct Asking {
    line: Line<Request, Answer>,
    sought: Vec<Sought>,
}

/// The lines of one contact.
struct Timeline {
    contact: u64,
    client: ClientId,
    /// Pages that were asked for.
    asked: u64,
    /// Everything sought in it was seen, and a page further.
    margin: bool,
    ended: bool,
}

impl Asking {
    async fn findings(self, passes: &PassesAs) -> Result<Findings, SetupError> {
        let mut findings = Findings::new();
        let (lines, expected) = if matches!(passes, PassesAs::Deal { .. }) { Default::default() } else { self.lines().await? };
        if matches!(passes, PassesAs::Timeline) {
            let named = self.named_lines(&lines).await?;
            // Without a line in the journal nothing was owed: the pass was nobody's.
            for one in self.sought.iter().filter(|one| one.remote.is_some()) {
                let here = lines.get(&one.key).map_or(0, BTreeSet::len);
                findings.insert(one.key, Finding::of(here.max(usize::from(named.contains(&one.key)))));
            }
            return Ok(findings);
        }
        let deals = self.deals().await?;
        for one in &self.sought {
            let records = deals.get(&one.key).map_or(0, BTreeSet::len);
            let written = lines.get(&one.key).map_or(0, BTreeSet::len);
            let finding = match (Finding::of(records), Finding::of(written)) {
                (Finding::Missing, _) => Finding::Missing,
                (_, Finding::Missing) if expected.contains(&one.key) => Finding::Missing,
                (Finding::Found, Finding::Doubled) => Finding::Doubled,
                (deal, _) => deal,
            };
            findings.insert(one.key, finding);
        }
        Ok(findings)
    }

    async fn deals(&self) -> Result<Hits, SetupError> {
        let keys: BTreeMap<String, Uuid> = self.sought.iter().map(|one| (pass_origin(&one.key), one.key)).collect();
        let found = self.by_origin(DEAL, keys.keys().cloned().collect()).await?;
        Ok(found.into_iter().filter_map(|(origin, ids)| Some((*keys.get(&origin)?, ids))).collect())
    }

    /// The lines by key, and the keys whose guest has a contact: they have to have a line there.
    async fn lines(&self) -> Result<(Hits, BTreeSet<Uuid>), SetupError> {
        let mut hits = Hits::new();
        let mut of: BTreeMap<ClientId, Vec<(Uuid, String)>> = BTreeMap::new();
        for one in &self.sought {
            if let Some(client) = &one.client {
                of.entry(client.clone()).or_default().push((one.key, pass_origin(&one.key)));
            }
        }
        let contacts = self.by_origin(CONTACT, of.keys().map(contact_origin).collect()).await?;
        let mut timelines: Vec<Timeline> = of
            .keys()
            .filter_map(|client| Some((client, contacts.get(&contact_origin(client))?)))
            .flat_map(|(client, ids)| ids.iter().map(|id| Timeline { contact: *id, client: client.clone(), asked: 0, margin: false, ended: false }))
            .collect();
        let mut expected = BTreeSet::new();
        for one in &timelines {
            expected.extend(of.get(&one.client).into_iter().flatten().map(|(key, _)| *key));
        }
        let mut ahead = 1;
        while timelines.iter().any(|one| !one.ended) {
            let mut asked = Vec::new();
            for (at, one) in timelines.iter_mut().enumerate().filter(|(_, one)| !one.ended) {
                let pages = if one.margin { 1 } else { ahead };
                asked.extend((one.asked..one.asked + pages).map(|page| (at, page)));
                one.asked += pages;
                one.ended = one.margin;
            }
            ahead = (ahead * 2).min(AHEAD);
            let of_contact = |at: usize| timelines.get(at).map_or(0, |one| one.contact);
            let commands: Vec<Command> = asked.iter().map(|(at, page)| ask_lines(of_contact(*at), page * LINES)).collect();
            for ((at, _), outcome) in asked.into_iter().zip(self.ask(&commands).await?) {
                let Some(one) = timelines.get_mut(at) else { continue };
                let wanted = of.get(&one.client).map_or(&[][..], Vec::as_slice);
                match rows_or_gone(outcome)? {
                    Some(rows) => {
                        note(&rows, wanted, &mut hits);
                        one.ended |= rows.len() < usize::try_from(LINES).unwrap_or(usize::MAX);
                    }
                    None => one.ended = true,
                }
                one.margin = wanted.iter().all(|(key, _)| hits.contains_key(key));
            }
        }
        Ok((hits, expected))
    }

    /// Keys whose line was not met in a timeline, but is where the journal says.
    async fn named_lines(&self, met: &Hits) -> Result<BTreeSet<Uuid>, SetupError> {
        let open = self.sought.iter().filter(|one| !met.contains_key(&one.key));
        let open: Vec<(u64, &Sought)> = open.filter_map(|one| Some((one.remote_id("timeline")?, one))).collect();
        let commands: Vec<Command> = open.iter().map(|(id, _)| Command::new("crm.timeline.logmessage.get", json!({ "id": id }))).collect();
        let mut found = BTreeSet::new();
        for ((_, one), outcome) in open.into_iter().zip(self.ask(&commands).await?) {
            let Some(result) = result_or_gone(outcome)? else { continue };
            let text = result.pointer("/logMessage/text").and_then(Value::as_str).unwrap_or_default();
            if text.contains(&pass_origin(&one.key)) {
                found.insert(one.key);
            }
        }
        Ok(found)
    }

    /// All ids by origin.
    async fn by_origin(&self, entity: u64, origins: Vec<String>) -> Result<BTreeMap<String, BTreeSet<u64>>, SetupError> {
        let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        let mut open: Vec<(&[String], u64)> = origins.chunks(KEYS).map(|keys| (keys, 0)).collect();
        while !open.is_empty() {
            let commands: Vec<Command> = open.iter().map(|(keys, after)| ask_origins(entity, keys, *after)).collect();
            let mut further = Vec::new();
            for ((keys, after), outcome) in open.into_iter().zip(self.ask(&commands).await?) {
                let result = setup::result(outcome)?;
                let rows = result.get("items").map(wire::rows).unwrap_or_default();
                let mut last = after;
                for row in &rows {
                    let (Some(id), origin) = (row.get("id").and_then(wire::id), row.get("originId").and_then(wire::text)) else { continue };
                    last = last.max(id);
                    // Only what was asked for: a filter that was not heeded must not speak for others.
                    if let Some(origin) = origin.filter(|origin| keys.contains(origin)) {
                        found.entry(origin).or_default().insert(id);
                    }
                }
                if rows.len() >= PAGE && last > after {
                    further.push((keys, last));
                }
            }
            open = further;
        }
        Ok(found)
    }

    async fn ask(&self, commands: &[Command]) -> Result<Vec<Outcome>, SetupError> {
        let mut outcomes = Vec::with_capacity(commands.len());
        for chunk in commands.chunks(LIMIT) {
            outcomes.extend(setup::batch(&self.line, chunk).await?);
        }
        Ok(outcomes)
    }
}

fn ask_origins(entity: u64, origins: &[String], after: u64) -> Command {
    let filter = json!({ "originatorId": ORIGINATOR, "@originId": origins, ">id": after });
    let params = json!({ "entityTypeId": entity, "filter": filter, "select": ["id", "originId"], "order": { "id": "ASC" }, "start": -1 });
    Command::new("crm.item.list", params)
}

/// The newest lines of a contact, from the `start`-th.
fn ask_lines(contact: u64, start: u64) -> Command {
    let params = json!({ "entityTypeId": CONTACT, "entityId": contact, "order": { "id": "DESC" }, "start": start });
    Command::new("crm.timeline.logmessage.list", params)
}

/// `None`: the thing asked for is not there.
fn result_or_gone(outcome: Outcome) -> Result<Option<Value>, SetupError> {
    match outcome {
        Outcome::Fault { fault, timing } if fault::classify(&fault, timing) == Class::Gone => Ok(None),
        outcome => setup::result(outcome).map(Some),
    }
}

fn rows_or_gone(outcome: Outcome) -> Result<Option<Vec<Value>>, SetupError> {
    let Some(result) = result_or_gone(outcome)? else { return Ok(None) };
    let rows = result.get("logMessages").or_else(|| result.get("logMessage")).unwrap_or(&result);
    Ok(Some(wire::rows(rows).into_iter().cloned().collect()))
}

fn note(rows: &[Value], wanted: &[(Uuid, String)], hits: &mut Hits) {
    for row in rows {
        let Some(id) = row.get("id").and_then(wire::id) else { continue };
        let text = row.get("text").and_then(Value::as_str).unwrap_or_default();
        // The key ends the text, after whatever people may find in front of it.
        let token = text.split_whitespace().next_back().unwrap_or_default();
        if let Some((key, _)) = wanted.iter().find(|(_, origin)| origin == token) {
            hits.entry(*key).or_default().insert(id);
        }
    }
}
