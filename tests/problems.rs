//! Problems and what `status` and `verify` show of them: pure, from snapshots made by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;

use limegate::books::{DestinationSum, Sums};
use limegate::cli::render::{status_table, verify_line};
use limegate::config::Language;
use limegate::status::{
    ClockState, Code, DestinationState, EntitlementsState, FeedState, GateState, Link, Memory, MqttState, Problem, Severity, Snapshot, Texts,
    problems, worst,
};

const MINUTE: u64 = 60_000;

fn gate(passes: u64, last: u64) -> GateState {
    GateState {
        title: "Турникет".into(),
        reader: "ironlogic-z2".into(),
        port: "/dev/serial/by-id/usb-x".into(),
        link: Link::Up,
        last_byte_boot_ms: Some(last),
        last_pass_boot_ms: Some(last),
        passes,
        ..GateState::default()
    }
}

fn destination(kind: &str) -> DestinationState {
    DestinationState { kind: kind.into(), link: Link::Up, delivered: 1_284, tokens: 7.0, ..DestinationState::default() }
}

/// A box on which all is well, six days and four hours after its start.
fn fine() -> Snapshot {
    let boot_ms = (6 * 24 + 4) * 60 * MINUTE + 5_000;
    Snapshot {
        v: 1,
        site: "vysota-north".into(),
        title: "Батутный парк «Высота», вход Север".into(),
        version: "0.1.0".into(),
        session: 3,
        boot_ms,
        at: "2026-11-22T14:32:05+05:00".into(),
        started_boot_ms: 5_000,
        gates: [("n1".to_owned(), gate(1_284, boot_ms - 12_000)), ("n2".to_owned(), gate(640, boot_ms - 30_000))].into(),
        destinations: [("lime".to_owned(), destination("lime")), ("crm".to_owned(), destination("amocrm"))].into(),
        passes: 1_284,
        clock: ClockState { synced: true, anchored: true },
        mqtt: MqttState { configured: true, link: Link::Up, ..MqttState::default() },
        ..Snapshot::default()
    }
}

fn found(now: &Snapshot) -> Vec<Problem> {
    let mut memory = Memory::new();
    memory.observe(now);
    problems(now, &memory)
}

fn codes(list: &[Problem]) -> Vec<&str> {
    list.iter().map(|one| one.code.as_str()).collect()
}

fn down(error: &str, text: &str, since: u64) -> impl Fn(&mut DestinationState) {
    let (error, text) = (error.to_owned(), text.to_owned());
    move |state| {
        state.link = Link::Down;
        state.error = Some(error.clone());
        state.error_text = Some(text.clone());
        state.down_since_boot_ms = Some(since);
        state.waiting = 37;
        state.oldest_ms = Some(6 * MINUTE);
    }
}

#[test]
fn a_box_on_which_all_is_well_has_no_problem() {
    assert_eq!(found(&fine()), []);
    assert_eq!(worst(&found(&fine())), None);
}

#[test]
fn every_code_is_documented_in_both_languages() {
    let doc = include_str!("../docs/problems.md");
    let sections: Vec<&str> = doc.split("\n### ").collect();
    for code in Code::ALL {
        let section = sections.iter().find(|section| section.starts_with(&format!("{}\n", code.as_str())));
        let section = section.unwrap_or_else(|| panic!("{} has no section", code.as_str()));
        assert!(section.contains("**") && section.matches('*').count() >= 6, "{}: Russian in bold, English in italics", code.as_str());
    }
    assert_eq!(sections.len() - 1, Code::ALL.len(), "a section without a code");
    assert_eq!(Code::ALL.iter().collect::<BTreeSet<_>>().len(), Code::ALL.len());
}

