//! Gates that decide, with the gateway killed at the moments that matter and at random ones: no guest is charged twice, none let in without a record, and no
//! output stays on. The ledger outside is the turnstile's own books. `LIMEGATE_DOOR_KILLS` and `LIMEGATE_SEED` make the long form.

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Mode, Rule};
use sandbox::turnstile::Gate;
use serde_json::json;

use super::{LONG, TICKET, all_off, charged, delivered, ended, lime_is_away, open, ready, tickets, turnstile, write_offs};
use crate::common::wait_for;
use crate::park::Park;

/// Nobody goes while the test runs, and the relay is on for as long as can be.
const NEVER: Duration = Duration::from_secs(3_600);
const SLOW: &str = "budget = \"5s\", wait = \"1min\", pulse = \"10s\"";

/// As after a power cut: the next start finds the line as the last one left it.
fn kill(park: &mut Park, gate: &Gate) {
    park.venue.kill();
    park.forget_owners();
    gate.forget_owner().unwrap();
}

#[test]
fn killed_between_the_decision_and_the_passage_the_gate_shuts_and_the_guest_is_charged_once() {
    let (mut park, gate) = turnstile(&[TICKET], NEVER, SLOW);
    open(&mut park);
    lime_is_away(&park);
    park.card(TICKET);
    assert!(wait_for(LONG, || gate.books().opened == 1), "it was not opened; the log:\n{}", park.venue.log());
    kill(&mut park, &gate);
    open(&mut park);
    all_off(&gate);
    // The guest may be inside: the ticket is used, though Lime has not heard of it.
    park.card(TICKET);
    let door = ended(&park, 1);
    assert_eq!((&door["last_mode"], &door["last_code"]), (&json!("offline_snapshot"), &json!("already_used")), "{door:#}");
    park.clear_faults();
    delivered(&park, 2);
    let passes = park.journal();
    assert_eq!(passes.len(), 2, "{passes:#?}");
    assert_eq!((&passes[0]["passage"], &passes[0]["door"]["decision"]["admitted"]), (&json!("unknown"), &json!(true)), "{passes:#?}");
    assert_eq!((write_offs(&park).len(), charged(&park), gate.books().opened), (2, 1, 1));
    park.venue.output(&["verify"], 0);
}

#[test]
fn killed_while_lime_is_asked_nobody_was_let_in_and_what_lime_held_is_given_back() {
    let (mut park, gate) = turnstile(&[TICKET], Duration::from_millis(20), "policy = \"deny\", budget = \"5s\", wait = \"20s\"");
    open(&mut park);
    // Lime holds the ticket, and its answer does not come.
    park.fault(Rule { path: Some("/authorize".into()), ..Rule::new(Host::Lime, Mode::Hang { committed: true }) });
    park.card(TICKET);
    let asked = wait_for(LONG, || holds(&park, "held"));
    assert!(asked, "Lime was not asked: {:#}", park.state(Host::Lime)["holds"]);
    kill(&mut park, &gate);
    park.clear_faults();
    open(&mut park);
    delivered(&park, 1);
    let passes = park.journal();
    assert_eq!((&passes[0]["passage"], &passes[0]["door"]["decision"]["admitted"]), (&json!("not_passed"), &json!(false)), "{passes:#?}");
    assert_eq!((charged(&park), gate.books().opened), (0, 0));
    // It is good again, at once.
    park.card(TICKET);
    let door = ended(&park, 1);
    assert_eq!((&door["last_mode"], &door["last_admitted"]), (&json!("online"), &json!(true)), "{door:#}");
    delivered(&park, 2);
    assert_eq!((write_offs(&park).len(), charged(&park), gate.books().opened), (2, 1, 1));
}

fn holds(park: &Park, state: &str) -> bool {
    let lime = park.state(Host::Lime);
    lime["holds"].as_object().is_some_and(|holds| holds.len() == 1 && holds.values().all(|hold| hold["state"] == state))
}

