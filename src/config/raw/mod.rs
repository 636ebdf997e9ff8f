//! The config as typed. The comments here are the descriptions in the published JSON Schema.

pub(super) mod hub;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Code, Mistakes};
use super::read::{At, Place, Read, Size, Span, choice, table, unknown_keys, wrong_type};
use crate::words::config as words;

table! {
    /// The configuration of limegate, one file: /etc/limegate/limegate.toml
    Root = "" {
        /// Where the journal, the index and the control socket live. Default "/var/lib/limegate".
        state_dir: At<String>,
        /// The box and its place.
        #[schemars(required)]
        site: At<Site>,
        /// One per reader. At least one.
        #[schemars(required, length(min = 1))]
        gate: Vec<At<Gate>>,
        /// I/O modules and gate boards: what opens gates and sees passages.
        module: Vec<At<Module>>,
        /// Lime.
        #[schemars(required)]
        lime: At<Lime>,
        /// The CRM.
        #[schemars(required)]
        crm: At<Crm>,
        /// The MQTT broker: for validators that publish passes, and for remote status.
        mqtt: At<Mqtt>,
        /// The listener for IronLogic Web-JSON controllers.
        web_json: At<WebJson>,
        /// The journal on this box's disk.
        journal: At<Journal>,
        /// How deliveries are paced and repeated.
        delivery: At<DeliveryTable>,
        /// The integration of Lime and the CRM. One box of a venue has it; the others only deliver their passes.
        hub: At<hub::Hub>,
    }
}

table! {
    /// The box and its place.
    Site = "[site]" {
        /// Names the box in topics and at Lime. ASCII letters, digits and hyphens.
        #[schemars(required, regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$"))]
        id: At<String>,
        /// The venue in topics. Default: the id's part before the first hyphen.
        #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$"))]
        venue: At<String>,
        /// A key that all gateways of the venue share, 32 characters or more. With it gates that decide tell each other over MQTT whom they let in.
        venue_key: At<SecretAt>,
        /// For people.
        #[schemars(required, length(min = 1))]
        title: At<String>,
        /// The venue's time zone, a name of the IANA database.
        #[schemars(required)]
        timezone: At<String>,
        /// Language of texts for people. Default "ru".
        language: At<Language>,
        /// The board the gateway runs on; `limegate check` then knows its serial ports.
        board: At<String>,
    }
}

choice! {
    /// A language.
    Language {
        /// Russian.
        Ru = "ru",
        /// English.
        En = "en",
    }
}

table! {
    /// A gate and the reader whose passes it takes.
    Gate = "[[gate]]" {
        /// Names the gate. ASCII letters, digits and hyphens.
        #[schemars(required, regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$"))]
        id: At<String>,
        /// For people.
        #[schemars(required, length(min = 1))]
        title: At<String>,
        /// Lime's id of this place. Several readers of one place may share it.
        #[schemars(required, length(min = 1))]
        service_point: At<String>,
        /// Which way guests go who pass here, where the device does not say. Default "in".
        direction: At<Direction>,
        /// The reader: "mqtt-json", "web-json", the name of a shipped profile, or the path of a profile of your own.
        #[schemars(required)]
        reader: At<String>,
        /// The serial port; better by /dev/serial/by-id than by number.
        port: At<String>,
        /// Overrides the profile's line speed.
        #[schemars(range(min = 300, max = 4_000_000))]
        baud: At<u32>,
        /// With "mqtt-json": the topic to read.
        topic: At<String>,
        /// With "web-json": the controller's serial number.
        serial_number: At<u32>,
        /// With "web-json": what shows that somebody went through. "passage": the controller's sensor; "none": it has none.
        evidence: At<EvidenceWord>,
        /// With "web-json": how many bytes of a card's twelve hex digits are its UID. Default: all are kept.
        #[schemars(range(min = 4, max = 6))]
        uid_bytes: At<u32>,
        /// True: a reader that gives 24 bits of a card's UID is taken, although different cards can share them. Default false.
        accept_short_uids: At<bool>,
        /// With "osdp": the reader's address, its key, and how its cards are read. Several gates may share a port then, each with its own address.
        osdp: At<Osdp>,
        /// "observe": the device decides and reports. "decide": this box does, and opens. Default "observe".
        mode: At<Mode>,
        /// With mode "decide": how to decide, what opens the gate and where a passage is seen.
        door: At<Door>,
    }
}