#[test]
fn trouble_at_a_destination_is_named_by_its_cause() {
    for (error, text, code) in [
        ("auth", "the authorisation is refused", "T-110"),
        ("setup/access", "", "T-111"),
        ("setup/pipeline", "", "T-112"),
        ("setup/stage", "", "T-112"),
        ("setup/field", "", "T-113"),
        ("setup/portal", "", "T-114"),
        ("not_sent", "POST /leads: error trying to connect: dns error: failed to lookup address information", "T-301"),
        ("not_sent", "POST /leads: tcp connect error: Connection refused", "T-302"),
        ("not_sent", "POST /leads: invalid peer certificate: Expired", "T-303"),
        ("http/429", "", "T-304"),
        ("http/503", "", "T-305"),
        ("unknown", "operation timed out", "T-306"),
    ] {
        let mut now = fine();
        let since = now.boot_ms - MINUTE;
        down(error, text, since)(now.destinations.get_mut("crm").unwrap());
        let list = found(&now);
        assert_eq!(codes(&list), [code], "{error}");
        assert!(list[0].visible && list[0].destination.as_deref() == Some("crm"));
        assert!(list[0].text.en.contains("37") && list[0].text.ru.contains("37"), "{:?}", list[0].text);
        assert_eq!(list[0].since.as_deref(), Some("2026-11-22T14:31:05+05:00"));
    }
}

#[test]
fn a_feed_that_cannot_be_read_is_named_once_it_has_lasted_and_what_it_passed_over_is_a_note() {
    let mut now = fine();
    let reads = FeedState { link: Link::Up, last_read_boot_ms: Some(now.boot_ms - 3_000), told: 12, ..FeedState::default() };
    let stands = FeedState {
        link: Link::Down,
        error: Some("lime/no_feed".into()),
        error_text: Some("this Lime does not offer the feed".into()),
        down_since_boot_ms: Some(now.boot_ms - 4 * MINUTE),
        ..FeedState::default()
    };
    now.feeds = [("lime.clients".to_owned(), FeedState { passed_over: 3, ..reads }), ("lime.preorders".to_owned(), stands)].into();
    let list = found(&now);
    assert_eq!(codes(&list), ["T-501", "T-502"]);
    assert!(!list[0].visible && list[1].visible && list[1].severity == Severity::Grey);
    now.boot_ms += MINUTE;
    let list = found(&now);
    assert!(list[0].visible && list[0].destination.as_deref() == Some("lime.preorders") && list[0].text.ru.contains("lime/no_feed"));
    let shown = status_table(&now, &list, Language::En, 100);
    assert!(shown.contains("lime.clients") && shown.contains("STANDS STILL (lime/no_feed)"), "{shown}");
}

#[test]
fn a_blip_is_not_shown_and_what_lasts_is() {
    let mut now = fine();
    let since = now.boot_ms;
    down("not_sent", "Connection refused", since)(now.destinations.get_mut("crm").unwrap());
    let mut memory = Memory::new();
    memory.observe(&now);
    assert!(!problems(&now, &memory)[0].visible);
    now.boot_ms += 14_000;
    memory.observe(&now);
    assert!(!problems(&now, &memory)[0].visible);
    now.boot_ms += 1_000;
    memory.observe(&now);
    assert!(problems(&now, &memory)[0].visible);
}

#[test]
fn memory_says_since_when_and_forgets_what_is_over() {
    let mut now = fine();
    let mut memory = Memory::new();
    now.gates.get_mut("n2").unwrap().link = Link::Down;
    memory.observe(&now);
    let first = problems(&now, &memory)[0].since.clone();
    now.boot_ms += MINUTE;
    now.at = "2026-11-22T14:33:05+05:00".into();
    memory.observe(&now);
    assert_eq!(problems(&now, &memory)[0].since, first);
    now.gates.get_mut("n2").unwrap().link = Link::Up;
    memory.observe(&now);
    assert_eq!(problems(&now, &memory), []);
    now.gates.get_mut("n2").unwrap().link = Link::Down;
    memory.observe(&now);
    assert_ne!(problems(&now, &memory)[0].since, first);
}

