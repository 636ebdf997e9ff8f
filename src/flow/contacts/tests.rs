//! Single cases by name.

use super::*;

fn keyer() -> Keyer {
    Keyer::new(&[7; 32])
}

fn client() -> ClientId {
    ClientId("c-1".to_owned())
}

fn read(changed_ms: i64, fields: &[(ContactField, Held)]) -> Read {
    Read { card: fields.iter().cloned().collect(), changed_ms }
}

fn name(text: &str) -> (ContactField, Held) {
    (ContactField::FirstName, Held::text(text))
}

fn phones(texts: &[&str]) -> (ContactField, Held) {
    (ContactField::Phones, Held::phones(texts.iter().copied()))
}

fn rules(wins: Wins) -> Rules {
    let wins = ContactField::ALL.map(|field| (field, wins)).into();
    Rules { wins, clears: true, kept: BTreeSet::new(), to_lime: true, to_crm: true }
}

fn go(link: &mut Link, lime: &Read, crm: &Read, rules: &Rules) -> Merged {
    // As the ledger would have it.
    let mut stored = Link::from_json(&link.to_json()).unwrap();
    assert_eq!(stored, *link);
    let merged = merge(&mut stored, &keyer(), &client(), lime, crm, rules);
    *link = stored;
    merged
}

/// Two cards that are known to hold this.
fn linked(fields: &[(ContactField, Held)]) -> Link {
    Link::alike("7001", &keyer(), &client(), &fields.iter().cloned().collect())
}

#[test]
fn what_one_side_changed_goes_to_the_other_and_does_not_come_back() {
    let (mut link, rules) = (linked(&[name("Анна")]), rules(Wins::Newest));
    let merged = go(&mut link, &read(0, &[name("Анна")]), &read(5, &[name("Аня")]), &rules);
    assert_eq!(merged, Merged { to_lime: Card::from([name("Аня")]), ..Merged::default() });
    let echoed = go(&mut link, &read(9, &[name("Аня")]), &read(5, &[name("Аня")]), &rules);
    assert!(echoed.is_empty(), "our own write is no change");
}

#[test]
fn where_both_changed_the_policy_decides_and_the_loser_is_recorded() {
    for (wins, at_lime, winner, loser) in [
        (Wins::Lime, 1, "Л", (Side::Crm, "К")),
        (Wins::Crm, 9, "К", (Side::Lime, "Л")),
        (Wins::Newest, 9, "Л", (Side::Crm, "К")),
        (Wins::Newest, 1, "К", (Side::Lime, "Л")),
        (Wins::Newest, 5, "Л", (Side::Crm, "К")),
    ] {
        let mut link = linked(&[name("Анна")]);
        let merged = go(&mut link, &read(at_lime, &[name("Л")]), &read(5, &[name("К")]), &rules(wins));
        let written: Vec<&Held> = merged.to_lime.values().chain(merged.to_crm.values()).collect();
        assert_eq!(written, [&Held::text(winner)], "{wins:?}");
        let lost = Overruled { field: ContactField::FirstName, side: loser.0, value: Held::text(loser.1), taken_away: false };
        assert_eq!(merged.overruled, [lost], "{wins:?}");
    }
}

#[test]
fn different_fields_changed_on_both_sides_all_survive() {
    let birthday = |text: &str| (ContactField::BirthDate, Held::date(text));
    let mut link = linked(&[name("Анна"), birthday("1990-05-01")]);
    let lime = read(1, &[name("Анна"), birthday("1990-06-01")]);
    let merged = go(&mut link, &lime, &read(2, &[name("Аня"), birthday("1990-05-01")]), &rules(Wins::Newest));
    assert_eq!((merged.to_lime, merged.to_crm), (Card::from([name("Аня")]), Card::from([birthday("1990-06-01")])));
    assert!(merged.overruled.is_empty());
}

#[test]
fn at_the_first_meeting_what_is_filled_fills_what_is_empty_and_sets_are_united() {
    let mut link = Link::new("7001");
    let lime = read(0, &[name("Анна"), phones(&["+79990001122"])]);
    let crm = read(9, &[phones(&["8 (999) 000-11-22", "8 999 000-11-33"])]);
    let merged = go(&mut link, &lime, &crm, &rules(Wins::Newest));
    assert_eq!(merged.to_lime, Card::from([phones(&["+79990001122", "+79990001133"])]));
    assert_eq!((merged.to_crm, merged.overruled), (Card::from([name("Анна")]), Vec::new()));
}

