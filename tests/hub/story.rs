//! A story: what is given, what happens, what is then to be seen. Each step says in plain words what it is about; a story that fails is told as far as it
//! came, with what stands there instead.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use limegate::clock::Clock;
use limegate::domain::{Direction, GateId, Medium, MediumKind, Pass, PassageState, Personal, ServicePointId};
use limegate::journal::{Destination, Drop, LedgerKey, Record, Store};
use sandbox::Host;
use sandbox::faults::{Mode, Rule};
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::crm::{Contact, Deal};
use crate::store::MemoryStore;
use crate::venue::Venue;

/// The longest that something may take to arrive: a feed's round, a queue, the pace of a CRM. Virtual time.
const PATIENCE_S: u64 = 900;

/// How long nothing may move once everything has arrived.
const QUIET: Duration = Duration::from_secs(120);

pub struct Story {
    pub venue: Venue,
    told: Vec<String>,
}

impl Story {
    /// Before anything happens. `more`: what the venue's `[hub]` has besides.
    pub async fn begin(crm: Host, name: &str, more: &str) -> Self {
        let more = format!("{more}\n{}", DEFAULTS);
        let mut venue = Venue::ready(crm, &more).await;
        venue.start();
        let mut story = Self { venue, told: vec![format!("# {name}, {}", crm.name())] };
        // What was there before the box came is not what the stories are about.
        story.everything_has_arrived().await;
        story
    }

    fn say(&mut self, word: &str, text: &str) -> &mut Venue {
        self.told.push(format!("{word} {text}"));
        println!("{word} {text}");
        &mut self.venue
    }

    pub fn given(&mut self, text: &str) -> &mut Venue {
        self.say("Given", text)
    }

    pub fn when(&mut self, text: &str) -> &mut Venue {
        self.say("When ", text)
    }

    fn fail(&self, text: &str, found: &dyn Debug) -> ! {
        let dead = self.venue.store.dead(Destination::Crm);
        let (told, waiting) = (self.told.join("\n"), self.venue.waiting());
        let newest: Vec<_> = self.venue.store.log().into_iter().rev().take(5).collect();
        panic!("\n{told}\nThen  {text}\n\nbut there is: {found:#?}\n\nwaiting: {waiting}, given up: {dead:#?}, newest records: {newest:#?}")
    }

    /// Waits until it is so.
    async fn until<T: Debug>(&mut self, text: &str, look: impl Fn(&Venue) -> T, so: impl Fn(&T) -> bool) -> T {
        for _ in 0..PATIENCE_S {
            let seen = look(&self.venue);
            if so(&seen) {
                self.say("Then ", text);
                return seen;
            }
            sleep(Duration::from_secs(1)).await;
        }
        let seen = look(&self.venue);
        self.fail(text, &seen)
    }

    /// The client's card in the CRM.
    pub async fn then_card(&mut self, text: &str, client: &str, so: impl Fn(&Contact) -> bool) -> Contact {
        let seen = self.until(text, |venue| venue.contact_of(client), |seen| seen.as_ref().is_some_and(&so)).await;
        seen.expect("a card")
    }

    /// The client in Lime.
    pub async fn then_client(&mut self, text: &str, client: &str, so: impl Fn(&Value) -> bool) -> Value {
        self.until(text, |venue| venue.client(client), |seen| seen.as_ref().is_some_and(&so)).await.expect("a client")
    }

    /// Some deal in the CRM.
    pub async fn then_deal(&mut self, text: &str, so: impl Fn(&Deal) -> bool) -> Deal {
        let seen = self.until(text, Venue::deals, |deals| deals.iter().any(&so)).await;
        seen.into_iter().find(|deal| so(deal)).expect("a deal")
    }

    /// Some preorder in Lime.
    pub async fn then_preorder(&mut self, text: &str, so: impl Fn(&Value) -> bool) -> Value {
        let all = |venue: &Venue| venue.state(Host::Lime)["preorders"].as_object().cloned().unwrap_or_default().values().cloned().collect::<Vec<_>>();
        let seen = self.until(text, all, |all| all.iter().any(&so)).await;
        seen.into_iter().find(|preorder| so(preorder)).expect("a preorder")
    }

    /// A job ends as a dead letter of this code, and an operator who has read it drops it.
    pub async fn then_given_up(&mut self, text: &str, code: &str) {
        let of = |venue: &Venue| venue.store.dead(Destination::Crm);
        let letters = self.until(text, of, |letters| letters.iter().any(|letter| letter.reason == code)).await;
        let jobs = letters.iter().map(|letter| letter.job).collect();
        let dropped = Record::Dropped(Drop { to: Destination::Crm, jobs, reason: "read".to_owned(), stamp: self.venue.clock.stamp() });
        self.venue.store.append(vec![dropped]).await.expect("the journal");
    }

    /// Anything.
    pub async fn then<T: Debug>(&mut self, text: &str, look: impl Fn(&Venue) -> T, so: impl Fn(&T) -> bool) -> T {
        self.until(text, look, so).await
    }

    /// Something that is so, and still is after a long while.
    pub async fn then_still<T: Debug>(&mut self, text: &str, look: impl Fn(&Venue) -> T, so: impl Fn(&T) -> bool) {
        self.everything_has_arrived().await;
        sleep(QUIET).await;
        let seen = look(&self.venue);
        if !so(&seen) {
            self.fail(text, &seen);
        }
        self.say("Then ", text);
    }

