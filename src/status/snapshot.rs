//! What `limegate status --json` prints under `"v": 1`, and MQTT `state` carries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::DecisionMode;
use crate::journal::JournalStat;

use super::problem::{Problem, Severity, Texts, worst};

/// Whether something is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Not yet tried.
    #[default]
    Starting,
    /// Open or connected.
    Up,
    /// Not.
    Down,
}

/// Why a reader that is asked cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaderFault {
    /// It does not answer.
    Offline,
    /// It does not have the key that the config names.
    WrongKey,
    /// It knows no secured sessions with a key of its own.
    NoSecurity,
    /// It wants a secured session, and the config names no key.
    NeedsKey,
}

impl ReaderFault {
    /// In words, for a log and for `error`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Offline => "the reader does not answer",
            Self::WrongKey => "the reader does not have the key that the config names",
            Self::NoSecurity => "the reader knows no secured sessions with a key of its own",
            Self::NeedsKey => "the reader wants a secured session, and the config names no key",
        }
    }
}

/// A gate and its reader. Ages are milliseconds of boot time, so that they are true whatever the wall clock does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateState {
    /// For people.
    pub title: String,
    /// The reader's profile.
    pub reader: String,
    /// The port or topic.
    pub port: String,
    /// Whether it is open.
    pub link: Link,
    /// Why not, in one line.
    pub error: Option<String>,
    /// Boot time of the last byte or message.
    pub last_byte_boot_ms: Option<u64>,
    /// Boot time of the last pass.
    pub last_pass_boot_ms: Option<u64>,
    /// Passes taken since the start.
    pub passes: u64,
    /// Frames that did not check out since the start, by kind.
    pub bad_frames: u64,
    /// The profile that the bytes look like, where they are not those of `reader`.
    #[serde(default)]
    pub looks_like: Option<String>,
    /// The door, where this box decides; at the first of its readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorState>,
    /// Why a reader that is asked cannot be used, while its port is open.
    #[serde(default)]
    pub fault: Option<ReaderFault>,
    /// Somebody is at the reader's housing.
    #[serde(default)]
    pub tamper: bool,
    /// The reader's power fails.
    #[serde(default)]
    pub power_failing: bool,
}

/// A door at which this box decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorState {
    /// `idle`, `read`, `decide`, `open`, `wait_pass`, `free`.
    pub state: String,
    /// Guests between reading and passage.
    pub visits: u64,
    /// Decisions since the start.
    pub decided: u64,
    /// The last decision's code.
    pub last_code: Option<String>,
    /// Who made it.
    pub last_mode: Option<DecisionMode>,
    /// Whether it let the guest in.
    pub last_admitted: bool,
    /// Boot time since when Lime has not answered in time at this door.
    pub alone_since_boot_ms: Option<u64>,
    /// Answers of Lime that came after the box had decided, since the start.
    pub late: u64,
    /// Why the last order to open did not open.
    pub does_not_open: Option<String>,
    /// Why the outputs are not known to be off.
    pub does_not_close: Option<String>,
    /// Guests who went through without being let in, since the start.
    pub unpermitted: u64,
    /// Boot time of the last of them.
    pub last_unpermitted_boot_ms: Option<u64>,
    /// The gate is free (fire, or a key).
    pub free: bool,
    /// Somebody is at the housing.
    pub tamper: bool,
    /// A device of the door does not answer.
    pub away: bool,
    /// The device's own trouble, as its code.
    pub fault: Option<String>,
}

/// The entitlement snapshot, by which doors decide without Lime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementsState {
    /// Its version; none: there is none.
    pub version: Option<String>,
    /// How many media it holds.
    pub media: u64,
    /// Its age, milliseconds; none: it cannot be said.
    pub age_ms: Option<u64>,
    /// It is young enough for every door.
    pub fresh: bool,
}

/// An I/O module or gate board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleState {
    /// For people.
    pub title: String,
    /// `wb-mr6c`, `gate-board-7e`, ...
    pub kind: String,
    /// The port, or what else it is reached by.
    pub port: String,
    /// Its address there.
    pub address: u8,
    /// Whether it answers.
    pub link: Link,
    /// Why not, in one line.
    pub error: Option<String>,
    /// Boot time of the last answer.
    pub last_answer_boot_ms: Option<u64>,
    /// Questions since the start.
    pub asked: u64,
    /// Questions that nothing answered.
    pub unanswered: u64,
    /// Questions to which only damaged bytes came.
    pub damaged: u64,
    /// Outputs that do not go off, as they are printed on the module.
    pub stuck: Vec<String>,
    /// What it refuses: a register or a coil that its map names and it does not have. In one line.
    pub refused: Option<String>,
    /// Settings that it does not take, by register: what they would have made safe is not.
    pub settings_refused: Vec<u16>,
}

