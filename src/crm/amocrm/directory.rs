//! Who stands on which contact of the account: kept in memory while many unknown clients are looked for at once, so that a first synchronisation reads the
//! list of contacts once, and not once for every batch. Pure: whoever holds a conversation asks what to read next, and hands in what it read.
//!
//! Conversations that go on at the same time share the reading, a page each. From then on what people change in between is read newest first. What the
//! directory names is a hint: each contact is read and recognised anew before it is taken. Keys are hashes, so it holds nothing personal.
//!
//! Never: a directory taken for whole while a page of it is missing; more than [`MOST`] lines; a page that a conversation has let down.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::{Client, ClientId, Phone};

use super::contact::Contact;

/// Most lines, of about twenty-five bytes each: some ten megabytes.
const MOST: usize = 400_000;
/// Nobody has looked for so long: it is forgotten, milliseconds.
const IDLE_MS: i64 = 600_000;
/// What people changed since is read again after so long, milliseconds. A search may lag behind by more.
const FRESH_MS: i64 = 10_000;
/// So far back before the newest change that was seen the next reading begins, seconds: within one second there is no order.
const OVERLAP: i64 = 1;
/// Contacts of our own making that are remembered, so that they take no lines: the ledger knows them.
const OWN: usize = 4_000;
/// Contacts of one phone or address that are looked at: a family's, or a venue's own.
const ALIKE: usize = 8;

/// The directory, shared by all conversations with the account.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// By the hash of a client's id, a phone or an address: a contact's id.
    lines: BTreeSet<(u64, u64)>,
    walk: Walk,
    /// Everything that changed until then is in, seconds of amoCRM's clock.
    until: Option<i64>,
    /// When that was found out, milliseconds of ours.
    read_ms: Option<i64>,
    catching_up: bool,
    used_ms: i64,
    own: BTreeSet<u64>,
    /// Counts the walks, so that a page of one that was given up is no page of the next.
    round: u32,
}

/// How far the list was read, oldest first.
#[derive(Debug)]
struct Walk {
    /// The first page that nobody has taken.
    next: u32,
    /// Pages that were let down.
    back: BTreeSet<u32>,
    /// Pages that are being read.
    out: usize,
    /// The last page.
    end: Option<u32>,
    /// The first contact of each page.
    first: BTreeMap<u32, u64>,
    too_long: bool,
}

impl Default for Walk {
    fn default() -> Self {
        Self { next: 1, back: BTreeSet::new(), out: 0, end: None, first: BTreeMap::new(), too_long: false }
    }
}

impl Walk {
    fn is_whole(&self) -> bool {
        self.end.is_some_and(|end| self.next > end) && self.out == 0 && self.back.is_empty()
    }
}

/// What to do next.
#[derive(Debug)]
pub enum Next {
    /// Ask for the card that changed last, and tell [`Directory::began`].
    Newest,
    /// Read this page of the list, oldest first.
    Page(Claim),
    /// Others read the last pages; it is whole in a moment.
    Others,
    /// Read newest first what has changed.
    Since(CatchUp),
    /// Look.
    Whole,
    /// There are too many contacts for it.
    TooLong,
}

/// A page that this conversation reads. Dropped, it is for the others to read.
#[derive(Debug)]
pub struct Claim {
    directory: Directory,
    round: u32,
    /// Its number, from 1.
    pub page: u32,
    read: bool,
}

impl Claim {
    /// The page was read; `last`: there is no other after it.
    pub fn read(mut self, contacts: &[Contact], last: bool) {
        self.read = true;
        let mut inner = self.directory.inner();
        if inner.round != self.round {
            return;
        }
        inner.walk.out = inner.walk.out.saturating_sub(1);
        if last {
            inner.walk.end = Some(inner.walk.end.map_or(self.page, |end| end.min(self.page)));
        }
        if let Some(first) = contacts.first() {
            inner.walk.first.insert(self.page, first.id);
        }
        inner.enter(contacts);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut inner = self.directory.inner();
        if !self.read && inner.round == self.round {
            inner.walk.out = inner.walk.out.saturating_sub(1);
            inner.walk.back.insert(self.page);
        }
    }
}

/// What has changed is read by this conversation. Dropped before its end, another does it.
#[derive(Debug)]
pub struct CatchUp {
    directory: Directory,
    round: u32,
    /// Down to this time, seconds of amoCRM's clock.
    pub from: i64,
}

impl CatchUp {
    /// Some of it was read.
    pub fn read(&self, contacts: &[Contact]) {
        let mut inner = self.directory.inner();
        if inner.round == self.round {
            inner.enter(contacts);
        }
    }

    /// All of it was read; `newest` is the newest change.
    pub fn end(self, newest: i64, now_ms: i64) {
        let mut inner = self.directory.inner();
        if inner.round == self.round {
            inner.until = inner.until.map(|until| until.max(newest));
            inner.read_ms = Some(now_ms);
        }
    }
}

