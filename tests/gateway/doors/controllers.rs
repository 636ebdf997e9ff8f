//! A controller that comes over HTTP: it asks for each card, over restarts of the gateway between its question and its report; and its own list is brought
//! to hold the staff's cards.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use sandbox::Host;
use serde_json::{Value, json};

use super::{LONG, charged, delivered, lime_is_away, tickets};
use crate::common::{free_port, wait_for};
use crate::park::Park;

const PATIENT: &str = "open = { reader = true }, passage = \"reader\", budget = \"500ms\", wait = \"1min\"";

struct Controller {
    port: u16,
    times: u64,
}

impl Controller {
    /// Posts messages and gives those of the answer; nothing while nobody listens.
    fn posts(&mut self, messages: &Value) -> Option<Vec<Value>> {
        let body = json!({ "type": "Z5RWEB", "sn": 44_374, "messages": messages }).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(LONG)).unwrap();
        let head = format!(
            "POST /connect HTTP/1.1\r\nhost: box\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        answer["messages"].as_array().cloned()
    }

    /// A card is held to it: whether it is let in.
    fn asks(&mut self, card: &str) -> bool {
        self.times += 1;
        let question = json!([{ "id": self.times, "operation": "check_access", "card": card, "reader": 1 }]);
        self.posts(&question).is_some_and(|answer| answer[0]["granted"] == 1)
    }

    /// It tells what became of a card; true: it need not tell it again.
    fn tells(&mut self, card: &str, second: u64) -> bool {
        let event = |code: u64| json!({ "event": code, "card": card, "time": format!("2026-11-22 15:15:{second:02}"), "flag": 0 });
        let told = json!([{ "id": 9, "operation": "events", "events": [event(4), event(16)] }]);
        self.posts(&told).is_some_and(|answer| answer[0]["events_success"] == 2)
    }
}

fn controlled(cards: &[&str]) -> (Park, Controller) {
    let (park, port) = (Park::new(Host::Amocrm), free_port());
    let text = std::fs::read_to_string(park.venue.config_file()).unwrap();
    let (before, after) = text.split_once("reader = \"ironlogic-z2\"\n").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let gate =
        format!("reader = \"web-json\"\nserial_number = 44374\nevidence = \"passage\"\nuid_bytes = 5\nmode = \"decide\"\ndoor = {{ {PATIENT} }}\n");
    std::fs::write(park.venue.config_file(), format!("{before}{gate}{after}[web_json]\nlisten = \"127.0.0.1:{port}\"\n")).unwrap();
    tickets(&park, cards);
    park.set_up_crm();
    (park, Controller { port, times: 0 })
}

/// Starts the gateway; the controller comes, and there is something to decide by.
fn open(park: &mut Park, controller: &mut Controller) {
    park.venue.start();
    let up = wait_for(LONG, || {
        let came = controller.posts(&json!([{ "id": 1, "operation": "ping", "active": 1, "mode": 0 }])).is_some();
        came && park.venue.status().is_some_and(|status| status["entitlements"]["fresh"] == true && status["gates"]["n1"]["link"] == "up")
    });
    assert!(up, "the controller is not answered; the log:\n{}", park.venue.log());
}

fn kill(park: &mut Park) {
    park.venue.kill();
    park.forget_owners();
}

/// The passes of a card: passage, and whether the box decided.
fn passes(park: &Park, card: &str) -> Vec<(String, bool)> {
    let of = park.journal().into_iter().filter(|pass| pass["medium"]["value"] == card);
    of.map(|pass| (pass["passage"].as_str().unwrap().to_owned(), pass["door"]["decision"]["admitted"] == true)).collect()
}