table! {
    /// An OSDP reader on an RS-485 line.
    Osdp = "osdp" {
        /// The reader's address on its line.
        #[schemars(required, range(max = 126))]
        address: At<u32>,
        /// Line speed; the same for all readers of a line. Default 9600.
        #[schemars(range(min = 300, max = 4_000_000))]
        baud: At<u32>,
        /// The reader's own key, 32 hex digits; `limegate osdp provision` gives it to the reader. Without one the line is not encrypted.
        key: At<SecretAt>,
        /// How frames are checked; the same for all readers of a line. Default "crc".
        check: At<OsdpCheck>,
        /// Which bits of a card are its number. Default "standard".
        layout: At<CardLayout>,
        /// In which order the bytes of a card are kept, so that a card read by two kinds of reader is one. Default "as_is".
        uid_order: At<CardOrder>,
        /// Take cards of 26 bits, too: many different cards share one such number. Default false.
        wiegand26: At<bool>,
        /// What a reader that sends characters reads. Default "card".
        text: At<CardText>,
    }
}

choice! {
    /// How frames are checked.
    OsdpCheck {
        /// A CRC of two bytes.
        Crc = "crc",
        /// One byte, for old readers.
        Checksum = "checksum",
    }
}

choice! {
    /// Which bits of a card are its number.
    CardLayout {
        /// 26, 34, 37 and 58 bits are Wiegand with parity; whole bytes are a UID; nothing else is taken.
        Standard = "standard",
        /// All of them.
        Raw = "raw",
    }
}

choice! {
    /// In which order the bytes of a card are kept.
    CardOrder {
        /// As the reader sends them.
        AsIs = "as_is",
        /// Last byte first.
        Reversed = "reversed",
        /// Four bytes as they are, longer ones last byte first.
        Mixed7 = "mixed7",
    }
}

choice! {
    /// What characters from a reader are.
    CardText {
        /// The hex digits of a card's UID.
        Card = "card",
        /// A barcode.
        Barcode = "barcode",
        /// A QR code.
        Qr = "qr",
    }
}

choice! {
    /// What shows that somebody went through at a controller.
    EvidenceWord {
        /// Its sensor.
        Passage = "passage",
        /// Nothing.
        None = "none",
    }
}

choice! {
    /// Who decides at a gate.
    Mode {
        /// The device does, and reports.
        Observe = "observe",
        /// This box does, and opens.
        Decide = "decide",
    }
}

table! {
    /// How this box decides at a gate, what opens it and where a passage is seen. Readers whose doors name one output are one door.
    Door = "door" {
        /// What happens when Lime does not answer in time. Default "snapshot_only".
        policy: At<PolicyWord>,
        /// How long Lime may take to answer while the guest waits. Default "300ms".
        budget: At<Span>,
        /// How long an opened gate waits for the passage. Default "5s".
        wait: At<Span>,
        /// How long the output is on. Default "500ms".
        pulse: At<Span>,
        /// When the guest is charged. Default "passage" where a passage is seen, else "open".
        write_off: At<WriteOffWord>,
        /// A medium that was let through one way is refused the same way for so long, unless it went the other way. Default "0s": not at all.
        antipassback: At<Span>,
        /// A medium that was let through is refused at this door for so long. Default "0s": not at all.
        cooldown: At<Span>,
        /// Money that a deposit may go below zero by while Lime is away, minor units. Default 0.
        max_offline_debt: At<u32>,
        /// An entitlement snapshot older than this is not used. Default "12h".
        max_snapshot_age: At<Span>,
        /// The output that opens: { module = "io1", output = 0 }, or { reader = true, output = 0 } for one of the gate's own reader.
        #[schemars(required)]
        open: At<OutputTable>,
        /// Where a passage is seen: { module = "io1", counter = 0 }, { module = "io1", input = 0 }, the same with reader = true, or "reader" where the device says so itself.
        passage: At<Passage>,
        /// The input that says that the gate is free (fire, or a key): { module = "io1", input = 3 }.
        free: At<InputTable>,
    }
}

