//! What the gateway would use: the file with every default filled in and every name resolved. Secrets show where they were found, as `***`.

use serde_json::{Map, Value, json};

use super::environment::Environment;
use super::units::{duration_text, size_text};
use super::{AmoAuth, BitrixAuth, Config, CrmKind, Language, ModuleKind, PassesAs, ReaderConfig, SecretSource, StageRef};
use crate::codec::{Parity, StopBits};
use crate::domain::Direction;

/// The effective config, in the shape of the file.
#[must_use]
pub fn effective(config: &Config, environment: &Environment) -> Value {
    let secret = |source: &SecretSource| secret(source, config, environment);
    let mut root = json!({
        "state_dir": config.state_dir,
        "site": {
            "id": config.site.id,
            "venue": config.site.venue,
            "venue_key": config.site.venue_key.as_ref().map(secret),
            "title": config.site.title,
            "timezone": config.site.timezone.iana_name().unwrap_or("UTC"),
            "language": language(config.site.language),
            "board": config.site.board.as_ref().map(|board| board.name.as_str()),
        },
        "gate": config.gates.iter().map(|one| gate(one, &secret)).collect::<Vec<_>>(),
        "module": if config.modules.is_empty() { Value::Null } else { config.modules.iter().map(module).collect() },
        "lime": { "url": config.lime.url, "token": secret(&config.lime.token), "ca": config.lime.ca },
        "crm": crm(config, &secret),
        "journal": {
            "segment": size_text(config.journal.segment_bytes),
            "budget": size_text(config.journal.budget_bytes),
            "retain": duration_text(config.journal.retain),
            "index_cache": size_text(config.journal.index_cache_bytes),
        },
        "delivery": {
            "settle_window": duration_text(config.delivery.settle_window),
            "backoff_base": duration_text(config.delivery.backoff_base),
            "backoff_cap": duration_text(config.delivery.backoff_cap),
            "crm_rate": config.delivery.crm_rate,
            "crm_burst": config.delivery.crm_burst,
            "drain": duration_text(config.delivery.drain),
        },
    });
    if let (Some(mqtt), Some(root)) = (&config.mqtt, root.as_object_mut()) {
        let host = if mqtt.host.contains(':') { format!("[{}]", mqtt.host) } else { mqtt.host.clone() };
        let table = json!({
            "url": format!("{}://{host}:{}", if mqtt.tls { "mqtts" } else { "mqtt" }, mqtt.port),
            "user": mqtt.user,
            "password": mqtt.password.as_ref().map(secret),
            "ca": mqtt.ca,
            "keep_alive": duration_text(mqtt.keep_alive),
            "client_id": mqtt.client_id,
        });
        root.insert("mqtt".to_owned(), table);
    }
    if let (Some(web_json), Some(root)) = (&config.web_json, root.as_object_mut()) {
        let table = json!({ "listen": web_json.listen.to_string(), "password": web_json.password.as_ref().map(secret), "staff_cards": web_json.staff_cards.as_ref().map(secret) });
        root.insert("web_json".to_owned(), table);
    }
    if let (Some(hub), Some(root)) = (&config.hub, root.as_object_mut()) {
        root.insert("hub".to_owned(), super::hub::effective(hub, stage, &secret));
    }
    without_nothing(root)
}

/// Leaves out what is not set.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, without_nothing(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_nothing).collect()),
        other => other,
    }
}

fn language(language: Language) -> &'static str {
    match language {
        Language::Ru => "ru",
        Language::En => "en",
    }
}

fn secret(source: &SecretSource, config: &Config, environment: &Environment) -> Value {
    match source {
        SecretSource::Env(name) => json!({ "env": name, "value": "***" }),
        SecretSource::File(name) => {
            let path = source.locate(&config.file, environment).map_or_else(|_| name.clone(), |found| found.path);
            json!({ "file": path, "value": "***" })
        }
    }
}

