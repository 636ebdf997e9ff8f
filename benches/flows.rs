//! What the integration costs: requests for each thing that one of its flows carries, both ways, on both CRMs, and how much of what a CRM allows the first
//! synchronisation uses. `cargo bench --bench flows`.
//!
//! The real feeds, runners and couriers against the sandbox's services in-process, in virtual time, over a journal in memory. The feeds' own questions are
//! counted in. `LIMEGATE_CLIENTS` sets how many clients the venue has, default 10 000, and `LIMEGATE_CHANGES` of how many things a flow is measured,
//! default 1 000.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "shared with the stories of the integration")]

#[path = "../tests/delivery/clock.rs"]
mod clock;
#[path = "../tests/hub/manager.rs"]
mod manager;
#[path = "../tests/delivery/store.rs"]
mod store;
mod table;
#[path = "../tests/hub/venue.rs"]
mod venue;

use std::process::ExitCode;
use std::time::Duration;

use limegate::domain::Told;
use limegate::journal::{Destination, Record, Store};
use sandbox::Host;
use serde_json::{Value, json};
use tokio::time::sleep;

use manager::list;
use table::{Promised, Table};
use venue::Venue;

/// Requests to a CRM for each client and product, at most.
const CHEAP: Promised = Promised::AtMost(0.1);

/// The same for a contact, which is read, and for a receipt, which is a deal with products and changes its contact's card.
const CARD: Promised = Promised::AtMost(0.15);

/// The same for a preorder, whose deal, products and contact are read, and of which is written on both sides. amoCRM takes each by itself.
const PREORDER_AMOCRM: Promised = Promised::AtMost(12.0);
const PREORDER_BITRIX24: Promised = Promised::AtMost(2.0);

/// What a first synchronisation uses of the allowed rate while there is work, at least.
const SHARE: Promised = Promised::AtLeast(0.95);

/// The longest that anything may take. Virtual time.
const PATIENCE_S: u64 = 48 * 3_600;

/// Nothing has been owed for so long: every feed has had its turn.
const CALM_S: u64 = 60;

const MORE: &str = "[hub.preorders]\nto_crm = true\npipeline = \"Дни рождения\"";

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// One CRM's part of the table.
struct Bench<'a> {
    table: &'a mut Table,
    name: &'static str,
    venue: Venue,
}

impl Bench<'_> {
    fn requests(&self) -> (u64, u64) {
        let site = self.venue.site.lock().unwrap();
        (site.log.requests(self.venue.crm), site.log.requests(Host::Lime))
    }

    /// Waits until so many jobs have been made since the record `from`, and none is owed. Seconds of virtual time while any was.
    async fn delivered(&self, from: usize, count: usize, of: impl Fn(&Told) -> bool) -> f64 {
        let mut began = None;
        for _ in 0..PATIENCE_S * 10 {
            sleep(Duration::from_millis(100)).await;
            let now = self.venue.clock.now_ms();
            let owed = self.venue.waiting();
            if owed > 0 {
                began.get_or_insert(now);
                continue;
            }
            let told = |record: &Record| matches!(record, Record::Change(change) if of(&change.told));
            if let Some(began) = began
                && self.venue.store.log().iter().skip(from).filter(|entry| told(&entry.record)).count() >= count
            {
                return (now - began) as f64 / 1e3;
            }
        }
        panic!("{}: not delivered, {} owed", self.name, self.venue.waiting());
    }

    async fn calm(&self) {
        let mut calm = 0;
        while calm < CALM_S {
            sleep(Duration::from_secs(1)).await;
            calm = if self.venue.waiting() == 0 { calm + 1 } else { 0 };
        }
    }

    /// What happens to so many things, and what it costs to carry it over. `of`: what the feeds tell of it.
    async fn flow(&mut self, what: &str, count: usize, promised: Promised, happens: impl FnOnce(&Venue), of: impl Fn(&Told) -> bool) {
        self.calm().await;
        let (from, before) = (self.venue.store.log().len(), self.requests());
        happens(&self.venue);
        self.delivered(from, count, of).await;
        let after = self.requests();
        let each = |requests: u64| requests as f64 / count as f64;
        self.table.row(&format!("{}: requests a {what}", self.name), each(after.0 - before.0), 4, promised);
        self.table.row("  requests to Lime (a remark)", each(after.1 - before.1), 4, Promised::Nothing);
    }

    /// The whole venue for the first time.
    async fn first_synchronisation(&mut self, clients: usize) {
        let (before, breaches) = (self.requests(), self.breaches());
        self.venue.start();
        let seconds = self.delivered(0, clients, |told| matches!(told, Told::Client { .. })).await;
        let after = self.requests();
        let sent = (after.0 - before.0) as f64;
        let rate = if self.venue.crm == Host::Bitrix24 { 2.0 } else { 7.0 };
        self.table.row(&format!("{}: requests a client, first synchronisation", self.name), sent / clients as f64, 4, CHEAP);
        self.table.row("  requests to Lime (a remark)", (after.1 - before.1) as f64 / clients as f64, 4, Promised::Nothing);
        self.table.row("  of the allowed rate used while there is work", sent / (rate * seconds), 3, SHARE);
        self.table.row("  clients a minute (a remark)", clients as f64 * 60.0 / seconds, 0, Promised::Nothing);
        self.table.row("  breaches of its limit", self.breaches() - breaches, 0, Promised::AtMost(0.0));
    }

    fn breaches(&self) -> f64 {
        self.venue.state(self.venue.crm)["limits"]["breaches"].as_f64().unwrap()
    }

    /// What a bench may not hide.
    async fn books(&mut self, clients: usize) {
        self.calm().await;
        let state = self.venue.state(self.venue.crm);
        let keys = if self.venue.crm == Host::Bitrix24 { ["originId", "originId"] } else { ["LIME_CLIENT_ID", "LIME_EVENT_UID"] };
        let deals = if self.venue.crm == Host::Bitrix24 { "deals_doubled" } else { "leads_doubled" };
        let many = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
        let doubled = many(&state["contacts_doubled"][keys[0]]) + many(&state[deals][keys[1]]);
        let lost = clients.saturating_sub(list(&state["contacts"]).len());
        let dead = self.venue.store.dead(Destination::Crm).len();
        self.table.row("  lost, doubled or given up, all flows", (lost + doubled + dead) as f64, 0, Promised::AtMost(0.0));
        self.table.row("  breaches of its limit, all flows", self.breaches(), 0, Promised::AtMost(0.0));
    }
}

