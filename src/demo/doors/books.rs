//! The closing books of gates that decide: what guests showed and the modules did, against what Lime and the CRM hold.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::demo::books::Presented;

/// What Lime answers to a second guest on a ticket for one.
const USED: &str = "already_used";

/// What was counted, on which side.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// Cards shown, by card and place. By the readers.
    pub shown: BTreeMap<Presented, u64>,
    /// Tickets for one, with how often they were tried again. By the guests.
    pub tried_again: BTreeMap<String, u64>,
    /// By the modules: releases, guests through, relays still on.
    pub opened: u64,
    /// Guests through.
    pub passed: u64,
    /// Relays that are on at the end.
    pub on: u64,
    /// Opened by a person.
    pub by_hand: u64,
    /// What Lime holds.
    pub lime: Vec<Held>,
    /// Cards that Lime was asked about while the guest stood there.
    pub asked: u64,
    /// Entries in the CRM by business key, with how many there are.
    pub crm: BTreeMap<String, u64>,
    /// Jobs that the gateway says wait.
    pub waiting: u64,
    /// Jobs that the gateway says were refused for good.
    pub given_up: u64,
}

/// A pass as Lime holds it.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub id: String,
    pub presented: Presented,
    /// Something was taken for it.
    pub written_off: bool,
    /// `ok`, or why the guest was refused.
    pub code: String,
    /// How often it took effect.
    pub effects: u64,
}

impl Held {
    /// All that Lime holds, out of the sandbox's state.
    pub fn all(lime: &Value) -> Vec<Self> {
        let stored = lime.get("write_offs").and_then(Value::as_object);
        let held = |(id, stored): (&String, &Value)| {
            let text = |key: &str| stored.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            Self {
                id: id.clone(),
                presented: (text("medium"), text("service_point_id")),
                written_off: matches!(text("status").as_str(), "applied" | "applied_with_debt"),
                code: text("code"),
                effects: stored.get("applied").and_then(Value::as_u64).unwrap_or(0),
            }
        };
        stored.into_iter().flatten().map(held).collect()
    }

    /// The guest was let in.
    fn admitted(&self) -> bool {
        self.written_off || self.code == "ok"
    }
}

/// The books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Books {
    shown: u64,
    opened: u64,
    by_hand: u64,
    /// Let in, as Lime has it.
    admitted: u64,
    refused: BTreeMap<String, u64>,
    passed: u64,
    written_off: u64,
    alone: u64,
    crm: u64,
    waiting: u64,
    given_up: u64,
    lost: u64,
    doubled: u64,
    tried_again: u64,
    caught: u64,
    on: u64,
}

impl Books {
    /// Draws them up.
    pub fn of(counted: &Counted) -> Self {
        let mut at: BTreeMap<&Presented, u64> = BTreeMap::new();
        let mut refused: BTreeMap<String, u64> = BTreeMap::new();
        for held in &counted.lime {
            *at.entry(&held.presented).or_default() += 1;
            if !held.admitted() {
                *refused.entry(held.code.clone()).or_default() += 1;
            }
        }
        let count = |matches: &dyn Fn(&Held) -> bool| counted.lime.iter().filter(|held| matches(held)).count() as u64;
        let missing_in_lime: u64 = counted.shown.iter().map(|(shown, count)| count.saturating_sub(at.get(shown).copied().unwrap_or(0))).sum();
        let missing_in_crm = count(&|held| held.written_off && !counted.crm.contains_key(&held.id));
        let extra: u64 = at.iter().map(|(shown, count)| count.saturating_sub(counted.shown.get(*shown).copied().unwrap_or(0))).sum();
        let twice = counted.lime.iter().map(|held| held.effects).chain(counted.crm.values().copied()).map(|effects| effects.saturating_sub(1));
        let of_ticket = |ticket: &str, matches: &dyn Fn(&Held) -> bool| count(&|held| held.presented.0 == ticket && matches(held));
        let tickets = counted.tried_again.keys();
        let used_twice: u64 = tickets.clone().map(|ticket| of_ticket(ticket, &|held| held.written_off).saturating_sub(1)).sum();
        Self {
            shown: counted.shown.values().sum(),
            opened: counted.opened,
            by_hand: counted.by_hand,
            admitted: count(&Held::admitted),
            refused,
            passed: counted.passed,
            written_off: count(&|held| held.written_off),
            alone: (counted.lime.len() as u64).saturating_sub(counted.asked),
            crm: counted.crm.len() as u64,
            waiting: counted.waiting,
            given_up: counted.given_up,
            lost: missing_in_lime + missing_in_crm,
            doubled: extra + twice.sum::<u64>() + used_twice,
            tried_again: counted.tried_again.values().sum(),
            caught: tickets.map(|ticket| of_ticket(ticket, &|held| !held.admitted() && held.code == USED)).sum(),
            on: counted.on,
        }
    }

