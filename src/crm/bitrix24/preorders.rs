//! Preorders of Lime's and the deals of bookings, both ways. What is to be done is decided by [`crate::flow::preorders`]; here it is read and written.
//!
//! 1. The deals that the jobs are about, with rows, contacts and Lime's ids of their products: three requests for all of them.
//! 2. Job by job: Lime is told (`PUT /preorders/by-ref/{ref}`), or the deal is written.
//! 3. Deals get Lime's id of their preorder, and staff read in the deal's timeline what Lime made of it.
//!
//! A line of the timeline has no key of its own: that one is owed is in the ledger before it is written, and its text ends with a token by which it is
//! found again.
//!
//! Never: a deal made of a preorder sent back unless a person changed it; a line written twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::batch::{Command, LIMIT, Outcome};
use super::book::Halt;
use super::booking;
use super::catalog;
use super::ended::Ended;
use super::errands::LookUp;
use super::fault::{self, Class};
use super::feed_deals::{CONNECTOR, as_ours};
use super::notes::{self, Note};
use super::offline;
use super::places::{self, Bookings, Places};
use super::record::ORIGINATOR;
use super::sale;
use super::schema::{self, CONTACT, DEAL};
use super::talk::{Talk, item_id};
use super::wire;
use crate::config::Hub;
use crate::crm::card::CardField;
use crate::crm::deal_fields::DealField;
use crate::delivery::Verdict;
use crate::domain::{Change, Preorder, Seq, Told};
use crate::flow::contacts::Keyer;
use crate::flow::preorders::{Booking, Bound, NOBODY, Say, ToCrm, ToLime, Wanted, bound_key, clash, deal_key, left_out, warnings};
use crate::journal::Learned;
use crate::lime::Written;
use crate::lime::preorders::{self as lime, Placed, PreorderConflict};

/// Ids asked for in one command.
const KEYS: usize = 25;

/// Looks up in the ledger what delivering can need.
pub(super) fn look_up(change: &Change, hub: &Hub, look_up: &mut LookUp<'_>) {
    look_up.get(places::ledger_key(hub));
    look_up.get(offline::ledger_key(CONNECTOR));
    let deal = match &change.told {
        Told::Deal { id, .. } => Some(id.clone()),
        Told::Preorder(preorder) => {
            for line in &preorder.lines {
                look_up.get(catalog::product_key(&line.good_type_id));
            }
            let named = preorder.reference.as_deref().and_then(booking::deal_of).map(|id| id.to_string());
            let known = look_up.get(deal_key(&preorder.id)).map(str::to_owned);
            named.or(known)
        }
        _ => None,
    };
    if let Some(deal) = deal {
        look_up.get(bound_key(&deal));
        look_up.get(notes::key(&deal));
    }
}

fn is_booking(told: &Told) -> bool {
    matches!(told, Told::Preorder(_) | Told::Deal { .. })
}

/// Finds out what became of creates in doubt: lines of timelines by their tokens, deals by their origin.
///
/// # Errors
/// When the batch cannot go on.
pub(super) async fn resolve(talk: &mut Talk) -> Result<(), Halt> {
    let doubtful: Vec<(Seq, Told)> = talk
        .errands
        .iter()
        .filter(|errand| errand.doubtful && is_booking(&errand.change.told) && talk.book.is_open(errand.seq))
        .map(|errand| (errand.seq, errand.change.told.clone()))
        .collect();
    if doubtful.is_empty() {
        return Ok(());
    }
    let made: Vec<String> = doubtful
        .iter()
        .filter_map(|(_, told)| if let Told::Preorder(preorder) = told { Some(preorder) } else { None })
        .filter(|preorder| deal_named(talk, preorder).is_none())
        .map(|preorder| booking::origin(&preorder.id))
        .collect();
    let found = talk.by_origin(DEAL, &made).await?;
    for (seq, told) in doubtful {
        let deal = match &told {
            Told::Deal { id, .. } => id.parse().ok(),
            Told::Preorder(preorder) => deal_named(talk, preorder).or_else(|| {
                let id = found.get(&booking::origin(&preorder.id)).copied()?;
                talk.learn(deal_key(&preorder.id), Some(id.to_string()));
                Some(id)
            }),
            _ => None,
        };
        let here = match deal {
            Some(deal) => notes::find(talk, deal).await?,
            // Nothing but the deal can have been made.
            None => false,
        };
        if here {
            for errand in talk.errands.iter_mut().filter(|errand| errand.seq == seq) {
                errand.doubtful = false;
            }
        } else {
            talk.book.decide(seq, Verdict::NotFound);
        }
    }
    Ok(())
}

