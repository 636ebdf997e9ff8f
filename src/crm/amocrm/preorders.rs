//! Preorders of Lime's and the leads of bookings: what each side is told when the other has changed. What it comes to is decided in
//! [`crate::flow::preorders`]; here it is read and written.
//!
//! Lime's side is written by reference and revision, which may be repeated; a lead is created once, under a key of the preorder's. What is kept of both is
//! on disk before either is changed. Never: a lead that we made, sent to Lime as a new one; a preorder told twice to staff.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::crm::deal_fields::DealField;
use crate::delivery::{Host, Job, Verdict};
use crate::domain::{Change, Preorder, Told};
use crate::flow::contacts::Keyer;
use crate::flow::preorders::{self as flow, Bound, NOBODY, Say, ToCrm, ToLime, Wanted, bound_key, deal_key};
use crate::journal::Learned;
use crate::lime::Written;
use crate::lime::preorders::{PreorderConflict, PreorderDraft, placed, put};

use super::bookings::{self, Found, Look};
use super::cards::judge;
use super::courier::Place;
use super::desk::{Desk, Stop};
use super::errors::{Meaning, meaning};
use super::memory::{Looker, Memory, told};
use super::places::{Bookings, Places};
use super::receipts::learn;
use super::schema::Schema;
use super::write::{Fate, Item, What, write};
use super::{ledger, links, notes, places_read, search, wire};

/// What cannot be done until somebody sees to it is tried again after this long.
const NO_PLACE: Duration = Duration::from_secs(60);
/// The start of our references.
const OURS: &str = "amo:deal:";
/// How often a revision that Lime does not take is raised at once.
const RAISES: usize = 3;

/// Looks up what a job of these can need.
pub fn look(job: &Job, looker: &mut Looker<'_>) {
    match told(job) {
        Some(Told::Deal { id, .. }) => {
            looker.look(ledger::places());
            looker.look(bound_key(id));
        }
        Some(Told::Preorder(preorder)) => {
            looker.look(ledger::places());
            let deal = deal_of(preorder).or_else(|| looker.look(deal_key(&preorder.id)).map(str::to_owned));
            if let Some(deal) = deal {
                looker.look(bound_key(&deal));
            }
            for line in &preorder.lines {
                looker.look(ledger::product(&line.good_type_id));
            }
        }
        _ => {}
    }
}

/// The lead that a preorder's reference names, where it is one of ours.
fn deal_of(preorder: &Preorder) -> Option<String> {
    let id = preorder.reference.as_deref()?.strip_prefix(OURS)?;
    id.parse::<u64>().ok().map(|id| id.to_string())
}

/// What a job is done with.
struct Work<'a> {
    schema: &'a Schema,
    place: &'a Place,
    places: &'a Places,
    at: &'a Bookings,
    keyer: &'a Keyer,
    job: &'a Job,
}

/// Takes jobs as far as they go, one after the other. The contacts of those that name a client are in `memory.contacts`, where there are any.
///
/// # Errors
/// When it cannot go on now; what has a verdict until then keeps it.
pub async fn deliver(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place, jobs: Vec<Job>) -> Result<(), Stop> {
    if jobs.is_empty() {
        return Ok(());
    }
    let (Some(places), Some(hub)) = (places_read::current(desk, memory, place).await?, &place.hub) else {
        // This box no longer runs the integration.
        jobs.iter().for_each(|job| desk.done(job.seq, None));
        return Ok(());
    };
    let (Some(at), Some(keyer)) = (&places.bookings, &place.keyer) else {
        let reason = if places.bookings.is_none() { "setup/pipeline" } else { "hub/key" };
        for job in &jobs {
            desk.judge(job.seq, Verdict::Retry { reason: reason.to_owned(), after: Some(NO_PLACE) });
        }
        return Ok(());
    };
    for job in jobs.iter().filter(|job| desk.is_open(job.seq)).collect::<Vec<_>>() {
        let work = Work { schema, place, places: &places, at, keyer, job };
        match told(job) {
            Some(Told::Deal { id, deleted }) if hub.preorders.to_lime => work.deal(desk, memory, id, *deleted).await?,
            Some(Told::Preorder(preorder)) => {
                let origin = change_of(job).and_then(|change| change.origin.as_deref());
                work.preorder(desk, memory, (preorder, origin), (hub.preorders.to_crm, hub.preorders.to_lime)).await?;
            }
            _ => desk.done(job.seq, None),
        }
    }
    Ok(())
}

