//! Two-way contacts in a conversation: the cards of a client at Lime and at the portal are merged, and each side is written what it lacks.
//!
//! Lime is written first, for it alone can say that its card has changed meanwhile; the two are merged anew then. What is sent is in the ledger before it
//! is sent ([`Link`]), so that neither a lost answer nor a feed that tells of our own write makes it somebody's change.
//!
//! Never: a write of a side that the config keeps from being written; an edit that gives way without a record.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::book::Halt;
use super::contacts::{Guest, Lime};
use super::person;
use super::talk::{Talk, contact_key, holder_key};
use crate::crm::card;
use crate::domain::{ClientId, Fate, Side, Told};
use crate::flow::contacts::{Card, Keyer, Link, Merged, Read, Rules, lime_card, merge, overruled_key};
use crate::journal::Learned;
use crate::lime::clients::{self, ClientConflict};
use crate::lime::{By, Written};

/// Merges of one pair of cards in one conversation. Each further one means that somebody changed the client at Lime in that very moment.
const MERGES: usize = 3;

/// What the feeds of Lime's call a change that came from here.
const ORIGIN: &str = "crm:b24";

/// Two cards brought together, and not yet parted.
#[derive(Clone, Debug)]
pub struct Meeting {
    link: Link,
    /// What each side lacks, as long as it is not written.
    pub merged: Merged,
    /// The link, as it is, is in the ledger.
    saved: bool,
    /// Some state of it went into the ledger in this conversation.
    begun: bool,
    /// The contact was found by a phone or address, which members of a family share: nobody's name is taken for the other's. It gets what it lacks, and
    /// what differs is left in peace until somebody changes it.
    pub adopting: bool,
    /// Lime refused several fields at once: it gets them one by one, so that one bad value keeps no other from arriving.
    singly: bool,
}

impl Meeting {
    /// Lime is not owed this any more.
    fn written(&mut self, fields: &Card) {
        self.merged.to_lime.retain(|field, _| !fields.contains_key(field));
        self.saved = false;
    }
}

impl Talk {
    /// The keys of marks and the rules, where contacts go both ways at all.
    pub(super) fn both_ways(&self) -> Option<(&Keyer, Rules)> {
        let hub = self.settings.hub.as_ref().filter(|hub| hub.contacts.to_lime || hub.contacts.to_crm)?;
        Some((self.settings.keyer.as_ref()?, Rules::new(&hub.contacts)))
    }

