//! The config: every mistake is told at once, in both languages, with its place; the shipped examples pass; no secret is ever shown.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use limegate::config::{self, Code, Config, CrmKind, Diagnostic, Environment, Language, PassesAs, ReaderConfig, Severity, StageRef, Style};
use limegate::domain::Secret;
use proptest::prelude::*;

/// A secret that must appear nowhere.
const CANARY: &str = "CANARY-SECRET";

/// A box with credentials, one plugged-in adapter, and one variable.
struct Bench {
    folder: tempfile::TempDir,
    environment: Environment,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let credentials = folder.path().join("credentials");
        let devices = folder.path().join("dev");
        fs::create_dir_all(&credentials).unwrap();
        fs::create_dir_all(devices.join("serial/by-id")).unwrap();
        fs::write(devices.join("ttyUSB0"), "").unwrap();
        symlink("../../ttyUSB0", devices.join("serial/by-id/usb-FTDI-if00")).unwrap();
        for (name, text, mode) in [
            ("token", CANARY, 0o400),
            ("osdp-key", "000102030405060708090a0b0c0d0e0f", 0o400),
            ("osdp-default", "303132333435363738393a3b3c3d3e3f", 0o400),
            ("open", CANARY, 0o644),
            ("empty", "", 0o400),
            ("lime-token", CANARY, 0o400),
            ("amocrm-token", CANARY, 0o400),
            // As systemd names it when the whole folder is handed over.
            ("secrets_mqtt-password", CANARY, 0o400),
            ("bitrix24-webhook", "https://akva.bitrix24.ru/rest/1/CANARY-SECRET/\n", 0o400),
        ] {
            let path = credentials.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let variables = [("TOKEN".to_owned(), Secret::new(CANARY))].into();
        let environment = Environment { credentials: Some(credentials), variables, devices };
        Self { folder, environment }
    }

    fn load(&self, text: &[u8]) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
        config::from_bytes(Path::new("limegate.toml"), text, &self.environment)
    }

    /// What people read, with the paths of this test replaced.
    fn shown(&self, diagnostics: &[Diagnostic], language: Language) -> String {
        let text = config::render(diagnostics, Style { language: Some(language), colours: false });
        text.replace(&self.folder.path().display().to_string(), "$BOX")
    }
}

fn told(result: Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>>) -> Vec<Diagnostic> {
    result.map_or_else(|mistakes| mistakes, |(_, warnings)| warnings)
}

fn mistakes_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/mistakes")
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<_> = fs::read_dir(mistakes_folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    cases.sort();
    assert!(cases.len() > 10);
    cases
}

/// The expected texts lie beside the files; `LIMEGATE_BLESS=1` writes them anew, to be read before they are committed.
#[test]
fn mistakes_are_told_as_expected_in_both_languages() {
    let bench = Bench::new();
    for case in cases() {
        let diagnostics = told(bench.load(&fs::read(&case).unwrap()));
        for (language, name) in [(Language::Ru, "ru"), (Language::En, "en")] {
            let shown = bench.shown(&diagnostics, language);
            let expected = case.with_extension(format!("{name}.txt"));
            if std::env::var_os("LIMEGATE_BLESS").is_some() {
                fs::write(&expected, &shown).unwrap();
            }
            let wanted = fs::read_to_string(&expected).unwrap_or_default();
            assert!(shown == wanted, "{} differs; LIMEGATE_BLESS=1 writes it anew:\n{shown}", expected.display());
        }
    }
}

#[test]
fn every_code_is_met_in_the_expected_texts_and_documented() {
    let texts: String = fs::read_dir(mistakes_folder()).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    let documented = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    for code in Code::ALL {
        // A file that cannot be read has no text to keep here; the tests of the binary meet it.
        assert!(*code == Code::UNREADABLE || texts.contains(&format!("[{}]", code.as_str())), "{code:?} is never met");
        assert!(documented.contains(&format!("| {} |", code.as_str())), "{code:?} is not in docs/configuration.md");
    }
    let codes: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), Code::ALL.len(), "two kinds share a code");
}

