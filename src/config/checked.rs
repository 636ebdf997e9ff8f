//! The configuration as the gateway uses it. Whoever holds a [`Config`] need not check anything again.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::{Direction, GateId, ServicePointId};

/// Everything that `limegate.toml` says.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// Where the journal, the index and the control socket live. Default `/var/lib/limegate`.
    pub state_dir: PathBuf,
    /// The box and its place.
    pub site: Site,
    /// At least one.
    pub gates: Vec<Gate>,
    /// I/O modules and gate boards.
    pub modules: Vec<super::Module>,
    /// Lime.
    pub lime: LimeConfig,
    /// The CRM.
    pub crm: Crm,
    /// The broker, where there is one. Always there when a gate reads from MQTT.
    pub mqtt: Option<MqttConfig>,
    /// The listener for controllers, where there is one. Always there when a gate's reader is such a controller.
    pub web_json: Option<WebJsonConfig>,
    /// The journal.
    pub journal: JournalConfig,
    /// Delivery.
    pub delivery: Delivery,
    /// The integration of Lime and the CRM, where this box runs it.
    pub hub: Option<super::Hub>,
}

/// `[site]`
#[derive(Clone, Debug)]
pub struct Site {
    /// Names the box in topics and at Lime: `vysota-north`. ASCII letters, digits and hyphens.
    pub id: String,
    /// The venue in topics: `limegate/1/<venue>/<gateway>`; default: the id's part before the first hyphen.
    pub venue: String,
    /// What the venue's gateways share: names media alike, and seals what gates tell each other.
    pub venue_key: Option<SecretSource>,
    /// For people.
    pub title: String,
    /// The venue's time zone.
    pub timezone: jiff::tz::TimeZone,
    /// Texts for people.
    pub language: Language,
    /// The board, where the config names one.
    pub board: Option<crate::board::Board>,
}

/// A language of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Language {
    /// Русский.
    #[default]
    Ru,
    /// English.
    En,
}

/// `[[gate]]`
#[derive(Clone, Debug)]
pub struct Gate {
    /// Names the gate.
    pub id: GateId,
    /// For people.
    pub title: String,
    /// Lime's id of the place.
    pub service_point: ServicePointId,
    /// Which way guests go who pass here, where the device does not say. Default in.
    pub direction: Direction,
    /// Where its readings come from.
    pub reader: ReaderConfig,
    /// How this box decides there; nothing: the device does (`mode = "observe"`).
    pub door: Option<DoorConfig>,
}

/// `door = { ... }` of a gate that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorConfig {
    /// What happens when Lime does not answer in time. Default [`Policy::SnapshotOnly`].
    pub policy: Policy,
    /// How long Lime may take to answer. Default 300 ms.
    pub budget: Duration,
    /// How long an opened gate waits for the passage. Default 5 s.
    pub wait: Duration,
    /// How long the output is on. Default 500 ms.
    pub pulse: Duration,
    /// When the guest is charged. [`ChargeAt::Passage`] only where a passage is seen.
    pub charge: ChargeAt,
    /// A medium let through one way is refused that way for so long, unless it went the other way. Zero: never.
    pub antipassback: Duration,
    /// A medium let through is refused at this door for so long. Zero: never.
    pub cooldown: Duration,
    /// Minor units that a deposit may go below zero by while Lime is away. Default 0.
    pub max_offline_debt: i64,
    /// A snapshot older than this is not used. Default 12 h.
    pub max_snapshot_age: Duration,
    /// The output that opens.
    pub open: OutputAt,
    /// Where a passage is seen.
    pub passage: Option<PassageAt>,
    /// The input that says that the gate is free.
    pub free: Option<InputAt>,
}

/// What happens at a door when Lime does not answer in time. The names are those of the Lime gateway API v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nobody goes in.
    Deny,
    /// Whom the entitlement snapshot lets in.
    SnapshotOnly,
    /// As the snapshot says; whom it does not know goes in.
    SnapshotThenOpen,
    /// Everybody goes in.
    Open,
}

/// When the guest is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChargeAt {
    /// When the gate is opened: `commit = "immediate"` at Lime.
    Open,
    /// When the passage is seen: `commit = "on_passage"`.
    Passage,
}

/// What a door is wired to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WiredTo {
    /// The module of this id; it is in [`Config::modules`].
    Module(String),
    /// The gate's own reader.
    Reader,
}

/// An output that opens a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputAt {
    /// Whose.
    pub of: WiredTo,
    /// Its number, from 0.
    pub output: u16,
}

/// An input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputAt {
    /// Whose.
    pub of: WiredTo,
    /// Its number, from 0.
    pub input: u16,
}

