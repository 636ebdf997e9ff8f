//! `[[gate]]`: each by itself, then against each other and against the board.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::check::{Checker, Named};
use super::diagnostic::{Code, Mistakes};
use super::modules::Modules;
use super::raw;
use super::read::{At, missing, shown};
use super::readers::{self, MQTT_JSON, NoProfile, OSDP};
use super::{Gate, ReaderConfig, SerialReader, door, osdp, ports, web_json};
use crate::board::{Board, Port};
use crate::domain::{Direction, GateId, ServicePointId};
use crate::words::{self, Word, config as text};

pub(super) const PORT_EXAMPLE: &str = "port = \"/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_AB0KNUJC-if00-port0\"";

/// Checks all gates. Broken ones are left out after their mistakes were noted.
pub(super) fn check(raw: &[At<raw::Gate>], board: Option<&Board>, modules: &Modules, checker: &mut Checker<'_>) -> Vec<Gate> {
    clashes(raw, checker);
    let mut gates: Vec<Gate> = raw.iter().filter_map(|gate| one(gate, board, modules, checker)).collect();
    osdp::join_lines(&mut gates, checker.environment);
    door::one_output_one_door(&gates, raw, checker.mistakes);
    gates
}

fn one(gate: &At<raw::Gate>, board: Option<&Board>, modules: &Modules, checker: &mut Checker<'_>) -> Option<Gate> {
    let table = Named { name: raw::Gate::TITLE, span: &gate.span };
    let id = checker.id(gate.id.as_ref(), &table, "id", "id = \"n1\"");
    let title = checker.text(gate.title.as_ref(), &table, "title", "title = \"Турникет 1\"");
    let service_point = checker.text(gate.service_point.as_ref(), &table, "service_point", "service_point = \"sp-4\"");
    let reader = checker.text(gate.reader.as_ref(), &table, "reader", "reader = \"ironlogic-z2\"");
    let reader = match reader.as_deref() {
        Some(web_json::WEB_JSON) => web_json::reader(gate, checker),
        Some(MQTT_JSON) => mqtt_reader(gate, checker.mistakes),
        Some(OSDP) => osdp::check(gate, board, checker),
        Some(name) => serial_reader(gate, name, board, checker),
        None => None,
    };
    if let Some(name) = gate.reader.as_ref().map(|reader| reader.value.as_str()).filter(|name| *name != web_json::WEB_JSON) {
        web_json::none_of_it(gate, name, checker);
    }
    let direction = match gate.direction.as_ref().map(|direction| direction.value) {
        Some(raw::Direction::Out) => Direction::Out,
        _ => Direction::In,
    };
    let door = door::check(gate, reader.as_ref(), modules, checker);
    Some(Gate { id: GateId(id?), title: title?, service_point: ServicePointId(service_point?), direction, reader: reader?, door: door? })
}

fn mqtt_reader(gate: &At<raw::Gate>, mistakes: &mut Mistakes) -> Option<ReaderConfig> {
    let port = gate.port.as_ref().map(|port| &port.span);
    let spans = [
        ("port", port),
        ("baud", gate.baud.as_ref().map(|baud| &baud.span)),
        ("rs485", gate.rs485.as_ref().map(|rs485| &rs485.span)),
        ("osdp", gate.osdp.as_ref().map(|osdp| &osdp.span)),
    ];
    for (key, span) in spans {
        if let Some(span) = span {
            does_not_apply(key, "reader", MQTT_JSON, span, mistakes);
        }
    }
    let Some(topic) = &gate.topic else {
        if !mistakes.is_broken(&gate.span, "topic") {
            missing(raw::Gate::TITLE, "topic", "topic = \"validators/in-1/pass\"", &gate.span, mistakes);
        }
        return None;
    };
    let name = &topic.value;
    let usable =
        !name.is_empty() && name.len() <= 1024 && !name.contains(['#', '+']) && !name.chars().any(char::is_control) && !name.starts_with('$');
    if !usable {
        let message = text::NOT_ALLOWED.with("key", "topic").with("found", shown(name));
        mistakes.error(Code::NOT_ALLOWED, message, &topic.span, text::ALLOWED.with("allowed", text::TOPIC_FORM));
        return None;
    }
    Some(ReaderConfig::MqttJson { topic: name.clone() })
}

