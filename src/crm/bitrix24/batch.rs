//! `batch`: up to fifty commands in one request, which counts as one against the rate limit.
//!
//! A command is a text `method?parameters`. Its values are percent-encoded once, for the request's body is JSON. Keys begin with a letter, because the
//! server turns keys 0..n into a list and errors then lose theirs. The server replaces `$result[..]` and its kin in every value, with no way to escape
//! them: in a value of ours the dollar of such a text is replaced by its full-width twin, and only [`Command::referring`] writes a true one.
//!
//! A batch is no transaction: each command has its own outcome, and one that the answer does not mention is *unanswered*, never assumed done or undone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use http::Method;
use serde_json::{Map, Value};

use super::wire::{self, Fault, Timing};
use crate::http::Request;

/// Most commands in one batch.
pub const LIMIT: usize = 50;

/// The portal ends a call after 60 seconds; whoever waits a little longer hears it.
pub const TIMEOUT: Duration = Duration::from_secs(70);

/// One call of a method.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// `crm.item.add`
    pub method: &'static str,
    /// Its parameters: an object.
    pub params: Value,
    /// Parameters that an earlier command of the same request answers.
    refers: Vec<(&'static str, String)>,
}

impl Command {
    /// A call.
    #[must_use]
    pub fn new(method: &'static str, params: Value) -> Self {
        Self { method, params, refers: Vec::new() }
    }

    /// With a parameter (`ownerId`, `fields[productId]`) whose value is part of the result of the `at`-th command of the same request, counted from 0.
    /// Where that command fails, the server puts something else there, so this one fails, too.
    #[must_use]
    pub fn referring(mut self, name: &'static str, at: usize, path: &[&str]) -> Self {
        let path: String = path.iter().map(|part| format!("[{part}]")).collect();
        self.refers.push((name, format!("$result[{}]{path}", key(at))));
        self
    }

    /// The command as `batch` wants it.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = self.method.to_owned();
        let mut separator = '?';
        flatten("", &self.params, &mut |key, value| {
            out.push(separator);
            separator = '&';
            // Brackets of our own keys stay as they are; everything else in a key is encoded like a value.
            percent(&mut out, key, b"[]");
            out.push('=');
            percent(&mut out, &neutral(value), b"");
        });
        for (name, reference) in &self.refers {
            out.push(if out.contains('?') { '&' } else { '?' });
            percent(&mut out, name, b"[]");
            out.push('=');
            percent(&mut out, reference, b"");
        }
        out
    }

    /// A text of the portal without the values that we sent: it may quote a name.
    #[must_use]
    pub fn unsaid(&self, text: &str) -> String {
        let mut out = text.to_owned();
        flatten("", &self.params, &mut |_, value| {
            for part in value.split_whitespace().chain([value]).filter(|part| part.chars().count() > 2) {
                out = out.replace(part, "…");
            }
        });
        out
    }
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was carried out.
    Done {
        /// Its result.
        result: Value,
        /// How many rows there are in all, where it was a counted list.
        total: Option<u64>,
        /// What it cost.
        timing: Option<Timing>,
    },
    /// It was refused.
    Fault {
        /// How.
        fault: Fault,
        /// What it cost.
        timing: Option<Timing>,
    },
    /// The answer does not mention it.
    Unanswered,
}

/// The request for at most [`LIMIT`] commands.
#[must_use]
pub fn request(commands: &[Command]) -> Request {
    let cmd: Map<String, Value> = commands.iter().take(LIMIT).enumerate().map(|(n, c)| (key(n), Value::String(c.encode()))).collect();
    let body = serde_json::json!({ "halt": 0, "cmd": cmd });
    Request { timeout: TIMEOUT, ..Request::json(Method::POST, "/batch", &body, "POST batch") }
}

