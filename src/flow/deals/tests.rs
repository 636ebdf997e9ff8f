//! Rules, titles, rows and refunds by example.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use super::*;
use crate::config::{DealRule, Language, StageRef};
use crate::domain::{Money, ReceiptKind};
use crate::journal::LedgerKey;

/// 14:32 on 22.11.2026 in Yekaterinburg.
const AT: i64 = 1_795_339_920_000;

fn line(product: &str, name: &str, quantity: i64, amount: i64) -> ReceiptLine {
    ReceiptLine { good_type_id: Some(product.to_owned()), name: name.to_owned(), quantity, amount }
}

fn receipt(lines: &[ReceiptLine], total: i64) -> Receipt {
    Receipt {
        id: "t-1".into(),
        kind: ReceiptKind::Sale,
        client_id: None,
        receipt_id: Some("rc-7".into()),
        occurred_ms: AT,
        service_point: Some("sp-4".into()),
        write_off_id: None,
        lines: lines.to_vec(),
        total: Money { minor: total, currency: "RUB".into() },
        payments: Vec::new(),
    }
}

fn rule(group: Option<StageRef>) -> DealRule {
    DealRule {
        kinds: BTreeSet::from([ReceiptKind::Sale, ReceiptKind::TopUp]),
        group,
        service_point: None,
        at_least: None,
        at_most: None,
        pipeline: StageRef::Name("Продажи".into()),
        stage: StageRef::Default,
        title: "{what}".into(),
        responsible: None,
        refunded: Some(StageRef::Name("Возврат".into())),
    }
}

fn texts() -> Texts {
    Texts::new(Language::Ru, TimeZone::get("Asia/Yekaterinburg").unwrap())
}

