//! Lime's feeds against the sandbox and the document: what is told, once, whatever happens on the way.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use limegate::delivery::Ledger;
use limegate::domain::{ClientId, Personal, ReceiptKind, Told};
use limegate::feed::{Feed, Heard, News, Page, Turn};
use limegate::flow::deals::{Groups, Leaf, point_key};
use limegate::http::{Answer, Request};
use limegate::journal::LedgerKey;
use limegate::lime::clients::{self, ClientFields};
use limegate::lime::feed::{Kind, LimeFeed, Place, Points, Wish};
use limegate::lime::{By, Written};
use sandbox::Site;
use serde_json::{Value, json};

use crate::{WALL_MS, answer, answer_schema, check, document, operation, send, send_at};

#[derive(Default)]
struct Lines(HashMap<LedgerKey, String>);

impl Ledger for Lines {
    fn get(&self, key: &LedgerKey) -> Option<String> {
        self.0.get(key).cloned()
    }
}

impl Lines {
    fn keep(&mut self, page: &Page) {
        for line in &page.learned {
            match &line.value {
                Some(value) => self.0.insert(line.key.clone(), value.clone()),
                None => self.0.remove(&line.key),
            };
        }
    }

    fn place(&self, kind: Kind) -> Place {
        Place::parse(&self.get(&limegate::feed::cursor_key(kind.name())).unwrap()).unwrap()
    }
}

/// A box with one feed, and Lime.
struct World {
    site: Site,
    token: String,
    lines: Lines,
    feed: LimeFeed,
    kind: Kind,
    heard: Vec<News>,
    now_ms: i64,
    /// The process is killed before every so many pages are on disk, and once they are.
    kills: bool,
    answered: Vec<(Request, Answer)>,
}

impl World {
    fn new(kind: Kind) -> Self {
        let site = Site::new(3);
        let token = site.lime.token().to_owned();
        let (lines, feed) = (Lines::default(), LimeFeed::new(kind));
        Self { site, token, lines, feed, kind, heard: Vec::new(), now_ms: WALL_MS, kills: false, answered: Vec::new() }
    }

    /// Reads until the feed rests: what was told meanwhile.
    fn read(&mut self) -> Vec<News> {
        self.heard.clear();
        let (mut answer, mut kept, mut keeps) = (None, false, 0);
        loop {
            self.now_ms += 100;
            let heard = match (&answer, kept) {
                (Some(answer), _) => Heard::Answer(answer),
                (None, true) => Heard::Kept,
                (None, false) => Heard::Begin,
            };
            match self.feed.next(heard, &self.lines, self.now_ms) {
                Turn::Ask(request) => {
                    assert!(request.path.starts_with(&format!("/{}/changes?", self.kind.word())));
                    let found = send_at(&mut self.site, &request, Some(&self.token), self.now_ms);
                    self.answered.push((request, found.clone()));
                    (answer, kept) = (Some(found), false);
                }
                Turn::Keep(page) => {
                    keeps += 1;
                    (answer, kept) = (None, true);
                    if self.kills && keeps % 3 == 1 {
                        // Nothing of it is on disk.
                        (self.feed, kept) = (LimeFeed::new(self.kind), false);
                        continue;
                    }
                    self.lines.keep(&page);
                    self.heard.extend(page.news);
                    if self.kills && keeps % 3 == 2 {
                        (self.feed, kept) = (LimeFeed::new(self.kind), false);
                    }
                }
                Turn::Rest(_) => return std::mem::take(&mut self.heard),
                Turn::Trouble(code, text, _) => panic!("{code}: {text}"),
            }
        }
    }

    fn act(&mut self, action: &str, body: &Value) -> Value {
        self.site.lime.act(action, self.now_ms, body).unwrap()
    }

    fn sell(&mut self, client: &str) -> String {
        let sold = self.act("sell", &json!({"client_id": client, "lines": [{"good_type_id": "p-1", "qty": 2}]}));
        sold["transaction_id"].as_str().unwrap().to_owned()
    }
}

fn ids(news: &[News]) -> Vec<String> {
    let id = |one: &News| match &one.told {
        Told::Client { id, .. } => id.0.clone(),
        Told::Receipt(receipt) => receipt.id.clone(),
        Told::Product(product) => product.id.clone(),
        Told::ProductGone(id) => id.clone(),
        Told::Preorder(preorder) => preorder.id.clone(),
        other => panic!("{other:?}"),
    };
    news.iter().map(id).collect()
}