choice! {
    /// What happens when Lime does not answer in time.
    PolicyWord {
        /// Nobody goes in.
        Deny = "deny",
        /// Whom the entitlement snapshot lets in; nobody else.
        SnapshotOnly = "snapshot_only",
        /// As the snapshot says; whom it does not know goes in.
        SnapshotThenOpen = "snapshot_then_open",
        /// Everybody goes in.
        Open = "open",
    }
}

choice! {
    /// When the guest is charged.
    WriteOffWord {
        /// When the gate is opened.
        Open = "open",
        /// When the passage is seen.
        Passage = "passage",
    }
}

table! {
    /// An output.
    OutputTable = "door.open" {
        /// The id of one of the file's modules.
        module: At<String>,
        /// True: of the gate's own reader.
        reader: At<bool>,
        /// Its number, from 0. Default 0.
        #[schemars(range(max = 65535))]
        output: At<u32>,
    }
}

table! {
    /// An input.
    InputTable = "door.free" {
        /// The id of one of the file's modules.
        module: At<String>,
        /// True: of the gate's own reader.
        reader: At<bool>,
        /// Its number, from 0. Default 0.
        #[schemars(range(max = 65535))]
        input: At<u32>,
    }
}

table! {
    /// An input or a counter.
    ContactTable = "door.passage" {
        /// The id of one of the file's modules.
        module: At<String>,
        /// True: of the gate's own reader.
        reader: At<bool>,
        /// An input that goes on for each guest: its number, from 0.
        #[schemars(range(max = 65535))]
        input: At<u32>,
        /// A counter that goes up for each guest: its number, from 0.
        #[schemars(range(max = 65535))]
        counter: At<u32>,
    }
}

choice! {
    /// The device that the reader is of says it itself.
    PassageWord {
        /// It reports passages.
        Reader = "reader",
    }
}

/// `passage = "reader"` or `passage = { ... }`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub(super) enum Passage {
    /// In a word.
    Word(PassageWord),
    /// In full.
    Full(ContactTable),
}

impl Read for Passage {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => PassageWord::read(value, place, mistakes).map(Self::Word),
            DeValue::Table(_) => ContactTable::read(value, place, mistakes).map(Self::Full),
            _ => wrong_type(value, place, words::PASSAGE_FORM, mistakes),
        }
    }
}

choice! {
    /// Which way guests go.
    Direction {
        /// Into the zone.
        In = "in",
        /// Out of it.
        Out = "out",
    }
}