    /// Every feed has been read and nothing waits: two rounds long.
    pub async fn everything_has_arrived(&mut self) {
        let mut calm = 0;
        for _ in 0..3_600 {
            sleep(Duration::from_secs(1)).await;
            calm = if self.venue.waiting() == 0 { calm + 1 } else { 0 };
            if calm > 45 {
                return;
            }
        }
        self.fail("everything has arrived", &self.venue.waiting());
    }

    pub async fn time_passes(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// What every story ends with: nothing is given up, nothing stands there twice, and nothing goes back and forth.
    pub async fn ends_well(&mut self) {
        self.everything_has_arrived().await;
        let dead = self.venue.store.dead(Destination::Crm);
        if !dead.is_empty() {
            self.fail("nothing is given up", &dead);
        }
        let doubled = self.venue.doubled();
        if !doubled.is_empty() {
            self.fail("nothing stands in the CRM twice", &doubled);
        }
        let before = self.moved();
        sleep(QUIET).await;
        let after = self.moved();
        if before != after {
            let both: Vec<_> = before.iter().filter(|one| !after.contains(one)).chain(after.iter().filter(|one| !before.contains(one))).collect();
            self.fail("nothing goes back and forth", &both);
        }
    }

    /// What would show an echo: versions and times of change.
    fn moved(&self) -> Vec<String> {
        let contacts = self.venue.contacts().into_iter().map(|contact| format!("contact {} {}", contact.id, contact.changed));
        let deals = self.venue.deals().into_iter().map(|deal| format!("deal {} {}", deal.id, deal.changed));
        let lime = self.venue.state(Host::Lime);
        let preorders = lime["preorders"].as_object().cloned().unwrap_or_default();
        let preorders = preorders.into_iter().map(|(id, preorder)| format!("preorder {id} {}", preorder["version"]));
        contacts.chain(deals).chain(preorders).collect()
    }
}

/// Bookings go both ways on both CRMs.
const DEFAULTS: &str = "[hub.preorders]\nto_crm = true\npipeline = \"Дни рождения\"";

impl Venue {
    /// As SIGTERM.
    pub async fn stop(&mut self) {
        self.end(true).await;
    }

    /// As SIGKILL, and started again.
    pub async fn power_cut(&mut self) {
        self.end(false).await;
        self.start();
    }

    /// Another box in place of this one: it knows nothing. It is yet to be started.
    pub async fn new_box(&mut self) {
        self.stop().await;
        self.store = Arc::new(MemoryStore::new());
    }

    /// Lime does not tell of these things, until it tells of everything again.
    pub fn lime_is_silent_about(&mut self, what: &str) {
        let silent = Rule { path: Some(format!("/{what}/changes")), ..Rule::new(Host::Lime, Mode::Junk { bytes: 100 }) };
        self.site.lock().unwrap().faults.set(self.clock.now_ms(), silent);
    }

    pub fn lime_tells_everything(&mut self) {
        self.site.lock().unwrap().faults.clear();
    }

    /// A client as Lime has them.
    pub fn client(&self, id: &str) -> Option<Value> {
        self.site.lock().unwrap().lime.client(id)
    }

    /// A guest passes with this card.
    pub async fn pass(&mut self, uid: &str) {
        let pass = Pass {
            id: Uuid::from_u128((1 << 100) + u128::from(self.clock.now_ms())),
            number: 0,
            gate: GateId::from("n1"),
            service_point: ServicePointId::from("sp-4"),
            direction: Direction::In,
            medium: Medium { kind: MediumKind::CardUid, value: Personal::new(uid), raw: None, format: "test".into() },
            device: None,
            passage: PassageState::Unknown,
            stamp: self.clock.stamp(),
            device_ms: None,
            test: false,
            door: None,
        };
        self.store.append(vec![Record::Pass(pass)]).await.unwrap();
    }

    pub fn ledger(&self, kind: &str, key: &str) -> Option<String> {
        self.store.ledger(&LedgerKey { kind: kind.to_owned(), key: key.to_owned() })
    }

    /// A mother with two children comes to the counter for the first time.
    pub fn family(&mut self) -> String {
        let body = json!({
            "last_name": "Соколова", "first_name": "Анна", "middle_name": "Петровна", "birth_date": "1990-02-03",
            "phones": ["+79161112233"], "emails": ["anna@example.ru"], "cards": ["A1B2C3D4"],
            "children": [
                {"first_name": "Пётр", "birth_date": "2018-05-06", "gender": "male"},
                {"first_name": "Ольга", "birth_date": "2020-01-02", "gender": "female"},
            ],
        });
        self.cashier("register", &body)["client_id"].as_str().expect("a client's id").to_owned()
    }

    /// Somebody without children.
    pub fn guest(&mut self, first: &str, last: &str, phone: &str) -> String {
        let body = json!({"last_name": last, "first_name": first, "phones": [phone]});
        self.cashier("register", &body)["client_id"].as_str().expect("a client's id").to_owned()
    }

    pub fn cashier(&mut self, action: &str, body: &Value) -> Value {
        self.act(Host::Lime, action, body)
    }

    pub fn sells(&mut self, client: Option<&str>, lines: &[(&str, u64)]) -> Value {
        let lines: Vec<Value> = lines.iter().map(|(id, quantity)| json!({"good_type_id": id, "qty": quantity})).collect();
        self.cashier("sell", &json!({"client_id": client, "lines": lines}))
    }
}