/// The deal of a preorder: by its reference, else as the ledger knows it.
fn deal_named(talk: &Talk, preorder: &Preorder) -> Option<u64> {
    let named = preorder.reference.as_deref().and_then(booking::deal_of);
    named.or_else(|| talk.kept.get(&deal_key(&preorder.id))?.parse().ok())
}

/// Delivers the open jobs of its kind. The contacts of the clients that they name are there, where they can be.
///
/// # Errors
/// When the batch cannot go on.
pub(super) async fn deliver(talk: &mut Talk) -> Result<(), Halt> {
    let open = talk.open_errands(is_booking);
    if open.is_empty() {
        return Ok(());
    }
    let Some(keyer) = talk.settings.keyer.clone() else {
        for seq in open {
            talk.book.decide(seq, Halt::person("hub/no_key"));
        }
        return Ok(());
    };
    let places = talk.places().await?;
    let (Some(bookings), Some(_)) = (places.bookings.clone(), places.field(DealField::Preorder)) else {
        let code = if places.bookings.is_none() { "setup/pipeline" } else { "setup/field" };
        for seq in open {
            talk.book.decide(seq, Halt::person(code));
        }
        return Ok(());
    };
    let jobs: Vec<(Seq, Change)> =
        talk.errands.iter().filter(|errand| open.contains(&errand.seq)).map(|errand| (errand.seq, errand.change.clone())).collect();
    let mut desk = Desk { keyer, places, bookings, deals: BTreeMap::new(), bearing: BTreeMap::new(), letters: Vec::new() };
    desk.read(talk, &jobs).await?;
    for (seq, change) in &jobs {
        if !talk.book.is_open(*seq) {
            continue;
        }
        match &change.told {
            Told::Deal { id, deleted } => match id.parse() {
                Ok(deal) => desk.deal(talk, *seq, deal, *deleted).await?,
                Err(_) => talk.book.confirm(*seq, None),
            },
            Told::Preorder(preorder) => desk.preorder(talk, *seq, preorder, change.origin.as_deref()).await?,
            _ => {}
        }
    }
    desk.tell_staff(talk).await
}

/// A deal as it was read.
#[derive(Clone, Debug)]
struct Read {
    booking: Booking,
    /// Names of rows that Lime cannot have.
    left_out: Vec<String>,
    /// It is in the funnel of bookings.
    ours: bool,
    currency: String,
}

/// What there is to do on a deal once Lime has answered.
struct Bearing {
    jobs: Vec<Seq>,
    /// Lime's id of the preorder.
    preorder: String,
    note: Option<Note>,
}

struct Desk {
    keyer: Keyer,
    places: Places,
    bookings: Bookings,
    /// None: it is gone.
    deals: BTreeMap<u64, Option<Read>>,
    bearing: BTreeMap<u64, Bearing>,
    /// How jobs end whose deals Lime cannot have, once staff are told.
    letters: Vec<(Seq, Verdict)>,
}