#[test]
fn at_the_first_meeting_names_that_differ_go_by_the_policy_with_a_record() {
    let mut link = Link::new("7001");
    let merged = go(&mut link, &read(0, &[name("Анна")]), &read(9, &[name("Нюра")]), &rules(Wins::Lime));
    assert_eq!(merged.to_crm, Card::from([name("Анна")]));
    assert_eq!(merged.overruled, [Overruled { field: ContactField::FirstName, side: Side::Crm, value: Held::text("Нюра"), taken_away: false }]);
}

#[test]
fn a_value_taken_away_is_taken_away_there_too_or_put_back_as_the_field_says() {
    let mut link = linked(&[name("Анна")]);
    let merged = go(&mut link, &read(0, &[name("Анна")]), &read(5, &[]), &rules(Wins::Newest));
    assert_eq!(merged.to_lime, Card::from([(ContactField::FirstName, Held::default())]));
    let kept = Rules { clears: false, ..rules(Wins::Newest) };
    let mut link = linked(&[name("Анна"), phones(&["+79990001122", "+79990001133"])]);
    let lime = read(0, &[name("Анна"), phones(&["+79990001122", "+79990001133"])]);
    let merged = go(&mut link, &lime, &read(5, &[phones(&["+79990001122"])]), &kept);
    assert!(merged.to_lime.is_empty());
    assert_eq!(merged.to_crm, Card::from([name("Анна"), phones(&["+79990001122", "+79990001133"])]));
    let lost = |field, value| Overruled { field, side: Side::Crm, value, taken_away: true };
    assert_eq!(merged.overruled, [lost(ContactField::FirstName, Held::text("Анна")), lost(ContactField::Phones, Held::phones(["+79990001133"]))]);
}

#[test]
fn a_value_taken_away_here_and_changed_there_stays_filled_whatever_the_policy() {
    let mut link = linked(&[name("Анна")]);
    let merged = go(&mut link, &read(9, &[]), &read(5, &[name("Аня")]), &rules(Wins::Lime));
    assert_eq!(merged.to_lime, Card::from([name("Аня")]));
    assert_eq!(merged.overruled, [Overruled { field: ContactField::FirstName, side: Side::Lime, value: Held::text("Аня"), taken_away: true }]);
}

#[test]
fn a_phone_added_here_and_one_taken_away_there_both_happen() {
    let mut link = linked(&[phones(&["+79990001122", "+79990001133"])]);
    let lime = read(1, &[phones(&["+79990001122", "+79990001133", "+79990001144"])]);
    let merged = go(&mut link, &lime, &read(2, &[phones(&["+79990001122"])]), &rules(Wins::Newest));
    let both = phones(&["+79990001122", "+79990001144"]);
    assert_eq!((merged.to_lime, merged.to_crm, merged.overruled), (Card::from([both.clone()]), Card::from([both]), Vec::new()));
}

#[test]
fn a_phone_added_on_one_side_while_the_other_takes_it_away_goes_by_the_policy() {
    for (wins, stands) in [(Wins::Lime, true), (Wins::Crm, false)] {
        let mut link = linked(&[phones(&["+79990001122"])]);
        // Added in the CRM, and the write to Lime never arrived; then the CRM takes it away while Lime adds it by hand.
        let (one, two) = (phones(&["+79990001122"]), phones(&["+79990001122", "+79990001133"]));
        let asked = go(&mut link, &read(0, std::slice::from_ref(&one)), &read(1, std::slice::from_ref(&two)), &rules(wins));
        link.failed(&keyer(), &client(), Side::Lime, &asked.to_lime);
        let merged = go(&mut link, &read(3, std::slice::from_ref(&two)), &read(2, std::slice::from_ref(&one)), &rules(wins));
        assert_eq!((merged.to_crm.is_empty(), merged.to_lime.is_empty()), (!stands, stands), "{wins:?}");
        assert_eq!(merged.overruled.len(), 1, "{wins:?}");
    }
}

#[test]
fn a_phone_that_the_crm_changes_is_one_taken_away_and_one_added() {
    let mut link = linked(&[phones(&["+79990001122", "+79990001133"])]);
    let lime = read(0, &[phones(&["+79990001122", "+79990001133"])]);
    let merged = go(&mut link, &lime, &read(1, &[phones(&["+79990001122", "+79990001155"])]), &rules(Wins::Newest));
    assert_eq!(merged.to_lime, Card::from([phones(&["+79990001122", "+79990001155"])]));
    assert!(merged.to_crm.is_empty() && merged.overruled.is_empty());
}

#[test]
fn spellings_are_no_changes() {
    let mut link = linked(&[phones(&["+7 999 000-11-22", "+79990001133"])]);
    let lime = read(5, &[phones(&["+79990001133", "89990001122"])]);
    let merged = go(&mut link, &lime, &read(0, &[phones(&["79990001122", "8-999-000-11-33"])]), &rules(Wins::Newest));
    assert!(merged.is_empty());
    assert_eq!(Held::emails([" A@Example.com", "a@example.com"]), Held::emails(["a@example.com"]));
    assert_eq!(Held::text(" Анна  Мария "), Held::text("Анна Мария"));
    assert!(Held::date("1970-01-01").is_blank(), "amoCRM's form writes it where nothing was set");
}