fn change_of(job: &Job) -> Option<&Change> {
    match &job.work {
        crate::delivery::Work::Change(change) => Some(change),
        _ => None,
    }
}

fn bound_of(memory: &Memory, lead: u64) -> Option<Bound> {
    memory.looked.get(&bound_key(&lead.to_string())).and_then(Bound::from_json)
}

impl Work<'_> {
    fn line(lead: u64, bound: &Bound) -> Learned {
        Learned { key: bound_key(&lead.to_string()), value: Some(bound.to_json()) }
    }

    fn keep(&self, desk: &mut Desk, memory: &mut Memory, lead: u64, bound: &Bound) {
        let line = Self::line(lead, bound);
        learn(desk, memory, line.key, line.value);
    }

    fn done(&self, desk: &mut Desk, lead: u64) {
        desk.confirm(self.job.seq, lead);
    }

    /// A lead was told of.
    async fn deal(&self, desk: &mut Desk, memory: &mut Memory, id: &str, deleted: bool) -> Result<(), Stop> {
        let Ok(lead) = id.parse::<u64>() else {
            desk.done(self.job.seq, None);
            return Ok(());
        };
        let kept = bound_of(memory, lead);
        let look = match deleted {
            true => Look::Gone,
            false => bookings::read(desk, self.schema, self.places, self.at, lead, kept.as_ref().is_some_and(Bound::is_sent)).await?,
        };
        let mut bound = kept.unwrap_or_default();
        match look {
            Look::Elsewhere => {}
            Look::Gone => {
                let send = bound.cancel();
                if !self.send(desk, memory, lead, &mut bound, send, None).await? {
                    return Ok(());
                }
            }
            Look::Here(found) => {
                if !self.to_lime(desk, memory, &found, &mut bound).await? {
                    return Ok(());
                }
            }
        }
        self.done(desk, lead);
        Ok(())
    }

    /// Tells Lime what a lead says. False when the job has its verdict.
    async fn to_lime(&self, desk: &mut Desk, memory: &mut Memory, found: &Found, bound: &mut Bound) -> Result<bool, Stop> {
        for _ in 0..RAISES {
            let send = bound.to_lime(&found.booking, self.keyer);
            match send {
                ToLime::NotYet => return Ok(true),
                ToLime::Nothing => {
                    if *bound != Bound::default() {
                        self.keep(desk, memory, found.id, bound);
                    }
                    return Ok(true);
                }
                ToLime::Nobody => return self.nobody(desk, memory, found.id, bound).await,
                ToLime::Send { .. } => {}
            }
            let before = bound.revision;
            if !self.send(desk, memory, found.id, bound, send, Some(found)).await? {
                return Ok(false);
            }
            if bound.revision == before {
                return Ok(true);
            }
        }
        desk.judge(self.job.seq, Verdict::Retry { reason: "lime/stale".to_owned(), after: None });
        Ok(false)
    }

    /// There is nobody for whom Lime could take the preorder. True where staff know that already.
    async fn nobody(&self, desk: &mut Desk, memory: &mut Memory, lead: u64, bound: &mut Bound) -> Result<bool, Stop> {
        let say = bound.names_nobody(self.job.seq);
        if say == Say::Nothing {
            return Ok(true);
        }
        notes::say(desk, self.place, self.job, lead, &self.place.texts.preorder_for_nobody()).await?;
        self.keep(desk, memory, lead, bound);
        desk.judge(self.job.seq, Verdict::Dead { reason: NOBODY.to_owned(), answer: String::new() });
        Ok(false)
    }

    /// Sends a revision, and tells staff what came of it. A revision that Lime does not take is raised: it is then for the caller to send again. False when
    /// the job has its verdict.
    async fn send(
        &self,
        desk: &mut Desk,
        memory: &mut Memory,
        lead: u64,
        bound: &mut Bound,
        send: ToLime,
        found: Option<&Found>,
    ) -> Result<bool, Stop> {
        let ToLime::Send { revision, draft } = send else { return Ok(true) };
        let request = put(&format!("{OURS}{lead}"), revision, &draft, &self.place.texts.zone);
        let answer = desk.set(Host::Lime, request, vec![Self::line(lead, bound)]).await?;
        match placed(&answer) {
            Written::Done(placed) => {
                let quiet = bound.placed(&placed);
                if let Some(found) = found {
                    self.mark(desk, found, &placed.id).await?;
                }
                // A deal that is gone shows nothing to nobody.
                if found.is_some() {
                    let text = self.told_to_staff(&placed, revision, &draft, found);
                    notes::say(desk, self.place, self.job, lead, &text).await?;
                }
                if let Some(line) = quiet {
                    learn(desk, memory, line.key, line.value);
                }
                self.keep(desk, memory, lead, bound);
                Ok(true)
            }
            Written::Conflict(PreorderConflict::Bound) => {
                // Another deal has it: this one goes on without.
                self.keep(desk, memory, lead, bound);
                Ok(true)
            }
            Written::Conflict(_) => {
                bound.stale(self.place.now_wall_ms);
                self.keep(desk, memory, lead, bound);
                if found.is_none() {
                    desk.judge(self.job.seq, Verdict::Retry { reason: "lime/stale".to_owned(), after: None });
                }
                Ok(found.is_some())
            }
            Written::Refused(code) => {
                if found.is_some() {
                    notes::say(desk, self.place, self.job, lead, &self.place.texts.preorder_refused(&code)).await?;
                }
                desk.judge(self.job.seq, Verdict::Dead { reason: code, answer: String::new() });
                Ok(false)
            }
            Written::Later { code, after } => {
                desk.judge(self.job.seq, Verdict::Retry { reason: code, after });
                Ok(false)
            }
        }
    }

    /// Puts Lime's id of the preorder on the lead.
    async fn mark(&self, desk: &mut Desk, found: &Found, preorder: &str) -> Result<(), Stop> {
        let Some(field) = self.places.field(DealField::Preorder).filter(|_| found.booking.preorder.as_deref() != Some(preorder)) else {
            return Ok(());
        };
        let body = json!({ "id": found.id, "custom_fields_values": [{ "field_id": field.id, "values": [{ "value": preorder }] }] });
        let answer = desk.set(Host::Crm, wire::send(Method::PATCH, "/leads", &[&body], "PATCH /leads"), Vec::new()).await?;
        written(&answer)
    }

    fn told_to_staff(&self, placed: &crate::lime::preorders::Placed, revision: u64, draft: &PreorderDraft, found: Option<&Found>) -> String {
        let (texts, currency) = (&self.place.texts, self.places.currency.as_str());
        let cancelled = draft.status == Some(crate::domain::PreorderStatus::Cancelled);
        let mut said = vec![texts.preorder_placed(&placed.id, placed.total, currency, revision, cancelled)];
        let name = |id: &str| found.and_then(|found| found.names.get(id)).cloned();
        said.extend(flow::warnings(&placed.warnings, currency, &name, texts));
        said.extend(found.and_then(|found| flow::left_out(&found.left_out, texts)).filter(|_| !cancelled));
        said.join("\n")
    }

    /// A preorder was told of.
    async fn preorder(
        &self,
        desk: &mut Desk,
        memory: &mut Memory,
        (preorder, origin): (&Preorder, Option<&str>),
        (makes, sends): (bool, bool),
    ) -> Result<(), Stop> {
        if preorder.reference.is_some() && deal_of(preorder).is_none() {
            // Another CRM's.
            desk.done(self.job.seq, None);
            return Ok(());
        }
        if memory.looked.get(&ledger::in_doubt(&preorder.id)).is_some() {
            desk.judge(self.job.seq, Verdict::Retry { reason: "hub/in_doubt".to_owned(), after: None });
            return Ok(());
        }
        let known = deal_of(preorder).or_else(|| memory.looked.get(&deal_key(&preorder.id)).map(str::to_owned));
        let mut lead: Option<u64> = known.and_then(|id| id.parse().ok());
        if lead.is_none() && self.job.doubt.is_some() {
            let key = bookings::key(&preorder.id);
            lead = search::leads(desk, self.schema, &[key]).await?.get(&key).map(|found| found.lead);
            let Some(lead) = lead else {
                memory.looked.put(ledger::in_doubt(&preorder.id), Some(String::new()));
                desk.judge(self.job.seq, Verdict::NotFound);
                return Ok(());
            };
            learn(desk, memory, deal_key(&preorder.id), Some(lead.to_string()));
        }
        let mut found = None;
        if let Some(lead) = lead {
            match bookings::read(desk, self.schema, self.places, self.at, lead, true).await? {
                Look::Here(here) => found = Some(here),
                // Its feed tells of a lead that was deleted.
                Look::Gone | Look::Elsewhere => {
                    desk.done(self.job.seq, None);
                    return Ok(());
                }
            }
        }
        let kept = lead.and_then(|lead| bound_of(memory, lead));
        // Of a lead that we made, and of which we know no more: it may lack its products, and is no change of anybody's.
        let half_made = found.is_some() && kept.is_none() && preorder.reference.is_none();
        let mut bound = kept.unwrap_or_default();
        let booking = found.as_ref().map(|found| &found.booking).filter(|_| !half_made);
        let what = bound.to_crm((preorder, origin), booking, makes || half_made, &self.place.texts, self.keyer);
        let (lead, bind) = match (what, found) {
            (ToCrm::Make(wanted), found) => {
                let lead = match lead {
                    Some(lead) => lead,
                    None => match self.make(desk, memory, preorder, &wanted).await? {
                        Some(lead) => lead,
                        None => {
                            memory.looked.put(ledger::in_doubt(&preorder.id), Some(String::new()));
                            return Ok(());
                        }
                    },
                };
                let rows = found.map(|found| found.rows).unwrap_or_default();
                self.link(desk, lead, &rows, &wanted, memory).await?;
                bound.made(preorder, bookings::keeps(self.places), self.keyer);
                (lead, true)
            }
            (ToCrm::Change(wanted), Some(found)) => {
                let body = bookings::change(&found, preorder, &wanted, (self.places, self.at), self.schema);
                let request = wire::send(Method::PATCH, "/leads", &[&body], "PATCH /leads");
                written(&desk.set(Host::Crm, request, vec![Self::line(found.id, &bound)]).await?)?;
                self.link(desk, found.id, &found.rows, &wanted, memory).await?;
                bound.wrote();
                (found.id, preorder.reference.is_none())
            }
            (ToCrm::Clash, Some(found)) => {
                notes::say(desk, self.place, self.job, found.id, &flow::clash(preorder, &self.place.texts)).await?;
                if !self.to_lime(desk, memory, &found, &mut bound).await? {
                    return Ok(());
                }
                (found.id, false)
            }
            (ToCrm::Bind, Some(found)) => (found.id, true),
            (_, Some(found)) => {
                // What was sent and not heard of is sent again.
                if sends && !self.to_lime(desk, memory, &found, &mut bound).await? {
                    return Ok(());
                }
                (found.id, false)
            }
            (_, None) => {
                desk.done(self.job.seq, None);
                return Ok(());
            }
        };
        self.keep(desk, memory, lead, &bound);
        if bind {
            let bind = bound.bind(&preorder.id);
            if !self.send(desk, memory, lead, &mut bound, bind, None).await? {
                return Ok(());
            }
        }
        self.done(desk, lead);
        Ok(())
    }

    /// A lead for a preorder that has none. `None`: the job has its verdict.
    async fn make(&self, desk: &mut Desk, memory: &mut Memory, preorder: &Preorder, wanted: &Wanted) -> Result<Option<u64>, Stop> {
        let Some(contact) = self.contact(desk, memory, preorder, wanted).await? else { return Ok(None) };
        let name = bookings::key(&preorder.id).to_string();
        let body = bookings::create(preorder, wanted, contact, (self.places, self.at), self.schema, &self.place.texts);
        let Some(lead) = self.create(desk, memory, What::CreateLeads, Item { name, body, jobs: vec![self.job.seq] }).await? else { return Ok(None) };
        learn(desk, memory, deal_key(&preorder.id), Some(lead.to_string()));
        Ok(Some(lead))
    }

    /// The contact of whoever asked: the client's, or the one with their phone, or a new one. The outer `None`: the job has its verdict.
    #[allow(clippy::option_option, reason = "nobody is not the same as not known yet")]
    async fn contact(&self, desk: &mut Desk, memory: &mut Memory, preorder: &Preorder, wanted: &Wanted) -> Result<Option<Option<u64>>, Stop> {
        if let Some(client) = &wanted.client_id {
            return Ok(Some(memory.contacts.get(client).map(|line| line.id)));
        }
        let Some(contact) = &wanted.contact else { return Ok(Some(None)) };
        if let Some(phone) = &contact.phone
            && let Some(id) = bookings::contact_with(desk, phone).await?
        {
            return Ok(Some(Some(id)));
        }
        let name = format!("lime:preorder:{}", preorder.id);
        let body = bookings::new_contact(contact, &name, &self.place.texts);
        let made = self.create(desk, memory, What::CreateContacts, Item { name, body, jobs: vec![self.job.seq] }).await?;
        Ok(made.map(Some))
    }

    async fn create(&self, desk: &mut Desk, memory: &mut Memory, what: What, item: Item) -> Result<Option<u64>, Stop> {
        let name = item.name.clone();
        let mut fates = std::collections::BTreeMap::new();
        let end = write(desk, what, vec![item], &mut fates).await;
        let made = match fates.remove(&name) {
            Some(Fate::Written(id)) => Some(id),
            Some(other) => {
                judge(desk, memory, self.job, &other);
                None
            }
            None => None,
        };
        end.map(|()| made)
    }

    /// Gives a lead the rows of a preorder.
    async fn link(
        &self,
        desk: &mut Desk,
        lead: u64,
        before: &std::collections::BTreeMap<u64, i64>,
        wanted: &Wanted,
        memory: &Memory,
    ) -> Result<(), Stop> {
        let Some(catalog) = self.places.catalog.filter(|_| !wanted.cancelled) else { return Ok(()) };
        let (on, off) = bookings::difference(lead, before, wanted, memory);
        let linked = links::link(desk, catalog, &on).await?;
        if !linked.missing.is_empty() {
            return Err(Stop::later("amocrm/links", None));
        }
        links::unlink(desk, catalog, &off).await
    }
}

/// A PATCH of a lead: taken, or why not now.
fn written(answer: &crate::http::Answer) -> Result<(), Stop> {
    match meaning(answer) {
        Meaning::Good => Ok(()),
        Meaning::Later { reason, after } => Err(Stop::Later { reason, after }),
        Meaning::Broken { reason } => Err(Stop::later(reason, None)),
        Meaning::BadItems(bad) if bad.iter().any(|bad| bad.schema) => Err(Stop::Schema),
        Meaning::BadItems(_) | Meaning::Refused { .. } => Err(Stop::later("amocrm/refused", Some(NO_PLACE))),
    }
}
