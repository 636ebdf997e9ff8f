//! Finding what is there: contacts of clients, and leads by our key.
//!
//! A search hits any field and may ignore a filter altogether, so each hit is verified here. Filters are not used: on accounts without them they are
//! ignored in silence, and then say nothing about what is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::crm::texts::PassField;
use crate::delivery::Host;
use crate::domain::{Client, ClientId};

use super::contact::{Contact, Match};
use super::desk::{Desk, Stop, good};
use super::directory::{CatchUp, Directory, Next};
use super::ledger::{self, ContactLine};
use super::schema::Schema;
use super::updated::updated;
use super::wire::{self, PAGE, Page};

/// From so many unknown clients on, walking the list of contacts may be cheaper than searching for each.
const WALK_FROM: usize = 6;
/// From so many on, it is a first synchronisation or a long drain, and more will come: the list is read into the directory.
const DEEP: usize = 50;
/// Pages of what has changed since the directory was read last, before it is given up and read anew.
const CATCH_UP: usize = 40;
/// Pages of hits that are looked at for one search: a short client id may be part of many numbers.
const HIT_PAGES: usize = 4;
/// Contacts of other clients that a walk may teach the ledger in one batch.
const LEARN: usize = 1_000;
/// Pages of the newest leads that are looked through for keys in doubt, before each is searched for.
const NEWEST_PAGES: usize = 2;
/// Their least length: what was in doubt a moment ago is among the newest, and a long page is slow to answer.
const NEWEST_LEAST: usize = 50;

/// A lead of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub lead: u64,
    /// Its main contact.
    pub contact: Option<u64>,
}

/// The leads that bear these keys: the newest are looked through first, for a search index may lag; the rest are searched for one by one.
pub async fn leads(desk: &mut Desk, schema: &Schema, keys: &[Uuid]) -> Result<BTreeMap<Uuid, Found>, Stop> {
    let mut found = BTreeMap::new();
    let Some(field) = schema.pass(PassField::EventUid) else {
        return Err(Stop::Schema);
    };
    let take = |page: &Page, found: &mut BTreeMap<Uuid, Found>| {
        for lead in &page.items {
            let key = wire::custom_value(lead, field).and_then(|text| Uuid::parse_str(text.trim()).ok()).filter(|key| keys.contains(key));
            let deleted = lead.get("is_deleted").and_then(serde_json::Value::as_bool) == Some(true);
            if let (Some(key), Some(id), false) = (key, wire::id(lead.get("id")), deleted) {
                found.insert(key, Found { lead: id, contact: main_contact(lead) });
            }
        }
    };
    let limit = (keys.len() * 2).clamp(NEWEST_LEAST, PAGE);
    let mut next = Some(format!("/api/v4/leads?order%5Bid%5D=desc&limit={limit}&with=contacts"));
    for _ in 0..NEWEST_PAGES {
        let Some(path) = next.take().filter(|_| found.len() < keys.len()) else { break };
        let page = desk.page(crate::http::Request::get(path, "GET /leads?order"), "leads").await?;
        take(&page, &mut found);
        next = page.next;
        if next.is_none() {
            // The whole list was seen: what was not in it is not there.
            return Ok(found);
        }
    }
    for key in keys {
        if !found.contains_key(key) {
            let request = wire::get(&format!("/leads?query={key}&limit={NEWEST_LEAST}&with=contacts"), "GET /leads?query");
            let page = desk.page(request, "leads").await?;
            take(&page, &mut found);
        }
    }
    Ok(found)
}

fn main_contact(lead: &serde_json::Value) -> Option<u64> {
    let contacts = lead.pointer("/_embedded/contacts")?.as_array()?;
    let main = contacts.iter().find(|contact| contact.get("is_main").and_then(serde_json::Value::as_bool) == Some(true));
    wire::id(main.or_else(|| contacts.first())?.get("id"))
}

/// Contacts by their ids, many in a request where the account has filters. Who is not in the answer is not there.
///
/// # Errors
/// When it cannot be asked now.
pub async fn by_ids(desk: &mut Desk, schema: &Schema, ids: &[u64]) -> Result<BTreeMap<u64, Contact>, Stop> {
    let mut found = BTreeMap::new();
    if schema.filters && ids.len() > 1 {
        for some in ids.chunks(PAGE) {
            let filter: String = some.iter().map(|id| format!("&filter%5Bid%5D%5B%5D={id}")).collect();
            let page = desk.page(wire::get(&format!("/contacts?limit={PAGE}{filter}"), "GET /contacts?filter"), "contacts").await?;
            let read = page.items.iter().filter_map(|entry| Contact::read(entry, schema));
            found.extend(read.filter(|contact| some.contains(&contact.id)).map(|contact| (contact.id, contact)));
        }
    }
    // Whoever the list leaves out is asked for alone: it may lag behind what was made a moment ago.
    for id in ids {
        if !found.contains_key(id) {
            found.extend(by_id(desk, schema, *id).await?.map(|contact| (*id, contact)));
        }
    }
    Ok(found)
}

