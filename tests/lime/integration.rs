//! What the two-way integration writes to Lime, against the document and the sandbox.

use limegate::domain::{ClientId, Personal, Phone, PreorderContact, PreorderEvent, PreorderLine, PreorderStatus};
use limegate::http::{Answer, Request};
use limegate::lime::clients::{self, ClientConflict, ClientDeleted, ClientFields};
use limegate::lime::preorders::{self, PreorderConflict, PreorderDraft};
use limegate::lime::{By, Written, parse, requests};
use sandbox::Site;
use serde_json::json;

use crate::{WALL_MS, answer_schema, check, document, operation, send};

const BY: By<'_> = By { origin: "crm:amo", reference: "amo:contact:5" };

fn person() -> ClientFields {
    ClientFields {
        last_name: Some(Personal::new("Иванова")),
        first_name: Some(Personal::new("Анна")),
        middle_name: Some(Personal::default()),
        birth_date: Some(Personal::new("1990-02-03")),
        phones: Some(vec![Phone::parse("8 999 123-45-67").unwrap()]),
        emails: Some(vec![Personal::new("anna@example.com")]),
    }
}

fn birthday() -> PreorderDraft {
    let line = PreorderLine { good_type_id: "p-5".into(), name: "День рождения".into(), quantity: 1, price: 1_500_000 };
    let event = PreorderEvent {
        title: Personal::new("День рождения Пети"),
        starts_ms: WALL_MS,
        ends_ms: WALL_MS + 7_200_000,
        room: Some("Зал 2".into()),
        staff: vec!["Аниматор".into()],
    };
    PreorderDraft {
        bind: None,
        client_id: None,
        contact: Some(PreorderContact { name: Personal::new("Анна"), phone: Phone::parse("+79991234567") }),
        event: Some(event),
        lines: Some(vec![line]),
        total: Some(1_500_000),
        prepaid: Some(100_000),
        status: Some(PreorderStatus::Confirmed),
        comment: Some(Personal::new("без орехов")),
    }
}

fn put(revision: u64, draft: &PreorderDraft) -> Request {
    preorders::put("amo:deal:123", revision, draft, &jiff::tz::TimeZone::UTC)
}

/// Every request of the integration, for the test that holds each against the document.
pub fn asked() -> Vec<Request> {
    let id = ClientId::from("c-1");
    vec![
        clients::change(&id, 3, &person(), BY),
        clients::change(&id, 3, &ClientFields { phones: Some(vec![]), birth_date: Some(Personal::default()), ..ClientFields::default() }, BY),
        clients::add("amo:contact:5", &person(), BY),
        put(1, &birthday()),
        put(2, &PreorderDraft { bind: Some("po-1".into()), ..PreorderDraft::default() }),
    ]
}

/// Lime of the sandbox, which is held against the document with each answer.
struct Held {
    site: Site,
    token: String,
}

impl Held {
    fn new() -> Self {
        let site = Site::new(3);
        let token = site.lime.token().to_owned();
        Self { site, token }
    }

    fn ask(&mut self, request: &Request) -> Answer {
        let answer = send(&mut self.site, request, Some(&self.token));
        let document = document();
        let (template, operation) = operation(&document, request);
        let what = format!("{} {template} {}", request.method, answer.status);
        check(answer_schema(&document, &operation, answer.status.as_u16()), &answer.json().unwrap(), &what);
        answer
    }
}

#[test]
fn a_client_is_changed_on_the_version_that_was_read_and_not_on_another() {
    let mut lime = Held::new();
    let id = ClientId::from("c-1");
    let before = parse::client(&lime.ask(&requests::client(&id))).unwrap();
    let change = clients::change(&id, before.version, &person(), BY);
    let Written::Done(after) = clients::changed(&lime.ask(&change)) else { panic!() };
    assert_eq!((after.version, &after.middle_name), (before.version + 1, &Personal::default()));
    assert_eq!(after.phones, person().phones.unwrap());
    // The answer was lost, and the same goes again: what is there is what was to be set.
    let Written::Conflict(ClientConflict { current: Some(current) }) = clients::changed(&lime.ask(&change)) else { panic!() };
    assert_eq!(current, after);
    // What changes nothing makes no version.
    let again = clients::changed(&lime.ask(&clients::change(&id, after.version, &person(), BY)));
    assert_eq!(again, Written::Done(after));
    let unfit = ClientFields { birth_date: Some(Personal::new("yesterday")), ..ClientFields::default() };
    let refused = clients::changed(&lime.ask(&clients::change(&id, before.version + 1, &unfit, BY)));
    assert_eq!(refused, Written::Refused("lime/invalid_field".into()));
    let nobody = clients::changed(&lime.ask(&clients::change(&ClientId::from("nobody"), 1, &person(), BY)));
    assert_eq!(nobody, Written::Refused("lime/not_found".into()));
}

#[test]
fn one_external_ref_is_one_client_and_a_deleted_one_is_not_made_again() {
    let mut lime = Held::new();
    let add = clients::add("amo:contact:5", &person(), BY);
    let Written::Done(first) = clients::added(&lime.ask(&add)) else { panic!() };
    assert_eq!(clients::added(&lime.ask(&add)), Written::Done(first.clone()));
    lime.site.lime.act("delete", WALL_MS, &json!({"client_id": first.id})).unwrap();
    assert_eq!(clients::added(&lime.ask(&add)), Written::Conflict(ClientDeleted));
}

#[test]
fn a_preorder_takes_each_revision_once_and_says_what_staff_should_know() {
    let mut lime = Held::new();
    let Written::Done(first) = preorders::placed(&lime.ask(&put(3, &birthday()))) else { panic!() };
    assert_eq!((first.total, first.warnings.len()), (1_500_000, 0));
    assert_eq!(preorders::placed(&lime.ask(&put(3, &birthday()))), Written::Done(first.clone()));
    assert_eq!(preorders::placed(&lime.ask(&put(2, &birthday()))), Written::Conflict(PreorderConflict::Stale));
    let cheaper = PreorderLine { good_type_id: "p-5".into(), name: String::new(), quantity: 1, price: 5 };
    let cheap = PreorderDraft { lines: Some(vec![cheaper]), ..birthday() };
    assert_eq!(preorders::placed(&lime.ask(&put(3, &cheap))), Written::Conflict(PreorderConflict::OtherContent));
    let Written::Done(fourth) = preorders::placed(&lime.ask(&put(4, &cheap))) else { panic!() };
    let codes: Vec<(&str, Option<i64>)> = fourth.warnings.iter().map(|warning| (warning.code.as_str(), warning.instead)).collect();
    assert_eq!(codes, [("price_differs", Some(1_500_000)), ("total_differs", Some(5))]);
    assert_eq!((fourth.id, fourth.total), (first.id, 5));
    // One that Lime made gets its deal's reference, once.
    let own = lime.site.lime.act("preorder", WALL_MS, &json!({"client_id": "c-1", "lines": [{"good_type_id": "p-6", "qty": 1}]})).unwrap();
    let bind = PreorderDraft { bind: own["preorder_id"].as_str().map(str::to_owned), ..PreorderDraft::default() };
    let bound = |deal: u64| preorders::put(&format!("amo:deal:{deal}"), 1, &bind, &jiff::tz::TimeZone::UTC);
    let Written::Done(bound_one) = preorders::placed(&lime.ask(&bound(7))) else { panic!() };
    assert_eq!(Some(&bound_one.id), bind.bind.as_ref());
    assert_eq!(preorders::placed(&lime.ask(&bound(8))), Written::Conflict(PreorderConflict::Bound));
}