fn serial_reader(gate: &At<raw::Gate>, reader: &str, board: Option<&Board>, checker: &mut Checker<'_>) -> Option<ReaderConfig> {
    let profile = profile(gate, reader, checker);
    for (key, span) in [("topic", gate.topic.as_ref().map(|topic| &topic.span)), ("osdp", gate.osdp.as_ref().map(|osdp| &osdp.span))] {
        if let Some(span) = span {
            does_not_apply(key, "reader", reader, span, checker.mistakes);
        }
    }
    let baud = match &gate.baud {
        Some(baud) => checker.between(baud, 300, 4_000_000, "baud"),
        None => None,
    };
    let port = port(gate, board, checker)?;
    short_uids(gate, profile.as_ref()?, checker)?;
    let rs485 = turns_round(gate, &port, board);
    Some(ReaderConfig::Serial(SerialReader { profile: profile?, port, baud, rs485 }))
}

/// Whether the kernel has to turn the line round: as the gate says, else as the board's file says of the port.
pub(super) fn turns_round(gate: &raw::Gate, port: &Path, board: Option<&Board>) -> bool {
    gate.rs485.as_ref().map_or_else(|| board.is_some_and(|board| board.turns_round(port)), |rs485| rs485.value)
}

/// The serial port of a gate.
pub(super) fn port(gate: &At<raw::Gate>, board: Option<&Board>, checker: &mut Checker<'_>) -> Option<PathBuf> {
    let table = Named { name: raw::Gate::TITLE, span: &gate.span };
    let port = checker.need(gate.port.as_ref(), &table, "port", PORT_EXAMPLE)?;
    port_path(port, board, checker)
}

/// A reader that gives 24 bits of a UID is a key for money only where somebody has said that it is to be.
fn short_uids(gate: &At<raw::Gate>, profile: &crate::codec::Profile, checker: &mut Checker<'_>) -> Option<()> {
    let accepted = gate.accept_short_uids.as_ref().is_some_and(|accepted| accepted.value);
    if accepted || !profile.gives_short_uids() {
        return Some(());
    }
    let span = gate.reader.as_ref().map_or(&gate.span, |at| &at.span);
    let message = text::SHORT_UIDS.with("reader", unquoted(&profile.name));
    checker.mistakes.error(Code::NOT_ALLOWED, message, span, text::SYNTAX_HERE).help(text::SHORT_UIDS_HELP);
    None
}

/// The path of a serial port, with warnings where it may become another device or the board does not have it.
pub(super) fn port_path(port: &At<String>, board: Option<&Board>, checker: &mut Checker<'_>) -> Option<PathBuf> {
    let path = PathBuf::from(&port.value);
    if !path.is_absolute() || port.value.chars().any(char::is_control) {
        let message = text::NOT_ALLOWED.with("key", "port").with("found", shown(&port.value));
        checker.mistakes.error(Code::NOT_ALLOWED, message, &port.span, text::MISSING_HELP.with("example", PORT_EXAMPLE));
        return None;
    }
    stability(&path, port, checker);
    if let Some(board) = board {
        on_board(&path, port, board, checker.mistakes);
    }
    Some(path)
}

fn profile(gate: &At<raw::Gate>, reader: &str, checker: &mut Checker<'_>) -> Option<crate::codec::Profile> {
    let span = gate.reader.as_ref().map_or(&gate.span, |at| &at.span);
    match readers::find(reader, checker.file) {
        Ok(profile) => Some(profile),
        Err(NoProfile::Unknown) => {
            let names = readers::names();
            let one = checker.mistakes.error(Code::UNKNOWN_READER, text::UNKNOWN_READER.with("reader", unquoted(reader)), span, text::UNKNOWN_HERE);
            if let Some(near) = super::read::nearest(reader, names.iter().copied()) {
                one.help(text::DID_YOU_MEAN.with("key", near));
            }
            one.help(text::KNOWN_READERS.with("readers", names.join(", ")));
            None
        }
        Err(NoProfile::Bad { path, why }) => {
            checker.mistakes.error(Code::UNKNOWN_READER, text::BAD_PROFILE.with("path", path).with("why", why), span, text::SYNTAX_HERE);
            None
        }
    }
}

/// As [`shown`], for templates that bring their own quotes.
pub(super) fn unquoted(found: &str) -> String {
    shown(found).trim_matches('"').to_owned()
}