    /// Every card is in Lime once, every release and passage has its reason, every write-off is in the CRM once, and nobody went in twice on one ticket.
    pub fn balance(&self) -> bool {
        self.shown == self.admitted + self.refused.values().sum::<u64>()
            && self.opened == self.admitted + self.by_hand
            && self.passed == self.written_off + self.by_hand
            && self.crm == self.written_off
            && self.caught == self.tried_again
            && self.shown > 0
            && [self.waiting, self.given_up, self.lost, self.doubled, self.on] == [0; 5]
    }

    /// As printed at the end.
    pub fn text(&self, crm: &str) -> String {
        let mut text = String::new();
        let mut line = |label: &str, count: u64, more: &str| text.push_str(&format!("{label:<38}{count:>7}{more}\n"));
        line("cards shown to the readers", self.shown, "");
        line("  let in, as Lime has it", self.admitted, "");
        for (code, count) in &self.refused {
            line(&format!("  refused, {code}"), *count, "");
        }
        line("decided by the box without Lime", self.alone, "");
        line("gates opened, by the modules", self.opened, &format!("  ({} by hand)", self.by_hand));
        line("went through, by the modules", self.passed, &format!("  ({} by hand)", self.by_hand));
        line("written off in Lime", self.written_off, "");
        line(&format!("deals in {crm}"), self.crm, "");
        line("waiting", self.waiting, "");
        line("given up", self.given_up, "");
        line("lost", self.lost, "");
        line("doubled", self.doubled, "");
        line("tickets for one tried again", self.tried_again, &format!("  ({} caught)", self.caught));
        line("relays left on", self.on, "");
        text.push_str(if self.balance() { "the books balance" } else { "THE BOOKS DO NOT BALANCE" });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(card: &str) -> Presented {
        (card.to_owned(), "sp-1".to_owned())
    }

    fn held(id: &str, card: &str, code: &str, written_off: bool) -> Held {
        Held { id: id.to_owned(), presented: at(card), written_off, code: code.to_owned(), effects: u64::from(written_off) }
    }

    /// One went through, one turned back, a ticket was used and tried again, a person opened once.
    fn good() -> Counted {
        Counted {
            shown: BTreeMap::from([(at("A"), 1), (at("B"), 1), (at("T"), 2)]),
            tried_again: BTreeMap::from([("T".to_owned(), 1)]),
            opened: 4,
            passed: 3,
            by_hand: 1,
            lime: vec![held("1", "A", "ok", true), held("2", "B", "ok", false), held("3", "T", "ok", true), held("4", "T", USED, false)],
            asked: 4,
            crm: BTreeMap::from([("1".to_owned(), 1), ("3".to_owned(), 1)]),
            ..Counted::default()
        }
    }

    fn changed(change: impl FnOnce(&mut Counted)) -> Books {
        let mut counted = good();
        change(&mut counted);
        Books::of(&counted)
    }

    #[test]
    fn who_turned_back_pays_nothing_and_who_opened_by_hand_is_no_write_off() {
        assert!(Books::of(&good()).balance(), "{}", Books::of(&good()).text("CRM"));
    }

    #[test]
    fn a_card_that_lime_has_not_or_the_crm_has_not_is_lost() {
        let books = changed(|counted| drop(counted.lime.remove(0)));
        assert_eq!((books.lost, books.balance()), (1, false));
        let books = changed(|counted| {
            counted.crm.remove("1");
        });
        assert_eq!((books.lost, books.balance()), (1, false));
    }

    #[test]
    fn a_ticket_for_one_that_let_two_in_is_doubled_and_not_caught() {
        let books = changed(|counted| {
            counted.lime[3] = held("4", "T", "ok", true);
            counted.crm.insert("4".to_owned(), 1);
            (counted.opened, counted.passed) = (5, 4);
        });
        assert_eq!((books.doubled, books.caught, books.balance()), (1, 0, false));
    }

    #[test]
    fn a_gate_that_opened_or_was_passed_without_a_reason_does_not_balance() {
        assert!(!changed(|counted| counted.opened += 1).balance());
        assert!(!changed(|counted| counted.passed += 1).balance());
        assert!(!changed(|counted| counted.on = 1).balance());
        assert!(!changed(|counted| counted.waiting = 1).balance());
    }
}
