//! The cards of staff: whom a controller with a list of its own lets in while the box is away. A file of the venue's, a card a line.

use std::collections::BTreeSet;
use std::path::Path;

use super::environment::Environment;
use super::{SecretError, SecretSource};
use crate::domain::Personal;
use crate::words::config as words;

/// Digits of a card, as controllers spell it.
const DIGITS: usize = 12;

/// Cards of staff, each of twelve hex digits. Prints without their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaffCards(BTreeSet<Personal>);

impl StaffCards {
    /// Reads a list: a card a line, of up to twelve hex digits as the controller tells it or as `limegate tap --show-cards` does; what is behind a `#` is
    /// for people, and so are empty lines.
    ///
    /// # Errors
    /// The number of the first line that is no card. Never what stands there.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
        let lines = lines.map(|(line, number)| (line.split('#').next().unwrap_or_default().trim(), number));
        lines.filter(|(line, _)| !line.is_empty()).map(|(line, number)| card(line).ok_or(number)).collect::<Result<_, _>>().map(Self)
    }

    /// Reads the list from where the config says it is.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn load(source: &SecretSource, config_file: &Path) -> Result<Self, SecretError> {
        let text = source.text_in(config_file, &Environment::of_process())?;
        Self::parse(text.reveal()).map_err(|_| SecretError::Useless { name: source.name(), why: words::STAFF_CARD_FORM })
    }

    /// The cards, each of twelve hex digits in capitals.
    #[must_use]
    pub fn cards(&self) -> &BTreeSet<Personal> {
        &self.0
    }
}

fn card(text: &str) -> Option<Personal> {
    let good = text.len() <= DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    // All zeros is what a controller says where there is no card.
    (good && text.bytes().any(|byte| byte != b'0')).then(|| Personal::new(format!("{text:0>DIGITS$}").to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_card_a_line_with_room_for_names() {
        let cards = StaffCards::parse("\u{feff}# на входе\n00b5009EC1A8 # старший смены\r\n\n  beef\nBEEF\n").unwrap();
        assert_eq!(cards.cards().iter().map(Personal::reveal).collect::<Vec<_>>(), ["00000000BEEF", "00B5009EC1A8"]);
        assert_eq!(StaffCards::parse("# nobody\n"), Ok(StaffCards::default()));
        assert!(!format!("{cards:?}").contains("BEEF"));
    }

    #[test]
    fn a_line_that_is_no_card_is_named_by_its_number() {
        for (text, line) in [("BEEF\nCAFÉ", 2), ("00B5009EC1A8F", 1), ("\n\n0000", 3), ("BE EF", 1)] {
            assert_eq!(StaffCards::parse(text), Err(line), "{text}");
        }
    }
}
