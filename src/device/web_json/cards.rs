//! Keeping a controller's own list of cards as it should be, for the time when nobody can be asked. Pure.
//!
//! One command at a time: the next is made when the controller has said that the last was carried out. What the controller holds is not known at its first
//! word, so the list is then made anew; later only what changed is sent.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Cards of one command: the answer that carries it has 1500 bytes in all.
const AT_ONCE: usize = 16;
/// Requests of the controller without a word on the command before it is sent again.
const PATIENCE: u32 = 3;

/// Which cards a controller lets in when it decides alone.
pub trait AllowList: Send + Sync {
    /// Changes when the list does.
    fn version(&self) -> u64;

    /// The cards: hex digits as the controller spells them, twelve at most.
    fn cards(&self) -> BTreeSet<String>;
}

/// What a command does to the list.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Clear,
    Add(Vec<String>),
    Remove(Vec<String>),
}

/// The list of one controller.
#[derive(Debug, Default)]
pub(super) struct Cards {
    /// What it holds, as far as it has confirmed it.
    held: Option<BTreeSet<String>>,
    /// What it is to hold, and of which version that is.
    wanted: Option<(u64, BTreeSet<String>)>,
    under_way: Option<(u64, Change, u32)>,
}

impl Cards {
    /// The controller has started: what it holds is not known.
    pub fn forget(&mut self) {
        self.held = None;
        self.under_way = None;
    }

    /// The next command, named `id`, or the last once more, under its old name; nothing when there is nothing to do, or it is the controller's turn.
    pub fn next(&mut self, list: &dyn AllowList, id: u64) -> Option<Value> {
        if let Some((sent, change, unanswered)) = &mut self.under_way {
            *unanswered += 1;
            if *unanswered < PATIENCE {
                return None;
            }
            *unanswered = 0;
            return Some(command(*sent, change));
        }
        let version = list.version();
        if self.wanted.as_ref().is_none_or(|(known, _)| *known != version) {
            self.wanted = Some((version, list.cards()));
        }
        let change = self.change()?;
        let said = command(id, &change);
        self.under_way = Some((id, change, 0));
        Some(said)
    }

    fn change(&self) -> Option<Change> {
        let (_, wanted) = self.wanted.as_ref()?;
        let Some(held) = &self.held else { return Some(Change::Clear) };
        let some = |cards: Vec<&String>| cards.into_iter().take(AT_ONCE).cloned().collect::<Vec<_>>();
        let gone = some(held.difference(wanted).collect());
        if !gone.is_empty() {
            return Some(Change::Remove(gone));
        }
        let new = some(wanted.difference(held).collect());
        (!new.is_empty()).then_some(Change::Add(new))
    }

    /// The controller has carried out the command of that name, or has not. Returns whether it was one of these.
    pub fn done(&mut self, id: u64, success: bool) -> bool {
        let Some((_, change, _)) = self.under_way.take_if(|(sent, ..)| *sent == id) else { return false };
        if success {
            match change {
                Change::Clear => self.held = Some(BTreeSet::new()),
                Change::Add(cards) => self.held.get_or_insert_default().extend(cards),
                Change::Remove(cards) => self.held.get_or_insert_default().retain(|card| !cards.contains(card)),
            }
        }
        true
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
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;

    struct List(u64, BTreeSet<String>);

    impl AllowList for List {
        fn version(&self) -> u64 {
            self.0
        }

        fn cards(&self) -> BTreeSet<String> {
            self.1.clone()
        }
    }

    fn list(version: u64, cards: &[u64]) -> List {
        List(version, cards.iter().map(|card| format!("{card:012X}")).collect())
    }

    /// A controller that carries out what it is told.
    #[derive(Default)]
    struct Controller(RefCell<BTreeSet<String>>);

    impl Controller {
        fn obey(&self, command: &Value) {
            let cards = || command["cards"].as_array().unwrap().iter().map(|card| card["card"].as_str().unwrap().to_owned());
            let mut held = self.0.borrow_mut();
            match command["operation"].as_str().unwrap() {
                "clear_cards" => held.clear(),
                "add_cards" => held.extend(cards()),
                "del_cards" => cards().for_each(|card| {
                    held.remove(&card);
                }),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_list_is_made_anew_once_and_then_only_changed() {
        let mut cards = Cards::default();
        assert_eq!(cards.next(&list(1, &[1, 2]), 10).unwrap()["operation"], "clear_cards");
        assert_eq!(cards.next(&list(1, &[1, 2]), 11), None, "it is the controller's turn");
        assert!(!cards.done(99, true) && cards.done(10, true));
        assert_eq!(cards.next(&list(1, &[1, 2]), 12).unwrap()["cards"].as_array().unwrap().len(), 2);
        assert!(cards.done(12, true));
        assert_eq!(cards.next(&list(1, &[1, 2]), 13), None);
        let change = cards.next(&list(2, &[2, 3]), 14).unwrap();
        assert_eq!((&change["operation"], &change["cards"][0]["card"]), (&json!("del_cards"), &json!("000000000001")));
    }

    proptest! {
        #[test]
        fn however_often_a_command_or_its_answer_is_lost_the_controller_ends_with_the_list(
            versions in proptest::collection::vec(proptest::collection::vec(0_u64..60, 0..50), 1..4),
            luck in proptest::collection::vec(0_u8..4, 1..60),
        ) {
            let (mut cards, controller) = (Cards::default(), Controller::default());
            let mut luck = luck.into_iter().cycle();
            for (version, wanted) in versions.iter().enumerate() {
                let list = list(version as u64, wanted);
                for id in 0..600 {
                    // A controller that forgets all with each command would never be done.
                    match cards.next(&list, (version as u64) << 32 | id) {
                        Some(command) => match if id < 60 { luck.next().unwrap_or(0) } else { 0 } {
                            0 | 1 => {
                                controller.obey(&command);
                                cards.done(command["id"].as_u64().unwrap(), true);
                            }
                            2 => controller.obey(&command),
                            _ => {}
                        },
                        None if cards.under_way.is_none() => break,
                        None => {}
                    }
                }
                prop_assert_eq!(&*controller.0.borrow(), &list.1);
            }
        }

        #[test]
        fn a_command_fits_an_answer(count in 0_u64..200) {
            let list = list(1, &(0..count).collect::<Vec<_>>());
            let mut cards = Cards { held: Some(BTreeSet::new()), ..Cards::default() };
            if let Some(command) = cards.next(&list, u64::MAX) {
                prop_assert!(command.to_string().len() < super::super::wire::MOST_ANSWER - 200);
            }
        }
    }
}
