//! `limegate check`: reads the config as `run` would and prints every mistake.

use serde_json::json;

use super::{Exit, Global, colours, notice, out, out_json};
use crate::config::{self, Config, Diagnostic, Environment, Severity, Style};
use crate::words::config as words;

/// Checks the file; 0 when it can be used, 78 when not.
pub(super) fn run(global: &Global) -> Exit {
    match config::load(&global.config, &Environment::of_process()) {
        Ok((config, warnings)) => {
            if global.json {
                let mut answer = config::to_json(&warnings, global.language());
                if let Some(object) = answer.as_object_mut() {
                    object.insert("gates".to_owned(), json!(config.gates.len()));
                }
                out_json(&answer);
            } else {
                print(&warnings, global);
                let language = global.language().unwrap_or(config.site.language);
                let file = global.config.display().to_string();
                out(&words::IN_ORDER.with("file", file).count("gates", config.gates.len() as u64).text(language));
            }
            Exit::Fine
        }
        Err(mistakes) => refused(&mistakes, global),
    }
}

/// Loads the config for a command that needs it; warnings are printed.
///
/// # Errors
/// How the command must end, when the mistakes were printed.
pub fn load(global: &Global) -> Result<Config, Exit> {
    match config::load(&global.config, &Environment::of_process()) {
        Ok((config, warnings)) => {
            print(&warnings, global);
            Ok(config)
        }
        Err(mistakes) => Err(refused(&mistakes, global)),
    }
}

/// Loads the config for a command that looks at the gateway as it runs: where the file does not check, by the last one that ran, and says so.
///
/// # Errors
/// As [`load`], when none has run yet.
pub fn load_running(global: &Global) -> Result<Config, Exit> {
    let environment = Environment::of_process();
    match config::load(&global.config, &environment) {
        Ok((config, warnings)) => {
            print(&warnings, global);
            Ok(config)
        }
        Err(mistakes) => match config::last_good(&global.config, &environment) {
            Some(config) => {
                let file = global.config.display().to_string();
                notice(&words::LAST_GOOD_USED.with("file", file).text(global.language().unwrap_or(config.site.language)));
                Ok(config)
            }
            None => Err(refused(&mistakes, global)),
        },
    }
}

pub(super) fn refused(mistakes: &[Diagnostic], global: &Global) -> Exit {
    if global.json {
        out_json(&config::to_json(mistakes, global.language()));
    } else {
        print(mistakes, global);
    }
    Exit::BadConfig
}

pub(super) fn print(diagnostics: &[Diagnostic], global: &Global) {
    if diagnostics.is_empty() {
        return;
    }
    let text = config::render(diagnostics, Style { language: global.language(), colours: colours() });
    let language = config::language_of(diagnostics, global.language());
    let of = |severity| diagnostics.iter().filter(|one| one.severity == severity).count() as u64;
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let mut sums = Vec::new();
    if errors > 0 {
        let file = global.config.display().to_string();
        sums.push(words::MISTAKES.with("file", file).count("n", errors).text(language));
    }
    if warnings > 0 {
        sums.push(words::WARNINGS.with("n", crate::words::Value::Count(warnings)).text(language));
    }
    notice(&format!("{text}{}", sums.join(", ")));
}