#[test]
fn every_key_is_documented_and_has_a_description_in_the_schema() {
    let documented = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let mut keys = 0;
    walk(&config::schema(), &mut |key, schema| {
        keys += 1;
        assert!(documented.contains(&format!("`{key}`")), "{key} is not in docs/configuration.md");
        assert!(schema.get("description").is_some(), "{key} has no description: {schema}");
    });
    assert!(keys > 50, "{keys} keys");
}

/// Calls `each` with every property of a schema.
fn walk(schema: &serde_json::Value, each: &mut impl FnMut(&str, &serde_json::Value)) {
    match schema {
        serde_json::Value::Object(map) => {
            // The alternatives of a secret or a stage are described as a whole.
            if let Some(serde_json::Value::Object(properties)) = map.get("properties").filter(|_| map.contains_key("description")) {
                properties.iter().for_each(|(key, schema)| each(key, schema));
            }
            map.values().for_each(|inner| walk(inner, each));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|inner| walk(inner, each)),
        _ => {}
    }
}

#[test]
fn the_shipped_examples_pass_and_mean_what_they_say() {
    let bench = Bench::new();
    let (amo, warnings) = bench.load(config::AMOCRM.as_bytes()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((amo.site.id.as_str(), amo.site.venue.as_str(), amo.gates.len()), ("vysota-north", "vysota", 2));
    let CrmKind::AmoCrm(crm) = &amo.crm.kind else { panic!("{:?}", amo.crm.kind) };
    assert_eq!((crm.url.as_str(), &crm.pipeline), ("https://vysota.amocrm.ru", &StageRef::Name("Проходы".into())));
    let mqtt = amo.mqtt.unwrap();
    assert_eq!((mqtt.host.as_str(), mqtt.port, mqtt.tls, mqtt.user.as_deref()), ("fleet.vysota.example", 8883, true, Some("vysota-north")));
    assert_eq!((amo.delivery.crm_rate, amo.delivery.crm_burst), (7.0, 7));

    let (bitrix, warnings) = bench.load(config::BITRIX24.as_bytes()).unwrap();
    assert_eq!(warnings, []);
    let CrmKind::Bitrix24(crm) = &bitrix.crm.kind else { panic!("{:?}", bitrix.crm.kind) };
    assert_eq!(crm.passes, PassesAs::Timeline);
    assert!(matches!(&bitrix.gates[0].reader, ReaderConfig::MqttJson { topic } if topic == "validators/in-1/pass"));
    assert_eq!((bitrix.delivery.crm_rate, bitrix.delivery.crm_burst), (2.0, 50));
}

#[test]
fn an_example_without_its_secrets_lists_every_one_that_is_missing() {
    let bench = Bench { environment: Environment::empty(), ..Bench::new() };
    let mistakes = bench.load(config::AMOCRM.as_bytes()).unwrap_err();
    let shown = bench.shown(&mistakes, Language::En);
    assert!(mistakes.iter().all(|one| one.code == Code::NO_SECRET) && mistakes.len() == 3, "{shown}");
    for name in ["lime-token", "amocrm-token", "mqtt-password"] {
        assert!(shown.contains(&format!("secrets/{name}")), "{shown}");
    }
}

#[test]
fn unknown_keys_are_mistakes_at_every_level() {
    let bench = Bench::new();
    let tables = ["[site]", "[[gate]]", "[lime]", "[crm]", "[mqtt]"];
    for table in tables {
        let text = config::AMOCRM.replacen(table, &format!("{table}\nfrobnicate = 1"), 1);
        let mistakes = bench.load(text.as_bytes()).unwrap_err();
        assert_eq!(mistakes.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::UNKNOWN_KEY], "{table}");
        assert_eq!(mistakes[0].position().unwrap().1, 1, "{table}");
    }
    for more in ["\n[frobnicate]\n", "\n[journal]\nfrobnicate = 1\n", "\n[delivery]\nfrobnicate = 1\n", "\n[[frobnicate]]\n"] {
        let mistakes = bench.load(format!("{}{more}", config::AMOCRM).as_bytes()).unwrap_err();
        assert_eq!(mistakes.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::UNKNOWN_KEY], "{more}");
    }
    for (from, to) in [("stage = \"Прошёл\"", "stagge = \"Прошёл\""), ("{ file = \"lime-token\" }", "{ file = \"lime-token\", mode = 1 }")]
    {
        let mistakes = bench.load(config::AMOCRM.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(mistakes.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::UNKNOWN_KEY], "{to}");
    }
}

