//! The first synchronisation: everybody whom Lime knows gets a contact, as fast as the portal allows and in memory that does not grow with their number.
//!
//! `LIMEGATE_CLIENTS=100000` is the long form, with 60 000 children.

use std::time::Duration;

use limegate::clock::Clock;
use limegate::journal::{Destination, Store};
use limegate::lime::feed::Kind;
use sandbox::Host;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::people::all_moments;
use super::shop::{Shop, rows};
use super::{held, seed};

/// So many parents; `LIMEGATE_CLIENTS` sets it.
fn clients(usual: u32) -> u32 {
    std::env::var("LIMEGATE_CLIENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Our side holds no more than this on top of what it holds at rest, however many there are.
const MOST_BYTES: i64 = 16 << 20;

impl Shop {
    /// Parents, three children to five of them.
    fn register_families(&self, parents: u32) {
        let wall_ms = self.clock.stamp().wall_ms;
        let mut site = self.site.lock().unwrap();
        for number in 0..parents {
            let children: Vec<Value> = (0..[2, 0, 1, 0, 0][number as usize % 5])
                .map(|child| json!({"first_name": "Пётр", "birth_date": format!("2018-0{}-11", child + 1), "gender": "male"}))
                .collect();
            let body = json!({"last_name": "Иванова", "first_name": "Анна", "birth_date": "1990-02-03", "phones": [format!("+7999{number:07}")],
                "emails": [format!("guest{number}@example.ru")], "cards": [format!("AC{number:06X}")], "children": children});
            site.lime.act("register", wall_ms, &body).unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_synchronisation_uses_what_the_portal_allows_and_its_memory_does_not_grow_with_the_clients() {
    let parents = clients(500);
    let mut shop = Shop::new(seed(), all_moments());
    shop.lime_feeds = vec![Kind::Clients];
    held::apart(|| shop.register_families(parents));
    let state = shop.site.lock().unwrap().state(Host::Lime);
    let people = state["clients"].as_u64().unwrap();
    // The portal has forgotten what setup cost.
    sleep(Duration::from_secs(60)).await;
    let (before, at_lime, from) = (shop.requests(), shop.site.lock().unwrap().log.requests(Host::Lime), shop.clock.now_ms());
    let at_rest = held::from_now();
    let running = shop.start(true);
    // Everybody has been told of once the walk is over, and delivered once nothing is left.
    while shop.store.ledger(&limegate::feed::cursor_key(Kind::Clients.name())).is_none_or(|place| place.contains("\"walk\":")) {
        sleep(Duration::from_secs(1)).await;
    }
    let read_s = (shop.clock.now_ms() - from) as f64 / 1_000.0;
    shop.drained().await;
    let seconds = (shop.clock.now_ms() - from) as f64 / 1_000.0;
    let (sent, at_lime) = (shop.requests() - before, shop.site.lock().unwrap().log.requests(Host::Lime) - at_lime);
    let held = held::most() - at_rest;
    running.stop().await;

    // A box that was just started has saved nothing up: the venue's other software may have used the portal until now.
    let used = sent as f64 / (2.0 * seconds);
    println!(
        "{people} people, {parents} parents: {sent} requests in {seconds} s, {} a person, {used} of what is allowed; {at_lime} to Lime, read within {read_s} s; \
        {held} bytes held",
        sent as f64 / people as f64
    );
    assert!(shop.store.dead(Destination::Crm).is_empty(), "{:?}", shop.store.dead(Destination::Crm));
    let state = shop.state();
    println!("{}", state["limits"]);
    assert_eq!((&state["limits"]["breaches"], &state["limits"]["operating_breaches"]), (&json!(0), &json!(0)));
    assert_eq!(state["contacts_doubled"]["originId"], json!({}));
    assert!(rows(&state, "/contacts").len() as u64 >= u64::from(parents));
    assert!(used >= 0.95, "{used} of what is allowed");
    assert!(held <= MOST_BYTES, "{held} bytes");
}