#[test]
fn killed_after_a_person_opened_the_order_is_in_the_journal_and_the_outputs_are_off() {
    let (mut park, gate) = turnstile(&[TICKET], NEVER, SLOW);
    open(&mut park);
    park.venue.output(&["door", "open", "--point", "n1", "--reason", "a pram"], 0);
    assert_eq!(gate.books().opened, 1, "the order is answered when the device has acknowledged");
    kill(&mut park, &gate);
    open(&mut park);
    all_off(&gate);
    let journal = park.venue.output(&["journal", "export"], 0);
    assert_eq!(journal.lines().filter(|line| line.contains("opened_by_hand") && line.contains("a pram")).count(), 1, "{journal}");
    assert!(park.journal().is_empty() && write_offs(&park).is_empty());
}

/// Until when a guest is left alone.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::enum_variant_names, reason = "they read as sentences")]
enum Until {
    TheCardIsShown,
    TheDoorIsBusy,
    TheGateOpens,
    TheGuestIsThrough,
    TheVisitIsOver,
}

#[test]
fn killed_at_any_moment_each_release_has_its_record_and_each_ticket_is_charged_at_most_once() {
    let number = |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (kills, seed) = (number("LIMEGATE_DOOR_KILLS", 8), number("LIMEGATE_SEED", u64::from(std::process::id())));
    println!("kills {kills}, seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let (mut park, gate) = turnstile(&[], Duration::from_millis(20), "budget = \"1s\", wait = \"20s\"");
    let cards: Vec<String> = (0..kills).map(|card| format!("7A{card:06X}")).collect();
    tickets(&park, &cards.iter().map(String::as_str).collect::<Vec<_>>());
    open(&mut park);
    for card in &cards {
        let until = match chance.u8(..10) {
            0 => Until::TheCardIsShown,
            1..4 => Until::TheDoorIsBusy,
            4..7 => Until::TheGateOpens,
            7..9 => Until::TheGuestIsThrough,
            _ => Until::TheVisitIsOver,
        };
        let away = chance.bool();
        if away {
            lime_is_away(&park);
        }
        let before = gate.books();
        park.card(card);
        let reached = wait_for(LONG, || match until {
            Until::TheCardIsShown => true,
            Until::TheDoorIsBusy => {
                park.venue.status().is_some_and(|status| status["gates"]["n1"]["door"]["decided"].as_u64() > Some(0))
                    || gate.books().opened > before.opened
            }
            Until::TheGateOpens => gate.books().opened > before.opened,
            Until::TheGuestIsThrough => gate.books().passed > before.passed,
            Until::TheVisitIsOver => park.venue.status().is_some_and(|status| status["gates"]["n1"]["passes"] == 1),
        });
        assert!(reached, "seed {seed}, {card}: not in time: {until:?}; the log:\n{}", park.venue.log());
        kill(&mut park, &gate);
        if away {
            park.clear_faults();
        }
        park.open();
        ready(&park);
        all_off(&gate);
    }
    let passes = park.journal();
    delivered(&park, passes.len());
    let mut shown: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut admitted, mut owed) = (0, 0);
    for pass in &passes {
        *shown.entry(pass["medium"]["value"].as_str().unwrap()).or_default() += 1;
        let let_in = pass["door"]["decision"]["admitted"] == true;
        admitted += u64::from(let_in);
        owed += u64::from(let_in && pass["passage"] != "not_passed");
    }
    let books = gate.books();
    assert!(shown.values().all(|times| *times == 1), "seed {seed}: a visit became two passes: {shown:?}");
    assert!(books.opened <= admitted, "seed {seed}: released {} times, {admitted} records: {passes:#?}", books.opened);
    let write_offs = write_offs(&park);
    assert_eq!(write_offs.len(), passes.len(), "seed {seed}");
    assert!(write_offs.values().all(|one| one["applied"].as_u64() <= Some(1)), "seed {seed}: {write_offs:#?}");
    assert_eq!(charged(&park), owed, "seed {seed}: who was let in and may have gone is charged, and nobody else: {passes:#?}");
    assert!(books.passed <= owed, "seed {seed}: somebody went in for nothing: {passes:#?}");
    println!("trials {kills}, releases {}, passages {}, violations 0, seed {seed}", books.opened, books.passed);
}