#[test]
fn no_network_hides_what_follows_from_it() {
    let mut now = fine();
    let since = now.boot_ms - MINUTE;
    now.destinations.values_mut().for_each(down("not_sent", "dns error", since));
    now.mqtt.link = Link::Down;
    now.mqtt.error = Some("connection refused".into());
    now.boot_ms += 20_000;
    let mut memory = Memory::new();
    memory.observe(&now);
    now.boot_ms += 20_000;
    memory.observe(&now);
    let list = problems(&now, &memory);
    let shown: Vec<_> = list.iter().filter(|one| one.visible).map(|one| one.code.as_str()).collect();
    assert_eq!(shown, ["T-300"]);
    assert_eq!(list.len(), 4, "{:?}", codes(&list));
    assert!(list.iter().filter(|one| one.code != "T-300").all(|one| one.depends_on == ["T-300"]));
    // With one of them up, the others speak for themselves.
    now.mqtt.link = Link::Up;
    memory.observe(&now);
    let list = problems(&now, &memory);
    assert_eq!(list.iter().filter(|one| one.visible).count(), 2, "{:?}", codes(&list));
}

#[test]
fn a_dead_broker_hides_the_gates_that_read_through_it() {
    let mut now = fine();
    now.mqtt.link = Link::Down;
    let validator = GateState { reader: "mqtt-json".into(), port: "validators/1".into(), link: Link::Down, ..GateState::default() };
    now.gates.insert("n3".into(), validator);
    let mut memory = Memory::new();
    memory.observe(&now);
    now.boot_ms += MINUTE;
    let list = problems(&now, &memory);
    assert_eq!(codes(&list), ["G-101", "T-401"]);
    assert_eq!(list[0].depends_on, ["T-401:mqtt"]);
    assert!(!list[0].visible && list[1].visible);
}

#[test]
fn a_gate_is_silent_only_beside_busy_neighbours() {
    let mut now = fine();
    let mut memory = Memory::new();
    memory.observe(&now);
    // Nobody passes anywhere: it is night, and nothing is wrong.
    now.boot_ms += 8 * 60 * MINUTE;
    memory.observe(&now);
    assert_eq!(problems(&now, &memory), []);
    // The neighbour takes 22 passes, of which 10 would have fallen to n2 at its usual share: too few to judge by.
    now.gates.insert("n1".into(), gate(1_306, now.boot_ms));
    memory.observe(&now);
    assert_eq!(problems(&now, &memory), []);
    now.gates.insert("n1".into(), gate(1_340, now.boot_ms));
    memory.observe(&now);
    let list = problems(&now, &memory);
    assert_eq!(codes(&list), ["G-201"]);
    assert_eq!((list[0].gate.as_deref(), list[0].severity), (Some("n2"), Severity::Amber));
    // One byte from it, and all is well.
    now.gates.get_mut("n2").unwrap().last_byte_boot_ms = Some(now.boot_ms);
    memory.observe(&now);
    assert_eq!(problems(&now, &memory), []);
}

/// Time passes, with a snapshot every now and then, but none at its end.
fn later(now: &mut Snapshot, memory: &mut Memory, ms: u64) {
    let until = now.boot_ms + ms;
    while now.boot_ms + 30_000 < until {
        now.boot_ms += 30_000;
        memory.observe(now);
    }
    now.boot_ms = until;
}

/// A pass comes to a gate every so often.
fn busy(now: &mut Snapshot, memory: &mut Memory, id: &str, passes: u64, every_ms: u64) {
    memory.observe(now);
    for _ in 0..passes {
        later(now, memory, every_ms);
        let boot_ms = now.boot_ms;
        let gate = now.gates.get_mut(id).unwrap();
        gate.passes += 1;
        gate.last_byte_boot_ms = Some(boot_ms);
        memory.observe(now);
    }
}

