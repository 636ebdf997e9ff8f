//! `batch`: up to 50 commands in one call, each `method?parameters`, with references to earlier results. No transaction.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::errors::Fault;
use super::{Answer, Bitrix, Call, Done, Parameters, needed};
use crate::{php, wire};

const MAX_COMMANDS: usize = 50;

/// What the commands so far have answered, for references.
#[derive(Default)]
struct Sofar {
    result: Map<String, Value>,
    error: Map<String, Value>,
    total: Map<String, Value>,
    next: Map<String, Value>,
    time: Map<String, Value>,
}

impl Bitrix {
    pub(super) fn batch(&mut self, call: Call<'_>, parameters: &Parameters) -> Answer {
        if self.limits.charge_batch {
            self.limits.charge(call.now_ms, "batch")?;
        }
        let halt = parameters.get("halt").and_then(wire::text).is_some_and(|halt| matches!(halt.as_str(), "1" | "true"));
        let commands: Vec<(String, Value)> = match needed(parameters, "cmd")? {
            Value::Object(map) => map.iter().map(|(key, command)| (key.clone(), command.clone())).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(index, command)| (index.to_string(), command.clone())).collect(),
            _ => return Err(Fault::argument("cmd")),
        };
        let mut sofar = Sofar::default();
        let texts = commands.into_iter().filter_map(|(key, command)| command.as_str().map(|text| (key, text.to_owned())));
        for (index, (key, command)) in texts.enumerate() {
            let done = if index < MAX_COMMANDS {
                self.command(call, &command, &sofar)
            } else {
                Err(Fault::bad("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded"))
            };
            match done {
                Ok((method, done)) => {
                    // A result reads as PHP has it, also by reference.
                    sofar.result.insert(key.clone(), super::php(done.result));
                    sofar.total.extend(done.total.map(|total| (key.clone(), json!(total))));
                    sofar.next.extend(done.next.map(|next| (key.clone(), json!(next))));
                    sofar.time.insert(key, self.time(call, &method));
                }
                Err(fault) => {
                    sofar.error.insert(key, fault.value_in_batch());
                    if halt {
                        break;
                    }
                }
            }
        }
        let Sofar { result, error, total, next, time } = sofar;
        Ok(Done::of(json!({"result": result, "result_error": error, "result_total": total, "result_next": next, "result_time": time})))
    }

    fn command(&mut self, call: Call<'_>, command: &str, sofar: &Sofar) -> Result<(String, Done), Fault> {
        // As PHP's parse_url has it: what follows a `#` is lost.
        let command = command.split('#').next().unwrap_or_default();
        let (method, query) = command.split_once('?').unwrap_or((command, ""));
        let method = method.trim().trim_start_matches('/').to_ascii_lowercase();
        if matches!(method.as_str(), "batch" | "") {
            return Err(Fault::bad("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage"));
        }
        let parameters = match substitute(php::parse(query), sofar) {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        if !self.limits.charge_batch {
            self.limits.charge(call.now_ms, &method)?;
        }
        let done = self.run(call, &method, &parameters)?;
        Ok((method, done))
    }
}

/// References in every text of the parameters: a lone one brings the value with its type, others their text.
fn substitute(value: Value, sofar: &Sofar) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, substitute(value, sofar))).collect()),
        Value::Array(list) => list.into_iter().map(|value| substitute(value, sofar)).collect(),
        Value::String(text) => {
            if !text.contains('$') {
                return Value::String(text);
            }
            let mut out = String::new();
            let mut rest = text.as_str();
            while let Some(at) = rest.find('$') {
                let (before, from) = rest.split_at(at);
                out.push_str(before);
                match reference(from, sofar) {
                    Some((found, "")) if out.is_empty() => return found,
                    Some((found, after)) => {
                        out.push_str(&wire::text(&found).unwrap_or_default());
                        rest = after;
                    }
                    None => {
                        out.push('$');
                        rest = from.get(1..).unwrap_or_default();
                    }
                }
            }
            out.push_str(rest);
            Value::String(out)
        }
        scalar => scalar,
    }
}

/// `$result[a][b]`: what it names, and the text behind it. A path that leads nowhere keeps the last that it reached.
fn reference<'a>(text: &'a str, sofar: &Sofar) -> Option<(Value, &'a str)> {
    let maps: BTreeMap<&str, &Map<String, Value>> =
        [("$result", &sofar.result), ("$error", &sofar.error), ("$total", &sofar.total), ("$next", &sofar.next), ("$time", &sofar.time)].into();
    let (name, map) = maps.into_iter().find(|(name, _)| text.strip_prefix(name).is_some_and(|rest| rest.starts_with('[')))?;
    let mut rest = text.strip_prefix(name)?;
    let mut node = Value::Object(map.clone());
    while let Some((key, tail)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        if key.contains(char::is_whitespace) {
            break;
        }
        let next = match &node {
            Value::Object(map) => map.get(key).cloned(),
            Value::Array(list) => key.parse::<usize>().ok().and_then(|index| list.get(index).cloned()),
            _ => None,
        };
        if let Some(next) = next {
            node = next;
        }
        rest = tail;
    }
    Some((node, rest))
}