table! {
    /// An I/O module or gate board.
    Module = "[[module]]" {
        /// Names the module. ASCII letters, digits and hyphens.
        #[schemars(required, regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$"))]
        id: At<String>,
        /// For people. Default: the id.
        title: At<String>,
        /// "gate-board-7e", the name of a shipped module map, or the path of a map of your own.
        #[schemars(required)]
        kind: At<String>,
        /// The serial port; better by /dev/serial/by-id than by number. Modules of one line name the same port.
        port: At<String>,
        /// The module's address on its line.
        #[schemars(range(min = 0, max = 255))]
        address: At<u32>,
        /// Overrides the map's line speed.
        #[schemars(range(min = 300, max = 4_000_000))]
        baud: At<u32>,
        /// Overrides the map's parity.
        parity: At<LineParity>,
        /// Overrides the map's stop bits.
        #[schemars(range(min = 1, max = 2))]
        stop_bits: At<u32>,
        /// The kernel turns the RS-485 line round for each frame: for ports whose adapter does not do it by itself. Default false.
        rs485: At<bool>,
        /// With "wirenboard-mqtt" and "shelly": the device, as its topics name it.
        device: At<String>,
        /// With "mqtt-json": what the device's topics begin with.
        topic: At<String>,
        /// With "wirenboard-mqtt": the relays' controls, output 0 first. Default: K1 to K6.
        outputs: Vec<At<String>>,
        /// With "wirenboard-mqtt": the contacts' controls, input 0 first. Default: "Input 0" to "Input 6".
        inputs: Vec<At<String>>,
        /// With "wirenboard-mqtt": the counters' controls, counter 0 first. Default: "Input 0 counter" to "Input 6 counter".
        counters: Vec<At<String>>,
    }
}

choice! {
    /// Parity of a line.
    LineParity {
        /// None.
        None = "none",
        /// Even.
        Even = "even",
        /// Odd.
        Odd = "odd",
    }
}

table! {
    /// Lime.
    Lime = "[lime]" {
        /// Base address of the Lime gateway API, ending in /gw/v1. https, or http to this machine.
        #[schemars(required)]
        url: At<String>,
        /// The box's token.
        #[schemars(required)]
        token: At<SecretAt>,
        /// A PEM file with a further certificate authority to trust.
        ca: At<String>,
    }
}

choice! {
    /// Which CRM.
    Kind {
        /// amoCRM.
        AmoCrm = "amocrm",
        /// Bitrix24.
        Bitrix24 = "bitrix24",
    }
}

table! {
    /// The CRM.
    Crm = "[crm]" {
        /// Which.
        #[schemars(required)]
        kind: At<Kind>,
        /// amoCRM: the account, as in https://ACCOUNT.amocrm.ru
        account: At<String>,
        /// amoCRM: the whole address, in place of `account`; for kommo.com and other domains.
        url: At<String>,
        /// amoCRM: a long-lived token.
        token: At<SecretAt>,
        /// Bitrix24: an inbound webhook. The address holds the secret, so all of it is one.
        webhook: At<SecretAt>,
        /// OAuth, in place of `token` or `webhook`.
        oauth: At<OAuth>,
        /// Where passes go: { pipeline = "Проходы", stage = "Прошёл" }; for Bitrix24 also "timeline" (the default there), "deal" or "both".
        passes: At<Passes>,
        /// Language of field names and texts in the CRM. Default: the site's.
        language: At<Language>,
        /// Refusals and passages that did not happen are recorded, too. Default false.
        refusals: At<bool>,
        /// A PEM file with a further certificate authority to trust.
        ca: At<String>,
    }
}

table! {
    /// An OAuth application of the CRM; `limegate crm login` fetches its first tokens.
    OAuth = "[crm.oauth]" {
        /// The application's id.
        #[schemars(required)]
        client_id: At<String>,
        /// Its secret.
        #[schemars(required)]
        client_secret: At<SecretAt>,
        /// amoCRM: must match the integration's exactly.
        redirect_uri: At<String>,
        /// Bitrix24: the portal, https://NAME.bitrix24.ru
        portal: At<String>,
        /// Bitrix24: the token server. Default "https://oauth.bitrix24.tech".
        token_server: At<String>,
    }
}

choice! {
    /// What a pass becomes in Bitrix24.
    PassesAs {
        /// A line in the contact's timeline.
        Timeline = "timeline",
        /// A deal in the passes funnel.
        Deal = "deal",
        /// Both.
        Both = "both",
    }
}