/// What is said of `n2` once it has been silent for so long while `n1` went on.
fn silence(now: &mut Snapshot, memory: &mut Memory, ms: u64) -> Texts {
    later(now, memory, ms);
    let boot_ms = now.boot_ms;
    let neighbour = now.gates.get_mut("n1").unwrap();
    neighbour.passes += 64;
    neighbour.last_byte_boot_ms = Some(boot_ms);
    memory.observe(now);
    let list = problems(now, memory);
    assert_eq!(codes(&list), ["G-201"]);
    let plain = |text: &str| text.replace('\u{a0}', " ");
    Texts { ru: plain(&list[0].text.ru), en: plain(&list[0].text.en) }
}

#[test]
fn a_silent_gate_is_compared_with_what_it_did_itself() {
    let (mut now, mut memory) = (fine(), Memory::new());
    // Of a gate that took no pass since the start nothing is known.
    memory.observe(&now);
    let text = silence(&mut now, &mut memory, 2 * MINUTE);
    assert!(!text.en.contains("normally") && !text.ru.contains("обычно"), "{text:?}");
    // It comes back, and is as busy as it was at this hour.
    busy(&mut now, &mut memory, "n2", 300, 4_000);
    let text = silence(&mut now, &mut memory, 2 * MINUTE);
    assert_eq!(text.en, "gate n2: no bytes for 2 min (normally a pass every 4 s), while the other gates took 64 passes.");
    assert_eq!(text.ru, "вход n2: нет данных 2 мин (обычно проход раз в 4 с), а на соседних входах за это время 64 прохода.");
    // However long it stays silent, it is compared with the time before.
    let text = silence(&mut now, &mut memory, 90 * MINUTE);
    assert!(text.en.contains("(normally a pass every 4 s)"), "{text:?}");
    // A quieter hour counts once it has filled the window; a lone byte at night says nothing.
    busy(&mut now, &mut memory, "n2", 40, MINUTE);
    busy(&mut now, &mut memory, "n2", 2, 6 * 60 * MINUTE);
    let text = silence(&mut now, &mut memory, 10 * MINUTE);
    assert!(text.en.contains("(normally a pass every 1 min)") && text.ru.contains("(обычно проход раз в 1 мин)"), "{text:?}");
}

#[test]
fn damaged_frames_are_judged_by_the_last_minutes_and_not_by_the_past() {
    let mut now = fine();
    now.gates.get_mut("n1").unwrap().bad_frames = 0;
    let mut memory = Memory::new();
    memory.observe(&now);
    now.boot_ms += MINUTE;
    now.gates.get_mut("n1").unwrap().bad_frames = 900;
    let baseline = now.clone();
    memory.observe(&now);
    assert_eq!(codes(&problems(&now, &memory)), ["G-202"], "{:?}", baseline.gates);
    for _ in 0..4 {
        now.boot_ms += 11 * MINUTE;
        memory.observe(&now);
    }
    assert_eq!(problems(&now, &memory), []);
    // From here on bytes come, and none of them is a pass.
    now.gates.get_mut("n1").unwrap().bad_frames += 6;
    memory.observe(&now);
    assert_eq!(codes(&problems(&now, &memory)), ["G-103"]);
}

#[test]
fn a_full_journal_counts_what_is_not_delivered_and_not_what_is_kept() {
    let mut now = fine();
    now.journal.budget_bytes = 1_000;
    now.journal.bytes = 990;
    now.journal.first_seq = 1;
    now.journal.last_seq = 1_000;
    assert_eq!(found(&now), [], "all of it is delivered and may go");
    for (oldest, expected) in [(900, None), (200, None), (150, Some("J-102")), (1, Some("J-103"))] {
        now.journal.oldest_unsettled = Some(oldest);
        assert_eq!(codes(&found(&now)).first().copied(), expected, "{oldest}");
    }
    now.journal.failing = Some("no space left".into());
    assert_eq!(codes(&found(&now)), ["J-101", "J-103"]);
    assert_eq!(worst(&found(&now)), Some(Severity::Red));
}

