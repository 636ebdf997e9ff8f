//! From the spanned TOML tree to raw types, field by field: one mistake never hides the next.
//!
//! serde stops at the first mistake of a table and speaks English; so the tree is read here, and every value keeps the place it came from.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Code, Diagnostic, Mistakes};
use super::units;
use crate::words::{Phrase, Word, config as words};

/// A value and the bytes it stands in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<T> std::ops::Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Where a value stands: the key, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The table as people write it: `[site]`; empty at the top of the file.
    pub(super) table: &'a str,
    /// The key in it.
    pub(super) key: &'a str,
}

/// A type that can be read from a TOML value. `None` after a mistake was noted.
pub(super) trait Read: Sized {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self>;
}

impl<T: Read> Read for At<T> {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let span = value.span();
        T::read(value, place, mistakes).map(|value| Self { value, span })
    }
}

impl Read for String {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let text = value.get_ref().as_str().map(str::to_owned);
        text.or_else(|| wrong_type(value, place, words::A_TEXT, mistakes))
    }
}

impl Read for bool {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        value.get_ref().as_bool().or_else(|| wrong_type(value, place, words::A_SWITCH, mistakes))
    }
}

impl Read for u32 {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let number = value.get_ref().as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
        number.or_else(|| wrong_type(value, place, words::A_WHOLE_NUMBER, mistakes))
    }
}

impl Read for f64 {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            _ => None,
        };
        number.or_else(|| wrong_type(value, place, words::A_NUMBER, mistakes))
    }
}

/// A duration, written as `"120s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl Read for Span {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let duration = value.get_ref().as_str().and_then(units::duration).map(Self);
        duration.or_else(|| wrong_type(value, place, words::A_DURATION, mistakes))
    }
}

/// Bytes, written as `"8MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl Read for Size {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        let size = value.get_ref().as_str().and_then(units::size).map(Self);
        size.or_else(|| wrong_type(value, place, words::A_SIZE, mistakes))
    }
}

/// A list of tables, `[[gate]]`. A broken one is left out; its mistakes are noted.
impl<T: Read> Read for Vec<T> {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(items) => Some(items.iter().filter_map(|item| T::read(item, place, mistakes)).collect()),
            // `[gate]` for `[[gate]]`: say so, and still look at what is inside.
            DeValue::Table(_) => {
                wrong_type::<()>(value, place, tables(place), mistakes);
                T::read(value, place, mistakes).map(|one| vec![one])
            }
            _ => wrong_type(value, place, tables(place), mistakes),
        }
    }
}

/// What stands at a key that holds a list of tables.
fn tables(place: Place<'_>) -> Word {
    match place.key {
        "module" => words::MODULES,
        "outputs" | "inputs" | "counters" => words::NAMES,
        _ => words::GATES,
    }
}

/// Notes a value of the wrong type.
pub(super) fn wrong_type<T>(value: &Spanned<DeValue<'_>>, place: Place<'_>, expected: Word, mistakes: &mut Mistakes) -> Option<T> {
    let found = found(value.get_ref(), is_secret_key(place.key));
    let message = words::WRONG_TYPE.with("key", place.key).with("expected", expected).with("found", found);
    let one = mistakes.error(Code::WRONG_TYPE, message, &value.span(), words::EXPECTED_HERE.with("expected", expected));
    if expected == words::GATES {
        one.help(words::GATES_HELP);
    }
    if expected == words::MODULES {
        one.help(words::MODULES_HELP);
    }
    None
}

/// What was found, short, and never what may be a secret.
pub(super) fn found(value: &DeValue<'_>, hide: bool) -> crate::words::Value {
    match value {
        DeValue::String(_) if hide => "\"***\"".into(),
        DeValue::String(text) => shown(text).into(),
        DeValue::Integer(number) => clipped(number.as_str()).into(),
        DeValue::Float(number) => clipped(number.as_str()).into(),
        DeValue::Boolean(switch) => switch.to_string().into(),
        DeValue::Datetime(_) => words::A_DATE.into(),
        DeValue::Array(_) => words::AN_ARRAY.into(),
        DeValue::Table(_) => words::A_TABLE.into(),
    }
}

/// A text in quotes, cut after 40 characters, control characters escaped.
pub(super) fn shown(text: &str) -> String {
    if super::mask::looks_secret(text) {
        return "\"***\"".to_owned();
    }
    format!("\"{}\"", clipped(text).escape_debug())
}