fn gate(gate: &super::Gate, secret: &dyn Fn(&SecretSource) -> Value) -> Value {
    let mut table = json!({
        "id": gate.id.as_str(),
        "title": gate.title,
        "service_point": gate.service_point.as_str(),
        "direction": match gate.direction { Direction::In => "in", Direction::Out => "out" },
    });
    let reader = match &gate.reader {
        ReaderConfig::Serial(serial) => {
            json!({ "reader": serial.profile.name, "port": serial.port, "baud": serial.baud.unwrap_or(serial.profile.line.baud), "rs485": serial.rs485 })
        }
        ReaderConfig::MqttJson { topic } => json!({ "reader": super::readers::MQTT_JSON, "topic": topic }),
        ReaderConfig::WebJson(reader) => json!({
            "reader": super::web_json::WEB_JSON,
            "serial_number": reader.serial_number,
            "evidence": if reader.passage_seen { "passage" } else { "none" },
            "uid_bytes": reader.uid_bytes,
        }),
        ReaderConfig::Osdp(reader) => super::osdp::effective(reader, secret),
    };
    merge(&mut table, reader);
    let own =
        gate.door.as_ref().map_or_else(|| json!({ "mode": "observe" }), |door| json!({ "mode": "decide", "door": super::door::effective(door) }));
    merge(&mut table, own);
    table
}

fn module(module: &super::Module) -> Value {
    let mut table = json!({ "id": module.id, "title": module.title, "kind": module.kind_name() });
    if let Some((line, address)) = module.kind.on_line() {
        let parity = match line.settings.parity {
            Parity::None => "none",
            Parity::Even => "even",
            Parity::Odd => "odd",
        };
        let stop_bits = match line.settings.stop_bits {
            StopBits::One => 1,
            StopBits::Two => 2,
        };
        let own = json!({ "port": line.port, "address": address, "baud": line.settings.baud, "parity": parity, "stop_bits": stop_bits, "rs485": line.rs485 });
        merge(&mut table, own);
    }
    let own = match &module.kind {
        ModuleKind::WirenBoard(names) => {
            json!({ "device": names.device, "outputs": names.outputs, "inputs": names.inputs, "counters": names.counters })
        }
        ModuleKind::Gpio(_) => json!({}),
        ModuleKind::Shelly { prefix } => json!({ "device": prefix }),
        ModuleKind::MqttJson { topic } => json!({ "topic": topic }),
        ModuleKind::Modbus { .. } | ModuleKind::GateBoard { .. } => return table,
    };
    merge(&mut table, own);
    table
}

fn crm(config: &Config, secret: &dyn Fn(&SecretSource) -> Value) -> Value {
    let crm = &config.crm;
    let mut table = json!({ "language": language(crm.language), "refusals": crm.refusals, "ca": crm.ca });
    let own = match &crm.kind {
        CrmKind::AmoCrm(amo) => {
            let mut own = json!({ "kind": "amocrm", "url": amo.url, "passes": { "pipeline": stage(&amo.pipeline), "stage": stage(&amo.stage) } });
            merge(
                &mut own,
                match &amo.auth {
                    AmoAuth::Token(token) => json!({ "token": secret(token) }),
                    AmoAuth::OAuth { client_id, client_secret, redirect_uri } => {
                        json!({ "oauth": { "client_id": client_id, "client_secret": secret(client_secret), "redirect_uri": redirect_uri } })
                    }
                },
            );
            own
        }
        CrmKind::Bitrix24(bitrix) => {
            let passes = match &bitrix.passes {
                PassesAs::Timeline => json!({ "record": "timeline" }),
                PassesAs::Deal { pipeline, stage: at } => json!({ "record": "deal", "pipeline": stage(pipeline), "stage": stage(at) }),
                PassesAs::Both { pipeline, stage: at } => json!({ "record": "both", "pipeline": stage(pipeline), "stage": stage(at) }),
            };
            let mut own = json!({ "kind": "bitrix24", "passes": passes });
            merge(
                &mut own,
                match &bitrix.auth {
                    BitrixAuth::Webhook(webhook) => json!({ "webhook": secret(webhook) }),
                    BitrixAuth::OAuth { portal, token_server, client_id, client_secret } => {
                        json!({ "oauth": { "portal": portal, "token_server": token_server, "client_id": client_id, "client_secret": secret(client_secret) } })
                    }
                },
            );
            own
        }
    };
    merge(&mut table, own);
    table
}

fn stage(stage: &StageRef) -> Value {
    match stage {
        StageRef::Name(name) => json!(name),
        StageRef::Id(id) => json!({ "id": id }),
        StageRef::Default => Value::Null,
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend::<Map<String, Value>>(from);
    }
}