impl Drop for CatchUp {
    fn drop(&mut self) {
        let mut inner = self.directory.inner();
        if inner.round == self.round {
            inner.catching_up = false;
        }
    }
}

impl Inner {
    fn enter(&mut self, contacts: &[Contact]) {
        for contact in contacts.iter().filter(|contact| !self.own.contains(&contact.id)) {
            self.lines.extend(contact_keys(contact).into_iter().map(|key| (key, contact.id)));
        }
        if self.lines.len() > MOST {
            self.lines = BTreeSet::new();
            self.walk.too_long = true;
        }
    }

    fn forget(&mut self) {
        *self = Self { round: self.round.wrapping_add(1), used_ms: self.used_ms, ..Self::default() };
    }
}

impl Directory {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was read to its end, and not long ago. `now_ms` is the best wall time: one that jumps costs a reading.
    #[must_use]
    pub fn is_kept(&self, now_ms: i64) -> bool {
        let mut inner = self.inner();
        if !(-IDLE_MS..IDLE_MS).contains(&now_ms.saturating_sub(inner.used_ms)) && inner.until.is_some() {
            inner.forget();
        }
        inner.used_ms = now_ms;
        inner.walk.is_whole()
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self, now_ms: i64) -> Next {
        let mut inner = self.inner();
        inner.used_ms = inner.used_ms.max(now_ms);
        let Some(until) = inner.until else { return Next::Newest };
        if inner.walk.too_long {
            return Next::TooLong;
        }
        let page = match (inner.walk.back.pop_first(), inner.walk.end) {
            (Some(page), _) => Some(page),
            (None, Some(end)) if inner.walk.next > end => None,
            (None, _) => {
                inner.walk.next += 1;
                Some(inner.walk.next - 1)
            }
        };
        if let Some(page) = page {
            inner.walk.out += 1;
            return Next::Page(Claim { directory: self.clone(), round: inner.round, page, read: false });
        }
        if inner.walk.out > 0 {
            return Next::Others;
        }
        let read_within = |span: i64| inner.read_ms.is_some_and(|at| (-span..span).contains(&now_ms.saturating_sub(at)));
        if inner.catching_up {
            // Another is at it: while that is not for ever, what is there will do.
            return if read_within(FRESH_MS * 6) { Next::Whole } else { Next::Others };
        }
        if read_within(FRESH_MS) {
            return Next::Whole;
        }
        inner.catching_up = true;
        Next::Since(CatchUp { directory: self.clone(), round: inner.round, from: until.saturating_sub(OVERLAP) })
    }

    /// A walk begins, and this is the newest change that there was, seconds of amoCRM's clock; 0 where the account is empty.
    pub fn began(&self, newest: i64) {
        let mut inner = self.inner();
        inner.until = Some(inner.until.map_or(newest, |until| until.min(newest)));
    }

    /// Too much has changed: it is read anew when it is wanted again.
    pub fn forget(&self) {
        self.inner().forget();
    }

    /// This box has written a contact: the ledger knows whose it is.
    pub fn wrote(&self, contact: u64) {
        let mut inner = self.inner();
        if inner.until.is_some() {
            inner.own.insert(contact);
            if inner.own.len() > OWN {
                inner.own.pop_first();
            }
        }
    }

    /// The contacts that may be a client's.
    #[must_use]
    pub fn of(&self, client: &Client) -> BTreeSet<u64> {
        let inner = self.inner();
        client_keys(client).into_iter().flat_map(|key| inner.lines.range((key, 0)..=(key, u64::MAX)).take(ALIKE).map(|(_, id)| *id)).collect()
    }

    /// The page of the list on which a contact stood. It may have moved towards the front since.
    #[must_use]
    pub fn page_of(&self, contact: u64) -> Option<u32> {
        let inner = self.inner();
        // Pages are in the order of ids, as the list is.
        inner.walk.first.iter().take_while(|(_, first)| **first <= contact).last().map(|(page, _)| *page)
    }
}

fn key(kind: u8, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, text).hash(&mut hasher);
    hasher.finish()
}

fn id_key(id: &ClientId) -> u64 {
    key(0, id.as_str())
}

fn phone_key(phone: &Phone) -> u64 {
    key(1, &phone.e164())
}

fn email_key(email: &str) -> u64 {
    key(2, &email.trim().to_lowercase())
}

/// Whoever bears a client's id is that client, whatever else stands there.
fn contact_keys(contact: &Contact) -> Vec<u64> {
    match &contact.client {
        Some(id) => vec![id_key(id)],
        None => contact.phones().map(|phone| phone_key(&phone)).chain(contact.emails().map(email_key)).collect(),
    }
}

