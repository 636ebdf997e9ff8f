//! A birthday, as it goes back and forth.

use jiff::tz::TimeZone;

use super::*;
use crate::config::Language;
use crate::crm::texts::Texts;
use crate::domain::{Money, Personal, Preorder, PreorderEvent, PreorderLine, PreorderStatus};
use crate::flow::contacts::Keyer;
use crate::lime::preorders::{Placed, PreorderDraft, Warning};

fn keyer() -> Keyer {
    Keyer::new(&[7; 32])
}

fn texts(language: Language) -> Texts {
    Texts::new(language, TimeZone::UTC)
}

fn line(product: &str, quantity: i64, price: i64) -> PreorderLine {
    PreorderLine { good_type_id: product.to_owned(), name: format!("Товар {product}"), quantity, price }
}

fn event(starts_ms: i64) -> PreorderEvent {
    PreorderEvent {
        title: Personal::new("День рождения Пети"),
        starts_ms,
        ends_ms: starts_ms + 7_200_000,
        room: Some("Зал 1".into()),
        staff: vec!["Оля".into()],
    }
}

fn booking(lines: &[PreorderLine]) -> Booking {
    Booking {
        stage: Stage::Reached,
        preorder: None,
        client_id: Some("c-1".into()),
        contact: None,
        event: Some(event(1_800_000_000_000)),
        lines: lines.to_vec(),
        prepaid: None,
        keeps: Keeps { row_prices: true, event: true },
    }
}

fn preorder(version: i64, lines: &[PreorderLine]) -> Preorder {
    Preorder {
        id: "po-1".into(),
        reference: None,
        revision: 0,
        version,
        client_id: Some("c-1".into()),
        contact: None,
        event: Some(event(1_800_000_000_000)),
        lines: lines.to_vec(),
        total: Money { minor: lines.iter().map(|line| line.quantity * line.price).sum(), currency: "RUB".into() },
        prepaid: 0,
        status: PreorderStatus::Confirmed,
        comment: None,
    }
}

fn placed(version: i64) -> Placed {
    Placed { id: "po-1".into(), version, total: 0, warnings: Vec::new() }
}

/// As the ledger would have it.
fn kept(bound: &Bound) -> Bound {
    Bound::from_json(&bound.to_json()).unwrap()
}

fn sent(told: ToLime) -> (u64, PreorderDraft) {
    match told {
        ToLime::Send { revision, draft } => (revision, *draft),
        other => panic!("{other:?}"),
    }
}

fn told(bound: &mut Bound, preorder: &Preorder, booking: &Booking) -> ToCrm {
    *bound = kept(bound);
    bound.to_crm((preorder, Some("lime")), Some(booking), true, &texts(Language::Ru), &keyer())
}

/// A deal whose products are in Lime as revision 1, version 1.
fn ordered(lines: &[PreorderLine]) -> Bound {
    let mut bound = Bound::default();
    assert_eq!(sent(bound.to_lime(&booking(lines), &keyer())).0, 1);
    arrives(&mut bound, 1);
    kept(&bound)
}

/// Lime has taken content as this version, of which the feed need not tell.
fn arrives(bound: &mut Bound, version: i64) {
    assert_eq!(bound.placed(&placed(version)), Some(crate::lime::preorders::wrote(&placed(version))));
}

#[test]
fn products_in_a_deal_become_a_preorder_once_it_has_come_far_enough() {
    let mut bound = Bound::default();
    assert_eq!(bound.to_lime(&booking(&[]), &keyer()), ToLime::NotYet);
    let early = Booking { stage: Stage::Early, ..booking(&[line("p-1", 2, 500)]) };
    assert_eq!(bound.to_lime(&early, &keyer()), ToLime::NotYet);
    let cancelled = Booking { stage: Stage::Cancelled, ..early };
    assert_eq!((bound.to_lime(&cancelled, &keyer()), bound.cancel()), (ToLime::Nothing, ToLime::Nothing));
    let (revision, draft) = sent(bound.to_lime(&booking(&[line("p-1", 2, 500)]), &keyer()));
    assert_eq!((revision, draft.total, draft.status), (1, Some(1_000), Some(PreorderStatus::Confirmed)));
}

#[test]
fn staff_are_told_once_of_a_deal_that_names_nobody_and_with_somebody_it_goes() {
    let mut bound = Bound::default();
    let nobody = Booking { client_id: None, contact: None, ..booking(&[line("p-1", 2, 500)]) };
    assert_eq!((bound.to_lime(&nobody, &keyer()), bound.names_nobody(7)), (ToLime::Nobody, Say::All));
    bound = kept(&bound);
    assert_eq!(
        (bound.to_lime(&nobody, &keyer()), bound.names_nobody(7)),
        (ToLime::Nobody, Say::Letter),
        "the note may be written; the job is not done"
    );
    assert_eq!((bound.to_lime(&nobody, &keyer()), bound.names_nobody(8)), (ToLime::Nobody, Say::Nothing));
    assert_eq!(sent(bound.to_lime(&booking(&[line("p-1", 2, 500)]), &keyer())).0, 1);
    assert_eq!((bound.is_refused(9), kept(&bound).is_refused(9), bound.is_refused(10)), (Say::All, Say::Letter, Say::All));
}