#[test]
fn an_entitlement_snapshot_that_nobody_can_be_let_in_by_is_a_problem_once_it_lasts() {
    let mut now = fine();
    now.entitlements = Some(EntitlementsState { version: Some("s-1".into()), age_ms: Some(13 * 60 * MINUTE), ..EntitlementsState::default() });
    let mut memory = Memory::new();
    memory.observe(&now);
    assert!(!problems(&now, &memory)[0].visible, "a start loads it first");
    now.boot_ms += MINUTE;
    memory.observe(&now);
    let old = problems(&now, &memory);
    assert_eq!((codes(&old), old[0].visible, old[0].severity), (vec!["D-203"], true, Severity::Amber));
    assert!(old[0].text.en.contains("13\u{a0}h") && old[0].text.ru.contains("13\u{a0}ч"), "{:?}", old[0].text);
    now.entitlements = Some(EntitlementsState { version: Some("s-1".into()), ..EntitlementsState::default() });
    let unsure = found(&now);
    assert!(codes(&unsure) == ["D-203"] && unsure[0].text.en.contains("cannot be said"), "{unsure:?}");
    now.entitlements = Some(EntitlementsState::default());
    let none = found(&now);
    assert!(codes(&none) == ["D-203"] && none[0].text.en.contains("no entitlement snapshot"), "{none:?}");
    now.entitlements = Some(EntitlementsState { fresh: true, ..EntitlementsState::default() });
    assert_eq!(found(&now), []);
}

#[test]
fn the_worst_effect_on_a_guest_comes_first() {
    let mut now = fine();
    now.gates.get_mut("n2").unwrap().link = Link::Down;
    now.journal.quarantined = 2;
    now.journal.index = "made again from the log: damaged".into();
    now.clock = ClockState::default();
    now.at = "1970-01-01T00:05:00+00:00".into();
    now.config_error = Some(Texts { ru: "1 ошибка".into(), en: "1 mistake".into() });
    now.destinations.get_mut("lime").unwrap().refused = 3;
    let list = found(&now);
    assert_eq!(codes(&list), ["G-101", "J-104", "P-102", "T-201", "C-000", "J-105", "P-101"]);
    let severities: Vec<_> = list.iter().map(|one| one.severity).collect();
    assert!(severities.is_sorted());
    assert_eq!(list[6].depends_on, ["P-102"]);
}

#[test]
fn extreme_numbers_are_survived() {
    let mut now = fine();
    for gate in now.gates.values_mut() {
        gate.passes = u64::MAX / 2;
        gate.bad_frames = u64::MAX;
        gate.last_byte_boot_ms = Some(u64::MAX);
    }
    now.journal.bytes = u64::MAX;
    now.journal.last_seq = u64::MAX;
    now.journal.oldest_unsettled = Some(u64::MAX);
    now.at = "not a time".into();
    now.boot_ms = u64::MAX;
    now.destinations.values_mut().for_each(down("http/503", "", u64::MAX));
    let list = found(&now);
    for language in [Language::Ru, Language::En] {
        assert!(!status_table(&now, &list, language, 0).is_empty());
    }
}

/// The picture of an outage in both languages, as the documentation shows it.
fn outage() -> (Snapshot, Vec<Problem>) {
    let mut now = fine();
    let since = now.boot_ms - 6 * MINUTE;
    let crm = now.destinations.get_mut("crm").unwrap();
    down("not_sent", "dns error", since)(crm);
    crm.delivered = 1_247;
    now.journal.bytes = 16 << 20;
    now.journal.budget_bytes = 2 << 30;
    now.journal.segments = 2;
    now.gates.get_mut("n2").unwrap().last_pass_boot_ms = None;
    let mut memory = Memory::new();
    busy(&mut now, &mut memory, "n2", 30, 4_000);
    memory.observe(&now);
    now.boot_ms += 2 * MINUTE;
    now.at = "2026-11-22T14:36:05+05:00".into();
    let neighbour = now.gates.get_mut("n1").unwrap();
    neighbour.passes += 64;
    neighbour.last_byte_boot_ms = Some(now.boot_ms - 12_000);
    neighbour.last_pass_boot_ms = neighbour.last_byte_boot_ms;
    memory.observe(&now);
    let list = problems(&now, &memory);
    (now, list)
}

