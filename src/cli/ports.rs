//! `limegate ports`: the serial ports of this box, under which names they stay, who holds them, and what the running gateway hears on them.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::{Exit, Global, notice, out, out_json, quietly};
use crate::control::{Client, ClientError};
use crate::ports::{self, Holder, Holders, SerialPort, System};
use crate::status::{GateState, Link, ModuleState, Report};
use crate::words::{Language, Value, cli as states, tools as words};

/// A port, and all there is to say of it.
struct Row {
    port: SerialPort,
    /// The kernel knows it as hardware; else it is only named in the config.
    listed: bool,
    present: bool,
    holders: Vec<Holder>,
    heard: Vec<(String, GateState)>,
    modules: Vec<(String, ModuleState)>,
}

pub(super) fn run(global: &Global) -> Exit {
    let (language, config) = quietly(global);
    let report = config.as_ref().map(|config| super::block_on(Client::of(&config.state_dir).get::<Report>("/v1/status")));
    let running = matches!(report, Some(Ok(_)));
    if let Some(Err(error @ ClientError::NotAllowed(_))) = &report {
        notice(&error.to_string());
    }
    let report = report.and_then(Result::ok);
    let system = System::of_this_box();
    let holders = Holders::look(&system);
    let named = config.map(|config| config.gates.into_iter().filter_map(|gate| gate.reader.port().map(Path::to_owned)).collect()).unwrap_or_default();
    let rows = rows(&system, &holders, report.as_ref(), named);
    if global.json {
        let all: Vec<Json> = rows.iter().map(|row| as_json(row, report.as_ref())).collect();
        out_json(&json!({ "v": 1, "gateway": running, "hidden_processes": holders.hidden, "ports": all }));
        return Exit::Fine;
    }
    if rows.is_empty() {
        out(&words::NO_PORTS.text(language));
    }
    for row in &rows {
        out(&text(row, report.as_ref(), language).join("\n"));
    }
    if holders.hidden > 0 {
        notice(&words::HOLDERS_HIDDEN.with("n", Value::Count(holders.hidden)).text(language));
    }
    if !running {
        notice(&words::NO_GATEWAY.text(language));
    }
    Exit::Fine
}

fn rows(system: &System, holders: &Holders, report: Option<&Report>, named: Vec<PathBuf>) -> Vec<Row> {
    let gates: Vec<(PathBuf, String, GateState)> = report
        .map(|report| report.snapshot.gates.iter().filter(|(_, gate)| gate.port.starts_with('/')))
        .into_iter()
        .flatten()
        .map(|(id, gate)| (system.device_of(Path::new(&gate.port)), id.clone(), gate.clone()))
        .collect();
    let modules: Vec<(PathBuf, String, ModuleState)> = report
        .map(|report| report.snapshot.modules.iter().filter(|(_, module)| module.port.starts_with('/')))
        .into_iter()
        .flatten()
        .map(|(id, module)| (system.device_of(Path::new(&module.port)), id.clone(), module.clone()))
        .collect();
    let mut all: Vec<(SerialPort, bool)> = ports::list(system).into_iter().map(|port| (port, true)).collect();
    for name in named
        .into_iter()
        .chain(gates.iter().map(|(_, _, gate)| PathBuf::from(&gate.port)))
        .chain(modules.iter().map(|(_, _, module)| PathBuf::from(&module.port)))
    {
        let device = system.device_of(&name);
        if !all.iter().any(|(port, _)| port.device == device) {
            all.push((SerialPort { device, by_id: vec![], by_path: vec![], aliases: vec![], driver: None, usb: None, stable: name }, false));
        }
    }
    let row = |(port, listed): (SerialPort, bool)| Row {
        present: listed || port.device.exists(),
        holders: holders.of(&port.device).to_vec(),
        heard: gates.iter().filter(|(device, _, _)| *device == port.device).map(|(_, id, gate)| (id.clone(), gate.clone())).collect(),
        modules: modules.iter().filter(|(device, _, _)| *device == port.device).map(|(_, id, module)| (id.clone(), module.clone())).collect(),
        listed,
        port,
    };
    all.into_iter().map(row).collect()
}

