//! Any file: no panic, and every mistake can be shown in both languages.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use limegate::config::{self, Environment, Language, Style};

fuzz_target!(|bytes: &[u8]| {
    let diagnostics = match config::from_bytes(Path::new("limegate.toml"), bytes, &Environment::empty()) {
        Ok((_, warnings)) => warnings,
        Err(mistakes) => mistakes,
    };
    for language in [Language::Ru, Language::En] {
        let shown = config::render(&diagnostics, Style { language: Some(language), colours: false });
        assert!(!shown.contains('\u{1b}'));
    }
    let _ = config::to_json(&diagnostics, None);
});
