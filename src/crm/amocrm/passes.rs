//! Passes: a lead for each, and what is asked about those that may have one already.

use std::collections::BTreeMap;

use crate::delivery::{Job, Verdict};

use super::cards::judge;
use super::courier::Place;
use super::desk::{Desk, Stop};
use super::memory::{Memory, write_off};
use super::schema::Schema;
use super::write::{Fate, Item, What, write};
use super::{lead, search};

/// Jobs whose lead may be there already: found or not found, nothing else is done for them now.
///
/// # Errors
/// When it cannot be asked now.
pub async fn resolve(desk: &mut Desk, schema: &Schema, memory: &mut Memory, doubtful: Vec<Job>) -> Result<(), Stop> {
    if doubtful.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = doubtful.iter().map(|job| job.key).collect();
    let found = search::leads(desk, schema, &keys).await?;
    for job in doubtful {
        let Some(found) = found.get(&job.key) else {
            desk.judge(job.seq, Verdict::NotFound);
            continue;
        };
        desk.confirm(job.seq, found.lead);
        // The next pass need not search for a contact that a search index may not show yet.
        let client = write_off(&job).and_then(|write_off| write_off.client_id.clone());
        if let (Some(client), Some(id)) = (client, found.contact)
            && !memory.contacts.contains_key(&client)
        {
            memory.learn_contact(desk, &client, id);
        }
    }
    Ok(())
}

/// A lead for each pass.
///
/// # Errors
/// When it cannot go on now.
pub async fn leads(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place, jobs: Vec<Job>) -> Result<(), Stop> {
    let mut items = Vec::new();
    let mut sent = BTreeMap::new();
    for job in jobs.into_iter().filter(|job| desk.is_open(job.seq)).collect::<Vec<_>>() {
        let Some(write_off) = write_off(&job) else {
            desk.judge(job.seq, Verdict::Dead { reason: "amocrm/not_a_pass".to_owned(), answer: String::new() });
            continue;
        };
        let contact = write_off.client_id.as_ref().and_then(|client| memory.contacts.get(client)).map(|line| line.id);
        let name = write_off.pass_id.to_string();
        items.push(Item { name: name.clone(), body: lead::lead(write_off, contact, schema, &place.texts, place.now_wall_ms), jobs: vec![job.seq] });
        sent.insert(name, job);
    }
    let mut fates = BTreeMap::new();
    let end = write(desk, What::CreateLeads, items, &mut fates).await;
    for (name, fate) in fates {
        let Some(job) = sent.get(&name) else { continue };
        match fate {
            Fate::Written(id) => desk.confirm(job.seq, id),
            other => judge(desk, memory, job, &other),
        }
    }
    end
}
