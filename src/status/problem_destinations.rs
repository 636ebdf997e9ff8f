//! Problems of destinations and of the broker: cannot be reached, refuse us, lack something, or wait for a person.

use super::problem::{Code, Finding, Severity, Subject};
use super::snapshot::{DestinationState, Link, Snapshot};
use crate::words::{Phrase, Word, problems as words};

/// A restart of a server or a router is over within this time.
const BLIP_MS: u64 = 15_000;
/// A rest that a destination asks for is worth a word when it is longer than this.
const LONG_REST_MS: u64 = 10_000;
/// An unknown outcome is cleared up within two looks; longer is worth a word.
const DOUBT_MS: u64 = 10 * 60_000;
/// Older than this, deliveries are called late.
const LATE_MS: u64 = 15 * 60_000;

pub(super) fn find(now: &Snapshot) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(none) = no_network(now) {
        found.push(none);
    }
    for (name, state) in &now.destinations {
        found.extend(trouble(name, state, now));
        found.extend(queue(name, state));
    }
    if now.mqtt.configured && now.mqtt.link == Link::Down {
        let text = words::NO_BROKER.with("why", now.mqtt.error.clone().unwrap_or_default());
        let subject = Subject::Destination("mqtt".to_owned());
        let one = Finding::new(Code::NO_BROKER, Severity::Amber, subject, text, words::CHECK_BROKER);
        found.push(one.after(BLIP_MS).caused_by(Code::NO_NETWORK, Subject::Box));
    }
    found
}

/// Nothing was even sent, to anybody.
fn no_network(now: &Snapshot) -> Option<Finding> {
    let unsent = |state: &&DestinationState| state.link == Link::Down && state.error.as_deref() == Some("not_sent");
    let all = now.destinations.len() >= 2 && now.destinations.values().all(|state| unsent(&state));
    let broker_too = !now.mqtt.configured || now.mqtt.link == Link::Down;
    if !(all && broker_too) {
        return None;
    }
    let waiting = now.destinations.values().map(|state| state.waiting).max().unwrap_or(0);
    let since = now.destinations.values().filter_map(|state| state.down_since_boot_ms).max();
    let text = words::NO_NETWORK.with("n", crate::words::Value::Count(waiting));
    Some(Finding::new(Code::NO_NETWORK, Severity::Amber, Subject::Box, text, words::CHECK_NETWORK).since(since).after(BLIP_MS))
}

fn trouble(name: &str, state: &DestinationState, now: &Snapshot) -> Option<Finding> {
    let subject = Subject::Destination(name.to_owned());
    let kind = kind(name, state);
    let Some(error) = state.error.as_deref() else {
        let rest = state.next_attempt_boot_ms?.saturating_sub(now.boot_ms);
        let text = words::LIMITED.with("to", kind).span("t", rest);
        return (rest >= LONG_REST_MS && state.waiting > 0).then(|| Finding::new(Code::LIMITED, Severity::Grey, subject, text, words::NOTHING_TO_DO));
    };
    let (code, word, action, grace) = class(error, state.error_text.as_deref().unwrap_or_default());
    if state.link == Link::Up && grace > 0 {
        return None;
    }
    let text: Phrase = word
        .with("to", kind)
        .with("code", error.to_owned())
        .with("why", state.error_text.clone().unwrap_or_else(|| error.to_owned()))
        .count("n", state.waiting);
    let one = Finding::new(code, Severity::Amber, subject, text, action).since(state.down_since_boot_ms).after(grace);
    Some(one.caused_by(Code::NO_NETWORK, Subject::Box))
}

/// What a stable error code, and where it says too little its text, amounts to.
fn class(error: &str, text: &str) -> (Code, Word, Word, u64) {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match error {
        "auth" => (Code::AUTH, words::AUTH, words::RENEW_TOKEN, 0),
        "setup/pipeline" | "setup/stage" => (Code::NO_STAGE, words::NO_STAGE, words::RUN_SETUP, 0),
        "setup/field" => (Code::NO_FIELD, words::NO_FIELD, words::RUN_SETUP, 0),
        "setup/access" => (Code::ACCESS, words::ACCESS, words::GIVE_ACCESS, 0),
        other if other.starts_with("setup/") => (Code::SETUP, words::SETUP, words::RUN_CRM_CHECK, 0),
        "not_sent" if has(&["dns", "lookup", "resolve", "name or service"]) => (Code::NO_DNS, words::NO_DNS, words::CHECK_DNS, BLIP_MS),
        "not_sent" if has(&["certificate", "tls", "handshake"]) => (Code::BAD_TLS, words::BAD_TLS, words::CHECK_TLS, BLIP_MS),
        "not_sent" => (Code::UNREACHABLE, words::UNREACHABLE, words::CHECK_NETWORK, BLIP_MS),
        other if other.starts_with("http/429") => (Code::LIMITED, words::LIMITED_NOW, words::NOTHING_TO_DO, BLIP_MS),
        other if other.starts_with("http/") => (Code::FAILING, words::FAILING, words::WAIT_FOR_IT, BLIP_MS),
        _ => (Code::NO_ANSWER, words::NO_ANSWER, words::WAIT_FOR_IT, BLIP_MS),
    }
}

fn queue(name: &str, state: &DestinationState) -> Vec<Finding> {
    let kind = kind(name, state);
    let finding = |code, severity, text, action| Finding::new(code, severity, Subject::Destination(name.to_owned()), text, action);
    let mut found = Vec::new();
    if state.refused > 0 {
        let text = words::DEAD_LETTERS.with("to", kind).count("n", state.refused);
        found.push(finding(Code::DEAD_LETTERS, Severity::Amber, text, words::LIST_DEAD));
    }
    if state.doubtful > 0 {
        let text = words::DOUBTFUL.with("to", kind).count("n", state.doubtful);
        found.push(finding(Code::DOUBTFUL, Severity::Grey, text, words::NOTHING_TO_DO).after(DOUBT_MS));
    }
    if let Some(swept) = state.swept.filter(|swept| swept.doubled > 0 || swept.missing > 0) {
        let word = if swept.missing == 0 { words::DOUBLED } else { words::DOUBLED_OR_MISSING };
        let text = word.with("to", kind).count("n", swept.doubled).count("m", swept.missing);
        found.push(finding(Code::DOUBLED, Severity::Amber, text, words::MEND_DOUBLED));
    }
    let late = state.oldest_ms.filter(|age| *age >= LATE_MS && state.link == Link::Up && state.waiting > 0 && state.error.is_none());
    if let Some(age) = late {
        let text = words::BACKLOG.with("to", kind).count("n", state.waiting).span("t", age);
        found.push(finding(Code::BACKLOG, Severity::Grey, text, words::NOTHING_TO_DO));
    }
    found
}

/// `amocrm` says more to people than `crm`.
fn kind<'a>(name: &'a str, state: &'a DestinationState) -> &'a str {
    if state.kind.is_empty() { name } else { &state.kind }
}
