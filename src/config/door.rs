//! `mode` and `door = { ... }` of a gate.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};

use super::check::{Checker, Named};
use super::diagnostic::{Code, Mistakes};
use super::gates::{does_not_apply, unquoted};
use super::modules::{self, Modules};
use super::raw;
use super::read::{At, missing, nearest};
use super::units::duration_text;
use super::{ChargeAt, DoorConfig, Gate, InputAt, OfReader, OutputAt, PassageAt, PassageBy, Point, Policy, ReaderConfig, WiredTo};
use crate::words::config as text;

const DOOR_EXAMPLE: &str = "door = { open = { module = \"io1\", output = 0 }, passage = { module = \"io1\", counter = 0 } }";
const OPEN_EXAMPLE: &str = "open = { module = \"io1\", output = 0 }";

/// The door of a gate: `None` after a mistake was noted, `Some(None)` where the device decides.
#[allow(clippy::option_option, reason = "a mistake is not the same as no door")]
pub(super) fn check(gate: &At<raw::Gate>, reader: Option<&ReaderConfig>, modules: &Modules, checker: &mut Checker<'_>) -> Option<Option<DoorConfig>> {
    let decides = gate.mode.as_ref().is_some_and(|mode| mode.value == raw::Mode::Decide);
    match (&gate.door, decides) {
        (None, false) => Some(None),
        (Some(door), false) => {
            if !checker.mistakes.is_broken(&gate.span, "mode") {
                does_not_apply("door", "mode", "observe", &door.span, checker.mistakes);
            }
            None
        }
        (None, true) => {
            if !checker.mistakes.is_broken(&gate.span, "door") {
                missing(raw::Gate::TITLE, "door", DOOR_EXAMPLE, &gate.span, checker.mistakes);
            }
            None
        }
        (Some(door), true) => Looked { gate, door, reader, modules, checker }.door().map(Some),
    }
}

struct Looked<'a, 'c> {
    gate: &'a At<raw::Gate>,
    door: &'a At<raw::Door>,
    reader: Option<&'a ReaderConfig>,
    modules: &'a Modules,
    checker: &'a mut Checker<'c>,
}

impl Looked<'_, '_> {
    fn door(mut self) -> Option<DoorConfig> {
        let door = self.door;
        let ms = Duration::from_millis;
        let budget = self.checker.span(door.budget.as_ref(), "budget", ms(300), ("50ms", "5s"));
        let wait = self.checker.span(door.wait.as_ref(), "wait", ms(5_000), ("500ms", "1min"));
        let pulse = self.checker.span(door.pulse.as_ref(), "pulse", ms(500), ("50ms", "10s"));
        let antipassback = self.checker.span(door.antipassback.as_ref(), "antipassback", Duration::ZERO, ("0s", "30d"));
        let cooldown = self.checker.span(door.cooldown.as_ref(), "cooldown", Duration::ZERO, ("0s", "1h"));
        let max_snapshot_age = self.checker.span(door.max_snapshot_age.as_ref(), "max_snapshot_age", ms(12 * 3_600_000), ("1min", "30d"));
        let table = Named { name: raw::Door::TITLE, span: &door.span };
        let open = self.checker.need(door.open.as_ref(), &table, "open", OPEN_EXAMPLE).and_then(|open| self.output(open));
        let passage = match &door.passage {
            Some(passage) => self.passage(passage).map(Some),
            None => Some(None),
        };
        let free = match &door.free {
            Some(free) => self.input(free).map(Some),
            None => Some(None),
        };
        let charge = self.charge()?;
        Some(DoorConfig {
            policy: door.policy.as_ref().map_or(Policy::SnapshotOnly, |policy| policy.value.into()),
            budget: budget?,
            wait: wait?,
            pulse: pulse?,
            charge,
            antipassback: antipassback?,
            cooldown: cooldown?,
            max_offline_debt: door.max_offline_debt.as_ref().map_or(0, |debt| i64::from(debt.value)),
            max_snapshot_age: max_snapshot_age?,
            open: open?,
            passage: passage?,
            free: free?,
        })
    }

    fn charge(&mut self) -> Option<ChargeAt> {
        let seen = self.door.passage.is_some() || self.checker.mistakes.is_broken(&self.door.span, "passage");
        match self.door.write_off.as_ref().map(|at| (at.value, &at.span)) {
            Some((raw::WriteOffWord::Passage, span)) if !seen => {
                self.checker.mistakes.error(Code::CONFLICT, text::NO_EVIDENCE, span, text::SYNTAX_HERE).help(text::NO_EVIDENCE_HELP);
                None
            }
            Some((raw::WriteOffWord::Open, _)) => Some(ChargeAt::Open),
            None if !seen => Some(ChargeAt::Open),
            _ => Some(ChargeAt::Passage),
        }
    }

    fn output(&mut self, at: &At<raw::OutputTable>) -> Option<OutputAt> {
        let of = self.wired(at.module.as_ref(), at.reader.as_ref(), OfReader::Output, raw::OutputTable::TITLE, &at.span);
        let (of, output) = (of?, self.number(at.output.as_ref(), "output")?);
        self.has(&of, Point::Output(output), at.output.as_ref().map_or(&at.span, |output| &output.span))?;
        Some(OutputAt { of, output })
    }