fn clipped(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Keys whose value is a secret, under any spelling, misspellings included.
pub(super) fn is_secret_key(key: &str) -> bool {
    const PARTS: [&str; 7] = ["token", "secret", "passw", "hook", "пароль", "токен", "секрет"];
    const WORDS: [&str; 4] = ["token", "secret", "password", "webhook"];
    let key = key.to_lowercase();
    if key == "token_server" {
        return false;
    }
    let near = |part: &str| part.len() <= 16 && WORDS.iter().any(|word| strsim::damerau_levenshtein(part, word) <= word.len() / 3);
    key == "key"
        || key == "apikey"
        // Numbers of cards let people in.
        || key.contains("card")
        || PARTS.iter().any(|part| key.contains(part))
        || key.split(['_', '-', '.', ' ']).any(|part| part == "key" || near(part))
}

/// Notes the keys of a table that are not among those known there.
pub(super) fn unknown_keys(table: &DeTable<'_>, span: &Range<usize>, name: &str, known: &[&str], mistakes: &mut Mistakes) {
    for (key, value) in table {
        let key_text: &str = key.get_ref();
        if known.contains(&key_text) {
            continue;
        }
        let is_table = name.is_empty() && matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
        let message = if is_table {
            words::UNKNOWN_TABLE.with("key", clipped(key_text))
        } else {
            words::UNKNOWN_KEY.with("key", clipped(key_text)).with("place", place_name(name))
        };
        let one = mistakes.error(Code::UNKNOWN_KEY, message, &key.span(), words::UNKNOWN_HERE);
        let meant = nearest(key_text, known.iter().copied()).filter(|near| !table.contains_key(*near));
        suggest(one, key_text, meant, name, known);
        if let Some(meant) = meant {
            mistakes.broken(span, meant);
        }
    }
}

fn suggest(one: &mut Diagnostic, key: &str, meant: Option<&str>, table: &str, known: &[&str]) {
    if let Some(near) = meant {
        one.help(words::DID_YOU_MEAN.with("key", near));
        return;
    }
    let homes = super::raw::TABLES.iter().filter(|(home, keys)| *home != table && keys.contains(&key));
    let mut any = false;
    for (home, _) in homes {
        one.help(words::BELONGS_TO.with("key", key.to_owned()).with("place", place_name(home)));
        any = true;
    }
    if !any {
        one.help(words::KNOWN_KEYS.with("keys", known.join(", ")));
    }
}

/// `[site]`, or words for the top of the file.
pub(super) fn place_name(table: &str) -> crate::words::Value {
    if table.is_empty() { words::TOP_OF_FILE.into() } else { table.into() }
}

/// The known name that was most likely meant.
pub(super) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    if typed.len() > 64 {
        return None;
    }
    known
        .map(|name| (strsim::damerau_levenshtein(&typed, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Notes a key that must be there and is not.
pub(super) fn missing(table: &str, key: &str, example: &str, span: &Range<usize>, mistakes: &mut Mistakes) {
    let message: Phrase = words::MISSING_KEY.with("key", key).with("place", place_name(table));
    mistakes.error(Code::MISSING, message, span, words::MISSING_HERE).help(words::MISSING_HELP.with("example", example));
}

/// Declares a table of the config: its raw type, its JSON schema (the comments are the descriptions), and how it is read.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident = $title:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub(in crate::config) struct $name {
            $($(#[$field_doc])* pub(in crate::config) $field: Option<$type>,)*
        }

        impl $name {
            /// As people write it.
            pub(in crate::config) const TITLE: &'static str = $title;
            /// The keys it may have.
            pub(in crate::config) const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn read_table(
                table: &toml::de::DeTable<'_>,
                span: &std::ops::Range<usize>,
                mistakes: &mut $crate::config::diagnostic::Mistakes,
            ) -> Self {
                $crate::config::read::unknown_keys(table, span, Self::TITLE, Self::KEYS, mistakes);
                Self {
                    $($field: table.get(stringify!($field)).and_then(|value| {
                        let place = $crate::config::read::Place { table: Self::TITLE, key: stringify!($field) };
                        let read = $crate::config::read::Read::read(value, place, mistakes);
                        if read.is_none() {
                            mistakes.broken(span, stringify!($field));
                        }
                        read
                    }),)*
                }
            }
        }

        impl $crate::config::read::Read for $name {
            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                place: $crate::config::read::Place<'_>,
                mistakes: &mut $crate::config::diagnostic::Mistakes,
            ) -> Option<Self> {
                match value.get_ref() {
                    toml::de::DeValue::Table(table) => Some(Self::read_table(table, &value.span(), mistakes)),
                    _ => $crate::config::read::wrong_type(value, place, $crate::words::config::A_TABLE, mistakes),
                }
            }
        }
    };
}
pub(super) use table;

/// Declares a choice of words, `direction = "in"`.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
        pub(in crate::config) enum $name {
            $($(#[$variant_doc])* #[schemars(rename = $text)] $variant,)*
        }

        impl $crate::config::read::Read for $name {
            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                place: $crate::config::read::Place<'_>,
                mistakes: &mut $crate::config::diagnostic::Mistakes,
            ) -> Option<Self> {
                match value.get_ref().as_str() {
                    $(Some($text) => Some(Self::$variant),)*
                    Some(other) => {
                        $crate::config::read::not_among(other, &[$($text),*], value.span(), place, mistakes);
                        None
                    }
                    None => $crate::config::read::wrong_type(value, place, $crate::words::config::A_TEXT, mistakes),
                }
            }
        }
    };
}
pub(super) use choice;

/// Notes a value that is not one of those allowed.
pub(super) fn not_among(typed: &str, allowed: &[&str], span: Range<usize>, place: Place<'_>, mistakes: &mut Mistakes) {
    let list = allowed.iter().map(|one| format!("\"{one}\"")).collect::<Vec<_>>().join(", ");
    let message = words::NOT_ALLOWED.with("key", place.key).with("found", shown(typed));
    let one = mistakes.error(Code::NOT_ALLOWED, message, &span, words::ALLOWED.with("allowed", list));
    if let Some(near) = nearest(typed, allowed.iter().copied()) {
        one.help(words::DID_YOU_MEAN.with("key", near));
    }
}
