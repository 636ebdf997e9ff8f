//! Problems of I/O modules and gate boards: one does not answer, an output does not go off, a map does not fit.

use super::problem::{Code, Finding, Severity, Subject};
use super::snapshot::{Link, ModuleState, Snapshot};
use crate::words::problems as words;

/// An adapter that is plugged out and in again, or a module that restarts, is back within this time.
const BACK_MS: u64 = 5_000;

pub(super) fn find(now: &Snapshot) -> Vec<Finding> {
    now.modules.iter().flat_map(|(id, module)| [down(id, module), stuck(id, module), refused(id, module), unsafe_(id, module)]).flatten().collect()
}

fn down(id: &str, module: &ModuleState) -> Option<Finding> {
    let why = module.error.clone().unwrap_or_default();
    let text = words::MODULE_DOWN.with("module", id).with("port", module.port.as_str()).with("why", why);
    let found = Finding::new(Code::MODULE_DOWN, Severity::Red, Subject::Module(id.to_owned()), text, words::CHECK_MODULE).after(BACK_MS);
    (module.link == Link::Down).then_some(found)
}

fn stuck(id: &str, module: &ModuleState) -> Option<Finding> {
    let text = words::OUTPUT_STUCK.with("module", id).with("outputs", module.stuck.join(", "));
    let found = Finding::new(Code::OUTPUT_STUCK, Severity::Red, Subject::Module(id.to_owned()), text, words::CHECK_RELAY);
    (!module.stuck.is_empty()).then_some(found)
}

fn refused(id: &str, module: &ModuleState) -> Option<Finding> {
    let what = module.refused.clone()?;
    let text = words::MODULE_REFUSES.with("module", id).with("kind", module.kind.as_str()).with("what", what);
    Some(Finding::new(Code::MODULE_REFUSES, Severity::Red, Subject::Module(id.to_owned()), text, words::CHECK_MAP))
}

fn unsafe_(id: &str, module: &ModuleState) -> Option<Finding> {
    let registers: Vec<String> = module.settings_refused.iter().map(u16::to_string).collect();
    let text = words::SETTING_REFUSED.with("module", id).with("registers", registers.join(", "));
    let found = Finding::new(Code::SETTING_REFUSED, Severity::Amber, Subject::Module(id.to_owned()), text, words::CHECK_FIRMWARE);
    (!registers.is_empty()).then_some(found)
}