/// A contact by its id; `None` when it is not there.
async fn by_id(desk: &mut Desk, schema: &Schema, id: u64) -> Result<Option<Contact>, Stop> {
    let answer = desk.ask(Host::Crm, wire::get(&format!("/contacts/{id}"), "GET /contacts/{id}")).await?;
    if matches!(answer.status.as_u16(), 204 | 404) {
        return Ok(None);
    }
    good(&answer)?;
    let entry = answer.json().ok_or_else(|| Stop::later("amocrm/unreadable", None))?;
    Ok(Contact::read(&entry, schema))
}

/// The contact that bears a client's id, if there is one.
///
/// # Errors
/// When it cannot be asked now.
pub async fn bearing(desk: &mut Desk, schema: &Schema, client: &ClientId) -> Result<Option<u64>, Stop> {
    let mut next = Some(format!("/api/v4/contacts?query={}&limit={PAGE}", wire::encoded(client.as_str())));
    for _ in 0..HIT_PAGES {
        let Some(path) = next.take() else { break };
        let page = desk.page(crate::http::Request::get(path, "GET /contacts?query"), "contacts").await?;
        let mut found = page.items.iter().filter_map(|entry| Contact::read(entry, schema));
        if let Some(contact) = found.find(|contact| contact.client.as_ref() == Some(client)) {
            return Ok(Some(contact.id));
        }
        next = page.next;
    }
    Ok(None)
}

/// The best contact of each client so far: the surest match, and of several the oldest.
#[derive(Debug, Default)]
struct Best(BTreeMap<ClientId, (Match, Contact)>);

impl Best {
    fn offer(&mut self, client: &Client, contact: &Contact) {
        let Some(how) = contact.is_of(client) else { return };
        let better = match self.0.get(&client.id) {
            Some((had, other)) => how > *had || (how == *had && contact.id < other.id),
            None => true,
        };
        if better {
            self.0.insert(client.id.clone(), (how, contact.clone()));
        }
    }

    fn sure(&self, client: &Client) -> bool {
        self.0.get(&client.id).is_some_and(|(how, _)| *how == Match::Id)
    }
}

/// The contacts of these clients. Who is not in the answer has none. `known_pages`: the list has at least so many.
///
/// # Errors
/// When it cannot be asked now.
pub async fn contacts(
    desk: &mut Desk,
    schema: &Schema,
    clients: &[&Client],
    known_pages: usize,
    (directory, now_ms): (&Directory, i64),
) -> Result<BTreeMap<ClientId, Contact>, Stop> {
    let mut best = Best::default();
    let most = clients.len() / 2;
    let kept = directory.is_kept(now_ms);
    let whole = if clients.len() >= DEEP || kept && clients.len() >= WALK_FROM {
        look_up(desk, schema, clients, (directory, now_ms), &mut best).await?
    } else {
        clients.len() >= WALK_FROM && known_pages <= most && walk(desk, schema, clients, most, &mut best).await?
    };
    if !whole {
        for client in clients {
            if !best.sure(client) {
                search(desk, schema, client, &mut best).await?;
            }
        }
    }
    Ok(best.0.into_iter().map(|(client, (_, contact))| (client, contact)).collect())
}

/// Looks clients up in the directory, and reads for it what it lacks. False where it does not serve: searching is cheaper.
async fn look_up(
    desk: &mut Desk,
    schema: &Schema,
    clients: &[&Client],
    (directory, now_ms): (&Directory, i64),
    best: &mut Best,
) -> Result<bool, Stop> {
    // A search for somebody who is not there is a request for the id and one for each phone and address.
    let mut left = clients.len() * 2;
    loop {
        match directory.next(now_ms) {
            Next::Whole => break,
            Next::TooLong => return Ok(false),
            Next::Others => return Err(Stop::later("amocrm/contacts_being_read", Some(Duration::from_secs(1)))),
            Next::Newest => {
                let page = desk.page(wire::get("/contacts?order%5Bupdated_at%5D=desc&limit=1", "GET /contacts?newest"), "contacts").await?;
                directory.began(page.items.first().and_then(updated).unwrap_or(0));
            }
            Next::Page(_) if left == 0 => return Ok(false),
            Next::Page(claim) => {
                left -= 1;
                let page = desk.page(wire::get(&nth_page(claim.page), "GET /contacts?order"), "contacts").await?;
                let contacts: Vec<Contact> = page.items.iter().filter_map(|entry| Contact::read(entry, schema)).collect();
                claim.read(&contacts, page.next.is_none());
            }
            Next::Since(changes) => {
                if !catch_up(desk, schema, changes, left, now_ms).await? {
                    directory.forget();
                    return Ok(false);
                }
            }
        }
    }
    let wanted: Vec<(&Client, BTreeSet<u64>)> = clients.iter().map(|client| (*client, directory.of(client))).collect();
    let ids: BTreeSet<u64> = wanted.iter().flat_map(|(_, ids)| ids).copied().collect();
    let read = read_all(desk, schema, &ids, directory).await?;
    for (client, ids) in wanted {
        for contact in ids.iter().filter_map(|id| read.get(id)) {
            best.offer(client, contact);
        }
    }
    Ok(true)
}

