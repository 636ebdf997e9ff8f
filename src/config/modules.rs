//! `[[module]]`: what doors can be wired to, by its id.

use serde_json::{Value, json};

use super::check::{Checker, Named};
use super::diagnostic::Code;
use super::gates::unquoted;
use super::raw;
use super::read::At;
use super::{Module, checked};
use crate::words::config as text;

/// The modules, and the names that doors may use: a module with a mistake of its own is still a name.
pub(super) struct Modules {
    /// Those without a mistake.
    pub(super) known: Vec<checked::Module>,
    /// All names.
    pub(super) names: Vec<String>,
}

/// Checks all modules.
pub(super) fn check(raw: &[At<raw::Module>], checker: &mut Checker<'_>) -> Modules {
    let mut firsts: Vec<&At<String>> = Vec::new();
    for id in raw.iter().filter_map(|module| module.id.as_ref()) {
        match firsts.iter().find(|first| first.value == id.value) {
            Some(first) => {
                let one = checker.mistakes.error(Code::SAME_MODULE, text::SAME_MODULE.with("id", unquoted(&id.value)), &id.span, text::TAKEN_HERE);
                one.also(&first.span, text::FIRST_HERE);
            }
            None => firsts.push(id),
        }
    }
    Modules { known: raw.iter().filter_map(|module| one(module, checker)).collect(), names: firsts.iter().map(|id| id.value.clone()).collect() }
}

fn one(module: &At<raw::Module>, checker: &mut Checker<'_>) -> Option<Module> {
    let table = Named { name: raw::Module::TITLE, span: &module.span };
    let id = checker.id(module.id.as_ref(), &table, "id", "id = \"io1\"");
    Some(Module { id: id? })
}

/// In the shape of the file.
pub(super) fn effective(module: &Module) -> Value {
    json!({ "id": module.id })
}
