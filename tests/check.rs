//! `limegate check` and `limegate config`, the real binary: streams, exit codes, languages.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn limegate(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limegate"));
    command.args(args).env_remove("CREDENTIALS_DIRECTORY").env_remove("LIMEGATE_CONFIG").stdin(Stdio::null());
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// An example with its secrets beside it.
fn box_with(example: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    for name in ["lime-token", "amocrm-token", "mqtt-password", "bitrix24-webhook"] {
        put(&secrets.join(name), "https://akva.bitrix24.ru/rest/1/CANARY-SECRET/", 0o600);
    }
    let file = folder.path().join("limegate.toml");
    fs::write(&file, example).unwrap();
    let file = file.display().to_string();
    (folder, file)
}

fn put(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_printed_example_passes_check() {
    for crm in ["amocrm", "bitrix24"] {
        let example = limegate(&["config", "example", "--crm", crm]);
        assert_eq!(example.status.code(), Some(0));
        let (_folder, file) = box_with(&out(&example));
        let checked = limegate(&["check", "--config", &file]);
        assert_eq!((checked.status.code(), err(&checked).as_str()), (Some(0), ""), "{crm}");
        assert!(out(&checked).contains("всё в порядке"), "{}", out(&checked));
        let json: Value = serde_json::from_slice(&limegate(&["check", "--config", &file, "--json"]).stdout).unwrap();
        assert_eq!((&json["v"], &json["ok"]), (&Value::from(1), &Value::from(true)));
    }
}

#[test]
fn mistakes_go_to_standard_error_and_end_with_78() {
    let (_folder, file) = box_with(&limegate::config::AMOCRM.replace("timezone", "timezon").replace("\"n2\"", "\"n1\""));
    let checked = limegate(&["check", "--config", &file, "--lang", "en"]);
    assert_eq!((checked.status.code(), out(&checked).as_str()), (Some(78), ""));
    let shown = err(&checked);
    assert!(shown.contains("error[C-003]: unknown key `timezon` in [site]") && shown.contains("did you mean `timezone`?"), "{shown}");
    assert!(shown.contains(&format!("--> {file}:9:1")) && shown.contains("2 mistakes"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours where there is no terminal");
    let json: Value = serde_json::from_slice(&limegate(&["check", "--config", &file, "--json", "--lang", "ru"]).stdout).unwrap();
    assert_eq!((&json["ok"], json["diagnostics"].as_array().unwrap().len()), (&Value::from(false), 2));
    assert_eq!(json["diagnostics"][0]["at"]["line"], 9);
    assert!(json["diagnostics"][0]["message"].as_str().unwrap().contains("неизвестный ключ"));
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let (folder, file) = box_with(limegate::config::AMOCRM);
    put(&folder.path().join("secrets/lime-token"), "CANARY-SECRET", 0o644);
    let checked = limegate(&["check", "--config", &file]);
    assert_eq!(checked.status.code(), Some(78));
    assert!(err(&checked).contains("C-012") && err(&checked).contains("chmod 600") && !err(&checked).contains("CANARY"), "{}", err(&checked));
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_and_a_wrong_command_line_is_usage() {
    let missing = limegate(&["check", "--config", "/nonexistent/limegate.toml"]);
    assert_eq!(missing.status.code(), Some(78));
    assert!(err(&missing).contains("C-001"));
    assert_eq!(limegate(&["check", "--config", "/"]).status.code(), Some(78));
    for args in [&["chekc"][..], &[], &["check", "--frobnicate"], &["config", "example"], &["check", "--lang", "de"]] {
        assert_eq!(limegate(args).status.code(), Some(2), "{args:?}");
    }
    for args in [&["--version"][..], &["--help"], &["check", "--help"]] {
        assert_eq!(limegate(args).status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn the_effective_config_is_toml_without_secrets() {
    let (_folder, file) = box_with(limegate::config::BITRIX24);
    let shown = limegate(&["config", "effective", "--config", &file]);
    assert_eq!(shown.status.code(), Some(0));
    let table: toml::Table = toml::from_str(&out(&shown)).unwrap();
    assert_eq!(table["crm"]["webhook"]["value"].as_str(), Some("***"));
    assert!(!out(&shown).contains("CANARY") && !err(&shown).contains("CANARY"));
    let json: Value = serde_json::from_slice(&limegate(&["config", "effective", "--config", &file, "--json"]).stdout).unwrap();
    assert_eq!(json["config"]["site"]["id"], "akva-main");
}

#[test]
fn a_reader_of_the_pipe_that_leaves_is_no_panic() {
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_limegate")).args(["config", "schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(!err(&ended).contains("panicked"), "{}", err(&ended));
}

/// What is in `config/` is in the table of devices, by its name in backticks.
#[test]
fn every_reader_profile_and_module_map_is_in_the_table_of_devices() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/devices.md")).unwrap();
    let mut names = vec!["osdp".to_owned(), "mqtt-json".to_owned(), "gate-board-7e".to_owned()];
    for folder in ["config/readers", "config/modules"] {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|file| file.unwrap().path());
        names.extend(
            files.filter(|file| file.extension().is_some_and(|end| end == "toml")).map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()),
        );
    }
    let missing: Vec<_> = names.iter().filter(|name| !table.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/devices.md does not name {missing:?}");
}