fn text(row: &Row, report: Option<&Report>, language: Language) -> Vec<String> {
    let port = &row.port;
    let mut head = vec![plain(port.device.display().to_string())];
    head.extend(port.driver.as_deref().map(plain));
    head.push(match (&port.usb, row.listed, row.present) {
        (Some(usb), ..) => {
            let names = [usb.manufacturer.as_deref(), usb.name.as_deref(), usb.serial.as_deref()];
            let names: Vec<String> = names.into_iter().flatten().map(plain).collect();
            format!("{}  {}:{}", names.join(" "), plain(&usb.vendor), plain(&usb.product)).trim_start().to_owned()
        }
        (None, true, _) => words::OWN_PORT.text(language),
        (None, false, true) => words::NOT_IN_SYSFS.text(language),
        (None, false, false) => words::NOT_THERE.text(language),
    });
    let mut lines = vec![head.join("   ")];
    let adapter = port.usb.is_some();
    let stays = if port.stable != port.device {
        format!("   # {}", words::STAYS.text(language))
    } else if adapter {
        format!("   # {}", words::CHANGES.text(language))
    } else {
        String::new()
    };
    lines.push(format!("  port = \"{}\"{stays}", plain(port.stable.display().to_string())));
    let others: Vec<String> = [&port.by_id, &port.by_path, &port.aliases]
        .into_iter()
        .flatten()
        .filter(|name| **name != port.stable)
        .map(|name| plain(name.display().to_string()))
        .collect();
    if !others.is_empty() {
        lines.push(format!("  {}", words::ALSO.with("names", others.join(", ")).text(language)));
    }
    if !row.holders.is_empty() {
        lines.push(format!("  {}", words::HELD_BY.with("holders", named(&row.holders)).text(language)));
    }
    let word = |link: Link| match link {
        Link::Up => states::UP,
        Link::Down => states::DOWN,
        Link::Starting => states::STARTING,
    };
    for (id, module) in &row.modules {
        let heard = words::HEARD_MODULE.with("module", plain(id)).with("kind", plain(&module.kind)).with("address", module.address.to_string());
        let heard = heard.with("link", word(module.link)).count("n", module.asked).count("unanswered", module.unanswered);
        lines.push(format!("  {}", heard.count("bad", module.damaged).text(language)));
    }
    for (id, gate) in &row.heard {
        let link = word(gate.link);
        let heard = words::HEARD
            .with("gate", plain(id))
            .with("reader", plain(&gate.reader))
            .with("link", link)
            .count("passes", gate.passes)
            .count("bad", gate.bad_frames);
        let last = match silent_ms(gate, report) {
            Some(ms) => words::LAST_BYTE.with("t", Value::Span(ms)).text(language),
            None => words::NO_BYTE.text(language),
        };
        lines.push(format!("  {}, {last}", heard.text(language)));
    }
    lines
}

fn silent_ms(gate: &GateState, report: Option<&Report>) -> Option<u64> {
    Some(report?.snapshot.boot_ms.saturating_sub(gate.last_byte_boot_ms?))
}

fn as_json(row: &Row, report: Option<&Report>) -> Json {
    let heard = row.heard.iter().map(|(id, gate)| {
        json!({ "gate": id, "reader": gate.reader, "link": gate.link, "error": gate.error, "passes": gate.passes, "bad_frames": gate.bad_frames, "silent_ms": silent_ms(gate, report) })
    });
    let mut object = serde_json::to_value(&row.port).unwrap_or_default();
    if let Some(map) = object.as_object_mut() {
        map.insert("present".to_owned(), row.present.into());
        map.insert("holders".to_owned(), json!(row.holders));
        map.insert("heard".to_owned(), heard.collect());
        let modules = row.modules.iter().map(|(id, module)| json!({ "module": id, "state": module }));
        map.insert("modules".to_owned(), modules.collect());
    }
    object
}

/// `limegate (812), minicom (900)`.
pub(super) fn named(holders: &[Holder]) -> String {
    holders.iter().map(|one| format!("{} ({})", plain(&one.name), one.pid)).collect::<Vec<_>>().join(", ")
}

/// What a device says of itself must not steer the terminal.
fn plain(text: impl AsRef<str>) -> String {
    text.as_ref().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