#[test]
fn two_readers_may_share_a_service_point() {
    let bench = Bench::new();
    let text = config::AMOCRM.replace("\"sp-5\"", "\"sp-4\"");
    let (config, warnings) = bench.load(text.as_bytes()).unwrap();
    assert_eq!((config.gates.len(), warnings), (2, vec![]));
}

#[test]
fn bitrix_passes_are_a_word_or_a_table() {
    let bench = Bench::new();
    let passes = |written: &str| {
        let text = config::BITRIX24.replace("\"timeline\" ", &format!("{written} "));
        match bench.load(text.as_bytes()).unwrap().0.crm.kind {
            CrmKind::Bitrix24(crm) => crm.passes,
            CrmKind::AmoCrm(_) => panic!(),
        }
    };
    let named = |name: &str| StageRef::Name(name.into());
    assert_eq!(passes("\"deal\""), PassesAs::Deal { pipeline: named("Проходы"), stage: StageRef::Default });
    assert_eq!(
        passes("{ record = \"both\", pipeline = { id = 4 }, stage = { id = \"C4:WON\" } }"),
        PassesAs::Both { pipeline: StageRef::Id("4".into()), stage: StageRef::Id("C4:WON".into()) }
    );
    assert_eq!(passes("{ pipeline = \"Входы\" }"), PassesAs::Deal { pipeline: named("Входы"), stage: StageRef::Default });
}

#[test]
fn the_effective_config_shows_every_default_and_no_secret() {
    let bench = Bench::new();
    for example in [config::AMOCRM, config::BITRIX24] {
        let (config, _) = bench.load(example.as_bytes()).unwrap();
        let effective = config::effective(&config, &bench.environment);
        let text = effective.to_string();
        assert!(!text.contains(CANARY), "{text}");
        assert_eq!(effective["lime"]["token"]["value"], "***");
        assert_eq!(effective["delivery"]["settle_window"], "2min");
        assert_eq!(effective["state_dir"], "/var/lib/limegate");
        assert!(!format!("{config:?}").contains(CANARY));
        toml::to_string(&effective).unwrap();
    }
}

/// The canary stands in every place a secret could be typed into; nothing that is shown holds it.
#[test]
fn no_diagnostic_ever_shows_a_secret() {
    let bench = Bench::new();
    let mut texts: Vec<String> = cases().iter().map(|case| fs::read_to_string(case).unwrap()).collect();
    assert!(texts.iter().filter(|text| text.contains(CANARY)).count() >= 3, "the cases carry the canary");
    for line in [
        "token = \"CANARY-SECRET\"",
        "token = CANARY-SECRET",
        "token = \"CANARY-SECRET",
        "token = '''\nCANARY-SECRET\n'''",
        "token = [\"CANARY-SECRET\"]",
        "token = { file = [\"CANARY-SECRET\"] }",
        "token = { key = \"CANARY-SECRET\" }",
        "\"token\" = \"CANARY-SECRET\"\ntoken = \"CANARY-SECRET\"",
        "token.inline = \"CANARY-SECRET\"",
        "TOKEN = \"CANARY-SECRET\"",
        "password = \"CANARY-SECRET\"",
        "url = \"https://x/rest/1/CANARY-SECRET/\"",
        "url = \"https://a:CANARY-SECRET@x\"",
        "= CANARY-SECRET\ntoken",
    ] {
        for table in ["[lime]", "[crm]", "[mqtt]"] {
            texts.push(config::AMOCRM.replacen(table, &format!("{table}\n{line}"), 1));
            texts.push(format!("{table}\n{line}"));
        }
    }
    for text in texts {
        let result = bench.load(text.as_bytes());
        let diagnostics = told(result);
        let shown = format!(
            "{}{}{}{diagnostics:?}",
            bench.shown(&diagnostics, Language::Ru),
            bench.shown(&diagnostics, Language::En),
            config::to_json(&diagnostics, None)
        );
        let loose = text.contains("= CANARY-SECRET\ntoken");
        assert!(loose || !shown.contains(CANARY), "{}", text.lines().find(|line| line.contains(CANARY)).unwrap_or_default());
    }
}