#[test]
fn at_first_everybody_is_told_of_once_as_history_and_then_what_happens() {
    for kills in [false, true] {
        let mut world = World::new(Kind::Clients);
        world.site.lime.add_clients(1_000);
        world.kills = kills;
        let clients = world.site.lime.state()["clients"].as_u64().unwrap();
        let told = world.read();
        let mut once = ids(&told);
        once.sort();
        once.dedup();
        assert_eq!((told.len() as u64, once.len() as u64), (clients, clients));
        assert!(told.iter().all(|one| one.back_fill));
        let walked = world.lines.place(Kind::Clients).walked.unwrap();
        assert_eq!((walked.told, walked.passed), (clients, 0));
        world.act("change", &json!({"client_id": "c-7", "first_name": "Анна"}));
        world.act("delete", &json!({"client_id": "c-8"}));
        let told = world.read();
        let deleted = Told::Client { id: ClientId::from("c-8"), deleted: true };
        assert!(told.iter().all(|one| !one.back_fill && one.origin.as_deref() == Some("lime")));
        assert!(ids(&told).contains(&"c-7".to_owned()) && told.iter().any(|one| one.told == deleted));
        assert_eq!(world.read(), []);
    }
}

#[test]
fn receipts_begin_now_and_each_is_told_once_over_kills() {
    let mut world = World::new(Kind::Transactions);
    world.sell("c-1");
    world.now_ms += 60_000;
    assert_eq!(world.read(), []);
    world.kills = true;
    assert!(world.site.lime.switch("feed_repeats", &json!(true)));
    let (mut sold, mut told) = (Vec::new(), Vec::new());
    for at in 0..30 {
        sold.push(world.sell(&format!("c-{}", at + 1)));
        sold.push(world.sell("c-1"));
        told.extend(world.read());
    }
    assert_eq!(ids(&told), sold);
    let Told::Receipt(receipt) = &told[0].told else { panic!() };
    assert_eq!((receipt.kind, receipt.total.minor, receipt.lines[0].quantity, receipt.payments.len()), (ReceiptKind::Sale, 100_000, 2, 1));
    assert!(told.iter().all(|one| !one.back_fill));
}

#[test]
fn history_comes_for_whoever_asks_and_only_as_far_back_as_asked() {
    let mut world = World::new(Kind::Transactions);
    let old = world.sell("c-1");
    world.now_ms += 86_400_000;
    let since_ms = world.now_ms;
    let recent = world.sell("c-2");
    assert_eq!(world.read(), []);
    let wish = |since_ms| Page { news: vec![], learned: vec![Wish { id: "w".into(), since_ms }.learned("lime.transactions")] };
    world.lines.keep(&wish(Some(since_ms)));
    world.now_ms += 60_000;
    world.kills = true;
    let told = world.read();
    assert_eq!(ids(&told), [recent.as_str()]);
    assert!(told.iter().all(|one| one.back_fill));
    world.lines.keep(&wish(None));
    assert_eq!(ids(&world.read()), [old, recent]);
    assert_eq!(world.read(), [], "a wish is heard once");
    assert_eq!(world.lines.place(Kind::Transactions).walked.unwrap().id, "w");
}

#[test]
fn a_lost_cursor_loses_no_receipt_and_brings_no_old_one_back() {
    let mut world = World::new(Kind::Transactions);
    let ancient = world.sell("c-1");
    world.now_ms += 3 * 86_400_000;
    world.read();
    let before = world.sell("c-1");
    assert_eq!(ids(&world.read()), [before.as_str()]);
    assert!(world.site.lime.switch("expire_cursors", &json!(true)));
    world.now_ms += 60_000;
    let missed = world.sell("c-2");
    let told = world.read();
    assert!(!ids(&told).contains(&ancient));
    let news: Vec<News> = told.into_iter().filter(|one| !one.back_fill).collect();
    assert!(ids(&news).contains(&missed));
    // What was told before has the same business key, so that it is the same fact.
    assert!(ids(&news).iter().all(|id| *id == missed || *id == before));
    let next = world.sell("c-3");
    assert_eq!(ids(&world.read()), [next]);
}