table! {
    /// Where passes go.
    PassesTable = "passes" {
        /// Bitrix24: what a pass becomes. Default "deal" in this form.
        record: At<PassesAs>,
        /// The pipeline's name as people see it, or its id. Default "Проходы" (English: "Passes").
        pipeline: At<Stage>,
        /// The stage. Default: the pipeline's won stage.
        stage: At<Stage>,
    }
}

/// `passes = "timeline"` or `passes = { ... }`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub(super) enum Passes {
    /// In a word.
    Word(PassesAs),
    /// In full.
    Full(PassesTable),
}

impl Read for Passes {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => PassesAs::read(value, place, mistakes).map(Self::Word),
            DeValue::Table(_) => PassesTable::read(value, place, mistakes).map(Self::Full),
            _ => wrong_type(value, place, words::PASSES_FORM, mistakes),
        }
    }
}

/// A name as people see it, or `{ id = 123 }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Name(String),
    Id(String),
}

impl Read for Stage {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(name) => Some(Self::Name(name.trim().to_owned())),
            DeValue::Table(table) => {
                unknown_keys(table, &value.span(), place.key, &["id"], mistakes);
                let id = table.get("id")?;
                match id.get_ref() {
                    DeValue::Integer(number) if number.radix() == 10 => Some(Self::Id(number.as_str().to_owned())),
                    DeValue::String(text) => Some(Self::Id(text.trim().to_owned())),
                    _ => wrong_type(id, Place { table: place.key, key: "id" }, words::A_STAGE, mistakes),
                }
            }
            _ => wrong_type(value, place, words::A_STAGE, mistakes),
        }
    }
}

impl JsonSchema for Stage {
    fn schema_name() -> Cow<'static, str> {
        "Stage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name as people see it, or { id = 123 }.",
            "oneOf": [
                { "type": "string", "minLength": 1 },
                { "type": "object", "properties": { "id": { "type": ["integer", "string"] } }, "required": ["id"], "additionalProperties": false },
            ],
        })
    }
}

/// Where a secret is. The secret itself never stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretAt {
    File(String),
    Env(String),
}

impl Read for SecretAt {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(table) => Self::read_table(value, table, place, mistakes),
            DeValue::String(_) => {
                let folder = mistakes.secrets_folder();
                let name = suggested_name(place);
                mistakes
                    .error(Code::INLINE_SECRET, words::INLINE_SECRET.with("key", place.key), &value.span(), words::INLINE_HERE)
                    .help(words::INLINE_HELP.with("key", place.key).with("folder", folder).with("name", name));
                None
            }
            _ => wrong_type(value, place, words::A_SECRET, mistakes),
        }
    }
}

impl SecretAt {
    fn read_table(value: &Spanned<DeValue<'_>>, table: &DeTable<'_>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        unknown_keys(table, &value.span(), place.key, &["file", "env"], mistakes);
        let mut text = |key| table.get(key).and_then(|one| String::read(one, Place { table: place.key, key }, mistakes));
        match (text("file"), text("env")) {
            (Some(file), None) => Some(Self::File(file)),
            (None, Some(name)) => Some(Self::Env(name)),
            (None, None) if table.contains_key("file") || table.contains_key("env") => None,
            _ => wrong_type(value, place, words::A_SECRET, mistakes),
        }
    }
}

/// `[lime] token` -> `lime-token`.
fn suggested_name(place: Place<'_>) -> String {
    let table = place.table.trim_matches(['[', ']']).replace('.', "-");
    format!("{table}-{}", place.key.replace('_', "-"))
}

impl JsonSchema for SecretAt {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where the secret is: a file in the systemd credentials folder or in secrets/ beside the config (or an absolute path), mode 0600; an environment variable in tests.",
            "oneOf": [
                { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"], "additionalProperties": false },
                { "type": "object", "properties": { "env": { "type": "string" } }, "required": ["env"], "additionalProperties": false },
            ],
        })
    }
}