/// Adults, six children for ten of them.
fn families(venue: &Venue, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| {
            let child = json!([{"first_name": "Пётр", "birth_date": "2018-05-06", "gender": "male"}]);
            let children = if n % 10 < 6 { child } else { json!([]) };
            let body = json!({"last_name": "Соколова", "first_name": "Анна", "phones": [format!("+7916{n:07}")], "children": children});
            venue.act(Host::Lime, "register", &body)["client_id"].as_str().unwrap().to_owned()
        })
        .collect()
}

async fn measured(table: &mut Table, crm: Host, name: &'static str) {
    let (clients, count) = (number("LIMEGATE_CLIENTS", 10_000), number("LIMEGATE_CHANGES", 1_000));
    let mut bench = Bench { table, name, venue: Venue::ready(crm, MORE).await };
    let guests = families(&bench.venue, clients);
    bench.first_synchronisation(clients).await;
    let guests = &guests[..count.min(clients)];
    let each = |venue: &Venue, action: &str, body: &dyn Fn(&String) -> Value| {
        for guest in guests {
            venue.act(Host::Lime, action, &body(guest));
        }
    };

    let renamed = |venue: &Venue| each(venue, "change", &|guest| json!({"client_id": guest, "last_name": "Орлова"}));
    bench.flow("client changed in Lime", guests.len(), CHEAP, renamed, |told| matches!(told, Told::Client { .. })).await;

    let state = bench.venue.state(crm);
    let contact = |guest: &String| {
        let ids = match crm {
            Host::Bitrix24 => &state["contacts_by_key"]["originId"][format!("client:{guest}")],
            _ => &state["contacts_by_key"]["LIME_CLIENT_ID"][guest],
        };
        ids[0].as_u64().expect("a contact")
    };
    let edited = |venue: &Venue| {
        for guest in guests {
            venue.manager_edits_contact(Some(contact(guest)), &json!({"first_name": "Мария"}));
        }
    };
    bench.flow("contact changed in the CRM", guests.len(), CARD, edited, |told| matches!(told, Told::Contact { .. })).await;

    let sold = json!([{"good_type_id": "p-3", "qty": 2}, {"good_type_id": "p-4", "qty": 1}]);
    let sale = |venue: &Venue| each(venue, "sell", &|guest| json!({"client_id": guest, "lines": sold}));
    bench.flow("receipt of two lines", guests.len(), CARD, sale, |told| matches!(told, Told::Receipt(_))).await;

    let products = |venue: &Venue| {
        for n in 0..count {
            let body = json!({"id": format!("n-{n}"), "name": format!("Товар {n}"), "kind": "goods", "price": 15_000, "parent_id": "g-2"});
            venue.act(Host::Lime, "product", &body);
        }
    };
    bench.flow("new product", count, CHEAP, products, |told| matches!(told, Told::Product(_))).await;

    let bookings = (count / 5).max(1);
    let preorder = if crm == Host::Bitrix24 { PREORDER_BITRIX24 } else { PREORDER_AMOCRM };
    let booked = |venue: &Venue| {
        for guest in &guests[..bookings] {
            let deal = venue.manager_books("День рождения", contact(guest));
            venue.manager_puts(deal, &[("p-5", 1), ("p-3", 2)]);
        }
    };
    bench.flow("deal of a booking", bookings, preorder, booked, |told| matches!(told, Told::Deal { .. })).await;

    let ordered = |venue: &Venue| {
        for guest in &guests[..bookings] {
            let body = json!({"client_id": guest, "status": "confirmed", "lines": [{"good_type_id": "p-5", "qty": 1}],
                "event": {"title": "День рождения", "starts_at": "2026-06-01T12:00:00+03:00", "ends_at": "2026-06-01T14:00:00+03:00", "room": "Зал 1", "staff": []}});
            venue.act(Host::Lime, "preorder", &body);
        }
    };
    bench.flow("preorder made in Lime", bookings, preorder, ordered, |told| matches!(told, Told::Preorder(_))).await;
    bench.books(clients).await;
    bench.venue.end(true).await;
}

fn main() -> ExitCode {
    let mut table = Table::new("benches/flows.rs");
    for (crm, name) in [(Host::Amocrm, "amoCRM"), (Host::Bitrix24, "Bitrix24")] {
        // Time begins anew for each.
        let virtual_time = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        virtual_time.block_on(measured(&mut table, crm, name));
    }
    table.end()
}