/// Where a passage is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassageAt {
    /// Whose contact.
    pub of: WiredTo,
    /// Which.
    pub by: PassageBy,
}

/// By what a passage is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassageBy {
    /// An input that goes on for each guest.
    Input(u16),
    /// A counter that goes up for each guest.
    Counter(u16),
    /// The device says so itself: `passage = "reader"`.
    Message,
}

/// Where a gate's readings come from.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each gate of a box")]
pub enum ReaderConfig {
    /// A reader on a serial port.
    Serial(SerialReader),
    /// A validator that publishes the gateway's own JSON.
    MqttJson {
        /// The topic to subscribe to.
        topic: String,
    },
    /// A controller that comes over HTTP.
    WebJson(WebJsonReader),
    /// An OSDP reader.
    Osdp(OsdpReader),
}

/// An IronLogic Web-JSON controller as a gate's reader. Gates of one controller say the same, and go different ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebJsonReader {
    /// Its serial number.
    pub serial_number: u64,
    /// It has a sensor that sees passages: a pass is made of what that says. Else of the card that it lets in.
    pub passage_seen: bool,
    /// How many bytes of a card are its UID; nothing: all six that the controller gives.
    pub uid_bytes: Option<usize>,
}

/// `[web_json]`
#[derive(Clone, Debug)]
pub struct WebJsonConfig {
    /// Where controllers come to.
    pub listen: std::net::SocketAddr,
    /// What they have to name.
    pub password: Option<SecretSource>,
    /// The cards of staff that each of them holds in its own list; nothing: its list is nobody's business here.
    pub staff_cards: Option<SecretSource>,
}

/// What a door may want of its gate's own reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfReader {
    /// An output that opens.
    Output,
    /// An input.
    Input,
    /// A counter.
    Counter,
    /// A word of its own that somebody went through.
    Reports,
}

impl ReaderConfig {
    /// Whether the reader itself has what a door wants of it.
    #[must_use]
    pub fn has(&self, wanted: OfReader) -> bool {
        match (self, wanted) {
            (Self::Osdp(_), OfReader::Output | OfReader::Input)
            | (Self::WebJson(_), OfReader::Output)
            | (Self::MqttJson { .. }, OfReader::Reports) => true,
            (Self::WebJson(reader), OfReader::Reports) => reader.passage_seen,
            _ => false,
        }
    }

    /// The serial port that it reads, where it reads one.
    #[must_use]
    pub fn port(&self) -> Option<&std::path::Path> {
        match self {
            Self::Serial(reader) => Some(&reader.port),
            Self::Osdp(reader) => Some(&reader.port),
            Self::MqttJson { .. } | Self::WebJson(_) => None,
        }
    }
}

/// A reader on a serial port.
#[derive(Clone, Debug)]
pub struct SerialReader {
    /// The profile: a file name in `config/readers/` without `.toml`, or a path.
    pub profile: crate::codec::Profile,
    /// `/dev/serial/by-id/...` or any path.
    pub port: PathBuf,
    /// Overrides the profile's line speed.
    pub baud: Option<u32>,
    /// The kernel turns an RS-485 line round; else the adapter does it by itself.
    pub rs485: bool,
}

/// An OSDP reader. Several may share a port; then their speed and their check are the same, and their addresses are not.
#[derive(Clone, Debug)]
pub struct OsdpReader {
    /// `/dev/serial/by-id/...` or any path, as this gate names it.
    pub port: PathBuf,
    /// The port as the first gate of its line names it: gates of one line have the same one.
    pub line: PathBuf,
    /// Bits a second. Default 9600.
    pub baud: u32,
    /// The kernel turns the line round for each frame; else the adapter does it by itself.
    pub rs485: bool,
    /// Its address, 0 to 126.
    pub address: u8,
    /// Its key; nothing: it is spoken with in the clear.
    pub key: Option<SecretSource>,
    /// How frames are checked.
    pub check: crate::codec::osdp::Check,
    /// How its cards are read.
    pub cards: crate::codec::osdp::CardOptions,
}

/// Where a secret is. `load` reads it at start and refuses a file that others can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A name in the systemd credentials folder, else in `secrets/` beside the config file; or an absolute path.
    File(PathBuf),
    /// An environment variable, for tests.
    Env(String),
}

/// `[lime]`
#[derive(Clone, Debug)]
pub struct LimeConfig {
    /// Base of the Lime gateway API, ending in `/gw/v1`, no slash at the end. `https`, or `http` to a loopback address.
    pub url: String,
    /// The device token.
    pub token: SecretSource,
    /// A PEM file with a further certificate authority to trust.
    pub ca: Option<PathBuf>,
}