table! {
    /// The MQTT broker.
    Mqtt = "[mqtt]" {
        /// mqtts://host:8883, or mqtt://127.0.0.1:1883
        #[schemars(required)]
        url: At<String>,
        /// User name. Default: the site's id, when there is a password.
        user: At<String>,
        /// Password.
        password: At<SecretAt>,
        /// A PEM file with a further certificate authority to trust.
        ca: At<String>,
        /// Default "30s".
        keep_alive: At<Span>,
        /// Default "limegate-" and the site's id. Keep it: the broker queues under it while the gateway restarts.
        client_id: At<String>,
    }
}

table! {
    /// The listener for IronLogic Web-JSON controllers. They speak plain HTTP: keep them on a network of their own.
    WebJson = "[web_json]" {
        /// The address and port that the controllers are told to connect to.
        #[schemars(required)]
        listen: At<String>,
        /// What they have to name. Needed unless `listen` is this machine alone.
        password: At<SecretAt>,
    }
}

table! {
    /// The journal on this box's disk.
    Journal = "[journal]" {
        /// Size of a segment file. Default "8MiB".
        segment: At<Size>,
        /// Most bytes the journal may take. Default "2GiB".
        budget: At<Size>,
        /// How long delivered passes are kept, budget permitting. Default "30d".
        retain: At<Span>,
        /// Memory for the index. Default "8MiB".
        index_cache: At<Size>,
    }
}

table! {
    /// How deliveries are paced and repeated.
    DeliveryTable = "[delivery]" {
        /// After an unknown outcome, two looks are at least this far apart before a create is repeated. Default "120s".
        settle_window: At<Span>,
        /// The first wait after a failure. Default "1s".
        backoff_base: At<Span>,
        /// The longest wait. Default "5min".
        backoff_cap: At<Span>,
        /// Requests a second to the CRM. Default 7 (amoCRM) or 2 (Bitrix24).
        #[schemars(range(min = 0.1, max = 50))]
        crm_rate: At<f64>,
        /// Requests at once to the CRM. Default 7 or 50.
        #[schemars(range(min = 1, max = 100))]
        crm_burst: At<u32>,
        /// How long a stop waits for deliveries under way; the rest is on disk. Default "5s".
        drain: At<Span>,
    }
}

/// Every table and its keys, to say where a misplaced key belongs.
pub(super) const TABLES: &[(&str, &[&str])] = &[
    (Root::TITLE, Root::KEYS),
    (Site::TITLE, Site::KEYS),
    (Gate::TITLE, Gate::KEYS),
    (Osdp::TITLE, Osdp::KEYS),
    (Door::TITLE, Door::KEYS),
    (OutputTable::TITLE, OutputTable::KEYS),
    (ContactTable::TITLE, ContactTable::KEYS),
    (InputTable::TITLE, InputTable::KEYS),
    (Module::TITLE, Module::KEYS),
    (Lime::TITLE, Lime::KEYS),
    (Crm::TITLE, Crm::KEYS),
    (OAuth::TITLE, OAuth::KEYS),
    (Mqtt::TITLE, Mqtt::KEYS),
    (WebJson::TITLE, WebJson::KEYS),
    (Journal::TITLE, Journal::KEYS),
    (DeliveryTable::TITLE, DeliveryTable::KEYS),
    (hub::Hub::TITLE, hub::Hub::KEYS),
    (hub::HubContacts::TITLE, hub::HubContacts::KEYS),
    (hub::HubDeal::TITLE, hub::HubDeal::KEYS),
    (hub::HubPreorders::TITLE, hub::HubPreorders::KEYS),
];

impl Root {
    /// Reads the whole document.
    pub(super) fn read_document(document: &Spanned<DeTable<'_>>, mistakes: &mut Mistakes) -> Self {
        Self::read_table(document.get_ref(), &document.span(), mistakes)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(KiB|MiB|GiB)$", "description": "A size, such as \"8MiB\"." })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(ms|s|min|h|d)$", "description": "A duration, such as \"120s\"." })
    }
}
