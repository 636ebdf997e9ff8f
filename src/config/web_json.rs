//! `[web_json]`, and the gates whose reader is an IronLogic Web-JSON controller.

use std::net::SocketAddr;

use super::check::{Checker, Named};
use super::diagnostic::Code;
use super::gates::{does_not_apply, unquoted};
use super::raw;
use super::read::{At, shown};
use super::staff_cards::StaffCards;
use super::{Gate, ReaderConfig, SecretSource, WebJsonConfig, WebJsonReader};
use crate::words::config as text;

/// The reader that is a controller which comes to us over HTTP.
pub(super) const WEB_JSON: &str = "web-json";
const LISTEN_EXAMPLE: &str = "listen = \"192.168.1.10:8095\"";
/// A card has twelve hex digits there.
const MOST_BYTES: u32 = 6;

/// Notes the keys of a controller at a gate that has another reader.
pub(super) fn none_of_it(gate: &raw::Gate, reader: &str, checker: &mut Checker<'_>) {
    let spans = [
        ("serial_number", gate.serial_number.as_ref().map(|at| &at.span)),
        ("evidence", gate.evidence.as_ref().map(|at| &at.span)),
        ("uid_bytes", gate.uid_bytes.as_ref().map(|at| &at.span)),
    ];
    for (key, span) in spans {
        if let Some(span) = span {
            does_not_apply(key, "reader", reader, span, checker.mistakes);
        }
    }
}

/// The reader of such a gate.
pub(super) fn reader(gate: &At<raw::Gate>, checker: &mut Checker<'_>) -> Option<ReaderConfig> {
    let spans = [
        ("port", gate.port.as_ref().map(|at| &at.span)),
        ("baud", gate.baud.as_ref().map(|at| &at.span)),
        ("rs485", gate.rs485.as_ref().map(|at| &at.span)),
        ("topic", gate.topic.as_ref().map(|at| &at.span)),
    ];
    for (key, span) in spans {
        if let Some(span) = span {
            does_not_apply(key, "reader", WEB_JSON, span, checker.mistakes);
        }
    }
    let table = Named { name: raw::Gate::TITLE, span: &gate.span };
    let serial = checker.need(gate.serial_number.as_ref(), &table, "serial_number", "serial_number = 44374");
    let evidence = checker.need(gate.evidence.as_ref(), &table, "evidence", "evidence = \"passage\"");
    let uid_bytes = match &gate.uid_bytes {
        Some(bytes) => checker.between(bytes, 4, MOST_BYTES, "uid_bytes").map(|bytes| usize::try_from(bytes).ok()),
        None => Some(None),
    };
    let passage_seen = matches!(evidence?.value, raw::EvidenceWord::Passage);
    Some(ReaderConfig::WebJson(WebJsonReader { serial_number: u64::from(serial?.value), passage_seen, uid_bytes: uid_bytes? }))
}

/// The listener, and with it whether the gates fit it and each other.
#[allow(clippy::option_option, reason = "a mistake is not the same as no listener")]
pub(super) fn check(
    raw: Option<&At<raw::WebJson>>,
    gates: &[Gate],
    raw_gates: &[At<raw::Gate>],
    checker: &mut Checker<'_>,
) -> Option<Option<WebJsonConfig>> {
    let span = |gate: &Gate| {
        let found = raw_gates.iter().find(|raw| raw.id.as_ref().is_some_and(|id| id.value == gate.id.as_str()));
        found.and_then(|raw| raw.serial_number.as_ref()).map_or(0..0, |at| at.span.clone())
    };
    let mut controllers: Vec<(&Gate, &WebJsonReader)> = Vec::new();
    for gate in gates {
        let ReaderConfig::WebJson(reader) = &gate.reader else { continue };
        let earlier = controllers
            .iter()
            .find(|(first, other)| other.serial_number == reader.serial_number && (first.direction == gate.direction || *other != reader));
        if let Some((first, _)) = earlier {
            let message = text::SAME_CONTROLLER.with("first", first.id.as_str()).with("second", gate.id.as_str());
            let one = checker.mistakes.error(Code::CONFLICT, message, &span(gate), text::TAKEN_HERE);
            one.also(&span(first), text::FIRST_HERE).help(text::SAME_CONTROLLER_HELP);
        }
        controllers.push((gate, reader));
    }
    let Some(raw) = raw else {
        if let Some((gate, _)) = controllers.first() {
            let message = text::NO_LISTENER.with("gate", gate.id.as_str());
            checker.mistakes.error(Code::MISSING, message, &span(gate), text::SYNTAX_HERE).help(text::MISSING_HELP.with("example", LISTEN_EXAMPLE));
        }
        return Some(None);
    };
    listener(raw, checker).map(Some)
}

/// The list of staff's cards, which has to be one.
fn staff_cards(at: &At<raw::SecretAt>, checker: &mut Checker<'_>) -> Option<SecretSource> {
    let (source, cards) = checker.secret_read(at, SecretSource::text_in)?;
    if let Err(line) = StaffCards::parse(cards.reveal()) {
        let message = text::BAD_STAFF_CARD.with("name", unquoted(&source.name())).with("line", line.to_string());
        checker.mistakes.error(Code::BAD_SECRET, message, &at.span, text::SECRET_HERE).help(text::STAFF_CARD_HELP);
        return None;
    }
    Some(source)
}

fn listener(raw: &At<raw::WebJson>, checker: &mut Checker<'_>) -> Option<WebJsonConfig> {
    let table = Named { name: raw::WebJson::TITLE, span: &raw.span };
    let password = match &raw.password {
        // It stands in an address, too.
        Some(password) => checker.secret(password, |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric())).map(Some),
        None => Some(None),
    };
    let staff_cards = match &raw.staff_cards {
        Some(cards) => staff_cards(cards, checker).map(Some),
        None => Some(None),
    };
    let at = checker.need(raw.listen.as_ref(), &table, "listen", LISTEN_EXAMPLE)?;
    let Ok(listen) = at.value.parse::<SocketAddr>() else {
        let message = text::NOT_ALLOWED.with("key", "listen").with("found", shown(&at.value));
        checker.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::MISSING_HELP.with("example", LISTEN_EXAMPLE));
        return None;
    };
    if raw.password.is_none() && !listen.ip().is_loopback() {
        let message = text::OPEN_LISTENER.with("listen", unquoted(&at.value));
        checker.mistakes.error(Code::MISSING, message, &at.span, text::SYNTAX_HERE).help(text::OPEN_LISTENER_HELP);
        return None;
    }
    Some(WebJsonConfig { listen, password: password?, staff_cards: staff_cards? })
}