#[test]
fn places_count_characters_and_not_bytes() {
    let bench = Bench::new();
    let text = config::AMOCRM.replace("title    = \"Батутный парк «Высота», вход Север\"", "\"название\" = 1 ; x");
    let mistakes = bench.load(text.as_bytes()).unwrap_err();
    assert_eq!(mistakes[0].code, Code::SYNTAX);
    assert_eq!(mistakes[0].position(), Some((8, 14)), "{}", bench.shown(&mistakes, Language::En));
}

#[test]
fn a_file_that_is_not_utf8_or_has_windows_line_ends_is_handled() {
    let bench = Bench::new();
    let (config, _) = bench.load(config::AMOCRM.replace('\n', "\r\n").as_bytes()).unwrap();
    assert_eq!(config.gates.len(), 2);
    let mistakes = bench.load(b"[site]\ntitle = \"\xcf\xf0\"").unwrap_err();
    assert_eq!(mistakes[0].code, Code::UNREADABLE);
    assert!(bench.shown(&mistakes, Language::En).contains("byte 16"), "{}", bench.shown(&mistakes, Language::En));
}

static BENCH: LazyLock<Bench> = LazyLock::new(Bench::new);

/// Loads and shows whatever is given; the point is that it returns.
fn digest(bench: &Bench, bytes: &[u8]) {
    let diagnostics = told(bench.load(bytes));
    for language in [Language::Ru, Language::En] {
        let shown = bench.shown(&diagnostics, language);
        assert!(!shown.contains('\u{1b}'), "control characters reach the terminal");
    }
    assert!(config::to_json(&diagnostics, None).is_object());
    for one in &diagnostics {
        assert!(one.severity == Severity::Warning || one.message.text(Language::En).len() < 2_000);
    }
}

/// Pieces from which broken configs are made.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "[site]\n",
        "[[gate]]\n",
        "[gate]\n",
        "[lime]\n",
        "[crm]\n",
        "[crm.oauth]\n",
        "[mqtt]\n",
        "[journal]\n",
        "[delivery]\n",
        "id",
        "title",
        "port",
        "token",
        "passes",
        "kind",
        "url",
        "reader",
        "topic",
        "retain",
        " = ",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "\"\"\"",
        "\n",
        ",",
        ".",
        "#",
        "\\",
        "\t",
        "\"amocrm\"",
        "\"bitrix24\"",
        "{ file = \"token\" }",
        "\"https://x\"",
        "\"mqtt-json\"",
        "5",
        "1.5",
        "true",
        "2026-11-22",
        "Ж",
        "\u{200f}",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{feff}",
        "\r\n",
        "\r",
        "日本",
        "é",
        "\u{301}",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    // 256 cases each; PROPTEST_CASES says otherwise.
    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        digest(&BENCH, &bytes);
    }

    #[test]
    fn any_arrangement_of_config_pieces_is_answered_without_a_panic(pieces in prop::collection::vec(piece(), 0..60)) {
        digest(&BENCH, pieces.concat().as_bytes());
    }

    #[test]
    fn an_example_with_a_few_bytes_changed_is_answered_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut bytes = config::AMOCRM.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        digest(&BENCH, &bytes);
    }
}