/// The outcomes of `count` commands, in their order. `result` is the batch's own `result`.
#[must_use]
pub fn read(result: &Value, count: usize) -> Vec<Outcome> {
    let part = |name: &str| result.get(name).unwrap_or(&Value::Null);
    let (results, errors, totals, times) = (part("result"), part("result_error"), part("result_total"), part("result_time"));
    let listed = listed_errors(results, errors, count);
    (0..count)
        .map(|n| {
            let at = |values: &Value| match values {
                Value::Object(map) => map.get(&key(n)).cloned(),
                Value::Array(list) if list.len() == count => list.get(n).cloned(),
                _ => None,
            };
            let timing = at(times).as_ref().and_then(Timing::read);
            let error = wire::map(errors).and_then(|map| map.get(&key(n))).or_else(|| listed.get(&n).copied());
            if let Some(error) = error {
                let fault = Fault::read(error).unwrap_or_else(|| Fault { code: String::new(), text: wire::scrub(&error.to_string()) });
                return Outcome::Fault { fault, timing };
            }
            match at(results) {
                Some(result) => Outcome::Done { result, total: at(totals).as_ref().and_then(wire::id), timing },
                None => Outcome::Unanswered,
            }
        })
        .collect()
}

/// Errors that came as a list have lost their keys. Where there are as many as commands without a result, they belong to those, in order; else nobody
/// can tell, and the commands stay unanswered.
fn listed_errors<'a>(results: &Value, errors: &'a Value, count: usize) -> BTreeMap<usize, &'a Value> {
    let (Value::Array(errors), Some(results)) = (errors, wire::map(results)) else { return BTreeMap::new() };
    let open: Vec<usize> = (0..count).filter(|n| !results.contains_key(&key(*n))).collect();
    if open.len() == errors.len() { open.into_iter().zip(errors).collect() } else { BTreeMap::new() }
}

/// The key of the n-th command.
fn key(n: usize) -> String {
    format!("c{:04}", n + 1)
}

/// Calls `emit` with each leaf and its bracketed name, as PHP reads it. An empty list or null is an empty text, which clears a value; an empty object is
/// nothing.
fn flatten(name: &str, value: &Value, emit: &mut impl FnMut(&str, &str)) {
    let inside = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}[{key}]") };
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(key, value)| flatten(&inside(key), value, emit)),
        Value::Array(list) if !list.is_empty() => list.iter().enumerate().for_each(|(n, value)| flatten(&inside(&n.to_string()), value, emit)),
        _ if name.is_empty() => {}
        Value::String(text) => emit(name, text),
        Value::Bool(yes) => emit(name, if *yes { "Y" } else { "N" }),
        Value::Number(number) => emit(name, &number.to_string()),
        Value::Null | Value::Array(_) => emit(name, ""),
        Value::Object(_) => {}
    }
}

/// Takes the power out of `$result[`, `$next[`, `$total[`, `$time[` and `$error[`.
fn neutral(text: &str) -> String {
    const WORDS: [&str; 5] = ["result", "next", "total", "time", "error"];
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
        let refers = c == '$' && WORDS.iter().any(|word| rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)));
        out.push(if refers { '＄' } else { c });
    }
    out
}

/// A text percent-encoded, as a value of a form.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    percent(&mut out, text, b"");
    out
}