#[test]
fn our_own_write_is_no_news_and_what_others_do_is() {
    let mut world = World::new(Kind::Clients);
    world.read();
    let id = ClientId::from("c-1");
    let by = By { origin: "crm:amo", reference: "amo:contact:5" };
    let fields = |name: &str| ClientFields { middle_name: Some(Personal::new(name)), ..ClientFields::default() };
    let write = |world: &mut World, version, name: &str| {
        let request = clients::change(&id, version, &fields(name), by);
        let Written::Done(client) = clients::changed(&send(&mut world.site, &request, Some(&world.token.clone()))) else { panic!() };
        client
    };
    let ours = write(&mut world, 1, "Петровна");
    world.lines.keep(&Page { news: vec![], learned: vec![clients::wrote(&ours)] });
    assert!(!ids(&world.read()).contains(&id.0));
    // Another's write of the same kind, and ours with a lost answer: only a version that we know to be ours is.
    write(&mut world, ours.version, "Ивановна");
    assert!(ids(&world.read()).contains(&id.0));
    world.act("change", &json!({"client_id": "c-1", "first_name": "Анна"}));
    assert!(ids(&world.read()).contains(&id.0));
}

#[test]
fn the_products_tree_is_in_the_ledger_and_nothing_is_told_twice() {
    let mut world = World::new(Kind::Products);
    assert_eq!(world.read().len(), 12);
    let leaf = |world: &World, id: &str| (|key: &LedgerKey| world.lines.get(key)).leaf(id).unwrap();
    assert!((|key: &LedgerKey| world.lines.get(key)).is_read(), "rules by group need not wait");
    assert_eq!(leaf(&world, "p-3"), Leaf { parent: Some("g-2".into()), name: "Пицца «Маргарита»".into(), version: 1 });
    world.act("product", &json!({"id": "p-3", "parent_id": "g-3", "price": 70_000}));
    assert_eq!(ids(&world.read()), ["p-3"]);
    assert_eq!(leaf(&world, "p-3").parent.as_deref(), Some("g-3"));
    assert!(world.site.lime.switch("expire_cursors", &json!(true)));
    assert_eq!(world.read(), []);
}

#[test]
fn the_names_of_places_are_in_the_ledger_and_are_written_when_they_change() {
    let (mut points, mut lines, mut site) = (Points, Lines::default(), Site::new(3));
    let token = site.lime.token().to_owned();
    let key = point_key(&"sp-1".into());
    for first in [true, false] {
        let Turn::Ask(request) = points.next(Heard::Begin, &lines, WALL_MS) else { panic!() };
        let found = send(&mut site, &request, Some(&token));
        match points.next(Heard::Answer(&found), &lines, WALL_MS) {
            Turn::Keep(page) if first => lines.keep(&page),
            Turn::Rest(_) if !first => {}
            other => panic!("{other:?}"),
        }
        assert!(lines.get(&key).is_some_and(|name| !name.is_empty()));
    }
}

#[test]
fn preorders_are_told_whole() {
    let mut world = World::new(Kind::Preorders);
    world.read();
    world.act("preorder", &json!({"client_id": "c-1", "lines": [{"good_type_id": "p-5", "qty": 1}], "comment": "без орехов"}));
    let told = world.read();
    let Told::Preorder(preorder) = &told[0].told else { panic!() };
    assert_eq!((preorder.total.minor, preorder.lines[0].name.as_str(), told[0].version.as_str()), (1_500_000, "День рождения «Стандарт»", "1"));
}

#[test]
fn every_page_is_as_the_document_has_it() {
    let document = document();
    for (kind, schema) in [(Kind::Clients, "Client"), (Kind::Transactions, "Transaction"), (Kind::Products, "Product"), (Kind::Preorders, "Preorder")]
    {
        let mut world = World::new(kind);
        world.read();
        world.sell("c-1");
        world.act("preorder", &json!({"client_id": "c-1", "lines": [{"good_type_id": "p-5", "qty": 1}]}));
        world.act("product", &json!({"id": "p-3", "price": 70_000}));
        world.read();
        assert!(world.site.lime.switch("expire_cursors", &json!(true)));
        world.read();
        let mut objects = 0;
        for (request, found) in &world.answered {
            let (template, operation) = operation(&document, request);
            assert_eq!((format!("GET {template}").as_str(), &operation["tags"]), (request.label, &json!(["used"])));
            let value = found.json().unwrap();
            check(answer_schema(&document, &operation, found.status.as_u16()), &value, kind.name());
            // Each validator takes a while to make: the first items say enough.
            for item in value["items"].as_array().into_iter().flatten().take(2) {
                objects += 1;
                check(&json!({"$ref": format!("#/components/schemas/{schema}")}), &item["object"], schema);
            }
        }
        assert!(objects > 0, "{schema}");
        assert!(world.answered.iter().any(|(_, found)| found.status == http::StatusCode::GONE));
    }
}

