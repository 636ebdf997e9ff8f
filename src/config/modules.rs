//! `[[module]]`: each by itself, then against each other, the readers and the board.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::check::{Checker, Named};
use super::diagnostic::{Code, Mistakes};
use super::gates::{PORT_EXAMPLE, clash, does_not_apply, port_path, unquoted};
use super::module::{GATE_BOARD, GPIO, GpioLines};
use super::raw;
use super::read::{At, nearest};
use super::{BusLine, Module, ModuleKind, Point, mqtt_modules, ports};
use crate::board::{self, Board};
use crate::codec::{Flow, Line, MapError, ModuleMap, Parity, StopBits};
use crate::words::config as text;

/// As the example of the source of the 7E/7F protocol runs; the boards' own papers are not public.
const GATE_BOARD_LINE: Line = Line { baud: 9600, data_bits: 8, parity: Parity::None, stop_bits: StopBits::One, flow: Flow::None };

/// The modules, and the names that doors may use: a module with a mistake of its own is still a name.
pub(super) struct Modules {
    /// Those without a mistake.
    pub(super) known: Vec<Module>,
    /// All names.
    pub(super) names: Vec<String>,
}

/// Checks all modules. Broken ones are left out after their mistakes were noted.
pub(super) fn check(raw: &[At<raw::Module>], gates: &[At<raw::Gate>], board: Option<&Board>, checker: &mut Checker<'_>) -> Modules {
    let names = same_ids(raw, checker.mistakes);
    readers_ports(raw, gates, checker);
    let modules: Vec<(&At<raw::Module>, Module)> = raw.iter().filter_map(|one| Some((one, module(one, board, checker)?))).collect();
    lines(&modules, checker);
    Modules { known: modules.into_iter().map(|(_, module)| module).collect(), names }
}

/// Notes a point that a module does not have; `true` when it has it, or has mistakes of its own.
pub(super) fn has_point(id: &str, point: Point, known: &[Module], span: &Range<usize>, mistakes: &mut Mistakes) -> bool {
    let Some(module) = known.iter().find(|module| module.id == id).filter(|module| !module.has(point)) else {
        return true;
    };
    let (word, number) = match point {
        Point::Output(number) => (text::NO_SUCH_OUTPUT, number),
        Point::Input(number) => (text::NO_SUCH_INPUT, number),
        Point::Counter(number) => (text::NO_SUCH_COUNTER, number),
    };
    let message = word.with("module", id).with("number", number.to_string());
    let one = mistakes.error(Code::NO_SUCH_POINT, message, span, text::UNKNOWN_HERE);
    let known: Vec<String> = module
        .like(point)
        .into_iter()
        .map(|(number, label)| if label == number.to_string() { label } else { format!("{number} ({label})") })
        .collect();
    if known.is_empty() {
        one.help(text::HAS_NONE);
    } else {
        one.help(text::HAS_POINTS.with("points", known.join(", ")));
    }
    false
}

fn module(raw: &At<raw::Module>, board: Option<&Board>, checker: &mut Checker<'_>) -> Option<Module> {
    let table = Named { name: raw::Module::TITLE, span: &raw.span };
    let id = checker.id(raw.id.as_ref(), &table, "id", "id = \"io1\"");
    let title = match &raw.title {
        Some(_) => checker.text(raw.title.as_ref(), &table, "title", "title = \"Реле входа\""),
        None => id.clone(),
    };
    let kind = checker.text(raw.kind.as_ref(), &table, "kind", "kind = \"wb-mr6c\"");
    let kind = match (kind.as_deref(), &raw.kind) {
        (Some(name), _) if mqtt_modules::KINDS.contains(&name) => mqtt_modules::check(raw, name, checker),
        (Some(name), Some(at)) => {
            mqtt_modules::none_of_it(raw, name, checker);
            match name {
                GATE_BOARD => gate_board(raw, at, board, checker),
                GPIO => gpio(raw, at, board, checker),
                _ => modbus(raw, name, at, board, checker),
            }
        }
        _ => None,
    };
    Some(Module { id: id?, title: title?, kind: kind? })
}

/// The pins of the board that `[site]` names.
fn gpio(raw: &At<raw::Module>, at: &At<String>, board: Option<&Board>, checker: &mut Checker<'_>) -> Option<ModuleKind> {
    for (key, span) in mqtt_modules::line_keys(raw) {
        does_not_apply(key, "kind", GPIO, &span, checker.mistakes);
    }
    let lines = board.map(GpioLines::of).filter(|lines| !lines.outputs.is_empty() || !lines.inputs.is_empty());
    if lines.is_none() {
        let boards: Vec<&str> = board::names().filter(|name| Board::built_in(name).is_some_and(|board| !board.relay.is_empty())).collect();
        let one = checker.mistakes.error(Code::CONFLICT, text::NO_PINS, &at.span, text::SYNTAX_HERE);
        one.help(text::NO_PINS_HELP.with("boards", boards.join(", ")));
    }
    lines.map(ModuleKind::Gpio)
}

