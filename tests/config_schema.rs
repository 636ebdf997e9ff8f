//! The published JSON Schema, held against the shipped examples by a validator written by others (PyPI `jsonschema`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use limegate::config;
use serde_json::{Value, json};

/// Prints how many errors each document has, after checking the schema itself.
const VALIDATE: &str = r"
import json, sys
from jsonschema import Draft202012Validator
given = json.load(sys.stdin)
Draft202012Validator.check_schema(given['schema'])
validator = Draft202012Validator(given['schema'])
print(json.dumps([[e.json_path + ': ' + e.message for e in validator.iter_errors(document)] for document in given['documents']]))
";

fn python() -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
    if own.exists() { own.display().to_string() } else { "python3".to_owned() }
}

/// The errors of each document.
fn validated(documents: &[Value]) -> Vec<Vec<String>> {
    let mut child = Command::new(python()).arg("-c").arg(VALIDATE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let given = json!({ "schema": config::schema(), "documents": documents }).to_string();
    child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the validator of PyPI `jsonschema` must be installed: make test does that (tests/requirements.txt)");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn document(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
}

#[test]
fn the_examples_fit_the_schema_and_mistakes_do_not() {
    let wrong = [
        ("id       = \"vysota-north\"", "id       = \"высота\""),
        ("timezone = ", "timezon = "),
        ("language = \"ru\"", "language = \"de\""),
        ("service_point = \"sp-4\"", "service_point = 4"),
        ("token = { file = \"lime-token\" }", "token = \"inline\""),
        ("token = { file = \"lime-token\" }", "token = { file = \"a\", env = \"b\" }"),
        ("kind    = \"amocrm\"", "kind    = \"hubspot\""),
        ("stage = \"Прошёл\"", "stage = { id = 1, name = 2 }"),
        ("password = { file = \"mqtt-password\" }", "password = { file = \"mqtt-password\" }\nkeep_alive = 30"),
    ];
    let mut documents = vec![document(config::AMOCRM), document(config::BITRIX24)];
    for (from, to) in wrong {
        assert!(config::AMOCRM.contains(from), "{from}");
        documents.push(document(&config::AMOCRM.replacen(from, to, 1)));
    }
    let errors = validated(&documents);
    assert_eq!(errors[..2], [Vec::<String>::new(), Vec::new()]);
    for ((_, to), errors) in wrong.iter().zip(&errors[2..]) {
        assert!(!errors.is_empty(), "{to} fits the schema");
    }
}

#[test]
fn every_kind_of_value_that_check_takes_fits_the_schema() {
    let full = format!(
        "state_dir = \"/var/lib/limegate\"\n{}user = \"x\"\nkeep_alive = \"30s\"\nclient_id = \"y\"\n\
         [journal]\nsegment = \"8MiB\"\nbudget = \"2 GiB\"\nretain = \"30d\"\nindex_cache = \"8MiB\"\n\
         [delivery]\nsettle_window = \"120s\"\nbackoff_base = \"1s\"\nbackoff_cap = \"5min\"\ncrm_rate = 7\ncrm_burst = 7\ndrain = \"500ms\"\n",
        config::AMOCRM
            .replace("language = \"ru\"", "language = \"en\"\nboard = \"generic\"\nvenue = \"vysota\"")
            .replace("stage = \"Прошёл\"", "stage = { id = 142 }")
    );
    let oauth = "webhook = { file = \"bitrix24-webhook\" }";
    assert!(config::BITRIX24.contains(oauth));
    let bitrix = config::BITRIX24
        .replace(oauth, "oauth = { client_id = \"local.1\", client_secret = { env = \"X\" }, portal = \"https://a.bitrix24.ru\" }")
        .replace("passes  = \"timeline\"", "passes  = { record = \"both\", pipeline = { id = 4 }, stage = { id = \"C4:WON\" } }");
    assert_eq!(validated(&[document(&full), document(&bitrix)]), [Vec::<String>::new(), Vec::new()]);
}
