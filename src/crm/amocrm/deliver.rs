//! The way of a batch: what is in doubt is asked for, what needs no card goes first, then the cards of the clients that jobs name are brought up to date,
//! once for each, and the rest follows.

use std::collections::BTreeMap;

use crate::crm::card::Written;
use crate::delivery::{Job, Verdict};
use crate::domain::{ClientId, Told};

use super::courier::Place;
use super::desk::{Desk, Stop};
use super::memory::{Memory, client_of, told, write_off};
use super::moments::Need;
use super::schema::Schema;
use super::{cards, passes, preorders, products, receipts, search};

/// Takes all open jobs of the desk as far as they go.
///
/// # Errors
/// When it cannot go on now; what has a verdict until then keeps it.
pub async fn deliver(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place) -> Result<(), Stop> {
    resolve_doubts(desk, schema, memory, place).await?;
    let (mut at_once, mut by_client) = (Vec::new(), BTreeMap::<ClientId, Vec<Job>>::new());
    for job in desk.open() {
        match client_of(&job).cloned() {
            Some(client) => by_client.entry(client).or_default().push(job),
            None => at_once.push(job),
        }
    }
    by_client.retain(|client, jobs| {
        let shown = jobs.iter().all(|job| !needs_card(job, client, memory, place));
        if shown {
            at_once.append(jobs);
        }
        !shown
    });
    onward(desk, schema, memory, place, at_once).await?;
    let jobs = cards::bring_up_to_date(desk, schema, memory, place, by_client).await?;
    onward(desk, schema, memory, place, jobs).await
}

/// A client's card has to be seen to before this job of theirs goes on.
fn needs_card(job: &Job, client: &ClientId, memory: &Memory, place: &Place) -> bool {
    let covered = |written: &Written| write_off(job).is_some_and(|write_off| written.covers(write_off));
    Need::of(job, place).is_due(memory.contacts.contains_key(client), memory.cards.get(client).is_some_and(covered))
}

/// Jobs whose write may have arrived: they are asked for first, and what was found or not found is all that is done for them now.
async fn resolve_doubts(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place) -> Result<(), Stop> {
    let mut doubtful = Sorted::of(desk.open().into_iter().filter(|job| job.doubt.is_some()));
    passes::resolve(desk, schema, memory, doubtful.passes).await?;
    for job in std::mem::take(&mut doubtful.people) {
        // All that is created for them is a contact.
        let Some(client) = client_of(&job) else { continue };
        match search::bearing(desk, schema, client).await? {
            Some(contact) => memory.learn_contact(desk, client, contact),
            None => desk.judge(job.seq, Verdict::NotFound),
        }
    }
    receipts::deliver(desk, schema, memory, place, doubtful.receipts).await?;
    preorders::deliver(desk, schema, memory, place, doubtful.preorders).await
}

/// Jobs whose clients' cards are as they should be.
async fn onward(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place, jobs: Vec<Job>) -> Result<(), Stop> {
    let sorted = Sorted::of(jobs.into_iter().filter(|job| desk.is_open(job.seq)));
    cards::part(desk, memory, place, sorted.parted).await?;
    for job in sorted.people {
        let contact = client_of(&job).and_then(|client| memory.contacts.get(client));
        desk.done(job.seq, contact.map(|line| format!("contact:{}", line.id)));
    }
    passes::leads(desk, schema, memory, place, sorted.passes).await?;
    // A receipt's and a preorder's rows are products.
    products::deliver(desk, schema, memory, place, sorted.products).await?;
    receipts::deliver(desk, schema, memory, place, sorted.receipts).await?;
    preorders::deliver(desk, schema, memory, place, sorted.preorders).await
}

/// Jobs by kind.
#[derive(Default)]
struct Sorted {
    passes: Vec<Job>,
    people: Vec<Job>,
    /// Clients who are gone at Lime.
    parted: Vec<Job>,
    products: Vec<Job>,
    receipts: Vec<Job>,
    preorders: Vec<Job>,
}

impl Sorted {
    fn of(jobs: impl Iterator<Item = Job>) -> Self {
        let mut sorted = Self::default();
        for job in jobs {
            let kind = match told(&job) {
                None => &mut sorted.passes,
                Some(Told::Client { deleted: true, .. }) => &mut sorted.parted,
                Some(Told::Client { .. } | Told::Contact { .. }) => &mut sorted.people,
                Some(Told::Product(_) | Told::ProductGone(_)) => &mut sorted.products,
                Some(Told::Receipt(_)) => &mut sorted.receipts,
                Some(Told::Preorder(_) | Told::Deal { .. }) => &mut sorted.preorders,
            };
            kind.push(job);
        }
        sorted
    }
}