fn gate_board(raw: &At<raw::Module>, at: &At<String>, board: Option<&Board>, checker: &mut Checker<'_>) -> Option<ModuleKind> {
    let one = checker.mistakes.warning(Code::EXPERIMENTAL, text::EXPERIMENTAL.with("kind", GATE_BOARD), &at.span, text::SYNTAX_HERE);
    one.help(text::EXPERIMENTAL_HELP);
    let line = bus_line(raw, Some(GATE_BOARD_LINE), board, checker);
    let address = address(raw, 0, 255, checker);
    Some(ModuleKind::GateBoard { line: line?, address: address? })
}

fn modbus(raw: &At<raw::Module>, kind: &str, at: &At<String>, board: Option<&Board>, checker: &mut Checker<'_>) -> Option<ModuleKind> {
    let map = map(kind, at, checker);
    let line = bus_line(raw, map.as_ref().map(|map| map.line), board, checker);
    let address = address(raw, 1, 247, checker);
    Some(ModuleKind::Modbus { map: map?, line: line?, address: address? })
}

/// The map of that name, or in that file: whatever holds a slash is a path, from the folder of the config.
fn map(kind: &str, at: &At<String>, checker: &mut Checker<'_>) -> Option<ModuleMap> {
    if kind.contains('/') {
        let path = checker.file.parent().unwrap_or(Path::new("")).join(kind);
        return match ModuleMap::load(&path) {
            Ok(map) => Some(map),
            Err(error) => {
                let why = match error {
                    MapError::Unreadable { source, .. } => super::secret::why_not(source.kind()),
                    other @ MapError::Invalid { .. } => other.to_string().into(),
                };
                let message = text::BAD_MAP.with("path", path.display().to_string()).with("why", why);
                checker.mistakes.error(Code::UNKNOWN_KIND, message, &at.span, text::SYNTAX_HERE);
                None
            }
        };
    }
    let found = ModuleMap::builtin(kind);
    if found.is_none() {
        let names: Vec<&str> = ModuleMap::builtin_names().into_iter().chain([GATE_BOARD, GPIO]).chain(mqtt_modules::KINDS).collect();
        let message = text::UNKNOWN_KIND.with("kind", unquoted(kind));
        let one = checker.mistakes.error(Code::UNKNOWN_KIND, message, &at.span, text::UNKNOWN_HERE);
        if let Some(near) = nearest(kind, names.iter().copied()) {
            one.help(text::DID_YOU_MEAN.with("key", near));
        }
        one.help(text::KNOWN_KINDS.with("kinds", names.join(", ")));
    }
    found
}

/// The line of a module. Without defaults (its map is unknown) the keys are looked at all the same.
fn bus_line(raw: &At<raw::Module>, default: Option<Line>, board: Option<&Board>, checker: &mut Checker<'_>) -> Option<BusLine> {
    let table = Named { name: raw::Module::TITLE, span: &raw.span };
    let baud = raw.baud.as_ref().map(|baud| checker.between(baud, 300, 4_000_000, "baud"));
    let stop_bits = raw.stop_bits.as_ref().map(|bits| checker.between(bits, 1, 2, "stop_bits"));
    let port = checker.need(raw.port.as_ref(), &table, "port", PORT_EXAMPLE).and_then(|port| port_path(port, board, checker));
    let mut settings = default?;
    if let Some(baud) = baud {
        settings.baud = baud?;
    }
    if let Some(bits) = stop_bits {
        settings.stop_bits = if bits? == 2 { StopBits::Two } else { StopBits::One };
    }
    settings.parity = match raw.parity.as_ref().map(|parity| parity.value) {
        Some(raw::LineParity::None) => Parity::None,
        Some(raw::LineParity::Even) => Parity::Even,
        Some(raw::LineParity::Odd) => Parity::Odd,
        None => settings.parity,
    };
    let port = port?;
    let by_board = || board.is_some_and(|board| board.turns_round(&port));
    let rs485 = raw.rs485.as_ref().map_or_else(by_board, |rs485| rs485.value);
    Some(BusLine { port, settings, rs485 })
}

fn address(raw: &At<raw::Module>, from: u32, to: u32, checker: &mut Checker<'_>) -> Option<u8> {
    let table = Named { name: raw::Module::TITLE, span: &raw.span };
    let at = checker.need(raw.address.as_ref(), &table, "address", "address = 1")?;
    checker.between(at, from, to, "address").and_then(|address| u8::try_from(address).ok())
}

