//! The words people read, in Russian and English.
//!
//! A [`Word`] is one text in both languages, side by side, so that neither can be missing; a [`Phrase`] is a word with its values, and becomes text
//! only when a language is chosen. Keys of the config, topics, metric and JSON names, codes and log keys are never translated.
//!
//! A template holds `{name}` for a value and `{name#one|few|many}` (English: `{name#one|many}`) for the noun that goes with a count.
//!
//! Never: a text for people in the code that decides; a value that is a secret or personal.

pub mod cli;
pub mod config;
pub mod crm;
pub mod door;
pub mod journal;
mod number;
pub mod problems;
pub mod sync;
mod template;
mod time;
pub mod tools;

pub use crate::config::Language;
pub use number::{Plural, grouped, plural};
pub use template::{Phrase, Value, Word};
pub use time::{date_time, day_time, span};

/// Declares words: a constant each, and `ALL` of them.
macro_rules! words {
    ($($name:ident: $ru:literal, $en:literal;)*) => {
        $(
            #[doc = concat!("```text\n", $en, "\n```")]
            pub const $name: $crate::words::Word = $crate::words::Word::new(stringify!($name), $ru, $en);
        )*
        /// All of this module's words.
        pub const ALL: &[$crate::words::Word] = &[$($name),*];
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> impl Iterator<Item = Word> {
        [cli::ALL, config::ALL, crm::ALL, door::ALL, journal::ALL, problems::ALL, sync::ALL, tools::ALL].into_iter().flatten().copied()
    }

    #[test]
    fn both_languages_have_every_word_with_the_same_placeholders() {
        for word in all() {
            let [ru, en] = [Language::Ru, Language::En].map(|language| word.placeholders(language));
            assert_eq!(ru, en, "{word:?}");
            for language in [Language::Ru, Language::En] {
                assert!(!word.template(language).trim().is_empty(), "{word:?} is empty in {language:?}");
                assert!(word.plurals_are_complete(language), "{word:?} lacks a plural form in {language:?}");
            }
        }
    }

    #[test]
    fn no_two_words_of_a_module_have_one_name() {
        for module in [cli::ALL, config::ALL, crm::ALL, door::ALL, journal::ALL, problems::ALL, sync::ALL, tools::ALL] {
            let names: BTreeSet<_> = module.iter().map(|word| word.name()).collect();
            assert_eq!(names.len(), module.len());
        }
    }

    #[test]
    fn russian_texts_are_russian_and_english_ones_are_not() {
        let cyrillic = |text: &str| text.chars().any(|c| ('а'..='я').contains(&c.to_lowercase().next().unwrap_or(c)));
        for word in all() {
            assert!(!cyrillic(word.template(Language::En)), "{word:?}");
        }
        let russian = all().filter(|word| cyrillic(word.template(Language::Ru))).count();
        assert!(russian * 10 > all().count() * 9, "{russian} of {}", all().count());
    }
}
