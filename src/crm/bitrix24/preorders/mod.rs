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

mod reading;
mod telling;
mod writing;

use std::collections::BTreeMap;

use super::book::Halt;
use super::booking;
use super::catalog;
use super::errands::LookUp;
use super::feed_deals::CONNECTOR;
use super::notes;
use super::offline;
use super::places::{self, Bookings, Places};
use super::schema::DEAL;
use super::talk::Talk;
use crate::config::Hub;
use crate::crm::deal_fields::DealField;
use crate::delivery::Verdict;
use crate::domain::{Change, Preorder, Seq, Told};
use crate::flow::contacts::Keyer;
use crate::flow::preorders::{Bound, ToCrm, ToLime, bound_key, clash, deal_key};

use reading::Read;
use telling::Bearing;

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
}

fn bound(talk: &Talk, deal: u64) -> Bound {
    talk.kept.get(&bound_key(&deal.to_string())).and_then(Bound::from_json).unwrap_or_default()
}