fn client_keys(client: &Client) -> Vec<u64> {
    let phones = client.phones.iter().map(phone_key);
    std::iter::once(id_key(&client.id)).chain(phones).chain(client.emails.iter().map(|email| email_key(email.reveal()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use super::super::schema::Schema;
    use crate::domain::Personal;

    const NOW: i64 = 1_795_339_920_000;

    fn contact(id: u64, phone: &str) -> Contact {
        let schema = Schema {
            wanted: (crate::config::StageRef::Default, crate::config::StageRef::Default),
            zone: "Europe/Moscow".into(),
            pipeline: 1,
            stage: 142,
            contact: BTreeMap::new(),
            lead: BTreeMap::new(),
            filters: false,
            read_ms: 0,
        };
        let entry = json!({"id": id, "first_name": "А", "custom_fields_values": [{"field_code": "PHONE", "values": [{"value": phone}]}]});
        Contact::read(&entry, &schema).unwrap()
    }

    fn client(phone: &str) -> Client {
        let phones = Phone::parse(phone).into_iter().collect();
        let nobody = || Personal::new("");
        Client {
            id: ClientId::from("c-1"),
            version: 1,
            category: None,
            last_name: nobody(),
            first_name: nobody(),
            middle_name: nobody(),
            birth_date: None,
            phones,
            emails: Vec::new(),
            cards: Vec::new(),
            balances: crate::domain::Balances::default(),
            relations: Vec::new(),
        }
    }

    fn page(directory: &Directory) -> Claim {
        match directory.next(NOW) {
            Next::Page(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    /// One that was read: contact 7 on the first of two pages.
    fn read() -> Directory {
        let directory = Directory::default();
        assert!(matches!(directory.next(NOW), Next::Newest));
        directory.began(500);
        page(&directory).read(&[contact(7, "8 999 123-45-67")], false);
        page(&directory).read(&[contact(300, "+7 999 123-45-68")], true);
        let Next::Since(changes) = directory.next(NOW) else { panic!("what changed meanwhile is missing") };
        assert_eq!(changes.from, 499);
        changes.end(510, NOW);
        directory
    }

    #[test]
    fn a_phone_is_found_however_it_is_spelled_and_on_its_page() {
        let directory = read();
        assert!(directory.is_kept(NOW) && matches!(directory.next(NOW), Next::Whole));
        assert_eq!(directory.of(&client("+79991234567")), BTreeSet::from([7]));
        assert_eq!((directory.page_of(7), directory.page_of(299), directory.page_of(300)), (Some(1), Some(1), Some(2)));
        assert!(directory.of(&client("+79991234569")).is_empty());
    }

    #[test]
    fn a_page_that_was_let_down_is_read_by_another_and_until_then_it_is_not_whole() {
        let directory = Directory::default();
        directory.began(500);
        let (first, second) = (page(&directory), page(&directory));
        second.read(&[contact(300, "+7 999 123-45-68")], true);
        assert!(matches!(directory.next(NOW), Next::Others) && !directory.is_kept(NOW));
        drop(first);
        let again = page(&directory);
        assert_eq!(again.page, 1);
        again.read(&[contact(7, "+7 999 123-45-67")], false);
        let Next::Since(changes) = directory.next(NOW) else { panic!("it is whole") };
        assert!(matches!(directory.next(NOW), Next::Others), "what changed is read once");
        drop(changes);
        assert!(matches!(directory.next(NOW), Next::Since(_)), "and by another, where it was let down");
    }

    #[test]
    fn it_is_read_on_after_a_while_forgotten_when_nobody_looks_and_a_page_of_before_counts_for_nothing() {
        let directory = read();
        assert!(matches!(directory.next(NOW + FRESH_MS), Next::Since(changes) if changes.from == 509));
        assert!(directory.is_kept(NOW + FRESH_MS));
        assert!(!directory.is_kept(NOW + FRESH_MS + IDLE_MS) && matches!(directory.next(NOW + IDLE_MS * 2), Next::Newest));
        directory.began(900);
        let old = page(&directory);
        directory.forget();
        directory.began(901);
        old.read(&[contact(7, "+7 999 123-45-67")], true);
        assert_eq!((page(&directory).page, directory.of(&client("+79991234567")).len()), (1, 0));
    }

    #[test]
    fn an_account_with_too_many_contacts_is_searched() {
        let directory = Directory::default();
        directory.began(500);
        for number in 0..=u64::try_from(MOST).unwrap() {
            directory.inner().lines.insert((number, number));
        }
        page(&directory).read(&[contact(7, "+7 999 123-45-67")], false);
        assert!(matches!(directory.next(NOW), Next::TooLong) && directory.inner().lines.is_empty());
    }

    #[test]
    fn what_this_box_wrote_takes_no_line() {
        let directory = read();
        directory.wrote(8);
        directory.inner().enter(&[contact(8, "+7 999 000-00-00")]);
        assert!(directory.of(&client("+79990000000")).is_empty());
    }
}
