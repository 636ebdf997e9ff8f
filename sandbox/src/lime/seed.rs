//! Clients, cards and tickets from a seed.

use super::Lime;
use super::clients::Client;
use super::write_offs::{Medium, Right};
use crate::people;

/// A medium that Lime knows: what a simulated gate can present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeededMedium {
    /// `card_uid`, `qr`.
    pub kind: String,
    /// Upper-case hex of a card, the text of a code.
    pub value: String,
    /// Whose it is; a ticket bought at a machine is nobody's.
    pub client_id: Option<String>,
}

impl Lime {
    /// Adds so many adults, with their children, cards, deposits and tickets.
    pub fn add_clients(&mut self, count: usize) {
        for _ in 0..count {
            self.seeded += 1;
            self.add_family(self.seeded, None);
        }
    }

    /// Adds so many adults, who have so many children together.
    pub fn add_families(&mut self, adults: usize, children: usize) {
        for adult in 0..adults {
            self.seeded += 1;
            // Spread evenly, whatever the two figures are.
            self.add_family(self.seeded, Some((adult + 1) * children / adults - adult * children / adults));
        }
    }

    /// A venue on its first day: nobody is known and no card is given out.
    pub fn first_day(&mut self) {
        self.clients.clear();
        self.media.clear();
        self.rights.clear();
    }

    /// Adds a medium that is nobody's, or changes it: `rights` as the entitlements have them (`id`, `kind`, `amount`, `from`, `to`, `sp`, `win`,
    /// `daily_limit`). One right may be named by several media. False when this is no such list.
    pub fn put_medium(&mut self, kind: &str, value: &str, blocked: bool, rights: &serde_json::Value) -> bool {
        let Some(list) = rights.as_array() else { return false };
        let mut ids = Vec::new();
        for one in list {
            let (Some(id), Some(amount)) = (one["id"].as_str(), one["amount"].as_i64()) else { return false };
            let mut right = match one["kind"].as_str() {
                Some("deposit") => Right::deposit(amount),
                Some("ticket") => Right::visits(amount, "Билет"),
                _ => return false,
            };
            right.limits = one.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
            self.rights.insert(id.to_owned(), right);
            ids.push(id.to_owned());
        }
        self.media.insert((kind.to_owned(), value.to_owned()), Medium { client_id: None, blocked, rights: ids });
        true
    }

    /// Takes a medium away: whoever holds the entitlements is told.
    pub fn remove_medium(&mut self, kind: &str, value: &str) {
        self.media.remove(&(kind.to_owned(), value.to_owned()));
    }

    /// All media that Lime knows, in a fixed order.
    #[must_use]
    pub fn media(&self) -> Vec<SeededMedium> {
        self.media
            .iter()
            .map(|((kind, value), medium)| SeededMedium { kind: kind.clone(), value: value.clone(), client_id: medium.client_id.clone() })
            .collect()
    }

    fn add_family(&mut self, number: usize, children: Option<usize>) {
        let person = people::person(&mut self.random, 1965..2004, None);
        let family = person.last_name.clone();
        let id = format!("c-{number}");
        let children = children.unwrap_or_else(|| self.random.usize(0..=3));
        let children: Vec<String> = (1..=children).map(|child| format!("c-{number}-{child}")).collect();
        // One deposit a family: the children's wristbands draw on it, too.
        let deposit = format!("r-{number}-d");
        self.rights.insert(deposit.clone(), Right::deposit(self.random.i64(2..=40) * 50_000));
        for child in &children {
            let kid = Client {
                person: people::person(&mut self.random, 2012..2022, Some(&family)),
                child: true,
                bonus: 0,
                children: Vec::new(),
                parents: vec![id.clone()],
                ..blank(child)
            };
            self.add_client(kid, &deposit, number);
        }
        let adult = Client {
            person,
            phones: vec![people::phone(number)],
            emails: number.is_multiple_of(3).then(|| format!("guest{number}@example.com")).into_iter().collect(),
            deposit: Some(deposit.clone()),
            bonus: self.random.i64(0..=500),
            children,
            ..blank(&id)
        };
        self.add_client(adult, &deposit, number);
        self.add_ticket(number);
    }

    fn add_client(&mut self, mut client: Client, deposit: &str, number: usize) {
        let uid = self.card_uid(number + client.id.len());
        let visits = format!("r-{}-t", client.id);
        self.rights.insert(visits.clone(), Right::visits(self.random.i64(1..=12), "Абонемент на 12 посещений"));
        let medium = Medium { client_id: Some(client.id.clone()), blocked: false, rights: vec![visits, deposit.to_owned()] };
        self.media.insert(("card_uid".to_owned(), uid.clone()), medium);
        client.cards.push((format!("card-{}", client.id), uid, "active"));
        self.clients.insert(client.id.clone(), client);
    }

    /// A ticket for one visit, bought at a machine: it belongs to nobody.
    fn add_ticket(&mut self, number: usize) {
        let right = format!("r-{number}-q");
        self.rights.insert(right.clone(), Right::visits(1, "Билет на 1 час"));
        let value = format!("LT{:06}{:08X}", number, self.random.u32(..));
        self.media.insert(("qr".to_owned(), value), Medium { client_id: None, blocked: false, rights: vec![right] });
    }

    /// Mifare with 4 or 7 bytes, or a 40-bit EM-Marine, so that every reader has something to read.
    fn card_uid(&mut self, number: usize) -> String {
        let bytes = match number % 4 {
            0 => 7,
            1 => 5,
            _ => 4,
        };
        // Not 08 in front: four such bytes are drawn anew at each presentation, and no card of a venue has them.
        (0..bytes).map(|at| format!("{:02X}", self.random.u8(if at == 0 { 0x10..=254 } else { 1..=254 }))).collect()
    }
}

pub(super) fn blank(id: &str) -> Client {
    Client {
        id: id.to_owned(),
        version: 1,
        changed_ms: super::feeds::SEEDED_MS,
        person: people::Person {
            last_name: String::new(),
            first_name: String::new(),
            middle_name: String::new(),
            female: false,
            birth_date: String::new(),
        },
        child: false,
        phones: Vec::new(),
        emails: Vec::new(),
        cards: Vec::new(),
        deposit: None,
        bonus: 0,
        mailing: true,
        created_via: "cashdesk".to_owned(),
        children: Vec::new(),
        parents: Vec::new(),
        transactions: Vec::new(),
    }
}
