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