/// A destination.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DestinationState {
    /// `amocrm`, `bitrix24`, `lime`.
    pub kind: String,
    /// Whether it answers.
    pub link: Link,
    /// Stable code of the trouble: `http/503`, `auth`, `not_sent`, `setup/pipeline`.
    pub error: Option<String>,
    /// The trouble in one line, without secrets.
    pub error_text: Option<String>,
    /// Boot time since when it is down.
    pub down_since_boot_ms: Option<u64>,
    /// Jobs that wait.
    pub waiting: u64,
    /// Boot-time age of the oldest waiting job, as far as known, milliseconds.
    pub oldest_ms: Option<u64>,
    /// Jobs that arrived, over the box's life.
    pub delivered: u64,
    /// Jobs that wait for a person.
    pub refused: u64,
    /// Jobs whose outcome is unknown.
    pub doubtful: u64,
    /// Boot time of the last success.
    pub last_success_boot_ms: Option<u64>,
    /// Attempts in a row that failed.
    pub attempts: u32,
    /// Tokens left in the bucket.
    pub tokens: f64,
    /// Requests sent since the start.
    pub requests: u64,
    /// Boot time of the next attempt, when backing off.
    pub next_attempt_boot_ms: Option<u64>,
    /// What the last nightly sweep found; none: there was none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept: Option<SweepState>,
}

/// What a nightly sweep found among the passes that were written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepState {
    /// When, milliseconds since 1970 UTC; none: the clock could not say.
    pub at_ms: Option<i64>,
    /// Passes that are there more than once.
    pub doubled: u64,
    /// Passes that are not there.
    pub missing: u64,
}

/// A feed of Lime's or of the CRM's, where this box is the venue's hub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedState {
    /// Whether what it answers is of use. A remote that cannot be reached is reported with the destination.
    pub link: Link,
    /// Stable code of the trouble: `lime/no_feed`, `lime/unreadable`.
    pub error: Option<String>,
    /// The trouble in one line.
    pub error_text: Option<String>,
    /// Boot time since when there is trouble.
    pub down_since_boot_ms: Option<u64>,
    /// Boot time of the last time that it was read to its end.
    pub last_read_boot_ms: Option<u64>,
    /// Changes told of since the start.
    pub told: u64,
    /// What could not be read and was passed over, since the start.
    pub passed_over: u64,
}

/// The clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockState {
    /// Synchronised now.
    pub synced: bool,
    /// This boot has an anchor.
    pub anchored: bool,
}

/// The broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MqttState {
    /// There is one in the config.
    pub configured: bool,
    /// Whether it is connected.
    pub link: Link,
    /// Why not.
    pub error: Option<String>,
    /// Connections since the start.
    pub connects: u64,
    /// Messages that wait for their PUBACK.
    pub unacknowledged: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Version of this shape.
    pub v: u32,
    /// The box.
    pub site: String,
    /// For people.
    pub title: String,
    /// limegate's version.
    pub version: String,
    /// Counts starts of the gateway on this box.
    pub session: u64,
    /// Boot time of this snapshot, milliseconds.
    pub boot_ms: u64,
    /// Wall time of this snapshot, RFC 3339 in the venue's zone.
    pub at: String,
    /// Boot time of the start.
    pub started_boot_ms: u64,
    /// Gates by id.
    pub gates: BTreeMap<String, GateState>,
    /// I/O modules and gate boards by id.
    #[serde(default)]
    pub modules: BTreeMap<String, ModuleState>,
    /// The entitlement snapshot, where this box decides.
    #[serde(default)]
    pub entitlements: Option<EntitlementsState>,
    /// Destinations by name: `lime`, `crm`.
    pub destinations: BTreeMap<String, DestinationState>,
    /// Feeds by name, where this box is the venue's hub: `lime.clients`, `amocrm.contacts`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub feeds: BTreeMap<String, FeedState>,
    /// The journal.
    pub journal: JournalStat,
    /// Passes stored over the box's life.
    pub passes: u64,
    /// The clock.
    pub clock: ClockState,
    /// The broker.
    pub mqtt: MqttState,
    /// Why the config file on disk is not the one that runs; `None` when it is.
    #[serde(default)]
    pub config_error: Option<Texts>,
}

/// What `status` and the publishers show: the numbers and what is wrong with them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The numbers.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// What is wrong, the worst effect on a guest first.
    pub problems: Vec<Problem>,
    /// A problem that is shown is worse than a note.
    pub degraded: bool,
}

impl Report {
    /// The report on a snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot, problems: Vec<Problem>) -> Self {
        let degraded = matches!(worst(&problems), Some(Severity::Red | Severity::Amber));
        Self { snapshot, problems, degraded }
    }
}