impl Desk {
    /// Reads the deals that jobs are about.
    async fn read(&mut self, talk: &mut Talk, jobs: &[(Seq, Change)]) -> Result<(), Halt> {
        let mut ids = BTreeSet::new();
        for (_, change) in jobs {
            ids.extend(match &change.told {
                Told::Deal { deleted: true, .. } => None,
                Told::Deal { id, .. } => id.parse().ok(),
                Told::Preorder(preorder) => deal_named(talk, preorder),
                _ => None,
            });
        }
        let ids: Vec<u64> = ids.into_iter().collect();
        let commands: Vec<Command> =
            ids.iter().flat_map(|id| [Command::new("crm.item.get", json!({ "entityTypeId": DEAL, "id": id })), ask_rows(*id, 0)]).collect();
        let mut outcomes = talk.portal.ask(&commands).await?.into_iter();
        let mut read: Vec<(u64, Value, Vec<Value>)> = Vec::new();
        for id in ids {
            let (Some(item), Some(rows)) = (outcomes.next(), outcomes.next()) else { return Err(Halt::new("crm/unanswered")) };
            let Some(mut item) = there(item)? else {
                self.deals.insert(id, None);
                continue;
            };
            let total = if let Outcome::Done { total, .. } = &rows { total.unwrap_or(0) } else { 0 };
            let mut rows = there(rows)?.map(|result| rows_of(&result)).unwrap_or_default();
            while u64::try_from(rows.len()).is_ok_and(|have| have < total) {
                let more = talk.portal.ask(&[ask_rows(id, rows.len())]).await?;
                let more = rows_of(schema::done(more.first())?);
                if more.is_empty() {
                    break;
                }
                rows.extend(more);
            }
            read.push((id, item.get_mut("item").map(Value::take).unwrap_or_default(), rows));
        }
        let contacts = contacts(talk, &read).await?;
        let keys = self.keys(talk, &read).await?;
        let client_field = talk.schema.contact.get(CardField::ClientId.code()).cloned();
        for (id, item, rows) in read {
            let contact = booking::contact(&item).and_then(|contact| contacts.get(&contact));
            let (booking, left_out) = booking::booking(&item, &rows, contact, &keys, (&self.places, &self.bookings), client_field.as_ref());
            let ours = item.get("categoryId").and_then(wire::id) == Some(self.bookings.category);
            let currency = item.get("currencyId").and_then(wire::text).unwrap_or_else(|| "RUB".to_owned());
            self.deals.insert(id, Some(Read { booking, left_out, ours, currency }));
        }
        Ok(())
    }