#[test]
fn an_answer_that_was_lost_is_neither_an_edit_nor_a_reason_to_forget_one() {
    let mut link = linked(&[name("Анна")]);
    let merged = go(&mut link, &read(0, &[name("Анна")]), &read(5, &[name("Аня")]), &rules(Wins::Newest));
    assert_eq!(merged.to_lime, Card::from([name("Аня")]));
    // It arrived, the answer did not; meanwhile the CRM's card changed again.
    let merged = go(&mut link, &read(6, &[name("Аня")]), &read(5, &[name("Анюта")]), &rules(Wins::Lime));
    assert_eq!((merged.to_lime, merged.overruled), (Card::from([name("Анюта")]), Vec::new()));
}

#[test]
fn what_never_arrived_is_sent_again() {
    let mut link = linked(&[name("Анна")]);
    let (lime, crm) = (read(0, &[name("Анна")]), read(5, &[name("Аня")]));
    let asked = go(&mut link, &lime, &crm, &rules(Wins::Newest));
    link.failed(&keyer(), &client(), Side::Lime, &asked.to_lime);
    assert_eq!(go(&mut link, &lime, &crm, &rules(Wins::Newest)), asked);
}

#[test]
fn what_a_side_refuses_or_stores_otherwise_is_left_in_peace() {
    let mut link = linked(&[name("Анна")]);
    let (lime, crm) = (read(0, &[name("Анна")]), read(5, &[name("Аня")]));
    let asked = go(&mut link, &lime, &crm, &rules(Wins::Newest));
    let mut refused = link.clone();
    refused.refused(Side::Lime, &asked.to_lime);
    assert!(go(&mut refused, &lime, &crm, &rules(Wins::Newest)).is_empty());
    let cut = read(6, &[name("Ан")]);
    link.arrived(&keyer(), &client(), Side::Lime, &cut.card);
    assert!(go(&mut link, &cut, &crm, &rules(Wins::Newest)).is_empty(), "not written for ever");
    let merged = go(&mut link, &read(9, &[name("Нюра")]), &crm, &rules(Wins::Newest));
    assert_eq!(merged.to_crm, Card::from([name("Нюра")]));
}

#[test]
fn an_edit_that_had_not_arrived_yet_is_weighed_against_the_one_across() {
    let mut link = linked(&[name("Анна")]);
    let asked = go(&mut link, &read(0, &[name("Анна")]), &read(5, &[name("Аня")]), &rules(Wins::Crm));
    link.failed(&keyer(), &client(), Side::Lime, &asked.to_lime);
    let merged = go(&mut link, &read(9, &[name("Нюра")]), &read(5, &[name("Аня")]), &rules(Wins::Crm));
    assert_eq!(merged.to_lime, Card::from([name("Аня")]));
    assert_eq!(merged.overruled, [Overruled { field: ContactField::FirstName, side: Side::Lime, value: Held::text("Нюра"), taken_away: false }]);
}

#[test]
fn a_side_that_may_not_be_written_keeps_its_own() {
    let one_way = Rules { to_lime: false, ..rules(Wins::Newest) };
    let mut link = linked(&[name("Анна"), phones(&["+79990001122"])]);
    let own = read(5, &[name("Аня"), phones(&["+79990001122", "+79990001133"])]);
    let merged = go(&mut link, &read(0, &[name("Анна"), phones(&["+79990001122"])]), &own, &one_way);
    assert!(merged.is_empty(), "what differs is no conflict");
    // Lime changes: that goes to the CRM, and what stood there is recorded.
    let lime = read(9, &[name("Анна"), phones(&["+79990001122", "+79990001144"])]);
    let merged = go(&mut link, &lime, &own, &one_way);
    assert_eq!(merged.to_crm, Card::from([phones(&["+79990001122", "+79990001133", "+79990001144"])]));
    let merged = go(
        &mut link,
        &read(9, &[name("Нюра"), lime.card.get_key_value(&ContactField::Phones).map(|(f, h)| (*f, h.clone())).unwrap()]),
        &own,
        &one_way,
    );
    assert_eq!((merged.to_lime.len(), merged.to_crm.get(&ContactField::FirstName)), (0, Some(&Held::text("Нюра"))));
    assert_eq!(merged.overruled, [Overruled { field: ContactField::FirstName, side: Side::Crm, value: Held::text("Аня"), taken_away: false }]);
    let nothing = Rules { to_crm: false, ..one_way };
    assert!(go(&mut linked(&[name("Анна")]), &read(1, &[name("Л")]), &read(2, &[name("К")]), &nothing).is_empty());
}

