//! Guests at gates that decide: let in by Lime, by the snapshot, by hand; refused when their ticket is used, also after a restart.

use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Mode, Rule};
use serde_json::{Value, json};

use super::{LONG, TICKET, all_off, charged, delivered, ended, lime_is_away, open, turnstile, write_offs};
use crate::common::wait_for;
use crate::park::Park;

/// Lime may take long on a busy machine; the turnstile, too.
const PATIENT: &str = "budget = \"5s\", wait = \"20s\"";
const WALKS: Duration = Duration::from_millis(20);

/// The only pass of the journal, and what Lime made of it.
fn only(park: &Park) -> (Value, Value) {
    let (passes, write_offs) = (park.journal(), write_offs(park));
    assert_eq!((passes.len(), write_offs.len()), (1, 1), "{passes:#?}\n{write_offs:#?}");
    (passes[0].clone(), write_offs.values().next().unwrap().clone())
}

#[test]
fn a_guest_whom_lime_lets_in_goes_through_and_is_charged_once_and_the_outputs_are_off_at_the_end() {
    let (mut park, gate) = turnstile(&[TICKET], WALKS, PATIENT);
    open(&mut park);
    park.card(TICKET);
    let door = ended(&park, 1);
    assert_eq!((&door["decided"], &door["last_mode"], &door["last_admitted"]), (&json!(1), &json!("online"), &json!(true)), "{door:#}");
    delivered(&park, 1);
    let (pass, write_off) = only(&park);
    assert_eq!((&pass["passage"], &pass["door"]["decision"]["mode"]), (&json!("passed"), &json!("online")), "{pass:#}");
    assert_eq!((&write_off["status"], &write_off["applied"]), (&json!("applied"), &json!(1)), "{write_off:#}");
    assert!(wait_for(LONG, || park.crm_entries().values().collect::<Vec<_>>() == [&1]), "{:?}", park.crm_entries());
    park.venue.output(&["verify"], 0);
    assert!(park.venue.stop().success());
    let books = gate.books();
    assert_eq!((books.opened, books.passed, books.on), (1, 1, 0));
}

#[test]
fn with_lime_away_a_ticket_is_good_once_and_everything_arrives_later() {
    let (mut park, gate) = turnstile(&[TICKET], WALKS, PATIENT);
    open(&mut park);
    lime_is_away(&park);
    park.card(TICKET);
    let door = ended(&park, 1);
    assert_eq!((&door["last_mode"], &door["last_admitted"]), (&json!("offline_snapshot"), &json!(true)), "{door:#}");
    park.card(TICKET);
    let door = ended(&park, 2);
    assert_eq!((&door["last_code"], &door["last_admitted"]), (&json!("already_used"), &json!(false)), "{door:#}");
    assert_eq!(gate.books().opened, 1);
    park.clear_faults();
    delivered(&park, 2);
    assert_eq!((write_offs(&park).len(), charged(&park)), (2, 1));
    park.venue.output(&["verify"], 0);
}

#[test]
fn a_ticket_that_lime_has_settled_stays_used_over_a_restart_while_lime_is_away() {
    let (mut park, gate) = turnstile(&[TICKET], WALKS, PATIENT);
    open(&mut park);
    // The snapshot on disk stays as it is: it says that the ticket is good.
    park.fault(Rule { path: Some("/entitlements".into()), ..Rule::new(Host::Lime, Mode::DropBeforeCommit) });
    park.card(TICKET);
    ended(&park, 1);
    delivered(&park, 1);
    assert!(park.venue.stop().success());
    lime_is_away(&park);
    open(&mut park);
    park.card(TICKET);
    let door = ended(&park, 1);
    assert_eq!((&door["last_mode"], &door["last_code"]), (&json!("offline_snapshot"), &json!("already_used")), "{door:#}");
    assert_eq!((gate.books().opened, charged(&park)), (1, 1));
}

#[test]
fn a_person_opens_the_gate_from_the_command_line_and_the_journal_says_who_and_why() {
    let (mut park, gate) = turnstile(&[TICKET], WALKS, PATIENT);
    open(&mut park);
    park.venue.output(&["door", "open", "--point", "n1", "--reason", "a pram"], 0);
    assert!(wait_for(LONG, || gate.books().passed == 1), "it was not opened; the log:\n{}", park.venue.log());
    let journal = park.venue.output(&["journal", "export"], 0);
    let found = journal.lines().any(|line| line.contains("opened_by_hand") && line.contains("a pram") && line.contains("\"who\""));
    assert!(found, "{journal}");
    park.venue.output(&["door", "open", "--point", "nowhere", "--reason", "a pram"], 1);
    all_off(&gate);
    assert!(write_offs(&park).is_empty() && park.journal().is_empty(), "an order is no pass");
}
