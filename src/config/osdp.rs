//! `reader = "osdp"`: the reader, and what gates on one line must have in common.

use serde_json::{Value, json};

use super::check::{Checker, Named};
use super::diagnostic::Code;
use super::environment::Environment;
use super::gates::{does_not_apply, port, turns_round, unquoted};
use super::raw;
use super::read::At;
use super::readers::OSDP;
use super::{Gate, OsdpReader, ReaderConfig, SecretSource, ports};
use crate::board::Board;
use crate::codec::UidOrder;
use crate::codec::osdp::{CardOptions, Check, Key, LAST_ADDRESS, Layout, Text};
use crate::words::{Word, config as text};

const OSDP_EXAMPLE: &str = "osdp = { address = 0, key = { file = \"osdp-n1\" } }";
const BAUD: u32 = 9_600;

/// The reader of a gate.
pub(super) fn check(gate: &At<raw::Gate>, board: Option<&Board>, checker: &mut Checker<'_>) -> Option<ReaderConfig> {
    for (key, span) in [("baud", gate.baud.as_ref().map(|baud| &baud.span)), ("topic", gate.topic.as_ref().map(|topic| &topic.span))] {
        if let Some(span) = span {
            does_not_apply(key, "reader", OSDP, span, checker.mistakes);
        }
    }
    let port = port(gate, board, checker);
    let table = Named { name: raw::Gate::TITLE, span: &gate.span };
    let osdp = checker.need(gate.osdp.as_ref(), &table, "osdp", OSDP_EXAMPLE)?;
    let table = Named { name: raw::Osdp::TITLE, span: &osdp.span };
    let address = checker.need(osdp.address.as_ref(), &table, "address", "address = 0");
    let address = address.and_then(|at| checker.between(at, 0, u32::from(LAST_ADDRESS), "address"));
    let baud = match &osdp.baud {
        Some(at) => checker.between(at, 300, 4_000_000, "baud"),
        None => Some(BAUD),
    };
    let key = match &osdp.key {
        Some(at) => checker.secret_of(at, text::OSDP_KEY_FORM, |text| Key::parse(text).is_some_and(|key| !key.is_everybodys())).map(Some),
        None => {
            if !checker.mistakes.is_broken(&osdp.span, "key") {
                let id = gate.id.as_ref().map_or_else(|| "n1".to_owned(), |id| unquoted(&id.value));
                let one = checker.mistakes.warning(Code::PLAIN_OSDP, text::OSDP_CLEAR.with("gate", id.as_str()), &osdp.span, text::SYNTAX_HERE);
                one.help(text::OSDP_CLEAR_HELP.with("gate", id));
            }
            Some(None)
        }
    };
    let cards = CardOptions {
        layout: match osdp.layout.as_ref().map(|at| at.value) {
            Some(raw::CardLayout::Raw) => Layout::Raw,
            _ => Layout::Standard,
        },
        uid_order: match osdp.uid_order.as_ref().map(|at| at.value) {
            Some(raw::CardOrder::Reversed) => UidOrder::Reversed,
            Some(raw::CardOrder::Mixed7) => UidOrder::Mixed7,
            _ => UidOrder::AsIs,
        },
        wiegand26: osdp.wiegand26.as_ref().is_some_and(|at| at.value),
        text: match osdp.text.as_ref().map(|at| at.value) {
            Some(raw::CardText::Barcode) => Text::Barcode,
            Some(raw::CardText::Qr) => Text::Qr,
            _ => Text::Card,
        },
    };
    let (port, address) = (port?, u8::try_from(address?).ok()?);
    let rs485 = turns_round(gate, &port, board);
    Some(ReaderConfig::Osdp(OsdpReader { line: port.clone(), port, baud: baud?, rs485, address, key: key?, check: check_of(osdp), cards }))
}

fn check_of(osdp: &raw::Osdp) -> Check {
    match osdp.check.as_ref().map(|at| at.value) {
        Some(raw::OsdpCheck::Checksum) => Check::Checksum,
        _ => Check::Crc,
    }
}

/// Why two gates cannot share a port, if they cannot.
pub(super) fn clash(first: &raw::Gate, second: &raw::Gate) -> Option<Word> {
    let osdp = |gate: &raw::Gate| {
        let is_osdp = gate.reader.as_ref().is_some_and(|reader| reader.value == OSDP);
        gate.osdp.as_ref().filter(|_| is_osdp).map(|osdp| {
            let baud = osdp.baud.as_ref().map_or(BAUD, |baud| baud.value);
            let rs485 = gate.rs485.as_ref().map(|rs485| rs485.value);
            (osdp.address.as_ref().map(|address| address.value), (baud, check_of(osdp), rs485))
        })
    };
    let (Some((first, first_line)), Some((second, second_line))) = (osdp(first), osdp(second)) else {
        return Some(text::SAME_PORT);
    };
    match (first, second) {
        (Some(first), Some(second)) if first == second => Some(text::SAME_READER),
        _ => (first_line != second_line).then_some(text::OTHER_LINE),
    }
}

/// Gates whose ports are one device, however they name it, get one line.
pub(super) fn join_lines(gates: &mut [Gate], environment: &Environment) {
    let mut lines: Vec<std::path::PathBuf> = Vec::new();
    for gate in gates {
        let ReaderConfig::Osdp(reader) = &mut gate.reader else { continue };
        let device = ports::device(&reader.port, environment);
        match lines.iter().find(|line| ports::device(line, environment) == device) {
            Some(line) => reader.line.clone_from(line),
            None => lines.push(reader.port.clone()),
        }
    }
}

/// In the shape of the file.
pub(super) fn effective(reader: &OsdpReader, secret: &dyn Fn(&SecretSource) -> Value) -> Value {
    let layout = match reader.cards.layout {
        Layout::Standard => "standard",
        Layout::Raw => "raw",
    };
    let uid_order = match reader.cards.uid_order {
        UidOrder::AsIs => "as_is",
        UidOrder::Reversed => "reversed",
        UidOrder::Mixed7 => "mixed7",
    };
    let characters = match reader.cards.text {
        Text::Card => "card",
        Text::Barcode => "barcode",
        Text::Qr => "qr",
    };
    let check = match reader.check {
        Check::Crc => "crc",
        Check::Checksum => "checksum",
    };
    json!({
        "reader": OSDP,
        "port": reader.port,
        "rs485": reader.rs485,
        "osdp": {
            "address": reader.address,
            "baud": reader.baud,
            "key": reader.key.as_ref().map(secret),
            "check": check,
            "layout": layout,
            "uid_order": uid_order,
            "wiegand26": reader.cards.wiegand26,
            "text": characters,
        },
    })
}