/// Билеты > Детские > Батуты.
fn groups(key: &LedgerKey) -> Option<String> {
    if *key == tree_key() {
        return Some(r#"{"cursor":"7","walked":{"id":"","told":4,"passed":0}}"#.to_owned());
    }
    assert_eq!(key.kind, "lime.product");
    let known = BTreeMap::from([
        ("p-1", r#"{"parent":"g-2","name":"Батуты 1 час"}"#),
        ("g-2", r#"{"parent":"g-1","name":"Детские"}"#),
        ("g-1", r#"{"name":"Билеты"}"#),
        ("p-9", r#"{"parent":"p-9","name":"Круг"}"#),
    ]);
    known.get(key.key.as_str()).map(|text| (*text).to_owned())
}

#[test]
fn a_rule_for_a_group_takes_what_is_in_it_however_deep() {
    let sale = receipt(&[line("p-1", "Батуты 1 час", 1, 50_000)], 50_000);
    let takes = |group: StageRef| matches!(rule_for(&sale, &[rule(Some(group))], &groups, false), Fit::Rule(..));
    assert!(takes(StageRef::Id("p-1".into())) && takes(StageRef::Id("g-2".into())) && takes(StageRef::Id("g-1".into())));
    assert!(takes(StageRef::Name(" билеты".into())), "names are compared as people write them");
    assert!(!takes(StageRef::Id("g-7".into())) && !takes(StageRef::Name("Кафе".into())));
    let circle = receipt(&[line("p-9", "Круг", 1, 1)], 1);
    assert_eq!(rule_for(&circle, &[rule(Some(StageRef::Id("g-1".into())))], &groups, false), Fit::Nothing, "a group that is its own parent ends");
    let unknown = receipt(&[line("p-404", "?", 1, 1)], 1);
    let tickets = [rule(Some(StageRef::Name("Билеты".into())))];
    assert_eq!(rule_for(&unknown, &tickets, &groups, false), Fit::Nothing);
    assert_eq!(rule_for(&unknown, &tickets, &groups, true), Fit::NotYet, "a product that was sold in the breath in which it was made");
}

#[test]
fn while_the_tree_is_not_read_only_what_depends_on_it_waits() {
    let sale = receipt(&[line("p-1", "Батуты 1 час", 1, 50_000)], 50_000);
    let by_group = rule(Some(StageRef::Name("Билеты".into())));
    let nothing = |_: &LedgerKey| None::<String>;
    let number = |rules: &[DealRule], groups: &dyn Groups| match rule_for(&sale, rules, groups, false) {
        Fit::Rule(number, _) => Some(number),
        Fit::Nothing => None,
        Fit::NotYet => Some(404),
    };
    assert_eq!(number(&[by_group.clone(), rule(None)], &nothing), Some(404));
    assert_eq!(number(&[rule(None), by_group.clone()], &nothing), Some(0), "a rule that comes first is not kept waiting");
    assert_eq!(number(&[DealRule { at_least: Some(100_000), ..by_group.clone() }], &nothing), None, "it does not fit, whatever the group");
    let walking = |key: &LedgerKey| if *key == tree_key() { Some(r#"{"cursor":"3","walk":{"told":2}}"#.to_owned()) } else { groups(key) };
    assert_eq!(number(std::slice::from_ref(&by_group), &walking), Some(0), "what is known counts at once");
    let half = |key: &LedgerKey| walking(key).filter(|_| key.key != "g-1");
    assert_eq!(number(&[by_group], &half), Some(404));
    assert!(groups.is_read() && !walking.is_read() && !nothing.is_read());
}

#[test]
fn the_first_rule_that_fits_kind_place_and_sum_counts() {
    let mut sale = receipt(&[line("p-1", "Батуты 1 час", 1, 50_000)], 50_000);
    let rules = [
        DealRule { at_least: Some(100_000), ..rule(None) },
        DealRule { service_point: Some("sp-5".into()), ..rule(None) },
        DealRule { at_most: Some(50_000), at_least: Some(50_000), ..rule(None) },
        rule(None),
    ];
    assert!(matches!(rule_for(&sale, &rules, &groups, false), Fit::Rule(2, _)));
    sale.total.minor = 100_000;
    assert!(matches!(rule_for(&sale, &rules, &groups, false), Fit::Rule(0, _)));
    sale.kind = ReceiptKind::Refund;
    assert_eq!(rule_for(&sale, &rules, &groups, false), Fit::Nothing);
}

#[test]
fn a_title_says_what_was_sold_where_when_and_for_how_much() {
    let sale = receipt(&[line("p-1", "Батуты {sum}", 2, 100_000), line("p-2", "Носки", 1, 15_000)], 115_000);
    let made = title("Покупка {receipt}: {what}, {point}, {date}, {sum}", &sale, Some("Касса 1"), &texts());
    assert_eq!(made, "Покупка rc-7: Батуты {sum} ×2, Носки, Касса 1, 22.11.2026 14:32, 1\u{a0}150,00\u{a0}₽");
    assert_eq!(title("{what}, {point}", &sale, None, &texts()), "Батуты {sum} ×2, Носки, sp-4");
    let nowhere = Receipt { service_point: None, lines: Vec::new(), ..sale };
    assert_eq!(title("Покупка: {what}, {point}", &nowhere, None, &texts()), "Покупка");
    assert_eq!(title("Покупка: {what}, {date}", &nowhere, None, &texts()), "Покупка: 22.11.2026 14:32");
}

#[test]
fn rows_add_up_to_the_total_to_the_last_kopeck() {
    let sum = |rows: &[Row]| rows.iter().map(Row::amount).sum::<i64>();
    let sale = receipt(&[line("p-1", "Батуты", 3, 1_000), line("p-2", "Носки", 2, 30_000)], 31_000);
    let made = rows(&sale, &texts());
    assert_eq!((sum(&made), made.len(), difference(&sale)), (31_000, 3, 0));
    let discount = rows(&Receipt { total: Money { minor: 28_000, currency: "RUB".into() }, ..sale.clone() }, &texts());
    assert_eq!(discount.last().map(|row| (row.name.as_str(), row.price)), Some(("Скидка", -3_000)));
    assert_eq!(sum(&discount), 28_000);
    let surcharge = rows(&Receipt { total: Money { minor: 31_001, currency: "RUB".into() }, ..sale }, &texts());
    assert_eq!((sum(&surcharge), surcharge.last().map(|row| row.name.as_str())), (31_001, Some("Наценка")));
    let odd = receipt(&[line("p-1", "Без числа", 0, 700), line("p-2", "Возврат", 3, -1_000)], -300);
    assert_eq!(sum(&rows(&odd, &texts())), -300);
}

#[test]
fn refunds_are_counted_once_each_until_all_of_it_is_given_back() {
    let sale = receipt(&[line("p-1", "Батуты", 2, 100_000)], 100_000);
    let mut sold = Sold::new("8001", &sale, &rule(None));
    let refund =
        |id: &str, minor: i64| Receipt { id: id.into(), kind: ReceiptKind::Refund, total: Money { minor, currency: "RUB".into() }, ..sale.clone() };
    assert_eq!(sold_key(&refund("t-2", 1)), sold_key(&sale), "a refund has the number of its sale");
    assert_eq!(sold.give_back(&refund("t-2", 40_000)), GivenBack::Part { left: 60_000 });
    assert_eq!(sold.give_back(&refund("t-2", 40_000)), GivenBack::Part { left: 60_000 }, "told again");
    let mut sold = Sold::from_json(&sold.to_json()).unwrap();
    assert_eq!(sold.give_back(&refund("t-3", -60_000)), GivenBack::Whole);
    assert_eq!(sold.refunded, Some(StageRef::Name("Возврат".into())));
}

#[test]
fn a_refund_waits_for_its_sale_while_anything_older_waits_and_for_one_of_nobody_known_ten_minutes() {
    let sale = receipt(&[line("p-1", "Батуты", 1, 50_000)], 50_000);
    let nobody = Receipt { kind: ReceiptKind::Refund, client_id: None, ..sale.clone() };
    let somebody = Receipt { client_id: Some("c-1".into()), ..nobody.clone() };
    let (soon, late) = (nobody.occurred_ms + 599_999, nobody.occurred_ms + 600_000);
    let secs = |secs| Some(Duration::from_secs(secs));
    assert_eq!((next_look(&nobody, true, 0, soon), next_look(&nobody, true, 0, late)), (secs(30), None));
    assert_eq!(next_look(&somebody, true, 0, soon), None, "it stands behind its sale");
    assert_eq!(
        (next_look(&somebody, false, 0, late), next_look(&nobody, false, 2, late), next_look(&nobody, false, 99, late)),
        (secs(30), secs(120), secs(900))
    );
    assert_eq!(next_look(&Receipt { receipt_id: None, ..nobody }, false, 0, soon), None, "nothing can be found without a number");
}

#[test]
fn old_receipts_and_those_of_a_walk_are_history() {
    let sale = receipt(&[], 0);
    let stamp = crate::domain::Stamp { boot: crate::domain::BootId(uuid::Uuid::nil()), boot_ms: 0, wall_ms: 0, sync: crate::domain::Sync::Synced };
    let told = |back_fill| Change {
        told: crate::domain::Told::Receipt(sale.clone()),
        version: String::new(),
        changed_ms: AT,
        origin: None,
        back_fill,
        stamp,
    };
    let day = Duration::from_secs(86_400);
    assert!(!is_back_fill(&told(false), &sale, day, AT + 86_400_000));
    assert!(is_back_fill(&told(false), &sale, day, AT + 86_400_001));
    assert!(is_back_fill(&told(true), &sale, day, AT));
    assert!(!is_back_fill(&told(false), &sale, day, 0), "a box without a clock");
}