#[test]
fn a_restart_between_the_answer_and_the_report_makes_no_second_pass() {
    // The controller waits two seconds for an answer: on a machine that is too busy for that, the next card has another try.
    let cards: Vec<String> = (0..8).map(|card| format!("B5009EC1{card:02X}")).collect();
    let (mut park, mut controller) = controlled(&cards.iter().map(String::as_str).collect::<Vec<_>>());
    let mut left = cards.iter();
    let mut let_in = |park: &Park, controller: &mut Controller| -> String {
        let card = left.find(|card| controller.asks(&format!("00{card}")));
        card.cloned().unwrap_or_else(|| panic!("no card is let in; the log:\n{}", park.venue.log()))
    };
    open(&mut park, &mut controller);
    lime_is_away(&park);

    // Killed before the report: the visit is closed at the start, and the report is of that visit, however often it is told.
    let first = let_in(&park, &mut controller);
    kill(&mut park);
    open(&mut park, &mut controller);
    assert!(controller.tells(&format!("00{first}"), 1) && controller.tells(&format!("00{first}"), 1));
    assert_eq!(passes(&park, &first), [("unknown".to_owned(), true)]);

    // Killed after the report, before its answer came: told again, it is known.
    let second = let_in(&park, &mut controller);
    assert!(controller.tells(&format!("00{second}"), 2));
    assert!(wait_for(LONG, || passes(&park, &second).len() == 1), "the visit is not closed:\n{}", park.venue.log());
    kill(&mut park);
    open(&mut park, &mut controller);
    assert!(controller.tells(&format!("00{second}"), 2));
    assert_eq!(passes(&park, &second), [("passed".to_owned(), true)]);

    // What it lets in by itself is a pass of its own.
    assert!(controller.tells("00000000BEEF", 3));
    assert_eq!(passes(&park, "000000BEEF"), [("passed".to_owned(), false)]);
    park.clear_faults();
    let all = park.journal().len();
    delivered(&park, all);
    let owed = park.journal().iter().filter(|pass| pass["door"]["decision"]["admitted"] == true && pass["passage"] != "not_passed").count();
    assert_eq!(charged(&park), owed as u64);
    park.venue.output(&["verify"], 0);
}

/// Answers commands for its list until there are none; gives what they were.
fn obeys(controller: &mut Controller, list: &mut BTreeSet<String>) -> Vec<String> {
    let mut operations = Vec::new();
    let mut said = json!([{ "id": 1, "operation": "ping", "active": 1, "mode": 0 }]);
    loop {
        let answer = controller.posts(&said).expect("the gateway runs");
        let Some(command) = answer.first() else { return operations };
        let cards = command["cards"].as_array().into_iter().flatten().map(|card| card["card"].as_str().unwrap().to_owned());
        match command["operation"].as_str().unwrap() {
            "clear_cards" => list.clear(),
            "add_cards" => list.extend(cards),
            "del_cards" => cards.for_each(|card| {
                list.remove(&card);
            }),
            other => panic!("{other}"),
        }
        operations.push(command["operation"].as_str().unwrap().to_owned());
        said = json!([{ "id": command["id"], "success": 1 }]);
    }
}

#[test]
fn the_staffs_cards_are_in_the_controllers_own_list_and_a_change_of_the_file_changes_only_that() {
    const GONE: &str = "00DEC0DE0001";
    let (mut park, mut controller) = controlled(&[]);
    let text = std::fs::read_to_string(park.venue.config_file()).unwrap();
    std::fs::write(park.venue.config_file(), text + "staff_cards = { file = \"staff\" }\n").unwrap();
    park.venue.secret("staff", &format!("{GONE} # the old shift\n00DEC0DE0002\n"));
    let mut list = BTreeSet::from(["0000000000FF".to_owned()]);

    open(&mut park, &mut controller);
    // The first answer's command was lost with the wait; it is told again.
    assert!(wait_for(LONG, || {
        obeys(&mut controller, &mut list);
        list.len() == 2 && list.contains(GONE)
    }));
    kill(&mut park);

    park.venue.secret("staff", "00DEC0DE0002\n00DEC0DE0003\n");
    open(&mut park, &mut controller);
    let mut told = Vec::new();
    assert!(wait_for(LONG, || {
        told.extend(obeys(&mut controller, &mut list));
        list == BTreeSet::from(["00DEC0DE0002", "00DEC0DE0003"].map(str::to_owned))
    }));
    assert!(!told.contains(&"clear_cards".to_owned()), "only the difference: {told:?}");
    let said = park.venue.log() + &park.venue.status().expect("it runs").to_string();
    assert!(!said.contains("DEC0DE"), "a number of a card is in log or status");
}