/// Percent-encodes all but unreserved characters and those in `also`.
fn percent(out: &mut String, text: &str, also: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// An independent reader of commands, written from what PHP's `parse_url` and `parse_str` do: the fragment is cut off, plus is a space.
    fn decode(command: &str) -> (String, Vec<(String, String)>) {
        let command = command.split('#').next().unwrap();
        let (method, query) = command.split_once('?').unwrap_or((command, ""));
        let undo = |text: &str| {
            let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
            while let Some((first, tail)) = rest.split_first() {
                rest = tail;
                match first {
                    b'+' => bytes.push(b' '),
                    b'%' => {
                        bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
                        rest = &tail[2..];
                    }
                    other => bytes.push(*other),
                }
            }
            String::from_utf8(bytes).unwrap()
        };
        let pairs = query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap()).map(|(k, v)| (undo(k), undo(v))).collect();
        (method.to_owned(), pairs)
    }

    /// What the server would take for a reference to another command's result.
    fn refers(text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        ["$result", "$next", "$total", "$time", "$error"].iter().any(|word| lower.contains(word))
    }

    proptest! {
        #[test]
        fn any_text_survives_the_encoding(text in any::<String>(), odd in "[$#&=+%\\[\\] ;а-яё'\"\\\\]{0,40}") {
            for text in [text, odd] {
                let command = Command::new("crm.item.add", json!({"entityTypeId": 2, "fields": {"title": text}}));
                let (method, pairs) = decode(&command.encode());
                prop_assert_eq!(method, "crm.item.add");
                prop_assert_eq!(pairs.len(), 2);
                prop_assert_eq!(&pairs[0], &("entityTypeId".to_owned(), "2".to_owned()));
                prop_assert_eq!(&pairs[1].0, "fields[title]");
                if !refers(&text) {
                    prop_assert_eq!(&pairs[1].1, &text);
                }
            }
        }

        #[test]
        fn no_text_refers_to_another_commands_result(
            before in any::<String>(), word in "\\$(result|next|total|time|error|RESULT|Result)", after in "\\[c0001\\](\\[item\\]\\[id\\])?", tail in any::<String>()
        ) {
            let text = format!("{before}${word}{after}{tail}");
            let command = Command::new("crm.item.add", json!({"fields": {"comments": text}}));
            let (_, pairs) = decode(&command.encode());
            prop_assert!(!refers(&pairs[0].1), "{}", pairs[0].1);
            prop_assert_eq!(pairs[0].1.replace('＄', "$"), text.replace('＄', "$"));
        }
    }

    #[test]
    fn nested_parameters_get_php_brackets_and_values_are_encoded_once() {
        let command = Command::new(
            "crm.item.update",
            json!({"entityTypeId": 3, "id": 7, "fields": {"fm": {"n0": {"typeId": "PHONE", "value": "+79991234567"}}, "ufCrm_1": ["a&b", "c#d"]}}),
        );
        let encoded = command.encode();
        let (method, query) = encoded.split_once('?').unwrap();
        let mut pairs: Vec<&str> = query.split('&').collect();
        pairs.sort_unstable();
        assert_eq!(method, "crm.item.update");
        assert_eq!(
            pairs,
            [
                "entityTypeId=3",
                "fields[fm][n0][typeId]=PHONE",
                "fields[fm][n0][value]=%2B79991234567",
                "fields[ufCrm_1][0]=a%26b",
                "fields[ufCrm_1][1]=c%23d",
                "id=7"
            ]
        );
    }

    #[test]
    fn a_request_holds_at_most_fifty_commands_with_letter_keys() {
        let many: Vec<Command> = (0..60).map(|_| Command::new("profile", json!({}))).collect();
        let body: Value = serde_json::from_slice(&request(&many).body.unwrap()).unwrap();
        let cmd = body["cmd"].as_object().unwrap();
        assert_eq!(cmd.len(), 50);
        assert!(cmd.keys().all(|key| key.starts_with('c')));
        assert_eq!(cmd["c0050"], "profile");
    }

    fn fault(code: &str) -> Outcome {
        Outcome::Fault { fault: Fault { code: code.to_owned(), text: String::new() }, timing: None }
    }

    fn done(result: Value) -> Outcome {
        Outcome::Done { result, total: None, timing: None }
    }

    #[test]
    fn each_command_has_its_own_outcome_and_what_is_not_mentioned_is_unanswered() {
        let result = json!({
            "result": {"c0001": {"item": {"id": 5}}}, "result_error": {"c0003": {"error": "NOT_FOUND"}},
            "result_total": {"c0001": 7}, "result_next": [], "result_time": {"c0001": {"operating": 0.5}},
        });
        let first = Outcome::Done { result: json!({"item": {"id": 5}}), total: Some(7), timing: Some(Timing { operating: 0.5, reset_in: None }) };
        assert_eq!(read(&result, 3), [first, Outcome::Unanswered, fault("NOT_FOUND")]);
    }

    #[test]
    fn empty_maps_come_as_lists_and_lists_of_errors_belong_to_the_commands_without_a_result() {
        assert_eq!(read(&json!({"result": [], "result_error": []}), 2), [Outcome::Unanswered, Outcome::Unanswered]);
        let mixed = json!({"result": {"c0002": 1}, "result_error": [{"error": "A"}, {"error": 0}]});
        assert_eq!(read(&mixed, 3), [fault("A"), done(json!(1)), fault("0")]);
        let unclear = json!({"result": {"c0002": 1}, "result_error": [{"error": "A"}]});
        assert_eq!(read(&unclear, 3), [Outcome::Unanswered, done(json!(1)), Outcome::Unanswered]);
        assert_eq!(read(&json!({"result": [1, 2], "result_error": []}), 2), [done(json!(1)), done(json!(2))]);
        assert_eq!(read(&json!("nonsense"), 1), [Outcome::Unanswered]);
    }
}
