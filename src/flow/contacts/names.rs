//! A CRM with two fields for names (amoCRM: first name with patronymic, family name) and Lime's three, there and back.

use super::held::{Card, Held};
use crate::domain::ContactField;

/// Names as a CRM with two fields has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// First name and patronymic.
    pub first: Held,
    /// Family name.
    pub last: Held,
}

/// Three fields as two.
#[must_use]
pub fn joined(card: &Card) -> Joined {
    let of = |field: ContactField| card.get(&field).cloned().unwrap_or_default();
    let (first, middle) = (of(ContactField::FirstName), of(ContactField::MiddleName));
    Joined { first: Held::text(&format!("{} {}", first.reveal(), middle.reveal())), last: of(ContactField::LastName) }
}

/// Two fields as three: put into `card`. Where the words are those that Lime has, they are split as Lime has them; else the last word is a patronymic when
/// it looks like one. A whole name that was typed into the first field, family name first, is taken apart where the other is empty.
pub fn split(first: &str, last: &str, lime: &Card, card: &mut Card) {
    let first = Held::text(first);
    let mut words: Vec<&str> = first.reveal().split(' ').filter(|word| !word.is_empty()).collect();
    let mut last = Held::text(last);
    let of = |field: ContactField| lime.get(&field).map(Held::reveal).unwrap_or_default();
    if let ([family, _, .., end], true) = (words.as_slice(), last.is_blank())
        && (looks_like_patronymic(end) || same(family, of(ContactField::LastName)))
    {
        last = Held::text(family);
        words.remove(0);
    }
    let known_middle = of(ContactField::MiddleName);
    let known: Vec<&str> = known_middle.split(' ').filter(|word| !word.is_empty()).collect();
    let middle = if !known.is_empty() && words.len() > known.len() && words.ends_with(&known) {
        known.len()
    } else if words.len() > 1 && words.join(" ") != of(ContactField::FirstName) && words.last().is_some_and(|word| looks_like_patronymic(word)) {
        // «Мамед Али оглы»: the word before belongs to it.
        if words.len() > 2 && words.last().is_some_and(|word| TURKIC.iter().any(|end| same(word, end))) { 2 } else { 1 }
    } else {
        0
    };
    let at = words.len().saturating_sub(middle);
    let text = |words: Option<&[&str]>| Held::text(&words.unwrap_or_default().join(" "));
    card.insert(ContactField::FirstName, text(words.get(..at)));
    card.insert(ContactField::MiddleName, text(words.get(at..)));
    card.insert(ContactField::LastName, last);
}

/// Words that end a patronymic of two words.
const TURKIC: [&str; 4] = ["оглы", "кызы", "оглу", "гызы"];

/// How Russian patronymics end.
const ENDS: [&str; 8] = ["ович", "евич", "ьич", "мич", "тич", "овна", "евна", "ична"];

fn looks_like_patronymic(word: &str) -> bool {
    let word = word.to_lowercase();
    TURKIC.contains(&word.as_str()) || ENDS.iter().any(|end| word.ends_with(end))
}

fn same(one: &str, two: &str) -> bool {
    one.to_lowercase() == two.to_lowercase()
}
