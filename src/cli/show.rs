//! Records and jobs as text and JSON, cards masked unless asked for.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::books::{JobLine, JobState};
use crate::config::Language;
use crate::domain::{Change, Pass, Stamp};
use crate::journal::{DeadLetter, Entry, Record};
use crate::words::{cli as heads, date_time, journal as words};

/// The record speaks of this pass (its id, or the beginning of it).
pub(super) fn concerns(entry: &Entry, key: &str) -> bool {
    let id = match &entry.record {
        Record::Pass(pass) | Record::Visit(pass) => pass.id,
        Record::Decided(decided) => decided.visit,
        Record::WriteOff(write_off) => write_off.pass_id,
        Record::Dead(letter) => letter.key,
        Record::Change(change) => change.key(),
        _ => return false,
    };
    key.len() >= 8 && id.to_string().starts_with(&key.to_ascii_lowercase())
}

/// A record as JSON.
pub(super) fn entry_json(entry: &Entry, cards: bool) -> Value {
    let mut value = match &entry.record {
        Record::Pass(pass) => pass_json("pass", pass, cards),
        Record::Visit(pass) => pass_json("visit", pass, cards),
        Record::Decided(decided) => json!({"kind": "decided", "visit": decided.visit, "decision": decided.decision, "stamp": decided.stamp}),
        Record::Door(event) => json!({"kind": "door", "event": event}),
        Record::Change(change) => json!({"kind": "change", "change": masked(change)}),
        Record::WriteOff(write_off) => json!({"kind": "write_off", "write_off": write_off}),
        Record::Sending(sending) => json!({"kind": "sending", "to": sending.to, "jobs": sending.jobs, "stamp": sending.stamp}),
        Record::Settled(settled) => {
            let items: Vec<Value> = settled.items.iter().map(|item| json!({"job": item.job, "remote": item.remote})).collect();
            let learned: Vec<Value> =
                settled.learned.iter().map(|line| json!({"kind": line.key.kind, "key": line.key.key, "value": line.value})).collect();
            json!({"kind": "settled", "to": settled.to, "items": items, "learned": learned, "stamp": settled.stamp})
        }
        Record::Dead(letter) => dead_json(letter, cards),
        Record::Revived(decision) => json!({"kind": "revived", "to": decision.to, "jobs": decision.jobs, "stamp": decision.stamp}),
        Record::Dropped(decision) => {
            json!({"kind": "dropped", "to": decision.to, "jobs": decision.jobs, "reason": decision.reason, "stamp": decision.stamp})
        }
        Record::Anchor(anchor) => json!({"kind": "anchor", "stamp": anchor.stamp, "error_ms": anchor.error_ms}),
    };
    if let Value::Object(map) = &mut value {
        map.insert("seq".to_owned(), json!(entry.seq));
        map.insert("v".to_owned(), json!(1));
    }
    value
}

/// A change without whom it is about: people's names and phones are looked up where they belong.
fn masked(change: &Change) -> Value {
    let mut value = json!(change);
    for path in ["/told/preorder/contact", "/told/preorder/comment", "/told/preorder/event/title"] {
        if let Some(personal) = value.pointer_mut(path).filter(|personal| !personal.is_null()) {
            *personal = json!("***");
        }
    }
    value
}

fn pass_json(kind: &str, pass: &Pass, cards: bool) -> Value {
    let mut value = json!({"kind": kind, "pass": pass});
    if !cards && let Some(medium) = value.pointer_mut("/pass/medium").and_then(Value::as_object_mut) {
        medium.insert("value".to_owned(), json!(pass.medium.value.masked(4)));
        medium.insert("raw".to_owned(), Value::Null);
    }
    value
}

/// A dead letter as JSON, with the fact that made it.
pub(super) fn dead_json(letter: &DeadLetter, cards: bool) -> Value {
    let fact = minicbor::decode::<Record>(&letter.fact).ok().map(|record| entry_json(&Entry { seq: letter.job, record }, cards));
    json!({
        "kind": "dead", "to": letter.to, "job": letter.job, "key": letter.key, "reason": letter.reason, "answer": letter.answer,
        "stamp": letter.stamp, "fact": fact,
    })
}

/// A job's state in a word.
pub(super) fn state_word(state: JobState, language: Language) -> String {
    let word = match state {
        JobState::Waiting => words::STATE_WAITING,
        JobState::Sending => words::STATE_SENDING,
        JobState::Delivered => words::STATE_DELIVERED,
        JobState::Refused => words::STATE_REFUSED,
        JobState::Dropped => words::STATE_DROPPED,
    };
    word.text(language)
}

/// Jobs, a line each.
pub(super) fn job_table(lines: &[&JobLine], zone: &TimeZone, language: Language) -> String {
    if lines.is_empty() {
        return words::NOTHING.text(language);
    }
    let heads = [words::SEQ, words::TIME, words::WHAT, heads::GATE, words::MEDIUM, heads::TO, heads::STATE, words::KEY, words::NOTE];
    let rows = lines.iter().map(|line| {
        vec![
            line.seq.to_string(),
            date_time(line.wall_ms, zone),
            line.what.to_owned(),
            or_dash(&line.gate),
            line.about.clone().unwrap_or_else(|| line.medium.clone()),
            line.to.name().to_owned(),
            state_word(line.state, language),
            line.key.to_string(),
            line.note.clone().unwrap_or_default(),
        ]
    });
    table(&heads.map(|word| word.text(language)), rows.collect())
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// Dead letters, a line each.
pub(super) fn dead_table(letters: &[DeadLetter], zone: &TimeZone, language: Language) -> String {
    if letters.is_empty() {
        return words::NOTHING.text(language);
    }
    let heads = [words::SEQ, words::TIME, heads::TO, words::KEY, words::REASON];
    let rows = letters.iter().map(|letter| {
        vec![letter.job.to_string(), wall(&letter.stamp, zone), letter.to.name().to_owned(), letter.key.to_string(), letter.reason.clone()]
    });
    table(&heads.map(|word| word.text(language)), rows.collect())
}

fn wall(stamp: &Stamp, zone: &TimeZone) -> String {
    date_time(stamp.wall_ms, zone)
}

/// Columns as wide as their widest cell, two spaces between them.
fn table(heads: &[String], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        heads.get(column).into_iter().chain(cells).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heads)];
    lines.extend(rows.iter().map(|row| line(row)));
    lines.join("\n")
}