    fn input(&mut self, at: &At<raw::InputTable>) -> Option<InputAt> {
        let of = self.wired(at.module.as_ref(), at.reader.as_ref(), OfReader::Input, raw::InputTable::TITLE, &at.span);
        let (of, input) = (of?, self.number(at.input.as_ref(), "input")?);
        self.has(&of, Point::Input(input), at.input.as_ref().map_or(&at.span, |input| &input.span))?;
        Some(InputAt { of, input })
    }

    fn passage(&mut self, at: &At<raw::Passage>) -> Option<PassageAt> {
        let contact = match &at.value {
            raw::Passage::Word(raw::PassageWord::Reader) => {
                return self.own_reader(OfReader::Reports, &at.span).map(|of| PassageAt { of, by: PassageBy::Message });
            }
            raw::Passage::Full(contact) => contact,
        };
        let wanted = if contact.counter.is_some() { OfReader::Counter } else { OfReader::Input };
        let of = self.wired(contact.module.as_ref(), contact.reader.as_ref(), wanted, raw::ContactTable::TITLE, &at.span);
        let by = match (&contact.input, &contact.counter) {
            (Some(input), None) => self.number(Some(input), "input").map(PassageBy::Input),
            (None, Some(counter)) => self.number(Some(counter), "counter").map(PassageBy::Counter),
            (None, None) if self.checker.mistakes.is_broken(&at.span, "input") || self.checker.mistakes.is_broken(&at.span, "counter") => None,
            (Some(first), Some(second)) => {
                let message = text::EITHER_OR.with("first", "input").with("second", "counter");
                self.checker.mistakes.error(Code::CONFLICT, message, &second.span, text::ALSO_HERE).also(&first.span, text::ONE_HERE);
                None
            }
            (None, None) => {
                let message = text::ONE_OF.with("place", raw::ContactTable::TITLE).with("first", "input").with("second", "counter");
                self.checker.mistakes.error(Code::MISSING, message, &at.span, text::SYNTAX_HERE);
                None
            }
        };
        let (of, by) = (of?, by?);
        let span = contact.input.as_ref().or(contact.counter.as_ref()).map_or(&at.span, |number| &number.span);
        match by {
            PassageBy::Input(input) => self.has(&of, Point::Input(input), span)?,
            PassageBy::Counter(counter) => self.has(&of, Point::Counter(counter), span)?,
            PassageBy::Message => {}
        }
        Some(PassageAt { of, by })
    }

    /// A module has what a door is wired to. What a reader has it says itself.
    fn has(&mut self, of: &WiredTo, point: Point, span: &Range<usize>) -> Option<()> {
        match of {
            WiredTo::Module(id) => modules::has_point(id, point, &self.modules.known, span, self.checker.mistakes).then_some(()),
            WiredTo::Reader => Some(()),
        }
    }

    /// `module` or `reader = true`, one of them.
    fn wired(
        &mut self,
        module: Option<&At<String>>,
        reader: Option<&At<bool>>,
        wanted: OfReader,
        title: &'static str,
        table: &Range<usize>,
    ) -> Option<WiredTo> {
        match (module, reader.filter(|reader| reader.value)) {
            (Some(module), None) => self.module(module),
            (None, Some(reader)) => self.own_reader(wanted, &reader.span),
            (Some(module), Some(reader)) => {
                let message = text::EITHER_OR.with("first", "module").with("second", "reader");
                self.checker.mistakes.error(Code::CONFLICT, message, &reader.span, text::ALSO_HERE).also(&module.span, text::ONE_HERE);
                None
            }
            (None, None) => {
                if !self.checker.mistakes.is_broken(table, "module") && !self.checker.mistakes.is_broken(table, "reader") {
                    let message = text::ONE_OF.with("place", title).with("first", "module").with("second", "reader = true");
                    self.checker.mistakes.error(Code::MISSING, message, table, text::SYNTAX_HERE);
                }
                None
            }
        }
    }

    fn module(&mut self, module: &At<String>) -> Option<WiredTo> {
        let names = &self.modules.names;
        if names.contains(&module.value) {
            return Some(WiredTo::Module(module.value.clone()));
        }
        let message = text::UNKNOWN_MODULE.with("module", unquoted(&module.value));
        let one = self.checker.mistakes.error(Code::UNKNOWN_MODULE, message, &module.span, text::UNKNOWN_HERE);
        if let Some(near) = nearest(&module.value, names.iter().map(String::as_str)) {
            one.help(text::DID_YOU_MEAN.with("key", unquoted(near)));
        }
        if names.is_empty() {
            one.help(text::NO_MODULES);
        } else {
            one.help(text::KNOWN_MODULES.with("modules", names.iter().map(|name| unquoted(name)).collect::<Vec<_>>().join(", ")));
        }
        None
    }

