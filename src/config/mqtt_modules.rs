//! Modules behind the broker: Wiren Board, Shelly, the gateway's own JSON.

use super::check::{Checker, Named};
use super::diagnostic::Code;
use super::gates::does_not_apply;
use super::raw;
use super::read::{At, shown};
use super::{ModuleKind, WirenBoard};
use crate::words::config as text;

/// `kind` of a device that Wiren Board's conventions speak of.
pub(super) const WIREN_BOARD: &str = "wirenboard-mqtt";
/// `kind` of a Shelly of the second generation or later.
pub(super) const SHELLY: &str = "shelly";
/// `kind` of a device that speaks the gateway's own JSON.
pub(super) const MQTT_JSON: &str = "mqtt-json";
/// All of them, for messages.
pub(super) const KINDS: [&str; 3] = [WIREN_BOARD, SHELLY, MQTT_JSON];

/// The module, when its kind is one of these. Its mistakes are noted.
pub(super) fn check(raw: &At<raw::Module>, kind: &str, checker: &mut Checker<'_>) -> Option<ModuleKind> {
    for (key, span) in line_keys(raw) {
        does_not_apply(key, "kind", kind, &span, checker.mistakes);
    }
    let table = Named { name: raw::Module::TITLE, span: &raw.span };
    if kind == MQTT_JSON {
        refuse(&[("device", span(raw.device.as_ref()))], kind, checker);
        refuse(&names(raw), kind, checker);
        let topic = checker.need(raw.topic.as_ref(), &table, "topic", "topic = \"gw/vysota/in-1\"")?;
        return Some(ModuleKind::MqttJson { topic: in_topic(topic, "topic", checker)? });
    }
    refuse(&[("topic", span(raw.topic.as_ref()))], kind, checker);
    if kind == SHELLY {
        refuse(&names(raw), kind, checker);
        let device = checker.need(raw.device.as_ref(), &table, "device", "device = \"shellyplus1-a8032abe54dc\"")?;
        return Some(ModuleKind::Shelly { prefix: in_topic(device, "device", checker)? });
    }
    let device = checker.need(raw.device.as_ref(), &table, "device", "device = \"wb-mr6c_34\"")?;
    let mut names = WirenBoard::mr6c(&in_topic(device, "device", checker)?);
    for (own, given, key) in
        [(&mut names.outputs, &raw.outputs, "outputs"), (&mut names.inputs, &raw.inputs, "inputs"), (&mut names.counters, &raw.counters, "counters")]
    {
        if let Some(given) = given {
            *own = given.iter().map(|name| control(name, key, checker)).collect::<Option<_>>()?;
        }
    }
    Some(ModuleKind::WirenBoard(names))
}

/// Notes the keys of such modules at one of another kind.
pub(super) fn none_of_it(raw: &At<raw::Module>, kind: &str, checker: &mut Checker<'_>) {
    refuse(&[("device", span(raw.device.as_ref())), ("topic", span(raw.topic.as_ref()))], kind, checker);
    refuse(&names(raw), kind, checker);
}

type KeySpan = (&'static str, Option<std::ops::Range<usize>>);

fn span<T>(at: Option<&At<T>>) -> Option<std::ops::Range<usize>> {
    at.map(|at| at.span.clone())
}

fn names(raw: &raw::Module) -> [KeySpan; 3] {
    let first = |list: &Option<Vec<At<String>>>| list.as_ref().map(|list| list.first().map_or(0..0, |at| at.span.clone()));
    [("outputs", first(&raw.outputs)), ("inputs", first(&raw.inputs)), ("counters", first(&raw.counters))]
}

pub(super) fn line_keys(raw: &raw::Module) -> Vec<(&'static str, std::ops::Range<usize>)> {
    let keys = [
        ("port", span(raw.port.as_ref())),
        ("address", span(raw.address.as_ref())),
        ("baud", span(raw.baud.as_ref())),
        ("parity", span(raw.parity.as_ref())),
        ("stop_bits", span(raw.stop_bits.as_ref())),
        ("rs485", span(raw.rs485.as_ref())),
    ];
    keys.into_iter().filter_map(|(key, span)| Some((key, span?))).collect()
}

fn refuse(keys: &[KeySpan], kind: &str, checker: &mut Checker<'_>) {
    for (key, span) in keys {
        if let Some(span) = span {
            does_not_apply(key, "kind", kind, span, checker.mistakes);
        }
    }
}

/// Text that topics begin with or hold.
fn in_topic(at: &At<String>, key: &'static str, checker: &mut Checker<'_>) -> Option<String> {
    let name = at.value.as_str();
    let whole = name.split('/').all(|level| !level.is_empty());
    let slashes = key != "device" || !name.contains('/');
    let usable = whole && slashes && name.len() <= 200 && !name.contains(['#', '+']) && !name.chars().any(char::is_control) && !name.starts_with('$');
    if usable {
        return Some(name.to_owned());
    }
    let message = text::NOT_ALLOWED.with("key", key).with("found", shown(name));
    checker.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::ALLOWED.with("allowed", text::TOPIC_FORM));
    None
}

fn control(at: &At<String>, key: &'static str, checker: &mut Checker<'_>) -> Option<String> {
    let name = at.value.as_str();
    let usable = !name.is_empty() && name.len() <= 100 && !name.contains(['#', '+', '/']) && !name.chars().any(char::is_control);
    if usable {
        return Some(name.to_owned());
    }
    let message = text::NOT_ALLOWED.with("key", key).with("found", shown(name));
    checker.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::ALLOWED.with("allowed", text::TOPIC_FORM));
    None
}