/// A feed that was asked something, told this answer: what it wants next.
fn told(kind: Kind, feed: &mut LimeFeed, lines: &Lines, body: &Value) -> Turn {
    assert!(matches!(feed.next(Heard::Begin, lines, WALL_MS), Turn::Ask(_)), "{kind:?}");
    feed.next(Heard::Answer(&answer(200, body)), lines, WALL_MS + 100)
}

#[test]
fn an_item_that_cannot_be_read_costs_no_other_and_a_delivered_pass_is_no_purchase() {
    let receipt = |id: &str, kind: &str, write_off: Value| {
        let object = json!({"id": id, "type": kind, "occurred_at": "2026-05-01T12:00:00+05:00", "write_off_id": write_off,
            "lines": [{"name": "Билет", "amount": 500}, 7]});
        json!({"op": "upsert", "version": 1, "changed_at": "2036-05-01T12:00:00Z", "origin": "lime", "object": object})
    };
    let items = json!([
        receipt("t-1", "write_off", json!("01972f3a-0000-7000-8000-000000000001")), receipt("t-2", "write_off", Value::Null),
        {"op": "upsert", "version": 1, "object": {"id": "t-\u{7}3", "type": "sale", "occurred_at": "yesterday"}}, 5,
        receipt("t-4", "lottery", Value::Null), {"op": "merge", "object": {"id": "t-5"}},
    ]);
    let mut feed = LimeFeed::new(Kind::Transactions);
    let Turn::Keep(page) = told(Kind::Transactions, &mut feed, &Lines::default(), &json!({"items": items, "next_cursor": "n"})) else { panic!() };
    assert_eq!(ids(&page.news), ["t-2", "t-4"]);
    let Told::Receipt(odd) = &page.news[1].told else { panic!() };
    assert_eq!((odd.kind, odd.total.minor), (ReceiptKind::Other, 500));
    assert_eq!(feed.passed_over(), ["t-3", "-", "t-5"]);
    assert!(feed.passed_over().is_empty());
}

#[test]
fn a_lime_that_keeps_nobody_waiting_is_not_asked_all_the_time() {
    let mut feed = LimeFeed::new(Kind::Products);
    let mut lines = Lines::default();
    let empty = json!({"items": [], "next_cursor": "n", "has_more": false});
    let Turn::Keep(page) = told(Kind::Products, &mut feed, &lines, &empty) else { panic!() };
    lines.keep(&page);
    assert_eq!(feed.next(Heard::Kept, &lines, WALL_MS), Turn::Rest(Duration::ZERO));
    let Turn::Ask(request) = feed.next(Heard::Begin, &lines, WALL_MS) else { panic!() };
    assert!(request.path.ends_with("wait_s=20") && request.timeout > Duration::from_secs(40));
    let Turn::Rest(pause) = feed.next(Heard::Answer(&answer(200, &empty)), &lines, WALL_MS + 200) else { panic!() };
    assert!(pause > Duration::from_secs(15));
    // Whoever asks first after a failure finds out quickly whether Lime is back, and asks for less.
    assert!(matches!(feed.next(Heard::Begin, &lines, WALL_MS), Turn::Ask(_)));
    let Turn::Ask(request) = feed.next(Heard::Begin, &lines, WALL_MS) else { panic!() };
    assert!(request.path.ends_with("limit=250&wait_s=0"), "{}", request.path);
}

#[test]
fn each_trouble_has_a_name() {
    let lines = Lines::default();
    let trouble = |status: u16, body: &Value| {
        let mut feed = LimeFeed::new(Kind::Products);
        assert!(matches!(feed.next(Heard::Begin, &lines, WALL_MS), Turn::Ask(_)));
        match feed.next(Heard::Answer(&answer(status, body)), &lines, WALL_MS) {
            Turn::Trouble(code, _, pause) => (code, pause),
            other => panic!("{other:?}"),
        }
    };
    let found: BTreeMap<u16, &str> = [404, 405, 410, 409, 503].map(|status| (status, trouble(status, &json!({})).0)).into();
    let expected =
        [(404, "lime/no_feed"), (405, "lime/no_feed"), (410, "lime/cursor"), (409, "lime/later"), (503, "lime/later")].into_iter().collect();
    assert_eq!(found, expected);
    assert_eq!(trouble(200, &json!([])).0, "lime/unreadable");
    assert_eq!(trouble(200, &json!({"items": [], "next_cursor": "", "has_more": true})).0, "lime/cursor");
}