#[test]
fn a_door_has_its_defaults_and_charges_where_it_sees_the_passage() {
    use config::{ChargeAt, InputAt, OutputAt, PassageAt, PassageBy, Policy, WiredTo};
    let bench = Bench::new();
    let with = |door: &str| {
        let gate = format!("service_point = \"sp-4\"\nmode = \"decide\"\ndoor = {door}");
        let text = format!(
            "{}\n[[module]]\nid = \"io1\"\nkind = \"wb-mr6c\"\nport = \"/dev/serial/by-id/usb-io\"\naddress = 1\n",
            config::AMOCRM.replacen("service_point = \"sp-4\"", &gate, 1)
        );
        assert!(text.contains("decide"), "{text}");
        let (config, warnings) = bench.load(text.as_bytes()).unwrap();
        assert_eq!(warnings, []);
        (config.gates[0].door.clone().unwrap(), config.gates[1].door.clone())
    };
    let (door, other) = with("{ open = { module = \"io1\" }, passage = { module = \"io1\", counter = 4 }, free = { module = \"io1\", input = 3 } }");
    assert_eq!((door.policy, door.charge, other), (Policy::SnapshotOnly, ChargeAt::Passage, None));
    assert_eq!((door.budget.as_millis(), door.wait.as_millis(), door.pulse.as_millis()), (300, 5_000, 500));
    let io1 = || WiredTo::Module("io1".to_owned());
    assert_eq!(door.open, OutputAt { of: io1(), output: 0 });
    assert_eq!(door.passage, Some(PassageAt { of: io1(), by: PassageBy::Counter(4) }));
    assert_eq!(door.free, Some(InputAt { of: io1(), input: 3 }));
    let (door, _) = with("{ open = { module = \"io1\", output = 2 }, policy = \"deny\" }");
    assert_eq!((door.policy, door.charge, door.passage), (Policy::Deny, ChargeAt::Open, None));
}

#[test]
fn readers_on_rs485_are_turned_round_as_the_board_or_the_gate_says() {
    let bench = Bench::new();
    let gate = |id: &str, reader: &str, port: &str, more: &str| {
        format!("[[gate]]\nid = \"{id}\"\ntitle = \"{id}\"\nservice_point = \"sp-4\"\nreader = \"{reader}\"\nport = \"{port}\"\n{more}\n")
    };
    let osdp = "osdp = { address = 1 }";
    let gates = [
        gate("of-the-board", "osdp", "/dev/ttyAMA3", osdp),
        gate("of-an-adapter", "osdp", "/dev/serial/by-id/usb-FTDI-if00", osdp),
        gate("told", "ironlogic-matrix3-net", "/dev/serial/by-id/usb-2", "rs485 = true"),
    ];
    let (before, after) = config::AMOCRM.split_once("[[gate]]").unwrap();
    let text = format!(
        "{}{}[lime]{}",
        before.replacen("[site]", "[site]\nboard = \"raspberry-pi-4\"", 1),
        gates.concat(),
        after.split_once("[lime]").unwrap().1
    );
    let (config, _) = bench.load(text.as_bytes()).unwrap_or_else(|mistakes| panic!("{}", bench.shown(&mistakes, Language::En)));
    let turned = config.gates.iter().map(|gate| match &gate.reader {
        ReaderConfig::Osdp(reader) => reader.rs485,
        ReaderConfig::Serial(reader) => reader.rs485,
        _ => panic!("a reader on a line"),
    });
    assert_eq!(turned.collect::<Vec<_>>(), [true, false, true]);
    let lines = limegate::device::osdp::lines(&config, |gate| (limegate::device::osdp::wiring(gate), true)).unwrap();
    assert_eq!(lines.iter().map(|line| line.rs485).collect::<Vec<_>>(), [true, false], "and the driver is told");
}
