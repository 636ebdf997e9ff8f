//! Contacts that go both ways: what people change at Lime and at the portal arrives on the other side, once, by queue and by time of change.

use std::time::Duration;

use limegate::clock::Clock;
use limegate::config::{ClientMoments, Hub};
use limegate::domain::Told;
use limegate::journal::{Record, Store};
use sandbox::Host;
use sandbox::faults::{Mode, Rule};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::seed;
use super::shop::{Shop, rows, usual};

/// Every moment counts.
pub fn all_moments() -> Hub {
    Hub { clients: ClientMoments { registration: true, change: true, purchase: true, pass: true }, poll: Duration::from_secs(20), ..usual() }
}

/// The same where the portal is asked seldom: for tests that last a day.
fn slow() -> Hub {
    Hub { poll: Duration::from_secs(1_800), ..all_moments() }
}

/// How the box hears of contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ear {
    Queue,
    Time,
    TimeWithoutOffsets,
}

const EARS: [Ear; 3] = [Ear::Queue, Ear::Time, Ear::TimeWithoutOffsets];

fn shop(ear: Ear, hub: Hub) -> Shop {
    println!("{ear:?}");
    let mut shop = Shop::new(seed(), hub);
    if ear == Ear::Queue {
        shop.app = Some(tempfile::tempdir().unwrap());
    }
    shop.switch("iso_filters", &json!(ear != Ear::TimeWithoutOffsets));
    shop
}

impl Shop {
    fn switch(&self, name: &str, value: &Value) {
        assert!(self.site.lock().unwrap().bitrix24.switch(name, value), "{name}");
    }

    /// A person registered at the cash desk, with a contact that shows it. Their ids.
    async fn acquaintance(&mut self, first: &str, phone: &str) -> (String, u64) {
        let body = json!({
            "last_name": "Иванова", "first_name": first, "middle_name": "Петровна", "birth_date": "1990-02-03", "phones": [phone],
            "emails": [format!("{}@example.ru", phone.trim_start_matches('+'))], "cards": [format!("{:08X}", 0xAC00_0000 + self.clock.now_ms())],
            "children": [{"first_name": "Пётр", "birth_date": "2010-05-06", "gender": "male"}],
        });
        let id = self.act(Host::Lime, "register", &body)["client_id"].as_str().unwrap().to_owned();
        self.tell(Told::Client { id: id.as_str().into(), deleted: false }).await;
        self.deliver().await;
        let contact = self.contact_of(&id);
        (id, contact)
    }

    fn contact_of(&self, client: &str) -> u64 {
        self.ledger("bitrix24.contact", client).unwrap_or_else(|| panic!("{client} has no contact")).parse().unwrap()
    }

    fn contact(&self, id: u64) -> Value {
        let answer = self.ask("crm.item.get", &json!({"entityTypeId": 3, "id": id}));
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"]["item"].clone()
    }

    fn client(&self, id: &str) -> Value {
        let mut site = self.site.lock().unwrap();
        let token = site.lime.token();
        let request = http::Request::get(format!("/gw/v1/clients/{id}")).header("authorization", format!("Bearer {token}")).body("".into()).unwrap();
        let (now, wall) = (self.clock.now_ms(), self.clock.stamp().wall_ms);
        let sandbox::What::Whole(response) = site.call(Host::Lime, now, wall, request).what else { panic!("no answer") };
        serde_json::from_slice(response.body()).unwrap()
    }

    /// Changes at Lime, as the feed of clients tells of them.
    async fn change(&mut self, client: &str, mut fields: Value) {
        fields["client_id"] = json!(client);
        self.act(Host::Lime, "change", &fields);
        self.tell(Told::Client { id: client.into(), deleted: false }).await;
    }

    /// A manager changes a contact.
    fn edit(&self, contact: u64, mut fields: Value) {
        fields["id"] = json!(contact);
        self.act(Host::Bitrix24, "contact", &fields);
    }

