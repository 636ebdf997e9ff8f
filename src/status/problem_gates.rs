//! Problems of gates: the reader is gone, silent, or not the one that the config names.

use super::problem::{Code, Finding, Severity, Subject};
use super::problem_memory::Memory;
use super::snapshot::{GateState, Link, ReaderFault, Snapshot};
use crate::words::problems as words;

/// An adapter that is plugged out and in again is back within this time.
const REPLUG_MS: u64 = 5_000;
/// A gate is taken for silent when this many passes should have come to it: at random, none of twelve is one case in 160 000.
const EXPECTED: u64 = 12;
/// A gate's share of the passes is known after this many.
const KNOWN: u64 = 30;
const MIN_SILENCE_MS: u64 = 60_000;

pub(super) fn find(now: &Snapshot, memory: &Memory) -> Vec<Finding> {
    let total = now.gates.values().fold(0u64, |sum, gate| sum.saturating_add(gate.passes));
    now.gates
        .iter()
        .flat_map(|(id, gate)| match gate.link {
            Link::Down => vec![match gate.fault {
                Some(fault) => reader(id, gate, fault),
                None => down(id, gate),
            }],
            Link::Starting => Vec::new(),
            Link::Up => {
                let line = [frames(id, gate, memory), silent(id, gate, total, now, memory)].into_iter().flatten();
                line.chain(housing(id, gate)).collect()
            }
        })
        .collect()
}

fn down(id: &str, gate: &GateState) -> Finding {
    let subject = Subject::Gate(id.to_owned());
    let why = gate.error.clone().unwrap_or_default();
    let over_mqtt = !gate.port.starts_with('/');
    if over_mqtt {
        let text = words::GATE_TOPIC_DOWN.with("gate", id).with("topic", gate.port.as_str());
        return Finding::new(Code::READER_DOWN, Severity::Red, subject, text, words::CHECK_BROKER)
            .after(REPLUG_MS)
            .caused_by(Code::NO_BROKER, Subject::Destination("mqtt".to_owned()));
    }
    let text = words::READER_DOWN.with("gate", id).with("port", gate.port.as_str()).with("why", why);
    Finding::new(Code::READER_DOWN, Severity::Red, subject, text, words::CHECK_CABLE).after(REPLUG_MS)
}

/// The port is open, and the reader on it cannot be used.
fn reader(id: &str, gate: &GateState, fault: ReaderFault) -> Finding {
    let (code, text, action, grace_ms) = match fault {
        ReaderFault::Offline => (Code::READER_OFFLINE, words::READER_OFFLINE, words::CHECK_BUS, REPLUG_MS),
        ReaderFault::WrongKey => (Code::READER_KEY, words::READER_WRONG_KEY, words::GIVE_KEY, 0),
        ReaderFault::NoSecurity => (Code::READER_KEY, words::READER_NO_SECURITY, words::GIVE_KEY, 0),
        ReaderFault::NeedsKey => (Code::READER_KEY, words::READER_NEEDS_KEY, words::NAME_KEY, 0),
    };
    let text = text.with("gate", id).with("port", gate.port.as_str());
    Finding::new(code, Severity::Red, Subject::Gate(id.to_owned()), text, action.with("gate", id)).after(grace_ms)
}

fn housing(id: &str, gate: &GateState) -> impl Iterator<Item = Finding> {
    let tamper = (gate.tamper, Code::TAMPER, words::READER_TAMPER, words::CHECK_HOUSING);
    let power = (gate.power_failing, Code::READER_POWER, words::READER_POWER, words::CHECK_SUPPLY);
    let found = move |(is, code, text, action): (bool, _, crate::words::Word, crate::words::Word)| {
        is.then(|| Finding::new(code, Severity::Amber, Subject::Gate(id.to_owned()), text.with("gate", id), action))
    };
    [tamper, power].into_iter().filter_map(found)
}

fn frames(id: &str, gate: &GateState, memory: &Memory) -> Option<Finding> {
    let (passes, bad) = memory.gate(id)?.recent();
    let subject = Subject::Gate(id.to_owned());
    if passes == 0 && bad >= 5 {
        let text = words::NOT_THIS_READER.with("gate", id).with("reader", gate.reader.as_str()).count("n", bad);
        let action = match &gate.looks_like {
            Some(profile) => words::LOOKS_LIKE.with("profile", profile.as_str()),
            None => words::CHECK_READER.with("port", gate.port.as_str()),
        };
        return Some(Finding::new(Code::NOT_THIS_READER, Severity::Red, subject, text, action));
    }
    if bad >= 20 && bad > passes / 4 {
        let text = words::BAD_FRAMES.with("gate", id).count("n", bad).count("m", passes);
        return Some(Finding::new(Code::BAD_FRAMES, Severity::Amber, subject, text, words::CHECK_LINE));
    }
    None
}

/// Silent is not quiet: the neighbours say how busy it is.
fn silent(id: &str, gate: &GateState, total: u64, now: &Snapshot, memory: &Memory) -> Option<Finding> {
    let others = total.checked_sub(gate.passes).filter(|others| *others > 0)?;
    let last = gate.last_byte_boot_ms?;
    let age = now.boot_ms.saturating_sub(last);
    let known = memory.gate(id)?;
    let missed = known.others_since(others);
    let expected = missed.saturating_mul(gate.passes) / others;
    if gate.passes < KNOWN || expected < EXPECTED || age < MIN_SILENCE_MS {
        return None;
    }
    let text = match known.usual_ms() {
        Some(usual) => words::SILENT_UNUSUALLY.with("gate", id).span("t", age).span("usual", usual).count("n", missed),
        None => words::SILENT.with("gate", id).span("t", age).count("n", missed),
    };
    Some(Finding::new(Code::SILENT, Severity::Amber, Subject::Gate(id.to_owned()), text, words::CHECK_POWER).since(Some(last)))
}