#[test]
fn the_revision_grows_with_the_content_and_with_nothing_else() {
    let mut bound = ordered(&[line("p-1", 2, 500)]);
    assert_eq!(bound.to_lime(&booking(&[line("p-1", 2, 500)]), &keyer()), ToLime::Nothing);
    let renamed =
        Booking { event: Some(PreorderEvent { title: Personal::new("ДР"), ..event(1_800_000_000_500) }), ..booking(&[line("p-1", 2, 500)]) };
    assert_eq!(bound.to_lime(&renamed, &keyer()), ToLime::Nothing, "a name and half a second are no content");
    let two_rows = booking(&[line("p-1", 1, 500), line("p-1", 1, 500)]);
    assert_eq!(bound.to_lime(&two_rows, &keyer()), ToLime::Nothing);
    let more = booking(&[line("p-1", 3, 500)]);
    let first = sent(bound.to_lime(&more, &keyer()));
    let mut restarted = kept(&bound);
    assert_eq!(sent(restarted.to_lime(&more, &keyer())), first, "with its answer lost, the same again");
    arrives(&mut restarted, 2);
    let later = booking(&[line("p-1", 2, 500)]);
    assert_eq!((first.0, sent(restarted.to_lime(&later, &keyer())).0), (2, 3), "back to what it was is a change, too");
}

#[test]
fn a_deal_given_up_cancels_its_preorder_and_taken_up_again_confirms_it() {
    let mut bound = ordered(&[line("p-1", 2, 500)]);
    let cancelled = Booking { stage: Stage::Cancelled, ..booking(&[line("p-1", 2, 500)]) };
    let (revision, draft) = sent(bound.to_lime(&cancelled, &keyer()));
    assert_eq!((revision, draft.status, draft.lines), (2, Some(PreorderStatus::Cancelled), None));
    arrives(&mut bound, 2);
    assert_eq!(bound.to_lime(&cancelled, &keyer()), ToLime::Nothing);
    let (revision, draft) = sent(bound.to_lime(&booking(&[line("p-1", 2, 500)]), &keyer()));
    assert_eq!((revision, draft.status), (3, Some(PreorderStatus::Confirmed)));
}

#[test]
fn a_change_in_lime_changes_the_deal_and_does_not_come_back() {
    let mut bound = ordered(&[line("p-1", 2, 500)]);
    let in_lime = preorder(2, &[line("p-1", 2, 450), line("p-2", 1, 900)]);
    let was = booking(&[line("p-1", 2, 500)]);
    let ToCrm::Change(wanted) = told(&mut bound, &in_lime, &was) else { panic!() };
    assert_eq!((wanted.title.as_str(), wanted.price, wanted.rows.len(), wanted.cancelled), ("День рождения Пети", 1_800, 2, false));
    assert_eq!(bound.to_lime(&was, &keyer()), ToLime::Nothing, "the deal as it was before our write is no change");
    let ToCrm::Change(again) = told(&mut bound, &in_lime, &was) else { panic!("the write may have been lost") };
    assert_eq!(again, wanted);
    bound.wrote();
    let is = booking(&in_lime.lines);
    assert_eq!((bound.to_lime(&is, &keyer()), told(&mut bound, &in_lime, &is)), (ToLime::Nothing, ToCrm::Nothing));
}

#[test]
fn a_crm_without_prices_in_its_rows_does_not_undo_a_price_of_limes() {
    let mut bound = ordered(&[line("p-1", 2, 500)]);
    let keeps = Keeps { row_prices: false, event: false };
    let deal = |lines: &[PreorderLine]| Booking { keeps, event: None, ..booking(lines) };
    let mut fresh = Bound::default();
    fresh.to_lime(&deal(&[line("p-1", 2, 500)]), &keyer());
    arrives(&mut fresh, 1);
    let cheaper = preorder(2, &[line("p-1", 2, 450)]);
    assert!(matches!(told(&mut fresh, &cheaper, &deal(&[line("p-1", 2, 500)])), ToCrm::Change(_)));
    fresh.wrote();
    assert_eq!(fresh.to_lime(&deal(&[line("p-1", 2, 500)]), &keyer()), ToLime::Nothing);
    let (_, draft) = sent(fresh.to_lime(&deal(&[line("p-1", 3, 500)]), &keyer()));
    assert_eq!(draft.lines.unwrap().first().map(|line| (line.quantity, line.price)), Some((3, 450)));
    assert_eq!(sent(bound.to_lime(&booking(&[line("p-1", 2, 400)]), &keyer())).1.total, Some(800), "where rows have prices they count");
}

