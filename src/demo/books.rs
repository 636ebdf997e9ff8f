//! The closing books: what the simulators made against what Lime and the CRM hold, line by line.
//!
//! Every pass that the gateway stored is looked for at both ends by its key, and every pass that a simulator saw acknowledged by its medium and place.

use std::collections::BTreeMap;

/// A medium at a service point: what both sides can name.
pub type Presented = (String, String);

/// What was counted, on which side.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Presentations by the simulators, by medium and place.
    pub made: BTreeMap<Presented, u64>,
    /// Those whose acknowledgement was seen.
    pub acknowledged: BTreeMap<Presented, u64>,
    /// Write-offs that Lime holds, by medium and place.
    pub lime: BTreeMap<Presented, u64>,
    /// Write-off ids that Lime holds, with how often each took effect.
    pub lime_effects: BTreeMap<String, u64>,
    /// Of them, those that the CRM is to be told of.
    pub owed_to_crm: Vec<String>,
    /// Entries in the CRM by business key, with how many there are.
    pub crm: BTreeMap<String, u64>,
    /// Jobs that the gateway says wait.
    pub waiting: u64,
    /// Jobs that the gateway says were refused for good.
    pub refused: u64,
}

/// The books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Passes made by the simulators.
    pub made: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Written off in Lime.
    pub lime: u64,
    /// Owed to the CRM.
    pub owed: u64,
    /// In the CRM.
    pub crm: u64,
    /// Wait.
    pub waiting: u64,
    /// Refused for good.
    pub refused: u64,
    /// Acknowledged, and not in Lime; or in Lime, owed to the CRM and not there: neither waiting nor refused.
    pub lost: u64,
    /// More effects than one for a key, at either end; or more write-offs of a medium at a place than were presented.
    pub doubled: u64,
}

impl Books {
    /// Draws them up.
    #[must_use]
    pub fn of(counted: &Counted) -> Self {
        let missing_in_lime: u64 =
            counted.acknowledged.iter().map(|(presented, count)| count.saturating_sub(counted.lime.get(presented).copied().unwrap_or(0))).sum();
        let missing_in_crm = counted.owed_to_crm.iter().filter(|key| !counted.crm.contains_key(*key)).count() as u64;
        let extra: u64 = counted.lime.iter().map(|(presented, count)| count.saturating_sub(counted.made.get(presented).copied().unwrap_or(0))).sum();
        let twice = |effects: &BTreeMap<String, u64>| effects.values().map(|count| count.saturating_sub(1)).sum::<u64>();
        Self {
            made: counted.made.values().sum(),
            acknowledged: counted.acknowledged.values().sum(),
            lime: counted.lime_effects.len() as u64,
            owed: counted.owed_to_crm.len() as u64,
            crm: counted.crm.len() as u64,
            waiting: counted.waiting,
            refused: counted.refused,
            lost: (missing_in_lime + missing_in_crm).saturating_sub(counted.waiting + counted.refused),
            doubled: extra + twice(&counted.lime_effects) + twice(&counted.crm),
        }
    }

    /// Nothing lost, nothing doubled, nothing waiting or refused, something done.
    #[must_use]
    pub fn balance(&self) -> bool {
        self.made > 0 && self.lost == 0 && self.doubled == 0 && self.waiting == 0 && self.refused == 0 && self.owed == self.crm
    }

    /// As printed at the end.
    #[must_use]
    pub fn text(&self, crm: &str) -> String {
        let verdict = if self.balance() { "the books balance" } else { "THE BOOKS DO NOT BALANCE" };
        format!(
            "passes made by the simulators   {:>7}\n\
             acknowledged                    {:>7}\n\
             written off in Lime             {:>7}\n\
             owed to {crm:<24}{:>7}\n\
             in {crm:<29}{:>7}\n\
             waiting                         {:>7}\n\
             refused                         {:>7}\n\
             lost                            {:>7}\n\
             doubled                         {:>7}\n\
             {verdict}",
            self.made, self.acknowledged, self.lime, self.owed, self.crm, self.waiting, self.refused, self.lost, self.doubled
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Counted {
        let at = |medium: &str| (medium.to_owned(), "sp-1".to_owned());
        Counted {
            made: BTreeMap::from([(at("A"), 2), (at("B"), 1)]),
            acknowledged: BTreeMap::from([(at("A"), 2)]),
            lime: BTreeMap::from([(at("A"), 2)]),
            lime_effects: BTreeMap::from([("1".into(), 1), ("2".into(), 1)]),
            owed_to_crm: vec!["1".into(), "2".into()],
            crm: BTreeMap::from([("1".into(), 1), ("2".into(), 1)]),
            waiting: 0,
            refused: 0,
        }
    }

    #[test]
    fn a_pass_that_nobody_acknowledged_may_be_missing() {
        assert!(Books::of(&good()).balance());
    }

    #[test]
    fn an_acknowledged_pass_that_is_not_in_lime_is_lost() {
        let mut counted = good();
        counted.lime.clear();
        assert_eq!(Books::of(&counted).lost, 2);
    }

    #[test]
    fn a_write_off_that_the_crm_lacks_is_lost() {
        let mut counted = good();
        counted.crm.remove("2");
        assert_eq!(Books::of(&counted).lost, 1);
        assert!(!Books::of(&counted).balance());
    }

    #[test]
    fn two_effects_of_one_key_are_doubled_at_either_end() {
        let mut counted = good();
        counted.lime_effects.insert("1".into(), 2);
        counted.crm.insert("2".into(), 3);
        assert_eq!(Books::of(&counted).doubled, 3);
    }

    #[test]
    fn more_write_offs_than_presentations_are_doubled() {
        let mut counted = good();
        counted.lime.insert(("A".into(), "sp-1".into()), 3);
        assert_eq!(Books::of(&counted).doubled, 1);
    }
}