    /// Lime's ids of the products that rows name.
    async fn keys(&self, talk: &mut Talk, read: &[(u64, Value, Vec<Value>)]) -> Result<BTreeMap<u64, String>, Halt> {
        let wanted: BTreeSet<u64> = read.iter().flat_map(|(_, _, rows)| booking::products(rows)).collect();
        let mut keys = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(keys);
        }
        // A preorder without the lines that we cannot read would be another preorder.
        let Some(shelf) = self.places.shelf else { return Err(Halt::person("setup/catalog")) };
        let wanted: Vec<u64> = wanted.into_iter().collect();
        let commands: Vec<Command> = wanted.chunks(KEYS).flat_map(|ids| catalog::ask_keys(ids, shelf)).collect();
        for outcome in talk.portal.ask(&commands).await? {
            booking::keys_of(schema::done(Some(&outcome))?, &mut keys);
        }
        Ok(keys)
    }

    /// A deal changed, or is gone: Lime is told.
    async fn deal(&mut self, talk: &mut Talk, seq: Seq, deal: u64, deleted: bool) -> Result<(), Halt> {
        let mut bound = bound(talk, deal);
        if deleted {
            self.deals.insert(deal, None);
        }
        let read = self.deals.get(&deal).cloned().flatten();
        let todo = match &read {
            // A preorder follows its deal wherever people move it.
            Some(read) if !read.ours && !bound.is_sent() => ToLime::Nothing,
            Some(read) => bound.to_lime(&read.booking, &self.keyer),
            None => bound.cancel(),
        };
        self.send(talk, seq, deal, bound, todo, None).await
    }

    /// Has Lime carry out what a deal wants. `said`: what staff should know besides.
    async fn send(&mut self, talk: &mut Talk, seq: Seq, deal: u64, mut bound: Bound, mut todo: ToLime, said: Option<String>) -> Result<(), Halt> {
        let key = bound_key(&deal.to_string());
        // Twice: a revision that Lime has gone past is sent anew with a later one.
        for _ in 0..2 {
            if todo == ToLime::Nobody {
                let said = talk.settings.texts.preorder_for_nobody();
                let say = bound.names_nobody(seq);
                self.explain(talk, seq, deal, &bound, (say, said), NOBODY);
                return Ok(());
            }
            let ToLime::Send { revision, draft } = todo else {
                if todo == ToLime::Nothing && bound != Bound::default() {
                    talk.learn(key, Some(bound.to_json()));
                }
                // A note may be owed from before.
                if said.is_some() || talk.kept.get(&notes::key(&deal.to_string())).is_some() {
                    self.bear(seq, deal, &bound, None, said);
                } else {
                    talk.book.confirm(seq, Some(format!("deal:{deal}")));
                }
                return Ok(());
            };
            let request = lime::put(&booking::reference(deal), revision, &draft, &talk.settings.texts.zone);
            let kept = Learned { key: key.clone(), value: Some(bound.to_json()) };
            talk.kept.put(key.clone(), kept.value.clone());
            let answer = talk.portal.write_lime(request, vec![kept]).await?;
            match lime::placed(&answer) {
                Written::Done(placed) => {
                    let quiet = bound.placed(&placed);
                    talk.learn(key, Some(bound.to_json()));
                    if let Some(line) = quiet {
                        talk.learn(line.key, line.value);
                    }
                    talk.learn(deal_key(&placed.id), Some(deal.to_string()));
                    self.bear(seq, deal, &bound, Some((&placed, revision, draft.lines.is_some())), said);
                    return Ok(());
                }
                Written::Conflict(PreorderConflict::Stale | PreorderConflict::OtherContent) => {
                    bound.stale(talk.now_ms);
                    talk.learn(key.clone(), Some(bound.to_json()));
                    todo = match self.deals.get(&deal) {
                        Some(Some(read)) => bound.to_lime(&read.booking, &self.keyer),
                        Some(None) => bound.cancel(),
                        // We have just made it: there is nothing to tell but its reference.
                        None => draft.bind.as_deref().map_or(ToLime::Nothing, |preorder| bound.bind(preorder)),
                    };
                }
                Written::Conflict(PreorderConflict::Bound) => {
                    let answer = "the preorder belongs to another deal".to_owned();
                    talk.book.decide(seq, Verdict::Dead { reason: "lime/bound".to_owned(), answer });
                    return Ok(());
                }
                Written::Refused(code) => {
                    let said = talk.settings.texts.preorder_refused(&code);
                    let say = bound.is_refused(seq);
                    self.explain(talk, seq, deal, &bound, (say, said), &code);
                    return Ok(());
                }
                Written::Later { code, after } => {
                    talk.book.decide(seq, Halt { reason: code, after });
                    return Ok(());
                }
            }
        }
        talk.book.decide(seq, Halt::new("lime/stale"));
        Ok(())
    }

    /// Lime cannot have the deal: staff read why, and then its job is a dead letter.
    fn explain(&mut self, talk: &mut Talk, seq: Seq, deal: u64, bound: &Bound, (say, said): (Say, String), code: &str) {
        let letter = Verdict::Dead { reason: code.to_owned(), answer: said.clone() };
        let gone = self.deals.get(&deal).is_none_or(Option::is_none);
        let owed = talk.kept.get(&notes::key(&deal.to_string())).is_some();
        match say {
            Say::Nothing => return talk.book.confirm(seq, Some(format!("deal:{deal}"))),
            _ if gone => return talk.book.decide(seq, letter),
            Say::Letter if !owed => return talk.book.decide(seq, letter),
            Say::Letter => self.bear(seq, deal, bound, None, None),
            Say::All => {
                talk.learn(bound_key(&deal.to_string()), Some(bound.to_json()));
                self.bear(seq, deal, bound, None, Some(said));
            }
        }
        self.letters.push((seq, letter));
    }

    /// Notes what there is to do on the deal. `placed`: Lime's answer, the revision, and whether it was about the content.
    fn bear(&mut self, seq: Seq, deal: u64, bound: &Bound, placed: Option<(&Placed, u64, bool)>, said: Option<String>) {
        let left = self.deals.get(&deal).and_then(Option::as_ref).map(|read| read.left_out.clone()).unwrap_or_default();
        let currency = self.deals.get(&deal).and_then(Option::as_ref).map_or_else(|| "RUB".to_owned(), |read| read.currency.clone());
        let note = Note { currency, placed: placed.filter(|(.., content)| *content).map(|(placed, ..)| placed.clone()), left_out: left, said };
        let preorder = bound.preorder.clone().unwrap_or_default();
        let gone = self.deals.get(&deal).is_none_or(Option::is_none);
        let bearing = self.bearing.entry(deal).or_insert_with(|| Bearing { jobs: Vec::new(), preorder: preorder.clone(), note: None });
        bearing.jobs.push(seq);
        bearing.preorder = preorder;
        if !gone && note.says_something() {
            bearing.note = Some(note);
        }
    }

    /// A preorder changed in Lime: the deal is told.
    async fn preorder(&mut self, talk: &mut Talk, seq: Seq, preorder: &Preorder, origin: Option<&str>) -> Result<(), Halt> {
        let deal = deal_named(talk, preorder);
        let makes = talk.settings.hub.as_ref().is_some_and(|hub| hub.preorders.to_crm);
        let mut bound = deal.map_or_else(Bound::default, |deal| bound(talk, deal));
        if let Some(deal) = deal.filter(|deal| preorder.reference.is_none() && talk.kept.get(&bound_key(&deal.to_string())).is_none()) {
            // We made it and did not come to its end.
            return self.finish(talk, seq, deal, preorder).await;
        }
        let booking = deal.and_then(|deal| self.deals.get(&deal)?.as_ref()).map(|read| read.booking.clone());
        let todo = bound.to_crm((preorder, origin), booking.as_ref(), makes, &talk.settings.texts, &self.keyer);
        match (todo, deal) {
            (ToCrm::Make(wanted), _) => self.make(talk, seq, preorder, &wanted).await,
            (ToCrm::Bind, Some(deal)) => {
                let todo = bound.bind(&preorder.id);
                self.send(talk, seq, deal, bound, todo, None).await
            }
            (ToCrm::Change(wanted), Some(deal)) => self.change(talk, seq, deal, bound, preorder, &wanted).await,
            (ToCrm::Clash, Some(deal)) => {
                let said = Some(clash(preorder, &talk.settings.texts));
                let todo = booking.as_ref().map_or(ToLime::Nothing, |booking| bound.to_lime(booking, &self.keyer));
                self.send(talk, seq, deal, bound, todo, said).await
            }
            (_, deal) => {
                if let Some(deal) = deal.filter(|_| bound != Bound::default()) {
                    talk.learn(bound_key(&deal.to_string()), Some(bound.to_json()));
                }
                talk.book.confirm(seq, deal.map(|deal| format!("deal:{deal}")));
                Ok(())
            }
        }
    }

    fn contact_for(&self, talk: &Talk, wanted: &Wanted) -> Option<u64> {
        wanted.client_id.as_ref().and_then(|client| talk.contact(client))
    }

    /// The contact that a person has already, where Lime knows no client.
    async fn contact_by_phone(&self, talk: &mut Talk, wanted: &Wanted) -> Result<Option<u64>, Halt> {
        let Some(phone) = wanted.contact.as_ref().and_then(|contact| contact.phone.as_ref()) else { return Ok(None) };
        let params = json!({ "type": "PHONE", "values": [phone.e164()], "entity_type": "CONTACT" });
        let outcomes = talk.portal.ask(&[Command::new("crm.duplicate.findbycomm", params)]).await?;
        let ids = outcomes.first().and_then(|outcome| if let Outcome::Done { result, .. } = outcome { result.get("CONTACT") } else { None });
        Ok(ids.map(wire::rows).unwrap_or_default().into_iter().filter_map(wire::id).min())
    }

    /// Makes the deal of a preorder that was made in Lime.
    async fn make(&mut self, talk: &mut Talk, seq: Seq, preorder: &Preorder, wanted: &Wanted) -> Result<(), Halt> {
        if let Some(shelf) = self.places.shelf {
            let unknown = wanted.rows.iter().filter_map(|row| row.product.clone()).filter(|id| talk.kept.get(&catalog::product_key(id)).is_none());
            let unknown: BTreeSet<String> = unknown.collect();
            super::products::find(talk, shelf, unknown).await?;
        }
        let contact = match self.contact_for(talk, wanted) {
            Some(contact) => Some(contact),
            None => self.contact_by_phone(talk, wanted).await?,
        };
        let mut fields = booking::fields(wanted, contact, &self.places, &talk.settings.texts);
        fields.insert("categoryId".to_owned(), json!(self.bookings.category));
        fields.insert("stageId".to_owned(), json!(self.bookings.stage));
        fields.insert("originatorId".to_owned(), json!(ORIGINATOR));
        fields.insert("originId".to_owned(), json!(booking::origin(&preorder.id)));
        fields.insert("currencyId".to_owned(), json!(preorder.total.currency));
        if let Some(person) = wanted.contact.as_ref().filter(|_| contact.is_none()) {
            let phone = person.phone.as_ref().map(crate::domain::Phone::e164).unwrap_or_default();
            fields.insert("comments".to_owned(), json!(format!("{} {phone}", person.name.reveal()).trim()));
        }
        let commands = [
            Command::new("crm.item.add", json!({ "entityTypeId": DEAL, "fields": fields })),
            sale::set_rows(None, &wanted.rows, &talk.kept, false).referring("ownerId", 0, &["item", "id"]),
        ]
        .map(|command| as_ours(command, &talk.kept));
        let outcomes = match talk.portal.create(&commands, vec![seq]).await {
            Ok(outcomes) => outcomes,
            Err(broken) => return Err(talk.broken(broken, &[seq])),
        };
        let mut outcomes = outcomes.into_iter();
        let Some((add, added)) = commands.first().zip(outcomes.next()) else { return Err(Halt::new("crm/unanswered")) };
        let deal = match Ended::of_create(add, added, "refused/deal") {
            Ended::Done(result) => match item_id(&result) {
                Some(deal) => deal,
                None => {
                    talk.book.decide(seq, Verdict::Doubtful);
                    return Ok(());
                }
            },
            Ended::Gone => {
                talk.book.decide(seq, Halt::new("crm/contact_gone"));
                return Ok(());
            }
            Ended::Stale => {
                if let Some(hub) = talk.settings.hub.clone() {
                    talk.learn(places::ledger_key(&hub), None);
                }
                talk.book.decide(seq, Halt::new("setup/stage"));
                return Ok(());
            }
            Ended::Verdict(verdict) => {
                talk.book.decide(seq, verdict);
                return Ok(());
            }
        };
        talk.learn(deal_key(&preorder.id), Some(deal.to_string()));
        self.deals.remove(&deal);
        if !matches!(outcomes.next(), Some(Outcome::Done { result, .. }) if sale::arrived(&result, &wanted.rows)) {
            return self.finish(talk, seq, deal, preorder).await;
        }
        self.made(talk, seq, deal, preorder).await
    }

    /// The deal is there with all that is in it: Lime is told whose preorder it is.
    async fn made(&mut self, talk: &mut Talk, seq: Seq, deal: u64, preorder: &Preorder) -> Result<(), Halt> {
        let mut bound = Bound::default();
        bound.made(preorder, booking::keeps(&self.places), &self.keyer);
        talk.learn(bound_key(&deal.to_string()), Some(bound.to_json()));
        let todo = bound.bind(&preorder.id);
        self.send(talk, seq, deal, bound, todo, None).await
    }

    /// Puts the rows into a deal that was made and may lack them.
    async fn finish(&mut self, talk: &mut Talk, seq: Seq, deal: u64, preorder: &Preorder) -> Result<(), Halt> {
        let rows = Wanted::of(preorder, &talk.settings.texts).rows;
        let commands = [as_ours(sale::set_rows(Some(deal), &rows, &talk.kept, false), &talk.kept)];
        let outcomes = talk.portal.ask(&commands).await?;
        let Some((command, outcome)) = commands.first().zip(outcomes.into_iter().next()) else { return Err(Halt::new("crm/unanswered")) };
        match Ended::of(command, outcome, "refused/rows") {
            Ended::Done(result) if sale::arrived(&result, &rows) => return self.made(talk, seq, deal, preorder).await,
            Ended::Done(_) | Ended::Stale => talk.book.decide(seq, Halt::new("crm/rows")),
            // People have deleted it: they meant it.
            Ended::Gone => talk.book.confirm(seq, None),
            Ended::Verdict(verdict) => talk.book.decide(seq, verdict),
        }
        Ok(())
    }

    /// Writes into the deal what has changed in Lime.
    async fn change(&mut self, talk: &mut Talk, seq: Seq, deal: u64, mut bound: Bound, preorder: &Preorder, wanted: &Wanted) -> Result<(), Halt> {
        if let Some(shelf) = self.places.shelf {
            let unknown = wanted.rows.iter().filter_map(|row| row.product.clone()).filter(|id| talk.kept.get(&catalog::product_key(id)).is_none());
            let unknown: BTreeSet<String> = unknown.collect();
            super::products::find(talk, shelf, unknown).await?;
        }
        let mut fields = booking::fields(wanted, self.contact_for(talk, wanted), &self.places, &talk.settings.texts);
        if wanted.cancelled {
            fields.insert("stageId".to_owned(), json!(self.bookings.cancelled));
        }
        let commands = [sale::set_rows(Some(deal), &wanted.rows, &talk.kept, false), sale::change(deal, Value::Object(fields))];
        let commands = commands.map(|command| as_ours(command, &talk.kept));
        let key = bound_key(&deal.to_string());
        talk.kept.put(key.clone(), Some(bound.to_json()));
        let outcomes = talk.portal.set(&commands, vec![Learned { key: key.clone(), value: Some(bound.to_json()) }]).await?;
        for (command, outcome) in commands.iter().zip(outcomes) {
            match Ended::of(command, outcome, "refused/deal") {
                Ended::Done(_) => {}
                // People have deleted it: they meant it, and Lime is told when the deal's feed tells.
                Ended::Gone => {
                    talk.book.confirm(seq, None);
                    return Ok(());
                }
                Ended::Stale => {
                    talk.book.decide(seq, Halt::person("setup/stage"));
                    return Ok(());
                }
                Ended::Verdict(verdict) => {
                    talk.book.decide(seq, verdict);
                    return Ok(());
                }
            }
        }
        bound.wrote();
        talk.learn(key, Some(bound.to_json()));
        if preorder.reference.is_none() {
            let todo = bound.bind(&preorder.id);
            return self.send(talk, seq, deal, bound, todo, None).await;
        }
        talk.book.confirm(seq, Some(format!("deal:{deal}")));
        Ok(())
    }

    /// Gives deals Lime's id of their preorder, and their timelines what Lime made of it.
    async fn tell_staff(&mut self, talk: &mut Talk) -> Result<(), Halt> {
        let bearing: Vec<(u64, Bearing)> = std::mem::take(&mut self.bearing).into_iter().collect();
        let field = self.places.field(DealField::Preorder).cloned().unwrap_or_default();
        for chunk in bearing.chunks(LIMIT) {
            let (mut commands, mut learned, mut of) = (Vec::new(), Vec::new(), Vec::new());
            for (deal, one) in chunk {
                let gone = self.deals.get(deal).is_some_and(Option::is_none);
                if gone {
                    continue;
                }
                commands.push(match one.preorder.as_str() {
                    // There is nothing to show but the note.
                    "" => Command::new("crm.item.get", json!({ "entityTypeId": DEAL, "id": deal })),
                    id => as_ours(sale::change(*deal, json!({ field.clone(): id })), &talk.kept),
                });
                of.push((*deal, one));
                for key in [bound_key(&deal.to_string()), deal_key(&one.preorder)] {
                    learned.extend(talk.kept.get(&key).map(|value| Learned { key: key.clone(), value: Some(value.to_owned()) }));
                }
                if let Some(note) = &one.note {
                    let name = |id: &str| product_name(talk, id);
                    let said = warnings(note.placed.as_ref().map_or(&[][..], |placed| &placed.warnings), &note.currency, &name, &talk.settings.texts);
                    let left = left_out(&note.left_out, &talk.settings.texts);
                    let text = note.text(&one.preorder, &[said, left], &talk.settings.texts);
                    let key = notes::key(&deal.to_string());
                    talk.kept.put(key.clone(), Some(text.clone()));
                    learned.push(Learned { key, value: Some(text) });
                }
            }
            // What is owed is in the ledger before the first line leaves.
            let outcomes = if commands.is_empty() { Vec::new() } else { talk.portal.set(&commands, learned).await? };
            for (((deal, one), command), outcome) in of.into_iter().zip(&commands).zip(outcomes) {
                match Ended::of(command, outcome, "refused/deal") {
                    Ended::Done(_) => {}
                    // Without the field the deal is found by the ledger; a deal that is gone needs none.
                    Ended::Gone | Ended::Stale => talk.learn(notes::key(&deal.to_string()), None),
                    Ended::Verdict(verdict) => one.jobs.iter().for_each(|seq| talk.book.decide(*seq, verdict.clone())),
                }
            }
            let due: Vec<(u64, Vec<Seq>)> = chunk.iter().map(|(deal, one)| (*deal, one.jobs.clone())).collect();
            notes::write(talk, due, &self.letters).await?;
        }
        Ok(())
    }
}

