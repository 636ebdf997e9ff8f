//! Guests are read many at once, and one by one where Lime's adapter lacks that.

use limegate::crm::amocrm::schema::Schema;
use limegate::delivery::Host;
use serde_json::{Value, json};

use crate::hand::*;

const PHONE: &str = "+7 999 123-45-67";
const MANY: &str = "POST /clients:batch";
const DAY: i64 = 86_400_000;

/// Guests `c-1` to `c-n`, whose contacts are known, with a pass each.
fn jobs(from: u32, count: u32) -> Vec<limegate::delivery::Job> {
    (from..from + count).map(|n| job(n, Some(&format!("c-{}", n % 1_000)))).collect()
}

fn known(guests: u32) -> Notes {
    let notes = Notes::with_schema();
    for n in 1..=guests {
        notes.put("amocrm.contact", &format!("c-{n}"), (7_000 + n).to_string());
    }
    notes
}

/// amoCRM takes what is written.
fn amo(asked: &Asked) -> Reply {
    match asked.path {
        "/api/v4/leads" => created("leads", &asked.body, 8_001),
        "/api/v4/contacts" => changed(&asked.body),
        path => panic!("{path}"),
    }
}

fn with(notes: &Notes, jobs: Vec<limegate::delivery::Job>, at: i64, lime: impl Fn(&Asked) -> Reply) -> Outcome {
    notes.put("amocrm.schema", "account", serde_json::to_string(&Schema { read_ms: at, ..schema() }).unwrap());
    run_at(notes, jobs, at, |asked| if asked.host == Host::Lime { lime(asked) } else { amo(asked) })
}

/// Calls to Lime: of many, of one.
fn calls(outcome: &Outcome) -> (usize, usize) {
    let lime = || outcome.calls.iter().filter(|call| call.host == Host::Lime);
    (lime().filter(|call| call.request.label == MANY).count(), lime().filter(|call| call.request.label != MANY).count())
}

fn all_arrived(outcome: &Outcome) -> bool {
    outcome.verdicts.values().all(|verdict| matches!(verdict, limegate::delivery::Verdict::Confirmed(_)))
}

#[test]
fn the_guests_of_a_batch_are_read_a_hundred_at_once() {
    let notes = known(230);
    let outcome = with(&notes, jobs(1, 230), AT, |asked| lime_of_many(asked, PHONE));
    assert!(all_arrived(&outcome));
    assert_eq!(calls(&outcome), (3, 0));
    let asked: Vec<usize> = outcome
        .calls
        .iter()
        .filter(|call| call.request.label == MANY)
        .map(|call| {
            let body: Value = serde_json::from_slice(call.request.body.as_deref().unwrap()).unwrap();
            assert_eq!(body["transactions"], json!(10));
            body["ids"].as_array().unwrap().len()
        })
        .collect();
    assert_eq!(asked, [100, 100, 30]);
    assert_eq!(outcome.sent("PATCH /contacts").len(), 230);
    assert_eq!(notes.at("lime.clients_batch", "lime"), None);
}

#[test]
fn an_adapter_that_lacks_the_read_of_many_is_asked_for_it_once_a_day() {
    for status in [404, 405] {
        let lacks = |asked: &Asked| if asked.path == "/clients:batch" { Reply::Raw(status, "") } else { lime(asked, PHONE) };
        let notes = known(3);
        let first = with(&notes, jobs(1, 3), AT, lacks);
        assert_eq!((all_arrived(&first), calls(&first)), (true, (1, 6)));
        assert_eq!(notes.at("lime.clients_batch", "lime"), Some(format!("no {AT}")));
        let soon = with(&notes, jobs(1_001, 3), AT + DAY - 1, lacks);
        assert_eq!((all_arrived(&soon), calls(&soon)), (true, (0, 6)));
        let later = with(&notes, jobs(2_001, 3), AT + DAY, lacks);
        assert_eq!((all_arrived(&later), calls(&later)), (true, (1, 6)));
        let put_back = with(&notes, jobs(3_001, 3), AT - DAY, lacks);
        assert_eq!((all_arrived(&put_back), calls(&put_back)), (true, (1, 6)), "a clock that went back costs a request");
        // Renewed.
        let renewed = with(&notes, jobs(4_001, 3), AT + DAY, |asked| lime_of_many(asked, PHONE));
        assert_eq!((all_arrived(&renewed), calls(&renewed)), (true, (1, 0)));
        assert_eq!(notes.at("lime.clients_batch", "lime"), None, "{status}");
    }
}

#[test]
fn a_wrong_address_teaches_nothing_about_the_adapter() {
    let notes = known(2);
    let outcome = with(&notes, jobs(1, 2), AT, |_| Reply::Raw(404, "<html>nginx</html>"));
    assert_eq!((outcome.reason(1), outcome.reason(2)), ("lime/unreadable", "lime/unreadable"));
    assert_eq!(notes.at("lime.clients_batch", "lime"), None);
}

#[test]
fn whom_the_answer_leaves_out_or_garbles_is_asked_for_alone_and_nobody_is_nobody() {
    let outcome = with(&known(5), jobs(1, 5), AT, |asked| match lime_of_many(asked, PHONE) {
        Reply::Json(200, mut body) if asked.path == "/clients:batch" => {
            let items = body["items"].as_array_mut().unwrap();
            items[1] = json!({"id": "c-2", "client": null, "transactions": []});
            items[2]["client"]["id"] = json!("c-1");
            items[3]["transactions"] = json!("?");
            items.push(json!({"id": "c-77", "client": null, "transactions": []}));
            items.remove(0);
            Reply::Json(200, body)
        }
        other => other,
    });
    assert!(all_arrived(&outcome));
    assert_eq!(calls(&outcome), (1, 6), "three are asked for alone");
    assert_eq!(outcome.sent("PATCH /contacts").len(), 4, "whom Lime does not know keeps their card");
}

#[test]
fn an_answer_that_nobody_can_read_costs_the_guests_nothing_and_not_now_makes_them_wait() {
    let odd = [Reply::Raw(200, "<html>"), Reply::Json(422, json!({"error": {"code": "malformed", "message": "?"}})), Reply::Json(200, json!({}))];
    for reply in odd {
        let outcome = with(&known(3), jobs(1, 3), AT, |asked| if asked.path == "/clients:batch" { reply.clone() } else { lime(asked, PHONE) });
        assert_eq!(
            (all_arrived(&outcome), calls(&outcome), outcome.learned.iter().any(|line| line.key.kind.starts_with("lime"))),
            (true, (1, 6), false)
        );
    }
    let outcome = with(&known(3), jobs(1, 3), AT, |asked| if asked.path == "/clients:batch" { Reply::Raw(503, "") } else { lime(asked, PHONE) });
    assert_eq!((outcome.reason(1), outcome.reason(3), calls(&outcome)), ("lime/503", "lime/503", (1, 0)));
}

#[test]
fn a_guest_alone_is_asked_for_alone() {
    let outcome = with(&known(1), jobs(1, 1), AT, |asked| lime_of_many(asked, PHONE));
    assert_eq!((all_arrived(&outcome), calls(&outcome)), (true, (0, 2)));
}