/// All names, each once.
fn same_ids(raw: &[At<raw::Module>], mistakes: &mut Mistakes) -> Vec<String> {
    let mut firsts: Vec<&At<String>> = Vec::new();
    for id in raw.iter().filter_map(|module| module.id.as_ref()) {
        match firsts.iter().find(|first| first.value == id.value) {
            Some(first) => clash(Code::SAME_MODULE, text::SAME_MODULE.with("id", unquoted(&id.value)), first, id, mistakes),
            None => firsts.push(id),
        }
    }
    firsts.iter().map(|id| id.value.clone()).collect()
}

fn readers_ports(raw: &[At<raw::Module>], gates: &[At<raw::Gate>], checker: &mut Checker<'_>) {
    let name = |id: &Option<At<String>>| id.as_ref().map_or_else(|| "?".to_owned(), |id| unquoted(&id.value));
    for module in raw {
        let Some(port) = &module.port else { continue };
        let device = ports::device(Path::new(&port.value), checker.environment);
        let taken = gates.iter().find_map(|gate| {
            let reader = gate.port.as_ref()?;
            (ports::device(Path::new(&reader.value), checker.environment) == device).then_some((gate, reader))
        });
        if let Some((gate, first)) = taken {
            let message = text::PORT_OF_READER.with("module", name(&module.id)).with("gate", name(&gate.id));
            clash(Code::SAME_PORT, message, first, port, checker.mistakes);
        }
    }
}

/// Modules of one line: one protocol, one set of line settings, an address each.
fn lines(modules: &[(&At<raw::Module>, Module)], checker: &mut Checker<'_>) {
    let mut lines: BTreeMap<PathBuf, Vec<(&At<raw::Module>, &Module)>> = BTreeMap::new();
    for (raw, module) in modules {
        let Some((line, address)) = module.kind.on_line() else { continue };
        let known = lines.entry(ports::device(&line.port, checker.environment)).or_default();
        if let Some((first_raw, first)) = known.first() {
            together((first_raw, first), (raw, module), line, checker.mistakes);
        }
        let same = known.iter().find(|(_, other)| other.kind.on_line().is_some_and(|(_, other)| other == address));
        if let Some((first_raw, first)) = same {
            let message = pair(text::SAME_ADDRESS, first, module).with("address", address.to_string());
            checker
                .mistakes
                .error(Code::SAME_ADDRESS, message, span(raw, raw.address.as_ref()), text::TAKEN_HERE)
                .also(span(first_raw, first_raw.address.as_ref()), text::FIRST_HERE);
        }
        known.push((raw, module));
    }
}

fn together(first: (&At<raw::Module>, &Module), second: (&At<raw::Module>, &Module), line: &BusLine, mistakes: &mut Mistakes) {
    let Some((first_line, _)) = first.1.kind.on_line() else { return };
    if std::mem::discriminant(&first.1.kind) != std::mem::discriminant(&second.1.kind) {
        let message = pair(text::TWO_PROTOCOLS, first.1, second.1);
        let one = mistakes.error(Code::LINE_DIFFERS, message, span(second.0, second.0.kind.as_ref()), text::SYNTAX_HERE);
        one.also(span(first.0, first.0.kind.as_ref()), text::FIRST_HERE);
    } else if (first_line.settings, first_line.rs485) != (line.settings, line.rs485) {
        let message = pair(text::LINE_DIFFERS, first.1, second.1).with("first_line", line_text(first_line)).with("second_line", line_text(line));
        let one = mistakes.error(Code::LINE_DIFFERS, message, span(second.0, second.0.port.as_ref()), text::SYNTAX_HERE);
        one.also(span(first.0, first.0.port.as_ref()), text::FIRST_HERE).help(text::LINE_DIFFERS_HELP);
    }
}

/// `9600 8N2`, and `rs485` where the kernel turns the line round.
fn line_text(line: &BusLine) -> String {
    let parity = match line.settings.parity {
        Parity::None => 'N',
        Parity::Even => 'E',
        Parity::Odd => 'O',
    };
    let stop = match line.settings.stop_bits {
        StopBits::One => 1,
        StopBits::Two => 2,
    };
    format!("{} {}{parity}{stop}{}", line.settings.baud, line.settings.data_bits, if line.rs485 { " rs485" } else { "" })
}

fn pair(word: crate::words::Word, first: &Module, second: &Module) -> crate::words::Phrase {
    word.with("first", first.id.as_str()).with("second", second.id.as_str())
}

fn span<'a, T>(raw: &'a At<raw::Module>, at: Option<&'a At<T>>) -> &'a Range<usize> {
    at.map_or(&raw.span, |at| &at.span)
}