fn stability(path: &Path, port: &At<String>, checker: &mut Checker<'_>) {
    if !ports::is_unstable(path) {
        return;
    }
    let stable = ports::stable_name(path, checker.environment);
    let one = checker.mistakes.warning(Code::UNSTABLE_PORT, text::UNSTABLE_PORT.with("port", unquoted(&port.value)), &port.span, text::UNSTABLE_HERE);
    match stable {
        Some(link) => one.help(text::UNSTABLE_ALSO.with("link", link.display().to_string())),
        None => one.help(text::UNSTABLE_HELP),
    };
}

fn on_board(path: &Path, port: &At<String>, board: &Board, mistakes: &mut Mistakes) {
    match board.port(path) {
        Port::Fine => {}
        Port::NeedsFirmware(note) => {
            let message = text::NEEDS_FIRMWARE.with("port", unquoted(&port.value)).with("board", board.title.as_str());
            let both = words::Value::Both { ru: note.ru.clone(), en: note.en.clone() };
            mistakes.warning(Code::NEEDS_FIRMWARE, message, &port.span, text::SYNTAX_HERE).help(text::FIRMWARE_HELP.with("note", both));
        }
        Port::Unknown(known) => {
            let message = text::NOT_ON_BOARD.with("port", unquoted(&port.value)).with("board", board.title.as_str());
            let one = mistakes.warning(Code::NOT_ON_BOARD, message, &port.span, text::UNKNOWN_HERE);
            one.help(text::BOARD_PORTS.with("ports", known.join(", ")));
        }
    }
}

/// Notes a key that has no meaning beside another key's value.
pub(super) fn does_not_apply(key: &'static str, beside: &'static str, value: &str, span: &Range<usize>, mistakes: &mut Mistakes) {
    let language_free = format!("{beside} = {}", shown(value));
    mistakes.error(Code::CONFLICT, text::DOES_NOT_APPLY.with("key", key).with("why", language_free), span, text::REMOVE_IT);
}

/// What two gates cannot share. A service point they may: a turnstile can have a card reader and a scanner on one side.
fn clashes(gates: &[At<raw::Gate>], checker: &mut Checker<'_>) {
    let mut ids: BTreeMap<&str, &At<String>> = BTreeMap::new();
    let mut devices: BTreeMap<PathBuf, Vec<(&raw::Gate, &At<String>)>> = BTreeMap::new();
    let mut topics: BTreeMap<&str, (&raw::Gate, &At<String>)> = BTreeMap::new();
    for gate in gates {
        if let Some(id) = &gate.id {
            match ids.get(id.value.as_str()) {
                Some(first) => clash(Code::SAME_ID, text::SAME_ID.with("id", unquoted(&id.value)), first, id, checker.mistakes),
                None => drop(ids.insert(&id.value, id)),
            }
        }
        if let Some(port) = &gate.port {
            let device = ports::device(Path::new(&port.value), checker.environment);
            let others = devices.entry(device).or_default();
            let clashing = others.iter().find_map(|(other, at)| osdp::clash(other, gate).map(|why| (*other, *at, why)));
            if let Some((first_gate, first, why)) = clashing {
                clash(Code::SAME_PORT, pair(why, first_gate, gate), first, port, checker.mistakes);
            }
            others.push((gate, port));
        }
        if let Some(topic) = &gate.topic {
            match topics.get(topic.value.as_str()) {
                Some((first_gate, first)) => clash(Code::SAME_TOPIC, pair(text::SAME_TOPIC, first_gate, gate), first, topic, checker.mistakes),
                None => drop(topics.insert(&topic.value, (gate, topic))),
            }
        }
    }
}

fn pair(word: Word, first: &raw::Gate, second: &raw::Gate) -> words::Phrase {
    let name = |gate: &raw::Gate| gate.id.as_ref().map_or_else(|| "?".to_owned(), |id| unquoted(&id.value));
    word.with("first", name(first)).with("second", name(second))
}

pub(super) fn clash(code: Code, message: words::Phrase, first: &At<String>, second: &At<String>, mistakes: &mut Mistakes) {
    let one = mistakes.error(code, message, &second.span, text::TAKEN_HERE);
    one.also(&first.span, text::FIRST_HERE);
    if code == Code::SAME_PORT && first.value != second.value {
        one.help(text::SAME_DEVICE.with("first", unquoted(&first.value)).with("second", unquoted(&second.value)));
    }
}