#[test]
fn a_preorder_made_in_lime_becomes_a_deal_that_is_not_sent_back_until_a_person_changes_it() {
    let mut bound = Bound::default();
    let made = preorder(1, &[line("p-1", 2, 500)]);
    let ru = texts(Language::Ru);
    let asked = |bound: &mut Bound, preorder: &Preorder, makes| bound.to_crm((preorder, Some("lime")), None, makes, &ru, &keyer());
    assert_eq!(asked(&mut bound, &made, false), ToCrm::Nothing);
    assert!(matches!(asked(&mut bound, &made, true), ToCrm::Make(_)));
    let nameless = Preorder { event: None, ..made.clone() };
    let ToCrm::Make(wanted) = asked(&mut bound, &nameless, true) else { panic!() };
    assert_eq!(wanted.title, "Предзаказ po-1");
    let keeps = Keeps { row_prices: true, event: true };
    bound.made(&made, keeps, &keyer());
    let deal = Booking { preorder: Some("po-1".into()), ..booking(&made.lines) };
    assert_eq!(bound.to_lime(&deal, &keyer()), ToLime::Nothing);
    assert_eq!(told(&mut bound, &made, &deal), ToCrm::Bind);
    let (revision, draft) = sent(bound.bind("po-1"));
    assert_eq!((revision, draft), (1, PreorderDraft { bind: Some("po-1".into()), ..PreorderDraft::default() }));
    let changed = Booking { lines: vec![line("p-1", 4, 500)], ..deal.clone() };
    let (revision, draft) = sent(kept(&bound).to_lime(&changed, &keyer()));
    assert_eq!((revision, draft.bind.as_deref()), (2, Some("po-1")), "the reference may not have arrived");
    let mut forgotten = Bound::default();
    assert_eq!(forgotten.to_lime(&deal, &keyer()), ToLime::Nothing, "killed before it was known that the deal is ours");
    assert!(matches!(forgotten.to_lime(&changed, &keyer()), ToLime::Send { .. }));
}

#[test]
fn a_reference_given_to_a_preorder_hides_no_change_that_was_made_in_lime_before() {
    let mut bound = Bound::default();
    let made = preorder(1, &[line("p-1", 2, 500)]);
    bound.made(&made, Keeps { row_prices: true, event: true }, &keyer());
    let deal = Booking { preorder: Some("po-1".into()), ..booking(&made.lines) };
    // A cashier adds one: version 2. Our reference arrives as version 3, and the feed tells of both in turn.
    let changed = preorder(2, &[line("p-1", 3, 500)]);
    bound.bind("po-1");
    assert_eq!(bound.placed(&placed(3)), None, "the feed is to tell");
    let ToCrm::Change(wanted) = told(&mut bound, &changed, &deal) else { panic!("the cashier's change is lost") };
    assert_eq!(wanted.price, 1_500);
    bound.wrote();
    let referenced = Preorder { reference: Some("amo:deal:5".into()), revision: 1, ..preorder(3, &changed.lines) };
    let deal = Booking { lines: changed.lines.clone(), ..deal };
    assert_eq!(bound.to_crm((&referenced, Some("crm:amo")), Some(&deal), true, &texts(Language::Ru), &keyer()), ToCrm::Nothing);
    assert_eq!((bound.version, bound.to_lime(&deal, &keyer())), (3, ToLime::Nothing));
}

#[test]
fn a_reference_is_not_taken_for_content_whose_answer_is_missing() {
    let mut bound = Bound::default();
    let made = preorder(1, &[line("p-1", 2, 500)]);
    bound.made(&made, Keeps { row_prices: true, event: true }, &keyer());
    let deal = Booking { lines: vec![line("p-1", 4, 500)], ..booking(&made.lines) };
    let (lost, _) = sent(bound.to_lime(&deal, &keyer()));
    let (reference, draft) = sent(bound.bind("po-1"));
    assert_eq!((reference, draft.lines), (lost + 1, None));
    assert_eq!((bound.placed(&placed(2)), sent(kept(&bound).to_lime(&deal, &keyer())).0), (None, lost + 2));
}