fn product_name(talk: &Talk, id: &str) -> Option<String> {
    talk.errands.iter().find_map(|errand| match &errand.change.told {
        Told::Preorder(preorder) => preorder.lines.iter().find(|line| line.good_type_id == id && !line.name.is_empty()).map(|line| line.name.clone()),
        _ => None,
    })
}

fn bound(talk: &Talk, deal: u64) -> Bound {
    talk.kept.get(&bound_key(&deal.to_string())).and_then(Bound::from_json).unwrap_or_default()
}

/// A deal's rows, from the `start`-th. The list takes no other parameters.
fn ask_rows(deal: u64, start: usize) -> Command {
    Command::new("crm.item.productrow.list", json!({ "filter": { "=ownerType": "D", "=ownerId": deal }, "order": { "id": "ASC" }, "start": start }))
}

fn rows_of(result: &Value) -> Vec<Value> {
    result.get("productRows").map(wire::rows).unwrap_or_default().into_iter().cloned().collect()
}

/// None: the thing asked for is gone.
fn there(outcome: Outcome) -> Result<Option<Value>, Halt> {
    match outcome {
        Outcome::Done { result, .. } => Ok(Some(result)),
        Outcome::Unanswered => Err(Halt::new("crm/unanswered")),
        Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
            Class::Gone => Ok(None),
            class => Err(schema::halt(&class)),
        },
    }
}

/// The deals' contacts, by id.
async fn contacts(talk: &mut Talk, read: &[(u64, Value, Vec<Value>)]) -> Result<BTreeMap<u64, Value>, Halt> {
    let ids: BTreeSet<u64> = read.iter().filter_map(|(_, item, _)| booking::contact(item)).collect();
    let commands: Vec<Command> = ids.iter().map(|id| Command::new("crm.item.get", json!({ "entityTypeId": CONTACT, "id": id }))).collect();
    let mut contacts = BTreeMap::new();
    for (id, outcome) in ids.into_iter().zip(talk.portal.ask(&commands).await?) {
        if let Some(mut result) = there(outcome)? {
            contacts.insert(id, result.get_mut("item").map(Value::take).unwrap_or_default());
        }
    }
    Ok(contacts)
}
