//! From the file to the checked config, or to everything that is wrong with it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Code, Diagnostic, Mistakes, Source};
use super::environment::Environment;
use super::{Config, Language, check, mask, raw, secret, syntax};
use crate::words::{Phrase, config as words};

/// Nobody writes a longer config by hand.
const MOST_BYTES: u64 = 1 << 20;

/// Reads and checks a config file. Warnings come beside the config.
///
/// # Errors
/// Every mistake of the file at once, and its warnings, in the order of the file.
pub fn load(path: &Path, environment: &Environment) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    from_bytes(path, &text(path)?, environment)
}

/// The file's text, as [`from_bytes`] takes it.
///
/// # Errors
/// One mistake: that it cannot be read, and why.
pub fn text(path: &Path) -> Result<Vec<u8>, Vec<Diagnostic>> {
    bytes_of(path).map_err(|why| whole_file(path, words::UNREADABLE.with("path", path.display().to_string()).with("why", why), true))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, crate::words::Value> {
    let said = |error: std::io::Error| secret::why_not(error.kind());
    if path.metadata().map_err(said)?.is_dir() {
        return Err(words::IS_DIRECTORY.into());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(said)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > MOST_BYTES { Err(words::TOO_LARGE.into()) } else { Ok(bytes) }
}

fn whole_file(path: &Path, message: impl Into<Phrase>, help: bool) -> Vec<Diagnostic> {
    let mut mistakes = Mistakes::of(Source { path: path.to_owned(), text: String::new(), language: None });
    let one = mistakes.file_error(Code::UNREADABLE, message);
    if help {
        one.help(words::UNREADABLE_HELP);
    }
    mistakes.into_sorted()
}

/// The same for a file's content. `path` is where it came from: secrets are looked up beside it.
///
/// # Errors
/// As [`load`].
pub fn from_bytes(path: &Path, bytes: &[u8], environment: &Environment) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(whole_file(path, words::NOT_UTF8.with("at", error.valid_up_to().to_string()), false)),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    let masked = mask::masked(text, document.get_ref());
    let language = language_in(document.get_ref());
    let mut mistakes = Mistakes::of(Source { path: path.to_owned(), text: masked, language });
    syntax::note(&errors, text.len(), &mut mistakes);
    // What a broken line leaves behind would look like missing keys: grammar first, meaning afterwards.
    if mistakes.any_error() {
        return Err(mistakes.into_sorted());
    }
    let root = raw::Root::read_document(&document, &mut mistakes);
    match check::check(path, root, document.span(), environment, &mut mistakes) {
        Some(config) if !mistakes.any_error() => Ok((config, mistakes.into_sorted())),
        _ => Err(mistakes.into_sorted()),
    }
}

/// The language the file asks for, whatever else is wrong with it.
fn language_in(document: &DeTable<'_>) -> Option<Language> {
    let DeValue::Table(site) = document.get("site")?.get_ref() else { return None };
    match site.get("language").map(|value| value.get_ref().as_str()) {
        None => Some(Language::default()),
        Some(Some("en")) => Some(Language::En),
        Some(_) => Some(Language::Ru),
    }
}