    /// The gate's own reader, where it has what the door wants of it.
    fn own_reader(&mut self, wanted: OfReader, span: &Range<usize>) -> Option<WiredTo> {
        let Some(reader) = self.reader.filter(|reader| !reader.has(wanted)) else { return Some(WiredTo::Reader) };
        let name = self.gate.reader.as_ref().map_or_else(String::new, |reader| unquoted(&reader.value));
        let (message, help) = match wanted {
            OfReader::Reports if reader.has(OfReader::Input) => (text::READER_SAYS_NO_PASSAGE, text::WIRE_ITS_INPUT),
            OfReader::Reports => (text::READER_SAYS_NO_PASSAGE, text::WIRE_A_CONTACT),
            OfReader::Counter if reader.has(OfReader::Input) => (text::READER_HAS_NO_COUNTER, text::WIRE_ITS_INPUT),
            OfReader::Input | OfReader::Counter if reader.has(OfReader::Reports) => (text::READER_HAS_NO_INPUT, text::IT_SAYS_ITSELF),
            OfReader::Input | OfReader::Counter => (text::READER_HAS_NO_INPUT, text::WIRE_A_CONTACT),
            OfReader::Output if matches!(reader, ReaderConfig::MqttJson { .. }) => (text::READER_HAS_NO_OUTPUT, text::NAME_ITS_MODULE),
            OfReader::Output => (text::READER_HAS_NO_OUTPUT, text::WIRE_A_MODULE),
        };
        self.checker.mistakes.error(Code::CONFLICT, message.with("reader", name), span, text::SYNTAX_HERE).help(help);
        None
    }

    fn number(&mut self, at: Option<&At<u32>>, key: &'static str) -> Option<u16> {
        let Some(at) = at else { return Some(0) };
        self.checker.between(at, 0, u32::from(u16::MAX), key).and_then(|number| u16::try_from(number).ok())
    }
}

/// Gates on one output of a module are one door, and so have one table.
pub(super) fn one_output_one_door(gates: &[Gate], raw: &[At<raw::Gate>], mistakes: &mut Mistakes) {
    let mut doors: Vec<(&Gate, &DoorConfig)> = Vec::new();
    for gate in gates {
        let Some(door) = gate.door.as_ref().filter(|door| door.open.of != WiredTo::Reader) else { continue };
        match doors.iter().find(|(_, first)| first.open == door.open) {
            Some((_, first)) if *first == door => {}
            Some((first, _)) => {
                let span = |id: &str| {
                    let found = raw.iter().find(|raw| raw.id.as_ref().is_some_and(|at| at.value == id));
                    found.and_then(|raw| raw.door.as_ref()?.open.as_ref().map(|open| open.span.clone())).unwrap_or(0..0)
                };
                let message = text::SAME_OUTPUT.with("first", first.id.as_str()).with("second", gate.id.as_str());
                let one = mistakes.error(Code::SAME_OUTPUT, message, &span(gate.id.as_str()), text::TAKEN_HERE);
                one.also(&span(first.id.as_str()), text::FIRST_HERE).help(text::SAME_OUTPUT_HELP);
            }
            None => doors.push((gate, door)),
        }
    }
}

impl From<raw::PolicyWord> for Policy {
    fn from(word: raw::PolicyWord) -> Self {
        match word {
            raw::PolicyWord::Deny => Self::Deny,
            raw::PolicyWord::SnapshotOnly => Self::SnapshotOnly,
            raw::PolicyWord::SnapshotThenOpen => Self::SnapshotThenOpen,
            raw::PolicyWord::Open => Self::Open,
        }
    }
}

/// In the shape of the file.
pub(super) fn effective(door: &DoorConfig) -> Value {
    let at = |of: &WiredTo, key: &str, number: u16| match of {
        WiredTo::Module(id) => json!({ "module": id, key: number }),
        WiredTo::Reader => json!({ "reader": true, key: number }),
    };
    let passage = door.passage.as_ref().map(|passage| match passage.by {
        PassageBy::Input(input) => at(&passage.of, "input", input),
        PassageBy::Counter(counter) => at(&passage.of, "counter", counter),
        PassageBy::Message => json!("reader"),
    });
    json!({
        "policy": match door.policy {
            Policy::Deny => "deny",
            Policy::SnapshotOnly => "snapshot_only",
            Policy::SnapshotThenOpen => "snapshot_then_open",
            Policy::Open => "open",
        },
        "budget": duration_text(door.budget),
        "wait": duration_text(door.wait),
        "pulse": duration_text(door.pulse),
        "write_off": match door.charge { ChargeAt::Open => "open", ChargeAt::Passage => "passage" },
        "antipassback": duration_text(door.antipassback),
        "cooldown": duration_text(door.cooldown),
        "max_offline_debt": door.max_offline_debt,
        "max_snapshot_age": duration_text(door.max_snapshot_age),
        "open": at(&door.open.of, "output", door.open.output),
        "passage": passage,
        "free": door.free.as_ref().map(|free| at(&free.of, "input", free.input)),
    })
}