#[test]
fn what_is_kept_names_nobody_and_tells_nothing_about_two_people() {
    let card = Card::from([name("Анна"), phones(&["+79990001122"])]);
    let one = Link::alike("7001", &keyer(), &client(), &card).to_json();
    let two = Link::alike("7001", &keyer(), &ClientId::from("c-2"), &card).to_json();
    assert!(!one.contains("Анна") && !one.contains("9990001122"), "{one}");
    assert_ne!(one, two, "the same name and phone have other marks on another card");
    assert!(one.len() < 200, "{} bytes", one.len());
    assert_eq!(Link::from_json(r#"{"contact":"1","fields":{"phones":"12"}}"#), None);
    assert_eq!(format!("{:?}", keyer()), "Keyer");
}

#[test]
fn the_record_keeps_the_last_twenty() {
    let merged = |text: &str| {
        let one = Overruled { field: ContactField::FirstName, side: Side::Lime, value: Held::text(text), taken_away: false };
        Merged { overruled: vec![one], ..Merged::default() }
    };
    let mut kept = None;
    for number in 0..25 {
        let learned = merged(&format!("Имя {number}")).learned(&client(), &Link::new("7001"), kept.as_deref(), number);
        assert_eq!(learned.iter().map(|line| line.key.kind.as_str()).collect::<Vec<_>>(), ["hub.link", "hub.overruled"]);
        kept = learned.into_iter().next_back().and_then(|line| line.value);
    }
    let lines: Vec<serde_json::Value> = serde_json::from_str(&kept.unwrap()).unwrap();
    assert_eq!(lines.len(), 20);
    assert_eq!(lines.last().unwrap(), &serde_json::json!({"at_ms": 24, "field": "first_name", "side": "lime", "values": ["Имя 24"]}));
    assert_eq!(Merged::default().learned(&client(), &Link::new("7001"), None, 0).len(), 1);
}

#[test]
fn two_fields_for_names_are_split_into_three_and_joined_again() {
    let lime = |last: &str, first: &str, middle: &str| {
        Card::from([
            (ContactField::LastName, Held::text(last)),
            (ContactField::FirstName, Held::text(first)),
            (ContactField::MiddleName, Held::text(middle)),
        ])
    };
    let nobody = Card::new();
    for (first, last, known, expected) in [
        ("Анна Ивановна", "Петрова", &nobody, ("Петрова", "Анна", "Ивановна")),
        ("Анна Мария", "Петрова", &nobody, ("Петрова", "Анна Мария", "")),
        ("Анна Мария Ивановна", "Петрова", &nobody, ("Петрова", "Анна Мария", "Ивановна")),
        ("Мамед Али оглы", "Алиев", &nobody, ("Алиев", "Мамед", "Али оглы")),
        ("Петрова Анна Ивановна", "", &nobody, ("Петрова", "Анна", "Ивановна")),
        ("Анна", "", &nobody, ("", "Анна", "")),
        ("", "", &nobody, ("", "", "")),
        ("Ким Чен Ын", "", &nobody, ("", "Ким Чен Ын", "")),
        ("Анна Мария Лу", "Ким", &lime("Ким", "Анна", "Мария Лу"), ("Ким", "Анна", "Мария Лу")),
        ("Нюра Ким Лу", "Ким", &lime("Ким", "Анна", "Ким Лу"), ("Ким", "Нюра", "Ким Лу")),
        ("Иван Попович", "Ким", &lime("Ким", "Иван Попович", ""), ("Ким", "Иван Попович", "")),
    ] {
        let mut card = Card::new();
        split(first, last, known, &mut card);
        assert_eq!(card, lime(expected.0, expected.1, expected.2), "{first} / {last}");
    }
    let back = joined(&lime("Петрова", "Анна", "Ивановна"));
    assert_eq!((back.first.reveal(), back.last.reveal()), ("Анна Ивановна", "Петрова"));
}

#[test]
fn a_name_shortened_where_there_is_no_field_for_the_patronymic_does_not_lose_it() {
    let rules = rules(Wins::Newest).with_joined_names();
    let whole = [name("Анна"), (ContactField::MiddleName, Held::text("Ивановна"))];
    let mut link = linked(&whole);
    let merged = go(&mut link, &read(0, &whole), &read(5, &[name("Аня")]), &rules);
    assert_eq!(merged.to_lime, Card::from([name("Аня")]));
    assert_eq!(merged.to_crm, Card::from([(ContactField::MiddleName, Held::text("Ивановна"))]));
}

mod random;
