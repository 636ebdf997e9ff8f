//! Words, phrases and the little language of their templates.

use std::borrow::Cow;

use super::{Language, Plural, grouped, plural, span};

/// One text in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    name: &'static str,
    ru: &'static str,
    en: &'static str,
}

/// A value in a phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// As it is: names, keys, what was found.
    Text(String),
    /// A number with its thousands set apart.
    Count(u64),
    /// Milliseconds, shown as a duration.
    Span(u64),
    /// A word of the same language.
    Word(Word),
    /// A text that data bring in both languages.
    Both {
        /// Русский.
        ru: String,
        /// English.
        en: String,
    },
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Word> for Value {
    fn from(word: Word) -> Self {
        Self::Word(word)
    }
}

/// A word with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    word: Word,
    values: Vec<(&'static str, Value)>,
}

impl From<Word> for Phrase {
    fn from(word: Word) -> Self {
        Self { word, values: Vec::new() }
    }
}

/// A piece of a template.
enum Piece<'a> {
    Plain(&'a str),
    Value { name: &'a str, forms: Option<&'a str> },
}

impl Word {
    /// The text in a language, for a word without placeholders.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        self.template(language).to_owned()
    }

    /// For the tables of words only.
    #[must_use]
    pub const fn new(name: &'static str, ru: &'static str, en: &'static str) -> Self {
        Self { name, ru, en }
    }

    /// Its name in the catalogue.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The text, placeholders and all.
    #[must_use]
    pub fn template(self, language: Language) -> &'static str {
        match language {
            Language::Ru => self.ru,
            Language::En => self.en,
        }
    }

    /// Begins a phrase.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl Into<Value>) -> Phrase {
        Phrase::from(self).with(name, value)
    }

    /// The names of the values, sorted, each once.
    #[must_use]
    pub fn placeholders(self, language: Language) -> Vec<&'static str> {
        let mut names: Vec<_> = pieces(self.template(language))
            .filter_map(|piece| match piece {
                Piece::Value { name, .. } => Some(name),
                Piece::Plain(_) => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every `{n#...}` has as many forms as the language needs.
    #[must_use]
    pub fn plurals_are_complete(self, language: Language) -> bool {
        let needed = if language == Language::Ru { 3 } else { 2 };
        pieces(self.template(language)).all(|piece| match piece {
            Piece::Value { forms: Some(forms), .. } => forms.split('|').count() == needed,
            _ => true,
        })
    }
}

impl Phrase {
    /// Adds a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn count(self, name: &'static str, n: u64) -> Self {
        self.with(name, Value::Count(n))
    }

    /// Adds a duration in milliseconds.
    #[must_use]
    pub fn span(self, name: &'static str, ms: u64) -> Self {
        self.with(name, Value::Span(ms))
    }

    /// The word it is made from.
    #[must_use]
    pub fn word(&self) -> Word {
        self.word
    }

    /// The text. A value that is missing shows as its placeholder.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        let mut text = String::new();
        for piece in pieces(self.word.template(language)) {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Value { name, forms } => text.push_str(&self.value(name, forms, language)),
            }
        }
        text
    }

    fn value(&self, name: &str, forms: Option<&'static str>, language: Language) -> Cow<'_, str> {
        let Some((_, value)) = self.values.iter().find(|(known, _)| *known == name) else {
            return Cow::Owned(format!("{{{name}}}"));
        };
        match (value, forms) {
            (Value::Count(n), Some(forms)) => {
                let at = match (plural(*n, language), language) {
                    (Plural::One, _) => 0,
                    (Plural::Few, _) | (Plural::Many, Language::En) => 1,
                    (Plural::Many, Language::Ru) => 2,
                };
                Cow::Borrowed(forms.split('|').nth(at).unwrap_or(forms))
            }
            (Value::Text(text), _) => Cow::Borrowed(text),
            (Value::Count(n), None) => Cow::Owned(grouped(*n)),
            (Value::Span(ms), _) => Cow::Owned(span(*ms, language)),
            (Value::Word(word), _) => Cow::Borrowed(word.template(language)),
            (Value::Both { ru, en }, _) => Cow::Borrowed(if language == Language::Ru { ru } else { en }),
        }
    }
}

/// Splits a template. A brace without its partner is plain text.
fn pieces(template: &'static str) -> impl Iterator<Item = Piece<'static>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((plain, after)) = rest.split_once('{') else {
            return Some(Piece::Plain(std::mem::take(&mut rest)));
        };
        if !plain.is_empty() {
            rest = rest.get(plain.len()..).unwrap_or_default();
            return Some(Piece::Plain(plain));
        }
        // A brace before a space begins an example of TOML, `{ file = ... }`, and no placeholder.
        let placeholder = if after.starts_with(' ') { None } else { after.split_once('}') };
        let Some((inside, after)) = placeholder else {
            rest = after;
            return Some(Piece::Plain("{"));
        };
        rest = after;
        Some(match inside.split_once('#') {
            Some((name, forms)) => Piece::Value { name, forms: Some(forms) },
            None => Piece::Value { name: inside, forms: None },
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING: Word = Word::new("WAITING", "{n} {n#проход|прохода|проходов} ждут {t}", "{n} {n#pass|passes} waiting for {t}");

    #[test]
    fn a_phrase_fits_the_noun_to_its_count_in_both_languages() {
        let phrase = |n| WAITING.with("n", Value::Count(n)).span("t", 120_000);
        assert_eq!(phrase(1).text(Language::Ru), "1 проход ждут 2\u{a0}мин");
        assert_eq!(phrase(1_342).text(Language::Ru), "1\u{a0}342 прохода ждут 2\u{a0}мин");
        assert_eq!(phrase(11).text(Language::Ru), "11 проходов ждут 2\u{a0}мин");
        assert_eq!(phrase(1).text(Language::En), "1 pass waiting for 2\u{a0}min");
        assert_eq!(phrase(21).text(Language::En), "21 passes waiting for 2\u{a0}min");
    }

    #[test]
    fn braces_of_toml_examples_stay_and_missing_values_show() {
        const HINT: Word = Word::new("HINT", "{key} = { file = \"{name}\" } {", "{key} = { file = \"{name}\" } {");
        assert_eq!(HINT.with("key", "token").with("name", "x").text(Language::En), "token = { file = \"x\" } {");
        assert_eq!(HINT.with("name", "x").text(Language::En), "{key} = { file = \"x\" } {");
    }
}
