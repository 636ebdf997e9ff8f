//! Keeping a controller's own list as the venue's list of staff says, for the time when nobody can be asked. Pure.
//!
//! One command at a time: the next is made when the controller has said what became of the last. What it holds is remembered over a restart of the gateway,
//! so that only the difference is sent; what it held before it was ever told is not known, and is cleared once. A card whose command may have been carried
//! out counts as perhaps held until the controller has spoken: it is told to add it again, or to remove it, and both do no harm when they have been done.
//!
//! Never: a command that left without what it may do being remembered; a card that is not on the list any more left in the controller for a lost answer.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::Personal;

/// Cards of one command: the answer that carries it has 1500 bytes in all.
const AT_ONCE: usize = 16;
/// Requests of the controller without a word on the command before it is sent again.
const PATIENCE: u32 = 3;
/// Requests of the controller that are let pass when it refuses to clear its list: a minute or more.
const PAUSE: u32 = 30;

/// What a controller holds. Twelve hex digits a card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    /// It has said so.
    sure: BTreeSet<Personal>,
    /// It was told to add or to remove them, and has not said that it did.
    perhaps: BTreeSet<Personal>,
}

/// What a command does to the list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Clear,
    Add(Vec<Personal>),
    Remove(Vec<Personal>),
}

/// What is news when a command has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that anybody has to know.
    None,
    /// The controller does not take a card; so many are refused by now.
    Refused(usize),
    /// It does not clear its list.
    NotCleared,
}

struct UnderWay {
    id: u64,
    change: Change,
    unanswered: u32,
}

/// The list of one controller.
pub(super) struct Cards {
    wanted: BTreeSet<Personal>,
    /// Nothing: not known.
    held: Option<Held>,
    under_way: Option<UnderWay>,
    /// A batch was refused: one by one, to find the card that is.
    one_by_one: bool,
    /// Refused by themselves; not told again until the controller or the gateway starts.
    refused: BTreeSet<Personal>,
    pause: u32,
}

impl Cards {
    /// `held`: as it was remembered by the last run; nothing where there was none.
    pub fn new(wanted: BTreeSet<Personal>, held: Option<Held>) -> Self {
        Self { wanted, held, under_way: None, one_by_one: false, refused: BTreeSet::new(), pause: 0 }
    }

    /// What is to be remembered before a command leaves, and when it has ended; nothing while it is not known what the controller holds.
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// The controller has started, perhaps with an empty list: all cards are told again.
    pub fn started(&mut self) {
        self.end();
        if let Some(held) = &mut self.held {
            held.perhaps.append(&mut held.sure);
        }
        self.refused.clear();
        (self.one_by_one, self.pause) = (false, 0);
    }

    /// Whether the controller holds the list, as far as it takes it.
    pub fn is_done(&self) -> bool {
        self.under_way.is_none() && self.change().is_none()
    }

    /// The next command, named `id`, or the last once more, under its old name; nothing when there is nothing to do, or it is the controller's turn.
    pub fn next(&mut self, id: u64) -> Option<Value> {
        if let Some(under_way) = &mut self.under_way {
            under_way.unanswered += 1;
            if under_way.unanswered < PATIENCE {
                return None;
            }
            under_way.unanswered = 0;
            return Some(command(under_way.id, &under_way.change));
        }
        self.pause = self.pause.saturating_sub(1);
        let change = self.change().filter(|_| self.pause == 0)?;
        if let Some(held) = &mut self.held {
            let (Change::Add(cards) | Change::Remove(cards)) = &change else { return None };
            for card in cards {
                held.sure.remove(card);
                held.perhaps.insert(card.clone());
            }
        }
        let said = command(id, &change);
        self.under_way = Some(UnderWay { id, change, unanswered: 0 });
        Some(said)
    }

    /// The command has not left after all.
    pub fn end(&mut self) {
        self.under_way = None;
    }

    fn change(&self) -> Option<Change> {
        let Some(held) = &self.held else { return Some(Change::Clear) };
        let at_once = if self.one_by_one { 1 } else { AT_ONCE };
        let some = |cards: &mut dyn Iterator<Item = &Personal>| cards.take(at_once).cloned().collect::<Vec<_>>();
        let gone = some(&mut held.sure.union(&held.perhaps).filter(|card| !self.wanted.contains(card)));
        if !gone.is_empty() {
            return Some(Change::Remove(gone));
        }
        let new = some(&mut self.wanted.iter().filter(|card| !held.sure.contains(card) && !self.refused.contains(card)));
        (!new.is_empty()).then_some(Change::Add(new))
    }