/// `[crm]`
#[derive(Clone, Debug)]
pub struct Crm {
    /// Which, and how to reach it.
    pub kind: CrmKind,
    /// Language of field names and texts in the CRM. Default: the site's.
    pub language: Language,
    /// Refusals and passages that did not happen are recorded, too. Default false.
    pub refusals: bool,
    /// A PEM file with a further certificate authority to trust.
    pub ca: Option<PathBuf>,
}

/// Which CRM.
#[derive(Clone, Debug)]
pub enum CrmKind {
    /// `kind = "amocrm"`
    AmoCrm(AmoCrm),
    /// `kind = "bitrix24"`
    Bitrix24(Bitrix24),
}

/// amoCRM.
#[derive(Clone, Debug)]
pub struct AmoCrm {
    /// `https://<account>.amocrm.ru`, or the `url` given instead. No slash at the end.
    pub url: String,
    /// How to authorise.
    pub auth: AmoAuth,
    /// Where passes go.
    pub pipeline: StageRef,
    /// The stage of a pass; default the pipeline's won stage (142).
    pub stage: StageRef,
}

/// How to authorise at amoCRM.
#[derive(Clone, Debug)]
pub enum AmoAuth {
    /// A long-lived token.
    Token(SecretSource),
    /// OAuth: the refresh pair lives in `<state_dir>/oauth/` and rotates there; `limegate crm login` fills it.
    OAuth {
        /// The integration's id.
        client_id: String,
        /// Its secret.
        client_secret: SecretSource,
        /// Must match the integration's exactly.
        redirect_uri: String,
    },
}

/// Bitrix24.
#[derive(Clone, Debug)]
pub struct Bitrix24 {
    /// How to authorise, and with it the address.
    pub auth: BitrixAuth,
    /// What a write-off becomes.
    pub passes: PassesAs,
}

/// How to authorise at Bitrix24.
#[derive(Clone, Debug)]
pub enum BitrixAuth {
    /// An inbound webhook: the whole address is the secret.
    Webhook(SecretSource),
    /// A local OAuth app.
    OAuth {
        /// `https://<portal>`
        portal: String,
        /// The token server; default `https://oauth.bitrix24.tech`.
        token_server: String,
        /// The app's id.
        client_id: String,
        /// Its secret.
        client_secret: SecretSource,
    },
}

/// What a write-off becomes in Bitrix24.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassesAs {
    /// A line in the contact's timeline.
    Timeline,
    /// A deal in a passes funnel.
    Deal {
        /// The funnel.
        pipeline: StageRef,
        /// The stage; default its won stage.
        stage: StageRef,
    },
    /// Both.
    Both {
        /// The funnel.
        pipeline: StageRef,
        /// The stage; default its won stage.
        stage: StageRef,
    },
}

/// A pipeline or a stage: as people see it, or by id.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum StageRef {
    /// `"Проходы"`
    Name(String),
    /// `{ id = 123 }`; a text, for Bitrix24's stage ids are texts.
    Id(String),
    /// Not given: the default that the field's comment names.
    Default,
}

/// `[mqtt]`
#[derive(Clone, Debug)]
pub struct MqttConfig {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `mqtts://`
    pub tls: bool,
    /// User name; default the site id when a password is given.
    pub user: Option<String>,
    /// Password.
    pub password: Option<SecretSource>,
    /// A PEM file with a further certificate authority to trust.
    pub ca: Option<PathBuf>,
    /// Default 30 s.
    pub keep_alive: Duration,
    /// Client id; default `limegate-<site id>`. Fixed, so that the broker queues while the gateway restarts.
    pub client_id: String,
}

/// `[journal]`
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Default 8 MiB.
    pub segment_bytes: u64,
    /// Most bytes the log may take. Default 2 GiB.
    pub budget_bytes: u64,
    /// Settled segments are kept this long, budget permitting. Default 30 days.
    pub retain: Duration,
    /// sled's cache. Default 8 MiB.
    pub index_cache_bytes: u64,
}

/// `[delivery]`
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Two looks for a business key are at least this far apart before a create is repeated. Default 120 s.
    pub settle_window: Duration,
    /// Backoff begins here. Default 1 s.
    pub backoff_base: Duration,
    /// And ends here. Default 300 s.
    pub backoff_cap: Duration,
    /// Requests a second to the CRM; default 7 (amoCRM) or 2 (Bitrix24).
    pub crm_rate: f64,
    /// Burst to the CRM; default 7 or 50.
    pub crm_burst: u32,
    /// What is left after this long at a stop stays on disk. Default 5 s.
    pub drain: Duration,
}