/// Reads newest first what has changed. False when that were more than `most` pages.
async fn catch_up(desk: &mut Desk, schema: &Schema, changes: CatchUp, most: usize, now_ms: i64) -> Result<bool, Stop> {
    let (from, mut newest) = (changes.from, changes.from);
    for page in 1..=most.clamp(1, CATCH_UP) {
        let request = wire::get(&format!("/contacts?order%5Bupdated_at%5D=desc&limit={PAGE}&page={page}"), "GET /contacts?newest");
        let page = desk.page(request, "contacts").await?;
        let times = || page.items.iter().filter_map(updated);
        newest = times().max().map_or(newest, |at| at.max(newest));
        let changed = page.items.iter().filter(|entry| updated(entry).is_none_or(|at| at >= from));
        changes.read(&changed.filter_map(|entry| Contact::read(entry, schema)).collect::<Vec<_>>());
        if page.next.is_none() || times().any(|at| at < from) {
            changes.end(newest, now_ms);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads these contacts: by their ids where the account has filters, else by the pages of the list where these are fewer than the contacts.
async fn read_all(desk: &mut Desk, schema: &Schema, ids: &BTreeSet<u64>, directory: &Directory) -> Result<BTreeMap<u64, Contact>, Stop> {
    let mut read = BTreeMap::new();
    if !schema.filters {
        let mut pages: BTreeMap<u32, usize> = BTreeMap::new();
        for page in ids.iter().filter_map(|id| directory.page_of(*id)) {
            *pages.entry(page).or_default() += 1;
        }
        for (number, _) in pages.into_iter().filter(|(_, wanted)| *wanted > 1) {
            let page = desk.page(wire::get(&nth_page(number), "GET /contacts?order"), "contacts").await?;
            let contacts = page.items.iter().filter_map(|entry| Contact::read(entry, schema));
            read.extend(contacts.filter(|contact| ids.contains(&contact.id)).map(|contact| (contact.id, contact)));
        }
    }
    let left: Vec<u64> = ids.iter().filter(|id| !read.contains_key(id)).copied().collect();
    read.extend(by_ids(desk, schema, &left).await?);
    Ok(read)
}

fn nth_page(page: u32) -> String {
    format!("/contacts?order%5Bid%5D=asc&limit={PAGE}&page={page}")
}

/// Walks the list of contacts, oldest first, so that what is created meanwhile shifts no page. True when its end was reached. What it meets of other
/// clients is learned: the next batch will ask for them.
async fn walk(desk: &mut Desk, schema: &Schema, clients: &[&Client], most: usize, best: &mut Best) -> Result<bool, Stop> {
    let mut next = Some(format!("/api/v4/contacts?order%5Bid%5D=asc&limit={PAGE}"));
    let mut others: BTreeMap<ClientId, ContactLine> = BTreeMap::new();
    let mut pages = 0;
    while let Some(path) = next.take().filter(|_| pages < most) {
        let page = desk.page(crate::http::Request::get(path, "GET /contacts?order"), "contacts").await?;
        pages += 1;
        for contact in page.items.iter().filter_map(|entry| Contact::read(entry, schema)) {
            for client in clients {
                best.offer(client, &contact);
            }
            if let Some(client) = contact.client.clone().filter(|_| others.len() < LEARN) {
                others.entry(client).or_insert(ContactLine { id: contact.id, visits: contact.visits });
            }
        }
        next = page.next;
        if next.is_none() {
            learn(desk, others);
            return Ok(true);
        }
    }
    learn(desk, others);
    desk.learn(ledger::walk(), Some((most + 1).to_string()));
    Ok(false)
}

fn learn(desk: &mut Desk, others: BTreeMap<ClientId, ContactLine>) {
    for (client, line) in others {
        desk.learn(ledger::contact(&client), Some(line.to_text()));
    }
}

/// Searches for one client: by our id, then by phone, then by e-mail.
async fn search(desk: &mut Desk, schema: &Schema, client: &Client, best: &mut Best) -> Result<(), Stop> {
    let phones = client.phones.iter().map(|phone| phone.last_ten().to_owned());
    let emails = client.emails.iter().map(|email| email.reveal().to_owned());
    for text in std::iter::once(client.id.as_str().to_owned()).chain(phones).chain(emails).filter(|text| !text.trim().is_empty()) {
        let mut next = Some(format!("/api/v4/contacts?query={}&limit={PAGE}", wire::encoded(&text)));
        for _ in 0..HIT_PAGES {
            let Some(path) = next.take() else { break };
            let page = desk.page(crate::http::Request::get(path, "GET /contacts?query"), "contacts").await?;
            for contact in page.items.iter().filter_map(|entry| Contact::read(entry, schema)) {
                best.offer(client, &contact);
            }
            next = page.next;
        }
        if best.0.contains_key(&client.id) {
            return Ok(());
        }
    }
    Ok(())
}