    /// The controller has carried out the command of that name, or has not. Nothing: the command was none of these.
    pub fn done(&mut self, id: u64, success: bool) -> Option<News> {
        let UnderWay { change, .. } = self.under_way.take_if(|under_way| under_way.id == id)?;
        if !success {
            return Some(self.refused(change));
        }
        match (change, &mut self.held) {
            (Change::Clear, held) => *held = Some(Held::default()),
            (Change::Add(cards), Some(held)) => cards.into_iter().for_each(|card| {
                held.perhaps.remove(&card);
                held.sure.insert(card);
            }),
            (Change::Remove(cards), Some(held)) => held.perhaps.retain(|card| !cards.contains(card)),
            (_, None) => {}
        }
        Some(News::None)
    }

    fn refused(&mut self, change: Change) -> News {
        match change {
            Change::Clear => {
                self.pause = PAUSE;
                return News::NotCleared;
            }
            Change::Add(cards) | Change::Remove(cards) if cards.len() > 1 => self.one_by_one = true,
            Change::Add(cards) => {
                self.refused.extend(cards);
                return News::Refused(self.refused.len());
            }
            // It may have lost it, or not know it by this name: a list made anew is certainly without it.
            Change::Remove(_) => self.held = None,
        }
        News::None
    }
}

fn command(id: u64, change: &Change) -> Value {
    match change {
        Change::Clear => json!({ "id": id, "operation": "clear_cards" }),
        Change::Add(cards) => {
            let cards: Vec<Value> = cards.iter().map(|card| json!({ "card": card, "flags": 0, "tz": 255 })).collect();
            json!({ "id": id, "operation": "add_cards", "cards": cards })
        }
        Change::Remove(cards) => {
            let cards: Vec<Value> = cards.iter().map(|card| json!({ "card": card })).collect();
            json!({ "id": id, "operation": "del_cards", "cards": cards })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(cards: impl IntoIterator<Item = u64>) -> BTreeSet<Personal> {
        cards.into_iter().map(|card| Personal::new(format!("{card:012X}"))).collect()
    }

    /// A controller that carries out what it is told.
    fn obey(list: &mut BTreeSet<Personal>, command: &Value) {
        let cards = || command["cards"].as_array().unwrap().iter().map(|card| Personal::new(card["card"].as_str().unwrap()));
        match command["operation"].as_str().unwrap() {
            "clear_cards" => list.clear(),
            "add_cards" => list.extend(cards()),
            "del_cards" => cards().for_each(|card| {
                list.remove(&card);
            }),
            other => panic!("{other}"),
        }
    }

    fn all_done(cards: &mut Cards, controller: &mut BTreeSet<Personal>) -> Vec<String> {
        let mut told = Vec::new();
        for id in 1.. {
            let Some(command) = cards.next(id) else { break };
            obey(controller, &command);
            told.push(command["operation"].as_str().unwrap().to_owned());
            assert_eq!(cards.done(id, true), Some(News::None));
        }
        assert!(cards.is_done());
        told
    }

    #[test]
    fn a_list_is_made_anew_once_and_then_only_changed_also_over_a_restart() {
        let (mut cards, mut controller) = (Cards::new(list([1, 2]), None), list([77]));
        assert_eq!(cards.next(10).unwrap()["operation"], "clear_cards");
        assert_eq!(cards.next(11), None, "it is the controller's turn");
        assert_eq!((cards.done(99, true), cards.done(10, true)), (None, Some(News::None)));
        controller.clear();
        assert_eq!(all_done(&mut cards, &mut controller), ["add_cards"]);
        let mut again = Cards::new(list([1, 2]), cards.held().cloned());
        assert!(all_done(&mut again, &mut controller).is_empty(), "nothing is told twice");
        let mut other = Cards::new(list([2, 3]), again.held().cloned());
        assert_eq!(all_done(&mut other, &mut controller), ["del_cards", "add_cards"]);
        assert_eq!(controller, list([2, 3]));
    }

    #[test]
    fn a_controller_that_started_is_told_all_cards_and_its_list_is_not_cleared() {
        let mut cards = Cards::new(list(1..=20), Some(Held { sure: list(1..=20), perhaps: BTreeSet::new() }));
        assert!(cards.is_done());
        cards.started();
        let mut controller = BTreeSet::new();
        assert_eq!(all_done(&mut cards, &mut controller), ["add_cards", "add_cards"]);
        assert_eq!(controller, list(1..=20));
    }

    #[test]
    fn a_card_that_is_refused_does_not_keep_the_others_out() {
        let (mut cards, mut controller) = (Cards::new(list(1..=5), Some(Held::default())), BTreeSet::new());
        let mut news = Vec::new();
        for id in 1.. {
            let Some(command) = cards.next(id) else { break };
            let good = !command.to_string().contains("000000000003");
            if good {
                obey(&mut controller, &command);
            }
            news.push(cards.done(id, good).unwrap());
        }
        assert_eq!(controller, list([1, 2, 4, 5]));
        assert_eq!(news.iter().filter(|news| **news == News::Refused(1)).count(), 1);
        assert!(cards.is_done(), "it is not told for ever");
    }

    #[test]
    fn a_card_that_cannot_be_removed_goes_with_a_new_list_and_one_that_is_not_cleared_is_tried_seldom() {
        let mut cards = Cards::new(list([1]), Some(Held { sure: list([1, 2]), perhaps: BTreeSet::new() }));
        assert_eq!(cards.next(1).unwrap()["operation"], "del_cards");
        assert_eq!(cards.done(1, false), Some(News::None));
        assert_eq!(cards.next(2).unwrap()["operation"], "clear_cards");
        assert_eq!(cards.done(2, false), Some(News::NotCleared));
        assert_eq!((3..).find_map(|id| cards.next(id)).unwrap(), json!({ "id": 2 + u64::from(PAUSE), "operation": "clear_cards" }));
    }

    proptest! {
        /// A run of the gateway after another, each with another list; commands and answers get lost, the gateway and the controller start anew at any moment.
        #[test]
        fn whatever_is_lost_the_controller_ends_with_the_list_and_no_card_of_before_stays(
            lists in proptest::collection::vec(proptest::collection::vec(0_u64..60, 0..50), 1..5),
            luck in proptest::collection::vec(0_u8..7, 1..80),
        ) {
            let (mut kept, mut controller): (Option<Held>, _) = (None, list([1_000]));
            let mut luck = luck.into_iter().cycle();
            for (run, wanted) in (0_u64..).zip(&lists) {
                let wanted = list(wanted.iter().copied());
                let mut cards = Cards::new(wanted.clone(), kept.clone());
                let last = run + 1 == lists.len() as u64;
                for id in 0..if last { 800 } else { 15 } {
                    let id = run << 32 | id;
                    // From some point on all goes well; the last run may end then.
                    let well = last && id & 0xFFFF > 60;
                    if well && cards.is_done() {
                        break;
                    }
                    let command = cards.next(id);
                    kept = cards.held().cloned();
                    let Some(command) = command else { continue };
                    let id = command["id"].as_u64().unwrap();
                    match if well { 0 } else { luck.next().unwrap_or(0) } {
                        0..=2 => {
                            obey(&mut controller, &command);
                            cards.done(id, true);
                        }
                        3 => obey(&mut controller, &command),
                        4 => {
                            cards.done(id, false);
                        }
                        5 => {
                            controller.clear();
                            cards.started();
                            // Its word is answered when this is on disk, and is said again until then.
                            kept = cards.held().cloned();
                        }
                        _ => {}
                    }
                    // The answer's outcome is remembered, or the box dies first.
                    if well || luck.next() != Some(0) {
                        kept = cards.held().cloned();
                    }
                }
                if last {
                    prop_assert!(controller.is_subset(&wanted), "no card of before");
                    prop_assert!(wanted.difference(&controller).all(|card| cards.refused.contains(card)));
                }
            }
        }

        #[test]
        fn a_command_fits_an_answer(count in 0_u64..200) {
            let mut cards = Cards::new(list(0..count), Some(Held::default()));
            if let Some(command) = cards.next(u64::MAX) {
                prop_assert!(command.to_string().len() < super::super::wire::MOST_ANSWER - 200);
            }
        }
    }
}
