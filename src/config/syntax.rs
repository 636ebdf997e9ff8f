//! What the TOML parser found, in our words and with our places.

use super::diagnostic::{Code, Mistakes};
use crate::words::{Value, Word, config as words};

/// More mistakes than this in the grammar itself are consequences of the first ones.
const MOST: usize = 8;

/// The parser's phrases that people meet, and ours. What is not here is shown as the parser says it.
const PHRASES: &[(&str, Word)] = &[
    ("duplicate key", words::TOML_DUPLICATE),
    ("string values must be quoted", words::TOML_QUOTES),
    ("invalid string", words::TOML_STRING),
    ("missing opening quote", words::TOML_QUOTES),
    ("missing value for key", words::TOML_NO_VALUE),
    ("key with no value", words::TOML_NO_VALUE),
    ("missing value", words::TOML_NO_VALUE),
    ("invalid value", words::TOML_BAD_VALUE),
    ("extra `=`", words::TOML_EXTRA_EQUALS),
    ("missing assignment between key-value pairs", words::TOML_NO_EQUALS),
    ("extra assignment between key-value pairs", words::TOML_EXTRA_EQUALS),
    ("invalid unquoted key", words::TOML_BAD_KEY),
    ("unquoted keys cannot be empty", words::TOML_BAD_KEY),
    ("invalid key-value pair", words::TOML_BAD_PAIR),
    ("unexpected key or value", words::TOML_BAD_PAIR),
    ("unexpected content", words::TOML_BAD_PAIR),
    ("unclosed table", words::TOML_OPEN_BRACKET),
    ("unclosed array table", words::TOML_OPEN_BRACKET),
    ("unclosed array", words::TOML_OPEN_BRACKET),
    ("unclosed inline table", words::TOML_OPEN_BRACE),
    ("missing comma between array elements", words::TOML_NO_COMMA),
    ("missing comma between key-value pairs", words::TOML_NO_COMMA),
    ("extra comma in inline table", words::TOML_EXTRA_COMMA),
    ("extra comma in array", words::TOML_EXTRA_COMMA),
    ("unexpected leading zero", words::TOML_BAD_NUMBER),
    ("invalid integer", words::TOML_BAD_NUMBER),
    ("invalid floating-point number", words::TOML_BAD_NUMBER),
];

/// Notes the parser's errors.
pub(super) fn note(errors: &[toml::de::Error], text_length: usize, mistakes: &mut Mistakes) {
    for error in errors.iter().take(MOST) {
        let span = error.span().unwrap_or(text_length..text_length);
        let message = error.message();
        let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        let what = if what.starts_with("invalid") && what.ends_with("string") { "invalid string" } else { what };
        let what: Value = PHRASES.iter().find(|(theirs, _)| *theirs == what).map_or_else(|| what.into(), |(_, ours)| (*ours).into());
        // Of what the parser would have liked, the literals say something to people: a quote, a bracket.
        let literals: Vec<&str> = expected.split(", ").filter(|one| ["`\"`", "`'`", "`]`", "`}`", "`=`", "`,`"].contains(one)).collect();
        let message = words::SYNTAX.with("what", what);
        if literals.is_empty() {
            mistakes.error(Code::SYNTAX, message, &span, words::SYNTAX_HERE);
        } else {
            mistakes.error(Code::SYNTAX, message, &span, words::SYNTAX_EXPECTED.with("expected", literals.join(", ")));
        }
    }
}