    /// Until the feed has looked twice, and all that it told of is done.
    async fn settle(&self) {
        sleep(self.hub.poll * 4 + Duration::from_secs(10)).await;
        self.drained().await;
    }

    /// How many changes of contacts were told.
    fn told_of_contacts(&self) -> usize {
        let told = |record: &Record| matches!(record, Record::Change(change) if matches!(change.told, Told::Contact { .. }));
        self.store.log().iter().filter(|entry| told(&entry.record)).count()
    }

    fn version(&self, client: &str) -> i64 {
        self.client(client)["version"].as_i64().unwrap()
    }
}

fn texts(value: &Value) -> Vec<&str> {
    let mut texts: Vec<&str> = value.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    texts.sort_unstable();
    texts
}

/// Values of a contact, by type.
fn multi<'a>(contact: &'a Value, kind: &str) -> Vec<&'a str> {
    let mut values: Vec<&str> =
        rows(contact, "/fm").into_iter().filter(|one| one["typeId"] == kind).filter_map(|one| one["value"].as_str()).collect();
    values.sort_unstable();
    values
}

#[tokio::test(start_paused = true)]
async fn what_a_manager_changes_arrives_at_lime_once_and_does_not_come_back() {
    for ear in EARS {
        let mut shop = shop(ear, all_moments());
        let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
        let running = shop.start(true);
        shop.settle().await;
        let (version, told) = (shop.version(&client), shop.told_of_contacts());
        assert_eq!(told, 0, "our own writes are no news");

        shop.edit(contact, json!({"name": "Аня", "secondName": "", "phones": ["8 (999) 123-45-67", "+79990001122"]}));
        shop.settle().await;
        let now = shop.client(&client);
        assert_eq!((now["first_name"].as_str(), now["middle_name"].as_str()), (Some("Аня"), None), "{ear:?}");
        assert_eq!(texts(&now["phones"]), ["+79990001122", "+79991234567"]);
        assert_eq!(now["relations"][0]["first_name"], "Пётр", "children are Lime's");
        assert_eq!((now["version"].as_i64(), shop.told_of_contacts()), (Some(version + 1), 1), "one write for one edit");

        shop.edit(contact, json!({"comments": "любит батуты"}));
        shop.settle().await;
        assert_eq!(shop.told_of_contacts(), 1, "a field that is not shared is no news");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_at_lime_arrives_at_the_portal_and_is_no_news_there() {
    for ear in EARS {
        let mut shop = shop(ear, all_moments());
        let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
        let running = shop.start(true);
        shop.settle().await;
        shop.change(&client, json!({"last_name": "Петрова", "phones": ["+79995556677"], "birth_date": "1991-03-04", "emails": []})).await;
        shop.settle().await;
        let now = shop.contact(contact);
        assert_eq!((now["lastName"].as_str(), now["birthdate"].as_str().map(|day| &day[..10])), (Some("Петрова"), Some("1991-03-04")));
        assert_eq!((multi(&now, "PHONE"), multi(&now, "EMAIL")), (vec!["+79995556677"], vec![]), "{ear:?}");
        assert_eq!(shop.told_of_contacts(), 0, "{ear:?}: our own write is no news");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_changes_costs_no_write() {
    let mut shop = shop(Ear::Time, all_moments());
    let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
    let (before, version) = (shop.contact(contact), shop.version(&client));
    shop.tell(Told::Client { id: client.as_str().into(), deleted: false }).await;
    shop.tell(Told::Client { id: client.as_str().into(), deleted: false }).await;
    assert_eq!(shop.deliver().await, 0, "Lime alone is asked");
    assert_eq!((shop.contact(contact), shop.version(&client)), (before, version));
}

#[tokio::test(start_paused = true)]
async fn both_sides_change_a_card_and_nothing_is_lost_without_a_record() {
    for ear in EARS {
        let mut shop = shop(ear, all_moments());
        let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
        let running = shop.start(true);
        shop.settle().await;
        running.stop().await;
        // While the box is away, the manager changes name and phones, and later the cashier the name and the address.
        shop.edit(contact, json!({"name": "Аня", "phones": ["+79991234567", "+79990001122"]}));
        sleep(Duration::from_secs(60)).await;
        shop.change(&client, json!({"first_name": "Анна-Мария", "emails": ["anna@new.ru"]})).await;
        let running = shop.start(true);
        shop.settle().await;
        running.stop().await;
        let (at_lime, at_portal) = (shop.client(&client), shop.contact(contact));
        assert_eq!((at_lime["first_name"].as_str(), at_portal["name"].as_str()), (Some("Анна-Мария"), Some("Анна-Мария")), "the newest wins");
        assert_eq!(texts(&at_lime["phones"]), ["+79990001122", "+79991234567"]);
        assert_eq!((multi(&at_portal, "EMAIL"), multi(&at_portal, "PHONE").len()), (vec!["anna@new.ru"], 2));
        let record = shop.ledger("hub.overruled", &client).unwrap();
        assert!(record.contains("Аня") && record.contains("first_name"), "{record}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_contact_that_people_deleted_is_forgotten_and_made_anew_at_the_next_moment() {
    for ear in [Ear::Queue, Ear::Time] {
        let mut shop = shop(ear, slow());
        let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
        let running = shop.start(true);
        shop.settle().await;
        let version = shop.version(&client);
        shop.act(Host::Bitrix24, "delete", &json!({"kind": "contact", "id": contact}));
        // Without a queue, what is gone is looked for once a day.
        if ear != Ear::Queue {
            sleep(Duration::from_secs(90_000)).await;
        }
        shop.settle().await;
        assert_eq!(shop.ledger("bitrix24.contact", &client), None, "{ear:?}");
        assert_eq!((shop.ledger("hub.link", &client), shop.version(&client)), (None, version), "Lime keeps its client as it is");
        shop.tell(Told::Client { id: client.as_str().into(), deleted: false }).await;
        shop.settle().await;
        assert_ne!(shop.contact_of(&client), contact);
        assert_eq!(shop.contact(shop.contact_of(&client))["name"], "Анна");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn contacts_that_people_merged_stay_one_clients_card() {
    for ear in [Ear::Queue, Ear::Time] {
        let mut shop = shop(ear, slow());
        let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
        // The manager has an older card of the same person, with another phone, and keeps that one.
        let older =
            shop.act(Host::Bitrix24, "contact", &json!({"name": "Анна", "lastName": "Иванова", "phones": ["+79990001122"]}))["id"].as_u64().unwrap();
        let running = shop.start(true);
        shop.settle().await;
        shop.act(Host::Bitrix24, "merge", &json!({"into": older, "from": contact}));
        if ear != Ear::Queue {
            sleep(Duration::from_secs(90_000)).await;
        }
        shop.settle().await;
        assert_eq!(shop.contact_of(&client), older, "{ear:?}");
        assert_eq!(texts(&shop.client(&client)["phones"]), ["+79990001122", "+79991234567"], "both phones are the person's");
        shop.change(&client, json!({"first_name": "Аня"})).await;
        shop.settle().await;
        assert_eq!(shop.contact(older)["name"], "Аня");
        assert_eq!(rows(&shop.state(), "/contacts").len(), 1, "nobody was made anew");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_clients_with_one_phone_keep_two_cards() {
    for ear in [Ear::Queue, Ear::Time] {
        let mut shop = shop(ear, all_moments());
        let (anna, hers) = shop.acquaintance("Анна", "+79991234567").await;
        let (ivan, his) = shop.acquaintance("Иван", "+79991234567").await;
        assert_ne!(hers, his);
        let running = shop.start(true);
        shop.settle().await;
        shop.edit(his, json!({"phones": ["+79991234567", "+79990001122"], "name": "Ваня"}));
        shop.settle().await;
        running.stop().await;
        assert_eq!((shop.client(&ivan)["first_name"].as_str(), shop.client(&anna)["first_name"].as_str()), (Some("Ваня"), Some("Анна")));
        assert_eq!((texts(&shop.client(&ivan)["phones"]).len(), texts(&shop.client(&anna)["phones"]).len()), (2, 1));
        assert_eq!(multi(&shop.contact(hers), "PHONE"), ["+79991234567"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_contact_found_by_a_shared_phone_gets_what_it_lacks_and_nobodys_name() {
    let mut shop = shop(Ear::Queue, all_moments());
    let hers =
        shop.act(Host::Bitrix24, "contact", &json!({"name": "Мама", "birthdate": "1980-01-02", "phones": ["8 999 123-45-67", "+79990001122"]}));
    let (client, contact) = shop.acquaintance("Пётр", "+79991234567").await;
    assert_eq!(hers["id"].as_u64(), Some(contact));
    let running = shop.start(true);
    shop.settle().await;
    let (lime, portal) = (shop.client(&client), shop.contact(contact));
    assert_eq!((lime["first_name"].as_str(), portal["name"].as_str()), (Some("Пётр"), Some("Мама")));
    assert_eq!((portal["lastName"].as_str(), &portal["birthdate"].as_str().unwrap()[..10]), (Some("Иванова"), "1980-01-02"));
    assert_eq!((texts(&lime["phones"]).len(), multi(&portal, "PHONE").len(), multi(&portal, "EMAIL").len()), (1, 2, 1));
    assert_eq!(portal["originId"], json!(format!("client:{client}")));
    // From then on, what people change goes across.
    shop.edit(contact, json!({"name": "Пётр Иванович"}));
    shop.settle().await;
    running.stop().await;
    assert_eq!(shop.client(&client)["first_name"], "Пётр Иванович");
}

#[tokio::test(start_paused = true)]
async fn a_new_card_of_a_client_is_shown_and_is_no_change_of_the_person() {
    let mut shop = shop(Ear::Queue, all_moments());
    let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
    let running = shop.start(true);
    shop.settle().await;
    let version = shop.version(&client);
    shop.act(Host::Lime, "card", &json!({"client_id": client, "uid": "DD00BEEF"}));
    shop.tell(Told::Client { id: client.as_str().into(), deleted: false }).await;
    shop.settle().await;
    running.stop().await;
    let now = shop.contact(contact);
    assert!(now.to_string().contains("••BEEF") && rows(&now, "/fm").len() == 2, "{now}");
    assert_eq!((shop.told_of_contacts(), shop.version(&client) - version), (0, 1), "the cashier's change and no other");
}

#[tokio::test(start_paused = true)]
async fn a_child_who_becomes_an_adult_leaves_the_parents_card_and_gets_one_of_their_own() {
    let mut shop = shop(Ear::Queue, all_moments());
    let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
    assert!(shop.contact(contact).to_string().contains("Пётр"));
    let running = shop.start(true);
    shop.settle().await;
    let child = format!("{client}-1");
    shop.change(&child, json!({"category": "adult", "phones": ["+79993334455"]})).await;
    shop.change(&client, json!({"without_child": child})).await;
    shop.settle().await;
    assert!(!shop.contact(contact).to_string().contains("Пётр"), "children are Lime's, and so is their leaving");
    let own = shop.contact_of(&child);
    assert_eq!((shop.contact(own)["name"].as_str(), multi(&shop.contact(own), "PHONE")), (Some("Пётр"), vec!["+79993334455"]));
    // From then on their card goes both ways like any other.
    shop.edit(own, json!({"phones": ["+79997778899"]}));
    shop.settle().await;
    running.stop().await;
    assert_eq!(texts(&shop.client(&child)["phones"]), ["+79997778899"]);
}

#[tokio::test(start_paused = true)]
async fn what_lime_refuses_of_an_edit_does_not_keep_the_rest_of_it() {
    let mut shop = shop(Ear::Queue, all_moments());
    let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
    let running = shop.start(true);
    shop.settle().await;
    // An address without a host, and a phone with too many digits, are nothing that Lime takes.
    shop.edit(contact, json!({"name": "Аня", "emails": ["anna@"], "phones": ["+7999123456789012345"], "lastName": "Петрова"}));
    shop.settle().await;
    let (version, now) = (shop.version(&client), shop.client(&client));
    assert_eq!((now["first_name"].as_str(), now["last_name"].as_str()), (Some("Аня"), Some("Петрова")));
    assert_eq!(texts(&now["phones"]), ["+79991234567"]);
    assert_eq!((multi(&shop.contact(contact), "EMAIL"), shop.told_of_contacts()), (vec!["anna@"], 1), "their card is left as they want it");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(shop.version(&client), version, "what was refused is not sent again and again");
    shop.edit(contact, json!({"emails": ["anna@new.ru"]}));
    shop.settle().await;
    running.stop().await;
    assert!(texts(&shop.client(&client)["emails"]).contains(&"anna@new.ru"), "a mended address arrives");
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_a_queue_is_asked_by_time_and_the_queue_is_taken_when_it_is_there() {
    let mut shop = shop(Ear::Queue, slow());
    shop.switch("offline_extended", &json!(false));
    let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
    let running = shop.start(true);
    shop.settle().await;
    shop.edit(contact, json!({"name": "Аня"}));
    shop.settle().await;
    assert_eq!(shop.client(&client)["first_name"], "Аня");
    assert_eq!(shop.ledger("bitrix24.offline", "limegate_contacts"), None, "nobody heeds our connector");
    running.stop().await;
    // The plan was extended; the gateway is started again a day later. What was changed meanwhile is not lost between the two.
    shop.switch("offline_extended", &json!(true));
    sleep(Duration::from_secs(90_000)).await;
    shop.edit(contact, json!({"name": "Анюта"}));
    let running = shop.start(true);
    shop.settle().await;
    assert_eq!(shop.client(&client)["first_name"], "Анюта");
    shop.edit(contact, json!({"name": "Анна"}));
    shop.settle().await;
    running.stop().await;
    assert_eq!(
        (shop.client(&client)["first_name"].as_str(), shop.ledger("bitrix24.offline", "limegate_contacts").as_deref()),
        (Some("Анна"), Some("1"))
    );
    assert_eq!(shop.state()["events"]["reserved"], json!(0));
}

#[tokio::test(start_paused = true)]
async fn rows_of_the_queue_outlive_lost_answers_and_power_cuts() {
    let mut shop = shop(Ear::Queue, all_moments());
    let (client, contact) = shop.acquaintance("Анна", "+79991234567").await;
    let mut running = shop.start(true);
    shop.settle().await;
    // The answer that reserves the row is lost; then the box goes off when the page is on disk and the row is not cleared yet.
    for (round, (path, mode)) in [
        ("event.offline.get", Mode::DropAfterCommit),
        ("event.offline.clear", Mode::Hang { committed: false }),
        ("event.offline.clear", Mode::DropAfterCommit),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = Rule { path: Some(path.to_owned()), count: Some(1), ..Rule::new(Host::Bitrix24, mode) };
        let now = shop.clock.now_ms();
        shop.site.lock().unwrap().faults.set(now, rule);
        shop.edit(contact, json!({"name": format!("Аня{round}")}));
        sleep(Duration::from_secs(60)).await;
        running.kill().await;
        running = shop.start(true);
        shop.settle().await;
        assert_eq!(shop.client(&client)["first_name"], format!("Аня{round}"), "{path}");
        assert_eq!(shop.state()["events"]["reserved"], json!(0), "{path}");
    }
    running.stop().await;
    assert_eq!((shop.told_of_contacts(), shop.state()["events"]["cleared_at_once"].as_u64()), (3, Some(0)), "each edit was told once");
}

#[tokio::test(start_paused = true)]
async fn both_sides_are_edited_at_random_through_faults_and_restarts_and_end_up_alike() {
    for ear in [Ear::Queue, Ear::Time] {
        let mut shop = shop(ear, all_moments());
        let mut people = Vec::new();
        for n in 0..6 {
            people.push(shop.acquaintance("Анна", &format!("+7999123450{n}")).await);
        }
        shop.misbehave(0.06);
        let mut running = shop.start(true);
        for round in 0..60 {
            let (client, contact) = people[shop.chance.usize(..people.len())].clone();
            let phone = format!("+7900{:07}", shop.chance.u32(..9_999_999));
            match shop.chance.u8(..6) {
                0 => shop.edit(contact, json!({"name": format!("Имя{round}")})),
                1 => shop.edit(contact, json!({"phones": [phone], "lastName": format!("Фамилия{round}")})),
                2 => shop.change(&client, json!({"first_name": format!("Имя{round}")})).await,
                3 => shop.change(&client, json!({"phones": [phone], "emails": [format!("a{round}@example.ru")]})).await,
                4 => shop.change(&client, json!({"middle_name": null, "birth_date": "1985-01-02"})).await,
                _ => {
                    running.kill().await;
                    running = shop.start(true);
                }
            }
            let pause = shop.chance.u64(1..40_000);
            sleep(Duration::from_millis(pause)).await;
        }
        shop.site.lock().unwrap().faults.clear();
        sleep(Duration::from_secs(900)).await;
        shop.drained().await;
        running.stop().await;
        for (client, contact) in &people {
            let (lime, portal) = (shop.client(client), shop.contact(*contact));
            for (ours, theirs) in [("first_name", "name"), ("last_name", "lastName"), ("middle_name", "secondName")] {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                assert_eq!(text(&lime[ours]), text(&portal[theirs]), "{ear:?} {client} {ours}: {lime} {portal}");
            }
            assert_eq!(texts(&lime["phones"]), multi(&portal, "PHONE"), "{ear:?} {client}");
            assert_eq!(texts(&lime["emails"]), multi(&portal, "EMAIL"), "{ear:?} {client}");
        }
        assert!(shop.store.dead(limegate::journal::Destination::Crm).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn many_changed_clients_cost_few_requests() {
    // `LIMEGATE_CLIENTS=1000` is the long form.
    let people: u32 = std::env::var("LIMEGATE_CLIENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let mut shop = shop(Ear::Queue, all_moments());
    let mut clients = Vec::new();
    for n in 0..people {
        let body = json!({"last_name": "Иванова", "first_name": "Анна", "phones": [format!("+7999{n:07}")]});
        let client = shop.act(Host::Lime, "register", &body)["client_id"].as_str().unwrap().to_owned();
        shop.tell(Told::Client { id: client.as_str().into(), deleted: false }).await;
        clients.push(client);
    }
    let running = shop.start(true);
    shop.drained().await;
    sleep(Duration::from_secs(90)).await;
    running.stop().await;
    let lime = |shop: &Shop| shop.site.lock().unwrap().log.requests(Host::Lime);

    let before = lime(&shop);
    for client in &clients {
        shop.change(client, json!({"first_name": "Аня"})).await;
    }
    let requests = shop.deliver().await;
    let per_client = requests as f64 / f64::from(people);
    println!("Lime -> portal: {requests} requests to the portal, {} to Lime for {people} changed clients", lime(&shop) - before);
    assert!(per_client <= 0.06, "{per_client}");

    let contacts: Vec<u64> = clients.iter().map(|client| shop.contact_of(client)).collect();
    for contact in &contacts {
        shop.edit(*contact, json!({"name": "Анюта"}));
    }
    let (before, at_lime) = (shop.requests(), lime(&shop));
    let running = shop.start(true);
    while shop.told_of_contacts() < contacts.len() {
        sleep(Duration::from_secs(1)).await;
    }
    shop.drained().await;
    running.stop().await;
    let (requests, at_lime) = (shop.requests() - before, lime(&shop) - at_lime);
    println!("portal -> Lime: {requests} requests to the portal, {at_lime} to Lime for {people} changed contacts");
    // Some are the feeds' own, however few have changed.
    assert!(requests as f64 <= 20.0 + f64::from(people) * 0.11, "{requests}");
    assert!(clients.iter().all(|client| shop.client(client)["first_name"] == "Анюта"));
}