#[test]
fn status_shows_gates_destinations_and_problems() {
    let (now, list) = outage();
    for (language, expected) in [(Language::En, include_str!("status/outage.en.txt")), (Language::Ru, include_str!("status/outage.ru.txt"))] {
        let shown = status_table(&now, &list, language, 110).replace('\u{a0}', " ");
        if std::env::var_os("LIMEGATE_BLESS").is_some() {
            let name = if language == Language::Ru { "ru" } else { "en" };
            std::fs::write(format!("{}/tests/status/outage.{name}.txt", env!("CARGO_MANIFEST_DIR")), format!("{shown}\n")).unwrap();
            continue;
        }
        assert_eq!(shown.trim_end(), expected.trim_end(), "\n{shown}");
    }
}

#[test]
fn control_characters_from_outside_never_reach_the_terminal() {
    let mut now = fine();
    now.title = "a\u{1b}[31mb\r\n".into();
    now.gates.get_mut("n1").unwrap().link = Link::Down;
    now.gates.get_mut("n1").unwrap().error = Some("\u{1b}]0;x\u{7}".into());
    let shown = status_table(&now, &found(&now), Language::En, 100);
    assert!(!shown.contains('\u{1b}') && !shown.contains('\r') && !shown.contains('\u{7}'));
}

#[test]
fn the_books_fit_in_one_line() {
    let plain = |sums: &Sums, language| verify_line(sums, "amocrm", language).replace('\u{a0}', " ");
    let lime = DestinationSum { owed: 1_284, delivered: 1_284, ..DestinationSum::default() };
    let crm = DestinationSum { owed: 1_284, delivered: 1_247, waiting: 37, ..DestinationSum::default() };
    let good = Sums { v: 1, read: 1_284, stored: 1_284, lime, crm, not_for_crm: 0, under_way: 0 };
    assert_eq!(plain(&good, Language::En), "read 1 284 = stored 1 284 = lime 1 284 = amocrm 1 247 + waiting 37 + refused 0      OK");
    assert_eq!(plain(&good, Language::Ru), "прочитано 1 284 = сохранено 1 284 = lime 1 284 = amocrm 1 247 + ждут 37 + отклонено 0      СХОДИТСЯ");
    let lost = Sums { stored: 1_283, ..good };
    assert_eq!(plain(&lost, Language::En), "read 1 284 ≠ stored 1 283 ≠ lime 1 284 = amocrm 1 247 + waiting 37 + refused 0      DIFFERS");
    let at_doors = Sums { under_way: 2, ..good };
    assert_eq!(
        plain(&at_doors, Language::En),
        "read 1 284 = stored 1 284 = lime 1 284 = amocrm 1 247 + waiting 37 + refused 0; at the doors 2      OK"
    );
    let lime = DestinationSum { owed: 10, delivered: 7, waiting: 2, refused: 1, dropped: 0 };
    let crm = DestinationSum { owed: 6, delivered: 4, waiting: 1, refused: 0, dropped: 1 };
    let backlog = Sums { v: 1, read: 10, stored: 10, lime, crm, not_for_crm: 1, under_way: 0 };
    assert_eq!(
        plain(&backlog, Language::En),
        "read 10 = stored 10 = lime 7 + waiting 2 + refused 1; lime 7 = amocrm 4 + waiting 1 + refused 0 + dropped 1 + not owed 1      OK"
    );
}