    /// Takes in what was told of contacts before anybody is looked for: those that went, and those that we did not know.
    pub(super) fn note_contacts(&mut self) {
        let told = self.errands.iter().filter(|errand| self.book.is_open(errand.seq)).filter_map(|errand| match &errand.change.told {
            Told::Contact { id, client: Some(client), fate } => Some((id.parse::<u64>().ok()?, client.clone(), fate.clone())),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        // A client who is gone from Lime leaves nothing of them here; their contact is people's to keep or delete.
        for errand in &self.errands {
            if let Told::Client { id, deleted: true } = &errand.change.told {
                self.book.learn(Link::ledger_key(id), None);
                self.book.learn(overruled_key(id), None);
            }
        }
        for (id, client, fate) in told {
            let known = self.contact(&client);
            match fate {
                Fate::There if known.is_none() => self.found(&client, id, false),
                // Another contact that bears the client is left alone: the client has one.
                Fate::There => {}
                Fate::Deleted if known == Some(id) => self.lose(&client),
                Fate::MergedInto(survivor) if known == Some(id) => {
                    self.lose(&client);
                    if let Ok(survivor) = survivor.parse() {
                        self.found(&client, survivor, true);
                    }
                }
                Fate::Deleted | Fate::MergedInto(_) => self.book.learn(holder_key(id), None),
            }
        }
    }

    /// The contact is not there any more: nothing that we kept of it holds.
    fn lose(&mut self, client: &ClientId) {
        self.unlearn_contact(client);
        if let Some(guest) = self.guests.get_mut(client) {
            *guest = Guest { lime: std::mem::take(&mut guest.lime), ..Guest::default() };
        }
    }

    /// Forgets all that the ledger keeps of a client's contact.
    pub(super) fn unlearn_contact(&mut self, client: &ClientId) {
        if let Some(id) = self.contact(client) {
            self.book.learn(holder_key(id), None);
        }
        for key in [contact_key(client), super::talk::card_key(client), Link::ledger_key(client)] {
            self.book.learn(key, None);
        }
    }

    /// The two cards have to be compared: they never were, Lime's was changed, or the feed says that the portal's was.
    pub(super) fn has_to_meet(&self, client: &ClientId, guest: &Guest) -> bool {
        let Lime::Known(known, _) = &guest.lime else { return false };
        let told = || self.fresh_errands(client).any(|errand| matches!(errand.change.told, Told::Contact { fate: Fate::There, .. }));
        let lime_is_new = || guest.before.as_ref().is_none_or(|before| before.person != card::person_hash(known));
        guest.link.is_none() || told() || lime_is_new()
    }

    /// Merges the cards of clients whose contacts were just read, and writes to Lime what it lacks.
    ///
    /// # Errors
    /// When the batch cannot go on.
    pub(super) async fn meet(&mut self, items: &BTreeMap<ClientId, Value>) -> Result<(), Halt> {
        let mut to_lime = Vec::new();
        for (client, item) in items {
            if self.merge(client, item) {
                to_lime.push(client);
            }
        }
        for some in to_lime.chunks(super::batch::LIMIT) {
            let mut first = self.unsaved(some.iter().copied());
            for client in some {
                self.write_to_lime(client, items.get(*client).unwrap_or(&Value::Null), std::mem::take(&mut first)).await?;
            }
        }
        Ok(())
    }

    /// Merges; true where Lime has to be written.
    fn merge(&mut self, client: &ClientId, item: &Value) -> bool {
        let Some((keyer, rules)) = self.both_ways() else { return false };
        let Some(guest) = self.guests.get(client) else { return false };
        let (Lime::Known(known, _), Some(id)) = (&guest.lime, guest.contact) else { return false };
        let changed = self.fresh_errands(client).filter(|errand| matches!(errand.change.told, Told::Client { .. }));
        let lime = Read { card: lime_card(known), changed_ms: changed.map(|errand| errand.change.changed_ms).max().unwrap_or(0) };
        let crm = Read { card: person::card(item), changed_ms: person::changed_ms(item) };
        let before = guest.meeting.as_ref().map(|meeting| &meeting.link).or(guest.link.as_ref());
        // A link with another contact says nothing of this one.
        let mut link = before.filter(|link| link.contact == id.to_string()).cloned().unwrap_or_else(|| Link::new(id.to_string()));
        let adopting = guest.adopted && before.is_none();
        let mut merged = if adopting {
            link = Link::alike(id.to_string(), keyer, client, &lime.card);
            link.arrived(keyer, client, Side::Crm, &crm.card);
            Merged::default()
        } else {
            merge(&mut link, keyer, client, &lime, &crm, &rules)
        };
        let asks = !merged.to_lime.is_empty();
        if let Some(guest) = self.guests.get_mut(client) {
            let earlier = guest.meeting.take();
            let begun = earlier.as_ref().is_some_and(|earlier| earlier.begun);
            // What gave way in an earlier merge of this conversation gave way all the same.
            if let Some(earlier) = earlier {
                merged.overruled.splice(0..0, earlier.merged.overruled);
            }
            guest.meeting = Some(Meeting { link, merged, saved: false, begun, adopting, singly: false });
        }
        asks
    }

    /// Lines of the ledger that have to be there before these clients' cards are written. They count as written from then on.
    pub(super) fn unsaved<'a>(&mut self, clients: impl Iterator<Item = &'a ClientId>) -> Vec<Learned> {
        let mut lines = Vec::new();
        for client in clients {
            let Some(guest) = self.guests.get_mut(client) else { continue };
            let Some(meeting) = guest.meeting.as_mut().filter(|meeting| !meeting.saved) else { continue };
            (meeting.saved, meeting.begun) = (true, true);
            lines.extend(meeting.merged.learned(client, &meeting.link, self.kept.get(&overruled_key(client)), self.now_ms));
        }
        lines
    }

    async fn write_to_lime(&mut self, client: &ClientId, item: &Value, mut first: Vec<Learned>) -> Result<(), Halt> {
        let mut merges = 1;
        while let Some((version, contact, wanted)) = self.owed_to_lime(client) {
            let reference = format!("b24:contact:{contact}");
            let request = clients::change(client, version, &person::to_lime(&wanted), By { origin: ORIGIN, reference: &reference });
            first.extend(self.unsaved(std::iter::once(client)));
            let answer = self.portal.write_lime(request, std::mem::take(&mut first)).await?;
            let Some(keyer) = self.settings.keyer.clone() else { return Ok(()) };
            let Some(guest) = self.guests.get_mut(client) else { return Ok(()) };
            let (Some(meeting), Lime::Known(known, _)) = (&mut guest.meeting, &mut guest.lime) else { return Ok(()) };
            match clients::changed(&answer) {
                Written::Done(now) => {
                    meeting.link.arrived(&keyer, client, Side::Lime, &person::of_those_sent(lime_card(&now), &wanted));
                    meeting.written(&wanted);
                    let Learned { key, value } = clients::wrote(&now);
                    *known = now;
                    self.book.learn(key, value);
                }
                Written::Conflict(ClientConflict { current: Some(now) }) if merges < MERGES => {
                    merges += 1;
                    meeting.link.failed(&keyer, client, Side::Lime, &wanted);
                    *known = now;
                    self.merge(client, item);
                }
                Written::Conflict(_) => self.decide_guest(client, &Halt::new("lime/conflict")),
                Written::Refused(_) if wanted.len() > 1 => meeting.singly = true,
                // It stays as it is on either side until somebody changes something: the contact's card shows what Lime did not take.
                Written::Refused(_) => {
                    meeting.link.refused(Side::Lime, &wanted);
                    meeting.written(&wanted);
                }
                Written::Later { code, after } => self.decide_guest(client, &Halt { reason: code, after }),
            }
        }
        Ok(())
    }

    /// The version to write on, the contact, and what is to be written; none when nothing is, or the client's jobs are to be tried again.
    fn owed_to_lime(&self, client: &ClientId) -> Option<(i64, u64, Card)> {
        let guest = self.guests.get(client)?;
        let meeting = guest.meeting.as_ref().filter(|meeting| !meeting.merged.to_lime.is_empty())?;
        let Lime::Known(known, _) = &guest.lime else { return None };
        let most = if meeting.singly { 1 } else { usize::MAX };
        let wanted = meeting.merged.to_lime.iter().take(most).map(|(field, held)| (*field, held.clone())).collect();
        (!self.open_jobs_of(client).is_empty()).then(|| (known.version, guest.contact.unwrap_or(0), wanted))
    }

    /// The portal has taken what it lacked, and shows this.
    pub(super) fn arrived_at_portal(&mut self, client: &ClientId, item: &Value) {
        let Some(keyer) = self.settings.keyer.clone() else { return };
        let Some(meeting) = self.guests.get_mut(client).and_then(|guest| guest.meeting.as_mut()) else { return };
        let sent = std::mem::take(&mut meeting.merged.to_crm);
        let shown = person::card(item);
        let shown = if meeting.adopting { shown } else { person::of_those_sent(shown, &sent) };
        meeting.link.arrived(&keyer, client, Side::Crm, &shown);
        (meeting.saved, meeting.adopting) = (false, false);
    }

    /// The portal does not take it: a mistyped address, most often. True where there was something not to take.
    pub(super) fn refused_by_portal(&mut self, client: &ClientId) -> bool {
        let Some(meeting) = self.guests.get_mut(client).and_then(|guest| guest.meeting.as_mut()) else { return false };
        let sent = std::mem::take(&mut meeting.merged.to_crm);
        meeting.link.refused(Side::Crm, &sent);
        meeting.saved = false;
        !sent.is_empty()
    }

    /// Keeps what came of the meetings of clients whose jobs are not to be tried again.
    pub(super) fn part(&mut self, clients: &[ClientId]) {
        for client in clients {
            if self.open_jobs_of(client).is_empty() {
                continue;
            }
            // The ledger has an earlier state of it, if any was sent; where it would learn what it has, nothing is written.
            let begun = self.guests.get(client).and_then(|guest| guest.meeting.as_ref()).is_some_and(|meeting| meeting.begun);
            for Learned { key, value } in self.unsaved(std::iter::once(client)) {
                if begun || self.kept.get(&key) != value.as_deref() {
                    self.book.learn(key, value);
                }
            }
        }
    }

    /// A contact was just made from the client's card: they are alike.
    pub(super) fn are_alike(&mut self, client: &ClientId, id: u64, item: Option<&Value>) {
        let (Some((keyer, _)), Some(guest)) = (self.both_ways(), self.guests.get(client)) else { return };
        let Lime::Known(known, _) = &guest.lime else { return };
        let mut link = Link::alike(id.to_string(), keyer, client, &lime_card(known));
        if let Some(item) = item {
            link.arrived(keyer, client, Side::Crm, &person::card(item));
        }
        let line = link.to_json();
        self.book.learn(Link::ledger_key(client), Some(line));
    }
}

/// What `auth_connector` our changes of contacts carry, so that the offline events of the portal pass them over.
pub const CONNECTOR: &str = "limegate_contacts";

/// Marks a command as ours, where the portal heeds that.
pub fn as_ours(params: &mut Value, heeded: bool) {
    if let (true, Value::Object(params)) = (heeded, params) {
        params.insert("auth_connector".to_owned(), json!(CONNECTOR));
    }
}