#[test]
fn where_both_were_changed_the_deal_counts_and_staff_read_what_lime_had() {
    let mut bound = ordered(&[line("p-1", 2, 500)]);
    let in_lime = preorder(2, &[line("p-1", 5, 500)]);
    let deal = booking(&[line("p-1", 3, 500)]);
    assert_eq!(told(&mut bound, &in_lime, &deal), ToCrm::Clash);
    let (revision, draft) = sent(bound.to_lime(&deal, &keyer()));
    assert_eq!((revision, draft.total), (2, Some(1_500)));
    arrives(&mut bound, 3);
    assert_eq!((bound.to_lime(&deal, &keyer()), told(&mut bound, &in_lime, &deal)), (ToLime::Nothing, ToCrm::Nothing));
    let ru = clash(&in_lime, &texts(Language::Ru));
    assert!(ru.contains("Товар p-1 ×5") && ru.contains("25,00"), "{ru}");
    assert!(clash(&in_lime, &texts(Language::En)).contains("The deal counts"));
}

#[test]
fn a_clash_while_an_answer_is_missing_gets_a_later_revision() {
    let mut bound = ordered(&[line("p-1", 2, 500)]);
    let deal = booking(&[line("p-1", 3, 500)]);
    assert_eq!(sent(bound.to_lime(&deal, &keyer())).0, 2);
    assert_eq!(told(&mut bound, &preorder(3, &[line("p-1", 5, 500)]), &deal), ToCrm::Clash);
    assert_eq!(sent(bound.to_lime(&deal, &keyer())).0, 3, "Lime may have carried 2 out before its own change");
}

#[test]
fn a_cancellation_in_lime_cancels_the_deal_whatever_else_was_changed() {
    let mut bound = ordered(&[line("p-1", 2, 500)]);
    let gone = Preorder { status: PreorderStatus::Cancelled, ..preorder(2, &[line("p-1", 2, 500)]) };
    let ToCrm::Change(wanted) = told(&mut bound, &gone, &booking(&[line("p-1", 3, 500)])) else { panic!() };
    assert!(wanted.cancelled);
    bound.wrote();
    let cancelled = Booking { stage: Stage::Cancelled, ..booking(&[line("p-1", 3, 500)]) };
    assert_eq!((bound.to_lime(&cancelled, &keyer()), told(&mut bound, &gone, &cancelled)), (ToLime::Nothing, ToCrm::Nothing));
}

#[test]
fn the_feed_tells_what_a_lost_answer_would_have_told() {
    let mut bound = Bound::default();
    let deal = booking(&[line("p-1", 2, 500)]);
    assert_eq!(sent(bound.to_lime(&deal, &keyer())).0, 1);
    let ours = Preorder { reference: Some("amo:deal:5".into()), revision: 1, ..preorder(1, &deal.lines) };
    assert_eq!(bound.to_crm((&ours, Some("crm:amo")), Some(&deal), true, &texts(Language::Ru), &keyer()), ToCrm::Nothing);
    assert_eq!((bound.preorder.clone(), bound.version, bound.to_lime(&deal, &keyer())), (Some("po-1".to_owned()), 1, ToLime::Nothing));
}

#[test]
fn a_box_that_has_forgotten_its_revisions_goes_on_with_a_later_one() {
    let mut bound = Bound::default();
    let deal = booking(&[line("p-1", 2, 500)]);
    assert_eq!(sent(bound.to_lime(&deal, &keyer())).0, 1);
    bound.stale(1_800_000_000_123);
    assert_eq!(sent(bound.to_lime(&deal, &keyer())).0, 1_800_000_001);
    let mut clockless = ordered(&deal.lines);
    clockless.stale(0);
    assert_eq!(sent(clockless.to_lime(&deal, &keyer())).0, 3);
}

#[test]
fn what_is_kept_names_nobody() {
    let mut bound = ordered(&[line("p-1", 2, 500)]);
    told(&mut bound, &preorder(2, &[line("p-1", 2, 450)]), &booking(&[line("p-1", 2, 500)]));
    let text = bound.to_json();
    assert!(!text.contains("Пет") && !text.contains("Оля") && text.contains("po-1"), "{text}");
}

#[test]
fn staff_read_what_was_left_out_and_what_lime_remarked() {
    let ru = texts(Language::Ru);
    assert_eq!(left_out(&[], &ru), None);
    assert!(left_out(&["Торт".to_owned()], &ru).unwrap().contains("Торт"));
    let remark = |code: &str| Warning { code: code.to_owned(), good_type_id: Some("p-1".into()), instead: Some(45_000) };
    let name = |id: &str| (id == "p-1").then(|| "Батуты".to_owned());
    for code in ["price_differs", "inactive_product", "total_differs", "ambiguous_contact", "changed_in_lime"] {
        let [ru, en] = [Language::Ru, Language::En].map(|language| warnings(&[remark(code)], "RUB", &name, &texts(language)).unwrap());
        assert_ne!(ru, en, "{code}");
    }
    assert_eq!(warnings(&[remark("brand_new")], "RUB", &name, &ru), None);
    assert!(warnings(&[remark("price_differs")], "RUB", &name, &ru).unwrap().contains("Батуты — 450,00"));
}
